//! `eval` against formulas in 128-bit arithmetic that share nothing with it.

use proptest::prelude::*;
use ring3_isa::{AluOp, AtomicOp, CmpOp, Code, EndianOp, Endianness, Insn, Size, Width, eval};

/// Values at which arithmetic goes wrong.
fn edges() -> Vec<u64> {
    let edges = [0, 1, 2, 7, 31, 32, 33, 63, 64, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    let mut edges: Vec<u64> = edges.iter().flat_map(|&e: &u64| [e, e.wrapping_neg(), e << 32, !(e << 32)]).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Edges mixed with any others.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), prop::sample::select(edges()), any::<u32>().prop_map(u64::from)]
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

/// Every operation in both widths on every pair of edges: division by zero and of the smallest number by -1, shifts by
/// 0, one less than the width, the width and beyond are all among them.
#[test]
fn arithmetic_at_the_edges() {
    let mut count = 0;
    for (dst, src) in edges().iter().flat_map(|&dst| edges().into_iter().map(move |src| (dst, src))) {
        for (&op, &width) in AluOp::ALL.iter().flat_map(|op| Width::ALL.iter().map(move |width| (op, width))) {
            assert_eq!(eval::alu(op, width, dst, src), alu(op, width, dst, src), "{op:?} {width:?} {dst:#x} {src:#x}");
            count += 1;
        }
        for (&op, &width) in CmpOp::ALL.iter().flat_map(|op| Width::ALL.iter().map(move |width| (op, width))) {
            let taken = compare(op, width, dst, src);
            assert_eq!(eval::compare(op, width, dst, src), taken, "{op:?} {width:?} {dst:#x} {src:#x}");
        }
        for &op in AtomicOp::ALL {
            for (size, width) in [(Size::W, Width::W32), (Size::Dw, Width::W64)] {
                for r0 in [dst, dst ^ 1 << 40, dst.wrapping_add(1), src] {
                    let expected = atomic(op, size, width, dst, src, r0);
                    assert_eq!(eval::atomic(op, size, dst, src, r0), expected, "{op:?} {size:?} {dst:#x} {src:#x}");
                }
            }
        }
    }
    assert_eq!(count, AluOp::ALL.len() * 2 * edges().len().pow(2));
}

/// What memory holds after an atomic operation, and what it held before.
fn atomic(op: AtomicOp, size: Size, width: Width, old: u64, src: u64, r0: u64) -> (u64, u64) {
    let n = size.bits();
    let low = |value: u64| wrap(unsigned(value, n), n);
    let new = match op {
        AtomicOp::Add | AtomicOp::FetchAdd => alu(AluOp::Add, width, old, src),
        AtomicOp::Or | AtomicOp::FetchOr => alu(AluOp::Or, width, old, src),
        AtomicOp::And | AtomicOp::FetchAnd => alu(AluOp::And, width, old, src),
        AtomicOp::Xor | AtomicOp::FetchXor => alu(AluOp::Xor, width, old, src),
        AtomicOp::Xchg => low(src),
        AtomicOp::Cmpxchg if low(old) == low(r0) => low(src),
        AtomicOp::Cmpxchg => low(old),
    };
    (new, low(old))
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
            for &op in AtomicOp::ALL {
                let expected = atomic(op, size, width, old, src, r0);
                prop_assert_eq!(eval::atomic(op, size, old, src, r0), expected, "{:?} {:?}", op, size);
            }
        }
    }
}

const MIN64: u64 = 0x8000_0000_0000_0000;
const MIN32: u64 = 0x8000_0000;
const MINUS: u64 = 0xffff_ffff_ffff_ffff;
/// All 32 low bits, and rubbish above, which a 32-bit operation must not see.
const LOW: u64 = 0x0123_4567_ffff_ffff;

