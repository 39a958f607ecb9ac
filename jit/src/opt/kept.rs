//! What calls between functions of a program keep of R6 to R9: what somebody needs behind the call, and no more.
//!
//! By the program alone, a function need not save for whoever calls it
//!
//! - a register that none of its callers reads behind a call of it before it is written ([`live`]), and that
//! - no caller of theirs needs either, unless the caller changes it itself and so saves it anyway.
//!
//! Functions that are entered from outside (the main one, callbacks) are called as the machine's ABI says: they save all that changes.

use ring3_isa::{Reg, RegSet};
use ring3_vm::{Callback, Op};

use super::worklist::{Edges, Worklist};
use super::{Effects, live, writes};
use crate::compile::Unit;
use crate::planted::Bug;

/// R6 to R9, which calls keep, by the rules of BPF.
pub(crate) const KEPT: RegSet = RegSet::ALL.difference(RegSet::CALLER_SAVED.with(Reg::FP));

/// What becomes of R6 to R9 in a call of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Keeps {
    /// It saves them at its start and brings them back.
    pub(crate) saved: RegSet,
    /// They have other values afterwards, which nobody reads.
    pub(crate) lost: RegSet,
}

/// A call of a function of the program.
struct Site {
    caller: usize,
    callee: usize,
    /// Of R6 to R9, what the caller reads behind it.
    needed: RegSet,
}

/// By function; none if no function calls another, or programs are too long to look.
pub(super) fn find(unit: &Unit<'_>, effects: &[Effects], leaders: &[bool]) -> Vec<Keeps> {
    counted(unit, effects, leaders).0
}

/// With how often it looked at a function: for what those above need, and for what those below change.
pub(super) fn counted(unit: &Unit<'_>, effects: &[Effects], leaders: &[bool]) -> (Vec<Keeps>, [usize; 2]) {
    let sites = sites(unit, effects, leaders);
    if sites.is_empty() {
        return (Vec::new(), [0; 2]);
    }
    let writes: Vec<RegSet> = unit
        .functions
        .iter()
        .map(|function| {
            let ops = &unit.ops[function.start as usize..function.end as usize];
            ops.iter().filter_map(|op| writes(*op)).fold(RegSet::EMPTY, RegSet::with).intersection(KEPT)
        })
        .collect();
    let calls = edges(unit, &sites, |site| (site.caller, site.callee));
    let callers = edges(unit, &sites, |site| (site.callee, site.caller));
    let mut work = [Worklist::new(&calls, true), Worklist::new(&callers, true)];
    let needed = needed(unit, &sites, &writes, &mut work[0]);
    let changed = changed(unit, &callers, &writes, &needed, &mut work[1]);
    let keeps = |function: usize| Keeps {
        saved: changed[function].intersection(needed[function]),
        lost: changed[function].difference(needed[function]),
    };
    ((0..unit.functions.len()).map(keeps).collect(), work.map(|work| work.steps()))
}

/// Calls as edges between functions.
fn edges(unit: &Unit<'_>, sites: &[Site], ends: impl Fn(&Site) -> (usize, usize) + Clone) -> Edges {
    Edges::of(unit.functions.len(), sites.iter().map(ends))
}

/// What each function changes itself and what those change that it calls. `callers` leads from functions to those that call them.
fn changed(unit: &Unit<'_>, callers: &Edges, writes: &[RegSet], needed: &[RegSet], work: &mut Worklist) -> Vec<RegSet> {
    let mut changed = writes.to_vec();
    while let Some(callee) = work.next() {
        let lost = changed[callee].difference(needed[callee]);
        let lost = if unit.has_bug(Bug::NothingAbove) { RegSet::EMPTY } else { lost };
        for caller in callers.from(callee) {
            let all = changed[caller].union(lost);
            if all != changed[caller] {
                changed[caller] = all;
                work.open(caller);
            }
        }
    }
    changed
}

/// Which registers each function must leave as they were.
fn needed(unit: &Unit<'_>, sites: &[Site], writes: &[RegSet], work: &mut Worklist) -> Vec<RegSet> {
    let mut needed: Vec<RegSet> =
        entered(unit).iter().map(|outside| if *outside { KEPT } else { RegSet::EMPTY }).collect();
    // Nobody here knows who calls a function that no function calls.
    let mut called = vec![false; needed.len()];
    sites.iter().for_each(|site| called[site.callee] = true);
    for (needed, _) in needed.iter_mut().zip(called).filter(|(_, called)| !called) {
        *needed = KEPT;
    }
    let of_callers = Edges::of(needed.len(), sites.iter().enumerate().map(|(at, site)| (site.caller, at)));
    while let Some(caller) = work.next() {
        // What the caller changes itself it saves, if somebody needs it.
        let above = needed[caller].difference(writes[caller]);
        let above = if unit.has_bug(Bug::NothingAbove) { RegSet::EMPTY } else { above };
        for site in of_callers.from(caller).map(|at| &sites[at]) {
            let all = needed[site.callee].union(site.needed).union(above);
            if all != needed[site.callee] {
                needed[site.callee] = all;
                work.open(site.callee);
            }
        }
    }
    needed
}

/// The functions that are entered from outside: the main one, and those whose token the program has. A number that looks like one does
/// no harm.
fn entered(unit: &Unit<'_>) -> Vec<bool> {
    let mut entered = vec![false; unit.functions.len()];
    let tokens = unit.ops.iter().filter_map(|op| match op {
        Op::LoadImm { value, .. } => Callback::from_token(*value).map(|callback| callback.0 as usize),
        _ => None,
    });
    for function in tokens.filter(|_| !unit.has_bug(Bug::CallbacksSaveNothing)).chain([0]) {
        if let Some(entered) = entered.get_mut(function) {
            *entered = true;
        }
    }
    entered
}

fn sites(unit: &Unit<'_>, effects: &[Effects], leaders: &[bool]) -> Vec<Site> {
    let mut sites = Vec::new();
    for (caller, function) in unit.functions.iter().enumerate() {
        let ops = &unit.ops[function.start as usize..function.end as usize];
        if !ops.iter().any(|op| matches!(op, Op::CallLocal { .. })) {
            continue;
        }
        for block in live::blocks(unit, effects, function, leaders) {
            let mut live = block.live_out;
            for at in block.range.rev() {
                if let Op::CallLocal { subprog } = unit.ops[at]
                    && usize::from(subprog) < unit.functions.len()
                {
                    let needed = if unit.has_bug(Bug::NothingNeeded) { RegSet::EMPTY } else { live.intersection(KEPT) };
                    sites.push(Site { caller, callee: subprog.into(), needed });
                }
                live = live.difference(effects[at].writes).union(effects[at].reads);
            }
        }
    }
    sites
}
