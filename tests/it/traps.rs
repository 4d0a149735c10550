//! Traps of write-ahead logs (`docs/traps.md`) that no other test walks into on purpose.
#![expect(
    clippy::disallowed_methods,
    reason = "who waits for a leader is a thread of the program, not of the store"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jidoka::base::{ErrorKind, Timestamp};
use jidoka::ops::verify;
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, SimClock,
    SyncFailure, runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{FileExt, OpenMode, Runtime, Vfs};
use jidoka::wal::Durability;
use jidoka::wal::reader::{Limit, LogReader, OwnedRecord};

use crate::model::STORE;

const SEGMENT_BYTES: u64 = 1 << 14;

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

fn open(disk: &MemoryVfs, seed: u64) -> jidoka::base::Result<Store> {
    let machine = runtime(disk, seed);
    Store::builder(STORE).segment_bytes(SEGMENT_BYTES).runtime(machine).open()
}

fn batch(key: u8, value: &[u8], durability: Durability) -> Batch {
    let mut batch = Batch::new();
    batch.put(&pots(), &[key], value).durability(durability);
    batch
}

fn put(store: &Store, key: u8, value: &[u8]) {
    store.commit(batch(key, value, Durability::Sync)).unwrap();
}

/// Every key with its value.
type Shown = BTreeMap<u8, Vec<u8>>;

fn shown(store: &Store) -> Shown {
    let pairs = store.range(&pots(), ..).map(Result::unwrap);
    pairs.map(|pair| (pair.key[0], pair.value.to_vec())).collect()
}

fn segment(number: u64) -> PathBuf {
    Path::new(STORE).join(format!("wal/{number:016}.wal"))
}

fn all_files(disk: &MemoryVfs) -> BTreeMap<PathBuf, Vec<u8>> {
    let bytes = |path: &Path| disk.read_file(path).unwrap();
    disk.files().into_iter().map(|(path, _)| (path.clone(), bytes(&path))).collect()
}

fn read_all(reader: &mut LogReader, limit: Limit) -> Vec<OwnedRecord> {
    std::iter::from_fn(|| reader.next(limit).unwrap()).collect()
}

/// Some readers take a record whose last byte or sector is zero for one that was cut short.
#[test]
fn values_of_zeroes_are_neither_torn_nor_the_end() {
    for len in [0, 1, 7, 511, 512, 513, 4024, 4096, 9000] {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        for key in 0..3 {
            put(&store, key, &vec![0; len]);
        }
        let expected = shown(&store);
        for image in [disk.kill(), disk.crash_with(CrashMode::Nothing)] {
            let again = open(&image, 2).unwrap();
            assert_eq!(shown(&again), expected, "{len} zeroes");
            assert_eq!(again.recovery().cut_bytes, 0, "{len} zeroes");
        }
        store.close().unwrap();
        assert_eq!(open(&disk, 3).unwrap().recovery().case, "@J", "{len} zeroes");
    }
}

