//! Functions of a program: where they start, that jumps stay inside, how they end.

use std::collections::BTreeSet;

use ring3_isa::num::signed_index;
use ring3_isa::{Code, Flow, Mention};
use ring3_platform::Program;

use super::{At, MAX_SUBPROGS, TAIL_CALL, target};
use crate::diag::reject::{Reject, unsupported};

/// Functions of the kernel that a program may call (MAX_KFUNC_DESCS).
const MAX_KFUNCS: usize = 256;

/// A function.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subprog {
    /// First slot.
    pub start: usize,
    /// Slot behind the last.
    pub end: usize,
    /// Calls bpf_tail_call.
    pub has_tail_call: bool,
    /// Has legacy packet loads.
    pub has_legacy: bool,
    /// May change the packet, itself or through what it calls.
    pub changes_packet: bool,
    /// May sleep, itself or through what it calls.
    pub might_sleep: bool,
    /// May end the program (`bpf_throw`), itself or through what it calls.
    pub throws: bool,
    /// Is called back by a helper.
    pub is_callback: bool,
}

/// Starts of all functions: what calls and function references name.
pub fn discover(program: &Program) -> Result<Vec<Subprog>, At> {
    let code = &program.code;
    let mut starts = vec![0];
    let (mut callbacks, mut kfuncs) = (Vec::new(), BTreeSet::new());
    for (slot, raw) in code.raw_slice().iter().enumerate() {
        let (off, is_callback) = match raw.mention() {
            Some(Mention::Function(off)) => (off, false),
            Some(Mention::Address(off)) => (off, true),
            // Linux forgives this one as long as nothing visits it.
            Some(Mention::Kfunc { id: 0, off: 0 } | Mention::Helper(_)) | None => continue,
            Some(Mention::Kfunc { id, off }) => {
                check_kfunc(program, &mut kfuncs, id, off).map_err(|reject| (reject, Some(slot)))?;
                continue;
            }
        };
        let Some(start) = target(code, slot, off) else { return Err((Reject::BadCallTarget {}, Some(slot))) };
        starts.push(start);
        if is_callback {
            callbacks.push(start);
        }
    }
    if let Some(start) = super::exception::callback(program).map_err(|reject| (reject, None))? {
        if start >= code.len() {
            return Err((Reject::BadCallTarget {}, None));
        }
        starts.push(start);
    }
    starts.sort_unstable();
    starts.dedup();
    if starts.len() > MAX_SUBPROGS {
        return Err((Reject::TooManySubprogs {}, None));
    }
    let ends = starts.iter().skip(1).copied().chain([code.len()]);
    let subprog = |(start, end)| Subprog { start, end, is_callback: callbacks.contains(&start), ..Subprog::default() };
    Ok(starts.iter().copied().zip(ends).map(subprog).collect())
}

/// A call of a function of the kernel, whether it is reached or not; `seen` are those that were called before.
fn check_kfunc(program: &Program, seen: &mut BTreeSet<i32>, id: i32, off: i16) -> Result<(), Reject> {
    let Some(named) = program.kfunc(id, off) else {
        return unsupported(format!("the kernel function with BTF id {id}"));
    };
    // The loader makes a call of a function that is not there something else.
    if named.weak && ring3_platform::kfunc(&named.name).is_none() {
        return Ok(());
    }
    if !program.license.is_gpl_compatible() {
        return Err(Reject::KfuncNotGpl {});
    }
    if !seen.insert(id) {
        return Ok(());
    }
    if seen.len() > MAX_KFUNCS {
        return Err(Reject::TooManyKfuncs {});
    }
    // What a packet's device says of it. Programs here are bound to none.
    if named.name.starts_with("bpf_xdp_metadata_") {
        return Err(Reject::MetadataDevice {});
    }
    Ok(())
}

/// Jumps stay inside their function; a function ends with an exit or a jump.
pub fn check_borders(code: &Code, subprogs: &mut [Subprog]) -> Result<(), At> {
    for subprog in subprogs {
        for slot in subprog.start..subprog.end {
            let raw = code.raw_slice()[slot];
            subprog.has_tail_call |= raw.mention() == Some(Mention::Helper(TAIL_CALL));
            subprog.has_legacy |= raw.is_legacy_load();
            let flow = if code.is_tail(slot) { Flow::Next } else { code.raw_slice()[slot].flow() };
            if let Flow::Goto(off) | Flow::Branch(off) = flow {
                let to = signed_index(slot) + 1 + i64::from(off);
                if to < signed_index(subprog.start) || to >= signed_index(subprog.end) {
                    // Linux adds in 32 bits, and says what comes out.
                    let slot32 = i32::try_from(slot).unwrap_or(i32::MAX);
                    let to = i64::from(slot32.wrapping_add(1).wrapping_add(off));
                    return Err((Reject::JumpOutOfRange { from: slot, to }, Some(slot)));
                }
            }
            if slot + 1 == subprog.end && !raw.never_falls() {
                return Err((Reject::LastInsn {}, Some(slot)));
            }
        }
    }
    Ok(())
}
