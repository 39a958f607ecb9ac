//! Types as C: what `bpftool btf dump ... format c` is used for, a `vmlinux.h`.
//!
//! C wants a type before its use, so types are written in the order of their needs: what is mentioned behind a pointer must
//! be *declared*, what lies inside another must be *complete*. Names that C cannot have twice (two structs of one name, from
//! two files) get a suffix `___2`; clang's CO-RE matches them without it. Layout is the BTF's: padding is written where C
//! would place a member elsewhere, and structs whose members are not aligned are packed.

mod decl;
mod layout;
mod names;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::types::*;
use crate::{Btf, BtfError};
use names::Names;

/// Deepest nesting of types that is followed: each is a frame on our stack.
const MAX_DEPTH: u32 = 256;
/// Types and members that may be visited, for each type that there is, and besides. A kernel's need some five for each; hostile
/// structs without names, each twice in the next, could ask for any number.
const STEPS: [usize; 2] = [64, 1 << 16];

/// In front of all types. The guard's name is what the field's programs test for.
const HEAD: &str = "\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

";

/// Between the types and the kernel functions.
const KFUNCS: &str = "\
#ifndef BPF_NO_KFUNC_PROTOTYPES
#ifndef __ksym
#define __ksym __attribute__((section(\".ksyms\")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

";

/// Behind all types.
const TAIL: &str = "\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
";

/// How far a type has been written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    /// A typedef has been written, or all that a pointer or function needs; what they lead to need not be complete.
    Declared,
    /// Its parts are being written: to need it complete now is to contain itself.
    Open,
    Complete,
}

/// One dump under way.
struct Dump<'a> {
    btf: &'a Btf,
    names: Names,
    states: Vec<State>,
    /// Which structs and unions have been announced by a line of their own.
    announced: Vec<bool>,
    /// Alignment in bytes of structs and unions; 0 until it is asked for.
    aligns: Vec<u32>,
    /// Types and members visited so far.
    steps: usize,
    out: String,
}

impl Btf {
    /// All types as one C header that clang compiles for BPF, with prototypes of the kernel functions that are tagged as such.
    ///
    /// Variables, sections and other functions are not types and are left out. Of split BTF its own types are written, and
    /// those of its base that they need. Errors: a type that contains itself, one that
    /// C has no words for, nesting deeper than this crate follows.
    pub fn dump_c(&self) -> Result<String, BtfError> {
        let mut dump = Dump::new(self, HEAD);
        dump.types()?;
        dump.kernel_functions()?;
        dump.out.push_str(TAIL);
        Ok(dump.out)
    }

    /// The types alone, for a header of one's own.
    ///
    /// Errors: those of [`Btf::dump_c`].
    pub fn dump_c_types(&self) -> Result<String, BtfError> {
        let mut dump = Dump::new(self, "");
        dump.types()?;
        Ok(dump.out)
    }
}

impl<'a> Dump<'a> {
    fn new(btf: &'a Btf, head: &str) -> Dump<'a> {
        let count = btf.types().len();
        Dump {
            btf,
            names: Names::new(btf),
            states: alloc::vec![State::Unknown; count],
            announced: alloc::vec![false; count],
            aligns: alloc::vec![0; count],
            steps: 0,
            out: String::from(head),
        }
    }

    fn types(&mut self) -> Result<(), BtfError> {
        let inner = referenced(self.btf);
        for (id, ty) in (0..).map(TypeId).zip(self.btf.types()).skip(self.btf.own_start().index()) {
            match ty {
                Type::Struct(c) | Type::Union(c) if !self.btf.string(c.name).is_empty() => self.complete(id, 0)?,
                // The constants of an enum without a name may be all that it is for.
                Type::Enum(e) | Type::Enum64(e) if !self.btf.string(e.name).is_empty() || !inner[id.index()] => {
                    self.complete(id, 0)?;
                }
                Type::Fwd { .. } | Type::Typedef { .. } => self.declare(id, 0)?,
                Type::Void
                | Type::Int(_)
                | Type::Ptr { .. }
                | Type::Array { .. }
                | Type::Struct(_)
                | Type::Union(_)
                | Type::Enum(_)
                | Type::Enum64(_)
                | Type::Volatile { .. }
                | Type::Const { .. }
                | Type::Restrict { .. }
                | Type::Func { .. }
                | Type::FuncProto { .. }
                | Type::Var { .. }
                | Type::Datasec { .. }
                | Type::Float { .. }
                | Type::DeclTag { .. }
                | Type::TypeTag { .. } => {}
            }
        }
        Ok(())
    }

    /// Functions that the kernel tags `bpf_kfunc`, in the order of their numbers.
    fn kernel_functions(&mut self) -> Result<(), BtfError> {
        let mut found: Vec<TypeId> = Vec::new();
        for ty in self.btf.types().iter().skip(self.btf.own_start().index()) {
            if let Type::DeclTag { name, target, component: -1, is_attribute: false } = ty
                && self.btf.string(*name) == "bpf_kfunc"
            {
                found.push(*target);
            }
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|id| self.names.is_free(self.btf.name(*id)));
        if found.is_empty() {
            return Ok(());
        }
        self.out.push_str(KFUNCS);
        for id in found {
            let Type::Func { name, proto, .. } = self.btf.ty(id)? else { continue };
            self.declare(*proto, 0)?;
            let text = self.declaration(*proto, names::identifier(self.btf.string(*name)).into(), 0)?;
            self.line(format_args!("extern {text} __weak __ksym;"));
        }
        self.out.push_str("#endif\n\n");
        Ok(())
    }

    fn step(&mut self, id: TypeId, depth: u32) -> Result<(), BtfError> {
        self.steps += 1;
        let [each, besides] = STEPS;
        if depth > MAX_DEPTH || self.steps > self.states.len() * each + besides {
            Err(BtfError::TooDeep(id))
        } else {
            Ok(())
        }
    }

    fn line(&mut self, text: core::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.out, "{text}");
    }

