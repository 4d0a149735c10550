//! Conditions, decided beside commits that rotate the log.

use jidoka::base::ErrorKind;
use jidoka::store::{Batch, Expect};
use jidoka::vfs::Background;
use jidoka::vfs::memory::{CrashMode, MemoryVfs};
use jidoka::wal::Durability;

use crate::committers::{
    COMMITTERS, LARGE, fill_first_segment, join, keyspace, one_of, open, rotated, start,
};

/// Whoever loses knows that what it lost to is there for good, whatever the winner asked for.
pub(crate) fn a_conflict_is_told_when_what_won_is_durable() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let durability = one_of(&[Durability::Sync, Durability::Buffered, Durability::Memory]);
    let workers: Vec<_> = (0..COMMITTERS + 1)
        .map(|worker| {
            let (store, disk) = (store.clone(), disk.clone());
            start(move || {
                let mut batch = Batch::new();
                batch.put(&keyspace(), b"one", &[worker; LARGE]).durability(durability);
                batch.expect(&keyspace(), b"one", Expect::Absent);
                // Whoever loses writes too, so that the log goes on to the next segment.
                let error = store.commit(batch).err()?;
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
                let image = disk.crash_with(CrashMode::Nothing);
                let mut other = Batch::new();
                other.put(&keyspace(), &[worker], &[worker; LARGE]).durability(durability);
                store.commit(other).unwrap();
                Some((image, error.place().lsn.unwrap()))
            })
        })
        .collect();
    let lost: Vec<_> = workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect();
    assert_eq!(lost.len(), usize::from(COMMITTERS), "exactly one has won");
    let winner = store.get(&keyspace(), b"one").unwrap().unwrap();
    for (image, lost_to) in lost {
        assert_eq!(lost_to, winner.lsn);
        let found = open(&image, Background::Stepped).get(&keyspace(), b"one").unwrap();
        assert_eq!(found.map(|found| found.value), Some(winner.value.clone()), "what won is lost");
    }
    rotated(&store)
}

/// A condition is decided against everything that is before the commit in the log, also when
/// making room for it let go of the lock.
pub(crate) fn increments_are_not_lost() -> bool {
    let disk = MemoryVfs::new();
    let background = one_of(&[Background::Threads, Background::Stepped]);
    let store = open(&disk, background);
    fill_first_segment(&store);
    let workers = (0..COMMITTERS).map(|_| {
        let store = store.clone();
        start(move || {
            loop {
                let found = store.get(&keyspace(), b"one").unwrap();
                let (number, expect) = found.map_or((0, Expect::Absent), |found| {
                    (found.value.first().copied().unwrap(), Expect::Version(found.lsn))
                });
                let mut batch = Batch::new();
                batch.put(&keyspace(), b"one", &[number + 1; LARGE]);
                batch.expect(&keyspace(), b"one", expect);
                match store.commit(batch) {
                    Ok(_) => return,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
                }
            }
        })
    });
    join(workers.collect());
    let image = disk.crash_with(CrashMode::Nothing);
    let counts = rotated(&store);
    for store in [store, open(&image, Background::Stepped)] {
        let found = store.get(&keyspace(), b"one").unwrap().unwrap();
        assert_eq!(found.value.first(), Some(&COMMITTERS), "an increment is lost");
    }
    counts
}
