//! Functions of an instance's programs in whose place programs of other objects run (`freplace`).

use std::collections::BTreeSet;
use std::sync::Arc;

use ring3_btf::Kind;
use ring3_object::{Object, Options};
use ring3_platform::{Errno, MapDef, MapType, Program};
use ring3_verifier::LogLevel;
use ring3_vm::Linked;

use crate::instance::{Guest, Slot, nest, slot};
use crate::{Error, Executable, Instance};

/// A program whose functions were replaced.
#[derive(Clone, Debug)]
pub(crate) struct Extended {
    /// With the others in their place.
    pub program: Program,
    /// Functions that are there no more.
    functions: BTreeSet<String>,
}

impl Instance {
    /// Puts a `freplace` program of another object in the place of a function of `program`, as `bpf_program__attach_freplace` does: of
    /// the function that its section names, or of `function`. The verifier judges it by that function's prototype first, then the
    /// program with it in there; from then on the program runs so, in every engine but the kernel's. Maps of the other object are
    /// there by their names, if no map of this one has them; its program arrays have its own programs.
    ///
    /// Errors: `Rejected`, of the one or of both together; the object's; [`ObjectError::Extend`](ring3_object::ObjectError::Extend);
    /// `Extend` with EBUSY, as Linux has it, if that function is replaced already, or if the program is in a program array or the
    /// object puts it into one. Nothing changes then.
    pub fn replace(
        &mut self,
        program: &str,
        function: Option<&str>,
        object: &Object,
        extension: &str,
    ) -> Result<Arc<Executable>, Error> {
        let object = self.engine.adapted(object);
        let new = object.program(extension, &self.engine.options(&Options::default()))?;
        // What it is attached to is what the object has, whatever was replaced there before.
        let original = Arc::new(self.original(program)?);
        let new = new.attached_to(original.clone(), function);
        let name = new.attach_name().unwrap_or(program).to_owned();
        self.engine.verify_program(new.clone(), LogLevel::default())?;
        let before = self.extended.get(program);
        let mut functions = before.map(|extended| extended.functions.clone()).unwrap_or_default();
        let busy = |why: String| Error::Extend { program: program.to_owned(), why, errno: Errno::EBUSY };
        if !functions.insert(name.clone()) {
            return Err(busy(format!("{name}() is replaced already")));
        }
        if self.is_in_array(program) {
            return Err(busy("it is in a program array, so none of its functions can be replaced".to_owned()));
        }
        let old = self.linked_program(None, program)?;
        // Nothing calls the others any more where the main function was replaced.
        let is_gone = main_function(&original).is_some_and(|main| main != name && functions.contains(main));
        let extended = if is_gone { old } else { ring3_object::extended(&old, &name, &new)? };
        self.take_over(program, Extended { program: extended, functions }, object.into_owned())
    }

    /// Makes ready what was put together, or leaves everything as it was.
    fn take_over(&mut self, program: &str, extended: Extended, object: Object) -> Result<Arc<Executable>, Error> {
        let (slots, guests) = (self.slots.len(), self.guests.len());
        let cpus = self.engine.target().cpus;
        let known = |def: &&Arc<MapDef>| !self.slots.iter().any(|slot| Arc::ptr_eq(&slot.source, def));
        let new = |def| slot(&self.engine, def, cpus, Some(guests));
        let mut more: Vec<Slot> = object.maps().iter().filter(known).map(new).collect();
        nest(&mut more);
        self.slots.append(&mut more);
        self.guests.push(Guest::new(object));
        let mut extended = extended;
        self.name_maps(&mut extended.program);
        let before = self.extended.insert(program.to_owned(), extended);
        let running = self.programs.remove(program);
        self.program(program).inspect_err(|_| {
            self.slots.truncate(slots);
            self.guests.truncate(guests);
            match before {
                Some(before) => self.extended.insert(program.to_owned(), before),
                None => self.extended.remove(program),
            };
            match running {
                Some(running) => self.programs.insert(program.to_owned(), running),
                None => self.programs.remove(program),
            };
        })
    }

    /// EBUSY for a program that runs with functions of others: it would be called by whom it calls.
    pub(crate) fn check_unextended(&self, program: &str) -> Result<(), Error> {
        if !self.extended.contains_key(program) {
            return Ok(());
        }
        let why = "a function of it is replaced, so it cannot be put into a program array".to_owned();
        Err(Error::Extend { program: program.to_owned(), why, errno: Errno::EBUSY })
    }

    /// Whether a tail call may lead to it. What the object puts into arrays is there from the start, as in the kernel, though programs
    /// are made ready only when they are asked for.
    fn is_in_array(&self, program: &str) -> bool {
        let mut arrays = self.slots.iter().filter(|slot| slot.def.kind == MapType::ProgArray);
        let running = self.programs.get(program).map(|running| running.linked());
        arrays.any(|slot| {
            let named = slot.home.is_none() && slot.def.slots.iter().any(|init| init.symbol == program);
            let Ok(map) = &slot.map else { return false };
            let placed = |running: &Arc<Linked>| {
                let mut there = (0..slot.def.max_entries).filter_map(|index| map.program(index));
                there.any(|there| Arc::ptr_eq(there.linked(), running))
            };
            named || running.is_some_and(placed)
        })
    }
}

/// The name of the function that a program begins with.
fn main_function(program: &Program) -> Option<&str> {
    let info = program.info.as_ref()?;
    let main = info.funcs.first()?;
    let ty = info.btf.get(main.type_id).filter(|ty| ty.kind() == Kind::Func)?;
    Some(info.btf.string(ty.name()))
}
