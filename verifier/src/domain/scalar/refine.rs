//! Conditional branches: which way they go, and what each way teaches.

use super::{Scalar, Span, Tnum};
use ring3_isa::{CmpOp, Width};

/// Whether `a op b` is already decided: `Some(true)` if it always holds, `Some(false)` if it never does.
pub fn branch_taken(op: CmpOp, width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    match op {
        CmpOp::Eq => equal(width, a, b),
        CmpOp::Ne => equal(width, a, b).map(|equal| !equal),
        CmpOp::Set => common_bits(width, a, b),
        CmpOp::Gt => unsigned_above(width, a, b),
        CmpOp::Le => unsigned_above(width, a, b).map(|above| !above),
        CmpOp::Lt => unsigned_above(width, b, a),
        CmpOp::Ge => unsigned_above(width, b, a).map(|below| !below),
        CmpOp::Sgt => signed_above(width, a, b),
        CmpOp::Sle => signed_above(width, a, b).map(|above| !above),
        CmpOp::Slt => signed_above(width, b, a),
        CmpOp::Sge => signed_above(width, b, a).map(|below| !below),
    }
}

/// Learns from `a op b` having come out as `taken`. Only for comparisons that [`branch_taken`] leaves open: on the
/// others the result may contradict itself.
pub fn refine(op: CmpOp, width: Width, a: &mut Scalar, b: &mut Scalar, taken: bool) {
    match (op, taken) {
        (CmpOp::Eq, true) | (CmpOp::Ne, false) => learn_equal(width, a, b),
        (CmpOp::Eq, false) | (CmpOp::Ne, true) => learn_unequal(width, a, b),
        (CmpOp::Set, true) => learn_bits_set(width, a, b),
        (CmpOp::Set, false) => learn_bits_clear(width, a, b),
        (CmpOp::Le, true) | (CmpOp::Gt, false) => learn_at_most(width, a, b),
        (CmpOp::Ge, true) | (CmpOp::Lt, false) => learn_at_most(width, b, a),
        (CmpOp::Lt, true) | (CmpOp::Ge, false) => learn_below(width, a, b),
        (CmpOp::Gt, true) | (CmpOp::Le, false) => learn_below(width, b, a),
        (CmpOp::Sle, true) | (CmpOp::Sgt, false) => learn_signed_at_most(width, a, b),
        (CmpOp::Sge, true) | (CmpOp::Slt, false) => learn_signed_at_most(width, b, a),
        (CmpOp::Slt, true) | (CmpOp::Sge, false) => learn_signed_below(width, a, b),
        (CmpOp::Sgt, true) | (CmpOp::Sle, false) => learn_signed_below(width, b, a),
    }
    a.sync();
    b.sync();
}

/// [`refine`] for a register compared with itself. Linux 6.18 does not see that such comparisons are decided, and learns
/// from the impossible strict ones what one operand would have learned from the other. Sound, as nothing gets there.
pub fn refine_same(op: CmpOp, width: Width, a: &mut Scalar, taken: bool) {
    let strict = match op {
        CmpOp::Gt | CmpOp::Lt | CmpOp::Sgt | CmpOp::Slt => taken,
        CmpOp::Ge | CmpOp::Le | CmpOp::Sge | CmpOp::Sle => !taken,
        CmpOp::Eq | CmpOp::Ne | CmpOp::Set => false,
    };
    if strict {
        match (op, width) {
            (CmpOp::Gt | CmpOp::Lt | CmpOp::Ge | CmpOp::Le, Width::W32) => a.u32 = strictly_inside(a.u32),
            (CmpOp::Gt | CmpOp::Lt | CmpOp::Ge | CmpOp::Le, Width::W64) => a.u64 = strictly_inside(a.u64),
            (_, Width::W32) => a.s32 = strictly_inside(a.s32),
            (_, Width::W64) => a.s64 = strictly_inside(a.s64),
        }
    }
    // Once as the left and once as the right operand, which can make a difference.
    a.sync();
    a.sync();
}

/// Without its ends.
fn strictly_inside<T: crate::domain::span::Word>(span: Span<T>) -> Span<T> {
    let (mut low, mut high) = (span, span);
    order_strictly(&mut low, &mut high);
    Span::new(high.min, low.max)
}

/// The constant operand of a comparison of this width.
fn const_of(width: Width, a: &Scalar) -> Option<u64> {
    match width {
        Width::W32 => a.const_low().map(u64::from),
        Width::W64 => a.const_value(),
    }
}

/// The bits a comparison of this width looks at.
fn bits_of(width: Width, a: &Scalar) -> Tnum {
    match width {
        Width::W32 => a.bits.subreg(),
        Width::W64 => a.bits,
    }
}

fn equal(width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    let (a_bits, b_bits) = (bits_of(width, a), bits_of(width, b));
    if a_bits.is_const() && b_bits.is_const() {
        return Some(a_bits.value() == b_bits.value());
    }
    let low_disjoint = a.u32.disjoint(b.u32) || a.s32.disjoint(b.s32);
    let disjoint = match width {
        Width::W32 => low_disjoint,
        // Numbers whose low halves differ differ.
        Width::W64 => a.u64.disjoint(b.u64) || a.s64.disjoint(b.s64) || low_disjoint,
    };
    if disjoint || !a_bits.overlaps(b_bits) { Some(false) } else { None }
}

