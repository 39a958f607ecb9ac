//! Linking: a lowered program, the maps and the helpers become one thing that engines execute.
//!
//! [`link`] compares the maps with the definitions that the proof used: size, kind, flags and, for frozen data, content
//! must be the same, or the program's accesses would not be safe.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ring3_isa::Code;
use ring3_platform::helpers::{Lookup, id};
use ring3_platform::maps::FieldKind;
use ring3_platform::{AttachType, HelperId, MapDef, MapType, ProgType, Program, RetKind, helper_name};
use ring3_verifier::{Region, VerifiedProgram};

use crate::call::Call;
use crate::ctx::Context;
use crate::env::Env;
use crate::error::LinkError;
use crate::guarded::Arena;
use crate::helpers;
use crate::lower::{CtxRules, FixupValue, Lowered, Op, Subprog, Target, lower, lower_checked, lower_unverified};
use crate::maps::{ArrayLayout, DirectCalls, LookupCall, Map};
use crate::owner::Owner;
use crate::variables::Variables;

/// A helper as engines call it: R1 to R5 and the environment, gives R0.
///
/// On x86-64 (System V) BPF's R1 to R5 are the first five argument registers, so that a JIT only has to add the sixth.
///
/// # Safety
///
/// The arguments are what the helper's prototype says (as the verifier proves), or `env` knows the live memory (as the
/// checked interpreter provides).
pub type HelperFn =
    for<'a, 'h> unsafe extern "C" fn(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, env: &'a mut Env<'h>) -> u64;

/// A helper of the embedder.
pub type CustomHelper = Arc<dyn Fn(&mut Call<'_, '_>, [u64; 5]) -> u64 + Send + Sync>;

/// Helpers of the embedder that one program may use, at most.
pub const MAX_CUSTOM_HELPERS: usize = 64;

/// The embedder's helpers by number. One with the number of a Linux helper takes its place.
#[derive(Clone, Default)]
pub struct Helpers {
    custom: BTreeMap<u32, CustomHelper>,
}

impl Helpers {
    /// No helpers but those of Linux that ring3 has.
    pub fn new() -> Helpers {
        Helpers::default()
    }

    /// Adds a helper. `DuplicateHelper` if the number is taken.
    pub fn register(
        &mut self,
        id: HelperId,
        helper: impl Fn(&mut Call<'_, '_>, [u64; 5]) -> u64 + Send + Sync + 'static,
    ) -> Result<(), LinkError> {
        if self.custom.contains_key(&id.0) {
            return Err(LinkError::DuplicateHelper { id: id.0 });
        }
        self.custom.insert(id.0, Arc::new(helper));
        Ok(())
    }
}

impl fmt::Debug for Helpers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.custom.keys()).finish()
    }
}

/// One row of a linked program's helper table.
#[derive(Clone, Copy)]
pub struct HelperRef {
    /// Number.
    pub id: HelperId,
    /// What to call.
    pub func: HelperFn,
    /// What it does, where machine code may do that without the call.
    pub simple: Option<Simple>,
}

/// A helper of ring3 that needs no call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Simple {
    /// `bpf_get_smp_processor_id`: what is at `Env::CPU_OFFSET`.
    ProcessorId,
    /// `bpf_get_prandom_u32`: as of `Env::prandom_u32`.
    Random,
}

impl fmt::Debug for HelperRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HelperRef({})", self.id.0)
    }
}

/// What a map is in a register: the address of one of these, which stays the same as long as the linked program.
#[derive(Debug)]
pub struct MapHandle {
    /// The map.
    pub map: Arc<dyn Map>,
    /// Its index in the linked program.
    pub index: u32,
    /// Bytes of its keys.
    pub(crate) key_size: u32,
    /// What helpers call for a verified program.
    pub(crate) direct: Option<DirectCalls>,
}

impl MapHandle {
    pub(crate) fn new(map: Arc<dyn Map>, index: u32) -> MapHandle {
        let key_size = map.def().key_size;
        let direct = map.direct_calls();
        MapHandle { map, index, key_size, direct }
    }
}

/// How a lookup that always is in the same map can be done without the helper.
#[derive(Clone, Copy, Debug)]
pub enum MapLookup {
    /// By the index at R2.
    Array(ArrayLayout),
    /// By a function that gets R2.
    Call(LookupCall),
}

