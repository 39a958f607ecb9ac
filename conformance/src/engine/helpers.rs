//! The helpers that the public suite expects under the numbers 0 to 5, for the engines of ring3.
//!
//! Linux has helpers of its own under these numbers, so here they get others, with prototypes for the verifier.

use ring3_platform::helpers::Condition;
use ring3_platform::{
    ArgFlags, ArgKind, ArgType, HelperId, KernelVersion, ProgSet, ProgType, Proto, RetKind, RetType, Target,
};
use ring3_vm::{Call, Helpers, LinkError};

/// How many there are.
pub const COUNT: u32 = 6;

/// Bytes of a string that `strcmp_ext` looks at, and that `memfrob` changes, at most.
const MAX_TEXT: u64 = 1 << 16;

/// What `unwind` says to stop a run with R0 = 0.
pub const UNWIND: &str = "an unwinding that goes on";

/// `gather_bytes`: the low bytes of the arguments as one number.
pub fn gather_bytes(args: [u64; 5]) -> u64 {
    args.iter().fold(0, |sum, arg| sum << 8 | arg & 0xff)
}

/// `sqrti`: the root of a number, rounded down.
pub fn sqrti(value: u64) -> u64 {
    value.isqrt()
}

/// `strcmp_ext`: the difference of the first bytes that differ, up to a NUL. `byte` reads one of the first or second string.
pub fn strcmp_ext(mut byte: impl FnMut(usize, u64) -> Option<u8>) -> Option<u64> {
    for at in 0..MAX_TEXT {
        let (a, b) = (byte(0, at)?, byte(1, at)?);
        if a != b || a == 0 {
            return Some(i64::from(a).wrapping_sub(b.into()).cast_unsigned());
        }
    }
    Some(0)
}

/// The key of `memfrob`, as of memfrob(3).
pub const FROB: u8 = 42;

/// The number under which a helper of the public suite is registered.
pub fn id(number: u32) -> u32 {
    Target::FIRST_CUSTOM_HELPER + number
}

const NAMES: [&str; COUNT as usize] = ["gather_bytes", "memfrob", "no_op", "sqrti", "strcmp_ext", "unwind"];

/// Prototypes. `memfrob` is not there: it writes through a pointer, of which a proof must know, and that takes `unsafe` code.
pub fn prototypes() -> Vec<Proto> {
    (0..COUNT).filter(|number| *number != MEMFROB).map(prototype).collect()
}

/// Number of `memfrob`.
pub const MEMFROB: u32 = 1;

/// All arguments are taken as they are: a number and an address of memory alike.
fn prototype(number: u32) -> Proto {
    let arg = |takes: bool| ArgType {
        kind: if takes { ArgKind::Anything } else { ArgKind::None },
        flags: ArgFlags::default(),
    };
    let count = [5, 2, 0, 1, 2, 1][number as usize];
    Proto {
        id: id(number),
        name: NAMES[number as usize],
        args: std::array::from_fn(|at| arg(at < count)),
        ret: RetType { kind: RetKind::Integer, maybe_null: false, rdonly: false },
        gpl_only: false,
        might_sleep: false,
        pkt_access: false,
        fastcall: false,
        progs: ProgSet::of(&[ProgType::SocketFilter, ProgType::SchedCls]),
        condition: Condition::Always,
        since: KernelVersion::new(0, 0),
    }
}

/// The functions.
pub fn functions() -> Result<Helpers, LinkError> {
    let mut helpers = Helpers::new();
    helpers.register(HelperId(id(0)), |_, args| gather_bytes(args))?;
    helpers.register(HelperId(id(MEMFROB)), frob)?;
    helpers.register(HelperId(id(2)), |_, _| 0)?;
    helpers.register(HelperId(id(3)), |_, [value, ..]| sqrti(value))?;
    helpers.register(HelperId(id(4)), compare)?;
    helpers.register(HelperId(id(5)), |call, [value, ..]| {
        if value == 0 {
            call.trap(value, UNWIND);
        }
        value
    })?;
    Ok(helpers)
}

/// Changes no verified program's memory; those are not offered it.
fn frob(call: &mut Call<'_, '_>, [start, len, ..]: [u64; 5]) -> u64 {
    for at in 0..len.min(MAX_TEXT) {
        let (mut byte, address) = ([0], start.wrapping_add(at));
        if !call.read(address, &mut byte) || !call.write(address, &[byte[0] ^ FROB]) {
            call.trap(address, "memory that may be written");
            break;
        }
    }
    start
}

fn compare(call: &mut Call<'_, '_>, [a, b, ..]: [u64; 5]) -> u64 {
    let read = |text: usize, at: u64| {
        let mut byte = [0];
        call.read([a, b][text].wrapping_add(at), &mut byte).then_some(byte[0])
    };
    match strcmp_ext(read) {
        Some(difference) => difference,
        None => {
            call.trap(a, "a string");
            0
        }
    }
}
