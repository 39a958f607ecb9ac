//! What a helper of the embedder sees of the run that calls it.

use ring3_platform::ProgType;

use crate::env::Env;
use crate::host::Host;
use crate::link::MapHandle;

/// A call of a helper of the embedder. It does not give out the environment itself, since a helper that replaced the context would
/// leave the program with addresses of memory that is gone.
#[derive(Debug)]
pub struct Call<'e, 'h> {
    env: &'e mut Env<'h>,
}

impl<'e, 'h> Call<'e, 'h> {
    pub(crate) fn new(env: &'e mut Env<'h>) -> Call<'e, 'h> {
        Call { env }
    }

    /// The surroundings of the run.
    pub fn host(&mut self) -> &mut dyn Host {
        self.env.host
    }

    /// The CPU of the run.
    pub fn cpu(&self) -> u32 {
        self.env.cpu
    }

    /// The type of the program that calls.
    pub fn program_type(&self) -> Option<ProgType> {
        self.env.linked.as_ref().map(|linked| linked.kind())
    }

    /// The next number of `bpf_get_prandom_u32`.
    pub fn prandom_u32(&mut self) -> u32 {
        self.env.prandom_u32()
    }

    /// Adds a line to the trace.
    pub fn trace(&mut self, text: &str) {
        self.env.trace.push(text.as_bytes());
    }

    /// The packet of the run, if it has one.
    pub fn packet(&self) -> Option<&[u8]> {
        self.env.ctx.packet().map(|packet| packet.bytes())
    }

    /// The packet of the run, if it has one.
    pub fn packet_mut(&mut self) -> Option<&mut [u8]> {
        self.env.ctx.packet_mut().map(|packet| packet.bytes_mut())
    }

    /// Reads memory that the program passed by address: its stack, its packet, values of its maps. False, and zeroes, if the
    /// bytes are not known to be live. An unverified program goes on; `trap` stops it.
    pub fn read(&self, addr: u64, out: &mut [u8]) -> bool {
        self.env.known_bytes(addr, out)
    }

    /// Writes memory that an unverified program passed by address. False, and nothing is written, if the bytes are not live or may
    /// not be written, and in every verified program: its proof knows nothing of the write, unless the helper's prototype does.
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> bool {
        if self.env.regions.is_none() {
            return false;
        }
        // SAFETY: the program is not verified, so that `mem_mut` looks the bytes up; what is copied is not the program's.
        match unsafe { self.env.mem_mut(addr, bytes.len() as u64) } {
            Some(to) => to.copy_from_slice(bytes),
            None => return false,
        }
        true
    }

    /// Stops the run, saying that an argument is not what it must be. The value that the helper returns does not count.
    pub fn trap(&mut self, value: u64, what: &'static str) {
        self.env.trap_argument(value, what);
    }

    /// Memory that the helper may read, without a copy. `None` if an unverified program passed memory that is not live; the run
    /// then stops.
    ///
    /// # Safety
    ///
    /// The helper's prototype has the bytes as memory of that length, and nothing writes there while the slice is used.
    pub unsafe fn mem(&mut self, addr: u64, len: u64) -> Option<&[u8]> {
        // SAFETY: passed on from the caller.
        unsafe { self.env.mem(addr, len) }
    }

    /// Memory that the helper may write. As `mem`.
    ///
    /// # Safety
    ///
    /// As of `mem`, for memory that is written; nothing else looks at the bytes while the slice is used.
    pub unsafe fn mem_mut(&mut self, addr: u64, len: u64) -> Option<&mut [u8]> {
        // SAFETY: passed on from the caller.
        unsafe { self.env.mem_mut(addr, len) }
    }

    /// The map behind an argument. `None` if an unverified program passed something else; the run then stops.
    ///
    /// # Safety
    ///
    /// The helper's prototype has the argument as a map.
    pub unsafe fn map(&mut self, handle: u64) -> Option<&MapHandle> {
        // SAFETY: passed on from the caller.
        unsafe { self.env.map(handle) }
    }
}
