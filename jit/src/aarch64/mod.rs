//! arm64: the Arm Architecture Reference Manual for the instructions, AAPCS64 for the calls.
//!
//! Each file emits one class of operations; this one holds the assembler and wires them to [`Target`]. dynasm panics where an
//! immediate that is known at run time only does not fit its instruction, so every such immediate is checked here before.

mod abi;
mod alu;
mod atomic;
mod branch;
mod call;
mod guards;
mod mem;
mod regs;

use branch::{B, BL};
use dynasmrt::DynasmApi;
use dynasmrt::aarch64::Aarch64Relocation;
use ring3_isa::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Reg, Size, Width};
use ring3_vm::Op;

use crate::JitError;
use crate::code::{Code, Label};
use crate::compile::{Assembled, Unit};
use crate::guards::Budget;
use crate::opt::{Chosen, Step};
use crate::symbols::Unwind;
use crate::target::{Address, Array, Callee, FAR, Frame, Target};
use crate::words::Word;

/// One instruction or several, in Arm's syntax.
macro_rules! emit {
    ($a64:ident, $($code:tt)*) => {
        dynasmrt::dynasm!($a64.asm ; .arch aarch64 ; $($code)*)
    };
}
use emit;

/// An instruction on registers of the width.
macro_rules! sized {
    ($a64:ident, $name:ident, $width:expr, $($reg:expr),+) => {
        match $width {
            Width::W64 => emit!($a64, $name $(X($reg)),+),
            Width::W32 => emit!($a64, $name $(W($reg)),+),
        }
    };
}
use sized;

/// Instructions that not every arm64 processor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Features {
    /// Read-modify-write in one instruction (FEAT_LSE).
    pub(crate) lse: bool,
}

impl Features {
    /// Those of this machine; none if it is not an arm64.
    pub(crate) fn detect() -> Features {
        #[cfg(target_arch = "aarch64")]
        let features = Features { lse: std::arch::is_aarch64_feature_detected!("lse") };
        #[cfg(not(target_arch = "aarch64"))]
        let features = Features::default();
        features
    }
}

/// How far conditional branches are to reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// 1 MiB, which is what one instruction does.
    Near,
    /// 128 MiB: around an unconditional one.
    Far,
}

/// Emits arm64 code.
pub(crate) struct A64 {
    asm: Code<Aarch64Relocation>,
    features: Features,
    reach: Reach,
}

impl A64 {
    /// An empty assembler.
    pub(crate) fn new(features: Features, reach: Reach) -> A64 {
        // Displacements are relative, so the code does not care where it ends up.
        A64 { asm: Code::new(), features, reach }
    }
}

/// Emits the code of a program: with short branches, and where one of them does not reach its target with far ones.
pub(crate) fn assemble(unit: &Unit<'_>, features: Features) -> Result<Assembled, JitError> {
    match crate::compile::assemble(unit, A64::new(features, Reach::Near)) {
        Err(JitError::Assembler(_)) => crate::compile::assemble(unit, A64::new(features, Reach::Far)),
        done => done,
    }
}

/// Processors fetch instructions in blocks of this size.
const LOOP_ALIGNMENT: usize = 16;

impl Target for A64 {
    fn start(&mut self, ops: usize) {
        self.asm.start(ops);
    }

    fn label(&mut self) -> Label {
        self.asm.label()
    }

    fn place(&mut self, label: Label) {
        self.asm.place(label);
    }

    #[inline(always)]
    fn mark(&mut self, op: u32) {
        self.asm.place(Label::of_op(op));
    }

    fn align_loop(&mut self) {
        while !self.asm.offset().0.is_multiple_of(LOOP_ALIGNMENT) {
            emit!(self, nop);
        }
    }

    fn offset(&self) -> usize {
        self.asm.offset().0
    }

    /// All jumps are as long as each other.
    #[inline(always)]
    fn most_bytes(&self, _op: &Op, _step: Step) -> u32 {
        FAR
    }

    fn prologue(&mut self, frame: &Frame) {
        self.emit_prologue(frame);
    }

    fn unwind(frame: &Frame) -> Unwind {
        abi::unwind(frame)
    }

    fn trampoline_unwind() -> Unwind {
        abi::trampoline_unwind()
    }

    fn exit(&mut self, frame: &Frame) {
        self.emit_exit(frame, regs::X7);
    }

    fn guard(&mut self) {
        emit!(self, brk 0);
    }

    fn callback_trampoline(&mut self) {
        self.emit_callback_trampoline();
    }

    #[inline(always)]
    fn alu_word(&self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Word {
        alu::word(width, op, dst, src)
    }

    #[inline(always)]
    fn mov_word(&self, width: Width, dst: Reg, src: Operand) -> Word {
        alu::move_word(width, dst, src)
    }

    #[inline(always)]
    fn load_word(&self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32) -> Word {
        mem::load_word(size, signed, dst, base, off)
    }

    #[inline(always)]
    fn store_word(&self, size: Size, base: Reg, off: i32, src: Operand) -> Word {
        mem::store_word(size, base, off, src)
    }

    #[inline(always)]
    fn put_words(&mut self, first: u32, words: &[Word]) -> usize {
        self.asm.put_words(first, words)
    }

    /// Nothing is known: results have no flags.
    fn note(&mut self, _op: &Op) {}

    fn alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        self.emit_alu(width, op, dst, src);
    }

    fn alu_of(&mut self, width: Width, op: AluOp, dst: Reg, lhs: Reg, rhs: Operand) {
        self.emit_alu_of(width, op, regs::of(dst), regs::of(lhs), rhs);
    }

