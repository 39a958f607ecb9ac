//! What loaders do besides linking: the words for what is not there.

use ring3::{Engine, Error, Input, KernelVersion, LogLevel, Object, Options};

macro_rules! object {
    ($name:literal) => {
        Object::parse($name, include_bytes!(concat!("../../../object/tests/data/", $name)).as_slice()).unwrap()
    };
}

#[test]
fn a_relocation_that_finds_nothing_is_named_as_by_libbpf() {
    let (object, kernel) = (object!("core.el.bpf.o"), object!("core_kernel.el.bpf.o"));
    let engine = Engine::new().btf((**kernel.btf().unwrap()).clone());
    let error = engine.verify(&object, "missing", &Options::default(), LogLevel(1)).unwrap_err();
    let Error::Rejected { rejection, .. } = error else { panic!("{error}") };
    let spec = "<byte_off> [2] struct task.gone (0:7 @ offset 44)";
    assert_eq!(rejection.message, format!("<invalid CO-RE relocation> failed to resolve CO-RE relocation {spec}"));
    let lines = format!("0: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation {spec}\n");
    assert!(rejection.log.contains(&lines), "{}", rejection.log);
    assert!(!rejection.log.contains("invalid func"), "{}", rejection.log);
}

#[test]
fn a_function_that_the_kernel_lacks_is_named_as_by_libbpf() {
    let object = object!("externs.el.bpf.o");
    let engine = Engine::new().btf((**object!("externs_kernel.el.bpf.o").btf().unwrap()).clone());
    let error = engine.verify(&object, "calls_the_missing", &Options::default(), LogLevel(1)).unwrap_err();
    let Error::Rejected { rejection, .. } = error else { panic!("{error}") };
    let words = "kfunc 'task_pid___two' is referenced but wasn't resolved";
    assert_eq!(rejection.message, format!("<invalid kfunc call> {words}"));
    assert!(rejection.log.contains(&format!("<invalid kfunc call>\n{words}\n")), "{}", rejection.log);
}

#[test]
fn objects_are_made_ready_for_old_kernels() {
    let object = object!("externs.el.bpf.o");
    for release in [KernelVersion::new(5, 4), KernelVersion::new(5, 10), KernelVersion::V6_18] {
        let engine = Engine::new().kernel(release);
        let judged = engine.verify(&object, "reads", &Options::default(), LogLevel(0));
        assert!(judged.is_ok(), "{release}: {}", judged.unwrap_err());
        engine.load(&object).unwrap().program("reads").unwrap();
    }
}

#[test]
fn several_objects_run_as_one() {
    let files: [(&str, &[u8]); 2] = [
        ("main", include_bytes!("../../../object/tests/data/join_main.el.bpf.o")),
        ("lib", include_bytes!("../../../object/tests/data/join_lib.el.bpf.o")),
    ];
    let object = Object::parse("joined.o", &ring3_object::join(&files).unwrap()).unwrap();
    let mut instance = Engine::new().load(&object).unwrap();
    let result = instance.run("entry", &[0u8; 14]).unwrap();
    // 40 twice and one, 1 and 12, 101 by the first weak function, 2001 by the strong one, and the first weak variable.
    assert_eq!(result.retval, 81 + 13 + 101 + 2001 + 1);
}

#[test]
fn variables_of_an_arena_are_there_when_programs_run() {
    let object = object!("arena.el.bpf.o");
    let mut instance = Engine::new().load(&object).unwrap();
    for count in [6, 7] {
        assert_eq!(instance.run("counts", Input::Context(&[])).unwrap().retval, count * 10 + 3);
    }
}
