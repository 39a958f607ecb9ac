//! Why a program cannot be compiled.

use ring3_isa::Size;

/// Why a program cannot be compiled. None of them comes from a program that was verified and linked, but for
/// [`JitError::UnsupportedHost`], [`JitError::Memory`] and [`JitError::TooLarge`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JitError {
    /// Nobody proved the program safe.
    #[error("only verified programs are compiled")]
    NotVerified,
    /// There is no back end for the machine or the calling convention that this runs on.
    #[error("there is no JIT for {arch} on {os}: it needs x86_64 or aarch64 on a Unix")]
    UnsupportedHost {
        /// As Rust names it: `std::env::consts::ARCH`.
        arch: &'static str,
        /// As Rust names it: `std::env::consts::OS`.
        os: &'static str,
    },
    /// The operating system gave no memory for the code, or did not let it become executable.
    #[error("no executable memory of {bytes} bytes: {source}")]
    Memory {
        /// Size of the code.
        bytes: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// More operations, or more code, than the limits allow.
    #[error("the program is too large: {have} {what}, the limit is {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        have: usize,
        /// How much there may be.
        limit: usize,
    },
    /// The functions do not tile the operations, or there is none.
    #[error("function {function} covers operations {start} to {end}, which is out of place")]
    BadFunction {
        /// Index of the function.
        function: usize,
        /// Its first operation.
        start: u32,
        /// The one behind its last.
        end: u32,
    },
    /// A function needs more stack than a frame has.
    #[error("function {function} uses {bytes} bytes of stack, a frame has {limit}")]
    Stack {
        /// Index of the function.
        function: usize,
        /// Bytes it needs.
        bytes: u32,
        /// Bytes there are.
        limit: u32,
    },
    /// A jump to an operation outside of its function.
    #[error("operation {at} jumps to {target}, outside of its function")]
    JumpOutOfRange {
        /// Index of the operation.
        at: u32,
        /// Where it jumps.
        target: u32,
    },
    /// A call of a function or helper that is not there.
    #[error("operation {at} calls {what} {number}, which is not there")]
    NoCallee {
        /// Index of the operation.
        at: u32,
        /// `helper` or `function`.
        what: &'static str,
        /// Its number.
        number: u32,
    },
    /// An operation that changes R10.
    #[error("operation {at} writes the frame pointer")]
    WritesFramePointer {
        /// Index of the operation.
        at: u32,
    },
    /// An operation of a size it does not have.
    #[error("operation {at} has no form for {size:?}")]
    BadSize {
        /// Index of the operation.
        at: u32,
        /// The size.
        size: Size,
    },
    /// The assembler refused: a jump does not reach its target.
    #[error("the assembler failed: {0}")]
    Assembler(String),
}
