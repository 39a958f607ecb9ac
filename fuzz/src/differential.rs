//! Very many generated programs, interpreter against machine code: what [`crate::agree`] does, without what makes it slow.
//!
//! Maps are made once and emptied, machine code goes into the memory of the program before, and what a run does is written down
//! as bytes that are compared as a whole. Only a difference is looked at in detail. Every program is verified, linked, interpreted
//! and compiled; some also run in the checked interpreter, and with everything that an embedder may add to machine code.
//!
//! A program is a function of the seed and its number, so that a run can be continued, and a program be made again.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring3_jit::{Compiled, Jit, JitError, Options, Room};
use ring3_platform::{Errno, Target};
use ring3_verifier::{LogLevel, VerifiedProgram, verify_watched};
use ring3_vm::maps::{self, Map};
use ring3_vm::{Context, Env, Execute, Helpers, Interp, Linked, RunError, TestHost, TrapKind, XdpContext};
use ring3_vm::{link, link_unverified, run};

use crate::case::{Case, Expect};
use crate::engines::{Engine, Failure, GUARDED, QUICK};
use crate::generate::{Generated, Kit};
use crate::{Entropy, agree};

/// Instructions that a verdict may take, in units of 1,024: few programs need more, and those take most of the time.
const MAX_WALK: u32 = 4;
/// Instructions of one run, at most. Those that need more are not counted.
const MAX_INSNS: u64 = 1 << 16;
/// How often a program runs, each time on what it left in its maps.
const RUNS: usize = 2;
/// One of so many programs also runs in the checked interpreter, and with all guards; another one as long programs do.
pub const ALSO_OF: u64 = 8;
/// Programs from one note of how far it came to the next.
pub const NOTED_EACH: u64 = 100_000;
/// Statements in a row in a function, at most.
const STATEMENTS: u32 = 64;
/// Where programs take long, there is a note after this time.
const NOTED_AFTER: Duration = Duration::from_secs(120);
/// Findings after which there is no point in going on.
const MAX_FINDINGS: usize = 32;

/// What is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Verified programs that are to run.
    pub programs: u64,
    /// Which programs.
    pub seed: u64,
    /// Number of the first program.
    pub first: u64,
    /// Programs of thirty instructions instead of sixty, of which twice as many run in the same time.
    pub short: bool,
    /// For how long at most.
    pub time: Duration,
    /// Where findings go, and how far it came.
    pub out: PathBuf,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Number of the next program.
    pub next: u64,
    /// Verified programs that ran on interpreter and machine code.
    pub programs: u64,
    /// Of those: programs that also ran in the checked interpreter and with all guards.
    pub also: u64,
    /// Programs that the verifier refused, or did not judge in a few thousand steps.
    pub refused: u64,
    /// Programs that run for too long.
    pub long: u64,
    /// Instructions of the programs that ran.
    pub slots: u64,
    /// Differences.
    pub findings: u64,
    /// Time that it took.
    pub millis: u64,
}

impl Tally {
    /// In one line.
    pub fn line(&self) -> String {
        let seconds = (self.millis as f64 / 1000.0).max(0.001);
        format!(
            "{} verified programs in {seconds:.0} s, {:.0} a second, {:.1} slots each, {} of them checked and guarded too, {} refused, \
             {} too long, {} findings, next {}",
            self.programs,
            self.programs as f64 / seconds,
            self.slots as f64 / self.programs.max(1) as f64,
            self.also,
            self.refused,
            self.long,
            self.findings,
            self.next
        )
    }

    fn fields(&mut self) -> [(&'static str, &mut u64); 8] {
        let Tally { next, programs, also, refused, long, slots, findings, millis } = self;
        [
            ("next", next),
            ("programs", programs),
            ("also", also),
            ("refused", refused),
            ("long", long),
            ("slots", slots),
            ("findings", findings),
            ("millis", millis),
        ]
    }

    fn text(mut self) -> String {
        self.fields().into_iter().fold(String::new(), |mut text, (name, value)| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} {value}");
            text
        })
    }

    fn parse(text: &str) -> Option<Tally> {
        let mut tally = Tally::default();
        for (field, line) in tally.fields().into_iter().zip(text.lines()) {
            *field.1 = line.strip_prefix(field.0)?.trim().parse().ok()?;
        }
        Some(tally)
    }
}

