//! A legacy packet load that fails ends the function that it is in, and its caller goes on. What a caller relies on behind that is
//! relied on before the call, too. Linux 6.18.44 gives these programs up (`verifier bug`): see `may_crash_linux`.

use std::sync::Arc;

use ring3_fuzz::parity::{may_crash_linux, parse, program};
use ring3_platform::{ProgType, Target};
use ring3_verifier::{LogLevel, verify};

/// Writes a byte at `-8 + NUMBER` of the stack, where a number is 0 on the way that is walked first, after a call of a function that loads
/// from the packet.
const TEXT: &str = "r6 = r1; call get_prandom_u32#7; r7 = NUMBER; if r0 == 0 goto +1; r7 = 0; r1 = r6; call pc+6; \
                    r1 = r10; r1 += -8; r1 += r7; *(u8 *)(r1 +0) = 0; r0 = 0; exit; \
                    r6 = r1; r0 = *(u8 *)skb[0]; r0 = 0; exit";

fn said(number: u32) -> String {
    let code = parse(TEXT.replace("NUMBER", &number.to_string()).split("; ")).unwrap();
    assert!(may_crash_linux(&code));
    let program = program(ProgType::SocketFilter, code, &[]);
    verify(Arc::new(program), Arc::new(Target::default()), LogLevel(1)).map_or_else(|no| no.message, |_| String::new())
}

#[test]
fn what_is_relied_on_behind_a_hidden_exit_is_marked_before_the_call() {
    assert_eq!(said(7), "");
    assert_eq!(said(600), "invalid write to stack R1 off=592 size=1");
}

#[test]
fn only_loads_and_tail_calls_in_functions_are_kept_from_linux() {
    let kept = |text: &str| may_crash_linux(&parse(text.split("; ")).unwrap());
    assert!(!kept("r6 = r1; r0 = *(u8 *)skb[0]; call pc+1; exit; r0 = 0; exit"));
    assert!(kept("r6 = r1; call pc+1; exit; r0 = *(u8 *)skb[0]; exit"));
    assert!(kept("call pc+1; exit; call tail_call#12; r0 = 0; exit"));
}
