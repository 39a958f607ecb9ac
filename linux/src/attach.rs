//! Attaching programs to what makes them run. Each attachment is a [`Link`], and is undone when that is dropped.

use std::ffi::{CStr, CString};
use std::path::Path;

use ring3_platform::AttachType;

use crate::available::read;
use crate::pin::c_path;
use crate::sys::link::{self, Event, Target};
use crate::sys::{AsFd, BorrowedFd, Command, Failure, OwnedFd};
use crate::{Errno, Error, Prog};

/// XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE of `linux/if_link.h`.
const XDP_SKB_MODE: u32 = 1 << 1;
const XDP_DRV_MODE: u32 = 1 << 2;
/// BPF_F_ALLOW_MULTI of BPF_PROG_ATTACH.
const ALLOW_MULTI: u32 = 1 << 1;
/// PERF_TYPE_TRACEPOINT.
const TRACEPOINT: u32 = 2;
/// Where the kernel describes its tracepoints.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// Where it describes probes.
const PROBES: &str = "/sys/bus/event_source/devices";

/// Where an XDP program runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum XdpMode {
    /// In the driver if it can, else in the network stack.
    #[default]
    Any,
    /// In the network stack, with every driver.
    Generic,
    /// In the driver.
    Native,
}

/// Which packets a tcx program sees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Direction {
    Ingress,
    Egress,
}

/// A place in a program of user space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uprobe<'a> {
    /// A program or shared library.
    pub binary: &'a Path,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Where the function returns, in place of where it starts.
    pub is_return: bool,
    /// In this process only.
    pub pid: Option<u32>,
}

/// An attachment. Dropped, it is undone, unless it is pinned.
#[derive(Debug)]
pub struct Link {
    held: Held,
}

/// What holds it.
#[derive(Debug)]
enum Held {
    /// A link of the kernel.
    Link(OwnedFd),
    /// A perf event with the program in it.
    Event(OwnedFd),
    /// A link to a perf event; the link goes first.
    EventLink(OwnedFd, #[allow(dead_code, reason = "kept open")] OwnedFd),
    /// A socket.
    Socket(OwnedFd),
    /// A cgroup without links (before 5.7): program, cgroup, attach type.
    Cgroup(OwnedFd, OwnedFd, AttachType),
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.held {
            Held::Link(fd) | Held::Event(fd) | Held::EventLink(fd, _) | Held::Socket(fd) | Held::Cgroup(fd, _, _) => {
                fd.as_fd()
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Closing descriptors undoes the others. An error here means that it is gone already.
        match &self.held {
            Held::Link(_) | Held::Event(_) | Held::EventLink(..) => {}
            Held::Socket(socket) => {
                let _ = link::socket_detach(socket.as_fd());
            }
            Held::Cgroup(prog, cgroup, attach) => {
                let _ = link::prog_detach(prog.as_fd(), Target::Fd(cgroup.as_fd()), attach.number());
            }
        }
    }
}

fn text(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::Name(text.to_owned()))
}

/// Another descriptor of the same.
fn clone(fd: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    fd.try_clone_to_owned().map_err(|error| Error::System {
        what: "dup(2)",
        errno: Errno(error.raw_os_error().unwrap_or(Errno::EINVAL.0)),
    })
}

/// The number of an interface in this network namespace.
///
/// Errors: there is none of that name.
pub fn interface_index(name: &str) -> Result<u32, Error> {
    link::interface(&text(name)?).map_err(|failure| failure.of_call("if_nametoindex(3)"))
}

impl Link {
    /// Takes a descriptor of a link.
    pub fn from_fd(fd: OwnedFd) -> Link {
        Link { held: Held::Link(fd) }
    }

    fn new(prog: &Prog, target: Target<'_>, attach: AttachType, flags: u32) -> Result<Link, Error> {
        let fd = link::create(prog.as_fd(), target, attach.number(), flags);
        fd.map(Link::from_fd).map_err(|failure| failure.of(Command::LinkCreate))
    }

