//! Against the running kernel; skipped, with a line that says why, where bpf(2) cannot be used.

mod common;

use common::{kernel, object, program};
use ring3_linux::{Errno, Error, LoadOptions, LogLevel, Map, TestRun, UpdateFlag, load, load_with};
use ring3_object::Options;
use ring3_platform::{MapDef, MapType, ProgType, Program};

#[test]
fn maps_keep_what_is_put_into_them() {
    if !kernel("maps") {
        return;
    }
    let map = Map::create(&MapDef::new("numbers", MapType::Hash, 4, 8, 2)).unwrap();
    let (one, two, three) = ([1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]);
    assert_eq!((map.kind(), map.key_size(), map.value_size()), (Some(MapType::Hash), 4, 8));
    assert_eq!(map.lookup(&one).unwrap(), None);
    map.update(&one, &[7; 8], UpdateFlag::NoExist).unwrap();
    assert_eq!(map.update(&one, &[8; 8], UpdateFlag::NoExist).unwrap_err().errno(), Some(Errno::EEXIST));
    assert_eq!(map.update(&two, &[8; 8], UpdateFlag::Exist).unwrap_err().errno(), Some(Errno::ENOENT));
    map.update(&two, &[9; 8], UpdateFlag::Any).unwrap();
    let full = map.update(&three, &[1; 8], UpdateFlag::Any).unwrap_err();
    assert_eq!(full.errno(), Some(Errno::E2BIG));
    assert!(full.to_string().starts_with("map 'numbers': BPF_MAP_UPDATE_ELEM: E2BIG (7): "), "{full}");
    assert_eq!(map.lookup(&one).unwrap(), Some(vec![7; 8]));
    let mut keys = map.keys(10).unwrap();
    keys.sort();
    assert_eq!(keys, [one, two]);
    assert!(map.delete(&one).unwrap());
    assert!(!map.delete(&one).unwrap());
    assert_eq!(map.take(&two).unwrap(), Some(vec![9; 8]));
    assert_eq!(map.next_key(None).unwrap(), None);
}

#[test]
fn buffers_of_other_sizes_do_not_reach_the_kernel() {
    if !kernel("sizes") {
        return;
    }
    let map = Map::create(&MapDef::new("sizes", MapType::Hash, 4, 8, 2)).unwrap();
    let size = |what, expected, found| Err(Error::Size { what, expected, found });
    assert_eq!(map.lookup(&[0; 3]).map(|_| ()), size("key", 4, 3));
    assert_eq!(map.update(&[0; 4], &[0; 9], UpdateFlag::Any), size("value", 8, 9));
    assert_eq!(map.lookup_into(&[0; 4], &mut [0; 4]).map(|_| ()), size("value", 8, 4));
    assert_eq!(map.delete(&[]).map(|_| ()), size("key", 4, 0));
}

#[test]
fn values_by_cpu_and_queues() {
    if !kernel("values by CPU") {
        return;
    }
    let cpus = ring3_linux::possible_cpus().unwrap();
    let map = Map::create(&MapDef::new("percpu", MapType::PercpuArray, 4, 4, 1)).unwrap();
    assert_eq!(map.value_size(), 8 * cpus);
    let value: Vec<u8> = (0..cpus).flat_map(|cpu| [cpu as u8, 1, 2, 3, 0, 0, 0, 0]).collect();
    map.update(&[0; 4], &value, UpdateFlag::Any).unwrap();
    assert_eq!(map.lookup(&[0; 4]).unwrap(), Some(value));
    let queue = Map::create(&MapDef::new("queue", MapType::Queue, 0, 4, 2)).unwrap();
    queue.update(&[], &[1; 4], UpdateFlag::Any).unwrap();
    queue.update(&[], &[2; 4], UpdateFlag::Any).unwrap();
    assert_eq!(queue.lookup(&[]).unwrap(), Some(vec![1; 4]));
    assert_eq!(queue.take(&[]).unwrap(), Some(vec![1; 4]));
    assert_eq!(queue.take(&[]).unwrap(), Some(vec![2; 4]));
    assert_eq!(queue.take(&[]).unwrap(), None);
}

#[test]
fn a_program_runs() {
    if !kernel("run") {
        return;
    }
    let program = program(ProgType::SocketFilter, "r0 = *(u32 *)(r1 +0)\nr0 += 7\nexit");
    let loaded = load(&program, &LoadOptions::default()).unwrap();
    // The length of a socket filter's packet does not count the Ethernet header.
    let run = TestRun { data: Some(&[0; 64]), repeat: 3, ..TestRun::default() };
    let output = loaded.prog.test_run(&run).unwrap();
    assert_eq!((output.retval, output.data.len()), (50 + 7, 64));
    let short = loaded.prog.test_run(&TestRun { data: Some(&[0; 13]), ..TestRun::default() }).unwrap_err();
    assert_eq!(short, Error::Run { program: "test".to_owned(), errno: Errno::EINVAL });
}

