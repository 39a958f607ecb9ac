//! Programs and packets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring3_isa::{IsaError, assemble};
use ring3_object::{Object, ObjectError, Options};
use ring3_platform::{MapDef, MapType, ProgType, Program};

use crate::expect::{self, Expect};

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum WorkloadError {
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Text(#[from] IsaError),
    #[error("{path} has no packet {packet}")]
    NoPacket { path: String, packet: usize },
}

/// A program with a packet.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Short name.
    pub name: String,
    /// An XDP program.
    pub program: Arc<Program>,
    /// The packet.
    pub packet: Vec<u8>,
    /// What it returns, where that was computed without it.
    pub want: Option<u32>,
    /// The C that it was compiled from, where that compiles for this machine too (`native`).
    pub source: Option<PathBuf>,
}

/// What a program of `bpf/` gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Payload {
    /// Bytes without any order.
    Noise,
    /// Lines of words and numbers.
    Text,
    /// Frames, one each 64 bytes.
    Frames,
}

/// Objects of `bpf`, their programs, what they get and what they are to return.
const COMPILED: [(&str, &str, Payload, Expect); 23] = [
    ("alu_chain", "alu_chain", Payload::Noise, expect::alu_chain),
    ("byte_sum", "byte_sum", Payload::Noise, expect::byte_sum),
    ("checksum", "checksum", Payload::Noise, expect::checksum),
    ("histogram", "histogram", Payload::Noise, expect::histogram),
    ("crc32", "crc32", Payload::Noise, expect::crc32),
    ("crc32", "crc32_bits", Payload::Noise, expect::crc32_bits),
    ("jhash", "jhash", Payload::Noise, expect::jhash),
    ("siphash", "siphash", Payload::Noise, expect::siphash),
    ("sort", "sort", Payload::Noise, expect::sort),
    ("search", "search", Payload::Noise, expect::search),
    ("parser", "parser", Payload::Frames, expect::parser),
    ("helper_calls", "helper_calls", Payload::Noise, expect::helper_calls),
    ("array_map", "array_map", Payload::Noise, expect::array_map),
    ("hash_map", "hash_map", Payload::Noise, expect::hash_map),
    ("memory", "memory", Payload::Noise, expect::memory),
    ("words", "words", Payload::Text, expect::words),
    ("calls", "calls", Payload::Noise, expect::calls),
    ("decimal", "decimal", Payload::Noise, expect::decimal),
    ("byte_order", "byte_order", Payload::Noise, expect::byte_order),
    ("automaton", "automaton", Payload::Noise, expect::automaton),
    ("select", "select", Payload::Noise, expect::select),
    ("rotates", "rotates", Payload::Noise, expect::rotates),
    ("percpu_map", "percpu_map", Payload::Noise, expect::percpu_map),
];

/// Those that look up and do little else, `LOOKED_UP` times in a run.
const LOOKUP_LOOPS: [(&str, &str, Payload, Expect); 3] = [
    ("lookups", "array_lookups", Payload::Noise, expect::lookups),
    ("lookups", "percpu_lookups", Payload::Noise, expect::lookups),
    ("lookups", "hash_lookups", Payload::Noise, expect::lookups),
];

/// Entries of their maps (`ENTRIES` in `bpf/lookups.bpf.c`), each of which is looked up once in a run.
pub const LOOKED_UP: u32 = 1000;

/// Bytes of the packet of a compiled program (`SIZE` in `bpf/bench.h`).
const SIZE: usize = 1024;

/// Objects of `examples/bpf` with a program each, and a packet of a capture of `examples/captures` that takes its main way.
const EXAMPLES: [(&str, &str, &str, usize); 6] = [
    ("hello_plain", "hello_plain", "mixed", 0),
    ("drop_icmp", "drop_icmp", "mixed", 2),
    ("flows", "flows_by_protocol", "mixed", 7),
    ("lb", "lb", "lb", 0),
    ("tcp_options", "tcp_options", "tcp_options", 2),
    ("subprogs", "subprogs", "mixed", 7),
];

/// Looks at the headers of a TCP segment.
const HEADERS: &str = "
    r2 = *(u32 *)(r1 +0)
    r3 = *(u32 *)(r1 +4)
    r0 = 2
    r4 = r2
    r4 += 54
    if r4 > r3 goto out
    r5 = *(u16 *)(r2 +12)
    if r5 != 8 goto out
    r5 = *(u8 *)(r2 +14)
    r5 &= 15
    if r5 != 5 goto out
    r5 = *(u8 *)(r2 +23)
    if r5 != 6 goto out
    r5 = *(u16 *)(r2 +36)
    r5 = be16 r5
    if r5 != 443 goto out
    r0 = 1
    out: exit";

