//! Programs into the kernel.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ring3_btf::{Btf, Kind, Linkage, ProgramInfo};
use ring3_isa::{Endianness, Mention, RawInsn};
use ring3_platform::kfuncs::base_name;
use ring3_platform::{KfuncRef, ProgType, Program};

use crate::btf::{NO_LOG, for_kernel, native};
use crate::extend::Other;
use crate::sys::attr::{self, CoreRelo, FuncInfo, LineInfo};
use crate::sys::{self, AsFd, BorrowedFd, Command, Failure, Load, Logged, OwnedFd};
use crate::{BtfObject, Errno, Error, KernelTypes, Map};

/// First size of the buffer for a log, in bytes.
const FIRST_LOG: usize = 64 << 10;
/// Largest log that is read. Only a log at level 2 of a huge program is longer.
const MAX_LOG: usize = 512 << 20;
/// How much the buffer grows where the kernel does not say how long its log is (before 6.4).
const GROWTH: usize = 8;
/// Largest buffer that kernels before 5.2 take.
const OLD_MAX_LOG: usize = (u32::MAX >> 8) as usize;

/// BPF_F_SLEEPABLE.
const SLEEPABLE: u32 = 1 << 4;
/// BPF_F_XDP_HAS_FRAGS.
const HAS_FRAGS: u32 = 1 << 5;

/// Sources of wide loads that are maps: by descriptor, and the address of a value.
const MAP_SOURCES: [u8; 2] = [1, 2];
/// The same by index into a list of descriptors.
const INDEX_SOURCES: [u8; 2] = [5, 6];

/// What the kernel wrote about a program or about types.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Log {
    /// Unchanged, but for bytes that are not UTF-8.
    pub text: String,
    /// Is it all there? If not, kernels since 6.4 keep its end, older ones its start.
    pub is_whole: bool,
}

impl Log {
    /// The text up to the closing zero.
    pub(crate) fn read(buffer: &[u8]) -> Log {
        let end = buffer.iter().position(|b| *b == 0).unwrap_or(buffer.len());
        Log { text: String::from_utf8_lossy(&buffer[..end]).into_owned(), is_whole: true }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the verifier is to write, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogLevel(pub u32);

#[allow(missing_docs)]
impl LogLevel {
    pub const NONE: LogLevel = LogLevel(0);
    /// What is wrong, and the path that leads there.
    pub const PATH: LogLevel = LogLevel(1);
    /// All that it does.
    pub const ALL: LogLevel = LogLevel(2);
    /// What is wrong, and how much was looked at.
    pub const STATS: LogLevel = LogLevel(4);

    /// Both.
    pub const fn or(self, other: LogLevel) -> LogLevel {
        LogLevel(self.0 | other.0)
    }
}

/// How to load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LoadOptions {
    /// What the verifier writes. [`LogLevel::NONE`]: nothing, but if it refuses, it is asked again with [`LogLevel::PATH`].
    pub log: LogLevel,
    /// Further flags (`BPF_F_*` of BPF_PROG_LOAD), to those that come from the program.
    pub flags: u32,
    /// The kernel's type number of the function to attach to (`fentry` and the like), 0 for none.
    pub attach_btf_id: u32,
    /// Of struct_ops programs: which member of the struct with that number they are, from 0.
    pub member: Option<u32>,
    /// Do not give types, functions and lines to the kernel even if the program has them.
    pub without_info: bool,
}

/// A program in the kernel.
#[derive(Debug)]
pub struct Prog {
    name: String,
    kind: Option<ProgType>,
    fd: OwnedFd,
}

impl AsFd for Prog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Prog {
    /// Takes a descriptor of a program. `name` is for errors; `kind` its type, if it is known.
    pub fn from_fd(name: &str, kind: Option<ProgType>, fd: OwnedFd) -> Prog {
        Prog { name: name.to_owned(), kind, fd }
    }

