//! Which cases of a directory run.

use std::path::{Path, PathBuf};

use regex::{Regex, RegexBuilder};
use ring3_isa::{Group, Kind};

use crate::coverage::{CpuVersion, group_of, kinds_of};
use crate::{Case, Error, format};

/// Bytes that a regular expression may take when it is compiled.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A case that runs.
#[derive(Debug)]
pub struct Selected {
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub case: Case,
    /// Kinds of instructions in it.
    pub kinds: Vec<Kind>,
}

/// What cases must be to run.
#[derive(Debug, Default)]
pub struct Filter {
    /// About one of these groups; any, if empty.
    pub groups: Vec<Group>,
    /// Without any instruction of these groups.
    pub exclude_groups: Vec<Group>,
    /// A file name in which this is found.
    pub include: Option<Regex>,
    /// A file name in which this is not found.
    pub exclude: Option<Regex>,
    /// Without instructions of later generations.
    pub cpu: Option<CpuVersion>,
}

/// A regular expression of the command line.
pub fn regex(text: &str) -> Result<Regex, Error> {
    RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build().map_err(|error| Error::Argument {
        what: "regular expression",
        text: text.to_owned(),
        problem: error.to_string(),
    })
}

/// A group by its name.
pub fn group(text: &str) -> Result<Group, Error> {
    Group::named(text).ok_or_else(|| {
        let names: Vec<&str> = Group::ALL.iter().map(|group| group.name()).collect();
        let problem = format!("the groups are {}", names.join(", "));
        Error::Argument { what: "group", text: text.to_owned(), problem }
    })
}

impl Filter {
    /// By name alone, before the file is read.
    fn takes_file(&self, path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        self.include.as_ref().is_none_or(|regex| regex.is_match(&name))
            && !self.exclude.as_ref().is_some_and(|regex| regex.is_match(&name))
    }

    fn takes(&self, kinds: &[Kind]) -> bool {
        let about = self.groups.is_empty() || self.groups.contains(&group_of(kinds));
        let may = |kind: &Kind| {
            !self.exclude_groups.contains(&kind.group()) && self.cpu.is_none_or(|cpu| CpuVersion::of(*kind) <= cpu)
        };
        about && kinds.iter().all(may)
    }
}

/// The cases of these paths that the filter takes, and what is wrong with files that are none.
pub fn load(paths: &[PathBuf], filter: &Filter) -> Result<(Vec<Selected>, Vec<Error>), Error> {
    let (mut cases, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        for file in format::files(path)?.into_iter().filter(|file| filter.takes_file(file)) {
            match Case::read(&file) {
                Ok(case) => {
                    let kinds = kinds_of(&case.code);
                    if filter.takes(&kinds) {
                        cases.push(Selected { path: file, case, kinds });
                    }
                }
                Err(error) => errors.push(error),
            }
        }
    }
    Ok((cases, errors))
}
