//! Numbers of system calls and errors, and of architectures (UAPI headers of Linux 6.18).

/// An architecture as seccomp sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Arch {
    /// As `uname -m` says it.
    pub name: &'static str,
    /// `AUDIT_ARCH_*`.
    pub audit: u32,
    /// Column of the table of system calls.
    column: Option<Column>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Column {
    X86_64,
    Aarch64,
}

/// Architectures by name. Names of system calls are known of the first two.
const ARCHES: &[Arch] = &[
    Arch { name: "x86_64", audit: 0xc000_003e, column: Some(Column::X86_64) },
    Arch { name: "aarch64", audit: 0xc000_00b7, column: Some(Column::Aarch64) },
    Arch { name: "i386", audit: 0x4000_0003, column: None },
    Arch { name: "arm", audit: 0x4000_0028, column: None },
    Arch { name: "riscv64", audit: 0xc000_00f3, column: None },
    Arch { name: "loongarch64", audit: 0xc000_0102, column: None },
    Arch { name: "ppc64le", audit: 0xc000_0015, column: None },
    Arch { name: "ppc64", audit: 0x8000_0015, column: None },
    Arch { name: "s390x", audit: 0x8000_0016, column: None },
];

impl Arch {
    /// Every architecture that has a name here.
    pub const ALL: &'static [Arch] = ARCHES;

    /// By the name that `uname -m` gives, or another one in use.
    pub fn from_name(name: &str) -> Option<Arch> {
        let name = match name {
            "amd64" | "x86-64" | "x64" => "x86_64",
            "arm64" => "aarch64",
            "i686" | "i586" | "x86" => "i386",
            "armv7l" => "arm",
            _ => name,
        };
        ARCHES.iter().copied().find(|arch| arch.name == name)
    }

    /// Whether names of system calls are known.
    pub fn has_names(self) -> bool {
        self.column.is_some()
    }

    /// The number of a system call.
    pub fn syscall(self, name: &str) -> Option<i32> {
        let column = self.column?;
        SYSCALLS.iter().find(|row| row.0 == name).map(|row| number(row, column)).filter(|number| *number >= 0)
    }

    /// Numbers of all system calls that have a name, in ascending order.
    pub fn syscalls(self) -> impl Iterator<Item = i32> {
        let numbers = SYSCALLS.iter().filter_map(move |row| self.column.map(|column| number(row, column)));
        let mut numbers: Vec<i32> = numbers.filter(|number| *number >= 0).collect();
        numbers.sort_unstable();
        numbers.into_iter()
    }

    /// The name of a system call.
    pub fn syscall_name(self, nr: i32) -> Option<&'static str> {
        let column = self.column?;
        SYSCALLS.iter().find(|row| nr >= 0 && number(row, column) == nr).map(|row| row.0)
    }
}

fn number(row: &Row, column: Column) -> i32 {
    match column {
        Column::X86_64 => row.1,
        Column::Aarch64 => row.2,
    }
    .into()
}

/// The name of an error number.
pub(crate) fn errno_name(errno: u16) -> Option<&'static str> {
    ERRORS.iter().find(|row| row.0 == errno).map(|row| row.1)
}

