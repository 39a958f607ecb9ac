//! Random and spoilt programs, judged by ring3 and by the running kernel.
//!
//! `parity TYPE "r0 = 0; exit"` judges one program.
//! `parity ours SEED` judges a random program without Linux.
//! `parity record SEED COUNT [FILE]` prints a table of programs with Linux's verdicts.
//! `parity SEED COUNT [random|spoilt|verified] [SECONDS]` prints one small program for each kind of disagreement.
//! `parity combine SEED COUNT [SECONDS]` does the same with programs in which features meet (`fuzz/src/combine/`).
//! `parity combined SEED` shows one of those, and both verdicts.
//! While it runs, the seed that is being judged stands in the temporary folder, in `ring3-parity-PID.seed`: a program can kill the
//! process or the machine, where it finds an error of the kernel's verifier. Use a machine that can be spared.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use ring3_fuzz::combine::{self, Draft, combination, difference};
use ring3_fuzz::parity::{Pair, Referee, Source, case, listing, maps, may_crash_linux, ours, parse, program, shrink};
use ring3_isa::Code;
use ring3_platform::{ProgType, Target};

/// Verdicts that take longer are shown.
const SLOW_SECONDS: u64 = 5;

struct Finding {
    count: usize,
    seed: u64,
    kind: ProgType,
    code: Code,
    pair: Pair,
}

/// Where the seed stands that is being judged. Gone at the end, but not if there was none.
struct Judging {
    path: PathBuf,
    file: Option<File>,
}

impl Judging {
    fn begin() -> Judging {
        let path = std::env::temp_dir().join(format!("ring3-parity-{}.seed", std::process::id()));
        Judging { file: File::create(&path).ok(), path }
    }

    /// Nothing is said where it cannot be written: it is for the worst case alone.
    fn note(&self, seed: u64) {
        if let Some(file) = &self.file {
            let _ = file.write_all_at(format!("{seed:020}\n").as_bytes(), 0);
        }
    }
}

