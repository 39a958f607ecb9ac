//! How the verifier log writes numbers.

use super::Scalar;
use crate::domain::num::low32;
use core::fmt;

/// An unsigned number: decimal to 65535, else hexadecimal.
fn unsigned(value: u64) -> String {
    if value <= u64::from(u16::MAX) { value.to_string() } else { format!("{value:#x}") }
}

/// Whether a signed number is written in decimal.
fn is_small(value: i64) -> bool {
    i16::try_from(value).is_ok()
}

/// A signed number: decimal if it fits in 16 bits, else the hexadecimal of its two's complement.
fn signed(value: i64) -> String {
    if is_small(value) { value.to_string() } else { format!("{value:#x}") }
}

/// One bound to be printed.
struct Bound {
    name: &'static str,
    signed: bool,
    value: u64,
    /// Says nothing, or was printed together with an earlier one.
    omitted: bool,
}

impl Bound {
    fn is_negative(&self) -> bool {
        self.signed && self.value.cast_signed() < 0
    }
}

impl Scalar {
    /// A constant as the log writes it, e.g. `-5`, `0x8000`.
    pub fn fmt_const(value: u64, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_str(&signed(value.cast_signed()))
    }

    /// The attributes of a number inside parentheses, each after a comma unless `first`: for a constant that is not
    /// zero `imm=`, otherwise the ranges that say something and `var_off=`. Pointers print their variable part so.
    pub fn write_attrs(&self, f: &mut dyn fmt::Write, first: &mut bool) -> fmt::Result {
        if let Some(value) = self.const_value() {
            if value != 0 {
                separate(f, first)?;
                f.write_str("imm=")?;
                Scalar::fmt_const(value, f)?;
            }
            return Ok(());
        }
        self.write_ranges(f, first)?;
        if !self.bits.is_unknown() {
            separate(f, first)?;
            write!(f, "var_off={}", self.bits)?;
        }
        Ok(())
    }

    fn write_ranges(&self, f: &mut dyn fmt::Write, first: &mut bool) -> fmt::Result {
        let mut bounds = self.bounds();
        for i in 0..bounds.len() {
            if bounds[i].omitted {
                continue;
            }
            separate(f, first)?;
            write!(f, "{}=", bounds[i].name)?;
            // Minima alternate with maxima; equal ones share one number unless one means it as negative.
            for j in (i + 2..bounds.len()).step_by(2) {
                let same = bounds[j].value == bounds[i].value && bounds[j].is_negative() == bounds[i].is_negative();
                if same && !bounds[j].omitted {
                    bounds[j].omitted = true;
                    write!(f, "{}=", bounds[j].name)?;
                }
            }
            let value = bounds[i].value;
            f.write_str(&if bounds[i].signed { signed(value.cast_signed()) } else { unsigned(value) })?;
        }
        Ok(())
    }

    fn bounds(&self) -> [Bound; 8] {
        // In hexadecimal a negative low half has only eight digits.
        let low = |value: i32| {
            let bits =
                if is_small(value.into()) { i64::from(value).cast_unsigned() } else { value.cast_unsigned().into() };
            debug_assert_eq!(low32(bits), value.cast_unsigned());
            bits
        };
        let s = |name, value, omitted| Bound { name, signed: true, value, omitted };
        let u = |name, value, omitted| Bound { name, signed: false, value, omitted };
        [
            s("smin", self.s64.min.cast_unsigned(), self.s64.min == i64::MIN),
            s("smax", self.s64.max.cast_unsigned(), self.s64.max == i64::MAX),
            u("umin", self.u64.min, self.u64.min == 0),
            u("umax", self.u64.max, self.u64.max == u64::MAX),
            s("smin32", low(self.s32.min), self.s32.min == i32::MIN),
            s("smax32", low(self.s32.max), self.s32.max == i32::MAX),
            u("umin32", self.u32.min.into(), self.u32.min == 0),
            u("umax32", self.u32.max.into(), self.u32.max == u32::MAX),
        ]
    }
}

fn separate(f: &mut dyn fmt::Write, first: &mut bool) -> fmt::Result {
    if !*first {
        f.write_str(",")?;
    }
    *first = false;
    Ok(())
}

/// As in the verifier log: a constant, or `scalar(...)`.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.const_value() {
            return Scalar::fmt_const(value, f);
        }
        f.write_str("scalar(")?;
        self.write_attrs(f, &mut true)?;
        f.write_str(")")
    }
}