/// A program that engines can execute.
pub struct Linked {
    name: String,
    kind: ProgType,
    rules: CtxRules,
    verified: bool,
    /// The proof holds for runs on CPUs below this.
    cpus: u32,
    /// How many CPUs the machine has that it was verified for.
    machine_cpus: u32,
    ops: Vec<Op>,
    slots: Vec<u32>,
    regions: Vec<Region>,
    subprogs: Vec<Subprog>,
    helpers: Vec<HelperRef>,
    custom: Vec<CustomHelper>,
    maps: Box<[MapHandle]>,
    /// Calls of `bpf_map_lookup_elem` that always use the same map.
    lookups: Vec<(Target, u32)>,
    /// See [`Linked::is_wary`].
    wary: bool,
    /// Some operation is a tail call.
    tail_calls: bool,
    /// See [`Linked::is_alone`].
    alone: bool,
    /// See [`Linked::waits`].
    waits: bool,
    arena: Option<Arena>,
    /// Types of a program that makes objects of them.
    types: Option<Arc<ring3_btf::ProgramInfo>>,
    /// Where the context has the result so far of a hook of security modules, of which the proof knows bounds.
    result_at: Option<usize>,
    /// Variables of the kernel that it names.
    variables: Variables,
    /// Of a program at the start or the end of a function.
    trampoline: Option<Trampoline>,
    /// What maps with programs know it by.
    owner: Owner,
}

/// What a program at a function of the kernel has in its context: the arguments, and behind them the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trampoline {
    /// Words of arguments.
    pub arguments: u64,
    pub has_result: bool,
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("ops", &self.ops.len())
            .finish()
    }
}

impl Linked {
    /// The program's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[inline]
    pub fn kind(&self) -> ProgType {
        self.kind
    }

    /// Whether a proof stands behind it. Only then may it be compiled, or run without checks.
    #[inline]
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// The operations.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// For each operation the slot that it came from.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// For each operation the memory that it accesses, as the verifier found it over all paths; empty without a proof.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The functions; the main one is the first.
    pub fn subprogs(&self) -> &[Subprog] {
        &self.subprogs
    }

    /// The helpers that `Op::CallHelper` names.
    pub fn helpers(&self) -> &[HelperRef] {
        &self.helpers
    }

    /// The maps, in the order of the program's definitions.
    pub fn maps(&self) -> &[MapHandle] {
        &self.maps
    }

    /// The calls of `bpf_map_lookup_elem` that engines may do in another way, in the order of operations.
    pub fn lookups(&self) -> impl Iterator<Item = (Target, MapLookup)> {
        self.lookups.iter().filter_map(|&(op, map)| {
            let map = &self.maps.get(map as usize)?.map;
            let array = matches!(map.def().kind, MapType::Array | MapType::PercpuArray) && map.def().key_size == 4;
            let lookup = match map.array_layout().filter(|_| array) {
                Some(layout) => MapLookup::Array(layout),
                None => MapLookup::Call(map.lookup_call()?),
            };
            Some((op, lookup))
        })
    }

    /// Those of them that are in arrays with the same values for all CPUs, so that they need nothing but the index.
    pub fn array_lookups(&self) -> impl Iterator<Item = (Target, ArrayLayout)> {
        self.lookups().filter_map(|(op, lookup)| match lookup {
            MapLookup::Array(layout) if layout.plane == 0 => Some((op, layout)),
            MapLookup::Array(_) | MapLookup::Call(_) => None,
        })
    }

    /// The map whose handle is this value of a register.
    pub fn map_of_handle(&self, handle: u64) -> Option<&MapHandle> {
        let at = handle.checked_sub(self.maps.as_ptr() as u64)?;
        let size = size_of::<MapHandle>() as u64;
        if !at.is_multiple_of(size) { None } else { self.maps.get((at / size) as usize) }
    }

    /// Whether the proof speaks of memory of the kernel: what helpers are given is then looked up, as it need not be there.
    #[inline]
    pub(crate) fn is_wary(&self) -> bool {
        self.wary
    }

