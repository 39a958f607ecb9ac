//! JIT compilers for verified BPF programs.
