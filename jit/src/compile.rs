//! The one walk over the operations of a program.

use std::ops::Range;

use ring3_isa::{Operand, Reg, RegSet, Size, Width};
use ring3_verifier::Region;
use ring3_vm::{Guarded, Op};

use crate::JitError;
use crate::code::Label;
use crate::constants::Constant;
use crate::guards::{Blinder, Budget, Guards};
use crate::inline::Inlined;
use crate::opt::{self, KEPT, Keeps, Known, Plan, Step};
use crate::planted::Bug;
use crate::symbols::Unwind;
use crate::target::{Callee, FAR, Frame, Shortcut, Target};
use crate::words::{RUN, Word, Words};

/// Operations that a program may have: 1,000,000 instructions of the verifier's limit, with room for what lowering adds.
const MAX_OPS: usize = 1 << 22;

/// Operations whose cost fits into any instruction.
const MOST_AT_ONCE: i32 = 1 << 16;

/// Bytes of code that a program may have: what a 32-bit displacement spans.
const MAX_CODE: usize = i32::MAX as usize;

/// Bytes of stack of one frame (MAX_BPF_STACK of Linux).
const MAX_STACK: u32 = 512;

/// Operations that a jump may lead over to be looked at whether it is a short one.
const NEARBY: u32 = 24;

/// Bytes that a short jump leads over at most.
const SHORT: u32 = i8::MAX as u32;

/// One function: a range of operations, entered at its first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Function {
    pub(crate) start: u32,
    /// Index behind the last.
    pub(crate) end: u32,
    /// Bytes of stack.
    pub(crate) stack: u32,
}

/// What the code calls, other than itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runtime<'a> {
    /// By number of `Op::CallHelper`.
    pub(crate) helpers: &'a [Callee],
    pub(crate) tail_call: Callee,
    pub(crate) legacy_packet: Callee,
    pub(crate) guarded: Callee,
    /// How often `Op::MayGoto` goes on in one frame.
    pub(crate) may_goto_budget: u32,
    pub(crate) guards: Guards,
    /// If what the program calls may stop the run.
    pub(crate) stopped: Option<Stopped>,
}

/// How a program learns that what it called has stopped the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    /// Where in the environment a byte is not 0 then.
    pub(crate) offset: u32,
    /// `callee(env, slot)` notes where the program was.
    pub(crate) note: Callee,
}

/// All that the compiler looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit<'a> {
    pub(crate) ops: &'a [Op],
    /// For each operation the slot that it came from; may be empty.
    pub(crate) slots: &'a [u32],
    /// Tile the operations; the first is the main function. The others may be empty.
    pub(crate) functions: &'a [Function],
    /// Calls of helpers that are done in another way, in the order of operations.
    pub(crate) lookups: &'a [(u32, Shortcut)],
    /// For each operation the memory that it accesses, as the verifier found it; none where that is not known.
    pub(crate) regions: &'a [Region],
    /// Memory whose content never changes.
    pub(crate) constants: &'a [Constant<'a>],
    pub(crate) runtime: Runtime<'a>,
    /// Whether operations may be joined and left out; else each is emitted as it is.
    pub(crate) joined: bool,
}

impl Unit<'_> {
    /// Whether the operation is a call of which nothing is left but a lookup, which reads R2 alone.
    pub(crate) fn is_lookup(&self, op: u32) -> bool {
        !self.lookups.is_empty() && self.lookup(op).is_some_and(Shortcut::is_lookup)
    }

    /// How the operation looks up.
    pub(crate) fn lookup(&self, op: u32) -> Option<Shortcut> {
        if self.runtime.guards.blind.is_some() {
            // Sizes of maps are the program's, too.
            return None;
        }
        self.lookups.binary_search_by_key(&op, |(at, _)| *at).ok().map(|found| self.lookups[found].1)
    }
}

