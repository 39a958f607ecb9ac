//! Pins: names in a BPF file system (`/sys/fs/bpf`) that keep objects alive without a process.

use std::ffi::CString;
use std::path::Path;

use crate::sys::{self, AsFd, Command};
use crate::{Error, Link, Map, Prog};

/// A path for the kernel.
pub(crate) fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Error::Name(path.display().to_string()))
}

fn pin(object: &impl AsFd, path: &Path) -> Result<(), Error> {
    sys::pin(object.as_fd(), &c_path(path)?).map_err(|f| f.of_path(path, Command::ObjPin))
}

fn get(path: &Path) -> Result<sys::OwnedFd, Error> {
    sys::get(&c_path(path)?, 0).map_err(|f| f.of_path(path, Command::ObjGet))
}

impl Prog {
    /// Gives the program a name in a BPF file system; to remove the file is to take it away.
    ///
    /// Errors: the kernel's: EINVAL where there is no BPF file system, EEXIST.
    pub fn pin(&self, path: &Path) -> Result<(), Error> {
        pin(self, path)
    }

    /// The program that is pinned there.
    pub fn pinned(path: &Path) -> Result<Prog, Error> {
        Prog::open(get(path)?)
    }
}

impl Map {
    /// Gives the map a name in a BPF file system; to remove the file is to take it away.
    ///
    /// Errors: the kernel's: EINVAL where there is no BPF file system, EEXIST.
    pub fn pin(&self, path: &Path) -> Result<(), Error> {
        pin(self, path)
    }

    /// The map that is pinned there.
    pub fn pinned(path: &Path) -> Result<Map, Error> {
        Map::open(get(path)?)
    }
}

impl Link {
    /// Gives the link a name in a BPF file system: it then stays when this is dropped, until the file is removed.
    ///
    /// Errors: the kernel's: EINVAL where there is no BPF file system, and for what is attached without a link.
    pub fn pin(&self, path: &Path) -> Result<(), Error> {
        pin(self, path)
    }

    /// The link that is pinned there.
    pub fn pinned(path: &Path) -> Result<Link, Error> {
        let fd = get(path)?;
        sys::expect("bpf_link", fd.as_fd())?;
        Ok(Link::from_fd(fd))
    }
}
