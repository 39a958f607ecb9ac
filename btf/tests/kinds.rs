//! `data/kinds.bpf.c` has every kind. Its BTF in both byte orders, what bpftool says of it, and damaged copies of it.

use std::sync::Arc;

use ring3_btf::{Btf, BtfError, BtfExt, CoreReloKind, Endian, Kind, ProgramInfo, Type, TypeId, Value, format_value};

const LITTLE: &[u8] = include_bytes!("data/kinds.el.btf");
const BIG: &[u8] = include_bytes!("data/kinds.eb.btf");
const LITTLE_EXT: &[u8] = include_bytes!("data/kinds.el.btf.ext");
const BIG_EXT: &[u8] = include_bytes!("data/kinds.eb.btf.ext");
const DUMP: &str = include_str!("data/kinds.dump");

#[test]
fn dump_is_bpftools_in_both_byte_orders() {
    for (bytes, endian) in [(LITTLE, Endian::Little), (BIG, Endian::Big)] {
        let btf = Btf::parse(bytes).unwrap();
        assert_eq!(btf.endian(), endian);
        assert_eq!(btf.dump_raw(), DUMP);
    }
}

#[test]
fn every_kind_but_void_is_in_the_test_data() {
    let btf = Btf::parse(LITTLE).unwrap();
    let kinds: std::collections::BTreeSet<Kind> = btf.types().iter().map(Type::kind).collect();
    assert_eq!(kinds.len(), 20);
}

#[test]
fn queries() {
    let btf = Btf::parse(LITTLE).unwrap();
    let outer = btf.find("outer", Kind::Struct).unwrap();
    assert_eq!(btf.find("outer", Kind::Union), None);
    assert_eq!(btf.find("oute", Kind::Struct), None);
    assert_eq!(btf.size_of(outer), Ok(192));
    assert_eq!(btf.size_of(btf.member(outer, "arr").unwrap().ty), Ok(48));
    assert_eq!(btf.name(btf.resolve(btf.member(outer, "cv").unwrap().ty).unwrap()), "unsigned int");
    assert_eq!(btf.size_of(TypeId::VOID), Err(BtfError::NoSize(TypeId::VOID)));
    assert_eq!(btf.size_of(TypeId(9999)), Err(BtfError::NoSuchType(TypeId(9999))));
    let (_, _, vars) = btf.datasec(".bss").unwrap();
    assert_eq!(vars.iter().map(|v| btf.name(v.ty)).collect::<Vec<_>>(), ["tagged", "tt"]);
}

#[test]
fn ext_has_functions_and_lines_in_both_byte_orders() {
    for (bytes, btf) in [(LITTLE_EXT, LITTLE), (BIG_EXT, BIG)] {
        let (btf, ext) = (Btf::parse(btf).unwrap(), BtfExt::parse(bytes).unwrap());
        let text: Vec<_> = ext.funcs_of(&btf, ".text").iter().map(|f| btf.name(f.type_id)).collect();
        assert_eq!(text.len(), 2);
        assert!(text.contains(&"sub") && text.contains(&"gsub"));
        let lines = ext.lines_of(&btf, "xdp");
        assert_eq!(btf.string(lines[0].file).rsplit('/').next(), Some("kinds.bpf.c"));
        assert!(btf.string(lines[0].text).contains("u64 x = knob + ro.col"));
        assert_eq!(lines[0].line, 23);
        assert!(ext.relos.is_empty());
        assert!(ext.lines_of(&btf, "absent").is_empty());
    }
}

#[test]
fn core_relocations_are_listed() {
    // A header with the third part, one section named by string 0, one relocation.
    let words: [u32; 13] = [0x0001_eb9f, 32, 0, 0, 0, 0, 0, 28, 16, 0, 1, 8, 3];
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.extend([0u32, 11].iter().flat_map(|w| w.to_le_bytes()));
    let ext = BtfExt::parse(&bytes).unwrap();
    let relo = ext.relos[0].records[0];
    assert_eq!((relo.insn_off, relo.type_id, relo.kind), (8, TypeId(3), CoreReloKind::EnumvalValue));
    assert_eq!(relo.kind.name(), "enumval_value");
}

