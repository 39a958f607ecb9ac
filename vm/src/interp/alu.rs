//! Handlers of what computes: arithmetic, moves, byte swaps.

use ring3_isa::{EndianOp, Endianness, Size, eval};

use super::cell::{ALU_OPS, SWAP_SIZES, handler, width};
use super::dispatch::next;
use super::place::{IMM, get, set};

/// The byte order of this machine: what `le` and `be` conversions do.
const HOST_ORDER: Endianness = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };

/// Writes what an operation gives to the destination in place `$place`, and goes on.
macro_rules! give {
    ($place:ident, $pc:ident, $cell:ident, $machine:ident, $hot:ident, $value:expr) => {{
        let value = $value;
        set::<$place>($machine, &mut $hot, $cell.dst, value);
        // SAFETY: only `fell_off` is the last cell.
        unsafe { next($pc.add(1), $machine, $hot) }
    }};
}

handler! {
    fn alu[const OP: usize, const WIDE: bool, const D: usize, const S: usize](pc, cell, machine, hot) {
        let lhs = get::<D>(machine, &hot, cell.dst);
        let rhs = if S == IMM { cell.imm } else { get::<S>(machine, &hot, cell.src) };
        give!(D, pc, cell, machine, hot, eval::alu(ALU_OPS[OP], width(WIDE), lhs, rhs))
    }
}

handler! {
    /// A move, or a constant of 64 bits.
    fn mov[const WIDE: bool, const D: usize, const S: usize](pc, cell, machine, hot) {
        let value = if S == IMM { cell.imm } else { get::<S>(machine, &hot, cell.src) };
        give!(D, pc, cell, machine, hot, eval::mov(width(WIDE), value))
    }
}

handler! {
    /// A move that extends the sign of `FROM` bytes.
    fn mov_sx[const FROM: usize, const WIDE: bool, const D: usize, const S: usize](pc, cell, machine, hot) {
        let from = match FROM {
            1 => Size::B,
            2 => Size::H,
            _ => Size::W,
        };
        give!(D, pc, cell, machine, hot, eval::mov_sx(width(WIDE), from, get::<S>(machine, &hot, cell.src)))
    }
}

handler! {
    fn neg[const WIDE: bool, const D: usize](pc, cell, machine, hot) {
        give!(D, pc, cell, machine, hot, eval::neg(width(WIDE), get::<D>(machine, &hot, cell.dst)))
    }
}

handler! {
    /// A byte swap, or the truncation that it is where there is nothing to swap.
    fn endian[const OP: usize, const SIZE: usize, const D: usize](pc, cell, machine, hot) {
        let value = get::<D>(machine, &hot, cell.dst);
        give!(D, pc, cell, machine, hot, eval::endian(EndianOp::ALL[OP], SWAP_SIZES[SIZE], value, HOST_ORDER))
    }
}
