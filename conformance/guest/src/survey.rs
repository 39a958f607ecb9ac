//! All questions about a kernel itself, and their answers as lines of [`crate::facts`].

use std::collections::BTreeMap;

use ring3_btf::{Btf, Type};
use ring3_isa::{Callee, Code, Insn, assemble};
use ring3_linux::{Feature, KernelTypes, LogLevel, has_map_type, has_program_type};
use ring3_platform::{MapType, ProgType, ctx, helpers, kfuncs};

use crate::ask::{Said, ask};
use crate::context::{Context, contexts};
use crate::facts::line;

/// Highest number of a helper that is asked for: some more than Linux has ever had.
pub const LAST_HELPER: u32 = 215;
/// What programs return when it is asked what they may.
pub const RETURNED: std::ops::RangeInclusive<i32> = -2..=12;
/// The annotation by which compilers of kernels mark their functions for programs.
const KFUNC_TAG: &str = "bpf_kfunc";

/// Whoever is given the lines.
pub type Out<'a> = dyn FnMut(String) + 'a;

/// A context with its number, what it is attached to, and whether the kernel has it.
struct Way {
    context: Context,
    target: u32,
    is_there: bool,
}

impl Way {
    fn ask(&self, code: Code) -> Said {
        ask(&self.context.program(code), self.target, LogLevel::PATH)
    }
}

/// Asks everything.
pub fn survey(out: &mut Out<'_>) {
    let types = KernelTypes::read();
    let types = types.inspect_err(|error| out(line("types", &[&error.to_string()]))).ok();
    for feature in Feature::ALL {
        out(line("feature", &[feature.name(), answer(feature.is_there().ok())]));
    }
    for kind in ProgType::ALL {
        out(line("program_type", &[kind.name(), answer(has_program_type(*kind).ok())]));
    }
    for kind in MapType::ALL {
        out(line("map_type", &[kind.name(), answer(has_map_type(*kind).ok())]));
    }
    crate::probes::ask_all(out);
    let ways = ways(types.as_ref(), out);
    returns(&ways, out);
    helpers(&ways, out);
    fields(&ways, out);
    if let Some(types) = types {
        kfuncs(&ways, types.btf(), out);
    }
}

const fn answer(found: Option<bool>) -> &'static str {
    match found {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
}

fn code(text: &str) -> Code {
    // That all of them are programs is tested below.
    assemble(text).unwrap_or_else(|_| Code::from_insns([Insn::Exit]))
}

/// Which contexts there are. One that is refused because of what a program returns is there all the same.
fn ways(types: Option<&KernelTypes>, out: &mut Out<'_>) -> Vec<Way> {
    let mut ways = Vec::new();
    for (at, context) in contexts().into_iter().enumerate() {
        let target = context.target(types);
        let mut way = Way { context, target, is_there: true };
        let said = [0, 1].map(|value| way.ask(code(&format!("r0 = {value}\nexit"))));
        let said = said.iter().find(|said| said.accepts()).unwrap_or(&said[0]);
        way.is_there = said.accepts();
        let Context { kind, attach, sleepable, section } = &way.context;
        let attach = attach.map_or("-", |attach| attach.name());
        let sleeps = if *sleepable { "sleepable" } else { "-" };
        let errno = said.errno.map_or("?".to_owned(), |errno| errno.to_string());
        let section = if section.is_empty() { "-" } else { section };
        out(line("context", &[&at.to_string(), kind.name(), attach, sleeps, section, &errno, said.message()]));
        ways.push(way);
    }
    ways
}

/// For each context one character: `.` where the context is not there.
fn row(ways: &[Way], ask: impl Fn(&Way) -> char) -> String {
    ways.iter().map(|way| if way.is_there { ask(way) } else { '.' }).collect()
}

/// What programs of each context may return, of [`RETURNED`].
fn returns(ways: &[Way], out: &mut Out<'_>) {
    for (at, way) in ways.iter().enumerate().filter(|(_, way)| way.is_there) {
        let values = RETURNED.map(|value| way.ask(code(&format!("r0 = {value}\nexit"))));
        let values: String = values.map(|said| if said.accepts() { '+' } else { '-' }).collect();
        out(line("returns", &[&at.to_string(), &values]));
    }
}