    fn state(&self, id: TypeId) -> State {
        self.states.get(id.index()).copied().unwrap_or(State::Unknown)
    }

    fn set(&mut self, id: TypeId, state: State) {
        if let Some(slot) = self.states.get_mut(id.index()) {
            *slot = state;
        }
    }

    /// Writes what must stand before a pointer to this type, or its use as a function's parameter.
    fn declare(&mut self, id: TypeId, depth: u32) -> Result<(), BtfError> {
        self.step(id, depth)?;
        match self.btf.ty(id)? {
            Type::Void | Type::Int(_) | Type::Float { .. } => Ok(()),
            Type::Ptr { to }
            | Type::Volatile { to }
            | Type::Const { to }
            | Type::Restrict { to }
            | Type::TypeTag { to, .. } => self.once(id, |dump| dump.declare(*to, depth + 1)),
            Type::Array { elem, .. } => self.once(id, |dump| dump.complete(*elem, depth + 1)),
            Type::FuncProto { ret, params } => self.once(id, |dump| {
                dump.declare(*ret, depth + 1)?;
                params.iter().try_for_each(|p| dump.declare(p.ty, depth + 1))
            }),
            Type::Struct(c) | Type::Union(c) if self.btf.string(c.name).is_empty() => self.complete(id, depth),
            Type::Struct(_) | Type::Union(_) | Type::Fwd { .. } => {
                // One whose parts are being written is not there yet for what must be written before it.
                if self.state(id) != State::Complete && !core::mem::replace(&mut self.announced[id.index()], true) {
                    let tag = self.tagged(id)?;
                    self.line(format_args!("{tag};\n"));
                }
                Ok(())
            }
            Type::Enum(_) | Type::Enum64(_) => self.complete(id, depth),
            Type::Typedef { to, .. } => self.typedef(id, *to, depth),
            Type::Func { .. } | Type::Var { .. } | Type::Datasec { .. } | Type::DeclTag { .. } => {
                Err(BtfError::NotInC(id))
            }
        }
    }

    /// Declares what a type needs, unless that is done. To need itself for it is nothing that C has.
    fn once(&mut self, id: TypeId, declare: impl FnOnce(&mut Self) -> Result<(), BtfError>) -> Result<(), BtfError> {
        match self.state(id) {
            State::Declared | State::Complete => return Ok(()),
            State::Open => return Err(BtfError::NotInC(id)),
            State::Unknown => self.set(id, State::Open),
        }
        declare(self)?;
        self.set(id, State::Declared);
        Ok(())
    }

    fn typedef(&mut self, id: TypeId, to: TypeId, depth: u32) -> Result<(), BtfError> {
        self.once(id, |dump| {
            dump.declare(to, depth + 1)?;
            let name = dump.names.of(dump.btf, id);
            let text = dump.declaration(to, name, 0)?;
            dump.line(format_args!("typedef {text};\n"));
            Ok(())
        })
    }

    /// Writes all that a member or element of this type needs.
    fn complete(&mut self, id: TypeId, depth: u32) -> Result<(), BtfError> {
        self.step(id, depth)?;
        match self.btf.ty(id)? {
            Type::Struct(c) | Type::Union(c) => self.composite(id, c, depth),
            Type::Enum(e) | Type::Enum64(e) => self.enumeration(id, e),
            Type::Typedef { to, .. } => {
                self.declare(id, depth + 1)?;
                self.complete(*to, depth + 1)
            }
            Type::Volatile { to } | Type::Const { to } | Type::Restrict { to } | Type::TypeTag { to, .. } => {
                self.complete(*to, depth + 1)
            }
            Type::Array { elem, .. } => self.complete(*elem, depth + 1),
            Type::Void
            | Type::Int(_)
            | Type::Ptr { .. }
            | Type::Fwd { .. }
            | Type::Func { .. }
            | Type::FuncProto { .. }
            | Type::Var { .. }
            | Type::Datasec { .. }
            | Type::Float { .. }
            | Type::DeclTag { .. } => self.declare(id, depth + 1),
        }
    }

    fn composite(&mut self, id: TypeId, c: &'a Composite, depth: u32) -> Result<(), BtfError> {
        match self.state(id) {
            State::Complete => return Ok(()),
            State::Open => return Err(BtfError::NotInC(id)),
            State::Unknown | State::Declared => self.set(id, State::Open),
        }
        c.members.iter().try_for_each(|m| self.complete(m.ty, depth + 1))?;
        if !self.btf.string(c.name).is_empty() {
            let text = self.body(id, c, 0)?;
            self.line(format_args!("{text};\n"));
        }
        self.set(id, State::Complete);
        Ok(())
    }

    /// An enum without a name is written where it is used, once.
    fn enumeration(&mut self, id: TypeId, e: &'a Enumeration) -> Result<(), BtfError> {
        let referenced_only = self.btf.string(e.name).is_empty() && self.names.is_inner(id);
        if self.state(id) == State::Unknown && !referenced_only {
            self.set(id, State::Complete);
            let text = self.enum_body(id, e, 0)?;
            self.line(format_args!("{text};\n"));
        }
        Ok(())
    }
}

/// Which types another type uses.
fn referenced(btf: &Btf) -> Vec<bool> {
    let mut used = alloc::vec![false; btf.types().len()];
    let is_type = |ty: &&Type| !matches!(ty.kind(), Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag);
    for ty in btf.types().iter().filter(is_type) {
        ty.each_reference(|id| {
            if let Some(slot) = used.get_mut(id.index()) {
                *slot = true;
            }
        });
    }
    used
}
