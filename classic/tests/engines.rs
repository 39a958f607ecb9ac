//! The translation does what the program does: the interpreter of classic BPF against every engine.

mod common;

use common::{Engines, Loads, Rng, filter, judge, program};
use proptest::prelude::*;
use ring3_classic::{ClassicError, Extension, Fields, Filter, Insn, Listing, Packet, Place, SeccompData, Style, parse};

fn fields(rng: &mut Rng) -> Fields {
    Fields {
        protocol: rng.next() as u16,
        pkt_type: rng.below(5) as u8,
        ifindex: rng.below(3) as u32,
        mark: rng.next() as u32,
        queue: rng.next() as u16,
        hash: rng.next() as u32,
        vlan_tag: rng.next() as u16,
        vlan_present: rng.below(2) == 1,
        vlan_proto: 0x8100,
        cpu: 0,
        random: 0,
    }
}

fn agree(seed: u64) -> Result<bool, TestCaseError> {
    let mut rng = Rng(seed);
    let length = rng.below(70) as usize;
    let Some(filter) = filter(Place::Socket, program(&mut rng, Loads::All, length)) else { return Ok(false) };
    let listing = Listing(filter.insns()).to_string();
    prop_assert_eq!(&Listing(&parse(&listing).unwrap()).to_string(), &listing);
    for style in [Style::Plain, Style::Opaque] {
        let engines = Engines::new(&filter, style);
        for _ in 0..4 {
            let data = rng.bytes(length);
            let mut packet = Packet { fields: fields(&mut rng), ..Packet::ethernet(&data) };
            packet.length += rng.below(3) as u32 * 1000;
            let want = filter.run(&packet).unwrap();
            for (engine, have) in engines.packet(&packet) {
                prop_assert_eq!(have, want, "{} {:?} {:?}", engine, packet, filter);
            }
        }
    }
    Ok(true)
}

fn agree_on_calls(seed: u64) -> Result<bool, TestCaseError> {
    let mut rng = Rng(seed);
    let Some(filter) = filter(Place::Seccomp, program(&mut rng, Loads::Seccomp, 64)) else { return Ok(false) };
    for style in [Style::Plain, Style::Opaque] {
        let engines = Engines::new(&filter, style);
        for _ in 0..4 {
            let call = SeccompData {
                nr: rng.number().cast_signed(),
                arch: 0xc000_003e,
                instruction_pointer: rng.next(),
                args: [(); 6].map(|()| rng.next()),
            };
            let want = filter.run_seccomp(&call);
            for (engine, have) in engines.call(&call) {
                prop_assert_eq!(have, want, "{} {:?} {:?}", engine, call, filter);
            }
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn packets_by_every_engine(seed in any::<u64>()) {
        agree(seed)?;
    }

    #[test]
    fn calls_by_every_engine(seed in any::<u64>()) {
        agree_on_calls(seed)?;
    }
}

/// The generator is worth something: most of its programs are valid.
#[test]
fn most_random_programs_are_valid() {
    for (place, loads) in [(Place::Socket, Loads::All), (Place::Seccomp, Loads::Seccomp)] {
        let valid = (0..200).filter(|seed| filter(place, program(&mut Rng(*seed), loads, 40)).is_some()).count();
        assert!(valid > 150, "{place:?}: {valid}");
    }
}

/// A program in which every way from its start to the comparisons at the end has a constant of its own in X.
fn maze(stages: u32) -> Filter {
    let mut text = String::from("ldx #0\n");
    for stage in 0..stages {
        let (byte, bit) = (stage / 8, 1 << (stage % 8));
        text += &format!("ldb [{byte}]\njset #{bit}, yes{stage}, no{stage}\n");
        text += &format!("yes{stage}: txa\nadd #{}\ntax\nno{stage}: ld #0\n", 1u32 << stage);
    }
    text += "txa\n";
    for value in 0..200 {
        text += &format!("jeq #{value}, end\n");
    }
    text += "ret #5\nend: ret a\n";
    Filter::socket(parse(&text).unwrap()).unwrap()
}

#[test]
fn opaque_translations_are_never_too_complex() {
    let filter = maze(18);
    let plain = judge(&filter.translate(Style::Plain).unwrap());
    assert!(plain.is_err(), "the maze is no maze: {:?}", plain.map(|proof| proof.stats()));
    let engines = Engines::new(&filter, Style::Opaque);
    assert!(engines.verified.stats().processed < 20_000, "{:?}", engines.verified.stats());
    for data in [[0, 0, 0, 0], [7, 0, 0, 0], [255, 0, 0, 0], [199, 0, 0, 0], [200, 0, 0, 0]] {
        let packet = Packet::ethernet(&data);
        let want = filter.run(&packet).unwrap();
        assert!(engines.packet(&packet).iter().all(|(_, have)| *have == want));
    }
}

/// As long as programs can be, all of it jumps or loads.
#[test]
fn the_longest_programs_are_accepted() {
    for line in ["ldb [x + 3]", "ldx 4*([14]&0xf)", "jeq x jt {} jf {end}", "div x", "ld [vlan_tpid]", "add #1"] {
        let mut text = String::new();
        for slot in 0..4094 {
            let far = (slot + 250).min(4094);
            text += &line.replace("{}", &(slot + 1).to_string()).replace("{end}", &far.to_string());
            text.push('\n');
        }
        text += "ret a\nret #0";
        let filter = Filter::socket(parse(&text).unwrap()).unwrap();
        for style in [Style::Plain, Style::Opaque] {
            let engines = Engines::new(&filter, style);
            let packet = Packet::ethernet(&[1; 60]);
            let want = filter.run(&packet).unwrap();
            assert!(engines.packet(&packet).iter().all(|(_, have)| *have == want), "{line}");
        }
    }
    // The longest jump.
    let far = format!("ja 4095\n{}ret #7", "div x\n".repeat(4094));
    let filter = Filter::socket(parse(&far).unwrap()).unwrap();
    assert!(Engines::new(&filter, Style::Plain).packet(&Packet::ethernet(&[])).iter().all(|(_, have)| *have == 7));
}

#[test]
fn unreachable_code_is_left_out() {
    let filter = Filter::socket(parse("ret #1\nldb [0]\nldx 4*([0]&0xf)\nret a").unwrap()).unwrap();
    assert_eq!(filter.translate(Style::Plain).unwrap().code.len(), 5);
    Engines::new(&filter, Style::Plain);
}

#[test]
fn extensions_without_an_equivalent_are_named() {
    for extension in [Extension::Nlattr, Extension::NlattrNest, Extension::HaType, Extension::PayOffset] {
        let insns = vec![Insn::new(0x20, 0, 0, extension.k()), Insn::new(0x16, 0, 0, 0)];
        let filter = Filter::socket(insns).unwrap();
        let error = ClassicError::NoEquivalent { slot: 0, extension };
        assert_eq!(filter.translate(Style::Plain).unwrap_err(), error);
        assert_eq!(filter.run(&Packet::ethernet(&[0; 60])), Err(error));
    }
    let random = Filter::socket(parse("ld rand\nret a").unwrap()).unwrap();
    assert!(!Engines::new(&random, Style::Plain).packet(&Packet::ethernet(&[])).is_empty());
}
