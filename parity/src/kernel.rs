//! Who is asked beside ring3.

use std::sync::Arc;

use ring3_linux::{Error, KernelTypes, LoadOptions, LogLevel, Unavailable};
use ring3_object::KernelValues;
use ring3_platform::{Program, Target};

use crate::{Answer, Verdict};

/// Whose verdicts ours are compared with.
pub trait Referee {
    /// What it says of this program of this file.
    fn judge(&mut self, file: &str, program: &Program) -> Answer;
}

/// No referee: nothing is said of any program.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Referee for Nobody {
    fn judge(&mut self, _file: &str, _program: &Program) -> Answer {
        Answer::Nothing
    }
}

/// The running kernel. Loads each program, with its maps, and closes all of it again.
#[derive(Debug)]
pub struct Kernel {
    types: Option<Arc<ring3_btf::Btf>>,
    known: Option<KernelTypes>,
    values: Arc<KernelValues>,
    cpus: u32,
}

impl Kernel {
    /// Tries whether bpf(2) can be used, and reads the kernel's types, if it has them.
    ///
    /// Errors: why it cannot be used.
    pub fn open() -> Result<Kernel, Unavailable> {
        ring3_linux::available()?;
        let known = KernelTypes::read().ok();
        let types = known.as_ref().map(|known| Arc::new(known.btf().clone()));
        let cpus = ring3_linux::possible_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok());
        let values = Arc::new(ring3_linux::kernel_values());
        Ok(Kernel { types, known, values, cpus: cpus.unwrap_or(Target::default().cpus) })
    }

    /// What ring3 has to judge by to judge as this kernel: its number of CPUs and its types.
    pub fn target(&self) -> Arc<Target> {
        let knows_variables = self.types.as_ref().is_none_or(|btf| self.values.know_variables(btf));
        Arc::new(Target { cpus: self.cpus, btf: self.types.clone(), knows_variables, ..Target::default() })
    }

    /// Its answer, and its log at this level.
    pub fn judge_logged(&self, program: &Program, level: LogLevel) -> (Answer, String) {
        self.load(program, level).unwrap_or_else(|error| {
            let text = error.to_string();
            let why = text.lines().next().unwrap_or_default().to_owned();
            (Answer::Refused { errno: error.errno().map(|errno| errno.0), why }, String::new())
        })
    }

    /// What it answers to objects that ask: see [`ring3_object::Object::answer`].
    pub fn values(&self) -> Arc<KernelValues> {
        Arc::clone(&self.values)
    }

    fn load(&self, program: &Program, level: LogLevel) -> Result<(Answer, String), Error> {
        let attach_btf_id = self.known.as_ref().and_then(|known| known.target_of(program)).unwrap_or(0);
        let member = self.known.as_ref().and_then(|known| known.member_of(program));
        let options = LoadOptions { log: level, attach_btf_id, member, ..LoadOptions::default() };
        let (errno, log) = match ring3_linux::load(program, &options) {
            Ok(loaded) => (0, loaded.log),
            Err(Error::Program { errno, log, .. }) => (errno.0, log),
            Err(error) => return Err(error),
        };
        let refused = || {
            let said = log.text.lines().last().unwrap_or_default();
            let errno = ring3_linux::Errno(errno);
            if said.is_empty() { errno.to_string() } else { format!("{said} ({errno})") }
        };
        let answer = match Verdict::of_log(errno, &log.text) {
            Some(verdict) => Answer::Judged(verdict),
            None => Answer::Refused { errno: Some(errno), why: refused() },
        };
        Ok((answer, log.text))
    }
}

impl Referee for Kernel {
    fn judge(&mut self, _file: &str, program: &Program) -> Answer {
        // What is wrong and the statistics, but no instructions: those would make the log of a long walk huge.
        self.judge_logged(program, LogLevel::STATS).0
    }
}
