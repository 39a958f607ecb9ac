//! Types that the kernel has loaded.

use ring3_btf::{Btf, Endian};

use crate::Error;
use crate::load::{Log, grown};
use crate::sys::{self, AsFd, BorrowedFd, Failure, OwnedFd};

/// Types in the kernel, loaded by BPF_BTF_LOAD.
#[derive(Debug)]
pub struct BtfObject {
    fd: OwnedFd,
}

impl AsFd for BtfObject {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl BtfObject {
    /// Loads types.
    ///
    /// Errors: what the kernel refuses, with its log.
    pub fn load(btf: &Btf) -> Result<BtfObject, Error> {
        BtfObject::load_bytes(&btf.to_bytes(native()))
    }

    /// Loads a `.BTF` section in native byte order.
    pub fn load_bytes(bytes: &[u8]) -> Result<BtfObject, Error> {
        match sys::btf_load(bytes, 0, &mut []).result {
            Ok(fd) => return Ok(BtfObject { fd }),
            Err(Failure::Errno(_)) => {}
            Err(failure) => return Err(failure.of(sys::Command::BtfLoad)),
        }
        let (result, log) = grown(|log| sys::btf_load(bytes, u32::from(!log.is_empty()), log));
        match result {
            Ok(fd) => Ok(BtfObject { fd }),
            Err(Failure::Errno(errno)) => Err(Error::Btf { errno, log }),
            Err(failure) => Err(failure.of(sys::Command::BtfLoad)),
        }
    }

    /// Takes a descriptor of types.
    pub fn from_fd(fd: OwnedFd) -> BtfObject {
        BtfObject { fd }
    }
}

/// The byte order of this machine.
pub(crate) const fn native() -> Endian {
    if cfg!(target_endian = "little") { Endian::Little } else { Endian::Big }
}

/// A log that says nothing.
pub(crate) const NO_LOG: Log = Log { text: String::new(), is_whole: true };
