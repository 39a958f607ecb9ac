//! Attaching: links, perf events, sockets.

use std::ffi::CStr;

use super::attr::{LinkCreate, ProgAttach, RawTracepoint};
use super::{BorrowedFd, Command, Failure, OwnedFd, addr, bpf, bpf_fd, fd};

/// To what a link leads: a file descriptor (cgroup, perf event), or the index of an interface.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Target<'a> {
    Fd(BorrowedFd<'a>),
    Interface(u32),
}

impl Target<'_> {
    fn number(self) -> u32 {
        match self {
            Target::Fd(fd) => fd::number(fd),
            Target::Interface(index) => index,
        }
    }
}

/// BPF_LINK_CREATE.
pub fn create(prog: BorrowedFd<'_>, target: Target<'_>, attach_type: u32, flags: u32) -> Result<OwnedFd, Failure> {
    let mut attr =
        LinkCreate { prog_fd: fd::number(prog), target: target.number(), attach_type, flags, ..LinkCreate::default() };
    // SAFETY: no addresses; the command gives a descriptor.
    unsafe { bpf_fd(Command::LinkCreate, &mut attr, 0) }
}

/// BPF_PROG_ATTACH, for kernels whose cgroups have no links.
pub fn prog_attach(prog: BorrowedFd<'_>, target: Target<'_>, attach_type: u32, flags: u32) -> Result<(), Failure> {
    let mut attr = ProgAttach {
        target: target.number(),
        attach_bpf_fd: fd::number(prog),
        attach_type,
        attach_flags: flags,
        ..ProgAttach::default()
    };
    // SAFETY: no addresses.
    unsafe { bpf(Command::ProgAttach, &mut attr, 0) }.map(|_| ())
}

/// BPF_PROG_DETACH.
pub fn prog_detach(prog: BorrowedFd<'_>, target: Target<'_>, attach_type: u32) -> Result<(), Failure> {
    let mut attr =
        ProgAttach { target: target.number(), attach_bpf_fd: fd::number(prog), attach_type, ..ProgAttach::default() };
    // SAFETY: no addresses.
    unsafe { bpf(Command::ProgDetach, &mut attr, 0) }.map(|_| ())
}

/// BPF_RAW_TRACEPOINT_OPEN. Programs of type `tracing` have no name here: the target is part of them.
pub fn raw_tracepoint(prog: BorrowedFd<'_>, name: Option<&CStr>) -> Result<OwnedFd, Failure> {
    let name = name.map_or(0, |name| addr(name.to_bytes_with_nul()));
    let mut attr = RawTracepoint { name, prog_fd: fd::number(prog), ..RawTracepoint::default() };
    // SAFETY: the name ends in a zero; the command gives a descriptor.
    unsafe { bpf_fd(Command::RawTracepointOpen, &mut attr, 0) }
}

/// What a perf event watches.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "read on Linux"))]
pub struct Event<'a> {
    /// `type` of `struct perf_event_attr`.
    pub kind: u32,
    /// `config`.
    pub config: u64,
    /// Path or symbol, of probes.
    pub text: Option<&'a CStr>,
    /// Offset, of probes.
    pub offset: u64,
    /// A process, or all.
    pub pid: Option<u32>,
}

#[cfg(target_os = "linux")]
mod imp {
    use super::super::attr::PerfEvent;
    use super::super::last_errno;
    use super::*;

    /// PERF_FLAG_FD_CLOEXEC.
    const CLOSE_ON_EXEC: libc::c_ulong = 8;
    /// PERF_EVENT_IOC_ENABLE and PERF_EVENT_IOC_SET_BPF, in the encoding of ioctls that most architectures have.
    const ENABLE: u32 = 0x2400;
    const SET_BPF: u32 = 0x4004_2408;

    fn check(result: libc::c_long) -> Result<i32, Failure> {
        if result < 0 { Err(Failure::Errno(last_errno())) } else { Ok(result as i32) }
    }

