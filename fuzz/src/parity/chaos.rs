//! Random programs that come near every rule of the verifier: mostly sensible, sometimes wrong on purpose.
//!
//! The generator keeps a rough idea of what is in each register. Every choice of a register may be a wrong one.

use std::fmt::Write as _;

use ring3_isa::{Code, RawInsn};
use ring3_platform::helpers::{Lookup, helper_name};
use ring3_platform::{ArgFlags, ArgKind, ProgType, Program, Target, ctx};

use crate::entropy::Entropy;

/// Lines after which no statement begins.
const MAX_LINES: usize = 90;
/// Functions beside the main one.
const MAX_FUNCTIONS: usize = 4;
/// One register in so many is any other.
const WRONG: u32 = 100;

/// What a register roughly holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    None,
    Number,
    Ctx,
    Stack,
    Value(bool),
    Packet,
    PacketEnd,
    Mem(bool),
    Sock(bool),
}

impl Kind {
    fn is_pointer(self) -> bool {
        !matches!(self, Kind::None | Kind::Number)
    }
}

/// Helpers that are called with arguments of the right kinds.
const HELPERS: &[u32] = &[
    1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18, 19, 20, 22, 23, 24, 25, 25, 26, 26, 27, 28, 28,
    29, 31, 32, 33, 34, 35, 38, 39, 40, 42, 43, 44, 45, 46, 47, 50, 51, 53, 54, 55, 57, 63, 65, 67, 69, 84, 85, 86, 86,
    87, 88, 89, 95, 96, 98, 99, 100, 106, 110, 111, 112, 113, 114, 115, 121, 124, 125, 130, 131, 131, 132, 133, 134,
    145, 146, 148, 154, 163, 173, 175, 189, 190, 195,
];

/// A random program for this type.
pub fn chaos(kind: ProgType, entropy: &mut Entropy<'_>) -> Code {
    let mut chaos = Chaos {
        entropy,
        kind,
        text: String::new(),
        lines: 0,
        regs: [Kind::None; 10],
        labels: 0,
        nesting: 0,
        functions: Vec::new(),
        current: None,
        held: Vec::new(),
    };
    chaos.run();
    match ring3_isa::assemble(&chaos.text) {
        Ok(code) => code,
        Err(_) => Code::decode(vec![RawInsn { code: 0x95, ..RawInsn::default() }]),
    }
}

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    Plain([Kind; 5]),
    Loop,
    ForEach,
}

struct Chaos<'g, 'e> {
    entropy: &'g mut Entropy<'e>,
    kind: ProgType,
    text: String,
    lines: usize,
    regs: [Kind; 10],
    labels: u32,
    nesting: u32,
    functions: Vec<Function>,
    current: Option<usize>,
    /// Registers with something that has to be given back, and the helper for it.
    held: Vec<(u8, u32)>,
}

macro_rules! line {
    ($self:ident, $($arg:tt)*) => {{
        $self.lines += 1;
        writeln!($self.text, $($arg)*).ok();
    }};
}

