//! Calls of functions of the kernel: who may call, what single functions do beside the general rules, what comes back.
//! What the arguments have to be is in `kfunc_args.rs`.

use ring3_btf::{Kind, TypeId};
use ring3_isa::Reg;
use ring3_platform::kfuncs::{Kfunc, KfuncFlags};
use ring3_platform::maps::{Field, FieldKind};
use ring3_platform::{AttachType, Program};

use super::call::{Args, display_name};
use super::result::MAX_ERRNO;
use super::subprog::Later;
use crate::cfg::graph::{RBTREE_ADD, XDP_PULL_DATA};
use crate::cfg::kfuncs::{Named, Proto, Ret};
use crate::diag::reject::{Reject, unsupported};
use crate::domain::Scalar;
use crate::state::{
    BtfPtr, Dynptr, DynptrKind, Held, IterTrust, LockKind, MemOrigin, Ptr, PtrKind, Slice, Trust, Value,
};
use crate::walk::{Next, Walk};

/// What the arguments of a call say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// The reference of an argument.
    pub ref_id: u32,
    /// The argument that is released is there.
    pub releases: bool,
    /// Size of the memory that is returned, and whether programs may not write there.
    pub buffer: Option<(u64, bool)>,
    /// The iterator: frame, lowest slot.
    pub iter: Option<(usize, usize)>,
    /// A number that has to be known: the size of a slice.
    pub constant: Option<u64>,
    /// The dynptr that is there, the first of two.
    pub dynptr: Option<Dynptr>,
    /// The map, which of those that look alike, and the field that says so.
    pub map: Option<(u32, Slice, FieldKind)>,
    /// The function that is called back.
    pub callback: Option<u32>,
    /// The list or tree.
    pub root: Option<Field>,
    /// The object that is shared: its type, and whether who gives it owns it.
    pub shared: Option<(BtfPtr, bool)>,
}

/// Functions with rules of their own that are here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    RcuLock,
    RcuUnlock,
    PreemptDisable,
    PreemptEnable,
    IrqSave,
    IrqRestore,
    Throw,
    /// Makes a dynptr of this kind.
    DynptrFrom(DynptrKind),
    DynptrClone,
    /// Writes through a dynptr.
    DynptrWrite,
    /// Gives a pointer into a dynptr's memory.
    Slice {
        /// Programs may not write there.
        rdonly: bool,
    },
    /// Makes an object.
    NewObject,
    /// Makes one for each CPU.
    NewPercpu,
    /// Counts one more who has an object.
    Share,
    /// Puts a node into a list or a tree.
    Insert,
    /// Gives a node of a list or a tree.
    GiveNode,
    /// Gives the kernel's own structure behind the context.
    KernelContext,
    /// Gives a pointer to read through with faults caught.
    Cast,
    /// Takes a lock, which may fail.
    TakeLock(LockKind),
    /// Gives a lock back.
    GiveLock(LockKind),
    /// Its callback runs later on its own.
    Later(Later),
    /// Only the general rules.
    None,
}

/// What is not judged yet although every argument might be: the function does more than its prototype says, or is for
/// some programs of a type only.
const UNMODELLED: &[&str] = &[
    "__bpf_trap",
    "bpf_get_fsverity_digest",
    "bpf_get_kmem_cache",
    "bpf_kfree_skb",
    "bpf_qdisc_bstats_update",
    "bpf_qdisc_init_prologue",
    "bpf_qdisc_reset_destroy_epilogue",
    "bpf_qdisc_skb_drop",
    "bpf_qdisc_watchdog_schedule",
    "bpf_skb_get_hash",
];

/// Some functions are for programs only that are attached in some ways.
fn is_for(name: &str, attach: Option<AttachType>) -> bool {
    match name {
        "bpf_session_cookie" | "bpf_session_is_return" => {
            matches!(attach, Some(AttachType::TraceKprobeSession | AttachType::TraceUprobeSession))
        }
        "bpf_sock_destroy" => attach == Some(AttachType::TraceIter),
        _ => true,
    }
}

