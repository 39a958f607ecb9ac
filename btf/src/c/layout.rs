//! Where C would place members, so that what differs is written as padding.

use super::{Dump, MAX_DEPTH};
use crate::BtfError;
use crate::types::*;

/// A member as its bits lie.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    /// First bit, from the start of the whole.
    pub(super) start: u64,
    /// Bits.
    pub(super) len: u64,
    /// Is it a bitfield?
    pub(super) is_bitfield: bool,
    /// Bits of the type, of which a bitfield takes some.
    unit: u64,
    /// Bits of alignment of the type.
    align: u64,
}

impl Placed {
    /// Where C puts it if `at` bits are taken before.
    pub(super) fn natural(&self, at: u64, packed: bool) -> u64 {
        match (self.is_bitfield, packed) {
            (true, true) => at,
            (true, false) if self.unit == 0 || at % self.unit + self.len <= self.unit => at,
            (true, false) => at.next_multiple_of(self.unit),
            (false, true) => at.next_multiple_of(8),
            (false, false) => at.next_multiple_of(self.align),
        }
    }

    /// Can it lie where it does without the whole being packed?
    fn is_aligned(&self) -> bool {
        match self.is_bitfield {
            true => self.unit == 0 || self.start % self.unit + self.len <= self.unit,
            false => self.start.is_multiple_of(self.align),
        }
    }
}

impl Dump<'_> {
    /// How a member lies. Old compilers wrote bitfields as integers of fewer bits than their bytes have.
    pub(super) fn placed(&mut self, m: &Member, depth: u32) -> Result<Placed, BtfError> {
        let unit = u64::from(self.btf.size_of(m.ty).unwrap_or(0)) * 8;
        let align = u64::from(self.align(m.ty, depth)?) * 8;
        let start = u64::from(m.bit_offset);
        let plain = Placed { start, len: unit, is_bitfield: false, unit, align };
        if m.bitfield_size != 0 {
            return Ok(Placed { len: u64::from(m.bitfield_size), is_bitfield: true, ..plain });
        }
        Ok(match self.btf.resolved(m.ty)? {
            Type::Int(int) if u32::from(int.bits) != int.size * 8 => {
                let start = start + u64::from(int.bit_offset);
                Placed { start, len: u64::from(int.bits), is_bitfield: true, ..plain }
            }
            _ => plain,
        })
    }

    /// Alignment in bytes that C gives this type; 1 for what has none.
    fn align(&mut self, id: TypeId, depth: u32) -> Result<u32, BtfError> {
        if depth > MAX_DEPTH {
            return Err(BtfError::TooDeep(id));
        }
        let id = self.btf.resolve(id)?;
        Ok(match self.btf.ty(id)? {
            Type::Int(int) => int.size,
            Type::Enum(e) | Type::Enum64(e) => e.size.max(1),
            Type::Float { size, .. } if size.is_power_of_two() => *size,
            Type::Float { .. } => 4,
            Type::Ptr { .. } => 8,
            Type::Array { elem, .. } => self.align(*elem, depth + 1)?,
            Type::Struct(c) | Type::Union(c) => {
                if self.aligns[id.index()] == 0 {
                    let packed = self.is_packed(c, depth)?;
                    let widest = if packed { 1 } else { self.widest(c, depth)? };
                    self.aligns[id.index()] = widest;
                }
                self.aligns[id.index()]
            }
            Type::Void
            | Type::Fwd { .. }
            | Type::Typedef { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::Func { .. }
            | Type::FuncProto { .. }
            | Type::Var { .. }
            | Type::Datasec { .. }
            | Type::DeclTag { .. }
            | Type::TypeTag { .. } => 1,
        })
    }

    /// Bytes of the strictest alignment among the members.
    pub(super) fn widest(&mut self, c: &Composite, depth: u32) -> Result<u32, BtfError> {
        let mut widest = 1;
        for m in &c.members {
            widest = widest.max(self.align(m.ty, depth + 1)?);
        }
        Ok(widest)
    }

    /// Does C need to be told that this one is packed?
    pub(super) fn is_packed(&mut self, c: &Composite, depth: u32) -> Result<bool, BtfError> {
        if !c.size.is_multiple_of(self.widest(c, depth)?) {
            return Ok(true);
        }
        for m in &c.members {
            if !self.placed(m, depth + 1)?.is_aligned() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
