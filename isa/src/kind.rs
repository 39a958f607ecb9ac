//! Kinds of instructions: what is left of an instruction without the registers, offsets and numbers in it.
//!
//! A kind is what a conformance suite counts: source by register or immediate, width, size, with or without fetch, each
//! pseudo kind of the wide immediate and each kind of callee apart. All of them derive from the table in `op.rs`.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use crate::code::{Encoded, encode};
use crate::insn::{AluOp, AtomicOp, Callee, CmpOp, EndianOp, Insn, Operand, Reg, Size, Wide, Width};
use crate::mnemonic::{self, Mnemonic};
use crate::num;
use crate::op::{Group, Origin};

/// One kind of instruction. Its `Display` is a stable name: the mnemonic with its width, then what its operand is, as
/// in `add64 reg`, `jeq32 imm`, `ldxdw`, `lock fetch_add32`, `lddw map_by_fd`, `call local`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Insn);

impl Kind {
    /// Its name.
    pub fn name(self) -> String {
        self.to_string()
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Kind> {
        kinds().find(|kind| kind.name() == name)
    }

    /// The conformance group it belongs to.
    pub const fn group(self) -> Group {
        self.0.group()
    }

    /// Where it is specified.
    pub const fn origin(self) -> Origin {
        self.0.origin()
    }

    /// The first Linux (major, minor) that has it, `None` if none has.
    pub const fn since(self) -> Option<(u16, u16)> {
        self.0.since()
    }

    /// The instruction of this kind with zero in every field that is free.
    pub const fn example(self) -> Insn {
        self.0
    }

    /// Its encoding with zero in every field that is free; two slots for a wide load.
    pub fn encoding(self) -> Encoded {
        encode(self.0)
    }
}

const fn blank(operand: Operand) -> Operand {
    match operand {
        Operand::Reg(_) => Operand::Reg(Reg::R0),
        Operand::Imm(_) => Operand::Imm(0),
    }
}

const fn blank_wide(value: Wide) -> Wide {
    match value {
        Wide::Imm(_) => Wide::Imm(0),
        Wide::Map(_) => Wide::Map(0),
        Wide::MapValue { .. } => Wide::MapValue { map: 0, off: 0 },
        Wide::BtfId { .. } => Wide::BtfId { id: 0, fd: 0 },
        Wide::Func(_) => Wide::Func(0),
        Wide::MapIdx(_) => Wide::MapIdx(0),
        Wide::MapIdxValue { .. } => Wide::MapIdxValue { index: 0, off: 0 },
    }
}

const fn blank_callee(callee: Callee) -> Callee {
    match callee {
        Callee::Helper(_) => Callee::Helper(0),
        Callee::Local(_) => Callee::Local(0),
        Callee::Kfunc { .. } => Callee::Kfunc { id: 0, off: 0 },
    }
}

impl Insn {
    /// The kind of this instruction. The second slot of a wide load counts as a load of a plain number.
    pub const fn kind(self) -> Kind {
        const R: Reg = Reg::R0;
        Kind(match self {
            Insn::Alu { width, op, src, .. } => Insn::Alu { width, op, dst: R, src: blank(src) },
            Insn::Mov { width, src, .. } => Insn::Mov { width, dst: R, src: blank(src) },
            Insn::MovSx { width, from, .. } => Insn::MovSx { width, from, dst: R, src: R },
            Insn::AddrSpaceCast { imm, .. } => Insn::AddrSpaceCast { dst: R, src: R, imm },
            Insn::Neg { width, .. } => Insn::Neg { width, dst: R },
            Insn::Endian { op, size, .. } => Insn::Endian { op, size, dst: R },
            Insn::LoadImm { value, .. } => Insn::LoadImm { dst: R, value: blank_wide(value) },
            Insn::WideTail => Insn::LoadImm { dst: R, value: Wide::Imm(0) },
            Insn::Load { size, signed, .. } => Insn::Load { size, signed, dst: R, base: R, off: 0 },
            Insn::Store { size, src, .. } => Insn::Store { size, base: R, off: 0, src: blank(src) },
            Insn::Atomic { op, size, .. } => Insn::Atomic { op, size, base: R, off: 0, src: R },
            Insn::LoadAcquire { size, .. } => Insn::LoadAcquire { size, dst: R, base: R, off: 0 },
            Insn::StoreRelease { size, .. } => Insn::StoreRelease { size, base: R, off: 0, src: R },
            Insn::Jump { long, .. } => Insn::Jump { off: 0, long },
            Insn::Branch { width, op, rhs, .. } => Insn::Branch { width, op, lhs: R, rhs: blank(rhs), off: 0 },
            Insn::MayGoto { .. } => Insn::MayGoto { off: 0 },
            Insn::Call(callee) => Insn::Call(blank_callee(callee)),
            Insn::CallX { .. } => Insn::CallX { target: R },
            Insn::GotoX { .. } => Insn::GotoX { target: R },
            Insn::Exit => Insn::Exit,
            Insn::LegacyPacket { size, index: None, .. } => Insn::LegacyPacket { size, index: None, imm: 0 },
            Insn::LegacyPacket { size, index: Some(_), .. } => Insn::LegacyPacket { size, index: Some(R), imm: 0 },
        })
    }
}

const OPERANDS: [Operand; 2] = [Operand::Reg(Reg::R0), Operand::Imm(0)];

/// Every kind there is, of the RFC and beyond it: arithmetic, jumps and calls, loads and stores, each in the order of
/// the table.
pub fn kinds() -> impl Iterator<Item = Kind> {
    arithmetic().chain(jumps()).chain(memory()).map(Insn::kind)
}

fn arithmetic() -> impl Iterator<Item = Insn> {
    const R: Reg = Reg::R0;
    let widths = || Width::ALL.iter().copied();
    let binary = widths().flat_map(|width| {
        let ops = AluOp::ALL.iter().flat_map(|op| OPERANDS.map(|src| (*op, src)));
        ops.map(move |(op, src)| Insn::Alu { width, op, dst: R, src })
    });
    let moves = widths().flat_map(|width| OPERANDS.map(|src| Insn::Mov { width, dst: R, src }));
    let extensions = widths().flat_map(|width| {
        let from = Size::ALL.iter().copied().filter(move |from| from.bits() < width.bits());
        from.map(move |from| Insn::MovSx { width, from, dst: R, src: R })
    });
    let negations = widths().map(|width| Insn::Neg { width, dst: R });
    let swaps = EndianOp::ALL.iter().flat_map(|op| {
        let sizes = Size::ALL.iter().copied().filter(|size| *size != Size::B);
        sizes.map(|size| Insn::Endian { op: *op, size, dst: R })
    });
    let casts = [1, 1 << 16].map(|imm| Insn::AddrSpaceCast { dst: R, src: R, imm });
    binary.chain(moves).chain(extensions).chain(negations).chain(swaps).chain(casts)
}

fn jumps() -> impl Iterator<Item = Insn> {
    let branches = Width::ALL.iter().flat_map(|width| {
        let ops = CmpOp::ALL.iter().flat_map(|op| OPERANDS.map(|rhs| (*op, rhs)));
        ops.map(|(op, rhs)| Insn::Branch { width: *width, op, lhs: Reg::R0, rhs, off: 0 })
    });
    let others = [
        Insn::Jump { off: 0, long: false },
        Insn::Jump { off: 0, long: true },
        Insn::MayGoto { off: 0 },
        Insn::GotoX { target: Reg::R0 },
        Insn::Call(Callee::Helper(0)),
        Insn::Call(Callee::Local(0)),
        Insn::Call(Callee::Kfunc { id: 0, off: 0 }),
        Insn::CallX { target: Reg::R0 },
        Insn::Exit,
    ];
    branches.chain(others)
}

fn memory() -> impl Iterator<Item = Insn> {
    const R: Reg = Reg::R0;
    let sizes = || Size::ALL.iter().copied();
    let narrow = move || sizes().filter(|size| *size != Size::Dw);
    let loads = sizes().map(|size| Insn::Load { size, signed: false, dst: R, base: R, off: 0 });
    let signed = narrow().map(|size| Insn::Load { size, signed: true, dst: R, base: R, off: 0 });
    let stores = sizes().flat_map(|size| OPERANDS.map(|src| Insn::Store { size, base: R, off: 0, src }));
    let atomics = [Size::W, Size::Dw]
        .into_iter()
        .flat_map(|size| AtomicOp::ALL.iter().map(move |op| Insn::Atomic { op: *op, size, base: R, off: 0, src: R }));
    let acquires = sizes().map(|size| Insn::LoadAcquire { size, dst: R, base: R, off: 0 });
    let releases = sizes().map(|size| Insn::StoreRelease { size, base: R, off: 0, src: R });
    let wide = [
        Wide::Imm(0),
        Wide::Map(0),
        Wide::MapValue { map: 0, off: 0 },
        Wide::BtfId { id: 0, fd: 0 },
        Wide::Func(0),
        Wide::MapIdx(0),
        Wide::MapIdxValue { index: 0, off: 0 },
    ];
    let wide = wide.map(|value| Insn::LoadImm { dst: R, value });
    let packet = [None, Some(R)].into_iter();
    let packet = packet.flat_map(move |index| narrow().map(move |size| Insn::LegacyPacket { size, index, imm: 0 }));
    loads.chain(signed).chain(stores).chain(atomics).chain(acquires).chain(releases).chain(wide).chain(packet)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&write_name(self.0))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

fn write_name(insn: Insn) -> String {
    let operand = |operand| match operand {
        Operand::Reg(_) => "reg",
        Operand::Imm(_) => "imm",
    };
    let mnemonic = Mnemonic(insn);
    match insn {
        Insn::Alu { width: Width::W32, src, .. } | Insn::Mov { width: Width::W32, src, .. } => {
            format!("{mnemonic} {}", operand(src))
        }
        // In a list, `add` beside `add32` could be either.
        Insn::Alu { width: Width::W64, src, .. } | Insn::Mov { width: Width::W64, src, .. } => {
            format!("{mnemonic}64 {}", operand(src))
        }
        Insn::Neg { width: Width::W64, .. } | Insn::Atomic { size: Size::Dw, .. } => format!("{mnemonic}64"),
        Insn::Branch { rhs, .. } => format!("{mnemonic} {}", operand(rhs)),
        Insn::AddrSpaceCast { imm, .. } => {
            let spaces = num::u32(imm);
            format!("{mnemonic} {} to {}", spaces & 0xffff, spaces >> 16)
        }
        Insn::LoadImm { value, .. } => format!("{mnemonic} {}", mnemonic::wide_name(value).unwrap_or("imm")),
        Insn::Call(callee) => format!("{mnemonic} {}", mnemonic::callee_name(callee)),
        Insn::MovSx { .. }
        | Insn::Neg { width: Width::W32, .. }
        | Insn::Endian { .. }
        | Insn::WideTail
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::Jump { .. }
        | Insn::MayGoto { .. }
        | Insn::CallX { .. }
        | Insn::GotoX { .. }
        | Insn::Exit
        | Insn::LegacyPacket { .. } => mnemonic.to_string(),
    }
}
