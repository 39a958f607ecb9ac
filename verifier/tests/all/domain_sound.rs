//! What the domain claims holds for every number that can be there: `ring3_isa::eval` computes what really happens.
//!
//! | function | every small pair, with all members | random 64 bits | z3 (`domain_z3.rs`) |
//! |---|---|---|---|
//! | `alu`, 13 operations of both widths | yes | yes | sums, and, or, xor: bits and ranges; differences: bits |
//! | `neg`, `mov32`, `mov_sx`, `zext32`, `truncate_to`, `sign_extend_load`, `endian`, `zero_or_ones` | yes | yes | the whole from its low half |
//! | `branch_taken`, `refine`, 11 comparisons of both widths and ways | yes | yes | unsigned order |
//! | `refine_same` | yes | yes | |
//! | `pointer_plus`, `pointer_minus` | yes | yes | as sums and differences of bits |
//! | `meet_urange`, `meet_srange64`, `meet_s32range` | yes | yes | |
//! | `within`, `ranges_within` | | yes | |
//! | `Tnum`: `add`, `sub`, `mul`, `and`, `or`, `xor`, `union`, `intersect`, `contains`, `overlaps`, `range`, `next_above` | yes, 4 and 5 bits | | all but `mul`, `contains`, `overlaps`, `range`, `next_above` |

use proptest::prelude::*;
use ring3_isa::{AluOp, CmpOp, EndianOp, Endianness, Size, Width, eval};
use ring3_verifier::domain::{Scalar, Tnum, alu, branch_taken, endian, neg, refine, refine_same};

const WIDTHS: [Width; 2] = [Width::W32, Width::W64];
const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];
const ALU: [AluOp; 13] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Or,
    AluOp::And,
    AluOp::Xor,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Arsh,
];
const CMP: [CmpOp; 11] = [
    CmpOp::Eq,
    CmpOp::Ne,
    CmpOp::Gt,
    CmpOp::Ge,
    CmpOp::Lt,
    CmpOp::Le,
    CmpOp::Sgt,
    CmpOp::Sge,
    CmpOp::Slt,
    CmpOp::Sle,
    CmpOp::Set,
];
const SWAPS: [EndianOp; 3] = [EndianOp::ToLe, EndianOp::ToBe, EndianOp::Swap];

/// A scalar with some numbers it stands for.
#[derive(Clone, Debug)]
struct Sample {
    known: Scalar,
    members: Vec<u64>,
}

impl Sample {
    /// Keeps those of the candidates that `known` allows.
    fn new(known: Scalar, candidates: impl IntoIterator<Item = u64>) -> Sample {
        Sample { known, members: candidates.into_iter().filter(|&x| known.contains_value(x)).collect() }
    }
}

fn must_hold(result: &Scalar, value: u64, what: impl FnOnce() -> String) {
    assert!(result.contains_value(value), "{} gives {value:#x}, not in {result}", what());
}

fn check_alu(op: AluOp, width: Width, a: &Sample, b: &Sample) {
    let result = alu(op, width, &a.known, &b.known);
    for &x in &a.members {
        for &y in &b.members {
            must_hold(&result, eval::alu(op, width, x, y), || format!("{op:?} {width:?} {x:#x} {y:#x}"));
        }
    }
}

fn check_unary(a: &Sample) {
    for &x in &a.members {
        for width in WIDTHS {
            must_hold(&neg(width, &a.known), eval::neg(width, x), || format!("neg {width:?} {x:#x}"));
            for size in SIZES {
                let moved = a.known.mov_sx(size, width);
                must_hold(&moved, eval::mov_sx(width, size, x), || format!("movsx {size:?} {width:?} {x:#x}"));
            }
        }
        must_hold(&a.known.zext32(), eval::mov(Width::W32, x), || format!("zext32 {x:#x}"));
        must_hold(&a.known.mov32(), eval::mov(Width::W32, x), || format!("mov32 {x:#x}"));
        for size in SIZES {
            must_hold(&a.known.truncate_to(size), eval::truncate(size, x), || format!("load {size:?} {x:#x}"));
            let signed = a.known.sign_extend_load(size);
            must_hold(&signed, eval::sign_extend(size, x), || format!("signed load {size:?} {x:#x}"));
        }
        for op in SWAPS {
            for size in [Size::H, Size::W, Size::Dw] {
                let swapped = eval::endian(op, size, x, Endianness::Little);
                must_hold(&endian(op, size, &a.known), swapped, || format!("{op:?} {size:?} {x:#x}"));
            }
        }
        if let Some((zero, ones)) = a.known.zero_or_ones() {
            assert!(zero.contains_value(x) || ones.contains_value(x), "{x:#x} is neither {zero} nor {ones}");
        }
    }
}

