//! What a program says of its functions and lines has to fit its instructions (`BPF_PROG_LOAD`: `func_info`, `line_info`).

use ring3_btf::{Btf, ProgramInfo, Type, TypeId};
use ring3_platform::Program;

use super::At;
use super::subprogs::Subprog;
use crate::diag::reject::Reject;

/// The entries for functions by themselves: ascending, of functions. Linux looks before it finds out what functions there are.
pub fn check_entries(program: &Program) -> Result<(), Reject> {
    let Some(info) = &program.info else { return Ok(()) };
    let mut before = None;
    for func in &info.funcs {
        match before {
            None if func.slot != 0 => return Err(Reject::FuncInfoFirst { slot: func.slot }),
            Some(before) if func.slot <= before => return Err(Reject::FuncInfoOrder { slot: func.slot, before }),
            None | Some(_) => {}
        }
        if proto(&info.btf, func.type_id).is_none() {
            return Err(Reject::FuncInfoType { id: func.type_id.0 });
        }
        before = Some(func.slot);
    }
    Ok(())
}

/// One entry for each function, and lines of the program's instructions.
pub fn check(program: &Program, subprogs: &[Subprog]) -> Result<(), At> {
    let described = program.info.as_ref().filter(|info| !info.funcs.is_empty());
    match described {
        Some(info) => check_functions(info, subprogs)?,
        None => check_undescribed(subprogs)?,
    }
    program.info.as_ref().map_or(Ok(()), |info| check_lines(program, info, subprogs).map_err(|reject| (reject, None)))
}

fn check_functions(info: &ProgramInfo, subprogs: &[Subprog]) -> Result<(), At> {
    if info.funcs.len() != subprogs.len() {
        return Err((Reject::FuncInfoCount {}, None));
    }
    for (index, (func, subprog)) in info.funcs.iter().zip(subprogs).enumerate() {
        if func.slot as usize != subprog.start {
            return Err((Reject::FuncInfoLayout {}, None));
        }
        // What hides returns in a function gives a number there.
        if index == 0 || !(subprog.has_legacy || subprog.has_tail_call) || returns_number(&info.btf, func.type_id) {
            continue;
        }
        let reject = if subprog.has_legacy { Reject::LegacyReturn {} } else { Reject::TailCallReturn {} };
        return Err((reject, Some(subprog.start)));
    }
    Ok(())
}

/// What hides returns in a function needs BTF, which says that the function returns a number.
fn check_undescribed(subprogs: &[Subprog]) -> Result<(), At> {
    for subprog in subprogs.iter().skip(1) {
        if subprog.has_legacy {
            return Err((Reject::LegacyNoBtf {}, Some(subprog.start)));
        }
        if subprog.has_tail_call {
            return Err((Reject::TailCallNoBtf {}, Some(subprog.start)));
        }
    }
    Ok(())
}

/// Lines ascend, none begins inside an instruction, and every function begins with one.
fn check_lines(program: &Program, info: &ProgramInfo, subprogs: &[Subprog]) -> Result<(), Reject> {
    let len = program.code.len();
    let (mut before, mut described) = (0, 0);
    for (index, line) in info.lines.iter().enumerate() {
        let slot = line.slot;
        if (index > 0 && slot <= before) || slot as usize >= len {
            return Err(Reject::LineInfoSlot { index, slot, before, len });
        }
        if program.code.is_tail(slot as usize) {
            return Err(Reject::LineInfoInside { index });
        }
        if let Some(subprog) = subprogs.get(described) {
            if slot as usize == subprog.start {
                described += 1;
            } else if subprog.start < slot as usize {
                return Err(Reject::LineInfoMissing { subprog: described });
            }
        }
        before = slot;
    }
    if info.lines.is_empty() || described == subprogs.len() {
        return Ok(());
    }
    Err(Reject::LineInfoEnds { count: subprogs.len() - described, subprog: described })
}

fn proto(btf: &Btf, func: TypeId) -> Option<&Type> {
    let Some(Type::Func { proto, .. }) = btf.get(func) else { return None };
    btf.get(*proto).filter(|proto| matches!(proto, Type::FuncProto { .. }))
}

fn returns_number(btf: &Btf, func: TypeId) -> bool {
    let Some(Type::FuncProto { ret, .. }) = proto(btf, func) else { return false };
    match btf.resolved(*ret) {
        Ok(Type::Int(_)) => btf.size_of(*ret).is_ok_and(|size| matches!(size, 1 | 2 | 4 | 8)),
        Ok(Type::Enum(_) | Type::Enum64(_)) => true,
        Ok(_) | Err(_) => false,
    }
}
