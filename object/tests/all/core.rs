//! `data/core.bpf.c` against the types of `data/core_kernel.bpf.c`: each kind of CO-RE relocation, in both byte orders.

use std::sync::Arc;

use ring3_btf::{CoreTarget, Kind, Member, Type, TypeId};
use ring3_isa::Endianness;
use ring3_object::{Object, ObjectError, Options, UNRESOLVED_CALL};
use ring3_platform::Program;

macro_rules! both {
    ($($name:literal),*) => {
        [
            [$(($name, include_bytes!(concat!("../data/", $name, ".el.bpf.o")).as_slice())),*],
            [$(($name, include_bytes!(concat!("../data/", $name, ".eb.bpf.o")).as_slice())),*],
        ]
        .map(|files| files.map(|(name, bytes)| Object::parse(name, bytes).unwrap()))
    };
}

fn link(object: &Object, kernel: &Object, name: &str) -> Program {
    let core = Some(Arc::new(CoreTarget::new(kernel.btf().unwrap().clone())));
    object.program(name, &Options { core, ..Options::default() }).unwrap()
}

/// What an instruction must hold.
enum Holds {
    Off(i16),
    Imm(i32),
    /// A call that no verifier lets pass.
    Bad,
}
use Holds::{Bad, Imm, Off};

/// As libbpf says that it patches the little-endian object: program, slot, result.
#[rustfmt::skip]
const PATCHED: &[(&str, usize, Holds)] = &[
    ("offsets", 0, Off(16)),
    ("offsets", 1, Off(52)),
    ("offsets", 3, Off(64)),
    ("offsets", 5, Off(96)),
    ("resized", 1, Off(32)),
    ("resized", 2, Off(24)),
    ("unsafe_resize", 0, Bad),
    ("address", 0, Off(68)),
    ("missing", 0, Bad),
    ("guarded", 1, Imm(0)),
    ("guarded", 3, Bad),
    ("exists", 0, Imm(1)),
    ("exists", 1, Imm(0)),
    ("size", 0, Imm(4)),
    ("size", 1, Imm(32)),
    ("bit_field", 0, Imm(88)),
    ("bit_field", 1, Imm(8)),
    ("bit_field", 4, Imm(0)),
    ("bit_field", 6, Imm(27)),
    ("bit_field", 8, Imm(57)),
    ("types", 0, Imm(1)),
    ("types", 1, Imm(0)),
    ("types", 4, Imm(1)),
    ("type_sizes", 0, Imm(16)),
    ("type_sizes", 1, Imm(0)),
    ("matches", 0, Imm(1)),
    ("matches", 1, Imm(0)),
    ("target_id", 0, Imm(1)),
    ("no_target_id", 0, Imm(0)),
    ("enum_exists", 0, Imm(1)),
    ("enum_exists", 2, Imm(0)),
    ("enum_value", 0, Imm(305419896)),
    ("enum_missing", 1, Bad),
    ("enum_missing", 0, Bad),
];

#[test]
fn instructions_are_patched_as_by_libbpf() {
    for [object, kernel] in both!("core", "core_kernel") {
        let is_big = object.endian() == Endianness::Big;
        // Bit fields are laid out from the other end.
        for (name, slot, holds) in PATCHED.iter().filter(|(name, ..)| !is_big || *name != "bit_field") {
            let raw = link(&object, &kernel, name).code.raw(*slot).unwrap();
            match holds {
                Off(off) => assert_eq!(raw.off, *off, "{name} slot {slot}"),
                Imm(imm) => assert_eq!(raw.imm, *imm, "{name} slot {slot}"),
                Bad => assert_eq!((raw.code, raw.src, raw.imm), (0x85, 0, UNRESOLVED_CALL), "{name} slot {slot}"),
            }
        }
    }
}

#[test]
fn accesses_get_the_size_of_the_kernels_field() {
    for [object, kernel] in both!("core", "core_kernel") {
        let code = link(&object, &kernel, "resized").code;
        // A store of four bytes, a load of eight.
        assert_eq!((code.raw(1).unwrap().code, code.raw(2).unwrap().code), (0x63, 0x79));
    }
}

