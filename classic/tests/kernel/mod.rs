//! The running kernel: sockets to attach filters to, and seccomp in a child process.

use std::ffi::c_void;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ring3_classic::Insn;

/// What Linux says of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Accepted,
    /// With this error number.
    Refused(i32),
}

/// `struct sock_filter`s; the program must not be longer than its 16-bit length can tell.
fn raw(insns: &[Insn]) -> Vec<libc::sock_filter> {
    insns.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

fn attach(socket: &OwnedFd, insns: &[Insn]) -> Answer {
    let mut filters = raw(insns);
    let program = libc::sock_fprog { len: filters.len() as u16, filter: filters.as_mut_ptr() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // Two long filters at a time would be more than a socket may hold (net.core.optmem_max).
    let unused = 0i32;
    let at = (&raw const unused).cast::<c_void>();
    // SAFETY: the number lives until the call returns.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, at, 4) };
    let at = (&raw const program).cast::<c_void>();
    // SAFETY: the struct and the instructions that it points to live until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, at, size) };
    if result == 0 { Answer::Accepted } else { Answer::Refused(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

fn send(socket: &OwnedFd, data: &[u8]) -> bool {
    // SAFETY: the bytes live until the call returns.
    let sent = unsafe { libc::send(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), 0) };
    usize::try_from(sent) == Ok(data.len())
}

/// The length of the next packet, `None` if there is none.
fn receive(socket: &OwnedFd) -> Option<usize> {
    let mut buffer = [0u8; 256];
    // SAFETY: the buffer is as long as the call is told.
    let got = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) };
    usize::try_from(got).ok()
}

fn owned(fd: i32) -> Option<OwnedFd> {
    // SAFETY: a descriptor that was just opened, and that nobody else knows.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Two connected datagram sockets; filters are attached to the second.
pub struct Pair {
    from: OwnedFd,
    to: OwnedFd,
}

impl Pair {
    pub fn new() -> Option<Pair> {
        let mut fds = [-1; 2];
        // SAFETY: room for two descriptors.
        let result =
            unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) };
        if result != 0 {
            return None;
        }
        let pair = Pair { from: owned(fds[0])?, to: owned(fds[1])? };
        (pair.attach(&[Insn::new(0x06, 0, 0, 0)]) == Answer::Accepted).then_some(pair)
    }

    pub fn attach(&self, insns: &[Insn]) -> Answer {
        attach(&self.to, insns)
    }

    /// How much of a datagram comes through.
    pub fn pass(&self, data: &[u8]) -> Option<usize> {
        assert!(send(&self.from, data), "{}", io::Error::last_os_error());
        receive(&self.to)
    }
}

/// Packet sockets on the loopback interface of a network namespace that nobody else is in. It ends with the thread.
pub struct Loopback {
    from: OwnedFd,
    /// Gets every packet after the filtered socket.
    tap: OwnedFd,
    to: OwnedFd,
}

impl Loopback {
    /// Moves this thread into a namespace of its own; `None` if it may not.
    pub fn new() -> Option<Loopback> {
        // SAFETY: changes this thread alone.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return None;
        }
        up()?;
        // The sockets that are bound last get packets first.
        let tap = packet_socket(libc::ETH_P_ALL)?;
        Some(Loopback { from: packet_socket(0)?, to: packet_socket(libc::ETH_P_ALL)?, tap })
    }

    pub fn attach(&self, insns: &[Insn]) -> Answer {
        attach(&self.to, insns)
    }

    /// How much of a frame comes through.
    pub fn pass(&self, frame: &[u8]) -> Option<usize> {
        assert!(send(&self.from, frame), "{}", io::Error::last_os_error());
        let mut poll = libc::pollfd { fd: self.tap.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 5_000) }, 1, "the frame does not arrive");
        receive(&self.tap);
        receive(&self.to)
    }
}

fn up() -> Option<()> {
    // SAFETY: no pointers.
    let socket = owned(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: zero is a value of every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as _;
    request.ifr_name[1] = b'o' as _;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING) as i16;
    // SAFETY: the request lives until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    (result == 0).then_some(())
}