    /// Whether its runs may know addresses of what Linux lets wait for a grace period when it is deleted: elements of tries, storage of
    /// sockets and tasks, objects.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// The helper that is called at a slot.
    pub(crate) fn helper_at(&self, slot: u32) -> Option<HelperId> {
        let called = |op: &Op| {
            if let Op::CallHelper { helper } = op {
                return self.helpers.get(usize::from(*helper)).map(|found| found.id);
            }
            (*op == Op::TailCall).then_some(HelperId(id::TAIL_CALL))
        };
        self.slots.iter().zip(&self.ops).filter(|(at, _)| **at == slot).find_map(|(_, op)| called(op))
    }

    /// Whether what the program calls may stop the run, so that engines look behind each call: helpers that were given memory which no
    /// proof speaks of, helpers of the embedder, and whatever program runs after a tail call.
    pub fn may_be_stopped(&self) -> bool {
        self.wary || !self.custom.is_empty() || self.tail_calls
    }

    /// Whether the program calls nothing that is not its own, so that nobody looks at the environment for it.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// The types of the program.
    pub(crate) fn types(&self) -> Option<&Arc<ring3_btf::ProgramInfo>> {
        self.types.as_ref()
    }

    /// How many CPUs the machine has that the program was verified for; 1 if nobody verified it.
    pub(crate) fn machine_cpus(&self) -> u32 {
        self.machine_cpus
    }

    /// The arena that the program has.
    pub(crate) fn arena(&self) -> Option<Arena> {
        self.arena
    }

    /// True if this is the handle of a map of the program, or of one in its maps of maps.
    pub(crate) fn knows_handle(&self, handle: u64) -> bool {
        self.map_of_handle(handle).is_some() || self.maps.iter().any(|outer| outer.map.gives_handle(handle))
    }

    /// Whether it may run on this CPU: a proof is about as many CPUs as its target has.
    #[inline]
    pub(crate) fn runs_on(&self, cpu: u32) -> bool {
        cpu < self.cpus
    }

    /// Whether the context has what the proof takes for granted of numbers in it: that no hook before denied anything.
    #[inline]
    pub(crate) fn expects(&self, context: &Context) -> bool {
        match (self.result_at, context) {
            (None, _) => true,
            (Some(at), Context::Raw(raw)) => raw.word(at) == Some(0),
            (Some(_), Context::None | Context::Xdp(_) | Context::Skb(_) | Context::Fields(_) | Context::Parts(_)) => {
                false
            }
        }
    }

    /// What its context has of a function.
    pub(crate) fn trampoline(&self) -> Option<Trampoline> {
        self.trampoline
    }

    /// Variables of the kernel that it names.
    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// What maps with programs know it by.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(crate) fn rules(&self) -> &CtxRules {
        &self.rules
    }

    pub(crate) fn has_subprog(&self, index: u32) -> bool {
        (index as usize) < self.subprogs.len()
    }
}

/// Links a program that was proved safe.
pub fn link(program: &VerifiedProgram, maps: &[Arc<dyn Map>], helpers: &Helpers) -> Result<Linked, LinkError> {
    let source = program.program();
    let cpus = program.target().cpus;
    let rules = rules(source)?;
    check_maps(&source.maps, maps, cpus)?;
    let mut lowered = lower(program)?;
    lowered.wary |= is_wary(program, &lowered.helpers);
    for id in &lowered.helpers {
        check_custom(program, helpers, *id)?;
    }
    let linked = finish(lowered, (source.name.clone(), source.kind, rules), maps, helpers, Some(cpus))?;
    of_program(program, linked)
}

/// What a linked program has of the one that was verified. Its maps hear of it, as those with programs take only some.
fn of_program(program: &VerifiedProgram, linked: Linked) -> Result<Linked, LinkError> {
    let map_at = |at: usize| linked.maps.get(at).map_or(0, |handle| Arc::as_ptr(&handle.map).addr());
    let owner = Owner::of(program, map_at);
    if let Some(MapHandle { map, index, .. }) =
        linked.maps.iter().find(|handle| handle.map.base().admit(&owner, true).is_err())
    {
        return Err(LinkError::OtherSort { index: *index as usize, name: map.def().name.clone() });
    }
    let (types, result_at) = (program.program().info.clone(), result_at(program));
    Ok(Linked { types, result_at, trampoline: trampoline(program), owner, ..linked })
}

