//! What the objects in `data` hold and how their programs are linked; each in both byte orders.

use std::sync::Arc;

use ring3_btf::Linkage;
use ring3_isa::{Callee, Endianness, Insn, Wide};
use ring3_object::{ExternKind, GlobalProblem, KernelValues, Object, ObjectError, Options};
use ring3_platform::maps::{MapType, Pinning};
use ring3_platform::{AttachType, MapFlags, ProgType, Program};

macro_rules! both {
    ($name:literal) => {
        [
            (concat!($name, ".el.bpf.o"), include_bytes!(concat!("../data/", $name, ".el.bpf.o")).as_slice()),
            (concat!($name, ".eb.bpf.o"), include_bytes!(concat!("../data/", $name, ".eb.bpf.o")).as_slice()),
        ]
        .map(|(name, bytes)| Object::parse(&format!("some/folder/{name}"), bytes).unwrap())
    };
}

fn link(object: &Object, name: &str) -> Program {
    object.program(name, &Options::default()).unwrap()
}

#[test]
fn maps_by_btf() {
    for object in both!("maps") {
        let names: Vec<_> = object.maps().iter().map(|m| m.name.as_str()).collect();
        let data = ["maps.rodata", "maps.data", "maps.bss", ".data.cold", ".rodata.fixed"];
        // As clang lays them out in the section.
        let user = ["inner_b", "inner_a", "outer", "jumps", "by_proto", "sized", "extra", "events"];
        assert_eq!(names[..8], user);
        assert_eq!(names.len(), user.len() + data.len());
        assert!(data.iter().all(|name| names[8..].contains(name)));

        let btf = object.btf().unwrap();
        let m = object.map("by_proto").unwrap();
        assert_eq!((m.kind, m.key_size, m.value_size, m.max_entries), (MapType::Hash, 4, 16, 64));
        assert_eq!((m.flags, m.pinning), (MapFlags::NO_PREALLOC, Pinning::ByName));
        assert_eq!(btf.name(ring3_btf::TypeId(m.value_type)), "stats");
        let m = object.map("sized").unwrap();
        assert_eq!((m.kind, m.key_size, m.value_size, m.key_type), (MapType::Array, 4, 16, 0));
        let m = object.map("events").unwrap();
        assert_eq!((m.kind, m.key_size, m.value_size, m.max_entries), (MapType::Ringbuf, 0, 0, 4096));
        let m = object.map("extra").unwrap();
        assert_eq!((m.value_size, m.extra), (7, 0x12_3456_789a));
    }
}

#[test]
fn slots_of_outer_maps_and_program_arrays() {
    for object in both!("maps") {
        let slots = |name: &str| -> Vec<(u32, String)> {
            object.map(name).unwrap().slots.iter().map(|s| (s.index, s.symbol.clone())).collect()
        };
        let outer = object.map("outer").unwrap();
        assert_eq!((outer.kind, outer.key_size, outer.value_size), (MapType::ArrayOfMaps, 4, 4));
        let inner = outer.inner.as_ref().unwrap();
        assert_eq!((inner.name.as_str(), inner.kind, inner.value_size), ("outer.inner", MapType::Array, 8));
        assert_eq!(slots("outer"), [(1, "inner_b".to_owned()), (3, "inner_a".to_owned())]);
        assert_eq!(slots("jumps"), [(0, "target_two".to_owned()), (5, "target_one".to_owned())]);
        assert!(object.map("jumps").unwrap().inner.is_none());
    }
}

#[test]
fn global_data_as_maps() {
    for object in both!("maps") {
        let rodata = object.map(".rodata").unwrap();
        assert_eq!(rodata.flags, MapFlags(0x480));
        assert!(rodata.frozen);
        assert_eq!(object.map(".rodata.fixed").unwrap().flags, MapFlags::RDONLY_PROG);
        let bss = object.map(".bss").unwrap();
        assert_eq!((bss.flags, bss.frozen), (MapFlags::MMAPABLE, false));
        assert!(bss.data.as_ref().unwrap().iter().all(|b| *b == 0));
        assert_eq!((bss.key_size, bss.max_entries), (4, 1));
        assert_eq!(bss.value_size as usize, bss.data.as_ref().unwrap().len());
    }
}

