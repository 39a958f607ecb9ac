//! The walk over all paths: depth first, one instruction at a time, until nothing is pending.

mod buckets;
mod depths;
mod extension;
mod forget;
mod path;
mod precision;
mod profile;
mod prune;
mod scc;
mod stack_live;
mod stack_log;
mod trace;
mod verdict;
mod weigh;

use std::borrow::Cow;

use ring3_isa::{Insn, Malformed, Names, Reg, Reserved, Wide};
use ring3_platform::{Program, Target, helper_name};

pub use path::{Linked, Past, Path, Pending, Trail};
pub use profile::{Counts, Differs, Point, Why};
pub use prune::{Store, widen};
pub use trace::Trace;
#[cfg(feature = "planted")]
pub use verdict::judge_planted;
pub use verdict::{Lenient, accepts_without, count, diagnose, judge, judge_plain, structure_of};

use crate::cfg::kfuncs::Kfuncs;
use crate::cfg::{Structure, malformed};
use crate::diag::log::Log;
use crate::diag::reject::Reject;
use crate::diag::render::{self, Scratched};
use crate::facts::{Facts, InsnFacts};
use crate::kernel::target::Returns;
use crate::release::{Rule, Rules};
use crate::state::{State, Value};

/// Instructions that the walk may process (BPF_COMPLEXITY_LIMIT_INSNS).
pub const MAX_PROCESSED: u32 = 1_000_000;
/// Paths that may be pending (BPF_COMPLEXITY_LIMIT_JMP_SEQ).
pub const MAX_PENDING: usize = 8192;

/// So many histories are kept for their memory.
const SPARE: usize = 32;

/// The watch is asked after so many instructions.
const WATCHED: u32 = 1024;

/// Where a path goes on after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// At the following instruction.
    Fall,
    /// At this slot.
    Goto(usize),
    /// At this slot, in another frame: the log shows the whole state.
    Enter(usize),
    /// Nowhere: it ended well.
    End,
}

/// The walk over one function and what it calls.
pub struct Walk<'p> {
    /// What is judged.
    pub program: &'p Program,
    /// Against what.
    pub target: &'p Target,
    /// Its skeleton.
    pub structure: &'p Structure,
    /// The log.
    pub log: Log,
    /// What was found out.
    pub facts: Facts,
    /// The path that is followed now.
    pub path: Path,
    /// The current instruction.
    pub at: usize,
    /// The one before it.
    pub from: Option<usize>,
    /// Registers and slots that the current instruction touched.
    pub scratched: Scratched,
    /// Instructions processed so far.
    pub processed: u32,
    /// Stored states.
    pub store: Store,
    /// Types of pointers that instructions dereferenced: one instruction may not mix some of them.
    pub deref: Vec<Option<crate::step::Deref>>,
    /// What arithmetic gave the last time.
    pub memo: crate::step::Memo,
    /// The kernel's lists of members that keep a pointer's trust, once they were asked for.
    pub safe: std::cell::OnceCell<crate::step::SafeLists>,
    /// Special fields of the program's types, as far as they were asked for. `None`: Linux cannot make them out.
    pub objects: std::cell::RefCell<std::collections::BTreeMap<u32, Option<ring3_platform::maps::Fields>>>,
    /// Global functions that were called.
    pub called: Vec<bool>,
    /// Functions that run later on their own.
    pub runs_later: Vec<bool>,
    /// Functions that something called back, at once or later.
    pub called_back: Vec<bool>,
    /// By function: its stack below what it uses itself is for registers that are saved around calls, and for nothing else.
    pub saves_only: Vec<bool>,
    /// The function that is walked on its own.
    pub root: usize,
    /// Callbacks of the calls of `bpf_loop`, where such a call always has the same one and no flags.
    loops: std::collections::BTreeMap<usize, Option<usize>>,
    /// Stack slots that may still be read.
    stack_live: stack_live::StackLive,
    ids: u32,
    pending: Vec<Pending>,
    /// Histories of paths that have ended: their memory is used again.
    spare: Vec<Trail>,
    /// The current instruction has the newest entry of the trail.
    has_entry: bool,
    /// Says why to stop.
    watch: &'p mut dyn FnMut() -> Option<String>,
    /// Helpers that may be called wherever the program does: what was looked up.
    pub helpers: Vec<(i32, &'p ring3_platform::Proto)>,
    /// Where the budget goes, where somebody wants to know.
    pub counts: Option<Box<Counts>>,
    /// Rules that it has to do without.
    pub without: Rules,
    /// What happened on this path, where somebody wants to know.
    pub trace: Option<Box<Trace>>,
    /// Source line that was printed last: file and line.
    line: Option<(std::sync::Arc<str>, u32)>,
    /// No state is stored nor looked for, and so nothing has to be known of what was precise.
    pub(crate) plain: bool,
    /// Of a walk without pruning: reads of pointers from the stack, which may count as numbers.
    pub(crate) forgets: Option<forget::Forgets>,
    /// A far constant that is added to a pointer is taken for a range that ends there: a stored state with a range goes past the
    /// rule for constants, and covers this one.
    pub(crate) far: bool,
    /// A register is equal to itself, which Linux 6.18 does not know.
    pub(crate) settled: bool,
    /// How much memory it holds.
    scales: weigh::Scales,
    /// Instructions that may be processed.
    budget: u32,
    /// The mistake that is planted.
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::planted::Bug>,
}