/// Code that is not in executable memory yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Assembled {
    pub(crate) code: Vec<u8>,
    /// Where the code of each operation starts; one more for the end of the last.
    pub(crate) op_offsets: Vec<u32>,
    /// Where each function starts.
    pub(crate) function_offsets: Vec<u32>,
    /// Where the trampoline for callbacks starts.
    pub(crate) trampoline: u32,
    /// The frame of each function.
    pub(crate) unwinds: Vec<Unwind>,
    /// That of the trampoline.
    pub(crate) trampoline_unwind: Unwind,
    /// What the operations are, where they are not those of the program.
    pub(crate) inlined: Option<Inlined>,
}

/// Emits the code of a program.
pub(crate) fn assemble<T: Target>(unit: &Unit<'_>, mut target: T) -> Result<Assembled, JitError> {
    check_functions(unit)?;
    let known = opt::known(unit);
    let unit = &unit.known(known.as_ref());
    target.start(unit.ops.len());
    let function_labels = unit.functions.iter().map(|_| target.label()).collect();
    let surveys = Survey::of(unit);
    let (blind, budget) = (unit.runtime.guards.blind, unit.runtime.guards.budget);
    let plan = if unit.joined && blind.is_none() {
        opt::plan(unit, &surveys.functions, known.as_ref())
    } else {
        Plan::default()
    };
    let Plan { steps, keeps } = plan;
    let mut walk = Walk {
        unit,
        target,
        entries: surveys.entries,
        plain: steps.is_empty() && blind.is_none() && budget.is_none() && unit.runtime.stopped.is_none(),
        steps,
        keeps,
        known: known.as_ref(),
        blinder: blind.map(Blinder::new),
        counted: budget.map(|budget| Counted { budget, pending: 0 }),
        function_labels,
        written: RegSet::EMPTY,
        unwinds: Vec::with_capacity(unit.functions.len()),
    };
    let mut function_offsets = Vec::with_capacity(unit.functions.len());
    for (index, (function, found)) in unit.functions.iter().zip(&surveys.functions).enumerate() {
        function_offsets.push(walk.here()?);
        walk.function(index, function, *found)?;
    }
    let trampoline = walk.here()?;
    walk.target.callback_trampoline();
    walk.here()?;
    let (code, mut op_offsets) = walk.target.finish()?;
    op_offsets.push(trampoline);
    Ok(Assembled {
        code,
        op_offsets,
        function_offsets,
        trampoline,
        unwinds: walk.unwinds,
        trampoline_unwind: T::trampoline_unwind(),
        inlined: None,
    })
}

/// From where an operation is jumped to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Entry {
    Nowhere,
    /// Only from before it.
    Above,
    /// From behind it, which makes it the head of a loop.
    Below,
}

/// What is to be known before anything is emitted: the operations that are more than arithmetic and accesses, of which there are few.
struct Survey {
    /// Where jumps lead.
    entries: Vec<Entry>,
    functions: Vec<Found>,
}

/// What a function has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Found {
    /// A jump back.
    pub(crate) loops: bool,
    /// Something that needs the environment and an aligned stack.
    calls: bool,
    may_goto: bool,
}

impl Survey {
    fn of(unit: &Unit<'_>) -> Survey {
        let mut survey = Survey {
            entries: vec![Entry::Nowhere; unit.ops.len()],
            functions: Vec::with_capacity(unit.functions.len()),
        };
        for function in unit.functions {
            let mut found = Found::default();
            for (at, op) in (function.start..function.end).zip(&unit.ops[function.start as usize..]) {
                if leaves(op) {
                    survey.look(unit, at, op, &mut found);
                }
            }
            survey.functions.push(found);
        }
        survey
    }

    /// An operation that is one of these.
    #[inline(never)]
    fn look(&mut self, unit: &Unit<'_>, at: u32, op: &Op, found: &mut Found) {
        let (Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target }) = op else {
            found.calls |= !matches!(unit.lookup(at), Some(Shortcut::Array(_)));
            return;
        };
        found.may_goto |= matches!(op, Op::MayGoto { .. });
        found.loops |= *target <= at;
        if let Some(entry) = self.entries.get_mut(*target as usize) {
            *entry = (*entry).max(if *target <= at { Entry::Below } else { Entry::Above });
        }
    }
}

