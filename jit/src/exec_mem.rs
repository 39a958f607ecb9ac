//! Memory for machine code: first written, then executable, never both at a time (W^X), with a page on each side that nobody can touch.

use std::io;

use memmap2::{MmapMut, MmapOptions};

use crate::{Arch, JitError};

/// Finished code in executable, read-only memory.
#[derive(Debug)]
pub(crate) struct ExecMem {
    /// Code and guard pages. It is not written any more: most of it cannot be.
    map: MmapMut,
    /// Where the code starts: a page behind the start of the mapping.
    start: usize,
    len: usize,
}

impl ExecMem {
    /// Copies `code` into fresh memory and makes that executable. What is left of its last page stops the machine.
    pub(crate) fn publish(code: &[u8]) -> Result<ExecMem, JitError> {
        let failed = |source| JitError::Memory { bytes: code.len(), source };
        let page = page_size();
        let body = code.len().max(1).next_multiple_of(page);
        // All pages at once: each fault of its own takes longer than what is written to the page.
        let mut map = MmapOptions::new().len(body + 2 * page).populate().map_anon().map_err(failed)?;
        let (used, rest) = map[page..page + body].split_at_mut(code.len());
        used.copy_from_slice(code);
        fill_with_traps(rest);
        protect(&map, 0, page, libc::PROT_NONE).map_err(failed)?;
        protect(&map, page, body, libc::PROT_READ | libc::PROT_EXEC).map_err(failed)?;
        protect(&map, page + body, page, libc::PROT_NONE).map_err(failed)?;
        let memory = ExecMem { map, start: page, len: code.len() };
        // Does nothing on x86-64; elsewhere the instruction cache does not see what was written.
        dynasmrt::cache_control::synchronize_icache(memory.bytes());
        Ok(memory)
    }

    /// The code.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes of the mapping were written by `publish`, and stay readable.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(self.start), self.len) }
    }

    /// Address of the byte at `offset`; `None` outside of the code.
    pub(crate) fn address(&self, offset: usize) -> Option<*const u8> {
        self.bytes().get(offset).map(std::ptr::from_ref)
    }
}

/// Changes what may be done with some pages of a mapping.
fn protect(map: &MmapMut, offset: usize, len: usize, allowed: libc::c_int) -> io::Result<()> {
    let start = map.as_ptr().wrapping_add(offset).cast_mut().cast();
    // SAFETY: the pages belong to the mapping, of which nothing else holds references; those that `ExecMem` gives out later are
    // to pages that stay readable.
    match unsafe { libc::mprotect(start, len, allowed) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn page_size() -> usize {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // All systems have an answer; 64 KiB is a multiple of every page size of both machines.
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(1 << 16)
}

/// `int3`, or `brk #0` for arm64.
fn fill_with_traps(rest: &mut [u8]) {
    match Arch::HOST {
        Some(Arch::Arm64) => {
            for (byte, trap) in rest.iter_mut().zip([0x00, 0x00, 0x20, 0xd4].into_iter().cycle()) {
                *byte = trap;
            }
        }
        Some(Arch::X64) | None => rest.fill(0xcc),
    }
}
