//! The only process of a virtual machine: mounts what it needs, asks the kernel, writes facts to the second serial line, and
//! stops the machine. As `ring3-guest --here [FOLDER]` it asks the kernel of this machine and prints to standard output.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ring3_guest::ask::ask;
use ring3_guest::facts::line;
use ring3_guest::{objects, survey};
use ring3_isa::{Callee, Code, Insn};
use ring3_linux::{KernelTypes, LogLevel};
use ring3_platform::{AttachType, KfuncRef, ProgType, Program};

/// Where facts go to.
const SERIAL: &str = "/dev/ttyS1";
/// Objects that are part of ring3, and others.
const FOLDERS: [(&str, &str); 2] = [("program", "/objects/own"), ("corpus", "/objects/corpus")];
/// Variable with the seconds that the objects of others may take.
const SECONDS: &str = "RING3_SECONDS";
/// The same where nothing is said.
const DEFAULT_SECONDS: u64 = 60;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--here") {
        let own = arguments.get(1).map(|folder| ("program", folder.as_str()));
        everything(own.as_slice(), &mut |line| println!("{line}"));
    } else if std::process::id() == 1 {
        machine();
    } else {
        eprintln!("usage: ring3-guest --here [FOLDER OF OBJECTS]");
        std::process::exit(2);
    }
}

/// Everything that is asked, in order. What comes behind `end` may be cut off: others' objects are many.
fn everything(folders: &[(&str, &str)], out: &mut survey::Out<'_>) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    out(line("release", &[release.trim()]));
    if let Err(why) = ring3_linux::available() {
        out(line("unavailable", &[&why.to_string()]));
        return;
    }
    survey::survey(out);
    let types = KernelTypes::read().ok();
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_SECONDS);
    for (at, (kind, folder)) in folders.iter().enumerate() {
        let most = if at == 0 { Duration::MAX } else { Duration::from_secs(seconds) };
        let left = objects::judge(kind, Path::new(folder), types.as_ref(), most, out);
        if at == 0 {
            out(line("end", &["-"]));
        } else if left > 0 {
            out(line("left_out", &[&left.to_string()]));
        }
    }
}

/// The machine's life.
fn machine() {
    let mut file = match OpenOptions::new().write(true).open(SERIAL) {
        Ok(file) => file,
        Err(error) => {
            println!("ring3-guest: {SERIAL}: {error}");
            return stop();
        }
    };
    let mut out = |line: String| {
        let _ = file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n"));
    };
    without_types(&mut out);
    if let Err(error) = prepare() {
        out(line("broken", &[&error]));
    }
    everything(&FOLDERS, &mut out);
    drain(&file);
    stop();
}

/// What ring3 says where the kernel's types cannot be read: before sysfs is there, they cannot.
fn without_types(out: &mut survey::Out<'_>) {
    let said = KernelTypes::read().err().map_or("they are there".to_owned(), |error| error.to_string());
    out(line("without_types", &["read", &said]));
    let code = Code::from_insns([Insn::Call(Callee::Kfunc { id: 0, off: Program::KFUNC_BY_NAME }), Insn::Exit]);
    let kfuncs = vec![KfuncRef { name: "bpf_rdonly_cast".to_owned(), weak: false }];
    let by_name = Program { kfuncs, ..Program::new("by_name", ProgType::Xdp, code) };
    let attach = Some(AttachType::TraceFentry);
    let at_function =
        Program { attach, ..Program::new("at_function", ProgType::Tracing, Code::from_insns([Insn::Exit])) };
    for program in [by_name, at_function] {
        let said = ask(&program, 0, LogLevel::PATH);
        let errno = said.errno.map_or("-".to_owned(), |errno| errno.to_string());
        out(line("without_types", &[&program.name, &errno, said.log.trim_end()]));
    }
}

/// Mounts, and lets maps be as large as they like (before 5.11 they count as locked memory).
#[cfg(target_os = "linux")]
fn prepare() -> Result<(), String> {
    use rustix::mount::{MountFlags, mount};
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (what, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("bpf", "/sys/fs/bpf"), ("tracefs", "/sys/kernel/tracing")]
    {
        mount(what, at, what, MountFlags::empty(), None).map_err(|error| format!("{what}: {error}"))?;
    }
    setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).map_err(|error| format!("memlock: {error}"))
}

/// Waits until all was sent.
#[cfg(target_os = "linux")]
fn drain(file: &std::fs::File) {
    let _ = rustix::termios::tcdrain(file);
}

/// Restarts the machine, which ends it: qemu is told not to.
#[cfg(target_os = "linux")]
fn stop() {
    let _ = rustix::system::reboot(rustix::system::RebootCommand::Restart);
}

#[cfg(not(target_os = "linux"))]
fn prepare() -> Result<(), String> {
    Err("this is not Linux".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn drain(_file: &std::fs::File) {}

#[cfg(not(target_os = "linux"))]
fn stop() {}
