//! What can go wrong with a classic program.

use crate::insn::Extension;

/// Why a classic program cannot be read, is not accepted, or cannot be translated.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClassicError {
    /// The text cannot be read. Lines and columns (characters) count from 1.
    #[error("line {line}, column {column}: {fault}")]
    Text {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// The bytes are not whole instructions of eight bytes.
    #[error("{bytes} bytes are not whole instructions of 8 bytes")]
    PartialInsn {
        /// Length.
        bytes: usize,
    },
    /// Linux refuses the program with `EINVAL`.
    #[error("instruction {slot}: {why}")]
    Refused {
        /// Number of the instruction.
        slot: usize,
        /// Why.
        why: Refusal,
    },
    /// The program has no instruction, or too many; Linux refuses it with `EINVAL`.
    #[error("{count} instructions; a program has 1 to {}", crate::MAX_INSNS)]
    Length {
        /// How many.
        count: usize,
    },
    /// eBPF programs cannot get what this loads, so the program cannot be run.
    #[error("instruction {slot}: '{}' has no equivalent in eBPF", .extension.asm_name())]
    NoEquivalent {
        /// Number of the instruction.
        slot: usize,
        /// What it loads.
        extension: Extension,
    },
}

/// What is wrong at a place of a text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Fault {
    #[error("expected {wanted}, found {found}")]
    Expected { wanted: &'static str, found: String },
    #[error("{0} is too large; at most {1}")]
    TooLarge(String, u32),
    #[error("'{0}' is no instruction")]
    UnknownMnemonic(String),
    #[error("'{0}' does not take this operand")]
    WrongOperand(String),
    #[error("there is no label '{0}'")]
    NoLabel(String),
    #[error("the label '{0}' is there twice")]
    TwiceLabel(String),
    #[error("a jump to instruction {target}, which is not after this one")]
    Backwards { target: usize },
    #[error("a conditional jump over {distance} instructions; it reaches over at most 255")]
    TooFar { distance: usize },
    #[error("this is instruction {is}, but its number says {says}")]
    Number { says: u32, is: usize },
    #[error("the first number says {says} instructions, but there are {are}")]
    Count { says: u32, are: usize },
    #[error("more than {} instructions", crate::MAX_INSNS)]
    TooMany,
    #[error("a comment without end")]
    OpenComment,
}

/// Why Linux refuses an instruction. The error number is always `EINVAL`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error("unknown opcode {0:#06x}")]
    UnknownOpcode(u16),
    #[error("division by zero")]
    DivisionByZero,
    #[error("a shift by {0}")]
    Shift(u32),
    #[error("there is no M[{0}]")]
    NoCell(u32),
    #[error("M[{0}] is read, but not on every way here anything was stored in it")]
    NotStored(u32),
    #[error("a jump behind the end of the program")]
    JumpOut,
    #[error("a jump backwards, which libpcap alone would take")]
    JumpBack,
    #[error("a load from offset {0:#x}, at which there is no extension")]
    NoExtension(u32),
    #[error("the program does not end with a return")]
    NoReturn,
    #[error("seccomp does not take this instruction")]
    NotSeccomp,
    #[error("a load from offset {0} of struct seccomp_data, which has a word at every multiple of 4 below 64")]
    SeccompOffset(u32),
}