/// A value that holds records of this very log, from a future that did not happen, and of another
/// one at the place where they were. If the record around it is torn, they claim what comes after.
#[test]
fn a_value_that_imitates_the_log_is_only_a_value() {
    let future = |seed| {
        let disk = MemoryVfs::new();
        let store = open(&disk, seed).unwrap();
        put(&store, 0, b"before");
        let (fork, place) = (disk.kill(), store.log_stats().written_bytes);
        let ahead = open(&fork, 50).map(|store| (0..40).for_each(|key| put(&store, key, b"ahead")));
        assert!(ahead.is_ok() && place > 0);
        let last = fork.files().into_iter().map(|(path, _)| path).max_by_key(|path| {
            fork.read_file(path).unwrap().iter().filter(|byte| **byte != 0).count()
        });
        let bytes = fork.read_file(last.unwrap()).unwrap();
        bytes[4096..].iter().copied().take(9000).collect::<Vec<u8>>()
    };
    let mut torn = 0;
    for (seed, shift) in [1, 77].into_iter().flat_map(|seed| (0..8).map(move |s| (seed, s))) {
        let imitation = [vec![0; shift], future(seed)].concat();
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        put(&store, 0, b"before");
        let before = shown(&store);
        let whole = store.log_stats().written_bytes;
        store.commit(batch(1, &imitation, Durability::Buffered)).unwrap();
        assert!(store.log_stats().written_bytes > whole);
        let bytes = disk.read_file(segment(1)).unwrap();
        let value = bytes.windows(64).rposition(|found| found == &imitation[shift..shift + 64]);
        // The header is the one thing that does not arrive.
        let image = disk.crash_with(CrashMode::Everything);
        image.flip(segment(1), u64::try_from(value.unwrap() - shift - 60).unwrap(), 0xff).unwrap();
        let again = open(&image, 2).unwrap_or_else(|error| panic!("{seed} {shift}: {error:?}"));
        assert_eq!(shown(&again), before, "{seed} {shift}");
        torn += u64::from(again.recovery().case == "@L");
        // Where the record is whole, the value is what it is.
        let kept = open(&disk.kill(), 3).unwrap();
        assert_eq!(shown(&kept)[&1], imitation, "{seed} {shift}");
    }
    assert_eq!(torn, 16);
}

/// Files after the last segment: a creation that was cut short, or somebody else's segment.
#[test]
fn what_lies_beyond_the_end_is_no_part_of_the_log() {
    let other = MemoryVfs::new();
    let theirs = open(&other, 99).unwrap();
    (0..3).for_each(|key| put(&theirs, key, b"theirs"));
    let foreign = other.read_file(segment(1)).unwrap();
    let debris = [Vec::new(), vec![0xa5; 700], vec![0; 16384], vec![0xff; 16384], foreign];
    for (closed, bytes) in
        [false, true].into_iter().flat_map(|c| debris.iter().map(move |b| (c, b)))
    {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        (0..3).for_each(|key| put(&store, key, b"ours"));
        let expected = shown(&store);
        if closed {
            store.close().unwrap();
        }
        let disk = disk.crash_with(CrashMode::Everything);
        for number in [2, 3, 7] {
            let file = disk.open(&segment(number), OpenMode::CreateNew).unwrap();
            file.write_all_at(bytes, 0).unwrap();
        }
        let again = open(&disk, 2).unwrap();
        assert_eq!(shown(&again), expected, "closed: {closed}, {} bytes", bytes.len());
        // The log goes on over these names.
        for key in 10..40 {
            put(&again, key, &[key; 3000]);
        }
        assert!(again.log_stats().active_segment > 7);
        let expected = shown(&again);
        let cut = open(&disk.crash_with(CrashMode::Nothing), 3).unwrap();
        assert_eq!(shown(&cut), expected, "closed: {closed}, {} bytes", bytes.len());
    }
}

