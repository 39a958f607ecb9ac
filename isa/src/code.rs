//! Instructions as bytes: decoding, encoding and what can be wrong with an encoding (RFC 9669 section 3).
//!
//! Decoding is total. Linux complains of reserved fields and of registers that do not exist only when it visits an
//! instruction, so one that cannot be decoded stays at its slot as a `Malformed` and the program around it stands.

use alloc::vec::Vec;
use core::fmt;

use crate::error::IsaError;
use crate::insn::{AluOp, AtomicOp, Callee, CmpOp, EndianOp, Insn, Operand, Reg, Size, Wide, Width};
use crate::num;
use crate::op::{bits, call, class, mode, wide};

/// Byte order of a program's encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Endianness {
    Little,
    Big,
}

/// One slot: eight bytes, taken apart but not judged. Register numbers are 0 to 15.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RawInsn {
    /// Opcode.
    pub code: u8,
    /// Destination register number, four bits.
    pub dst: u8,
    /// Source register number, four bits.
    pub src: u8,
    /// Offset.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl RawInsn {
    /// Bytes in a slot.
    pub const BYTES: usize = 8;

    /// From the eight bytes of a slot. A big-endian encoding also has the registers the other way round.
    pub const fn from_bytes(bytes: [u8; 8], order: Endianness) -> RawInsn {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        match order {
            Endianness::Little => RawInsn {
                code,
                dst: regs & 0x0f,
                src: regs >> 4,
                off: i16::from_le_bytes([o0, o1]),
                imm: i32::from_le_bytes([i0, i1, i2, i3]),
            },
            Endianness::Big => RawInsn {
                code,
                dst: regs >> 4,
                src: regs & 0x0f,
                off: i16::from_be_bytes([o0, o1]),
                imm: i32::from_be_bytes([i0, i1, i2, i3]),
            },
        }
    }

    /// The eight bytes of the slot.
    pub const fn to_bytes(self, order: Endianness) -> [u8; 8] {
        let (regs, [o0, o1], [i0, i1, i2, i3]) = match order {
            Endianness::Little => ((self.src << 4) | (self.dst & 0x0f), self.off.to_le_bytes(), self.imm.to_le_bytes()),
            Endianness::Big => ((self.dst << 4) | (self.src & 0x0f), self.off.to_be_bytes(), self.imm.to_be_bytes()),
        };
        [self.code, regs, o0, o1, i0, i1, i2, i3]
    }

    /// First slot of a 64-bit immediate load.
    pub const fn is_wide(self) -> bool {
        self.code == bits::LD_IMM64
    }

    /// What a call or a load of a function's address names, read from as few fields as Linux's structural passes read: such
    /// a slot may have anything in the others as long as nothing visits it.
    pub const fn mention(self) -> Option<Mention> {
        match (self.code, self.src) {
            (bits::CALL_K, call::HELPER) => Some(Mention::Helper(self.imm)),
            (bits::CALL_K, call::LOCAL) => Some(Mention::Function(self.imm)),
            (bits::CALL_K, call::KFUNC) => Some(Mention::Kfunc { id: self.imm, off: self.off }),
            (bits::LD_IMM64, FUNC_ADDRESS) => Some(Mention::Address(self.imm)),
            _ => None,
        }
    }

    /// An exit or an unconditional jump, as the last slot of a function must be.
    pub const fn never_falls(self) -> bool {
        matches!(self.code, bits::EXIT_K | bits::JA_K | bits::JA32_K)
    }

    /// A `may_goto`.
    pub const fn is_may_goto(self) -> bool {
        self.code == bits::JCOND | class::JMP && self.src == 0
    }

    /// A call or a jump to an address in a register, whatever its other fields hold: Linux 6.18 has neither opcode.
    pub const fn is_indirect(self) -> bool {
        matches!(self.code, bits::CALL_X | bits::JA_X)
    }

    /// A legacy packet load.
    pub const fn is_legacy_load(self) -> bool {
        self.code & class::MASK == class::LD && matches!(self.code & mode::MASK, mode::ABS | mode::IND)
    }

    /// Where control goes, read from the opcode alone, as Linux's control-flow pass reads it: instructions that nothing
    /// visits may have anything in their other fields.
    pub const fn flow(self) -> Flow {
        let class = self.code & class::MASK;
        if class != class::JMP && class != class::JMP32 {
            return Flow::Next;
        }
        match self.code & bits::OP_MASK {
            bits::EXIT => Flow::Exit,
            bits::CALL => Flow::Next,
            // With a register as operand it is none, but jumps are looked at before opcodes.
            bits::JA if self.code == class::JMP32 | bits::JA => Flow::Goto(self.imm),
            bits::JA => Flow::Goto(self.off as i32),
            _ => Flow::Branch(self.off as i32),
        }
    }
}

