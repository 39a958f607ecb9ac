//! Calls of functions outside of the program.
//!
//! Helpers have R1 to R5 in place and get the environment as the sixth argument. `tail_call` and `legacy_packet` of the virtual
//! machine give two words, which the System V ABI returns in RAX and RDX.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use ring3_isa::{Reg, Size};
use ring3_vm::Env;

use super::regs::{self, R11, RDI};
use super::{X64, emit};
use crate::target::{Array, Callee, Frame};

impl X64 {
    pub(super) fn emit_call_helper(&mut self, callee: Callee) {
        emit!(self, mov r9, r12);
        self.emit_call(callee);
    }

    /// What `bpf_map_lookup_elem` does, without the call.
    pub(super) fn emit_lookup(&mut self, array: Array) {
        let Array { base, stride, entries } = array;
        emit!(self, mov eax, [rsi]; cmp eax, DWORD entries as i32; jae >none);
        if stride.is_power_of_two() {
            emit!(self, shl rax, BYTE stride.trailing_zeros() as i8);
        } else {
            emit!(self, imul rax, rax, DWORD stride as i32);
        }
        self.emit_load_imm(R11, base);
        emit!(self, add rax, r11; jmp >done; none:; xor eax, eax; done:);
    }

    pub(super) fn emit_lookup_percpu(&mut self, array: Array, plane: u32) {
        let Array { base, stride, entries } = array;
        emit!(self, mov eax, [rsi]; cmp eax, DWORD entries as i32; jae >none);
        if stride.is_power_of_two() {
            emit!(self, shl rax, BYTE stride.trailing_zeros() as i8);
        } else {
            emit!(self, imul rax, rax, DWORD stride as i32);
        }
        // CPUs are few, and so is the product.
        emit!(self, mov r10d, [r12 + Env::CPU_OFFSET as i32]; imul r10, r10, DWORD plane as i32);
        self.emit_load_imm(R11, base);
        emit!(self, add rax, r11; add rax, r10; jmp >done; none:; xor eax, eax; done:);
    }

    /// The key is in the place of the second argument.
    pub(super) fn emit_lookup_call(&mut self, map: u64, callee: Callee, per_cpu: bool) {
        if per_cpu {
            emit!(self, mov edx, [r12 + Env::CPU_OFFSET as i32]);
        }
        self.emit_load_imm(RDI, map);
        self.emit_call(callee);
    }

    pub(super) fn emit_processor_id(&mut self) {
        emit!(self, mov eax, [r12 + Env::CPU_OFFSET as i32]);
    }

    /// `Env::prandom_u32`.
    pub(super) fn emit_random(&mut self, callee: Callee) {
        let [step, first, second] = Env::RANDOM_CONSTANTS;
        emit!(self, cmp BYTE [r12 + Env::OWN_RANDOM_OFFSET as i32], 0; je >ask);
        self.emit_load_imm(R11, step);
        emit!(self, add r11, [r12 + Env::RANDOM_OFFSET as i32]; mov [r12 + Env::RANDOM_OFFSET as i32], r11);
        emit!(self, mov rax, r11; shr rax, 30; xor rax, r11);
        self.emit_load_imm(R11, first);
        emit!(self, imul rax, r11; mov r11, rax; shr r11, 27; xor rax, r11);
        self.emit_load_imm(R11, second);
        emit!(self, imul rax, r11; mov r11, rax; shr r11, 31; xor rax, r11; shr rax, 32; jmp >done; ask:);
        self.emit_call_helper(callee);
        emit!(self, done:);
    }

    fn emit_call(&mut self, callee: Callee) {
        self.emit_indirect_call(callee.0 as u64);
    }

    /// `callee(ctx = R1, map = R2, index = R3, env)`: if it says that the other program ran, the frame ends with what that returned.
    pub(super) fn emit_tail_call(&mut self, frame: &Frame, callee: Callee) {
        emit!(self, mov rcx, r12);
        self.emit_call(callee);
        emit!(self, test rax, rax; jz >missed; mov rax, rdx);
        self.emit_epilogue(frame);
        emit!(self, ret; missed:);
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
        match index {
            Some(index) => emit!(self, mov esi, Rd(regs::of(index)); add esi, DWORD imm),
            None => emit!(self, mov esi, DWORD imm),
        }
        emit!(self, mov edi, DWORD size.bytes() as i32; mov rdx, r12);
        self.emit_call(callee);
        emit!(self, test rax, rax; jnz >loaded);
        self.emit_epilogue(frame);
        emit!(self, ret; loaded:; mov rax, rdx);
    }
}
