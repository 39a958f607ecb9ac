//! Small programs in which features meet, found by hand and by spoiling real programs: what Linux 6.18 says of each, and ring3.

use std::sync::Arc;

use ring3_fuzz::parity::{Referee, parse, program};
use ring3_parity::{Answer, Kernel};
use ring3_platform::{KfuncRef, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// What it is about, its type, the functions of the kernel that it calls, the program, and what is said; nothing if it is accepted.
const ROWS: &[(&str, ProgType, &[&str], &str, &str)] = &[(
    "linked numbers that are compared with one another take two places of six each: the last ones are no longer linked",
    ProgType::SocketFilter,
    &[],
    "call get_prandom_u32#7; r6 = r0; r7 = r0; r8 = r0; if r7 == r8 goto +4; if r7 != 1 goto +3; if r6 == 1 goto +2; \
         if r0 == 1 goto +1; r0 = r5; r0 = 0; exit",
    "R5 !read_ok",
)];

fn built(kind: ProgType, kfuncs: &[&str], text: &str) -> Program {
    let code = parse(text.split("; ")).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let kfuncs = kfuncs.iter().map(|name| KfuncRef { name: (*name).to_owned(), weak: false }).collect();
    Program { kfuncs, ..program(kind, code, &ring3_fuzz::parity::maps()) }
}

fn said(program: Program, target: &Arc<Target>) -> String {
    verify(Arc::new(program), Arc::clone(target), LogLevel(1)).map_or_else(|no| no.message, |_| String::new())
}

#[test]
fn linux_and_ring3_say_the_same() {
    let kernel = Kernel::open().ok().filter(|_| Referee::open(Vec::new()).is_some());
    let target = kernel.as_ref().map(Kernel::target);
    for &(what, kind, kfuncs, text, says) in ROWS {
        if let Some(kernel) = &kernel {
            let (answer, _) = kernel.judge_logged(&built(kind, kfuncs, text), ring3_linux::LogLevel::STATS);
            let Answer::Judged(verdict) = answer else { panic!("{what}: {answer:?}") };
            assert_eq!(verdict.message, says, "Linux: {what}");
        }
        // Functions of the kernel are known by its types.
        if target.is_some() || kfuncs.is_empty() {
            assert_eq!(said(built(kind, kfuncs, text), &target.clone().unwrap_or_default()), says, "{what}");
        }
    }
}

/// What a function does that is called back by a global function is done where the global one is called: here the packet moves.
#[test]
fn what_is_called_back_counts_as_called() {
    let text = "r6 = *(u32 *)(r1 +76); r7 = *(u32 *)(r1 +80); r8 = r6; r8 += 4; if r8 > r7 goto +2; call pc+3; r0 = *(u8 *)(r6 +0); \
                r0 = 0; exit; r1 = 1; r2 = subprog[+6]; r3 = 0; r4 = 0; call loop#181; r0 = 0; exit; \
                r1 = 0; r2 = 0; call skb_pull_data#39; r0 = 0; exit";
    let program = || {
        let mut program = built(ProgType::SchedCls, &[], text);
        let mut info = program.info.as_deref().cloned().unwrap();
        let mut btf = ring3_btf::Btf::clone(&info.btf);
        btf.set_linkage(info.funcs[1].type_id, ring3_btf::Linkage::Global);
        info.funcs[1].linkage = ring3_btf::Linkage::Global;
        info.btf = Arc::new(btf);
        program.info = Some(Arc::new(info));
        program
    };
    let says = "R6 invalid mem access 'scalar'";
    if let Some(kernel) = Kernel::open().ok().filter(|_| Referee::open(Vec::new()).is_some()) {
        let (answer, _) = kernel.judge_logged(&program(), ring3_linux::LogLevel::STATS);
        let Answer::Judged(verdict) = answer else { panic!("{answer:?}") };
        assert_eq!(verdict.message, says, "Linux");
    }
    assert_eq!(said(program(), &Arc::default()), says);
}
