//! Functions of the program: calls of static and global ones, callbacks, and how deep it all goes. What global ones expect is
//! in `global.rs`.

use std::rc::Rc;

use ring3_btf::{Btf, FuncEntry, Linkage, Type, TypeId};
use ring3_isa::{Callee, Insn, Reg, Wide};
use ring3_platform::{AttachType, ProgType};

use super::call::Args;
use crate::cfg::graph::THROW;
use crate::diag::reject::{Reject, unsupported};
use crate::state::{Callback, Frame, PtrKind, Slice, State, Value};
use crate::walk::{Next, Walk};

/// Frames that may be open (MAX_CALL_FRAMES).
pub const MAX_FRAMES: usize = 8;
/// Bytes of stack that all open frames may have together.
const MAX_STACK: u32 = 512;
/// Bytes that may lie above a function that does a tail call.
const MAX_STACK_TAIL_CALL: u32 = 256;
/// Frames from this size on get a stack of their own in tracing programs (BPF_PRIV_STACK_MIN_SIZE).
const PRIVATE_STACK: u32 = 64;

/// A callback that runs later on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Later {
    /// It may sleep.
    pub sleepable: bool,
    /// What it may return.
    pub range: (i32, i32),
}

impl Later {
    /// A timer's.
    pub const TIMER: Later = Later { sleepable: false, range: (0, 0) };
    /// A work queue's.
    pub const WORK: Later = Later { sleepable: true, range: (0, 0) };
    /// That of work which a task does on its way back to user space.
    pub const TASK: Later = Later { sleepable: true, range: (i32::MIN, i32::MAX) };
}

