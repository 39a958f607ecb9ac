//! Code while it is written: bytes, the places that jumps lead to, and the jumps themselves.
//!
//! It stands in for dynasm's own assembler, of which it has the interface: that one keeps labels in hash tables, takes bytes one by
//! one, and has no word of eight bytes of which some count. Compiling takes a few nanoseconds for an instruction, so all three show.

use dynasmrt::components::PatchLoc;
use dynasmrt::relocations::Relocation;
use dynasmrt::{AssemblyOffset, DynamicLabel, DynasmApi, DynasmLabelApi};

use crate::JitError;
use crate::words::Word;

/// No code stands there yet.
const NOWHERE: u32 = u32::MAX;

/// Bytes that an operation becomes, for room that is made beforehand. It is no limit.
const BYTES_PER_OP: usize = 6;

/// Bytes around the operations: frames, the trampoline.
const BYTES_AROUND: usize = 1 << 11;

/// A place in the code that jumps can name before it is there. Those of operations have their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    number: u32,
    /// It is further down, but not far: see [`Label::nearby`].
    near: bool,
}

impl Label {
    /// The place of an operation.
    pub(crate) const fn of_op(op: u32) -> Label {
        Label { number: op, near: false }
    }

    /// The same if it is known to be so few bytes further down that a jump of the shortest form reaches it.
    pub(crate) const fn nearby(self, near: bool) -> Label {
        Label { near, ..self }
    }

    /// Whether it is.
    pub(crate) const fn is_near(self) -> bool {
        self.near
    }
}

/// A jump whose distance is not written yet.
#[derive(Clone, Copy, Debug)]
struct Jump {
    /// Where its instruction or the field of its distance starts, as the machine wants it.
    at: u32,
    /// Number of its label.
    to: u32,
}

/// Bytes, labels and jumps.
pub(crate) struct Code<R: Relocation> {
    bytes: Vec<u8>,
    /// Where labels are, those of operations first.
    places: Vec<u32>,
    /// How many operations there are.
    ops: usize,
    jumps: Vec<Jump>,
    /// Those whose distance is one byte, from behind it.
    short: Vec<Jump>,
    /// References to a local label (`>name`) that stands further down, if it does.
    ahead: Vec<(&'static str, PatchLoc<R>)>,
    /// Local labels, each where it was last.
    behind: Vec<(&'static str, AssemblyOffset)>,
    /// A reference that cannot be.
    failed: bool,
}

impl<R: Relocation> Code<R> {
    pub(crate) fn new() -> Code<R> {
        let (ahead, behind) = (Vec::new(), Vec::new());
        Code {
            bytes: Vec::new(),
            places: Vec::new(),
            ops: 0,
            jumps: Vec::new(),
            short: Vec::new(),
            ahead,
            behind,
            failed: false,
        }
    }

    /// Makes room for so many operations, whose labels come first. Before anything else.
    pub(crate) fn start(&mut self, ops: usize) {
        self.bytes.reserve(ops * BYTES_PER_OP + BYTES_AROUND);
        self.places.resize(ops, NOWHERE);
        self.ops = ops;
    }

    /// A label that is nowhere yet. Only after `start`.
    pub(crate) fn label(&mut self) -> Label {
        self.places.push(NOWHERE);
        Label::of_op(self.places.len() as u32 - 1)
    }

    /// Puts the label here.
    #[inline(always)]
    pub(crate) fn place(&mut self, label: Label) {
        if let Some(place) = self.places.get_mut(label.number as usize) {
            *place = self.bytes.len() as u32;
        }
    }

    /// Where the label is; `None` if it is further down.
    #[inline(always)]
    pub(crate) fn placed(&self, label: Label) -> Option<u32> {
        self.places.get(label.number as usize).copied().filter(|place| *place != NOWHERE)
    }

    /// Notes that the distance of what starts so many bytes before the end is that to the label.
    #[inline(always)]
    pub(crate) fn jumps_to(&mut self, back: usize, to: Label) {
        self.jumps.push(Jump { at: (self.bytes.len() - back) as u32, to: to.number });
    }

    /// Notes that the last byte is the distance to the label.
    #[inline(always)]
    pub(crate) fn jumps_near(&mut self, to: Label) {
        self.short.push(Jump { at: self.bytes.len() as u32 - 1, to: to.number });
    }

    /// Code that was put together before.
    #[inline(always)]
    pub(crate) fn put_word(&mut self, word: Word) {
        self.put(word.code, word.len.into());
    }

    /// The same of operations in a row, of which this is the first, up to the first word that is none. Gives how many.
    pub(crate) fn put_words(&mut self, first: u32, words: &[Word]) -> usize {
        let first = first as usize;
        let Some(places) = self.places.get_mut(first..first + words.len()) else { return 0 };
        self.bytes.reserve(8 * words.len());
        let (start, mut end, mut put) = (self.bytes.as_mut_ptr(), self.bytes.len(), 0);
        for (word, place) in words.iter().zip(places).take_while(|(word, _)| word.len != 0) {
            *place = end as u32;
            // SAFETY: there is room for eight bytes for each word, of which those before took no more.
            unsafe { start.add(end).cast::<[u8; 8]>().write(word.code.to_le_bytes()) };
            end += usize::from(word.len.min(8));
            put += 1;
        }
        // SAFETY: all bytes up to there were written.
        unsafe { self.bytes.set_len(end) };
        put
    }

    /// The first bytes of a word, the lowest first: at most eight.
    #[inline(always)]
    pub(crate) fn put(&mut self, word: u64, len: usize) {
        let start = self.bytes.len();
        let spare = self.bytes.spare_capacity_mut();
        if spare.len() < 8 {
            return self.put_last(word, len);
        }
        // SAFETY: there is room for eight bytes behind what was there, all of which are written.
        unsafe {
            spare.as_mut_ptr().cast::<[u8; 8]>().write(word.to_le_bytes());
            self.bytes.set_len(start + len.min(8));
        }
    }

    /// Where there is no room for a whole word.
    #[cold]
    #[inline(never)]
    fn put_last(&mut self, word: u64, len: usize) {
        self.bytes.extend_from_slice(&word.to_le_bytes()[..len.min(8)]);
    }

    /// The code, and where each operation starts. `patch` writes the distance from the place of a jump to that of its label into the
    /// bytes from the jump on; false if it cannot hold that.
    pub(crate) fn finish(mut self, patch: impl Fn(&mut [u8; 4], i64) -> bool) -> Result<(Vec<u8>, Vec<u32>), JitError> {
        let lost = |what: &str| JitError::Assembler(what.to_owned());
        if self.failed || !self.ahead.is_empty() {
            return Err(lost("a reference to a label that is not there"));
        }
        for Jump { at, to } in &self.jumps {
            let place = self.places.get(*to as usize).copied().filter(|place| *place != NOWHERE);
            let place = place.ok_or_else(|| lost("a jump to a label that is nowhere"))?;
            let field = self.bytes.get_mut(*at as usize..).and_then(|rest| rest.first_chunk_mut());
            let done = field.is_some_and(|field| patch(field, i64::from(place) - i64::from(*at)));
            if !done {
                return Err(lost("a jump does not reach its label"));
            }
        }
        for Jump { at, to } in &self.short {
            let place = self.places.get(*to as usize).filter(|place| **place != NOWHERE);
            let distance = place.and_then(|place| i8::try_from(i64::from(*place) - i64::from(*at) - 1).ok());
            match (self.bytes.get_mut(*at as usize), distance) {
                (Some(field), Some(distance)) => *field = distance as u8,
                _ => return Err(lost("a short jump does not reach its label")),
            }
        }
        self.places.truncate(self.ops);
        Ok((self.bytes, self.places))
    }
}

impl<R: Relocation> Extend<u8> for Code<R> {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, iter: T) {
        self.bytes.extend(iter);
    }
}

impl<'a, R: Relocation> Extend<&'a u8> for Code<R> {
    fn extend<T: IntoIterator<Item = &'a u8>>(&mut self, iter: T) {
        self.bytes.extend(iter);
    }
}

