//! What an object asks of the kernel that it is linked for: values of its configuration (`.kconfig`) and addresses and types
//! of its symbols (`.ksyms`). The rules are libbpf's.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_btf::{Btf, IntEncoding, Kind, Type, TypeId, are_compatible};
use ring3_isa::{Endianness, Wide};
use ring3_platform::maps::{MapDef, MapFlags, MapType};

use crate::object::{Home, Object};

/// The section of configuration values.
const KCONFIG: &str = ".kconfig";
/// The section of symbols.
const KSYMS: &str = ".ksyms";
/// The first release with cookies of attachments, as `LINUX_KERNEL_VERSION` has it.
const BPF_COOKIE: u32 = version(5, 15, 0);
/// The first release whose system calls have wrappers, where they have them at all.
const SYSCALL_WRAPPER: u32 = version(4, 17, 0);
/// No section: that of the map of configuration values.
const NOWHERE: usize = usize::MAX;

/// What is wrong with a value that no configuration has.
pub const NOT_CONFIGURED: &str = "is not in the kernel's configuration";

/// A release as a number (`KERNEL_VERSION`).
const fn version(major: u32, minor: u32, patch: u32) -> u32 {
    major << 16 | minor << 8 | if patch > 255 { 255 } else { patch }
}

/// What a kernel answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KernelValues {
    /// `LINUX_KERNEL_VERSION`.
    version: u32,
    /// `CONFIG_HZ` and so on, with what stands behind `=`.
    config: BTreeMap<String, String>,
    /// Addresses by name (`/proc/kallsyms`).
    symbols: BTreeMap<String, u64>,
}

impl KernelValues {
    /// Those of a release (`6.18.44-rc1`: numbers with dots, and what follows does not matter) without a configuration.
    pub fn new(release: &str) -> KernelValues {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        KernelValues { version: version(next(), next(), next()), ..KernelValues::default() }
    }

    /// Reads a configuration, as `/proc/config.gz` holds it. Where a name has several lines the first counts.
    #[must_use]
    pub fn with_config(mut self, text: &str) -> KernelValues {
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            if name.starts_with("CONFIG_") {
                self.config.entry(name.to_owned()).or_insert_with(|| value.trim_end().to_owned());
            }
        }
        self
    }

    /// Reads addresses of symbols, as `/proc/kallsyms` lists them. Where a name has several lines the first counts.
    #[must_use]
    pub fn with_symbols(mut self, text: &str) -> KernelValues {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next())
                && let Ok(address) = u64::from_str_radix(address, 16)
            {
                self.symbols.entry(name.to_owned()).or_insert(address);
            }
        }
        self
    }

    /// Whether any variable in the kernel's types has an address here: one with all symbols (`CONFIG_KALLSYMS_ALL`).
    pub fn know_variables(&self, btf: &Btf) -> bool {
        btf.types()
            .iter()
            .any(|ty| matches!(ty, Type::Var { name, .. } if self.symbols.contains_key(btf.string(*name))))
    }

    /// The value of a name that is none of the configuration's.
    fn virtual_value(&self, name: &str) -> Option<u64> {
        match name {
            "LINUX_KERNEL_VERSION" => Some(self.version.into()),
            "LINUX_HAS_BPF_COOKIE" => Some(u64::from(self.version >= BPF_COOKIE)),
            "LINUX_HAS_SYSCALL_WRAPPER" => Some(u64::from(self.version >= SYSCALL_WRAPPER)),
            _ => None,
        }
    }
}

/// What a configuration value becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bool,
    Tristate,
    Char { signed: bool },
    Int { signed: bool },
    Text,
}

/// A name of `.kconfig`: where it is in the map, and what was wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Placed {
    off: u32,
    problem: Option<&'static str>,
}

/// The kernel's answers to one object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answers {
    values: Arc<KernelValues>,
    /// Index of the map of configuration values.
    map: usize,
    placed: BTreeMap<String, Placed>,
}

/// What stands for an external symbol.
pub(crate) enum Answer {
    /// A place in the map with this index.
    Config { map: usize, off: u32 },
    /// A number, or a symbol with a type.
    Wide(Wide),
}

/// A variable of `.kconfig`.
struct Wanted<'b> {
    name: &'b str,
    size: u32,
    align: u32,
    form: Option<Form>,
    weak: bool,
    order: Endianness,
}

