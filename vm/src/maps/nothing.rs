//! A map of any type that never has anything in it: it stands for one that this crate does not have, where all that matters is that
//! a program runs on.

use std::sync::Arc;

use ring3_platform::MapDef;

use super::{Base, Map};

/// It finds nothing and takes nothing.
#[derive(Debug)]
pub struct Nothing(Base);

impl Nothing {
    /// By this definition, whatever it says.
    pub fn new(def: &Arc<MapDef>) -> Nothing {
        Nothing(Base::new(def))
    }
}

// SAFETY: no address is ever given, and no definition of an array has a value that could be looked up: the types that this crate
// does not have are none. Whoever makes an array of it has lookups that find nothing, which only runs with checks bear.
unsafe impl Map for Nothing {
    fn base(&self) -> &Base {
        &self.0
    }
}
