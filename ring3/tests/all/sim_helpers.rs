//! What tracing programs ask the kernel around them, in a simulated one: iterators and what they print, names of files, arguments of
//! functions, stacks, areas of memory.

use ring3::btf::Btf;
use ring3::platform::Errno;
use ring3::sim::{self, Args, Sim};
use ring3::{Backend, Engine, Object};

const OBJECT: &[u8] = include_bytes!("../data/sim.o");

/// A kernel with what the programs need, laid out as no kernel lays it out.
const KERNEL: &str = "
    struct task_struct { char comm[16]; long state; struct task_struct *group_leader; int tgid; int pid; };
    struct seq_file { char *buf; unsigned long size; };
    struct bpf_iter_meta { struct seq_file *seq; u64 session_id; u64 seq_num; };
    struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };
    struct list_head { struct list_head *next; struct list_head *prev; };
    struct qstr { unsigned len; const unsigned char *name; };
    struct dentry { long flags; struct qstr d_name; struct dentry *d_parent; };
    struct path { void *mnt; struct dentry *dentry; };
    struct vm_area_struct { long flags; unsigned long vm_end; unsigned long vm_start; };
    struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss; };
    int bpf_iter_task(struct bpf_iter_meta *meta, struct task_struct *task);
    struct sk_buff { unsigned int len; unsigned char *data; };
    tracepoint netif_receive_skb(struct sk_buff *skb);
    long vfs_truncate(const struct path *path, long length);
";

/// The test with each engine on each kernel.
fn each(test: impl Fn(&mut Sim)) {
    let declared = sim::declare(KERNEL).unwrap_or_else(|error| panic!("{error}"));
    let running = sim::types(sim::RUNNING_KERNEL).map_err(|error| println!("skipped: {error}")).ok();
    for types in [Some(declared), running].into_iter().flatten() {
        for backend in [Backend::best(), Backend::Interpreter, Backend::Checked] {
            println!("{backend:?}, {} types", types.types().len());
            test(&mut simulation(types.clone(), backend));
        }
    }
}

fn simulation(types: Btf, backend: Backend) -> Sim {
    let object = Object::parse("sim.o", OBJECT).unwrap();
    Sim::new(Engine::new().btf(types).backend(backend).load(&object).unwrap()).unwrap()
}

/// The bytes of a variable, as programs left it.
fn global(sim: &mut Sim, name: &str) -> Vec<u8> {
    let place = Object::parse("sim.o", OBJECT).unwrap().find_global(name).unwrap();
    let values = sim.map(".bss").unwrap().raw().copy_out(&[0; 4]).unwrap();
    values[place.offset..place.offset + place.size].to_vec()
}

