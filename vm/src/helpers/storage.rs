//! Helpers of what maps keep beside plain values: locks, pointers to objects, storage of sockets and tasks, sockets themselves, stacks,
//! samples of user space; and objects that programs make.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ring3_btf::TypeId;
use ring3_platform::Errno;

use super::{dynptr, helper};
use crate::env::{Env, ret};
use crate::link::{HelperFn, MapHandle};
use crate::regions::RegionKind;

/// How often a run of a program that nobody verified looks for a lock to become free.
const MAX_WAIT: u32 = 1 << 20;

/// Flags of `bpf_get_stackid`: frames to leave out, whose stack, and what to do where there is one.
const SKIP: u64 = 0xff;
const USER: u64 = 1 << 8;
const STACK_FLAGS: u64 = SKIP | USER | 1 << 9 | 1 << 10;

helper! {
    /// `bpf_get_stackid(ctx, map, flags)`.
    stack_id(env, _ctx, map, flags) {
        // SAFETY: by the caller, R2 is a map.
        let map = unsafe { env.map(map) }?;
        if flags & !STACK_FLAGS != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let frames = env.host.stack(flags & USER != 0).unwrap_or_default();
        let frames = frames.get((flags & SKIP) as usize..).unwrap_or_default();
        if frames.is_empty() {
            return Some(Errno::EFAULT.as_ret());
        }
        Some(ret(map.map.stack_id(frames, flags & !(SKIP | USER)).map(u64::from)))
    }
}

/// Takes a lock: 0 is free, 1 is taken.
///
/// # Safety
///
/// `addr` is a lock; or `env` knows the live memory.
unsafe fn take(env: &mut Env<'_>, addr: u64) -> Option<()> {
    // SAFETY: by the caller.
    unsafe { env.mem_mut(addr, 4) }?;
    if !addr.is_multiple_of(4) {
        env.trap_argument(addr, "a lock");
        return None;
    }
    // SAFETY: live by the above, aligned, and used as an atomic by all.
    let lock = unsafe { AtomicU32::from_ptr(addr as *mut u32) };
    let mut left = if env.regions.is_some() { MAX_WAIT } else { u32::MAX };
    while lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        // A verified program gives each lock back, and takes no other meanwhile.
        if env.regions.is_some() {
            left -= 1;
            if left == 0 {
                env.trap_argument(addr, "a lock that somebody gives back");
                return None;
            }
        }
        std::thread::yield_now();
    }
    env.note_lock(addr, true);
    Some(())
}

/// Gives it back.
///
/// # Safety
///
/// As of `take`.
unsafe fn give_back(env: &mut Env<'_>, addr: u64) -> Option<()> {
    // SAFETY: by the caller.
    unsafe { env.mem_mut(addr, 4) }?;
    if addr.is_multiple_of(4) {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(addr as *mut u32) }.store(0, Ordering::Release);
        env.note_lock(addr, false);
    }
    Some(())
}

helper! {
    /// `bpf_spin_lock(lock)`.
    lock(env, addr) {
        // SAFETY: by the caller, R1 is a lock.
        unsafe { take(env, addr) }.map(|()| 0)
    }
}

helper! {
    /// `bpf_spin_unlock(lock)`.
    unlock(env, addr) {
        // SAFETY: by the caller, R1 is a lock.
        unsafe { give_back(env, addr) }.map(|()| 0)
    }
}

helper! {
    /// `bpf_kptr_xchg(dst, ptr)`: what was there.
    exchange(env, place, new) {
        // SAFETY: by the caller, R1 is a place for a pointer.
        unsafe { env.mem_mut(place, 8) }?;
        if !place.is_multiple_of(8) {
            env.trap_argument(place, "a place for a pointer");
            return None;
        }
        // SAFETY: live by the above, aligned, and used as an atomic by all.
        Some(unsafe { AtomicU64::from_ptr(place as *mut u64) }.swap(new, Ordering::AcqRel))
    }
}

/// Announces a value and gives its address.
fn give(env: &mut Env<'_>, map: &MapHandle, value: std::ptr::NonNull<u8>) -> u64 {
    let addr = value.as_ptr() as u64;
    env.publish(addr, map.map.def().value_size.into(), RegionKind::of_values(map.map.def()));
    addr
}

