//! Filters of classic BPF through the library.

use ring3::classic::{Filter, SeccompData, parse};
use ring3::{Backend, Engine, Error, Input};

fn engines() -> Vec<Engine> {
    let mut engines = vec![Engine::new().backend(Backend::Interpreter)];
    if ring3::jit::Jit::is_supported() {
        engines.push(Engine::new().backend(Backend::Jit));
    }
    engines
}

fn socket(text: &str) -> Filter {
    Filter::socket(parse(text).unwrap()).unwrap()
}

#[test]
fn what_was_captured_of_a_packet() {
    let filter = socket("ldb [20]\nld len\nret a");
    for engine in engines() {
        let mut instance = engine.load_filter(&filter).unwrap();
        let data = [1u8; 21];
        let mut run = |data, length| instance.run("filter", Input::Captured { data, length }).unwrap();
        assert_eq!(run(&data, 1500).retval, 1500);
        // Never less than there is.
        assert_eq!(run(&data, 0).retval, 21);
        // Nothing of one stays for the next.
        assert_eq!(run(&data, 1500).packet, data);
        for length in 0..21 {
            assert_eq!(run(&data[..length], 1500).retval, 0, "{length}");
        }
        assert_eq!(instance.run("filter", &data).unwrap().retval, 21);
        let error = instance.run("filter", Input::Captured { data: &vec![0; (1 << 18) + 1], length: 0 });
        assert!(matches!(error, Err(Error::Run { .. })), "{error:?}");
        // It is no context.
        assert!(matches!(instance.run("filter", Input::Context(&data)), Err(Error::Run { .. })));
    }
    let mut seccomp = Engine::new().load_filter(&Filter::seccomp(parse("ret #0").unwrap()).unwrap()).unwrap();
    let error = seccomp.run("filter", Input::Captured { data: &[], length: 0 });
    assert!(matches!(error, Err(Error::Run { .. })), "{error:?}");
}

/// Each way through the first half has a number of its own in X, which the second half compares: too much for the verifier.
#[test]
fn programs_that_are_too_complex_run_nevertheless() {
    let mut text = String::from("ldx #0\n");
    for stage in 0..18 {
        let (byte, bit) = (stage / 8, 1 << (stage % 8));
        text += &format!("ldb [{byte}]\njset #{bit}, yes{stage}, no{stage}\n");
        text += &format!("yes{stage}: txa\nadd #{}\ntax\nno{stage}: ld #0\n", 1u32 << stage);
    }
    text += "txa\n";
    for value in 0..200 {
        text += &format!("jeq #{value}, end\n");
    }
    text += "ret #7\nend: ret #9";
    let filter = socket(&text);
    for engine in engines() {
        let mut instance = engine.load_filter(&filter).unwrap();
        for (data, retval) in [([199, 0, 0], 9), ([200, 0, 0], 7), ([0, 0, 3], 7), ([0, 0, 0], 9)] {
            assert_eq!(instance.run("filter", Input::Captured { data: &data, length: 3 }).unwrap().retval, retval);
        }
    }
}

#[test]
fn system_calls() {
    let policy =
        parse("ld [4]\njne #0xc000003e, kill\nld [20]\njgt #0, kill\nld [16]\nadd #0x50000\nret a\nkill: ret #0");
    let filter = Filter::seccomp(policy.unwrap()).unwrap();
    for engine in engines() {
        let mut instance = engine.load_filter(&filter).unwrap();
        let mut run = |call: SeccompData| instance.run("filter", Input::Context(&call.to_bytes())).unwrap().retval;
        // The words of an argument are in the order of the machine.
        if cfg!(target_endian = "little") {
            let call = SeccompData { arch: 0xc000_003e, args: [13, 0, 0, 0, 0, 0], ..SeccompData::default() };
            assert_eq!(run(call), 0x5000d);
            assert_eq!(run(SeccompData { args: [13 | 1 << 32, 0, 0, 0, 0, 0], ..call }), 0);
        }
        assert_eq!(run(SeccompData::default()), 0);
    }
}

#[test]
fn what_ebpf_cannot_get_is_an_error() {
    let error = Engine::new().load_filter(&socket("ld poff\nret a")).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "instruction 0: 'poff' has no equivalent in eBPF");
}
