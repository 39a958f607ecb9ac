//! Programs out of bytes: generated, chaotic, or real ones with changes.

use std::sync::Arc;

use ring3_platform::{LoadFlags, ProgType, Program};

use crate::entropy::Entropy;
use crate::generate::Generated;
use crate::parity::{KINDS, chaos, maps, parse, program, spoil};
use crate::{generate, mutate};

/// Packets that each program runs on.
pub const PACKETS: usize = 2;
/// Small programs that Linux judged: what mutations of real programs begin with.
const REAL: &str = include_str!("../../tests/data/linux-6.18.tsv");

/// A program and what it runs on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The program.
    pub program: Arc<Program>,
    /// Packets, or beginnings of contexts.
    pub packets: Vec<Vec<u8>>,
    /// What it computes does not depend on addresses.
    plain: bool,
}

impl Subject {
    /// A program of one's own. `plain` says that what it computes does not depend on addresses.
    pub fn new(program: Arc<Program>, plain: bool) -> Subject {
        Subject { program, packets: vec![vec![0x35; 64], vec![0; 14]], plain }
    }

    /// The same with another program.
    #[must_use]
    pub fn with(&self, program: Arc<Program>) -> Subject {
        Subject { program, ..self.clone() }
    }

    /// For engines that are compared: only what the generator makes does the same on all of them.
    pub fn comparable(&self) -> Option<Generated> {
        let packet = self.packets.first()?.clone();
        self.plain.then(|| Generated { program: Arc::clone(&self.program), packet })
    }
}

/// Bytes of a number: the same ones every time.
pub fn bytes_of(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    let len = 40 + next() as usize % 600;
    (0..len).map(|_| next() as u8).collect()
}

/// The program that these bytes stand for.
pub fn subject(data: &[u8]) -> Subject {
    let (head, rest) = data.split_at(data.len().min(2));
    let [kind, flags] = [head.first(), head.get(1)].map(|byte| byte.copied().unwrap_or(0));
    let (first, second) = rest.split_at(rest.len() - rest.len().min(32));
    let (mut entropy, mut changes) = (Entropy::new(first), Entropy::new(second));
    let (mut program, packet, plain) = match kind % 8 {
        0 | 1 => with_packet(generate(&mut entropy), true),
        2 | 3 => with_packet(mutate(&generate(&mut entropy), &mut changes), false),
        4 => (chaotic(&mut entropy, None), Vec::new(), false),
        5 | 6 => (chaotic(&mut entropy, Some(&mut changes)), Vec::new(), false),
        _ => (real(&mut entropy, &mut changes), Vec::new(), false),
    };
    if flags & 1 == 1 {
        program.flags = LoadFlags::TEST_STATE_FREQ;
    }
    let other: Vec<u8> = data.iter().copied().chain([flags; 64]).take(64).collect();
    let packet = if packet.is_empty() { vec![0x08; 60] } else { packet };
    Subject { program: Arc::new(program), packets: vec![packet, other], plain }
}

fn with_packet(generated: Generated, plain: bool) -> (Program, Vec<u8>, bool) {
    ((*generated.program).clone(), generated.packet, plain)
}

fn chaotic(entropy: &mut Entropy<'_>, changes: Option<&mut Entropy<'_>>) -> Program {
    let (kind, maps) = (entropy.pick(&KINDS), maps());
    let code = chaos(kind, entropy);
    let code = match changes {
        Some(changes) => spoil(&code, maps.len(), changes),
        None => code,
    };
    program(kind, code, &maps)
}

/// A program that Linux judged, with a few changes.
fn real(entropy: &mut Entropy<'_>, changes: &mut Entropy<'_>) -> Program {
    let rows: Vec<&str> = REAL.lines().skip(1).collect();
    let row = rows.get(entropy.below(rows.len() as u32) as usize).copied().unwrap_or_default();
    let mut fields = row.split('\t');
    let kind = fields.next().and_then(ProgType::from_name).unwrap_or(ProgType::Xdp);
    let code = parse(fields.next().unwrap_or("exit").split(';')).unwrap_or_default();
    let maps = maps();
    program(kind, spoil(&code, maps.len(), changes), &maps)
}
