//! Why it came to a rejection: read off the path that led there.

use std::collections::{BTreeMap, BTreeSet};

use ring3_isa::{AluOp, Callee, Insn, Operand, Width};
use ring3_platform::helper_name;
use ring3_platform::helpers::{changes_packet, helper_by_name};

use super::origin::{Check, DefId, How, Origins};
use super::{Note, Scene, calls, words};
use crate::diag::codes::Code;
use crate::diag::reject::Reject;
use crate::state::{Ptr, PtrKind, Value};
use crate::walk::Trace;

/// Notes of one path, at most.
const MAX_NOTES: usize = 8;

/// What was found out.
#[derive(Default)]
pub struct Causes {
    /// See `Diagnosis`.
    pub reason: String,
    /// See `Diagnosis`.
    pub label: String,
    /// See `Diagnosis`.
    pub path: Vec<Note>,
    /// See `Diagnosis`.
    pub checks: Vec<String>,
    /// See `Diagnosis`; empty for the rule's own.
    pub suggestion: String,
}

/// What to look for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The rule says it all.
    Rule,
    /// Where the register's value comes from.
    Origin,
    /// And which comparison with NULL is missing.
    Null,
    /// And which comparison with a bound is missing.
    Bound,
    /// The same of a packet.
    Packet,
    /// Who took the value away.
    Lost,
    /// Where resources were acquired.
    Leak,
    /// What goes around.
    Loop,
    /// What is done so often.
    Hot,
}

const fn kind(code: Code) -> Kind {
    match code {
        Code::EmptyProgram
        | Code::ProgramTooLong
        | Code::TooManyFunctions
        | Code::BadInstruction
        | Code::JumpOutOfRange
        | Code::FallsOffTheEnd
        | Code::Unreachable
        | Code::JumpIntoWideLoad
        | Code::BadFunctionReference
        | Code::LegacyPacketLoad
        | Code::TailCallNeedsBtf
        | Code::MissingFunctionInfo
        | Code::MissingArena
        | Code::MissingMap
        | Code::DirectValue
        | Code::KernelVariable
        | Code::AttachType
        | Code::SleepableType
        | Code::MapForProgram
        | Code::GplOnly
        | Code::FramePointer
        | Code::DivisionByZero
        | Code::ShiftAmount
        | Code::UnknownHelper
        | Code::HelperForProgram
        | Code::KernelFunction
        | Code::SleepingCall
        | Code::CallUnderLock
        | Code::LockOrder
        | Code::OpenRegion
        | Code::MissingRegion
        | Code::StackObject
        | Code::StorageFlags
        | Code::CallDepth
        | Code::StackDepth
        | Code::StackTailCall
        | Code::NoAttachTarget
        | Code::TargetArgument
        | Code::KernelRelease
        | Code::Stopped
        | Code::Unsupported => Kind::Rule,
        Code::PointerOperation
        | Code::FixedPointer
        | Code::Misaligned
        | Code::ForbiddenAccess
        | Code::ContextPointer
        | Code::ContextAccess
        | Code::MixedPointers
        | Code::AtomicTarget
        | Code::StackUninit
        | Code::SpecialField
        | Code::PartialSpill
        | Code::SpillToCaller
        | Code::ArgumentType
        | Code::PacketArgument
        | Code::ArgumentOffset
        | Code::ConstantArgument
        | Code::MapForHelper
        | Code::ConstantString
        | Code::CallbackForm
        | Code::GlobalFunction
        | Code::ReturnedStack
        | Code::NotAcquired
        | Code::ManyReferences
        | Code::ReturnRange
        | Code::ReturnType
        | Code::StructBounds => Kind::Origin,
        Code::NullableArithmetic | Code::NullablePointer | Code::NullableArgument => Kind::Null,
        Code::PointerOffset
        | Code::UnboundedArithmetic
        | Code::NegativeIndex
        | Code::UnboundedIndex
        | Code::MapValueBounds
        | Code::MemoryBounds
        | Code::StackBounds
        | Code::StackOffset
        | Code::NegativeSize
        | Code::UnboundedSize
        | Code::ZeroSize => Kind::Bound,
        Code::PacketBounds => Kind::Packet,
        Code::UninitRegister | Code::NotAPointer => Kind::Lost,
        Code::ReferenceLeak => Kind::Leak,
        Code::InfiniteLoop => Kind::Loop,
        Code::TooComplex | Code::TooManyBranches => Kind::Hot,
    }
}

