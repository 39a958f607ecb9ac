//! The programs of `ring3 explain`: each one that is wrong breaks just the rule that it stands for, and is accepted when put
//! right. Those in C are compiled and judged in `cli/tests/all/explain.rs`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use ring3_fuzz::case::Case;
use ring3_isa::{Code as Insns, Symbols};
use ring3_parity::Kernel;
use ring3_platform::{AttachType, KernelVersion, KfuncRef, License, Program, Target};
use ring3_verifier::{Code, Language, LogLevel, verify, verify_watched};

/// Names that stand in a text.
struct Named<'a> {
    maps: &'a [String],
    kfuncs: RefCell<Vec<KfuncRef>>,
}

impl Symbols for Named<'_> {
    fn helper(&self, name: &str) -> Option<i32> {
        i32::try_from(ring3_platform::helpers::helper_by_name(name.strip_prefix("bpf_")?)?).ok()
    }

    fn kfunc(&self, name: &str) -> Option<(i32, i16)> {
        ring3_platform::kfuncs::kfunc(name)?;
        let mut kfuncs = self.kfuncs.borrow_mut();
        let known = kfuncs.iter().position(|known| known.name == name);
        let id = known.unwrap_or_else(|| {
            kfuncs.push(KfuncRef { name: name.to_owned(), weak: false });
            kfuncs.len() - 1
        });
        Some((i32::try_from(id).unwrap(), Program::KFUNC_BY_NAME))
    }

    fn map(&self, name: &str) -> Option<i32> {
        self.maps.iter().position(|known| known == name).and_then(|at| i32::try_from(at).ok())
    }
}

/// A program of an example: lines `type NAME`, `attach NAME`, `sleepable`, `license none`, `functions` (BTF describes them) and
/// `map ...` as in the cases of this folder, an empty line, and the instructions.
fn program(text: &str) -> Program {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let head: Vec<&str> = head.lines().collect();
    let has = |what: &str| head.contains(&what);
    let of = |what: &str| head.iter().find_map(|line| line.strip_prefix(what));
    let kept = |line: &&&str| line.starts_with("type ") || line.starts_with("map ");
    let case: Vec<&str> = head.iter().filter(kept).copied().collect();
    let case = Case::parse(&format!("{}\nexpect accepted\n\n", case.join("\n"))).unwrap();
    let mut program = (*case.program).clone();
    let maps: Vec<String> = program.maps.iter().map(|map| map.name.to_string()).collect();
    let named = Named { maps: &maps, kfuncs: RefCell::new(Vec::new()) };
    let body: String = body.lines().map(repeated).collect();
    program.code = match ring3_isa::assemble_with(&body, &named) {
        Ok(code) => code,
        Err(error) => ring3_fuzz::parity::parse(body.lines()).unwrap_or_else(|_| panic!("{error}: {body}")),
    };
    program.kfuncs = named.kfuncs.into_inner();
    program.attach = of("attach ").map(|name| AttachType::from_name(name).unwrap_or_else(|| panic!("{name}")));
    program.section = of("section ").unwrap_or_default().to_owned();
    program.sleepable = has("sleepable");
    if has("license none") {
        program.license = License("none".to_owned());
    }
    if has("functions") {
        program.info = Some(Arc::new(ring3_fuzz::program_info(&starts(&program.code)).unwrap()));
    }
    program
}

/// A line, or all those that it stands for.
fn repeated(line: &str) -> String {
    let Some((count, line)) = line.strip_prefix("repeat ").and_then(|rest| rest.split_once(": ")) else {
        return format!("{line}\n");
    };
    let one = |number: usize| format!("{}\n", line.replace('#', &number.to_string()).replace("; ", "\n"));
    (0..count.parse().unwrap()).map(one).collect()
}

