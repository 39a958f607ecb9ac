//! The instruction (`struct sock_filter`), and the one table of opcodes.

use ring3_isa::{AluOp, CmpOp, Endianness, Size};

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const MAX_INSNS: usize = 4096;
/// Cells of the scratch memory `M[]` (`BPF_MEMWORDS`).
pub const MEM_CELLS: u32 = 16;
/// Offsets of loads from here on name an [`Extension`] (`SKF_AD_OFF`, as the unsigned number that `k` is).
pub const AD_OFF: u32 = -0x1000i32 as u32;
/// Start of the negative offsets from the network header (`SKF_NET_OFF`).
pub const NET_OFF: i32 = -0x10_0000;
/// Start of the negative offsets from the link-layer header (`SKF_LL_OFF`).
pub const LL_OFF: i32 = -0x20_0000;

/// One instruction as it is given to Linux (`struct sock_filter`), not judged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Insn {
    /// Opcode.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// A number: constant, offset, cell of the scratch memory, or instructions to skip.
    pub k: u32,
}

impl Insn {
    /// Bytes of an instruction.
    pub const BYTES: usize = 8;

    /// An instruction.
    pub const fn new(code: u16, jt: u8, jf: u8, k: u32) -> Insn {
        Insn { code, jt, jf, k }
    }

    /// From the eight bytes of the struct.
    pub const fn from_bytes(bytes: [u8; 8], order: Endianness) -> Insn {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = bytes;
        match order {
            Endianness::Little => {
                Insn { code: u16::from_le_bytes([c0, c1]), jt, jf, k: u32::from_le_bytes([k0, k1, k2, k3]) }
            }
            Endianness::Big => {
                Insn { code: u16::from_be_bytes([c0, c1]), jt, jf, k: u32::from_be_bytes([k0, k1, k2, k3]) }
            }
        }
    }

    /// The eight bytes of the struct.
    pub const fn to_bytes(self, order: Endianness) -> [u8; 8] {
        let ([c0, c1], [k0, k1, k2, k3]) = match order {
            Endianness::Little => (self.code.to_le_bytes(), self.k.to_le_bytes()),
            Endianness::Big => (self.code.to_be_bytes(), self.k.to_be_bytes()),
        };
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }

    /// What it does; `None` if Linux knows no such opcode. The other fields may still be wrong.
    pub fn op(self) -> Option<Op> {
        row_of(self.code).map(|row| row.op)
    }

    /// The extension that an absolute load names.
    pub fn extension(self) -> Option<Extension> {
        if let Some(Op::LoadAbs(_)) = self.op() { Extension::from_k(self.k) } else { None }
    }
}

/// The second operand of arithmetic and comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Source {
    K,
    X,
}

/// What an opcode does. The numbers are in the [`Insn`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// `A = packet[k]`, in network byte order; or an [`Extension`].
    LoadAbs(Size),
    /// `A = packet[X + k]`.
    LoadInd(Size),
    /// `A = length of the packet`.
    LoadLen,
    /// `A = k`.
    LoadImm,
    /// `A = M[k]`.
    LoadMem,
    /// `X = 4 * (packet[k] & 15)`, the length of an IPv4 header.
    LoadXMsh,
    /// `X = length of the packet`.
    LoadXLen,
    /// `X = k`.
    LoadXImm,
    /// `X = M[k]`.
    LoadXMem,
    /// `M[k] = A`.
    Store,
    /// `M[k] = X`.
    StoreX,
    /// `A = A op source`.
    Alu(AluOp, Source),
    /// `A = -A`.
    Neg,
    /// Skips k instructions.
    Jump,
    /// Skips `jt` instructions if `A op source` holds, else `jf`.
    Branch(CmpOp, Source),
    /// Ends with k.
    RetK,
    /// Ends with A.
    RetA,
    /// `X = A`.
    Tax,
    /// `A = X`.
    Txa,
}