/// Finds them.
pub fn causes(scene: &Scene<'_>, code: Code) -> Causes {
    let Some(trace) = scene.trace.filter(|trace| !trace.steps().is_empty()) else { return Causes::default() };
    let finder = Finder { scene, trace, origins: Origins::of(scene.program, trace), code };
    match kind(code) {
        Kind::Rule => finder.rule(),
        Kind::Origin => finder.origin(),
        Kind::Null => finder.null(),
        Kind::Bound => finder.bound(),
        Kind::Packet => finder.packet(),
        Kind::Lost => finder.lost(),
        Kind::Leak => finder.leak(),
        Kind::Loop => finder.around(),
        Kind::Hot => finder.hot(),
    }
}

/// Reasons that stand in the rejection itself.
fn special(scene: &Scene<'_>) -> Option<String> {
    let kind = scene.program.kind.name();
    match scene.reject {
        Reject::HelperNotForProgram { name, .. } => {
            let name = name.trim_start_matches("bpf_");
            let others = helper_by_name(name).and_then(calls::callers);
            let others = others.map_or_else(String::new, |kinds| format!(" Those that can: {kinds}."));
            Some(format!("Programs of the type {kind} cannot call bpf_{name}.{others}"))
        }
        Reject::Misaligned { what, tnum, ip, off, size } if tnum == "0" => Some(format!(
            "The access begins at offset {} of the {}, which is not a multiple of its size, {}.",
            i64::from(*ip) + off,
            if what.is_empty() { "memory" } else { what.trim_end() },
            words::bytes((*size).into())
        )),
        Reject::GlobalArgs { why, .. } if !why.is_empty() => Some(format!("What is wrong with the argument: {why}.")),
        Reject::ArgType { reg, ty, expected } => Some(format!(
            "Argument {reg} is {}, but the function wants {}.",
            name_of_type(ty),
            expected.split(", ").map(name_of_type).collect::<Vec<_>>().join(" or ")
        )),
        Reject::RegionMapValue { limit, off, size, .. } => Some(region("the map's value", *limit, *off, *size)),
        Reject::RegionMapKey { limit, off, size, .. } => Some(region("the map's key", *limit, *off, *size)),
        Reject::RegionMem { limit, off, size, .. } => Some(region("the memory", *limit, *off, *size)),
        Reject::StackAccess { off, size, .. } | Reject::StackAccessEnd { off, size, .. } => Some(format!(
            "The access begins {off} bytes from the frame pointer and takes {}; the stack is from -512 to 0.",
            words::bytes(size.unsigned_abs())
        )),
        Reject::StackIndirect { off, i, .. } => Some(format!(
            "Of the memory that is read here, the byte at {} from the frame pointer was never written.",
            off + i
        )),
        Reject::ReturnRange { lo, hi, .. } => Some(format!(
            "A {kind} program may return {}.",
            if lo == hi { lo.to_string() } else { format!("{lo} to {hi}") }
        )),
        Reject::CtxAccess { off, size } if matches!(scene.insn(), Some(Insn::Store { .. })) => Some(format!(
            "In the context of {kind} programs, {} at offset {off} cannot be written.",
            words::bytes((*size).into())
        )),
        Reject::CtxAccess { off, size } => Some(format!(
            "In the context of {kind} programs, nothing that is {} long can be accessed like this at offset {off}.",
            words::bytes((*size).into())
        )),
        _ => None,
    }
}

fn region(what: &str, limit: u32, off: i64, size: u64) -> String {
    let end = off.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
    let last = end.saturating_sub(1);
    let reached = if last == off { format!("byte {off}") } else { format!("bytes {off} to {last}") };
    format!("The access can reach {reached} (counted from 0) of {what}, which has {}.", words::bytes(limit.into()))
}

/// The kernel's names of types, for people.
fn name_of_type(name: &str) -> String {
    match name {
        "fp" => "a pointer to the stack".to_owned(),
        "scalar" => "a number".to_owned(),
        "ptr_" | "trusted_ptr_" | "rcu_ptr_" => "a structure of the kernel".to_owned(),
        "sock" | "sock_common" | "tcp_sock" | "xdp_sock" => format!("a socket ({name})"),
        "ctx" => "the context".to_owned(),
        "map_ptr" => "a map".to_owned(),
        "pkt" => "a packet pointer".to_owned(),
        "map_value_or_null" => "a pointer to a map's value that may be NULL".to_owned(),
        other => other.replace('_', " "),
    }
}

