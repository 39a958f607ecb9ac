//! `struct xdp_md`.

use ring3_platform::{ProgType, ctx};

use super::slots::{SlotId, Slots};
use crate::packet::Packet;

/// An XDP program's context with its packet.
#[derive(Clone, Debug)]
pub struct XdpContext {
    pub(crate) slots: Slots,
    pub(crate) packet: Packet,
    data: SlotId,
    data_end: SlotId,
    data_meta: SlotId,
}

/// The interface that BPF_PROG_TEST_RUN takes packets from: the loopback interface.
const LOOPBACK: u64 = 1;

impl XdpContext {
    /// A context with an empty packet, as if received on queue 0 of interface 1. `None` if the table of XDP contexts is gone.
    pub fn new() -> Option<XdpContext> {
        let layout = ctx::layout(ProgType::Xdp)?;
        let id = |name| Slots::id(layout, name);
        let mut slots = Slots::new(layout);
        slots.set("ingress_ifindex", LOOPBACK);
        let (data, data_end, data_meta) = (id("data"), id("data_end"), id("data_meta"));
        Some(XdpContext { slots, packet: Packet::default(), data, data_end, data_meta })
    }

    /// Puts another packet in.
    pub fn load(&mut self, bytes: &[u8]) {
        self.packet.load(bytes);
        self.refresh();
    }

    /// The same, with what is too long for a page in fragments.
    pub fn load_in_fragments(&mut self, bytes: &[u8]) {
        self.packet.load_in_fragments(bytes);
        self.refresh();
    }

    /// Puts bytes in of which the first `meta` are metadata, at most [`MAX_META`](crate::MAX_META), and those behind the first `linear`, or
    /// behind a page, in fragments.
    pub fn load_with_meta(&mut self, bytes: &[u8], meta: usize, linear: usize) {
        self.packet.load_with_meta(bytes, meta, linear);
        self.refresh();
    }

    /// The packet.
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// What BPF_PROG_TEST_RUN gives back: metadata and packet.
    pub fn data_out(&self) -> Vec<u8> {
        [self.packet.meta(), self.packet.bytes()].concat()
    }

    /// The other fields.
    pub fn fields(&mut self) -> &mut Slots {
        &mut self.slots
    }

    /// Whether the slots are by the table of XDP contexts itself: then they suit every XDP program.
    #[inline]
    pub(crate) fn is_usual(&self) -> bool {
        ctx::layout(ProgType::Xdp).is_some_and(|xdp_md| std::ptr::eq(self.slots.layout(), xdp_md))
    }

    #[inline]
    pub(crate) fn refresh(&mut self) {
        self.slots.set_id(self.data, self.packet.data_addr());
        self.slots.set_id(self.data_end, self.packet.end_addr());
        self.slots.set_id(self.data_meta, self.packet.meta_addr());
    }
}
