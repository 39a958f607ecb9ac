//! What compilers write for rotations, bytes put together, addresses, copies and choices, mixed at random: joined or not, it does what
//! `ring3_isa::eval` says.

use super::*;
use crate::compile::Found;
use crate::opt::{self, Step};

const BYTES: usize = 192;

/// Random numbers: the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// Registers for numbers; R4 and R5 are for addresses, R6 is where the memory starts, R7 and R8 are small.
const NUMBERS: [Reg; 4] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3];
const ADDRESSES: [Reg; 2] = [Reg::R4, Reg::R5];
const INDEXES: [Reg; 2] = [Reg::R7, Reg::R8];
const MEMORY: Reg = Reg::R6;
/// An index that is shifted.
const SCALED: Reg = Reg::R9;

fn alu(width: Width, op: AluOp, dst: Reg, src: Operand) -> Op {
    Op::Alu { width, op, dst, src }
}

fn copy(width: Width, dst: Reg, src: Reg) -> Op {
    Op::Mov { width, dst, src: Operand::Reg(src) }
}

/// A rotation, or nearly one.
fn rotation(random: &mut Random) -> Vec<Op> {
    let width = random.of(&WIDTHS);
    let (a, b) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let bits = width.bits() as i32;
    let count = random.below(bits as u64) as i32;
    let rest = if random.chance(8) { count } else { bits - count };
    let (first, second) = random.of(&[(AluOp::Lsh, AluOp::Rsh), (AluOp::Rsh, AluOp::Lsh), (AluOp::Lsh, AluOp::Lsh)]);
    let join = random.of(&[AluOp::Or, AluOp::Add, AluOp::Xor]);
    let mut ops = vec![copy(if random.chance(3) { Width::W32 } else { Width::W64 }, a, b)];
    let mut shifts = vec![alu(width, first, a, Operand::Imm(count)), alu(width, second, b, Operand::Imm(rest))];
    if random.chance(2) {
        shifts.swap(0, 1);
    }
    ops.extend(shifts);
    let (dst, src) = if random.chance(2) { (a, b) } else { (b, a) };
    ops.push(alu(random.of(&[width, Width::W64]), join, dst, Operand::Reg(src)));
    ops
}

/// Bytes put together in some order, now and then wrongly.
fn bytes(random: &mut Random) -> Vec<Op> {
    let width = random.of(&WIDTHS);
    let (count, size) =
        random.of(&[(2, Size::B), (4, Size::B), (8, Size::B), (2, Size::H), (4, Size::H), (2, Size::W)]);
    let step = size.bytes() as i32;
    let start = random.below(BYTES as u64 - 32) as i32;
    let high_first = random.chance(2);
    let (sum, part) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let mut ops = Vec::new();
    for index in 0..count {
        let from = if high_first { count - 1 - index } else { index };
        let dst = if index == 0 { sum } else { part };
        ops.push(Op::Load { size, signed: false, dst, base: MEMORY, off: start + from * step });
        if index > 0 {
            let bits = if random.chance(30) { 8 } else { (8 * step * index) % width.bits() as i32 };
            ops.push(alu(width, AluOp::Lsh, part, Operand::Imm(bits)));
            ops.push(alu(width, random.of(&[AluOp::Or, AluOp::Add, AluOp::Xor]), sum, Operand::Reg(part)));
        }
    }
    if random.chance(2) {
        let op = random.of(EndianOp::ALL);
        ops.push(Op::Endian { op, size: random.of(&[Size::H, Size::W, Size::Dw]), dst: sum });
    }
    ops
}

/// An extension by two shifts, or nearly one.
fn extension(random: &mut Random) -> Vec<Op> {
    let (a, b) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let right = random.of(&[AluOp::Rsh, AluOp::Arsh]);
    let width = random.of(&[Width::W64, Width::W64, Width::W32]);
    let left = random.of(&[32, 32, 48, 56, 16, 24, 7]);
    let back = if random.chance(4) { random.below(64) as i32 } else { left };
    let shift = |op, by| alu(width, op, a, Operand::Imm(by));
    vec![copy(random.of(&WIDTHS), a, b), shift(AluOp::Lsh, left), shift(right, back), copy(Width::W32, a, a)]
}