/// Name, number on x86-64, number on arm64; -1 where there is none.
type Row = (&'static str, i16, i16);

#[rustfmt::skip]
const SYSCALLS: &[Row] = &[
    ("read", 0, 63), ("write", 1, 64), ("open", 2, -1), ("close", 3, 57), ("stat", 4, -1), ("fstat", 5, 80),
    ("lstat", 6, -1), ("poll", 7, -1), ("lseek", 8, 62), ("mmap", 9, 222), ("mprotect", 10, 226), ("munmap", 11, 215),
    ("brk", 12, 214), ("rt_sigaction", 13, 134), ("rt_sigprocmask", 14, 135), ("rt_sigreturn", 15, 139),
    ("ioctl", 16, 29), ("pread64", 17, 67), ("pwrite64", 18, 68), ("readv", 19, 65), ("writev", 20, 66),
    ("access", 21, -1), ("pipe", 22, -1), ("select", 23, -1), ("sched_yield", 24, 124), ("mremap", 25, 216),
    ("msync", 26, 227), ("mincore", 27, 232), ("madvise", 28, 233), ("shmget", 29, 194), ("shmat", 30, 196),
    ("shmctl", 31, 195), ("dup", 32, 23), ("dup2", 33, -1), ("pause", 34, -1), ("nanosleep", 35, 101),
    ("getitimer", 36, 102), ("alarm", 37, -1), ("setitimer", 38, 103), ("getpid", 39, 172), ("sendfile", 40, 71),
    ("socket", 41, 198), ("connect", 42, 203), ("accept", 43, 202), ("sendto", 44, 206), ("recvfrom", 45, 207),
    ("sendmsg", 46, 211), ("recvmsg", 47, 212), ("shutdown", 48, 210), ("bind", 49, 200), ("listen", 50, 201),
    ("getsockname", 51, 204), ("getpeername", 52, 205), ("socketpair", 53, 199), ("setsockopt", 54, 208),
    ("getsockopt", 55, 209), ("clone", 56, 220), ("fork", 57, -1), ("vfork", 58, -1), ("execve", 59, 221),
    ("exit", 60, 93), ("wait4", 61, 260), ("kill", 62, 129), ("uname", 63, 160), ("semget", 64, 190),
    ("semop", 65, 193), ("semctl", 66, 191), ("shmdt", 67, 197), ("msgget", 68, 186), ("msgsnd", 69, 189),
    ("msgrcv", 70, 188), ("msgctl", 71, 187), ("fcntl", 72, 25), ("flock", 73, 32), ("fsync", 74, 82),
    ("fdatasync", 75, 83), ("truncate", 76, 45), ("ftruncate", 77, 46), ("getdents", 78, -1), ("getcwd", 79, 17),
    ("chdir", 80, 49), ("fchdir", 81, 50), ("rename", 82, -1), ("mkdir", 83, -1), ("rmdir", 84, -1), ("creat", 85, -1),
    ("link", 86, -1), ("unlink", 87, -1), ("symlink", 88, -1), ("readlink", 89, -1), ("chmod", 90, -1),
    ("fchmod", 91, 52), ("chown", 92, -1), ("fchown", 93, 55), ("lchown", 94, -1), ("umask", 95, 166),
    ("gettimeofday", 96, 169), ("getrlimit", 97, 163), ("getrusage", 98, 165), ("sysinfo", 99, 179),
    ("times", 100, 153), ("ptrace", 101, 117), ("getuid", 102, 174), ("syslog", 103, 116), ("getgid", 104, 176),
    ("setuid", 105, 146), ("setgid", 106, 144), ("geteuid", 107, 175), ("getegid", 108, 177), ("setpgid", 109, 154),
    ("getppid", 110, 173), ("getpgrp", 111, -1), ("setsid", 112, 157), ("setreuid", 113, 145), ("setregid", 114, 143),
    ("getgroups", 115, 158), ("setgroups", 116, 159), ("setresuid", 117, 147), ("getresuid", 118, 148),
    ("setresgid", 119, 149), ("getresgid", 120, 150), ("getpgid", 121, 155), ("setfsuid", 122, 151),
    ("setfsgid", 123, 152), ("getsid", 124, 156), ("capget", 125, 90), ("capset", 126, 91), ("rt_sigpending", 127, 136),
    ("rt_sigtimedwait", 128, 137), ("rt_sigqueueinfo", 129, 138), ("rt_sigsuspend", 130, 133),
    ("sigaltstack", 131, 132), ("utime", 132, -1), ("mknod", 133, -1), ("uselib", 134, -1), ("personality", 135, 92),
    ("ustat", 136, -1), ("statfs", 137, 43), ("fstatfs", 138, 44), ("sysfs", 139, -1), ("getpriority", 140, 141),
    ("setpriority", 141, 140), ("sched_setparam", 142, 118), ("sched_getparam", 143, 121),
    ("sched_setscheduler", 144, 119), ("sched_getscheduler", 145, 120), ("sched_get_priority_max", 146, 125),
    ("sched_get_priority_min", 147, 126), ("sched_rr_get_interval", 148, 127), ("mlock", 149, 228),
    ("munlock", 150, 229), ("mlockall", 151, 230), ("munlockall", 152, 231), ("vhangup", 153, 58),
    ("modify_ldt", 154, -1), ("pivot_root", 155, 41), ("_sysctl", 156, -1), ("prctl", 157, 167),
    ("arch_prctl", 158, -1), ("adjtimex", 159, 171), ("setrlimit", 160, 164), ("chroot", 161, 51), ("sync", 162, 81),
    ("acct", 163, 89), ("settimeofday", 164, 170), ("mount", 165, 40), ("umount2", 166, 39), ("swapon", 167, 224),
    ("swapoff", 168, 225), ("reboot", 169, 142), ("sethostname", 170, 161), ("setdomainname", 171, 162),
    ("iopl", 172, -1), ("ioperm", 173, -1), ("create_module", 174, -1), ("init_module", 175, 105),
    ("delete_module", 176, 106), ("get_kernel_syms", 177, -1), ("query_module", 178, -1), ("quotactl", 179, 60),
    ("nfsservctl", 180, 42), ("getpmsg", 181, -1), ("putpmsg", 182, -1), ("afs_syscall", 183, -1), ("tuxcall", 184, -1),
    ("security", 185, -1), ("gettid", 186, 178), ("readahead", 187, 213), ("setxattr", 188, 5), ("lsetxattr", 189, 6),
    ("fsetxattr", 190, 7), ("getxattr", 191, 8), ("lgetxattr", 192, 9), ("fgetxattr", 193, 10), ("listxattr", 194, 11),
    ("llistxattr", 195, 12), ("flistxattr", 196, 13), ("removexattr", 197, 14), ("lremovexattr", 198, 15),
    ("fremovexattr", 199, 16), ("tkill", 200, 130), ("time", 201, -1), ("futex", 202, 98),
    ("sched_setaffinity", 203, 122), ("sched_getaffinity", 204, 123), ("set_thread_area", 205, -1),
    ("io_setup", 206, 0), ("io_destroy", 207, 1), ("io_getevents", 208, 4), ("io_submit", 209, 2),
    ("io_cancel", 210, 3), ("get_thread_area", 211, -1), ("lookup_dcookie", 212, 18), ("epoll_create", 213, -1),
    ("epoll_ctl_old", 214, -1), ("epoll_wait_old", 215, -1), ("remap_file_pages", 216, 234), ("getdents64", 217, 61),
    ("set_tid_address", 218, 96), ("restart_syscall", 219, 128), ("semtimedop", 220, 192), ("fadvise64", 221, 223),
    ("timer_create", 222, 107), ("timer_settime", 223, 110), ("timer_gettime", 224, 108),
    ("timer_getoverrun", 225, 109), ("timer_delete", 226, 111), ("clock_settime", 227, 112),
    ("clock_gettime", 228, 113), ("clock_getres", 229, 114), ("clock_nanosleep", 230, 115), ("exit_group", 231, 94),
    ("epoll_wait", 232, -1), ("epoll_ctl", 233, 21), ("tgkill", 234, 131), ("utimes", 235, -1), ("vserver", 236, -1),
    ("mbind", 237, 235), ("set_mempolicy", 238, 237), ("get_mempolicy", 239, 236), ("mq_open", 240, 180),
    ("mq_unlink", 241, 181), ("mq_timedsend", 242, 182), ("mq_timedreceive", 243, 183), ("mq_notify", 244, 184),
    ("mq_getsetattr", 245, 185), ("kexec_load", 246, 104), ("waitid", 247, 95), ("add_key", 248, 217),
    ("request_key", 249, 218), ("keyctl", 250, 219), ("ioprio_set", 251, 30), ("ioprio_get", 252, 31),
    ("inotify_init", 253, -1), ("inotify_add_watch", 254, 27), ("inotify_rm_watch", 255, 28),
    ("migrate_pages", 256, 238), ("openat", 257, 56), ("mkdirat", 258, 34), ("mknodat", 259, 33), ("fchownat", 260, 54),
    ("futimesat", 261, -1), ("newfstatat", 262, 79), ("unlinkat", 263, 35), ("renameat", 264, 38), ("linkat", 265, 37),
    ("symlinkat", 266, 36), ("readlinkat", 267, 78), ("fchmodat", 268, 53), ("faccessat", 269, 48),
    ("pselect6", 270, 72), ("ppoll", 271, 73), ("unshare", 272, 97), ("set_robust_list", 273, 99),
    ("get_robust_list", 274, 100), ("splice", 275, 76), ("tee", 276, 77), ("sync_file_range", 277, 84),
    ("vmsplice", 278, 75), ("move_pages", 279, 239), ("utimensat", 280, 88), ("epoll_pwait", 281, 22),
    ("signalfd", 282, -1), ("timerfd_create", 283, 85), ("eventfd", 284, -1), ("fallocate", 285, 47),
    ("timerfd_settime", 286, 86), ("timerfd_gettime", 287, 87), ("accept4", 288, 242), ("signalfd4", 289, 74),
    ("eventfd2", 290, 19), ("epoll_create1", 291, 20), ("dup3", 292, 24), ("pipe2", 293, 59),
    ("inotify_init1", 294, 26), ("preadv", 295, 69), ("pwritev", 296, 70), ("rt_tgsigqueueinfo", 297, 240),
    ("perf_event_open", 298, 241), ("recvmmsg", 299, 243), ("fanotify_init", 300, 262), ("fanotify_mark", 301, 263),
    ("prlimit64", 302, 261), ("name_to_handle_at", 303, 264), ("open_by_handle_at", 304, 265),
    ("clock_adjtime", 305, 266), ("syncfs", 306, 267), ("sendmmsg", 307, 269), ("setns", 308, 268),
    ("getcpu", 309, 168), ("process_vm_readv", 310, 270), ("process_vm_writev", 311, 271), ("kcmp", 312, 272),
    ("finit_module", 313, 273), ("sched_setattr", 314, 274), ("sched_getattr", 315, 275), ("renameat2", 316, 276),
    ("seccomp", 317, 277), ("getrandom", 318, 278), ("memfd_create", 319, 279), ("kexec_file_load", 320, 294),
    ("bpf", 321, 280), ("execveat", 322, 281), ("userfaultfd", 323, 282), ("membarrier", 324, 283),
    ("mlock2", 325, 284), ("copy_file_range", 326, 285), ("preadv2", 327, 286), ("pwritev2", 328, 287),
    ("pkey_mprotect", 329, 288), ("pkey_alloc", 330, 289), ("pkey_free", 331, 290), ("statx", 332, 291),
    ("io_pgetevents", 333, 292), ("rseq", 334, 293), ("uretprobe", 335, -1), ("uprobe", 336, -1),
    ("pidfd_send_signal", 424, 424), ("io_uring_setup", 425, 425), ("io_uring_enter", 426, 426),
    ("io_uring_register", 427, 427), ("open_tree", 428, 428), ("move_mount", 429, 429), ("fsopen", 430, 430),
    ("fsconfig", 431, 431), ("fsmount", 432, 432), ("fspick", 433, 433), ("pidfd_open", 434, 434), ("clone3", 435, 435),
    ("close_range", 436, 436), ("openat2", 437, 437), ("pidfd_getfd", 438, 438), ("faccessat2", 439, 439),
    ("process_madvise", 440, 440), ("epoll_pwait2", 441, 441), ("mount_setattr", 442, 442), ("quotactl_fd", 443, 443),
    ("landlock_create_ruleset", 444, 444), ("landlock_add_rule", 445, 445), ("landlock_restrict_self", 446, 446),
    ("memfd_secret", 447, 447), ("process_mrelease", 448, 448), ("futex_waitv", 449, 449),
    ("set_mempolicy_home_node", 450, 450), ("cachestat", 451, 451), ("fchmodat2", 452, 452),
    ("map_shadow_stack", 453, 453), ("futex_wake", 454, 454), ("futex_wait", 455, 455), ("futex_requeue", 456, 456),
    ("statmount", 457, 457), ("listmount", 458, 458), ("lsm_get_self_attr", 459, 459), ("lsm_set_self_attr", 460, 460),
    ("lsm_list_modules", 461, 461), ("mseal", 462, 462), ("setxattrat", 463, 463), ("getxattrat", 464, 464),
    ("listxattrat", 465, 465), ("removexattrat", 466, 466), ("open_tree_attr", 467, 467), ("file_getattr", 468, 468),
    ("file_setattr", 469, 469),
];

#[rustfmt::skip]
const ERRORS: &[(u16, &str)] = &[
    (1, "EPERM"), (2, "ENOENT"), (3, "ESRCH"), (4, "EINTR"), (5, "EIO"), (6, "ENXIO"), (7, "E2BIG"), (8, "ENOEXEC"),
    (9, "EBADF"), (10, "ECHILD"), (11, "EAGAIN"), (12, "ENOMEM"), (13, "EACCES"), (14, "EFAULT"), (15, "ENOTBLK"),
    (16, "EBUSY"), (17, "EEXIST"), (18, "EXDEV"), (19, "ENODEV"), (20, "ENOTDIR"), (21, "EISDIR"), (22, "EINVAL"),
    (23, "ENFILE"), (24, "EMFILE"), (25, "ENOTTY"), (26, "ETXTBSY"), (27, "EFBIG"), (28, "ENOSPC"), (29, "ESPIPE"),
    (30, "EROFS"), (31, "EMLINK"), (32, "EPIPE"), (33, "EDOM"), (34, "ERANGE"), (35, "EDEADLK"), (36, "ENAMETOOLONG"),
    (37, "ENOLCK"), (38, "ENOSYS"), (39, "ENOTEMPTY"), (40, "ELOOP"), (42, "ENOMSG"), (43, "EIDRM"), (44, "ECHRNG"),
    (45, "EL2NSYNC"), (46, "EL3HLT"), (47, "EL3RST"), (48, "ELNRNG"), (49, "EUNATCH"), (50, "ENOCSI"), (51, "EL2HLT"),
    (52, "EBADE"), (53, "EBADR"), (54, "EXFULL"), (55, "ENOANO"), (56, "EBADRQC"), (57, "EBADSLT"), (59, "EBFONT"),
    (60, "ENOSTR"), (61, "ENODATA"), (62, "ETIME"), (63, "ENOSR"), (64, "ENONET"), (65, "ENOPKG"), (66, "EREMOTE"),
    (67, "ENOLINK"), (68, "EADV"), (69, "ESRMNT"), (70, "ECOMM"), (71, "EPROTO"), (72, "EMULTIHOP"), (73, "EDOTDOT"),
    (74, "EBADMSG"), (75, "EOVERFLOW"), (76, "ENOTUNIQ"), (77, "EBADFD"), (78, "EREMCHG"), (79, "ELIBACC"),
    (80, "ELIBBAD"), (81, "ELIBSCN"), (82, "ELIBMAX"), (83, "ELIBEXEC"), (84, "EILSEQ"), (85, "ERESTART"),
    (86, "ESTRPIPE"), (87, "EUSERS"), (88, "ENOTSOCK"), (89, "EDESTADDRREQ"), (90, "EMSGSIZE"), (91, "EPROTOTYPE"),
    (92, "ENOPROTOOPT"), (93, "EPROTONOSUPPORT"), (94, "ESOCKTNOSUPPORT"), (95, "EOPNOTSUPP"), (96, "EPFNOSUPPORT"),
    (97, "EAFNOSUPPORT"), (98, "EADDRINUSE"), (99, "EADDRNOTAVAIL"), (100, "ENETDOWN"), (101, "ENETUNREACH"),
    (102, "ENETRESET"), (103, "ECONNABORTED"), (104, "ECONNRESET"), (105, "ENOBUFS"), (106, "EISCONN"),
    (107, "ENOTCONN"), (108, "ESHUTDOWN"), (109, "ETOOMANYREFS"), (110, "ETIMEDOUT"), (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"), (113, "EHOSTUNREACH"), (114, "EALREADY"), (115, "EINPROGRESS"), (116, "ESTALE"),
    (117, "EUCLEAN"), (118, "ENOTNAM"), (119, "ENAVAIL"), (120, "EISNAM"), (121, "EREMOTEIO"), (122, "EDQUOT"),
    (123, "ENOMEDIUM"), (124, "EMEDIUMTYPE"), (125, "ECANCELED"), (126, "ENOKEY"), (127, "EKEYEXPIRED"),
    (128, "EKEYREVOKED"), (129, "EKEYREJECTED"), (130, "EOWNERDEAD"), (131, "ENOTRECOVERABLE"), (132, "ERFKILL"),
    (133, "EHWPOISON"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_and_name_is_there_once() {
        for column in [Column::X86_64, Column::Aarch64] {
            let mut numbers: Vec<i32> = SYSCALLS.iter().map(|row| number(row, column)).filter(|n| *n >= 0).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all);
            assert_eq!(numbers.last(), Some(&469));
        }
        let mut names: Vec<&str> = SYSCALLS.iter().map(|row| row.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SYSCALLS.len());
    }

    #[test]
    fn by_name_and_number() {
        let [x64, arm] = ["x86_64", "arm64"].map(|name| Arch::from_name(name).unwrap());
        assert_eq!((x64.syscall("openat"), arm.syscall("openat")), (Some(257), Some(56)));
        assert_eq!((x64.syscall("open"), arm.syscall("open")), (Some(2), None));
        assert_eq!((x64.syscall_name(0), arm.syscall_name(63)), (Some("read"), Some("read")));
        assert_eq!((x64.syscall_name(-1), arm.syscall_name(1038)), (None, None));
        assert_eq!(Arch::from_name("s390x").unwrap().syscall("read"), None);
        assert_eq!((errno_name(1), errno_name(38), errno_name(4000)), (Some("EPERM"), Some("ENOSYS"), None));
    }
}
