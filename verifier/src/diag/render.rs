//! Values and states as the kernel's log writes them.

use std::fmt::Write;

use ring3_btf::TypeId;
use ring3_platform::{Program, Target};

use crate::cfg::kfuncs::Kfuncs;
use crate::cfg::maps;
use crate::domain::Scalar;
use crate::state::{
    BtfPtr, Delta, Dynptr, Iter, Kept, Marks, Ptr, PtrKind, ScalarValue, Slot, State, Trust, Value, type_name,
};

/// Whose names appear in states.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Has maps, and types of its own.
    pub program: &'a Program,
    /// Has the kernel's types.
    pub target: &'a Target,
    /// Has the types of iterators.
    pub kfuncs: &'a Kfuncs,
}

impl Names<'_> {
    /// The name of the structure that a pointer leads to.
    pub fn structure(self, to: BtfPtr) -> String {
        let own = self.program.info.as_ref().map(|info| &info.btf);
        let btf = if to.is_kernel() { self.target.btf.as_ref() } else { own };
        btf.map_or_else(String::new, |btf| btf.name(TypeId(to.id)).to_owned())
    }
}

/// A value: `5`, `scalar(id=1,umin=101)`, `map_value(map=hsh,ks=4,vs=8)`.
fn value(out: &mut String, names: Names<'_>, frame: usize, value: &Value, precise: bool) {
    match value {
        Value::Uninit => out.push('?'),
        Value::Scalar(s) => scalar(out, s, precise),
        Value::Ptr(p) => pointer(out, names, frame, value, p),
    }
}

fn scalar(out: &mut String, value: &ScalarValue, precise: bool) {
    if precise {
        out.push('P');
    }
    if let Some(constant) = value.num.const_value() {
        let _ = Scalar::fmt_const(constant, out);
        return;
    }
    out.push_str("scalar(");
    let mut first = true;
    if let Some(link) = value.link {
        let _ = write!(out, "id={}", link.id);
        match link.delta {
            Delta::Same => {}
            Delta::Add64(off) | Delta::Add32(off) => {
                let _ = write!(out, "{off:+}");
            }
        }
        first = false;
    }
    let _ = value.num.write_attrs(out, &mut first);
    out.push(')');
}

/// Writes `name=value` attributes with commas between.
struct Attrs<'a> {
    out: &'a mut String,
    first: bool,
}

impl Attrs<'_> {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(',');
        }
        let _ = self.out.write_fmt(text);
    }
}

fn pointer(out: &mut String, names: Names<'_>, frame: usize, whole: &Value, ptr: &Ptr) {
    out.push_str(&type_name(whole));
    if ptr.kind == PtrKind::Arena {
        return;
    }
    if let PtrKind::Btf(to) = ptr.kind {
        out.push_str(&names.structure(to));
    }
    if let PtrKind::Stack(owner) = ptr.kind {
        if owner as usize != frame {
            let _ = write!(out, "[{owner}]");
        }
        if let Some(off) = ptr.const_off() {
            let _ = Scalar::fmt_const(ring3_isa::num::u64(off), out);
            return;
        }
    }
    out.push('(');
    let mut attrs = Attrs { out, first: true };
    if ptr.id != 0 {
        attrs.add(format_args!("id={}", ptr.id));
    }
    if ptr.ref_id != 0 {
        attrs.add(format_args!("ref_obj_id={}", ptr.ref_id));
    }
    if let PtrKind::Btf(BtfPtr { trust, .. }) = ptr.kind
        && trust.has(Trust::NON_OWNING)
    {
        attrs.add(format_args!("non_own_ref"));
    }
    if let PtrKind::ConstMap(map) | PtrKind::MapValue(map) | PtrKind::MapKey(map) = ptr.kind {
        let def = maps::map(names.program, map);
        if !def.name.is_empty() && !maps::is_inner(names.program, map) {
            attrs.add(format_args!("map={}", kernel_name(&def.name)));
        }
        attrs.add(format_args!("ks={},vs={}", def.key_size, def.value_size));
    }
    if ptr.off != 0 {
        let mut text = String::new();
        let _ = Scalar::fmt_const(ring3_isa::num::u64(ptr.off.into()), &mut text);
        attrs.add(format_args!("off={text}"));
    }
    if let PtrKind::Packet { range } | PtrKind::PacketMeta { range } = ptr.kind {
        if range < 0 {
            attrs.add(format_args!("r={:#x}", ring3_isa::num::u64(range.into())));
        } else {
            attrs.add(format_args!("r={range}"));
        }
    }
    match ptr.kind {
        PtrKind::Mem { size, .. } => attrs.add(format_args!("sz={size}")),
        PtrKind::AnyMem => attrs.add(format_args!("sz=0")),
        _ => {}
    }
    if let PtrKind::Dynptr(kind) = ptr.kind {
        attrs.add(format_args!("type={}", kind.name()));
    }
    let mut first = attrs.first;
    let _ = ptr.var.write_attrs(out, &mut first);
    out.push(')');
}