/// Bits from the middle, or nearly.
fn field(random: &mut Random) -> Vec<Op> {
    let (a, b) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let width = random.of(&WIDTHS);
    let from = random.of(&[1, 3, 8, 8, 16, 31, 32, 33, 60, 63]);
    let mask = random.of(&[1, 0x7f, 0xff, 0xff, 0xffff, 0x3ff, i32::MAX, -1, 0xf0, 0]);
    let mut ops = vec![copy(random.of(&WIDTHS), a, b), alu(width, AluOp::Rsh, a, Operand::Imm(from))];
    ops.push(alu(random.of(&WIDTHS), AluOp::And, a, Operand::Imm(mask)));
    if random.chance(3) {
        ops.remove(0);
    }
    if random.chance(8) {
        ops.insert(ops.len() - 1, copy(Width::W64, b, a));
    }
    ops
}

/// A number or 0 by a bit, or nearly.
fn by_bit(random: &mut Random) -> Vec<Op> {
    let (a, b) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let bit = if random.chance(8) { 3 } else { 1 };
    let mut ops = vec![
        copy(random.of(&WIDTHS), a, b),
        alu(random.of(&WIDTHS), AluOp::And, a, Operand::Imm(bit)),
        Op::Neg { width: random.of(&WIDTHS), dst: a },
        alu(random.of(&WIDTHS), AluOp::And, a, Operand::Imm(random.of(&[0xedb8_8320u32 as i32, 0, 1, -1, i32::MIN]))),
    ];
    if random.chance(3) {
        ops.remove(0);
    }
    if random.chance(6) {
        let last = ops.len() - 1;
        ops.insert(
            last,
            if random.chance(2) { copy(Width::W64, b, a) } else { alu(Width::W64, AluOp::Add, b, Operand::Imm(1)) },
        );
    }
    ops
}

/// Any arithmetic on numbers.
fn noise(random: &mut Random) -> Vec<Op> {
    let (dst, src) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let src = if random.chance(2) { Operand::Reg(src) } else { Operand::Imm(random.of(&IMMS)) };
    let width = random.of(&WIDTHS);
    match random.below(6) {
        0 => vec![Op::Mov { width, dst, src }],
        1 => vec![Op::Load {
            size: random.of(Size::ALL),
            signed: false,
            dst,
            base: MEMORY,
            off: random.below(56) as i32,
        }],
        2 => vec![Op::Store { size: random.of(Size::ALL), base: MEMORY, off: random.below(56) as i32, src }],
        _ => vec![alu(width, random.of(AluOp::ALL), dst, src)],
    }
}

/// An access by an address that is added up.
fn access(random: &mut Random) -> Vec<Op> {
    let (at, index, number) = (random.of(&ADDRESSES), random.of(&INDEXES), random.of(&NUMBERS));
    let (size, off) = (random.of(Size::ALL), random.below(16) as i32);
    let mut ops = vec![copy(Width::W64, at, MEMORY)];
    ops.push(alu(Width::W64, AluOp::Add, at, Operand::Imm(random.below(8) as i32)));
    ops.push(alu(Width::W64, AluOp::Add, at, Operand::Reg(index)));
    if random.chance(2) {
        ops.remove(1);
    }
    if random.chance(2) {
        ops = scaled(random, at, index);
    }
    if random.chance(4) {
        ops.extend(update(random, size, at, off, number));
    }
    for _ in 0..=random.below(2) {
        ops.push(match random.below(3) {
            0 => Op::Store { size, base: at, off, src: Operand::Reg(random.of(&[number, index, at])) },
            1 => Op::Load { size, signed: size != Size::Dw && random.chance(2), dst: number, base: at, off },
            _ => Op::Store { size, base: at, off, src: Operand::Imm(random.of(&IMMS)) },
        });
    }
    if random.chance(3) {
        ops.push(Op::Load { size: Size::B, signed: false, dst: at, base: at, off });
        ops.push(alu(Width::W64, AluOp::Add, number, Operand::Reg(at)));
    }
    if random.chance(4) {
        ops.push(alu(Width::W64, AluOp::And, index, Operand::Imm(7)));
    }
    ops
}

/// An address with an index that is shifted.
fn scaled(random: &mut Random, at: Reg, index: Reg) -> Vec<Op> {
    let shift = alu(Width::W64, AluOp::Lsh, SCALED, Operand::Imm(random.of(&[1, 2, 3])));
    let start = copy(random.of(&WIDTHS), SCALED, index);
    let address = copy(Width::W64, at, MEMORY);
    match random.below(3) {
        0 => vec![start, shift, address, alu(Width::W64, AluOp::Add, at, Operand::Reg(SCALED))],
        1 => {
            vec![start, shift, alu(Width::W64, AluOp::Add, SCALED, Operand::Reg(MEMORY)), copy(Width::W64, at, SCALED)]
        }
        _ => {
            let small = alu(Width::W64, AluOp::And, SCALED, Operand::Imm(7));
            vec![start, small, shift, address, alu(Width::W64, AluOp::Add, at, Operand::Reg(SCALED))]
        }
    }
}

