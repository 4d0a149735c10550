//! Many threads on one store: nothing is lost, nothing is half seen, and syncs are shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use jidoka::base::ErrorKind;
use jidoka::store::{Batch, Expect, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, Operation, OperationKind, runtime};
use jidoka::vfs::sync::{Condvar, Mutex};
use jidoka::vfs::{Background, Runtime};
use jidoka::wal::Durability;

use crate::model::{STORE, content};

fn open(disk: &MemoryVfs, seed: u64) -> Store {
    Store::builder(STORE).segment_bytes(1 << 16).runtime(runtime(disk, seed)).open().unwrap()
}

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

fn batch(key: &[u8], value: &[u8], durability: Durability) -> Batch {
    let mut batch = Batch::new();
    batch.put(&pots(), key, value).durability(durability);
    batch
}

/// The operations of each kind while `body` runs.
fn operations(disk: &MemoryVfs, body: impl FnOnce()) -> BTreeMap<OperationKind, u64> {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let sink = Arc::clone(&counts);
    disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        *sink.lock().entry(operation.kind).or_default() += 1;
    }));
    body();
    disk.clear_observer();
    std::mem::take(&mut *counts.lock())
}

fn increment(store: &Store, key: &[u8]) {
    loop {
        let found = store.get(&pots(), key).unwrap();
        let (number, expect) = found.map_or((0, Expect::Absent), |found| {
            let number = u64::from_le_bytes(found.value[..].try_into().unwrap());
            (number, Expect::Version(found.lsn))
        });
        let mut change = batch(key, &(number + 1).to_le_bytes(), Durability::Sync);
        change.expect(&pots(), key, expect);
        match store.commit(change) {
            Ok(_) => return,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
                // The winner can be seen, and so a second look decides on something newer.
                assert!(error.place().lsn.is_none_or(|winner| winner <= store.visible()));
            }
        }
    }
}

fn increments_of(background: Background) {
    const THREADS: usize = 64;
    const EACH: usize = 8;
    let disk = MemoryVfs::new();
    let runtime = Runtime { background, ..runtime(&disk, 1) };
    let builder = Store::builder(STORE).segment_bytes(1 << 14).runtime(runtime);
    let store = builder.open().unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| increment(&store, b"one")));
        }
    });
    let expected = u64::try_from(THREADS * EACH).unwrap().to_le_bytes();
    let cut = open(&disk.crash_with(CrashMode::Nothing), 2);
    for store in [&store, &cut] {
        assert_eq!(store.get(&pots(), b"one").unwrap().unwrap().value[..], expected);
    }
    store.close().unwrap();
}

#[test]
fn sixty_four_threads_that_increment_one_key_lose_no_update() {
    increments_of(Background::Stepped);
}

#[test]
fn sixty_four_threads_lose_no_update_beside_the_thread_of_the_store() {
    increments_of(Background::Threads);
}

#[test]
fn readers_see_batches_whole_and_snapshots_that_do_not_change() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1);
    let (left, right) = (Keyspace::new("left").unwrap(), Keyspace::new("right").unwrap());
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    let write = |thread: u8| {
        for number in 0..40_u8 {
            let mut batch = Batch::new();
            let key = [thread, number % 8];
            let durability = [Durability::Sync, Durability::Buffered, Durability::Memory];
            batch.durability(durability[usize::from(number % 3)]);
            if number % 5 == 4 {
                batch.delete(&left, &key).delete(&right, &key);
            } else {
                batch.put(&left, &key, &[number]).put(&right, &key, &[number]);
            }
            let commit = store.commit(batch).unwrap();
            assert!(commit.lsn <= store.visible(), "Ok means visible");
        }
    };
    let read = || {
        while !done.load(Ordering::SeqCst) {
            let snapshot = store.snapshot();
            let all = |keyspace| -> Vec<_> {
                let found = snapshot.range(keyspace, ..).map(Result::unwrap);
                found.map(|pair| (pair.key, pair.value, pair.lsn)).collect()
            };
            let first = all(&left);
            assert_eq!(first, all(&right), "a batch was seen in part");
            thread::yield_now();
            assert_eq!(first, all(&left), "the snapshot changed");
            assert!(first.iter().all(|(.., lsn)| *lsn <= snapshot.lsn()));
            looks.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(read)).collect();
        let writers: Vec<_> = (0..16).map(|id| scope.spawn(move || write(id))).collect();
        let results: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        while looks.load(Ordering::SeqCst) < 10 && !readers.iter().all(|one| one.is_finished()) {
            thread::yield_now();
        }
        done.store(true, Ordering::SeqCst);
        assert!(results.iter().all(Result::is_ok));
    });
    let expected = content(&store);
    store.close().unwrap();
    assert_eq!(content(&open(&disk, 2)), expected);
}

