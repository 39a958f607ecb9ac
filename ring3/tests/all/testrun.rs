//! `BPF_PROG_TEST_RUN` beside the kernel's: results, data and contexts that come back, and error numbers of what it refuses.

use ring3::isa::assemble;
use ring3::platform::AttachType;
use ring3::{Backend, Engine, Error, ProgType, Program, TestRun, TestRunOutput};

fn program(kind: ProgType, text: &str) -> Program {
    let code = assemble(text).unwrap_or_else(|error| panic!("{error}"));
    let attach = match kind {
        ProgType::CgroupSkb => Some(AttachType::CgroupInetIngress),
        ProgType::SkLookup => Some(AttachType::SkLookup),
        _ => None,
    };
    Program { attach, sleepable: kind == ProgType::Syscall, ..Program::new("p", kind, code) }
}

type Outcome = Result<(u32, Vec<u8>, Vec<u8>), String>;

/// The name of the error number, of either side.
fn errno(error: &Error) -> String {
    let text = error.to_string();
    let names = ["EINVAL", "E2BIG", "ENODEV", "ENXIO", "ENOTSUPP", "EOPNOTSUPP", "ERANGE", "EAFNOSUPPORT", "EMSGSIZE"];
    names.into_iter().find(|name| text.contains(*name)).unwrap_or(&text).to_owned()
}

fn on(backend: Backend, program: &Program, run: &TestRun<'_>) -> Result<Outcome, Error> {
    let mut instance = Engine::new().backend(backend).load_program(program.clone());
    let mut runner = instance.runner("p")?;
    let plain = |output: TestRunOutput| (output.retval, output.data, output.ctx);
    Ok(runner.test_run(run).map(plain).map_err(|error| errno(&error)))
}

/// What every engine gives, the kernel among them if it is there: the same.
fn same(program: &Program, run: &TestRun<'_>) -> Outcome {
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    let ours = [Backend::Checked, Backend::Interpreter].into_iter().chain(jit);
    let mut all: Vec<(Backend, Outcome)> =
        ours.map(|backend| (backend, on(backend, program, run).unwrap_or_else(|error| panic!("{error}")))).collect();
    #[cfg(feature = "kernel")]
    match on(Backend::Kernel, program, run) {
        Ok(outcome) => all.insert(0, (Backend::Kernel, outcome)),
        Err(error) => println!("skipped beside the kernel: {:?}: {error}", program.kind),
    }
    for (backend, outcome) in &all[1..] {
        assert_eq!(&all[0].1, outcome, "{:?} and {backend:?}: {:?}, {run:02x?}", all[0].0, program.kind);
    }
    all.swap_remove(0).1
}

fn frame(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|at| at as u8).collect();
    if len >= 14 {
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
    }
    frame
}

const PACKETS: [ProgType; 7] = [
    ProgType::SocketFilter,
    ProgType::SchedCls,
    ProgType::SchedAct,
    ProgType::CgroupSkb,
    ProgType::LwtIn,
    ProgType::LwtOut,
    ProgType::LwtXmit,
];