    /// Attaches an XDP program to an interface (since 5.9).
    ///
    /// Errors: the kernel's: EBUSY if another is attached there, EOPNOTSUPP if the driver cannot.
    pub fn xdp(prog: &Prog, ifindex: u32, mode: XdpMode) -> Result<Link, Error> {
        let flags = match mode {
            XdpMode::Any => 0,
            XdpMode::Generic => XDP_SKB_MODE,
            XdpMode::Native => XDP_DRV_MODE,
        };
        Link::new(prog, Target::Interface(ifindex), AttachType::Xdp, flags)
    }

    /// Attaches a `sched_cls` program to an interface, after those that are there (tcx, since 6.6).
    ///
    /// Errors: the kernel's.
    pub fn tcx(prog: &Prog, ifindex: u32, direction: Direction) -> Result<Link, Error> {
        let attach = match direction {
            Direction::Ingress => AttachType::TcxIngress,
            Direction::Egress => AttachType::TcxEgress,
        };
        Link::new(prog, Target::Interface(ifindex), attach, 0)
    }

    /// Attaches a program to a cgroup (a descriptor of its folder), beside those that are there.
    ///
    /// Errors: the kernel's.
    pub fn cgroup(prog: &Prog, cgroup: &impl AsFd, attach: AttachType) -> Result<Link, Error> {
        let target = Target::Fd(cgroup.as_fd());
        match link::create(prog.as_fd(), target, attach.number(), 0) {
            Ok(fd) => Ok(Link::from_fd(fd)),
            // Before 5.7 there was no such command, or none for cgroups.
            Err(failure) if failure.is(Errno::EINVAL) => {
                // First what undoes it, so that nothing stays if there are no descriptors left.
                let (own, place) = (clone(prog.as_fd())?, clone(cgroup.as_fd())?);
                let old = link::prog_attach(prog.as_fd(), target, attach.number(), ALLOW_MULTI);
                old.map_err(|_| failure.of(Command::LinkCreate))?;
                Ok(Link { held: Held::Cgroup(own, place, attach) })
            }
            Err(failure) => Err(failure.of(Command::LinkCreate)),
        }
    }

    /// Attaches a raw tracepoint program to the tracepoint of this name, without its category: `sched_switch`.
    ///
    /// Errors: the kernel's: ENOENT if there is none.
    pub fn raw_tracepoint(prog: &Prog, name: &str) -> Result<Link, Error> {
        let fd = link::raw_tracepoint(prog.as_fd(), Some(&text(name)?));
        fd.map(Link::from_fd).map_err(|failure| failure.of(Command::RawTracepointOpen))
    }

    /// Attaches a program whose target is part of it: `tracing` and `lsm`.
    ///
    /// Errors: the kernel's.
    pub fn tracing(prog: &Prog) -> Result<Link, Error> {
        let fd = link::raw_tracepoint(prog.as_fd(), None);
        fd.map(Link::from_fd).map_err(|failure| failure.of(Command::RawTracepointOpen))
    }

    /// Attaches a tracepoint program, such as to `syscalls` and `sys_enter_openat`.
    ///
    /// Errors: no such tracepoint, tracefs not mounted; the kernel's.
    pub fn tracepoint(prog: &Prog, category: &str, name: &str) -> Result<Link, Error> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0']);
        if !is_plain(category) || !is_plain(name) {
            return Err(Error::Name(format!("{category}/{name}")));
        }
        let id = TRACEFS.iter().find_map(|root| read(&format!("{root}/events/{category}/{name}/id")));
        let id = id.and_then(|id| id.trim().parse().ok()).ok_or_else(|| Error::Name(format!("{category}/{name}")))?;
        Link::event(prog, Event { kind: TRACEPOINT, config: id, text: None, offset: 0, pid: None })
    }

