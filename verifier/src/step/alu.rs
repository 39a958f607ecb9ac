//! Arithmetic and moves.

use ring3_isa::{AluOp, EndianOp, Operand, Reg, Size, Width, num};

use crate::diag::reject::Reject;
use crate::domain::{self, Scalar};
use crate::planted::Bug;
use crate::release::Rule;
use crate::state::{Delta, Link, PtrKind, ScalarValue, Value};
use crate::walk::Walk;

impl Walk<'_> {
    /// `dst op= src`.
    pub(super) fn alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Result<(), Reject> {
        let other = match src {
            Operand::Imm(imm) => Some(Scalar::immediate(imm)),
            Operand::Reg(reg) => self.path.state.reg(reg).as_scalar().map(|scalar| scalar.num),
        };
        match (self.path.state.reg(dst), other) {
            (Value::Scalar(target), Some(other)) => {
                let target = *target;
                self.scratched.regs |= 1 << dst.number();
                match src {
                    Operand::Imm(imm) => check_immediate(width, op, imm)?,
                    Operand::Reg(reg) => self.scratched.regs |= 1 << reg.number(),
                }
                self.scalar_arith(width, op, dst, target, other, src)
            }
            (Value::Ptr(_) | Value::Uninit, _) | (Value::Scalar(_), None) => self.alu_with_pointer(width, op, dst, src),
        }
    }

    /// The same where not both sides are numbers.
    fn alu_with_pointer(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Result<(), Reject> {
        let source = match src {
            Operand::Reg(reg) => Some(self.read(reg)?),
            Operand::Imm(_) => None,
        };
        let target = self.read(dst)?;
        if let Operand::Imm(imm) = src {
            check_immediate(width, op, imm)?;
        }
        self.writable(dst)?;
        if [Some(target), source].contains(&Some(Value::ptr(PtrKind::Arena))) {
            // Any arithmetic: what comes out is another address of the arena's 4 GiB, or one where an access faults.
            self.write(dst, Value::ptr(PtrKind::Arena));
            return Ok(());
        }
        match (target, source, src) {
            (Value::Ptr(_), Some(Value::Ptr(_)), _) => {
                if op != AluOp::Sub {
                    return Err(Reject::PtrPtrArith { reg: dst.number(), op: symbol(op) });
                }
                self.write(dst, Value::unknown());
                Ok(())
            }
            (Value::Ptr(ptr), Some(Value::Scalar(scalar)), Operand::Reg(reg)) => {
                self.mark_precise(reg)?;
                self.pointer_arith(width, op, dst, ptr, scalar, true)
            }
            (Value::Scalar(scalar), Some(Value::Ptr(ptr)), _) => {
                self.mark_precise(dst)?;
                self.pointer_arith(width, op, dst, ptr, scalar, false)
            }
            (Value::Ptr(ptr), _, Operand::Imm(imm)) => {
                let scalar = ScalarValue { num: Scalar::immediate(imm), link: None };
                self.pointer_arith(width, op, dst, ptr, scalar, true)
            }
            (Value::Uninit, _, _) => Err(Reject::NotReadable { reg: dst.number() }),
            (Value::Ptr(_) | Value::Scalar(_), _, Operand::Reg(reg)) => Err(Reject::NotReadable { reg: reg.number() }),
            (Value::Scalar(_), _, Operand::Imm(_)) => Err(Reject::NotReadable { reg: dst.number() }),
        }
    }

    fn scalar_arith(
        &mut self,
        width: Width,
        op: AluOp,
        dst: Reg,
        old: ScalarValue,
        src: Scalar,
        operand: Operand,
    ) -> Result<(), Reject> {
        let mut target = old;
        if matches!(op, AluOp::And | AluOp::Or)
            && src.const_value().is_some()
            && let Some((zero, ones)) = target.num.zero_or_ones()
        {
            // Linux follows both cases on their own; the instruction is executed again with 0.
            let again = ScalarValue { num: zero, link: None };
            let at = if op == AluOp::Or && self.has_bug(Bug::OrForks) { self.at + 1 } else { self.at };
            let other = self.push(at)?;
            other.set(dst, Value::Scalar(again));
            target = ScalarValue { num: ones, link: None };
        }
        let num = self.memo.recall(self.at, (&target.num, &src)).unwrap_or_else(|| {
            let num = domain::alu(op, width, &target.num, &src);
            let num = sane(self.spoilt_alu(width, op, &target.num, &src, num));
            self.memo.note((self.at, self.program.code.len()), (target.num, src), num);
            num
        });
        let link = keep_link(width, op, &old, target.link, &src, operand == Operand::Reg(dst));
        let link = match link {
            Some(link) if self.has_bug(Bug::LostDistance) => Some(Link { delta: Delta::Same, ..link }),
            None if operand == Operand::Reg(dst) && self.has_bug(Bug::AddItself) => target.link,
            link => link,
        };
        let link = link.filter(|link| match link.delta {
            Delta::Same => true,
            Delta::Add64(0..) => self.relies(Rule::LinkedDelta),
            Delta::Add64(_) | Delta::Add32(_) => self.relies(Rule::LinkedAny),
        });
        self.write(dst, Value::Scalar(ScalarValue { num, link }));
        Ok(())
    }

    /// `dst = src`.
    pub(super) fn mov(&mut self, width: Width, dst: Reg, src: Operand) -> Result<(), Reject> {
        let value = match src {
            Operand::Imm(imm) => {
                let value = if width == Width::W64 || self.has_bug(Bug::MovSigned) {
                    num::sext32(imm)
                } else {
                    u64::from(num::u32(imm))
                };
                Value::constant(value)
            }
            Operand::Reg(reg) => match (self.read(reg)?, width) {
                (Value::Scalar(scalar), Width::W64) => Value::Scalar(self.tie(reg, scalar)),
                (Value::Scalar(scalar), Width::W32) => {
                    let fits = scalar.num.fits(32);
                    let scalar = if fits { self.tie(reg, scalar) } else { ScalarValue { link: None, ..scalar } };
                    Value::Scalar(ScalarValue { num: scalar.num.mov32(), ..scalar })
                }
                (Value::Ptr(_), Width::W32) => Value::number(Scalar::unknown().zext32()),
                (value @ (Value::Ptr(_) | Value::Uninit), _) => value,
            },
        };
        self.writable(dst)?;
        self.write(dst, value);
        Ok(())
    }

    /// `dst = (s8)src`.
    pub(super) fn mov_sx(&mut self, width: Width, from: Size, dst: Reg, src: Reg) -> Result<(), Reject> {
        let source = self.read(src)?;
        self.writable(dst)?;
        let value = match source {
            Value::Scalar(scalar) => {
                let same = scalar.num.umax() < 1 << (from.bytes() * 8 - 1);
                let scalar = if same { self.tie(src, scalar) } else { ScalarValue { link: None, ..scalar } };
                Value::Scalar(ScalarValue { num: sane(scalar.num.mov_sx(from, width)), ..scalar })
            }
            Value::Ptr(_) | Value::Uninit => {
                let unknown = Scalar::unknown();
                Value::number(if width == Width::W32 { unknown.zext32() } else { unknown })
            }
        };
        self.write(dst, value);
        Ok(())
    }

    pub(super) fn neg(&mut self, width: Width, dst: Reg) -> Result<(), Reject> {
        let known = self.relies(Rule::Negation);
        self.unary(dst, |num| if known { domain::neg(width, num) } else { Scalar::unknown() })
    }

    pub(super) fn endian(&mut self, op: EndianOp, size: Size, dst: Reg) -> Result<(), Reject> {
        let known = self.relies(Rule::ByteSwap);
        // Numbers are little-endian: this changes nothing, so that copies stay copies.
        if known && (op, size) == (EndianOp::ToLe, Size::Dw) && self.read(dst)?.as_scalar().is_some() {
            return self.writable(dst);
        }
        self.unary(dst, |num| if known { domain::endian(op, size, num) } else { Scalar::unknown() })
    }

    fn unary(&mut self, dst: Reg, compute: impl Fn(&Scalar) -> Scalar) -> Result<(), Reject> {
        let old = self.read(dst)?;
        self.writable(dst)?;
        let new = match old {
            Value::Scalar(scalar) => {
                let link = scalar.link.filter(|_| self.has_bug(Bug::SwapKeepsLink));
                Value::Scalar(ScalarValue { num: sane(compute(&scalar.num)), link })
            }
            Value::Ptr(_) if self.has_bug(Bug::NegPointer) => old,
            Value::Ptr(_) | Value::Uninit => Value::unknown(),
        };
        self.write(dst, new);
        Ok(())
    }

    /// Makes a register's scalar known as the twin of a copy that is about to be made, and gives the copy.
    pub(super) fn tie(&mut self, reg: Reg, scalar: ScalarValue) -> ScalarValue {
        let tied = self.tied(scalar);
        self.path.state.set(reg, Value::Scalar(tied));
        tied
    }

    /// A scalar with a link of its own, unless it has one or is constant.
    pub(super) fn tied(&mut self, scalar: ScalarValue) -> ScalarValue {
        let link = match scalar.link {
            Some(link) if link.delta == Delta::Same => Some(link),
            _ if scalar.num.is_const() => None,
            Some(_) | None => Some(Link { id: self.new_id(), delta: Delta::Same }),
        };
        ScalarValue { link, ..scalar }
    }
}

