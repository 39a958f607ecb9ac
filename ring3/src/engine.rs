//! The settings under which objects are loaded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_classic::{Filter, Style};
use ring3_isa::Endianness;
use ring3_jit::Jit;
use ring3_object::{Object, Options};
use ring3_platform::{ArgKind, Errno, HelperId, KernelVersion, ProgType, Program, Proto, Target};
use ring3_verifier::reference::{Reference, reference};
use ring3_verifier::{LogLevel, Rejection, VerifiedProgram};
use ring3_vm::maps::Map;
use ring3_vm::{Call, Helpers};

use crate::instance::sized;
use crate::{Error, Instance};

/// What executes programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The interpreter: on every machine.
    Interpreter,
    /// The interpreter that looks every access up in the live memory of the run, and stops the program where it is not there. For
    /// verified programs it is an oracle: one that it stops shows a mistake of the verifier.
    Checked,
    /// The same, with registers and stack compared before every instruction with the states that the verifier's rules have there:
    /// [`Executable::states`](crate::Executable::states) says what was compared.
    States,
    /// Machine code, on machines that there is a compiler for.
    Jit,
    /// The running kernel, by BPF_PROG_TEST_RUN, with the crate's feature `kernel`. Programs are verified here first, then by
    /// the kernel. Needs root. The number of CPUs is the machine's; helpers and maps of the embedder are not there.
    Kernel,
}

impl Backend {
    /// As the command line names it: `interp`, `checked`, `states`, `jit` or `kernel`.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Interpreter => "interp",
            Backend::Checked => "checked",
            Backend::States => "states",
            Backend::Jit => "jit",
            Backend::Kernel => "kernel",
        }
    }

    /// The faster one of those that this machine has.
    pub const fn best() -> Backend {
        if Jit::is_supported() { Backend::Jit } else { Backend::Interpreter }
    }
}

/// Settings: whose rules programs are judged by, what executes them, and what an embedder adds to Linux.
///
/// ```
/// use ring3::{Backend, Engine, KernelVersion};
/// let engine = Engine::new().kernel(KernelVersion::V6_18).backend(Backend::Interpreter);
/// assert_eq!(engine.target().kernel.to_string(), "6.18");
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    target: Target,
    backend: Backend,
    helpers: Helpers,
    maps: BTreeMap<String, Arc<dyn Map>>,
    /// The same types as the target's, for CO-RE relocations.
    core: Option<Arc<CoreTarget>>,
    /// What is added to machine code.
    jit: ring3_jit::Options,
    /// Instructions of a run.
    budget: Option<u64>,
    /// Programs that others extend, and the function that is replaced, where sections do not say it.
    extended: Vec<Arc<Program>>,
    replaced: Option<String>,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine {
            target: Target::default(),
            backend: Backend::best(),
            helpers: Helpers::new(),
            maps: BTreeMap::new(),
            core: None,
            jit: ring3_jit::Options::default(),
            budget: None,
            extended: Vec::new(),
            replaced: None,
        }
    }
}

impl Engine {
    /// Linux 6.18 on two CPUs, the JIT where there is one, no helpers or maps but those of Linux.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Judges by the rules of this release.
    #[must_use]
    pub fn kernel(mut self, kernel: KernelVersion) -> Engine {
        self.target.kernel = kernel;
        self
    }

    /// The kernel's own types, as in `/sys/kernel/btf/vmlinux`: what programs that get pointers to its structures are
    /// judged by, and what CO-RE relocations are answered with.
    #[must_use]
    pub fn btf(mut self, btf: impl Into<Arc<ring3_btf::Btf>>) -> Engine {
        let btf = btf.into();
        self.core = Some(Arc::new(CoreTarget::new(btf.clone())));
        self.target.btf = Some(btf);
        self
    }

