//! Conditional jumps: which way they go, and what either way teaches.

use smallvec::SmallVec;

use ring3_isa::{CmpOp, Operand, Reg, Width};

use ring3_platform::Program;

use super::alu::sane;
use super::result::unwrapped;
use crate::diag::reject::Reject;
use crate::domain::{self, Scalar};
use crate::facts::Direction;
use crate::planted::Bug;
use crate::release::Rule;
use crate::state::{Delta, Held, Place, Ptr, PtrKind, ScalarValue, State, Value};
use crate::walk::{Linked, Next, Walk};

/// The farthest that packet offsets are tracked (MAX_PACKET_OFF).
const MAX_PACKET_OFF: u64 = 0xffff;
/// `range` of a packet pointer that is known to be at the end.
const AT_END: i32 = -1;
/// `range` of a packet pointer that is known to be beyond the end.
const BEYOND_END: i32 = -2;

impl Walk<'_> {
    /// `may_goto`: the loop's body is walked once more, the current path leaves.
    pub(super) fn may_goto(&mut self, off: i16) -> Result<Next, Reject> {
        let at = self.at;
        let previous = self.state_before_last(at);
        let queued = self.push(at + 1)?;
        queued.may_goto_depth += 1;
        if let Some(previous) = previous {
            crate::walk::widen(&previous, queued);
        }
        Ok(Next::Goto(self.slot_at(off.into())?))
    }

    /// `if lhs op rhs goto off`.
    pub(super) fn branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, off: i16) -> Result<Next, Reject> {
        self.readable(lhs)?;
        let decided = match rhs {
            Operand::Reg(reg) => {
                self.readable(reg)?;
                self.remember_stack_operands(lhs, reg);
                let itself = if self.settled && reg == lhs { to_itself(op) } else { None };
                itself.or_else(|| decide(width, op, self.path.state.reg(lhs), self.path.state.reg(reg)))
            }
            Operand::Imm(imm) => decide(width, op, self.path.state.reg(lhs), &Value::number(Scalar::immediate(imm))),
        };
        let target = self.slot_at(off.into())?;
        if let Some(taken) = decided {
            // Only numbers are marked.
            self.mark_precise(lhs)?;
            if let Operand::Reg(reg) = rhs {
                self.mark_precise(reg)?;
            }
            self.note_direction(taken);
            self.log_state(self.at);
            return Ok(if taken { Next::Goto(target) } else { Next::Fall });
        }
        self.note_direction(true);
        self.note_direction(false);
        self.split(width, op, lhs, rhs, target)?;
        self.log_state(self.at);
        Ok(Next::Fall)
    }

    fn remember_stack_operands(&mut self, lhs: Reg, rhs: Reg) {
        let frame = self.path.state.frame();
        let on_stack = |reg: Reg| frame.regs[reg.index()].as_ptr().is_some_and(|p| matches!(p.kind, PtrKind::Stack(_)));
        let (lhs_stack, rhs_stack) = (on_stack(lhs), on_stack(rhs));
        if lhs_stack || rhs_stack {
            self.remember(|entry| {
                entry.lhs_stack |= lhs_stack;
                entry.rhs_stack |= rhs_stack;
            });
        }
    }

    fn note_direction(&mut self, taken: bool) {
        let direction = &mut self.facts.insns[self.at].direction;
        *direction = match (*direction, taken) {
            (Direction::None | Direction::Taken, true) => Direction::Taken,
            (Direction::None | Direction::NotTaken, false) => Direction::NotTaken,
            (Direction::Both, _) | (Direction::Taken, false) | (Direction::NotTaken, true) => Direction::Both,
        };
    }

    /// Both ways: the jump is put aside, the current path falls through.
    fn split(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: usize) -> Result<(), Reject> {
        let right_reg = match rhs {
            Operand::Reg(reg) => Some(reg),
            Operand::Imm(_) => None,
        };
        let linked = self.collect_links(lhs, right_reg);
        if linked.len() > 1 {
            self.remember_linked(linked);
        }
        // Linux tells this limit with another number here than elsewhere.
        self.push(target).map_err(|reject| match reject {
            Reject::TooComplex { jumps } => Reject::TooComplexBranch { jumps },
            other => other,
        })?;
        // Links that were dropped while they were collected are gone from the operands, too.
        let right = match rhs {
            Operand::Reg(reg) => *self.path.state.reg(reg),
            Operand::Imm(imm) => Value::number(Scalar::immediate(imm)),
        };
        let left = *self.path.state.reg(lhs);
        let taught = if self.has_bug(Bug::Jump32High) { Width::W64 } else { width };
        for taken in [true, false] {
            if op == (if taken { CmpOp::Ne } else { CmpOp::Eq }) && !self.relies(Rule::Edges) {
                continue;
            }
            learn(self.side(taken), taught, op, (lhs, left), (right_reg, right), taken, &linked);
        }
        self.learn_pointers(width, op, (lhs, left), (right_reg, right));
        Ok(())
    }

    fn collect_links(&mut self, lhs: Reg, rhs: Option<Reg>) -> Linked {
        let mut linked = Linked::NONE;
        // The right operand's link is collected first, and may drop the left operand's. Where both have the same, each member takes two
        // places.
        for reg in [rhs, Some(lhs)].into_iter().flatten() {
            if let Some(link) = self.path.state.reg(reg).as_scalar().and_then(|s| s.link) {
                self.collect_link(link.id, &mut linked);
            }
        }
        linked
    }

    /// Finds the live members of a set of linked scalars, innermost frame first. There is room for six; the others leave.
    fn collect_link(&mut self, id: u32, linked: &mut Linked) {
        let has = |value: &Value| value.as_scalar().and_then(|s| s.link).is_some_and(|l| l.id == id);
        for frame in (0..self.path.state.frames.len()).rev() {
            let slot = self.path.state.frames.get(frame + 1).map_or(self.at, |inner| inner.callsite);
            let live = self.structure.insns[slot].live;
            let mut found = SmallVec::<[Place; 8]>::new();
            let here = &self.path.state.frames[frame];
            for reg in (0..Reg::COUNT - 1).filter(|reg| live >> reg & 1 != 0 && has(&here.regs[*reg])) {
                found.push(Place::Reg { frame, reg });
            }
            for (slot, _) in here.stack.iter().enumerate().filter(|(_, s)| s.is_spill() && has(&s.spill)) {
                found.push(Place::Slot { frame, slot });
            }
            for place in found {
                if !linked.add(place)
                    && let Some(Value::Scalar(scalar)) = self.path.state.place_mut(place)
                {
                    scalar.link = None;
                }
            }
        }
    }

    fn learn_pointers(
        &mut self,
        width: Width,
        op: CmpOp,
        (lhs, left): (Reg, Value),
        (rhs, right): (Option<Reg>, Value),
    ) {
        if width == Width::W32 {
            return;
        }
        let (equal_taken, is_equality) = (op == CmpOp::Eq, matches!(op, CmpOp::Eq | CmpOp::Ne));
        match (left, right, rhs) {
            (Value::Ptr(a), Value::Ptr(b), Some(rhs)) => {
                // A structure's pointer may be null though nothing says so: what equals it may be, too. Linux 6.18 trusts
                // addresses of arenas there.
                let may_be_null = |ptr: &Ptr| matches!(ptr.kind, PtrKind::Btf(_) | PtrKind::AnyMem | PtrKind::Arena);
                if is_equality && a.nullable != b.nullable && !may_be_null(&a) && !may_be_null(&b) {
                    let which = if a.nullable { lhs } else { rhs };
                    let program = self.program;
                    let state = self.side(equal_taken);
                    if let Value::Ptr(ptr) = state.reg(which) {
                        let known = unwrapped(program, Ptr { nullable: false, ..*ptr });
                        state.set(which, Value::Ptr(known));
                    }
                }
                self.learn_packet(op, (lhs, a), (rhs, b));
            }
            (Value::Ptr(ptr), Value::Scalar(scalar), None) if is_equality && ptr.nullable && scalar.num.is_zero() => {
                let has_lock = self.has_lock(ptr.kind);
                for taken in [false, true] {
                    let is_null = taken == equal_taken;
                    let program = self.program;
                    know_null(program, self.side(taken), &ptr, is_null, has_lock);
                }
            }
            (Value::Ptr(_) | Value::Scalar(_) | Value::Uninit, _, _) => {}
        }
    }

    /// A packet pointer was compared with the end of the packet.
    fn learn_packet(&mut self, op: CmpOp, (lhs, a): (Reg, Ptr), (rhs, b): (Reg, Ptr)) {
        let (pointer_is_left, reg, ptr) = if is_packet_pair(&a, &b) {
            (true, lhs, a)
        } else if is_packet_pair(&b, &a) {
            (false, rhs, b)
        } else {
            return;
        };
        // As if the packet pointer stood on the left.
        let op = if pointer_is_left { op } else { op.swapped() };
        // On which side `pointer <= end` holds, and whether even `pointer < end` does.
        let (inside_taken, strict) = match op {
            CmpOp::Gt => (false, false),
            CmpOp::Ge => (false, true),
            CmpOp::Lt => (true, true),
            CmpOp::Le => (true, false),
            CmpOp::Eq | CmpOp::Ne | CmpOp::Sgt | CmpOp::Sge | CmpOp::Slt | CmpOp::Sle | CmpOp::Set => return,
        };
        let inside_taken = inside_taken != self.has_bug(Bug::PacketSides);
        widen_range(self.side(inside_taken), &ptr, strict);
        if let PtrKind::Packet { .. } = ptr.kind {
            let range = if strict { AT_END } else { BEYOND_END };
            self.side(!inside_taken).set(reg, Value::Ptr(Ptr { kind: PtrKind::Packet { range }, ..ptr }));
        }
    }
}

