//! The tables of Linux's `test_verifier`: programs as lists of instructions, in C.
//!
//! They are compiled into a program of this machine (`conformance/kernel/tables.c`) that prints them as data, with the maps
//! and types that the test would make for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ring3_btf::{Btf, FuncEntry, Kind, ProgramInfo, Type, TypeId};
use ring3_isa::{Code, Endianness, RawInsn};
use ring3_platform::maps::{Fields, MapFlags};
use ring3_platform::{AttachType, KfuncRef, MapDef, MapType, ProgType, Program};

use super::expect::{Expected, Flags, Message, Run};
use super::selftests::{Tree, headers, tree};
use super::{Absent, Corpus, RawProgram, digest, folder, list, need, output, write};

/// The program that prints them.
const PRINTER: &str = include_str!("../../../kernel/tables.c");
/// Level of the log that the test loads with: what is wrong, and the statistics.
const DEFAULT_LEVEL: u32 = 4;
/// Wide loads whose number is a descriptor: of a map, of a map's value.
const MAP_SOURCES: [u8; 2] = [1, 2];
/// `lddw`.
const WIDE_LOAD: u8 = 0x18;
/// Source of a call of a kernel function.
const KFUNC_CALL: u8 = 2;

/// Makes the printer, and reads what it prints.
///
/// Errors: what it takes is not here.
pub fn prepare(cache: &Path, kernel: Option<&Btf>) -> Result<Corpus, Absent> {
    need("gcc", "gcc")?;
    need("python3", "python3")?;
    let tree = tree(cache)?;
    let home = cache.join(format!("tables-{}", digest([tree.version.as_bytes(), PRINTER.as_bytes()])));
    let printed = home.join("programs.txt");
    if !printed.is_file() {
        folder(&home)?;
        print(&tree, &home, &printed)?;
    }
    let text = fs::read_to_string(&printed).map_err(Absent::file(&printed))?;
    let (programs, left_out) = read(&text, kernel);
    let mut note =
        format!("{} {}: {} programs of test_verifier", super::selftests::PACKAGE, tree.version, programs.len());
    if left_out > 0 {
        note.push_str(&format!(", {left_out} of types that ring3 does not know"));
    }
    Ok(Corpus { programs, ..Corpus::new("tables", note) })
}

fn print(tree: &Tree, home: &Path, printed: &Path) -> Result<(), Absent> {
    let (tests, include) = (tree.tests(), headers(tree, home, false)?);
    folder(&home.join("verifier"))?;
    let mut all = String::new();
    for file in list(&tests.join("verifier"), ".c")? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        all.push_str(&format!(
            "{{ .descr = \"{name}\", .errstr = \"\\001file\" }},\n#include \"{}\"\n",
            file.display()
        ));
    }
    write(&home.join("verifier/tests.h"), all.as_bytes())?;
    let (source, binary) = (home.join("tables.c"), home.join("tables"));
    write(&source, PRINTER.as_bytes())?;
    let mut gcc = Command::new("gcc");
    // What the printer never calls need not be there.
    gcc.args(["-w", "-O0", "-static", "-Wl,--unresolved-symbols=ignore-all", "-I"]).arg(home).arg("-I").arg(&include);
    for part in ["tools/testing/selftests/bpf", "tools/include", "tools/include/uapi", "tools/lib"] {
        gcc.arg("-I").arg(tree.source.join(part));
    }
    output(gcc.arg(&source).arg("-o").arg(&binary))?;
    write(printed, &output(&mut Command::new(&binary))?)
}

/// What is printed about a program.
#[derive(Default)]
struct Facts<'a> {
    name: &'a str,
    is_good: bool,
    message: Option<&'a str>,
    level: Option<u32>,
    runs: Vec<Run>,
    flags: u32,
    kind: u32,
    attach: u32,
    target: Option<&'a str>,
    /// By descriptor.
    maps: Vec<(i32, MapDef)>,
    btf: Option<&'a str>,
    funcs: Vec<(u32, u32)>,
    kfuncs: Vec<(usize, &'a str)>,
    insns: &'a str,
}

