//! Lowering: from the decoded instructions of a program to the operations that the engines execute.
//!
//! The verifier never edits a program; all rewriting is here. What it does: jump targets become absolute, a wide load
//! becomes one operation, code that the proof never reached goes, branches that always go one way become jumps or nothing,
//! and accesses of the context become accesses of the run-time context, where each field has a slot of its own.
//! Values that depend on the maps (`Fixup`) are filled in by `link`.

mod formats;
pub mod op;
mod unset;

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_btf::Btf;
use ring3_isa::{Callee, CmpOp, Code, Insn, Operand, Reg, RegSet, Size, Wide, Width};
use ring3_platform::helpers::id;
use ring3_platform::kfuncs::base_name;
use ring3_platform::{AttachType, CtxField, CtxLayout, HelperId, ProgType, Program, Yields, ctx};
use ring3_platform::{MapDef, MapFlags, MapType};
use ring3_verifier::{
    CpuVariable, Direction, Facts, MapUse, Region, VerifiedProgram, cpu_variable, exception_callback,
};

use crate::env::Callback;
use crate::error::LowerError;
use crate::guarded::{Action, Guarded, Space};
use crate::helpers::kfuncs;
use unset::Unset;

pub use op::{Op, Target};

/// Number of `bpf_tail_call`, which is an operation of its own.
pub(crate) const TAIL_CALL: i32 = 12;
/// The function of the kernel that ends a program from anywhere in it.
const THROW: &str = "bpf_throw";
/// In a cast of address spaces: what becomes an address that the program goes to.
const TO_KERNEL: i32 = 1;
/// Operations of a program, at most: the verifier's limit on instructions.
pub const MAX_OPS: usize = 1_000_000;

/// A value that `link` writes into a `LoadImm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fixup {
    /// Which operation.
    pub op: usize,
    /// What it loads.
    pub value: FixupValue,
}

/// What a `Fixup` stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FixupValue {
    /// The handle of a map.
    Map(usize),
    /// The address of a byte of a map's first value.
    MapValue(usize, u32),
    /// The address of a variable of the kernel.
    Variable(usize),
}

/// One function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subprog {
    /// Its first operation.
    pub entry: Target,
    /// One past its last operation.
    pub end: Target,
    /// Bytes of stack that it uses; unverified programs get all of a frame.
    pub stack_depth: u32,
}

/// A program of operations, before it is linked with maps and helpers.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The operations.
    pub ops: Vec<Op>,
    /// For each operation the slot that it came from.
    pub slots: Vec<u32>,
    /// Functions; the main one is the first.
    pub subprogs: Vec<Subprog>,
    /// Helpers that are called; `Op::CallHelper` is an index into this.
    pub helpers: Vec<HelperId>,
    /// For each operation the memory that it accesses, over all paths; empty if nobody proved anything.
    pub regions: Vec<Region>,
    /// What `link` fills in.
    pub fixups: Vec<Fixup>,
    /// Calls of `bpf_map_lookup_elem` that always use the same map: operation and map, in the order of operations.
    pub lookups: Vec<(Target, u32)>,
    /// Accesses may be of memory of the kernel.
    pub wary: bool,
    /// Variables of the kernel that it names, of those that each CPU has for itself.
    pub variables: Vec<CpuVariable>,
    /// How many CPUs the proof is about; 1 without one.
    pub cpus: u32,
}

/// Lowers a program that was proved safe.
pub fn lower(program: &VerifiedProgram) -> Result<Lowered, LowerError> {
    let (source, facts) = (program.program(), program.facts());
    if facts.insns.len() != source.code.len() {
        return Err(LowerError::FactsMismatch { facts: facts.insns.len(), code: source.code.len() });
    }
    let subprogs = facts.subprogs.iter().map(|s| (s.start, s.stack_depth)).collect();
    let context = CtxRules::of(source.kind, source.attach);
    let mut lowering = Lowering::new(&source.code, Some((facts, context)), source.maps.len(), subprogs);
    lowering.set_program(source);
    lowering.set_target(program.target());
    lowering.run()
}

/// Lowers a program that nobody proved anything about, for the checked interpreter: context accesses stay as they are, and
/// every function may use a whole frame.
pub fn lower_unverified(code: &Code, maps: usize) -> Result<Lowered, LowerError> {
    Lowering::new(code, None, maps, whole_frames(code)?).run()
}

