//! Types from files, and as JSON in the words of `bpftool -j btf dump`.

use std::path::Path;

use ring3::btf::{Btf, Composite, Enumeration, StrOff, Type};
use ring3::{Engine, Object};
use serde_json::{Value as Json, json};

use crate::error::CliError;

/// How a raw BTF file starts, in either byte order.
const MAGIC: [[u8; 2]; 2] = [[0x9f, 0xeb], [0xeb, 0x9f]];

/// Is it a raw BTF file?
pub fn is_btf(bytes: &[u8]) -> bool {
    MAGIC.iter().any(|magic| bytes.starts_with(magic))
}

/// Types from a raw BTF file, or from an object that has them.
pub fn read(path: &Path) -> Result<Btf, CliError> {
    let bytes = ring3::read(path, ring3::object::MAX_FILE)?;
    // Only what is an ELF file is read as one: errors are to be about what the file wants to be.
    if bytes.starts_with(b"\x7fELF") {
        let object = Object::parse(&path.to_string_lossy(), &bytes).map_err(CliError::input)?;
        let btf = object.btf().ok_or_else(|| CliError::file(path, "it has no BTF (compile with -g)"))?;
        return Ok((**btf).clone());
    }
    Btf::parse(&bytes).map_err(|e| CliError::file(path, e))
}

/// The engine with a kernel's types, if a file of them is named.
pub fn with_types(engine: Engine, btf: Option<&Path>) -> Result<Engine, CliError> {
    Ok(match btf {
        Some(path) => engine.btf(read(path)?),
        None => engine,
    })
}

/// `{"types": [...]}`; of split BTF only its own.
pub fn json(btf: &Btf) -> Json {
    let own = btf.types().iter().enumerate().skip(btf.own_start().index());
    json!({ "types": own.map(|(id, ty)| one(btf, id, ty)).collect::<Vec<_>>() })
}

fn name(btf: &Btf, name: StrOff) -> &str {
    match btf.string(name) {
        "" => "(anon)",
        text => text,
    }
}

fn one(btf: &Btf, id: usize, ty: &Type) -> Json {
    let mut json = json!({ "id": id, "kind": ty.kind().name(), "name": name(btf, ty.name()) });
    match ty {
        Type::Void => {}
        Type::Int(int) => {
            let facts = json!({ "size": int.size, "bits_offset": int.bit_offset, "nr_bits": int.bits, "encoding": int.encoding.name() });
            add(&mut json, facts);
        }
        Type::Ptr { to }
        | Type::Typedef { to, .. }
        | Type::Volatile { to }
        | Type::Const { to }
        | Type::Restrict { to }
        | Type::TypeTag { to, .. } => add(&mut json, json!({ "type_id": to.0 })),
        Type::Array { elem, index, len } => {
            add(&mut json, json!({ "type_id": elem.0, "index_type_id": index.0, "nr_elems": len }));
        }
        Type::Struct(c) | Type::Union(c) => add(&mut json, composite(btf, c)),
        Type::Enum(e) | Type::Enum64(e) => add(&mut json, enumeration(btf, e)),
        Type::Fwd { is_union, .. } => add(&mut json, json!({ "fwd_kind": if *is_union { "union" } else { "struct" } })),
        Type::Func { proto, linkage, .. } => {
            add(&mut json, json!({ "type_id": proto.0, "linkage": linkage.name() }));
        }
        Type::FuncProto { ret, params } => {
            let params: Vec<Json> =
                params.iter().map(|p| json!({ "name": name(btf, p.name), "type_id": p.ty.0 })).collect();
            add(&mut json, json!({ "ret_type_id": ret.0, "vlen": params.len(), "params": params }));
        }
        Type::Var { ty, linkage, .. } => add(&mut json, json!({ "type_id": ty.0, "linkage": linkage.name() })),
        Type::Datasec { size, vars, .. } => {
            let vars: Vec<Json> =
                vars.iter().map(|v| json!({ "type_id": v.ty.0, "offset": v.offset, "size": v.size })).collect();
            add(&mut json, json!({ "size": size, "vlen": vars.len(), "vars": vars }));
        }
        Type::Float { size, .. } => add(&mut json, json!({ "size": size })),
        Type::DeclTag { target, component, .. } => {
            add(&mut json, json!({ "type_id": target.0, "component_idx": component }));
        }
    }
    json
}

fn composite(btf: &Btf, c: &Composite) -> Json {
    let member = |m: &ring3::btf::Member| {
        let mut json = json!({ "name": name(btf, m.name), "type_id": m.ty.0, "bits_offset": m.bit_offset });
        if m.bitfield_size != 0 {
            json["bitfield_size"] = m.bitfield_size.into();
        }
        json
    };
    json!({ "size": c.size, "vlen": c.members.len(), "members": c.members.iter().map(member).collect::<Vec<_>>() })
}

fn enumeration(btf: &Btf, e: &Enumeration) -> Json {
    let number = |value: i64| if e.signed { Json::from(value) } else { Json::from(value.cast_unsigned()) };
    let values: Vec<Json> =
        e.values.iter().map(|v| json!({ "name": name(btf, v.name), "val": number(v.value) })).collect();
    let encoding = if e.signed { "SIGNED" } else { "UNSIGNED" };
    json!({ "encoding": encoding, "size": e.size, "vlen": values.len(), "values": values })
}

/// Puts the members of one object behind those of another.
fn add(json: &mut Json, more: Json) {
    if let (Json::Object(json), Json::Object(more)) = (json, more) {
        json.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// But for one number: bpftool 7.1 prints unsigned constants of 2^31 and more as if they were negative ones of 64 bits.
    #[test]
    fn shape_is_bpftools() {
        let btf = Btf::parse(include_bytes!("../../btf/tests/data/kinds.el.btf")).unwrap();
        let bpftool: Json = serde_json::from_str(include_str!("../../btf/tests/data/kinds.json")).unwrap();
        assert_eq!(json(&btf), bpftool);
    }
}
