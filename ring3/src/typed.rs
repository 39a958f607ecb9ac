//! Maps and global variables by the types of the embedder's language: what skeletons (`ring3 gen skeleton`) are made of.

use std::marker::PhantomData;
use std::ops::Range;

use crate::{Error, Instance, MapRef, Object, Plain};

/// A map whose keys are `K` and whose values are `V`.
#[derive(Clone, Copy, Debug)]
pub struct TypedMap<'i, K, V> {
    map: MapRef<'i>,
    types: PhantomData<(K, V)>,
}

impl<'i, K: Plain, V: Plain> TypedMap<'i, K, V> {
    /// The map without its types.
    pub fn map(&self) -> MapRef<'i> {
        self.map
    }

    /// The value of a key; `None` if it is not there. Of a per-CPU map see [`TypedMap::get_percpu`].
    pub fn get(&self, key: K) -> Option<V> {
        self.map.get(key)
    }

    /// The values of all CPUs.
    pub fn get_percpu(&self, key: K) -> Option<Vec<V>> {
        self.map.get_percpu(key)
    }

    /// Creates or replaces an element.
    pub fn set(&self, key: K, value: V) -> Result<(), Error> {
        self.map.set(key, value)
    }

    /// Removes an element.
    pub fn remove(&self, key: K) -> Result<(), Error> {
        self.map.remove(key)
    }

    /// Every element; of a per-CPU map nothing.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.map.iter_bytes().filter_map(|(key, value)| Some((K::from_bytes(&key)?, V::from_bytes(&value)?)))
    }
}

impl<'i> MapRef<'i> {
    /// The same map with keys and values of these types. Those of another size are never there.
    pub fn of_types<K: Plain, V: Plain>(self) -> TypedMap<'i, K, V> {
        TypedMap { map: self, types: PhantomData }
    }
}

/// A global variable, or a part of one, as it will be when the object is loaded.
///
/// Errors: there is none of this name, or it has another size than `T`.
pub fn global<T: Plain>(object: &Object, path: &str) -> Result<T, Error> {
    let bytes = object.global(path)?;
    T::from_bytes(bytes).ok_or_else(|| Error::VariableSize { what: path.to_owned(), bytes: bytes.len() })
}

/// Sets a global variable, or a part of one, for instances loaded afterwards.
///
/// Errors: as of [`global`].
pub fn set_global<T: Plain>(object: &mut Object, path: &str, value: &T) -> Result<(), Error> {
    Ok(object.set_global(path, &value.to_bytes())?)
}

/// The variable in these bytes of a map of global data, by its section's name.
///
/// Errors: no such map; it is smaller, or `T` has another size.
pub fn part<T: Plain>(instance: &Instance, section: &str, bytes: Range<usize>) -> Result<T, Error> {
    let whole = content(instance, section)?;
    let part = whole.get(bytes.clone()).and_then(T::from_bytes);
    part.ok_or_else(|| Error::VariableSize { what: section.to_owned(), bytes: whole.len() })
}

/// Sets it. What programs write to the same map meanwhile may be lost.
///
/// Errors: as of [`part`]; a map that is frozen.
pub fn set_part<T: Plain>(instance: &Instance, section: &str, bytes: Range<usize>, value: &T) -> Result<(), Error> {
    let mut whole = content(instance, section)?;
    let (len, new) = (whole.len(), value.to_bytes());
    let part = whole.get_mut(bytes).filter(|part| part.len() == new.len());
    part.ok_or_else(|| Error::VariableSize { what: section.to_owned(), bytes: len })?.copy_from_slice(&new);
    instance.map(section)?.write(&0u32.to_ne_bytes(), &whole)
}

fn content(instance: &Instance, section: &str) -> Result<Vec<u8>, Error> {
    Ok(instance.map(section)?.raw().copy_out(&0u32.to_ne_bytes()).unwrap_or_default())
}
