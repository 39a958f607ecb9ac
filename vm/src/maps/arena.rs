//! `arena`: memory that programs and user space share by its addresses.
//!
//! 4 GiB of addresses are reserved, aligned to 4 GiB, so that the lower half of a pointer is an offset from the start, whatever the
//! upper half says. As in the kernel, a program may go to any of them and to some bytes around. What its accesses find of pages that
//! are not allocated is nothing ([`guarded`](crate::guarded)); kernel functions and user space are told of them. Should something go
//! there nevertheless, what belongs to no page that could ever be allocated leads to memory that is nobody's, of which there is little.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// A bit for each of them that says whether it is allocated: so many words as hold one for each, for as long as the map lives.
    pub allocated: NonNull<AtomicU64>,
}

/// An arena.
pub(super) struct Arena {
    base: Base,
    memory: Reserve,
    start: u64,
    /// A bit for each page that is allocated. Accesses look at it without the lock.
    pages: Box<[AtomicU64]>,
    /// Held by who changes it.
    changes: Mutex<()>,
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
        let pages = (0..(def.max_entries as usize).div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Arena { base: Base::new(def), memory, start, pages, changes: Mutex::new(()) })
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
    fn all_are(&self, page: u64, count: u64, allocated: bool) -> bool {
        (page..page + count).all(|page| is_allocated(&self.pages, page) == allocated)
    }

    /// What was done to the pages before is seen by who sees the mark.
    fn mark(&self, page: u64, count: u64, allocated: bool) {
        for page in page..page + count {
            let (word, bit) = (&self.pages[page as usize / 64], 1 << (page % 64));
            match allocated {
                true => word.fetch_or(bit, Ordering::Release),
                false => word.fetch_and(!bit, Ordering::Release),
            };
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
        let _changes = self.changes.lock();
        if !self.all_are(first, count, true) {
            if self.base.def.flags.has(MapFlags::SEGV_ON_FAULT) {
                return Err(Errno::EFAULT);
            }
            for page in first..first + count {
                if self.all_are(page, 1, false) {
                    self.memory.zero(self.offset(page), PAGE)?;
                    self.mark(page, 1, true);
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
        self.pages.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.memory.holds(addr, len)
    }

    fn arena(&self) -> Option<ArenaLayout> {
        let allocated = NonNull::from(&*self.pages).cast();
        Some(ArenaLayout { base: self.memory.base(), start: self.start, pages: self.base.def.max_entries, allocated })
    }

    fn alloc_pages(&self, address: u64, count: u32) -> Result<u64, Errno> {
        let count = u64::from(count);
        if count == 0 || count > self.count() || !address.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let _changes = self.changes.lock();
        let last = self.count() - count;
        let page = match address {
            0 => first_fit(&self.pages, count, last).ok_or(Errno::ENOMEM)?,
            address => {
                let page = self.page_of(address);
                if page > last || !self.all_are(page, count, false) {
                    return Err(Errno::ENOMEM);
                }
                page
            }
        };
        // What programs wrote there while it was nobody's is gone.
        self.memory.zero(self.offset(page), count * PAGE)?;
        self.mark(page, count, true);
        Ok(self.start + page * PAGE)
    }

    fn free_pages(&self, address: u64, count: u32) {
        let first = self.page_of(address & !(PAGE - 1));
        if first >= self.count() {
            return;
        }
        let count = u64::from(count).min(self.count() - first);
        let _changes = self.changes.lock();
        for page in first..first + count {
            if self.all_are(page, 1, true) {
                self.mark(page, 1, false);
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

fn is_allocated(pages: &[AtomicU64], page: u64) -> bool {
    pages[page as usize / 64].load(Ordering::Acquire) >> (page % 64) & 1 == 1
}

/// The first page from which on `count` are free.
fn first_fit(pages: &[AtomicU64], count: u64, last: u64) -> Option<u64> {
    let mut page = 0;
    while page <= last {
        match (page..page + count).rev().find(|page| is_allocated(pages, *page)) {
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
