//! Random programs that mean something: most of them are accepted, and what they compute does not depend on addresses.
//!
//! A program is a tree of statements. Each one knows from [`state::State`] what it may use and leaves the state true. The
//! result of the program mixes all numbers that it still has in registers and stack, so that a wrong bit anywhere shows.

mod calls;
mod flow;
mod idioms;
mod info;
mod memory;
mod numbers;
mod state;

use std::sync::Arc;

use ring3_btf::Btf;
use ring3_isa::{AluOp, Code, Insn, Operand, Reg, Size, Width};
use ring3_platform::{MapDef, MapType, ProgType, Program};

use crate::emit::{Emitter, Label};
use crate::entropy::Entropy;
use calls::Function;
pub use info::{FIRST_FUNC, function_types, program_info};
use state::{Kind, MapNo, State, WORDS};

/// Statements in a row in a function, at most, unless somebody wants more.
const STATEMENTS_IN_A_ROW: u32 = 20;
/// Slots after which no statement begins.
const MAX_SLOTS: usize = 600;
/// Bytes of the longest packet.
const MAX_PACKET: u32 = 96;
/// Bytes of an Ethernet header, the shortest packet.
const MIN_PACKET: u32 = 14;

/// A program and what it is to run on.
#[derive(Clone, Debug)]
pub struct Generated {
    /// An XDP program.
    pub program: Arc<Program>,
    /// The packet.
    pub packet: Vec<u8>,
}

/// What programs have in common, made once.
#[derive(Debug)]
pub struct Kit {
    maps: Vec<Arc<MapDef>>,
    /// Statements in a row in a function, at most.
    most: u32,
    /// See [`Generator::frames`].
    frames: bool,
    /// By number of functions, as far as they were needed.
    types: Vec<Option<Arc<Btf>>>,
}

impl Default for Kit {
    fn default() -> Self {
        Kit {
            maps: MapNo::ALL.map(|map| Arc::new(definition(map))).to_vec(),
            most: STATEMENTS_IN_A_ROW,
            frames: false,
            types: Vec::new(),
        }
    }
}

impl Kit {
    /// The same with functions of up to so many statements in a row, which also use their stack as compilers have to think of: they
    /// read words that nobody wrote, and go to one of several by a number.
    pub fn with_statements(most: u32) -> Kit {
        Kit { most, frames: true, ..Kit::default() }
    }

    /// The maps of every program.
    pub fn maps(&self) -> &[Arc<MapDef>] {
        &self.maps
    }

    /// A program out of these choices.
    pub fn generate(&mut self, entropy: &mut Entropy<'_>) -> Generated {
        let length = MIN_PACKET + entropy.below(MAX_PACKET - MIN_PACKET);
        let salt = entropy.byte();
        let packet = (0..length).map(|i| (i as u8).wrapping_mul(0x35) ^ salt).collect();
        let (code, starts) = Generator::new(entropy, self.most, self.frames).run();
        let mut program = Program::new("generated", ProgType::Xdp, code);
        program.info = self.types_of(starts.len()).map(|types| Arc::new(info::info_with(types, &starts)));
        program.maps.clone_from(&self.maps);
        Generated { program: Arc::new(program), packet }
    }

    /// BTF of so many functions.
    fn types_of(&mut self, functions: usize) -> Option<Arc<Btf>> {
        if self.types.len() <= functions {
            self.types.resize(functions + 1, None);
        }
        let known = &mut self.types[functions];
        if known.is_none() {
            *known = Btf::parse(&function_types(functions)).ok().map(Arc::new);
        }
        known.clone()
    }
}

/// A program out of these choices.
pub fn generate(entropy: &mut Entropy<'_>) -> Generated {
    Kit::default().generate(entropy)
}

