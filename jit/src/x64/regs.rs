//! Which register of the machine holds which register of BPF.
//!
//! R1 to R5 sit where the System V ABI passes the first five arguments and R0 where it returns, so that calls move nothing;
//! R6 to R9 and R10 sit in registers that callees keep. The environment stays in R12 and is passed as the sixth argument.

use ring3_isa::Reg;

pub(super) const RAX: u8 = 0;
pub(super) const RCX: u8 = 1;
pub(super) const RDX: u8 = 2;
pub(super) const RBX: u8 = 3;
pub(super) const RBP: u8 = 5;
pub(super) const RSI: u8 = 6;
pub(super) const RDI: u8 = 7;
pub(super) const R8: u8 = 8;
/// The environment.
pub(super) const R12: u8 = 12;
pub(super) const R13: u8 = 13;
pub(super) const R14: u8 = 14;
pub(super) const R15: u8 = 15;

/// Scratch: free between operations, as R9 of the machine is too.
pub(super) const R10: u8 = 10;
/// Scratch.
pub(super) const R11: u8 = 11;

/// By number of the register of BPF. Sixteen, so that no number needs to be looked at before.
pub(super) const OF: [u8; 16] = [RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP, 0, 0, 0, 0, 0];

const _: () = assert!(Reg::COUNT == 11);

/// The register of the machine.
#[inline(always)]
pub(super) const fn of(reg: Reg) -> u8 {
    OF[reg.index() & 15]
}
