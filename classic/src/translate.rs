//! Classic BPF to eBPF.
//!
//! A is R0, X is R7, the context is in R6 (where the packet loads of eBPF want it, which put their result into R0), R9 keeps A
//! over what needs R0, and `M[k]` is the word at `R10 - 4 * (k + 1)`. All arithmetic is that of 32 bits. Code that nothing
//! reaches is left out, as the verifier refuses it.
//!
//! A filter of a socket becomes a program of type `socket_filter`: loads of packets are eBPF's own `LD_ABS` and `LD_IND`,
//! extensions are fields of `__sk_buff`. A filter of seccomp becomes one of type `raw_tracepoint`, whose context is words of
//! plain memory that can only be read, which `struct seccomp_data` is as well; so the verifier proves it as any program, and
//! no engine needs to know of seccomp. A map that holds the struct would do, too, but then two runs at a time would not.

use ring3_isa::{AluOp, Callee, CmpOp, Code, EndianOp, Insn as Ebpf, Operand, Reg, Size, Width};
use ring3_platform::helpers::id;
use ring3_platform::{ProgType, Program, ctx};

use crate::check::{Filter, Place};
use crate::error::ClassicError;
use crate::insn::{AD_OFF, Extension, Insn, Op, Source};
use crate::seccomp::SeccompData;

const A: Reg = Reg::R0;
const X: Reg = Reg::R7;
const CTX: Reg = Reg::R6;
const SAVED: Reg = Reg::R9;
/// Zero, which the verifier does not know: see [`Style::Opaque`].
const ZERO: Reg = Reg::R8;
/// For the operands of one comparison.
const LEFT: Reg = Reg::R1;
const RIGHT: Reg = Reg::R2;
/// No instruction becomes more than so many.
const MOST: usize = 8;

// A conditional jump skips at most 256 instructions, each of which may have become `MOST`.
const _: () = assert!(256 * MOST < i16::MAX as usize);

/// What the verifier may learn from comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Style {
    /// What it will: the shortest code.
    #[default]
    Plain,
    /// Nothing: they compare copies, to which a zero was added that the verifier takes for any number. Then all ways to an
    /// instruction look the same to it, and it walks each program in a time that grows with its length, where it might need
    /// more than its limit of a million instructions for a program that was made to that end.
    Opaque,
}

impl Filter {
    /// Translates the program; its return value is that of the original. Programs that the verifier gives up on because they
    /// are too complex for it (`E2BIG`) can be translated in [`Style::Opaque`].
    ///
    /// Errors: `NoEquivalent`.
    pub fn translate(&self, style: Style) -> Result<Program, ClassicError> {
        let kind = match self.place() {
            Place::Socket => ProgType::SocketFilter,
            Place::Seccomp => ProgType::RawTracepoint,
        };
        let mut out = Out { place: self.place(), style, items: Vec::new() };
        out.prologue();
        let reached = reached(self);
        let mut starts = Vec::with_capacity(reached.len());
        for (slot, (op, insn)) in self.steps().enumerate() {
            starts.push(out.items.len());
            if reached[slot] {
                out.step(slot, op, insn)?;
            }
        }
        Ok(Program::new("filter", kind, Code::from_insns(link(&out.items, &starts))))
    }
}

/// Which instructions can be reached. Jumps go forward only.
fn reached(filter: &Filter) -> Vec<bool> {
    let mut reached = vec![false; filter.steps().len()];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for (slot, (op, insn)) in filter.steps().enumerate() {
        if !reached[slot] {
            continue;
        }
        let mut mark = |skips: usize| {
            if let Some(slot) = reached.get_mut(slot + 1 + skips) {
                *slot = true;
            }
        };
        match op {
            Op::RetK | Op::RetA => {}
            Op::Jump => mark(insn.k as usize),
            Op::Branch(..) => {
                mark(insn.jt.into());
                mark(insn.jf.into());
            }
            Op::LoadAbs(_)
            | Op::LoadInd(_)
            | Op::LoadLen
            | Op::LoadImm
            | Op::LoadMem
            | Op::LoadXMsh
            | Op::LoadXLen
            | Op::LoadXImm
            | Op::LoadXMem
            | Op::Store
            | Op::StoreX
            | Op::Alu(..)
            | Op::Neg
            | Op::Tax
            | Op::Txa => mark(0),
        }
    }
    reached
}

/// An instruction of one slot, whose target is perhaps still one of the original program.
#[derive(Clone, Copy)]
enum Item {
    Insn(Ebpf),
    Goto(usize),
    /// 32 bits wide.
    If(CmpOp, Reg, Operand, usize),
}

/// Puts the distances in.
fn link<'a>(items: &'a [Item], starts: &'a [usize]) -> impl Iterator<Item = Ebpf> + 'a {
    items.iter().enumerate().map(|(at, item)| {
        let distance = |target: usize| {
            let to = starts.get(target).map_or(items.len(), |start| *start);
            i32::try_from(to as i64 - at as i64 - 1).unwrap_or(i32::MAX)
        };
        match *item {
            Item::Insn(insn) => insn,
            Item::Goto(target) => {
                let off = distance(target);
                Ebpf::Jump { off, long: i16::try_from(off).is_err() }
            }
            Item::If(op, lhs, rhs, target) => {
                let off = i16::try_from(distance(target)).unwrap_or(i16::MAX);
                Ebpf::Branch { width: Width::W32, op, lhs, rhs, off }
            }
        }
    })
}

