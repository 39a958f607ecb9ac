//! What is missing is said clearly: permissions, commands that kernels lack, bpf(2) itself. Filters of system calls play
//! those kernels, each in a thread of its own. Skipped where bpf(2) cannot be used.

mod common;

use std::time::Duration;

use common::{Group, count, counter, kernel, loaded, object, program};
use ring3_linux::{Errno, Error, Link, LoadOptions, Map, Unavailable, available, load};
use ring3_object::Options;
use ring3_platform::{AttachType, MapDef, MapFlags, MapType, ProgType};

/// Numbers of commands of bpf(2), for filters.
const BTF_LOAD: u32 = 18;
const LINK_CREATE: u32 = 28;

fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// From now on this thread gets this error from bpf(2), for one command or for all.
fn forbid(command: Option<u32>, errno: Errno) {
    let op = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, equal, ret) = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ, libc::BPF_RET);
    let fail = libc::SECCOMP_RET_ERRNO | errno.0 as u32;
    let is_bpf = op(equal | libc::BPF_K, 0, if command.is_some() { 3 } else { 1 }, libc::SYS_bpf as u32);
    // The lower half of the first argument is the command.
    let low = if cfg!(target_endian = "little") { 16 } else { 20 };
    let mut filter = vec![op(load, 0, 0, 0), is_bpf];
    if let Some(command) = command {
        filter.extend([op(load, 0, 0, low), op(equal | libc::BPF_K, 0, 1, command)]);
    }
    filter.extend([op(ret | libc::BPF_K, 0, 0, fail), op(ret | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW)]);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is as long as it says, and concerns this thread only.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn without_permission() {
    if !kernel("no permission") {
        return;
    }
    in_thread(|| {
        // SAFETY: the system call itself, unlike the function, concerns this thread only.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(result, 0);
        let why = available().unwrap_err();
        assert!(matches!(why, Unavailable::NotPermitted { .. }), "{why:?}");
        assert!(why.to_string().contains("CAP_BPF"), "{why}");
        let error = Map::create(&MapDef::new("map", MapType::Hash, 4, 4, 1)).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EPERM));
    });
}

#[test]
fn without_the_system_call() {
    if !kernel("no bpf(2)") {
        return;
    }
    let why = in_thread(|| {
        forbid(None, Errno::EPERM);
        available()
    });
    assert_eq!(why, Err(Unavailable::Seccomp));
    let why = in_thread(|| {
        forbid(None, Errno::ENOSYS);
        available()
    });
    assert_eq!(why, Err(Unavailable::NoSystemCall));
}

#[test]
fn kernels_without_types_run_programs() {
    if !kernel("no types") {
        return;
    }
    in_thread(|| {
        forbid(Some(BTF_LOAD), Errno::EINVAL);
        let object = object("hello");
        let program = object.program(&object.programs()[0].name, &Options::default()).unwrap();
        let loaded = loaded(&program);
        assert!(program.info.is_some() && loaded.types.is_none());
        assert_eq!(loaded.prog.info().unwrap().btf, None);
    });
}

#[test]
fn kernels_without_links_attach() {
    if !kernel("no links") {
        return;
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|line| line[2] == "cgroup2");
    let path = root.map(|line| format!("{}/ring3-fault-{}", line[1], std::process::id()));
    in_thread(|| {
        forbid(Some(LINK_CREATE), Errno::EINVAL);
        let xdp = Link::xdp(&loaded(&program(ProgType::Xdp, "r0 = 2\nexit")).prog, 4_000_000, Default::default());
        assert_eq!(xdp.unwrap_err().errno(), Some(Errno::EINVAL));
        if std::path::Path::new("/sys/kernel/tracing/events/syscalls").exists() {
            let counts = loaded(&counter(ProgType::Tracepoint, 0));
            let link = Link::tracepoint(&counts.prog, "syscalls", "sys_enter_openat").unwrap();
            std::fs::read("/proc/self/status").unwrap();
            assert!(count(&counts) >= 1);
            drop(link);
            std::thread::sleep(Duration::from_millis(50));
            let before = count(&counts);
            std::fs::read("/proc/self/status").unwrap();
            assert_eq!(count(&counts), before);
        }
        let Some(path) = path else { return };
        let group = Group::new(&path);
        let folder = std::fs::File::open(&path).unwrap();
        let mut program = counter(ProgType::CgroupSock, 1);
        program.attach = Some(AttachType::CgroupInetSockCreate);
        let counts = loaded(&program);
        let link = Link::cgroup(&counts.prog, &folder, AttachType::CgroupInetSockCreate).unwrap();
        drop(link);
        // It is gone: to take it away again fails.
        drop(group);
        assert!(!std::path::Path::new(&path).exists());
    });
}

#[test]
fn bad_attributes() {
    if !kernel("bad attributes") {
        return;
    }
    let bad = MapDef { flags: MapFlags(1 << 31), ..MapDef::new("flags", MapType::Hash, 4, 4, 1) };
    assert_eq!(Map::create(&bad).unwrap_err().errno(), Some(Errno::EINVAL));
    let options = LoadOptions { flags: 1 << 31, ..LoadOptions::default() };
    let error = load(&program(ProgType::Xdp, "r0 = 2\nexit"), &options).unwrap_err();
    assert_eq!(error.to_string(), "program 'test': BPF_PROG_LOAD: EINVAL (22): Invalid argument\n");
    let unknown = program(ProgType::Xdp, "r1 = map[fd:7]\nr0 = 2\nexit");
    assert!(matches!(load(&unknown, &LoadOptions::default()), Err(Error::Program { .. })));
}
