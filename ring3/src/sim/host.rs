//! The surroundings of programs in a simulation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring3_btf::Btf;
use ring3_platform::Errno;
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
    /// Return addresses, innermost first: of the kernel, of the process.
    pub stacks: [Option<Vec<u64>>; 2],
    /// Areas of memory of the current process.
    pub areas: Vec<Handle>,
    /// Variables of the kernel that each CPU has: name, CPU, what stands for it.
    pub variables: Vec<(String, u32, Handle)>,
    /// Registers with which the current task entered the kernel.
    pub registers: Option<Handle>,
    /// What an iterator printed for one element.
    pub printed: Vec<u8>,
    /// It did not fit.
    pub overflowed: bool,
}

/// Bytes that an iterator prints for one element, at most: the kernel's buffer, eight pages.
const MAX_PRINTED: usize = 8 << 12;
/// Folders in the name of a file, at most.
const MAX_FOLDERS: usize = 256;

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
    pub fn new(memory: Memory, now: u64) -> World {
        World {
            memory,
            now,
            cpu: 0,
            task: None,
            function: 0,
            signals: Vec::new(),
            stacks: [None, None],
            areas: Vec::new(),
            variables: Vec::new(),
            registers: None,
            printed: Vec::new(),
            overflowed: false,
        }
    }

    /// A number of at most 8 bytes of the current task.
    fn number(&self, path: &str) -> Option<u64> {
        let task = self.task?;
        self.number_of(Place::new(task.addr, task.ty), path)
    }

    /// The same of any structure.
    fn number_of(&self, start: Place, path: &str) -> Option<u64> {
        let path = Path::parse(path).ok()?;
        let memory = &self.memory;
        let place = walk(&memory.types, start, (&path.text, &path.steps), |place, _| {
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

    /// A structure of this name that is at this address.
    fn structure(&self, name: &str, addr: u64) -> Option<Place> {
        Some(Place::new(addr, self.memory.types.find(name, ring3_btf::Kind::Struct)?))
    }

    /// The name of the file at a `struct path`: names of entries up to the one that has no parent but itself.
    fn path_name(&mut self, path: u64) -> Option<Vec<u8>> {
        let mut entry = self.number_of(self.structure("path", path)?, "dentry").filter(|entry| *entry != 0)?;
        let mut names = Vec::new();
        for _ in 0..MAX_FOLDERS {
            let place = self.structure("dentry", entry)?;
            names.push(self.memory.text(place, &Path::parse("d_name.name").ok()?).ok()?);
            // There may be no such field.
            match self.number_of(self.structure("dentry", entry)?, "d_parent") {
                None | Some(0) => break,
                Some(parent) if parent == entry => break,
                Some(parent) => entry = parent,
            }
        }
        // The root is called so itself.
        let names: Vec<String> = names.into_iter().rev().filter(|name| name != "/").collect();
        Some(format!("/{}", names.join("/")).into_bytes())
    }

    /// The first bytes of a packet of the kernel.
    fn packet_bytes(&self, packet: u64, is_xdp: bool, len: usize) -> Option<Vec<u8>> {
        let at = || self.structure(if is_xdp { "xdp_buff" } else { "sk_buff" }, packet);
        let data = self.number_of(at()?, "data")?;
        let has =
            if is_xdp { self.number_of(at()?, "data_end")?.checked_sub(data)? } else { self.number_of(at()?, "len")? };
        let mut bytes = vec![0; usize::try_from(has).ok().filter(|has| *has >= len).map(|_| len)?];
        (len == 0 || self.memory.read(data, &mut bytes)).then_some(bytes)
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

    fn cpu_variable(&mut self, name: &str, cpu: u32) -> Option<u64> {
        let world = self.lock();
        let known = world.variables.iter().rfind(|(known, of, _)| known == name && *of == cpu);
        known.map(|(_, _, handle)| handle.addr)
    }

    fn send_signal(&mut self, signal: u32, _thread: bool) -> Result<(), Errno> {
        self.lock().signals.push(signal);
        Ok(())
    }

    fn read_user(&mut self, addr: u64, out: &mut [u8]) -> bool {
        self.lock().memory.user.read_at(addr, out)
    }

    fn stack(&mut self, user: bool) -> Option<Vec<u64>> {
        self.lock().stacks[usize::from(user)].clone()
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let mut world = self.lock();
        if world.overflowed || bytes.len() > MAX_PRINTED - world.printed.len() {
            world.overflowed = true;
            return Err(Errno::EOVERFLOW);
        }
        world.printed.extend_from_slice(bytes);
        Ok(())
    }

    fn path_name(&mut self, path: u64) -> Option<Vec<u8>> {
        self.lock().path_name(path)
    }

    fn memory_area(&mut self, _task: u64, addr: u64) -> Option<u64> {
        let world = self.lock();
        let bound = |area: &Handle, name| world.number_of(Place::new(area.addr, area.ty), name);
        let has = |area: &&Handle| {
            bound(area, "vm_start").is_some_and(|start| start <= addr)
                && bound(area, "vm_end").is_some_and(|end| addr < end)
        };
        world.areas.iter().find(has).map(|area| area.addr)
    }

    fn task_registers(&mut self, _task: u64) -> Option<u64> {
        self.lock().registers.map(Handle::addr)
    }

    fn packet_bytes(&mut self, packet: u64, is_xdp: bool, len: usize) -> Option<Vec<u8>> {
        self.lock().packet_bytes(packet, is_xdp, len)
    }

    fn types(&mut self) -> Option<Arc<Btf>> {
        Some(Arc::clone(&self.lock().memory.types))
    }
}
