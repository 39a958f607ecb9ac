//! Random arithmetic and branches, against what Linux 6.18.44 printed for the same instructions.
//!
//! `domain_kernel.txt` holds programs, separated by empty lines. They start with R6 and R7 unknown and follow the
//! fall-through of each branch. A line is the instructions' bytes in hexadecimal, what the kernel's log said of R6 and R7
//! afterwards and, for a branch that it left open, of R6 and R7 where it was taken; `-` where the log was silent.

use ring3_isa::{Code, Endianness, Insn, Operand, Reg, Wide};
use ring3_verifier::domain::{Scalar, alu, branch_taken, endian, neg, refine, refine_same};

const MEASURED: &str = include_str!("../domain_kernel.txt");

/// R6, R7 and the stack slot.
struct Machine {
    regs: [Scalar; 2],
    slot: Scalar,
}

fn index(reg: Reg) -> usize {
    usize::from(reg.number() - 6)
}

impl Machine {
    fn operand(&self, operand: Operand) -> Scalar {
        match operand {
            Operand::Reg(reg) => self.regs[index(reg)],
            Operand::Imm(imm) => Scalar::immediate(imm),
        }
    }

    /// Executes one instruction. An open branch falls through and gives the registers of its other side.
    fn step(&mut self, insn: Insn) -> Option<[Scalar; 2]> {
        match insn {
            Insn::Alu { width, op, dst, src } => {
                self.regs[index(dst)] = alu(op, width, &self.regs[index(dst)], &self.operand(src));
            }
            Insn::Mov { dst, .. } => self.regs[index(dst)] = self.regs[index(dst)].mov32(),
            Insn::MovSx { width, from, dst, src } => {
                self.regs[index(dst)] = self.regs[index(src)].mov_sx(from, width);
            }
            Insn::Neg { width, dst } => self.regs[index(dst)] = neg(width, &self.regs[index(dst)]),
            Insn::Endian { op, size, dst } => self.regs[index(dst)] = endian(op, size, &self.regs[index(dst)]),
            Insn::LoadImm { dst, value: Wide::Imm(value) } => self.regs[index(dst)] = Scalar::constant(value),
            Insn::WideTail => {}
            Insn::Store { src, .. } => self.slot = self.operand(src),
            Insn::Load { size, signed, dst, .. } => {
                self.regs[index(dst)] =
                    if signed { self.slot.sign_extend_load(size) } else { self.slot.truncate_to(size) };
            }
            Insn::Branch { width, op, lhs, rhs, .. } => {
                let right = self.operand(rhs);
                if branch_taken(op, width, &self.regs[index(lhs)], &right).is_some() {
                    return None;
                }
                let mut sides = [self.regs, self.regs];
                for (side, taken) in sides.iter_mut().zip([false, true]) {
                    let mut right = right;
                    match rhs {
                        Operand::Reg(reg) if reg == lhs => refine_same(op, width, &mut side[index(lhs)], taken),
                        Operand::Reg(reg) => {
                            refine(op, width, &mut side[index(lhs)], &mut right, taken);
                            side[index(reg)] = right;
                        }
                        Operand::Imm(_) => refine(op, width, &mut side[index(lhs)], &mut right, taken),
                    }
                }
                self.regs = sides[0];
                return Some(sides[1]);
            }
            other => panic!("{other:?} is not used here"),
        }
        None
    }
}

fn decode(hex: &str) -> Code {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal")).collect();
    Code::from_bytes(&bytes, Endianness::Little).expect("whole instructions")
}

fn agree(line: &str, ours: &[Scalar; 2], kernel: &[&str]) -> usize {
    let said = ours.iter().zip(kernel).filter(|(_, text)| **text != "-");
    said.inspect(|(scalar, text)| assert_eq!(scalar.to_string(), **text, "after {line}")).count()
}

#[test]
fn as_measured() {
    let mut compared = 0;
    for program in MEASURED.split("\n\n") {
        let mut machine = Machine { regs: [Scalar::UNKNOWN; 2], slot: Scalar::UNKNOWN };
        for line in program.lines() {
            let fields: Vec<&str> = line.split(" | ").collect();
            let mut other_side = None;
            for insn in decode(fields[0]).insns() {
                other_side = machine.step(insn.expect("valid instructions"));
            }
            assert_eq!(other_side.is_some(), fields.len() > 3, "whether the branch is open: {line}");
            compared += agree(line, &machine.regs, &fields[1..3]);
            compared += other_side.map_or(0, |regs| agree(line, &regs, &fields[3..]));
        }
    }
    assert!(compared > 1000, "only {compared} states compared");
}
