//! Calls of helpers: who may call what, and in which order the rules apply.

use ring3_isa::{Callee, Reg};
use ring3_platform::helpers::{Lookup, changes_packet, id};
use ring3_platform::maps::{allows_helper, may_update_sockmap};
use ring3_platform::{ArgKind, AttachType, MapType, ProgType, Proto, RetKind, helper_name};

use super::subprog::Later;
use crate::diag::reject::{Reject, unsupported};
use crate::facts::MapUse;
use crate::planted::Bug;
use crate::state::{BtfPtr, Dynptr, Held, Ptr, PtrKind, Slice, Trust, Value, type_name};
use crate::walk::{Next, Walk};

/// What the arguments of one call say.
#[derive(Debug, Default)]
pub(super) struct Args {
    /// The map.
    pub map: Option<u32>,
    /// Which of the maps that look like its template, if that matters.
    pub map_uid: Slice,
    /// The key, if it is known.
    pub key: Option<u64>,
    /// Memory on the stack that the helper fills without reading it: register, frame, offset of the first byte, bytes.
    pub fills: Option<(u32, i64, i64)>,
    /// The reference of an argument.
    pub ref_id: u32,
    /// The argument that is released.
    pub release: Option<Reg>,
    /// The field of a map's value whose pointer is exchanged.
    pub kptr: Option<ring3_platform::maps::Field>,
    /// The function that is called back.
    pub callback: Option<u32>,
    /// Constant size of the memory that is returned.
    pub mem_size: u64,
    /// Largest size of the memory argument.
    pub max_size: u64,
    /// The dynptr of an argument.
    pub dynptr: Option<Dynptr>,
    /// The structure of each CPU that an argument leads to.
    pub percpu: Option<BtfPtr>,
}

impl<'p> Walk<'p> {
    /// A call.
    pub(super) fn call(&mut self, callee: Callee) -> Result<Next, Reject> {
        self.check_call_under_lock(callee)?;
        match callee {
            Callee::Helper(id) => self.call_helper(id),
            Callee::Local(off) => self.call_subprog(off),
            // Linux looks at the end whether anything reaches it.
            Callee::Kfunc { id: 0, off: 0 } => Ok(Next::Fall),
            Callee::Kfunc { id, off } => self.call_kfunc(id, off),
        }
    }

    fn call_helper(&mut self, number: i32) -> Result<Next, Reject> {
        let proto = self.helper(number)?;
        let id = proto.id;
        let mut args = Args::default();
        for (index, arg) in proto.args.iter().enumerate() {
            self.check_arg(proto, index, *arg, &mut args)?;
        }
        self.record_map(id, &args)?;
        if let Some((frame, off, size)) = args.fills {
            self.fill_stack(frame, off..off + size)?;
        }
        self.release_arg(&args, number)?;
        self.before_result(id, &args)?;
        self.forget_caller_saved();
        self.set_result(proto, &args)?;
        self.check_map_and_helper(id, number, &args)?;
        self.after_call(id, &args)
    }

