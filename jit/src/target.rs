//! What a machine must be able to emit: the whole contract between the walk over the operations and a back end.
//!
//! A back end emits bytes and labels and knows nothing of programs. What it may rely on, because `compile` checks it: jumps stay in
//! their function, R10 is never written, callees exist, and read-modify-write operations are 32 or 64 bits wide.

use ring3_isa::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Reg, RegSet, Size, Width};
use ring3_vm::Op;

use crate::JitError;
use crate::code::Label;
use crate::guards::Budget;
use crate::opt::{Chosen, Step};
use crate::symbols::Unwind;
use crate::words::Word;

/// What a function needs of its frame: the prologue builds it, and each exit takes it down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Frame {
    /// Called from outside as `extern "C" fn(ctx, env) -> u64`; the others are called with R1 to R5 in their registers and the
    /// environment in its own.
    pub(crate) entry: bool,
    /// Registers among R6 to R9 that the function writes: it saves them for its caller.
    pub(crate) saved: RegSet,
    /// Reads R10, so needs a stack.
    pub(crate) uses_stack: bool,
    /// Bytes below R10.
    pub(crate) stack: u32,
    /// Bytes below R10 that may be read before they are written, so the prologue zeroes them: from so many, a multiple of 16, to so
    /// many, a multiple of 8. Privileged programs may read what they never wrote: they must not see what the process left there, and
    /// every engine must give the same.
    pub(crate) zeroed: (u32, u32),
    /// Calls something, so needs the environment and an aligned stack.
    pub(crate) calls: bool,
    /// The budget of `may_goto`, if it has one.
    pub(crate) may_goto: Option<u32>,
}

/// Address of an `extern "C"` function; each use says of which signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Callee(pub(crate) usize);

/// An array whose values lie in a row: value `i` is at `base + i * stride` for `i < entries`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Array {
    pub(crate) base: u64,
    /// Less than 2 to the power of 31.
    pub(crate) stride: u32,
    pub(crate) entries: u32,
}

/// What is done without the helper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shortcut {
    /// In an array.
    Array(Array),
    /// The same with so many bytes from the values of one CPU to those of the next, less than 2 to the power of 31.
    PerCpu(Array, u32),
    /// `R0 = callee(map, R2, processor)`, the last if it is asked for.
    Call { map: u64, callee: Callee, per_cpu: bool },
    /// `R0` = the processor of the run.
    ProcessorId,
    /// `R0` = the next random number.
    Random,
}

impl Shortcut {
    /// Whether it is a lookup in a map, which reads the key's address and changes no memory.
    pub(crate) fn is_lookup(self) -> bool {
        match self {
            Shortcut::Array(_) | Shortcut::PerCpu(..) | Shortcut::Call { .. } => true,
            Shortcut::ProcessorId | Shortcut::Random => false,
        }
    }
}

/// `base + (index << shift) + off`, with a shift of 0 to 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    pub(crate) base: Reg,
    pub(crate) index: Option<(Reg, u8)>,
    pub(crate) off: i32,
}

/// More bytes than a jump of the shortest form reaches.
pub(crate) const FAR: u32 = 1 << 10;

/// Emits machine code.
pub(crate) trait Target: Sized {
    /// Makes room for so many operations. Before anything else.
    fn start(&mut self, ops: usize);
    /// A fresh label.
    fn label(&mut self) -> Label;
    /// Puts the label here, where jumps come to.
    fn place(&mut self, label: Label);
    /// The operation starts here. Jumps do not come here, unless it is placed too.
    fn mark(&mut self, op: u32);
    /// Fills up to where the head of a loop should stand, with instructions that do nothing.
    fn align_loop(&mut self);
    /// Bytes emitted so far.
    fn offset(&self) -> usize;

    /// Bytes that the operation becomes at most, or [`FAR`] where nobody knows or it does not matter.
    fn most_bytes(&self, op: &Op, step: Step) -> u32;

    /// Start of a function.
    fn prologue(&mut self, frame: &Frame);
    /// What the prologue leaves: bytes of the frame, and where it saves registers.
    fn unwind(frame: &Frame) -> Unwind;
    /// The same of the trampoline for callbacks, with how long its prologue is.
    fn trampoline_unwind() -> Unwind;
    /// Takes the frame down and returns R0.
    fn exit(&mut self, frame: &Frame);
    /// Stops the machine if a function should ever run off its end.
    fn guard(&mut self);
    /// `extern "C" fn(entry, args: *const [u64; 5], env) -> u64`, which calls a function that is not an entry from outside.
    fn callback_trampoline(&mut self);