/// The part of a map's name that reaches the kernel (BPF_OBJ_NAME_LEN is 16 with its end mark).
pub fn kernel_name(name: &str) -> &str {
    let mut end = name.len().min(15);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// A stack slot: the letters of its bytes, and what is spilled there.
fn slot(out: &mut String, names: Names<'_>, (frame, index): (usize, usize), slot: &Slot, precise: bool) {
    if let Some(iter) = slot.iter() {
        return iterator(out, names, index, iter);
    }
    if let Some(half) = slot.dynptr() {
        return dynptr(out, index, half);
    }
    let _ = write!(out, " fp-{}=", (index + 1) * 8);
    for byte in slot.bytes.iter().filter(|b| !slot.is_spill() || **b != crate::state::Byte::Spill) {
        out.push(byte.letter());
    }
    if slot.is_spill() {
        value(out, names, frame, &slot.spill, precise);
    }
}

/// An iterator stands in the log once, at its lowest slot.
fn iterator(out: &mut String, names: Names<'_>, index: usize, iter: &Iter) {
    if iter.ref_id == 0 {
        return;
    }
    let name = names.kfuncs.iters.get(usize::from(iter.kind)).map_or("", |kind| &kind.name);
    let state = if iter.drained { "drained" } else { "active" };
    let (at, id, depth) = ((index + 1) * 8, iter.ref_id, iter.depth);
    let _ = write!(out, " fp-{at}=iter_{name}(ref_id={id},state={state},depth={depth})");
}

/// A dynptr stands in the log once, at its lower address. Its `dynptr_id` is 1, as Linux has a flag in that place.
fn dynptr(out: &mut String, index: usize, half: &Dynptr) {
    if !half.first {
        return;
    }
    let _ = write!(out, " fp-{}=dynptr_{}(id={}", (index + 1) * 8, half.kind.name(), half.id);
    if half.ref_id != 0 {
        let _ = write!(out, ",ref_id={}", half.ref_id);
    }
    out.push_str(",dynptr_id=1)");
}

/// Which parts of a frame to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scratched {
    /// Registers, a bit each.
    pub regs: u16,
    /// Stack slots, a bit each.
    pub slots: u64,
}

impl Scratched {
    /// Everything.
    pub const ALL: Scratched = Scratched { regs: u16::MAX, slots: u64::MAX };
    /// Nothing.
    pub const NONE: Scratched = Scratched { regs: 0, slots: 0 };
}

/// The state of one frame, as ` frame1: R0=5 fp-8=0 refs=2`.
pub fn frame(names: Names<'_>, state: &State, index: usize, which: Scratched) -> String {
    marked(names, state, index, which, &Marks::NEW)
}

/// A frame of a stored state, as it counts.
pub fn kept(names: Names<'_>, kept: &Kept, index: usize) -> String {
    marked(names, &kept.state, index, Scratched::ALL, &kept.marks[index])
}

fn marked(names: Names<'_>, state: &State, index: usize, which: Scratched, marks: &Marks) -> String {
    let mut out = String::new();
    let frame = &state.frames[index];
    if index > 0 {
        let _ = write!(out, " frame{index}:");
    }
    for (i, reg) in frame.regs.iter().enumerate() {
        if which.regs >> i & 1 == 0 || *reg == Value::Uninit {
            continue;
        }
        let _ = write!(out, " R{i}=");
        value(&mut out, names, index, reg, marks.precise.has_reg(i));
    }
    for i in 0..frame.stack.len() {
        let s = marks.slot(frame, i);
        if which.slots >> i & 1 != 0 && !s.is_invalid() {
            slot(&mut out, names, (index, i), s, marks.precise.has_slot(i));
        }
    }
    // As in Linux: the lock of a global value has no id, and hides what follows if it is the first.
    if state.refs.first().is_some_and(|first| first.id != 0) {
        let ids: Vec<String> = state.refs.iter().filter(|r| r.id != 0).map(|r| r.id.to_string()).collect();
        let _ = write!(out, " refs={}", ids.join(","));
    }
    if let Some(callback) = frame.callback {
        out.push_str(if callback.sync { " cb" } else { " async_cb" });
    }
    out
}