    /// The prototype of a helper that may be called here.
    fn helper(&mut self, number: i32) -> Result<&'p Proto, Reject> {
        let known = self.helpers.iter().find(|(known, _)| *known == number);
        if let Some((_, proto)) = known {
            return Ok(proto);
        }
        let target = self.target;
        let name = || display_name(number);
        let Ok(id) = u32::try_from(number) else { return Err(Reject::InvalidHelper { name: name(), id: number }) };
        let proto = match target.helper(self.program, id) {
            Lookup::Invalid if id == 0 => return Err(Reject::HelperNotForProgram { name: name(), id: number }),
            Lookup::Invalid => return Err(Reject::InvalidHelper { name: name(), id: number }),
            Lookup::NotForProgram => return Err(Reject::HelperNotForProgram { name: name(), id: number }),
            Lookup::Unmodelled(_) => return unsupported(format!("helper {}#{number} in such a program", name())),
            Lookup::Found(proto) => proto,
        };
        if proto.gpl_only && !self.program.license.is_gpl_compatible() {
            return Err(Reject::GplOnly {});
        }
        if !proto.allowed(self.program) {
            return Err(Reject::HelperNotAllowed {});
        }
        if proto.might_sleep && !self.path.state.sleepable {
            return Err(Reject::SleepableHelper {});
        }
        if proto.might_sleep
            && let Some(region) = self.sleepless_region()
        {
            return Err(Reject::SleepableHelperIn { name: name(), id: number, region });
        }
        check_modelled(proto)?;
        // Whether one that sleeps may be called is another question everywhere.
        if !proto.might_sleep {
            self.helpers.push((number, proto));
        }
        Ok(proto)
    }

    /// The map, for lowering; and maps that a program may not change.
    fn record_map(&mut self, helper: u32, args: &Args) -> Result<(), Reject> {
        let Some(map) = args.map else { return Ok(()) };
        let is_inner = crate::cfg::maps::is_inner(self.program, map);
        let known = &mut self.facts.insns[self.at].map;
        *known = match *known {
            _ if is_inner => MapUse::Many,
            MapUse::None => MapUse::One(map),
            MapUse::One(before) if before == map => MapUse::One(map),
            MapUse::One(_) | MapUse::Many => MapUse::Many,
        };
        let changes =
            matches!(helper, id::MAP_UPDATE_ELEM | id::MAP_DELETE_ELEM | id::MAP_PUSH_ELEM | id::MAP_POP_ELEM);
        let def = self.map(map);
        if changes && def.is_read_only_to_programs() {
            return Err(Reject::MapReadOnlyUpdate {});
        }
        if helper == id::TAIL_CALL {
            if def.kind != MapType::ProgArray {
                return Err(Reject::TailCallMap {});
            }
            let index = self.path.state.reg(Reg::R3).const_value();
            if index.is_some_and(|index| index < u64::from(def.max_entries)) {
                self.mark_precise(Reg::R3)?;
            }
        }
        Ok(())
    }

    fn release_arg(&mut self, args: &Args, number: i32) -> Result<(), Reject> {
        let Some(reg) = args.release else { return Ok(()) };
        if args.ref_id != 0 && self.give_back(args) {
            if args.dynptr.is_some() {
                self.drop_dynptrs(args.ref_id);
            }
            return Ok(());
        }
        if args.ref_id == 0 && self.path.state.reg(reg).is_zero() {
            return Ok(());
        }
        Err(Reject::NotAcquired { name: display_name(number), id: number })
    }

    /// What an argument owned is given back. What a map was given for each CPU stays where it is while RCU protects it.
    fn give_back(&mut self, args: &Args) -> bool {
        const OWNED: Trust = Trust::ALLOC.with(Trust::PERCPU);
        if args.kptr.is_none() || !self.in_rcu_section() {
            return self.release_reference(args.ref_id);
        }
        if !self.drop_reference(args.ref_id) {
            return false;
        }
        self.path.state.map_values(|value| match value {
            Value::Ptr(ptr) if ptr.ref_id == args.ref_id => Some(match ptr.kind {
                PtrKind::Btf(to) if to.trust.has(OWNED) => {
                    let to = BtfPtr { trust: to.trust.without(Trust::ALLOC).with(Trust::RCU), ..to };
                    Value::Ptr(Ptr { kind: PtrKind::Btf(to), ref_id: 0, ..*ptr })
                }
                _ => Value::unknown(),
            }),
            Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
        });
        true
    }

    /// Forgets that something has to be given back; tells whether it was known.
    fn drop_reference(&mut self, ref_id: u32) -> bool {
        let refs = &mut self.path.state.refs;
        let before = refs.len();
        refs.retain(|reference| reference.id != ref_id || reference.held != Held::Object);
        refs.len() != before
    }

    /// Gives a reference back: every pointer that needs it is a number from now on.
    pub(super) fn release_reference(&mut self, ref_id: u32) -> bool {
        if !self.drop_reference(ref_id) {
            return false;
        }
        self.path.state.map_values(|value| match value {
            Value::Ptr(ptr) if ptr.ref_id == ref_id => Some(Value::unknown()),
            Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
        });
        true
    }

    /// What single helpers do before their result is known.
    fn before_result(&mut self, helper: u32, args: &Args) -> Result<(), Reject> {
        match helper {
            id::TAIL_CALL => self.check_leak("tail_call", true),
            id::GET_LOCAL_STORAGE if !self.path.state.reg(Reg::R2).is_zero() => Err(Reject::LocalStorageFlags {}),
            id::SNPRINTF => self.check_format(),
            id::LOOP => self.loop_callback(args),
            id::FOR_EACH_MAP_ELEM => self.for_each_callback(args),
            id::USER_RINGBUF_DRAIN => self.drain_callback(args),
            id::FIND_VMA => self.vma_callback(args),
            id::DYNPTR_FROM_MEM => match self.path.state.reg(Reg::R1) {
                Value::Ptr(ptr) if matches!(ptr.kind, PtrKind::MapValue(_)) && !ptr.nullable => Ok(()),
                other => Err(Reject::DynptrFrom { ty: type_name(other) }),
            },
            id::TIMER_SET_CALLBACK => match args.map {
                Some(map) => self.element_callback(args, map, Later::TIMER),
                None => unsupported("a timer that is not in a map"),
            },
            _ => Ok(()),
        }
    }

    fn check_map_and_helper(&mut self, helper: u32, number: i32, args: &Args) -> Result<(), Reject> {
        let Some(map) = args.map else { return Ok(()) };
        let kind = self.map(map).kind;
        let attach = self.program.kind.effective_attach(self.program.attach);
        let any = self.has_bug(Bug::AnyMap);
        if any || allows_helper(kind, helper) || may_update_sockmap(kind, helper, self.program.kind, attach) {
            return Ok(());
        }
        let changes = matches!(helper, id::MAP_UPDATE_ELEM | id::MAP_DELETE_ELEM);
        if changes && matches!(kind, MapType::Sockmap | MapType::Sockhash) {
            self.log.push("cannot update sockmap in this context\n");
        }
        Err(Reject::MapMismatch { kind: kind.number(), func: display_name(number), id: number })
    }

    /// Only probes and trampolines know which function they are in.
    fn check_func_ip(&self) -> Result<(), Reject> {
        let id = ring3_isa::num::s32(id::GET_FUNC_IP);
        let name = display_name(id);
        match (self.program.kind, self.program.kind.effective_attach(self.program.attach)) {
            (ProgType::Kprobe, _)
            | (ProgType::Tracing, Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn)) => {
                Ok(())
            }
            (ProgType::Tracing, _) => Err(Reject::FuncIpNoTrampoline { name, id }),
            (kind, _) => Err(Reject::FuncIpNotForProgram { name, id, kind: kind.number() }),
        }
    }

    /// Packet pointers are lost where the packet may have moved; a tail call in a function may also return to its caller.
    fn after_call(&mut self, helper: u32, args: &Args) -> Result<Next, Reject> {
        let in_function = self.path.state.current() > 0;
        if helper == id::GET_FUNC_IP {
            self.check_func_ip()?;
        }
        if helper == id::TAIL_CALL {
            if in_function {
                self.push(self.at + 1)?;
                self.forget_packets();
                self.write(Reg::R0, Value::unknown());
                // The log goes on without the whole state.
                return Ok(match self.leave_frame()? {
                    Next::Enter(slot) => Next::Goto(slot),
                    next @ (Next::Fall | Next::Goto(_) | Next::End) => next,
                });
            }
            return Ok(Next::Fall);
        }
        // Writing through a dynptr may move the packet.
        let through = helper == id::DYNPTR_WRITE && args.dynptr.is_some_and(|dynptr| dynptr.kind.may_move());
        if (changes_packet(helper) || through) && !self.has_bug(Bug::PacketKept) {
            self.forget_packets();
        }
        Ok(Next::Fall)
    }

    /// Every packet pointer becomes a number.
    pub(super) fn forget_packets(&mut self) {
        self.path.state.map_values(|value| match value.as_ptr()?.kind {
            _ if value.as_ptr()?.slice.is_packet() => Some(Value::unknown()),
            PtrKind::Packet { .. } | PtrKind::PacketMeta { .. } | PtrKind::PacketEnd => Some(Value::unknown()),
            PtrKind::Ctx
            | PtrKind::ConstMap(_)
            | PtrKind::MapValue(_)
            | PtrKind::MapKey(_)
            | PtrKind::Stack(_)
            | PtrKind::Mem { .. }
            | PtrKind::FlowKeys
            | PtrKind::SockCommon
            | PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::TpBuffer
            | PtrKind::Func(_)
            | PtrKind::AnyMem
            | PtrKind::Arena
            | PtrKind::Buf { .. }
            | PtrKind::Dynptr(_)
            | PtrKind::Btf(_) => None,
        });
    }
}