const ALU: [&str; 13] = ["+=", "-=", "*=", "/=", "s/=", "%=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>="];
const CMP: [&str; 11] = ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"];
const SIZES: [(&str, i32); 4] = [("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8)];

impl Chaos<'_, '_> {
    fn run(&mut self) {
        self.regs[1] = Kind::Ctx;
        self.body();
        let mut next = 0;
        while let Some(function) = self.functions.get(next).copied() {
            self.current = Some(next);
            self.regs = [Kind::None; 10];
            self.held.clear();
            self.text.push_str(&format!("f{next}:\n"));
            match function {
                Function::Plain(args) => self.regs[1..6].copy_from_slice(&args),
                Function::Loop => (self.regs[1], self.regs[2]) = (Kind::Number, Kind::Stack),
                Function::ForEach => {
                    (self.regs[2], self.regs[3], self.regs[4]) = (Kind::Value(false), Kind::Value(false), Kind::Stack);
                }
            }
            self.lines = 0;
            self.body();
            next += 1;
        }
    }

    fn body(&mut self) {
        if self.regs[1].is_pointer() && !self.entropy.one_in(8) {
            line!(self, "r6 = r1");
            self.regs[6] = self.regs[1];
        }
        if self.entropy.one_in(2) {
            self.random_number(7);
        }
        self.block(14);
        self.finish();
    }

    fn finish(&mut self) {
        for (reg, helper) in std::mem::take(&mut self.held) {
            if !self.entropy.one_in(12) {
                let label = self.label();
                if self.entropy.one_in(8) {
                    line!(self, "if r{reg} == 0 goto {label}");
                }
                line!(self, "r1 = r{reg}");
                line!(self, "r2 = 0");
                line!(self, "call unknown#{helper}");
                self.place(&label);
            }
        }
        match self.current.map(|index| self.functions[index]) {
            Some(Function::Loop | Function::ForEach) if !self.entropy.one_in(16) => {
                let one = self.entropy.below(2);
                line!(self, "r0 = {one}");
            }
            _ if self.entropy.one_in(8) => {}
            _ if self.entropy.one_in(3) => {
                let reg = self.number();
                line!(self, "r0 = r{reg}");
                if self.kind == ProgType::CgroupSkb && !self.entropy.one_in(8) {
                    line!(self, "r0 &= 1");
                }
            }
            _ => {
                let value = self.entropy.below(3) % 2;
                line!(self, "r0 = {value}");
            }
        }
        line!(self, "exit");
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }

    fn place(&mut self, label: &str) {
        self.text.push_str(label);
        self.text.push_str(":\n");
    }

    fn any(&mut self) -> u8 {
        self.entropy.below(11) as u8
    }

    /// A register of the kind, mostly.
    fn reg(&mut self, is: impl Fn(Kind) -> bool) -> Option<u8> {
        if self.entropy.one_in(WRONG) {
            return Some(self.any());
        }
        let found: Vec<u8> = (0..10).filter(|reg| is(self.regs[usize::from(*reg)])).collect();
        (!found.is_empty()).then(|| self.entropy.pick(&found))
    }

    fn number(&mut self) -> u8 {
        match self.reg(|kind| kind == Kind::Number) {
            Some(reg) => reg,
            None => {
                let reg = self.free();
                self.random_number(reg);
                reg
            }
        }
    }

    /// A register to be overwritten.
    fn free(&mut self) -> u8 {
        let reg = self.entropy.below(10) as u8;
        if self.regs[usize::from(reg)].is_pointer() && !self.entropy.one_in(4) {
            self.entropy.below(6) as u8
        } else {
            reg
        }
    }

    fn set(&mut self, reg: u8, kind: Kind) {
        if let Some(slot) = self.regs.get_mut(usize::from(reg)) {
            *slot = kind;
        }
    }

    fn random_number(&mut self, reg: u8) {
        match self.entropy.below(5) {
            0 => {
                let imm = self.entropy.imm();
                line!(self, "r{reg} = {imm}");
            }
            1 => {
                let imm = self.entropy.number();
                line!(self, "r{reg} = {imm:#x} ll");
            }
            2 if self.regs[6] == Kind::Ctx => line!(self, "r{reg} = *(u32 *)(r6 +{})", self.scalar_field()),
            _ => {
                line!(self, "call unknown#7");
                self.called();
                if reg != 0 {
                    line!(self, "r{reg} = r0");
                }
            }
        }
        self.set(reg, Kind::Number);
    }

    fn scalar_field(&self) -> u32 {
        if self.kind == ProgType::Xdp { 12 } else { 0 }
    }

    fn called(&mut self) {
        for reg in 1..6 {
            self.regs[reg] = Kind::None;
        }
        self.regs[0] = Kind::Number;
    }

    fn block(&mut self, most: u32) {
        self.nesting += 1;
        for _ in 0..1 + self.entropy.below(most) {
            if self.entropy.is_empty() || self.lines > MAX_LINES {
                break;
            }
            self.statement();
        }
        self.nesting -= 1;
    }

    fn statement(&mut self) {
        match self.entropy.below(44) {
            0..=4 => self.alu(),
            5 => self.moves(),
            6 => self.unary(),
            7..=9 => self.stack_store(),
            10..=12 => self.stack_load(),
            13..=15 => self.branch(),
            16 => self.repeat(),
            17..=19 => self.lookup(),
            20..=22 => self.access(),
            23 => self.indexed(),
            24..=25 => self.packet(),
            26 => self.field(),
            27..=31 => self.helper(),
            32 => self.atomic(),
            33 => self.pointer_arith(),
            34 => self.pointer_branch(),
            35 => self.call(),
            36 => self.callback(),
            37 => self.legacy(),
            38 => self.early_exit(),
            39 => self.var_stack(),
            40 => self.reserve(),
            41 => self.bounded(),
            42 => self.spill_and_fill(),
            _ => self.nonsense(),
        }
    }

    fn alu(&mut self) {
        let (dst, op) = (self.number(), self.entropy.pick(&ALU));
        let w = self.entropy.pick(&["r", "r", "w"]);
        if self.entropy.one_in(2) {
            let src = self.number();
            line!(self, "{w}{dst} {op} {w}{src}");
        } else {
            let shift = op.contains("<<") || op.contains(">>");
            let imm = if shift { self.entropy.below(64) as i32 } else { self.entropy.imm() };
            line!(self, "{w}{dst} {op} {imm}");
        }
    }

    fn moves(&mut self) {
        let dst = self.free();
        let src = self.reg(|kind| kind != Kind::None).unwrap_or(10);
        let kind = self.regs.get(usize::from(src)).copied().unwrap_or(Kind::Stack);
        match self.entropy.below(8) {
            0 => line!(self, "w{dst} = w{src}"),
            1 => line!(self, "r{dst} = (s8)r{src}"),
            2 => line!(self, "r{dst} = (s32)r{src}"),
            3 => line!(self, "w{dst} = (s16)w{src}"),
            _ => {
                line!(self, "r{dst} = r{src}");
                self.set(dst, kind);
                return;
            }
        }
        self.set(dst, Kind::Number);
    }

    fn unary(&mut self) {
        let dst = self.number();
        match self.entropy.below(6) {
            0 => line!(self, "r{dst} = -r{dst}"),
            1 => line!(self, "w{dst} = -w{dst}"),
            n => {
                let name = self.entropy.pick(&["be", "le", "bswap"]);
                let bits = [16, 32, 64][n as usize % 3];
                line!(self, "r{dst} = {name}{bits} r{dst}");
            }
        }
    }

    /// Offset in the stack, mostly aligned and small.
    fn stack_off(&mut self, size: i32) -> i32 {
        match self.entropy.below(24) {
            0 if self.entropy.one_in(4) => -(self.entropy.below(600) as i32) + 20,
            1 if self.entropy.one_in(4) => -(self.entropy.below(40) as i32),
            2 => -512,
            _ => -(1 + self.entropy.below(40 / size as u32) as i32) * size,
        }
    }

    fn stack_store(&mut self) {
        let (name, size) = if self.entropy.one_in(2) { SIZES[3] } else { self.entropy.pick(&SIZES) };
        let off = self.stack_off(size);
        if self.entropy.one_in(3) {
            let imm = if self.entropy.one_in(2) { 0 } else { self.entropy.imm() };
            line!(self, "*({name} *)(r10 {off:+}) = {imm}");
        } else {
            let src = if size == 8 { self.reg(|kind| kind != Kind::None).unwrap_or(10) } else { self.number() };
            line!(self, "*({name} *)(r10 {off:+}) = r{src}");
        }
    }

    fn stack_load(&mut self) {
        let (name, size) = if self.entropy.one_in(2) { SIZES[3] } else { self.entropy.pick(&SIZES) };
        let (off, dst) = (self.stack_off(size), self.free());
        let name = if self.entropy.one_in(6) { name.replace('u', "s").replace("s64", "u64") } else { name.to_owned() };
        line!(self, "r{dst} = *({name} *)(r10 {off:+})");
        self.set(dst, Kind::Number);
    }

    fn spill_and_fill(&mut self) {
        let off = self.stack_off(8);
        let src = self.reg(|kind| kind != Kind::None).unwrap_or(10);
        let kind = self.regs.get(usize::from(src)).copied().unwrap_or(Kind::Stack);
        line!(self, "*(u64 *)(r10 {off:+}) = r{src}");
        for _ in 0..self.entropy.below(3) {
            self.statement();
        }
        let dst = self.free();
        line!(self, "r{dst} = *(u64 *)(r10 {off:+})");
        self.set(dst, kind);
    }

    fn condition(&mut self) -> String {
        let (lhs, op) = (self.number(), self.entropy.pick(&CMP));
        let w = self.entropy.pick(&["r", "r", "w"]);
        if self.entropy.one_in(3) {
            let rhs = self.number();
            format!("if {w}{lhs} {op} {w}{rhs}")
        } else {
            let imm = self.entropy.imm();
            format!("if {w}{lhs} {op} {imm}")
        }
    }

    fn branch(&mut self) {
        let (condition, label) = (self.condition(), self.label());
        line!(self, "{condition} goto {label}");
        let before = self.regs;
        if self.nesting < 4 {
            self.block(4);
        }
        if self.entropy.one_in(3) && self.nesting < 4 {
            let end = self.label();
            line!(self, "goto {end}");
            self.place(&label);
            let one = std::mem::replace(&mut self.regs, before);
            self.block(4);
            self.place(&end);
            self.merge(one);
        } else {
            self.place(&label);
            self.merge(before);
        }
    }

    fn merge(&mut self, other: [Kind; 10]) {
        for (kind, other) in self.regs.iter_mut().zip(other) {
            if *kind != other {
                *kind = Kind::None;
            }
        }
    }

    fn repeat(&mut self) {
        if self.nesting > 3 {
            return;
        }
        let (start, end) = (self.label(), self.label());
        let before = self.regs;
        match self.entropy.below(6) {
            0 => {
                self.place(&start);
                line!(self, "may_goto {end}");
                self.block(4);
                line!(self, "goto {start}");
                self.place(&end);
            }
            1 => {
                self.place(&start);
                self.block(3);
                let condition = self.condition();
                line!(self, "{condition} goto {start}");
            }
            _ => {
                let (reg, count) = (6 + self.entropy.below(4), 1 + self.entropy.below(12));
                let step = self.entropy.pick(&["+= 1", "+= 1", "+= 2", "+= 0"]);
                line!(self, "r{reg} = 0");
                self.set(reg as u8, Kind::None);
                self.place(&start);
                self.block(3);
                line!(self, "r{reg} {step}");
                let op = self.entropy.pick(&["<", "!=", "s<=", "<"]);
                line!(self, "if r{reg} {op} {count} goto {start}");
            }
        }
        self.merge(before);
    }

    fn map(&mut self) -> u32 {
        if self.entropy.one_in(12) { self.entropy.below(14) } else { self.entropy.pick(&[0, 1, 2, 6, 7, 8]) }
    }

    fn lookup(&mut self) {
        let map = self.map();
        let key = if self.entropy.one_in(2) { self.entropy.below(5) as i32 } else { self.entropy.imm() };
        let off = if self.entropy.one_in(10) { self.stack_off(4) } else { -8 };
        if self.entropy.one_in(4) {
            let reg = self.number();
            line!(self, "*(u64 *)(r10 {off:+}) = r{reg}");
        } else if !self.entropy.one_in(16) {
            let size = self.entropy.pick(&["u32", "u64"]);
            line!(self, "*({size} *)(r10 {off:+}) = {key}");
        }
        line!(self, "r2 = r10");
        line!(self, "r2 += {off}");
        line!(self, "r1 = map[fd:{map}]");
        line!(self, "call unknown#1");
        self.called();
        self.null_check(0, Kind::Value(true), Kind::Value(false));
    }

    /// R0 may be null.
    fn null_check(&mut self, mut reg: u8, maybe: Kind, sure: Kind) {
        self.set(reg, maybe);
        if self.entropy.one_in(2) {
            let to = 6 + self.entropy.below(4) as u8;
            line!(self, "r{to} = r{reg}");
            self.set(to, maybe);
            if self.entropy.one_in(2) {
                reg = to;
            }
        }
        if self.entropy.one_in(10) {
            return;
        }
        let label = self.label();
        if self.entropy.one_in(4) && self.nesting < 4 {
            line!(self, "if r{reg} == 0 goto {label}");
            let before = self.regs;
            for kind in &mut self.regs {
                if *kind == maybe {
                    *kind = sure;
                }
            }
            self.block(4);
            self.place(&label);
            self.merge(before);
            return;
        }
        let op = self.entropy.pick(&["!=", "!=", "!=", "s>", "=="]);
        line!(self, "if r{reg} {op} 0 goto {label}");
        let value = self.entropy.below(2);
        line!(self, "r0 = {value}");
        line!(self, "exit");
        self.place(&label);
        for kind in &mut self.regs {
            if *kind == maybe {
                *kind = sure;
            }
        }
    }

    fn access(&mut self) {
        let Some(base) = self.reg(|k| {
            matches!(k, Kind::Value(false) | Kind::Packet | Kind::Mem(false) | Kind::Sock(false) | Kind::Stack)
        }) else {
            return self.lookup();
        };
        let (name, size) = self.entropy.pick(&SIZES);
        let off = match self.entropy.below(12) {
            0 if self.entropy.one_in(2) => self.entropy.below(90) as i32 - 20,
            _ => self.entropy.below(16 / size as u32) as i32 * size,
        };
        let off = if self.regs.get(usize::from(base)) == Some(&Kind::Stack) { off - 32 } else { off };
        match self.entropy.below(4) {
            0 => {
                let src = self.number();
                line!(self, "*({name} *)(r{base} {off:+}) = r{src}");
            }
            1 => line!(self, "*({name} *)(r{base} {off:+}) = 7"),
            _ => {
                let dst = self.free();
                line!(self, "r{dst} = *({name} *)(r{base} {off:+})");
                self.set(dst, Kind::Number);
            }
        }
    }

    /// A variable offset, bounded in one of several ways or not at all.
    fn bounded(&mut self) {
        let reg = self.number();
        let mask = self.entropy.pick(&[1, 3, 7, 8, 15, 16, 31, 56, 63, 255]);
        match self.entropy.below(6) {
            0 => {
                let label = self.label();
                let op = self.entropy.pick(&["<", "<=", "s<"]);
                line!(self, "if r{reg} {op} {mask} goto {label}");
                line!(self, "r{reg} = 0");
                self.place(&label);
            }
            1 => line!(self, "r{reg} %= {}", mask + 1),
            2 => line!(self, "w{reg} &= {mask}"),
            _ => line!(self, "r{reg} &= {mask}"),
        }
    }

    fn indexed(&mut self) {
        let Some(base) = self.reg(|kind| matches!(kind, Kind::Value(false) | Kind::Packet | Kind::Mem(false))) else {
            return;
        };
        let index = self.number();
        let mask = self.entropy.pick(&[1, 3, 7, 8, 12, 15, 16]);
        if !self.entropy.one_in(8) {
            line!(self, "r{index} &= {mask}");
        }
        let op = self.entropy.pick(&["+=", "+=", "+=", "-="]);
        line!(self, "r{base} {op} r{index}");
    }

    fn var_stack(&mut self) {
        let index = self.number();
        let mask = self.entropy.pick(&[1, 3, 4, 7, 8, 15, 16, 24]);
        line!(self, "r{index} &= {mask}");
        let dst = self.free();
        if dst == index {
            return;
        }
        let off = -(self.entropy.below(8) as i32) * 8 - self.entropy.pick(&[0, 4, 8, 8, 16]);
        line!(self, "r{dst} = r10");
        line!(self, "r{dst} += {off}");
        line!(self, "r{dst} += r{index}");
        self.set(dst, Kind::None);
        let (name, _) = self.entropy.pick(&SIZES);
        let off = self.entropy.pick(&[0, 0, 0, -8, 4]);
        match self.entropy.below(5) {
            0 => {
                let src = self.number();
                line!(self, "*({name} *)(r{dst} {off:+}) = r{src}");
            }
            1 => line!(self, "*({name} *)(r{dst} {off:+}) = 0"),
            2 => {
                line!(self, "r2 = r{dst}");
                let map = self.map();
                line!(self, "r1 = map[fd:{map}]");
                line!(self, "call unknown#1");
                self.called();
                self.null_check(0, Kind::Value(true), Kind::Value(false));
            }
            _ => {
                let to = self.free();
                line!(self, "r{to} = *({name} *)(r{dst} {off:+})");
                self.set(to, Kind::Number);
            }
        }
    }

    fn packet_fields(&self) -> (&'static str, u32, u32) {
        if self.kind == ProgType::Xdp { ("u32", 0, 4) } else { ("u32", 76, 80) }
    }

    fn packet(&mut self) {
        if matches!(
            self.kind,
            ProgType::Kprobe | ProgType::Tracepoint | ProgType::RawTracepoint | ProgType::SocketFilter
        ) && !self.entropy.one_in(24)
        {
            return self.lookup();
        }
        let Some(context) = self.reg(|kind| kind == Kind::Ctx) else { return };
        let (size, start, end) = self.packet_fields();
        let (p, e, t) = (self.entropy.pick(&[2, 7, 8]), self.entropy.pick(&[3, 9]), self.entropy.pick(&[4, 5]));
        let start = if self.entropy.one_in(12) { if self.kind == ProgType::Xdp { 8 } else { 140 } } else { start };
        line!(self, "r{p} = *({size} *)(r{context} +{start})");
        line!(self, "r{e} = *({size} *)(r{context} +{end})");
        (self.regs[p as usize], self.regs[e as usize]) = (Kind::Packet, Kind::PacketEnd);
        if self.entropy.one_in(3) {
            let index = self.number();
            if self.regs.get(usize::from(index)) == Some(&Kind::Number) {
                line!(self, "r{index} &= 31");
                line!(self, "r{p} += r{index}");
            }
        }
        line!(self, "r{t} = r{p}");
        let length = self.entropy.pick(&[0, 1, 8, 14, 16, 20, 34, 65535, 65536]);
        line!(self, "r{t} += {length}");
        let label = self.label();
        let op = self.entropy.pick(&[">", ">", ">=", "<", "<=", "=="]);
        if self.entropy.one_in(2) {
            line!(self, "if r{t} {op} r{e} goto {label}");
        } else {
            line!(self, "if r{e} {op} r{t} goto {label}");
        }
        let before = self.regs;
        for _ in 0..self.entropy.below(3) {
            let (name, size) = self.entropy.pick(&SIZES);
            let off = self.entropy.below(18) as i32 - if self.entropy.one_in(8) { size } else { 0 };
            let base = if self.entropy.one_in(6) { t } else { p };
            if self.entropy.one_in(4) {
                line!(self, "*({name} *)(r{base} {off:+}) = 1");
            } else {
                line!(self, "r0 = *({name} *)(r{base} {off:+})");
                self.regs[0] = Kind::Number;
            }
        }
        if self.nesting < 4 {
            self.block(3);
        }
        self.place(&label);
        self.merge(before);
    }

    fn field(&mut self) {
        let Some(context) = self.reg(|kind| kind == Kind::Ctx) else { return };
        let (name, size) = self.entropy.pick(&SIZES);
        let off = match (ctx::layout(self.kind), self.entropy.below(6)) {
            (Some(layout), 1..) => {
                let field = layout.fields[self.entropy.below(layout.fields.len() as u32) as usize];
                i32::from(field.off) + if self.entropy.one_in(6) { size } else { 0 }
            }
            _ => self.entropy.below(200) as i32 - 4,
        };
        if self.entropy.one_in(5) {
            let src = self.number();
            line!(self, "*({name} *)(r{context} {off:+}) = r{src}");
        } else {
            let dst = self.free();
            line!(self, "r{dst} = *({name} *)(r{context} {off:+})");
            self.set(dst, Kind::Number);
        }
    }

    fn helper(&mut self) {
        let id = if self.entropy.one_in(40) { self.entropy.below(215) } else { self.entropy.pick(HELPERS) };
        let target = Target::default();
        let program = Program::new("chaos", self.kind, Code::decode(Vec::new()));
        let proto = match target.helper(&program, id) {
            Lookup::Found(proto) => *proto,
            Lookup::Invalid | Lookup::NotForProgram | Lookup::Unmodelled(_) => {
                if self.entropy.one_in(8) {
                    line!(self, "call unknown#{id}");
                }
                return;
            }
        };
        let size =
            if self.entropy.one_in(12) { self.entropy.imm() } else { self.entropy.pick(&[0, 1, 4, 8, 8, 16, 24]) };
        for (index, arg) in proto.args.iter().enumerate() {
            self.argument(index + 1, arg.kind, arg.flags, size);
        }
        line!(self, "call unknown#{id}");
        self.called();
        if proto.ret.maybe_null {
            let (maybe, sure) = match proto.ret.kind {
                ring3_platform::RetKind::MapValue => (Kind::Value(true), Kind::Value(false)),
                ring3_platform::RetKind::RingbufMem => (Kind::Mem(true), Kind::Mem(false)),
                _ => (Kind::Sock(true), Kind::Sock(false)),
            };
            let release = if maybe == Kind::Mem(true) { 133 } else { 86 };
            if !self.entropy.one_in(8) {
                line!(self, "r9 = r0");
                self.regs[9] = maybe;
                self.null_check(9, maybe, sure);
                if matches!(id, 84 | 85 | 99 | 131) {
                    self.held.push((9, release));
                }
            } else {
                self.null_check(0, maybe, sure);
            }
        }
        debug_assert!(helper_name(id).is_some());
    }

    fn argument(&mut self, reg: usize, kind: ArgKind, flags: ArgFlags, size: i32) {
        if self.entropy.one_in(WRONG) {
            let from = self.any();
            line!(self, "r{reg} = r{from}");
            return;
        }
        let memory = |s: &mut Self| {
            let null = flags.has(ArgFlags::MAYBE_NULL) && s.entropy.one_in(4);
            let found = s.reg(|kind| matches!(kind, Kind::Value(false) | Kind::Packet | Kind::Mem(false)));
            match found {
                _ if null => line!(s, "r{reg} = 0"),
                Some(from) if usize::from(from) > 5 && s.entropy.one_in(3) => line!(s, "r{reg} = r{from}"),
                _ => {
                    let off = if s.entropy.one_in(8) { s.stack_off(4) } else { -24 };
                    if !s.entropy.one_in(8) {
                        line!(s, "*(u64 *)(r10 -24) = 1");
                        line!(s, "*(u64 *)(r10 -16) = 2");
                        line!(s, "*(u64 *)(r10 -8) = 3");
                    }
                    line!(s, "r{reg} = r10");
                    line!(s, "r{reg} += {off}");
                }
            }
        };
        match kind {
            ArgKind::None => {}
            ArgKind::Ctx => {
                let from = self.reg(|kind| kind == Kind::Ctx).unwrap_or(6);
                line!(self, "r{reg} = r{from}");
            }
            ArgKind::ConstMapPtr => {
                let map = if self.entropy.one_in(2) { self.entropy.below(14) } else { self.map() };
                line!(self, "r{reg} = map[fd:{map}]");
            }
            ArgKind::MapKey | ArgKind::MapValue | ArgKind::Mem | ArgKind::FixedMem(_) | ArgKind::Stack => memory(self),
            ArgKind::ConstSize | ArgKind::ConstSizeOrZero | ArgKind::ConstAllocSizeOrZero => {
                match self.reg(|kind| kind == Kind::Number) {
                    Some(from) if usize::from(from) > 5 && self.entropy.one_in(3) => {
                        line!(self, "r{reg} = r{from}");
                        let mask = self.entropy.pick(&[3, 7, 8, 15, 16, 31]);
                        line!(self, "r{reg} &= {mask}");
                    }
                    _ => line!(self, "r{reg} = {size}"),
                }
            }
            ArgKind::SockCommon | ArgKind::BtfSockCommon | ArgKind::Socket => {
                let from = self.reg(|kind| kind == Kind::Sock(false)).unwrap_or(9);
                line!(self, "r{reg} = r{from}");
            }
            ArgKind::RingbufMem => {
                let from = self.reg(|kind| kind == Kind::Mem(false)).unwrap_or(9);
                line!(self, "r{reg} = r{from}");
                self.held.retain(|(held, _)| *held != from);
            }
            ArgKind::ConstStr => line!(self, "r{reg} = map[fd:8][0]+0"),
            ArgKind::Anything
            | ArgKind::Scalar
            | ArgKind::SpinLock
            | ArgKind::BtfId(_)
            | ArgKind::PercpuBtfId
            | ArgKind::Timer
            | ArgKind::Func
            | ArgKind::KptrXchgDest
            | ArgKind::Dynptr => match self.reg(|kind| kind == Kind::Number) {
                Some(from) if usize::from(from) > 5 && self.entropy.one_in(2) => line!(self, "r{reg} = r{from}"),
                _ => {
                    let imm = if self.entropy.one_in(2) { 0 } else { self.entropy.imm() };
                    line!(self, "r{reg} = {imm}");
                }
            },
        }
    }

    fn reserve(&mut self) {
        let size = if self.entropy.one_in(10) { self.entropy.imm() } else { self.entropy.pick(&[8, 16, 24]) };
        line!(self, "r1 = map[fd:3]");
        line!(self, "r2 = {size}");
        line!(self, "r3 = 0");
        line!(self, "call unknown#131");
        self.called();
        self.null_check(0, Kind::Mem(true), Kind::Mem(false));
        if let Some(reg) = (6..10).find(|reg| matches!(self.regs[*reg], Kind::Mem(_))) {
            let helper = self.entropy.pick(&[132, 133]);
            self.held.push((reg as u8, helper));
        } else if !self.entropy.one_in(8) {
            line!(self, "r1 = r0");
            line!(self, "r2 = 0");
            line!(self, "call unknown#133");
            self.called();
        }
    }

    fn atomic(&mut self) {
        let base = self.reg(|k| matches!(k, Kind::Value(false) | Kind::Stack | Kind::Mem(false))).unwrap_or(10);
        let stack = base == 10 || self.regs.get(usize::from(base)) == Some(&Kind::Stack);
        let off =
            if self.entropy.one_in(10) { self.entropy.below(17) as i32 } else { self.entropy.below(2) as i32 * 8 };
        let off = if stack { off - 16 } else { off };
        let (wide, src) = (self.entropy.one_in(2), self.number());
        let (size, prefix) = if wide { ("u64", "atomic64") } else { ("u32", "atomic") };
        match self.entropy.below(7) {
            0 => line!(self, "lock *({size} *)(r{base} {off:+}) += r{src}"),
            1 => line!(self, "lock *({size} *)(r{base} {off:+}) ^= r{src}"),
            2 => line!(self, "r{src} = {prefix}_fetch_add(({size} *)(r{base} {off:+}), r{src})"),
            3 => line!(self, "r{src} = {prefix}_xchg(({size} *)(r{base} {off:+}), r{src})"),
            4 => {
                line!(self, "r0 = 1");
                line!(self, "r0 = {prefix}_cmpxchg(({size} *)(r{base} {off:+}), r0, r{src})");
                self.regs[0] = Kind::Number;
            }
            5 => {
                let dst = self.free();
                line!(self, "r{dst} = load_acquire(({size} *)(r{base} {off:+}))");
                self.set(dst, Kind::Number);
            }
            _ => line!(self, "store_release(({size} *)(r{base} {off:+}), r{src})"),
        }
    }

    fn pointer_arith(&mut self) {
        let Some(pointer) = self.reg(Kind::is_pointer) else { return };
        let dst = self.free();
        line!(self, "r{dst} = r{pointer}");
        let w = if self.entropy.one_in(16) { "w" } else { "r" };
        let op = if self.entropy.one_in(3) { self.entropy.pick(&ALU) } else { self.entropy.pick(&["+=", "-="]) };
        match self.entropy.below(4) {
            0 => {
                let other = self.reg(Kind::is_pointer).unwrap_or(10);
                line!(self, "{w}{dst} {op} {w}{other}");
            }
            1 => {
                let number = self.number();
                line!(self, "{w}{dst} {op} {w}{number}");
            }
            2 => {
                let number = self.number();
                line!(self, "{w}{number} {op} {w}{dst}");
                self.set(number, Kind::None);
            }
            _ => {
                let imm = if self.entropy.one_in(3) { self.entropy.imm() } else { self.entropy.below(40) as i32 - 20 };
                line!(self, "{w}{dst} {op} {imm}");
            }
        }
        self.set(dst, Kind::None);
    }

    fn pointer_branch(&mut self) {
        let Some(pointer) = self.reg(Kind::is_pointer) else { return };
        let (op, label) = (self.entropy.pick(&CMP), self.label());
        let w = self.entropy.pick(&["r", "r", "r", "w"]);
        match self.entropy.below(3) {
            0 => {
                let other = self.reg(Kind::is_pointer).unwrap_or(10);
                line!(self, "if {w}{pointer} {op} {w}{other} goto {label}");
            }
            1 => {
                let other = self.number();
                line!(self, "if {w}{pointer} {op} {w}{other} goto {label}");
            }
            _ => {
                let imm = self.entropy.pick(&[0, 0, 0, 1, -1]);
                line!(self, "if {w}{pointer} {op} {imm} goto {label}");
            }
        }
        let before = self.regs;
        if self.nesting < 4 {
            self.block(3);
        }
        self.place(&label);
        self.merge(before);
    }

    fn call(&mut self) {
        let index = match self.functions.iter().position(|f| matches!(f, Function::Plain(_))) {
            Some(index) if self.entropy.one_in(3) && (self.current.is_none() || self.entropy.one_in(16)) => index,
            _ if self.functions.len() < MAX_FUNCTIONS => {
                self.functions.push(Function::Plain([Kind::None; 5]));
                self.functions.len() - 1
            }
            _ => return,
        };
        let mut args = [Kind::None; 5];
        for (index, kind) in args.iter_mut().enumerate().take(3) {
            let Some(from) = self.reg(|kind| kind != Kind::None) else { continue };
            let reg = index + 1;
            if self.entropy.one_in(4) {
                line!(self, "r{reg} = r10");
                line!(self, "r{reg} += -16");
                *kind = Kind::Stack;
            } else {
                line!(self, "r{reg} = r{from}");
                *kind = self.regs.get(usize::from(from)).copied().unwrap_or(Kind::Stack);
            }
            self.regs[reg] = *kind;
        }
        self.functions[index] = Function::Plain(args);
        line!(self, "call f{index}");
        self.called();
    }

    fn callback(&mut self) {
        if self.functions.len() >= MAX_FUNCTIONS {
            return;
        }
        let index = self.functions.len();
        if self.entropy.one_in(2) {
            self.functions.push(Function::ForEach);
            let map = self.map();
            line!(self, "r1 = map[fd:{map}]");
        } else {
            self.functions.push(Function::Loop);
            let rounds = self.entropy.pick(&[0, 1, 4, 100, 1 << 23, (1 << 23) + 1]);
            if self.entropy.one_in(3) {
                let reg = self.number();
                line!(self, "r1 = r{reg}");
            } else {
                line!(self, "r1 = {rounds}");
            }
        }
        line!(self, "r2 = subprog[f{index}]");
        match self.entropy.below(4) {
            0 => line!(self, "r3 = 0"),
            _ => {
                line!(self, "r3 = r10");
                line!(self, "r3 += -16");
            }
        }
        let flags = if self.entropy.one_in(16) { 1 } else { 0 };
        line!(self, "r4 = {flags}");
        let id = if self.functions[index] == Function::Loop { 181 } else { 164 };
        line!(self, "call unknown#{id}");
        self.called();
    }

    fn legacy(&mut self) {
        if !matches!(self.kind, ProgType::SocketFilter | ProgType::SchedCls) && !self.entropy.one_in(24) {
            return self.bounded();
        }
        let (name, _) = SIZES[self.entropy.below(3) as usize];
        if self.entropy.one_in(2) {
            line!(self, "r0 = *({name} *)skb[{}]", 12);
        } else {
            let reg = self.number();
            line!(self, "r0 = *({name} *)skb[r{reg} + 2]");
        }
        self.called();
    }

    fn early_exit(&mut self) {
        let (condition, label) = (self.condition(), self.label());
        line!(self, "{condition} goto {label}");
        let held = self.held.clone();
        if self.entropy.one_in(3) && self.regs[6] == Kind::Ctx {
            line!(self, "r1 = r6");
            line!(self, "r2 = map[fd:4]");
            let index = self.entropy.below(6);
            line!(self, "r3 = {index}");
            line!(self, "call unknown#12");
        }
        let regs = self.regs;
        self.finish();
        (self.held, self.regs) = (held, regs);
        self.place(&label);
    }

    /// Anything at all that can be assembled.
    fn nonsense(&mut self) {
        let (a, b) = (self.any(), self.any());
        let off = self.entropy.below(64) as i32 - 32;
        match self.entropy.below(8) {
            0 => line!(self, "r{a} = *(u64 *)(r{b} {off:+})"),
            1 => line!(self, "*(u32 *)(r{a} {off:+}) = r{b}"),
            2 => line!(self, "r{a} += r{b}"),
            3 => line!(self, "r{a} = r{b}"),
            4 => {
                let map = self.entropy.below(14);
                line!(self, "r{a} = map[fd:{map}]");
            }
            5 => {
                let map = self.entropy.pick(&[2, 2, 8]);
                let off = self.entropy.below(if map == 2 { 66 } else { 17 });
                line!(self, "r{a} = map[fd:{map}][0]+{off}");
                self.set(a, Kind::Value(false));
                return;
            }
            6 => line!(self, "r{a} &= {off}"),
            _ => line!(self, "w{a} -= w{b}"),
        }
        self.set(a, Kind::None);
    }
}
