//! Programs of both, slot by slot.

use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;

use ring3_btf::{CoreTarget, Kind};
use ring3_isa::RawInsn;
use ring3_object::{KernelValues, Object, Options};
use ring3_platform::{ProgType, Program};

use crate::oracle::{self, Prepared};

/// `BPF_PSEUDO_MAP_FD`.
const MAP: u8 = 1;
/// `BPF_PSEUDO_MAP_VALUE`.
const MAP_VALUE: u8 = 2;
/// `BPF_PSEUDO_KFUNC_CALL`.
const KFUNC: u8 = 2;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;

/// What came of one program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every slot is the same.
    Equal,
    /// One has more slots.
    Length {
        /// ring3's.
        ours: usize,
        /// libbpf's.
        theirs: usize,
    },
    /// This slot is not the same.
    Slot {
        /// From the start of the program.
        slot: usize,
        /// ring3's instruction.
        ours: String,
        /// libbpf's.
        theirs: String,
    },
    /// Only libbpf has it.
    OnlyTheirs(String),
    /// Only ring3 has it.
    OnlyOurs(String),
    /// Neither has it: what ring3 says, what libbpf says.
    Neither(String, String),
}

/// What came of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    /// Why ring3 does not open it.
    pub ours: Option<String>,
    /// Why libbpf does not open it.
    pub theirs: Option<String>,
    /// Its programs by name; none if one of both does not open it.
    pub programs: Vec<(String, Outcome)>,
}

/// The kernel that both link for.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its types.
    pub core: Arc<CoreTarget>,
    /// Its configuration and symbols.
    pub values: Arc<KernelValues>,
}

/// Compares all programs of an object. `target`: the file of the kernel's types for libbpf, where it is not the running one.
pub fn compare(kernel: &Kernel, name: &str, bytes: &[u8], target: Option<&Path>) -> Compared {
    let ours = Object::parse(name, bytes);
    let theirs = oracle::prepare(name.split('.').next().unwrap_or(name), bytes, target);
    let (mut object, theirs) = match (ours, theirs) {
        (Ok(object), Ok(theirs)) => (object, theirs),
        (ours, theirs) => {
            let ours = ours.err().map(|why| why.to_string());
            return Compared { ours, theirs: theirs.err(), programs: Vec::new() };
        }
    };
    object.answer(kernel.values.clone());
    let mut programs = Vec::new();
    for entry in object.programs() {
        let found = theirs.iter().find(|t| t.name == entry.name);
        let kind = entry.matched.is_none().then_some(ProgType::SocketFilter);
        let options = Options { core: Some(kernel.core.clone()), kind, ..Options::default() };
        let ours = object.program(&entry.name, &options).map_err(|why| why.to_string());
        programs.push((entry.name.clone(), outcome(kernel, &object, ours, found)));
    }
    for only in theirs.iter().filter(|t| !object.programs().iter().any(|entry| entry.name == t.name)) {
        programs.push((only.name.clone(), Outcome::OnlyTheirs("there is no program of this name".to_owned())));
    }
    Compared { ours: None, theirs: None, programs }
}

fn outcome(kernel: &Kernel, object: &Object, ours: Result<Program, String>, theirs: Option<&Prepared>) -> Outcome {
    let nothing = "there is no program of this name".to_owned();
    let their_code = theirs.map_or(Err(nothing), |t| t.code.clone());
    let (ours, code) = match (ours, their_code) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Ok(_), Err(why)) => return Outcome::OnlyOurs(why),
        (Err(why), Ok(_)) => return Outcome::OnlyTheirs(why),
        (Err(ours), Err(theirs)) => return Outcome::Neither(ours, theirs),
    };
    let maps = theirs.map_or(&[][..], |t| &t.maps);
    let raw: Vec<RawInsn> = (0..ours.code.len()).filter_map(|slot| ours.code.raw(slot)).collect();
    if raw.len() != code.len() {
        return Outcome::Length { ours: raw.len(), theirs: code.len() };
    }
    let mut is_tail = false;
    for (slot, (a, b)) in raw.iter().zip(&code).enumerate() {
        let same = a == b
            || is_tail && a.code == 0 && a.imm == b.imm
            || stands_for_the_same(kernel, object, &ours, maps, a, b);
        is_tail = a.is_wide();
        if !same {
            return Outcome::Slot { slot, ours: words(a), theirs: words(b) };
        }
    }
    Outcome::Equal
}

