//! Values from text, by the types of real maps.

use crate::common::object;
use ring3::btf::TypeId;
use ring3::{Engine, TextError, Value};

#[test]
fn structs_as_keys() {
    let flows = object("flows.bpf.o");
    let def = flows.map("flows").unwrap();
    let parse = |text: &str| {
        let btf = flows.btf().map(AsRef::as_ref);
        ring3::text::parse(btf, TypeId(def.key_type), def.key_size as usize, text)
    };
    let whole = [10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 1, 2, 6, 0, 0, 0].to_vec();
    assert_eq!(
        parse("{source=10.0.0.1, destination=10.0.0.2, source_port=0x5000, destination_port=hex:0102, ip_protocol=6}"),
        Ok(whole.clone())
    );
    assert_eq!(parse("{10.0.0.1, 10.0.0.2, 0x5000, hex:0102, 6}"), Ok(whole.clone()));
    assert_eq!(parse("hex:0a000001 0a000002 00500102 06000000"), Ok(whole));
    assert_eq!(parse("{ip_protocol=6}").map(|bytes| bytes[12]), Ok(6));
    assert_eq!(parse("{}"), Ok(vec![0; 16]));
    assert_eq!(parse("{colour=6}"), Err(TextError::Member("colour".to_owned())));
    assert_eq!(parse("{ip_protocol=0x100000000}"), Err(TextError::Range { text: "0x100000000".into(), bits: 32 }));
    assert_eq!(parse("{1,2,3,4,5,6}"), Err(TextError::TooMany("{1,2,3,4,5,6}".into())));
    assert!(parse("7").is_err());
    assert!(parse("hex:00").is_err());
}

#[test]
fn elements_are_set_and_shown_by_type() {
    let instance = Engine::new().load(&object("maps.bpf.o")).unwrap();
    let recent = instance.map("recent").unwrap();
    recent.set_text("10.0.0.1", "5").unwrap();
    assert_eq!(recent.get::<[u8; 4], u64>([10, 0, 0, 1]), Some(5));
    assert_eq!(recent.value(&[10, 0, 0, 1]), Some(Value::Unsigned(5)));
    assert!(recent.set_text("10.0.0.1", "-5").is_err());

    let sizes = instance.map("sizes").unwrap();
    sizes.set_text("1", "9").unwrap();
    assert_eq!(sizes.get_percpu::<u32, u64>(1), Some(vec![9, 9]));
    assert_eq!(sizes.entries()[1].values, [Value::Unsigned(9), Value::Unsigned(9)]);

    let routes = instance.map("routes").unwrap();
    routes.set_text("10.0.0.0/8", "1").unwrap();
    assert_eq!(routes.get::<[u8; 8], u32>([8, 0, 0, 0, 10, 0, 0, 0]), Some(1));
    let key = &routes.entries()[0].key;
    assert!(
        matches!(key, Value::Struct { fields, .. } if fields[0] == ("bits".to_owned(), Value::Unsigned(8))),
        "{key:?}"
    );

    assert!(instance.map("nothing").is_err());
}

#[test]
fn globals_are_set_by_type() {
    let mut lb = object("lb.bpf.o");
    ring3::set_global(&mut lb, "pick", "-1").unwrap();
    assert_eq!(lb.global("pick").unwrap(), [0xff; 4]);
    ring3::set_global(&mut lb, "pick", "hex:01000000").unwrap();
    assert_eq!(lb.global("pick").unwrap(), [1, 0, 0, 0]);
    for text in ["", "x", "0x1ffffffff", "2147483648"] {
        assert!(ring3::set_global(&mut lb, "pick", text).is_err(), "{text}");
    }
    assert!(ring3::set_global(&mut lb, "pck", "1").unwrap_err().to_string().contains("'pck'"));
}
