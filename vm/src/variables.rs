//! Variables of the kernel that each CPU has for itself, as programs name them.
//!
//! What is in them the host says ([`Host::cpu_variable`](crate::Host::cpu_variable)); otherwise zeroes that the linked program has for
//! them. Programs only read them, by accesses that are looked up.

use ring3_platform::Errno;
use ring3_verifier::CpuVariable;

/// Bytes of all variables of a program, at most.
const MAX_BYTES: usize = 1 << 28;

/// Those of a program.
#[derive(Default)]
pub(crate) struct Variables(Box<[Variable]>);

struct Variable {
    name: String,
    /// Words of one CPU.
    words: usize,
    /// Those of all.
    memory: Box<[u64]>,
}

impl Variable {
    fn start(&self) -> u64 {
        self.memory.as_ptr().expose_provenance() as u64
    }
}

impl Variables {
    /// Zeroes for this many CPUs. `ENOMEM` if that is too much.
    pub(crate) fn new(list: &[CpuVariable], cpus: u32) -> Result<Variables, Errno> {
        let mut left = MAX_BYTES / 8;
        let mut one = |variable: &CpuVariable| {
            let words = (variable.size as usize).div_ceil(8).max(1);
            let all = words.checked_mul(cpus as usize).ok_or(Errno::ENOMEM)?;
            left = left.checked_sub(all).ok_or(Errno::ENOMEM)?;
            Ok(Variable { name: variable.name.clone(), words, memory: vec![0; all].into() })
        };
        Ok(Variables(list.iter().map(&mut one).collect::<Result<_, _>>()?))
    }

    /// What a program has in a register for a variable: the address of the first CPU's.
    pub(crate) fn address(&self, at: usize) -> Option<u64> {
        self.0.get(at).map(Variable::start)
    }

    /// Whether these bytes are part of one.
    pub(crate) fn holds(&self, addr: u64, len: u64) -> bool {
        self.0.iter().any(|variable| {
            let bytes = variable.memory.len() as u64 * 8;
            addr.checked_sub(variable.start()).is_some_and(|at| at <= bytes && len <= bytes - at)
        })
    }

    /// The variable that an address of the first CPU's leads into: its name, the offset there, and where the part of `cpu` is.
    pub(crate) fn of_cpu(&self, addr: u64, cpu: u32) -> Option<(&str, u64, u64)> {
        self.0.iter().find_map(|variable| {
            let bytes = variable.words as u64 * 8;
            let inside = addr.checked_sub(variable.start()).filter(|at| *at < bytes)?;
            let there = (cpu as usize) < variable.memory.len() / variable.words;
            there.then(|| (variable.name.as_str(), inside, addr + u64::from(cpu) * bytes))
        })
    }
}