#[test]
fn globals_are_read_and_set() {
    for mut object in both!("maps") {
        let order = |bytes: &[u8]| match object.endian() {
            Endianness::Little => bytes.to_vec(),
            Endianness::Big => bytes.iter().rev().copied().collect(),
        };
        let (total, minus_two) = (order(&0x1122_3344_5566_7788u64.to_le_bytes()), order(&(-2i16).to_le_bytes()));
        let (three, hex) = (order(&3u32.to_le_bytes()), order(&0xffff_fffeu32.to_le_bytes()));
        let (drop, pass) = (order(&5u32.to_le_bytes()), order(&0u32.to_le_bytes()));
        let nine = order(&9u64.to_le_bytes());
        assert_eq!(object.global("total").unwrap(), total);
        assert_eq!(object.global("negative").unwrap(), minus_two);
        assert_eq!(object.global("limit").unwrap(), three);
        assert_eq!(object.global("label").unwrap()[..4], *b"abc\0");
        assert_eq!(object.global("hidden_ro").unwrap(), [9]);
        assert_eq!(object.global("nested.last").unwrap(), [7]);

        object.set_global_text("limit", "0xfffffffe").unwrap();
        assert_eq!(object.global("limit").unwrap(), hex);
        assert_eq!(object.global("mode").unwrap(), drop);
        object.set_global_text("mode", "MODE_PASS").unwrap();
        assert_eq!(object.global("mode").unwrap(), pass);
        object.set_global_text("flag", "false").unwrap();
        assert_eq!(object.global("flag").unwrap(), [0]);
        object.set_global_text("label", "longer text").unwrap();
        assert_eq!(object.global("label").unwrap()[..12], *b"longer text\0");
        object.set_global_text("nested.inner[1].bytes", "9").unwrap();
        assert_eq!(object.global("nested.inner[1].bytes").unwrap(), nine);
        object.set_global("nested.last", &[8]).unwrap();

        let problem = |result: Result<(), ObjectError>| match result {
            Err(ObjectError::Global { problem, .. }) => problem,
            other => panic!("{other:?}"),
        };
        assert_eq!(problem(object.set_global_text("absent", "1")), GlobalProblem::Unknown);
        assert_eq!(
            problem(object.set_global_text("negative", "32768")),
            GlobalProblem::Range { text: "32768".into(), bits: 16 }
        );
        assert_eq!(problem(object.set_global_text("limit", "x")), GlobalProblem::Text("x".into()));
        assert_eq!(
            problem(object.set_global_text("limit", "-1")),
            GlobalProblem::Range { text: "-1".into(), bits: 32 }
        );
        assert_eq!(problem(object.set_global("limit", &[1])), GlobalProblem::Size { need: 4, given: 1 });
        assert_eq!(problem(object.set_global_text("nested", "1")), GlobalProblem::Shape);
        assert_eq!(problem(object.set_global_text("nested.inner[2].bytes", "1")), GlobalProblem::NoPart("[2]".into()));
        let error = object.set_global_text("absent", "1").unwrap_err().to_string();
        assert!(
            error.ends_with("bpf.o: global variable 'absent': there is no global variable of this name"),
            "{error}"
        );
    }
}

#[test]
fn programs_and_references_to_maps() {
    for object in both!("maps") {
        assert_eq!(object.license().0, "Dual MIT/GPL");
        assert_eq!(object.version(), Some(0x61200));
        let names: Vec<_> =
            object.programs().iter().map(|p| (p.name.as_str(), p.section.as_str(), p.optional)).collect();
        assert_eq!(names, [("target_two", "xdp", true), ("target_one", "xdp", false)]);

        let program = link(&object, "target_two");
        assert_eq!((program.kind, program.attach), (ProgType::Xdp, Some(AttachType::Xdp)));
        let used: Vec<_> = program.maps.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(used, ["sized", "outer", "extra", "by_proto", "jumps"]);
        assert_eq!(loads(&program)[..2], [(5, Wide::Map(0)), (10, Wide::Map(1))]);

        let program = link(&object, "target_one");
        let values: Vec<_> = loads(&program)
            .into_iter()
            .filter_map(|(_, value)| match value {
                Wide::MapValue { map, off } => Some((program.maps[map as usize].name.as_str(), off)),
                _ => None,
            })
            .collect();
        let offset = |name: &str| object.find_global(name).unwrap().offset as u32;
        for (section, variable) in [("maps.data", "negative"), ("maps.bss", "static_zero"), (".data.cold", "cold")] {
            assert!(values.contains(&(section, offset(variable))), "{variable} in {values:?}");
        }
    }
}

