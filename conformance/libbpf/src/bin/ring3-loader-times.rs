//! `ring3-loader-times OBJECT...`: what the running kernel's types and objects cost: milliseconds, best
//! and median of several runs.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use ring3_btf::{Btf, CoreTarget};
use ring3_object::{Object, Options};

/// Where Linux has its types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// How often each is measured.
const RUNS: usize = 15;

fn main() -> ExitCode {
    let Ok(bytes) = std::fs::read(VMLINUX) else {
        println!("skipped: there is no {VMLINUX}");
        return ExitCode::SUCCESS;
    };
    let Ok(btf) = Btf::parse(&bytes) else { return ExitCode::FAILURE };
    let btf = Arc::new(btf);
    println!("{:44} {:>8} {:>8}", "ms", "best", "median");
    measure(&format!("parse {VMLINUX} ({} bytes)", bytes.len()), || drop(black_box(Btf::parse(&bytes))));
    measure("index it", || drop(black_box(CoreTarget::new(btf.clone()))));
    let core = Some(Arc::new(CoreTarget::new(btf)));
    let values = Arc::new(ring3_linux::kernel_values());
    for path in std::env::args().skip(1) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let name = path.rsplit('/').next().unwrap_or(&path);
        let open = || {
            let mut object = Object::parse(name, &bytes).ok()?;
            object.answer(values.clone());
            Some(object)
        };
        let Some(object) = open() else { continue };
        let options = Options { core: core.clone(), ..Options::default() };
        let link = || object.programs().iter().filter_map(|entry| object.program(&entry.name, &options).ok()).collect();
        let programs: Vec<_> = link();
        let slots: usize = programs.iter().map(|program| program.code.len()).sum();
        measure(&format!("open {name} ({} bytes)", bytes.len()), || drop(black_box(open())));
        measure(&format!("link its {} programs ({slots} slots)", programs.len()), || drop(black_box(link())));
    }
    ExitCode::SUCCESS
}

fn measure(what: &str, mut work: impl FnMut()) {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:44} {:8.2} {:8.2}", times[0], times[RUNS / 2]);
}
