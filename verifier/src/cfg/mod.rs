//! Everything static, before the walk: subprograms, their borders, the control-flow graph, prune points, live registers.

mod attach;
pub mod back;
pub mod exception;
pub mod fastcall;
pub mod graph;
mod info;
pub mod kfuncs;
mod live;
pub mod maps;
mod scc;
mod subprogs;

use ring3_isa::{Code, Insn, Malformed};
use ring3_platform::helpers::id;
use ring3_platform::{Program, Target};

use crate::diag::reject::Reject;

pub use scc::{CALLBACK_LOOP, successors};
pub use subprogs::Subprog;

/// Longest program that a privileged user may load (BPF_COMPLEXITY_LIMIT_INSNS).
pub const MAX_INSNS: usize = 1_000_000;
/// Most functions of a program (BPF_MAX_SUBPROGS).
pub const MAX_SUBPROGS: usize = 256;
/// Number of the helper that jumps to another program.
pub const TAIL_CALL: i32 = 12;

/// What is known of an instruction before the walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Static {
    /// States are compared here.
    pub prune_point: bool,
    /// The history records that the walk came through here.
    pub jmp_point: bool,
    /// A state is always stored here.
    pub force_checkpoint: bool,
    /// Calls a function that calls back at once.
    pub calls_callback: bool,
    /// Asks an iterator for more.
    pub asks_iterator: bool,
    /// May overwrite slots of the stack. What a function of the program does is found out in its own walk.
    pub may_write_stack: bool,
    /// Takes two slots.
    pub wide: bool,
    /// Registers that may be read from here on before they are written: bit per register.
    pub live: u16,
    /// What a walk back that finds a number's origin must ask for so that it has to look at the instruction: see [`back`].
    pub back: u16,
    /// Number of the loop that it is part of; 0 for none.
    pub scc: u32,
}

/// The skeleton of a program.
#[derive(Debug)]
pub struct Structure {
    /// By start; the main function first.
    pub subprogs: Vec<Subprog>,
    /// By slot.
    pub insns: Vec<Static>,
    /// Functions of the kernel that it names.
    pub kfuncs: kfuncs::Kfuncs,
    /// What the program is attached to by the kernel's types.
    pub attach: Option<crate::kernel::target::Attach>,
    /// It replaces a function of another program: its own main function has what that one's prototype says.
    pub extends: bool,
    /// The function that runs when the program throws, if it has one.
    pub exception_callback: Option<usize>,
    /// It uses an arena.
    pub has_arena: bool,
    /// It may make dynptrs of packets that move where something is written through them.
    pub packet_dynptrs: bool,
    /// By function: what it saves around calls that leave registers alone.
    pub saves: Vec<fastcall::Saves>,
    /// Some way leads backwards: there may be loops.
    pub goes_back: bool,
}

impl Structure {
    /// The function that a slot belongs to.
    pub fn subprog_of(&self, slot: usize) -> usize {
        self.subprogs.partition_point(|s| s.start <= slot) - 1
    }

    /// The function that starts at a slot.
    pub fn subprog_at(&self, slot: usize) -> Option<usize> {
        self.subprogs.binary_search_by_key(&slot, |s| s.start).ok()
    }
}

/// A broken rule, and where.
pub type At = (Reject, Option<usize>);

/// Finds the functions of a program: the first of the passes.
pub fn functions(program: &Program) -> Result<Vec<Subprog>, At> {
    let code = &program.code;
    attach::check_type(program).map_err(|reject| (reject, None))?;
    if code.is_empty() {
        return Err((Reject::NoInstructions {}, None));
    }
    if code.len() > MAX_INSNS {
        return Err((Reject::TooManyInstructions { count: code.len() }, None));
    }
    info::check_entries(program).map_err(|reject| (reject, None))?;
    subprogs::discover(program)
}

/// Whether what a program does suits the function in whose place it is to stand.
pub type Suits<'a> = &'a dyn Fn(&Structure) -> Result<(), Reject>;

