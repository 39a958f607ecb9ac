//! Information, numbers, pins, batches and probing, against the running kernel; skipped where bpf(2) cannot be used.

mod common;

use std::path::PathBuf;

use common::{counter, kernel, loaded, object, program};
use ring3_linux::{
    BtfObject, Errno, Error, Feature, KernelTypes, LoadOptions, Map, MapId, ObjectOptions, Prog, ProgId, RingReader,
    Stats, TestRun, UpdateFlag, btf_ids, has_helper, has_map_type, has_program_type, link_ids, load, load_object,
    map_ids, prog_ids,
};
use ring3_object::{Object, Options};
use ring3_platform::{MapDef, MapFlags, MapType, ProgType, tag};

const RUN: TestRun<'_> =
    TestRun { data: Some(&[0; 64]), ctx: None, wants_ctx: false, repeat: 1, flags: 0, cpu: 0, batch_size: 0 };

#[test]
fn programs_are_described() {
    if !kernel("information") {
        return;
    }
    let object = object("subprogs");
    let program = object.program(&object.programs()[0].name, &Options::default()).unwrap();
    let loaded = loaded(&program);
    let info = loaded.prog.info().unwrap();
    assert_eq!(info.kind, Some(program.kind));
    assert!(program.name.starts_with(&info.name) && !info.name.is_empty());
    assert!(info.gpl_compatible && info.btf.is_some() && info.verified_insns > 0 && info.xlated_len > 0);
    assert!(prog_ids().unwrap().contains(&info.id));
    let again = Prog::by_id(info.id).unwrap();
    assert_eq!((again.kind(), again.info().unwrap().tag), (Some(program.kind), info.tag));
    if std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().starts_with("6.18.") {
        assert_eq!(info.tag, tag(&program, ring3_platform::KernelVersion::V6_18));
    }
    let code = loaded.prog.code().unwrap();
    assert_eq!(code.xlated.len() * 8, info.xlated_len as usize);
    assert_eq!(code.func_info.len(), program.info.as_ref().unwrap().funcs.len());
    assert_eq!(code.jited.len(), code.functions.iter().map(|(_, len)| *len as usize).sum::<usize>());
    assert_eq!(code.jited_lines.len(), code.line_info.len());
    let types = BtfObject::by_id(info.btf.unwrap()).unwrap();
    assert!(btf_ids().unwrap().contains(&types.info().unwrap().id) && !types.info().unwrap().is_kernel);
    assert!(types.read().unwrap().unwrap().types().len() > 1);
    assert!(matches!(Prog::by_id(ProgId(u32::MAX)), Err(error) if error.errno() == Some(Errno::ENOENT)));
}

#[test]
fn maps_are_described() {
    if !kernel("information") {
        return;
    }
    let loaded = loaded(&counter(ProgType::Xdp, 2));
    let info = loaded.maps[0].info().unwrap();
    assert_eq!((info.kind, info.name.as_str(), info.max_entries), (Some(MapType::Array), "count", 1));
    assert_eq!((info.key_size, info.value_size, info.flags), (4, 8, MapFlags(0)));
    assert_eq!(loaded.prog.info().unwrap().maps, [info.id]);
    assert!(map_ids().unwrap().contains(&info.id));
    let same = Map::by_id(info.id).unwrap();
    same.update(&[0; 4], &[5; 8], UpdateFlag::Any).unwrap();
    assert_eq!(loaded.maps[0].lookup(&[0; 4]).unwrap(), Some(vec![5; 8]));
    assert!(matches!(Map::by_id(MapId(u32::MAX)), Err(error) if error.errno() == Some(Errno::ENOENT)));
    link_ids().unwrap();
}

#[test]
fn runs_are_counted_while_statistics_are_on() {
    if !kernel("statistics") {
        return;
    }
    let loaded = loaded(&program(ProgType::SocketFilter, "r0 = 0\nexit"));
    let stats = Stats::enable().unwrap();
    loaded.prog.test_run(&TestRun { repeat: 10, ..RUN }).unwrap();
    drop(stats);
    assert_eq!(loaded.prog.info().unwrap().run_count, 10);
}

#[test]
fn global_data_is_frozen_and_typed() {
    if !kernel("frozen maps") {
        return;
    }
    let def = MapDef {
        flags: MapFlags::RDONLY_PROG,
        data: Some(vec![1; 16].into()),
        frozen: true,
        ..MapDef::new("rodata", MapType::Array, 4, 16, 1)
    };
    let map = Map::create(&def).unwrap();
    assert_eq!(map.lookup(&[0; 4]).unwrap(), Some(vec![1; 16]));
    let error = map.update(&[0; 4], &[2; 16], UpdateFlag::Any).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EPERM));
}