impl<'p> Walk<'p> {
    /// Ready to walk.
    pub fn new(
        program: &'p Program,
        target: &'p Target,
        structure: &'p Structure,
        log: Log,
        watch: &'p mut dyn FnMut() -> Option<String>,
    ) -> Walk<'p> {
        let len = program.code.len();
        Walk {
            program,
            target,
            structure,
            log,
            facts: Facts {
                insns: vec![InsnFacts::default(); len],
                subprogs: structure
                    .subprogs
                    .iter()
                    .map(|s| crate::SubprogFacts { start: s.start, end: s.end, stack_depth: 0 })
                    .collect(),
                returns_nothing: structure.attach.as_ref().is_some_and(|attach| attach.returns() == Returns::Nothing),
                relied: crate::release::Relied::default(),
            },
            path: Path { state: State::entry(0), trail: Trail::default() },
            at: 0,
            from: None,
            scratched: Scratched::ALL,
            processed: 0,
            store: Store::new(len),
            deref: vec![None; len],
            memo: crate::step::Memo::default(),
            safe: std::cell::OnceCell::new(),
            objects: std::cell::RefCell::default(),
            called: vec![false; structure.subprogs.len()],
            runs_later: vec![false; structure.subprogs.len()],
            called_back: vec![false; structure.subprogs.len()],
            saves_only: structure.saves.iter().map(|saves| saves.goes).collect(),
            root: 0,
            loops: std::collections::BTreeMap::new(),
            stack_live: stack_live::StackLive::default(),
            ids: 0,
            pending: Vec::new(),
            spare: Vec::new(),
            has_entry: false,
            watch,
            helpers: Vec::new(),
            counts: None,
            without: Rules::default(),
            trace: None,
            line: None,
            plain: false,
            forgets: None,
            far: false,
            settled: false,
            scales: weigh::Scales::default(),
            budget: MAX_PROCESSED,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// A number that ties values together.
    pub fn new_id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }

    /// The most memory that it held so far, in bytes.
    pub(crate) fn peak_mem(&mut self) -> u64 {
        self.weigh();
        self.scales.most
    }

    /// Walks function `root` from this state at its entry.
    pub fn run(&mut self, root: usize, mut entry: State) -> Result<(), Reject> {
        entry.sleepable = self.program.sleepable;
        self.root = root;
        self.stack_live.forget_path();
        self.at = self.structure.subprogs[root].start;
        self.from = None;
        self.path = Path { state: entry, trail: Trail { first: self.at, ..Trail::default() } };
        self.scratched = Scratched::ALL;
        self.line = None;
        if let Some(trace) = &mut self.trace {
            trace.clear();
        }
        let mut full = false;
        loop {
            let next = match self.step(&mut full) {
                Ok(next) => next,
                Err(reject) => {
                    self.forget(reject)?;
                    continue;
                }
            };
            match next {
                Next::Fall => self.go(self.at + 1 + usize::from(self.structure.insns[self.at].wide)),
                Next::Goto(slot) => self.go(slot),
                Next::Enter(slot) => {
                    self.go(slot);
                    full = true;
                }
                Next::End => {
                    self.end_path();
                    self.spread_slots();
                    self.keep_reads();
                    if !self.resume() {
                        return Ok(());
                    }
                    full = true;
                }
            }
        }
    }

    fn go(&mut self, slot: usize) {
        self.from = Some(self.at);
        self.at = slot;
    }

