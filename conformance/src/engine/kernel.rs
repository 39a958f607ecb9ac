//! The running Linux, by bpf(2): programs are loaded, run on a packet of their own (BPF_PROG_TEST_RUN), and closed.

use std::sync::Arc;

use ring3_isa::{Code, Insn, Operand, Reg, Size, Wide, Width};
use ring3_linux::{Error, LoadOptions, Loaded, LogLevel, TestRun, available, load};
use ring3_platform::{Errno, MapDef, MapType, Program};

use super::vm::{EMPTY_PACKET, as_program, calls_public_helper, ends, functions, is_judged, jump, with_prologue};
use super::{Engine, Judges, Outcome, Stop};
use crate::format::{Case, Input};

/// The running Linux.
#[derive(Debug)]
pub struct Kernel;

impl Kernel {
    /// The error says why it cannot be reached.
    pub fn open() -> Result<Kernel, String> {
        available().map(|()| Kernel).map_err(|why| why.to_string())
    }
}

impl Engine for Kernel {
    fn judges(&self) -> Judges {
        Judges::AsLinux
    }

    fn run(&mut self, case: &Case) -> Outcome {
        if calls_public_helper(case) {
            return Outcome::skipped("Linux has other helpers under the numbers of the public suite's");
        }
        let whole = !is_judged(case);
        // What Linux accepts ends, but perhaps not today.
        if whole && !ends(case) {
            return Outcome::Stopped(Stop::TooLong);
        }
        let program = program(case, whole);
        let options = LoadOptions { log: LogLevel::STATS, ..LoadOptions::default() };
        match load(&program, &options) {
            Ok(loaded) => run(case, &loaded, whole).unwrap_or_else(Outcome::failed),
            Err(error) => refusal(&error),
        }
    }
}

/// Runs it: all of R0 is in the last map, if the program brings it there.
fn run(case: &Case, loaded: &Loaded, whole: bool) -> Result<Outcome, Error> {
    let data = match &case.input {
        Input::Packet(packet) => packet,
        Input::Memory(_) => &EMPTY_PACKET[..],
    };
    let output = loaded.prog.test_run(&TestRun { data: Some(data), ..TestRun::default() })?;
    if !whole {
        return Ok(Outcome::ReturnedLow(output.retval));
    }
    let value = match loaded.maps.last() {
        Some(map) => map.lookup(&0u32.to_ne_bytes())?,
        None => None,
    };
    Ok(match value.as_deref().map(<[u8; 8]>::try_from) {
        Some(Ok(value)) => Outcome::Returned(u64::from_ne_bytes(value)),
        Some(Err(_)) | None => Outcome::failed("the result map has no result"),
    })
}

/// The verdict, as far as it is one.
fn refusal(error: &Error) -> Outcome {
    let (Some(errno), Some(log)) = (error.errno(), error.log()) else { return Outcome::failed(error) };
    match errno.name().and_then(Errno::by_name) {
        Some(errno) => Outcome::refused(errno, &log.text),
        None => Outcome::failed(error),
    }
}

/// The case for the kernel. A run gives only the low half of R0, so with `whole` the program stores all of it in a map before it
/// ends.
fn program(case: &Case, whole: bool) -> Program {
    let (code, memory) = with_prologue(case);
    let mut maps: Vec<Arc<MapDef>> = case.maps.iter().cloned().chain(memory.map(Arc::new)).collect();
    if !whole {
        return as_program(case, code, maps);
    }
    // Few, by the limits of the format.
    let result = maps.len() as i32;
    maps.push(Arc::new(MapDef::new("result", MapType::Array, 4, 8, 1)));
    let code = with_result(&code, code.len() - case.code.len(), result);
    as_program(case, code, maps)
}

/// In front of the program of the case, and behind its prologue, the end is put: what stores R0 in the map. Each exit of the main
/// function becomes a jump there, a slot for a slot, so that nothing else changes.
fn with_result(code: &Code, prologue: usize, result: i32) -> Code {
    let end = Code::from_insns([
        Insn::LoadImm { dst: Reg::R1, value: Wide::MapValue { map: result, off: 0 } },
        Insn::Store { size: Size::Dw, base: Reg::R1, off: 0, src: Operand::Reg(Reg::R0) },
        Insn::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) },
        Insn::Exit,
    ]);
    let main_ends = functions(code).get(1).copied().unwrap_or(code.len());
    let (before, program) = code.raw_slice().split_at(prologue);
    let mut slots = before.to_vec();
    slots.push(jump(0, end.len() + 1));
    let start = slots.len();
    slots.extend_from_slice(end.raw_slice());
    for (at, insn) in (prologue..).zip(program) {
        let exits = at < main_ends && code.get(at) == Some(Ok(Insn::Exit));
        slots.push(if exits { jump(slots.len(), start) } else { *insn });
    }
    Code::decode(slots)
}
