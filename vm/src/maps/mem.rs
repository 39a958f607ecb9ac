//! The raw memory that values live in.
//!
//! A BPF program keeps the address of a value for as long as it runs, and other threads write to the same value meanwhile.
//! So values live in a [`Region`]: one allocation, never moved and never freed while its map lives. This side reads and
//! writes it through relaxed atomic words only, so that the racing programs cannot make a torn slice or a dangling reference
//! out of it. What programs themselves do to the memory is outside Rust's model, as it is for a mapped file.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ring3_platform::Errno;

/// The largest map, in bytes of its elements: a limit of ours, beyond it creation fails with `ENOMEM` as on a full machine.
pub const MAX_MAP_BYTES: u64 = 1 << 30;

/// Alignment of a region's start: a cache line, so that the first value does not share one with a neighbour's.
pub(super) const REGION_ALIGN: usize = 64;

/// Regions from this size on are asked to have pages of this size, where the system has them, as the kernel's own memory does: a
/// lookup in a large map then misses the cache but not the page tables.
#[cfg(unix)]
const HUGE_PAGE: usize = 2 << 20;

/// Bytes of a machine word of BPF; values and keys are padded to it.
pub(super) const WORD: usize = 8;

/// `n` rounded up to a multiple of 8, which is what the kernel pads values to.
pub(super) const fn round8(n: u64) -> u64 {
    n.saturating_add(7) & !7
}

/// Zeroed memory at a fixed address.
pub(super) struct Region {
    base: NonNull<u8>,
    layout: Layout,
    /// The mapping that it lies in, if it is none of the allocator's.
    mapped: Option<(NonNull<u8>, usize)>,
}

// SAFETY: a Region owns its memory, and hands out only atomics and raw pointers to it.
unsafe impl Send for Region {}
// SAFETY: as above: shared access goes through atomics.
unsafe impl Sync for Region {}

impl Region {
    /// `bytes` of zeroes (rounded up to words). Large regions cost nothing until they are touched, where the system
    /// gives zero pages on demand. `ENOMEM` over [`MAX_MAP_BYTES`] or when the allocation fails.
    pub(super) fn zeroed(bytes: u64) -> Result<Region, Errno> {
        Region::zeroed_aligned(bytes, REGION_ALIGN)
    }

    /// As [`Region::zeroed`], with up to `most` bytes where those behind `bytes` cost nothing but addresses until they are touched; the
    /// length says how many there are.
    pub(super) fn zeroed_with_room(bytes: u64, most: u64) -> Result<Region, Errno> {
        let layout = |bytes: u64| {
            let size = usize::try_from(round8(bytes.clamp(1, MAX_MAP_BYTES))).ok()?;
            Layout::from_size_align(size, REGION_ALIGN).ok()
        };
        let large = layout(bytes).zip(layout(most)).and_then(|(least, most)| Region::mapped(most, least.size()));
        large.map_or_else(|| Region::zeroed(bytes), Ok)
    }

    /// As [`Region::zeroed`], starting at a multiple of `align`, which must be a power of two of at least 8.
    pub(super) fn zeroed_aligned(bytes: u64, align: usize) -> Result<Region, Errno> {
        if bytes > MAX_MAP_BYTES {
            return Err(Errno::ENOMEM);
        }
        let size = usize::try_from(round8(bytes.max(1))).map_err(|_| Errno::ENOMEM)?;
        let layout = Layout::from_size_align(size, align.max(WORD)).map_err(|_| Errno::ENOMEM)?;
        if let Some(region) = Region::mapped(layout, layout.size()) {
            return Ok(region);
        }
        // SAFETY: the size is at least one word.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(Errno::ENOMEM)?;
        Ok(Region { base, layout, mapped: None })
    }

