//! Pointer arithmetic. Leaving an object is legal; accesses are checked.

use ring3_isa::{AluOp, Reg, Width, num};

use super::MAX_OFF;
use super::alu::symbol;
use crate::diag::reject::Reject;
use crate::domain::Scalar;
use crate::planted::Bug;
use crate::state::{Ptr, PtrKind, ScalarValue, Value, type_name};
use crate::walk::Walk;

impl Walk<'_> {
    /// `dst op= src` where one is a pointer and the other a number; `ptr_first` if `dst` is the pointer.
    pub(super) fn pointer_arith(
        &mut self,
        width: Width,
        op: AluOp,
        dst: Reg,
        ptr: Ptr,
        mut scalar: ScalarValue,
        ptr_first: bool,
    ) -> Result<(), Reject> {
        if self.far {
            scalar.num = near_enough(scalar.num);
        }
        let reg = dst.number();
        let known = scalar.num.const_value();
        if scalar.num.smin() > scalar.num.smax() || scalar.num.umin() > scalar.num.umax() || contradicts(&scalar.num) {
            self.write(dst, Value::unknown());
            return Ok(());
        }
        if width == Width::W32 {
            if op != AluOp::Sub {
                return Err(Reject::Ptr32Arith { reg });
            }
            self.write(dst, Value::unknown());
            return Ok(());
        }
        if ptr.nullable && !self.has_bug(Bug::NullArithmetic) {
            return Err(Reject::PtrArithNullable { reg, ty: type_name(&Value::Ptr(ptr)) });
        }
        if ptr.kind == PtrKind::AnyMem {
            // Nothing is known of what it leads to, wherever it is moved.
            self.write(dst, Value::Ptr(ptr));
            return Ok(());
        }
        let known_kind = if self.has_bug(Bug::FlowKeysVariable) { Some(0) } else { known };
        check_kind(reg, &ptr, op, known_kind)?;
        check_offset(scalar.link.map_or(0, |l| l.delta.off()), &scalar.num, &ptr)?;
        check_offset(ptr.off, &ptr.var, &ptr)?;
        let moved = match op {
            AluOp::Add => self.forward(ptr, &scalar.num, known),
            AluOp::Sub if !ptr_first => return Err(Reject::SubFromScalar { reg }),
            AluOp::Sub if matches!(ptr.kind, PtrKind::Stack(_)) => return Err(Reject::SubStack { reg }),
            AluOp::Sub => self.backward(ptr, &scalar.num, known),
            AluOp::And | AluOp::Or | AluOp::Xor => return Err(Reject::PtrBitwise { reg, op: symbol(op) }),
            AluOp::Mul
            | AluOp::Div
            | AluOp::SDiv
            | AluOp::Mod
            | AluOp::SMod
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Arsh => return Err(Reject::PtrOperator { reg, op: symbol(op) }),
        };
        let moved = if self.far { Ptr { var: near_enough(moved.var), ..moved } } else { moved };
        check_offset(moved.off, &moved.var, &ptr)?;
        self.write(dst, Value::Ptr(moved));
        Ok(())
    }

    fn forward(&mut self, ptr: Ptr, by: &Scalar, known: Option<u64>) -> Ptr {
        if let Some(off) = known.and_then(|k| self.fixed(i64::from(ptr.off).checked_add(num::s64(k)))) {
            return Ptr { off, ..ptr };
        }
        let moved = Ptr { var: by.pointer_plus(&ptr.var), ..ptr };
        self.moved_packet(moved, true)
    }

    fn backward(&mut self, ptr: Ptr, by: &Scalar, known: Option<u64>) -> Ptr {
        if let Some(off) = known.and_then(|k| self.fixed(i64::from(ptr.off).checked_sub(num::s64(k)))) {
            return Ptr { off, ..ptr };
        }
        let moved = Ptr { var: by.pointer_minus(&ptr.var), ..ptr };
        self.moved_packet(moved, by.smin() < 0)
    }

    /// An offset that is kept apart from what varies.
    fn fixed(&self, off: Option<i64>) -> Option<i32> {
        off.filter(|off| !self.far || !is_far(*off)).and_then(|off| i32::try_from(off).ok())
    }

    /// A packet pointer that moved by an unknown distance is another one; it may have left the checked range.
    fn moved_packet(&mut self, ptr: Ptr, forget_range: bool) -> Ptr {
        let range = |old: i32| if forget_range { 0 } else { old };
        let kind = match ptr.kind {
            PtrKind::Packet { range: old } => PtrKind::Packet { range: range(old) },
            PtrKind::PacketMeta { range: old } => PtrKind::PacketMeta { range: range(old) },
            PtrKind::Ctx
            | PtrKind::ConstMap(_)
            | PtrKind::MapValue(_)
            | PtrKind::MapKey(_)
            | PtrKind::Stack(_)
            | PtrKind::PacketEnd
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
            | PtrKind::Btf(_) => return ptr,
        };
        Ptr { kind, id: self.new_id(), ..ptr }
    }
}

/// A constant that is too far, as the narrowest range with it that is not refused for being far.
fn near_enough(num: Scalar) -> Scalar {
    match num.const_value() {
        Some(value) if num::s64(value) >= MAX_OFF => Scalar::from_urange(MAX_OFF.unsigned_abs() - 1, value),
        Some(_) | None => num,
    }
}

/// A constant whose ranges say something else.
fn contradicts(num: &Scalar) -> bool {
    num.const_value().is_some() && (num.smin() != num.smax() || num.umin() != num.umax())
}

fn check_kind(reg: u8, ptr: &Ptr, op: AluOp, known: Option<u64>) -> Result<(), Reject> {
    let allowed = match ptr.kind {
        PtrKind::Ctx
        | PtrKind::MapValue(_)
        | PtrKind::MapKey(_)
        | PtrKind::Stack(_)
        | PtrKind::Packet { .. }
        | PtrKind::PacketMeta { .. }
        | PtrKind::TpBuffer
        | PtrKind::Mem { .. }
        | PtrKind::Func(_)
        | PtrKind::AnyMem
        | PtrKind::Buf { .. }
        | PtrKind::Dynptr(_)
        | PtrKind::Btf(_) => true,
        PtrKind::FlowKeys => known.is_some(),
        PtrKind::ConstMap(_) => known == Some(0) && op == AluOp::Add,
        PtrKind::PacketEnd
        | PtrKind::Arena
        | PtrKind::SockCommon
        | PtrKind::Sock
        | PtrKind::TcpSock
        | PtrKind::XdpSock => false,
    };
    if allowed { Ok(()) } else { Err(Reject::PtrArithType { reg, ty: type_name(&Value::Ptr(*ptr)) }) }
}

fn is_far(off: i64) -> bool {
    off >= MAX_OFF || off <= -MAX_OFF
}

/// Offsets stay far away from where they could wrap. `ptr` is the pointer as it was before.
fn check_offset(off: i32, var: &Scalar, ptr: &Ptr) -> Result<(), Reject> {
    let ty = || type_name(&Value::Ptr(*ptr));
    if let Some(value) = var.const_value().map(num::s64).filter(|value| is_far(*value)) {
        Err(Reject::PtrConstTooBig { ty: ty(), value })
    } else if is_far(off.into()) {
        Err(Reject::PtrOffTooBig { ty: ty(), off: off.into() })
    } else if var.smin() == i64::MIN {
        Err(Reject::PtrUnboundedMin { ty: ty() })
    } else if is_far(var.smin()) {
        Err(Reject::PtrOutOfBounds { ty: ty(), value: var.smin() })
    } else {
        Ok(())
    }
}
