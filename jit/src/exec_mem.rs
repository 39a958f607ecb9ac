//! Memory for machine code: first written, then executable, never both at a time (W^X).

use memmap2::{Mmap, MmapMut};

use crate::JitError;

/// Finished code in executable, read-only memory.
#[derive(Debug)]
pub(crate) struct ExecMem {
    map: Mmap,
    len: usize,
}

impl ExecMem {
    /// Copies `code` into fresh memory and makes that executable.
    pub(crate) fn publish(code: &[u8]) -> Result<ExecMem, JitError> {
        let failed = |source| JitError::Memory { bytes: code.len(), source };
        let mut writable = MmapMut::map_anon(code.len().max(1)).map_err(failed)?;
        writable[..code.len()].copy_from_slice(code);
        let map = writable.make_exec().map_err(failed)?;
        // Does nothing on x86-64; elsewhere the instruction cache does not see what was written.
        dynasmrt::cache_control::synchronize_icache(&map);
        Ok(ExecMem { map, len: code.len() })
    }

    /// The code.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[..self.len]
    }

    /// Address of the byte at `offset`; `None` outside of the code.
    pub(crate) fn address(&self, offset: usize) -> Option<*const u8> {
        self.bytes().get(offset).map(std::ptr::from_ref)
    }
}
