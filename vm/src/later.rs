//! Running what timers and work queues put off.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::env::{Callback, Env};
use crate::epoch::RUNS;
use crate::error::RunError;
use crate::exec::Execute;
use crate::regions::RegionKind;

/// Callbacks that one call runs, at most: some start their timer again, and are due at once.
pub const MAX_FIRED: usize = 1 << 16;

/// Runs the callbacks of this program's timers and work queues that are due by `now` (nanoseconds of the host's clock), the earliest
/// first, and gives how many ran. A timer whose value is gone is forgotten.
///
/// Errors: the trap of a callback, after which the others are still due.
pub fn fire_timers(program: &dyn Execute, env: &mut Env<'_>, now: u64) -> Result<usize, RunError> {
    fire(program, env, now, |_, _| {})
}

/// Lets so much time pass, in nanoseconds: moves the host's clock ([`Host::advance_to`](crate::Host::advance_to)) from one time that
/// something of this program is due to the next and runs it there, so that what starts its timer again fires again within that time. At
/// most [`MAX_FIRED`] callbacks run. Gives how many did.
///
/// Errors: the trap of a callback, at whose time the clock then is.
pub fn advance(program: &dyn Execute, env: &mut Env<'_>, by: u64) -> Result<usize, RunError> {
    let end = env.host.ktime_ns().saturating_add(by);
    let fired = fire(program, env, end, |env, due| env.host.advance_to(due))?;
    env.host.advance_to(end);
    Ok(fired)
}

/// Runs what is due by `end`, the earliest first, after `at` was told when each is due.
fn fire(
    program: &dyn Execute,
    env: &mut Env<'_>,
    end: u64,
    mut at: impl FnMut(&mut Env<'_>, u64),
) -> Result<usize, RunError> {
    let mut fired = 0;
    while fired < MAX_FIRED {
        let linked = program.linked();
        let of_program = |timer: &crate::helpers::Timer| {
            let (callback, known) = timer.callback.as_ref()?;
            (Arc::ptr_eq(known, linked) && timer.due? <= end).then_some((timer.due?, *callback))
        };
        let timers = env.objects().timers.lock();
        let due = timers.known.iter().filter_map(|(number, timer)| Some((of_program(timer)?, *number)));
        let Some(((due, callback), number)) = due.min_by_key(|((due, _), number)| (*due, *number)) else { break };
        drop(timers);
        at(env, due);
        if one(program, env, number, callback)? {
            fired += 1;
        }
    }
    Ok(fired)
}

/// Runs one; false if its value is gone.
fn one(program: &dyn Execute, env: &mut Env<'_>, number: u64, callback: Callback) -> Result<bool, RunError> {
    let linked = Arc::clone(program.linked());
    let (map, field, value) = {
        let mut timers = env.objects().timers.lock();
        let Some(timer) = timers.known.get_mut(&number) else { return Ok(false) };
        timer.due = None;
        (timer.map, timer.field, timer.value)
    };
    let Some(handle) = linked.maps().get(map as usize) else { return Ok(false) };
    // The key of the value, which is only known by looking at all.
    let (mut key, size) = (None, handle.map.def().key_size as usize);
    let _ = handle.map.for_each(0, &mut |at, found| {
        if found.as_ptr() as u64 != value {
            return ControlFlow::Continue(());
        }
        // SAFETY: `for_each` gives keys of the definition's size.
        key = Some(unsafe { std::slice::from_raw_parts(at.as_ptr(), size) }.to_vec());
        ControlFlow::Break(())
    });
    let holds = handle.map.holds(field, 8);
    // SAFETY: memory of the map, which stays as long as the map, and of which all make words that are read whole.
    let stays = holds && unsafe { (field as *const u64).read_unaligned() } == number;
    let Some(mut key) = key.filter(|_| stays) else {
        env.objects().timers.lock().known.remove(&number);
        return Ok(false);
    };
    env.ctx.refresh();
    env.start();
    let here = 0u8;
    env.stack_start = &raw const here as u64;
    let _pin = linked.waits().then(|| RUNS.begin());
    key.resize(size.next_multiple_of(8).max(8), 0);
    let at = key.as_ptr().expose_provenance() as u64;
    env.given_key = Some((at, size as u64));
    let args = [std::ptr::from_ref(handle) as u64, at, value, 0, 0];
    let readable =
        [(at, size as u64, RegionKind::MapKey), (value, handle.map.def().value_size.into(), RegionKind::MapValue)];
    // SAFETY: a map, a key and a value of it, as the verifier assumes of such callbacks.
    unsafe { program.execute_callback(env, callback, args, &readable) };
    env.end();
    match env.take_trap() {
        Some(trap) => Err(trap.into()),
        None => Ok(true),
    }
}
