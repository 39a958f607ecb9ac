//! Contexts other than packets: what goes in, what a program reads and writes, and what comes out, on every engine.

use ring3::isa::assemble;
use ring3::platform::AttachType;
use ring3::{Backend, Engine, Input, Output, ProgType, Program};

fn backends() -> impl Iterator<Item = Backend> {
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    [Backend::Checked, Backend::Interpreter].into_iter().chain(jit)
}

fn program(kind: ProgType, attach: Option<AttachType>, text: &str) -> Program {
    let code = assemble(text).unwrap_or_else(|error| panic!("{error}"));
    Program { attach, ..Program::new("p", kind, code) }
}

/// What all engines give, which is the same.
fn run(program: &Program, input: Input<'_>) -> Output {
    let mut outputs = backends().map(|backend| {
        let mut instance = Engine::new().backend(backend).load_program(program.clone());
        let mut runner = instance.runner("p").unwrap_or_else(|error| panic!("{backend:?}: {error}"));
        runner.keep_contexts();
        runner.repeat(input, 2).unwrap_or_else(|error| panic!("{backend:?}: {error}"))
    });
    let first = outputs.next().unwrap();
    for other in outputs {
        assert_eq!(
            (first.retval, &first.packet, &first.context),
            (other.retval, &other.packet, &other.context),
            "{:?}",
            program.kind
        );
    }
    first
}

/// Reads the flow keys that it is given, the packet by address and by helper, and fills in keys that Linux puts right.
const DISSECTOR: &str = "r6 = r1\nr7 = *(u64 *)(r1 +144)\nr0 = *(u16 *)(r7 +10)\nr1 = *(u16 *)(r7 +0)\nr0 <<= 16\nr0 |= r1\n\
    r2 = *(u32 *)(r6 +76)\nr3 = *(u32 *)(r6 +80)\nr4 = r2\nr4 += 20\nif r4 > r3 goto out\nr1 = *(u8 *)(r2 +14)\n*(u8 *)(r7 +9) = r1\n\
    *(u16 *)(r7 +4) = 8\nr1 = *(u32 *)(r7 +48)\n*(u32 *)(r7 +52) = r1\n*(u16 *)(r7 +0) = 5\n*(u16 *)(r7 +2) = 5000\nr1 = r6\n\
    r2 = 12\nr3 = r10\nr3 += -8\nr4 = 2\n*(u64 *)(r10 -8) = 0\ncall 26\nr1 = *(u16 *)(r10 -8)\n\
    *(u16 *)(r7 +12) = r1\nr0 = 0\nout:\nif r0 == 0 goto end\nr0 = 2\nend:\nexit";

fn frame(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len as u8).collect();
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame
}

#[test]
fn a_flow_dissector_fills_in_flow_keys() {
    let program = program(ProgType::FlowDissector, None, DISSECTOR);
    let output = run(&program, Input::Packet(&frame(40)));
    assert_eq!(output.retval, 0);
    let mut keys = vec![0; 56];
    // `nhoff` and `thoff` are brought back into the packet.
    keys[..6].copy_from_slice(&[14, 0, 40, 0, 8, 0]);
    keys[9] = 14;
    // The helper gives a dissector nothing, as in the kernel's test run.
    keys[10..12].copy_from_slice(&[0x08, 0x00]);
    assert_eq!(output.packet, keys);
    assert_eq!(run(&program, Input::Packet(&frame(34))).packet[2], 34);
    assert_eq!(run(&program, Input::Packet(&frame(15))).retval, 2);
    let mut instance = Engine::new().load_program(program);
    assert!(instance.run("p", &[0; 13]).is_err());
    assert!(instance.run("p", Input::Context(&[])).is_err());
}

