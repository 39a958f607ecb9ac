//! Where programs are attached, by the names of their sections, and which of them an event reaches.

use ring3_btf::{Btf, Kind, Type, TypeId};

use super::SimError;
use super::error::nearest;

/// What a program is attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Hook {
    /// A tracepoint's record, of a category.
    Tracepoint {
        category: String,
        name: String,
    },
    /// A tracepoint's arguments.
    RawTracepoint(String),
    /// The same, with their types.
    TypedTracepoint(String),
    /// The registers where a function starts.
    Kprobe(String),
    /// Those where it returns.
    Kretprobe(String),
    /// The same of a system call, whose arguments are in registers that the first argument points to.
    Ksyscall(String),
    Kretsyscall(String),
    /// The arguments of a function of the kernel.
    Fentry(String),
    /// Arguments and result.
    Fexit(String),
    /// The same, and the program may decide.
    ModifyReturn(String),
    /// A hook of security modules.
    Lsm(String),
    /// The registers in a function of a process, with the whole place: `/bin/bash:readline`.
    Uprobe(String),
    Uretprobe(String),
    /// The registers at a sample.
    PerfEvent,
    /// An iterator over what the kernel has of a kind: `task`.
    Iterator(String),
}

/// Other words for the first parts of sections.
const PREFIXES: &[(&str, &str)] = &[
    ("tracepoint", "tp"),
    ("raw_tracepoint", "raw_tp"),
    ("raw_tracepoint.w", "raw_tp"),
    ("raw_tp.w", "raw_tp"),
    ("kprobe.multi", "kprobe"),
    ("kprobe.session", "kprobe"),
    ("kretprobe.multi", "kretprobe"),
    ("iter.s", "iter"),
    ("fentry.s", "fentry"),
    ("fexit.s", "fexit"),
    ("fmod_ret.s", "fmod_ret"),
    ("lsm.s", "lsm"),
    ("uprobe.s", "uprobe"),
    ("uprobe.multi", "uprobe"),
    ("uprobe.multi.s", "uprobe"),
    ("uprobe.session", "uprobe"),
    ("uretprobe.s", "uretprobe"),
    ("uretprobe.multi", "uretprobe"),
    ("uretprobe.multi.s", "uretprobe"),
];

/// A section's name with the usual first part, and what follows that.
fn split(section: &str) -> (&str, &str) {
    let (prefix, rest) = section.split_once('/').unwrap_or((section, ""));
    let usual = PREFIXES.iter().find(|row| row.0 == prefix).map_or(prefix, |row| row.1);
    (usual, rest)
}

impl Hook {
    /// What a section says; `None` for programs that are not attached to events.
    pub fn of(section: &str) -> Option<Hook> {
        let (prefix, rest) = split(section.strip_prefix('?').unwrap_or(section));
        let name = || rest.to_owned();
        // What follows a plus is a place within the function.
        let function = || rest.split('+').next().unwrap_or(rest).to_owned();
        Some(match prefix {
            "perf_event" => Hook::PerfEvent,
            _ if rest.is_empty() => return None,
            "tp" => {
                let (category, name) = rest.split_once('/')?;
                Hook::Tracepoint { category: category.to_owned(), name: name.to_owned() }
            }
            "raw_tp" => Hook::RawTracepoint(name()),
            "tp_btf" => Hook::TypedTracepoint(name()),
            "kprobe" => Hook::Kprobe(function()),
            "kretprobe" => Hook::Kretprobe(function()),
            "ksyscall" => Hook::Ksyscall(name()),
            "kretsyscall" => Hook::Kretsyscall(name()),
            "fentry" => Hook::Fentry(name()),
            "fexit" => Hook::Fexit(name()),
            "fmod_ret" => Hook::ModifyReturn(name()),
            "lsm" => Hook::Lsm(name()),
            "iter" => Hook::Iterator(name()),
            "uprobe" => Hook::Uprobe(name()),
            "uretprobe" => Hook::Uretprobe(name()),
            _ => return None,
        })
    }

    /// As a section would say it, in the shortest words.
    pub fn section(&self) -> String {
        match self {
            Hook::Tracepoint { category, name } => format!("tp/{category}/{name}"),
            Hook::PerfEvent => "perf_event".to_owned(),
            other => format!("{}/{}", other.prefix(), other.name()),
        }
    }