/// `src` of a 64-bit immediate load that yields the address of a function.
const FUNC_ADDRESS: u8 = 4;

/// What a slot names: see [`RawInsn::mention`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mention {
    /// A call of the helper with this number.
    Helper(i32),
    /// A call of the function so far from the following slot.
    Function(i32),
    /// A call of a kernel function.
    Kfunc {
        /// BTF id.
        id: i32,
        /// Index of a module's BTF.
        off: i16,
    },
    /// The address of the function so far from the following slot.
    Address(i32),
}

/// Where control goes after an instruction; offsets are in slots from the following slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flow {
    /// To the following instruction (a call comes back there).
    Next,
    /// Always there.
    Goto(i32),
    /// There or to the following instruction.
    Branch(i32),
    /// Back to the caller.
    Exit,
}

/// The group of instructions whose unused fields must be zero. Its `Display` is Linux's name for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Reserved {
    Neg,
    End,
    Mov,
    Alu,
    Branch,
    Ja,
    Call,
    CallX,
    JaX,
    Exit,
    Ldx,
    Stx,
    St,
    LdImm64,
    LegacyPacket,
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reserved::Neg => "BPF_NEG",
            Reserved::End => "BPF_END",
            Reserved::Mov => "BPF_MOV",
            Reserved::Alu => "BPF_ALU",
            Reserved::Branch => "BPF_JMP/JMP32",
            Reserved::Ja => "BPF_JA",
            Reserved::Call => "BPF_CALL",
            Reserved::CallX => "BPF_CALL|BPF_X",
            Reserved::JaX => "BPF_JA|BPF_X",
            Reserved::Exit => "BPF_EXIT",
            Reserved::Ldx => "BPF_LDX",
            Reserved::Stx => "BPF_STX",
            Reserved::St => "BPF_ST",
            Reserved::LdImm64 => "BPF_LD_IMM64",
            Reserved::LegacyPacket => "BPF_LD_[ABS|IND]",
        })
    }
}

/// Why a slot is no instruction. Its `Display` is what Linux's verifier says; the error number is always EINVAL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Malformed {
    /// No instruction has this opcode.
    UnknownOpcode(u8),
    /// A field that must be zero is not, or holds a value with no meaning.
    Reserved(Reserved),
    /// A register above R10.
    InvalidRegister(u8),
    /// A 64-bit immediate load whose second slot is missing or not blank.
    BadWide,
    /// A 64-bit immediate load of an unknown kind, or one that sets a half which its kind does not have.
    UnrecognizedWide,
    /// An atomic operation that does not exist.
    AtomicOp(i32),
    /// A read-modify-write of one or two bytes.
    AtomicSize,
    /// An address space cast other than between 0 and 1.
    AddrSpace,
    /// A `may_goto` with something in its unused fields; the offset and the immediate.
    MayGoto(i16, i32),
}

impl Malformed {
    /// Linux refuses it wherever it stands in the program, and not only when control reaches it.
    pub const fn anywhere(self) -> bool {
        match self {
            Malformed::UnknownOpcode(_)
            | Malformed::BadWide
            | Malformed::UnrecognizedWide
            | Malformed::Reserved(Reserved::Ldx) => true,
            Malformed::Reserved(_)
            | Malformed::InvalidRegister(_)
            | Malformed::AtomicOp(_)
            | Malformed::AtomicSize
            | Malformed::AddrSpace
            | Malformed::MayGoto(..) => false,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::UnknownOpcode(code) => write!(f, "unknown opcode {code:02x}"),
            Malformed::Reserved(group) => write!(f, "{group} uses reserved fields"),
            Malformed::InvalidRegister(number) => write!(f, "R{number} is invalid"),
            Malformed::BadWide => f.write_str("invalid bpf_ld_imm64 insn"),
            Malformed::UnrecognizedWide => f.write_str("unrecognized bpf_ld_imm64 insn"),
            Malformed::AtomicOp(imm) => write!(f, "BPF_ATOMIC uses invalid atomic opcode {imm:02x}"),
            Malformed::AtomicSize => f.write_str("invalid atomic operand size"),
            Malformed::AddrSpace => f.write_str("addr_space_cast insn can only convert between address space 1 and 0"),
            Malformed::MayGoto(_, imm) => write!(f, "invalid may_goto imm {imm}"),
        }
    }
}