/// What RFC 9669 section 4.1 says of each operation, worked out by hand: operation, width, destination, source, result.
#[test]
fn arithmetic_by_the_rfc() {
    use AluOp::{Add, And, Arsh, Div, Lsh, Mod, Mul, Or, Rsh, SDiv, SMod, Sub, Xor};
    use Width::{W32, W64};
    let cases = [
        // "Underflow and overflow are allowed"; 32-bit results have zeros above.
        (Add, W64, MINUS, 1, 0),
        (Add, W64, 0x7fff_ffff_ffff_ffff, 1, MIN64),
        (Add, W32, LOW, 1, 0),
        (Add, W32, 0x5_7fff_ffff, 0x9_0000_0001, 0x8000_0000),
        (Sub, W64, 0, 1, MINUS),
        (Sub, W64, MIN64, 1, 0x7fff_ffff_ffff_ffff),
        (Sub, W32, 0x1_0000_0000, 1, 0xffff_ffff),
        (Mul, W64, MINUS, MINUS, 1),
        (Mul, W64, MIN64, MINUS, MIN64),
        (Mul, W64, 0x1_0000_0001, 0x1_0000_0001, 0x2_0000_0001),
        (Mul, W32, MIN32, MINUS, MIN32),
        (Mul, W32, 0x1_0001_0001, 0x0001_0001, 0x0002_0001),
        // Division: unsigned, by zero, and the smallest number by -1.
        (Div, W64, MINUS, 2, 0x7fff_ffff_ffff_ffff),
        (Div, W64, 7, MINUS, 0),
        (Div, W64, 7, 0, 0),
        (Div, W64, MIN64, MINUS, 0),
        (Div, W32, LOW, 2, 0x7fff_ffff),
        (Div, W32, LOW, 0x1_0000_0000, 0),
        (Div, W32, MIN32, MINUS, 0),
        (SDiv, W64, 0xffff_ffff_ffff_fff9, 2, 0xffff_ffff_ffff_fffd),
        (SDiv, W64, 7, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_fffd),
        (SDiv, W64, 7, 0, 0),
        (SDiv, W64, MIN64, MINUS, MIN64),
        (SDiv, W32, 0xffff_fff9, 2, 0xffff_fffd),
        (SDiv, W32, 7, 0xffff_fffe, 0xffff_fffd),
        (SDiv, W32, LOW, 0x1_0000_0000, 0),
        (SDiv, W32, MIN32, MINUS, MIN32),
        // Modulo by zero leaves the destination; "for ALU the upper 32 bits are zeroed".
        (Mod, W64, MINUS, 10, 5),
        (Mod, W64, MINUS, 0, MINUS),
        (Mod, W64, MIN64, MINUS, MIN64),
        (Mod, W32, LOW, 10, 5),
        (Mod, W32, LOW, 0x1_0000_0000, 0xffff_ffff),
        (Mod, W32, MIN32, MINUS, MIN32),
        // "-13 % 3 == -1"
        (SMod, W64, 0xffff_ffff_ffff_fff3, 3, MINUS),
        (SMod, W64, 13, 0xffff_ffff_ffff_fffd, 1),
        (SMod, W64, 0xffff_ffff_ffff_fff3, 0xffff_ffff_ffff_fffd, MINUS),
        (SMod, W64, 0xffff_ffff_ffff_fff3, 0, 0xffff_ffff_ffff_fff3),
        (SMod, W64, MIN64, MINUS, 0),
        (SMod, W32, 0xffff_fff3, 3, 0xffff_ffff),
        (SMod, W32, 13, 0xffff_fffd, 1),
        (SMod, W32, 0x1_ffff_fff3, 0x1_0000_0000, 0xffff_fff3),
        (SMod, W32, MIN32, MINUS, 0),
        (Or, W64, 0xf0f0 << 48, 0x0f0f, 0xf0f0_0000_0000_0f0f),
        (Or, W32, 0x1_0000_00f0, 0xf_0000_000f, 0xff),
        (And, W64, MINUS, MIN64, MIN64),
        (And, W32, LOW, MINUS, 0xffff_ffff),
        (Xor, W64, MINUS, 1, 0xffff_ffff_ffff_fffe),
        (Xor, W32, LOW, LOW, 0),
        // "Shift operations use a mask of 0x3F (63) for 64-bit operations and 0x1F (31) for 32-bit operations."
        (Lsh, W64, 3, 0, 3),
        (Lsh, W64, 3, 63, MIN64),
        (Lsh, W64, 3, 64, 3),
        (Lsh, W64, 3, 65, 6),
        (Lsh, W64, 3, MINUS, MIN64),
        (Lsh, W32, LOW, 0, 0xffff_ffff),
        (Lsh, W32, 3, 31, MIN32),
        (Lsh, W32, 3, 32, 3),
        (Lsh, W32, 3, 33, 6),
        (Lsh, W32, 3, MINUS, MIN32),
        (Rsh, W64, MIN64, 0, MIN64),
        (Rsh, W64, MIN64, 63, 1),
        (Rsh, W64, MIN64, 64, MIN64),
        (Rsh, W64, MIN64, 127, 1),
        (Rsh, W32, LOW, 0, 0xffff_ffff),
        (Rsh, W32, LOW, 31, 1),
        (Rsh, W32, LOW, 32, 0xffff_ffff),
        (Rsh, W32, LOW, 36, 0x0fff_ffff),
        (Arsh, W64, MIN64, 0, MIN64),
        (Arsh, W64, MIN64, 63, MINUS),
        (Arsh, W64, MIN64, 64, MIN64),
        (Arsh, W64, 0x7fff_ffff_ffff_ffff, 63, 0),
        (Arsh, W32, MIN32, 0, MIN32),
        (Arsh, W32, MIN32, 31, 0xffff_ffff),
        (Arsh, W32, MIN32, 32, MIN32),
        (Arsh, W32, 0xffff_ffff_7fff_ffff, 31, 0),
    ];
    for (op, width, dst, src, expected) in cases {
        assert_eq!(eval::alu(op, width, dst, src), expected, "{op:?} {width:?} {dst:#x} {src:#x}");
    }
    for (op, width) in AluOp::ALL.iter().flat_map(|op| [(*op, W32), (*op, W64)]) {
        assert!(cases.iter().any(|case| (case.0, case.1) == (op, width)), "no case of {op:?} {width:?}");
    }
    // An immediate is sign-extended, of which a 32-bit operation takes the low half.
    assert_eq!(eval::immediate(-2), 0xffff_ffff_ffff_fffe);
    assert_eq!(eval::alu(SDiv, W64, 7, eval::immediate(-2)), 0xffff_ffff_ffff_fffd);
    assert_eq!(eval::alu(Div, W64, MINUS, eval::immediate(-1)), 1);
    assert_eq!(eval::alu(Div, W32, LOW, eval::immediate(-1)), 1);
    assert_eq!(eval::alu(Mod, W64, 0xffff_ffff, eval::immediate(-1)), 0xffff_ffff);
}

