//! Loads, stores and read-modify-write operations, on memory and on the stack.

use super::*;

const BYTES: usize = 64;
/// Where in the memory the accesses go.
const MIDDLE: u64 = 24;

fn pattern() -> [u8; BYTES] {
    std::array::from_fn(|i| (i as u8).wrapping_mul(0x3b) ^ 0xa5)
}

fn place(op: Op) -> (Reg, i32) {
    match op {
        Op::Load { base, off, .. }
        | Op::Store { base, off, .. }
        | Op::Atomic { base, off, .. }
        | Op::LoadAcquire { base, off, .. }
        | Op::StoreRelease { base, off, .. } => (base, off),
        other => unreachable!("{other:?} is no access"),
    }
}

/// Runs it on memory that starts with `bytes`, and in the model.
fn check(op: Op, code: &Code, mut before: [u64; 10], bytes: [u8; BYTES]) {
    #[repr(align(16))]
    struct Aligned([u8; BYTES]);
    let mut memory = Aligned(bytes);
    let real = memory.0.as_mut_ptr().expose_provenance() as u64;
    let (base, off) = place(op);
    before[base.index()] = (real + MIDDLE).wrapping_sub(off as i64 as u64);
    let done = run(code, before);
    let mut want = [0; 11];
    want[..10].copy_from_slice(&before);
    let mut want_bytes = bytes;
    model(op, &mut want, &mut Memory(&mut want_bytes), real);
    assert_eq!(done.after, want[..10], "{op:?} with {before:#x?}");
    // SAFETY: the array is alive; the code wrote it behind the compiler's back.
    let got = unsafe { std::ptr::read_volatile(&raw const memory.0) };
    assert_eq!(got, want_bytes, "{op:?}");
}

#[test]
fn loads_and_stores() {
    for op in plain_mem_ops().filter(|op| place(*op).0 != Reg::FP) {
        let code = compile(&[op], this_cpu());
        check(op, &code, distinct(), pattern());
        check(op, &code, [0x7766_5544_3322_1100; 10], pattern().map(|byte| !byte));
    }
}

#[test]
fn offsets_of_run_time_contexts() {
    for off in [40_000, -70_000, i32::MAX, i32::MIN] {
        let op = Op::Load { size: Size::H, signed: true, dst: Reg::R3, base: Reg::R4, off };
        check(op, &compile(&[op], this_cpu()), distinct(), pattern());
    }
}

#[test]
fn read_modify_write() {
    const OLD: [u64; 6] = [0, 1, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000_0000_0000, 0x0123_4567_89ab_cdef];
    for (op, cpu) in atomic_ops().flat_map(|op| cpus().into_iter().map(move |cpu| (op, cpu))) {
        let Op::Atomic { src, .. } = op else { unreachable!("an atomic operation") };
        let code = compile(&[op], cpu);
        for old in OLD {
            for value in VALUES {
                let mut bytes = pattern();
                bytes[MIDDLE as usize..][..8].copy_from_slice(&old.to_le_bytes());
                // What R0 is compared with: equal in all bits, in the low half only, and not at all.
                for r0 in [old, old ^ 1 << 40, !old] {
                    let mut before = distinct();
                    before[0] = r0;
                    before[src.index()] = value;
                    check(op, &code, before, bytes);
                    if !matches!(op, Op::Atomic { op: AtomicOp::Cmpxchg, .. }) {
                        break;
                    }
                }
            }
        }
    }
}

/// What is stored in the stack comes back, at both ends of a frame.
#[test]
fn the_stack() {
    for off in [-32, -40, -128, -136, -256, -512] {
        for (src, dst) in reg_pairs() {
            for size in [Size::B, Size::H, Size::W, Size::Dw] {
                let body = [
                    Op::Store { size, base: Reg::FP, off, src: Operand::Reg(src) },
                    Op::Load { size, signed: size != Size::Dw, dst, base: Reg::FP, off },
                ];
                let before = distinct();
                let done = run(&compile(&body, this_cpu()), before);
                assert_eq!(done.after[dst.index()], eval::sign_extend(size, before[src.index()]), "{body:?}");
            }
        }
        let body = [
            Op::Store { size: Size::Dw, base: Reg::FP, off, src: Operand::Imm(-5) },
            Op::Atomic { op: AtomicOp::FetchAdd, size: Size::Dw, base: Reg::FP, off, src: Reg::R2 },
            load(Reg::R3, Reg::FP, off),
        ];
        let done = run(&compile(&body, this_cpu()), [7; 10]);
        assert_eq!((done.after[2], done.after[3]), (-5i64 as u64, 2));
    }
}

/// Two threads that change the same word lose nothing, also where the code tries again.
#[test]
fn atomic_between_threads() {
    const ROUNDS: u32 = 20_000;
    let add = |dst, imm| Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Imm(imm) };
    for (op, want) in
        [(AtomicOp::FetchAdd, u64::from(ROUNDS) * 4), (AtomicOp::FetchXor, 0), (AtomicOp::Add, u64::from(ROUNDS) * 4)]
    {
        let ops = [
            Op::LoadImm { dst: Reg::R3, value: ROUNDS.into() },
            Op::LoadImm { dst: Reg::R2, value: 2 },
            Op::Atomic { op, size: Size::Dw, base: Reg::R1, off: 0, src: Reg::R2 },
            add(Reg::R3, -1),
            Op::Branch { width: Width::W64, op: CmpOp::Ne, lhs: Reg::R3, rhs: Operand::Imm(0), target: 1 },
            Op::LoadImm { dst: Reg::R0, value: 0 },
            Op::Exit,
        ];
        for cpu in cpus() {
            let code = Code::new(&assemble_main(&ops, cpu, no_runtime(&[])).unwrap());
            let word = std::sync::atomic::AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    // SAFETY: the code accesses the word atomically.
                    scope.spawn(|| unsafe { code.call(word.as_ptr().cast(), std::ptr::null_mut()) });
                }
            });
            assert_eq!(word.into_inner(), want, "{op:?} on {cpu:?}");
        }
    }
}
