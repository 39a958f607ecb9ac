//! Where a thread runs.

use super::Failure;

/// Keeps the thread that made it on the processor that it was on, until it is dropped: what a program does by CPU then always happens on
/// the same one.
#[derive(Debug)]
pub struct OnOneCpu {
    cpu: u32,
    #[cfg(target_os = "linux")]
    before: Allowed,
    /// It is of one thread.
    _here: std::marker::PhantomData<*const ()>,
}

/// Processors that a thread may run on.
#[cfg(target_os = "linux")]
struct Allowed(libc::cpu_set_t);

#[cfg(target_os = "linux")]
impl std::fmt::Debug for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Allowed").finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
impl Allowed {
    fn now() -> Result<Allowed, Failure> {
        // SAFETY: a set of bits, of which none is one.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the calling thread, and a set of the size that is said.
        let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
        if result == 0 { Ok(Allowed(set)) } else { Err(Failure::Errno(super::last_errno())) }
    }

    fn only(cpu: u32) -> Option<Allowed> {
        let cpu = cpu as usize;
        if cpu >= size_of::<libc::cpu_set_t>() * 8 {
            return None;
        }
        // SAFETY: as in `now`.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: within the set, as was just checked.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        Some(Allowed(set))
    }

    fn apply(&self) -> Result<(), Failure> {
        // SAFETY: the calling thread, and a set of the size that is said.
        let result = unsafe { libc::sched_setaffinity(0, size_of_val(&self.0), &raw const self.0) };
        if result == 0 { Ok(()) } else { Err(Failure::Errno(super::last_errno())) }
    }
}

impl OnOneCpu {
    /// Keeps the calling thread where it is.
    ///
    /// Errors: those of sched_setaffinity(2); not Linux.
    #[cfg(target_os = "linux")]
    pub fn stay() -> Result<OnOneCpu, crate::Error> {
        let error = |failure: Failure| failure.of_call("sched_setaffinity(2)");
        let before = Allowed::now().map_err(error)?;
        // SAFETY: it takes nothing.
        let cpu = u32::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0);
        let only = Allowed::only(cpu).ok_or(error(Failure::Errno(crate::Errno::EINVAL)))?;
        only.apply().map_err(error)?;
        Ok(OnOneCpu { cpu, before, _here: std::marker::PhantomData })
    }

    /// There is nothing to stay on here.
    #[cfg(not(target_os = "linux"))]
    pub fn stay() -> Result<OnOneCpu, crate::Error> {
        Err(crate::Error::NotLinux)
    }

    /// Its number.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }
}

#[cfg(target_os = "linux")]
impl Drop for OnOneCpu {
    fn drop(&mut self) {
        // Processors that went meanwhile are no more to be had.
        let _ = self.before.apply();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn allowed() -> usize {
        let Allowed(set) = Allowed::now().unwrap();
        // SAFETY: within the set.
        (0..1024).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).count()
    }

    #[test]
    fn a_thread_stays_and_may_go_again() {
        let before = allowed();
        let here = OnOneCpu::stay().unwrap();
        assert_eq!(allowed(), 1);
        // SAFETY: it takes nothing.
        assert_eq!(unsafe { libc::sched_getcpu() }, here.cpu() as i32);
        drop(here);
        assert_eq!(allowed(), before);
    }
}
