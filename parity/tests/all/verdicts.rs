//! Programs as text, each with what Linux 6.18 says of it: ring3's verdict and last words beside that, and beside the running
//! kernel's, where it can be asked. `verdicts/*.txt` have the programs; what needs the kernel's types is skipped without them.
//!
//! A block begins with `== SECTION NAME`. Then a line `expect accepted` or `expect MESSAGE`, lines
//! `map NAME TYPE KEY VALUE ENTRIES FLAGS EXTRA`, and the instructions.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;

use ring3_isa::Symbols;
use ring3_parity::{Answer, Kernel, Referee};
use ring3_platform::{KfuncRef, MapDef, MapFlags, MapType, Program, Target, section};
use ring3_verifier::{LogLevel, verify};

const FILES: &[(&str, &str)] =
    &[("arena", include_str!("../verdicts/arena.txt")), ("casts", include_str!("../verdicts/casts.txt"))];

/// Functions of the kernel, in the order in which a text names them.
#[derive(Default)]
struct Names(RefCell<Vec<KfuncRef>>);

impl Symbols for Names {
    fn kfunc(&self, name: &str) -> Option<(i32, i16)> {
        let mut known = self.0.borrow_mut();
        let at = known.iter().position(|kfunc| kfunc.name == name).unwrap_or_else(|| {
            known.push(KfuncRef { name: name.to_owned(), weak: false });
            known.len() - 1
        });
        Some((i32::try_from(at).ok()?, Program::KFUNC_BY_NAME))
    }
}

/// Name, program, last words (none: it is accepted).
struct Case {
    name: String,
    program: Program,
    expected: String,
}

fn map(words: &str) -> MapDef {
    let words: Vec<&str> = words.split_whitespace().collect();
    let number = |at: usize| words.get(at).map_or(0, |word| word.parse::<u64>().expect("a number"));
    let small = |at| u32::try_from(number(at)).expect("a small number");
    let kind = MapType::ALL.iter().copied().find(|kind| kind.name() == words[1]).expect("a map type");
    let flags = MapFlags(small(5));
    MapDef { flags, extra: number(6), ..MapDef::new(words[0], kind, small(2), small(3), small(4)) }
}

fn case(block: &str) -> Case {
    let (name, rest) = block.split_once('\n').expect("a head");
    let of = section(name.split(' ').next().expect("a section")).expect("a known section");
    let (mut maps, mut code, mut expected) = (Vec::new(), String::new(), None);
    for line in rest.lines() {
        match line.split_once(' ') {
            Some(("map", words)) => maps.push(Arc::new(map(words))),
            Some(("expect", "accepted")) => expected = Some(String::new()),
            Some(("expect", words)) => expected = Some(words.to_owned()),
            Some(_) | None => writeln!(code, "{line}").expect("text"),
        }
    }
    let names = Names::default();
    let code = ring3_isa::assemble_with(&code, &names).unwrap_or_else(|error| panic!("{name}: {error}"));
    let program = Program {
        maps,
        section: name.split(' ').next().unwrap_or_default().to_owned(),
        attach: of.attach,
        sleepable: of.sleepable,
        kfuncs: names.0.into_inner(),
        ..Program::new("test", of.kind, code)
    };
    Case { name: name.to_owned(), program, expected: expected.expect("what is expected") }
}

fn cases(text: &str) -> impl Iterator<Item = Case> {
    text.trim_start_matches("== ").split("\n== ").map(case)
}

#[test]
fn verdicts_are_those_of_linux() {
    let mut kernel = Kernel::open().ok().filter(|kernel| kernel.target().btf.is_some());
    if kernel.is_none() {
        println!("the kernel cannot be asked: its recorded answers alone");
    }
    let target = kernel.as_ref().map_or_else(|| Arc::new(Target::default()), Kernel::target);
    let (mut wrong, mut skipped) = (String::new(), 0);
    for (file, text) in FILES {
        for Case { name, program, expected } in cases(text) {
            if let Some(kernel) = &mut kernel {
                match kernel.judge("", &program) {
                    Answer::Judged(verdict) if verdict.message == expected => {}
                    other => writeln!(wrong, "{file}: {name}: Linux says {other:?}").expect("text"),
                }
            }
            match verify(Arc::new(program), Arc::clone(&target), LogLevel(1)) {
                Ok(_) if expected.is_empty() => {}
                Err(rejection) if rejection.message == expected => {}
                Err(rejection) if kernel.is_none() && rejection.message.contains("types (BTF)") => skipped += 1,
                other => {
                    let said = other.map_or_else(|rejection| rejection.message, |_| "accepted".to_owned());
                    writeln!(wrong, "{file}: {name}: ring3 says '{said}'").expect("text");
                }
            }
        }
    }
    println!("{skipped} skipped, as the kernel's types are missing");
    assert!(wrong.is_empty(), "{wrong}");
}