struct Finder<'a> {
    scene: &'a Scene<'a>,
    trace: &'a Trace,
    origins: Origins,
    code: Code,
}

impl Finder<'_> {
    fn words(&self, value: &Value) -> String {
        words::value(self.scene.program, value)
    }

    /// The register in question, what it holds, and where that was made.
    fn subject(&self) -> Option<(u8, Value, DefId)> {
        let reg = self.scene.register()?;
        let value = *self.scene.state()?.frame().regs.get(usize::from(reg))?;
        Some((reg, value, self.origins.reg(reg)?))
    }

    fn note(&self, step: usize, text: String) -> Note {
        Note { site: self.scene.site(self.trace.steps()[step].at), text }
    }

    /// `line 12`, or `instruction 7` where there are no lines.
    fn place(&self, step: usize) -> String {
        let site = self.scene.site(self.trace.steps()[step].at);
        match site.source {
            Some(source) => format!("line {}", source.line),
            None => format!("instruction {}", site.slot),
        }
    }

    fn callee(&self, how: How) -> Option<String> {
        match how {
            How::Helper(id) => Some(helper(id)),
            How::Clobbered(Callee::Helper(id)) => Some(helper(id)),
            _ => None,
        }
    }

    /// What a definition did; `None` for plain copies.
    fn story(&self, id: DefId) -> Option<Note> {
        let def = self.origins.def(id);
        let step = def.step?;
        let value = self.words(&def.value);
        let at = self.trace.steps()[step].at;
        let written = match self.scene.program.code.get(at).and_then(Result::ok).and_then(destination) {
            Some(reg) => format!("r{reg}"),
            None => "it".to_owned(),
        };
        let text = match def.how {
            How::Entry | How::Nothing | How::Copy | How::Param | How::Result => return None,
            How::Fill => format!("{written} is read back from the stack"),
            How::Constant => format!("{written} is {value}"),
            How::Arith(AluOp::Lsh) if self.is_half_of_cast(at) => return None,
            How::LowCopy => format!("{written} gets only the lower bits: {value}"),
            How::Arith(op) => match (op, def.other.map(|other| self.words(&self.origins.def(other).now))) {
                (AluOp::Add, Some(other)) => format!("{other} is added: {value}"),
                (_, _) => format!("{written} is computed: {value}"),
            },
            How::Swap => format!("{written} is computed: {value}"),
            How::Load => {
                let base = def.other.and_then(|base| self.origins.def(base).now.as_ptr().copied());
                let from = match base.map(|ptr| ptr.kind) {
                    Some(PtrKind::Ctx) => "the context",
                    Some(PtrKind::Packet { .. }) => "the packet",
                    Some(PtrKind::MapValue(_)) => "a map",
                    Some(PtrKind::Stack(_)) => "the stack",
                    _ => "memory",
                };
                format!("{written} is read from {from}: {value}")
            }
            How::Helper(id) => format!("{} returns {value}", helper(id)),
            How::Kfunc => format!("the kernel function returns {value}"),
            How::Callback => format!("the callback gets {value}"),
            How::Clobbered(Callee::Helper(id)) => format!("the call of {} ends what was in {written}", helper(id)),
            How::Clobbered(_) => "the call ends what was in r1 to r5".to_owned(),
        };
        Some(self.note(step, text))
    }

    /// `r1 <<= 32`, with which compilers begin to extend 32 bits.
    fn is_half_of_cast(&self, at: usize) -> bool {
        let insn = self.scene.program.code.get(at).and_then(Result::ok);
        matches!(insn, Some(Insn::Alu { src: Operand::Imm(32), .. }))
    }

    /// How a value came to be, oldest first.
    fn stories(&self, id: DefId) -> Vec<Note> {
        // Of a loop, the last round.
        let mut seen = BTreeSet::new();
        let stories = self.origins.chain(id).into_iter().filter_map(|id| self.story(id));
        let mut notes: Vec<Note> = stories.filter(|note| seen.insert(note.site.slot)).collect();
        // Its begin and its end say most.
        if notes.len() > MAX_NOTES {
            notes.drain(MAX_NOTES / 2..notes.len() - MAX_NOTES / 2);
        }
        notes.reverse();
        notes
    }

    /// What the source calls a value.
    fn variable(&self, id: DefId) -> Option<String> {
        self.origins.chain(id).into_iter().find_map(|id| {
            let step = self.origins.def(id).step?;
            assigned(&self.scene.site(self.trace.steps()[step].at).source?.text)
        })
    }

    /// `r0 ('message')`, or `r0`.
    fn named(&self, reg: u8, id: DefId) -> String {
        self.variable(id).map_or_else(|| format!("r{reg}"), |name| format!("'{name}' (r{reg})"))
    }

    /// The rule says it; what helps is who may do it, and where a lock that is in the way was taken.
    fn rule(&self) -> Causes {
        let mut causes = Causes { reason: special(self.scene).unwrap_or_default(), ..Causes::default() };
        let program = self.scene.program;
        match (self.code, self.scene.reject) {
            (Code::HelperForProgram, Reject::HelperNotForProgram { name, .. }) => {
                let id = helper_by_name(name.trim_start_matches("bpf_"));
                let like = id.map_or_else(Vec::new, |id| calls::like(program, id));
                if !like.is_empty() {
                    causes.suggestion =
                        format!("{} programs have {}, which does the like.", program.kind.name(), like.join(" and "));
                }
            }
            (Code::CallUnderLock | Code::SleepingCall | Code::OpenRegion, _) => {
                if let Some((step, name)) = calls::taken(program, self.trace) {
                    causes.path.push(self.note(step, format!("{name} begins what is still open")));
                }
            }
            _ => {}
        }
        causes
    }

    fn origin(&self) -> Causes {
        let Some((reg, value, def)) = self.subject() else {
            return Causes { reason: special(self.scene).unwrap_or_default(), ..Causes::default() };
        };
        Causes {
            reason: special(self.scene).unwrap_or_default(),
            label: format!("r{reg} is {}", self.words(&value)),
            path: self.stories(def),
            ..Causes::default()
        }
    }

    fn null(&self) -> Causes {
        let Some((reg, value, def)) = self.subject() else { return Causes::default() };
        let root = self.origins.root(def);
        let maker = self.callee(self.origins.def(root).how);
        let name = self.named(reg, def);
        let reason = match &maker {
            Some(call) => {
                format!("{name} is NULL if {call} found nothing, and no comparison on this path has ruled that out.")
            }
            None => format!("{name} may be NULL, and no comparison on this path has ruled that out."),
        };
        let mut checks = Vec::new();
        for check in &self.origins.checks {
            let other = self.origins.root(check.lhs);
            let same_call = self.origins.def(other).how == self.origins.def(root).how;
            if other != root && same_call && maker.is_some() {
                let made =
                    self.origins.def(other).step.map_or_else(String::new, |step| format!(" ({})", self.place(step)));
                checks.push(format!(
                    "{} compares the result of another call{made}, not this one.",
                    capital_place(&self.place(check.step))
                ));
            } else if self.origins.is_read_again(check.lhs, def) {
                checks.push(format!(
                    "{} compares what was read from the same memory before; it was read again since.",
                    capital_place(&self.place(check.step))
                ));
            }
        }
        checks.truncate(MAX_NOTES);
        let variable = self.variable(def);
        let suggestion = match &variable {
            Some(name) => format!(
                "Check it in front of this line: `if (!{name}) return 0;` (or whatever suits), so that only the path with a valid pointer goes on."
            ),
            None => String::new(),
        };
        Causes {
            reason,
            label: format!("r{reg} is {}", self.words(&value)),
            path: self.stories(def),
            checks,
            suggestion,
        }
    }

    /// The number that makes an address vary, if the register is a pointer; else the register itself.
    fn index(&self, def: DefId) -> DefId {
        let number = |id: DefId| matches!(self.origins.def(id).now, Value::Scalar(s) if !s.num.is_const());
        let moved = self.origins.chain(def).into_iter().find_map(|id| {
            let it = self.origins.def(id);
            match (it.how, it.from, it.other) {
                (How::Arith(AluOp::Add | AluOp::Sub), _, Some(other)) if number(other) => Some(other),
                (How::Arith(AluOp::Add), Some(from), Some(other))
                    if number(from) && self.origins.def(other).now.as_ptr().is_some() =>
                {
                    Some(from)
                }
                _ => None,
            }
        });
        self.unscaled(if self.origins.def(def).now.as_ptr().is_some() { moved.unwrap_or(def) } else { def })
    }

    /// An index before it was multiplied by the size of an element.
    fn unscaled(&self, mut id: DefId) -> DefId {
        loop {
            let def = self.origins.def(id);
            let at = def.step.map_or(0, |step| self.trace.steps()[step].at);
            let scales = def.other.is_none() && !self.is_half_of_cast(at);
            match (def.how, def.from) {
                (How::Arith(AluOp::Lsh | AluOp::Mul), Some(from)) if scales => id = from,
                _ => return id,
            }
        }
    }

    fn bound(&self) -> Causes {
        let Some((reg, value, def)) = self.subject() else { return Causes::default() };
        let adding = matches!(self.code, Code::UnboundedArithmetic | Code::PointerOffset);
        let index = match (self.scene.insn(), adding) {
            (Some(Insn::Alu { src: Operand::Reg(src), .. }), true) => {
                let src = self.origins.reg(src.number()).unwrap_or(def);
                self.unscaled(if self.origins.def(src).now.as_scalar().is_some() { src } else { def })
            }
            _ => self.index(def),
        };
        let number = self.origins.def(index).now;
        let what = self.variable(index).map_or_else(|| "The value".to_owned(), |name| format!("'{name}'"));
        let mut reason = special(self.scene).unwrap_or_default();
        if number.as_scalar().is_some() && !number.is_zero() {
            if !reason.is_empty() {
                reason.push(' ');
            }
            reason.push_str(&format!("{what} is {} here, as far as the verifier knows.", self.words(&number)));
        }
        let mut path = self.stories(index);
        if index != def {
            path.extend(self.stories(def));
            path.sort_by_key(|note| note.site.slot);
            path.dedup_by_key(|note| note.site.slot);
        }
        let constant = number.as_scalar().is_none_or(|s| s.num.is_const());
        let checks = if constant { Vec::new() } else { self.related(index) };
        let negative = number.as_scalar().is_some_and(|s| s.num.smin() < 0 && s.num.smax() < i64::from(i32::MAX));
        let suggestion = match negative {
            true => format!(
                "{what} has an upper bound but may be negative: make it unsigned (`__u32`), or check that it is not: \
                 `if ({} < 0) return 0;`.",
                self.variable(index).unwrap_or_else(|| "i".to_owned())
            ),
            false => String::new(),
        };
        Causes { reason, label: format!("r{reg} is {}", self.words(&value)), path, checks, suggestion }
    }

    /// Comparisons that have to do with a number, and what they are worth.
    fn related(&self, index: DefId) -> Vec<String> {
        let root = self.origins.root(index);
        let ancestors = self.origins.chain(index);
        let mut out = Vec::new();
        for check in &self.origins.checks {
            let sides = [Some(check.lhs), check.rhs];
            if let Some(text) =
                sides.into_iter().flatten().find_map(|side| self.relation(check, side, root, &ancestors))
            {
                out.push(text);
            }
        }
        let mut seen = BTreeSet::new();
        out.reverse();
        out.retain(|text| seen.insert(text.clone()));
        out.reverse();
        if out.is_empty() {
            return vec!["Nothing on this path compares it with a bound.".to_owned()];
        }
        let last = out.len().saturating_sub(MAX_NOTES / 2);
        out.split_off(last)
    }

    fn relation(&self, check: &Check, side: DefId, root: DefId, ancestors: &[DefId]) -> Option<String> {
        let place = capital_place(&self.place(check.step));
        let checked = self.origins.root(side);
        let narrow = match check.width {
            Width::W32 => " (its lower 32 bits)",
            Width::W64 => "",
        };
        if checked == root {
            return Some(format!(
                "{place} compares it{narrow}, which leaves {}.",
                self.words(&self.origins.def(side).now)
            ));
        }
        if ancestors.iter().any(|id| self.origins.is_read_again(checked, *id)) {
            let first =
                self.origins.def(checked).step.map_or_else(String::new, |step| format!(" ({})", self.place(step)));
            return Some(format!(
                "{place} compares another copy: the memory was read once for the comparison{first} and once more for the use. What \
                 is in memory may change in between, so the verifier knows nothing of the second value. Read it into a local variable once."
            ));
        }
        if self.origins.def(checked).how == How::Entry || self.origins.def(root).how == How::Entry {
            return None;
        }
        if ancestors.iter().any(|id| self.origins.root(*id) == checked) {
            return Some(format!(
                "{place} compares it before it is changed; what is known of the result is less than that."
            ));
        }
        if self.origins.chain(side).iter().any(|id| self.origins.root(*id) == root) {
            return Some(format!(
                "{place} compares a value that was computed from it ({}), which says little about the value itself.",
                self.words(&self.origins.def(side).now)
            ));
        }
        None
    }

    fn packet(&self) -> Causes {
        let Some((reg, value, def)) = self.subject() else { return Causes::default() };
        let Some(ptr) = value.as_ptr() else { return self.origin() };
        let range = match ptr.kind {
            PtrKind::Packet { range } | PtrKind::PacketMeta { range } => range.max(0),
            _ => 0,
        };
        let (off, size) = match self.scene.reject {
            Reject::PacketAccess { off, size, .. } => (*off, *size),
            _ => (0, 0),
        };
        let end = off.saturating_add(i64::try_from(size).unwrap_or(0));
        let reason = match range {
            0 => format!(
                "{} read here, but no comparison with data_end on this path has shown that the packet has any.",
                amount(size, "is", "are")
            ),
            0xff00.. => "The loop over the packet has no bound of its own: the verifier knows of 65,535 bytes at most."
                .to_owned(),
            _ if end > i64::from(range) => format!(
                "The access needs the first {} behind the pointer, but a comparison with data_end has shown only {range}.",
                words::bytes(end.unsigned_abs())
            ),
            _ => "The access can lie outside of the bytes that a comparison with data_end has shown to be there."
                .to_owned(),
        };
        let mut checks = self.ends(ptr);
        if checks.is_empty() {
            checks.push("Nothing on this path compares a packet pointer with data_end.".to_owned());
        }
        Causes {
            reason,
            label: format!("r{reg} is {}", self.words(&value)),
            path: self.stories(def),
            checks,
            ..Causes::default()
        }
    }

    /// Comparisons of packet pointers with the packet's end, the last ones of each line.
    fn ends(&self, ptr: &Ptr) -> Vec<String> {
        let mut found: BTreeMap<usize, (usize, String)> = BTreeMap::new();
        for check in &self.origins.checks {
            let sides = [Some(check.lhs), check.rhs];
            let sides = sides.map(|side| side.and_then(|id| self.origins.def(id).now.as_ptr().copied()));
            if !sides.iter().flatten().any(|side| side.kind == PtrKind::PacketEnd) {
                continue;
            }
            let Some(other) = sides.into_iter().flatten().find(|side| side.kind != PtrKind::PacketEnd) else {
                continue;
            };
            let place = super::capital(&self.place(check.step));
            let text = if other.id == ptr.id {
                format!("{place} compares a pointer at offset {} with data_end.", other.off)
            } else {
                format!(
                    "{place} compares another pointer: a number that is not constant was added to one of them, so what holds for it \
                     says nothing about this one."
                )
            };
            found.insert(self.trace.steps()[check.step].at, (check.step, text));
        }
        let mut found: Vec<(usize, String)> = found.into_values().collect();
        found.sort();
        let last = found.len().saturating_sub(MAX_NOTES / 2);
        found.split_off(last).into_iter().map(|(_, text)| text).collect()
    }

    fn lost(&self) -> Causes {
        let Some((reg, value, def)) = self.subject() else { return Causes::default() };
        let it = self.origins.def(def);
        let root = self.origins.def(self.origins.root(def));
        let lost = self.origins.chain(def).into_iter().find_map(|id| self.origins.def(id).lost);
        let mut path = self.stories(def);
        let exits = matches!(self.scene.insn(), Some(Insn::Exit));
        let mut suggestion = "";
        let reason = match (it.how, lost) {
            (How::Clobbered(callee), _) => {
                let name = match callee {
                    Callee::Helper(id) => helper(id),
                    Callee::Local(_) | Callee::Kfunc { .. } => "the function".to_owned(),
                };
                format!(
                    "r{reg} is read, but the call of {name} in between has ended what it held: calls keep r6 to r9 only."
                )
            }
            (How::Nothing, _) if exits => {
                "The function ends without a return value: nothing on this path has written r0.".to_owned()
            }
            (How::Nothing | How::Entry, _) => {
                format!("Nothing on this path has written r{reg}: the variable has no value here.")
            }
            (_, Some(step)) => {
                let call = self.scene.program.code.get(self.trace.steps()[step].at).and_then(Result::ok);
                let id = match call {
                    Some(Insn::Call(Callee::Helper(id))) => u32::try_from(id).unwrap_or(0),
                    _ => 0,
                };
                if changes_packet(id) {
                    path.push(
                        self.note(step, "the call may move the packet, which ends all packet pointers".to_owned()),
                    );
                    suggestion =
                        "Behind the call, take `data` and `data_end` from the context again, and compare them anew.";
                    "It was a packet pointer, but a call in between may have moved the packet.".to_owned()
                } else {
                    path.push(self.note(step, "the call gives it back; after that nobody may use it".to_owned()));
                    suggestion = "Do all that is to be done with it before it is given back.";
                    format!("It was given back in {}, and must not be used after that.", self.place(step))
                }
            }
            (_, None) if matches!(root.how, How::Helper(_)) && value.as_scalar().is_some() => {
                let call = self.callee(root.how).unwrap_or_default();
                format!("{call} returns a number: even where it is an address, it cannot be dereferenced.")
            }
            (_, None) if value.as_scalar().is_some() => format!(
                "r{reg} is used as a pointer, but it is {}{}.",
                self.words(&value),
                if it.how == How::Load || root.how == How::Load { ", read from memory" } else { "" }
            ),
            (_, None) => format!("r{reg} is {}, which cannot be dereferenced.", self.words(&value)),
        };
        if exits && it.how == How::Nothing {
            suggestion = "Let every path of the function return a value.";
        }
        let label = format!("r{reg} is {}", self.words(&value));
        Causes { reason, label, path, checks: Vec::new(), suggestion: suggestion.to_owned() }
    }

    fn leak(&self) -> Causes {
        let Some(state) = self.scene.state() else { return Causes::default() };
        let steps = self.trace.steps();
        let (mut path, mut names) = (Vec::new(), Vec::new());
        let mut first = steps.len();
        for held in &state.refs {
            let Some(step) = steps.iter().rposition(|step| step.at == held.insn) else { continue };
            first = first.min(step);
            let call = match self.scene.program.code.get(held.insn) {
                Some(Ok(Insn::Call(Callee::Helper(id)))) => helper(id),
                _ => "the function".to_owned(),
            };
            path.push(self.note(step, format!("{call} hands it out")));
            names.push(call);
        }
        // The last decision on the way says which path it is.
        if let Some(check) = self.origins.checks.iter().rev().find(|check| check.step > first) {
            path.push(self.note(check.step, "this comparison leads to the end without giving it back".to_owned()));
        }
        let release = names.iter().find_map(|name| release(name));
        let what =
            names.first().map_or_else(|| "what was acquired".to_owned(), |name| format!("what {name} handed out"));
        Causes {
            reason: format!("On this path, {what} is still held when the program ends."),
            label: "the program ends here".to_owned(),
            path,
            checks: Vec::new(),
            suggestion: release
                .map_or_else(String::new, |how| format!("Call {how} on this path, too, before it returns.")),
        }
    }

    fn around(&self) -> Causes {
        let steps = self.trace.steps();
        let last = steps.len() - 1;
        let Some(before) = steps[..last].iter().rposition(|step| step.at == steps[last].at) else {
            return Causes::default();
        };
        let mut path = Vec::new();
        for check in self.origins.checks.iter().filter(|check| check.step >= before && check.step < last) {
            let lhs = self.words(&self.origins.def(check.lhs).now);
            let made = self.origins.def(check.lhs).step;
            let still = made.is_none_or(|step| step < before);
            let text = if still {
                "which the loop does not change"
            } else {
                "as in the round before, as far as the verifier knows"
            };
            path.push(self.note(check.step, format!("this decides about another round; it compares {lhs}, {text}")));
        }
        path.truncate(MAX_NOTES);
        let reason = if path.is_empty() {
            "The loop has no way out.".to_owned()
        } else {
            "A round of the loop ended with the same registers and the same stack as the one before, so it would go on for ever.".to_owned()
        };
        Causes { reason, label: "the loop is here again".to_owned(), path, ..Causes::default() }
    }

    fn hot(&self) -> Causes {
        let mut counts: BTreeMap<(u32, usize), (u32, usize)> = BTreeMap::new();
        for step in self.trace.steps() {
            let line = self.scene.site(step.at).source.map_or((0, step.at), |source| (source.line, 0));
            let entry = counts.entry(line).or_insert((0, step.at));
            entry.0 += 1;
        }
        let mut counts: Vec<(u32, usize)> = counts.into_values().collect();
        counts.sort_by_key(|(count, at)| (std::cmp::Reverse(*count), *at));
        let path = counts.iter().take(3).filter(|(count, _)| *count > 8).map(|(count, at)| Note {
            site: self.scene.site(*at),
            text: format!("{count} instructions of the path that was being followed"),
        });
        Causes { label: "the verifier was here when it gave up".to_owned(), path: path.collect(), ..Causes::default() }
    }
}

