//! Contexts that are the very image of kernel memory: registers, tracepoint records, arguments.

use super::Widths::{Any, No, Whole};
use super::{CtxField, CtxLayout, W1248, Widths, Yields};
use crate::ProgSet;
use crate::ProgType;

type Access = (Widths, Widths);

const READ: Access = (Any(W1248), No);

/// Bytes of x86-64's `struct pt_regs`.
pub const PT_REGS_SIZE: u16 = 168;
/// Largest tracepoint record (PERF_MAX_TRACE_SIZE).
pub const TRACEPOINT_SIZE: u16 = 8192;
/// Bytes at the start of a tracepoint record that programs may not read.
pub const TRACEPOINT_HIDDEN: u16 = 8;
/// Arguments of a raw tracepoint (MAX_BPF_FUNC_ARGS).
pub const RAW_TRACEPOINT_ARGS: u16 = 12;

const fn f(name: &'static str, off: u16, size: u16, access: Access, kind: ProgType) -> CtxField {
    CtxField::new(name, off, size, access, ProgSet::of(&[kind]))
}

pub(super) static PT_REGS: CtxLayout =
    CtxLayout { name: "pt_regs", identity: true, fields: &[f("regs", 0, PT_REGS_SIZE, READ, ProgType::Kprobe)] };

pub(super) static TRACEPOINT: CtxLayout = CtxLayout {
    name: "trace_entry",
    identity: true,
    fields: &[f("record", TRACEPOINT_HIDDEN, TRACEPOINT_SIZE - TRACEPOINT_HIDDEN, READ, ProgType::Tracepoint)],
};

pub(super) static PERF_EVENT: CtxLayout = CtxLayout {
    name: "bpf_perf_event_data",
    identity: true,
    fields: &[
        f("regs", 0, PT_REGS_SIZE, (Any(8), No), ProgType::PerfEvent),
        f("sample_period", PT_REGS_SIZE, 8, READ, ProgType::PerfEvent),
        f("addr", PT_REGS_SIZE + 8, 8, READ, ProgType::PerfEvent),
    ],
};

pub(super) static RAW_TRACEPOINT: CtxLayout = CtxLayout {
    name: "bpf_raw_tracepoint_args",
    identity: true,
    fields: &[
        f("args", 0, 8 * RAW_TRACEPOINT_ARGS, READ, ProgType::RawTracepoint),
        CtxField::ptr("args", 0, 8, Yields::TpBuffer, ProgSet::of(&[ProgType::RawTracepointWritable])),
        f("args", 8, 8 * (RAW_TRACEPOINT_ARGS - 1), READ, ProgType::RawTracepointWritable),
    ],
};

pub(super) static LIRC: CtxLayout =
    CtxLayout { name: "u32", identity: true, fields: &[f("sample", 0, 4, (Whole, No), ProgType::LircMode2)] };

/// Any struct of the caller: how much of it there is, is known when the program runs.
pub(super) static SYSCALL: CtxLayout = CtxLayout {
    name: "syscall",
    identity: true,
    fields: &[f("args", 0, u16::MAX, (Any(W1248), Any(W1248)), ProgType::Syscall)],
};
