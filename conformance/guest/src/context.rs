//! In what ways a program can be loaded: type, attach type, whether it may sleep, and what it is attached to.

use ring3_btf::Kind;
use ring3_isa::Code;
use ring3_linux::KernelTypes;
use ring3_platform::{AttachType, ProgType, Program};

/// A way to load a program. Its place in the list of all is its number in the table.
#[derive(Clone, Debug)]
pub struct Context {
    /// Type.
    pub kind: ProgType,
    /// Attach type that it is loaded with.
    pub attach: Option<AttachType>,
    /// Is it loaded as sleepable?
    pub sleepable: bool,
    /// Section that names what it is attached to; empty for types that need no such thing.
    pub section: &'static str,
}

impl Context {
    const fn plain(kind: ProgType, attach: Option<AttachType>) -> Context {
        Context { kind, attach, sleepable: false, section: "" }
    }

    const fn at(kind: ProgType, attach: AttachType, sleepable: bool, section: &'static str) -> Context {
        Context { kind, attach: Some(attach), sleepable, section }
    }

    /// A program of it.
    pub fn program(&self, code: Code) -> Program {
        Program {
            section: self.section.to_owned(),
            attach: self.attach,
            sleepable: self.sleepable,
            ..Program::new("probe", self.kind, code)
        }
    }

    /// The number of what it is attached to, 0 for none or for one that the kernel does not have.
    pub fn target(&self, types: Option<&KernelTypes>) -> u32 {
        let Some(types) = types else { return 0 };
        if self.kind == ProgType::StructOps {
            return types.btf().find(STRUCT_OPS, Kind::Struct).map_or(0, |id| id.0);
        }
        types.target_of(&self.program(Code::from_insns([]))).unwrap_or(0)
    }
}

/// The structure whose first function `struct_ops` programs are loaded for.
const STRUCT_OPS: &str = "tcp_congestion_ops";

/// Every way, in the order of program types and attach types.
pub fn contexts() -> Vec<Context> {
    ProgType::ALL.iter().flat_map(|kind| of(*kind)).collect()
}

fn of(kind: ProgType) -> Vec<Context> {
    use AttachType::{LsmCgroup, LsmMac, ModifyReturn, TraceFentry, TraceFexit, TraceIter, TraceRawTp};
    let plain = Context::plain(kind, None);
    let sleepable = Context { sleepable: true, ..plain.clone() };
    match kind {
        ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::CgroupSockAddr
        | ProgType::CgroupSockopt
        | ProgType::SkReuseport
        | ProgType::SkLookup
        | ProgType::Netfilter => {
            let fits = AttachType::ALL.iter().filter(|attach| kind.may_attach(Some(**attach)));
            fits.map(|attach| Context::plain(kind, Some(*attach))).collect()
        }
        ProgType::Tracing => vec![
            Context::at(kind, TraceRawTp, false, "tp_btf/sched_switch"),
            Context::at(kind, TraceFentry, false, "fentry/bpf_fentry_test1"),
            Context::at(kind, TraceFentry, true, "fentry.s/bpf_fentry_test1"),
            Context::at(kind, TraceFexit, false, "fexit/bpf_fentry_test1"),
            Context::at(kind, ModifyReturn, false, "fmod_ret/bpf_modify_return_test"),
            Context::at(kind, TraceIter, false, "iter/task"),
            Context::at(kind, TraceIter, true, "iter.s/task"),
        ],
        ProgType::Lsm => vec![
            Context::at(kind, LsmMac, false, "lsm/file_open"),
            Context::at(kind, LsmMac, true, "lsm.s/file_open"),
            Context::at(kind, LsmCgroup, false, "lsm_cgroup/socket_bind"),
        ],
        // A function of another program: there is none.
        ProgType::Ext => Vec::new(),
        ProgType::StructOps => vec![plain],
        ProgType::Kprobe => vec![plain, sleepable],
        ProgType::Syscall => vec![sleepable],
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Tracepoint
        | ProgType::Xdp
        | ProgType::PerfEvent
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::SockOps
        | ProgType::SkSkb
        | ProgType::CgroupDevice
        | ProgType::SkMsg
        | ProgType::RawTracepoint
        | ProgType::LwtSeg6local
        | ProgType::LircMode2
        | ProgType::FlowDissector
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable => vec![plain],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_say_the_same_as_types() {
        for context in contexts().iter().filter(|context| !context.section.is_empty()) {
            let found = ring3_platform::section(context.section).unwrap();
            assert_eq!((found.kind, found.attach, found.sleepable), (context.kind, context.attach, context.sleepable));
        }
    }

    #[test]
    fn every_type_but_ext_has_one() {
        let all = contexts();
        let missing: Vec<_> = ProgType::ALL.iter().filter(|kind| !all.iter().any(|c| c.kind == **kind)).collect();
        assert_eq!(missing, [&ProgType::Ext]);
        assert!(all.len() < 80, "{}", all.len());
    }
}
