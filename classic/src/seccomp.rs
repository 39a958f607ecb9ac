//! What filters of seccomp see and return (seccomp(2), `linux/seccomp.h`).

use std::fmt;

use crate::syscalls::errno_name;

/// `struct seccomp_data`: a system call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SeccompData {
    /// Number of the system call.
    pub nr: i32,
    /// Architecture, an `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where it was called from.
    pub instruction_pointer: u64,
    /// Arguments.
    pub args: [u64; 6],
}

impl SeccompData {
    /// Bytes of the struct.
    pub const BYTES: usize = 64;

    /// The struct in memory, in the byte order of this machine.
    pub fn to_bytes(&self) -> [u8; SeccompData::BYTES] {
        let mut bytes = [0; SeccompData::BYTES];
        bytes[..4].copy_from_slice(&self.nr.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.arch.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.instruction_pointer.to_ne_bytes());
        for (to, arg) in bytes[16..].as_chunks_mut::<8>().0.iter_mut().zip(self.args) {
            *to = arg.to_ne_bytes();
        }
        bytes
    }
}

/// Data of an error number above this count as this (`MAX_ERRNO`).
const MAX_ERRNO: u16 = 4095;

/// What a filter wants done with a system call. The 16 low bits of the number that it returns are data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// `SECCOMP_RET_KILL_PROCESS`
    KillProcess,
    /// `SECCOMP_RET_KILL_THREAD`
    KillThread,
    /// `SECCOMP_RET_TRAP`: SIGSYS with these data.
    Trap(u16),
    /// `SECCOMP_RET_ERRNO`: it fails with this error number.
    Errno(u16),
    /// `SECCOMP_RET_USER_NOTIF`: a supervisor decides.
    UserNotif,
    /// `SECCOMP_RET_TRACE`: a tracer decides, which gets these data.
    Trace(u16),
    /// `SECCOMP_RET_LOG`: it is done, and logged.
    Log,
    /// `SECCOMP_RET_ALLOW`
    Allow,
    /// No action has this number; Linux kills the process.
    Unknown(u32),
}

impl Action {
    /// Decodes what a filter returned.
    pub fn of(value: u32) -> Action {
        let data = value as u16;
        match value >> 16 {
            0x8000 => Action::KillProcess,
            0x0000 => Action::KillThread,
            0x0003 => Action::Trap(data),
            0x0005 => Action::Errno(data.min(MAX_ERRNO)),
            0x7fc0 => Action::UserNotif,
            0x7ff0 => Action::Trace(data),
            0x7ffc => Action::Log,
            0x7fff => Action::Allow,
            _ => Action::Unknown(value),
        }
    }

    /// The constant of the header, `None` for a number that has none.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Action::KillProcess => "SECCOMP_RET_KILL_PROCESS",
            Action::KillThread => "SECCOMP_RET_KILL_THREAD",
            Action::Trap(_) => "SECCOMP_RET_TRAP",
            Action::Errno(_) => "SECCOMP_RET_ERRNO",
            Action::UserNotif => "SECCOMP_RET_USER_NOTIF",
            Action::Trace(_) => "SECCOMP_RET_TRACE",
            Action::Log => "SECCOMP_RET_LOG",
            Action::Allow => "SECCOMP_RET_ALLOW",
            Action::Unknown(_) => return None,
        })
    }

    /// The name of the error number that the call fails with.
    pub fn errno_name(self) -> Option<&'static str> {
        match self {
            Action::Errno(errno) => errno_name(errno),
            Action::KillProcess
            | Action::KillThread
            | Action::Trap(_)
            | Action::UserNotif
            | Action::Trace(_)
            | Action::Log
            | Action::Allow
            | Action::Unknown(_) => None,
        }
    }

    /// The data that Linux looks at.
    pub const fn data(self) -> Option<u16> {
        match self {
            Action::Trap(data) | Action::Errno(data) | Action::Trace(data) => Some(data),
            Action::KillProcess
            | Action::KillThread
            | Action::UserNotif
            | Action::Log
            | Action::Allow
            | Action::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.name().unwrap_or("")) {
            (Action::Errno(errno), name) => match errno_name(errno) {
                Some(error) => write!(f, "{name}({errno} {error})"),
                None => write!(f, "{name}({errno})"),
            },
            (Action::Trap(data) | Action::Trace(data), name) => write!(f, "{name}({data})"),
            (Action::Unknown(value), _) => write!(f, "{value:#x}, which is no action: kills the process"),
            (Action::KillProcess | Action::KillThread | Action::UserNotif | Action::Log | Action::Allow, name) => {
                f.write_str(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_decoded() {
        for (value, text) in [
            (0x8000_0007, "SECCOMP_RET_KILL_PROCESS"),
            (0, "SECCOMP_RET_KILL_THREAD"),
            (0x0003_0009, "SECCOMP_RET_TRAP(9)"),
            (0x0005_0001, "SECCOMP_RET_ERRNO(1 EPERM)"),
            (0x0005_0000, "SECCOMP_RET_ERRNO(0)"),
            (0x0005_ffff, "SECCOMP_RET_ERRNO(4095)"),
            (0x7fc0_0000, "SECCOMP_RET_USER_NOTIF"),
            (0x7ff0_ffff, "SECCOMP_RET_TRACE(65535)"),
            (0x7ffc_0000, "SECCOMP_RET_LOG"),
            (0x7fff_0000, "SECCOMP_RET_ALLOW"),
            (0x1234_0000, "0x12340000, which is no action: kills the process"),
        ] {
            assert_eq!(Action::of(value).to_string(), text);
        }
    }

    #[test]
    fn the_struct_is_laid_out_as_linux_has_it() {
        let args = [2, 3, 4, 5, 6, 7];
        let bytes = SeccompData { nr: 0, arch: 1, instruction_pointer: 9, args }.to_bytes();
        assert_eq!(bytes[4..8], 1u32.to_ne_bytes());
        assert_eq!(bytes[8..16], 9u64.to_ne_bytes());
        assert_eq!(bytes[56..64], 7u64.to_ne_bytes());
    }
}
