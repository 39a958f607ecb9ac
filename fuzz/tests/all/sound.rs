//! Programs with a few wrong bits: what the verifier accepts runs to its end without a wrong access.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use ring3_fuzz::{Entropy, check_accepted, generate, judge, mutate};
use ring3_isa::NoNames;

/// Changed programs that are judged.
const PROGRAMS: u32 = 20_000;
/// Bytes that a program and its changes are made of, at most.
const BYTES: usize = 320;
const SEED: [u8; 32] = *b"ring3: nothing unsafe passes\0\0\0\0";

#[test]
fn accepted_programs_access_only_live_memory() {
    let config = Config { cases: PROGRAMS, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let (accepted, refused) = (Cell::new(0u32), Cell::new(0u32));
    let outcome = runner.run(&(vec(any::<u8>(), 16..BYTES), any::<[u8; 32]>()), |(bytes, changes)| {
        let generated = mutate(&generate(&mut Entropy::new(&bytes)), &mut Entropy::new(&changes));
        let Ok(verified) = judge(&generated) else {
            refused.set(refused.get() + 1);
            return Ok(());
        };
        match check_accepted(&generated, &verified) {
            Ok(_) => accepted.set(accepted.get() + 1),
            Err(failure) if failure.is_inconclusive() => {}
            Err(failure) => {
                let code = &generated.program.code;
                let line = |slot| Some(format!("{slot}: {}\n", code.text(slot, &NoNames)?));
                let listing: String = (0..code.len()).filter_map(line).collect();
                return Err(TestCaseError::fail(format!("{failure}\n{listing}")));
            }
        }
        Ok(())
    });
    match outcome {
        // Both have to happen often, or the test shows nothing.
        Ok(()) => assert!(accepted.get() > PROGRAMS / 10 && refused.get() > PROGRAMS / 10),
        Err(TestError::Fail(reason, bytes)) => panic!("{reason}\nfrom {bytes:?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
