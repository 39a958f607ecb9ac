//! The memory of a simulation: objects of the kernel and of the process, laid out by types.

use std::sync::Arc;

use ring3_btf::{Btf, Enumeration, Type, TypeId, Value, format_value};
use ring3_vm::Objects;

use super::SimError;
use super::content::{Content, Handle, Struct};
use super::error::nearest;
use super::path::{Path, Place, Step, describe, walk};

/// The longest text that is read.
const MAX_TEXT: u64 = 1 << 16;

/// Whose memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Space {
    Kernel,
    User,
}

/// Memory, and what is only there for one event.
pub(super) struct Memory {
    pub types: Arc<Btf>,
    pub kernel: Arc<Objects>,
    pub user: Arc<Objects>,
    /// What was made since this was asked for.
    made: Vec<(Space, u64)>,
    /// Whether it is to be noted.
    noting: bool,
}

impl Memory {
    pub fn new(types: Arc<Btf>, kernel: Arc<Objects>) -> Memory {
        Memory { types, kernel, user: Arc::default(), made: Vec::new(), noting: false }
    }

    fn objects(&self, space: Space) -> &Arc<Objects> {
        match space {
            Space::Kernel => &self.kernel,
            Space::User => &self.user,
        }
    }

    /// From now on what is made is noted.
    pub fn note(&mut self) {
        self.noting = true;
    }

    /// What was noted.
    pub fn noted(&mut self) -> Vec<(Space, u64)> {
        self.noting = false;
        std::mem::take(&mut self.made)
    }

    /// Gives objects back.
    pub fn forget(&self, made: &[(Space, u64)]) {
        for (space, addr) in made {
            self.objects(*space).drop_reference(*addr);
        }
    }

    pub fn make(&mut self, space: Space, len: usize) -> Result<u64, SimError> {
        let addr = self.objects(space).make(len).map_err(|_| SimError::Full)?;
        if self.noting {
            self.made.push((space, addr));
        }
        Ok(addr)
    }

    fn add(&mut self, space: Space, bytes: &[u8]) -> Result<u64, SimError> {
        let addr = self.make(space, bytes.len())?;
        self.objects(space).write(addr, bytes);
        Ok(addr)
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.kernel.holds(addr, len) || self.user.holds(addr, len)
    }

    pub fn read(&self, addr: u64, out: &mut [u8]) -> bool {
        self.kernel.read_at(addr, out) || self.user.read_at(addr, out)
    }

    fn write(&self, path: &str, addr: u64, bytes: &[u8]) -> Result<(), SimError> {
        let done = self.kernel.write(addr, bytes) || self.user.write(addr, bytes);
        if done { Ok(()) } else { Err(SimError::Dangling { path: path.to_owned(), addr }) }
    }

    fn word(&self, path: &str, addr: u64) -> Result<u64, SimError> {
        let mut word = [0; 8];
        if !self.read(addr, &mut word) {
            return Err(SimError::Dangling { path: path.to_owned(), addr });
        }
        Ok(u64::from_ne_bytes(word))
    }

    /// Lays a structure out.
    pub fn lay_out(&mut self, structure: &Struct, space: Space) -> Result<Handle, SimError> {
        structure.check()?;
        if !Arc::ptr_eq(&structure.types, &self.types) && *structure.types != *self.types {
            return Err(SimError::OtherTypes { path: structure.name.clone() });
        }
        let size = self.types.size_of(structure.ty)? as usize;
        let addr = self.make(space, size)?;
        self.fill(structure, addr, space)?;
        Ok(Handle { addr, ty: structure.ty })
    }

    fn fill(&mut self, structure: &Struct, addr: u64, space: Space) -> Result<(), SimError> {
        structure.check()?;
        for (path, content) in &structure.fields {
            self.set(Place::new(addr, structure.ty), (&path.text, &path.steps), content, space)?;
        }
        Ok(())
    }

