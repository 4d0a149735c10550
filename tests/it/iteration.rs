//! Reading against a model: any range, from either end, at any commit.

use std::collections::BTreeMap;
use std::ops::Bound;

use jidoka::store::{Batch, KeyValue, Keyspace, Snapshot, Store};
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::wal::Durability;

use crate::model::{Choices, STORE};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

fn open() -> Store {
    let runtime = runtime(&MemoryVfs::new(), 1);
    Store::builder(STORE).segment_bytes(1 << 20).runtime(runtime).open().unwrap()
}

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

/// Keys of up to three bytes, of which many are prefixes of others, and some end in 255.
fn key(choices: &mut Choices) -> Vec<u8> {
    let len = choices.below(4);
    (0..len).map(|_| [0, 1, 7, 254, 255][choices.below(5)]).collect()
}

fn change(store: &Store, model: &mut Model, choices: &mut Choices) {
    let mut batch = Batch::new();
    batch.durability(Durability::Memory);
    for _ in 0..=choices.below(6) {
        let key = key(choices);
        if choices.below(3) == 0 {
            batch.delete(&pots(), &key);
            model.remove(&key);
        } else {
            let value = choices.draw().to_le_bytes();
            batch.put(&pots(), &key, &value);
            model.insert(key, value.to_vec());
        }
    }
    store.commit(batch).unwrap();
}

fn bound(choices: &mut Choices) -> Bound<Vec<u8>> {
    match choices.below(5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(key(choices)),
        _ => Bound::Excluded(key(choices)),
    }
}

fn within(model: &Model, (low, high): &Bounds) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inside = |key: &Vec<u8>| {
        let above = match low {
            Bound::Included(low) => key >= low,
            Bound::Excluded(low) => key > low,
            Bound::Unbounded => true,
        };
        let below = match high {
            Bound::Included(high) => key <= high,
            Bound::Excluded(high) => key < high,
            Bound::Unbounded => true,
        };
        above && below
    };
    model.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn pair(found: &KeyValue) -> (Vec<u8>, Vec<u8>) {
    (found.key.to_vec(), found.value.to_vec())
}

/// Compares one random question about `snapshot` with the model.
fn ask(snapshot: &Snapshot, model: &Model, choices: &mut Choices) {
    let wanted = key(choices);
    let found = snapshot.get(&pots(), &wanted).unwrap();
    assert_eq!(found.map(|found| found.value.to_vec()).as_ref(), model.get(&wanted));
    let bounds = (bound(choices), bound(choices));
    let expected = within(model, &bounds);
    let mut iter = snapshot.range(&pots(), bounds.clone()).map(|found| pair(&found.unwrap()));
    let (mut front, mut back) = (Vec::new(), Vec::new());
    let from_the_back = choices.below(4);
    loop {
        let at_the_back = choices.below(3) < from_the_back;
        let next = if at_the_back { iter.next_back() } else { iter.next() };
        let Some(next) = next else { break };
        if at_the_back { &mut back } else { &mut front }.push(next);
    }
    assert!(iter.next().is_none() && iter.next_back().is_none(), "the ends have met");
    front.extend(back.into_iter().rev());
    assert_eq!(front, expected, "{bounds:?}");
    let prefix = key(choices);
    let expected: Vec<_> =
        model.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(k, _)| k.clone()).collect();
    let keys = |found: jidoka::store::Iter| -> Vec<Vec<u8>> {
        found.map(|found| found.unwrap().key.to_vec()).collect()
    };
    assert_eq!(keys(snapshot.prefix(&pots(), &prefix)), expected, "{prefix:?}");
    let after = key(choices);
    let expected: Vec<_> = expected.into_iter().filter(|key| *key > after).collect();
    let found = keys(snapshot.prefix_after(&pots(), &prefix, &after));
    assert_eq!(found, expected, "{prefix:?} after {after:?}");
}

