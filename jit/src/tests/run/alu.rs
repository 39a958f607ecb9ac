//! Arithmetic, moves and byte swaps: every form with numbers at the edges.

use super::*;

fn check(op: Op, code: &Code, before: [u64; 10]) {
    let done = run(code, before);
    let mut want = [0; 11];
    want[..10].copy_from_slice(&before);
    want[10] = done.fp;
    model(op, &mut want, &mut Memory(&mut []), 0);
    assert_eq!(done.after, want[..10], "{op:?} with {before:#x?}");
}

#[test]
fn every_form_computes_what_eval_says() {
    let mut runs = 0;
    for cpu in cpus() {
        for op in alu_ops() {
            let code = compile(&[op], cpu);
            let inputs = inputs(op);
            for a in VALUES {
                for b in VALUES {
                    let mut before = distinct();
                    for (reg, value) in inputs.iter().zip([a, b]) {
                        before[reg.index()] = value;
                    }
                    check(op, &code, before);
                    runs += 1;
                    if inputs.len() < 2 {
                        break;
                    }
                }
                if inputs.is_empty() {
                    break;
                }
            }
        }
    }
    assert!(runs > 500_000 * cpus().len());
}

/// Operations after one another leave nothing behind that the next one sees, flags and scratch registers.
#[test]
fn sequences_compute_what_eval_says() {
    let ops: Vec<Op> = alu_ops().collect();
    // Steps that share no factor with the number of operations visit all of them.
    for cpu in cpus() {
        for (round, chunk) in (0..ops.len()).collect::<Vec<_>>().chunks(32).enumerate() {
            let body: Vec<Op> = chunk.iter().map(|i| ops[(i * 7919 + round) % ops.len()]).collect();
            let code = compile(&body, cpu);
            let before = distinct();
            let done = run(&code, before);
            let mut want = [0; 11];
            want[..10].copy_from_slice(&before);
            want[10] = done.fp;
            body.iter().for_each(|op| model(*op, &mut want, &mut Memory(&mut []), 0));
            assert_eq!(done.after, want[..10], "{body:?}");
        }
    }
}

/// Divisors that take each form of the multiplication that stands for a division, in every register.
#[test]
fn divisions_by_constants_compute_what_eval_says() {
    let some =
        [100, 125, 641, 1000, 4096, 1_000_003, 6_700_417, 1 << 30, 0x7fff_fffe, i32::MAX, i32::MIN, i32::MIN + 1];
    let divisors = (2..70).chain(some).chain((-40..-1).chain([-641, -1000, -4096]));
    let kinds = [AluOp::Div, AluOp::Mod, AluOp::SDiv, AluOp::SMod];
    let ops = divisors.chain([1, -1]).flat_map(|imm| kinds.map(|op| (op, Operand::Imm(imm))));
    let ops: Vec<_> = ops.flat_map(|(op, src)| WIDTHS.map(|width| (op, width, src))).collect();
    for cpu in cpus() {
        for (op, width, src) in ops.iter().copied() {
            for dst in regs() {
                let op = Op::Alu { width, op, dst, src };
                let code = compile(&[op], cpu);
                let Operand::Imm(imm) = src else { unreachable!("they are all numbers") };
                let divisor = i64::from(imm) as u64;
                let multiple = divisor.wrapping_mul(12_345);
                let near = [
                    divisor,
                    divisor - 1,
                    multiple,
                    multiple - 1,
                    multiple.wrapping_neg(),
                    multiple.wrapping_neg() - 1,
                ];
                for value in VALUES.into_iter().chain(near).chain([u64::MAX / divisor * divisor]) {
                    let mut before = distinct();
                    before[dst.index()] = value;
                    check(op, &code, before);
                }
            }
        }
    }
}
