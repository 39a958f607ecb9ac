//! What is known at one point of one path: frames with registers and stack, references, regions.

mod marks;
mod regs;
mod stack;
pub mod subsume;
mod typed;
mod value;

use std::rc::Rc;

use ring3_isa::Reg;
use smallvec::SmallVec;

pub use marks::{Kept, Marks, Places};
pub use regs::{MAX_FRAMES, Regs};
pub use stack::{Byte, Dynptr, Iter, IterTrust, Object, SLOT, STACK_LIMIT, Slot, Stack, locate};
pub use typed::{BtfPtr, Trust};
pub use value::{Delta, DynptrKind, Link, MemOrigin, Ptr, PtrKind, ScalarValue, Slice, Value, plain_name, type_name};

/// A register or a stack slot of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Register by number.
    Reg {
        /// Frame.
        frame: usize,
        /// Number.
        reg: usize,
    },
    /// Stack slot by index.
    Slot {
        /// Frame.
        frame: usize,
        /// Index.
        slot: usize,
    },
}

/// Why a callback frame was entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Callback {
    /// Called again until it converges (bpf_loop, for_each); otherwise run later on its own (timers).
    pub sync: bool,
    /// What it may return.
    pub range: (i32, i32),
    /// How many callbacks that run later led here, this one included.
    pub entries: u32,
}

impl Callback {
    /// Called by a helper before that returns.
    pub const SYNC: Callback = Callback { sync: true, range: (0, 1), entries: 0 };
}

/// One function call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// R0 to R10.
    pub regs: Regs,
    /// Its stack.
    pub stack: Stack,
    /// Slot of the calling instruction; `usize::MAX` for a root.
    pub callsite: usize,
    /// Which function.
    pub subprog: usize,
    /// Set in callbacks.
    pub callback: Option<Callback>,
    /// How often callbacks were simulated from this frame's current call.
    pub callback_depth: u32,
}

impl Frame {
    /// No caller.
    pub const ROOT: usize = usize::MAX;

    /// A frame at the entry of a function.
    pub fn new(subprog: usize, callsite: usize, index: u32) -> Frame {
        Frame { regs: Regs::new(index), stack: Stack::default(), callsite, subprog, callback: None, callback_depth: 0 }
    }
}

// Frames are copied and thrown away with nearly every branch: allocators keep what is not larger than this at hand.
const _: () = assert!(size_of::<Frame>() + 2 * size_of::<usize>() <= 1032);

/// What a lock is a part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockHome {
    /// The values of a map: index into the program's maps.
    Map(u32),
    /// An object that the program made.
    Object,
}

/// Kinds of locks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// `struct bpf_spin_lock`.
    Spin,
    /// `struct bpf_res_spin_lock`.
    Res,
    /// The same, with interrupts off.
    ResIrq,
}

/// What kind of resource is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// An object that pointers lead to.
    Object,
    /// A lock. The reference's id is that of the pointer to its value, 0 for global data.
    Lock(LockKind, LockHome),
    /// Interrupts are off until it is given back.
    Irq,
}

/// A resource that has to be given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Its id.
    pub id: u32,
    /// Slot of the instruction that acquired it.
    pub insn: usize,
    /// What it is.
    pub held: Held,
}

impl Reference {
    /// Whether it is a lock.
    pub fn is_lock(&self) -> bool {
        match self.held {
            Held::Lock(..) => true,
            Held::Object | Held::Irq => false,
        }
    }
}

/// Sections of a program in which less is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Regions {
    /// Between `bpf_rcu_read_lock` and its unlock.
    pub rcu: bool,
    /// How often preemption was disabled.
    pub preempt: u32,
    /// The reference of the interrupt flag that was saved last; 0 for none.
    pub irq: u32,
}

/// Everything that is known on a path. Frames are shared with stored states until they are written.
#[derive(Clone, Debug)]
pub struct State {
    /// Outermost first.
    pub frames: SmallVec<[Rc<Frame>; 2]>,
    /// Held resources.
    pub refs: Vec<Reference>,
    /// Open sections.
    pub regions: Regions,
    /// How often callbacks were unrolled on this path.
    pub callback_unroll_depth: u32,
    /// How often may_goto was unrolled on this path.
    pub may_goto_depth: u32,
    /// It may sleep here: the program may, or a callback that runs later on its own.
    pub sleepable: bool,
}

impl State {
    /// At the entry of a program: R1 is the context.
    pub fn main_entry() -> State {
        let mut state = State::entry(0);
        state.set(Reg::R1, Value::ptr(PtrKind::Ctx));
        state
    }

    /// At the entry of a function.
    pub fn entry(subprog: usize) -> State {
        State {
            frames: smallvec::smallvec![Rc::new(Frame::new(subprog, Frame::ROOT, 0))],
            refs: Vec::new(),
            regions: Regions::default(),
            callback_unroll_depth: 0,
            may_goto_depth: 0,
            sleepable: false,
        }
    }

    /// Whether some lock is held.
    pub fn is_locked(&self) -> bool {
        self.refs.iter().any(Reference::is_lock)
    }

    /// The lock that was taken last.
    pub fn last_lock(&self) -> Option<&Reference> {
        self.refs.iter().rfind(|reference| reference.is_lock())
    }

    /// Number of the innermost frame.
    pub fn current(&self) -> usize {
        self.frames.len() - 1
    }

    /// The innermost frame.
    #[inline]
    pub fn frame(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    /// The innermost frame, for writing.
    #[inline]
    pub fn frame_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        Rc::make_mut(&mut self.frames[last])
    }

    /// Any frame, for writing.
    pub fn frame_at(&mut self, index: usize) -> &mut Frame {
        Rc::make_mut(&mut self.frames[index])
    }

    /// A register of the innermost frame.
    #[inline]
    pub fn reg(&self, reg: Reg) -> &Value {
        &self.frame().regs[reg.index()]
    }

    /// Sets a register of the innermost frame.
    #[inline]
    pub fn set(&mut self, reg: Reg, value: Value) {
        self.frame_mut().regs[reg.index()] = value;
    }

    /// A register or spilled value of any frame, for writing.
    pub fn place_mut(&mut self, place: Place) -> Option<&mut Value> {
        match place {
            Place::Reg { frame, reg } => Rc::make_mut(self.frames.get_mut(frame)?).regs.held_mut().get_mut(reg),
            Place::Slot { frame, slot } => {
                let stack = &mut Rc::make_mut(self.frames.get_mut(frame)?).stack;
                (slot < stack.len()).then(|| &mut stack.slot_mut(slot).spill)
            }
        }
    }

    /// Changes every register and spilled value of every frame for which `f` gives a new one.
    pub fn map_values(&mut self, mut f: impl FnMut(&Value) -> Option<Value>) {
        for frame in &mut self.frames {
            let hit = |f: &mut dyn FnMut(&Value) -> Option<Value>| {
                frame.regs.iter().any(|v| f(v).is_some())
                    || frame.stack.iter().any(|s| s.is_spill() && f(&s.spill).is_some())
            };
            if !hit(&mut f) {
                continue;
            }
            let frame = Rc::make_mut(frame);
            for value in frame.regs.held_mut() {
                if let Some(new) = f(value) {
                    *value = new;
                }
            }
            frame.stack.update(|_, slot| {
                let spill = if slot.is_spill() { f(&slot.spill) } else { None };
                spill.map(|spill| Slot { spill, ..*slot })
            });
        }
    }
}