    /// Attaches a `kprobe` program to a place in a program of user space.
    ///
    /// Errors: a kernel without such probes; the kernel's.
    pub fn uprobe(prog: &Prog, probe: &Uprobe<'_>) -> Result<Link, Error> {
        Link::probe(prog, "uprobe", &c_path(probe.binary)?, probe.offset, probe.is_return, probe.pid)
    }

    /// Attaches a `kprobe` program to a function of the kernel, where it starts (and `offset` bytes on) or returns.
    ///
    /// Errors: a kernel without such probes; the kernel's: ENOENT, EADDRNOTAVAIL where it is not allowed.
    pub fn kprobe(prog: &Prog, function: &str, offset: u64, is_return: bool) -> Result<Link, Error> {
        Link::probe(prog, "kprobe", &text(function)?, offset, is_return, None)
    }

    fn probe(
        prog: &Prog,
        device: &str,
        target: &CStr,
        offset: u64,
        is_return: bool,
        pid: Option<u32>,
    ) -> Result<Link, Error> {
        let file = |name: &str| read(&format!("{PROBES}/{device}/{name}"));
        let missing = Error::File { path: PROBES };
        let kind = file("type").and_then(|kind| kind.trim().parse().ok()).ok_or(missing.clone())?;
        let config = if is_return {
            // Such as `config:0`: the number of a bit.
            let bit = file("format/retprobe").and_then(|f| f.trim().strip_prefix("config:")?.parse::<u32>().ok());
            1u64.checked_shl(bit.ok_or(missing.clone())?).ok_or(missing)?
        } else {
            0
        };
        Link::event(prog, Event { kind, config, text: Some(target), offset, pid })
    }

    /// Attaches a program to a perf event that is made for it.
    fn event(prog: &Prog, event: Event<'_>) -> Result<Link, Error> {
        let event = link::perf_event(event).map_err(|failure| failure.of_call("perf_event_open(2)"))?;
        let target = Target::Fd(event.as_fd());
        let held = match link::create(prog.as_fd(), target, AttachType::PerfEvent.number(), 0) {
            Ok(fd) => {
                link::perf_enable(event.as_fd()).map_err(|f| f.of_call("PERF_EVENT_IOC_ENABLE"))?;
                Held::EventLink(fd, event)
            }
            // Before 5.15 there were no links to perf events.
            Err(failure) if failure.is(Errno::EINVAL) => {
                link::perf_set_bpf(event.as_fd(), prog.as_fd()).map_err(|_| failure.of(Command::LinkCreate))?;
                link::perf_enable(event.as_fd()).map_err(|f| f.of_call("PERF_EVENT_IOC_ENABLE"))?;
                Held::Event(event)
            }
            Err(failure) => return Err(failure.of(Command::LinkCreate)),
        };
        Ok(Link { held })
    }

    /// Attaches a socket filter to a socket, in place of one that is there.
    ///
    /// Errors: the kernel's.
    pub fn socket(prog: &Prog, socket: &impl AsFd) -> Result<Link, Error> {
        let own = clone(socket.as_fd())?;
        link::socket_attach(socket.as_fd(), prog.as_fd()).map_err(|failure| failure.of_call("SO_ATTACH_BPF"))?;
        Ok(Link { held: Held::Socket(own) })
    }
}

impl Failure {
    /// As an error of another system call.
    pub(crate) const fn of_call(self, what: &'static str) -> Error {
        match self {
            Failure::NotLinux => Error::NotLinux,
            Failure::Errno(errno) => Error::System { what, errno },
            Failure::File(path) => Error::File { path },
        }
    }

    /// As an error about a path.
    pub(crate) fn of_path(self, path: &Path, command: Command) -> Error {
        match self {
            Failure::NotLinux => Error::NotLinux,
            Failure::Errno(errno) => Error::Path { path: path.to_owned(), command, errno },
            Failure::File(path) => Error::File { path },
        }
    }
}
