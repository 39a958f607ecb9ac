//! A packet's memory: room in front, metadata, data, room behind, as a driver's receive buffer has them.

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
}

/// The copy is in a buffer of its own, at other addresses.
impl Clone for Packet {
    fn clone(&self) -> Packet {
        let mut buf = self.buf.clone();
        Packet { base: buf.as_mut_ptr() as u64, buf, meta: self.meta, data: self.data, end: self.end }
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
    }

    /// The bytes of the packet.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.data..self.end]
    }

    /// The bytes of the packet.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.data..self.end]
    }

    /// The metadata in front of the packet.
    pub fn meta(&self) -> &[u8] {
        &self.buf[self.meta..self.data]
    }

    /// Length.
    pub fn len(&self) -> usize {
        self.end - self.data
    }

    /// No bytes at all.
    pub fn is_empty(&self) -> bool {
        self.end == self.data
    }

    /// Address of the first byte of metadata.
    pub fn meta_addr(&self) -> u64 {
        self.base + self.meta as u64
    }

    /// Address of the first byte.
    pub fn data_addr(&self) -> u64 {
        self.base + self.data as u64
    }

    /// Address behind the last byte.
    pub fn end_addr(&self) -> u64 {
        self.base + self.end as u64
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
        if to < lowest || to > self.end as i64 - ETH_HLEN as i64 {
            return Err(Errno::EINVAL);
        }
        let to = to as usize;
        self.buf.copy_within(self.meta..self.data, to - meta_len);
        (self.meta, self.data) = (to - meta_len, to);
        Ok(())
    }

    /// Moves the end by `delta` bytes, new ones are zero: `bpf_xdp_adjust_tail`.
    pub fn adjust_tail(&mut self, delta: i32) -> Result<(), Errno> {
        let to = self.end as i64 + i64::from(delta);
        if to > self.buf.len() as i64 - TAIL_RESERVED as i64 || to < (self.data + ETH_HLEN) as i64 {
            return Err(Errno::EINVAL);
        }
        let to = to as usize;
        if to > self.end {
            self.buf[self.end..to].fill(0);
        }
        self.end = to;
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
        }
        if end > self.end {
            self.buf[self.end..end].fill(0);
        }
        self.end = end;
    }
}
