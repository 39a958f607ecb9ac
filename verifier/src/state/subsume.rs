//! When a stored state covers the current one, so that the current path need not be walked again.
//!
//! Every struct is destructured field by field: a new field cannot be forgotten here.

use ring3_isa::Reg;
use smallvec::SmallVec;

use super::marks::bits;
use super::{
    Byte, Callback, Delta, Dynptr, Frame, Iter, Kept, Link, Marks, Object, Ptr, PtrKind, Reference, Regions, SLOT,
    ScalarValue, Slot, State, Value,
};
use crate::domain::Scalar;

/// How strictly two states are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Old values that no decision relied on accept anything.
    NotExact,
    /// Every scalar's range counts; used where a loop is still open.
    RangeWithin,
    /// The same state; proves an infinite loop.
    Exact,
}

/// A bijection between ids of the two states, built up while they are compared.
#[derive(Default)]
pub struct IdMap {
    pairs: SmallVec<[(u32, u32); 16]>,
    temporary: u32,
}

impl IdMap {
    /// Ids above all real ones, for scalars without one.
    const FIRST_TEMPORARY: u32 = 1 << 30;

    fn same(&mut self, old: u32, cur: u32) -> bool {
        if (old == 0) != (cur == 0) {
            return false;
        }
        if old == 0 {
            return true;
        }
        for &(o, c) in &self.pairs {
            if o == old {
                return c == cur;
            }
            if c == cur {
                return false;
            }
        }
        self.pairs.push((old, cur));
        true
    }

    /// An old scalar without a link accepts any; a current one without gets an id of its own.
    fn same_link(&mut self, old: Option<Link>, cur: Option<Link>) -> bool {
        let Some(Link { id: old, .. }) = old else { return true };
        let cur = cur.map_or_else(
            || {
                self.temporary += 1;
                Self::FIRST_TEMPORARY + self.temporary
            },
            |link| link.id,
        );
        self.same(old, cur)
    }
}

/// The first thing by which a stored state does not cover the current one; none if everything reachable from `cur` was proved
/// when `old` was walked. `live` gives the registers that are read before they are written, by frame, `slots` those of the
/// old state's slots that count. `hint` is looked at first.
pub fn uncovered(
    old: &Kept,
    cur: &State,
    mode: Mode,
    live: impl Fn(usize) -> u16,
    slots: impl Fn(usize) -> u64,
    hint: Option<Difference>,
) -> Option<Difference> {
    let State { frames, refs, regions, callback_unroll_depth: _, may_goto_depth: _, sleepable } = &old.state;
    if frames.len() != cur.frames.len() || *sleepable != cur.sleepable {
        return Some(Difference::Context);
    }
    let pair = |i: usize| Pair { old: &old.state.frames[i], marks: &old.marks[i], cur: &cur.frames[i], mode };
    if hint.is_some_and(|hint| !pair(hint.frame()).place_covers(hint, live(hint.frame()), slots(hint.frame()))) {
        return hint;
    }
    let mut ids = IdMap::default();
    if !same_refs(refs, &cur.refs, &mut ids) || !same_regions(regions, &cur.regions, &mut ids) {
        return Some(Difference::Context);
    }
    // Registers first, and those of the current function before others: they differ most, and there are fewest.
    for i in (0..frames.len()).rev() {
        let pair = pair(i);
        if !frame_covers(pair.old, pair.cur) {
            return Some(Difference::Context);
        }
        if let Some(reg) = bits(registers(live(i))).find(|reg| !pair.reg_covers(*reg, &mut ids)) {
            return Some(Difference::Reg(i, reg));
        }
    }
    (0..frames.len()).rev().find_map(|i| {
        let pair = pair(i);
        let all = (1u64.checked_shl(u32::try_from(pair.old.stack.len()).unwrap_or(64)).unwrap_or(0)).wrapping_sub(1);
        let demands = if mode == Mode::NotExact { pair.marks.demands } else { u64::MAX };
        bits(all & slots(i) & demands)
            .find(|slot| !pair.slot_covers(*slot, &mut ids))
            .map(|slot| Difference::Slot(i, slot))
    })
}

fn registers(live: u16) -> u64 {
    (live & ((1 << Reg::COUNT) - 1)).into()
}

/// A frame of each of two states.
struct Pair<'s> {
    old: &'s Frame,
    marks: &'s Marks,
    cur: &'s Frame,
    mode: Mode,
}

