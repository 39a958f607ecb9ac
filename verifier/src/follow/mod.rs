//! The state oracle: a run of a verified program beside the states that the verifier has for its instructions.
//!
//! [`Plan::follow`] walks the path that a run takes by the verifier's own rules, without pruning. Before every instruction the run
//! is shown to the [`Follower`], which asserts that registers, stack and frames lie inside one of the states that the rules lead
//! to, and that the rules still accept the instruction in it. So a transfer function that forgets a value shows, as does a stored
//! state that covered a path which it should not have: on that path the rules then refuse what the verifier accepted.
//! What the proof says of instructions (reached, direction, region) is compared as well, as it was found out with pruning.

mod contains;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ring3_isa::{Callee, Insn};
use ring3_platform::{KernelVersion, Target};

use crate::cfg::Structure;
use crate::diag::log::Log;
use crate::diag::reject::Reject;
use crate::diag::render::{self, Scratched};
use crate::facts::{Direction, Facts, InsnFacts, MapUse, Region};
use crate::state::{PtrKind, State, Value};
use crate::step::global;
use crate::walk::Walk;
use crate::{Rejection, VerifiedProgram};

use contains::{Miss, Seen};

/// States that one instruction of a run may lie in before the oracle gives up on it. Each is one way in which the rules explain
/// the run; more than a few only come of callbacks.
const MAX_CANDIDATES: usize = 256;

/// Memory that a pointer of a run can point to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Object {
    /// The context.
    Ctx,
    /// A value of the map with this index.
    MapValue(u32),
    /// A key of the map with this index.
    MapKey(u32),
    /// The packet: its only piece is from its data to its end.
    Packet,
    /// From the metadata to the end of the packet.
    PacketMeta,
    /// Any live memory but the context.
    Memory,
}

/// What a run looks like before an instruction.
pub trait Moment {
    /// Slot of the instruction.
    fn slot(&self) -> usize;
    /// Frames above the main function's.
    fn depth(&self) -> usize;
    /// A register, 0 to 10, of the innermost frame.
    fn reg(&self, number: usize) -> u64;
    /// What R10 is in a frame.
    fn frame_top(&self, depth: usize) -> u64;
    /// The eight bytes at R10 - 8 * (`slot` + 1) of a frame.
    fn stack(&self, depth: usize, slot: usize) -> Option<[u8; 8]>;
    /// Whether `test` holds for the start and length of a live piece of an object.
    fn any_piece(&self, object: Object, test: &mut dyn FnMut(u64, u64) -> bool) -> bool;
    /// The index of the map that a register with this value is.
    fn map_of(&self, handle: u64) -> Option<u32>;
    /// The index of the function that a register with this value is.
    fn function_of(&self, value: u64) -> Option<u32>;
}

/// How a run and the verifier's states disagree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Slot of the instruction.
    pub slot: usize,
    /// What is wrong.
    pub what: String,
    /// The states that the rules have there, as the log writes them.
    pub states: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}: {}", self.slot, self.what)?;
        self.states.iter().try_for_each(|state| write!(f, "\n  state:{state}"))
    }
}

/// What a run was compared with, and what could not be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Instructions whose state was checked.
    pub instructions: u64,
    /// Registers and stack slots that were compared.
    pub values: u64,
    /// What was skipped: why, and how often.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl Checked {
    /// Adds another run.
    pub fn add(&mut self, other: &Checked) {
        self.instructions += other.instructions;
        self.values += other.values;
        for (why, times) in &other.skipped {
            *self.skipped.entry(why).or_default() += times;
        }
    }

    fn skip(&mut self, why: &'static str) {
        *self.skipped.entry(why).or_default() += 1;
    }
}

/// A verified program with what following its runs needs.
#[derive(Debug)]
pub struct Plan {
    proof: Arc<VerifiedProgram>,
    /// The target with the release whose rules are those of the walk.
    rules: Arc<Target>,
    structure: Structure,
}

impl Plan {
    /// Prepares a proof.
    pub fn new(proof: Arc<VerifiedProgram>) -> Result<Plan, Box<Rejection>> {
        let rules = Arc::new(Target { kernel: KernelVersion::V6_18, ..(*proof.target).clone() });
        let structure = crate::walk::structure_of(&proof.program, &rules)?;
        Ok(Plan { proof, rules, structure })
    }

    /// The proof.
    pub fn proof(&self) -> &Arc<VerifiedProgram> {
        &self.proof
    }

