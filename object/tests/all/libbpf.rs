//! Whole programs as libbpf 1.7 prepares them: `data/libbpf.tsv`, which `ring3-core --record object/tests/data/core_kernel.el.bpf.o`
//! printed of the objects of `examples/bpf` and of those here (of big-endian ones with the types of `core_kernel.eb.bpf.o`), but for
//! functions of the running kernel, and for a bit field of a big-endian object, which libbpf shifts as its own machine would.

use std::path::Path;
use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_isa::{Insn, RawInsn, Wide};
use ring3_object::{Object, Options};
use ring3_platform::{ProgType, Program};

/// FNV-1a over all slots; a map's number gives way to its name from the last dot on.
fn digest(program: &Program) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut bytes = |bytes: &[u8]| {
        bytes.iter().for_each(|byte| hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    };
    for slot in 0..program.code.len() {
        let mut raw: RawInsn = program.code.raw(slot).unwrap();
        if let Some(Ok(Insn::LoadImm { value: Wide::Map(map) | Wide::MapValue { map, .. }, .. })) =
            program.code.get(slot)
        {
            let name = &program.maps[map as usize].name;
            bytes(name.rfind('.').map_or(name.as_str(), |at| &name[at..]).as_bytes());
            raw.imm = 0;
        }
        bytes(&[raw.code, raw.dst, raw.src]);
        bytes(&raw.off.to_le_bytes());
        bytes(&raw.imm.to_le_bytes());
    }
    hash
}

#[test]
fn programs_are_what_libbpf_makes_of_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let object = |path: &str| Object::parse(path, &std::fs::read(root.join(path)).unwrap()).unwrap();
    let kernel = |order: &str| {
        let kernel = object(&format!("object/tests/data/core_kernel.{order}.bpf.o"));
        Some(Arc::new(CoreTarget::new(kernel.btf().unwrap().clone())))
    };
    let (little, big) = (kernel("el"), kernel("eb"));
    let mut count = 0;
    for line in include_str!("../data/libbpf.tsv").lines() {
        let [file, name, slots, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let object = object(file);
        let entry = object.programs().iter().find(|entry| entry.name == name).unwrap();
        let kind = entry.matched.is_none().then_some(ProgType::SocketFilter);
        let core = if file.contains(".eb.") { big.clone() } else { little.clone() };
        let program = object.program(name, &Options { core, kind, ..Options::default() });
        let program = program.unwrap_or_else(|error| panic!("{file} {name}: {error}"));
        assert_eq!(program.code.len().to_string(), slots, "{file} {name}");
        assert_eq!(format!("{:016x}", digest(&program)), expected, "{file} {name}");
        count += 1;
    }
    assert!(count > 100, "{count} programs");
}