impl Pair<'_> {
    fn reg_covers(&self, reg: usize, ids: &mut IdMap) -> bool {
        value_covers(&self.old.regs[reg], &self.cur.regs[reg], (self.mode, self.marks.precise.has_reg(reg)), ids)
    }

    fn slot_covers(&self, slot: usize, ids: &mut IdMap) -> bool {
        let how = (self.mode, self.marks.precise.has_slot(slot));
        let present = slot < self.cur.stack.len();
        let (old, cur) = (self.marks.slot(self.old, slot), self.cur.stack.slot(slot));
        // The same slot in memory covers itself.
        (present && std::ptr::eq(old, cur) && !old.is_tied()) || slot_covers(old, cur, present, how, ids)
    }

    /// Whether a place that counts may be taken for the same.
    fn place_covers(&self, place: Difference, live: u16, slots: u64) -> bool {
        let ids = &mut IdMap::default();
        match place {
            Difference::Reg(_, reg) if registers(live) >> reg & 1 != 0 => self.reg_covers(reg, ids),
            Difference::Slot(_, slot) if slots >> slot & 1 != 0 && slot < self.old.stack.len() => {
                self.slot_covers(slot, ids)
            }
            Difference::Context | Difference::Reg(..) | Difference::Slot(..) => true,
        }
    }
}

fn same_refs(old: &[Reference], cur: &[Reference], ids: &mut IdMap) -> bool {
    old.len() == cur.len()
        && old.iter().zip(cur).all(|(old, cur)| {
            let Reference { id, insn: _, held } = old;
            ids.same(*id, cur.id) && *held == cur.held
        })
}

fn same_regions(old: &Regions, cur: &Regions, ids: &mut IdMap) -> bool {
    let Regions { rcu, preempt, irq } = old;
    *rcu == cur.rcu && *preempt == cur.preempt && ids.same(*irq, cur.irq)
}

/// Everything of a frame but its registers and stack.
fn frame_covers(old: &Frame, cur: &Frame) -> bool {
    let Frame { regs: _, stack: _, callsite, subprog, callback, callback_depth } = old;
    // How often callbacks that run later led here makes no difference to what they may do.
    let same_callback =
        |a: &Option<Callback>, b: &Option<Callback>| a.map(|c| (c.sync, c.range)) == b.map(|c| (c.sync, c.range));
    *callsite == cur.callsite
        && *subprog == cur.subprog
        && same_callback(callback, &cur.callback)
        && *callback_depth <= cur.callback_depth
}

/// How strictly two values are compared: whether some decision relied on the old number, too.
type How = (Mode, bool);

fn value_covers(old: &Value, cur: &Value, how: How, ids: &mut IdMap) -> bool {
    match (old, cur) {
        (Value::Uninit, Value::Uninit) => true,
        (Value::Uninit, _) => how.0 == Mode::NotExact,
        (Value::Scalar(old), Value::Scalar(cur)) => scalar_covers(old, cur, how, ids),
        (Value::Ptr(old), Value::Ptr(cur)) => ptr_covers(old, cur, how.0, ids),
        (Value::Scalar(_) | Value::Ptr(_), _) => false,
    }
}

fn scalar_covers(old: &ScalarValue, cur: &ScalarValue, (mode, precise): How, ids: &mut IdMap) -> bool {
    let ScalarValue { num, link } = old;
    if mode == Mode::Exact {
        let id = |link: Option<Link>| link.map_or(0, |l| l.id);
        return *num == cur.num && delta(*link) == delta(cur.link) && ids.same(id(*link), id(cur.link));
    }
    if !precise && mode == Mode::NotExact {
        return true;
    }
    // What was proved of a number that is tied to nothing holds for one that is, however it is tied.
    cur.num.within(num) && (link.is_none() || (delta(*link) == delta(cur.link) && ids.same_link(*link, cur.link)))
}

/// Whether two numbers are the same, up to the names of the sets that they belong to.
pub fn is_same_number(old: &ScalarValue, cur: &ScalarValue, ids: &mut IdMap) -> bool {
    scalar_covers(old, cur, (Mode::Exact, false), ids)
}

fn delta(link: Option<Link>) -> Delta {
    link.map_or(Delta::Same, |l| l.delta)
}

