//! What the generator promises without a verifier.

use ring3_fuzz::{Entropy, generate};

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// The same bytes give the same program, and no bytes give a program too.
#[test]
fn deterministic() {
    for seed in 0..200 {
        let bytes = bytes(seed, seed as usize * 2);
        let (a, b) = (generate(&mut Entropy::new(&bytes)), generate(&mut Entropy::new(&bytes)));
        assert_eq!((&a.program.code, &a.packet), (&b.program.code, &b.packet));
    }
    let smallest = generate(&mut Entropy::new(&[]));
    assert_eq!(smallest.program.code.len(), 3);
}

/// Every instruction can be decoded, and every jump and call leads to one.
#[test]
fn well_formed() {
    for seed in 0..500 {
        let generated = generate(&mut Entropy::new(&bytes(seed, 300)));
        let code = &generated.program.code;
        for slot in (0..code.len()).filter(|slot| !code.is_tail(*slot)) {
            let insn = code.get(slot).unwrap().unwrap();
            if let Some(target) = insn.jump_target(slot) {
                assert!(target < code.len() && !code.is_tail(target), "{insn:?} at {slot}");
            }
        }
        let info = generated.program.info.as_ref().unwrap();
        assert_eq!(info.funcs[0].slot, 0);
        assert!(info.funcs.iter().is_sorted_by_key(|func| func.slot));
    }
}
