//! Committers of whom one does not wait where it commits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use jidoka::base::{Error, ErrorKind};
use jidoka::store::{Batch, Commit, Handle, Store};
use jidoka::vfs::Background;
use jidoka::vfs::memory::{Fault, FaultKind, MemoryVfs, OperationKind, Selector};
use jidoka::vfs::sync::{Condvar, Mutex};
use jidoka::wal::Durability;

use crate::committers::{
    LARGE, Told, assert_holds, assert_survives, below, join, keyspace, one_of, open, rotated, start,
};

const STOPPED: [ErrorKind; 2] = [ErrorKind::OutcomeUnknown, ErrorKind::Poisoned];

/// The smallest executor: a thread that sleeps until it is woken.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    told: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock() = true;
        self.told.notify_all();
    }
}

fn run_future(mut handle: Handle) -> Result<Commit, Error> {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        if let Poll::Ready(told) = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)) {
            return told;
        }
        let mut rung = bell.rung.lock();
        while !*rung {
            bell.told.wait(&mut rung);
        }
        *rung = false;
    }
}

fn note(told: &Told, store: &Store, key: [u8; 2], answer: Result<Commit, Error>) {
    match answer {
        Ok(commit) => {
            assert!(store.durable() >= commit.lsn && store.visible() >= commit.lsn);
            assert_eq!(told.with(|told| told.0.insert(commit.lsn, key.to_vec())), None);
        }
        Err(error) => {
            assert!(STOPPED.contains(&error.kind()), "{error:?}");
            if error.kind() == ErrorKind::Poisoned {
                told.with(|told| told.1.push(key.to_vec()));
            }
        }
    }
}

fn batch(key: [u8; 2], len: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(&keyspace(), &key, &vec![7; len]);
    batch
}

/// One asks and awaits, or waits, or lets go; one commits; one commits with a deadline. Sometimes
/// the disk fails, and sometimes the store is closed before the answers are taken.
pub(crate) fn handles_are_told_beside_committers_and_deadlines() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    if below(3) == 0 {
        let kind = one_of(&[OperationKind::Write, OperationKind::Sync]);
        let path = "/wal/0000000000000001.wal".to_owned();
        let at = Selector { kind: Some(kind), path_contains: Some(path), nth: below(3) };
        let what = FaultKind::Error(std::io::ErrorKind::Other);
        disk.plan(Fault { at, what, sticky: false });
    }
    let len = one_of(&[300, LARGE]);
    let told = Told::default();
    let closes = below(4) == 0;
    let asking = {
        let (store, told) = (store.clone(), told.clone());
        start(move || {
            let mut handles = Vec::new();
            for number in 0..3 {
                match store.commit_async(batch([0, number], len)) {
                    Ok(handle) => handles.push(([0, number], handle)),
                    Err(error) => note(&told, &store, [0, number], Err(error)),
                }
            }
            if closes {
                let _told_by_the_handles = store.close();
                assert!(handles.iter().all(|(_, handle)| handle.is_done()), "closed, not done");
            }
            for (key, handle) in handles.into_iter().rev() {
                match below(3) {
                    0 => note(&told, &store, key, handle.wait()),
                    1 => drop(handle),
                    _ => note(&told, &store, key, run_future(handle)),
                }
            }
        })
    };
    let mut workers = vec![asking];
    for worker in 1..4 {
        let (store, told) = (store.clone(), told.clone());
        workers.push(start(move || {
            let mut batch = batch([worker, 0], len);
            batch.durability(Durability::Sync);
            if worker > 1 {
                batch.deadline(Duration::from_secs(1));
            }
            let answer = store.commit(batch);
            let closed = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Closed);
            if !(closes && closed) {
                note(&told, &store, [worker, 0], answer);
            }
        }));
    }
    join(workers);
    let counts = disk.faults_fired() > 0 || rotated(&store);
    assert_survives(&disk, &told);
    drop(store);
    assert_holds(&disk.kill(), &told.acknowledged(), &told);
    counts
}
