//! Events for tests without a kernel: tracing programs run on objects that are laid out by a kernel's types.
//!
//! A program at a tracepoint, a function or a hook of security modules reads structures of the kernel. Here a test says what is in
//! them, fires the event, and looks at what the program did: no root, no kernel, in `cargo test`.
//!
//! ```
//! use ring3::sim::{Sim, Task, declare};
//! use ring3::{AttachType, Engine, Program, ProgType, isa};
//!
//! // The types: from /sys/kernel/btf/vmlinux (`sim::types`), from a file, or said here.
//! let types = declare(
//!     "struct task_struct { int pid; int tgid; struct task_struct *real_parent; char comm[16]; };
//!      tracepoint sched_process_exit(struct task_struct *p);",
//! )?;
//! // A program; most come from objects: `Engine::new().btf(types).load(&ring3::open("exit.bpf.o")?)`.
//! let code = isa::assemble(
//!     "r1 = *(u64 *)(r1 +0)     // p
//!      r1 = *(u64 *)(r1 +8)     // p->real_parent
//!      r6 = *(u32 *)(r1 +4)     // p->real_parent->tgid
//!      r0 = 0
//!      if r6 != 41 goto +1
//!      r0 = 1
//!      exit",
//! ).unwrap();
//! let mut program = Program::new("on_exit", ProgType::RawTracepoint, code);
//! # program = Program { section: "tp_btf/sched_process_exit".into(), kind: ProgType::Tracing,
//! #     attach: Some(AttachType::TraceRawTp), ..program };
//! let mut sim = Sim::new(Engine::new().btf(types).load_program(program))?;
//!
//! let shell = sim.add(sim.task().set("comm", "bash").set("pid", 41))?;
//! let child = sim.task().set("comm", "ls").set("pid", 42).set("real_parent", shell);
//! let fired = sim.fire("sched:sched_process_exit", [("p", child)])?;
//! assert_eq!(fired.retval(), 1);
//!
//! let wrong = sim.fire("sched:sched_process_exit", [("p.real_paernt.tgid", 41)]);
//! assert_eq!(wrong.unwrap_err().to_string(), "task_struct has no field 'real_paernt'; did you mean 'real_parent'?");
//! # Ok::<(), ring3::Error>(())
//! ```
//!
//! **What is laid out** is a [`Struct`] or a [`Task`]: zeroes, and what was set by paths (`f_path.dentry.d_name.name`). Texts behind
//! pointers, structures behind pointers, elements of arrays, bit-fields and enumerators by name are put where they belong. Memory of the
//! process is [`user`].
//!
//! **What programs read.** Loads through pointers of the kernel, and `bpf_probe_read_kernel` with all that is built on it
//! (`BPF_CORE_READ`), reach what was laid out and nothing else: another address gives 0, or an error of the helper, as in the kernel.
//! What stands behind a pointer that nothing was said about is NULL.
//!
//! **Where it fires.** A section's name (`tp_btf/sched_switch`, `kprobe/do_unlinkat`), or what all kinds of programs there share:
//! `sched:sched_switch` reaches records, raw and typed tracepoints, `do_unlinkat` probes and fentry, then, with
//! [`Args::returns`], return probes and fexit. Arguments are checked by the prototype that the types have. Iterators run over what a test
//! has for them ([`Sim::iterate`]), and what they print is read there.

mod call;
mod content;
mod declare;
mod error;
mod event;
mod hook;
mod host;
mod memory;
mod path;
mod script;

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use ring3_btf::{Btf, Kind, Value};
use ring3_object::Object;
use ring3_platform::Errno;

pub use content::{Content, Handle, Struct, Task, list, user};
pub use declare::declare;
pub use error::SimError;
pub use script::Event;

use crate::{Error, Input, Instance, MapRef};
use error::nearest;
use event::Scene;
use hook::Hook;
use host::{Shared, World, address_of};
use memory::{Memory, Space};
use path::{Path, Place};

