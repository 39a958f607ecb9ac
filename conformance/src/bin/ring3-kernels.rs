//! `ring3-kernels`: boots other kernels and writes down what they have for BPF; `cargo xtask kernels` runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use ring3_conformance::kernel::boot::machine::{self, Run};
use ring3_conformance::kernel::boot::packages::{Apt, Kernel};
use ring3_conformance::kernel::boot::table;
use ring3_conformance::kernel::corpus::{Absent, folder, has};

/// Boots other kernels, and writes down what they have for BPF and what they say of programs.
#[derive(Parser)]
struct Args {
    /// Folder for kernels and all that is made for them.
    #[arg(long, default_value = "target/kernels")]
    target: PathBuf,
    /// Folder for the tables that are kept.
    #[arg(long, default_value = "conformance/kernel/facts")]
    facts: PathBuf,
    /// Objects that are part of ring3.
    #[arg(long, default_value = "examples/bpf")]
    own: PathBuf,
    /// Folder with corpora of others' objects, as `cargo xtask parity` makes it.
    #[arg(long, default_value = "target/parity/corpus")]
    corpus: PathBuf,
    /// Only these releases (6.1, 6.12).
    releases: Vec<String>,
    /// Says which kernels there are, and boots none.
    #[arg(long)]
    list: bool,
    /// Seconds that a machine may take.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Seconds of these that others' objects may take; 0 leaves them out.
    #[arg(long, default_value_t = 100)]
    corpus_seconds: u64,
}

/// What the machine's first process is built for: linked statically, as there is no library in the machine. The second is for
/// toolchains that do not have the first.
const STATIC: [(&str, &str); 2] =
    [("x86_64-unknown-linux-musl", ""), ("x86_64-unknown-linux-gnu", "-C target-feature=+crt-static")];

fn main() -> ExitCode {
    match work(&Args::parse()) {
        Ok(code) => code,
        // Whatever is not to be had on this machine is no fault of the tree.
        Err(why) => {
            println!("kernels: skipped: {why}");
            ExitCode::SUCCESS
        }
    }
}

fn work(args: &Args) -> Result<ExitCode, Absent> {
    folder(&args.target)?;
    let target = std::path::absolute(&args.target).unwrap_or_else(|_| args.target.clone());
    if !has(machine::QEMU) {
        return Err(Absent::Tool { tool: machine::QEMU, package: machine::PACKAGE });
    }
    let apt = Apt::new(&target)?;
    let wanted = |kernel: &Kernel| args.releases.is_empty() || args.releases.contains(&kernel.version.to_string());
    let kernels: Vec<Kernel> = apt.kernels()?.into_iter().filter(wanted).collect();
    if args.list || kernels.is_empty() {
        for kernel in &kernels {
            println!("{}\t{}", kernel.version, kernel.package);
        }
        println!("kernels: {}{} can be had", if kernels.is_empty() { "skipped: " } else { "" }, kernels.len());
        return Ok(ExitCode::SUCCESS);
    }
    let init = build(&target)?;
    let archive = target.join("objects.cpio");
    let own = ring3_guest::objects::list(&args.own);
    let corpus = if args.corpus_seconds == 0 { Vec::new() } else { selftests(&args.corpus) };
    let below = corpus.first().and_then(|file| file.parent()).unwrap_or(Path::new("")).to_owned();
    let objects = [("objects/own", args.own.as_path(), own.as_slice()), ("objects/corpus", &below, &corpus)];
    machine::archive(&archive, &init, &objects)?;
    println!("kernels: {} of ring3's objects, {} of Linux's tests", own.len(), corpus.len());
    let mut code = ExitCode::SUCCESS;
    for kernel in &kernels {
        match one(args, &apt, kernel, &target, &archive) {
            Ok(true) => {}
            Ok(false) => code = ExitCode::FAILURE,
            Err(why) => println!("kernels: {}: skipped: {why}", kernel.version),
        }
    }
    Ok(code)
}

/// Boots a kernel; false if it did not say all that it had to.
fn one(args: &Args, apt: &Apt, kernel: &Kernel, target: &Path, archive: &Path) -> Result<bool, Absent> {
    let (image, package) = apt.image(kernel, target)?;
    let folder = target.join(&kernel.package);
    let start = Instant::now();
    let (most, corpus) = (Duration::from_secs(args.seconds), Duration::from_secs(args.corpus_seconds));
    let (text, ended) = machine::run(&Run { image: &image, archive, folder: &folder, most, corpus })?;
    let found = table::sort(&text, &package);
    let write = |path: PathBuf, text: &str| fs::write(&path, text).map_err(Absent::file(&path));
    write(target.join(format!("verdicts-{}.tsv", kernel.version)), &found.verdicts)?;
    let took = start.elapsed().as_secs();
    if !found.is_whole {
        let why = if ended { "it stopped" } else { "the time was over" };
        println!("kernels: {}: {why} after {took} s; {} has what it said", kernel.version, folder.display());
        return Ok(false);
    }
    ring3_conformance::kernel::corpus::folder(&args.facts)?;
    write(args.facts.join(format!("{}.tsv", kernel.version)), &found.table)?;
    let rows = found.table.lines().count();
    let verdicts = found.verdicts.lines().count().saturating_sub(2);
    println!(
        "kernels: {}: {package}: {rows} facts, {verdicts} verdicts on others' programs in {took} s",
        kernel.version
    );
    Ok(true)
}

/// Builds the machine's first process.
fn build(target: &Path) -> Result<PathBuf, Absent> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut why = "no toolchain".to_owned();
    for (triple, flags) in STATIC {
        let build = target.join("build");
        let mut command = Command::new(&cargo);
        command.args(["build", "--quiet", "--release", "--package", "ring3-guest", "--target", triple, "--target-dir"]);
        command.arg(&build).env("RUSTFLAGS", flags);
        match command.output() {
            Ok(done) if done.status.success() => return Ok(build.join(triple).join("release/ring3-guest")),
            Ok(done) => why = String::from_utf8_lossy(&done.stderr).lines().next().unwrap_or("failed").to_owned(),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Absent::Command { command: "cargo build --package ring3-guest".to_owned(), why })
}

/// The objects of Linux's tests, where `cargo xtask parity` made them.
fn selftests(corpora: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpora).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("selftests-")))
        .collect();
    folders.sort();
    folders.last().map(|folder| ring3_guest::objects::list(folder)).unwrap_or_default()
}
