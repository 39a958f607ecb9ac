//! A stable code for every rule, so that people, scripts and code scanners can name it. `R3-3001` means the same in every
//! release of ring3: numbers are never given twice, and a rule that is gone keeps its number.
//!
//! A new variant of [`Reject`] does not compile until [`Reject::code`] gives it one: either that of a rule which says the
//! same to a person, or a new row of the table.

use super::reject::Reject;

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Category {
    /// The form of the program: jumps, functions, instructions.
    Structure,
    /// What this type of program may do at all.
    Policy,
    /// What is in a register, and what may be computed with it.
    Value,
    /// Reading and writing memory.
    Memory,
    /// Calls of helpers, kernel functions and own functions.
    Call,
    /// Resources that have to be given back, and results.
    Resource,
    /// Locks, regions and contexts in which not everything may be done.
    Context,
    /// Loops, and how large and deep a program may be.
    Limit,
    /// Structures of the kernel.
    Kernel,
    /// The release of the kernel.
    Release,
    /// ring3 itself.
    Ring3,
}

impl Category {
    /// For people: `memory access`.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Structure => "program structure",
            Category::Policy => "policy",
            Category::Value => "register contents",
            Category::Memory => "memory access",
            Category::Call => "call",
            Category::Resource => "resource lifetime",
            Category::Context => "execution context",
            Category::Limit => "limits and loops",
            Category::Kernel => "kernel structures",
            Category::Release => "kernel release",
            Category::Ring3 => "ring3",
        }
    }
}

macro_rules! codes {
    ($($variant:ident = $number:literal $category:ident $title:literal;)*) => {
        /// The code of a rule.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum Code { $($variant = $number),* }

        impl Code {
            /// All of them, by number.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The number: 3001 of `R3-3001`.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// What the rule is about.
            pub const fn category(self) -> Category {
                match self { $(Code::$variant => Category::$category),* }
            }

            /// What is wrong, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),* }
            }

            /// The name in kebab case, for scanners that want one: `nullable-pointer`.
            pub fn slug(self) -> String {
                let mut out = String::new();
                for c in stringify_code(self).chars() {
                    if c.is_ascii_uppercase() && !out.is_empty() {
                        out.push('-');
                    }
                    out.push(c.to_ascii_lowercase());
                }
                out
            }
        }

        const fn stringify_code(code: Code) -> &'static str {
            match code { $(Code::$variant => stringify!($variant)),* }
        }
    };
}