impl Drop for Judging {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| args.get(index).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (first, count) = (number(0, 1), number(1, 1000));
    let limit = number(3, u64::MAX);
    let source = match args.get(2).map(String::as_str) {
        Some("random") => Source::Random,
        Some("verified") => Source::Verified,
        Some(_) | None => Source::Spoilt,
    };
    if args.first().is_some_and(|a| a == "ours") {
        return alone(number(1, 1));
    }
    if let Some(mode @ ("combine" | "combined")) = args.first().map(String::as_str) {
        let count = if mode == "combine" { number(2, 1000) } else { 1 };
        return combinations(number(1, 0), count, number(3, u64::MAX), mode == "combined");
    }
    let Some(mut referee) = Referee::open(maps()) else {
        eprintln!("skipped: no Linux 6.18 with bpf(2) here");
        return ExitCode::SUCCESS;
    };
    if let Some(kind) = ProgType::from_name(args.first().map_or("", String::as_str)) {
        return one(&mut referee, kind, args.get(1).map_or("", String::as_str));
    }
    if args.first().is_some_and(|a| a == "record") {
        let given = args.get(3).and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        record(&mut referee, number(1, 1), number(2, 1000), &given);
        return ExitCode::SUCCESS;
    }
    let mut findings: BTreeMap<String, Finding> = BTreeMap::new();
    let (mut accepted, mut unsupported, mut agreed, mut left_out) = (0u64, 0u64, 0u64, 0u64);
    let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
    let (begin, judging) = (Instant::now(), Judging::begin());
    for (seed, done) in (first..first + count).zip(0u64..) {
        if begin.elapsed().as_secs() > limit {
            println!("stopped after {done} programs");
            break;
        }
        let (kind, code) = case(seed, source);
        if may_crash_linux(&code) {
            left_out += 1;
            continue;
        }
        judging.note(seed);
        let pair = match referee.judge(kind, code.clone()) {
            Ok(pair) => pair,
            Err(error) => {
                eprintln!("seed {seed}: {error}");
                continue;
            }
        };
        if pair.ring3.took.as_secs() >= SLOW_SECONDS {
            println!("slow: seed {seed} took {:?}: {}", pair.ring3.took, pair.ring3);
        }
        accepted += u64::from(pair.linux.errno == 0);
        unsupported += u64::from(pair.is_unsupported());
        *refusals.entry(pair.linux.message.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()).or_default() +=
            1;
        if pair.class().is_none() {
            agreed += 1;
            continue;
        }
        let shape = pair.shape();
        match findings.get_mut(&shape) {
            Some(finding) => {
                finding.count += 1;
                if code.len() < finding.code.len() {
                    (finding.seed, finding.kind, finding.code, finding.pair) = (seed, kind, code, pair);
                }
            }
            None => {
                findings.insert(shape, Finding { count: 1, seed, kind, code, pair });
            }
        }
    }
    if std::env::var_os("PARITY_REFUSALS").is_some() {
        for (message, count) in &refusals {
            println!("{count:8} {message}");
        }
    }
    for (shape, finding) in &findings {
        show(&mut referee, shape, finding);
    }
    println!("{left_out} programs were not given to Linux, which they may crash");
    println!(
        "{count} programs: {accepted} accepted by Linux, {agreed} agreed ({unsupported} unsupported), {} kinds of disagreement",
        findings.len()
    );
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A kind of disagreement on combinations, and the shortest program that has it.
struct Combined {
    count: usize,
    seed: u64,
    draft: Draft,
    pair: Pair,
}

/// Programs in which features meet, and a small one for each kind of disagreement.
fn combinations(first: u64, count: u64, limit: u64, show: bool) -> ExitCode {
    let mut referee = match combine::Referee::open() {
        Ok(referee) => referee,
        Err(why) => {
            eprintln!("skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let (begin, judging) = (Instant::now(), Judging::begin());
    let (mut done, mut accepted, mut agreed, mut unsupported, mut left_out) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut findings: BTreeMap<String, Combined> = BTreeMap::new();
    let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first.saturating_add(count) {
        if begin.elapsed().as_secs() > limit {
            break;
        }
        let draft = combination(seed, referee.world());
        judging.note(seed);
        done += 1;
        let pair = match judge_draft(&mut referee, &draft) {
            Ok(Some(pair)) => pair,
            Ok(None) => {
                left_out += 1;
                continue;
            }
            Err(error) => {
                eprintln!("seed {seed}: {error}\n{}", draft.text());
                continue;
            }
        };
        if show {
            println!("{}\n{}\n  linux {}\n  ring3 {}", draft.what, draft.text(), pair.linux, pair.ring3);
        }
        accepted += u64::from(pair.linux.errno == 0);
        unsupported += u64::from(pair.is_unsupported());
        *refusals
            .entry(bare(if pair.is_unsupported() { &pair.ring3.message } else { &pair.linux.message }))
            .or_default() += 1;
        if difference(&draft, &pair).is_none() {
            agreed += 1;
            continue;
        }
        let finding = findings.entry(pair.shape()).or_insert_with(|| Combined {
            count: 0,
            seed,
            draft: draft.clone(),
            pair: pair.clone(),
        });
        finding.count += 1;
        if draft.text().len() < finding.draft.text().len() {
            (finding.seed, finding.draft, finding.pair) = (seed, draft, pair);
        }
    }
    if std::env::var_os("PARITY_REFUSALS").is_some() {
        refusals.iter().for_each(|(message, count)| println!("{count:8} {message}"));
    }
    for (shape, finding) in &findings {
        let small = finding.draft.shrink(|draft| {
            judge_draft(&mut referee, draft)
                .is_ok_and(|pair| pair.is_some_and(|pair| difference(draft, &pair).is_some() && pair.shape() == *shape))
        });
        let pair = judge_draft(&mut referee, &small).ok().flatten();
        let pair = pair.as_ref().unwrap_or(&finding.pair);
        println!("=== {} times, seed {}\n    {shape}", finding.count, finding.seed);
        println!("  linux {}\n  ring3 {}\n  {}\n  {}", pair.linux, pair.ring3, finding.draft.what, small.text());
    }
    println!("{left_out} programs were not given to Linux, which they may crash");
    println!(
        "{done} combinations: {accepted} accepted by Linux, {agreed} agreed ({unsupported} unsupported), {} kinds of disagreement",
        findings.len()
    );
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Both verdicts on a text; nothing for one that may crash Linux.
fn judge_draft(referee: &mut combine::Referee, draft: &Draft) -> Result<Option<Pair>, String> {
    let program = draft.program(referee.world()).map_err(|error| error.to_string())?;
    referee.judge(program).map_err(|error| error.to_string())
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).take(80).collect()
}

/// What ring3 says of a random program and how long that takes, without Linux.
fn alone(seed: u64) -> ExitCode {
    let (kind, code) = case(seed, Source::Random);
    println!("{}\t{}", kind.name(), listing(&code).join("; "));
    let program = program(kind, code, &maps());
    let start = Instant::now();
    let verdict = ours(program, &Arc::new(Target::default()));
    println!("{:?} {verdict}", start.elapsed());
    ExitCode::SUCCESS
}

/// One program, in assembler text with semicolons for line ends.
fn one(referee: &mut Referee, kind: ProgType, text: &str) -> ExitCode {
    match parse(text.split(';')).map(|code| referee.judge(kind, code)) {
        Ok(Ok(pair)) => println!("{:?}\nlinux {}\nring3 {}", pair.class(), pair.linux, pair.ring3),
        Ok(Err(error)) => println!("{error}"),
        Err(error) => println!("{error}"),
    }
    ExitCode::SUCCESS
}

/// Longest program that is recorded.
const MAX_RECORDED: usize = 70;
/// One in so many of the programs that Linux accepts is recorded.
const ACCEPTED: u64 = 12;

/// Prints a table of small programs with Linux's verdicts: one for each message, and some that are accepted. `Given`
/// programs come first.
fn record(referee: &mut Referee, first: u64, count: u64, given: &str) {
    println!("type\tprogram\terrno\tprocessed\tstates\tmessage");
    let mut seen = std::collections::BTreeSet::new();
    for line in given.lines().filter(|line| !line.is_empty()) {
        let (kind, text) = line.split_once('\t').unwrap_or(("socket_filter", line));
        let (Some(kind), Ok(code)) = (ProgType::from_name(kind), parse(text.split(';'))) else {
            eprintln!("not a program: {line}");
            continue;
        };
        match referee.judge(kind, code.clone()) {
            Ok(pair) => {
                if let Some(class) = pair.class() {
                    eprintln!("{class:?}: {line}\n  {}\n  {}", pair.linux, pair.ring3);
                }
                if !pair.is_unsupported() && pair.class().is_none() {
                    row(kind, &code, &pair);
                }
            }
            Err(error) => eprintln!("{error}: {line}"),
        }
    }
    let mut accepted = 0;
    for seed in first..first + count {
        let source = Source::ALL[seed as usize % Source::ALL.len()];
        let (kind, code) = case(seed, source);
        if may_crash_linux(&code) {
            continue;
        }
        let Ok(pair) = referee.judge(kind, code.clone()) else { continue };
        if pair.class().is_some() || pair.is_unsupported() || pair.linux.stats[0] > 10_000 {
            continue;
        }
        if pair.linux.errno == 0 {
            accepted += 1;
            if accepted % ACCEPTED == 0 && (20..MAX_RECORDED).contains(&code.len()) {
                row(kind, &code, &pair);
            }
            continue;
        }
        let bare = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let shape = bare(&pair.linux.message);
        if shape.starts_with("old state")
            || shape.contains("probe_write_user")
            || shape.starts_with("verifier bug")
            || !seen.insert(shape.clone())
        {
            continue;
        }
        let small = shrink(&code, |code| {
            !may_crash_linux(code)
                && referee.judge(kind, code.clone()).is_ok_and(|pair| {
                    pair.class().is_none() && !pair.is_unsupported() && bare(&pair.linux.message) == shape
                })
        });
        if let Ok(pair) = referee.judge(kind, small.clone()) {
            row(kind, &small, &pair);
        }
    }
}

fn row(kind: ProgType, code: &Code, pair: &Pair) {
    let text = listing(code).join("; ");
    let linux = &pair.linux;
    println!("{}\t{text}\t{}\t{}\t{}\t{}", kind.name(), linux.errno, linux.stats[0], linux.stats[2], linux.message);
}

fn show(referee: &mut Referee, shape: &str, finding: &Finding) {
    // What is left of a program may be one that must not be judged, where offsets of calls lead elsewhere.
    let small = shrink(&finding.code, |code| {
        !may_crash_linux(code)
            && referee
                .judge(finding.kind, code.clone())
                .is_ok_and(|pair| pair.class().is_some() && pair.shape() == shape)
    });
    let pair = referee.judge(finding.kind, small.clone()).unwrap_or_else(|_| finding.pair.clone());
    println!("=== {} times, seed {}, {}\n    {shape}", finding.count, finding.seed, finding.kind.name());
    println!("  linux {}\n  ring3 {}\n  {}", pair.linux, pair.ring3, listing(&small).join("; "));
}
