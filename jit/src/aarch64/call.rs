//! Calls of functions outside of the program.
//!
//! Helpers have R1 to R5 in place and get the environment as the sixth argument. `tail_call` and `legacy_packet` of the virtual
//! machine give two words, which AAPCS64 returns in X0 and X1.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use ring3_isa::{Reg, Size};
use ring3_vm::Env;

use super::alu::Imm12;
use super::regs::{self, ENV, X0, X2, X7, X13, X14, X16, X17};
use super::{A64, emit};
use crate::target::{Array, Callee, Frame};

impl A64 {
    pub(super) fn emit_call_helper(&mut self, callee: Callee) {
        emit!(self, mov x5, X(ENV));
        self.emit_call(callee);
        emit!(self, mov X(X7), x0);
    }

    /// What `bpf_map_lookup_elem` does, without the call.
    pub(super) fn emit_lookup(&mut self, array: Array) {
        self.compare_index(array.entries);
        self.emit_load_imm(X17, array.base);
        self.emit_value(array.stride);
    }

    pub(super) fn emit_lookup_percpu(&mut self, array: Array, plane: u32) {
        // The offset is small enough for any environment.
        self.emit_load_imm(X14, Env::CPU_OFFSET as u64);
        emit!(self, ldr w14, [X(ENV), x14]);
        self.emit_load_imm(X13, plane.into());
        self.emit_load_imm(X17, array.base);
        emit!(self, umaddl x14, w14, w13, x17);
        self.compare_index(array.entries);
        emit!(self, mov x17, x14);
        self.emit_value(array.stride);
    }

    /// Loads the index into X16 and compares it with the number of entries.
    fn compare_index(&mut self, entries: u32) {
        emit!(self, ldr w16, [x1]);
        match Imm12::new(entries) {
            Some(Imm12::Low(imm)) => emit!(self, cmp w16, imm),
            Some(Imm12::High(imm)) => emit!(self, cmp w16, imm, lsl 12),
            None => {
                self.emit_load_imm(X17, entries.into());
                emit!(self, cmp w16, w17);
            }
        }
    }

    /// R0 = X17 + index * stride, or 0 if the index was not below the number of entries.
    fn emit_value(&mut self, stride: u32) {
        if stride.is_power_of_two() {
            // The load has cleared the upper half.
            emit!(self, add X(X7), X(X17), X(X16), lsl stride.trailing_zeros());
        } else {
            self.emit_load_imm(X13, stride.into());
            emit!(self, umaddl X(X7), W(X16), W(X13), X(X17));
        }
        emit!(self, csel X(X7), X(X7), xzr, lo);
    }

    /// The key is in the place of the second argument.
    pub(super) fn emit_lookup_call(&mut self, map: u64, callee: Callee, per_cpu: bool) {
        if per_cpu {
            self.emit_load(Size::W, false, X2, ENV, Env::CPU_OFFSET as i32);
        }
        self.emit_load_imm(X0, map);
        self.emit_call(callee);
        emit!(self, mov X(X7), x0);
    }

    pub(super) fn emit_processor_id(&mut self) {
        self.emit_load(Size::W, false, X7, ENV, Env::CPU_OFFSET as i32);
    }

    /// `Env::prandom_u32`.
    pub(super) fn emit_random(&mut self, callee: Callee) {
        let [step, first, second] = Env::RANDOM_CONSTANTS;
        self.emit_load(Size::B, false, X14, ENV, Env::OWN_RANDOM_OFFSET as i32);
        emit!(self, cbz w14, >ask);
        self.emit_load(Size::Dw, false, X14, ENV, Env::RANDOM_OFFSET as i32);
        self.emit_load_imm(X17, step);
        emit!(self, add x14, x14, x17);
        self.store_register(Size::Dw, ENV, Env::RANDOM_OFFSET as i32, X14);
        self.emit_load_imm(X17, first);
        emit!(self, eor x14, x14, x14, lsr 30; mul x14, x14, x17);
        self.emit_load_imm(X17, second);
        emit!(self, eor x14, x14, x14, lsr 27; mul x14, x14, x17; eor x14, x14, x14, lsr 31; lsr X(X7), x14, 32);
        emit!(self, b >done; ask:);
        self.emit_call_helper(callee);
        emit!(self, done:);
    }

    fn emit_call(&mut self, callee: Callee) {
        self.emit_load_imm(X16, callee.0 as u64);
        emit!(self, blr x16);
    }

    /// `callee(ctx = R1, map = R2, index = R3, env)`: if it says that the other program ran, the frame ends with what that returned.
    pub(super) fn emit_tail_call(&mut self, frame: &Frame, callee: Callee) {
        emit!(self, mov x3, X(ENV));
        self.emit_call(callee);
        emit!(self, cbz x0, >missed);
        self.emit_exit(frame, 1);
        emit!(self, missed:; mov X(X7), x0);
    }

    /// `callee(bytes, index + imm, env)`: if it says that the bytes are not there, the frame ends with 0.
    pub(super) fn emit_legacy_packet(
        &mut self,
        frame: &Frame,
        callee: Callee,
        size: Size,
        index: Option<Reg>,
        imm: i32,
    ) {
        // The index first: it may sit in any of the registers that are set after it.
        self.emit_load_imm(X16, u64::from(imm as u32));
        match index {
            Some(index) => emit!(self, add w1, W(regs::of(index)), w16),
            None => emit!(self, mov w1, w16),
        }
        self.emit_load_imm(X0, size.bytes().into());
        emit!(self, mov x2, X(ENV));
        self.emit_call(callee);
        emit!(self, cbnz x0, >loaded);
        self.emit_exit(frame, X0);
        emit!(self, loaded:; mov X(X7), x1);
    }
}