/// Whether the outcome is certain.
fn decide(width: Width, op: CmpOp, left: &Value, right: &Value) -> Option<bool> {
    match (left, right) {
        (Value::Scalar(a), Value::Scalar(b)) => domain::branch_taken(op, width, &a.num, &b.num),
        (Value::Ptr(a), Value::Ptr(b)) if width == Width::W64 => packet_decided(op, a, b),
        (Value::Ptr(ptr), Value::Scalar(scalar)) | (Value::Scalar(scalar), Value::Ptr(ptr)) => {
            let is_null_test = width == Width::W64 && scalar.num.is_zero() && is_never_null(ptr);
            match op {
                CmpOp::Eq if is_null_test => Some(false),
                CmpOp::Ne if is_null_test => Some(true),
                CmpOp::Eq
                | CmpOp::Ne
                | CmpOp::Gt
                | CmpOp::Ge
                | CmpOp::Lt
                | CmpOp::Le
                | CmpOp::Sgt
                | CmpOp::Sge
                | CmpOp::Slt
                | CmpOp::Sle
                | CmpOp::Set => None,
            }
        }
        (Value::Ptr(_), Value::Ptr(_)) | (Value::Uninit, _) | (_, Value::Uninit) => None,
    }
}

/// Refines the operands, and what is linked to them, on one side.
fn learn(
    state: &mut State,
    width: Width,
    op: CmpOp,
    (lhs, left): (Reg, Value),
    (rhs, right): (Option<Reg>, Value),
    taken: bool,
    linked: &Linked,
) {
    let (Value::Scalar(mut a), Value::Scalar(mut b)) = (left, right) else { return };
    if rhs == Some(lhs) {
        domain::refine_same(op, width, &mut a.num, taken);
        a.num = sane(a.num);
        state.set(lhs, Value::Scalar(a));
        update_linked(state, &a, linked);
        return;
    }
    domain::refine(op, width, &mut a.num, &mut b.num, taken);
    (a.num, b.num) = (sane(a.num), sane(b.num));
    state.set(lhs, Value::Scalar(a));
    if let Some(rhs) = rhs {
        state.set(rhs, Value::Scalar(b));
        update_linked(state, &b, linked);
        // What the left operand is now: it may be linked to the right one.
        if let Value::Scalar(now) = *state.reg(lhs) {
            a = now;
        }
    }
    update_linked(state, &a, linked);
}

