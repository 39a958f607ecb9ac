//! Small functions that call nothing stand where they are called; larger ones, and callbacks, use registers that need not be saved.
//!
//! What becomes of a call: the operations of the function, with its exits as jumps behind them. Nothing of what a call is can be seen
//! from inside: such a function asks for nothing that knows of frames (helpers, tail calls, budgets). What it may rely on is kept:
//!
//! - R6 to R9 of the caller: where the function writes one that the caller uses, it uses another one, which neither of them does. R1
//!   to R5 are left unreadable by every call, so those that the function does not use are free for that.
//! - its stack: below that of the caller, zeroed at every entry as that of a frame is.
//! - the origin of each operation: the slot that it came from.
//!
//! The function stays there, for callbacks and for calls that stay. Where it calls nothing it takes registers of R1 to R5 that it has no
//! use for in the place of R6 to R9: nobody reads them behind a call, as every call leaves them unreadable, so there is nothing to save.

use ring3_isa::{AluOp, Operand, Reg, RegSet, Size, Width};
use ring3_verifier::Region;
use ring3_vm::Op;

use crate::compile::{Function, Unit};
use crate::opt::{self, Effects, KEPT};
use crate::planted::Bug;
use crate::target::Shortcut;

/// Operations of a function that is put elsewhere, at most.
const MAX_LEAF: usize = 48;

/// Bytes of its stack, at most: all of it is zeroed each time.
const MAX_LEAF_STACK: u32 = 64;

/// Bytes of a frame (MAX_BPF_STACK of Linux).
const MAX_STACK: u32 = 512;

/// Operations that a program grows by at most, beside as many as it has.
const MAX_GROWTH: usize = 1 << 10;

/// How often functions whose calls are gone are put elsewhere themselves.
const ROUNDS: usize = 3;

/// What a program has become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Inlined {
    pub(crate) ops: Vec<Op>,
    pub(crate) slots: Vec<u32>,
    pub(crate) functions: Vec<Function>,
    lookups: Vec<(u32, Shortcut)>,
    regions: Vec<Region>,
}

/// `None` if no call of the program can go and no register has a better place, or nobody wants that.
pub(crate) fn inlined(unit: &Unit<'_>) -> Option<Inlined> {
    let guards = &unit.runtime.guards;
    if !unit.joined || guards.blind.is_some() || guards.budget.is_some() {
        return None;
    }
    let done = without_calls(unit);
    match done {
        Some(mut done) => {
            let better = better_names(&done.unit(unit));
            done.rename(&better);
            Some(done)
        }
        None => {
            let better = better_names(unit);
            (!better.is_empty()).then(|| {
                let mut done = Inlined::whole(unit);
                done.rename(&better);
                done
            })
        }
    }
}

/// `None` if no call can go.
fn without_calls(unit: &Unit<'_>) -> Option<Inlined> {
    if unit.functions.len() < 2 {
        return None;
    }
    let limit = 2 * unit.ops.len() + MAX_GROWTH;
    let mut done = once(unit, limit)?;
    for _ in 1..ROUNDS {
        let Some(next) = once(&done.unit(unit), limit) else { break };
        done = next;
    }
    Some(done)
}

impl Inlined {
    /// With all else that the compiler looks at.
    pub(crate) fn unit<'a>(&'a self, of: &Unit<'a>) -> Unit<'a> {
        let Inlined { ops, slots, functions, lookups, regions } = self;
        Unit { ops, slots, functions, lookups, regions, ..*of }
    }
}

/// A function that can stand elsewhere.
struct Leaf {
    start: usize,
    end: usize,
    stack: u32,
    /// Operations that it adds to a caller, at most.
    ops: usize,
    /// Registers that it uses, R10 among them if it has a stack.
    uses: RegSet,
}

/// All calls of what calls nothing.
fn once(unit: &Unit<'_>, limit: usize) -> Option<Inlined> {
    let leaves: Vec<Option<Leaf>> = unit.functions.iter().map(|function| Leaf::of(unit, function)).collect();
    let called = |op: &Op| match op {
        Op::CallLocal { subprog } => leaves.get(usize::from(*subprog)).and_then(Option::as_ref),
        _ => None,
    };
    unit.ops.iter().find_map(called)?;
    let mut made = Making { unit, limit, out: Inlined::room(unit), jumps: Vec::new(), left: unit.ops.len(), gone: 0 };
    let mut new_at: Vec<u32> = Vec::with_capacity(unit.ops.len() + 1);
    for function in unit.functions {
        let range = function.start as usize..function.end as usize;
        let start = made.out.ops.len() as u32;
        let mut caller =
            Caller { uses: uses_of(&unit.ops[range.clone()]), stack: function.stack, grown: function.stack };
        for at in range {
            new_at.push(made.out.ops.len() as u32);
            made.left -= 1;
            let leaf = called(&unit.ops[at]);
            if !leaf.is_some_and(|leaf| made.put(leaf, at, &mut caller)) {
                made.keep(at);
            }
        }
        made.out.functions.push(Function { start, end: made.out.ops.len() as u32, stack: caller.grown });
    }
    new_at.push(made.out.ops.len() as u32);
    made.finish(&new_at)
}