/// Checks the structure of a program with these functions, in the kernel's order. Of one that extends another, `suits` says whether
/// it may.
pub fn build(
    program: &Program,
    target: &Target,
    mut subprogs: Vec<Subprog>,
    suits: Option<Suits<'_>>,
) -> Result<Structure, At> {
    let code = &program.code;
    subprogs::check_borders(code, &mut subprogs)?;
    info::check(program, &subprogs)?;
    let has_arena = check_wide_and_opcodes(program, target)?;
    let kfuncs = kfuncs::Kfuncs::of(program, target);
    let thrown = exception::callback(program).map_err(|reject| (reject, None))?;
    let exception_callback = thrown.and_then(|start| subprogs.binary_search_by_key(&start, |s| s.start).ok());
    let insns = vec![Static::default(); code.len()];
    let saves = Vec::new();
    let goes_back = false;
    let mut structure = Structure {
        subprogs,
        insns,
        kfuncs,
        attach: None,
        extends: false,
        exception_callback,
        has_arena,
        packet_dynptrs: false,
        saves,
        goes_back,
    };
    graph::walk(program, target, &mut structure)?;
    structure.extends = suits.is_some();
    match suits {
        Some(suits) => suits(&structure).map_err(|reject| (reject, None))?,
        None => {
            attach::check_target(program).map_err(|reject| (reject, None))?;
            let btf = target.btf.as_deref();
            structure.attach = crate::kernel::target::find(program, btf).map_err(|reject| (reject, None))?;
        }
    }
    live::compute(program, target, &mut structure);
    scc::compute(program, &mut structure);
    back::compute(program, &mut structure);
    structure.saves = fastcall::find(program, target, &structure);
    Ok(structure)
}

/// Whether a helper calls back at once.
pub fn calls_back(helper: i32) -> bool {
    matches!(u32::try_from(helper), Ok(id::FOR_EACH_MAP_ELEM | id::FIND_VMA | id::LOOP | id::USER_RINGBUF_DRAIN))
}

/// The prototype of a helper as this program may call it.
pub fn proto<'t>(program: &Program, target: &'t Target, id: i32) -> Option<&'t ring3_platform::Proto> {
    match target.helper(program, u32::try_from(id).ok()?) {
        ring3_platform::helpers::Lookup::Found(proto) => Some(proto),
        ring3_platform::helpers::Lookup::Invalid
        | ring3_platform::helpers::Lookup::NotForProgram
        | ring3_platform::helpers::Lookup::Unmodelled(_) => None,
    }
}

/// Opcodes that exist, wide loads in good order, maps that are there: the rules that hold even for code that is never
/// reached. All other rules about fields are applied when an instruction is visited. Gives whether there is an arena.
fn check_wide_and_opcodes(program: &Program, target: &Target) -> Result<bool, At> {
    let code = &program.code;
    let (mut slot, mut arena) = (0, None);
    while slot < code.len() {
        let raw = code.raw_slice()[slot];
        if raw.is_indirect() {
            return Err((malformed(Malformed::UnknownOpcode(raw.code)), Some(slot)));
        }
        match code.insns()[slot] {
            Ok(Insn::LoadImm { value, .. }) => maps::check_wide(program, target, value)
                .and_then(|()| maps::note_arena(program, value, &mut arena))
                .map_err(|reject| (reject, Some(slot)))?,
            Ok(_) => {}
            Err(bad) if bad.anywhere() => return Err((malformed(bad), Some(slot))),
            Err(_) => {}
        }
        slot = code.next(slot);
    }
    Ok(arena.is_some())
}

/// The kernel's complaint about an instruction that cannot be decoded.
pub fn malformed(bad: Malformed) -> Reject {
    Reject::Malformed { text: bad.to_string() }
}

/// A jump target as a slot of the program.
pub fn target(code: &Code, slot: usize, off: i32) -> Option<usize> {
    let to = i64::try_from(slot).ok()? + 1 + i64::from(off);
    usize::try_from(to).ok().filter(|to| *to < code.len())
}