/// Adds up 512 words of the packet and folds the carries.
const CHECKSUM: &str = "
    r2 = *(u32 *)(r1 +0)
    r3 = *(u32 *)(r1 +4)
    r0 = 0
    r5 = 0
    r4 = r2
    r4 += 1024
    if r4 > r3 goto out
    top: r6 = *(u16 *)(r2 +0)
    r0 += r6
    r2 += 2
    r5 += 1
    if r5 < 512 goto top
    r6 = r0
    r6 >>= 16
    r0 &= 65535
    r0 += r6
    out: exit";

/// 1000 rounds of arithmetic with a division each.
const ARITHMETIC: &str = "
    r0 = 0x9e3779b97f4a7c15
    r7 = 0x1b03738712fad5c9
    r5 = 0
    top: r6 = r0
    r6 >>= 29
    r0 ^= r6
    r0 *= r7
    r6 = r0
    r6 <<= 13
    r0 += r6
    r6 = r0
    r6 %= 1000003
    r0 ^= r6
    r5 += 1
    if r5 < 1000 goto top
    w0 = w0
    exit";

/// 16 lookups in an array, each value read and written.
const LOOKUPS: &str = "
    r6 = 0
    r7 = 0
    top: *(u32 *)(r10 -4) = r6
    r2 = r10
    r2 += -4
    r1 = map[fd:0]
    call bpf_map_lookup_elem#1
    if r0 == 0 goto next
    r1 = *(u64 *)(r0 +0)
    r7 += r1
    r1 += r6
    *(u64 *)(r0 +0) = r1
    next: r6 += 1
    if r6 < 16 goto top
    r0 = r7
    exit";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn read(path: &Path) -> Result<Vec<u8>, WorkloadError> {
    std::fs::read(path).map_err(|source| WorkloadError::File { path: path.display().to_string(), source })
}

/// Everything that is measured.
pub fn all() -> Result<Vec<Workload>, WorkloadError> {
    let examples = EXAMPLES.iter().map(|(object, program, capture, packet)| example(object, program, capture, *packet));
    let texts = [("headers", HEADERS), ("checksum", CHECKSUM), ("arithmetic", ARITHMETIC), ("lookups", LOOKUPS)];
    examples.chain(texts.iter().map(|(name, text)| written(name, text))).collect()
}

/// The programs compiled from C that run for thousands of instructions each: what an instruction costs is measured on these.
pub fn compiled() -> Result<Vec<Workload>, WorkloadError> {
    from_c(&COMPILED)
}

/// The programs that look up in a map, `LOOKED_UP` times in a run.
pub fn lookup_loops() -> Result<Vec<Workload>, WorkloadError> {
    from_c(&LOOKUP_LOOPS)
}

fn from_c(programs: &[(&str, &str, Payload, Expect)]) -> Result<Vec<Workload>, WorkloadError> {
    let load = |&(object, name, payload, expect): &(&str, &str, Payload, Expect)| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
        let path = folder.join(format!("{object}.bpf.o"));
        let parsed = Object::parse(&path.display().to_string(), &read(&path)?)?;
        let program = Arc::new(parsed.program(name, &Options::default())?);
        let packet = payload.bytes();
        let source = Some(folder.join(format!("{object}.bpf.c")));
        Ok(Workload { name: name.to_owned(), program, want: Some(expect(&packet)), packet, source })
    };
    programs.iter().map(load).collect()
}

impl Payload {
    /// The same on every run, `SIZE` bytes.
    fn bytes(self) -> Vec<u8> {
        match self {
            Payload::Noise => noise(1),
            Payload::Text => text(),
            Payload::Frames => frames(),
        }
    }
}

/// Bytes of a xorshift generator.
fn noise(seed: u64) -> Vec<u8> {
    let mut x = seed;
    let mut byte = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..SIZE).map(|_| byte()).collect()
}

/// Words of one to eight letters, some of them numbers, in lines.
fn text() -> Vec<u8> {
    let mut text = Vec::new();
    for random in noise(2) {
        let first = if random % 5 == 0 { b'0' } else { b'a' };
        text.extend((0..random % 8 + 1).map(|i| first + (random ^ i) % 10));
        text.push(if random % 11 == 0 { b'\n' } else { b' ' });
    }
    text.truncate(SIZE);
    text
}