/// All programs, and how many cannot be had.
fn read(text: &str, kernel: Option<&Btf>) -> (Vec<RawProgram>, usize) {
    let (mut programs, mut left_out) = (Vec::new(), 0);
    let (mut file, mut facts) = ("", Facts::default());
    for line in text.lines() {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        let mut numbers = value.split(' ').map_while(|n| n.parse::<i64>().ok());
        let mut number = || numbers.next().unwrap_or(0);
        let mut small = || u32::try_from(number()).unwrap_or(0);
        match word {
            "file" => file = value,
            "test" => facts = Facts { name: value, ..Facts::default() },
            "verdict" => facts.is_good = value == "accept",
            "message" => facts.message = Some(value),
            "level" => facts.level = Some(small()),
            "result" => facts.runs.extend(run(value)),
            "flags" => facts.flags = small(),
            "type" => facts.kind = small(),
            "attach" => facts.attach = small(),
            "target" => facts.target = Some(value),
            "map" => facts.maps.extend(map(value, &facts.maps)),
            "btf" => facts.btf = Some(value),
            "func" => facts.funcs.push((small(), small())),
            "kfunc" => {
                let (at, name) = value.split_once(' ').unwrap_or_default();
                facts.kfuncs.extend(at.parse().ok().map(|at| (at, name)));
            }
            "insns" => facts.insns = value,
            "end" => match facts.program(kernel) {
                Some(program) => programs.push(RawProgram {
                    file: format!("verifier/{file}"),
                    name: facts.name.to_owned(),
                    program: Arc::new(program),
                    expected: facts.expected(),
                }),
                None => left_out += 1,
            },
            _ => {}
        }
    }
    (programs, left_out)
}

/// `ANY RESULT DATA`.
fn run(value: &str) -> Option<Run> {
    let mut fields = value.split(' ');
    let (any, result, data) = (fields.next()? == "1", fields.next()?.parse::<u32>().ok()?, fields.next()?);
    Some(Run { data: unhex(data)?, result: (!any).then_some(result.cast_signed()) })
}

/// `FD TYPE KEY VALUE ENTRIES FLAGS INNER KEY-TYPE VALUE-TYPE EXTRA`.
fn map(value: &str, before: &[(i32, MapDef)]) -> Option<(i32, MapDef)> {
    let mut numbers = value.split(' ').map_while(|n| n.parse::<i64>().ok());
    let fd = i32::try_from(numbers.next()?).ok()?;
    let mut next = || numbers.next().and_then(|n| u32::try_from(n).ok());
    let (kind, key, value, entries) = (MapType::from_number(next()?)?, next()?, next()?, next()?);
    let (flags, inner) = (MapFlags(next()?), next()?);
    let (key_type, value_type, extra) = (next()?, next()?, next()?);
    let inner = before.iter().find(|(fd, _)| u32::try_from(*fd) == Ok(inner)).map(|(_, def)| Box::new(def.clone()));
    let name = format!("map{}", before.len());
    let def = MapDef {
        flags,
        inner,
        key_type,
        value_type,
        extra: extra.into(),
        ..MapDef::new(&name, kind, key, value, entries)
    };
    Some((fd, def))
}