/// Whether an operation is more than arithmetic and accesses.
#[inline(always)]
fn leaves(op: &Op) -> bool {
    match op {
        Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::Guarded { .. }
        | Op::CallHelper { .. }
        | Op::CallLocal { .. }
        | Op::TailCall
        | Op::LegacyPacket { .. } => true,
        Op::Alu { .. }
        | Op::Mov { .. }
        | Op::MovSx { .. }
        | Op::Neg { .. }
        | Op::Endian { .. }
        | Op::LoadImm { .. }
        | Op::Load { .. }
        | Op::Store { .. }
        | Op::Atomic { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. }
        | Op::Exit => false,
    }
}

/// How operations are counted: as many as are known to be executed together at once.
struct Counted {
    budget: Budget,
    /// Operations that will have been executed here and are not taken from the budget yet.
    pending: i32,
}

/// The functions cover all operations, in order and without gaps.
fn check_functions(unit: &Unit<'_>) -> Result<(), JitError> {
    if unit.ops.len() > MAX_OPS {
        return Err(JitError::TooLarge { what: "operations", have: unit.ops.len(), limit: MAX_OPS });
    }
    let mut next = 0;
    for (function, f) in unit.functions.iter().enumerate() {
        // A function that is called only by dead code has no operations left.
        if f.start != next || f.end < f.start || (function == 0 && f.end == f.start) || f.end as usize > unit.ops.len()
        {
            return Err(JitError::BadFunction { function, start: f.start, end: f.end });
        }
        if f.stack > MAX_STACK {
            return Err(JitError::Stack { function, bytes: f.stack, limit: MAX_STACK });
        }
        next = f.end;
    }
    if next as usize != unit.ops.len() || unit.functions.is_empty() {
        return Err(JitError::BadFunction { function: unit.functions.len(), start: next, end: next });
    }
    Ok(())
}

/// The state of the walk.
struct Walk<'a, T: Target> {
    unit: &'a Unit<'a>,
    target: T,
    entries: Vec<Entry>,
    /// What is behind its end is emitted as it is.
    steps: Vec<Step>,
    keeps: Vec<Keeps>,
    known: Option<&'a Known>,
    /// All of it is, and nothing is added.
    plain: bool,
    function_labels: Vec<Label>,
    /// What the operations so far set, other than by calls.
    written: RegSet,
    unwinds: Vec<Unwind>,
    blinder: Option<Blinder>,
    counted: Option<Counted>,
}

