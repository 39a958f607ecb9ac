//! x86-64: Intel SDM volume 2 for the instructions, the System V ABI for the calls.
//!
//! Each file emits one class of operations; this one holds the assembler and wires them to [`Target`].

mod abi;
mod alu;
mod atomic;
mod branch;
mod call;
mod form;
mod guards;
mod mem;
mod regs;
mod size;

use dynasmrt::DynasmApi;
use dynasmrt::x64::X64Relocation;
use ring3_isa::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Reg, Size, Width};
use ring3_vm::Op;

use crate::JitError;
use crate::code::{Code, Label};
use crate::compile::{Assembled, Unit};
use crate::guards::Budget;
use crate::opt::{Chosen, Step};
use crate::symbols::Unwind;
use crate::target::{Address, Array, Callee, Frame, Target};
use crate::words::Word;

/// One instruction or several, in Intel's syntax.
macro_rules! emit {
    ($x64:ident, $($code:tt)*) => {
        dynasmrt::dynasm!($x64.asm ; .arch x64 ; $($code)*)
    };
}
use emit;

/// Instructions that not every x86-64 processor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Features {
    /// BEXTR: bits from the middle.
    pub(crate) bmi1: bool,
    /// SHLX, SHRX, SARX: shifts by any register.
    pub(crate) bmi2: bool,
}

impl Features {
    /// Those of this machine; none if it is not an x86-64.
    pub(crate) fn detect() -> Features {
        #[cfg(target_arch = "x86_64")]
        let features = Features {
            bmi1: std::arch::is_x86_feature_detected!("bmi1"),
            bmi2: std::arch::is_x86_feature_detected!("bmi2"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let features = Features::default();
        features
    }
}

/// Emits x86-64 code.
pub(crate) struct X64 {
    asm: Code<X64Relocation>,
    features: Features,
    /// Indirect calls go through a thunk.
    retpolines: bool,
    /// It.
    thunk: Option<Label>,
    reach: Reach,
    /// What the flags tell of.
    flags: Flags,
}

/// The flags are those of a result, and OF tells nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Flags {
    /// Behind which byte of code that holds, or `NEVER`.
    offset: usize,
    /// The register of the machine that has the result.
    reg: u8,
    width: Width,
}

/// More bytes of code than there can be.
const NEVER: usize = usize::MAX;

impl X64 {
    /// An empty assembler.
    pub(crate) fn new(features: Features) -> X64 {
        // Displacements are relative, so the code does not care where it ends up.
        X64 {
            asm: Code::new(),
            features,
            retpolines: false,
            thunk: None,
            reach: Reach::Near,
            flags: Flags { offset: NEVER, reg: 0, width: Width::W64 },
        }
    }

    /// The same, whose indirect calls go through a thunk.
    pub(crate) fn with_retpolines(self, retpolines: bool) -> X64 {
        X64 { retpolines, ..self }
    }
}

/// How jumps to what is further down are encoded, if it is not far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// As short as they are known to be.
    Near,
    /// As all others are.
    Far,
}

/// Emits the code of a program: where something turned out to be longer than is known here, all jumps ahead are long.
pub(crate) fn assemble(unit: &Unit<'_>, features: Features, retpolines: bool) -> Result<Assembled, JitError> {
    let x64 = |reach| X64 { reach, ..X64::new(features).with_retpolines(retpolines) };
    match crate::compile::assemble(unit, x64(Reach::Near)) {
        Err(JitError::Assembler(_)) => crate::compile::assemble(unit, x64(Reach::Far)),
        done => done,
    }
}

/// A short loop that does not cross a border of so many bytes is decoded once: the processor keeps it decoded by lines of
/// this size, and some leave out lines with a jump across their end.
const LOOP_ALIGNMENT: usize = 32;

/// Instructions of 1 to 9 bytes that do nothing, as the manuals of both makers recommend them.
const NOPS: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

impl Target for X64 {
    fn start(&mut self, ops: usize) {
        self.asm.start(ops);
        self.thunk = self.retpolines.then(|| self.asm.label());
    }

    fn label(&mut self) -> Label {
        self.asm.label()
    }