/// A load, an operation and a store of one place, or nearly.
fn update(random: &mut Random, size: Size, at: Reg, off: i32, number: Reg) -> Vec<Op> {
    let src = if random.chance(2) { Operand::Reg(random.of(&NUMBERS)) } else { Operand::Imm(random.of(&IMMS)) };
    let op = random.of(&[AluOp::Add, AluOp::Sub, AluOp::And, AluOp::Or, AluOp::Xor, AluOp::Mul]);
    let elsewhere = if random.chance(12) { 1 } else { 0 };
    let mut ops = vec![
        Op::Load { size, signed: false, dst: number, base: at, off },
        alu(random.of(&WIDTHS), op, number, src),
        Op::Store { size, base: at, off: off + elsewhere, src: Operand::Reg(number) },
    ];
    if random.chance(2) {
        // Nobody needs the sum any more.
        ops.push(Op::Mov { width: Width::W64, dst: number, src: Operand::Imm(1) });
    }
    ops
}

/// The bytes of a number, stored one by one in some order, now and then wrongly.
fn scattered(random: &mut Random) -> Vec<Op> {
    let (number, part) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let size = random.of(&[Size::B, Size::B, Size::H, Size::W]);
    let step = size.bytes() as i32;
    let count = random.of(&[2, 4, 8]).min(8 / step);
    let start = random.below(BYTES as u64 - 32) as i32;
    let mut places: Vec<i32> = (0..count).collect();
    for at in (1..places.len()).rev() {
        places.swap(at, random.below(at as u64 + 1) as usize);
    }
    let swap = random.chance(3);
    let mut ops = Vec::new();
    for place in places {
        let shift = 8 * step * place;
        let off = if swap { (count - 1 - place) * step } else { place * step };
        let src = if shift == 0 && random.chance(2) {
            number
        } else {
            ops.push(copy(Width::W64, part, number));
            let width = if shift < 32 { random.of(&WIDTHS) } else { Width::W64 };
            ops.push(alu(width, AluOp::Rsh, part, Operand::Imm(if random.chance(40) { 8 } else { shift })));
            part
        };
        ops.push(Op::Store { size, base: MEMORY, off: start + off, src: Operand::Reg(src) });
        if random.chance(20) {
            ops.extend(noise(random));
        }
    }
    if random.chance(3) {
        ops.insert(0, Op::Endian { op: EndianOp::Swap, size: random.of(&[Size::W, Size::Dw]), dst: number });
    }
    ops
}

/// Neighbouring zeros.
fn zeros(random: &mut Random) -> Vec<Op> {
    let number = random.of(&NUMBERS);
    let size = random.of(&[Size::W, Size::Dw]);
    let step = size.bytes() as i32;
    let start = random.below(32) as i32;
    let mut ops = vec![Op::Mov { width: random.of(&WIDTHS), dst: number, src: Operand::Imm(0) }];
    for place in 0..=random.below(9) as i32 {
        let place = if random.chance(20) { place + 1 } else { place };
        let src = if random.chance(3) { Operand::Imm(0) } else { Operand::Reg(number) };
        ops.push(Op::Store { size, base: MEMORY, off: start + place * step, src });
        if random.chance(20) {
            ops.extend(noise(random));
        }
    }
    if random.chance(2) {
        ops[1..].reverse();
    }
    ops
}

/// A branch on what was loaded for it.
fn loaded(random: &mut Random) -> Vec<Op> {
    let (number, other) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let (size, width) =
        random.of(&[(Size::B, Width::W32), (Size::B, Width::W64), (Size::W, Width::W32), (Size::Dw, Width::W64)]);
    let imms = [0, 1, 7, 128, 255, 256, -1];
    let rhs = if random.chance(3) { Operand::Reg(other) } else { Operand::Imm(random.of(&imms)) };
    vec![
        Op::Load { size, signed: false, dst: number, base: MEMORY, off: random.below(56) as i32 },
        Op::Branch { width, op: random.of(CmpOp::ALL), lhs: number, rhs, target: 0 },
        // What was loaded is not needed behind it.
        Op::Mov { width: Width::W64, dst: number, src: Operand::Reg(other) },
        Op::Mov { width: Width::W64, dst: number, src: Operand::Imm(3) },
    ]
}