/// A number that contradicts itself comes from a path that cannot be taken: Linux goes on with nothing known.
pub(super) fn sane(num: Scalar) -> Scalar {
    if num.violates_invariants() { num.forget_ranges() } else { num }
}

/// The link of `dst` after arithmetic: kept, with a distance, for the first addition of a constant.
fn keep_link(
    width: Width,
    op: AluOp,
    old: &ScalarValue,
    link: Option<Link>,
    src: &Scalar,
    same_reg: bool,
) -> Option<Link> {
    let link = link.filter(|link| link.delta == Delta::Same && !same_reg)?;
    let constant = match width {
        Width::W64 => i32::try_from(num::s64(src.const_value()?)).ok()?,
        Width::W32 => num::s32(src.const_low()?),
    };
    let off = match op {
        AluOp::Add => constant,
        AluOp::Sub => constant.checked_neg()?,
        AluOp::Mul
        | AluOp::Div
        | AluOp::SDiv
        | AluOp::Mod
        | AluOp::SMod
        | AluOp::Or
        | AluOp::And
        | AluOp::Xor
        | AluOp::Lsh
        | AluOp::Rsh
        | AluOp::Arsh => return None,
    };
    let delta = match width {
        Width::W64 => Delta::Add64(off),
        Width::W32 if old.num.umax() <= u64::from(u32::MAX) => Delta::Add32(off),
        Width::W32 => return None,
    };
    Some(Link { delta, ..link })
}

fn check_immediate(width: Width, op: AluOp, imm: i32) -> Result<(), Reject> {
    match op {
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod if imm == 0 => Err(Reject::DivByZero {}),
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh if u32::try_from(imm).is_ok_and(|imm| imm < width.bits()) => Ok(()),
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => Err(Reject::InvalidShift { amount: imm }),
        AluOp::Div
        | AluOp::SDiv
        | AluOp::Mod
        | AluOp::SMod
        | AluOp::Add
        | AluOp::Sub
        | AluOp::Mul
        | AluOp::Or
        | AluOp::And
        | AluOp::Xor => Ok(()),
    }
}

/// An operator as messages have it.
pub(super) fn symbol(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div | AluOp::SDiv => "/=",
        AluOp::Mod | AluOp::SMod => "%=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::Xor => "^=",
        AluOp::Lsh => "<<=",
        AluOp::Rsh => ">>=",
        AluOp::Arsh => "s>>=",
    }
}
