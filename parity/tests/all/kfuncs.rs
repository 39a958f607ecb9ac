//! Functions of the kernel: verdicts and messages of Linux 6.18, results on every engine; and the running kernel's, where it
//! can be asked.

use std::cell::RefCell;
use std::sync::Arc;

use ring3::{Engine, LogLevel};
use ring3_isa::Symbols;
use ring3_parity::run::Single;
use ring3_parity::{Answer, Kernel};
use ring3_platform::{KfuncRef, ProgType, Program, Target, kfunc};
use ring3_verifier::verify;

/// What comes of a program.
enum Comes {
    /// It returns this.
    Returns(u32),
    /// It is refused with these words.
    Refused(&'static str),
}
use Comes::{Refused, Returns};

/// Name, type, text, what comes.
type Case = (&'static str, ProgType, &'static str, Comes);

/// What comes of the bits 64, 70 and 128 to 191.
const fn three_words() -> u32 {
    let (mut sum, mut bit) = (64u32 * 3 + 70, 128);
    while bit < 192 {
        sum = sum.wrapping_mul(3).wrapping_add(bit);
        bit += 1;
    }
    sum
}

const CASES: &[Case] = &[
    (
        "the sum of the numbers below ten",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr6 = 0\nagain:\nr1 = r10\nr1 += -8\ncall bpf_iter_num_next\n\
         if r0 == 0 goto done\nr1 = *(u32 *)(r0 +0)\nr6 += r1\ngoto again\ndone:\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\n\
         r0 = r6\nexit",
        Returns(45),
    ),
    (
        "a range the wrong way round is empty, and says so",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 7\nr3 = -7\ncall bpf_iter_num_new\nr6 = r0\nr1 = r10\nr1 += -8\ncall bpf_iter_num_next\n\
         if r0 == 0 goto done\nr6 = 1\ndone:\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = r6\nexit",
        Returns(0xffff_ffea),
    ),
    (
        "a range that is too long is empty",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = -8\nr3 = 0x7fffffff\ncall bpf_iter_num_new\nr6 = r0\nr1 = r10\nr1 += -8\ncall bpf_iter_num_next\n\
         if r0 == 0 goto done\nr6 = 1\ndone:\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = r6\nexit",
        Returns(0xffff_fff9),
    ),
    (
        "the sum of the numbers of the bits of one word",
        ProgType::Xdp,
        "r1 = 0x8000000100000006 ll\n*(u64 *)(r10 -24) = r1\nr1 = r10\nr1 += -16\nr2 = r10\nr2 += -24\nr3 = 1\n\
         call bpf_iter_bits_new\nr6 = r0\nagain:\nr1 = r10\nr1 += -16\ncall bpf_iter_bits_next\nif r0 == 0 goto done\n\
         r1 = *(u32 *)(r0 +0)\nr6 += r1\nr6 <<= 1\ngoto again\ndone:\nr1 = r10\nr1 += -16\ncall bpf_iter_bits_destroy\n\
         r0 = r6\nexit",
        Returns(2 * (63 + 2 * (32 + 2 * (2 + 2)))),
    ),
    (
        "the bits of three words, the first of which is empty",
        ProgType::SchedCls,
        "*(u64 *)(r10 -40) = 0\n*(u64 *)(r10 -32) = 0x41\n*(u64 *)(r10 -24) = -1\nr1 = r10\nr1 += -16\nr2 = r10\nr2 += -40\n\
         r3 = 3\ncall bpf_iter_bits_new\nr6 = r0\nagain:\nr1 = r10\nr1 += -16\ncall bpf_iter_bits_next\nif r0 == 0 goto done\n\
         r1 = *(u32 *)(r0 +0)\nr6 *= 3\nr6 += r1\ngoto again\ndone:\nr1 = r10\nr1 += -16\n\
         call bpf_iter_bits_destroy\nr0 = r6\nexit",
        Returns(three_words()),
    ),
    (
        "no words at all",
        ProgType::Xdp,
        "r1 = r10\nr1 += -16\nr2 = r10\nr2 += -24\nr3 = 0\ncall bpf_iter_bits_new\nr6 = r0\nr1 = r10\nr1 += -16\n\
         call bpf_iter_bits_next\nif r0 == 0 goto done\nr6 = 1\ndone:\nr1 = r10\nr1 += -16\ncall bpf_iter_bits_destroy\n\
         r0 = r6\nexit",
        Returns(0xffff_ffea),
    ),
    (
        "more words than an iterator takes",
        ProgType::Xdp,
        "r1 = r10\nr1 += -16\nr2 = r10\nr2 += -24\nr3 = 512\ncall bpf_iter_bits_new\nr6 = r0\nr1 = r10\nr1 += -16\n\
         call bpf_iter_bits_next\nif r0 == 0 goto done\nr6 = 1\ndone:\nr1 = r10\nr1 += -16\ncall bpf_iter_bits_destroy\n\
         r0 = r6\nexit",
        Returns(0xffff_fff9),
    ),
    (
        "words at an address where nothing is",
        ProgType::Xdp,
        "r1 = r10\nr1 += -16\nr2 = 8\nr3 = 1\ncall bpf_iter_bits_new\nr6 = r0\nr1 = r10\nr1 += -16\n\
         call bpf_iter_bits_next\nif r0 == 0 goto done\nr6 = 1\ndone:\nr1 = r10\nr1 += -16\ncall bpf_iter_bits_destroy\n\
         r0 = r6\nexit",
        Returns(0xffff_fff2),
    ),
    (
        "one loop inside of another, and only the upper part of the range",
        ProgType::SchedCls,
        "r7 = 0\nr1 = r10\nr1 += -8\nr2 = -2\nr3 = 3\ncall bpf_iter_num_new\nouter:\nr1 = r10\nr1 += -8\ncall bpf_iter_num_next\n\
         if r0 == 0 goto done\nr6 = *(s32 *)(r0 +0)\nr1 = r10\nr1 += -16\nr2 = 0\nr3 = 4\ncall bpf_iter_num_new\ninner:\nr1 = r10\n\
         r1 += -16\ncall bpf_iter_num_next\nif r0 == 0 goto left\nif r6 s< 0 goto inner\nr7 += 1\ngoto inner\nleft:\nr1 = r10\n\
         r1 += -16\ncall bpf_iter_num_destroy\ngoto outer\ndone:\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = r7\nexit",
        Returns(12),
    ),
    (
        "a counter that no decision relies on does not keep the loop from converging",
        ProgType::Xdp,
        "r6 = 0\nr7 = 0\nr1 = r10\nr1 += -8\nr2 = 0\nr3 = 1000000\ncall bpf_iter_num_new\nagain:\nr1 = r10\nr1 += -8\n\
         call bpf_iter_num_next\nif r0 == 0 goto done\nr6 += 3\nr7 += r6\ngoto again\ndone:\nr1 = r10\nr1 += -8\n\
         call bpf_iter_num_destroy\nr0 = r6\nexit",
        Returns(3_000_000),
    ),
    (
        "an iterator that is not given back",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr0 = 0\nexit",
        Refused("BPF_EXIT instruction in main prog would lead to reference leak"),
    ),
    (
        "an iterator that is given back twice",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr1 = r10\nr1 += -8\n\
         call bpf_iter_num_destroy\nr0 = 0\nexit",
        Refused("expected an initialized iter_num as arg #0"),
    ),
    (
        "an iterator that is made twice",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr0 = 0\n\
         exit",
        Refused("expected uninitialized iter_num as arg #0"),
    ),
    (
        "an iterator that was never made",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\ncall bpf_iter_num_next\nr0 = 0\nexit",
        Refused("expected an initialized iter_num as arg #0"),
    ),
    (
        "an iterator between two slots",
        ProgType::Xdp,
        "r1 = r10\nr1 += -12\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr0 = 0\nexit",
        Refused("expected uninitialized iter_num as arg #0"),
    ),
    (
        "an iterator that is not on the stack",
        ProgType::Xdp,
        "r2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr0 = 0\nexit",
        Refused("arg#0 expected pointer to an iterator on stack"),
    ),
    (
        "an iterator that is read",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr0 = *(u32 *)(r10 -8)\nexit",
        Refused("invalid read from stack off -8+0 size 4"),
    ),
    (
        "an iterator that is overwritten",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr1 = 5\n*(u16 *)(r10 -6) = r1\nr1 = r10\nr1 += -8\n\
         call bpf_iter_num_destroy\nr0 = 0\nexit",
        Refused("expected an initialized iter_num as arg #0"),
    ),
    (
        "what an iterator gives is read only",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr1 = r10\nr1 += -8\ncall bpf_iter_num_next\nif r0 == 0 goto done\n\
         r1 = 1\n*(u32 *)(r0 +0) = r1\ndone:\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = 0\nexit",
        Refused("R0 cannot write into rdonly_mem"),
    ),
    (
        "what an iterator gave is gone with it",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr1 = r10\nr1 += -8\ncall bpf_iter_num_next\nr6 = r0\n\
         if r0 == 0 goto done\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = *(u32 *)(r6 +0)\nexit\ndone:\nr1 = r10\nr1 += -8\n\
         call bpf_iter_num_destroy\nr0 = 0\nexit",
        Refused("R6 invalid mem access 'scalar'"),
    ),
    (
        "a pointer where a number belongs",
        ProgType::Xdp,
        "r2 = r1\nr1 = r10\nr1 += -8\nr3 = 10\ncall bpf_iter_num_new\nr0 = 0\nexit",
        Refused("R2 is not a scalar"),
    ),
    (
        "nothing where a number belongs",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr3 = 10\ncall bpf_iter_num_new\nr0 = 0\nexit",
        Refused("R2 is not a scalar"),
    ),
    (
        "sections that are left in order",
        ProgType::Xdp,
        "call bpf_rcu_read_lock\ncall bpf_preempt_disable\ncall bpf_preempt_disable\nr1 = r10\nr1 += -8\ncall bpf_local_irq_save\n\
         r1 = r10\nr1 += -16\ncall bpf_local_irq_save\nr1 = r10\nr1 += -16\ncall bpf_local_irq_restore\nr1 = r10\nr1 += -8\n\
         call bpf_local_irq_restore\ncall bpf_preempt_enable\ncall bpf_preempt_enable\ncall bpf_rcu_read_unlock\nr0 = 3\nexit",
        Returns(3),
    ),
    (
        "an RCU section that stays open",
        ProgType::Xdp,
        "call bpf_rcu_read_lock\nr0 = 0\nexit",
        Refused("BPF_EXIT instruction in main prog cannot be used inside bpf_rcu_read_lock-ed region"),
    ),
    (
        "an RCU section inside of another",
        ProgType::Xdp,
        "call bpf_rcu_read_lock\ncall bpf_rcu_read_lock\nr0 = 0\nexit",
        Refused("nested rcu read lock (kernel function bpf_rcu_read_lock)"),
    ),
    (
        "the end of an RCU section that was not begun",
        ProgType::Xdp,
        "call bpf_rcu_read_unlock\nr0 = 0\nexit",
        Refused("unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)"),
    ),
    (
        "preemption that stays disabled",
        ProgType::Xdp,
        "call bpf_preempt_disable\ncall bpf_preempt_disable\ncall bpf_preempt_enable\nr0 = 0\nexit",
        Refused("BPF_EXIT instruction in main prog cannot be used inside bpf_preempt_disable-ed region"),
    ),
    (
        "preemption that was not disabled",
        ProgType::Xdp,
        "call bpf_preempt_enable\nr0 = 0\nexit",
        Refused("unmatched attempt to enable preemption (kernel function bpf_preempt_enable)"),
    ),
    (
        "interrupts that stay disabled",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\ncall bpf_local_irq_save\nr0 = 0\nexit",
        Refused("BPF_EXIT instruction in main prog cannot be used inside bpf_local_irq_save-ed region"),
    ),
    (
        "a flag that was not saved",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\ncall bpf_local_irq_restore\nr0 = 0\nexit",
        Refused("expected an initialized irq flag as arg#0"),
    ),
    (
        "a flag that is saved twice to the same place",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\ncall bpf_local_irq_save\nr1 = r10\nr1 += -8\ncall bpf_local_irq_save\nr0 = 0\nexit",
        Refused("expected uninitialized irq flag as arg#0"),
    ),
    (
        "flags that are restored in the order in which they were saved",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\ncall bpf_local_irq_save\nr1 = r10\nr1 += -16\ncall bpf_local_irq_save\nr1 = r10\nr1 += -8\n\
         call bpf_local_irq_restore\nr0 = 0\nexit",
        Refused("cannot restore irq state out of order, expected id=2 acquired at insn_idx=5"),
    ),
    (
        "a flag that is not on the stack",
        ProgType::Xdp,
        "call bpf_local_irq_save\nr0 = 0\nexit",
        Refused("arg#0 doesn't point to an irq flag on stack"),
    ),
    ("a throw gives back what it throws", ProgType::Xdp, "r1 = 17\ncall bpf_throw\nr0 = 0\nexit", Returns(17)),
    (
        "a throw that is not reached",
        ProgType::Xdp,
        "r0 = *(u32 *)(r1 +16)\nif r0 == 0 goto ok\nr1 = 9\ncall bpf_throw\nok:\nr0 = 2\nexit",
        Returns(2),
    ),
    (
        "a throw in a function leaves the program",
        ProgType::Xdp,
        "r6 = 5\ncall f\nr0 = 1\nexit\nf:\nr1 = 33\ncall bpf_throw\nr0 = 0\nexit",
        Returns(33),
    ),
    (
        "a throw two functions deep, behind one that returns",
        ProgType::Xdp,
        "call f\nr1 = r0\ncall g\nr0 = 1\nexit\nf:\nr0 = 40\nexit\ng:\nr1 += 2\ncall h\nr0 = 0\nexit\nh:\ncall bpf_throw\n\
         r0 = 0\nexit",
        Returns(42),
    ),
    (
        "results of functions that might have thrown",
        ProgType::Xdp,
        "r6 = r1\nr1 = *(u32 *)(r6 +16)\ncall f\nr7 = r0\nr1 = 0\ncall f\nr0 += r7\nexit\nf:\nif r1 != 0 goto on\nr0 = 7\nexit\non:\n\
         call g\nr0 += 1\nexit\ng:\nr0 = 100\nif r1 == 0 goto out\nr1 = 9\ncall bpf_throw\nout:\nexit",
        Returns(14),
    ),
    (
        "a throw of what must not be returned",
        ProgType::CgroupSkb,
        "r1 = 7\ncall bpf_throw\nr0 = 0\nexit",
        Refused("At program exit the register R1 has smin=7 smax=7 should have been in [0, 1]"),
    ),
    (
        "a throw in an RCU section",
        ProgType::Xdp,
        "call bpf_rcu_read_lock\nr1 = 0\ncall bpf_throw\nr0 = 0\nexit",
        Refused("bpf_throw cannot be used inside bpf_rcu_read_lock-ed region"),
    ),
    (
        "a throw beside an open iterator",
        ProgType::Xdp,
        "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 10\ncall bpf_iter_num_new\nr1 = 0\ncall bpf_throw\nr0 = 0\nexit",
        Refused("bpf_throw would lead to reference leak"),
    ),
    (
        "a throw in a program that may not",
        ProgType::SocketFilter,
        "r1 = 0\ncall bpf_throw\nr0 = 0\nexit",
        Refused("calling kernel function bpf_throw is not allowed"),
    ),
];

/// Functions of the kernel, in the order in which a text names them.
#[derive(Default)]
struct Names(RefCell<Vec<KfuncRef>>);

impl Symbols for Names {
    fn kfunc(&self, name: &str) -> Option<(i32, i16)> {
        kfunc(name)?;
        let mut known = self.0.borrow_mut();
        let at = known.iter().position(|kfunc| kfunc.name == name).unwrap_or_else(|| {
            known.push(KfuncRef { name: name.to_owned(), weak: false });
            known.len() - 1
        });
        Some((i32::try_from(at).ok()?, Program::KFUNC_BY_NAME))
    }
}

fn program(kind: ProgType, text: &str) -> Program {
    let names = Names::default();
    let code = ring3_isa::assemble_with(text, &names).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Program { kfuncs: names.0.into_inner(), ..Program::new("test", kind, code) }
}

/// A log without numbers of functions, which are the kernel's own, and without what it found out of the stack step by step.
fn plain(log: &str) -> Vec<String> {
    let is_live =
        |line: &str| [" +live ", " +written ", " -live ", "live stack update"].iter().any(|m| line.contains(m));
    let lines = log.lines().filter(|line| !is_live(line) && !line.starts_with("verification time"));
    let line = |line: &str| match line.split_once("call bpf_").and_then(|(a, b)| Some((a, b.split_once('#')?))) {
        Some((before, (name, after))) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
            format!("{before}call bpf_{name} {after}").trim_end().to_owned()
        }
        None => line.trim_end().to_owned(),
    };
    lines.map(line).collect()
}

