//! Operations on maps beside the running kernel: the same program, which does one operation in a loop, by ring3's machine code and by
//! BPF_PROG_TEST_RUN. Both take turns in one run.
//!
//! `cargo bench -p ring3-benches --bench maps [-- CASE... --rounds N]`
//!
//! Nanoseconds of an operation with the loop around it (a random index and a store of the key, which `loop` has alone), ring3's time
//! as a multiple of the kernel's, and a line `geomean RATIO` of all cases but `loop`. With `--threads`: how much more two threads get done on one
//! map than one, on both sides. Both threads take keys at random from all of the map, so that in a small one they write to the same
//! cache lines, which have to travel; rows `own keys` give each thread a half of the keys.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use clap::Parser;
use ring3_benches::engine;
use ring3_benches::measure::geometric_mean;
use ring3_linux::{LoadOptions, Loaded, RingReader, TestRun};
use ring3_platform::{MapDef, MapFlags, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};
use ring3_vm::maps::{self, Map};
use ring3_vm::{Env, Execute, Helpers, TestHost, link};

/// Operations of one run of a program.
const LOOP: u32 = 512;
/// Bytes of a record of the ring buffer.
const RECORD: u32 = 64;
/// Bytes of the ring buffer.
const RING: u32 = 64 << 20;
/// Elements that are written in one go.
const CHUNK: usize = 4096;
/// A packet for the kernel: an Ethernet header and a bit.
const PACKET: [u8; 64] = [0; 64];

/// Operations on maps, beside the running kernel.
#[derive(Parser)]
struct Args {
    /// Cases whose name contains one of these; all if there is none.
    cases: Vec<String>,
    /// How often each side takes its turn.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// How long a turn is, in microseconds.
    #[arg(long, default_value_t = 5000)]
    turn: u64,
    /// Two threads beside one, too.
    #[arg(long)]
    threads: bool,
    /// Two threads beside one, and nothing else.
    #[arg(long)]
    only_threads: bool,
    /// Run each case on ring3 alone for so many turns: under a profiler.
    #[arg(long)]
    profile: Option<u32>,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    /// The loop without an operation.
    Nothing,
    Lookup,
    Update,
    /// And an update, which makes the element again.
    Delete,
    Output,
}

impl Op {
    const fn name(self) -> &'static str {
        match self {
            Op::Nothing => "loop",
            Op::Lookup => "lookup",
            Op::Update => "update",
            Op::Delete => "delete+insert",
            Op::Output => "output",
        }
    }

    /// What the loop does with the key at R10-16 and the value at R10-24.
    fn text(self) -> String {
        let map = "r1 = map[fd:0]\n r2 = r10\n r2 += -16\n";
        let update = format!("{map} r3 = r10\n r3 += -24\n r4 = 0\n call 2\n");
        match self {
            Op::Nothing => "r9 += r8\n".to_owned(),
            Op::Lookup => format!("{map} call 1\n if r0 == 0 goto next\n r1 = *(u64 *)(r0 +0)\n r9 += r1\n"),
            Op::Update => format!("{update} r9 += r0\n"),
            Op::Delete => format!("{map} call 3\n r9 += r0\n {update} r9 += r0\n"),
            // Without a wakeup: nobody sleeps.
            Op::Output => {
                format!("r1 = map[fd:0]\n r2 = r10\n r2 += -{RECORD}\n r3 = {RECORD}\n r4 = 1\n call 130\n r9 += r0\n")
            }
        }
    }
}

/// One line of the table.
struct Case {
    name: String,
    op: Op,
    def: Arc<MapDef>,
    elements: u32,
    /// Two CPUs take a half of the keys each, instead of all keys.
    own_keys: bool,
}

