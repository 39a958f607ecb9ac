//! What filters of seccomp see and return (seccomp(2), `linux/seccomp.h`).

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