/// Lowers a program that was proved safe as if it had not been, but for accesses of memory that may not be there.
pub(crate) fn lower_checked(program: &VerifiedProgram) -> Result<Lowered, LowerError> {
    let (source, facts) = (program.program(), program.facts());
    let mut starts = whole_frames(&source.code)?;
    // No instruction refers to it.
    if let Some(catcher) = exception_callback(source)
        && let Err(at) = starts.binary_search_by_key(&catcher, |(start, _)| *start)
    {
        starts.insert(at, (catcher, crate::interp::FRAME_BYTES));
    }
    let mut lowering = Lowering::new(&source.code, None, source.maps.len(), starts);
    lowering.guarded = Some(facts);
    lowering.set_program(source);
    lowering.set_target(program.target());
    lowering.run()
}

/// All functions of a program, each with a whole frame.
fn whole_frames(code: &Code) -> Result<Vec<(usize, u32)>, LowerError> {
    let mut starts: BTreeMap<usize, u32> = BTreeMap::from([(0, crate::interp::FRAME_BYTES)]);
    for slot in 0..code.len() {
        let off = match code.get(slot) {
            Some(Ok(Insn::Call(Callee::Local(off)) | Insn::LoadImm { value: Wide::Func(off), .. })) => off,
            _ => continue,
        };
        starts.insert(resolve(code, slot, off)?, crate::interp::FRAME_BYTES);
    }
    Ok(starts.into_iter().collect())
}

/// The slot that an offset from `slot` leads to.
fn resolve(code: &Code, slot: usize, off: i32) -> Result<usize, LowerError> {
    let target = slot as i64 + 1 + i64::from(off);
    match usize::try_from(target) {
        Ok(at) if at < code.len() && !code.is_tail(at) => Ok(at),
        Ok(_) | Err(_) => Err(LowerError::BadTarget { slot, target }),
    }
}

/// Fields of `__sk_buff` of which a write changes only the lower half.
const NARROW: [&str; 2] = ["tc_index", QUEUE_MAPPING];
const QUEUE_MAPPING: &str = "queue_mapping";
/// Queue numbers from here on are none (`NO_QUEUE_MAPPING`).
const NO_QUEUE_MAPPING: i32 = 0xffff;

/// How accesses of the context of one program are converted.
#[derive(Clone, Copy, Debug)]
pub struct CtxRules {
    kind: ProgType,
    attach: Option<AttachType>,
    layout: Option<&'static CtxLayout>,
}

impl CtxRules {
    /// Those of a program type. Types whose context is described by BTF access the run-time context as it is.
    pub fn of(kind: ProgType, attach: Option<AttachType>) -> CtxRules {
        CtxRules {
            kind,
            attach: kind.effective_attach(attach),
            layout: ctx::layout(kind).filter(|layout| !layout.identity),
        }
    }

    /// The table of a context that is not accessed as it is.
    pub(crate) fn layout(&self) -> Option<&'static CtxLayout> {
        self.layout
    }

    /// The field that an access of the UAPI struct is of, and its offset in the run-time context.
    fn field(&self, off: i32, size: Size, write: bool) -> Option<(i32, &'static CtxField)> {
        let layout = self.layout?;
        let index = layout.field_index(self.kind, self.attach, i64::from(off), size.bytes(), write)?;
        Some((i32::try_from(layout.host_offset(index)).ok()?, &layout.fields[index]))
    }

    /// Offset and size in the run-time context of an access of the UAPI struct. `None`: there is no such access.
    ///
    /// The part of a field lies at the same distance from the start of its slot, as the hosts are little-endian; only
    /// fields that hold addresses are 8 bytes wide whatever the UAPI struct says.
    pub fn convert(&self, off: i32, size: Size, write: bool) -> Option<(i32, Size)> {
        if self.layout.is_none() {
            return Some((off, size));
        }
        let (slot, field) = self.field(off, size, write)?;
        match field.yields {
            // The kernel keeps 16 bits of these 32.
            Yields::Scalar if write && NARROW.contains(&field.name) => Some((slot, Size::H)),
            Yields::Scalar => Some((slot + off - i32::from(field.off), size)),
            Yields::Packet
            | Yields::PacketEnd
            | Yields::PacketMeta
            | Yields::FlowKeys
            | Yields::SockCommonOrNull
            | Yields::Sock
            | Yields::SockOrNull
            | Yields::TpBuffer
            | Yields::Btf(_) => Some((slot, Size::Dw)),
        }
    }
}