/// Scalars that are linked to `known` learn what it learned.
fn update_linked(state: &mut State, known: &ScalarValue, linked: &Linked) {
    let Some(link) = known.link else { return };
    for place in linked.iter() {
        let Some(Value::Scalar(other)) = state.place_mut(place) else { continue };
        let Some(own) = other.link.filter(|own| own.id == link.id) else { continue };
        let narrow = |delta: Delta| matches!(delta, Delta::Add32(_));
        let wide = |delta: Delta| matches!(delta, Delta::Add64(_));
        if (narrow(own.delta) && wide(link.delta)) || (wide(own.delta) && narrow(link.delta)) {
            continue;
        }
        if own.delta == link.delta || own.delta.off() == link.delta.off() {
            *other = *known;
            continue;
        }
        let distance = i64::from(own.delta.off()) - i64::from(link.delta.off());
        let distance = Scalar::constant(ring3_isa::num::u64(distance));
        let is_narrow = narrow(own.delta) || narrow(link.delta);
        let width = if is_narrow { Width::W32 } else { Width::W64 };
        let num = domain::alu(ring3_isa::AluOp::Add, width, &known.num, &distance);
        *other = ScalarValue { num: sane(num), link: Some(own) };
    }
}

/// Pointers to nodes of objects come with an offset.
fn is_object(ptr: &Ptr) -> bool {
    matches!(ptr.kind, PtrKind::Btf(to) if to.trust.has(crate::state::Trust::ALLOC))
}

