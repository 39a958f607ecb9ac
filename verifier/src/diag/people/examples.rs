//! A program for each rule which breaks it, and the same program put right: in C, the body of a file that includes
//! <linux/bpf.h> and <bpf/bpf_helpers.h>, or as instructions, where a compiler would not write what breaks the rule. They lie in
//! `programs/`; tests judge them all (`fuzz/tests/all/explain.rs`, `cli/tests/all/explain.rs`).

use crate::diag::codes::Code;

/// What an example is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// C, without includes and licence.
    C,
    /// Lines about the program (`type NAME`, `attach NAME`, `section NAME`, `sleepable`, `license none`, `map NAME TYPE KEY VALUE
    /// ENTRIES`, `functions` if BTF describes them, `kernel-types` if it needs those, `kernel RELEASE` if it is judged for another than
    /// 6.18, `stopped` if the judge has no time), an empty line, and instructions. `repeat COUNT:` in front of a line stands for so many
    /// of it, numbered from 0 where there is a `#`.
    Text,
}

/// A program that breaks a rule, and its repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Example {
    /// In what it is written.
    pub language: Language,
    /// What is rejected with the code.
    pub wrong: &'static str,
    /// What is accepted.
    pub right: &'static str,
}

impl Example {
    fn new(language: Language, both: &'static str) -> Example {
        let (wrong, right) = both.split_once("-- right\n").unwrap_or((both, ""));
        Example { language, wrong, right }
    }
}

macro_rules! examples {
    ($($code:ident = $language:ident $file:literal;)*) => {
        impl Code {
            /// A program that breaks the rule, and the same one put right.
            pub fn example(self) -> Example {
                let (language, both) = match self {
                    $(Code::$code => (Language::$language, include_str!(concat!("programs/", $file)))),*
                };
                Example::new(language, both)
            }
        }
    };
}

examples! {
    EmptyProgram = Text "empty-program.txt";
    ProgramTooLong = Text "program-too-long.txt";
    TooManyFunctions = Text "too-many-functions.txt";
    BadInstruction = Text "bad-instruction.txt";
    JumpOutOfRange = Text "jump-out-of-range.txt";
    FallsOffTheEnd = Text "falls-off-the-end.txt";
    Unreachable = Text "unreachable.txt";
    JumpIntoWideLoad = Text "jump-into-wide-load.txt";
    BadFunctionReference = Text "bad-function-reference.txt";
    LegacyPacketLoad = Text "legacy-packet-load.txt";
    TailCallNeedsBtf = Text "tail-call-needs-btf.txt";
    MissingFunctionInfo = Text "missing-function-info.txt";
    MissingArena = Text "missing-arena.txt";
    MissingMap = Text "missing-map.txt";
    DirectValue = Text "direct-value.txt";
    KernelVariable = Text "kernel-variable.txt";
    AttachType = Text "attach-type.txt";
    SleepableType = Text "sleepable-type.txt";
    MapForProgram = Text "map-for-program.txt";
    GplOnly = Text "gpl-only.txt";
    UninitRegister = Text "uninit-register.txt";
    FramePointer = Text "frame-pointer.txt";
    DivisionByZero = Text "division-by-zero.txt";
    ShiftAmount = Text "shift-amount.txt";
    PointerOperation = Text "pointer-operation.txt";
    NullableArithmetic = Text "nullable-arithmetic.txt";
    PointerOffset = Text "pointer-offset.txt";
    UnboundedArithmetic = C "unbounded-arithmetic.c";
    FixedPointer = Text "fixed-pointer.txt";
    NullablePointer = C "nullable-pointer.c";
    NotAPointer = C "not-a-pointer.c";
    Misaligned = Text "misaligned.txt";
    NegativeIndex = Text "negative-index.txt";
    UnboundedIndex = C "unbounded-index.c";
    MapValueBounds = C "map-value-bounds.c";
    MemoryBounds = Text "memory-bounds.txt";
    PacketBounds = C "packet-bounds.c";
    ForbiddenAccess = Text "forbidden-access.txt";
    ContextPointer = Text "context-pointer.txt";
    ContextAccess = C "context-access.c";
    MixedPointers = Text "mixed-pointers.txt";
    AtomicTarget = Text "atomic-target.txt";
    StackBounds = Text "stack-bounds.txt";
    StackOffset = Text "stack-offset.txt";
    StackUninit = Text "stack-uninit.txt";
    PartialSpill = Text "partial-spill.txt";
    SpillToCaller = Text "spill-to-caller.txt";
    SpecialField = C "special-field.c";
    UnknownHelper = Text "unknown-helper.txt";
    HelperForProgram = C "helper-for-program.c";
    KernelFunction = Text "kernel-function.txt";
    SleepingCall = Text "sleeping-call.txt";
    ArgumentType = Text "argument-type.txt";
    PacketArgument = Text "packet-argument.txt";
    ArgumentOffset = Text "argument-offset.txt";
    NegativeSize = Text "negative-size.txt";
    UnboundedSize = C "unbounded-size.c";
    ZeroSize = Text "zero-size.txt";
    ConstantArgument = Text "constant-argument.txt";
    MapForHelper = Text "map-for-helper.txt";
    ConstantString = Text "constant-string.txt";
    CallbackForm = Text "callback-form.txt";
    StorageFlags = Text "storage-flags.txt";
    GlobalFunction = C "global-function.c";
    ReturnedStack = Text "returned-stack.txt";
    NullableArgument = Text "nullable-argument.txt";
    ReferenceLeak = C "reference-leak.c";
    NotAcquired = Text "not-acquired.txt";
    ManyReferences = Text "many-references.txt";
    ReturnRange = C "return-range.c";
    ReturnType = Text "return-type.txt";
    CallUnderLock = C "call-under-lock.c";
    LockOrder = Text "lock-order.txt";
    OpenRegion = Text "open-region.txt";
    MissingRegion = Text "missing-region.txt";
    StackObject = Text "stack-object.txt";
    InfiniteLoop = C "infinite-loop.c";
    TooComplex = Text "too-complex.txt";
    TooManyBranches = Text "too-many-branches.txt";
    CallDepth = Text "call-depth.txt";
    StackDepth = Text "stack-depth.txt";
    StackTailCall = Text "stack-tail-call.txt";
    NoAttachTarget = Text "no-attach-target.txt";
    TargetArgument = Text "target-argument.txt";
    StructBounds = Text "struct-bounds.txt";
    KernelRelease = Text "kernel-release.txt";
    Stopped = Text "stopped.txt";
    Unsupported = Text "unsupported.txt";
}