    fn prefix(&self) -> &'static str {
        match self {
            Hook::Tracepoint { .. } => "tp",
            Hook::RawTracepoint(_) => "raw_tp",
            Hook::TypedTracepoint(_) => "tp_btf",
            Hook::Kprobe(_) => "kprobe",
            Hook::Kretprobe(_) => "kretprobe",
            Hook::Ksyscall(_) => "ksyscall",
            Hook::Kretsyscall(_) => "kretsyscall",
            Hook::Fentry(_) => "fentry",
            Hook::Fexit(_) => "fexit",
            Hook::ModifyReturn(_) => "fmod_ret",
            Hook::Lsm(_) => "lsm",
            Hook::Iterator(_) => "iter",
            Hook::Uprobe(_) => "uprobe",
            Hook::Uretprobe(_) => "uretprobe",
            Hook::PerfEvent => "perf_event",
        }
    }

    /// The function, tracepoint or hook.
    pub fn name(&self) -> &str {
        match self {
            Hook::Tracepoint { name, .. }
            | Hook::RawTracepoint(name)
            | Hook::TypedTracepoint(name)
            | Hook::Kprobe(name)
            | Hook::Kretprobe(name)
            | Hook::Ksyscall(name)
            | Hook::Kretsyscall(name)
            | Hook::Fentry(name)
            | Hook::Fexit(name)
            | Hook::ModifyReturn(name)
            | Hook::Lsm(name)
            | Hook::Iterator(name)
            | Hook::Uprobe(name)
            | Hook::Uretprobe(name) => name,
            Hook::PerfEvent => "perf_event",
        }
    }

    /// Whether it comes when the function is done.
    pub fn is_exit(&self) -> bool {
        match self {
            Hook::Kretprobe(_) | Hook::Kretsyscall(_) | Hook::Fexit(_) | Hook::Uretprobe(_) => true,
            Hook::Tracepoint { .. }
            | Hook::RawTracepoint(_)
            | Hook::TypedTracepoint(_)
            | Hook::Kprobe(_)
            | Hook::Ksyscall(_)
            | Hook::Fentry(_)
            | Hook::ModifyReturn(_)
            | Hook::Lsm(_)
            | Hook::Iterator(_)
            | Hook::Uprobe(_)
            | Hook::PerfEvent => false,
        }
    }

    /// Whether what the program returns decides what the function gives.
    pub fn decides(&self) -> bool {
        matches!(self, Hook::Lsm(_) | Hook::ModifyReturn(_))
    }

    /// Whether an event at `point` reaches it: its section, `sched:sched_switch`, `sched/sched_switch`, or the bare name.
    pub fn is_at(&self, point: &str) -> bool {
        let point =
            point.replacen(':', "/", usize::from(!point.starts_with("uprobe/") && !point.starts_with("uretprobe/")));
        let (prefix, rest) = split(&point);
        if prefix == self.prefix() {
            let whole = match self {
                Hook::Tracepoint { category, name } => rest == format!("{category}/{name}"),
                Hook::PerfEvent => true,
                other => matches_name(other.name(), rest),
            };
            if whole {
                return true;
            }
        }
        match self {
            Hook::Tracepoint { category, name } => point == *name || point == format!("{category}/{name}"),
            // Which category it is of is not said in their sections.
            Hook::RawTracepoint(name) | Hook::TypedTracepoint(name) => {
                let is_category = ring3_platform::section(&point).is_none() && point.matches('/').count() == 1;
                point == *name || is_category && rest == name
            }
            Hook::PerfEvent => point == "perf_event",
            Hook::Uprobe(place) | Hook::Uretprobe(place) => place.rsplit(':').next() == Some(&point) || *place == point,
            other => matches_name(other.name(), &point),
        }
    }
}

/// Whether a name is what a pattern with stars says.
fn matches_name(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = pattern.split('*').skip(1).last() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    last.is_empty() || name.ends_with(last)
}

/// Parameters of a function or tracepoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Proto {
    pub name: String,
    pub params: Vec<(String, TypeId)>,
    /// `None` if nothing says what it takes: its arguments are numbers, by position or as `arg0` and so on.
    pub ret: Option<TypeId>,
}

impl Proto {
    fn read(btf: &Btf, name: &str, proto: TypeId, skip: usize) -> Option<Proto> {
        let Ok(Type::FuncProto { ret, params }) = btf.resolved(proto) else { return None };
        let named = params.iter().enumerate().skip(skip).map(|(at, param)| {
            let name = btf.string(param.name);
            let name = if name.is_empty() { format!("arg{}", at - skip) } else { name.to_owned() };
            (name, param.ty)
        });
        Some(Proto { name: name.to_owned(), params: named.collect(), ret: Some(*ret) })
    }

    fn unknown(name: &str, count: usize) -> Proto {
        let params = (0..count).map(|at| (format!("arg{at}"), TypeId::VOID)).collect();
        Proto { name: name.to_owned(), params, ret: None }
    }

    /// Of a function of these types.
    pub fn function(btf: &Btf, name: &str) -> Option<Proto> {
        let Some(Type::Func { proto, .. }) = btf.find(name, Kind::Func).and_then(|id| btf.get(id)) else { return None };
        Proto::read(btf, name, *proto, 0)
    }

    /// Of a tracepoint. The function that calls the probes has the names of its arguments.
    fn tracepoint(btf: &Btf, name: &str) -> Option<Proto> {
        let caller = Proto::function(btf, &format!("__traceiter_{name}"));
        if let Some(Proto { mut params, ret, .. }) = caller.filter(|proto| !proto.params.is_empty()) {
            params.remove(0);
            return Some(Proto { name: name.to_owned(), params, ret });
        }
        let typedef = btf.find(&format!("btf_trace_{name}"), Kind::Typedef)?;
        let Ok(Type::Ptr { to }) = btf.resolved(typedef) else { return None };
        Proto::read(btf, name, *to, 1)
    }

