//! Calls and jumps by register, and casts of address spaces, run nowhere: lowering refuses them by name.

use ring3_isa::assemble;
use ring3_vm::{LowerError, lower_unverified};

#[test]
fn what_no_engine_runs_is_refused_by_name() {
    let cases = [
        ("callx r1", "a call by register"),
        ("gotox r1", "a jump to an address"),
        ("r1 = addr_space_cast(r2, 0, 1)", "a cast of address spaces"),
    ];
    for (text, what) in cases {
        let code = assemble(&format!("r0 = 0\n{text}\nexit")).unwrap();
        assert_eq!(lower_unverified(&code, 0).err(), Some(LowerError::Unsupported { slot: 1, what }), "{text}");
    }
}
