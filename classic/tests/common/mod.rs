//! Random programs, and programs on every engine.
#![allow(dead_code)]

use std::sync::Arc;

use ring3_classic::{Extension, Filter, Insn, Packet, Place, SeccompData, Style};
use ring3_jit::Jit;
use ring3_platform::{Program, Target};
use ring3_verifier::{LogLevel, VerifiedProgram, verify};
use ring3_vm::{
    Context, DataStart, Env, Execute, Helpers, Interp, SkbContext, TestHost, ctx, link, link_unverified, run,
};

/// Numbers that are the same everywhere for a seed (splitmix64).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// A number of the sizes that matter.
    pub fn number(&mut self) -> u32 {
        match self.below(6) {
            0 => self.next() as u32,
            1 => self.of(&[0, 1, 2, 31, 32, 33, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]),
            2 => 1 << self.below(32),
            _ => self.below(70) as u32,
        }
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Every opcode of Linux that reads no packet.
const PLAIN: &[u16] = &[
    0x00, 0x01, 0x02, 0x03, 0x60, 0x61, 0x80, 0x81, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54,
    0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0xa4, 0xac, 0x07, 0x87, 0x07, 0x87, 0x05,
];
const BRANCHES: &[u16] = &[0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d];
const PACKET: &[u16] = &[0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xb1, 0x94, 0x9c];

/// What a random program may load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loads {
    /// Bytes, and `#len`.
    Bytes,
    /// Also extensions and offsets from headers.
    All,
    /// `struct seccomp_data`.
    Seccomp,
}

/// A program that nearly always is a valid one, and does something.
pub fn program(rng: &mut Rng, loads: Loads, packet: usize) -> Vec<Insn> {
    let length = 3 + rng.below(24) as usize;
    let mut insns = vec![Insn::new(0x02, 0, 0, 0), Insn::new(0x02, 0, 0, 3)];
    while insns.len() + 1 < length {
        let behind = (length - insns.len() - 1) as u64;
        let insn = match rng.below(10) {
            0..4 => load(rng, loads, packet),
            4..6 => {
                let near = |rng: &mut Rng| rng.below(behind.min(4)) as u8;
                let (jt, jf) = (near(rng), near(rng));
                Insn::new(rng.of(BRANCHES), jt, jf, rng.number())
            }
            6 if rng.below(3) == 0 => Insn::new(rng.of(&[0x06, 0x16]), 0, 0, rng.below(120) as u32),
            _ => plain(rng, behind),
        };
        insns.push(insn);
    }
    insns.push(if rng.below(3) == 0 { Insn::new(0x06, 0, 0, rng.number()) } else { Insn::new(0x16, 0, 0, 0) });
    insns
}

fn plain(rng: &mut Rng, behind: u64) -> Insn {
    let code = rng.of(PLAIN);
    let k = match code {
        0x02 | 0x03 => rng.below(5) as u32,
        0x60 | 0x61 => rng.of(&[0, 3]),
        0x34 => rng.number().max(1),
        0x64 | 0x74 => rng.below(32) as u32,
        0x05 => rng.below(behind.min(3)) as u32,
        _ => rng.number(),
    };
    Insn::new(code, 0, 0, k)
}

fn load(rng: &mut Rng, loads: Loads, packet: usize) -> Insn {
    if loads == Loads::Seccomp {
        return Insn::new(0x20, 0, 0, rng.below(16) as u32 * 4);
    }
    let code = rng.of(PACKET);
    let near = rng.below(packet as u64 + 3) as u32;
    let k = match code {
        0x94 | 0x9c => rng.number().max(1),
        0x40..0x60 => rng.of(&[near, 0, 4, 0xffff_fffc, rng.0 as u32]),
        _ if loads == Loads::All && rng.below(3) == 0 => match rng.below(3) {
            0 => (-0x10_0000i32 as u32).wrapping_add(near).wrapping_sub(4),
            1 => (-0x20_0000i32 as u32).wrapping_add(near),
            _ if code == 0xb1 => near,
            _ => rng.of(&runnable_extensions()).k(),
        },
        _ if rng.below(30) == 0 => rng.next() as u32 & 0x7fff_ffff,
        _ => near,
    };
    Insn::new(code, 0, 0, k)
}