    /// Follows one run, of which `run` shows every moment to the follower.
    pub fn follow<T>(&self, run: impl FnOnce(&mut Follower<'_, '_>) -> T) -> (T, Checked) {
        let mut watch = || None;
        let mut walk = Walk::new(&self.proof.program, &self.rules, &self.structure, Log::new(0), &mut watch);
        (walk.plain, walk.far) = (true, true);
        let sleepable = self.proof.program.sleepable;
        let main = vec![Candidate { at: 0, state: State { sleepable, ..State::main_entry() } }];
        let levels = vec![Level { root: 0, base: 0, candidates: main, lost: None }];
        let mut follower =
            Follower { walk: &mut walk, proof: &self.proof, levels, last: None, checked: Checked::default() };
        let result = run(&mut follower);
        let checked = std::mem::take(&mut follower.checked);
        (result, checked)
    }
}

/// One way in which the rules explain where a run is.
#[derive(Clone, Debug)]
struct Candidate {
    at: usize,
    state: State,
}

/// A function that was judged on its own, with what it calls.
#[derive(Debug)]
struct Level {
    root: usize,
    /// Its frame, counted as the run does.
    base: usize,
    candidates: Vec<Candidate>,
    /// Why it is not followed any more.
    lost: Option<&'static str>,
}

/// Follows one run.
#[derive(Debug)]
pub struct Follower<'w, 'p> {
    walk: &'w mut Walk<'p>,
    proof: &'p VerifiedProgram,
    levels: Vec<Level>,
    /// Slot and depth of the instruction before.
    last: Option<(usize, usize)>,
    checked: Checked,
}

impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Follower<'_, '_> {
    /// The run is about to execute the next instruction.
    pub fn before(&mut self, moment: &dyn Moment) -> Result<(), Violation> {
        let (slot, depth) = (moment.slot(), moment.depth());
        let violation = |what: String| Violation { slot, what, states: Vec::new() };
        if self.walk.decoded(slot).is_none() {
            return Err(violation("no instruction is there".to_owned()));
        }
        if !self.proof.facts.insns.get(slot).is_some_and(|facts| facts.seen) {
            return Err(violation("the proof says that nothing reaches this".to_owned()));
        }
        self.returned(depth);
        self.enter_global(slot, depth)?;
        self.last = Some((slot, depth));
        let Some(mut level) = self.levels.pop() else { return Ok(()) };
        let result = match level.lost {
            Some(why) => {
                self.checked.skip(why);
                Ok(())
            }
            None => self.advance(&mut level, moment),
        };
        self.levels.push(level);
        result
    }

    /// Functions that were judged on their own have returned.
    fn returned(&mut self, depth: usize) {
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| level.base > depth) {
            self.levels.pop();
        }
    }

    /// The run enters a function that was judged on its own.
    fn enter_global(&mut self, slot: usize, depth: usize) -> Result<(), Violation> {
        let Some((from, before)) = self.last else { return Ok(()) };
        let called = depth == before + 1 && matches!(self.walk.decoded(from), Some(Insn::Call(Callee::Local(_))));
        // Who throws leaves all frames, and then the callback for exceptions runs.
        let inside = |root: usize| self.levels.last().is_some_and(|level| level.root == root);
        let caught = |root: usize| self.walk.structure.exception_callback == Some(root) && !inside(root);
        let begins = |root: &usize| called && self.walk.is_global(*root) || caught(*root);
        let Some(root) = self.walk.structure.subprog_at(slot).filter(begins) else { return Ok(()) };
        let mut state = global::global_entry(self.walk, root).map_err(|reject| Violation {
            slot,
            what: format!("a global function that may not be called: {}", reject.text()),
            states: Vec::new(),
        })?;
        state.sleepable = self.proof.program.sleepable;
        self.levels.push(Level { root, base: depth, candidates: vec![Candidate { at: slot, state }], lost: None });
        Ok(())
    }

    /// Keeps the candidates that the run lies in, and executes the instruction in them.
    fn advance(&mut self, level: &mut Level, moment: &dyn Moment) -> Result<(), Violation> {
        let slot = moment.slot();
        let held = self.matching(level, moment)?;
        let mut next = Vec::new();
        for candidate in held {
            self.execute(level.root, candidate, &mut next).map_err(|what| Violation {
                slot,
                what,
                states: Vec::new(),
            })?;
        }
        self.compare_facts(slot)?;
        if next.len() > MAX_CANDIDATES {
            level.lost = Some("too many ways to get there");
            next.clear();
        }
        level.candidates = next;
        self.checked.instructions += 1;
        Ok(())
    }

    fn matching(&mut self, level: &mut Level, moment: &dyn Moment) -> Result<Vec<Candidate>, Violation> {
        let (slot, frames) = (moment.slot(), moment.depth() + 1 - level.base);
        let mut misses: Vec<(Miss, State)> = Vec::new();
        let mut held = Vec::new();
        for mut candidate in std::mem::take(&mut level.candidates) {
            self.skip_nothing(&mut candidate, slot);
            if candidate.at != slot || candidate.state.frames.len() != frames {
                continue;
            }
            let mut seen =
                Seen { checked: &mut self.checked, base: level.base, moment, maps: self.proof.program.maps.len() };
            match seen.state(&candidate.state) {
                Ok(()) => held.push(candidate),
                Err(miss) => misses.push((miss, candidate.state)),
            }
        }
        if !held.is_empty() {
            return Ok(held);
        }
        let what = match &misses[..] {
            [] => "no state that the rules have leads here".to_owned(),
            [(miss, _), ..] => miss.to_string(),
        };
        let current = |state: &State| render::frame(self.walk.names(), state, state.current(), Scratched::ALL);
        Err(Violation { slot, what, states: misses.iter().map(|(_, state)| current(state)).collect() })
    }

    /// Jumps to the next instruction are none to an engine.
    fn skip_nothing(&self, candidate: &mut Candidate, slot: usize) {
        while candidate.at != slot && matches!(self.walk.decoded(candidate.at), Some(Insn::Jump { off: 0, .. })) {
            candidate.at += 1;
        }
    }

    fn execute(&mut self, root: usize, candidate: Candidate, next: &mut Vec<Candidate>) -> Result<(), String> {
        let Candidate { at, state } = candidate;
        let frames = state.frames.len();
        let called_back = state.frame().callback.is_some();
        let refused = |reject: Reject| format!("the rules refuse it here: {}", reject.text());
        let nexts = match self.walk.successors(root, at, state) {
            // To a stored state without that pointer, a part of it is a part of a number.
            Err(Reject::FillSize {}) => match self.walk.without_pointer() {
                Some(path) => self.walk.successors(root, at, path.state),
                None => Err(Reject::FillSize {}),
            },
            nexts => nexts,
        };
        for (to, state) in nexts.map_err(refused)? {
            let split = to == at && matches!(self.walk.decoded(at), Some(Insn::Alu { .. }));
            if split || called_back && state.frames.len() < frames {
                // Back in the helper, which calls again or returns; or one of several cases of the same instruction.
                let again = self.walk.successors(root, to, state).map_err(refused)?;
                next.extend(again.into_iter().map(|(at, state)| Candidate { at, state }));
            } else {
                next.push(Candidate { at: to, state });
            }
        }
        Ok(())
    }

    /// What the path tells of an instruction must be part of what the proof says.
    fn compare_facts(&self, slot: usize) -> Result<(), Violation> {
        let (path, proof) = (&self.walk.facts.insns[slot], &self.proof.facts.insns[slot]);
        if covers(proof, path) {
            return Ok(());
        }
        let what = format!("the proof has {proof:?} of this, and the path that is run {path:?}");
        Err(Violation { slot, what, states: Vec::new() })
    }
}

/// Whether what one knows of an instruction includes what the other does.
fn covers(all: &InsnFacts, some: &InsnFacts) -> bool {
    let InsnFacts { seen, region, direction, map } = *some;
    let region = match region {
        Region::None => true,
        // Lowering converts accesses of the context by this alone.
        Region::Ctx => all.region == Region::Ctx,
        // And whether it may fault.
        Region::Kernel => matches!(all.region, Region::Kernel | Region::Map),
        Region::Map | Region::Arena => all.region == region,
        Region::Stack | Region::MapValue | Region::MapKey | Region::Packet | Region::Mem | Region::Mixed => {
            all.region == region || matches!(all.region, Region::Mixed | Region::Kernel | Region::Map)
        }
    };
    let direction = match direction {
        Direction::None => true,
        Direction::Taken | Direction::NotTaken | Direction::Both => {
            all.direction == direction || all.direction == Direction::Both
        }
    };
    let map = match map {
        MapUse::None => true,
        MapUse::One(_) | MapUse::Many => all.map == map || all.map == MapUse::Many,
    };
    (all.seen || !seen) && region && direction && map
}

/// Whether facts include all of what others say, instruction by instruction.
pub fn facts_cover(all: &Facts, some: &Facts) -> bool {
    all.insns.len() == some.insns.len() && all.insns.iter().zip(&some.insns).all(|(all, some)| covers(all, some))
}
