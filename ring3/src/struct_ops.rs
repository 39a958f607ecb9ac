//! Structs of functions (`.struct_ops`): what a kernel would call, called by the embedder.

use std::sync::Arc;

use ring3_object::StructOps as Definition;
use ring3_platform::Errno;
use ring3_vm::Objects;

use crate::{Error, Input, Instance, Output};

/// Flags that a congestion control may ask for (TCP_CONG_MASK).
const TCP_FLAGS: u32 = 3;
/// Members of `tcp_congestion_ops` that are no functions, and may be set.
const TCP_VALUES: [&str; 2] = ["flags", "name"];
/// Words of arguments.
const MAX_ARGS: usize = 12;

/// What a function of a struct is called with.
#[derive(Debug)]
pub enum Arg<'a> {
    /// A number, or the address of an object of the instance ([`Instance::objects`], [`Handle::addr`](crate::sim::Handle::addr)).
    Number(u64),
    /// The address of these bytes, as the kernel lays the structure out. What the program makes of them is there afterwards.
    Memory(&'a mut [u8]),
}

impl From<u64> for Arg<'_> {
    fn from(number: u64) -> Self {
        Arg::Number(number)
    }
}

/// A struct of functions whose programs are verified, as a kernel has it where it is registered. Made by [`Instance::struct_ops`].
#[derive(Debug)]
pub struct StructOps<'i> {
    instance: &'i mut Instance,
    definition: Definition,
    value: Vec<u8>,
}

impl Instance {
    /// The struct of functions of this name (`SEC(".struct_ops.link") struct tcp_congestion_ops reno = { ... }`): verifies its programs,
    /// and looks at it as a loader and the kernel do.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let engine = ring3::Engine::new();
    /// # let object = ring3::Object::parse("reno.bpf.o", &[])?;
    /// let mut instance = engine.load(&object)?;
    /// let socket = instance.objects().add(&[0; 2048]).unwrap();
    /// let left = instance.struct_ops("reno")?.call("ssthresh", &mut [socket.into()])?;
    /// assert_eq!(left.retval, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Errors: [`Error::StructOps`]: there is none of that name (`ENOENT`), the engine has no types of a kernel or these lack the
    /// struct or a member that is set (`EOPNOTSUPP`), or the kernel does not register it (`EINVAL`); `Rejected` for a program.
    /// `bpf_dummy_ops`, which Linux has for tests of programs and never registers, is taken as it is.
    pub fn struct_ops(&mut self, name: &str) -> Result<StructOps<'_>, Error> {
        let wrong = |problem: String, errno| Error::StructOps { name: name.to_owned(), problem, errno };
        let found = self.object().and_then(|object| object.struct_ops().iter().find(|ops| ops.name == name));
        let definition = found.cloned().ok_or_else(|| wrong("there is no such struct".to_owned(), Errno::ENOENT))?;
        let (Some(kernel), Some(own)) = (self.types(), self.object_types()) else {
            return Err(wrong("no types of a kernel are given".to_owned(), Errno::EOPNOTSUPP));
        };
        let value = definition.for_kernel(own, &kernel).map_err(|problem| wrong(problem, Errno::EOPNOTSUPP))?;
        for (_, program) in &definition.programs {
            self.program(program)?;
        }
        if definition.ops == "tcp_congestion_ops" {
            check_tcp(&definition, &value, &kernel).map_err(|problem| wrong(problem, Errno::EINVAL))?;
        }
        Ok(StructOps { instance: self, definition, value })
    }

    /// Names of the structs of functions.
    pub fn struct_ops_names(&self) -> Vec<&str> {
        self.object()
            .map(|object| object.struct_ops().iter().map(|ops| ops.name.as_str()).collect())
            .unwrap_or_default()
    }
}

