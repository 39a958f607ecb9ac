//! The lines of the log about stack slots that may still be read. Linux goes over a whole function in rounds, until nothing
//! changes, and says what did; the marks that come of it are those of `stack_live.rs`.

use std::fmt::Write;

use ring3_platform::Program;

use super::stack_live::Instance;
use crate::cfg::{Static, successors};

/// The instructions of a function, callees of no jump last: each one comes after those that it leads to, but for loops.
#[derive(Debug)]
pub(super) struct Order(Vec<usize>);

impl Order {
    /// In the order in which Linux leaves them: it follows jumps before it falls through, and an instruction belongs to the
    /// first one that leads to it.
    pub(super) fn new(program: &Program, start: usize, len: usize) -> Order {
        let (mut order, mut seen, mut done) = (Vec::with_capacity(len), vec![false; len], vec![false; len]);
        let mut stack = vec![0];
        seen[0] = true;
        while let Some(&at) = stack.last() {
            if std::mem::replace(&mut done[at], true) {
                order.push(at);
                stack.pop();
                continue;
            }
            for to in successors(program, start + at).into_iter().flatten() {
                let to = to.wrapping_sub(start);
                if to < len && !std::mem::replace(&mut seen[to], true) {
                    stack.push(to);
                }
            }
        }
        Order(order)
    }
}

/// Spreads the marks of a function, and says what changed where.
pub(super) fn rounds(program: &Program, insns: &[Static], instance: &mut Instance, order: &Order) -> String {
    let (mut text, mut count) = (String::new(), 0);
    let name = name(instance);
    instance.begin_rounds();
    loop {
        let mut changed = false;
        for frame in instance.marked_frames() {
            for &at in &order.0 {
                let Some(here) = instance.at(frame, at) else { continue };
                let now = here.before(instance.after(program, frame, at));
                let slot = instance.start + at;
                if here.read != 0 || here.written() != 0 || at == 0 || insns[slot].prune_point {
                    let place = format!("{name} frame {frame} insn {slot} ");
                    change(&mut text, &place, "live", here.live, now.live);
                    change(&mut text, &place, "written", here.overwritten, now.overwritten);
                }
                changed |= (here.live, here.overwritten) != (now.live, now.overwritten);
                instance.set(frame, at, now);
            }
        }
        count += 1;
        if !changed {
            break;
        }
    }
    let _ = writeln!(text, "{name} live stack update done in {count} iterations");
    text
}

/// The calls that led to the function, and its start.
fn name(instance: &Instance) -> String {
    let calls: Vec<String> = instance.chain[1..].iter().chain([&instance.start]).map(usize::to_string).collect();
    format!("({})", calls.join(","))
}

fn change(text: &mut String, place: &str, what: &str, before: u64, now: u64) {
    if before == now {
        return;
    }
    text.push_str(place);
    for (sign, slots) in [('+', now & !before), ('-', before & !now)] {
        if slots != 0 {
            let slots: Vec<String> =
                (0..64).filter(|i| slots >> i & 1 != 0).map(|i| format!("-{}", (i + 1) * 8)).collect();
            // One of them has a space behind it.
            let end = if sign == '+' { " " } else { "" };
            let _ = write!(text, "{sign}{what} {}{end}", slots.join(","));
        }
    }
    text.push('\n');
}