    /// One instruction.
    #[inline]
    fn step(&mut self, full: &mut bool) -> Result<Next, Reject> {
        self.has_entry = false;
        if self.processed.is_multiple_of(WATCHED)
            && let Some(why) = (self.watch)()
        {
            return Err(Reject::Stopped { why });
        }
        self.processed += 1;
        if self.processed > self.budget {
            return Err(Reject::TooLarge { processed: self.processed });
        }
        if let Some(trace) = &mut self.trace {
            trace.step(self.at, &self.path.state);
        }
        if let Some(counts) = &mut self.counts {
            counts.step(self.at, &self.path.state);
        }
        let fixed = self.structure.insns[self.at];
        if fixed.prune_point && !self.plain && self.visited()? {
            if self.log.on() {
                self.log_safe(*full);
            }
            return Ok(Next::End);
        }
        if fixed.jmp_point {
            self.remember(|_| {});
        }
        if self.log.on() {
            self.log_insn(full);
        }
        self.execute()
    }

    /// What the current instruction does to the state.
    #[inline]
    fn execute(&mut self) -> Result<Next, Reject> {
        if self.forgets.is_some() {
            self.note_pointer_read();
        }
        self.facts.insns[self.at].seen = true;
        match self.program.code.insns()[self.at] {
            Ok(insn) => {
                let next = self.insn(insn)?;
                if self.structure.insns[self.at].may_write_stack && next == Next::Fall {
                    self.commit_slots();
                }
                Ok(next)
            }
            Err(bad) => Err(self.malformed(bad)),
        }
    }

    /// What is wrong with an instruction that cannot be decoded. Branches read their first register before the rest is
    /// looked at.
    fn malformed(&mut self, bad: Malformed) -> Reject {
        let raw = self.program.code.raw_slice()[self.at];
        if bad == Malformed::Reserved(Reserved::Branch)
            && let Some(lhs) = Reg::new(raw.dst)
            && let Err(unreadable) = self.read(lhs)
        {
            return unreadable;
        }
        if raw.is_legacy_load()
            && let Err(reject) = self.allows_legacy()
        {
            return reject;
        }
        malformed(bad)
    }

    /// Adds to the trail's entry of the current instruction.
    pub fn remember(&mut self, change: impl FnOnce(&mut Past)) {
        if self.plain {
            return;
        }
        if !self.has_entry {
            self.has_entry = true;
            self.path.trail.past.push(Past::new(self.at, self.from));
        }
        if let Some(entry) = self.path.trail.past.last_mut() {
            change(entry);
        }
    }

    /// Adds to that entry that these scalars learned together.
    pub fn remember_linked(&mut self, linked: Linked) {
        if !self.plain {
            self.remember(|_| {});
            self.path.trail.link(linked);
        }
    }

    /// Puts the current state aside, to be followed from `at` later. Gives its state, to be changed.
    pub fn push(&mut self, at: usize) -> Result<&mut State, Reject> {
        if let Some(parent) = self.path.trail.parent {
            self.store.add_branch(parent);
        }
        let trace = self.trace.as_ref().map_or(0, |trace| trace.position());
        let log = self.log.position();
        let trail = self.path.trail.copy_into(self.spare.pop().unwrap_or_default());
        let path = Path { state: self.path.state.clone(), trail };
        self.pending.push(Pending { path, at, from: Some(self.at), log, trace });
        if self.pending.len() > MAX_PENDING {
            return Err(Reject::TooComplex { jumps: self.pending.len() });
        }
        let last = self.pending.len() - 1;
        Ok(&mut self.pending[last].path.state)
    }

    /// Executes the instruction at `at` in this state, in a walk over function `root` that stores nothing: where it can lead,
    /// each place with the state there. Ends of the program lead nowhere.
    pub(crate) fn successors(&mut self, root: usize, at: usize, state: State) -> Result<Vec<(usize, State)>, Reject> {
        (self.root, self.at, self.from, self.has_entry) = (root, at, None, false);
        self.path = Path { state, trail: Trail { first: at, ..Trail::default() } };
        self.stack_live.forget_path();
        self.pending.clear();
        let next = self.execute()?;
        let to = match next {
            Next::Fall => Some(self.program.code.next(at)),
            Next::Goto(slot) | Next::Enter(slot) => Some(slot),
            Next::End => None,
        };
        let aside = std::mem::take(&mut self.pending);
        let mut all: Vec<_> = aside.into_iter().map(|pending| (pending.at, pending.path.state)).collect();
        all.extend(to.map(|to| (to, self.path.state.clone())));
        Ok(all)
    }

