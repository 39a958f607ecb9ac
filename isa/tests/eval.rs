//! `eval` against formulas in 128-bit arithmetic that share nothing with it.

use proptest::prelude::*;
use ring3_isa::{AluOp, AtomicOp, CmpOp, Code, EndianOp, Endianness, Insn, Size, Width, eval};

/// Values at which arithmetic goes wrong, mixed with any others.
fn word() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 2, 7, 31, 32, 33, 63, 64, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    let edges: Vec<u64> = edges.iter().flat_map(|&e: &u64| [e, e.wrapping_neg(), e << 32, !(e << 32)]).collect();
    prop_oneof![any::<u64>(), prop::sample::select(edges), any::<u32>().prop_map(u64::from)]
}

fn bits(width: Width) -> u32 {
    match width {
        Width::W32 => 32,
        Width::W64 => 64,
    }
}

fn unsigned(value: u64, bits: u32) -> i128 {
    i128::from(value).rem_euclid(1 << bits)
}

fn signed(value: u64, bits: u32) -> i128 {
    let value = unsigned(value, bits);
    if value >= 1 << (bits - 1) { value - (1 << bits) } else { value }
}

fn wrap(value: i128, bits: u32) -> u64 {
    u64::try_from(value.rem_euclid(1 << bits)).unwrap()
}

/// Quotient rounded towards zero, written with magnitudes only.
fn quotient(a: i128, b: i128) -> i128 {
    let magnitude = i128::try_from(a.unsigned_abs() / b.unsigned_abs()).unwrap();
    if (a < 0) == (b < 0) { magnitude } else { -magnitude }
}

fn bitwise(a: u64, b: u64, bits: u32, table: fn(bool, bool) -> bool) -> i128 {
    (0..bits).map(|i| i128::from(table(a >> i & 1 == 1, b >> i & 1 == 1)) << i).sum()
}

fn alu(op: AluOp, width: Width, dst: u64, src: u64) -> u64 {
    let n = bits(width);
    let (a, b) = (unsigned(dst, n), unsigned(src, n));
    let (sa, sb) = (signed(dst, n), signed(src, n));
    let power = 1i128 << b.rem_euclid(i128::from(n));
    let result = match op {
        AluOp::Add => a + b,
        AluOp::Sub => a - b,
        // The product of two 64-bit numbers does not fit i128: the halves of one factor apart.
        AluOp::Mul => (a * (b >> 32)).rem_euclid(1 << n) * (1 << 32) + a * (b & 0xffff_ffff),
        AluOp::Div if b == 0 => 0,
        AluOp::Div => a / b,
        AluOp::SDiv if b == 0 => 0,
        AluOp::SDiv => quotient(sa, sb),
        AluOp::Mod if b == 0 => a,
        AluOp::Mod => a - a / b * b,
        AluOp::SMod if b == 0 => a,
        AluOp::SMod => sa - quotient(sa, sb) * sb,
        AluOp::Or => bitwise(dst, src, n, |x, y| x || y),
        AluOp::And => bitwise(dst, src, n, |x, y| x && y),
        AluOp::Xor => bitwise(dst, src, n, |x, y| x != y),
        AluOp::Lsh => unsigned(dst, n - u32::try_from(b.rem_euclid(i128::from(n))).unwrap()) * power,
        AluOp::Rsh => a / power,
        AluOp::Arsh => sa.div_euclid(power),
    };
    wrap(result, n)
}

fn compare(op: CmpOp, width: Width, lhs: u64, rhs: u64) -> bool {
    let n = bits(width);
    let order = unsigned(lhs, n) - unsigned(rhs, n);
    let signed_order = signed(lhs, n) - signed(rhs, n);
    match op {
        CmpOp::Eq => order == 0,
        CmpOp::Ne => order != 0,
        CmpOp::Gt => order > 0,
        CmpOp::Ge => order >= 0,
        CmpOp::Lt => order < 0,
        CmpOp::Le => order <= 0,
        CmpOp::Sgt => signed_order > 0,
        CmpOp::Sge => signed_order >= 0,
        CmpOp::Slt => signed_order < 0,
        CmpOp::Sle => signed_order <= 0,
        CmpOp::Set => (0..n).any(|i| lhs >> i & rhs >> i & 1 == 1),
    }
}