fn definition(map: MapNo) -> MapDef {
    let (name, kind, entries) = match map {
        MapNo::Array => ("array", MapType::Array, 4),
        MapNo::Hash => ("hash", MapType::Hash, 8),
        MapNo::PercpuArray => ("percpu", MapType::PercpuArray, 2),
    };
    MapDef::new(name, kind, map.key_bytes(), map.value_bytes(), entries)
}

struct Generator<'g, 'e> {
    entropy: &'g mut Entropy<'e>,
    /// Statements in a row in a function, at most.
    most: u32,
    /// The stack is read where nobody wrote, and by numbers, and hides numbers.
    frames: bool,
    out: Emitter,
    state: State,
    /// Registers that are not to be written now: loop counters, and addresses that a loop needs again.
    pinned: u16,
    /// Loops around this place.
    loops: u32,
    /// Blocks around this place.
    nesting: u32,
    /// What is being generated: `None` is the main function.
    function: Option<Function>,
    /// Functions that are called, generated or not.
    functions: Vec<Called<'e>>,
}

/// A function that is called.
struct Called<'e> {
    function: Function,
    label: Label,
    /// What it is made of.
    entropy: Entropy<'e>,
}

/// What a statement can be; those that are more frequent stand here more often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Statement {
    Alu,
    Move,
    Unary,
    Wide,
    Stack,
    Spill,
    Fill,
    Access,
    Atomic,
    Indexed,
    Guess,
    Field,
    If,
    Loop,
    Lookup,
    Update,
    Packet,
    AdjustHead,
    Helper,
    Call,
    Callback,
    EarlyExit,
    Idiom,
}

const STATEMENTS: [Statement; 64] = {
    use Statement::*;
    [
        Alu, Alu, Alu, Alu, Alu, Alu, Alu, Alu, Alu, Alu, Move, Move, Unary, Unary, Unary, Wide, Stack, Stack, Stack,
        Stack, Spill, Fill, Fill, Access, Access, Access, Access, Atomic, Atomic, Atomic, Indexed, Indexed, Field, If,
        If, If, If, Loop, Loop, Lookup, Lookup, Lookup, Update, Packet, Packet, Helper, Call, Callback, Idiom, Idiom,
        Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom, Idiom,
    ]
};

/// Statements that are rarely wanted.
const RARE: [Statement; 4] = [Statement::Guess, Statement::AdjustHead, Statement::EarlyExit, Statement::Guess];

impl<'g, 'e> Generator<'g, 'e> {
    fn new(entropy: &'g mut Entropy<'e>, most: u32, frames: bool) -> Self {
        Generator {
            entropy,
            most,
            frames,
            out: Emitter::default(),
            state: State::EMPTY,
            pinned: 0,
            loops: 0,
            nesting: 0,
            function: None,
            functions: Vec::new(),
        }
    }

    /// The code, and the slots at which its functions start.
    fn run(mut self) -> (Code, Vec<usize>) {
        let mut starts = vec![0];
        self.state.set(Reg::R1, Kind::Ctx);
        self.body();
        let mut next = 0;
        while let Some(Called { function, label, entropy }) = self.functions.get(next) {
            let function = *function;
            *self.entropy = entropy.clone();
            self.out.place(*label);
            starts.push(self.out.len());
            self.function = Some(function);
            self.state = State::EMPTY;
            self.pinned = 0;
            function.enter(&mut self.state);
            self.body();
            next += 1;
        }
        (self.out.finish(), starts)
    }

    /// A function: keeps the addresses it was given, does things, and returns all it knows.
    fn body(&mut self) {
        let given: Vec<Reg> =
            regs(1..6).filter(|reg| !matches!(self.state.get(*reg), Kind::Unknown | Kind::Number)).collect();
        for (reg, keep) in given.into_iter().zip([Reg::R6, Reg::R7]) {
            self.copy(keep, reg);
            self.pin(keep);
        }
        self.constant(Reg::R0);
        // Every frame begins with zeros, which may be read.
        if self.frames && self.entropy.one_in(3) {
            let word = self.entropy.below(WORDS as u32) as usize;
            self.state.words[word] = Kind::Number;
        }
        // What a function saves for whoever calls it matters where it calls others itself.
        if self.function.is_some() && !self.entropy.is_empty() && self.entropy.one_in(2) {
            self.across_call();
        }
        self.block(self.most);
        self.finish();
    }