fn ptr_covers(old: &Ptr, cur: &Ptr, mode: Mode, ids: &mut IdMap) -> bool {
    let Ptr { kind, off, var, id, ref_id, slice, nullable } = old;
    if *nullable != cur.nullable || *off != cur.off {
        return false;
    }
    // Linux compares the number of the dynptr, or of the map, as it stands: pieces that two rounds of a loop took never look alike.
    if *slice != cur.slice || !ids.same(slice.id(), cur.slice.id()) {
        return false;
    }
    let exact = |ids: &mut IdMap| {
        *kind == cur.kind && *var == cur.var && ids.same(*id, cur.id) && ids.same(*ref_id, cur.ref_id)
    };
    if mode == Mode::Exact {
        return exact(ids);
    }
    let within = |cur_var: &Scalar| cur_var.within(var);
    match (kind, cur.kind) {
        (
            PtrKind::MapValue(_) | PtrKind::MapKey(_) | PtrKind::Mem { .. } | PtrKind::TpBuffer | PtrKind::Buf { .. },
            cur_kind,
        ) => *kind == cur_kind && within(&cur.var) && ids.same(*id, cur.id) && ids.same(*ref_id, cur.ref_id),
        (PtrKind::Packet { range: old_range }, PtrKind::Packet { range })
        | (PtrKind::PacketMeta { range: old_range }, PtrKind::PacketMeta { range }) => {
            let enough = if *old_range < 0 || range < 0 { *old_range == range } else { *old_range <= range };
            enough && ids.same(*id, cur.id) && within(&cur.var)
        }
        (PtrKind::Arena, PtrKind::Arena) => true,
        (PtrKind::Arena, _) => false,
        (
            PtrKind::Packet { .. }
            | PtrKind::PacketMeta { .. }
            | PtrKind::Ctx
            | PtrKind::ConstMap(_)
            | PtrKind::Stack(_)
            | PtrKind::PacketEnd
            | PtrKind::FlowKeys
            | PtrKind::SockCommon
            | PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::Func(_)
            | PtrKind::AnyMem
            | PtrKind::Dynptr(_)
            | PtrKind::Btf(_),
            _,
        ) => exact(ids),
    }
}

fn slot_covers(old: &Slot, cur: &Slot, present: bool, how: How, ids: &mut IdMap) -> bool {
    let (mode, precise) = how;
    let Slot { bytes, spill, object } = old;
    if mode != Mode::NotExact && (!present || *bytes != cur.bytes) {
        return false;
    }
    // A privileged program may read what was never written, so both accept anything.
    let anything = |b: &Byte| matches!(b, Byte::Invalid | Byte::Misc);
    if mode == Mode::NotExact && old.is_data() {
        return true;
    }
    if mode == Mode::NotExact && !precise && old.is_full_spill() && old.spill.as_scalar().is_some() {
        return present && number_in(cur).is_some();
    }
    if let (Some(number), Some(cur)) = (number_in(old), number_in(cur)) {
        // Marks of a slot without a number mean nothing.
        return present && scalar_covers(number, cur, (mode, precise && old.is_spill()), ids);
    }
    let bytes_ok = bytes.iter().zip(&cur.bytes).all(|(old, cur)| anything(old) || (present && old == cur));
    bytes_ok
        && (!old.is_spill() || value_covers(spill, &cur.spill, how, ids))
        && (!bytes[SLOT - 1].is_object() || object_covers(object, &cur.object, ids))
}

fn object_covers(old: &Object, cur: &Object, ids: &mut IdMap) -> bool {
    match (old, cur) {
        (Object::None, Object::None) => true,
        // How often it gave something is not compared: otherwise no loop would ever converge.
        (Object::Iter(Iter { kind, drained, trust, ref_id, depth: _ }), Object::Iter(cur)) => {
            (*kind, *drained, *trust) == (cur.kind, cur.drained, cur.trust) && ids.same(*ref_id, cur.ref_id)
        }
        (Object::IrqFlag { ref_id, by_lock }, Object::IrqFlag { ref_id: cur_id, by_lock: cur }) => {
            by_lock == cur && ids.same(*ref_id, *cur_id)
        }
        (Object::Dynptr(Dynptr { kind, first, id, ref_id }), Object::Dynptr(cur)) => {
            (*kind, *first) == (cur.kind, cur.first) && ids.same(*id, cur.id) && ids.same(*ref_id, cur.ref_id)
        }
        (Object::None | Object::Iter(_) | Object::IrqFlag { .. } | Object::Dynptr(_), _) => false,
    }
}

