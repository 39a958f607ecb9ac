//! Helpers that print structures by the kernel's types.

use ring3_btf::{Shown, TypeId, show_value};
use ring3_platform::Errno;

use super::helper;
use crate::env::{Env, ret};

/// Bytes of `struct btf_ptr`: where, of which type, flags.
const BTF_PTR: u64 = 16;
/// The most that is read of a value, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// The text of what a `struct btf_ptr` leads to.
///
/// # Safety
///
/// `place` is memory of `size` bytes.
unsafe fn shown(env: &mut Env<'_>, place: u64, size: u64, flags: u64) -> Option<Result<Vec<u8>, Errno>> {
    // SAFETY: by the caller.
    let image = unsafe { env.mem(place, u64::from(size as u32)) }?;
    let Some(shown) = Shown::from_bits(flags).filter(|_| size as u32 as u64 == BTF_PTR) else {
        return Some(Err(Errno::EINVAL));
    };
    let word = |at: usize| {
        image.get(at..at + 4).and_then(|part| part.first_chunk()).map_or(0, |part| u32::from_ne_bytes(*part))
    };
    let (addr, id) = (u64::from(word(4)) << 32 | u64::from(word(0)), TypeId(word(8)));
    let Some(types) = env.host.types().filter(|_| id != TypeId::VOID) else { return Some(Err(Errno::EINVAL)) };
    let len = types.size_of(id).map_or(0, |len| len as usize);
    let mut bytes = vec![0; len.min(MAX_BYTES)];
    if !env.known_bytes(addr, &mut bytes) {
        return Some(Err(Errno::EFAULT));
    }
    Some(show_value(&types, id, &bytes, shown).map_err(|_| Errno::EINVAL))
}

helper! {
    /// `bpf_snprintf_btf(str, str_size, ptr, btf_ptr_size, flags)`: the length without the NUL that the whole text has.
    snprintf_btf(env, out, size, place, place_size, flags) {
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        let text = match unsafe { shown(env, place, place_size, flags) }? {
            Ok(text) => text,
            Err(errno) => return Some(errno.as_ret()),
        };
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        let out = unsafe { env.mem_mut(out, u64::from(size as u32)) }?;
        if let Some(room) = out.len().checked_sub(1) {
            let len = text.len().min(room);
            out[..len].copy_from_slice(&text[..len]);
            out[len] = 0;
        }
        Some(text.len() as u64)
    }
}

helper! {
    /// `bpf_seq_printf_btf(seq, ptr, btf_ptr_size, flags)`: what an iterator prints.
    seq_printf_btf(env, _seq, place, place_size, flags) {
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let text = unsafe { shown(env, place, place_size, flags) }?;
        Some(ret(text.and_then(|text| env.host.print(&text).map(|()| 0))))
    }
}