/// Where Linux has the types of the running kernel.
pub const RUNNING_KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// What the clock says at first, in nanoseconds: not 0, which programs take for "never".
const START_NS: u64 = 1_000_000_000;

/// Types for simulations where there are none of a kernel: x86-64's registers, a small task, the records of system calls.
const SMALL_KERNEL: &str = "
    struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss; };
    typedef struct { uid_t val; } kuid_t;
    typedef struct { gid_t val; } kgid_t;
    struct cred { kuid_t uid; kgid_t gid; };
    struct task_struct { pid_t pid; pid_t tgid; struct task_struct *real_parent; struct task_struct *group_leader;
        const struct cred *cred; char comm[16]; };
    struct trace_entry { unsigned short type; unsigned char flags; unsigned char preempt_count; int pid; };
    struct trace_event_raw_sys_enter { struct trace_entry ent; long id; unsigned long args[6]; char __data[]; };
    struct trace_event_raw_sys_exit { struct trace_entry ent; long id; long ret; char __data[]; };
    tracepoint sys_enter(struct pt_regs *regs, long id);
    tracepoint sys_exit(struct pt_regs *regs, long ret);
";

/// A kernel's types from a file: BTF as in [`RUNNING_KERNEL`], or an object that has them.
///
/// # Errors
///
/// What reading gives, and what is wrong with the types.
pub fn types(path: impl AsRef<FilePath>) -> Result<Btf, Error> {
    let path = path.as_ref();
    let bytes = crate::read(path, ring3_object::MAX_FILE)?;
    if bytes.starts_with(b"\x7fELF") {
        let object = Object::parse(&path.to_string_lossy(), &bytes)?;
        return Ok(object.btf().map_or_else(Btf::empty, |btf| (**btf).clone()));
    }
    Btf::parse(&bytes).map_err(|error| SimError::Btf(error).into())
}

/// Lays a structure of the kernel out among these objects, with all that belongs to it: where it is, and the objects that were made.
pub(crate) fn lay_out(
    types: &Arc<Btf>,
    objects: &Arc<ring3_vm::Objects>,
    structure: &Struct,
) -> Result<(u64, Vec<u64>), SimError> {
    let mut memory = Memory::new(Arc::clone(types), Arc::clone(objects));
    memory.note();
    let laid = memory.lay_out(structure, Space::Kernel);
    let made: Vec<(Space, u64)> = memory.noted();
    match laid {
        Ok(handle) => Ok((handle.addr, made.into_iter().map(|(_, addr)| addr).collect())),
        Err(error) => {
            memory.forget(&made);
            Err(error)
        }
    }
}

/// A few types for those who have none of a kernel: `pt_regs` of x86-64, a `task_struct` with what helpers tell of it, and the records
/// of system calls.
pub fn small_kernel() -> Btf {
    // A test holds that it can be read.
    declare(SMALL_KERNEL).unwrap_or_else(|_| Btf::empty())
}

/// The arguments of an event: by their order, or by their names, also with a path into what they lead to.
///
/// ```
/// use ring3::sim::{Args, user};
/// let by_name = Args::new().set("dfd", -100).set("name.name", "/tmp/x").returns(-2);
/// let by_order: Args = (-100, user("/tmp/x")).into();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Args {
    pub(self) positional: Vec<Content>,
    pub(self) named: Vec<(Path, Content)>,
    pub(self) returns: Option<Content>,
    pub(self) record: Option<String>,
    pub(self) takes: Duration,
    pub(self) wrong: Option<SimError>,
}

impl Args {
    /// None: all are 0.
    pub fn new() -> Args {
        Args::default()
    }

    /// The next one.
    #[must_use]
    pub fn push(mut self, content: impl Into<Content>) -> Args {
        self.positional.push(content.into());
        self
    }

