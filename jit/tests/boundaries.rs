//! Programs at the borders of what an instruction of a machine can hold, on the interpreter and as machine code: they must give the
//! same. Among them what other compilers for BPF got wrong; tests name the CVE.
#![cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]

use std::sync::Arc;

use ring3_isa::{AluOp, AtomicOp, CmpOp, Code, EndianOp, Insn, Operand, Reg, Size, Wide, Width};
use ring3_jit::Jit;
use ring3_platform::{MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};
use ring3_vm::maps::{self, Map};
use ring3_vm::{Context, DataStart, Env, Execute, Helpers, Interp, Linked, SkbContext, TestHost, link, run};

const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

fn mov(dst: Reg, src: Operand) -> Insn {
    Insn::Mov { width: Width::W64, dst, src }
}

fn alu(op: AluOp, dst: Reg, src: Operand) -> Insn {
    Insn::Alu { width: Width::W64, op, dst, src }
}

fn wide(dst: Reg, value: u64) -> [Insn; 1] {
    [Insn::LoadImm { dst, value: Wide::Imm(value) }]
}

/// Adds a register to what R0 has seen so far.
fn absorb(insns: &mut Vec<Insn>, reg: Reg) {
    insns.push(alu(AluOp::Xor, Reg::R0, Operand::Reg(reg)));
    insns.push(alu(AluOp::Mul, Reg::R0, Operand::Imm(0x0100_0193)));
}

/// One array of one value of so many bytes.
fn fresh_map(value_size: u32) -> Arc<dyn Map> {
    maps::create(&Arc::new(MapDef::new("value", MapType::Array, 4, value_size, 1)), 1).unwrap()
}

fn linked(insns: &[Insn], map: &Arc<dyn Map>) -> Arc<Linked> {
    let mut program = Program::new("borders", ProgType::SocketFilter, Code::from_insns(insns.iter().copied()));
    program.maps.push(Arc::clone(map.def()));
    let verified = verify(Arc::new(program), Arc::new(Target::default()), LogLevel::default());
    let verified = verified.unwrap_or_else(|refused| panic!("{refused}"));
    Arc::new(link(&verified, std::slice::from_ref(map), &Helpers::new()).unwrap())
}

/// R0, and the value of the map.
fn outcome(engine: &dyn Execute, map: &Arc<dyn Map>, packet: &[u8]) -> (u64, Vec<u8>) {
    let key = 0u32.to_ne_bytes();
    let before = map.read(&key).unwrap();
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let mut skb = SkbContext::new().unwrap();
    skb.load(packet, DataStart::of(ProgType::SocketFilter));
    env.ctx = Context::Skb(skb);
    let ret = run(engine, &mut env).unwrap();
    let after = map.read(&key).unwrap();
    map.update(&key, &before, 0, 0).unwrap();
    (ret, after)
}

/// Both engines give the same on each packet; gives what that is.
fn both(insns: &[Insn], value_size: u32, packets: &[Vec<u8>]) -> Vec<u64> {
    let map = fresh_map(value_size);
    let linked = linked(insns, &map);
    let (interp, jit) = (Interp::new(Arc::clone(&linked)), Jit::compile(linked).unwrap());
    packets
        .iter()
        .map(|packet| {
            let want = outcome(&interp, &map, packet);
            let got = outcome(&jit, &map, packet);
            assert_eq!(got.0, want.0, "{packet:?}");
            assert!(got.1 == want.1, "the value of the map");
            want.0
        })
        .collect()
}

/// Pairs of numbers around which results change, as packets: each in front as big-endian words.
fn pairs() -> Vec<Vec<u8>> {
    let values: [u64; 14] = [
        0,
        1,
        31,
        32,
        63,
        64,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        i64::MAX as u64,
        i64::MIN as u64,
        u64::MAX,
        0x0123_4567_89ab_cdef,
    ];
    let pair = |a: u64, b: u64| [&[0; 16][..], &a.to_be_bytes(), &b.to_be_bytes(), &[0; 32]].concat();
    values.iter().flat_map(|a| values.iter().map(move |b| pair(*a, *b))).collect()
}

/// R6 = the context, R7 and R8 = the two numbers of a packet, R0 = 0.
fn inputs() -> Vec<Insn> {
    let mut insns = vec![mov(Reg::R6, Operand::Reg(Reg::R1))];
    for (reg, at) in [(Reg::R7, 16), (Reg::R8, 24)] {
        insns.push(Insn::LegacyPacket { size: Size::W, index: None, imm: at });
        insns.push(mov(reg, Operand::Reg(Reg::R0)));
        insns.push(alu(AluOp::Lsh, reg, Operand::Imm(32)));
        insns.push(Insn::LegacyPacket { size: Size::W, index: None, imm: at + 4 });
        insns.push(alu(AluOp::Or, reg, Operand::Reg(Reg::R0)));
    }
    // R1 to R5 have nothing that may be read, after packet loads as after calls.
    insns.extend([Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5].map(|reg| mov(reg, Operand::Imm(0))));
    insns
}

