//! Memory whose content never changes: the value of a frozen map that programs only read.

use std::marker::PhantomData;
use std::ptr::NonNull;

use ring3_platform::{MapFlags, MapType};
use ring3_vm::maps::Map;

/// The value of such a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constant<'a> {
    start: NonNull<u8>,
    len: usize,
    map: PhantomData<&'a dyn Map>,
}

impl<'a> Constant<'a> {
    /// `None` for a map whose content may change.
    pub(crate) fn of(map: &'a dyn Map) -> Option<Constant<'a>> {
        let def = map.def();
        let unchanging = def.kind == MapType::Array && def.flags.has(MapFlags::RDONLY_PROG) && map.is_frozen();
        let start = map.direct_value().filter(|_| unchanging)?;
        Some(Constant { start, len: def.value_size as usize, map: PhantomData })
    }

    /// So many bytes at an address, 8 at most, the first the lowest. `None` if they are not all in it.
    pub(crate) fn read(&self, address: u64, bytes: usize) -> Option<u64> {
        let off = usize::try_from(address.checked_sub(self.start.as_ptr() as u64)?).ok()?;
        if bytes > 8 || off.checked_add(bytes)? > self.len {
            return None;
        }
        // SAFETY: a map's single value has `value_size` bytes that may be read as long as the map lives, which is borrowed, and nobody
        // writes to those of a frozen one that programs only read (`Map`).
        let byte = |at: usize| unsafe { self.start.add(off + at).read() };
        Some((0..bytes).rev().fold(0, |value, at| value << 8 | u64::from(byte(at))))
    }
}
