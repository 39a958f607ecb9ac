//! A system call as a whole: all that fires from its start to its end, with the memory of the process that its arguments lead to.

use ring3_btf::Kind;

use super::content::Content;
use super::event::{Scene, WRAPPERS, syscall_number};
use super::hook::Hook;
use super::memory::{Memory, Space};
use super::path::{Path, Place, check};
use super::{Args, Fired, Sim, SimError, Target};
use crate::Error;

/// What comes before the name in the point of the event.
const PREFIX: &str = "syscall/";

/// What the registers call the number of the call, and its result, on x86-64 and arm64.
const NUMBER: [&str; 2] = ["orig_ax", "syscallno"];
const RESULT: [&str; 2] = ["ax", "regs[0]"];

/// The name of the call if one fires.
pub(super) fn name(point: &str) -> Option<&str> {
    point.strip_prefix(PREFIX).filter(|name| !name.is_empty())
}

/// A call with its arguments laid out.
struct Call<'a> {
    name: &'a str,
    number: i64,
    words: Vec<u64>,
    /// The registers of the process, where the types have `pt_regs`.
    registers: u64,
}

impl Call<'_> {
    fn lay_out<'a>(memory: &mut Memory, name: &'a str, args: &Args) -> Result<Call<'a>, SimError> {
        let hook = (Hook::Ksyscall(name.to_owned()), name.to_owned());
        let scene = Scene::lay_out(memory, std::slice::from_ref(&hook), args)?;
        let (words, registers) = scene.call(memory)?;
        let call = Call { name, number: syscall_number(name).map_or(-1, i64::from), words, registers };
        call.set(memory, NUMBER, call.number)?;
        Ok(call)
    }

    /// Sets the register that the types have of these.
    fn set(&self, memory: &mut Memory, names: [&str; 2], number: i64) -> Result<(), SimError> {
        let Some(ty) = memory.types.find("pt_regs", Kind::Struct) else { return Ok(()) };
        for name in names {
            let path = Path::parse(name)?;
            if check(&memory.types, ty, &path).is_ok() {
                let place = Place::new(self.registers, ty);
                memory.set(place, (&path.text, &path.steps), &Content::from(number), Space::Kernel)?;
            }
        }
        Ok(())
    }

    /// The arguments in their order.
    fn arguments(&self) -> Args {
        self.words.iter().fold(Args::new(), |args, word| args.push(*word))
    }

    /// What those of [`Sim::traced`] get at the start.
    fn started(&self) -> [Args; 3] {
        let number = Args::new().set("id", self.number);
        let slots = self.words.iter().zip(0..);
        let record = slots.fold(number, |args, (word, slot)| args.set(&format!("args[{slot}]"), *word));
        [Args::new().push(self.registers).push(self.number), record, self.arguments()]
    }

    /// What they get at the end.
    fn ended(&self, result: i64) -> [Args; 3] {
        let one = Args::new().set("ret", result);
        [Args::new().push(self.registers).push(result), one.clone().set("id", self.number), one]
    }

    fn is_function(&self, hook: &Hook) -> bool {
        match hook {
            Hook::Ksyscall(name) | Hook::Kretsyscall(name) => name == self.name,
            Hook::Kprobe(_) | Hook::Kretprobe(_) | Hook::Fentry(_) | Hook::Fexit(_) | Hook::ModifyReturn(_) => {
                WRAPPERS.iter().any(|wrapper| hook.is_at(&format!("{wrapper}{}", self.name)))
            }
            Hook::Tracepoint { .. }
            | Hook::RawTracepoint(_)
            | Hook::TypedTracepoint(_)
            | Hook::Lsm(_)
            | Hook::Iterator(_)
            | Hook::Uprobe(_)
            | Hook::Uretprobe(_)
            | Hook::PerfEvent => false,
        }
    }
}

impl Sim {
    /// Fires what Linux fires for a system call, in its order: the tracepoints of the start, the function with its probes, those of the
    /// end. All of them see the same arguments and, at the end, the same result.
    pub(super) fn fire_call(&mut self, point: &str, name: &str, args: &Args) -> Result<Fired, Error> {
        let call = Call::lay_out(&mut self.world.lock().memory, name, args)?;
        let (start, end) = (self.traced("sys_enter", name), self.traced("sys_exit", name));
        let function = self.reached(&format!("{}{name}", WRAPPERS[0]), |hook| call.is_function(hook));
        if [&start[..], &end, std::slice::from_ref(&function)].concat().iter().all(Vec::is_empty) {
            return Err(self.nobody(point).into());
        }
        let mut runs = Vec::new();
        let args = Args { returns: args.returns.clone(), takes: args.takes, ..call.arguments() };
        for (targets, args) in start.iter().zip(call.started()) {
            runs.extend(self.fire_at(targets, &args)?.runs);
        }
        let Fired { runs: inner, returned } = self.fire_at(&function, &args)?;
        runs.extend(inner);
        call.set(&mut self.world.lock().memory, RESULT, returned)?;
        for (targets, args) in end.iter().zip(call.ended(returned)) {
            runs.extend(self.fire_at(targets, &args)?.runs);
        }
        Ok(Fired { runs, returned })
    }

    /// Programs at a tracepoint of all calls, at its record, and at the record of this call.
    fn traced(&self, tracepoint: &str, call: &str) -> [Vec<Target>; 3] {
        let record = |category: &str, name: &str| {
            let hook = Hook::Tracepoint { category: category.to_owned(), name: name.to_owned() };
            self.reached(name, |other| *other == hook)
        };
        let typed =
            |hook: &Hook| matches!(hook, Hook::RawTracepoint(name) | Hook::TypedTracepoint(name) if name == tracepoint);
        [
            self.reached(tracepoint, typed),
            record("raw_syscalls", tracepoint),
            record("syscalls", &format!("{tracepoint}_{call}")),
        ]
    }
}