/// A branch around one operation; its target is set when it stands.
fn choice(random: &mut Random) -> Vec<Op> {
    let (lhs, dst, other) = (random.of(&NUMBERS), random.of(&NUMBERS), random.of(&NUMBERS));
    let src = if random.chance(2) { Operand::Reg(other) } else { Operand::Imm(random.of(&IMMS)) };
    let rhs = if random.chance(2) { Operand::Reg(random.of(&NUMBERS)) } else { Operand::Imm(random.of(&IMMS)) };
    let branch = Op::Branch { width: random.of(&WIDTHS), op: random.of(CmpOp::ALL), lhs, rhs, target: 0 };
    let mut ops = vec![branch, Op::Mov { width: random.of(&WIDTHS), dst, src }];
    ops.extend(noise(random));
    ops
}

/// Puts a number aside somewhere, something else in its place, and brings it back later: the value is that of before, but somebody else
/// made it.
fn put_aside(random: &mut Random, ops: &mut Vec<Op>) {
    let (number, aside) = (random.of(&NUMBERS), random.of(&NUMBERS));
    let back = random.below(ops.len() as u64 + 1) as usize;
    let away = back - random.below(back.min(6) as u64 + 1) as usize;
    ops.insert(back, copy(Width::W64, number, aside));
    let other = Op::Mov { width: Width::W64, dst: number, src: Operand::Imm(random.of(&IMMS)) };
    ops.splice(away..away, [copy(Width::W64, aside, number), other]);
}

/// Idioms on numbers and accesses, whose operations are mixed.
fn sequence(random: &mut Random) -> Vec<Op> {
    let mut numbers: Vec<Op> = Vec::new();
    for _ in 0..=random.below(3) {
        numbers.extend(match random.below(12) {
            0 | 1 => rotation(random),
            2 | 3 => bytes(random),
            4 => extension(random),
            5 | 6 => scattered(random),
            7 => zeros(random),
            8 => loaded(random),
            9 => field(random),
            10 => by_bit(random),
            _ => noise(random),
        });
        numbers.extend(noise(random));
    }
    let mut addresses = Vec::new();
    for _ in 0..random.below(3) {
        addresses.extend(access(random));
    }
    let mut ops = Vec::new();
    let (mut numbers, mut addresses) = (numbers.into_iter().peekable(), addresses.into_iter().peekable());
    while numbers.peek().is_some() || addresses.peek().is_some() {
        ops.extend(if random.chance(3) { addresses.next() } else { numbers.next() });
        if random.chance(12) {
            ops.extend(choice(random));
        }
    }
    while random.chance(2) {
        put_aside(random, &mut ops);
    }
    // What makes an address is not jumped over.
    let skippable: Vec<bool> = ops.iter().map(|op| opt::writes(*op).is_none_or(|reg| NUMBERS.contains(&reg))).collect();
    for (at, op) in ops.iter_mut().enumerate() {
        if let Op::Branch { target, .. } = op {
            let wanted = if random.chance(10) { 2 } else { 1 };
            let skipped = skippable[at + 1..].iter().take(wanted).take_while(|skippable| **skippable).count();
            *target = (at + 1 + skipped) as u32;
        }
    }
    ops
}

/// What the operations do by the model.
fn expected(ops: &[Op], regs: &mut [u64; 11], memory: &mut [u8], real: u64) {
    let mut at = 0;
    while let Some(op) = ops.get(at) {
        at += 1;
        if let Op::Branch { width, op, lhs, rhs, target } = *op {
            if eval::compare(op, width, regs[lhs.index()], eval::operand(rhs, regs)) {
                at = target as usize;
            }
        } else {
            model(*op, regs, &mut Memory(memory), real);
        }
    }
}

fn check(ops: &[Op], cpu: Cpu, random: &mut Random) {
    #[repr(align(16))]
    struct Aligned([u8; BYTES]);
    let start: [u8; BYTES] = std::array::from_fn(|_| random.next() as u8);
    let mut memory = Aligned(start);
    let real = memory.0.as_mut_ptr().expose_provenance() as u64;
    let mut before: [u64; 10] =
        std::array::from_fn(|_| if random.chance(3) { random.of(&VALUES) } else { random.next() << 20 });
    before[MEMORY.index()] = real;
    for address in ADDRESSES {
        before[address.index()] = real;
    }
    for index in INDEXES.into_iter().chain([SCALED]) {
        before[index.index()] = random.below(16);
    }
    let mut want = [0; 11];
    want[..10].copy_from_slice(&before);
    let mut want_bytes = start;
    expected(ops, &mut want, &mut want_bytes, real);
    let code = Code::new(&assemble_joined(&around(ops), cpu).unwrap());
    let done = run(&code, before);
    // SAFETY: the array is alive; the code wrote it behind the compiler's back.
    let got = unsafe { std::ptr::read_volatile(&raw const memory.0) };
    let listing = || ops.iter().map(|op| format!("{op:?}\n")).collect::<String>();
    assert_eq!(done.after, want[..10], "{}", listing());
    assert_eq!(got, want_bytes, "{}", listing());
}

