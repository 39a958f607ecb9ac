//! Guards of the dispatch: no handler leaves anything on the native stack, whatever it does and wherever its operands are.

use std::sync::{Arc, Mutex};

use ring3_platform::{HelperId, ProgType};

use super::cell::{Cell, plain, simple_handlers};
use super::control::jump;
use super::dispatch::{self, ENDED, Flow, HOT, next};
use super::machine::{Machine, Stack};
use super::*;
use crate::exec::run;
use crate::host::TestHost;
use crate::link::tests::link_with_helpers;
use crate::regions::{RegionKind, Regions};
use crate::{Context, Helpers, XdpContext, link_unverified};

/// About where the native stack is.
#[inline(never)]
fn stack_pointer() -> u64 {
    let here = 0u8;
    std::hint::black_box(&raw const here) as u64
}

/// Notes in the register that the cell names where the native stack is.
unsafe fn probe(pc: *const Cell, machine: &mut Machine<'_, '_>, a: u64, b: u64, c: u64, d: u64) -> Flow {
    // SAFETY: a cell of the test.
    let number = unsafe { (*pc).dst };
    machine.regs[usize::from(number & 15)] = stack_pointer();
    // SAFETY: a probe is never the last cell.
    unsafe { next(pc.add(1), machine, [a, b, c, d]) }
}

/// Ends the run.
unsafe fn end(_: *const Cell, _: &mut Machine<'_, '_>, _: u64, _: u64, _: u64, _: u64) -> Flow {
    ENDED
}

/// Registers of a probe before and after.
const BEFORE: u8 = 12;
const AFTER: u8 = 13;

/// Runs one handler between two probes with these values of registers, all of which are addresses of live memory.
fn around<M: Memory>(interp: &Interp, handler: dispatch::Handler, values: [u64; 16]) -> (u64, u64) {
    let probe = |dst| Cell { dst, ..plain(probe) };
    // Jumps go on with the next cell, taken or not. What does several operations finds jumps, and goes on behind them.
    let pass = Cell { run: jump::<M>, imm: values[0], off: 0, dst: 8, src: 9 };
    let cell = Cell { run: handler, ..pass };
    let cells = [probe(BEFORE), cell, pass, pass, probe(AFTER), plain(end)];
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.left = steps(100);
    let used = std::cell::Cell::new(0);
    let mut words = [0u64; STACK_WORDS];
    let stack = Stack { start: words.as_mut_ptr().cast(), used: &used };
    let mut regions = Regions::default();
    regions.insert(values.into_iter().fold(u64::MAX, u64::min), 256, RegionKind::Mem);
    env.regions = M::CHECKED.then_some(regions);
    let mut machine = Machine::new(Code { interp, cells: &cells, watch: None }, &mut env, stack, 0);
    machine.regs = values;
    machine.set_limit(cells.as_ptr());
    let mut hot = [0; HOT];
    hot.copy_from_slice(&values[..HOT]);
    // SAFETY: the cells end, and registers are addresses of live memory.
    unsafe { dispatch::run(cells.as_ptr(), &mut machine, hot) };
    assert!(!machine.env.trapped(), "{:?}", machine.env.take_trap());
    (machine.regs[usize::from(BEFORE)], machine.regs[usize::from(AFTER)])
}

fn every_handler_is_flat<M: Memory>() {
    let code = ring3_isa::assemble("r0 = 0\nexit").unwrap();
    let interp = Interp::new(Arc::new(link_unverified(&code, ProgType::Xdp, &[], &Helpers::new()).unwrap()));
    let buffer = [0u64; 128];
    let start = buffer.as_ptr().expose_provenance() as u64 + 64;
    assert!(start.is_multiple_of(2));
    // Equal, rising and falling: comparisons go every way.
    let fills: [fn(u64, u64) -> u64; 3] = [|s, _| s + 64, |s, i| s + 64 + 8 * i, |s, i| s + 512 - 8 * i];
    let fused = if M::CHECKED { Vec::new() } else { fuse::handlers::<M>() };
    if !M::CHECKED {
        for (index, handler) in fuse::indexed_handlers().into_iter().enumerate() {
            let (before, after) = around::<M>(&interp, handler, [start.midpoint(0); 16]);
            assert_eq!(before, after, "indexed handler {index}");
        }
    }
    for (index, handler) in simple_handlers::<M>().into_iter().chain(fused).enumerate() {
        for (fill, value) in fills.iter().enumerate() {
            let values = std::array::from_fn(|i| value(start, i as u64));
            let (before, after) = around::<M>(&interp, handler, values);
            assert_eq!(before, after, "handler {index} with values {fill}");
        }
    }
}

