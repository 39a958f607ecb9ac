//! An object brought to life: its maps, and those of its programs that were asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_btf::Btf;
use ring3_jit::{Compiled, Jit};
use ring3_object::{Object, Options};
use ring3_platform::maps::SlotInit;
use ring3_platform::{Errno, MapDef, MapType, Program};
use ring3_verifier::{LogLevel, VerifiedProgram};
use ring3_vm::maps::{self, BPF_ANY, Map};
use ring3_vm::{DefaultHost, Execute, Host, Interp, Linked, Objects, StateReport, WatchError, Watched};

use crate::extend::Extended;
use crate::run::{Input, Output, Runner, TraceLog};
use crate::{Backend, Engine, Error, MapRef};

/// A program that is ready to run, with its proof.
#[derive(Debug)]
pub struct Executable {
    verified: VerifiedProgram,
    execute: Arc<dyn Execute>,
    compiled: Option<Arc<Compiled>>,
    watched: Option<Arc<Watched>>,
    backend: Backend,
}

impl Executable {
    /// The proof, with the log and the numbers of the verification.
    pub fn verified(&self) -> &VerifiedProgram {
        &self.verified
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        self.verified.program()
    }

    /// The program as engines see it.
    pub fn linked(&self) -> &Arc<Linked> {
        self.execute.linked()
    }

    /// The machine code, if that is what runs.
    pub fn compiled(&self) -> Option<&Arc<Compiled>> {
        self.compiled.as_ref()
    }

    /// What its runs and the verifier's states showed so far, if it runs by [`Backend::States`].
    pub fn states(&self) -> Option<StateReport> {
        self.watched.as_ref().map(|watched| watched.report())
    }

    /// What runs it.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// For [`ring3_vm::run`] and for program arrays. Where the kernel runs it, the interpreter.
    pub fn execute(&self) -> &Arc<dyn Execute> {
        &self.execute
    }
}

/// Where the programs come from.
#[derive(Debug)]
enum Source {
    Object(Box<Object>, Options),
    Program(Box<Program>),
}

/// One map: made, or why not.
#[derive(Debug)]
pub(crate) struct Slot {
    /// As the object has it.
    pub source: Arc<MapDef>,
    /// As it was created.
    pub def: Arc<MapDef>,
    pub map: Result<Arc<dyn Map>, Errno>,
    /// Whose programs its slots name.
    pub home: Home,
}

/// Whose programs: those of the instance, or by its index of an object that came with an extension.
pub(crate) type Home = Option<usize>;

/// An object that came with an extension, and those of its programs that are in its program arrays.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub object: Arc<Object>,
    programs: BTreeMap<String, Arc<Executable>>,
}

impl Guest {
    pub fn new(object: Object) -> Guest {
        Guest { object: Arc::new(object), programs: BTreeMap::new() }
    }
}

/// An object with its maps. Dropping it empties the program arrays, else arrays and programs would keep each other alive.
pub struct Instance {
    pub(crate) engine: Engine,
    source: Source,
    pub(crate) slots: Vec<Slot>,
    pub(crate) programs: BTreeMap<String, Arc<Executable>>,
    /// Programs that others extend, by name, as they are since.
    pub(crate) extended: BTreeMap<String, Extended>,
    /// Objects of those others.
    pub(crate) guests: Vec<Guest>,
    /// Program arrays that were filled from the object, by index.
    filled: Vec<usize>,
    host: Box<dyn Host + Send>,
    trace: TraceLog,
    runs: u64,
    /// What programs made and left in maps, and timers that are to fire.
    objects: Arc<Objects>,
    #[cfg(feature = "kernel")]
    kernel: crate::kernel::KernelSide,
    /// What is in slots of program arrays.
    #[cfg(feature = "kernel")]
    placed: Vec<crate::kernel::Placed>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("maps", &self.slots).field("programs", &self.programs).finish_non_exhaustive()
    }
}

