//! One thread between two steps of another: what is deleted while an evictor goes over the lists is given back once, by one of them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use ring3_platform::{MapDef, MapType};

use super::super::Hash;
use super::Moment;
use crate::maps::{BPF_ANY, BPF_NOEXIST, Map};

/// What a thread does when it comes to a moment.
type Hook = Box<dyn FnMut(Moment)>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Calls the thread's hook, which may use the map itself: then it is not called again.
pub(super) fn reached(moment: Moment) {
    let hook = HOOK.take();
    if let Some(mut hook) = hook {
        hook(moment);
        HOOK.set(Some(hook));
    }
}

/// Room for two, which are in it: 1, the older one, was looked up if `used`.
fn full(used: bool) -> Hash {
    let map = Hash::new(&Arc::new(MapDef::new("m", MapType::LruHash, 4, 8, 2)), 1).unwrap();
    for key in [1u32, 2] {
        map.update(&key.to_ne_bytes(), &[0; 8], BPF_NOEXIST, 0).unwrap();
    }
    if used {
        map.lookup_ptr(&1u32.to_ne_bytes(), 0).unwrap();
    }
    map
}

fn keys(map: &Hash) -> Vec<u32> {
    let mut keys: Vec<u32> = map.keys().iter().map(|key| u32::from_ne_bytes(key[..].try_into().unwrap())).collect();
    keys.sort_unstable();
    keys
}

/// Tells when the thread came to `awaited`, the first time; at `awaited` or else at its end whoever listens goes on.
fn tell(awaited: Moment, done: Sender<()>) {
    let mut done = Some(done);
    HOOK.set(Some(Box::new(move |moment| {
        if moment == awaited {
            drop(done.take());
        }
    })));
}

/// Does one thing, and when that comes to `moment` first, starts another one and waits until it came to `awaited` or its end.
fn between(moment: Moment, awaited: Moment, map: &Hash, one: impl FnOnce(&Hash), other: impl FnOnce(&Hash) + Send) {
    std::thread::scope(|scope| {
        let (start, started) = channel::<()>();
        let (done, waits) = channel::<()>();
        scope.spawn(move || {
            // An error is that the sender is gone: it was never there to send.
            let _ = started.recv();
            tell(awaited, done);
            other(map);
            HOOK.set(None);
        });
        let mut start = Some(start);
        HOOK.set(Some(Box::new(move |reached| {
            if reached == moment && start.take().is_some() {
                let _ = waits.recv();
            }
        })));
        one(map);
        let hook = HOOK.take();
        drop(hook);
    });
}

#[test]
fn what_is_deleted_while_it_is_passed_over_is_free() {
    let map = full(true);
    let evicts = |map: &Hash| map.update(&3u32.to_ne_bytes(), &[0; 8], BPF_ANY, 0).unwrap();
    let deletes = |map: &Hash| map.delete(&1u32.to_ne_bytes()).unwrap();
    between(Moment::PassedOver, Moment::Found, &map, evicts, deletes);
    assert_eq!((keys(&map), map.len()), (vec![3], 1));
    map.update(&4u32.to_ne_bytes(), &[0; 8], BPF_ANY, 0).unwrap();
    assert_eq!((keys(&map), map.len()), (vec![3, 4], 2));
}

#[test]
fn what_is_claimed_while_it_is_deleted_is_the_evictors() {
    let map = full(false);
    // Who deletes holds the bucket of its key, so that the new key has to be in another.
    let bucket = |key: u32| map.entry(&key.to_ne_bytes()).unwrap().number;
    let new = (3..100).find(|key| bucket(*key) != bucket(1)).unwrap();
    let deletes = |map: &Hash| map.delete(&1u32.to_ne_bytes()).unwrap();
    let evicts = |map: &Hash| map.update(&new.to_ne_bytes(), &[0; 8], BPF_ANY, 0).unwrap();
    between(Moment::Found, Moment::Claimed, &map, deletes, evicts);
    assert_eq!((keys(&map), map.len()), (vec![2, new], 2));
    map.update(&100u32.to_ne_bytes(), &[0; 8], BPF_ANY, 0).unwrap();
    assert_eq!((keys(&map), map.len()), (vec![new, 100], 2));
}
