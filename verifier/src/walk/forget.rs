//! The walk without pruning, when it may take pointers that it reads back from the stack for numbers.
//!
//! A stored state that has nothing in a slot covers one that has a pointer there: whoever may see addresses may read it as a number.
//! So what Linux accepts with pruning can be refused without, where a path comes to a rule for pointers. Here a path that is refused
//! goes back to the last such read, and on from there with a number that nothing is known of. If even that is refused, so is the
//! program.

use ring3_isa::Insn;

use super::Walk;
use super::path::Path;
use crate::diag::reject::Reject;
use crate::state::{Byte, PtrKind, SLOT, Slot, Value, locate};

/// Reads that can be gone back to, at most; the oldest are given up.
const MAX_READS: usize = 4096;

/// Reads of pointers on the current path.
#[derive(Debug, Default)]
pub(crate) struct Forgets {
    reads: Vec<Read>,
    /// The read that comes next is taken up again.
    again: bool,
}

/// A read of a pointer from the stack, with nothing known of it any more.
#[derive(Debug)]
struct Read {
    /// Paths that had been put aside before.
    pending: usize,
    at: usize,
    from: Option<usize>,
    path: Path,
}

impl Walk<'_> {
    /// Notes where the path can be taken up again, if the next instruction reads a pointer from the stack.
    #[cold]
    pub(super) fn note_pointer_read(&mut self) {
        let again = self.forgets.as_mut().is_some_and(|forgets| std::mem::take(&mut forgets.again));
        if again {
            return;
        }
        let Some(path) = self.without_pointer() else { return };
        let (pending, at, from) = (self.pending.len(), self.at, self.from);
        if let Some(forgets) = &mut self.forgets {
            if forgets.reads.len() >= MAX_READS {
                forgets.reads.remove(0);
            }
            forgets.reads.push(Read { pending, at, from, path });
        }
    }

    /// The current path, with numbers in those slots that the next instruction reads and that have a pointer.
    pub(crate) fn without_pointer(&self) -> Option<Path> {
        let (base, off, size) = match self.decoded(self.at)? {
            Insn::Load { base, off, size, .. }
            | Insn::LoadAcquire { base, off, size, .. }
            | Insn::Atomic { base, off, size, .. } => (base, off, size),
            _ => return None,
        };
        let Value::Ptr(ptr) = self.path.state.reg(base) else { return None };
        let (PtrKind::Stack(frame), Some(start)) = (ptr.kind, ptr.const_off()) else { return None };
        let frame = usize::try_from(frame).ok()?;
        let first = start.checked_add(off.into())?;
        let bytes =
            (first..first + i64::from(size.bytes())).filter(|byte| (-crate::state::STACK_LIMIT..0).contains(byte));
        let stack = &self.path.state.frames.get(frame)?.stack;
        let is_pointer = |slot: &Slot| slot.is_spill() && slot.spill.as_ptr().is_some();
        let mut slots: Vec<usize> =
            bytes.map(|byte| locate(byte).0).filter(|slot| is_pointer(stack.slot(*slot))).collect();
        slots.dedup();
        let mut path = (!slots.is_empty()).then(|| self.path.clone())?;
        for slot in slots {
            *path.state.frame_at(frame).stack.slot_mut(slot) = Slot { bytes: [Byte::Misc; SLOT], ..Slot::default() };
        }
        Some(path)
    }

    /// The path has ended well: reads that only it has are done.
    pub(super) fn keep_reads(&mut self) {
        let pending = self.pending.len();
        if let Some(forgets) = &mut self.forgets {
            while forgets.reads.last().is_some_and(|read| read.pending >= pending) {
                forgets.reads.pop();
            }
        }
    }

    /// The path is refused: it goes on from its last read of a pointer, if there is one, as if that were a number.
    pub(super) fn forget(&mut self, reject: Reject) -> Result<(), Reject> {
        let is_limit = matches!(reject, Reject::Stopped { .. } | Reject::TooLarge { .. } | Reject::TooComplex { .. });
        let read = self.forgets.as_mut().filter(|_| !is_limit).and_then(|forgets| forgets.reads.pop());
        let Some(Read { pending, at, from, path }) = read else { return Err(reject) };
        self.pending.truncate(pending);
        (self.at, self.from, self.path) = (at, from, path);
        self.stack_live.forget_path();
        self.scratched = crate::diag::render::Scratched::ALL;
        if let Some(forgets) = &mut self.forgets {
            forgets.again = true;
        }
        Ok(())
    }
}
