//! A reference interpreter: as plain as it can be, over `ring3_isa::eval`, with memory of its own. It shares nothing with the
//! virtual machine, so that both being wrong in the same way is unlikely.

use ring3_isa::{Callee, Code, Endianness, Insn, Operand, Reg, Size, Wide, eval};
use ring3_platform::MapType;

use super::{Engine, Judges, MAX_INSNS, Outcome, Stop, helpers};
use crate::format::{Case, Input};

/// Calls within each other, the main function included, as in Linux.
const MAX_FRAMES: usize = 8;
/// Bytes of stack of a function.
const FRAME_BYTES: u64 = 512;
/// Rounds of a loop that `may_goto` allows (`BPF_MAX_LOOPS`).
const MAY_GOTO_ROUNDS: u64 = 1 << 23;

/// Where things lie. The numbers mean nothing, but no two things are near each other.
const MEMORY: u64 = 0x1000_0000;
const STACK: u64 = 0x2000_0000;
const MAPS: u64 = 0x3000_0000;
const MAP_STRIDE: u64 = 0x0100_0000;
const HANDLES: u64 = 0x4000_0000;
const FUNCTIONS: u64 = 0x5000_0000;
const CONTEXT: u64 = 0x6000_0000;

/// The reference interpreter.
#[derive(Debug)]
pub struct Eval;

impl Engine for Eval {
    fn judges(&self) -> Judges {
        Judges::Not
    }

    fn run(&mut self, case: &Case) -> Outcome {
        let mut machine = Machine::new(case);
        for _ in 0..MAX_INSNS {
            match machine.step() {
                Ok(None) => {}
                Ok(Some(r0)) => return Outcome::Returned(r0),
                Err(End::Stopped(what)) => return Outcome::failed(format_args!("slot {}: {what}", machine.pc)),
                Err(End::NotHere(reason)) => return Outcome::skipped(reason),
            }
        }
        Outcome::Stopped(Stop::TooLong)
    }
}

/// Why a run does not go on.
enum End {
    Stopped(String),
    NotHere(&'static str),
}

fn stop<T>(what: impl Into<String>) -> Result<T, End> {
    Err(End::Stopped(what.into()))
}

/// Some bytes of memory.
struct Segment {
    start: u64,
    bytes: Vec<u8>,
}

/// What a call keeps for its return.
struct Frame {
    back_to: usize,
    saved: [u64; 4],
    rounds: u64,
}

struct Machine<'c> {
    code: &'c Code,
    packet: Option<&'c [u8]>,
    linux: bool,
    pc: usize,
    regs: [u64; Reg::COUNT],
    memory: Vec<Segment>,
    frames: Vec<Frame>,
}

impl<'c> Machine<'c> {
    fn new(case: &'c Case) -> Machine<'c> {
        let mut machine = Machine {
            code: &case.code,
            packet: None,
            linux: case.linux,
            pc: 0,
            regs: [0; Reg::COUNT],
            memory: vec![Segment { start: STACK, bytes: vec![0; MAX_FRAMES * FRAME_BYTES as usize] }],
            frames: vec![Frame { back_to: 0, saved: [0; 4], rounds: 0 }],
        };
        match &case.input {
            Input::Packet(packet) => {
                machine.packet = Some(packet);
                machine.set(Reg::R1, CONTEXT);
            }
            Input::Memory(bytes) if bytes.is_empty() => {}
            Input::Memory(bytes) => {
                machine.set(Reg::R1, MEMORY);
                machine.set(Reg::R2, bytes.len() as u64);
                machine.memory.push(Segment { start: MEMORY, bytes: bytes.clone() });
            }
        }
        for (map, start) in case.maps.iter().zip((MAPS..).step_by(MAP_STRIDE as usize)) {
            let size = if map.kind == MapType::Array { map.value_size } else { 0 };
            let mut bytes = vec![0; size as usize];
            for (to, from) in bytes.iter_mut().zip(map.data.iter().flat_map(|data| data.iter())) {
                *to = *from;
            }
            machine.memory.push(Segment { start, bytes });
        }
        machine.set(Reg::FP, STACK + MAX_FRAMES as u64 * FRAME_BYTES);
        machine
    }

    fn get(&self, reg: Reg) -> u64 {
        self.regs[reg.index()]
    }

    fn set(&mut self, reg: Reg, value: u64) {
        self.regs[reg.index()] = value;
    }

    fn operand(&self, operand: Operand) -> u64 {
        eval::operand(operand, &self.regs)
    }

    fn bytes(&mut self, base: Reg, off: i16, size: Size) -> Result<&mut [u8], End> {
        let address = self.get(base).wrapping_add(i64::from(off).cast_unsigned());
        let len = size.bytes() as usize;
        for segment in &mut self.memory {
            let inside = usize::try_from(address.wrapping_sub(segment.start)).unwrap_or(usize::MAX);
            if let Some(bytes) = inside.checked_add(len).and_then(|end| segment.bytes.get_mut(inside..end)) {
                return Ok(bytes);
            }
        }
        stop(format!("no memory of {len} bytes at {address:#x}"))
    }

    fn load(&mut self, base: Reg, off: i16, size: Size) -> Result<u64, End> {
        let bytes = self.bytes(base, off, size)?;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(word))
    }

