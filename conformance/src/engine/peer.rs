//! `rbpf`'s interpreter: a runtime that shares nothing with ring3, to ask for a second opinion.

use std::panic::catch_unwind;

use rbpf::EbpfVmRaw;
use ring3_isa::{Code, Endianness, Insn, Operand, Reg, Width};

use super::vm::ends;
use super::{Engine, Judges, Outcome, Stop, helpers};
use crate::format::{Case, Input};

/// The peer.
#[derive(Debug)]
pub struct Rbpf;

impl Engine for Rbpf {
    fn judges(&self) -> Judges {
        Judges::Not
    }

    fn run(&mut self, case: &Case) -> Outcome {
        let Input::Memory(memory) = &case.input else {
            return Outcome::skipped("rbpf has no packets in this form");
        };
        if case.linux {
            return Outcome::skipped("rbpf has no maps and no helpers of Linux");
        }
        // It counts no instructions.
        if !ends(case) {
            return Outcome::Stopped(Stop::TooLong);
        }
        let code = with_length(&case.code, memory.len()).to_bytes(Endianness::Little);
        // Its arithmetic panics in debug builds where the instruction set says that results wrap.
        match catch_unwind(|| execute(&code, &mut memory.clone())) {
            Ok(Ok(r0)) => Outcome::Returned(r0),
            Ok(Err(error)) => Outcome::failed(error),
            Err(_) => Outcome::failed("rbpf panicked"),
        }
    }
}

/// Only R1 is set; in front comes what sets R2.
fn with_length(code: &Code, len: usize) -> Code {
    // Few, by the limits of the format.
    let length = Insn::Mov { width: Width::W64, dst: Reg::R2, src: Operand::Imm(len as i32) };
    Code::decode([Code::from_insns([length]).raw_slice(), code.raw_slice()].concat())
}

fn execute(code: &[u8], memory: &mut [u8]) -> Result<u64, std::io::Error> {
    let mut vm = EbpfVmRaw::new(Some(code))?;
    vm.register_helper(0, |a, b, c, d, e| helpers::gather_bytes([a, b, c, d, e]))?;
    vm.register_helper(2, |_, _, _, _, _| 0)?;
    vm.register_helper(3, |a, _, _, _, _| helpers::sqrti(a))?;
    vm.register_helper(5, |a, _, _, _, _| a)?;
    vm.execute_program(memory)
}
