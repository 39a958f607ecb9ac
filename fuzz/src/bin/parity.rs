//! Random and spoilt programs, judged by ring3 and by the running kernel.
//!
//! `parity TYPE "r0 = 0; exit"` judges one program.
//! `parity SEED COUNT [random|spoilt|verified]` prints one small program for each kind of disagreement.

use std::collections::BTreeMap;
use std::process::ExitCode;

use ring3_fuzz::parity::{KINDS, Pair, Referee, chaos, listing, maps, shrink, spoil};
use ring3_fuzz::{Entropy, generate};
use ring3_isa::Code;
use ring3_platform::ProgType;

/// Verdicts that take longer are shown.
const SLOW_SECONDS: u64 = 5;

struct Finding {
    count: usize,
    seed: u64,
    kind: ProgType,
    code: Code,
    pair: Pair,
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| args.get(index).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (first, count) = (number(0, 1), number(1, 1000));
    let source = args.get(2).map_or("", String::as_str);
    let mut referee = match Referee::open(maps()) {
        Ok(Some(referee)) => referee,
        Ok(None) => {
            eprintln!("skipped: bpf(2) cannot be used here");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("no maps: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(kind) = ProgType::from_name(args.first().map_or("", String::as_str)) {
        return one(&mut referee, kind, args.get(1).map_or("", String::as_str));
    }
    let mut findings: BTreeMap<String, Finding> = BTreeMap::new();
    let (mut accepted, mut unsupported, mut agreed) = (0u64, 0u64, 0u64);
    let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first + count {
        let (kind, code) = case(seed, source);
        let pair = match referee.judge(kind, code.clone()) {
            Ok(pair) => pair,
            Err(error) => {
                eprintln!("seed {seed}: {error}");
                continue;
            }
        };
        if pair.took.as_secs() >= SLOW_SECONDS {
            println!("slow: seed {seed} took {:?}: {}", pair.took, pair.ring3);
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
    println!(
        "{count} programs: {accepted} accepted by Linux, {agreed} agreed ({unsupported} unsupported), {} kinds of disagreement",
        findings.len()
    );
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One program, in assembler text with semicolons for line ends.
fn one(referee: &mut Referee, kind: ProgType, text: &str) -> ExitCode {
    match ring3_isa::assemble(&text.replace(';', "\n")).map(|code| referee.judge(kind, code)) {
        Ok(Ok(pair)) => println!("{:?}\nlinux {}\nring3 {}", pair.class(), pair.linux, pair.ring3),
        Ok(Err(error)) => println!("{error}"),
        Err(error) => println!("{error}"),
    }
    ExitCode::SUCCESS
}

fn case(seed: u64, source: &str) -> (ProgType, Code) {
    let bytes = bytes(seed, 1500);
    let mut entropy = Entropy::new(&bytes);
    let kind = entropy.pick(&KINDS);
    match source {
        "verified" => (ProgType::Xdp, generate(&mut entropy).program.code.clone()),
        "random" => (kind, chaos(kind, &mut entropy)),
        _ => {
            let code = chaos(kind, &mut entropy);
            let other = bytes.iter().rev().copied().collect::<Vec<u8>>();
            (kind, spoil(&code, maps().len(), &mut Entropy::new(&other)))
        }
    }
}

fn show(referee: &mut Referee, shape: &str, finding: &Finding) {
    let small = shrink(&finding.code, |code| {
        referee.judge(finding.kind, code.clone()).is_ok_and(|pair| pair.class().is_some() && pair.shape() == shape)
    });
    let pair = referee.judge(finding.kind, small.clone()).unwrap_or_else(|_| finding.pair.clone());
    println!("=== {} times, seed {}, {}\n    {shape}", finding.count, finding.seed, finding.kind.name());
    println!("  linux {}\n  ring3 {}\n{}", pair.linux, pair.ring3, listing(&small));
}
