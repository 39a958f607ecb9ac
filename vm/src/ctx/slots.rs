//! The slots of a run-time context.

use ring3_platform::{CtxLayout, ProgType, Yields};

/// One context's memory, by its table.
#[derive(Clone, Debug)]
pub struct Slots {
    layout: &'static CtxLayout,
    words: Box<[u64]>,
}

/// Names a slot: index into the words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SlotId(usize);

impl Slots {
    /// All zero.
    pub fn new(layout: &'static CtxLayout) -> Slots {
        Slots { layout, words: vec![0; layout.host_size().div_ceil(8).max(1)].into() }
    }

    /// The table.
    #[inline]
    pub fn layout(&self) -> &'static CtxLayout {
        self.layout
    }

    /// Whether this is memory by that very table. A table of the embedder with the same name might let it set addresses.
    pub(crate) fn is_of(&self, layout: &CtxLayout) -> bool {
        // `new` made as many words as the table needs.
        std::ptr::eq(self.layout, layout) || (*self.layout == *layout && self.words.len() * 8 >= layout.host_size())
    }

    /// The address for R1.
    #[inline]
    pub(crate) fn addr(&mut self) -> u64 {
        self.words.as_mut_ptr() as u64
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// The slot of a field. The tables have every name that this crate asks for; an unknown one is slot 0.
    pub(crate) fn id(layout: &CtxLayout, name: &str) -> SlotId {
        SlotId(layout.by_name(name).map_or(0, |field| layout.host_offset(field) / 8))
    }

    /// Slots of another table may have been put in the place of these: then there may be no such word.
    #[inline]
    pub(crate) fn set_id(&mut self, id: SlotId, value: u64) {
        if let Some(word) = self.words.get_mut(id.0) {
            *word = value;
        }
    }

    /// The first eight bytes of a field; `None` if there is no such field.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.layout.by_name(name).map(|field| {
            let value = self.words[self.layout.host_offset(field) / 8];
            match self.layout.fields[field].size {
                size @ 0..8 => value & ((1 << (size * 8)) - 1),
                _ => value,
            }
        })
    }

    /// Sets a number field of up to eight bytes; false if there is no such field.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let Some(field) = self.layout.by_name(name) else { return false };
        if !matches!(self.layout.fields[field].yields, Yields::Scalar) {
            return false;
        }
        self.words[self.layout.host_offset(field) / 8] = value;
        true
    }

    /// Makes a field of numbers zero.
    pub(crate) fn clear(&mut self, name: &str) {
        if let Some(field) = self.layout.by_name(name) {
            let zeroes = [0; 64];
            let size = usize::from(self.layout.fields[field].size).min(zeroes.len());
            self.write(self.layout.host_offset(field), &zeroes[..size]);
        }
    }

    /// Bytes of the UAPI struct as far as the table knows it.
    pub fn image_size(&self) -> usize {
        self.layout.fields.iter().map(|f| f.end() as usize).max().unwrap_or(0)
    }

    /// Takes the numbers of an image of the UAPI struct; addresses in it are not taken.
    pub fn load_image(&mut self, image: &[u8]) {
        for (index, field) in self.layout.fields.iter().enumerate() {
            let (from, to) = (usize::from(field.off), field.end() as usize);
            if let (Yields::Scalar, Some(bytes)) = (field.yields, image.get(from..to)) {
                self.write(self.layout.host_offset(index), bytes);
            }
        }
    }

    /// The numbers as an image of the UAPI struct; addresses in it are zero.
    pub fn image(&self) -> Vec<u8> {
        let mut image = vec![0; self.image_size()];
        for (index, field) in self.layout.fields.iter().enumerate() {
            if let Yields::Scalar = field.yields {
                let at = self.layout.host_offset(index);
                for (i, byte) in image[usize::from(field.off)..field.end() as usize].iter_mut().enumerate() {
                    *byte = self.words[(at + i) / 8].to_le_bytes()[(at + i) % 8];
                }
            }
        }
        image
    }

    /// Puts an address into every field of this type of programs that is one. False if one belongs to a packet.
    pub(super) fn stand_in(&mut self, kind: ProgType, object: u64) -> bool {
        for (index, field) in self.layout.fields.iter().enumerate().filter(|(_, field)| field.progs.has(kind)) {
            match field.yields {
                Yields::Scalar => {}
                Yields::Packet | Yields::PacketEnd | Yields::PacketMeta => return false,
                Yields::SockOrNull
                | Yields::SockCommonOrNull
                | Yields::FlowKeys
                | Yields::Sock
                | Yields::TpBuffer
                | Yields::Btf(_) => self.write(self.layout.host_offset(index), &object.to_ne_bytes()),
            }
        }
        true
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            let word = &mut self.words[(at + i) / 8];
            let mut parts = word.to_le_bytes();
            parts[(at + i) % 8] = *byte;
            *word = u64::from_le_bytes(parts);
        }
    }
}

/// Whether zero is a fit value for every field that programs of this type have: none promises an address that is not null.
pub(crate) fn only_numbers(layout: &CtxLayout, kind: ProgType) -> bool {
    layout.fields.iter().filter(|field| field.progs.has(kind)).all(|field| match field.yields {
        Yields::Scalar | Yields::SockOrNull | Yields::SockCommonOrNull => true,
        Yields::Packet
        | Yields::PacketEnd
        | Yields::PacketMeta
        | Yields::FlowKeys
        | Yields::Sock
        | Yields::TpBuffer
        | Yields::Btf(_) => false,
    })
}