    fn place(&mut self, label: Label) {
        // Whoever comes here from elsewhere has other flags.
        self.flags.offset = NEVER;
        self.asm.place(label);
    }

    #[inline(always)]
    fn mark(&mut self, op: u32) {
        self.asm.place(Label::of_op(op));
    }

    fn align_loop(&mut self) {
        let mut missing = self.asm.offset().0.wrapping_neg() % LOOP_ALIGNMENT;
        while missing > 0 {
            let nop = NOPS[missing.min(NOPS.len()) - 1];
            self.asm.extend(nop);
            missing -= nop.len();
        }
    }

    fn offset(&self) -> usize {
        self.asm.offset().0
    }

    fn most_bytes(&self, op: &Op, step: Step) -> u32 {
        self.at_most(op, step)
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
        self.emit_epilogue(frame);
        emit!(self, ret);
    }

    fn guard(&mut self) {
        emit!(self, ud2);
    }

    fn callback_trampoline(&mut self) {
        self.emit_callback_trampoline();
        self.emit_thunk();
    }

    #[inline(always)]
    fn alu_word(&self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Word {
        form::alu(width, op, dst, src)
    }

    #[inline(always)]
    fn mov_word(&self, width: Width, dst: Reg, src: Operand) -> Word {
        form::mov(width, dst, src)
    }

    #[inline(always)]
    fn load_word(&self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32) -> Word {
        form::load(size, signed, dst, base, off)
    }

    #[inline(always)]
    fn store_word(&self, size: Size, base: Reg, off: i32, src: Operand) -> Word {
        form::store(size, base, off, src)
    }

    #[inline(always)]
    fn put_words(&mut self, first: u32, words: &[Word]) -> usize {
        self.asm.put_words(first, words)
    }

    /// The flags are those of its result.
    fn note(&mut self, op: &Op) {
        if let Op::Alu { width, op, dst, .. } = *op {
            self.note_result(op, width, dst);
        }
    }

    #[inline(always)]
    fn alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        self.emit_alu(width, op, dst, src);
    }

    fn alu_of(&mut self, width: Width, op: AluOp, dst: Reg, lhs: Reg, rhs: Operand) {
        self.emit_alu_of(width, op, dst, lhs, rhs);
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

    #[inline(always)]
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

    #[inline(always)]
    fn load(&mut self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32) {
        self.emit_load(size, signed, dst, base, off);
    }

    #[inline(always)]
    fn store(&mut self, size: Size, base: Reg, off: i32, src: Operand) {
        self.emit_store(size, base, off, src);
    }

    fn load_swapped(&mut self, size: Size, dst: Reg, base: Reg, off: i32) {
        self.emit_load(size, false, dst, base, off);
        match size {
            // The load has cleared the other bytes.
            Size::H => emit!(self, rol Rw(regs::of(dst)), 8),
            Size::B | Size::W | Size::Dw => self.emit_endian(EndianOp::Swap, size, dst),
        }
    }

    fn load_indexed(&mut self, size: Size, signed: bool, dst: Reg, at: Address) {
        self.emit_load_from(size, signed, dst, at);
    }

    fn store_indexed(&mut self, size: Size, at: Address, src: Operand) {
        self.emit_store_to(size, at, src);
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

    // The memory model of x86-64 keeps loads in order and stores in order, and no store moves before a load.
    fn load_acquire(&mut self, size: Size, dst: Reg, base: Reg, off: i32) {
        self.emit_load(size, false, dst, base, off);
    }

    fn store_release(&mut self, size: Size, base: Reg, off: i32, src: Reg) {
        self.emit_store(size, base, off, Operand::Reg(src));
    }

    fn jump(&mut self, target: Label) {
        self.jump_to(target);
    }

    #[inline(always)]
    fn branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: Label) {
        self.emit_branch(width, op, lhs, rhs, target);
    }

    fn branch_loaded(&mut self, size: Size, op: CmpOp, at: Address, rhs: Operand, target: Label) {
        self.compare_memory(size, op, at, rhs);
        self.jump_if(op, false, target);
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
        self.call_to(function);
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
        // Distances count from behind their four bytes.
        self.asm.finish(|field, distance| i32::try_from(distance - 4).map(|far| *field = far.to_le_bytes()).is_ok())
    }
}