impl Own {
    fn of(name: &str) -> Own {
        match name {
            "bpf_rcu_read_lock" => Own::RcuLock,
            "bpf_rcu_read_unlock" => Own::RcuUnlock,
            "bpf_preempt_disable" => Own::PreemptDisable,
            "bpf_preempt_enable" => Own::PreemptEnable,
            "bpf_local_irq_save" => Own::IrqSave,
            "bpf_local_irq_restore" => Own::IrqRestore,
            "bpf_throw" => Own::Throw,
            "bpf_dynptr_from_skb" => Own::DynptrFrom(DynptrKind::Skb),
            "bpf_dynptr_from_skb_meta" => Own::DynptrFrom(DynptrKind::SkbMeta),
            "bpf_dynptr_from_xdp" => Own::DynptrFrom(DynptrKind::Xdp),
            "bpf_dynptr_clone" => Own::DynptrClone,
            "bpf_dynptr_copy" | "bpf_dynptr_memset" => Own::DynptrWrite,
            "bpf_dynptr_slice" => Own::Slice { rdonly: true },
            "bpf_dynptr_slice_rdwr" => Own::Slice { rdonly: false },
            "bpf_obj_new_impl" => Own::NewObject,
            "bpf_percpu_obj_new_impl" => Own::NewPercpu,
            "bpf_refcount_acquire_impl" => Own::Share,
            "bpf_list_push_back_impl" | "bpf_list_push_front_impl" | "bpf_rbtree_add_impl" => Own::Insert,
            "bpf_list_back" | "bpf_list_front" | "bpf_list_pop_back" | "bpf_list_pop_front" | "bpf_rbtree_first"
            | "bpf_rbtree_left" | "bpf_rbtree_remove" | "bpf_rbtree_right" | "bpf_rbtree_root" => Own::GiveNode,
            "bpf_cast_to_kern_ctx" => Own::KernelContext,
            "bpf_rdonly_cast" => Own::Cast,
            "bpf_res_spin_lock" => Own::TakeLock(LockKind::Res),
            "bpf_res_spin_lock_irqsave" => Own::TakeLock(LockKind::ResIrq),
            "bpf_res_spin_unlock" => Own::GiveLock(LockKind::Res),
            "bpf_res_spin_unlock_irqrestore" => Own::GiveLock(LockKind::ResIrq),
            "bpf_wq_set_callback_impl" => Own::Later(Later::WORK),
            "bpf_task_work_schedule_resume_impl" | "bpf_task_work_schedule_signal_impl" => Own::Later(Later::TASK),
            _ => Own::None,
        }
    }
}

