//! The engine that looks every access up.

use ring3::{Backend, Engine, Input, ProgType, Program, isa};

#[test]
fn it_runs_what_is_verified_and_takes_no_other_contexts() {
    let engine = Engine::new().backend(Backend::Checked);
    let one = |kind| engine.load_program(Program::new("one", kind, isa::assemble("r0 = 1\nexit").unwrap()));
    let output = one(ProgType::Xdp).run("one", &[0u8; 60]).unwrap();
    assert_eq!((output.retval, output.packet.len()), (1, 60));
    // Bytes become the numbers of a context with a socket and no data; one with a packet is not made of them.
    assert_eq!(one(ProgType::SkReuseport).run("one", Input::Context(&[])).unwrap().retval, 1);
    let error = one(ProgType::Xdp).run("one", Input::Context(&[])).unwrap_err().to_string();
    assert!(error.contains("cannot run on this context"), "{error}");
    // Nobody looks at what nothing leads to, and Linux takes it.
    let dead = isa::assemble("r0 = 2\nif r0 == 2 goto out\nr10 = 0\nout: exit").unwrap();
    let mut dead = engine.load_program(Program::new("dead", ProgType::Xdp, dead));
    assert_eq!(dead.run("dead", &[0u8; 60]).unwrap().retval, 2);
    assert!(
        engine.load_program(Program::new("bad", ProgType::Xdp, isa::assemble("exit").unwrap())).program("bad").is_err()
    );
}
