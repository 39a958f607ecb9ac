//! Types as C: what is written for `data/layout.bpf.c`, and that clang makes the same types of it, there and for the running
//! kernel's.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ring3_btf::{Btf, BtfError, Composite, Kind, Type, TypeId};

const LAYOUT: &[u8] = include_bytes!("data/layout.btf");
const KINDS: &[u8] = include_bytes!("data/kinds.el.btf");
const HEADER: &str = include_str!("data/layout.h");

#[test]
fn header_is_as_written() {
    assert_eq!(Btf::parse(LAYOUT).unwrap().dump_c().unwrap(), HEADER);
}

/// A type by what a program can see of it: names and sizes behind typedefs, without numbers.
fn shape(btf: &Btf, id: TypeId, depth: u32) -> String {
    let id = btf.resolve(id).unwrap();
    let members = |c: &Composite| {
        let one = |m: &ring3_btf::Member| {
            // A bitfield without a name is padding, in whatever pieces.
            format!("{}@{}:{}={}", btf.string(m.name), m.bit_offset, m.bitfield_size, shape(btf, m.ty, depth + 1))
        };
        let is_pad = |m: &&ring3_btf::Member| !btf.string(m.name).starts_with("__pad");
        let mut all: Vec<String> = c.members.iter().filter(is_pad).map(one).collect();
        all.retain(|text| !(text.starts_with("@0:0=Struct") && text.ends_with("{}")));
        all.join(";")
    };
    match btf.ty(id).unwrap() {
        // How a number is called is free (`long int`, `long`); how wide it is, is not.
        Type::Int(int) => format!("int{}", int.size),
        Type::Float { size, .. } => format!("float{size}"),
        Type::Ptr { .. } => "ptr".to_string(),
        Type::Array { elem, len, .. } => format!("{}[{len}]", shape(btf, *elem, depth)),
        // Of two of one name the second has a suffix, which the name alone shows.
        Type::Struct(c) | Type::Union(c) if btf.string(c.name).is_empty() || depth == 0 => {
            format!("{:?}{}{{{}}}", btf.ty(id).unwrap().kind(), c.size, members(c))
        }
        Type::Struct(c) | Type::Union(c) => format!("{:?}{}", btf.ty(id).unwrap().kind(), c.size),
        Type::Enum(e) | Type::Enum64(e) => format!("int{}", e.size),
        other => format!("{:?}", other.kind()),
    }
}

/// Named structs and unions; `None` where several types share the tag: they are called differently in C.
fn composites(btf: &Btf) -> BTreeMap<&str, Option<TypeId>> {
    let mut found = BTreeMap::new();
    for (id, ty) in (0..).map(TypeId).zip(btf.types()) {
        if !btf.name(id).is_empty() && matches!(ty.kind(), Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64) {
            let is_first = !found.contains_key(btf.name(id));
            let counts = is_first && matches!(ty, Type::Struct(_) | Type::Union(_));
            found.insert(btf.name(id), counts.then_some(id));
        }
    }
    found
}