/// Results that are known to lie between two of the members.
fn check_meet(a: &Sample) {
    let low = |x: u64| ring3_isa::num::low_s32(x);
    for (&one, &other) in a.members.iter().flat_map(|one| a.members.iter().map(move |other| (one, other))) {
        let (min, max) = (low(one).min(low(other)), low(one).max(low(other)));
        let met = a.known.meet_s32range(min, max);
        for &x in a.members.iter().filter(|x| (i64::from(min)..=i64::from(max)).contains(&x.cast_signed())) {
            must_hold(&met, x, || format!("{x:#x} between {min} and {max}"));
        }
        let (min, max) = (one.min(other), one.max(other));
        let met = a.known.meet_urange(min, max);
        for &x in a.members.iter().filter(|x| (min..=max).contains(*x)) {
            must_hold(&met, x, || format!("{x:#x} between {min:#x} and {max:#x}"));
        }
        let (min, max) = (one.cast_signed().min(other.cast_signed()), one.cast_signed().max(other.cast_signed()));
        let met = a.known.meet_srange64(min, max);
        for &x in a.members.iter().filter(|x| (min..=max).contains(&x.cast_signed())) {
            must_hold(&met, x, || format!("{x:#x} between {min} and {max}"));
        }
    }
}

/// What needs one scalar alone.
fn check_single(a: &Sample) {
    check_unary(a);
    check_meet(a);
    for width in WIDTHS {
        for op in CMP {
            check_self_branch(op, width, a);
        }
    }
}

fn check_branch(op: CmpOp, width: Width, a: &Sample, b: &Sample) {
    let predicted = branch_taken(op, width, &a.known, &b.known);
    let learn = |taken| {
        let (mut left, mut right) = (a.known, b.known);
        refine(op, width, &mut left, &mut right, taken);
        (left, right)
    };
    let learned = [learn(false), learn(true)];
    for &x in &a.members {
        for &y in &b.members {
            let taken = eval::compare(op, width, x, y);
            assert!(predicted.is_none_or(|p| p == taken), "{x:#x} {op:?} {width:?} {y:#x} predicted {predicted:?}");
            let (left, right) = &learned[usize::from(taken)];
            must_hold(left, x, || format!("left of {x:#x} {op:?} {width:?} {y:#x}"));
            must_hold(right, y, || format!("right of {x:#x} {op:?} {width:?} {y:#x}"));
        }
    }
}

fn check_self_branch(op: CmpOp, width: Width, a: &Sample) {
    for &x in &a.members {
        let taken = eval::compare(op, width, x, x);
        assert!(branch_taken(op, width, &a.known, &a.known).is_none_or(|p| p == taken), "{x:#x} {op:?} itself");
        let mut learned = a.known;
        refine_same(op, width, &mut learned, taken);
        must_hold(&learned, x, || format!("{x:#x} {op:?} itself"));
    }
}

fn check_pair(a: &Sample, b: &Sample) {
    for width in WIDTHS {
        for op in ALU {
            check_alu(op, width, a, b);
        }
        for op in CMP {
            check_branch(op, width, a, b);
        }
    }
    let (plus, minus) = (b.known.pointer_plus(&a.known), b.known.pointer_minus(&a.known));
    for &x in &a.members {
        for &y in &b.members {
            must_hold(&plus, x.wrapping_add(y), || format!("pointer {x:#x} plus {y:#x}"));
            must_hold(&minus, x.wrapping_sub(y), || format!("pointer {x:#x} minus {y:#x}"));
        }
    }
}

/// Every known-bits value of `width` bits.
fn small_tnums(width: u32) -> impl Iterator<Item = Tnum> {
    let all = 1u64 << width;
    (0..all)
        .flat_map(move |mask| (0..all).filter(move |value| value & mask == 0).map(move |value| Tnum::new(value, mask)))
}

/// Where small numbers are put in a word: low, around the sign of the low half, at the top, and sign-extended.
const PLACES: [fn(u64) -> u64; 5] = [
    |x| x,
    |x| x << 30,
    |x| x << 61,
    |x| (x << 61).cast_signed().wrapping_shr(61).cast_unsigned(),
    |x| (x << 61).cast_signed().wrapping_shr(30).cast_unsigned(),
];

/// All tnums and all ranges of three bits, at one place.
fn small_samples(place: fn(u64) -> u64) -> Vec<Sample> {
    let members = || (0..8).map(place);
    let tnums =
        small_tnums(3).map(|t| Sample::new(Scalar::from_tnum(Tnum::new(place(t.value()), place(t.mask()))), members()));
    let mut ends: Vec<u64> = members().collect();
    ends.sort_unstable();
    let pairs: Vec<(u64, u64)> =
        (0..8).flat_map(|i| (i..8).map(move |j| (i, j))).map(|(i, j)| (ends[i], ends[j])).collect();
    let unsigned = pairs.clone().into_iter().map(|(min, max)| Sample::new(Scalar::from_urange(min, max), members()));
    let mut signed_ends: Vec<i64> = members().map(u64::cast_signed).collect();
    signed_ends.sort_unstable();
    let signed = (0..8)
        .flat_map(|i| (i..8).map(move |j| (i, j)))
        .map(|(i, j)| Sample::new(Scalar::from_srange(signed_ends[i], signed_ends[j]), members()))
        .collect::<Vec<_>>();
    tnums.chain(unsigned).chain(signed).collect()
}

