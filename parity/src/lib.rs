//! ring3 beside the kernel: what both say of a program, what both make of an input, and what differs.
//!
//! For `ring3 parity`, for `cargo xtask parity` over large corpora, and for the random programs of `fuzz/`:
//!
//! - [`judge`]: one program, judged here and by a [`Referee`], which is the running kernel ([`Kernel`]), recorded verdicts, or
//!   anything else that gives an [`Answer`]. The kernel gets exactly the [`Program`](ring3_platform::Program) that is judged
//!   here. The result is a [`Pair`], whose [`Class`] says how the two agree.
//! - [`judge_object`]: all programs of an object, a [`Row`] each; those that cannot be linked have a row, too.
//! - [`Report`]: rows, their [`Totals`], [`Ratios`] of effort, [what is not judged yet](Report::unjudged) and by how many
//!   programs; [`json`] is the form for scripts.
//! - [`run`]: one program and its inputs on the kernel, the interpreters and the JIT.
//! - [`Verdict`] and [`Difference`]: two verdicts in detail, down to the counts.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ring3_parity::{Bounds, Kernel, Report, judge_object};
//! let object = ring3_object::Object::parse("lb.bpf.o", &std::fs::read("lb.bpf.o")?)?;
//! let mut kernel = Kernel::open()?;
//! let target = kernel.target();
//! let rows = judge_object(&object, &target, &mut kernel, &Bounds::default(), |_| true);
//! let report = Report { rows };
//! assert_eq!(report.totals().false_accept, 0);
//! println!("{}", ring3_parity::json(&report));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod judge;
mod kernel;
mod pair;
mod report;
pub mod run;
mod verdict;

pub use judge::{Bounds, Guess, judge, judge_object, judge_object_with, ours, ours_logged};
pub use kernel::{Kernel, Nobody, Referee};
pub use pair::{Answer, Class, Ours, Pair, Row};
pub use report::{Ratio, Ratios, Report, Totals, json};
pub use verdict::{Difference, Verdict};
