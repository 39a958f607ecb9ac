//! What an event puts in front of the programs: arguments, registers, records.

use std::sync::Arc;

use ring3_btf::{Btf, Int, IntEncoding, Kind, Type, TypeId};

use super::content::Content;
use super::error::nearest;
use super::hook::{Hook, Proto};
use super::memory::{Memory, Space};
use super::path::{Path, Place, check};
use super::{Args, SimError};

/// What the kernel's types call the record of a tracepoint.
const RECORD: &str = "trace_event_raw_";
/// What a member with the place of a text in a record is called before the field's name.
const DATA_LOC: &str = "__data_loc_";
/// What architectures put before the names of system calls.
pub(super) const WRAPPERS: [&str; 2] = ["__x64_sys_", "__arm64_sys_"];
/// Bytes of x86-64's registers.
const X64_REGS: usize = 168;
/// Where x86-64 has arguments: `di`, `si`, `dx`, `cx`, `r8`, `r9`.
const X64_ARGUMENTS: [usize; 6] = [112, 104, 96, 88, 72, 64];
/// Where it has the result, and the fourth argument of system calls (`ax`, `r10`), and the instruction (`ip`).
const X64_RESULT: usize = 80;
const X64_R10: usize = 56;
const X64_IP: usize = 128;
/// Bytes of arm64's registers, and where the instruction is.
const ARM64_REGS: usize = 272;
const ARM64_PC: usize = 256;

/// Events that share their arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Class {
    Function(String),
    Syscall(String),
    Tracepoint(String),
    Record { category: String, name: String },
    Lsm(String),
    Iterator(String),
    Process(String),
    Sample,
}

impl Class {
    fn of(hook: &Hook, name: &str, args: &Args) -> Class {
        let name = name.to_owned();
        match hook {
            Hook::Tracepoint { category, .. } => Class::Record { category: category.clone(), name },
            Hook::RawTracepoint(_) | Hook::TypedTracepoint(_) => Class::Tracepoint(name),
            Hook::Kprobe(_) | Hook::Kretprobe(_) | Hook::Fentry(_) | Hook::Fexit(_) | Hook::ModifyReturn(_) => {
                match WRAPPERS.iter().find_map(|w| name.strip_prefix(w)) {
                    Some(call) if !args.names("regs") => Class::Syscall(call.to_owned()),
                    Some(_) | None => Class::Function(name),
                }
            }
            Hook::Ksyscall(_) | Hook::Kretsyscall(_) => Class::Syscall(name),
            Hook::Lsm(_) => Class::Lsm(name),
            Hook::Iterator(_) => Class::Iterator(name),
            Hook::Uprobe(_) | Hook::Uretprobe(_) => Class::Process(name),
            Hook::PerfEvent => Class::Sample,
        }
    }

    /// Where texts lie that arguments lead to, unless it is said.
    fn space(&self) -> Space {
        match self {
            Class::Syscall(_) | Class::Process(_) => Space::User,
            Class::Record { category, .. } if category == "syscalls" => Space::User,
            Class::Function(_)
            | Class::Tracepoint(_)
            | Class::Record { .. }
            | Class::Lsm(_)
            | Class::Iterator(_)
            | Class::Sample => Space::Kernel,
        }
    }
}

/// What programs get, laid out.
#[derive(Debug)]
enum Laid {
    Words(Proto, Vec<u64>),
    Bytes(Vec<u8>),
}

/// The events of one call, laid out once for all programs that they reach.
pub(super) struct Scene<'a> {
    args: &'a Args,
    laid: Vec<(Class, Laid)>,
    /// Of each named argument, whether somebody has it.
    used: Vec<bool>,
    positional_used: bool,
    /// Why the first that nobody has is none.
    refused: Option<SimError>,
    types: Arc<Btf>,
}

