//! Each example, loaded alone: verdict, error number and message are those of Linux 6.18.

mod common;

use common::{Table, object};
use ring3::{Engine, Error, LogLevel, Options};

/// Programs that need a kernel's own types, which come later: they must be refused, with whatever words.
const NEEDS_KERNEL_TYPES: [&str; 1] = ["skb_cast"];

#[test]
fn verdicts_errnos_and_messages() {
    let table = Table::read("verdicts.tsv");
    let engine = Engine::new();
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in table.rows() {
        let (file, name) = (row.get("file"), row.get("program"));
        let said = match engine.verify(&object(file), name, &Options::default(), LogLevel(1)) {
            Ok(_) => ("accept", "0".to_owned(), String::new()),
            Err(Error::Rejected { rejection, .. }) => {
                ("reject", (-rejection.errno.number()).to_string(), rejection.message)
            }
            Err(error) => ("error", "-22".to_owned(), error.to_string()),
        };
        // The loader's own words are not Linux's.
        let message = if row.get("verdict") == "error" { said.2.clone() } else { row.get("message").to_owned() };
        let expected = (row.get("verdict"), row.get("errno").to_owned(), message);
        let same = if NEEDS_KERNEL_TYPES.contains(&name) { said.0 == expected.0 } else { said == expected };
        if !same {
            wrong.push(format!("{file} {name}: {said:?} instead of {expected:?}"));
        }
        rows += 1;
    }
    assert_eq!(rows, 76);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
