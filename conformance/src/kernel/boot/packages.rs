//! Debian's kernels: which there are, and their images.
//!
//! apt is used with sources, lists and a state of its own in a folder, so that nothing of the machine changes: the mirror is the
//! one that the machine has, the suites are all that have kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use ring3_platform::KernelVersion;

use crate::kernel::corpus::{Absent, folder, has, list, output};

/// Suites with kernels, the oldest first. One that a mirror does not have (any more) is left out.
const SUITES: [&str; 5] = ["bullseye", "bookworm", "trixie", "trixie-backports", "sid"];
/// Where Debian's keys are, by release.
const KEYS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];
/// Kernels for virtual machines: small, with all of BPF.
const FLAVOUR: &str = "cloud-amd64";
/// What a package with an image begins with: since 6.19 the image is in one of its own, and `linux-image` is empty.
const STARTS: [&str; 2] = ["linux-binary-", "linux-image-"];
/// How old the lists of packages may be.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// A kernel that can be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kernel {
    /// Its release, such as 6.12.
    pub version: KernelVersion,
    /// Its package.
    pub package: String,
    /// What orders packages of one release: the numbers in the name, then what the package is.
    order: (Vec<u32>, u8),
}

impl Kernel {
    /// A package by name; `None` if it has no image of a kernel for virtual machines.
    pub fn of_package(name: &str) -> Option<Kernel> {
        let (at, rest) = STARTS.iter().enumerate().find_map(|(at, start)| Some((at, name.strip_prefix(start)?)))?;
        // Some kernels are there with and without a signature, some only without.
        let (release, signed) = match rest.strip_suffix("-unsigned") {
            Some(release) => (release, 0),
            None => (rest, 1),
        };
        let numbers = release.strip_suffix(FLAVOUR)?.split(['.', '-', '+']);
        let numbers: Vec<u32> = numbers.map_while(|part| part.trim_start_matches("deb").parse().ok()).collect();
        let [major, minor, ..] = numbers[..] else { return None };
        let version = KernelVersion::new(u8::try_from(major).ok()?, u8::try_from(minor).ok()?);
        let place = if at == 0 { 2 } else { signed };
        Some(Kernel { version, package: name.to_owned(), order: (numbers, place) })
    }
}

/// The newest package of each release, by release.
pub fn newest<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = names.into_iter().filter_map(Kernel::of_package).collect();
    kernels.sort_by(|a, b| (a.version, &b.order).cmp(&(b.version, &a.order)));
    kernels.dedup_by_key(|kernel| kernel.version);
    kernels
}

