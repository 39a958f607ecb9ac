//! The surroundings of programs in a simulation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring3_btf::Btf;
use ring3_vm::{Host, Task as TaskNumbers};

use super::content::Handle;
use super::memory::Memory;
use super::path::{Path, Place, walk};

/// What the simulation and the programs both see.
pub(super) struct World {
    pub memory: Memory,
    /// Nanoseconds.
    pub now: u64,
    pub cpu: u32,
    pub task: Option<Handle>,
    /// Address of the function that fires.
    pub function: u64,
    pub signals: Vec<u32>,
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub fn new(world: World) -> Shared {
        Shared(Arc::new(Mutex::new(world)))
    }

    pub fn lock(&self) -> MutexGuard<'_, World> {
        // A panic elsewhere leaves nothing half done here that a test could still see.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// A number of at most 8 bytes of the current task.
    fn number(&self, path: &str) -> Option<u64> {
        let task = self.task?;
        let path = Path::parse(path).ok()?;
        let memory = &self.memory;
        let place = walk(&memory.types, Place::new(task.addr, task.ty), (&path.text, &path.steps), |place, _| {
            let mut word = [0; 8];
            // What leads nowhere has no numbers, which the read below finds.
            memory.read(place.addr, &mut word);
            Ok(u64::from_ne_bytes(word))
        });
        let place = place.ok()?;
        let len = (memory.types.size_of(place.ty).ok()? as usize).min(8);
        let mut bytes = [0; 8];
        memory.read(place.addr, &mut bytes[..len]).then(|| u64::from_le_bytes(bytes))
    }

    pub fn comm(&self) -> Option<[u8; TaskNumbers::COMM_LEN]> {
        let task = self.task?;
        let path = Path::parse("comm").ok()?;
        let types: &Btf = &self.memory.types;
        let place = walk(types, Place::new(task.addr, task.ty), (&path.text, &path.steps), |_, _| Ok(0)).ok()?;
        let mut comm = [0; TaskNumbers::COMM_LEN];
        let len = (types.size_of(place.ty).ok()? as usize).min(comm.len());
        self.memory.read(place.addr, &mut comm[..len]).then_some(comm)
    }

    pub fn task_numbers(&self) -> TaskNumbers {
        let default = TaskNumbers::new(1, 1, 0, 0, "ring3");
        let number = |path, otherwise: u32| self.number(path).map_or(otherwise, |number| number as u32);
        TaskNumbers {
            pid: number("pid", default.pid),
            tgid: number("tgid", default.tgid),
            uid: number("cred.uid.val", 0),
            gid: number("cred.gid.val", 0),
            comm: self.comm().unwrap_or(default.comm),
        }
    }
}

/// An address that a function of the kernel could have.
pub(super) fn address_of(function: &str) -> u64 {
    let hash = function
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    0xffff_ffff_8100_0000 + (hash & 0x00ff_fff0)
}

impl Host for Shared {
    fn ktime_ns(&mut self) -> u64 {
        self.lock().now
    }

    fn tai_ns(&mut self) -> u64 {
        self.lock().now
    }

    fn gives_random(&self) -> bool {
        false
    }

    fn cpu(&mut self) -> u32 {
        self.lock().cpu
    }

    fn task(&mut self) -> TaskNumbers {
        self.lock().task_numbers()
    }

    fn task_object(&mut self) -> Option<u64> {
        self.lock().task.map(Handle::addr)
    }

    fn func_ip(&mut self) -> u64 {
        self.lock().function
    }

    fn symbol(&mut self, name: &str) -> Option<u64> {
        let world = self.lock();
        world.memory.types.find(name, ring3_btf::Kind::Func).map(|_| address_of(name))
    }

    fn send_signal(&mut self, signal: u32, _thread: bool) -> Result<(), ring3_platform::Errno> {
        self.lock().signals.push(signal);
        Ok(())
    }

    fn read_user(&mut self, addr: u64, out: &mut [u8]) -> bool {
        self.lock().memory.user.read_at(addr, out)
    }
}
