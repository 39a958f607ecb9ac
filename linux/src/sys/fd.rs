//! File descriptors, also where there are none: then these are types without values.

/// A number of a file descriptor, as attributes hold it.
pub type Fd = u32;

#[cfg(unix)]
mod imp {
    pub use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::os::fd::{AsRawFd, FromRawFd};

    /// # Safety
    /// The descriptor is open, and nobody else owns it.
    pub unsafe fn own(fd: i32) -> OwnedFd {
        // SAFETY: as the caller promises.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    /// The number, for attributes.
    pub fn number(fd: BorrowedFd<'_>) -> super::Fd {
        fd.as_raw_fd().cast_unsigned()
    }
}

#[cfg(not(unix))]
mod imp {
    use std::convert::Infallible;
    use std::marker::PhantomData;

    /// A file descriptor; there are none on this system.
    #[derive(Debug)]
    pub struct OwnedFd(Infallible);

    /// A file descriptor of somebody else; there are none on this system.
    #[derive(Clone, Copy, Debug)]
    pub struct BorrowedFd<'a>(Infallible, PhantomData<&'a ()>);

    /// Has a file descriptor.
    pub trait AsFd {
        /// It.
        fn as_fd(&self) -> BorrowedFd<'_>;
    }

    impl AsFd for OwnedFd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            BorrowedFd(self.0, PhantomData)
        }
    }

    impl BorrowedFd<'_> {
        /// Another descriptor of the same file.
        pub fn try_clone_to_owned(&self) -> std::io::Result<OwnedFd> {
            match self.0 {}
        }
    }

    /// # Safety
    /// Never called: no system call gives a descriptor here.
    pub unsafe fn own(_: i32) -> OwnedFd {
        unreachable!("no system call succeeds here")
    }

    /// The number, for attributes.
    pub fn number(fd: BorrowedFd<'_>) -> super::Fd {
        match fd.0 {}
    }
}

pub use imp::{AsFd, BorrowedFd, OwnedFd, number, own};