impl core::error::Error for Malformed {}

/// A program's instructions, decoded once. One index serves for everything: the slot number, as users and logs see it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Code {
    raw: Vec<RawInsn>,
    insns: Vec<Result<Insn, Malformed>>,
}

impl Code {
    /// Decodes every slot. Never fails: what is wrong with a slot is told by [`Code::get`].
    pub fn decode(raw: Vec<RawInsn>) -> Code {
        let mut insns = Vec::with_capacity(raw.len());
        while let Some(&head) = raw.get(insns.len()) {
            let tail = raw.get(insns.len() + 1).copied().filter(|tail| is_blank_tail(*tail));
            insns.push(decode_slot(head, tail));
            if head.is_wide() && tail.is_some() {
                insns.push(Ok(Insn::WideTail));
            }
        }
        Code { raw, insns }
    }

    /// Decodes a section's bytes. Fails if they are not whole slots.
    pub fn from_bytes(bytes: &[u8], order: Endianness) -> Result<Code, IsaError> {
        let (slots, rest) = bytes.as_chunks::<{ RawInsn::BYTES }>();
        if rest.is_empty() {
            Ok(Code::decode(slots.iter().map(|slot| RawInsn::from_bytes(*slot, order)).collect()))
        } else {
            Err(IsaError::PartialSlot { bytes: bytes.len() })
        }
    }

    /// The code of these instructions. `WideTail` is skipped: a `LoadImm` brings its own.
    pub fn from_insns(insns: impl IntoIterator<Item = Insn>) -> Code {
        let mut raw = Vec::new();
        for insn in insns.into_iter().filter(|insn| *insn != Insn::WideTail) {
            raw.extend_from_slice(&encode(insn));
        }
        Code::decode(raw)
    }

    /// Length in slots.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// No slots at all.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The instruction at a slot, `None` after the last.
    pub fn get(&self, slot: usize) -> Option<Result<Insn, Malformed>> {
        self.insns.get(slot).copied()
    }

    /// All instructions by slot.
    pub fn insns(&self) -> &[Result<Insn, Malformed>] {
        &self.insns
    }

    /// The slot as it was encoded.
    pub fn raw(&self, slot: usize) -> Option<RawInsn> {
        self.raw.get(slot).copied()
    }

    /// All slots as they were encoded.
    pub fn raw_slice(&self) -> &[RawInsn] {
        &self.raw
    }

    /// The first slot of a 64-bit immediate load, well formed or not.
    pub fn is_wide(&self, slot: usize) -> bool {
        !self.is_tail(slot) && self.raw.get(slot).is_some_and(|raw| raw.is_wide())
    }

    /// The second slot of a 64-bit immediate load.
    pub fn is_tail(&self, slot: usize) -> bool {
        matches!(self.insns.get(slot), Some(Ok(Insn::WideTail)))
    }

    /// The slot of the instruction after this one.
    pub fn next(&self, slot: usize) -> usize {
        if self.is_tail(slot + 1) { slot + 2 } else { slot + 1 }
    }

    /// The encoding, in this byte order.
    pub fn to_bytes(&self, order: Endianness) -> Vec<u8> {
        self.raw.iter().flat_map(|raw| raw.to_bytes(order)).collect()
    }
}

const fn is_blank_tail(raw: RawInsn) -> bool {
    raw.code == 0 && raw.dst == 0 && raw.src == 0 && raw.off == 0
}

fn reserved<T>(group: Reserved) -> Result<T, Malformed> {
    Err(Malformed::Reserved(group))
}

fn require(holds: bool, group: Reserved) -> Result<(), Malformed> {
    if holds { Ok(()) } else { reserved(group) }
}

fn reg(number: u8) -> Result<Reg, Malformed> {
    Reg::new(number).ok_or(Malformed::InvalidRegister(number))
}

/// Destination and source; the source is complained of first.
fn dst_src(raw: RawInsn) -> Result<(Reg, Reg), Malformed> {
    let src = reg(raw.src)?;
    Ok((reg(raw.dst)?, src))
}