#[test]
fn moves_by_the_rfc() {
    use Width::{W32, W64};
    assert_eq!((eval::mov(W64, LOW), eval::mov(W32, LOW)), (LOW, 0xffff_ffff));
    assert_eq!((eval::neg(W64, 1), eval::neg(W32, 1), eval::neg(W32, LOW)), (MINUS, 0xffff_ffff, 1));
    assert_eq!((eval::neg(W64, MIN64), eval::neg(W32, MIN32), eval::neg(W64, 0)), (MIN64, MIN32, 0));
    let cases = [
        (W32, Size::B, 0xaaaa_aaaa_aaaa_aa80, 0xffff_ff80),
        (W32, Size::B, 0xaaaa_aaaa_aaaa_aa7f, 0x7f),
        (W32, Size::H, 0xaaaa_aaaa_aaaa_8000, 0xffff_8000),
        (W32, Size::H, 0xaaaa_aaaa_aaaa_7fff, 0x7fff),
        (W64, Size::B, 0xaaaa_aaaa_aaaa_aa80, 0xffff_ffff_ffff_ff80),
        (W64, Size::B, 0xaaaa_aaaa_aaaa_aa7f, 0x7f),
        (W64, Size::H, 0xaaaa_aaaa_aaaa_8000, 0xffff_ffff_ffff_8000),
        (W64, Size::H, 0xaaaa_aaaa_aaaa_7fff, 0x7fff),
        (W64, Size::W, 0xaaaa_aaaa_8000_0000, 0xffff_ffff_8000_0000),
        (W64, Size::W, 0xaaaa_aaaa_7fff_ffff, 0x7fff_ffff),
    ];
    for (width, from, src, expected) in cases {
        assert_eq!(eval::mov_sx(width, from, src), expected, "{width:?} {from:?} {src:#x}");
        if width == W64 {
            assert_eq!(eval::load_extend(from, true, src), expected, "{from:?} {src:#x}");
        }
    }
}

