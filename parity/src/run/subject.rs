//! One program on every engine, input by input.

use std::time::{Duration, Instant};

use ring3::vm::TestHost;
use ring3::{Backend, Engine, Error, Instance, Object, takes_packet};
use ring3_platform::{ProgType, Program};

use super::content::{Extent, extent};
use super::seen::{Refusal, Seen, Unlike, Way, results, run, watched};
use super::{Comparison, Depends, MAX_DIFFERENCES, Outcome, RunDifference, inputs};

/// Bytes of stack of a thread that verifies and runs.
const STACK: usize = 64 << 20;

/// Maps of more bytes than this are compared behind many inputs.
const SMALL: usize = 128 << 10;

/// A program whose inputs take longer gets no more of them; how many it did not get is told.
const LIMIT: Duration = Duration::from_secs(10);
/// How long inputs may run until maps are compared.
const STEP: Duration = Duration::from_secs(2);

/// Where a program comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Object(&'a Object),
    Alone(&'a Program),
}

/// A program that is to be run.
pub(super) struct Subject<'a> {
    pub(super) source: Source<'a>,
    pub(super) name: &'a str,
    pub(super) kind: ProgType,
    pub(super) engine: &'a Engine,
    pub(super) backends: Vec<Backend>,
    /// The processor that all runs are on.
    pub(super) cpu: u32,
}

impl Subject<'_> {
    /// Runs it on all inputs.
    pub(super) fn compare(&self, given: &[Vec<u8>], depends: Vec<Depends>) -> Result<Outcome, Error> {
        let engines = self.backends.iter().map(|backend| backend.name()).collect();
        let started = Instant::now();
        let mut instances = self.start()?;
        let Some(first) = instances.first_mut() else { return Ok(Outcome::NotRun("there is no engine".to_owned())) };
        let Extent { bytes, left_out } = extent(first);
        let comparison = Comparison { engines, depends, left_out, ..Comparison::default() };
        let mut all = inputs(self.kind, given);
        let mut walk =
            Walk { subject: self, comparison, instances, since: Vec::new(), is_apart: false, is_over: false, started };
        if bytes > SMALL {
            walk.comparison.together = true;
            all = walk.together(all)?;
        }
        let count = all.len();
        for (done, input) in all.into_iter().enumerate() {
            if walk.is_over || walk.comparison.differences.len() >= MAX_DIFFERENCES {
                break;
            }
            if walk.started.elapsed() > LIMIT {
                walk.comparison.inputs_left_out += count - done;
                break;
            }
            if let Some(why) = walk.one(input)? {
                return Ok(Outcome::NotRun(why));
            }
        }
        Ok(Outcome::Ran(walk.comparison))
    }

    fn way(&self, fill: u8) -> Way {
        Way { packets: takes_packet(self.kind), fill, until: None }
    }

    /// An instance for each engine, ready to run.
    fn start(&self) -> Result<Vec<Instance>, Error> {
        self.backends.iter().map(|backend| self.start_on(*backend)).collect()
    }

    fn start_on(&self, backend: Backend) -> Result<Instance, Error> {
        let engine = self.engine.clone().backend(backend);
        let mut instance = match self.source {
            Source::Object(object) => engine.load(object)?,
            Source::Alone(program) => engine.load_program(program.clone()),
        };
        instance.set_host(TestHost { cpu: self.cpu, ..TestHost::default() });
        instance.runner(self.name)?;
        Ok(instance)
    }

    /// Runs these inputs on every engine, one after the other.
    fn run_all(&self, instances: &mut [Instance], inputs: &[Vec<u8>]) -> Result<Vec<Seen>, Error> {
        instances.iter_mut().map(|instance| run(instance, self.name, inputs, self.way(0))).collect()
    }

    /// Which inputs the first engine takes, as far as it comes until then; none if it cannot run the program at all.
    fn taken(&self, inputs: &[Vec<u8>], until: Instant) -> Result<Vec<bool>, Error> {
        let Some(first) = self.backends.first() else { return Ok(Vec::new()) };
        let (mut instance, way) = (self.start_on(*first)?, Way { until: Some(until), ..self.way(0) });
        let mut taken = Vec::with_capacity(inputs.len());
        while taken.len() < inputs.len() && Instant::now() < until {
            let (ran, _) = results(&mut instance, self.name, &inputs[taken.len()..], way)?;
            if ran.iter().any(|ran| matches!(ran, Err(Refusal::CannotRun(_)))) {
                return Ok(vec![false; inputs.len()]);
            }
            taken.extend(ran.iter().map(Result::is_ok));
        }
        Ok(taken)
    }

    /// What the program's doing depends on beside these inputs, of which it did something else with the last. The checked interpreter
    /// tells of stack that nobody wrote, where that holds what one wants, and of addresses that are taken for numbers; runs at other
    /// addresses tell the rest.
    fn why_erratic(&self, inputs: &[Vec<u8>]) -> Result<Option<Depends>, Error> {
        let run = |fill: u8| watched(&mut self.start_on(Backend::Checked)?, self.name, inputs, self.way(fill));
        let ((zero, counted), (other, _)) = (run(0)?, run(0x5a)?);
        if !zero.differences(&other).is_empty() {
            return Ok(Some(Depends::Stack));
        }
        let last = inputs.len().saturating_sub(1);
        Ok((counted || self.is_erratic(&inputs[last..])?).then_some(Depends::Addresses))
    }

    /// Do two runs on one engine differ, that begin with the same?
    fn is_erratic(&self, inputs: &[Vec<u8>]) -> Result<bool, Error> {
        let mut instances = self.start()?;
        paint(0x5a);
        let these = self.run_all(&mut instances, inputs)?;
        // In another thread while these live, so that neither stack nor maps nor packets are at the same address.
        let those = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK);
            let again = || {
                let mut instances = self.start()?;
                paint(0xc3);
                self.run_all(&mut instances, inputs)
            };
            thread.spawn_scoped(scope, again).ok()?.join().ok()
        });
        // Whoever panics there has said why; without a thread, nobody knows.
        let Some(those) = those else { return Ok(false) };
        Ok(these.iter().zip(&those?).any(|(this, that)| !this.differences(that).is_empty()))
    }
}

