//! The edges of a single commit: its size, its company, and a log that is closing.

use std::sync::Arc;
use std::thread;

use jidoka::base::{ErrorKind, Lsn, Result, Timestamp};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, Operation, OperationKind, SimClock, runtime};
use jidoka::vfs::sync::{Condvar, Mutex};
use jidoka::vfs::{Background, Runtime};
use jidoka::wal::format::payload_max;
use jidoka::wal::{Appending, Deadline, Durability, OpenSettings, Payload, Wal};

use crate::model::STORE;

/// A writer without conditions.
struct Always;

impl Appending for Always {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }
    fn appended(&mut self, _: Lsn, _: Timestamp) {}
}

fn open_log(disk: &MemoryVfs, segment_bytes: u64) -> Wal {
    let settings = OpenSettings { segment_bytes, ..OpenSettings::default() };
    Wal::open(STORE.as_ref(), &runtime(disk, 1), &settings, &mut |_| Ok(())).unwrap()
}

fn append(log: &Wal, len: usize, durability: Durability) -> Result<Lsn> {
    let appended = log.append(&Payload::new(vec![1; len]), durability, &mut Always)?;
    log.wait(&appended, Deadline::NONE)?;
    Ok(appended.lsn)
}

#[test]
fn the_longest_payload_is_taken_in_every_segment_and_one_byte_more_is_not() {
    let max = usize::try_from(payload_max(8192)).unwrap();
    let disk = MemoryVfs::new();
    let log = open_log(&disk, 8192);
    for _ in 0..3 {
        append(&log, max, Durability::Sync).unwrap();
        let error = append(&log, max + 1, Durability::Sync).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    }
    assert_eq!((log.stats().commits, log.stats().pool_misses), (3, 3));
}

#[test]
fn a_log_that_was_closed_without_a_commit_takes_none_either() {
    let disk = MemoryVfs::new();
    let log = open_log(&disk, 8192);
    append(&log, 1, Durability::Sync).unwrap();
    log.close().unwrap();
    let log = open_log(&disk, 8192);
    // More than half of the segment is used, so that another would be prepared.
    log.close().unwrap();
    let before = disk.operations();
    assert_eq!(append(&log, 1, Durability::Memory).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Closed);
    assert!(!log.step().unwrap());
    assert_eq!(disk.operations(), before);
}

#[test]
fn commits_of_memory_are_written_once_a_mebibyte_of_them_waits() {
    let disk = MemoryVfs::new();
    let log = open_log(&disk, 1 << 22);
    for number in 1..=16 {
        append(&log, 100_000, Durability::Memory).unwrap();
        let written = log.stats().written_bytes;
        assert_eq!(written > 0, number >= 11, "{written} bytes after {number} commits");
        assert_eq!(log.visible(), log.stats().appended);
    }
    // The group is written by the commit that finds it full, and then another one fills.
    assert_eq!(log.stats().groups, 1);
}

/// Holds whoever passes until it is opened.
#[derive(Debug, Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut open = self.open.lock();
        while !*open {
            self.changed.wait(&mut open);
        }
    }

    fn open(&self) {
        *self.open.lock() = true;
        self.changed.notify_all();
    }
}

#[test]
fn a_commit_of_memory_behind_one_that_is_being_synced_is_not_seen_before_it() {
    let disk = MemoryVfs::new();
    let log = open_log(&disk, 1 << 16);
    append(&log, 1, Durability::Sync).unwrap();
    let before = log.stats();
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        if operation.kind == OperationKind::Write {
            held.pass();
        }
    }));
    thread::scope(|scope| {
        let commits = |count| {
            while log.stats().commits < before.commits + count {
                thread::yield_now();
            }
        };
        let synced = scope.spawn(|| append(&log, 2, Durability::Sync));
        commits(1);
        let memory = scope.spawn(|| append(&log, 3, Durability::Memory));
        commits(2);
        assert_eq!(log.visible(), before.appended, "what is before it is not complete");
        gate.open();
        assert!(synced.join().unwrap().unwrap() < memory.join().unwrap().unwrap());
    });
    disk.clear_observer();
    assert_eq!(log.visible(), log.stats().appended);
}

#[test]
fn a_clock_that_leapt_is_reported_until_the_store_is_opened_again() {
    let disk = MemoryVfs::new();
    let pots = Keyspace::new("pots").unwrap();
    let clock = Arc::new(SimClock::default());
    let open = || {
        let runtime = Runtime { clock: clock.clone(), ..runtime(&disk, 1) };
        Store::builder(STORE).segment_bytes(8192).runtime(runtime).open().unwrap()
    };
    let put = |store: &Store| {
        let mut batch = Batch::new();
        batch.put(&pots, b"pot", b"glazed");
        store.commit(batch).unwrap();
        store.log_stats().clock_suspect
    };
    let store = open();
    assert!(!put(&store));
    clock.set(Timestamp(1_800_000_000_000_000));
    assert!(put(&store));
    store.close().unwrap();
    let store = open();
    assert!(!put(&store));
    let kept = disk.crash_with(CrashMode::Nothing);
    assert!(kept.files().len() > 2);
}

#[test]
fn whoever_waits_for_a_commit_to_be_seen_writes_it_when_nobody_else_does() {
    let disk = MemoryVfs::new();
    let log = open_log(&disk, 1 << 16);
    log.wait_visible(Lsn(9)).unwrap();
    let payload = Payload::new(vec![1; 10]);
    let appended = log.append(&payload, Durability::Sync, &mut Always).unwrap();
    assert!(log.visible() < appended.lsn);
    log.wait_visible(Lsn(appended.lsn.0 + 1)).unwrap();
    assert!(log.visible() < appended.lsn, "what was never appended is not waited for");
    log.wait_visible(appended.lsn).unwrap();
    assert_eq!(log.visible(), appended.lsn);
}

#[test]
fn the_background_thread_is_woken_by_a_commit_after_it_found_nothing_to_do() {
    let disk = MemoryVfs::new();
    let runtime = Runtime { background: Background::Threads, ..runtime(&disk, 1) };
    let settings = OpenSettings { segment_bytes: 1 << 16, ..OpenSettings::default() };
    let log = Wal::open(STORE.as_ref(), &runtime, &settings, &mut |_| Ok(())).unwrap();
    for _ in 0..4 {
        let groups = log.stats().groups;
        let lsn = append(&log, 10, Durability::Buffered).unwrap();
        // The sync of the commit and then the claim of the idle log are the thread's doing.
        let mut patience = 4_000_000_u64;
        while (log.durable() < lsn || log.stats().groups < groups + 2) && patience > 0 {
            patience -= 1;
            thread::yield_now();
        }
        assert!(patience > 0, "{:?}", log.stats());
    }
}

#[test]
fn a_log_whose_steps_are_chosen_does_none_by_itself() {
    let disk = MemoryVfs::new();
    let log = open_log(&disk, 1 << 16);
    // A segment would be prepared, and the commits would be synced.
    for _ in 0..3 {
        append(&log, 16_000, Durability::Buffered).unwrap();
    }
    let before = disk.operations();
    for _ in 0..2_000 {
        thread::yield_now();
        assert_eq!(disk.operations(), before);
    }
    assert!(log.step().unwrap());
    assert!(disk.operations() > before);
}