/// What a call of a helper without arguments gives: `+` it may be called, `-` it may not, `x` there is none of this number,
/// `s` it may sleep and the program may not, `?` the kernel does not say.
fn helper(way: &Way, id: u32) -> char {
    let said = way.ask(Code::from_insns([Insn::Call(Callee::Helper(id.cast_signed())), Insn::Exit]));
    match () {
        () if said.accepts() => '+',
        () if said.has("invalid func ") => 'x',
        () if said.has("unknown func ") || said.has("program of this type cannot use helper ") => '-',
        () if said.has("sleep") => 's',
        () if said.log.is_empty() || said.errno.is_none() => '?',
        () => '+',
    }
}

fn helpers(ways: &[Way], out: &mut Out<'_>) {
    for id in 1..=LAST_HELPER {
        let name = helpers::helper_name(id).unwrap_or("-");
        out(line("helper", &[&id.to_string(), name, &row(ways, |way| helper(way, id))]));
    }
}

/// Is the access legal? What else the verifier finds wrong does not matter.
fn may_access(way: &Way, text: &str) -> bool {
    let said = way.ask(code(text));
    said.accepts() || !(said.log.is_empty() || said.has("invalid bpf_context access"))
}

/// Reads and writes of each field of each context's structure.
fn fields(ways: &[Way], out: &mut Out<'_>) {
    for (at, way) in ways.iter().enumerate().filter(|(_, way)| way.is_there) {
        let Some(layout) = ctx::layout(way.context.kind) else { continue };
        let mut seen = BTreeMap::new();
        for field in layout.fields {
            seen.entry((field.off, access(field.off, field.size))).or_insert(field.name);
        }
        for ((off, size), name) in seen {
            let bits = size * 8;
            let reads = may_access(way, &format!("r0 = *(u{bits} *)(r1 +{off})\nr0 = 0\nexit"));
            let writes = may_access(way, &format!("r0 = 0\n*(u{bits} *)(r1 +{off}) = r0\nexit"));
            let may = match (reads, writes) {
                (true, true) => "rw",
                (true, false) => "r",
                (false, true) => "w",
                (false, false) => "-",
            };
            out(line("field", &[&at.to_string(), name, &off.to_string(), &size.to_string(), may]));
        }
    }
}

/// Bytes of an access to a field: all of it, or the first element of an array.
pub fn access(off: u16, size: u16) -> u16 {
    match size {
        1 | 2 | 4 | 8 => size,
        size if size.is_multiple_of(8) && off.is_multiple_of(8) && size > 32 => 8,
        _ => 4,
    }
}

/// Functions for programs: those that the kernel's types mark as such, and those that 6.18 has.
fn kfuncs(ways: &[Way], btf: &Btf, out: &mut Out<'_>) {
    let marked = |ty: &Type| match ty {
        Type::DeclTag { name, target, .. } if btf.string(*name) == KFUNC_TAG => Some(*target),
        _ => None,
    };
    let mut functions: BTreeMap<&str, (u32, bool)> = BTreeMap::new();
    for id in btf.types().iter().filter_map(marked) {
        functions.insert(btf.name(id), (id.0, true));
    }
    for (at, ty) in btf.types().iter().enumerate() {
        let Type::Func { name, .. } = ty else { continue };
        let name = btf.string(*name);
        if kfuncs::kfunc(name).is_some() {
            functions.entry(name).or_insert((u32::try_from(at).unwrap_or(0), false));
        }
    }
    for (name, (id, is_marked)) in functions {
        let mark = if is_marked { "marked" } else { "-" };
        out(line("kfunc", &[name, mark, &row(ways, |way| kfunc(way, id))]));
    }
}

/// The line that says that programs of this type may not call the function.
fn refuses(line: &str) -> bool {
    line.starts_with("calling kernel function ") && line.ends_with(" is not allowed")
}

/// As [`helper`].
fn kfunc(way: &Way, id: u32) -> char {
    let said = way.ask(Code::from_insns([Insn::Call(Callee::Kfunc { id: id.cast_signed(), off: 0 }), Insn::Exit]));
    match () {
        () if said.accepts() => '+',
        () if said.has("sleep") => 's',
        () if said.log.lines().any(refuses) || said.has("device-bound") => '-',
        () if said.log.is_empty() || said.errno.is_none() => '?',
        () if said.has("cannot find address") || said.has("is not supported") => 'x',
        () => '+',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_programs() {
        for text in ["r0 = -2\nexit", "r0 = *(u32 *)(r1 +76)\nr0 = 0\nexit", "r0 = 0\n*(u64 *)(r1 +8) = r0\nexit"] {
            assert!(assemble(text).unwrap().insns().iter().all(Result::is_ok), "{text}");
        }
    }

    #[test]
    fn more_helpers_are_asked_for_than_there_are() {
        assert!(helpers::ALL.iter().all(|id| *id < LAST_HELPER));
    }
}