impl<'a> Scene<'a> {
    pub fn lay_out(memory: &mut Memory, targets: &[(Hook, String)], args: &'a Args) -> Result<Scene<'a>, SimError> {
        let types = Arc::clone(&memory.types);
        let used = vec![false; args.named.len()];
        let mut scene = Scene { args, laid: Vec::new(), used, positional_used: false, refused: None, types };
        if let Some(wrong) = &args.wrong {
            return Err(wrong.clone());
        }
        for (hook, name) in targets {
            let class = Class::of(hook, name, args);
            if scene.laid.iter().all(|(known, _)| *known != class) {
                let laid = match &class {
                    Class::Record { category, name } => scene.record(memory, category, name)?,
                    Class::Sample => scene.sample(memory)?,
                    Class::Function(_)
                    | Class::Syscall(_)
                    | Class::Tracepoint(_)
                    | Class::Lsm(_)
                    | Class::Iterator(_)
                    | Class::Process(_) => scene.words(memory, hook, &class)?,
                };
                scene.laid.push((class, laid));
            }
        }
        let all_used = scene.used.iter().all(|used| *used) && (scene.positional_used || args.positional.is_empty());
        match scene.refused.take() {
            Some(wrong) if !all_used => Err(wrong),
            Some(_) | None => Ok(scene),
        }
    }

    /// Arguments by a prototype.
    fn words(&mut self, memory: &mut Memory, hook: &Hook, class: &Class) -> Result<Laid, SimError> {
        let types = Arc::clone(&self.types);
        let proto = match class {
            Class::Syscall(call) => Proto::of(&types, &Hook::Ksyscall(call.clone()), call)?,
            Class::Function(name)
            | Class::Tracepoint(name)
            | Class::Lsm(name)
            | Class::Iterator(name)
            | Class::Process(name) => Proto::of(&types, hook, name)?,
            Class::Record { .. } | Class::Sample => return Ok(Laid::Bytes(Vec::new())),
        };
        let mut words = vec![0u64; proto.params.len()];
        if self.args.positional.len() > words.len() {
            let (has, given) = (proto.names(), self.args.positional.len());
            return Err(SimError::TooManyArguments { function: proto.name.clone(), has, given });
        }
        let space = class.space();
        self.positional_used = true;
        for (at, content) in self.args.positional.iter().enumerate() {
            words[at] = argument(memory, &proto.params[at], content, space)?;
        }
        // Where arguments lead is laid out as behind pointers of a structure.
        let place = memory.make(Space::Kernel, words.len() * 8)?;
        for (at, (path, content)) in self.args.named.iter().enumerate() {
            let Some((first, rest)) = path.split_first() else { continue };
            let Some(index) = proto.find(first) else {
                let near = nearest(first, proto.params.iter().map(|param| param.0.as_str()));
                let (function, argument, has) = (proto.name.clone(), first.to_owned(), proto.names());
                self.refused.get_or_insert(SimError::NoArgument { function, argument, has, near });
                continue;
            };
            self.used[at] = true;
            let param = &proto.params[index];
            if rest.is_empty() {
                words[index] = argument(memory, param, content, space)?;
                continue;
            }
            let word = place + index as u64 * 8;
            memory.kernel.write(word, &words[index].to_ne_bytes());
            memory.set(Place::new(word, param.1), (&path.text, rest), content, space)?;
            let mut bytes = [0; 8];
            memory.read(word, &mut bytes);
            words[index] = u64::from_ne_bytes(bytes);
        }
        Ok(Laid::Words(proto, words))
    }

    /// A tracepoint's record by the structure that the types have of it.
    fn record(&mut self, memory: &mut Memory, category: &str, name: &str) -> Result<Laid, SimError> {
        let types = Arc::clone(&self.types);
        let call = name.strip_prefix("sys_enter_").filter(|_| category == "syscalls");
        let shape = match (&self.args.record, name) {
            (Some(shape), _) => shape.strip_prefix(RECORD).unwrap_or(shape),
            (None, name) if category == "syscalls" && name.starts_with("sys_enter") => "sys_enter",
            (None, name) if category == "syscalls" && name.starts_with("sys_exit") => "sys_exit",
            (None, name) => name,
        };
        let shape = format!("{RECORD}{shape}");
        let Some(ty) = types.find(&shape, Kind::Struct) else {
            let near = nearest(&shape, types.types().iter().map(|ty| types.string(ty.name())));
            return Err(SimError::NoType { name: shape, near });
        };
        let size = types.size_of(ty)? as usize;
        let texts = self.args.named.iter().map(|(_, content)| match content {
            Content::Text(text) => text.len() + 1,
            _ => 0,
        });
        let start = memory.make(Space::Kernel, size + texts.sum::<usize>())?;
        let proto = call.and_then(|call| Proto::syscall(&types, call));
        let space = if category == "syscalls" { Space::User } else { Space::Kernel };
        let args = Path::parse("args")?;
        let slots = (call.is_some() && check(&types, ty, &args).is_ok()).then_some(args);
        let mut end = size;
        let number = name.split_once("_").and_then(|(_, rest)| rest.split_once('_')).map(|(_, call)| call);
        if let (Some(number), true) = (number.and_then(syscall_number), category == "syscalls") {
            let id = Path::parse("id")?;
            memory.set(Place::new(start, ty), (&id.text, &id.steps), &Content::from(number), space)?;
        }
        if slots.is_some() {
            self.positional_used = true;
            for (at, content) in self.args.positional.iter().enumerate() {
                let param = proto.as_ref().and_then(|proto| proto.params.get(at)).cloned();
                let param = param.unwrap_or_else(|| (format!("arg{at}"), TypeId::VOID));
                let word = argument(memory, &param, content, space)?;
                let path = Path::parse(&format!("args[{at}]"))?;
                memory.set(Place::new(start, ty), (&path.text, &path.steps), &Content::from(word), space)?;
            }
        }
        for (at, (path, content)) in self.args.named.iter().enumerate() {
            let Some((first, rest)) = path.split_first() else { continue };
            let located = Path::parse(&format!("{DATA_LOC}{first}"))?;
            let numbered =
                proto.as_ref().and_then(|proto| proto.find(first)).or_else(|| first.strip_prefix("arg")?.parse().ok());
            if check(&types, ty, &Path::parse(first)?).is_ok() {
                memory.set(Place::new(start, ty), (&path.text, &path.steps), content, space)?;
            } else if let (Content::Text(text), true) = (content, check(&types, ty, &located).is_ok()) {
                memory.kernel.write(start + end as u64, text.as_bytes());
                let place = end as u64 | (text.len() as u64 + 1) << 16;
                memory.set(Place::new(start, ty), (&located.text, &located.steps), &Content::from(place), space)?;
                end += text.len() + 1;
            } else if let (Some(index), Some(_), true) = (numbered, &slots, rest.is_empty()) {
                let param = proto.as_ref().and_then(|proto| proto.params.get(index)).cloned();
                let word =
                    argument(memory, &param.unwrap_or_else(|| (first.to_owned(), TypeId::VOID)), content, space)?;
                let path = Path::parse(&format!("args[{index}]"))?;
                memory.set(Place::new(start, ty), (&path.text, &path.steps), &Content::from(word), space)?;
            } else {
                let wrong = check(&types, ty, path).err();
                self.refused = self.refused.take().or(wrong);
                continue;
            }
            self.used[at] = true;
        }
        let mut bytes = vec![0; end];
        memory.read(start, &mut bytes);
        if !self.args.positional.is_empty() && !self.positional_used {
            let given = self.args.positional.len();
            self.refused.get_or_insert(SimError::TooManyArguments { function: shape, has: Vec::new(), given });
        }
        Ok(Laid::Bytes(bytes))
    }

    /// The registers, the period and the address of a sample.
    fn sample(&mut self, memory: &mut Memory) -> Result<Laid, SimError> {
        let mut bytes = vec![0; X64_REGS + 16];
        let fields = [("ip", X64_IP), ("sp", 152), ("sample_period", X64_REGS), ("addr", X64_REGS + 8)];
        for (at, (path, content)) in self.args.named.iter().enumerate() {
            match fields.iter().find(|field| field.0 == path.text) {
                Some((_, off)) => {
                    let word = memory.untyped(&path.text, content, Space::User)?;
                    bytes[*off..off + 8].copy_from_slice(&word.to_ne_bytes());
                    self.used[at] = true;
                }
                None => {
                    let has = fields.iter().map(|field| field.0.to_owned()).collect();
                    let near = nearest(&path.text, fields.iter().map(|field| field.0));
                    let (function, argument) = ("perf_event".to_owned(), path.text.clone());
                    self.refused.get_or_insert(SimError::NoArgument { function, argument, has, near });
                }
            }
        }
        Ok(Laid::Bytes(bytes))
    }

    /// The type of what the function gives.
    fn result_type(&self) -> TypeId {
        let ret = self.laid.iter().find_map(|(_, laid)| match laid {
            Laid::Words(proto, _) => proto.ret,
            Laid::Bytes(_) => None,
        });
        ret.unwrap_or(TypeId::VOID)
    }

    /// The result as the number that its type makes of the register.
    pub fn as_number(&self, word: u64) -> i64 {
        let signed = |int: &Int| int.encoding == IntEncoding::Signed && int.size == 4;
        match self.types.resolved(self.result_type()) {
            Ok(Type::Int(int)) if signed(int) => i64::from(word as i32),
            Ok(_) | Err(_) => word.cast_signed(),
        }
    }

    /// What the function gives, as the caller of [`super::Sim::fire`] says.
    pub fn returned(&self, memory: &mut Memory) -> Result<u64, SimError> {
        let Some(content) = &self.args.returns else { return Ok(0) };
        let param = ("the result".to_owned(), self.result_type());
        argument(memory, &param, content, Space::Kernel)
    }

    /// The arguments of a system call that was laid out, and the registers that its function gets.
    pub fn call(&self, memory: &mut Memory) -> Result<(Vec<u64>, u64), SimError> {
        let Some((_, Laid::Words(_, words))) = self.laid.first() else { return Ok((Vec::new(), 0)) };
        Ok((words.clone(), inner_registers(memory, words)?))
    }

    /// The context of a program at this hook. `ret` is what the function gave, or the hooks before.
    pub fn context(&self, memory: &mut Memory, hook: &Hook, name: &str, ret: u64) -> Result<Vec<u8>, SimError> {
        let class = Class::of(hook, name, self.args);
        let Some((_, laid)) = self.laid.iter().find(|(known, _)| *known == class) else { return Ok(Vec::new()) };
        let (proto, words) = match laid {
            Laid::Bytes(bytes) => return Ok(bytes.clone()),
            Laid::Words(proto, words) => (proto, words),
        };
        let mut words = words.clone();
        if let Class::Syscall(_) = class {
            words = vec![inner_registers(memory, &words)?];
        }
        Ok(match hook {
            Hook::RawTracepoint(_) | Hook::TypedTracepoint(_) | Hook::Fentry(_) | Hook::Iterator(_) => bytes_of(&words),
            Hook::Fexit(_) | Hook::ModifyReturn(_) | Hook::Lsm(_) => {
                words.push(ret);
                bytes_of(&words)
            }
            Hook::Kprobe(_) | Hook::Kretprobe(_) | Hook::Ksyscall(_) | Hook::Kretsyscall(_) => {
                registers(&self.types, &words, ret, super::host::address_of(&proto.name))
            }
            Hook::Uprobe(_) | Hook::Uretprobe(_) => registers(&self.types, &words, ret, 0),
            Hook::Tracepoint { .. } | Hook::PerfEvent => Vec::new(),
        })
    }
}

/// The registers with the arguments of a system call, among the kernel's objects.
fn inner_registers(memory: &mut Memory, words: &[u64]) -> Result<u64, SimError> {
    let inner = registers(&memory.types, words, 0, 0);
    let addr = memory.make(Space::Kernel, inner.len())?;
    memory.kernel.write(addr, &inner);
    Ok(addr)
}

/// The number of a system call on x86-64.
pub(super) fn syscall_number(name: &str) -> Option<i32> {
    ring3_classic::Arch::from_name("x86_64")?.syscall(name)
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// One argument as it is passed.
fn argument(
    memory: &mut Memory,
    (name, ty): &(String, TypeId),
    content: &Content,
    space: Space,
) -> Result<u64, SimError> {
    let types = Arc::clone(&memory.types);
    if *ty == TypeId::VOID {
        return memory.untyped(name, content, space);
    }
    match types.resolved(*ty)? {
        Type::Ptr { to } => memory.pointer(name, *ty, *to, content, space),
        Type::Int(_) | Type::Enum(_) | Type::Enum64(_) => {
            // System calls take addresses as numbers, too.
            if let (Content::Text(_) | Content::User(_) | Content::List(_), Type::Int(_)) =
                (content, types.resolved(*ty)?)
            {
                return memory.untyped(name, content, space);
            }
            let (number, bits) = memory.number(name, Place::new(0, *ty), content)?;
            Ok(number as u64 & (u64::MAX >> (64 - bits.clamp(1, 64))))
        }
        Type::Struct(_) | Type::Union(_) if types.size_of(*ty)? <= 8 => {
            let place = memory.make(Space::Kernel, 8)?;
            memory.put(name, Place::new(place, *ty), content, space)?;
            let mut word = [0; 8];
            memory.read(place, &mut word);
            Ok(u64::from_ne_bytes(word))
        }
        _ => Err(SimError::Unsupported { what: format!("argument '{name}' of more than 8 bytes") }),
    }
}

/// `struct pt_regs` with arguments in their registers, of the machine that the types are of.
fn registers(types: &Btf, args: &[u64], ret: u64, at: u64) -> Vec<u8> {
    let regs = types.find("pt_regs", Kind::Struct);
    let has = |name| regs.is_some_and(|regs| types.member(regs, name).is_some());
    let arm64 = !has("di") && (has("pstate") || has("user_regs") || regs.is_none() && cfg!(target_arch = "aarch64"));
    let (size, ip) = if arm64 { (ARM64_REGS, ARM64_PC) } else { (X64_REGS, X64_IP) };
    let mut bytes = vec![0; size];
    let mut put = |off: usize, word: u64| bytes[off..off + 8].copy_from_slice(&word.to_ne_bytes());
    if arm64 {
        put(0, ret);
        for (index, word) in args.iter().take(8).enumerate().skip(usize::from(ret != 0)) {
            put(index * 8, *word);
        }
    } else {
        for (off, word) in X64_ARGUMENTS.iter().zip(args) {
            put(*off, *word);
        }
        // System calls have their fourth argument there.
        put(X64_R10, args.get(3).copied().unwrap_or(0));
        put(X64_RESULT, ret);
    }
    put(ip, at);
    bytes
}