impl Instance {
    pub(crate) fn of_object(engine: &Engine, object: Object, options: Options) -> Instance {
        let defs = object.maps().to_vec();
        Instance::new(engine, Source::Object(Box::new(object), options), &defs)
    }

    pub(crate) fn of_program(engine: &Engine, program: Program) -> Instance {
        let defs = program.maps.clone();
        Instance::new(engine, Source::Program(Box::new(program)), &defs)
    }

    fn new(engine: &Engine, source: Source, defs: &[Arc<MapDef>]) -> Instance {
        let engine = engine.clone().for_backend();
        let cpus = engine.target().cpus;
        let mut slots: Vec<Slot> = defs.iter().map(|def| slot(&engine, def, cpus, None)).collect();
        nest(&mut slots);
        Instance {
            engine,
            source,
            slots,
            programs: BTreeMap::new(),
            extended: BTreeMap::new(),
            guests: Vec::new(),
            filled: Vec::new(),
            host: Box::new(DefaultHost),
            trace: TraceLog::default(),
            runs: 0,
            objects: Arc::default(),
            #[cfg(feature = "kernel")]
            kernel: crate::kernel::KernelSide::default(),
            #[cfg(feature = "kernel")]
            placed: Vec::new(),
        }
    }

    /// Runs in these surroundings: another clock, task or network.
    pub fn set_host(&mut self, host: impl Host + Send + 'static) {
        self.host = Box::new(host);
    }

    /// Names of the programs.
    pub fn program_names(&self) -> Vec<&str> {
        match &self.source {
            Source::Object(object, _) => object.programs().iter().map(|p| p.name.as_str()).collect(),
            Source::Program(program) => vec![&program.name],
        }
    }

    /// The program, ready to run. The first time it is verified, linked and compiled, and so are the programs that the
    /// object puts into the program arrays that it reaches.
    pub fn program(&mut self, name: &str) -> Result<Arc<Executable>, Error> {
        if let Some(ready) = self.programs.get(name) {
            return Ok(ready.clone());
        }
        self.ready(name)
    }

    /// [`Instance::program`] of one that is not ready yet. Where anything fails, nothing is.
    fn ready(&mut self, name: &str) -> Result<Arc<Executable>, Error> {
        let ready = self.prepare(None, name)?;
        // Programs name arrays, and arrays name programs: first all of them are made, then the slots are filled.
        let mut made = vec![(None, name.to_owned(), ready.clone())];
        let mut todo: Vec<Arc<Executable>> = vec![ready.clone()];
        let mut fills: Vec<usize> = Vec::new();
        while let Some(program) = todo.pop() {
            for array in self.arrays_of(&program) {
                if self.filled.contains(&array) || fills.contains(&array) {
                    continue;
                }
                fills.push(array);
                let (def, home) = (self.slots[array].def.clone(), self.slots[array].home);
                for slot in &def.slots {
                    let is_it = |made: &(Home, String, _)| made.0 == home && made.1 == slot.symbol;
                    if made.iter().any(is_it) || self.known(home, &slot.symbol).is_some() {
                        continue;
                    }
                    let wrap =
                        |source| Error::Slot { map: def.name.clone(), index: slot.index, source: Box::new(source) };
                    let program = self.prepare(home, &slot.symbol).map_err(wrap)?;
                    made.push((home, slot.symbol.clone(), program.clone()));
                    todo.push(program);
                }
            }
        }
        let before = (self.programs.clone(), self.guests.clone(), self.filled.len());
        for (home, name, program) in made {
            match home {
                None => self.programs.insert(name, program),
                Some(guest) => self.guests[guest].programs.insert(name, program),
            };
        }
        let filled = fills.iter().try_for_each(|array| self.fill(*array));
        if filled.is_err() {
            fills.into_iter().for_each(|array| self.empty(array));
            (self.programs, self.guests) = (before.0, before.1);
            self.filled.truncate(before.2);
        }
        filled.map(|()| ready)
    }

