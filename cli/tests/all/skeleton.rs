//! `ring3 gen skeleton`.

use std::process::Command;

use crate::common::{example, ring3};

fn object(name: &str) -> String {
    example(&format!("bpf/{name}.bpf.o")).to_str().unwrap().to_owned()
}

#[test]
fn rust_is_what_is_committed() {
    // `ring3/tests/all/skeleton.rs` compiles and runs these.
    for name in ["flows", "hello"] {
        let ran = ring3(["gen", "skeleton", &object(name)]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let committed = std::fs::read_to_string(example(&format!("bpf/{name}_skel.rs"))).unwrap();
        assert!(ran.stdout == committed, "ring3 gen skeleton examples/bpf/{name}.bpf.o writes something else");
    }
}

#[test]
fn what_is_no_object_is_told_with_what_to_do() {
    let ran = ring3(["gen", "skeleton", example("README.md").to_str().unwrap()]);
    assert!(ran.code == Some(2) && ran.stderr.contains("an object is what `clang -target bpf"), "{ran:?}");
}

#[test]
fn every_example_has_skeletons() {
    for entry in std::fs::read_dir(example("bpf")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "o") {
            for lang in ["rust", "c"] {
                let ran = ring3(["gen", "skeleton", "--lang", lang, path.to_str().unwrap()]);
                assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{path:?}");
            }
        }
    }
}

/// Sizes and places that the program has, beside types of its author's that are something else.
const STRUCTS: &str = "
struct config { int other; };
typedef struct structs__config theirs;
#define HOLDS(what) _Static_assert(what, #what)
HOLDS(sizeof(theirs) == 96 && sizeof(((theirs *)0)->inner) == 16 && sizeof(((theirs *)0)->odd) == 9);
HOLDS(offsetof(theirs, inner) == 20 && offsetof(theirs, odd) == 36 && offsetof(theirs, whole) == 56);
HOLDS(offsetof(theirs, next) == 72 && offsetof(theirs, on) == 80);
HOLDS(sizeof(struct structs__corner) == 8);
HOLDS(sizeof(struct structs__bss_2) == 4 && sizeof(union structs__either) == 4);
static int uses(struct structs *skel)
{
	skel->data->config.inner[1].count = 3;
	skel->data->config.bits.high = 5;
	skel->bss->table[3].bytes[2] = 1;
	skel->bss->zeros.number = skel->data->corner.x;
	return skel->rodata->limits.second;
}
";

#[test]
fn c_compiles_with_libbpf() {
    let folder = std::env::temp_dir().join(format!("ring3-skeleton-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let probe = folder.join("probe.c");
    std::fs::write(&probe, "#include <bpf/libbpf.h>\nint main(void) { return 0; }\n").unwrap();
    let compile = |source: &std::path::Path| {
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-c", "-o"]);
        cc.arg(folder.join("out.o")).arg(source).output()
    };
    if compile(&probe).map_or(true, |out| !out.status.success()) {
        println!("skipped: there is no C compiler, or no libbpf-dev");
        return;
    }
    let structs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/structs.bpf.o").to_owned();
    let examples = ["flows", "hello", "lb", "maps"].map(|name| (name, object(name), ""));
    for (name, object, checks) in examples.into_iter().chain([("structs", structs, STRUCTS)]) {
        let ran = ring3(["gen", "skeleton", "--lang", "c", &object]);
        std::fs::write(folder.join(format!("{name}.skel.h")), &ran.stdout).unwrap();
        let source = folder.join(format!("{name}.c"));
        let text = format!(
            "#include \"{name}.skel.h\"\n{checks}\nint main(void)\n{{\n\tstruct {name} *skel = {name}__open();\n\n\
             \tif (!skel || {name}__load(skel) || {name}__attach(skel))\n\t\treturn 1;\n\
             \t{name}__detach(skel);\n\t{name}__destroy(skel);\n\treturn 0;\n}}\n"
        );
        std::fs::write(&source, text).unwrap();
        let out = compile(&source).unwrap();
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