#[test]
fn handlers_leave_nothing_on_the_stack() {
    every_handler_is_flat::<Host<false>>();
    every_handler_is_flat::<Host<true>>();
    every_handler_is_flat::<Checked>();
}

/// Calls of helpers and functions in a loop; the helper notes where the native stack is.
const CALLS: &str = "r6 = 3\nagain: call unknown#5000\nr1 = 1\ncall f\nr6 += -1\nif r6 != 0 goto again\nr0 = 0\nexit\n\
                     f: if r1 == 0 goto out\nr1 = 0\ncall f\nout: call unknown#5000\nexit";

#[test]
fn calls_leave_nothing_on_the_stack() {
    let places: Arc<Mutex<Vec<u64>>> = Arc::default();
    let mut helpers = Helpers::new();
    let noted = Arc::clone(&places);
    let note = move |_: &mut crate::Call<'_, '_>, _: [u64; 5]| {
        noted.lock().unwrap().push(stack_pointer());
        0
    };
    helpers.register(HelperId(5000), note).unwrap();
    let code = ring3_isa::assemble(CALLS).unwrap();
    let verified = link_with_helpers(&code, ProgType::Xdp, &helpers).unwrap();
    let unverified = link_unverified(&code, ProgType::Xdp, &[], &helpers).unwrap();
    for linked in [Arc::new(verified), Arc::new(unverified)] {
        for budget in [None, Some(1000)] {
            let interp = Interp::new(Arc::clone(&linked));
            let mut host = TestHost::default();
            let mut env = Env::new(&mut host);
            let mut xdp = XdpContext::new().unwrap();
            xdp.load(&[0; 60]);
            env.ctx = Context::Xdp(xdp);
            env.budget = budget;
            assert_eq!(run(&interp, &mut env), Ok(0));
            let seen = std::mem::take(&mut *places.lock().unwrap());
            assert_eq!(seen.len(), 9);
            assert!(seen.iter().all(|place| *place == seen[0]), "{seen:x?}");
        }
    }
}

/// A loop of many rounds, with a helper in it that notes where the native stack is.
const ROUNDS: &str = "r6 = 300\nagain: call unknown#5\nr6 += -1\nif r6 != 0 goto again\nr0 = 0\nexit";

#[test]
fn being_watched_leaves_nothing_on_the_stack() {
    let places: Arc<Mutex<Vec<u64>>> = Arc::default();
    let mut helpers = Helpers::new();
    let noted = Arc::clone(&places);
    let note = move |_: &mut crate::Call<'_, '_>, _: [u64; 5]| {
        noted.lock().unwrap().push(stack_pointer());
        0
    };
    helpers.register(HelperId(5), note).unwrap();
    let program = ring3_platform::Program::new("p", ProgType::Xdp, ring3_isa::assemble(ROUNDS).unwrap());
    let proof = ring3_verifier::verify(Arc::new(program), Arc::default(), ring3_verifier::LogLevel(0)).unwrap();
    let watched = Watched::new(Arc::new(proof), &[], &helpers).unwrap();
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let mut xdp = XdpContext::new().unwrap();
    xdp.load(&[0; 60]);
    env.ctx = Context::Xdp(xdp);
    assert_eq!(run(&watched, &mut env), Ok(0));
    assert_eq!(watched.report().violations, []);
    let seen = std::mem::take(&mut *places.lock().unwrap());
    assert_eq!(seen.len(), 300);
    assert!(seen.iter().all(|place| *place == seen[0]), "{:x?}", &seen[..4]);
}