fn cases() -> Vec<Case> {
    use MapType::{Array, Hash, LpmTrie, LruHash, PercpuHash, Ringbuf};
    let mut cases = Vec::new();
    let mut add = |kind: MapType, op: Op, elements: u32| {
        let (key, value, entries) = match kind {
            Ringbuf => (0, 0, RING),
            LpmTrie => (8, 8, elements),
            // With room for all, as the kernel's lists for each CPU keep some back.
            LruHash => (4, 8, elements + elements / 4 + 1024),
            _ => (4, 8, elements),
        };
        let mut def = MapDef::new("bench", kind, key, value, entries);
        if kind == LpmTrie {
            def.flags = MapFlags::NO_PREALLOC;
        }
        let size = match elements {
            0 => String::new(),
            elements if elements >= 1_000_000 => format!(" {}M", elements / 1_000_000),
            elements => format!(" {}k", elements / 1_000),
        };
        cases.push(Case {
            name: format!("{} {}{size}", kind.name(), op.name()),
            op,
            def: Arc::new(def),
            elements,
            own_keys: false,
        });
    };
    add(Array, Op::Nothing, 1_000);
    for elements in [1_000, 1_000_000] {
        for kind in [Array, Hash, LruHash, PercpuHash, LpmTrie] {
            for op in [Op::Lookup, Op::Update, Op::Delete] {
                if kind != Array || op != Op::Delete {
                    add(kind, op, elements);
                }
            }
        }
    }
    add(Ringbuf, Op::Output, 0);
    cases
}

impl Case {
    fn program(&self) -> Result<Program, String> {
        let key = match self.def.kind {
            // The index, spread over all addresses; a prefix of 32 bits.
            MapType::LpmTrie => "w1 = w8\n w1 *= -1640531527\n *(u32 *)(r10 -12) = w1\n *(u32 *)(r10 -16) = 32\n",
            _ => "*(u32 *)(r10 -16) = w8\n",
        };
        let zeroes: String = (1..=8).map(|word| format!("*(u64 *)(r10 -{}) = 0\n", word * 8)).collect();
        // The first key of this CPU is on the stack, as all registers are taken.
        let (count, first, add) = match self.own_keys {
            true => {
                let half = self.elements / 2;
                (
                    half,
                    format!("call 8\n r0 &= 1\n r0 *= {half}\n *(u64 *)(r10 -72) = r0\n"),
                    "r1 = *(u64 *)(r10 -72)\n r8 += r1\n",
                )
            }
            false => (self.elements, String::new(), ""),
        };
        let text = format!(
            "{zeroes} {first} call 7\n r6 = r0\n r7 = 0\n r9 = 0\n
            top: w6 *= 1664525\n w6 += 1013904223\n r8 = r6\n r8 *= {}\n r8 >>= 32\n {add} {key} {}
            next: r7 += 1\n if r7 < {LOOP} goto top\n r0 = r9\n exit",
            count.max(1),
            self.op.text()
        );
        let code = ring3_isa::assemble(&text).map_err(|error| format!("{error}\n{text}"))?;
        let mut program = Program::new("maps", ProgType::SocketFilter, code);
        program.maps.push(Arc::clone(&self.def));
        Ok(program)
    }

    /// Keys of all elements, in parts.
    fn keys(&self) -> Vec<Vec<u8>> {
        let key = |index: u32| match self.def.kind {
            MapType::LpmTrie => [32u32, index.wrapping_mul(0x9e37_79b9)].map(u32::to_ne_bytes).concat(),
            _ => index.to_ne_bytes().to_vec(),
        };
        let all: Vec<u32> = (0..self.elements).collect();
        all.chunks(CHUNK).map(|part| part.iter().flat_map(|index| key(*index)).collect()).collect()
    }
}

/// A case on both sides.
struct Subject {
    case: Case,
    ours: Box<dyn Execute>,
    map: Arc<dyn Map>,
    theirs: Option<(Loaded, Option<RingReader>)>,
}

impl Subject {
    fn new(case: Case, with_kernel: bool) -> Result<Subject, String> {
        let cpus = ring3_linux::possible_cpus().unwrap_or(2) as u32;
        let program = Arc::new(case.program()?);
        let target = Target { cpus, ..Target::default() };
        let verified = verify(Arc::clone(&program), Arc::new(target), LogLevel::default());
        let verified = verified.map_err(|rejection| format!("{}: {rejection}", case.name))?;
        let map = maps::create(&case.def, cpus).map_err(|errno| errno.to_string())?;
        let linked = link(&verified, &[Arc::clone(&map)], &Helpers::new()).map_err(|error| error.to_string())?;
        let ours = engine::jit(&Arc::new(linked)).map_err(|error| error.to_string())?;
        let theirs = with_kernel.then(|| ring3_linux::load(&program, &LoadOptions::default())).transpose();
        let theirs = theirs.map_err(|error| error.to_string())?;
        let copies = if case.def.kind.is_percpu() { cpus } else { 1 };
        for keys in case.keys() {
            let value = vec![1; 8 * copies as usize * keys.len() / case.def.key_size as usize];
            map.write_batch(&keys, &value, 0).1.map_err(|errno| format!("{}: {errno}", case.name))?;
            if let Some(loaded) = &theirs {
                loaded.maps[0].update_batch(&keys, &value).map_err(|error| error.to_string())?;
            }
        }
        let ring = |loaded: &Loaded| {
            (case.op == Op::Output).then(|| RingReader::open(&loaded.maps[0])).transpose().map_err(|e| e.to_string())
        };
        let theirs = theirs.map(|loaded| ring(&loaded).map(|ring| (loaded, ring))).transpose()?;
        Ok(Subject { case, ours, map, theirs })
    }

