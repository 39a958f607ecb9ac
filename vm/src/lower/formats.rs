//! What a call of `bpf_trace_printk` prints, where its format is known: in a map whose content never changes, or written to the stack
//! right before.

use ring3_isa::{AluOp, Callee, Code, Insn, Operand, Reg, RegSet, Size, Wide, Width};
use ring3_platform::Program;

use super::resolve;
use crate::helpers::print;

/// What `bpf_trace_printk` can print.
pub(super) const PRINTED: RegSet = RegSet::one(Reg::R3).with(Reg::R4).with(Reg::R5);

/// Instructions in front of a call that are looked at: compilers write a format that is long to the stack, eight bytes by two of them.
const LOOKED_AT: usize = 64;

/// Bytes of a frame.
const STACK: usize = 512;

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    Unknown,
    Number(u64),
    /// So many bytes behind the start of the first value of this map.
    Map(usize, u64),
    /// So many bytes from R10 on.
    Stack(i64),
}

/// The registers that the call in this slot prints. `leads` are the ways from slot to slot, by where they lead to.
pub(super) fn printed(
    code: &Code,
    program: Option<&Program>,
    starts: &[(usize, u32)],
    leads: &[(usize, usize)],
    call: usize,
) -> RegSet {
    let mut known = Known { values: [Value::Unknown; Reg::COUNT], stack: [None; STACK] };
    known.values[Reg::FP.index()] = Value::Stack(0);
    for slot in way_to(code, starts, leads, call).into_iter().rev() {
        if let Some(Ok(insn)) = code.get(slot) {
            known.step(insn);
        }
    }
    match known.format(program).map(|format| print::arguments_of(&format)) {
        Some(0) => RegSet::EMPTY,
        Some(1) => RegSet::one(Reg::R3),
        Some(2) => RegSet::one(Reg::R3).with(Reg::R4),
        Some(_) | None => PRINTED,
    }
}

/// The slots that every way to the call goes through last, the nearest first, all of one function.
fn way_to(code: &Code, starts: &[(usize, u32)], leads: &[(usize, usize)], call: usize) -> Vec<usize> {
    let mut way = Vec::new();
    let mut slot = call;
    // A function is entered from elsewhere, too.
    while way.len() < LOOKED_AT && starts.binary_search_by_key(&slot, |(start, _)| *start).is_err() {
        let from = leads.partition_point(|(to, _)| *to < slot);
        let mut before = leads[from..].iter().take_while(|(to, _)| *to == slot);
        let (Some(&(_, only)), None) = (before.next(), before.next()) else { break };
        // A loop that nothing leads into.
        if way.contains(&only) {
            break;
        }
        if let Some(Ok(Insn::Call(Callee::Local(off)))) = code.get(only)
            && resolve(code, only, off).ok() == Some(slot)
        {
            break;
        }
        way.push(only);
        slot = only;
    }
    way
}

/// What is known at a point of that way.
struct Known {
    values: [Value; Reg::COUNT],
    /// The last byte is the one below R10.
    stack: [Option<u8>; STACK],
}

impl Known {
    fn step(&mut self, insn: Insn) {
        let made = match insn {
            Insn::Mov { width: Width::W64, dst, src } => Some((dst, self.operand(src))),
            Insn::Mov { width: Width::W32, dst, src: Operand::Imm(imm) } => {
                Some((dst, Value::Number(u64::from(imm as u32))))
            }
            Insn::LoadImm { dst, value } => Some((dst, loaded(value))),
            Insn::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Imm(imm) } => {
                Some((dst, self.values[dst.index()].moved(imm.into())))
            }
            Insn::Alu { width: Width::W64, op: AluOp::Sub, dst, src: Operand::Imm(imm) } => {
                Some((dst, self.values[dst.index()].moved(-i64::from(imm))))
            }
            Insn::Store { size, base, off, src } => {
                self.store(base, off.into(), size, src);
                None
            }
            Insn::Call(_) | Insn::CallX { .. } | Insn::LegacyPacket { .. } => {
                RegSet::CALLER_SAVED.iter().for_each(|reg| self.values[reg.index()] = Value::Unknown);
                self.stack = [None; STACK];
                None
            }
            Insn::Atomic { .. } | Insn::StoreRelease { .. } => {
                self.stack = [None; STACK];
                None
            }
            Insn::Alu { .. }
            | Insn::Mov { .. }
            | Insn::MovSx { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::WideTail
            | Insn::Load { .. }
            | Insn::LoadAcquire { .. }
            | Insn::Jump { .. }
            | Insn::Branch { .. }
            | Insn::MayGoto { .. }
            | Insn::GotoX { .. }
            | Insn::Exit => None,
        };
        insn.defs().iter().for_each(|reg| self.values[reg.index()] = Value::Unknown);
        if let Some((dst, value)) = made {
            self.values[dst.index()] = value;
        }
    }