#[cfg(feature = "kernel")]
#[test]
fn a_flow_dissector_does_what_it_does_in_the_kernel() {
    let program = program(ProgType::FlowDissector, None, DISSECTOR);
    let mut kernel = Engine::new().backend(Backend::Kernel).load_program(program.clone());
    if let Err(error) = kernel.runner("p").map(drop) {
        println!("skipped: {error}");
        return;
    }
    for len in [14, 15, 20, 33, 34, 40, 100] {
        let ours = run(&program, Input::Packet(&frame(len)));
        let mut runner = kernel.runner("p").unwrap();
        runner.keep_contexts();
        let theirs = runner.run(&frame(len)).unwrap_or_else(|error| panic!("{len}: {error}"));
        drop(runner);
        assert_eq!((ours.retval, ours.packet), (theirs.retval, theirs.packet), "{len} bytes");
    }
    assert!(kernel.run("p", &[0; 13]).is_err());
}

/// A lookup of a socket, by what it is asked for: passes if the fields are what they are compared with.
fn lookup_program(family: u32, ip: (u32, u32), ports: (u32, u32)) -> Program {
    let text = format!(
        "r2 = *(u32 *)(r1 +8)\nif r2 != {family} goto drop\nr2 = *(u32 *)(r1 +12)\nif r2 != 6 goto drop\n\
         r2 = *(u32 *)(r1 +16)\nif w2 != {} goto drop\nr2 = *(u32 *)(r1 +56)\nif w2 != {} goto drop\n\
         r2 = *(u32 *)(r1 +36)\nif r2 != {} goto drop\nr2 = *(u32 *)(r1 +60)\nif r2 != {} goto drop\nr2 = *(u64 *)(r1 +0)\n\
         if r2 != 0 goto drop\nr0 = 1\nexit\ndrop:\nr0 = 0\nexit",
        ip.0, ip.1, ports.0, ports.1
    );
    program(ProgType::SkLookup, Some(AttachType::SkLookup), &text)
}

fn lookup_context(family: u32, local_port: u32) -> Vec<u8> {
    let mut words = [0u32; 17];
    (words[2], words[3], words[4], words[8]) = (family, 6, 0x0100_007f, 0x55);
    (words[9], words[10], words[14], words[15]) = (0x5000, 0x0200_007f, 0x66, local_port);
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Addresses of the other family read as zero, as in the kernel's test run, whose checks these are.
#[test]
fn a_lookup_of_a_socket_is_checked_as_in_the_kernel() {
    // Family, local port, what the program sees of the two addresses, and whether it can be.
    let rows = [
        (2, 443, (0x0100_007f, 0), None),
        (10, 443, (0, 0x66), None),
        (2, 0x1_0000, (0, 0), Some("ERANGE")),
        (1, 443, (0, 0), Some("EAFNOSUPPORT")),
    ];
    for (family, port, ip, refused) in rows {
        let program = lookup_program(family, ip, (0x5000, port));
        let context = lookup_context(family, port);
        let mut instances: Vec<_> =
            backends().map(|backend| Engine::new().backend(backend).load_program(program.clone())).collect();
        #[cfg(feature = "kernel")]
        {
            let mut kernel = Engine::new().backend(Backend::Kernel).load_program(program.clone());
            match kernel.runner("p").map(drop) {
                Ok(()) => instances.push(kernel),
                Err(error) => println!("skipped beside the kernel: {error}"),
            }
        }
        for mut instance in instances {
            match (instance.run("p", Input::Context(&context)), refused) {
                (Ok(output), None) => assert_eq!(output.retval, 1, "family {family}"),
                (Err(error), Some(errno)) => assert!(error.to_string().contains(errno), "{error} is not {errno}"),
                (result, _) => panic!("family {family}, port {port}: {result:?}"),
            }
        }
    }
}

/// A socket of which programs can tell that they read it.
fn socket() -> [u8; 80] {
    let mut socket = [0; 80];
    // `family` AF_INET, `protocol` TCP, `state` 7.
    socket[4] = 2;
    socket[12] = 6;
    socket[72] = 7;
    socket
}

#[test]
fn an_address_of_a_socket_is_read_and_written() {
    let text = "r6 = *(u64 *)(r1 +64)\nr2 = *(u32 *)(r6 +4)\nr3 = *(u32 *)(r6 +12)\nr2 <<= 8\nr2 |= r3\nr4 = *(u32 *)(r1 +4)\n\
                r4 += r2\n*(u32 *)(r1 +4) = r4\nr5 = *(u32 *)(r1 +24)\nr5 += 1\n*(u32 *)(r1 +24) = r5\nr0 = 1\nexit";
    let program = program(ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Connect), text);
    let mut context = vec![0; 28];
    context[0] = 2;
    context[4..8].copy_from_slice(&[1, 0, 0, 127]);
    context[24] = 80;
    let output = run(&program, Input::Parts { context: &context, data: &[], socket: &socket() });
    assert_eq!(output.retval, 1);
    // Twice, each on what the run before left.
    assert_eq!(output.context[4..8], (0x7f00_0001u32 + 2 * 0x206).to_le_bytes());
    assert_eq!(output.context[24..26], [82, 0]);
}

