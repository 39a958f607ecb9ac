//! A context of raw bytes: registers of a probe, a tracepoint's record, the arguments of a raw tracepoint.

/// Bytes that every raw context has at least.
pub(crate) const MIN_BYTES: usize = 512;

/// Bytes at an address that is a multiple of 8.
#[derive(Clone, Debug, Default)]
pub struct RawContext {
    words: Box<[u64]>,
    len: usize,
}

impl RawContext {
    /// These bytes.
    pub fn new(bytes: &[u8]) -> RawContext {
        RawContext::padded(bytes, bytes.len())
    }

    /// These bytes, and zeroes behind them up to `len`.
    pub fn padded(bytes: &[u8], len: usize) -> RawContext {
        let len = len.max(bytes.len());
        let mut padded = bytes.to_vec();
        padded.resize(len.next_multiple_of(8), 0);
        let (chunks, _) = padded.as_chunks::<8>();
        RawContext { words: chunks.iter().map(|c| u64::from_ne_bytes(*c)).collect(), len }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        bytes.truncate(self.len);
        bytes
    }

    /// The word at a multiple of 8.
    pub(crate) fn word(&self, at: usize) -> Option<u64> {
        self.words.get(at / 8).copied()
    }

    pub(crate) fn start(&self) -> u64 {
        self.words.as_ptr() as u64
    }

    pub(crate) fn addr(&mut self) -> u64 {
        if self.len == 0 { 0 } else { self.words.as_mut_ptr() as u64 }
    }
}
