//! Paths through structures, by their types.

use ring3_btf::{Btf, Composite, Member, Type, TypeId};

use super::SimError;
use super::error::nearest;

/// How deep structures without a name may lie in one another.
const MAX_ANONYMOUS: usize = 16;
/// Steps of a path.
const MAX_STEPS: usize = 64;

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Member(String),
    Index(u64),
    /// What the pointer leads to is of this type.
    As(String),
}

/// A path: `a.b->c[3]`, `a:type.b`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Path {
    pub text: String,
    pub steps: Vec<Step>,
}

impl Path {
    pub fn parse(text: &str) -> Result<Path, SimError> {
        let wrong = || SimError::Path { path: text.to_owned() };
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (index, after) = after.split_once(']').ok_or_else(wrong)?;
                steps.push(Step::Index(index.trim().parse().map_err(|_| wrong())?));
                rest = after;
            } else if let (Some(after), false) = (rest.strip_prefix(':'), steps.is_empty()) {
                let end = name_end(after);
                if end == 0 {
                    return Err(wrong());
                }
                steps.push(Step::As(after[..end].to_owned()));
                rest = &after[end..];
            } else {
                let after = rest.strip_prefix("->").or_else(|| rest.strip_prefix('.'));
                let after = match after {
                    Some(after) if !steps.is_empty() => after,
                    None if steps.is_empty() => rest,
                    Some(_) | None => return Err(wrong()),
                };
                let end = name_end(after);
                if end == 0 {
                    return Err(wrong());
                }
                steps.push(Step::Member(after[..end].to_owned()));
                rest = &after[end..];
            }
        }
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return Err(wrong());
        }
        Ok(Path { text: text.trim().to_owned(), steps })
    }

    /// The first name, and what follows it.
    pub fn split_first(&self) -> Option<(&str, &[Step])> {
        match self.steps.split_first() {
            Some((Step::Member(name), rest)) => Some((name, rest)),
            Some((Step::Index(_) | Step::As(_), _)) | None => None,
        }
    }
}

/// Where a name ends.
fn name_end(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// A place in memory, and what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub addr: u64,
    pub ty: TypeId,
    /// Of a bit-field: its first bit behind `addr`, and how many.
    pub bits: Option<(u32, u8)>,
}

impl Place {
    pub fn new(addr: u64, ty: TypeId) -> Place {
        Place { addr, ty, bits: None }
    }
}

/// Goes along a path. `follow` gives the address that the pointer in a place has, which leads to this type.
pub(super) fn walk(
    btf: &Btf,
    start: Place,
    (text, steps): (&str, &[Step]),
    mut follow: impl FnMut(Place, TypeId) -> Result<u64, SimError>,
) -> Result<Place, SimError> {
    let mut place = start;
    for step in steps {
        match step {
            Step::As(name) => {
                let ty = super::content::find_type(btf, name)?;
                if !matches!(btf.resolved(place.ty)?, Type::Ptr { .. }) {
                    return Err(SimError::NoPointer { path: text.to_owned(), ty: describe(btf, place.ty) });
                }
                place = Place::new(follow(place, ty)?, ty);
            }
            Step::Member(name) => {
                let whole = through(btf, place, text, &mut follow)?;
                let (bits, member) = member(btf, whole.ty, name, text)?;
                place = Place::new(whole.addr.wrapping_add(u64::from(bits / 8)), member.ty);
                if member.bitfield_size != 0 {
                    place.bits = Some((bits % 8, member.bitfield_size));
                }
            }
            Step::Index(index) => {
                let array = match btf.resolved(place.ty)? {
                    Type::Array { elem, len, .. } => {
                        // A last array without a length has what the memory behind it has.
                        if *len != 0 && *index >= u64::from(*len) {
                            let (path, len) = (text.to_owned(), u64::from(*len));
                            return Err(SimError::Index { path, index: *index, len });
                        }
                        Place::new(place.addr, *elem)
                    }
                    Type::Ptr { .. } => through(btf, place, text, &mut follow)?,
                    _ => return Err(SimError::NoArray { path: text.to_owned(), ty: describe(btf, place.ty) }),
                };
                let size = u64::from(btf.size_of(array.ty)?);
                place = Place::new(array.addr.wrapping_add(index.wrapping_mul(size)), array.ty);
            }
        }
    }
    Ok(place)
}