    /// A program that is ready.
    fn known(&self, home: Home, name: &str) -> Option<&Arc<Executable>> {
        match home {
            None => self.programs.get(name),
            Some(guest) => self.guests.get(guest)?.programs.get(name),
        }
    }

    /// Runs a program once on a packet (or, for types that have none, on a context): `instance.run("drop_icmp", &packet)`.
    pub fn run<'a>(&mut self, program: &str, input: impl Into<Input<'a>>) -> Result<Output, Error> {
        self.runner(program)?.run(input)
    }

    /// For many runs of one program: keeps what can be kept between them.
    pub fn runner(&mut self, program: &str) -> Result<Runner<'_>, Error> {
        let executable = self.program(program)?;
        self.runs += 1;
        let budget = self.engine.budget_of_runs();
        #[cfg(feature = "kernel")]
        if executable.backend() == Backend::Kernel {
            self.kernel.prepare(&self.slots, &self.programs, &self.placed)?;
            let runner =
                Runner::new(executable, self.host.as_mut(), &mut self.trace, (self.runs, budget), &self.objects)?;
            return Ok(runner.on_kernel(&mut self.kernel, &self.slots));
        }
        #[cfg(not(feature = "kernel"))]
        if executable.backend() == Backend::Kernel {
            return Err(Error::NoKernel);
        }
        Runner::new(executable, self.host.as_mut(), &mut self.trace, (self.runs, budget), &self.objects)
    }

    /// Objects of its programs. What an embedder adds is there for programs to read ([`Objects::add`]).
    pub fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }

    /// A map by name; one of global data also by its section's name (`.bss`).
    pub fn map(&self, name: &str) -> Result<MapRef<'_>, Error> {
        let file = || match &self.source {
            Source::Object(object, _) => object.file().into(),
            Source::Program(program) => program.name.as_str().into(),
        };
        let def = match &self.source {
            Source::Object(object, _) => object.map(name).cloned(),
            Source::Program(program) => program.maps.iter().find(|m| m.name == name).cloned(),
        };
        let at = def.and_then(|def| self.slots.iter().position(|s| Arc::ptr_eq(&s.source, &def)));
        // What came with a program that replaced a function.
        let at = at.or_else(|| self.slots.iter().position(|slot| slot.def.name == name));
        let at = at.ok_or_else(|| Error::NoSuchMap { file: file(), map: name.to_owned() })?;
        self.map_at(at)
    }

    /// All maps that could be created, in the object's order.
    pub fn maps(&self) -> impl Iterator<Item = MapRef<'_>> {
        (0..self.slots.len()).filter_map(|at| self.map_at(at).ok())
    }

    /// The maps that the programs use which were asked for so far, and those that these can call.
    pub fn used_maps(&self) -> impl Iterator<Item = MapRef<'_>> {
        let used = |def: &Arc<MapDef>| {
            self.programs.values().any(|program| program.program().maps.iter().any(|map| Arc::ptr_eq(map, def)))
        };
        (0..self.slots.len()).filter(move |at| used(&self.slots[*at].def)).filter_map(|at| self.map_at(at).ok())
    }

    /// Puts a program of this instance into a slot of a program array.
    ///
    /// Errors: `Extend` with EBUSY if a function of it was replaced ([`Instance::replace`]); the map's.
    pub fn set_program(&mut self, map: &str, index: u32, program: &str) -> Result<(), Error> {
        let ready = self.program(program)?;
        self.check_unextended(program)?;
        let array = self.map(map)?;
        #[cfg(feature = "kernel")]
        let raw = array.raw().clone();
        let error = |errno| Error::Map { map: map.to_owned(), errno };
        array.raw().set_program(index, Some(ready.execute.clone())).map_err(error)?;
        #[cfg(feature = "kernel")]
        if let Some(at) = self.slots.iter().position(|slot| slot.map.as_ref().is_ok_and(|m| Arc::ptr_eq(m, &raw))) {
            self.placed.push((at, index, program.to_owned()));
        }
        Ok(())
    }

    /// What programs printed with `bpf_printk`, a string each call.
    pub fn trace(&self) -> &[String] {
        &self.trace.lines
    }

    /// Takes what programs printed, which makes room for more.
    pub fn take_trace(&mut self) -> TraceLog {
        std::mem::take(&mut self.trace)
    }

    /// The kernel's types that programs are judged by.
    pub(crate) fn types(&self) -> Option<Arc<Btf>> {
        self.engine.target().btf.clone()
    }

    /// Programs with the names of their sections.
    pub(crate) fn program_sections(&self) -> Vec<(String, String)> {
        match &self.source {
            Source::Object(object, _) => {
                object.programs().iter().map(|entry| (entry.name.clone(), entry.section.clone())).collect()
            }
            Source::Program(program) => vec![(program.name.clone(), program.section.clone())],
        }
    }

    /// What it was made of, if that is an object.
    pub(crate) fn object(&self) -> Option<&Object> {
        match &self.source {
            Source::Object(object, _) => Some(object),
            Source::Program(_) => None,
        }
    }

    /// The file, or the program's name.
    pub(crate) fn source_name(&self) -> String {
        match &self.source {
            Source::Object(object, _) => object.file().to_owned(),
            Source::Program(program) => program.name.clone(),
        }
    }

    /// The types of the object itself.
    pub(crate) fn object_types(&self) -> Option<&Arc<Btf>> {
        self.btf()
    }

    fn btf(&self) -> Option<&Arc<Btf>> {
        match &self.source {
            Source::Object(object, _) => object.btf(),
            Source::Program(program) => program.info.as_ref().map(|info| &info.btf),
        }
    }

    fn map_at(&self, at: usize) -> Result<MapRef<'_>, Error> {
        let slot = &self.slots[at];
        match &slot.map {
            Ok(map) => Ok(MapRef::new(map, self.btf(), self.engine.target().cpus)),
            Err(errno) => Err(Error::MapCreate { map: slot.def.name.clone(), errno: *errno }),
        }
    }

    /// The program, with the definitions that its maps were created by.
    pub(crate) fn linked_program(&self, home: Home, name: &str) -> Result<Program, Error> {
        match (home, self.extended.get(name)) {
            (None, Some(extended)) => Ok(extended.program.clone()),
            (None, None) => self.original(name),
            (Some(guest), _) => {
                let mut program = self.guests[guest].object.program(name, &self.engine.options(&Options::default()))?;
                self.name_maps(&mut program);
                Ok(program)
            }
        }
    }

    /// The same as its object has it.
    pub(crate) fn original(&self, name: &str) -> Result<Program, Error> {
        let mut program = match &self.source {
            Source::Object(object, options) => object.program(name, &self.engine.options(options))?,
            Source::Program(program) if program.name == name => (**program).clone(),
            Source::Program(program) => {
                return Err(Error::NoSuchProgram { file: program.name.as_str().into(), program: name.to_owned() });
            }
        };
        self.name_maps(&mut program);
        Ok(program)
    }

    /// The definitions that maps were created by in place of those of the object.
    pub(crate) fn name_maps(&self, program: &mut Program) {
        for def in &mut program.maps {
            if let Some(slot) = self.slots.iter().find(|slot| Arc::ptr_eq(&slot.source, def)) {
                *def = slot.def.clone();
            }
        }
    }

    /// Verifies, links and compiles one program.
    fn prepare(&self, home: Home, name: &str) -> Result<Arc<Executable>, Error> {
        let verified = self.engine.verify_program(self.linked_program(home, name)?, LogLevel::default())?;
        let program = name.to_owned();
        let maps = verified.program().maps.iter().map(|def| self.map_of(def)).collect::<Result<Vec<_>, _>>()?;
        let (backend, helpers) = (self.engine.executes_by(), self.engine.helpers());
        let failed = |source| Error::Link { program: program.clone(), source };
        let interpreted = |linked: Linked| -> Arc<dyn Execute> { Arc::new(Interp::new(Arc::new(linked))) };
        let link = || ring3_vm::link(&verified, &maps, helpers).map_err(failed);
        let (execute, compiled, watched): (Arc<dyn Execute>, _, _) = match backend {
            Backend::Interpreter | Backend::Kernel => (interpreted(link()?), None, None),
            Backend::Checked => {
                let linked = ring3_vm::link_checked(&verified, &maps, helpers).map_err(failed)?;
                (interpreted(linked), None, None)
            }
            Backend::States => {
                let watched =
                    Watched::new(Arc::new(verified.clone()), &maps, helpers).map_err(|error| match error {
                        WatchError::Link(source) => failed(source),
                        WatchError::Structure(rejection) => Error::Rejected { program: program.clone(), rejection },
                    })?;
                let watched = Arc::new(watched);
                (watched.clone(), None, Some(watched))
            }
            Backend::Jit => {
                let compiled = Jit::compile_with(Arc::new(link()?), self.engine.jit_options())
                    .map_err(|source| Error::Jit { program: program.clone(), source })?;
                let compiled = Arc::new(compiled);
                (compiled.clone(), Some(compiled), None)
            }
        };
        Ok(Arc::new(Executable { verified, execute, compiled, watched, backend }))
    }

    fn map_of(&self, def: &Arc<MapDef>) -> Result<Arc<dyn Map>, Error> {
        let slot = self.slots.iter().find(|slot| Arc::ptr_eq(&slot.def, def));
        let slot = slot.or_else(|| self.slots.iter().find(|slot| slot.def == *def));
        match slot.map(|slot| &slot.map) {
            Some(Ok(map)) => Ok(map.clone()),
            Some(Err(errno)) => Err(Error::MapCreate { map: def.name.clone(), errno: *errno }),
            None => Err(Error::NoSuchMap { file: "".into(), map: def.name.clone() }),
        }
    }

    /// Program arrays with initial programs that a program reaches, as indexes of slots.
    fn arrays_of(&self, program: &Executable) -> Vec<usize> {
        let of = |def: &Arc<MapDef>| self.slots.iter().position(|slot| Arc::ptr_eq(&slot.def, def));
        let arrays = program.program().maps.iter().filter(|m| m.kind == MapType::ProgArray && !m.slots.is_empty());
        arrays.filter_map(of).collect()
    }

    fn fill(&mut self, array: usize) -> Result<(), Error> {
        let slot = &self.slots[array];
        let Ok(map) = &slot.map else { return Ok(()) };
        for init in &slot.def.slots {
            let Some(program) = self.known(slot.home, &init.symbol) else { continue };
            map.set_program(init.index, Some(program.execute.clone()))
                .map_err(|errno| Error::Map { map: slot.def.name.clone(), errno })?;
        }
        // What is replaced runs here alone.
        #[cfg(feature = "kernel")]
        if slot.home.is_none() {
            self.placed.extend(slot.def.slots.iter().map(|init| (array, init.index, init.symbol.clone())));
        }
        self.filled.push(array);
        Ok(())
    }

    /// Takes back what [`Self::fill`] did.
    fn empty(&mut self, array: usize) {
        let slot = &self.slots[array];
        if let Ok(map) = &slot.map {
            for init in &slot.def.slots {
                let is_it = |there: Arc<dyn Execute>| {
                    self.known(slot.home, &init.symbol).is_some_and(|known| Arc::ptr_eq(known.linked(), there.linked()))
                };
                if map.program(init.index).is_some_and(is_it) {
                    // It is not empty, as was just seen.
                    let _ = map.set_program(init.index, None);
                }
            }
        }
        #[cfg(feature = "kernel")]
        self.placed.retain(|(at, _, _)| *at != array);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let arrays = self.slots.iter().filter(|slot| slot.def.kind == MapType::ProgArray);
        for map in arrays.filter_map(|slot| slot.map.as_ref().ok()) {
            for index in 0..map.def().max_entries {
                // Empty slots say that they are empty.
                let _ = map.set_program(index, None);
            }
        }
    }
}