#[test]
fn a_socket_option_is_read_and_written() {
    let text = "r6 = *(u64 *)(r1 +0)\nr0 = *(u32 *)(r6 +12)\nr2 = *(u64 *)(r1 +8)\nr3 = *(u64 *)(r1 +16)\nr4 = r2\nr4 += 4\n\
                if r4 > r3 goto out\nr5 = *(u32 *)(r2 +0)\nr5 += r0\n*(u32 *)(r2 +0) = r5\nr5 = *(u32 *)(r1 +28)\nr5 += 1\n\
                *(u32 *)(r1 +28) = r5\n*(u32 *)(r1 +32) = 4\nout:\nr0 = 1\nexit";
    let program = program(ProgType::CgroupSockopt, Some(AttachType::CgroupSetsockopt), text);
    let mut context = vec![0; 40];
    context[28] = 9;
    let output = run(&program, Input::Parts { context: &context, data: &[5, 0, 0, 0, 7], socket: &socket() });
    assert_eq!((output.retval, output.packet), (1, vec![17, 0, 0, 0, 7]));
    assert_eq!((output.context[28], output.context[32]), (11, 4));
    let short = run(&program, Input::Parts { context: &context, data: &[5], socket: &[] });
    assert_eq!((short.retval, short.packet, short.context[28]), (1, vec![5], 9));
}

#[test]
fn messages_and_groups_of_sockets_have_data() {
    let text = "r2 = *(u64 *)(r1 +0)\nr3 = *(u64 *)(r1 +8)\nr6 = *(u64 *)(r1 +72)\nr0 = *(u32 *)(r6 +4)\nr4 = r2\nr4 += 2\n\
                if r4 > r3 goto drop\nr5 = *(u16 *)(r2 +0)\nr1 = *(u32 *)(r1 +68)\nif r5 != 513 goto drop\nif r1 != 64 goto drop\n\
                if r0 != 2 goto drop\nr0 = 1\nexit\ndrop:\nr0 = 0\nexit";
    let message = program(ProgType::SkMsg, None, text);
    let mut context = vec![0; 72];
    context[68] = 64;
    let passed = run(&message, Input::Parts { context: &context, data: &[1, 2], socket: &socket() });
    let dropped = run(&message, Input::Parts { context: &context, data: &[1], socket: &socket() });
    assert_eq!((passed.retval, dropped.retval), (1, 0));
    let text = "r2 = *(u64 *)(r1 +0)\nr3 = *(u64 *)(r1 +8)\nr6 = *(u64 *)(r1 +40)\nr0 = *(u32 *)(r6 +12)\nr4 = r2\nr4 += 1\n\
                if r4 > r3 goto drop\nr5 = *(u8 *)(r2 +0)\nr1 = *(u32 *)(r1 +32)\nif r5 != r1 goto drop\nif r0 != 6 goto drop\n\
                r0 = 1\nexit\ndrop:\nr0 = 0\nexit";
    let reuseport = program(ProgType::SkReuseport, None, text);
    let mut context = vec![0; 36];
    context[32] = 77;
    let passed = run(&reuseport, Input::Parts { context: &context, data: &[77], socket: &socket() });
    let dropped = run(&reuseport, Input::Parts { context: &context, data: &[], socket: &socket() });
    assert_eq!((passed.retval, dropped.retval), (1, 0));
}

