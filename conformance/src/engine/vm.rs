//! The engines of ring3.

use std::collections::BTreeSet;
use std::sync::Arc;

use ring3_fuzz::program_info;
use ring3_isa::{Callee, CmpOp, Code, Insn, Mention, Operand, RawInsn, Reg, Size, Wide, Width, encode};
use ring3_jit::Jit;
use ring3_platform::{Errno, MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, VerifiedProgram, verify};
use ring3_vm::maps::{self, Map};
use ring3_vm::{
    Context, DataStart, Env, Execute, Interp, LinkError, Linked, LowerError, RunError, SkbContext, TestHost, Trap,
    TrapKind, link, link_unverified, run,
};

use super::{Engine, Judges, MAX_INSNS, Outcome, Stop, helpers};
use crate::format::{Case, Expect, Input};

/// What executes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The interpreter, on verified programs.
    Interp,
    /// The interpreter, on programs that nobody verified.
    Checked,
    /// Machine code.
    Jit,
}

/// An engine of ring3.
#[derive(Debug)]
pub struct Vm {
    backend: Backend,
    target: Arc<Target>,
}

/// The verifier's log: what is wrong, and statistics.
const STATS: LogLevel = LogLevel(4);
/// Bytes of the packet that a program gets which does not ask for one.
pub const EMPTY_PACKET: [u8; 64] = [0; 64];

impl Vm {
    /// One that judges as Linux 6.18, which also offers the helpers of the public suite.
    pub fn new(backend: Backend) -> Vm {
        Vm { backend, target: Arc::new(Target { helpers: helpers::prototypes(), ..Target::default() }) }
    }

    fn try_run(&self, case: &Case) -> Result<u64, Outcome> {
        let interpreted = execute(&Interp::new(self.linked(case)?), case)?;
        match self.backend {
            Backend::Interp | Backend::Checked => Ok(interpreted),
            // Machine code counts no instructions, so it only runs what ends in time on the interpreter.
            Backend::Jit => execute(&Jit::compile(self.linked(case)?).map_err(Outcome::failed)?, case),
        }
    }

    /// The program with fresh maps and memory.
    fn linked(&self, case: &Case) -> Result<Arc<Linked>, Outcome> {
        let mut program = program(case);
        if self.backend == Backend::Checked {
            program.code = with_calls_by_register(program.code);
        }
        let create = |def| maps::create(def, self.target.cpus);
        let maps: Result<Vec<Arc<dyn Map>>, _> = program.maps.iter().map(create).collect();
        let maps = maps.map_err(|errno| Outcome::failed(format_args!("a map cannot be created: {errno}")))?;
        let functions = helpers::functions().map_err(Outcome::failed)?;
        let linked = if self.backend == Backend::Checked {
            link_unverified(&program.code, program.kind, &maps, &functions)
        } else {
            link(&self.verify(program)?, &maps, &functions)
        };
        linked.map(Arc::new).map_err(|error| match error {
            LinkError::Lower(LowerError::Unsupported { .. }) => Outcome::Lacks { what: error.to_string() },
            error => Outcome::failed(error),
        })
    }

    fn verify(&self, program: Program) -> Result<VerifiedProgram, Outcome> {
        verify(Arc::new(program), Arc::clone(&self.target), STATS).map_err(|rejection| {
            match rejection.errno {
                // How the verifier says that it does not judge something.
                Errno::EOPNOTSUPP => Outcome::Lacks { what: rejection.message.clone() },
                errno => Outcome::refused(errno, &rejection.log),
            }
        })
    }
}

impl Engine for Vm {
    fn judges(&self) -> Judges {
        match self.backend {
            Backend::Interp | Backend::Jit => Judges::AsLinux,
            Backend::Checked => Judges::Not,
        }
    }

