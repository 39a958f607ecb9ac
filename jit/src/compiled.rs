//! A compiled program: code in executable memory, and what belongs to it.

use std::ops::Range;
use std::sync::Arc;

use ring3_vm::lower::Subprog;
use ring3_vm::{
    CallHook, Callback, Env, Execute, HelperRef, Linked, MAY_GOTO_BUDGET, MapLookup, Op, RegionKind, Simple,
};

use crate::compile::{Assembled, Function, Runtime, Stopped, Unit};
use crate::constants::Constant;
use crate::exec_mem::ExecMem;
use crate::guards::{Guards, Options};
use crate::symbols::Unwind;
use crate::target::{Array, Callee, Shortcut};
use crate::{JitError, aarch64, inline, x64};

/// The main function of a compiled program: gives R0.
///
/// # Safety
///
/// The compiled program still is there, `ctx` is the address of a context as [`ring3_vm::run`] makes sure that it is, and `env` the environment of the run. If the program
/// calls anything, [`Env::enter`] was called for it.
pub type MainFn = unsafe extern "C" fn(ctx: u64, env: &mut Env<'_>) -> u64;

/// How the trampoline is entered: `entry` is the address of a function that is not the main one.
type Trampoline = unsafe extern "C" fn(entry: *const u8, args: &[u64; 5], env: &mut Env<'_>) -> u64;

/// A machine that code can be emitted for, on whichever machine this runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arch {
    /// x86-64 with the System V ABI.
    X64,
    /// arm64 with AAPCS64.
    Arm64,
}

impl Arch {
    /// The machine that this runs on, if it is one of them.
    pub const HOST: Option<Arch> = if cfg!(all(target_arch = "x86_64", unix)) {
        Some(Arch::X64)
    } else if cfg!(all(target_arch = "aarch64", target_endian = "little", unix)) {
        Some(Arch::Arm64)
    } else {
        None
    };
}

/// The compiler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Jit;

impl Jit {
    /// Whether programs can be compiled for the machine that this runs on: see [`Arch::HOST`].
    pub const fn is_supported() -> bool {
        Arch::HOST.is_some()
    }

    /// Compiles a program for this machine. [`JitError::NotVerified`] if nobody proved it safe: machine code checks nothing.
    pub fn compile(linked: Arc<Linked>) -> Result<Compiled, JitError> {
        Jit::compile_with(linked, Options::default())
    }

    /// The same, with what an embedder of programs that it does not trust adds.
    pub fn compile_with(linked: Arc<Linked>, options: Options) -> Result<Compiled, JitError> {
        Jit::compile_into(None, linked, options)
    }

    /// The same into memory of a program that is no more, which saves half of what compiling a short one takes: most of that is asking
    /// the system for memory. It is never writable and executable at a time, here neither.
    pub fn compile_into(room: Option<Room>, linked: Arc<Linked>, options: Options) -> Result<Compiled, JitError> {
        Jit::compile_guarded(room, linked, options, Guards::new(options))
    }

    /// The same with a mistake in it, for tests that are to find it.
    #[cfg(feature = "planted")]
    pub fn compile_planted(
        room: Option<Room>,
        linked: Arc<Linked>,
        options: Options,
        bug: crate::planted::Bug,
    ) -> Result<Compiled, JitError> {
        Jit::compile_guarded(room, linked, options, Guards { planted: Some(bug), ..Guards::new(options) })
    }

    fn compile_guarded(
        room: Option<Room>,
        linked: Arc<Linked>,
        options: Options,
        guards: Guards,
    ) -> Result<Compiled, JitError> {
        if !linked.is_verified() {
            return Err(JitError::NotVerified);
        }
        let Some(arch) = Arch::HOST else {
            return Err(JitError::UnsupportedHost { arch: std::env::consts::ARCH, os: std::env::consts::OS });
        };
        let mut assembled = emit(&linked, arch, options, guards)?;
        let code = std::mem::take(&mut assembled.code);
        let code = match room {
            Some(Room(memory)) => memory.replace(&code)?,
            None => ExecMem::publish(&code)?,
        };
        let alone = !options.budget && linked.is_alone();
        Ok(Compiled { linked, code, assembled, counted: options.budget, alone })
    }

    /// Emits the code of a program for any machine, to be looked at: with the instructions that this machine has if it is the same,
    /// else with those that all of that kind have. [`JitError::NotVerified`] as of [`Jit::compile`].
    pub fn emit(linked: Arc<Linked>, arch: Arch) -> Result<Emitted, JitError> {
        Jit::emit_with(linked, arch, Options::default())
    }

    /// The same as of [`Jit::compile_with`].
    pub fn emit_with(linked: Arc<Linked>, arch: Arch, options: Options) -> Result<Emitted, JitError> {
        if !linked.is_verified() {
            return Err(JitError::NotVerified);
        }
        let assembled = emit(&linked, arch, options, Guards::new(options))?;
        Ok(Emitted { linked, assembled })
    }
}

fn emit(linked: &Linked, arch: Arch, options: Options, guards: Guards) -> Result<Assembled, JitError> {
    let helpers: Vec<Callee> = linked.helpers().iter().map(callee).collect();
    let functions: Vec<Function> = linked.subprogs().iter().map(function).collect();
    let lookups = shortcuts(linked);
    let runtime = Runtime {
        helpers: &helpers,
        tail_call: Callee(ring3_vm::tail_call as *const () as usize),
        legacy_packet: Callee(ring3_vm::legacy_packet as *const () as usize),
        guarded: Callee(ring3_vm::guarded as *const () as usize),
        may_goto_budget: MAY_GOTO_BUDGET,
        guards,
        stopped: linked.may_be_stopped().then_some(Stopped {
            offset: Env::STOPPED_OFFSET as u32,
            note: Callee(ring3_vm::stopped as *const () as usize),
        }),
    };
    let constants: Vec<Constant<'_>> =
        linked.maps().iter().filter_map(|handle| Constant::of(handle.map.as_ref())).collect();
    let unit = Unit {
        ops: linked.ops(),
        slots: linked.slots(),
        functions: &functions,
        lookups: &lookups,
        regions: linked.regions(),
        constants: &constants,
        runtime,
        joined: true,
    };
    let inlined = inline::inlined(&unit);
    let unit = inlined.as_ref().map_or(unit, |inlined| inlined.unit(&unit));
    let assembled = match arch {
        Arch::X64 => x64::assemble(&unit, x64::Features::detect(), options.retpolines),
        Arch::Arm64 => aarch64::assemble(&unit, aarch64::Features::detect()),
    }?;
    Ok(Assembled { inlined, ..assembled })
}

/// Calls that are done in another way, in the order of operations.
fn shortcuts(linked: &Linked) -> Vec<(u32, Shortcut)> {
    let mut found: Vec<_> = linked.lookups().filter_map(|(op, found)| Some((op, lookup(found)?))).collect();
    if linked.helpers().iter().all(|helper| helper.simple.is_none()) {
        return found;
    }
    for (at, op) in (0..).zip(linked.ops()) {
        let Op::CallHelper { helper } = op else { continue };
        match linked.helpers().get(usize::from(*helper)).and_then(|helper| helper.simple) {
            Some(Simple::ProcessorId) => found.push((at, Shortcut::ProcessorId)),
            Some(Simple::Random) => found.push((at, Shortcut::Random)),
            None => {}
        }
    }
    found.sort_by_key(|(op, _)| *op);
    found
}

fn callee(helper: &HelperRef) -> Callee {
    Callee(helper.func as *const () as usize)
}

fn function(subprog: &Subprog) -> Function {
    Function { start: subprog.entry, end: subprog.end, stack: subprog.stack_depth }
}

/// `None` where the values are too large for code without a call.
fn lookup(lookup: MapLookup) -> Option<Shortcut> {
    let small = |bytes: usize| i32::try_from(bytes).ok()?.try_into().ok();
    match lookup {
        MapLookup::Array(layout) => {
            let base = layout.base.as_ptr().expose_provenance() as u64;
            let array = Array { base, stride: small(layout.stride)?, entries: layout.entries };
            match small(layout.plane)? {
                0 => Some(Shortcut::Array(array)),
                plane => Some(Shortcut::PerCpu(array, plane)),
            }
        }
        MapLookup::Call(call) => Some(Shortcut::Call {
            map: call.map.expose_provenance() as u64,
            callee: Callee(call.function as *const () as usize),
            per_cpu: call.per_cpu,
        }),
    }
}

/// Machine code of a program. [`ring3_vm::run`] runs it.
#[derive(Debug)]
pub struct Compiled {
    linked: Arc<Linked>,
    code: ExecMem,
    /// Without the bytes, which are in `code`.
    assembled: Assembled,
    /// Looks at the budget.
    counted: bool,
    /// Calls nothing that is not its own, so that the environment need not know of it.
    alone: bool,
}

/// Executable memory of a program that is no more: see [`Jit::compile_into`].
#[derive(Debug)]
pub struct Room(ExecMem);

/// Machine code of a program that is only to be looked at.
#[derive(Debug)]
pub struct Emitted {
    linked: Arc<Linked>,
    assembled: Assembled,
}

impl Emitted {
    /// The code.
    pub fn code(&self) -> &[u8] {
        &self.assembled.code
    }

    /// For each function the offset of its first byte; the main one is the first.
    pub fn functions(&self) -> &[u32] {
        &self.assembled.function_offsets
    }

    /// All of the code in pieces, as of [`Compiled::listing`].
    pub fn listing(&self) -> Vec<Piece> {
        listing(&self.linked, &self.assembled, self.assembled.code.len())
    }
}

/// A run of machine code that has one origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Which bytes of the code.
    pub code: Range<usize>,
    /// What it was made of.
    pub origin: Origin,
}

