//! Precision: which scalars a decision relied on, found by walking back over the instructions that made them.

use ring3_isa::{Callee, Insn, Operand, Reg};

use super::path::{StoredId, Trail};
use super::{Linked, Past, Walk};
use crate::cfg::back;
use crate::diag::reject::Reject;
use crate::diag::render;
use crate::planted::Bug;
use crate::state::{MAX_FRAMES, Place, Places};

/// What is asked for by frame, and the frame that the walk back is in.
struct Request {
    /// No path has more frames.
    frames: [Places; MAX_FRAMES],
    /// So many of them there are.
    depth: usize,
    current: usize,
}

const ARGS: u16 = 0b11_1110;

/// Where a walk back is.
struct Cursor {
    /// The instruction that was executed next.
    after: Option<usize>,
    /// The first instruction was not executed yet.
    skip: bool,
}

/// How the walk back over a trail ended.
enum Back {
    /// Nothing is asked for any more.
    Done,
    /// It cannot be followed.
    GaveUp,
    /// At the trail's start.
    Start,
}

/// The walk back cannot be trusted any more: everything counts as precise.
struct GiveUp;

impl Request {
    /// Nothing, in so many frames.
    fn new(depth: usize) -> Request {
        Request { frames: [Places::NONE; MAX_FRAMES], depth, current: depth - 1 }
    }

    /// The frames that there are.
    fn frames(&self) -> &[Places] {
        &self.frames[..self.depth]
    }

    fn is_empty(&self) -> bool {
        self.frames().iter().all(|frame| frame.is_empty())
    }

    fn has(&self, reg: Reg) -> bool {
        self.frames[self.current].regs >> reg.number() & 1 != 0
    }

    fn add(&mut self, reg: Reg) {
        self.frames[self.current].regs |= 1 << reg.number();
    }

    fn remove(&mut self, reg: Reg) {
        self.frames[self.current].regs &= !(1 << reg.number());
    }

    fn now(&self) -> Places {
        self.frames[self.current]
    }

    fn place(&self, place: Place) -> bool {
        match place {
            Place::Reg { frame, reg } => self.frames().get(frame).is_some_and(|f| f.has_reg(reg)),
            Place::Slot { frame, slot } => self.frames().get(frame).is_some_and(|f| f.has_slot(slot)),
        }
    }

    fn add_place(&mut self, place: Place) -> Result<(), GiveUp> {
        let (Place::Reg { frame, .. } | Place::Slot { frame, .. }) = place;
        let wanted = self.frames[..self.depth].get_mut(frame).ok_or(GiveUp)?;
        match place {
            Place::Reg { reg, .. } => wanted.regs |= 1 << reg,
            Place::Slot { slot, .. } => wanted.slots |= 1 << slot,
        }
        Ok(())
    }

    /// Nothing is asked for but what was asked for at this entry before, so that all of it is marked; notes it otherwise.
    fn is_traced(&self, entry: &mut Past) -> bool {
        let now = self.now();
        !entry.trace(now.regs, now.slots)
            && !self.frames().iter().enumerate().any(|(i, f)| i != self.current && *f != Places::NONE)
    }

    fn spread(&mut self, linked: Option<&Linked>) -> Result<(), GiveUp> {
        let Some(linked) = linked else { return Ok(()) };
        if linked.iter().any(|place| self.place(place)) {
            for place in linked.iter() {
                self.add_place(place)?;
            }
        }
        Ok(())
    }

    /// Back into the function that an exit left.
    fn enter(&mut self) -> Result<(), GiveUp> {
        if self.current + 1 >= MAX_FRAMES {
            return Err(GiveUp);
        }
        self.current += 1;
        self.depth = self.depth.max(self.current + 1);
        Ok(())
    }