fn packet_socket(protocol: i32) -> Option<OwnedFd> {
    // SAFETY: no pointers. Without a protocol it gets nothing until it is bound.
    let socket = owned(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    const IGNORE_OUTGOING: i32 = 23;
    let on = 1i32;
    let at = (&raw const on).cast::<c_void>();
    // SAFETY: the number lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, IGNORE_OUTGOING, at, 4) };
    // SAFETY: zero is a value of every field.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (protocol as u16).to_be();
    // SAFETY: a string that ends with a zero.
    address.sll_ifindex = unsafe { libc::if_nametoindex(c"lo".as_ptr()) } as i32;
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address lives until the call returns.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    (result == 0 && bound == 0).then_some(socket)
}

/// Installs a filter of seccomp in a child process, which then ends in one way or another.
pub fn seccomp(insns: &[Insn]) -> Answer {
    let mut filters = raw(insns);
    let program = libc::sock_fprog { len: filters.len() as u16, filter: filters.as_mut_ptr() };
    // SAFETY: the child makes system calls alone, and never comes back from here.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: the program lives in this copy of memory.
        unsafe { try_seccomp(&program) }
    }
    assert!(child > 0, "{}", io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: a child of ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    match libc::WEXITSTATUS(status) {
        // A filter that is installed may let the child exit, or kill it.
        0 => Answer::Accepted,
        _ if libc::WIFSIGNALED(status) => Answer::Accepted,
        errno => Answer::Refused(errno),
    }
}

/// # Safety
///
/// For a child process that has one thread.
unsafe fn try_seccomp(program: &libc::sock_fprog) -> ! {
    // SAFETY: system calls on memory that lives as long as the process.
    unsafe {
        let status = install(program);
        libc::syscall(libc::SYS_exit_group, libc::c_long::from(status));
        // The filter forbids it: die of something that no filter sees.
        loop {
            std::ptr::without_provenance_mut::<u8>(16).write_volatile(0);
        }
    }
}

/// Installs a filter of seccomp in this process, which leaves no core file when it is killed. Gives the error number, or 0.
///
/// # Safety
///
/// For a child process that has one thread.
unsafe fn install(program: &libc::sock_fprog) -> i32 {
    const SET_MODE_FILTER: libc::c_long = 1;
    // SAFETY: system calls on memory that lives as long as the process.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        for signal in [libc::SIGSEGV, libc::SIGSYS] {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let result = libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0 as libc::c_long, std::ptr::from_ref(program));
        if result == 0 { 0 } else { *libc::__errno_location() }
    }
}

/// Most calls of [`errors`].
const MAX_CALLS: usize = 64;

/// Installs a filter of seccomp in a child process, and gives the error numbers with which it makes a system call fail;
/// `None` if it killed the process.
pub fn errors(insns: &[Insn], nr: libc::c_long, calls: &[[u64; 6]]) -> Option<Vec<u16>> {
    assert!(calls.len() <= MAX_CALLS);
    let mut filters = raw(insns);
    let program = libc::sock_fprog { len: filters.len() as u16, filter: filters.as_mut_ptr() };
    let (size, shared) = (MAX_CALLS * size_of::<i32>(), libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: fresh memory, which the child shares.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, shared, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    let results = memory.cast::<i32>();
    // SAFETY: the child makes system calls alone, and never comes back from here.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: the program and the calls live in this copy of memory; there is room for as many results.
        unsafe {
            if install(&program) != 0 {
                libc::_exit(1);
            }
            for (index, [a, b, c, d, e, f]) in calls.iter().enumerate() {
                let failed = libc::syscall(nr, *a, *b, *c, *d, *e, *f) == -1;
                results.add(index).write(if failed { *libc::__errno_location() } else { 0 });
            }
            libc::_exit(0);
        }
    }
    let mut status = 0;
    // SAFETY: a child of ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    let killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS;
    assert!(killed || status == 0, "the child ends with {status:#x}");
    // SAFETY: the memory is there, and nobody writes it any more.
    let said = (0..calls.len()).map(|index| unsafe { results.add(index).read() } as u16).collect();
    // SAFETY: it was mapped above.
    unsafe { libc::munmap(memory, size) };
    (!killed).then_some(said)
}
