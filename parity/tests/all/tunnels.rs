//! Headers that a lightweight tunnel puts in front of packets (`bpf_lwt_push_encap`), beside the running kernel's test run.

use ring3::{Backend, Engine, Error, Input, Instance, ProgType, Program};

/// Bytes of the frame: the header's length (u32 at 0 of the network layer), its kind, whether a second one follows.
const PROGRAM: &str = "
    r6 = r1
    *(u64 *)(r10 -8) = 0
    *(u64 *)(r10 -16) = 0
    *(u64 *)(r10 -24) = 0
    *(u64 *)(r10 -32) = 0
    *(u64 *)(r10 -40) = 0
    *(u64 *)(r10 -48) = 0
    *(u64 *)(r10 -56) = 0
    *(u64 *)(r10 -64) = 0
    r2 = 20
    r3 = r10
    r3 += -64
    r4 = 64
    call 26
    if r0 != 0 goto out
    r7 = *(u8 *)(r10 -64)
    r8 = *(u8 *)(r10 -63)
    r9 = *(u8 *)(r10 -62)
    if r8 > 60 goto out
    if r8 == 0 goto out
  again:
    r1 = r6
    r2 = r7
    r3 = r10
    r3 += -60
    r4 = r8
    call 73
    r9 += -1
    if r9 s> 0 goto again
    if r0 s< 0 goto failed
    r0 = *(u32 *)(r6 +16)
    r1 = *(u32 *)(r6 +0)
    r0 <<= 12
    r0 += r1
    exit
  failed:
    exit
  out:
    r0 = 1
    exit";

fn instance(backend: Backend) -> Instance {
    let code = ring3::isa::assemble(PROGRAM).unwrap_or_else(|error| panic!("{error}"));
    Engine::new().backend(backend).load_program(Program::new("tunnel", ProgType::LwtIn, code))
}

/// A frame of IPv4 whose bytes behind its header say what to do: the kind, how many bytes of a header, how often, and the header.
fn frame(kind: u8, len: u8, times: u8, header: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, 0, 84, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([kind, len, times, 0]);
    frame.extend(header);
    frame.resize(14 + 20 + 64 + 10, 0xee);
    frame
}

fn headers() -> Vec<Vec<u8>> {
    let ipv4 = |first: u8, check: u16| {
        let mut header = vec![first, 0, 0, 104, 1, 2, 0, 0, 64, 4, 0, 0, 192, 168, 0, 1, 192, 168, 0, 2];
        header[10..12].copy_from_slice(&check.to_be_bytes());
        header.extend([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2]);
        header
    };
    let mut ipv6 = vec![0x60, 0, 0, 0, 0, 60, 41, 64];
    ipv6.extend(1..53);
    vec![ipv4(0x45, 0), ipv4(0x45, 0x1234), ipv4(0x46, 0), ipv4(0x4f, 0), ipv6, ipv4(0x55, 0), ipv4(0x05, 7)]
}

#[test]
fn packets_get_headers_as_in_linux() {
    let engines = [Backend::Kernel, Backend::Checked, Backend::Interpreter, Backend::best()];
    let mut engines: Vec<Instance> = engines.into_iter().map(instance).collect();
    let (mut compared, mut pushed) = (0, 0);
    for header in headers() {
        for (kind, times) in [(2, 1), (2, 3), (0, 1), (1, 1), (3, 1), (255, 1)] {
            for len in [1, 19, 20, 24, 32, 39, 40, 60] {
                let frame = frame(kind, len, times, &header);
                let run = |instance: &mut Instance| {
                    instance.run("tunnel", Input::Packet(&frame)).map(|output| (output.retval, output.packet))
                };
                let theirs = match run(&mut engines[0]) {
                    Ok(theirs) => theirs,
                    Err(error @ Error::Rejected { .. }) => panic!("{error}"),
                    Err(error) => return println!("skipped: {error}"),
                };
                compared += 1;
                pushed += usize::from(theirs.1.len() > frame.len());
                for ours in &mut engines[1..] {
                    let ours = run(ours).unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(ours, theirs, "kind {kind}, {len} bytes, {times} times: {header:x?}");
                }
            }
        }
    }
    println!("{compared} runs compared, in {pushed} of which a header was pushed");
    assert!(pushed > 30);
}

/// A frame of IPv6 with the same behind its header.
fn frame_v6(kind: u8, len: u8, header: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x86, 0xdd, 0x6a, 0xbc, 0xde, 0xf1, 0, 64, 17, 33]);
    frame.extend((0..32).map(|n| if n < 16 { 0x20 + n } else { 0xf0 - n }));
    frame.extend([kind, len, 1, 0]);
    frame.extend(header);
    frame.resize(14 + 40 + 64 + 10, 0xee);
    frame
}

/// A header of segment routing: words behind the first, how many segments are left, the first of them, and what follows them.
fn segments(words: u8, left: u8, first: u8, records: &[u8]) -> Vec<u8> {
    let mut header = vec![99, words, 4, left, first, 0, 7, 7];
    for segment in 0..=first.min(3) {
        // Nobody has them: what there is no way to is not sent.
        header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, segment]);
    }
    header.extend(records);
    header
}

