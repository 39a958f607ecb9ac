//! The function that runs when a program throws. No instruction refers to it: a tag of the main function does.

use ring3_btf::{Kind, Linkage, Type};
use ring3_platform::Program;

use crate::diag::reject::Reject;

/// What precedes the function's name in the tag.
const TAG: &str = "exception_callback:";

/// Slot of the function that a tag of the main function names.
pub fn callback(program: &Program) -> Result<Option<usize>, Reject> {
    let Some(info) = program.info.as_deref() else { return Ok(None) };
    let Some(main) = info.funcs.first() else { return Ok(None) };
    let btf = &info.btf;
    let mut names = btf.types().iter().filter_map(|ty| match ty {
        Type::DeclTag { name, target, component: -1, .. } if *target == main.type_id => {
            btf.string(*name).strip_prefix(TAG)
        }
        _ => None,
    });
    let Some(name) = names.next() else { return Ok(None) };
    if names.next().is_some() {
        return Err(Reject::ManyExceptionCallbacks {});
    }
    let name = || name.to_owned();
    let Some(id) = btf.find(&name(), Kind::Func) else { return Err(Reject::NoExceptionCallback { name: name() }) };
    if !matches!(btf.get(id), Some(Type::Func { linkage: Linkage::Global, .. })) {
        return Err(Reject::ExceptionCallbackStatic { name: name() });
    }
    match info.funcs.iter().rev().find(|func| func.type_id == id).map(|func| func.slot as usize) {
        None => Err(Reject::ExceptionCallbackNoInfo {}),
        Some(0) => Err(Reject::ExceptionCallbackMain {}),
        Some(slot) => Ok(Some(slot)),
    }
}
