//! Attaching, against the running kernel: in network namespaces, cgroups and processes of our own; skipped where bpf(2)
//! cannot be used.

mod common;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Group, count, counter, kernel, loaded};
use ring3_linux::{Direction, Errno, Error, Link, LinkKind, Uprobe, XdpMode, interface_index, link_ids};
use ring3_platform::{AttachType, ProgType};

/// Runs this in a thread with a network namespace of its own, in which there are two ends of a cable, `ring3a` and `ring3b`.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let work = std::thread::spawn(|| {
        // SAFETY: concerns this thread only.
        let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(result, 0, "unshare(2): {}", std::io::Error::last_os_error());
        if !ip("link add name ring3a type veth peer name ring3b") {
            println!("skipped: no veth interfaces");
            return;
        }
        // No addresses, so that the kernel itself sends nothing.
        for end in ["ring3a", "ring3b"] {
            assert!(ip(&format!("link set {end} addrgenmode none")) && ip(&format!("link set {end} up")));
        }
        test();
    });
    if let Err(panic) = work.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

/// Sends one frame out of an interface.
fn send(interface: &str) {
    let index = interface_index(interface).unwrap();
    let frame = [[0xff; 6], [2; 6], [0x88; 6], [0; 6], [0; 6], [0; 6], [0; 6], [0; 6], [0; 6], [0; 6]].concat();
    // SAFETY: the address is a whole `sockaddr_ll`, and the frame as long as is said.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        assert!(socket >= 0);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        to.sll_halen = 6;
        let size = size_of::<libc::sockaddr_ll>() as u32;
        let sent = libc::sendto(socket, frame.as_ptr().cast(), frame.len(), 0, (&raw const to).cast(), size);
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
        libc::close(socket);
    }
}

/// Until the program has run so often, or for two seconds.
fn counted(loaded: &ring3_linux::Loaded, at_least: u64) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        count(loaded) >= at_least
    })
}

#[test]
fn xdp_generic_and_native() {
    if !kernel("XDP") {
        return;
    }
    in_namespace(|| {
        let index = interface_index("ring3a").unwrap();
        for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Any] {
            let loaded = loaded(&counter(ProgType::Xdp, 1));
            let link = Link::xdp(&loaded.prog, index, mode).unwrap();
            let info = link.info().unwrap();
            assert_eq!((info.kind, info.ifindex), (LinkKind::Xdp, Some(index)));
            assert_eq!(info.prog, loaded.prog.info().unwrap().id);
            assert!(link_ids().unwrap().contains(&info.id));
            send("ring3b");
            assert!(counted(&loaded, 1), "{mode:?}");
            let busy = Link::xdp(&loaded.prog, index, mode).unwrap_err();
            assert_eq!(busy.errno(), Some(Errno::EBUSY));
            drop(link);
            assert!(!link_ids().unwrap().contains(&info.id));
            let before = count(&loaded);
            send("ring3b");
            assert_eq!(count(&loaded), before);
        }
        let gone = Link::xdp(&loaded(&counter(ProgType::Xdp, 1)).prog, 4_000_000, XdpMode::Any).unwrap_err();
        assert!(matches!(gone.errno(), Some(Errno::ENODEV | Errno::EINVAL)), "{gone}");
    });
}

#[test]
fn tcx_both_ways() {
    if !kernel("tcx") {
        return;
    }
    in_namespace(|| {
        let index = interface_index("ring3a").unwrap();
        for (direction, from) in [(Direction::Ingress, "ring3b"), (Direction::Egress, "ring3a")] {
            let attach = match direction {
                Direction::Ingress => AttachType::TcxIngress,
                Direction::Egress => AttachType::TcxEgress,
            };
            let mut program = counter(ProgType::SchedCls, -1);
            program.attach = Some(attach);
            let loaded = loaded(&program);
            let first = match Link::tcx(&loaded.prog, index, direction) {
                Err(error) if error.errno() == Some(Errno::EINVAL) => {
                    println!("skipped: no tcx before 6.6");
                    return;
                }
                result => result.unwrap(),
            };
            assert_eq!(first.info().unwrap().kind, LinkKind::Tcx);
            send(from);
            assert!(counted(&loaded, 1), "{direction:?}");
            drop(first);
            let before = count(&loaded);
            send(from);
            assert_eq!(count(&loaded), before);
        }
    });
}