/// A computation on each register in turn, so that every encoding of registers comes up.
const WHERE: [Reg; 7] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R6, Reg::R9];

/// Every amount of every shift, given in the instruction and in a register. Jitterbug's list has shifts by 0 that some compilers
/// take for shifts by 32.
#[test]
fn every_shift_amount() {
    for op in [AluOp::Lsh, AluOp::Rsh, AluOp::Arsh] {
        let mut insns = inputs();
        insns.push(mov(Reg::R9, Operand::Imm(0)));
        for (width, amount) in WIDTHS.iter().flat_map(|width| (0..width.bits() as i32).map(move |n| (*width, n))) {
            let dst = WHERE[amount as usize % WHERE.len()];
            let by = if dst == Reg::R4 { Reg::R5 } else { Reg::R4 };
            insns.extend([mov(dst, Operand::Reg(Reg::R7)), Insn::Alu { width, op, dst, src: Operand::Imm(amount) }]);
            absorb(&mut insns, dst);
            insns.extend([mov(dst, Operand::Reg(Reg::R7)), mov(by, Operand::Imm(amount))]);
            insns.push(Insn::Alu { width, op, dst, src: Operand::Reg(by) });
            absorb(&mut insns, dst);
            // By a number of the packet, which may be more than the width; by itself.
            insns.extend([mov(dst, Operand::Reg(Reg::R7)), mov(by, Operand::Reg(Reg::R8))]);
            insns.extend([
                alu(AluOp::Add, by, Operand::Imm(amount)),
                Insn::Alu { width, op, dst, src: Operand::Reg(by) },
            ]);
            absorb(&mut insns, dst);
            insns.extend([mov(dst, Operand::Reg(Reg::R8)), Insn::Alu { width, op, dst, src: Operand::Reg(dst) }]);
            absorb(&mut insns, dst);
        }
        insns.push(Insn::Exit);
        both(&insns, 8, &pairs());
    }
}

/// Numbers next to the powers of two, runs of ones at every place, and patterns that repeat: what fits into an instruction changes
/// there, be it by size (8 and 32 bits; 12 bits, shifted or not; 16 bits) or by pattern (the logical immediates of arm64).
fn immediates() -> Vec<i32> {
    let mut all: Vec<i32> =
        (0..32).flat_map(|bit| [1i32 << bit, (1i32 << bit).wrapping_sub(1), (1i32 << bit) + 1 - 1]).collect();
    all.extend((0..32).flat_map(|bit| {
        [(1i32 << bit).wrapping_neg(), (1i32 << bit).wrapping_neg().wrapping_sub(1), (1i32 << bit).wrapping_add(1)]
    }));
    let ones = |length: u32, at: u32| (u32::MAX >> (32 - length)).rotate_left(at) as i32;
    all.extend((1..32).flat_map(|length| [0, 5, 12, 20, 31].map(|at| ones(length, at))));
    all.extend([0x5555_5555, 0x3333_3333, 0x0f0f_0f0f, 0x00ff_00ff, 0x0001_0001, 0x7ffe_7ffe, 0x1234_5678]);
    all.extend([0x0101_0101u32, 0xaaaa_aaaa, 0xf0f0_f0f0, 0x8000_8000, 0xffff_0001, 0xedcb_a988].map(|n| n as i32));
    all.extend([4095, 4096, 4097, 0xff_f000, 0xff_f001, 0x100_0000, -4095, -4096, -4097, -0xff_f000, -0x100_0000]);
    all.sort_unstable();
    all.dedup();
    all
}

