//! `data/externs.bpf.c`: what other objects and the kernel provide, and what cannot be read of maps that nobody uses.

use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_isa::{Callee, Endianness, Insn, Wide};
use ring3_object::{Object, ObjectError, Options};
use ring3_platform::maps::{MapType, Pinning};
use ring3_platform::{KernelVersion, MapFlags, Program};

fn both() -> [(Object, Object); 2] {
    macro_rules! object {
        ($name:literal) => {
            Object::parse($name, include_bytes!(concat!("../data/", $name)).as_slice()).unwrap()
        };
    }
    [
        (object!("externs.el.bpf.o"), object!("externs_kernel.el.bpf.o")),
        (object!("externs.eb.bpf.o"), object!("externs_kernel.eb.bpf.o")),
    ]
}

fn try_link(object: &Object, kernel: &Object, name: &str) -> Result<Program, ObjectError> {
    let core = Some(Arc::new(CoreTarget::new(kernel.btf().unwrap().clone())));
    object.program(name, &Options { core, ..Options::default() })
}

fn link(object: &Object, kernel: &Object, name: &str) -> Program {
    try_link(object, kernel, name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn ends_with(object: &Object, kernel: &Object, name: &str, end: &str) {
    let error = try_link(object, kernel, name).unwrap_err().to_string();
    assert!(error.ends_with(end), "{name}: {error}");
}

/// What calls of functions of the kernel and of helpers call.
fn callees(program: &Program) -> Vec<Callee> {
    let call = |insn: &Result<Insn, _>| match insn {
        Ok(Insn::Call(callee)) => Some(*callee),
        _ => None,
    };
    program.code.insns().iter().filter_map(call).collect()
}

fn loads(program: &Program) -> Vec<Wide> {
    let load = |insn: &Result<Insn, _>| match insn {
        Ok(Insn::LoadImm { value, .. }) => Some(*value),
        _ => None,
    };
    program.code.insns().iter().filter_map(load).collect()
}

#[test]
fn functions_of_the_kernel_need_its_arguments() {
    for (object, kernel) in both() {
        let named = Callee::Kfunc { id: 0, off: Program::KFUNC_BY_NAME };
        assert_eq!(callees(&link(&object, &kernel, "calls")), [named]);
        let program = link(&object, &kernel, "calls_by_another_name");
        assert_eq!(callees(&program), [named]);
        assert!(matches!(loads(&program)[..], [Wide::BtfId { fd: 0, .. }]));
        // As if it was not there, which the program asks for.
        let program = link(&object, &kernel, "calls_with_more");
        assert_eq!(callees(&program), [Callee::Helper(Program::MISSING_KFUNC)]);
        assert_eq!((loads(&program), program.kfuncs[0].name.as_str()), (vec![Wide::Imm(0)], "task_pid___two"));
        let end = "external symbol 'task_pid___strict' has another type in the kernel";
        ends_with(&object, &kernel, "insists_on_more", end);
    }
}

#[test]
fn variables_of_the_kernel_need_its_type_even_weak_ones() {
    for (object, kernel) in both() {
        assert!(matches!(loads(&link(&object, &kernel, "reads_variable"))[..], [Wide::BtfId { fd: 0, .. }]));
        let end = "external symbol 'jiffies___other' has another type in the kernel";
        ends_with(&object, &kernel, "reads_another_variable", end);
    }
}

#[test]
fn a_map_that_cannot_be_read_is_told_to_who_uses_it() {
    for (object, kernel) in both() {
        let names: Vec<&str> = object.maps().iter().map(|map| map.name.as_str()).collect();
        assert_eq!(names, ["whole", "arena", "externs.bss"]);
        ends_with(&object, &kernel, "uses_broken", "map 'broken': it has an unknown field 'wrong'");
        assert_eq!(link(&object, &kernel, "uses_whole").maps[0].name, "whole");
        let end =
            "program 'uses_elsewhere' uses the map of another object 'elsewhere', link the objects into one first";
        ends_with(&object, &kernel, "uses_elsewhere", end);
    }
}

#[test]
fn variables_of_an_arena_are_its_first_bytes() {
    for (object, kernel) in both() {
        let program = link(&object, &kernel, "in_arena");
        let [map] = &program.maps[..] else { panic!("{:?}", program.maps) };
        assert_eq!((map.name.as_str(), map.kind), ("arena", MapType::Arena));
        let content = map.data.as_deref().unwrap();
        let number = |at: u32| match object.endian() {
            Endianness::Little => u32::from_le_bytes(*content[at as usize..].first_chunk().unwrap()),
            Endianness::Big => u32::from_be_bytes(*content[at as usize..].first_chunk().unwrap()),
        };
        let mut values = Vec::new();
        for load in loads(&program) {
            match load {
                Wide::MapValue { map: 0, off } => values.push(number(off)),
                other => assert_eq!(other, Wide::Map(0)),
            }
        }
        values.sort_unstable();
        assert_eq!(values, [1, 5]);
        let mut object = object.clone();
        object.set_global_text("table[1]", "77").unwrap();
        let global = object.find_global("table[1]").unwrap();
        assert_eq!(object.maps()[global.map].kind, MapType::Arena);
        assert!(object.global("table[1]").unwrap().contains(&77));
    }
}

#[test]
fn maps_by_number_are_none() {
    let [(object, kernel), _] = both();
    // No map of the program has the number, as verifiers say.
    let program = link(&object, &kernel, "by_number");
    assert_eq!((loads(&program), program.maps.len()), (vec![Wide::Map(9)], 0));
}

#[test]
fn exception_callbacks_are_global_functions() {
    for (object, kernel) in both() {
        let end = "exception callback 'local_callback' must be a global non-hidden function";
        ends_with(&object, &kernel, "throws_to_static", end);
        ends_with(&object, &kernel, "throws_to_nothing", "exception callback 'absent' is not there");
        // Verifiers say that two are too many.
        assert_eq!(link(&object, &kernel, "throws_to_two").info.unwrap().funcs.len(), 1);
    }
}

#[test]
fn what_old_kernels_lack_is_worked_around() {
    for (mut object, kernel) in both() {
        let callees = |object: &Object| {
            let flags = object.map(".bss").unwrap().flags;
            (callees(&link(object, &kernel, "reads")), flags.has(MapFlags::MMAPABLE))
        };
        let new = [Callee::Helper(113), Callee::Helper(114)].to_vec();
        assert_eq!(callees(&object), (new.clone(), true));
        object.adapt(KernelVersion::new(5, 10));
        assert_eq!(callees(&object), (new, true));
        object.adapt(KernelVersion::new(5, 4));
        assert_eq!(callees(&object), ([Callee::Helper(4), Callee::Helper(45)].to_vec(), false));
    }
}

#[test]
fn maps_of_iproute2_are_pinned_by_name() {
    // `struct bpf_elf_map` in a section `maps`, written over the older definitions.
    let object = Object::parse("iproute2", include_bytes!("../data/iproute2.el.bpf.o")).unwrap();
    let map = object.map("flows").unwrap();
    assert_eq!((map.kind, map.key_size, map.value_size, map.max_entries), (MapType::Hash, 4, 8, 100));
    assert_eq!(map.pinning, Pinning::ByName);
    assert_eq!(object.map("own").unwrap().pinning, Pinning::None);
}