#[test]
fn batches() {
    if !kernel("batches") {
        return;
    }
    let map = Map::create(&MapDef::new("batch", MapType::Hash, 4, 8, 1000)).unwrap();
    let keys: Vec<u8> = (0..500u32).flat_map(u32::to_ne_bytes).collect();
    let values: Vec<u8> = (0..500u64).flat_map(u64::to_ne_bytes).collect();
    map.update_batch(&keys, &values).unwrap();
    assert_eq!(map.keys(1000).unwrap().len(), 500);
    let (mut seen, mut cursor) = (Vec::new(), None);
    for _ in 0..500 {
        let part = map.lookup_batch(cursor.as_ref(), 100).unwrap();
        assert_eq!((part.keys.len(), part.values.len()), (part.count * 4, part.count * 8));
        for (key, value) in part.keys.chunks(4).zip(part.values.chunks(8)) {
            let key = u32::from_ne_bytes(key.try_into().unwrap());
            assert_eq!(u64::from(key), u64::from_ne_bytes(value.try_into().unwrap()));
            seen.push(key);
        }
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..500).collect::<Vec<u32>>());
    map.delete_batch(&keys[..400]).unwrap();
    assert_eq!(map.take_batch(None, 1000).unwrap().count, 400);
    assert_eq!(map.next_key(None).unwrap(), None);
    assert!(matches!(map.update_batch(&keys, &values[1..]), Err(Error::Size { what: "values", .. })));
    assert!(matches!(map.lookup_batch(None, usize::MAX), Err(Error::Limit { .. })));
}

#[test]
fn all_elements() {
    if !kernel("elements") {
        return;
    }
    let one = [0, 0, 0, 0, 10, 0, 0, 1];
    for kind in [MapType::Hash, MapType::Array, MapType::LruHash, MapType::PercpuHash, MapType::LpmTrie] {
        let flags = if kind == MapType::LpmTrie { MapFlags::NO_PREALLOC } else { MapFlags(0) };
        let size = if kind == MapType::Array { 4 } else { 8 };
        let map = Map::create(&MapDef { flags, ..MapDef::new("all", kind, size, 8, 5000) }).unwrap();
        let value = vec![3; map.value_size()];
        map.update(&one[..size as usize], &value, UpdateFlag::Any).unwrap();
        let all = map.elements(usize::MAX).unwrap();
        assert_eq!(all.len(), if kind == MapType::Array { 5000 } else { 1 });
        assert!(all.contains(&(one[..size as usize].to_vec(), value)), "{}", kind.name());
    }
    let queue = Map::create(&MapDef::new("queue", MapType::Queue, 0, 4, 2)).unwrap();
    assert!(queue.elements(10).is_err());
}

#[test]
fn ring_buffers_are_read_around_their_end() {
    if !kernel("ring buffers") {
        return;
    }
    // bpf_ringbuf_output(&ring, data of 24 bytes, 24, 0); and a reservation that is given up.
    let text =
        "r6 = r1\nr1 = 7\n*(u64 *)(r10 -24) = r1\nr1 = *(u32 *)(r6 +0)\n*(u64 *)(r10 -16) = r1\n*(u64 *)(r10 -8) = r1
        r1 = map[fd:0]\nr2 = r10\nr2 += -24\nr3 = 24\nr4 = 0\ncall 130\nr7 = r0
        r1 = map[fd:0]\nr2 = 40\nr3 = 0\ncall 131\nif r0 == 0 goto +3\nr1 = r0\nr2 = 0\ncall 133\nr0 = r7\nexit";
    let mut program = program(ProgType::SocketFilter, text);
    program.maps = vec![std::sync::Arc::new(MapDef::new("ring", MapType::Ringbuf, 0, 0, 4096))];
    let loaded = loaded(&program);
    let mut reader = RingReader::open(&loaded.maps[0]).unwrap();
    assert_eq!(reader.next(), None);
    for round in 0..500u64 {
        for data in [&[0; 64][..], &[0; 80]] {
            assert_eq!(loaded.prog.test_run(&TestRun { data: Some(data), ..RUN }).unwrap().retval, 0, "{round}");
        }
        for length in [50u64, 66] {
            let expected = [7, length, length].map(u64::to_ne_bytes).concat();
            assert_eq!(reader.next(), Some(expected), "{round}");
        }
        assert_eq!(reader.next(), None);
    }
    let array = Map::create(&MapDef::new("array", MapType::Array, 4, 8, 1)).unwrap();
    assert!(matches!(RingReader::open(&array), Err(Error::Kind { .. })));
}

#[test]
fn values_by_cpu_in_batches() {
    if !kernel("batches") {
        return;
    }
    let map = Map::create(&MapDef::new("batch", MapType::PercpuArray, 4, 4, 3)).unwrap();
    let part = map.lookup_batch(None, 3).unwrap();
    assert_eq!((part.count, part.values.len()), (3, 3 * map.value_size()));
}