/// What the kernel looks at where a congestion control is registered.
fn check_tcp(definition: &Definition, value: &[u8], kernel: &ring3_btf::Btf) -> Result<(), String> {
    let Some(id) = kernel.find(&definition.ops, ring3_btf::Kind::Struct) else { return Ok(()) };
    let Some(ring3_btf::Type::Struct(ops)) = kernel.get(id) else { return Ok(()) };
    for member in &ops.members {
        let (name, at) = (kernel.string(member.name), (member.bit_offset / 8) as usize);
        let size = kernel.size_of(member.ty).map_or(0, |size| size as usize);
        let bytes = value.get(at..at.saturating_add(size)).unwrap_or_default();
        match name {
            "name" if bytes.first().is_none_or(|byte| *byte == 0) => return Err("it has no name".to_owned()),
            "name" if !is_name(bytes) => {
                return Err("its name is to have letters, digits, `_` and `.`, and a zero behind them".to_owned());
            }
            "flags" => {
                let flags = bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
                if flags & !TCP_FLAGS != 0 {
                    return Err(format!("flags {flags:#x} are not known"));
                }
            }
            _ if !TCP_VALUES.contains(&name) && bytes.iter().any(|byte| *byte != 0) => {
                return Err(format!("member {name} is not a function, and may not be set"));
            }
            _ => {}
        }
    }
    let has = |member: &str| definition.programs.iter().any(|(set, _)| set == member);
    if has("ssthresh") && has("undo_cwnd") && (has("cong_avoid") || has("cong_control")) {
        return Ok(());
    }
    Err("does not implement required ops".to_owned())
}

/// Names that the kernel gives objects of BPF.
fn is_name(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == 0);
    end.is_some_and(|end| bytes[..end].iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte)))
}

impl StructOps<'_> {
    /// The kernel's name of the struct.
    pub fn kind(&self) -> &str {
        &self.definition.ops
    }

    /// It is attached by a link (`.struct_ops.link`).
    pub fn is_linked(&self) -> bool {
        self.definition.linked
    }

    /// Members that are functions, with the programs that they are.
    pub fn programs(&self) -> &[(String, String)] {
        &self.definition.programs
    }

    /// Its value as the kernel lays it out, zeroes where functions are.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Calls a function as the kernel does. Gives what it returned; what it did to memory is in the arguments.
    ///
    /// Errors: `ENOENT` for a member that is no function or is not set, `E2BIG` for too many arguments; those of [`Instance::run`].
    pub fn call(&mut self, member: &str, args: &mut [Arg<'_>]) -> Result<Output, Error> {
        let wrong = |problem: String, errno| Error::StructOps { name: self.definition.name.clone(), problem, errno };
        let found = self.definition.programs.iter().find(|(set, _)| set == member);
        let (_, program) = found.ok_or_else(|| wrong(format!("member {member} is not set"), Errno::ENOENT))?;
        if args.len() > MAX_ARGS {
            return Err(wrong(format!("{} arguments", args.len()), Errno::E2BIG));
        }
        let objects = Arc::clone(self.instance.objects());
        let lent = Lent::new(&objects, args).map_err(|errno| wrong("memory for the arguments".to_owned(), errno))?;
        let words: Vec<u8> = lent.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let output = self.instance.run(program, Input::Context(&words))?;
        lent.give_back(args);
        Ok(output)
    }
}

/// Arguments as words; their memory goes with it.
struct Lent<'o> {
    objects: &'o Objects,
    words: Vec<u64>,
    made: Vec<(usize, u64)>,
}

impl<'o> Lent<'o> {
    fn new(objects: &'o Objects, args: &[Arg<'_>]) -> Result<Lent<'o>, Errno> {
        let mut lent = Lent { objects, words: Vec::new(), made: Vec::new() };
        for (at, arg) in args.iter().enumerate() {
            let word = match arg {
                Arg::Number(number) => *number,
                Arg::Memory(bytes) => {
                    let addr = objects.add(bytes)?;
                    lent.made.push((at, addr));
                    addr
                }
            };
            lent.words.push(word);
        }
        Ok(lent)
    }

    fn give_back(&self, args: &mut [Arg<'_>]) {
        for (at, addr) in &self.made {
            if let Some(Arg::Memory(bytes)) = args.get_mut(*at) {
                // It is as long as it was made.
                let _ = self.objects.read_at(*addr, bytes);
            }
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        for (_, addr) in &self.made {
            self.objects.drop_reference(*addr);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_objects_of_bpf() {
        assert!(is_name(b"my_cc.2\0\0") && !is_name(b"my-cc\0") && !is_name(b"sixteen_letters_"));
    }
}
