//! `ring3-core [--only TEXT] [--list] [--record FILE] PATH...`: objects (or folders of them) opened and linked by ring3 and by libbpf
//! for the running kernel. Fails if more than one program in a hundred is not the same. `--record` prints what libbpf makes of
//! them for the types of a file, for `object/tests/data/libbpf.tsv`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_libbpf::compare::{Kernel, Outcome, compare};

/// Most programs that may differ, in hundredths.
const ALLOWED: usize = 1;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut paths, mut only, mut list) = (Vec::new(), None, false);
    let mut target = None;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--only" => only = args.next(),
            "--list" => list = true,
            "--record" => target = args.next().map(PathBuf::from),
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    if let Err(why) = ring3_linux::available() {
        println!("core: skipped: {why}");
        return ExitCode::SUCCESS;
    }
    let types = match ring3_linux::KernelTypes::read() {
        Ok(types) => types,
        Err(why) => {
            println!("core: skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let core = Arc::new(CoreTarget::new(Arc::new(types.btf().clone())));
    let kernel = Kernel { core, values: Arc::new(ring3_linux::kernel_values()) };
    let mut files = Vec::new();
    paths.iter().for_each(|path| objects(path, &mut files));
    files.retain(|file| only.as_ref().is_none_or(|only| file.to_string_lossy().contains(only.as_str())));
    files.sort();
    if let Some(target) = target {
        record(&files, &target);
        return ExitCode::SUCCESS;
    }
    let mut sum = Sum::default();
    for (done, file) in files.iter().enumerate() {
        eprint!("\r{done}/{} ", files.len());
        sum.add(&kernel, file, list);
    }
    eprintln!("\r{}/{} ", files.len(), files.len());
    sum.print();
    if sum.different * 100 > ALLOWED * sum.both { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints what libbpf makes of objects against the types of a file.
fn record(files: &[PathBuf], target: &Path) {
    for file in files {
        let Ok(bytes) = std::fs::read(file) else { continue };
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for (program, slots, digest) in ring3_libbpf::compare::record(&name, &bytes, Some(target)) {
            println!("{}\t{program}\t{slots}\t{digest:016x}", file.display());
        }
    }
}

/// Objects of a folder and of those below.
fn objects(path: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else {
        into.push(path.to_owned());
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            objects(&path, into);
        } else if path.extension().is_some_and(|end| end == "o") {
            into.push(path);
        }
    }
}

/// What is counted.
#[derive(Default)]
struct Sum {
    files: usize,
    /// Objects by which of ring3 and libbpf opens them.
    opened: BTreeMap<(bool, bool), usize>,
    /// Programs that both have.
    both: usize,
    different: usize,
    counts: BTreeMap<&'static str, usize>,
    lines: Vec<String>,
}

impl Sum {
    fn add(&mut self, kernel: &Kernel, file: &Path, list: bool) {
        let Ok(bytes) = std::fs::read(file) else {
            self.lines.push(format!("{}: cannot be read", file.display()));
            return;
        };
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let compared = compare(kernel, &name, &bytes, None);
        self.files += 1;
        *self.opened.entry((compared.ours.is_none(), compared.theirs.is_none())).or_default() += 1;
        if let Some(ours) = &compared.ours {
            let theirs = compared.theirs.as_deref().unwrap_or("opens it");
            self.lines.push(format!("object {name}: ring3: {ours}; libbpf: {theirs}"));
        } else if let Some(theirs) = compared.theirs.as_ref().filter(|_| list) {
            self.lines.push(format!("object {name}: opened; libbpf: {theirs}"));
        }
        for (program, outcome) in compared.programs {
            let (kind, line) = describe(&outcome);
            *self.counts.entry(kind).or_default() += 1;
            self.both += usize::from(matches!(outcome, Outcome::Equal));
            if matches!(outcome, Outcome::Length { .. } | Outcome::Slot { .. }) {
                self.both += 1;
                self.different += 1;
            }
            let always = matches!(outcome, Outcome::Length { .. } | Outcome::Slot { .. } | Outcome::OnlyTheirs(_));
            if always || list && outcome != Outcome::Equal {
                self.lines.push(format!("{name} {program}: {kind}: {line}"));
            }
        }
    }

    fn print(&self) {
        self.lines.iter().for_each(|line| println!("{line}"));
        let opened = |ours, theirs| self.opened.get(&(ours, theirs)).copied().unwrap_or(0);
        println!(
            "{} objects: {} opened by both, {} by ring3 alone, {} by libbpf alone, {} by neither",
            self.files,
            opened(true, true),
            opened(true, false),
            opened(false, true),
            opened(false, false),
        );
        self.counts.iter().for_each(|(kind, count)| println!("{count:6} programs: {kind}"));
        println!("{} programs that both have, {} of them not the same", self.both, self.different);
    }
}

/// What came of a program, to count by and to read.
fn describe(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Equal => ("equal", String::new()),
        Outcome::Length { ours, theirs } => ("another length", format!("{ours} slots, libbpf {theirs}")),
        Outcome::Slot { slot, ours, theirs } => {
            ("another instruction", format!("slot {slot}: {ours}, libbpf {theirs}"))
        }
        Outcome::OnlyTheirs(why) => ("only libbpf links it", why.clone()),
        Outcome::OnlyOurs(why) => ("only ring3 links it", why.clone()),
        Outcome::Neither(ours, theirs) => ("neither links it", format!("{ours}; libbpf: {theirs}")),
    }
}
