//! The types themselves, as plain data. `Documentation/bpf/btf.rst`, section 2.2.

use alloc::boxed::Box;

/// Number of a type within its BTF; 0 is `void`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`.
    pub const VOID: TypeId = TypeId(0);

    /// As an index into the list of types.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Offset of a string in the string section; 0 is the empty string.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StrOff(pub u32);

/// Byte order of the file that the BTF came from, and of the values that it describes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Endian {
    Little,
    Big,
}

/// `BTF_KIND_*`, to search by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Kind {
    Void = 0,
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    Datasec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

impl Kind {
    /// The name that bpftool prints: `INT`, `FUNC_PROTO`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Void => "VOID",
            Kind::Int => "INT",
            Kind::Ptr => "PTR",
            Kind::Array => "ARRAY",
            Kind::Struct => "STRUCT",
            Kind::Union => "UNION",
            Kind::Enum => "ENUM",
            Kind::Fwd => "FWD",
            Kind::Typedef => "TYPEDEF",
            Kind::Volatile => "VOLATILE",
            Kind::Const => "CONST",
            Kind::Restrict => "RESTRICT",
            Kind::Func => "FUNC",
            Kind::FuncProto => "FUNC_PROTO",
            Kind::Var => "VAR",
            Kind::Datasec => "DATASEC",
            Kind::Float => "FLOAT",
            Kind::DeclTag => "DECL_TAG",
            Kind::TypeTag => "TYPE_TAG",
            Kind::Enum64 => "ENUM64",
        }
    }
}

/// How an integer is to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IntEncoding {
    /// No bit set: unsigned.
    Unsigned,
    /// `BTF_INT_SIGNED`.
    Signed,
    /// `BTF_INT_CHAR`.
    Char,
    /// `BTF_INT_BOOL`.
    Bool,
    /// Any other combination of bits.
    Other(u8),
}

impl IntEncoding {
    /// The word that bpftool prints.
    pub const fn name(self) -> &'static str {
        match self {
            IntEncoding::Unsigned => "(none)",
            IntEncoding::Signed => "SIGNED",
            IntEncoding::Char => "CHAR",
            IntEncoding::Bool => "BOOL",
            IntEncoding::Other(_) => "UNKN",
        }
    }
}

/// `BTF_KIND_INT`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Int {
    /// Its name.
    pub name: StrOff,
    /// Bytes, 1 to 16.
    pub size: u32,
    /// First bit of the value within the bytes.
    pub bit_offset: u8,
    /// Bits of the value.
    pub bits: u8,
    /// Signedness and use.
    pub encoding: IntEncoding,
}

/// `BTF_KIND_STRUCT` or `BTF_KIND_UNION`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Composite {
    /// Its name; empty for an anonymous one.
    pub name: StrOff,
    /// Bytes.
    pub size: u32,
    /// In the order of the file.
    pub members: Box<[Member]>,
}

/// One member of a struct or union.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Member {
    /// Its name; empty for an anonymous struct or union.
    pub name: StrOff,
    /// Its type.
    pub ty: TypeId,
    /// Offset from the start of the whole, in bits.
    pub bit_offset: u32,
    /// Width of a bitfield, 0 if it is none.
    pub bitfield_size: u8,
}

/// `BTF_KIND_ENUM` or `BTF_KIND_ENUM64`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enumeration {
    /// Its name.
    pub name: StrOff,
    /// Bytes: 1, 2, 4 or 8; 0 for one that is declared and not defined.
    pub size: u32,
    /// Are the values signed?
    pub signed: bool,
    /// In the order of the file.
    pub values: Box<[Enumerator]>,
}

/// One value of an enum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Enumerator {
    /// Its name.
    pub name: StrOff,
    /// Its value; of an unsigned 64-bit enum, the same bits.
    pub value: i64,
}

/// One parameter of a function prototype. A last one without name and type stands for `...`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct Param {
    pub name: StrOff,
    pub ty: TypeId,
}

/// One variable of a data section.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SecVar {
    /// A [`Type::Var`] (in `.ksyms`, perhaps a [`Type::Func`]).
    pub ty: TypeId,
    /// Offset within the section, in bytes.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// Linkage of functions and variables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Linkage {
    Static,
    Global,
    Extern,
}

impl Linkage {
    /// `static`, `global` or `extern`.
    pub const fn name(self) -> &'static str {
        match self {
            Linkage::Static => "static",
            Linkage::Global => "global",
            Linkage::Extern => "extern",
        }
    }
}

/// A type.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Type {
    /// Number 0, in every BTF.
    Void,
    Int(Int),
    Ptr {
        to: TypeId,
    },
    Array {
        elem: TypeId,
        index: TypeId,
        len: u32,
    },
    Struct(Composite),
    Union(Composite),
    Enum(Enumeration),
    Enum64(Enumeration),
    /// A struct or union that is declared but not defined.
    Fwd {
        name: StrOff,
        is_union: bool,
    },
    Typedef {
        name: StrOff,
        to: TypeId,
    },
    Volatile {
        to: TypeId,
    },
    Const {
        to: TypeId,
    },
    Restrict {
        to: TypeId,
    },
    Func {
        name: StrOff,
        proto: TypeId,
        linkage: Linkage,
    },
    FuncProto {
        ret: TypeId,
        params: Box<[Param]>,
    },
    Var {
        name: StrOff,
        ty: TypeId,
        linkage: Linkage,
    },
    Datasec {
        name: StrOff,
        size: u32,
        vars: Box<[SecVar]>,
    },
    Float {
        name: StrOff,
        size: u32,
    },
    /// `component` is the number of a member or parameter, or -1 for the target itself. With the kind's flag it is no tag
    /// but any attribute of C, its name what stands between the double parentheses; so are type tags. Since 6.15.
    DeclTag {
        name: StrOff,
        target: TypeId,
        component: i32,
        is_attribute: bool,
    },
    TypeTag {
        name: StrOff,
        to: TypeId,
        is_attribute: bool,
    },
}