/// Whether an iterator that may give more was asked another number of times: then nothing loops forever.
pub fn iterated(old: &Kept, cur: &State) -> bool {
    let active = |slot: &Slot| slot.iter().filter(|iter| !iter.drained).map(|iter| iter.depth);
    old.frames().zip(&cur.frames).any(|((old, marks), cur)| {
        let slots = (0..old.stack.len()).map(|i| (i, marks.slot(old, i)));
        slots.filter_map(|(i, slot)| Some((i, active(slot)?))).any(|(i, depth)| {
            let now = cur.stack.slot(i);
            !matches!(now.object, Object::Iter(iter) if iter.depth == depth)
        })
    })
}

/// Data that nothing is known of.
const DATA: &ScalarValue = &ScalarValue { num: Scalar::UNKNOWN, link: None };

/// A slot that holds a scalar in full, or data that nothing is known of.
pub fn number_in(slot: &Slot) -> Option<&ScalarValue> {
    if slot.is_full_spill() {
        return slot.spill.as_scalar();
    }
    slot.is_data().then_some(DATA)
}

/// What one place of a stored state demands of every path that it is to cover: the place itself, as it is mostly at hand where
/// the state is not.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    frame: u8,
    held: Spot,
    /// Whether it has to be the same, or only to be covered.
    mode: Mode,
    /// Some decision relied on its number.
    precise: bool,
}

#[derive(Clone, Copy, Debug)]
enum Spot {
    /// A register of an outer frame.
    Reg(u8, Value),
    /// One of the innermost frame.
    Innermost(u8, Value),
    Slot(u8, Slot),
}

impl Demand {
    /// Of a place in which a state differed from a path. From an open state it has to be the same. Of one from which all paths
    /// have ended it is what counts where the least counts.
    pub fn of(kept: &Kept, place: Difference, is_open: bool) -> Option<Demand> {
        let index = place.frame();
        let (frame, marks) = (kept.state.frames.get(index)?, kept.marks.get(index)?);
        let (held, precise) = match place {
            Difference::Context => return None,
            Difference::Reg(_, reg) if index == kept.state.current() => {
                (Spot::Innermost(u8::try_from(reg).ok()?, frame.regs[reg]), marks.precise.has_reg(reg))
            }
            Difference::Reg(_, reg) => {
                (Spot::Reg(u8::try_from(reg).ok()?, frame.regs[reg]), marks.precise.has_reg(reg))
            }
            Difference::Slot(_, slot) => {
                (Spot::Slot(u8::try_from(slot).ok()?, *marks.slot(frame, slot)), marks.precise.has_slot(slot))
            }
        };
        let mode = if is_open { Mode::Exact } else { Mode::NotExact };
        Some(Demand { frame: u8::try_from(index).ok()?, held, mode, precise })
    }

    /// Whether a path has it.
    pub fn is_met(&self, cur: &State) -> bool {
        let Some(frame) = cur.frames.get(usize::from(self.frame)) else { return false };
        let (how, ids) = ((self.mode, self.precise), &mut IdMap::default());
        match &self.held {
            // Nothing may be another number, whether it is read or not.
            Spot::Innermost(reg, old) if self.mode == Mode::Exact => *old == frame.regs[usize::from(*reg)],
            Spot::Innermost(reg, old) | Spot::Reg(reg, old) => {
                value_covers(old, &frame.regs[usize::from(*reg)], how, ids)
            }
            Spot::Slot(slot, old) => {
                let slot = usize::from(*slot);
                slot_covers(old, frame.stack.slot(slot), slot < frame.stack.len(), how, ids)
            }
        }
    }
}

/// The first thing by which a stored state does not cover the current one; for people who ask why.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Difference {
    /// The calls, references or regions.
    Context,
    /// A register of a frame.
    Reg(usize, usize),
    /// A stack slot of a frame.
    Slot(usize, usize),
}

impl Difference {
    /// Its frame; the first one for what belongs to none.
    fn frame(self) -> usize {
        match self {
            Difference::Context => 0,
            Difference::Reg(frame, _) | Difference::Slot(frame, _) => frame,
        }
    }

    /// The register, if it is one of this frame.
    pub fn reg_of(self, frame: usize) -> Option<usize> {
        match self {
            Difference::Reg(of, reg) if of == frame => Some(reg),
            Difference::Context | Difference::Reg(..) | Difference::Slot(..) => None,
        }
    }
}
