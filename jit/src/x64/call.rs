//! Calls of functions outside of the program. They have the signature of a helper, so R1 to R5 are in place.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use ring3_isa::{Reg, Size, Width};

use super::abi::CTX_SLOT;
use super::regs::{self, RAX, RBX};
use super::{X64, emit};
use crate::target::{Callee, Frame};

impl X64 {
    pub(super) fn emit_call(&mut self, callee: Callee) {
        emit!(self, mov r9, r12);
        self.emit_load_imm(RAX, callee.0 as u64);
        emit!(self, call rax);
    }

    /// The program that follows is entered as from outside, with the return address of this frame.
    pub(super) fn emit_tail_call(&mut self, frame: &Frame, callee: Callee) {
        emit!(self, mov[rsp + CTX_SLOT], rdi);
        self.emit_call(callee);
        emit!(self, test rax, rax; jz >failed; mov rdi, [rsp + CTX_SLOT]; mov rsi, r12);
        self.emit_epilogue(frame);
        emit!(self, jmp rax; failed:);
    }

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
            Some(index) => emit!(self, mov rsi, Rq(regs::of(index))),
            None => emit!(self, xor esi, esi),
        }
        emit!(self, mov rdi, Rq(RBX); mov rdx, DWORD imm; mov ecx, DWORD size.bytes() as i32; xor r8d, r8d);
        self.emit_call(callee);
        self.compare_byte(Width::W64, RAX, -1);
        emit!(self, jne >loaded; xor eax, eax);
        self.emit_epilogue(frame);
        emit!(self, ret; loaded:);
    }
}
