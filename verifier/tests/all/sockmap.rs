//! Maps of sockets take sockets as their values: what Linux 6.18 says of `bpf_map_update_elem` on a sockmap.

use std::sync::Arc;

use ring3_isa::assemble;
use ring3_platform::{MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// The last words of the log, or nothing if the program is accepted. R8 is what is put into the map.
fn said(kind: ProgType, value: &str) -> String {
    let text = format!(
        "r6 = r1\nr0 = 0\n{value}*(u32 *)(r10 -4) = 0\nr1 = map[fd:0]\nr2 = r10\nr2 += -4\nr3 = r8\nr4 = 0\n\
         call map_update_elem#2\nend: r0 = 1\nexit"
    );
    let code = assemble(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let map = Arc::new(MapDef::new("sockets", MapType::Sockmap, 4, 4, 1));
    let program = Program { maps: vec![map], ..Program::new("test", kind, code) };
    verify(Arc::new(program), Arc::new(Target::default()), LogLevel(1)).map_or_else(|r| r.message, |_| String::new())
}

const SOCKET: &str = "r8 = *(u64 *)(r1 +168)\nif r8 == 0 goto end\n";

#[test]
fn values_are_sockets() {
    const TYPES: &str = "expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_";
    assert_eq!(said(ProgType::SchedCls, SOCKET), "");
    assert_eq!(said(ProgType::SchedCls, "r8 = r10\nr8 += -4\n"), format!("R3 type=fp {TYPES}"));
    assert_eq!(said(ProgType::SchedCls, "r8 = 0\n"), format!("R3 type=scalar {TYPES}"));
    assert_eq!(said(ProgType::SchedCls, "r8 = *(u64 *)(r1 +168)\n"), format!("R3 type=sock_common_or_null {TYPES}"));
}

#[test]
fn not_every_program_may_put_them_there() {
    let words = "cannot pass map_type 15 into func bpf_map_update_elem#2";
    assert_eq!(said(ProgType::CgroupSkb, SOCKET), words);
    assert_eq!(said(ProgType::SocketFilter, SOCKET), "");
}