    /// One by its name, or what it leads to: `prev.comm`. Where types have no names it is `arg0`, `arg1` and so on. Of a tracepoint's
    /// record it is a field; of a system call, what its manual page calls it.
    #[must_use]
    pub fn set(mut self, path: &str, content: impl Into<Content>) -> Args {
        match Path::parse(path) {
            Ok(path) => self.named.push((path, content.into())),
            Err(wrong) => self.wrong = self.wrong.or(Some(wrong)),
        }
        self
    }

    /// What the function returns; 0 otherwise.
    #[must_use]
    pub fn returns(mut self, content: impl Into<Content>) -> Args {
        self.returns = Some(content.into());
        self
    }

    /// How long the function or call takes: so much time passes between the programs at its start and those at its end.
    #[must_use]
    pub fn takes(mut self, time: Duration) -> Args {
        self.takes = time;
        self
    }

    /// The structure of a tracepoint's record, where it is not called after the tracepoint: several share one
    /// (`sched_wakeup_template`).
    #[must_use]
    pub fn record(mut self, name: &str) -> Args {
        self.record = Some(name.to_owned());
        self
    }

    fn names(&self, first: &str) -> bool {
        self.named.iter().any(|(path, _)| path.split_first().is_some_and(|(name, _)| name == first))
    }
}

impl From<()> for Args {
    fn from((): ()) -> Args {
        Args::new()
    }
}

impl<T: Into<Content>, const N: usize> From<[(&str, T); N]> for Args {
    fn from(named: [(&str, T); N]) -> Args {
        named.into_iter().fold(Args::new(), |args, (path, content)| args.set(path, content))
    }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => { $(
        impl<$($name: Into<Content>),*> From<($($name,)*)> for Args {
            #[allow(non_snake_case)]
            fn from(($($name,)*): ($($name,)*)) -> Args {
                Args::new()$(.push($name))*
            }
        }
    )* };
}

tuples!((A)(A B)(A B C)(A B C D)(A B C D E)(A B C D E F));

/// One program that an event reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// Its name.
    pub program: String,
    /// What it is attached to, as its section says.
    pub section: String,
    /// What it returned.
    pub retval: i32,
}

/// A program that an event reaches, where it is attached, and what fires there.
type Target = (String, Hook, String);

/// What an event did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fired {
    /// The programs in the order in which they ran.
    pub runs: Vec<Ran>,
    /// What the function gives afterwards: what [`Args::returns`] said, or what a program of `fmod_ret` or `lsm` put in its place.
    pub returned: i64,
}

impl Fired {
    /// What the programs said: the first result that is not 0.
    pub fn retval(&self) -> i32 {
        self.runs.iter().map(|run| run.retval).find(|retval| *retval != 0).unwrap_or(0)
    }

    /// What a program returned, if it ran.
    pub fn of(&self, program: &str) -> Option<i32> {
        self.runs.iter().find(|run| run.program == program).map(|run| run.retval)
    }
}

/// What an iterator did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Iterated {
    /// What it printed, which a read of its file gives.
    pub output: Vec<u8>,
    /// What the program returned for each element, and at last for the end.
    pub runs: Vec<i32>,
    /// Why it stopped before it printed anything: it wanted the same element again (`EAGAIN`), or printed more than eight pages for it
    /// (`E2BIG`). Where it printed something before, that is what a read gives.
    pub error: Option<Errno>,
}

impl Iterated {
    /// The output as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// An instance in a simulated kernel.
pub struct Sim {
    instance: Instance,
    world: Shared,
    types: Arc<Btf>,
    /// Programs and where they are attached.
    hooks: Vec<(String, Option<Hook>)>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("instance", &self.instance).field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

impl Sim {
    /// A kernel around an instance, of the types that its engine has ([`Engine::btf`](crate::Engine::btf)); without any, those of
    /// [`small_kernel`]. The current task is called `ring3` and has the number 1; the clock stands at one second.
    ///
    /// # Errors
    ///
    /// A `task_struct` that cannot be laid out.
    pub fn new(mut instance: Instance) -> Result<Sim, Error> {
        let types = instance.types().unwrap_or_else(|| Arc::new(small_kernel()));
        let memory = Memory::new(Arc::clone(&types), Arc::clone(instance.objects()));
        let world = Shared::new(World::new(memory, START_NS));
        instance.set_host(world.clone());
        let sections = instance.program_sections();
        let hooks = sections.into_iter().map(|(name, section)| (name, Hook::of(&section))).collect();
        let mut sim = Sim { instance, world, types, hooks };
        if sim.types.find("task_struct", Kind::Struct).is_some() {
            sim.set_task(sim.task())?;
        }
        Ok(sim)
    }

