//! Calls: helpers, functions of the program, callbacks, tail calls and the old packet loads.

use super::*;
use crate::target::{Array, Shortcut};

/// What helpers of these tests write down.
#[repr(C)]
#[derive(Default)]
struct Log {
    args: Vec<[u64; 5]>,
    /// The stack pointer modulo 16 as a helper finds it.
    alignment: Vec<u64>,
    /// Function and trampoline that `callback` calls.
    entry: u64,
    trampoline: u64,
}

/// Gives (RSP + 8) % 16, which is 0 where the ABI is kept.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
extern "C" fn misalignment() -> u64 {
    core::arch::naked_asm!("lea rax, [rsp + 8]", "and rax, 15", "ret")
}

/// Gives SP % 16, which is 0 where the ABI is kept.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
extern "C" fn misalignment() -> u64 {
    core::arch::naked_asm!("mov x0, sp", "and x0, x0, 15", "ret")
}

/// Overwrites every register that a callee may, and gives the sum of its arguments.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn clobber(_: u64, _: u64, _: u64, _: u64, _: u64, _: *mut Log) -> u64 {
    core::arch::naked_asm!(
        "lea rax, [rdi + rsi]",
        "add rax, rdx",
        "add rax, rcx",
        "add rax, r8",
        "mov rcx, -1",
        "mov rdx, rcx",
        "mov rsi, rcx",
        "mov rdi, rcx",
        "mov r8, rcx",
        "mov r9, rcx",
        "mov r10, rcx",
        "mov r11, rcx",
        "ret"
    )
}

/// Overwrites every register that a callee may, and gives the sum of its arguments.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn clobber(_: u64, _: u64, _: u64, _: u64, _: u64, _: *mut Log) -> u64 {
    core::arch::naked_asm!(
        "add x0, x0, x1",
        "add x0, x0, x2",
        "add x0, x0, x3",
        "add x0, x0, x4",
        "mov x1, -1",
        "mov x2, -1",
        "mov x3, -1",
        "mov x4, -1",
        "mov x5, -1",
        "mov x6, -1",
        "mov x7, -1",
        "mov x8, -1",
        "mov x9, -1",
        "mov x10, -1",
        "mov x11, -1",
        "mov x12, -1",
        "mov x13, -1",
        "mov x14, -1",
        "mov x15, -1",
        "mov x16, -1",
        "mov x17, -1",
        "ret"
    )
}

unsafe extern "C" fn record(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, log: *mut Log) -> u64 {
    // SAFETY: the tests pass their log as the environment.
    let log = unsafe { &mut *log };
    log.args.push([r1, r2, r3, r4, r5]);
    log.args.len() as u64
}

/// Calls a function of the program three times and adds up what it gives.
unsafe extern "C" fn callback(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, log: *mut Log) -> u64 {
    type Trampoline = unsafe extern "C" fn(entry: u64, args: *const [u64; 5], env: *mut Log) -> u64;
    // SAFETY: the tests pass their log as the environment.
    let (entry, trampoline) = unsafe { ((*log).entry, (*log).trampoline) };
    // SAFETY: the test set it to the address of the code's trampoline.
    let trampoline = unsafe { std::mem::transmute::<usize, Trampoline>(trampoline as usize) };
    (0..3)
        .map(|i| {
            let args = [r1 + i, r2, r3, r4, r5];
            // SAFETY: the entry is that of a function which accesses nothing.
            unsafe { trampoline(entry, &raw const args, log) }
        })
        .sum()
}

#[repr(C)]
struct Two(u64, u64);

/// A tail call that finds a program unless the index is 0.
unsafe extern "C" fn tail_call(ctx: u64, map: u64, index: u64, log: *mut Log) -> Two {
    // SAFETY: the tests pass their log as the environment.
    unsafe { (*log).args.push([ctx, map, index, 0, 0]) };
    Two(u64::from(index != 0), 4242)
}

/// A packet load that finds something at offsets below 100.
unsafe extern "C" fn legacy_packet(bytes: u64, offset: u64, log: *mut Log) -> Two {
    // SAFETY: the tests pass their log as the environment.
    unsafe { (*log).args.push([bytes, offset, 0, 0, 0]) };
    Two(u64::from((offset as i32) < 100), 0xabcd)
}

fn address(function: *const ()) -> Callee {
    Callee(function.expose_provenance())
}

