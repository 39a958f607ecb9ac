//! Maps whose values hold locks, timers or kernel pointers: what is not modelled is refused, however deep it lies.

use ring3::{Engine, Error, LogLevel, Object, Options};

#[test]
fn values_with_special_parts_are_refused_by_name() {
    let object = Object::parse("special.bpf.o", include_bytes!("data/special.bpf.o")).unwrap();
    for (program, part) in [("locked", "bpf_spin_lock"), ("timed", "bpf_timer"), ("pointed", "a kptr")] {
        match Engine::new().verify(&object, program, &Options::default(), LogLevel(1)) {
            Err(Error::Rejected { rejection, .. }) => {
                assert!(rejection.message.contains(part), "{program}: {}", rejection.message);
            }
            other => panic!("{program}: {other:?}"),
        }
    }
}