/// A folder of our own in the BPF file system; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Option<Folder> {
        let path = PathBuf::from(format!("/sys/fs/bpf/ring3-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn pins_keep_objects() {
    if !kernel("pins") {
        return;
    }
    let Some(folder) = Folder::new("pins") else {
        println!("skipped: pins: no BPF file system at /sys/fs/bpf");
        return;
    };
    let (prog, map) = (folder.0.join("prog"), folder.0.join("map"));
    let loaded = loaded(&counter(ProgType::SocketFilter, 3));
    loaded.prog.pin(&prog).unwrap();
    loaded.maps[0].pin(&map).unwrap();
    drop(loaded);
    let (program, counts) = (Prog::pinned(&prog).unwrap(), Map::pinned(&map).unwrap());
    assert_eq!((program.name(), program.kind()), ("test", Some(ProgType::SocketFilter)));
    assert_eq!(program.test_run(&RUN).unwrap().retval, 3);
    assert_eq!(counts.lookup(&[0; 4]).unwrap(), Some(1u64.to_ne_bytes().to_vec()));
    let error = program.pin(&prog).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EEXIST));
    assert!(error.to_string().contains("/prog: BPF_OBJ_PIN: EEXIST"), "{error}");
    let wrong = Map::pinned(&prog).unwrap_err();
    assert_eq!(wrong, Error::Kind { expected: "bpf-map", found: "bpf-prog".to_owned() });
    assert_eq!(Map::pinned(&folder.0.join("none")).unwrap_err().errno(), Some(Errno::ENOENT));
}

#[test]
fn probing() {
    if !kernel("probing") {
        return;
    }
    let six = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().starts_with("6.18.");
    for feature in Feature::ALL {
        let is_there = feature.is_there().unwrap();
        assert!(is_there || !six, "{}", feature.name());
    }
    let programs = ProgType::ALL.iter().map(|kind| (kind.name(), has_program_type(*kind)));
    let maps = MapType::ALL.iter().map(|kind| (kind.name(), has_map_type(*kind)));
    for (name, result) in programs.chain(maps) {
        println!("{name}: {result:?}");
        // Some kernels allow no tracing of their functions to anybody.
        assert!(result.is_ok() || result.unwrap_err().errno() == Some(Errno::EPERM), "{name}");
    }
    for kind in [ProgType::Xdp, ProgType::SchedCls, ProgType::SocketFilter, ProgType::RawTracepoint, ProgType::SkLookup]
    {
        assert_eq!(has_program_type(kind), Ok(true), "{}", kind.name());
    }
    // 1 is bpf_map_lookup_elem, 44 bpf_xdp_adjust_head.
    assert_eq!(has_helper(ProgType::Xdp, 1), Ok(Some(true)));
    assert_eq!(has_helper(ProgType::Xdp, 44), Ok(Some(true)));
    assert_eq!(has_helper(ProgType::SocketFilter, 44), Ok(Some(false)));
    assert_eq!(has_helper(ProgType::Xdp, 100_000), Ok(Some(false)));
    assert_eq!(has_helper(ProgType::Tracing, 1), Ok(None));
}

#[test]
fn targets_in_the_kernels_types() {
    if !kernel("kernel types") {
        return;
    }
    let Ok(types) = KernelTypes::read() else {
        println!("skipped: the kernel has no types");
        return;
    };
    let mut fentry = program(ProgType::Tracing, "r0 = 0\nexit");
    fentry.section = "fentry/do_unlinkat".to_owned();
    fentry.attach = Some(ring3_platform::AttachType::TraceFentry);
    let attach_btf_id = types.target_of(&fentry).unwrap();
    match load(&fentry, &LoadOptions { attach_btf_id, ..LoadOptions::default() }) {
        Ok(_) => {}
        // Some kernels allow no tracing of their functions, and say so before they look at the program.
        Err(error) => assert_eq!((error.errno(), error.log().unwrap().text.as_str()), (Some(Errno::EPERM), "")),
    }
    fentry.section = "fentry/no_such_function".to_owned();
    assert_eq!(types.target_of(&fentry), None);
}

