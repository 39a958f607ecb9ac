//! The verdict: the passes in the kernel's order, and what is said of them.

use std::sync::Arc;
use std::time::Instant;

use ring3_isa::{Callee, Insn, Mention};
use ring3_platform::{KernelVersion, LoadFlags, Program, Target};

use super::extension::Extension;
use super::{Counts, Walk};
use crate::cfg::{self, Structure};
use crate::diag::log::Log;
use crate::diag::people::{self, Diagnosis};
use crate::diag::reject::Reject;
use crate::release::{Need, Rules, needs};
use crate::state::State;
use crate::step::{global, subprog};
use crate::{LogLevel, Rejection, Stats, VerifiedProgram};

/// Flags whose meaning is here.
const KNOWN_FLAGS: LoadFlags = LoadFlags::STRICT_ALIGNMENT
    .or(LoadFlags::ANY_ALIGNMENT)
    .or(LoadFlags::TEST_RND_HI32)
    .or(LoadFlags::TEST_STATE_FREQ);

/// See [`crate::verify_watched`].
pub fn judge(
    program: Arc<Program>,
    target: Arc<Target>,
    level: LogLevel,
    watch: &mut dyn FnMut() -> Option<String>,
) -> Result<VerifiedProgram, Box<Rejection>> {
    if target.kernel != KernelVersion::V6_18 {
        return on_release(&program, &target, level, watch);
    }
    judge_with(program, target, level, watch, &|_| {})
}

/// Judges without stored states, and so without pruning, within so many processed instructions.
pub fn judge_plain(
    program: Arc<Program>,
    target: Arc<Target>,
    level: LogLevel,
    budget: u32,
    lenient: Lenient,
) -> Result<VerifiedProgram, Box<Rejection>> {
    judge_with(program, target, level, &mut || None, &|walk| {
        (walk.plain, walk.budget) = (true, budget.min(super::MAX_PROCESSED));
        match lenient {
            Lenient::No => {}
            Lenient::Wider => (walk.forgets, walk.far) = (Some(super::forget::Forgets::default()), true),
            Lenient::Itself => walk.settled = true,
        }
    })
}

/// What a walk without pruning lets pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lenient {
    /// Nothing.
    No,
    /// What a wider state would pass: pointers that are read back from the stack may count as numbers, constants as ranges, and part of a
    /// constant on the stack as a key.
    Wider,
    /// Of comparisons of a register with itself, only the way that there is.
    Itself,
}

/// Judges with a mistake planted.
#[cfg(feature = "planted")]
pub fn judge_planted(
    program: Arc<Program>,
    target: Arc<Target>,
    bug: crate::planted::Bug,
) -> Result<VerifiedProgram, Box<Rejection>> {
    judge_with(program, target, LogLevel(0), &mut || None, &|walk| walk.planted = Some(bug))
}