    /// perf_event_open(2), on the first CPU if it is for all processes: programs run wherever the event happens.
    pub fn perf_event(event: Event<'_>) -> Result<OwnedFd, Failure> {
        let attr = PerfEvent {
            kind: event.kind,
            size: size_of::<PerfEvent>() as u32,
            config: event.config,
            sample_period: 1,
            wakeup_events: 1,
            config1: event.text.map_or(0, |text| addr(text.to_bytes_with_nul())),
            config2: event.offset,
            ..PerfEvent::default()
        };
        let (pid, cpu) = event.pid.map_or((-1, 0), |pid| (i64::from(pid), -1i64));
        let (no_group, attr) = (-1 as libc::c_long, &raw const attr);
        // SAFETY: the struct says its own size; the text ends in a zero; both live during the call.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr, pid, cpu, no_group, CLOSE_ON_EXEC) };
        let fd = check(fd)?;
        // SAFETY: the kernel has just given this descriptor to us.
        Ok(unsafe { fd::own(fd) })
    }

    /// PERF_EVENT_IOC_SET_BPF, for kernels whose perf events have no links (before 5.15).
    pub fn perf_set_bpf(event: BorrowedFd<'_>, prog: BorrowedFd<'_>) -> Result<(), Failure> {
        // SAFETY: the argument of this ioctl is a number.
        let result = unsafe { libc::ioctl(fd::number(event) as i32, SET_BPF as _, fd::number(prog)) };
        check(result.into()).map(|_| ())
    }

    /// PERF_EVENT_IOC_ENABLE.
    pub fn perf_enable(event: BorrowedFd<'_>) -> Result<(), Failure> {
        // SAFETY: the argument of this ioctl is a number.
        let result = unsafe { libc::ioctl(fd::number(event) as i32, ENABLE as _, 0) };
        check(result.into()).map(|_| ())
    }

    fn set_option(socket: BorrowedFd<'_>, option: i32, value: i32) -> Result<(), Failure> {
        let len = size_of::<i32>() as libc::socklen_t;
        let (socket, value) = (fd::number(socket) as i32, &raw const value);
        // SAFETY: the value is as long as is said.
        let result = unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, option, value.cast(), len) };
        check(result.into()).map(|_| ())
    }

    /// SO_ATTACH_BPF of socket(7).
    pub fn socket_attach(socket: BorrowedFd<'_>, prog: BorrowedFd<'_>) -> Result<(), Failure> {
        set_option(socket, libc::SO_ATTACH_BPF, fd::number(prog) as i32)
    }

    /// SO_DETACH_BPF of socket(7).
    pub fn socket_detach(socket: BorrowedFd<'_>) -> Result<(), Failure> {
        set_option(socket, libc::SO_DETACH_BPF, 0)
    }

    /// if_nametoindex(3).
    pub fn interface(name: &CStr) -> Result<u32, Failure> {
        // SAFETY: the name ends in a zero.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 { Err(Failure::Errno(last_errno())) } else { Ok(index) }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::*;

    pub fn perf_event(_: Event<'_>) -> Result<OwnedFd, Failure> {
        Err(Failure::NotLinux)
    }

    pub fn perf_set_bpf(_: BorrowedFd<'_>, _: BorrowedFd<'_>) -> Result<(), Failure> {
        Err(Failure::NotLinux)
    }

    pub fn perf_enable(_: BorrowedFd<'_>) -> Result<(), Failure> {
        Err(Failure::NotLinux)
    }

    pub fn socket_attach(_: BorrowedFd<'_>, _: BorrowedFd<'_>) -> Result<(), Failure> {
        Err(Failure::NotLinux)
    }

    pub fn socket_detach(_: BorrowedFd<'_>) -> Result<(), Failure> {
        Err(Failure::NotLinux)
    }

    pub fn interface(_: &CStr) -> Result<u32, Failure> {
        Err(Failure::NotLinux)
    }
}

pub use imp::{interface, perf_enable, perf_event, perf_set_bpf, socket_attach, socket_detach};
