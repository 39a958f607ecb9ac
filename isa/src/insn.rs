//! The decoded instruction. RFC 9669 sections 2 to 5, and what Linux has beyond it.

/// A register, R0 to R10. Never out of range: decoding refuses higher numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// The return value.
    pub const R0: Reg = Reg(0);
    /// First argument, and the context at entry.
    pub const R1: Reg = Reg(1);
    /// Second argument.
    pub const R2: Reg = Reg(2);
    /// Third argument.
    pub const R3: Reg = Reg(3);
    /// Fourth argument.
    pub const R4: Reg = Reg(4);
    /// Fifth argument.
    pub const R5: Reg = Reg(5);
    /// First callee-saved register.
    pub const R6: Reg = Reg(6);
    /// Callee-saved.
    pub const R7: Reg = Reg(7);
    /// Callee-saved.
    pub const R8: Reg = Reg(8);
    /// Last callee-saved register.
    pub const R9: Reg = Reg(9);
    /// The read-only frame pointer.
    pub const FP: Reg = Reg(10);
    /// How many registers there are.
    pub const COUNT: usize = 11;

    /// The register with this number, if it is 0 to 10.
    #[inline]
    pub const fn new(number: u8) -> Option<Reg> {
        if number <= 10 { Some(Reg(number)) } else { None }
    }

    /// 0 to 10.
    #[inline]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// 0 to 10, to index a register file.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All registers, R0 first.
    #[inline]
    pub fn all() -> impl Iterator<Item = Reg> {
        (0..=10).map(Reg)
    }
}

impl core::fmt::Debug for Reg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl core::fmt::Display for Reg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// Operand width of arithmetic and branches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// ALU and JMP32: the low halves; results are zero-extended.
    W32,
    /// ALU64 and JMP.
    W64,
}

impl Width {
    /// Both.
    pub const ALL: &'static [Width] = &[Width::W32, Width::W64];

    /// 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Width::W32 => 32,
            Width::W64 => 64,
        }
    }
}

/// Size of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    Dw,
}

impl Size {
    /// 1, 2, 4 or 8.
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::Dw => 8,
        }
    }
}

/// Binary arithmetic. Signed division and modulo are operations of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    Div,
    SDiv,
    Mod,
    SMod,
    Or,
    And,
    Xor,
    Lsh,
    Rsh,
    Arsh,
}

/// Comparison of a conditional jump. `Set` is `lhs & rhs != 0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum CmpOp {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Sgt,
    Sge,
    Slt,
    Sle,
    Set,
}

/// Byte swaps: to little endian, to big endian, or unconditionally (`bswap`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum EndianOp {
    ToLe,
    ToBe,
    Swap,
}

/// Read-modify-write operations on memory (RFC 9669 section 5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum AtomicOp {
    Add,
    Or,
    And,
    Xor,
    FetchAdd,
    FetchOr,
    FetchAnd,
    FetchXor,
    Xchg,
    Cmpxchg,
}

impl AtomicOp {
    /// The register that receives the old value: the source, R0 for `Cmpxchg`, or none.
    pub const fn fetches_into(self, src: Reg) -> Option<Reg> {
        match self {
            AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => None,
            AtomicOp::FetchAdd | AtomicOp::FetchOr | AtomicOp::FetchAnd | AtomicOp::FetchXor | AtomicOp::Xchg => {
                Some(src)
            }
            AtomicOp::Cmpxchg => Some(Reg::R0),
        }
    }
}

/// Second operand: a register, or an immediate that is sign-extended to the width.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Operand {
    Reg(Reg),
    Imm(i32),
}

/// What a 64-bit immediate load yields (RFC 9669 section 5.4). In a `ring3_platform::Program` a "map" is an index into its maps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wide {
    /// A plain number.
    Imm(u64),
    /// `src` 1: a map by file descriptor (in a `Program`: by index).
    Map(i32),
    /// `src` 2: the address of the first value of a map, plus an offset in bytes.
    MapValue {
        /// The map.
        map: i32,
        /// Offset into the value.
        off: u32,
    },
    /// `src` 3: a kernel variable or function by BTF id.
    BtfId {
        /// Type id.
        id: i32,
        /// File descriptor of a module's BTF, 0 for vmlinux.
        fd: i32,
    },
    /// `src` 4: a subprogram of this program, relative to this instruction as for a call (slot + 1 + offset).
    Func(i32),
    /// `src` 5: a map by index into `fd_array`; in a `ring3_platform::Program` those are its maps.
    MapIdx(i32),
    /// `src` 6: as `MapValue`, by index into `fd_array`.
    MapIdxValue {
        /// Index.
        index: i32,
        /// Offset into the value.
        off: u32,
    },
}

/// Who is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Callee {
    /// `src` 0: a helper by number.
    Helper(i32),
    /// `src` 1: a subprogram, relative (slot + 1 + offset).
    Local(i32),
    /// `src` 2: a kernel function by BTF id; `off` selects the BTF.
    Kfunc {
        /// Type id.
        id: i32,
        /// 0 for vmlinux, else an index into `fd_array`.
        off: i16,
    },
}

/// One decoded instruction. Jump offsets are in slots, relative to the following slot, as encoded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Insn {
    Alu {
        width: Width,
        op: AluOp,
        dst: Reg,
        src: Operand,
    },
    Mov {
        width: Width,
        dst: Reg,
        src: Operand,
    },
    /// Sign-extending move; `from` is B, H or (64-bit only) W.
    MovSx {
        width: Width,
        from: Size,
        dst: Reg,
        src: Reg,
    },
    /// `dst = addr_space_cast(src, to, from)`: `imm` 1 casts 1 to 0, 0x10000 casts 0 to 1.
    AddrSpaceCast {
        dst: Reg,
        src: Reg,
        imm: i32,
    },
    Neg {
        width: Width,
        dst: Reg,
    },
    /// `size` is H, W or Dw.
    Endian {
        op: EndianOp,
        size: Size,
        dst: Reg,
    },
    /// Takes two slots; the second is `WideTail`.
    LoadImm {
        dst: Reg,
        value: Wide,
    },
    /// Second slot of `LoadImm`; no jump may land here.
    WideTail,
    Load {
        size: Size,
        signed: bool,
        dst: Reg,
        base: Reg,
        off: i16,
    },
    Store {
        size: Size,
        base: Reg,
        off: i16,
        src: Operand,
    },
    /// `size` is W or Dw.
    Atomic {
        op: AtomicOp,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    },
    LoadAcquire {
        size: Size,
        dst: Reg,
        base: Reg,
        off: i16,
    },
    StoreRelease {
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    },
    /// `long` is `gotol`, with a 32-bit offset.
    Jump {
        off: i32,
        long: bool,
    },
    Branch {
        width: Width,
        op: CmpOp,
        lhs: Reg,
        rhs: Operand,
        off: i16,
    },
    MayGoto {
        off: i16,
    },
    Call(Callee),
    /// `callx`: a call of the function whose address the register holds. Neither in the RFC nor in Linux; clang writes it.
    CallX {
        target: Reg,
    },
    /// `gotox`: a jump to the address that the register holds, as a table of jumps has it.
    GotoX {
        target: Reg,
    },
    Exit,
    /// LD_ABS and LD_IND: `R0 = packet[index + imm]` in network order; clobbers R1 to R5, takes the context from R6.
    LegacyPacket {
        size: Size,
        index: Option<Reg>,
        imm: i32,
    },
}