    /// The number of CPUs: of values in per-CPU maps, and the bound of `bpf_get_smp_processor_id`. At least 1.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Engine {
        self.target.cpus = cpus.max(1);
        self
    }

    /// Executes by this.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Engine {
        self.backend = backend;
        self
    }

    /// Adds to machine code what programs of untrusted authors call for: constants that are not theirs, indirect calls that cannot be
    /// mispredicted. For [`Backend::Jit`]; other backends need neither.
    ///
    /// ```
    /// use ring3::{Engine, jit};
    /// let engine = Engine::new().jit(jit::Options { blind: true, retpolines: true, ..jit::Options::default() });
    /// assert!(engine.jit_options().blind);
    /// ```
    #[must_use]
    pub fn jit(mut self, options: ring3_jit::Options) -> Engine {
        self.jit = options;
        self
    }

    /// Ends each run after about so many instructions, as they were lowered: with `Error::Run` and
    /// [`TrapKind::Budget`](ring3_vm::TrapKind::Budget). What the run did until then stays done. Verified programs end by themselves,
    /// but that can take long. Not for [`Backend::Kernel`], which has no such thing.
    #[must_use]
    pub fn budget(mut self, instructions: u64) -> Engine {
        self.budget = Some(instructions);
        self
    }

    /// What programs extend whose section is `freplace`: one of these, the first that has the function which the section names, or
    /// `function` if there is one (`bpf_program__set_attach_target` of libbpf). They are judged by that program's type and the
    /// function's prototype; the program itself has to pass as well.
    ///
    /// ```
    /// use ring3::{Engine, Program, ProgType};
    /// # let code = ring3::isa::assemble("r0 = 2\nexit")?;
    /// let root = Program::new("xdp_root", ProgType::Xdp, code);
    /// let engine = Engine::new().extends([root], None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn extends(mut self, programs: impl IntoIterator<Item = Program>, function: Option<&str>) -> Engine {
        self.extended = programs.into_iter().map(Arc::new).collect();
        self.replaced = function.map(str::to_owned);
        self
    }

    /// The program with what it extends, if nobody said that yet.
    fn attached(&self, program: Program) -> Program {
        if program.kind != ProgType::Ext || program.attach_prog.is_some() {
            return program;
        }
        let function = self.replaced.as_deref();
        let name = function.or(program.attach_name());
        let has = |other: &&Arc<Program>| {
            let funcs = other.info.iter().flat_map(|info| &info.funcs);
            name.is_none_or(|name| funcs.map(|func| &*func.name).any(|func| func == name))
        };
        // A program of that name comes before one that only has such a function.
        let named = self.extended.iter().find(|other| Some(other.name.as_str()) == name);
        let found = named.or_else(|| self.extended.iter().find(has)).or(self.extended.first());
        match found.cloned() {
            Some(other) => program.attached_to(other, function),
            None => program,
        }
    }

    /// Adds a helper of the embedder. The verifier checks calls of it by the prototype, whose number is
    /// [`Target::FIRST_CUSTOM_HELPER`] or above and whose result is a number. Arguments that the prototype does not have are 0.
    ///
    /// `HelperNumber` if the number is below, or taken.
    pub fn helper(
        mut self,
        proto: Proto,
        function: impl Fn(&mut Call<'_, '_>, [u64; 5]) -> u64 + Send + Sync + 'static,
    ) -> Result<Engine, Error> {
        let id = proto.id;
        // What is in the other registers may be another number on each engine.
        let has = proto.args.map(|arg| arg.kind != ArgKind::None);
        let function = move |call: &mut Call<'_, '_>, args: [u64; 5]| {
            function(call, std::array::from_fn(|index| if has[index] { args[index] } else { 0 }))
        };
        if id < Target::FIRST_CUSTOM_HELPER || self.helpers.register(HelperId(id), function).is_err() {
            return Err(Error::HelperNumber { id });
        }
        self.target.helpers.push(proto);
        Ok(self)
    }

    /// Uses this map wherever an object defines one of that name: one of the embedder's own, or one that several instances
    /// share. Its definition must be what the object says.
    #[must_use]
    pub fn map(mut self, name: &str, map: Arc<dyn Map>) -> Engine {
        self.maps.insert(name.to_owned(), map);
        self
    }

    /// The object as a loader makes it ready for a kernel of the engine's release.
    pub(crate) fn adapted<'o>(&self, object: &'o Object) -> Cow<'o, Object> {
        if object.suits(self.target.kernel) {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        object.adapt(self.target.kernel);
        Cow::Owned(object)
    }

    /// These options, with the engine's types for CO-RE where they name none.
    pub fn options(&self, given: &Options) -> Options {
        Options { core: given.core.clone().or_else(|| self.core.clone()), ..given.clone() }
    }

    /// What programs are judged against.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What executes.
    pub fn executes_by(&self) -> Backend {
        self.backend
    }

    /// What is added to machine code: what [`Engine::jit`] was given, with a budget if there is one.
    pub fn jit_options(&self) -> ring3_jit::Options {
        ring3_jit::Options { budget: self.jit.budget || self.budget.is_some(), ..self.jit }
    }

    /// Instructions of a run, if they are limited.
    pub(crate) fn budget_of_runs(&self) -> Option<u64> {
        self.budget
    }

    /// Verifies one program of an object, as if it were loaded alone. `level` says how much to log.
    ///
    /// Errors: the object's, `ByteOrder`, `MapCreate` for a map that Linux would not create, and `Rejected` with the verifier's log.
    pub fn verify(
        &self,
        object: &Object,
        program: &str,
        options: &Options,
        level: LogLevel,
    ) -> Result<VerifiedProgram, Error> {
        check_order(object)?;
        self.verify_program(self.adapted(object).program(program, &self.options(options))?, level)
    }

    /// Where the verifier's budget goes for one program of an object, by source line and by call.
    pub fn profile(&self, object: &Object, program: &str, options: &Options) -> Result<ring3_verifier::Profile, Error> {
        check_order(object)?;
        let program = self.attached(self.adapted(object).program(program, &self.options(options))?);
        Ok(ring3_verifier::profile(&program, &self.target))
    }

    /// Verifies a program that comes from anywhere.
    ///
    /// Errors: `Rejected`, and `MapCreate` for a map that Linux would not create, since no program is loaded onto that.
    pub fn verify_program(&self, program: Program, level: LogLevel) -> Result<VerifiedProgram, Error> {
        let (name, target) = (program.name.clone(), Arc::new(self.target.clone()));
        let program = Arc::new(self.attached(program));
        for def in program.maps.iter().filter(|def| self.own_map(&def.name).is_none()) {
            let refused = |errno| Error::MapCreate { map: def.name.clone(), errno };
            sized(def, self.target.cpus).check().map_err(refused)?;
        }
        ring3_verifier::verify(program.clone(), target, level).map_err(|mut rejection| {
            name_relocation(&program, &mut rejection);
            Error::Rejected { program: name, rejection }
        })
    }

    /// The verdict without pruning, which must be that of [`Engine::verify`]: every path is walked to its end, within `budget`
    /// processed instructions.
    ///
    /// Errors: the object's, and `ByteOrder`.
    pub fn reference(
        &self,
        object: &Object,
        program: &str,
        options: &Options,
        budget: u32,
    ) -> Result<Reference, Error> {
        check_order(object)?;
        let program = Arc::new(self.attached(self.adapted(object).program(program, &self.options(options))?));
        Ok(reference(program, Arc::new(self.target.clone()), LogLevel::default(), budget))
    }

    /// Creates the maps of an object. Programs are verified when they are asked for.
    pub fn load(&self, object: &Object) -> Result<Instance, Error> {
        self.load_with(object, &Options::default())
    }

    /// [`Engine::load`], with programs linked as `options` say.
    pub fn load_with(&self, object: &Object, options: &Options) -> Result<Instance, Error> {
        check_order(object)?;
        Ok(Instance::of_object(self, self.adapted(object).into_owned(), options.clone()))
    }

    /// Creates the maps of a program that does not come from an object.
    pub fn load_program(&self, program: Program) -> Instance {
        Instance::of_program(self, program)
    }

    /// Translates a filter of classic BPF, and verifies the translation. Its only program is called `filter`. That of a
    /// filter of a socket runs on packets; that of a filter of seccomp on the bytes of a
    /// [`SeccompData`](ring3_classic::SeccompData), as [`Input::Context`](crate::Input::Context).
    ///
    /// Errors: `Classic` if it loads what eBPF cannot get; `Rejected` never, unless ring3 is wrong.
    pub fn load_filter(&self, filter: &Filter) -> Result<Instance, Error> {
        let program = filter.translate(Style::Plain)?;
        match self.verify_program(program.clone(), LogLevel::default()) {
            Ok(_) => Ok(self.load_program(program)),
            Err(Error::Rejected { rejection, .. }) if rejection.errno == Errno::E2BIG => {
                Ok(self.load_program(filter.translate(Style::Opaque)?))
            }
            Err(error) => Err(error),
        }
    }

    /// With as many CPUs as the backend has.
    pub(crate) fn for_backend(self) -> Engine {
        match self.backend {
            Backend::Interpreter | Backend::Checked | Backend::States | Backend::Jit => self,
            Backend::Kernel => {
                let cpus = kernel_cpus().unwrap_or(self.target.cpus);
                self.cpus(cpus)
            }
        }
    }

    pub(crate) fn helpers(&self) -> &Helpers {
        &self.helpers
    }

    pub(crate) fn own_map(&self, name: &str) -> Option<&Arc<dyn Map>> {
        self.maps.get(name)
    }
}

