//! Pre-decoded operations: one flat number for each combination of operation, width and kind of operand, so that the
//! loop of the interpreter has a single jump for each of them.

use ring3_isa::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Reg, Size, Width, eval};

use crate::link::Linked;
use crate::lower::Op;

/// An operation with its operands in place. 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) code: Code,
    pub(super) dst: u8,
    pub(super) src: u8,
    /// Offset of an access, or index of the operation that a jump leads to.
    pub(super) off: i32,
    pub(super) imm: u64,
}

/// Calls a macro with the rows of arithmetic: the operation, and its codes for 64 bits (register, immediate) and 32 bits.
macro_rules! for_each_alu {
    ($callback:ident!($($args:tt)*)) => {
        $callback! { $($args)*
            alu Add Add64 Add64K Add32 Add32K; alu Sub Sub64 Sub64K Sub32 Sub32K; alu Mul Mul64 Mul64K Mul32 Mul32K;
            alu Div Div64 Div64K Div32 Div32K; alu SDiv SDiv64 SDiv64K SDiv32 SDiv32K; alu Mod Mod64 Mod64K Mod32 Mod32K;
            alu SMod SMod64 SMod64K SMod32 SMod32K; alu Or Or64 Or64K Or32 Or32K; alu And And64 And64K And32 And32K;
            alu Xor Xor64 Xor64K Xor32 Xor32K; alu Lsh Lsh64 Lsh64K Lsh32 Lsh32K; alu Rsh Rsh64 Rsh64K Rsh32 Rsh32K;
            alu Arsh Arsh64 Arsh64K Arsh32 Arsh32K;
            cmp Eq Jeq64 Jeq64K Jeq32 Jeq32K; cmp Ne Jne64 Jne64K Jne32 Jne32K; cmp Gt Jgt64 Jgt64K Jgt32 Jgt32K;
            cmp Ge Jge64 Jge64K Jge32 Jge32K; cmp Lt Jlt64 Jlt64K Jlt32 Jlt32K; cmp Le Jle64 Jle64K Jle32 Jle32K;
            cmp Sgt Jsgt64 Jsgt64K Jsgt32 Jsgt32K; cmp Sge Jsge64 Jsge64K Jsge32 Jsge32K; cmp Slt Jslt64 Jslt64K Jslt32 Jslt32K;
            cmp Sle Jsle64 Jsle64K Jsle32 Jsle32K; cmp Set Jset64 Jset64K Jset32 Jset32K;
            endian ToLe Le16 Le32 Le64; endian ToBe Be16 Be32 Be64; endian Swap Swap16 Swap32 Swap64;
        }
    };
}
pub(super) use for_each_alu;

macro_rules! define_codes {
    ($(alu $alu:ident $a64:ident $a64k:ident $a32:ident $a32k:ident;)*
     $(cmp $cmp:ident $c64:ident $c64k:ident $c32:ident $c32k:ident;)*
     $(endian $end:ident $e16:ident $e32:ident $e64:ident;)*) => {
        /// What a cell does.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub(super) enum Code {
            $($a64, $a64k, $a32, $a32k,)*
            $($c64, $c64k, $c32, $c32k,)*
            $($e16, $e32, $e64,)*
            Mov64, Mov32, Const,
            MovSx8To64, MovSx16To64, MovSx32To64, MovSx8To32, MovSx16To32,
            Neg64, Neg32,
            Load8, Load16, Load32, Load64, LoadS8, LoadS16, LoadS32,
            Store8, Store16, Store32, Store64, Store8K, Store16K, Store32K, Store64K,
            Atomic32, Atomic64, Acquire, Release,
            Jump, MayGoto, Call, Lookup, CallLocal, TailCall, Exit, Packet, FellOff,
        }

        const fn alu_code(op: AluOp, width: Width, reg: bool) -> Code {
            match (op, width, reg) {
                $((AluOp::$alu, Width::W64, true) => Code::$a64,
                (AluOp::$alu, Width::W64, false) => Code::$a64k,
                (AluOp::$alu, Width::W32, true) => Code::$a32,
                (AluOp::$alu, Width::W32, false) => Code::$a32k,)*
            }
        }

        const fn branch_code(op: CmpOp, width: Width, reg: bool) -> Code {
            match (op, width, reg) {
                $((CmpOp::$cmp, Width::W64, true) => Code::$c64,
                (CmpOp::$cmp, Width::W64, false) => Code::$c64k,
                (CmpOp::$cmp, Width::W32, true) => Code::$c32,
                (CmpOp::$cmp, Width::W32, false) => Code::$c32k,)*
            }
        }

        const fn endian_code(op: EndianOp, size: Size) -> Code {
            match (op, size) {
                // There is no swap of one byte; decoding never yields it.
                $((EndianOp::$end, Size::B | Size::H) => Code::$e16,
                (EndianOp::$end, Size::W) => Code::$e32,
                (EndianOp::$end, Size::Dw) => Code::$e64,)*
            }
        }
    };
}

