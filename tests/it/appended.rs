//! Commits whose writer is called back, and reading what was appended before it is durable.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use jidoka::base::{ErrorKind, Lsn, Result, Timestamp};
use jidoka::vfs::memory::{
    Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{Background, Runtime};
use jidoka::wal::reader::OwnedRecord;
use jidoka::wal::{Appending, Durability, OpenSettings, Payload, Wal};

use crate::model::{SEGMENT_BYTES, STORE};

/// Appends whatever it is, or panics when it is appended.
struct Anything {
    panics: bool,
}

const ANYTHING: Anything = Anything { panics: false };

impl Appending for Anything {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn appended(&mut self, _: Lsn, _: Timestamp) {
        assert!(!self.panics, "as asked");
    }
}

fn open(disk: &MemoryVfs, background: Background) -> Arc<Wal> {
    let runtime = Runtime { background, ..runtime(disk, 1) };
    let settings = OpenSettings { segment_bytes: SEGMENT_BYTES, ..OpenSettings::default() };
    Arc::new(Wal::open(Path::new(STORE), &runtime, &settings, &mut |_| Ok(())).unwrap())
}

/// What was told, in the order of the calls: who, and the kind of the error.
type Told = Arc<Mutex<Vec<(u64, Option<ErrorKind>)>>>;

/// Appends a commit whose callback tells `who`.
fn ask(wal: &Wal, told: &Told, who: u64) -> Result<Lsn> {
    let told = Arc::clone(told);
    let payload = Payload::new(vec![7; 100]);
    let callback = move |outcome: Result<()>| {
        told.lock().push((who, outcome.err().map(|error| error.kind())));
    };
    wal.append_with(&payload, &mut { ANYTHING }, callback).map(|appended| appended.lsn)
}

fn fail_next_sync(disk: &MemoryVfs) {
    let at =
        Selector { kind: Some(OperationKind::Sync), path_contains: Some("wal".to_owned()), nth: 0 };
    disk.plan(Fault { at, what: FaultKind::Error(io::ErrorKind::Other), sticky: false });
}

#[test]
fn callbacks_are_called_in_order_when_their_commits_are_durable_and_not_before() {
    let disk = MemoryVfs::new();
    let (wal, told) = (open(&disk, Background::Stepped), Told::default());
    for who in 0..5 {
        assert_eq!(ask(&wal, &told, who).unwrap(), Lsn(who + 2));
    }
    assert_eq!((told.lock().len(), wal.durable()), (0, Lsn(0)));
    assert!(wal.step().unwrap());
    let expected: Vec<_> = (0..5).map(|who| (who, None)).collect();
    assert_eq!((told.lock().clone(), wal.durable()), (expected, Lsn(6)));
    ask(&wal, &told, 5).unwrap();
    wal.close().unwrap();
    assert_eq!(told.lock().last(), Some(&(5, None)), "a close makes it durable");
    assert_eq!(ask(&wal, &told, 6).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(told.lock().len(), 6, "what was refused is not called back");
}

#[test]
fn a_failure_is_told_to_each_callback_once_and_in_order() {
    let disk = MemoryVfs::new();
    let (wal, told) = (open(&disk, Background::Stepped), Told::default());
    ask(&wal, &told, 0).unwrap();
    assert!(wal.step().unwrap());
    for who in 1..4 {
        ask(&wal, &told, who).unwrap();
    }
    fail_next_sync(&disk);
    assert!(wal.step().is_ok());
    let unknown = Some(ErrorKind::OutcomeUnknown);
    let expected = [(0, None), (1, unknown), (2, unknown), (3, unknown)];
    assert_eq!(*told.lock(), expected);
    assert_eq!(ask(&wal, &told, 4).unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(wal.close().is_err());
    drop(wal);
    assert_eq!(*told.lock(), expected, "nobody is called twice");
}

#[test]
fn a_panic_while_a_commit_is_appended_is_told_to_the_callbacks_before_it() {
    let disk = MemoryVfs::new();
    let (wal, told) = (open(&disk, Background::Stepped), Told::default());
    ask(&wal, &told, 0).unwrap();
    let called = Arc::clone(&told);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let callback = move |_| called.lock().push((1, None));
        wal.append_with(&Payload::new(vec![1]), &mut Anything { panics: true }, callback)
    }));
    assert!(panicked.is_err());
    assert_eq!(*told.lock(), []);
    assert!(wal.close().is_err());
    assert_eq!(*told.lock(), [(0, Some(ErrorKind::Poisoned))], "by the close at the latest");
}