impl<T: Target> Walk<'_, T> {
    /// Offset of the next byte.
    fn here(&self) -> Result<u32, JitError> {
        let have = self.target.offset();
        match u32::try_from(have) {
            Ok(offset) if have <= MAX_CODE => Ok(offset),
            _ => Err(JitError::TooLarge { what: "bytes of code", have, limit: MAX_CODE }),
        }
    }

    fn function(&mut self, index: usize, function: &Function, found: Found) -> Result<(), JitError> {
        let ops = &self.unit.ops[function.start as usize..function.end as usize];
        let frame = self.frame_of(index, function, found)?;
        self.target.place(self.function_labels[index]);
        let start = self.here()?;
        self.target.prologue(&frame);
        self.unwinds.push(Unwind { prologue: self.here()? - start, ..T::unwind(&frame) });
        let stop = self.target.label();
        if self.plain {
            self.plainly(function, ops, &frame)?;
        } else {
            for (at, op) in (function.start..).zip(ops) {
                self.enter(at);
                self.target.mark(at);
                self.guarded(at, *op, function, &frame, stop)?;
            }
        }
        if self.written.contains(Reg::FP) {
            return Err(writes_frame_pointer(self.unit, function));
        }
        if !matches!(ops.last(), Some(Op::Exit | Op::Jump { .. })) {
            self.target.guard();
        }
        if let Some(counted) = &self.counted {
            let slot = self.unit.slots.get(function.start as usize).copied().unwrap_or(0);
            self.target.place(stop);
            self.target.tell(counted.budget.used_up, slot);
            self.target.exit(&frame);
        }
        Ok(())
    }

    /// What the operations of the function need of its frame.
    fn frame_of(&self, index: usize, function: &Function, found: Found) -> Result<Frame, JitError> {
        // Whoever counts calls when there is nothing left.
        let calls = found.calls || self.counted.is_some();
        let may_goto = found.may_goto.then_some(self.unit.runtime.may_goto_budget);
        let words = function.stack.next_multiple_of(8);
        let zeroed = match self.known.and_then(|known| known.unset.get(index)) {
            // Whole words from where the widest stores of zeros may start.
            Some(unset) => (unset.start / 16 * 16, unset.end.next_multiple_of(8).min(words)),
            None => (0, words),
        };
        let frame = Frame { entry: index == 0, stack: function.stack, zeroed, calls, may_goto, ..Frame::default() };
        if self.plain && self.unit.runtime.guards.is_long((function.end - function.start) as usize) {
            let saved = if self.unit.has_bug(Bug::PlainSavesNothing) { RegSet::EMPTY } else { KEPT };
            // The look at which registers it uses is a third of the time that the rest takes.
            return Ok(Frame { uses_stack: true, saved, ..frame });
        }
        let (mut reads, mut writes) = (RegSet::EMPTY, RegSet::EMPTY);
        let is_gone = |at: usize| self.known.is_some_and(|known| known.gone[at]);
        for (at, op) in (function.start as usize..).zip(&self.unit.ops[function.start as usize..function.end as usize])
        {
            if !is_gone(at) {
                reads = opt::reads(*op).into_iter().flatten().fold(reads, RegSet::with);
            }
            writes = opt::writes(*op).map_or(writes, |reg| writes.with(reg));
        }
        if writes.contains(Reg::FP) {
            return Err(writes_frame_pointer(self.unit, function));
        }
        let saved = self.keeps.get(index).map_or(writes.intersection(KEPT), |keeps| keeps.saved);
        Ok(Frame { uses_stack: reads.contains(Reg::FP), saved, ..frame })
    }

    /// All operations as they are, with nothing between.
    fn plainly(&mut self, function: &Function, ops: &[Op], frame: &Frame) -> Result<(), JitError> {
        let mut words = Words::new();
        for (first, run) in (function.start..).step_by(RUN).zip(ops.chunks(RUN)) {
            let (words, written) = words.of(&self.target, run);
            self.written = self.written.union(written);
            let mut at = 0;
            while at < run.len() {
                self.enter(first + at as u32);
                let behind = first as usize + at + 1..first as usize + run.len();
                let behind = self.entries.get(behind).unwrap_or_default();
                let end = at + 1 + behind.iter().take_while(|entry| **entry == Entry::Nowhere).count();
                self.alone(first, at..end, (run, words), function, frame)?;
                at = end;
            }
        }
        Ok(())
    }

    /// Operations of a run of which jumps come to the first at most.
    #[inline(always)]
    fn alone(
        &mut self,
        first: u32,
        range: Range<usize>,
        (run, words): (&[Op], &[Word]),
        function: &Function,
        frame: &Frame,
    ) -> Result<(), JitError> {
        let mut at = range.start;
        while at < range.end {
            let put = self.target.put_words(first + at as u32, &words[at..range.end]);
            at += put;
            if at < range.end {
                // Where jumps come to, the flags are those of others.
                let put = put > 0 || self.unit.has_bug(Bug::FlagsOfOneWay);
                let before = run.get(at.wrapping_sub(1)).filter(|_| put);
                self.target.mark(first + at as u32);
                self.long_op(first + at as u32, run[at], before, function, frame)?;
                at += 1;
            }
        }
        Ok(())
    }

    /// An operation that is no word, behind one that is a word, if it always comes from there.
    fn long_op(
        &mut self,
        at: u32,
        op: Op,
        before: Option<&Op>,
        function: &Function,
        frame: &Frame,
    ) -> Result<(), JitError> {
        if let (Op::Branch { .. }, Some(before)) = (op, before) {
            self.target.note(before);
        }
        self.op(at, op, function, frame)
    }

    /// An operation starts here, and if jumps come to it all that belongs to those before it is done.
    #[inline(always)]
    fn enter(&mut self, at: u32) {
        let entry = self.entries[at as usize];
        if entry != Entry::Nowhere {
            self.come(at, entry);
        }
    }

    #[inline(never)]
    fn come(&mut self, at: u32, entry: Entry) {
        self.take();
        if entry == Entry::Below {
            self.target.align_loop();
        }
        self.target.place(Label::of_op(at));
    }

    /// An operation of a program that is not emitted as it is.
    fn guarded(&mut self, at: u32, op: Op, function: &Function, frame: &Frame, stop: Label) -> Result<(), JitError> {
        self.before(at, op, stop)?;
        self.step(at, op, function, frame)?;
        if let (Some(counted), Op::CallHelper { .. } | Op::CallLocal { .. }) = (&self.counted, op) {
            // What was called may have used it up.
            self.target.stop_if_used_up(counted.budget, stop);
        }
        if let (Some(stopped), Op::CallHelper { .. } | Op::CallLocal { .. } | Op::TailCall) =
            (self.unit.runtime.stopped, op)
            && self.unit.lookup(at).is_none()
        {
            self.leave_if_stopped(at, stopped, frame);
        }
        Ok(())
    }

    /// Behind a call.
    fn leave_if_stopped(&mut self, at: u32, stopped: Stopped, frame: &Frame) {
        let slot = self.unit.slots.get(at as usize).copied().unwrap_or(0);
        let go_on = self.target.label();
        self.target.unless_set(stopped.offset, go_on);
        self.target.tell(stopped.note, slot);
        self.target.exit(frame);
        self.target.place(go_on);
    }

    /// Takes what was counted from the budget.
    fn take(&mut self) {
        if let Some(counted) = &mut self.counted
            && counted.pending > 0
        {
            self.target.count(counted.budget, counted.budget.step.saturating_mul(counted.pending));
            counted.pending = 0;
        }
    }

    /// Counts the operation; in front of what the interpreter looks at its budget for, looks at it.
    fn before(&mut self, at: u32, op: Op, stop: Label) -> Result<(), JitError> {
        let Some(counted) = &mut self.counted else { return Ok(()) };
        counted.pending += 1;
        let budget = counted.budget;
        let back = match op {
            Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target } => target <= at,
            Op::CallHelper { .. } | Op::CallLocal { .. } | Op::TailCall | Op::Exit | Op::LegacyPacket { .. } => true,
            Op::Alu { .. }
            | Op::Mov { .. }
            | Op::MovSx { .. }
            | Op::Neg { .. }
            | Op::Endian { .. }
            | Op::LoadImm { .. }
            | Op::Load { .. }
            | Op::Store { .. }
            | Op::Atomic { .. }
            | Op::LoadAcquire { .. }
            | Op::StoreRelease { .. }
            | Op::Guarded { .. } => {
                if counted.pending < MOST_AT_ONCE {
                    return Ok(());
                }
                false
            }
        };
        self.take();
        if back {
            self.target.stop_if_used_up(budget, stop);
        }
        Ok(())
    }

    fn step(&mut self, at: u32, op: Op, function: &Function, frame: &Frame) -> Result<(), JitError> {
        match self.steps.get(at as usize).copied().unwrap_or(Step::Plain) {
            Step::Plain if self.blinder.is_some() && self.blinded(at, op, function, frame)? => {}
            Step::Plain => return self.op(at, op, function, frame),
            Step::Other(other) => return self.op(at, other, function, frame),
            Step::Nothing => {}
            Step::Alu { width, op, dst, lhs, rhs } => self.target.alu_of(width, op, dst, lhs, rhs),
            Step::Rotate { width, dst, src, left } => self.target.rotate(width, dst, src, left),
            Step::Field { width, dst, src, from, bits } => self.target.field(width, dst, src, from, bits),
            Step::ByBit { dst, src, value } => self.target.by_bit(dst, src, value),
            Step::LoadSwapped { size, dst, base, off } => self.target.load_swapped(size, dst, base, off),
            Step::LoadIndexed { size, signed, dst, at } => self.target.load_indexed(size, signed, dst, at),
            Step::StoreIndexed { size, at, src } => self.target.store_indexed(size, at, src),
            Step::Update { size, op, at, src } => self.target.update(size, op, at, src),
            Step::Zero { base, off, bytes } => self.target.zero(base, off, bytes),
            Step::BranchLoaded { size, op, at: place, rhs, target } => {
                let label = self.op_label(at, target, function)?;
                self.target.branch_loaded(size, op, place, rhs, label);
            }
            Step::SelectUnless { width, op, lhs, rhs, dst, value } => {
                self.target.select_unless(width, op, lhs, rhs, dst, value);
            }
        }
        Ok(())
    }

    /// An operation whose constant is not to be seen; false if it has none.
    fn blinded(&mut self, at: u32, op: Op, function: &Function, frame: &Frame) -> Result<bool, JitError> {
        let Some(mut blinder) = self.blinder else { return Ok(false) };
        let done = match op {
            Op::Branch { target, .. } => {
                let to = self.op_label(at, target, function)?;
                blinder.branch(&mut self.target, op, to)
            }
            Op::LegacyPacket { size, index, imm } => {
                let index = Some(blinder.packet_index(&mut self.target, index, imm));
                self.target.legacy_packet(frame, self.unit.runtime.legacy_packet, size, index, 0);
                true
            }
            other => blinder.emit(&mut self.target, other),
        };
        self.blinder = Some(blinder);
        Ok(done)
    }

    #[inline(always)]
    fn op(&mut self, at: u32, op: Op, function: &Function, frame: &Frame) -> Result<(), JitError> {
        let label = |walk: &Self, target| walk.op_label(at, target, function);
        match op {
            Op::Alu { width, op, dst, src } => {
                self.written = self.written.with(dst);
                self.target.alu(width, op, dst, src);
            }
            Op::Mov { width, dst, src } => {
                self.written = self.written.with(dst);
                self.target.mov(width, dst, src);
            }
            Op::MovSx { width, from, dst, src } => {
                self.written = self.written.with(dst);
                self.target.mov_sx(width, from, dst, src);
            }
            Op::Neg { width, dst } => {
                self.written = self.written.with(dst);
                self.target.neg(width, dst);
            }
            Op::Endian { op, size, dst } => {
                self.written = self.written.with(dst);
                self.target.endian(op, size, dst);
            }
            Op::LoadImm { dst, value } => {
                self.written = self.written.with(dst);
                self.target.load_imm(dst, value);
            }
            Op::Load { size, signed, dst, base, off } => {
                self.written = self.written.with(dst);
                self.target.load(size, signed, dst, base, off);
            }
            Op::Store { size, base, off, src } => self.target.store(size, base, off, src),
            Op::Atomic { op, size, base, off, src } => {
                self.written = op.fetches_into(src).map_or(self.written, |reg| self.written.with(reg));
                self.target.atomic(op, atomic_width(at, size)?, base, off, src);
            }
            Op::LoadAcquire { size, dst, base, off } => {
                self.written = self.written.with(dst);
                self.target.load_acquire(size, dst, base, off);
            }
            Op::StoreRelease { size, base, off, src } => self.target.store_release(size, base, off, src),
            Op::Guarded { access, base, off, value } => self.may_fault(access, (base, off), value),
            Op::Jump { target } => {
                let label = label(self, target)?;
                self.target.jump(label);
            }
            Op::Branch { width, op, lhs, rhs, target } => {
                let label = label(self, target)?;
                self.target.branch(width, op, lhs, rhs, label);
            }
            Op::MayGoto { target } => {
                let label = label(self, target)?;
                self.target.may_goto(frame, label);
            }
            Op::CallHelper { helper } => {
                let callee = self.unit.runtime.helpers.get(usize::from(helper));
                let callee = callee.ok_or(JitError::NoCallee { at, what: "helper", number: helper.into() });
                match self.unit.lookup(at) {
                    Some(Shortcut::Array(array)) => self.target.lookup(array),
                    Some(Shortcut::PerCpu(array, plane)) => self.target.lookup_percpu(array, plane),
                    Some(Shortcut::Call { map, callee, per_cpu }) => self.target.lookup_call(map, callee, per_cpu),
                    Some(Shortcut::ProcessorId) => self.target.processor_id(),
                    Some(Shortcut::Random) => self.target.random(*callee?),
                    None => self.target.call_helper(*callee?),
                }
            }
            Op::TailCall => self.target.tail_call(frame, self.unit.runtime.tail_call),
            Op::CallLocal { subprog } => {
                let label = self.function_labels.get(usize::from(subprog)).filter(|_| subprog != 0);
                let label = label.ok_or(JitError::NoCallee { at, what: "function", number: subprog.into() })?;
                self.target.call_local(*label);
            }
            Op::Exit => self.target.exit(frame),
            Op::LegacyPacket { size, index, imm } => {
                self.target.legacy_packet(frame, self.unit.runtime.legacy_packet, size, index, imm);
            }
        }
        Ok(())
    }

    /// An access by a function: all registers but the one that is loaded into stay as they are.
    fn may_fault(&mut self, access: Guarded, (base, off): (Reg, i32), value: Operand) {
        let loaded = access.writes(value);
        self.written = loaded.map_or(self.written, |reg| self.written.with(reg));
        // R0 stands at the bottom, where the slot of a register that is not to come back can be taken into it.
        let first = if loaded == Some(Reg::R0) { Reg::R1 } else { Reg::R0 };
        let kept = [first, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
        let target = &mut self.target;
        kept.iter().for_each(|reg| target.push(*reg));
        target.push(base);
        target.push(access.reads(value).unwrap_or(base));
        target.mov(Width::W64, Reg::R4, Operand::Reg(Reg::R0));
        target.pop(Reg::R3);
        target.pop(Reg::R1);
        match (value, &mut self.blinder) {
            (Operand::Imm(imm), Some(blinder)) => blinder.load(target, Reg::R3, i64::from(imm) as u64),
            (Operand::Imm(imm), None) => target.mov(Width::W64, Reg::R3, Operand::Imm(imm)),
            (Operand::Reg(_), _) => {}
        }
        target.load_imm(Reg::R2, access.bits().into());
        target.load_imm(Reg::R5, i64::from(off) as u64);
        target.call_helper(self.unit.runtime.guarded);
        if let Some(loaded) = loaded.filter(|reg| *reg != Reg::R0) {
            target.mov(Width::W64, loaded, Operand::Reg(Reg::R0));
        }
        for reg in kept.into_iter().rev() {
            target.pop(if Some(reg) == loaded { Reg::R0 } else { reg });
        }
    }

    #[inline(always)]
    fn op_label(&self, at: u32, target: u32, function: &Function) -> Result<Label, JitError> {
        let inside = (function.start..function.end).contains(&target);
        let label = Label::of_op(target).nearby(self.is_near(at, target));
        if inside { Ok(label) } else { Err(JitError::JumpOutOfRange { at, target }) }
    }

    /// Whether what a jump leads over is known to be short.
    #[inline(always)]
    fn is_near(&self, at: u32, target: u32) -> bool {
        // What is counted, or hidden, stands between operations.
        if target <= at || target - at > NEARBY || self.counted.is_some() || self.blinder.is_some() {
            return false;
        }
        let mut bytes = 0;
        for at in at as usize + 1..target as usize {
            let (Some(op), Some(entry)) = (self.unit.ops.get(at), self.entries.get(at)) else { return false };
            let step = self.steps.get(at).copied().unwrap_or(Step::Plain);
            bytes += self.target.most_bytes(op, step) + if *entry == Entry::Below { FAR } else { 0 };
            if bytes > SHORT {
                return false;
            }
        }
        self.entries.get(target as usize) != Some(&Entry::Below)
    }
}

/// Read-modify-write operations are 32 or 64 bits wide.
fn atomic_width(at: u32, size: Size) -> Result<Width, JitError> {
    match size {
        Size::W => Ok(Width::W32),
        Size::Dw => Ok(Width::W64),
        Size::B | Size::H => Err(JitError::BadSize { at, size }),
    }
}

/// The error that names the operation.
fn writes_frame_pointer(unit: &Unit<'_>, function: &Function) -> JitError {
    let mut ops = (function.start..).zip(&unit.ops[function.start as usize..function.end as usize]);
    let found = ops.find(|(_, op)| opt::writes(**op) == Some(Reg::FP));
    JitError::WritesFramePointer { at: found.map_or(function.start, |(at, _)| at) }
}