/// Puts maps into the maps of maps, as the object says. One that does not go in makes the outer map fail, as for libbpf.
pub(crate) fn nest(slots: &mut [Slot]) {
    for at in 0..slots.len() {
        let Slot { def, map: Ok(outer), .. } = &slots[at] else { continue };
        if !def.kind.is_map_of_maps() {
            continue;
        }
        let put = |init: &SlotInit| {
            let inner = slots.iter().find(|slot| slot.def.name == init.symbol).ok_or(Errno::ENOENT)?;
            outer.set_inner(&init.index.to_ne_bytes(), inner.map.clone()?, BPF_ANY)
        };
        if let Err(errno) = def.slots.iter().try_for_each(put) {
            slots[at].map = Err(errno);
        }
    }
}

/// What is created of a definition: as many events as there are CPUs, where the object does not say (libbpf's rule).
pub(crate) fn sized(source: &Arc<MapDef>, cpus: u32) -> Arc<MapDef> {
    match source.kind {
        MapType::PerfEventArray if source.max_entries == 0 => {
            Arc::new(MapDef { max_entries: cpus, ..(**source).clone() })
        }
        _ => source.clone(),
    }
}

/// Creates a map, or takes the embedder's. Perf event arrays get an event for each CPU, as their readers would open.
pub(crate) fn slot(engine: &Engine, source: &Arc<MapDef>, cpus: u32, home: Home) -> Slot {
    let def = sized(source, cpus);
    let map = match engine.own_map(&def.name) {
        Some(map) => Ok(map.clone()),
        None => create(&def, cpus),
    };
    Slot { source: source.clone(), def, map, home }
}

