//! Several objects in one: `data/join_*.bpf.c`.

use ring3_btf::{Kind, Linkage, Type};
use ring3_object::{Object, ObjectError, Options, join};

const INPUTS: [[(&str, &[u8]); 2]; 2] = [
    [
        ("join_main.el.bpf.o", include_bytes!("../data/join_main.el.bpf.o")),
        ("join_lib.el.bpf.o", include_bytes!("../data/join_lib.el.bpf.o")),
    ],
    [
        ("join_main.eb.bpf.o", include_bytes!("../data/join_main.eb.bpf.o")),
        ("join_lib.eb.bpf.o", include_bytes!("../data/join_lib.eb.bpf.o")),
    ],
];

fn both() -> [Object; 2] {
    INPUTS.map(|inputs| Object::parse("joined.o", &join(&inputs).unwrap()).unwrap())
}

#[test]
fn sections_follow_one_another_and_symbols_find_each_other() {
    for object in both() {
        assert_eq!(object.license().0, "GPL");
        let maps: Vec<&str> = object.maps().iter().map(|map| map.name.as_str()).collect();
        assert_eq!(maps[..2], ["own", "shared"]);
        let entry = object.program("entry", &Options::default()).unwrap();
        let names: Vec<_> = entry.info.as_ref().unwrap().funcs.iter().map(|func| func.name.to_string()).collect();
        assert_eq!(names, ["entry", "add_one", "twice", "local", "both_have", "strong_wins"]);
        let mut maps: Vec<&str> = entry.maps.iter().map(|map| map.name.as_str()).collect();
        maps.sort_unstable();
        assert_eq!(maps, ["joined.data", "joined.rodata", "own", "shared"]);
        let info = object.program("second", &Options::default()).unwrap().info.unwrap();
        assert_eq!(&*info.line_at(0).unwrap().file, "./join_lib.bpf.c");
        assert_eq!(info.funcs.len(), 2);
        for name in ["calls", "limit", "level", "list_main", "list_lib"] {
            assert_eq!(object.globals().iter().filter(|global| global.name == name).count(), 1, "{name}");
        }
        assert_eq!(object.globals().iter().filter(|global| global.name == "local_a").count(), 2);
    }
}

#[test]
fn every_type_is_there_once() {
    for object in both() {
        let btf = object.btf().unwrap();
        let count = |name: &str, kind: Kind| {
            (0u32..).zip(btf.types()).filter(|(_, ty)| ty.kind() == kind && btf.string(ty.name()) == name).count()
        };
        for name in ["stats", "node", "payload"] {
            assert_eq!(count(name, Kind::Struct), 1, "{name}");
        }
        // A declaration gives way to the definition of another object.
        assert_eq!(count("payload", Kind::Fwd), 0);
        assert_eq!((count("int", Kind::Int), count("xdp", Kind::Datasec), count(".data", Kind::Datasec)), (1, 0, 1));
        assert_eq!(count("absent", Kind::Func), 0);
        let is_extern = |ty: &&Type| {
            matches!(ty, Type::Var { linkage: Linkage::Extern, .. } | Type::Func { linkage: Linkage::Extern, .. })
        };
        assert_eq!(btf.types().iter().filter(is_extern).count(), 0);
    }
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let [[_, lib], [_, big]] = INPUTS;
    let refused = |other: (&str, &[u8])| match join(&[lib, other]).unwrap_err() {
        error @ ObjectError::Join { .. } => error.to_string(),
        error => panic!("{error}"),
    };
    assert_eq!(
        refused(("clash", include_bytes!("../data/join_clash.el.bpf.o"))),
        "clash: both_have: it has another type than in join_lib.el.bpf.o"
    );
    assert_eq!(
        refused(("twice", include_bytes!("../data/join_twice.el.bpf.o"))),
        "twice: strong_wins: the symbol is defined in join_lib.el.bpf.o too"
    );
    assert_eq!(refused(big), "join_lib.eb.bpf.o: byte order: it is not that of the objects before");
}

#[test]
fn one_object_comes_out_as_it_went_in() {
    for name in ["subprogs.el.bpf.o", "maps.eb.bpf.o", "core.el.bpf.o", "thrown.eb.bpf.o"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let bytes = std::fs::read(path).unwrap();
        let before = Object::parse("one.o", &bytes).unwrap();
        let after = Object::parse("one.o", &join(&[(name, &bytes)]).unwrap()).unwrap();
        let options = Options { core_by_kernel: true, ..Options::default() };
        for entry in before.programs() {
            let code = |object: &Object| object.program(&entry.name, &options).unwrap().code;
            assert_eq!(code(&before), code(&after), "{name} {}", entry.name);
        }
        let maps = |object: &Object| -> Vec<_> {
            object
                .maps()
                .iter()
                .map(|m| (m.name.clone(), m.kind, m.value_size, m.data.clone(), m.slots.len()))
                .collect()
        };
        assert_eq!(maps(&before), maps(&after), "{name}");
    }
}

#[test]
fn damaged_inputs_are_errors_and_never_a_panic() {
    let [[main, lib], _] = INPUTS;
    for at in (0..main.1.len()).step_by(3) {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = main.1.to_vec();
            bytes[at] ^= flip;
            if let Ok(joined) = join(&[("damaged", &bytes), lib]) {
                let _ = Object::parse("joined", &joined);
            }
        }
        let _ = join(&[lib, ("cut", &main.1[..at])]);
    }
}