/// `a & b != 0`, decided only if one of them is constant.
fn common_bits(width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    let (a_bits, b_bits) = (bits_of(width, a), bits_of(width, b));
    let (bits, mask) = if b_bits.is_const() { (a_bits, b_bits.value()) } else { (b_bits, a_bits.value()) };
    if !a_bits.is_const() && !b_bits.is_const() {
        None
    } else if bits.value() & mask != 0 {
        Some(true)
    } else if bits.max() & mask == 0 {
        Some(false)
    } else {
        None
    }
}

fn above<T: Ord>(a: Span<T>, b: Span<T>) -> Option<bool> {
    if a.min > b.max {
        Some(true)
    } else if a.max <= b.min {
        Some(false)
    } else {
        None
    }
}

fn unsigned_above(width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    match width {
        Width::W32 => above(a.u32, b.u32),
        Width::W64 => above(a.u64, b.u64),
    }
}

fn signed_above(width: Width, a: &Scalar, b: &Scalar) -> Option<bool> {
    match width {
        Width::W32 => above(a.s32, b.s32),
        Width::W64 => above(a.s64, b.s64),
    }
}

fn learn_equal(width: Width, a: &mut Scalar, b: &mut Scalar) {
    match width {
        Width::W32 => {
            let (u32, s32) = (a.u32.meet(b.u32), a.s32.meet(b.s32));
            let low = a.bits.subreg().intersect(b.bits.subreg());
            *a = Scalar { bits: a.bits.with_subreg(low), u32, s32, ..*a };
            *b = Scalar { bits: b.bits.with_subreg(low), u32, s32, ..*b };
        }
        Width::W64 => {
            let (u64, s64) = (a.u64.meet(b.u64), a.s64.meet(b.s64));
            let bits = a.bits.intersect(b.bits);
            *a = Scalar { bits, u64, s64, ..*a };
            *b = Scalar { bits, u64, s64, ..*b };
        }
    }
}

/// The operand that can learn from the other being constant, and that constant.
fn against_const<'a>(width: Width, a: &'a mut Scalar, b: &'a mut Scalar) -> Option<(&'a mut Scalar, u64)> {
    match (const_of(width, a), const_of(width, b)) {
        (_, Some(value)) => Some((a, value)),
        (Some(value), None) => Some((b, value)),
        (None, None) => None,
    }
}

fn learn_unequal(width: Width, a: &mut Scalar, b: &mut Scalar) {
    let Some((learner, value)) = against_const(width, a, b) else { return };
    match width {
        Width::W32 => {
            let low = crate::domain::num::low32(value);
            learner.u32 = learner.u32.excluding(low);
            learner.s32 = learner.s32.excluding(low.cast_signed());
        }
        Width::W64 => {
            learner.u64 = learner.u64.excluding(value);
            learner.s64 = learner.s64.excluding(value.cast_signed());
        }
    }
}

fn learn_bits_set(width: Width, a: &mut Scalar, b: &mut Scalar) {
    let Some((learner, value)) = against_const(width, a, b) else { return };
    // Of several bits it is not known which one is set.
    if value.is_power_of_two() {
        learner.bits = learner.bits.or(Tnum::constant(value));
    }
}

fn learn_bits_clear(width: Width, a: &mut Scalar, b: &mut Scalar) {
    let Some((learner, value)) = against_const(width, a, b) else { return };
    // The ranges come back from the bits; keeping them would contradict those on a dead branch.
    *learner = Scalar { bits: learner.bits.and(Tnum::constant(!value)), ..Scalar::UNKNOWN };
}

/// `low <= high`.
fn order<T: Ord + Copy>(low: &mut Span<T>, high: &mut Span<T>) {
    low.max = low.max.min(high.max);
    high.min = high.min.max(low.min);
}

/// `low < high`. Wraps at the ends of the type, as Linux does on dead branches.
fn order_strictly<T: crate::domain::span::Word>(low: &mut Span<T>, high: &mut Span<T>) {
    low.max = low.max.min(high.max.previous());
    high.min = high.min.max(low.min.next());
}

fn learn_at_most(width: Width, low: &mut Scalar, high: &mut Scalar) {
    match width {
        Width::W32 => order(&mut low.u32, &mut high.u32),
        Width::W64 => order(&mut low.u64, &mut high.u64),
    }
}

fn learn_below(width: Width, low: &mut Scalar, high: &mut Scalar) {
    match width {
        Width::W32 => order_strictly(&mut low.u32, &mut high.u32),
        Width::W64 => order_strictly(&mut low.u64, &mut high.u64),
    }
}

fn learn_signed_at_most(width: Width, low: &mut Scalar, high: &mut Scalar) {
    match width {
        Width::W32 => order(&mut low.s32, &mut high.s32),
        Width::W64 => order(&mut low.s64, &mut high.s64),
    }
}

fn learn_signed_below(width: Width, low: &mut Scalar, high: &mut Scalar) {
    match width {
        Width::W32 => order_strictly(&mut low.s32, &mut high.s32),
        Width::W64 => order_strictly(&mut low.s64, &mut high.s64),
    }
}