/// Who only reads repairs nothing, cuts nothing and removes nothing, whatever is there.
#[test]
fn readers_change_nothing_whatever_they_find() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..9).for_each(|key| put(&store, key, &[key; 2500]));
    store.commit(batch(9, &[9; 5000], Durability::Buffered)).unwrap();
    let running = disk.clone();
    let torn = disk.crash_with(CrashMode::Random { seed: 3, keep_per_256: 128 });
    let littered = disk.kill();
    let left = Path::new(STORE).join("wal/0000000000000009.tmp");
    littered.open(&left, OpenMode::CreateNew).unwrap().write_all_at(b"left over", 0).unwrap();
    let rotten = disk.kill();
    rotten.flip(segment(1), 5000, 1).unwrap();
    let short = disk.kill();
    short.open(&segment(2), OpenMode::ReadWrite).unwrap().set_len(5000).unwrap();
    let mut refused = 0;
    for (name, disk) in [
        ("running", running),
        ("torn", torn),
        ("littered", littered),
        ("rotten", rotten),
        ("short", short),
    ] {
        let before = all_files(&disk);
        let changes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&changes);
        disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
            sink.lock().push(operation.clone());
        }));
        for limit in [Limit::Claims, Limit::Everything] {
            let mut reader = LogReader::open(Path::new(STORE), &runtime(&disk, 5)).unwrap();
            while let Ok(Some(_)) = reader.next(limit) {}
            refused += u32::from(reader.check_end().is_err());
        }
        assert_eq!(*changes.lock(), [], "{name}");
        // A verification holds the lock, and writes there who holds it.
        let _report = verify(Path::new(STORE), &runtime(&disk, 6), false);
        disk.clear_observer();
        let elsewhere = changes.lock().iter().any(|change| !change.path.ends_with("LOCK"));
        assert!(!elsewhere, "{name}: {:?}", changes.lock());
        let mut after = all_files(&disk);
        let lock = Path::new(STORE).join("LOCK");
        after.insert(lock.clone(), before[&lock].clone());
        assert!(after == before, "{name}: a file is not what it was");
    }
    assert!(refused >= 2, "{refused}");
}

/// A place that cannot be read is not the end, neither for followers nor for a verification. A
/// follower once began at the first segment again after it could not open the next one, found
/// nothing there that followed, and gave no more records.
#[test]
fn a_place_that_cannot_be_read_is_no_end_for_readers_either() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..20).for_each(|key| put(&store, key, &[key; 3000]));
    store.close().unwrap();
    let dir = Path::new(STORE);
    let machine = runtime(&disk, 5);
    let whole = read_all(&mut LogReader::open(dir, &machine).unwrap(), Limit::Claims);
    let sound = verify(dir, &machine, false).unwrap();
    let mut failures = 0;
    for kind in [OperationKind::Read, OperationKind::Open, OperationKind::List, OperationKind::Size]
    {
        for nth in 0..24 {
            let at = Selector { kind: Some(kind), nth, ..Selector::default() };
            let what = FaultKind::Error(std::io::ErrorKind::Other);
            let image = disk.kill();
            image.plan(Fault { at: at.clone(), what, sticky: false });
            let name = format!("{kind:?} {nth}");
            match LogReader::open(dir, &runtime(&image, 6)) {
                Ok(mut reader) => {
                    let mut read = Vec::new();
                    loop {
                        match reader.next(Limit::Claims) {
                            Ok(Some(record)) => read.push(record),
                            Ok(None) => break,
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error:?}");
                                failures += 1;
                            }
                        }
                    }
                    assert!(read == whole, "{name}: {} records, not {}", read.len(), whole.len());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error:?}"),
            }
            let image = disk.kill();
            image.plan(Fault { at, what, sticky: false });
            match verify(dir, &runtime(&image, 7), false) {
                Ok(report) => assert_eq!((report, image.faults_fired()), (sound.clone(), 0)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error:?}");
                    failures += 1;
                }
            }
        }
    }
    assert!(failures > 20, "{failures}");
}

/// A leader who panics leaves no flag set: everybody who waits is told, and so is who comes later.
#[test]
fn a_panic_of_the_leader_leaves_nobody_waiting() {
    const THREADS: u8 = 6;
    for kind in [OperationKind::Write, OperationKind::Sync] {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        put(&store, 0, b"before");
        let watched = store.clone();
        disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
            // Not before some wait for this group, and some for the next.
            if operation.kind == kind {
                while watched.log_stats().commits < 1 + u64::from(THREADS) {
                    std::thread::yield_now();
                }
                panic!("in the middle of a group");
            }
        }));
        let (told, ends) = mpsc::channel();
        for key in 1..=THREADS {
            let (store, told) = (store.clone(), told.clone());
            std::thread::spawn(move || {
                let commit = || store.commit(batch(key, b"with it", Durability::Sync));
                let end = catch_unwind(AssertUnwindSafe(commit));
                told.send(end.map(|answer| answer.unwrap_err().kind())).unwrap();
            });
        }
        let mut panics = 0;
        for _ in 0..THREADS {
            match ends.recv_timeout(Duration::from_secs(60)).expect("a committer was left") {
                Ok(kind) => {
                    assert!(matches!(kind, ErrorKind::OutcomeUnknown | ErrorKind::Poisoned));
                }
                Err(_) => panics += 1,
            }
        }
        disk.clear_observer();
        assert_eq!(panics, 1, "only who led");
        let late = store.commit(batch(9, b"late", Durability::Sync)).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Poisoned);
        assert_eq!(shown(&store).len(), 1);
        let again = open(&disk.crash_with(CrashMode::Nothing), 2).unwrap();
        assert_eq!(shown(&again)[&0], b"before");
    }
}

