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
