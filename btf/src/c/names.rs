//! Names that C takes: identifiers, each once in its name space.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::Btf;
use crate::types::*;

/// Words that C, or clang as C compiler, has for itself. A `__builtin_va_list` is not the same on every machine.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "_Alignas", "_Alignof", "_Atomic", "_Bool", "_Complex", "_Generic", "_Imaginary", "_Noreturn", "_Static_assert",
    "_Thread_local", "__builtin_va_list", "__int128", "asm", "auto", "break", "case", "char", "const", "continue", "default",
    "do", "double", "else", "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return",
    "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "typeof", "union", "unsigned", "void", "volatile",
    "while",
];

/// A name as C can have it. Names from other languages have signs that C has not, and hostile ones might have any.
pub(super) fn identifier(name: &str) -> Cow<'_, str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let digit_first = name.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if KEYWORDS.contains(&name) {
        return Cow::Owned(alloc::format!("{name}_"));
    }
    if name.bytes().all(is_plain) && !digit_first {
        return Cow::Borrowed(name);
    }
    let start = if digit_first { "_" } else { "" };
    let rest = name.chars().map(|c| if c.is_ascii() && is_plain(c as u8) { c } else { '_' });
    Cow::Owned(start.chars().chain(rest).collect())
}

/// What types and constants are called where that is not what the BTF says.
pub(super) struct Names {
    renamed: BTreeMap<TypeId, String>,
    /// By enum and position.
    constants: BTreeMap<(TypeId, usize), String>,
    /// Ordinary identifiers: typedefs and constants.
    taken: BTreeSet<String>,
    /// Types that another type uses.
    inner: Vec<bool>,
}

impl Names {
    /// Gives every type its name. Of several with one name the first in the BTF keeps it.
    pub(super) fn new(btf: &Btf) -> Names {
        let mut names = Names {
            renamed: BTreeMap::new(),
            constants: BTreeMap::new(),
            taken: BTreeSet::new(),
            inner: super::referenced(btf),
        };
        names.tags(btf);
        names.ordinary(btf);
        names
    }

    /// Structs, unions and enums share one name space. A forward declaration is of the type that has its name.
    fn tags(&mut self, btf: &Btf) {
        let mut tags: BTreeMap<String, Kind> = BTreeMap::new();
        for (id, ty) in (0..).map(TypeId).zip(btf.types()) {
            if let Type::Struct(_) | Type::Union(_) | Type::Enum(_) | Type::Enum64(_) = ty
                && !btf.name(id).is_empty()
            {
                let name = free(&identifier(btf.name(id)), |name| tags.contains_key(name));
                tags.insert(name.clone(), ty.kind());
                self.rename(btf, id, name);
            }
        }
        for (id, ty) in (0..).map(TypeId).zip(btf.types()) {
            if let Type::Fwd { is_union, .. } = ty {
                let kind = if *is_union { Kind::Union } else { Kind::Struct };
                let other = |name: &str| tags.get(name).is_some_and(|of| *of != kind);
                let name = free(&identifier(btf.name(id)), other);
                tags.insert(name.clone(), kind);
                self.rename(btf, id, name);
            }
        }
    }

    fn ordinary(&mut self, btf: &Btf) {
        for (id, ty) in (0..).map(TypeId).zip(btf.types()) {
            match ty {
                Type::Typedef { .. } => {
                    let name = free(&identifier(btf.name(id)), |name| self.taken.contains(name));
                    self.taken.insert(name.clone());
                    self.rename(btf, id, name);
                }
                Type::Enum(e) | Type::Enum64(e) => {
                    for (at, value) in e.values.iter().enumerate() {
                        let own = btf.string(value.name);
                        let name = free(&identifier(own), |name| self.taken.contains(name));
                        self.taken.insert(name.clone());
                        if name != own {
                            self.constants.insert((id, at), name);
                        }
                    }
                }
                Type::Void
                | Type::Int(_)
                | Type::Ptr { .. }
                | Type::Array { .. }
                | Type::Struct(_)
                | Type::Union(_)
                | Type::Fwd { .. }
                | Type::Volatile { .. }
                | Type::Const { .. }
                | Type::Restrict { .. }
                | Type::Func { .. }
                | Type::FuncProto { .. }
                | Type::Var { .. }
                | Type::Datasec { .. }
                | Type::Float { .. }
                | Type::DeclTag { .. }
                | Type::TypeTag { .. } => {}
            }
        }
    }

    fn rename(&mut self, btf: &Btf, id: TypeId, name: String) {
        if name != btf.name(id) {
            self.renamed.insert(id, name);
        }
    }

    /// What this type is called.
    pub(super) fn of(&self, btf: &Btf, id: TypeId) -> String {
        self.renamed.get(&id).cloned().unwrap_or_else(|| btf.name(id).to_string())
    }

    /// What this constant of an enum is called.
    pub(super) fn constant<'a>(&'a self, btf: &'a Btf, id: TypeId, at: usize, value: &Enumerator) -> &'a str {
        self.constants.get(&(id, at)).map_or_else(|| btf.string(value.name), String::as_str)
    }

    /// May a function have this name, which cannot be changed?
    pub(super) fn is_free(&self, name: &str) -> bool {
        !name.is_empty() && identifier(name) == name && !self.taken.contains(name)
    }

    /// Does another type use this one?
    pub(super) fn is_inner(&self, id: TypeId) -> bool {
        self.inner.get(id.index()).copied().unwrap_or(false)
    }
}

/// The name itself, or with the first suffix that makes it free.
fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let suffixed = (2u64..).map(|n| alloc::format!("{name}___{n}"));
    core::iter::once(name.to_string()).chain(suffixed).find(|name| !is_taken(name)).unwrap_or_default()
}
