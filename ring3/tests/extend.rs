//! A function of a program replaced by a program of another object: the same on every engine.

use ring3::{Backend, Engine, Error, Instance, Object};

/// Sources beside the verdicts of the parity tests.
const OLD: &[u8] = include_bytes!("../../parity/tests/extend/old.o");
const NEW: &[u8] = include_bytes!("../../parity/tests/extend/new.o");
const PACKET: [u8; 60] = [0; 60];

fn backends() -> impl Iterator<Item = Backend> {
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    [Backend::Interpreter, Backend::Checked, Backend::States].into_iter().chain(jit)
}

/// An instance of the old programs, and the object of the new ones.
fn opened(backend: Backend) -> (Instance, Object) {
    let parse = |name, bytes| Object::parse(name, bytes).unwrap();
    let instance = Engine::new().backend(backend).load(&parse("old.o", OLD)).unwrap();
    (instance, parse("new.o", NEW))
}

fn result(instance: &mut Instance, program: &str) -> u32 {
    instance.run(program, &PACKET[..]).unwrap().retval
}

#[test]
fn a_function_is_replaced() {
    for backend in backends() {
        let (mut instance, new) = opened(backend);
        assert_eq!(result(&mut instance, "xdp_root"), 120, "{backend:?}");
        instance.replace("xdp_root", None, &new, "new_pick").unwrap();
        assert_eq!(result(&mut instance, "xdp_root"), 67, "{backend:?}");
        // Its own variables are there, and no other program calls it.
        let seen = instance.map("new.bss").unwrap().raw().read(&[0; 4]).unwrap();
        assert_eq!(seen[..4], 60u32.to_ne_bytes(), "{backend:?}");
        let root = result(&mut instance, "root");
        instance.replace("root", None, &new, "new_length").unwrap();
        assert_eq!(result(&mut instance, "root"), root + 1, "{backend:?}");
    }
}

#[test]
fn functions_bring_their_own_and_programs_are_replaced_as_a_whole() {
    for backend in backends() {
        let (mut instance, new) = opened(backend);
        instance.replace("xdp_root", None, &new, "calls").unwrap();
        // Twenty times the length, as nothing was seen, and one more.
        assert_eq!(result(&mut instance, "xdp_root"), 20 * 60 + 1, "{backend:?}");
        let (mut instance, new) = opened(backend);
        instance.replace("xdp_root", None, &new, "new_xdp_root").unwrap();
        assert_eq!(result(&mut instance, "xdp_root"), 1, "{backend:?}");
        // Two of one program, the second where the section does not say.
        let (mut instance, new) = opened(backend);
        let before = result(&mut instance, "root");
        instance.replace("root", None, &new, "new_pick").unwrap();
        instance.replace("root", Some("far"), &new, "new_far").unwrap();
        assert_eq!(result(&mut instance, "root"), before - 120 + 67 + 1, "{backend:?}");
    }
}

#[test]
fn what_does_not_suit_changes_nothing() {
    let (mut instance, new) = opened(Backend::Interpreter);
    let before = result(&mut instance, "root");
    for (extension, words) in [
        ("two_numbers", "two_numbers() has 2 args while pick() has 1 args"),
        ("leaks", "R1 invalid mem access 'scalar'"),
        ("new_hidden", "hidden() is not a global function"),
        ("new_nowhere", "attach_btf_id nowhere is not a function"),
    ] {
        let Err(Error::Rejected { rejection, .. }) = instance.replace("root", None, &new, extension) else {
            panic!("{extension}");
        };
        assert_eq!(rejection.message, words);
    }
    instance.replace("root", None, &new, "new_pick").unwrap();
    // It is there no more.
    let again = instance.replace("root", None, &new, "calls").unwrap_err().to_string();
    assert_eq!(again, "'calls' cannot replace pick() of program 'root': there is no such function");
    assert_eq!(result(&mut instance, "root"), before - 120 + 67);
    // By itself it runs nowhere, as in Linux.
    let old = Object::parse("old.o", OLD).unwrap().program("root", &ring3::Options::default()).unwrap();
    let mut alone = Engine::new().backend(Backend::Interpreter).extends([old], None).load(&new).unwrap();
    let why = alone.run("new_pick", &PACKET[..]).unwrap_err().to_string();
    assert!(why.contains("in place of the function"), "{why}");
}