#[test]
fn cgroup() {
    if !kernel("cgroup") {
        return;
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|line| line[2] == "cgroup2");
    let Some(path) = root.map(|line| format!("{}/ring3-test-{}", line[1], std::process::id())) else {
        println!("skipped: no cgroup2");
        return;
    };
    let group = Group::new(&path);
    let folder = std::fs::File::open(&path).unwrap();
    let mut program = counter(ProgType::CgroupSock, 1);
    program.attach = Some(AttachType::CgroupInetSockCreate);
    let loaded = loaded(&program);
    let link = Link::cgroup(&loaded.prog, &folder, AttachType::CgroupInetSockCreate).unwrap();
    assert_eq!(link.info().unwrap().kind, LinkKind::Cgroup);
    // A process in the group that opens a socket.
    let open = || {
        let script = format!("echo $$ > {path}/cgroup.procs && exec 3<>/dev/udp/127.0.0.1/9");
        Command::new("bash").args(["-c", &script]).status().is_ok_and(|status| status.success())
    };
    let opened = open();
    if opened {
        assert_eq!(count(&loaded), 1);
    }
    drop(link);
    if opened {
        assert!(open());
        assert_eq!(count(&loaded), 1);
    }
    drop(group);
    assert!(!Path::new(&path).exists());
}

#[test]
fn raw_tracepoint() {
    if !kernel("raw tracepoint") {
        return;
    }
    let loaded = loaded(&counter(ProgType::RawTracepoint, 0));
    let link = Link::raw_tracepoint(&loaded.prog, "sys_enter").unwrap();
    assert_eq!(link.info().unwrap().kind, LinkKind::RawTracepoint);
    assert!(counted(&loaded, 1));
    drop(link);
    // On other processors it may still be running.
    std::thread::sleep(Duration::from_millis(50));
    let before = count(&loaded);
    std::fs::metadata("/proc/self").unwrap();
    assert_eq!(count(&loaded), before);
    let error = Link::raw_tracepoint(&loaded.prog, "no_such_event").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    assert!(matches!(Link::raw_tracepoint(&loaded.prog, "a\0b"), Err(Error::Name(_))));
}

#[test]
fn tracepoint() {
    if !kernel("tracepoint") {
        return;
    }
    if !Path::new("/sys/kernel/tracing/events/syscalls").exists() {
        println!("skipped: no tracefs");
        return;
    }
    let loaded = loaded(&counter(ProgType::Tracepoint, 0));
    let link = Link::tracepoint(&loaded.prog, "syscalls", "sys_enter_openat").unwrap();
    std::fs::read("/proc/self/status").unwrap();
    assert!(count(&loaded) >= 1);
    drop(link);
    std::thread::sleep(Duration::from_millis(50));
    let before = count(&loaded);
    std::fs::read("/proc/self/status").unwrap();
    assert_eq!(count(&loaded), before);
    for (category, name) in [("syscalls", "none"), ("..", "id"), ("a/b", "c"), ("", "")] {
        assert!(matches!(Link::tracepoint(&loaded.prog, category, name), Err(Error::Name(_))), "{category}/{name}");
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn ring3_test_probed(number: u64) -> u64 {
    std::hint::black_box(number) + 1
}

/// Where the function lies in the file that this process runs.
fn offset_of_probed() -> Option<u64> {
    let address = ring3_test_probed as *const () as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = fields[0].split_once('-')?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let (start, end) = (hex(start)?, hex(end)?);
        (start..end).contains(&address).then_some(address - start + hex(fields[2])?)
    })
}

#[test]
fn uprobe() {
    if !kernel("uprobe") {
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let offset = offset_of_probed().unwrap();
    for is_return in [false, true] {
        let loaded = loaded(&counter(ProgType::Kprobe, 0));
        let probe = Uprobe { binary: &binary, offset, is_return, pid: Some(std::process::id()) };
        let link = match Link::uprobe(&loaded.prog, &probe) {
            Err(Error::File { .. }) => {
                println!("skipped: no uprobes");
                return;
            }
            result => result.unwrap(),
        };
        // Of a process, only the thread with its number is watched.
        let here = std::thread::current().id();
        assert_eq!(ring3_test_probed(1), 2, "{here:?}");
        let whole = Link::uprobe(&loaded.prog, &Uprobe { pid: None, ..probe }).unwrap();
        let before = count(&loaded);
        assert_eq!(ring3_test_probed(2), 3);
        assert!(count(&loaded) > before);
        drop((link, whole));
        let before = count(&loaded);
        assert_eq!(ring3_test_probed(3), 4);
        assert_eq!(count(&loaded), before);
    }
}

#[test]
fn socket_filter() {
    if !kernel("socket filter") {
        return;
    }
    let loaded = loaded(&counter(ProgType::SocketFilter, 0));
    let (to, from) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    to.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let link = Link::socket(&loaded.prog, &to).unwrap();
    from.send_to(b"dropped", to.local_addr().unwrap()).unwrap();
    assert!(counted(&loaded, 1));
    assert!(to.recv(&mut [0; 16]).is_err());
    drop(link);
    to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    from.send_to(b"passed", to.local_addr().unwrap()).unwrap();
    assert_eq!(to.recv(&mut [0; 16]).unwrap(), 6);
    assert_eq!(count(&loaded), 1);
}
