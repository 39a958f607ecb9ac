//! The other side of the public suite's protocol: ring3 as a plugin of its runner.
//!
//! `ring3-plugin [MEMORY] [OPTIONS]`: memory as hex is the first argument, the program as hex is on standard input, R0 as hex
//! comes out. Sources: the README of `bpf_conformance`, and what the plugins of ubpf, rbpf and libbpf take beside it.

use std::io::Read;
use std::sync::Arc;

use goblin::elf::Elf;
use ring3_isa::{Code, Endianness};
use ring3_object::{Object, Options};
use ring3_platform::{MapDef, ProgType};

use crate::engine::{self, EngineName, Outcome};
use crate::format::{Case, MAX_MEMORY_BYTES, MAX_SLOTS};

/// Bytes of text on standard input, at most: a program or an object in hex, with space between the bytes.
pub const MAX_INPUT: u64 = 1 << 24;

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: ring3-plugin [MEMORY] [OPTIONS]

A plugin of the conformance suite bpf_conformance: reads a BPF program as hex from standard input, runs it with R1 = address and
R2 = length of the memory, and prints R0 as hex.

  MEMORY         Bytes as hex; R1 and R2 are 0 without them
  --program HEX  The program, in place of standard input
  --elf          The program is an ELF object, as hex: its function 'main', or else the first one
  --interpret    Interprets the program, every access checked [default]
  --jit          Verifies the program as Linux 6.18 does and compiles it
  --debug        Says on standard error what runs
  --profile      Taken, and does nothing
  --help         Prints this
";

/// Why there is no result. What is printed is all of it: runners compare it with what a case expects.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An argument that the protocol does not have.
    #[error("unknown argument '{0}', see --help")]
    Argument(String),
    /// An option without its value.
    #[error("{0} needs a value")]
    NoValue(&'static str),
    /// Something that is no hex.
    #[error("{what}: '{text}' is not hex")]
    Hex {
        /// What it should be.
        what: &'static str,
        /// The first word that is not.
        text: String,
    },
    /// More than a plugin takes.
    #[error("{what}: more than {limit} bytes")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        limit: u64,
    },
    /// Standard input cannot be read.
    #[error("standard input: {0}")]
    Read(#[from] std::io::Error),
    /// The program is no program.
    #[error(transparent)]
    Code(#[from] ring3_isa::IsaError),
    /// The program has no instructions.
    #[error("the program is empty")]
    Empty,
    /// The object is none.
    #[error(transparent)]
    Object(#[from] Box<ring3_object::ObjectError>),
    /// The object has no function.
    #[error("the object has no program")]
    NoProgram,
    /// The engine is not here.
    #[error("{0}")]
    Engine(String),
    /// The run gave no result.
    #[error("{0}")]
    Stopped(String),
}

/// What a command line asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// Memory of the program.
    pub memory: Vec<u8>,
    /// The program as hex, if it is not on standard input.
    pub program: Option<String>,
    /// The program is an object.
    pub elf: bool,
    /// It is verified and compiled, not interpreted.
    pub jit: bool,
    /// Says what runs.
    pub debug: bool,
    /// Nothing runs.
    pub help: bool,
}

impl Request {
    /// Reads arguments, without the name of the command. Empty ones mean nothing.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Request, ServeError> {
        let mut request = Request::default();
        let mut args = args.into_iter();
        let mut first = true;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--program" => request.program = Some(args.next().ok_or(ServeError::NoValue("--program"))?),
                "--elf" => request.elf = true,
                "--jit" => request.jit = true,
                "--interpret" => request.jit = false,
                "--debug" => request.debug = true,
                "--profile" => {}
                "--help" | "-h" => request.help = true,
                empty if empty.trim().is_empty() => {}
                memory if first && !memory.starts_with('-') => {
                    request.memory = bytes("memory", memory, MAX_MEMORY_BYTES as u64)?;
                }
                _ => return Err(ServeError::Argument(arg)),
            }
            first = false;
        }
        Ok(request)
    }

    /// What runs it.
    pub fn engine(&self) -> EngineName {
        match self.jit {
            true if cfg!(target_arch = "aarch64") => EngineName::JitArm64,
            true => EngineName::JitX64,
            false => EngineName::Checked,
        }
    }

    /// Runs the program and gives R0. `input` is standard input.
    pub fn serve(&self, input: impl Read) -> Result<u64, ServeError> {
        let text = match &self.program {
            Some(text) => text.clone(),
            None => read(input)?,
        };
        let (code, maps) = self.code(&bytes("program", &text, MAX_INPUT)?)?;
        let case = Case::of_program(code, maps, self.memory.clone());
        match engine::open(&self.engine()).map_err(ServeError::Engine)?.run(&case) {
            Outcome::Returned(r0) => Ok(r0),
            Outcome::ReturnedLow(low) => Ok(low.into()),
            Outcome::Stopped(stop) => Err(ServeError::Stopped(stop.message().to_owned())),
            Outcome::Lacks { what } => Err(ServeError::Stopped(what)),
            Outcome::Skipped { reason } => Err(ServeError::Stopped(reason)),
        }
    }

    fn code(&self, bytes: &[u8]) -> Result<(Code, Vec<Arc<MapDef>>), ServeError> {
        let (code, maps) = if self.elf { linked(bytes)? } else { (Code::from_bytes(bytes, HOST)?, Vec::new()) };
        if code.is_empty() {
            return Err(ServeError::Empty);
        }
        if code.len() > MAX_SLOTS {
            return Err(ServeError::TooLong { what: "program", limit: 8 * MAX_SLOTS as u64 });
        }
        Ok((code, maps))
    }
}