/// How the operand of an instruction reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Nothing.
    None,
    /// `#12`
    Dec,
    /// `#0xc`
    Hex,
    /// `x`
    X,
    /// `a`, which `tcpdump -d` leaves out.
    A,
    /// `[12]`, or an extension.
    Abs,
    /// `[x + 12]`
    Ind,
    /// `M[3]`
    Mem,
    /// `4*([14]&0xf)`
    Msh,
    /// `#pktlen`
    Len,
    /// The number of an instruction, or a label.
    Target,
}

pub(crate) struct Row {
    pub code: u16,
    pub op: Op,
    pub name: &'static str,
    pub form: Form,
}

const fn row(code: u16, op: Op, name: &'static str, form: Form) -> Row {
    Row { code, op, name, form }
}

/// Every opcode that Linux takes, with the words of `tcpdump -d`.
pub(crate) const ROWS: &[Row] = &[
    row(0x00, Op::LoadImm, "ld", Form::Hex),
    row(0x20, Op::LoadAbs(Size::W), "ld", Form::Abs),
    row(0x28, Op::LoadAbs(Size::H), "ldh", Form::Abs),
    row(0x30, Op::LoadAbs(Size::B), "ldb", Form::Abs),
    row(0x40, Op::LoadInd(Size::W), "ld", Form::Ind),
    row(0x48, Op::LoadInd(Size::H), "ldh", Form::Ind),
    row(0x50, Op::LoadInd(Size::B), "ldb", Form::Ind),
    row(0x60, Op::LoadMem, "ld", Form::Mem),
    row(0x80, Op::LoadLen, "ld", Form::Len),
    row(0x01, Op::LoadXImm, "ldx", Form::Hex),
    row(0x61, Op::LoadXMem, "ldx", Form::Mem),
    row(0x81, Op::LoadXLen, "ldx", Form::Len),
    row(0xb1, Op::LoadXMsh, "ldxb", Form::Msh),
    row(0x02, Op::Store, "st", Form::Mem),
    row(0x03, Op::StoreX, "stx", Form::Mem),
    row(0x04, Op::Alu(AluOp::Add, Source::K), "add", Form::Dec),
    row(0x0c, Op::Alu(AluOp::Add, Source::X), "add", Form::X),
    row(0x14, Op::Alu(AluOp::Sub, Source::K), "sub", Form::Dec),
    row(0x1c, Op::Alu(AluOp::Sub, Source::X), "sub", Form::X),
    row(0x24, Op::Alu(AluOp::Mul, Source::K), "mul", Form::Dec),
    row(0x2c, Op::Alu(AluOp::Mul, Source::X), "mul", Form::X),
    row(0x34, Op::Alu(AluOp::Div, Source::K), "div", Form::Dec),
    row(0x3c, Op::Alu(AluOp::Div, Source::X), "div", Form::X),
    row(0x44, Op::Alu(AluOp::Or, Source::K), "or", Form::Hex),
    row(0x4c, Op::Alu(AluOp::Or, Source::X), "or", Form::X),
    row(0x54, Op::Alu(AluOp::And, Source::K), "and", Form::Hex),
    row(0x5c, Op::Alu(AluOp::And, Source::X), "and", Form::X),
    row(0x64, Op::Alu(AluOp::Lsh, Source::K), "lsh", Form::Dec),
    row(0x6c, Op::Alu(AluOp::Lsh, Source::X), "lsh", Form::X),
    row(0x74, Op::Alu(AluOp::Rsh, Source::K), "rsh", Form::Dec),
    row(0x7c, Op::Alu(AluOp::Rsh, Source::X), "rsh", Form::X),
    row(0x84, Op::Neg, "neg", Form::None),
    row(0x94, Op::Alu(AluOp::Mod, Source::K), "mod", Form::Dec),
    row(0x9c, Op::Alu(AluOp::Mod, Source::X), "mod", Form::X),
    row(0xa4, Op::Alu(AluOp::Xor, Source::K), "xor", Form::Hex),
    row(0xac, Op::Alu(AluOp::Xor, Source::X), "xor", Form::X),
    row(0x05, Op::Jump, "ja", Form::Target),
    row(0x15, Op::Branch(CmpOp::Eq, Source::K), "jeq", Form::Hex),
    row(0x1d, Op::Branch(CmpOp::Eq, Source::X), "jeq", Form::X),
    row(0x25, Op::Branch(CmpOp::Gt, Source::K), "jgt", Form::Hex),
    row(0x2d, Op::Branch(CmpOp::Gt, Source::X), "jgt", Form::X),
    row(0x35, Op::Branch(CmpOp::Ge, Source::K), "jge", Form::Hex),
    row(0x3d, Op::Branch(CmpOp::Ge, Source::X), "jge", Form::X),
    row(0x45, Op::Branch(CmpOp::Set, Source::K), "jset", Form::Hex),
    row(0x4d, Op::Branch(CmpOp::Set, Source::X), "jset", Form::X),
    row(0x06, Op::RetK, "ret", Form::Dec),
    row(0x16, Op::RetA, "ret", Form::A),
    row(0x07, Op::Tax, "tax", Form::None),
    row(0x87, Op::Txa, "txa", Form::None),
];

