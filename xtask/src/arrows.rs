//! The architecture's arrows: which crate may depend on which.

use std::path::Path;

/// Folder, and the crates of this workspace that it may use. What is not listed here is not allowed.
const ARROWS: &[(&str, &[&str])] = &[
    ("isa", &[]),
    ("btf", &[]),
    ("platform", &["ring3-isa", "ring3-btf"]),
    ("classic", &["ring3-isa", "ring3-platform"]),
    ("object", &["ring3-isa", "ring3-btf", "ring3-platform"]),
    ("verifier", &["ring3-isa", "ring3-btf", "ring3-platform"]),
    ("vm", &["ring3-isa", "ring3-btf", "ring3-platform", "ring3-verifier"]),
    ("jit", &["ring3-isa", "ring3-platform", "ring3-verifier", "ring3-vm"]),
    ("linux", &["ring3-isa", "ring3-btf", "ring3-platform", "ring3-object"]),
    ("conformance/guest", &["ring3-isa", "ring3-btf", "ring3-platform", "ring3-object", "ring3-linux"]),
    ("conformance/libbpf", &["ring3-isa", "ring3-btf", "ring3-platform", "ring3-object", "ring3-linux"]),
    ("parity", &["ring3", "ring3-isa", "ring3-btf", "ring3-platform", "ring3-object", "ring3-verifier", "ring3-linux"]),
];

/// Reads the manifests; says the first dependency that points the wrong way.
pub fn check() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace root")?;
    for (folder, allowed) in ARROWS {
        let path = root.join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for used in dependencies(&text) {
            if !allowed.contains(&used) {
                return Err(format!("{folder} must not depend on {used}"));
            }
        }
    }
    Ok(())
}

/// Names of workspace crates under `[dependencies]`; tests may use what they like.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| name.starts_with("ring3"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_follows_the_arrows() {
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn dependencies_are_read_up_to_the_next_section() {
        let manifest = "[dependencies]\nring3-isa.workspace = true\ngoblin.workspace = true\n\n[dev-dependencies]\nring3-vm.workspace = true\n";
        assert_eq!(dependencies(manifest), ["ring3-isa"]);
    }
}
