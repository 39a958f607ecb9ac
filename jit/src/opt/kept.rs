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
    let sites = sites(unit, effects, leaders);
    if sites.is_empty() {
        return Vec::new();
    }
    let writes: Vec<RegSet> = unit
        .functions
        .iter()
        .map(|function| {
            let ops = &unit.ops[function.start as usize..function.end as usize];
            ops.iter().filter_map(|op| writes(*op)).fold(RegSet::EMPTY, RegSet::with).intersection(KEPT)
        })
        .collect();
    let needed = needed(unit, &sites, &writes);
    // What a function changes itself and what those change that it calls.
    let mut changed = writes.clone();
    let mut again = true;
    while again {
        again = false;
        for site in &sites {
            let lost = changed[site.callee].difference(needed[site.callee]);
            let lost = if unit.has_bug(Bug::NothingAbove) { RegSet::EMPTY } else { lost };
            let all = changed[site.caller].union(lost);
            again |= all != changed[site.caller];
            changed[site.caller] = all;
        }
    }
    let keeps = |function: usize| Keeps {
        saved: changed[function].intersection(needed[function]),
        lost: changed[function].difference(needed[function]),
    };
    (0..unit.functions.len()).map(keeps).collect()
}

/// Which registers each function must leave as they were.
fn needed(unit: &Unit<'_>, sites: &[Site], writes: &[RegSet]) -> Vec<RegSet> {
    let mut needed: Vec<RegSet> =
        entered(unit).iter().map(|outside| if *outside { KEPT } else { RegSet::EMPTY }).collect();
    // Nobody here knows who calls a function that no function calls.
    let called = |function: usize| sites.iter().any(|site| site.callee == function);
    for (_, needed) in needed.iter_mut().enumerate().filter(|(function, _)| !called(*function)) {
        *needed = KEPT;
    }
    let mut again = true;
    while again {
        again = false;
        for site in sites {
            // What the caller changes itself it saves, if somebody needs it.
            let above = needed[site.caller].difference(writes[site.caller]);
            let above = if unit.has_bug(Bug::NothingAbove) { RegSet::EMPTY } else { above };
            let all = needed[site.callee].union(site.needed).union(above);
            again |= all != needed[site.callee];
            needed[site.callee] = all;
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
