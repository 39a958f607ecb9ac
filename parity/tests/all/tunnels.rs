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
