//! Types of several objects in one BTF, each once.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::types::*;
use crate::{Btf, BtfError, MAX_STRINGS, MAX_TYPES};

/// Most rounds in which [`Merger::finish`] tells types apart: one more than the longest chain of types that differ at its end only.
const MAX_ROUNDS: usize = 1024;
/// Most numbers that it looks at in all.
const MAX_WORK: usize = 1 << 28;

/// Collects types.
#[derive(Debug)]
pub struct Merger {
    strings: String,
    known: BTreeMap<String, u32>,
    types: Vec<Type>,
    endian: Endian,
    /// Types that another stands for.
    alias: BTreeMap<TypeId, TypeId>,
}

impl Merger {
    /// Nothing so far.
    pub fn new(endian: Endian) -> Merger {
        let known = BTreeMap::from([(String::new(), 0)]);
        Merger { strings: String::from("\0"), known, types: alloc::vec![Type::Void], endian, alias: BTreeMap::new() }
    }

    /// The number of a string, each of which is there once.
    pub fn string(&mut self, text: &str) -> Result<StrOff, BtfError> {
        if let Some(at) = self.known.get(text) {
            return Ok(StrOff(*at));
        }
        let at = self.strings.len();
        if at + text.len() >= MAX_STRINGS {
            return Err(BtfError::BadStrings { offset: at });
        }
        self.strings.push_str(text);
        self.strings.push('\0');
        self.known.insert(text.into(), at as u32);
        Ok(StrOff(at as u32))
    }

    /// Adds a type whose names and references are numbers of this collection.
    pub fn push(&mut self, ty: Type) -> Result<TypeId, BtfError> {
        let id = self.types.len();
        if id >= MAX_TYPES {
            return Err(BtfError::TooManyTypes { offset: id });
        }
        self.types.push(ty);
        Ok(TypeId(id as u32))
    }

    /// Adds all types of another BTF. Gives what to add to their numbers, but for that of `void`.
    pub fn append(&mut self, other: &Btf) -> Result<u32, BtfError> {
        let shift = self.types.len() as u32 - 1;
        for ty in other.types().iter().skip(1) {
            let mut ty = ty.clone();
            let mut failed = None;
            ty.each_name_mut(|name| match self.string(other.string(*name)) {
                Ok(at) => *name = at,
                Err(error) => failed = Some(error),
            });
            if let Some(error) = failed {
                return Err(error);
            }
            ty.each_reference_mut(|id| *id = shifted(*id, shift));
            self.push(ty)?;
        }
        Ok(shift)
    }

    /// From now on `to` stands for `from` as well, which is left out. Of types that do so in a ring all are kept.
    pub fn replace(&mut self, from: TypeId, to: TypeId) {
        if from != to {
            self.alias.insert(from, to);
        }
    }

