//! CO-RE relocations on their way into the running kernel: resolved here, or by the kernel itself. Skipped where bpf(2) cannot
//! be used.

mod common;

use common::kernel;
use ring3_linux::{KernelTypes, ObjectOptions, TestRun, load_object};
use ring3_object::{Object, Options};

#[test]
fn the_kernel_resolves_what_is_left_to_it() {
    if !kernel("CO-RE") {
        return;
    }
    if let Err(error) = KernelTypes::read() {
        println!("skipped: CO-RE: {error}");
        return;
    }
    let object = Object::parse("core.bpf.o", include_bytes!("data/core.bpf.o")).unwrap();
    let load = |core_by_kernel: bool| {
        let link = Options { core_by_kernel, ..Options::default() };
        load_object(&object, &ObjectOptions { link, ..ObjectOptions::default() }).unwrap_or_else(|e| panic!("{e}"))
    };
    let [here, there] = [false, true].map(load);
    let (resolved, left) = (&here.programs[0].program, &there.programs[0].program);
    assert_eq!(left.info.as_ref().unwrap().pending.len(), 2);
    assert!(resolved.info.as_ref().unwrap().pending.is_empty());
    assert_ne!(resolved.code.raw_slice(), left.code.raw_slice());
    // What the kernel made of both is the same.
    let [resolved, left] = [&here, &there].map(|loaded| loaded.programs[0].prog.code().unwrap().xlated);
    assert_eq!(resolved, left);
    let result = there.programs[0].prog.test_run(&TestRun::default()).unwrap().retval;
    assert!(result == 1 || result == 2, "{result}");
}
