//! A program with another function in place of one of its own: what a kernel makes of it and of a `freplace` program.

use std::ops::Range;
use std::sync::Arc;

use ring3_btf::{Btf, FuncEntry, Kind, LineEntry, ProgramInfo, StrOff, Type, TypeId};
use ring3_isa::{Code, Endianness, Mention, RawInsn};
use ring3_platform::Program;

use crate::error::ObjectError;

/// Functions of the kernel that are given types of the object by number, which would be others.
const BY_TYPE: [&str; 2] = ["bpf_obj_new_impl", "bpf_percpu_obj_new_impl"];
/// Ends what runs.
const THROW: &str = "bpf_throw";
/// Sources of wide loads that name a map.
const MAP_SOURCES: [u8; 4] = [1, 2, 5, 6];
/// Bytes of an instruction have an order only where they are written.
const ORDER: Endianness = Endianness::Little;

/// `program` with `extension` called wherever `function` was. Where that is the program itself, the extension runs in its place. What
/// is given has to be verified as any program is: types and arguments are compared by nobody here. The stack of both counts together
/// then, which the kernel counts apart.
///
/// Errors: [`ObjectError::Extend`] if there is no such function, or if the extension makes objects of its own types, or throws in the
/// place of a function that is not the whole program.
pub fn extended(program: &Program, function: &str, extension: &Program) -> Result<Program, ObjectError> {
    let failed = |why: &'static str| ObjectError::Extend {
        program: program.name.clone(),
        function: function.to_owned(),
        extension: extension.name.clone(),
        why,
    };
    let (Some(info), Some(own)) = (&program.info, &extension.info) else { return Err(failed("there are no types")) };
    if extension.kfuncs.iter().any(|kfunc| BY_TYPE.contains(&kfunc.name.as_str())) {
        return Err(failed("it makes objects"));
    }
    let place = place(info, function, program.code.len()).ok_or_else(|| failed("there is no such function"))?;
    // In the kernel that ends the extension alone, and here all of the program: the same only where the extension is all of it.
    if place.start != 0 && extension.kfuncs.iter().any(|kfunc| kfunc.name == THROW) {
        return Err(failed("it throws"));
    }
    let splice = Splice {
        kept: program.code.len() - place.len(),
        place,
        maps: program.maps.len(),
        kfuncs: program.kfuncs.len(),
    };
    // A program that is replaced as a whole keeps nothing but what it is attached to.
    let splice =
        if splice.place.start == 0 { Splice { kept: 0, place: 0..program.code.len(), ..splice } } else { splice };
    let order_of = |code: &Code, at: usize| code.raw_slice().get(at).copied();
    let mut bytes = Vec::with_capacity((splice.kept + extension.code.len()) * RawInsn::BYTES);
    for slot in (0..program.code.len()).filter(|slot| !splice.place.contains(slot)) {
        let Some(insn) = order_of(&program.code, slot) else { continue };
        bytes.extend(splice.of_program(&program.code, slot, insn).to_bytes(ORDER));
    }
    for slot in 0..extension.code.len() {
        let Some(insn) = order_of(&extension.code, slot) else { continue };
        bytes.extend(splice.of_extension(extension, slot, insn).to_bytes(ORDER));
    }
    let code = Code::from_bytes(&bytes, ORDER).map_err(|_| failed("its instructions do not fit"))?;
    let gpl = extension.license.is_gpl_compatible();
    Ok(Program {
        code,
        maps: program.maps.iter().chain(&extension.maps).cloned().collect(),
        kfuncs: program.kfuncs.iter().chain(&extension.kfuncs).cloned().collect(),
        // Each was judged by its own licence.
        license: if gpl { extension.license.clone() } else { program.license.clone() },
        info: Some(Arc::new(splice.info(info, own))),
        ..program.clone()
    })
}

/// The slots of a function.
fn place(info: &ProgramInfo, function: &str, len: usize) -> Option<Range<usize>> {
    // By its type, as the verifier finds it: functions of what was put into the program before may have the same name, and their types
    // come behind.
    let id = info.btf.find(function, Kind::Func)?;
    let at = info.funcs.iter().position(|func| func.type_id == id)?;
    let slot = |func: &FuncEntry| usize::try_from(func.slot).ok();
    let end = info.funcs.get(at + 1).map_or(Some(len), slot)?;
    let start = slot(&info.funcs[at])?;
    (start < end && end <= len).then_some(start..end)
}

/// Where everything comes to lie: first what stays of the program, then the extension.
struct Splice {
    /// What goes.
    place: Range<usize>,
    /// Slots that stay.
    kept: usize,
    /// Of the program.
    maps: usize,
    kfuncs: usize,
}

