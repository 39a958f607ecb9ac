//! Classic BPF run as it is: small and slow, to hold the translation against.

use ring3_isa::{AluOp, CmpOp, Size};

use crate::check::{Filter, Place};
use crate::error::ClassicError;
use crate::insn::{AD_OFF, Extension, Insn, LL_OFF, MEM_CELLS, NET_OFF, Op, Source};
use crate::seccomp::SeccompData;

/// Bytes of an Ethernet header.
const ETH_HLEN: u32 = 14;

/// What a filter of a socket sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// The bytes that are there. A load beyond them ends the program with 0.
    pub data: &'a [u8],
    /// Length that the packet had when it was captured: what `ld #len` loads.
    pub length: u32,
    /// Where the network header is: the negative offsets from `SKF_NET_OFF` on count from here.
    pub network: u32,
    /// Fields beside the bytes.
    pub fields: Fields,
}

/// What Linux knows of a packet beside its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Fields {
    pub protocol: u16,
    pub pkt_type: u8,
    /// 0: there is no interface.
    pub ifindex: u32,
    pub mark: u32,
    pub queue: u16,
    pub hash: u32,
    pub vlan_tag: u16,
    pub vlan_present: bool,
    pub vlan_proto: u16,
    pub cpu: u32,
    pub random: u32,
}

impl<'a> Packet<'a> {
    /// A whole Ethernet frame that came in over the loopback interface, which has number 1 and the address zero.
    pub fn ethernet(data: &'a [u8]) -> Packet<'a> {
        let (protocol, pkt_type) = match data.first_chunk::<{ ETH_HLEN as usize }>() {
            Some(header) => (protocol(header, data), packet_type(header)),
            None => (0, 0),
        };
        let fields = Fields { protocol, pkt_type, ifindex: 1, ..Fields::default() };
        Packet { data, length: u32::try_from(data.len()).unwrap_or(u32::MAX), network: ETH_HLEN, fields }
    }
}

/// The type; frames with a length instead of one count as `ETH_P_802_3` (raw IPX) or `ETH_P_802_2`.
fn protocol(header: &[u8; ETH_HLEN as usize], data: &[u8]) -> u16 {
    match u16::from_be_bytes([header[12], header[13]]) {
        kind @ 0x600.. => kind,
        _ if data.get(14..16) == Some(&[0xff, 0xff]) => 1,
        _ => 4,
    }
}

/// `PACKET_HOST`, `PACKET_MULTICAST` or `PACKET_OTHERHOST`.
fn packet_type(header: &[u8; ETH_HLEN as usize]) -> u8 {
    match header[..6] {
        [0, 0, 0, 0, 0, 0] => 0,
        [first, ..] if first & 1 != 0 => 2,
        _ => 3,
    }
}

/// What instructions load from.
enum Input<'a> {
    Packet(&'a Packet<'a>),
    Call(&'a [u8; SeccompData::BYTES]),
}

impl Filter {
    /// Runs the program on a packet: gives how many bytes of it to keep. 0 for a filter of seccomp, which finds no packet.
    ///
    /// Errors: `NoEquivalent` for extensions that a translated program could not load either.
    pub fn run(&self, packet: &Packet<'_>) -> Result<u32, ClassicError> {
        if self.place() == Place::Seccomp {
            return Ok(0);
        }
        Machine { input: Input::Packet(packet), a: 0, x: 0, m: [0; MEM_CELLS as usize] }.run(self)
    }

    /// Runs the program on a system call: gives the number of an [`Action`](crate::Action). 0 for a filter of a socket.
    pub fn run_seccomp(&self, call: &SeccompData) -> u32 {
        if self.place() == Place::Socket {
            return 0;
        }
        let bytes = call.to_bytes();
        let machine = Machine { input: Input::Call(&bytes), a: 0, x: 0, m: [0; MEM_CELLS as usize] };
        // seccomp takes no extensions, which are all that can go wrong.
        machine.run(self).unwrap_or(0)
    }
}

struct Machine<'a> {
    input: Input<'a>,
    a: u32,
    x: u32,
    m: [u32; MEM_CELLS as usize],
}

/// What an instruction does to the program's course.
enum Then {
    Skip(u32),
    Return(u32),
}