/// Holds the disk at the first sync until it is opened.
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
fn commits_that_wait_for_the_disk_share_one_write_and_one_sync() {
    const THREADS: u64 = 32;
    let disk = MemoryVfs::new();
    let store = open(&disk, 1);
    store.commit(batch(b"first", b"", Durability::Sync)).unwrap();
    let before = store.log_stats();
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        if operation.kind == OperationKind::Write {
            held.pass();
        }
    }));
    thread::scope(|scope| {
        for id in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let commit = store.commit(batch(&id.to_le_bytes(), b"", Durability::Sync));
                assert!(commit.unwrap().durable);
            });
        }
        while store.log_stats().commits < before.commits + THREADS {
            thread::yield_now();
        }
        assert_eq!(store.visible(), before.appended, "nothing is seen before its sync");
        gate.open();
    });
    disk.clear_observer();
    let after = store.log_stats();
    assert_eq!(after.commits - before.commits, THREADS);
    assert!(after.groups - before.groups <= 2, "{before:?} {after:?}");
    assert!(after.syncs - before.syncs <= 2, "{before:?} {after:?}");
    assert_eq!(after.durable, after.appended);
    assert_eq!(after.commit_micros.count(), THREADS + 1);
    assert!(after.group_commits.max() >= THREADS / 2, "{after:?}");
}

#[test]
fn a_lone_commit_is_one_write_and_one_sync() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1);
    for number in 0..20_u8 {
        let counts = operations(&disk, || {
            store.commit(batch(&[number], &[7; 100], Durability::Sync)).unwrap();
        });
        let expected = [(OperationKind::Write, 1), (OperationKind::Sync, 1)];
        assert_eq!(counts, expected.into(), "commit {number}");
    }
    let counts = operations(&disk, || {
        store.commit(batch(b"buffered", b"", Durability::Buffered)).unwrap();
    });
    assert_eq!(counts, [(OperationKind::Write, 1)].into());
    let counts = operations(&disk, || {
        store.sync().unwrap();
        store.commit(batch(b"memory", b"", Durability::Memory)).unwrap();
    });
    assert_eq!(counts, [(OperationKind::Sync, 1)].into());
}

#[test]
fn a_sync_syncs_what_is_not_durable_and_nothing_else() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1);
    store.commit(batch(b"a", b"", Durability::Sync)).unwrap();
    assert_eq!(operations(&disk, || store.sync().unwrap()), BTreeMap::new());
    for durability in [Durability::Buffered, Durability::Memory] {
        let commit = store.commit(batch(b"a", b"new", durability)).unwrap();
        assert!(!commit.durable && store.durable() < commit.lsn && store.visible() == commit.lsn);
        let lost = open(&disk.crash_with(CrashMode::Nothing), 2);
        assert!(lost.visible() < commit.lsn, "it was not durable yet");
        let counts = operations(&disk, || store.sync().unwrap());
        assert_eq!(counts[&OperationKind::Sync], 1);
        assert_eq!(store.durable(), commit.lsn);
        let kept = open(&disk.crash_with(CrashMode::Nothing), 3);
        assert_eq!(kept.get(&pots(), b"a").unwrap().unwrap().lsn, commit.lsn);
        assert_eq!(operations(&disk, || store.sync().unwrap()), BTreeMap::new());
    }
}

#[test]
fn a_repeated_request_gets_the_first_answer_also_after_a_crash() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1);
    let request = |value: &[u8], reply: &[u8]| {
        let mut change = batch(b"a", value, Durability::Buffered);
        change.request("order-7", reply);
        change
    };
    let first = store.commit(request(b"one", b"reply one")).unwrap();
    assert_eq!(first.repeated, None);
    let again = store.commit(request(b"two", b"reply two")).unwrap();
    // Whoever repeats is told something durable, whatever the first asked for.
    let cut = open(&disk.crash_with(CrashMode::Nothing), 2);
    for commit in [again, cut.commit(request(b"three", b"reply three")).unwrap()] {
        assert_eq!((commit.lsn, commit.time, commit.durable), (first.lsn, first.time, true));
        assert_eq!(commit.repeated.as_deref(), Some(&b"reply one"[..]));
    }
    assert_eq!(&cut.get(&pots(), b"a").unwrap().unwrap().value[..], b"one");
    assert_eq!(cut.answered("order-8").unwrap(), None);
}

#[test]
fn threads_that_repeat_one_request_commit_it_once() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1);
    let commits = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for id in 0..16_u8 {
            let (store, commits) = (&store, &commits);
            scope.spawn(move || {
                let mut change = batch(&[id], b"", Durability::Sync);
                change.request("once", &[id]);
                commits.lock().push(store.commit(change).unwrap());
            });
        }
    });
    let commits = commits.into_inner();
    assert_eq!(commits.iter().filter(|commit| commit.repeated.is_none()).count(), 1);
    assert!(commits.iter().all(|commit| commit.lsn == commits[0].lsn));
    assert_eq!(store.range(&pots(), ..).count(), 1);
}