    /// Of what a hook is at. A function that must be there for the program to load is an error if it is not.
    pub fn of(btf: &Btf, hook: &Hook, name: &str) -> Result<Proto, SimError> {
        let (found, most) = match hook {
            Hook::Tracepoint { .. } | Hook::PerfEvent => (None, 0),
            Hook::RawTracepoint(_) | Hook::TypedTracepoint(_) => (Proto::tracepoint(btf, name), MAX_ARGUMENTS),
            Hook::Ksyscall(_) | Hook::Kretsyscall(_) => (Proto::syscall(btf, name), MAX_REGISTERS),
            Hook::Lsm(_) => (Proto::function(btf, &format!("bpf_lsm_{name}")), MAX_ARGUMENTS),
            Hook::Iterator(_) => (Proto::function(btf, &format!("{ITERATOR}{name}")), MAX_ARGUMENTS),
            Hook::Kprobe(_) | Hook::Kretprobe(_) => (Proto::function(btf, name), MAX_REGISTERS),
            Hook::Fentry(_) | Hook::Fexit(_) | Hook::ModifyReturn(_) => (Proto::function(btf, name), MAX_ARGUMENTS),
            Hook::Uprobe(_) | Hook::Uretprobe(_) => (None, MAX_REGISTERS),
        };
        match (found, hook) {
            (Some(proto), _) => Ok(proto),
            (None, Hook::Fentry(_) | Hook::Fexit(_) | Hook::ModifyReturn(_) | Hook::Lsm(_) | Hook::Iterator(_)) => {
                let functions = btf.types().iter().filter(|ty| ty.kind() == Kind::Func);
                let start = if let Hook::Iterator(_) = hook { ITERATOR } else { "" };
                let near = nearest(name, functions.filter_map(|ty| btf.string(ty.name()).strip_prefix(start)));
                Err(SimError::NoFunction { name: name.to_owned(), near })
            }
            (None, _) => Ok(Proto::unknown(name, most)),
        }
    }

    /// Of a system call, by its function behind the wrappers; else its arguments' names, as the records of tracefs have them.
    pub fn syscall(btf: &Btf, name: &str) -> Option<Proto> {
        let typed = ["__do_sys_", "__se_sys_", "sys_"];
        let typed = typed.into_iter().find_map(|prefix| Proto::function(btf, &format!("{prefix}{name}")));
        typed.or_else(|| {
            let names = SYSCALLS.lines().find_map(|line| line.split_once('\t').filter(|(call, _)| *call == name))?.1;
            let params = names.split(' ').filter(|name| !name.is_empty()).map(|name| (name.to_owned(), TypeId::VOID));
            Some(Proto { name: name.to_owned(), params: params.collect(), ret: None })
        })
    }

    /// Which argument this is.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_name = self.params.iter().position(|param| param.0 == name);
        let by_place = || name.strip_prefix("arg")?.parse().ok().filter(|at| *at < self.params.len());
        by_name.or_else(by_place)
    }

    /// The names, if there are any.
    pub fn names(&self) -> Vec<String> {
        self.params.iter().map(|param| param.0.clone()).collect()
    }
}

/// System calls and their arguments: `events/syscalls/sys_enter_*/format` of Linux 6.18 on x86-64.
const SYSCALLS: &str = include_str!("syscalls.tsv");

/// What the kernel calls the function with the arguments of an iterator, before its name.
const ITERATOR: &str = "bpf_iter_";
/// Arguments that tracing programs can have (`MAX_BPF_FUNC_ARGS`).
pub(super) const MAX_ARGUMENTS: usize = 12;
/// Arguments of a function in registers, of x86-64.
pub(super) const MAX_REGISTERS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_reaches() {
        let at = |section: &str, point: &str| Hook::of(section).is_some_and(|hook| hook.is_at(point));
        for point in
            ["sched:sched_switch", "sched/sched_switch", "sched_switch", "tp_btf/sched_switch", "tp_btf:sched_switch"]
        {
            assert!(at("tp_btf/sched_switch", point), "{point}");
        }
        assert!(at("tracepoint/sched/sched_switch", "sched:sched_switch") && at("tp/a/b", "tracepoint/a/b"));
        assert!(
            !at("tp_btf/sched_switch", "raw_tp/sched_switch") && !at("tp_btf/sched_switch", "tp/sched/sched_switch")
        );
        assert!(
            at("kprobe/vfs_read", "vfs_read")
                && at("fexit/vfs_read", "vfs_read")
                && at("kprobe.multi/vfs_*", "vfs_read")
        );
        assert!(!at("kprobe/vfs_read", "vfs_readv") && !at("kprobe.multi/vfs_*d", "vfs_write"));
        assert!(at("lsm.s/file_open", "lsm/file_open") && at("uprobe//bin/bash:readline", "uprobe//bin/bash:readline"));
        assert!(Hook::of("xdp").is_none() && Hook::of("kprobe").is_none());
    }
}