    /// Sets what is at the end of a path.
    pub fn set(
        &mut self,
        start: Place,
        path: (&str, &[Step]),
        content: &Content,
        space: Space,
    ) -> Result<(), SimError> {
        let types = Arc::clone(&self.types);
        let place = walk(&types, start, path, |place, to| self.follow(path.0, place, to, Some(space)))?;
        self.put(path.0, place, content, space)
    }

    /// Where a pointer leads. One that leads nowhere gets zeroes, if `space` says where.
    fn follow(&mut self, path: &str, place: Place, to: TypeId, space: Option<Space>) -> Result<u64, SimError> {
        let addr = self.word(path, place.addr)?;
        let size = self.types.size_of(to)?;
        match (addr, space) {
            (0, Some(space)) => {
                let made = self.make(space, size as usize)?;
                self.write(path, place.addr, &made.to_ne_bytes())?;
                Ok(made)
            }
            _ if self.holds(addr, size.into()) => Ok(addr),
            _ => Err(SimError::Dangling { path: path.to_owned(), addr }),
        }
    }

    /// Writes a value of a type to a place.
    pub fn put(&mut self, path: &str, place: Place, content: &Content, space: Space) -> Result<(), SimError> {
        let types = Arc::clone(&self.types);
        let mismatch =
            || SimError::Mismatch { path: path.to_owned(), ty: describe(&types, place.ty), given: content.describe() };
        match types.resolved(place.ty)? {
            Type::Ptr { to } => {
                let addr = self.pointer(path, place.ty, *to, content, space)?;
                self.write(path, place.addr, &addr.to_ne_bytes())
            }
            Type::Int(_) | Type::Enum(_) | Type::Enum64(_) => {
                let (number, bits) = self.number(path, place, content)?;
                self.put_bits(path, place.addr, (place.bits.map_or(0, |(first, _)| first), bits), number)
            }
            Type::Array { elem, len, .. } => self.put_array(path, place, (*elem, *len), content, space),
            Type::Struct(whole) | Type::Union(whole) => match content {
                Content::Struct(structure) if types.resolve(structure.ty)? == types.resolve(place.ty)? => {
                    self.write(path, place.addr, &vec![0; whole.size as usize])?;
                    self.fill(structure, place.addr, space)
                }
                Content::Bytes(bytes) if bytes.len() <= whole.size as usize => self.write(path, place.addr, bytes),
                // A structure around one number, such as kuid_t, is set as that number.
                Content::Number(_) if whole.members.len() == 1 => {
                    let only = whole.members[0];
                    self.put(path, Place::new(place.addr, only.ty), content, space)
                }
                Content::Number(_)
                | Content::Text(_)
                | Content::Bytes(_)
                | Content::List(_)
                | Content::Struct(_)
                | Content::Handle(_)
                | Content::User(_) => Err(mismatch()),
            },
            Type::Float { size, .. } => match content {
                Content::Bytes(bytes) if bytes.len() == *size as usize => self.write(path, place.addr, bytes),
                _ => Err(mismatch()),
            },
            Type::Void
            | Type::Fwd { .. }
            | Type::Typedef { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::Func { .. }
            | Type::FuncProto { .. }
            | Type::Var { .. }
            | Type::Datasec { .. }
            | Type::DeclTag { .. }
            | Type::TypeTag { .. } => Err(mismatch()),
        }
    }

    /// A number of the type in a place, and its width in bits.
    pub fn number(&self, path: &str, place: Place, content: &Content) -> Result<(i128, u32), SimError> {
        let types = &self.types;
        let whole = types.size_of(place.ty)? * 8;
        let bits = place.bits.map_or(whole, |(_, bits)| bits.into());
        let number = match (types.resolved(place.ty)?, content) {
            (_, Content::Number(number)) => *number,
            (Type::Enum(values) | Type::Enum64(values), Content::Text(name)) => {
                self.enumerator(path, place.ty, values, name)?
            }
            (_, Content::Handle(handle)) => handle.addr.into(),
            _ => {
                let (ty, given) = (describe(types, place.ty), content.describe());
                return Err(SimError::Mismatch { path: path.to_owned(), ty, given });
            }
        };
        let fits = bits >= 127 || (-(1i128 << (bits - 1)) <= number && number < 1i128 << bits);
        if fits { Ok((number, bits)) } else { Err(SimError::Range { path: path.to_owned(), number, bits }) }
    }

    fn enumerator(&self, path: &str, ty: TypeId, values: &Enumeration, name: &str) -> Result<i128, SimError> {
        let types = &self.types;
        let found = values.values.iter().find(|value| types.string(value.name) == name);
        found.map(|value| i128::from(value.value)).ok_or_else(|| SimError::NoEnumerator {
            path: path.to_owned(),
            ty: describe(types, ty),
            name: name.to_owned(),
            near: nearest(name, values.values.iter().map(|value| types.string(value.name))),
        })
    }

    /// Writes a number into bits, the first of which is the lowest of the first byte.
    fn put_bits(&self, path: &str, addr: u64, (first, bits): (u32, u32), number: i128) -> Result<(), SimError> {
        let len = (first + bits).div_ceil(8).min(16) as usize;
        let mut bytes = [0u8; 16];
        if !self.read(addr, &mut bytes[..len]) {
            return Err(SimError::Dangling { path: path.to_owned(), addr });
        }
        let mask = if bits >= 128 { u128::MAX } else { ((1u128 << bits) - 1) << first };
        let now = u128::from_le_bytes(bytes) & !mask | (number.cast_unsigned() << first) & mask;
        self.write(path, addr, &now.to_le_bytes()[..len])
    }

    fn put_array(
        &mut self,
        path: &str,
        place: Place,
        (elem, len): (TypeId, u32),
        content: &Content,
        space: Space,
    ) -> Result<(), SimError> {
        let types = Arc::clone(&self.types);
        let size = types.size_of(elem)?;
        let room = len as usize * size as usize;
        let too_long = |given| SimError::TooLong { path: path.to_owned(), ty: describe(&types, place.ty), given, room };
        match content {
            Content::Text(text) if size == 1 => {
                // With its zero, which kernels count on.
                if text.len() >= room {
                    return Err(too_long(text.len() + 1));
                }
                let mut bytes = vec![0; room];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                self.write(path, place.addr, &bytes)
            }
            Content::Bytes(bytes) if bytes.len() > room => Err(too_long(bytes.len())),
            Content::Bytes(bytes) => self.write(path, place.addr, bytes),
            Content::List(elements) if elements.len() > len as usize => {
                Err(too_long(elements.len().saturating_mul(size as usize)))
            }
            Content::List(elements) => self.put_elements(path, place.addr, elem, elements, space),
            Content::Number(_) | Content::Text(_) | Content::Struct(_) | Content::Handle(_) | Content::User(_) => {
                let (ty, given) = (describe(&types, place.ty), content.describe());
                Err(SimError::Mismatch { path: path.to_owned(), ty, given })
            }
        }
    }

    fn put_elements(
        &mut self,
        path: &str,
        start: u64,
        elem: TypeId,
        elements: &[Content],
        space: Space,
    ) -> Result<(), SimError> {
        let size = u64::from(self.types.size_of(elem)?);
        for (content, at) in elements.iter().zip(0u64..) {
            self.put(path, Place::new(start + at * size, elem), content, space)?;
        }
        Ok(())
    }

    /// The address for a pointer of type `ty` to `to`.
    pub fn pointer(
        &mut self,
        path: &str,
        ty: TypeId,
        to: TypeId,
        content: &Content,
        space: Space,
    ) -> Result<u64, SimError> {
        let types = Arc::clone(&self.types);
        let size = types.size_of(to).ok();
        let mismatch =
            || SimError::Mismatch { path: path.to_owned(), ty: describe(&types, ty), given: content.describe() };
        match content {
            Content::Number(number) => {
                let fits = -(1i128 << 63) <= *number && *number < 1i128 << 64;
                let number = *number;
                if fits { Ok(number as u64) } else { Err(SimError::Range { path: path.to_owned(), number, bits: 64 }) }
            }
            // Of one byte, or unknown.
            Content::Text(text) if size.is_none_or(|size| size == 1) => {
                let mut bytes = text.as_bytes().to_vec();
                bytes.push(0);
                self.add(space, &bytes)
            }
            Content::Bytes(bytes) => {
                let len = bytes.len().max(size.unwrap_or(0) as usize);
                let mut bytes = bytes.clone();
                bytes.resize(len, 0);
                self.add(space, &bytes)
            }
            Content::List(elements) => {
                let size = size.ok_or_else(mismatch)?;
                // With a zero behind the last, as vectors of arguments have.
                let addr = self.make(space, (size as usize).saturating_mul(elements.len() + 1))?;
                self.put_elements(path, addr, to, elements, space)?;
                Ok(addr)
            }
            Content::Struct(structure) => {
                let same = types.resolve(structure.ty)? == types.resolve(to)?;
                if same || size.is_none() || structure.check().is_err() {
                    Ok(self.lay_out(structure, space)?.addr)
                } else {
                    Err(mismatch())
                }
            }
            Content::Handle(handle) => {
                let same = types.resolve(handle.ty)? == types.resolve(to)?;
                if same || size.is_none() { Ok(handle.addr) } else { Err(mismatch()) }
            }
            Content::User(inner) => self.pointer(path, ty, to, inner, Space::User),
            Content::Text(_) => Err(mismatch()),
        }
    }

    /// What a word that no type describes is set to: a number, or the address of something.
    pub fn untyped(&mut self, path: &str, content: &Content, space: Space) -> Result<u64, SimError> {
        self.pointer(path, TypeId::VOID, TypeId::VOID, content, space)
    }

    /// Reads characters up to their zero, or the end of their array.
    pub fn text(&mut self, start: Place, path: &Path) -> Result<String, SimError> {
        let types = Arc::clone(&self.types);
        let steps = (path.text.as_str(), &path.steps[..]);
        let place = walk(&types, start, steps, |place, to| self.follow(&path.text, place, to, None))?;
        let (from, room) = match types.resolved(place.ty)? {
            Type::Ptr { .. } => (self.word(&path.text, place.addr)?, MAX_TEXT),
            _ => (place.addr, u64::from(types.size_of(place.ty)?)),
        };
        let mut bytes = Vec::new();
        for at in 0..room {
            let mut byte = [0];
            if !self.read(from.wrapping_add(at), &mut byte) {
                return Err(SimError::Dangling { path: path.text.clone(), addr: from.wrapping_add(at) });
            }
            match byte {
                [0] => break,
                [byte] => bytes.push(byte),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads what is at the end of a path.
    pub fn get(&mut self, start: Place, path: &Path) -> Result<Value, SimError> {
        let types = Arc::clone(&self.types);
        let place =
            walk(&types, start, (&path.text, &path.steps), |place, to| self.follow(&path.text, place, to, None))?;
        let dangling = || SimError::Dangling { path: path.text.clone(), addr: place.addr };
        if let Some((first, bits)) = place.bits {
            let mut bytes = [0; 16];
            if !self.read(place.addr, &mut bytes[..(first + u32::from(bits)).div_ceil(8) as usize]) {
                return Err(dangling());
            }
            let raw = (u128::from_le_bytes(bytes) >> first) as u64 & (u64::MAX >> (64 - u32::from(bits).clamp(1, 64)));
            return Ok(Value::Unsigned(raw));
        }
        let mut bytes = vec![0; types.size_of(place.ty)? as usize];
        if !self.read(place.addr, &mut bytes) {
            return Err(dangling());
        }
        Ok(format_value(&types, place.ty, &bytes)?)
    }
}