/// Destination and second operand; the field that the form does not use must be zero.
fn dst_operand(raw: RawInsn, group: Reserved) -> Result<(Reg, Operand), Malformed> {
    if raw.code & bits::X != 0 {
        require(raw.imm == 0, group)?;
        let (dst, src) = dst_src(raw)?;
        Ok((dst, Operand::Reg(src)))
    } else {
        require(raw.src == 0, group)?;
        Ok((reg(raw.dst)?, Operand::Imm(raw.imm)))
    }
}

/// Decodes one instruction; `tail` is the following slot if it can be the second half of a wide load.
pub(crate) fn decode_slot(raw: RawInsn, tail: Option<RawInsn>) -> Result<Insn, Malformed> {
    match raw.code & class::MASK {
        class::LD => decode_ld(raw, tail),
        class::LDX => decode_ldx(raw),
        class::ST => decode_st(raw),
        class::STX => decode_stx(raw),
        class::ALU => decode_alu(raw, Width::W32),
        class::ALU64 => decode_alu(raw, Width::W64),
        class::JMP => decode_jmp(raw, Width::W64),
        _ => decode_jmp(raw, Width::W32),
    }
}

fn decode_ld(raw: RawInsn, tail: Option<RawInsn>) -> Result<Insn, Malformed> {
    let size = Size::of(raw.code);
    match (raw.code & mode::MASK, size) {
        (mode::IMM, Size::Dw) => decode_wide(raw, tail),
        (mode::ABS, Size::B | Size::H | Size::W) => {
            require(raw.dst == 0 && raw.off == 0 && raw.src == 0, Reserved::LegacyPacket)?;
            Ok(Insn::LegacyPacket { size, index: None, imm: raw.imm })
        }
        (mode::IND, Size::B | Size::H | Size::W) => {
            require(raw.dst == 0 && raw.off == 0, Reserved::LegacyPacket)?;
            Ok(Insn::LegacyPacket { size, index: Some(reg(raw.src)?), imm: raw.imm })
        }
        _ => Err(Malformed::UnknownOpcode(raw.code)),
    }
}

fn decode_wide(raw: RawInsn, tail: Option<RawInsn>) -> Result<Insn, Malformed> {
    let high = tail.ok_or(Malformed::BadWide)?.imm;
    let value = match raw.src {
        wide::IMM => Wide::Imm(num::join(num::u32(high), num::u32(raw.imm))),
        wide::MAP if high == 0 => Wide::Map(raw.imm),
        wide::MAP_VALUE => Wide::MapValue { map: raw.imm, off: num::u32(high) },
        wide::BTF_ID => Wide::BtfId { id: raw.imm, fd: high },
        wide::FUNC => Wide::Func(raw.imm),
        wide::MAP_IDX if high == 0 => Wide::MapIdx(raw.imm),
        wide::MAP_IDX_VALUE => Wide::MapIdxValue { index: raw.imm, off: num::u32(high) },
        _ => return Err(Malformed::UnrecognizedWide),
    };
    require(raw.off == 0, Reserved::LdImm64)?;
    Ok(Insn::LoadImm { dst: reg(raw.dst)?, value })
}

fn decode_ldx(raw: RawInsn) -> Result<Insn, Malformed> {
    let size = Size::of(raw.code);
    // Linux takes an unknown mode for a reserved field, before it looks whether there is such an opcode.
    let mode = raw.code & mode::MASK;
    require((mode == mode::MEM || mode == mode::MEMSX) && raw.imm == 0, Reserved::Ldx)?;
    let signed = mode == mode::MEMSX;
    if signed && size == Size::Dw {
        return Err(Malformed::UnknownOpcode(raw.code));
    }
    let (dst, base) = dst_src(raw)?;
    Ok(Insn::Load { size, signed, dst, base, off: raw.off })
}

fn decode_st(raw: RawInsn) -> Result<Insn, Malformed> {
    if raw.code & mode::MASK != mode::MEM {
        return Err(Malformed::UnknownOpcode(raw.code));
    }
    require(raw.src == 0, Reserved::St)?;
    let (size, base) = (Size::of(raw.code), reg(raw.dst)?);
    Ok(Insn::Store { size, base, off: raw.off, src: Operand::Imm(raw.imm) })
}

