//! Look-ups in maps of sockets and of maps, formats and buffers: what Linux 6.18 says of each program.

use std::sync::Arc;

use ring3_btf::TypeId;
use ring3_isa::assemble;
use ring3_platform::maps::{Field, FieldKind, Fields};
use ring3_platform::{MapDef, MapFlags, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// The last words of the log, or nothing if the program is accepted.
fn said(kind: ProgType, map: MapDef, text: &str) -> String {
    let code = assemble(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let program = Program { maps: vec![Arc::new(map)], ..Program::new("test", kind, code) };
    verify(Arc::new(program), Arc::new(Target::default()), LogLevel(1)).map_or_else(|r| r.message, |_| String::new())
}

const LOOKUP: &str = "*(u32 *)(r10 -8) = 0\nr1 = map[fd:0]\nr2 = r10\nr2 += -8\ncall map_lookup_elem#1\n";

fn looked_up(kind: MapType, then: &str) -> String {
    let text = format!("{LOOKUP}if r0 == 0 goto end\n{then}end: r0 = 0\nexit");
    said(ProgType::Xdp, MapDef::new("objects", kind, 4, 4, 1), &text)
}

#[test]
fn sockets() {
    let leak = "BPF_EXIT instruction in main prog would lead to reference leak";
    let text = format!("{LOOKUP}if r0 == 0 goto end\n");
    let socket = |then: &str| {
        let text = format!("{text}{then}end: r0 = 0\nexit");
        said(ProgType::SchedCls, MapDef::new("objects", MapType::Sockmap, 4, 4, 1), &text)
    };
    assert_eq!(socket("r1 = r0\ncall sk_release#86\n"), "");
    assert_eq!(socket("r6 = *(u32 *)(r0 +4)\nr1 = r0\ncall sk_release#86\n"), "");
    assert_eq!(socket("r6 = *(u32 *)(r0 +4)\n"), leak);
    assert_eq!(looked_up(MapType::Xskmap, "r1 = *(u32 *)(r0 +0)\n"), "");
    assert_eq!(looked_up(MapType::Xskmap, "r1 = *(u64 *)(r0 +0)\n"), "R0 invalid xdp_sock access off=0 size=8");
    // A socket is not null, so that nothing is wrong with what is not reached.
    assert_eq!(looked_up(MapType::Xskmap, "if r0 != 0 goto end\nr1 = *(u64 *)(r0 +0)\n"), "");
}

/// A look-up in a map of maps, and one of the constant index 0 in what that gave.
fn nested(inner: MapType, flags: MapFlags, then: &str) -> String {
    let inner = MapDef { flags, ..MapDef::new("inner", inner, 4, 8, 4) };
    let outer = MapDef { inner: Some(Box::new(inner)), ..MapDef::new("outer", MapType::ArrayOfMaps, 4, 4, 1) };
    let again = "r1 = r0\nr2 = r10\nr2 += -8\ncall map_lookup_elem#1\n";
    said(ProgType::SchedCls, outer, &format!("{LOOKUP}if r0 == 0 goto end\n{again}{then}end: r0 = 0\nexit"))
}

#[test]
fn maps() {
    let (read, null) = ("r1 = *(u64 *)(r0 +0)\n", "R0 invalid mem access 'map_value_or_null'");
    assert_eq!(nested(MapType::Array, MapFlags(0), read), "");
    // Arrays of other lengths can stand in for this template.
    assert_eq!(nested(MapType::Array, MapFlags::INNER_MAP, read), null);
    assert_eq!(nested(MapType::Hash, MapFlags(0), read), null);
    let beyond = "R0 min value is outside of the allowed memory range";
    assert_eq!(nested(MapType::Array, MapFlags(0), "r1 = *(u64 *)(r0 +8)\n"), beyond);
    assert_eq!(nested(MapType::Hash, MapFlags(0), &format!("if r0 == 0 goto end\n{read}")), "");
}

#[test]
fn formats() {
    let call = |format: &str, bytes: u32| {
        let data = [format.as_bytes(), &[0; 8]].concat();
        let (size, flags) = (u32::try_from(data.len()).unwrap_or(0), MapFlags::RDONLY_PROG);
        let map = MapDef::new("format", MapType::Array, 4, size, 1);
        let map = MapDef { flags, frozen: true, data: Some(data.into()), ..map };
        let text = format!(
            "r1 = r10\nr1 += -16\nr2 = 16\nr3 = map[fd:0][0]+0\nr4 = r10\nr4 += -64\nr5 = {bytes}\n\
             call snprintf#165\nr0 = 0\nexit"
        );
        said(ProgType::SchedCls, map, &text)
    };
    assert_eq!(call("%d %s", 16), "");
    assert_eq!(call("%d %s", 8), "Invalid format string");
    assert_eq!(call("%pa", 8), "Invalid format string");
}

#[test]
fn writable_tracepoints() {
    let access = |text: &str| {
        let map = MapDef::new("unused", MapType::Array, 4, 8, 1);
        said(ProgType::RawTracepointWritable, map, &format!("r6 = *(u64 *)(r1 +0)\n{text}r0 = 0\nexit"))
    };
    assert_eq!(access("*(u64 *)(r6 +8) = 1\nr1 = *(u32 *)(r6 +400)\n"), "");
    let negative = "R6 invalid tracepoint buffer access: off=-8, size=8";
    assert_eq!(access("r1 = *(u64 *)(r6 -8)\n"), negative);
    let variable = "call get_prandom_u32#7\nr0 &= 8\nr6 += r0\nr1 = *(u64 *)(r6 +0)\n";
    assert_eq!(access(variable), "R6 invalid variable buffer offset: off=0, var_off=(0x0; 0x8)");
}

#[test]
fn fields_of_maps_without_types() {
    let map = || MapDef::new("array", MapType::Array, 4, 8, 1);
    let access = |text: &str| said(ProgType::SchedCls, map(), &format!("r6 = map[fd:0]\n{text}r0 = 0\nexit"));
    assert_eq!(access("*(u64 *)(r6 +0) = 1\n"), "only read from bpf_array is supported");
    // What may be read is told by the kernel's types, which are not there.
    assert!(access("r1 = *(u64 *)(r6 +0)\n").contains("without the kernel's types"));
}

/// Two look-ups in a map of maps (R6, R7), then a timer in the first one's map (R8).
fn timers(then: &str) -> String {
    let field = Field { kind: FieldKind::Timer, off: 8, target: TypeId::VOID, node: 0 };
    let fields = Fields { typed: true, list: Arc::new([field]) };
    let inner = MapDef { fields, ..MapDef::new("inner", MapType::Array, 4, 32, 4) };
    let outer = MapDef { inner: Some(Box::new(inner)), ..MapDef::new("outer", MapType::ArrayOfMaps, 4, 4, 1) };
    let find = |reg| format!("{LOOKUP}if r0 == 0 goto end\nr{reg} = r0\n");
    let timer = "r1 = r6\nr2 = r10\nr2 += -8\ncall map_lookup_elem#1\nif r0 == 0 goto end\nr8 = r0\nr8 += 8\n";
    said(ProgType::SchedCls, outer, &format!("{}{}{timer}{then}end: r0 = 0\nexit", find(6), find(7)))
}

#[test]
fn a_timer_belongs_to_one_of_the_maps_that_look_alike() {
    let init = |map| format!("r1 = r8\nr2 = r{map}\nr3 = 1\ncall timer_init#169\n");
    assert_eq!(timers(&init(6)), "");
    let other = "timer pointer in R1 map_uid=1 doesn't match map pointer in R2 map_uid=2";
    assert_eq!(timers(&init(7)), other);
    assert_eq!(timers("r1 = r8\nr2 = 1\nr3 = 0\ncall timer_start#171\n"), "");
}
