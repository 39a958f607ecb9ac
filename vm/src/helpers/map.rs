//! Helpers on maps that have elements.

use std::ops::ControlFlow;

use ring3_platform::{Errno, MapType};

use super::helper;
use crate::env::{Env, ret};
use crate::link::MapHandle;
use crate::maps::DirectCalls;
use crate::regions::RegionKind;

/// Longest key or value whose copy needs no allocation.
const SMALL: usize = 64;

/// A copy of a key or value, since the original may be in a map that changes meanwhile.
struct Copied {
    small: [u8; SMALL],
    large: Vec<u8>,
    len: usize,
}

impl Copied {
    #[inline(always)]
    fn of(bytes: &[u8]) -> Copied {
        let mut copied = Copied { small: [0; SMALL], large: Vec::new(), len: bytes.len() };
        // Most keys have one of few sizes, whose copies need no call.
        match bytes.len() {
            4 => copied.small[..4].copy_from_slice(bytes),
            8 => copied.small[..8].copy_from_slice(bytes),
            16 => copied.small[..16].copy_from_slice(bytes),
            len if len <= SMALL => copied.small[..len].copy_from_slice(bytes),
            _ => copied.large = bytes.to_vec(),
        }
        copied
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        if self.len <= SMALL { &self.small[..self.len] } else { &self.large }
    }
}

/// The map of a handle and a copy of the key at an address.
///
/// # Safety
///
/// As of `Env::map` and `Env::mem`.
#[inline(always)]
unsafe fn map_and_key<'m>(env: &mut Env<'_>, handle: u64, key: u64) -> Option<(&'m MapHandle, Copied)> {
    // SAFETY: passed on; the key of a map has the size of its definition.
    unsafe {
        let map = env.map(handle)?;
        let key = env.mem(key, map.key_size.into())?;
        Some((map, Copied::of(key)))
    }
}

/// The calls of a map for a program that was verified: what it passes needs no look.
///
/// # Safety
///
/// As of `Env::map`.
#[inline(always)]
unsafe fn direct(env: &Env<'_>, handle: u64) -> Option<DirectCalls> {
    if env.regions.is_some() || env.is_wary() {
        return None;
    }
    // SAFETY: the program was verified, and by the caller this is the address of a handle then.
    unsafe { (*(handle as *const MapHandle)).direct }
}

/// Announces a value to the checks of unverified programs and gives its address.
#[inline]
fn give_value(env: &mut Env<'_>, map: &MapHandle, value: Option<std::ptr::NonNull<u8>>) -> u64 {
    let Some(value) = value else { return 0 };
    let addr = value.as_ptr() as u64;
    // What a map of maps gives is the address of a handle, which is not for programs to look into.
    if env.regions.is_none() || map.map.def().kind.is_map_of_maps() {
        return addr;
    }
    env.publish(addr, map.map.def().value_size.into(), RegionKind::of_values(map.map.def()));
    addr
}

helper! {
    /// `bpf_map_lookup_elem(map, key)`: address of the value or 0.
    lookup(env, map, key) {
        // SAFETY: by the caller, R1 is a map and R2 a key of it.
        if let Some(calls) = unsafe { direct(env, map) } {
            // SAFETY: so is it here.
            return Some(unsafe { (calls.lookup)(calls.map, key as *const u8, env.cpu) } as u64);
        }
        // SAFETY: as above.
        let (map, key) = unsafe { map_and_key(env, map, key) }?;
        let value = map.map.lookup_ptr(key.bytes(), env.cpu);
        Some(give_value(env, map, value))
    }
}

helper! {
    /// `bpf_map_lookup_percpu_elem(map, key, cpu)`: address of the value of that CPU or 0.
    lookup_percpu(env, map, key, cpu) {
        // SAFETY: by the caller, R1 is a map and R2 a key of it.
        let (map, key) = unsafe { map_and_key(env, map, key) }?;
        let value = map.map.lookup_ptr(key.bytes(), cpu as u32);
        Some(give_value(env, map, value))
    }
}

