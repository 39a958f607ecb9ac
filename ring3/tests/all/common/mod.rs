//! The tables of `examples/expected`, and where the examples are.
// Each test uses a part of it.

use std::path::PathBuf;

/// The folder of the examples.
pub fn examples() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"))
}

/// An object of the examples.
pub fn object(file: &str) -> ring3::Object {
    ring3::open(examples().join("bpf").join(file)).unwrap_or_else(|e| panic!("{e}"))
}

/// A table, by the names of its columns.
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One line.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    at: usize,
}

impl Table {
    pub fn read(name: &str) -> Table {
        let text = std::fs::read_to_string(examples().join("expected").join(name)).unwrap();
        let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
        Table { columns: lines.next().unwrap(), rows: lines.collect() }
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows.len()).map(|at| Row { table: self, at })
    }
}

impl<'a> Row<'a> {
    pub fn get(self, column: &str) -> &'a str {
        let at = self.table.columns.iter().position(|name| name == column).unwrap_or_else(|| panic!("column {column}"));
        self.table.rows[self.at].get(at).map_or("", String::as_str)
    }
}
