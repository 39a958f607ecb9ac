//! Sign-extending loads of the context: numbers may be loaded so, addresses may not (found by random programs; Linux 6.18
//! says the same).

use std::sync::Arc;

use ring3_isa::assemble;
use ring3_platform::{Errno, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

fn judge(kind: ProgType, load: &str) -> Result<(), (Errno, String)> {
    let code = assemble(&format!("{load}\nr0 = 0\nexit")).unwrap();
    let program = Arc::new(Program::new("signed", kind, code));
    let judged = verify(program, Arc::new(Target::default()), LogLevel::default());
    judged.map(|_| ()).map_err(|refused| (refused.errno, refused.message))
}

#[test]
fn addresses_are_not_sign_extended() {
    let addresses = [(ProgType::Xdp, 0), (ProgType::Xdp, 4), (ProgType::SchedCls, 76), (ProgType::SchedCls, 140)];
    for (kind, off) in addresses {
        let refused = judge(kind, &format!("r5 = *(s32 *)(r1 +{off})")).unwrap_err();
        assert_eq!(refused, (Errno::EACCES, format!("invalid bpf_context access off={off} size=4")));
        assert_eq!(judge(kind, &format!("r5 = *(u32 *)(r1 +{off})")), Ok(()));
    }
    assert_eq!(judge(ProgType::Xdp, "r5 = *(s32 *)(r1 +12)"), Ok(()));
}