impl Facts<'_> {
    fn expected(&self) -> Expected {
        let part = |part: &str| Message::Text(part.to_owned());
        let messages = self.message.into_iter().flat_map(|text| text.split('\t')).filter(|part| !part.is_empty());
        Expected {
            accepted: Some(self.is_good),
            messages: messages.map(part).collect(),
            runs: self.runs.clone(),
            log_level: Some(self.level.unwrap_or(DEFAULT_LEVEL)),
            flags: Flags::of_bits(self.flags),
            ..Expected::default()
        }
    }

    /// The program; `None` if its type is unknown here or a fact is broken.
    fn program(&self, kernel: Option<&Btf>) -> Option<Program> {
        let kind = ProgType::from_number(self.kind)?;
        let attach = if self.attach == 0 { None } else { Some(AttachType::from_number(self.attach)?) };
        let mut raw = Vec::from_iter(unhex(self.insns)?.chunks_exact(RawInsn::BYTES).map(raw_insn));
        let info = self.info();
        let mut maps: Vec<Arc<MapDef>> = Vec::new();
        let mut at_of: BTreeMap<i32, i32> = BTreeMap::new();
        for insn in raw.iter_mut().filter(|insn| insn.code == WIDE_LOAD && MAP_SOURCES.contains(&insn.src)) {
            let Some((fd, def)) = self.maps.iter().find(|(fd, _)| *fd == insn.imm) else { continue };
            insn.imm = match at_of.get(fd) {
                Some(at) => *at,
                None => {
                    let at = i32::try_from(maps.len()).ok()?;
                    let mut def = def.clone();
                    if let Some(info) = &info {
                        def.fields = Fields::of(&info.btf, &def);
                    }
                    maps.push(Arc::new(def));
                    at_of.insert(*fd, at);
                    at
                }
            };
        }
        let mut kfuncs = Vec::new();
        for (at, name) in &self.kfuncs {
            let Some(insn) = raw.get_mut(*at).filter(|insn| insn.src == KFUNC_CALL) else { continue };
            // A call of what the kernel lacks is one of number 0, as its own tests have it.
            insn.imm = 0;
            if kernel.is_some_and(|btf| btf.find(name, Kind::Func).is_some()) {
                (insn.imm, insn.off) = (i32::try_from(kfuncs.len()).ok()?, Program::KFUNC_BY_NAME);
                kfuncs.push(KfuncRef { name: (*name).to_owned(), weak: false });
            }
        }
        let mut program = Program::new(self.name, kind, Code::decode(raw));
        program.section = self.section(kind, attach);
        Flags::of_bits(self.flags).apply(&mut program);
        (program.maps, program.kfuncs, program.attach, program.info) = (maps, kfuncs, attach, info);
        Some(program)
    }

    /// Where targets are found by name, the name is in the section.
    fn section(&self, kind: ProgType, attach: Option<AttachType>) -> String {
        let Some(target) = self.target else { return String::new() };
        let prefix = match (kind, attach) {
            (ProgType::Lsm, _) => "lsm",
            (_, Some(AttachType::TraceFexit)) => "fexit",
            (_, Some(AttachType::ModifyReturn)) => "fmod_ret",
            (_, Some(AttachType::TraceRawTp)) => "tp_btf",
            (_, Some(AttachType::TraceIter)) => "iter",
            _ => "fentry",
        };
        let target = if prefix == "iter" { target.trim_start_matches("bpf_iter_") } else { target };
        format!("{prefix}/{target}")
    }

    fn info(&self) -> Option<Arc<ProgramInfo>> {
        let btf = Btf::parse(&unhex(self.btf?)?).ok()?;
        let func = |(slot, id): &(u32, u32)| {
            let type_id = TypeId(*id);
            let Some(Type::Func { linkage, .. }) = btf.get(type_id) else { return None };
            Some(FuncEntry { slot: *slot, name: btf.name(type_id).into(), type_id, linkage: *linkage })
        };
        let funcs = self.funcs.iter().map(func).collect::<Option<Vec<_>>>()?;
        Some(Arc::new(ProgramInfo {
            btf: Arc::new(btf),
            funcs,
            lines: Vec::new(),
            unresolved: Vec::new(),
            pending: Vec::new(),
        }))
    }
}

fn raw_insn(bytes: &[u8]) -> RawInsn {
    let mut raw = [0; RawInsn::BYTES];
    raw.copy_from_slice(bytes);
    RawInsn::from_bytes(raw, Endianness::Little)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|n| u8::try_from(n).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let text = "file calls.c\ntest a map, and a good end\nverdict accept\nlevel 2\nmessage R1=\t95\n\
            map 1000000 1 8 48 1 1 0 0 0 0\ntype 1\nattach 0\nflags 8\n\
            insns 1811000040420f000000000000000000b7000000000000009500000000000000\nresult 0 4294967295 0102\nend\n\
            test strict\nverdict reject\ntype 99999\ninsns 9500000000000000\nend\n";
        let (programs, left_out) = read(text, None);
        assert_eq!((programs.len(), left_out), (1, 1));
        let RawProgram { file, name, program, expected } = &programs[0];
        assert_eq!((file.as_str(), name.as_str()), ("verifier/calls.c", "a map, and a good end"));
        assert_eq!((expected.accepted, expected.log_level, expected.messages.len()), (Some(true), Some(2), 2));
        assert_eq!(expected.runs, [Run { data: vec![1, 2], result: Some(-1) }]);
        assert_eq!(program.flags, ring3_platform::LoadFlags::TEST_STATE_FREQ);
        assert_eq!((program.maps.len(), program.maps[0].value_size), (1, 48));
        assert_eq!(program.code.raw(0).map(|raw| raw.imm), Some(0));
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("012"), None);
    }
}