/// Who calls.
struct Caller {
    uses: RegSet,
    /// Bytes of its own.
    stack: u32,
    /// With what was put below them.
    grown: u32,
}

/// The registers that operations name, and those that they mean.
fn uses_of(ops: &[Op]) -> RegSet {
    ops.iter().fold(RegSet::EMPTY, |uses, op| {
        let Effects { reads, writes, .. } = Effects::of(*op, false);
        uses.union(reads).union(writes)
    })
}

impl Leaf {
    fn of(unit: &Unit<'_>, function: &Function) -> Option<Leaf> {
        let (start, end) = (function.start as usize, function.end as usize);
        let ops = unit.ops.get(start..end)?;
        let short = !ops.is_empty() && ops.len() <= MAX_LEAF && function.stack <= MAX_LEAF_STACK;
        if start == 0 || !short || !matches!(ops.last(), Some(Op::Exit | Op::Jump { .. })) {
            return None;
        }
        if !(function.start..).zip(ops).all(|(at, op)| stays_inside(unit, at, op)) {
            return None;
        }
        let uses = uses_of(ops);
        let words = if uses.contains(Reg::FP) { function.stack.div_ceil(8) as usize } else { 0 };
        Some(Leaf { start, end, stack: function.stack, ops: 2 * ops.len() + words, uses })
    }
}

/// Whether an operation neither calls nor asks for a frame of its own, and uses R10 in a way that another number can be added to.
fn stays_inside(unit: &Unit<'_>, at: u32, op: &Op) -> bool {
    match *op {
        // No call is left of these.
        Op::CallHelper { .. } => {
            matches!(unit.lookup(at), Some(Shortcut::Array(_) | Shortcut::PerCpu(..) | Shortcut::ProcessorId))
        }
        Op::CallLocal { .. } | Op::TailCall | Op::LegacyPacket { .. } | Op::MayGoto { .. } | Op::Guarded { .. } => {
            false
        }
        Op::Mov { width: Width::W64, src: Operand::Reg(Reg::FP), .. } => true,
        Op::Store { src, .. } => src != Operand::Reg(Reg::FP),
        Op::Atomic { src, .. } | Op::StoreRelease { src, .. } => src != Reg::FP,
        Op::Load { .. } | Op::LoadAcquire { .. } => true,
        Op::Alu { .. }
        | Op::Mov { .. }
        | Op::MovSx { .. }
        | Op::Neg { .. }
        | Op::Endian { .. }
        | Op::LoadImm { .. }
        | Op::Branch { .. }
        | Op::Jump { .. }
        | Op::Exit => opt::reads(*op).into_iter().flatten().all(|reg| reg != Reg::FP),
    }
}

/// The program while it is made.
struct Making<'a> {
    unit: &'a Unit<'a>,
    limit: usize,
    out: Inlined,
    /// Operations whose targets are places of the old program.
    jumps: Vec<u32>,
    /// Operations of the old program that are still to come.
    left: usize,
    /// Calls that are gone.
    gone: usize,
}

/// What stands in for a register.
type Names = [Reg; Reg::COUNT];

/// Each for itself.
const OWN_NAMES: Names = {
    let mut names = [Reg::R0; Reg::COUNT];
    let mut index = 0;
    while index < Reg::COUNT {
        if let Some(reg) = Reg::new(index as u8) {
            names[index] = reg;
        }
        index += 1;
    }
    names
};

/// What carries arguments.
const ARGS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

