//! Damaged and hostile files: an error that names the place, exit status 2, no panic.

use crate::common::{Ran, example, ring3, scratch, words};

/// Exit status 2, and one line that says what and where.
fn is_input_error(ran: &Ran, place: &str) {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.starts_with("ring3: "), "{ran:?}");
    assert!(ran.stderr.contains(place), "no '{place}': {ran:?}");
}

/// Any of the exit statuses that are promised; a panic has 101, a signal none.
fn is_orderly(ran: &Ran, what: &str) {
    assert!(matches!(ran.code, Some(0..=2)), "{what}: {ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{what}: {ran:?}");
}

#[test]
fn objects_that_are_cut_off() {
    let whole = std::fs::read(example("bpf/flows.bpf.o")).unwrap();
    let lengths = (0..80).chain((80..whole.len()).step_by(whole.len() / 60)).chain([whole.len() - 1]);
    for length in lengths {
        let path = scratch("cut.bpf.o", &whole[..length]);
        let path = path.to_str().unwrap();
        is_input_error(&ring3(["verify", path]), "cut.bpf.o: ");
        is_input_error(&ring3(["verify", path]), "offset 0x");
    }
}

#[test]
fn objects_with_damaged_bytes() {
    let whole = std::fs::read(example("bpf/tail.bpf.o")).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 120) {
        for byte in [0x00, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let path = scratch("damaged.bpf.o", &bytes);
            let path = path.to_str().unwrap();
            is_orderly(&ring3(["verify", "-o", "json", path]), &format!("byte {at:#x} = {byte:#x}"));
        }
    }
}

#[test]
fn counts_that_are_absurd() {
    let whole = std::fs::read(example("bpf/flows.bpf.o")).unwrap();
    // e_shoff, e_shnum, e_shstrndx of the ELF header.
    for (at, size) in [(0x28, 8), (0x3c, 2), (0x3e, 2)] {
        let mut bytes = whole.clone();
        bytes[at..at + size].fill(0xff);
        let path = scratch("absurd.bpf.o", &bytes);
        is_input_error(&ring3(["verify", path.to_str().unwrap()]), "absurd.bpf.o: ");
    }
}

#[test]
fn types_that_are_garbage() {
    let whole = std::fs::read(example("bpf/flows.bpf.o")).unwrap();
    // The header of .BTF is found by its magic number, version 1, flags 0 and header length 24.
    let header = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
    let start = whole.windows(header.len()).position(|window| window == header).unwrap();
    // Lengths of types and strings.
    for at in [12, 20] {
        let mut bytes = whole.clone();
        bytes[start + at..start + at + 4].fill(0xff);
        let path = scratch("garbage.bpf.o", &bytes);
        is_input_error(&ring3(["dump", "btf", path.to_str().unwrap()]), "garbage.bpf.o: section '.BTF', offset 0x");
    }
    // Each word of the types.
    for at in (24..400).step_by(4) {
        let mut bytes = whole.clone();
        bytes[start + at..start + at + 4].fill(0xff);
        let path = scratch("garbage2.bpf.o", &bytes);
        is_orderly(&ring3(["dump", "btf", path.to_str().unwrap()]), &format!("word {at}"));
    }
    let raw = scratch("raw.btf", &[0x9f, 0xeb, 1, 0, 0xff, 0xff, 0xff, 0xff]);
    is_input_error(&ring3(["dump", "btf", raw.to_str().unwrap()]), "raw.btf: ");
}

#[test]
fn files_that_are_no_objects() {
    is_input_error(&words("verify nothing.bpf.o"), "nothing.bpf.o: No such file");
    is_input_error(&words("verify Makefile"), "Makefile: offset 0x0: ");
    is_input_error(&words("verify ."), ".: ");
    let empty = scratch("empty.bpf.o", b"");
    is_input_error(&ring3(["verify", empty.to_str().unwrap()]), "empty.bpf.o: offset 0x0: ");
    is_input_error(&words("verify --btf Makefile drop_icmp.bpf.o"), "Makefile: bad BTF magic");
}

#[test]
fn one_bad_file_does_not_hide_the_others() {
    let ran = words("verify -o json nothing.bpf.o drop_icmp.bpf.o");
    is_input_error(&ran, "nothing.bpf.o: ");
    assert!(ran.stdout.contains("\"program\":\"drop_icmp\""), "{ran:?}");
}

#[test]
fn objects_of_the_other_byte_order() {
    let ran = words("verify -o csv variants/drop_icmp.eb.bpf.o");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains(",error,-22,"), "{ran:?}");
    assert!(ran.stdout.contains("big-endian"), "{ran:?}");
}

#[test]
fn what_is_no_object_is_said_with_what_to_do() {
    let text = scratch("notes.txt", b"not an object\n");
    let empty = scratch("empty.o", b"");
    let folder = empty.parent().unwrap();
    for (path, words) in [
        (text.as_path(), &["offset 0x0", "does not begin as ELF", "clang -target bpf"][..]),
        (&empty, &["offset 0x0", "the file is empty", "clang -target bpf"]),
        (folder, &["directory", "name the objects in it"]),
        (std::path::Path::new("nothing"), &["No such file", "or - for standard input"]),
        (std::path::Path::new("/proc/self/exe"), &["offset 0x10", "an executable", "clang -target bpf"]),
    ] {
        let ran = ring3(["verify".as_ref(), path.as_os_str()]);
        words.iter().for_each(|words| is_input_error(&ran, words));
    }
    is_input_error(
        &ring3(["verify", "loop.bpf.o", "--program", "sum"]),
        "there is no program 'sum'; there is loop_sum, each_array",
    );
}