/// What becomes of one program.
#[derive(Debug)]
enum Verdict {
    Agree,
    Refused,
    TooLong,
    Wrong(String),
}

/// How programs become machine code.
pub type Compiler = dyn Fn(Option<Room>, Arc<Linked>, Options) -> Result<Compiled, JitError>;

/// What stays from one program to the next.
pub struct Differential {
    kit: Kit,
    maps: Vec<Arc<dyn Map>>,
    /// A value of zeroes for each map.
    zeroes: Vec<Vec<u8>>,
    target: Arc<Target>,
    helpers: Helpers,
    short: bool,
    compiler: Box<Compiler>,
    room: Option<Room>,
    ctx: Context,
    bytes: Vec<u8>,
    /// What the interpreter did, and what another engine did.
    seen: [Vec<u8>; 2],
    tally: Tally,
}

impl Differential {
    /// Ready for the program of this number. Errors: a map cannot be created.
    pub fn new(first: u64, short: bool) -> Result<Differential, Errno> {
        let (kit, target) = (Kit::with_statements(STATEMENTS), Arc::new(Target::default()));
        let maps = kit.maps().iter().map(|def| maps::create(def, target.cpus)).collect::<Result<Vec<_>, _>>()?;
        let zeroes =
            maps.iter().map(|map| vec![0; map.def().value_size.next_multiple_of(8) as usize * map.cpus() as usize]);
        Ok(Differential {
            zeroes: zeroes.collect(),
            kit,
            maps,
            target,
            helpers: Helpers::new(),
            short,
            compiler: Box::new(Jit::compile_into),
            room: None,
            ctx: XdpContext::new().map_or(Context::None, Context::Xdp),
            bytes: Vec::new(),
            seen: Default::default(),
            tally: Tally { next: first, ..Tally::default() },
        })
    }

    /// With another compiler than ring3's own: one that has a mistake in it.
    #[must_use]
    pub fn with_compiler(self, compiler: Box<Compiler>) -> Differential {
        Differential { compiler, ..self }
    }

    /// What was done so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The next program: `Err` with what is wrong, and the program.
    pub fn step(&mut self, seed: u64) -> Result<(), Box<(String, Generated)>> {
        let number = self.tally.next;
        self.tally.next += 1;
        choices(seed, number, self.short, &mut self.bytes);
        let generated = self.kit.generate(&mut Entropy::new(&self.bytes));
        match self.judge(&generated, number) {
            Verdict::Agree => {
                self.tally.programs += 1;
                self.tally.slots += generated.program.code.len() as u64;
            }
            Verdict::Refused => self.tally.refused += 1,
            Verdict::TooLong => self.tally.long += 1,
            Verdict::Wrong(what) => {
                self.tally.findings += 1;
                return Err(Box::new((format!("seed {seed}, program {number}: {what}"), generated)));
            }
        }
        Ok(())
    }

    fn judge(&mut self, generated: &Generated, number: u64) -> Verdict {
        let mut asked = 0;
        let mut watch = || {
            asked += 1;
            (asked > MAX_WALK).then(|| "long enough".to_owned())
        };
        let (program, target) = (Arc::clone(&generated.program), Arc::clone(&self.target));
        let Ok(proof) = verify_watched(program, target, LogLevel::default(), &mut watch) else {
            return Verdict::Refused;
        };
        match self.compare(generated, &proof, number.is_multiple_of(ALSO_OF), number % ALSO_OF == 1) {
            Ok(Some(engine)) => Verdict::Wrong(match agree(generated, &proof) {
                Err(failure) => failure.to_string(),
                Ok(_) => format!("{engine:?} differs from the interpreter, but not when both begin with new maps"),
            }),
            Ok(None) => Verdict::Agree,
            Err(Failure::TooLong) => Verdict::TooLong,
            Err(failure) => Verdict::Wrong(failure.to_string()),
        }
    }