/// Links a program that nobody proved anything about: only the checked interpreter runs it. `kind` says what context it
/// expects. Helpers work as far as they can check what they are given.
pub fn link_unverified(
    code: &Code,
    kind: ProgType,
    maps: &[Arc<dyn Map>],
    helpers: &Helpers,
) -> Result<Linked, LinkError> {
    let lowered = lower_unverified(code, maps.len())?;
    finish(lowered, (String::new(), kind, CtxRules::of(kind, None)), maps, helpers, None)
}

/// Links a program that was proved safe for the checked interpreter, as if it had not been: nothing of the proof is spent.
pub fn link_checked(program: &VerifiedProgram, maps: &[Arc<dyn Map>], helpers: &Helpers) -> Result<Linked, LinkError> {
    let source = program.program();
    let rules = rules(source)?;
    check_maps(&source.maps, maps, program.target().cpus)?;
    let lowered = lower_checked(program)?;
    for id in &lowered.helpers {
        check_custom(program, helpers, *id)?;
    }
    let linked = finish(lowered, (source.name.clone(), source.kind, rules), maps, helpers, None)?;
    of_program(program, linked)
}

/// The same with whatever helpers and maps there are: what they give may be wrong, and special fields of values are bytes. For runs
/// with checks whose point is not what they compute.
pub(crate) fn link_loosely(
    program: &VerifiedProgram,
    maps: &[Arc<dyn Map>],
    helpers: &Helpers,
) -> Result<Linked, LinkError> {
    let source = program.program();
    let rules = rules(source)?;
    finish(lower_checked(program)?, (source.name.clone(), source.kind, rules), maps, helpers, None)
}

/// What its context is. One that extends another has whatever the function gets that it replaces, and no context of its own.
fn rules(source: &Program) -> Result<CtxRules, LinkError> {
    if source.kind == ProgType::Ext { Err(LinkError::Extension) } else { Ok(CtxRules::of(source.kind, source.attach)) }
}

/// Whether a program may have addresses of the kernel in registers without an access that says so.
fn is_wary(program: &VerifiedProgram, helpers: &[HelperId]) -> bool {
    let kind = program.program().kind;
    let of_kernel = |id: &HelperId| match program.target().helper(program.program(), id.0) {
        Lookup::Found(proto) => {
            matches!(proto.ret.kind, RetKind::MemOrBtfId | RetKind::BtfId(_) | RetKind::BtfIdTrusted(_))
        }
        Lookup::Invalid | Lookup::NotForProgram | Lookup::Unmodelled(_) => false,
    };
    let objects = matches!(kind, ProgType::Tracing | ProgType::Lsm | ProgType::StructOps | ProgType::Ext);
    let kept = program.program().maps.iter().any(|map| map.fields.list.iter().any(|field| field.kind.is_pointer()));
    objects || kept || helpers.iter().any(of_kernel)
}

fn finish(
    lowered: Lowered,
    (name, kind, rules): (String, ProgType, CtxRules),
    maps: &[Arc<dyn Map>],
    helpers: &Helpers,
    proved_for: Option<u32>,
) -> Result<Linked, LinkError> {
    let (verified, cpus) = (proved_for.is_some(), proved_for.unwrap_or(u32::MAX));
    let Lowered { mut ops, slots, subprogs, helpers: ids, regions, fixups, lookups, wary, variables, cpus: copies } =
        lowered;
    let variables = Variables::new(&variables, copies).map_err(|_| LinkError::LargeVariables)?;
    let maps: Box<[MapHandle]> =
        maps.iter().zip(0..).map(|(map, index)| MapHandle::new(Arc::clone(map), index)).collect();
    for fixup in fixups {
        let loaded = match fixup.value {
            FixupValue::Map(map) => &raw const maps[map] as u64,
            FixupValue::MapValue(map, off) => direct_value(&maps[map], off)?,
            FixupValue::Variable(at) => variables.address(at).unwrap_or(0),
        };
        if let Some(Op::LoadImm { value, .. }) = ops.get_mut(fixup.op) {
            *value = loaded;
        }
    }
    // The embedder may have put a helper in the place of the lookup.
    let own = helpers.custom.contains_key(&id::MAP_LOOKUP_ELEM);
    let lookups = if own || wary { Vec::new() } else { lookups };
    let arena = maps.iter().find_map(|handle| handle.map.arena()).map(Arena::of);
    let waits = wary || maps.iter().any(|handle| lets_wait(handle.map.def()));
    let mut custom = Vec::new();
    let table = ids.iter().map(|id| helper_ref(*id, helpers, &mut custom)).collect::<Result<_, _>>()?;
    Ok(Linked {
        name,
        kind,
        rules,
        verified,
        cpus,
        tail_calls: ops.iter().any(|op| matches!(op, Op::TailCall)),
        alone: !ops.iter().any(Op::needs_env),
        machine_cpus: copies,
        ops,
        slots,
        regions,
        subprogs,
        helpers: table,
        custom,
        maps,
        lookups,
        wary,
        waits,
        arena,
        types: None,
        result_at: None,
        trampoline: None,
        variables,
        owner: Owner::unverified(kind),
    })
}