#[test]
fn joined_operations_do_what_each_would() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut seen = [0u32; 13];
    for _ in 0..60_000 {
        let ops = sequence(&mut random);
        for cpu in cpus() {
            check(&ops, cpu, &mut random);
        }
        count(&ops, &mut seen);
    }
    // Each way to join was taken often.
    assert!(seen.iter().all(|count| *count > 200), "{seen:?}");
}

fn count(ops: &[Op], seen: &mut [u32; 13]) {
    let around = around(ops);
    let functions = [Function { start: 0, end: around.len() as u32, stack: 512 }];
    let unit = Unit {
        slots: &[],
        ops: &around,
        functions: &functions,
        lookups: &[],
        regions: &regions(&around),
        constants: &[],
        runtime: no_runtime(&[]),
        joined: true,
    };
    for step in opt::plan(&unit, &[Found::default()], None).steps {
        let kind = match step {
            Step::Plain => continue,
            Step::Nothing => 0,
            Step::Other(_) => 1,
            Step::Alu { .. } => 2,
            Step::Rotate { .. } => 3,
            Step::LoadSwapped { .. } => 4,
            Step::LoadIndexed { .. } => 5,
            Step::StoreIndexed { .. } => 6,
            Step::SelectUnless { .. } => 7,
            Step::Update { .. } => 8,
            Step::Zero { .. } => 9,
            Step::BranchLoaded { .. } => 10,
            Step::Field { .. } => 11,
            Step::ByBit { .. } => 12,
        };
        seen[kind] += 1;
    }
}

/// A register that was put aside and brought back holds what a shift before took, but what brought it back is needed then.
#[test]
fn what_comes_back_was_made_again() {
    let (a, b, aside) = (Reg::R1, Reg::R2, Reg::R3);
    let away = [copy(Width::W64, aside, b), Op::Mov { width: Width::W64, dst: b, src: Operand::Imm(0) }];
    let seen = Op::Store { size: Size::Dw, base: MEMORY, off: 0, src: Operand::Reg(b) };
    let shift = |op, by| alu(Width::W64, op, a, Operand::Imm(by));
    let (mut random, last) = (Random(77), Op::Mov { width: Width::W64, dst: b, src: Operand::Imm(1) });
    for (first, second) in [
        (shift(AluOp::Rsh, 8), shift(AluOp::And, 0xff)),
        (shift(AluOp::Lsh, 48), shift(AluOp::Arsh, 48)),
        (shift(AluOp::Lsh, 8), shift(AluOp::Rsh, 16)),
    ] {
        let mut ops = vec![copy(Width::W64, a, b), first];
        ops.extend(away);
        ops.extend([seen, copy(Width::W64, b, aside), second, last]);
        for cpu in cpus() {
            check(&ops, cpu, &mut random);
        }
    }
}

/// Every field of both widths, by a shift and a mask and by two shifts, in place and of another register.
#[test]
fn every_field_is_taken() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for width in WIDTHS {
        let all = width.bits() as i32;
        for (from, bits) in (0..all).flat_map(|from| (1..=all - from).map(move |bits| (from, bits))) {
            // The second byte has a form for the first four registers of a machine.
            let (dst, src) = if random.chance(3) {
                (Reg::R1, Reg::R1)
            } else {
                (random.of(&NUMBERS), random.of(&[Reg::R0, Reg::R3, Reg::R7]))
            };
            let mut ops = vec![copy(Width::W64, dst, src)];
            if dst == src {
                ops.clear();
            }
            if bits < 32 && from > 0 && random.chance(2) {
                ops.push(alu(width, AluOp::Rsh, dst, Operand::Imm(from)));
                ops.push(alu(random.of(&WIDTHS), AluOp::And, dst, Operand::Imm(((1i64 << bits) - 1) as i32)));
            } else {
                ops.push(alu(width, AluOp::Lsh, dst, Operand::Imm(all - from - bits)));
                ops.push(alu(width, AluOp::Rsh, dst, Operand::Imm(all - bits)));
            }
            for cpu in cpus() {
                check(&ops, cpu, &mut random);
            }
        }
    }
}