/// What a pointer leads to; other places as they are.
fn through(
    btf: &Btf,
    place: Place,
    text: &str,
    follow: &mut impl FnMut(Place, TypeId) -> Result<u64, SimError>,
) -> Result<Place, SimError> {
    let Type::Ptr { to } = btf.resolved(place.ty)? else { return Ok(place) };
    if btf.size_of(*to).is_err() {
        return Err(SimError::Opaque { path: text.to_owned(), ty: describe(btf, place.ty) });
    }
    Ok(Place::new(follow(place, *to)?, *to))
}

/// The type at the end of a path.
pub(super) fn check(btf: &Btf, ty: TypeId, path: &Path) -> Result<TypeId, SimError> {
    walk(btf, Place::new(0, ty), (&path.text, &path.steps), |_, _| Ok(0)).map(|place| place.ty)
}

/// A member, and the bit where it starts, also in parts without a name.
fn member(btf: &Btf, ty: TypeId, name: &str, path: &str) -> Result<(u32, Member), SimError> {
    let (Type::Struct(whole) | Type::Union(whole)) = btf.resolved(ty)? else {
        return Err(SimError::NoStruct { path: path.to_owned(), ty: describe(btf, ty) });
    };
    find_member(btf, whole, name, 0).ok_or_else(|| {
        let mut names = Vec::new();
        member_names(btf, whole, 0, &mut names);
        let near = nearest(name, names.into_iter());
        SimError::NoField { ty: describe(btf, ty), field: name.to_owned(), near }
    })
}

fn find_member(btf: &Btf, whole: &Composite, name: &str, depth: usize) -> Option<(u32, Member)> {
    if let Some(found) = whole.members.iter().find(|m| btf.string(m.name) == name) {
        return Some((found.bit_offset, *found));
    }
    let parts = whole.members.iter().filter(|m| depth < MAX_ANONYMOUS && btf.string(m.name).is_empty());
    parts.into_iter().find_map(|part| {
        let (Type::Struct(inner) | Type::Union(inner)) = btf.resolved(part.ty).ok()? else { return None };
        find_member(btf, inner, name, depth + 1).map(|(bits, found)| (bits + part.bit_offset, found))
    })
}

fn member_names<'b>(btf: &'b Btf, whole: &'b Composite, depth: usize, names: &mut Vec<&'b str>) {
    for member in &whole.members {
        match (btf.string(member.name), btf.resolved(member.ty)) {
            ("", Ok(Type::Struct(inner) | Type::Union(inner))) if depth < MAX_ANONYMOUS => {
                member_names(btf, inner, depth + 1, names);
            }
            ("", _) => {}
            (name, _) => names.push(name),
        }
    }
}

/// A type in words.
pub(super) fn describe(btf: &Btf, ty: TypeId) -> String {
    let named = |fallback: &str| match btf.name(ty) {
        "" => fallback.to_owned(),
        name => name.to_owned(),
    };
    let Ok(found) = btf.ty(ty) else { return "nothing".to_owned() };
    match found {
        Type::Void => "void".to_owned(),
        Type::Ptr { to } => format!("{} *", pointee(btf, *to)),
        Type::Array { elem, len, .. } => format!("{}[{len}]", pointee(btf, *elem)),
        Type::Struct(_) => named("a struct without a name"),
        Type::Union(_) => named("a union without a name"),
        Type::Const { to } | Type::Volatile { to } | Type::Restrict { to } | Type::TypeTag { to, .. } => {
            pointee(btf, *to)
        }
        Type::FuncProto { .. } => "a function".to_owned(),
        Type::Int(_)
        | Type::Enum(_)
        | Type::Enum64(_)
        | Type::Fwd { .. }
        | Type::Typedef { .. }
        | Type::Func { .. }
        | Type::Var { .. }
        | Type::Datasec { .. }
        | Type::Float { .. }
        | Type::DeclTag { .. } => named("a type without a name"),
    }
}

/// The same of what a type is made of, which is followed no further than one step.
fn pointee(btf: &Btf, ty: TypeId) -> String {
    match btf.resolved(ty) {
        Ok(Type::Void) => "void".to_owned(),
        Ok(Type::Ptr { .. }) => "pointer".to_owned(),
        Ok(Type::FuncProto { .. }) => "function".to_owned(),
        _ => match btf.resolve(ty).map(|ty| btf.name(ty)) {
            Ok("") | Err(_) => "struct".to_owned(),
            Ok(name) => name.to_owned(),
        },
    }
}
