//! Rejections explained: `ring3 explain`, `ring3 verify -o text|json|sarif`, `--kernel`, `--profile`.

use std::process::Command;

use crate::common::{ring3, scratch, words};
use serde_json::Value;

fn json(line: &str) -> Value {
    let ran = words(line);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

#[test]
fn a_missing_check_is_told_with_the_line_the_cause_and_the_remedy() {
    let ran = words("verify -o text errors/unchecked_lookup.bpf.o");
    assert_eq!(ran.code, Some(1));
    let expected = "\
unchecked_lookup (errors/unchecked_lookup.bpf.o): reject
error[R3-3001]: a pointer that may be NULL is dereferenced
  --> ./errors/unchecked_lookup.bpf.c:23:2 in unchecked_lookup()
   |
20 |     struct message *message = bpf_map_lookup_elem(&messages, &uid);
   |                               ------------------- 6: bpf_map_lookup_elem returns a pointer into a value of the map 'messages' (12 bytes), or NULL
23 |     bpf_printk(\"%c\", message->text[0]);
   |     ^^^^^^^^^^ 7: r3 = *(u8 *)(r0 +0)
   |                r0 is a pointer into a value of the map 'messages' (12 bytes), or NULL
   |
   = reason: 'message' (r0) is NULL if bpf_map_lookup_elem found nothing, and no comparison on this path has
             ruled that out.
   = help: Check it in front of this line: `if (!message) return 0;` (or whatever suits), so that only the
           path with a valid pointer goes on.
   = kernel: R0 invalid mem access 'map_value_or_null' (EACCES)
   = more: ring3 explain R3-3001

";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn causes_are_found_for_the_examples() {
    for (file, code, cause) in [
        ("map_value_off_by_one", "R3-3006", "'at' is a number from 0 to 12"),
        ("packet_unchecked", "R3-3008", "Nothing on this path compares a packet pointer with data_end."),
        ("socket_leak", "R3-5001", "Call bpf_sk_release() on this path"),
        ("socket_unchecked", "R3-4019", "is NULL if bpf_sk_lookup_tcp found nothing"),
        ("no_return_value", "R3-2001", "The function ends without a return value"),
        ("infinite_loop", "R3-6001", "which the loop does not change"),
        ("xdp_skb_helper", "R3-4002", "Programs of the type xdp cannot call bpf_skb_load_bytes."),
    ] {
        let ran = ring3(["verify", "-o", "text", &format!("errors/{file}.bpf.o")]);
        let text: Vec<&str> = ran.stdout.split_whitespace().collect();
        assert!(ran.stdout.contains(&format!("error[{code}]")), "{}", ran.stdout);
        assert!(text.join(" ").contains(cause), "{cause}: {}", ran.stdout);
    }
}

#[test]
fn sarif_has_what_code_scanning_asks_for() {
    let log = json("verify -o sarif drop_icmp.bpf.o errors/unchecked_lookup.bpf.o errors/socket_leak.bpf.o");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "ring3");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let rules = &run["tool"]["driver"]["rules"];
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!rules[index]["shortDescription"]["text"].as_str().unwrap().is_empty());
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.starts_with("errors/") && uri.ends_with(".bpf.c"), "{uri}");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
        assert!(result["codeFlows"][0]["threadFlows"][0]["locations"].as_array().unwrap().len() >= 2);
    }
    let log = json("verify -o sarif errors/bad_section.bpf.o");
    assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], false);
}

#[test]
fn every_code_is_explained() {
    let ran = words("explain -o json");
    let rows: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() > 70);
    for row in &rows {
        assert!(row["why"].as_str().unwrap().ends_with('.') || row["why"].as_str().unwrap().ends_with(')'), "{row}");
        assert!(row["fix"].as_str().unwrap().len() > 5, "{row}");
        let code = row["code"].as_str().unwrap();
        assert!(words(&format!("explain {code}")).stdout.starts_with(code));
    }
    assert_eq!(words("explain R3-1").code, Some(2));
}

/// Examples of `ring3 explain` are what they say. Where there is no clang, that is said and no more.
#[test]
fn examples_are_rejected_and_accepted() {
    let clang = ["clang", "clang-19"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(clang) = clang else { return println!("skipped: no clang") };
    if !std::path::Path::new("/usr/include/bpf/bpf_helpers.h").exists() {
        return println!("skipped: no <bpf/bpf_helpers.h>");
    }
    let rows = words("explain -o json").stdout;
    for row in rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let code = row["code"].as_str().unwrap();
        if row["example"]["language"] != "c" {
            continue;
        }
        for (kind, expected) in [("wrong", code), ("right", "")] {
            let Some(text) = row["example"][kind].as_str() else { continue };
            let head =
                "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar LICENSE[] SEC(\"license\") = \"GPL\";\n";
            let source = scratch(&format!("{code}-{kind}.bpf.c"), format!("{head}{text}\n").as_bytes());
            let object = source.with_extension("o");
            let include = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
            let status = Command::new(clang)
                .args(["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-isystem", &include, "-c"])
                .arg(&source)
                .arg("-o")
                .arg(&object)
                .status();
            assert!(status.unwrap().success(), "{code} {kind}: does not compile");
            let ran = ring3(["verify".as_ref(), "-o".as_ref(), "json".as_ref(), object.as_os_str()]);
            let said: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
            assert_eq!(said["code"].as_str().unwrap_or(""), expected, "{kind}: {said}");
        }
    }
}

#[test]
fn releases_are_judged_by_what_they_have() {
    let ran = words("verify --kernel 5.10 -o json loop.bpf.o --program loop_sum");
    let row: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!((ran.code, &row["code"], &row["since"]), (Some(1), &"R3-8001".into(), &"5.17".into()));
    assert!(row["notes"][0].as_str().unwrap().contains("judged by the exploration of Linux 6.18"), "{row}");
    let row = json("verify --kernel all -o json loop.bpf.o --program loop_sum");
    assert_eq!((&row["releases"]["5.16"], &row["releases"]["5.17"]), (&"reject".into(), &"accept".into()));
    let table = words("verify --kernel all loop.bpf.o drop_icmp.bpf.o").stdout;
    assert!(table.contains("loop_sum    no    no    no    yes   yes   yes   yes   yes\n"), "{table}");
    assert!(table.contains("    since 5.17  bpf_loop() in xdp programs (loop.bpf.c:40)\n"), "{table}");
}

#[test]
fn what_cannot_be_judged_is_no_verdict_of_a_release() {
    // Pointers to structures of the kernel take its types, and not every machine has them.
    let ran = words("verify --kernel all errors/skb_cast.bpf.o");
    let row = json("verify --kernel all -o json errors/skb_cast.bpf.o");
    let unknown = row["releases"]["6.18"] == "unknown";
    assert_eq!(unknown, ran.stdout.contains("  ?     ?     ?"), "{}", ran.stdout);
    assert!(unknown, "{}", ran.stdout);
}

#[test]
fn a_profile_names_lines_and_draws_them() {
    let svg = scratch("profile.svg", b"");
    let ran = ring3(["verify".to_owned(), format!("--profile={}", svg.display()), "loop.bpf.o".to_owned()]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("loop.bpf.c:"), "{}", ran.stdout);
    let drawn = std::fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains("<svg") && drawn.contains("each_hash"), "no flame graph");
}
