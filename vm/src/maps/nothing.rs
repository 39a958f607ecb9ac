//! A map of any type that never has anything in it: it stands for one that this crate does not have, where all that matters is that
//! a program runs on.

use std::ptr::NonNull;
use std::sync::Arc;

use ring3_platform::{Errno, MapDef};

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

    fn lookup_ptr(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn copy_out(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn copy_in(&self, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn len(&self) -> usize {
        0
    }
}
