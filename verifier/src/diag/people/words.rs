//! Values in words.

use ring3_platform::Program;

use crate::diag::render;
use crate::domain::Scalar;
use crate::state::{Ptr, PtrKind, Value, type_name};

/// What a register holds: `a number from 0 to 255`, `a pointer to a value of the map 'flows' (16 bytes), or NULL`.
pub fn value(program: &Program, value: &Value) -> String {
    match value {
        Value::Uninit => "nothing that may be read".to_owned(),
        Value::Scalar(scalar) => number(&scalar.num),
        Value::Ptr(ptr) => pointer(program, value, ptr),
    }
}

/// A number: its tighter range of the two, and bits that are always zero if they say more.
pub fn number(num: &Scalar) -> String {
    if let Some(constant) = num.const_value() {
        let signed = ring3_isa::num::s64(constant);
        return if (-4096..0).contains(&signed) {
            format!("the number {signed}")
        } else {
            format!("the number {constant}")
        };
    }
    let unsigned = num.umax() != u64::MAX || num.umin() != 0;
    let signed = num.smin() != i64::MIN || num.smax() != i64::MAX;
    let by_sign = num.smin() < 0 && signed;
    let mut text = match (by_sign, unsigned) {
        (true, _) => format!("a number from {} to {}", num.smin(), num.smax()),
        (false, true) => format!("a number from {} to {}", num.umin(), limit(num.umax())),
        (false, false) => "any number".to_owned(),
    };
    let zeros = (!(num.bits().mask() | num.bits().value())).trailing_ones();
    if (1..=12).contains(&zeros) {
        text.push_str(&format!(", a multiple of {}", 1u32 << zeros));
    }
    text
}

/// Numbers that everybody knows by name.
fn limit(value: u64) -> String {
    match value {
        u64::MAX => "2^64-1".to_owned(),
        0xffff_ffff => "4294967295 (2^32-1)".to_owned(),
        _ => value.to_string(),
    }
}

fn pointer(program: &Program, whole: &Value, ptr: &Ptr) -> String {
    let map = |map: u32| program.maps.get(map as usize).map_or("?", |def| render::kernel_name(&def.name));
    let plain = Value::Ptr(Ptr { nullable: false, ..*ptr });
    let mut text = if let PtrKind::MapValue(index) = ptr.kind {
        let size = program.maps.get(index as usize).map_or(0, |def| def.value_size);
        format!("a pointer into a value of the map '{}' ({})", map(index), bytes(size.into()))
    } else if let PtrKind::MapKey(index) = ptr.kind {
        format!("a pointer into a key of the map '{}'", map(index))
    } else if let PtrKind::ConstMap(index) = ptr.kind {
        format!("the map '{}'", map(index))
    } else if let PtrKind::Packet { range } = ptr.kind {
        match range {
            1.. => {
                format!("a packet pointer, behind which {} are known to be there", bytes(range.cast_unsigned().into()))
            }
            _ => "a packet pointer, behind which no byte is known to be there".to_owned(),
        }
    } else if let PtrKind::Mem { size, .. } = ptr.kind {
        format!("a pointer into {} of memory", bytes(size.into()))
    } else {
        named(&type_name(&plain))
    };
    text.push_str(&offset(ptr));
    if type_name(whole).ends_with("_or_null") {
        text.push_str(", or NULL");
    }
    text
}

/// Kinds that need no more than their name.
fn named(kind: &str) -> String {
    match kind {
        "ctx" => "a pointer to the context".to_owned(),
        "fp" => "a pointer to the stack".to_owned(),
        "pkt_meta" => "a pointer to the packet's metadata".to_owned(),
        "pkt_end" => "the end of the packet (data_end)".to_owned(),
        "flow_keys" => "a pointer to the flow keys".to_owned(),
        "sock" => "a pointer to a socket".to_owned(),
        "sock_common" => "a pointer to a socket of any kind".to_owned(),
        "tcp_sock" => "a pointer to a TCP socket".to_owned(),
        "func" => "a pointer to a function".to_owned(),
        other => match other.split_once("ptr_") {
            Some((trust, name)) if !name.is_empty() => {
                let trust = trust.trim_end_matches('_');
                format!("a {trust}{}pointer to a struct {name} of the kernel", if trust.is_empty() { "" } else { " " })
            }
            _ => format!("a pointer of the kind {other}"),
        },
    }
}

fn offset(ptr: &Ptr) -> String {
    match ptr.const_off() {
        Some(0) => String::new(),
        Some(off) => format!(", at offset {off}"),
        None => {
            let from = i64::from(ptr.off).saturating_add(ptr.var.smin());
            let to = i64::from(ptr.off).saturating_add(ptr.var.smax());
            let edge = |edge: i64| match edge {
                ..=-0x7fff_0000_0000_0000 => "minus infinity".to_owned(),
                0x7fff_0000_0000_0000.. => "infinity".to_owned(),
                _ => edge.to_string(),
            };
            format!(", at an offset from {} to {}", edge(from), edge(to))
        }
    }
}

/// `1 byte`, `12 bytes`.
pub fn bytes(count: u64) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}