impl<R: Relocation> DynasmApi for Code<R> {
    #[inline(always)]
    fn offset(&self) -> AssemblyOffset {
        AssemblyOffset(self.bytes.len())
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn align(&mut self, alignment: usize, with: u8) {
        let len = self.bytes.len().next_multiple_of(alignment.max(1));
        self.bytes.resize(len, with);
    }

    #[inline(always)]
    fn push_i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    #[inline(always)]
    fn push_i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    #[inline(always)]
    fn push_u32(&mut self, value: u32) {
        self.put(value.into(), 4);
    }

    #[inline(always)]
    fn push_i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// Local labels alone: all others are `Label`s.
impl<R: Relocation> DynasmLabelApi for Code<R> {
    type Relocation = R;

    fn local_label(&mut self, name: &'static str) {
        let here = self.offset();
        let Code { bytes, ahead, failed, .. } = self;
        ahead.retain(|(wanted, place)| {
            let meant = *wanted == name;
            if meant {
                *failed |= bytes.get_mut(place.range(0)).is_none_or(|field| place.patch(field, 0, here.0).is_err());
            }
            !meant
        });
        match self.behind.iter_mut().find(|(known, _)| *known == name) {
            Some((_, place)) => *place = here,
            None => self.behind.push((name, here)),
        }
    }

    fn global_label(&mut self, _name: &'static str) {
        self.failed = true;
    }

    fn dynamic_label(&mut self, _id: DynamicLabel) {
        self.failed = true;
    }

    fn forward_relocation(&mut self, name: &'static str, target: isize, field: u8, from: u8, kind: R) {
        let place = PatchLoc::new(self.offset(), target, field, from, kind);
        self.ahead.push((name, place));
    }

    fn backward_relocation(&mut self, name: &'static str, target: isize, field: u8, from: u8, kind: R) {
        let place = PatchLoc::new(self.offset(), target, field, from, kind);
        let found = self.behind.iter().find(|(known, _)| *known == name).map(|(_, at)| at.0);
        let patched = found.zip(self.bytes.get_mut(place.range(0)));
        self.failed |= patched.is_none_or(|(at, bytes)| place.patch(bytes, 0, at).is_err());
    }

    fn global_relocation(&mut self, _name: &'static str, _target: isize, _field: u8, _from: u8, _kind: R) {
        self.failed = true;
    }

    fn dynamic_relocation(&mut self, _id: DynamicLabel, _target: isize, _field: u8, _from: u8, _kind: R) {
        self.failed = true;
    }

    fn value_relocation(&mut self, _target: usize, _field: u8, _from: u8, _kind: R) {
        self.failed = true;
    }
}
