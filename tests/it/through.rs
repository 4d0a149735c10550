//! Groups that are written past the page cache.

use std::sync::Arc;

use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, Operation, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::wal::Durability;

use crate::model::STORE;

fn put(store: &Store, key: u8, durability: Durability) {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("k").unwrap(), &[key], &[key; 700]).durability(durability);
    store.commit(batch).unwrap();
}

fn keys(store: &Store) -> usize {
    store.range(&Keyspace::new("k").unwrap(), ..).map(Result::unwrap).count()
}

#[test]
fn what_was_written_through_survives_every_power_cut_after_its_answer() {
    let disk = MemoryVfs::new();
    let open = |disk: &MemoryVfs| {
        let builder = Store::builder(STORE).segment_bytes(16_384).write_through(true);
        builder.runtime(runtime(disk, 1)).open().unwrap()
    };
    let store = open(&disk);
    let images = Arc::new(Mutex::new(Vec::new()));
    let answered = Arc::new(Mutex::new(0));
    let (into, so_far) = (images.clone(), answered.clone());
    disk.set_observer(Box::new(move |disk: &MemoryVfs, _: &Operation| {
        into.lock().push((*so_far.lock(), disk.crash_with(CrashMode::Nothing)));
    }));
    for key in 0..60 {
        // Through a few segments, with groups in between that are only written.
        let durability = if key % 13 == 5 { Durability::Buffered } else { Durability::Sync };
        put(&store, key, durability);
        if durability == Durability::Sync {
            *answered.lock() = usize::from(key) + 1;
        }
    }
    disk.clear_observer();
    assert!(store.log_stats().active_segment >= 4);
    assert_eq!(disk.warnings(), [""; 0]);
    store.close().unwrap();
    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() > 120, "{}", images.len());
    for (answered, image) in images {
        assert!(keys(&open(&image)) >= answered, "{answered} were answered");
    }
}

#[test]
fn a_real_store_is_written_through_where_it_can_be_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let builder = |through| Store::builder(dir.path().join("store")).write_through(through);
    let store = builder(true).open().unwrap();
    (0..100).for_each(|key| put(&store, key, Durability::Sync));
    let stats = store.log_stats();
    assert_eq!((stats.syncs, stats.durable), (stats.groups, stats.appended));
    drop(store);
    assert_eq!(keys(&builder(false).open().unwrap()), 100);
}
