//! What every rule is for, and what to do about it.

use crate::diag::codes::Code;

impl Code {
    /// Why the rule is there, in a few sentences.
    pub const fn why(self) -> &'static str {
        texts(self).0
    }

    /// What to do, in a few sentences.
    pub const fn fix(self) -> &'static str {
        texts(self).1
    }
}

/// Why, and what to do.
#[allow(clippy::too_many_lines)]
const fn texts(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::EmptyProgram => {
            ("A program has at least one instruction: its end.", "Give the function a body, and let it return a value.")
        }
        Code::ProgramTooLong => (
            "Linux takes programs of up to 1,000,000 instructions from privileged users, and of up to 4,096 from others.",
            "Split the program with tail calls, or turn unrolled loops into real ones (no `#pragma unroll`, or bpf_loop).",
        ),
        Code::TooManyFunctions => (
            "A program has at most 256 functions, callbacks included.",
            "Let the compiler inline small functions (`static __always_inline`).",
        ),
        Code::BadInstruction => (
            "Fields of an instruction that it does not use must be zero, so that later kernels can give them a meaning. An opcode that \
             Linux does not know may also be one that a newer kernel has.",
            "If a compiler made it, choose an instruction set that the kernel has: `clang -mcpu=v3` suits Linux 5.12 and later, `-mcpu=v4` 6.6.",
        ),
        Code::JumpOutOfRange => (
            "Every jump must lead to an instruction of its own function.",
            "A compiler does not make such jumps: look for inline assembly, or for a section that was cut.",
        ),
        Code::FallsOffTheEnd => (
            "Behind the last instruction of a function there is nothing, or another function. Compilers leave it like this where C says that \
             the end is never reached: a function without `return`, `__builtin_unreachable()`, undefined behaviour such as a shift that is too large.",
            "Return a value at the end of every function, and look for warnings of the compiler (-Wall).",
        ),
        Code::Unreachable => (
            "Linux takes no code that no path reaches: it could hide what is not checked.",
            "Remove it. Compilers leave none; assembly and generators do.",
        ),
        Code::JumpIntoWideLoad => (
            "The second half of a 16-byte instruction is not an instruction.",
            "Count 16-byte instructions as two when you calculate jumps, or use labels.",
        ),
        Code::BadFunctionReference => (
            "Calls and references of functions must name the first instruction of a function of this program.",
            "Check the offset of the call; in C, that the function is defined and not only declared.",
        ),
        Code::LegacyPacketLoad => (
            "BPF_LD_ABS and BPF_LD_IND (`load_byte()` and its kin) take the packet from R6, end the program when it is too short, and are only \
             for socket filters and traffic control.",
            "Use bpf_skb_load_bytes() or direct access to the packet instead.",
        ),
        Code::TailCallNeedsBtf => (
            "A tail call or an old-style packet load may end a subprogram early; Linux allows it there only if BTF describes the function.",
            "Compile with -g, or move the call into the main function.",
        ),
        Code::MissingFunctionInfo => (
            "Callbacks and global functions are checked by what BTF says of them, and what is said has to fit the instructions: an \
             entry for each function where it begins, and a source line there, all of them ascending.",
            "Compile with -g, do not strip .BTF.ext, and change instructions only together with it.",
        ),
        Code::MissingArena => (
            "Casts between address spaces are about the memory of an arena.",
            "Define a map of the type BPF_MAP_TYPE_ARENA, and use it in the program.",
        ),
        Code::MissingMap => (
            "The instruction refers to a map that the program was not given.",
            "Define the map in the section .maps of the same object.",
        ),
        Code::DirectValue => (
            "The address of a value can be taken directly only of arrays with one element, as global variables are, and inside of the value.",
            "Use bpf_map_lookup_elem() for other maps.",
        ),
        Code::KernelVariable => (
            "The instruction names a type in the kernel's BTF that is neither a variable nor a function, or that is not there, or the kernel does not know its address (of variables, with CONFIG_KALLSYMS_ALL).",
            "Declare it as `extern ... __ksym`, and give the BTF of the kernel that you mean.",
        ),
        Code::AttachType => (
            "Each program type can be attached in certain ways, and the way is known when it is loaded, because rules depend on it.",
            "Use the section name that fits, as `SEC(\"cgroup/connect4\")`.",
        ),
        Code::SleepableType => (
            "Whether a program may sleep depends on where it runs. Only fentry, fexit, fmod_ret, LSM, iterators, uprobes and struct_ops can choose.",
            "Remove the `.s` of the section's name (`SEC(\"fentry/...\")`), or choose another program type.",
        ),
        Code::MapForProgram => (
            "Some maps are not safe where this program runs: sleepable programs, for example, have no protection for maps whose elements go away under them.",
            "Use a hash, an array, a ring buffer or a local storage map.",
        ),
        Code::GplOnly => (
            "Part of the helpers, most of those for tracing among them, and most kernel functions are for programs under a license compatible with the GPL.",
            "If your license is, say so: `char LICENSE[] SEC(\"license\") = \"GPL\";` (or \"Dual MIT/GPL\", \"Dual BSD/GPL\").",
        ),
        Code::UninitRegister => (
            "What is in a register that was never written is left over from the kernel: reading it could give secrets away. Calls \
             destroy R1 to R5, so their values are gone afterwards. At the end of a program R0 is read: it is the return value.",
            "Give the variable a value on every path, and return a value from every function.",
        ),
        Code::FramePointer => (
            "R10 is the address of the stack frame; the kernel relies on it.",
            "Copy R10 to another register and change that.",
        ),
        Code::DivisionByZero => (
            "Division by a constant zero is a mistake for sure. (By a variable that is zero it gives 0 in BPF.)",
            "Divide by another number.",
        ),
        Code::ShiftAmount => (
            "A shift by as many bits as the operand has, or more, has no meaning.",
            "Shift 32-bit values by 0 to 31 bits, 64-bit values by 0 to 63; cast to __u64 before shifting by more.",
        ),
        Code::PointerOperation => (
            "With pointers one can only add and subtract numbers, with 64 bits. Anything else could make an address up, or give one away.",
            "Compute with offsets (numbers), and add the offset to the pointer at the end. The difference of two packet pointers is a number, too.",
        ),
        Code::NullableArithmetic => (
            "NULL plus something is not NULL, but no valid address either: the check must come first.",
            "Compare the pointer with NULL before you calculate with it.",
        ),
        Code::PointerOffset => (
            "Offsets beyond half a gigabyte lead into no object of the kernel; the limit keeps the verifier's arithmetic exact.",
            "Check the index before it is added to the pointer.",
        ),
        Code::UnboundedArithmetic => (
            "The number that is added to a pointer can be anything, so the sum could point anywhere.",
            "Give the number bounds before it is used: `if (i >= MAX) return 0;` with an unsigned i, or `i &= MAX - 1`.",
        ),
        Code::FixedPointer => (
            "Some pointers are handles: moved by one byte they are nothing. Among them are the end of a packet, sockets, maps and functions; the stack pointer cannot be subtracted from.",
            "Use the pointer as it is. To compute with the packet's bounds, take pointers from `data`, and compare them with `data_end`.",
        ),
        Code::NullablePointer => (
            "Helpers such as bpf_map_lookup_elem() return NULL if there is nothing. Using it would crash the kernel, so every path must have compared it with NULL first.",
            "Compare the pointer with NULL right after the call, and leave if it is.",
        ),
        Code::NotAPointer => (
            "The verifier knows this to be a number, or a pointer of a kind that cannot be dereferenced: a number could be any address of the kernel.",
            "If it comes from memory of the kernel, read it with bpf_probe_read_kernel() or BPF_CORE_READ(). If it was a pointer once, look \
             for what made it a number: storing it with less than 8 bytes, arithmetic with 32 bits, a spill that was overwritten.",
        ),
        Code::Misaligned => (
            "Here the access must be aligned to its size: on the stack, in the context and for atomic instructions always.",
            "Use types whose natural alignment fits (no packed structs on the stack), or copy byte by byte (__builtin_memcpy).",
        ),
        Code::NegativeIndex => (
            "The index is signed, and no check has shown that it is not negative: it could lead in front of the memory.",
            "Make the index unsigned (`__u32 i`), or check `if (i < 0) return 0;` as well as its upper bound.",
        ),
        Code::UnboundedIndex => (
            "The index can be so large that it leads far behind the memory.",
            "Check it against the size right before use: `if (i >= MAX) return 0;`, or `i &= MAX - 1` where MAX is a power of two.",
        ),
        Code::MapValueBounds => (
            "Every access must lie within the map's value (or key) for every number that the index can be.",
            "Check that index plus size of the access is at most the size of the value. An index `i < N` fits elements of an array with N elements.",
        ),
        Code::MemoryBounds => (
            "Every access must lie within the memory that the pointer was given for.",
            "Reserve as much as you access, and check indices against that size.",
        ),
        Code::PacketBounds => (
            "Packets can be short. Before bytes are read, a comparison with `data_end` must have shown, on this path and for this pointer, \
             that so many bytes are there. The proof belongs to the pointer that was compared and to its copies; a helper that may change the \
             packet (bpf_skb_pull_data, bpf_xdp_adjust_head ...) ends it.",
            "Compare before the access: `if (ptr + size > data_end) return XDP_PASS;`, with the same pointer and at least the size that is accessed.",
        ),
        Code::ForbiddenAccess => (
            "This memory can only be read (or only be written) by this program: packets in some program types, keys of maps, constants, maps with BPF_F_RDONLY_PROG or BPF_F_WRONLY_PROG.",
            "Copy the data to the stack and change the copy; for packets use a helper that writes (bpf_skb_store_bytes) or another program type.",
        ),
        Code::ContextPointer => (
            "Fields of the context are replaced by accesses to the kernel's own structures when the program is loaded, so the offset must be a constant in the instruction itself.",
            "Use `ctx->field` directly: no arithmetic on ctx, no index into it, no pointer to a field. If the compiler folds two accesses into one with a \
             computed offset, keep them apart with `asm volatile(\"\" ::: \"memory\")` between them, or read both fields before the branch.",
        ),
        Code::ContextAccess => (
            "The context is not the kernel's structure but a view of it. Programs of each type may read and write certain fields of it, with certain sizes.",
            "Check the structure for this program type in <linux/bpf.h>: the field, its size, and whether it may be written. In tracepoints, the first 8 bytes belong to the kernel.",
        ),
        Code::MixedPointers => (
            "The kernel rewrites accesses to contexts, sockets and kernel memory differently, so one instruction must access only one kind.",
            "Make two accesses of it, one in each branch; the compiler has merged them: `asm volatile(\"\" ::: \"memory\")` keeps them apart.",
        ),
        Code::AtomicTarget => (
            "Atomic instructions work on the stack, on map values and other plain memory, not on contexts, packets or sockets.",
            "Keep the counter in a map.",
        ),
        Code::StackBounds => (
            "A function has 512 bytes of stack, in front of R10.",
            "Check indices into local arrays, and sizes that are given to helpers. Large objects belong into a map (a per-CPU array with one element).",
        ),
        Code::StackOffset => (
            "The verifier must know which bytes of the stack an access can touch.",
            "Check the index into the local array, from below and from above, before use.",
        ),
        Code::StackUninit => (
            "The helper would read stack bytes that the program never wrote: what is left over there from the kernel must not be given away. Bytes between the fields of a struct count, too.",
            "Initialise the variable, padding included: `struct key key = {};` or __builtin_memset(&key, 0, sizeof(key)).",
        ),
        Code::PartialSpill => (
            "A pointer on the stack is read and written only as a whole, with 8 bytes: parts of it would give the address away.",
            "Do not cast structs with pointers to smaller types, and do not copy them bytewise.",
        ),
        Code::SpillToCaller => (
            "A function cannot store pointers in its caller's stack, where they could outlive what they point to.",
            "Return the pointer's content, or inline the function (`static __always_inline`).",
        ),
        Code::SpecialField => (
            "Part of a map's value belongs to the kernel: spin locks, timers, pointers to kernel objects and the like. Only the functions made for \
             them may touch these bytes, and a structure's fields must be where BTF says.",
            "Use the field's own helpers, access the other fields one by one, and do not copy the whole value.",
        ),
        Code::UnknownHelper => (
            "There is no helper of this number. A call that CO-RE could not resolve gets such a number, too.",
            "Check the number, or guard the call: `if (bpf_core_type_exists(...))`.",
        ),
        Code::HelperForProgram => (
            "Each program type has its set of helpers: those that make sense, and are safe, where it runs.",
            "See bpf-helpers(7) for a helper that this type has, or choose another program type.",
        ),
        Code::KernelFunction => (
            "Kernel functions (kfuncs) are offered to certain program types.",
            "Check in which programs the function may be called, and that the BTF is that of the kernel that you mean.",
        ),
        Code::SleepingCall => (
            "Where this program runs, or in the section that it is in (RCU read lock, disabled preemption or interrupts, a lock), nothing may sleep.",
            "Make the program sleepable if its type can be (`SEC(\"fentry.s/...\")`), or call outside of the section.",
        ),
        Code::ArgumentType => (
            "Each argument of a helper must be of a certain kind: the context, a map, memory, a number.",
            "Compare the arguments with the helper's signature in bpf-helpers(7). If a pointer may be NULL, check it first.",
        ),
        Code::NullableArgument => (
            "The helper uses what the pointer leads to, and the result of a look-up may be NULL.",
            "Compare the pointer with NULL before the call.",
        ),
        Code::PacketArgument => (
            "This helper may change the packet, or does not check its arguments against the packet's end.",
            "Copy the data to the stack, and pass that.",
        ),
        Code::ArgumentOffset => (
            "A resource is given back by the pointer that was received.",
            "Keep the pointer unchanged, and calculate with a copy.",
        ),
        Code::NegativeSize => (
            "The size is signed, and may be negative: as an unsigned number that is very large.",
            "Make it unsigned, or check `if (size < 0) return 0;`, or mask it: `size &= MAX - 1`.",
        ),
        Code::UnboundedSize => (
            "The size has no upper bound, so the helper could go beyond the memory.",
            "Check it right before the call: `if (size > sizeof(buf)) return 0;`. If there is a check but the compiler made it on another copy of the value, \
             mask it (`size &= sizeof(buf) - 1`), or keep the value in one place with `asm volatile(\"\" : \"+r\"(size));` before the check.",
        ),
        Code::ZeroSize => (
            "This helper wants at least one byte.",
            "Check both ends before the call: `if (size == 0 || size > sizeof(buf)) return 0;`.",
        ),
        Code::ConstantArgument => (
            "The verifier must know this argument's value when the program is loaded.",
            "Pass a constant; for several sizes, call in several branches.",
        ),
        Code::MapForHelper => {
            ("Each helper works on maps of certain types.", "See bpf-helpers(7) for the helper of this map type.")
        }
        Code::ConstantString => (
            "Formats and strings are read when the program is loaded, so they must be constants that end with a zero byte.",
            "Use a `static const char fmt[] = \"...\";`.",
        ),
        Code::CallbackForm => (
            "A callback is a static function that returns a number.",
            "Declare it as `static int callback(...)`, and let it return 0 or 1.",
        ),
        Code::StorageFlags => ("bpf_get_local_storage() has no flags.", "Pass 0."),
        Code::GlobalFunction => (
            "Global functions are verified on their own, for all arguments that their prototype allows, so callers must keep to it. Pointers may be NULL there.",
            "Pass what the prototype says; or make the function `static`, so that it is verified together with its callers.",
        ),
        Code::ReturnedStack => (
            "The stack of a function is gone when it returns.",
            "Let the caller pass a pointer to a buffer of its own.",
        ),
        Code::ReferenceLeak => (
            "What a helper reserved or looked up (a ring buffer record, a socket) must be given back on every path, or it is lost for the kernel.",
            "Release it before every return after the point where it was acquired, on the error paths, too.",
        ),
        Code::NotAcquired => (
            "Only what was acquired on this path can be released, and only once. After that the pointer is dead, and so are its copies.",
            "Release it exactly once on each path, and after a check for NULL.",
        ),
        Code::ManyReferences => {
            ("Only one of the arguments may be a resource that has to be given back.", "Pass one at a time.")
        }
        Code::ReturnRange => (
            "What a program of this type returns is a decision that the kernel acts upon; other numbers have no meaning.",
            "Return one of the values of this type, as constants: 0 or 1 for control groups, XDP_* or TC_ACT_* elsewhere.",
        ),
        Code::ReturnType => (
            "A program returns a number. A pointer would give an address of the kernel away.",
            "Return a constant or a number.",
        ),
        Code::CallUnderLock => (
            "While a spin lock is held, nothing may run that could take long or take another lock: no helpers but a few, no other functions.",
            "Compute and look up before the lock is taken, change the protected fields, unlock, and then go on.",
        ),
        Code::LockOrder => (
            "Locks are given back in the opposite order in which they were taken, each by the pointer that it was taken with.",
            "Unlock every lock on every path, once, the last one first.",
        ),
        Code::OpenRegion => (
            "Whoever locks, disables preemption or interrupts, or enters an RCU section must undo that before the program or the function ends, on every path.",
            "Leave the region in front of every return, on the error paths, too.",
        ),
        Code::MissingRegion => (
            "What this function gives or uses is only there while RCU protects it, and a program that may sleep does not have that protection by itself.",
            "Put bpf_rcu_read_lock() and bpf_rcu_read_unlock() around everything from the first of these calls to the last use.",
        ),
        Code::StackObject => (
            "Iterators, dynptrs and saved interrupt flags lie on the stack, and only their own functions may touch them: made once, used, and given back exactly once,              at the same place.",
            "Call the `_new` function once in front of the loop, `_destroy` on every path behind it (even if `_new` failed), and never copy or overwrite it. bpf_for() and bpf_for_each() of libbpf do that.",
        ),
        Code::InfiniteLoop => (
            "The verifier went around the loop, and everything was as before: it would never end.",
            "Let the loop count up to a constant: `for (int i = 0; i < 64; i++)`, or use bpf_loop() or bpf_for().",
        ),
        Code::TooComplex => (
            "The verifier follows every path, and gives up after 1,000,000 instructions. Branches inside of loops multiply the paths, if what they decide is remembered until the end.",
            "Find the hottest lines with `ring3 verify --profile`. Use bpf_loop() or bpf_for() instead of a bounded loop, put the loop's body in a global \
             (not static) function, which is verified only once, or lower the bound.",
        ),
        Code::TooManyBranches => (
            "More than 8,192 branches wait to be followed at once.",
            "Split long chains of conditions into functions, or loop over a table.",
        ),
        Code::CallDepth => (
            "Calls nest at most 8 deep, and no function calls itself.",
            "Inline functions, or use a tail call. Recursion has to become a loop.",
        ),
        Code::StackDepth => (
            "All functions that are active at the same time have 512 bytes of stack together; each is rounded up to 32 bytes.",
            "Move large local variables into a per-CPU array map, or into the caller and pass a pointer.",
        ),
        Code::StackTailCall => (
            "Before a tail call out of a subprogram, the callers must use less than 256 bytes of stack, since tail calls can follow one another 33 times.",
            "Make the tail call in the main function, or use less stack.",
        ),
        Code::NoAttachTarget => (
            "A tracing program names a function of the kernel, and there is none of this name in its BTF: it may be inlined, renamed, or of a module.",
            "Look for it in /proc/kallsyms and in `ring3 dump btf`.",
        ),
        Code::TargetArgument => (
            "A tracing program gets the arguments of its function, 8 bytes each, and no more.",
            "Check the prototype of the function; BPF_PROG() names the arguments.",
        ),
        Code::StructBounds => (
            "The access reaches beyond the structure that the pointer is known to point to.",
            "Check the type and the field; use BPF_CORE_READ() if the layout differs between kernels.",
        ),
        Code::KernelRelease => (
            "The program uses something that only later kernels have.",
            "Ask for a newer kernel, or keep another version of the program for older ones.",
        ),
        Code::Stopped => ("Somebody stopped the verification.", "Try again, with more time."),
        Code::Unsupported => (
            "This is not a verdict: ring3 does not know how Linux would judge it, and does not guess.",
            "Try the kernel itself (`ring3 load`, `ring3 parity`).",
        ),
    }
}
