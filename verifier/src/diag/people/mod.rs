//! What a rejection means, for people: the source line, what the register held and where that came from, which check is missing or
//! looked at something else, and what to do.

mod calls;
mod causes;
mod examples;
mod explain;
mod origin;
mod text;

pub mod words;

pub use examples::{Example, Language};
pub use text::{Line, Part};

use ring3_isa::{Insn, Operand, Reg};
use ring3_platform::{Errno, Program};

use super::codes::{Category, Code};
use super::reject::Reject;
use crate::Rejection;
use crate::state::State;
use crate::walk::Trace;

/// A place in the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Slot of the instruction.
    pub slot: usize,
    /// The instruction, as the kernel's log writes it.
    pub insn: String,
    /// The function, where BTF names it.
    pub function: Option<String>,
    /// The source line, where BTF has it.
    pub source: Option<Source>,
}

/// A source line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The file, as the compiler was told.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1; 0 if it is not known.
    pub column: u32,
    /// The line itself.
    pub text: String,
}

/// Something that happened on the way to the error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Where.
    pub site: Site,
    /// What.
    pub text: String,
}

/// A rejection, explained. [`std::fmt::Display`] writes it for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnosis {
    /// The rule.
    pub code: Code,
    /// What the kernel says: the last line of its log.
    pub message: String,
    /// And returns.
    pub errno: Errno,
    /// What is wrong here, in a sentence or two.
    pub reason: String,
    /// Where, if it is about an instruction.
    pub at: Option<Site>,
    /// What is wrong at that place, in a few words.
    pub label: String,
    /// How it came to that, oldest first.
    pub path: Vec<Note>,
    /// What was checked, and why that was not enough.
    pub checks: Vec<String>,
    /// What to do.
    pub suggestion: String,
}

impl Diagnosis {
    /// What the rule is about.
    pub fn category(&self) -> Category {
        self.code.category()
    }
}

/// What is known when a program was refused.
pub struct Scene<'a> {
    /// The program.
    pub program: &'a Program,
    /// Why it was refused.
    pub reject: &'a Reject,
    /// Where.
    pub at: Option<usize>,
    /// The way there.
    pub trace: Option<&'a Trace>,
}

impl Scene<'_> {
    /// A place.
    fn site(&self, slot: usize) -> Site {
        let info = self.program.info.as_ref();
        let index = u32::try_from(slot).unwrap_or(u32::MAX);
        let function = info.and_then(|info| info.func_at(index)).map(|func| func.name.to_string());
        let source =
            info.and_then(|info| info.line_at(index)).filter(|line| !line.file.is_empty()).map(|line| Source {
                file: line.file.to_string(),
                line: line.line,
                column: line.col,
                text: line.text.trim_end().to_owned(),
            });
        Site { slot, insn: crate::walk::text_of(self.program, slot), function, source }
    }

    fn insn(&self) -> Option<Insn> {
        self.program.code.get(self.at?)?.ok()
    }

    /// The state in front of the instruction.
    fn state(&self) -> Option<&State> {
        self.trace?.before()
    }

    /// The register that the message names, else the one that the instruction goes through.
    fn register(&self) -> Option<u8> {
        let text = self.reject.text();
        let named = text.match_indices('R').find_map(|(at, _)| {
            let word_starts = at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
            let digits: String = text[at + 1..].chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok().filter(|reg| word_starts && *reg <= 10)
        });
        named.or_else(|| self.insn().and_then(base).map(Reg::number))
    }
}

/// The register that an instruction accesses memory through.
fn base(insn: Insn) -> Option<Reg> {
    match insn {
        Insn::Load { base, .. }
        | Insn::Store { base, .. }
        | Insn::Atomic { base, .. }
        | Insn::LoadAcquire { base, .. }
        | Insn::StoreRelease { base, .. } => Some(base),
        Insn::Alu { dst, .. } | Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => Some(dst),
        Insn::Branch { lhs, .. } => Some(lhs),
        Insn::Mov { src: Operand::Reg(src), .. } | Insn::MovSx { src, .. } | Insn::AddrSpaceCast { src, .. } => {
            Some(src)
        }
        Insn::Exit => Some(Reg::R0),
        Insn::CallX { target } | Insn::GotoX { target } => Some(target),
        Insn::Mov { .. }
        | Insn::LoadImm { .. }
        | Insn::WideTail
        | Insn::Jump { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::LegacyPacket { .. } => None,
    }
}

/// Explains a rejection.
pub fn diagnose(scene: &Scene<'_>) -> Diagnosis {
    let code = scene.reject.code();
    let text = scene.reject.text();
    let found = causes::causes(scene, code);
    let reason = match (found.reason, text.strip_prefix("ring3: ")) {
        (_, Some(own)) => format!("{}.", capital(own)),
        (reason, None) if reason.is_empty() => code.why().to_owned(),
        (reason, None) => reason,
    };
    // Behind the message about a loop there are states.
    let said = if code == Code::InfiniteLoop { text.lines().next() } else { text.lines().last() };
    Diagnosis {
        code,
        message: said.unwrap_or_default().to_owned(),
        errno: scene.reject.errno(),
        reason,
        at: scene.at.map(|slot| scene.site(slot)),
        label: found.label,
        path: found.path,
        checks: found.checks,
        suggestion: if found.suggestion.is_empty() { code.fix().to_owned() } else { found.suggestion },
    }
}

/// A rejection of which no more is known than that it happened.
pub fn plain(program: &Program, rejection: &Rejection) -> Diagnosis {
    let Rejection { code, message, errno, at, .. } = rejection;
    let reject = &Reject::Stopped { why: String::new() };
    let scene = Scene { program, reject, at: *at, trace: None };
    Diagnosis {
        code: *code,
        message: message.clone(),
        errno: *errno,
        reason: match message.strip_prefix("ring3: ") {
            Some(text) => format!("{}.", capital(text)),
            None => format!("{}.", capital(code.title())),
        },
        at: at.map(|slot| scene.site(slot)),
        label: String::new(),
        path: Vec::new(),
        checks: Vec::new(),
        suggestion: code.fix().to_owned(),
    }
}

/// With a capital letter in front.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