    /// The name that it was loaded or opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type, if it is known.
    pub fn kind(&self) -> Option<ProgType> {
        self.kind
    }
}

/// A loaded program with what was made for it.
#[derive(Debug)]
pub struct Loaded {
    /// The program.
    pub prog: Prog,
    /// Its maps, in the order of [`Program::maps`]. Empty if they were given.
    pub maps: Vec<Map>,
    /// Its types, if it has any.
    pub types: Option<Arc<Types>>,
    /// What the verifier wrote, if it was asked to.
    pub log: Log,
}

/// Creates a program's maps and loads it.
///
/// Errors: [`Error::Map`] and [`Error::Btf`] before the program was tried, [`Error::Program`] with the verifier's log if it
/// was refused. Everything that was created is closed.
pub fn load(program: &Program, options: &LoadOptions) -> Result<Loaded, Error> {
    let info = Info::new(program, options, None)?;
    let maps = program.maps.iter().map(|def| Map::create_typed(def, info.types.as_deref().map(|types| &**types)));
    let maps = maps.collect::<Result<Vec<_>, _>>()?;
    let (prog, log) = load_code(program, &maps.iter().collect::<Vec<_>>(), &info, options)?;
    Ok(Loaded { prog, maps, types: info.types, log })
}

/// Loads a program onto maps that are there, one for each of [`Program::maps`], in that order.
///
/// Errors: as [`load`], and [`Error::Maps`] if there are more or fewer.
pub fn load_with(program: &Program, maps: &[&Map], options: &LoadOptions) -> Result<Loaded, Error> {
    let info = Info::new(program, options, None)?;
    let (prog, log) = load_code(program, maps, &info, options)?;
    Ok(Loaded { prog, maps: Vec::new(), types: info.types, log })
}

/// Loads the types of a program into the kernel, for [`load_variant`].
///
/// Errors: [`Error::Btf`].
pub fn load_types(program: &Program) -> Result<Option<Arc<Types>>, Error> {
    Ok(Info::new(program, &LoadOptions::default(), None)?.types)
}

/// Loads a program onto maps and types that are there, without its lines: for many variants of one program. Calls of kernel functions
/// have their numbers in the running kernel already.
///
/// Errors: as [`load_with`].
pub fn load_variant(
    program: &Program,
    maps: &[&Map],
    types: Option<&Arc<Types>>,
    options: &LoadOptions,
) -> Result<(Prog, Log), Error> {
    let funcs = program.info.iter().filter(|_| types.is_some()).flat_map(|info| &info.funcs);
    let funcs = funcs.map(|f| FuncInfo { insn_off: f.slot, type_id: f.type_id.0 }).collect();
    load_code(program, maps, &Info { types: types.cloned(), funcs, ..Info::default() }, options)
}

/// Types in the kernel, and the bytes that they were loaded from.
#[derive(Debug)]
pub struct Types {
    object: BtfObject,
    bytes: Vec<u8>,
}

impl Deref for Types {
    type Target = BtfObject;