/// What libbpf makes of the programs of an object that does not ask the kernel for anything, as `object/tests/data/libbpf.tsv` has it:
/// program, slots, and a digest in which maps have names in place of numbers.
pub fn record(name: &str, bytes: &[u8], target: Option<&Path>) -> Vec<(String, usize, u64)> {
    let Ok(prepared) = oracle::prepare(name.split('.').next().unwrap_or(name), bytes, target) else {
        return Vec::new();
    };
    let digest = |program: &Prepared, code: &[RawInsn]| {
        let mut hash = Digest::default();
        for insn in code {
            let map = insn.is_wide() && (insn.src == MAP || insn.src == MAP_VALUE);
            let named = program.maps.iter().find(|(fd, _)| map && *fd == insn.imm);
            hash.slot(insn, named.map(|(_, name)| name.as_str()));
        }
        hash.0
    };
    let mut found: Vec<_> = prepared
        .iter()
        // A map that could not be made has no number to be known by.
        .filter(|p| p.maps.iter().all(|(fd, _)| *fd >= 0))
        .filter_map(|p| Some((p.name.clone(), p.code.as_ref().ok()?.len(), digest(p, p.code.as_ref().ok()?))))
        .collect();
    found.sort();
    found
}

/// FNV-1a, 64 bits.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn slot(&mut self, insn: &RawInsn, map: Option<&str>) {
        let mut insn = *insn;
        if let Some(name) = map {
            // A map of global data has the section's name, or it with the object's before it.
            self.bytes(name.rfind('.').map_or(name, |at| &name[at..]).as_bytes());
            insn.imm = 0;
        }
        self.bytes(&[insn.code, insn.dst, insn.src]);
        self.bytes(&insn.off.to_le_bytes());
        self.bytes(&insn.imm.to_le_bytes());
    }
}

/// Instructions with numbers that are another with each loader.
fn stands_for_the_same(
    kernel: &Kernel,
    object: &Object,
    program: &Program,
    maps: &[(c_int, String)],
    ours: &RawInsn,
    theirs: &RawInsn,
) -> bool {
    let is_nothing = |insn: &RawInsn| insn.code == CALL && insn.src == 0 && insn.imm >= Program::MISSING_KFUNC;
    if is_nothing(ours) && is_nothing(theirs) {
        return true;
    }
    if (ours.code, ours.dst, ours.src) != (theirs.code, theirs.dst, theirs.src) {
        // libbpf numbers a missing function of the kernel by its place among the externs.
        return is_missing(kernel, program, ours)
            && theirs.code == CALL
            && theirs.src == 0
            && theirs.imm >= Program::MISSING_KFUNC;
    }
    if ours.is_wide() && (ours.src == MAP || ours.src == MAP_VALUE) {
        let Some(def) = usize::try_from(ours.imm).ok().and_then(|at| program.maps.get(at)) else { return false };
        // After a map could not be made all descriptors are closed; that it is a map is all that is known then.
        let named = maps.iter().find(|(fd, _)| *fd == theirs.imm);
        return named.is_none_or(|(fd, name)| {
            // libbpf cuts some of the names that it gives.
            *fd < 0
                || object.map(name).is_some_and(|map| map.name == def.name)
                || def.name.ends_with(name.as_str())
                || def.name.starts_with(name.as_str())
        });
    }
    if ours.code == CALL && ours.src == KFUNC {
        return kfunc(kernel, program, ours) == Some(theirs.imm) && theirs.off == 0;
    }
    false
}

/// The number of the function that a call by name means.
fn kfunc(kernel: &Kernel, program: &Program, call: &RawInsn) -> Option<i32> {
    let name = &program.kfuncs.get(usize::try_from(call.imm).ok()?)?.name;
    let name = name.split_once("___").map_or(name.as_str(), |(name, _)| name);
    i32::try_from(kernel.core.btf().find(name, Kind::Func)?.0).ok()
}

fn is_missing(kernel: &Kernel, program: &Program, call: &RawInsn) -> bool {
    call.code == CALL && call.src == KFUNC && kfunc(kernel, program, call).is_none()
}

/// An instruction, for messages.
fn words(insn: &RawInsn) -> String {
    let RawInsn { code, dst, src, off, imm } = insn;
    format!("code {code:#04x} dst {dst} src {src} off {off} imm {imm}")
}