    /// The kernel's types.
    pub fn types(&self) -> &Arc<Btf> {
        &self.types
    }

    /// A task of these types, to be said more of.
    pub fn task(&self) -> Task {
        Task::new(&self.types)
    }

    /// A structure of these types, to be said more of.
    pub fn structure(&self, name: &str) -> Struct {
        Struct::new(&self.types, name)
    }

    /// Lays a structure out for good: it is the same one wherever its handle is given.
    ///
    /// # Errors
    ///
    /// What does not fit its types.
    pub fn add(&mut self, structure: impl Into<Content>) -> Result<Handle, Error> {
        match structure.into() {
            Content::Struct(structure) => Ok(self.world.lock().memory.lay_out(&structure, Space::Kernel)?),
            Content::Handle(handle) => Ok(handle),
            Content::User(inner) => match *inner {
                Content::Struct(structure) => Ok(self.world.lock().memory.lay_out(&structure, Space::User)?),
                other => Err(SimError::Unsupported { what: other.describe() }.into()),
            },
            other => Err(SimError::Unsupported { what: other.describe() }.into()),
        }
    }

    /// Takes away what [`Sim::add`] laid out (not what it leads to); programs that still have its address read zeroes.
    pub fn remove(&mut self, handle: Handle) -> bool {
        self.world.lock().memory.kernel.drop_reference(handle.addr)
    }

    /// Changes a field of what was laid out, as [`Struct::set`].
    ///
    /// # Errors
    ///
    /// What does not fit its types.
    pub fn set(&mut self, handle: Handle, path: &str, content: impl Into<Content>) -> Result<(), Error> {
        let path = Path::parse(path)?;
        let mut world = self.world.lock();
        let start = Place::new(handle.addr, handle.ty);
        Ok(world.memory.set(start, (&path.text, &path.steps), &content.into(), Space::Kernel)?)
    }

    /// Reads a field of what was laid out, as programs may have changed it.
    ///
    /// # Errors
    ///
    /// A path that the types do not have, or that leads nowhere.
    pub fn get(&self, handle: Handle, path: &str) -> Result<Value, Error> {
        let path = Path::parse(path)?;
        Ok(self.world.lock().memory.get(Place::new(handle.addr, handle.ty), &path)?)
    }

    /// Reads a text: an array of characters, or what a pointer to characters leads to.
    ///
    /// # Errors
    ///
    /// As of [`Sim::get`]; the text has no end.
    pub fn text(&self, handle: Handle, path: &str) -> Result<String, Error> {
        let path = Path::parse(path)?;
        let mut world = self.world.lock();
        Ok(world.memory.text(Place::new(handle.addr, handle.ty), &path)?)
    }

    /// Makes this the current task, which `bpf_get_current_*` tell of.
    ///
    /// # Errors
    ///
    /// What does not fit its types.
    pub fn set_task(&mut self, task: impl Into<Content>) -> Result<Handle, Error> {
        let handle = self.add(task)?;
        let mut world = self.world.lock();
        let leader = Path::parse("group_leader")?;
        let start = Place::new(handle.addr, handle.ty);
        // A task of which nothing else was said leads its group.
        if let Ok(Value::Pointer(0)) = world.memory.get(start, &leader) {
            let itself = Content::Handle(handle);
            world.memory.set(start, (&leader.text, &leader.steps), &itself, Space::Kernel)?;
        }
        world.task = Some(handle);
        Ok(handle)
    }

