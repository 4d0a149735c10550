//! Padded tails, on a disk that destroys the sector it is writing when the power fails.

use std::path::Path;
use std::sync::Arc;

use jidoka::base::ErrorKind;
use jidoka::ops::verify;
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::wal::reader::{Limit, LogReader};

use crate::model::STORE;

fn open(disk: &MemoryVfs, padded: bool) -> jidoka::base::Result<Store> {
    let builder = Store::builder(STORE).segment_bytes(20_480).padded_tails(padded);
    builder.runtime(runtime(disk, 1)).open()
}

fn put(store: &Store, key: u8) {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("k").unwrap(), &[key], &[key; 700]);
    store.commit(batch).unwrap();
}

fn keys(store: &Store) -> usize {
    store.range(&Keyspace::new("k").unwrap(), ..).map(Result::unwrap).count()
}

#[test]
fn padding_that_is_switched_on_protects_what_was_written_without_it() {
    let disk = MemoryVfs::new();
    let store = open(&disk, false).unwrap();
    (0..5).for_each(|key| put(&store, key));
    store.close().unwrap();
    drop(store);
    let images = Arc::new(Mutex::new(Vec::new()));
    let into = images.clone();
    disk.set_observer(Box::new(move |disk: &MemoryVfs, _: &Operation| {
        (0..8).for_each(|seed| into.lock().push(disk.crash_with(CrashMode::Hostile { seed })));
    }));
    put(&open(&disk, true).unwrap(), 5);
    disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() > 50, "{}", images.len());
    for image in images {
        assert!(keys(&open(&image, true).unwrap()) >= 5);
    }
}

/// A store whose recovery was stopped after it had saved the end of the log, with a sector of
/// that end destroyed.
fn stopped_recovery() -> MemoryVfs {
    let disk = MemoryVfs::new();
    let store = open(&disk, true).unwrap();
    (0..3).for_each(|key| put(&store, key));
    let left = disk.kill();
    disk.halt();
    let at = Selector {
        kind: Some(OperationKind::Remove),
        path_contains: Some("/TAIL".to_owned()),
        nth: 1,
    };
    let what = FaultKind::Error(std::io::ErrorKind::Other);
    left.plan(Fault { at, what, sticky: false });
    open(&left, true).unwrap_err();
    assert_eq!(left.faults_fired(), 1);
    let segment = Path::new(STORE).join("wal/0000000000000001.wal");
    let bytes = left.read_file(&segment).unwrap();
    let value = bytes.windows(700).position(|window| window == [2; 700]).unwrap() as u64;
    let destroyed = value.next_multiple_of(512);
    (destroyed..destroyed + 512).for_each(|at| left.flip(&segment, at, 0x5a).unwrap());
    left.kill()
}

#[test]
fn whoever_reads_the_log_sees_the_end_that_a_stopped_recovery_saved() {
    let disk = stopped_recovery();
    let machine = runtime(&disk, 2);
    assert_eq!(verify(STORE.as_ref(), &machine, false).unwrap().damage, []);
    let mut reader = LogReader::open(STORE.as_ref(), &machine).unwrap();
    let mut last = 0;
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        last = record.header.lsn.0;
    }
    reader.check_end().unwrap();
    let store = open(&disk, false).unwrap();
    assert_eq!((keys(&store), store.visible().0), (3, last));
}

#[test]
fn a_store_whose_segments_are_too_small_for_padding_is_refused_before_it_is_made() {
    let disk = MemoryVfs::new();
    let open = |bytes| {
        let builder = Store::builder(STORE).segment_bytes(bytes).padded_tails(true);
        builder.runtime(runtime(&disk, 1)).open()
    };
    assert_eq!(open(8192).unwrap_err().kind(), ErrorKind::Invalid);
    put(&open(12_288).unwrap(), 1);
}
