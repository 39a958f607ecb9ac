//! What profilers, debuggers and unwinders are told: it is read back.
#![cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), target_os = "linux"))]

use std::backtrace::Backtrace;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use ring3_isa::assemble;
use ring3_jit::symbols::{Debugger, JitDump, PerfMap, Symbols, Unwinding};
use ring3_jit::{Compiled, Jit};
use ring3_platform::{HelperId, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};
use ring3_vm::{Context, Env, Helpers, TestHost, XdpContext, link, run};

/// `bpf_get_prandom_u32`, in whose place the tests put their own.
const HELPER: u32 = 7;

/// Two functions: the main one saves R6 and has a stack, the other calls the helper.
const CALLS: &str = "
    r6 = 7
    *(u64 *)(r10 -16) = r6
    r1 = 1
    call f
    r1 = *(u64 *)(r10 -16)
    r0 += r1
    r0 += r6
    exit
    f: r7 = 5
    *(u64 *)(r10 -8) = r7
    call get_prandom_u32#7
    r0 &= 1
    r0 += r7
    exit";

fn compiled(name: &str, text: &str, helpers: &Helpers) -> (Arc<Compiled>, Arc<Program>) {
    let program = Arc::new(Program::new(name, ProgType::Xdp, assemble(text).unwrap()));
    let verified = verify(Arc::clone(&program), Arc::new(Target::default()), LogLevel::default()).unwrap();
    let linked = Arc::new(link(&verified, &[], helpers).unwrap());
    (Arc::new(Jit::compile(linked).unwrap()), program)
}

fn run_once(compiled: &Compiled) -> u64 {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let mut xdp = XdpContext::new().unwrap();
    xdp.load(&[0; 64]);
    env.ctx = Context::Xdp(xdp);
    run(compiled, &mut env).unwrap()
}

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("symbols-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn functions_cover_the_code() {
    let (compiled, program) = compiled("two of/them\n", CALLS, &Helpers::new());
    let symbols = Symbols::new(&compiled, &program);
    let names: Vec<&str> = symbols.functions.iter().map(|function| function.name.as_str()).collect();
    let [main, second, callback] = names[..] else { panic!("{names:?}") };
    let prefix = main.strip_suffix("_two_of_them_").unwrap();
    assert_eq!(prefix.len(), "bpf_prog_".len() + 16, "{prefix}");
    assert_eq!((second, callback), (&*format!("{prefix}_F1"), &*format!("{prefix}_callback")));
    let mut at = 0;
    for (index, function) in symbols.functions.iter().enumerate() {
        assert_eq!(function.code.start, at);
        at = function.code.end;
        if let Some(start) = compiled.functions().get(index) {
            assert_eq!(function.code.start, *start as usize);
        }
    }
    assert_eq!(at, compiled.code().len());
}

#[test]
fn perf_map() {
    let (compiled, program) = compiled("mapped", CALLS, &Helpers::new());
    let symbols = Symbols::new(&compiled, &program);
    let path = folder("map").join("perf.map");
    for round in 1..=2 {
        PerfMap::at(&path).unwrap().add(&compiled, &symbols).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), round * symbols.functions.len());
        for (line, function) in text.lines().rev().zip(symbols.functions.iter().rev()) {
            let [start, size, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let number = |digits| u64::from_str_radix(digits, 16).unwrap();
            assert_eq!(number(start), compiled.address() + function.code.start as u64);
            assert_eq!(number(size), function.code.len() as u64);
            assert_eq!(name, function.name);
        }
    }
    // A link is not followed.
    let link = path.with_extension("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(PerfMap::at(&link).is_err());
    assert!(PerfMap::default_path().to_string_lossy().ends_with(&format!("perf-{}.map", std::process::id())));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// A reader of native numbers.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes);
        self.0 = rest;
        taken
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.take(8).try_into().unwrap())
    }

    fn text(&mut self) -> &'a str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let text = std::str::from_utf8(self.take(end)).unwrap();
        self.take(1);
        text
    }
}

/// A program from the examples, with source lines.
fn with_lines() -> (Arc<Compiled>, Arc<Program>) {
    let file = "examples/bpf/hello_func.bpf.o";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let bytes = std::fs::read(&path).unwrap();
    let object = ring3_object::Object::parse(file, &bytes).unwrap();
    let name = object.programs()[0].name.clone();
    let program = Arc::new(object.program(&name, &ring3_object::Options::default()).unwrap());
    let verified = verify(Arc::clone(&program), Arc::new(Target::default()), LogLevel::default()).unwrap();
    let maps: Vec<_> = program.maps.iter().map(|def| ring3_vm::maps::create(def, 2).unwrap()).collect();
    let linked = Arc::new(link(&verified, &maps, &Helpers::new()).unwrap());
    (Arc::new(Jit::compile(linked).unwrap()), program)
}

