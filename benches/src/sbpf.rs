//! A workload on `solana-sbpf`.
//!
//! Its instruction set of version 3 is that of eBPF with these differences, which are made up for:
//!
//! - 32-bit additions, subtractions and multiplications extend the sign of their result, where eBPF extends with zeroes. A move of
//!   the register's low half to itself follows each, and is counted: a cost is given for an instruction that `solana-sbpf`
//!   itself executes.
//! - Helpers are called by the hash of a name.
//! - Addresses are those of its own regions. Here each region is where it is in memory anyway: the stack, the context, the packet
//!   and the values of each map. So programs hold the same addresses as everywhere, and every access is still looked up.
//!
//! Its count of instructions is off but for one run that counts them.

use std::convert::Infallible;
use std::ptr::NonNull;
use std::sync::Arc;

use ring3_isa::{AluOp, Callee, Code, Endianness, Insn, Operand, Width};
use solana_sbpf::ebpf;
use solana_sbpf::elf::Executable;
use solana_sbpf::error::{EbpfError, ProgramResult};
use solana_sbpf::memory_region::{MemoryMapping, MemoryRegion};
use solana_sbpf::program::{BuiltinFunctionDefinition, BuiltinProgram, FunctionRegistry, SBPFVersion};
use solana_sbpf::verifier::RequisiteVerifier;
use solana_sbpf::vm::{CallFrame, Config, ContextObject, EbpfVm, ExecutionMode};

use crate::peer::{self, Input, Prepared};

const VERSION: SBPFVersion = SBPFVersion::V3;

/// Why it does not run a program.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SbpfError {
    #[error("it has no such instruction as the one in slot {0}")]
    Instruction(usize),
    #[error(transparent)]
    Refused(#[from] EbpfError),
    #[error("the values of a map are not where one can say")]
    Values,
}

/// What is done about addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checks {
    /// Each is looked up in the regions, as always where this machine is used.
    Regions,
    /// None.
    None,
}

/// How it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// One instruction at a time.
    Interpreted,
    /// As machine code.
    Compiled,
}

/// A program in its instruction set.
#[derive(Debug)]
pub struct Program {
    code: Vec<u8>,
}

impl Program {
    /// Translates a program.
    pub fn new(prepared: &Prepared) -> Result<Program, SbpfError> {
        let code = &prepared.code;
        // Where the instruction of a slot goes.
        let mut places = Vec::with_capacity(code.len() + 1);
        let mut place = 0usize;
        for slot in 0..code.len() {
            places.push(place);
            let insn = code.get(slot).and_then(Result::ok).ok_or(SbpfError::Instruction(slot))?;
            place += 1 + usize::from(extends_sign(insn));
        }
        places.push(place);
        let mut insns = Vec::with_capacity(place);
        for slot in 0..code.len() {
            let insn = code.get(slot).and_then(Result::ok).ok_or(SbpfError::Instruction(slot))?;
            insns.push(translate(insn, slot, &places).ok_or(SbpfError::Instruction(slot))?);
            if let (true, Insn::Alu { dst, .. }) = (extends_sign(insn), insn) {
                insns.push(Insn::Mov { width: Width::W32, dst, src: Operand::Reg(dst) });
            }
        }
        Ok(Program { code: Code::from_insns(insns).to_bytes(Endianness::Little) })
    }

    /// A machine with the program and a packet.
    pub fn load<'a>(
        &self,
        prepared: &'a Prepared,
        packet: &[u8],
        checks: Checks,
        code: Mode,
    ) -> Result<Machine<'a>, SbpfError> {
        let mut counting = Machine::new(self, prepared, packet, Checks::None, true)?;
        // The second run is like all later ones.
        counting.run();
        counting.run();
        let executed = counting.executed;
        drop(counting);
        // By now the program has put into its maps what it ever will, so that the places of values are known.
        let mut machine = Machine::new(self, prepared, packet, checks, false)?;
        machine.executed = executed;
        if code == Mode::Compiled {
            machine.executable.jit_compile()?;
            machine.mode = ExecutionMode::Jit;
        }
        Ok(machine)
    }
}

