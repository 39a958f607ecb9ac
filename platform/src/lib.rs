//! What Linux offers to BPF programs, as tables: helpers, map types, program types, context layouts, versions.
//!
//! Facts only, no behaviour: the verifier checks against these rows, the virtual machine and the Linux adapter act by them.
#![forbid(unsafe_code)]

pub mod attach;
pub mod ctx;
pub mod errno;
pub mod helpers;
pub mod kfuncs;
pub mod maps;
pub mod program;
pub mod programs;
pub mod sections;
pub mod since;
pub mod tag;
mod version;

pub use ctx::{CtxField, CtxLayout, Widths, Yields};
pub use errno::Errno;
pub use helpers::{ArgFlags, ArgKind, ArgType, HelperId, Proto, RetKind, RetType, helper_name};
pub use kfuncs::{Kfunc, KfuncFlags, kfunc};
pub use maps::{MapDef, MapFlags, MapType};
pub use program::{KfuncRef, License, LoadFlags, OpsMember, Program, Target};
pub use programs::{AttachType, ProgSet, ProgType, return_name, return_range};
pub use sections::{SectionMatch, section};
pub use tag::{Tag, tag, tag_of};
pub use version::KernelVersion;
