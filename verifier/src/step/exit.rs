//! Where a function or the program ends.

use ring3_isa::Reg;
use ring3_platform::{ProgType, return_range};

use crate::diag::reject::Reject;
use crate::domain::Scalar;
use crate::kernel::target::{Attach, Returns};
use crate::state::{Held, PtrKind, ScalarValue, Value, type_name};
use crate::walk::{Next, Walk};

impl Walk<'_> {
    /// `exit`.
    pub(super) fn exit(&mut self) -> Result<Next, Reject> {
        if self.path.state.current() > 0 {
            return self.leave_frame();
        }
        self.check_leak("BPF_EXIT instruction in main prog", true)?;
        self.check_return(Reg::R0)?;
        Ok(Next::End)
    }

    /// `bpf_throw`: all frames are left at once, so whoever holds something can give nothing back any more.
    pub(super) fn throw(&mut self) -> Result<Next, Reject> {
        if self.structure.exception_callback.is_none() {
            self.check_return(Reg::R1)?;
        }
        if self.path.state.is_locked() {
            return Err(Reject::Region { what: "bpf_throw", region: "bpf_spin_lock" });
        }
        self.check_references("bpf_throw")?;
        self.check_regions("bpf_throw")?;
        self.unknown_loop().map_or(Ok(Next::End), |chain| Err(Reject::ThrowInLoop { chain }))
    }

    /// Nothing may be held here, and no region may be open.
    pub(super) fn check_leak(&self, what: &'static str, regions: bool) -> Result<(), Reject> {
        if self.has_bug(crate::planted::Bug::LeakAllowed) {
            return Ok(());
        }
        if regions && self.path.state.is_locked() {
            return Err(Reject::Region { what, region: "bpf_spin_lock" });
        }
        // What a function holds its caller may still give back.
        if self.path.state.current() == 0 {
            self.check_references(what)?;
        }
        if regions { self.check_regions(what) } else { Ok(()) }
    }

    /// Nothing may be held, in no frame.
    pub(super) fn check_references(&self, what: &'static str) -> Result<(), Reject> {
        let objects = self.path.state.refs.iter().filter(|r| r.held == Held::Object);
        let mut lines: String =
            objects.map(|r| format!("Unreleased reference id={} alloc_insn={}\n", r.id, r.insn)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        lines.push_str(&format!("{what} would lead to reference leak"));
        Err(Reject::RefLeak { lines })
    }

    /// What a program gives back: in R0, or in R1 if it throws.
    fn check_return(&mut self, reg: Reg) -> Result<(), Reject> {
        let later = self.path.state.frames[0].callback;
        let main = self.root == 0 || self.structure.exception_callback == Some(self.root);
        let attached = if main && later.is_none() { self.structure.attach.as_ref().map(Attach::returns) } else { None };
        if attached == Some(Returns::Nothing) {
            return Ok(());
        }
        let value = self.read(reg)?;
        if let Some(callback) = later {
            return self.check_returned(reg, value, callback.range, "At async callback return");
        }
        if !main {
            return match value {
                Value::Scalar(_) => Ok(()),
                Value::Ptr(_) | Value::Uninit => {
                    Err(Reject::SubprogNotScalar { reg: reg.number(), ty: type_name(&value) })
                }
            };
        }
        let attach = self.program.kind.effective_attach(self.program.attach);
        let range = match attached {
            Some(Returns::Nothing | Returns::Anything) => None,
            Some(Returns::Within(lo, hi)) => Some((lo, hi)),
            Some(Returns::Within32(lo, hi)) => {
                if let Value::Scalar(scalar) = value
                    && scalar.num.s32min() >= lo
                    && scalar.num.s32max() <= hi
                {
                    return self.mark_precise(reg);
                }
                Some((lo, hi))
            }
            Some(Returns::VoidHook) => Some((1, 1)),
            None => return_range(self.program.kind, attach),
        };
        let Some(range) = range else { return Ok(()) };
        self.check_returned(reg, value, range, "At program exit")
    }

    fn check_returned(&mut self, reg: Reg, value: Value, range: (i32, i32), what: &'static str) -> Result<(), Reject> {
        let Value::Scalar(scalar) = value else {
            return Err(Reject::ReturnNotScalar { what, reg: reg.number(), ty: type_name(&value) });
        };
        self.mark_precise(reg)?;
        check_range(reg, &scalar, range, what)
    }

    /// Back to the caller, or to the helper that called back.
    pub(super) fn leave_frame(&mut self) -> Result<Next, Reject> {
        self.spread_slots();
        let callee = self.path.state.frame().clone();
        let result = callee.regs[Reg::R0.index()];
        if matches!(result, Value::Ptr(ptr) if matches!(ptr.kind, PtrKind::Stack(_))) {
            return Err(Reject::ReturnStackPtr {});
        }
        let next = if let Some(callback) = callee.callback {
            let Value::Scalar(scalar) = result else { return Err(Reject::CallbackNotScalar {}) };
            self.mark_precise(Reg::R0)?;
            check_range(Reg::R0, &scalar, callback.range, "At callback return")?;
            callee.callsite
        } else {
            callee.callsite + 1
        };
        let frames = self.path.state.frames.len();
        if callee.callback.is_none() {
            self.path.state.frame_at(frames - 2).regs[Reg::R0.index()] = result;
        }
        if self.log.on() {
            let text = format!(
                "returning from callee:\n{}\nto caller at {next}:\n{}\n",
                self.render(frames - 1),
                self.render(frames - 2)
            );
            self.log.push(&text);
        }
        self.path.state.frames.pop();
        self.frames_changed();
        if callee.callback.is_some() {
            self.take_back(frames - 1);
            self.widen_current(next);
        }
        Ok(Next::Enter(next))
    }

    /// Few programs may use `LD_ABS` and `LD_IND`.
    pub fn allows_legacy(&self) -> Result<(), Reject> {
        match self.program.kind {
            ProgType::SocketFilter | ProgType::SchedCls | ProgType::SchedAct => Ok(()),
            _ => Err(Reject::LegacyInSubprog {}),
        }
    }

    /// `LD_ABS` and `LD_IND`.
    pub(super) fn legacy_packet(&mut self, index: Option<Reg>) -> Result<Next, Reject> {
        self.allows_legacy()?;
        let context = self.read(Reg::R6)?;
        self.check_leak("BPF_LD_[ABS|IND]", true)?;
        let Value::Ptr(ptr) = context else { return Err(Reject::LegacyContext {}) };
        if ptr.kind != PtrKind::Ctx {
            return Err(Reject::LegacyContext {});
        }
        if let Some(index) = index {
            self.read(index)?;
        }
        self.check_plain_pointer(Reg::R6, &ptr)?;
        self.forget_caller_saved();
        self.write(Reg::R0, Value::unknown());
        if self.path.state.current() > 0 {
            // Outside of the packet the function returns 0.
            self.push(self.at + 1)?;
            self.write(Reg::R0, Value::constant(0));
            return self.leave_frame();
        }
        Ok(Next::Fall)
    }
}

fn check_range(reg: Reg, scalar: &ScalarValue, (lo, hi): (i32, i32), what: &'static str) -> Result<(), Reject> {
    let num: &Scalar = &scalar.num;
    if num.smin() >= lo.into() && num.smax() <= hi.into() {
        return Ok(());
    }
    let mut has = String::new();
    if num.smin() > i64::MIN {
        has.push_str(&format!(" smin={}", num.smin()));
    }
    if num.smax() < i64::MAX {
        has.push_str(&format!(" smax={}", num.smax()));
    }
    if has.is_empty() {
        has.push_str(" unknown scalar value");
    }
    Err(Reject::ReturnRange { what, reg: reg.number(), has, lo, hi })
}
