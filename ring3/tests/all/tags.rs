//! Program tags of the examples are those that Linux 6.18 printed.

use crate::common::{Table, object};
use ring3::{KernelVersion, Options};

#[test]
fn tags_are_those_of_linux() {
    let table = Table::read("verdicts.tsv");
    let mut compared = 0;
    for row in table.rows().filter(|row| !row.get("tag").is_empty()) {
        let (file, name) = (row.get("file"), row.get("program"));
        let program = object(file).program(name, &Options::default()).unwrap();
        let tag = ring3::platform::tag(&program, KernelVersion::V6_18);
        assert_eq!(tag.to_string(), row.get("tag"), "{file} {name}");
        compared += 1;
    }
    assert_eq!(compared, 34);
}