/// RFC 9669 section 4.2: each swap on both kinds of machine.
#[test]
fn byte_swaps_by_the_rfc() {
    const VALUE: u64 = 0x0123_4567_89ab_cdef;
    let (same16, same32, same64) = (0xcdef, 0x89ab_cdef, VALUE);
    let (other16, other32, other64) = (0xefcd, 0xefcd_ab89, 0xefcd_ab89_6745_2301);
    for (op, host, expected) in [
        (EndianOp::Swap, Endianness::Little, [other16, other32, other64]),
        (EndianOp::Swap, Endianness::Big, [other16, other32, other64]),
        (EndianOp::ToLe, Endianness::Little, [same16, same32, same64]),
        (EndianOp::ToLe, Endianness::Big, [other16, other32, other64]),
        (EndianOp::ToBe, Endianness::Little, [other16, other32, other64]),
        (EndianOp::ToBe, Endianness::Big, [same16, same32, same64]),
    ] {
        let found = [Size::H, Size::W, Size::Dw].map(|size| eval::endian(op, size, VALUE, host));
        assert_eq!(found, expected, "{op:?} {host:?}");
    }
}

/// RFC 9669 section 5.3: the operation, its size, memory before, source, R0, memory after, what is fetched.
#[test]
fn atomics_by_the_rfc() {
    use AtomicOp::{Add, And, Cmpxchg, FetchAdd, FetchAnd, FetchOr, FetchXor, Or, Xchg, Xor};
    use Size::{Dw, W};
    let cases = [
        (Add, Dw, MINUS, 2, 0, 1, MINUS),
        (Add, W, 0xffff_ffff, 0x5_0000_0002, 0, 1, 0xffff_ffff),
        (FetchAdd, Dw, MIN64, MIN64, 0, 0, MIN64),
        (FetchAdd, W, 0x7fff_ffff, 1, 0, 0x8000_0000, 0x7fff_ffff),
        (Or, Dw, 0xf0, 0x0f, 0, 0xff, 0xf0),
        (Or, W, 0xf0, 0x1_0000_000f, 0, 0xff, 0xf0),
        (FetchOr, Dw, MIN64, 1, 0, MIN64 + 1, MIN64),
        (FetchOr, W, MIN32, 1, 0, MIN32 + 1, MIN32),
        (And, Dw, MINUS, MIN64, 0, MIN64, MINUS),
        (And, W, 0xffff_ffff, MIN32, 0, MIN32, 0xffff_ffff),
        (FetchAnd, Dw, 0xff, 0x1f0, 0, 0xf0, 0xff),
        (FetchAnd, W, 0xff, 0x1f0, 0, 0xf0, 0xff),
        (Xor, Dw, MINUS, MINUS, 0, 0, MINUS),
        (Xor, W, 0xffff_ffff, MINUS, 0, 0, 0xffff_ffff),
        (FetchXor, Dw, 0b1100, 0b1010, 0, 0b0110, 0b1100),
        (FetchXor, W, 0b1100, 0b1010, 0, 0b0110, 0b1100),
        (Xchg, Dw, 1, MINUS, 0, MINUS, 1),
        (Xchg, W, 1, MINUS, 0, 0xffff_ffff, 1),
        // "compares the value addressed by dst + offset with R0. If they match, [it] is replaced with src."
        (Cmpxchg, Dw, 5, 9, 5, 9, 5),
        (Cmpxchg, Dw, 5, 9, 0x1_0000_0005, 5, 5),
        (Cmpxchg, W, 5, 0x3_0000_0009, 0x1_0000_0005, 9, 5),
        (Cmpxchg, W, 0xffff_ffff, 9, 5, 0xffff_ffff, 0xffff_ffff),
    ];
    for (op, size, old, src, r0, new, fetched) in cases {
        assert_eq!(eval::atomic(op, size, old, src, r0), (new, fetched), "{op:?} {size:?} {old:#x} {src:#x}");
    }
    for (op, size) in AtomicOp::ALL.iter().flat_map(|op| [(*op, W), (*op, Dw)]) {
        assert!(cases.iter().any(|case| (case.0, case.1) == (op, size)), "no case of {op:?} {size:?}");
    }
}

