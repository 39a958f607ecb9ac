//! Call frame information: how to get from a frame of the code to its caller's (DWARF 5, section 6.4, in the form of `.eh_frame` of
//! the Linux Standard Base).
//!
//! What is said holds from the end of a function's prologue to its epilogues, so everywhere that a call is made, and at its very
//! first instruction. Within prologues and epilogues a profiler that stops at any instruction may lose a frame.

use crate::{Arch, Compiled};

/// How the frame of a function is laid out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Unwind {
    /// Bytes of the prologue.
    pub(crate) prologue: u32,
    /// From the stack pointer behind the prologue up to where it was before the call.
    pub(crate) frame: u32,
    /// Registers by their DWARF numbers, and how far below that place they are saved.
    pub(crate) saved: Vec<(u8, u32)>,
}

/// What differs between machines.
struct Machine {
    stack_pointer: u8,
    return_address: u8,
    /// From the stack pointer at a function's first instruction to where it was before the call.
    at_entry: u32,
    code_alignment: u8,
}

const X64: Machine = Machine { stack_pointer: 7, return_address: 16, at_entry: 8, code_alignment: 1 };
const ARM64: Machine = Machine { stack_pointer: 31, return_address: 30, at_entry: 0, code_alignment: 1 };

/// Offsets of saved registers are in units of this, downwards.
const DATA_ALIGNMENT: u32 = 8;
const DW_CFA_ADVANCE_LOC4: u8 = 0x04;
const DW_CFA_DEF_CFA: u8 = 0x0c;
const DW_CFA_DEF_CFA_OFFSET: u8 = 0x0e;
const DW_CFA_OFFSET: u8 = 0x80;
const DW_CFA_NOP: u8 = 0;

/// The `.eh_frame` of a program: one entry common to all functions, and one for each; ends with a zero.
pub(super) fn eh_frame(compiled: &Compiled) -> Vec<u8> {
    let machine = if Arch::HOST == Some(Arch::Arm64) { ARM64 } else { X64 };
    let mut out = Vec::new();
    let mut common = vec![0, 0, 0, 0, 1, 0, machine.code_alignment];
    // -8, as a signed LEB128.
    common.extend([0x78, machine.return_address, DW_CFA_DEF_CFA, machine.stack_pointer]);
    push_leb(&mut common, machine.at_entry);
    if machine.at_entry > 0 {
        common.extend([DW_CFA_OFFSET | machine.return_address, (machine.at_entry / DATA_ALIGNMENT) as u8]);
    }
    push_entry(&mut out, common);
    let starts = compiled.functions();
    for (index, (start, unwind)) in starts.iter().zip(compiled.unwinds()).enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(compiled.trampoline());
        push_function(&mut out, compiled.address() + u64::from(*start), end - start, unwind);
    }
    let (start, end) = (compiled.trampoline(), compiled.code().len() as u32);
    push_function(&mut out, compiled.address() + u64::from(start), end - start, compiled.trampoline_unwind());
    out.extend([0; 4]);
    out
}

fn push_function(out: &mut Vec<u8>, address: u64, len: u32, unwind: &Unwind) {
    // How far back the common entry is from this field.
    let mut entry = ((out.len() + 4) as u32).to_ne_bytes().to_vec();
    entry.extend(address.to_ne_bytes());
    entry.extend(u64::from(len).to_ne_bytes());
    entry.push(DW_CFA_ADVANCE_LOC4);
    entry.extend(unwind.prologue.to_ne_bytes());
    entry.push(DW_CFA_DEF_CFA_OFFSET);
    push_leb(&mut entry, unwind.frame);
    for (register, below) in &unwind.saved {
        entry.push(DW_CFA_OFFSET | register);
        push_leb(&mut entry, below / DATA_ALIGNMENT);
    }
    push_entry(out, entry);
}

fn push_entry(out: &mut Vec<u8>, mut entry: Vec<u8>) {
    while !(entry.len() + 4).is_multiple_of(8) {
        entry.push(DW_CFA_NOP);
    }
    out.extend((entry.len() as u32).to_ne_bytes());
    out.extend(entry);
}

fn push_leb(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// While this lives, the unwinder of the process finds its way through frames of the program: `std::backtrace` in a helper shows
/// who ran the program.
#[derive(Debug)]
pub struct Unwinding {
    frames: Box<[u8]>,
    /// The code must not go before this does.
    _compiled: std::sync::Arc<Compiled>,
}

impl Unwinding {
    /// Tells the unwinder of a program. `None` where the process has none that can be told.
    pub fn register(compiled: &std::sync::Arc<Compiled>) -> Option<Unwinding> {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            return None;
        }
        let frames = eh_frame(compiled).into_boxed_slice();
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: the bytes are an `.eh_frame` with its end, and stay where they are until `drop` takes them back.
        unsafe {
            __register_frame(frames.as_ptr());
        }
        Some(Unwinding { frames, _compiled: std::sync::Arc::clone(compiled) })
    }

    /// The `.eh_frame`.
    pub fn frames(&self) -> &[u8] {
        &self.frames
    }
}

impl Drop for Unwinding {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: `register` registered the same address.
        unsafe {
            __deregister_frame(self.frames.as_ptr());
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    /// Of libgcc, which Rust's library is linked with.
    fn __register_frame(frames: *const u8);
    fn __deregister_frame(frames: *const u8);
}