/// A context of words at offsets.
fn context(len: usize, words: &[(usize, u32)]) -> Vec<u8> {
    let mut context = vec![0; len];
    for (at, word) in words {
        context[*at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    context
}

/// Every program reads some fields and two bytes of the packet, those of light-weight tunnels among them.
#[test]
fn packets_of_every_type_come_with_a_context() {
    let read = "r6 = r1\nr7 = *(u32 *)(r6 +0)\nr0 = *(u32 *)(r6 +8)\nr7 += r0\nr0 = *(u32 *)(r6 +32)\nr7 += r0\n\
                r0 = *(u32 *)(r6 +36)\nr7 += r0\nr0 = *(u32 *)(r6 +40)\nr7 += r0\nr0 = *(u32 *)(r6 +52)\nr7 += r0\n\
                r0 = *(u32 *)(r6 +164)\nr7 += r0\nr0 = *(u32 *)(r6 +176)\nr7 += r0\nr0 = *(u32 *)(r6 +16)\nr7 += r0\n\
                r1 = r6\nr2 = 3\nr3 = r10\nr3 += -8\nr4 = 2\ncall 26\nr0 = *(u16 *)(r10 -8)\nr0 += r7\n";
    let fields: &[(usize, u32)] =
        &[(8, 0x11), (32, 0x100), (36, 3), (40, 1), (48, 5), (52, 0x2000), (64, 9), (164, 7), (176, 0x30000)];
    let time = [&[(152, 77), (184, 78)], fields].concat();
    for kind in PACKETS {
        // Those of control groups may give 0 to 3.
        let end = if kind == ProgType::CgroupSkb {
            "*(u32 *)(r6 +56) = r0\nr0 = 1\nexit"
        } else {
            "*(u32 *)(r6 +56) = r0\nexit"
        };
        let text = format!("*(u64 *)(r10 -8) = 0\n{read}{end}");
        let program = program(kind, &text);
        for (size, fields) in
            [(192, fields), (180, fields), (188, fields), (300, fields), (192, &time), (4, &[]), (40, &fields[..2])]
        {
            let ctx = context(size.max(4), if size >= 180 { fields } else { &fields[..fields.len().min(2)] });
            for wants_ctx in [false, true] {
                let run = TestRun { data: Some(&frame(60)), ctx: Some(&ctx), wants_ctx, ..TestRun::default() };
                let (retval, _, back) = same(&program, &run).unwrap();
                assert!(kind == ProgType::CgroupSkb || retval != 0);
                assert_eq!(back.len(), if wants_ctx { 192 } else { 0 });
            }
        }
        assert!(same(&program, &TestRun { data: Some(&frame(60)), wants_ctx: true, ..TestRun::default() }).is_ok());
    }
}

/// What the kernel does not take: lengths, flags, processors, batches, fields.
#[test]
fn what_no_test_run_takes_is_refused() {
    let packet = frame(60);
    let data = Some(&packet[..]);
    for kind in PACKETS {
        let program = program(kind, "r0 = 1\nexit");
        let refused =
            |run: TestRun<'_>, wanted: &str| assert_eq!(same(&program, &run), Err(wanted.to_owned()), "{kind:?}");
        refused(TestRun::default(), "EINVAL");
        for len in [0, 13] {
            refused(TestRun { data: Some(&packet[..len]), ..TestRun::default() }, "EINVAL");
        }
        for flags in [1, 2, 8] {
            refused(TestRun { data, flags, ..TestRun::default() }, "EINVAL");
        }
        refused(TestRun { data, cpu: 1, ..TestRun::default() }, "EINVAL");
        refused(TestRun { data, batch_size: 1, ..TestRun::default() }, "EINVAL");
        // `len`, `queue_mapping`, `tc_index`, `hash`, `data`, `family`, `tstamp_type`; `wire_len` below and beyond; an interface.
        for at in [0, 12, 44, 68, 76, 88, 180] {
            refused(TestRun { data, ctx: Some(&context(192, &[(at, 1)])), ..TestRun::default() }, "EINVAL");
        }
        for (at, value, wanted) in [(160, 10, "EINVAL"), (160, 65537, "EINVAL"), (164, 65536, "EINVAL")] {
            refused(TestRun { data, ctx: Some(&context(192, &[(at, value)])), ..TestRun::default() }, wanted);
        }
        refused(TestRun { data, ctx: Some(&context(200, &[(192, 1)])), ..TestRun::default() }, "E2BIG");
        assert!(
            same(
                &program,
                &TestRun { data, ctx: Some(&context(192, &[(160, 65536), (164, 65535)])), ..TestRun::default() }
            )
            .is_ok()
        );
        let ran = same(&program, &TestRun { data, repeat: 5, ..TestRun::default() });
        assert_eq!(ran.map(|(retval, data, _)| (retval, data.len())), Ok((1, 60)));
    }
}

/// Metadata are in front of the packet, as long as the context says.
#[test]
fn packets_of_xdp_come_with_metadata() {
    let text = "r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +8)\nr4 = *(u32 *)(r1 +4)\nr0 = r3\nr0 += 4\nif r0 > r2 goto out\n\
                r5 = *(u8 *)(r3 +0)\nr6 = *(u32 *)(r1 +12)\nr6 <<= 8\nr5 += r6\n*(u8 *)(r3 +1) = 99\nr0 = r5\nexit\nout:\nr0 = 2\nexit";
    let program = program(ProgType::Xdp, text);
    let md = |words: [u32; 6]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let packet = frame(80);
    let data = Some(&packet[..]);
    for (start, wants_ctx) in [(0, true), (4, true), (32, false), (32, true), (60, true)] {
        let ctx = md([start, 80, 0, 0, 0, 0]);
        same(&program, &TestRun { data, ctx: Some(&ctx), wants_ctx, ..TestRun::default() }).unwrap();
    }
    let one = md([4, 80, 0, 1, 0, 0]);
    assert_eq!(same(&program, &TestRun { data, ctx: Some(&one), ..TestRun::default() }).unwrap().0, 0x100);
    // What is behind `data_end` is in fragments.
    for (start, end) in [(4, 79), (4, 20), (4, 10), (216, 300), (0, 14), (0, 0), (8, 8)] {
        let (ctx, packet) = (md([start, end, 0, 0, 0, 0]), frame(300));
        same(&program, &TestRun { data: Some(&packet), ctx: Some(&ctx), wants_ctx: true, ..TestRun::default() })
            .unwrap();
    }
    let bad = [
        [4, 81, 0, 0, 0, 0],
        [68, 80, 0, 0, 0, 0],
        [84, 80, 0, 0, 0, 0],
        [3, 80, 0, 0, 0, 0],
        [4, 80, 1, 0, 0, 0],
        [4, 80, 0, 0, 1, 0],
        [4, 80, 0, 0, 0, 1],
        [4, 80, 0, 1, 9, 0],
    ];
    for words in bad {
        let run = TestRun { data, ctx: Some(&md(words)), ..TestRun::default() };
        assert_eq!(same(&program, &run), Err("EINVAL".to_owned()), "{words:?}");
    }
    let ctx = md([220, 300, 0, 0, 0, 0]);
    let run = TestRun { data: Some(&frame(300)), ctx: Some(&ctx), ..TestRun::default() };
    assert_eq!(same(&program, &run), Err("EINVAL".to_owned()));
    for run in [
        TestRun { data, flags: 1, ..TestRun::default() },
        TestRun { data, flags: 4, ..TestRun::default() },
        TestRun { data, batch_size: 1, ..TestRun::default() },
        TestRun { data: Some(&packet[..13]), ..TestRun::default() },
    ] {
        assert_eq!(same(&program, &run), Err("EINVAL".to_owned()));
    }
    same(&program, &TestRun { data, wants_ctx: true, ..TestRun::default() }).unwrap();
    // Long ones are in fragments, where metadata take nothing from.
    let long = frame(6000);
    for start in [0, 32] {
        let ctx = md([start, 6000, 0, 0, 0, 0]);
        same(&program, &TestRun { data: Some(&long), ctx: Some(&ctx), wants_ctx: true, ..TestRun::default() }).unwrap();
    }
}

#[test]
fn types_without_packets_take_what_the_kernel_takes() {
    let arguments = [1u8; 32];
    let (ctx, data) = (Some(&arguments[..]), Some(&arguments[..]));
    let refused = |program: &Program, run: TestRun<'_>, wanted: &str| {
        assert_eq!(same(program, &run), Err(wanted.to_owned()), "{:?} {run:?}", program.kind);
    };
    let plain = TestRun { ctx, ..TestRun::default() };
    let raw = program(ProgType::RawTracepoint, "r0 = *(u64 *)(r1 +8)\nexit");
    assert!(same(&raw, &plain).is_ok());
    assert!(same(&raw, &TestRun { flags: 1, ..plain }).is_ok());
    for run in [
        TestRun { data, ..plain },
        TestRun { wants_ctx: true, ..plain },
        TestRun { repeat: 1, ..plain },
        TestRun { batch_size: 1, ..plain },
        TestRun { cpu: 1, ..plain },
        TestRun { ctx: Some(&arguments[..15]), ..plain },
        TestRun { ctx: None, ..plain },
    ] {
        refused(&raw, run, "EINVAL");
    }
    refused(&raw, TestRun { flags: 1, cpu: 5000, ..plain }, "ENXIO");
    let call = program(ProgType::Syscall, "r0 = *(u64 *)(r1 +8)\n*(u64 *)(r1 +0) = r0\nexit");
    assert!(same(&call, &TestRun { wants_ctx: true, ..plain }).is_ok());
    for run in [
        TestRun { data, ..plain },
        TestRun { repeat: 1, ..plain },
        TestRun { flags: 1, ..plain },
        TestRun { ctx: Some(&arguments[..15]), ..plain },
    ] {
        refused(&call, run, "EINVAL");
    }
    let lookup = program(ProgType::SkLookup, "r0 = 1\nexit");
    let question = context(68, &[(8, 2)]);
    let plain = TestRun { ctx: Some(&question), ..TestRun::default() };
    assert!(same(&lookup, &TestRun { repeat: 3, ..plain }).is_ok());
    for run in
        [TestRun { data, ..plain }, TestRun { flags: 1, ..plain }, TestRun { cpu: 1, ..plain }, TestRun::default()]
    {
        refused(&lookup, run, "EINVAL");
    }
}

/// The kernel runs these where something happens, and has no test run for them.
#[test]
fn types_without_a_test_run_are_refused_by_name() {
    let text = "r0 = 0\nexit";
    let types = [ProgType::Kprobe, ProgType::Tracepoint, ProgType::PerfEvent, ProgType::SkMsg, ProgType::SockOps];
    for kind in types {
        let program = program(kind, text);
        let ctx = [0; 8];
        let refused = same(&program, &TestRun { ctx: Some(&ctx), ..TestRun::default() });
        assert_eq!(refused, Err("ENOTSUPP".to_owned()), "{kind:?}");
        // Contexts that are given they run on all the same.
        let mut instance = Engine::new().load_program(program);
        assert_eq!(instance.run("p", ring3::Input::Context(&ctx)).unwrap().retval, 0);
    }
}

/// What one run is given of its interface, the next has not, on the same runner.
#[test]
fn contexts_of_xdp_do_not_stay() {
    let program = program(ProgType::Xdp, "r0 = *(u32 *)(r1 +12)\nexit");
    let mut instance = Engine::new().load_program(program);
    let mut runner = instance.runner("p").unwrap();
    // The default host has any interface.
    let given = [[0u32, 60, 0].map(u32::to_ne_bytes).concat(), [7u32, 0, 0].map(u32::to_ne_bytes).concat()].concat();
    let frame = frame(60);
    let with = |context| ring3::Input::Parts { context, data: &frame, socket: &[] };
    assert_eq!(runner.run(with(&given)).unwrap().retval, 7);
    assert_eq!(runner.run(&frame[..]).unwrap().retval, 1);
    assert_eq!(runner.run(with(&given)).unwrap().retval, 7);
    let none = [[0u32, 60, 0].map(u32::to_ne_bytes).concat(), vec![0; 12]].concat();
    assert_eq!(runner.run(with(&none)).unwrap().retval, 1);
}