fn decode_stx(raw: RawInsn) -> Result<Insn, Malformed> {
    let (size, off) = (Size::of(raw.code), raw.off);
    match raw.code & mode::MASK {
        mode::MEM => {
            require(raw.imm == 0, Reserved::Stx)?;
            let (base, src) = dst_src(raw)?;
            Ok(Insn::Store { size, base, off, src: Operand::Reg(src) })
        }
        mode::ATOMIC => decode_atomic(raw, size),
        _ => Err(Malformed::UnknownOpcode(raw.code)),
    }
}

fn decode_atomic(raw: RawInsn, size: Size) -> Result<Insn, Malformed> {
    let off = raw.off;
    match raw.imm {
        bits::LOAD_ACQ => {
            let (dst, base) = dst_src(raw)?;
            Ok(Insn::LoadAcquire { size, dst, base, off })
        }
        bits::STORE_REL => {
            let (base, src) = dst_src(raw)?;
            Ok(Insn::StoreRelease { size, base, off, src })
        }
        imm => {
            let op = AtomicOp::with_imm(imm).ok_or(Malformed::AtomicOp(imm))?;
            if size < Size::W {
                return Err(Malformed::AtomicSize);
            }
            let (base, src) = dst_src(raw)?;
            Ok(Insn::Atomic { op, size, base, off, src })
        }
    }
}

fn decode_alu(raw: RawInsn, width: Width) -> Result<Insn, Malformed> {
    let unknown = Malformed::UnknownOpcode(raw.code);
    let register = raw.code & bits::X != 0;
    match raw.code & bits::OP_MASK {
        bits::NEG if register => Err(unknown),
        bits::NEG => {
            require(raw.src == 0 && raw.off == 0 && raw.imm == 0, Reserved::Neg)?;
            Ok(Insn::Neg { width, dst: reg(raw.dst)? })
        }
        bits::END => {
            let class = raw.code & class::MASK;
            let mut ops = EndianOp::ALL.iter().copied();
            let op = ops.find(|op| op.row().class == class && op.row().x == register).ok_or(unknown)?;
            let size = Size::with_width(raw.imm).filter(|size| *size != Size::B);
            let size = size.filter(|_| raw.src == 0 && raw.off == 0).ok_or(Malformed::Reserved(Reserved::End))?;
            Ok(Insn::Endian { op, size, dst: reg(raw.dst)? })
        }
        bits::MOV => decode_mov(raw, width),
        op => {
            let op = AluOp::with_bits(op, raw.off).ok_or(unknown)?;
            let op = op.or(reserved(Reserved::Alu))?;
            let (dst, src) = dst_operand(raw, Reserved::Alu)?;
            Ok(Insn::Alu { width, op, dst, src })
        }
    }
}

fn decode_mov(raw: RawInsn, width: Width) -> Result<Insn, Malformed> {
    if raw.off == 0 {
        let (dst, src) = dst_operand(raw, Reserved::Mov)?;
        return Ok(Insn::Mov { width, dst, src });
    }
    require(raw.code & bits::X != 0, Reserved::Mov)?;
    if width == Width::W64 && raw.off == bits::ADDR_SPACE_CAST {
        if raw.imm != 1 && raw.imm != 1 << 16 {
            return Err(Malformed::AddrSpace);
        }
        let (dst, src) = dst_src(raw)?;
        return Ok(Insn::AddrSpaceCast { dst, src, imm: raw.imm });
    }
    let from = Size::with_width(i32::from(raw.off)).filter(|from| from.bits() < width.bits() && raw.imm == 0);
    let from = from.ok_or(Malformed::Reserved(Reserved::Mov))?;
    let (dst, src) = dst_src(raw)?;
    Ok(Insn::MovSx { width, from, dst, src })
}

