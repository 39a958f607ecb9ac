//! Typed values as text and as JSON.

use std::fmt::Write;

use ring3::Value;
use serde_json::{Map, Value as Json};

use crate::output::hex;

/// As `--map` and `--set` would take it.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write_text(value, &mut out);
    out
}

fn write_text(value: &Value, out: &mut String) {
    // Writing into a String cannot fail.
    let _ = match value {
        Value::Signed(n) => write!(out, "{n}"),
        Value::Unsigned(n) => write!(out, "{n}"),
        Value::Wide(n) => write!(out, "{n:#x}"),
        Value::Bool(b) => write!(out, "{b}"),
        Value::Char(c) => write!(out, "{c}"),
        Value::Float(x) => write!(out, "{x}"),
        Value::Enum { name: Some(name), .. } => write!(out, "{name}"),
        Value::Enum { value, name: None } => write!(out, "{value}"),
        Value::Pointer(address) => write!(out, "{address:#x}"),
        Value::Str(text) => write!(out, "{text:?}"),
        Value::Bytes(bytes) => write!(out, "hex:{}", hex(bytes)),
        Value::Array(items) => {
            out.push('{');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_text(item, out);
            }
            out.push('}');
            Ok(())
        }
        Value::Struct { fields, .. } => {
            out.push('{');
            for (at, (name, field)) in fields.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                if !name.is_empty() {
                    out.push_str(name);
                    out.push('=');
                }
                write_text(field, out);
            }
            out.push('}');
            Ok(())
        }
    };
}

/// As JSON: structs are objects (the fields of parts without name stand among their parent's), bytes are hexadecimal.
pub fn json(value: &Value) -> Json {
    match value {
        Value::Signed(n) => (*n).into(),
        Value::Unsigned(n) => (*n).into(),
        Value::Wide(n) => format!("{n:#x}").into(),
        Value::Bool(b) => (*b).into(),
        Value::Char(c) => (*c).into(),
        Value::Float(x) => (*x).into(),
        Value::Enum { name: Some(name), .. } => name.as_str().into(),
        Value::Enum { value, name: None } => (*value).into(),
        Value::Pointer(address) => format!("{address:#x}").into(),
        Value::Str(text) => text.as_str().into(),
        Value::Bytes(bytes) => hex(bytes).into(),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Struct { fields, .. } => {
            let mut object = Map::new();
            add_fields(&mut object, fields);
            Json::Object(object)
        }
    }
}

fn add_fields(object: &mut Map<String, Json>, fields: &[(String, Value)]) {
    for (name, field) in fields {
        match field {
            Value::Struct { fields, .. } if name.is_empty() => add_fields(object, fields),
            other => {
                object.insert(name.clone(), json(other));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let inner = Value::Struct { name: String::new(), fields: vec![("b".into(), Value::Str("x\"".into()))] };
        let fields =
            vec![("a".into(), Value::Signed(-1)), (String::new(), inner), ("c".into(), Value::Bytes(vec![1, 2]))];
        let value = Value::Struct { name: "s".into(), fields };
        assert_eq!(text(&value), "{a=-1, {b=\"x\\\"\"}, c=hex:0102}");
        assert_eq!(json(&value).to_string(), r#"{"a":-1,"b":"x\"","c":"0102"}"#);
    }
}
