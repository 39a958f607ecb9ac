//! `ring3 run --pin`: what is pinned by name stays in a folder between runs.

use crate::common::{example, ring3};

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pinned.bpf.o");

/// A folder that is gone when it is dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(folder: &Folder) -> crate::common::Ran {
    let capture = example("captures/ping.pcap");
    ring3([
        "run".as_ref(),
        OBJECT.as_ref(),
        "--pcap".as_ref(),
        capture.as_os_str(),
        "--pin".as_ref(),
        folder.0.as_os_str(),
    ])
}

#[test]
fn counts_go_on_where_the_last_run_ended() {
    let folder = Folder::new("pins-go-on");
    for total in ["1 = 9", "1 = 18"] {
        let ran = run(&folder);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains(total), "{total}: {}", ran.stdout);
    }
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn what_is_no_pin_is_refused_and_stays() {
    let folder = Folder::new("pins-damaged");
    assert_eq!(run(&folder).code, Some(0));
    let pin = std::fs::read_dir(&folder.0).unwrap().next().unwrap().unwrap().path();
    for damaged in [&b"no pin at all"[..], b"", &std::fs::read(&pin).unwrap()[..20]] {
        std::fs::write(&pin, damaged).unwrap();
        let ran = run(&folder);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("packets"), "{}", ran.stderr);
        assert_eq!(std::fs::read(&pin).unwrap(), damaged);
    }
}

#[test]
fn objects_without_pins_say_so() {
    let folder = Folder::new("pins-none");
    let ran =
        ring3(["run", "hello.bpf.o", "--packet", "ffffffffffff02000000000a0806", "--pin", folder.0.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("no map is pinned by name"), "{}", ran.stderr);
}
