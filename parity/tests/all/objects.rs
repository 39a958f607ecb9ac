//! Compiled programs (`objects/*.bpf.c`), each with what Linux 6.18 says of it (`objects/expected.tsv`: object, program, last
//! words; none: it is accepted): ring3's verdict beside that, and beside the running kernel's. The programs are about locks,
//! callbacks, global functions, and objects that programs make; all need the kernel's types.
//!
//! The objects are made by `clang -g -O2 -target bpf -mcpu=v3 -c FILE.bpf.c` and `llvm-strip -g FILE.o`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_object::{Object, Options};
use ring3_parity::{Answer, Kernel, Referee};
use ring3_verifier::{LogLevel, verify};

const OBJECTS: &[(&str, &[u8])] = &[
    ("callbacks", include_bytes!("../objects/callbacks.o")),
    ("globals", include_bytes!("../objects/globals.o")),
    ("locks", include_bytes!("../objects/locks.o")),
    ("objects", include_bytes!("../objects/objects.o")),
];
const EXPECTED: &str = include_str!("../objects/expected.tsv");

#[test]
fn verdicts_on_compiled_programs_are_those_of_linux() {
    let mut kernel = match Kernel::open() {
        Ok(kernel) => kernel,
        Err(why) => return println!("skipped: {why}"),
    };
    let target = kernel.target();
    let Some(types) = target.btf.clone() else { return println!("skipped: the kernel has no types") };
    let options = Options { core: Some(Arc::new(CoreTarget::new(types))), ..Options::default() };
    let objects: BTreeMap<&str, Object> =
        OBJECTS.iter().map(|(name, bytes)| (*name, Object::parse(name, bytes).expect("an object"))).collect();
    let mut wrong = String::new();
    for row in EXPECTED.lines() {
        let [object, name, expected] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let program = objects[object].program(name, &options).unwrap_or_else(|error| panic!("{row}: {error}"));
        match kernel.judge("", &program) {
            Answer::Judged(verdict) if verdict.message == expected => {}
            other => writeln!(wrong, "{object}: {name}: Linux says {other:?}").expect("text"),
        }
        let said = verify(Arc::new(program), Arc::clone(&target), LogLevel(1));
        let said = said.map_or_else(|rejection| rejection.message, |_| String::new());
        if said != expected {
            writeln!(wrong, "{object}: {name}: ring3 says '{said}'").expect("text");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
