//! What the running kernel answers to `.kconfig` and `.ksyms`.

use std::fs;

use ring3_object::KernelValues;

use crate::inflate::gunzip;

/// The release.
const RELEASE: &str = "/proc/sys/kernel/osrelease";
/// The configuration, where the kernel has it (CONFIG_IKCONFIG_PROC).
const CONFIG: &str = "/proc/config.gz";
/// Addresses of symbols; all are zero for those who may not see them.
const SYMBOLS: &str = "/proc/kallsyms";

/// What the running kernel answers to an object: its release, its configuration (`/proc/config.gz`, or `/boot/config-RELEASE`)
/// and the addresses of its symbols. What cannot be read is not there: objects that ask for it get an error by name.
pub fn kernel_values() -> KernelValues {
    let release = fs::read_to_string(RELEASE).unwrap_or_default();
    let release = release.trim_end();
    let config = fs::read(CONFIG)
        .ok()
        .and_then(|file| gunzip(&file))
        .or_else(|| fs::read(format!("/boot/config-{release}")).ok());
    let config = String::from_utf8_lossy(config.as_deref().unwrap_or_default()).into_owned();
    let symbols = fs::read_to_string(SYMBOLS).unwrap_or_default();
    KernelValues::new(release).with_config(&config).with_symbols(&symbols)
}
