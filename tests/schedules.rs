//! The shipped commit protocol under a scheduler that tries orders of its threads.
//!
//! Each schedule runs several committers on the in-memory disk, with a rotation or a failing sync
//! in it, and checks what was acknowledged against what is there afterwards, also after a power
//! cut. A lost wake-up shows as a deadlock, which the scheduler reports with the schedule that
//! replays it. `JIDOKA_SCHEDULES` says how many schedules each test tries.
#![expect(clippy::unwrap_used, reason = "a schedule that cannot go on panics")]

use std::sync::Arc;

use jidoka::base::ErrorKind;
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, OperationKind, Selector, SyncFailure, runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{Background, Runtime, thread};
use jidoka::wal::Durability;
use shuttle::scheduler::{PctScheduler, RandomScheduler};

const COMMITTERS: u8 = 3;
const EACH: u8 = 2;

fn schedules() -> usize {
    let asked = std::env::var("JIDOKA_SCHEDULES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(300)
}

fn check(test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let again = test.clone();
    let config = || {
        let mut config = shuttle::Config::new();
        config.stack_size = 256 << 10;
        config
    };
    let half = schedules().div_ceil(2);
    shuttle::Runner::new(RandomScheduler::new(half), config()).run(move || test());
    shuttle::Runner::new(PctScheduler::new(3, half), config()).run(move || again());
}

fn open(disk: &MemoryVfs, background: Background) -> Store {
    let runtime = Runtime { background, ..runtime(disk, 1) };
    Store::builder("/store").segment_bytes(8192).runtime(runtime).open().unwrap()
}

/// Commits from several threads; gives the keys that were acknowledged.
fn commit_all(store: &Store, len: usize, durability: Durability) -> Vec<Vec<u8>> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..COMMITTERS)
        .map(|worker| {
            let (store, acknowledged) = (store.clone(), acknowledged.clone());
            let body = move || {
                for number in 0..EACH {
                    let key = vec![worker, number];
                    let mut batch = Batch::new();
                    let keyspace = Keyspace::new("k").unwrap();
                    batch.put(&keyspace, &key, &vec![7; len]).durability(durability);
                    match store.commit(batch) {
                        Ok(_) => {
                            assert!(store.get(&keyspace, &key).unwrap().is_some());
                            acknowledged.lock().push(key);
                        }
                        Err(error) => assert!(
                            matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Poisoned),
                            "{error:?}"
                        ),
                    }
                }
            };
            thread::spawn("committer", body).unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    std::mem::take(&mut *acknowledged.lock())
}

fn assert_all_there(disk: &MemoryVfs, acknowledged: &[Vec<u8>]) {
    let store = open(disk, Background::Stepped);
    let keyspace = Keyspace::new("k").unwrap();
    for key in acknowledged {
        assert!(store.get(&keyspace, key).unwrap().is_some(), "{key:?} was acknowledged");
    }
}

#[test]
fn committers_that_rotate_the_log_lose_nothing_and_all_come_back() {
    check(|| {
        let disk = MemoryVfs::new();
        let store = open(&disk, Background::Threads);
        let acknowledged = commit_all(&store, 1500, Durability::Sync);
        assert_eq!(acknowledged.len(), usize::from(COMMITTERS * EACH));
        assert_all_there(&disk.crash_with(CrashMode::Nothing), &acknowledged);
        store.close().unwrap();
        assert_all_there(&disk, &acknowledged);
    });
}

#[test]
fn a_failing_sync_stops_every_committer_and_what_was_acknowledged_stays() {
    check(|| {
        let disk = MemoryVfs::new();
        let store = open(&disk, Background::Threads);
        disk.plan(Fault {
            at: Selector {
                kind: Some(OperationKind::Sync),
                path_contains: Some("/wal/0000000000000001".to_owned()),
                nth: 1,
            },
            what: FaultKind::FailedSync(SyncFailure::KeptClean { seed: None }),
            sticky: false,
        });
        let acknowledged = commit_all(&store, 100, Durability::Sync);
        assert!(acknowledged.len() < usize::from(COMMITTERS * EACH));
        let cut = disk.crash_with(CrashMode::Nothing);
        drop(store);
        assert_all_there(&cut, &acknowledged);
        assert_all_there(&disk, &acknowledged);
    });
}

#[test]
fn buffered_committers_and_a_sync_come_back_and_are_durable() {
    check(|| {
        let disk = MemoryVfs::new();
        let store = open(&disk, Background::Threads);
        let other = store.clone();
        let syncing = thread::spawn("syncing", move || other.sync().unwrap()).unwrap();
        let acknowledged = commit_all(&store, 700, Durability::Buffered);
        syncing.join().unwrap();
        store.sync().unwrap();
        assert_all_there(&disk.crash_with(CrashMode::Nothing), &acknowledged);
    });
}

/// The story:
/// 1. The leader-to-be of a group is woken, but does not run yet.
/// 2. A newcomer finds nobody leading and leads that group.
/// 3. Another newcomer fills the next group and sees that a leader-to-be has its name down, so it
///    waits as a follower.
/// 4. The group is done, and nobody is left to lead the next: it waited until the keeper looked.
#[test]
fn a_newcomer_who_leads_leaves_the_next_group_its_leader() {
    check(|| {
        let store = open(&MemoryVfs::new(), Background::Stepped);
        let keyspace = Keyspace::new("k").unwrap();
        let workers: Vec<_> = (0..5_u8)
            .map(|worker| {
                let (store, keyspace) = (store.clone(), keyspace.clone());
                let body = move || {
                    let mut batch = Batch::new();
                    batch.put(&keyspace, &[worker], b"value").durability(Durability::Buffered);
                    store.commit(batch).unwrap();
                };
                thread::spawn("committer", body).unwrap()
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(store.range(&keyspace, ..).count(), 5);
    });
}

#[test]
fn a_close_waits_for_committers_or_refuses_them() {
    check(|| {
        let disk = MemoryVfs::new();
        let store = open(&disk, Background::Threads);
        let other = store.clone();
        let closing = thread::spawn("closing", move || other.close().unwrap()).unwrap();
        let keyspace = Keyspace::new("k").unwrap();
        let mut acknowledged = Vec::new();
        for number in 0..3_u8 {
            let mut batch = Batch::new();
            batch.put(&keyspace, &[number], b"value");
            match store.commit(batch) {
                Ok(_) => acknowledged.push(vec![number]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
            }
        }
        closing.join().unwrap();
        assert_all_there(&disk.crash_with(CrashMode::Nothing), &acknowledged);
    });
}
