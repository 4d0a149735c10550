//! A power cut in the middle of a schedule.

use std::sync::Arc;

use jidoka::vfs::Background;
use jidoka::vfs::memory::{CrashMode, MemoryVfs, Operation};
use jidoka::vfs::sync::Mutex;
use jidoka::wal::Durability;

use crate::committers::{
    COMMITTERS, EACH, LARGE, assert_holds, below, commit_all, join, open, rotated,
};

/// Images of one schedule; more are cut in other schedules.
const IMAGES: usize = 2;

/// Cut at some operations, the disk holds what was acknowledged by then, and of all commits a
/// beginning. What was acknowledged is noted before the image is taken.
pub(crate) fn a_crash_anywhere_leaves_a_prefix_with_all_that_was_acknowledged() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let images = Arc::new(Mutex::new(Vec::new()));
    let (told, workers) = commit_all(&store, COMMITTERS, LARGE, Durability::Sync, &[]);
    let (sink, so_far) = (Arc::clone(&images), told.clone());
    disk.set_observer(Box::new(move |disk: &MemoryVfs, _: &Operation| {
        let mode = match below(32) {
            0 => CrashMode::Nothing,
            1 => CrashMode::Everything,
            2 => CrashMode::LastTorn,
            3 | 4 => CrashMode::Random { seed: below(1 << 16), keep_per_256: 128 },
            _ => return,
        };
        let acknowledged = so_far.acknowledged();
        let image = disk.crash_with(mode);
        let mut images = sink.lock();
        if images.len() < IMAGES {
            images.push((image, acknowledged));
        }
    }));
    join(workers);
    disk.clear_observer();
    assert_eq!(told.count(), usize::from(COMMITTERS * EACH));
    let images = std::mem::take(&mut *images.lock());
    let counts = rotated(&store) && !images.is_empty();
    for (image, acknowledged) in images {
        assert_holds(&image, &acknowledged, &told);
    }
    counts
}
