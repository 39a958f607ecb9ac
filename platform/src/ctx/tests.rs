use super::*;

fn all_layouts() -> Vec<&'static CtxLayout> {
    let mut all: Vec<_> = ProgType::ALL.iter().filter_map(|&kind| layout(kind)).collect();
    all.extend([sock_common(), socket(), tcp_sock(), xdp_sock(), flow_keys()]);
    all
}

fn legal(kind: ProgType, attach: Option<AttachType>, off: i64, size: u32, write: bool) -> Option<&'static CtxField> {
    let layout = layout(kind)?;
    layout.field_index(kind, attach, off, size, write).map(|i| &layout.fields[i])
}

#[test]
fn rows_are_sorted_and_slots_hold_their_fields_without_overlap() {
    for layout in all_layouts() {
        assert!(layout.fields.is_sorted_by_key(|f| f.off), "{}", layout.name);
        for (i, a) in layout.fields.iter().enumerate() {
            assert!(layout.host_offset(i) + usize::from(a.size) <= layout.host_size(), "{}.{}", layout.name, a.name);
            for (j, b) in layout.fields.iter().enumerate().skip(i + 1) {
                if a.off == b.off {
                    assert_eq!(layout.host_offset(i), layout.host_offset(j), "{}.{}", layout.name, b.name);
                } else if !layout.identity {
                    assert!(u32::from(b.off) >= a.end(), "{}.{} overlaps {}", layout.name, a.name, b.name);
                    assert!(layout.host_offset(j) >= layout.host_offset(i) + usize::from(a.size));
                    assert_eq!(layout.host_offset(j) % SLOT, 0);
                }
            }
        }
    }
}

#[test]
fn xdp_packet_pointers_are_whole_reads_in_slots_of_their_own() {
    let md = layout(ProgType::Xdp).unwrap();
    let data = md.field_index(ProgType::Xdp, None, 0, 4, false).unwrap();
    assert_eq!((md.fields[data].yields, md.host_offset(data)), (Yields::Packet, 0));
    let end = md.field_index(ProgType::Xdp, None, 4, 4, false).unwrap();
    assert_eq!((md.fields[end].yields, md.host_offset(end)), (Yields::PacketEnd, 8));
    for (off, size, write) in
        [(0, 8, false), (0, 2, false), (2, 2, false), (1, 4, false), (0, 4, true), (24, 4, false), (-4, 4, false)]
    {
        assert_eq!(md.field_index(ProgType::Xdp, None, off, size, write), None, "{off} {size} {write}");
    }
    assert_eq!(md.field_index(ProgType::Xdp, None, 20, 4, false), None);
    assert_eq!(md.field_index(ProgType::Xdp, Some(AttachType::XdpDevmap), 20, 4, false), Some(5));
    assert_eq!(md.host_size(), 48);
}

#[test]
fn mark_is_written_by_tc_and_not_by_filters() {
    assert!(legal(ProgType::SchedCls, None, 8, 4, true).is_some());
    assert!(legal(ProgType::SchedCls, None, 8, 2, true).is_none());
    assert!(legal(ProgType::SchedCls, None, 10, 2, false).is_some());
    assert!(legal(ProgType::SocketFilter, None, 8, 4, true).is_none());
    assert!(legal(ProgType::SocketFilter, None, 9, 1, false).is_some());
    assert!(legal(ProgType::SocketFilter, None, 76, 4, false).is_none());
}

#[test]
fn control_block_takes_8_bytes_at_two_places() {
    let at = |off, size| legal(ProgType::SchedCls, None, off, size, true).is_some();
    assert_eq!([at(48, 8), at(52, 8), at(56, 8), at(60, 8)], [true, false, true, false]);
    assert_eq!([at(64, 4), at(66, 2), at(67, 1), at(65, 2), at(64, 8)], [true, true, true, false, false]);
    assert!(legal(ProgType::SkSkb, None, 48, 8, true).is_none());
    assert_eq!(legal(ProgType::SkSkb, None, 56, 8, false).map(|f| f.name), Some("cb"));
}

#[test]
fn ports_of_two_bytes() {
    let sock = |off, size| socket().field_index(ProgType::Xdp, None, off, size, false).is_some();
    assert_eq!([sock(48, 1), sock(49, 1), sock(48, 2), sock(48, 4)], [true; 4]);
    assert_eq!([sock(50, 1), sock(50, 2), sock(51, 1)], [false; 3]);
    let lookup = |off, size| legal(ProgType::SkLookup, None, off, size, false).is_some();
    assert_eq!([lookup(36, 4), lookup(36, 2), lookup(38, 2), lookup(39, 1), lookup(36, 1)], [true; 5]);
}

#[test]
fn low_order_reads_only() {
    let post = Some(AttachType::CgroupInet4PostBind);
    let at = |off, size| legal(ProgType::CgroupSock, post, off, size, false).is_some();
    assert_eq!([at(44, 4), at(44, 2), at(44, 1), at(45, 1), at(46, 2)], [true, true, true, false, false]);
    assert!(legal(ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate), 44, 4, false).is_none());
    assert!(legal(ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate), 16, 4, true).is_some());
}

#[test]
fn socket_addresses_by_family() {
    let v6 = Some(AttachType::CgroupUdp6Sendmsg);
    let at = |off, size, write| legal(ProgType::CgroupSockAddr, v6, off, size, write).is_some();
    assert!(at(8, 8, true) && at(16, 8, false) && at(48, 8, true) && at(12, 4, true) && at(13, 1, false));
    assert!(!at(12, 8, false) && !at(44, 8, false) && !at(56, 8, false) && !at(4, 4, false) && !at(8, 2, true));
    assert_eq!(legal(ProgType::SockOps, None, 4, 4, true).map(|f| f.name), Some("reply"));
    assert!(legal(ProgType::SockOps, None, 8, 4, true).is_none());
    assert!(legal(ProgType::SockOps, None, 16, 4, false).is_some());
}

#[test]
fn images_are_not_rewritten() {
    let at = |kind, off, size| legal(kind, None, off, size, false).is_some();
    assert!(at(ProgType::Kprobe, 160, 8) && !at(ProgType::Kprobe, 164, 8) && !at(ProgType::Kprobe, 168, 1));
    assert!(!at(ProgType::Tracepoint, 0, 8) && at(ProgType::Tracepoint, 8, 8) && !at(ProgType::Tracepoint, 8192, 1));
    assert!(at(ProgType::Tracepoint, 10, 2) && !at(ProgType::Tracepoint, 9, 2));
    assert!(!at(ProgType::PerfEvent, 0, 4) && at(ProgType::PerfEvent, 160, 8) && at(ProgType::PerfEvent, 172, 4));
    assert!(at(ProgType::RawTracepointWritable, 8, 4) && !at(ProgType::RawTracepointWritable, 0, 4));
    assert_eq!(legal(ProgType::RawTracepointWritable, None, 0, 8, false).map(|f| f.yields), Some(Yields::TpBuffer));
    assert_eq!(layout(ProgType::Kprobe).unwrap().host_size(), 168);
    let perf = layout(ProgType::PerfEvent).unwrap();
    assert_eq!(perf.host_offset(2), 176);
}
