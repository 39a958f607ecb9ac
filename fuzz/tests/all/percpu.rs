//! Objects that programs make for each CPU (`bpf_percpu_obj_new`), in maps and out of them: what Linux 6.18 says of each program of
//! `data/percpu.bpf.c`.

use ring3::Backend;
use ring3_fuzz::parity::Referee;
use ring3_object::{Object, Options};
use ring3_parity::{Answer, Kernel};
use ring3_verifier::{LogLevel, verify};

const OBJECT: &[u8] = include_bytes!("../data/percpu.bpf.o");

const NOT_PERCPU: &str = "R1 type=scalar expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_";

/// The program, and what is said of it; nothing if it is accepted.
const ROWS: &[(&str, &str)] = &[
    ("new_drop", ""),
    ("fits", ""),
    ("inner_structures", ""),
    ("not_dropped", "BPF_EXIT instruction in main prog would lead to reference leak"),
    ("read_itself", "R0 is ptr_three access percpu memory: off=0"),
    ("null_dropped", "Possibly NULL pointer passed to trusted arg0"),
    ("dropped_as_plain", "arg#0 expected for bpf_percpu_obj_drop_impl()"),
    ("plain_dropped", "arg#0 expected for bpf_obj_drop_impl()"),
    ("of_pointer", "bpf_percpu_obj_new type ID argument must be of a struct of scalars"),
    ("of_lock", "bpf_percpu_obj_new type ID argument must not contain special fields"),
    ("of_flexible", "bpf_percpu_obj_new type ID argument must be of a struct of scalars"),
    ("too_large", "bpf_percpu_obj_new type size (600) is greater than 512"),
    ("no_such_type", "local type ID argument must be in range [0, U32_MAX]"),
    ("of_number", "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct"),
    ("own_this_cpu", "R1 type=percpu_ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_"),
    ("dropped_this_cpu", NOT_PERCPU),
    ("exchanged", ""),
    // What a map was given is good until RCU's readers are gone.
    ("used_in_map", ""),
    ("dropped_in_map", "R1 must be referenced or trusted"),
    ("taken_not_dropped", "BPF_EXIT instruction in main prog would lead to reference leak"),
    ("other_type", "invalid kptr access, R2 type=percpu_ptr_one expected=ptr_three"),
    ("percpu_into_plain", "invalid kptr access, R2 type=percpu_ptr_ expected=ptr_three"),
    ("loaded", ""),
    // Of an object for each CPU there is one for every number.
    ("loaded_never_null", ""),
    ("loaded_beyond", "access beyond struct three at off 24 size 8"),
    ("loaded_beyond_written", "access beyond struct three at off 24 size 8"),
    ("loaded_read", "R1 is ptr_three access percpu memory: off=0"),
    ("loaded_null", "R1 type=percpu_rcu_ptr_or_null_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_"),
    ("loaded_dropped", "R1 must be referenced or trusted"),
    ("loaded_twice", "R1 type=rcu_ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_"),
    ("loaded_one_dropped", "R1 must be referenced or trusted"),
    ("stored", "store to referenced kptr disallowed"),
];

/// Linux accepts it: the map frees the object as one that there is for each CPU, and programs find memory that is nobody's.
const WORSE_IN_LINUX: (&str, &str) =
    ("plain_into_percpu", "invalid kptr access, R2 type=ptr_three expected=percpu_ptr_three");

#[test]
fn linux_and_ring3_say_the_same() {
    let kernel = Kernel::open().ok().filter(|_| Referee::open(Vec::new()).is_some());
    let Some(kernel) = kernel else {
        println!("skipped: no Linux 6.18 with bpf(2) here");
        return;
    };
    let object = Object::parse("percpu.bpf.o", OBJECT).unwrap();
    assert_eq!(object.programs().len(), ROWS.len() + 1, "a program is not in the table");
    let both = |name: &str| {
        let program = object.program(name, &Options::default()).unwrap();
        let (answer, _) = kernel.judge_logged(&program, ring3_linux::LogLevel::STATS);
        let Answer::Judged(linux) = answer else { panic!("{name}: {answer:?}") };
        let ours = verify(program.into(), kernel.target(), LogLevel(1)).map_or_else(|no| no.message, |_| String::new());
        (linux.message, ours)
    };
    for &(name, says) in ROWS {
        let (linux, ours) = both(name);
        // What was acquired and where stands in front of this one.
        let linux = linux.lines().last().unwrap_or_default();
        assert_eq!(linux, says, "{name}");
        assert_eq!(ours.lines().last().unwrap_or_default(), says, "{name}");
    }
    let (name, says) = WORSE_IN_LINUX;
    assert_eq!(both(name), (String::new(), says.to_owned()), "{name}");
}

/// What the programs that are accepted do, one after the other on the same map, on every engine.
#[test]
fn each_cpu_has_its_part() {
    let Ok(types) = ring3::sim::types(ring3::sim::RUNNING_KERNEL) else {
        return println!("skipped: the running kernel's types are not there");
    };
    let object = Object::parse("percpu.bpf.o", OBJECT).unwrap();
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    for backend in [Backend::Checked, Backend::Interpreter].into_iter().chain(jit) {
        for (cpu, of_the_first) in [(0, 3), (1, 0)] {
            let engine = ring3::Engine::new().btf(types.clone()).cpus(2).backend(backend);
            let mut instance = engine.load(&object).unwrap();
            instance.set_host(ring3::vm::TestHost { cpu, ..ring3::vm::TestHost::default() });
            let mut run = |program: &str| instance.run(program, &[0; 64]).unwrap().retval;
            assert_eq!(run("loaded"), 0, "there is no object yet");
            // It leaves a 3 for its CPU, and reads what nobody wrote.
            assert_eq!(run("used_in_map"), 0);
            assert_eq!(run("loaded"), of_the_first, "{backend:?} on CPU {cpu}");
            // There is no such CPU, and a load from nowhere gives 0.
            assert_eq!(run("loaded_never_null"), 0);
            // A new object takes the place of the old one.
            assert_eq!((run("exchanged"), run("loaded")), (0, 0));
            assert_eq!((run("new_drop"), run("fits")), (0, 0));
            assert_eq!(instance.objects().len(), 1, "what the map has");
        }
    }
}
