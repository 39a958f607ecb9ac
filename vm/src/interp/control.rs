//! Handlers of jumps, calls and what ends a function.

use ring3_isa::eval;

use super::cell::{COMPARISONS, PACKET_INDEXED, handler, width};
use super::dispatch::next;
use super::machine::CallError;
use super::memory::{self, Memory, Place};
use super::place::{IMM, get, set};
use crate::env::TrapKind;
use crate::exec::{legacy_packet, tail_call};

/// Takes the jump in the cell `$cell`, which is at `$pc`, if the budget of a counted run lasts.
macro_rules! jump_to {
    ($memory:ident, $pc:ident, $cell:ident, $machine:ident, $hot:ident) => {{
        if $memory::COUNTED {
            // A loop has a jump back; forward the program ends, and its exit looks.
            if $cell.off < 0 && !$machine.affords($pc) {
                return $machine.exhausted::<$memory>($pc);
            }
            $machine.jump_by($cell.off);
        }
        // SAFETY: `decode` lets jumps lead to cells only.
        unsafe { next($cell.target($pc), $machine, $hot) }
    }};
}
pub(super) use jump_to;

/// Goes on with the cell `to`, unless that is the end; `regs` are up to date.
macro_rules! go_on {
    ($to:ident, $machine:ident) => {{
        if $to.is_null() {
            return $to;
        }
        let hot = $machine.reload();
        // SAFETY: a cell of the program.
        unsafe { next($to, $machine, hot) }
    }};
}

handler! {
    /// A conditional jump.
    fn branch[M: Memory, const OP: usize, const WIDE: bool, const L: usize, const R: usize](pc, cell, machine, hot) {
        let lhs = get::<L>(machine, &hot, cell.dst);
        let rhs = if R == IMM { cell.imm } else { get::<R>(machine, &hot, cell.src) };
        if eval::compare(COMPARISONS[OP], width(WIDE), lhs, rhs) {
            jump_to!(M, pc, cell, machine, hot)
        } else {
            // SAFETY: a jump is never the last cell.
            unsafe { next(pc.add(1), machine, hot) }
        }
    }
}

handler! {
    fn jump[M: Memory](pc, cell, machine, hot) {
        jump_to!(M, pc, cell, machine, hot)
    }
}

handler! {
    fn may_goto[M: Memory](pc, cell, machine, hot) {
        match machine.may_goto.checked_sub(1) {
            Some(left) => {
                machine.may_goto = left;
                // SAFETY: a jump is never the last cell.
                unsafe { next(pc.add(1), machine, hot) }
            }
            None => jump_to!(M, pc, cell, machine, hot),
        }
    }
}

handler! {
    /// A helper.
    fn helper[M: Memory](pc, cell, machine, hot) {
        if M::COUNTED && !machine.affords(pc) {
            return machine.exhausted::<M>(pc);
        }
        let Some(helper) = machine.linked.helpers().get(cell.imm as usize) else {
            return machine.trap::<M>(pc, TrapKind::Unsupported { what: "a helper without a row in the table" });
        };
        if M::CHECKED {
            machine.env.set_helper(helper.id.0);
        }
        machine.spill(&hot);
        let [_, r1, r2, r3, r4, r5, ..] = machine.regs;
        // SAFETY: the verifier proved the arguments, or the environment knows the live memory.
        machine.regs[0] = machine.outside::<M, _>(pc, |m| unsafe { (helper.func)(r1, r2, r3, r4, r5, m.env) });
        if machine.env.trapped() {
            return machine.stop::<M>(pc);
        }
        let hot = machine.reload();
        // SAFETY: a call is never the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

handler! {
    /// `bpf_map_lookup_elem` in an array whose values are found without a call. `K` is the place of R2, and `D` that of R0.
    fn lookup[const D: usize, const K: usize](pc, cell, machine, hot) {
        let key = get::<K>(machine, &hot, 2);
        // SAFETY: only verified programs have these, R2 is a key of the map, and the table is one of the program.
        let (key, table) = unsafe {
            (memory::load(Place { addr: key, bytes: 4 }), machine.code.interp.tables.get_unchecked(cell.imm as usize))
        };
        let found = if key < table.entries.into() { table.base + key * table.stride } else { 0 };
        set::<D>(machine, &mut hot, 0, found);
        // SAFETY: a call is never the last cell.
        unsafe { next(pc.add(1), machine, hot) }
    }
}

handler! {
    fn tail[M: Memory](pc, _cell, machine, hot) {
        if M::COUNTED && !machine.affords(pc) {
            return machine.exhausted::<M>(pc);
        }
        if M::CHECKED {
            machine.env.set_helper(crate::lower::TAIL_CALL as u32);
        }
        machine.spill(&hot);
        let [_, r1, r2, r3, ..] = machine.regs;
        // SAFETY: as for helpers.
        let done = machine.outside::<M, _>(pc, |m| unsafe { tail_call(r1, r2, r3, m.env) });
        if machine.env.trapped() {
            return machine.stop::<M>(pc);
        }
        machine.regs[0] = done.r0;
        // SAFETY: by the caller; a call is never the last cell.
        let to = if done.taken == 0 { unsafe { pc.add(1) } } else { unsafe { machine.leave::<M>(pc) } };
        go_on!(to, machine)
    }
}

handler! {
    /// A function of the program.
    fn call[M: Memory](pc, cell, machine, hot) {
        if M::COUNTED && !machine.affords(pc) {
            return machine.exhausted::<M>(pc);
        }
        machine.spill(&hot);
        let subprog = cell.imm as usize;
        match machine.callee(subprog) {
            Ok(entry) => {
                // SAFETY: by the caller.
                unsafe { machine.call::<M>(pc, entry, subprog) };
                let hot = machine.reload();
                // SAFETY: the first cell of a function.
                unsafe { next(entry, machine, hot) }
            }
            Err(CallError::Depth) => machine.trap::<M>(pc, TrapKind::CallDepth),
            Err(CallError::Missing) => machine.trap::<M>(pc, TrapKind::FellOff),
        }
    }
}

handler! {
    fn exit[M: Memory](pc, _cell, machine, hot) {
        if M::COUNTED && !machine.affords(pc) {
            return machine.exhausted::<M>(pc);
        }
        machine.spill(&hot);
        // SAFETY: by the caller.
        let to = unsafe { machine.leave::<M>(pc) };
        go_on!(to, machine)
    }
}

handler! {
    /// LD_ABS and LD_IND.
    fn packet[M: Memory](pc, cell, machine, hot) {
        machine.spill(&hot);
        if M::CHECKED && !machine.env.check_ctx(machine.regs[6]) {
            return machine.stop::<M>(pc);
        }
        let index = if cell.imm & PACKET_INDEXED == 0 { 0 } else { machine.regs[usize::from(cell.src & 15)] };
        let load = legacy_packet(cell.imm & 0xff, index.wrapping_add(cell.off as i64 as u64), machine.env);
        machine.regs[0] = load.value;
        if M::COUNTED && load.ok == 0 && !machine.affords(pc) {
            return machine.exhausted::<M>(pc);
        }
        // SAFETY: by the caller; a load is never the last cell.
        let to = if load.ok == 1 { unsafe { pc.add(1) } } else { unsafe { machine.leave::<M>(pc) } };
        go_on!(to, machine)
    }
}

handler! {
    /// What stands behind the last operation.
    fn fell_off[M: Memory](pc, _cell, machine, _hot) {
        machine.trap::<M>(pc, TrapKind::FellOff)
    }
}
