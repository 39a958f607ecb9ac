//! The protocol of the public suite, from both sides.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ring3_conformance::engine::{Engine, Judges, Outcome, Plugin, Stop};
use ring3_conformance::format::{Case, parse};
use ring3_conformance::serve::{MAX_INPUT, Request, ServeError};
use ring3_isa::Endianness;

const PLUGIN: &str = env!("CARGO_BIN_EXE_ring3-plugin");
/// `r0 = *(u8 *)(r1 +1)`, `r0 += r2`, `exit`, as the public runner writes it.
const SUM: &str = "71  10  01  00  00  00  00  00  0f  20  00  00  00  00  00  00  95  00  00  00  00  00  00  00  ";

fn plugin(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(PLUGIN);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that says no at once does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Exit code, standard output and standard error.
fn said(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let output = plugin(args, input);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn gives(args: &[&str], input: &str, r0: &str) {
    assert_eq!(said(args, input), (Some(0), format!("{r0}\n"), String::new()), "{args:?}");
}

fn fails(args: &[&str], input: &str, message: &str) {
    assert_eq!(said(args, input), (Some(1), String::new(), format!("{message}\n")), "{args:?}");
}

#[test]
fn r0_is_printed_as_hex() {
    let line = format!("{SUM}\n");
    for options in [&[][..], &["--interpret"], &["--jit"], &["--jit", ""], &["", "", ""], &["--profile"]] {
        let args: Vec<&str> = ["aa  fe  00  "].iter().chain(options).copied().collect();
        gives(&args, &line, "101");
    }
}

#[test]
fn memory_may_be_absent_and_options_may_come_first() {
    let end = "b7 00 00 00 ff ff ff ff 95 00 00 00 00 00 00 00";
    for args in [&[][..], &[""], &["--jit"], &["--interpret", ""], &["", "--jit"]] {
        gives(args, end, "ffffffffffffffff");
    }
}

#[test]
fn the_program_may_be_an_argument() {
    let program = SUM.replace(' ', "");
    for engine in ["--jit", "--interpret"] {
        gives(&["0102", engine, "--program", &program], "", "4");
    }
    fails(&["--program"], "", "--program needs a value");
}

#[test]
fn what_is_wrong_goes_to_standard_error() {
    fails(&[], "", "the program is empty");
    fails(&[], "95 00", "2 bytes of code are not a multiple of 8");
    fails(&[], "95 00 00 00 0g", "program: '0g' is not hex");
    fails(&["xyz"], SUM, "memory: 'xyz' is not hex");
    fails(&["--fast"], SUM, "unknown argument '--fast', see --help");
    fails(&["aa", "bb"], SUM, "unknown argument 'bb', see --help");
    fails(&["--jit"], "b7 00 00 00 01 00 00 00 37 00 00 00 00 00 00 00 95 00 00 00 00 00 00 00", "div by zero");
}

#[test]
fn help_says_what_there_is() {
    let (code, out, err) = said(&["--help"], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for option in ["--program", "--elf", "--interpret", "--jit", "--debug"] {
        assert!(out.contains(option), "{option}");
    }
}

#[test]
fn helpers_are_those_of_the_public_suite() {
    let run = |text: &str, memory: &str| {
        let code = ring3_isa::assemble(text).unwrap().to_bytes(Endianness::Little);
        let hex: Vec<String> = code.iter().map(|byte| format!("{byte:02x}")).collect();
        let request = Request::parse([memory.to_owned(), "--interpret".to_owned()]).unwrap();
        request.serve(hex.join(" ").as_bytes()).unwrap()
    };
    assert_eq!(run("r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 0x105\ncall 0\nexit", ""), 0x01_0203_0405);
    assert_eq!(run("r6 = r1\nr2 = 1\ncall 1\nr0 = *(u16 *)(r6 +0)\nexit", "0102"), 0x022b, "memfrob: 1 ^ 42");
    assert_eq!(run("r0 = 9\ncall 2\nexit", ""), 0);
    assert_eq!(run("r1 = 99\ncall 3\nexit", ""), 9);
    assert_eq!(run("r2 = r1\nr2 += 3\ncall 4\nexit", "6162 00 6162 00"), 0);
    assert_eq!(run("r1 = 3\ncall 5\nr0 += 1\nexit", ""), 4);
    assert_eq!(run("r1 = 0\ncall 5\nr0 = 7\nexit", ""), 0, "unwound");
}

#[test]
fn requests_are_bounded() {
    let memory = "00".repeat((1 << 16) + 1);
    assert!(matches!(Request::parse([memory]), Err(ServeError::TooLong { what: "memory", .. })));
    let endless = std::io::repeat(b'0');
    let error = Request::default().serve(endless).unwrap_err();
    assert!(matches!(error, ServeError::TooLong { limit: MAX_INPUT, .. }), "{error}");
    let loops = "05 00 ff ff 00 00 00 00";
    assert!(Request::default().serve(loops.as_bytes()).unwrap_err().to_string().starts_with("no end within"));
}

/// A relocatable object with one function in `.text`, as the public runner writes it.
fn object(code: &[u8]) -> Vec<u8> {
    let names = b"\0.text\0.symtab\0.strtab\0main\0";
    let place = |name: &str| names.windows(name.len()).position(|found| found == name.as_bytes()).unwrap() as u32;
    let mut symbols = vec![0; 24];
    // Name, global function, section 1, value, size.
    symbols.extend(place("main").to_le_bytes());
    symbols.extend([0x12, 0, 1, 0]);
    symbols.extend(0u64.to_le_bytes());
    symbols.extend((code.len() as u64).to_le_bytes());
    // Name, type, flags, link and info, size of an entry.
    let sections = [
        ("", [0, 0], [0, 0], 0),
        (".text", [1, 6], [0, 0], 0),
        (".symtab", [2, 0], [3, 1], 24),
        (".strtab", [3, 0], [0, 0], 0),
    ];
    let contents = [&[], code, &symbols, names];
    let content = contents.concat();
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    // ET_REL, EM_BPF, version; entry, program headers, section headers; flags; sizes and counts; section of names.
    bytes.extend([1, 0, 247, 0, 1, 0, 0, 0]);
    bytes.extend([0, 0, 64 + content.len() as u64].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(0u32.to_le_bytes());
    bytes.extend([64u16, 0, 0, 64, sections.len() as u16, 3].iter().flat_map(|half| half.to_le_bytes()));
    bytes.extend(&content);
    let mut offset = 64u64;
    for ((name, [kind, flags], link_info, entry), content) in sections.into_iter().zip(contents) {
        let name = if name.is_empty() { 0 } else { place(name) };
        bytes.extend([name, kind].iter().flat_map(|word: &u32| word.to_le_bytes()));
        bytes.extend([u64::from(flags), 0, offset, content.len() as u64].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(link_info.iter().flat_map(|word: &u32| word.to_le_bytes()));
        bytes.extend([8, entry].iter().flat_map(|word: &u64| word.to_le_bytes()));
        offset += content.len() as u64;
    }
    bytes
}

#[test]
fn objects_are_linked_or_taken_as_they_are() {
    let hex = |text: &str| {
        let code = ring3_isa::assemble(text).unwrap().to_bytes(Endianness::Little);
        object(&code).iter().map(|byte| format!("{byte:02x}  ")).collect::<String>()
    };
    for engine in ["--interpret", "--jit"] {
        gives(&["0102", engine, "--elf"], &hex("r0 = *(u8 *)(r1 +1)\nr0 += r2\nexit"), "4");
        // The public runner names one function, whatever is called in it.
        gives(&[engine, "--elf"], &hex("call f\nexit\nf: r0 = 42\nexit"), "2a");
    }
    let (code, out, err) = said(&["--elf"], "00 11 22");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("program:"), "{err}");
}

/// `PATH --jit` from the other side.
#[test]
fn the_engine_speaks_to_it() {
    let text = "-- asm\nldxb %r0, [%r1+1]\nadd %r0, %r2\nexit\n-- mem\n01 02\n-- result\n4\n";
    let case = parse("case", text).unwrap();
    for option in ["", "--jit", "--interpret"] {
        assert_eq!(ask(&format!("{PLUGIN} {option}"), &case), Outcome::Returned(4), "{option}");
    }
}

fn ask(command: &str, case: &Case) -> Outcome {
    let mut plugin = Plugin::new(command, Duration::from_millis(500)).unwrap();
    assert_eq!(plugin.judges(), Judges::Perhaps);
    plugin.run(case)
}

fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Stopped(Stop::Failed(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[test]
fn bad_plugins_are_failures() {
    let case = parse("case", "-- asm\nexit\n-- result\n0\n").unwrap();
    assert_eq!(ask("echo 2a", &case), Outcome::Returned(42));
    assert_eq!(ask("echo 0x2a", &case), Outcome::Returned(42));
    assert_eq!(failed(ask("echo no", &case)), "'no' is no number");
    assert_eq!(failed(ask("true", &case)), "'' is no number");
    assert_eq!(failed(ask("false", &case)), "exit status: 1");
    assert!(failed(ask("cat /nonexistent-file", &case)).contains("nonexistent-file"));
    assert!(failed(ask("/nonexistent-plugin", &case)).starts_with("/nonexistent-plugin: "));
    assert!(Plugin::new("  ", Duration::from_secs(1)).is_none());
}

#[cfg(unix)]
#[test]
fn a_plugin_that_does_not_end_is_stopped() {
    let case = parse("case", "-- asm\nexit\n-- result\n0\n").unwrap();
    let started = Instant::now();
    assert_eq!(failed(ask("sleep 1000", &case)), "no answer within 0.5 s");
    assert!(started.elapsed() < Duration::from_secs(100), "it is not waited for");
    let script = std::env::temp_dir().join(format!("ring3-plugin-{}.sh", std::process::id()));
    std::fs::write(&script, "sleep 30 &\necho 2a\n").unwrap();
    assert_eq!(failed(ask(&format!("sh {}", script.display()), &case)), "'' is no number", "its child holds the pipe");
    std::fs::remove_file(script).unwrap();
    assert!(failed(ask("yes", &case)).len() < 5000, "what is said too much is not kept");
}

#[test]
fn packets_and_maps_are_not_for_plugins() {
    let packet = format!("-- asm\nexit\n-- packet\n{}\n-- result\n0\n", "00".repeat(14));
    let linux = "-- linux\n-- asm\nexit\n-- result\n0\n".to_owned();
    for text in [packet, linux] {
        let outcome = ask("echo 0", &parse("case", &text).unwrap());
        assert!(matches!(outcome, Outcome::Skipped { .. }), "{outcome:?}");
    }
}
