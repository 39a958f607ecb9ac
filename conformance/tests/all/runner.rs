//! The command `ring3-conformance`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A directory with cases, gone at the end of the test.
struct Cases(PathBuf);

impl Cases {
    fn new(test: &str, cases: &[(&str, &str)]) -> Cases {
        let path = std::env::temp_dir().join(format!("ring3-conformance-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (name, text) in cases {
            std::fs::write(path.join(name), text).unwrap();
        }
        Cases(path)
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const GOOD: &str = "# Seven.\n-- asm\nmov %r0, 7\nexit\n-- result\n7\n";
const BAD: &str = "# RFC 9669, section 0: wrong.\n-- asm\nmov %r0, 7\nexit\n-- result\n8\n";
const DIVIDES: &str =
    "# By zero.\n-- asm\nr0 = 7\nr0 /= 0\nexit\n-- unverified a division by zero\nEINVAL div by zero\n-- result\n0\n";
const LONG: &str = "# gotol.\n-- asm\nr0 = 7\ngotol pc+0\nexit\n-- result\n7\n";
const ENDLESS: &str = "# For ever.\n-- asm\nr0 = 0\ngoto pc-1\nexit\n-- result\n0\n";

fn run(args: &[&str], paths: &[&Path]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ring3-conformance")).args(args).args(paths).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn good_cases_pass() {
    let cases = Cases::new("good", &[("a.data", GOOD), ("b.data", DIVIDES), ("c.txt", "not a case")]);
    let (code, out, err) = run(&["-e", "checked", "-e", "interp"], &[&cases.0]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("checked: 2 passed, 0 failed, 0 skipped"), "{out}");
    assert!(out.contains("interp: 1 passed, 0 failed, 1 skipped"), "{out}");
    assert!(out.contains("SKIP 1 on interp: a division by zero\n  b\n"), "{out}");
    assert!(out.contains("  mov64 imm                                2     1/0/1\n"), "{out}");
}

#[test]
fn failures_come_first_with_what_was_expected() {
    let cases = Cases::new("bad", &[("a.data", GOOD), ("b.data", BAD)]);
    let (code, out, _) = run(&["-e", "checked", "--debug"], &[&cases.0]);
    assert_eq!(code, Some(1));
    let head = format!(
        "FAIL {} on checked\n  expected 0x8\n  got      0x7\n  RFC 9669, section 0: wrong.\n",
        cases.0.join("b.data").display()
    );
    assert!(out.starts_with(&head), "{out}");
    assert!(out.contains("      0: r0 = 7\n      1: exit\n"), "{out}");
}

#[test]
fn a_case_that_does_not_end_fails() {
    let cases = Cases::new("endless", &[("a.data", ENDLESS)]);
    for engine in ["checked", "eval"] {
        let (code, out, _) = run(&["-q", "-e", engine], &[&cases.0]);
        assert_eq!(code, Some(1), "{out}");
    }
}

#[test]
fn a_case_that_must_be_refused_and_is_not_fails() {
    let lies = DIVIDES.replace("r0 /= 0", "r0 *= 0");
    let cases = Cases::new("lies", &[("a.data", &lies)]);
    let (code, out, _) = run(&["-q", "-e", "interp"], &[&cases.0]);
    assert_eq!(code, Some(1));
    assert!(out.contains("expected refused: EINVAL div by zero\n  got      0x0\n"), "{out}");
}

#[test]
fn bad_input_is_exit_code_2() {
    let cases = Cases::new("input", &[("a.data", GOOD), ("b.data", "-- asm\nfoo\n-- result\n1\n")]);
    let (code, out, err) = run(&["-q", "-e", "checked"], &[&cases.0]);
    assert_eq!(code, Some(2));
    assert!(out.contains("checked: 1 passed"), "the others run: {out}");
    assert!(err.contains("b.data:2:1: "), "{err}");

    let empty = Cases::new("empty", &[]);
    for (args, paths) in [
        (&["-e", "nothing"][..], vec![cases.0.as_path()]),
        (&["-g", "nothing"], vec![cases.0.as_path()]),
        (&["--include-regex", "("], vec![cases.0.as_path()]),
        (&["--cpu-version", "v9"], vec![cases.0.as_path()]),
        (&[], vec![Path::new("/nonexistent")]),
        (&[], vec![empty.0.as_path()]),
    ] {
        let (code, out, err) = run(args, &paths);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(!err.is_empty(), "{args:?}");
    }
}

#[test]
fn cases_are_selected_by_group_generation_and_name() {
    let cases = Cases::new("select", &[("a.data", GOOD), ("b.data", DIVIDES), ("c.data", LONG)]);
    let passed = |args: &[&str]| {
        let (code, out, err) = run(&[&["-q", "-e", "checked"], args].concat(), &[&cases.0]);
        assert_eq!(code, Some(0), "{args:?} {err}");
        out.lines().find_map(|line| line.strip_prefix("checked: ")?.split(' ').next()?.parse::<usize>().ok()).unwrap()
    };
    assert_eq!(passed(&[]), 3);
    assert_eq!(passed(&["-g", "divmul64"]), 1);
    assert_eq!(passed(&["--group", "divmul64", "--group", "base64"]), 3);
    assert_eq!(passed(&["--exclude-group", "divmul64"]), 2);
    assert_eq!(passed(&["--cpu-version", "v3"]), 2);
    assert_eq!(passed(&["--cpu_version", "v4"]), 3);
    assert_eq!(passed(&["--include-regex", "^[ab]"]), 2);
    assert_eq!(passed(&["--exclude_regex", "a.data"]), 2);
}

#[test]
fn json_says_everything() {
    let cases = Cases::new("json", &[("a.data", GOOD), ("b.data", BAD), ("c.data", DIVIDES)]);
    let (code, out, _) = run(&["-o", "json", "-e", "interp", "-e", "jit-arm64"], &[&cases.0]);
    assert_eq!(code, Some(1));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["engines"][0]["summary"], serde_json::json!({ "pass": 1, "fail": 1, "skip": 1 }));
    assert_eq!(json["cases"][1]["results"]["interp"]["expected"], "0x8");
    assert_eq!(json["cases"][2]["results"]["interp"]["reason"], "a division by zero");
    assert_eq!(json["matrix"].as_array().unwrap().len(), ring3_isa::kinds().count());
    assert!(json["uncovered"].as_array().unwrap().contains(&"ldxdw".into()));
    let row = json["matrix"].as_array().unwrap().iter().find(|row| row["kind"] == "div64 imm").unwrap();
    assert_eq!((&row["group"], &row["origin"]), (&"divmul64".into(), &"RFC 9669, section 4.1".into()));
    assert_eq!(row["engines"]["interp"]["skip"], 1);
}

#[test]
fn instructions_are_listed_as_the_public_runner_lists_them() {
    let cases = Cases::new("lists", &[("a.data", GOOD)]);
    let (code, out, _) = run(&["-q", "-e", "checked", "--list_used_instructions", "true"], &[&cases.0]);
    assert_eq!(code, Some(0));
    assert!(out.ends_with("Instructions used by tests:\nmov64 imm\nexit\n"), "{out}");
    let (_, out, _) = run(&["-q", "-e", "checked", "--list-unused-instructions"], &[&cases.0]);
    assert!(out.contains("Instructions not used by tests:\nadd32 reg\n"), "{out}");
    let (code, out, _) = run(&["--uncovered"], &[&cases.0]);
    assert_eq!(code, Some(1), "some are left");
    assert!(out.contains("1 cases leave") && !out.contains("passed"), "{out}");
}

/// As a script for the public runner calls it.
#[test]
fn options_of_the_public_runner() {
    let cases = Cases::new("public", &[("a.data", GOOD)]);
    let plugin = env!("CARGO_BIN_EXE_ring3-plugin");
    let directory = cases.0.to_str().unwrap();
    let args = [
        "--test_file_directory",
        directory,
        "--plugin_path",
        plugin,
        "--plugin_options",
        "--interpret",
        "--cpu_version",
        "v3",
    ];
    let (code, out, err) = run(&args, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("--interpret: 1 passed, 0 failed, 0 skipped"), "{out}");
}