    fn run(&mut self, case: &Case) -> Outcome {
        let frobs = |insn| public_helper(case, insn) == Some(helpers::MEMFROB);
        if self.judges() == Judges::AsLinux && case.code.raw_slice().iter().any(frobs) {
            return Outcome::skipped("memfrob writes memory that the verifier does not know of");
        }
        match self.try_run(case) {
            Ok(r0) => Outcome::Returned(r0),
            Err(outcome) => outcome,
        }
    }
}

fn execute(program: &dyn Execute, case: &Case) -> Result<u64, Outcome> {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.budget = Some(MAX_INSNS);
    let mut skb = SkbContext::new().ok_or_else(|| Outcome::failed("there is no table of __sk_buff"))?;
    let packet = match &case.input {
        Input::Packet(packet) => packet,
        Input::Memory(_) => &EMPTY_PACKET[..],
    };
    skb.load(packet, DataStart::Ethernet);
    env.ctx = Context::Skb(skb);
    match run(program, &mut env) {
        Ok(r0) => Ok(r0),
        Err(RunError::Trap(Trap { kind: TrapKind::BadHelperArgument { what: helpers::UNWIND, .. }, .. })) => Ok(0),
        Err(RunError::Trap(Trap { kind: TrapKind::Budget { .. }, .. })) => Err(Outcome::Stopped(Stop::TooLong)),
        Err(error) => Err(Outcome::failed(error)),
    }
}

/// False if a program needs more instructions than a run may take: for engines that count none.
pub fn ends(case: &Case) -> bool {
    Vm::new(Backend::Checked).run(case) != Outcome::Stopped(Stop::TooLong)
}

/// The case as a program that a verifier can follow.
fn program(case: &Case) -> Program {
    let (code, memory) = with_prologue(case);
    let maps = case.maps.iter().cloned().chain(memory.map(Arc::new)).collect();
    as_program(case, code, maps)
}

/// Code and maps as a program. Linux wants functions whose address is taken to have types, so they get some.
pub fn as_program(case: &Case, code: Code, maps: Vec<Arc<MapDef>>) -> Program {
    let starts = functions(&code);
    let mut program = Program::new("conformance", program_type(case), code);
    program.maps = maps;
    let address = |insn: &RawInsn| matches!(insn.mention(), Some(Mention::Address(_)));
    if program.code.raw_slice().iter().any(address) {
        program.info = program_info(&starts).ok().map(Arc::new);
    }
    program
}

/// Starts of the functions, the main one first.
pub fn functions(code: &Code) -> Vec<usize> {
    let named = |(slot, insn): (usize, &RawInsn)| match insn.mention() {
        Some(Mention::Function(off) | Mention::Address(off)) => {
            usize::try_from(slot as i64 + 1 + i64::from(off)).ok().filter(|start| *start < code.len())
        }
        Some(Mention::Helper(_) | Mention::Kfunc { .. }) | None => None,
    };
    let starts: BTreeSet<usize> = code.raw_slice().iter().enumerate().filter_map(named).chain([0]).collect();
    starts.into_iter().collect()
}

/// What a case runs as: a classifier sees packets from the Ethernet header on, also in Linux's own test runs, and may return
/// any number, as may a socket filter.
pub fn program_type(case: &Case) -> ProgType {
    match case.input {
        Input::Packet(_) => ProgType::SchedCls,
        Input::Memory(_) => ProgType::SocketFilter,
    }
}

/// Whether it is the verdict that counts.
pub fn is_judged(case: &Case) -> bool {
    case.unverified.is_some() || matches!(case.expect, Expect::Refused(_))
}

