//! Events as text, as the command line takes them.

use std::str::FromStr;
use std::time::Duration;

use super::{Args, Content, Fired, Sim, SimError, user};
use crate::Error;

/// How often an event may come.
const MAX_TIMES: u32 = 1 << 20;

/// An event with what is around it, as text: where it fires, then arguments as `PATH=VALUE`, then what stands behind `@`:
///
/// ```text
/// kprobe/do_unlinkat dfd=-100 name.name=/tmp/x @returns=-2 @task.comm=bash @task.pid=42 @cpu=1 @after=5000 @times=3
/// ```
///
/// `@task.` sets fields of a new current task, which stays for later events; `@after` lets so many nanoseconds pass first, `@takes` between
/// its start and its end; `@record` names the structure of a tracepoint's record. A value is a number, `true` or `false`, `user:TEXT` for memory of the process, a list `[a,b]`,
/// or text, which quotes keep together.
///
/// ```
/// use ring3::sim::Event;
/// let event: Event = r#"syscalls:sys_enter_openat filename="/tmp/a b" @task.comm=cat"#.parse()?;
/// assert_eq!(event.point(), "syscalls:sys_enter_openat");
/// # Ok::<(), ring3::sim::SimError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    point: String,
    args: Args,
    task: Vec<(String, Content)>,
    cpu: Option<u32>,
    after: Duration,
    times: u32,
}

impl Event {
    /// Where it fires.
    pub fn point(&self) -> &str {
        &self.point
    }

    /// How often it comes.
    pub fn times(&self) -> u32 {
        self.times
    }
}

impl FromStr for Event {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Event, SimError> {
        let mut words = words(text)?.into_iter();
        let point = words.next().unwrap_or_default();
        if point.is_empty() || point.contains('=') {
            return Err(wrong(text, "an event begins with where it fires, such as kprobe/do_unlinkat"));
        }
        let (args, task, after) = (Args::new(), Vec::new(), Duration::ZERO);
        let mut event = Event { point, args, task, cpu: None, after, times: 1 };
        for word in words {
            let pair = word.split_once('=');
            let (path, value) = pair.ok_or_else(|| wrong(&word, "what follows where it fires are pairs PATH=VALUE"))?;
            let number = || value.parse::<u64>().map_err(|_| wrong(&word, "a number belongs there"));
            match path.strip_prefix('@') {
                None => event.args = event.args.set(path, content(value)),
                Some("returns") => event.args = event.args.returns(content(value)),
                Some("takes") => event.args = event.args.takes(Duration::from_nanos(number()?)),
                Some("record") => event.args = event.args.record(value),
                Some("cpu") => event.cpu = Some(number()?.try_into().map_err(|_| wrong(&word, "no number of a CPU"))?),
                Some("after") => event.after = Duration::from_nanos(number()?),
                Some("times") => {
                    let times = u32::try_from(number()?).ok().filter(|times| *times <= MAX_TIMES);
                    event.times = times.ok_or_else(|| wrong(&word, "at most 1048576 times"))?;
                }
                Some(other) => match other.strip_prefix("task.") {
                    Some(field) => event.task.push((field.to_owned(), content(value))),
                    None => {
                        return Err(wrong(
                            &word,
                            "behind @ are task.FIELD, returns, takes, record, cpu, after and times",
                        ));
                    }
                },
            }
        }
        Ok(event)
    }
}

impl Sim {
    /// An event of a text, all times that it comes.
    ///
    /// # Errors
    ///
    /// As of [`Sim::fire`] and [`Sim::set_task`].
    pub fn fire_event(&mut self, event: &Event) -> Result<Vec<Fired>, Error> {
        if !event.task.is_empty() {
            let fields = event.task.iter().cloned();
            let task = fields.fold(self.task(), |task, (path, content)| task.set(&path, content));
            self.set_task(task)?;
        }
        if let Some(cpu) = event.cpu {
            self.set_cpu(cpu);
        }
        (0..event.times)
            .map(|_| {
                self.advance(event.after);
                self.fire(&event.point, event.args.clone())
            })
            .collect()
    }
}

fn wrong(text: &str, what: &'static str) -> SimError {
    SimError::Event { text: text.to_owned(), what }
}

/// Words; quotes keep spaces, and stay, so that a value shows that it is a text.
fn words(text: &str) -> Result<Vec<String>, SimError> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    if quoted {
        return Err(wrong(text, "a quote is not closed"));
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    Ok(words)
}

fn content(text: &str) -> Content {
    if let Some(inner) = text.strip_prefix("user:") {
        return user(content(inner));
    }
    if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Content::Text(inner.to_owned());
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let elements = inner.split(',').map(str::trim).filter(|element| !element.is_empty());
        return super::list(elements.map(content));
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i128::from(u64::from_str_radix(digits, 16).unwrap_or_default()),
        None => digits.parse::<u64>().map_or(0, i128::from),
    };
    let is_number =
        digits.strip_prefix("0x").map_or(digits.parse::<u64>().is_ok(), |d| u64::from_str_radix(d, 16).is_ok());
    match text {
        "true" => Content::Number(1),
        "false" => Content::Number(0),
        _ if is_number => Content::Number(number * sign),
        _ => Content::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        let shown = |text: &str| format!("{:?}", content(text));
        assert_eq!(shown("-100"), "Number(-100)");
        assert_eq!(shown("0xff"), "Number(255)");
        assert_eq!(shown("\"42\""), "Text(\"42\")");
        assert_eq!(shown("/bin/ls"), "Text(\"/bin/ls\")");
        assert_eq!(shown("user:x"), "User(Text(\"x\"))");
        assert_eq!(shown("[1,b]"), "List([Number(1), Text(\"b\")])");
    }

    #[test]
    fn mistakes_are_told() {
        let said = |text: &str| text.parse::<Event>().unwrap_err().to_string();
        assert!(said("").contains("begins with where it fires"));
        assert!(said("x=1").contains("begins with where it fires"));
        assert!(said("sys_enter id").contains("PATH=VALUE"));
        assert!(said("sys_enter @cpu=x").contains("a number belongs there"));
        assert!(said("sys_enter @tak.x=1").contains("behind @ are"));
        assert!(said("sys_enter a=\"").contains("not closed"));
        assert!(said("sys_enter @times=9999999").contains("at most"));
    }
}
