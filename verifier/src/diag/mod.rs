//! What a person reads: rejections and the kernel-style log. Write-only for the rest of the crate.

pub mod codes;
pub mod log;
pub mod people;
pub mod reject;
pub mod render;
