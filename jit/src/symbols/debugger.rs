//! The interface by which a debugger learns of code that is made at run time: a list of objects at a known name, and a function in
//! which it stops when the list changes (GDB's manual, "JIT Compilation Interface"; LLDB has it too).
//!
//! The two names are GDB's, and so the only things here that belong to the whole process. They are there with the crate's feature
//! `debugger`, as a process may have them only once.

use std::sync::Arc;

use super::{Symbols, elf};
use crate::Compiled;

/// While this lives, a debugger knows the functions of a program by name, and how to leave their frames.
#[derive(Debug)]
pub struct Debugger {
    #[cfg(feature = "debugger")]
    entry: Box<list::Entry>,
    object: Arc<[u8]>,
    _compiled: Arc<Compiled>,
}

impl Debugger {
    /// Tells a debugger of a program. Without the feature `debugger` nobody is told; the object is there all the same.
    pub fn register(compiled: &Arc<Compiled>, symbols: &Symbols) -> Debugger {
        let object: Arc<[u8]> = elf::object(compiled, symbols).into();
        Debugger {
            #[cfg(feature = "debugger")]
            entry: list::add(&object),
            object,
            _compiled: Arc::clone(compiled),
        }
    }

    /// The ELF object that describes the program.
    pub fn object(&self) -> &[u8] {
        &self.object
    }
}

#[cfg(feature = "debugger")]
impl Drop for Debugger {
    fn drop(&mut self) {
        list::remove(&mut self.entry);
    }
}

#[cfg(feature = "debugger")]
mod list {
    use std::ptr;
    use std::sync::{Mutex, PoisonError};

    /// `struct jit_code_entry`
    #[repr(C)]
    #[derive(Debug)]
    pub(super) struct Entry {
        next: *mut Entry,
        previous: *mut Entry,
        object: *const u8,
        size: u64,
    }

    // SAFETY: the pointers are followed and changed only under `LOCK`.
    unsafe impl Send for Entry {}
    // SAFETY: as above.
    unsafe impl Sync for Entry {}

    /// `struct jit_descriptor`
    #[repr(C)]
    pub struct Descriptor {
        version: u32,
        action: u32,
        relevant: *mut Entry,
        first: *mut Entry,
    }

    const NOTHING: u32 = 0;
    const REGISTERED: u32 = 1;
    const UNREGISTERED: u32 = 2;

    #[unsafe(no_mangle)]
    static mut __jit_debug_descriptor: Descriptor =
        Descriptor { version: 1, action: NOTHING, relevant: ptr::null_mut(), first: ptr::null_mut() };

    /// The debugger stops here and reads the descriptor.
    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn __jit_debug_register_code() {
        // Or calls of it would be left out.
        std::hint::black_box(&raw const __jit_debug_descriptor);
    }

    static LOCK: Mutex<()> = Mutex::new(());

    pub(super) fn add(object: &[u8]) -> Box<Entry> {
        let _held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = &raw mut __jit_debug_descriptor;
        // SAFETY: under the lock nobody else reads or writes the list.
        let next = unsafe { (*descriptor).first };
        let mut entry =
            Box::new(Entry { next, previous: ptr::null_mut(), object: object.as_ptr(), size: object.len() as u64 });
        let this = &raw mut *entry;
        // SAFETY: as above; entries take themselves out of the list before they go.
        unsafe {
            if let Some(next) = next.as_mut() {
                next.previous = this;
            }
            (*descriptor).first = this;
            (*descriptor).relevant = this;
            (*descriptor).action = REGISTERED;
        }
        __jit_debug_register_code();
        entry
    }

    pub(super) fn remove(entry: &mut Entry) {
        let _held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = &raw mut __jit_debug_descriptor;
        let this = ptr::from_mut(entry);
        // SAFETY: as of `add`.
        unsafe {
            match entry.previous.as_mut() {
                Some(previous) => previous.next = entry.next,
                None => (*descriptor).first = entry.next,
            }
            if let Some(next) = entry.next.as_mut() {
                next.previous = entry.previous;
            }
            (*descriptor).relevant = this;
            (*descriptor).action = UNREGISTERED;
        }
        __jit_debug_register_code();
    }
}