/// Nanoseconds that its compiler takes for a program, the best of several.
pub fn compile_time(prepared: &Prepared, rounds: usize) -> Result<f64, SbpfError> {
    let program = Program::new(prepared)?;
    let executable = executable(&program, config(Checks::Regions, false))?;
    let mut done = Ok(());
    let time = crate::sizes::best(rounds, 1, || done = executable.jit_compile());
    done?;
    Ok(time)
}

fn config(checks: Checks, count: bool) -> Config {
    Config {
        enable_instruction_meter: count,
        enable_address_translation: checks == Checks::Regions,
        // What its compiler adds against programs that spray code has nothing to do with speed.
        noop_instruction_rate: 0,
        sanitize_user_provided_values: false,
        ..Config::default()
    }
}

fn executable(program: &Program, config: Config) -> Result<Executable<Surroundings>, SbpfError> {
    let mut loader = BuiltinProgram::new_loader(config);
    loader.register_definition::<Lookup>(LOOKUP).map_err(EbpfError::from)?;
    loader.register_definition::<Update>(UPDATE).map_err(EbpfError::from)?;
    loader.register_definition::<Prandom>(PRANDOM).map_err(EbpfError::from)?;
    let loader = Arc::new(loader);
    let executable = Executable::from_text_bytes(&program.code, loader, VERSION, FunctionRegistry::default())?;
    executable.verify::<RequisiteVerifier>()?;
    Ok(executable)
}

/// The 32-bit operations whose result is not extended with zeroes.
fn extends_sign(insn: Insn) -> bool {
    matches!(insn, Insn::Alu { width: Width::W32, op: AluOp::Add | AluOp::Sub | AluOp::Mul, .. })
}

/// The instruction with its offsets made new; `None` if there is no such instruction.
fn translate(insn: Insn, slot: usize, places: &[usize]) -> Option<Insn> {
    let offset = |off: i32| {
        let target = *places.get(slot.checked_add(1)?.checked_add_signed(off as isize)?)?;
        i32::try_from(target as i64 - *places.get(slot)? as i64 - 1).ok()
    };
    Some(match insn {
        Insn::Branch { width, op, lhs, rhs, off } => {
            Insn::Branch { width, op, lhs, rhs, off: offset(off.into())?.try_into().ok()? }
        }
        Insn::Jump { off, long: false } => Insn::Jump { off: offset(off)?, long: false },
        Insn::Call(Callee::Local(off)) => Insn::Call(Callee::Local(offset(off)?)),
        Insn::Call(Callee::Helper(id)) => {
            let name = match id {
                peer::LOOKUP => LOOKUP,
                peer::UPDATE => UPDATE,
                peer::PRANDOM => PRANDOM,
                _ => return None,
            };
            Insn::Call(Callee::Helper(ebpf::hash_symbol_name(name.as_bytes()) as i32))
        }
        // `prepare` lets nothing else through.
        other => other,
    })
}

const LOOKUP: &str = "bpf_map_lookup_elem";
const UPDATE: &str = "bpf_map_update_elem";
const PRANDOM: &str = "bpf_get_prandom_u32";

/// The addresses that helpers get are those of the process: see the module.
macro_rules! helper {
    ($name:ident, $function:path) => {
        struct $name;
        impl BuiltinFunctionDefinition<Surroundings> for $name {
            type Error = Infallible;
            fn rust(_: &mut Surroundings, a: u64, b: u64, c: u64, d: u64, e: u64) -> Result<u64, Infallible> {
                Ok($function(a, b, c, d, e))
            }
        }
    };
}
helper!(Lookup, peer::lookup);
helper!(Update, peer::update);
helper!(Prandom, peer::prandom);

/// What the machine asks for while a program runs.
struct Surroundings {
    mapping: MemoryMapping,
    remaining: u64,
}

impl ContextObject for Surroundings {
    fn consume(&mut self, amount: u64) {
        self.remaining = self.remaining.saturating_sub(amount);
    }

