//! Committers on a disk that fails.

use std::io;

use jidoka::base::ErrorKind;
use jidoka::vfs::Background;
use jidoka::vfs::memory::{Fault, FaultKind, MemoryVfs, OperationKind, Selector, SyncFailure};
use jidoka::wal::Durability;

use crate::committers::{
    COMMITTERS, EACH, LARGE, assert_holds, assert_survives, below, commit_all, join, one_of, open,
    rotated,
};

const STOPPED: &[ErrorKind] = &[ErrorKind::OutcomeUnknown, ErrorKind::Poisoned];

/// An operation on one of the first two segments, under the names they have in the log.
fn in_the_log(kind: OperationKind, what: FaultKind) -> Fault {
    let path = one_of(&["/wal/0000000000000001.wal", "/wal/0000000000000002.wal"]);
    let at = Selector { kind: Some(kind), path_contains: Some(path.to_owned()), nth: below(3) };
    Fault { at, what, sticky: false }
}

/// A failing sync or write stops every committer, and what was acknowledged stays. With a disk
/// that lies the acknowledged may go in a power cut, but not when the store is opened again.
fn stopped_by(fault: Fault, lies: bool) -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    disk.plan(fault);
    let len = one_of(&[700, LARGE]);
    let (told, workers) = commit_all(&store, COMMITTERS, len, Durability::Sync, STOPPED);
    join(workers);
    let fired = disk.faults_fired() > 0;
    let all = usize::from(COMMITTERS * EACH);
    assert!(told.count() == all || fired, "nothing failed");
    if fired && !lies {
        // Also when it was the keeper whose write or sync failed.
        let error = told.commit(&store, [COMMITTERS, 0], 100, Durability::Sync).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "the log went on after a failure");
    }
    let counts = fired || rotated(&store);
    if !lies {
        assert_survives(&disk, &told);
    }
    drop(store);
    if !lies {
        assert_survives(&disk, &told);
    }
    assert_holds(&disk.kill(), &told.acknowledged(), &told);
    counts
}

fn failing_sync(way: fn(Option<u64>) -> SyncFailure, lies: bool) -> bool {
    let seed = (below(2) == 0).then(|| below(1 << 16));
    stopped_by(in_the_log(OperationKind::Sync, FaultKind::FailedSync(way(seed))), lies)
}

pub(crate) fn a_sync_that_fails_and_keeps_the_pages() -> bool {
    failing_sync(|seed| SyncFailure::KeptClean { seed }, false)
}

pub(crate) fn a_sync_that_fails_and_drops_the_pages() -> bool {
    failing_sync(|seed| SyncFailure::Reverted { seed }, false)
}

pub(crate) fn a_sync_that_fails_a_call_late() -> bool {
    failing_sync(|seed| SyncFailure::Late { seed }, true)
}

pub(crate) fn a_sync_that_fails_from_then_on() -> bool {
    failing_sync(|seed| SyncFailure::Sticky { seed }, false)
}

pub(crate) fn a_write_that_fails() -> bool {
    let what = one_of(&[FaultKind::NoSpace, FaultKind::TornWrite { bytes: 700 }]);
    stopped_by(in_the_log(OperationKind::Write, what), false)
}

/// The keeper, or a committer in its place, finds no room for the next segment: whoever needs it
/// is told so, nothing of it was written, and everybody else goes on.
pub(crate) fn a_segment_that_cannot_be_prepared() -> bool {
    let (kind, path) = one_of(&[
        (OperationKind::Create, "2.tmp"),
        (OperationKind::Write, "2.tmp"),
        (OperationKind::Sync, "2.tmp"),
        (OperationKind::Rename, "2.wal"),
        (OperationKind::SyncDir, "/wal"),
    ]);
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let what = one_of(&[FaultKind::NoSpace, FaultKind::Error(io::ErrorKind::Other)]);
    let at = Selector { kind: Some(kind), path_contains: Some(path.to_owned()), nth: 0 };
    let sticky = below(2) == 0;
    disk.plan(Fault { at, what, sticky });
    let refused = &[ErrorKind::Full, ErrorKind::Io];
    let (told, workers) = commit_all(&store, COMMITTERS, LARGE, Durability::Sync, refused);
    join(workers);
    let fired = disk.faults_fired() > 0;
    assert!(fired, "the second segment is needed");
    assert_eq!(told.count() + told.refused().len(), usize::from(COMMITTERS * EACH));
    assert!(sticky || told.refused().len() <= 1, "it failed once");
    assert!(!sticky || !told.refused().is_empty(), "there is no second segment");
    assert_survives(&disk, &told);
    drop(store);
    assert_survives(&disk, &told);
    fired
}