/// Whether what is deleted in a map, or in those inside of it, may be used again only when no run knows it any more. Elements of hash
/// maps are used again at once, in Linux as well.
fn lets_wait(def: &MapDef) -> bool {
    let storage = [MapType::SkStorage, MapType::InodeStorage, MapType::TaskStorage, MapType::CgrpStorage];
    let here = def.kind == MapType::LpmTrie || storage.contains(&def.kind);
    here || def.inner.as_ref().is_some_and(|inner| lets_wait(inner))
}

/// What a function's arguments are in a context.
fn trampoline(program: &VerifiedProgram) -> Option<Trampoline> {
    let source = program.program();
    let has_result = match source.attach.filter(|_| source.kind == ProgType::Tracing)? {
        AttachType::TraceFentry => false,
        AttachType::TraceFexit | AttachType::ModifyReturn => true,
        _ => return None,
    };
    let bytes = argument_bytes(program, source.attach_name()?)?;
    Some(Trampoline { arguments: bytes as u64 / 8, has_result })
}

/// How many bytes the arguments of a function of the kernel have in a context.
fn argument_bytes(program: &VerifiedProgram, function: &str) -> Option<usize> {
    let btf = program.target().btf.as_ref()?;
    let function = btf.find(function, ring3_btf::Kind::Func)?;
    let Some(ring3_btf::Type::Func { proto, .. }) = btf.get(function) else { return None };
    let Ok(ring3_btf::Type::FuncProto { params, .. }) = btf.resolved(*proto) else { return None };
    let size = |ty| btf.size_of(ty).unwrap_or(0).max(1).next_multiple_of(8) as usize;
    Some(params.iter().map(|param| size(param.ty)).sum())
}

/// Where the result stands behind the arguments of a hook of security modules, in bytes.
fn result_at(program: &VerifiedProgram) -> Option<usize> {
    let source = program.program();
    if source.kind != ProgType::Lsm {
        return None;
    }
    argument_bytes(program, &format!("bpf_lsm_{}", source.attach_name()?))
}

fn direct_value(handle: &MapHandle, off: u32) -> Result<u64, LinkError> {
    let def = handle.map.def();
    if let Some(arena) = handle.map.arena() {
        return Ok(arena.start + u64::from(off));
    }
    match handle.map.direct_value() {
        Some(base) if off < def.value_size => Ok(base.as_ptr() as u64 + u64::from(off)),
        Some(_) | None => Err(LinkError::NoDirectValue { index: handle.index as usize, name: def.name.clone(), off }),
    }
}

fn helper_ref(id: HelperId, helpers: &Helpers, custom: &mut Vec<CustomHelper>) -> Result<HelperRef, LinkError> {
    if let Some(helper) = helpers.custom.get(&id.0) {
        let func = THUNKS.get(custom.len()).ok_or(LinkError::TooManyCustomHelpers { limit: MAX_CUSTOM_HELPERS })?;
        custom.push(Arc::clone(helper));
        return Ok(HelperRef { id, func: *func, simple: None });
    }
    let missing = || LinkError::NoHelper { id: id.0, name: helper_name(id.0).unwrap_or("unknown").to_owned() };
    let simple = match id.0 {
        id::GET_SMP_PROCESSOR_ID => Some(Simple::ProcessorId),
        id::GET_PRANDOM_U32 => Some(Simple::Random),
        _ => None,
    };
    helpers::builtin(id.0).map(|func| HelperRef { id, func, simple }).ok_or_else(missing)
}

