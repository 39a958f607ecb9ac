//! Functions of the kernel that make sense without one: iterators over numbers and bits, and sections that nobody here waits for.
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
    ("bpf_iter_bits_new", bits_new),
    ("bpf_iter_bits_next", bits_next),
    ("bpf_iter_bits_destroy", bits_destroy),
    ("bpf_iter_num_new", num_new),
    ("bpf_iter_num_next", num_next),
    ("bpf_iter_num_destroy", num_destroy),
    ("bpf_rcu_read_lock", nothing),
    ("bpf_rcu_read_unlock", nothing),
    ("bpf_preempt_disable", nothing),
    ("bpf_preempt_enable", nothing),
    ("bpf_local_irq_save", nothing),
    ("bpf_local_irq_restore", nothing),
    ("bpf_rdonly_cast", same),
    ("bpf_cast_to_kern_ctx", same),
    ("bpf_arena_alloc_pages", arena_alloc),
    ("bpf_arena_free_pages", arena_free),
    (NOTE_THROW, note_throw),
    (THREW, threw),
    (TAKE_THROWN, take_thrown),
    (KEPT_RESULT, kept_result),
];

/// Notes that the program throws R1.
pub const NOTE_THROW: &str = "(throw)";
/// Whether it does; keeps R1 meanwhile.
pub const THREW: &str = "(threw?)";
/// What it threw, which is caught now.
pub const TAKE_THROWN: &str = "(thrown)";
/// What `THREW` kept.
pub const KEPT_RESULT: &str = "(result)";

/// All of them, those of other files too; the order decides their numbers.
fn all() -> impl Iterator<Item = &'static (&'static str, HelperFn)> {
    KFUNCS
        .iter()
        .chain(super::dynptr::KFUNCS)
        .chain(super::strings::KFUNCS)
        .chain(super::storage::KFUNCS)
        .chain(super::timer::KFUNCS)
        .chain(super::graph::KFUNCS)
}

/// Whether a function gives or takes addresses of objects, of which a proof says more than this machine keeps.
pub fn is_about_objects(name: &str) -> bool {
    let casts = ["bpf_rdonly_cast", "bpf_cast_to_kern_ctx"];
    let objects = super::storage::KFUNCS.iter().chain(super::graph::KFUNCS);
    casts.contains(&name) || objects.into_iter().any(|(known, _)| *known == name)
}

/// The number of the function with this name, if it is here.
pub fn number(name: &str) -> Option<HelperId> {
    let at = all().position(|(known, _)| *known == name)?;
    Some(HelperId(FIRST + u32::try_from(at).ok()?))
}

/// The function with this number.
pub fn by_number(number: u32) -> Option<HelperFn> {
    let at = usize::try_from(number.checked_sub(FIRST)?).ok()?;
    all().nth(at).map(|(_, function)| *function)
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

/// Most words of a set of bits (`BITS_ITER_NR_WORDS_MAX`).
const MAX_WORDS: u32 = 511;
/// Bytes of `struct bpf_iter_bits`: one word of bits or the number of more, how many bits there are, and where it stands.
const ITER_BITS: u64 = 16;
/// Of that, where it stands.
const BIT: u64 = 12;

/// What an iterator over bits holds.
struct Bits {
    word: u64,
    count: u32,
    bit: i32,
}

impl Bits {
    /// # Safety
    ///
    /// `iter` is an iterator over bits; or `env` knows the live memory.
    unsafe fn load(env: &mut Env<'_>, iter: u64) -> Option<Bits> {
        // SAFETY: by the caller.
        let bytes = unsafe { env.mem(iter, ITER_BITS) }?;
        let (word, rest) = bytes.split_first_chunk()?;
        let (count, bit) = (rest.first_chunk()?, rest.last_chunk()?);
        Some(Bits { word: u64::from_ne_bytes(*word), count: u32::from_ne_bytes(*count), bit: i32::from_ne_bytes(*bit) })
    }

    /// # Safety
    ///
    /// As of `load`.
    unsafe fn store(&self, env: &mut Env<'_>, iter: u64) -> Option<()> {
        // SAFETY: by the caller.
        let bytes = unsafe { env.mem_mut(iter, ITER_BITS) }?;
        bytes[..8].copy_from_slice(&self.word.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_ne_bytes());
        bytes[12..].copy_from_slice(&self.bit.to_ne_bytes());
        Some(())
    }

    /// The next bit that is set.
    fn next(&self, more: Option<&[u64]>) -> Option<i32> {
        let first = u32::try_from(i64::from(self.bit) + 1).ok()?;
        let one = [self.word];
        let words = if self.count <= u64::BITS { &one[..] } else { more? };
        let is_set = |bit: &u32| {
            let word = words.get((bit / u64::BITS) as usize);
            word.is_some_and(|word| word >> (bit % u64::BITS) & 1 != 0)
        };
        (first..self.count).find(is_set).and_then(|bit| i32::try_from(bit).ok())
    }
}

/// The words at an address that nobody vouches for.
fn words(env: &Env<'_>, addr: u64, count: usize) -> Option<Box<[u64]>> {
    let mut bytes = vec![0; count * 8];
    if !env.known_bytes(addr, &mut bytes) {
        return None;
    }
    Some(bytes.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(*word.first_chunk()?))).collect())
}

