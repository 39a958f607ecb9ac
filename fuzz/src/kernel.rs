//! The kernel as a referee: maps, types and programs through bpf(2).
//!
//! Programs are loaded to be judged and dropped at once; nothing is ever attached or run.

use std::ffi::c_long;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ring3_isa::{Endianness, RawInsn};
use ring3_platform::{MapDef, Program};

/// Bytes of `union bpf_attr` that are used here.
const ATTR_BYTES: usize = 152;
/// Statistics and what is wrong, but no instructions: those would make the log of a long walk longer than any buffer.
const LOG_LEVEL: u32 = 4;
/// Room for the verifier's log.
const LOG_BYTES: usize = 1 << 20;
/// Opcode of a 64-bit immediate load.
const LD_IMM64: u8 = 0x18;
/// Kinds of such loads (`src`) whose first immediate is a map.
const MAP_SOURCES: [u8; 2] = [1, 2];

/// Commands of bpf(2).
#[derive(Clone, Copy, Debug)]
enum Command {
    MapCreate = 0,
    MapUpdate = 2,
    ProgLoad = 5,
    BtfLoad = 18,
    MapFreeze = 22,
}

/// `union bpf_attr`: offsets are those of `linux/bpf.h`, all of them public.
struct Attr([u8; ATTR_BYTES]);

impl Attr {
    fn new() -> Attr {
        Attr([0; ATTR_BYTES])
    }

    fn u32(mut self, at: usize, value: u32) -> Attr {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, at: usize, value: u64) -> Attr {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn slice<T>(self, at: usize, data: &[T]) -> Attr {
        self.u64(at, data.as_ptr() as u64)
    }

    fn fd(self, at: usize, fd: &OwnedFd) -> Attr {
        self.u32(at, fd.as_raw_fd() as u32)
    }

    fn name(mut self, at: usize, name: &str) -> Attr {
        let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
        for (to, from) in self.0[at..at + 15].iter_mut().zip(name.bytes().filter(legal)) {
            *to = from;
        }
        self
    }

    /// Calls bpf(2). Every pointer in the attributes must lead to live memory of the size that stands beside it.
    unsafe fn call(self, command: Command) -> io::Result<c_long> {
        // SAFETY: the attributes are as large as is said, and the caller vouches for the memory they refer to.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command as i32, self.0.as_ptr(), ATTR_BYTES) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    /// As `call`, for commands that give a file descriptor.
    unsafe fn open(self, command: Command) -> io::Result<OwnedFd> {
        // SAFETY: as the caller promises.
        let fd = unsafe { self.call(command)? };
        // SAFETY: the kernel has just given this descriptor to us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}

/// What the kernel says of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelVerdict {
    /// Error number, 0 if the program was loaded.
    pub errno: i32,
    /// What is wrong with it, and the statistics.
    pub log: String,
}

/// A connection to the verifier of the running kernel.
pub struct Kernel {
    log: Vec<u8>,
    /// Types for programs with so many functions.
    types: Vec<Option<OwnedFd>>,
}

impl Kernel {
    /// `None` where programs cannot be loaded: no root, or no Linux.
    pub fn open() -> Option<Kernel> {
        let mut kernel = Kernel { log: vec![0; LOG_BYTES], types: Vec::new() };
        let code = ring3_isa::assemble("r0 = 0\nexit").ok()?;
        let probe = Program::new("probe", ring3_platform::ProgType::SocketFilter, code);
        (kernel.judge(&probe, &[], &[]).ok()?.errno == 0).then_some(kernel)
    }

    /// Creates a map, with its content if that is frozen.
    pub fn map(&self, def: &MapDef) -> io::Result<OwnedFd> {
        let inner = def.inner.as_deref().map(|inner| self.map(inner)).transpose()?;
        let mut attr = Attr::new()
            .u32(0, def.kind.number())
            .u32(4, def.key_size)
            .u32(8, def.value_size)
            .u32(12, def.max_entries)
            .u32(16, def.flags.0)
            .name(28, &def.name);
        if let Some(inner) = &inner {
            attr = attr.fd(20, inner);
        }
        // SAFETY: no pointers.
        let fd = unsafe { attr.open(Command::MapCreate)? };
        if let Some(data) = &def.data {
            let key = [0u8; 4];
            // SAFETY: key and value are as large as the map's.
            unsafe { Attr::new().fd(0, &fd).slice(8, &key).slice(16, data).call(Command::MapUpdate)? };
        }
        if def.frozen {
            // SAFETY: no pointers.
            unsafe { Attr::new().fd(0, &fd).call(Command::MapFreeze)? };
        }
        Ok(fd)
    }

    /// Types with so many functions.
    fn types(&mut self, functions: usize) -> io::Result<&OwnedFd> {
        if self.types.len() <= functions {
            self.types.resize_with(functions + 1, || None);
        }
        let entry = &mut self.types[functions];
        if entry.is_none() {
            let bytes = crate::function_types(functions);
            // SAFETY: the size is that of the bytes.
            let fd = unsafe { Attr::new().slice(0, &bytes).u32(16, bytes.len() as u32).open(Command::BtfLoad)? };
            *entry = Some(fd);
        }
        entry.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Loads the program and drops it again. `maps` stand for those of the program; `starts` are the slots of its functions,
    /// empty for a program without BTF.
    pub fn judge(&mut self, program: &Program, maps: &[OwnedFd], starts: &[usize]) -> io::Result<KernelVerdict> {
        let bytes: Vec<u8> = program
            .code
            .raw_slice()
            .iter()
            .flat_map(|insn| with_map(*insn, maps).to_bytes(Endianness::Little))
            .collect();
        let license = [program.license.0.as_bytes(), &[0]].concat();
        let funcs: Vec<u32> =
            starts.iter().enumerate().flat_map(|(i, slot)| [*slot as u32, crate::FIRST_FUNC + i as u32]).collect();
        let mut attr = Attr::new()
            .u32(0, program.kind.number())
            .u32(4, program.code.len() as u32)
            .slice(8, &bytes)
            .slice(16, &license)
            .u32(24, LOG_LEVEL)
            .u32(28, LOG_BYTES as u32)
            .slice(32, &self.log)
            .name(48, &program.name)
            .u32(68, program.attach.map_or(0, |attach| attach.number()));
        if !starts.is_empty() {
            let types = self.types(starts.len())?;
            attr = attr.fd(72, types).u32(76, 8).slice(80, &funcs).u32(88, starts.len() as u32);
        }
        self.log[0] = 0;
        // SAFETY: all the slices outlive the call, and their sizes stand beside them; the log is ours alone.
        let result = unsafe { attr.u64(32, self.log.as_mut_ptr() as u64).open(Command::ProgLoad) };
        let errno = result.err().map_or(0, |error| error.raw_os_error().unwrap_or(0));
        let end = self.log.iter().position(|b| *b == 0).unwrap_or(LOG_BYTES);
        Ok(KernelVerdict { errno, log: String::from_utf8_lossy(&self.log[..end]).into_owned() })
    }
}

/// The descriptor of the map in place of its index.
fn with_map(mut insn: RawInsn, maps: &[OwnedFd]) -> RawInsn {
    if insn.code == LD_IMM64
        && MAP_SOURCES.contains(&insn.src)
        && let Some(fd) = usize::try_from(insn.imm).ok().and_then(|index| maps.get(index))
    {
        insn.imm = fd.as_raw_fd();
    }
    insn
}