impl Making<'_> {
    /// The operation as it is.
    fn keep(&mut self, at: usize) {
        let op = self.unit.ops[at];
        if let Op::CallHelper { .. } = op
            && let Some(found) = self.unit.lookup(at as u32)
        {
            self.out.lookups.push((self.out.ops.len() as u32, found));
        }
        if matches!(op, Op::Jump { .. } | Op::Branch { .. } | Op::MayGoto { .. }) {
            self.jumps.push(self.out.ops.len() as u32);
        }
        self.push(at, op);
    }

    /// An operation that came from this one.
    fn push(&mut self, from: usize, op: Op) {
        self.out.ops.push(op);
        self.out.slots.extend(self.unit.slots.get(from));
        self.out.regions.extend(self.unit.regions.get(from));
    }

    /// The operations of a function in the place of its call; false if there is no room for them.
    fn put(&mut self, leaf: &Leaf, call: usize, caller: &mut Caller) -> bool {
        let below = if self.unit.has_bug(Bug::SameStack) { 0 } else { caller.stack.next_multiple_of(8) };
        let stack = if leaf.uses.contains(Reg::FP) { leaf.stack.next_multiple_of(8) } else { 0 };
        if below + stack > MAX_STACK || self.out.ops.len() + leaf.ops + self.left > self.limit {
            return false;
        }
        let taken = if self.unit.has_bug(Bug::SameRegisters) { RegSet::EMPTY } else { caller.uses };
        let Some(names) = names(leaf.uses, taken) else { return false };
        if stack > 0 {
            caller.grown = caller.grown.max(below + stack);
        }
        for word in 1..=stack as i32 / 8 {
            let off = -(below as i32) - 8 * word;
            self.push_stack(call, Op::Store { size: Size::Dw, base: Reg::FP, off, src: Operand::Imm(0) });
        }
        self.body(leaf, below as i32, &names);
        self.gone += 1;
        true
    }

    /// What zeroes a word of the stack: the call says nothing of memory.
    fn push_stack(&mut self, from: usize, op: Op) {
        self.push(from, op);
        if let Some(region) = self.out.regions.last_mut() {
            *region = Region::Stack;
        }
    }

    fn body(&mut self, leaf: &Leaf, below: i32, names: &Names) {
        let first = self.out.ops.len();
        // Where each operation of it stands now, and where it leaves.
        let mut new_at = [0; MAX_LEAF + 1];
        for (index, at) in (leaf.start..leaf.end).enumerate() {
            new_at[index] = self.out.ops.len() as u32;
            let op = self.unit.ops[at];
            match op {
                Op::Exit if at + 1 == leaf.end => {}
                Op::Exit => self.push(at, Op::Jump { target: leaf.end as u32 }),
                Op::CallHelper { .. } => {
                    let found = self.unit.lookup(at as u32);
                    self.out.lookups.extend(found.map(|found| (self.out.ops.len() as u32, found)));
                    self.push(at, op);
                }
                Op::Mov { dst, src: Operand::Reg(Reg::FP), .. } => {
                    let (width, dst) = (Width::W64, names[dst.index()]);
                    self.push(at, Op::Mov { width, dst, src: Operand::Reg(Reg::FP) });
                    if below > 0 {
                        self.push(at, Op::Alu { width, op: AluOp::Sub, dst, src: Operand::Imm(below) });
                    }
                }
                _ => self.push(at, renamed(lowered(op, below), names)),
            }
        }
        new_at[leaf.end - leaf.start] = self.out.ops.len() as u32;
        for op in &mut self.out.ops[first..] {
            if let Op::Jump { target } | Op::Branch { target, .. } = op {
                let index = (*target as usize).saturating_sub(leaf.start);
                *target = new_at.get(index).copied().unwrap_or(u32::MAX);
            }
        }
    }

    /// With the targets of what stayed.
    fn finish(mut self, new_at: &[u32]) -> Option<Inlined> {
        if self.gone == 0 {
            return None;
        }
        for at in &self.jumps {
            if let Some(Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target }) =
                self.out.ops.get_mut(*at as usize)
            {
                // What leads nowhere is found by who compiles it.
                *target = new_at.get(*target as usize).copied().unwrap_or(u32::MAX);
            }
        }
        Some(self.out)
    }
}

/// The functions, by their places, that have no need of R6 to R9, and what stands in for these.
fn better_names(unit: &Unit<'_>) -> Vec<(usize, Names)> {
    // Of what is emitted as it is nobody looks at each operation.
    if unit.runtime.guards.is_long(unit.ops.len()) {
        return Vec::new();
    }
    let better = |(index, function): (usize, &Function)| {
        let uses = uses_of(unit.ops.get(function.start as usize..function.end as usize)?);
        let taken = if unit.has_bug(Bug::SpareInUse) { RegSet::EMPTY } else { uses };
        let mut names = OWN_NAMES;
        // Whatever calls uses all of them.
        let spare = ARGS.into_iter().filter(|reg| !taken.contains(*reg));
        let kept = uses.intersection(KEPT);
        kept.iter().zip(spare).for_each(|(reg, spare)| names[reg.index()] = spare);
        (names != OWN_NAMES).then_some((index, names))
    };
    unit.functions.iter().enumerate().filter_map(better).collect()
}