/// The bytes of `initd` in `kinds.bpf.c`, as `llvm-objcopy --dump-section .data.init=...` gives them.
const INITD: [&[u8]; 2] = [include_bytes!("data/kinds.el.initd"), include_bytes!("data/kinds.eb.initd")];

#[test]
fn values_by_type() {
    for (bytes, btf) in INITD.into_iter().zip([LITTLE, BIG]) {
        let btf = Btf::parse(btf).unwrap();
        let outer = btf.find("outer", Kind::Struct).unwrap();
        let Value::Struct { name, fields } = format_value(&btf, outer, bytes).unwrap() else { panic!("not a struct") };
        assert_eq!(name, "outer");
        let get = |name: &str| fields.iter().find(|f| f.0 == name).unwrap().1.clone();
        assert_eq!(get("name"), Value::Str("abc".into()));
        let inner = vec![
            ("a".to_owned(), Value::Unsigned(5)),
            ("b".to_owned(), Value::Unsigned(17)),
            ("c".to_owned(), Value::Signed(-3)),
            ("d".to_owned(), Value::Enum { value: 7, name: Some("GREEN".into()) }),
        ];
        assert_eq!(get("in"), Value::Struct { name: "inner".into(), fields: inner });
        let Value::Struct { fields: un, .. } = get("un") else { panic!("not a union") };
        assert_eq!(un[0].1, Value::Unsigned(0x0102_0304));
        assert_eq!(get("flag"), Value::Bool(true));
        assert_eq!(get("f"), Value::Float(1.5));
        assert_eq!(get("d"), Value::Float(-2.25));
        assert_eq!(get("neg"), Value::Enum { value: -5, name: Some("MINUS".into()) });
        assert_eq!(get("big"), Value::Enum { value: 0x0123_4567_89ab_cdef, name: Some("HUGE".into()) });
        assert_eq!(get("bn"), Value::Enum { value: -0x0123_4567_89ab_cdef, name: Some("BN".into()) });
        let pair = |a, b| Value::Array(vec![Value::Unsigned(a), Value::Unsigned(b)]);
        assert_eq!(get("arr"), Value::Array(vec![pair(1, 2), pair(3, 4), pair(5, 6)]));
        assert_eq!(get("neg_one"), Value::Signed(-1));
        assert_eq!(get("wide"), Value::Wide(5));
        assert_eq!(get("cv"), Value::Unsigned(9));
        assert_eq!(get("p"), Value::Pointer(0));
        assert_eq!(get("bytes"), Value::Array([1, 2, 3, 4].map(Value::Unsigned).to_vec()));
        let short = format_value(&btf, outer, &bytes[..191]);
        assert_eq!(short, Err(BtfError::ShortValue { id: outer, need: 192, have: 191 }));
    }
}

#[test]
fn datasec_is_placed() {
    let mut btf = Btf::parse(LITTLE).unwrap();
    let (id, ..) = btf.datasec(".bss").unwrap();
    btf.place_datasec(id, 16, |name| Some(if name == "tt" { 0 } else { 8 }));
    let (_, size, vars) = btf.datasec(".bss").unwrap();
    assert_eq!(size, 16);
    assert_eq!(vars.iter().map(|v| (btf.name(v.ty), v.offset)).collect::<Vec<_>>(), [("tt", 0), ("tagged", 8)]);
}