/// Where there is a way to everywhere.
struct Routed;

impl ring3::vm::Host for Routed {
    fn next_hop_v6(&mut self, _to: &[u8; 16]) -> Result<(), ring3::platform::Errno> {
        Ok(())
    }

    fn source_v6(&mut self, _to: &[u8; 16]) -> [u8; 16] {
        [0xab; 16]
    }
}

fn instances_v6(backends: &[Backend]) -> Vec<Instance> {
    let text = PROGRAM.replace("r2 = 20", "r2 = 40");
    let code = ring3::isa::assemble(&text).unwrap_or_else(|error| panic!("{error}"));
    let one = |backend: &Backend| {
        let program = Program::new("tunnel", ProgType::LwtIn, code.clone());
        let mut instance = Engine::new().backend(*backend).load_program(program);
        instance.set_host(Routed);
        instance
    };
    backends.iter().map(one).collect()
}

/// In a header of its own (`BPF_LWT_ENCAP_SEG6`) a test run of the kernel is not asked: it has no route that it would take the source
/// from, and looks for it all the same. The same holds for headers that are to be signed.
#[test]
fn segments_are_inserted_as_in_linux() {
    let mut headers = vec![
        segments(2, 0, 0, &[]),
        segments(4, 1, 1, &[]),
        segments(4, 0, 1, &[]),
        segments(4, 2, 1, &[]),
        segments(4, 3, 1, &[]),
        segments(4, 1, 0, &[4, 14, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        segments(3, 0, 0, &[4, 6, 0, 0, 0, 0, 0, 0]),
        segments(3, 0, 0, &[4, 7, 0, 0, 0, 0, 0, 0]),
        segments(3, 0, 0, &[1, 0, 1, 0, 1, 0, 1, 0]),
        segments(3, 0, 0, &[0; 8]),
        segments(6, 2, 2, &[]),
        segments(2, 0, 1, &[]),
        segments(0, 0, 0, &[])[..8].to_vec(),
    ];
    headers.push([&segments(2, 0, 0, &[])[..2], &[0], &segments(2, 0, 0, &[])[3..]].concat());
    let mut engines = instances_v6(&[Backend::Kernel, Backend::Checked, Backend::Interpreter, Backend::best()]);
    let (mut compared, mut pushed) = (0, 0);
    for header in headers {
        for (len, v6) in
            [(header.len(), true), (header.len() - 1, true), (header.len() - 8, true), (header.len(), false)]
        {
            if len == 0 || len > 60 {
                continue;
            }
            let mut frame = frame_v6(1, len as u8, &header);
            if !v6 {
                (frame[12], frame[13]) = (8, 0);
            }
            let run = |instance: &mut Instance| {
                instance.run("tunnel", Input::Packet(&frame)).map(|output| (output.retval, output.packet))
            };
            let theirs = match run(&mut engines[0]) {
                Ok(theirs) => theirs,
                Err(error @ Error::Rejected { .. }) => panic!("{error}"),
                Err(error) => return println!("skipped: {error}"),
            };
            compared += 1;
            let grown = theirs.1.len() > frame.len();
            pushed += usize::from(grown);
            for ours in &mut engines[1..] {
                let ours = run(ours).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(ours.1, theirs.1, "{len} bytes, v6: {v6}: {header:x?}");
                // Whether there is a way is the machine's affair, and told behind the rest.
                if !grown {
                    assert_eq!(ours.0, theirs.0, "{len} bytes, v6: {v6}: {header:x?}");
                }
            }
        }
    }
    println!("{compared} runs compared, in {pushed} of which a header was inserted");
    assert!(pushed > 4 && pushed < compared);
}

#[test]
fn segments_in_a_header_of_their_own() {
    let header = segments(4, 1, 1, &[]);
    let mut signed = header.clone();
    signed[5] = 8;
    for mut instance in instances_v6(&[Backend::Checked, Backend::Interpreter, Backend::best()]) {
        let frame = frame_v6(0, header.len() as u8, &header);
        let output = instance.run("tunnel", Input::Packet(&frame)).unwrap();
        let inner = &frame[14..];
        let mut wanted = vec![0x6a, 0xbc, 0xde, 0xf1, 0, (inner.len() + header.len()) as u8, 43, 33];
        wanted.extend([0xab; 16]);
        // The last address in the header is the first of the way.
        wanted.extend(&header[24..40]);
        wanted.push(41);
        wanted.extend(&header[1..]);
        wanted.extend(inner);
        assert_eq!(output.packet[14..], wanted);
        assert_eq!(output.retval, (0xdd86 << 12) + wanted.len() as u32);
        // There are no keys; and no way, unless the host says so.
        let refused = instance.run("tunnel", Input::Packet(&frame_v6(0, signed.len() as u8, &signed))).unwrap();
        assert_eq!(refused.retval.cast_signed(), -ring3::platform::Errno::EINVAL.number());
        instance.set_host(ring3::vm::TestHost::default());
        let lost = instance.run("tunnel", Input::Packet(&frame)).unwrap();
        assert_eq!(lost.retval.cast_signed(), -ring3::platform::Errno::EINVAL.number());
    }
}