impl Inlined {
    /// The program as it is.
    fn whole(unit: &Unit<'_>) -> Inlined {
        Inlined {
            ops: unit.ops.to_vec(),
            slots: unit.slots.to_vec(),
            functions: unit.functions.to_vec(),
            lookups: unit.lookups.to_vec(),
            regions: unit.regions.to_vec(),
        }
    }

    /// Other registers in these functions.
    fn rename(&mut self, better: &[(usize, Names)]) {
        for (function, names) in better {
            let Some(Function { start, end, .. }) = self.functions.get(*function) else { continue };
            for op in self.ops.get_mut(*start as usize..*end as usize).into_iter().flatten() {
                *op = renamed(*op, names);
            }
        }
    }

    fn room(unit: &Unit<'_>) -> Inlined {
        let room = unit.ops.len() + unit.ops.len() / 4;
        Inlined {
            ops: Vec::with_capacity(room),
            slots: Vec::with_capacity(room),
            functions: Vec::with_capacity(unit.functions.len()),
            lookups: Vec::with_capacity(unit.lookups.len()),
            regions: Vec::with_capacity(room),
        }
    }
}

/// Which registers stand in for those of R6 to R9 that both use; `None` if there are too few. What the function leaves in any of them
/// nobody reads.
fn names(leaf: RegSet, caller: RegSet) -> Option<Names> {
    let mut names = OWN_NAMES;
    // R1 to R5 change by a call anyway, and those of R6 to R9 that the caller does not use it saves for its own caller then.
    let mut free = ARGS.into_iter().chain(KEPT.difference(caller).iter()).filter(|reg| !leaf.contains(*reg));
    for reg in KEPT.intersection(leaf).intersection(caller).iter() {
        names[reg.index()] = free.next()?;
    }
    Some(names)
}

/// An access of the stack as one so much further down.
fn lowered(op: Op, below: i32) -> Op {
    let moved = |base: Reg, off: i32| if base == Reg::FP { off - below } else { off };
    match op {
        Op::Load { size, signed, dst, base, off } => Op::Load { size, signed, dst, base, off: moved(base, off) },
        Op::Store { size, base, off, src } => Op::Store { size, base, off: moved(base, off), src },
        Op::Atomic { op, size, base, off, src } => Op::Atomic { op, size, base, off: moved(base, off), src },
        Op::LoadAcquire { size, dst, base, off } => Op::LoadAcquire { size, dst, base, off: moved(base, off) },
        Op::StoreRelease { size, base, off, src } => Op::StoreRelease { size, base, off: moved(base, off), src },
        other => other,
    }
}

/// The same on other registers.
fn renamed(op: Op, names: &Names) -> Op {
    let reg = |reg: Reg| names[reg.index()];
    let operand = |operand: Operand| match operand {
        Operand::Reg(of) => Operand::Reg(reg(of)),
        Operand::Imm(_) => operand,
    };
    match op {
        Op::Alu { width, op, dst, src } => Op::Alu { width, op, dst: reg(dst), src: operand(src) },
        Op::Mov { width, dst, src } => Op::Mov { width, dst: reg(dst), src: operand(src) },
        Op::MovSx { width, from, dst, src } => Op::MovSx { width, from, dst: reg(dst), src: reg(src) },
        Op::Neg { width, dst } => Op::Neg { width, dst: reg(dst) },
        Op::Endian { op, size, dst } => Op::Endian { op, size, dst: reg(dst) },
        Op::LoadImm { dst, value } => Op::LoadImm { dst: reg(dst), value },
        Op::Load { size, signed, dst, base, off } => Op::Load { size, signed, dst: reg(dst), base: reg(base), off },
        Op::Store { size, base, off, src } => Op::Store { size, base: reg(base), off, src: operand(src) },
        Op::Atomic { op, size, base, off, src } => Op::Atomic { op, size, base: reg(base), off, src: reg(src) },
        Op::LoadAcquire { size, dst, base, off } => Op::LoadAcquire { size, dst: reg(dst), base: reg(base), off },
        Op::StoreRelease { size, base, off, src } => Op::StoreRelease { size, base: reg(base), off, src: reg(src) },
        Op::Branch { width, op, lhs, rhs, target } => {
            Op::Branch { width, op, lhs: reg(lhs), rhs: operand(rhs), target }
        }
        Op::Guarded { access, base, off, value } => Op::Guarded { access, base: reg(base), off, value: operand(value) },
        // No function with these is put elsewhere or gets other registers, or they name none.
        Op::Jump { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::TailCall
        | Op::CallLocal { .. }
        | Op::Exit
        | Op::LegacyPacket { .. } => op,
    }
}
