//! What BTF says of one assembled program.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::types::{Linkage, TypeId};
use crate::{Btf, CoreRelo};

/// A function of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FuncEntry {
    /// First slot, from the start of the program.
    pub slot: u32,
    /// Its name.
    pub name: Arc<str>,
    /// Its `FUNC`.
    pub type_id: TypeId,
    /// Static functions are verified as part of their callers, global ones on their own.
    pub linkage: Linkage,
}

/// From `slot` on, the code belongs to this source line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineEntry {
    /// First slot, from the start of the program.
    pub slot: u32,
    /// Path of the source file.
    pub file: Arc<str>,
    /// Text of the line.
    pub text: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub col: u32,
}

/// Functions and source lines of one program, both in ascending order of slots, and the types they refer to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramInfo {
    /// The object's types.
    pub btf: Arc<Btf>,
    /// The program itself first, then its subprograms.
    pub funcs: Vec<FuncEntry>,
    /// Source lines.
    pub lines: Vec<LineEntry>,
    /// Slots of instructions whose CO-RE relocation found nothing, and the relocation as loaders print it.
    pub unresolved: Vec<(u32, String)>,
    /// Slots of instructions whose CO-RE relocation is left to the kernel, and the relocation.
    pub pending: Vec<(u32, CoreRelo)>,
}

impl ProgramInfo {
    /// The entry whose range holds this slot.
    pub fn line_at(&self, slot: u32) -> Option<&LineEntry> {
        let after = self.lines.partition_point(|line| line.slot <= slot);
        self.lines[..after].last()
    }

    /// The function whose range holds this slot.
    pub fn func_at(&self, slot: u32) -> Option<&FuncEntry> {
        let after = self.funcs.partition_point(|func| func.slot <= slot);
        self.funcs[..after].last()
    }
}

impl Default for ProgramInfo {
    fn default() -> Self {
        ProgramInfo {
            btf: Arc::new(Btf::empty()),
            funcs: Vec::new(),
            lines: Vec::new(),
            unresolved: Vec::new(),
            pending: Vec::new(),
        }
    }
}
