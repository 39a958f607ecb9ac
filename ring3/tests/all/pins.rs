//! Maps that are pinned to a folder, and readers of rings.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ring3::platform::MapFlags;
use ring3::platform::maps::Pinning;
use ring3::vm::maps::{self, BPF_ANY};
use ring3::{Engine, Error, Instance, MapDef, MapType, ProgType, Program, Reader, isa, pin};

/// A folder of the test's own; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ring3-pins-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn instance(defs: Vec<MapDef>) -> Instance {
    let code = isa::assemble("r0 = 0\nexit").unwrap();
    let mut program = Program::new("none", ProgType::Xdp, code);
    program.maps = defs.into_iter().map(Arc::new).collect();
    Engine::new().load_program(program)
}

fn pinned(kind: MapType, key: u32, value: u32, entries: u32) -> MapDef {
    let mut def = MapDef::new(kind.name(), kind, key, value, entries);
    def.pinning = Pinning::ByName;
    if kind == MapType::LpmTrie {
        def.flags = MapFlags::NO_PREALLOC;
    }
    def
}

fn all() -> Vec<MapDef> {
    use MapType::*;
    let keyed = [Hash, Array, PercpuHash, PercpuArray, LruHash, LruPercpuHash, LpmTrie].map(|kind| {
        let key = if kind == LpmTrie { 8 } else { 4 };
        pinned(kind, key, 12, 9)
    });
    let mut defs = keyed.to_vec();
    defs.extend([Queue, Stack].map(|kind| pinned(kind, 0, 12, 5)));
    defs
}

/// Every element of every map, and what queues give.
fn content(instance: &Instance) -> Vec<(String, Vec<u8>)> {
    let mut content = Vec::new();
    for map in instance.maps() {
        let raw = map.raw();
        let mut elements: Vec<Vec<u8>> =
            raw.keys().iter().map(|key| [key.clone(), raw.copy_out(key).unwrap()].concat()).collect();
        elements.sort();
        elements.extend(std::iter::from_fn(|| raw.pop().ok()));
        content.push((map.name().to_owned(), elements.concat()));
    }
    content
}

fn filled() -> Instance {
    let instance = instance(all());
    for map in instance.maps() {
        let cpus = if map.is_percpu() { map.cpus() as usize * 4 } else { 3 };
        for number in 1..5u32 {
            let key = match map.def().kind {
                MapType::LpmTrie => [number * 7, number].map(u32::to_ne_bytes).concat(),
                MapType::Queue | MapType::Stack => Vec::new(),
                _ => number.to_ne_bytes().to_vec(),
            };
            let value: Vec<u8> = (0..cpus as u32).flat_map(|part| (number * 100 + part).to_ne_bytes()).collect();
            map.raw().write(&key, &value, BPF_ANY).unwrap();
        }
    }
    instance
}

#[test]
fn content_comes_back() {
    let folder = Folder::new("content");
    let first = filled();
    let saved = first.save_pins(&folder.0).unwrap();
    assert_eq!(saved.len(), all().len());
    // Saving changes nothing, not even a queue; and it may be done again.
    assert_eq!(first.save_pins(&folder.0).unwrap(), saved);
    let second = instance(all());
    assert_eq!(second.restore_pins(&folder.0).unwrap().len(), all().len());
    let (first, second) = (content(&first), content(&second));
    assert_eq!(first, second);
    assert!(first.iter().all(|(_, elements)| !elements.is_empty()));
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), all().len());
}

#[test]
fn other_maps_stay_as_they_are() {
    let folder = Folder::new("others");
    let plain = instance(vec![MapDef::new("plain", MapType::Hash, 4, 4, 1)]);
    assert_eq!(plain.save_pins(&folder.0).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(plain.restore_pins(&folder.0).unwrap(), Vec::<String>::new());
    let ring = instance(vec![pinned(MapType::Ringbuf, 0, 0, 4096)]);
    let error = ring.save_pins(&folder.0).unwrap_err();
    assert!(matches!(error, Error::Pin { problem: pin::PinError::Type(MapType::Ringbuf), .. }), "{error}");
    let mut escape = pinned(MapType::Hash, 4, 4, 1);
    escape.name = "../escape".to_owned();
    assert!(matches!(
        instance(vec![escape]).save_pins(&folder.0),
        Err(Error::Pin { problem: pin::PinError::Name(_), .. })
    ));
}

#[test]
fn another_definition_is_refused() {
    let folder = Folder::new("definition");
    filled().save_pins(&folder.0).unwrap();
    for change in 0..4 {
        let mut def = pinned(MapType::Hash, 4, 12, 9);
        match change {
            0 => def.value_size = 16,
            1 => def.max_entries = 10,
            2 => def.flags = MapFlags::NO_PREALLOC,
            _ => def.kind = MapType::LruHash,
        }
        let error = instance(vec![def]).restore_pins(&folder.0).unwrap_err();
        assert!(matches!(error, Error::Pin { problem: pin::PinError::Mismatch { .. }, .. }), "{error}");
    }
}

#[test]
fn damaged_files_are_errors() {
    let filled = filled();
    for map in filled.maps() {
        let file = pin::encode(map.raw().as_ref(), map.cpus()).unwrap();
        let fresh = || maps::create(map.def(), map.cpus()).unwrap();
        pin::decode(&file, fresh().as_ref(), map.cpus()).unwrap();
        for len in 0..file.len() {
            assert!(pin::decode(&file[..len], fresh().as_ref(), map.cpus()).is_err(), "{} of {len} bytes", map.name());
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x81;
            // Elements may be anything; nothing else may.
            let done = pin::decode(&damaged, fresh().as_ref(), map.cpus());
            assert!(done.is_err() || at >= 52, "{} with another byte {at}", map.name());
        }
    }
}

#[test]
fn readers_call_back() {
    let mut events = pinned(MapType::PerfEventArray, 4, 4, 2);
    events.name = "events".to_owned();
    let instance = instance(vec![pinned(MapType::Ringbuf, 0, 0, 4096), events]);
    let (ring, events) = (instance.map("ringbuf").unwrap(), instance.map("events").unwrap());
    // Loading may have opened the events of each CPU already.
    let _ = events.raw().open_event(0, 0);
    let (mut lengths, mut cpus) = (Vec::new(), Vec::new());
    let mut reader = Reader::new();
    reader
        .add(&ring, |record| {
            lengths.push(record.data.len());
            if record.data.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    reader
        .add(&events, |record| {
            cpus.push(record.cpu);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(reader.poll(Duration::from_millis(1)), 0);
    for len in 1..4 {
        maps::send(ring.raw().as_ref(), &vec![7; len]).unwrap();
    }
    events.raw().output(0, 0, b"four").unwrap();
    assert_eq!(reader.consume(), 3);
    assert_eq!(reader.poll(Duration::from_secs(10)), 1);
    // Who sleeps is woken from another thread.
    let other = ring.raw().clone();
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        maps::send(other.as_ref(), &[1; 9]).unwrap();
    });
    assert_eq!(reader.poll(Duration::from_secs(60)), 1);
    sender.join().unwrap();
    assert_eq!(reader.lost(), 0);
    drop(reader);
    assert_eq!((lengths, cpus), (vec![1, 2, 3, 9], vec![Some(0)]));
    let hash = filled();
    let error = Reader::new().add(&hash.map("hash").unwrap(), |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, Error::Map { .. }));
}