impl Object {
    /// Gives the object what it asks of a kernel: values of its configuration become the content of a map, `.kconfig`, and
    /// symbols without a type their addresses. What cannot be answered is told by [`Object::program`], for programs that use it.
    pub fn answer(&mut self, values: Arc<KernelValues>) {
        let mut answers = Answers { values, map: self.maps.len(), placed: BTreeMap::new() };
        if let Some((content, placed)) = self.configuration(&answers.values) {
            answers.placed = placed;
            let mut def = MapDef::new(
                &crate::maps::data_map_name(self.stem(), KCONFIG),
                MapType::Array,
                4,
                content.len() as u32,
                1,
            );
            def.flags = MapFlags::RDONLY_PROG.or(MapFlags::MMAPABLE);
            (def.data, def.frozen) = (Some(content.into()), true);
            match self.answers.as_ref().filter(|old| old.map < self.maps.len()) {
                Some(old) => {
                    answers.map = old.map;
                    self.maps[old.map] = Arc::new(def);
                }
                None => {
                    self.maps.push(Arc::new(def));
                    self.homes.push(Home { section: NOWHERE, offset: 0, is_data: false });
                }
            }
        }
        self.answers = Some(answers);
    }

    /// The bytes of all configuration values, and where each is.
    fn configuration(&self, values: &KernelValues) -> Option<(Vec<u8>, BTreeMap<String, Placed>)> {
        let btf = self.btf.as_deref()?;
        let (_, _, vars) = btf.datasec(KCONFIG)?;
        let mut wanted: Vec<Wanted<'_>> = vars.iter().filter_map(|var| self.wanted(btf, var.ty)).collect();
        wanted.sort_by_key(|want| (std::cmp::Reverse(want.align), want.size, want.name));
        let (mut content, mut placed) = (Vec::new(), BTreeMap::new());
        for want in wanted {
            content.resize(content.len().next_multiple_of(want.align.max(1) as usize), 0);
            let off = content.len();
            let bytes = want.bytes(values);
            content.resize(off + want.size as usize, 0);
            let problem = match bytes {
                Ok(bytes) => {
                    content[off..][..bytes.len()].copy_from_slice(&bytes);
                    None
                }
                Err(problem) => Some(problem),
            };
            placed.insert(want.name.to_owned(), Placed { off: u32::try_from(off).ok()?, problem });
        }
        (!content.is_empty()).then_some((content, placed))
    }

    fn wanted<'b>(&self, btf: &'b Btf, var: TypeId) -> Option<Wanted<'b>> {
        let Some(Type::Var { ty, .. }) = btf.get(var) else { return None };
        let name = btf.name(var);
        let symbol = self.symbols.iter().find(|symbol| symbol.name == name)?;
        let size = btf.size_of(*ty).ok().filter(|size| *size <= MAX_VALUE)?;
        Some(Wanted {
            name,
            size,
            align: align(btf, *ty),
            form: form(btf, *ty),
            weak: symbol.weak,
            order: self.endian(),
        })
    }

    /// What stands for an external symbol. `None`: nothing says what it is, or no kernel was asked.
    pub(crate) fn extern_answer(
        &self,
        symbol: &str,
        weak: bool,
        types: Option<&Btf>,
    ) -> Option<Result<Answer, &'static str>> {
        let btf = self.btf.as_deref()?;
        if let Some(placed) = self.answers.as_ref().and_then(|answers| answers.placed.get(symbol)) {
            let map = self.answers.as_ref()?.map;
            return Some(placed.problem.map_or(Ok(Answer::Config { map, off: placed.off }), Err));
        }
        let var = btf.datasec(KSYMS)?.2.iter().map(|var| var.ty).find(|id| btf.name(*id) == symbol)?;
        let kind = match btf.get(var)? {
            Type::Func { .. } => Kind::Func,
            Type::Var { ty, .. } if matches!(btf.resolved(*ty), Ok(Type::Void)) => {
                let address = self.answers.as_ref()?.values.symbols.get(symbol).copied();
                let address = address.or(weak.then_some(0)).ok_or("is no symbol of the kernel");
                return Some(address.map(|address| Answer::Wide(Wide::Imm(address))));
            }
            _ => Kind::Var,
        };
        let types = types?;
        let wide = match types.find(essential(symbol), kind) {
            // A variable of another type is an error, even of a weak one; such a function is not the one that is meant.
            Some(id) => match suits(btf, var, types, id) {
                true => {
                    i32::try_from(id.0).map(|id| Wide::BtfId { id, fd: 0 }).map_err(|_| "has no type in the kernel")
                }
                false if weak && kind == Kind::Func => Ok(Wide::Imm(0)),
                false => Err("has another type in the kernel"),
            },
            None if weak => Ok(Wide::Imm(0)),
            None => Err("has no type in the kernel"),
        };
        Some(wide.map(Answer::Wide))
    }

    /// Whether a function of the kernel has the arguments that the object gives it; `None` where no types or no function say.
    pub(crate) fn kfunc_suits(&self, symbol: &str, types: Option<&Btf>) -> Option<bool> {
        let (btf, types) = (self.btf.as_deref()?, types?);
        let local = btf.datasec(KSYMS)?.2.iter().map(|var| var.ty).find(|id| btf.name(*id) == symbol)?;
        let is_func = |btf: &Btf, id| matches!(btf.get(id), Some(Type::Func { .. }));
        let id = types.find(essential(symbol), Kind::Func)?;
        is_func(btf, local).then(|| suits(btf, local, types, id))
    }
}

