//! Error numbers as the kernel gave them.

use std::fmt;

/// An error number (errno(3)), whatever the kernel gave; positive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $number:literal)*) => {
        #[allow(missing_docs)]
        impl Errno {
            $(pub const $name: Errno = Errno($number);)*

            /// Name as in errno(3), such as `EACCES`; `None` of one that bpf(2) is not known to give.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)* _ => None }
            }
        }
    };
}

// The numbers that Linux has on every architecture that runs BPF programs by JIT, but for MIPS and SPARC above 34.
errnos! {
    EPERM = 1 ENOENT = 2 ESRCH = 3 EINTR = 4 EIO = 5 ENXIO = 6 E2BIG = 7 EBADF = 9 EAGAIN = 11 ENOMEM = 12 EACCES = 13
    EFAULT = 14 EBUSY = 16 EEXIST = 17 ENODEV = 19 ENOTDIR = 20 EINVAL = 22 ENFILE = 23 EMFILE = 24 ENOSPC = 28
    EROFS = 30 EDOM = 33 ERANGE = 34 ENAMETOOLONG = 36 ENOSYS = 38 ELOOP = 40 EBADFD = 77 EPROTO = 71 EOVERFLOW = 75
    EMSGSIZE = 90 EPROTONOSUPPORT = 93 EOPNOTSUPP = 95 EAFNOSUPPORT = 97 ENETUNREACH = 101 ETIMEDOUT = 110
    ESTALE = 116 ENOTSUPP = 524
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        // The library's text ends in its own note of the number.
        let text = text.split(" (os error").next().unwrap_or(&text);
        match self.name() {
            // Known inside the kernel only, so the library has no text.
            Some(name) if *self == Errno::ENOTSUPP => write!(f, "{name} ({})", self.0),
            Some(name) => write!(f, "{name} ({}): {text}", self.0),
            None => write!(f, "error {}: {text}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        std::io::Error::from_raw_os_error(errno.0)
    }
}