/// What a piece of code was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The start of this function, which builds its frame.
    Prologue {
        /// Index of the function; 0 is the main one.
        function: usize,
    },
    /// The instruction in this slot of the program.
    Slot(u32),
    /// What helpers that call back enter the program by.
    Trampoline,
}

impl Compiled {
    /// Gives up the program for its memory.
    pub fn into_room(self) -> Room {
        Room(self.code)
    }

    /// The code. Its size is that of the program as `bpftool` shows it (`jited`).
    pub fn code(&self) -> &[u8] {
        self.code.bytes()
    }

    /// Address of the first byte of the code.
    pub fn address(&self) -> u64 {
        self.code.bytes().as_ptr() as u64
    }

    /// The program as a plain function. [`ring3_vm::run`] calls it with all that makes it safe.
    #[inline]
    pub fn function(&self) -> MainFn {
        let start = self.code.bytes().as_ptr();
        // SAFETY: `assemble` puts the main function first, of this signature, in code for this machine (`Jit::compile`).
        unsafe { std::mem::transmute::<*const u8, MainFn>(start) }
    }

    /// For each function the offset of its first byte; the main one is the first.
    pub fn functions(&self) -> &[u32] {
        &self.assembled.function_offsets
    }

    /// All of the code in pieces, in order and without gaps: for listings that put BPF instructions beside machine code.
    pub fn listing(&self) -> Vec<Piece> {
        listing(&self.linked, &self.assembled, self.code().len())
    }

