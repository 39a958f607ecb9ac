//! The Linux BPF verifier outside the kernel.

#![forbid(unsafe_code)]
