//! What libbpf logs of a relocation, in its words.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::compat::Compat;
use super::spec::{About, Spec, describe_type};
use super::{CoreError, CoreResolver};
use crate::ext::{CoreRelo, CoreReloKind};

/// What is known of a relocation before its instruction is changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CoreLog {
    /// Of the first relocation that asks for a type: the kernel's types of that name.
    pub found: Vec<String>,
    /// Of this one: each of them, and whether it has what is asked for.
    pub tried: Vec<String>,
}

impl CoreResolver<'_> {
    /// Compares a relocation with the kernel's types. To be asked before [`CoreResolver::resolve`], behind which types that had not what
    /// was asked for are no candidates any more. Without a target, or for a relocation that no loader takes, there is nothing.
    ///
    /// Errors: types that are not there; too many comparisons.
    pub fn log(&self, relo: &CoreRelo) -> Result<CoreLog, CoreError> {
        let mut log = CoreLog::default();
        let (Some(target), Ok(spec)) = (self.target, Spec::of_relo(self.local, relo)) else { return Ok(log) };
        if relo.kind == CoreReloKind::TypeIdLocal {
            return Ok(log);
        }
        let (known, id) = (self.candidates.get(&relo.type_id), relo.type_id);
        let fresh = || Ok::<_, CoreError>(target.candidates(self.local.name(id), self.local.ty(id)?.kind()));
        let candidates = known.cloned().map_or_else(fresh, Ok)?;
        if known.is_none() {
            let asked = describe_type(self.local, id);
            let line = |candidate| {
                let name = describe_type(target.btf(), candidate);
                format!("CO-RE relocating {asked}: found target candidate {name} in [vmlinux]")
            };
            log.found = candidates.iter().map(|candidate| line(*candidate)).collect();
        }
        let (compat, kind, mut matches) = (Compat::new(self.local, target.btf()), relo.kind.name(), false);
        for (at, candidate) in candidates.into_iter().enumerate() {
            let (is_there, mut found) = compat.search(&spec, candidate)?;
            matches |= is_there;
            let which = if is_there { "matching" } else { "non-matching" };
            if found.about == About::Enumerator && !is_there {
                // libbpf names the first, then.
                found.first_enumerator(target.btf());
            }
            log.tried.push(format!("{which} candidate #{at} <{kind}> {}", found.describe(target.btf())));
        }
        if !matches {
            log.tried.push("no matching targets found".into());
        }
        Ok(log)
    }
}