/// A name without its flavour.
fn essential(symbol: &str) -> &str {
    symbol.split_once("___").map_or(symbol, |(name, _)| name)
}

/// Whether the types of two functions or variables are compatible.
fn suits(local: &Btf, id: TypeId, target: &Btf, to: TypeId) -> bool {
    let type_of = |btf: &Btf, id| match btf.get(id) {
        Some(Type::Func { proto, .. }) => Some(*proto),
        Some(Type::Var { ty, .. }) => btf.resolve(*ty).ok(),
        _ => None,
    };
    let (Some(id), Some(to)) = (type_of(local, id), type_of(target, to)) else { return false };
    are_compatible((local, id), (target, to)).unwrap_or(false)
}

/// Longest value, in bytes.
const MAX_VALUE: u32 = 1 << 16;

/// What a type's values are aligned to (`btf__align_of`).
fn align(btf: &Btf, id: TypeId) -> u32 {
    match btf.resolved(id) {
        Ok(Type::Array { elem, .. }) => match btf.resolved(*elem) {
            Ok(Type::Array { .. }) | Err(_) => 1,
            Ok(_) => align(btf, *elem),
        },
        Ok(Type::Int(_) | Type::Enum(_) | Type::Enum64(_)) => btf.size_of(id).unwrap_or(1).clamp(1, 8),
        Ok(_) | Err(_) => 1,
    }
}

fn form(btf: &Btf, id: TypeId) -> Option<Form> {
    let size = btf.size_of(id).ok()?;
    match btf.resolved(id).ok()? {
        Type::Int(int) if int.encoding == IntEncoding::Bool => (size == 1).then_some(Form::Bool),
        Type::Int(int) => {
            let signed = int.encoding == IntEncoding::Signed;
            match size {
                1 => Some(Form::Char { signed }),
                2 | 4 | 8 => Some(Form::Int { signed }),
                _ => None,
            }
        }
        Type::Enum(found) | Type::Enum64(found) => {
            (btf.string(found.name) == "libbpf_tristate").then_some(Form::Tristate)
        }
        Type::Array { elem, len, .. } => {
            (*len != 0 && matches!(form(btf, *elem), Some(Form::Char { .. }))).then_some(Form::Text)
        }
        _ => None,
    }
}

impl Wanted<'_> {
    /// The bytes of the value, no more than there is room for.
    fn bytes(&self, values: &KernelValues) -> Result<Vec<u8>, &'static str> {
        let form = self.form.ok_or("has a type that no value of the configuration has")?;
        if let Some(value) = values.virtual_value(self.name) {
            return self.number(form, value);
        }
        let Some(value) = values.config.get(self.name) else {
            return if self.weak { Ok(Vec::new()) } else { Err(NOT_CONFIGURED) };
        };
        match (value.as_str(), form) {
            ("y", Form::Bool) => Ok(vec![1]),
            ("n", Form::Bool) => Ok(vec![0]),
            ("y" | "n" | "m", Form::Tristate) => {
                let number = match value.as_str() {
                    "n" => 0,
                    "y" => 1,
                    _ => 2,
                };
                Ok(self.ordered(number))
            }
            ("y" | "n" | "m", Form::Char { .. }) => Ok(value.as_bytes().to_vec()),
            (text, Form::Text) if text.starts_with('"') => {
                let text = text[1..].strip_suffix('"').ok_or("has a text without an end")?;
                let room = self.size.saturating_sub(1) as usize;
                Ok(text.as_bytes()[..text.len().min(room)].to_vec())
            }
            (text, form) => self.number(form, parse(text).ok_or("has a value of another type")?),
        }
    }

    fn ordered(&self, value: u64) -> Vec<u8> {
        let mut bytes = value.to_le_bytes()[..self.size.min(8) as usize].to_vec();
        if self.order == Endianness::Big {
            bytes.reverse();
        }
        bytes
    }

    fn number(&self, form: Form, value: u64) -> Result<Vec<u8>, &'static str> {
        let (Form::Int { signed } | Form::Char { signed }) = form else {
            // Those that the loader makes up are numbers, whatever takes them.
            return if matches!(form, Form::Bool) && value <= 1 {
                Ok(self.ordered(value))
            } else {
                Err("has a value of another type")
            };
        };
        let bits = self.size * 8;
        let fits = match (bits, signed) {
            (64, _) => true,
            (_, true) => {
                let (value, limit) = (value.cast_signed(), 1i64 << (bits - 1));
                (-limit..limit).contains(&value)
            }
            (_, false) => value >> bits == 0,
        };
        if fits { Ok(self.ordered(value)) } else { Err("has a value that does not fit its type") }
    }
}

/// A number as C writes it.
fn parse(text: &str) -> Option<u64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}
