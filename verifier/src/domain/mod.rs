//! What can be known about a 64-bit number: known bits and four ranges.
//!
//! Pure numbers. Nothing here knows of registers or instructions; the precision and the deduction order are those of
//! Linux 6.18, because whether a program is accepted can depend on them.

mod num;
mod scalar;
mod span;
mod tnum;

pub use scalar::{Scalar, Violation, alu, branch_taken, endian, neg, refine, refine_same};
pub use span::Span;
pub use tnum::Tnum;
