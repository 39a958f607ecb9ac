//! Operations for keys of a known size at addresses of a verified program: without copies of keys and values in between, and without
//! loops over the words of a key.

use std::ptr::NonNull;

use ring3_platform::Errno;

use super::{LookupCall, Map};

/// What helpers call for a map, if its type and the size of its keys are ones that there is code for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectCalls {
    pub(crate) lookup: unsafe extern "C" fn(map: *const (), key: *const u8, cpu: u32) -> *mut u8,
    pub(crate) update: unsafe fn(map: *const (), key: *const u8, value: *const u8, flags: u64, cpu: u32) -> u64,
    pub(crate) delete: unsafe fn(map: *const (), key: *const u8) -> u64,
    /// Their first argument.
    pub(crate) map: *const (),
}

// SAFETY: the address is of a map, which any thread may use.
unsafe impl Send for DirectCalls {}
// SAFETY: as above.
unsafe impl Sync for DirectCalls {}

/// A map that has operations for keys of `N` bytes, its definition's size.
pub(super) trait Direct: Map + Sized {
    fn lookup_sized<const N: usize>(&self, key: &[u8; N], cpu: u32) -> Option<NonNull<u8>>;

    /// # Safety
    ///
    /// `value` leads to as many bytes as a value has.
    unsafe fn update_sized<const N: usize>(
        &self,
        key: &[u8; N],
        value: *const u8,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno>;

    fn delete_sized<const N: usize>(&self, key: &[u8; N]) -> Result<(), Errno>;

    /// The lookup for machine code.
    fn direct_lookup(&self, per_cpu: bool) -> Option<LookupCall> {
        self.direct().map(|calls| LookupCall { function: calls.lookup, map: calls.map, per_cpu })
    }

    /// The calls for the size of this map's keys.
    fn direct(&self) -> Option<DirectCalls> {
        Some(match self.def().key_size {
            4 => calls::<Self, 4>(self),
            8 => calls::<Self, 8>(self),
            12 => calls::<Self, 12>(self),
            16 => calls::<Self, 16>(self),
            20 => calls::<Self, 20>(self),
            _ => return None,
        })
    }
}

fn calls<M: Direct, const N: usize>(map: &M) -> DirectCalls {
    DirectCalls {
        lookup: lookup::<M, N>,
        update: update::<M, N>,
        delete: delete::<M, N>,
        map: std::ptr::from_ref(map).cast(),
    }
}

/// A copy of a key, as others may write to where it is meanwhile.
///
/// # Safety
///
/// `N` bytes can be read there.
#[inline(always)]
unsafe fn copied<const N: usize>(key: *const u8) -> [u8; N] {
    // SAFETY: by the caller; bytes need no alignment.
    unsafe { key.cast::<[u8; N]>().read_volatile() }
}

/// # Safety
///
/// `map` is an `M` with keys of `N` bytes, and `key` leads to one.
unsafe extern "C" fn lookup<M: Direct, const N: usize>(map: *const (), key: *const u8, cpu: u32) -> *mut u8 {
    // SAFETY: by the caller.
    let (map, key) = unsafe { (&*map.cast::<M>(), copied::<N>(key)) };
    map.lookup_sized(&key, cpu).map_or(std::ptr::null_mut(), NonNull::as_ptr)
}

/// # Safety
///
/// As of [`lookup`]; and `value` leads to a value.
unsafe fn update<M: Direct, const N: usize>(
    map: *const (),
    key: *const u8,
    value: *const u8,
    flags: u64,
    cpu: u32,
) -> u64 {
    // SAFETY: by the caller.
    let done = unsafe { (*map.cast::<M>()).update_sized(&copied::<N>(key), value, flags, cpu) };
    done.map_or_else(Errno::as_ret, |()| 0)
}

/// # Safety
///
/// As of [`lookup`].
unsafe fn delete<M: Direct, const N: usize>(map: *const (), key: *const u8) -> u64 {
    // SAFETY: by the caller.
    let done = unsafe { (*map.cast::<M>()).delete_sized(&copied::<N>(key)) };
    done.map_or_else(Errno::as_ret, |()| 0)
}