fn task(sim: &Sim, name: &str, pid: i32) -> [(&'static str, sim::Task); 1] {
    [("task", sim.task().set("comm", name).set("pid", pid))]
}

#[test]
fn iterators_print() {
    each(|sim| {
        let tasks = [task(sim, "init", 1), task(sim, "bash", 4321)];
        let done = sim.iterate("dump_tasks", tasks).unwrap();
        assert_eq!(done.text(), "     pid name\n       1 init\n    4321 bash\nall\n");
        assert_eq!((done.runs, done.error), (vec![0; 3], None));
        assert_eq!(sim.iterate("shows", [task(sim, "init", 1)]).unwrap().text(), "(int)0\n(int)1\n");
        // Of nothing there is the end alone.
        assert_eq!(sim.iterate("dump_tasks", [(); 0]).unwrap().text(), "all\n");
        // One by one, as any event.
        let fired = sim.fire("iter/task", task(sim, "one", 7)).unwrap();
        assert_eq!(fired.runs.len(), 4);
        assert!(String::from_utf8(sim.take_printed()).unwrap().starts_with("     pid name\n       7 one\n"));
        // What wants an element again ends the read with what there was before.
        let tasks = [task(sim, "init", 1), task(sim, "bash", 2), task(sim, "sh", 3)];
        let done = sim.iterate("again", tasks).unwrap();
        assert_eq!((done.text().as_str(), done.runs, done.error), ("x", vec![0, 1], None));
        sim.instance().take_trace();
        let done = sim.iterate("floods", [task(sim, "init", 1)]).unwrap();
        assert_eq!((done.output.len(), done.error), (0, Some(Errno::E2BIG)));
        // Eight pages are 512 lines of 64.
        assert_eq!(sim.trace(), ["88"]);
        assert!(sim.iterate("stack", [(); 0]).is_err());
    });
}

#[test]
fn files_have_names() {
    each(|sim| {
        let root = sim.add(sim.structure("dentry").set("d_name.name", "/")).unwrap();
        sim.set(root, "d_parent", root).unwrap();
        let etc = sim.structure("dentry").set("d_name.name", "etc").set("d_parent", root);
        let passwd = sim.structure("dentry").set("d_name.name", "passwd").set("d_parent", etc);
        let args = Args::new().set("path.dentry", passwd).set("length", 12);
        sim.fire("vfs_truncate", args.returns(-30)).unwrap();
        // The last is what asking for a third argument gives.
        assert_eq!(sim.trace(), ["12 /etc/passwd", "2 12 -30", "-22"]);
        sim.instance().take_trace();
        let at_root = Args::new().set("path.dentry", root);
        sim.fire("fentry/vfs_truncate", at_root).unwrap();
        let long = "a name that is longer than the room for it";
        sim.fire("fentry/vfs_truncate", [("path.dentry.d_name.name", long)]).unwrap();
        // Nothing is laid out there.
        sim.fire("fentry/vfs_truncate", ()).unwrap();
        assert_eq!(sim.trace(), ["2 /", "-36 ", "-14 "]);
    });
}

#[test]
fn stacks_are_what_the_test_says() {
    each(|sim| {
        let number = |sim: &mut Sim, name: &str| {
            let bytes = global(sim, name);
            i64::from_ne_bytes(bytes.try_into().unwrap())
        };
        sim.fire("do_exit", ()).unwrap();
        assert_eq!((number(sim, "ident"), number(sim, "taken")), (-14, -14));
        sim.set_stack(false, &[0xffff_0001, 0xffff_0002]);
        sim.set_stack(true, &[0x41, 0x42, 0x43]);
        sim.fire("do_exit", ()).unwrap();
        let ident = number(sim, "ident");
        let kept = sim.map("stacks").unwrap().get::<u32, [u64; 8]>(u32::try_from(ident).unwrap()).unwrap();
        assert_eq!(kept[..3], [0xffff_0001, 0xffff_0002, 0]);
        // The innermost is left out.
        assert_eq!(number(sim, "taken"), 16);
    });
}

#[test]
fn areas_are_found() {
    each(|sim| {
        assert_eq!(sim.fire("raw_tp/sys_enter", ()).unwrap().retval(), -2);
        let area = sim.structure("vm_area_struct").set("vm_start", 0x5000).set("vm_end", 0x7000);
        sim.add_area(area).unwrap();
        assert_eq!(sim.fire("raw_tp/sys_enter", ()).unwrap().retval(), 0);
        let size = global(sim, "area_size");
        assert_eq!(size, 0x2001u64.to_ne_bytes());
    });
}

#[test]
fn structures_are_shown_by_their_types() {
    each(|sim| {
        let text = "(struct list_head){.next = (struct list_head *)0x0000000000000010,}";
        assert_eq!(sim.fire("raw_tp/sys_exit", ()).unwrap().retval(), text.len() as i32);
        let shown = global(sim, "shown");
        assert_eq!(&shown[..=text.len()], [text.as_bytes(), &[0]].concat());
    });
}

#[test]
fn packets_of_the_kernel_are_sent_along() {
    let mut sim = simulation(sim::declare(KERNEL).unwrap(), Backend::best());
    let bytes: Vec<u8> = (1..=60).collect();
    let packet = |len: i32| Args::new().set("skb.data", sim::Content::Bytes(bytes.clone())).set("skb.len", len);
    sim.fire("tp_btf/netif_receive_skb", packet(60)).unwrap();
    // Less than is asked for.
    sim.fire("tp_btf/netif_receive_skb", packet(3)).unwrap();
    assert_eq!(sim.trace(), ["0", "-14"]);
    let events = sim.events("packets").unwrap();
    assert_eq!((events.len(), &events[0][..8]), (1, &[60, 0, 0, 0, 1, 2, 3, 4][..]));
}

#[test]
fn tasks_have_registers() {
    each(|sim| {
        assert_eq!(sim.fire("raw_tp/sched_switch", ()).unwrap().retval(), 0);
        let registers = sim.structure("pt_regs").set("di", 42);
        sim.set_registers(registers).unwrap();
        assert_eq!(sim.fire("raw_tp/sched_switch", ()).unwrap().retval(), 42);
    });
}

#[test]
fn variables_of_each_cpu_are_what_the_test_lays_out() {
    let types = match sim::types(sim::RUNNING_KERNEL) {
        Ok(types) => types,
        Err(error) => return println!("skipped: {error}"),
    };
    let member = |name: &str, member: &str| {
        let structure = types.find(name, ring3::btf::Kind::Struct)?;
        Some(types.member(structure, member)?.bit_offset / 8)
    };
    let id = types.find("runqueues", ring3::btf::Kind::Var).map(|id| id.0);
    let word = |var: ring3::btf::TypeId| match types.get(var) {
        Some(ring3::btf::Type::Var { ty, .. }) => {
            types.size_of(*ty) == Ok(8) && matches!(types.resolved(*ty), Ok(ring3::btf::Type::Int(_)))
        }
        _ => false,
    };
    let by_cpu = types.datasec(".data..percpu");
    let scalar = by_cpu.and_then(|(_, _, vars)| vars.iter().find(|var| word(var.ty))).map(|var| var.ty.0);
    let (Some(id), Some(scalar), Some(running)) = (id, scalar, member("rq", "nr_running")) else {
        return println!("skipped: the kernel's types have no such variables");
    };
    // Of this CPU, of the other, of one that there is not, and a number that nobody laid out.
    let text = format!(
        "r1 = btf[id:{id}]\ncall 154\nr6 = *(u32 *)(r0 +{running})
         r1 = btf[id:{id}]\nr2 = 0\ncall 153\nif r0 == 0 goto out\nr7 = *(u32 *)(r0 +{running})
         r1 = btf[id:{id}]\nr2 = 2\ncall 153\nif r0 == 0 goto +2\nr0 = -1\nexit
         r1 = btf[id:{scalar}]\ncall 154\nr0 = *(u64 *)(r0 +0)\nif r0 != 0 goto out
         r0 = r6\nr0 *= 100\nr0 += r7\nexit\nout:\nr0 = -2\nexit"
    );
    let code = ring3::isa::assemble(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let program = ring3::Program::new("vars", ring3::ProgType::RawTracepoint, code);
    for backend in [Backend::best(), Backend::Interpreter, Backend::Checked] {
        let engine = Engine::new().btf(types.clone()).backend(backend);
        let mut sim = Sim::new(engine.load_program(program.clone())).unwrap();
        sim.attach("vars", "raw_tp/sched_switch").unwrap();
        let fired = sim.fire("raw_tp/sched_switch", Args::new()).unwrap();
        assert_eq!(fired.retval(), 0, "{backend:?}: nobody laid anything out");
        for (cpu, count) in [(0, 3), (1, 42)] {
            let queue = sim.structure("rq").set("nr_running", count);
            sim.set_variable("runqueues", cpu, queue).unwrap();
        }
        sim.set_cpu(1);
        let fired = sim.fire("raw_tp/sched_switch", Args::new()).unwrap();
        assert_eq!(fired.retval(), 4203, "{backend:?}");
    }
}
