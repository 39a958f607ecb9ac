//! Programs whose results depend on more than their input, told by the helpers that they call.

use std::collections::BTreeSet;

use ring3_isa::{Callee, Insn, Size};
use ring3_object::{Object, Options};
use ring3_platform::helpers::id;
use ring3_platform::{Program, ctx};

/// What a result depends on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Depends {
    /// The clock.
    Time,
    /// The node of the processor that runs it; its number is the same everywhere.
    Cpu,
    /// Chance.
    Random,
    /// The process that runs it.
    Task,
    /// The kernel's memory.
    Memory,
    /// Interfaces, routes and sockets.
    Network,
    /// Who reads perf events.
    Readers,
    /// Storage of control groups, which each test run of the kernel has anew, and which stays as long as a map here.
    Storage,
    /// Addresses, which the program gives away or counts with: two runs on one engine differ, or a run with checks told. No helper tells
    /// this.
    Addresses,
    /// Stack that the program did not write: two runs with checks differ by what was there before. No helper tells this.
    Stack,
}

impl Depends {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Depends::Time => "time",
            Depends::Cpu => "node of the processor",
            Depends::Random => "chance",
            Depends::Task => "process",
            Depends::Memory => "memory of the kernel",
            Depends::Network => "network",
            Depends::Readers => "readers of perf events",
            Depends::Storage => "storage of control groups",
            Depends::Addresses => "addresses",
            Depends::Stack => "stack that nobody wrote",
        }
    }
}

/// Helpers by what their results depend on.
const ROWS: &[(Depends, &[u32])] = &[
    (
        Depends::Time,
        &[
            id::KTIME_GET_NS,
            id::KTIME_GET_BOOT_NS,
            id::KTIME_GET_COARSE_NS,
            id::KTIME_GET_TAI_NS,
            id::JIFFIES64,
            id::TIMER_START,
            id::TCP_GEN_SYNCOOKIE,
            id::TCP_RAW_GEN_SYNCOOKIE_IPV4,
            id::TCP_RAW_GEN_SYNCOOKIE_IPV6,
        ],
    ),
    (Depends::Cpu, &[id::GET_NUMA_NODE_ID]),
    (Depends::Random, &[id::GET_PRANDOM_U32, id::GET_HASH_RECALC]),
    (
        Depends::Task,
        &[
            id::GET_CURRENT_PID_TGID,
            id::GET_CURRENT_UID_GID,
            id::GET_CURRENT_COMM,
            id::GET_CURRENT_TASK,
            id::GET_CURRENT_TASK_BTF,
            id::GET_CURRENT_CGROUP_ID,
            id::GET_CURRENT_ANCESTOR_CGROUP_ID,
            id::GET_NS_CURRENT_PID_TGID,
            id::CURRENT_TASK_UNDER_CGROUP,
            id::GET_CGROUP_CLASSID,
            id::TASK_PT_REGS,
            id::TASK_STORAGE_GET,
            id::COPY_FROM_USER,
            id::PROBE_READ_USER,
            id::PROBE_READ_USER_STR,
        ],
    ),
    (
        Depends::Memory,
        &[
            id::PROBE_READ,
            id::PROBE_READ_STR,
            id::PROBE_READ_KERNEL,
            id::PROBE_READ_KERNEL_STR,
            id::GET_STACK,
            id::GET_STACKID,
            id::GET_TASK_STACK,
            id::KALLSYMS_LOOKUP_NAME,
            id::PER_CPU_PTR,
            id::THIS_CPU_PTR,
            id::SNPRINTF_BTF,
            id::GET_FUNC_IP,
            id::BTF_FIND_BY_NAME_KIND,
        ],
    ),
    (
        Depends::Network,
        &[
            id::CLONE_REDIRECT,
            id::FIB_LOOKUP,
            id::CHECK_MTU,
            id::SK_LOOKUP_TCP,
            id::SK_LOOKUP_UDP,
            id::SKC_LOOKUP_TCP,
            id::SK_FULLSOCK,
            id::TCP_SOCK,
            id::GET_LISTENER_SOCK,
            id::SK_STORAGE_GET,
            id::GET_SOCKET_COOKIE,
            id::GET_SOCKET_UID,
            id::GET_NETNS_COOKIE,
            id::GET_ROUTE_REALM,
            id::SKB_CGROUP_ID,
            id::SKB_CGROUP_CLASSID,
            id::SKB_ANCESTOR_CGROUP_ID,
            id::SKB_UNDER_CGROUP,
        ],
    ),
    (Depends::Storage, &[id::GET_LOCAL_STORAGE]),
    (
        Depends::Readers,
        &[
            id::PERF_EVENT_OUTPUT,
            id::PERF_EVENT_READ,
            id::PERF_EVENT_READ_VALUE,
            id::SKB_OUTPUT,
            id::XDP_OUTPUT,
            id::USER_RINGBUF_DRAIN,
        ],
    ),
];

/// Functions of the kernel through which programs read its structures, which have other numbers there than here.
const KERNEL_STRUCTURES: &[&str] = &["bpf_cast_to_kern_ctx", "bpf_rdonly_cast"];

/// What the results of a program, and of those that it can go on to by tail calls, depend on beside its input.
pub fn depends(object: &Object, program: &Program) -> Vec<Depends> {
    depends_with(program, |symbol| object.program(symbol, &Options::default()).ok())
}

/// The same of a program without an object.
pub(super) fn depends_alone(program: &Program) -> Vec<Depends> {
    depends_with(program, |_| None)
}

fn depends_with(program: &Program, named: impl Fn(&str) -> Option<Program>) -> Vec<Depends> {
    let mut helpers = BTreeSet::new();
    let mut known = BTreeSet::from([program.name.clone()]);
    let mut todo = vec![program.clone()];
    let (mut socket, mut structures) = (false, false);
    while let Some(program) = todo.pop() {
        socket |= reads_socket(&program);
        structures |= program.kfuncs.iter().any(|kfunc| KERNEL_STRUCTURES.contains(&kfunc.name.as_str()));
        helpers.extend(program.code.insns().iter().filter_map(|insn| match insn {
            Ok(Insn::Call(Callee::Helper(id))) => u32::try_from(*id).ok(),
            Ok(_) | Err(_) => None,
        }));
        for slot in program.maps.iter().flat_map(|map| &map.slots) {
            if known.insert(slot.symbol.clone())
                && let Some(next) = named(&slot.symbol)
            {
                todo.push(next);
            }
        }
    }
    let calls = |ids: &[u32]| ids.iter().any(|id| helpers.contains(id));
    let found = |(depends, ids): &&(Depends, &[u32])| {
        calls(ids) || *depends == Depends::Network && socket || *depends == Depends::Memory && structures
    };
    ROWS.iter().filter(found).map(|(depends, _)| *depends).collect()
}

/// Whether it may read the socket of its context: test runs of the kernel have one that nobody connected, packets here have none.
fn reads_socket(program: &Program) -> bool {
    let Some(layout) = ctx::layout(program.kind) else { return false };
    let Some(field) = layout.by_name("sk").map(|field| &layout.fields[field]) else { return false };
    program.code.insns().iter().any(|insn| match insn {
        Ok(Insn::Load { size: Size::Dw, off, .. }) => i64::from(*off) == i64::from(field.off),
        Ok(_) | Err(_) => false,
    })
}