/// The byte order of programs: that of the machine that runs them.
const HOST: Endianness = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };

/// The program of an object with its maps.
fn linked(bytes: &[u8]) -> Result<(Code, Vec<Arc<MapDef>>), ServeError> {
    let object = Object::parse("program", bytes).map_err(Box::new)?;
    let programs = object.programs();
    let main = programs.iter().find(|program| program.name == "main").or(programs.first());
    let main = main.ok_or(ServeError::NoProgram)?;
    let options = Options { kind: Some(ProgType::SocketFilter), ..Options::default() };
    match object.program(&main.name, &options) {
        Ok(program) => Ok((program.code, program.maps)),
        Err(error) => match plain_section(bytes, &main.section) {
            Some(code) => Ok((Code::from_bytes(code, HOST)?, Vec::new())),
            None => Err(ServeError::Object(Box::new(error))),
        },
    }
}

/// The instructions of a section that has nothing to link. The public runner writes such objects: all functions of a case are
/// one to it, so that calls in it lead to no function.
fn plain_section<'b>(bytes: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let elf = Elf::parse(bytes).ok()?;
    let at = elf.section_headers.iter().position(|header| elf.shdr_strtab.get_at(header.sh_name) == Some(name))?;
    let links = elf.shdr_relocs.iter().any(|(table, _)| elf.section_headers[*table].sh_info as usize == at);
    bytes.get(elf.section_headers[at].file_range()?).filter(|_| !links)
}

fn read(input: impl Read) -> Result<String, ServeError> {
    let mut text = String::new();
    let read = input.take(MAX_INPUT + 1).read_to_string(&mut text)? as u64;
    if read > MAX_INPUT { Err(ServeError::TooLong { what: "standard input", limit: MAX_INPUT }) } else { Ok(text) }
}

/// Bytes as hex: pairs of digits, with or without space between them, or single digits between spaces.
fn bytes(what: &'static str, text: &str, limit: u64) -> Result<Vec<u8>, ServeError> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let not_hex = || ServeError::Hex { what, text: word.chars().take(MAX_QUOTED).collect() };
        if !word.bytes().all(|byte| byte.is_ascii_hexdigit()) || word.len() > 1 && !word.len().is_multiple_of(2) {
            return Err(not_hex());
        }
        for pair in word.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).map_err(|_| not_hex())?;
            bytes.push(u8::from_str_radix(pair, 16).map_err(|_| not_hex())?);
        }
        if bytes.len() as u64 > limit {
            return Err(ServeError::TooLong { what, limit });
        }
    }
    Ok(bytes)
}

/// Characters of bad input that an error repeats.
const MAX_QUOTED: usize = 32;