/// A helper of the embedder returns whatever it likes, so its prototype must not promise more than a number, nor the verifier
/// know a bound of that.
fn check_custom(program: &VerifiedProgram, helpers: &Helpers, id: HelperId) -> Result<(), LinkError> {
    if !helpers.custom.contains_key(&id.0) {
        return Ok(());
    }
    if ring3_verifier::has_bounded_result(id.0) {
        return Err(LinkError::CustomReturnsAnything { id: id.0 });
    }
    match program.target().helper(program.program(), id.0) {
        Lookup::Found(proto) if matches!(proto.ret.kind, RetKind::Integer | RetKind::Void) => Ok(()),
        _ => Err(LinkError::CustomReturnsPointer { id: id.0 }),
    }
}

/// Whether there are helpers for a special field of values.
const fn is_kept(kind: FieldKind) -> bool {
    match kind {
        FieldKind::SpinLock
        | FieldKind::ResSpinLock
        | FieldKind::Refcount
        | FieldKind::KptrUnref
        | FieldKind::KptrRef
        | FieldKind::KptrPercpu
        | FieldKind::Timer
        | FieldKind::Workqueue
        | FieldKind::ListHead
        | FieldKind::RbRoot => true,
        FieldKind::TaskWork | FieldKind::ListNode | FieldKind::RbNode | FieldKind::Uptr => false,
    }
}

fn check_maps(wanted: &[Arc<MapDef>], given: &[Arc<dyn Map>], cpus: u32) -> Result<(), LinkError> {
    if wanted.len() != given.len() {
        return Err(LinkError::MapCount { wanted: wanted.len(), given: given.len() });
    }
    for (index, (wanted, given)) in wanted.iter().zip(given).enumerate() {
        let fields = wanted.inner.as_ref().map_or(&wanted.fields, |inner| &inner.fields);
        if let Some(field) = fields.list.iter().find(|field| !is_kept(field.kind)) {
            let (name, what) = (wanted.name.clone(), field.kind.name());
            return Err(LinkError::SpecialField { index, name, what });
        }
        let found = difference(wanted, given.def()).or_else(|| content_differs(wanted, given.as_ref()));
        // A lookup that cannot fail must not fail for want of a value for the CPU.
        let few = || {
            (wanted.kind.is_percpu() && given.cpus() < cpus)
                .then(|| ("CPUs", cpus.to_string(), given.cpus().to_string()))
        };
        if let Some((field, wanted_value, given_value)) = found.or_else(few) {
            let name = wanted.name.clone();
            return Err(LinkError::MapMismatch { index, name, field, wanted: wanted_value, given: given_value });
        }
    }
    Ok(())
}

/// The verifier read constants and strings from the content of frozen maps; what the definition has no data for is zero.
fn content_differs(wanted: &MapDef, given: &dyn Map) -> Option<(&'static str, String, String)> {
    if !wanted.is_constant() {
        return None;
    }
    let data = wanted.data.as_deref().unwrap_or_default();
    let now = given.copy_out(&0u32.to_ne_bytes()).unwrap_or_default();
    let (same, zeroes) = (now.get(..data.len()) == Some(data), now.get(data.len()..).unwrap_or_default());
    let whole = now.len() == wanted.value_size as usize;
    if given.is_frozen() && whole && same && zeroes.iter().all(|byte| *byte == 0) {
        return None;
    }
    Some(("frozen content", "that of the program".to_owned(), "different".to_owned()))
}

