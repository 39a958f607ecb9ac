//! The state oracle over generated programs, whole and with a few wrong bits.

use std::sync::Arc;

use ring3_fuzz::{Entropy, Generated, check_states, generate, judge, mutate};
use ring3_isa::NoNames;

/// Programs of each kind.
const PROGRAMS: u64 = 600;

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(next).collect()
}

fn listing(generated: &Generated) -> String {
    let code = &generated.program.code;
    (0..code.len()).filter_map(|slot| Some(format!("{slot}: {}\n", code.text(slot, &NoNames)?))).collect()
}

#[test]
fn runs_stay_inside_the_verifiers_states() {
    let (mut instructions, mut values, mut accepted) = (0, 0, 0);
    for seed in 0..PROGRAMS {
        let whole = generate(&mut Entropy::new(&bytes(seed, 16 + seed as usize % 304)));
        for generated in [mutate(&whole, &mut Entropy::new(&bytes(!seed, 32))), whole] {
            let Ok(proof) = judge(&generated) else { continue };
            match check_states(Arc::new(proof), &[generated.packet.clone(), vec![0xff; 60]]) {
                Ok(report) => {
                    assert!(
                        report.violations.is_empty(),
                        "seed {seed}: {}\n{}",
                        report.violations[0],
                        listing(&generated)
                    );
                    (instructions, values, accepted) =
                        (instructions + report.checked.instructions, values + report.checked.values, accepted + 1);
                }
                Err(failure) if failure.is_inconclusive() => {}
                Err(failure) => panic!("seed {seed}: {failure}\n{}", listing(&generated)),
            }
        }
    }
    println!("{accepted} programs, {instructions} instructions, {values} values");
    assert!(accepted > PROGRAMS && values > instructions);
}

/// What runs when a program throws is judged on its own, and entered from any depth.
#[test]
fn what_catches_a_throw_is_followed() {
    let bytes = include_bytes!("../../../ring3/tests/data/kept.bpf.o");
    let object = ring3_object::Object::parse("kept.bpf.o", bytes).unwrap();
    let program = object.program("throws", &ring3_object::Options::default()).unwrap();
    let proof = ring3_verifier::verify(Arc::new(program), Arc::default(), ring3_verifier::LogLevel(0)).unwrap();
    // The longer packet is thrown, which takes more instructions.
    let checked = [60, 64].map(|len| {
        let report = check_states(Arc::new(proof.clone()), &[vec![0; len]]).unwrap();
        assert_eq!(report.violations, []);
        report.checked.instructions
    });
    assert!(checked[0] > 0 && checked[1] != checked[0], "{checked:?}");
}