codes! {
    EmptyProgram = 1001 Structure "the program has no instructions";
    ProgramTooLong = 1002 Structure "the program has too many instructions";
    TooManyFunctions = 1003 Structure "the program has too many functions";
    BadInstruction = 1004 Structure "an instruction that does not exist, or with reserved fields in use";
    JumpOutOfRange = 1005 Structure "a jump leads out of the program";
    FallsOffTheEnd = 1006 Structure "a function ends without exit or jump";
    Unreachable = 1007 Structure "code that nothing reaches";
    JumpIntoWideLoad = 1008 Structure "a jump leads into the middle of a 16-byte instruction";
    BadFunctionReference = 1009 Structure "a call or reference of something that is no function";
    LegacyPacketLoad = 1010 Structure "an old-style packet load where it is not possible";
    TailCallNeedsBtf = 1011 Structure "a tail call in a subprogram without BTF";
    MissingFunctionInfo = 1012 Structure "a function that BTF does not describe, or not as it is";
    MissingArena = 1013 Structure "an address space cast in a program without an arena";
    MissingMap = 1014 Structure "a map that is not there";
    DirectValue = 1015 Structure "a direct reference into a map that does not allow it";
    KernelVariable = 1016 Structure "a reference to a kernel symbol that is none";
    AttachType = 1101 Policy "the program type and the attach type do not go together";
    SleepableType = 1102 Policy "programs of this type are sleepable always or never";
    MapForProgram = 1103 Policy "this program cannot use a map of this kind";
    GplOnly = 1104 Policy "a function for programs with a GPL compatible license";
    UninitRegister = 2001 Value "a register is read that was never written";
    FramePointer = 2002 Value "the frame pointer is read only";
    DivisionByZero = 2003 Value "division by the constant zero";
    ShiftAmount = 2004 Value "a shift by more bits than there are";
    PointerOperation = 2005 Value "an operation that pointers do not have";
    NullableArithmetic = 2006 Value "arithmetic on a pointer that may be NULL";
    PointerOffset = 2007 Value "a pointer that is moved much too far";
    UnboundedArithmetic = 2008 Value "a pointer is moved by a number without bounds";
    FixedPointer = 2009 Value "arithmetic on a pointer that must not be moved";
    NullablePointer = 3001 Memory "a pointer that may be NULL is dereferenced";
    NotAPointer = 3002 Memory "something that is no pointer is dereferenced";
    Misaligned = 3003 Memory "an access that is not aligned";
    NegativeIndex = 3004 Memory "an index that may be negative";
    UnboundedIndex = 3005 Memory "an index without an upper bound";
    MapValueBounds = 3006 Memory "an access outside of a map's key or value";
    MemoryBounds = 3007 Memory "an access outside of a memory region";
    PacketBounds = 3008 Memory "packet bytes that no check has shown to be there";
    ForbiddenAccess = 3009 Memory "memory that may not be written, or not be read";
    ContextPointer = 3010 Memory "an access through a context pointer that was moved";
    ContextAccess = 3011 Memory "no field of the context is there, or none that may be accessed like this";
    MixedPointers = 3012 Memory "one instruction accesses memory of different kinds";
    AtomicTarget = 3013 Memory "an atomic instruction on memory that does not allow it";
    StackBounds = 3014 Memory "an access outside of the stack";
    StackOffset = 3015 Memory "a stack access at an offset that is not known";
    StackUninit = 3016 Memory "stack bytes that were never written";
    PartialSpill = 3017 Memory "part of a pointer on the stack";
    SpillToCaller = 3018 Memory "a pointer is stored into the stack of the caller";
    SpecialField = 3019 Memory "a part of a map value that only helpers may touch";
    UnknownHelper = 4001 Call "a helper that does not exist";
    HelperForProgram = 4002 Call "a helper that programs of this type cannot call";
    KernelFunction = 4003 Call "a kernel function that this program cannot call";
    SleepingCall = 4004 Call "a function that may sleep in a program that may not";
    ArgumentType = 4005 Call "an argument of the wrong type";
    PacketArgument = 4006 Call "a packet pointer for a helper that takes none";
    ArgumentOffset = 4007 Call "a pointer that was moved is given back";
    NegativeSize = 4008 Call "a size that may be negative";
    UnboundedSize = 4009 Call "a size without an upper bound";
    ZeroSize = 4010 Call "a size that may be zero";
    ConstantArgument = 4011 Call "an argument that must be a constant";
    MapForHelper = 4012 Call "a helper that does not work on maps of this type";
    ConstantString = 4013 Call "a format or string that is not constant";
    // 4014 was an inner map that may be NULL: the type of the argument is looked at before (4019).
    CallbackForm = 4015 Call "a callback that is not of the form that is needed";
    StorageFlags = 4016 Call "flags that must be zero";
    GlobalFunction = 4017 Call "a call of a global function that does not fit its prototype";
    ReturnedStack = 4018 Call "a pointer to the function's own stack is returned";
    NullableArgument = 4019 Call "an argument that may be NULL";
    ReferenceLeak = 5001 Resource "a resource that is not given back";
    NotAcquired = 5002 Resource "something is given back that was not acquired";
    ManyReferences = 5003 Resource "a call with several resources";
    ReturnRange = 5004 Resource "a return value that this type of program must not have";
    ReturnType = 5005 Resource "a result that is not a number";
    CallUnderLock = 5101 Context "a call that is not allowed while a lock is held";
    LockOrder = 5102 Context "locks that are not taken and given back one within the other";
    OpenRegion = 5103 Context "the program ends, or leaves, inside a locked region";
    MissingRegion = 5104 Context "a function that needs an RCU section around it";
    StackObject = 5105 Context "an iterator or flag on the stack that is not in the right state for the call";
    InfiniteLoop = 6001 Limit "a loop that does not end";
    TooComplex = 6002 Limit "the verifier has seen 1,000,000 instructions and is not done";
    TooManyBranches = 6003 Limit "too many branches are open at once";
    CallDepth = 6004 Limit "calls that are nested too deep";
    StackDepth = 6005 Limit "functions that together need more than 512 bytes of stack";
    StackTailCall = 6006 Limit "a tail call from functions that need too much stack";
    NoAttachTarget = 7001 Kernel "the function to attach to is not in the kernel's BTF";
    TargetArgument = 7002 Kernel "an argument that the attach target does not have";
    StructBounds = 7003 Kernel "an access outside of a kernel structure";
    KernelRelease = 8001 Release "something that this release of the kernel does not have";
    Stopped = 9001 Ring3 "the verification was stopped";
    Unsupported = 9002 Ring3 "ring3 cannot judge this yet";
}

