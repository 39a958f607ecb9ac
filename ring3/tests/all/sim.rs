//! Tracing programs in a simulated kernel: types made here, and those of the running kernel where it has some.

use std::time::Duration;

use ring3::btf::{Btf, Value};
use ring3::sim::{self, Args, Content, Sim, Task, list, user};
use ring3::{Backend, Engine, Input, ProgType, Program};

/// The examples, as messages name them.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bpf/events/");

/// A kernel with what the example needs, laid out as no kernel lays it out: programs find it by relocation.
const KERNEL: &str = "
    typedef struct { unsigned int val; } kuid_t;
    struct cred { long usage; kuid_t uid; kuid_t gid; };
    struct task_struct { char comm[16]; long state; struct task_struct *real_parent; const struct cred *cred; int tgid; int pid;
        struct task_struct *group_leader; };
    struct qstr { unsigned len; const unsigned char *name; };
    struct dentry { long flags; struct qstr d_name; };
    struct path { void *mnt; struct dentry *dentry; };
    struct file { long f_count; struct path f_path; unsigned int f_flags; };
    struct filename { long refs; const char *name; };
    struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss; };
    struct trace_entry { unsigned short type; unsigned char flags; unsigned char preempt_count; int pid; };
    struct trace_event_raw_sched_process_exec { struct trace_entry ent; u32 __data_loc_filename; pid_t pid; pid_t old_pid; char __data[]; };
    struct trace_event_raw_sys_enter { struct trace_entry ent; long id; unsigned long args[6]; char __data[]; };
    struct linux_binprm { struct file *file; };
    tracepoint sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm);
    int do_unlinkat(int dfd, struct filename *name);
    int vfs_open(const struct path *path, struct file *file);
    int bpf_lsm_file_open(struct file *file);
    long __do_sys_openat(int dfd, const char *filename, int flags, umode_t mode);
";

fn kernel() -> Btf {
    sim::declare(&KERNEL.replace("umode_t", "unsigned short")).unwrap_or_else(|e| panic!("{e}"))
}