fn helpers() -> [Callee; 4] {
    [
        address(record as *const ()),
        address(clobber as *const ()),
        address(callback as *const ()),
        address(misalignment as *const ()),
    ]
}

const RECORD: Op = Op::CallHelper { helper: 0 };
const CLOBBER: Op = Op::CallHelper { helper: 1 };
const CALLBACK: Op = Op::CallHelper { helper: 2 };
const MISALIGNMENT: Op = Op::CallHelper { helper: 3 };

const fn imm(dst: Reg, value: u64) -> Op {
    Op::LoadImm { dst, value }
}

const fn mov(dst: Reg, src: Reg) -> Op {
    Op::Mov { width: Width::W64, dst, src: Operand::Reg(src) }
}

const fn add(dst: Reg, src: Reg) -> Op {
    Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Reg(src) }
}

/// Functions one after another, with this much stack each.
fn run_functions(functions: &[&[Op]], stack: u32, ctx: u64, log: &mut Log) -> u64 {
    let done = assemble_functions(functions, stack);
    let code = Code::new(&done);
    let at = |offset: u32| code.0.address(offset as usize).unwrap().expose_provenance() as u64;
    log.trampoline = at(done.trampoline);
    log.entry = done.function_offsets.last().map_or(0, |offset| at(*offset));
    // SAFETY: the code passes its environment to helpers, which expect a log; it does not access its context.
    unsafe { code.call(std::ptr::with_exposed_provenance_mut(ctx as usize), (&raw mut *log).cast()) }
}

fn assemble_functions(functions: &[&[Op]], stack: u32) -> Assembled {
    let ops = functions.concat();
    let mut next = 0;
    let ranges: Vec<Function> = functions
        .iter()
        .map(|ops| {
            let start = next;
            next += ops.len() as u32;
            Function { start, end: next, stack }
        })
        .collect();
    let helpers = helpers();
    let runtime = Runtime {
        guards: Guards::default(),
        stopped: None,
        helpers: &helpers,
        tail_call: address(tail_call as *const ()),
        legacy_packet: address(legacy_packet as *const ()),
        guarded: address(ring3_vm::guarded as *const ()),
        may_goto_budget: 10,
    };
    assemble_for(
        &Unit {
            slots: &[],
            ops: &ops,
            functions: &ranges,
            lookups: &[],
            regions: &[],
            constants: &[],
            runtime,
            joined: true,
        },
        this_cpu(),
    )
    .unwrap()
}

#[test]
fn helpers_get_their_arguments() {
    let main = [imm(Reg::R2, 2), imm(Reg::R3, 3), imm(Reg::R4, 4), imm(Reg::R5, u64::MAX), RECORD, RECORD, Op::Exit];
    let mut log = Log::default();
    assert_eq!(run_functions(&[&main], 0, 1, &mut log), 2);
    assert_eq!(log.args[0], [1, 2, 3, 4, u64::MAX]);
}

#[test]
fn registers_survive_helpers() {
    let mut main = vec![imm(Reg::R6, 6), imm(Reg::R7, 70), imm(Reg::R8, 800), imm(Reg::R9, 9000)];
    main.extend([store(Reg::FP, -512, Reg::R9), imm(Reg::R2, 0), imm(Reg::R3, 0), imm(Reg::R4, 0), imm(Reg::R5, 0)]);
    main.extend([CLOBBER, add(Reg::R0, Reg::R6), add(Reg::R0, Reg::R7), add(Reg::R0, Reg::R8), add(Reg::R0, Reg::R9)]);
    main.extend([load(Reg::R1, Reg::FP, -512), add(Reg::R0, Reg::R1), Op::Exit]);
    assert_eq!(run_functions(&[&main], 512, 1, &mut Log::default()), 1 + 6 + 70 + 800 + 9000 + 9000);
}

