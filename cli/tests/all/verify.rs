//! The contract of `ring3 verify`.

use crate::common::{ring3, words};
use serde_json::Value;

const FIELDS: [&str; 13] = [
    "file",
    "program",
    "section",
    "type",
    "verdict",
    "errno",
    "processed",
    "states",
    "peak_states",
    "peak_mem",
    "duration_us",
    "code",
    "message",
];

fn json(line: &str) -> (Option<i32>, Vec<Value>) {
    let ran = words(line);
    let rows = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    (ran.code, rows.collect())
}

#[test]
fn json_has_exactly_the_fields() {
    let (code, rows) = json("verify -o json drop_icmp.bpf.o");
    assert_eq!((code, rows.len()), (Some(0), 1));
    let names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    assert_eq!(names, FIELDS);
    assert_eq!(rows[0]["file"], "drop_icmp.bpf.o");
    assert_eq!(rows[0]["program"], "drop_icmp");
    assert_eq!(rows[0]["section"], "xdp");
    assert_eq!(rows[0]["type"], "xdp");
    assert_eq!(rows[0]["verdict"], "accept");
    assert_eq!(rows[0]["errno"], 0);
    assert_eq!(rows[0]["processed"], 30);
    assert_eq!(rows[0]["message"], "");
    assert!(rows[0]["duration_us"].is_u64());
}

#[test]
fn a_rejection_has_errno_message_and_log() {
    let (code, rows) = json("verify -o json --log-level 1 errors/data_end_moved.bpf.o");
    assert_eq!((code, rows.len()), (Some(1), 1));
    assert_eq!(rows[0]["verdict"], "reject");
    assert_eq!(rows[0]["errno"], -13);
    assert_eq!(rows[0]["code"], "R3-2009");
    assert_eq!(rows[0]["message"], "R1 pointer arithmetic on pkt_end prohibited");
    let log = rows[0]["log"].as_str().unwrap();
    assert!(log.contains("\nR1 pointer arithmetic on pkt_end prohibited\nprocessed 3 insns (limit 1000000)"), "{log}");
    assert!(log.contains("; end++; @ data_end_moved.bpf.c:11\n"), "{log}");
}

#[test]
fn a_row_for_each_program_of_each_file() {
    let (code, rows) = json("verify -o json tail.bpf.o subprogs.bpf.o errors/instructions.bpf.o");
    assert_eq!(code, Some(1));
    let programs: Vec<&str> = rows.iter().filter_map(|row| row["program"].as_str()).collect();
    assert_eq!(programs[..7], ["count_icmp", "count_tcp", "count_udp", "forever", "dispatch", "subprogs", "nested"]);
    let (code, rows) = json("verify -o json tail.bpf.o --program dispatch");
    assert_eq!((code, rows.len()), (Some(0), 1));
    let (code, rows) = json("verify -o json tail.bpf.o --program none");
    assert_eq!((code, rows.len()), (Some(2), 0));
}

#[test]
fn what_does_not_reach_the_verifier_is_an_error() {
    let (code, rows) = json("verify -o json errors/bad_section.bpf.o");
    assert_eq!(code, Some(2));
    assert_eq!((&rows[0]["verdict"], &rows[0]["errno"]), (&Value::from("error"), &Value::from(-22)));
    assert!(rows[0]["message"].as_str().unwrap().contains("section 'liz', offset 0x0: "), "{}", rows[0]);
    assert!(rows[0]["message"].as_str().unwrap().contains("--type"), "{}", rows[0]);
    let (code, rows) = json("verify -o json errors/bad_section.bpf.o --type xdp");
    assert_eq!((code, &rows[0]["type"]), (Some(0), &Value::from("xdp")));
}

#[test]
fn csv_has_a_heading_and_as_many_fields() {
    let ran = words("verify -o csv drop_icmp.bpf.o errors/unchecked_lookup.bpf.o");
    assert_eq!(ran.code, Some(1));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], FIELDS.join(","));
    assert!(lines[1].starts_with("drop_icmp.bpf.o,drop_icmp,xdp,xdp,accept,0,30,2,2,"), "{}", lines[1]);
    assert!(lines[2].ends_with(",R0 invalid mem access 'map_value_or_null'"), "{}", lines[2]);
    assert_eq!(lines.len(), 3);
}

#[test]
fn the_table_fits_a_terminal_and_has_no_colour_in_a_pipe() {
    let ran = words("verify drop_icmp.bpf.o subprogs.bpf.o errors/data_end_moved.bpf.o");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\x1b'));
    assert!(ran.stdout.contains("\n    R1 pointer arithmetic on pkt_end prohibited\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("\n4 programs: 3 accepted, 1 rejected\n"), "{}", ran.stdout);
}

#[test]
fn the_output_of_the_same_input_is_the_same() {
    let log = |level: &str| ring3(["verify", "-o", "json", "--log-level", level, "flows.bpf.o"]).stdout;
    for level in ["1", "2"] {
        let without_time = |text: String| {
            let mut row: Value = serde_json::from_str(text.trim()).unwrap();
            row["duration_us"] = 0.into();
            row
        };
        assert_eq!(without_time(log(level)), without_time(log(level)));
    }
}

#[test]
fn extensions_are_judged_by_the_program_that_is_named() {
    let of = |name: &str| format!("{}/../parity/tests/extend/{name}.o", env!("CARGO_MANIFEST_DIR"));
    let (old, new) = (of("old"), of("new"));
    let judged = |program: &str, target: &str| {
        let ran = ring3(["verify", "-o", "csv", "--program", program, "--target", target, &new]);
        (ran.code, ran.stdout + &ran.stderr)
    };
    for (program, target, code, words) in [
        ("new_pick", old.clone(), 0, "accept"),
        ("new_pick", format!("{old}:xdp_root"), 0, "accept"),
        ("xdp_length", format!("{old}:root"), 1, "doesn't match length(struct __sk_buff *)"),
        ("new_painted", format!("{old}:root:pick"), 1, "arg0 in new_painted() is ENUM while pick() has INT"),
        ("new_pick", format!("{old}:nothing"), 2, "there is no program 'nothing'; there is root, "),
        ("new_pick", "absent.o".to_owned(), 2, "--target absent.o: "),
    ] {
        let (exit, said) = judged(program, &target);
        assert!(exit == Some(code) && said.contains(words), "{program} {target}: {exit:?} {said}");
    }
    let ran = ring3(["verify", "--program", "new_pick", &new]);
    assert!(ran.code == Some(1) && ran.stdout.contains("without the program that it extends"), "{ran:?}");
    assert!(ran.stdout.contains("; --target OBJ names it"), "{ran:?}");
}