    /// The engine that does not do what the interpreter does.
    fn compare(
        &mut self,
        generated: &Generated,
        proof: &VerifiedProgram,
        also: bool,
        quickly: bool,
    ) -> Result<Option<Engine>, Failure> {
        if also {
            // First, as it looks at every access.
            let program = &generated.program;
            let linked = link_unverified(&program.code, program.kind, &self.maps, &self.helpers)?;
            self.run(&Interp::new(Arc::new(linked)), generated, 1, Some(MAX_INSNS))?;
        }
        let linked = Arc::new(link(proof, &self.maps, &self.helpers)?);
        self.run(&Interp::new(Arc::clone(&linked)), generated, 0, Some(MAX_INSNS))?;
        if also && self.seen[0] != self.seen[1] {
            return Ok(Some(Engine::Checked));
        }
        if Jit::is_supported() {
            if self.on_jit(&linked, generated, Options::default())? {
                return Ok(Some(Engine::Jit));
            }
            if also && self.on_jit(&linked, generated, GUARDED)? {
                return Ok(Some(Engine::Guarded));
            }
        }
        if quickly && Jit::is_supported() && self.on_jit(&linked, generated, QUICK)? {
            return Ok(Some(Engine::Quick));
        }
        self.tally.also += u64::from(also);
        Ok(None)
    }

    /// Whether machine code does something else.
    fn on_jit(&mut self, linked: &Arc<Linked>, generated: &Generated, options: Options) -> Result<bool, Failure> {
        let compiled = (self.compiler)(self.room.take(), Arc::clone(linked), options)?;
        self.run(&compiled, generated, 1, options.budget.then_some(MAX_INSNS))?;
        self.room = Some(compiled.into_room());
        Ok(self.seen[0] != self.seen[1])
    }

