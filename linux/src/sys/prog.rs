//! Loading and running programs.

use super::attr::{BtfLoad, CoreRelo, FuncInfo, LineInfo, Name, ProgLoad, TestRun as Attr};
use super::{BorrowedFd, Command, Failure, OwnedFd, addr, addr_mut, bpf, bpf_fd, fd};

/// What BPF_PROG_LOAD takes. `insns` are in native byte order.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Load<'a> {
    pub kind: u32,
    pub insns: &'a [[u8; 8]],
    /// With its closing zero.
    pub license: &'a [u8],
    pub log_level: u32,
    pub kern_version: u32,
    pub flags: u32,
    pub name: Name,
    pub ifindex: u32,
    pub attach_type: u32,
    pub btf: Option<BorrowedFd<'a>>,
    pub funcs: &'a [FuncInfo],
    pub lines: &'a [LineInfo],
    pub relos: &'a [CoreRelo],
    pub attach_btf_id: u32,
    /// A program, or a module's BTF.
    pub attach_to: Option<BorrowedFd<'a>>,
    pub fd_array: &'a [i32],
}

/// Result of a command that writes a log.
#[derive(Debug)]
pub struct Logged {
    /// What it gave.
    pub result: Result<OwnedFd, Failure>,
    /// Bytes that the whole log needs, with its closing zero; 0 from kernels that do not say (before 6.4).
    pub needed: u32,
}

/// End of `log_true_size`, which the kernel fills in if it is within the attributes.
const LOAD_WITH_TRUE_SIZE: usize = std::mem::offset_of!(ProgLoad, log_true_size) + 4;
/// The same of BPF_BTF_LOAD.
const BTF_WITH_TRUE_SIZE: usize = std::mem::offset_of!(BtfLoad, btf_log_true_size) + 4;

/// The number of a descriptor, 0 if there is none.
fn number(fd: Option<BorrowedFd<'_>>) -> u32 {
    fd.map_or(0, fd::number)
}

/// BPF_PROG_LOAD. The log is written if `log_level` is not 0.
pub fn prog_load(load: &Load<'_>, log: &mut [u8]) -> Logged {
    let of = |count: usize, size: usize| if count == 0 { 0 } else { size as u32 };
    let at = |count: usize, address: u64| if count == 0 { 0 } else { address };
    let wants_log = load.log_level != 0 && !log.is_empty();
    let mut attr = ProgLoad {
        prog_type: load.kind,
        insn_cnt: u32::try_from(load.insns.len()).unwrap_or(u32::MAX),
        insns: addr(load.insns),
        license: addr(load.license),
        log_level: if wants_log { load.log_level } else { 0 },
        log_size: if wants_log { u32::try_from(log.len()).unwrap_or(u32::MAX) } else { 0 },
        log_buf: if wants_log { addr_mut(log) } else { 0 },
        kern_version: load.kern_version,
        prog_flags: load.flags,
        prog_name: load.name,
        prog_ifindex: load.ifindex,
        expected_attach_type: load.attach_type,
        prog_btf_fd: number(load.btf),
        func_info_rec_size: of(load.funcs.len(), size_of::<FuncInfo>()),
        func_info: at(load.funcs.len(), addr(load.funcs)),
        func_info_cnt: load.funcs.len() as u32,
        line_info_rec_size: of(load.lines.len(), size_of::<LineInfo>()),
        line_info: at(load.lines.len(), addr(load.lines)),
        line_info_cnt: load.lines.len() as u32,
        core_relo_cnt: load.relos.len() as u32,
        core_relos: at(load.relos.len(), addr(load.relos)),
        core_relo_rec_size: of(load.relos.len(), size_of::<CoreRelo>()),
        attach_btf_id: load.attach_btf_id,
        attach_fd: number(load.attach_to),
        fd_array: at(load.fd_array.len(), addr(load.fd_array)),
        ..ProgLoad::default()
    };
    let at_least = if wants_log { LOAD_WITH_TRUE_SIZE } else { 0 };
    // The kernel reads the licence up to its zero.
    if !load.license.contains(&0) || load.insns.len() > u32::MAX as usize {
        return Logged { result: Err(Failure::Errno(crate::Errno::EINVAL)), needed: 0 };
    }
    // SAFETY: each address is of a slice, beside its length; the licence ends in a zero.
    let result = unsafe { bpf_fd(Command::ProgLoad, &mut attr, at_least) };
    Logged { result, needed: attr.log_true_size }
}

