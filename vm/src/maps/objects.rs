//! Maps that hold objects of the surroundings: `sockmap`, `sockhash`, `reuseport_sockarray` (sockets) and `cgroup_array` (control
//! groups).
//!
//! The kernel takes descriptors. Here an object is the embedder's number for it, a cookie of a socket or id of a control group, which
//! [`Map::set_object`] puts in and helpers find by [`Map::object`].

use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::RwLock;
use ring3_platform::{Errno, MapDef, MapType};

use super::{BPF_EXIST, Base, Map, check_update, index_of, next_index};

/// Bytes of a value that user space reads the cookie of a socket by.
const COOKIE: u32 = 8;

/// Objects by key.
pub(super) struct Objects {
    base: Base,
    objects: RwLock<BTreeMap<Vec<u8>, u64>>,
}

impl Objects {
    pub(super) fn new(def: &Arc<MapDef>) -> Objects {
        Objects { base: Base::new(def), objects: RwLock::default() }
    }

    fn is_hash(&self) -> bool {
        self.base.def.kind == MapType::Sockhash
    }

    /// Whether the key is one of the map's size, and in range of an array.
    fn check(&self, key: &[u8], beyond: Errno) -> Result<(), Errno> {
        if key.len() != self.base.def.key_size as usize {
            return Err(Errno::EINVAL);
        }
        match index_of(key) {
            Some(index) if !self.is_hash() && index >= self.base.def.max_entries => Err(beyond),
            Some(_) | None => Ok(()),
        }
    }
}

// SAFETY: no lookup gives an address.
unsafe impl Map for Objects {
    fn base(&self) -> &Base {
        &self.base
    }

    /// Programs get sockets from helpers, with a reference.
    fn lookup_ptr(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let (beyond, missing) = match self.base.def.kind {
            // Its slots are as good as empty where they are not.
            MapType::Sockmap => (Errno::EINVAL, Errno::EINVAL),
            MapType::Sockhash => (Errno::ENOENT, Errno::ENOENT),
            _ => (Errno::E2BIG, Errno::ENOENT),
        };
        self.check(key, beyond)?;
        self.objects.write().remove(key).map(|_| ()).ok_or(missing)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if !self.is_hash() {
            return next_index(key, self.base.def.max_entries);
        }
        let objects = self.objects.read();
        let next = match key.filter(|key| objects.contains_key(*key)) {
            Some(key) => objects.range(key.to_vec()..).nth(1),
            None => objects.first_key_value(),
        };
        next.map(|(key, _)| key.clone()).ok_or(Errno::ENOENT)
    }

    /// The cookie of a socket, where values have room for it. Control groups cannot be read.
    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let def = &self.base.def;
        if def.kind == MapType::CgroupArray {
            return Err(Errno::ENOTSUPP);
        }
        if def.value_size != COOKIE {
            return Err(Errno::ENOSPC);
        }
        self.object(key).map(|object| object.to_ne_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    /// There are no descriptors here: [`Map::set_object`] puts objects in.
    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let number = match value {
            [a, b, c, d] => u64::from(u32::from_ne_bytes([*a, *b, *c, *d])),
            value => u64::from_ne_bytes(*value.first_chunk().ok_or(Errno::EINVAL)?),
        };
        // A number that no descriptor can have.
        let absurd = number > i32::MAX as u64;
        match self.base.def.kind {
            MapType::CgroupArray if flags != 0 => Err(Errno::EINVAL),
            MapType::CgroupArray => self.check(key, Errno::E2BIG).and(Err(Errno::EBADF)),
            MapType::ReuseportSockarray if flags > BPF_EXIST => Err(Errno::EINVAL),
            MapType::ReuseportSockarray => {
                self.check(key, Errno::E2BIG).and(Err(if absurd { Errno::EINVAL } else { Errno::EBADF }))
            }
            _ if absurd => Err(Errno::EINVAL),
            _ => Err(Errno::EBADF),
        }
    }

    fn len(&self) -> usize {
        if self.is_hash() { self.objects.read().len() } else { self.base.def.max_entries as usize }
    }

    fn object(&self, key: &[u8]) -> Option<u64> {
        self.objects.read().get(key).copied()
    }

    fn set_object(&self, key: &[u8], object: u64, flags: u64) -> Result<(), Errno> {
        self.base.may_write()?;
        self.check(key, Errno::E2BIG)?;
        let mut objects = self.objects.write();
        check_update(flags, objects.contains_key(key))?;
        if !objects.contains_key(key) && objects.len() >= self.base.def.max_entries as usize {
            return Err(Errno::E2BIG);
        }
        objects.insert(key.to_vec(), object);
        Ok(())
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
