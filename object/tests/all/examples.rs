//! The committed objects, those of `examples/bpf` and those here: all of them link, and damaged copies never panic.

use std::path::Path;

use ring3_object::{Object, ObjectError, Options};
use ring3_platform::ProgType;

/// Name and bytes of every object in these folders.
fn objects(folders: &[&str]) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.filter(|p| p.extension().is_some_and(|e| e == "o")) {
            found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn every_example_links() {
    for (name, bytes) in objects(&["../examples/bpf", "../examples/bpf/errors"]) {
        let object = Object::parse(&name, &bytes).unwrap();
        assert!(!object.programs().is_empty(), "{name}");
        for entry in object.programs() {
            let asked = object.program(&entry.name, &Options::default());
            if entry.matched.is_none() {
                assert!(matches!(asked, Err(ObjectError::UnknownType { .. })), "{name}");
            }
            let options =
                Options { kind: entry.matched.map_or(Some(ProgType::Xdp), |m| Some(m.kind)), ..Options::default() };
            let program = object.program(&entry.name, &options).unwrap();
            let info = program.info.as_ref().unwrap();
            assert_eq!(info.funcs[0].slot, 0);
            assert_eq!(&*info.funcs[0].name, entry.name);
            assert_eq!(info.lines[0].slot, 0);
        }
    }
}

/// Does all that can be done with these bytes.
fn exercise(bytes: &[u8]) {
    let Ok(mut object) = Object::parse("damaged.bpf.o", bytes) else { return };
    for entry in object.programs().to_vec() {
        let _ = object.program(&entry.name, &Options { kind: Some(ProgType::Xdp), ..Options::default() });
    }
    for global in object.globals() {
        let _ = object.set_global_text(&global.name, "1");
        let _ = object.global(&global.name);
    }
}

#[test]
fn truncated_objects_are_errors_and_never_a_panic() {
    for (name, bytes) in objects(&["tests/data"]) {
        for len in (0..bytes.len()).step_by(if bytes.len() > 4096 { 3 } else { 1 }) {
            exercise(&bytes[..len]);
        }
        // The section headers stand at the end, so that anything missing is noticed.
        assert!(Object::parse(&name, &bytes[..bytes.len() - 1]).is_err(), "{name}");
    }
}

#[test]
fn changed_bytes_are_never_a_panic() {
    for (_, bytes) in objects(&["tests/data"]) {
        // Of large ones every third.
        for at in (0..bytes.len()).step_by(if bytes.len() > 4096 { 3 } else { 1 }) {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                exercise(&bytes);
            }
        }
    }
}
