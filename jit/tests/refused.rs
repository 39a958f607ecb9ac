//! What is not compiled.

use std::sync::Arc;

use ring3_isa::assemble;
use ring3_jit::{Jit, JitError};
use ring3_platform::ProgType;
use ring3_vm::{Helpers, link_unverified};

/// Machine code checks nothing, so a program without a proof never becomes any.
#[test]
fn programs_without_a_proof() {
    let code = assemble("r0 = 1\nexit").unwrap();
    let linked = link_unverified(&code, ProgType::Xdp, &[], &Helpers::new()).unwrap();
    let error = Jit::compile(Arc::new(linked)).unwrap_err();
    assert!(matches!(error, JitError::NotVerified));
    assert_eq!(error.to_string(), "only verified programs are compiled");
}
