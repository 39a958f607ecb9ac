//! The BTF of a generated program: a name and a type for each function, without which Linux takes no callbacks.

use std::sync::Arc;

use ring3_btf::{Btf, BtfError, FuncEntry, Kind, Linkage, ProgramInfo};

/// First half-word of BTF.
const MAGIC: u16 = 0xeb9f;
/// Id of the first function: `int` is type 1 and `int (*)(void)` type 2.
pub const FIRST_FUNC: u32 = 3;

fn name(function: usize) -> String {
    if function == 0 { "generated".to_owned() } else { format!("f{function}") }
}

/// BTF with so many functions (`Documentation/bpf/btf.rst`).
pub fn function_types(functions: usize) -> Vec<u8> {
    let mut strings = b"\0int\0".to_vec();
    let mut types: Vec<u32> = Vec::new();
    let kind = |kind: Kind| (kind as u32) << 24;
    // Name, kind, size, and that it is signed with 32 bits.
    types.extend([1, kind(Kind::Int), 4, 1 << 24 | 32]);
    types.extend([0, kind(Kind::FuncProto), 1]);
    for function in 0..functions {
        let linkage = u32::from(function == 0);
        types.extend([strings.len() as u32, kind(Kind::Func) | linkage, 2]);
        strings.extend(name(function).bytes().chain([0]));
    }
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    bytes.extend([1, 0]);
    for word in [24, 0, types.len(), types.len(), strings.len()] {
        bytes.extend((word as u32).to_le_bytes());
    }
    [bytes, types, strings].concat()
}

/// What a program with functions at these slots says of itself.
pub fn program_info(starts: &[usize]) -> Result<ProgramInfo, BtfError> {
    Ok(info_with(Arc::new(Btf::parse(&function_types(starts.len()))?), starts))
}

/// The same with this BTF, which has that many functions.
pub(super) fn info_with(btf: Arc<Btf>, starts: &[usize]) -> ProgramInfo {
    let funcs = starts.iter().enumerate().map(|(function, slot)| FuncEntry {
        slot: *slot as u32,
        name: name(function).into(),
        type_id: ring3_btf::TypeId(FIRST_FUNC + function as u32),
        linkage: if function == 0 { Linkage::Global } else { Linkage::Static },
    });
    ProgramInfo { funcs: funcs.collect(), btf, lines: Vec::new(), unresolved: Vec::new(), pending: Vec::new() }
}