    fn deref(&self) -> &BtfObject {
        &self.object
    }
}

/// Functions and lines as the kernel takes them.
#[derive(Default)]
pub(crate) struct Info {
    pub types: Option<Arc<Types>>,
    funcs: Vec<FuncInfo>,
    lines: Vec<LineInfo>,
    relos: Vec<CoreRelo>,
}

impl Info {
    /// `given` are types that serve if they are the same.
    pub fn new(program: &Program, options: &LoadOptions, given: Option<&Arc<Types>>) -> Result<Info, Error> {
        let Some(info) = program.info.as_deref().filter(|_| !options.without_info) else {
            return Ok(Info::default());
        };
        let mut btf = Btf::clone(&info.btf);
        let lines = line_info(info, &mut btf);
        let relos = info.pending.iter().map(|(slot, relo)| CoreRelo {
            insn_off: slot.saturating_mul(RawInsn::BYTES as u32),
            type_id: relo.type_id.0,
            access_str_off: relo.access.0,
            kind: relo.kind.number(),
        });
        let relos = relos.collect();
        for func in info.funcs.iter().filter(|func| func.linkage == Linkage::Static) {
            // A hidden global function is verified as a static one.
            btf.set_linkage(func.type_id, Linkage::Static);
        }
        for_kernel(&mut btf);
        let bytes = btf.to_bytes(native());
        let types = match given.filter(|given| given.bytes == bytes) {
            Some(given) => Arc::clone(given),
            None => match BtfObject::load_bytes(&bytes) {
                // A kernel without types (before 4.18) runs programs all the same.
                Err(Error::Btf { errno: Errno::EINVAL, log }) if log.text.is_empty() => return Ok(Info::default()),
                result => Arc::new(Types { object: result?, bytes }),
            },
        };
        let funcs = info.funcs.iter().map(|f| FuncInfo { insn_off: f.slot, type_id: f.type_id.0 }).collect();
        Ok(Info { types: Some(types), funcs, lines, relos })
    }
}

/// Lines refer to texts by their place in the types' strings; those that are not there any more are added.
fn line_info(info: &ProgramInfo, btf: &mut Btf) -> Vec<LineInfo> {
    let mut known = std::collections::BTreeMap::new();
    let mut at = 0u32;
    for text in info.btf.strings().split_terminator('\0') {
        known.entry(text).or_insert(at);
        at += text.len() as u32 + 1;
    }
    let mut place = |text: &str| match known.get(text) {
        Some(at) => *at,
        None => btf.add_string(text).map_or(0, |at| at.0),
    };
    info.lines
        .iter()
        .map(|line| LineInfo {
            insn_off: line.slot,
            file_name_off: place(&line.file),
            line_off: place(&line.text),
            line_col: line.line << 10 | (line.col & 0x3ff),
        })
        .collect()
}

/// Loads with maps and types that are there.
pub(crate) fn load_code(
    program: &Program,
    maps: &[&Map],
    info: &Info,
    options: &LoadOptions,
) -> Result<(Prog, Log), Error> {
    if maps.len() != program.maps.len() {
        let (program, expected, found) = (program.name.clone(), program.maps.len(), maps.len());
        return Err(Error::Maps { program, expected, found });
    }
    let fds: Vec<i32> = maps.iter().map(|map| sys::fd_number(map.as_fd()).cast_signed()).collect();
    let order = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    let kfuncs = kfunc_ids(program)?;
    let insns: Vec<[u8; 8]> = program
        .code
        .raw_slice()
        .iter()
        .map(|insn| with_kfunc(with_map(*insn, &fds), program, &kfuncs).to_bytes(order))
        .collect();
    let by_index = program.code.raw_slice().iter().any(|insn| insn.is_wide() && INDEX_SOURCES.contains(&insn.src));
    // The kernel reads it up to a zero.
    let license: Vec<u8> = program.license.0.bytes().take_while(|b| *b != 0).chain([0]).collect();
    let own = if program.sleepable { SLEEPABLE } else { 0 } | if program.frags { HAS_FRAGS } else { 0 };
    let other = Other::of(program)?;
    let request = Load {
        kind: program.kind.number(),
        insns: &insns,
        license: &license,
        log_level: options.log.0,
        flags: own | program.flags.0 | options.flags,
        name: attr::name(&program.name),
        attach_type: options.member.unwrap_or_else(|| program.attach.map_or(0, |attach| attach.number())),
        btf: info.types.as_deref().map(|types| types.as_fd()),
        funcs: &info.funcs,
        lines: &info.lines,
        relos: &info.relos,
        attach_btf_id: other.as_ref().map_or(options.attach_btf_id, |other| other.id),
        attach_to: other.as_ref().map(Other::fd),
        fd_array: if by_index { &fds } else { &[] },
        ..Load::default()
    };
    let (result, log) = submit(&request);
    match result {
        Ok(fd) => Ok((Prog { name: program.name.clone(), kind: Some(program.kind), fd }, log)),
        Err(Failure::Errno(errno)) => Err(Error::Program { program: program.name.clone(), errno, log }),
        Err(failure) => Err(failure.of(Command::ProgLoad)),
    }
}

/// Loads, and gets the log whole.
fn submit(request: &Load<'_>) -> (Result<OwnedFd, Failure>, Log) {
    let mut request = *request;
    if request.log_level == 0 {
        let mut result = sys::prog_load(&request, &mut []).result;
        if matches!(result, Err(failure) if failure.is(Errno::E2BIG)) {
            // Kernels before 4.15 know no names, and refuse attributes that are longer than theirs.
            let nameless = sys::prog_load(&Load { name: [0; attr::NAME_LEN], ..request }, &mut []).result;
            result = nameless.or(result);
        }
        match result {
            Err(Failure::Errno(_)) => request.log_level = LogLevel::PATH.0,
            result => return (result, NO_LOG),
        }
    }
    grown(|log| sys::prog_load(&Load { log_level: if log.is_empty() { 0 } else { request.log_level }, ..request }, log))
}

/// Calls with a buffer for the log that grows until the log is whole, so that ENOSPC for the log never stands in place of
/// the verdict. If the log is longer than can be had, the call is made once more without one.
pub(crate) fn grown(call: impl Fn(&mut [u8]) -> Logged) -> (Result<OwnedFd, Failure>, Log) {
    let mut size = FIRST_LOG;
    let mut best = NO_LOG;
    loop {
        let mut buffer = vec![0u8; size];
        let Logged { result, needed } = call(&mut buffer);
        let is_short = matches!(result, Err(failure) if failure.is(Errno::ENOSPC));
        let is_too_much = size > OLD_MAX_LOG && matches!(result, Err(failure) if failure.is(Errno::EINVAL));
        if is_too_much && !best.text.is_empty() {
            // An old kernel does not take such a buffer.
            return (call(&mut []).result, Log { is_whole: false, ..best });
        }
        let log = Log::read(&buffer).text;
        if !is_short {
            return (result, Log { text: log, is_whole: true });
        }
        best.text = log;
        if needed as usize == size || (needed != 0 && (needed as usize) < size) {
            // The log fits: the error is the program's own.
            return (result, Log { is_whole: true, ..best });
        }
        if size >= MAX_LOG {
            return (call(&mut []).result, Log { is_whole: false, ..best });
        }
        let wanted = if needed == 0 { size.saturating_mul(GROWTH) } else { needed as usize };
        size = wanted.min(MAX_LOG);
    }
}

/// The numbers of a program's kernel functions in the running kernel's types; `None` for a weak one that is not there.
///
/// Errors: [`Error::Program`] with `ESRCH` for one that has to be there. Functions of modules are not looked for.
fn kfunc_ids(program: &Program) -> Result<Vec<Option<i32>>, Error> {
    if program.kfuncs.is_empty() {
        return Ok(Vec::new());
    }
    let kernel = KernelTypes::read()?;
    let find = |kfunc: &KfuncRef| {
        let id = kernel.btf().find(base_name(&kfunc.name), Kind::Func).map(|id| id.0.cast_signed());
        if id.is_some() || kfunc.weak {
            return Ok(id);
        }
        let text = format!("kernel function '{}' is not among the kernel's own\n", kfunc.name);
        let log = Log { text, is_whole: true };
        Err(Error::Program { program: program.name.clone(), errno: Errno::ESRCH, log })
    };
    program.kfuncs.iter().map(find).collect()
}

/// A call by name gets this kernel's number; a call of what is missing becomes the one that libbpf makes of it.
fn with_kfunc(mut insn: RawInsn, program: &Program, ids: &[Option<i32>]) -> RawInsn {
    let Some(Mention::Kfunc { id, off }) = insn.mention() else { return insn };
    if program.kfunc(id, off).is_none() {
        return insn;
    }
    insn.off = 0;
    match usize::try_from(id).ok().and_then(|at| ids.get(at)).copied().flatten() {
        Some(number) => insn.imm = number,
        None => (insn.src, insn.imm) = (0, Program::MISSING_KFUNC.saturating_add(id)),
    }
    insn
}

/// The descriptor of a map in place of its index.
fn with_map(mut insn: RawInsn, fds: &[i32]) -> RawInsn {
    if insn.is_wide()
        && MAP_SOURCES.contains(&insn.src)
        && let Some(fd) = usize::try_from(insn.imm).ok().and_then(|index| fds.get(index))
    {
        insn.imm = *fd;
    }
    insn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel whose log has `len` bytes. `tells` as since 6.4; `most` is the largest buffer that it takes.
    fn kernel(len: usize, verdict: Errno, tells: bool, most: usize) -> impl Fn(&mut [u8]) -> Logged {
        move |buffer| {
            let needed = if tells { len as u32 + 1 } else { 0 };
            let part = len.min(buffer.len().saturating_sub(1));
            buffer[..part].fill(b'x');
            let errno = match buffer.len() {
                0 => verdict,
                size if size > most => Errno::EINVAL,
                size if size <= len => Errno::ENOSPC,
                _ => verdict,
            };
            Logged { result: Err(Failure::Errno(errno)), needed }
        }
    }

    #[test]
    fn logs_grow_until_they_are_whole() {
        for tells in [true, false] {
            for len in [0, 1, FIRST_LOG - 1, FIRST_LOG, 3 * FIRST_LOG, 100 * FIRST_LOG] {
                let (result, log) = grown(kernel(len, Errno::EACCES, tells, usize::MAX));
                assert!(matches!(result, Err(failure) if failure.is(Errno::EACCES)), "{len}");
                assert!(log.is_whole && log.text.len() == len, "{len}");
            }
        }
    }

    #[test]
    fn a_log_never_stands_in_place_of_the_verdict() {
        // Kernels before 5.2 take no larger buffer than this.
        let (result, log) = grown(kernel(2 * OLD_MAX_LOG, Errno::EACCES, false, OLD_MAX_LOG));
        assert!(matches!(result, Err(failure) if failure.is(Errno::EACCES)));
        assert!(!log.is_whole && !log.text.is_empty());
        // The verdict itself may be that there is no space.
        let (result, log) = grown(kernel(10, Errno::ENOSPC, true, usize::MAX));
        assert!(matches!(result, Err(failure) if failure.is(Errno::ENOSPC)));
        assert_eq!((log.is_whole, log.text.len()), (true, 10));
        // So may be that something is invalid.
        let (result, log) = grown(kernel(10, Errno::EINVAL, false, usize::MAX));
        assert!(matches!(result, Err(failure) if failure.is(Errno::EINVAL)));
        assert_eq!((log.is_whole, log.text.len()), (true, 10));
    }
}
