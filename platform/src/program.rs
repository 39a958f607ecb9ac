//! A program ready to be judged, run, or loaded; and what it is judged against.

use std::sync::Arc;

use ring3_isa::Code;

use crate::{AttachType, KernelVersion, MapDef, ProgType, Proto};

/// The licence string of an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct License(pub String);

impl License {
    /// Whether GPL-only helpers may be called: the licences that Linux takes as compatible (`license_is_gpl_compatible`).
    pub fn is_gpl_compatible(&self) -> bool {
        ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"]
            .contains(&self.0.as_str())
    }
}

/// Flags of BPF_PROG_LOAD that change how a program is judged, as bits; those that say what a program is have fields of
/// their own ([`Program::sleepable`], [`Program::frags`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LoadFlags(pub u32);

impl LoadFlags {
    /// BPF_F_STRICT_ALIGNMENT: every access has to be aligned, as on machines that do nothing else.
    pub const STRICT_ALIGNMENT: LoadFlags = LoadFlags(1);
    /// BPF_F_ANY_ALIGNMENT: none has to be; takes the former back.
    pub const ANY_ALIGNMENT: LoadFlags = LoadFlags(1 << 1);
    /// BPF_F_TEST_RND_HI32: for tests of code generation. No verdict depends on it.
    pub const TEST_RND_HI32: LoadFlags = LoadFlags(1 << 2);
    /// BPF_F_TEST_STATE_FREQ: a state is stored wherever states are compared.
    pub const TEST_STATE_FREQ: LoadFlags = LoadFlags(1 << 3);
    /// BPF_F_TEST_REG_INVARIANTS: bounds that contradict one another are an error.
    pub const TEST_REG_INVARIANTS: LoadFlags = LoadFlags(1 << 7);

    /// True if every bit of `other` is set.
    pub const fn has(self, other: LoadFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn or(self, other: LoadFlags) -> LoadFlags {
        LoadFlags(self.0 | other.0)
    }
}

/// A function of the kernel that a program calls, by name: its number in the kernel's types is another one on each kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KfuncRef {
    /// Its name, perhaps with a flavour (`___` and what follows).
    pub name: String,
    /// The program may be loaded where there is no such function; calling it is then an error.
    pub weak: bool,
}

/// A member of a struct of functions, which a program stands for (`init` of `tcp_congestion_ops`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpsMember {
    /// The kernel's name of the struct.
    pub ops: String,
    /// The member.
    pub member: String,
}

/// One program with its subprograms, relocated: map references are indexes into `maps`.
#[derive(Clone, Debug)]
pub struct Program {
    /// Function name.
    pub name: String,
    /// ELF section, empty if there was none.
    pub section: String,
    /// Instructions; the main function first.
    pub code: Code,
    /// Maps that the code refers to.
    pub maps: Vec<Arc<MapDef>>,
    /// Functions of the kernel that the code calls; see [`Program::KFUNC_BY_NAME`].
    pub kfuncs: Vec<KfuncRef>,
    /// Of struct_ops programs: where the object's structs have it.
    pub ops: Option<OpsMember>,
    /// Type.
    pub kind: ProgType,
    /// Expected attach type.
    pub attach: Option<AttachType>,
    /// May it sleep?
    pub sleepable: bool,
    /// Understands multi-buffer packets (BPF_F_XDP_HAS_FRAGS).
    pub frags: bool,
    /// How it is judged.
    pub flags: LoadFlags,
    /// Licence.
    pub license: License,
    /// Function and line information.
    pub info: Option<Arc<ring3_btf::ProgramInfo>>,
    /// The program that this one is for: it replaces a function of it (`freplace`), or is called where one begins or ends
    /// (`fentry`, `fexit`, `fmod_ret`).
    pub attach_prog: Option<Arc<Program>>,
    /// The function that it is for, where its section does not say it.
    pub attach_func: Option<String>,
}

impl Program {
    /// The `off` of a call whose `imm` is an index into [`Program::kfuncs`]. Linux takes none below 0, so that no
    /// program of numbers (BTF ids of one kernel) means this.
    pub const KFUNC_BY_NAME: i16 = -1;
    /// What libbpf makes of a call of a weak function that is not there: one of a helper with this number or a higher one.
    pub const MISSING_KFUNC: i32 = 2_002_000_000;

    /// The function that a call with these fields names. `None`: the fields are numbers of some kernel, or nothing.
    pub fn kfunc(&self, id: i32, off: i16) -> Option<&KfuncRef> {
        if off != Self::KFUNC_BY_NAME {
            return None;
        }
        usize::try_from(id).ok().and_then(|at| self.kfuncs.get(at))
    }

    /// What the program is attached to: [`Program::attach_func`], or what its section says (`do_unlinkat` of `fentry/do_unlinkat`).
    pub fn attach_name(&self) -> Option<&str> {
        if let Some(name) = &self.attach_func {
            return Some(name);
        }
        let row = crate::section(&self.section)?;
        self.section.strip_prefix(row.prefix)?.strip_prefix('/')
    }

    /// A program of bare instructions, GPL, without maps or BTF.
    pub fn new(name: &str, kind: ProgType, code: Code) -> Program {
        Program {
            name: name.to_owned(),
            section: String::new(),
            code,
            maps: Vec::new(),
            kfuncs: Vec::new(),
            ops: None,
            kind,
            attach: None,
            sleepable: false,
            frags: false,
            flags: LoadFlags::default(),
            license: License("GPL".to_owned()),
            info: None,
            attach_prog: None,
            attach_func: None,
        }
    }

    /// For this program, or for this function of it (`None`: the one that the section names), as `bpf_program__set_attach_target` of
    /// libbpf has it.
    #[must_use]
    pub fn attached_to(self, program: Arc<Program>, function: Option<&str>) -> Program {
        let attach_func = function.map(str::to_owned).or(self.attach_func);
        Program { attach_prog: Some(program), attach_func, ..self }
    }
}

/// What a program is judged against: a kernel release, its configuration, and what an embedder adds to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose rules.
    pub kernel: KernelVersion,
    /// Number of possible CPUs (`bpf_get_smp_processor_id` returns less).
    pub cpus: u32,
    /// The kernel's own types (`/sys/kernel/btf/vmlinux`), for programs that get pointers to its structures.
    pub btf: Option<Arc<ring3_btf::Btf>>,
    /// Whether the kernel knows where its variables are (`CONFIG_KALLSYMS_ALL`, as distributions have it). One that does not
    /// refuses every program that asks for one.
    pub knows_variables: bool,
    /// Helpers of the embedder, with numbers from `Target::FIRST_CUSTOM_HELPER` up.
    pub helpers: Vec<Proto>,
}

impl Target {
    /// Numbers below belong to Linux.
    pub const FIRST_CUSTOM_HELPER: u32 = 0x1_0000;
}

impl Default for Target {
    fn default() -> Self {
        Target { kernel: KernelVersion::V6_18, cpus: 2, btf: None, knows_variables: true, helpers: Vec::new() }
    }
}