    /// Pages of the system's own, which it zeroes when they are touched. The first `used` bytes are asked to have large ones. `None`
    /// where there are none, or too little is wanted.
    #[cfg(unix)]
    fn mapped(layout: Layout, used: usize) -> Option<Region> {
        if layout.size() < HUGE_PAGE || layout.align() > HUGE_PAGE {
            return None;
        }
        let len = layout.size().checked_next_multiple_of(HUGE_PAGE)? + HUGE_PAGE;
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE);
        // SAFETY: a new mapping, wherever the system wants it.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let start = NonNull::new(start.cast::<u8>())?;
        let skipped = start.addr().get().next_multiple_of(HUGE_PAGE) - start.addr().get();
        // SAFETY: less than a huge page, by which the mapping is longer than what is needed.
        let base = unsafe { start.add(skipped) };
        #[cfg(target_os = "linux")]
        if used >= HUGE_PAGE {
            let pages = used.next_multiple_of(HUGE_PAGE).min(len - HUGE_PAGE);
            // SAFETY: whole pages of this mapping, in which nothing was written yet; what the system does about it is its own affair.
            unsafe { libc::madvise(base.as_ptr().cast(), pages, libc::MADV_HUGEPAGE) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = used;
        Some(Region { base, layout, mapped: Some((start, len)) })
    }

    #[cfg(not(unix))]
    fn mapped(_layout: Layout, _used: usize) -> Option<Region> {
        None
    }

    /// Bytes of the region.
    pub(super) fn len(&self) -> usize {
        self.layout.size()
    }

    /// Whether these bytes lie in the region.
    pub(super) fn holds(&self, addr: u64, len: u64) -> bool {
        let size = self.len() as u64;
        addr.checked_sub(self.base.addr().get() as u64).is_some_and(|at| at <= size && len <= size - at)
    }

    /// The offset of an address, if it lies in the region.
    pub(super) fn offset_of(&self, address: NonNull<u8>) -> Option<usize> {
        let offset = address.addr().get().checked_sub(self.base.addr().get())?;
        (offset < self.len()).then_some(offset)
    }

    /// The address of byte `offset`.
    #[inline(always)]
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len(), "offset {offset} outside the region");
        // SAFETY: within the allocation, as was just checked.
        unsafe { self.base.add(offset) }
    }

    /// The words of `bytes` bytes from `offset`, the last of them padded. `offset` is a multiple of 8.
    #[inline(always)]
    pub(super) fn words(&self, offset: usize, bytes: usize) -> &[AtomicU64] {
        let count = bytes.div_ceil(WORD);
        let fits = offset.is_multiple_of(WORD) && offset <= self.len() && count <= (self.len() - offset) / WORD;
        assert!(fits, "{bytes} bytes from {offset} outside the region");
        // SAFETY: the range is inside the allocation and aligned (checked above; the base is aligned to a word at least);
        // the memory was zeroed, and atomics may be shared.
        unsafe { std::slice::from_raw_parts(self.base.add(offset).cast::<AtomicU64>().as_ptr(), count) }
    }

    /// The 32-bit cell at `offset`, a multiple of 4.
    #[inline(always)]
    pub(super) fn cell(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset < self.len() - 3, "offset {offset} outside the region");
        // SAFETY: inside the allocation and aligned, as was just checked; zeroed memory, shared as an atomic.
        unsafe { self.base.add(offset).cast::<AtomicU32>().as_ref() }
    }

    /// Copies `bytes` to `offset`, zeroing the padding of the last word.
    pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
        store(self.words(offset, bytes.len()), bytes);
    }

    /// Copies `bytes` bytes from an address that others may write to at the same time, as [`Region::write`].
    ///
    /// # Safety
    ///
    /// So many bytes can be read at `from`.
    #[inline(always)]
    pub(super) unsafe fn write_from(&self, offset: usize, from: *const u8, bytes: usize) {
        let words = self.words(offset, bytes);
        let whole = bytes / WORD;
        for (index, word) in words[..whole].iter().enumerate() {
            // SAFETY: within the bytes, by the caller; an array of bytes needs no alignment.
            let bytes = unsafe { from.add(index * WORD).cast::<[u8; WORD]>().read_volatile() };
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        if let Some(last) = words.get(whole) {
            let mut padded = [0; WORD];
            for (at, byte) in padded[..bytes % WORD].iter_mut().enumerate() {
                // SAFETY: as above.
                *byte = unsafe { from.add(whole * WORD + at).read_volatile() };
            }
            last.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
        }
    }

    /// `count` cells from `offset` on, a multiple of 4.
    #[inline(always)]
    pub(super) fn cells(&self, offset: usize, count: usize) -> &[AtomicU32] {
        let fits = offset.is_multiple_of(4) && offset <= self.len() && count <= (self.len() - offset) / 4;
        assert!(fits, "{count} cells from {offset} outside the region");
        // SAFETY: inside the allocation and aligned, as was just checked; zeroed memory, shared as atomics.
        unsafe { std::slice::from_raw_parts(self.base.add(offset).cast::<AtomicU32>().as_ptr(), count) }
    }

    /// Zeroes `bytes` bytes from `offset`.
    pub(super) fn clear(&self, offset: usize, bytes: usize) {
        for word in self.words(offset, bytes) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Appends the `bytes` bytes from `offset` to `out`.
    pub(super) fn read_into(&self, offset: usize, bytes: usize, out: &mut Vec<u8>) {
        let end = out.len() + bytes;
        for word in self.words(offset, bytes) {
            out.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        out.truncate(end);
    }

    /// The `bytes` bytes from `offset`.
    pub(super) fn read(&self, offset: usize, bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.next_multiple_of(WORD));
        self.read_into(offset, bytes, &mut out);
        out
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match self.mapped {
            // SAFETY: allocated in `zeroed_aligned` with this layout.
            None => unsafe { dealloc(self.base.as_ptr(), self.layout) },
            #[cfg(unix)]
            Some((start, len)) => {
                // SAFETY: mapped in `mapped`, and nothing refers to it any more.
                unsafe { libc::munmap(start.as_ptr().cast(), len) };
            }
            #[cfg(not(unix))]
            Some(_) => {}
        }
    }
}

/// Copies `bytes` into as many words, the last one padded with zeroes.
fn store(words: &[AtomicU64], bytes: &[u8]) {
    for (word, chunk) in words.iter().zip(bytes.chunks(WORD)) {
        word.store(load_word(chunk), Ordering::Relaxed);
    }
}

/// Up to 8 bytes as a word in memory order, padded with zeroes.
#[inline(always)]
pub(super) fn load_word(chunk: &[u8]) -> u64 {
    match chunk.first_chunk::<WORD>() {
        Some(whole) => u64::from_ne_bytes(*whole),
        None => {
            let mut padded = [0; WORD];
            padded[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(padded)
        }
    }
}

/// True if the words hold exactly `bytes` (and zero padding).
#[inline(always)]
pub(super) fn same(words: &[AtomicU64], bytes: &[u8]) -> bool {
    words.iter().zip(bytes.chunks(WORD)).all(|(word, chunk)| word.load(Ordering::Relaxed) == load_word(chunk))
}
