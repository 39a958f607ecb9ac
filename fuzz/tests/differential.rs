//! Random verified programs: the checked interpreter, the interpreter and the JIT do the same.

use std::cell::Cell;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use ring3_fuzz::differential::Differential;
use ring3_fuzz::{Entropy, Generated, agree, generate, judge};
use ring3_isa::{NoNames, assemble};
use ring3_platform::{License, ProgType, Program};

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

/// `bpf_trace_printk` of `%lx %lx %lx`.
const PRINT: &str = "r1 = 0x20786c2520786c25 ll
    *(u64 *)(r10 -16) = r1
    r1 = 0x786c25
    *(u64 *)(r10 -8) = r1
    r1 = r10
    r1 += -16
    r2 = 12
    call 6";

/// What nobody set is printed as 0, by every engine; what somebody set, on every path, as what it is.
#[test]
fn registers_that_nobody_set_are_printed_as_zeros() {
    let cases = [
        (format!("{PRINT}\nr0 = 0\nexit"), &["0 0 0"][..]),
        (format!("r4 = 7\n{PRINT}\nr0 = 0\nexit"), &["0 7 0"]),
        (format!("r3 = 5\nr4 = 6\nr5 = 7\n{PRINT}\nr3 = 1\n{PRINT}\nr0 = 0\nexit"), &["5 6 7", "1 0 0"]),
        // One path sets it; the number of the packet's receive queue is 0.
        (format!("r0 = *(u32 *)(r1 +16)\nif r0 != 0 goto +1\nr3 = 9\n{PRINT}\nr0 = 0\nexit"), &["9 0 0"]),
        (format!("r0 = *(u32 *)(r1 +16)\nif r0 == 0 goto +1\nr3 = 9\n{PRINT}\nr0 = 0\nexit"), &["0 0 0"]),
        // A function prints what its caller has.
        (
            format!("r3 = 5\ncall print\nr4 = 6\ncall print\nr0 = 0\nexit\nprint:\n{PRINT}\nr0 = 0\nexit"),
            &["5 0 0", "0 6 0"],
        ),
    ];
    for (text, lines) in cases {
        let mut program = Program::new("prints", ProgType::Xdp, assemble(&text).unwrap());
        program.license = License("GPL".to_owned());
        let generated = Generated { program: Arc::new(program), packet: vec![0; 64] };
        let proof = judge(&generated).unwrap_or_else(|refused| panic!("{}\n{text}", refused.message));
        let outcome = agree(&generated, &proof).unwrap_or_else(|failure| panic!("{failure}\n{text}"));
        for run in outcome.runs {
            assert_eq!(run.trace, lines, "{text}");
        }
    }
}
