//! Reading what programs send to user space, as it comes: ring buffers and perf event arrays, with a callback for each.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring3_platform::{Errno, MapType};
use ring3_vm::maps::Map;

use crate::{Error, MapRef};

/// How long one of several maps is waited for before the others are looked at.
const TURN: Duration = Duration::from_millis(1);

/// A record, as a callback gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'r> {
    /// The CPU of the perf event; ring buffers do not say.
    pub cpu: Option<u32>,
    /// The bytes, without headers; a perf event's with the kernel's padding.
    pub data: &'r [u8],
}

type Callback<'c> = Box<dyn FnMut(Record<'_>) -> ControlFlow<()> + Send + 'c>;

struct Source<'c> {
    map: Arc<dyn Map>,
    callback: Callback<'c>,
}

/// Reads ring buffers and perf event arrays. It keeps the maps alive, and may be sent to another thread than the one where programs
/// run.
///
/// ```no_run
/// # use std::{ops::ControlFlow, time::Duration};
/// # let object = ring3::open("events.bpf.o")?;
/// # let mut instance = ring3::Engine::new().load(&object)?;
/// let mut reader = ring3::Reader::new();
/// reader.add(&instance.map("events")?, |record| {
///     println!("{} bytes", record.data.len());
///     ControlFlow::Continue(())
/// })?;
/// instance.run("send", &[0u8; 64])?;
/// let count = reader.poll(Duration::from_millis(100));
/// # Ok::<(), ring3::Error>(())
/// ```
#[derive(Default)]
pub struct Reader<'c> {
    sources: Vec<Source<'c>>,
}

impl<'c> Reader<'c> {
    /// Of no map yet.
    pub fn new() -> Reader<'c> {
        Reader::default()
    }

    /// Reads this map, too: each of its records goes to `callback`, which breaks to have the rest for the next time. (Of a perf event
    /// array all that is there is given out.)
    ///
    /// # Errors
    ///
    /// `EINVAL` for a map of another type.
    pub fn add(
        &mut self,
        map: &MapRef<'_>,
        callback: impl FnMut(Record<'_>) -> ControlFlow<()> + Send + 'c,
    ) -> Result<(), Error> {
        if !matches!(map.def().kind, MapType::Ringbuf | MapType::PerfEventArray) {
            return Err(Error::Map { map: map.name().to_owned(), errno: Errno::EINVAL });
        }
        self.sources.push(Source { map: map.raw().clone(), callback: Box::new(callback) });
        Ok(())
    }

    /// Reads what is there now, and gives the number of records.
    pub fn consume(&mut self) -> usize {
        let read = |source: &mut Source<'_>| {
            let callback = &mut source.callback;
            source.map.consume(&mut |cpu, data| callback(Record { cpu, data }))
        };
        self.sources.iter_mut().map(read).sum()
    }

    /// Waits until there is something, for so long at most, and reads what is there then. Records that were sent with
    /// `BPF_RB_NO_WAKEUP` wake nobody, as with the kernel.
    pub fn poll(&mut self, timeout: Duration) -> usize {
        let end = Instant::now().checked_add(timeout);
        if let [only] = &self.sources[..] {
            only.map.wait(timeout);
            return self.consume();
        }
        let mut turn = 0;
        loop {
            let ready = self.sources.iter().any(|source| source.map.wait(Duration::ZERO));
            let left = end.map_or(TURN, |end| end.saturating_duration_since(Instant::now()));
            if ready || left.is_zero() || self.sources.is_empty() {
                return self.consume();
            }
            self.sources[turn % self.sources.len()].map.wait(left.min(TURN));
            turn += 1;
        }
    }

    /// Records that were lost as there was no room for them: that programs could not reserve or output.
    pub fn lost(&self) -> u64 {
        self.sources.iter().map(|source| source.map.lost()).sum()
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| &source.map.def().name)).finish()
    }
}