/// The way through the inputs of a program.
struct Walk<'a> {
    subject: &'a Subject<'a>,
    comparison: Comparison,
    instances: Vec<Instance>,
    /// Inputs since all started.
    since: Vec<Vec<u8>>,
    /// Some engines took an input that others did not, or did something else with it: before anything is compared again, all start afresh.
    is_apart: bool,
    /// Nothing is to be compared any more.
    is_over: bool,
    started: Instant,
}

impl Walk<'_> {
    /// All engines begin anew.
    fn restart(&mut self) -> Result<(), Error> {
        // The former ones' maps are not to be there twice.
        self.instances.clear();
        self.instances = self.subject.start()?;
        self.since.clear();
        self.is_apart = false;
        Ok(())
    }

    /// Runs all inputs that the first engine takes, as many at a time as take [`STEP`], and compares maps behind each such step. Of a
    /// difference the first input is told that shows it, and then nothing more is compared. Gives the inputs that are left.
    fn together(&mut self, mut inputs: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        let taken = self.subject.taken(&inputs, Instant::now() + LIMIT / 2)?;
        self.comparison.inputs_left_out += inputs.len() - taken.len();
        inputs.truncate(taken.len());
        let mut taken = taken.into_iter();
        let (inputs, left): (Vec<_>, Vec<_>) = inputs.into_iter().partition(|_| taken.next().unwrap_or(false));
        let (mut done, mut size) = (0, 1);
        while done < inputs.len() {
            if self.started.elapsed() > LIMIT {
                self.comparison.inputs_left_out += inputs.len() - done;
                break;
            }
            let (began, step) = (Instant::now(), &inputs[done..inputs.len().min(done + size)]);
            let seen = self.subject.run_all(&mut self.instances, step)?;
            if seen.iter().take(1).any(|first| first.results.iter().any(Result::is_err)) {
                // It did not take all, after all: that depends on what is in the maps.
                self.restart()?;
                self.comparison.inputs = 0;
                self.comparison.fragments = 0;
                return Ok([inputs, left].concat());
            }
            if let Some(at) = first_difference(&seen) {
                self.search(&inputs, done, step.len(), at, seen)?;
                return Ok(Vec::new());
            }
            self.comparison.count(self.subject.kind, step);
            done += step.len();
            let each = began.elapsed().as_micros() / step.len() as u128;
            size = usize::try_from(STEP.as_micros() / each.max(1)).unwrap_or(usize::MAX).clamp(1, inputs.len());
        }
        self.since = inputs;
        self.since.truncate(done);
        Ok(left)
    }

    /// Finds the first input that shows a difference, which was seen behind number `at` of the `step` inputs from `done` on.
    fn search(
        &mut self,
        inputs: &[Vec<u8>],
        done: usize,
        step: usize,
        at: usize,
        seen: Vec<Seen>,
    ) -> Result<(), Error> {
        let (mut shows, mut place) = (seen, at);
        // Maps were looked at behind the last one alone; a result says itself where it is.
        let good = if at + 1 < step { done + at } else { done };
        let bad = narrow(good, done + at + 1, |count| {
            self.restart()?;
            let seen = self.subject.run_all(&mut self.instances, &inputs[..count])?;
            let at = first_difference(&seen);
            if let Some(at) = at {
                (shows, place) = (seen, at);
            }
            Ok::<_, Error>(at)
        })?;
        self.comparison.count(self.subject.kind, &inputs[done..bad.max(done)]);
        self.since = inputs[..bad].to_vec();
        self.note(&shows, place)?;
        self.is_over = true;
        Ok(())
    }

    /// Runs one input and compares everything. Why the program cannot be run at all, if that is so.
    fn one(&mut self, input: Vec<u8>) -> Result<Option<String>, Error> {
        let inputs = [input];
        let mut seen = self.subject.run_all(&mut self.instances, &inputs)?;
        let Some((first, others)) = seen.split_first() else { return Ok(None) };
        match first.results.first() {
            Some(Err(Refusal::CannotRun(why))) => return Ok(Some(why.clone())),
            Some(Err(Refusal::Error(_))) | None => {
                // Where only the first refuses, nothing ran there that could be compared.
                let taken = others.iter().any(|other| other.results.iter().any(Result::is_ok));
                self.comparison.refused += 1;
                self.comparison.only_here += usize::from(taken);
                self.is_apart |= taken;
                return Ok(None);
            }
            Some(Ok(_)) => {}
        }
        if self.is_apart {
            self.restart()?;
            seen = self.subject.run_all(&mut self.instances, &inputs)?;
        }
        self.comparison.count(self.subject.kind, &inputs);
        self.since.extend(inputs);
        if first_difference(&seen).is_some() {
            self.note(&seen, 0)?;
        }
        Ok(None)
    }

    /// Notes what differs behind the last input, which is the one at this place of what was seen.
    fn note(&mut self, seen: &[Seen], at: usize) -> Result<(), Error> {
        let Some(input) = self.since.last().cloned() else { return Ok(()) };
        self.comparison.add(seen, at, &input);
        self.is_apart = true;
        if let Some(why) = self.subject.why_erratic(&self.since)? {
            self.comparison.differences.clear();
            self.comparison.depends.push(why);
            self.is_over = true;
        }
        Ok(())
    }
}

