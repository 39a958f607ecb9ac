//! What a run takes from its surroundings: time, the current task, the network. Every method has a default.

use std::sync::Arc;

use ring3_btf::Btf;
use ring3_platform::Errno;

/// The task that a program finds itself in (`bpf_get_current_*`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// Thread id, the kernel's `pid`.
    pub pid: u32,
    /// Process id, the kernel's `tgid`.
    pub tgid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Name, NUL-padded.
    pub comm: [u8; Task::COMM_LEN],
}

impl Task {
    /// Bytes of a task's name with its NUL (`TASK_COMM_LEN`).
    pub const COMM_LEN: usize = 16;

    /// A task; the name is cut at 15 bytes.
    pub fn new(tgid: u32, pid: u32, uid: u32, gid: u32, name: &str) -> Task {
        let mut comm = [0; Task::COMM_LEN];
        let len = name.len().min(Task::COMM_LEN - 1);
        comm[..len].copy_from_slice(&name.as_bytes()[..len]);
        Task { pid, tgid, uid, gid, comm }
    }
}

/// What a run asks at its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// See [`Host::cpu`].
    pub cpu: u32,
    /// See [`Host::gives_random`].
    pub gives_random: bool,
}

/// The surroundings of a run. `bpf_*` helpers that ask the kernel about the world ask this.
pub trait Host {
    /// Nanoseconds since boot without suspend (`CLOCK_MONOTONIC`).
    fn ktime_ns(&mut self) -> u64 {
        realtime_ns()
    }

    /// Makes it so late on the clock of [`Host::ktime_ns`], if it is not later yet: what [`advance`](crate::advance) asks before timers
    /// fire. A clock that nobody can set, as the machine's, stays what it is.
    fn advance_to(&mut self, ns: u64) {
        let _ = ns;
    }

    /// Nanoseconds since boot with suspend (`CLOCK_BOOTTIME`).
    fn boottime_ns(&mut self) -> u64 {
        self.ktime_ns()
    }

    /// Nanoseconds of International Atomic Time (`CLOCK_TAI`).
    fn tai_ns(&mut self) -> u64 {
        realtime_ns()
    }

    /// A random number; `None` takes the environment's own seeded generator.
    fn prandom_u32(&mut self) -> Option<u32> {
        None
    }

    /// Whether `prandom_u32` may ever give a number: asked at the start of each run. Where it does not, engines take numbers from the
    /// environment's generator without asking, and machine code without a call.
    fn gives_random(&self) -> bool {
        true
    }

    /// Both questions of the start of a run at once, as a run may take less time than asking them one by one. Nobody needs to answer
    /// this in another way.
    fn at_start(&mut self) -> Start {
        Start { cpu: self.cpu(), gives_random: self.gives_random() }
    }

    /// The CPU that the program runs on; must be less than the number of CPUs that per-CPU maps were made for.
    fn cpu(&mut self) -> u32 {
        0
    }

    /// The NUMA node of that CPU.
    fn numa_node(&mut self) -> u32 {
        0
    }

    /// The current task.
    fn task(&mut self) -> Task {
        Task::new(1, 1, 0, 0, "ring3")
    }

    /// `bpf_fib_lookup`: `params` is a `struct bpf_fib_lookup`, which the answer goes into. Gives a `BPF_FIB_LKUP_RET_*`: unless told
    /// otherwise 4, no route that forwards.
    fn fib_lookup(&mut self, params: &mut [u8], flags: u32) -> Result<u32, Errno> {
        let _ = (params, flags);
        Ok(4)
    }

    /// Looks for the way to an address of IPv6 that a packet got by `bpf_lwt_push_encap` with a header of segment routing. `EINVAL`, unless
    /// told otherwise: there is none.
    fn next_hop_v6(&mut self, to: &[u8; 16]) -> Result<(), Errno> {
        let _ = to;
        Err(Errno::EINVAL)
    }

    /// The address of IPv6 that a packet to there comes from, which gets a header of its own by that.
    fn source_v6(&mut self, to: &[u8; 16]) -> [u8; 16] {
        let _ = to;
        [0; 16]
    }

    /// The return addresses of what runs, innermost first: of the kernel, or of the task. `None`: there are none to be had.
    fn stack(&mut self, user: bool) -> Option<Vec<u64>> {
        let _ = user;
        None
    }

    /// What was said when the program was attached (`bpf_get_attach_cookie`).
    fn attach_cookie(&mut self) -> u64 {
        0
    }

    /// Address of the function that a probe is at (`bpf_get_func_ip`).
    fn func_ip(&mut self) -> u64 {
        0
    }

    /// Address of the structure of the current task, one of [`Env::objects`](crate::Env::objects). `None`: one of zeroes.
    fn task_object(&mut self) -> Option<u64> {
        None
    }

    /// Number of the control group of task or packet, or of the ancestor of it at this level.
    fn cgroup_id(&mut self, level: Option<u32>) -> u64 {
        let _ = level;
        1
    }

