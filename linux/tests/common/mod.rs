//! What the tests against the running kernel share.
#![allow(dead_code, reason = "each test uses a part")]

use ring3_linux::{LoadOptions, Loaded, available, load};
use ring3_object::Object;
use ring3_platform::{MapDef, MapType, ProgType, Program};

/// False where the kernel cannot be asked: then a line says why.
pub fn kernel(test: &str) -> bool {
    match available() {
        Ok(()) => true,
        Err(why) => {
            println!("skipped: {test}: {why}");
            false
        }
    }
}

pub fn program(kind: ProgType, text: &str) -> Program {
    Program::new("test", kind, ring3_isa::assemble(text).unwrap())
}

/// A program that adds 1 to the first element of its only map, an array of 8 bytes, and returns this.
pub fn counter(kind: ProgType, ret: i32) -> Program {
    let text = format!("r1 = map[fd:0][0]+0\nr2 = 1\nlock *(u64 *)(r1 +0) += r2\nr0 = {ret}\nexit");
    let mut program = program(kind, &text);
    program.maps = vec![std::sync::Arc::new(MapDef::new("count", MapType::Array, 4, 8, 1))];
    program
}

pub fn loaded(program: &Program) -> Loaded {
    load(program, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// What the counter has counted.
pub fn count(loaded: &Loaded) -> u64 {
    let value = loaded.maps[0].lookup(&[0; 4]).unwrap().unwrap();
    u64::from_ne_bytes(value.try_into().unwrap())
}

pub fn object(name: &str) -> Object {
    let path = format!("{}/../examples/bpf/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"));
    Object::parse(name, &std::fs::read(path).unwrap()).unwrap()
}

/// A cgroup of our own; gone when dropped, also by a test that fails.
pub struct Group(std::path::PathBuf);

impl Group {
    pub fn new(path: &str) -> Group {
        std::fs::create_dir(path).unwrap();
        Group(path.into())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just ended may still be in it for a moment.
        let gone = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            std::fs::remove_dir(&self.0).is_ok()
        });
        if !gone {
            println!("{} stays", self.0.display());
        }
    }
}
