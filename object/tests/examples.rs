//! The committed example objects: what is in them, and what damaged copies of them give.

use std::path::Path;

use ring3_object::{Object, Options};

/// Name and bytes of every object in `examples/bpf` and in `data`.
fn objects() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["../examples/bpf", "../examples/bpf/errors", "tests/data"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "o")) {
            found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn every_example_links() {
    for (name, bytes) in objects() {
        let object = Object::parse(&name, &bytes).unwrap();
        assert!(!object.programs().is_empty(), "{name}");
        for entry in object.programs() {
            let program = object.program(&entry.name, &Options::default()).unwrap();
            assert!(program.code.insns().iter().all(Result::is_ok), "{name}");
            let info = program.info.as_ref().unwrap();
            assert_eq!(info.funcs[0].slot, 0);
            assert_eq!(&*info.funcs[0].name, entry.name);
            assert_eq!(info.lines[0].slot, 0);
        }
    }
}
