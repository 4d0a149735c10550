//! Readers beside committers: of the log as it becomes durable, and of what is visible.

use std::path::Path;

use jidoka::base::Lsn;
use jidoka::vfs::Background;
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::wal::reader::Limit;
use jidoka::wal::{Durability, LogReader};

use crate::committers::{
    COMMITTERS, EACH, LARGE, assert_survives, below, commit_all, join, keyspace, one_of, open,
    rotated, start,
};

/// Looks of a reader beside the committers.
const LOOKS: usize = 3;

/// What a follower was shown survives a power cut at that moment, and it misses nothing.
pub(crate) fn a_follower_sees_only_what_is_durable() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let durability = one_of(&[Durability::Sync, Durability::Buffered]);
    let (told, workers) = commit_all(&store, COMMITTERS, LARGE, durability, &[]);
    let (followed, of) = (store.clone(), disk.clone());
    let by_claims = below(2) == 0;
    let following = start(move || {
        let mut reader = LogReader::open(Path::new("/store"), &runtime(&of, 2)).unwrap();
        let (mut shown, mut images) = (Lsn::ZERO, Vec::new());
        for _ in 0..LOOKS {
            let limit = if by_claims { Limit::Claims } else { Limit::Durable(followed.durable()) };
            let before = shown;
            while let Some(record) = reader.next(limit).unwrap() {
                if record.header.kind.takes_lsn() {
                    assert_eq!(record.header.lsn, shown.next(), "a commit was left out");
                    shown = record.header.lsn;
                }
            }
            if shown > before {
                images.push((of.crash_with(CrashMode::Nothing), shown));
            }
        }
        (images, shown, reader)
    });
    let (images, mut shown, mut reader) = following.join().unwrap();
    join(workers);
    for (image, shown) in images {
        let held = open(&image, Background::Stepped).visible();
        assert!(held >= shown, "{shown} was shown, and {held} is the last there is");
    }
    store.sync().unwrap();
    while let Some(record) = reader.next(Limit::Durable(store.durable())).unwrap() {
        shown = shown.max(record.header.lsn);
    }
    assert_eq!(shown, store.visible(), "the follower was not shown all of it");
    assert_survives(&disk, &told);
    rotated(&store)
}

/// A reader sees a beginning of the history, which only grows, and a snapshot stays as it is;
/// what it sees was asked to be durable, so a power cut leaves it.
pub(crate) fn a_reader_sees_a_prefix_that_stays() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let (told, workers) = commit_all(&store, COMMITTERS, LARGE, Durability::Sync, &[]);
    let (read, of) = (store.clone(), disk.clone());
    let reading = start(move || {
        let (mut last, mut looks) = (Lsn::ZERO, Vec::new());
        for _ in 0..LOOKS {
            let durable = read.durable();
            let snapshot = read.snapshot();
            assert!(durable <= read.visible(), "durable and not visible");
            let keys = || snapshot.range(&keyspace(), ..).map(|pair| pair.unwrap().lsn);
            let count = keys().count();
            assert!(keys().all(|lsn| lsn <= snapshot.lsn()));
            assert!(snapshot.lsn() >= last, "what was visible went back");
            assert_eq!(keys().count(), count, "the snapshot changed");
            last = snapshot.lsn();
            looks.push((of.crash_with(CrashMode::Nothing), last, count));
        }
        looks
    });
    let looks = reading.join().unwrap();
    join(workers);
    assert_eq!(told.count(), usize::from(COMMITTERS * EACH));
    for (image, last, count) in looks {
        let held = open(&image, Background::Stepped).visible();
        assert!(held >= last, "{last} was seen, and {held} is the last there is");
        let commits = told.acknowledged().range(..=last).count();
        assert_eq!(count, commits, "not all up to {last}, or more");
    }
    rotated(&store)
}
