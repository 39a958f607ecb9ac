//! Programs that replace functions of other programs (`extend/new.bpf.c`, `extend/old.bpf.c`), each with what Linux 6.18 says of it
//! (`extend/expected.tsv`: program, the program that it extends, last words; none: it is accepted): ring3's verdict beside that,
//! and beside the running kernel's, where it takes such programs. Some kernels are built or guarded so that they refuse them all
//! before their verifier; the words are those of its source then.
//!
//! The objects are made as those of `objects.rs`.

use std::fmt::Write;
use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_object::{Object, Options};
use ring3_parity::{Answer, Kernel, Referee};
use ring3_platform::{ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// Operation not permitted.
const EPERM: i32 = 1;
const EXPECTED: &str = include_str!("../extend/expected.tsv");

fn objects() -> (Object, Object) {
    let parse = |name, bytes: &[u8]| Object::parse(name, bytes).expect("an object");
    (parse("old.o", include_bytes!("../extend/old.o")), parse("new.o", include_bytes!("../extend/new.o")))
}

/// A program of `new`, for one of `old`, or for another of its own file (`new:NAME`).
fn extension(name: &str, other: &str, options: &Options) -> Program {
    let (old, new) = objects();
    let other = match other.strip_prefix("new:") {
        Some(own) => {
            let own_target = if own == "new_pick" { "root" } else { own };
            let root = old.program(own_target, options).expect("a program");
            new.program(own, options).expect("a program").attached_to(Arc::new(root), None)
        }
        None => old.program(other, options).expect("a program"),
    };
    new.program(name, options).expect("a program").attached_to(Arc::new(other), None)
}

#[test]
fn extensions_are_judged_as_linux_does() {
    let mut kernel = Kernel::open().ok().filter(|kernel| kernel.target().btf.is_some());
    if kernel.is_none() {
        println!("the kernel cannot be asked: its recorded answers alone");
    }
    let target = kernel.as_ref().map_or_else(|| Arc::new(Target::default()), Kernel::target);
    let core = target.btf.clone().map(|btf| Arc::new(CoreTarget::new(btf)));
    let options = Options { core, ..Options::default() };
    let (mut wrong, mut skipped, mut refused) = (String::new(), 0, 0);
    for row in EXPECTED.lines() {
        let [name, other, expected] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let program = extension(name, other, &options);
        let of_kernel =
            program.attach_prog.as_ref().is_some_and(|other| matches!(other.kind, ProgType::Tracing | ProgType::Lsm));
        if let Some(kernel) = &mut kernel {
            match kernel.judge("", &program) {
                Answer::Judged(verdict) if verdict.message == expected => {}
                Answer::Refused { errno: Some(EPERM), .. } => refused += 1,
                other => writeln!(wrong, "{row}: Linux says {other:?}").expect("text"),
            }
        } else if of_kernel {
            skipped += 1;
            continue;
        }
        let said = verify(Arc::new(program), Arc::clone(&target), LogLevel(1));
        let said = said.map_or_else(|rejection| rejection.message, |_| String::new());
        if said != expected {
            writeln!(wrong, "{row}: ring3 says '{said}'").expect("text");
        }
    }
    println!("{skipped} skipped, as the kernel's types are missing; {refused} that this kernel takes from nobody");
    assert!(wrong.is_empty(), "{wrong}");
}

/// Whoever stops the verifier stops it where it looks at the program that is to be extended, too.
#[test]
fn the_watch_reaches_the_program_that_is_extended() {
    let program = Arc::new(extension("new_pick", "root", &Options::default()));
    let mut asked = 0;
    let mut watch = || {
        asked += 1;
        Some("enough".to_owned())
    };
    let target = Arc::new(Target::default());
    let stopped = ring3_verifier::verify_watched(program, target, LogLevel(0), &mut watch).expect_err("stopped");
    assert!(stopped.message.contains("root") && stopped.message.contains("enough"), "{}", stopped.message);
    assert_eq!(asked, 1);
}
