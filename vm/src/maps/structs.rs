//! `struct_ops`: one value, the table of a kernel's interface, whose members are programs. There is no kernel here that would call
//! them: the embedder reads the value and runs the programs that stand in it.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::Mutex;
use ring3_platform::{Errno, MapDef, MapFlags};

use super::{Base, Map, index_of};

/// The value, and what became of it.
#[derive(Default)]
enum State {
    #[default]
    Empty,
    Registered(Vec<u8>),
    Gone,
}

/// A struct_ops map.
pub(super) struct Structs {
    base: Base,
    state: Mutex<State>,
}

impl Structs {
    pub(super) fn new(def: &Arc<MapDef>) -> Structs {
        Structs { base: Base::new(def), state: Mutex::default() }
    }
}

// SAFETY: no lookup gives an address.
unsafe impl Map for Structs {
    fn base(&self) -> &Base {
        &self.base
    }

    fn lookup_ptr(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let _ = index_of(key).ok_or(Errno::EINVAL)?;
        if self.base.def.flags.has(MapFlags::LINK) {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut state = self.state.lock();
        match *state {
            State::Empty => Err(Errno::ENOENT),
            State::Registered(_) => {
                *state = State::Gone;
                Ok(())
            }
            State::Gone => Err(Errno::EBUSY),
        }
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        match key.map(index_of) {
            Some(Some(0)) => Err(Errno::ENOENT),
            Some(None) => Err(Errno::EINVAL),
            Some(Some(_)) | None => Ok(vec![0; 4]),
        }
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if index_of(key) != Some(0) {
            return Err(Errno::ENOENT);
        }
        match &*self.state.lock() {
            State::Registered(value) => Ok(value.clone()),
            State::Empty | State::Gone => Ok(vec![0; self.base.def.value_size as usize]),
        }
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != 0 || value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        if index_of(key) != Some(0) {
            return Err(Errno::E2BIG);
        }
        let mut state = self.state.lock();
        match *state {
            State::Empty => {
                *state = State::Registered(value.to_vec());
                Ok(())
            }
            State::Registered(_) | State::Gone => Err(Errno::EBUSY),
        }
    }

    fn len(&self) -> usize {
        1
    }
}

impl fmt::Debug for Structs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Structs").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
