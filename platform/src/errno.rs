//! Linux error numbers that loading and running can give (errno(3)).

macro_rules! errnos {
    ($($name:ident = $number:literal),* $(,)?) => {
        /// An error number. Helpers return it negated.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs, clippy::upper_case_acronyms)]
        #[repr(i32)]
        pub enum Errno { $($name = $number),* }

        impl Errno {
            /// The name as in errno(3), such as `EINVAL`.
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$name => stringify!($name)),* }
            }

            /// By that name.
            pub fn by_name(name: &str) -> Option<Errno> {
                [$(Errno::$name),*].into_iter().find(|errno| errno.name() == name)
            }
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, ENXIO = 6, E2BIG = 7, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14,
    EBUSY = 16, EEXIST = 17, ENODEV = 19, EINVAL = 22, ENOSPC = 28, ERANGE = 34, ENAMETOOLONG = 36, ELOOP = 40, EPROTO = 71, EBADMSG = 74, EOVERFLOW = 75,
    EMSGSIZE = 90, ENOPROTOOPT = 92, EOPNOTSUPP = 95, EAFNOSUPPORT = 97, ENETUNREACH = 101, EALREADY = 114, ENOTSUPP = 524,
}

impl Errno {
    /// The positive number.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// What a helper returns for this error: the negated number as the 64-bit value of R0.
    pub const fn as_ret(self) -> u64 {
        (-(self as i64)) as u64
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
