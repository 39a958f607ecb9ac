//! Whether a moment of a run lies inside a state.

use std::fmt;

use super::{Checked, Moment, Object, PtrKind, State, Value};
use crate::domain::Scalar;
use crate::state::{Byte, Delta, Frame, Link, Ptr, SLOT, Slot, type_name};
use ring3_isa::num::{s64, u64 as bits};
use ring3_isa::{Reg, Size};

/// What is outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Miss {
    place: String,
    value: u64,
    why: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Miss { place, value, why } = self;
        write!(f, "{place} is {value:#x}, which {why}")
    }
}

/// One moment, while it is compared.
pub(super) struct Seen<'a> {
    pub checked: &'a mut Checked,
    /// The run's number of the state's first frame.
    pub base: usize,
    pub moment: &'a dyn Moment,
    /// Maps of the program; indexes from here on stand for inner maps, which a run does not name.
    pub maps: usize,
}

impl Seen<'_> {
    /// The whole state.
    pub(super) fn state(&mut self, state: &State) -> Result<(), Miss> {
        let State { frames, refs: _, callback_unroll_depth: _, may_goto_depth: _, sleepable: _, regions: _ } = state;
        let mut tied = Vec::new();
        for reg in Reg::all() {
            let value = self.moment.reg(reg.index());
            let place = || format!("R{}", reg.number());
            self.value(&state.frame().regs[reg.index()], value, &place)?;
            tie(&state.frame().regs[reg.index()], value, &mut tied);
        }
        for (index, frame) in frames.iter().enumerate() {
            self.stack(index, frame, &mut tied)?;
        }
        check_ties(&tied)
    }

    fn stack(&mut self, index: usize, frame: &Frame, tied: &mut Vec<(Link, u64)>) -> Result<(), Miss> {
        for (number, slot) in frame.stack.iter().enumerate() {
            if slot.is_invalid() {
                continue;
            }
            let Some(memory) = self.moment.stack(self.base + index, number) else {
                self.checked.skip("a stack slot that cannot be read");
                continue;
            };
            self.slot((index, number), slot, memory, tied)?;
        }
        Ok(())
    }

    fn slot(
        &mut self,
        (frame, number): (usize, usize),
        slot: &Slot,
        memory: [u8; SLOT],
        tied: &mut Vec<(Link, u64)>,
    ) -> Result<(), Miss> {
        // What objects hold is the functions' own.
        let Slot { bytes, spill, object: _ } = slot;
        let place = || format!("fp-{} of frame {frame}", SLOT * (number + 1));
        let value = u64::from_le_bytes(memory);
        for (byte, has) in bytes.iter().rev().zip(memory) {
            match byte {
                Byte::Zero if has != 0 => {
                    return Err(Miss { place: place(), value, why: "is not zero in each byte that has to be".into() });
                }
                Byte::Zero | Byte::Invalid | Byte::Misc | Byte::Spill | Byte::Iter | Byte::IrqFlag | Byte::Dynptr => {}
            }
        }
        if slot.is_full_spill() && slot.is_spill() {
            tie(spill, value, tied);
            return self.value(spill, value, &place);
        }
        if slot.is_spill() {
            return self.part(slot, value, &place);
        }
        self.checked.values += 1;
        Ok(())
    }

    /// The low part of a register was spilled: its content is cut off to that part.
    fn part(&mut self, slot: &Slot, value: u64, place: &dyn Fn() -> String) -> Result<(), Miss> {
        let (Value::Scalar(scalar), Some(size)) = (&slot.spill, size_of(slot.spill_size())) else {
            self.checked.skip("a part of a spilled register");
            return Ok(());
        };
        let mask = u64::MAX >> (64 - 8 * slot.spill_size());
        self.number(&scalar.num.truncate_to(size), value & mask, place)
    }

    fn value(&mut self, value: &Value, has: u64, place: &dyn Fn() -> String) -> Result<(), Miss> {
        match value {
            Value::Uninit => Ok(()),
            Value::Scalar(scalar) => self.number(&scalar.num, has, place),
            Value::Ptr(ptr) if ptr.nullable && has == 0 => {
                self.checked.values += 1;
                Ok(())
            }
            Value::Ptr(ptr) => match self.points(ptr, has) {
                Some(true) => {
                    self.checked.values += 1;
                    Ok(())
                }
                Some(false) => {
                    let why = format!("is no {} at this offset", type_name(value));
                    Err(Miss { place: place(), value: has, why })
                }
                None => {
                    self.checked.skip(opaque(ptr.kind));
                    Ok(())
                }
            },
        }
    }

    fn number(&mut self, num: &Scalar, has: u64, place: &dyn Fn() -> String) -> Result<(), Miss> {
        self.checked.values += 1;
        if num.contains_value(has) {
            return Ok(());
        }
        Err(Miss { place: place(), value: has, why: format!("is not in {num:?}") })
    }

    /// Whether an address is what a pointer can be; `None` if nobody can tell.
    fn points(&self, ptr: &Ptr, has: u64) -> Option<bool> {
        let Ptr { kind, off, var, id: _, ref_id: _, slice: _, nullable: _ } = ptr;
        let fixed = bits(i64::from(*off));
        // Where the object begins if the variable part is zero.
        let start = has.wrapping_sub(fixed);
        let from = |base: u64| var.contains_value(start.wrapping_sub(base));
        let any = |object: Object| Some(self.moment.any_piece(object, &mut |base, _| from(base)));
        match *kind {
            PtrKind::Ctx => any(Object::Ctx),
            PtrKind::ConstMap(map) | PtrKind::MapValue(map) | PtrKind::MapKey(map) if map as usize >= self.maps => None,
            PtrKind::ConstMap(map) => Some(self.moment.map_of(has) == Some(map)),
            PtrKind::MapValue(map) => any(Object::MapValue(map)),
            PtrKind::MapKey(map) => any(Object::MapKey(map)),
            PtrKind::Stack(frame) => {
                let depth = self.base + usize::try_from(frame).ok()?;
                Some(from(self.moment.frame_top(depth)))
            }
            PtrKind::Packet { range } => Some(self.moment.any_piece(Object::Packet, &mut |base, len| {
                from(base) && reaches(start, range, base.wrapping_add(len))
            })),
            PtrKind::PacketMeta { range } => {
                let data = self.packet_start();
                Some(self.moment.any_piece(Object::PacketMeta, &mut |base, _| {
                    from(base) && data.is_none_or(|data| reaches(start, range, data))
                }))
            }
            PtrKind::PacketEnd => {
                Some(self.moment.any_piece(Object::Packet, &mut |base, len| from(base.wrapping_add(len))))
            }
            // What a kernel function gives may be anywhere, also inside of an iterator on the stack.
            PtrKind::Mem { rdonly: true, .. } => None,
            PtrKind::Mem { size, rdonly: false, origin: _ } => {
                Some(self.moment.any_piece(Object::Memory, &mut |base, len| within(start, var, (base, len), size)))
            }
            PtrKind::Func(index) => Some(self.moment.function_of(has) == Some(index)),
            PtrKind::FlowKeys
            | PtrKind::SockCommon
            | PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::TpBuffer
            | PtrKind::AnyMem
            | PtrKind::Arena
            | PtrKind::Buf { .. }
            | PtrKind::Dynptr(_)
            | PtrKind::Btf(_) => None,
        }
    }

    fn packet_start(&self) -> Option<u64> {
        let mut start = None;
        self.moment.any_piece(Object::Packet, &mut |base, _| {
            start = Some(base);
            true
        });
        start
    }
}

