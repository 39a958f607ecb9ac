//! What lies at an offset of a structure that BTF describes.

use ring3_btf::{Btf, Composite, Kind, Member, Type, TypeId};

use crate::diag::reject::Reject;
use crate::state::Trust;

/// Structures within structures that are looked into: the kernel's own types are far below.
const MAX_NESTING: u32 = 64;

/// What a load of some bytes there gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A number.
    Number,
    /// A pointer to a structure.
    Pointer {
        /// The structure.
        to: TypeId,
        /// Name of the member.
        field: String,
        /// What the tag of the pointer says; untrusted, if it may as well be another member of a union.
        trust: Trust,
    },
    /// A pointer to anything else.
    Opaque,
}

/// One step on the way into a structure.
enum Step {
    /// A structure starts exactly there.
    Inside(TypeId),
    Found(Found),
}

/// What `size` bytes at `off` of structure `id` are.
pub fn find(btf: &Btf, id: TypeId, off: u32, size: u32) -> Result<Found, Reject> {
    // Another name of a structure is none to Linux, unless it is that of a member.
    if !matches!(btf.get(id), Some(Type::Struct(_) | Type::Union(_))) {
        return Err(Reject::NotStruct { name: btf.name(id).to_owned() });
    }
    let (mut id, mut off, mut trust) = (id, off, Trust::PLAIN);
    for _ in 0..MAX_NESTING {
        match step(btf, id, off, size, &mut trust)? {
            Step::Inside(inner) => (id, off) = (inner, 0),
            Step::Found(found) => return Ok(found),
        }
    }
    Err(Reject::NotStruct { name: btf.name(id).to_owned() })
}

/// Whether a structure of type `want` starts at `off` of structure `id`; as its first member, too, unless `strict`.
pub fn is_a(btf: &Btf, id: TypeId, off: u32, want: TypeId, strict: bool) -> bool {
    if off == 0 && id == want {
        return true;
    }
    if strict {
        return false;
    }
    let (mut id, mut off, mut trust) = (id, off, Trust::PLAIN);
    for _ in 0..MAX_NESTING {
        let Ok(Step::Inside(inner)) = step(btf, id, off, 1, &mut trust) else { return false };
        if inner == want {
            return true;
        }
        (id, off) = (inner, 0);
    }
    false
}

/// Goes into nested structures until one starts exactly at the offset, or until there is a member of another kind.
fn step(btf: &Btf, id: TypeId, off: u32, size: u32, trust: &mut Trust) -> Result<Step, Reject> {
    let (mut id, mut off) = (id, off);
    for _ in 0..MAX_NESTING {
        let whole = composite(btf, id)?;
        id = btf.resolve(id).unwrap_or(id);
        if is_choice(btf, id, whole) {
            *trust = trust.with(Trust::UNTRUSTED);
        }
        if off.checked_add(size).is_none_or(|end| end > whole.size) {
            match beyond(btf, whole, off, size)? {
                None => return Ok(Step::Found(Found::Number)),
                Some((elem, rest)) => (id, off) = (elem, rest),
            }
            continue;
        }
        let Some(place) = member_at(btf, whole, off, size)? else {
            return Err(Reject::NoField { name: btf.string(whole.name).to_owned(), off });
        };
        let (ty, start) = match place {
            Place::Bits => return Ok(Step::Found(Found::Number)),
            Place::Member { .. } if is_struct(btf, place.ty()) => (place.ty(), place.start()),
            Place::Member { .. } => return leaf(btf, whole, &place, off, size, *trust).map(Step::Found),
        };
        if let Ok(inner) = composite(btf, ty)
            && is_choice(btf, btf.resolve(ty).unwrap_or(ty), inner)
        {
            *trust = trust.with(Trust::UNTRUSTED);
        }
        if off == start {
            return Ok(Step::Inside(btf.resolve(ty).unwrap_or(ty)));
        }
        (id, off) = (ty, off - start);
    }
    Err(Reject::NotStruct { name: btf.name(id).to_owned() })
}

/// Where an access leads.
enum Place<'b> {
    /// Into bits of a number.
    Bits,
    /// Into a member.
    Member {
        member: &'b Member,
        /// Its type, or its elements' if it is an array.
        ty: TypeId,
        /// Offset of the member, or of the element.
        start: u32,
        /// Bytes of the member, or of the element.
        bytes: u32,
        /// Offset of the first byte behind the member, all elements included.
        end: u32,
    },
}

impl Place<'_> {
    fn ty(&self) -> TypeId {
        match self {
            Place::Bits => TypeId::VOID,
            Place::Member { ty, .. } => *ty,
        }
    }

    fn start(&self) -> u32 {
        match self {
            Place::Bits => 0,
            Place::Member { start, .. } => *start,
        }
    }
}