    fn run_ours(&self, env: &mut Env<'_>, runs: u32) -> Duration {
        let start = thread_time();
        for _ in 0..runs {
            std::hint::black_box(ring3_vm::run(self.ours.as_ref(), env).ok());
        }
        let took = thread_time().saturating_sub(start);
        if self.case.op == Op::Output {
            self.map.drain();
        }
        took
    }

    fn run_theirs(&mut self, runs: u32) -> Duration {
        let Some((loaded, ring)) = &mut self.theirs else { return Duration::ZERO };
        let start = thread_time();
        let run = TestRun { data: Some(&PACKET), repeat: runs, ..TestRun::default() };
        std::hint::black_box(loaded.prog.test_run(&run).ok());
        let took = thread_time().saturating_sub(start);
        if let Some(ring) = ring {
            ring.for_each(drop);
        }
        took
    }
}

/// The time that this thread has had a processor: what others do on the machine meanwhile is left out, as far as it goes.
fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is there to be written; a clock that is not there leaves it as it is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn environment() -> Env<'static> {
    // Without any size, so that nothing is leaked.
    with_packet(Env::new(Box::leak(Box::new(engine::BenchHost))))
}

fn with_packet(mut env: Env<'_>) -> Env<'_> {
    let mut skb = ring3_vm::SkbContext::new();
    if let Some(mut skb) = skb.take() {
        skb.load(&PACKET, ring3_vm::DataStart::Network);
        env.ctx = ring3_vm::Context::Skb(skb);
    }
    env
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds of an operation, on both sides: the medians of the rounds.
fn measure(subject: &mut Subject, args: &Args) -> (f64, Option<f64>) {
    let mut env = environment();
    let turn = Duration::from_micros(args.turn);
    let runs = |took: Duration| (turn.as_secs_f64() / (took.as_secs_f64() / 8.0).max(1e-7)).clamp(1.0, 800.0) as u32;
    // Twice, as the first time finds everything cold.
    subject.run_ours(&mut env, 8);
    let our_runs = runs(subject.run_ours(&mut env, 8));
    subject.run_theirs(8);
    let their_runs = runs(subject.run_theirs(8));
    let per = |took: Duration, runs: u32| took.as_nanos() as f64 / f64::from(runs) / f64::from(LOOP);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        ours.push(per(subject.run_ours(&mut env, our_runs), our_runs));
        if subject.theirs.is_some() {
            theirs.push(per(subject.run_theirs(their_runs), their_runs));
        }
    }
    (median(ours), subject.theirs.is_some().then(|| median(theirs)))
}

/// Runs for this time, by so many threads at once: each thread's runs by the time that it had a processor. That leaves out what else runs on
/// the machine, but not what the threads do to each other. `worker` makes what a thread with this number calls, and what it gives is how
/// many runs a call is.
fn throughput<W: FnMut() -> u32>(worker: impl Fn(u32) -> W + Sync, threads: u32, time: Duration) -> f64 {
    let (done, together) = (AtomicU64::new(0), Barrier::new(threads as usize));
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (done, together, worker) = (&done, &together, &worker);
            scope.spawn(move || {
                let (mut work, mut runs) = (worker(number), 0);
                together.wait();
                let (start, had) = (Instant::now(), thread_time());
                while start.elapsed() < time {
                    runs += work();
                }
                let had = thread_time().saturating_sub(had).as_secs_f64().max(1e-9);
                done.fetch_add((f64::from(runs) / had) as u64, Ordering::Relaxed);
            });
        }
    });
    done.into_inner() as f64
}

/// Runs of a program between two looks at the clock.
const AT_ONCE: u32 = 8;

