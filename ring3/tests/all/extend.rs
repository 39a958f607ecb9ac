//! A function of a program replaced by a program of another object: the same on every engine.

use ring3::{Backend, Engine, Error, Instance, Object};

/// Sources beside the verdicts of the parity tests.
const OLD: &[u8] = include_bytes!("../../../parity/tests/extend/old.o");
const NEW: &[u8] = include_bytes!("../../../parity/tests/extend/new.o");
const PACKET: [u8; 60] = [0; 60];

fn backends() -> impl Iterator<Item = Backend> {
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    [Backend::Interpreter, Backend::Checked, Backend::States].into_iter().chain(jit)
}

/// Programs with program arrays: `data/extend`.
fn with_arrays(backend: Backend) -> (Instance, Object) {
    let parse = |name, bytes: &[u8]| Object::parse(name, bytes).unwrap();
    let old = parse("old.o", include_bytes!("../data/extend/old.o"));
    (Engine::new().backend(backend).load(&old).unwrap(), parse("new.o", include_bytes!("../data/extend/new.o")))
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
    assert_eq!(again, "program 'root': pick() is replaced already (EBUSY)");
    assert_eq!(result(&mut instance, "root"), before - 120 + 67);
    // By itself it runs nowhere, as in Linux.
    let old = Object::parse("old.o", OLD).unwrap().program("root", &ring3::Options::default()).unwrap();
    let mut alone = Engine::new().backend(Backend::Interpreter).extends([old], None).load(&new).unwrap();
    let why = alone.run("new_pick", &PACKET[..]).unwrap_err().to_string();
    assert!(why.contains("in place of the function"), "{why}");
}

#[test]
fn program_arrays_of_an_extension_have_its_own_programs() {
    for backend in backends() {
        let (mut instance, new) = with_arrays(backend);
        assert_eq!(result(&mut instance, "entry"), 60 + 1001, "{backend:?}");
        instance.replace("entry", None, &new, "jumps_on").unwrap();
        // What a tail call of a function returns goes to who called that.
        assert_eq!(result(&mut instance, "entry"), 70 + 1001, "{backend:?}");
        let hits = instance.map("new.bss").unwrap().raw().read(&[0; 4]).unwrap();
        assert_eq!(hits[..4], 1u32.to_ne_bytes(), "{backend:?}");
        // That of the same name in the old object is another one.
        assert_eq!(result(&mut instance, "outer"), 65, "{backend:?}");
    }
}

/// An array that takes its first program and not its second, and one with a program that is refused: nothing of them stays.
#[test]
fn what_fails_behind_the_verdict_changes_nothing() {
    for backend in backends() {
        let (mut instance, new) = with_arrays(backend);
        // Also where the program was not asked for before.
        let wrong_kind = instance.replace("entry", None, &new, "jumps_mixed").unwrap_err();
        assert!(matches!(wrong_kind, Error::Map { ref map, .. } if map == "mixed"), "{wrong_kind}");
        assert_eq!(result(&mut instance, "entry"), 60 + 1001, "{backend:?}");
        let refused = instance.replace("entry", None, &new, "jumps_bad").unwrap_err();
        assert!(matches!(refused, Error::Slot { ref map, .. } if map == "bad"), "{refused}");
        assert_eq!(result(&mut instance, "entry"), 60 + 1001, "{backend:?}");
        assert!(instance.map("mixed").is_err() && instance.map("new.bss").is_err(), "{backend:?}");
        instance.replace("entry", None, &new, "jumps_on").unwrap();
        assert_eq!(result(&mut instance, "entry"), 70 + 1001, "{backend:?}");
        // What fails when another function is replaced leaves the first in its place.
        instance.replace("entry", None, &new, "new_other").unwrap();
        instance.replace("entry", Some("other"), &new, "jumps_mixed").unwrap_err();
        assert_eq!(result(&mut instance, "entry"), 70 + 1002, "{backend:?}");
    }
}

/// As Linux since 6.13: who is in an array has no functions replaced, and whose functions are replaced goes into no array.
#[test]
fn programs_are_in_arrays_or_replaced() {
    let (mut instance, new) = with_arrays(Backend::Interpreter);
    let busy = |result: Result<(), Error>| match result {
        Err(Error::Extend { errno, why, .. }) => (errno.name().to_owned(), why),
        other => panic!("{other:?}"),
    };
    let ebusy = |why: &str| ("EBUSY".to_owned(), why.to_owned());
    let in_array = ebusy("it is in a program array, so none of its functions can be replaced");
    assert_eq!(busy(instance.replace("inner", None, &new, "jumps_on").map(drop)), in_array);
    // What the user put there.
    instance.set_program("jumps", 1, "entry").unwrap();
    assert_eq!(busy(instance.replace("entry", None, &new, "jumps_on").map(drop)), in_array);
    instance.map("jumps").unwrap().raw().set_program(1, None).unwrap();
    instance.replace("entry", None, &new, "jumps_on").unwrap();
    let replaced = ebusy("a function of it is replaced, so it cannot be put into a program array");
    assert_eq!(busy(instance.set_program("jumps", 1, "entry")), replaced);
    let again = ebusy("step() is replaced already");
    assert_eq!(busy(instance.replace("entry", None, &new, "jumps_on").map(drop)), again);
    assert_eq!(busy(instance.replace("entry", None, &new, "stepped").map(drop)), again);
}

#[test]
fn functions_of_the_same_name_are_others() {
    for backend in backends() {
        let (mut instance, new) = with_arrays(backend);
        instance.replace("entry", None, &new, "stepped").unwrap();
        assert_eq!(result(&mut instance, "entry"), 300 + 1001, "{backend:?}");
        instance.replace("entry", None, &new, "new_other").unwrap();
        assert_eq!(result(&mut instance, "entry"), 300 + 1002, "{backend:?}");
        // Nothing calls the old functions once the program is replaced as a whole.
        instance.replace("entry", None, &new, "whole").unwrap();
        assert_eq!(result(&mut instance, "entry"), 180, "{backend:?}");
        let (mut instance, new) = with_arrays(backend);
        instance.replace("entry", None, &new, "whole").unwrap();
        instance.replace("entry", None, &new, "new_other").unwrap();
        assert_eq!(result(&mut instance, "entry"), 180, "{backend:?}");
    }
}

/// In Linux a throw ends the extension and not who called it: where that is all of the program, it is the same here.
#[test]
fn throws_end_extensions() {
    for backend in backends() {
        let (mut instance, new) = with_arrays(backend);
        let refused = instance.replace("entry", None, &new, "throws").unwrap_err().to_string();
        assert_eq!(refused, "'throws' cannot replace step() of program 'entry': it throws");
        assert_eq!(result(&mut instance, "entry"), 60 + 1001, "{backend:?}");
        instance.replace("entry", None, &new, "throws_all").unwrap();
        assert_eq!(result(&mut instance, "entry"), 44, "{backend:?}");
    }
}