fn member_at<'b>(btf: &Btf, whole: &'b Composite, off: u32, size: u32) -> Result<Option<Place<'b>>, Reject> {
    for member in &whole.members {
        let start = member.bit_offset / 8;
        if off + size <= start {
            return Ok(None);
        }
        if member.bitfield_size != 0 {
            let end = (member.bit_offset + u32::from(member.bitfield_size)).div_ceil(8);
            if off <= start && end <= off + size {
                return Ok(Some(Place::Bits));
            }
            continue;
        }
        if off < start {
            return Ok(None);
        }
        let field = || btf.string(member.name).to_owned();
        let bytes = btf.size_of(member.ty).map_err(|_| Reject::FieldNoSize { field: field() })?;
        let end = start.saturating_add(bytes);
        if off >= end {
            continue;
        }
        let (ty, elem) = element(btf, member.ty);
        let elem = elem.unwrap_or(bytes).max(1);
        let start = start + (off - start) / elem * elem;
        return Ok(Some(Place::Member { member, ty, start, bytes: elem, end }));
    }
    Ok(None)
}

/// A member that is no structure.
fn leaf(btf: &Btf, whole: &Composite, place: &Place<'_>, off: u32, size: u32, trust: Trust) -> Result<Found, Reject> {
    let Place::Member { member, ty, start, bytes, end } = place else { return Ok(Found::Number) };
    let (name, field) = (btf.string(whole.name).to_owned(), btf.string(member.name).to_owned());
    if let Ok(Type::Ptr { to }) = btf.resolved(*ty) {
        if *bytes != size || off != *start {
            return Err(Reject::PtrMember { field, start: *start, name, off, size });
        }
        return Ok(match structure(btf, *to) {
            Some(id) => Found::Pointer { to: id, field, trust: trust.with(tag(btf, *to)) },
            None => Found::Opaque,
        });
    }
    if off + size > *end && !trust.has(Trust::UNTRUSTED) {
        return Err(Reject::BeyondMember { field, end: *end, name, off, size });
    }
    Ok(Found::Number)
}

/// An access past the end of a structure is one of its last member if that is an array of any length: of numbers (`None`)
/// or of structures (which, and the offset there).
fn beyond(btf: &Btf, whole: &Composite, off: u32, size: u32) -> Result<Option<(TypeId, u32)>, Reject> {
    let error = || Reject::BeyondStruct { name: btf.string(whole.name).to_owned(), off: off.into(), size };
    let last = whole.members.last().ok_or_else(error)?;
    let Ok(Type::Array { elem, len: 0, .. }) = btf.resolved(last.ty) else { return Err(error()) };
    let rest = off.checked_sub(last.bit_offset / 8).ok_or_else(error)?;
    match btf.resolved(*elem) {
        Ok(Type::Int(_)) => Ok(None),
        Ok(Type::Struct(inner) | Type::Union(inner)) => {
            let inside = rest.checked_rem(inner.size).ok_or_else(error)?;
            // An element that is too small would be asked about the same bytes for ever.
            if inside.checked_add(size).is_none_or(|end| end > inner.size) && ends_open(btf, inner) {
                return Err(error());
            }
            Ok(Some((*elem, inside)))
        }
        Ok(_) | Err(_) => Err(error()),
    }
}

fn ends_open(btf: &Btf, whole: &Composite) -> bool {
    let last = whole.members.last().map(|member| btf.resolved(member.ty));
    matches!(last, Some(Ok(Type::Array { len: 0, .. })))
}

fn composite(btf: &Btf, id: TypeId) -> Result<&Composite, Reject> {
    match btf.resolved(id) {
        Ok(Type::Struct(whole) | Type::Union(whole)) => Ok(whole),
        Ok(_) | Err(_) => Err(Reject::NotStruct { name: btf.name(id).to_owned() }),
    }
}

/// A union of several members: what is read may have been stored as another one.
fn is_choice(btf: &Btf, id: TypeId, whole: &Composite) -> bool {
    btf.get(id).is_some_and(|ty| ty.kind() == Kind::Union) && whole.members.len() != 1
}

/// The elements of an array, of all its dimensions, and their size; or the type itself.
fn element(btf: &Btf, id: TypeId) -> (TypeId, Option<u32>) {
    let (mut at, mut is_array) = (id, false);
    for _ in 0..ring3_btf::MAX_CHAIN {
        match btf.resolved(at) {
            Ok(Type::Array { elem, .. }) => (at, is_array) = (*elem, true),
            Ok(_) | Err(_) => break,
        }
    }
    let size = if is_array { btf.size_of(at).ok() } else { None };
    (at, size)
}

fn is_struct(btf: &Btf, id: TypeId) -> bool {
    structure(btf, id).is_some()
}