#[test]
fn a_callback_may_append_and_one_that_panics_keeps_nobody_from_being_called() {
    let disk = MemoryVfs::new();
    let (wal, told) = (open(&disk, Background::Stepped), Told::default());
    let (again, sink) = (Arc::downgrade(&wal), Arc::clone(&told));
    let callback = move |_: Result<()>| {
        sink.lock().push((0, None));
        ask(&again.upgrade().unwrap(), &sink, 2).unwrap();
        panic!("as asked");
    };
    wal.append_with(&Payload::new(vec![1]), &mut { ANYTHING }, callback).unwrap();
    ask(&wal, &told, 1).unwrap();
    while wal.step().unwrap() {}
    assert_eq!(*told.lock(), [(0, None), (1, None), (2, None)]);
}

#[test]
fn callbacks_of_many_threads_are_called_in_the_order_of_their_commits() {
    let disk = MemoryVfs::new();
    let wal = open(&disk, Background::Threads);
    let told = Arc::new(Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let (sink, place) = (Arc::clone(&told), Arc::new(Mutex::new(None)));
                    let own = Arc::clone(&place);
                    let mut appending = Places(place);
                    let callback = move |outcome: Result<()>| {
                        assert!(outcome.is_ok());
                        sink.lock().push(own.lock().unwrap());
                    };
                    let payload = Payload::new(vec![1; 50]);
                    wal.append_with(&payload, &mut appending, callback).unwrap();
                }
            });
        }
    });
    wal.close().unwrap();
    let told: Vec<Lsn> = std::mem::take(&mut *told.lock());
    assert_eq!(told, (2..402).map(Lsn).collect::<Vec<_>>());
}

/// Notes the LSN of its commit.
struct Places(Arc<Mutex<Option<Lsn>>>);

impl Appending for Places {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn appended(&mut self, lsn: Lsn, _: Timestamp) {
        *self.0.lock() = Some(lsn);
    }
}

fn append(wal: &Wal, byte: u8, len: usize, durability: Durability) {
    let payload = Payload::new(vec![byte; len]);
    let appended = wal.append(&payload, durability, &mut { ANYTHING }).unwrap();
    wal.wait(&appended, jidoka::wal::Deadline::NONE).unwrap();
}

/// The LSN and first byte of each commit, without a term's start.
fn brief(records: &[OwnedRecord]) -> Vec<(u64, u8)> {
    let commits = records.iter().filter(|record| record.header.lsn > Lsn(1));
    commits.map(|record| (record.header.lsn.0, record.payload[0])).collect()
}

