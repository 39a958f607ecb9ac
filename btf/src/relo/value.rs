//! The number that a way into a type stands for.

use super::CoreError;
use super::spec::{About, Spec, enumeration};
use crate::ext::CoreReloKind;
use crate::types::{Endian, IntEncoding, Type, TypeId};
use crate::{Btf, BtfError};

/// A number, as one side has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value {
    pub value: u64,
    /// False where compilers are free to choose, or linkers change it.
    pub checked: bool,
    /// The field behind an offset, where its size tells how it is accessed.
    pub field: Option<Field>,
}

/// Size in bytes and type of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub size: u32,
    pub ty: TypeId,
}

/// The number where the kernel has nothing to go by; `None`: there is none.
pub(super) fn missing(kind: CoreReloKind) -> Option<Value> {
    match kind {
        CoreReloKind::FieldExists
        | CoreReloKind::TypeExists
        | CoreReloKind::TypeMatches
        | CoreReloKind::TypeSize
        | CoreReloKind::TypeIdTarget
        | CoreReloKind::EnumvalExists => Some(Value::checked(0)),
        CoreReloKind::FieldByteOffset
        | CoreReloKind::FieldByteSize
        | CoreReloKind::FieldSigned
        | CoreReloKind::FieldLshift
        | CoreReloKind::FieldRshift
        | CoreReloKind::EnumvalValue
        | CoreReloKind::TypeIdLocal
        | CoreReloKind::Unknown(_) => None,
    }
}

impl Spec<'_> {
    /// The number that is asked for, on the side that this way is through. `order` is the program's byte order.
    pub fn value(&self, btf: &Btf, order: Endian) -> Result<Option<Value>, CoreError> {
        let value = match self.kind {
            CoreReloKind::FieldExists
            | CoreReloKind::TypeExists
            | CoreReloKind::TypeMatches
            | CoreReloKind::EnumvalExists => Value::checked(1),
            CoreReloKind::TypeIdLocal | CoreReloKind::TypeIdTarget => {
                // Linkers of objects number types anew and leave the instruction as it was.
                Value { checked: false, ..Value::checked(u64::from(self.root.0)) }
            }
            CoreReloKind::TypeSize => Value::checked(u64::from(btf.size_of(self.root)?)),
            CoreReloKind::EnumvalValue => Value::checked(self.enumerator(btf)?),
            CoreReloKind::FieldByteOffset
            | CoreReloKind::FieldByteSize
            | CoreReloKind::FieldSigned
            | CoreReloKind::FieldLshift
            | CoreReloKind::FieldRshift => self.field(btf, order)?,
            CoreReloKind::Unknown(raw) => return Err(CoreError::UnknownKind(raw)),
        };
        Ok(Some(value))
    }

    fn bad(&self) -> CoreError {
        let path: alloc::vec::Vec<_> = self.path.iter().map(alloc::string::ToString::to_string).collect();
        CoreError::BadPath(path.join(":"))
    }

    fn enumerator(&self, btf: &Btf) -> Result<u64, CoreError> {
        debug_assert_eq!(self.about, About::Enumerator);
        let step = self.steps.first().ok_or_else(|| self.bad())?;
        let value = enumeration(btf, step.ty).and_then(|e| e.values.get(step.index as usize));
        Ok(value.ok_or_else(|| self.bad())?.value.cast_unsigned())
    }

    fn field(&self, btf: &Btf, order: Endian) -> Result<Value, CoreError> {
        let step = self.steps.last().ok_or_else(|| self.bad())?;
        if step.name.is_none() {
            return self.element_value(btf, step.ty);
        }
        let member = match btf.ty(step.ty)? {
            Type::Struct(c) | Type::Union(c) => c.members.get(step.index as usize),
            _ => None,
        };
        let member = member.ok_or_else(|| self.bad())?;
        let ty = btf.resolve(member.ty)?;
        let place = if member.bitfield_size == 0 {
            Place::whole(self.bits, btf.size_of(ty)?)
        } else {
            Place::bit_field(self.bits, u32::from(member.bitfield_size), btf.size_of(ty)?)?
        };
        let is_bit_field = member.bitfield_size != 0;
        // How a bit field is read is the compiler's choice; but not its sign, nor how many bits are shifted out above.
        let free = |value| Value { value, checked: !is_bit_field, field: None };
        Ok(match self.kind {
            CoreReloKind::FieldByteOffset => {
                Value { field: (!is_bit_field).then_some(Field { size: place.size, ty }), ..free(place.offset) }
            }
            CoreReloKind::FieldByteSize => free(u64::from(place.size)),
            CoreReloKind::FieldSigned => Value::checked(u64::from(is_signed(btf.ty(ty)?))),
            CoreReloKind::FieldLshift => free(place.left_shift(order)),
            CoreReloKind::FieldRshift => Value::checked(64u64.wrapping_sub(place.width)),
            CoreReloKind::FieldExists
            | CoreReloKind::TypeIdLocal
            | CoreReloKind::TypeIdTarget
            | CoreReloKind::TypeExists
            | CoreReloKind::TypeSize
            | CoreReloKind::TypeMatches
            | CoreReloKind::EnumvalExists
            | CoreReloKind::EnumvalValue
            | CoreReloKind::Unknown(_) => return Err(self.bad()),
        })
    }

    /// Of an element, or the whole type, only place and size can be asked for.
    fn element_value(&self, btf: &Btf, ty: TypeId) -> Result<Value, CoreError> {
        let size = btf.size_of(ty)?;
        match self.kind {
            CoreReloKind::FieldByteOffset => {
                Ok(Value { field: Some(Field { size, ty }), ..Value::checked(self.bits / 8) })
            }
            CoreReloKind::FieldByteSize => Ok(Value::checked(u64::from(size))),
            _ => Err(self.bad()),
        }
    }
}

