//! Packages of another release of Debian than the one that runs: apt with lists and settings of its own, in a folder of ours.
//!
//! Nothing is installed, and nothing of the machine's own apt is changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Absent, download_with, folder, has, output, write};

/// Where Debian keeps the keys of its archive.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A release whose packages can be downloaded.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    options: Vec<String>,
}

impl Release {
    /// Reads the lists of a release, from where the machine's own packages come from.
    ///
    /// Errors: no apt, no network, no such release.
    pub fn open(name: &str, home: &Path) -> Result<Release, Absent> {
        let absent = |why: &str| Absent::Package { package: format!("lists of {name}"), why: why.to_owned() };
        if !has("apt-get") {
            return Err(absent("there is no apt"));
        }
        let targets = ["--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"];
        let found = output(Command::new("apt-get").arg("indextargets").args(targets))?;
        let found = String::from_utf8_lossy(&found).into_owned();
        // Security updates come from another place than whole releases.
        let place = found.lines().find(|place| !place.contains("security"));
        let place = place.ok_or_else(|| absent("apt knows no archive of Debian"))?;
        for part in ["lists/partial", "cache/archives/partial"] {
            folder(&home.join(part))?;
        }
        write(&home.join("sources.list"), format!("deb [signed-by={KEYS}] {place} {name} main\n").as_bytes())?;
        write(&home.join("status"), b"")?;
        let release = Release { options: options(home) };
        let mut update = Command::new("apt-get");
        output(update.args(["-q", "-o", "APT::Sandbox::User=root"]).args(&release.options).arg("update"))?;
        Ok(release)
    }

    /// The package file, downloaded into a folder unless it is there.
    pub fn download(&self, package: &str, into: &Path) -> Result<PathBuf, Absent> {
        download_with(package, into, &self.options)
    }
}

fn options(home: &Path) -> Vec<String> {
    let at = |part: &str| home.join(part).display().to_string();
    let settings = [
        format!("Dir::Etc::SourceList={}", at("sources.list")),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        "Dir::Etc::Preferences=/dev/null".to_owned(),
        "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
        format!("Dir::State::Lists={}", at("lists")),
        format!("Dir::State::Status={}", at("status")),
        format!("Dir::Cache={}", at("cache")),
        "Acquire::Languages=none".to_owned(),
    ];
    settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]).collect()
}