for_each_alu!(define_codes!());

/// Atomic operations by the number in a cell's immediate.
pub(super) const ATOMICS: [AtomicOp; 10] = [
    AtomicOp::Add,
    AtomicOp::Or,
    AtomicOp::And,
    AtomicOp::Xor,
    AtomicOp::FetchAdd,
    AtomicOp::FetchOr,
    AtomicOp::FetchAnd,
    AtomicOp::FetchXor,
    AtomicOp::Xchg,
    AtomicOp::Cmpxchg,
];

/// Sizes by the number in a cell's immediate.
pub(super) const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];

const fn size_number(size: Size) -> u64 {
    match size {
        Size::B => 0,
        Size::H => 1,
        Size::W => 2,
        Size::Dw => 3,
    }
}

/// Mark in the immediate of `Code::Packet`: the offset has an index register.
pub(super) const PACKET_INDEXED: u64 = 1 << 8;

/// Pre-decodes a program and puts a `FellOff` behind it. Jumps to nowhere lead there as well.
pub(super) fn decode(ops: &[Op]) -> Box<[Cell]> {
    let mut cells: Vec<Cell> = ops.iter().map(|op| cell(*op)).collect();
    let end = cells.len() as i32;
    for cell in &mut cells {
        if is_jump(cell.code) && !(0..end).contains(&cell.off) {
            cell.off = end;
        }
    }
    cells.push(Cell { code: Code::FellOff, dst: 0, src: 0, off: 0, imm: 0 });
    cells.into()
}

/// An array whose values the interpreter finds without a call: value `i` is at `base + i * stride` for `i < entries`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) base: u64,
    pub(super) stride: u64,
    pub(super) entries: u32,
}

/// Turns the lookups of a verified program in arrays that it always uses there into lookups in tables.
pub(super) fn inline_lookups(cells: &mut [Cell], linked: &Linked) -> Box<[Table]> {
    let mut tables = Vec::new();
    if linked.is_verified() {
        for (op, layout) in linked.array_lookups() {
            let base = layout.base.as_ptr().expose_provenance() as u64;
            if let Some(cell) = cells.get_mut(op as usize).filter(|cell| cell.code == Code::Call) {
                (cell.code, cell.imm) = (Code::Lookup, tables.len() as u64);
                tables.push(Table { base, stride: layout.stride as u64, entries: layout.entries });
            }
        }
    }
    tables.into()
}

fn is_jump(code: Code) -> bool {
    let code = code as u8;
    code == Code::Jump as u8 || code == Code::MayGoto as u8 || (Code::Jeq64 as u8..=Code::Jset32K as u8).contains(&code)
}

