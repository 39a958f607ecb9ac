//! `ring3-kernel`: ring3 beside the running kernel over corpora of real programs; `cargo xtask parity` runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use ring3_conformance::kernel::corpus::{Absent, Corpus, packages, selftests, tables};
use ring3_conformance::kernel::report::{self, About};
use ring3_conformance::kernel::run::{Settings, run};
use ring3_conformance::kernel::{Entry, hold, html, logs, pace, runs};
use ring3_parity::Bounds;
use serde_json::Value;

/// ring3 beside the running kernel: every program of the corpora, judged by both.
#[derive(Parser)]
struct Args {
    /// Folder for corpora and the report.
    #[arg(long, default_value = "target/parity")]
    target: PathBuf,
    /// Folder that has examples and suite.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// What the report is compared with.
    #[arg(long, default_value = "conformance/kernel/baseline.json")]
    baseline: PathBuf,
    /// Writes the baseline anew.
    #[arg(long)]
    accept: bool,
    /// Uses recorded verdicts even where the kernel could be asked.
    #[arg(long)]
    recorded: bool,
    /// Takes corpora that were made before; if there are none, it says so and judges nothing.
    #[arg(long, conflicts_with = "prepare")]
    prepared: bool,
    /// Makes the corpora, and judges nothing.
    #[arg(long)]
    prepare: bool,
    /// Only files whose names have this in them.
    #[arg(long)]
    only: Option<String>,
    /// Threads; as many as there are processors, if it is not said.
    #[arg(long)]
    threads: Option<usize>,
    /// Seconds that a verification here may take.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Mebibytes that it may take.
    #[arg(long, default_value_t = 2048)]
    memory: u64,
    /// Instead of comparing verdicts: runs all accepted programs, those of examples and suite too, beside the verifier's states.
    #[arg(long, conflicts_with_all = ["accept", "prepare", "recorded"])]
    states: bool,
    /// Instead of comparing verdicts with the kernel's: with those without pruning.
    #[arg(long, conflicts_with_all = ["accept", "prepare", "recorded"])]
    no_prune: bool,
    /// Instead of comparing verdicts: whole logs, line by line, of programs that both judge alike.
    #[arg(long, conflicts_with_all = ["accept", "prepare", "recorded", "states", "no_prune"])]
    logs: bool,
    /// Instead of comparing verdicts: links all accepted programs for the engines, and tells what they need that there is not.
    #[arg(long, conflicts_with_all = ["accept", "prepare", "recorded", "logs"])]
    links: bool,
    /// Instead of comparing verdicts: runs programs on the kernel and on every engine, and compares what comes of it.
    #[arg(long, conflicts_with_all = ["accept", "prepare", "recorded", "logs", "states", "no_prune", "links"])]
    run: bool,
    /// Instead of comparing verdicts: times the heaviest programs on both sides, in turns.
    #[arg(long, conflicts_with_all = ["accept", "prepare", "recorded", "logs", "states", "no_prune", "links", "run"])]
    pace: bool,
    /// Instructions that a walk without pruning may process.
    #[arg(long, default_value_t = ring3_verifier::reference::BUDGET)]
    budget: u32,
}

/// In the folder of corpora when they have been made.
const READY: &str = "ready";

fn main() -> ExitCode {
    match work(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("parity: {error}");
            ExitCode::from(2)
        }
    }
}

fn work(args: &Args) -> Result<ExitCode, Absent> {
    let mark = args.target.join("corpus").join(READY);
    if args.prepared && !mark.is_file() {
        println!("parity: skipped: no corpora were made here; cargo xtask parity --prepare makes them");
        return Ok(ExitCode::SUCCESS);
    }
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut about = About::default();
    let corpora = prepare(args, threads, &mut about);
    if corpora.is_empty() {
        println!("parity: skipped: there is no corpus on this machine");
        return Ok(ExitCode::SUCCESS);
    }
    // A folder that cannot be marked is prepared again.
    let _ = fs::write(&mark, b"");
    if args.prepare {
        return Ok(ExitCode::SUCCESS);
    }
    if args.states || args.no_prune || args.links {
        return holds(args, &corpora, threads);
    }
    if args.run {
        return compare_runs(args, &corpora, threads);
    }
    if args.logs {
        return Ok(compare_logs(args, &corpora, threads, &mut about));
    }
    if args.pace {
        return Ok(compare_pace(args, &corpora, &mut about));
    }
    let live = !args.recorded && available(&mut about);
    let bounds = Bounds { time: Duration::from_secs(args.seconds), memory: args.memory << 20 };
    let start = Instant::now();
    let entries = run(&corpora, &Settings { threads, bounds, live }, &progress("files and programs judged"));
    about.seconds = start.elapsed().as_secs();
    write(args, &entries, &about)
}

/// Makes the corpora; what cannot be had is told in a line.
fn prepare(args: &Args, threads: usize, about: &mut About) -> Vec<Corpus> {
    let cache = args.target.join("corpus");
    let cache = std::path::absolute(&cache).unwrap_or(cache);
    let types = ring3_linux::KernelTypes::read().ok();
    let made = [
        ("selftests", selftests::prepare(&cache, threads, &progress("files compiled"))),
        ("tables", tables::prepare(&cache, types.as_ref().map(ring3_linux::KernelTypes::btf))),
        ("packages", packages::prepare(&cache)),
    ];
    let mut corpora = Vec::new();
    for (name, made) in made {
        match made {
            Ok(mut corpus) => {
                println!("parity: {name}: {}", corpus.note);
                if let Some(only) = &args.only {
                    corpus
                        .files
                        .retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().contains(only)));
                    if args.run {
                        corpus.programs.retain(|program| program.file.contains(only.as_str()));
                    }
                }
                about.add(&corpus);
                corpora.push(corpus);
            }
            Err(why) => {
                println!("parity: {name}: skipped: {why}");
                about.skipped.push(format!("{name}: {why}"));
            }
        }
    }
    corpora
}