impl core::fmt::Display for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "R3-{:04}", self.number())
    }
}

impl core::str::FromStr for Code {
    type Err = String;

    /// `R3-3001`, also in lower case, or `3001`, or the name `nullable-pointer`.
    fn from_str(text: &str) -> Result<Code, String> {
        let plain = text.trim().to_ascii_lowercase();
        let digits = plain.strip_prefix("r3-").unwrap_or(&plain);
        let number: Option<u16> = digits.parse().ok();
        let found = |code: &&Code| number == Some(code.number()) || code.slug() == plain;
        Code::ALL.iter().find(found).copied().ok_or_else(|| format!("there is no code '{}'", text.trim()))
    }
}

impl Reject {
    /// The rule that is broken. What a new variant gets: the code of a rule that says the same to a person, else a new one.
    pub fn code(&self) -> Code {
        match self {
            Reject::NoInstructions {} => Code::EmptyProgram,
            Reject::TooManyInstructions { .. } => Code::ProgramTooLong,
            Reject::TooManySubprogs {} | Reject::TooManyKfuncs {} => Code::TooManyFunctions,
            Reject::Malformed { .. } => Code::BadInstruction,
            Reject::JumpOutOfRange { .. } => Code::JumpOutOfRange,
            Reject::LastInsn {} => Code::FallsOffTheEnd,
            Reject::Unreachable { .. } => Code::Unreachable,
            Reject::MiddleOfLdImm64 { .. } => Code::JumpIntoWideLoad,
            Reject::InvalidFuncReference { .. } | Reject::BadCallTarget {} => Code::BadFunctionReference,
            Reject::LegacyContext {}
            | Reject::LegacyNoBtf {}
            | Reject::LegacyReturn {}
            | Reject::LegacyInSubprog {} => Code::LegacyPacketLoad,
            Reject::TailCallNoBtf {} | Reject::TailCallReturn {} => Code::TailCallNeedsBtf,
            Reject::NoFuncInfo {}
            | Reject::FuncInfoFirst { .. }
            | Reject::FuncInfoOrder { .. }
            | Reject::FuncInfoType { .. }
            | Reject::FuncInfoCount {}
            | Reject::FuncInfoLayout {}
            | Reject::LineInfoSlot { .. }
            | Reject::LineInfoInside { .. }
            | Reject::LineInfoMissing { .. }
            | Reject::LineInfoEnds { .. } => Code::MissingFunctionInfo,
            Reject::NoArena {} => Code::MissingArena,
            Reject::NoSuchMap { .. } => Code::MissingMap,
            Reject::DirectOffset { .. }
            | Reject::DirectEntries { .. }
            | Reject::DirectArena { .. }
            | Reject::DirectRange { .. }
            | Reject::NoDirectValue {} => Code::DirectValue,
            Reject::NotVariable { .. }
            | Reject::NoSuchType { .. }
            | Reject::NoAddress { .. }
            | Reject::NoTypeSize { .. } => Code::KernelVariable,
            Reject::AttachType { .. } => Code::AttachType,
            Reject::SyscallSleepable {} | Reject::NotSleepable {} => Code::SleepableType,
            Reject::MapStructOps {}
            | Reject::ManyArenas {}
            | Reject::MapSleepable {}
            | Reject::TracingField { .. }
            | Reject::SocketFilterLock {} => Code::MapForProgram,
            Reject::FieldDirect { .. }
            | Reject::FieldHelper { .. }
            | Reject::FieldVariable { .. }
            | Reject::FieldMisaligned { .. }
            | Reject::FieldSize { .. }
            | Reject::FieldNotConstant { .. }
            | Reject::FieldNoBtf { .. }
            | Reject::FieldMissing { .. }
            | Reject::FieldElsewhere { .. } => Code::SpecialField,
            Reject::ManyExceptionCallbacks {}
            | Reject::NoExceptionCallback { .. }
            | Reject::ExceptionCallbackStatic { .. }
            | Reject::ExceptionCallbackMain {}
            | Reject::ExceptionCallbackNoInfo {}
            | Reject::ExceptionCallbackArgs {}
            | Reject::ExceptionCallbackCalled { .. }
            | Reject::ThrowInCallback { .. } => Code::CallbackForm,
            Reject::StackRead { .. } => Code::ForbiddenAccess,
            Reject::KfuncSleepable { .. }
            | Reject::KfuncSleepsIn { .. }
            | Reject::SleepableHelperIn { .. }
            | Reject::GlobalSleeps {} => Code::SleepingCall,
            Reject::NestedRcuLock { .. }
            | Reject::UnmatchedRcuUnlock { .. }
            | Reject::UnmatchedPreemptEnable { .. }
            | Reject::IrqOtherClass { .. }
            | Reject::IrqOutOfOrder { .. } => Code::LockOrder,
            Reject::KfuncNeedsRcu { .. } | Reject::IterNeedsRcu { .. } => Code::MissingRegion,
            Reject::KfuncArgScalar { .. }
            | Reject::KfuncArgOdd { .. }
            | Reject::KfuncArgNull { .. }
            | Reject::KfuncArgCtx { .. }
            | Reject::KfuncArgMap { .. }
            | Reject::KfuncArgMapValue { .. }
            | Reject::KfuncArgLock { .. }
            | Reject::KernelContext { .. }
            | Reject::ObjectGone {}
            | Reject::ObjectTypeRange {}
            | Reject::ObjectNoBtf {}
            | Reject::ObjectNotStruct {}
            | Reject::PercpuSize { .. }
            | Reject::PercpuNotPlain {}
            | Reject::PercpuFields {}
            | Reject::HelperNotPercpu {}
            | Reject::ObjectExpected { .. }
            | Reject::ObjectForDrop { .. }
            | Reject::ObjectNotReferenced {}
            | Reject::ObjectNoOwner { .. }
            | Reject::ObjectNotCounted { .. }
            | Reject::ObjectField { .. }
            | Reject::ObjectNoLock { .. }
            | Reject::RootExpected { .. }
            | Reject::RootNotConst { .. }
            | Reject::RootMissing { .. }
            | Reject::RootNotLocked { .. }
            | Reject::NodeOwner { .. }
            | Reject::NodeOther { .. }
            | Reject::NodeElsewhere { .. }
            | Reject::NotInTreeCallback { .. }
            | Reject::LockInTreeCallback {}
            | Reject::CastUnknown { .. }
            | Reject::CastKind {}
            | Reject::KfuncArgFunc { .. }
            | Reject::KfuncArgPlain { .. }
            | Reject::KfuncArgPair { .. }
            | Reject::KfuncArgPairInvalid { .. } => Code::ArgumentType,
            Reject::KfuncArgKnown { .. } | Reject::KfuncArgConst { .. } => Code::ConstantArgument,
            Reject::KfuncArgStr { .. } => Code::ConstantString,
            Reject::KfuncNotReferenced { .. } => Code::NotAcquired,
            Reject::KfuncReturns { .. } | Reject::KfuncNoReturnPtr {} | Reject::IterCssTask {} => Code::KernelFunction,
            Reject::ObjectConstOffset { .. }
            | Reject::ObjectOffset { .. }
            | Reject::IterNotStack { .. }
            | Reject::IterInitialized { .. }
            | Reject::IterUninitialized { .. }
            | Reject::IrqNotStack { .. }
            | Reject::IrqInitialized { .. }
            | Reject::IrqUninitialized { .. } => Code::StackObject,
            Reject::CallUnderLock {} | Reject::GlobalUnderLock {} => Code::CallUnderLock,
            Reject::TwoLocks {}
            | Reject::LockAgain {}
            | Reject::NoLock { .. }
            | Reject::OtherLock { .. }
            | Reject::LockOrder { .. } => Code::LockOrder,
            Reject::Region { .. } => Code::OpenRegion,
            Reject::GplOnly {} | Reject::KfuncNotGpl {} => Code::GplOnly,
            Reject::NotReadable { .. } => Code::UninitRegister,
            Reject::FramePointerReadOnly {} => Code::FramePointer,
            Reject::DivByZero {} => Code::DivisionByZero,
            Reject::InvalidShift { .. } => Code::ShiftAmount,
            Reject::PtrPtrArith { .. }
            | Reject::Ptr32Arith { .. }
            | Reject::PtrBitwise { .. }
            | Reject::PtrOperator { .. } => Code::PointerOperation,
            Reject::PtrArithNullable { .. } => Code::NullableArithmetic,
            Reject::PtrConstTooBig { .. } | Reject::PtrOffTooBig { .. } | Reject::PtrOutOfBounds { .. } => {
                Code::PointerOffset
            }
            Reject::PtrUnboundedMin { .. } => Code::UnboundedArithmetic,
            Reject::PtrArithType { .. } | Reject::SubFromScalar { .. } | Reject::SubStack { .. } => Code::FixedPointer,
            Reject::InvalidMem { ty, .. } if ty.ends_with("_or_null") => Code::NullablePointer,
            Reject::InvalidMem { .. } => Code::NotAPointer,
            Reject::Misaligned { .. } | Reject::MisalignedPacket { .. } => Code::Misaligned,
            Reject::NegativeMin { .. } => Code::NegativeIndex,
            Reject::UnboundedMem { .. } => Code::UnboundedIndex,
            Reject::RegionMapValue { .. } | Reject::RegionMapKey { .. } => Code::MapValueBounds,
            Reject::RegionMem { .. } | Reject::BufferNegative { .. } | Reject::BufferVariable { .. } => {
                Code::MemoryBounds
            }
            Reject::PacketAccess { .. } | Reject::PacketBeyondEnd { .. } => Code::PacketBounds,
            Reject::KeyWrite { .. }
            | Reject::PacketWrite {}
            | Reject::MapWriteForbidden { .. }
            | Reject::MapReadForbidden { .. }
            | Reject::MapReadOnlyUpdate {}
            | Reject::WriteReadOnly { .. } => Code::ForbiddenAccess,
            Reject::CtxModified { .. } | Reject::CtxVariable { .. } | Reject::CtxNegative { .. } => {
                Code::ContextPointer
            }
            Reject::CtxAccess { .. } | Reject::SockAccess { .. } | Reject::FlowKeysAccess { .. } => Code::ContextAccess,
            Reject::SameInsn {} => Code::MixedPointers,
            Reject::AtomicLoad { .. } | Reject::AtomicStore { .. } => Code::AtomicTarget,
            Reject::StackAccess { .. } | Reject::StackAccessEnd { .. } => Code::StackBounds,
            Reject::StackUnbounded { .. }
            | Reject::StackVariable { .. }
            | Reject::StackVariableEnd { .. }
            | Reject::AtomicVariableStack { .. } => Code::StackOffset,
            Reject::StackIndirect { .. } | Reject::StackIndirectVar { .. } => Code::StackUninit,
            Reject::SpillSize {} | Reject::FillSize {} => Code::PartialSpill,
            Reject::SpillToCaller {} => Code::SpillToCaller,
            Reject::NoTarget { .. } => Code::NoAttachTarget,
            Reject::NoBtfId {} => Code::NoAttachTarget,
            Reject::TargetNotSleepable { .. }
            | Reject::TargetDenied { .. }
            | Reject::TargetNoReturn { .. }
            | Reject::HookDisabled { .. } => Code::NoAttachTarget,
            Reject::OpsNoStub { .. } | Reject::OpsMember { .. } => Code::NoAttachTarget,
            Reject::ExtNoFunction { .. }
            | Reject::ExtExceptionCallback {}
            | Reject::ExtOfStatic {}
            | Reject::ExtMovesPacket {}
            | Reject::ExtMaySleep {}
            | Reject::ExtOfExt {}
            | Reject::ExtOfTracing {}
            | Reject::ExtNoTypes {}
            | Reject::ExtNoTargetTypes {}
            | Reject::ExtSignature { .. }
            | Reject::ExtTarget { .. } => Code::NoAttachTarget,
            Reject::OpsNoWrite { .. }
            | Reject::ConnectionNoWrite { .. }
            | Reject::ConnectionWriteEnd { .. }
            | Reject::OpsWriteEnd { .. }
            | Reject::OpsWriteState { .. } => Code::ForbiddenAccess,
            Reject::OpsNotGpl {} | Reject::LsmNotGpl {} | Reject::StructNotGpl { .. } => Code::GplOnly,
            Reject::ArgInvalid { .. } => Code::TargetArgument,
            Reject::BeyondStruct { .. }
            | Reject::StructNegative { .. }
            | Reject::StructVariable { .. }
            | Reject::NotStruct { .. }
            | Reject::FieldNoSize { .. }
            | Reject::PtrMember { .. }
            | Reject::BeyondMember { .. }
            | Reject::NoField { .. } => Code::StructBounds,
            Reject::StructUser { .. } | Reject::StructPercpu { .. } => Code::NotAPointer,
            Reject::KptrMode {}
            | Reject::KptrStore {}
            | Reject::UptrStore {}
            | Reject::KptrImm { .. }
            | Reject::KptrNotPercpu { .. }
            | Reject::KptrType { .. } => Code::ForbiddenAccess,
            Reject::KptrNoBtf { .. }
            | Reject::KptrNotConst { .. }
            | Reject::KptrNone { .. }
            | Reject::KptrElsewhere { .. }
            | Reject::KptrNotRef { .. }
            | Reject::ArgMayBeNull { .. }
            | Reject::MayWrite { .. }
            | Reject::StructType { .. }
            | Reject::KfuncArgKind { .. }
            | Reject::KfuncArgTrusted { .. }
            | Reject::KfuncArgRcu { .. }
            | Reject::KfuncArgUnsafe { .. }
            | Reject::KfuncArgStruct { .. } => Code::ArgumentType,
            Reject::MapStructNegative { .. } | Reject::MapStructWrite { .. } | Reject::StructReadOnly {} => {
                Code::ForbiddenAccess
            }
            Reject::KfuncNotAllowed { .. } | Reject::NoKfunc {} | Reject::MetadataDevice {} => Code::KernelFunction,
            Reject::InvalidHelper { .. } => Code::UnknownHelper,
            Reject::HelperNotAllowed {}
            | Reject::HelperNotForProgram { .. }
            | Reject::FuncIpNoTrampoline { .. }
            | Reject::FuncIpNotForProgram { .. } => Code::HelperForProgram,
            Reject::SleepableHelper {} => Code::SleepingCall,
            Reject::ArgType { ty, .. } if ty.ends_with("_or_null") => Code::NullableArgument,
            Reject::ArgType { .. } => Code::ArgumentType,
            Reject::ArgPacket {} => Code::PacketArgument,
            Reject::ArgOffset { .. } => Code::ArgumentOffset,
            Reject::ArgNotReferenced { .. } | Reject::NotAcquired { .. } => Code::NotAcquired,
            Reject::DynptrPointer { .. }
            | Reject::DynptrNotReady { .. }
            | Reject::DynptrKind { .. }
            | Reject::DynptrConst {}
            | Reject::DynptrNotFree {} => Code::StackObject,
            Reject::DynptrOverwrite {} | Reject::DynptrHelperWrite { .. } => Code::StackObject,
            Reject::DynptrUnacquired { .. } | Reject::DynptrUnowned {} => Code::NotAcquired,
            Reject::DynptrFrom { .. } => Code::ArgumentType,
            Reject::SliceWrite {} => Code::ForbiddenAccess,
            Reject::WorkMap { .. } | Reject::TaskWorkMap { .. } | Reject::TimerMap { .. } => Code::MapForHelper,
            Reject::LaterTailCall {}
            | Reject::ThrowInLoop { .. }
            | Reject::LoopOfPointer {}
            | Reject::DeadFunction { .. } => Code::CallbackForm,
            Reject::ManyReferences { .. } => Code::ManyReferences,
            Reject::SizeNegative { .. } => Code::NegativeSize,
            Reject::SizeZero { .. } | Reject::ZeroRead {} => Code::ZeroSize,
            Reject::SizeUnbounded { .. } => Code::UnboundedSize,
            Reject::NotConst { .. } => Code::ConstantArgument,
            Reject::TailCallMap {} | Reject::MapMismatch { .. } | Reject::ForEachMap {} => Code::MapForHelper,
            Reject::ConstStr { .. }
            | Reject::StrNotReadOnly { .. }
            | Reject::StrNoDirectValue {}
            | Reject::StrNotConst { .. }
            | Reject::ConstStrEnd {}
            | Reject::FormatData {}
            | Reject::Format {} => Code::ConstantString,
            Reject::MapInnerNull { .. } => Code::NullableArgument,
            Reject::ReturnStackPtr {} => Code::ReturnedStack,
            Reject::CallDepth { .. } | Reject::CallDepthStatic { .. } => Code::CallDepth,
            Reject::StackDepth { .. } | Reject::StackSubprog { .. } => Code::StackDepth,
            Reject::StackDepthTailCall { .. } => Code::StackTailCall,
            Reject::CallbackNotStatic {} | Reject::CallbackNotScalar {} => Code::CallbackForm,
            Reject::LocalStorageFlags {} => Code::StorageFlags,
            Reject::GlobalArgs { .. }
            | Reject::GlobalArgsAccess { .. }
            | Reject::GlobalArgsNoType { .. }
            | Reject::GlobalArgsManyTypes { .. }
            | Reject::GlobalArgsTag { .. }
            | Reject::GlobalSignature { .. }
            | Reject::GlobalNoType { .. }
            | Reject::GlobalManyTypes { .. }
            | Reject::GlobalTag { .. }
            | Reject::GlobalArgArena { .. }
            | Reject::GlobalArgScalar { .. }
            | Reject::GlobalArgCtx { .. }
            | Reject::GlobalArgNull { .. }
            | Reject::GlobalReturn { .. }
            | Reject::GlobalManyArgs { .. } => Code::GlobalFunction,
            Reject::RefLeak { .. } => Code::ReferenceLeak,
            Reject::ReturnRange { .. } => Code::ReturnRange,
            Reject::ReturnNotScalar { .. } | Reject::SubprogNotScalar { .. } => Code::ReturnType,
            Reject::InfiniteLoop { .. } => Code::InfiniteLoop,
            Reject::TooLarge { .. } => Code::TooComplex,
            Reject::TooComplexAsync { .. } | Reject::TooComplex { .. } | Reject::TooComplexBranch { .. } => {
                Code::TooManyBranches
            }
            Reject::Release { .. } => Code::KernelRelease,
            Reject::Stopped { .. } => Code::Stopped,
            Reject::Unsupported { .. } => Code::Unsupported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for code in Code::ALL {
            assert_eq!(code.to_string().parse(), Ok(*code));
            assert_eq!(code.slug().parse(), Ok(*code));
            assert_eq!(code.number().to_string().parse(), Ok(*code));
        }
        assert!("R3-1".parse::<Code>().is_err());
    }
}