impl Walk<'_> {
    /// What BTF says of a function.
    pub fn func_entry(&self, subprog: usize) -> Option<&FuncEntry> {
        let start = self.structure.subprogs[subprog].start;
        self.program.info.as_ref()?.funcs.iter().find(|func| func.slot as usize == start)
    }

    /// The name of a function.
    pub fn subprog_name(&self, subprog: usize) -> String {
        self.func_entry(subprog).map(|func| func.name.to_string()).unwrap_or_default()
    }

    /// Whether a function is judged on its own.
    pub fn is_global(&self, subprog: usize) -> bool {
        subprog != 0 && self.func_entry(subprog).is_some_and(|func| func.linkage == Linkage::Global)
    }

    /// A call of a function of the program.
    pub(super) fn call_subprog(&mut self, off: i32) -> Result<Next, Reject> {
        let start = self.slot_at(off)?;
        let Some(subprog) = self.structure.subprog_at(start) else {
            return Err(Reject::BadCallTarget {});
        };
        if self.is_global(subprog) {
            return self.call_global(subprog);
        }
        let (callsite, caller_regs) = (self.at, self.path.state.frame().regs);
        self.enter_frame(subprog, callsite, |callee| {
            callee.regs.held_mut()[1..=5].copy_from_slice(&caller_regs.held()[1..=5]);
        })?;
        let caller = self.path.state.frames.len() - 2;
        let frame = self.path.state.frame_at(caller);
        frame.regs.held_mut()[..=5].fill(Value::Uninit);
        if self.log.on() {
            let text = format!("caller:\n{}\ncallee:\n{}\n", self.render(caller), self.render(caller + 1));
            self.log.push(&text);
        }
        self.scratched = crate::diag::render::Scratched::ALL;
        Ok(Next::Goto(start))
    }

    fn enter_frame(&mut self, subprog: usize, callsite: usize, set: impl FnOnce(&mut Frame)) -> Result<(), Reject> {
        let depth = self.path.state.frames.len();
        self.frames_changed();
        push_frame(&mut self.path.state, subprog, callsite, set).ok_or(Reject::CallDepth { frames: depth + 1 })
    }

    /// What was lent to the callback that returns from this frame is gone: where its caller still has a pointer to it, that is a
    /// number. Linux 6.18 lets the caller read what is there then.
    pub(super) fn take_back(&mut self, frame: usize) {
        super::dynptr::forget_slices(&mut self.path.state, Slice::lent(frame).id());
    }

    /// The callback's frame goes on another path; the current one goes on as if it was not called.
    pub(super) fn push_callback(&mut self, args: &Args, regs: &[Value]) -> Result<(), Reject> {
        let Some(subprog) = args.callback.map(|s| s as usize) else {
            return unsupported("a callback that is not a function of the program");
        };
        self.called_back[subprog] = true;
        let (callsite, depth) = (self.at, self.path.state.frames.len());
        let start = self.structure.subprogs[subprog].start;
        let state = self.push(start)?;
        state.callback_unroll_depth += 1;
        push_frame(state, subprog, callsite, |callee| {
            callee.regs.held_mut()[1..=regs.len()].copy_from_slice(regs);
            callee.regs.held_mut()[1..=regs.len()].iter_mut().for_each(|value| lend(value, depth));
            callee.callback = Some(Callback::SYNC);
        })
        .ok_or(Reject::CallDepth { frames: depth + 1 })?;
        state.frame_at(depth - 1).callback_depth += 1;
        self.scratched = crate::diag::render::Scratched::ALL;
        self.path.state.frame_mut().callback_depth = 0;
        Ok(())
    }

    /// The callback runs later on its own: from a state of its own, where nothing is known of this one.
    pub(super) fn push_later(&mut self, args: &Args, regs: &[Value], later: Later) -> Result<(), Reject> {
        let Some(subprog) = args.callback.map(|s| s as usize) else {
            return unsupported("a callback that is not a function of the program");
        };
        self.runs_later[subprog] = true;
        self.called_back[subprog] = true;
        let mut state = State::entry(subprog);
        let before = self.path.state.frame().callback.map_or(0, |callback| callback.entries);
        let frame = state.frame_mut();
        frame.regs.held_mut()[1..=regs.len()].copy_from_slice(regs);
        frame.callback = Some(Callback { sync: false, range: later.range, entries: before + 1 });
        state.sleepable = later.sleepable;
        self.scratched = crate::diag::render::Scratched::ALL;
        self.push_root(self.structure.subprogs[subprog].start, state)
    }

    /// The callback of a timer or work item in a map's value gets the map, a key and the value.
    pub(super) fn element_callback(&mut self, args: &Args, map: u32, later: Later) -> Result<(), Reject> {
        let regs = [PtrKind::ConstMap(map), PtrKind::MapKey(map), PtrKind::MapValue(map)].map(Value::ptr);
        self.push_later(args, &regs, later)
    }

    fn call_global(&mut self, subprog: usize) -> Result<Next, Reject> {
        let name = self.subprog_name(subprog);
        let checked = self.check_global_args(subprog);
        if self.path.state.is_locked() {
            return Err(Reject::GlobalUnderLock {});
        }
        if let Err(reject) = &checked {
            // What ring3 cannot judge is not the caller's fault.
            if matches!(reject, Reject::Unsupported { .. }) {
                return checked.map(|()| Next::Fall);
            }
            self.log.push(&reject.text());
            self.log.push("\n");
        }
        let sleepless = self.sleepless_region().is_some() || !self.path.state.sleepable;
        if self.structure.subprogs[subprog].might_sleep && sleepless {
            return Err(Reject::GlobalSleeps {});
        }
        if let Err(why) = &checked {
            return Err(super::global::caller(why, subprog, name));
        }
        if self.structure.subprogs[subprog].throws {
            // Linux looks only at what the function itself holds where it throws; its callers give nothing back then either.
            self.check_references(THROW)?;
            self.check_regions(THROW)?;
        }
        if self.log.any() {
            self.log.push(&format!("Func#{subprog} ('{name}') is global and assumed valid.\n"));
        }
        if self.structure.subprogs[subprog].changes_packet {
            self.forget_packets();
        }
        self.called[subprog] = true;
        self.forget_caller_saved();
        self.write(Reg::R0, Value::unknown());
        Ok(Next::Fall)
    }
}

fn push_frame(state: &mut State, subprog: usize, callsite: usize, set: impl FnOnce(&mut Frame)) -> Option<()> {
    let depth = state.frames.len();
    if depth >= MAX_FRAMES {
        return None;
    }
    let mut frame = Frame::new(subprog, callsite, u32::try_from(depth).ok()?);
    set(&mut frame);
    state.frames.push(Rc::new(frame));
    Some(())
}

/// Tags on a function: component (argument, or none) and text.
pub fn decl_tags(btf: &Btf, func: TypeId) -> Vec<(Option<usize>, &str)> {
    btf.types()
        .iter()
        .filter_map(|ty| match ty {
            Type::DeclTag { name, target, component, .. } if *target == func => {
                Some((usize::try_from(*component).ok(), btf.string(*name)))
            }
            _ => None,
        })
        .collect()
}

/// One function on the way down.
struct Level {
    subprog: usize,
    slot: usize,
    depth: u32,
}

