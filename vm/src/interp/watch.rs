//! The checked interpreter beside the verifier's states: an engine for verified programs that shows every moment of a run to
//! `ring3_verifier::follow`, and stops with a trap where the run is outside of all states that the rules have there.
//!
//! Every cell gets the same handler, which looks and then goes on with the cell's own. Other engines pay nothing for it.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use ring3_verifier::follow::{Checked as Compared, Follower, Moment, Object, Plan, Violation};
use ring3_verifier::{Rejection, VerifiedProgram};

use super::cell::{Cell, handler};
use super::dispatch::{Flow, Handler};
use super::machine::{Machine, Stack};
use super::memory::Checked;
use super::{Code, Interp, MAX_FRAMES};
use crate::env::{Callback, Env, TrapKind};
use crate::error::LinkError;
use crate::exec::Execute;
use crate::link::{Helpers, Linked, MapHandle, link_checked, link_loosely};
use crate::maps::Map;
use crate::regions::RegionKind;

/// Violations that a report keeps.
const MAX_VIOLATIONS: usize = 16;

/// What the runs of a program showed.
#[derive(Clone, Debug, Default)]
pub struct StateReport {
    /// Runs.
    pub runs: u64,
    /// What was compared, and what could not be.
    pub checked: Compared,
    /// Where runs and states disagree.
    pub violations: Vec<Violation>,
}

/// A verified program whose runs are compared with the verifier's states.
#[derive(Debug)]
pub struct Watched {
    interp: Interp,
    /// The cells' own handlers.
    handlers: Box<[Handler]>,
    plan: Plan,
    report: Mutex<StateReport>,
}

/// Why a program cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It cannot be linked.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The verifier does not accept its structure any more.
    #[error(transparent)]
    Structure(#[from] Box<Rejection>),
}

impl Watched {
    /// Links a verified program with maps and helpers as `link_unverified` does.
    pub fn new(proof: Arc<VerifiedProgram>, maps: &[Arc<dyn Map>], helpers: &Helpers) -> Result<Watched, WatchError> {
        let linked = link_checked(&proof, maps, helpers)?;
        Watched::of(proof, linked)
    }

    /// The same where maps and helpers need not be what the program asks for, as long as it runs: see
    /// [`maps::Nothing`](crate::maps::Nothing) and [`Env::stand_in_for_kernel`]. A wrong result of a helper can then look like a
    /// mistake of the verifier.
    pub fn loosely(
        proof: Arc<VerifiedProgram>,
        maps: &[Arc<dyn Map>],
        helpers: &Helpers,
    ) -> Result<Watched, WatchError> {
        let linked = link_loosely(&proof, maps, helpers)?;
        Watched::of(proof, linked)
    }

    fn of(proof: Arc<VerifiedProgram>, linked: Linked) -> Result<Watched, WatchError> {
        let mut interp = Interp::new(Arc::new(linked));
        let handlers = interp.cells.iter().map(|cell| cell.run).collect();
        // What is behind the last operation has no slot.
        let ops = interp.linked.ops().len();
        for cell in interp.cells.iter_mut().take(ops) {
            cell.run = watch;
        }
        Ok(Watched { interp, handlers, plan: Plan::new(proof)?, report: Mutex::default() })
    }

    /// What the runs showed so far.
    pub fn report(&self) -> StateReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Who sees every moment, and whether the run may go on.
pub(super) trait Watch {
    fn handler(&self, cell: usize) -> Option<Handler>;
    fn before(&self, machine: &Machine<'_, '_>, slot: u32) -> bool;
}

struct Watcher<'a, 'w, 'p> {
    handlers: &'a [Handler],
    /// Address of the context.
    ctx: u64,
    follower: RefCell<&'a mut Follower<'w, 'p>>,
    violation: RefCell<Option<Violation>>,
}

impl Watch for Watcher<'_, '_, '_> {
    fn handler(&self, cell: usize) -> Option<Handler> {
        self.handlers.get(cell).copied()
    }

    fn before(&self, machine: &Machine<'_, '_>, slot: u32) -> bool {
        let now = Now { slot: slot as usize, ctx: self.ctx, machine };
        match self.follower.borrow_mut().before(&now) {
            Ok(()) => true,
            Err(violation) => {
                self.violation.borrow_mut().get_or_insert(violation);
                false
            }
        }
    }
}

// SAFETY: as of `Interp`, of which this is one whose handlers look first and change nothing.
unsafe impl Execute for Watched {
    fn linked(&self) -> &Arc<Linked> {
        &self.interp.linked
    }

    unsafe fn execute(&self, env: &mut Env<'_>, ctx: u64) -> u64 {
        let ((r0, violation), checked) = self.plan.follow(|follower| {
            let (follower, violation) = (RefCell::new(follower), RefCell::new(None));
            let watcher = Watcher { handlers: &self.handlers, ctx, follower, violation };
            let code = Code { interp: &self.interp, cells: &self.interp.cells, watch: Some(&watcher) };
            // SAFETY: memory is checked, and the cells are those of the program.
            let r0 = unsafe { self.interp.start_code::<Checked>(code, env, super::Entry::main(ctx)) };
            (r0, watcher.violation.into_inner())
        });
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.runs += 1;
        report.checked.add(&checked);
        if report.violations.len() < MAX_VIOLATIONS {
            report.violations.extend(violation);
        }
        r0
    }
}

