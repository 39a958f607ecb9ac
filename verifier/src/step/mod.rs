//! What each instruction does to the state.

mod access;
mod alu;
mod args;
mod branch;
mod call;
mod dynptr;
mod exit;
mod format;
pub mod global;
mod graph;
mod iter;
mod kernel;
mod kfunc;
mod kfunc_args;
mod kptr;
mod lock;
mod memo;
mod memory;
mod pointer;
mod region;
pub mod result;
mod stack;
pub mod subprog;

pub use kernel::SafeLists;
pub use memo::Memo;
pub use memory::Deref;

use ring3_isa::{Insn, Malformed, Reg, Wide};

use ring3_platform::{MapDef, MapType};

use crate::diag::reject::Reject;
use crate::domain::Scalar;
use crate::kernel::symbol;
use crate::state::{Ptr, PtrKind, Value};
use crate::walk::{Next, Walk};

/// Offsets and sizes that no pointer may reach (BPF_MAX_VAR_OFF).
pub const MAX_OFF: i64 = 1 << 29;
/// The immediate of a cast from user space's addresses of the arena to the kernel's.
const TO_KERNEL: i32 = 1;

impl<'p> Walk<'p> {
    /// Executes the current instruction.
    pub fn insn(&mut self, insn: Insn) -> Result<Next, Reject> {
        let fall = |result: Result<(), Reject>| result.map(|()| Next::Fall);
        match insn {
            Insn::Alu { width, op, dst, src } => fall(self.alu(width, op, dst, src)),
            Insn::Mov { width, dst, src } => fall(self.mov(width, dst, src)),
            Insn::MovSx { width, from, dst, src } => fall(self.mov_sx(width, from, dst, src)),
            Insn::Neg { width, dst } => fall(self.neg(width, dst)),
            Insn::Endian { op, size, dst } => fall(self.endian(op, size, dst)),
            Insn::AddrSpaceCast { .. } if !self.structure.has_arena => Err(Reject::NoArena {}),
            Insn::AddrSpaceCast { dst, src, imm } => fall(self.addr_space_cast(dst, src, imm == TO_KERNEL)),
            Insn::CallX { .. } | Insn::GotoX { .. } => {
                let code = self.program.code.raw_slice()[self.at].code;
                Err(crate::cfg::malformed(Malformed::UnknownOpcode(code)))
            }
            Insn::LoadImm { dst, value } => fall(self.load_imm(dst, value)),
            Insn::WideTail => Err(Reject::MiddleOfLdImm64 { at: self.at }),
            Insn::Load { size, signed, dst, base, off } => fall(self.load(size, signed, dst, base, off)),
            Insn::Store { size, base, off, src } => fall(self.store(size, base, off, src)),
            Insn::Atomic { op, size, base, off, src } => fall(self.atomic(op, size, base, off, src)),
            Insn::LoadAcquire { size, dst, base, off } => fall(self.load_acquire(size, dst, base, off)),
            Insn::StoreRelease { size, base, off, src } => fall(self.store_release(size, base, off, src)),
            Insn::Jump { off, .. } => {
                self.store.count_jump();
                Ok(Next::Goto(self.slot_at(off)?))
            }
            Insn::Branch { width, op, lhs, rhs, off } => {
                self.store.count_jump();
                self.branch(width, op, lhs, rhs, off)
            }
            Insn::MayGoto { off } => {
                self.store.count_jump();
                self.may_goto(off)
            }
            Insn::Call(callee) => {
                self.store.count_jump();
                self.call(callee)
            }
            Insn::Exit => {
                self.store.count_jump();
                self.exit()
            }
            Insn::LegacyPacket { index, .. } => self.legacy_packet(index),
        }
    }

    /// The map with this index: see [`crate::cfg::maps::map`].
    pub fn map(&self, index: u32) -> &'p MapDef {
        crate::cfg::maps::map(self.program, index)
    }

    /// The target of a jump from the current instruction.
    pub fn slot_at(&self, off: i32) -> Result<usize, Reject> {
        crate::cfg::target(&self.program.code, self.at, off)
            .ok_or(Reject::JumpOutOfRange { from: self.at, to: i64::from(off) })
    }

    fn load_imm(&mut self, dst: Reg, value: Wide) -> Result<(), Reject> {
        self.writable(dst)?;
        let map = |index: i32| u32::try_from(index).map_err(|_| Reject::NoSuchMap { index });
        let value = match value {
            Wide::Imm(value) => Value::number(Scalar::constant(value)),
            Wide::Map(index) | Wide::MapIdx(index) => Value::ptr(PtrKind::ConstMap(map(index)?)),
            Wide::MapValue { map: index, .. } | Wide::MapIdxValue { index, .. }
                if self.map(map(index)?).kind == MapType::Arena =>
            {
                // An address of user space.
                Value::unknown()
            }
            Wide::MapValue { map: index, off } | Wide::MapIdxValue { index, off } => {
                let off = i32::try_from(off).map_err(|_| Reject::DirectOffset { off })?;
                Value::Ptr(Ptr { off, ..Ptr::new(PtrKind::MapValue(map(index)?)) })
            }
            Wide::Func(off) => {
                let start = self.slot_at(off)?;
                let subprog = self.structure.subprog_at(start).ok_or(Reject::InvalidFuncReference { at: self.at })?;
                self.check_callback(subprog)?;
                Value::ptr(PtrKind::Func(u32::try_from(subprog).unwrap_or(u32::MAX)))
            }
            Wide::BtfId { id, .. } => Value::ptr(symbol::pointer(self.target, id)?),
        };
        self.write(dst, value);
        Ok(())
    }

    /// Between what the kernel and what user space calls an address of the arena.
    fn addr_space_cast(&mut self, dst: Reg, src: Reg, to_kernel: bool) -> Result<(), Reject> {
        self.read(src)?;
        self.writable(dst)?;
        self.write(dst, if to_kernel { Value::ptr(PtrKind::Arena) } else { Value::unknown() });
        Ok(())
    }

    /// A function may be called back if BTF says that it is static.
    fn check_callback(&self, subprog: usize) -> Result<(), Reject> {
        match self.func_entry(subprog) {
            None => Err(Reject::NoFuncInfo {}),
            Some(func) if func.linkage == ring3_btf::Linkage::Static => Ok(()),
            Some(_) => Err(Reject::CallbackNotStatic {}),
        }
    }
}