/// The kernel has no test run for them, and says so by ENOTSUPP; numbers that are too long are refused here.
/// Whether contexts are asked for or not.
#[test]
fn metadata_are_beside_the_packet_on_every_engine() {
    let program = program(ProgType::Xdp, None, "r2 = -8\ncall 54\nr0 = 2\nexit");
    #[cfg_attr(not(feature = "kernel"), allow(unused_mut))]
    let mut all: Vec<Backend> = backends().collect();
    #[cfg(feature = "kernel")]
    all.push(Backend::Kernel);
    for backend in all {
        let mut instance = Engine::new().backend(backend).load_program(program.clone());
        if let Err(error) = instance.runner("p").map(drop) {
            assert_eq!(backend.name(), "kernel", "{error}");
            println!("skipped: {error}");
            continue;
        }
        let output = instance.run("p", &[7; 60]).unwrap();
        assert_eq!((output.retval, output.packet, output.meta.len()), (2, vec![7; 60], 8), "{backend:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let program = program(ProgType::SkMsg, None, "r0 = 1\nexit");
    let mut instance = Engine::new().load_program(program.clone());
    assert!(instance.run("p", Input::Context(&[0; 72])).is_ok());
    for (context, socket) in [(&[0; 500][..], &[][..]), (&[][..], &[0; 81][..])] {
        assert!(instance.run("p", Input::Parts { context, data: &[], socket }).is_err());
    }
    assert!(instance.run("p", &[0; 60]).is_err());
    #[cfg(feature = "kernel")]
    {
        let mut kernel = Engine::new().backend(Backend::Kernel).load_program(program);
        match kernel.runner("p").map(drop) {
            Ok(()) => {
                let error = kernel.run("p", Input::Context(&[0; 4])).unwrap_err().to_string();
                assert!(error.contains("ENOTSUPP"), "{error}");
            }
            Err(error) => println!("skipped: {error}"),
        }
    }
}

/// Result, context and data, or why there are none.
type Outcome = Result<(u32, Vec<u8>, Vec<u8>), String>;

/// What every engine gives of an input: result, context and data, or that it is refused; the kernel first if it is there.
fn everywhere(program: &Program, engine: &Engine, input: Input<'_>) -> Vec<(String, Outcome)> {
    #[cfg_attr(not(feature = "kernel"), allow(unused_mut))]
    let mut all: Vec<Backend> = backends().collect();
    #[cfg(feature = "kernel")]
    {
        let mut kernel = engine.clone().backend(Backend::Kernel).load_program(program.clone());
        match kernel.runner("p").map(drop) {
            Ok(()) => all.insert(0, Backend::Kernel),
            Err(error) => println!("skipped beside the kernel: {error}"),
        }
    }
    let one = |backend: Backend| {
        let mut instance = engine.clone().backend(backend).load_program(program.clone());
        let mut runner = instance.runner("p").unwrap_or_else(|error| panic!("{backend:?}: {error}"));
        runner.keep_contexts();
        let result = runner.run(input);
        (
            backend.name().to_owned(),
            result.map(|output| (output.retval, output.context, output.packet)).map_err(|e| e.to_string()),
        )
    };
    all.into_iter().map(one).collect()
}

/// The result, which is the same everywhere. An error has the same number in its words.
fn same(program: &Program, engine: &Engine, input: Input<'_>) -> Outcome {
    let all = everywhere(program, engine, input);
    let number = |text: &str| {
        ["EINVAL", "E2BIG", "EPROTO", "ENOTSUPP"].into_iter().find(|name| text.contains(name)).unwrap_or("?").to_owned()
    };
    let plain = |result: &Outcome| result.clone().map_err(|error| number(&error));
    for (name, result) in &all[1..] {
        assert_eq!(
            plain(&all[0].1),
            plain(result),
            "{} and {name}: {:?} and {result:?}; {input:02x?}",
            all[0].0,
            all[0].1
        );
    }
    all[0].1.clone()
}

/// A program that user space calls changes what it is given; bytes behind what it may reach come back as they were.
#[test]
fn arguments_of_a_syscall_program_come_back_changed() {
    let text = "r2 = *(u64 *)(r1 +0)\nr3 = *(u32 *)(r1 +8)\nr2 += r3\n*(u64 *)(r1 +0) = r2\n*(u8 *)(r1 +15) = 7\nr0 = r2\nexit";
    let program = Program { sleepable: true, ..program(ProgType::Syscall, None, text) };
    let engine = Engine::new();
    for len in [16, 17, 24, 100, 4096, 65535] {
        let mut given: Vec<u8> = (0..len).map(|at| at as u8).collect();
        given[..8].copy_from_slice(&40u64.to_le_bytes());
        given[8..12].copy_from_slice(&2u32.to_le_bytes());
        let (retval, context, data) = same(&program, &engine, Input::Context(&given)).unwrap();
        let mut wanted = given.clone();
        (wanted[0], wanted[15]) = (42, 7);
        assert_eq!((retval, &context, data.len()), (42, &wanted, 0), "{len} bytes");
    }
    assert!(same(&program, &engine, Input::Context(&vec![0; 65536])).is_err());
}

#[test]
fn arguments_of_raw_tracepoints_are_twelve_words_at_most() {
    let text = "r2 = *(u64 *)(r1 +0)\nr0 = *(u32 *)(r1 +16)\nr0 += r2\nexit";
    let program = program(ProgType::RawTracepoint, None, text);
    let engine = Engine::new();
    for len in [24, 32, 96] {
        let given: Vec<u8> = (0..len).map(|at| at as u8).collect();
        assert_eq!(same(&program, &engine, Input::Context(&given)).unwrap().0, 0x0302_0100 + 0x1312_1110);
    }
    for len in [97, 104, 4096] {
        assert!(same(&program, &engine, Input::Context(&vec![0; len])).unwrap_err().contains("EINVAL"));
    }
}

/// `struct nf_hook_state` with these.
fn hook_state(hook: u8, family: u8) -> Vec<u8> {
    let mut state = vec![0; 48];
    (state[0], state[1]) = (hook, family);
    state
}

/// Which hook, which protocol, and what the packet is, as the kernel's test run of netfilter programs has it, and its errors.
#[test]
fn a_packet_comes_to_a_netfilter_hook() {
    let kinds = std::path::Path::new(ring3::sim::RUNNING_KERNEL);
    let Ok(types) = ring3::sim::types(kinds) else {
        println!("skipped: there are no types of a kernel");
        return;
    };
    let engine = Engine::new().btf(types.clone());
    let member = |structure: &str, name: &str| {
        let id = types.find(structure, ring3::btf::Kind::Struct).unwrap();
        types.member(id, name).map(|member| member.bit_offset / 8).unwrap()
    };
    // What is read: a byte of the state, or words of the packet's structure and of the interface's.
    let (len, ifindex) = (member("sk_buff", "len"), member("net_device", "ifindex"));
    let device = |at: u32| {
        format!(
            "r2 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r2 +{at})\nr0 = 9\nif r2 == 0 goto out\nr0 = *(u32 *)(r2 +{ifindex})\n"
        )
    };
    // Results must be 0 or 1: what is read is shown bit by bit.
    let reads = [
        "r2 = *(u64 *)(r1 +0)\nr0 = *(u8 *)(r2 +0)\n".to_owned(),
        "r2 = *(u64 *)(r1 +0)\nr0 = *(u8 *)(r2 +1)\n".to_owned(),
        format!("r2 = *(u64 *)(r1 +8)\nr0 = *(u32 *)(r2 +{len})\n"),
        device(8),
        device(16),
    ];
    let frames = [frame(60), {
        let mut six = frame(60);
        six[12..14].copy_from_slice(&[0x86, 0xdd]);
        six
    }];
    let mut inputs: Vec<_> =
        [60, 34, 33, 20, 16, 15, 14, 13].into_iter().map(|len| (frame(60)[..len].to_vec(), Vec::new())).collect();
    for frame in &frames {
        for hook in 0..7 {
            for family in [0, 2, 3, 10] {
                inputs.push((frame.clone(), hook_state(hook, family)));
            }
        }
        for len in [14, 20, 33, 34, 53, 54] {
            inputs.push((frame[..len].to_vec(), hook_state(1, if frame[12] == 8 { 2 } else { 10 })));
        }
    }
    for (at, len) in [(8, 48), (24, 48), (47, 48), (50, 56)] {
        let mut state = hook_state(3, 2);
        state.resize(len, 0);
        state[at] = 1;
        inputs.push((frame(60), state));
    }
    inputs.push((frame(60), hook_state(0, 2)[..2].to_vec()));
    inputs.push((frame(60), vec![0; 64]));
    let mut arp = frame(60);
    arp[13] = 6;
    inputs.push((arp, hook_state(0, 2)));
    for len in [14, 20, 33, 34, 53, 54] {
        inputs.push((frame(60)[..len].to_vec(), hook_state(3, 10)));
    }
    let mut taken = 0;
    for read in &reads {
        for bit in [0, 1, 3] {
            let text = format!("{read}r0 >>= {bit}\nr0 &= 1\ngoto end\nout:\nr0 = 0\nend:\nexit");
            let text = if read.contains("out") { text } else { text.replace("goto end\nout:\nr0 = 0\nend:\n", "") };
            let program = program(ProgType::Netfilter, Some(AttachType::Netfilter), &text);
            for (data, context) in &inputs {
                let input = Input::Parts { context, data, socket: &[] };
                taken += usize::from(same(&program, &engine, input).is_ok());
            }
            let (frame, state) = (frame(60), Vec::new());
            let by_packet = same(&program, &engine, Input::Packet(&frame));
            assert_eq!(by_packet, same(&program, &engine, Input::Parts { context: &state, data: &frame, socket: &[] }));
        }
    }
    assert!(taken > 150, "{taken}");
}

#[test]
fn a_setting_is_read_and_written() {
    let text = "r6 = r1\nr7 = *(u32 *)(r1 +0)\nr2 = r10\nr2 += -16\nr3 = 16\nr4 = 1\n*(u64 *)(r10 -16) = 0\n*(u64 *)(r10 -8) = 0\ncall 101\n\
                r8 = r0\nr1 = r6\nr2 = r10\nr2 += -16\nr3 = 16\ncall 102\nr8 <<= 8\nr8 += r0\nif r7 == 0 goto out\n\
                *(u32 *)(r10 -16) = 0x35393939\nr1 = r6\nr2 = r10\nr2 += -16\nr3 = 4\ncall 104\nif r0 == 0 goto out\nr8 = 0\n\
                out:\nr0 = 1\nif r8 == 2052 goto +1\nr0 = 0\nexit";
    let program = program(ProgType::CgroupSysctl, Some(AttachType::CgroupSysctl), text);
    let setting = |write: u32, new| {
        let context = [write.to_le_bytes(), [0; 4]].concat();
        run(&program, Input::Setting { context: &context, name: "net/ipv4/tcp_wmem", current: b"4096", new })
    };
    let (read, written) = (setting(0, None), setting(1, Some(b"1")));
    assert_eq!((read.retval, read.packet.len()), (1, 0));
    assert_eq!((written.retval, written.packet.as_slice()), (1, &b"9995"[..]));
}

/// Registers, period and address of a sample.
#[test]
fn a_sample_has_registers_and_an_address() {
    let text = "r0 = *(u64 *)(r1 +128)\nr2 = *(u64 *)(r1 +168)\nr3 = *(u64 *)(r1 +176)\nr0 += r2\nr0 += r3\nexit";
    let program = program(ProgType::PerfEvent, None, text);
    let mut context = vec![0; 184];
    (context[128], context[168], context[176]) = (1, 20, 100);
    assert_eq!(run(&program, Input::Context(&context)).retval, 121);
    let mut instance = Engine::new().load_program(program);
    assert!(instance.run("p", Input::Context(&vec![0; 1 << 16])).is_err());
}