impl Walk<'_> {
    /// A call of a function of the kernel.
    pub(super) fn call_kfunc(&mut self, id: i32, off: i16) -> Result<Next, Reject> {
        let Some(named) = self.program.kfunc(id, off) else {
            return unsupported(format!("the kernel function with BTF id {id}"));
        };
        let structure = self.structure;
        let found = usize::try_from(id).ok().and_then(|at| structure.kfuncs.named.get(at));
        match found {
            Some(Named::Known(proto)) => {
                self.may_call(proto.row)?;
                self.call_known(proto)
            }
            Some(Named::NoProto(row)) => {
                self.may_call(row)?;
                unsupported(format!("kernel function {} without the kernel's types (BTF)", row.name))
            }
            Some(Named::Unknown) | None if named.weak => {
                // The loader makes it a call of a helper that there is not.
                let id = Program::MISSING_KFUNC.saturating_add(id);
                Err(Reject::InvalidHelper { name: display_name(id), id })
            }
            Some(Named::Unknown) | None => unsupported(format!("kernel function {}", named.name)),
        }
    }

    fn may_call(&self, row: &'static Kfunc) -> Result<(), Reject> {
        match row.allows(self.program.kind) {
            Some(true) if is_for(row.name, self.program.attach) => Ok(()),
            Some(_) => Err(Reject::KfuncNotAllowed { name: row.name }),
            None => unsupported(format!("kernel function {}", row.name)),
        }
    }

    fn call_known(&mut self, proto: &Proto) -> Result<Next, Reject> {
        let name = proto.row.name;
        if UNMODELLED.contains(&name) {
            return unsupported(format!("kernel function {name}"));
        }
        let own = Own::of(name);
        if proto.has(KfuncFlags::SLEEPABLE) && !self.path.state.sleepable {
            return Err(Reject::KfuncSleepable { name });
        }
        if matches!(own, Own::TakeLock(_)) {
            self.lock_fails()?;
        }
        let mut said = Said::default();
        self.check_kfunc_args(proto, own, &mut said)?;
        if let (Own::Later(later), Some((map, _, _))) = (own, said.map) {
            let args = Args { callback: said.callback, ..Args::default() };
            self.element_callback(&args, map, later)?;
        }
        if name == RBTREE_ADD {
            self.compare_nodes(&said)?;
        }
        self.enter_regions(proto, own)?;
        if own == Own::Insert {
            self.insert_node()?;
        }
        if proto.has(KfuncFlags::RELEASE) && !self.release_reference(said.ref_id) {
            return Err(Reject::KfuncNotReferenced { name });
        }
        if own == Own::Throw {
            return self.throw();
        }
        self.forget_caller_saved();
        match own {
            Own::Slice { rdonly } => self.set_slice(proto, rdonly, &said)?,
            Own::NewObject => self.new_object(proto, &said)?,
            Own::NewPercpu => self.new_percpu(proto, &said)?,
            Own::Share => self.share_object(proto, &said)?,
            Own::GiveNode => self.give_node(proto, &said)?,
            Own::KernelContext => self.set_kernel_context()?,
            Own::Cast => self.set_cast(&said)?,
            _ => self.set_kfunc_result(proto, &said)?,
        }
        if matches!(own, Own::TakeLock(_)) {
            self.write(Reg::R0, Value::constant(0));
        }
        // Linux forgets this; writing may move a packet.
        if own == Own::DynptrWrite && said.dynptr.is_some_and(|dynptr| dynptr.kind.may_move()) {
            self.forget_packets();
        }
        if name == XDP_PULL_DATA {
            self.forget_packets();
        }
        if proto.has(KfuncFlags::ITER_NEXT) {
            self.iterate(&said)?;
        }
        Ok(Next::Fall)
    }

    /// The kernel has a structure with the contexts of all types of programs, as users and as it sees them.
    fn set_kernel_context(&mut self) -> Result<(), Reject> {
        let Some(kernel) = &self.target.btf else { return unsupported("a context without the kernel's types (BTF)") };
        let member = format!("BPF_PROG_TYPE_{}_kern", self.program.kind.name().to_uppercase());
        let found = kernel.find("bpf_ctx_convert", Kind::Struct).and_then(|id| kernel.member(id, &member));
        let Some(found) = found else { return unsupported(format!("the kernel's context of {member}")) };
        if !kernel.get(found.ty).is_some_and(|ty| matches!(ty.kind(), Kind::Struct | Kind::Union)) {
            return Err(Reject::KernelContext { id: found.ty.0 });
        }
        self.write(Reg::R0, Value::ptr(PtrKind::Btf(BtfPtr::kernel(found.ty.0, Trust::TRUSTED))));
        Ok(())
    }

    fn set_cast(&mut self, said: &Said) -> Result<(), Reject> {
        let (Some(kernel), Some(id)) = (&self.target.btf, said.constant) else {
            return unsupported("a cast without the kernel's types (BTF)");
        };
        let to = ring3_isa::num::low32(id);
        let kind = match kernel.get(TypeId(to)).map(|ty| ty.kind()) {
            None => return Err(Reject::CastUnknown { id }),
            Some(Kind::Struct | Kind::Union) => PtrKind::Btf(BtfPtr::kernel(to, Trust::UNTRUSTED)),
            Some(Kind::Void) => PtrKind::AnyMem,
            Some(_) => return Err(Reject::CastKind {}),
        };
        self.write(Reg::R0, Value::ptr(kind));
        Ok(())
    }

    /// The way on which a lock is not taken: an error number says so.
    fn lock_fails(&mut self) -> Result<(), Reject> {
        let error = Value::number(Scalar::unknown().meet_s32range(-MAX_ERRNO, -1));
        let frame = self.push(self.at + 1)?.frame_mut();
        frame.regs.held_mut()[..=5].fill(Value::Uninit);
        frame.regs[Reg::R0.index()] = error;
        Ok(())
    }

    fn set_kfunc_result(&mut self, proto: &Proto, said: &Said) -> Result<(), Reject> {
        let name = proto.row.name;
        let acquires = proto.has(KfuncFlags::ACQUIRE);
        if acquires && !matches!(proto.ret, Ret::Struct(_)) {
            return Err(Reject::KfuncNoReturnPtr {});
        }
        let mut ptr = match proto.ret {
            Ret::Void => return Ok(()),
            Ret::Scalar => {
                self.write(Reg::R0, Value::unknown());
                return Ok(());
            }
            Ret::Struct(id) => Ptr::new(PtrKind::Btf(BtfPtr::kernel(id, self.result_trust(proto, said)))),
            Ret::Mem(size) => {
                let rdonly = name != "bpf_session_cookie";
                let kind = PtrKind::Mem { size, rdonly, origin: MemOrigin::Given };
                Ptr { ref_id: said.ref_id, ..Ptr::new(kind) }
            }
            Ret::Buffer { kind, id } => {
                let Some((size, rdonly)) = said.buffer else {
                    let what = self.target.btf.as_ref().map_or("", |btf| btf.name(TypeId(id))).to_owned();
                    return Err(Reject::KfuncReturns { name, kind: kind.name(), what });
                };
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                Ptr { ref_id: said.ref_id, ..Ptr::new(PtrKind::Mem { size, rdonly, origin: MemOrigin::Given }) }
            }
        };
        ptr.nullable = proto.has(KfuncFlags::RET_NULL);
        if ptr.nullable {
            ptr.id = self.new_id();
        }
        if acquires {
            let id = self.acquire(Held::Object)?;
            ptr.ref_id = id;
            if ptr.nullable {
                ptr.id = id;
            }
        }
        self.write(Reg::R0, Value::Ptr(ptr));
        Ok(())
    }

    /// How good a pointer to a structure is that a function gives.
    fn result_trust(&self, proto: &Proto, said: &Said) -> Trust {
        let iter = said.iter.filter(|_| proto.has(KfuncFlags::ITER_NEXT));
        if let Some((frame, slot)) = iter {
            let slot = self.path.state.frames[frame].stack.slot(slot);
            return match slot.iter().map(|iter| iter.trust) {
                Some(IterTrust::Rcu) => Trust::RCU,
                Some(IterTrust::Trusted) => Trust::TRUSTED,
                Some(IterTrust::Untrusted) | None => Trust::UNTRUSTED,
            };
        }
        if proto.has(KfuncFlags::RCU_PROTECTED) { Trust::RCU } else { Trust::PLAIN }
    }
}
