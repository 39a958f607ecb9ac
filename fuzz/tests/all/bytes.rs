//! The oracles of `fuzz/targets/` on fixed bytes, so that they cannot rot, and on bytes that grow, so that nothing is slow.

use ring3_fuzz::bytes::{assemble, classic, decode};
use ring3_isa::{Code, Dialect, Endianness, NoNames, kinds};

/// A listing of every kind of instruction.
fn every_kind(dialect: Dialect) -> String {
    let code = Code::from_insns(kinds().map(|kind| kind.example()));
    let lines = (0..code.len()).filter_map(|slot| Some(code.text(slot, &NoNames)?.in_dialect(dialect)));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn bytes_of_every_kind_and_with_every_bit_flipped() {
    let code = Code::from_insns(kinds().map(|kind| kind.example()));
    for order in [Endianness::Little, Endianness::Big] {
        let bytes = code.to_bytes(order);
        assert_eq!(decode(&bytes), Ok(()));
        for (slot, bit) in (0..code.len()).flat_map(|slot| (0..64).map(move |bit| (slot, bit))) {
            let mut slots = bytes[slot * 8..].first_chunk::<8>().unwrap().to_vec();
            slots[bit / 8] ^= 1 << (bit % 8);
            slots.extend([0; 8]);
            assert_eq!(decode(&slots), Ok(()), "slot {slot}, bit {bit}");
        }
    }
    assert_eq!(decode(&[1, 2, 3]), Ok(()));
}

#[test]
fn text_of_every_kind_and_cut_off_anywhere() {
    for dialect in Dialect::ALL {
        let text = every_kind(*dialect);
        assert_eq!(assemble(text.as_bytes()), Ok(()));
        for line in text.lines() {
            for at in 0..line.len() {
                assert_eq!(assemble(&line.as_bytes()[..at]), Ok(()), "{line}");
                assert_eq!(assemble(&line.as_bytes()[at..]), Ok(()), "{line}");
                assert_eq!(assemble(format!("{}\u{e9}{}", &line[..at], &line[at..]).as_bytes()), Ok(()), "{line}");
            }
        }
    }
    assert_eq!(assemble(&[0xff, 0, 13, 10, 0xc3]), Ok(()));
}

/// A mebibyte of one thing or another. What grows with the square of its length would not end while anybody waits.
#[test]
fn much_of_anything() {
    const MUCH: usize = 1 << 20;
    let pieces = [
        "a",
        "a:",
        "a: ",
        ":",
        " ",
        "\n",
        "\t",
        "#",
        ";",
        "(",
        ")",
        "%",
        "r",
        "r1",
        "r1 ",
        "+",
        "-",
        "0",
        "0x",
        "9",
        "9:",
        "[",
        "*(u8 *)",
        "lock ",
        "call ",
        "\u{e9}",
        "if ",
        "goto a\n",
        "exit\n",
        "a\n",
        "lddw %r1, ",
        "ja +1\n",
        "7: exit ",
        "=",
        "map_val(",
        ",",
        "/",
        "//",
        "add32 ",
        "\r",
    ];
    for piece in pieces {
        let text = piece.repeat(MUCH / piece.len());
        assert_eq!(assemble(text.as_bytes()), Ok(()), "{piece:?}");
        assert_eq!(assemble(format!("exit\nr1 = 1 {text}").as_bytes()), Ok(()), "{piece:?}");
    }
    let labels: String = (0..MUCH / 10).map(|n| format!("l{n}: ")).collect();
    assert_eq!(assemble(format!("{labels}\nja l7").as_bytes()), Ok(()));
    let jumps: String = (0..MUCH / 20).map(|n| format!("l{n}: ja32 l{n}\n")).collect();
    assert_eq!(assemble(jumps.as_bytes()), Ok(()));
    for byte in [0u8, 0x18, 0x85, 0xff] {
        assert_eq!(decode(&vec![byte; MUCH]), Ok(()));
    }
}

/// A filter with a bit of each kind, as text and as bytes.
const FILTER: &str = "ldh [12]\njeq #0x806, arp, ip\narp: ld proto\nst M[2]\nldx 4*([14]&0xf)\nldh [x + 14]\nret a\n\
    ip: ldx len\ntxa\nmod #7\ndiv x\nxor #0xff\njset #1, odd\nldb [x - 1]\nneg\nodd: ret a\n";

#[test]
fn classic_programs_with_every_bit_flipped_and_cut_off_anywhere() {
    let insns = ring3_classic::parse(FILTER).unwrap();
    let order = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    let bytes = ring3_classic::to_bytes(&insns, order);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(classic(&bytes), Ok(()), "bit {bit}");
    }
    let listing = ring3_classic::Listing(&insns).to_string();
    for text in [FILTER, &listing, &ring3_classic::ddd(&insns), &ring3_classic::comma(&insns)] {
        for at in 0..=text.len() {
            assert_eq!(classic(&text.as_bytes()[..at]), Ok(()), "{at}");
            assert_eq!(classic(&text.as_bytes()[at..]), Ok(()), "{at}");
        }
    }
}

#[test]
fn much_of_anything_classic() {
    const MUCH: usize = 1 << 20;
    let pieces = [
        "a",
        "a: ",
        ":",
        " ",
        "\n",
        ";",
        "(",
        "0",
        "9",
        "9 ",
        "9,",
        ",",
        "7 0 0 0,",
        "{ 7, 0, 0, 0 },",
        "/*",
        "/**/",
        "//",
        "#",
        "[",
        "x",
        "jt 1 ",
        "tax\n",
        "ret #0\n",
        "ja 5\n",
        "jeq #1, a\n",
        "\u{e9}",
    ];
    for piece in pieces {
        assert_eq!(classic(piece.repeat(MUCH / piece.len()).as_bytes()), Ok(()), "{piece:?}");
    }
    let labels: String = (0..MUCH / 10).map(|n| format!("l{n}: ")).collect();
    assert_eq!(classic(format!("{labels}\nret #0").as_bytes()), Ok(()));
    for byte in [1u8, 0x20, 0x80, 0xff] {
        assert_eq!(classic(&vec![byte; MUCH]), Ok(()));
    }
}
