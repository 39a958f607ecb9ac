//! `cargo xtask arm64`: tests of machine code for arm64, executed on whatever machine this is.
//!
//! On an x86-64 machine with Debian's packages the tests are built by a compiler that has the arm64 library, and run under qemu:
//! once as a processor without FEAT_LSE and once as one with all that qemu knows. The compiler is that of the installed toolchain if
//! it has the target, else Debian's, unpacked into `target/arm64`, where nothing of it changes the system.
//! Where something cannot be had, one line says what, and that is no failure.
//! `cargo xtask arm64 differential [--cpu NAME] [OPTIONS]` runs very many generated programs instead, in a release build.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

const TRIPLE: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const QEMU: &str = "qemu-aarch64-static";
/// Debian's name for the compiler and for its library.
const COMPILER: &str = "rustc-web";
const LIBRARY: &str = "libstd-rust-web-dev";

/// Without read-modify-write instructions (FEAT_LSE), and with them.
const CPUS: [&str; 2] = ["cortex-a72", "max"];

/// What is run on each processor.
const TESTS: [&[&str]; 3] = [
    &["-p", "ring3-jit", "--lib", "--tests"],
    &["-p", "ring3-conformance", "--no-default-features", "--test", "suite", "on_the_arm64_jit"],
    &["-p", "ring3-fuzz", "--test", "differential"],
];

/// Random programs of the last of them: qemu takes some ten times what the machine itself does.
const PROGRAMS: &str = "10000";

/// Why the tests do not run.
pub enum Stop {
    /// Something is not to be had here.
    Skipped(String),
    /// Something went wrong.
    Failed(String),
}

/// Prepares and runs. `cargo` is the program, `root` the folder of the workspace.
pub fn run(cargo: &Path, root: &Path) -> Result<(), Stop> {
    let machine = Machine::new(root)?;
    for cpu in machine.cpus() {
        for tests in TESTS {
            println!("arm64: {}: cargo test {}", machine.name(cpu), tests.join(" "));
            let mut command = machine.cargo(cargo, cpu);
            command.arg("test").args(tests).env("RING3_FUZZ_PROGRAMS", PROGRAMS);
            finish(crate::testing::run(&mut command).map(|(status, _)| status), cpu)?;
        }
    }
    Ok(())
}

/// `cargo xtask arm64 differential`: very many programs. `args` is passed on, but for `--cpu NAME`, which stands for the processors.
pub fn differential(cargo: &Path, root: &Path, args: &[String]) -> Result<(), Stop> {
    let machine = Machine::new(root)?;
    let (cpus, args): (Vec<&str>, &[String]) = match args {
        [option, cpu, rest @ ..] if option == "--cpu" => (vec![cpu], rest),
        all => (machine.cpus().to_vec(), all),
    };
    for cpu in cpus {
        println!("arm64: {}: differential {}", machine.name(cpu), args.join(" "));
        let mut command = machine.cargo(cargo, cpu);
        command
            .args(["run", "--quiet", "--release", "--package", "ring3-fuzz", "--bin", "differential", "--"])
            .args(args);
        finish(command.status(), cpu)?;
    }
    Ok(())
}

fn finish(status: io::Result<ExitStatus>, cpu: &str) -> Result<(), Stop> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Stop::Failed(format!("{cpu}: {status}"))),
        Err(error) => Err(Stop::Failed(format!("cannot run cargo: {error}"))),
    }
}

/// What runs code for arm64 here.
struct Machine {
    native: bool,
    folder: PathBuf,
    rustc: Option<PathBuf>,
}

impl Machine {
    fn new(root: &Path) -> Result<Machine, Stop> {
        let folder = root.join("target/arm64");
        let native = cfg!(all(target_arch = "aarch64", target_os = "linux"));
        let rustc = if native { None } else { compiler(&folder)? };
        Ok(Machine { native, folder, rustc })
    }

    fn cpus(&self) -> &'static [&'static str] {
        if self.native { &CPUS[..1] } else { &CPUS }
    }

    fn name<'a>(&self, cpu: &'a str) -> &'a str {
        if self.native { "this machine" } else { cpu }
    }

    /// Cargo, that builds for arm64 and runs what it built.
    fn cargo(&self, cargo: &Path, cpu: &str) -> Command {
        let mut command = Command::new(cargo);
        crate::build_once(&mut command);
        if !self.native {
            let runner = format!("{QEMU} -L /usr/aarch64-linux-gnu -cpu {cpu}");
            command.env("CARGO_BUILD_TARGET", TRIPLE).env("CARGO_TARGET_DIR", self.folder.join("build"));
            command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER);
            command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner);
            command.envs(self.rustc.as_ref().map(|rustc| ("RUSTC", rustc)));
        }
        command
    }
}

