//! Small programs that only some releases take, and since which.
//!
//! Sources: RFC 9669 and the documents of Linux for instructions; the rest was found by asking.

use ring3_isa::assemble;
use ring3_linux::LogLevel;
use ring3_platform::{KernelVersion, ProgType, Program};

use crate::ask::ask;
use crate::facts::line;
use crate::survey::Out;

/// A program of a socket filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// What it is about.
    pub name: &'static str,
    /// First release that takes it.
    pub since: KernelVersion,
    /// In the kernel's dialect.
    pub text: &'static str,
}

const fn probe(name: &'static str, since: (u8, u8), text: &'static str) -> Probe {
    Probe { name, since: KernelVersion::new(since.0, since.1), text }
}

/// All of them. The numbers behind `call` are `get_prandom_u32`, as any number will do.
pub const PROBES: &[Probe] = &[
    probe("jump_32", (5, 1), "w0 = 0\nif w0 == 0 goto +0\nexit"),
    probe("jump_far", (6, 6), "call 7\nif r0 == 0 goto +1\ngotol +1\nr0 = 1\nexit"),
    probe("move_signed", (6, 6), "r0 = 1\nr0 = (s8)r0\nexit"),
    probe("load_signed", (6, 6), "r0 = 0\n*(u64 *)(r10 -8) = r0\nr0 = *(s8 *)(r10 -8)\nexit"),
    probe("divide_signed", (6, 6), "r0 = 4\nr0 s/= 2\nexit"),
    probe("swap_bytes", (6, 6), "r0 = 4\nr0 = bswap16 r0\nexit"),
    probe("may_goto", (6, 9), "r0 = 0\nmay_goto +1\ngoto -2\nexit"),
    probe("may_goto_nowhere", (6, 15), "r0 = 0\nmay_goto +0\nexit"),
    probe("load_acquire_8", (6, 15), "r0 = 0\n*(u64 *)(r10 -8) = r0\nr0 = load_acquire((u8 *)(r10 -8))\nexit"),
    probe("store_release_16", (6, 15), "r0 = 0\nstore_release((u16 *)(r10 -8), r0)\nexit"),
    probe("exchange", (5, 12), "r0 = 0\n*(u64 *)(r10 -8) = r0\nr0 = atomic64_xchg((u64 *)(r10 -8), r0)\nexit"),
    probe("stack_never_written", (6, 3), "r0 = *(u64 *)(r10 -8)\nr0 = 0\nexit"),
    // Of mainline since 5.12; stable releases of 5.10 have it, too.
    probe(
        "stack_at_a_variable",
        (5, 10),
        "r0 = 0\n*(u64 *)(r10 -8) = r0\ncall 7\nr0 &= 7\nr1 = r10\nr1 += -8\nr1 += r0\nr0 = *(u8 *)(r1 +0)\nexit",
    ),
    probe(
        "negation_bounded",
        (6, 17),
        "r0 = 0\n*(u64 *)(r10 -8) = r0\ncall 7\nr0 &= 7\nr0 = -r0\nr0 += 7\nr1 = r10\nr1 += -8\nr1 += r0\nr0 = *(u8 *)(r1 +0)\nexit",
    ),
];

impl Probe {
    /// The program; `None` if the text is none.
    pub fn program(&self) -> Option<Program> {
        Some(Program::new("probe", ProgType::SocketFilter, assemble(self.text).ok()?))
    }
}

/// Asks for each. A row: name, class, error number, processed instructions, message.
pub fn ask_all(out: &mut Out<'_>) {
    for probe in PROBES {
        let Some(program) = probe.program() else { continue };
        let said = ask(&program, 0, LogLevel::STATS);
        let (errno, processed) = (said.errno.unwrap_or(0).to_string(), said.processed().unwrap_or(0).to_string());
        let message = if said.accepts() { "" } else { said.message() };
        out(line("probe", &[probe.name, said.class(), &errno, &processed, message]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_programs() {
        for probe in PROBES {
            assert!(probe.program().unwrap().code.insns().iter().all(Result::is_ok), "{}", probe.name);
        }
    }
}