fn our_throughput(subject: &Subject, threads: u32, time: Duration) -> f64 {
    let ours = subject.ours.as_ref();
    let worker = |number: u32| {
        // Of this thread's own, and leaked: a few hundred bytes for each measurement.
        let host = Box::leak(Box::new(TestHost { cpu: number, ..TestHost::default() }));
        let mut env = with_packet(Env::new(host));
        env.seed(engine::SEED + u64::from(number));
        move || {
            for _ in 0..AT_ONCE {
                std::hint::black_box(ring3_vm::run(ours, &mut env).ok());
            }
            AT_ONCE
        }
    };
    throughput(worker, threads, time)
}

fn their_throughput(loaded: &Loaded, threads: u32, time: Duration) -> f64 {
    let worker = |_| {
        move || {
            let run = TestRun { data: Some(&PACKET), repeat: AT_ONCE, ..TestRun::default() };
            std::hint::black_box(loaded.prog.test_run(&run).ok());
            AT_ONCE
        }
    };
    throughput(worker, threads, time)
}

fn run(args: &Args) -> Result<(), String> {
    let with_kernel =
        args.profile.is_none() && ring3_linux::available().map_err(|why| println!("no kernel: {why}")).is_ok();
    if args.only_threads {
        return two_threads(args, with_kernel);
    }
    println!("{:<32}{:>10}{:>10}{:>10}", "ns of an operation", "ring3", "kernel", "ratio");
    let mut ratios = Vec::new();
    let wanted = |case: &Case| args.cases.is_empty() || args.cases.iter().any(|name| case.name.contains(name.as_str()));
    for case in cases().into_iter().filter(wanted) {
        let mut subject = Subject::new(case, with_kernel)?;
        if let Some(turns) = args.profile {
            let mut env = environment();
            for _ in 0..turns {
                subject.run_ours(&mut env, 100);
            }
            continue;
        }
        let (ours, theirs) = measure(&mut subject, args);
        let ratio = theirs.map(|theirs| ours / theirs);
        let show = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.2}"));
        println!("{:<32}{ours:>10.2}{:>10}{:>10}", subject.case.name, show(theirs), show(ratio));
        ratios.extend(ratio.filter(|_| subject.case.op != Op::Nothing));
    }
    if let Some(mean) = geometric_mean(ratios) {
        println!("geomean {mean:.3}");
    }
    if args.threads { two_threads(args, with_kernel) } else { Ok(()) }
}

fn two_threads(args: &Args, with_kernel: bool) -> Result<(), String> {
    println!("{:<40}{:>10}{:>10}", "two threads beside one, times", "ring3", "kernel");
    let (mut all, mut own) = (Vec::new(), Vec::new());
    let wanted = |case: &Case| args.cases.is_empty() || args.cases.iter().any(|name| case.name.contains(name.as_str()));
    let of_maps = |case: &Case| case.op != Op::Nothing && case.op != Op::Output && wanted(case);
    let turn = Duration::from_micros(args.turn * 8);
    for own_keys in [false, true] {
        for mut case in cases().into_iter().filter(of_maps) {
            case.own_keys = own_keys;
            let subject = Subject::new(case, with_kernel)?;
            let rounds = || 0..args.rounds.min(9);
            let once = || our_throughput(&subject, 2, turn) / our_throughput(&subject, 1, turn);
            let ours = median(rounds().map(|_| once()).collect());
            let theirs = subject.theirs.as_ref().map(|(loaded, _)| {
                let once = || their_throughput(loaded, 2, turn) / their_throughput(loaded, 1, turn);
                median(rounds().map(|_| once()).collect())
            });
            let name = if own_keys { format!("{}, own keys", subject.case.name) } else { subject.case.name.clone() };
            let shown = theirs.map_or("-".to_owned(), |theirs| format!("{theirs:.2}"));
            println!("{name:<40}{ours:>10.2}{shown:>10}");
            if own_keys { &mut own } else { &mut all }.push((ours, theirs));
        }
    }
    for (name, ratios) in [("", all), (", own keys", own)] {
        let ours = geometric_mean(ratios.iter().map(|(ours, _)| *ours));
        let theirs = geometric_mean(ratios.iter().filter_map(|(_, theirs)| *theirs));
        if let Some(ours) = ours {
            let theirs = theirs.map_or(String::new(), |theirs| format!(", the kernel's {theirs:.3}"));
            println!("geomean of two threads{name} {ours:.3}{theirs}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maps: {error}");
            ExitCode::from(2)
        }
    }
}