handler! {
    /// Looks, and goes on with the cell's own handler.
    fn watch[](pc, _cell, machine, hot) {
        let [a, b, c, d] = hot;
        match look(pc, machine, a, b, c, d) {
            // SAFETY: the handler of this cell; the hot registers are as they were.
            Ok(own) => unsafe { own(pc, machine, a, b, c, d) },
            Err(flow) => flow,
        }
    }
}

/// The cell's own handler, if the run may go on. The hot registers come one by one: an array would lie on the native stack, and
/// then the handler could not end by jumping to the next.
#[inline(never)]
fn look(pc: *const Cell, machine: &mut Machine<'_, '_>, a: u64, b: u64, c: u64, d: u64) -> Result<Handler, Flow> {
    machine.spill(&[a, b, c, d]);
    let index = (pc as usize).wrapping_sub(machine.code.cells.as_ptr() as usize) / size_of::<Cell>();
    let slot = machine.linked.slots().get(index).copied();
    let own = machine.code.watch.and_then(|watch| watch.handler(index));
    let (Some(slot), Some(own), Some(watch)) = (slot, own, machine.code.watch) else {
        return Err(machine.trap::<Checked>(pc, TrapKind::FellOff));
    };
    // Of an instruction that became several operations the state is that before the first. A jump to the very first instruction leads
    // behind what sets registers for it, and is not looked at there.
    let goes_on = index > 0 && machine.linked.slots().get(index - 1) == Some(&slot);
    if goes_on || watch.before(machine, slot) {
        Ok(own)
    } else {
        Err(machine.trap::<Checked>(pc, TrapKind::OutsideStates))
    }
}

/// A moment of a run.
struct Now<'a, 'm, 'h> {
    slot: usize,
    ctx: u64,
    machine: &'a Machine<'m, 'h>,
}

impl Now<'_, '_, '_> {
    fn map(&self, index: u32) -> Option<&MapHandle> {
        self.machine.linked.maps().get(index as usize)
    }

    fn any(&self, test: &mut dyn FnMut(RegionKind, u64, u64) -> bool) -> bool {
        let regions = self.machine.env.regions.as_ref();
        regions.is_some_and(|regions| regions.iter().any(|region| test(region.kind, region.start, region.len)))
    }
}

impl Moment for Now<'_, '_, '_> {
    fn slot(&self) -> usize {
        self.slot
    }

    fn depth(&self) -> usize {
        self.machine.depth as usize
    }

    fn reg(&self, number: usize) -> u64 {
        self.machine.regs[number & 15]
    }

    fn frame_top(&self, depth: usize) -> u64 {
        self.machine.stack.top(u32::try_from(depth).unwrap_or(u32::MAX))
    }

    fn stack(&self, depth: usize, slot: usize) -> Option<[u8; 8]> {
        let frame = super::FRAME_BYTES as usize;
        let below = 8 * (slot + 1);
        if depth >= MAX_FRAMES || depth > self.machine.depth as usize || below > frame {
            return None;
        }
        Some(read_stack(&self.machine.stack, (depth + 1) * frame - below))
    }

    fn any_piece(&self, object: Object, test: &mut dyn FnMut(u64, u64) -> bool) -> bool {
        let packet = self.machine.env.ctx.packet();
        match object {
            Object::Ctx => test(self.ctx, 0),
            Object::MapValue(index) => self.map(index).is_some_and(|handle| {
                self.any(&mut |kind, start, len| {
                    matches!(kind, RegionKind::MapValue | RegionKind::MapConst)
                        && handle.map.holds(start, 1)
                        && test(start, len)
                })
            }),
            Object::MapKey(_) => self.any(&mut |kind, start, len| kind == RegionKind::MapKey && test(start, len)),
            Object::Packet => packet.is_some_and(|p| test(p.data_addr(), p.end_addr() - p.data_addr())),
            Object::PacketMeta => packet.is_some_and(|p| test(p.meta_addr(), p.end_addr() - p.meta_addr())),
            Object::Memory => self.any(&mut |kind, start, len| kind != RegionKind::Ctx && test(start, len)),
        }
    }

    fn map_of(&self, handle: u64) -> Option<u32> {
        self.machine.linked.map_of_handle(handle).map(|handle| handle.index)
    }

    fn function_of(&self, value: u64) -> Option<u32> {
        let callback = Callback::from_token(value)?;
        self.machine.linked.has_subprog(callback.0).then_some(callback.0)
    }
}

/// Eight bytes of the frames of a run, which begin `at` bytes from their start.
fn read_stack(stack: &Stack<'_>, at: usize) -> [u8; 8] {
    // SAFETY: the caller asks for whole slots of frames in use, of which each was set to zeroes when it began.
    unsafe { stack.start.add(at).cast::<[u8; 8]>().read_unaligned() }
}
