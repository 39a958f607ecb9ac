//! What a proof found out about each instruction: lowering and the JITs spend it.

/// Memory that an access reaches, over all paths that were walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Region {
    /// Not an access, or never reached.
    #[default]
    None,
    /// The context of the program.
    Ctx,
    /// A stack frame.
    Stack,
    /// A map's value.
    MapValue,
    /// A map's key (callbacks).
    MapKey,
    /// Packet or packet metadata.
    Packet,
    /// Other memory of known size.
    Mem,
    /// The kernel's structure of a map, which is no memory elsewhere.
    Map,
    /// Structures and other memory of the kernel: a load that faults gives 0 there.
    Kernel,
    /// Pages of an arena: a load of one that is not there gives 0, a store is dropped.
    Arena,
    /// Several of the above but never the context.
    Mixed,
}

/// Which way a conditional jump went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Direction {
    /// Not a conditional jump, or never reached.
    #[default]
    None,
    /// Always jumps.
    Taken,
    /// Never jumps.
    NotTaken,
    /// Either.
    Both,
}

/// The map that a helper call uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MapUse {
    /// No map.
    #[default]
    None,
    /// Always this one: index into the program's maps.
    One(u32),
    /// Different ones on different paths.
    Many,
}

/// What is known of one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InsnFacts {
    /// Some path reaches it.
    pub seen: bool,
    /// Memory it accesses.
    pub region: Region,
    /// Where it jumps.
    pub direction: Direction,
    /// Map that it passes to a helper.
    pub map: MapUse,
}

/// One function of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubprogFacts {
    /// First slot.
    pub start: usize,
    /// Slot behind the last.
    pub end: usize,
    /// Bytes of stack used, not rounded.
    pub stack_depth: u32,
}

/// Everything that the proof found out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// By slot.
    pub insns: Vec<InsnFacts>,
    /// By start; the main function first.
    pub subprogs: Vec<SubprogFacts>,
    /// The program stands for a function without a result: what R0 holds at its end was not looked at.
    pub returns_nothing: bool,
    /// Rules of newer verifiers that it needed.
    pub(crate) relied: crate::release::Relied,
}

impl Facts {
    /// Facts that nobody proved, by slot and by function: for tests of what is made of facts.
    pub fn new(insns: Vec<InsnFacts>, subprogs: Vec<SubprogFacts>) -> Facts {
        Facts { insns, subprogs, ..Facts::default() }
    }
}
