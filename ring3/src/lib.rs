//! The Linux BPF virtual machine outside the kernel, to be embedded: load an object that clang compiled, have its programs
//! judged as Linux would, run them on packets, read their maps. No kernel support and no root is needed.
//!
//! An [`Engine`] holds the settings, an [`Object`] is what is in the file, an [`Instance`] is the object with its maps:
//!
//! ```no_run
//! let object = ring3::open("drop_icmp.bpf.o")?;
//! let mut instance = ring3::Engine::new().load(&object)?;
//! let ping = std::fs::read("ping.frame").unwrap();
//! let output = instance.run("drop_icmp", &ping)?;
//! assert_eq!(output.name(), Some("XDP_DROP"));
//! let drops: Option<u64> = instance.map("drop_count")?.get(0u32);
//! # Ok::<(), ring3::Error>(())
//! ```
//!
//! A program is verified before it first runs, and one that Linux would refuse does not run: [`Error::Rejected`] has the
//! kernel's message and log. [`Engine::verify`] gives the proof without running anything.
//!
//! Programs need not come from an object. This one is written as text, and returns 2 (`XDP_PASS`) for every packet:
//!
//! ```
//! use ring3::{Engine, Program, ProgType, isa};
//!
//! let code = isa::assemble("r0 = 2\nexit").unwrap();
//! let mut instance = Engine::new().load_program(Program::new("pass", ProgType::Xdp, code));
//! let output = instance.run("pass", &[0u8; 60])?;
//! assert_eq!(output.name(), Some("XDP_PASS"));
//! # Ok::<(), ring3::Error>(())
//! ```
//!
//! Filters of classic BPF, as `tcpdump -d` prints them, are translated first; what this one returns is how many bytes of a
//! packet to keep:
//!
//! ```
//! use ring3::{Engine, classic};
//!
//! // tcpdump -d arp
//! let text = "(000) ldh [12]\n(001) jeq #0x806 jt 2 jf 3\n(002) ret #262144\n(003) ret #0";
//! let filter = classic::Filter::socket(classic::parse(text)?)?;
//! let mut instance = Engine::new().load_filter(&filter)?;
//! let mut frame = [0u8; 60];
//! assert_eq!(instance.run("filter", &frame)?.retval, 0);
//! frame[12..14].copy_from_slice(&[0x08, 0x06]);
//! assert_eq!(instance.run("filter", &frame)?.retval, 262144);
//! # Ok::<(), ring3::Error>(())
//! ```
//!
//! The parts are crates of their own, and are here as modules: [`isa`] (instructions and their text), [`btf`] (types),
//! [`platform`] (what Linux offers, as tables), [`classic`]
//! (classic BPF), [`object`] (ELF), [`verifier`], [`vm`] (maps, helpers, interpreter), [`jit`].
#![forbid(unsafe_code)]

mod engine;
mod error;
mod extend;
mod given;
mod instance;
#[cfg(feature = "kernel")]
mod kernel;
mod map;
mod netfilter;
pub mod pin;
mod reader;
mod run;
pub mod sim;
pub mod struct_ops;
mod testrun;
pub mod text;
pub mod typed;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use ring3_btf as btf;
pub use ring3_classic as classic;
pub use ring3_isa as isa;
pub use ring3_jit as jit;
#[cfg(feature = "kernel")]
pub use ring3_linux as linux;
pub use ring3_object as object;
pub use ring3_platform as platform;
pub use ring3_verifier as verifier;
pub use ring3_vm as vm;

pub use engine::{Backend, Engine};
pub use error::{Error, TextError};
pub use instance::{Executable, Instance};
pub use map::{Entry, MapRef, Plain, has_values};
pub use reader::{Reader, Record};
pub use ring3_btf::Value;
pub use ring3_object::{Object, Options};
pub use ring3_platform::{AttachType, Errno, KernelVersion, MapDef, MapType, ProgType, Program, Proto, Target};
pub use ring3_verifier::{LogLevel, Rejection, VerifiedProgram};
pub use run::{Input, MAX_TRACE_LINES, Output, Runner, TraceLog, passes, takes_packet};
pub use testrun::{TEST_RUN_ON_CPU, TEST_SKB_CHECKSUM_COMPLETE, TEST_XDP_LIVE_FRAMES, TestRun, TestRunOutput};

/// Reads an object's file.
pub fn open(path: impl AsRef<Path>) -> Result<Object, Error> {
    let path = path.as_ref();
    let bytes = read(path, ring3_object::MAX_FILE)?;
    Ok(Object::parse(&path.to_string_lossy(), &bytes)?)
}

/// Sets a global variable, or a part of one (`config.ports[1]`), from text: see [`text`]. For instances loaded afterwards.
pub fn set_global(object: &mut Object, path: &str, text: &str) -> Result<(), Error> {
    let global = object.find_global(path)?;
    let btf = object.btf().cloned();
    let type_id = match btf.as_ref().and_then(|btf| btf.get(global.type_id)) {
        Some(btf::Type::Var { ty, .. }) => *ty,
        _ => global.type_id,
    };
    let wrap = |problem| Error::GlobalText { file: object.file().into(), global: path.to_owned(), problem };
    let bytes = text::parse(btf.as_deref(), type_id, global.size, text).map_err(wrap)?;
    Ok(object.set_global(path, &bytes)?)
}

/// Reads a file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let error = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than the limit tells a file that is too large, also where it is a pipe.
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(error)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
