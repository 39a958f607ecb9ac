//! `arena`: memory that programs and user space share by its addresses.
//!
//! 4 GiB of addresses are reserved, aligned to 4 GiB, so that the lower half of a pointer is an offset from the start, whatever the
//! upper half says. As in the kernel, a program may go to any of them and to some bytes around: what belongs to no page that could
//! ever be allocated leads to memory that is nobody's, of which there is little, so that no program takes more than its arena.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::Mutex;
use ring3_platform::maps::PAGE_SIZE;
use ring3_platform::{Errno, MapDef, MapFlags};

use super::mem::MAX_MAP_BYTES;
use super::{Base, Map};

mod reserve;
use reserve::Reserve;

const PAGE: u64 = PAGE_SIZE as u64;

/// Where an arena is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArenaLayout {
    /// Host address of the offset 0. An access of a pointer goes to this and the pointer's lower 32 bits and the offset of the instruction.
    pub base: NonNull<u8>,
    /// The address that programs see of the first page (`user_vm_start`).
    pub start: u64,
    /// Pages at most.
    pub pages: u32,
}

/// An arena.
pub(super) struct Arena {
    base: Base,
    memory: Reserve,
    start: u64,
    /// A bit for each page that is allocated.
    pages: Mutex<Vec<u64>>,
}

impl Arena {
    /// `ENOMEM` over [`MAX_MAP_BYTES`], `ENOTSUPP` where addresses cannot be reserved.
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Arena, Errno> {
        let bytes = u64::from(def.max_entries) * PAGE;
        if bytes > MAX_MAP_BYTES {
            return Err(Errno::ENOMEM);
        }
        let memory = Reserve::new(def.extra & u64::from(u32::MAX), bytes)?;
        let start = if def.extra == 0 { memory.base().as_ptr() as u64 } else { def.extra };
        let pages = vec![0; (def.max_entries as usize).div_ceil(64)];
        Ok(Arena { base: Base::new(def), memory, start, pages: Mutex::new(pages) })
    }

    /// The number of the page of an address, whose upper half does not count.
    fn page_of(&self, address: u64) -> u64 {
        u64::from((address as u32).wrapping_sub(self.start as u32)) / PAGE
    }

    /// The offset in the reserve of a page.
    fn offset(&self, page: u64) -> u64 {
        (self.start & u64::from(u32::MAX)) + page * PAGE
    }

    fn count(&self) -> u64 {
        self.base.def.max_entries.into()
    }

    /// Whether `count` pages from `page` on are all allocated, or all not.
    fn all_are(pages: &[u64], page: u64, count: u64, allocated: bool) -> bool {
        (page..page + count).all(|page| (pages[page as usize / 64] >> (page % 64) & 1 == 1) == allocated)
    }

    fn mark(pages: &mut [u64], page: u64, count: u64, allocated: bool) {
        for page in page..page + count {
            let bit = 1 << (page % 64);
            match allocated {
                true => pages[page as usize / 64] |= bit,
                false => pages[page as usize / 64] &= !bit,
            }
        }
    }

    /// The pages that these bytes lie on; `EFAULT` beyond the last.
    fn range(&self, address: u64, len: usize) -> Result<(u64, u64), Errno> {
        let first = self.page_of(address);
        let within = address % PAGE + len as u64;
        let count = within.div_ceil(PAGE).max(1);
        if first + count > self.count() { Err(Errno::EFAULT) } else { Ok((first, count)) }
    }

    /// For user space: pages that are not there are allocated, unless that is to be a fault.
    fn fault_in(&self, address: u64, len: usize) -> Result<u64, Errno> {
        let (first, count) = self.range(address, len)?;
        let mut pages = self.pages.lock();
        if !Arena::all_are(&pages, first, count, true) {
            if self.base.def.flags.has(MapFlags::SEGV_ON_FAULT) {
                return Err(Errno::EFAULT);
            }
            for page in first..first + count {
                if Arena::all_are(&pages, page, 1, false) {
                    self.memory.zero(self.offset(page), PAGE)?;
                    Arena::mark(&mut pages, page, 1, true);
                }
            }
        }
        Ok(self.offset(first) + address % PAGE)
    }
}

// SAFETY: no lookup gives an address; all of the reserve may be read and written as long as the map lives.
unsafe impl Map for Arena {
    fn base(&self) -> &Base {
        &self.base
    }

    fn copy_out(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }

    /// Pages that are allocated.
    fn len(&self) -> usize {
        self.pages.lock().iter().map(|word| word.count_ones() as usize).sum()
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.memory.holds(addr, len)
    }

    fn arena(&self) -> Option<ArenaLayout> {
        Some(ArenaLayout { base: self.memory.base(), start: self.start, pages: self.base.def.max_entries })
    }

    fn alloc_pages(&self, address: u64, count: u32) -> Result<u64, Errno> {
        let count = u64::from(count);
        if count == 0 || count > self.count() || !address.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let mut pages = self.pages.lock();
        let last = self.count() - count;
        let page = match address {
            0 => first_fit(&pages, count, last).ok_or(Errno::ENOMEM)?,
            address => {
                let page = self.page_of(address);
                if page > last || !Arena::all_are(&pages, page, count, false) {
                    return Err(Errno::ENOMEM);
                }
                page
            }
        };
        // What programs wrote there while it was nobody's is gone.
        self.memory.zero(self.offset(page), count * PAGE)?;
        Arena::mark(&mut pages, page, count, true);
        Ok(self.start + page * PAGE)
    }

    fn free_pages(&self, address: u64, count: u32) {
        let first = self.page_of(address & !(PAGE - 1));
        if first >= self.count() {
            return;
        }
        let count = u64::from(count).min(self.count() - first);
        let mut pages = self.pages.lock();
        for page in first..first + count {
            if Arena::all_are(&pages, page, 1, true) {
                Arena::mark(&mut pages, page, 1, false);
                // If the system will not take it back, it is zeroed when it is allocated again.
                let _ = self.memory.zero(self.offset(page), PAGE);
            }
        }
    }

    fn read_arena(&self, address: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let offset = self.fault_in(address, len)?;
        Ok(self.memory.read(offset, len))
    }

    fn write_arena(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.base.may_write()?;
        let offset = self.fault_in(address, bytes.len())?;
        self.memory.write(offset, bytes);
        Ok(())
    }
}

/// The first page from which on `count` are free.
fn first_fit(pages: &[u64], count: u64, last: u64) -> Option<u64> {
    let mut page = 0;
    while page <= last {
        match (page..page + count).rev().find(|page| pages[*page as usize / 64] >> (page % 64) & 1 == 1) {
            None => return Some(page),
            Some(taken) => page = taken + 1,
        }
    }
    None
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("name", &self.base.def.name).field("pages", &self.len()).finish_non_exhaustive()
    }
}