helper! {
    /// `bpf_iter_bits_new(it, words, nr_words)`: 0, or why the iterator is empty.
    bits_new(env, iter, addr, count) {
        let count = count as u32;
        let set = match () {
            () if addr == 0 || count == 0 => Err(Errno::EINVAL),
            () if count > MAX_WORDS => Err(Errno::E2BIG),
            () => words(env, addr, count as usize).ok_or(Errno::EFAULT),
        };
        let kept = set.and_then(|words| match *words {
            [word] => Ok(word),
            _ => env.keep_bits(words).ok_or(Errno::ENOMEM),
        });
        let (word, count) = kept.map_or((0, 0), |word| (word, count * u64::BITS));
        // SAFETY: by the caller, R1 is 16 bytes of the stack.
        unsafe { Bits { word, count, bit: -1 }.store(env, iter) }?;
        Some(kept.err().map_or(0, |errno| errno.as_ret() & u64::from(u32::MAX)))
    }
}

helper! {
    /// `bpf_iter_bits_next(it)`: the address of the number of the next bit, which is in the iterator itself, or null.
    bits_next(env, iter) {
        // SAFETY: by the caller, R1 is an iterator over bits.
        let bits = unsafe { Bits::load(env, iter) }?;
        let next = bits.next(env.kept_bits(bits.word));
        let bit = next.unwrap_or(bits.count as i32);
        // SAFETY: as above.
        unsafe { Bits { bit, ..bits }.store(env, iter) }?;
        Some(next.map_or(0, |_| iter + BIT))
    }
}

helper! {
    /// `bpf_iter_bits_destroy(it)`
    bits_destroy(env, iter) {
        // SAFETY: by the caller, R1 is an iterator over bits.
        let bits = unsafe { Bits::load(env, iter) }?;
        if bits.count > u64::BITS {
            env.drop_bits(bits.word);
        }
        Some(0)
    }
}

helper! {
    /// Nothing runs beside a program that it could disturb.
    nothing(_env) {
        Some(0)
    }
}

helper! {
    /// What is only known by another type.
    same(_env, value) {
        Some(value)
    }
}

helper! {
    note_throw(env, cookie) {
        env.unwinding.thrown = Some(cookie);
        Some(0)
    }
}

helper! {
    threw(env, result) {
        env.unwinding.result = result;
        Some(u64::from(env.unwinding.thrown.is_some()))
    }
}

helper! {
    take_thrown(env) {
        env.unwinding.thrown.take()
    }
}

helper! {
    kept_result(env) {
        Some(env.unwinding.result)
    }
}

helper! {
    /// `bpf_arena_alloc_pages(map, addr, page_cnt, node_id, flags)`: the address in user space, or 0.
    arena_alloc(env, map, addr, count, _node, flags) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        if flags != 0 {
            return Some(0);
        }
        Some(map.map.alloc_pages(addr, count as u32).unwrap_or(0))
    }
}

helper! {
    /// `bpf_arena_free_pages(map, ptr, page_cnt)`
    arena_free(env, map, addr, count) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        if addr != 0 && count as u32 != 0 {
            map.map.free_pages(addr, count as u32);
        }
        Some(0)
    }
}