/// Every set of saved registers, with and without a stack of either alignment, as main function and as called one.
#[test]
fn the_stack_is_aligned_at_calls() {
    let mut seen = 0;
    for set in 0..16u32 {
        for stack in [0, 8, 16, 504, 512] {
            for goto in [false, true] {
                let saved = (0..4).filter(|bit| set & (1 << bit) != 0).filter_map(|bit| Reg::new(6 + bit));
                let mut body: Vec<Op> = saved.map(|reg| imm(reg, 0x5a5a)).collect();
                if stack != 0 {
                    body.push(store(Reg::FP, -8, Reg::R1));
                }
                let alone: Vec<Op> = [body.clone(), vec![MISALIGNMENT, Op::Exit]].concat();
                assert_eq!(run_functions(&[&alone], stack, 0, &mut Log::default()), 0, "{alone:?}");
                let target = body.len() as u32 + 1;
                if goto {
                    body.push(Op::MayGoto { target });
                }
                let main: Vec<Op> = [body.clone(), vec![Op::CallLocal { subprog: 1 }, Op::Exit]].concat();
                body.iter_mut().for_each(|op| {
                    if let Op::MayGoto { target } = op {
                        *target += main.len() as u32;
                    }
                });
                let called: Vec<Op> = [body, vec![MISALIGNMENT, Op::Exit]].concat();
                assert_eq!(run_functions(&[&main, &called], stack, 0, &mut Log::default()), 0, "{main:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 160);
}

/// So much more than R1: a number that the compiler does not know.
const fn behind(dst: Reg, more: i32) -> [Op; 2] {
    [mov(dst, Reg::R1), Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Imm(more) }]
}

/// R6 to R9 and the frame belong to the caller, arguments and R0 pass through.
#[test]
fn functions_keep_what_is_the_callers() {
    let all = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
    let mut main: Vec<Op> =
        all.into_iter().zip([1, 10, 100, 1000]).flat_map(|(reg, value)| behind(reg, value - 300_000)).collect();
    main.extend([store(Reg::FP, -8, Reg::R9), imm(Reg::R2, 20_000), Op::CallLocal { subprog: 1 }]);
    main.extend(all.map(|reg| add(Reg::R0, reg)));
    main.extend([load(Reg::R1, Reg::FP, -8), add(Reg::R0, Reg::R1), Op::Exit]);
    let mut called: Vec<Op> = all.map(|reg| imm(reg, u64::MAX)).into();
    called.extend([store(Reg::FP, -8, Reg::R6), mov(Reg::R0, Reg::R2), mov(Reg::R6, Reg::R1), add(Reg::R0, Reg::R6)]);
    called.push(Op::Exit);
    let sum = run_functions(&[&main, &called], 8, 300_000, &mut Log::default());
    assert_eq!(sum, 322_111);
}

/// Of R6 to R9 a function saves what it changes and somebody above it reads later.
#[test]
fn functions_save_what_is_needed() {
    let all = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
    let called: Vec<Op> = all.map(|reg| imm(reg, u64::MAX)).into_iter().chain([imm(Reg::R0, 5), Op::Exit]).collect();
    let main = |read: &[Reg], more: &[Op]| {
        let mut ops: Vec<Op> =
            all.into_iter().zip([1, 10, 100, 1000]).flat_map(|(reg, value)| behind(reg, value)).collect();
        ops.extend_from_slice(more);
        ops.push(Op::CallLocal { subprog: 1 });
        ops.extend(read.iter().map(|reg| add(Reg::R0, *reg)));
        // What was overwritten before it is read is not needed.
        ops.extend([imm(Reg::R9, 7), add(Reg::R0, Reg::R9), Op::Exit]);
        ops
    };
    let saved = |functions: &[&[Op]], function: usize| assemble_functions(functions, 0).unwinds[function].saved.len();
    let run = |functions: &[&[Op]]| run_functions(functions, 0, 0, &mut Log::default());
    let [few, many, none] = [&[Reg::R7, Reg::R8][..], &[Reg::R6, Reg::R7, Reg::R8], &[]].map(|read| main(read, &[]));
    assert_eq!((run(&[&few, &called]), run(&[&many, &called]), run(&[&none, &called])), (122, 123, 12));
    assert_eq!(saved(&[&none, &called], 1) + 3, saved(&[&many, &called], 1));
    assert_eq!(saved(&[&none, &called], 0), saved(&[&many, &called], 0), "the main function is called from outside");

    // By way of a function that changes R7 only, so that it saves that and the last one the others.
    let between = [imm(Reg::R7, 3), Op::CallLocal { subprog: 2 }, Op::Exit];
    assert_eq!(run(&[&many, &between, &called]), 123);
    assert_eq!(saved(&[&many, &between, &called], 2), saved(&[&few, &called], 1));

    // A callback is called from outside, too.
    let token = main(&[], &[imm(Reg::R3, ring3_vm::Callback(1).token())]);
    assert_eq!(saved(&[&token, &called], 1), saved(&[&none, &called], 1) + 4);
}

/// Each frame has a stack of its own, eight deep.
#[test]
fn frames_are_apart() {
    let function = |depth: u16| {
        let mut ops = vec![imm(Reg::R3, 1 << depth), store(Reg::FP, -512, Reg::R3), store(Reg::FP, -8, Reg::R3)];
        if depth < 7 {
            ops.push(Op::CallLocal { subprog: depth + 1 });
        } else {
            ops.extend([CLOBBER, imm(Reg::R0, 0)]);
        }
        ops.extend([load(Reg::R4, Reg::FP, -512), add(Reg::R0, Reg::R4)]);
        ops.extend([load(Reg::R4, Reg::FP, -8), add(Reg::R0, Reg::R4), Op::Exit]);
        ops
    };
    let functions: Vec<Vec<Op>> = (0..8).map(function).collect();
    let functions: Vec<&[Op]> = functions.iter().map(Vec::as_slice).collect();
    assert_eq!(run_functions(&functions, 512, 0, &mut Log::default()), 2 * 0xff);
}

/// A helper that calls back: the function gets its arguments and the environment, and calls helpers itself.
#[test]
fn callbacks() {
    let mut main =
        vec![imm(Reg::R6, 5), imm(Reg::R2, 100), imm(Reg::R3, 0), imm(Reg::R4, 0), imm(Reg::R5, 7), CALLBACK];
    main.extend([add(Reg::R0, Reg::R6), Op::Exit]);
    let mut body = vec![mov(Reg::R6, Reg::R1), mov(Reg::R7, Reg::R2), store(Reg::FP, -16, Reg::R5), RECORD];
    body.extend([mov(Reg::R0, Reg::R6), add(Reg::R0, Reg::R7), load(Reg::R1, Reg::FP, -16), add(Reg::R0, Reg::R1)]);
    body.push(Op::Exit);
    let mut log = Log::default();
    assert_eq!(run_functions(&[&main, &body], 16, 9, &mut log), (9 + 10 + 11) + 300 + 21 + 5);
    assert_eq!(log.args, [[9, 100, 0, 0, 7], [10, 100, 0, 0, 7], [11, 100, 0, 0, 7]]);
}

#[test]
fn tail_calls_end_the_frame() {
    let main = |index| {
        let sub = [imm(Reg::R6, 1), imm(Reg::R2, 77), imm(Reg::R3, index), Op::TailCall, imm(Reg::R0, 1), Op::Exit];
        let main = [imm(Reg::R6, 1000), Op::CallLocal { subprog: 1 }, add(Reg::R0, Reg::R6), Op::Exit];
        let mut log = Log::default();
        let ret = run_functions(&[&main, &sub], 0, 9, &mut log);
        assert_eq!(log.args, [[9, 77, index, 0, 0]]);
        let mut alone = Log::default();
        (ret, run_functions(&[&sub], 0, 9, &mut alone))
    };
    assert_eq!(main(3), (5242, 4242));
    assert_eq!(main(0), (1001, 1));
}

#[test]
fn legacy_packet_loads() {
    for (index, value) in [(None, 0), (Some(Reg::R1), 5), (Some(Reg::R2), 0xffff_fff0), (Some(Reg::R7), 90)] {
        for imm32 in [3, 50, -7] {
            let mut main = vec![imm(Reg::R7, 0)];
            main.extend(index.map(|reg| imm(reg, value)));
            main.extend([Op::LegacyPacket { size: Size::H, index, imm: imm32 }]);
            main.extend([imm(Reg::R1, 1), add(Reg::R0, Reg::R1), Op::Exit]);
            let mut log = Log::default();
            let ret = run_functions(&[&main], 0, 9, &mut log);
            let offset = (value as u32).wrapping_add(imm32 as u32);
            assert_eq!(log.args, [[2, offset.into(), 0, 0, 0]]);
            assert_eq!(ret, if (offset as i32) < 100 { 0xabce } else { 0 });
        }
    }
}

/// Lookups in arrays without a call: every index gives what the helper would.
#[test]
fn array_lookups() {
    let ops = [mov(Reg::R2, Reg::R1), RECORD, Op::Exit];
    let functions = [Function { start: 0, end: ops.len() as u32, stack: 0 }];
    for stride in [8, 16, 24, 4096, 40_000] {
        for entries in [1, 2, 127, 128, 0x8000_0000, u32::MAX] {
            for base in [0x1000, 0x7fff_1234_5678] {
                let lookups = [(1, Shortcut::Array(Array { base, stride, entries }))];
                let unit = Unit {
                    slots: &[],
                    regions: &[],
                    constants: &[],
                    ops: &ops,
                    functions: &functions,
                    lookups: &lookups,
                    runtime: no_runtime(&[]),
                    joined: true,
                };
                let code = Code::new(&assemble_for(&unit, this_cpu()).unwrap());
                for index in [0, 1, 2, 126, 127, 128, 129, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
                    let mut key = index;
                    // SAFETY: the code reads four bytes at its context, and nothing else.
                    let found = unsafe { code.call((&raw mut key).cast(), std::ptr::null_mut()) };
                    let want = if index < entries { base + u64::from(stride) * u64::from(index) } else { 0 };
                    assert_eq!(found, want, "{index} of {entries}");
                }
            }
        }
    }
}

/// The same with values for each CPU.
#[test]
fn percpu_array_lookups() {
    let ops = [mov(Reg::R2, Reg::R1), RECORD, Op::Exit];
    let functions = [Function { start: 0, end: ops.len() as u32, stack: 0 }];
    let mut env = vec![0u32; (ring3_vm::Env::CPU_OFFSET + 4).div_ceil(4)];
    for (stride, plane, entries) in [(8, 64, 8), (24, 4096, 127), (40_000, 0x7000_0000, 0x8000_0000)] {
        let base = 0x7fff_1234_5678;
        let lookups = [(1, Shortcut::PerCpu(Array { base, stride, entries }, plane))];
        let unit = Unit {
            slots: &[],
            ops: &ops,
            functions: &functions,
            lookups: &lookups,
            regions: &[],
            constants: &[],
            runtime: no_runtime(&[]),
            joined: true,
        };
        let code = Code::new(&assemble_for(&unit, this_cpu()).unwrap());
        for cpu in [0, 1, 7, 8191] {
            env[ring3_vm::Env::CPU_OFFSET / 4] = cpu;
            for index in [0, 1, 2, 7, 8, 126, 127, 128, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                let mut key = index;
                // SAFETY: the code reads four bytes at its context, and the CPU of the environment.
                let found = unsafe { code.call((&raw mut key).cast(), env.as_mut_ptr().cast()) };
                let value = base + u64::from(plane) * u64::from(cpu) + u64::from(stride) * u64::from(index);
                assert_eq!(found, if index < entries { value } else { 0 }, "{index} of {entries} on {cpu}");
            }
        }
    }
}

/// A lookup that calls a function of its own, which gets the map and the key, and the processor if it asks for it.
#[test]
fn lookups_by_call() {
    extern "C" fn found(map: u64, key: u64) -> u64 {
        map ^ key << 1
    }
    extern "C" fn found_for(map: u64, key: u64, cpu: u64) -> u64 {
        map ^ key << 1 ^ cpu << 48
    }
    let mut env = vec![0u32; (ring3_vm::Env::CPU_OFFSET + 4).div_ceil(4)];
    env[ring3_vm::Env::CPU_OFFSET / 4] = 5;
    for (callee, per_cpu, cpu) in [(found as *const (), false, 0), (found_for as *const (), true, 5u64 << 48)] {
        lookup_by_call(callee, per_cpu, cpu, &mut env);
    }
}

fn lookup_by_call(callee: *const (), per_cpu: bool, cpu: u64, env: &mut [u32]) {
    let ops = [mov(Reg::R6, Reg::R1), mov(Reg::R2, Reg::R1), RECORD, add(Reg::R0, Reg::R6), Op::Exit];
    let functions = [Function { start: 0, end: ops.len() as u32, stack: 0 }];
    let map = 0x1234_5678_9abc;
    let lookups = [(2, Shortcut::Call { map, callee: Callee(callee as usize), per_cpu })];
    let unit = Unit {
        slots: &[],
        ops: &ops,
        functions: &functions,
        lookups: &lookups,
        regions: &[],
        constants: &[],
        runtime: no_runtime(&[]),
        joined: true,
    };
    let code = Code::new(&assemble_for(&unit, this_cpu()).unwrap());
    // SAFETY: the code passes its context on and adds it, where nobody reads; of the environment it reads the CPU.
    let got = unsafe { code.call(std::ptr::without_provenance_mut(0x40), env.as_mut_ptr().cast()) };
    assert_eq!(got, (map ^ 0x80 ^ cpu) + 0x40);
}