/// Every operation with every border, on both widths. Among them 32-bit signed divisions, whose upper half other compilers left
/// as it was (CVE-2026-68295 and its kin).
#[test]
fn every_immediate_of_arithmetic() {
    let packets: Vec<Vec<u8>> = pairs().into_iter().step_by(5).collect();
    for (index, imm) in immediates().into_iter().enumerate() {
        let mut insns = inputs();
        insns.push(mov(Reg::R9, Operand::Imm(0)));
        for (nth, op) in AluOp::ALL.iter().enumerate() {
            let dst = WHERE[(index + nth) % WHERE.len()];
            for width in WIDTHS {
                let divides = matches!(op, AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod);
                let shifts = matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh);
                if (divides && imm == 0) || (shifts && !(0..width.bits() as i32).contains(&imm)) {
                    continue;
                }
                insns.push(mov(dst, Operand::Reg(Reg::R7)));
                insns.push(Insn::Alu { width, op: *op, dst, src: Operand::Imm(imm) });
                absorb(&mut insns, dst);
                // A copy and the operation, which compilers may join.
                let other = WHERE[(index + nth + 1) % WHERE.len()];
                insns.push(mov(other, Operand::Reg(Reg::R8)));
                insns.push(mov(dst, Operand::Reg(other)));
                insns.push(Insn::Alu { width, op: *op, dst, src: Operand::Imm(imm) });
                absorb(&mut insns, dst);
                absorb(&mut insns, other);
            }
        }
        for width in WIDTHS {
            insns.push(Insn::Mov { width, dst: Reg::R3, src: Operand::Imm(imm) });
            absorb(&mut insns, Reg::R3);
        }
        insns.extend(wide(Reg::R3, imm as u32 as u64));
        absorb(&mut insns, Reg::R3);
        insns.extend(wide(Reg::R3, (imm as i64 as u64).rotate_left(17)));
        absorb(&mut insns, Reg::R3);
        insns.push(Insn::Exit);
        both(&insns, 8, &packets);
    }
}

/// Every comparison with every border; `jset` with bits in the upper half too, which Jitterbug found forgotten.
#[test]
fn every_immediate_of_comparisons() {
    let packets: Vec<Vec<u8>> = pairs().into_iter().step_by(3).collect();
    for imm in immediates() {
        let mut insns = inputs();
        insns.push(mov(Reg::R9, Operand::Imm(0)));
        for (nth, op) in CmpOp::ALL.iter().enumerate() {
            for width in WIDTHS {
                let lhs = if nth % 2 == 0 { Reg::R7 } else { Reg::R8 };
                insns.push(Insn::Branch { width, op: *op, lhs, rhs: Operand::Imm(imm), off: 2 });
                insns.push(alu(AluOp::Add, Reg::R0, Operand::Imm(nth as i32 + 1)));
                insns.push(alu(AluOp::Mul, Reg::R0, Operand::Imm(31)));
                // What may become a conditional move.
                insns.push(mov(Reg::R9, Operand::Imm(5)));
                insns.push(Insn::Branch { width, op: *op, lhs, rhs: Operand::Imm(imm), off: 1 });
                insns.push(mov(Reg::R9, Operand::Imm(imm)));
                insns.push(alu(AluOp::Xor, Reg::R0, Operand::Reg(Reg::R9)));
                insns.push(alu(AluOp::Mul, Reg::R0, Operand::Imm(17)));
            }
        }
        insns.push(Insn::Exit);
        both(&insns, 8, &packets);
    }
}

/// Offsets of loads and stores next to what instructions can hold, of every size, with every register as source: the low bytes of
/// some need a prefix of their own on x86-64.
#[test]
fn every_offset() {
    const VALUE: u32 = 70_000;
    let around = |at: i32| [at - 1, at, at + 1];
    let borders = [0, 127, 128, 255, 256, 4095, 8190, 16_380, 32_760, -127, -128, -129, -255, -256, -257, -32_760];
    for at in borders.into_iter().flat_map(around) {
        let mut insns = inputs();
        insns.extend([
            Insn::LoadImm { dst: Reg::R9, value: Wide::MapValue { map: 0, off: 33_000 } },
            mov(Reg::R6, Operand::Imm(77)),
        ]);
        for size in Size::ALL {
            let (size, off) = (*size, at as i16);
            for (nth, src) in [Reg::R0, Reg::R1, Reg::R2, Reg::R5, Reg::R6, Reg::R7, Reg::R8].into_iter().enumerate() {
                insns.push(alu(AluOp::Add, src, Operand::Imm(0x1357_9b00 + nth as i32)));
                insns.push(Insn::Store { size, base: Reg::R9, off, src: Operand::Reg(src) });
                insns.push(Insn::Load { size, signed: false, dst: Reg::R3, base: Reg::R9, off });
                absorb(&mut insns, Reg::R3);
                if size != Size::Dw {
                    insns.push(Insn::Load { size, signed: true, dst: Reg::R4, base: Reg::R9, off });
                    absorb(&mut insns, Reg::R4);
                }
            }
            insns.push(Insn::Store { size, base: Reg::R9, off, src: Operand::Imm(-0x0102_0304) });
            insns.push(Insn::Load { size, signed: false, dst: Reg::R3, base: Reg::R9, off });
            absorb(&mut insns, Reg::R3);
        }
        if (33_000 + at).rem_euclid(8) == 0 {
            for op in AtomicOp::ALL {
                insns.push(Insn::Atomic { op: *op, size: Size::Dw, base: Reg::R9, off: at as i16, src: Reg::R7 });
                insns.push(Insn::Atomic { op: *op, size: Size::W, base: Reg::R9, off: at as i16, src: Reg::R8 });
                absorb(&mut insns, Reg::R7);
                absorb(&mut insns, Reg::R8);
            }
        }
        insns.push(Insn::Exit);
        both(&insns, VALUE, &pairs()[40..46]);
    }
}