    /// What `alu` emits, if it is a word: see `crate::words`.
    fn alu_word(&self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Word;
    /// The same of `mov`.
    fn mov_word(&self, width: Width, dst: Reg, src: Operand) -> Word;
    /// The same of `load`.
    fn load_word(&self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32) -> Word;
    /// The same of `store`.
    fn store_word(&self, size: Size, base: Reg, off: i32, src: Operand) -> Word;
    /// Such words, up to the first that is to be emitted in another way, and marks their operations, of which this is the first. Gives how
    /// many.
    fn put_words(&mut self, first: u32, words: &[Word]) -> usize;
    /// What was emitted last was this operation, as a word: what the machine knows of its result can be used.
    fn note(&mut self, op: &Op);

    /// `dst = dst op src`.
    fn alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand);
    /// `dst = lhs op rhs`, where `lhs` is not `dst` and neither is `rhs`.
    fn alu_of(&mut self, width: Width, op: AluOp, dst: Reg, lhs: Reg, rhs: Operand);
    /// `dst = src` rotated left by more than 0 bits and less than the width.
    fn rotate(&mut self, width: Width, dst: Reg, src: Reg, left: u8);
    /// `dst` = so many bits of `src`, more than 0, from this one on, and zeros above; all of them are in the width.
    fn field(&mut self, width: Width, dst: Reg, src: Reg, from: u8, bits: u8);
    /// `dst` = the number, which is not 0, if the lowest bit of `src` is set, else 0.
    fn by_bit(&mut self, dst: Reg, src: Reg, value: u64);
    /// `dst = src`, the low half zero-extended if 32 bits wide.
    fn mov(&mut self, width: Width, dst: Reg, src: Operand);
    /// `dst = src`, the low `from` bytes sign-extended to the width.
    fn mov_sx(&mut self, width: Width, from: Size, dst: Reg, src: Reg);
    /// `dst = -dst`.
    fn neg(&mut self, width: Width, dst: Reg);
    /// Swaps bytes, or truncates.
    fn endian(&mut self, op: EndianOp, size: Size, dst: Reg);
    /// `dst = value`.
    fn load_imm(&mut self, dst: Reg, value: u64);

    /// `dst = *(base + off)`.
    fn load(&mut self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32);
    /// `*(base + off) = src`.
    fn store(&mut self, size: Size, base: Reg, off: i32, src: Operand);
    /// `dst = *(base + off)`, 2, 4 or 8 bytes of which the first is the highest.
    fn load_swapped(&mut self, size: Size, dst: Reg, base: Reg, off: i32);
    /// `dst = *at`.
    fn load_indexed(&mut self, size: Size, signed: bool, dst: Reg, at: Address);
    /// `*at = src`.
    fn store_indexed(&mut self, size: Size, at: Address, src: Operand);
    /// `*at = *at op src`, with `add`, `sub`, `and`, `or` or `xor`.
    fn update(&mut self, size: Size, op: AluOp, at: Address, src: Operand);
    /// So many bytes from `base + off` on become 0: at least 16.
    fn zero(&mut self, base: Reg, off: i32, bytes: u32);
    /// Read-modify-write of 32 or 64 bits.
    fn atomic(&mut self, op: AtomicOp, width: Width, base: Reg, off: i32, src: Reg);
    /// A load that later accesses are not moved before.
    fn load_acquire(&mut self, size: Size, dst: Reg, base: Reg, off: i32);
    /// A store that earlier accesses are not moved behind.
    fn store_release(&mut self, size: Size, base: Reg, off: i32, src: Reg);

    /// Jumps.
    fn jump(&mut self, target: Label);
    /// Jumps if the comparison holds.
    fn branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: Label);
    /// Jumps if the comparison of `*at` with the operand holds: all of 32 or 64 bits, or a byte with 0 to 255 without a sign.
    fn branch_loaded(&mut self, size: Size, op: CmpOp, at: Address, rhs: Operand, target: Label);
    /// `dst = value` unless the comparison holds.
    fn select_unless(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, dst: Reg, value: Chosen);
    /// Jumps if the frame's budget is used up, else counts it down.
    fn may_goto(&mut self, frame: &Frame, target: Label);

    /// `R0 = callee(R1, R2, R3, R4, R5, env)`.
    fn call_helper(&mut self, callee: Callee);
    /// `R0` = address of the array's value whose 4-byte index is at R2, or 0 if there is none. R1 to R5 may change.
    fn lookup(&mut self, array: Array);
    /// The same for the values of the CPU that the environment names.
    fn lookup_percpu(&mut self, array: Array, plane: u32);
    /// `R0 = callee(map, R2)`.
    fn lookup_call(&mut self, map: u64, callee: Callee, per_cpu: bool);
    /// `R0` = the processor that the environment names.
    fn processor_id(&mut self);
    /// `R0` = the next number of the environment's generator, or what the helper gives where the host has numbers of its own.
    fn random(&mut self, callee: Callee);
    /// Calls a function of the program.
    fn call_local(&mut self, function: Label);
    /// `callee(R1, R2, R3, env)`, which gives two words: if the first is not 0, the frame ends with the second as R0.
    fn tail_call(&mut self, frame: &Frame, callee: Callee);
    /// `callee(bytes, index + imm, env)`, which gives two words: if the first is 0, the frame ends with 0, else R0 is the second.
    fn legacy_packet(&mut self, frame: &Frame, callee: Callee, size: Size, index: Option<Reg>, imm: i32);

    /// Puts a register aside, below the frame.
    fn push(&mut self, reg: Reg);
    /// Takes it back.
    fn pop(&mut self, reg: Reg);
    /// Takes so much from the budget.
    fn count(&mut self, budget: Budget, steps: i32);
    /// Jumps if the budget has gone below 0.
    fn stop_if_used_up(&mut self, budget: Budget, stop: Label);
    /// Jumps if the byte of the environment at this offset is 0.
    fn unless_set(&mut self, offset: u32, target: Label);
    /// `callee(env, slot)`; R0 = 0.
    fn tell(&mut self, callee: Callee, slot: u32);

    /// The finished code, and where each operation starts.
    fn finish(self) -> Result<(Vec<u8>, Vec<u32>), JitError>;
}
