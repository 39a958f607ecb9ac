//! Helpers that tell of the kernel around a tracing program, where the embedder lays one out: arguments of functions, names of files,
//! areas of memory, what an iterator prints.

use ring3_platform::Errno;

use super::helper;
use crate::ctx::Context;
use crate::env::{Env, ret};

/// A word of the context of a program at a function.
fn word(env: &Env<'_>, at: u64) -> u64 {
    let Context::Raw(raw) = &env.ctx else { return 0 };
    usize::try_from(at).ok().and_then(|at| raw.word(at * 8)).unwrap_or(0)
}

/// Words of arguments, and whether a result is behind them.
fn trampoline(env: &Env<'_>) -> (u64, bool) {
    let known = env.linked.as_ref().and_then(|linked| linked.trampoline());
    known.map_or((0, false), |known| (known.arguments, known.has_result))
}

/// Puts a word where the program wants it.
///
/// # Safety
///
/// `out` is memory of eight bytes.
unsafe fn give(env: &mut Env<'_>, out: u64, word: u64) -> Option<u64> {
    // SAFETY: by the caller.
    unsafe { env.mem_mut(out, 8) }?.copy_from_slice(&word.to_ne_bytes());
    Some(0)
}

helper! {
    /// `bpf_get_func_arg(ctx, n, value)`.
    func_arg(env, _ctx, index, value) {
        // Linux compares all of the register.
        if index >= trampoline(env).0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let argument = word(env, index);
        // SAFETY: by the caller, R3 is memory of a number.
        unsafe { give(env, value, argument) }
    }
}

helper! {
    /// `bpf_get_func_ret(ctx, value)`.
    func_ret(env, _ctx, value) {
        let (arguments, true) = trampoline(env) else { return Some(Errno::EOPNOTSUPP.as_ret()) };
        let result = word(env, arguments);
        // SAFETY: by the caller, R2 is memory of a number.
        unsafe { give(env, value, result) }
    }
}

helper! {
    /// `bpf_get_func_arg_cnt(ctx)`.
    func_arg_count(env) {
        Some(trampoline(env).0)
    }
}

helper! {
    /// `bpf_task_pt_regs(task)`: where nothing is laid out, loads give 0.
    task_registers(env, task) {
        Some(env.host.task_registers(task).unwrap_or(0))
    }
}

helper! {
    /// `bpf_find_vma(task, addr, callback, ctx, flags)`.
    find_vma(env, task, addr, callback, ctx, flags) {
        if flags != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let area = if task == 0 { None } else { env.host.memory_area(task, addr) };
        let Some(area) = area else { return Some(Errno::ENOENT.as_ret()) };
        // SAFETY: the verifier assumes structures of the kernel, whose loads are guarded, and what the program passed as R4.
        unsafe { env.call_subprog(callback, [task, area, ctx, 0, 0]) };
        Some(0)
    }
}

helper! {
    /// `bpf_d_path(path, buf, size)`: the length with its NUL.
    d_path(env, path, buf, size) {
        let size = u64::from(size as u32);
        if size == 0 {
            return Some(0);
        }
        let name = env.host.path_name(path);
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let out = unsafe { env.mem_mut(buf, size) }?;
        let Some(name) = name else { return Some(Errno::EFAULT.as_ret()) };
        let Some(room) = out.get_mut(..=name.len()) else { return Some(Errno::ENAMETOOLONG.as_ret()) };
        let (text, end) = room.split_at_mut(name.len());
        text.copy_from_slice(&name);
        end.fill(0);
        Some(name.len() as u64 + 1)
    }
}

helper! {
    /// `bpf_seq_write(seq, data, len)`.
    seq_write(env, _seq, data, len) {
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let data = unsafe { env.mem(data, u64::from(len as u32)) }?.to_vec();
        Some(ret(env.host.print(&data).map(|()| 0)))
    }
}
