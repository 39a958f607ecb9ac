//! Functions of the kernel that make sense without one: iterators over numbers, and sections that nobody here waits for.
//! They are rows of a program's helper table, under numbers that no helper has.

use ring3_platform::{Errno, HelperId};

use super::helper;
use crate::env::Env;
use crate::link::HelperFn;

/// The number of the first one; helpers have numbers below.
const FIRST: u32 = 0xffff_0000;
/// Most rounds of an iterator (`BPF_MAX_LOOPS`).
const MAX_LOOPS: i64 = 8 << 20;
/// Bytes of `struct bpf_iter_num`: the number that it stands at, and the first one that it does not reach.
const ITER_NUM: u64 = 8;

/// All of them: name and function.
const KFUNCS: &[(&str, HelperFn)] = &[
    ("bpf_iter_num_new", num_new),
    ("bpf_iter_num_next", num_next),
    ("bpf_iter_num_destroy", num_destroy),
    ("bpf_rcu_read_lock", nothing),
    ("bpf_rcu_read_unlock", nothing),
    ("bpf_preempt_disable", nothing),
    ("bpf_preempt_enable", nothing),
    ("bpf_local_irq_save", nothing),
    ("bpf_local_irq_restore", nothing),
];

/// The number of the function with this name, if it is here.
pub fn number(name: &str) -> Option<HelperId> {
    let at = KFUNCS.iter().position(|(known, _)| *known == name)?;
    Some(HelperId(FIRST + u32::try_from(at).ok()?))
}

/// The function with this number.
pub fn by_number(number: u32) -> Option<HelperFn> {
    let at = usize::try_from(number.checked_sub(FIRST)?).ok()?;
    KFUNCS.get(at).map(|(_, function)| *function)
}

/// What an iterator over numbers holds.
struct Num {
    now: i32,
    end: i32,
}

impl Num {
    /// Nothing is left.
    const DONE: Num = Num { now: 0, end: 0 };

    fn bytes(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.now.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.end.to_ne_bytes());
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Num> {
        let (now, end) = (bytes.first_chunk()?, bytes.last_chunk()?);
        Some(Num { now: i32::from_ne_bytes(*now), end: i32::from_ne_bytes(*end) })
    }
}

/// # Safety
///
/// `iter` is an iterator over numbers; or `env` knows the live memory.
unsafe fn store(env: &mut Env<'_>, iter: u64, num: &Num) -> Option<()> {
    // SAFETY: by the caller.
    unsafe { env.mem_mut(iter, ITER_NUM) }?.copy_from_slice(&num.bytes());
    Some(())
}

helper! {
    /// `bpf_iter_num_new(it, start, end)`: 0, or what is wrong with the range; then it is empty. An `int` leaves the upper half
    /// of R0 empty.
    num_new(env, iter, start, end) {
        let (start, end) = (start as i32, end as i32);
        let wrong = match () {
            () if start > end => Some(Errno::EINVAL),
            () if i64::from(end) - i64::from(start) > MAX_LOOPS => Some(Errno::E2BIG),
            () => None,
        };
        let num = if wrong.is_some() { Num::DONE } else { Num { now: start.wrapping_sub(1), end } };
        // SAFETY: by the caller, R1 is 8 bytes of the stack.
        unsafe { store(env, iter, &num) }?;
        Some(wrong.map_or(0, |errno| errno.as_ret() & u64::from(u32::MAX)))
    }
}

helper! {
    /// `bpf_iter_num_next(it)`: the address of the next number, which is in the iterator itself, or null.
    num_next(env, iter) {
        // SAFETY: by the caller, R1 is an iterator over numbers.
        let num = Num::of(unsafe { env.mem(iter, ITER_NUM) }?)?;
        let next = num.now.wrapping_add(1);
        let more = next < num.end;
        let num = if more { Num { now: next, ..num } } else { Num::DONE };
        // SAFETY: as above.
        unsafe { store(env, iter, &num) }?;
        Some(if more { iter } else { 0 })
    }
}

helper! {
    /// `bpf_iter_num_destroy(it)`
    num_destroy(env, iter) {
        // SAFETY: by the caller, R1 is an iterator over numbers.
        unsafe { store(env, iter, &Num::DONE) }?;
        Some(0)
    }
}

helper! {
    /// Nothing runs beside a program that it could disturb.
    nothing(_env) {
        Some(0)
    }
}