impl Type {
    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Type::Void => Kind::Void,
            Type::Int(_) => Kind::Int,
            Type::Ptr { .. } => Kind::Ptr,
            Type::Array { .. } => Kind::Array,
            Type::Struct(_) => Kind::Struct,
            Type::Union(_) => Kind::Union,
            Type::Enum(_) => Kind::Enum,
            Type::Enum64(_) => Kind::Enum64,
            Type::Fwd { .. } => Kind::Fwd,
            Type::Typedef { .. } => Kind::Typedef,
            Type::Volatile { .. } => Kind::Volatile,
            Type::Const { .. } => Kind::Const,
            Type::Restrict { .. } => Kind::Restrict,
            Type::Func { .. } => Kind::Func,
            Type::FuncProto { .. } => Kind::FuncProto,
            Type::Var { .. } => Kind::Var,
            Type::Datasec { .. } => Kind::Datasec,
            Type::Float { .. } => Kind::Float,
            Type::DeclTag { .. } => Kind::DeclTag,
            Type::TypeTag { .. } => Kind::TypeTag,
        }
    }

    /// All types that this one refers to, in the order of the record.
    pub fn each_reference(&self, mut to_each: impl FnMut(TypeId)) {
        match self {
            Type::Void | Type::Int(_) | Type::Enum(_) | Type::Enum64(_) | Type::Fwd { .. } | Type::Float { .. } => {}
            Type::Ptr { to }
            | Type::Typedef { to, .. }
            | Type::Volatile { to }
            | Type::Const { to }
            | Type::Restrict { to }
            | Type::TypeTag { to, .. }
            | Type::Func { proto: to, .. }
            | Type::Var { ty: to, .. }
            | Type::DeclTag { target: to, .. } => to_each(*to),
            Type::Array { elem, index, .. } => {
                to_each(*elem);
                to_each(*index);
            }
            Type::Struct(c) | Type::Union(c) => c.members.iter().for_each(|m| to_each(m.ty)),
            Type::FuncProto { ret, params } => {
                to_each(*ret);
                params.iter().for_each(|p| to_each(p.ty));
            }
            Type::Datasec { vars, .. } => vars.iter().for_each(|v| to_each(v.ty)),
        }
    }

    /// The same, to be changed.
    pub fn each_reference_mut(&mut self, mut to_each: impl FnMut(&mut TypeId)) {
        match self {
            Type::Void | Type::Int(_) | Type::Enum(_) | Type::Enum64(_) | Type::Fwd { .. } | Type::Float { .. } => {}
            Type::Ptr { to }
            | Type::Typedef { to, .. }
            | Type::Volatile { to }
            | Type::Const { to }
            | Type::Restrict { to }
            | Type::TypeTag { to, .. }
            | Type::Func { proto: to, .. }
            | Type::Var { ty: to, .. }
            | Type::DeclTag { target: to, .. } => to_each(to),
            Type::Array { elem, index, .. } => {
                to_each(elem);
                to_each(index);
            }
            Type::Struct(c) | Type::Union(c) => c.members.iter_mut().for_each(|m| to_each(&mut m.ty)),
            Type::FuncProto { ret, params } => {
                to_each(ret);
                params.iter_mut().for_each(|p| to_each(&mut p.ty));
            }
            Type::Datasec { vars, .. } => vars.iter_mut().for_each(|v| to_each(&mut v.ty)),
        }
    }

    /// All names in the record, that of the type first, to be changed.
    pub fn each_name_mut(&mut self, mut to_each: impl FnMut(&mut StrOff)) {
        match self {
            Type::Int(int) => to_each(&mut int.name),
            Type::Struct(c) | Type::Union(c) => {
                to_each(&mut c.name);
                c.members.iter_mut().for_each(|m| to_each(&mut m.name));
            }
            Type::Enum(e) | Type::Enum64(e) => {
                to_each(&mut e.name);
                e.values.iter_mut().for_each(|v| to_each(&mut v.name));
            }
            Type::FuncProto { params, .. } => params.iter_mut().for_each(|p| to_each(&mut p.name)),
            Type::Fwd { name, .. }
            | Type::Typedef { name, .. }
            | Type::Func { name, .. }
            | Type::Var { name, .. }
            | Type::Datasec { name, .. }
            | Type::Float { name, .. }
            | Type::DeclTag { name, .. }
            | Type::TypeTag { name, .. } => to_each(name),
            Type::Void
            | Type::Ptr { .. }
            | Type::Array { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. } => {}
        }
    }

    /// Its name; the empty string's offset for a type that has none.
    pub const fn name(&self) -> StrOff {
        match self {
            Type::Int(int) => int.name,
            Type::Struct(c) | Type::Union(c) => c.name,
            Type::Enum(e) | Type::Enum64(e) => e.name,
            Type::Fwd { name, .. }
            | Type::Typedef { name, .. }
            | Type::Func { name, .. }
            | Type::Var { name, .. }
            | Type::Datasec { name, .. }
            | Type::Float { name, .. }
            | Type::DeclTag { name, .. }
            | Type::TypeTag { name, .. } => *name,
            Type::Void
            | Type::Ptr { .. }
            | Type::Array { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::FuncProto { .. } => StrOff(0),
        }
    }
}