/// The running kernel's, which say the same in other places.
fn running() -> Option<Btf> {
    match sim::types(sim::RUNNING_KERNEL) {
        Ok(types) => Some(types),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn simulation(types: Btf, backend: Backend) -> Sim {
    let engine = Engine::new().btf(types).backend(backend);
    Sim::new(engine.load(&crate::common::object("events/tracing.bpf.o")).unwrap()).unwrap()
}

/// The test with each engine on each kernel.
fn each(test: impl Fn(&mut Sim)) {
    for types in [Some(kernel()), running()].into_iter().flatten() {
        for backend in [Backend::best(), Backend::Interpreter, Backend::Checked] {
            println!("{backend:?}, {} types", types.types().len());
            test(&mut simulation(types.clone(), backend));
        }
    }
}

fn bash(sim: &Sim) -> Task {
    let init = sim.task().set("comm", "init");
    sim.task().set("comm", "bash").set("pid", 42).set("uid", 501).set("real_parent", init)
}

fn fields(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Struct { fields, .. } => fields.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn typed_tracepoints_and_records_share_an_event() {
    each(|sim| {
        let ls = bash(sim).set("comm", "ls").set("pid", 43).set("real_parent.tgid", 42);
        let args = Args::new().set("p", ls).set("old_pid", 43).set("filename", "/bin/ls").set("pid", 43);
        let fired = sim.fire("sched:sched_process_exec", args).unwrap();
        assert_eq!(fired.runs.iter().map(|run| run.program.as_str()).collect::<Vec<_>>(), ["on_exec", "exec_record"]);
        assert_eq!(sim.trace(), ["43 runs /bin/ls"]);
        let events = sim.events_as("events", "event").unwrap();
        let expected = [
            ("pid".to_owned(), Value::Unsigned(43)),
            ("parent".to_owned(), Value::Unsigned(42)),
            ("uid".to_owned(), Value::Unsigned(501)),
            ("comm".to_owned(), Value::Str("ls".to_owned())),
            ("text".to_owned(), Value::Str(String::new())),
        ];
        assert_eq!(events.iter().map(fields).collect::<Vec<_>>(), [expected]);
        // A thread that is not its group's leader.
        let thread = bash(sim).set("tgid", 7);
        sim.fire("tp_btf/sched_process_exec", [("p", thread)]).unwrap();
        assert_eq!(sim.events("events").unwrap().len(), 0);
        // What nobody laid out is NULL: loads give 0, and the program goes on.
        sim.fire("tp_btf/sched_process_exec", ()).unwrap();
        assert_eq!(sim.events("events").unwrap(), [vec![0; 60]]);
    });
}

#[test]
fn probes_at_functions_see_arguments_and_results() {
    each(|sim| {
        let task = bash(sim);
        let handle = sim.set_task(task).unwrap();
        let args = Args::new().set("dfd", -100).set("name.name", "/tmp/x").returns(-2);
        let fired = sim.fire("do_unlinkat", args).unwrap();
        assert_eq!((fired.of("unlink_enter"), fired.of("unlink_exit"), fired.returned), (Some(-100), Some(0), -2));
        assert_eq!(sim.trace(), ["unlink: 4294967294"]);
        let event = &sim.events_as("events", "event").unwrap()[0];
        assert_eq!(fields(event)[4].1, Value::Str("/tmp/x".to_owned()));
        assert_eq!(sim.text(handle, "comm").unwrap(), "bash");
        assert_eq!(sim.get(handle, "tgid").unwrap(), Value::Signed(42));
        // Memory of the process cannot be read as the kernel's.
        sim.fire("kprobe/do_unlinkat", (0, sim.structure("filename").set("name", user("/tmp/x")))).unwrap();
        assert_eq!(fields(&sim.events_as("events", "event").unwrap()[0])[4].1, Value::Str(String::new()));
    });
}

#[test]
fn functions_take_time_between_entry_and_exit() {
    each(|sim| {
        let task = bash(sim);
        sim.set_task(task).unwrap();
        let args = Args::new().set("path.dentry.d_name.name", "notes").set("file.f_flags", 0o101);
        sim.fire("fentry/vfs_open", args.clone()).unwrap();
        sim.advance(Duration::from_micros(5));
        sim.fire("fexit/vfs_open", args.returns(-13)).unwrap();
        assert_eq!(sim.trace(), ["notes 65", "took 5000 ns, gave -13"]);
        assert_eq!(sim.map("started").unwrap().get::<u32, u64>(42), Some(1_000_000_000));
    });
}

#[test]
fn hooks_decide() {
    each(|sim| {
        let secret = sim.structure("file").set("f_path.dentry.d_name.name", "secret");
        let other = sim.structure("file").set("f_path.dentry.d_name.name", "public");
        assert_eq!(sim.fire("lsm/file_open", (&secret,)).unwrap().returned, 0);
        let task = bash(sim);
        sim.set_task(task).unwrap();
        assert_eq!(sim.fire("lsm/file_open", (&secret,)).unwrap().returned, -13);
        assert_eq!(sim.fire("file_open", (&other,)).unwrap().returned, 0);
    });
}

#[test]
fn system_calls_and_processes() {
    each(|sim| {
        let fired = sim.fire("syscalls:sys_enter_openat", [("filename", "/etc/passwd")]).unwrap();
        assert_eq!(fired.retval(), 0);
        // Nothing is mapped there.
        assert_eq!(sim.fire("syscalls:sys_enter_openat", (0, 0xbad)).unwrap().retval(), 1);
        sim.fire("readline", ("$ ",)).unwrap();
        assert_eq!(sim.trace(), ["openat /etc/passwd", "prompt $ "]);
    });
}

/// From the tracepoints of the start to those of the end, with the same memory and registers.
#[test]
fn a_system_call_is_all_that_fires_for_it() {
    // Probes of the function have its registers, whatever the types say of it.
    if let Some(types) = running() {
        let engine = Engine::new().btf(types);
        let mut sim = Sim::new(engine.load(&crate::common::object("events/whole_call.bpf.o")).unwrap()).unwrap();
        let args = Args::new().set("fd", 3).set("buf", user("text")).set("count", 512).returns(4);
        let fired = sim.fire("syscall/read", args.takes(Duration::from_nanos(700))).unwrap();
        let programs: Vec<&str> = fired.runs.iter().map(|run| &run.program[..]).collect();
        assert_eq!(
            programs,
            ["all_start", "all_record", "one_record", "call", "typed_call", "done", "all_end", "one_end"]
        );
        assert_eq!(fired.returned, 4);
        let trace = sim.trace();
        let buffer: u64 = trace[0].strip_prefix("all 0 ").unwrap().parse().unwrap();
        assert_ne!(buffer, 0);
        let rest =
            ["record 0 512", "start text", "call 3 512", "typed 512", "done 4", "end 4 4 1000000700", "result 4"];
        assert_eq!(trace[1..], rest);

        let said = |sim: &mut Sim, point: &str, args: Args| sim.fire(point, args).unwrap_err().to_string();
        assert!(said(&mut sim, "syscall/read", Args::new().set("cuont", 1)).contains("did you mean 'count'?"));
        assert_eq!(sim.fire("syscall/close", Args::new()).unwrap().runs.len(), 3, "what all calls have");
    }
}

#[test]
fn mistakes_are_named() {
    let mut sim = simulation(kernel(), Backend::best());
    let task = sim.task();
    let mut said = |point: &str, args: Args| sim.fire(point, args).unwrap_err().to_string();
    let set = |path: &str, number: i32| Args::new().set(path, number);
    assert_eq!(
        said("do_unlinkat", set("dirfd", 1)),
        "do_unlinkat(dfd, name) has no argument 'dirfd'; did you mean 'dfd'?"
    );
    assert_eq!(
        said("tp_btf/sched_process_exec", set("p.pidd", 1)),
        "task_struct has no field 'pidd'; did you mean 'pid'?"
    );
    assert_eq!(
        said("sched_process_exec", set("p.pid", i32::MAX).set("p.comm", "a much too long name")),
        "p.comm: 21 bytes where char[16] has room for 16"
    );
    assert_eq!(said("vfs_open", set("file.f_flags.x", 1)), "file.f_flags.x: unsigned int has no fields");
    assert_eq!(
        said("vfs_open", set("path.mnt.x", 1)),
        "path.mnt.x: nothing says what void * leads to; say it (name:type.field), or give it an object that was laid out"
    );
    assert_eq!(
        said("vfs_open", set("path", 1).set("path.mnt", 0)),
        "path.mnt: it leads to 0x1, where nothing was laid out"
    );
    assert_eq!(said("do_unlinkat", Args::new().set("name", task)), "name: a task_struct is no value of filename *");
    // A pointer to anything leads to what is said.
    assert_eq!(said("vfs_open", set("path.mnt:qstr.lenn", 1)), "qstr has no field 'lenn'; did you mean 'len'?");
    assert_eq!(said("do_unlinkat", (1, 2, 3).into()), "do_unlinkat(dfd, name) takes 2 arguments, 3 are given");
    assert_eq!(
        said("do_unlink", Args::new()).replace(FOLDER, ""),
        "no program of tracing.bpf.o is attached to 'do_unlink'; they are attached to tp_btf/sched_process_exec, \
         tp/sched/sched_process_exec, kprobe/do_unlinkat, kretprobe/do_unlinkat, fentry/vfs_open, fexit/vfs_open, lsm/file_open, \
         tp/syscalls/sys_enter_openat, uprobe//bin/bash:readline; did you mean 'do_unlinkat'?"
    );
}

/// The verifier knows bounds of the result so far, which stands behind the arguments of a hook: what is outside does not run.
#[test]
fn hooks_run_only_where_none_denied() {
    for backend in [Backend::best(), Backend::Interpreter, Backend::Checked] {
        let engine = Engine::new().btf(kernel()).backend(backend);
        let mut instance = engine.load(&crate::common::object("events/tracing.bpf.o")).unwrap();
        let context = |ret: u64| [0, ret].map(u64::to_ne_bytes).concat();
        assert_eq!(instance.run("guard_open", Input::Context(&context(0))).unwrap().retval, 0);
        let refused = instance.run("guard_open", Input::Context(&context(1 << 40))).unwrap_err();
        assert!(refused.to_string().contains("cannot run on this context"), "{refused}");
        let long = instance.run("guard_open", Input::Context(&[0; 513])).unwrap_err();
        assert!(long.to_string().contains("at most 512"), "{long}");
    }
}

#[test]
fn the_current_task_is_told_by_helpers_and_read_as_a_structure() {
    let mut sim = simulation(kernel(), Backend::best());
    assert_eq!(sim.task_name(), "ring3-1");
    let task = bash(&sim);
    let handle = sim.set_task(task).unwrap();
    assert_eq!(sim.task_name(), "bash-42");
    // A change is seen by both.
    sim.set(handle, "comm", "zsh").unwrap();
    assert_eq!((sim.task_name().as_str(), sim.text(handle, "group_leader.comm").unwrap().as_str()), ("zsh-42", "zsh"));
    assert_eq!(sim.get(handle, "cred.uid.val").unwrap(), Value::Unsigned(501));
    // What an event brings is given back behind it: the same room does for as many events as there are.
    let before = sim.instance().objects().len();
    for _ in 0..3 {
        sim.fire("do_unlinkat", [("name.name", "/tmp/x")]).unwrap();
    }
    assert_eq!(sim.instance().objects().len(), before);
    let gone = sim.add(sim.task()).unwrap();
    assert!(sim.remove(gone) && !sim.remove(gone));
}

#[test]
fn fields_of_all_kinds() {
    let types = "enum state { RUNNING, ASLEEP = 7 };
        struct inner { short a; struct { char b; union { int c; u64 d; }; }; };
        struct thing { unsigned low:3, high:13; signed char small; enum state state; struct inner many[3]; struct inner *first;
            u8 bytes[4]; const char *words[2]; struct thing *next; char text[8]; void *any; bool on; };
        tracepoint sched_process_exec(struct thing *p);";
    let mut sim = Sim::new(Engine::new().btf(sim::declare(types).unwrap()).load_program(nothing())).unwrap();
    let thing = sim
        .structure("thing")
        .set("low", 5)
        .set("high", 8191)
        .set("small", -128)
        .set("state", "ASLEEP")
        .set("many[1].d", u64::MAX)
        .set("many[2].a", -1)
        .set("first.c", 9)
        .set("bytes", [1, 2, 3, 4])
        .set("words", list(["one", "two"]))
        .set("next->next->text", "far")
        .set("any", user("x"))
        .set("on", true);
    let thing = sim.add(thing).unwrap();
    let get = |path: &str| sim.get(thing, path).unwrap();
    assert_eq!((get("low"), get("high")), (Value::Unsigned(5), Value::Unsigned(8191)));
    assert_eq!((get("small"), get("many[2].a")), (Value::Signed(-128), Value::Signed(-1)));
    assert_eq!(get("state"), Value::Enum { value: 7, name: Some("ASLEEP".to_owned()) });
    assert_eq!((get("many[1].d"), get("many[1].c")), (Value::Unsigned(u64::MAX), Value::Signed(-1)));
    assert_eq!(
        (get("first->c"), get("bytes[3]"), get("on")),
        (Value::Signed(9), Value::Unsigned(4), Value::Bool(true))
    );
    assert_eq!(
        (sim.text(thing, "words[1]").unwrap(), sim.text(thing, "next.next.text").unwrap()),
        ("two".into(), "far".into())
    );
    let wrong = |sim: &mut Sim, path: &str, content: Content| {
        let thing = sim.structure("thing").set(path, content);
        sim.add(thing).unwrap_err().to_string()
    };
    let n = |number: i32| Content::from(number);
    assert_eq!(wrong(&mut sim, "low", n(8)), "low: 8 does not fit 3 bits");
    assert_eq!(wrong(&mut sim, "state", "ASLEPP".into()), "state: enum state has no 'ASLEPP'; did you mean 'ASLEEP'?");
    assert_eq!(wrong(&mut sim, "many[3].a", n(1)), "many[3].a: element 3 of 3");
    assert_eq!(wrong(&mut sim, "text", "too long".into()), "text: 9 bytes where char[8] has room for 8");
    assert_eq!(wrong(&mut sim, "state.x", n(1)), "state.x: state has no fields");
    assert_eq!(wrong(&mut sim, "many", n(1)), "many: 1 is no value of inner[3]");
    assert_eq!(
        wrong(&mut sim, "a..b", n(1)),
        "'a..b' is no path: fields with . or -> between them, [3] for elements, :type for what a pointer leads to"
    );
    assert_eq!(
        sim.structure("thin").check().unwrap_err().to_string(),
        "there is no type 'thin'; did you mean 'thing'?"
    );
}

/// A program that does nothing, at a tracepoint.
fn nothing() -> Program {
    let code = ring3::isa::assemble("r0 = 0\nexit").unwrap();
    let program = Program::new("nothing", ProgType::RawTracepoint, code);
    Program { section: "raw_tp/sched_process_exec".into(), ..program }
}
