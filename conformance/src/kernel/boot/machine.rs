//! A machine of software: qemu with a kernel, an archive for it, and two serial lines into files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::kernel::boot::cpio::{Archive, Entry};
use crate::kernel::corpus::Absent;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";
/// The package that has it.
pub const PACKAGE: &str = "qemu-system-x86";
/// Memory of the machine, in MiB: the archive lies there twice while it is unpacked.
const MEMORY: &str = "3072";
/// A processor with little that is new: kernels start sooner, and qemu 7.2 has wrong what newer ones can (`max` leads to faults
/// in the kernel after minutes).
const CPU: &str = "Nehalem";
/// How often it is looked whether the machine is done.
const LOOK: Duration = Duration::from_millis(200);
/// Folders of the machine's root.
const FOLDERS: [&str; 7] = ["dev", "proc", "sys", "objects", "objects/own", "objects/corpus", "tmp"];
/// Devices: name, numbers.
const DEVICES: [(&str, u32, u32); 3] = [("dev/console", 5, 1), ("dev/null", 1, 3), ("dev/ttyS1", 4, 65)];

/// Objects for a machine: folder of the machine that they are put into, folder that their names begin at, and files.
pub type Objects<'a> = (&'a str, &'a Path, &'a [PathBuf]);

/// Writes the archive that all kernels get: the first process, and objects.
///
/// Errors: files that cannot be read or written.
pub fn archive(to: &Path, init: &Path, objects: &[Objects<'_>]) -> Result<(), Absent> {
    let bytes = fs::read(init).map_err(Absent::file(init))?;
    let file = fs::File::create(to).map_err(Absent::file(to))?;
    let write = || -> io::Result<()> {
        let mut archive = Archive::new(io::BufWriter::new(file));
        for name in FOLDERS {
            archive.add(name, Entry::Folder)?;
        }
        for (name, major, minor) in DEVICES {
            archive.add(name, Entry::Device(major, minor))?;
        }
        archive.add("init", Entry::File(&bytes, true))?;
        for (folder, below, files) in objects {
            let mut made = std::collections::BTreeSet::new();
            for path in *files {
                let name = path.strip_prefix(below).unwrap_or(path);
                let parents = name.parent().map(|parent| parent.ancestors().collect::<Vec<_>>()).unwrap_or_default();
                for parent in parents.into_iter().rev().filter(|parent| *parent != Path::new("")) {
                    if made.insert(parent.to_owned()) {
                        archive.add(&format!("{folder}/{}", parent.display()), Entry::Folder)?;
                    }
                }
                archive.add(&format!("{folder}/{}", name.display()), Entry::File(&fs::read(path)?, false))?;
            }
        }
        archive.finish().map(|_| ())
    };
    write().map_err(Absent::file(to))
}

/// How a machine is run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The kernel.
    pub image: &'a Path,
    /// What it unpacks.
    pub archive: &'a Path,
    /// Where its lines go to: `console.log` and `facts.txt`.
    pub folder: &'a Path,
    /// How long it may take.
    pub most: Duration,
    /// How long others' objects may take in it.
    pub corpus: Duration,
}

/// Runs a machine to its end. Gives what it wrote, and whether it came to its end by itself.
///
/// Errors: qemu cannot be started, or its files not be read.
pub fn run(run: &Run<'_>) -> Result<(String, bool), Absent> {
    let (console, facts) = (run.folder.join("console.log"), run.folder.join("facts.txt"));
    let seconds = run.corpus.as_secs();
    let line = format!("console=ttyS0 quiet loglevel=3 panic=-1 no_timer_check rdinit=/init RING3_SECONDS={seconds}");
    let mut command = Command::new(QEMU);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel", "tcg", "-cpu", CPU]);
    command.args(["-m", MEMORY, "-append", &line]);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    command.arg("-serial").arg(format!("file:{}", facts.display()));
    command.arg("-kernel").arg(run.image).arg("-initrd").arg(run.archive);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let fail = |error: io::Error| Absent::Command { command: QEMU.to_owned(), why: error.to_string() };
    let mut child = command.spawn().map_err(fail)?;
    let start = Instant::now();
    let ended = loop {
        if child.try_wait().map_err(fail)?.is_some() {
            break true;
        }
        if start.elapsed() > run.most {
            child.kill().map_err(fail)?;
            child.wait().map_err(fail)?;
            break false;
        }
        thread::sleep(LOOK);
    };
    // The terminal of the machine ends lines as terminals do.
    let bytes = fs::read(&facts).map_err(Absent::file(&facts))?;
    let text = String::from_utf8_lossy(&bytes).replace('\r', "");
    Ok((text, ended))
}
