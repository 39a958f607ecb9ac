//! What a program is attached to.

use ring3_platform::{AttachType, ProgType, Program};

use crate::diag::reject::{Reject, unsupported};

/// The attach type suits the program type. Linux looks at it before anything else.
pub fn check_type(program: &Program) -> Result<(), Reject> {
    if program.kind.may_attach(program.attach) {
        return Ok(());
    }
    Err(Reject::AttachType { kind: program.kind.name(), attach: program.attach.map_or("none", AttachType::name) })
}

/// The program may sleep where it says so, and what it is attached to is known. Linux looks at it after the structure.
pub fn check_target(program: &Program) -> Result<(), Reject> {
    if program.kind == ProgType::Syscall {
        return if program.sleepable { Ok(()) } else { Err(Reject::SyscallSleepable {}) };
    }
    if program.sleepable && !program.kind.may_sleep(program.attach) {
        return Err(Reject::NotSleepable {});
    }
    match program.kind {
        // Tracepoints are described by the kernel's BTF, which is asked when the program reads an argument.
        ProgType::Tracing if program.attach == Some(AttachType::TraceRawTp) => Ok(()),
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps | ProgType::Ext => {
            unsupported(format!("what {} programs are attached to", program.kind.name()))
        }
        ProgType::SocketFilter
        | ProgType::Kprobe
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Tracepoint
        | ProgType::Xdp
        | ProgType::PerfEvent
        | ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::SockOps
        | ProgType::SkSkb
        | ProgType::CgroupDevice
        | ProgType::SkMsg
        | ProgType::RawTracepoint
        | ProgType::CgroupSockAddr
        | ProgType::LwtSeg6local
        | ProgType::LircMode2
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable
        | ProgType::CgroupSockopt
        | ProgType::SkLookup
        | ProgType::Syscall
        | ProgType::Netfilter => Ok(()),
    }
}
