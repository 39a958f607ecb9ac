//! Memory for machine code: first written, then executable, never both at a time (W^X), with a page on each side that nobody can touch.

use std::io;

use memmap2::MmapMut;

use crate::{Arch, JitError};

/// Bytes of a large page, of x86-64 and of most arm64.
const HUGE_PAGE: usize = 1 << 21;

/// From so many bytes of code on it takes large pages, as the kernel's own do: that is faster to set up, and to execute.
const HUGE_FROM: usize = 1 << 18;

/// Finished code in executable, read-only memory.
#[derive(Debug)]
pub(crate) struct ExecMem {
    /// Code and guard pages. It is not written any more: most of it cannot be.
    map: MmapMut,
    /// Where the code starts: a page or more behind the start of the mapping.
    start: usize,
    len: usize,
    /// Bytes from there that may have code: whole pages.
    body: usize,
}

impl ExecMem {
    /// Copies `code` into fresh memory and makes that executable. What is left of its last page stops the machine.
    pub(crate) fn publish(code: &[u8]) -> Result<ExecMem, JitError> {
        let failed = |source| JitError::Memory { bytes: code.len(), source };
        let page = page_size();
        let huge = code.len() >= HUGE_FROM;
        let (body, align) = match code.len().max(1) {
            len if huge => (len.next_multiple_of(HUGE_PAGE), HUGE_PAGE),
            len => (len.next_multiple_of(page), page),
        };
        let len = body + 2 * page + (align - page);
        let mut map = MmapMut::map_anon(len).map_err(failed)?;
        let start = page + ((map.as_ptr() as usize + page).wrapping_neg() & (align - 1));
        // Nothing of it is there yet, so that changing what may be done with it costs little.
        protect(&map, 0, len, libc::PROT_NONE).map_err(failed)?;
        protect(&map, start, body, libc::PROT_READ | libc::PROT_WRITE).map_err(failed)?;
        prepare(&map, start, body, huge);
        // SAFETY: these bytes of the mapping can be read and written, and nothing else refers to them.
        let bytes = unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().add(start), body) };
        let (used, rest) = bytes.split_at_mut(code.len());
        used.copy_from_slice(code);
        fill_with_traps(rest);
        protect(&map, start, body, libc::PROT_READ | libc::PROT_EXEC).map_err(failed)?;
        let memory = ExecMem { map, start, len: code.len(), body };
        // Does nothing on x86-64; elsewhere the instruction cache does not see what was written.
        dynasmrt::cache_control::synchronize_icache(memory.bytes());
        Ok(memory)
    }

    /// Puts other code in the place of what is there, which nobody runs any more; into fresh memory where it does not fit.
    pub(crate) fn replace(mut self, code: &[u8]) -> Result<ExecMem, JitError> {
        if code.len() > self.body {
            return ExecMem::publish(code);
        }
        let failed = |source| JitError::Memory { bytes: code.len(), source };
        protect(&self.map, self.start, self.body, libc::PROT_READ | libc::PROT_WRITE).map_err(failed)?;
        // SAFETY: these bytes of the mapping can be read and written, and nothing else refers to them, as this is owned.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().add(self.start), self.body) };
        let (used, rest) = bytes.split_at_mut(code.len());
        used.copy_from_slice(code);
        // Behind the code that was there are traps already; code for arm64 is whole words, so that these meet.
        fill_with_traps(&mut rest[..self.len.saturating_sub(code.len())]);
        protect(&self.map, self.start, self.body, libc::PROT_READ | libc::PROT_EXEC).map_err(failed)?;
        self.len = code.len();
        dynasmrt::cache_control::synchronize_icache(self.bytes());
        Ok(self)
    }

    /// The code.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes of the mapping were written by `publish`, and stay readable.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(self.start), self.len) }
    }

    /// Address of the byte at `offset`; `None` outside of the code.
    pub(crate) fn address(&self, offset: usize) -> Option<*const u8> {
        self.bytes().get(offset).map(std::ptr::from_ref)
    }
}

/// Asks for the pages at once: by themselves they come one by one, when they are written, and each takes longer than what is written to
/// it. A system that does not know how lets them come so.
fn prepare(map: &MmapMut, offset: usize, len: usize, huge: bool) {
    #[cfg(target_os = "linux")]
    {
        let start = map.as_ptr().wrapping_add(offset).cast_mut().cast();
        let advice = if huge { libc::MADV_HUGEPAGE } else { libc::MADV_POPULATE_WRITE };
        // SAFETY: the pages belong to the mapping and may be written; what is in them stays.
        unsafe { libc::madvise(start, len, advice) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (map, offset, len, huge);
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
