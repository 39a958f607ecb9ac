//! A limit of descriptors: it concerns the whole process, so this test has one of its own.

mod common;

use std::collections::BTreeSet;

use common::{kernel, loaded, object};
use ring3_linux::{Errno, ObjectOptions, load_object};

/// Numbers of open descriptors, without the one that is needed to look.
fn numbers() -> BTreeSet<u64> {
    let folder = std::fs::read_dir("/proc/self/fd").unwrap();
    let names: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    let open = names.iter().filter(|path| std::fs::read_link(path).is_ok());
    open.map(|path| path.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

fn open() -> usize {
    numbers().len()
}

/// The limit below which so many numbers are free.
fn limit_with(spare: usize) -> u64 {
    let used = numbers();
    (0..).filter(|number| !used.contains(number)).nth(spare).unwrap()
}

#[test]
fn everything_is_closed_when_descriptors_run_out() {
    if !kernel("limit of descriptors") {
        return;
    }
    let object = object("lb");
    let needed = {
        let before = open();
        let loaded = load_object(&object, &ObjectOptions::default()).unwrap();
        let needed = open() - before;
        assert!(needed > loaded.maps.len());
        needed
    };
    let before = open();
    let (old, mut errors) = (limit(None), 0);
    for spare in 0..needed + 2 {
        limit(Some(limit_with(spare)));
        let result = load_object(&object, &ObjectOptions::default());
        limit(Some(old));
        match result {
            Ok(loaded) => {
                drop(loaded);
                assert!(spare >= needed, "{spare}");
            }
            Err(error) => {
                errors += 1;
                assert_eq!(error.errno(), Some(Errno::EMFILE), "{error}");
            }
        }
        assert_eq!(open(), before);
    }
    assert!(errors >= needed);
    loaded(&common::program(ring3_platform::ProgType::Xdp, "r0 = 2\nexit"));
}

/// Sets the limit if one is given; gives the one that is.
fn limit(to: Option<u64>) -> u64 {
    // SAFETY: the struct is whole, and outlives the calls.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        if let Some(to) = to {
            limit.rlim_cur = to;
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        }
        limit.rlim_cur
    }
}