    /// Back out of a function through its call: nothing of its frame may be left but arguments.
    fn leave(&mut self, pass_args: bool) -> Result<(), GiveUp> {
        let now = self.now();
        if now.regs & !ARGS != 0 || now.slots != 0 || self.current == 0 {
            return Err(GiveUp);
        }
        self.frames[self.current] = Places::NONE;
        self.current -= 1;
        if pass_args {
            self.frames[self.current].regs |= now.regs;
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// The value of a register of the current frame decided something.
    pub fn mark_precise(&mut self, reg: Reg) -> Result<(), Reject> {
        let off = self.plain || self.has_bug(Bug::NothingPrecise);
        if off || self.path.state.reg(reg).as_scalar().is_none() {
            return Ok(());
        }
        let mut request = Request::new(self.path.state.frames.len());
        request.add(reg);
        self.trace_here(&mut request);
        Ok(())
    }

    /// The same where Linux does not do it: its log, which ours is compared with, has no lines about it.
    pub fn mark_precise_quietly(&mut self, reg: Reg) -> Result<(), Reject> {
        self.log.mute(true);
        let done = self.mark_precise(reg);
        self.log.mute(false);
        done
    }

    /// The value spilled in a slot of a frame decided something.
    pub fn mark_slot_precise(&mut self, frame: usize, slot: usize) {
        if self.plain || self.has_bug(Bug::NothingPrecise) {
            return;
        }
        let mut request = Request::new(self.path.state.frames.len());
        request.frames[frame].slots |= 1 << slot;
        self.trace_here(&mut request);
    }

    /// What was precise in `old` is so in all states before the path (`trail`, with `depth` frames) that was found
    /// to be covered by it. Tells whether anything was new.
    pub(super) fn inherit_precision(&mut self, old: StoredId, depth: usize, trail: &mut Trail, at: usize) -> bool {
        let mut request = Request::new(depth);
        for (wanted, (frame, marks)) in request.frames.iter_mut().zip(self.store.get(old).kept.frames()) {
            *wanted = marks.numbers(frame, marks.precise);
        }
        if request.is_empty() {
            return false;
        }
        if self.log.verbose() {
            for (index, wanted) in request.frames().iter().enumerate().rev().filter(|(_, w)| **w != Places::NONE) {
                let regs = (0..16).filter(|i| wanted.regs >> i & 1 != 0).map(|i| format!("r{i}"));
                let slots = (0..64).filter(|i| wanted.slots >> i & 1 != 0).map(|i: i32| format!("fp-{}", (i + 1) * 8));
                let places: Vec<String> = regs.chain(slots).collect();
                self.log.push(&format!("frame {index}: propagating {}\n", places.join(",")));
            }
        }
        self.trace(&mut request, trail, at)
    }

    /// Walks back over the current path.
    fn trace_here(&mut self, request: &mut Request) {
        let mut trail = std::mem::take(&mut self.path.trail);
        self.trace(request, &mut trail, self.at);
        self.path.trail = trail;
    }

    /// Walks back from `at`, before which nothing is done yet, and marks what is asked for in all states on the way.
    fn trace(&mut self, request: &mut Request, start: &mut Trail, at: usize) -> bool {
        let mut changed = false;
        let mut cursor = Cursor { after: None, skip: true };
        let (mut first, mut parent) = (start.first, start.parent);
        let mut back = self.segment(request, start, Some(at), &mut cursor);
        loop {
            match back {
                Back::Done => return changed,
                Back::GaveUp => break,
                Back::Start => {}
            }
            let Some(id) = parent else { break };
            self.mark_state(id, request, &mut changed);
            if request.is_empty() {
                return changed;
            }
            cursor.after = Some(first);
            let mut trail = std::mem::take(&mut self.store.get_mut(id).trail);
            (first, parent) = (trail.first, trail.parent);
            let last = trail.last;
            back = self.segment(request, &mut trail, last, &mut cursor);
            self.store.get_mut(id).trail = trail;
        }
        self.give_up(start.parent, &mut changed);
        changed
    }

    /// Walks back over one trail, from instruction `last` on.
    fn segment(&mut self, request: &mut Request, trail: &mut Trail, last: Option<usize>, cursor: &mut Cursor) -> Back {
        if self.log.verbose() {
            let text = format!(
                "mark_precise: frame{}: last_idx {} first_idx {} subseq_idx {} \n",
                request.current,
                super::display(last),
                trail.first,
                super::display(cursor.after)
            );
            self.log.push(&text);
        }
        // The very beginning: what is left are arguments of the function.
        let Some(mut slot) = last else { return Back::Done };
        let (structure, verbose) = (self.structure, self.log.verbose());
        let mut left = trail.past.len();
        let mut is_done = !std::mem::take(&mut cursor.skip);
        if !is_done && request.is_empty() {
            return Back::Done;
        }
        // Registers that are asked for where the walk is.
        let mut wanted = request.now().regs | back::ALWAYS;
        loop {
            let entry = trail.entry(slot, left);
            let (is_plain, has_entry) = (entry.is_none_or(Past::is_plain), entry.is_some());
            let matters = structure.insns[slot].back & wanted != 0 || !is_plain || verbose;
            if matters && is_done {
                let linked = entry.and_then(|entry| trail.linked(entry));
                if self.back_over(request, slot, cursor.after, (entry, linked)).is_err() {
                    return Back::GaveUp;
                }
                wanted = request.now().regs | back::ALWAYS;
                if wanted == back::ALWAYS && request.is_empty() {
                    return Back::Done;
                }
            }
            is_done = true;
            // Whoever reads the log wants to see all of it.
            if !verbose {
                if !has_entry {
                    slot = self.pass_over(wanted, slot, trail.plain_from(left));
                } else if request.is_traced(&mut trail.past[left - 1]) {
                    return Back::Done;
                }
            }
            cursor.after = Some(slot);
            match trail.before(slot, has_entry, &mut left) {
                Some(before) => slot = before,
                None => return Back::Start,
            }
        }
    }

    /// Goes on from `slot`, which was looked at, back over code in a straight line that made other registers.
    fn pass_over(&self, wanted: u16, mut slot: usize, stop: usize) -> usize {
        while slot > stop + 1 && self.structure.insns[slot - 1].back & wanted == 0 {
            slot -= 1;
        }
        slot
    }

    /// Marks what is asked for in a stored state. What is no number there, or is marked already, is asked for no more.
    fn mark_state(&mut self, id: StoredId, request: &mut Request, changed: &mut bool) {
        for (wanted, (frame, marks)) in request.frames.iter_mut().zip(self.store.get_mut(id).kept.frames_mut()) {
            *changed |= marks.mark(frame, wanted);
        }
        if self.log.verbose() {
            for index in (0..=request.current).rev() {
                let wanted = describe(request.frames[index]);
                let kept = &self.store.get(id).kept;
                let is_there = index < kept.state.frames.len();
                let state = if is_there { render::kept(self.names(), kept, index) } else { String::new() };
                self.log.push(&format!("mark_precise: frame{index}: parent state {wanted}: {state}\n"));
            }
        }
    }

    /// Everything before the path counts as precise.
    pub(super) fn give_up_from(&mut self, parent: Option<StoredId>) {
        self.give_up(parent, &mut false);
    }

    fn give_up(&mut self, mut parent: Option<StoredId>, changed: &mut bool) {
        while let Some(id) = parent {
            let stored = self.store.get_mut(id);
            for (frame, marks) in stored.kept.frames_mut() {
                *changed |= marks.mark(frame, &mut Places::ALL.clone());
                marks.precise = Places::ALL;
            }
            parent = stored.trail.parent;
        }
    }

    /// What has to be known before an instruction so that what is asked for is known after it.
    fn back_over(
        &mut self,
        request: &mut Request,
        slot: usize,
        after: Option<usize>,
        (entry, linked): (Option<&Past>, Option<&Linked>),
    ) -> Result<(), GiveUp> {
        if self.program.code.is_tail(slot) {
            return Ok(());
        }
        if self.log.verbose() {
            let text = format!(
                "mark_precise: frame{}: {} before {slot}: {}\n",
                request.current,
                describe(request.now()),
                self.text(slot)
            );
            self.log.push(&text);
        }
        request.spread(linked)?;
        let Some(insn) = self.decoded(slot) else { return Err(GiveUp) };
        match insn {
            Insn::Alu { dst, src, .. } => {
                if let (true, Operand::Reg(src)) = (request.has(dst), src)
                    && src != Reg::FP
                {
                    request.add(src);
                }
            }
            Insn::Mov { dst, src, .. } => back_over_mov(request, dst, src),
            Insn::MovSx { dst, src, .. } => back_over_mov(request, dst, Operand::Reg(src)),
            Insn::AddrSpaceCast { dst, src, .. } => back_over_mov(request, dst, Operand::Reg(src)),
            Insn::Neg { .. } | Insn::Endian { .. } => {}
            Insn::LoadImm { dst, .. } => request.remove(dst),
            Insn::Load { dst, .. } | Insn::LoadAcquire { dst, .. } => {
                if request.has(dst) {
                    request.remove(dst);
                    if let Some((frame, slot)) = entry.and_then(Past::spill) {
                        request.add_place(Place::Slot { frame, slot })?;
                    }
                }
            }
            Insn::Store { base, src, .. } => back_over_store(request, entry, base, src)?,
            Insn::StoreRelease { base, src, .. } => back_over_store(request, entry, base, Operand::Reg(src))?,
            Insn::Atomic { op, base, src, .. } => match op.fetches_into(src) {
                // Linux 6.18 takes this for a store alone, and so forgets what the slot held before.
                Some(result) if request.has(result) && !self.has_bug(Bug::FetchUntracked) => {
                    request.remove(result);
                    if request.has(base) {
                        return Err(GiveUp);
                    }
                    if let Some((frame, slot)) = entry.and_then(Past::spill) {
                        request.add_place(Place::Slot { frame, slot })?;
                    }
                }
                Some(_) | None => back_over_store(request, entry, base, Operand::Reg(src))?,
            },
            Insn::Branch { lhs, rhs: Operand::Reg(rhs), .. } => {
                if request.has(lhs) || request.has(rhs) {
                    if !entry.is_some_and(|e| e.rhs_stack) {
                        request.add(rhs);
                    }
                    if !entry.is_some_and(|e| e.lhs_stack) {
                        request.add(lhs);
                    }
                }
            }
            Insn::Branch { rhs: Operand::Imm(_), .. } | Insn::Jump { .. } | Insn::MayGoto { .. } | Insn::WideTail => {}
            Insn::Call(callee) => self.back_over_call(request, slot, after, callee)?,
            Insn::Exit => self.back_over_exit(request, after)?,
            Insn::CallX { .. } | Insn::GotoX { .. } => return Err(GiveUp),
            Insn::LegacyPacket { .. } => {
                // Not followed back where it ended its function, either.
                if request.has(Reg::R0) || after.is_some_and(|after| after != slot + 1) {
                    return Err(GiveUp);
                }
            }
        }
        request.spread(linked)
    }

    fn back_over_call(
        &self,
        request: &mut Request,
        slot: usize,
        after: Option<usize>,
        callee: Callee,
    ) -> Result<(), GiveUp> {
        match callee {
            Callee::Local(off) => {
                let start = crate::cfg::target(&self.program.code, slot, off).ok_or(GiveUp)?;
                let subprog = self.structure.subprog_at(start).ok_or(GiveUp)?;
                if self.is_global(subprog) {
                    request.remove(Reg::R0);
                    return if request.now().regs & ARGS == 0 { Ok(()) } else { Err(GiveUp) };
                }
                request.leave(true)
            }
            Callee::Kfunc { id: 0, off: 0 } => Err(GiveUp),
            Callee::Helper(_) | Callee::Kfunc { .. } => {
                let calls = self.structure.insns[slot].calls_callback;
                if calls && after.is_none_or(|after| slot + 1 != after) {
                    return request.leave(false);
                }
                request.remove(Reg::R0);
                if request.now().regs & ARGS == 0 { Ok(()) } else { Err(GiveUp) }
            }
        }
    }

    fn back_over_exit(&self, request: &mut Request, after: Option<usize>) -> Result<(), GiveUp> {
        let into_callback = after.is_some_and(|a| self.structure.insns.get(a).is_some_and(|insn| insn.calls_callback));
        if into_callback {
            request.frames[request.current].regs &= !ARGS;
        }
        if request.now().regs & ARGS != 0 {
            return Err(GiveUp);
        }
        let called = after.and_then(|a| a.checked_sub(1)).and_then(|a| self.decoded(a));
        let is_call = matches!(called, Some(Insn::Call(Callee::Local(_))));
        let wants_r0 = is_call && request.has(Reg::R0);
        request.remove(Reg::R0);
        request.enter()?;
        if wants_r0 {
            request.add(Reg::R0);
        }
        Ok(())
    }
}

fn back_over_mov(request: &mut Request, dst: Reg, src: Operand) {
    if !request.has(dst) {
        return;
    }
    request.remove(dst);
    if let Operand::Reg(src) = src
        && src != Reg::FP
    {
        request.add(src);
    }
}

fn back_over_store(request: &mut Request, entry: Option<&Past>, base: Reg, src: Operand) -> Result<(), GiveUp> {
    if request.has(base) {
        return Err(GiveUp);
    }
    let Some((frame, slot)) = entry.and_then(Past::spill) else { return Ok(()) };
    let Some(wanted) = request.frames.get_mut(frame).filter(|f| f.slots >> slot & 1 != 0) else { return Ok(()) };
    wanted.slots &= !(1 << slot);
    if let Operand::Reg(src) = src {
        request.add(src);
    }
    Ok(())
}

fn describe(wanted: Places) -> String {
    let regs: Vec<String> = (0..16).filter(|i| wanted.regs >> i & 1 != 0).map(|i| format!("r{i}")).collect();
    let slots: Vec<String> =
        (0..64).filter(|i| wanted.slots >> i & 1 != 0).map(|i: i32| format!("-{}", (i + 1) * 8)).collect();
    format!("regs={} stack={}", regs.join(","), slots.join(","))
}
