//! Commits that nobody stands waiting for, and waits that end at a deadline.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use jidoka::base::{ErrorKind, Lsn};
use jidoka::store::{Batch, Expect, Handle, Keyspace, Store};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, OperationKind, Selector, SyncFailure, runtime,
};
use jidoka::vfs::sync::{Condvar, Mutex};
use jidoka::vfs::{Background, Runtime};

use crate::model::STORE;

const LONG: Duration = Duration::from_secs(600);

fn open(disk: &MemoryVfs, background: Background) -> Store {
    let runtime = Runtime { background, ..runtime(disk, 1) };
    Store::builder(STORE).segment_bytes(8192).runtime(runtime).open().unwrap()
}

fn bins() -> Keyspace {
    Keyspace::new("bins").unwrap()
}

fn batch(key: u8) -> Batch {
    let mut batch = Batch::new();
    batch.put(&bins(), &[key], b"part");
    batch
}

fn submit(store: &Store, key: u8) -> Handle {
    store.commit_async(batch(key)).unwrap()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell {
    rung: AtomicUsize,
    woken: Mutex<bool>,
    told: Condvar,
}

impl Bell {
    fn rung(&self) -> usize {
        self.rung.load(Ordering::Relaxed)
    }

    /// Waits to be rung, as an executor does.
    fn wait(&self) {
        let mut woken = self.woken.lock();
        while !*woken {
            self.told.wait(&mut woken);
        }
        *woken = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::Relaxed);
        *self.woken.lock() = true;
        self.told.notify_all();
    }
}

fn poll<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(bell));
    pin!(future).poll(&mut Context::from_waker(&waker))
}

/// What a power cut that loses all it can would leave.
fn keys_after_power_cut(disk: &MemoryVfs) -> Vec<u8> {
    let store = open(&disk.crash_with(CrashMode::Nothing), Background::Stepped);
    store.range(&bins(), ..).map(|pair| *pair.unwrap().key.first().unwrap()).collect()
}

fn fail_next_sync(disk: &MemoryVfs) {
    let at = Selector {
        kind: Some(OperationKind::Sync),
        path_contains: Some(".wal".to_owned()),
        nth: 0,
    };
    let what = FaultKind::FailedSync(SyncFailure::KeptClean { seed: None });
    disk.plan(Fault { at, what, sticky: false });
}

#[test]
fn a_handle_is_a_future_that_is_woken_when_its_commit_is_durable() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Stepped);
    let (mut first, mut second) = (submit(&store, 1), submit(&store, 2));
    let bell = Arc::new(Bell::default());
    assert!(poll(&mut first, &bell).is_pending() && poll(&mut second, &bell).is_pending());
    assert!(poll(&mut second, &bell).is_pending(), "polled again, with the same waker");
    assert!(!first.is_done() && store.visible() < first.lsn());
    assert!(store.get(&bins(), &[1]).unwrap().is_none(), "seen before it is durable");
    assert_eq!(bell.rung(), 0);
    assert!(store.step().unwrap());
    assert_eq!(bell.rung(), 1, "one group wakes the same waker once");
    assert!(first.is_done() && second.is_done());
    assert_eq!(keys_after_power_cut(&disk), [1, 2]);
    let Poll::Ready(commit) = poll(&mut second, &bell) else { panic!("done, and pending") };
    let commit = commit.unwrap();
    assert_eq!((commit.lsn, commit.durable), (second.lsn(), true));
    assert!(poll(&mut first, &bell).is_ready());
}

#[test]
fn the_logs_thread_writes_what_nobody_waits_for() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let bell = Arc::new(Bell::default());
    for key in 0..200 {
        let mut handle = submit(&store, key);
        while poll(&mut handle, &bell).is_pending() {
            bell.wait();
        }
        assert!(handle.is_done() && store.durable() >= handle.lsn());
    }
    assert_eq!(keys_after_power_cut(&disk), (0..200).collect::<Vec<_>>());
}

#[test]
fn handles_may_be_waited_for_out_of_order_and_dropped() {
    for background in [Background::Stepped, Background::Threads] {
        let disk = MemoryVfs::new();
        let store = open(&disk, background);
        let mut handles: Vec<_> = (0..250).map(|key| submit(&store, key)).collect();
        drop(handles.drain(100..150));
        while let Some(handle) = handles.pop() {
            let commit = handle.wait().unwrap();
            assert_eq!((commit.lsn, commit.durable), (handle.lsn(), true));
            assert!(store.durable() >= handle.lsn());
            handles.reverse();
        }
        assert!(store.log_stats().active_segment > 1, "no rotation");
        assert_eq!(keys_after_power_cut(&disk), (0..250).collect::<Vec<_>>());
    }
}

#[test]
fn blocking_and_asynchronous_committers_share_the_log() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    thread::scope(|scope| {
        for worker in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..50 {
                    let key = worker * 50 + number;
                    if worker % 2 == 0 {
                        store.commit(batch(key)).unwrap();
                    } else {
                        let handle = submit(store, key);
                        assert!(number % 3 > 0 || handle.wait().unwrap().durable);
                    }
                }
            });
        }
    });
    store.close().unwrap();
    assert_eq!(keys_after_power_cut(&disk), (0..200).collect::<Vec<_>>());
}