/// RFC 9669 section 4.3: operation, width, operands, and whether it jumps.
#[test]
fn comparisons_by_the_rfc() {
    use CmpOp::{Eq, Ge, Gt, Le, Lt, Ne, Set, Sge, Sgt, Sle, Slt};
    use Width::{W32, W64};
    // For each pair which of `Eq Gt Ge Set Ne Sgt Sge Lt Le Slt Sle` hold.
    let order = [Eq, Gt, Ge, Set, Ne, Sgt, Sge, Lt, Le, Slt, Sle];
    let cases = [
        (W64, 5, 5, "Eq Ge Set Sge Le Sle"),
        (W64, 0, 0, "Eq Ge Sge Le Sle"),
        (W64, 5, 2, "Gt Ge Ne Sgt Sge"),
        (W64, MINUS, 1, "Gt Ge Set Ne Slt Sle"),
        (W64, 1, MIN64, "Ne Sgt Sge Lt Le"),
        (W64, MIN64, 0x7fff_ffff_ffff_ffff, "Gt Ge Ne Slt Sle"),
        (W64, 0x1_0000_0000, 0, "Gt Ge Ne Sgt Sge"),
        (W32, 0x1_0000_0000, 0, "Eq Ge Sge Le Sle"),
        (W32, 0x1_0000_0005, 0x2_0000_0005, "Eq Ge Set Sge Le Sle"),
        (W32, LOW, 1, "Gt Ge Set Ne Slt Sle"),
        (W32, 1, MIN32, "Ne Sgt Sge Lt Le"),
        (W32, MIN32, 0x7fff_ffff, "Gt Ge Ne Slt Sle"),
    ];
    assert_eq!(order.len(), CmpOp::ALL.len());
    for (width, lhs, rhs, holds) in cases {
        for op in order {
            let expected = holds.split(' ').any(|name| name == format!("{op:?}"));
            assert_eq!(eval::compare(op, width, lhs, rhs), expected, "{op:?} {width:?} {lhs:#x} {rhs:#x}");
        }
    }
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
    for case in include_str!("../data/kernel-results.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<u64> = case.split(' ').map(|field| u64::from_str_radix(field, 16).unwrap()).collect();
        let insn = Code::from_bytes(&fields[0].to_be_bytes(), Endianness::Little).unwrap().get(0).unwrap().unwrap();
        assert_eq!(execute(insn, fields[1], fields[2]), fields[3], "{insn} with {case}");
        count += 1;
    }
    assert!(count > 300);
}
