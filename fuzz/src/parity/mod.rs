//! ring3 beside the kernel: the same bare instructions judged by both, and what differs.

mod cases;
mod chaos;
mod mutation;
mod shrink;

use std::sync::Arc;

use ring3_isa::{Code, Endianness, Insn, IsaError, Mention, RawInsn};
use ring3_linux::{LoadOptions, Map};
pub use ring3_parity::{Difference, Verdict};
use ring3_platform::helpers::id;
use ring3_platform::{Errno, MapDef, MapFlags, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

pub use cases::{Source, case};
pub use chaos::chaos;
pub use mutation::spoil;
pub(crate) use mutation::spoil_fields;
pub use shrink::shrink;

/// Program types that random programs have.
pub const KINDS: [ProgType; 7] = [
    ProgType::Xdp,
    ProgType::SchedCls,
    ProgType::SocketFilter,
    ProgType::Kprobe,
    ProgType::Tracepoint,
    ProgType::CgroupSkb,
    ProgType::RawTracepoint,
];

/// What is wrong and the statistics, but no instructions: those would make the log of a long walk longer than any buffer.
pub(crate) const STATISTICS: LoadOptions =
    LoadOptions { log: ring3_linux::LogLevel::STATS, flags: 0, attach_btf_id: 0, member: None, without_info: false };

/// The kernel whose rules are compared.
const RELEASE: &str = "6.18.";

/// Maps that random programs refer to, by index.
pub fn maps() -> Vec<Arc<MapDef>> {
    use MapType::*;
    let frozen = MapDef {
        flags: MapFlags::RDONLY_PROG,
        data: Some((1..=16).collect::<Vec<u8>>().into()),
        frozen: true,
        ..MapDef::new("frozen", Array, 4, 16, 1)
    };
    let outer = MapDef {
        inner: Some(Box::new(MapDef::new("inner", Array, 4, 8, 1))),
        ..MapDef::new("outer", ArrayOfMaps, 4, 4, 2)
    };
    let readonly = MapDef { flags: MapFlags::RDONLY_PROG, ..MapDef::new("readonly", Array, 4, 8, 2) };
    let writeonly = MapDef { flags: MapFlags::WRONLY_PROG, ..MapDef::new("writeonly", Hash, 4, 8, 2) };
    [
        MapDef::new("array", Array, 4, 16, 4),
        MapDef::new("hash", Hash, 4, 16, 4),
        MapDef::new("data", Array, 4, 64, 1),
        MapDef::new("rb", Ringbuf, 0, 0, 4096),
        MapDef::new("progs", ProgArray, 4, 4, 4),
        MapDef::new("events", PerfEventArray, 4, 4, 2),
        MapDef::new("percpu", PercpuArray, 4, 16, 4),
        MapDef::new("lru", LruHash, 8, 24, 4),
        frozen,
        outer,
        readonly,
        writeonly,
        MapDef::new("queue", Queue, 0, 8, 4),
        MapDef::new("dev", Devmap, 4, 4, 4),
    ]
    .map(Arc::new)
    .to_vec()
}

/// The slots at which functions start, if there is more than the main one.
fn starts(code: &Code) -> Vec<usize> {
    let mut starts = vec![0];
    for (slot, raw) in code.raw_slice().iter().enumerate() {
        let Some(Mention::Function(off) | Mention::Address(off)) = raw.mention() else { continue };
        let to = slot as i64 + 1 + i64::from(off);
        if let Ok(to) = usize::try_from(to)
            && to < code.len()
        {
            starts.push(to);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    if starts.len() == 1 { Vec::new() } else { starts }
}

/// Whether judging this may kill Linux 6.18 instead of the program. It knows that a legacy packet load or a tail call in a function may
/// end that function; but where it walks back through such an end, to mark what was relied on, it takes the function's registers for
/// its caller's, counts one function too few when it comes to the call, and writes in front of an array. Measured on 6.18.44: if the
/// register is one of R6 to R9, it says `verifier bug: static subprog unexpected regs`; if it is one of R1 to R5, a page fault.
/// Such programs are not given to it, unless somebody types them in.
pub fn may_crash_linux(code: &Code) -> bool {
    let Some(&first) = starts(code).get(1) else { return false };
    let ends_function =
        |raw: &RawInsn| raw.is_legacy_load() || raw.mention() == Some(Mention::Helper(id::TAIL_CALL as i32));
    code.raw_slice()[first..].iter().any(ends_function)
}

/// A program of these instructions that refers to [`maps`], with function information if it has functions.
pub fn program(kind: ProgType, code: Code, maps: &[Arc<MapDef>]) -> Program {
    let starts = starts(&code);
    let mut program = Program::new("generated", kind, code);
    program.maps = maps.to_vec();
    if !starts.is_empty() {
        program.info = crate::program_info(&starts).ok().map(Arc::new);
    }
    program
}

/// Both verdicts on one program.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The kernel's.
    pub linux: Verdict,
    /// Ours.
    pub ring3: Verdict,
}

impl Pair {
    /// How they differ. Nothing is said of programs that ring3 refuses because it does not know their ways.
    pub fn class(&self) -> Option<Difference> {
        let is_excused = self.is_unsupported() || self.is_known();
        if is_excused { None } else { Difference::between(&self.linux, &self.ring3) }
    }

    /// Differences that shall stay.
    fn is_known(&self) -> bool {
        let negative_context = "invalid bpf_context access off=-";
        // Linux compares a negative offset into a tracepoint's context as a large positive one and lets it through, which
        // reads memory in front of the context.
        self.ring3.message.starts_with(negative_context) && self.linux.message != self.ring3.message
            // Linux calls some refusals its own fault.
            || self.linux.message.starts_with("verifier bug")
            // Whether this one is offered is a matter of the machine's configuration.
            || self.linux.message.contains("bpf_probe_write_user")
    }

    /// ring3 does not model what the program uses.
    pub fn is_unsupported(&self) -> bool {
        self.ring3.errno == Errno::EOPNOTSUPP.number()
    }

    /// The difference without numbers: the same for many programs with one cause.
    pub fn shape(&self) -> String {
        let bare = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let same = self.linux.message == self.ring3.message;
        let ring3 = if same { "=".to_owned() } else { bare(&self.ring3.message) };
        format!(
            "{:?}: linux {} '{}' ring3 {} '{ring3}'",
            self.class(),
            self.linux.errno,
            bare(&self.linux.message),
            self.ring3.errno
        )
    }
}

/// The kernel with the maps that programs refer to.
pub struct Referee {
    defs: Vec<Arc<MapDef>>,
    /// By program type: some maps belong to the type that uses them first.
    live: Vec<(ProgType, Vec<Map>)>,
    target: Arc<Target>,
}

impl Referee {
    /// `None` where bpf(2) cannot be used, or where another Linux runs than the one whose rules ring3 has.
    pub fn open(defs: Vec<Arc<MapDef>>) -> Option<Referee> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        if !release.starts_with(RELEASE) || ring3_linux::available().is_err() {
            return None;
        }
        Some(Referee { defs, live: Vec::new(), target: Arc::new(Target::default()) })
    }

    /// The maps.
    pub fn maps(&self) -> &[Arc<MapDef>] {
        &self.defs
    }

    /// Judges the instructions as a program of this type.
    ///
    /// Errors: the kernel refused a map, or the program's types.
    pub fn judge(&mut self, kind: ProgType, code: Code) -> Result<Pair, ring3_linux::Error> {
        let program = program(kind, code, &self.defs);
        self.judge_program(program)
    }

    /// Judges a program that refers to the maps of this referee.
    pub fn judge_program(&mut self, program: Program) -> Result<Pair, ring3_linux::Error> {
        let maps = match self.live.iter().position(|(kind, _)| *kind == program.kind) {
            Some(index) => &self.live[index].1,
            None => {
                let maps = self.defs.iter().map(|def| Map::create(def)).collect::<Result<_, _>>()?;
                &self.live.push_mut((program.kind, maps)).1
            }
        };
        let maps: Vec<&Map> = maps.iter().collect();
        let linux = match ring3_linux::load_with(&program, &maps, &STATISTICS) {
            Ok(loaded) => judged(0, &loaded.log.text),
            Err(ring3_linux::Error::Program { errno, log, .. }) => judged(errno.0, &log.text),
            Err(error) => return Err(error),
        };
        Ok(Pair { linux, ring3: ours(program, &self.target) })
    }
}

/// The kernel's verdict, with its last words where it came before the verifier.
pub(crate) fn judged(errno: i32, log: &str) -> Verdict {
    let last = log.lines().last().unwrap_or_default().to_owned();
    Verdict::of_log(errno, log).unwrap_or(Verdict { errno, message: last, ..Verdict::default() })
}

/// What ring3 says of a program.
pub fn ours(program: Program, target: &Arc<Target>) -> Verdict {
    match verify(Arc::new(program), Arc::clone(target), LogLevel(0)) {
        Ok(proof) => Verdict::of_proof(&proof),
        Err(rejection) => Verdict::of_rejection(&rejection),
    }
}

/// What stands before the bytes of a slot that is no instruction.
const RAW: &str = "raw ";

/// The code, a line for each instruction, as [`parse`] reads it. What is no instruction stands there as its bytes.
pub fn listing(code: &Code) -> Vec<String> {
    let line = |slot: usize| match code.text(slot, &ring3_isa::NoNames) {
        Some(text) if matches!(code.get(slot), Some(Ok(insn)) if insn != Insn::WideTail) => text.to_string(),
        Some(_) | None => {
            let bytes = code.raw(slot).unwrap_or_default().to_bytes(Endianness::Little);
            format!("{RAW}{:016x}", u64::from_be_bytes(bytes))
        }
    };
    let shown = |slot: &usize| !code.is_tail(*slot) || code.insns()[slot - 1].is_err();
    (0..code.len()).filter(shown).map(line).collect()
}

/// Code out of lines: instructions without labels, and bytes of slots behind `raw`.
pub fn parse<'l>(lines: impl Iterator<Item = &'l str>) -> Result<Code, IsaError> {
    let mut raw = Vec::new();
    for line in lines.map(str::trim) {
        match line.strip_prefix(RAW).and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
            Some(bytes) => raw.push(RawInsn::from_bytes(bytes.to_be_bytes(), Endianness::Little)),
            None => raw.extend_from_slice(ring3_isa::assemble(line)?.raw_slice()),
        }
    }
    Ok(Code::decode(raw))
}