fn cell(op: Op) -> Cell {
    let plain = |code, dst: Reg, src: Reg, off, imm| Cell { code, dst: dst.number(), src: src.number(), off, imm };
    let r0 = Reg::R0;
    match op {
        Op::Alu { width, op, dst, src } => {
            let (src, imm) = split(src);
            plain(alu_code(op, width, src.is_some()), dst, src.unwrap_or(r0), 0, imm)
        }
        Op::Mov { width, dst, src: Operand::Imm(imm) } => {
            plain(Code::Const, dst, r0, 0, eval::mov(width, eval::immediate(imm)))
        }
        Op::Mov { width: Width::W64, dst, src: Operand::Reg(src) } => plain(Code::Mov64, dst, src, 0, 0),
        Op::Mov { width: Width::W32, dst, src: Operand::Reg(src) } => plain(Code::Mov32, dst, src, 0, 0),
        Op::MovSx { width, from, dst, src } => plain(mov_sx_code(width, from), dst, src, 0, 0),
        Op::Neg { width: Width::W64, dst } => plain(Code::Neg64, dst, r0, 0, 0),
        Op::Neg { width: Width::W32, dst } => plain(Code::Neg32, dst, r0, 0, 0),
        Op::Endian { op, size, dst } => plain(endian_code(op, size), dst, r0, 0, 0),
        Op::LoadImm { dst, value } => plain(Code::Const, dst, r0, 0, value),
        Op::Load { size, signed, dst, base, off } => plain(load_code(size, signed), dst, base, off, 0),
        Op::Store { size, base, off, src } => {
            let (src, imm) = split(src);
            plain(store_code(size, src.is_some()), base, src.unwrap_or(r0), off, imm)
        }
        Op::Atomic { op, size, base, off, src } => {
            let code = if size == Size::W { Code::Atomic32 } else { Code::Atomic64 };
            let number = ATOMICS.iter().position(|known| *known == op).unwrap_or(0);
            plain(code, base, src, off, number as u64)
        }
        Op::LoadAcquire { size, dst, base, off } => plain(Code::Acquire, dst, base, off, size_number(size)),
        Op::StoreRelease { size, base, off, src } => plain(Code::Release, base, src, off, size_number(size)),
        Op::Jump { target } => plain(Code::Jump, r0, r0, target as i32, 0),
        Op::Branch { width, op, lhs, rhs, target } => {
            let (rhs, imm) = split(rhs);
            plain(branch_code(op, width, rhs.is_some()), lhs, rhs.unwrap_or(r0), target as i32, imm)
        }
        Op::MayGoto { target } => plain(Code::MayGoto, r0, r0, target as i32, 0),
        Op::CallHelper { helper } => plain(Code::Call, r0, r0, 0, helper.into()),
        Op::CallLocal { subprog } => plain(Code::CallLocal, r0, r0, 0, subprog.into()),
        Op::TailCall => plain(Code::TailCall, r0, r0, 0, 0),
        Op::Exit => plain(Code::Exit, r0, r0, 0, 0),
        Op::LegacyPacket { size, index, imm } => {
            let mark = if index.is_some() { PACKET_INDEXED } else { 0 };
            plain(Code::Packet, r0, index.unwrap_or(r0), imm, u64::from(size.bytes()) | mark)
        }
    }
}

const fn split(operand: Operand) -> (Option<Reg>, u64) {
    match operand {
        Operand::Reg(reg) => (Some(reg), 0),
        Operand::Imm(imm) => (None, eval::immediate(imm)),
    }
}

const fn mov_sx_code(width: Width, from: Size) -> Code {
    match (width, from) {
        (Width::W64, Size::B) => Code::MovSx8To64,
        (Width::W64, Size::H) => Code::MovSx16To64,
        (Width::W64, Size::W) => Code::MovSx32To64,
        (Width::W64, Size::Dw) => Code::Mov64,
        (Width::W32, Size::B) => Code::MovSx8To32,
        (Width::W32, Size::H) => Code::MovSx16To32,
        (Width::W32, Size::W | Size::Dw) => Code::Mov32,
    }
}

const fn load_code(size: Size, signed: bool) -> Code {
    match (size, signed) {
        (Size::B, false) => Code::Load8,
        (Size::H, false) => Code::Load16,
        (Size::W, false) => Code::Load32,
        (Size::B, true) => Code::LoadS8,
        (Size::H, true) => Code::LoadS16,
        (Size::W, true) => Code::LoadS32,
        (Size::Dw, _) => Code::Load64,
    }
}

const fn store_code(size: Size, reg: bool) -> Code {
    match (size, reg) {
        (Size::B, true) => Code::Store8,
        (Size::H, true) => Code::Store16,
        (Size::W, true) => Code::Store32,
        (Size::Dw, true) => Code::Store64,
        (Size::B, false) => Code::Store8K,
        (Size::H, false) => Code::Store16K,
        (Size::W, false) => Code::Store32K,
        (Size::Dw, false) => Code::Store64K,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_two_words() {
        assert_eq!(size_of::<Cell>(), 16);
    }

    #[test]
    fn jumps_to_nowhere_lead_behind_the_end() {
        let cells = decode(&[Op::Jump { target: 77 }, Op::Exit]);
        assert_eq!((cells[0].off, cells.len()), (2, 3));
        assert_eq!(cells[2].code, Code::FellOff);
    }
}
