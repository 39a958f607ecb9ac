//! Objects with damaged bytes through the whole chain: nothing panics, and what one engine runs the other runs too.

use crate::common::examples;
use ring3::jit::Jit;
use ring3::{Backend, Engine, Input, Object};

/// Damaged versions of each object, unless `RING3_DAMAGED` says how many.
const ROUNDS: u64 = 60;

const OBJECTS: [&str; 9] = [
    "drop_icmp.bpf.o",
    "flows.bpf.o",
    "lb.bpf.o",
    "ping.bpf.o",
    "tail.bpf.o",
    "subprogs.bpf.o",
    "maps.bpf.o",
    "loop.bpf.o",
    "socket_filter.bpf.o",
];

const FRAME: &str = "02000000000b02000000000a08004500003c00014000400126be0a0000010a0000020800048500770001202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/// SplitMix64: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

fn damage(bytes: &mut [u8], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        bytes[at] = match random.below(4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at] ^ (1 << random.below(8)),
            _ => random.below(256) as u8,
        };
    }
}

/// Verifies, links and runs a program; whether it was accepted and ran.
///
/// What it computed is not compared: Linux lets root read stack that was never written, and so does ring3.
fn runs(engine: &Engine, object: &Object, name: &str, frame: &[u8]) -> bool {
    let Ok(mut instance) = engine.load(object) else { return false };
    let Ok(program) = instance.program(name) else { return false };
    let input = if ring3::takes_packet(program.program().kind) { Input::Packet(frame) } else { Input::Context(&[]) };
    let ran = instance.run(name, input).is_ok();
    // Everything that programs left is there to be read.
    ran && instance.maps().all(|map| map.entries().len() <= map.def().max_entries as usize)
}

#[test]
fn damaged_objects_are_refused_or_run() {
    let rounds = std::env::var("RING3_DAMAGED").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let frame = ring3::text::hex_bytes(FRAME).unwrap();
    let interpreter = Engine::new().backend(Backend::Interpreter);
    let jit = Jit::is_supported().then(|| Engine::new().backend(Backend::Jit));
    let (mut refused, mut ran) = (0, 0);
    for file in OBJECTS {
        let whole = std::fs::read(examples().join("bpf").join(file)).unwrap();
        for round in 0..rounds {
            let mut bytes = whole.clone();
            damage(&mut bytes, &mut Random(round << 8 | file.len() as u64));
            let Ok(object) = Object::parse(file, &bytes) else {
                refused += 1;
                continue;
            };
            for entry in object.programs() {
                let one = runs(&interpreter, &object, &entry.name, &frame);
                if one {
                    ran += 1;
                } else {
                    refused += 1;
                }
                if let Some(jit) = &jit {
                    let other = runs(jit, &object, &entry.name, &frame);
                    assert_eq!(one, other, "{file} round {round} {}", entry.name);
                }
            }
        }
    }
    assert!(refused > 0 && ran > 0, "{refused} refused, {ran} ran");
}
