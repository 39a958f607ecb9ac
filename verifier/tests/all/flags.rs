//! Flags of BPF_PROG_LOAD that change the verdict.

use std::sync::Arc;

use ring3_platform::{LoadFlags, ProgType, Program, Target};
use ring3_verifier::{LogLevel, Stats, verify};

fn judge(text: &str, flags: LoadFlags) -> Result<Stats, String> {
    let mut program = Program::new("flags", ProgType::Xdp, ring3_isa::assemble(text).unwrap());
    program.flags = flags;
    let result = verify(Arc::new(program), Arc::new(Target::default()), LogLevel::default());
    result.map(|proof| proof.stats()).map_err(|rejection| rejection.message)
}

/// Reads a word at this byte of a packet.
fn read(at: u32) -> String {
    format!(
        "r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +4)\nr4 = r2\nr4 += 16\nif r4 > r3 goto +1\nr0 = *(u32 *)(r2 +{at})\nr0 = 0\nexit"
    )
}

#[test]
fn alignment_is_strict_where_it_is_asked_for() {
    let strict = LoadFlags::STRICT_ALIGNMENT;
    // Packets begin two bytes after an aligned address, for the Internet header to be aligned.
    assert!(judge(&read(4), LoadFlags::default()).is_ok());
    assert!(judge(&read(2), strict).is_ok());
    assert_eq!(judge(&read(4), strict).unwrap_err(), "misaligned packet access off 2+0+0+4 size 4");
    assert!(judge(&read(4), strict.or(LoadFlags::ANY_ALIGNMENT)).is_ok());
}

#[test]
fn a_state_is_stored_wherever_states_are_compared() {
    let text = "r0 = 0\nif r1 == 0 goto +1\nr0 = 1\nif r0 == 5 goto +1\nr0 = 2\nexit";
    let [few, many] = [LoadFlags::default(), LoadFlags::TEST_STATE_FREQ].map(|flags| judge(text, flags).unwrap());
    assert!(many.total_states > few.total_states, "{many:?} {few:?}");
}

#[test]
fn other_flags_are_refused_by_name() {
    assert!(judge("r0 = 0\nexit", LoadFlags::TEST_RND_HI32).is_ok());
    let refused = judge("r0 = 0\nexit", LoadFlags::TEST_REG_INVARIANTS).unwrap_err();
    assert_eq!(refused, "ring3: the load flag 0x80 is not supported yet");
}