impl Machine<'_> {
    fn run(mut self, filter: &Filter) -> Result<u32, ClassicError> {
        let mut slot = 0;
        // Jumps go forward only, so this ends.
        while let Some((op, insn)) = filter.step(slot) {
            match self.step(slot, op, insn)? {
                Then::Skip(count) => slot += 1 + count as usize,
                Then::Return(value) => return Ok(value),
            }
        }
        Ok(0)
    }

    fn step(&mut self, slot: usize, op: Op, insn: Insn) -> Result<Then, ClassicError> {
        let source = |source, x| match source {
            Source::K => insn.k,
            Source::X => x,
        };
        let cell = (insn.k % MEM_CELLS) as usize;
        match op {
            Op::LoadAbs(_) if insn.k >= AD_OFF => return self.extension(slot, insn),
            Op::LoadAbs(size) => match self.load(insn.k, size) {
                Some(value) => self.a = value,
                None => return Ok(Then::Return(0)),
            },
            Op::LoadInd(size) => match self.load(self.x.wrapping_add(insn.k), size) {
                Some(value) => self.a = value,
                None => return Ok(Then::Return(0)),
            },
            Op::LoadXMsh => match self.load(insn.k, Size::B) {
                Some(value) => self.x = (value & 15) * 4,
                None => return Ok(Then::Return(0)),
            },
            Op::LoadLen => self.a = self.length(),
            Op::LoadXLen => self.x = self.length(),
            Op::LoadImm => self.a = insn.k,
            Op::LoadXImm => self.x = insn.k,
            Op::LoadMem => self.a = self.m[cell],
            Op::LoadXMem => self.x = self.m[cell],
            Op::Store => self.m[cell] = self.a,
            Op::StoreX => self.m[cell] = self.x,
            Op::Alu(op, from) => match alu(op, self.a, source(from, self.x)) {
                Some(value) => self.a = value,
                None => return Ok(Then::Return(0)),
            },
            Op::Neg => self.a = self.a.wrapping_neg(),
            Op::Jump => return Ok(Then::Skip(insn.k)),
            Op::Branch(op, from) => {
                let holds = compare(op, self.a, source(from, self.x));
                return Ok(Then::Skip(u32::from(if holds { insn.jt } else { insn.jf })));
            }
            Op::RetK => return Ok(Then::Return(insn.k)),
            Op::RetA => return Ok(Then::Return(self.a)),
            Op::Tax => self.x = self.a,
            Op::Txa => self.a = self.x,
        }
        Ok(Then::Skip(0))
    }

    fn length(&self) -> u32 {
        match self.input {
            Input::Packet(packet) => packet.length,
            Input::Call(bytes) => bytes.len() as u32,
        }
    }

    fn load(&self, offset: u32, size: Size) -> Option<u32> {
        let packet = match self.input {
            Input::Packet(packet) => packet,
            Input::Call(bytes) => {
                let word = bytes.get(offset as usize..)?.first_chunk()?;
                return Some(u32::from_ne_bytes(*word));
            }
        };
        let signed = i64::from(offset.cast_signed());
        let start = if signed >= 0 {
            signed
        } else if signed >= NET_OFF.into() {
            i64::from(packet.network) + signed - i64::from(NET_OFF)
        } else if signed >= LL_OFF.into() {
            signed - i64::from(LL_OFF)
        } else {
            return None;
        };
        let start = usize::try_from(start).ok()?;
        let bytes = packet.data.get(start..)?.get(..size.bytes() as usize)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn extension(&mut self, slot: usize, insn: Insn) -> Result<Then, ClassicError> {
        let (Input::Packet(packet), Some(extension)) = (&self.input, Extension::from_k(insn.k)) else {
            return Ok(Then::Return(0));
        };
        let fields = &packet.fields;
        self.a = match extension {
            Extension::Protocol => fields.protocol.into(),
            Extension::PktType => fields.pkt_type.into(),
            Extension::IfIndex if fields.ifindex == 0 => return Ok(Then::Return(0)),
            Extension::IfIndex => fields.ifindex,
            Extension::Mark => fields.mark,
            Extension::Queue => fields.queue.into(),
            Extension::RxHash => fields.hash,
            Extension::Cpu => fields.cpu,
            Extension::XorX => self.a ^ self.x,
            Extension::VlanTag => fields.vlan_tag.into(),
            Extension::VlanPresent => fields.vlan_present.into(),
            Extension::VlanProto => fields.vlan_proto.into(),
            Extension::Random => fields.random,
            Extension::Nlattr | Extension::NlattrNest | Extension::HaType | Extension::PayOffset => {
                return Err(ClassicError::NoEquivalent { slot, extension });
            }
        };
        Ok(Then::Skip(0))
    }
}

/// `None` for a division by zero, which ends the program with 0. Shifts take the low five bits, as eBPF's do.
fn alu(op: AluOp, a: u32, b: u32) -> Option<u32> {
    Some(match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => a.checked_div(b)?,
        AluOp::Mod => a.checked_rem(b)?,
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh => a.wrapping_shl(b),
        AluOp::Rsh => a.wrapping_shr(b),
        // Classic BPF has none of these.
        AluOp::SDiv | AluOp::SMod | AluOp::Arsh => return None,
    })
}

fn compare(op: CmpOp, a: u32, b: u32) -> bool {
    match op {
        CmpOp::Eq => a == b,
        CmpOp::Gt => a > b,
        CmpOp::Ge => a >= b,
        CmpOp::Set => a & b != 0,
        // Classic BPF has none of these.
        CmpOp::Ne | CmpOp::Lt | CmpOp::Le | CmpOp::Sgt | CmpOp::Sge | CmpOp::Slt | CmpOp::Sle => false,
    }
}