/// Every copy of a pointer that was tested: null is the number 0, and nothing is held; otherwise it can be used.
fn know_null(program: &Program, state: &mut State, tested: &Ptr, is_null: bool, has_lock: bool) {
    let (id, ref_id) = (tested.id, tested.ref_id);
    if is_null && ref_id != 0 && ref_id == id {
        state.refs.retain(|reference| reference.id != id || reference.held != Held::Object);
    }
    // Locks are known by the id of the pointer to their value.
    let kept = if has_lock { id } else { 0 };
    state.map_values(|value| match value {
        Value::Ptr(ptr) if ptr.nullable && ptr.id == id && (ptr.off == 0 || is_object(ptr)) && ptr.var.is_zero() => {
            Some(match is_null {
                true => Value::constant(0),
                false => Value::Ptr(Ptr { id: kept, ..unwrapped(program, Ptr { nullable: false, ..*ptr }) }),
            })
        }
        Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
    });
}

/// `ptr` is not beyond the end: all copies of it have at least its offset in front of the end.
fn widen_range(state: &mut State, ptr: &Ptr, strict: bool) {
    if ptr.off < 0 || (ptr.off == 0 && strict) || ptr.var.umax() > MAX_PACKET_OFF {
        return;
    }
    let Ok(off) = u64::try_from(ptr.off) else { return };
    if ptr.var.umax() + off > MAX_PACKET_OFF {
        return;
    }
    let new = ptr.off + i32::from(strict);
    state.map_values(|value| {
        let Value::Ptr(other) = value else { return None };
        let kind = match (ptr.kind, other.kind) {
            (PtrKind::Packet { .. }, PtrKind::Packet { range }) if range < new => PtrKind::Packet { range: new },
            (PtrKind::PacketMeta { .. }, PtrKind::PacketMeta { range }) if range < new => {
                PtrKind::PacketMeta { range: new }
            }
            _ => return None,
        };
        (other.id == ptr.id).then_some(Value::Ptr(Ptr { kind, ..*other }))
    });
}

/// A packet pointer and the end of the packet, or a metadata pointer and the start of the packet.
fn is_packet_pair(ptr: &Ptr, end: &Ptr) -> bool {
    match (ptr.kind, end.kind) {
        (PtrKind::Packet { .. }, PtrKind::PacketEnd) => true,
        (PtrKind::PacketMeta { .. }, PtrKind::Packet { .. }) => end.id == 0 && end.off == 0 && end.var.is_zero(),
        _ => false,
    }
}

/// How a register compares with itself.
const fn to_itself(op: CmpOp) -> Option<bool> {
    match op {
        CmpOp::Eq | CmpOp::Ge | CmpOp::Le | CmpOp::Sge | CmpOp::Sle => Some(true),
        CmpOp::Ne | CmpOp::Gt | CmpOp::Lt | CmpOp::Sgt | CmpOp::Slt => Some(false),
        CmpOp::Set => None,
    }
}

/// Earlier comparisons may decide one of a packet pointer with the end of the packet.
fn packet_decided(op: CmpOp, a: &Ptr, b: &Ptr) -> Option<bool> {
    let (ptr, op) = match (a.kind, b.kind) {
        (PtrKind::Packet { range } | PtrKind::PacketMeta { range }, PtrKind::PacketEnd) => (range, op),
        (PtrKind::PacketEnd, PtrKind::Packet { range } | PtrKind::PacketMeta { range }) => (range, op.swapped()),
        _ => return None,
    };
    match (op, ptr) {
        (CmpOp::Gt, BEYOND_END) | (CmpOp::Ge, BEYOND_END | AT_END) => Some(true),
        (CmpOp::Le, BEYOND_END) | (CmpOp::Lt, BEYOND_END | AT_END) => Some(false),
        _ => None,
    }
}

/// Pointers that a test for null says nothing new about.
fn is_never_null(ptr: &Ptr) -> bool {
    !ptr.nullable
        && match ptr.kind {
            PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::SockCommon
            | PtrKind::MapValue(_)
            | PtrKind::MapKey(_)
            | PtrKind::ConstMap(_)
            | PtrKind::Mem { .. } => true,
            PtrKind::Ctx
            | PtrKind::Stack(_)
            | PtrKind::Packet { .. }
            | PtrKind::PacketMeta { .. }
            | PtrKind::PacketEnd
            | PtrKind::FlowKeys
            | PtrKind::TpBuffer
            | PtrKind::Func(_)
            | PtrKind::Dynptr(_)
            | PtrKind::AnyMem
            | PtrKind::Arena
            | PtrKind::Buf { .. } => false,
            PtrKind::Btf(_) => super::kernel::is_trusted(ptr),
        }
}