    /// The frame of each function.
    pub(crate) fn unwinds(&self) -> &[Unwind] {
        &self.assembled.unwinds
    }

    /// That of the trampoline.
    pub(crate) fn trampoline_unwind(&self) -> &Unwind {
        &self.assembled.trampoline_unwind
    }

    /// Where the trampoline starts.
    pub(crate) fn trampoline(&self) -> u32 {
        self.assembled.trampoline
    }

    fn at(&self, offset: u32) -> Option<*const u8> {
        self.code.address(offset as usize)
    }
}

fn listing(linked: &Linked, assembled: &Assembled, len: usize) -> Vec<Piece> {
    let Assembled { op_offsets, function_offsets, trampoline, inlined, .. } = assembled;
    let slots = inlined.as_ref().map_or(linked.slots(), |inlined| &inlined.slots);
    let mut pieces: Vec<Piece> = Vec::with_capacity(op_offsets.len() + function_offsets.len());
    let mut add = |end: u32, origin| {
        let start = pieces.last().map_or(0, |piece| piece.code.end);
        if end as usize > start {
            pieces.push(Piece { code: start..end as usize, origin });
        }
    };
    for (function, subprog) in linked.subprogs().iter().enumerate() {
        let own = inlined.as_ref().and_then(|inlined| inlined.functions.get(function));
        let (start, last) = own.map_or((subprog.entry, subprog.end), |own| (own.start, own.end));
        let ops = start as usize..last as usize;
        let after = function_offsets.get(function + 1).copied().unwrap_or(*trampoline);
        add(op_offsets.get(ops.start).copied().map_or(after, |at| at.min(after)), Origin::Prologue { function });
        for op in ops {
            // What follows the last operation of a function is its guard, if there is one.
            let end = op_offsets.get(op + 1).copied().unwrap_or(after);
            let end = if op + 1 == last as usize { after } else { end };
            add(end, Origin::Slot(slots.get(op).copied().unwrap_or(0)));
        }
    }
    add(len as u32, Origin::Trampoline);
    pieces
}

