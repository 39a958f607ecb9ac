//! Verdicts on the programs of objects.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring3_btf::{CoreTarget, Kind};
use ring3_isa::{Code, Mention};
use ring3_linux::{KernelTypes, LogLevel};
use ring3_object::{Object, Options};
use ring3_platform::Program;
use ring3_platform::kfuncs::base_name;

use crate::ask::{Said, ask};
use crate::facts::line;
use crate::survey::Out;

/// The objects below a folder, in order.
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "o") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Has every program of every object below the folder judged alone. A row: file, program, class as in the tables of
/// `conformance/kernel`, error number, processed instructions, last line of the log. Gives how many objects were left out
/// because the time was over.
pub fn judge(kind: &str, folder: &Path, types: Option<&KernelTypes>, most: Duration, out: &mut Out<'_>) -> usize {
    let start = Instant::now();
    let core = types.map(|types| Arc::new(CoreTarget::new(Arc::new(types.btf().clone()))));
    let options = Options { core, ..Options::default() };
    let files = list(folder);
    for (at, path) in files.iter().enumerate() {
        if start.elapsed() > most {
            return files.len() - at;
        }
        let file = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        let open = |why: &str, out: &mut Out<'_>| out(line(kind, &[&file, "-", "open", "0", "0", why]));
        let object = match fs::read(path).map(|bytes| Object::parse(&file, &bytes)) {
            Ok(Ok(object)) => object,
            Ok(Err(error)) => {
                open(&error.to_string(), out);
                continue;
            }
            Err(error) => {
                open(&error.to_string(), out);
                continue;
            }
        };
        for entry in object.programs().iter().filter(|entry| entry.section != ".text") {
            let said = match object.program(&entry.name, &options) {
                Ok(program) => {
                    let target = types.and_then(|types| types.target_of(&program)).unwrap_or(0);
                    ask(&numbered(program, types), target, LogLevel::STATS)
                }
                Err(error) => {
                    let why = error.to_string();
                    out(line(kind, &[&file, &entry.name, "open", "0", "0", &why]));
                    continue;
                }
            };
            out(row(kind, &file, &entry.name, &said));
        }
    }
    0
}

/// The program with its functions of the kernel by number. Loading would find them, too, but read the kernel's types for each
/// program anew, which takes seconds in a machine of software.
fn numbered(mut program: Program, types: Option<&KernelTypes>) -> Program {
    let find = |name: &str| Some(types?.btf().find(base_name(name), Kind::Func)?.0.cast_signed());
    let ids: Option<Vec<i32>> = program.kfuncs.iter().map(|kfunc| find(&kfunc.name)).collect();
    // One that is missing is told by whoever loads.
    let Some(ids) = ids.filter(|ids| !ids.is_empty()) else { return program };
    let mut raw = program.code.raw_slice().to_vec();
    for insn in &mut raw {
        if let Some(Mention::Kfunc { id, off: Program::KFUNC_BY_NAME }) = insn.mention()
            && let Some(number) = usize::try_from(id).ok().and_then(|at| ids.get(at))
        {
            (insn.imm, insn.off) = (*number, 0);
        }
    }
    program.code = Code::decode(raw);
    program.kfuncs.clear();
    program
}

fn row(kind: &str, file: &str, program: &str, said: &Said) -> String {
    let errno = said.errno.unwrap_or(0).to_string();
    let processed = said.processed().unwrap_or(0).to_string();
    let message = if said.errno.is_none() { said.log.as_str() } else { said.message() };
    let message = if said.accepts() { "" } else { message };
    line(kind, &[file, program, said.class(), &errno, &processed, message])
}
