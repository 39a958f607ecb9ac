//! A packet's memory: room in front, metadata, data, room behind, as a driver's receive buffer has them.
//!
//! The end of a long packet may be in fragments, pages that programs reach by helpers alone. Here they lie behind the rest, out
//! of a program's sight: what it can point to ends where the first of them begins.

use ring3_platform::Errno;

/// Bytes in front of a packet (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: usize = 256;
/// Bytes at the end of a buffer that stay the kernel's (`struct skb_shared_info`).
pub const TAIL_RESERVED: usize = 320;
/// Bytes at the start of a buffer that stay the kernel's (`struct xdp_frame`).
pub const HEAD_RESERVED: usize = 40;
/// Bytes of a buffer for a packet of usual size: a page.
pub const FRAME_BYTES: usize = 4096;
/// The longest packet.
pub const MAX_PACKET: usize = 1 << 18;
/// Bytes of an Ethernet header; no packet gets shorter.
pub const ETH_HLEN: usize = 14;
/// Bytes of a packet that come before its fragments, if it has some: what room a page has.
pub const LINEAR: usize = FRAME_BYTES - HEADROOM - TAIL_RESERVED;
/// Bytes of a fragment, at most.
const FRAGMENT: usize = 4096;
/// Bytes of a packet that may be in fragments: the kernel's packets have 17 (`MAX_SKB_FRAGS`).
pub const MAX_IN_FRAGMENTS: usize = 17 * FRAGMENT;
/// Most metadata.
pub const MAX_META: usize = 252;

/// A packet in its buffer. The bytes stay where they are until the next `load` or growth of a socket buffer.
#[derive(Debug, Default)]
pub struct Packet {
    buf: Vec<u8>,
    /// Address of `buf`, of which programs see addresses.
    base: u64,
    meta: usize,
    data: usize,
    end: usize,
    /// Bytes at the end that are in fragments. All of these but the last are full.
    fragments: usize,
    /// How far the part in front of the fragments may reach.
    room: usize,
}

/// The copy is in a buffer of its own, at other addresses.
impl Clone for Packet {
    fn clone(&self) -> Packet {
        let mut buf = self.buf.clone();
        let base = buf.as_mut_ptr() as u64;
        let Packet { meta, data, end, fragments, room, .. } = *self;
        Packet { base, buf, meta, data, end, fragments, room }
    }
}

impl Packet {
    /// Puts other bytes in, with fresh head room and zeroes around.
    pub fn load(&mut self, bytes: &[u8]) {
        let size = FRAME_BYTES.max(HEADROOM + bytes.len() + TAIL_RESERVED);
        self.buf.clear();
        self.buf.resize(size, 0);
        self.buf[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        self.base = self.buf.as_mut_ptr() as u64;
        (self.meta, self.data, self.end) = (HEADROOM, HEADROOM, HEADROOM + bytes.len());
        (self.fragments, self.room) = (0, size - TAIL_RESERVED);
    }

    /// The same; what does not fit into the first page is in fragments, as BPF_PROG_TEST_RUN does it.
    pub fn load_in_fragments(&mut self, bytes: &[u8]) {
        self.load(bytes);
        self.fragments = bytes.len().saturating_sub(LINEAR);
        self.room = FRAME_BYTES - TAIL_RESERVED;
        if self.fragments > 0 {
            // The last fragment may grow.
            self.buf.resize(self.buf.len() + FRAGMENT, 0);
            self.base = self.buf.as_mut_ptr() as u64;
        }
    }

    /// Puts bytes in of which the first `meta` are metadata and those behind the first `linear` in fragments.
    pub(crate) fn load_with_meta(&mut self, bytes: &[u8], meta: usize, linear: usize) {
        let (front, data) = bytes.split_at(meta.min(bytes.len()).min(HEADROOM));
        self.load_in_fragments(data);
        if self.fragments == 0 {
            // The last fragment may grow.
            self.buf.resize(self.buf.len() + FRAGMENT, 0);
            self.base = self.buf.as_mut_ptr() as u64;
        }
        self.fragments = self.fragments.max(bytes.len().saturating_sub(linear)).min(data.len());
        self.meta = self.data - front.len();
        self.buf[self.meta..self.data].copy_from_slice(front);
    }

    /// Bytes that are in fragments.
    pub fn in_fragments(&self) -> usize {
        self.fragments
    }

    /// The bytes of the packet, those in fragments with them.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.data..self.end]
    }

