//! Handlers of what reaches memory.

use std::sync::atomic::{Ordering, fence};

use ring3_isa::{Operand, Reg, eval};

use super::cell::{ATOMICS, Cell, GUARDED_IMM, SIZES, handler};
use super::dispatch::next;
use super::machine::Machine;
use super::memory::{self, Access, Memory};
use super::place::{IMM, get, set};
use crate::guarded::{self, Guarded};

/// Where the access with this base really goes; returns with a trap if nowhere.
macro_rules! place {
    ($memory:ident, $base:expr, $size:expr, $access:expr, $pc:ident, $cell:ident, $machine:ident) => {{
        let addr = $base.wrapping_add($cell.off as i64 as u64);
        // SAFETY: the program was verified, or memory is checked.
        let place = unsafe { $memory::at($machine.env, $machine.linked, addr, $size, $access) };
        if place.bytes == 0 {
            return $machine.stop::<$memory>($pc);
        }
        place
    }};
}

handler! {
    fn load[M: Memory, const SIZE: usize, const SIGNED: bool, const D: usize, const B: usize](pc, cell, machine, hot) {
        let base = get::<B>(machine, &hot, cell.src);
        let place = place!(M, base, SIZES[SIZE], Access::Read, pc, cell, machine);
        // SAFETY: `at` vouches for these bytes.
        let raw = unsafe { memory::load(place) };
        let value = if SIGNED { eval::load_extend(SIZES[SIZE], true, raw) } else { raw };
        set::<D>(machine, &mut hot, cell.dst, value);
        // SAFETY: only `fell_off` is the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

handler! {
    fn store[M: Memory, const SIZE: usize, const B: usize, const S: usize](pc, cell, machine, hot) {
        let base = get::<B>(machine, &hot, cell.dst);
        let value = if S == IMM { cell.imm } else { get::<S>(machine, &hot, cell.src) };
        let place = place!(M, base, SIZES[SIZE], Access::Write, pc, cell, machine);
        // SAFETY: `at` vouches for these bytes.
        unsafe { memory::store(place, value) };
        // SAFETY: only `fell_off` is the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

handler! {
    /// A read-modify-write operation: which, is in the immediate.
    fn atomic[M: Memory, const SIZE: usize](pc, cell, machine, hot) {
        machine.spill(&hot);
        let (dst, src) = (usize::from(cell.dst & 15), usize::from(cell.src & 15));
        let place = place!(M, machine.regs[dst], SIZES[SIZE], Access::Atomic, pc, cell, machine);
        let op = ATOMICS[cell.imm as usize % ATOMICS.len()];
        // SAFETY: `at` vouches for these bytes.
        let old = unsafe { memory::atomic(place.addr, op, SIZES[SIZE], machine.regs[src], machine.regs[0]) };
        match op.fetches_into(Reg::R1) {
            None => {}
            Some(Reg::R0) => machine.regs[0] = old,
            Some(_) => machine.regs[src] = old,
        }
        let hot = machine.reload();
        // SAFETY: only `fell_off` is the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

handler! {
    fn acquire[M: Memory, const SIZE: usize](pc, cell, machine, hot) {
        machine.spill(&hot);
        let base = machine.regs[usize::from(cell.src & 15)];
        let place = place!(M, base, SIZES[SIZE], Access::Read, pc, cell, machine);
        // SAFETY: `at` vouches for these bytes.
        machine.regs[usize::from(cell.dst & 15)] = unsafe { memory::load(place) };
        fence(Ordering::Acquire);
        let hot = machine.reload();
        // SAFETY: only `fell_off` is the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

handler! {
    fn release[M: Memory, const SIZE: usize](pc, cell, machine, hot) {
        machine.spill(&hot);
        let (base, value) = (machine.regs[usize::from(cell.dst & 15)], machine.regs[usize::from(cell.src & 15)]);
        fence(Ordering::Release);
        let place = place!(M, base, SIZES[SIZE], Access::Write, pc, cell, machine);
        // SAFETY: `at` vouches for these bytes.
        unsafe { memory::store(place, value) };
        // SAFETY: only `fell_off` is the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

handler! {
    /// An access of memory that may not be there.
    fn guarded[M: Memory](pc, cell, machine, hot) {
        machine.spill(&hot);
        may_fault(machine, cell);
        if M::CHECKED && machine.env.trapped() {
            return machine.stop::<M>(pc);
        }
        let hot = machine.reload();
        // SAFETY: only `fell_off` is the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

/// What it does. Not part of the handler, which would keep something on the native stack for it and not end in a jump then.
#[inline(never)]
fn may_fault(machine: &mut Machine<'_, '_>, cell: &Cell) {
    let access = Guarded::from_bits(cell.imm as u16);
    let operand = if cell.imm & GUARDED_IMM == 0 {
        Operand::Reg(Reg::new(cell.src & 15).unwrap_or(Reg::R0))
    } else {
        Operand::Imm((cell.imm >> 32) as i32)
    };
    let value = match operand {
        Operand::Reg(reg) => machine.regs[reg.index()],
        Operand::Imm(imm) => eval::immediate(imm),
    };
    let (base, off) = (machine.regs[usize::from(cell.dst & 15)], i64::from(cell.off) as u64);
    // SAFETY: it takes any address.
    let result = unsafe { guarded::guarded(base, access.bits().into(), value, machine.regs[0], off, machine.env) };
    if let Some(reg) = access.writes(operand) {
        machine.regs[reg.index()] = result;
    }
}