fn judge_with(
    program: Arc<Program>,
    target: Arc<Target>,
    level: LogLevel,
    watch: &mut dyn FnMut() -> Option<String>,
    prepare: &dyn Fn(&mut Walk<'_>),
) -> Result<VerifiedProgram, Box<Rejection>> {
    let start = Instant::now();
    let mut log = Log::new(level.0);
    let extension = match Extension::of(&program, &target, watch) {
        Ok(extension) => extension,
        Err(reject) => return Err(rejection((program, target), reject, None, log, (Stats::default(), &[]), start)),
    };
    let judged = extension.as_ref().map_or(&*program, |extension| &extension.judged);
    let structure = match structure(judged, &target, &mut log, extension.as_ref()) {
        Ok(structure) => structure,
        Err((reject, at)) => {
            // The functions were counted, but nothing is known of their stack.
            let depths = cfg::functions(judged).map_or_else(|_| Vec::new(), |functions| vec![0; functions.len()]);
            return Err(rejection((program, target), reject, at, log, (Stats::default(), &depths), start));
        }
    };
    let mut walk = Walk::new(judged, &target, &structure, log, watch);
    prepare(&mut walk);
    let result = passes(&mut walk, &structure);
    let stats = Stats {
        processed: walk.processed,
        max_states_per_insn: walk.store.max_per_insn,
        total_states: walk.store.total,
        peak_states: walk.store.peak,
        peak_mem: walk.peak_mem(),
        duration_us: 0,
    };
    if let Err(Reject::CtxAccess { .. }) = &result {
        let line = walk.new_line().unwrap_or_default();
        walk.log.set_after(line);
    }
    let depths = if result.is_ok() { walk.final_depths() } else { walk.depths() };
    let (at, mut log, facts) = (walk.at, walk.log, walk.facts);
    match result {
        Ok(()) => {
            let stats = finish(&mut log, stats, start, &depths);
            Ok(VerifiedProgram { program, target, facts, stats, log: log.finish() })
        }
        Err(reject) => Err(rejection((program, target), reject, Some(at), log, (stats, &depths), start)),
    }
}

/// Another release than 6.18: its rules judge, and what the release has.
fn on_release(
    program: &Arc<Program>,
    target: &Arc<Target>,
    level: LogLevel,
    watch: &mut dyn FnMut() -> Option<String>,
) -> Result<VerifiedProgram, Box<Rejection>> {
    let release = target.kernel;
    let start = Instant::now();
    let refuse = |reject: Reject, at| {
        let judged = (program.clone(), target.clone());
        rejection(judged, reject, at, Log::new(level.0), (Stats::default(), &[]), start)
    };
    let rules = Arc::new(Target { kernel: KernelVersion::V6_18, ..(**target).clone() });
    let lacks = |needs: &[Need], than: KernelVersion| {
        let hard = || needs.iter().filter(|need| need.since > than);
        hard().next().cloned().map(|need| (need, hard().map(|need| need.since).max().unwrap_or(release)))
    };
    match judge(program.clone(), rules, level, watch) {
        Ok(proof) => match lacks(&proof.needs(), release) {
            None => Ok(VerifiedProgram { target: target.clone(), ..proof }),
            Some((Need { what, since, at, .. }, all)) => {
                let mut rejection = refuse(Reject::Release { what, since, release }, at);
                rejection.since = Some(all);
                Err(rejection)
            }
        },
        // What 6.18 lacks and a later release may have: how that would judge is not known.
        Err(rejection) => match lacks(&needs(program), KernelVersion::V6_18) {
            Some((need, _)) if need.since <= release => Err(refuse(
                Reject::Unsupported { what: format!("{}, which Linux has since {},", need.what, need.since) },
                need.at,
            )),
            Some(_) | None => Err(Box::new(Rejection { target: target.clone(), ..*rejection })),
        },
    }
}

/// Walks a program and counts. Gives the counts, the instructions processed and the memory held, and what was said.
pub fn count(program: &Program, target: &Target) -> (Counts, (u32, u64), Result<(), Reject>) {
    let rules = Arc::new(Target { kernel: KernelVersion::V6_18, ..target.clone() });
    let extension = match Extension::of(program, &rules, &mut || None) {
        Ok(extension) => extension,
        Err(reject) => return (Counts::default(), (0, 0), Err(reject)),
    };
    let program = extension.as_ref().map_or(program, |extension| &extension.judged);
    let structure = match structure(program, &rules, &mut Log::new(0), extension.as_ref()) {
        Ok(structure) => structure,
        Err((reject, _)) => return (Counts::default(), (0, 0), Err(reject)),
    };
    let mut never = || None;
    let mut walk = Walk::new(program, &rules, &structure, Log::new(0), &mut never);
    walk.counts = Some(Box::default());
    let result = passes(&mut walk, &structure);
    let effort = (walk.processed, walk.peak_mem());
    (walk.counts.map(|counts| *counts).unwrap_or_default(), effort, result)
}

/// Whether a program is accepted without some rules.
pub fn accepts_without(program: &Program, target: &Target, without: Rules) -> bool {
    let rules = Arc::new(Target { kernel: KernelVersion::V6_18, ..target.clone() });
    let Ok(extension) = Extension::of(program, &rules, &mut || None) else { return false };
    let program = extension.as_ref().map_or(program, |extension| &extension.judged);
    let Ok(structure) = structure(program, &rules, &mut Log::new(0), extension.as_ref()) else { return false };
    let mut never = || None;
    let mut walk = Walk::new(program, &rules, &structure, Log::new(0), &mut never);
    walk.without = without;
    passes(&mut walk, &structure).is_ok()
}

/// The skeleton of a program that was judged before.
pub fn structure_of(program: &Arc<Program>, target: &Arc<Target>) -> Result<Structure, Box<Rejection>> {
    let mut log = Log::new(0);
    let (start, judged) = (Instant::now(), (program.clone(), target.clone()));
    let found = Extension::of(program, target, &mut || None).map_err(|reject| (reject, None)).and_then(|extension| {
        let judged = extension.as_ref().map_or(&**program, |extension| &extension.judged);
        structure(judged, target, &mut log, extension.as_ref())
    });
    found.map_err(|(reject, at)| rejection(judged, reject, at, log, (Stats::default(), &[]), start))
}

fn structure(
    program: &Program,
    target: &Target,
    log: &mut Log,
    extension: Option<&Extension>,
) -> Result<Structure, cfg::At> {
    let unknown = program.flags.0 & !KNOWN_FLAGS.0;
    if unknown != 0 {
        return Err((Reject::Unsupported { what: format!("the load flag {unknown:#x}") }, None));
    }
    if program.info.as_ref().is_some_and(|info| !info.pending.is_empty()) {
        return Err((Reject::Unsupported { what: "a CO-RE relocation that is left to the kernel".to_owned() }, None));
    }
    let functions = cfg::functions(program)?;
    if log.verbose() {
        for (index, function) in functions.iter().enumerate() {
            log.push(&format!("func#{index} @{}\n", function.start));
        }
    }
    let suits = extension.map(|extension| |own: &Structure| extension.check(own));
    let mut structure = cfg::build(program, target, functions, suits.as_ref().map(|suits| suits as cfg::Suits<'_>))?;
    if log.on() {
        structure.kfuncs.number(program, target);
    }
    Ok(structure)
}

fn passes(walk: &mut Walk<'_>, structure: &Structure) -> Result<(), Reject> {
    if walk.log.verbose() {
        walk.log_live();
    }
    let beginning = walk.log.position();
    let entry = if structure.extends {
        announce(walk, 0);
        global::global_entry(walk, 0)?
    } else {
        global::note_main_arguments(walk);
        State::main_entry()
    };
    walk.run(0, entry)?;
    walk.log.rewind(beginning);
    // Global functions that were called are judged once, for any arguments; they may call others.
    let mut done = vec![false; structure.subprogs.len()];
    if let Some(index) = structure.exception_callback {
        walk.called[index] = true;
    }
    while let Some(index) = (1..done.len()).find(|i| walk.called[*i] && !done[*i]) {
        done[index] = true;
        let name = announce(walk, index);
        let entry = global::global_entry(walk, index)?;
        walk.weigh();
        walk.store.clear();
        walk.run(index, entry)?;
        walk.log.rewind(beginning);
        if walk.log.on() {
            walk.log.push(&format!("Func#{index} ('{name}') is safe for any args that match its prototype\n"));
        }
    }
    subprog::check_stack_depth(walk)?;
    // Calls of functions that the loader did not find must not be reached.
    let reached = (0..walk.program.code.len()).find(|slot| {
        let missing = matches!(walk.decoded(*slot), Some(Insn::Call(Callee::Kfunc { id: 0, off: 0 })));
        missing && walk.facts.insns[*slot].seen
    });
    if let Some(slot) = reached {
        walk.at = slot;
        return Err(Reject::NoKfunc {});
    }
    match addressed_in_vain(walk) {
        Some(at) => Err(Reject::DeadFunction { at }),
        None => Ok(()),
    }
}

/// Says which function is walked, for any arguments that its types allow. Gives its name.
fn announce(walk: &mut Walk<'_>, index: usize) -> String {
    let name = walk.subprog_name(index).to_string();
    if walk.log.any() {
        walk.log.push(&format!("Validating {name}() func#{index}...\n"));
    }
    name
}

/// Where a function is looked for that nothing runs, because something takes its address. Linux removes what is never reached, and then finds no function
/// there, unless the next one has come to lie in its place, or none but the main one is left.
fn addressed_in_vain(walk: &Walk<'_>) -> Option<usize> {
    let (code, insns) = (&walk.program.code, &walk.facts.insns);
    let is_seen = |slot: usize| insns[if code.is_tail(slot) { slot - 1 } else { slot }].seen;
    let starts: Vec<usize> = walk.structure.subprogs.iter().map(|s| s.start).filter(|start| is_seen(*start)).collect();
    let target = |slot: usize| match code.raw(slot)?.mention()? {
        Mention::Address(off) if !code.is_tail(slot) && is_seen(slot) => {
            usize::try_from(i64::try_from(slot).ok()? + 1 + i64::from(off)).ok()
        }
        Mention::Address(_) | Mention::Helper(_) | Mention::Function(_) | Mention::Kfunc { .. } => None,
    };
    let addressed: Vec<usize> = (0..code.len()).filter_map(target).collect();
    let throws = walk.structure.exception_callback.is_none() && walk.throws_anywhere();
    if starts.len() + usize::from(throws) < 2 || addressed.iter().all(|to| starts.contains(to)) {
        return None;
    }
    // Where something is, run by run of what is removed, the first one first.
    let removed: Vec<usize> = (0..code.len()).filter(|slot| !is_seen(*slot)).collect();
    let runs: Vec<&[usize]> = removed.chunk_by(|a, b| a + 1 == *b).collect();
    let settle = |mut at: usize| {
        let mut gone = 0;
        for run in &runs {
            let end = run[0] - gone + run.len();
            if at >= end {
                at -= run.len();
            }
            gone += run.len();
        }
        at
    };
    let settled: Vec<usize> = starts.iter().map(|start| settle(*start)).collect();
    addressed.iter().map(|to| settle(*to)).find(|to| !settled.contains(to))
}

fn finish(log: &mut Log, mut stats: Stats, start: Instant, depths: &[u32]) -> Stats {
    stats.duration_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    if log.stats() {
        let depths: Vec<String> = depths.iter().map(u32::to_string).collect();
        log.push(&format!("verification time {} usec\nstack depth {}\n", stats.duration_us, depths.join("+")));
    }
    if log.on() || log.stats() {
        log.push(&format!(
            "processed {} insns (limit {}) max_states_per_insn {} total_states {} peak_states {} mark_read 0\n",
            stats.processed,
            super::MAX_PROCESSED,
            stats.max_states_per_insn,
            stats.total_states,
            stats.peak_states
        ));
    }
    stats
}

type Judged = (Arc<Program>, Arc<Target>);

fn rejection(
    (program, target): Judged,
    reject: Reject,
    at: Option<usize>,
    mut log: Log,
    (stats, depths): (Stats, &[u32]),
    start: Instant,
) -> Box<Rejection> {
    let text = reject.text();
    if !text.is_empty() {
        log.reason(&text);
    }
    let stats = finish(&mut log, stats, start, depths);
    let message = text.lines().last().unwrap_or_default().to_owned();
    let (errno, code) = (reject.errno(), reject.code());
    let later = |need: &Need| need.since > KernelVersion::V6_18;
    let since = needs(&program).into_iter().find(later).map(|need| need.since);
    Box::new(Rejection { errno, code, message, at, since, stats, log: log.finish(), program, target })
}

/// See [`Rejection::diagnosis`]: the same passes again, with somebody who takes notes.
pub fn diagnose(program: &Program, target: &Target, rejection: &Rejection) -> Diagnosis {
    let rules = Arc::new(Target { kernel: KernelVersion::V6_18, ..target.clone() });
    let target = &rules;
    let mut log = Log::new(0);
    let tell = |reject: &Reject, at, trace| people::diagnose(&people::Scene { program, reject, at, trace });
    let extension = match Extension::of(program, target, &mut || None) {
        Ok(extension) => extension,
        Err(reject) => return tell(&reject, None, None),
    };
    let judged = extension.as_ref().map_or(program, |extension| &extension.judged);
    let structure = match structure(judged, target, &mut log, extension.as_ref()) {
        Ok(structure) => structure,
        Err((reject, at)) => return tell(&reject, at, None),
    };
    let mut never = || None;
    let mut walk = Walk::new(judged, target, &structure, log, &mut never);
    walk.trace = Some(Box::default());
    match passes(&mut walk, &structure) {
        Err(reject) if reject.code() == rejection.code => {
            let trace = walk.trace.take();
            tell(&reject, Some(walk.at), trace.as_deref())
        }
        // Who watched the walk stopped it: there is no path.
        Ok(()) | Err(_) => people::plain(program, rejection),
    }
}