/// Why a pointer is not compared.
fn opaque(kind: PtrKind) -> &'static str {
    match kind {
        PtrKind::FlowKeys => "a pointer to flow keys",
        PtrKind::SockCommon | PtrKind::Sock | PtrKind::TcpSock | PtrKind::XdpSock => "a pointer to a socket",
        PtrKind::TpBuffer => "a pointer to a tracepoint's buffer",
        PtrKind::AnyMem => "a pointer to memory of the kernel",
        PtrKind::Arena => "a pointer to an arena",
        PtrKind::Buf { .. } => "a pointer to an iterator's buffer",
        PtrKind::Btf(_) => "a pointer to a kernel structure",
        PtrKind::Dynptr(_) => "a pointer to a dynptr",
        PtrKind::ConstMap(_) | PtrKind::MapValue(_) | PtrKind::MapKey(_) => "an inner map, or what is in one",
        PtrKind::Ctx
        | PtrKind::Stack(_)
        | PtrKind::Packet { .. }
        | PtrKind::PacketMeta { .. }
        | PtrKind::PacketEnd
        | PtrKind::Mem { .. }
        | PtrKind::Func(_) => "a pointer of unknown size",
    }
}

/// Whether `range` bytes behind the pointer's variable part are there; negative ranges only say what a comparison gave.
fn reaches(start: u64, range: i32, end: u64) -> bool {
    match u64::try_from(range) {
        Ok(0) | Err(_) => true,
        Ok(range) => start.checked_add(range).is_some_and(|to| to <= end),
    }
}

/// Whether `size` bytes from some start that the variable part allows lie in a piece of memory.
fn within(start: u64, var: &Scalar, (base, len): (u64, u64), size: u32) -> bool {
    let Some(room) = len.checked_sub(size.into()) else { return false };
    if let Some(constant) = var.const_value() {
        return start.wrapping_sub(constant).checked_sub(base).is_some_and(|at| at <= room);
    }
    let (least, most) = (s64(start.wrapping_sub(base.wrapping_add(room))), s64(start.wrapping_sub(base)));
    least <= var.smax() && most >= var.smin()
}

fn size_of(bytes: u32) -> Option<Size> {
    match bytes {
        1 => Some(Size::B),
        2 => Some(Size::H),
        4 => Some(Size::W),
        _ => None,
    }
}

fn tie(value: &Value, has: u64, tied: &mut Vec<(Link, u64)>) {
    if let Some(link) = value.as_scalar().and_then(|scalar| scalar.link) {
        tied.push((link, has));
    }
}

/// Linked scalars have the same base.
fn check_ties(tied: &[(Link, u64)]) -> Result<(), Miss> {
    for (index, (a, one)) in tied.iter().enumerate() {
        for (b, other) in tied[index + 1..].iter().filter(|(b, _)| b.id == a.id) {
            if !agree(a.delta, *one, b.delta, *other) {
                let why = format!("does not fit to {other:#x} with link {} ({:?} and {:?})", a.id, a.delta, b.delta);
                return Err(Miss { place: "a linked scalar".to_owned(), value: *one, why });
            }
        }
    }
    Ok(())
}

fn agree(a: Delta, one: u64, b: Delta, other: u64) -> bool {
    let base = |delta: Delta, value: u64| value.wrapping_sub(bits(i64::from(delta.off())));
    match (a, b) {
        (Delta::Add32(_), _) | (_, Delta::Add32(_)) => {
            ring3_isa::num::low32(base(a, one)) == ring3_isa::num::low32(base(b, other))
        }
        (Delta::Same | Delta::Add64(_), Delta::Same | Delta::Add64(_)) => base(a, one) == base(b, other),
    }
}