    /// Runs on this CPU from now on.
    pub fn set_cpu(&mut self, cpu: u32) {
        self.world.lock().cpu = cpu;
    }

    /// Sets the clock, in nanoseconds. It stands still otherwise.
    pub fn set_time(&mut self, ns: u64) {
        self.world.lock().now = ns;
    }

    /// Lets time pass.
    pub fn advance(&mut self, time: Duration) {
        let mut world = self.world.lock();
        world.now = world.now.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Signals that programs sent to the current task, and forgets them.
    pub fn take_signals(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.world.lock().signals)
    }

    /// Says where a program is attached whose section does not say it, or says otherwise: `kprobe/do_unlinkat`.
    ///
    /// # Errors
    ///
    /// There is no such program, or no such place.
    pub fn attach(&mut self, program: &str, section: &str) -> Result<(), Error> {
        let hook = Hook::of(section).ok_or_else(|| SimError::Unsupported { what: format!("'{section}'") })?;
        let found = self.hooks.iter_mut().find(|(name, _)| name == program);
        let entry = found.ok_or_else(|| SimError::NotThere { program: program.to_owned() })?;
        entry.1 = Some(hook);
        Ok(())
    }

    /// An event: runs all programs that are attached there, those at a function's start before those at its end. What the arguments lead
    /// to is there until they have run. `syscall/openat` is a system call from its start to its end, with all that fires on the way.
    ///
    /// # Errors
    ///
    /// Nobody is attached there; arguments that the function, tracepoint or record does not have or that do not fit; a program that is
    /// rejected.
    pub fn fire(&mut self, point: &str, args: impl Into<Args>) -> Result<Fired, Error> {
        let args = args.into();
        self.within_event(|sim| match call::name(point) {
            Some(name) => sim.fire_call(point, name, &args),
            None => sim.fire_at(&sim.targets(point)?, &args),
        })
    }

    /// What is laid out meanwhile is there until this is done.
    fn within_event(&mut self, event: impl FnOnce(&mut Sim) -> Result<Fired, Error>) -> Result<Fired, Error> {
        self.world.lock().memory.note();
        let result = event(self);
        let mut world = self.world.lock();
        let made = world.memory.noted();
        world.memory.forget(&made);
        result
    }

    /// Runs an iterator over these elements, as a read of its file does: the program sees one after the other (`[("task", task)]`), and
    /// then once more none. What it prints is in [`Iterated::output`].
    ///
    /// # Errors
    ///
    /// There is no such program, or it is no iterator; as of [`Sim::fire`].
    pub fn iterate<A: Into<Args>>(
        &mut self,
        program: &str,
        elements: impl IntoIterator<Item = A>,
    ) -> Result<Iterated, Error> {
        let found = self.hooks.iter().find(|(name, _)| name == program).and_then(|(_, hook)| hook.clone());
        let hook = found.filter(|hook| matches!(hook, Hook::Iterator(_)));
        let hook = hook.ok_or_else(|| SimError::NotThere { program: program.to_owned() })?;
        let target = [(program.to_owned(), hook.clone(), hook.name().to_owned())];
        let mut done = Iterated::default();
        let elements = elements.into_iter().map(|element| (element.into(), false));
        for ((args, is_end), number) in elements.chain([(Args::new(), true)]).zip(0u32..) {
            let mut args = args.set("meta.session_id", 1).set("meta.seq_num", number);
            if self.types.find("seq_file", Kind::Struct).is_some() {
                args = args.set("meta.seq", self.structure("seq_file"));
            }
            self.take_printed();
            let fired = self.within_event(|sim| sim.fire_at(&target, &args))?;
            let retval = fired.retval();
            done.runs.push(retval);
            let overflowed = self.world.lock().overflowed;
            let printed = self.take_printed();
            // What is printed for the end counts whatever the program says.
            match (overflowed, retval) {
                (true, _) => {
                    done.error = done.output.is_empty().then_some(Errno::E2BIG);
                    break;
                }
                (false, retval) if retval != 0 && !is_end => {
                    done.error = done.output.is_empty().then_some(Errno::EAGAIN);
                    break;
                }
                (false, _) => done.output.extend(printed),
            }
        }
        Ok(done)
    }

