//! What a program says of its functions and lines has to fit it: the same complaints as Linux's, where that runs.

use std::sync::Arc;

use ring3_btf::{LineEntry, ProgramInfo, TypeId};
use ring3_fuzz::parity::{Referee, maps, ours, parse, program};
use ring3_platform::{ProgType, Program, Target};

/// The main function, and another one in slot 5; slot 1 is the second half of an instruction.
const CODE: &str = "r1 = 0x1122334455 ll; call pc+2; r0 = 0; exit; r0 = 1; exit";

type Spoil = fn(&mut ProgramInfo);

/// What is done to the information, and what must be said.
const ROWS: &[(Spoil, &str)] = &[
    (|_| {}, ""),
    (|info| info.lines = lines(&[0, 2, 5]), ""),
    (|info| info.funcs[0].slot = 1, "nonzero insn_off 1 for the first func info record"),
    (|info| info.funcs[1].slot = 0, "same or smaller insn offset (0) than previous func info record (0)"),
    (|info| info.funcs[1].type_id = TypeId(1), "invalid type id 1 in func info"),
    (|info| info.funcs[1].type_id = TypeId(9), "invalid type id 9 in func info"),
    (|info| drop(info.funcs.pop()), "number of funcs in func_info doesn't match number of subprogs"),
    (|info| info.funcs[1].slot = 4, "func_info BTF section doesn't match subprog layout in BPF program"),
    (|info| info.lines = lines(&[0, 3, 3, 5]), "Invalid line_info[2].insn_off:3 (prev_offset:3 prog->len:7)"),
    (|info| info.lines = lines(&[0, 5, 7]), "Invalid line_info[2].insn_off:7 (prev_offset:5 prog->len:7)"),
    (|info| info.lines = lines(&[0, 1, 5]), "Invalid insn code at line_info[1].insn_off"),
    (|info| info.lines = lines(&[2, 5]), "missing bpf_line_info for func#0"),
    (|info| info.lines = lines(&[0, 6]), "missing bpf_line_info for func#1"),
    (|info| info.lines = lines(&[0, 3]), "missing bpf_line_info for 1 funcs starting from func#1"),
];

fn lines(slots: &[u32]) -> Vec<LineEntry> {
    let line = |slot: &u32| LineEntry { slot: *slot, file: "a.c".into(), text: "x;".into(), line: 1, col: 1 };
    slots.iter().map(line).collect()
}

fn spoilt(spoil: Spoil) -> Program {
    let mut program = program(ProgType::SocketFilter, parse(CODE.split(';')).unwrap(), &maps());
    let mut info = (**program.info.as_ref().unwrap()).clone();
    spoil(&mut info);
    program.info = Some(Arc::new(info));
    program
}

#[test]
fn information_has_to_fit() {
    let target = Arc::new(Target::default());
    for (spoil, message) in ROWS {
        let verdict = ours(spoilt(*spoil), &target);
        assert_eq!((verdict.message.as_str(), verdict.errno == 0), (*message, message.is_empty()));
    }
}

#[test]
fn linux_says_the_same() {
    let Some(mut referee) = Referee::open(maps()) else {
        println!("skipped: no Linux 6.18 with bpf(2) here");
        return;
    };
    for (spoil, message) in ROWS {
        let pair = referee.judge_program(spoilt(*spoil)).unwrap();
        assert_eq!((pair.linux.message.as_str(), pair.linux.errno), (*message, pair.ring3.errno));
    }
}