/// Compares runs with states, and verdicts with those without pruning; fails if something does not hold.
fn holds(args: &Args, corpora: &[Corpus], threads: usize) -> Result<ExitCode, Absent> {
    let examples = hold::examples(&args.root.join("examples"))?;
    let mut sources = hold::sources(corpora);
    sources.extend(hold::sources(std::slice::from_ref(&examples)));
    match hold::suite(&args.root.join("conformance/suite")) {
        Ok(cases) => sources.extend(cases),
        Err(error) => println!("parity: suite: skipped: {error}"),
    }
    let only = args.only.as_deref().unwrap_or_default();
    sources.retain(|source| source.is_named(only));
    let settings = hold::Settings {
        threads,
        time: Duration::from_secs(args.seconds),
        states: args.states.then_some(hold::Settings::EFFORT),
        no_prune: args.no_prune.then_some(args.budget),
        links: args.links,
    };
    let start = Instant::now();
    let table = hold::table(&hold::hold(&sources, &settings, &progress("files and programs looked at")));
    let path = args.target.join("holds.json");
    let text = serde_json::to_string_pretty(&table.json()).unwrap_or_default();
    fs::write(&path, text).map_err(Absent::file(&path))?;
    print!("{table}");
    println!("parity: {} findings in {} s; {}", table.findings.len(), start.elapsed().as_secs(), path.display());
    Ok(if table.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares runs; fails if something differs.
fn compare_runs(args: &Args, corpora: &[Corpus], threads: usize) -> Result<ExitCode, Absent> {
    let mut examples = hold::examples(&args.root.join("examples"))?;
    let only = args.only.as_deref().unwrap_or_default();
    examples.files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().contains(only)));
    let all: Vec<Corpus> = corpora.iter().cloned().chain([examples]).collect();
    let runs = runs::runs(&all, threads, &progress("files and programs run"));
    let path = args.target.join("runs.json");
    let text = serde_json::to_string_pretty(&runs.json()).unwrap_or_default();
    fs::write(&path, text).map_err(Absent::file(&path))?;
    print!("{runs}");
    println!("parity: {}", path.display());
    Ok(if runs.differences() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares logs; where the kernel cannot be asked, there is nothing to compare with.
fn compare_logs(args: &Args, corpora: &[Corpus], threads: usize, about: &mut About) -> ExitCode {
    if available(about) {
        let mut sources = hold::sources(corpora);
        let only = args.only.as_deref().unwrap_or_default();
        sources.retain(|source| source.is_named(only));
        print!("{}", logs::compare(&sources, threads, &progress("files and programs read")));
    }
    ExitCode::SUCCESS
}

/// Compares times; where the kernel cannot be asked, there is nothing to compare with.
fn compare_pace(args: &Args, corpora: &[Corpus], about: &mut About) -> ExitCode {
    if available(about)
        && let Ok(kernel) = ring3_parity::Kernel::open()
    {
        let mut sources = hold::sources(corpora);
        let only = args.only.as_deref().unwrap_or_default();
        sources.retain(|source| source.is_named(only));
        print!("{}", pace::measure(&sources, &kernel, &progress("files and programs weighed")));
    }
    ExitCode::SUCCESS
}

/// Can the kernel be asked?
fn available(about: &mut About) -> bool {
    match ring3_linux::available() {
        Ok(()) => {
            let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            about.kernel = Some(release.trim().to_owned());
            true
        }
        Err(why) => {
            println!("parity: the kernel: skipped: {why}; recorded verdicts of Linux 6.18 serve in its place");
            about.skipped.push(format!("the kernel: {why}"));
            false
        }
    }
}

/// Tells of every hundredth.
fn progress(what: &'static str) -> impl Fn(usize, usize) + Sync {
    let last = AtomicUsize::new(0);
    move |done, all| {
        if (done % 100 == 0 || done == all) && last.fetch_max(done, Ordering::Relaxed) < done {
            eprintln!("parity: {done} of {all} {what}");
        }
    }
}

/// Writes report and page, prints totals; fails on a false accept.
fn write(args: &Args, entries: &[Entry], about: &About) -> Result<ExitCode, Absent> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| Absent::File { path, source }
    };
    if args.accept {
        let text = report::baseline_text(&report::baseline(entries));
        fs::write(&args.baseline, text).map_err(file(&args.baseline))?;
    }
    // It is of a kernel that was asked: recorded verdicts are fewer.
    let baseline = about.kernel.as_ref().and_then(|_| fs::read_to_string(&args.baseline).ok());
    let baseline = baseline.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let report = report::report(entries, about, baseline.as_ref());
    let (data, page) = (args.target.join("report.json"), args.target.join("report.html"));
    let text = serde_json::to_string_pretty(&report).unwrap_or_default();
    fs::write(&data, text).map_err(file(&data))?;
    fs::write(&page, html::page(&report)).map_err(file(&page))?;
    println!("{}", report::summary(&report));
    println!("parity: {} and {}", data.display(), page.display());
    let bad = report["totals"]["false_accept"].as_u64() != Some(0);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