fn decode_jmp(raw: RawInsn, width: Width) -> Result<Insn, Malformed> {
    let unknown = Malformed::UnknownOpcode(raw.code);
    let plain = raw.code & bits::X == 0;
    let blank = raw.src == 0 && raw.dst == 0;
    match (raw.code & bits::OP_MASK, width) {
        (bits::JA, Width::W64) if plain => {
            require(blank && raw.imm == 0, Reserved::Ja)?;
            Ok(Insn::Jump { off: i32::from(raw.off), long: false })
        }
        (bits::JA, Width::W32) if plain => {
            require(blank && raw.off == 0, Reserved::Ja)?;
            Ok(Insn::Jump { off: raw.imm, long: true })
        }
        (bits::CALL, Width::W64) if plain => decode_call(raw),
        (bits::CALL, Width::W64) => {
            require(raw.src == 0 && raw.off == 0 && raw.imm == 0, Reserved::CallX)?;
            Ok(Insn::CallX { target: reg(raw.dst)? })
        }
        (bits::JA, Width::W64) => {
            require(raw.src == 0 && raw.off == 0 && raw.imm == 0, Reserved::JaX)?;
            Ok(Insn::GotoX { target: reg(raw.dst)? })
        }
        (bits::EXIT, Width::W64) if plain => {
            require(blank && raw.imm == 0, Reserved::Exit)?;
            Ok(Insn::Exit)
        }
        (bits::JCOND, Width::W64) if plain => {
            if blank && raw.imm == 0 {
                Ok(Insn::MayGoto { off: raw.off })
            } else {
                Err(Malformed::MayGoto(raw.off, raw.imm))
            }
        }
        (op, _) => {
            let op = CmpOp::with_bits(op).ok_or(unknown)?;
            // Here, and nowhere else, Linux looks at the first operand before the reserved fields.
            reg(raw.dst)?;
            let (lhs, rhs) = dst_operand(raw, Reserved::Branch)?;
            Ok(Insn::Branch { width, op, lhs, rhs, off: raw.off })
        }
    }
}

fn decode_call(raw: RawInsn) -> Result<Insn, Malformed> {
    require(raw.dst == 0 && (raw.off == 0 || raw.src == call::KFUNC), Reserved::Call)?;
    Ok(Insn::Call(match raw.src {
        call::HELPER => Callee::Helper(raw.imm),
        call::LOCAL => Callee::Local(raw.imm),
        call::KFUNC => Callee::Kfunc { id: raw.imm, off: raw.off },
        _ => return reserved(Reserved::Call),
    }))
}

/// The one or two slots of an instruction; dereferences to a slice of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    slots: [RawInsn; 2],
    wide: bool,
}

impl Encoded {
    const fn one(slot: RawInsn) -> Encoded {
        Encoded { slots: [slot, RawInsn { code: 0, dst: 0, src: 0, off: 0, imm: 0 }], wide: false }
    }

    /// The first slot.
    pub const fn head(&self) -> RawInsn {
        self.slots[0]
    }
}

impl core::ops::Deref for Encoded {
    type Target = [RawInsn];

    fn deref(&self) -> &[RawInsn] {
        if self.wide { &self.slots } else { &self.slots[..1] }
    }
}

const fn class_of(width: Width) -> u8 {
    match width {
        Width::W32 => class::ALU,
        Width::W64 => class::ALU64,
    }
}

/// An instruction whose second operand is a register or an immediate.
fn with_operand(code: u8, dst: Reg, src: Operand, off: i16) -> RawInsn {
    match src {
        Operand::Reg(src) => RawInsn { code: code | bits::X, dst: dst.number(), src: src.number(), off, imm: 0 },
        Operand::Imm(imm) => RawInsn { code, dst: dst.number(), src: 0, off, imm },
    }
}

fn with_regs(code: u8, dst: Reg, src: Reg, off: i16, imm: i32) -> RawInsn {
    RawInsn { code, dst: dst.number(), src: src.number(), off, imm }
}

const fn width_imm(size: Size) -> i32 {
    num::s32(size.bits())
}

