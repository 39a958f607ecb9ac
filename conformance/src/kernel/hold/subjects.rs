//! Programs to look at, whatever they come from.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_object::{KernelValues, Object, Options};
use ring3_parity::Kernel;
use ring3_platform::{Program, Target};

use super::super::corpus::{Absent, Corpus, RawProgram, list};
use super::super::run::{GUESS, alone};
use crate::Error;
use crate::engine::vm::{as_program, calls_public_helper, with_prologue};
use crate::format::{Case, Input, files};

/// A program that is to be looked at.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its corpus.
    pub set: &'static str,
    /// File.
    pub file: String,
    /// Name.
    pub name: String,
    /// The program, or why there is none.
    pub program: Result<Arc<Program>, String>,
    /// Inputs of its own.
    pub given: Vec<Vec<u8>>,
}

/// What programs come from.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// A file of a corpus.
    File(&'static str, PathBuf),
    /// A program of a corpus that has no file.
    Alone(&'static str, &'a RawProgram),
    /// A case of the suite.
    Case(Box<Case>),
}

/// What judging takes.
#[derive(Debug)]
pub struct Here {
    /// Whose rules hold.
    pub target: Arc<Target>,
    core: Option<Arc<CoreTarget>>,
    values: Option<Arc<KernelValues>>,
}

impl Default for Here {
    fn default() -> Here {
        Here::new()
    }
}

impl Here {
    /// The running kernel's rules and types, where there are some.
    pub fn new() -> Here {
        let kernel = Kernel::open().ok();
        let target = kernel.as_ref().map_or_else(alone, Kernel::target);
        let core = target.btf.clone().map(|btf| Arc::new(CoreTarget::new(btf)));
        Here { target, core, values: kernel.map(|kernel| kernel.values()) }
    }
}

/// Everything that is in these corpora.
pub fn sources(corpora: &[Corpus]) -> Vec<Source<'_>> {
    corpora.iter().flat_map(of_corpus).collect()
}

fn of_corpus(corpus: &Corpus) -> Vec<Source<'_>> {
    let files = corpus.files.iter().map(|file| Source::File(corpus.name, file.clone()));
    files.chain(corpus.programs.iter().map(|program| Source::Alone(corpus.name, program))).collect()
}

/// The objects of the examples, below their folder.
///
/// Errors: it cannot be read.
pub fn examples(root: &Path) -> Result<Corpus, Absent> {
    let (mut files, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        files.extend(list(&folder, ".bpf.o")?);
        let entries = fs::read_dir(&folder).map_err(Absent::file(&folder))?;
        open.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    files.sort();
    let note = format!("{} objects", files.len());
    Ok(Corpus { files, ..Corpus::new("examples", note) })
}

/// The cases below a folder.
///
/// Errors: a file that cannot be read, or is no case.
pub fn suite(root: &Path) -> Result<Vec<Source<'static>>, Error> {
    let cases = files(root)?.into_iter().map(|file| Ok(Source::Case(Box::new(Case::read(&file)?))));
    cases.collect()
}

impl Source<'_> {
    /// Whether the name of its file, or of the case, has this in it.
    pub fn is_named(&self, part: &str) -> bool {
        match self {
            Source::File(_, path) => path.file_name().is_some_and(|name| name.to_string_lossy().contains(part)),
            Source::Alone(_, raw) => raw.file.contains(part) || raw.name.contains(part),
            Source::Case(case) => case.name.contains(part),
        }
    }

    /// Its programs.
    pub fn subjects(&self, here: &Here) -> Vec<Subject> {
        match self {
            Source::File(set, path) => of_file(set, path, here),
            Source::Alone(set, raw) => {
                let given = raw.expected.runs.iter().map(|run| run.data.clone()).collect();
                let (file, name) = (raw.file.clone(), raw.name.clone());
                vec![Subject { set, file, name, program: Ok(Arc::clone(&raw.program)), given }]
            }
            Source::Case(case) => vec![of_case(case)],
        }
    }
}

fn of_file(set: &'static str, path: &Path, here: &Here) -> Vec<Subject> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let subject =
        |name: &str, program| Subject { set, file: file.clone(), name: name.to_owned(), program, given: Vec::new() };
    let object = fs::read(path).map_err(|error| error.to_string());
    let object = object.and_then(|bytes| Object::parse(&file, &bytes).map_err(|error| error.to_string()));
    let mut object = match object {
        Ok(object) => object,
        Err(_) => return vec![subject("-", Err("an object that cannot be read".to_owned()))],
    };
    if let Some(values) = &here.values {
        object.answer(Arc::clone(values));
    }
    let options = Options { core: here.core.clone(), ..Options::default() };
    // Functions for others to call are no programs.
    let entries = object.programs().iter().filter(|entry| entry.section != ".text");
    let program = |name: &str| match GUESS.program(&object, name, &options) {
        Ok(program) => Ok(Arc::new(program)),
        Err(_) => Err("a program that cannot be linked".to_owned()),
    };
    entries.map(|entry| subject(&entry.name, program(&entry.name))).collect()
}

fn of_case(case: &Case) -> Subject {
    let (code, memory) = with_prologue(case);
    let maps = case.maps.iter().cloned().chain(memory.map(Arc::new)).collect();
    let program = match calls_public_helper(case) {
        true => Err("a helper of the public suite, of which Linux knows nothing".to_owned()),
        false => Ok(Arc::new(as_program(case, code, maps))),
    };
    let given = match &case.input {
        Input::Packet(packet) => vec![packet.clone()],
        Input::Memory(_) => Vec::new(),
    };
    Subject { set: "suite", file: "suite".to_owned(), name: case.name.clone(), program, given }
}
