//! One program out of an object: the code of its function and of all that it reaches, in one piece.
//!
//! The order is libbpf's: a subprogram is appended when the first reference to it is met, and its own references come
//! before the rest of the caller's. Relocations: `R_BPF_64_64` in 64-bit immediate loads, `R_BPF_64_32` in calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_btf::{Btf, FuncEntry, Kind, LineEntry, Linkage, ProgramInfo, Type};
use ring3_isa::{Callee, Code, Insn, RawInsn, Reg, Wide, encode};
use ring3_platform::helpers::id;
use ring3_platform::{KfuncRef, Program};

use crate::core::Core;
use crate::error::ObjectError;
use crate::externs::Answer;
use crate::object::{CodeSection, Function, NO_REWRITE, Object, Options, in_range, is_func};
use crate::{ExternKind, MAX_SLOTS};

/// Relocation of a 64-bit immediate load.
const R_BPF_64_64: u32 = 1;
/// Relocation of a call.
const R_BPF_64_32: u32 = 10;
/// What precedes the name of a function that gets what the program throws, in a tag of its main function.
const EXCEPTION_CALLBACK: &str = "exception_callback:";
/// `BPF_JMP | BPF_CALL`.
const HELPER_CALL: u8 = 0x85;
/// Bytes of a slot.
const SLOT: u64 = RawInsn::BYTES as u64;

/// What linking gives.
pub(crate) struct Linked {
    pub code: Code,
    /// Indexes into the object's maps, in the order of first reference.
    pub maps: Vec<usize>,
    /// Functions of the kernel, in the order of first reference.
    pub kfuncs: Vec<KfuncRef>,
    pub info: Option<ProgramInfo>,
}

/// Links one program.
pub(crate) struct Linker<'o> {
    object: &'o Object,
    program: &'o str,
    code: Vec<RawInsn>,
    maps: Vec<usize>,
    kfuncs: Vec<KfuncRef>,
    /// Position in `maps`, by index into the object's maps.
    map_at: BTreeMap<usize, i32>,
    /// First slot of each function that is placed, by position in the object's functions.
    slot_of: BTreeMap<usize, u32>,
    /// The same in the order of slots.
    placed: Vec<(usize, u32)>,
    core: Core<'o>,
    /// Numbers of maps that no relocation fills in, with section and offset of the instruction.
    plain_maps: Vec<(i32, usize, u64)>,
}

/// A function whose instructions are being gone through.
struct Walk<'o> {
    function: &'o Function,
    section: &'o CodeSection,
    /// Its first slot in the linked program.
    base: u32,
    code: Code,
    /// Next slot to look at, from its start.
    next: usize,
}

/// A reference to a function that stands in a slot of the walk on top.
struct Reference {
    slot: u32,
    target: usize,
}

