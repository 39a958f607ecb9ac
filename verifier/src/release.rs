//! Which release of Linux a program needs: what it uses, since when that is there, and where it uses it.
//!
//! Programs are walked by the rules of 6.18. What older releases lack is a reason to refuse; what they know less of values is
//! modelled for some rules ([`Rule`]), which the walk can do without. So no release is said to accept a program that uses what it lacks, but the reverse is not promised: an old
//! verifier may give up, or know too little, where that of 6.18 does not.

use crate::step::subprog::decl_tags;
use ring3_btf::{Btf, Linkage, Type, TypeId};
use ring3_isa::{Callee, Insn};
use ring3_platform::since::{MAP_FLAGS, helper_in, insn_since, kfunc_since};
use ring3_platform::{AttachType, KernelVersion, LoadFlags, ProgType, Program, helper_name, kfuncs};

/// Something that a program uses and that not every release since 5.4 has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// What it is, as `bpf_loop() in xdp programs`.
    pub what: String,
    /// The first release that has it, as far as is known.
    pub since: KernelVersion,
    /// Where it is used first; `None` if it is a property of the program.
    pub at: Option<usize>,
}

/// A rule of newer verifiers. A walk can do without: then it judges as an older release, as far as this rule is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Bytes of the stack may be read that were never written.
    UninitStack,
    /// A load or store may go to the stack at an offset that is not constant.
    VariableStack,
    /// A look-up in an array by a constant that is in range is not NULL.
    ConstantLookup,
    /// Scalars that differ by a constant learn from one another.
    LinkedDelta,
    /// The same if the constant is negative, or was added with 32 bits.
    LinkedAny,
    /// What a number is when it is negated.
    Negation,
    /// What bits a number has when its bytes are swapped.
    ByteSwap,
    /// That a number is not the end of its range says that it is beside it.
    Edges,
}

impl Rule {
    /// All of them.
    const ALL: [Rule; 8] = [
        Rule::UninitStack,
        Rule::VariableStack,
        Rule::ConstantLookup,
        Rule::LinkedDelta,
        Rule::LinkedAny,
        Rule::Negation,
        Rule::ByteSwap,
        Rule::Edges,
    ];

    /// In words, and since when.
    const fn row(self) -> (&'static str, KernelVersion) {
        match self {
            Rule::UninitStack => ("reading stack bytes that were never written", v(6, 3)),
            Rule::VariableStack => ("loads and stores at variable offsets of the stack", v(5, 12)),
            Rule::ConstantLookup => ("knowing that an array's element by a constant key is there", v(6, 14)),
            Rule::LinkedDelta => ("bounds that follow from those of a number which differs by a constant", v(6, 11)),
            Rule::LinkedAny => {
                ("bounds that follow from those of a number which differs by a negative or 32-bit constant", v(6, 18))
            }
            Rule::Negation => ("knowing the range of a negated number", v(6, 17)),
            Rule::Edges => ("knowing that a number which is not the least of its range is greater", v(6, 8)),
            Rule::ByteSwap => ("knowing the bits of a number whose bytes were swapped", v(6, 18)),
        }
    }

    /// Rules that a release does not have.
    fn missing_in(release: KernelVersion) -> Rules {
        let missing = Rule::ALL.into_iter().filter(|rule| rule.row().1 > release);
        Rules(missing.fold(0, |bits, rule| bits | 1 << rule as u8))
    }
}

/// A set of rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules(u8);

impl Rules {
    /// Whether it is one of them.
    pub fn has(self, rule: Rule) -> bool {
        self.0 >> rule as u8 & 1 != 0
    }
}

/// The rules that a walk relied on, each with the instruction that did first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Relied(Vec<(Rule, usize)>);

impl Relied {
    /// Notes one.
    pub fn note(&mut self, rule: Rule, at: usize) {
        if !self.0.iter().any(|(noted, _)| *noted == rule) {
            self.0.push((rule, at));
        }
    }
}

