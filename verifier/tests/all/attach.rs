//! Attach types and sleeping: what Linux 6.18 says of `r0 = 1; exit` as a program of these types.

use std::sync::Arc;

use ring3_isa::assemble;
use ring3_platform::AttachType as At;
use ring3_platform::{AttachType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// Error number (0 for none) and, where Linux says something, its words.
type Row = (ProgType, Option<AttachType>, bool, i32, &'static str);

const SLEEP: &str = "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable";

const ROWS: [Row; 17] = [
    (ProgType::CgroupSockAddr, None, false, 22, ""),
    (ProgType::CgroupSockAddr, Some(At::CgroupInet4Bind), false, 0, ""),
    (ProgType::CgroupSock, None, false, 0, ""),
    (ProgType::CgroupSock, Some(At::CgroupInetEgress), false, 22, ""),
    (ProgType::CgroupSkb, Some(At::CgroupInetEgress), false, 0, ""),
    (ProgType::CgroupSkb, Some(At::CgroupInetSockCreate), false, 22, ""),
    (ProgType::SkLookup, None, false, 22, ""),
    (ProgType::SkLookup, Some(At::SkLookup), false, 0, ""),
    (ProgType::CgroupSockopt, None, false, 22, ""),
    (ProgType::SkReuseport, None, false, 0, ""),
    (ProgType::Netfilter, None, false, 22, ""),
    (ProgType::Netfilter, Some(At::Netfilter), false, 0, ""),
    (ProgType::Syscall, None, false, 22, "Syscall programs can only be sleepable"),
    (ProgType::Syscall, None, true, 0, ""),
    (ProgType::Xdp, None, true, 22, SLEEP),
    (ProgType::Xdp, Some(At::XdpCpumap), false, 0, ""),
    (ProgType::Kprobe, None, true, 0, ""),
];

#[test]
fn attach_types_and_sleeping() {
    for (kind, attach, sleepable, errno, message) in ROWS {
        let code = assemble("r0 = 1\nexit").unwrap();
        let program = Program { attach, sleepable, ..Program::new("test", kind, code) };
        let said = match verify(Arc::new(program), Arc::new(Target::default()), LogLevel(1)) {
            Ok(_) => (0, String::new()),
            Err(refused) => (refused.errno.number(), refused.message),
        };
        assert_eq!(said.0, errno, "{kind:?} {attach:?}: {}", said.1);
        assert!(message.is_empty() || said.1 == message, "{kind:?} {attach:?}: {}", said.1);
    }
}

#[test]
fn programs_without_a_known_target_are_refused_by_name() {
    let kinds = [
        (ProgType::Tracing, "tracing"),
        (ProgType::Lsm, "tracing"),
        (ProgType::StructOps, "struct_ops"),
        (ProgType::Ext, "freplace"),
    ];
    for (kind, named) in kinds {
        let program = Program::new("test", kind, assemble("r0 = 0\nexit").unwrap());
        let refused = verify(Arc::new(program), Arc::new(Target::default()), LogLevel(1)).unwrap_err();
        assert!(refused.message.contains(named) && refused.errno.number() == 95, "{}", refused.message);
    }
}