/// `bpf_map_lookup_elem`.
fn helper(id: i32) -> String {
    match u32::try_from(id).ok().and_then(helper_name) {
        Some(name) => format!("bpf_{name}"),
        None => format!("helper {id}"),
    }
}

/// What gives back what a helper hands out.
fn release(name: &str) -> Option<&'static str> {
    match name {
        "bpf_ringbuf_reserve" => Some("bpf_ringbuf_discard() or bpf_ringbuf_submit()"),
        "bpf_ringbuf_reserve_dynptr" => Some("bpf_ringbuf_discard_dynptr() or bpf_ringbuf_submit_dynptr()"),
        "bpf_sk_lookup_tcp" | "bpf_sk_lookup_udp" | "bpf_skc_lookup_tcp" | "bpf_map_lookup_elem" => {
            Some("bpf_sk_release()")
        }
        _ => None,
    }
}

fn amount(size: u64, one: &str, many: &str) -> String {
    format!("{} {}", words::bytes(size), if size == 1 { one } else { many })
}

fn capital_place(place: &str) -> String {
    super::capital(place)
}

/// The register that an instruction writes.
fn destination(insn: Insn) -> Option<u8> {
    match insn {
        Insn::Alu { dst, .. }
        | Insn::Mov { dst, .. }
        | Insn::MovSx { dst, .. }
        | Insn::AddrSpaceCast { dst, .. }
        | Insn::Neg { dst, .. }
        | Insn::Endian { dst, .. }
        | Insn::LoadImm { dst, .. }
        | Insn::Load { dst, .. }
        | Insn::LoadAcquire { dst, .. } => Some(dst.number()),
        Insn::Atomic { op, src, .. } => op.fetches_into(src).map(ring3_isa::Reg::number),
        Insn::Call(_) | Insn::LegacyPacket { .. } => Some(0),
        Insn::WideTail
        | Insn::Store { .. }
        | Insn::StoreRelease { .. }
        | Insn::Jump { .. }
        | Insn::Branch { .. }
        | Insn::MayGoto { .. }
        | Insn::CallX { .. }
        | Insn::GotoX { .. }
        | Insn::Exit => None,
    }
}

/// The variable that a line of C assigns to: `message` of `struct message *message = lookup();`.
fn assigned(text: &str) -> Option<String> {
    let at = text.match_indices('=').map(|(at, _)| at).find(|at| {
        let bytes = text.as_bytes();
        let before = at.checked_sub(1).map_or(b' ', |i| bytes[i]);
        bytes.get(at + 1) != Some(&b'=') && !b"=!<>+-*/%&|^".contains(&before)
    })?;
    let left = text[..at].trim_end();
    let start = left.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |i| i + 1);
    let name = &left[start..];
    let before = left[..start].chars().next_back();
    let plain = before.is_none_or(|c| c.is_whitespace() || c == '*' || c == '(');
    (plain && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables() {
        assert_eq!(assigned("\tstruct message *message = lookup(&m, &k);").as_deref(), Some("message"));
        assert_eq!(assigned("if ((p = next(it)) != 0)").as_deref(), Some("p"));
        assert_eq!(assigned("if (a == b)"), None);
        assert_eq!(assigned("x->y = 5;"), None);
        assert_eq!(assigned("total += n;"), None);
        assert_eq!(assigned("while (i <= n)"), None);
    }
}