struct Out {
    place: Place,
    style: Style,
    items: Vec<Item>,
}

impl Out {
    fn push(&mut self, insn: Ebpf) {
        self.items.push(Item::Insn(insn));
    }

    fn mov(&mut self, width: Width, dst: Reg, src: Operand) {
        self.push(Ebpf::Mov { width, dst, src });
    }

    fn set(&mut self, dst: Reg, value: u32) {
        self.mov(Width::W32, dst, Operand::Imm(value.cast_signed()));
    }

    fn copy(&mut self, dst: Reg, src: Reg) {
        self.mov(Width::W32, dst, Operand::Reg(src));
    }

    fn alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        self.push(Ebpf::Alu { width, op, dst, src });
    }

    /// Jumps over so many instructions unless...
    fn skip(&mut self, op: CmpOp, lhs: Reg, rhs: Operand, off: i16) {
        self.push(Ebpf::Branch { width: Width::W32, op, lhs, rhs, off });
    }

    fn exit(&mut self) {
        self.push(Ebpf::Exit);
    }

    /// A and X are zero at the start.
    fn prologue(&mut self) {
        self.mov(Width::W64, CTX, Operand::Reg(Reg::R1));
        if self.style == Style::Opaque {
            // Both contexts begin with a word of four bytes. Nobody but the machine knows that a number less itself is zero.
            self.push(Ebpf::Load { size: Size::W, signed: false, dst: ZERO, base: CTX, off: 0 });
            self.mov(Width::W64, LEFT, Operand::Reg(ZERO));
            self.alu(Width::W64, AluOp::Sub, ZERO, Operand::Reg(LEFT));
        }
        self.set(A, 0);
        self.set(X, 0);
    }

    fn step(&mut self, slot: usize, op: Op, insn: Insn) -> Result<(), ClassicError> {
        let cell = i16::try_from((insn.k % crate::MEM_CELLS + 1) * 4).map_or(0, |offset| -offset);
        let by_x = matches!(op, Op::Alu(_, Source::X) | Op::Branch(_, Source::X));
        let source = if by_x { Operand::Reg(X) } else { Operand::Imm(insn.k.cast_signed()) };
        match op {
            Op::LoadAbs(_) if insn.k >= AD_OFF => return self.extension(slot, insn),
            Op::LoadAbs(size) => self.load(size, insn.k),
            Op::LoadInd(size) => self.packet(size, Some(X), insn.k),
            Op::LoadXMsh => {
                self.copy(SAVED, A);
                self.packet(Size::B, None, insn.k);
                self.alu(Width::W32, AluOp::And, A, Operand::Imm(15));
                self.alu(Width::W32, AluOp::Lsh, A, Operand::Imm(2));
                self.copy(X, A);
                self.copy(A, SAVED);
            }
            Op::LoadLen => self.length(slot, A)?,
            Op::LoadXLen => self.length(slot, X)?,
            Op::LoadImm => self.set(A, insn.k),
            Op::LoadXImm => self.set(X, insn.k),
            Op::LoadMem => self.push(Ebpf::Load { size: Size::W, signed: false, dst: A, base: Reg::FP, off: cell }),
            Op::LoadXMem => self.push(Ebpf::Load { size: Size::W, signed: false, dst: X, base: Reg::FP, off: cell }),
            Op::Store => self.push(Ebpf::Store { size: Size::W, base: Reg::FP, off: cell, src: Operand::Reg(A) }),
            Op::StoreX => self.push(Ebpf::Store { size: Size::W, base: Reg::FP, off: cell, src: Operand::Reg(X) }),
            Op::Alu(op, from) => {
                if let (AluOp::Div | AluOp::Mod, Source::X) = (op, from) {
                    let divisor = self.hidden(RIGHT, X);
                    self.skip(CmpOp::Ne, divisor, Operand::Imm(0), 2);
                    self.set(A, 0);
                    self.exit();
                }
                self.alu(Width::W32, op, A, source);
            }
            Op::Neg => self.push(Ebpf::Neg { width: Width::W32, dst: A }),
            Op::Jump => self.goto(slot, insn.k as usize),
            Op::Branch(op, _) => self.branch(slot, op, source, insn),
            Op::RetK => {
                self.set(A, insn.k);
                self.exit();
            }
            Op::RetA => self.exit(),
            Op::Tax => self.copy(X, A),
            Op::Txa => self.copy(A, X),
        }
        Ok(())
    }

    /// Where the comparison finds a register's number.
    fn hidden(&mut self, copy: Reg, reg: Reg) -> Reg {
        match self.style {
            Style::Plain => reg,
            Style::Opaque => {
                self.mov(Width::W64, copy, Operand::Reg(reg));
                self.alu(Width::W64, AluOp::Xor, copy, Operand::Reg(ZERO));
                copy
            }
        }
    }

    fn goto(&mut self, slot: usize, skips: usize) {
        if skips > 0 {
            self.items.push(Item::Goto(slot + 1 + skips));
        }
    }

    fn branch(&mut self, slot: usize, op: CmpOp, rhs: Operand, insn: Insn) {
        let (yes, no) = (usize::from(insn.jt), usize::from(insn.jf));
        if yes == no {
            return self.goto(slot, yes);
        }
        let lhs = self.hidden(LEFT, A);
        let rhs = match rhs {
            Operand::Reg(reg) => Operand::Reg(self.hidden(RIGHT, reg)),
            Operand::Imm(_) => rhs,
        };
        let opposite = match op {
            CmpOp::Eq => Some(CmpOp::Ne),
            CmpOp::Gt => Some(CmpOp::Le),
            CmpOp::Ge => Some(CmpOp::Lt),
            // Nothing jumps if no bit is set; and there are no others in classic BPF.
            CmpOp::Set | CmpOp::Ne | CmpOp::Lt | CmpOp::Le | CmpOp::Sgt | CmpOp::Sge | CmpOp::Slt | CmpOp::Sle => None,
        };
        match opposite {
            Some(opposite) if yes == 0 => self.items.push(Item::If(opposite, lhs, rhs, slot + 1 + no)),
            _ => {
                self.items.push(Item::If(op, lhs, rhs, slot + 1 + yes));
                self.goto(slot, no);
            }
        }
    }

    fn load(&mut self, size: Size, k: u32) {
        match self.place {
            Place::Socket => self.packet(size, None, k),
            // Checked: below 64.
            Place::Seccomp => {
                let off = i16::try_from(k).unwrap_or(0);
                self.push(Ebpf::Load { size: Size::W, signed: false, dst: A, base: CTX, off });
            }
        }
    }

    /// A load beyond the packet ends the program with 0, in eBPF as well.
    fn packet(&mut self, size: Size, index: Option<Reg>, k: u32) {
        self.push(Ebpf::LegacyPacket { size, index, imm: k.cast_signed() });
    }

    fn length(&mut self, slot: usize, dst: Reg) -> Result<(), ClassicError> {
        match self.place {
            Place::Socket => self.field(slot, dst, "len", Extension::Protocol),
            Place::Seccomp => {
                self.set(dst, SeccompData::BYTES as u32);
                Ok(())
            }
        }
    }

    /// Loads a field of `__sk_buff`.
    fn field(&mut self, slot: usize, dst: Reg, name: &str, extension: Extension) -> Result<(), ClassicError> {
        let layout = ctx::layout(ProgType::SocketFilter);
        let field = layout.and_then(|layout| layout.by_name(name).and_then(|at| layout.fields.get(at)));
        let off = field.and_then(|field| i16::try_from(field.off).ok());
        let off = off.ok_or(ClassicError::NoEquivalent { slot, extension })?;
        self.push(Ebpf::Load { size: Size::W, signed: false, dst, base: CTX, off });
        Ok(())
    }

    fn extension(&mut self, slot: usize, insn: Insn) -> Result<(), ClassicError> {
        let refused = |extension| Err(ClassicError::NoEquivalent { slot, extension });
        let Some(extension) = Extension::from_k(insn.k) else { return refused(Extension::Protocol) };
        match extension {
            Extension::Protocol => self.network_order(slot, "protocol", extension),
            Extension::VlanProto => self.network_order(slot, "vlan_proto", extension),
            Extension::PktType => self.field(slot, A, "pkt_type", extension),
            Extension::IfIndex => {
                self.field(slot, A, "ifindex", extension)?;
                // Zero is no interface.
                self.skip(CmpOp::Ne, A, Operand::Imm(0), 1);
                self.exit();
                Ok(())
            }
            Extension::Mark => self.field(slot, A, "mark", extension),
            Extension::Queue => self.field(slot, A, "queue_mapping", extension),
            Extension::RxHash => self.field(slot, A, "hash", extension),
            Extension::VlanTag => self.field(slot, A, "vlan_tci", extension),
            Extension::VlanPresent => self.field(slot, A, "vlan_present", extension),
            Extension::Cpu => self.call(id::GET_SMP_PROCESSOR_ID),
            Extension::Random => self.call(id::GET_PRANDOM_U32),
            Extension::XorX => {
                self.alu(Width::W32, AluOp::Xor, A, Operand::Reg(X));
                Ok(())
            }
            Extension::Nlattr | Extension::NlattrNest | Extension::HaType | Extension::PayOffset => refused(extension),
        }
    }

    /// The field has the bytes of the wire.
    fn network_order(&mut self, slot: usize, name: &str, extension: Extension) -> Result<(), ClassicError> {
        self.field(slot, A, name, extension)?;
        self.push(Ebpf::Endian { op: EndianOp::ToBe, size: Size::H, dst: A });
        Ok(())
    }

    fn call(&mut self, helper: u32) -> Result<(), ClassicError> {
        self.push(Ebpf::Call(Callee::Helper(helper.cast_signed())));
        self.copy(A, A);
        Ok(())
    }
}