/// Encodes an instruction. Total: a combination that the types allow and BPF does not have (a sign-extending load of
/// eight bytes, say) gets the encoding that decoding refuses, and a short jump that is too far becomes a long one.
pub fn encode(insn: Insn) -> Encoded {
    let memory = |class: u8, mode: u8, size: Size| class | mode | size.row().bits;
    Encoded::one(match insn {
        Insn::Alu { width, op, dst, src } => with_operand(class_of(width) | op.row().bits, dst, src, op.row().off),
        Insn::Mov { width, dst, src } => with_operand(class_of(width) | bits::MOV, dst, src, 0),
        Insn::MovSx { width, from, dst, src } => {
            let off = match from {
                Size::B => 8,
                Size::H => 16,
                Size::W => 32,
                Size::Dw => 64,
            };
            with_operand(class_of(width) | bits::MOV, dst, Operand::Reg(src), off)
        }
        Insn::AddrSpaceCast { dst, src, imm } => {
            with_regs(class::ALU64 | bits::MOV | bits::X, dst, src, bits::ADDR_SPACE_CAST, imm)
        }
        Insn::Neg { width, dst } => with_operand(class_of(width) | bits::NEG, dst, Operand::Imm(0), 0),
        Insn::Endian { op, size, dst } => {
            let code = op.row().class | bits::END | if op.row().x { bits::X } else { 0 };
            RawInsn { code, dst: dst.number(), src: 0, off: 0, imm: width_imm(size) }
        }
        Insn::LoadImm { dst, value } => return encode_wide(dst, value),
        Insn::WideTail => RawInsn::default(),
        Insn::Load { size, signed, dst, base, off } => {
            let mode = if signed { mode::MEMSX } else { mode::MEM };
            with_regs(memory(class::LDX, mode, size), dst, base, off, 0)
        }
        Insn::Store { size, base, off, src: Operand::Imm(imm) } => {
            RawInsn { code: memory(class::ST, mode::MEM, size), dst: base.number(), src: 0, off, imm }
        }
        Insn::Store { size, base, off, src: Operand::Reg(src) } => {
            with_regs(memory(class::STX, mode::MEM, size), base, src, off, 0)
        }
        Insn::Atomic { op, size, base, off, src } => {
            with_regs(memory(class::STX, mode::ATOMIC, size), base, src, off, op.row().imm)
        }
        Insn::LoadAcquire { size, dst, base, off } => {
            with_regs(memory(class::STX, mode::ATOMIC, size), dst, base, off, bits::LOAD_ACQ)
        }
        Insn::StoreRelease { size, base, off, src } => {
            with_regs(memory(class::STX, mode::ATOMIC, size), base, src, off, bits::STORE_REL)
        }
        Insn::Jump { off, long } => encode_jump(off, long),
        Insn::Branch { width, op, lhs, rhs, off } => {
            let class = match width {
                Width::W32 => class::JMP32,
                Width::W64 => class::JMP,
            };
            with_operand(class | op.row().bits, lhs, rhs, off)
        }
        Insn::MayGoto { off } => RawInsn { code: class::JMP | bits::JCOND, off, ..RawInsn::default() },
        Insn::Call(callee) => encode_call(callee),
        Insn::CallX { target } => RawInsn { code: bits::CALL_X, dst: target.number(), ..RawInsn::default() },
        Insn::GotoX { target } => RawInsn { code: bits::JA_X, dst: target.number(), ..RawInsn::default() },
        Insn::Exit => RawInsn { code: class::JMP | bits::EXIT, ..RawInsn::default() },
        Insn::LegacyPacket { size, index, imm } => {
            let (mode, src) = index.map_or((mode::ABS, 0), |index| (mode::IND, index.number()));
            RawInsn { code: memory(class::LD, mode, size), dst: 0, src, off: 0, imm }
        }
    })
}

fn encode_wide(dst: Reg, value: Wide) -> Encoded {
    let (src, low, high) = match value {
        Wide::Imm(value) => (wide::IMM, num::low_s32(value), num::s32(num::high32(value))),
        Wide::Map(map) => (wide::MAP, map, 0),
        Wide::MapValue { map, off } => (wide::MAP_VALUE, map, num::s32(off)),
        Wide::BtfId { id, fd } => (wide::BTF_ID, id, fd),
        Wide::Func(off) => (wide::FUNC, off, 0),
        Wide::MapIdx(index) => (wide::MAP_IDX, index, 0),
        Wide::MapIdxValue { index, off } => (wide::MAP_IDX_VALUE, index, num::s32(off)),
    };
    let head = RawInsn { code: bits::LD_IMM64, dst: dst.number(), src, off: 0, imm: low };
    Encoded { slots: [head, RawInsn { imm: high, ..RawInsn::default() }], wide: true }
}

fn encode_jump(off: i32, long: bool) -> RawInsn {
    match i16::try_from(off) {
        Ok(off) if !long => RawInsn { code: class::JMP | bits::JA, off, ..RawInsn::default() },
        Ok(_) | Err(_) => RawInsn { code: class::JMP32 | bits::JA, imm: off, ..RawInsn::default() },
    }
}

fn encode_call(callee: Callee) -> RawInsn {
    let (src, off, imm) = match callee {
        Callee::Helper(id) => (call::HELPER, 0, id),
        Callee::Local(off) => (call::LOCAL, 0, off),
        Callee::Kfunc { id, off } => (call::KFUNC, off, id),
    };
    RawInsn { code: class::JMP | bits::CALL, dst: 0, src, off, imm }
}
