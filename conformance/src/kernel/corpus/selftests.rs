//! The BPF programs of Linux's own tests, out of the Debian package `linux-source-6.12`.
//!
//! Each C file of `tools/testing/selftests/bpf/progs` becomes an object, compiled against the types of the running kernel.
//! A few need a kernel with other options and do not compile; those are counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Absent, Corpus, digest, download, each, folder, list, need, output, write};

/// The package.
pub(super) const PACKAGE: &str = "linux-source-6.12";
/// The compiler.
const CLANG: &str = "clang-19";
/// Where the kernel has its types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// What is taken out of the package.
const PARTS: &[&str] =
    &["tools/testing/selftests/bpf", "tools/lib", "tools/include", "tools/arch/x86/include", "scripts/bpf_doc.py"];
/// Flags of the compiler, but for folders.
const FLAGS: &[&str] = &[
    "-g",
    "-w",
    "-O2",
    "-std=gnu11",
    "-fno-strict-aliasing",
    "-mlittle-endian",
    "--target=bpf",
    "-mcpu=v3",
    "-D__TARGET_ARCH_x86",
    "-DENABLE_ATOMICS_TESTS",
];
/// Folders of C headers of the system.
const SYSTEM: &[&str] = &["/usr/local/include", "/usr/include/x86_64-linux-gnu", "/usr/include"];

/// Where the tests are, once they are unpacked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    /// The kernel's source, as far as it is needed.
    pub source: PathBuf,
    /// The version of the package.
    pub version: String,
}

impl Tree {
    /// `tools/testing/selftests/bpf`.
    pub fn tests(&self) -> PathBuf {
        self.source.join("tools/testing/selftests/bpf")
    }
}

/// Downloads and unpacks the source.
///
/// Errors: no apt, no network, no tools.
pub fn tree(cache: &Path) -> Result<Tree, Absent> {
    need("dpkg-deb", "dpkg")?;
    need("xz", "xz-utils")?;
    let deb = download(PACKAGE, &cache.join("packages"))?;
    let name = deb.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = name.split('_').nth(1).unwrap_or_default().to_owned();
    let home = cache.join(&name);
    let tree = Tree { source: home.join(PACKAGE), version };
    if home.is_dir() {
        return Ok(tree);
    }
    let part = cache.join(format!("{name}.part"));
    let _ = fs::remove_dir_all(&part);
    folder(&part)?;
    unpack(&deb, &part)?;
    fs::rename(&part, &home).map_err(Absent::file(&home))?;
    Ok(tree)
}

/// The package holds an archive that holds the source; neither is written to the disk whole.
fn unpack(deb: &Path, into: &Path) -> Result<(), Absent> {
    let failed = |error: std::io::Error| Absent::Command { command: "dpkg-deb".to_owned(), why: error.to_string() };
    let mut package =
        Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut archive = Command::new("tar")
        .args(["-xO", &format!("./usr/src/{PACKAGE}.tar.xz")])
        .stdin(package.stdout.take().map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let status = Command::new("tar")
        .arg("-xJC")
        .arg(into)
        .args(PARTS.iter().map(|part| format!("{PACKAGE}/{part}")))
        .stdin(archive.stdout.take().map_or_else(Stdio::null, Stdio::from))
        .stderr(Stdio::null())
        .status()
        .map_err(failed)?;
    let _ = (archive.wait(), package.wait());
    if status.success() { Ok(()) } else { Err(Absent::Command { command: "tar".to_owned(), why: status.to_string() }) }
}

/// What is generated before anything is compiled: the running kernel's types as C if they are wanted, and declarations of
/// helpers.
pub(super) fn headers(tree: &Tree, home: &Path, with_types: bool) -> Result<PathBuf, Absent> {
    let include = home.join("include");
    let bpf = include.join("bpf");
    folder(&bpf)?;
    let vmlinux = include.join("vmlinux.h");
    if with_types && !vmlinux.is_file() {
        let text = output(Command::new("bpftool").args(["btf", "dump", "file", VMLINUX, "format", "c"]))?;
        write(&vmlinux, &text)?;
    }
    let helpers = bpf.join("bpf_helper_defs.h");
    if !helpers.is_file() {
        let script = tree.source.join("scripts/bpf_doc.py");
        let uapi = tree.source.join("tools/include/uapi/linux/bpf.h");
        write(&helpers, &output(Command::new("python3").arg(script).arg("--header").arg("--file").arg(uapi))?)?;
    }
    for header in list(&tree.source.join("tools/lib/bpf"), ".h")? {
        let to = bpf.join(header.file_name().unwrap_or_default());
        if !to.is_file() {
            fs::copy(&header, &to).map_err(Absent::file(&to))?;
        }
    }
    Ok(include)
}

/// Compiles what is not compiled yet. `progress` is told how many of how many files are done.
///
/// Errors: what it takes is not here; a file that does not compile is none.
pub fn prepare(cache: &Path, threads: usize, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Corpus, Absent> {
    need(CLANG, CLANG)?;
    need("bpftool", "bpftool")?;
    need("python3", "python3")?;
    let types = fs::read(VMLINUX).map_err(Absent::file(Path::new(VMLINUX)))?;
    let tree = tree(cache)?;
    let compiler = output(Command::new(CLANG).arg("--version"))?;
    let flags = FLAGS.join(" ");
    let key = digest([tree.version.as_bytes(), &types, &compiler, flags.as_bytes()]);
    let home = cache.join(format!("selftests-{key}"));
    let include = headers(&tree, &home, true)?;
    let sources = list(&tree.tests().join("progs"), ".c")?;
    let objects = home.join("objects");
    folder(&objects)?;
    let (done, all) = (AtomicUsize::new(0), sources.len());
    each(sources, threads, |source| {
        compile(&tree, &include, &source, &objects);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
    });
    let files = list(&objects, ".bpf.o")?;
    let note = format!("{PACKAGE} {}: {} of {all} sources compile", tree.version, files.len());
    Ok(Corpus { files, ..Corpus::new("selftests", note) })
}

/// One object, or a file with what the compiler says, unless one of them is there.
fn compile(tree: &Tree, include: &Path, source: &Path, objects: &Path) {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (object, failed) = (objects.join(format!("{stem}.bpf.o")), objects.join(format!("{stem}.err")));
    if object.is_file() || failed.is_file() {
        return;
    }
    let (part, tests) = (objects.join(format!("{stem}.part")), tree.tests());
    let mut clang = Command::new(CLANG);
    clang.args(FLAGS).arg("-I").arg(include).arg("-I").arg(&tests);
    clang.arg("-I").arg(tree.source.join("tools/include/uapi"));
    for folder in SYSTEM {
        clang.args(["-idirafter", folder]);
    }
    let out = clang.arg("-c").arg(source).arg("-o").arg(&part).current_dir(&tests).stdin(Stdio::null()).output();
    match out {
        Ok(out) if out.status.success() => drop(fs::rename(&part, &object)),
        Ok(out) if out.status.code().is_some() => drop(fs::write(&failed, &out.stderr)),
        // Ended by a signal: to be tried again.
        Ok(_) | Err(_) => drop(fs::remove_file(&part)),
    }
}