    /// Statements, at most so many.
    fn block(&mut self, most: u32) {
        self.nesting += 1;
        for _ in 0..1 + self.entropy.below(most) {
            if self.entropy.is_empty() || self.out.len() > MAX_SLOTS {
                break;
            }
            let kind = if self.entropy.one_in(32) { self.entropy.pick(&RARE) } else { self.entropy.pick(&STATEMENTS) };
            self.statement(kind);
        }
        self.nesting -= 1;
    }

    fn statement(&mut self, statement: Statement) {
        match statement {
            Statement::Alu => self.alu(),
            Statement::Move => self.moves(),
            Statement::Unary => self.unary(),
            Statement::Wide => self.wide(),
            Statement::Stack => self.stack(),
            Statement::Spill => self.spill(),
            Statement::Fill => self.fill(),
            Statement::Access => self.access(),
            Statement::Atomic => self.atomic(),
            Statement::Indexed => self.indexed(),
            Statement::Guess => self.guess(),
            Statement::Field => self.field(),
            Statement::If => self.condition(),
            Statement::Loop => self.repeat(),
            Statement::Lookup => self.lookup(),
            Statement::Update => self.update(),
            Statement::Packet => self.packet(),
            Statement::AdjustHead => self.adjust_head(),
            Statement::Helper => self.helper(),
            Statement::Call => self.call(),
            Statement::Callback => self.callback(),
            Statement::EarlyExit => self.early_exit(),
            Statement::Idiom => self.idiom(),
        }
    }

    /// Mixes every number into R0, and returns it.
    fn finish(&mut self) {
        if !self.state.get(Reg::R0).is_number() {
            self.mov_imm(Reg::R0, 1);
        }
        for reg in regs(1..10) {
            if self.state.get(reg).is_number() {
                self.mix(reg);
            }
        }
        for word in 0..WORDS {
            if self.state.words[word].is_number() {
                self.out.push(Insn::Load {
                    size: Size::Dw,
                    signed: false,
                    dst: Reg::R1,
                    base: Reg::FP,
                    off: offset(word),
                });
                self.mix(Reg::R1);
            }
        }
        if let Some(Function { result: calls::Returns::Bit, .. }) = self.function {
            // What a callback computes shows only in the memory that it was given.
            if let Some(pair) = self.reg_where(|kind| kind == Kind::Pair) {
                self.out.push(Insn::Store { size: Size::Dw, base: pair, off: 0, src: Reg::R0.into() });
            }
            self.alu_imm(Width::W64, AluOp::And, Reg::R0, 1);
        }
        self.out.push(Insn::Exit);
    }

