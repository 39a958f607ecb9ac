use ring3_isa::Code;

use super::*;

fn program(kind: ProgType, attach: Option<AttachType>) -> Program {
    Program { attach, ..Program::new("test", kind, Code::default()) }
}

fn offered(kind: ProgType, attach: Option<AttachType>, id: u32) -> bool {
    matches!(Target::default().helper(&program(kind, attach), id), Lookup::Found(_))
}

#[test]
fn numbers_are_without_gaps_and_names_go_both_ways() {
    assert!(ALL.iter().copied().eq(1..=211));
    for &id in ALL {
        assert_eq!(helper_name(id).and_then(helper_by_name), Some(id));
    }
    assert_eq!(helper_name(0), None);
    assert_eq!(helper_name(212), None);
    assert_eq!(helper_name(id::RINGBUF_RESERVE), Some("ringbuf_reserve"));
}

#[test]
fn rows_are_sorted_and_every_helper_has_one() {
    assert!(protos().is_sorted_by_key(|proto| proto.id));
    let without: Vec<u32> =
        ALL.iter().copied().filter(|&id| protos().binary_search_by_key(&id, |proto| proto.id).is_err()).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn no_program_is_offered_two_prototypes() {
    for &kind in ProgType::ALL {
        for attach in AttachType::ALL.iter().copied().map(Some).chain([None]) {
            for sleepable in [false, true] {
                let mut last = 0;
                let judged = Program { sleepable, ..program(kind, attach) };
                for proto in protos() {
                    if proto.progs.has(kind) && proto.condition.holds(&judged) {
                        assert_ne!(proto.id, last, "{} for {kind:?} {attach:?} {sleepable}", proto.name);
                        last = proto.id;
                    }
                }
            }
        }
    }
}

#[test]
fn sizes_follow_memory_and_nothing_follows_the_last_argument() {
    for proto in protos() {
        for pair in proto.args.windows(2) {
            if pair[0].kind == ArgKind::None {
                assert_eq!(pair[1].kind, ArgKind::None, "{}", proto.name);
            }
            let is_size = matches!(pair[1].kind, ArgKind::ConstSize | ArgKind::ConstSizeOrZero);
            assert_eq!(is_size, pair[0].kind == ArgKind::Mem, "{}", proto.name);
        }
        assert_ne!(proto.args[4].kind, ArgKind::Mem);
    }
}

#[test]
fn who_may_call_what() {
    assert!(offered(ProgType::Xdp, None, id::XDP_ADJUST_HEAD));
    assert!(!offered(ProgType::SchedCls, None, id::XDP_ADJUST_HEAD));
    assert!(offered(ProgType::SocketFilter, None, id::MAP_LOOKUP_ELEM));
    assert!(!offered(ProgType::LircMode2, None, id::GET_CURRENT_PID_TGID));
    assert!(!offered(ProgType::Ext, None, id::MAP_LOOKUP_ELEM));
    assert!(offered(ProgType::CgroupDevice, Some(AttachType::CgroupDevice), id::GET_RETVAL));
    assert!(!offered(ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress), id::GET_RETVAL));
    assert!(!offered(ProgType::CgroupSkb, None, id::GET_RETVAL));
    assert!(offered(ProgType::CgroupSock, None, id::GET_RETVAL));
    assert!(offered(ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Connect), id::BIND));
    assert!(!offered(ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Bind), id::BIND));
    assert!(offered(ProgType::Tracing, Some(AttachType::TraceFentry), id::GET_FUNC_ARG));
    assert!(!offered(ProgType::Tracing, Some(AttachType::TraceIter), id::GET_FUNC_ARG));
    assert!(offered(ProgType::Tracing, Some(AttachType::TraceIter), id::SEQ_WRITE));
}

