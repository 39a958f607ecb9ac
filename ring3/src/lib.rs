//! The Linux BPF virtual machine outside the kernel.