#[test]
fn info_finds_by_slot() {
    let line = |slot, line| ring3_btf::LineEntry { slot, file: "f".into(), text: "t".into(), line, col: 1 };
    let info = ProgramInfo {
        btf: Arc::new(Btf::empty()),
        funcs: vec![],
        lines: vec![line(0, 7), line(3, 8)],
        unresolved: vec![],
        pending: vec![],
    };
    assert_eq!(info.line_at(2).map(|l| l.line), Some(7));
    assert_eq!(info.line_at(3).map(|l| l.line), Some(8));
    assert_eq!(info.func_at(3), None);
}

/// Reads whatever can be read, and asks everything that can be asked of it.
fn exercise(bytes: &[u8]) {
    if let Ok(btf) = Btf::parse(bytes) {
        btf.dump_raw();
        let _ = btf.dump_c();
        for id in (0..btf.types().len() as u32).map(TypeId) {
            let _ = btf.size_of(id);
            let _ = format_value(&btf, id, &[0x5a; 256]);
        }
    }
    let _ = BtfExt::parse(bytes);
}

#[test]
fn damaged_input_is_an_error_and_never_a_panic() {
    for whole in [LITTLE, BIG, LITTLE_EXT, BIG_EXT] {
        for len in 0..whole.len() {
            exercise(&whole[..len]);
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.to_vec();
                bytes[at] ^= flip;
                exercise(&bytes);
            }
        }
    }
}

#[test]
fn errors_say_where() {
    assert_eq!(Btf::parse(&[]), Err(BtfError::Truncated { what: "header", offset: 0 }));
    assert_eq!(Btf::parse(&[1, 2, 3, 4]), Err(BtfError::BadMagic { found: 0x0201 }));
    let cut = Btf::parse(&LITTLE[..100]).unwrap_err();
    assert_eq!(cut.to_string(), "string section is cut off at offset 0x64");
}

#[test]
fn circular_types_are_refused_when_followed() {
    // Two typedefs of each other, a struct that holds itself, and a self-made array of arrays that would need 4 GiB^2.
    let words: [u32; 6] = [0x0001_eb9f, 24, 0, 24 + 24 + 24, 72, 1];
    let types: [u32; 18] = [0, 8 << 24, 2, 0, 8 << 24, 1, 0, 4 << 24 | 1, 0, 0, 3, 0, 0, 3 << 24, 0, 4, 1, u32::MAX];
    let mut bytes: Vec<u8> = words.iter().chain(&types).flat_map(|w| w.to_le_bytes()).collect();
    bytes.push(0);
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.resolve(TypeId(1)), Err(BtfError::TooDeep(TypeId(1))));
    assert_eq!(format_value(&btf, TypeId(3), &[]), Err(BtfError::ValueTooLarge(TypeId(3))));
    assert!(btf.size_of(TypeId(4)).is_err());
}

#[test]
fn written_types_are_those_that_were_read() {
    for (bytes, endian) in [(LITTLE, Endian::Little), (BIG, Endian::Big)] {
        let btf = Btf::parse(bytes).unwrap();
        assert_eq!(btf.to_bytes(endian), bytes);
        // In the other order they are still the same types.
        let other = if endian == Endian::Little { Endian::Big } else { Endian::Little };
        assert_eq!(Btf::parse(&btf.to_bytes(other)).unwrap().types(), btf.types());
    }
}

#[test]
fn strings_and_linkage_can_be_changed() {
    let mut btf = Btf::parse(LITTLE).unwrap();
    let at = btf.add_string("a new one").unwrap();
    assert_eq!(btf.string(at), "a new one");
    assert_eq!(btf.add_string("with\0zero"), None);
    let func = btf.types().iter().position(|ty| ty.kind() == Kind::Func).unwrap();
    let func = TypeId(func as u32);
    btf.set_linkage(func, ring3_btf::Linkage::Extern);
    let again = Btf::parse(&btf.to_bytes(Endian::Little)).unwrap();
    assert!(matches!(again.get(func), Some(Type::Func { linkage: ring3_btf::Linkage::Extern, .. })));
    assert_eq!(again.string(at), "a new one");
}
