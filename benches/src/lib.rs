//! What is measured: programs with the packets that they run on, on the engines of ring3 and on `rbpf` and `solana-sbpf`.
//!
//! - `cargo run --release -p ring3-benches --bin ns`: what an executed instruction costs on each engine, for the programs compiled
//!   from `bpf/` (`workload::compiled`), which run for thousands of instructions each. Half a minute.
//! - `cargo bench -p ring3-benches`: the same with criterion, and verification, compilation and short runs (`benches/engines.rs`).
//! - `cargo run --release -p ring3-benches --bin compile`: what compilers take for an instruction, by size of the program, and
//!   what the call of a compiled program costs.
//! - `cargo run -p ring3-benches --bin mix`: which instructions these programs execute, and in which order.
//!
//! All engines are measured in one process and in turns. No number is asserted anywhere; results are, against what the same
//! computation gives in Rust (`expect`), on each engine and in the running kernel where it can be reached.
//!
//! # How instructions are counted
//!
//! `count` executes a program one instruction at a time. What counts is an instruction of the program as it was verified: one that
//! takes two slots counts once, and it does not matter what an engine makes of it, leaves out or joins. Time is that of the
//! thread, with all that every run does: ring3's check of the context, the machine that `solana-sbpf` sets up, `rbpf`'s stack.
//!
//! # What is comparable
//!
//! Peers get the same instructions, with two differences. A context of theirs holds 64-bit addresses, so the two loads of
//! `data` and `data_end` are 64 bits wide, which is what ring3's lowering makes of them too. They have no maps, so the address that
//! ring3 puts in for a map is that of a map of ring3 as well, and `bpf_map_lookup_elem` and `bpf_map_update_elem` are functions around
//! the same look-up. Random numbers are the same for all, from a generator with a state. Programs with atomic operations, or with helpers other than these, are
//! measured on ring3 alone.
//!
//! `rbpf`'s interpreter checks each access; it is allowed all memory, so that it need not search where values are. What else
//! `solana-sbpf` needs is said in `sbpf`. It is measured twice: as it is used, where each address is looked up in its regions,
//! and with that turned off. ring3's interpreter relies on the proof of its verifier; `checked` is ring3 without it. The peers'
//! verifiers check shapes, not safety, so they are not measured beside ring3's. `rbpf`'s machine code checks nothing, as ring3's.

pub mod count;
pub mod engine;
pub mod expect;
pub mod measure;
pub mod native;
pub mod peer;
pub mod report;
pub mod sbpf;
pub mod sizes;
pub mod workload;

#[cfg(test)]
mod tests {
    use super::engine::{self, BenchHost};
    use super::{count, native, peer, sbpf, workload};

    /// The programs in C give what Rust says that they should, on everything that runs them.
    #[test]
    fn compiled_programs_give_what_they_should() {
        for workload in workload::compiled().unwrap() {
            let name = workload.name.as_str();
            let verified = engine::judge(&workload).unwrap_or_else(|refused| panic!("{name}: {refused}"));
            let want = workload.want.map(u64::from);
            let linked = engine::linked(&verified).unwrap();
            let mut host = BenchHost;
            let mut env = engine::env(&mut host, &workload.packet);
            // Twice: what a run leaves in maps must not matter to the next.
            for budget in [None, None, Some(1 << 40)] {
                env.budget = budget;
                assert_eq!(engine::once(engine::interp(&linked).as_ref(), &mut env), want, "{name}, interpreter");
            }
            env.budget = None;
            assert_eq!(engine::once(engine::checked(&workload).unwrap().as_ref(), &mut env), want, "{name}, checked");
            if ring3_jit::Jit::is_supported() {
                assert_eq!(engine::once(engine::jit(&linked).unwrap().as_ref(), &mut env), want, "{name}, jit");
            }
            let prepared = peer::prepare(&verified).unwrap_or_else(|| panic!("{name} is nothing for peers"));
            let mut input = peer::Input::new(&workload.packet);
            let counted = count::count(&prepared, &mut input).unwrap();
            assert_eq!(Some(counted.ret), want, "{name}, one at a time");
            assert!(counted.executed >= 1000, "{name} runs only {} instructions", counted.executed);
            assert_eq!(peer::interpret(&peer::load(&prepared).unwrap(), &mut input), want, "{name}, rbpf");
            let translated = sbpf::Program::new(&prepared).unwrap();
            for checks in [sbpf::Checks::None, sbpf::Checks::Regions] {
                for mode in [sbpf::Mode::Interpreted, sbpf::Mode::Compiled] {
                    let mut vm = translated.load(&prepared, &workload.packet, checks, mode).unwrap();
                    assert_eq!(vm.run(), want, "{name}, solana-sbpf");
                    assert!(vm.executed() >= counted.executed, "{name}, solana-sbpf");
                }
            }
        }
    }

    /// The same C gives the same as machine code.
    #[test]
    fn compiled_programs_are_the_same_natively() {
        for workload in workload::compiled().unwrap() {
            match native::Native::new(&workload) {
                Ok(mut native) => {
                    for _ in 0..2 {
                        assert_eq!(Some(native.run()), workload.want, "{}", workload.name);
                    }
                }
                Err(native::NativeError::Clang(missing)) => {
                    println!("skipped: no clang: {missing}");
                    return;
                }
                Err(error) => panic!("{}: {error}", workload.name),
            }
        }
    }

    /// Linux accepts them as they are, and they give the same there, where they do not depend on chance.
    #[test]
    fn compiled_programs_are_the_same_on_linux() {
        use ring3_linux::{LoadOptions, TestRun, available, load};

        if let Err(missing) = available() {
            println!("skipped: {missing}");
            return;
        }
        for workload in workload::compiled().unwrap() {
            let loaded = load(&workload.program, &LoadOptions::default()).unwrap_or_else(|refused| panic!("{refused}"));
            for _ in 0..2 {
                let run = TestRun { data: Some(&workload.packet), ..TestRun::default() };
                let ret = loaded.prog.test_run(&run).unwrap().retval;
                if workload.name != "helper_calls" {
                    assert_eq!(Some(ret), workload.want, "{}", workload.name);
                }
            }
        }
    }

    /// What is measured side by side is the same work: same result, same packet.
    #[test]
    fn engines_and_peer_agree() {
        let mut compared = Vec::new();
        for workload in workload::all().unwrap() {
            let verified = engine::judge(&workload).unwrap();
            let linked = engine::linked(&verified).unwrap();
            let mut host = BenchHost;
            let mut env = engine::env(&mut host, &workload.packet);
            let want = engine::once(engine::interp(&linked).as_ref(), &mut env).unwrap();
            let Some(prepared) = peer::prepare(&verified) else { continue };
            let mut vm = peer::load(&prepared).unwrap();
            let mut input = peer::Input::new(&workload.packet);
            assert_eq!(peer::interpret(&vm, &mut input), Some(want), "{}", workload.name);
            assert_eq!(Some(input.packet()), env.ctx.packet().map(|packet| packet.bytes()), "{}", workload.name);
            vm.jit_compile().unwrap();
            let mut input = peer::Input::new(&workload.packet);
            // SAFETY: the verifier accepted the program above.
            let _ = unsafe { peer::execute(&vm, &mut input) }.unwrap();
            assert_eq!(Some(input.packet()), env.ctx.packet().map(|packet| packet.bytes()), "{}", workload.name);
            compared.push(workload.name);
        }
        for written in ["headers", "checksum", "arithmetic", "lookups"] {
            assert!(compared.iter().any(|name| name == written), "{written} was not compared");
        }
    }
}