struct Lowering<'a> {
    code: &'a Code,
    proof: Option<(&'a Facts, CtxRules)>,
    maps: usize,
    /// First slots of functions and their stack depths, sorted, main first.
    starts: Vec<(usize, u32)>,
    /// For each slot the operation that stands for it or follows it.
    op_at: Vec<Target>,
    out: Lowered,
    /// Operations with a target, which is a slot until the end.
    jumps: Vec<(usize, usize)>,
    /// Has the names of functions of the kernel.
    program: Option<&'a Program>,
    /// The kernel's types.
    types: Option<&'a Btf>,
    /// Tells which accesses may be of memory that is not there.
    guarded: Option<&'a Facts>,
    /// Where the function begins that runs when the program throws.
    catcher: Option<usize>,
    /// Some function other than the main one throws.
    throws_below: bool,
    /// What is printed although nobody set it.
    unset: Unset,
}

impl<'a> Lowering<'a> {
    fn new(code: &'a Code, proof: Option<(&'a Facts, CtxRules)>, maps: usize, starts: Vec<(usize, u32)>) -> Self {
        let ops = Vec::with_capacity(code.len());
        let out = Lowered {
            ops,
            slots: Vec::new(),
            subprogs: Vec::new(),
            helpers: Vec::new(),
            regions: Vec::new(),
            fixups: Vec::new(),
            lookups: Vec::new(),
            wary: false,
            variables: Vec::new(),
            cpus: 1,
        };
        Lowering {
            code,
            proof,
            maps,
            starts,
            op_at: Vec::with_capacity(code.len() + 1),
            out,
            jumps: Vec::new(),
            program: None,
            types: None,
            guarded: proof.map(|(facts, _)| facts),
            catcher: None,
            throws_below: false,
            unset: Unset::default(),
        }
    }

    fn set_target(&mut self, target: &'a ring3_platform::Target) {
        self.types = target.btf.as_deref();
        self.out.cpus = target.cpus.min(crate::maps::MAX_CPUS);
    }

    fn set_program(&mut self, program: &'a Program) {
        self.program = Some(program);
        self.catcher = exception_callback(program);
        let first_below = self.starts.get(1).map_or(self.code.len(), |(start, _)| *start);
        self.throws_below = (first_below..self.code.len()).any(|slot| {
            let called = match self.code.get(slot) {
                Some(Ok(Insn::Call(Callee::Kfunc { id, off }))) => program.kfunc(id, off),
                _ => None,
            };
            called.is_some_and(|kfunc| base_name(&kfunc.name) == THROW)
        });
    }

    fn run(mut self) -> Result<Lowered, LowerError> {
        if self.code.is_empty() || self.starts.is_empty() {
            return Err(LowerError::Empty);
        }
        if self.code.len() > MAX_OPS {
            return Err(LowerError::TooMany { what: "instructions", limit: MAX_OPS });
        }
        self.unset = Unset::of(self.code, self.program, &self.starts);
        // Jumps to the first instruction lead behind these.
        self.zeros(0, self.unset.at_start(0));
        for slot in 0..self.code.len() {
            self.op_at.push(self.out.ops.len() as Target);
            if self.code.is_tail(slot) {
                continue;
            }
            let dead = self.guarded.is_some_and(|facts| facts.insns.get(slot).is_none_or(|insn| !insn.seen));
            if dead {
                if self.proof.is_none() {
                    // Linux took no look at it either. Who comes here after all, against the proof, leaves the program and is stopped.
                    self.push(slot, Op::Jump { target: Target::MAX });
                }
                continue;
            }
            let insn = match self.code.get(slot) {
                Some(Ok(insn)) => insn,
                Some(Err(what)) => return Err(LowerError::Malformed { slot, what }),
                None => continue,
            };
            if insn.defs().contains(Reg::FP) {
                return Err(LowerError::WritesFramePointer { slot });
            }
            if self.guarded.is_some_and(|facts| facts.insns[slot].region == Region::Map) {
                return Err(LowerError::Unsupported { slot, what: "a field of the kernel's structure of a map" });
            }
            if let Some(op) = self.op(slot, insn)? {
                self.push(slot, op);
                self.zeros(slot, self.unset.behind(slot));
            }
        }
        self.op_at.push(self.out.ops.len() as Target);
        self.set_targets();
        self.set_subprogs();
        if let Some((facts, _)) = self.proof {
            let region = |slot: &u32| facts.insns.get(*slot as usize).map_or(Region::None, |insn| insn.region);
            self.out.regions = self.out.slots.iter().map(region).collect();
        }
        Ok(self.out)
    }

    /// The operation for an instruction, or nothing where none is needed.
    fn op(&mut self, slot: usize, insn: Insn) -> Result<Option<Op>, LowerError> {
        Ok(Some(match insn {
            Insn::Alu { width, op, dst, src } => Op::Alu { width, op, dst, src },
            Insn::Mov { width, dst, src } => Op::Mov { width, dst, src },
            Insn::MovSx { width, from, dst, src } => Op::MovSx { width, from, dst, src },
            // Nobody says which arena it is about.
            Insn::AddrSpaceCast { .. } if self.program.is_none() => {
                return Err(LowerError::Unsupported { slot, what: "a cast of address spaces" });
            }
            Insn::AddrSpaceCast { dst, src, imm } if imm == TO_KERNEL || self.has_plain_arena() => {
                Op::Mov { width: Width::W32, dst, src: Operand::Reg(src) }
            }
            Insn::AddrSpaceCast { dst, src, .. } => {
                let access = Guarded::new(Action::ToUser, Size::Dw, Space::Arena);
                Op::Guarded { access, base: src, off: 0, value: Operand::Reg(dst) }
            }
            Insn::Neg { width, dst } => Op::Neg { width, dst },
            Insn::Endian { op, size, dst } => Op::Endian { op, size, dst },
            Insn::LoadImm { dst, value } => Op::LoadImm { dst, value: self.wide(slot, value)? },
            Insn::WideTail => return Ok(None),
            Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
                if self.may_fault(slot).is_some() =>
            {
                let space = self.may_fault(slot).unwrap_or(Space::Kernel);
                self.out.wary |= space == Space::Kernel;
                return Ok(guarded(insn, space));
            }
            Insn::Load { size, signed, dst, base, off } => {
                let (off, size) = self.access(slot, off, size, false)?;
                Op::Load { size, signed: signed && size != Size::Dw, dst, base, off }
            }
            Insn::Store { size, base, off, src } => {
                if self.is_queue_mapping(slot, off, size) && self.skips_large(slot, src)? {
                    return Ok(None);
                }
                let (off, size) = self.access(slot, off, size, true)?;
                Op::Store { size, base, off, src }
            }
            Insn::Atomic { op, size, base, off, src } => Op::Atomic { op, size, base, off: off.into(), src },
            Insn::LoadAcquire { size, dst, base, off } => Op::LoadAcquire { size, dst, base, off: off.into() },
            Insn::StoreRelease { size, base, off, src } => Op::StoreRelease { size, base, off: off.into(), src },
            Insn::Jump { off, long: _ } => return self.jump(slot, off),
            Insn::Branch { width, op, lhs, rhs, off } => {
                let off = i32::from(off);
                match self.direction(slot) {
                    Direction::Taken => return self.jump(slot, off),
                    Direction::NotTaken => return Ok(None),
                    Direction::None | Direction::Both => {
                        Op::Branch { width, op, lhs, rhs, target: self.target(slot, off)? }
                    }
                }
            }
            Insn::MayGoto { off } => Op::MayGoto { target: self.target(slot, off.into())? },
            Insn::Call(callee) => self.call(slot, callee)?,
            Insn::CallX { .. } => return Err(LowerError::Unsupported { slot, what: "a call by register" }),
            Insn::GotoX { .. } => return Err(LowerError::Unsupported { slot, what: "a jump to an address" }),
            Insn::Exit => self.exit(slot),
            Insn::LegacyPacket { size, index, imm } => Op::LegacyPacket { size, index, imm },
        }))
    }

    fn direction(&self, slot: usize) -> Direction {
        self.proof.map_or(Direction::Both, |(facts, _)| facts.insns[slot].direction)
    }

    /// Whose memory it is that may not be there.
    fn may_fault(&self, slot: usize) -> Option<Space> {
        match self.guarded?.insns.get(slot)?.region {
            Region::Kernel => Some(Space::Kernel),
            Region::Arena => Some(Space::Arena),
            Region::None
            | Region::Ctx
            | Region::Stack
            | Region::MapValue
            | Region::MapKey
            | Region::Packet
            | Region::Mem
            | Region::Map
            | Region::Mixed => None,
        }
    }

    /// Whether addresses of the arena are not those of user space.
    fn has_plain_arena(&self) -> bool {
        let plain = |map: &Arc<MapDef>| map.kind == MapType::Arena && map.flags.has(MapFlags::NO_USER_CONV);
        self.program.is_some_and(|program| program.maps.iter().any(plain))
    }

    fn map_use(&self, slot: usize) -> MapUse {
        self.proof.map_or(MapUse::None, |(facts, _)| facts.insns[slot].map)
    }

    fn jump(&mut self, slot: usize, off: i32) -> Result<Option<Op>, LowerError> {
        if off == 0 && self.code.len() > slot + 1 {
            return Ok(None);
        }
        Ok(Some(Op::Jump { target: self.target(slot, off)? }))
    }

    /// Notes that the operation about to be pushed has a target; gives a placeholder.
    fn target(&mut self, slot: usize, off: i32) -> Result<Target, LowerError> {
        let to = resolve(self.code, slot, off)?;
        self.jumps.push((self.out.ops.len(), to));
        Ok(0)
    }

    fn set_targets(&mut self) {
        for &(op, to) in &self.jumps {
            let to = self.op_at[to];
            match &mut self.out.ops[op] {
                Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target } => *target = to,
                Op::Alu { .. }
                | Op::Mov { .. }
                | Op::MovSx { .. }
                | Op::Neg { .. }
                | Op::Endian { .. }
                | Op::LoadImm { .. }
                | Op::Load { .. }
                | Op::Store { .. }
                | Op::Atomic { .. }
                | Op::LoadAcquire { .. }
                | Op::StoreRelease { .. }
                | Op::Guarded { .. }
                | Op::CallHelper { .. }
                | Op::TailCall
                | Op::CallLocal { .. }
                | Op::Exit
                | Op::LegacyPacket { .. } => {}
            }
        }
    }

    fn set_subprogs(&mut self) {
        for (i, &(start, stack_depth)) in self.starts.iter().enumerate() {
            let end = self.starts.get(i + 1).map_or(self.out.ops.len() as Target, |&(next, _)| self.op_at[next]);
            // What comes before the first instruction of all belongs to the main function.
            let entry = if start == 0 { 0 } else { self.op_at[start] };
            self.out.subprogs.push(Subprog { entry, end, stack_depth });
        }
    }

    fn access(&self, slot: usize, off: i16, size: Size, write: bool) -> Result<(i32, Size), LowerError> {
        let off = i32::from(off);
        match self.proof {
            Some((facts, rules)) if facts.insns[slot].region == Region::Ctx => rules
                .convert(off, size, write)
                .ok_or(LowerError::BadCtxAccess { slot, off, size: size.bytes(), kind: rules.kind }),
            Some(_) | None => Ok((off, size)),
        }
    }

    fn is_queue_mapping(&self, slot: usize, off: i16, size: Size) -> bool {
        self.proof.is_some_and(|(facts, rules)| {
            let field = rules.field(off.into(), size, true);
            facts.insns[slot].region == Region::Ctx && field.is_some_and(|(_, field)| field.name == QUEUE_MAPPING)
        })
    }

    /// Linux ignores a queue number that does not fit in 16 bits. True for a constant that is ignored; else a jump over the
    /// store, which the caller pushes, stands before it.
    fn skips_large(&mut self, slot: usize, src: Operand) -> Result<bool, LowerError> {
        match src {
            Operand::Imm(value) => Ok(ring3_isa::eval::immediate(value) >= NO_QUEUE_MAPPING as u64),
            Operand::Reg(lhs) => {
                let target = self.target(slot, 0)?;
                let rhs = Operand::Imm(NO_QUEUE_MAPPING);
                self.out.ops.push(Op::Branch { width: Width::W64, op: CmpOp::Ge, lhs, rhs, target });
                self.out.slots.push(slot as u32);
                Ok(false)
            }
        }
    }

    fn subprog(&self, slot: usize, off: i32) -> Result<usize, LowerError> {
        let start = resolve(self.code, slot, off)?;
        self.starts
            .binary_search_by_key(&start, |&(start, _)| start)
            .map_err(|_| LowerError::BadTarget { slot, target: start as i64 })
    }

    fn map(&self, slot: usize, map: i32) -> Result<usize, LowerError> {
        usize::try_from(map).ok().filter(|map| *map < self.maps).ok_or(LowerError::NoSuchMap { slot, map: map.into() })
    }

    fn fixup(&mut self, value: FixupValue) -> u64 {
        self.out.fixups.push(Fixup { op: self.out.ops.len(), value });
        0
    }

    fn wide(&mut self, slot: usize, value: Wide) -> Result<u64, LowerError> {
        match value {
            Wide::Imm(value) => Ok(value),
            Wide::Map(map) | Wide::MapIdx(map) => {
                let map = self.map(slot, map)?;
                Ok(self.fixup(FixupValue::Map(map)))
            }
            Wide::MapValue { map, off } | Wide::MapIdxValue { index: map, off } => {
                let map = self.map(slot, map)?;
                Ok(self.fixup(FixupValue::MapValue(map, off)))
            }
            Wide::Func(off) => Ok(Callback(self.subprog(slot, off)? as u32).token()),
            Wide::BtfId { id, fd: 0 } => {
                let found = self.types.and_then(|types| cpu_variable(types, id));
                let variable = found.ok_or(LowerError::Unsupported { slot, what: "a kernel symbol" })?;
                self.out.wary = true;
                let known = self.out.variables.iter().position(|known| *known == variable);
                let at = known.unwrap_or(self.out.variables.len());
                if known.is_none() {
                    self.out.variables.push(variable);
                }
                Ok(self.fixup(FixupValue::Variable(at)))
            }
            Wide::BtfId { .. } => Err(LowerError::Unsupported { slot, what: "a symbol of a kernel module" }),
        }
    }

    /// The row of a helper in the table.
    fn helper(&mut self, id: HelperId) -> usize {
        let known = self.out.helpers.iter().position(|h| *h == id);
        known.unwrap_or_else(|| {
            self.out.helpers.push(id);
            self.out.helpers.len() - 1
        })
    }

    /// A function of the kernel: a helper under another name, if ring3 has it.
    fn kfunc(&mut self, slot: usize, id: i32, off: i16) -> Result<Op, LowerError> {
        let named = self.program.and_then(|program| program.kfunc(id, off));
        let Some(named) = named else { return Err(LowerError::Unsupported { slot, what: "a kernel function" }) };
        let name = base_name(&named.name);
        if name == THROW {
            return self.throw(slot);
        }
        match kfuncs::number(name) {
            Some(id) => {
                self.out.wary |= kfuncs::is_about_objects(name);
                let index = self.helper(id);
                helper_op(index)
            }
            None => Err(LowerError::Kfunc { slot, name: name.to_owned() }),
        }
    }

    /// These registers become 0.
    fn zeros(&mut self, slot: usize, regs: RegSet) {
        for dst in regs.iter() {
            self.push(slot, Op::Mov { width: Width::W64, dst, src: Operand::Imm(0) });
        }
    }

    fn push(&mut self, slot: usize, op: Op) {
        self.out.ops.push(op);
        self.out.slots.push(slot as u32);
    }

    /// A call of a function of the vm, which programs cannot call.
    fn inner_call(&mut self, name: &'static str) -> Result<Op, LowerError> {
        let id = kfuncs::number(name).ok_or(LowerError::Unsupported { slot: 0, what: name })?;
        let index = self.helper(id);
        helper_op(index)
    }

    fn in_main(&self, slot: usize) -> bool {
        self.starts.get(1).is_none_or(|(start, _)| slot < *start)
    }

    /// In the main function a throw is an exit with another number, or with that of the function that is called then. Others note it
    /// and return; [`Self::after_call`] does the rest.
    fn throw(&mut self, slot: usize) -> Result<Op, LowerError> {
        if self.in_main(slot) {
            self.catch(slot)?;
        } else {
            let note = self.inner_call(kfuncs::NOTE_THROW)?;
            self.push(slot, note);
        }
        Ok(self.exit(slot))
    }

    /// The end of a function. A program that stands for one without a result may leave anything in R0, and all engines are to give the
    /// same.
    fn exit(&mut self, slot: usize) -> Op {
        if self.in_main(slot) && self.guarded.is_some_and(|facts| facts.returns_nothing) {
            self.push(slot, Op::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) });
        }
        Op::Exit
    }

    /// R0 of the program that throws R1.
    fn catch(&mut self, slot: usize) -> Result<(), LowerError> {
        let op = match self.catcher {
            Some(start) => {
                self.zeros(slot, self.unset.at_start(start));
                self.call_at(start)?
            }
            None => Op::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Reg(Reg::R1) },
        };
        self.push(slot, op);
        Ok(())
    }

    /// The call of a function that starts there.
    fn call_at(&self, start: usize) -> Result<Op, LowerError> {
        let at = self.starts.binary_search_by_key(&start, |&(start, _)| start);
        let subprog = at.map_err(|_| LowerError::BadTarget { slot: start, target: start as i64 })?;
        let limit = usize::from(u16::MAX);
        let subprog = u16::try_from(subprog).map_err(|_| LowerError::TooMany { what: "subprograms", limit })?;
        Ok(Op::CallLocal { subprog })
    }

    /// Behind a call in a program whose functions throw: leaves this one, too, if that one threw. R0 is kept meanwhile. Gives the
    /// last operation.
    fn after_call(&mut self, slot: usize, call: Op) -> Result<Op, LowerError> {
        self.push(slot, call);
        self.push(slot, Op::Mov { width: Width::W64, dst: Reg::R1, src: Operand::Reg(Reg::R0) });
        let asks = self.inner_call(kfuncs::THREW)?;
        self.push(slot, asks);
        let branch = self.out.ops.len();
        let (lhs, rhs) = (Reg::R0, Operand::Imm(0));
        self.push(slot, Op::Branch { width: Width::W64, op: CmpOp::Eq, lhs, rhs, target: 0 });
        if self.in_main(slot) {
            let takes = self.inner_call(kfuncs::TAKE_THROWN)?;
            self.push(slot, takes);
            self.push(slot, Op::Mov { width: Width::W64, dst: Reg::R1, src: Operand::Reg(Reg::R0) });
            self.catch(slot)?;
        }
        let exit = self.exit(slot);
        self.push(slot, exit);
        let on = self.out.ops.len() as Target;
        if let Some(Op::Branch { target, .. }) = self.out.ops.get_mut(branch) {
            *target = on;
        }
        self.inner_call(kfuncs::KEPT_RESULT)
    }

    fn call(&mut self, slot: usize, callee: Callee) -> Result<Op, LowerError> {
        match callee {
            Callee::Helper(TAIL_CALL) => Ok(Op::TailCall),
            Callee::Helper(id) => {
                let id = HelperId(id as u32);
                let index = self.helper(id);
                if let (id::MAP_LOOKUP_ELEM, MapUse::One(map)) = (id.0, self.map_use(slot)) {
                    self.out.lookups.push((self.out.ops.len() as Target, map));
                }
                helper_op(index)
            }
            Callee::Local(off) => {
                let call = self.call_at(resolve(self.code, slot, off)?)?;
                if self.throws_below { self.after_call(slot, call) } else { Ok(call) }
            }
            Callee::Kfunc { id, off } => self.kfunc(slot, id, off),
        }
    }
}