#[test]
fn every_range_from_either_end_is_what_a_sorted_map_gives() {
    for seed in 0..30 {
        let (store, mut choices) = (open(), Choices::new(seed));
        let mut model = Model::new();
        let mut held: Vec<(Snapshot, Model)> = Vec::new();
        for _ in 0..120 {
            change(&store, &mut model, &mut choices);
            ask(&store.snapshot(), &model, &mut choices);
            if choices.below(6) == 0 {
                held.push((store.snapshot(), model.clone()));
            }
            if held.len() > 5 {
                held.swap_remove(choices.below(6));
            }
            for (snapshot, model) in &held {
                ask(snapshot, model, &mut choices);
                ask(&snapshot.clone(), model, &mut choices);
            }
        }
        assert!(model.len() > 20, "{}", model.len());
    }
}

#[test]
fn an_iterator_over_more_keys_than_it_fetches_at_once_does_not_see_later_commits() {
    let store = open();
    let keys: Vec<Vec<u8>> = (0..1000).map(|key| format!("{key:04}").into_bytes()).collect();
    let mut batch = Batch::new();
    for key in &keys {
        batch.put(&pots(), key, b"old");
    }
    store.commit(batch).unwrap();
    let (mut forward, mut backward) = (store.range(&pots(), ..), store.range(&pots(), ..).rev());
    let mut seen = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let found = forward.next().unwrap().unwrap();
        assert_eq!((&found.key[..], &found.value[..]), (&key[..], &b"old"[..]));
        seen.push(backward.next().unwrap().unwrap().key.to_vec());
        let mut batch = Batch::new();
        batch.durability(Durability::Memory);
        batch.put(&pots(), &keys[999 - index], b"new").delete(&pots(), key);
        store.commit(batch).unwrap();
    }
    seen.reverse();
    assert_eq!(seen, keys);
    assert!(forward.next().is_none() && backward.next().is_none());
}

#[test]
fn old_versions_are_kept_while_a_snapshot_needs_them_and_go_when_none_does() {
    let store = open();
    let put = |value: &[u8]| {
        let mut batch = Batch::new();
        batch.put(&pots(), b"a", value).durability(Durability::Memory);
        store.commit(batch).unwrap();
    };
    put(&[0; 1000]);
    let held = store.snapshot();
    let copy = held.clone();
    (1..50).for_each(|byte| put(&[byte; 1000]));
    drop(held);
    assert_eq!(copy.get(&pots(), b"a").unwrap().unwrap().value[..], [0; 1000]);
    assert!(store.memory_bytes() > 2000, "{}", store.memory_bytes());
    drop(copy);
    put(&[50; 1000]);
    put(&[51; 1000]);
    assert!(store.memory_bytes() < 3000, "{} bytes for one key", store.memory_bytes());
    let before = store.memory_bytes();
    let mut batch = Batch::new();
    batch.delete(&pots(), b"a");
    store.commit(batch).unwrap();
    for _ in 0..8 {
        let mut batch = Batch::new();
        batch.put(&pots(), b"b", b"");
        store.commit(batch).unwrap();
    }
    assert!(store.memory_bytes() + 900 < before, "{} bytes, deleted", store.memory_bytes());
}

#[test]
fn a_keyspace_comes_with_its_first_value_and_not_with_a_deletion() {
    let store = open();
    let empty = store.snapshot();
    let mut batch = Batch::new();
    batch.delete(&pots(), b"a");
    store.commit(batch).unwrap();
    assert_eq!(store.snapshot().keyspaces(), []);
    let mut batch = Batch::new();
    batch.put(&pots(), b"", b"the empty key");
    store.commit(batch).unwrap();
    assert_eq!(store.snapshot().keyspaces(), [pots()]);
    assert_eq!(store.range(&pots(), ..).count(), 1);
    assert_eq!((empty.keyspaces().len(), empty.range(&pots(), ..).count()), (0, 0));
}
