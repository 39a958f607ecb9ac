//! The kinds of instructions: all of them, named apart, in the groups that RFC 9669 puts them in.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ring3_isa::{Code, Group, Kind, Origin, kinds};

#[test]
fn every_kind_has_a_name_and_an_encoding_of_its_own() {
    let all: Vec<Kind> = kinds().collect();
    let names: BTreeSet<String> = all.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), all.len());
    for kind in &all {
        let code = Code::decode(kind.encoding().to_vec());
        let insn = code.get(0).unwrap().unwrap_or_else(|bad| panic!("{kind:?}: {bad}"));
        assert_eq!(insn.kind(), *kind);
        assert_eq!(Kind::named(&kind.name()), Some(*kind));
    }
    assert_eq!(Kind::named("frob"), None);
}

proptest! {
    #[test]
    fn every_instruction_is_of_a_kind(insn in crate::shapes::insn()) {
        prop_assert!(kinds().any(|kind| kind == insn.kind()), "{:?}", insn.kind());
        prop_assert_eq!(insn.kind().group(), insn.group());
    }
}

/// How many instructions each group has, counted in the RFC's tables: a register and an immediate form of twelve
/// operations and so on.
#[test]
fn groups_of_the_rfc() {
    let mut counts = BTreeMap::new();
    for kind in kinds() {
        *counts.entry(kind.group()).or_insert(0) += 1;
    }
    // Per width: ADD SUB OR AND LSH RSH XOR ARSH MOV with two sources, NEG, and eleven comparisons with two sources.
    let per_width = 9 * 2 + 1 + 11 * 2;
    let expected = [
        // MOVSX 8 and 16; three swaps of 16 and 32; LDX, LDXS, ST and STX of B, H and W; JA twice, CALL thrice, EXIT.
        (Group::Base32, per_width + 2 + 3 * 2 + 4 * 3 + 6),
        // MOVSX 8, 16, 32; three swaps of 64; LDX, ST, STX of DW; seven wide immediates.
        (Group::Base64, per_width + 3 + 3 + 3 + 7),
        (Group::Divmul32, 5 * 2),
        (Group::Divmul64, 5 * 2),
        (Group::Atomic32, 10),
        (Group::Atomic64, 10),
        (Group::Packet, 6),
        (Group::Callx, 1),
        // Two casts, may_goto, gotox, four load-acquires, four store-releases.
        (Group::Linux, 12),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
fn names_groups_and_origins() {
    let cases = [
        ("add64 reg", Group::Base64, "4.1", Some((3, 18))),
        ("add32 imm", Group::Base32, "4.1", Some((3, 18))),
        ("sdiv32 imm", Group::Divmul32, "4.1", Some((6, 6))),
        ("movsx832", Group::Base32, "4.1", Some((6, 6))),
        ("movsx3264", Group::Base64, "4.1", Some((6, 6))),
        ("neg32", Group::Base32, "4.1", Some((3, 18))),
        ("le16", Group::Base32, "4.2", Some((3, 18))),
        ("bswap32", Group::Base32, "4.2", Some((6, 6))),
        ("bswap64", Group::Base64, "4.2", Some((6, 6))),
        ("jeq imm", Group::Base64, "4.3", Some((3, 18))),
        ("jslt32 reg", Group::Base32, "4.3", Some((5, 1))),
        ("ja32", Group::Base32, "4.3", Some((6, 6))),
        ("call helper", Group::Base32, "4.3.1", Some((3, 18))),
        ("call local", Group::Base32, "4.3.2", Some((4, 16))),
        ("call runtime", Group::Base32, "4.3.1", Some((5, 13))),
        ("exit", Group::Base32, "4.3", Some((3, 18))),
        ("ldxdw", Group::Base64, "5.1", Some((3, 18))),
        ("ldxsw", Group::Base32, "5.2", Some((6, 6))),
        ("stxb", Group::Base32, "5.1", Some((3, 18))),
        ("sth", Group::Base32, "5.1", Some((3, 18))),
        ("lock fetch_add32", Group::Atomic32, "5.3", Some((5, 12))),
        ("lock cmpxchg64", Group::Atomic64, "5.3", Some((5, 12))),
        ("lddw imm", Group::Base64, "5.4", Some((3, 18))),
        ("lddw map_val_by_idx", Group::Base64, "5.4", Some((5, 14))),
        ("ldabsw", Group::Packet, "5.5", Some((3, 18))),
        ("ldindb", Group::Packet, "5.5", Some((3, 18))),
    ];
    for (name, group, section, since) in cases {
        let kind = Kind::named(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((kind.group(), kind.origin(), kind.since()), (group, Origin::Rfc { section }, since), "{name}");
    }
    let beyond = [
        ("callx", Group::Callx, Origin::Compilers, None),
        ("gotox", Group::Linux, Origin::Linux, Some((6, 19))),
        ("may_goto", Group::Linux, Origin::Linux, Some((6, 9))),
        ("addr_space_cast 1 to 0", Group::Linux, Origin::Linux, Some((6, 9))),
        ("ldxb_acq", Group::Linux, Origin::Linux, Some((6, 15))),
        ("stxdw_rel", Group::Linux, Origin::Linux, Some((6, 15))),
    ];
    for (name, group, origin, since) in beyond {
        let kind = Kind::named(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((kind.group(), kind.origin(), kind.since()), (group, origin, since), "{name}");
    }
    assert!(Group::Base64.includes(Group::Base32) && !Group::Base32.includes(Group::Base64));
    assert_eq!(Group::named("divmul64"), Some(Group::Divmul64));
}
