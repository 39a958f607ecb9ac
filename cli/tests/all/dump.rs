//! `ring3 dump`, as far as it needs no verifier.

use crate::common::{example, ring3, scratch, words};
use serde_json::Value;

#[test]
fn asm_has_names_and_source_lines() {
    let ran = words("dump asm drop_icmp.bpf.o");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in [
        "drop_icmp:",
        "   0: (61) r2 = *(u32 *)(r1 +4)",
        "  17: (18) r1 = map[drop_count]",
        "  19: (85) call bpf_map_lookup_elem#1",
        "  23: (18) r1 = map[drop_icm.rodata][0]+0",
    ] {
        assert!(ran.stdout.lines().any(|l| l == line), "no '{line}' in\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("; void *end = (void *)(long)ctx->data_end; @ drop_icmp.bpf.c:19\n"), "{}", ran.stdout);
    let ran = words("dump asm hello_func.bpf.o");
    assert!(ran.stdout.contains("(85) call pc+7#get_opcode\n"), "{}", ran.stdout);
}

#[test]
fn asm_in_mnemonics() {
    let ran = words("dump asm --dialect mnemonic drop_icmp.bpf.o");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in [
        "drop_icmp:",
        "   0: ldxw %r2, [%r1+4]",
        "  17: lddw %r1, map_by_fd(0) # map[drop_count]",
        "  19: call helper 1 # bpf_map_lookup_elem",
    ] {
        assert!(ran.stdout.lines().any(|l| l == line), "no '{line}' in\n{}", ran.stdout);
    }
}

/// Each box has its instructions, each edge two boxes, and both ways of a branch are named.
#[test]
fn the_control_flow_as_a_drawing() {
    let ran = words("dump cfg subprogs.bpf.o --program subprogs");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().map(str::trim).collect();
    assert!(lines[0] == "digraph \"subprogs\" {" && lines.last() == Some(&"}"), "{}", ran.stdout);
    let boxes: Vec<&str> =
        lines.iter().filter_map(|line| line.split_once(" [label=\"")).map(|(name, _)| name).collect();
    let edges: Vec<(&str, &str)> =
        lines.iter().filter_map(|line| line.trim_end_matches(';').split_once(" -> ")).collect();
    assert!(boxes.len() > 5 && edges.len() >= boxes.len() - 3, "{}", ran.stdout);
    for (from, to) in &edges {
        let to = to.split_once(' ').map_or(*to, |(name, _)| name);
        assert!(boxes.contains(from) && boxes.contains(&to), "{from} -> {to}");
    }
    let ways = |word: &str| edges.iter().filter(|(_, to)| to.ends_with(word)).count();
    assert!(ways("[label=yes]") > 0 && ways("[label=yes]") == ways("[label=no]"));
    assert!(lines.contains(&"label=\"read_protocol\";"), "functions are clusters: {}", ran.stdout);
    // Every instruction is in one box.
    let number = |line: &str| line.trim().split_once(": ").and_then(|(slot, _)| slot.parse::<usize>().ok());
    let asm = words("dump asm subprogs.bpf.o --program subprogs");
    let labels = lines.iter().filter_map(|line| line.split_once(" [label=\"")).flat_map(|(_, text)| text.split("\\l"));
    let drawn: Vec<usize> = labels.filter_map(number).collect();
    assert_eq!(drawn, asm.stdout.lines().filter_map(number).collect::<Vec<_>>());
}

#[test]
fn maps_as_a_table_and_as_json() {
    let ran = words("dump maps tail.bpf.o");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    assert!(ran.stdout.contains("[6] = count_tcp\n"), "{}", ran.stdout);
    let ran = words("dump maps -o json flows.bpf.o");
    let maps: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(maps.len(), 3);
    assert_eq!(maps[0]["name"], "protocols");
    assert_eq!(maps[0]["key_type"], "struct protocol");
    assert_eq!(maps[0]["max_entries"], 64);
    assert_eq!(maps[2]["type"], "ringbuf");
    assert_eq!(maps[2]["key_type"], Value::Null);
    let ran = words("dump maps -o json flows.bpf.o --program flows_by_protocol");
    assert_eq!(ran.stdout.lines().count(), 3);
}

#[test]
fn btf_of_objects_and_of_raw_files() {
    let ran = words("dump btf hello.bpf.o");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("[1] PTR '(anon)' type_id=0\n[2] FUNC_PROTO '(anon)' ret_type_id=3 vlen=1\n"));
    assert!(ran.stdout.ends_with('\n'));
    let json: Value = serde_json::from_str(&words("dump btf -o json hello.bpf.o").stdout).unwrap();
    assert_eq!(json["types"][0]["kind"], "PTR");
    let c = words("dump btf --format c flows.bpf.o").stdout;
    assert!(c.starts_with("#ifndef __VMLINUX_H__\n") && c.contains("struct protocol {\n"), "{c}");
}

#[test]
fn objects_with_core_relocations() {
    let data = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../object/tests/data").join(name);
        path.to_str().unwrap().to_owned()
    };
    let (object, kernel) = (data("core.el.bpf.o"), data("core_kernel.el.bpf.o"));
    // As in the file: the program's own offset of `pid` is 0, the kernel's 16.
    let plain = ring3(["dump", "asm", &object, "--program", "offsets"]);
    assert_eq!(plain.code, Some(0), "{plain:?}");
    assert!(plain.stdout.contains("*(u32 *)(r1 +0)"), "{plain:?}");
    let relocated = ring3(["dump", "asm", &object, "--program", "offsets", "--btf", &kernel]);
    assert!(relocated.stdout.contains("*(u32 *)(r1 +16)"), "{relocated:?}");
    // `struct task` and `nickname` are there, `struct absent` is not.
    let run = ["run", &object, "--program", "types", "--packet", "00000000000000000000000000000000", "-o", "json"];
    let without = ring3(run);
    assert_eq!(without.code, Some(2), "{without:?}");
    assert!(without.stderr.contains("needs a kernel's BTF for CO-RE"), "{without:?}");
    let with = ring3(run.iter().copied().chain(["--btf", &kernel]));
    assert_eq!(with.code, Some(0), "{with:?}");
    let json: Value = serde_json::from_str(with.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(json["retval"], 5);
    let xlated = ring3(["dump", "xlated", &object, "--program", "enum_value", "--btf", &kernel]);
    assert!(xlated.stdout.contains("0x12345678"), "{xlated:?}");
}

#[test]
fn btf_of_a_module_goes_on_from_the_kernels() {
    // Its one type is a pointer to type 1 of the base; it has no strings of its own.
    let split = [&[0x9f, 0xeb, 1, 0][..], &words32(&[24, 0, 12, 12, 0, 0, 2 << 24, 1])].concat();
    let split = scratch("module.btf", &split);
    let base = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../btf/tests/data/kinds.el.btf");
    let ran = ring3(["dump", "btf", "-B", base.to_str().unwrap(), split.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.ends_with("] PTR '(anon)' type_id=1\n"), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1);
    let alone = ring3(["dump", "btf", split.to_str().unwrap()]);
    assert_eq!(alone.code, Some(2), "{alone:?}");
}

/// Little-endian bytes.
fn words32(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_ring3"))
        .args(["dump", "asm"])
        .arg(example("bpf/tcp_options.bpf.o"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn usage_errors_have_status_2_and_say_what_is_possible() {
    for (line, says) in [
        ("", "Usage"),
        ("dump asm", "<OBJ>"),
        ("dump everything drop_icmp.bpf.o", "possible values"),
        ("verify", "<OBJ>"),
        ("verify --kernel 4.15 drop_icmp.bpf.o", "Linux 4.15 is not known, only 5.4 to 7.3 are"),
        ("verify --type xpd drop_icmp.bpf.o", "socket_filter, kprobe"),
        ("verify --log-level 9 drop_icmp.bpf.o", "0..=7"),
        ("run drop_icmp.bpf.o", "--packet <HEX>|--pcap <FILE>|--ctx <FILE>|--field <NAME=VALUE>"),
        ("run drop_icmp.bpf.o --packet 00 --ctx x", "cannot be used with"),
        ("run tail.bpf.o --packet 00", "which program? --program with one of count_icmp, count_tcp"),
        ("run tail.bpf.o --program none --packet 00", "there is no program 'none'"),
        ("dump asm -o json hello.bpf.o", "-o json is for"),
        ("dump asm --format c hello.bpf.o", "--format and --base-btf are for 'dump btf'"),
        ("dump btf --format yaml hello.bpf.o", "possible values: raw, c, json"),
        ("dump btf -B hello.bpf.o hello.bpf.o", "hello.bpf.o: --base-btf is for raw BTF files"),
        ("dump xlated --dialect mnemonic hello.bpf.o", "--dialect mnemonic is for 'dump asm'"),
        ("run lb.bpf.o --set pick --packet 00", "'pick' is not KEY=VALUE"),
        ("run lb.bpf.o --set pick=many --packet 00", "global variable 'pick': 'many' is not a value"),
    ] {
        let ran = words(line);
        assert_eq!(ran.code, Some(2), "{line}: {ran:?}");
        assert!(ran.stderr.contains(says), "{line}: no '{says}' in {ran:?}");
    }
}

#[test]
fn help_teaches_by_examples() {
    for command in [&["--help"][..], &["verify", "--help"], &["run", "--help"], &["dump", "--help"]] {
        let ran = ring3(command);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stdout.contains("Examples:\n  ring3 "), "{}", ran.stdout);
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    }
}

#[test]
fn relocations_as_a_loader_logs_them() {
    let core = |name: &str| format!("../../object/tests/data/{name}.el.bpf.o");
    // What stands for a kernel's types has to be raw BTF.
    let kernel = std::fs::read(example(&format!("bpf/{}", core("core_kernel")))).unwrap();
    let kernel = ring3::Object::parse("kernel", &kernel).unwrap();
    let btf = kernel.btf().unwrap();
    let types = scratch("core_kernel.btf", &btf.to_bytes(btf.endian()));
    let ran = ring3(["dump", "relos", &core("core"), "--btf", types.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, include_str!("../../../object/tests/data/core.log"));
    let ran = ring3(["dump", "relos", &core("core"), "--program", "resized", "--btf", types.to_str().unwrap()]);
    assert_eq!(ran.stdout.lines().count(), 9, "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with("prog 'resized': relo #5: patched insn #2 (LDX/ST/STX) mem_sz 4 -> 8\n"),
        "{}",
        ran.stdout
    );
    let ran = words("dump relos events/exec_events.bpf.o");
    assert!(ran.code == Some(2) && ran.stderr.contains("needs a kernel's BTF"), "{ran:?}");
    // Of a program without relocations there is nothing to say.
    let ran = words("dump relos hello.bpf.o");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
}
