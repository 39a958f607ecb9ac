//! Packets of XDP in fragments: random sizes, and random sequences of what programs do to them, beside the running kernel's test run.

use std::fmt::Write;

use ring3::{Backend, Engine, Error, ProgType, Program, TestRun};

/// Programs, unless `RING3_FRAGMENTS` says how many.
const PROGRAMS: u64 = 60;
/// Packets for each.
const PACKETS: usize = 4;
/// What each does.
const STEPS: usize = 6;

/// A generator of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick(&mut self, from: &[i64]) -> i64 {
        from[(self.next() % from.len() as u64) as usize]
    }

    fn below(&mut self, end: u64) -> i64 {
        (self.next() % end) as i64
    }
}

/// Sizes around which something changes.
fn size(random: &mut Random) -> i64 {
    let near = random.pick(&[0, 14, 60, 3520, 3520 + 4096, 3520 + 2 * 4096]);
    match random.next() % 3 {
        0 => random.below(12_000),
        _ => (near + random.below(41) - 20).max(0),
    }
}

/// Result, packet and context of a run, or its error number.
type Seen = Result<(u32, Vec<u8>, Vec<u8>), Option<i32>>;

/// Does things to the packet; R7 gathers what they gave.
fn program(random: &mut Random) -> Program {
    let mut text = String::from("r6 = r1\nr7 = 0\n*(u64 *)(r10 -8) = 0x11223344\n");
    for _ in 0..STEPS {
        let (sign, size) = (random.pick(&[1, -1, -1]), size(random));
        let step = match random.next() % 7 {
            0 => format!("r2 = {}\ncall 65", sign * size),
            1 => format!("r2 = {}\ncall 65", random.pick(&[-1, 1, 16, -100, 1384, 2000])),
            2 => format!("r2 = {}\ncall 44", sign * random.below(280)),
            3 => format!("r2 = {}\ncall 54", -random.below(70)),
            4 => format!("r2 = {size}\nr3 = r10\nr3 += -8\nr4 = {}\ncall 189", 1 + random.below(8)),
            5 => format!("r2 = {size}\nr3 = r10\nr3 += -8\nr4 = {}\ncall 190", 1 + random.below(8)),
            _ => "call 188".to_owned(),
        };
        // What is loaded counts, and how long the part is that the program can point to.
        writeln!(
            text,
            "r1 = r6\n{step}\nr7 *= 31\nr7 += r0\nr1 = *(u64 *)(r10 -8)\nr7 ^= r1\n\
             r1 = *(u32 *)(r6 +4)\nr2 = *(u32 *)(r6 +0)\nr1 -= r2\nr7 *= 31\nr7 += r1"
        )
        .expect("text");
    }
    text += "r0 = r7\nr7 >>= 32\nr0 ^= r7\nexit";
    let code = ring3::isa::assemble(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    Program { frags: true, ..Program::new("frags", ProgType::Xdp, code) }
}

/// A packet, and perhaps where metadata and the part end that is in no fragment.
fn packet(random: &mut Random) -> (Vec<u8>, Option<Vec<u8>>) {
    let len = size(random).max(14) as usize;
    let bytes = (0..len).map(|n| (n % 251) as u8).collect();
    let meta = random.pick(&[0, 0, 4, 32, 200]) as u32;
    let end = match random.next() % 2 {
        0 => len as u32,
        _ => meta + random.below(len as u64) as u32,
    };
    let given = [meta, end.min(len as u32), 0, 0, 0, 0];
    let ctx = given.iter().flat_map(|word| word.to_ne_bytes()).collect();
    (bytes, (random.below(3) > 0).then_some(ctx))
}

#[test]
fn packets_in_fragments_are_as_in_linux() {
    let count = std::env::var("RING3_FRAGMENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(PROGRAMS);
    let (mut compared, mut ran, mut in_fragments, mut wrong) = (0, 0, 0, String::new());
    for seed in 0..count {
        let mut random = Random(seed << 20);
        let program = program(&mut random);
        let backends = [Backend::Kernel, Backend::Checked, Backend::Interpreter, Backend::best()];
        let mut instances = backends.map(|backend| Engine::new().backend(backend).load_program(program.clone()));
        for _ in 0..PACKETS {
            let (data, ctx) = packet(&mut random);
            let run =
                TestRun { data: Some(&data), ctx: ctx.as_deref(), wants_ctx: ctx.is_some(), ..TestRun::default() };
            let mut results = instances.iter_mut().map(|instance| {
                let output = instance.runner("frags").and_then(|mut runner| runner.test_run(&run));
                match output {
                    Ok(output) => Ok((output.retval, output.data, output.ctx)),
                    Err(Error::Context { errno, .. } | Error::Packet { errno, .. }) => Err(Some(errno.number())),
                    Err(Error::Kernel { source, .. }) => Err(source.errno().map(|errno| errno.0)),
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            });
            let theirs = results.next().expect("the kernel's");
            if theirs == Err(Some(ring3_platform::Errno::EPERM.number())) {
                return println!("skipped: bpf(2) cannot be used here");
            }
            compared += 1;
            ran += usize::from(theirs.is_ok());
            in_fragments += usize::from(theirs.is_ok() && data.len() > 3520);
            for (ours, backend) in results.zip(&backends[1..]) {
                if ours != theirs {
                    let brief = |result: &Seen| match result {
                        Ok((retval, data, ctx)) => format!("{retval:#x}, {} bytes, {ctx:?}", data.len()),
                        Err(errno) => format!("{errno:?}"),
                    };
                    let (theirs, ours) = (brief(&theirs), brief(&ours));
                    writeln!(wrong, "seed {seed}, {} bytes, {ctx:?}: {theirs}; {}: {ours}", data.len(), backend.name())
                        .expect("text");
                }
            }
        }
    }
    println!("{compared} runs compared, {ran} not refused, {in_fragments} of them of long packets");
    assert!(wrong.is_empty() && in_fragments > compared / 5, "{in_fragments} of {compared}\n{wrong}");
}