/// Compiles the header and compares every struct and union with what it was. How many there are; `None` without clang.
///
/// Clang's time grows with the square of the types, so of more than a thousand it gets every eighth; with `RING3_ALL_TYPES`
/// set, all.
fn round_trip(name: &str, btf: &Btf) -> Option<usize> {
    let clang = ["clang-19", "clang"].into_iter().find(|c| Command::new(c).arg("--version").output().is_ok());
    let Some(clang) = clang else {
        println!("skipped: there is no clang, {name} is not compiled");
        return None;
    };
    let dir = std::env::temp_dir().join(format!("ring3-btf-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let mut kinds: Vec<(&str, Option<TypeId>)> = composites(btf).into_iter().collect();
    if kinds.len() > 1000 && std::env::var_os("RING3_ALL_TYPES").is_none() {
        kinds = kinds.into_iter().step_by(8).collect();
    }
    let mut source = String::from("#include \"types.h\"\n");
    for (name, id) in &kinds {
        if let Some(id) = id {
            let word = if btf.ty(*id).unwrap().kind() == Kind::Union { "union" } else { "struct" };
            source.push_str(&format!("{word} {name} *the_{word}_{name};\n"));
        }
    }
    std::fs::write(dir.join("types.h"), btf.dump_c().unwrap()).unwrap();
    std::fs::write(dir.join("types.c"), source).unwrap();
    let run = |command: &mut Command| {
        let out = command.current_dir(&dir).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            out.status.success() && said.is_empty(),
            "{name}: {}",
            said.lines().take(20).collect::<Vec<_>>().join("\n")
        );
    };
    run(Command::new(clang).args(["-target", "bpf", "-O1", "-g", "-Wall", "-Werror", "-c", "-o", "types.o", "types.c"]));
    let again = btf_of(&std::fs::read(dir.join("types.o")).unwrap());
    std::fs::remove_dir_all(&dir).unwrap();
    let now = composites(&again);
    let mut count = 0;
    for (key, id) in kinds {
        if let Some(id) = id {
            let other = now.get(key).copied().flatten().unwrap_or_else(|| panic!("{name}: {key:?} is lost"));
            assert_eq!(shape(btf, id, 0), shape(&again, other, 0), "{name}: {key:?}");
            count += 1;
        }
    }
    Some(count)
}

/// The `.BTF` section of a little-endian ELF file: it is where the magic is that parses.
fn btf_of(object: &[u8]) -> Btf {
    let starts = object.windows(4).enumerate().filter(|(_, w)| *w == [0x9f, 0xeb, 1, 0]).map(|(at, _)| at);
    let all: Vec<Btf> = starts.filter_map(|at| Btf::parse(&object[at..]).ok()).collect();
    all.into_iter().max_by_key(|btf| btf.types().len()).unwrap()
}

#[test]
fn clang_makes_the_same_types_of_it() {
    for (name, bytes) in [("layout", LAYOUT), ("kinds", KINDS)] {
        if let Some(count) = round_trip(name, &Btf::parse(bytes).unwrap()) {
            assert!(count >= 3, "{name}: only {count} structs");
        }
    }
}

#[test]
fn clang_makes_the_same_types_of_the_running_kernels() {
    let path = Path::new("/sys/kernel/btf/vmlinux");
    let Ok(bytes) = std::fs::read(path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    if let Some(count) = round_trip("vmlinux", &Btf::parse(&bytes).unwrap()) {
        assert!(count > 1000, "only {count} structs");
    }
}

/// A BTF of little-endian words: types and strings.
fn blob(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut out = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, bytes.len() as u32, bytes.len() as u32, strings.len() as u32] {
        out.extend(word.to_le_bytes());
    }
    out.extend(bytes);
    out.extend(strings);
    out
}

#[test]
fn what_c_cannot_have_is_an_error() {
    // A struct that has itself as a member.
    let itself = blob(&[1, 4 << 24 | 1, 8, 1, 1, 0], b"\0a\0");
    assert_eq!(Btf::parse(&itself).unwrap().dump_c(), Err(BtfError::NotInC(TypeId(1))));
    // A pointer to itself.
    let pointer = blob(&[1, 8 << 24, 2, 0, 2 << 24, 2], b"\0a\0");
    assert_eq!(Btf::parse(&pointer).unwrap().dump_c(), Err(BtfError::NotInC(TypeId(2))));
}

#[test]
fn names_from_elsewhere_become_identifiers() {
    // Rust's `u8`, a struct whose name and member C would not take.
    let strings = b"\0Option<u8>\0int\0u8\0";
    let types = [16, 1 << 24, 1, 8, 1, 4 << 24 | 1, 1, 12, 1, 0];
    let text = Btf::parse(&blob(&types, strings)).unwrap().dump_c().unwrap();
    assert!(text.contains("struct Option_u8_ {\n\tunsigned char int_;\n};\n"), "{text}");
}

#[test]
fn attributes_are_kept_and_closed() {
    // A pointer to an int with an attribute: one that is right, one that would end ours.
    for (name, expected) in [("address_space(1)", "int __attribute__((address_space(1))) *t"), ("x)) int y;", "int *t")]
    {
        let strings = format!("\0int\0{name}\0t\0");
        let t = strings.len() as u32 - 2;
        let types = [1, 1 << 24, 4, 1 << 24 | 32, 5, 1 << 31 | 18 << 24, 1, 0, 2 << 24, 2, t, 8 << 24, 3];
        let btf = Btf::parse(&blob(&types, strings.as_bytes())).unwrap();
        assert_eq!(Btf::parse(&btf.to_bytes(btf.endian())).unwrap().types(), btf.types());
        let text = btf.dump_c().unwrap();
        assert!(text.contains(&format!("typedef {expected};\n")), "{text}");
    }
}

#[test]
fn split_btf_goes_on_where_its_base_ends() {
    let base = Btf::parse(KINDS).unwrap();
    let (count, strings) = (base.types().len() as u32, base.strings().len() as u32);
    let outer = base.find("outer", Kind::Struct).unwrap();
    // `struct mine { struct outer *theirs; };`, its member's name from the base.
    let name = base.strings().find("\0name\0").unwrap() as u32 + 1;
    let types = [0, 2 << 24, outer.0, strings, 4 << 24 | 1, 8, name, count, 0];
    let split = Btf::parse_split(&blob(&types, b"mine\0"), &base).unwrap();
    assert_eq!(split.own_start(), TypeId(count));
    assert_eq!(split.name(TypeId(count + 1)), "mine");
    assert_eq!(split.size_of(TypeId(count + 1)), Ok(8));
    let own = format!(
        "[{count}] PTR '(anon)' type_id={}\n[{}] STRUCT 'mine' size=8 vlen=1\n\t'name' type_id={count} bits_offset=0\n",
        outer.0,
        count + 1
    );
    assert_eq!(split.dump_raw(), own);
    let text = split.dump_c().unwrap();
    assert!(text.contains("struct outer;\n\nstruct mine {\n\tstruct outer *name;\n};\n"), "{text}");
    // Not of this base, or of none.
    assert!(matches!(
        Btf::parse(&blob(&types, b"\0mine\0")),
        Err(BtfError::BadName { .. } | BtfError::BadReference { .. })
    ));
    let big = Btf::parse(include_bytes!("data/kinds.eb.btf")).unwrap();
    assert_eq!(Btf::parse_split(&blob(&types, b"mine\0"), &big), Err(BtfError::OtherEndian));
}
