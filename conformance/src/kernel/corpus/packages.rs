//! BPF objects that Debian packages have: as files, and within other binaries, which carry them among their constants.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::Release;
use super::{Absent, Corpus, digest, download, folder, list, need, output, write};

/// Packages of the release that runs.
const PACKAGES: &[&str] =
    &["libbpf-tools", "xdp-tools", "libxdp1", "golang-github-cilium-ebpf-dev", "pcp", "ir-keytable", "qemu-system-x86"];
/// A newer release, for what this one does not have, or has older.
const NEWER: &str = "forky";
/// Packages of that.
const NEWER_PACKAGES: &[&str] = &[
    "libbpf-tools",
    "udev-hid-bpf",
    "xdp-tools",
    "libxdp1",
    "xdp-tests",
    "pcp",
    "pwru",
    "suricata",
    "opensnitch-ebpf-modules",
    "rtc-testbench",
    "systemd",
    "nsd",
    "bpfilter",
    "mimic",
    "rsched",
    "bpftop",
    "knot",
    "libbpftune0",
    "libdtrace2",
    "network-manager",
    "qemu-system-x86",
];
/// Largest file that is looked through, in bytes.
const MAX_FILE: u64 = 128 << 20;
/// Deepest folder of a package.
const MAX_DEPTH: usize = 24;

/// The beginning of a 64-bit ELF file.
const ELF: &[u8] = b"\x7fELF\x02";
/// Bytes of its header.
const HEADER: usize = 64;
/// Little endian, as its sixth byte says.
const LITTLE: u8 = 1;
/// `EM_BPF`.
const MACHINE: u16 = 247;
/// A section that takes no room in the file.
const NOBITS: u32 = 8;

/// Downloads the packages and takes out the objects. Packages that cannot be had are left out.
///
/// Errors: none of them can be had.
pub fn prepare(cache: &Path) -> Result<Corpus, Absent> {
    need("dpkg-deb", "dpkg")?;
    let (mut files, mut notes) = (Vec::new(), Vec::new());
    let mut last = None;
    let mut add = |release: &str, package: &str, found: Result<Vec<PathBuf>, Absent>| match found {
        Ok(found) => {
            notes.push(format!("{release}{package} {}", found.len()));
            files.extend(found);
        }
        Err(why) => {
            notes.push(format!("{release}{package} skipped ({why})"));
            last = Some(why);
        }
    };
    let here = cache.join("packages");
    for package in PACKAGES {
        let deb = download(package, &here);
        add("", package, deb.and_then(|deb| objects("", package, &deb, cache)));
    }
    let (newer, prefix) = (cache.join(format!("packages-{NEWER}")), format!("{NEWER}."));
    match fetch_newer(&newer) {
        Ok(()) => {
            for package in NEWER_PACKAGES {
                let deb = kept(package, &newer);
                add(&prefix, package, deb.and_then(|deb| objects(&prefix, package, &deb, cache)));
            }
        }
        Err(why) => add("packages of ", NEWER, Err(why)),
    }
    match last {
        Some(why) if files.is_empty() => Err(why),
        _ => {
            let note = format!("{} objects: {}", files.len(), notes.join(", "));
            Ok(Corpus { files, ..Corpus::new("packages", note) })
        }
    }
}

/// Downloads what the newer release has, once.
fn fetch_newer(home: &Path) -> Result<(), Absent> {
    let done = home.join("done");
    if done.is_file() {
        return Ok(());
    }
    let release = Release::open(NEWER, &home.join("apt"))?;
    for package in NEWER_PACKAGES {
        // What this release does not have is told later.
        let _ = release.download(package, home);
    }
    let _ = fs::remove_dir_all(home.join("apt/lists"));
    write(&done, b"")
}

/// A package that was downloaded before.
fn kept(package: &str, home: &Path) -> Result<PathBuf, Absent> {
    let start = format!("{package}_");
    let is_it = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
    let absent = || Absent::Package { package: package.to_owned(), why: format!("{NEWER} does not have it") };
    list(home, ".deb")?.into_iter().rfind(is_it).ok_or_else(absent)
}

