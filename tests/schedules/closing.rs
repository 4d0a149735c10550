//! Stores that are closed, or let go of, beside their committers.

use jidoka::base::ErrorKind;
use jidoka::vfs::Background;
use jidoka::vfs::memory::MemoryVfs;
use jidoka::wal::Durability;

use crate::committers::{
    COMMITTERS, EACH, LARGE, Told, assert_survives, below, commit_all, join, open, rotated, start,
};

/// What recovery says after a clean close.
const CLEAN: &str = "@J";

pub(crate) fn a_close_waits_for_committers_or_refuses_them() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let (told, workers) =
        commit_all(&store, COMMITTERS, LARGE, Durability::Sync, &[ErrorKind::Closed]);
    let closers: Vec<_> = (0..=below(2))
        .map(|_| {
            let (store, disk) = (store.clone(), disk.clone());
            start(move || {
                store.close().unwrap();
                // Whoever is told so may open it at once, and finds nothing to recover.
                let again = open(&disk.kill(), Background::Stepped);
                assert_eq!(again.recovery().case, CLEAN);
            })
        })
        .collect();
    join(closers);
    join(workers);
    assert_eq!(told.count() + told.refused().len(), usize::from(COMMITTERS * EACH));
    assert_survives(&disk, &told);
    rotated(&store)
}

/// Every thread has a handle of its own and lets go of it when it is done, one of them while
/// others wait for their commits; a snapshot holds the store as well.
pub(crate) fn the_last_handle_that_goes_closes_the_store() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let told = Told::default();
    let workers: Vec<_> = (0..COMMITTERS)
        .map(|worker| {
            let (store, told) = (store.clone(), told.clone());
            start(move || {
                let durability = if worker == 1 { Durability::Buffered } else { Durability::Sync };
                told.commit(&store, [worker, 0], LARGE, durability).unwrap();
            })
        })
        .collect();
    let snapshot = store.snapshot();
    let looking = start(move || assert!(snapshot.lsn() <= snapshot.clone().lsn()));
    drop(store);
    join(workers);
    looking.join().unwrap();
    let again = open(&disk.kill(), Background::Stepped);
    assert_eq!(again.recovery().case, CLEAN);
    assert_survives(&disk, &told);
    rotated(&again)
}