/// What a program needs, and of the rules that its walk relied on those without which it would be refused: it is judged
/// once more without each, and without those that came later.
pub fn needs_of(program: &Program, relied: &Relied, accepts: &dyn Fn(Rules) -> bool) -> Vec<Need> {
    let mut found = needs(program);
    let mut rules = relied.0.clone();
    rules.sort_by_key(|(rule, _)| std::cmp::Reverse(rule.row().1));
    let mut open = true;
    for (rule, at) in rules {
        let (what, since) = rule.row();
        let before = KernelVersion::RELEASES.iter().rev().find(|release| **release < since);
        // Below a release that refuses nothing has to be tried: it lacks the later rules as well.
        open = open && before.is_none_or(|release| accepts(Rule::missing_in(*release)));
        if !open {
            found.push(Need { what: what.to_owned(), since, at: Some(at) });
            break;
        }
    }
    found.sort_by(|a, b| b.since.cmp(&a.since).then(a.at.cmp(&b.at)));
    found
}

/// What becomes of a program on a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It has everything, and 6.18's rules accept.
    Accept,
    /// It lacks something.
    Lacks,
}

/// What a release makes of a program that 6.18's rules accept and that has these needs.
pub fn verdict(needs: &[Need], release: KernelVersion) -> Verdict {
    if needs.iter().any(|need| need.since > release) { Verdict::Lacks } else { Verdict::Accept }
}

/// What a verdict about a release other than 6.18 does not say for sure.
pub fn notes(release: KernelVersion) -> Vec<String> {
    if release == KernelVersion::V6_18 {
        return Vec::new();
    }
    vec![format!(
        "judged by the exploration of Linux 6.18, and by what Linux {release} has: its own verifier may need more instructions \
         for a program, know less of its values, or differ in rules that are not modelled"
    )]
}

const fn v(major: u8, minor: u8) -> KernelVersion {
    KernelVersion::new(major, minor)
}

/// What the instructions, maps and the kind of a program need, newest first.
pub fn needs(program: &Program) -> Vec<Need> {
    let mut found = Needs(Vec::new());
    kind(program, &mut found);
    maps(program, &mut found);
    let mut calls = (None, None);
    for (slot, insn) in program.code.insns().iter().enumerate() {
        let Ok(insn) = insn else { continue };
        if let Some((since, what)) = insn_since(*insn) {
            found.add(what.to_owned(), since, Some(slot));
        }
        match insn {
            Insn::Call(Callee::Helper(id)) => {
                helper(program, *id, slot, &mut found);
                if *id == 12 {
                    calls.0 = calls.0.or(Some(slot));
                }
            }
            Insn::Call(Callee::Local(_)) => calls.1 = calls.1.or(Some(slot)),
            Insn::Call(Callee::Kfunc { id, off }) => kfunc(program, (*id, *off), slot, &mut found),
            _ => {}
        }
    }
    if let (Some(slot), Some(_)) = calls {
        found.add("a tail call in a program with functions".to_owned(), v(5, 10), Some(slot));
    }
    functions(program, &mut found);
    found.0.sort_by(|a, b| b.since.cmp(&a.since).then(a.at.cmp(&b.at)));
    found.0
}

struct Needs(Vec<Need>);

impl Needs {
    /// Notes it once, if Linux 5.4 does not have it.
    fn add(&mut self, what: String, since: KernelVersion, at: Option<usize>) {
        if since > KernelVersion::RELEASES[0] && !self.0.iter().any(|need| need.what == what) {
            self.0.push(Need { what, since, at });
        }
    }
}

fn kind(program: &Program, found: &mut Needs) {
    let kind = program.kind;
    found.add(format!("the program type {}", kind.name()), kind.since(), None);
    // libbpf leaves out those that older kernels do not ask for.
    let optional = [AttachType::Xdp, AttachType::PerfEvent];
    if let Some(attach) = program.attach.filter(|attach| !optional.contains(attach)) {
        found.add(format!("the attach type {}", attach.name()), attach.since(), None);
    }
    if program.sleepable {
        let since = match kind {
            ProgType::Kprobe => v(6, 0),
            ProgType::StructOps => v(6, 6),
            _ => v(5, 10),
        };
        found.add("sleepable programs of this type".to_owned(), since, None);
    }
    if program.frags {
        found.add("multi-buffer packets (BPF_F_XDP_HAS_FRAGS)".to_owned(), v(5, 18), None);
    }
    if program.flags.has(LoadFlags::TEST_REG_INVARIANTS) {
        found.add("BPF_F_TEST_REG_INVARIANTS".to_owned(), v(6, 8), None);
    }
}