fn create(def: &Arc<MapDef>, cpus: u32) -> Result<Arc<dyn Map>, Errno> {
    let map = maps::create(def, cpus)?;
    if def.kind == MapType::PerfEventArray {
        for cpu in 0..cpus.min(def.max_entries) {
            map.open_event(cpu, cpu)?;
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(name: &str, entries: u32) -> Arc<MapDef> {
        Arc::new(MapDef::new(name, MapType::Array, 4, 8, entries))
    }

    /// An instance whose outer map has `symbol` in its second slot.
    fn nested(symbol: &str, inner: &Arc<MapDef>) -> Instance {
        let mut outer = MapDef::new("outer", MapType::ArrayOfMaps, 4, 4, 2);
        outer.inner = Some(Box::new(MapDef::new("template", MapType::Array, 4, 8, 1)));
        outer.slots = vec![SlotInit { index: 1, symbol: symbol.to_owned() }];
        let code = ring3_isa::assemble("r0 = 0\nexit").unwrap();
        let mut program = Program::new("p", ring3_platform::ProgType::Xdp, code);
        program.maps = vec![Arc::new(outer), inner.clone()];
        Instance::of_program(&Engine::new(), program)
    }

    #[test]
    fn maps_of_maps_are_filled() {
        let instance = nested("inner", &array("inner", 1));
        let map = |name: &str| instance.slots.iter().find(|slot| slot.def.name == name).unwrap().map.clone().unwrap();
        assert!(Arc::ptr_eq(&map("outer").inner(&[1, 0, 0, 0]).unwrap(), &map("inner")));
        assert!(map("outer").inner(&[0; 4]).is_none());
    }

    #[test]
    fn what_does_not_fit_fails_the_outer_map() {
        assert_eq!(nested("inner", &array("inner", 2)).slots[0].map.as_ref().unwrap_err(), &Errno::EINVAL);
        assert_eq!(nested("inner", &array("other", 1)).slots[0].map.as_ref().unwrap_err(), &Errno::ENOENT);
    }
}
