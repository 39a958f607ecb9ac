//! The dump of `perf`: code, names and source lines with the time when they appeared, which `perf inject --jit` makes files of
//! (`tools/perf/Documentation/jitdump-specification.txt` of Linux).
//!
//! `perf record -k mono PROGRAM; perf inject --jit -i perf.data -o perf.jit.data; perf report -i perf.jit.data`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};

use super::{Symbols, elf_machine};
use crate::Compiled;

/// `JiTD` in the byte order of this machine.
const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
const HEADER_BYTES: u32 = 40;
const PREFIX_BYTES: usize = 16;

/// What a record is of.
#[derive(Clone, Copy)]
enum Record {
    CodeLoad = 0,
    DebugInfo = 2,
    Close = 3,
}

/// A dump that is being written. Dropping it ends it.
#[derive(Debug)]
pub struct JitDump {
    file: File,
    path: PathBuf,
    next: u64,
    /// `perf` finds the file by this page, which is mapped as if it were to be executed.
    _marker: Mmap,
}

impl JitDump {
    /// Begins `jit-PID.dump` in a folder; what had that name is replaced.
    pub fn create(folder: &Path) -> io::Result<JitDump> {
        let path = folder.join(format!("jit-{}.dump", std::process::id()));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let mut header = Vec::with_capacity(HEADER_BYTES as usize);
        for word in [MAGIC, VERSION, HEADER_BYTES, elf_machine().into(), 0, std::process::id()] {
            header.extend(word.to_ne_bytes());
        }
        header.extend(now().to_ne_bytes());
        header.extend(0u64.to_ne_bytes());
        file.write_all(&header)?;
        // SAFETY: nobody reads the bytes of the mapping, so it does not matter who changes the file.
        let marker = unsafe { MmapOptions::new().len(HEADER_BYTES as usize).map_exec(&file) }?;
        Ok(JitDump { file, path, next: 0, _marker: marker })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the functions of a program, with the source lines that are known.
    pub fn add(&mut self, compiled: &Compiled, symbols: &Symbols) -> io::Result<()> {
        let mut out = Vec::new();
        for function in &symbols.functions {
            let start = compiled.address() + function.code.start as u64;
            let code = compiled.code().get(function.code.clone()).unwrap_or_default();
            let lines: Vec<_> = symbols.lines.iter().filter(|line| function.code.contains(&line.offset)).collect();
            if !lines.is_empty() {
                let mut body = Vec::new();
                body.extend(start.to_ne_bytes());
                body.extend((lines.len() as u64).to_ne_bytes());
                for line in lines {
                    body.extend((compiled.address() + line.offset as u64).to_ne_bytes());
                    body.extend(line.line.to_ne_bytes());
                    body.extend(0u32.to_ne_bytes());
                    push_text(&mut body, &line.file);
                }
                push_record(&mut out, Record::DebugInfo, &body);
            }
            let process = std::process::id();
            let mut body = Vec::with_capacity(48 + code.len());
            body.extend(process.to_ne_bytes());
            body.extend(process.to_ne_bytes());
            for word in [start, start, code.len() as u64, self.next] {
                body.extend(word.to_ne_bytes());
            }
            push_text(&mut body, &function.name);
            body.extend_from_slice(code);
            push_record(&mut out, Record::CodeLoad, &body);
            self.next += 1;
        }
        self.file.write_all(&out)
    }
}

impl Drop for JitDump {
    fn drop(&mut self) {
        let mut out = Vec::new();
        push_record(&mut out, Record::Close, &[]);
        // The dump is whole without it.
        let _ = self.file.write_all(&out);
    }
}

fn push_record(out: &mut Vec<u8>, record: Record, body: &[u8]) {
    out.extend((record as u32).to_ne_bytes());
    out.extend(((PREFIX_BYTES + body.len()) as u32).to_ne_bytes());
    out.extend(now().to_ne_bytes());
    out.extend_from_slice(body);
}

/// A text up to its NUL: what is behind one in the text itself is left out.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().take_while(|byte| *byte != 0));
    out.push(0);
}

/// `CLOCK_MONOTONIC`, by which `perf record -k mono` orders what happened; in nanoseconds.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the address is that of a `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
