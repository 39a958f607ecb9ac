//! What is kept of what a machine wrote.

use ring3_guest::facts::Facts;

/// Kinds of rows that are of the run, not of the kernel.
const OF_THE_RUN: [&str; 4] = ["end", "corpus", "left_out", "broken"];

/// What came out of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The table that is kept, with what it is of in front.
    pub table: String,
    /// Verdicts on others' objects, as `conformance/kernel/verdicts-6.18.tsv` has them.
    pub verdicts: String,
    /// Did the machine say all that it had to say?
    pub is_whole: bool,
}

/// Sorts what a machine with the kernel of this package wrote.
pub fn sort(text: &str, package: &str) -> Found {
    let mut facts = Facts::parse(text);
    let is_whole = facts.value("end").is_some() && facts.value("unavailable").is_none();
    let verdicts: String = facts.of("corpus").iter().map(|row| row.join("\t") + "\n").collect();
    let release = facts.value("release").unwrap_or_default().to_owned();
    for kind in OF_THE_RUN {
        facts.take(kind);
    }
    let about = format!("# What Linux {release} (Debian: {package}) has for BPF: cargo xtask kernels.\n");
    let head = "# file	program	class	errno	processed	last line of the log\n";
    Found { table: about.clone() + &facts.text(), verdicts: about + head + &verdicts, is_whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_verdicts_are_kept_apart() {
        let found = sort("release\t6.1\ncorpus\ta.o\tp\taccept\t0\t2\t\nfeature\tcalls\tyes\nend\t-\n", "linux_1");
        assert_eq!(found.table.lines().skip(1).collect::<Vec<_>>(), ["feature\tcalls\tyes", "release\t6.1"]);
        assert_eq!(found.verdicts.lines().skip(2).collect::<Vec<_>>(), ["a.o\tp\taccept\t0\t2\t"]);
        assert!(found.is_whole && !sort("release\t6.1\n", "").is_whole);
    }
}