/// Values by CPU that the kernel's maps have. `None` where there is no kernel: loading says why.
#[cfg(feature = "kernel")]
fn kernel_cpus() -> Option<u32> {
    ring3_linux::possible_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok())
}

#[cfg(not(feature = "kernel"))]
fn kernel_cpus() -> Option<u32> {
    None
}

/// Constants in an object's data are in its byte order, and programs see host memory.
fn check_order(object: &Object) -> Result<(), Error> {
    let name = |order| match order {
        Endianness::Little => "little-endian",
        Endianness::Big => "big-endian",
    };
    let host = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    if object.endian() == host {
        return Ok(());
    }
    Err(Error::ByteOrder { file: object.file().into(), object: name(object.endian()), host: name(host) })
}

/// Says, as libbpf does, which CO-RE relocation found nothing, or which function of the kernel is missing, where the verifier saw a
/// call of a helper that is none.
fn name_relocation(program: &Program, rejection: &mut Rejection) {
    let Some(at) = rejection.at else { return };
    let Some(number) = rejection.message.strip_prefix("invalid func unknown#") else { return };
    let Ok(number) = number.parse::<i32>() else { return };
    let unresolved = program.info.as_ref().map_or(&[][..], |info| &info.unresolved);
    let relocation =
        unresolved.iter().find(|(slot, _)| number == ring3_object::UNRESOLVED_CALL && *slot as usize == at);
    let missing =
        number.checked_sub(Program::MISSING_KFUNC).and_then(|id| program.kfuncs.get(usize::try_from(id).ok()?));
    let (what, why) = match (relocation, missing) {
        (Some((_, relocation)), _) => ("CO-RE relocation", format!("failed to resolve CO-RE relocation {relocation}")),
        (None, Some(kfunc)) => ("kfunc call", format!("kfunc '{}' is referenced but wasn't resolved", kfunc.name)),
        (None, None) => return,
    };
    rejection.log = rejection.log.replace(&rejection.message, &format!("{at}: <invalid {what}>\n{why}"));
    rejection.message = format!("<invalid {what}> {why}");
}
