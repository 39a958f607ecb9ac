//! Decides how the interpreter gets from one operation to the next (`interp::dispatch`).
//!
//! Handlers that end by jumping to the next handler need a compiler that turns such calls into jumps, which rustc does where
//! it optimises for speed: for size, it leaves small functions as calls, and what they give goes over the native stack.

/// Flags of rustc that say something else than the profile does, or add code to every function.
const OTHERWISE: [&str; 8] = [
    "opt-level",
    "no-prepopulate-passes",
    "passes=",
    "sanitizer",
    "instrument",
    "profile-generate",
    "stack-protector",
    "codegen-backend",
];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(threaded)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let is = |name: &str, values: &[&str]| values.contains(&var(name).as_str());
    let optimised = is("OPT_LEVEL", &["2", "3"]) && std::env::var_os("CARGO_CFG_MIRI").is_none();
    // Windows, and what has its calling convention, passes only four arguments in registers.
    let convention = is("CARGO_CFG_TARGET_ARCH", &["x86_64", "aarch64"])
        && !is("CARGO_CFG_TARGET_OS", &["windows", "uefi", "cygwin"]);
    let flags = var("CARGO_ENCODED_RUSTFLAGS");
    if optimised && convention && !OTHERWISE.iter().any(|flag| flags.contains(flag)) {
        println!("cargo::rustc-cfg=threaded");
    }
}