/// The access of an instruction as one of memory that may not be there.
fn guarded(insn: Insn, space: Space) -> Option<Op> {
    let op = |action, size, base, off: i16, value| {
        Some(Op::Guarded { access: Guarded::new(action, size, space), base, off: off.into(), value })
    };
    match insn {
        Insn::Load { size, signed, dst, base, off } => op(Action::Load { signed }, size, base, off, Operand::Reg(dst)),
        Insn::LoadAcquire { size, dst, base, off } => {
            op(Action::Load { signed: false }, size, base, off, Operand::Reg(dst))
        }
        Insn::Store { size, base, off, src } => op(Action::Store, size, base, off, src),
        Insn::StoreRelease { size, base, off, src } => op(Action::Store, size, base, off, Operand::Reg(src)),
        Insn::Atomic { op: atomic, size, base, off, src } => {
            op(Action::Atomic(atomic), size, base, off, Operand::Reg(src))
        }
        _ => None,
    }
}

fn helper_op(index: usize) -> Result<Op, LowerError> {
    let limit = usize::from(u16::MAX);
    let helper = u16::try_from(index).map_err(|_| LowerError::TooMany { what: "helpers", limit })?;
    Ok(Op::CallHelper { helper })
}

#[cfg(test)]
pub(crate) mod tests;
