//! Puts a map of one's own in place of one that an object defines: here an array that counts how often programs look into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring3::vm::maps::{BPF_ANY, Behaviour, Custom, Map};
use ring3::{Engine, Error, MapDef};

/// What the map does beyond keeping its values.
#[derive(Debug, Default)]
struct Counted {
    lookups: AtomicU64,
}

impl Behaviour for Counted {
    fn lookup(&self, _values: &dyn Map, _key: &[u8], _cpu: u32) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> Result<(), Error> {
    let object = ring3::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bpf/drop_icmp.bpf.o"))?;
    let Some(def): Option<&Arc<MapDef>> = object.map("drop_count") else { return Ok(()) };
    let error = |errno| Error::Map { map: "drop_count".to_owned(), errno };
    let own = Arc::new(Custom::new(def, 2, Counted::default()).map_err(error)?);
    own.write(&0u32.to_ne_bytes(), &100u64.to_ne_bytes(), BPF_ANY).map_err(error)?;

    let mut instance = Engine::new().map("drop_count", own.clone()).load(&object)?;
    let ping = ring3::text::hex_bytes(
        "02000000000b02000000000a0800 4500001c00014000400126de0a0000010a000002 0800f7fd00010001",
    )
    .unwrap_or_default();
    instance.run("drop_icmp", &ping)?;
    println!("the counter stands at {}", instance.map("drop_count")?.get::<u32, u64>(0).unwrap_or_default());
    println!("programs looked it up {} times", own.behaviour().lookups.load(Ordering::Relaxed));
    Ok(())
}
