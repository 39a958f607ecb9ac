//! A workload on `rbpf`.

use std::sync::Arc;

use rbpf::EbpfVmMbuff;
use ring3_isa::{Callee, Code, Endianness, Insn, Size, Wide};
use ring3_verifier::{Region, VerifiedProgram};
use ring3_vm::maps::{self, Map};

use crate::engine::RANDOM;

/// Helpers that are comparable: `bpf_map_lookup_elem` and `bpf_get_prandom_u32`.
const LOOKUP: i32 = 1;
const PRANDOM: i32 = 7;

/// A program as `rbpf` gets it, with its maps.
#[derive(Debug)]
pub struct Prepared {
    code: Vec<u8>,
    /// Programs hold the addresses of these.
    #[allow(clippy::vec_box, dead_code)]
    maps: Vec<Box<Arc<dyn Map>>>,
}

/// Prepares a program; `None` if it has something that `rbpf` does not run.
pub fn prepare(verified: &VerifiedProgram) -> Option<Prepared> {
    let program = verified.program();
    let create = |def| maps::create(def, verified.target().cpus).ok().map(Box::new);
    let maps: Vec<Box<Arc<dyn Map>>> = program.maps.iter().map(create).collect::<Option<_>>()?;
    let mut insns = Vec::with_capacity(program.code.len());
    for slot in 0..program.code.len() {
        let insn = program.code.get(slot)?.ok()?;
        let region = verified.facts().insns.get(slot)?.region;
        insns.push(match insn {
            Insn::Load { size: Size::W, dst, base, off, signed: false } if region == Region::Ctx && off <= 4 => {
                Insn::Load { size: Size::Dw, dst, base, off: off * 2, signed: false }
            }
            Insn::LoadImm { dst, value: Wide::Map(map) } => {
                let map: &Arc<dyn Map> = maps.get(usize::try_from(map).ok()?)?;
                Insn::LoadImm { dst, value: Wide::Imm(std::ptr::from_ref(map).expose_provenance() as u64) }
            }
            Insn::LoadImm { value: Wide::Imm(_), .. }
            | Insn::Call(Callee::Helper(LOOKUP | PRANDOM) | Callee::Local(_)) => insn,
            Insn::LoadImm { .. }
            | Insn::Call(_)
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::MovSx { .. }
            | Insn::Load { signed: true, .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::MayGoto { .. }
            | Insn::CallX { .. }
            | Insn::GotoX { .. }
            | Insn::LegacyPacket { .. }
            | Insn::Jump { long: true, .. } => return None,
            Insn::Alu { .. }
            | Insn::Mov { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::WideTail
            | Insn::Load { signed: false, .. }
            | Insn::Store { .. }
            | Insn::Jump { long: false, .. }
            | Insn::Branch { .. }
            | Insn::Exit => insn,
        });
    }
    Some(Prepared { code: Code::from_insns(insns).to_bytes(Endianness::Little), maps })
}

/// `bpf_map_lookup_elem` on a map of ring3.
fn lookup(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: `prepare` put the address of a map into the program, which keeps it.
    let map = unsafe { &*std::ptr::with_exposed_provenance::<Arc<dyn Map>>(map as usize) };
    let bytes = map.def().key_size as usize;
    // SAFETY: the verifier proved that so many bytes are there.
    let key = unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(key as usize), bytes) };
    map.lookup_ptr(key, 0).map_or(0, |value| value.as_ptr().expose_provenance() as u64)
}

fn prandom(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    RANDOM.into()
}

/// A machine with the program loaded; machine code is made by `jit_compile` of the result.
pub fn load(prepared: &Prepared) -> Result<EbpfVmMbuff<'_>, std::io::Error> {
    let mut vm = EbpfVmMbuff::new(Some(&prepared.code))?;
    vm.register_helper(LOOKUP as u32, lookup)?;
    vm.register_helper(PRANDOM as u32, prandom)?;
    vm.register_allowed_memory(0..u64::MAX);
    Ok(vm)
}

/// A packet, and the context that `rbpf` programs find it by.
#[derive(Clone, Debug)]
pub struct Input {
    packet: Vec<u8>,
    context: [u8; 16],
}

impl Input {
    /// A copy of this packet.
    pub fn new(packet: &[u8]) -> Input {
        Input { packet: packet.to_vec(), context: [0; 16] }
    }

    /// Writes the addresses into the context, as ring3 does before each run.
    fn refresh(&mut self) {
        let range = self.packet.as_ptr_range();
        self.context[..8].copy_from_slice(&(range.start as u64).to_ne_bytes());
        self.context[8..].copy_from_slice(&(range.end as u64).to_ne_bytes());
    }

    /// The packet.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }
}

/// One run of the interpreter: R0, `None` if it failed.
pub fn interpret(vm: &EbpfVmMbuff<'_>, input: &mut Input) -> Option<u64> {
    input.refresh();
    vm.execute_program(&input.packet, &input.context).ok()
}

/// One run of machine code: R0, `None` if there is none.
///
/// # Safety
///
/// The verifier accepted the program that `vm` was loaded with.
pub unsafe fn execute(vm: &EbpfVmMbuff<'_>, input: &mut Input) -> Option<u64> {
    input.refresh();
    let context = input.context.as_mut_ptr();
    // SAFETY: the context is alive for the call; `rbpf` asks for a longer life than it needs.
    let context = unsafe { std::slice::from_raw_parts_mut(context, input.context.len()) };
    // SAFETY: by the caller.
    unsafe { vm.execute_program_jit(&mut input.packet, context) }.ok()
}
