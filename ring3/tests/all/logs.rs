//! The verifier's log of each example, levels 1 and 2, line by line as Linux 6.18 writes it.

use crate::common::{Table, examples, object};
use ring3::{Engine, Error, LogLevel, Options};

/// Needs names of the kernel's types in the log, which come with pointers to them.
const NEEDS_KERNEL_TYPES: &str = "skb_cast";

/// Programs where ring3 takes more scalars as precise than Linux does, and says so: null pointers given to helpers and to
/// global functions, and what callbacks rely on. Otherwise another number could pass for the null.
const MORE_PRECISION: [&str; 2] = ["loop_sum", "each_array"];

#[test]
fn logs_are_those_of_linux() {
    let table = Table::read("verdicts.tsv");
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in table.rows() {
        let (file, name) = (row.get("file"), row.get("program"));
        let stem = file.rsplit('/').next().unwrap().trim_end_matches(".bpf.o");
        for level in [1, 2] {
            let path = examples().join("expected/logs").join(format!("{stem}.{name}.{level}.log"));
            let Ok(expected) = std::fs::read_to_string(&path) else { continue };
            if name == NEEDS_KERNEL_TYPES || (level == 2 && MORE_PRECISION.contains(&name)) {
                continue;
            }
            let log = match Engine::new().verify(&object(file), name, &Options::default(), LogLevel(level)) {
                Ok(verified) => verified.log().to_owned(),
                Err(Error::Rejected { rejection, .. }) => rejection.log,
                Err(error) => panic!("{error}"),
            };
            let (log, expected): (Vec<&str>, Vec<&str>) = (log.lines().collect(), expected.lines().collect());
            let same = log.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            if log != expected {
                wrong.push(format!("{}:\n  {:?}\n  {:?}", path.display(), expected.get(same), log.get(same)));
            }
            compared += 1;
        }
    }
    assert!(compared > 80, "{compared} logs compared");
    assert!(wrong.is_empty(), "{} of {compared}\n{}", wrong.len(), wrong.join("\n"));
}