/// A follower that has read ahead.
///
/// 1. commits are written and not synced, and a follower in another process reads them, and holds
///    them back because nothing claims them;
/// 2. their sync fails, and the file shows again what was there before;
///
/// ! the store is opened again, and the same numbers are given to other commits.
#[test]
fn a_follower_shows_nothing_of_what_was_cut_away() {
    for ahead in 1..5_u8 {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        (0..3).for_each(|key| put(&store, key, b"durable"));
        let mut reader = LogReader::open(Path::new(STORE), &runtime(&disk, 5)).unwrap();
        let mut followed = read_all(&mut reader, Limit::Claims);
        for key in 10..10 + ahead {
            store.commit(batch(key, b"lost", Durability::Buffered)).unwrap();
        }
        followed.extend(read_all(&mut reader, Limit::Claims));
        let at = Selector { kind: Some(OperationKind::Sync), ..Selector::default() };
        let what = FaultKind::FailedSync(SyncFailure::Reverted { seed: None });
        disk.plan(Fault { at, what, sticky: false });
        store.sync().unwrap_err();
        drop(store);
        let store = open(&disk, 2).unwrap();
        assert_eq!(shown(&store).len(), 3);
        for key in 20..30 {
            put(&store, key, b"given again");
            while let Ok(Some(record)) = reader.next(Limit::Claims) {
                followed.push(record);
            }
        }
        let mut fresh = LogReader::open(Path::new(STORE), &runtime(&disk, 6)).unwrap();
        let whole = read_all(&mut fresh, Limit::Claims);
        assert!(whole.len() > followed.len() || whole == followed);
        assert!(followed == whole[..followed.len()], "{ahead} ahead: another history");
        assert!(followed.len() >= 3);
    }
}

/// A clock that stands at the end of the numbers. A commit once took its time, which no reader
/// believes, and the next one found no later time and panicked.
#[test]
fn a_clock_at_the_end_of_time_takes_no_commit_with_it() {
    for wall in [u64::MAX, u64::MAX - 3, u64::MAX / 2] {
        let disk = MemoryVfs::new();
        let machine = |seed| {
            let clock = Arc::new(SimClock::new(Timestamp(wall)));
            Runtime { clock, ..runtime(&disk, seed) }
        };
        let builder = |seed| Store::builder(STORE).runtime(machine(seed)).segment_bytes(1 << 14);
        let store = builder(1).open().unwrap();
        for key in 0..9 {
            put(&store, key, b"at the end of time");
        }
        store.close().unwrap();
        let again = builder(2).open().unwrap();
        assert_eq!(again.recovery().case, "@J", "{wall}");
        assert_eq!(shown(&again).len(), 9, "{wall}");
        assert!(again.log_stats().time.0 < 1_000_000, "{wall}: {}", again.log_stats().time);
        // Also when the clock was set right meanwhile.
        let right = Store::builder(STORE).runtime(runtime(&disk.kill(), 3)).open().unwrap();
        put(&right, 9, b"back in time");
        assert_eq!(shown(&right).len(), 10, "{wall}");
    }
}