    fn rotate(&mut self, width: Width, dst: Reg, src: Reg, left: u8) {
        self.emit_rotate(width, dst, src, left);
    }

    fn field(&mut self, width: Width, dst: Reg, src: Reg, from: u8, bits: u8) {
        self.emit_field(width, dst, src, from, bits);
    }

    fn by_bit(&mut self, dst: Reg, src: Reg, value: u64) {
        self.emit_by_bit(dst, src, value);
    }

    fn mov(&mut self, width: Width, dst: Reg, src: Operand) {
        self.emit_mov(width, dst, src);
    }

    fn mov_sx(&mut self, width: Width, from: Size, dst: Reg, src: Reg) {
        self.emit_mov_sx(width, from, dst, src);
    }

    fn neg(&mut self, width: Width, dst: Reg) {
        self.emit_neg(width, regs::of(dst));
    }

    fn endian(&mut self, op: EndianOp, size: Size, dst: Reg) {
        self.emit_endian(op, size, dst);
    }

    fn load_imm(&mut self, dst: Reg, value: u64) {
        self.emit_load_imm(regs::of(dst), value);
    }

    fn load(&mut self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32) {
        self.emit_load(size, signed, regs::of(dst), regs::of(base), off);
    }

    fn store(&mut self, size: Size, base: Reg, off: i32, src: Operand) {
        self.emit_store(size, regs::of(base), off, src);
    }

    fn load_swapped(&mut self, size: Size, dst: Reg, base: Reg, off: i32) {
        self.emit_load(size, false, regs::of(dst), regs::of(base), off);
        self.emit_endian(EndianOp::Swap, size, dst);
    }

    fn load_indexed(&mut self, size: Size, signed: bool, dst: Reg, at: Address) {
        if self.load_by_register(size, signed, regs::of(dst), at) {
            return;
        }
        let sum = self.indexed(at);
        self.emit_load(size, signed, regs::of(dst), sum, at.off);
    }

    fn store_indexed(&mut self, size: Size, at: Address, src: Operand) {
        if self.store_by_register(size, at, src) {
            return;
        }
        let sum = self.indexed(at);
        self.emit_store(size, sum, at.off, src);
    }

    fn update(&mut self, size: Size, op: AluOp, at: Address, src: Operand) {
        self.emit_update(size, op, at, src);
    }

    fn zero(&mut self, base: Reg, off: i32, bytes: u32) {
        self.emit_zero(base, off, bytes);
    }

    fn atomic(&mut self, op: AtomicOp, width: Width, base: Reg, off: i32, src: Reg) {
        self.emit_atomic(op, width, base, off, src);
    }

    fn load_acquire(&mut self, size: Size, dst: Reg, base: Reg, off: i32) {
        self.emit_load_acquire(size, dst, base, off);
    }

    fn store_release(&mut self, size: Size, base: Reg, off: i32, src: Reg) {
        self.emit_store_release(size, base, off, src);
    }

    fn jump(&mut self, target: Label) {
        self.jump_with(B, target);
    }

    fn branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: Label) {
        self.emit_branch(width, op, regs::of(lhs), rhs, target);
    }

    fn branch_loaded(&mut self, size: Size, op: CmpOp, at: Address, rhs: Operand, target: Label) {
        if !self.load_by_register(size, false, regs::X14, at) {
            let sum = self.indexed(at);
            self.emit_load(size, false, regs::X14, sum, at.off);
        }
        let width = if size == Size::Dw { Width::W64 } else { Width::W32 };
        self.emit_branch(width, op, regs::X14, rhs, target);
    }

    fn select_unless(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, dst: Reg, value: Chosen) {
        self.emit_select_unless(width, op, lhs, rhs, dst, value);
    }

    fn may_goto(&mut self, frame: &Frame, target: Label) {
        self.emit_may_goto(frame, target);
    }

    fn call_helper(&mut self, callee: Callee) {
        self.emit_call_helper(callee);
    }

    fn lookup(&mut self, array: Array) {
        self.emit_lookup(array);
    }

    fn lookup_percpu(&mut self, array: Array, plane: u32) {
        self.emit_lookup_percpu(array, plane);
    }

    fn lookup_call(&mut self, map: u64, callee: Callee, per_cpu: bool) {
        self.emit_lookup_call(map, callee, per_cpu);
    }

    fn processor_id(&mut self) {
        self.emit_processor_id();
    }

    fn random(&mut self, callee: Callee) {
        self.emit_random(callee);
    }

    fn call_local(&mut self, function: Label) {
        self.jump_with(BL, function);
    }

    fn tail_call(&mut self, frame: &Frame, callee: Callee) {
        self.emit_tail_call(frame, callee);
    }

    fn legacy_packet(&mut self, frame: &Frame, callee: Callee, size: Size, index: Option<Reg>, imm: i32) {
        self.emit_legacy_packet(frame, callee, size, index, imm);
    }

    fn push(&mut self, reg: Reg) {
        self.emit_push(reg);
    }

    fn pop(&mut self, reg: Reg) {
        self.emit_pop(reg);
    }

    fn count(&mut self, budget: Budget, steps: i32) {
        self.emit_count(budget, steps);
    }

    fn stop_if_used_up(&mut self, budget: Budget, stop: Label) {
        self.emit_stop_if_used_up(budget, stop);
    }

    fn unless_set(&mut self, offset: u32, target: Label) {
        self.emit_unless_set(offset, target);
    }

    fn tell(&mut self, callee: Callee, slot: u32) {
        self.emit_tell(callee, slot);
    }

    fn finish(self) -> Result<(Vec<u8>, Vec<u32>), JitError> {
        self.asm.finish(branch::patch)
    }
}