#[test]
fn jit_dump() {
    let (compiled, program) = with_lines();
    let symbols = Symbols::new(&compiled, &program);
    assert!(symbols.lines.len() > 3);
    let folder = folder("dump");
    let path = {
        let mut dump = JitDump::create(&folder).unwrap();
        dump.add(&compiled, &symbols).unwrap();
        dump.path().to_owned()
    };
    let bytes = std::fs::read(&path).unwrap();
    let mut file = Reader(&bytes);
    assert_eq!([file.u32(), file.u32(), file.u32()], [0x4a69_5444, 1, 40]);
    let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    assert_eq!([file.u32(), file.u32(), file.u32()], [machine, 0, std::process::id()]);
    let begun = file.u64();
    assert_eq!(file.u64(), 0);
    let (mut functions, mut lines, mut ended, mut last) = (symbols.functions.iter(), 0, false, begun);
    while !file.0.is_empty() {
        let (kind, size, time) = (file.u32(), file.u32(), file.u64());
        let mut record = Reader(file.take(size as usize - 16));
        assert!(time >= last, "time goes on");
        last = time;
        match kind {
            0 => {
                let function = functions.next().unwrap();
                assert_eq!([record.u32(), record.u32()], [std::process::id(); 2]);
                let address = compiled.address() + function.code.start as u64;
                assert_eq!([record.u64(), record.u64()], [address; 2]);
                assert_eq!(record.u64(), function.code.len() as u64);
                record.u64();
                assert_eq!(record.text(), function.name);
                assert_eq!(record.0, &compiled.code()[function.code.clone()]);
            }
            2 => {
                record.u64();
                for _ in 0..record.u64() {
                    let want = &symbols.lines[lines];
                    assert_eq!(record.u64(), compiled.address() + want.offset as u64);
                    assert_eq!([record.u32(), record.u32()], [want.line, 0]);
                    assert_eq!(record.text(), want.file);
                    lines += 1;
                }
                assert!(record.0.is_empty());
            }
            3 => ended = true,
            other => panic!("a record of kind {other}"),
        }
    }
    assert!(functions.next().is_none() && ended);
    assert_eq!(lines, symbols.lines.len());
    std::fs::remove_dir_all(folder).unwrap();
}

/// A helper that keeps a backtrace sees through the frames of the program who ran it.
#[test]
#[inline(never)]
fn backtraces_go_through() {
    let seen = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&seen);
    let mut helpers = Helpers::new();
    let helper = move |_: &mut ring3_vm::Call<'_, '_>, _: [u64; 5]| {
        *keep.lock().unwrap() = Backtrace::force_capture().to_string();
        0
    };
    helpers.register(HelperId(HELPER), helper).unwrap();
    let (compiled, _) = compiled("unwound", CALLS, &helpers);
    let Some(unwinding) = Unwinding::register(&compiled) else { return };
    assert!(unwinding.frames().len() > 100);
    for _ in 0..2 {
        assert_eq!(run_once(&compiled), 5 + 7 + 7);
        let text = std::mem::take(&mut *seen.lock().unwrap());
        assert!(text.contains("backtraces_go_through"), "{text}");
        assert!(text.contains("run_once"), "{text}");
    }
}

#[test]
fn the_object_for_debuggers_is_an_elf() {
    let (compiled, program) = compiled("debugged", CALLS, &Helpers::new());
    let symbols = Symbols::new(&compiled, &program);
    let first = Debugger::register(&compiled, &symbols);
    let second = Debugger::register(&compiled, &symbols);
    drop(first);
    let path = folder("elf").join("object");
    std::fs::write(&path, second.object()).unwrap();
    drop(second);
    let Ok(done) = Command::new("readelf").args(["-W", "-s", "-S", "--debug-dump=frames"]).arg(&path).output() else {
        println!("skipped: there is no readelf");
        return;
    };
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    for function in &symbols.functions {
        assert!(text.contains(&function.name), "{text}");
        let start = compiled.address() + function.code.start as u64;
        assert!(text.contains(&format!("{start:016x}")), "{text}");
    }
    assert!(text.contains("DW_CFA_def_cfa_offset"), "{text}");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// What GDB is to stop at.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ring3_test_stop_here() -> u64 {
    std::hint::black_box(0)
}

/// GDB, on a process that runs a program: the backtrace in a helper names the program's functions, and goes through them.
#[test]
#[inline(never)]
fn gdb_names_the_program() {
    const CHILD: &str = "RING3_TEST_GDB_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let mut helpers = Helpers::new();
        helpers.register(HelperId(HELPER), |_: &mut ring3_vm::Call<'_, '_>, _| ring3_test_stop_here()).unwrap();
        let (compiled, program) = compiled("debugged", CALLS, &helpers);
        let symbols = Symbols::new(&compiled, &program);
        let _registered = Debugger::register(&compiled, &symbols);
        assert_eq!(run_once(&compiled), 19);
        return;
    }
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "--batch", "-ex", "set breakpoint pending on", "-ex", "break ring3_test_stop_here", "-ex", "run"]);
    gdb.args(["-ex", "bt", "-ex", "kill", "--args"]).arg(std::env::current_exe().unwrap());
    gdb.args(["--exact", "gdb_names_the_program", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let Ok(done) = gdb.output() else {
        println!("skipped: there is no gdb");
        return;
    };
    let text = String::from_utf8_lossy(&done.stdout);
    if !text.contains("Breakpoint 1, ") {
        // A process may not trace others everywhere, and emulators let nobody.
        println!("skipped: gdb does not run programs here: {text}{}", String::from_utf8_lossy(&done.stderr));
        return;
    }
    let frame = |name: &str| text.lines().position(|line| line.starts_with('#') && line.contains(name));
    let (helper, second) = (frame("ring3_test_stop_here"), frame("_F1 ("));
    let (main, outside) = (frame("_debugged ("), frame("run_once"));
    assert!(helper.is_some() && helper < second && second < main && main < outside, "{text}");
}
