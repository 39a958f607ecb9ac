//! Every reason for which a program is refused: one row each, with the kernel's words and error number.

use ring3_platform::{Errno, KernelVersion};

macro_rules! rejects {
    ($($variant:ident { $($field:ident: $type:ty),* } $errno:ident $text:literal;)*) => {
        /// A broken rule.
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        pub enum Reject { $($variant { $($field: $type),* }),* }

        impl Reject {
            /// What BPF_PROG_LOAD returns for it.
            pub fn errno(&self) -> Errno {
                match self { $(Reject::$variant { .. } => Errno::$errno),* }
            }

            /// The kernel's words; several lines where it writes several.
            pub fn text(&self) -> String {
                match self { $(Reject::$variant { $($field),* } => format!($text)),* }
            }
        }
    };
}

rejects! {
    // Before and beside the instructions. The first is said by nobody: Linux gives the number alone.
    AttachType { kind: &'static str, attach: &'static str } EINVAL "ring3: {kind} programs cannot be loaded with the attach type {attach}";
    SyscallSleepable {} EINVAL "Syscall programs can only be sleepable";
    NotSleepable {} EINVAL "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable";
    // Structure.
    NoInstructions {} E2BIG "a program has at least one instruction";
    TooManyInstructions { count: usize } E2BIG "a program has at most 1000000 instructions, this one has {count}";
    TooManySubprogs {} E2BIG "too many subprograms";
    Malformed { text: String } EINVAL "{text}";
    MapStructOps {} EINVAL "bpf_struct_ops map cannot be used in prog";
    TracingField { what: &'static str } EINVAL "tracing progs cannot use {what} yet";
    SocketFilterLock {} EINVAL "socket filter progs cannot use bpf_spin_lock yet";
    ManyArenas {} EBUSY "Only one arena per program";
    MapSleepable {} EINVAL "Sleepable programs can only use array, hash, ringbuf and local storage maps";
    NoSuchMap { index: i32 } EBADF "fd {index} is not pointing to valid bpf_map";
    JumpOutOfRange { from: usize, to: i64 } EINVAL "jump out of range from insn {from} to {to}";
    LastInsn {} EINVAL "last insn is not an exit or jmp";
    Unreachable { at: usize } EINVAL "unreachable insn {at}";
    MiddleOfLdImm64 { at: usize } EINVAL "jump into the middle of ldimm64 insn {at}";
    InvalidFuncReference { at: usize } EINVAL "invalid function reference at insn {at}";
    BadCallTarget {} EINVAL "call to invalid destination";
    LegacyContext {} EINVAL "at the time of BPF_LD_ABS|IND R6 != pointer to skb";
    TailCallNoBtf {} EINVAL "tail_call is not allowed in subprogs without BTF";
    TailCallReturn {} EINVAL "tail_call is only allowed in functions that return 'int'.";
    LegacyReturn {} EINVAL "LD_ABS is only allowed in functions that return 'int'.";
    LegacyNoBtf {} EINVAL "LD_ABS is not allowed in subprogs without BTF";
    DirectOffset { off: u32 } EINVAL "direct value offset of {off} is not allowed";
    DirectEntries { vs: u32, off: u32 } ENOTSUPP "invalid access to map value pointer, value_size={vs} off={off}";
    DirectArena { vs: u32, off: u32 } ERANGE "invalid access to map value pointer, value_size={vs} off={off}";
    DirectRange { vs: u32, off: u32 } EINVAL "invalid access to map value pointer, value_size={vs} off={off}";
    NoDirectValue {} EINVAL "no direct value access support for this map type";
    LegacyInSubprog {} EINVAL "BPF_LD_[ABS|IND] instructions not allowed for this program type";
    // Registers and numbers.
    NotReadable { reg: u8 } EACCES "R{reg} !read_ok";
    FramePointerReadOnly {} EACCES "frame pointer is read only";
    DivByZero {} EINVAL "div by zero";
    InvalidShift { amount: i32 } EINVAL "invalid shift {amount}";
    // Pointer arithmetic.
    PtrPtrArith { reg: u8, op: &'static str } EACCES "R{reg} pointer {op} pointer prohibited";
    Ptr32Arith { reg: u8 } EACCES "R{reg} 32-bit pointer arithmetic prohibited";
    PtrArithNullable { reg: u8, ty: String } EACCES "R{reg} pointer arithmetic on {ty} prohibited, null-check it first";
    PtrArithType { reg: u8, ty: String } EACCES "R{reg} pointer arithmetic on {ty} prohibited";
    SubFromScalar { reg: u8 } EACCES "R{reg} tried to subtract pointer from scalar";
    SubStack { reg: u8 } EACCES "R{reg} subtraction from stack pointer prohibited";
    PtrBitwise { reg: u8, op: &'static str } EACCES "R{reg} bitwise operator {op} on pointer prohibited";
    PtrOperator { reg: u8, op: &'static str } EACCES "R{reg} pointer arithmetic with {op} operator prohibited";
    PtrConstTooBig { ty: String, value: i64 } EINVAL "math between {ty} pointer and {value} is not allowed";
    PtrOffTooBig { ty: String, off: i64 } EINVAL "{ty} pointer offset {off} is not allowed";
    PtrUnboundedMin { ty: String } EINVAL "math between {ty} pointer and register with unbounded min value is not allowed";
    PtrOutOfBounds { ty: String, value: i64 } EINVAL "value {value} makes {ty} pointer be out of bounds";
    // Memory.
    InvalidMem { reg: u8, ty: String } EACCES "R{reg} invalid mem access '{ty}'";
    Misaligned { what: &'static str, tnum: String, ip: i32, off: i64, size: u32 } EACCES "misaligned {what}access off {tnum}+{ip}+{off} size {size}";
    NegativeMin { reg: u8 } EACCES "R{reg} min value is negative, either use unsigned index or do a if (index >=0) check.";
    UnboundedMem { reg: u8 } EACCES "R{reg} unbounded memory access, make sure to bounds check any such access";
    RegionMapValue { reg: u8, which: &'static str, limit: u32, off: i64, size: u64 } EACCES "invalid access to map value, value_size={limit} off={off} size={size}\nR{reg} {which} value is outside of the allowed memory range";
    RegionMapKey { reg: u8, which: &'static str, limit: u32, off: i64, size: u64 } EACCES "invalid access to map key, key_size={limit} off={off} size={size}\nR{reg} {which} value is outside of the allowed memory range";
    RegionMem { reg: u8, which: &'static str, limit: u32, off: i64, size: u64 } EACCES "invalid access to memory, mem_size={limit} off={off} size={size}\nR{reg} {which} value is outside of the allowed memory range";
    PacketAccess { off: i64, size: u64, reg: u8, id: u32, range: i32 } EACCES "invalid access to packet, off={off} size={size}, R{reg}(id={id},off={off},r={range})\nR{reg} offset is outside of the packet";
    KeyWrite { reg: u8 } EACCES "write to change key R{reg} not allowed";
    PacketBeyondEnd { reg: u8 } EINVAL "R{reg} offset is outside of the packet";
    PacketWrite {} EACCES "cannot write into packet";
    MapWriteForbidden { vs: u32, off: i64, size: u64 } EACCES "write into map forbidden, value_size={vs} off={off} size={size}";
    MapReadForbidden { vs: u32, off: i64, size: u64 } EACCES "read from map forbidden, value_size={vs} off={off} size={size}";
    FieldDirect { what: &'static str } EACCES "{what} cannot be accessed directly by load/store";
    FieldHelper { what: &'static str } EACCES "{what} cannot be accessed indirectly by helper";
    FieldVariable { what: &'static str } EACCES "{what} access cannot have variable offset";
    FieldMisaligned { what: &'static str, expected: u32, off: i64 } EACCES "{what} access misaligned expected={expected} off={off}";
    KptrMode {} EACCES "kptr in map can only be accessed using BPF_MEM instruction mode";
    KptrStore {} EACCES "store to referenced kptr disallowed";
    UptrStore {} EACCES "store to uptr disallowed";
    KptrImm { off: u32 } EACCES "BPF_ST imm must be 0 when storing to kptr at off={off}";
    KptrType { reg: u8, ty: String, has: String, want: String, other: String } EACCES "invalid kptr access, R{reg} type={ty}{has} expected=ptr_{want}{other}";
    KptrNotPercpu { reg: u8, has: String, want: String } EACCES "invalid kptr access, R{reg} type=ptr_{has} expected=percpu_ptr_{want}";
    KptrNoBtf { name: String } EINVAL "map '{name}' has to have BTF in order to use bpf_kptr_xchg";
    KptrNotConst { reg: u8 } EINVAL "R{reg} doesn't have constant offset. kptr has to be at the constant offset";
    KptrNone { reg: u8 } EINVAL "R{reg} has no valid kptr";
    KptrElsewhere { off: i64 } EACCES "off={off} doesn't point to kptr";
    KptrNotRef { off: i64 } EACCES "off={off} kptr isn't referenced kptr";
    ArgMayBeNull { arg: u8 } EACCES "Possibly NULL pointer passed to helper arg{arg}";
    FieldSize { what: &'static str } EACCES "{what} access size must be BPF_DW";
    FieldNotConstant { reg: u8, what: &'static str } EINVAL "R{reg} doesn't have constant offset. {what} has to be at the constant offset";
    FieldNoBtf { name: String, what: &'static str } EINVAL "map '{name}' has to have BTF in order to use {what}";
    FieldMissing { name: String, what: &'static str } EINVAL "map '{name}' has no valid {what}";
    FieldElsewhere { off: i64, what: &'static str, at: u32 } EINVAL "off {off} doesn't point to 'struct {what}' that is at {at}";
    WriteReadOnly { reg: u8, ty: String } EACCES "R{reg} cannot write into {ty}";
    CtxModified { ty: String, reg: u8, off: i64 } EACCES "dereference of modified {ty} ptr R{reg} off={off} disallowed";
    CtxVariable { ty: String, var: String } EACCES "variable {ty} access var_off={var} disallowed";
    CtxNegative { ty: String, reg: u8, off: i64 } EACCES "negative offset {ty} ptr R{reg} off={off} disallowed";
    CtxAccess { off: i64, size: u32 } EACCES "invalid bpf_context access off={off} size={size}";
    SockAccess { reg: u8, ty: String, off: i64, size: u32 } EACCES "R{reg} invalid {ty} access off={off} size={size}";
    FlowKeysAccess { off: i64, size: u32 } EACCES "invalid access to flow keys off={off} size={size}";
    SameInsn {} EINVAL "same insn cannot be used with different pointers";
    MisalignedPacket { align: i64, tnum: String, ip: i32, off: i64, size: u32 } EACCES "misaligned packet access off {align}+{tnum}+{ip}+{off} size {size}";
    AtomicLoad { reg: u8, ty: String } EACCES "BPF_ATOMIC loads from R{reg} {ty} is not allowed";
    AtomicStore { reg: u8, ty: String } EACCES "BPF_ATOMIC stores into R{reg} {ty} is not allowed";
    StackAccess { what: &'static str, reg: u8, off: i64, size: i64 } EACCES "invalid {what} stack R{reg} off={off} size={size}";
    StackAccessEnd { what: &'static str, reg: u8, off: i64, size: i64 } EINVAL "invalid {what} stack R{reg} off={off} size={size}";
    StackUnbounded { what: &'static str, reg: u8 } EACCES "invalid unbounded variable-offset {what} stack R{reg}";
    StackVariable { what: &'static str, reg: u8, var: String, off: i64, size: i64 } EACCES "invalid variable-offset {what} stack R{reg} var_off={var} off={off} size={size}";
    StackVariableEnd { what: &'static str, reg: u8, var: String, off: i64, size: i64 } EINVAL "invalid variable-offset {what} stack R{reg} var_off={var} off={off} size={size}";
    StackRead { off: i64, i: i64, size: i64 } EACCES "invalid read from stack off {off}+{i} size {size}";
    StackIndirect { reg: u8, off: i64, i: i64, size: i64 } EACCES "invalid read from stack R{reg} off {off}+{i} size {size}";
    StackIndirectVar { reg: u8, var: String, i: i64, size: i64 } EACCES "invalid read from stack R{reg} var_off {var}+{i} size {size}";
    AtomicVariableStack { var: String, off: i64, size: u32 } EACCES "variable offset stack pointer cannot be passed into helper function; var_off={var} off={off} size={size}";
    SpillSize {} EACCES "invalid size of register spill";
    FillSize {} EACCES "invalid size of register fill";
    SpillToCaller {} EINVAL "cannot spill pointers to stack into stack frame of the caller";
    // Structures of the kernel.
    NoTarget { name: String } EINVAL "attach_btf_id {name} is not a function";
    NoBtfId {} EINVAL "Tracing programs must provide btf_id";
    TargetNotSleepable { name: String } EINVAL "{name} is not sleepable";
    TargetDenied { name: String } EINVAL "Attaching tracing programs to function '{name}' is rejected.";
    TargetNoReturn { name: String } EINVAL "Attaching fexit/fmod_ret to __noreturn function '{name}' is rejected.";
    HookDisabled { id: u32, name: String } EINVAL "attach_btf_id {id} points to disabled hook {name}";
    LsmNotGpl {} EINVAL "LSM programs must have a GPL compatible license";
    ExtNoFunction { name: String } EINVAL "Subprog {name} doesn't exist";
    ExtExceptionCallback {} EINVAL "Extension programs cannot attach to exception callback";
    ExtOfStatic {} EINVAL "Cannot replace static functions";
    ExtMovesPacket {} EINVAL "Extension program changes packet data, while original does not";
    ExtMaySleep {} EINVAL "Extension program may sleep, while original does not";
    ExtOfExt {} EINVAL "Cannot recursively attach";
    ExtOfTracing {} EINVAL "Cannot extend fentry/fexit";
    ExtNoTypes {} EINVAL "Program extension requires BTF";
    ExtNoTargetTypes {} EINVAL "Tracing program can only be attached to another program annotated with BTF";
    ExtSignature { text: String } EINVAL "{text}";
    ExtTarget { name: String, why: String } EINVAL "ring3: the program {name} that is to be extended is refused itself: {why}";
    OpsNotGpl {} EINVAL "struct ops programs must have a GPL compatible license";
    OpsNoStub { member: String, ops: String } ENOTSUPP "attach to unsupported member {member} of struct {ops}";
    OpsMember { member: String, ops: String } EINVAL "attach to unsupported member {member} of struct {ops}";
    OpsNoWrite { off: u32 } EACCES "no write support to tcp_sock at off {off}";
    OpsWriteEnd { off: u32, size: u32, end: u32 } EACCES "write access at off {off} with size {size} beyond the member of tcp_sock ended at {end}";
    OpsWriteState { off: u32, size: u32 } EACCES "write access for struct bpf_dummy_ops_state at off {off} with size {size}";
    ArgInvalid { note: String, off: i64, size: u32 } EACCES "{note}\ninvalid bpf_context access off={off} size={size}";
    BeyondStruct { name: String, off: i64, size: u32 } EACCES "access beyond struct {name} at off {off} size {size}";
    StructNegative { reg: u8, name: String, off: i64 } EACCES "R{reg} is ptr_{name} invalid negative access: off={off}";
    BufferNegative { reg: u8, what: &'static str, off: i64, size: u64 } EACCES "R{reg} invalid {what} buffer access: off={off}, size={size}";
    BufferVariable { reg: u8, off: i64, var: String } EACCES "R{reg} invalid variable buffer offset: off={off}, var_off={var}";
    MayWrite { name: String, reg: u8, ty: String } EACCES "{name}() may write into memory pointed by R{reg} type={ty}";
    StructType { reg: u8, has: String, want: String } EACCES "R{reg} is of type {has} but {want} is expected";
    KfuncArgKind { name: &'static str, index: usize, kind: &'static str, ty: String } EINVAL "kernel function {name} args#{index} pointer type {kind} {ty} is not supported";
    KfuncArgTrusted { reg: u8 } EINVAL "R{reg} must be referenced or trusted";
    KfuncArgRcu { reg: u8 } EINVAL "R{reg} must be a rcu pointer";
    KfuncArgUnsafe { index: usize, ty: String, expected: String } EINVAL "arg#{index} is {ty} expected {expected} or socket";
    KfuncArgStruct { name: &'static str, index: usize, want: String, reg: u8, has: String } EINVAL "kernel function {name} args#{index} expected pointer to {want} but R{reg} has a pointer to {has}";
    StructVariable { reg: u8, name: String, off: i64, var: String } EACCES "R{reg} is ptr_{name} invalid variable offset: off={off}, var_off={var}";
    StructUser { reg: u8, name: String, off: i64 } EACCES "R{reg} is ptr_{name} access user memory: off={off}";
    StructPercpu { reg: u8, name: String, off: i64 } EACCES "R{reg} is ptr_{name} access percpu memory: off={off}";
    MapStructNegative { reg: u8, name: &'static str, off: i64 } EACCES "R{reg} is {name} invalid negative access: off={off}";
    MapStructWrite { name: &'static str } EACCES "only read from {name} is supported";
    StructReadOnly {} EACCES "only read is supported";
    StructNotGpl { name: String } EINVAL "Cannot access kernel 'struct {name}' from non-GPL compatible program";
    NotStruct { name: String } EINVAL "Type '{name}' is not a struct";
    FieldNoSize { field: String } EFAULT "field {field} doesn't have size";
    PtrMember { field: String, start: u32, name: String, off: u32, size: u32 } EACCES "cannot access ptr member {field} with moff {start} in struct {name} with off {off} size {size}";
    BeyondMember { field: String, end: u32, name: String, off: u32, size: u32 } EACCES "access beyond the end of member {field} (mend:{end}) in struct {name} with off {off} size {size}";
    NoField { name: String, off: u32 } EINVAL "struct {name} doesn't have field at offset {off}";
    NotVariable { id: i32 } EINVAL "pseudo btf_id {id} in ldimm64 isn't KIND_VAR or KIND_FUNC";
    NoAddress { name: String } ENOENT "ldimm64 failed to find the address for kernel symbol '{name}'.";
    NoTypeSize { by: &'static str, name: String } EINVAL "{by}unable to resolve the size of type '{name}': -22";
    NoSuchType { id: i32 } ENOENT "ldimm64 insn specifies invalid btf_id {id}.";
    NoArena {} EINVAL "addr_space_cast insn can only be used in a program that has an associated arena";
    // Calls.
    TooManyKfuncs {} E2BIG "too many different kernel function calls";
    MetadataDevice {} EINVAL "metadata kfuncs require device-bound program";
    KfuncNotAllowed { name: &'static str } EACCES "calling kernel function {name} is not allowed";
    KfuncNotGpl {} EINVAL "cannot call kernel function from non-GPL compatible program";
    KfuncSleepable { name: &'static str } EACCES "program must be sleepable to call sleepable kfunc {name}";
    KfuncSleepsIn { name: &'static str, region: &'static str } EACCES "kernel func {name} is sleepable within {region} region";
    KfuncNeedsRcu { name: &'static str } EACCES "kernel func {name} requires RCU critical section protection";
    NestedRcuLock { name: &'static str } EINVAL "nested rcu read lock (kernel function {name})";
    UnmatchedRcuUnlock { name: &'static str } EINVAL "unmatched rcu read unlock (kernel function {name})";
    UnmatchedPreemptEnable { name: &'static str } EINVAL "unmatched attempt to enable preemption (kernel function {name})";
    KfuncArgScalar { reg: u8 } EINVAL "R{reg} is not a scalar";
    KfuncArgKnown { reg: u8 } EINVAL "R{reg} must be a known constant";
    KfuncArgConst { reg: u8 } EINVAL "R{reg} is not a const";
    KfuncArgOdd { index: usize, kind: &'static str } EINVAL "Unrecognized arg#{index} type {kind}";
    KfuncArgNull { index: usize } EACCES "Possibly NULL pointer passed to trusted arg{index}";
    KfuncArgCtx { index: usize, ty: String } EINVAL "arg#{index} expected pointer to ctx, but got {ty}";
    KfuncArgMap { reg: u8 } EINVAL "pointer in R{reg} isn't map pointer";
    KfuncArgStr { index: usize } EINVAL "arg#{index} doesn't point to a const string";
    KfuncArgPlain { index: usize, kind: &'static str, name: String, void: &'static str } EINVAL "arg#{index} pointer type {kind} {name} must point to {void}scalar, or struct with scalar";
    KfuncArgPair { first: usize, second: usize, why: String } EACCES "{why}\narg#{first} arg#{second} memory, len pair leads to invalid memory access";
    KfuncArgPairInvalid { first: usize, second: usize, why: String } EINVAL "{why}\narg#{first} arg#{second} memory, len pair leads to invalid memory access";
    KfuncNotReferenced { name: &'static str } EINVAL "release kernel function {name} expects refcounted PTR_TO_BTF_ID";
    KfuncReturns { name: &'static str, kind: &'static str, what: String } EINVAL "kernel function {name} returns pointer type {kind} {what} is not supported";
    KfuncNoReturnPtr {} EINVAL "acquire kernel function does not return PTR_TO_BTF_ID";
    ObjectConstOffset { what: &'static str } EINVAL "{what} has to be at a constant offset";
    ObjectOffset { what: &'static str, off: i64 } EINVAL "cannot pass in {what} at an offset={off}";
    IterNotStack { index: usize } EINVAL "arg#{index} expected pointer to an iterator on stack";
    IterInitialized { name: String, index: usize } EINVAL "expected uninitialized iter_{name} as arg #{index}";
    IterUninitialized { name: String, index: usize } EINVAL "expected an initialized iter_{name} as arg #{index}";
    IterNeedsRcu { name: &'static str } EPROTO "expected an RCU CS when using {name}";
    IterCssTask {} EINVAL "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs";
    IrqNotStack { index: usize } EINVAL "arg#{index} doesn't point to an irq flag on stack";
    IrqInitialized { index: usize } EINVAL "expected uninitialized irq flag as arg#{index}";
    IrqUninitialized { index: usize } EINVAL "expected an initialized irq flag as arg#{index}";
    IrqOutOfOrder { id: u32, insn: usize } EACCES "cannot restore irq state out of order, expected id={id} acquired at insn_idx={insn}";
    SleepableHelperIn { name: String, id: i32, region: &'static str } EINVAL "sleepable helper {name}#{id} in {region} region";
    GlobalSleeps {} EINVAL "global functions that may sleep are not allowed in non-sleepable context,\ni.e., in a RCU/IRQ/preempt-disabled section, or in\na non-sleepable BPF program context";
    ManyExceptionCallbacks {} EEXIST "multiple exception callback tags for main subprog";
    NoExceptionCallback { name: String } ENOENT "exception callback '{name}' could not be found in BTF";
    ExceptionCallbackStatic { name: String } EINVAL "exception callback '{name}' must have global linkage";
    ExceptionCallbackMain {} EINVAL "invalid exception callback insn_off in func_info: 0";
    ExceptionCallbackNoInfo {} EINVAL "exception callback type id not found in func_info";
    ExceptionCallbackArgs {} EINVAL "exception cb only supports single integer argument";
    ExceptionCallbackCalled { at: usize } EINVAL "insn {at} cannot call exception cb directly";
    ThrowInCallback { at: usize, subprog: usize } EINVAL "bpf_throw kfunc (insn {at}) cannot be called from callback subprog {subprog}";
    NoKfunc {} EINVAL "invalid kernel function call not eliminated in verifier pass";
    InvalidHelper { name: String, id: i32 } EINVAL "invalid func {name}#{id}";
    FuncIpNoTrampoline { name: String, id: i32 } ENOTSUPP "func {name}#{id} supported only for fentry/fexit/fmod_ret programs";
    FuncIpNotForProgram { name: String, id: i32, kind: u32 } ENOTSUPP "func {name}#{id} not supported for program type {kind}";
    HelperNotAllowed {} EINVAL "helper call is not allowed in probe";
    HelperNotForProgram { name: String, id: i32 } EINVAL "program of this type cannot use helper {name}#{id}";
    GplOnly {} EINVAL "cannot call GPL-restricted function from non-GPL compatible program";
    SleepableHelper {} EINVAL "helper call might sleep in a non-sleepable prog";
    ArgType { reg: u8, ty: String, expected: String } EACCES "R{reg} type={ty} expected={expected}";
    ArgPacket {} EACCES "helper access to the packet is not allowed";
    ArgOffset { reg: u8 } EINVAL "R{reg} must have zero offset when passed to release func or trusted arg to kfunc";
    ArgNotReferenced { reg: u8 } EINVAL "R{reg} must be referenced when passed to release function";
    NotAcquired { name: String, id: i32 } EINVAL "func {name}#{id} reference has not been acquired before";
    ManyReferences { reg: u8, first: u32, second: u32 } EACCES "more than one arg with ref_obj_id R{reg} {first} {second}";
    SizeNegative { reg: u8 } EACCES "R{reg} min value is negative, either use unsigned or 'var &= const'";
    SizeZero { reg: u8, umin: u64, umax: u64 } EACCES "R{reg} invalid zero-sized read: u64=[{umin},{umax}]";
    ZeroRead {} EACCES "invalid zero-sized read";
    SizeUnbounded { reg: u8 } EACCES "R{reg} unbounded memory access, use 'var &= const' or 'if (var < const)'";
    NotConst { reg: u8 } EACCES "R{reg} is not a known constant'";
    TailCallMap {} EINVAL "expected prog array map for tail call";
    MapMismatch { kind: u32, func: String, id: i32 } EINVAL "cannot pass map_type {kind} into func {func}#{id}";
    MapReadOnlyUpdate {} EACCES "write into map forbidden";
    ConstStr { reg: u8 } EACCES "R{reg} type is not a constant string";
    StrNotReadOnly { reg: u8 } EACCES "R{reg} does not point to a readonly map'";
    StrNoDirectValue {} EACCES "no direct value access support for this map type";
    StrNotConst { reg: u8 } EACCES "R{reg} is not a constant address'";
    ConstStrEnd {} EINVAL "string is not zero-terminated";
    FormatData {} EINVAL "";
    Format {} EINVAL "Invalid format string";
    MapInnerNull { what: &'static str } EACCES "invalid map_ptr to access map->{what}";
    ReturnStackPtr {} EINVAL "cannot return stack pointer to the caller";
    CallDepth { frames: usize } E2BIG "the call stack of {frames} frames is too deep";
    CallDepthStatic { frames: usize } E2BIG "the call stack of {frames} frames is too deep !";
    StackDepth { frames: usize, size: u32 } EACCES "combined stack size of {frames} calls is {size}. Too large";
    StackSubprog { subprog: usize, size: u32 } EACCES "stack size of subprog {subprog} is {size}. Too large";
    StackDepthTailCall { size: u32 } EACCES "tail_calls are not allowed when call stack of previous frames is {size} bytes. Too large";
    GlobalArgs { subprog: usize, name: String, why: String } EINVAL "Caller passes invalid args into func#{subprog} ('{name}'){why:.0}";
    CallbackNotStatic {} EINVAL "callback function not static";
    ThrowInLoop { chain: String } EFAULT "verifier bug: scc exit: no visit info for call chain {chain}";
    LoopOfPointer {} EFAULT "verifier bug: backtracking misuse";
    DeadFunction { at: usize } EFAULT "verifier bug: No program to jit at insn {at} (subprog < 0)";
    LaterTailCall {} EFAULT "verifier bug: subprog has tail_call and async cb";
    CallbackNotScalar {} EACCES "R0 not a scalar value";
    FuncInfoFirst { slot: u32 } EINVAL "nonzero insn_off {slot} for the first func info record";
    FuncInfoOrder { slot: u32, before: u32 } EINVAL "same or smaller insn offset ({slot}) than previous func info record ({before})";
    FuncInfoType { id: u32 } EINVAL "invalid type id {id} in func info";
    FuncInfoCount {} EINVAL "number of funcs in func_info doesn't match number of subprogs";
    FuncInfoLayout {} EINVAL "func_info BTF section doesn't match subprog layout in BPF program";
    LineInfoSlot { index: usize, slot: u32, before: u32, len: usize } EINVAL "Invalid line_info[{index}].insn_off:{slot} (prev_offset:{before} prog->len:{len})";
    LineInfoInside { index: usize } EINVAL "Invalid insn code at line_info[{index}].insn_off";
    LineInfoMissing { subprog: usize } EINVAL "missing bpf_line_info for func#{subprog}";
    LineInfoEnds { count: usize, subprog: usize } EINVAL "missing bpf_line_info for {count} funcs starting from func#{subprog}";
    NoFuncInfo {} EINVAL "missing btf func_info";
    ForEachMap {} ENOTSUPP "callback function not allowed for map";
    LocalStorageFlags {} EINVAL "get_local_storage() doesn't support non-zero flags";
    GlobalArgsAccess { subprog: usize, name: String } EACCES "Caller passes invalid args into func#{subprog} ('{name}')";
    GlobalArgsNoType { subprog: usize, name: String } ENOENT "Caller passes invalid args into func#{subprog} ('{name}')";
    GlobalArgsManyTypes { subprog: usize, name: String } ESRCH "Caller passes invalid args into func#{subprog} ('{name}')";
    GlobalArgsTag { subprog: usize, name: String } EOPNOTSUPP "Caller passes invalid args into func#{subprog} ('{name}')";
    GlobalSignature { text: String } EINVAL "{text}";
    GlobalNoType { what: String } ENOENT "{what} has no matches";
    GlobalManyTypes { what: String } ESRCH "{what} is ambiguous";
    GlobalTag { index: usize } EOPNOTSUPP "arg#{index} has unsupported set of tags";
    GlobalArgArena { reg: u8 } EINVAL "R{reg} is not a pointer to arena or scalar.";
    GlobalArgScalar { reg: u8 } EINVAL "R{reg} is not a scalar";
    GlobalArgCtx { index: usize } EINVAL "arg#{index} expects pointer to ctx";
    GlobalArgNull { index: usize } EINVAL "arg#{index} is expected to be non-NULL";
    GlobalReturn { name: String } EINVAL "Global function {name}() doesn't return scalar. Only those are supported.";
    GlobalManyArgs { name: String, count: usize } EINVAL "Global function {name}() with {count} > 5 args. Buggy compiler.";
    // Locks.
    CallUnderLock {} EINVAL "function calls are not allowed while holding a lock";
    GlobalUnderLock {} EINVAL "global function calls are not allowed while holding a lock,\nuse static function instead";
    TwoLocks {} EINVAL "Locking two bpf_spin_locks are not allowed";
    LockAgain {} EINVAL "Acquiring the same lock again, AA deadlock detected";
    NoLock { what: &'static str } EINVAL "{what}_unlock without taking a lock";
    OtherLock { what: &'static str } EINVAL "{what}_unlock of different lock";
    LockOrder { what: &'static str } EINVAL "{what}_unlock cannot be out of order";
    Region { what: &'static str, region: &'static str } EINVAL "{what} cannot be used inside {region}-ed region";
    IrqOtherClass { saved: &'static str, used: &'static str } EINVAL "irq flag acquired by {saved} kfuncs cannot be restored with {used} kfuncs";
    ConnectionNoWrite { off: u32 } EACCES "no write support to nf_conn at off {off}";
    ConnectionWriteEnd { off: u32, size: u32, end: u32 } EACCES "write access at off {off} with size {size} beyond the member of nf_conn ended at {end}";
    ObjectGone {} EFAULT "verifier bug: ref_obj_id for allocated object must be non-zero";
    ObjectTypeRange {} EINVAL "local type ID argument must be in range [0, U32_MAX]";
    ObjectNoBtf {} EINVAL "bpf_obj_new/bpf_percpu_obj_new requires prog BTF";
    PercpuSize { size: u32, max: u32 } EINVAL "bpf_percpu_obj_new type size ({size}) is greater than {max}";
    PercpuNotPlain {} EINVAL "bpf_percpu_obj_new type ID argument must be of a struct of scalars";
    PercpuFields {} EINVAL "bpf_percpu_obj_new type ID argument must not contain special fields";
    HelperNotPercpu {} EFAULT "Helper has invalid btf/btf_id in R1";
    ObjectNotStruct {} EINVAL "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct";
    ObjectExpected { index: usize } EINVAL "arg#{index} expected pointer to allocated object";
    ObjectForDrop { index: usize, drop: &'static str } EINVAL "arg#{index} expected for {drop}()";
    ObjectNotReferenced {} EINVAL "allocated object must be referenced";
    ObjectNoOwner { index: usize } EINVAL "arg#{index} is neither owning or non-owning ref";
    ObjectNotCounted { index: usize } EINVAL "arg#{index} doesn't point to a type with bpf_refcount field";
    ObjectField { what: &'static str } EACCES "direct access to {what} is disallowed";
    ObjectNoLock { what: &'static str } EINVAL "local 'kptr' has no valid {what}";
    RootExpected { index: usize } EINVAL "arg#{index} expected pointer to map value or allocated object";
    RootNotConst { reg: u8, what: &'static str } EINVAL "R{reg} doesn't have constant offset. {what} has to be at the constant offset";
    RootMissing { what: &'static str, off: i64 } EINVAL "{what} not found at offset={off}";
    RootNotLocked { other: &'static str, lock: i64, what: &'static str } EINVAL "{other}bpf_spin_lock at off={lock} must be held for {what}";
    NodeOwner { name: &'static str } EINVAL "{name} can only take non-owning or refcounted bpf_rb_node pointer";
    NodeOther { root: &'static str, what: &'static str, node: u32, owner: String, off: i64, own: String } EINVAL "operation on {root} expects arg#1 {what} at offset={node} in struct {owner}, but arg is at offset={off} in struct {own}";
    NodeElsewhere { off: i64, what: &'static str, node: u32, owner: String } EINVAL "arg#1 offset={off}, but expected {what} at offset={node} in struct {owner}";
    NotInTreeCallback { name: &'static str } EINVAL "{name} not allowed in rbtree cb";
    LockInTreeCallback {} EACCES "can't spin_{{lock,unlock}} in rbtree cb";
    KernelContext { id: u32 } EINVAL "kern ctx type id {id} is not a struct";
    CastUnknown { id: u64 } EINVAL "Unknown type ID {id} passed to kfunc bpf_rdonly_cast";
    CastKind {} EINVAL "kfunc bpf_rdonly_cast type ID argument must be of a struct or void";
    KfuncArgLock { index: usize } EINVAL "arg#{index} doesn't point to map value or allocated object";
    WorkMap { field: u32, map: u32 } EINVAL "workqueue pointer in R1 map_uid={field} doesn't match map pointer in R2 map_uid={map}";
    TaskWorkMap { field: u32, map: u32 } EINVAL "bpf_task_work pointer in R2 map_uid={field} doesn't match map pointer in R3 map_uid={map}";
    KfuncArgMapValue { index: usize } EINVAL "arg#{index} doesn't point to a map value";
    KfuncArgFunc { index: usize } EINVAL "arg{index} expected pointer to func";
    TimerMap { timer: u32, map: u32 } EINVAL "timer pointer in R1 map_uid={timer} doesn't match map pointer in R2 map_uid={map}";
    // Dynptrs.
    DynptrPointer { index: usize } EINVAL "arg#{index} expected pointer to stack or const struct bpf_dynptr";
    DynptrNotFree {} EINVAL "Dynptr has to be an uninitialized dynptr";
    DynptrConst {} EINVAL "cannot pass pointer to const bpf_dynptr, the helper mutates it";
    DynptrNotReady { index: usize } EINVAL "Expected an initialized dynptr as arg #{index}";
    DynptrKind { kind: &'static str, index: usize } EINVAL "Expected a dynptr of type {kind} as arg #{index}";
    DynptrOverwrite {} EINVAL "cannot overwrite referenced dynptr";
    DynptrHelperWrite { off: i64 } EACCES "potential write to dynptr at off={off} disallowed";
    DynptrUnacquired { arg: u8 } EINVAL "arg {arg} is an unacquired reference";
    DynptrUnowned {} EINVAL "cannot release unowned const bpf_dynptr";
    DynptrFrom { ty: String } EACCES "Unsupported reg type {ty} for bpf_dynptr_from_mem data";
    SliceWrite {} EINVAL "the prog does not allow writes to packet data";
    // Exit.
    RefLeak { lines: String } EINVAL "{lines}";
    ReturnRange { what: &'static str, reg: u8, has: String, lo: i32, hi: i32 } EINVAL "{what} the register R{reg} has{has} should have been in [{lo}, {hi}]";
    ReturnNotScalar { what: &'static str, reg: u8, ty: String } EINVAL "{what} the register R{reg} is not a known value ({ty})";
    SubprogNotScalar { reg: u8, ty: String } EINVAL "At subprogram exit the register R{reg} is not a scalar value ({ty})";
    // Limits and loops.
    InfiniteLoop { at: usize, states: String } EINVAL "infinite loop detected at insn {at}\n{states}";
    TooLarge { processed: u32 } E2BIG "BPF program is too large. Processed {processed} insn";
    TooComplex { jumps: usize } ENOMEM "The sequence of {jumps} jumps is too complex.";
    TooComplexAsync { jumps: usize } E2BIG "The sequence of {jumps} jumps is too complex for async cb.";
    TooComplexBranch { jumps: usize } EFAULT "The sequence of {jumps} jumps is too complex.";
    // Another release than the one whose rules the walk knows. In ring3's words: each release has its own.
    Release { what: String, since: KernelVersion, release: KernelVersion } EINVAL "ring3: Linux {release} does not have {what}: it is there since Linux {since}";
    // The embedder's will, not a rule.
    Stopped { why: String } EAGAIN "ring3: {why}";
    // What ring3 does not judge yet: refused by name, never let through.
    Unsupported { what: String } EOPNOTSUPP "ring3: {what} is not supported yet";
}

/// The short form for what is not built yet.
pub fn unsupported<T>(what: impl Into<String>) -> Result<T, Reject> {
    Err(Reject::Unsupported { what: what.into() })
}