    /// Runs the program with empty maps, and writes down what it does.
    fn run(
        &mut self,
        program: &dyn Execute,
        generated: &Generated,
        seen: usize,
        budget: Option<u64>,
    ) -> Result<(), Failure> {
        self.clear();
        let seen = &mut self.seen[seen];
        seen.clear();
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        env.budget = budget;
        env.ctx = std::mem::replace(&mut self.ctx, Context::None);
        for _ in 0..RUNS {
            if let Context::Xdp(xdp) = &mut env.ctx {
                xdp.load(&generated.packet);
            }
            match run(program, &mut env) {
                Ok(result) => seen.extend(result.to_le_bytes()),
                Err(RunError::Trap(trap)) if matches!(trap.kind, TrapKind::Budget { .. }) => {
                    self.ctx = std::mem::replace(&mut env.ctx, Context::None);
                    return Err(Failure::TooLong);
                }
                // An accepted program is stopped by nothing else.
                Err(error) => return Err(Failure::Unsound(error)),
            }
            if let Some(packet) = env.ctx.packet() {
                seen.extend((packet.meta().len() as u64).to_le_bytes());
                seen.extend((packet.bytes().len() as u64).to_le_bytes());
                seen.extend_from_slice(packet.meta());
                seen.extend_from_slice(packet.bytes());
            }
            let lines = env.trace.take();
            lines.iter().for_each(|line| seen.extend_from_slice(line.as_bytes()));
            // The clock and the random numbers say how often each was asked.
            seen.extend(env.prandom_u32().to_le_bytes());
            seen.extend(env.host.ktime_ns().to_le_bytes());
        }
        self.ctx = std::mem::replace(&mut env.ctx, Context::None);
        for map in &self.maps {
            for key in map.keys() {
                seen.extend_from_slice(&key);
                seen.extend_from_slice(&map.read(&key).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Makes the maps as they were when they were new.
    fn clear(&mut self) {
        for (map, zeroes) in self.maps.iter().zip(&self.zeroes) {
            for key in map.keys() {
                // Elements of an array cannot be removed.
                let _ = if map.array_layout().is_some() { map.write(&key, zeroes, 0) } else { map.remove(&key) };
            }
        }
    }
}

/// The bytes that a program of this number is made of: mostly few, as a program of fifty instructions has what a pair of them can do
/// wrong, and sometimes many.
fn choices(seed: u64, number: u64, short: bool, bytes: &mut Vec<u8>) {
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let kind = next();
    let len = match kind % 32 {
        0 => 384 + (kind >> 8) % 640,
        1 if !short => 384 + (kind >> 8) % 640,
        2..12 if !short => 128 + (kind >> 8) % 256,
        _ if !short => 32 + (kind >> 8) % 96,
        _ => 16 + (kind >> 8) % 56,
    };
    bytes.clear();
    while (bytes.len() as u64) < len {
        bytes.extend(next().to_le_bytes());
    }
    bytes.truncate(len as usize);
}

/// Runs programs until there are enough, and notes in `OUT/state` how far it came, from where it goes on the next time. `tell` gets
/// a line now and then. Errors: a map cannot be created, or the directory cannot be written.
pub fn campaign(settings: &Settings, tell: &mut dyn FnMut(&str)) -> io::Result<Tally> {
    std::fs::create_dir_all(&settings.out)?;
    let note = settings.out.join(format!(
        "state-{}-{}{}",
        settings.seed,
        settings.first,
        if settings.short { "-short" } else { "" }
    ));
    let mut fuzzer = Differential::new(settings.first, settings.short)
        .map_err(|errno| io::Error::other(format!("no map: {errno:?}")))?;
    if let Some(before) = std::fs::read_to_string(&note).ok().and_then(|text| Tally::parse(&text)) {
        fuzzer.tally = before;
        tell(&format!("goes on: {}", before.line()));
    }
    let (begin, before) = (Instant::now(), fuzzer.tally.millis);
    let (mut findings, mut noted) = (0, Instant::now());
    while fuzzer.tally.programs < settings.programs && findings < MAX_FINDINGS {
        let programs = fuzzer.tally.programs;
        if let Err(wrong) = fuzzer.step(settings.seed) {
            findings += 1;
            tell(&wrong.0);
            keep(&settings.out, &wrong.0, &wrong.1)?;
        }
        let looks = fuzzer.tally.next.is_multiple_of(256);
        let stop = looks && begin.elapsed() >= settings.time;
        let full = fuzzer.tally.programs != programs && fuzzer.tally.programs.is_multiple_of(NOTED_EACH);
        if full || stop || looks && noted.elapsed() >= NOTED_AFTER {
            noted = Instant::now();
            fuzzer.tally.millis = before + begin.elapsed().as_millis() as u64;
            std::fs::write(&note, fuzzer.tally.text())?;
            tell(&fuzzer.tally.line());
        }
        if stop {
            break;
        }
    }
    fuzzer.tally.millis = before + begin.elapsed().as_millis() as u64;
    std::fs::write(&note, fuzzer.tally.text())?;
    Ok(fuzzer.tally)
}

/// Writes down a program that does not do the same everywhere.
fn keep(out: &Path, what: &str, generated: &Generated) -> io::Result<()> {
    let packet: String = generated.packet.iter().map(|byte| format!("{byte:02x}")).collect();
    let comment = what.lines().take(1).map(str::to_owned).chain([format!("packet {packet}")]).collect();
    let case = Case { comment, program: Arc::clone(&generated.program), expect: Expect::Accepted };
    let name = what.split(':').next().unwrap_or_default().replace([' ', ','], "-");
    std::fs::write(out.join(format!("{name}.bpf")), format!("{}\n# {}\n", case.text(), what.replace('\n', "\n# ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_again() {
        let tally = Tally { next: 9, programs: 7, also: 1, refused: 1, long: 1, slots: 300, findings: 0, millis: 12 };
        assert_eq!(Tally::parse(&tally.text()), Some(tally));
        assert_eq!(Tally::parse("next x"), None);
    }

    #[test]
    fn a_program_is_a_function_of_seed_and_number() {
        let made = |seed, number| {
            let mut bytes = Vec::new();
            choices(seed, number, false, &mut bytes);
            bytes
        };
        assert_eq!(made(1, 2), made(1, 2));
        assert_ne!(made(1, 2), made(2, 2));
        assert_ne!(made(1, 2), made(1, 3));
    }
}