    /// The bytes of the packet, those in fragments with them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.data..self.end]
    }

    /// The metadata in front of the packet.
    pub fn meta(&self) -> &[u8] {
        &self.buf[self.meta..self.data]
    }

    /// Length, with the fragments.
    pub fn len(&self) -> usize {
        self.end - self.data
    }

    /// No bytes at all.
    pub fn is_empty(&self) -> bool {
        self.end == self.data
    }

    /// Address of the first byte of metadata.
    #[inline]
    pub fn meta_addr(&self) -> u64 {
        self.base + self.meta as u64
    }

    /// Address of the first byte.
    #[inline]
    pub fn data_addr(&self) -> u64 {
        self.base + self.data as u64
    }

    /// Address behind the last byte that is in no fragment.
    #[inline]
    pub fn end_addr(&self) -> u64 {
        self.base + self.linear_end() as u64
    }

    #[inline]
    fn linear_end(&self) -> usize {
        self.end - self.fragments
    }

    /// Bytes from `offset` bytes after the start of the packet, which may be negative as far as the head room.
    pub(crate) fn at_signed(&self, offset: i64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(self.data as i64 + offset).ok()?;
        self.buf.get(start..start.checked_add(len)?).filter(|_| start + len <= self.end)
    }

    /// Moves the start by `delta` bytes (negative: grow), metadata with it: `bpf_xdp_adjust_head`.
    pub fn adjust_head(&mut self, delta: i32) -> Result<(), Errno> {
        let meta_len = self.data - self.meta;
        let to = self.data as i64 + i64::from(delta);
        let lowest = (HEAD_RESERVED + meta_len) as i64;
        if to < lowest || to > self.linear_end() as i64 - ETH_HLEN as i64 {
            return Err(Errno::EINVAL);
        }
        let to = to as usize;
        self.buf.copy_within(self.meta..self.data, to - meta_len);
        (self.meta, self.data) = (to - meta_len, to);
        Ok(())
    }

    /// Moves the end by `delta` bytes, new ones are zero: `bpf_xdp_adjust_tail`.
    pub fn adjust_tail(&mut self, delta: i32) -> Result<(), Errno> {
        if self.fragments > 0 {
            return self.adjust_fragments(delta);
        }
        let to = self.end as i64 + i64::from(delta);
        if to > self.room as i64 || to < (self.data + ETH_HLEN) as i64 {
            return Err(Errno::EINVAL);
        }
        let to = to as usize;
        if to > self.end {
            self.buf[self.end..to].fill(0);
        }
        self.end = to;
        Ok(())
    }

    /// The same of a packet in fragments: the last one grows as far as its page goes; fragments that have nothing left are gone.
    fn adjust_fragments(&mut self, delta: i32) -> Result<(), Errno> {
        let (end, len) = (self.end, self.len());
        let Ok(grow) = usize::try_from(delta) else {
            let less = delta.unsigned_abs() as usize;
            if less > len - ETH_HLEN {
                return Err(Errno::EINVAL);
            }
            (self.end, self.fragments) = (end - less, self.fragments.saturating_sub(less));
            return Ok(());
        };
        let last = (self.fragments - 1) % FRAGMENT + 1;
        if grow > FRAGMENT - last {
            return Err(Errno::EINVAL);
        }
        self.buf[end..end + grow].fill(0);
        (self.end, self.fragments) = (end + grow, self.fragments + grow);
        Ok(())
    }

    /// Moves the start of the metadata by `delta` bytes: `bpf_xdp_adjust_meta`.
    pub fn adjust_meta(&mut self, delta: i32) -> Result<(), Errno> {
        let to = self.meta as i64 + i64::from(delta);
        if to < HEAD_RESERVED as i64 || to > self.data as i64 {
            return Err(Errno::EINVAL);
        }
        let len = self.data - to as usize;
        if !len.is_multiple_of(4) || len > MAX_META {
            return Err(Errno::EACCES);
        }
        self.meta = to as usize;
        Ok(())
    }

    /// Takes bytes off the front without a check of the rest: how a header is pulled.
    pub(crate) fn pull(&mut self, bytes: usize) {
        self.data = (self.data + bytes).min(self.end);
        self.meta = self.data;
    }

    /// Puts zeroed bytes in front; moves the packet to a larger buffer where the head room does not suffice.
    pub(crate) fn push_zeroed(&mut self, bytes: usize) {
        if bytes > self.data {
            let packet = self.bytes().to_vec();
            self.buf.clear();
            self.buf.resize(HEADROOM + bytes + packet.len() + TAIL_RESERVED, 0);
            self.data = HEADROOM + bytes;
            self.end = self.data + packet.len();
            self.buf[self.data..self.end].copy_from_slice(&packet);
            self.base = self.buf.as_mut_ptr() as u64;
            self.room = self.buf.len() - TAIL_RESERVED;
        }
        let to = self.data - bytes;
        self.buf[to..self.data].fill(0);
        (self.meta, self.data) = (to, to);
    }

    /// Replaces the length, for which the packet may move; new bytes are zero.
    pub(crate) fn set_len(&mut self, len: usize) {
        let end = self.data + len;
        if end + TAIL_RESERVED > self.buf.len() {
            self.buf.resize(end + TAIL_RESERVED, 0);
            self.base = self.buf.as_mut_ptr() as u64;
            self.room = end;
        }
        if end > self.end {
            self.buf[self.end..end].fill(0);
        }
        self.end = end;
    }
}