/// The first field that a proof relies on and that differs, with both values.
fn difference(wanted: &MapDef, given: &MapDef) -> Option<(&'static str, String, String)> {
    let numbers = [
        ("key size", wanted.key_size.into(), given.key_size.into()),
        ("value size", wanted.value_size.into(), given.value_size.into()),
        ("capacity", wanted.max_entries.into(), given.max_entries.into()),
        ("flags", u64::from(wanted.flags.0), u64::from(given.flags.0)),
        ("extra", wanted.extra, given.extra),
    ];
    if wanted.kind != given.kind {
        return Some(("type", wanted.kind.name().to_owned(), given.kind.name().to_owned()));
    }
    if let Some((field, wanted, given)) = numbers.into_iter().find(|(_, wanted, given)| wanted != given) {
        return Some((field, wanted.to_string(), given.to_string()));
    }
    match (&wanted.inner, &given.inner) {
        (Some(wanted), Some(given)) => difference(wanted, given),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            Some(("inner map", wanted.inner.is_some().to_string(), given.inner.is_some().to_string()))
        }
    }
}

/// Calls helper `N` of the embedder of the running program: a JIT can only call plain functions.
unsafe extern "C" fn thunk<const N: usize>(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, env: &mut Env<'_>) -> u64 {
    let helper = env.linked.as_ref().and_then(|linked| linked.custom.get(N).cloned());
    helper.map_or(0, |helper| helper(&mut Call::new(env), [r1, r2, r3, r4, r5]))
}

macro_rules! thunks {
    ($($n:literal)*) => { [$(thunk::<$n>),*] };
}

const THUNKS: [HelperFn; MAX_CUSTOM_HELPERS] = thunks!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::lower::tests::{facts, lower_trusted};

    /// Links a program that the tests know to be safe, as if it had been proved.
    pub(crate) fn link_trusted(code: &Code, kind: ProgType, maps: &[Arc<dyn Map>]) -> Result<Linked, LinkError> {
        link_with_facts(code, kind, &facts(code), maps)
    }

    pub(crate) fn link_with_facts(
        code: &Code,
        kind: ProgType,
        facts: &ring3_verifier::Facts,
        maps: &[Arc<dyn Map>],
    ) -> Result<Linked, LinkError> {
        let lowered = lower_trusted(code, kind, facts, maps.len())?;
        finish(lowered, (String::new(), kind, CtxRules::of(kind, None)), maps, &Helpers::new(), Some(u32::MAX))
    }

    /// As `link_trusted`, with helpers of the embedder.
    pub(crate) fn link_with_helpers(code: &Code, kind: ProgType, helpers: &Helpers) -> Result<Linked, LinkError> {
        let lowered = lower_trusted(code, kind, &facts(code), 0)?;
        finish(lowered, (String::new(), kind, CtxRules::of(kind, None)), &[], helpers, Some(u32::MAX))
    }

    #[test]
    fn map_handles_are_found_by_their_addresses() {
        let def = Arc::new(MapDef::new("m", MapType::Array, 4, 8, 1));
        let maps = [crate::maps::create(&def, 1).unwrap(), crate::maps::create(&def, 1).unwrap()];
        let code = ring3_isa::assemble("r1 = map[fd:1]\nr2 = map[fd:1][0]+4\nexit").unwrap();
        let linked = link_trusted(&code, ProgType::Xdp, &maps).unwrap();
        let loaded = |op: usize| match linked.ops()[op] {
            Op::LoadImm { value, .. } => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(linked.map_of_handle(loaded(0)).unwrap().index, 1);
        assert!(linked.map_of_handle(loaded(0) + 8).is_none());
        assert!(linked.map_of_handle(0).is_none());
        assert_eq!(loaded(1), maps[1].direct_value().unwrap().as_ptr() as u64 + 4);
        let beyond = ring3_isa::assemble("r2 = map[fd:1][0]+8\nexit").unwrap();
        assert!(matches!(link_trusted(&beyond, ProgType::Xdp, &maps), Err(LinkError::NoDirectValue { off: 8, .. })));
    }

    #[test]
    fn maps_that_differ_from_the_proof_are_refused() {
        let kind = MapType::Array;
        let wanted = Arc::new(MapDef::new("m", kind, 4, 8, 2));
        let given = crate::maps::create(&Arc::new(MapDef::new("m", kind, 4, 8, 1)), 1).unwrap();
        let error = check_maps(std::slice::from_ref(&wanted), std::slice::from_ref(&given), 1).unwrap_err();
        assert!(matches!(error, LinkError::MapMismatch { field: "capacity", .. }), "{error}");
        assert_eq!(check_maps(&[wanted], &[], 1), Err(LinkError::MapCount { wanted: 1, given: 0 }));
    }
}
