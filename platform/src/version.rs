//! Kernel versions, to say since when something exists.

/// A mainline release, as `6.18`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KernelVersion {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
}

impl KernelVersion {
    /// The release that ring3 judges by unless told otherwise.
    pub const V6_18: KernelVersion = KernelVersion::new(6, 18);

    /// `new(6, 18)` is Linux 6.18.
    pub const fn new(major: u8, minor: u8) -> Self {
        KernelVersion { major, minor }
    }
}

impl core::fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl core::str::FromStr for KernelVersion {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let bad = || format!("'{s}' is not a kernel version such as 6.18");
        let (major, minor) = s.split_once('.').ok_or_else(bad)?;
        Ok(KernelVersion { major: major.parse().map_err(|_| bad())?, minor: minor.parse().map_err(|_| bad())? })
    }
}
