//! Until the platform's table of section names is there: the few that the first examples need.

use ring3_platform::programs::{AttachType, ProgType, SectionMatch};

pub(crate) fn section(name: &str) -> Option<SectionMatch> {
    let rows = [
        ("xdp", ProgType::Xdp, Some(AttachType::Xdp)),
        ("tc", ProgType::SchedCls, None),
        ("classifier", ProgType::SchedCls, None),
        ("socket", ProgType::SocketFilter, None),
        ("tp", ProgType::Tracepoint, None),
        ("tracepoint", ProgType::Tracepoint, None),
        ("kprobe", ProgType::Kprobe, None),
    ];
    let row =
        rows.into_iter().find(|row| name.strip_prefix(row.0).is_some_and(|r| r.is_empty() || r.starts_with('/')))?;
    Some(SectionMatch { prefix: row.0, kind: row.1, attach: row.2, sleepable: false, frags: false })
}