/// What the parser is to find, in an order without a period.
fn frames() -> Vec<u8> {
    let mut packet = noise(3);
    for (number, frame) in packet.chunks_mut(64).enumerate() {
        let tags: &[u16] = [&[][..], &[0x8100], &[], &[0x88a8, 0x8100], &[]][number % 5];
        let mut at = 12;
        for tag in tags {
            frame[at..at + 2].copy_from_slice(&tag.to_be_bytes());
            at += 4;
        }
        let protocol = [6, 17, 1, 6, 89, 17, 6][number % 7];
        let kind: u16 = [0x0800, 0x86dd, 0x0800, 0x0806, 0x0800, 0x0800, 0x86dd, 0x0800][number % 8];
        frame[at..at + 2].copy_from_slice(&kind.to_be_bytes());
        let header = &mut frame[at + 2..];
        if kind == 0x0800 {
            let words = 5 + number as u8 % 3;
            header[0] = 0x40 | words;
            header[2..4].copy_from_slice(&60u16.to_be_bytes());
            let fragment: u16 = if number == 10 { 100 } else { 0 };
            header[6..8].copy_from_slice(&fragment.to_be_bytes());
            header[9] = protocol;
        } else if kind == 0x86dd {
            header[0] = 0x60;
            header[6] = if protocol == 1 { 58 } else { protocol };
        }
    }
    packet
}

fn example(object: &str, program: &str, capture: &str, packet: usize) -> Result<Workload, WorkloadError> {
    let path = root().join("bpf").join(format!("{object}.bpf.o"));
    let parsed = Object::parse(&path.display().to_string(), &read(&path)?)?;
    let program = Arc::new(parsed.program(program, &Options::default())?);
    Ok(Workload { name: object.to_owned(), program, packet: nth_packet(capture, packet)?, want: None, source: None })
}

/// A packet of a capture file of this machine's byte order, as `examples/captures/make.py` writes them.
fn nth_packet(capture: &str, packet: usize) -> Result<Vec<u8>, WorkloadError> {
    const FILE_HEADER: usize = 24;
    const RECORD_HEADER: usize = 16;
    let path = root().join("captures").join(format!("{capture}.pcap"));
    let bytes = read(&path)?;
    let missing = || WorkloadError::NoPacket { path: path.display().to_string(), packet };
    let mut at = FILE_HEADER;
    for index in 0.. {
        let header: [u8; 4] = bytes.get(at + 8..at + 12).and_then(|len| len.try_into().ok()).ok_or_else(missing)?;
        let (start, len) = (at + RECORD_HEADER, u32::from_le_bytes(header) as usize);
        let found = bytes.get(start..start.saturating_add(len)).ok_or_else(missing)?;
        if index == packet {
            return Ok(found.to_vec());
        }
        at = start + len;
    }
    Err(missing())
}

/// Rounds of a loop that mixes a few words of the packet: how long a program runs, with the same code but for a number.
pub fn loop_of(rounds: u32) -> Result<Workload, WorkloadError> {
    let text = format!(
        "r2 = *(u32 *)(r1 +0)
        r3 = *(u32 *)(r1 +4)
        r0 = 1
        r4 = r2
        r4 += 64
        if r4 > r3 goto out
        r5 = 0
        top: if r5 >= {rounds} goto out
        r3 = *(u32 *)(r2 +12)
        r0 ^= r3
        r3 = *(u16 *)(r2 +20)
        r0 += r3
        r0 *= 31
        r5 += 1
        goto top
        out: exit"
    );
    written(&format!("loop of {rounds} rounds"), &text)
}

fn written(name: &str, text: &str) -> Result<Workload, WorkloadError> {
    let mut program = Program::new(name, ProgType::Xdp, assemble(text)?);
    program.maps.push(Arc::new(MapDef::new("counters", MapType::Array, 4, 8, 16)));
    Ok(Workload { name: name.to_owned(), program: Arc::new(program), packet: segment(), want: None, source: None })
}

/// A TCP segment to port 443 of 1100 bytes.
fn segment() -> Vec<u8> {
    let mut packet: Vec<u8> = (0..1100u32).map(|i| (i * 7) as u8).collect();
    packet[12..15].copy_from_slice(&[8, 0, 0x45]);
    packet[23] = 6;
    packet[36..38].copy_from_slice(&443u16.to_be_bytes());
    packet
}