#[test]
fn every_small_pair() {
    for place in PLACES {
        let samples = small_samples(place);
        assert!(samples.iter().all(|s| !s.members.is_empty() && !s.known.violates_invariants()));
        for a in &samples {
            check_single(a);
            for b in &samples {
                check_pair(a, b);
            }
        }
    }
}

/// Bits and ranges together, of two bits: every pair that a comparison can leave behind.
#[test]
fn every_small_pair_of_bits_and_ranges() {
    for place in PLACES {
        let mut ends: Vec<u64> = (0..4).map(place).collect();
        ends.sort_unstable();
        let mut samples: Vec<Sample> = Vec::new();
        for bits in small_tnums(2) {
            let bits = Scalar::from_tnum(Tnum::new(place(bits.value()), place(bits.mask())));
            for (low, high) in (0..4).flat_map(|low| (low..4).map(move |high| (low, high))) {
                let known = bits.meet_urange(ends[low], ends[high]);
                let sample = Sample::new(known, ends.iter().copied());
                let new = !samples.iter().any(|other| other.known == known);
                if new && !sample.members.is_empty() && !known.violates_invariants() {
                    samples.push(sample);
                }
            }
        }
        assert!(samples.len() >= 9);
        for a in &samples {
            check_single(a);
            for b in &samples {
                check_pair(a, b);
            }
        }
    }
}

#[test]
fn every_small_tnum_operation() {
    type Op = (fn(Tnum, Tnum) -> Tnum, fn(u64, u64) -> u64);
    let ops: [Op; 6] = [
        (Tnum::add, u64::wrapping_add),
        (Tnum::sub, u64::wrapping_sub),
        (Tnum::mul, u64::wrapping_mul),
        (Tnum::and, |x, y| x & y),
        (Tnum::or, |x, y| x | y),
        (Tnum::xor, |x, y| x ^ y),
    ];
    let members = |t: Tnum| (0..16u64).filter(move |&x| t.has(x));
    for a in small_tnums(4) {
        for b in small_tnums(4) {
            for (on_tnums, on_numbers) in ops {
                let result = on_tnums(a, b);
                for x in members(a) {
                    assert!(members(b).all(|y| result.has(on_numbers(x, y))), "{a} {b} gives {result}");
                }
            }
            assert_eq!(a.contains(b), members(b).all(|x| a.has(x)), "{a} contains {b}");
            assert_eq!(a.overlaps(b), members(b).any(|x| a.has(x)), "{a} overlaps {b}");
            assert!(members(a).chain(members(b)).all(|x| a.union(b).has(x)));
            assert!((0..16).filter(|&x| a.has(x) && b.has(x)).all(|x| a.intersect(b).has(x)));
        }
    }
}

#[test]
fn tnum_ranges_hold_their_range_and_nothing_less_would() {
    for min in 0..32 {
        for max in min..32 {
            let t = Tnum::range(min, max);
            assert!((min..=max).all(|x| t.has(x)));
            // Its leading known bits are those that the ends share.
            let top = t.mask() ^ (t.mask() >> 1);
            assert_eq!(t.mask() & (t.mask() + 1), 0);
            assert!(t.mask() == 0 || (min ^ max) & top != 0);
        }
    }
    assert_eq!(Tnum::range(0, u64::MAX), Tnum::UNKNOWN);
    assert_eq!(Tnum::range(1 << 63, u64::MAX), Tnum::new(1 << 63, u64::MAX >> 1));
}

#[test]
fn next_above_is_the_smallest_member_above() {
    for t in small_tnums(5) {
        for number in 0..32 {
            let expected = (number + 1..32).find(|&x| t.has(x)).unwrap_or(t.max());
            assert_eq!(t.next_above(number), expected, "{t} above {number}");
            // The same with everything at the top of the word.
            let high = Tnum::new(t.value() << 59, t.mask() << 59);
            assert_eq!(high.next_above(number << 59), expected << 59, "{high} above {number}");
        }
    }
}

