//! Jumps: every comparison with numbers at the edges.

use super::*;

#[test]
fn every_comparison_decides_as_eval_says() {
    // Two behind the end of the body, which is one operation: see `around`.
    for branch in branch_ops(3) {
        let Op::Branch { width, op, lhs, rhs, .. } = branch else { unreachable!("a branch") };
        let code = compile(&[branch], this_cpu());
        for a in VALUES {
            for b in VALUES {
                let mut before = distinct();
                before[lhs.index()] = a;
                if let Operand::Reg(rhs) = rhs {
                    before[rhs.index()] = b;
                }
                let done = run(&code, before);
                let want = match rhs {
                    Operand::Reg(rhs) => eval::compare(op, width, before[lhs.index()], before[rhs.index()]),
                    Operand::Imm(imm) => eval::compare(op, width, a, eval::immediate(imm)),
                };
                assert_eq!(done.flag == 1, want, "{branch:?} with {a:#x}, {b:#x}");
                assert_eq!(done.after, before, "{branch:?} changes a register");
                if matches!(rhs, Operand::Imm(_)) {
                    break;
                }
            }
        }
    }
}

/// Forward over much code and back again.
#[test]
fn jumps_go_far() {
    const FILL: u32 = 100_000;
    let add = Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R2, src: Operand::Imm(1) };
    let mut body = vec![Op::Jump { target: FILL + 2 }];
    body.extend((0..FILL).map(|_| add));
    body.push(Op::Jump { target: FILL + 3 });
    body.push(Op::Jump { target: 1 });
    let done = run(&compile(&body, this_cpu()), [0; 10]);
    assert_eq!(done.after[2], u64::from(FILL));
}

/// Further than a conditional branch of arm64 reaches, forward and back, taken and not.
#[test]
fn branches_go_far() {
    const FILL: u32 = 300_000;
    let branch = |op, target| Op::Branch { width: Width::W64, op, lhs: Reg::R2, rhs: Operand::Imm(i32::MAX), target };
    let neg = Op::Neg { width: Width::W32, dst: Reg::R3 };
    let mut body = vec![branch(CmpOp::Eq, FILL + 4), branch(CmpOp::Ne, FILL + 3), branch(CmpOp::Ne, FILL + 4)];
    body.extend((0..FILL).map(|_| neg));
    body.push(branch(CmpOp::Lt, 2));
    body.push(Op::Neg { width: Width::W64, dst: Reg::R2 });
    let code = compile(&body, this_cpu());
    for (r2, want) in [(5, -5i64 as u64), (i32::MAX as u64, (i32::MAX as u64).wrapping_neg())] {
        let mut before = distinct();
        before[2] = r2;
        let after = run(&code, before).after;
        assert_eq!(after[2], want);
        assert_eq!(after[3], before[3], "what is in between is not executed");
    }
}

#[test]
fn loops_end() {
    let add = |dst, imm| Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Imm(imm) };
    let body = [
        add(Reg::R2, 3),
        add(Reg::R3, -1),
        Op::Branch { width: Width::W64, op: CmpOp::Ne, lhs: Reg::R3, rhs: Operand::Imm(0), target: 0 },
    ];
    let mut before = distinct();
    (before[2], before[3]) = (0, 1000);
    let done = run(&compile(&body, this_cpu()), before);
    assert_eq!(done.after[2], 3000);
}

/// `may_goto` jumps when the budget is used up, from then on each time.
#[test]
fn may_goto_counts_down() {
    let one = Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R0, src: Operand::Imm(1) };
    let far = Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R0, src: Operand::Imm(1000) };
    let ops = [
        Op::LoadImm { dst: Reg::R0, value: 0 },
        Op::MayGoto { target: 4 },
        one,
        Op::Jump { target: 1 },
        Op::MayGoto { target: 6 },
        one,
        far,
        Op::Exit,
    ];
    let done = assemble_main(&ops, this_cpu(), no_runtime(&[])).unwrap();
    // SAFETY: the code does not use its arguments.
    let ret = unsafe { Code::new(&done).call(std::ptr::null_mut(), std::ptr::null_mut()) };
    assert_eq!(ret, 1100);
}
