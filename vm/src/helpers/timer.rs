//! Timers and work queues: callbacks that run later, when the embedder says that it is time ([`crate::fire_timers`]).
//!
//! The field of the value has the number of the timer in its first word; a value that is given up forgets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_platform::Errno;
use ring3_platform::maps::FieldKind;

use super::helper;
use crate::env::{Callback, Env, ret};
use crate::link::{HelperFn, Linked};

/// Timers that an environment has at a time.
const MAX_TIMERS: usize = 1 << 16;
/// `CLOCK_REALTIME`, `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`.
const CLOCKS: [u64; 3] = [0, 1, 7];
/// `BPF_F_TIMER_ABS` and `BPF_F_TIMER_CPU_PIN`.
const ABSOLUTE: u64 = 1;
const START_FLAGS: u64 = 3;

/// A timer or the item of a work queue.
#[derive(Clone, Debug)]
pub(crate) struct Timer {
    /// Index of its map in the program.
    pub(crate) map: u32,
    /// Address of the field.
    pub(crate) field: u64,
    /// Address of the value.
    pub(crate) value: u64,
    /// What runs, of which program.
    pub(crate) callback: Option<(Callback, Arc<Linked>)>,
    /// When, on the host's clock, in nanoseconds.
    pub(crate) due: Option<u64>,
}

/// The timers of an environment, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    pub(crate) known: BTreeMap<u64, Timer>,
    last: u64,
}

/// The number in a field.
///
/// # Safety
///
/// `field` is one; or `env` knows the live memory.
unsafe fn number(env: &mut Env<'_>, field: u64) -> Option<u64> {
    // SAFETY: by the caller.
    let bytes = unsafe { env.mem(field, 8) }?;
    Some(u64::from_ne_bytes(*bytes.first_chunk()?))
}

/// # Safety
///
/// `field` is a field of a value of the map.
unsafe fn begin(env: &mut Env<'_>, field: u64, map: u64, kind: FieldKind) -> Option<Result<(), Errno>> {
    // SAFETY: by the caller.
    let (map, now) = unsafe { (env.map(map)?, number(env, field)?) };
    let objects = Arc::clone(env.objects());
    let mut timers = objects.timers.lock();
    if timers.known.contains_key(&now) {
        return Some(Err(Errno::EBUSY));
    }
    if timers.known.len() >= MAX_TIMERS {
        return Some(Err(Errno::ENOMEM));
    }
    let off = map.map.def().fields.find(kind).map_or(0, |field| field.off);
    timers.last += 1;
    let number = timers.last;
    let value = field.wrapping_sub(off.into());
    timers.known.insert(number, Timer { map: map.index, field, value, callback: None, due: None });
    // SAFETY: by the caller.
    unsafe { env.mem_mut(field, 8) }?.copy_from_slice(&number.to_ne_bytes());
    Some(Ok(()))
}

/// Does something with the timer of a field; `EINVAL` if it was not begun.
///
/// # Safety
///
/// As of `number`.
unsafe fn with<T>(
    env: &mut Env<'_>,
    field: u64,
    body: impl FnOnce(&mut Timer) -> Result<T, Errno>,
) -> Option<Result<T, Errno>> {
    // SAFETY: by the caller.
    let number = unsafe { number(env, field) }?;
    let mut timers = env.objects().timers.lock();
    let timer = timers.known.get_mut(&number).filter(|timer| timer.field == field);
    Some(timer.ok_or(Errno::EINVAL).and_then(body))
}

/// # Safety
///
/// As of `number`.
unsafe fn set(env: &mut Env<'_>, field: u64, callback: u64) -> Option<Result<(), Errno>> {
    let callback = Callback::from_token(callback).zip(env.linked.clone());
    // SAFETY: by the caller.
    unsafe {
        with(env, field, |timer| {
            timer.callback = callback;
            Ok(())
        })
    }
}

/// # Safety
///
/// As of `number`.
unsafe fn start(env: &mut Env<'_>, field: u64, due: u64) -> Option<Result<(), Errno>> {
    // SAFETY: by the caller.
    unsafe {
        with(env, field, |timer| {
            if timer.callback.is_none() {
                return Err(Errno::EINVAL);
            }
            timer.due = Some(due);
            Ok(())
        })
    }
}

helper! {
    /// `bpf_timer_init(timer, map, flags)`.
    init(env, field, map, flags) {
        if !CLOCKS.contains(&flags) {
            return Some(Errno::EINVAL.as_ret());
        }
        // SAFETY: by the caller, R1 is a timer in a value of R2.
        Some(ret(unsafe { begin(env, field, map, FieldKind::Timer) }?.map(|()| 0)))
    }
}

helper! {
    /// `bpf_timer_set_callback(timer, callback)`.
    set_callback(env, field, callback) {
        // SAFETY: by the caller, R1 is a timer.
        Some(ret(unsafe { set(env, field, callback) }?.map(|()| 0)))
    }
}

helper! {
    /// `bpf_timer_start(timer, nsecs, flags)`.
    start_timer(env, field, time, flags) {
        if flags & !START_FLAGS != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let now = if flags & ABSOLUTE != 0 { 0 } else { env.host.ktime_ns() };
        // SAFETY: by the caller, R1 is a timer.
        Some(ret(unsafe { start(env, field, now.saturating_add(time)) }?.map(|()| 0)))
    }
}

helper! {
    /// `bpf_timer_cancel(timer)`: 1 if it was running.
    cancel(env, field) {
        // SAFETY: by the caller, R1 is a timer.
        Some(ret(unsafe { with(env, field, |timer| Ok(timer.due.take().is_some().into())) }?))
    }
}

/// An `int` of a function of the kernel.
fn int(result: Result<(), Errno>) -> u64 {
    result.err().map_or(0, |errno| errno.as_ret() & u64::from(u32::MAX))
}

helper! {
    /// `bpf_wq_init(wq, map, flags)`.
    wq_init(env, field, map, flags) {
        if flags as u32 != 0 {
            return Some(int(Err(Errno::EINVAL)));
        }
        // SAFETY: by the caller, R1 is a work queue in a value of R2.
        Some(int(unsafe { begin(env, field, map, FieldKind::Workqueue) }?))
    }
}

helper! {
    /// `bpf_wq_set_callback_impl(wq, callback, flags, aux)`.
    wq_set(env, field, callback, flags) {
        if flags as u32 != 0 {
            return Some(int(Err(Errno::EINVAL)));
        }
        // SAFETY: by the caller, R1 is a work queue.
        Some(int(unsafe { set(env, field, callback) }?))
    }
}

helper! {
    /// `bpf_wq_start(wq, flags)`: as soon as anybody fires.
    wq_start(env, field, flags) {
        if flags as u32 != 0 {
            return Some(int(Err(Errno::EINVAL)));
        }
        // SAFETY: by the caller, R1 is a work queue.
        Some(int(unsafe { start(env, field, 0) }?))
    }
}

/// The functions of the kernel of this family.
pub(super) const KFUNCS: &[(&str, HelperFn)] =
    &[("bpf_wq_init", wq_init), ("bpf_wq_set_callback_impl", wq_set), ("bpf_wq_start", wq_start)];