/// The objects of a package, each content once. Their names begin with this.
fn objects(prefix: &str, package: &str, deb: &Path, cache: &Path) -> Result<Vec<PathBuf>, Absent> {
    let name = deb.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let home = cache.join(format!("objects-{name}"));
    if !home.is_dir() {
        let (part, unpacked) = (cache.join(format!("objects-{name}.part")), cache.join(format!("{name}.unpacked")));
        for path in [&part, &unpacked] {
            let _ = fs::remove_dir_all(path);
            folder(path)?;
        }
        output(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&unpacked))?;
        let mut known = BTreeSet::new();
        search(&unpacked, MAX_DEPTH, &mut |path, bytes| {
            take(&format!("{prefix}{package}"), path, bytes, &part, &mut known)
        })?;
        let _ = fs::remove_dir_all(&unpacked);
        fs::rename(&part, &home).map_err(Absent::file(&home))?;
    }
    list(&home, ".o")
}

/// Takes a file and what is in it.
type Show<'a> = dyn FnMut(&Path, &[u8]) -> Result<(), Absent> + 'a;

/// Shows all files below a folder, in order; links are not followed.
fn search(path: &Path, depth: usize, show: &mut Show<'_>) -> Result<(), Absent> {
    let entries = fs::read_dir(path).map_err(Absent::file(path))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() && depth > 0 {
            search(&path, depth - 1, show)?;
        } else if meta.is_file() && meta.len() <= MAX_FILE {
            show(&path, &fs::read(&path).map_err(Absent::file(&path))?)?;
        }
    }
    Ok(())
}

/// Writes the objects of a file.
fn take(package: &str, path: &Path, bytes: &[u8], into: &Path, known: &mut BTreeSet<String>) -> Result<(), Absent> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".o").unwrap_or(&name);
    for (at, object) in carve(bytes).into_iter().enumerate() {
        let key = digest([object]);
        if known.insert(key) {
            let number = if at == 0 { String::new() } else { format!(".{at}") };
            write(&into.join(format!("{package}.{name}{number}.o")), object)?;
        }
    }
    Ok(())
}

/// The little endian BPF objects in a file, which may be all of it.
fn carve(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = find(bytes, from) {
        match length(&bytes[at..]) {
            Some(length) => {
                found.push(&bytes[at..at + length]);
                from = at + length;
            }
            None => from = at + 1,
        }
    }
    found
}

fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    // Files are long and beginnings rare: look for the first byte first.
    let mut at = 0;
    while let Some(next) = rest.get(at..)?.iter().position(|byte| *byte == ELF[0]) {
        at += next;
        if rest[at..].starts_with(ELF) {
            return Some(from + at);
        }
        at += 1;
    }
    None
}

/// The length of the object that begins here; `None` if it is none.
fn length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    if header[5] != LITTLE || u16_at(header, 18)? != MACHINE {
        return None;
    }
    let sections = usize::try_from(u64_at(header, 40)?).ok()?;
    let (size, count) = (usize::from(u16_at(header, 58)?), usize::from(u16_at(header, 60)?));
    let mut end = sections.checked_add(size.checked_mul(count)?)?.max(HEADER);
    for index in 0..count {
        let section = bytes.get(sections.checked_add(index * size)?..)?;
        let (kind, offset, length) = (u32_at(section, 4)?, u64_at(section, 24)?, u64_at(section, 32)?);
        if kind != NOBITS {
            end = end.max(usize::try_from(offset.checked_add(length)?).ok()?);
        }
    }
    (end <= bytes.len()).then_some(end)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, a section of eight bytes, and the table of this one section.
    fn object(machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + 8 + 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[40..48].copy_from_slice(&72u64.to_le_bytes());
        bytes[58..62].copy_from_slice(&[64, 0, 1, 0]);
        bytes[72 + 24..72 + 40].copy_from_slice(&[64, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn objects_are_found_in_other_files() {
        let one = object(MACHINE);
        assert_eq!(carve(&one), [one.as_slice()]);
        let mut file = object(62);
        file.extend([0x7f; 5]);
        file.extend(&one);
        file.extend(b"between");
        file.extend(&one);
        assert_eq!(carve(&file), [one.as_slice(), &one]);
        assert!(carve(&one[..one.len() - 1]).is_empty());
        assert!(carve(b"\x7fELF\x02").is_empty());
        let mut huge = one.clone();
        huge[40..48].fill(0xff);
        assert!(carve(&huge).is_empty());
    }
}