#[test]
fn a_conflict_is_told_only_when_what_won_is_durable() {
    for durability in [Durability::Sync, Durability::Buffered, Durability::Memory] {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1);
        store.commit(batch(b"other", b"", Durability::Sync)).unwrap();
        let winner = store.commit(batch(b"a", b"winner", durability)).unwrap();
        let mut loser = batch(b"a", b"loser", Durability::Sync);
        loser.expect(&pots(), b"a", Expect::Absent);
        let error = store.commit(loser).unwrap_err();
        assert_eq!((error.kind(), error.place().lsn), (ErrorKind::Conflict, Some(winner.lsn)));
        let cut = open(&disk.crash_with(CrashMode::Nothing), 2);
        let found = cut.get(&pots(), b"a").unwrap();
        assert!(found.is_some_and(|found| found.lsn == winner.lsn), "{durability:?} was lost");
    }
}

#[test]
fn two_handles_that_close_at_once_leave_a_cleanly_closed_store() {
    for seed in 0..20 {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1);
        store.commit(batch(b"a", b"", Durability::Buffered)).unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    store.close().unwrap();
                    // Whoever is told so may open the store again at once, or find that it is.
                    let image = disk.kill();
                    assert_eq!(open(&image, 10 + seed).recovery().case, "@J");
                });
            }
        });
        let refused = store.commit(batch(b"b", b"", Durability::Sync)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Closed);
        assert!(store.get(&pots(), b"a").unwrap().is_some());
    }
}

/// The background sync once waited for the log to fall idle: a writer that never paused and never
/// asked for a sync had nothing on the disk, however long it wrote.
#[test]
fn buffered_commits_become_durable_while_the_writer_goes_on() {
    let disk = MemoryVfs::new();
    let threads = Runtime { background: Background::Threads, ..runtime(&disk, 7) };
    let store = Store::builder("/store").segment_bytes(1 << 20).runtime(threads).open().unwrap();
    let keyspace = Keyspace::new("k").unwrap();
    let commit = |number: u32| {
        let mut batch = Batch::new();
        batch.put(&keyspace, &(number % 64).to_le_bytes(), b"v").durability(Durability::Buffered);
        store.commit(batch).unwrap().lsn
    };
    let first = commit(0);
    let durable_after = (1..2_000_000).find(|number| {
        commit(*number);
        store.durable() >= first
    });
    assert!(durable_after.is_some(), "two million commits, and the first is not durable");
}

/// A sync once went after every commit that came while it was at work: beside a writer who never
/// paused it never came back.
#[test]
fn a_sync_beside_a_busy_writer_covers_what_was_before_it_and_comes_back() {
    const WRITERS: usize = 20;
    let disk = MemoryVfs::new();
    let store = open(&disk, 1);
    let before = store.commit(batch(b"before", b"", Durability::Buffered)).unwrap();
    let syncs = Arc::new(AtomicU64::new(0));
    let (watched, counted) = (store.clone(), Arc::clone(&syncs));
    thread::scope(|scope| {
        let mut waiting = Vec::new();
        for _ in 0..WRITERS {
            let (asking, asked) = std::sync::mpsc::channel::<()>();
            let writer = &store;
            scope.spawn(move || {
                if asked.recv().is_ok() {
                    writer.commit(batch(b"more", b"", Durability::Buffered)).unwrap();
                }
            });
            waiting.push(asking);
        }
        // Before a sync is done, somebody else has appended a commit.
        disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
            if operation.kind != OperationKind::Sync {
                return;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            if let Some(writer) = waiting.pop() {
                let appended = watched.log_stats().appended;
                writer.send(()).unwrap();
                while watched.log_stats().appended == appended {
                    thread::yield_now();
                }
            }
        }));
        store.sync().unwrap();
        // The writers who were not asked end with the observer.
        disk.clear_observer();
    });
    assert!(store.durable() >= before.lsn);
    assert_eq!(syncs.load(Ordering::SeqCst), 1, "one sync covers what was before it");
}

#[test]
fn statistics_count_each_synced_commit_once_and_every_rotation() {
    let disk = MemoryVfs::new();
    let store = Store::builder(STORE).segment_bytes(1 << 14).runtime(runtime(&disk, 3)).open();
    let store = store.unwrap();
    let mut synced = 0;
    let first = store.log_stats().active_segment;
    for number in 0_u64..300 {
        let durability = if number % 3 == 0 { Durability::Buffered } else { Durability::Sync };
        synced += u64::from(durability == Durability::Sync);
        store.commit(batch(&number.to_le_bytes(), &[7; 200], durability)).unwrap();
        while number % 2 == 0 && store.step().unwrap() {}
    }
    let stats = store.log_stats();
    assert_eq!(stats.commit_micros.count(), synced);
    assert_eq!((stats.group_commits.count(), stats.group_commits.max()), (synced, 1));
    assert!(stats.pool_hits > 0 && stats.pool_waits == 0, "{stats:?}");
    // Some of them are the keeper's, who needs room for a mark.
    assert_eq!(stats.pool_hits + stats.pool_misses, stats.active_segment - first);
    store.close().unwrap();
}