/// Whether large frames of a program get a stack of their own: where Linux keeps such a program from interrupting itself.
fn has_private_stacks(walk: &Walk<'_>) -> bool {
    let is_guarded = match walk.program.kind {
        ProgType::Kprobe | ProgType::Tracepoint | ProgType::PerfEvent | ProgType::RawTracepoint => true,
        ProgType::Tracing => walk.program.attach != Some(AttachType::TraceIter),
        _ => false,
    };
    // What extends one of these has no stack of its own.
    is_guarded && !walk.structure.extends && !walk.structure.subprogs.iter().any(|subprog| subprog.has_tail_call)
}

/// The stack of every chain of calls fits.
pub fn check_stack_depth(walk: &Walk<'_>) -> Result<(), Reject> {
    let subprogs = &walk.structure.subprogs;
    let has_private = has_private_stacks(walk);
    let size_of = |subprog: usize| walk.counted_depth(subprog).next_multiple_of(16);
    // Which functions have a stack of their own: it is there once for each CPU, so nothing has one that may also run later.
    let mut own: Vec<Option<bool>> = vec![None; subprogs.len()];
    let mut enter = |root: usize, subprog: usize, above: u32, levels: usize| -> Result<Level, Reject> {
        let size = size_of(subprog);
        if levels > 0 && subprogs[subprog].has_tail_call && above >= MAX_STACK_TAIL_CALL {
            return Err(Reject::StackDepthTailCall { size: above });
        }
        let private = *own[subprog].get_or_insert(root == 0 && has_private && size >= PRIVATE_STACK);
        if private && size > MAX_STACK {
            return Err(Reject::StackSubprog { subprog, size });
        }
        let depth = if private { above } else { above + size };
        if depth > MAX_STACK {
            return Err(Reject::StackDepth { frames: levels + 1, size: depth });
        }
        Ok(Level { subprog, slot: subprogs[subprog].start, depth })
    };
    let thrown = walk.structure.exception_callback;
    let on_its_own = |subprog: usize| walk.runs_later[subprog] || thrown == Some(subprog);
    let is_callback = |level: &Level| walk.called_back[level.subprog] || thrown == Some(level.subprog);
    let mut roots: Vec<usize> = (0..subprogs.len()).filter(|root| *root == 0 || on_its_own(*root)).collect();
    let mut stack = Vec::new();
    let mut root = 0;
    loop {
        if stack.is_empty() {
            // The main function is the last one, when it is known what runs later, too.
            let Some(next) = roots.pop() else { return Ok(()) };
            root = next;
            if thrown == Some(root) && subprogs.iter().any(|subprog| subprog.has_tail_call) {
                return unsupported("a callback for exceptions beside tail calls");
            }
            stack.push(enter(root, root, 0, 0)?);
        }
        while let Some(level) = stack.last_mut() {
            if level.slot >= subprogs[level.subprog].end {
                stack.pop();
                continue;
            }
            let (slot, subprog) = (level.slot, level.subprog);
            level.slot = walk.program.code.next(slot);
            let depth = level.depth;
            let (off, is_call) = match walk.decoded(slot) {
                Some(Insn::Call(Callee::Local(off))) => (off, true),
                Some(Insn::LoadImm { value: Wide::Func(off), .. }) => (off, false),
                Some(Insn::Call(Callee::Kfunc { id, off })) => {
                    let called = walk.structure.kfuncs.called(walk.program, id, off);
                    if called.is_some_and(|proto| proto.row.name == THROW) && stack.iter().any(is_callback) {
                        return Err(Reject::ThrowInCallback { at: slot, subprog });
                    }
                    continue;
                }
                Some(_) | None => continue,
            };
            let callee =
                crate::cfg::target(&walk.program.code, slot, off).and_then(|start| walk.structure.subprog_at(start));
            let Some(callee) = callee else { return Err(Reject::BadCallTarget {}) };
            if on_its_own(callee) && subprogs[callee].has_tail_call {
                return Err(Reject::LaterTailCall {});
            }
            // What runs later has a stack of its own then.
            if !is_call && on_its_own(callee) {
                continue;
            }
            if thrown == Some(callee) {
                return Err(Reject::ExceptionCallbackCalled { at: slot });
            }
            if stack.len() >= MAX_FRAMES {
                return Err(Reject::CallDepthStatic { frames: stack.len() });
            }
            let next = enter(root, callee, depth, stack.len())?;
            stack.push(next);
        }
    }
}

/// A key, or a dynptr, that a helper makes for its callback lives as long as that runs.
fn lend(value: &mut Value, frame: usize) {
    if let Value::Ptr(ptr) = value
        && matches!(ptr.kind, PtrKind::MapKey(_) | PtrKind::Dynptr(_))
    {
        ptr.slice = Slice::lent(frame);
    }
}