#[test]
fn prototypes_differ_by_program_type() {
    let target = Target::default();
    let first = |kind| match target.helper(&program(kind, None), id::GET_CGROUP_CLASSID) {
        Lookup::Found(proto) => proto.args[0].kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(first(ProgType::SchedCls), ArgKind::Ctx);
    assert_eq!(first(ProgType::Xdp), ArgKind::None);
}

#[test]
fn unknown_numbers_and_releases() {
    let target = Target::default();
    let xdp = program(ProgType::Xdp, None);
    for id in [0, 212, Target::FIRST_CUSTOM_HELPER, u32::MAX] {
        assert_eq!(target.helper(&xdp, id), Lookup::Invalid, "{id}");
    }
    assert_eq!(target.helper(&xdp, id::SKB_LOAD_BYTES), Lookup::NotForProgram);
    let old = Target { kernel: KernelVersion::new(5, 7), ..Target::default() };
    assert_eq!(old.helper(&xdp, id::RINGBUF_OUTPUT), Lookup::Invalid);
    assert!(matches!(old.helper(&xdp, id::REDIRECT_MAP), Lookup::Found(_)));
}

#[test]
fn what_cannot_be_told_is_not_denied() {
    let target = Target::default();
    let tracing = program(ProgType::Tracing, Some(AttachType::TraceRawTp));
    assert!(matches!(target.helper(&tracing, id::PROBE_WRITE_USER), Lookup::Unmodelled(_)));
    assert!(matches!(target.helper(&tracing, id::SK_STORAGE_GET), Lookup::Found(proto) if proto.allowed(&tracing)));
    let syscall = program(ProgType::Syscall, None);
    assert!(matches!(target.helper(&syscall, id::SK_STORAGE_GET), Lookup::Found(proto) if !proto.allowed(&syscall)));
    assert_eq!(target.helper(&program(ProgType::Xdp, None), id::SK_STORAGE_GET), Lookup::NotForProgram);
    // The option is off in the kernel whose rules these are.
    assert_eq!(target.helper(&program(ProgType::Kprobe, None), id::OVERRIDE_RETURN), Lookup::NotForProgram);
}

#[test]
fn sockets_at_hooks_of_security_modules() {
    let target = Target::default();
    let at = |attach, section: &str| {
        let mut program = program(ProgType::Lsm, Some(attach));
        program.section = section.to_owned();
        matches!(target.helper(&program, id::SETSOCKOPT), Lookup::Found(_))
    };
    assert!(at(AttachType::LsmCgroup, "lsm_cgroup/socket_post_create"));
    assert!(at(AttachType::LsmCgroup, "lsm_cgroup/inet_csk_clone"));
    assert!(!at(AttachType::LsmCgroup, "lsm_cgroup/socket_bind"));
    assert!(!at(AttachType::LsmMac, "lsm/socket_post_create"));
}

#[test]
fn helpers_of_an_embedder() {
    let id = Target::FIRST_CUSTOM_HELPER + 7;
    let own = Proto { id, name: "own", progs: ProgSet::of(&[ProgType::Xdp]), ..protos()[0] };
    let target = Target { helpers: vec![own], ..Target::default() };
    assert!(matches!(target.helper(&program(ProgType::Xdp, None), id), Lookup::Found(p) if p.name == "own"));
    assert_eq!(target.helper(&program(ProgType::Kprobe, None), id), Lookup::NotForProgram);
}

macro_rules! count {
    ($start:literal $($number:literal $constant:ident $name:ident $major:literal, $minor:literal;)*) => {
        $start $(+ { let _ = $number; 1 })*
    };
}

#[test]
fn the_list_is_given_to_macros() {
    let counted: usize = crate::for_each_helper!(count 0);
    assert_eq!(counted, ALL.len());
}

#[test]
fn what_functions_of_structures_are_offered() {
    let of = |ops: &str, member: &str, id: u32| {
        let ops = Some(crate::OpsMember { ops: ops.to_owned(), member: member.to_owned() });
        Target::default().helper(&Program { ops, ..program(ProgType::StructOps, None) }, id) == Lookup::NotForProgram
    };
    // The one that is for tests of the kernel has no helper at all: seen on Linux 6.18.
    for id in [id::KTIME_GET_NS, id::MAP_LOOKUP_ELEM, id::GET_CURRENT_TASK, id::TAIL_CALL, id::KTIME_GET_COARSE_NS] {
        assert!(of("bpf_dummy_ops", "test_1", id) && !of("tcp_congestion_ops", "init", id), "{id}");
    }
}
