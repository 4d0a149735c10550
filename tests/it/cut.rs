//! What a recovery writes, gives back and reports when it cuts the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, Operation, OperationKind, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::LogReader;
use jidoka::wal::reader::Limit;

use crate::model::{STORE, open};

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

fn put(store: &Store, number: u8) {
    let mut batch = Batch::new();
    batch.put(&pots(), &[number], &[number; 900]);
    store.commit(batch).unwrap();
}

/// A killed store of so many commits, three to a segment; nothing of it is pending.
fn killed(commits: u8) -> MemoryVfs {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..commits).for_each(|number| put(&store, number));
    disk.crash_with(CrashMode::Everything)
}

fn segment(number: u64) -> PathBuf {
    Path::new(STORE).join(format!("wal/{number:016}.wal"))
}

/// Where the log ends: the segment and the offset in it.
fn end_of_log(disk: &MemoryVfs) -> (PathBuf, u64) {
    let mut reader = LogReader::open(Path::new(STORE), &runtime(disk, 1)).unwrap();
    while reader.next(Limit::Everything).unwrap().is_some() {}
    let (number, offset) = reader.end_of_log().unwrap();
    (segment(number.0), offset)
}

/// How often each file is written and synced while the store opens.
fn opened(disk: &MemoryVfs) -> (Store, BTreeMap<(OperationKind, PathBuf), u64>) {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let sink = Arc::clone(&counts);
    disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        *sink.lock().entry((operation.kind, operation.path.clone())).or_default() += 1;
    }));
    let store = open(disk, 9).unwrap();
    disk.clear_observer();
    let counts = std::mem::take(&mut *counts.lock());
    (store, counts)
}

#[test]
fn only_what_two_claims_do_not_prove_is_written_again() {
    let disk = killed(30);
    let (tail, _) = end_of_log(&disk);
    let before = disk.files();
    let (store, counts) = opened(&disk);
    assert_eq!(store.range(&pots(), ..).count(), 30);
    let rewritten = store.recovery().rewritten_bytes;
    assert!((4096..=16384).contains(&rewritten), "{rewritten}");
    let old: Vec<_> = before.into_iter().map(|(path, _)| path).collect();
    let touched: Vec<_> = counts
        .iter()
        .filter(|((kind, path), _)| *kind == OperationKind::Write && old.contains(path))
        .map(|((_, path), _)| path.clone())
        .collect();
    assert!(touched.contains(&tail) && touched.len() <= 2, "{touched:?}");
    for path in touched {
        // Twice: a file system may report a failed sync at the next.
        assert_eq!(counts.get(&(OperationKind::Sync, path.clone())), Some(&2), "{path:?}");
    }
}

#[test]
fn a_log_that_nothing_proves_is_written_again_with_its_header_page() {
    let disk = killed(1);
    let (_, end) = end_of_log(&disk);
    assert!(end < 8192 - 88);
    let (store, _) = opened(&disk);
    assert_eq!(store.recovery().rewritten_bytes, 8192);
}

#[test]
fn a_cut_gives_back_the_rest_of_the_segment_and_removes_what_is_not_the_log() {
    let disk = killed(4);
    let (tail, end) = end_of_log(&disk);
    assert_eq!(tail, segment(2));
    let beside = |name: &str| Path::new(STORE).join("wal").join(name);
    for name in ["0000000000000003.tmp", "0000000000000004.wal", "0000000000000009.wal"] {
        let file = disk.open(&beside(name), OpenMode::CreateNew).unwrap();
        file.write_all_at(b"left by somebody who died", 0).unwrap();
    }
    let (store, _) = opened(&disk);
    assert_eq!((store.recovery().case, store.recovery().cut_bytes), ("@K", 0));
    let wal: Vec<_> =
        disk.files().into_iter().filter(|(path, _)| path.starts_with("/store/wal")).collect();
    // The end is an 88 byte record.
    let given_back = (end + 88).next_multiple_of(4096);
    assert_eq!(wal, [(segment(1), 8192), (tail, given_back), (segment(3), 8192)]);
    assert_eq!(store.range(&pots(), ..).count(), 4);
    // A tail that is not full gives back the rest.
    let full = killed(1);
    let larger = Store::builder("/larger").segment_bytes(65536).runtime(runtime(&full, 1));
    let open_still = larger.open().unwrap();
    put(&open_still, 1);
    let cut = full.kill();
    let again = Store::builder("/larger").runtime(runtime(&cut, 2)).open().unwrap();
    assert_eq!(again.range(&pots(), ..).count(), 1);
    let first = Path::new("/larger/wal/0000000000000001.wal");
    assert!(cut.files().contains(&(first.to_path_buf(), 8192)), "{:?}", cut.files());
}

#[test]
fn exactly_the_torn_bytes_are_reported() {
    for (at, bytes) in [(8000, &b"garbage"[..]), (8191, b"x")] {
        let disk = killed(2);
        let (tail, end) = end_of_log(&disk);
        let file = disk.open(&tail, OpenMode::ReadWrite).unwrap();
        file.write_all_at(bytes, at).unwrap();
        let (store, _) = opened(&disk);
        let torn = at + u64::try_from(bytes.len()).unwrap() - end;
        assert_eq!((store.recovery().case, store.recovery().cut_bytes), ("@L", torn));
    }
}

#[test]
fn a_store_whose_log_directory_is_gone_misses_its_first_segment() {
    let whole = killed(3);
    let disk = MemoryVfs::new();
    disk.create_dir(Path::new(STORE)).unwrap();
    let path = Path::new(STORE).join("IDENTITY");
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_all_at(&whole.read_file(&path).unwrap(), 0).unwrap();
    let error = open(&disk, 9).unwrap_err();
    assert_eq!(error.kind(), jidoka::base::ErrorKind::Corrupt, "{error:?}");
    assert_eq!(error.place().path.as_deref(), Some(Path::new("wal/0000000000000001.wal")));
}