/// All 64-bit immediate loads with their slots.
fn loads(program: &Program) -> Vec<(usize, Wide)> {
    let load = |(slot, insn): (usize, &Result<Insn, _>)| match insn {
        Ok(Insn::LoadImm { value, .. }) => Some((slot, *value)),
        _ => None,
    };
    program.code.insns().iter().enumerate().filter_map(load).collect()
}

/// Names of the functions in a program, and for each call or address of one: the function it is in, and the one it means.
fn calls(program: &Program) -> (Vec<String>, Vec<(String, String)>) {
    let info = program.info.as_ref().unwrap();
    let name = |slot: i64| {
        let func = info.funcs.iter().find(|f| i64::from(f.slot) == slot).expect("calls lead to the start of functions");
        func.name.to_string()
    };
    let mut found = Vec::new();
    for (slot, insn) in program.code.insns().iter().enumerate() {
        if let Ok(Insn::Call(Callee::Local(off)) | Insn::LoadImm { value: Wide::Func(off), .. }) = insn {
            let caller = info.func_at(slot as u32).unwrap().name.to_string();
            found.push((caller, name(slot as i64 + 1 + i64::from(*off))));
        }
    }
    (info.funcs.iter().map(|f| f.name.to_string()).collect(), found)
}

#[test]
fn subprograms_are_appended_in_order_of_first_reference() {
    for object in both!("subprogs") {
        let program = link(&object, "first");
        let (functions, calls) = calls(&program);
        // The order that libbpf gives the same object.
        assert_eq!(functions, ["first", "global_sub", "middle", "leaf", "callback", "hidden_sub"]);
        let expected = [
            ("first", "global_sub"),
            ("first", "callback"),
            ("first", "hidden_sub"),
            ("first", "leaf"),
            ("global_sub", "middle"),
            ("middle", "leaf"),
            ("middle", "leaf"),
            ("callback", "leaf"),
        ];
        assert_eq!(calls, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let linkage = |name: &str| {
            let funcs = &program.info.as_ref().unwrap().funcs;
            funcs.iter().find(|f| &*f.name == name).unwrap().linkage
        };
        assert_eq!(linkage("global_sub"), Linkage::Global);
        assert_eq!(linkage("leaf"), Linkage::Static);
        assert_eq!(linkage("hidden_sub"), Linkage::Static);
    }
}

#[test]
fn lines_follow_the_functions() {
    for object in both!("subprogs") {
        let program = link(&object, "second");
        let info = program.info.as_ref().unwrap();
        for func in &info.funcs {
            let line = info.line_at(func.slot).unwrap();
            assert_eq!(line.slot, func.slot);
            assert!(line.text.contains(&*func.name), "{} has {}", func.name, line.text);
            assert_eq!(line.file.rsplit('/').next(), Some("subprogs.bpf.c"));
        }
        assert!(info.lines.is_sorted_by_key(|line| line.slot));
        assert!(info.lines.iter().all(|line| (line.slot as usize) < program.code.len()));
    }
}

#[test]
fn what_libbpf_takes_no_more() {
    for object in both!("legacy") {
        let m = object.map("counts").unwrap();
        assert_eq!((m.kind, m.key_size, m.value_size, m.max_entries), (MapType::Hash, 4, 8, 10));
        assert_eq!(m.flags, MapFlags::NO_PREALLOC);
        let program = link(&object, "prog");
        assert_eq!(program.maps.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["table", "counts"]);
        let (functions, _) = calls(&link(&object, "caller"));
        assert_eq!(functions, ["caller", "called"]);
    }
}

#[test]
fn maps_of_other_loaders_are_in_sections_of_their_own() {
    for object in both!("loaders") {
        let names = |program| link(&object, program).maps.iter().map(|map| map.name.clone()).collect::<Vec<_>>();
        assert_eq!(names("gobpf"), ["events", "args"]);
        assert_eq!(names("keytable"), ["state"]);
        assert_eq!(names("iproute2"), ["server"]);
        let args = object.map("args").unwrap();
        assert_eq!((args.kind, args.key_size, args.value_size, args.max_entries), (MapType::Hash, 8, 16, 100));
        let pinned = ["args", "state", "server"].map(|name| object.map(name).unwrap().pinning);
        assert_eq!(pinned, [Pinning::None, Pinning::None, Pinning::ByName]);
    }
}

#[test]
fn functions_of_the_kernel_are_called_by_name() {
    for object in both!("refused") {
        let program = link(&object, "kfunc");
        let named = program.kfuncs.iter().map(|kfunc| (kfunc.name.as_str(), kfunc.weak)).collect::<Vec<_>>();
        assert_eq!(named, [("some_kfunc", false)]);
        let call = Callee::Kfunc { id: 0, off: Program::KFUNC_BY_NAME };
        assert!(program.code.insns().contains(&Ok(Insn::Call(call))));
    }
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    for object in both!("refused") {
        assert_eq!(link(&object, "plain").code.len(), 2);
        let refused = |name: &str| object.program(name, &Options::default()).unwrap_err();
        let ObjectError::NeedsCoRe { relocation, at, program } = refused("core") else { panic!("{}", refused("core")) };
        assert_eq!((at.section.as_deref(), program.as_str()), (Some("xdp"), "core"));
        assert!(relocation.starts_with("<byte_off> [") && relocation.ends_with("] struct task.tgid (0:1 @ offset 4)"));
        for (program, expected, symbol) in
            [("kconfig", ExternKind::Kconfig, "CONFIG_HZ"), ("ksym", ExternKind::Ksym, "runqueues")]
        {
            let ObjectError::Extern { kind, symbol: found, .. } = refused(program) else {
                panic!("{}", refused(program))
            };
            assert_eq!((kind, found.as_str()), (expected, symbol));
        }
        let mut object = object.clone();
        object.answer(Arc::new(KernelValues::new("6.18.44").with_config("CONFIG_HZ=250\n")));
        let program = link(&object, "kconfig");
        let data = program.maps[0].data.as_deref().unwrap();
        assert_eq!((program.maps[0].name.as_str(), program.maps[0].frozen), ("refused.kconfig", true));
        let bytes = *data.first_chunk().unwrap();
        let is_little = object.endian() == Endianness::Little;
        assert_eq!(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }, 250);
        object.answer(Arc::new(KernelValues::new("6.18.44")));
        let error = object.program("kconfig", &Options::default()).unwrap_err().to_string();
        assert!(error.ends_with("external symbol 'CONFIG_HZ' is not in the kernel's configuration"), "{error}");
        let text = refused("unknown").to_string();
        assert!(text.ends_with("failed to guess program type from ELF section 'liz'"), "{text}");
        let given = Options { kind: Some(ProgType::SchedCls), ..Options::default() };
        assert_eq!(object.program("unknown", &given).unwrap().kind, ProgType::SchedCls);
        assert!(matches!(refused("absent"), ObjectError::NoSuchProgram { .. }));
    }
}

