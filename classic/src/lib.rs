//! Classic BPF: the filters of packet sockets and seccomp, as `tcpdump -d`, iptables and libseccomp make them.
//!
//! [`parse`] reads a program in any of the usual forms, [`Filter`] is one that Linux would accept, and
//! [`Filter::translate`] makes an eBPF program of it, which the verifier accepts and every engine runs. [`Filter::run`] is a
//! small interpreter of classic BPF itself, which the tests hold the translation against.
//!
//! ```
//! use ring3_classic::{Filter, Packet, parse};
//!
//! // tcpdump -d arp
//! let text = "(000) ldh [12]\n(001) jeq #0x806 jt 2 jf 3\n(002) ret #262144\n(003) ret #0";
//! let filter = Filter::socket(parse(text)?)?;
//! let mut frame = [0u8; 60];
//! assert_eq!(filter.run(&Packet::ethernet(&frame))?, 0);
//! frame[12..14].copy_from_slice(&[0x08, 0x06]);
//! assert_eq!(filter.run(&Packet::ethernet(&frame))?, 262144);
//! # Ok::<(), ring3_classic::ClassicError>(())
//! ```
//!
//! Sources: McCanne and Jacobson, "The BSD Packet Filter"; Linux's `Documentation/networking/filter.rst`, bpf(4) of FreeBSD,
//! seccomp(2), and what Linux 6.18 and libpcap 1.10 were seen to do.
#![forbid(unsafe_code)]

mod check;
mod error;
mod insn;
mod print;
mod run;
mod seccomp;
mod syscalls;
mod text;
mod translate;

pub use check::{Filter, Place};
pub use error::{ClassicError, Fault, Refusal};
pub use insn::{AD_OFF, Extension, Insn, LL_OFF, MAX_INSNS, MEM_CELLS, NET_OFF, Op, Source};
pub use print::{Listing, comma, ddd};
pub use run::{Fields, Packet};
pub use seccomp::{Action, SeccompData};
pub use syscalls::Arch;
pub use text::{from_bytes, parse, parse_any, to_bytes};
pub use translate::Style;
