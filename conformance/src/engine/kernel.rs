//! The running Linux, by bpf(2): programs are loaded, run on a packet of their own (BPF_PROG_TEST_RUN), and closed.

use std::sync::Arc;

use ring3_isa::{Callee, Code, Insn, Operand, RawInsn, Reg, Size, Wide, Width};
use ring3_linux::{Error, LoadOptions, Loaded, LogLevel, TestRun, available, load};
use ring3_platform::{Errno, MapDef, MapType, Program};

use super::vm::{EMPTY_PACKET, calls_public_helper, is_judged, program_type, with_prologue};
use super::{Engine, Judges, Outcome, Stop};
use crate::format::{Case, Input, Refusal};

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
        let whole = matches!(case.input, Input::Memory(_)) && !is_judged(case);
        match try_run(case, whole) {
            // The frame around it may be the one too many.
            Outcome::Stopped(Stop::Refused(Refusal { errno: Errno::E2BIG, .. })) if whole => try_run(case, false),
            outcome => outcome,
        }
    }
}

fn try_run(case: &Case, whole: bool) -> Outcome {
    let options = LoadOptions { log: LogLevel::STATS, ..LoadOptions::default() };
    match load(&program(case, whole), &options) {
        Ok(loaded) => run(case, &loaded, whole).unwrap_or_else(Outcome::failed),
        Err(error) => refusal(&error),
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
        Some(errno) => Outcome::refused(errno, &message(&log.text)),
        None => Outcome::failed(error),
    }
}

/// The log without its statistics.
fn message(log: &str) -> String {
    let is_statistic = |line: &&str| line.starts_with("verification time ") || line.starts_with("processed ");
    log.lines().take_while(|line| !is_statistic(line)).collect::<Vec<_>>().join("\n")
}

/// The case for the kernel. A run gives only the low half of R0, so `whole` makes the program of the case a function, whose
/// caller stores the result in a map: the program itself is as it is, byte for byte.
fn program(case: &Case, whole: bool) -> Program {
    let (code, memory) = with_prologue(case);
    let mut maps: Vec<Arc<MapDef>> = case.maps.clone();
    maps.extend(memory.map(Arc::new));
    let code = if whole {
        // Few, by the limits of the format.
        let result = maps.len() as i32;
        maps.push(Arc::new(MapDef::new("result", MapType::Array, 4, 8, 1)));
        as_function(&code, code.len() - case.code.len(), result)
    } else {
        code
    };
    let mut program = Program::new("conformance", program_type(case), code);
    program.maps = maps;
    program
}

/// Behind the prologue: a call of what comes then, and its result into the map.
fn as_function(code: &Code, prologue: usize, result: i32) -> Code {
    let store = [
        Insn::LoadImm { dst: Reg::R1, value: Wide::MapValue { map: result, off: 0 } },
        Insn::Store { size: Size::Dw, base: Reg::R1, off: 0, src: Operand::Reg(Reg::R0) },
        Insn::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) },
        Insn::Exit,
    ];
    let store = Code::from_insns(store);
    let call = Code::from_insns([Insn::Call(Callee::Local(store.len() as i32))]);
    let (before, function) = code.raw_slice().split_at(prologue);
    let parts: [&[RawInsn]; 4] = [before, call.raw_slice(), store.raw_slice(), function];
    Code::decode(parts.concat())
}
