//! The running kernel as a target: bpf(2) without libbpf.
//!
//! A [`ring3_platform::Program`] that the other engines run goes onto the kernel with [`load`], together with its maps, and
//! runs there by [`Prog::test_run`]. [`load_object`] does so with a whole object. The only crate of ring3 with system calls that reach the kernel's BPF.
//!
//! What goes to the kernel is no longer than needed, so that kernels which know less accept it. What comes back is kept as
//! it came: error numbers ([`Errno`]) and logs ([`Log`]). Every descriptor is owned, and closed when dropped.
//!
//! Compiles everywhere; on other systems than Linux every call gives [`Error::NotLinux`].
//!
//! Sources: bpf(2), `linux/bpf.h`, `Documentation/bpf/` of Linux.

mod attach;
mod available;
mod btf;
mod errno;
mod error;
mod extend;
mod inflate;
mod info;
mod load;
mod map;
mod object;
mod pin;
mod probe;
mod run;
mod sys;
mod target;
mod values;

pub use attach::{Direction, Link, Uprobe, XdpMode, interface_index};
pub use available::{Unavailable, available};
pub use btf::BtfObject;
pub use errno::Errno;
pub use error::Error;
pub use info::{
    BtfId, BtfInfo, LinkId, LinkInfo, LinkKind, MapId, MapInfo, ProgCode, ProgId, ProgInfo, Stats, btf_ids, link_ids,
    map_ids, prog_ids,
};
pub use load::{LoadOptions, Loaded, Log, LogLevel, Prog, Types, load, load_types, load_variant, load_with};
pub use map::{Cursor, Element, Elements, Map, RingReader, UpdateFlag, possible_cpus};
pub use object::{BPF_FS, LoadedObject, LoadedProgram, ObjectOptions, load_object};
pub use probe::{Feature, has_helper, has_map_type, has_program_type};
pub use run::{RunOutput, TestRun};
pub use sys::{Command, OnOneCpu, attr};
pub use target::KernelTypes;
pub use values::kernel_values;
