//! A tracing program without a kernel: a test says what is in the kernel's structures, fires the event, and looks at what came.
//! `cargo run -p ring3 --example simulated`

use ring3::Engine;
use ring3::sim::{Sim, declare};

/// The part of a kernel that the program reads; `sim::types(sim::RUNNING_KERNEL)` has all of the running one's.
const KERNEL: &str = "
    typedef struct { uid_t val; } kuid_t;
    struct cred { kuid_t uid; };
    struct task_struct { int pid; int tgid; char comm[16]; struct task_struct *real_parent; const struct cred *cred; };
    tracepoint sched_process_exec(struct task_struct *p, pid_t old_pid);
";

fn main() -> Result<(), ring3::Error> {
    let object = ring3::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bpf/events/tracing.bpf.o"))?;
    let mut sim = Sim::new(Engine::new().btf(declare(KERNEL)?).load(&object)?)?;

    let shell = sim.add(sim.task().set("comm", "bash").set("pid", 42))?;
    let child = sim.task().set("comm", "ls").set("pid", 43).set("uid", 501).set("real_parent", shell);
    let fired = sim.fire("tp_btf/sched_process_exec", [("p", child)])?;

    println!("{} returned {}", fired.runs[0].program, fired.retval());
    for event in sim.events_as("events", "event")? {
        println!("{event:?}");
    }
    Ok(())
}