helper! {
    /// `bpf_map_update_elem(map, key, value, flags)`.
    update(env, map, key, value, flags) {
        // SAFETY: by the caller, R1 is a map and R2 a key of it.
        if let Some(calls) = unsafe { direct(env, map) } {
            // SAFETY: so is it here; R3 is a value of the map.
            let call = |cpu| unsafe { (calls.update)(calls.map, key as *const u8, value as *const u8, flags, cpu) };
            return Some(call(env.cpu));
        }
        // SAFETY: as above.
        let (map, key) = unsafe { map_and_key(env, map, key) }?;
        // SAFETY: by the caller, R3 is a value of the map.
        let value = Copied::of(unsafe { env.mem(value, map.map.def().value_size.into()) }?);
        Some(ret(map.map.update(key.bytes(), value.bytes(), flags, env.cpu).map(|()| 0)))
    }
}

helper! {
    /// `bpf_map_delete_elem(map, key)`.
    delete(env, map, key) {
        // SAFETY: by the caller, R1 is a map and R2 a key of it.
        if let Some(calls) = unsafe { direct(env, map) } {
            // SAFETY: so is it here.
            return Some(unsafe { (calls.delete)(calls.map, key as *const u8) });
        }
        // SAFETY: as above.
        let (map, key) = unsafe { map_and_key(env, map, key) }?;
        Some(ret(map.map.delete(key.bytes()).map(|()| 0)))
    }
}

helper! {
    /// `bpf_map_push_elem(map, value, flags)`.
    push(env, map, value, flags) {
        // SAFETY: by the caller, R1 is a map and R2 a value of it.
        let (map, value) = unsafe {
            let map = env.map(map)?;
            (map, Copied::of(env.mem(value, map.map.def().value_size.into())?))
        };
        Some(ret(map.map.push(value.bytes(), flags).map(|()| 0)))
    }
}

/// Writes what a queue or a stack gave; zeroes where it gave an error, as Linux does.
///
/// # Safety
///
/// R2 is memory for a value of the map.
unsafe fn hand_out(env: &mut Env<'_>, map: &MapHandle, value: u64, given: Result<Vec<u8>, Errno>) -> Option<u64> {
    // SAFETY: by the caller.
    let out = unsafe { env.mem_mut(value, map.map.def().value_size.into()) }?;
    out.fill(0);
    Some(ret(given.map(|bytes| {
        let len = bytes.len().min(out.len());
        out[..len].copy_from_slice(&bytes[..len]);
        0
    })))
}

helper! {
    /// `bpf_map_pop_elem(map, value)`.
    pop(env, map, value) {
        // SAFETY: by the caller, R1 is a map and R2 memory for a value.
        unsafe {
            let map = env.map(map)?;
            env.mem_mut(value, map.map.def().value_size.into())?;
            hand_out(env, map, value, map.map.pop())
        }
    }
}

helper! {
    /// `bpf_map_peek_elem(map, value)`: of a bloom filter whether it has the value.
    peek(env, map, value) {
        // SAFETY: by the caller, R1 is a map and R2 memory for a value, or with a value if the map is a bloom filter.
        unsafe {
            let map = env.map(map)?;
            if map.map.def().kind == MapType::BloomFilter {
                let value = Copied::of(env.mem(value, map.map.def().value_size.into())?);
                return Some(ret(map.map.contains(value.bytes()).map(|()| 0)));
            }
            hand_out(env, map, value, map.map.peek())
        }
    }
}

helper! {
    /// `bpf_for_each_map_elem(map, callback, ctx, flags)`: how many elements were visited. A callback that returns 1 is the last.
    for_each(env, handle, callback, ctx, flags) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(handle) }?;
        if flags != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let (key_size, value_size) = (map.map.def().key_size.into(), map.map.def().value_size.into());
        let (cpu, kind) = (env.cpu, RegionKind::of_values(map.map.def()));
        let visited = map.map.for_each(cpu, &mut |key, value| {
            let (key, value) = (key.as_ptr() as u64, value.as_ptr() as u64);
            env.publish(value, value_size, kind);
            env.publish(key, key_size, RegionKind::MapKey);
            // SAFETY: the verifier assumes a map, a key and a value of it, and what the program passed as R3.
            let stop = unsafe { env.call_subprog(callback, [handle, key, value, ctx, 0]) };
            env.retract(key);
            if stop != 0 || env.trapped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Some(ret(visited))
    }
}