/// Where a field lies and how it is loaded.
struct Place {
    /// Bytes from the start of the type to where the load starts.
    offset: u64,
    /// Bytes to load.
    size: u32,
    /// First bit of the field, from the start of the type.
    bits: u64,
    /// Bits of the field.
    width: u64,
}

impl Place {
    fn whole(bits: u64, size: u32) -> Place {
        Place { offset: bits / 8, size, bits, width: u64::from(size) * 8 }
    }

    /// The load starts at a multiple of its size, and doubles while it does not reach the field's end.
    fn bit_field(bits: u64, width: u32, size: u32) -> Result<Place, CoreError> {
        let (width, mut size) = (u64::from(width), u64::from(size));
        if size == 0 {
            return Err(CoreError::WideBitfield);
        }
        let start = |size: u64| bits / 8 / size * size;
        while bits + width - start(size) * 8 > size * 8 {
            if size >= 8 {
                return Err(CoreError::WideBitfield);
            }
            size *= 2;
        }
        let bytes = u32::try_from(size).map_err(|_| CoreError::Btf(BtfError::NoSize(TypeId::VOID)))?;
        Ok(Place { offset: start(size), size: bytes, bits, width })
    }

    /// Bits above the field in a 64-bit register after the load.
    fn left_shift(&self, order: Endian) -> u64 {
        let within = self.bits.wrapping_sub(self.offset * 8);
        let shift = match order {
            Endian::Little => 64u64.wrapping_sub(within + self.width),
            Endian::Big => 8u64.wrapping_sub(u64::from(self.size)).wrapping_mul(8).wrapping_add(within),
        };
        shift & 0xffff_ffff
    }
}

fn is_signed(ty: &Type) -> bool {
    match ty {
        Type::Int(int) => match int.encoding {
            IntEncoding::Signed => true,
            IntEncoding::Other(bits) => bits & 1 != 0,
            IntEncoding::Unsigned | IntEncoding::Char | IntEncoding::Bool => false,
        },
        Type::Enum(e) | Type::Enum64(e) => e.signed,
        _ => false,
    }
}
