//! Debian packages that let more of CI run: where it may install them, it does; elsewhere the parts that need them say that they are skipped.

use std::process::{Command, Stdio};

/// What a package is for, and its names.
const PACKAGES: &[(&str, &[&str])] = &[
    ("machine code for arm64", &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static"]),
    (
        "the corpora",
        &["clang-19", "llvm-19", "gcc", "libc6-dev", "libbpf-dev", "libelf-dev", "zlib1g-dev", "bpftool", "xz-utils"],
    ),
    ("proofs of the verifier's rules", &["python3", "python3-z3"]),
    ("filters beside tcpdump's", &["tcpdump"]),
];

/// Installs what is missing, as root of a machine that says `CI`; others are left as they are. Prints a line of what came of it.
pub fn install() {
    let missing: Vec<&str> =
        PACKAGES.iter().flat_map(|(_, names)| *names).copied().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return println!("packages: ok");
    }
    let parts: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, names)| names.iter().any(|name| missing.contains(name)))
        .map(|(part, _)| *part)
        .collect();
    if std::env::var_os("CI").is_none() {
        return println!("packages: missing for {}: apt-get install {}", parts.join(", "), missing.join(" "));
    }
    println!("packages: apt-get install {}", missing.join(" "));
    if let Err(why) = apt(&["update"])
        .and_then(|()| apt(&[&["install", "--no-install-recommends", "-y"], missing.as_slice()].concat()))
    {
        println!("packages: skipped, and with them {}: {why}", parts.join(", "));
    }
}

fn is_there(package: &str) -> bool {
    let asked = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|output| output.stdout == b"installed")
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("apt-get: {error}"))?;
    let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("apt-get {}: {last}", arguments[0])) }
}
