//! The kernel-style log (verifier.md of the kernel's documentation calls it the verifier log): positions matter, because
//! level 1 forgets a path when it ends well.

/// Bits of the level.
pub const LEVEL_STATE: u8 = 1;
/// See `LEVEL_STATE`.
pub const LEVEL_VERBOSE: u8 = 2;
/// See `LEVEL_STATE`.
pub const LEVEL_STATS: u8 = 4;
/// Longest log that is kept in memory; what comes after is dropped, and the log says so.
pub const MAX_LOG: usize = 256 << 20;

/// Text that is being written.
#[derive(Debug, Default)]
pub struct Log {
    level: u8,
    text: String,
    /// End of the last instruction line, and its length, while nothing has been printed after it.
    insn_line: Option<(usize, usize)>,
    full: bool,
    /// What is done now is not told.
    mute: bool,
    /// Comes after the reason of a rejection.
    after: String,
}

impl Log {
    /// An empty log.
    pub fn new(level: u8) -> Log {
        Log { level, ..Log::default() }
    }

    /// Whether states are printed at all.
    pub fn on(&self) -> bool {
        self.level & (LEVEL_STATE | LEVEL_VERBOSE) != 0
    }

    /// Whether there is a log at all: it has words about what is wrong, whatever the level.
    pub fn any(&self) -> bool {
        self.level != 0
    }

    /// Whether everything is printed and kept.
    pub fn verbose(&self) -> bool {
        self.level & LEVEL_VERBOSE != 0 && !self.mute
    }

    /// Says nothing of details for a while, or does again.
    pub fn mute(&mut self, on: bool) {
        self.mute = on;
    }

    /// Says nothing of what follows; gives what [`Log::speak`] takes.
    pub fn hush(&mut self) -> u8 {
        std::mem::take(&mut self.level)
    }

    /// Goes on as before [`Log::hush`].
    pub fn speak(&mut self, level: u8) {
        self.level = level;
    }

    /// Whether statistics are wanted.
    pub fn stats(&self) -> bool {
        self.level & LEVEL_STATS != 0
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) {
        if self.text.len() + text.len() > MAX_LOG {
            self.full = true;
            return;
        }
        self.text.push_str(text);
    }

    /// Has this after the reason of a rejection.
    pub fn set_after(&mut self, text: String) {
        self.after = text;
    }

    /// Appends the reason of a rejection.
    pub fn reason(&mut self, text: &str) {
        let after = std::mem::take(&mut self.after);
        self.push(text);
        self.push("\n");
        self.push(&after);
    }

    /// Appends an instruction line (without the line feed), after which a state may follow on the same line.
    pub fn insn(&mut self, line: &str) {
        self.push(line);
        self.insn_line = Some((self.text.len(), line.len()));
        self.push("\n");
    }

    /// Appends the state after an instruction: on its line if nothing was printed since, else on a line of its own that
    /// starts with the next slot.
    pub fn state_after(&mut self, next: usize, state: &str) {
        match self.insn_line.take() {
            Some((end, len)) if end + 1 == self.text.len() => {
                self.text.truncate(end);
                let column = (len + 5).max(40).div_ceil(8) * 8 - 2;
                for _ in len..column {
                    self.text.push(' ');
                }
                self.push(";");
            }
            Some(_) | None => self.push(&format!("{next}:")),
        }
        self.push(state);
        self.push("\n");
    }

    /// Where the log is now.
    pub fn position(&self) -> usize {
        self.text.len()
    }

    /// Forgets what came after, unless everything is kept.
    pub fn rewind(&mut self, position: usize) {
        if !self.verbose() {
            self.text.truncate(position);
            self.insn_line = None;
        }
    }

    /// The text.
    pub fn finish(mut self) -> String {
        if self.full {
            self.text.push_str("ring3: the log was longer than 256 MiB and is cut here\n");
        }
        self.text
    }
}
