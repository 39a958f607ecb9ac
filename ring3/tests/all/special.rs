//! Maps whose values hold locks, timers or kernel pointers: what Linux 6.18 says of a store there.

use ring3::{Engine, Error, LogLevel, Object, Options};

#[test]
fn special_parts_of_values_are_out_of_reach() {
    let object = Object::parse("special.bpf.o", include_bytes!("../data/special.bpf.o")).unwrap();
    let said = |program: &str| match Engine::new().verify(&object, program, &Options::default(), LogLevel(1)) {
        Err(Error::Rejected { rejection, .. }) => rejection.message,
        Err(other) => panic!("{program}: {other:?}"),
        Ok(_) => String::new(),
    };
    assert_eq!(said("locked"), "bpf_spin_lock cannot be accessed directly by load/store");
    assert_eq!(said("timed"), "bpf_timer cannot be accessed directly by load/store");
    // The object does not say what it points to: Linux makes out no field, and the pointer is memory as other is.
    assert_eq!(said("pointed"), "");
}