/// Fills so many slots with instructions that neither engine can leave out.
fn fill(insns: &mut Vec<Insn>, slots: usize, step: impl Fn(usize) -> Insn) {
    insns.extend((0..slots).map(step));
}

/// Branches over every distance up to what a byte holds, forward and back (CVE-2021-29154 was a displacement that had been computed
/// from code that was still shrinking).
#[test]
fn short_distances() {
    for slots in 0..70 {
        for three_bytes in [false, true] {
            let body = |insns: &mut Vec<Insn>| {
                fill(insns, slots, |at| {
                    let dst = if three_bytes && at.is_multiple_of(2) { Reg::R7 } else { Reg::R2 };
                    Insn::Alu { width: Width::W32, op: AluOp::Add, dst, src: Operand::Imm(3) }
                });
            };
            let mut insns = inputs();
            // Over it, if the first number is 1.
            let first = insns.len();
            insns.push(Insn::Exit);
            body(&mut insns);
            let off = (insns.len() - first - 1) as i16;
            insns[first] = Insn::Branch { width: Width::W64, op: CmpOp::Eq, lhs: Reg::R7, rhs: Operand::Imm(1), off };
            absorb(&mut insns, Reg::R2);
            absorb(&mut insns, Reg::R7);
            // Back over it, five times.
            insns.push(mov(Reg::R9, Operand::Imm(0)));
            let top = insns.len();
            body(&mut insns);
            insns.push(alu(AluOp::Add, Reg::R9, Operand::Imm(1)));
            let off = top as i16 - insns.len() as i16 - 1;
            insns.push(Insn::Branch { width: Width::W64, op: CmpOp::Lt, lhs: Reg::R9, rhs: Operand::Imm(5), off });
            absorb(&mut insns, Reg::R2);
            absorb(&mut insns, Reg::R7);
            insns.push(Insn::Exit);
            both(&insns, 8, &pairs()[14..16]);
        }
    }
}

/// Jumps over the most slots that a branch and a long jump reach, with code that takes most room: more than 1 MiB on both machines
/// (CVE-2026-53036 was a branch of arm64 over 1 MiB that went the other way).
#[test]
fn long_distances() {
    // The first says that the rest was executed.
    let loop_in_code = |at: usize| match at {
        0 => alu(AluOp::Add, Reg::R0, Operand::Imm(0x1001)),
        _ => Insn::Atomic {
            op: [AtomicOp::FetchOr, AtomicOp::FetchXor, AtomicOp::FetchAnd][at % 3],
            size: Size::Dw,
            base: Reg::FP,
            off: -8,
            src: Reg::R7,
        },
    };
    const MOST: usize = i16::MAX as usize;
    let mut insns = inputs();
    insns.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: -8, src: Operand::Imm(0x0f0f) });
    for round in 0..3 {
        let branch =
            Insn::Branch { width: Width::W64, op: CmpOp::Eq, lhs: Reg::R8, rhs: Operand::Imm(round), off: MOST as i16 };
        insns.push(branch);
        fill(&mut insns, MOST, loop_in_code);
    }
    absorb(&mut insns, Reg::R7);
    // Both ways can be taken, or the verifier would refuse code that nothing reaches.
    insns.push(Insn::Branch { width: Width::W64, op: CmpOp::Eq, lhs: Reg::R8, rhs: Operand::Imm(1), off: 1 });
    insns.push(Insn::Jump { off: 100_000, long: true });
    fill(&mut insns, 100_000, loop_in_code);
    insns.push(Insn::Load { size: Size::Dw, signed: false, dst: Reg::R1, base: Reg::FP, off: -8 });
    absorb(&mut insns, Reg::R1);
    insns.push(Insn::Exit);
    let map = fresh_map(8);
    let code = Jit::compile(linked(&insns, &map)).unwrap();
    assert!(code.code().len() > 1 << 20, "{} bytes", code.code().len());
    let results = both(&insns, 8, &pairs()[14..18]);
    assert_ne!(results[0], results[2]);
}