    /// What iterators printed that were fired one by one ([`Sim::fire`]), and forgets it.
    pub fn take_printed(&mut self) -> Vec<u8> {
        let mut world = self.world.lock();
        world.overflowed = false;
        std::mem::take(&mut world.printed)
    }

    /// The return addresses that `bpf_get_stack` and `bpf_get_stackid` find from now on, innermost first: those of the kernel, or with
    /// `user` those of the process.
    pub fn set_stack(&mut self, user: bool, addresses: &[u64]) {
        self.world.lock().stacks[usize::from(user)] = Some(addresses.to_vec());
    }

    /// Lays an area of memory of the current process out (`struct vm_area_struct`), which `bpf_find_vma` finds by its `vm_start` and
    /// `vm_end`.
    ///
    /// # Errors
    ///
    /// As of [`Sim::add`].
    pub fn add_area(&mut self, area: impl Into<Content>) -> Result<Handle, Error> {
        let handle = self.add(area)?;
        self.world.lock().areas.push(handle);
        Ok(handle)
    }

    /// Lays the registers out with which the current task entered the kernel (`struct pt_regs`), for `bpf_task_pt_regs`.
    ///
    /// # Errors
    ///
    /// As of [`Sim::add`].
    pub fn set_registers(&mut self, registers: impl Into<Content>) -> Result<Handle, Error> {
        let handle = self.add(registers)?;
        self.world.lock().registers = Some(handle);
        Ok(handle)
    }

    /// Lays out what a variable of the kernel holds for a CPU, of those that each CPU has for itself: what `bpf_per_cpu_ptr` and
    /// `bpf_this_cpu_ptr` give (`sim.set_variable("runqueues", 0, sim.structure("rq").set("nr_running", 3))`). Others hold zeroes.
    ///
    /// # Errors
    ///
    /// As of [`Sim::add`].
    pub fn set_variable(&mut self, name: &str, cpu: u32, content: impl Into<Content>) -> Result<Handle, Error> {
        let handle = self.add(content)?;
        self.world.lock().variables.push((name.to_owned(), cpu, handle));
        Ok(handle)
    }

    fn fire_at(&mut self, targets: &[Target], args: &Args) -> Result<Fired, Error> {
        let places: Vec<(Hook, String)> = targets.iter().map(|(_, hook, name)| (hook.clone(), name.clone())).collect();
        let (scene, mut returned) = {
            let mut world = self.world.lock();
            let scene = Scene::lay_out(&mut world.memory, &places, args)?;
            let returned = scene.returned(&mut world.memory)?;
            (scene, returned)
        };
        let (mut fired, mut decided) = (Fired::default(), false);
        let (before, after): (Vec<_>, Vec<_>) = targets.iter().partition(|(_, hook, _)| !hook.is_exit());
        for target in before.into_iter().map(Some).chain([None]).chain(after.into_iter().map(Some)) {
            let Some((program, hook, name)) = target else {
                self.advance(args.takes);
                continue;
            };
            // The first that decides is the last that is asked.
            if hook.decides() && decided {
                continue;
            }
            let ret = if hook.decides() { 0 } else { returned };
            let context = {
                let mut world = self.world.lock();
                world.function = address_of(name);
                scene.context(&mut world.memory, hook, name, ret)?
            };
            let output = self.instance.run(program, Input::Context(&context))?;
            let retval = output.retval.cast_signed();
            if hook.decides() && retval != 0 {
                decided = true;
                returned = i64::from(retval).cast_unsigned();
            }
            fired.runs.push(Ran { program: program.clone(), section: hook.section(), retval });
        }
        fired.returned = scene.as_number(returned);
        Ok(fired)
    }

