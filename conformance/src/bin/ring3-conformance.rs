//! Runs conformance cases on engines, and says what came of them by instruction and engine.
//!
//! Exit codes: 0 all is well, 1 a case failed, 2 wrong usage or a file that is no case.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ring3_conformance::coverage::CpuVersion;
use ring3_conformance::select::{self, Filter};
use ring3_conformance::{EngineName, Error, Report};

/// Runs conformance cases on engines: the suite that comes with ring3 or any directory in the format of the public suite
/// bpf_conformance.
#[derive(Debug, Parser)]
#[command(name = "ring3-conformance", version)]
struct Args {
    /// checked, interp, jit-x64, jit-arm64, kernel, eval, rbpf, or plugin:COMMAND; may be given several times [default:
    /// checked interp jit-x64 jit-arm64 kernel]
    #[arg(long = "engine", short = 'e', value_name = "ENGINE")]
    engines: Vec<EngineName>,
    /// Only cases about this conformance group: base32, base64, divmul32, divmul64, atomic32, atomic64, packet, callx, linux
    #[arg(long = "group", short = 'g', value_name = "GROUP", value_parser = select::group)]
    groups: Vec<ring3_isa::Group>,
    /// No cases with an instruction of this group
    #[arg(long = "exclude-group", alias = "exclude_groups", value_name = "GROUP", value_parser = select::group)]
    exclude_groups: Vec<ring3_isa::Group>,
    /// Only files with names in which this is found
    #[arg(long, alias = "include_regex", value_name = "REGEX", value_parser = select::regex)]
    include_regex: Option<regex::Regex>,
    /// No files with names in which this is found
    #[arg(long, alias = "exclude_regex", value_name = "REGEX", value_parser = select::regex)]
    exclude_regex: Option<regex::Regex>,
    /// No cases with instructions of later generations than v1, v2, v3 or v4
    #[arg(long, alias = "cpu_version", value_name = "VERSION")]
    cpu_version: Option<CpuVersion>,
    /// How to print
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// No matrix
    #[arg(long, short)]
    quiet: bool,
    /// Also the programs of cases that fail
    #[arg(long)]
    debug: bool,
    /// Runs nothing, but says which instructions no case has, and fails if there are any
    #[arg(long)]
    uncovered: bool,
    /// Says which instructions the cases have
    #[arg(long, alias = "list_used_instructions")]
    list_used_instructions: bool,
    /// Says which instructions no case has
    #[arg(long, alias = "list_unused_instructions")]
    list_unused_instructions: bool,
    /// As the public runner has it: a plugin
    #[arg(long, alias = "plugin_path", value_name = "PATH", hide = true)]
    plugin_path: Option<String>,
    /// As the public runner has it: options of the plugin
    #[arg(long, alias = "plugin_options", value_name = "OPTIONS", hide = true, allow_hyphen_values = true)]
    plugin_options: Option<String>,
    /// As the public runner has it: a path
    #[arg(long, aliases = ["test_file_path", "test-file-directory", "test_file_directory"], value_name = "PATH", hide = true)]
    test_file_path: Vec<PathBuf>,
    /// Files, or directories with .data files [default: the suite of ring3]
    paths: Vec<PathBuf>,
}

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where the suite is, in the source tree that this was built from.
const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suite");

/// Switches, which take `true` or `false` in the public runner.
const SWITCHES: [&str; 3] = ["--debug", "--list_used_instructions", "--list_unused_instructions"];

/// The command line without the values of switches.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    for arg in given {
        let switch = args.last().is_some_and(|last| SWITCHES.iter().any(|switch| last == switch));
        match arg.to_str() {
            Some("true") if switch => {}
            Some("false") if switch => args.truncate(args.len() - 1),
            Some(_) | None => args.push(arg),
        }
    }
    args
}

fn main() -> ExitCode {
    match run(Args::parse_from(arguments(std::env::args_os()))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ring3-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Error> {
    let engines = engines(&args);
    let mut paths = [args.paths, args.test_file_path].concat();
    if paths.is_empty() {
        paths.push(PathBuf::from(SUITE));
    }
    let filter = Filter {
        groups: args.groups,
        exclude_groups: args.exclude_groups,
        include: args.include_regex,
        exclude: args.exclude_regex,
        cpu: args.cpu_version,
    };
    let (cases, errors) = select::load(&paths, &filter)?;
    for error in &errors {
        eprintln!("ring3-conformance: {error}");
    }
    let report = Report::run(cases, if args.uncovered { &[] } else { &engines });
    let mut text = match args.output {
        Output::Json => format!("{:#}\n", report.json()),
        Output::Text => report.text(!args.quiet && !args.uncovered, args.debug),
    };
    let lists = [
        (args.list_used_instructions, "Instructions used by tests:", report.used()),
        (args.list_unused_instructions, "Instructions not used by tests:", report.uncovered()),
    ];
    for (_, head, kinds) in lists.iter().filter(|(wanted, ..)| *wanted && args.output == Output::Text) {
        text.extend([head, "\n"]);
        text.extend(kinds.iter().map(|kind| format!("{kind}\n")));
    }
    // Whoever read the output (`head`, a pager) has enough of it.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let failed = report.failed() || args.uncovered && !report.uncovered().is_empty();
    Ok(ExitCode::from(if errors.is_empty() { u8::from(failed) } else { 2 }))
}

fn engines(args: &Args) -> Vec<EngineName> {
    let mut engines = args.engines.clone();
    if let Some(path) = &args.plugin_path {
        engines.push(EngineName::Plugin(format!("{path} {}", args.plugin_options.as_deref().unwrap_or_default())));
    }
    if engines.is_empty() { EngineName::USUAL.to_vec() } else { engines }
}
