//! Mistakes to be planted in the compiler, so that tests can show that the differential finds each of them.
//!
//! Only with the feature `planted`, which nothing but tests has; without it there is none, and the compiler knows.

use crate::compile::Unit;

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
    SameRegisters "A function that stands where it is called changes R6 to R9 of its caller.";
    SameStack "Its stack is that of its caller.";
    NothingNeeded "Nobody needs R6 to R9 behind a call of a function.";
    SpareInUse "A function takes registers in the place of R6 to R9 that it uses for something else.";
    NothingAbove "Of what callers of callers need a function saves only what it changes itself.";
    CallbacksSaveNothing "A function that is called from outside too saves only what callers of the program need.";
    LostUnknown "A register that a call loses still has what it had.";
    ShiftReadFirst "A value that was brought back is what was there first.";
    ShiftGone "A register that was shifted still has what it had.";
    RotateShared "Nobody else reads a shift that becomes a rotation.";
    CopyGone "What was copied still is where it was.";
    IndexGone "So is a register that was added to an address.";
    SumStays "A sum that an access takes apart still is in its register.";
    BitGone "So is what a bit was tested of.";
    LowIsWhole "A copy of the low half is a copy of all.";
    LoadedChanged "Memory is what it was when it was loaded.";
    WideChanged "So it is when its bytes are put together.";
    UpdateOperand "What a load was changed by still is where it was.";
    LoadsMove "Stores may be joined around a load.";
    KnownOneWay "What a register holds on one way to a block it holds on all.";
    HelpersReadNothing "No helper reads the stack.";
    KeyUnread "No lookup reads its key.";
    NothingIsZero "No byte of a frame is read before it is written.";
    AnywhereIsNowhere "An access of the stack by a number reads nothing of it.";
    SlotsAreWritten "Whatever writes a part of a slot of the stack writes all of it.";
    FlagsOfOneWay "Where a jump leads in a program that is compiled quickly, the flags are those of the operation above.";
    PlainSavesNothing "A function that is compiled quickly saves no register.";
    ChoiceEntered "Nobody jumps to a move that a branch leads around.";
}

impl Unit<'_> {
    /// Whether a mistake is planted.
    #[cfg(feature = "planted")]
    pub(crate) fn has_bug(&self, bug: Bug) -> bool {
        self.runtime.guards.planted == Some(bug)
    }

    /// Whether a mistake is planted: never.
    #[cfg(not(feature = "planted"))]
    #[allow(clippy::unused_self)]
    pub(crate) const fn has_bug(&self, _: Bug) -> bool {
        false
    }
}