/// An apt of its own.
#[derive(Clone, Debug)]
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Prepares it below a folder, and fetches the lists of packages unless they are of today.
    ///
    /// Errors: there is no apt, no mirror of Debian, or none can be reached.
    pub fn new(below: &Path) -> Result<Apt, Absent> {
        let absent = |why: &str| Absent::Package { package: "linux-image".to_owned(), why: why.to_owned() };
        if !has("apt-get") || !has("dpkg-deb") {
            return Err(absent("there is no apt"));
        }
        let apt = Apt { folder: below.join("apt") };
        for part in ["etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"] {
            folder(&apt.folder.join(part))?;
        }
        let mirror = mirror().ok_or_else(|| absent("apt knows no mirror of Debian"))?;
        let keys = KEYS.iter().find(|path| Path::new(path).is_file());
        let keys = keys.map_or(String::new(), |path| format!("[signed-by={path}] "));
        let sources: String = SUITES.iter().map(|suite| format!("deb {keys}{mirror} {suite} main\n")).collect();
        let (list, status, stamp) =
            (apt.folder.join("etc/sources.list"), apt.folder.join("status"), apt.folder.join("stamp"));
        fs::write(&list, sources).map_err(Absent::file(&list))?;
        fs::write(&status, "").map_err(Absent::file(&status))?;
        let written = fs::metadata(&stamp).and_then(|data| data.modified()).ok();
        let age = written.and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_none_or(|age| age > FRESH) {
            // A suite that the mirror does not have is an error of apt, but not of ours.
            let _ = output(apt.command("apt-get").arg("update"));
            fs::write(&stamp, "").map_err(Absent::file(&stamp))?;
        }
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, path) in [("Dir::Etc", "etc"), ("Dir::State", "state"), ("Dir::Cache", "cache")] {
            command.arg("-o").arg(format!("{name}={}", self.folder.join(path).display()));
        }
        command.arg("-o").arg(format!("Dir::State::status={}", self.folder.join("status").display()));
        command.args(["-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]);
        command.args(["-o", "APT::Architecture=amd64", "-o", "Acquire::http::Timeout=30"]);
        command
    }

    /// The kernels that can be had, one for each release.
    ///
    /// Errors: those of apt.
    pub fn kernels(&self) -> Result<Vec<Kernel>, Absent> {
        let names = output(self.command("apt-cache").arg("pkgnames").arg("linux-"))?;
        Ok(newest(String::from_utf8_lossy(&names).lines()))
    }

    /// The image of a kernel, and its package's name with the version: downloaded unless they are there.
    ///
    /// Errors: those of apt and of unpacking.
    pub fn image(&self, kernel: &Kernel, below: &Path) -> Result<(PathBuf, String), Absent> {
        let here = below.join(&kernel.package);
        folder(&here)?;
        let (image, about) = (here.join("vmlinuz"), here.join("package"));
        if let (true, Ok(about)) = (image.is_file(), fs::read_to_string(&about)) {
            return Ok((image, about));
        }
        output(self.command("apt-get").args(["download", &kernel.package]).current_dir(&here))?;
        let absent = |why: &str| Absent::Package { package: kernel.package.clone(), why: why.to_owned() };
        let debs = list(&here, ".deb")?;
        let deb = debs.last().ok_or_else(|| absent("apt-get wrote no file"))?;
        unpack(deb, &here).ok_or_else(|| absent("cannot be unpacked"))?;
        let found = find(&here).ok_or_else(|| absent("has no image"))?;
        fs::rename(&found, &image).map_err(Absent::file(&image))?;
        let name = deb.file_stem().unwrap_or_default().to_string_lossy().replace("%3a", ":");
        fs::write(&about, &name).map_err(Absent::file(&about))?;
        for deb in &debs {
            fs::remove_file(deb).map_err(Absent::file(deb))?;
        }
        Ok((image, name))
    }
}

/// The mirror of Debian that this machine's apt has.
fn mirror() -> Option<String> {
    let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let targets = output(Command::new("apt-get").args(["indextargets", "--format", format])).ok()?;
    let text = String::from_utf8_lossy(&targets).into_owned();
    text.lines().find_map(|line| line.strip_prefix("Debian|Debian|")).map(str::to_owned)
}

/// Takes the image out of a package.
fn unpack(deb: &Path, into: &Path) -> Option<()> {
    let mut package = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let files = package.stdout.take()?;
    let tar = Command::new("tar").arg("-C").arg(into).args(["-x", "--wildcards", "*/vmlinuz*"]).stdin(files).status();
    let package = package.wait();
    (tar.ok()?.success() && package.ok()?.success()).then_some(())
}

/// The image among unpacked files.
fn find(below: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(below).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        if path.is_dir() { find(&path) } else { name.starts_with("vmlinuz").then_some(path) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_package_of_each_release_is_taken() {
        let names = [
            "linux-image-6.1.0-47-cloud-amd64",
            "linux-image-6.1.0-50-cloud-amd64-unsigned",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.12.94+deb13-cloud-amd64",
            "linux-image-6.12.107+deb13-cloud-amd64",
            "linux-image-6.12.107+deb13-amd64",
            "linux-image-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-image-cloud-amd64",
            "linux-image-5.10.0-32-cloud-amd64-unsigned",
        ];
        let found = newest(names);
        let found: Vec<_> = found.iter().map(|kernel| (kernel.version.to_string(), kernel.package.as_str())).collect();
        assert_eq!(
            found,
            [
                ("5.10".to_owned(), "linux-image-5.10.0-32-cloud-amd64-unsigned"),
                ("6.1".to_owned(), "linux-image-6.1.0-50-cloud-amd64"),
                ("6.12".to_owned(), "linux-image-6.12.107+deb13-cloud-amd64"),
                ("7.3".to_owned(), "linux-binary-7.3.4+deb13-cloud-amd64"),
            ]
        );
    }
}
