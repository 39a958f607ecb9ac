//! Helpers about time, the task, the machine, and loops.

use ring3_platform::Errno;

use super::helper;
use crate::env::Env;
use crate::host::Task;

/// Most iterations of `bpf_loop` (`BPF_MAX_LOOPS`).
const MAX_LOOPS: u32 = 1 << 23;
/// Clock ticks a second (`CONFIG_HZ`), as most distributions have it.
const HZ: u64 = 250;
const NS_PER_TICK: u64 = 1_000_000_000 / HZ;
/// What `jiffies` starts with: five minutes before 32 bits overflow (`INITIAL_JIFFIES`).
const INITIAL_JIFFIES: u64 = (1 << 32) - 300 * HZ;

helper! {
    /// `bpf_loop(nr_loops, callback, ctx, flags)`: how many iterations were done. A callback that returns 1 ends the loop.
    bpf_loop(env, count, callback, ctx, flags) {
        let count = count as u32;
        if flags != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        if count > MAX_LOOPS {
            return Some(Errno::E2BIG.as_ret());
        }
        for done in 0..u64::from(count) {
            // SAFETY: the verifier assumes the number of the iteration and what the program passed as R3.
            let stop = unsafe { env.call_subprog(callback, [done, ctx, 0, 0, 0]) };
            if stop != 0 || env.trapped() {
                return Some(done + 1);
            }
        }
        Some(count.into())
    }
}

helper! {
    /// `bpf_ktime_get_ns()`.
    ktime_ns(env) {
        Some(env.host.ktime_ns())
    }
}

helper! {
    /// `bpf_ktime_get_coarse_ns()`: of the last tick.
    ktime_coarse_ns(env) {
        let now = env.host.ktime_ns();
        Some(now - now % NS_PER_TICK)
    }
}

helper! {
    /// `bpf_ktime_get_boot_ns()`.
    ktime_boot_ns(env) {
        Some(env.host.boottime_ns())
    }
}

helper! {
    /// `bpf_ktime_get_tai_ns()`.
    ktime_tai_ns(env) {
        Some(env.host.tai_ns())
    }
}

helper! {
    /// `bpf_jiffies64()`.
    jiffies64(env) {
        Some(INITIAL_JIFFIES + env.host.ktime_ns() / NS_PER_TICK)
    }
}

helper! {
    /// `bpf_get_prandom_u32()`.
    prandom_u32(env) {
        Some(env.prandom_u32().into())
    }
}

helper! {
    /// `bpf_get_smp_processor_id()`.
    processor_id(env) {
        Some(env.cpu.into())
    }
}

helper! {
    /// `bpf_get_numa_node_id()`.
    numa_node(env) {
        Some(env.host.numa_node().into())
    }
}

helper! {
    /// `bpf_get_current_pid_tgid()`: tgid in the upper half, pid in the lower.
    pid_tgid(env) {
        let task = env.host.task();
        Some(u64::from(task.tgid) << 32 | u64::from(task.pid))
    }
}

helper! {
    /// `bpf_get_current_uid_gid()`: gid in the upper half, uid in the lower.
    uid_gid(env) {
        let task = env.host.task();
        Some(u64::from(task.gid) << 32 | u64::from(task.uid))
    }
}

helper! {
    /// `bpf_get_current_comm(buf, size)`: the name, cut to fit with its NUL and padded with NULs.
    comm(env, buf, size) {
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        let out = unsafe { env.mem_mut(buf, u64::from(size as u32)) }?;
        let name = env.host.task().comm;
        let len = out.len().saturating_sub(1).min(Task::COMM_LEN - 1);
        out.fill(0);
        out[..len].copy_from_slice(&name[..len]);
        Some(0)
    }
}