    /// Puts the entry of a function that runs later on its own aside: nothing of the current path is known there.
    pub fn push_root(&mut self, at: usize, state: State) -> Result<(), Reject> {
        let trail = Trail { first: at, last: Some(self.at), ..Trail::default() };
        let path = Path { state, trail };
        let log = self.log.position();
        let trace = self.trace.as_ref().map_or(0, |trace| trace.position());
        self.pending.push(Pending { path, at, from: Some(self.at), log, trace });
        if self.pending.len() > MAX_PENDING {
            return Err(Reject::TooComplexAsync { jumps: self.pending.len() });
        }
        Ok(())
    }

    /// A frame was entered or left.
    pub fn frames_changed(&mut self) {
        self.stack_live.forget_path();
    }

    /// The state of one side of the branch that was just split: the jump was put aside, the current path falls through.
    pub fn side(&mut self, taken: bool) -> &mut State {
        match self.pending.last_mut() {
            Some(pending) if taken => &mut pending.path.state,
            Some(_) | None => &mut self.path.state,
        }
    }

    /// Takes up the path that was put aside last.
    fn resume(&mut self) -> bool {
        let Some(next) = self.pending.pop() else { return false };
        self.path.state = next.path.state;
        let done = std::mem::replace(&mut self.path.trail, next.path.trail);
        if self.spare.len() < SPARE {
            self.spare.push(done);
        }
        self.stack_live.forget_path();
        self.at = next.at;
        self.from = next.from;
        self.log.rewind(next.log);
        if let Some(trace) = &mut self.trace {
            trace.rewind(next.trace);
        }
        self.scratched = Scratched::ALL;
        true
    }

    /// The current instruction is fine by a rule that older verifiers do not have. Tells whether it is there.
    pub fn relies(&mut self, rule: Rule) -> bool {
        self.facts.relied.note(rule, self.at);
        !self.without.has(rule)
    }

    /// A register that is read.
    #[inline]
    pub fn read(&mut self, reg: Reg) -> Result<Value, Reject> {
        self.readable(reg)?;
        Ok(*self.path.state.reg(reg))
    }

    /// A register that is read, where it stands.
    #[inline]
    pub fn readable(&mut self, reg: Reg) -> Result<(), Reject> {
        self.scratched.regs |= 1 << reg.number();
        match self.path.state.reg(reg) {
            Value::Uninit => Err(Reject::NotReadable { reg: reg.number() }),
            Value::Scalar(_) | Value::Ptr(_) => Ok(()),
        }
    }

    /// A register that is going to be written.
    pub fn writable(&mut self, reg: Reg) -> Result<(), Reject> {
        self.scratched.regs |= 1 << reg.number();
        if reg == Reg::FP { Err(Reject::FramePointerReadOnly {}) } else { Ok(()) }
    }

    /// Writes a register.
    #[inline]
    pub fn write(&mut self, reg: Reg, value: Value) {
        self.scratched.regs |= 1 << reg.number();
        self.path.state.set(reg, value);
    }

    /// R0 to R5 lose their content.
    pub fn forget_caller_saved(&mut self) {
        for reg in ring3_isa::RegSet::CALLER_SAVED.iter() {
            self.write(reg, Value::Uninit);
        }
    }

    /// A slot was touched.
    pub fn touch_slot(&mut self, slot: usize) {
        self.scratched.slots |= 1 << slot.min(63);
    }

    fn log_safe(&mut self, full: bool) {
        let text = match self.from {
            Some(from) if full => format!("\nfrom {from} to {}: safe\n", self.at),
            Some(_) | None => format!("{}: safe\n", self.at),
        };
        self.log.push(&text);
    }