/// A helper's name as messages have it.
pub(super) fn display_name(number: i32) -> String {
    match u32::try_from(number).ok().and_then(helper_name) {
        // The number exists, but nothing has it.
        None if number == 0 => "bpf_unspec".to_owned(),
        Some(name) => format!("bpf_{name}"),
        None => "unknown".to_owned(),
    }
}

/// Helpers whose rules are not all here are refused by name.
fn check_modelled(proto: &Proto) -> Result<(), Reject> {
    let arg = |kind: ArgKind| match kind {
        ArgKind::None
        | ArgKind::Anything
        | ArgKind::Scalar
        | ArgKind::Ctx
        | ArgKind::ConstMapPtr
        | ArgKind::MapKey
        | ArgKind::MapValue
        | ArgKind::Mem
        | ArgKind::FixedMem(_)
        | ArgKind::ConstSize
        | ArgKind::ConstSizeOrZero
        | ArgKind::ConstAllocSizeOrZero
        | ArgKind::SockCommon
        | ArgKind::BtfSockCommon
        | ArgKind::Socket
        | ArgKind::RingbufMem
        | ArgKind::Stack
        | ArgKind::BtfId(_)
        | ArgKind::KptrXchgDest
        | ArgKind::SpinLock
        | ArgKind::Timer
        | ArgKind::Dynptr
        | ArgKind::PercpuBtfId
        | ArgKind::ConstStr => true,
        ArgKind::Func => {
            const CALLERS: [u32; 5] =
                [id::LOOP, id::FOR_EACH_MAP_ELEM, id::FIND_VMA, id::TIMER_SET_CALLBACK, id::USER_RINGBUF_DRAIN];
            CALLERS.contains(&proto.id)
        }
    };
    let ret = match proto.ret.kind {
        RetKind::Integer
        | RetKind::Void
        | RetKind::MapValue
        | RetKind::Socket
        | RetKind::SockCommon
        | RetKind::TcpSock
        | RetKind::BtfId(_)
        | RetKind::BtfIdTrusted(_)
        | RetKind::RingbufMem
        | RetKind::DynptrMem
        | RetKind::MemOrBtfId => true,
    };
    if proto.args.iter().all(|a| arg(a.kind)) && ret {
        Ok(())
    } else {
        unsupported(format!("helper bpf_{}#{}", proto.name, proto.id))
    }
}
