//! Statements that call: helpers, functions of the program, callbacks.

use ring3_isa::{AluOp, CmpOp, Insn, Operand, Reg, Size, Wide, Width};

use super::state::{Kind, MapNo, State};
use super::{Called, Generator, offset, regs};

const MAP_LOOKUP: i32 = 1;
const MAP_UPDATE: i32 = 2;
const MAP_DELETE: i32 = 3;
const KTIME_GET_NS: i32 = 5;
const GET_PRANDOM_U32: i32 = 7;
const GET_SMP_PROCESSOR_ID: i32 = 8;
const CSUM_DIFF: i32 = 28;
const XDP_ADJUST_HEAD: i32 = 44;
const FOR_EACH_MAP_ELEM: i32 = 164;
const LOOP: i32 = 181;

/// Functions beside the main one.
const MAX_FUNCTIONS: usize = 5;
/// Calls within calls.
const MAX_DEPTH: u32 = 3;

/// What `bpf_loop` gives to a function.
const IN_A_LOOP: [Kind; 5] = [Kind::Number, Kind::Pair, Kind::Unknown, Kind::Unknown, Kind::Unknown];

/// What a function may return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Returns {
    Any,
    /// 0 or 1: callbacks.
    Bit,
}

/// A function other than the main one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Function {
    /// What R1 to R5 hold.
    pub(super) args: [Kind; 5],
    pub(super) result: Returns,
    /// How many calls lead to it: it calls only functions with more.
    pub(super) depth: u32,
}

impl Function {
    /// The state at its start.
    pub(super) fn enter(&self, state: &mut State) {
        state.regs[1..6].copy_from_slice(&self.args);
    }
}

impl Generator<'_, '_> {
    fn depth(&self) -> u32 {
        self.function.map_or(0, |function| function.depth)
    }

    /// Stores a key and gives its word of the stack.
    fn key(&mut self, map: MapNo) -> usize {
        let word = self.number_word();
        let src = if self.entropy.one_in(3) {
            let number = self.number();
            let [small] = self.targets(number);
            self.copy(small, number);
            self.alu_imm(Width::W64, AluOp::And, small, 3);
            small.into()
        } else {
            Operand::Imm(self.entropy.below(5) as i32)
        };
        let size = if map.key_bytes() == 8 { Size::Dw } else { Size::W };
        self.out.push(Insn::Store { size, base: Reg::FP, off: offset(word), src });
        word
    }

    fn map_arg(&mut self, map: MapNo) {
        self.out.push(Insn::LoadImm { dst: Reg::R1, value: Wide::Map(map.index()) });
        self.state.set(Reg::R1, Kind::Unknown);
    }

    /// Looks up a value, and does things with it if it is there.
    pub(super) fn lookup(&mut self) {
        let map = self.entropy.pick(&MapNo::ALL);
        let key = self.key(map);
        self.stack_address(Reg::R2, key);
        self.map_arg(map);
        self.out.helper(MAP_LOOKUP);
        self.state.called();
        let (skip, width) = (self.out.label(), Width::W64);
        if self.entropy.one_in(3) {
            let found = self.out.label();
            self.out.branch(width, CmpOp::Ne, Reg::R0, Operand::Imm(0), found);
            self.out.jump(skip);
            self.out.place(found);
        } else {
            self.out.branch(width, CmpOp::Eq, Reg::R0, Operand::Imm(0), skip);
        }
        let before = self.state;
        self.state.set(Reg::R0, Kind::Value(map));
        self.keep(Reg::R0);
        self.block(5);
        self.out.place(skip);
        self.state.join(&before);
    }

    /// Changes or deletes an element.
    pub(super) fn update(&mut self) {
        let map = self.entropy.pick(&MapNo::ALL);
        let value = self.values(map);
        let key = self.key(map);
        // The key may have taken the place of a word of the value, which is a number as before.
        self.stack_address(Reg::R2, key);
        if self.entropy.one_in(4) && map == MapNo::Hash {
            self.map_arg(map);
            self.out.helper(MAP_DELETE);
        } else {
            self.stack_address(Reg::R3, value);
            let flags = self.entropy.below(4) as i32;
            self.mov_imm(Reg::R4, flags);
            self.map_arg(map);
            self.out.helper(MAP_UPDATE);
        }
        self.state.called();
    }

