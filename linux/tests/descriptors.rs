//! A limit of descriptors: it concerns the whole process, so this test has one of its own.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use common::{kernel, loaded, object};
use ring3_linux::{Errno, Error, Link, LoadOptions, LogLevel, ObjectOptions, TestRun, XdpMode, load_object};
use ring3_platform::{MapDef, MapFlags, MapType, ProgType};

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
    refusals_close_everything();
    loaded(&common::program(ProgType::Xdp, "r0 = 2\nexit"));
}

/// Whatever is refused, and wherever on the way, what was made before is closed.
fn refusals_close_everything() {
    let before = open();
    let map = |flags| Arc::new(MapDef { flags: MapFlags(flags), ..MapDef::new("map", MapType::Hash, 4, 4, 1) });
    let refused = |maps, text: &str, options: &LoadOptions| {
        let mut program = common::program(ProgType::SocketFilter, text);
        program.maps = maps;
        let error = ring3_linux::load(&program, options).unwrap_err();
        assert_eq!(open(), before, "{error}");
        error
    };
    let (good, plain) = ("r1 = map[fd:0]\nr0 = 0\nexit", LoadOptions::default());
    // By the verifier; the second map; a flag; a log that does not fit at first.
    assert!(refused(vec![map(0)], "r1 = map[fd:0]\nexit", &plain).log().unwrap().text.contains("R0 !read_ok"));
    assert!(matches!(refused(vec![map(0), map(1 << 31)], good, &plain), Error::Map { .. }));
    assert_eq!(refused(vec![map(0)], good, &LoadOptions { flags: 1 << 31, ..plain }).errno(), Some(Errno::EINVAL));
    let long = format!("r1 = map[fd:0]\n{}r0 = r5\nexit", "r0 = 0\n".repeat(5_000));
    let all = LoadOptions { log: LogLevel::ALL, ..plain };
    let log = refused(vec![map(0)], &long, &all).log().unwrap().clone();
    assert!(log.is_whole && log.text.len() > 64 << 10 && log.text.contains("R5 !read_ok"));
    // A link that cannot be made, a pin outside of a BPF file system, a run that the kernel refuses.
    let xdp = loaded(&common::program(ProgType::Xdp, "r0 = 2\nexit"));
    let with_program = open();
    assert!(Link::xdp(&xdp.prog, 4_000_000, XdpMode::Any).is_err());
    assert!(Link::raw_tracepoint(&xdp.prog, "nothing").is_err());
    assert!(xdp.prog.pin(Path::new("/proc/self/nothing")).is_err());
    assert!(xdp.prog.test_run(&TestRun::default()).is_err());
    assert_eq!(open(), with_program);
    drop(xdp);
    assert_eq!(open(), before);
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