/// Those that a translation has, but for the random number.
pub fn runnable_extensions() -> Vec<Extension> {
    let not = [Extension::Nlattr, Extension::NlattrNest, Extension::HaType, Extension::PayOffset, Extension::Random];
    Extension::ALL.iter().copied().filter(|e| !not.contains(e)).collect()
}

/// The engines with a program in them.
pub struct Engines {
    pub verified: VerifiedProgram,
    all: Vec<(&'static str, Arc<dyn Execute>)>,
}

impl Engines {
    /// Translates, verifies, links, compiles. Panics if the verifier refuses the translation.
    pub fn new(filter: &Filter, style: Style) -> Engines {
        let program = filter.translate(style).unwrap();
        let verified = judge(&program).unwrap_or_else(|rejection| panic!("{rejection}\n{}", rejection.log));
        let unverified = link_unverified(&program.code, program.kind, &[], &Helpers::new()).unwrap();
        let linked = Arc::new(link(&verified, &[], &Helpers::new()).unwrap());
        let mut all: Vec<(&'static str, Arc<dyn Execute>)> = vec![
            ("checked", Arc::new(Interp::new(Arc::new(unverified)))),
            ("interp", Arc::new(Interp::new(linked.clone()))),
        ];
        if Jit::is_supported() {
            all.push(("jit", Arc::new(Jit::compile(linked).unwrap())));
        }
        Engines { verified, all }
    }

    /// What each engine returns for a packet.
    pub fn packet(&self, packet: &Packet<'_>) -> Vec<(&'static str, u32)> {
        let mut skb = SkbContext::new().unwrap();
        skb.load(packet.data, DataStart::Ethernet);
        let fields = &packet.fields;
        for (name, value) in [
            ("protocol", u16::from_ne_bytes(fields.protocol.to_be_bytes()).into()),
            ("pkt_type", fields.pkt_type.into()),
            ("ifindex", fields.ifindex),
            ("mark", fields.mark),
            ("queue_mapping", fields.queue.into()),
            ("hash", fields.hash),
            ("vlan_tci", fields.vlan_tag.into()),
            ("vlan_present", fields.vlan_present.into()),
            ("vlan_proto", u16::from_ne_bytes(fields.vlan_proto.to_be_bytes()).into()),
        ] {
            assert!(skb.fields().set(name, value.into()), "{name}");
        }
        skb.cut_from(packet.length);
        self.run(|| Context::Skb(skb.clone()))
    }

    /// What each engine returns for a system call.
    pub fn call(&self, call: &SeccompData) -> Vec<(&'static str, u32)> {
        let kind = self.verified.program().kind;
        self.run(|| ctx::from_image(kind, &call.to_bytes()).unwrap())
    }

    fn run(&self, context: impl Fn() -> Context) -> Vec<(&'static str, u32)> {
        let one = |(name, execute): &(&'static str, Arc<dyn Execute>)| {
            let mut host = TestHost::default();
            let mut env = Env::new(&mut host);
            env.budget = Some(1 << 20);
            env.ctx = context();
            (*name, run(execute.as_ref(), &mut env).unwrap_or_else(|e| panic!("{name}: {e}")) as u32)
        };
        self.all.iter().map(one).collect()
    }
}

pub fn judge(program: &Program) -> Result<VerifiedProgram, Box<ring3_verifier::Rejection>> {
    verify(Arc::new(program.clone()), Arc::new(Target::default()), LogLevel::default())
}

/// The program as a filter of a place.
pub fn filter(place: Place, insns: Vec<Insn>) -> Option<Filter> {
    match place {
        Place::Socket => Filter::socket(insns),
        Place::Seccomp => Filter::seccomp(insns),
    }
    .ok()
}