/// The number of inputs behind which there is a difference and before the last of which there is none: behind `good` there is none, behind
/// `bad` there is one. `differs` runs so many inputs and says where they differ.
fn narrow<E>(
    mut good: usize,
    mut bad: usize,
    mut differs: impl FnMut(usize) -> Result<Option<usize>, E>,
) -> Result<usize, E> {
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        match differs(middle)? {
            None => good = middle,
            Some(at) => bad = (at + 1).clamp(good + 1, bad),
        }
    }
    Ok(bad)
}

/// After which input an engine did something else than the first.
fn first_difference(seen: &[Seen]) -> Option<usize> {
    let (first, others) = seen.split_first()?;
    others.iter().flat_map(|other| first.differences(other)).map(|unlike| unlike.at).min()
}

impl Comparison {
    /// Counts inputs that all took.
    fn count(&mut self, kind: ProgType, inputs: &[Vec<u8>]) {
        let in_fragments = |input: &&Vec<u8>| kind == ProgType::Xdp && input.len() > ring3::vm::LINEAR;
        self.inputs += inputs.len();
        self.fragments += inputs.iter().filter(in_fragments).count();
    }

    /// Notes what the others did differently from the first behind this input.
    pub(super) fn add(&mut self, seen: &[Seen], at: usize, input: &[u8]) {
        let Some((first, others)) = seen.split_first() else { return };
        let mut found: Vec<RunDifference> = Vec::new();
        for (name, other) in self.engines.iter().skip(1).zip(others) {
            for Unlike { what, this, that, .. } in first.differences(other).into_iter().filter(|unlike| unlike.at == at)
            {
                let same =
                    |known: &&mut RunDifference| known.what == what && known.one.1 == this && known.others.1 == that;
                match found.iter_mut().find(same) {
                    Some(known) => known.others.0.push(name),
                    None => {
                        let (one, others) = ((self.engines[0], this), (vec![*name], that));
                        found.push(RunDifference { what, one, others, input: input.to_vec() });
                    }
                }
            }
        }
        self.differences.append(&mut found);
    }
}

/// Leaves these bytes on the part of the native stack that is used next: a program in machine code that reads stack which it did not
/// write finds them.
#[inline(never)]
fn paint(byte: u8) {
    std::hint::black_box([byte; 1 << 15]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maps differ from the input `from` on, of 100.
    #[test]
    fn the_first_input_that_shows_a_difference_is_found() {
        for from in [0, 1, 37, 98, 99] {
            let mut runs = 0;
            let bad = narrow(0, 100, |count| {
                runs += 1;
                assert!(runs < 9 && (1..100).contains(&count));
                Ok::<_, ()>((count > from).then_some(count - 1))
            });
            assert_eq!(bad, Ok(from + 1));
        }
        assert_eq!(narrow(12, 13, |_| Err(())), Ok(13));
    }
}