/// Puts in front what makes R1 and R2 what the case says. Memory is the value of a map, behind the maps of the case: so the
/// verifier knows its bounds.
///
/// Where the verdict is what counts, and there is no memory, nothing is put in front: messages name slots.
pub fn with_prologue(case: &Case) -> (Code, Option<MapDef>) {
    let slots = public_helpers(case);
    let memory = match &case.input {
        Input::Packet(_) => return (Code::decode(slots), None),
        Input::Memory(memory) => memory,
    };
    if memory.is_empty() && is_judged(case) {
        return (Code::decode(slots), None);
    }
    let (r1, def) = if memory.is_empty() {
        (Insn::Mov { width: Width::W64, dst: Reg::R1, src: Operand::Imm(0) }, None)
    } else {
        // Neither is more than a few, by the limits of the format.
        let (index, size) = (case.maps.len() as i32, memory.len() as u32);
        let mut def = MapDef::new("memory", MapType::Array, 4, size, 1);
        def.data = Some(memory.as_slice().into());
        (Insn::LoadImm { dst: Reg::R1, value: Wide::MapValue { map: index, off: 0 } }, Some(def))
    };
    let r2 = Insn::Mov { width: Width::W64, dst: Reg::R2, src: Operand::Imm(memory.len() as i32) };
    let mut code = Code::from_insns([r1, r2]).raw_slice().to_vec();
    code.extend(slots);
    (Code::decode(code), def)
}

/// Whether the program calls a helper of the public suite.
pub fn calls_public_helper(case: &Case) -> bool {
    case.code.raw_slice().iter().any(|insn| public_helper(case, insn).is_some())
}

fn public_helper(case: &Case, insn: &RawInsn) -> Option<u32> {
    match insn.mention() {
        Some(Mention::Helper(number)) if !case.linux => {
            u32::try_from(number).ok().filter(|number| *number < helpers::COUNT)
        }
        Some(_) | None => None,
    }
}

/// The program with calls of the public suite's helpers by their numbers here.
fn public_helpers(case: &Case) -> Vec<RawInsn> {
    let renumber = |insn: &RawInsn| match public_helper(case, insn) {
        Some(number) => RawInsn { imm: helpers::id(number).cast_signed(), ..*insn },
        None => *insn,
    };
    case.code.raw_slice().iter().map(renumber).collect()
}

/// Calls of helpers by a number in a register (`callx`), which other runtimes have: Linux has them not, and neither do the
/// engines. In their place the program jumps behind its end, where the number is compared with those of the public suite.
fn with_calls_by_register(code: Code) -> Code {
    let mut slots = code.raw_slice().to_vec();
    for (slot, insn) in code.insns().iter().enumerate() {
        if let Ok(Insn::CallX { target }) = insn {
            let dispatch = dispatch(*target, slots.len(), slot + 1);
            slots[slot] = jump(slot, slots.len());
            slots.extend_from_slice(dispatch.raw_slice());
        }
    }
    if slots.len() == code.len() { code } else { Code::decode(slots) }
}

/// For each helper: if that is its number, the call of it, and back. Behind them an access of nothing, which stops the run.
fn dispatch(number: Reg, start: usize, back: usize) -> Code {
    let mut slots = Vec::new();
    for helper in 0..helpers::COUNT {
        let rhs = Operand::Imm(helper.cast_signed());
        let call = [
            Insn::Branch { width: Width::W64, op: CmpOp::Ne, lhs: number, rhs, off: 2 },
            Insn::Call(Callee::Helper(helpers::id(helper).cast_signed())),
        ];
        slots.extend_from_slice(Code::from_insns(call).raw_slice());
        slots.push(jump(start + slots.len(), back));
    }
    let nothing = Insn::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) };
    let access = Insn::Load { size: Size::B, signed: false, dst: Reg::R0, base: Reg::R0, off: 0 };
    slots.extend_from_slice(Code::from_insns([nothing, access, Insn::Exit]).raw_slice());
    Code::decode(slots)
}

/// From one slot to another; programs are far shorter than the long form reaches, which Linux has since 6.6.
pub fn jump(from: usize, to: usize) -> RawInsn {
    let off = (to as i64 - from as i64 - 1) as i32;
    encode(Insn::Jump { off, long: i16::try_from(off).is_err() }).head()
}