fn swapped(value: u64, bytes: usize) -> u64 {
    let mut low = value.to_le_bytes();
    low[..bytes].reverse();
    low[bytes..].fill(0);
    u64::from_le_bytes(low)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arithmetic(dst in word(), src in word()) {
        for width in [Width::W32, Width::W64] {
            for &op in AluOp::ALL {
                prop_assert_eq!(eval::alu(op, width, dst, src), alu(op, width, dst, src), "{:?} {:?}", op, width);
            }
            prop_assert_eq!(eval::neg(width, dst), wrap(-unsigned(dst, bits(width)), bits(width)));
            prop_assert_eq!(eval::mov(width, dst), wrap(unsigned(dst, bits(width)), bits(width)));
        }
    }

    #[test]
    fn comparisons(lhs in word(), rhs in word()) {
        for width in [Width::W32, Width::W64] {
            for &op in CmpOp::ALL {
                let taken = eval::compare(op, width, lhs, rhs);
                prop_assert_eq!(taken, compare(op, width, lhs, rhs), "{:?} {:?}", op, width);
                prop_assert_eq!(taken, eval::compare(op.swapped(), width, rhs, lhs));
                if let Some(negated) = op.negated() {
                    prop_assert_eq!(taken, !eval::compare(negated, width, lhs, rhs));
                }
            }
        }
    }

    #[test]
    fn extension(value in word()) {
        for &size in Size::ALL {
            let n = size.bits();
            prop_assert_eq!(eval::load_extend(size, false, value), wrap(unsigned(value, n), n));
            prop_assert_eq!(eval::load_extend(size, true, value), wrap(signed(value, n), 64));
            for width in [Width::W32, Width::W64] {
                prop_assert_eq!(eval::mov_sx(width, size, value), wrap(signed(value, n), bits(width)));
            }
        }
    }

    #[test]
    fn byte_swaps(value in word()) {
        for size in [Size::H, Size::W, Size::Dw] {
            let (same, other) = (wrap(unsigned(value, size.bits()), size.bits()), swapped(value, (size.bits() / 8) as usize));
            for host in [Endianness::Little, Endianness::Big] {
                prop_assert_eq!(eval::endian(EndianOp::Swap, size, value, host), other);
            }
            prop_assert_eq!(eval::endian(EndianOp::ToLe, size, value, Endianness::Little), same);
            prop_assert_eq!(eval::endian(EndianOp::ToBe, size, value, Endianness::Little), other);
            prop_assert_eq!(eval::endian(EndianOp::ToLe, size, value, Endianness::Big), other);
            prop_assert_eq!(eval::endian(EndianOp::ToBe, size, value, Endianness::Big), same);
        }
    }

    #[test]
    fn atomics(old in word(), src in word(), r0 in word(), equal in any::<bool>()) {
        for (size, width) in [(Size::W, Width::W32), (Size::Dw, Width::W64)] {
            let r0 = if equal { old ^ (if size == Size::W { 1 << 40 } else { 0 }) } else { r0 };
            let n = size.bits();
            for &op in AtomicOp::ALL {
                let expected = match op {
                    AtomicOp::Add | AtomicOp::FetchAdd => alu(AluOp::Add, width, old, src),
                    AtomicOp::Or | AtomicOp::FetchOr => alu(AluOp::Or, width, old, src),
                    AtomicOp::And | AtomicOp::FetchAnd => alu(AluOp::And, width, old, src),
                    AtomicOp::Xor | AtomicOp::FetchXor => alu(AluOp::Xor, width, old, src),
                    AtomicOp::Xchg => wrap(unsigned(src, n), n),
                    AtomicOp::Cmpxchg if unsigned(old, n) == unsigned(r0, n) => wrap(unsigned(src, n), n),
                    AtomicOp::Cmpxchg => wrap(unsigned(old, n), n),
                };
                let fetched = wrap(unsigned(old, n), n);
                prop_assert_eq!(eval::atomic(op, size, old, src, r0), (expected, fetched), "{:?} {:?}", op, size);
            }
        }
    }
}

/// The cases that RFC 9669 section 4.1 spells out.
#[test]
fn division_corners() {
    let min64 = 1u64 << 63;
    assert_eq!(eval::alu(AluOp::SDiv, Width::W64, min64, u64::MAX), min64);
    assert_eq!(eval::alu(AluOp::SMod, Width::W64, min64, u64::MAX), 0);
    assert_eq!(eval::alu(AluOp::SDiv, Width::W32, 0x8000_0000, u64::MAX), 0x8000_0000);
    assert_eq!(eval::alu(AluOp::SMod, Width::W32, 0x8000_0000, u64::MAX), 0);
    assert_eq!(eval::alu(AluOp::Div, Width::W64, 5, 0), 0);
    assert_eq!(eval::alu(AluOp::Mod, Width::W64, 5, 0), 5);
    assert_eq!(eval::alu(AluOp::Mod, Width::W32, 0x1_0000_0005, 0), 5);
    assert_eq!(eval::alu(AluOp::SMod, Width::W64, 13u64.wrapping_neg(), 3), 1u64.wrapping_neg());
    assert_eq!(eval::alu(AluOp::SDiv, Width::W64, 7, eval::immediate(-2)), 3u64.wrapping_neg());
}

/// An instruction on R1 and R2: R1 after it, or whether a branch is taken.
fn execute(insn: Insn, r1: u64, r2: u64) -> u64 {
    let mut regs = [0; 11];
    (regs[1], regs[2]) = (r1, r2);
    match insn {
        Insn::Alu { width, op, src, .. } => eval::alu(op, width, r1, eval::operand(src, &regs)),
        Insn::Mov { width, src, .. } => eval::mov(width, eval::operand(src, &regs)),
        Insn::MovSx { width, from, .. } => eval::mov_sx(width, from, r2),
        Insn::Neg { width, .. } => eval::neg(width, r1),
        Insn::Endian { op, size, .. } => eval::endian(op, size, r1, Endianness::Little),
        Insn::Branch { width, op, rhs, .. } => u64::from(eval::compare(op, width, r1, eval::operand(rhs, &regs))),
        other => panic!("{other} computes nothing"),
    }
}

#[test]
fn results_of_the_kernel() {
    let mut count = 0;
    for case in include_str!("data/kernel-results.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<u64> = case.split(' ').map(|field| u64::from_str_radix(field, 16).unwrap()).collect();
        let insn = Code::from_bytes(&fields[0].to_be_bytes(), Endianness::Little).unwrap().get(0).unwrap().unwrap();
        assert_eq!(execute(insn, fields[1], fields[2]), fields[3], "{insn} with {case}");
        count += 1;
    }
    assert!(count > 300);
}