pub(crate) fn row_of(code: u16) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.code == code)
}

macro_rules! extensions {
    ($($(#[$doc:meta])* $variant:ident = $offset:literal $pcap:literal $asm:literal;)*) => {
        /// What Linux gives beyond the packet's bytes (`SKF_AD_*`).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Extension { $($(#[$doc])* $variant = $offset),* }

        impl Extension {
            /// Every one, by number.
            pub const ALL: &'static [Extension] = &[$(Extension::$variant),*];

            /// As `tcpdump -d` writes it between brackets.
            pub const fn pcap_name(self) -> &'static str {
                match self { $(Extension::$variant => $pcap),* }
            }

            /// As Linux's `bpf_asm` writes it.
            pub const fn asm_name(self) -> &'static str {
                match self { $(Extension::$variant => $asm),* }
            }
        }
    };
}

extensions! {
    /// Ethernet type that the stack sees.
    Protocol = 0 "proto" "proto";
    /// `PACKET_HOST` and so on.
    PktType = 4 "type" "type";
    /// Index of the interface; without one the program ends with 0.
    IfIndex = 8 "ifidx" "ifidx";
    /// Offset of the Netlink attribute X, sought from offset A on.
    Nlattr = 12 "nla" "nla";
    /// The same, nested in the attribute at offset A.
    NlattrNest = 16 "nlan" "nlan";
    /// Mark.
    Mark = 20 "mark" "mark";
    /// Queue.
    Queue = 24 "queue" "queue";
    /// `ARPHRD_*` of the interface; without one the program ends with 0.
    HaType = 28 "hatype" "hatype";
    /// Receive hash.
    RxHash = 32 "rxhash" "rxhash";
    /// Number of the CPU.
    Cpu = 36 "cpu" "cpu";
    /// `A ^= X`.
    XorX = 40 "xor_x" "xor_x";
    /// VLAN tag that is beside the packet.
    VlanTag = 44 "vlan_tci" "vlan_tci";
    /// Whether there is one.
    VlanPresent = 48 "vlanp" "vlan_avail";
    /// Where the payload begins, behind all headers that Linux can dissect.
    PayOffset = 52 "poff" "poff";
    /// A random number.
    Random = 56 "random" "rand";
    /// The tag's Ethernet type.
    VlanProto = 60 "vlan_tpid" "vlan_tpid";
}

impl Extension {
    /// By the `k` of an absolute load.
    pub fn from_k(k: u32) -> Option<Extension> {
        Extension::ALL.iter().copied().find(|extension| extension.k() == k)
    }

    /// The `k` of its load.
    pub const fn k(self) -> u32 {
        AD_OFF + self as u32
    }

    /// By a name of either tool, or by one of the other spellings in use.
    pub fn from_name(name: &str) -> Option<Extension> {
        let by_name = |e: &Extension| e.pcap_name() == name || e.asm_name() == name;
        match name {
            "pay_offset" => Some(Extension::PayOffset),
            "vlan_pr" | "vlan_present" => Some(Extension::VlanPresent),
            "ifindex" => Some(Extension::IfIndex),
            "hash" => Some(Extension::RxHash),
            _ => Extension::ALL.iter().copied().find(by_name),
        }
    }
}
