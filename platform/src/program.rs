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
    /// Type.
    pub kind: ProgType,
    /// Expected attach type.
    pub attach: Option<AttachType>,
    /// May it sleep?
    pub sleepable: bool,
    /// Understands multi-buffer packets (BPF_F_XDP_HAS_FRAGS).
    pub frags: bool,
    /// Licence.
    pub license: License,
    /// Function and line information.
    pub info: Option<Arc<ring3_btf::ProgramInfo>>,
}

impl Program {
    /// A program of bare instructions, GPL, without maps or BTF.
    pub fn new(name: &str, kind: ProgType, code: Code) -> Program {
        Program {
            name: name.to_owned(),
            section: String::new(),
            code,
            maps: Vec::new(),
            kind,
            attach: None,
            sleepable: false,
            frags: false,
            license: License("GPL".to_owned()),
            info: None,
        }
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
    /// Helpers of the embedder, with numbers from `Target::FIRST_CUSTOM_HELPER` up.
    pub helpers: Vec<Proto>,
}

impl Target {
    /// Numbers below belong to Linux.
    pub const FIRST_CUSTOM_HELPER: u32 = 0x1_0000;
}

impl Default for Target {
    fn default() -> Self {
        Target { kernel: KernelVersion::V6_18, cpus: 2, btf: None, helpers: Vec::new() }
    }
}