    /// Names for states in the log.
    pub fn names(&self) -> render::Names<'p> {
        render::Names { program: self.program, target: self.target, kfuncs: &self.structure.kfuncs }
    }

    /// The whole state of a frame, as it stands in the log.
    pub fn render(&self, frame: usize) -> String {
        render::frame(self.names(), &self.path.state, frame, Scratched::ALL)
    }

    fn log_insn(&mut self, full: &mut bool) {
        let current = self.path.state.current();
        if *full && self.log.verbose() {
            let text = format!("\nfrom {} to {}:{}\n", display(self.from), self.at, self.render(current));
            self.log.push(&text);
        }
        *full = false;
        self.log_state(self.at);
        self.log_line();
        let text = self.text(self.at);
        self.log.insn(&format!("{}: {text}", self.at));
    }

    /// Which registers may be read from each instruction on before they are written, and the loops.
    fn log_live(&mut self) {
        self.log.push("Live regs before insn:\n");
        let mut slot = 0;
        while slot < self.program.code.len() {
            let fixed = self.structure.insns[slot];
            let scc = match fixed.scc & !crate::cfg::CALLBACK_LOOP {
                scc if scc == fixed.scc && scc != 0 => format!("{scc:3} "),
                _ => "    ".to_owned(),
            };
            let live: String =
                (0..10u8).map(|reg| if fixed.live >> reg & 1 != 0 { char::from(b'0' + reg) } else { '.' }).collect();
            let line = format!("{scc}{slot:3}: {live} {}\n", self.text(slot));
            self.log.push(&line);
            slot = self.program.code.next(slot);
        }
    }

    /// What the last instruction changed.
    pub fn log_state(&mut self, at: usize) {
        if !self.log.on() || self.scratched == Scratched::NONE {
            return;
        }
        let current = self.path.state.current();
        let text = render::frame(self.names(), &self.path.state, current, self.scratched);
        self.log.state_after(at, &text);
        self.scratched = Scratched::NONE;
    }

    /// The source line of the current instruction, if it is another one than before.
    pub(super) fn log_line(&mut self) {
        if let Some(text) = self.new_line() {
            self.log.push(&text);
        }
    }

    /// That line, once.
    fn new_line(&mut self) -> Option<String> {
        let entry = self.program.info.as_ref()?.line_at(u32::try_from(self.at).ok()?)?;
        if self.line.as_ref().is_some_and(|(file, line)| *file == entry.file && *line == entry.line) {
            return None;
        }
        self.line = Some((entry.file.clone(), entry.line));
        let file = entry.file.rsplit('/').next().unwrap_or_default();
        Some(format!("; {} @ {file}:{}\n", entry.text.trim_start(), entry.line))
    }

    /// An instruction as the log writes it.
    pub fn text(&self, slot: usize) -> String {
        text_with(self.program, &self.structure.kfuncs, slot)
    }

    /// The instruction at a slot, if it can be decoded.
    pub fn decoded(&self, slot: usize) -> Option<Insn> {
        self.program.code.insns().get(slot).and_then(|insn| insn.ok())
    }
}

/// An instruction of a program as the log writes it.
pub fn text_of(program: &Program, slot: usize) -> String {
    text_with(program, &Kfuncs::default(), slot)
}

fn text_with(program: &Program, kfuncs: &Kfuncs, slot: usize) -> String {
    match program.code.text(slot, &LogNames(program, kfuncs)) {
        Some(text) => text.with_opcode().to_string(),
        None => String::new(),
    }
}

fn display(slot: Option<usize>) -> String {
    slot.map_or_else(|| "-1".to_owned(), |slot| slot.to_string())
}

/// Names as the verifier's log has them: addresses are not shown.
struct LogNames<'p>(&'p Program, &'p Kfuncs);

impl Names for LogNames<'_> {
    fn kfunc(&self, id: i32, off: i16) -> Option<Cow<'_, str>> {
        let kfunc = self.0.kfunc(id, off)?;
        Some(Cow::Borrowed(ring3_platform::kfuncs::base_name(&kfunc.name)))
    }

    fn kfunc_number(&self, id: i32, off: i16) -> i32 {
        let number = self.0.kfunc(id, off).and(usize::try_from(id).ok()).and_then(|id| *self.1.numbers.get(id)?);
        number.map_or(id, ring3_isa::num::s32)
    }

    fn helper(&self, id: i32) -> Option<Cow<'_, str>> {
        let name = helper_name(u32::try_from(id).ok()?)?;
        Some(Cow::Owned(format!("bpf_{name}")))
    }

    fn wide(&self, _slot: usize, value: Wide) -> Option<Cow<'_, str>> {
        match value {
            Wide::Func(off) => Some(Cow::Owned(format!("{off:#x}"))),
            Wide::Imm(_)
            | Wide::Map(_)
            | Wide::MapValue { .. }
            | Wide::BtfId { .. }
            | Wide::MapIdx(_)
            | Wide::MapIdxValue { .. } => Some(Cow::Borrowed("0x0")),
        }
    }
}