/// The compiler to use: `None` if the installed one has the target.
fn compiler(folder: &Path) -> Result<Option<PathBuf>, Stop> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err(Stop::Skipped(format!("no way to run arm64 code on {}", std::env::consts::ARCH)));
    }
    for (program, package) in [(LINKER, "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"), (QEMU, "qemu-user-static")] {
        if output(Command::new(program).arg("--version")).is_none() {
            return Err(Stop::Skipped(format!("there is no {program}: apt-get install {package}")));
        }
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library = output(Command::new(rustc).args(["--print", "target-libdir", "--target", TRIPLE]));
    if library.is_some_and(|path| Path::new(path.trim()).is_dir()) {
        return Ok(None);
    }
    let wrapper = folder.join("rustc");
    if output(Command::new(&wrapper).arg("-vV")).is_none() {
        unpack(folder)?;
        write_wrapper(&wrapper, folder)?;
    }
    match output(Command::new(&wrapper).arg("-vV")) {
        Some(_) => Ok(Some(wrapper)),
        None => Err(Stop::Skipped(format!("Debian's {COMPILER} does not run here"))),
    }
}

/// Downloads the compiler, what it needs and is not installed, and the library for arm64, and unpacks them side by side.
fn unpack(folder: &Path) -> Result<(), Stop> {
    let (debs, lists, root) = (folder.join("debs"), folder.join("lists"), folder.join("root"));
    for made in [debs.join("partial"), lists.join("partial"), folder.join("cache"), root.clone()] {
        fs::create_dir_all(&made).map_err(|error| Stop::Failed(format!("{}: {error}", made.display())))?;
    }
    println!("arm64: fetching Debian's {COMPILER} into {}", folder.display());
    let set = |name: &str, path: &Path| format!("{name}={}", path.display());
    let no_package = |what: &str| Stop::Skipped(format!("apt-get does not have {what}"));
    let mut host = Command::new("apt-get");
    host.args(["install", "--download-only", "--no-install-recommends", "-y", "-qq", "-o"]);
    host.arg(set("Dir::Cache::archives", &debs)).args([COMPILER, LIBRARY]);
    output(&mut host).ok_or_else(|| no_package(COMPILER))?;
    // An index of its own: the system need not know that there is another architecture.
    let foreign = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-qq", "-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64", "-o"]);
        apt.arg(set("Dir::State::lists", &lists)).arg("-o").arg(set("Dir::Cache", &folder.join("cache")));
        apt.args(["-o", "Dir::State::status=/dev/null"]).args(arguments).current_dir(&debs);
        output(&mut apt).ok_or_else(|| no_package(&format!("{LIBRARY} for arm64")))
    };
    foreign(&["update"])?;
    foreign(&["download", LIBRARY])?;
    let entries = fs::read_dir(&debs).map_err(|error| Stop::Failed(format!("{}: {error}", debs.display())))?;
    for deb in entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "deb")) {
        let unpacked = output(Command::new("dpkg").arg("-x").arg(&deb).arg(&root));
        unpacked.ok_or_else(|| Stop::Failed(format!("dpkg cannot unpack {}", deb.display())))?;
    }
    Ok(())
}

/// A program that runs the unpacked compiler with its libraries.
fn write_wrapper(wrapper: &Path, folder: &Path) -> Result<(), Stop> {
    use std::os::unix::fs::PermissionsExt;
    let root = folder.join("root/usr");
    let text = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={0}/lib/x86_64-linux-gnu:{0}/lib exec {0}/bin/rustc \"$@\"\n",
        root.display()
    );
    let written =
        fs::write(wrapper, text).and_then(|()| fs::set_permissions(wrapper, PermissionsExt::from_mode(0o755)));
    written.map_err(|error| Stop::Failed(format!("{}: {error}", wrapper.display())))
}

/// What a program printed, if it succeeded.
fn output(command: &mut Command) -> Option<String> {
    let done = command.output().ok().filter(|done| done.status.success())?;
    Some(String::from_utf8_lossy(&done.stdout).into_owned())
}