#[test]
fn whole_objects() {
    if !kernel("objects") {
        return;
    }
    let Some(folder) = Folder::new("objects") else {
        println!("skipped: objects: no BPF file system at /sys/fs/bpf");
        return;
    };
    let options = ObjectOptions { pins: folder.0.clone(), ..ObjectOptions::default() };
    for name in ["drop_icmp", "flows", "hello", "lb", "maps", "subprogs", "tail", "tcp_options"] {
        let object = object(name);
        let loaded = load_object(&object, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(loaded.programs.len(), object.programs().len());
        assert_eq!(loaded.maps.len(), object.maps().len());
        for def in object.maps() {
            let map = loaded.map(&def.name).unwrap();
            assert_eq!(map.info().unwrap().kind, Some(def.kind));
            for slot in &def.slots {
                assert!(map.lookup(&slot.index.to_ne_bytes()).unwrap().is_some(), "{name}: {}", slot.symbol);
            }
            if def.frozen {
                let data = map.lookup(&[0; 4]).unwrap().unwrap();
                assert_eq!(Some(data.as_slice()), def.data.as_deref());
                let error = map.update(&[0; 4], &data, UpdateFlag::Any).unwrap_err();
                assert_eq!(error.errno(), Some(Errno::EPERM));
            }
        }
        // Programs of an object share their types.
        let types: std::collections::BTreeSet<_> =
            loaded.programs.iter().map(|loaded| loaded.prog.info().unwrap().btf).collect();
        assert_eq!(types.len(), 1, "{name}");
    }
    let missing = load_object(&object("hello"), &ObjectOptions { programs: &["none"], ..ObjectOptions::default() });
    assert!(matches!(missing, Err(Error::Object(_))));
}

#[test]
fn one_program_brings_what_it_needs() {
    if !kernel("objects") {
        return;
    }
    let object = object("tail");
    let with_slots = object.maps().iter().find(|map| !map.slots.is_empty()).unwrap();
    let caller = object.programs().iter().find(|entry| {
        let program = object.program(&entry.name, &Options::default()).unwrap();
        program.maps.iter().any(|map| map.name == with_slots.name)
    });
    let names = [caller.unwrap().name.as_str()];
    let loaded = load_object(&object, &ObjectOptions { programs: &names, ..ObjectOptions::default() }).unwrap();
    for slot in &with_slots.slots {
        assert!(loaded.program(&slot.symbol).is_some(), "{}", slot.symbol);
    }
}

#[test]
fn maps_pinned_by_name_are_shared() {
    if !kernel("shared maps") {
        return;
    }
    let Some(folder) = Folder::new("shared") else {
        println!("skipped: shared maps: no BPF file system at /sys/fs/bpf");
        return;
    };
    let Some(bytes) = clang("pinned.bpf.c", PINNED) else { return };
    let object = Object::parse("pinned", &bytes).unwrap();
    let options = ObjectOptions { pins: folder.0.clone(), ..ObjectOptions::default() };
    let first = load_object(&object, &options).unwrap();
    first.maps[0].update(&[1, 0, 0, 0], &[9; 8], UpdateFlag::Any).unwrap();
    let second = load_object(&object, &options).unwrap();
    assert_eq!(second.map("shared").unwrap().lookup(&[1, 0, 0, 0]).unwrap(), Some(vec![9; 8]));
    std::fs::remove_file(folder.0.join("shared")).unwrap();
    Map::create(&MapDef::new("shared", MapType::Hash, 4, 16, 8)).unwrap().pin(&folder.0.join("shared")).unwrap();
    assert!(matches!(load_object(&object, &options), Err(Error::OtherMap { .. })));
}

/// A map that is pinned by its name.
const PINNED: &str = r#"
#define SEC(name) __attribute__((section(name), used))
struct { int (*type)[1]; int (*max_entries)[8]; int *key; long *value; int (*pinning)[1]; } shared SEC(".maps");
static void *(*lookup)(void *map, const void *key) = (void *)1;
SEC("socket") int get(void *ctx) { int key = 1; long *v = lookup(&shared, &key); return v ? *v : 0; }
char _license[] SEC("license") = "GPL";
"#;

/// Types with everything that there is, external symbols among them.
const EVERYTHING: &[u8] = include_bytes!("../../btf/tests/data/kinds.el.btf");

#[test]
fn types_of_every_kind_can_be_loaded() {
    if !kernel("types") {
        return;
    }
    let types = BtfObject::load(&ring3_btf::Btf::parse(EVERYTHING).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    assert!(types.read().unwrap().unwrap().types().len() > 20);
    let error = BtfObject::load_bytes(&[0; 30]).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EINVAL));
}

/// Compiles a C source; `None`, with a line, where there is no clang.
fn clang(name: &str, source: &str) -> Option<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("ring3-linux-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (from, to) = (folder.join(name), folder.join(format!("{name}.o")));
    std::fs::write(&from, source).unwrap();
    let compiled = ["clang-19", "clang"].iter().any(|clang| {
        let command = std::process::Command::new(clang)
            .args(["-O2", "-g", "-target", "bpf", "-c", "-o"])
            .arg(&to)
            .arg(&from)
            .status();
        command.is_ok_and(|status| status.success())
    });
    let bytes = compiled.then(|| std::fs::read(&to).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    if bytes.is_none() {
        println!("skipped: no clang");
    }
    bytes
}
