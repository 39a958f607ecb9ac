//! The helpers of Linux: a file per family.
//!
//! A helper takes R1 to R5 as numbers and the environment. What a verified program passes is what the prototype says; what any
//! other program passes is checked by the ways to memory, maps and the context that the environment offers, which set a
//! trap. Helpers then return at once, with whatever number: the run is over.

use crate::link::HelperFn;

mod map;
mod sys;

use ring3_platform::helpers::id;

/// The function of a helper; `None` if it is not there.
pub fn builtin(number: u32) -> Option<HelperFn> {
    Some(match number {
        id::MAP_LOOKUP_ELEM => map::lookup,
        id::MAP_UPDATE_ELEM => map::update,
        id::MAP_DELETE_ELEM => map::delete,
        id::MAP_PUSH_ELEM => map::push,
        id::MAP_POP_ELEM => map::pop,
        id::MAP_PEEK_ELEM => map::peek,
        id::MAP_LOOKUP_PERCPU_ELEM => map::lookup_percpu,
        id::FOR_EACH_MAP_ELEM => map::for_each,
        id::LOOP => sys::bpf_loop,
        id::KTIME_GET_NS => sys::ktime_ns,
        id::KTIME_GET_COARSE_NS => sys::ktime_coarse_ns,
        id::KTIME_GET_BOOT_NS => sys::ktime_boot_ns,
        id::KTIME_GET_TAI_NS => sys::ktime_tai_ns,
        id::JIFFIES64 => sys::jiffies64,
        id::GET_PRANDOM_U32 => sys::prandom_u32,
        id::GET_SMP_PROCESSOR_ID => sys::processor_id,
        id::GET_NUMA_NODE_ID => sys::numa_node,
        id::GET_CURRENT_PID_TGID => sys::pid_tgid,
        id::GET_CURRENT_UID_GID => sys::uid_gid,
        id::GET_CURRENT_COMM => sys::comm,
        _ => return None,
    })
}

/// R0 of a helper; any number where it set a trap.
#[inline(always)]
fn finish(body: impl FnOnce() -> Option<u64>) -> u64 {
    body().unwrap_or(0)
}

/// A helper, from a body that says `None` after it set a trap.
macro_rules! helper {
    ($(#[$doc:meta])* $name:ident($env:ident $(, $arg:pat)*) $body:block) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As of [`HelperFn`](crate::link::HelperFn).
        pub(super) unsafe extern "C" fn $name(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, $env: &mut Env<'_>) -> u64 {
            let [$($arg,)* ..] = [r1, r2, r3, r4, r5];
            $crate::helpers::finish(|| $body)
        }
    };
}
use helper;