#[test]
fn what_was_appended_is_read_from_memory_and_files_without_gaps() {
    let disk = MemoryVfs::new();
    let wal = open(&disk, Background::Stepped);
    let read = |from, bytes| brief(&wal.read_appended(Lsn(from), bytes).unwrap());
    assert_eq!(read(0, 100), []);
    append(&wal, 2, 10, Durability::Sync);
    append(&wal, 3, 3000, Durability::Buffered);
    append(&wal, 4, 3000, Durability::Memory);
    append(&wal, 5, 10, Durability::Memory);
    assert!(wal.durable() < Lsn(3));
    assert_eq!(read(0, 9000), [(2, 2), (3, 3)], "what is in the files");
    assert_eq!(read(4, 9000), [(4, 4), (5, 5)], "what is only in memory");
    assert_eq!(read(5, 9000), [(5, 5)]);
    assert_eq!(read(6, 9000), []);
    assert_eq!(read(4, 1), [(4, 4)], "one at least");
    assert_eq!(read(3, 2999), [(3, 3)]);
    assert_eq!(read(4, 3009), [(4, 4)]);
    assert_eq!(read(4, 3010), [(4, 4), (5, 5)]);
    let records = wal.read_appended(Lsn(4), 9000).unwrap();
    wal.close().unwrap();
    let written = wal.read_appended(Lsn(4), 9000).unwrap();
    assert_eq!(written.len(), 2);
    let same = |a: &OwnedRecord, b: &OwnedRecord| {
        // The claim is stamped when a group goes to the disk.
        let header = jidoka::wal::format::RecordHeader { claim: a.header.claim, ..b.header };
        (a.header, &a.payload, a.segment, a.offset) == (header, &b.payload, b.segment, b.offset)
    };
    assert!(records.iter().zip(&written).all(|(a, b)| same(a, b)));
}

#[test]
fn what_a_leader_is_just_writing_is_read_before_it_is_in_its_file() {
    let disk = MemoryVfs::new();
    let wal = open(&disk, Background::Stepped);
    append(&wal, 2, 10, Durability::Sync);
    append(&wal, 3, 3000, Durability::Memory);
    append(&wal, 4, 3000, Durability::Memory);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (reader, sink) = (Arc::downgrade(&wal), Arc::clone(&seen));
    // The group lies in two segments: while the first is written, the second is not yet.
    disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        if operation.kind == OperationKind::Write {
            let wal = reader.upgrade().unwrap();
            sink.lock().push(brief(&wal.read_appended(Lsn(5), 9000).unwrap()));
        }
    }));
    append(&wal, 5, 10, Durability::Sync);
    disk.clear_observer();
    assert_eq!(*seen.lock(), [[(5, 5)], [(5, 5)]]);
}

#[test]
fn what_was_taken_back_is_not_read_again_and_a_failed_log_is_not_read_at_all() {
    let disk = MemoryVfs::new();
    let wal = open(&disk, Background::Stepped);
    (2..7).for_each(|byte| append(&wal, byte, 10, Durability::Sync));
    wal.truncate_after(Lsn(3)).unwrap();
    let read = |from| brief(&wal.read_appended(Lsn(from), 9000).unwrap());
    assert_eq!((read(2), read(4)), (vec![(2, 2), (3, 3)], vec![]));
    append(&wal, 40, 10, Durability::Memory);
    assert_eq!((read(2), read(4)), (vec![(2, 2), (3, 3)], vec![(4, 40)]));
    append(&wal, 50, 10, Durability::Sync);
    assert_eq!(read(2), [(2, 2), (3, 3), (4, 40), (5, 50)]);
    fail_next_sync(&disk);
    let told = Told::default();
    ask(&wal, &told, 0).unwrap();
    assert!(wal.step().is_ok());
    assert_eq!(wal.read_appended(Lsn(2), 9).unwrap_err().kind(), ErrorKind::Poisoned);
}

#[test]
fn several_readers_beside_writers_see_every_commit_once_and_in_order() {
    let disk = MemoryVfs::new();
    let wal = open(&disk, Background::Threads);
    let last = 200;
    let follow = || {
        let mut next = Lsn(1);
        while next <= Lsn(last) {
            for record in wal.read_appended(next, 500).unwrap() {
                assert_eq!(record.header.lsn, next);
                next = next.next();
            }
            thread::yield_now();
        }
        next
    };
    thread::scope(|scope| {
        let readers = [scope.spawn(follow), scope.spawn(follow)];
        scope.spawn(|| {
            let told = Told::default();
            for who in 1..last {
                ask(&wal, &told, who).unwrap();
            }
        });
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Lsn(last + 1));
        }
    });
    wal.close().unwrap();
}