    fn store(&mut self, base: Reg, off: i16, size: Size, value: u64) -> Result<(), End> {
        let bytes = self.bytes(base, off, size)?;
        bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
        Ok(())
    }

    /// Goes so many slots beyond the next one.
    fn jump(&mut self, off: i32) -> Result<(), End> {
        match usize::try_from(self.pc as i64 + 1 + i64::from(off)) {
            Ok(target) if target < self.code.len() && !self.code.is_tail(target) => {
                self.pc = target;
                Ok(())
            }
            Ok(_) | Err(_) => stop("a jump out of the program or into an instruction"),
        }
    }

    /// One instruction: R0, if it was the last one.
    fn step(&mut self) -> Result<Option<u64>, End> {
        let insn = match self.code.get(self.pc) {
            Some(Ok(insn)) => insn,
            Some(Err(malformed)) => return stop(malformed.to_string()),
            None => return stop("the end of the program without an exit"),
        };
        if insn.defs().contains(Reg::FP) {
            return stop("the frame pointer is read-only");
        }
        match insn {
            Insn::Exit => Ok(self.exit()),
            Insn::Jump { off, .. } => self.jump(off).map(|()| None),
            Insn::Branch { width, op, lhs, rhs, off } => {
                let taken = eval::compare(op, width, self.get(lhs), self.operand(rhs));
                self.jump(if taken { off.into() } else { 0 }).map(|()| None)
            }
            Insn::MayGoto { off } => {
                let taken = self.out_of_rounds();
                self.jump(if taken { off.into() } else { 0 }).map(|()| None)
            }
            Insn::Call(Callee::Local(off)) => self.call(off).map(|()| None),
            Insn::Call(Callee::Helper(number)) => self.helper(u64::from(number.cast_unsigned())),
            Insn::CallX { target } => self.helper(self.get(target)),
            Insn::LegacyPacket { size, index, imm } => self.legacy_packet(size, index, imm),
            other if other.defs().contains(Reg::FP) => stop("R10 is read-only"),
            other => {
                self.compute(other)?;
                self.pc = self.code.next(self.pc);
                Ok(None)
            }
        }
    }

    /// Back to the caller; R0 if there is none.
    fn exit(&mut self) -> Option<u64> {
        let frame = self.frames.pop()?;
        if self.frames.is_empty() {
            return Some(self.get(Reg::R0));
        }
        self.pc = frame.back_to;
        self.regs[6..10].copy_from_slice(&frame.saved);
        self.set(Reg::FP, self.get(Reg::FP) + FRAME_BYTES);
        None
    }

    fn call(&mut self, off: i32) -> Result<(), End> {
        if self.frames.len() == MAX_FRAMES {
            return stop(format!("more than {MAX_FRAMES} calls within each other"));
        }
        let mut saved = [0; 4];
        saved.copy_from_slice(&self.regs[6..10]);
        self.frames.push(Frame { back_to: self.pc + 1, saved, rounds: 0 });
        self.set(Reg::FP, self.get(Reg::FP) - FRAME_BYTES);
        self.jump(off)
    }

    fn out_of_rounds(&mut self) -> bool {
        self.frames.last_mut().is_none_or(|frame| {
            frame.rounds += 1;
            frame.rounds > MAY_GOTO_ROUNDS
        })
    }

    /// A helper of the public suite.
    fn helper(&mut self, number: u64) -> Result<Option<u64>, End> {
        if self.linux {
            return Err(End::NotHere("this engine has no helpers of Linux"));
        }
        let args: [u64; 5] = std::array::from_fn(|at| self.regs[at + 1]);
        let [a, b, ..] = args;
        let result = match number {
            0 => helpers::gather_bytes(args),
            1 => {
                for at in 0..b {
                    self.set(Reg::R1, a.wrapping_add(at));
                    let byte = self.load(Reg::R1, 0, Size::B)?;
                    self.store(Reg::R1, 0, Size::B, byte ^ u64::from(helpers::FROB))?;
                }
                a
            }
            2 => 0,
            3 => helpers::sqrti(a),
            4 => self.compare([a, b])?,
            5 if a == 0 => return Ok(Some(0)),
            5 => a,
            _ => return stop(format!("no helper {number}")),
        };
        // What a call leaves in these is not defined.
        self.regs[1..6].fill(0);
        self.set(Reg::R0, result);
        self.pc += 1;
        Ok(None)
    }