#[test]
fn verdicts_and_results_are_those_of_linux() {
    let kernel = Kernel::open().ok();
    if kernel.is_none() {
        println!("the kernel cannot be asked: its recorded answers alone");
    }
    let target = kernel.as_ref().map_or_else(|| Arc::new(Target::default()), Kernel::target);
    let mut wrong = Vec::new();
    for (name, kind, text, comes) in CASES {
        let program = program(*kind, text);
        let verdict = verify(Arc::new(program.clone()), Arc::clone(&target), LogLevel(2));
        let (said, ours, processed) = match &verdict {
            Ok(proof) => (String::new(), proof.log(), proof.stats().processed),
            Err(rejection) => (rejection.message.clone(), rejection.log.as_str(), rejection.stats.processed),
        };
        let expected = if let Refused(words) = comes { *words } else { "" };
        if said != expected {
            wrong.push(format!("{name}: '{said}'"));
        }
        if let Some(kernel) = &kernel {
            let (answer, log) = kernel.judge_logged(&program, ring3_linux::LogLevel(2));
            match answer {
                Answer::Judged(theirs) if theirs.message == expected && processed <= theirs.stats[0] => {}
                other => wrong.push(format!("{name}: {processed} processed, Linux says {other:?}")),
            }
            let (ours, theirs) = (plain(ours), plain(&log));
            if let Some((ours, theirs)) = ours.iter().zip(&theirs).find(|(a, b)| a != b) {
                wrong.push(format!("{name}: logs\n  {theirs}\n  {ours}"));
            }
        }
        if let Returns(expected) = comes {
            let engine = Engine::new();
            let single = Single::Alone(&engine, &program);
            let mut results = single.ours(*kind, &[&[0; 64]]);
            if kernel.is_some() {
                results.push(("kernel", single.kernel(*kind, &[&[0; 64]])));
            }
            let other = results.iter().filter(|(_, result)| *result != Ok(vec![*expected]));
            wrong.extend(other.map(|(engine, result)| format!("{name}: {engine}: {result:?}")));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