    /// Whether task or packet are in the control group in a slot of this array, or below it. `EAGAIN`: there is none.
    fn under_cgroup(&mut self, map: &str, index: u32) -> Result<bool, Errno> {
        let _ = (map, index);
        Err(Errno::EAGAIN)
    }

    /// The number of the network namespace.
    fn netns_cookie(&mut self) -> u64 {
        1
    }

    /// The longest packet of an interface without its link layer; `None` if there is no such interface.
    fn mtu(&mut self, ifindex: u32) -> Option<u32> {
        // That of the loopback interface, of which test packets are.
        Some(if ifindex == 1 { 65536 } else { 1500 })
    }

    /// A signal to the current process, or to its thread alone.
    fn send_signal(&mut self, signal: u32, thread: bool) -> Result<(), Errno> {
        let _ = (signal, thread);
        Ok(())
    }

    /// Reads memory of the task: all of it (true), or nothing.
    fn read_user(&mut self, addr: u64, out: &mut [u8]) -> bool {
        let _ = (addr, out);
        false
    }

    /// What an iterator prints (`bpf_seq_write` and what is built on it). `EOVERFLOW`: there is no more room. Nobody reads it, unless
    /// told otherwise.
    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let _ = bytes;
        Ok(())
    }

    /// The name of the file at this `struct path`, from the root on (`bpf_d_path`).
    fn path_name(&mut self, path: u64) -> Option<Vec<u8>> {
        let _ = path;
        None
    }

    /// The `struct vm_area_struct` of a task that has this address (`bpf_find_vma`).
    fn memory_area(&mut self, task: u64, addr: u64) -> Option<u64> {
        let _ = (task, addr);
        None
    }

    /// Where the registers of a task are, as it entered the kernel (`bpf_task_pt_regs`). What is not laid out reads as zeroes.
    fn task_registers(&mut self, task: u64) -> Option<u64> {
        let _ = task;
        None
    }

    /// The first bytes of the packet of a `struct sk_buff`, or of a `struct xdp_buff`; `None` if it has not so many.
    fn packet_bytes(&mut self, packet: u64, is_xdp: bool, len: usize) -> Option<Vec<u8>> {
        let _ = (packet, is_xdp);
        (len == 0).then(Vec::new)
    }

    /// The kernel's own types, which numbers of types that programs give are of.
    fn types(&mut self) -> Option<Arc<Btf>> {
        None
    }

    /// `bpf_setsockopt` on the socket of the context.
    fn set_socket_option(&mut self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        let _ = (level, name, value);
        Err(Errno::ENOPROTOOPT)
    }

    /// `bpf_getsockopt` on the socket of the context.
    fn socket_option(&mut self, level: i32, name: i32, value: &mut [u8]) -> Result<(), Errno> {
        let _ = (level, name, value);
        Err(Errno::ENOPROTOOPT)
    }

    /// The embedder's number of the socket of the context.
    fn socket(&mut self) -> Option<u64> {
        None
    }

    /// Address of what stands for a CPU's part of a variable of the kernel (`bpf_per_cpu_ptr`, `bpf_this_cpu_ptr`), one of
    /// [`Env::objects`](crate::Env::objects). `None`: zeroes.
    fn cpu_variable(&mut self, name: &str, cpu: u32) -> Option<u64> {
        let _ = (name, cpu);
        None
    }

    /// Address of a symbol of the kernel.
    fn symbol(&mut self, name: &str) -> Option<u64> {
        let _ = name;
        None
    }

    /// A packet that `bpf_clone_redirect` sends. The error is the helper's result.
    fn transmit(&mut self, frame: &[u8], ifindex: u32, ingress: bool) -> Result<(), Errno> {
        let _ = (frame, ifindex, ingress);
        Ok(())
    }
}

/// The surroundings with every default: real time, task 1, CPU 0, a network that takes everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultHost;

impl Host for DefaultHost {
    fn gives_random(&self) -> bool {
        false
    }
}

/// Surroundings that are the same each time: a clock that ticks once for each question.
#[derive(Clone, Debug)]
pub struct TestHost {
    /// What the clock says next.
    pub now_ns: u64,
    /// How much it advances for each question.
    pub tick_ns: u64,
    /// CPU number.
    pub cpu: u32,
    /// The task.
    pub task: Task,
}

impl Default for TestHost {
    fn default() -> Self {
        TestHost { now_ns: 1_000_000_000, tick_ns: 1_000, cpu: 0, task: Task::new(1, 1, 0, 0, "ring3") }
    }
}

impl Host for TestHost {
    fn ktime_ns(&mut self) -> u64 {
        let now = self.now_ns;
        self.now_ns = now.wrapping_add(self.tick_ns);
        now
    }

    fn advance_to(&mut self, ns: u64) {
        self.now_ns = self.now_ns.max(ns);
    }

    fn tai_ns(&mut self) -> u64 {
        self.ktime_ns()
    }

    fn gives_random(&self) -> bool {
        false
    }

    fn cpu(&mut self) -> u32 {
        self.cpu
    }

    fn task(&mut self) -> Task {
        self.task.clone()
    }
}

fn realtime_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