    /// `R0 = R0 * odd ^ reg`.
    fn mix(&mut self, reg: Reg) {
        self.alu_imm(Width::W64, AluOp::Mul, Reg::R0, 0x0100_0193);
        self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Xor, dst: Reg::R0, src: reg.into() });
    }

    fn alu_imm(&mut self, width: Width, op: AluOp, dst: Reg, imm: i32) {
        self.out.push(Insn::Alu { width, op, dst, src: Operand::Imm(imm) });
    }

    fn mov_imm(&mut self, dst: Reg, imm: i32) {
        self.out.push(Insn::Mov { width: Width::W64, dst, src: Operand::Imm(imm) });
        self.state.set(dst, Kind::Number);
    }

    /// `dst` becomes some number.
    fn constant(&mut self, dst: Reg) {
        let imm = self.entropy.imm();
        self.mov_imm(dst, imm);
        if self.frames && self.entropy.one_in(2) {
            self.hide(dst);
        }
    }

    /// Takes a number through the stack: what a compiler computes from numbers that it knows is nothing but a number.
    pub(super) fn hide(&mut self, reg: Reg) {
        let word = self.entropy.below(WORDS as u32) as usize;
        let (size, base, off) = (Size::Dw, Reg::FP, offset(word));
        self.out.push(Insn::Store { size, base, off, src: reg.into() });
        self.out.push(Insn::Load { size, signed: false, dst: reg, base, off });
        self.state.words[word] = Kind::Number;
    }

    /// `dst = src`, whatever it is.
    fn copy(&mut self, dst: Reg, src: Reg) {
        self.out.push(Insn::Mov { width: Width::W64, dst, src: src.into() });
        let kind = self.state.get(src);
        self.state.set(dst, kind);
    }

    /// `dst = R10 + off`, which the state does not know.
    fn stack_address(&mut self, dst: Reg, word: usize) {
        self.out.push(Insn::Mov { width: Width::W64, dst, src: Reg::FP.into() });
        self.alu_imm(Width::W64, AluOp::Add, dst, offset(word).into());
        self.state.set(dst, Kind::Unknown);
    }

    fn pin(&mut self, reg: Reg) {
        self.pinned |= 1 << reg.number();
    }

    fn is_pinned(&self, reg: Reg) -> bool {
        self.pinned & (1 << reg.number()) != 0
    }

    /// Some register that may be written.
    fn target(&mut self) -> Reg {
        let free: Vec<Reg> = regs(0..10).filter(|reg| !self.is_pinned(*reg)).collect();
        self.entropy.pick(&free)
    }

    /// `N` different registers that may be written, none of which is `not`.
    fn targets<const N: usize>(&mut self, not: Reg) -> [Reg; N] {
        let mut free: Vec<Reg> = regs(0..10).filter(|reg| !self.is_pinned(*reg) && *reg != not).collect();
        // At most R6 to R9 are pinned, so there are at least 5.
        std::array::from_fn(|_| free.swap_remove(self.entropy.below(free.len() as u32) as usize))
    }

    /// Some register with a number; makes one if there is none.
    fn number(&mut self) -> Reg {
        let numbers: Vec<Reg> = regs(0..10).filter(|reg| self.state.get(*reg).is_number()).collect();
        if numbers.is_empty() {
            let dst = self.target();
            self.constant(dst);
            return dst;
        }
        self.entropy.pick(&numbers)
    }

    /// Some register with a number that may be written.
    fn own_number(&mut self) -> Reg {
        let numbers: Vec<Reg> =
            regs(0..10).filter(|reg| self.state.get(*reg).is_number() && !self.is_pinned(*reg)).collect();
        if numbers.is_empty() {
            let dst = self.target();
            self.constant(dst);
            return dst;
        }
        self.entropy.pick(&numbers)
    }

    /// Some register of this kind.
    fn reg_where(&mut self, is: impl Fn(Kind) -> bool) -> Option<Reg> {
        let found: Vec<Reg> = regs(0..10).filter(|reg| is(self.state.get(*reg))).collect();
        if found.is_empty() { None } else { Some(self.entropy.pick(&found)) }
    }

    /// A number or an immediate.
    fn operand(&mut self) -> Operand {
        if self.entropy.one_in(2) { self.number().into() } else { self.entropy.imm().into() }
    }

    /// What `choose` gives, without a change of this register.
    fn beside<T>(&mut self, reg: Reg, choose: impl FnOnce(&mut Self) -> T) -> T {
        let pinned = self.pinned;
        self.pin(reg);
        let chosen = choose(self);
        self.pinned = pinned;
        chosen
    }

    fn width(&mut self) -> Width {
        self.entropy.pick(&[Width::W64, Width::W32])
    }
}

/// Offset from R10 of a word of the stack.
fn offset(word: usize) -> i16 {
    -8 * (word as i16 + 1)
}

fn regs(numbers: std::ops::Range<u8>) -> impl Iterator<Item = Reg> {
    numbers.filter_map(Reg::new)
}