    fn operand(&self, operand: Operand) -> Value {
        match operand {
            Operand::Reg(reg) => self.values[reg.index()],
            Operand::Imm(imm) => Value::Number(ring3_isa::eval::immediate(imm)),
        }
    }

    fn store(&mut self, base: Reg, off: i64, size: Size, src: Operand) {
        let at = match self.values[base.index()] {
            Value::Stack(at) => place(at.saturating_add(off)),
            Value::Map(..) => return,
            Value::Number(_) | Value::Unknown => None,
        };
        let bytes = match self.operand(src) {
            Value::Number(number) => number.to_le_bytes().map(Some),
            Value::Unknown | Value::Map(..) | Value::Stack(_) => [None; 8],
        };
        let len = size.bytes() as usize;
        match at.and_then(|at| self.stack.get_mut(at..at + len)) {
            Some(stack) => stack.copy_from_slice(&bytes[..len]),
            // It may be anywhere on the stack.
            None => self.stack = [None; STACK],
        }
    }

    /// The memory of R2 bytes at R1.
    fn format(&self, program: Option<&Program>) -> Option<Vec<u8>> {
        let [at, len] = [Reg::R1, Reg::R2].map(|reg| self.values[reg.index()]);
        let Value::Number(len) = len else { return None };
        // The helper takes the lower half.
        let len = len as u32 as usize;
        match at {
            Value::Stack(at) => {
                let at = place(at)?;
                self.stack.get(at..at.checked_add(len)?)?.iter().copied().collect()
            }
            Value::Map(map, off) => {
                let def = program?.maps.get(map).filter(|def| def.is_constant())?;
                let (data, off) = (def.data.as_deref().unwrap_or_default(), usize::try_from(off).ok()?);
                let end = off.checked_add(len).filter(|end| *end <= def.value_size as usize)?;
                Some((off..end).map(|at| data.get(at).copied().unwrap_or(0)).collect())
            }
            Value::Number(_) | Value::Unknown => None,
        }
    }
}

impl Value {
    fn moved(self, by: i64) -> Value {
        match self {
            Value::Number(number) => Value::Number(number.wrapping_add_signed(by)),
            Value::Map(map, off) => off.checked_add_signed(by).map_or(Value::Unknown, |off| Value::Map(map, off)),
            Value::Stack(at) => Value::Stack(at.saturating_add(by)),
            Value::Unknown => Value::Unknown,
        }
    }
}

fn loaded(value: Wide) -> Value {
    match value {
        Wide::Imm(number) => Value::Number(number),
        Wide::MapValue { map, off } | Wide::MapIdxValue { index: map, off } => {
            usize::try_from(map).map_or(Value::Unknown, |map| Value::Map(map, off.into()))
        }
        Wide::Map(_) | Wide::MapIdx(_) | Wide::Func(_) | Wide::BtfId { .. } => Value::Unknown,
    }
}

/// Which byte of `Known::stack` is so far from R10.
fn place(off: i64) -> Option<usize> {
    usize::try_from(off.checked_add(STACK as i64)?).ok().filter(|at| *at < STACK)
}