    fn get_remaining(&self) -> u64 {
        self.remaining
    }

    fn active_mapping_ptr(&mut self) -> NonNull<MemoryMapping> {
        NonNull::from_mut(&mut self.mapping)
    }
}

/// A loaded program with all that it runs on.
pub struct Machine<'a> {
    executable: Executable<Surroundings>,
    surroundings: Box<Surroundings>,
    frames: Vec<CallFrame>,
    stack: Box<[u8]>,
    input: Box<Input>,
    executed: u64,
    mode: ExecutionMode,
    /// The program holds addresses of its maps.
    _prepared: &'a Prepared,
}

impl<'a> Machine<'a> {
    fn new(
        program: &Program,
        prepared: &'a Prepared,
        packet: &[u8],
        checks: Checks,
        count: bool,
    ) -> Result<Machine<'a>, SbpfError> {
        let config = config(checks, count);
        let mut stack = vec![0; config.stack_size()].into_boxed_slice();
        let mut input = Box::new(Input::new(packet));
        let frames = vec![CallFrame::default(); config.max_call_depth];
        let mut regions = vec![identical(&mut stack), identical(input.packet_mut()), identical(input.context_mut())];
        if checks == Checks::Regions {
            for map in prepared.maps() {
                regions.push(values(map.as_ref()).ok_or(SbpfError::Values)?);
            }
        }
        // SAFETY: what the regions are of lives as long as the machine, and is bytes.
        let mapping = unsafe { MemoryMapping::new(regions, &config, VERSION) }?;
        let executable = executable(program, config)?;
        let surroundings = Box::new(Surroundings { mapping, remaining: 0 });
        let mode = ExecutionMode::Interpreted;
        Ok(Machine { executable, surroundings, frames, stack, input, executed: 0, mode, _prepared: prepared })
    }

    /// Instructions that a run executes.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// One run: R0, `None` if it failed.
    pub fn run(&mut self) -> Option<u64> {
        self.input.refresh();
        self.surroundings.remaining = u64::MAX >> 1;
        let stack = self.stack.as_mut_ptr().expose_provenance() as u64;
        let context = self.input.context().as_ptr().expose_provenance() as u64;
        let loader = Arc::clone(self.executable.get_loader());
        let mut vm = EbpfVm::new(loader, VERSION, self.surroundings.as_mut(), self.stack.len());
        vm.registers[1] = context;
        vm.registers[10] = stack + self.executable.get_config().stack_frame_size as u64;
        let (executed, result) = vm.execute_program(&self.executable, &mut self.mode, &mut self.frames);
        if self.executable.get_config().enable_instruction_meter {
            self.executed = executed;
        }
        match result {
            ProgramResult::Ok(value) => Some(value),
            ProgramResult::Err(_) => None,
        }
    }
}

impl std::fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("executed", &self.executed).finish_non_exhaustive()
    }
}

/// A region at the address that it has anyway.
fn identical(bytes: &mut [u8]) -> MemoryRegion {
    let start = bytes.as_mut_ptr().expose_provenance() as u64;
    MemoryRegion::new(std::ptr::from_mut(bytes), start)
}

/// From the first to the last value of a map, which lie in one allocation.
fn values(map: &dyn ring3_vm::maps::Map) -> Option<MemoryRegion> {
    let mut key = map.next_key(None).ok();
    let (mut first, mut last) = (u64::MAX, 0);
    while let Some(bytes) = key {
        let at = map.lookup_ptr(&bytes, 0)?.as_ptr().expose_provenance() as u64;
        (first, last) = (first.min(at), last.max(at));
        key = map.next_key(Some(&bytes)).ok();
    }
    let len = usize::try_from(last.checked_sub(first)?).ok()? + map.def().value_size as usize;
    let start = std::ptr::with_exposed_provenance_mut::<u8>(first as usize);
    Some(MemoryRegion::new(std::ptr::slice_from_raw_parts_mut(start, len), first))
}
