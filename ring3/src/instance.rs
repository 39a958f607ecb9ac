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
}

/// An object with its maps. Dropping it empties the program arrays, else arrays and programs would keep each other alive.
pub struct Instance {
    engine: Engine,
    source: Source,
    slots: Vec<Slot>,
    programs: BTreeMap<String, Arc<Executable>>,
    /// Programs that others extend, by name, as they are since.
    extended: BTreeMap<String, Program>,
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
        let mut slots: Vec<Slot> = defs.iter().map(|def| slot(&engine, def, cpus)).collect();
        nest(&mut slots);
        Instance {
            engine,
            source,
            slots,
            programs: BTreeMap::new(),
            extended: BTreeMap::new(),
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
        let ready = self.prepare(name)?;
        // Programs name arrays, and arrays name programs: first all of them are made, then the slots are filled.
        let mut made = vec![(name.to_owned(), ready.clone())];
        let mut todo: Vec<Arc<Executable>> = vec![ready.clone()];
        let mut fills: Vec<usize> = Vec::new();
        while let Some(program) = todo.pop() {
            for array in self.arrays_of(&program) {
                if self.filled.contains(&array) || fills.contains(&array) {
                    continue;
                }
                fills.push(array);
                for slot in self.slots[array].def.clone().slots.iter() {
                    let known = made.iter().any(|(n, _)| *n == slot.symbol) || self.programs.contains_key(&slot.symbol);
                    if !known {
                        let map = self.slots[array].def.name.clone();
                        let wrap = |source| Error::Slot { map, index: slot.index, source: Box::new(source) };
                        let program = self.prepare(&slot.symbol).map_err(wrap)?;
                        made.push((slot.symbol.clone(), program.clone()));
                        todo.push(program);
                    }
                }
            }
        }
        self.programs.extend(made);
        for array in fills {
            self.fill(array)?;
        }
        Ok(ready)
    }

    /// Puts a `freplace` program of another object in the place of a function of `program`, as `bpf_program__attach_freplace` does: of
    /// the function that its section names, or of `function`. The verifier judges it by that function's prototype first, then the
    /// program with it in there; from then on the program runs so, in every engine but the kernel's. Maps of the other object are
    /// there by their names, if no map of this one has them.
    ///
    /// Errors: `Rejected`, of the one or of both together; the object's; [`ObjectError::Extend`](ring3_object::ObjectError::Extend).
    /// Nothing changes then.
    pub fn replace(
        &mut self,
        program: &str,
        function: Option<&str>,
        object: &Object,
        extension: &str,
    ) -> Result<Arc<Executable>, Error> {
        let old = self.linked_program(program)?;
        let object = self.engine.adapted(object);
        let new = object.program(extension, &self.engine.options(&Options::default()))?;
        // A function that was replaced before has its name no more: what is attached to is what the object has.
        let original = Arc::new(self.original(program)?);
        let new = new.attached_to(original, function);
        let name = new.attach_name().unwrap_or(program).to_owned();
        self.engine.verify_program(new.clone(), LogLevel::default())?;
        let cpus = self.engine.target().cpus;
        let known = |def: &Arc<MapDef>| self.slots.iter().any(|slot| Arc::ptr_eq(&slot.source, def));
        let mut more: Vec<Slot> =
            object.maps().iter().filter(|def| !known(def)).map(|def| slot(&self.engine, def, cpus)).collect();
        nest(&mut more);
        let mut extended = ring3_object::extended(&old, &name, &new)?;
        let slots = self.slots.len();
        self.slots.append(&mut more);
        self.name_maps(&mut extended);
        let before = self.extended.insert(program.to_owned(), extended);
        let running = self.programs.remove(program);
        self.program(program).inspect_err(|_| {
            self.slots.truncate(slots);
            match before {
                Some(before) => self.extended.insert(program.to_owned(), before),
                None => self.extended.remove(program),
            };
            self.programs.extend(running.map(|running| (program.to_owned(), running)));
        })
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
    pub fn set_program(&mut self, map: &str, index: u32, program: &str) -> Result<(), Error> {
        let ready = self.program(program)?;
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
    fn linked_program(&self, name: &str) -> Result<Program, Error> {
        match self.extended.get(name) {
            Some(extended) => Ok(extended.clone()),
            None => self.original(name),
        }
    }

    /// The same as its object has it.
    fn original(&self, name: &str) -> Result<Program, Error> {
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
    fn name_maps(&self, program: &mut Program) {
        for def in &mut program.maps {
            if let Some(slot) = self.slots.iter().find(|slot| Arc::ptr_eq(&slot.source, def)) {
                *def = slot.def.clone();
            }
        }
    }

    /// Verifies, links and compiles one program.
    fn prepare(&self, name: &str) -> Result<Arc<Executable>, Error> {
        let verified = self.engine.verify_program(self.linked_program(name)?, LogLevel::default())?;
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
            let Some(program) = self.programs.get(&init.symbol) else { continue };
            map.set_program(init.index, Some(program.execute.clone()))
                .map_err(|errno| Error::Map { map: slot.def.name.clone(), errno })?;
        }
        #[cfg(feature = "kernel")]
        self.placed.extend(slot.def.slots.iter().map(|init| (array, init.index, init.symbol.clone())));
        self.filled.push(array);
        Ok(())
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
fn nest(slots: &mut [Slot]) {
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

/// Creates a map, or takes the embedder's. Perf event arrays get an event for each CPU, as their readers would open.
fn slot(engine: &Engine, source: &Arc<MapDef>, cpus: u32) -> Slot {
    let def = match source.kind {
        // As many events as there are CPUs, where the object does not say (libbpf's rule).
        MapType::PerfEventArray if source.max_entries == 0 => {
            Arc::new(MapDef { max_entries: cpus, ..(**source).clone() })
        }
        _ => source.clone(),
    };
    let map = match engine.own_map(&def.name) {
        Some(map) => Ok(map.clone()),
        None => create(&def, cpus),
    };
    Slot { source: source.clone(), def, map }
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