impl Splice {
    /// A slot of the program; the function that goes is the extension now.
    fn moved(&self, slot: usize) -> usize {
        if slot < self.place.start {
            slot
        } else if slot < self.place.end {
            self.kept
        } else {
            slot - self.place.len()
        }
    }

    fn of_program(&self, code: &Code, slot: usize, mut insn: RawInsn) -> RawInsn {
        if !code.is_tail(slot) {
            retarget(&mut insn, slot, |slot| self.moved(slot));
        }
        insn
    }

    fn of_extension(&self, extension: &Program, slot: usize, mut insn: RawInsn) -> RawInsn {
        if extension.code.is_tail(slot) {
            return insn;
        }
        retarget(&mut insn, slot, |slot| self.kept + slot);
        if insn.is_wide() && MAP_SOURCES.contains(&insn.src) {
            insn.imm = shifted(insn.imm, self.maps);
        }
        if let Some(Mention::Kfunc { id, off }) = insn.mention()
            && extension.kfunc(id, off).is_some()
        {
            insn.imm = shifted(insn.imm, self.kfuncs);
        }
        insn
    }

    fn info(&self, info: &ProgramInfo, own: &ProgramInfo) -> ProgramInfo {
        let (btf, shift) = appended(&info.btf, &own.btf);
        let stays = |slot: u32| usize::try_from(slot).is_ok_and(|slot| !self.place.contains(&slot));
        let moved = |slot: u32| narrow(self.moved(slot as usize));
        let behind = |slot: u32| narrow(self.kept + slot as usize);
        let funcs = info.funcs.iter().filter(|func| stays(func.slot));
        let funcs = funcs.map(|func| FuncEntry { slot: moved(func.slot), ..func.clone() });
        let type_id = |id: TypeId| TypeId(id.0 + shift);
        let new_funcs = own.funcs.iter().map(|func| FuncEntry {
            slot: behind(func.slot),
            type_id: type_id(func.type_id),
            ..func.clone()
        });
        let lines = info.lines.iter().filter(|line| stays(line.slot));
        let lines = lines.map(|line| LineEntry { slot: moved(line.slot), ..line.clone() });
        let new_lines = own.lines.iter().map(|line| LineEntry { slot: behind(line.slot), ..line.clone() });
        let unresolved = info.unresolved.iter().filter(|(slot, _)| stays(*slot));
        let unresolved = unresolved.map(|(slot, text)| (moved(*slot), text.clone()));
        let new_unresolved = own.unresolved.iter().map(|(slot, text)| (behind(*slot), text.clone()));
        ProgramInfo {
            btf: Arc::new(btf),
            funcs: funcs.chain(new_funcs).collect(),
            lines: lines.chain(new_lines).collect(),
            unresolved: unresolved.chain(new_unresolved).collect(),
            pending: Vec::new(),
        }
    }
}

fn narrow(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}

fn shifted(imm: i32, by: usize) -> i32 {
    i32::try_from(by).ok().and_then(|by| imm.checked_add(by)).unwrap_or(imm)
}

/// Lets a call or a reference of a function lead to where that function is now.
fn retarget(insn: &mut RawInsn, slot: usize, moved: impl Fn(usize) -> usize) {
    let Some(Mention::Function(off) | Mention::Address(off)) = insn.mention() else { return };
    let to = i64::try_from(slot).unwrap_or(i64::MAX).saturating_add(1).saturating_add(i64::from(off));
    // One that leads nowhere is left as it is, for the verifier to refuse.
    let Ok(to) = usize::try_from(to) else { return };
    let distance = i64::try_from(moved(to)).unwrap_or(i64::MAX) - i64::try_from(moved(slot)).unwrap_or(0) - 1;
    insn.imm = i32::try_from(distance).unwrap_or(insn.imm);
}

/// The types of both: those of the first keep their numbers, those of the second come behind. Gives by how much.
fn appended(first: &Btf, second: &Btf) -> (Btf, u32) {
    let mut all = first.clone();
    let shift = narrow(first.types().len()).saturating_sub(1);
    for ty in second.types().iter().skip(1) {
        let mut ty: Type = ty.clone();
        ty.each_reference_mut(|id| {
            if *id != TypeId::VOID {
                id.0 += shift;
            }
        });
        ty.each_name_mut(|name| {
            let text = second.string(*name);
            *name = if text.is_empty() { StrOff(0) } else { all.add_string(text).unwrap_or_default() };
        });
        if all.add_type(ty).is_none() {
            break;
        }
    }
    (all, shift)
}