impl<'o> Linker<'o> {
    pub fn new(object: &'o Object, program: &'o str, options: &'o Options) -> Linker<'o> {
        let (code, maps, kfuncs, placed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Linker {
            object,
            program,
            code,
            maps,
            kfuncs,
            map_at: BTreeMap::new(),
            slot_of: BTreeMap::new(),
            placed,
            core: Core::new(object, program, options),
            plain_maps: Vec::new(),
        }
    }

    /// What a loader logs of the relocations of the function at this position, and of all that it reaches.
    pub fn relocation_log(mut self, main: usize) -> Result<Vec<String>, ObjectError> {
        self.core.log = Some(Vec::new());
        self.append(main)?;
        Ok(self.core.log.unwrap_or_default())
    }

    /// Links the function at this position of the object's functions, and all that it reaches.
    pub fn link(mut self, main: usize) -> Result<Linked, ObjectError> {
        self.append(main)?;
        // No instruction refers to it, so it comes last, unless the program calls it too.
        if let Some(callback) = self.exception_callback(main)?
            && !self.slot_of.contains_key(&callback)
        {
            self.append(callback)?;
        }
        self.check_plain_maps()?;
        if self.object.release < NO_REWRITE {
            self.code.iter_mut().for_each(older_helper);
        }
        let code = Code::decode(std::mem::take(&mut self.code));
        let info = match &self.object.btf {
            Some(btf) => self.info(btf)?,
            None => None,
        };
        Ok(Linked { code, maps: self.maps, kfuncs: self.kfuncs, info })
    }

    /// The function that a tag of this one names for what is thrown; none if several do, which verifiers refuse.
    fn exception_callback(&self, main: usize) -> Result<Option<usize>, ObjectError> {
        let (Some(btf), functions) = (self.object.btf.as_deref(), &self.object.functions) else { return Ok(None) };
        let Some(id) = btf.find(&functions[main].name, Kind::Func) else { return Ok(None) };
        let mut names = btf.types().iter().filter_map(|ty| match ty {
            Type::DeclTag { name, target, component: -1, .. } if *target == id => {
                btf.string(*name).strip_prefix(EXCEPTION_CALLBACK)
            }
            _ => None,
        });
        let (Some(name), None) = (names.next(), names.next()) else { return Ok(None) };
        let bad = |problem| ObjectError::ExceptionCallback {
            at: self.object.at(functions[main].section, functions[main].offset),
            program: self.program.to_owned(),
            callback: name.to_owned(),
            problem,
        };
        let at = functions.iter().position(|function| function.name == name).ok_or_else(|| bad("is not there"))?;
        // It is verified by itself, as global functions are.
        let is_global =
            self.object.symbols.iter().any(|symbol| symbol.is_func && !symbol.is_local && symbol.name == name);
        if is_global && !functions[at].hidden { Ok(Some(at)) } else { Err(bad("must be a global non-hidden function")) }
    }

    /// Appends a function and all that it reaches.
    fn append(&mut self, function: usize) -> Result<(), ObjectError> {
        let mut walks = vec![self.place(function)?];
        while let Some(walk) = walks.last_mut() {
            let Some(reference) = self.walk(walk)? else {
                walks.pop();
                continue;
            };
            let base = match self.slot_of.get(&reference.target) {
                Some(base) => *base,
                None => {
                    walks.push(self.place(reference.target)?);
                    self.slot_of[&reference.target]
                }
            };
            // Relative to the following slot; for a function's address as for a call.
            let distance = i64::from(base) - i64::from(reference.slot) - 1;
            self.code[reference.slot as usize].imm = distance as i32;
        }
        Ok(())
    }

    /// Appends a function's instructions, as they are.
    fn place(&mut self, position: usize) -> Result<Walk<'o>, ObjectError> {
        let function = &self.object.functions[position];
        let at = self.object.at(function.section, function.offset);
        let section = &self.object.code[&function.section];
        let found = self.code.len() + function.slots;
        if found > MAX_SLOTS {
            let (found, limit) = (found as u64, MAX_SLOTS as u64);
            return Err(ObjectError::Limit { at, what: "number of instructions", found, limit });
        }
        let range = function.range();
        // The range was checked against the section when the function was found.
        let bytes = section.bytes.get(range.start as usize..range.end as usize).unwrap_or(&[]);
        let (slots, _) = bytes.as_chunks::<{ RawInsn::BYTES }>();
        let base = self.code.len() as u32;
        self.code.extend(slots.iter().map(|slot| RawInsn::from_bytes(*slot, self.object.endian())));
        self.core.apply(function, &mut self.code[base as usize..], base)?;
        self.slot_of.insert(position, base);
        self.placed.push((position, base));
        let code = Code::decode(self.code[base as usize..].to_vec());
        Ok(Walk { function, section, base, code, next: 0 })
    }

    /// Relocates on, up to the next reference to a function.
    fn walk(&mut self, walk: &mut Walk<'o>) -> Result<Option<Reference>, ObjectError> {
        while walk.next < walk.code.len() {
            let slot = walk.next;
            walk.next = walk.code.next(slot);
            let Some(raw) = walk.code.raw(slot) else { break };
            let offset = walk.function.offset + slot as u64 * SLOT;
            let reloc = walk.section.relocs.binary_search_by_key(&offset, |r| r.offset).ok();
            let reloc = reloc.map(|at| walk.section.relocs[at]);
            let at = Spot { section: walk.function.section, offset, index: walk.base + slot as u32, raw };
            let is_call = matches!(walk.code.get(slot), Some(Ok(Insn::Call(Callee::Local(_)))));
            let target = match reloc {
                Some(reloc) if raw.is_wide() && reloc.kind == R_BPF_64_64 => self.load(&at, reloc.symbol)?,
                Some(reloc) if is_call && reloc.kind == R_BPF_64_32 && self.is_kfunc(reloc.symbol) => {
                    self.kfunc(&at, reloc.symbol)?;
                    None
                }
                Some(reloc) if is_call && reloc.kind == R_BPF_64_32 => Some(self.call(&at, reloc.symbol)?),
                Some(reloc) => {
                    let problem = "is of a kind that its instruction cannot have";
                    return Err(self.bad_relocation(&at, reloc.symbol, problem));
                }
                None if is_call => Some(self.function_at(&at, at.section, offset.wrapping_add(SLOT), raw.imm)?),
                None => {
                    self.check_plain(&at, walk.code.get(slot))?;
                    None
                }
            };
            if let Some(target) = target {
                return Ok(Some(Reference { slot: at.index, target }));
            }
        }
        Ok(None)
    }

    /// A reference to a function needs a relocation. One to a map that has none is looked at when all maps are known.
    fn check_plain(&mut self, at: &Spot, insn: Option<Result<Insn, ring3_isa::Malformed>>) -> Result<(), ObjectError> {
        let Some(Ok(Insn::LoadImm { value, .. })) = insn else { return Ok(()) };
        match value {
            Wide::Imm(_) | Wide::BtfId { .. } => Ok(()),
            Wide::Map(number)
            | Wide::MapValue { map: number, .. }
            | Wide::MapIdx(number)
            | Wide::MapIdxValue { index: number, .. } => {
                self.plain_maps.push((number, at.section, at.offset));
                Ok(())
            }
            Wide::Func(_) => Err(ObjectError::Instruction {
                at: self.object.at(at.section, at.offset),
                problem: "refers to a function without a relocation",
            }),
        }
    }

    /// In a linked program the number of a map is its place in the program's list: an object that has one without a
    /// relocation may name none of these. One beyond them names no map, as verifiers say.
    fn check_plain_maps(&self) -> Result<(), ObjectError> {
        let named = self.plain_maps.iter().find(|(number, ..)| (0..self.maps.len() as i32).contains(number));
        named.map_or(Ok(()), |&(_, section, offset)| {
            let problem = "refers to a map without a relocation";
            Err(ObjectError::Instruction { at: self.object.at(section, offset), problem })
        })
    }

    /// Relocates a 64-bit immediate load. Gives the function if it loads one's address.
    fn load(&mut self, at: &Spot, symbol_at: usize) -> Result<Option<usize>, ObjectError> {
        let symbol = &self.object.symbols[symbol_at];
        let Some(section) = symbol.section else { return self.load_external(at, symbol_at).map(|()| None) };
        let dst = Reg::new(at.raw.dst).ok_or_else(|| self.bad_relocation(at, symbol_at, "has a register above R10"))?;
        // The addend is what the instruction holds.
        let offset = symbol.value.wrapping_add(i64::from(at.raw.imm).cast_unsigned());
        let value = if let Some(code) = self.object.code.get(&section) {
            let target = self.object.by_offset.get(&(section, offset)).copied();
            let target = target.filter(|_| !code.bytes.is_empty());
            let target = target.ok_or_else(|| self.bad_relocation(at, symbol_at, "is not the start of a function"))?;
            self.write(at.index, Insn::LoadImm { dst, value: Wide::Func(0) });
            return Ok(Some(target));
        } else if let Some(map) = self.data_map(section) {
            let off = u32::try_from(offset);
            let off = off.map_err(|_| self.bad_relocation(at, symbol_at, "has an offset beyond 32 bits"))?;
            Wide::MapValue { map: self.map(map), off }
        } else if let Some(map) = self.map_at_offset(section, offset) {
            Wide::Map(self.map(map))
        } else if let Some(broken) = self.object.broken.iter().find(|b| b.section == section && b.offset == offset) {
            return Err(broken.why.clone());
        } else {
            return Err(self.bad_relocation(at, symbol_at, "is neither a map, nor global data, nor a function"));
        };
        self.write(at.index, Insn::LoadImm { dst, value });
        Ok(None)
    }

    /// Relocates a load of the address of something that the kernel provides.
    fn load_external(&mut self, at: &Spot, symbol_at: usize) -> Result<(), ObjectError> {
        let symbol = &self.object.symbols[symbol_at];
        let types = self.core.target().map(|target| &**target.btf());
        let Some(answer) = self.object.extern_answer(&symbol.name, symbol.weak, types) else {
            return Err(self.external(at, &symbol.name));
        };
        let answer = answer.map_err(|problem| self.extern_value(at, symbol_at, problem))?;
        let dst = Reg::new(at.raw.dst).ok_or_else(|| self.bad_relocation(at, symbol_at, "has a register above R10"))?;
        let value = match answer {
            Answer::Config { map, off } => Wide::MapValue { map: self.map(map), off },
            Answer::Wide(value) => value,
        };
        self.write(at.index, Insn::LoadImm { dst, value });
        Ok(())
    }

    /// The function that a relocated call calls.
    fn call(&self, at: &Spot, symbol_at: usize) -> Result<usize, ObjectError> {
        let symbol = &self.object.symbols[symbol_at];
        let Some(section) = symbol.section else { return Err(self.external(at, &symbol.name)) };
        // A call of a symbol holds -1, one of a section the distance of the function minus one.
        self.function_at(at, section, symbol.value.wrapping_add(SLOT), at.raw.imm)
    }

    /// External, and a function of the kernel as BTF says.
    fn is_kfunc(&self, symbol: usize) -> bool {
        let symbol = &self.object.symbols[symbol];
        symbol.section.is_none() && self.object.extern_kind(&symbol.name) == ExternKind::Kfunc
    }

    /// Makes a call one of a function of the kernel. It goes by name, as its number is not the same on any two kernels. A weak
    /// one that the kernel has with other arguments is none.
    fn kfunc(&mut self, at: &Spot, symbol_at: usize) -> Result<(), ObjectError> {
        let symbol = &self.object.symbols[symbol_at];
        let suits = self.object.kfunc_suits(&symbol.name, self.core.target().map(|target| &**target.btf()));
        let known = self.kfuncs.iter().position(|kfunc| kfunc.name == symbol.name);
        // No more than there are slots.
        let id = known.unwrap_or(self.kfuncs.len()) as i32;
        if known.is_none() {
            self.kfuncs.push(KfuncRef { name: symbol.name.clone(), weak: symbol.weak });
        }
        let callee = match suits {
            Some(false) if symbol.weak => Callee::Helper(Program::MISSING_KFUNC.saturating_add(id)),
            Some(false) => return Err(self.extern_value(at, symbol_at, "has another type in the kernel")),
            Some(true) | None => Callee::Kfunc { id, off: Program::KFUNC_BY_NAME },
        };
        self.write(at.index, Insn::Call(callee));
        Ok(())
    }

    fn extern_value(&self, at: &Spot, symbol: usize, problem: &'static str) -> ObjectError {
        ObjectError::ExternValue {
            at: self.object.at(at.section, at.offset),
            program: self.program.to_owned(),
            symbol: self.object.symbols[symbol].name.clone(),
            problem,
        }
    }

    /// The function `slots` from `offset`.
    fn function_at(&self, at: &Spot, section: usize, offset: u64, slots: i32) -> Result<usize, ObjectError> {
        let offset = offset.wrapping_add((i64::from(slots) * SLOT as i64).cast_unsigned());
        self.object.by_offset.get(&(section, offset)).copied().ok_or_else(|| ObjectError::Instruction {
            at: self.object.at(at.section, at.offset),
            problem: "calls something that is not the start of a function",
        })
    }

    fn write(&mut self, index: u32, insn: Insn) {
        let encoded = encode(insn);
        for (to, from) in self.code[index as usize..].iter_mut().zip(encoded.iter()) {
            *to = *from;
        }
    }

    fn data_map(&self, section: usize) -> Option<usize> {
        let arena = self.object.arena.filter(|(data, _)| *data == section).map(|(_, arena)| arena);
        arena.or_else(|| self.object.homes.iter().position(|home| home.is_data && home.section == section))
    }

    fn map_at_offset(&self, section: usize, offset: u64) -> Option<usize> {
        let is_it = |home: &crate::object::Home| !home.is_data && home.section == section && home.offset == offset;
        self.object.homes.iter().position(is_it)
    }

    /// The number of a map in the program's list.
    fn map(&mut self, map: usize) -> i32 {
        let next = self.maps.len() as i32;
        let number = *self.map_at.entry(map).or_insert(next);
        if number == next {
            self.maps.push(map);
        }
        number
    }

    fn external(&self, at: &Spot, symbol: &str) -> ObjectError {
        let kind = match self.object.extern_kind(symbol) {
            ExternKind::Unknown if !at.raw.is_wide() => ExternKind::Kfunc,
            kind => kind,
        };
        let at = self.object.at(at.section, at.offset);
        ObjectError::Extern { at, program: self.program.to_owned(), symbol: symbol.to_owned(), kind }
    }

    fn bad_relocation(&self, at: &Spot, symbol: usize, problem: &'static str) -> ObjectError {
        let symbol = self.object.symbols[symbol].name.clone();
        ObjectError::Relocation { at: self.object.at(at.section, at.offset), symbol, problem }
    }

    /// Function and line information of all that was placed. `None` if there is none for the program itself.
    fn info(&self, btf: &Arc<Btf>) -> Result<Option<ProgramInfo>, ObjectError> {
        let mut info = ProgramInfo {
            btf: btf.clone(),
            funcs: Vec::new(),
            lines: Vec::new(),
            unresolved: self.core.unresolved.clone(),
            pending: self.core.pending.clone(),
        };
        let mut strings = Strings { btf, known: BTreeMap::new() };
        for &(position, base) in &self.placed {
            let function = &self.object.functions[position];
            let section = &self.object.code[&function.section];
            let range = function.range();
            let slot = |insn_off: u32| {
                let offset = u64::from(insn_off);
                if offset % SLOT != 0 {
                    let at = self.object.at(function.section, offset);
                    return Err(ObjectError::Instruction {
                        at,
                        problem: "is not whole where .BTF.ext says one starts",
                    });
                }
                Ok(base + ((offset - range.start) / SLOT) as u32)
            };
            for record in in_range(&section.funcs, |r| r.insn_off, &range) {
                let Some(Type::Func { name, linkage, .. }) = btf.get(record.type_id).filter(|_| is_func(btf, record))
                else {
                    let at = self.object.at(function.section, u64::from(record.insn_off));
                    return Err(ObjectError::Instruction { at, problem: "has a function's type that is none" });
                };
                let linkage = if function.hidden { Linkage::Static } else { *linkage };
                let (slot, name) = (slot(record.insn_off)?, strings.get(*name));
                info.funcs.push(FuncEntry { slot, name, type_id: record.type_id, linkage });
            }
            for record in in_range(&section.lines, |r| r.insn_off, &range) {
                let (file, text) = (strings.get(record.file), strings.get(record.text));
                let slot = slot(record.insn_off)?;
                info.lines.push(LineEntry { slot, file, text, line: record.line, col: record.col });
            }
        }
        let is_some =
            !info.funcs.is_empty() || !info.lines.is_empty() || !info.unresolved.is_empty() || !info.pending.is_empty();
        Ok(is_some.then_some(info))
    }
}

/// Makes a call of a helper that is there since 5.5 one of the older helper that does the same.
fn older_helper(insn: &mut RawInsn) {
    const OLDER: [(u32, u32); 4] = [
        (id::PROBE_READ_USER, id::PROBE_READ),
        (id::PROBE_READ_KERNEL, id::PROBE_READ),
        (id::PROBE_READ_USER_STR, id::PROBE_READ_STR),
        (id::PROBE_READ_KERNEL_STR, id::PROBE_READ_STR),
    ];
    if (insn.code, insn.src) == (HELPER_CALL, 0)
        && let Some((_, older)) = OLDER.iter().find(|(newer, _)| i32::try_from(*newer) == Ok(insn.imm))
    {
        insn.imm = *older as i32;
    }
}

/// An instruction that is being relocated.
struct Spot {
    section: usize,
    /// Bytes from the start of the section.
    offset: u64,
    /// Slot in the linked program.
    index: u32,
    raw: RawInsn,
}

impl Function {
    /// Bytes from the start of the section.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset + self.slots as u64 * SLOT
    }
}

/// Strings that many entries share.
struct Strings<'a> {
    btf: &'a Btf,
    known: BTreeMap<u32, Arc<str>>,
}

impl Strings<'_> {
    fn get(&mut self, off: ring3_btf::StrOff) -> Arc<str> {
        self.known.entry(off.0).or_insert_with(|| self.btf.string(off).into()).clone()
    }
}