#[test]
fn what_is_no_object_is_refused_with_its_place() {
    let bytes = include_bytes!("../data/refused.el.bpf.o");
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        Object::parse("x.o", &bytes).unwrap_err().to_string()
    };
    assert_eq!(error(&|b| b[18] = 62), "x.o: offset 0x12: not a BPF ELF object: machine 62 is not BPF (247)");
    assert_eq!(
        error(&|b| b[16] = 2),
        "x.o: offset 0x10: not a BPF ELF object: not a relocatable file (type 2: an executable)"
    );
    assert_eq!(error(&|b| b[4] = 1).split(':').next(), Some("x.o"));
    assert!(error(&|b| b.truncate(3000)).starts_with("x.o: offset 0x"));
    assert!(error(&|b| b.clear()).starts_with("x.o: offset 0x0: not a BPF ELF object"));
}

#[test]
fn functions_that_get_what_is_thrown() {
    for object in both!("thrown") {
        let names = |program: &str| -> Vec<String> {
            let info = link(&object, program).info.unwrap();
            info.funcs.iter().map(|func| info.btf.name(func.type_id).to_owned()).collect()
        };
        assert_eq!(names("throws"), ["throws", "caught", "helper_of_both"]);
        assert_eq!(names("calls_it"), ["calls_it", "helper_of_both"]);
        assert_eq!(names("throws_plainly"), ["throws_plainly"]);
    }
}