// SAFETY: the program is set once, and its code touches the environment only through helpers.
unsafe impl Execute for Compiled {
    fn linked(&self) -> &Arc<Linked> {
        &self.linked
    }

    unsafe fn execute(&self, env: &mut Env<'_>, ctx: u64) -> u64 {
        let main = self.function();
        if self.alone {
            // SAFETY: the program was verified, the caller vouches for the context, and nothing looks for the program in the
            // environment.
            return unsafe { main(ctx, env) };
        }
        let hook = CallHook { call: callback, data: std::ptr::from_ref(self).cast() };
        if self.counted {
            env.count_without_end();
        }
        let entered = env.enter(&self.linked, hook);
        // SAFETY: the program was verified, and the caller vouches for the context.
        let ret = unsafe { main(ctx, env) };
        env.leave(entered);
        ret
    }

    unsafe fn execute_callback(
        &self,
        env: &mut Env<'_>,
        function: Callback,
        args: [u64; 5],
        _readable: &[(u64, u64, RegionKind)],
    ) -> u64 {
        let hook = CallHook { call: callback, data: std::ptr::from_ref(self).cast() };
        if self.counted {
            env.count_without_end();
        }
        let entered = env.enter(&self.linked, hook);
        // SAFETY: the hook is this program's, and the arguments are vouched for by the caller.
        let ret = unsafe { callback(hook.data, env, function.0, args) };
        env.leave(entered);
        ret
    }
}

/// What the hook of the environment calls.
///
/// # Safety
///
/// `data` is a `Compiled` that runs now, and the arguments are what the verifier assumed.
unsafe fn callback(data: *const (), env: &mut Env<'_>, subprog: u32, args: [u64; 5]) -> u64 {
    // SAFETY: `execute` put it there, and takes the hook back before it returns.
    let compiled = unsafe { &*data.cast::<Compiled>() };
    let index = subprog as usize;
    let entry = compiled.assembled.function_offsets.get(index).and_then(|offset| compiled.at(*offset));
    // The main function is entered in another way. A verified program has no callback that is recursive.
    let (Some(entry), Some(trampoline), true) = (entry, compiled.at(compiled.assembled.trampoline), index != 0) else {
        return 0;
    };
    // SAFETY: `assemble` put the trampoline there, of this signature, in code for this machine.
    let trampoline = unsafe { std::mem::transmute::<*const u8, Trampoline>(trampoline) };
    // SAFETY: the entry is that of a function other than the main one; the arguments suit it by the caller.
    unsafe { trampoline(entry, &args, env) }
}
