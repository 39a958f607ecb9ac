//! The kernel's own types, and what programs are attached to by them.

use ring3_btf::{Btf, Kind};
use ring3_platform::{AttachType, ProgType, Program};

use crate::{Errno, Error};

/// Where the kernel keeps them.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Largest that is read.
const MAX_BYTES: u64 = 256 << 20;

/// The types of the running kernel. Reading them takes a moment: keep it for all programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelTypes {
    btf: Btf,
}

/// What a target is in the kernel's types: what its name begins with, and its kind.
const fn naming(kind: ProgType, attach: Option<AttachType>) -> Option<(&'static str, Kind)> {
    match (kind, attach) {
        (ProgType::Tracing, Some(AttachType::TraceRawTp)) => Some(("btf_trace_", Kind::Typedef)),
        (ProgType::Tracing, Some(AttachType::TraceIter)) => Some(("bpf_iter_", Kind::Func)),
        (ProgType::Tracing, _) => Some(("", Kind::Func)),
        (ProgType::Lsm, _) => Some(("bpf_lsm_", Kind::Func)),
        _ => None,
    }
}

impl KernelTypes {
    /// Reads them.
    ///
    /// Errors: [`Error::NoTypes`] for a kernel without them, [`Error::File`] for ones that cannot be understood.
    pub fn read() -> Result<KernelTypes, Error> {
        use std::io::Read;
        let mut bytes = Vec::new();
        let file = std::fs::File::open(VMLINUX).map_err(|error| Error::NoTypes {
            path: VMLINUX,
            errno: Errno(error.raw_os_error().unwrap_or_default()),
        })?;
        let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
        let btf = read.ok().and_then(|_| Btf::parse(&bytes).ok());
        btf.map(|btf| KernelTypes { btf }).ok_or(Error::File { path: VMLINUX })
    }

    /// The types themselves.
    pub fn btf(&self) -> &Btf {
        &self.btf
    }

    /// Which member of its struct of functions a struct_ops program is, for [`crate::LoadOptions::member`].
    pub fn member_of(&self, program: &Program) -> Option<u32> {
        let named = program.ops.as_ref()?;
        let id = self.btf.find(&named.ops, Kind::Struct)?;
        let Some(ring3_btf::Type::Struct(ops)) = self.btf.get(id) else { return None };
        let at = ops.members.iter().position(|member| self.btf.string(member.name) == named.member)?;
        u32::try_from(at).ok()
    }

    /// The number of what a program is attached to, for [`crate::LoadOptions::attach_btf_id`]. The name stands in the
    /// program's section (`fentry/do_unlinkat`, `tp_btf/sched_switch`, `lsm/file_open`, `iter/task`).
    ///
    /// `None` if programs of its type have no such target, or if the kernel has none of that name.
    pub fn target_of(&self, program: &Program) -> Option<u32> {
        if let Some(member) = &program.ops {
            return self.btf.find(&member.ops, Kind::Struct).map(|id| id.0);
        }
        let (_, kind) = naming(program.kind, program.attach)?;
        self.btf.find(&name(program)?, kind).map(|id| id.0)
    }
}

/// The name in the kernel's types of what a program is attached to; `None` if it is attached without them.
pub(crate) fn name(program: &Program) -> Option<String> {
    let (prefix, _) = naming(program.kind, program.attach)?;
    Some(format!("{prefix}{}", program.attach_name()?))
}