fn maps(program: &Program, found: &mut Needs) {
    for map in &program.maps {
        for def in std::iter::once(&**map).chain(map.inner.as_deref()) {
            found.add(format!("maps of the type {} ('{}')", def.kind.name(), def.name), def.kind.since(), None);
            for (_, since, name) in MAP_FLAGS.iter().filter(|(flag, _, _)| def.flags.has(*flag)) {
                found.add(format!("the map flag {name} ('{}')", def.name), *since, None);
            }
            for field in def.fields.list.iter() {
                let what = format!("{} in the values of the map '{}'", field.kind.name(), def.name);
                found.add(what, field.kind.since(), None);
            }
        }
    }
}

fn helper(program: &Program, id: i32, slot: usize, found: &mut Needs) {
    let Some(id) = u32::try_from(id).ok() else { return };
    let (Some(since), Some(name)) = (helper_in(id, program.kind), helper_name(id)) else { return };
    found.add(format!("bpf_{name}() in {} programs", program.kind.name()), since, Some(slot));
}

fn kfunc(program: &Program, (id, off): (i32, i16), slot: usize, found: &mut Needs) {
    let name = program.kfunc(id, off).map(|kfunc| kfuncs::base_name(&kfunc.name));
    match name {
        Some(name) => {
            // Of functions of modules nothing is known: what judged them counts.
            let since = kfunc_since(name).unwrap_or(KernelVersion::V6_18);
            found.add(format!("the kernel function {name}()"), since, Some(slot));
        }
        None => found.add("kernel functions by number".to_owned(), KernelVersion::V6_18, Some(slot)),
    }
}

/// Global functions, and what their arguments may be.
fn functions(program: &Program, found: &mut Needs) {
    let Some(info) = &program.info else { return };
    for func in info.funcs.iter().skip(1).filter(|func| func.linkage == Linkage::Global) {
        let slot = usize::try_from(func.slot).ok();
        found.add("global functions".to_owned(), v(5, 6), slot);
        let Some(Type::Func { proto, .. }) = info.btf.get(func.type_id) else { continue };
        let Some(Type::FuncProto { params, .. }) = info.btf.get(*proto) else { continue };
        if params.iter().any(|param| is_memory(&info.btf, param.ty)) {
            found.add("pointers as arguments of global functions".to_owned(), v(5, 12), slot);
        }
        for (_, tag) in decl_tags(&info.btf, func.type_id).into_iter().filter(|(_, tag)| tag.starts_with("arg:")) {
            let since = match tag {
                "arg:ctx" | "arg:nonnull" => v(6, 8),
                "arg:trusted" | "arg:nullable" | "arg:arena" => v(6, 9),
                _ => v(6, 17),
            };
            found.add(format!("the tag {tag} of an argument"), since, slot);
        }
    }
}

/// A pointer to something else than a context, by the name of the structure.
fn is_memory(btf: &Btf, ty: TypeId) -> bool {
    const CONTEXTS: [&str; 13] = [
        "xdp_md",
        "__sk_buff",
        "pt_regs",
        "bpf_sock",
        "bpf_sock_addr",
        "bpf_sock_ops",
        "sk_msg_md",
        "bpf_perf_event_data",
        "bpf_sysctl",
        "bpf_sockopt",
        "sk_reuseport_md",
        "bpf_sk_lookup",
        "bpf_cgroup_dev_ctx",
    ];
    let Ok(Type::Ptr { to }) = btf.resolved(ty) else { return false };
    match btf.resolved(*to) {
        Ok(Type::Struct(of)) => !CONTEXTS.contains(&btf.string(of.name)),
        Ok(_) | Err(_) => true,
    }
}