#[test]
fn packets_and_contexts_come_back() {
    if !kernel("contexts") {
        return;
    }
    let text = "r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +4)\nr4 = r2\nr4 += 1\nif r4 > r3 goto +1\n*(u8 *)(r2 +0) = 171\nr0 = 2\nexit";
    let xdp = load(&program(ProgType::Xdp, text), &LoadOptions::default()).unwrap();
    let output = xdp.prog.test_run(&TestRun { data: Some(&[1; 20]), ..TestRun::default() }).unwrap();
    assert_eq!((output.retval, output.data.len(), output.data[0], output.data[1]), (2, 20, 171, 1));
    let text = "*(u32 *)(r1 +48) = 5\nr0 = 0\nexit";
    let tc = load(&program(ProgType::SchedCls, text), &LoadOptions::default()).unwrap();
    let run = TestRun { data: Some(&[1; 20]), wants_ctx: true, ..TestRun::default() };
    let ctx = tc.prog.test_run(&run).unwrap().ctx.unwrap();
    assert_eq!(ctx[48..52], 5u32.to_ne_bytes());
}

#[test]
fn refusals_keep_error_number_and_log() {
    if !kernel("refusals") {
        return;
    }
    let bad = program(ProgType::SocketFilter, "r0 = *(u64 *)(r10 -8)\nr0 = r3\nexit");
    let error = load(&bad, &LoadOptions::default()).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EACCES));
    let log = error.log().unwrap();
    assert!(log.is_whole && log.text.contains("R3 !read_ok\n"), "{log}");
    // Refused before the verifier: no log.
    let empty = Program { code: ring3_isa::Code::decode(Vec::new()), ..bad };
    let error = load(&empty, &LoadOptions::default()).unwrap_err();
    assert_eq!((error.errno(), error.log().unwrap().text.as_str()), (Some(Errno::E2BIG), ""));
}

#[test]
fn long_logs_are_whole() {
    if !kernel("long logs") {
        return;
    }
    let text = "r0 = 0\n".repeat(20_000);
    let good = program(ProgType::SocketFilter, &format!("{text}exit"));
    let options = LoadOptions { log: LogLevel::ALL.or(LogLevel::STATS), ..LoadOptions::default() };
    let log = load(&good, &options).unwrap().log;
    assert!(log.is_whole && log.text.len() > 400_000, "{}", log.text.len());
    assert!(log.text.contains("\n20000: (95) exit\n") && log.text.contains("processed 20001 insns"));
    let bad = program(ProgType::SocketFilter, &format!("{text}r0 = r5\nexit"));
    let error = load(&bad, &options).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EACCES));
    assert!(error.log().unwrap().text.contains("R5 !read_ok"));
}

#[test]
fn examples_load_with_maps_types_functions_and_lines() {
    if !kernel("examples") {
        return;
    }
    let mut loaded = 0;
    for name in [
        "drop_icmp",
        "flows",
        "hello",
        "hello_func",
        "lb",
        "loop",
        "maps",
        "openat",
        "ping",
        "socket_filter",
        "subprogs",
    ] {
        let object = object(name);
        for entry in object.programs() {
            let program = object.program(&entry.name, &Options::default()).unwrap();
            let options = LoadOptions { log: LogLevel::STATS, ..LoadOptions::default() };
            let result = load(&program, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(result.types.is_some() && result.log.text.contains("processed"), "{name}");
            assert_eq!(result.maps.len(), program.maps.len());
            loaded += 1;
        }
    }
    assert!(loaded >= 11);
}

#[test]
fn maps_that_are_there_serve_a_program() {
    if !kernel("given maps") {
        return;
    }
    let object = object("hello");
    let program = object.program(&object.programs()[0].name, &Options::default()).unwrap();
    let maps: Vec<Map> = program.maps.iter().map(|def| Map::create(def).unwrap()).collect();
    let refs: Vec<&Map> = maps.iter().collect();
    load_with(&program, &refs, &LoadOptions::default()).unwrap();
    let error = load_with(&program, &[], &LoadOptions { without_info: true, ..LoadOptions::default() });
    match error {
        Err(Error::Maps { expected, found: 0, .. }) => assert_eq!(expected, maps.len()),
        Ok(_) if maps.is_empty() => {}
        other => panic!("{other:?}"),
    }
}
