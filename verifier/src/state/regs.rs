//! The registers of a frame.

use std::ops::{Index, IndexMut};

use ring3_isa::Reg;

use super::value::{PtrKind, Value};

/// Frames that a path may have (MAX_CALL_FRAMES).
pub const MAX_FRAMES: usize = 8;

/// R10 of each frame.
const FRAME_POINTERS: [Value; MAX_FRAMES] = {
    let mut all = [Value::Uninit; MAX_FRAMES];
    let (mut index, mut frame) = (0, 0);
    while index < MAX_FRAMES {
        all[index] = Value::ptr(PtrKind::Stack(frame));
        (index, frame) = (index + 1, frame + 1);
    }
    all
};

/// R0 to R10. The last one is not kept, as it always leads to the frame's own stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Regs {
    held: [Value; Reg::FP.index()],
    /// The frame that R10 leads to.
    frame: u8,
}

impl Regs {
    /// Nothing but R10, in a frame with this number.
    pub fn new(frame: u32) -> Regs {
        // Calls that are nested deeper are refused.
        Regs { held: [Value::Uninit; Reg::FP.index()], frame: u8::try_from(frame).unwrap_or(u8::MAX) }
    }

    /// R0 to R9.
    pub fn held(&self) -> &[Value; Reg::FP.index()] {
        &self.held
    }

    /// R0 to R9.
    pub fn held_mut(&mut self) -> &mut [Value; Reg::FP.index()] {
        &mut self.held
    }

    /// One of R0 to R10.
    pub fn get(&self, reg: usize) -> Option<&Value> {
        (reg < Reg::COUNT).then(|| &self[reg])
    }

    /// R0 to R10.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.held.iter().chain([&self[Reg::FP.index()]])
    }
}

impl Index<usize> for Regs {
    type Output = Value;

    #[inline]
    fn index(&self, reg: usize) -> &Value {
        if reg == Reg::FP.index() { &FRAME_POINTERS[usize::from(self.frame)] } else { &self.held[reg] }
    }
}

impl IndexMut<usize> for Regs {
    /// One of R0 to R9: nothing writes R10.
    #[inline]
    fn index_mut(&mut self, reg: usize) -> &mut Value {
        &mut self.held[reg]
    }
}
