//! A workload as peers get it, and `rbpf`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rbpf::EbpfVmMbuff;
use ring3_isa::{Callee, Code, Endianness, Insn, Operand, Size, Wide, Width};
use ring3_verifier::{Region, VerifiedProgram};
use ring3_vm::maps::{self, Map};

use crate::engine::{SEED, next_random};

/// Helpers that are comparable: `bpf_map_lookup_elem`, `bpf_map_update_elem` and `bpf_get_prandom_u32`.
pub(crate) const LOOKUP: i32 = 1;
pub(crate) const UPDATE: i32 = 2;
pub(crate) const PRANDOM: i32 = 7;

/// A program as its peers get it, with its maps.
#[derive(Debug)]
pub struct Prepared {
    /// Its instructions, in which the addresses of maps and of their values are plain numbers.
    pub code: Code,
    bytes: Vec<u8>,
    /// Programs hold the addresses of these.
    #[allow(clippy::vec_box)]
    maps: Vec<Box<Arc<dyn Map>>>,
}

impl Prepared {
    /// Its maps.
    pub fn maps(&self) -> impl Iterator<Item = &Arc<dyn Map>> {
        self.maps.iter().map(Box::as_ref)
    }
}

/// Prepares a program; `None` if it has something that `rbpf` does not run.
pub fn prepare(verified: &VerifiedProgram) -> Option<Prepared> {
    let program = verified.program();
    // All frames of `rbpf` share 512 bytes, of which it gives 256 to each. It would not notice one that takes more, because it is
    // allowed all memory below.
    let subprogs = &verified.facts().subprogs;
    if subprogs.len() > 1 && subprogs.iter().any(|subprog| subprog.stack_depth > 0) {
        return None;
    }
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
            Insn::LoadImm { dst, value: Wide::MapValue { map, off } } => {
                let map: &Arc<dyn Map> = maps.get(usize::try_from(map).ok()?)?;
                let start = map.lookup_ptr(&[0; 4], 0)?.as_ptr().expose_provenance() as u64;
                Insn::LoadImm { dst, value: Wide::Imm(start + u64::from(off)) }
            }
            // `rbpf` does not extend the sign of what it compares with.
            Insn::Branch { width: Width::W64, rhs: Operand::Imm(i32::MIN..0), .. } => return None,
            Insn::LoadImm { value: Wide::Imm(_), .. }
            | Insn::Call(Callee::Helper(LOOKUP | UPDATE | PRANDOM) | Callee::Local(_)) => insn,
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
    let code = Code::from_insns(insns);
    Some(Prepared { bytes: code.to_bytes(Endianness::Little), code, maps })
}

/// The map at an address that `prepare` put into a program.
///
/// # Safety
///
/// The `Prepared` program is still there.
unsafe fn map_at<'a>(map: u64) -> &'a Arc<dyn Map> {
    // SAFETY: by the caller.
    unsafe { &*std::ptr::with_exposed_provenance::<Arc<dyn Map>>(map as usize) }
}

/// # Safety
///
/// So many bytes are there.
unsafe fn bytes_at<'a>(addr: u64, bytes: u32) -> &'a [u8] {
    // SAFETY: by the caller.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(addr as usize), bytes as usize) }
}

/// `bpf_map_lookup_elem` on a map of ring3.
pub(crate) fn lookup(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: only prepared programs call this; the verifier proved that a key is there.
    let (map, key) = unsafe {
        let map = map_at(map);
        (map, bytes_at(key, map.def().key_size))
    };
    map.lookup_ptr(key, 0).map_or(0, |value| value.as_ptr().expose_provenance() as u64)
}

/// `bpf_map_update_elem` on a map of ring3.
pub(crate) fn update(map: u64, key: u64, value: u64, flags: u64, _: u64) -> u64 {
    // SAFETY: only prepared programs call this; the verifier proved that a key and a value are there.
    let (map, key, value) = unsafe {
        let map = map_at(map);
        (map, bytes_at(key, map.def().key_size), bytes_at(value, map.def().value_size))
    };
    match map.update(key, value, flags, 0) {
        Ok(()) => 0,
        Err(_) => u64::MAX,
    }
}

/// What the peers' random numbers come from: their helpers get nothing that could hold it. Each run starts with the seed.
static RANDOM: AtomicU64 = AtomicU64::new(SEED);

pub(crate) fn prandom(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    // Loads and stores of their own, as one thread measures.
    let mut state = RANDOM.load(Ordering::Relaxed);
    let number = next_random(&mut state);
    RANDOM.store(state, Ordering::Relaxed);
    number.into()
}

/// A machine with the program loaded; machine code is made by `jit_compile` of the result.
pub fn load(prepared: &Prepared) -> Result<EbpfVmMbuff<'_>, std::io::Error> {
    let mut vm = EbpfVmMbuff::new(Some(&prepared.bytes))?;
    vm.register_helper(LOOKUP as u32, lookup)?;
    vm.register_helper(UPDATE as u32, update)?;
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

    /// Writes the addresses into the context, as ring3 does before each run, and starts the random numbers.
    pub(crate) fn refresh(&mut self) {
        RANDOM.store(SEED, Ordering::Relaxed);
        let range = self.packet.as_ptr_range();
        self.context[..8].copy_from_slice(&(range.start as u64).to_ne_bytes());
        self.context[8..].copy_from_slice(&(range.end as u64).to_ne_bytes());
    }

    /// The context: addresses of the start and of the end of the packet.
    pub(crate) fn context(&self) -> &[u8; 16] {
        &self.context
    }

    pub(crate) fn context_mut(&mut self) -> &mut [u8; 16] {
        &mut self.context
    }

    pub(crate) fn packet_mut(&mut self) -> &mut [u8] {
        &mut self.packet
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