#[test]
fn after_a_failed_sync_handles_say_what_is_unknown_and_what_was_not_written() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Stepped);
    store.commit(batch(0)).unwrap();
    let (mut first, second) = (submit(&store, 1), submit(&store, 2));
    let bell = Arc::new(Bell::default());
    assert!(poll(&mut first, &bell).is_pending());
    fail_next_sync(&disk);
    assert!(store.step().unwrap());
    assert_eq!(bell.rung(), 1, "nobody was told of the failure");
    assert!(first.is_done() && second.is_done());
    let Poll::Ready(told) = poll(&mut first, &bell) else { panic!("failed, and pending") };
    assert_eq!(told.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(second.wait().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    let refused = store.commit_async(batch(3)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned);
    assert_eq!(store.wait_durable(second.lsn(), LONG).unwrap_err().kind(), ErrorKind::Poisoned);
    store.wait_durable(Lsn(2), LONG).unwrap();
}

#[test]
fn closing_or_dropping_the_store_completes_its_handles() {
    for drops in [false, true] {
        let disk = MemoryVfs::new();
        let store = open(&disk, Background::Stepped);
        let mut first = submit(&store, 1);
        let second = submit(&store, 2);
        let bell = Arc::new(Bell::default());
        assert!(poll(&mut first, &bell).is_pending());
        if drops {
            drop(store);
        } else {
            store.close().unwrap();
            assert_eq!(store.commit_async(batch(3)).unwrap_err().kind(), ErrorKind::Closed);
        }
        assert_eq!(bell.rung(), 1);
        assert!(poll(&mut first, &bell).is_ready() && second.wait().unwrap().durable);
        assert_eq!(keys_after_power_cut(&disk), [1, 2]);
    }
}

/// The close found no room for its record, and let go of the store with commits unwritten, which
/// a handle then wrote beside whoever had opened it next.
#[test]
fn a_close_that_finds_no_room_still_completes_what_is_waited_for() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Stepped);
    let at = Selector { kind: Some(OperationKind::Create), path_contains: None, nth: 0 };
    let what = FaultKind::NoSpace;
    disk.plan(Fault { at, what, sticky: true });
    let mut handles = Vec::new();
    // Deletes may use what is kept for a full disk, and here they use all of it.
    let refused = loop {
        let mut batch = Batch::new();
        batch.delete(&bins(), &[1]);
        match store.commit_async(batch) {
            Ok(handle) => handles.push(handle),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Full);
    assert!(handles.len() > 20 && handles.iter().all(|handle| !handle.is_done()));
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Full);
    for handle in handles {
        assert!(handle.is_done(), "left for somebody to write after the close");
        assert!(handle.wait().unwrap().durable);
    }
}

#[test]
fn a_repeated_request_gets_the_first_commit_and_its_reply() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Stepped);
    let request = || {
        let mut batch = batch(1);
        batch.request("r1", b"done").expect(&bins(), &[1], Expect::Absent);
        store.commit_async(batch).unwrap()
    };
    let (first, again) = (request(), request());
    assert_eq!(first.lsn(), again.lsn());
    assert!(!again.is_done());
    let commit = again.wait().unwrap();
    assert_eq!(commit.repeated.as_deref(), Some(&b"done"[..]));
    assert!(first.is_done() && first.wait().unwrap().repeated.is_none());
}

#[test]
fn whoever_waits_for_a_commit_asks_for_its_sync() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Stepped);
    let mut batch = batch(1);
    batch.durability(jidoka::wal::Durability::Memory);
    let commit = store.commit(batch).unwrap();
    assert!(!commit.durable && store.durable() < commit.lsn);
    store.wait_durable(commit.lsn, LONG).unwrap();
    assert_eq!(keys_after_power_cut(&disk), [1]);
    let syncs = store.log_stats().syncs;
    store.wait_durable(commit.lsn, Duration::ZERO).unwrap();
    assert_eq!(store.log_stats().syncs, syncs, "what is durable was synced again");
    let never = store.wait_durable(commit.lsn.next(), LONG).unwrap_err();
    assert_eq!((never.kind(), never.place().lsn), (ErrorKind::Invalid, Some(commit.lsn.next())));
}

#[test]
fn a_commit_past_its_deadline_is_unknown_and_happens_all_the_same() {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Stepped);
    let mut hasty = batch(1);
    hasty.deadline(Duration::ZERO);
    let error = store.commit(hasty).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(error.message().contains("may still happen"), "{error}");
    let lsn = error.place().lsn.unwrap();
    let waited = store.wait_durable(lsn, Duration::ZERO).unwrap_err();
    assert_eq!(waited.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(submit(&store, 2).wait_timeout(Duration::ZERO).unwrap(), None);
    assert!(store.step().unwrap(), "nobody leads for who left");
    store.wait_durable(lsn, LONG).unwrap();
    assert_eq!(keys_after_power_cut(&disk), [1, 2]);
    let mut patient = batch(3);
    patient.deadline(LONG);
    assert!(store.commit(patient).unwrap().durable);
}