/// `BPF_LOCAL_STORAGE_GET_F_CREATE`.
const CREATE: u64 = 1;

helper! {
    /// `bpf_sk_storage_get(map, object, value, flags)` and its kin: the address of what belongs to the object, or 0.
    get(env, map, object, value, flags) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        if object == 0 || flags & !CREATE != 0 {
            return Some(0);
        }
        let size = map.map.def().value_size;
        let init = match (flags, value) {
            (0, _) => None,
            (_, 0) => Some(vec![0; size as usize]),
            // SAFETY: by the caller, R3 is a value of the map.
            (_, value) => Some(unsafe { env.mem(value, size.into()) }?.to_vec()),
        };
        let found = map.map.storage(object, env.cpu, init.as_deref());
        Some(found.map_or(0, |found| give(env, map, found)))
    }
}

helper! {
    /// `bpf_sk_storage_delete(map, object)` and its kin.
    delete(env, map, object) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        Some(if object == 0 { Errno::EINVAL.as_ret() } else { ret(map.map.forget_object(object).map(|()| 0)) })
    }
}

helper! {
    /// `bpf_get_local_storage(map, flags)`: what belongs to the control group, which is always there.
    local(env, map) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        let group = env.host.cgroup_id(None);
        let zeroes = vec![0; map.map.def().value_size as usize];
        let Ok(value) = map.map.storage(group, env.cpu, Some(&zeroes)) else {
            env.trap_argument(map.map.def().kind as u64, "a map of what belongs to control groups");
            return None;
        };
        Some(give(env, map, value))
    }
}

const SK_DROP: u64 = 0;
const SK_PASS: u64 = 1;
/// `BPF_F_INGRESS`.
const INGRESS: u64 = 1;

helper! {
    /// `bpf_sk_redirect_map(skb, map, key, flags)` and `bpf_msg_redirect_map`: pass, if there is a socket.
    redirect_index(env, _ctx, map, key, flags) {
        // SAFETY: by the caller, R2 is a map.
        let map = unsafe { env.map(map) }?;
        let found = flags & !INGRESS == 0 && map.map.object(&(key as u32).to_ne_bytes()).is_some();
        Some(if found { SK_PASS } else { SK_DROP })
    }
}

helper! {
    /// `bpf_sk_redirect_hash(skb, map, key, flags)` and `bpf_msg_redirect_hash`.
    redirect_key(env, _ctx, map, key, flags) {
        // SAFETY: by the caller, R2 is a map and R3 a key of it.
        let (map, key) = unsafe {
            let map = env.map(map)?;
            (map, env.mem(key, map.map.def().key_size.into())?.to_vec())
        };
        let found = flags & !INGRESS == 0 && map.map.object(&key).is_some();
        Some(if found { SK_PASS } else { SK_DROP })
    }
}

helper! {
    /// `bpf_sk_select_reuseport(reuse, map, key, flags)`.
    select_reuseport(env, _ctx, map, key, flags) {
        // SAFETY: by the caller, R2 is a map and R3 a key of it.
        let (map, key) = unsafe {
            let map = env.map(map)?;
            (map, env.mem(key, map.map.def().key_size.into())?.to_vec())
        };
        if flags != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        Some(if map.map.object(&key).is_some() { 0 } else { Errno::ENOENT.as_ret() })
    }
}

helper! {
    /// `bpf_sock_map_update(skops, map, key, flags)` and `bpf_sock_hash_update`: the socket of the context goes into the map.
    socket_update(env, _ctx, map, key, flags) {
        // SAFETY: by the caller, R2 is a map and R3 a key of it.
        let (map, key) = unsafe {
            let map = env.map(map)?;
            (map, env.mem(key, map.map.def().key_size.into())?.to_vec())
        };
        let Some(socket) = env.host.socket() else { return Some(Errno::EOPNOTSUPP.as_ret()) };
        Some(ret(map.map.set_object(&key, socket, flags).map(|()| 0)))
    }
}