/// BPF_BTF_LOAD. The log is written if the buffer is not empty.
pub fn btf_load(btf: &[u8], level: u32, log: &mut [u8]) -> Logged {
    let wants_log = level != 0 && !log.is_empty();
    let mut attr = BtfLoad {
        btf: addr(btf),
        btf_log_buf: if wants_log { addr_mut(log) } else { 0 },
        btf_size: u32::try_from(btf.len()).unwrap_or(u32::MAX),
        btf_log_size: if wants_log { u32::try_from(log.len()).unwrap_or(u32::MAX) } else { 0 },
        btf_log_level: if wants_log { level } else { 0 },
        ..BtfLoad::default()
    };
    if btf.len() > u32::MAX as usize {
        return Logged { result: Err(Failure::Errno(crate::Errno::E2BIG)), needed: 0 };
    }
    // SAFETY: each address is of a slice, beside its length.
    let result = unsafe { bpf_fd(Command::BtfLoad, &mut attr, if wants_log { BTF_WITH_TRUE_SIZE } else { 0 }) };
    Logged { result, needed: attr.btf_log_true_size }
}

/// What BPF_PROG_TEST_RUN takes. Buffers may be missing; the kernel refuses some of them for some program types.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Run<'a> {
    pub data_in: Option<&'a [u8]>,
    pub data_out: Option<&'a mut [u8]>,
    /// Programs of type `syscall` write to it.
    pub ctx_in: Option<&'a mut [u8]>,
    pub ctx_out: Option<&'a mut [u8]>,
    pub repeat: u32,
    pub flags: u32,
    pub cpu: u32,
    pub batch_size: u32,
}

/// What it gives.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Ran {
    pub retval: u32,
    /// Average of the runs, in nanoseconds.
    pub duration: u32,
    /// Bytes that there were to write, whatever the size of the buffer.
    pub data_size: u32,
    pub ctx_size: u32,
}

/// BPF_PROG_TEST_RUN. The kernel may have run the program also where it gives an error (ENOSPC: a buffer was too small, and
/// was filled).
pub fn test_run(prog: BorrowedFd<'_>, run: Run<'_>) -> (Result<(), Failure>, Ran) {
    let size = |len: Option<usize>| u32::try_from(len.unwrap_or(0)).unwrap_or(u32::MAX);
    let len = |slice: &Option<&mut [u8]>| slice.as_ref().map(|s| s.len());
    let (data_out, ctx_in, ctx_out) = (len(&run.data_out), len(&run.ctx_in), len(&run.ctx_out));
    let mut attr = Attr {
        prog_fd: fd::number(prog),
        data_size_in: size(run.data_in.map(<[u8]>::len)),
        data_size_out: size(data_out),
        data_in: run.data_in.map_or(0, addr),
        data_out: run.data_out.map_or(0, addr_mut),
        repeat: run.repeat,
        ctx_size_in: size(ctx_in),
        ctx_size_out: size(ctx_out),
        ctx_in: run.ctx_in.map_or(0, addr_mut),
        ctx_out: run.ctx_out.map_or(0, addr_mut),
        flags: run.flags,
        cpu: run.cpu,
        batch_size: run.batch_size,
        ..Attr::default()
    };
    // SAFETY: each address is of a slice, beside its length (or less); those that are written to are mutable.
    let result = unsafe { bpf(Command::TestRun, &mut attr, std::mem::offset_of!(Attr, flags)) };
    let Attr { retval, duration, data_size_out: data_size, ctx_size_out: ctx_size, .. } = attr;
    (result.map(|_| ()), Ran { retval, duration, data_size, ctx_size })
}