/// The structure or union behind typedefs and modifiers.
pub fn structure(btf: &Btf, id: TypeId) -> Option<TypeId> {
    let id = btf.resolve(id).ok()?;
    btf.get(id).filter(|ty| matches!(ty.kind(), Kind::Struct | Kind::Union)).map(|_| id)
}

/// What the tag in front of what a pointer leads to says.
pub fn tag(btf: &Btf, to: TypeId) -> Trust {
    match btf.get(to) {
        Some(Type::TypeTag { name, is_attribute: false, .. }) => match btf.string(*name) {
            "user" => Trust::USER,
            "percpu" => Trust::PERCPU,
            "rcu" => Trust::RCU,
            _ => Trust::PLAIN,
        },
        Some(_) | None => Trust::PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use ring3_btf::{Btf, Endian};

    use super::*;

    /// `struct inner { int a; char *text; }`, `struct outer { struct inner in; union { struct inner *p; long n; }; int tail[]; }`.
    fn types() -> (Btf, u32, u32) {
        let mut bytes: Vec<u8> = Vec::new();
        let mut strings = vec![0u8];
        let mut name = |text: &str| {
            let at = u32::try_from(strings.len()).unwrap();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let names: Vec<u32> =
            ["int", "char", "inner", "a", "text", "outer", "in", "p", "n", "tail"].iter().map(|n| name(n)).collect();
        let mut word = |value: u32| bytes.extend_from_slice(&value.to_le_bytes());
        let info = |kind: u32, count: u32| kind << 24 | count;
        // 1 int, 2 char, 3 char *
        [names[0], info(1, 0), 4, 1 << 24 | 32, names[1], info(1, 0), 1, 8, 0, info(2, 0), 2]
            .into_iter()
            .for_each(&mut word);
        // 4 struct inner
        [names[2], info(4, 2), 16, names[3], 1, 0, names[4], 3, 64].into_iter().for_each(&mut word);
        // 5 struct inner *, 6 the union, 7 int[]
        [0, info(2, 0), 4, 0, info(5, 2), 8, names[7], 5, 0, names[8], 1, 0, 0, info(3, 0), 0, 1, 1, 0]
            .into_iter()
            .for_each(&mut word);
        // 8 struct outer
        [names[5], info(4, 3), 24, names[6], 4, 0, 0, 6, 128, names[9], 7, 192].into_iter().for_each(&mut word);
        let mut blob = Vec::new();
        blob.extend_from_slice(&0xeb9fu16.to_le_bytes());
        blob.extend_from_slice(&[1, 0]);
        let [types, names] = [bytes.len(), strings.len()].map(|len| u32::try_from(len).unwrap());
        for value in [24u32, 0, types, types, names] {
            blob.extend_from_slice(&value.to_le_bytes());
        }
        blob.extend_from_slice(&bytes);
        blob.extend_from_slice(&strings);
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.endian(), Endian::Little);
        (btf, 4, 8)
    }

    #[test]
    fn what_lies_at_an_offset() {
        let (btf, inner, outer) = types();
        let at = |off, size| find(&btf, TypeId(outer), off, size);
        assert_eq!(at(0, 4), Ok(Found::Number));
        assert_eq!(at(0, 1), Ok(Found::Number));
        assert_eq!(at(8, 8), Ok(Found::Opaque));
        let field = "p".to_owned();
        assert_eq!(at(16, 8), Ok(Found::Pointer { to: TypeId(inner), field, trust: Trust::UNTRUSTED }));
        // The array at the end has any length.
        assert_eq!(at(24 + 4000, 4), Ok(Found::Number));
        assert!(matches!(at(0, 8), Err(Reject::BeyondMember { .. })));
        assert!(matches!(at(4, 4), Err(Reject::NoField { off: 4, .. })));
        assert!(matches!(at(12, 4), Err(Reject::PtrMember { start: 8, .. })));
        assert!(matches!(find(&btf, TypeId(inner), 16, 1), Err(Reject::BeyondStruct { .. })));
        assert!(matches!(find(&btf, TypeId(1), 0, 1), Err(Reject::NotStruct { .. })));
    }

    #[test]
    fn a_structure_is_its_first_member_too() {
        let (btf, inner, outer) = types();
        assert!(is_a(&btf, TypeId(outer), 0, TypeId(outer), true));
        assert!(is_a(&btf, TypeId(outer), 0, TypeId(inner), false));
        assert!(!is_a(&btf, TypeId(outer), 0, TypeId(inner), true));
        assert!(!is_a(&btf, TypeId(outer), 16, TypeId(inner), false));
        assert!(!is_a(&btf, TypeId(inner), 0, TypeId(outer), false));
    }
}