/// The longest program that can be verified.
#[test]
fn a_million_instructions() {
    const MOST: usize = 1_000_000;
    let mut insns = inputs();
    insns.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: -8, src: Operand::Imm(1) });
    let mut seed = 1u64;
    while insns.len() < MOST - 3 {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let pick = |shift: u32, count: u64| (seed >> shift) % count;
        let reg = |shift| [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R7, Reg::R8][pick(shift, 6) as usize];
        let width = WIDTHS[pick(20, 2) as usize];
        insns.push(match pick(60, 16) {
            0 => Insn::Load { size: Size::Dw, signed: false, dst: reg(24), base: Reg::FP, off: -8 },
            1 => Insn::Store { size: Size::Dw, base: Reg::FP, off: -8, src: Operand::Reg(reg(24)) },
            2 => Insn::Endian {
                op: EndianOp::ToBe,
                size: [Size::H, Size::W, Size::Dw][pick(28, 3) as usize],
                dst: reg(24),
            },
            3 => Insn::Alu { width, op: AluOp::Lsh, dst: reg(24), src: Operand::Imm(pick(28, 32) as i32) },
            4 => Insn::Alu { width, op: AluOp::Div, dst: reg(24), src: Operand::Imm(1 + pick(28, 9) as i32) },
            5 => Insn::Mov { width, dst: reg(24), src: Operand::Reg(reg(30)) },
            6 => Insn::Neg { width, dst: reg(24) },
            7..=9 => Insn::Alu { width, op: AluOp::Add, dst: reg(24), src: Operand::Imm(seed as i32) },
            10 | 11 => Insn::Alu { width, op: AluOp::Mul, dst: reg(24), src: Operand::Reg(reg(30)) },
            _ => Insn::Alu { width, op: AluOp::Xor, dst: reg(24), src: Operand::Reg(reg(30)) },
        });
    }
    absorb(&mut insns, Reg::R7);
    insns.push(Insn::Exit);
    assert_eq!(insns.len(), MOST);
    both(&insns, 8, &pairs()[30..33]);
}

/// A program so long that only its loops are worth more than a look: they are joined, the rest is as it is.
#[test]
fn loops_in_a_long_program() {
    const LONG: usize = 9000;
    let plain = |at: usize| {
        let (dst, src) = (WHERE[at % 5], Operand::Reg([Reg::R7, Reg::R8, Reg::R8][at % 3]));
        alu([AluOp::Add, AluOp::Xor, AluOp::Or][at % 3], dst, src)
    };
    let mut insns = inputs();
    insns.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: -8, src: Operand::Reg(Reg::R7) });
    for round in 0..3 {
        fill(&mut insns, LONG / 3, plain);
        insns.push(mov(Reg::R9, Operand::Imm(0)));
        let top = insns.len();
        // A rotation, bytes put together, a choice.
        insns.extend([mov(Reg::R3, Operand::Reg(Reg::R7)), alu(AluOp::Lsh, Reg::R3, Operand::Imm(13))]);
        insns.extend([alu(AluOp::Rsh, Reg::R7, Operand::Imm(51)), alu(AluOp::Or, Reg::R7, Operand::Reg(Reg::R3))]);
        for byte in 0..4 {
            let dst = if byte == 0 { Reg::R4 } else { Reg::R5 };
            insns.push(Insn::Load { size: Size::B, signed: false, dst, base: Reg::FP, off: byte - 8 });
            if byte > 0 {
                insns.push(alu(AluOp::Lsh, Reg::R5, Operand::Imm(8 * i32::from(byte))));
                insns.push(alu(AluOp::Or, Reg::R4, Operand::Reg(Reg::R5)));
            }
        }
        insns.push(alu(AluOp::Add, Reg::R8, Operand::Reg(Reg::R4)));
        insns.push(Insn::Branch { width: Width::W64, op: CmpOp::Sgt, lhs: Reg::R8, rhs: Operand::Imm(5), off: 1 });
        insns.push(mov(Reg::R8, Operand::Reg(Reg::R7)));
        insns.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: -8, src: Operand::Reg(Reg::R8) });
        insns.push(alu(AluOp::Add, Reg::R9, Operand::Imm(1)));
        let off = (top as i64 - insns.len() as i64 - 1) as i16;
        insns.push(Insn::Branch { width: Width::W64, op: CmpOp::Lt, lhs: Reg::R9, rhs: Operand::Imm(3 + round), off });
        for reg in [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R7, Reg::R8] {
            absorb(&mut insns, reg);
        }
    }
    insns.push(Insn::Exit);
    assert!(insns.len() > LONG);
    both(&insns, 8, &pairs()[20..60]);
}
