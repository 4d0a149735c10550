//! A disk that takes no more: what adds is refused, what takes away and the close are not.

use std::path::Path;

use jidoka::base::{Error, ErrorKind};
use jidoka::store::{Batch, Keyspace, Store, StoreBuilder};
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::wal::{Durability, OpenSettings, Wal};

const STORE: &str = "/store";

fn builder(disk: &MemoryVfs, padded: bool) -> StoreBuilder {
    let segment_bytes = if padded { 16_384 } else { 8192 };
    let builder = Store::builder(STORE).runtime(runtime(disk, disk.operations()));
    builder.segment_bytes(segment_bytes).padded_tails(padded)
}

fn key(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn put(store: &Store, number: u64, value_bytes: usize) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("k").unwrap(), &key(number), &vec![7; value_bytes]);
    store.commit(batch).map(|_| ())
}

fn delete(store: &Store, number: u64) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.delete(&Keyspace::new("k").unwrap(), &key(number));
    store.commit(batch).map(|_| ())
}

fn used(disk: &MemoryVfs) -> u64 {
    disk.files().iter().map(|(_, size)| size).sum()
}

/// Fills a disk that has `left` bytes beside a new store, and uses what is kept for that.
fn fill(left: u64, value_bytes: usize, padded: bool, background: bool) -> u64 {
    let disk = MemoryVfs::new();
    let store = builder(&disk, padded).open().unwrap();
    put(&store, 0, value_bytes).unwrap();
    disk.set_capacity(Some(used(&disk) + left));
    let mut puts = 1;
    let refused = loop {
        match put(&store, puts, value_bytes) {
            Ok(()) => puts += 1,
            Err(error) => break error,
        }
        if background {
            let _full = store.step();
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Full, "{refused:?}");
    delete(&store, 0).unwrap();
    assert_eq!(put(&store, puts, value_bytes).unwrap_err().kind(), ErrorKind::Full);
    store.close().unwrap();
    let store = builder(&disk, padded).open().unwrap();
    assert_eq!(store.recovery().case, "@J", "as clean as any other close");
    let shown = |number| store.get(&Keyspace::new("k").unwrap(), &key(number)).unwrap().is_some();
    assert!(!shown(0), "the delete was acknowledged");
    assert!((1..puts).all(shown), "so were {puts} puts");
    assert_eq!(put(&store, puts, value_bytes).unwrap_err().kind(), ErrorKind::Full);
    delete(&store, puts - 1).unwrap();
    disk.set_capacity(None);
    put(&store, puts, value_bytes).unwrap();
    store.close().unwrap();
    puts
}

#[test]
fn on_a_full_disk_a_delete_and_a_close_succeed_and_the_next_open_is_clean() {
    let mut most = 0;
    for left in (0..5 * 8192).step_by(1111) {
        for value_bytes in [100, 700] {
            for background in [false, true] {
                most = most.max(fill(left, value_bytes, false, background));
                fill(left, value_bytes, true, background);
            }
        }
    }
    assert!(most > 60, "segments were made until there was no space: {most} puts");
}

#[test]
fn a_commit_that_may_add_is_refused_before_the_last_quarter_and_bookkeeping_is_not() {
    let disk = MemoryVfs::new();
    let settings = OpenSettings { segment_bytes: 65_536, ..OpenSettings::default() };
    let dir = Path::new("/log");
    let log = Wal::open(dir, &runtime(&disk, 1), &settings, &mut |_| Ok(())).unwrap();
    disk.set_capacity(Some(used(&disk)));
    let mut commits = 0;
    while log.commit(vec![1; 952], Durability::Sync).is_ok() {
        commits += 1;
    }
    // Three quarters less the header page and what opens the segment and the era, in KiB.
    assert_eq!(commits, 43);
    for _ in 0..3 {
        log.time_mark().unwrap();
    }
    // A vote fits where no commit does.
    assert_eq!(log.commit(vec![1; 8], Durability::Memory).map_err(|e| e.kind()).ok(), None);
    log.close().unwrap();
}