    fn compare(&mut self, texts: [u64; 2]) -> Result<u64, End> {
        let byte = |text: usize, at| {
            self.set(Reg::R1, texts[text].wrapping_add(at));
            self.load(Reg::R1, 0, Size::B).ok().and_then(|byte| u8::try_from(byte).ok())
        };
        helpers::strcmp_ext(byte).map_or_else(|| stop("a string without an end"), Ok)
    }

    /// A load from the packet in network order; outside of it the program ends with R0 = 0.
    fn legacy_packet(&mut self, size: Size, index: Option<Reg>, imm: i32) -> Result<Option<u64>, End> {
        let Some(packet) = self.packet else { return stop("there is no packet") };
        // The sum has 32 bits; negative offsets mean headers, which only Linux knows.
        let at = imm.wrapping_add(index.map_or(0, |reg| self.get(reg) as i32));
        let Ok(at) = usize::try_from(at) else { return Err(End::NotHere("this engine has no packet headers")) };
        let found = packet.get(at..).and_then(|rest| rest.get(..size.bytes() as usize));
        let Some(bytes) = found else { return Ok(Some(0)) };
        let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.regs[1..6].fill(0);
        self.set(Reg::R0, value);
        self.pc += 1;
        Ok(None)
    }

    /// Instructions after which the next one comes.
    fn compute(&mut self, insn: Insn) -> Result<(), End> {
        match insn {
            Insn::Alu { width, op, dst, src } => {
                self.set(dst, eval::alu(op, width, self.get(dst), self.operand(src)));
            }
            Insn::Mov { width, dst, src } => self.set(dst, eval::mov(width, self.operand(src))),
            Insn::MovSx { width, from, dst, src } => self.set(dst, eval::mov_sx(width, from, self.get(src))),
            Insn::Neg { width, dst } => self.set(dst, eval::neg(width, self.get(dst))),
            Insn::Endian { op, size, dst } => {
                self.set(dst, eval::endian(op, size, self.get(dst), Endianness::Little));
            }
            Insn::LoadImm { dst, value } => {
                let value = self.wide(value)?;
                self.set(dst, value);
            }
            Insn::Load { size, signed, dst, base, off } => {
                let raw = self.load(base, off, size)?;
                self.set(dst, eval::load_extend(size, signed, raw));
            }
            Insn::LoadAcquire { size, dst, base, off } => {
                let raw = self.load(base, off, size)?;
                self.set(dst, raw);
            }
            Insn::Store { size, base, off, src } => self.store(base, off, size, self.operand(src))?,
            Insn::StoreRelease { size, base, off, src } => self.store(base, off, size, self.get(src))?,
            Insn::Atomic { op, size, base, off, src } => {
                let old = self.load(base, off, size)?;
                let (new, old) = eval::atomic(op, size, old, self.get(src), self.get(Reg::R0));
                self.store(base, off, size, new)?;
                if let Some(reg) = op.fetches_into(src) {
                    self.set(reg, old);
                }
            }
            Insn::AddrSpaceCast { .. } => return stop("there is no arena"),
            Insn::GotoX { .. } => return stop("there are no jump tables"),
            Insn::Call(Callee::Kfunc { .. }) => return stop("there are no functions of the kernel"),
            Insn::WideTail
            | Insn::Exit
            | Insn::Jump { .. }
            | Insn::Branch { .. }
            | Insn::MayGoto { .. }
            | Insn::Call(_)
            | Insn::CallX { .. }
            | Insn::LegacyPacket { .. } => return stop("no such instruction here"),
        }
        Ok(())
    }

    fn wide(&self, value: Wide) -> Result<u64, End> {
        let map = |index: i32, start: u64| match u64::try_from(index) {
            Ok(index) => Ok(start + index * MAP_STRIDE),
            Err(_) => stop("no such map"),
        };
        match value {
            Wide::Imm(value) => Ok(value),
            Wide::Map(index) | Wide::MapIdx(index) => map(index, HANDLES),
            Wide::MapValue { map: index, off } | Wide::MapIdxValue { index, off } => {
                map(index, MAPS).map(|start| start + u64::from(off))
            }
            Wide::Func(off) => match u64::try_from(self.pc as i64 + 1 + i64::from(off)) {
                Ok(slot) if slot < self.code.len() as u64 => Ok(FUNCTIONS + slot),
                Ok(_) | Err(_) => stop("a function outside of the program"),
            },
            Wide::BtfId { .. } => stop("there are no variables of a kernel"),
        }
    }
}
