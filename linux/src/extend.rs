//! Programs that are for a function of another program, which has to be loaded first.

use ring3_btf::Kind;
use ring3_platform::{ProgType, Program};

use crate::sys::{AsFd, BorrowedFd};
use crate::{Error, LoadOptions, Prog, load};

/// The other program, loaded.
#[derive(Debug)]
pub(crate) struct Other {
    prog: Prog,
    /// The function's number among its types.
    pub id: u32,
}

impl Other {
    /// Loads what a program is for; `None` if that is no program.
    ///
    /// Errors: those of loading it; [`Error::NoTarget`] if it has no such function.
    pub fn of(program: &Program) -> Result<Option<Other>, Error> {
        let Some(other) = program.attach_prog.as_ref() else { return Ok(None) };
        let missing = |name: Option<&str>| Error::NoTarget {
            program: program.name.clone(),
            target: format!("{} of program {}", name.unwrap_or("a function"), other.name),
        };
        let name = program.attach_name().ok_or_else(|| missing(None))?;
        let found = other.info.as_ref().and_then(|info| info.btf.find(name, Kind::Func));
        let id = found.ok_or_else(|| missing(Some(name)))?.0;
        // Programs that extend others cannot be extended: the kernel says so, and does not look whose they are.
        let options = LoadOptions { attach_btf_id: kernel_target(other), ..LoadOptions::default() };
        Ok(Some(Other { prog: load(other, &options)?.prog, id }))
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.prog.as_fd()
    }
}

/// What the other is attached to itself, if that is something of the kernel.
fn kernel_target(other: &Program) -> u32 {
    match other.kind {
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps if other.attach_prog.is_none() => {
            crate::KernelTypes::read().ok().and_then(|types| types.target_of(other)).unwrap_or(0)
        }
        _ => 0,
    }
}
