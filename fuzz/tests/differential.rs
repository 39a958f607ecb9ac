//! Random verified programs: the checked interpreter, the interpreter and the JIT do the same.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use ring3_fuzz::differential::Differential;
use ring3_fuzz::{Entropy, Generated, agree, generate, judge};
use ring3_isa::NoNames;

/// Accepted programs that are run, unless `RING3_FUZZ_PROGRAMS` says how many.
const PROGRAMS: u32 = 20_000;
/// Of those that run one after the other in the same maps and memory.
const QUICK: u64 = 100_000;
/// Programs that may be refused beside them, one in so many: the generator aims at more than nine in ten that are accepted.
const REFUSED: u32 = 10;
/// Bytes that a program is made of, at most.
const BYTES: usize = 320;
const SEED: [u8; 32] = *b"ring3: interpreter against JIT\0\0";

fn listing(generated: &Generated) -> String {
    let code = &generated.program.code;
    let line = |slot| Some(format!("{slot}: {}\n", code.text(slot, &NoNames)?));
    (0..code.len()).filter_map(line).collect()
}

fn wanted() -> Option<u64> {
    std::env::var("RING3_FUZZ_PROGRAMS").ok().map(|number| number.parse().unwrap())
}

/// What `cargo xtask differential` does, with a fixed set.
#[test]
fn engines_agree_on_many_programs() {
    let programs = wanted().unwrap_or(QUICK);
    let mut fuzzer = Differential::new(0, true).unwrap();
    while fuzzer.tally().programs < programs {
        if let Err(wrong) = fuzzer.step(6) {
            panic!("{}\n{}", wrong.0, listing(&wrong.1));
        }
        let tally = fuzzer.tally();
        assert!(tally.refused + tally.long <= tally.next / u64::from(REFUSED) + 100, "{}", tally.line());
    }
    assert!(fuzzer.tally().also * 10 > programs, "{}", fuzzer.tally().line());
}

#[test]
fn engines_agree_on_verified_programs() {
    let programs = wanted().map_or(PROGRAMS, |number| number.try_into().unwrap());
    let config = Config {
        cases: programs,
        max_global_rejects: programs / REFUSED,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let accepted = Cell::new(0u32);
    let outcome = runner.run(&vec(any::<u8>(), 16..BYTES), |bytes| {
        let generated = generate(&mut Entropy::new(&bytes));
        let verified = judge(&generated).map_err(|refused| TestCaseError::reject(refused.message.clone()))?;
        agree(&generated, &verified)
            .map_err(|failure| TestCaseError::fail(format!("{failure}\n{}", listing(&generated))))?;
        accepted.set(accepted.get() + 1);
        Ok(())
    });
    match outcome {
        Ok(()) => assert_eq!(accepted.get(), programs),
        Err(TestError::Fail(reason, bytes)) => panic!("{reason}\nfrom {bytes:?}"),
        Err(TestError::Abort(reason)) => panic!("{reason} after {} accepted programs", accepted.get()),
    }
}
