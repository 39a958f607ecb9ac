//! `ring3 link`.

use crate::common::ring3;

fn data(name: &str) -> String {
    format!("{}/../object/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn objects_are_linked_and_run() {
    let out = std::env::temp_dir().join(format!("ring3-link-{}.bpf.o", std::process::id()));
    let path = out.to_str().unwrap();
    let ran = ring3(["link", path, &data("join_main.el.bpf.o"), &data("join_lib.el.bpf.o")]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.ends_with(" bytes, 2 programs, 6 maps\n"), "{ran:?}");
    let ran = ring3(["run", path, "--program", "entry", "--packet", &"00".repeat(14)]);
    std::fs::remove_file(&out).unwrap();
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("1 packet: 1 × 2197"), "{ran:?}");
}

#[test]
fn objects_that_do_not_go_together_leave_nothing() {
    let out = std::env::temp_dir().join(format!("ring3-link-bad-{}.bpf.o", std::process::id()));
    let path = out.to_str().unwrap();
    let ran = ring3(["link", path, &data("join_lib.el.bpf.o"), &data("join_twice.el.bpf.o")]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("join_twice.el.bpf.o: strong_wins: the symbol is defined in "), "{ran:?}");
    assert!(!out.exists());
}
