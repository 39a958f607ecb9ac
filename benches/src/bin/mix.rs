//! Prints which instructions the programs execute, and which follow one another: what is worth a handler of its own.
//!
//! `cargo run -p ring3-benches --bin mix [-- PROGRAM...]`. The numbers are per cent of the executed instructions, each program
//! with the same weight.

use std::collections::BTreeMap;

use ring3_benches::count::trace;
use ring3_benches::measure::Subject;
use ring3_benches::peer::Input;
use ring3_benches::workload;
use ring3_isa::{Insn, Operand, Size, Width};

/// How many of each are printed.
const SHOWN: usize = 45;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut shares: [BTreeMap<String, f64>; 3] = Default::default();
    let workloads = workload::compiled().expect("the objects are there");
    let workloads: Vec<_> = workloads.into_iter().filter(|w| wanted.is_empty() || wanted.contains(&w.name)).collect();
    let weight = 100.0 / workloads.len() as f64;
    for workload in workloads {
        let mut input = Input::new(&workload.packet);
        let subject = Subject::new(workload).expect("a program that the tests have run");
        let share = weight / subject.counted().executed as f64;
        let mut last: Vec<(usize, Insn)> = Vec::new();
        trace(subject.prepared(), &mut input, |slot, insn| {
            last.insert(0, (slot, insn));
            last.truncate(3);
            for (many, shares) in (1..).zip(&mut shares).take(last.len()) {
                let name: Vec<String> = last[..many].iter().rev().map(|(_, insn)| kind(*insn)).collect();
                let joined = last[..many].windows(2).any(|pair| shares_register(pair[1].1, pair[0].1));
                let mark = if joined { " *" } else { "" };
                *shares.entry(name.join(", ") + mark).or_default() += share;
            }
        });
    }
    for (shares, title) in
        shares.into_iter().zip(["one", "two in a row (*: the later uses what the earlier wrote)", "three"])
    {
        println!("{title}:");
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (name, share) in shares.into_iter().take(SHOWN) {
            println!("{share:6.2}  {name}");
        }
    }
}

fn shares_register(first: Insn, second: Insn) -> bool {
    !first.defs().intersection(second.uses()).is_empty()
}

fn width(width: Width) -> &'static str {
    match width {
        Width::W32 => "32",
        Width::W64 => "64",
    }
}

fn operand(operand: Operand) -> &'static str {
    match operand {
        Operand::Reg(_) => "reg",
        Operand::Imm(_) => "imm",
    }
}

fn bits(size: Size) -> u32 {
    size.bytes() * 8
}

/// An instruction without its registers and numbers.
fn kind(insn: Insn) -> String {
    match insn {
        Insn::Alu { width: w, op, src, .. } => format!("{op:?}{} {}", width(w), operand(src)).to_lowercase(),
        Insn::Mov { width: w, src, .. } => format!("mov{} {}", width(w), operand(src)),
        Insn::MovSx { .. } => "movsx".to_owned(),
        Insn::AddrSpaceCast { .. } => "cast".to_owned(),
        Insn::Neg { width: w, .. } => format!("neg{}", width(w)),
        Insn::Endian { size, .. } => format!("swap{}", bits(size)),
        Insn::LoadImm { .. } | Insn::WideTail => "lddw".to_owned(),
        Insn::Load { size, signed, .. } => format!("load{}{}", if signed { "s" } else { "" }, bits(size)),
        Insn::Store { size, src, .. } => format!("store{} {}", bits(size), operand(src)),
        Insn::Atomic { .. } => "atomic".to_owned(),
        Insn::LoadAcquire { .. } => "acquire".to_owned(),
        Insn::StoreRelease { .. } => "release".to_owned(),
        Insn::Jump { .. } => "goto".to_owned(),
        Insn::Branch { width: w, op, rhs, .. } => format!("j{op:?}{} {}", width(w), operand(rhs)).to_lowercase(),
        Insn::MayGoto { .. } => "may_goto".to_owned(),
        Insn::Call(callee) => format!("call {callee:?}").to_lowercase(),
        Insn::CallX { .. } => "callx".to_owned(),
        Insn::GotoX { .. } => "gotox".to_owned(),
        Insn::Exit => "exit".to_owned(),
        Insn::LegacyPacket { .. } => "packet".to_owned(),
    }
}
