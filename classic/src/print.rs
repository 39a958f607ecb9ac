//! Programs as text again.

use std::fmt;

use crate::insn::{Extension, Form, Insn, Op, row_of};

/// Shows a program as `tcpdump -d` does, an instruction a line. Any program can be shown: of an unknown opcode the number.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a>(pub &'a [Insn]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (slot, insn) in self.0.iter().enumerate() {
            let text = line(slot, *insn);
            writeln!(f, "({slot:03}) {}", text.trim_end())?;
        }
        Ok(())
    }
}

fn line(slot: usize, insn: Insn) -> String {
    let Some(row) = row_of(insn.code) else { return format!("{:8} {:#x}", "unimp", insn.code) };
    let operand = operand(slot, row.form, insn);
    if let Op::Branch(..) = row.op {
        let (jt, jf) = (slot + 1 + usize::from(insn.jt), slot + 1 + usize::from(insn.jf));
        return format!("{:8} {operand:16} jt {jt}\tjf {jf}", row.name);
    }
    format!("{:8} {operand}", row.name)
}

fn operand(slot: usize, form: Form, insn: Insn) -> String {
    let k = insn.k.cast_signed();
    match form {
        // `ret` without an operand returns A.
        Form::None | Form::A => String::new(),
        Form::Dec => format!("#{k}"),
        Form::Hex => format!("#{k:#x}"),
        Form::X => "x".to_owned(),
        Form::Abs => match Extension::from_k(insn.k) {
            Some(extension) => format!("[{}]", extension.pcap_name()),
            None => format!("[{k}]"),
        },
        Form::Ind => format!("[x + {k}]"),
        Form::Mem => format!("M[{}]", insn.k),
        Form::Msh => format!("4*([{k}]&0xf)"),
        Form::Len => "#pktlen".to_owned(),
        Form::Target => (slot as u64 + 1 + u64::from(insn.k)).to_string(),
    }
}

/// The program as `tcpdump -ddd` writes it: a count, then `code jt jf k`, each on a line.
pub fn ddd(insns: &[Insn]) -> String {
    let mut text = format!("{}\n", insns.len());
    for insn in insns {
        text += &numbers(*insn);
        text.push('\n');
    }
    text
}

/// The program on one line, as iptables' `--bytecode` takes it.
pub fn comma(insns: &[Insn]) -> String {
    let mut text = insns.len().to_string();
    for insn in insns {
        text.push(',');
        text += &numbers(*insn);
    }
    text
}

fn numbers(insn: Insn) -> String {
    format!("{} {} {} {}", insn.code, insn.jt, insn.jf, insn.k)
}