/// Where functions start: the first slot, and what is called or referred to.
fn starts(code: &Insns) -> Vec<usize> {
    use ring3_isa::{Callee, Insn, Wide};
    let of = |slot: usize| match code.insns()[slot] {
        Ok(Insn::Call(Callee::Local(off)) | Insn::LoadImm { value: Wide::Func(off), .. }) => {
            usize::try_from(i64::try_from(slot).unwrap() + 1 + i64::from(off)).ok()
        }
        _ => None,
    };
    let all: BTreeSet<usize> = (0..code.len()).filter_map(of).chain([0]).collect();
    all.into_iter().collect()
}

/// For the release that the program is judged for, and by the kernel's types, where it needs them.
fn target(text: &str) -> Arc<Target> {
    if text.contains("\nkernel-types\n") {
        return Kernel::open().unwrap().target();
    }
    let release = text.lines().find_map(|line| line.strip_prefix("kernel "));
    let kernel = release.map(|release| release.parse::<KernelVersion>().unwrap());
    kernel.map_or_else(Arc::default, |kernel| Arc::new(Target { kernel, ..Target::default() }))
}

/// The code of the rejection, and the message; nothing if the program is accepted.
fn judged(text: &str) -> Option<(Code, String)> {
    let mut watch = || text.contains("\nstopped\n").then(|| "there is no time".to_owned());
    match verify_watched(Arc::new(program(text)), target(text), LogLevel(0), &mut watch) {
        Ok(_) => None,
        Err(rejection) => Some((rejection.code, rejection.message)),
    }
}

#[test]
fn texts_are_rejected_and_accepted() {
    let kernel = Kernel::open();
    if let Err(why) = &kernel {
        println!("skipped: examples that need the kernel's types: {why}");
    }
    let mut judged_here = 0;
    for code in Code::ALL {
        let example = code.example();
        let needs_types = example.wrong.contains("\nkernel-types\n");
        if example.language != Language::Text || (needs_types && kernel.is_err()) {
            continue;
        }
        let found = judged(example.wrong);
        assert!(found.as_ref().is_some_and(|(found, _)| found == code), "{code}: {found:?}\n{}", example.wrong);
        assert_eq!(judged(example.right), None, "{code}\n{}", example.right);
        judged_here += 1;
    }
    assert!(judged_here > 50, "{judged_here}");
}

#[test]
fn every_code_has_an_example() {
    for example in Code::ALL.iter().map(|code| code.example()) {
        assert!(!example.wrong.is_empty() && !example.right.is_empty() && example.wrong != example.right);
    }
}

/// What the rows of `DIAGNOSES.md` say: the codes, and whether a path leads there.
fn classes() -> Vec<(Vec<Code>, bool)> {
    let rows = include_str!("../../../verifier/DIAGNOSES.md").lines().filter(|line| line.contains("Safety: "));
    let row = |line: &str| {
        let [_, _, codes, path, _] = *line.split('|').map(str::trim).collect::<Vec<_>>() else { panic!("{line}") };
        (codes.split(", ").map(|code| code.parse().unwrap()).collect(), path == "yes")
    };
    rows.map(row).collect()
}

#[test]
fn diagnoses_have_the_parts_that_they_are_said_to_have() {
    let kernel = Kernel::open();
    let mut seen = 0;
    for (codes, has_path) in classes() {
        for code in codes {
            let example = code.example();
            if example.language != Language::Text || (example.wrong.contains("\nkernel-types\n") && kernel.is_err()) {
                continue;
            }
            let program = Arc::new(program(example.wrong));
            let rejection = verify(program, target(example.wrong), LogLevel(0)).unwrap_err();
            let said = rejection.diagnosis();
            assert_eq!(said.code, code);
            assert!(said.at.is_some() && !said.reason.is_empty() && !said.suggestion.is_empty(), "{code}: {said:?}");
            assert!(!has_path || !said.path.is_empty(), "{code}: {said:?}");
            seen += 1;
        }
    }
    assert!(seen > 8, "{seen}");
}