    /// Programs that an event reaches.
    fn targets(&self, point: &str) -> Result<Vec<Target>, SimError> {
        let targets = self.reached(point.rsplit(['/', ':']).next().unwrap_or(point), |hook| hook.is_at(point));
        if targets.is_empty() { Err(self.nobody(point)) } else { Ok(targets) }
    }

    /// Programs whose hook is among these. What fires is called `name` where the hook is a pattern.
    fn reached(&self, name: &str, is_there: impl Fn(&Hook) -> bool) -> Vec<Target> {
        let attached = self.hooks.iter().filter_map(|(program, hook)| Some((program, hook.as_ref()?)));
        let reached = attached.filter(|(_, hook)| is_there(hook));
        let named = reached.map(|(program, hook)| {
            let name = if hook.name().contains('*') { name } else { hook.name() };
            (program.clone(), hook.clone(), name.to_owned())
        });
        named.collect()
    }

    /// The error that no program is attached there.
    fn nobody(&self, point: &str) -> SimError {
        let mut sections: Vec<String> =
            self.hooks.iter().filter_map(|(_, hook)| Some(hook.as_ref()?.section())).collect();
        sections.dedup();
        let bare = point.rsplit(['/', ':']).next().unwrap_or(point);
        let names = sections.iter().filter_map(|section| section.rsplit('/').next());
        let near = nearest(bare, names.filter(|name| *name != bare));
        SimError::NoProgram { file: self.instance.source_name(), point: point.to_owned(), attached: sections, near }
    }

    /// Name and number of the current task's thread, as the kernel puts them before what is printed: `bash-42`.
    pub fn task_name(&self) -> String {
        let numbers = self.world.lock().task_numbers();
        let comm = numbers.comm.split(|byte| *byte == 0).next().unwrap_or_default();
        format!("{}-{}", String::from_utf8_lossy(comm), numbers.pid)
    }

    /// The CPU that programs run on.
    pub fn cpu(&self) -> u32 {
        self.world.lock().cpu
    }

    /// The instance, for all that it has: globals, pins, programs on packets.
    pub fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// A map, as [`Instance::map`].
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn map(&self, name: &str) -> Result<MapRef<'_>, Error> {
        self.instance.map(name)
    }

    /// What programs printed, a text each call, without what the kernel adds.
    pub fn trace(&self) -> &[String] {
        self.instance.trace()
    }

    /// What came through a ring buffer or perf event array, and forgets it. A perf event has the kernel's padding.
    ///
    /// # Errors
    ///
    /// There is no map of this name.
    pub fn events(&self, map: &str) -> Result<Vec<Vec<u8>>, Error> {
        let map = self.instance.map(map)?;
        Ok(map.raw().drain().into_iter().map(|event| event.data).collect())
    }

    /// The same as values of a struct that the object's types have.
    ///
    /// # Errors
    ///
    /// There is no such map or struct, or an event is too short for it.
    pub fn events_as(&self, map: &str, structure: &str) -> Result<Vec<Value>, Error> {
        let btf =
            self.instance.object_types().ok_or_else(|| SimError::NoType { name: structure.to_owned(), near: None })?;
        let ty = content::find_type(btf, structure)?;
        let events = self.events(map)?;
        Ok(events
            .iter()
            .map(|event| ring3_btf::format_value(btf, ty, event))
            .collect::<Result<_, _>>()
            .map_err(SimError::Btf)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_kernel_can_be_read() {
        let types = declare(SMALL_KERNEL).unwrap();
        let size = |name| types.find(name, Kind::Struct).map(|ty| types.size_of(ty).unwrap());
        assert_eq!((size("pt_regs"), size("trace_event_raw_sys_enter")), (Some(168), Some(64)));
    }
}
