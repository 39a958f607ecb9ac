//! Whether bpf(2) can be used, and if not, why.

use std::fmt;
use std::io::Read;

use ring3_isa::Code;
use ring3_platform::{ProgType, Program};

use crate::{Errno, Error, LoadOptions, load};

/// Why bpf(2) cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unavailable {
    /// Another system.
    NotLinux,
    /// ENOSYS: a kernel without it (CONFIG_BPF_SYSCALL), or a sandbox that says so.
    NoSystemCall,
    /// EPERM, because the process lacks CAP_BPF (CAP_SYS_ADMIN before 5.8); with the value of
    /// `kernel.unprivileged_bpf_disabled`, if it can be read.
    NotPermitted {
        /// 0: allowed to everybody, in part; 1 and 2: not.
        unprivileged_disabled: Option<u8>,
    },
    /// EPERM within a user namespace: the capability counts there only, not in the kernel.
    UserNamespace,
    /// EPERM though the capability is there, and a seccomp filter is active: containers have one that forbids bpf(2).
    Seccomp,
    /// EPERM though the capability is there: lockdown, another security module, or (before 5.11) `ulimit -l`.
    Forbidden,
    /// The simplest program cannot be loaded for another reason.
    Refused(Errno),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::NotLinux => f.write_str("this is not Linux"),
            Unavailable::NoSystemCall => f.write_str("the kernel has no bpf(2) (ENOSYS), or a sandbox hides it"),
            Unavailable::NotPermitted { unprivileged_disabled } => {
                f.write_str("it needs root, or CAP_BPF with CAP_NET_ADMIN and CAP_PERFMON (EPERM")?;
                if let Some(value) = unprivileged_disabled {
                    write!(f, "; kernel.unprivileged_bpf_disabled is {value}")?;
                }
                f.write_str(")")
            }
            Unavailable::UserNamespace => {
                f.write_str("this root is one of a user namespace only, which bpf(2) does not count (EPERM)")
            }
            Unavailable::Seccomp => f.write_str("a seccomp filter forbids it (EPERM), as in most containers"),
            Unavailable::Forbidden => {
                f.write_str("lockdown, a security module or the limit of locked memory forbids it (EPERM)")
            }
            Unavailable::Refused(errno) => write!(f, "the simplest program cannot be loaded: {errno}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// `r0 = 0`, `exit`.
const NOTHING: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// CAP_SYS_ADMIN and CAP_BPF, as bits of the capabilities in `/proc/self/status`.
const CAPABILITIES: u64 = 1 << 21 | 1 << 39;

/// Can programs be loaded and run here? Tries it with one that does nothing.
///
/// Errors: why not.
pub fn available() -> Result<(), Unavailable> {
    let code = Code::from_bytes(&NOTHING, ring3_isa::Endianness::Little);
    let code = code.map_err(|_| Unavailable::Refused(Errno::EINVAL))?;
    // A type that needs more than the unprivileged have, so that the answer holds for the others, too.
    let program = Program::new("probe", ProgType::Xdp, code);
    match load(&program, &LoadOptions::default()) {
        Ok(_) => Ok(()),
        Err(Error::NotLinux) => Err(Unavailable::NotLinux),
        Err(error) => Err(match error.errno() {
            Some(Errno::ENOSYS) => Unavailable::NoSystemCall,
            Some(Errno::EPERM | Errno::EACCES) => why_not_permitted(),
            Some(errno) => Unavailable::Refused(errno),
            None => Unavailable::Refused(Errno::EINVAL),
        }),
    }
}

fn why_not_permitted() -> Unavailable {
    // Capabilities and filters belong to threads.
    let status = read("/proc/thread-self/status").or_else(|| read("/proc/self/status")).unwrap_or_default();
    if capabilities(&status) & CAPABILITIES == 0 {
        let value = read("/proc/sys/kernel/unprivileged_bpf_disabled").and_then(|text| text.trim().parse().ok());
        return Unavailable::NotPermitted { unprivileged_disabled: value };
    }
    if field(&status, "Seccomp").is_some_and(|mode| mode != "0") {
        return Unavailable::Seccomp;
    }
    // The first user namespace maps all ids to themselves.
    let map = read("/proc/self/uid_map").unwrap_or_default();
    if !map.is_empty() && map.split_whitespace().ne(["0", "0", "4294967295"]) {
        return Unavailable::UserNamespace;
    }
    Unavailable::Forbidden
}

/// A line `Name:\tvalue` of `/proc/self/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn capabilities(status: &str) -> u64 {
    field(status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

/// A small file of the kernel.
pub(crate) fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(1 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_a_process() {
        let status = "Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t2\n";
        assert_eq!(capabilities(status), 0x1ff_ffff_ffff);
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "Sec"), None);
        assert_eq!(capabilities("CapEff:\tzz"), 0);
    }
}