#[test]
fn big_endian_bit_fields_shift_by_what_is_before_them() {
    let [_, [object, kernel]] = both!("core", "core_kernel");
    let code = link(&object, &kernel, "bit_field").code;
    // 30 bits of the loaded 64 come first.
    assert_eq!((code.raw(6).unwrap().imm, code.raw(8).unwrap().imm), (30, 57));
}

#[test]
fn what_finds_nothing_is_named_as_libbpf_names_it() {
    let [[object, kernel], _] = both!("core", "core_kernel");
    let named = |name: &str| link(&object, &kernel, name).info.as_ref().unwrap().unresolved.clone();
    assert_eq!(named("missing"), [(0, "<byte_off> [2] struct task.gone (0:7 @ offset 44)".to_owned())]);
    assert_eq!(named("enum_missing"), [(0, "<enumval_value> [50] enum color::PINK = 3".to_owned())]);
    assert_eq!(named("guarded").len(), 1);
    assert_eq!(named("offsets"), []);
}

#[test]
fn without_a_kernels_types_only_local_ones_are_numbered() {
    for [object, _] in both!("core", "core_kernel") {
        let program = object.program("local_id", &Options::default()).unwrap();
        let btf = object.btf().unwrap();
        assert_eq!(btf.name(TypeId(program.code.raw(0).unwrap().imm.cast_unsigned())), "task");
        for entry in object.programs().iter().filter(|entry| entry.name != "local_id") {
            let error = object.program(&entry.name, &Options::default()).unwrap_err();
            assert!(matches!(error, ObjectError::NeedsCoRe { .. }), "{}: {error}", entry.name);
        }
    }
}

#[test]
fn answers_that_differ_are_an_error() {
    // Against its own types nothing moves; then a second `task` of the kernel has the same member elsewhere.
    let [[object, kernel], _] = both!("core", "core_kernel");
    let own = Some(Arc::new(CoreTarget::new(object.btf().unwrap().clone())));
    let linked = object.program("offsets", &Options { core: own, ..Options::default() }).unwrap();
    assert_eq!(linked.code.raw(1).unwrap().off, 20);
    let mut twice = (**kernel.btf().unwrap()).clone();
    let name = twice.types()[twice.find("task", Kind::Struct).unwrap().index()].name();
    let other = twice.find("inner", Kind::Struct).unwrap();
    twice.for_each_mut(|id, ty| {
        if let (true, Type::Struct(inner)) = (id == other, ty) {
            inner.name = name;
        }
    });
    let pid = twice.types().iter().find_map(|ty| match ty {
        Type::Struct(c) => c.members.iter().find(|m| twice.string(m.name) == "pid").copied(),
        _ => None,
    });
    let pid = pid.unwrap();
    twice.for_each_mut(|id, ty| {
        if let (true, Type::Struct(inner)) = (id == other, ty) {
            inner.members[0] = Member { bit_offset: 0, ..pid };
        }
    });
    let core = Some(Arc::new(CoreTarget::new(Arc::new(twice))));
    let error = object.program("offsets", &Options { core, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("has several answers"), "{error}");
}

/// Line by line as libbpf 1.1 logs the little-endian object: `data/core.log` is its output, without what is no matter of relocations.
#[test]
fn the_log_is_libbpfs() {
    let [[object, kernel], _] = both!("core", "core_kernel");
    let names: Vec<String> = object.programs().iter().map(|program| program.name.clone()).collect();
    let core = Some(Arc::new(CoreTarget::new(kernel.btf().unwrap().clone())));
    let options = Options { core, ..Options::default() };
    let ours = object.relocation_log(&names, &options).unwrap();
    let theirs: Vec<&str> = include_str!("../data/core.log").lines().collect();
    assert!(theirs.len() > 100);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
    // The programs alone have what is theirs.
    let one = object.relocation_log(&names[..1], &options).unwrap();
    assert_eq!(one[..], ours[..one.len()]);
    assert!(one.len() < ours.len());
    assert!(object.relocation_log(&["none".to_owned()], &options).is_err());
    assert!(matches!(object.relocation_log(&names, &Options::default()), Err(ObjectError::NeedsCoRe { .. })));
}
