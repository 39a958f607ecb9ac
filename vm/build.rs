//! Decides how the interpreter gets from one operation to the next (`interp::dispatch`).
//!
//! Handlers that end by jumping to the next handler need a compiler that turns such calls into jumps, which rustc does where
//! it optimises.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(threaded)");
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, values: &[&str]| std::env::var(name).is_ok_and(|value| values.contains(&value.as_str()));
    let optimised = is("OPT_LEVEL", &["2", "3", "s"]);
    let known = is("CARGO_CFG_TARGET_ARCH", &["x86_64", "aarch64"]) && !is("CARGO_CFG_TARGET_OS", &["windows"]);
    if optimised && known {
        println!("cargo::rustc-cfg=threaded");
    }
}
