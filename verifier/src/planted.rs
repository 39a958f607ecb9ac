//! Mistakes that verifiers had, to be planted in a walk, so that tests can show that cases and oracles find each of them.
//!
//! Only with the feature `planted`, which nothing but tests has; without it no walk has any, and the compiler knows.

use ring3_isa::{AluOp, Width};

use crate::domain::{Scalar, alu};
use crate::walk::Walk;

macro_rules! bugs {
    ($($variant:ident $text:literal;)*) => {
        /// A mistake.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[cfg_attr(not(feature = "planted"), allow(dead_code))]
        pub enum Bug { $(#[doc = $text] $variant),* }

        #[cfg(feature = "planted")]
        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$variant),*];
        }
    };
}

bugs! {
    MovSigned "CVE-2017-16995: a 32-bit constant is sign-extended.";
    NotCut "CVE-2017-16996: the result of a 32-bit operation is not cut to 32 bits.";
    SignedShift "CVE-2017-17853: a shift to the right without sign keeps the sign.";
    WideShift "CVE-2018-18445: a 32-bit shift to the right sees the high half.";
    Jump32High "CVE-2020-8835: a 32-bit comparison teaches of all 64 bits.";
    OrLowBounds "CVE-2020-27194: the low half after OR has the 64-bit bounds, cut off.";
    AndLowBounds "CVE-2021-3490: the low half keeps its bounds through AND.";
    AnyMap "CVE-2021-34866: helpers take maps of any type.";
    NullArithmetic "CVE-2022-23222: pointers that may be null are moved.";
    WriteReadOnly "CVE-2024-49861: helpers write where a program may only read.";
    NothingPrecise "CVE-2022-49961, CVE-2023-2163: numbers that decide something are not marked.";
    CallbackNever "CVE-2022-50650: what a callback does to its caller is not looked at.";
    SpillUntracked "CVE-2023-52920: precision does not go through spills.";
    FlowKeysVariable "CVE-2024-26589: flow keys at a variable offset.";
    NegPointer "CVE-2025-40050: the negative of a pointer is that pointer.";
    PacketKept "CVE-2024-58098: pointers to the packet survive what moves it.";
    NothingLive "CVE-2025-38607: registers that are read later count as dead.";
    OrForks "CVE-2026-31413: 0 or a constant is 0.";
    FetchUntracked "CVE-2026-43009: precision does not go through atomic operations that fetch.";
    SwapKeepsLink "CVE-2026-43070: a number with swapped bytes is still linked to what it was.";
    LostDistance "CVE-2026-45933: linked numbers lose their distance.";
    AddItself "CVE-2026-53092: a number that was added to itself is still linked to what it was.";
    PacketSides "What a comparison with the end of the packet teaches is learned on the other side.";
    LeakAllowed "References that are held at the end.";
}

impl Walk<'_> {
    /// Whether a mistake is planted.
    #[cfg(feature = "planted")]
    pub(crate) fn has_bug(&self, bug: Bug) -> bool {
        self.planted == Some(bug)
    }

    /// Whether a mistake is planted: never.
    #[cfg(not(feature = "planted"))]
    #[allow(clippy::unused_self)]
    pub(crate) const fn has_bug(&self, _: Bug) -> bool {
        false
    }

    /// The result of arithmetic as planted mistakes have it.
    pub(crate) fn spoilt_alu(&self, width: Width, op: AluOp, dst: &Scalar, src: &Scalar, right: Scalar) -> Scalar {
        let low = |known: &Scalar| right.meet_s32range(known.s32min(), known.s32max());
        match (op, width) {
            (_, Width::W32) if self.has_bug(Bug::NotCut) => alu(op, Width::W64, dst, src),
            (AluOp::Rsh, Width::W64) if self.has_bug(Bug::SignedShift) => alu(AluOp::Arsh, width, dst, src),
            (AluOp::Rsh, Width::W32) if self.has_bug(Bug::WideShift) => alu(op, Width::W64, dst, src),
            (AluOp::Or, Width::W64) if self.has_bug(Bug::OrLowBounds) => {
                let cut = |end: u64| ring3_isa::num::low_s32(end);
                let (min, max) = (cut(dst.umin()), cut(dst.umax()));
                if min <= max { right.meet_s32range(min, max) } else { right }
            }
            (AluOp::And, Width::W64) if self.has_bug(Bug::AndLowBounds) => low(src),
            _ => right,
        }
    }
}