/// Samples that one call hands out, at most.
const MAX_SAMPLES: u64 = 128 * 1024;
/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`.
const WAKEUP: u64 = 3;

helper! {
    /// `bpf_user_ringbuf_drain(map, callback, ctx, flags)`: how many samples the callback was given.
    drain(env, map, callback, ctx, flags) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        if flags & !WAKEUP != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        if let Err(errno) = map.map.begin_drain() {
            return Some(errno.as_ret());
        }
        let result = samples(env, map, callback, ctx);
        map.map.end_drain();
        Some(ret(result))
    }
}

fn samples(env: &mut Env<'_>, map: &MapHandle, callback: u64, ctx: u64) -> Result<u64, Errno> {
    let mut given = 0;
    for _ in 0..MAX_SAMPLES {
        let sample = match map.map.peek_sample() {
            Ok(Some(sample)) => sample,
            Ok(None) => break,
            Err(errno) if given == 0 => return Err(errno),
            Err(_) => break,
        };
        if sample.discarded {
            map.map.release_sample(sample.len);
            continue;
        }
        let start = sample.start.as_ptr() as u64;
        let words = dynptr::local(start, sample.len);
        let addr = words.as_ptr().expose_provenance() as u64;
        env.publish(start, sample.len.into(), RegionKind::Record);
        env.publish(addr, 16, RegionKind::Stack);
        // SAFETY: the verifier assumes a dynptr and what the program passed as R3.
        let stop = unsafe { env.call_subprog(callback, [addr, ctx, 0, 0, 0]) };
        env.retract(addr);
        env.retract(start);
        map.map.release_sample(sample.len);
        given += 1;
        if stop != 0 || env.trapped() {
            break;
        }
    }
    Ok(given)
}

helper! {
    /// `bpf_obj_new_impl(local_type_id, meta)`: an object of a type of the program, or null.
    make(env, id) {
        let linked = env.linked.clone();
        let size = linked.as_ref().and_then(|linked| linked.types()?.btf.size_of(TypeId(id as u32)).ok());
        Some(size.and_then(|size| env.objects().make(size as usize).ok()).unwrap_or(0))
    }
}

helper! {
    /// `bpf_percpu_obj_new_impl(local_type_id, meta)`: one for each CPU, or null.
    make_by_cpu(env, id) {
        let linked = env.linked.clone()?;
        let size = linked.types().and_then(|types| types.btf.size_of(TypeId(id as u32)).ok());
        Some(size.and_then(|size| env.objects().make_by_cpu(size as usize, linked.machine_cpus()).ok()).unwrap_or(0))
    }
}

/// The part of a CPU of what each has: of an object, of a variable of the kernel. Other addresses are of what an embedder laid out, once
/// for all CPUs; what programs then find there is looked up.
fn part_of_cpu(env: &mut Env<'_>, addr: u64, cpu: u32) -> u64 {
    if let Some(part) = env.objects().part_of_cpu(addr, cpu) {
        return part;
    }
    let Some(linked) = env.linked.clone() else { return addr };
    let Some((name, inside, ours)) = linked.variables().of_cpu(addr, cpu) else { return addr };
    env.host.cpu_variable(name, cpu).map_or(ours, |start| start.wrapping_add(inside))
}

helper! {
    /// `bpf_this_cpu_ptr(ptr)`.
    this_cpu_ptr(env, ptr) {
        let cpu = env.cpu;
        Some(part_of_cpu(env, ptr, cpu))
    }
}

helper! {
    /// `bpf_per_cpu_ptr(ptr, cpu)`: null for a CPU that there is not.
    per_cpu_ptr(env, ptr, cpu) {
        let cpus = env.linked.as_ref().map_or(1, |linked| linked.machine_cpus());
        let cpu = cpu as u32;
        Some(if cpu < cpus { part_of_cpu(env, ptr, cpu) } else { 0 })
    }
}

helper! {
    /// `bpf_obj_drop_impl(p, meta)` and what else gives a reference back.
    drop_object(env, object) {
        env.objects().give_up(object);
        Some(0)
    }
}

helper! {
    /// `bpf_refcount_acquire_impl(p, meta)` and what else takes a reference: null where there is no object.
    hold(env, object) {
        Some(if env.objects().hold(object) { object } else { 0 })
    }
}

/// Bytes of a set of processors: as many bits as there may be processors.
const CPUMASK_BYTES: usize = 1024;

helper! {
    /// `bpf_cpumask_create()`.
    cpumask_create(env) {
        Some(env.objects().make(CPUMASK_BYTES).unwrap_or(0))
    }
}

/// Changes a bit of a set, and says what it was.
fn bit(env: &mut Env<'_>, cpu: u64, mask: u64, new: Option<bool>) -> bool {
    let (byte, bit) = (u64::from(cpu as u32) / 8, 1u8 << (cpu % 8));
    if byte >= CPUMASK_BYTES as u64 {
        return false;
    }
    let Some(place) = env.kernel_place(mask.wrapping_add(byte), 1, new.is_some()) else { return false };
    // SAFETY: one byte of an object that is there.
    let old = unsafe { (place as *const u8).read() };
    if let Some(new) = new {
        // SAFETY: as above.
        unsafe { (place as *mut u8).write(if new { old | bit } else { old & !bit }) };
    }
    old & bit != 0
}

helper! {
    cpumask_set(env, cpu, mask) {
        bit(env, cpu, mask, Some(true));
        Some(0)
    }
}

helper! {
    cpumask_clear_cpu(env, cpu, mask) {
        bit(env, cpu, mask, Some(false));
        Some(0)
    }
}

helper! {
    cpumask_test(env, cpu, mask) {
        Some(bit(env, cpu, mask, None).into())
    }
}

helper! {
    cpumask_test_and_set(env, cpu, mask) {
        Some(bit(env, cpu, mask, Some(true)).into())
    }
}

helper! {
    cpumask_test_and_clear(env, cpu, mask) {
        Some(bit(env, cpu, mask, Some(false)).into())
    }
}

/// The bits of a set, none where there is no such object.
fn bits(env: &Env<'_>, mask: u64) -> Vec<u8> {
    env.objects().read(mask).filter(|bytes| bytes.len() == CPUMASK_BYTES).unwrap_or_else(|| vec![0; CPUMASK_BYTES])
}

/// The number of the first processor that is in a set, or of how many there are.
fn first(env: &Env<'_>, bytes: &[u8]) -> u64 {
    let cpus = env.linked.as_ref().map_or(1, |linked| linked.machine_cpus());
    (0..cpus).find(|cpu| bytes[*cpu as usize / 8] >> (cpu % 8) & 1 != 0).unwrap_or(cpus).into()
}

helper! {
    cpumask_first(env, mask) {
        Some(first(env, &bits(env, mask)))
    }
}

helper! {
    cpumask_first_zero(env, mask) {
        let zeroes: Vec<u8> = bits(env, mask).iter().map(|byte| !byte).collect();
        Some(first(env, &zeroes))
    }
}

helper! {
    cpumask_setall(env, mask) {
        let cpus = env.linked.as_ref().map_or(1, |linked| linked.machine_cpus());
        for cpu in 0..cpus {
            bit(env, cpu.into(), mask, Some(true));
        }
        Some(0)
    }
}

helper! {
    cpumask_clear(env, mask) {
        env.objects().write(mask, &[0; CPUMASK_BYTES]);
        Some(0)
    }
}

helper! {
    cpumask_empty(env, mask) {
        Some(bits(env, mask).iter().all(|byte| *byte == 0).into())
    }
}

helper! {
    cpumask_full(env, mask) {
        let cpus = env.linked.as_ref().map_or(1, |linked| linked.machine_cpus());
        Some((0..cpus).all(|cpu| bit(env, cpu.into(), mask, None)).into())
    }
}

helper! {
    cpumask_weight(env, mask) {
        Some(bits(env, mask).iter().map(|byte| u64::from(byte.count_ones())).sum())
    }
}

/// Two sets become a third; whether that has anything in it.
fn combine(env: &Env<'_>, to: u64, (a, b): (u64, u64), with: impl Fn(u8, u8) -> u8) -> u64 {
    let (a, b) = (bits(env, a), bits(env, b));
    let both: Vec<u8> = a.iter().zip(&b).map(|(a, b)| with(*a, *b)).collect();
    env.objects().write(to, &both);
    both.iter().any(|byte| *byte != 0).into()
}

helper! {
    cpumask_and(env, to, a, b) {
        Some(combine(env, to, (a, b), |a, b| a & b))
    }
}

helper! {
    cpumask_or(env, to, a, b) {
        combine(env, to, (a, b), |a, b| a | b);
        Some(0)
    }
}

helper! {
    cpumask_xor(env, to, a, b) {
        combine(env, to, (a, b), |a, b| a ^ b);
        Some(0)
    }
}

helper! {
    cpumask_copy(env, to, from) {
        combine(env, to, (from, from), |a, _| a);
        Some(0)
    }
}

helper! {
    cpumask_equal(env, a, b) {
        Some((bits(env, a) == bits(env, b)).into())
    }
}

helper! {
    cpumask_intersects(env, a, b) {
        Some(bits(env, a).iter().zip(&bits(env, b)).any(|(a, b)| a & b != 0).into())
    }
}

helper! {
    cpumask_subset(env, a, b) {
        Some(bits(env, a).iter().zip(&bits(env, b)).all(|(a, b)| a & !b == 0).into())
    }
}

helper! {
    cpumask_first_and(env, a, b) {
        let both: Vec<u8> = bits(env, a).iter().zip(&bits(env, b)).map(|(a, b)| a & b).collect();
        Some(first(env, &both))
    }
}

helper! {
    /// `bpf_task_from_pid(pid)`: the current one, if it is that.
    task_from_pid(env, pid) {
        if env.host.task().pid != pid as u32 {
            return Some(0);
        }
        let task = env.task_object();
        Some(if env.objects().hold(task) { task } else { 0 })
    }
}

/// Whether a lock was taken, of those that can fail (`bpf_res_spin_lock`).
///
/// # Safety
///
/// `addr` is a lock.
unsafe fn try_take(env: &mut Env<'_>, addr: u64) -> Option<u64> {
    // SAFETY: by the caller.
    unsafe { take(env, addr) }.map(|()| 0)
}

helper! {
    /// `bpf_res_spin_lock(lock)`: 0, as locks are given back.
    res_lock(env, addr) {
        // SAFETY: by the caller, R1 is a lock.
        unsafe { try_take(env, addr) }
    }
}

/// The functions of the kernel of this family.
pub(super) const KFUNCS: &[(&str, HelperFn)] = &[
    ("bpf_obj_new_impl", make),
    ("bpf_obj_drop_impl", drop_object),
    ("bpf_percpu_obj_new_impl", make_by_cpu),
    ("bpf_percpu_obj_drop_impl", drop_object),
    ("bpf_refcount_acquire_impl", hold),
    ("bpf_task_acquire", hold),
    ("bpf_task_release", drop_object),
    ("bpf_task_from_pid", task_from_pid),
    ("bpf_cgroup_acquire", hold),
    ("bpf_cgroup_release", drop_object),
    ("bpf_res_spin_lock", res_lock),
    ("bpf_res_spin_unlock", unlock),
    ("bpf_res_spin_lock_irqsave", res_lock),
    ("bpf_res_spin_unlock_irqrestore", unlock),
    ("bpf_cpumask_create", cpumask_create),
    ("bpf_cpumask_acquire", hold),
    ("bpf_cpumask_release", drop_object),
    ("bpf_cpumask_set_cpu", cpumask_set),
    ("bpf_cpumask_clear_cpu", cpumask_clear_cpu),
    ("bpf_cpumask_test_cpu", cpumask_test),
    ("bpf_cpumask_test_and_set_cpu", cpumask_test_and_set),
    ("bpf_cpumask_test_and_clear_cpu", cpumask_test_and_clear),
    ("bpf_cpumask_setall", cpumask_setall),
    ("bpf_cpumask_clear", cpumask_clear),
    ("bpf_cpumask_first", cpumask_first),
    ("bpf_cpumask_first_zero", cpumask_first_zero),
    ("bpf_cpumask_first_and", cpumask_first_and),
    ("bpf_cpumask_any_distribute", cpumask_first),
    ("bpf_cpumask_any_and_distribute", cpumask_first_and),
    ("bpf_cpumask_and", cpumask_and),
    ("bpf_cpumask_or", cpumask_or),
    ("bpf_cpumask_xor", cpumask_xor),
    ("bpf_cpumask_copy", cpumask_copy),
    ("bpf_cpumask_equal", cpumask_equal),
    ("bpf_cpumask_intersects", cpumask_intersects),
    ("bpf_cpumask_subset", cpumask_subset),
    ("bpf_cpumask_empty", cpumask_empty),
    ("bpf_cpumask_full", cpumask_full),
    ("bpf_cpumask_weight", cpumask_weight),
];