    /// The type with this number.
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        self.types.get(id.index())
    }

    /// Who stands for a type in the end.
    fn stand_in(&self, id: TypeId) -> TypeId {
        let mut at = id;
        for _ in 0..self.alias.len() {
            match self.alias.get(&at) {
                Some(next) => at = *next,
                None => return at,
            }
        }
        if self.alias.contains_key(&at) { id } else { at }
    }

    /// The types, each once: two are the same if they cannot be told apart, whatever way is gone from them. Struct and union
    /// declarations are what has their name, if one type has it. Variables and data sections stay apart.
    ///
    /// Gives the new number of each type beside. Errors: types that take too long to be told apart.
    pub fn finish(mut self) -> Result<(Btf, Vec<TypeId>), BtfError> {
        let labels = self.labels()?;
        self.declare(&labels);
        let labels = self.labels()?;
        let mut numbers = alloc::vec![None; labels.iter().max().map_or(0, |most| *most as usize + 1)];
        let mut kept = Vec::new();
        for (at, label) in labels.iter().enumerate() {
            let number = &mut numbers[*label as usize];
            if number.is_none() {
                *number = Some(TypeId(kept.len() as u32));
                kept.push(self.stand_in(TypeId(at as u32)).index());
            }
        }
        let number = |id: TypeId| labels.get(id.index()).and_then(|label| numbers[*label as usize]).unwrap_or_default();
        let mut types: Vec<Type> = kept.into_iter().map(|at| self.types[at].clone()).collect();
        types.iter_mut().for_each(|ty| ty.each_reference_mut(|id| *id = number(*id)));
        let all = (0..self.types.len() as u32).map(|id| number(TypeId(id))).collect();
        Ok((Btf::from_parts(self.strings, types, self.endian, 1), all))
    }

    /// Lets declarations be replaced by the one definition that there is of a name.
    fn declare(&mut self, labels: &[u32]) {
        let mut defined: BTreeMap<(StrOff, bool), Option<(u32, TypeId)>> = BTreeMap::new();
        for (id, ty) in (0u32..).zip(&self.types) {
            if let Type::Struct(c) | Type::Union(c) = ty {
                let key = (c.name, matches!(ty, Type::Union(_)));
                let this = (labels[id as usize], TypeId(id));
                let known = defined.entry(key).or_insert(Some(this));
                if known.is_some_and(|(label, _)| label != this.0) {
                    *known = None;
                }
            }
        }
        for (id, ty) in (0u32..).zip(&self.types) {
            if let Type::Fwd { name, is_union } = ty
                && let Some(Some((_, definition))) = defined.get(&(*name, *is_union))
            {
                self.alias.insert(TypeId(id), *definition);
            }
        }
    }

    /// A number for each type, the same for types that are the same.
    fn labels(&self) -> Result<Vec<u32>, BtfError> {
        let stand_ins: Vec<TypeId> = (0..self.types.len() as u32).map(|id| self.stand_in(TypeId(id))).collect();
        let mut labels = alloc::vec![0u32; self.types.len()];
        let (mut count, mut work) = (1, 0);
        for _ in 0..MAX_ROUNDS {
            let mut seen: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
            let mut next = alloc::vec![0u32; labels.len()];
            for (at, ty) in self.types.iter().enumerate() {
                if stand_ins[at].index() != at {
                    continue;
                }
                let mut signature = alloc::vec![labels[at]];
                shape(at as u32, ty, &mut signature);
                ty.each_reference(|id| signature.push(stand_ins.get(id.index()).map_or(0, |id| labels[id.index()])));
                work += signature.len();
                let fresh = seen.len() as u32;
                next[at] = *seen.entry(signature).or_insert(fresh);
            }
            for (at, stand_in) in stand_ins.iter().enumerate() {
                next[at] = next[stand_in.index()];
            }
            labels = next;
            if seen.len() == count {
                return Ok(labels);
            }
            count = seen.len();
            if work > MAX_WORK {
                break;
            }
        }
        Err(BtfError::TooDeep(TypeId::VOID))
    }
}

fn shifted(id: TypeId, shift: u32) -> TypeId {
    if id == TypeId::VOID { id } else { TypeId(id.0 + shift) }
}

/// All that a type is but for what it refers to.
fn shape(id: u32, ty: &Type, into: &mut Vec<u32>) {
    into.push(ty.kind() as u32);
    match ty {
        Type::Void | Type::Ptr { .. } | Type::Volatile { .. } | Type::Const { .. } | Type::Restrict { .. } => {}
        Type::Int(int) => {
            let encoding = match int.encoding {
                IntEncoding::Unsigned => 0,
                IntEncoding::Signed => 1,
                IntEncoding::Char => 2,
                IntEncoding::Bool => 4,
                IntEncoding::Other(bits) => 256 + u32::from(bits),
            };
            into.extend([int.name.0, int.size, int.bit_offset.into(), int.bits.into(), encoding]);
        }
        Type::Array { len, .. } => into.push(*len),
        Type::Struct(c) | Type::Union(c) => {
            into.extend([c.name.0, c.size]);
            c.members.iter().for_each(|m| into.extend([m.name.0, m.bit_offset, m.bitfield_size.into()]));
        }
        Type::Enum(e) | Type::Enum64(e) => {
            into.extend([e.name.0, e.size, e.signed.into()]);
            let bits = |value: i64| [value as u32, (value >> 32) as u32];
            e.values.iter().for_each(|v| into.extend([&[v.name.0][..], &bits(v.value)].concat()));
        }
        Type::Fwd { name, is_union } => into.extend([name.0, u32::from(*is_union)]),
        Type::Typedef { name, .. } => into.push(name.0),
        Type::Func { name, linkage, .. } => into.extend([name.0, *linkage as u32]),
        Type::FuncProto { params, .. } => params.iter().for_each(|p| into.push(p.name.0)),
        Type::Var { .. } | Type::Datasec { .. } => into.push(id),
        Type::Float { name, size } => into.extend([name.0, *size]),
        Type::DeclTag { name, component, is_attribute, .. } => {
            into.extend([name.0, component.cast_unsigned(), u32::from(*is_attribute)]);
        }
        Type::TypeTag { name, is_attribute, .. } => into.extend([name.0, u32::from(*is_attribute)]),
    }
}
