//! A verification can be stopped.

use std::sync::Arc;

use ring3_platform::{Errno, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify, verify_watched};

/// A loop that is walked round by round.
const LONG: &str = "r1 = 0\nr1 += 1\nif r1 < 5000 goto -2\nr0 = 0\nexit";

#[test]
fn the_watch_stops_the_walk() {
    let code = ring3_isa::assemble(LONG).unwrap();
    let program = Arc::new(Program::new("long", ProgType::SocketFilter, code));
    let target = Arc::new(Target::default());
    let whole = verify(program.clone(), target.clone(), LogLevel(0)).unwrap().stats().processed;
    assert!(whole > 4 * 1024, "{whole}");
    let mut asked = 0;
    let mut watch = || {
        asked += 1;
        (asked > 2).then(|| "that is enough".to_owned())
    };
    let stopped = verify_watched(program.clone(), target.clone(), LogLevel(0), &mut watch).unwrap_err();
    assert_eq!((stopped.errno, stopped.message.as_str()), (Errno::EAGAIN, "ring3: that is enough"));
    assert_eq!((stopped.stats.processed, asked), (2 * 1024, 3));
    assert!(verify_watched(program, target, LogLevel(0), &mut || None).is_ok());
}
