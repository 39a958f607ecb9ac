//! Which register of the machine holds which register of BPF.
//!
//! R1 to R5 sit where the procedure call standard passes the first five arguments, so that calls move none of them. It returns in
//! X0 where R1 is, so R0 has X7 and moves at calls of helpers and at the end of a main function. R6 to R9 sit in registers that
//! callees keep, and R10 is the frame pointer: the stack of BPF lies right below the frame record. The environment stays in X23.

use ring3_isa::Reg;

/// First argument and first result.
pub(super) const X0: u8 = 0;
/// Third argument.
pub(super) const X2: u8 = 2;
/// R0.
pub(super) const X7: u8 = 7;
/// Scratch: free between operations, as X9 to X17 all are.
pub(super) const X13: u8 = 13;
/// Scratch.
pub(super) const X14: u8 = 14;
/// Scratch.
pub(super) const X15: u8 = 15;
/// Scratch: addresses.
pub(super) const X16: u8 = 16;
/// Scratch: values.
pub(super) const X17: u8 = 17;
/// The environment.
pub(super) const ENV: u8 = 23;
/// Zero.
pub(super) const XZR: u8 = 31;

/// By number of the register of BPF. Sixteen, so that no number needs to be looked at before.
const OF: [u8; 16] = [X7, 0, 1, 2, 3, 4, 19, 20, 21, 22, 29, 0, 0, 0, 0, 0];

const _: () = assert!(Reg::COUNT == 11);

/// The register of the machine.
#[inline(always)]
pub(super) const fn of(reg: Reg) -> u8 {
    OF[reg.index() & 15]
}