    /// Words of the stack as long as a value, all numbers. Gives the lowest in memory.
    fn values(&mut self, map: MapNo) -> usize {
        let words = map.value_bytes() as usize / 8;
        for word in 0..words {
            if !self.state.words[word].is_number() {
                let src = self.operand();
                self.out.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: offset(word), src });
                self.state.words[word] = Kind::Number;
            }
        }
        words - 1
    }

    /// Helpers that give a number.
    pub(super) fn helper(&mut self) {
        let helper = self.entropy.pick(&[KTIME_GET_NS, GET_PRANDOM_U32, GET_SMP_PROCESSOR_ID, CSUM_DIFF]);
        if helper == CSUM_DIFF {
            let (from, to) = (self.number_pair(), self.number_pair());
            let seed = self.number();
            self.copy(Reg::R5, seed);
            self.stack_address(Reg::R1, from);
            self.stack_address(Reg::R3, to);
            let (from, to) = (self.entropy.below(5) as i32 * 4, self.entropy.below(5) as i32 * 4);
            self.mov_imm(Reg::R2, from);
            self.mov_imm(Reg::R4, to);
        }
        self.out.helper(helper);
        self.state.called();
    }

    /// Moves the packet, so that nothing that was checked of it holds. Not in loops, which need it again.
    pub(super) fn adjust_head(&mut self) {
        let Some(ctx) = self.reg_where(|kind| kind == Kind::Ctx) else { return self.helper() };
        if self.loops > 0 || self.function.is_some() {
            return self.helper();
        }
        let by = self.entropy.below(32) as i32 - 16;
        self.mov_imm(Reg::R2, by);
        self.copy(Reg::R1, ctx);
        self.out.helper(XDP_ADJUST_HEAD);
        self.state.called();
        self.state.forget(|kind| matches!(kind, Kind::Packet(_)));
    }

    /// A function that takes these arguments: one that is there, or a new one.
    fn function(&mut self, args: [Kind; 5], result: Returns) -> Option<super::Label> {
        let depth = self.depth();
        let known = self
            .functions
            .iter()
            .find(|Called { function: known, .. }| known.args == args && known.result == result && known.depth > depth)
            .map(|called| called.label);
        if let Some(label) = known
            && !self.entropy.one_in(3)
        {
            return Some(label);
        }
        if self.functions.len() >= MAX_FUNCTIONS || depth >= MAX_DEPTH {
            return None;
        }
        let label = self.out.label();
        let entropy = self.entropy.split_off(2);
        self.functions.push(Called { function: Function { args, result, depth: depth + 1 }, label, entropy });
        Some(label)
    }

    /// Calls a function of the program.
    pub(super) fn call(&mut self) {
        if self.entropy.one_in(8) {
            return self.call_of_callback();
        }
        let pair = self.number_pair();
        let mut args = [Kind::Unknown; 5];
        let count = self.entropy.below(4) as usize;
        args[..count].fill(Kind::Number);
        let ctx = self.reg_where(|kind| kind == Kind::Ctx);
        args[3] = if ctx.is_some() { Kind::Ctx } else { Kind::Unknown };
        args[4] = if self.entropy.one_in(2) { Kind::Pair } else { Kind::Unknown };
        let Some(function) = self.function(args, Returns::Any) else { return self.helper() };
        if let Some(ctx) = ctx {
            self.copy(Reg::R4, ctx);
        }
        if args[4] == Kind::Pair {
            self.stack_address(Reg::R5, pair);
        }
        for dst in regs(1..4).take(count) {
            if !self.state.get(dst).is_number() || self.entropy.one_in(3) {
                self.constant(dst);
            }
        }
        self.out.call(function);
        self.state.called();
    }

    /// Calls a function that `bpf_loop` may call, too.
    fn call_of_callback(&mut self) {
        let Some(function) = self.function(IN_A_LOOP, Returns::Bit) else { return self.helper() };
        let pair = self.number_pair();
        self.constant(Reg::R1);
        self.stack_address(Reg::R2, pair);
        self.out.call(function);
        self.state.called();
    }

    /// A helper that calls a function of the program: `bpf_loop` or `bpf_for_each_map_elem`.
    pub(super) fn callback(&mut self) {
        let [none, pair] = [Kind::Unknown, Kind::Pair];
        if self.entropy.one_in(2) {
            let map = self.entropy.pick(&MapNo::ALL);
            let args = [none, none, Kind::Value(map), pair, none];
            let Some(function) = self.function(args, Returns::Bit) else { return self.helper() };
            let words = self.number_pair();
            self.stack_address(Reg::R3, words);
            self.out.function(Reg::R2, function);
            self.map_arg(map);
            self.mov_imm(Reg::R4, 0);
            self.out.helper(FOR_EACH_MAP_ELEM);
        } else {
            let Some(function) = self.function(IN_A_LOOP, Returns::Bit) else {
                return self.helper();
            };
            let words = self.number_pair();
            self.stack_address(Reg::R3, words);
            self.out.function(Reg::R2, function);
            let rounds = self.entropy.below(9) as i32;
            self.mov_imm(Reg::R1, rounds);
            self.mov_imm(Reg::R4, 0);
            self.out.helper(LOOP);
        }
        self.state.called();
    }
}