#[test]
fn tnum_words() {
    let t = Tnum::new(0x1122_3344_5566_7788, 0x000f_0000_0000_00f0 & !0x1122_3344_5566_7788);
    assert_eq!(t.cast(2), Tnum::new(0x7788, t.mask() & 0xffff));
    assert_eq!(t.subreg().or(t.clear_subreg()), t);
    assert_eq!(t.const_subreg(7), t.clear_subreg().or(Tnum::constant(7)));
    assert_eq!(t.bswap64().value(), t.value().swap_bytes());
    assert_eq!(t.bswap32().value(), 0x8877_6655);
    assert_eq!(t.bswap16().value(), 0x8877);
    assert_eq!(Tnum::new(1 << 31, 1 << 30).arsh32(2), Tnum::new(0xe000_0000, 0x1000_0000));
    assert_eq!(Tnum::new(0, 1 << 63).arsh64(3).mask(), 0xf000_0000_0000_0000);
}

/// Numbers where arithmetic changes its mind.
fn edge() -> impl Strategy<Value = u64> {
    let near = prop::sample::select(vec![
        0u64,
        1 << 7,
        1 << 8,
        1 << 15,
        1 << 16,
        1 << 31,
        1 << 32,
        1 << 33,
        1 << 63,
        !(1 << 31) + 1,
        0xaaaa_aaaa_5555_5555,
    ]);
    prop_oneof![
        4 => (near, -2i64..=2).prop_map(|(x, d)| x.wrapping_add_signed(d)),
        2 => (any::<u64>(), 0u32..64).prop_map(|(x, by)| x >> by),
        1 => (any::<u64>(), 0u32..64).prop_map(|(x, by)| x << by),
    ]
}

/// A scalar that was learned about in several ways, all true of one number, with that number and others like it.
fn sample() -> impl Strategy<Value = Sample> {
    let range = || (edge(), edge());
    let facts = (any::<[bool; 4]>(), range(), range(), (edge(), edge()));
    (edge(), facts, prop::collection::vec(edge(), 6)).prop_map(|(truth, (use_fact, u, s, bits), others)| {
        let mut known = Scalar::UNKNOWN;
        if use_fact[0] {
            known = Scalar::from_tnum(Tnum::new(truth, bits.0 | bits.1));
        }
        if use_fact[1] {
            known = known.meet_urange(truth.min(u.0), truth.max(u.1));
        }
        if use_fact[2] {
            let (min, max) = (s.0.cast_signed(), s.1.cast_signed());
            known = known.meet_srange64(truth.cast_signed().min(min), truth.cast_signed().max(max));
        }
        if use_fact[3] {
            // A comparison of the low half.
            let mut limit = Scalar::constant(eval::truncate(Size::W, u.1) | eval::truncate(Size::W, truth));
            refine(CmpOp::Le, Width::W32, &mut known, &mut limit, true);
        }
        assert!(known.contains_value(truth), "{truth:#x} lost from {known}");
        assert!(!known.violates_invariants());
        let ends = [known.umin(), known.umax(), known.smin().cast_unsigned(), known.smax().cast_unsigned()];
        let bits = [known.bits().value(), known.bits().max()];
        Sample::new(known, others.into_iter().chain(ends).chain(bits).chain([truth, truth ^ 1]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn random_pairs(a in sample(), b in sample()) {
        check_pair(&a, &b);
    }

    #[test]
    fn random_singles(a in sample()) {
        check_single(&a);
    }

    #[test]
    fn constants_compute_exactly(x in edge(), y in edge()) {
        let (a, b) = (Scalar::constant(x), Scalar::constant(y));
        for width in WIDTHS {
            for op in [AluOp::Add, AluOp::Sub, AluOp::Mul, AluOp::And, AluOp::Or, AluOp::Xor] {
                prop_assert_eq!(alu(op, width, &a, &b), Scalar::constant(eval::alu(op, width, x, y)));
            }
            let by = Scalar::constant(y % u64::from(width.bits()));
            for op in [AluOp::Lsh, AluOp::Rsh, AluOp::Arsh] {
                let exact = eval::alu(op, width, x, y % u64::from(width.bits()));
                prop_assert_eq!(alu(op, width, &a, &by), Scalar::constant(exact));
            }
            for op in CMP {
                let decided = branch_taken(op, width, &a, &b);
                prop_assert_eq!(decided, Some(eval::compare(op, width, x, y)), "{:#x} {:?} {:#x}", x, op, y);
            }
            prop_assert_eq!(neg(width, &a), Scalar::constant(eval::neg(width, x)));
        }
    }

    /// `within` means: everything possible now was possible before.
    #[test]
    fn within_is_inclusion(a in sample(), b in sample()) {
        prop_assert!(a.known.within(&a.known) && a.known.within(&Scalar::UNKNOWN));
        prop_assert!(!a.known.within(&b.known) || a.known.ranges_within(&b.known));
        if a.known.within(&b.known) {
            prop_assert!(a.members.iter().all(|&x| b.known.contains_value(x)));
        }
        for &x in &a.members {
            prop_assert!(Scalar::constant(x).within(&a.known));
        }
    }
}
