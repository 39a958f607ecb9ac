//! Loops: the strongly connected parts of the control flow of each function (Tarjan's algorithm, without recursion).

use ring3_isa::Flow;
use ring3_platform::Program;

use super::{Structure, target};

/// Instructions that follow one inside its function.
pub fn successors(program: &Program, slot: usize) -> [Option<usize>; 2] {
    let code = &program.code;
    let next = Some(code.next(slot)).filter(|next| *next < code.len());
    match code.raw_slice()[slot].flow() {
        Flow::Next => [next, None],
        Flow::Exit => [None, None],
        Flow::Goto(off) => [target(code, slot, off), None],
        Flow::Branch(off) => [next, target(code, slot, off)],
    }
}

/// What Tarjan's algorithm knows of an instruction.
#[derive(Clone, Copy, Default)]
struct Node {
    /// Order of discovery, from 1.
    index: u32,
    low: u32,
    on_stack: bool,
}

/// Set in the number of a loop that is only a call that is called back from.
pub const CALLBACK_LOOP: u32 = 1 << 31;

fn callback_loop(slot: usize) -> u32 {
    CALLBACK_LOOP | u32::try_from(slot).unwrap_or(0)
}

/// Numbers every loop, from 1, in `Static::scc`. A call that is called back from counts as a loop of its own: Linux does
/// without, but then what the callback relies on could be learned after a path was cut short.
pub fn compute(program: &Program, structure: &mut Structure) {
    if !structure.goes_back {
        // Most long programs: nothing to search for.
        for (slot, insn) in structure.insns.iter_mut().enumerate().filter(|(_, insn)| insn.calls_callback) {
            insn.scc = callback_loop(slot);
        }
        return;
    }
    let mut search = Search { nodes: vec![Node::default(); program.code.len()], open: Vec::new(), found: 0, loops: 0 };
    for subprog in 0..structure.subprogs.len() {
        let start = structure.subprogs[subprog].start;
        if search.nodes[start].index == 0 {
            search.from(start, program, structure);
        }
    }
}

struct Search {
    nodes: Vec<Node>,
    open: Vec<usize>,
    found: u32,
    loops: u32,
}

impl Search {
    fn discover(&mut self, slot: usize) {
        self.found += 1;
        self.nodes[slot] = Node { index: self.found, low: self.found, on_stack: true };
        self.open.push(slot);
    }

    fn from(&mut self, start: usize, program: &Program, structure: &mut Structure) {
        let mut work = vec![(start, 0)];
        self.discover(start);
        while let Some((slot, edge)) = work.last_mut() {
            let (slot, next) = (*slot, successors(program, *slot).get(*edge).copied());
            *edge += 1;
            match next {
                Some(None) => {}
                Some(Some(to)) if self.nodes[to].index == 0 => {
                    self.discover(to);
                    work.push((to, 0));
                }
                Some(Some(to)) => {
                    if self.nodes[to].on_stack {
                        self.nodes[slot].low = self.nodes[slot].low.min(self.nodes[to].index);
                    }
                }
                None => {
                    work.pop();
                    if let Some((parent, _)) = work.last() {
                        self.nodes[*parent].low = self.nodes[*parent].low.min(self.nodes[slot].low);
                    }
                    if self.nodes[slot].low == self.nodes[slot].index {
                        self.close(slot, program, structure);
                    }
                }
            }
        }
    }

    /// Takes the component of `root` off the stack.
    fn close(&mut self, root: usize, program: &Program, structure: &mut Structure) {
        let is_loop = self.open.last() != Some(&root) || successors(program, root).contains(&Some(root));
        let number = if is_loop {
            self.loops += 1;
            self.loops
        } else if structure.insns[root].calls_callback {
            callback_loop(root)
        } else {
            0
        };
        while let Some(slot) = self.open.pop() {
            self.nodes[slot].on_stack = false;
            structure.insns[slot].scc = number;
            if slot == root {
                break;
            }
        }
    }
}
