//! Gives programs a helper that Linux does not have. Its prototype lets the verifier check every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring3::platform::helpers::Condition;
use ring3::platform::{ArgFlags, ArgKind, ArgType, ProgSet, RetKind, RetType};
use ring3::{Engine, Error, KernelVersion, ProgType, Program, Proto, Target, isa};

/// The number by which programs call it.
const CHARGE: u32 = Target::FIRST_CUSTOM_HELPER;

/// `charge(amount)`: takes a number, returns the total.
fn prototype() -> Proto {
    let none = ArgType { kind: ArgKind::None, flags: ArgFlags::default() };
    let number = ArgType { kind: ArgKind::Anything, flags: ArgFlags::default() };
    Proto {
        id: CHARGE,
        name: "charge",
        args: [number, none, none, none, none],
        ret: RetType { kind: RetKind::Integer, maybe_null: false, rdonly: false },
        gpl_only: false,
        might_sleep: false,
        pkt_access: false,
        fastcall: false,
        progs: ProgSet::of(&[ProgType::Xdp]),
        condition: Condition::Always,
        since: KernelVersion::new(0, 0),
    }
}

fn program(name: &str, text: &str) -> Program {
    Program::new(name, ProgType::Xdp, isa::assemble(text).expect("the text above is right"))
}

fn main() -> Result<(), Error> {
    let total = Arc::new(AtomicU64::new(0));
    let counter = total.clone();
    let engine = Engine::new()
        .helper(prototype(), move |_, [amount, ..]| counter.fetch_add(amount, Ordering::Relaxed) + amount)?;

    // From C: static long (*charge)(unsigned long amount) = (void *)65536;
    let good = program("good", &format!("r1 = 7\ncall charge#{CHARGE}\nr0 = 2\nexit"));
    let mut instance = engine.load_program(good);
    for _ in 0..3 {
        instance.run("good", &[0u8; 60])?;
    }
    println!("charged {}", total.load(Ordering::Relaxed));

    // R1 has no value after a call: the verifier knows from the prototype that the second one reads it.
    let bad = program("bad", &format!("r1 = 7\ncall charge#{CHARGE}\ncall charge#{CHARGE}\nr0 = 2\nexit"));
    match engine.load_program(bad).program("bad") {
        Ok(_) => println!("accepted?"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
