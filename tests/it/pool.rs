//! Segments prepared ahead: as many as are needed, none on the way of a commit, few when idle.

use std::path::Path;
use std::sync::Arc;

use jidoka::vfs::Vfs;
use jidoka::vfs::memory::{MemoryVfs, Operation, OperationKind, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::wal::{Durability, OpenSettings, Wal};

const DIR: &str = "/log";

fn settings(pool_segments_max: usize) -> OpenSettings {
    let pool_segments_max = Some(pool_segments_max);
    OpenSettings { segment_bytes: 8192, pool_segments_max, ..OpenSettings::default() }
}

fn open(disk: &MemoryVfs, pool_segments_max: usize) -> Wal {
    let settings = settings(pool_segments_max);
    let runtime = runtime(disk, disk.operations());
    Wal::open(Path::new(DIR), &runtime, &settings, &mut |_| Ok(())).unwrap()
}

fn commit(log: &Wal, count: usize) {
    for _ in 0..count {
        log.commit(vec![7; 1000], Durability::Sync).unwrap();
    }
}

/// Commits that find nothing prepared.
fn burst(log: &Wal) {
    commit(log, 30);
}

/// Background work, until as many segments are prepared as are wanted, and one step more is to
/// be without work or to take one away.
fn prepare_all(log: &Wal) -> u64 {
    loop {
        let before = log.stats().spare_segments;
        if !log.step().unwrap() {
            return before;
        }
        let after = log.stats().spare_segments;
        if after < before {
            return before;
        }
    }
}

fn segments(disk: &MemoryVfs) -> u64 {
    let entries = disk.list(&Path::new(DIR).join("wal")).unwrap();
    entries.iter().filter(|entry| entry.name.ends_with(".wal")).count() as u64
}

#[test]
fn a_burst_makes_the_pool_grow_to_its_bound_and_a_quiet_log_keeps_one() {
    for max in [0, 1, 2, 3, 5] {
        let disk = MemoryVfs::new();
        let log = open(&disk, max);
        burst(&log);
        let most = (max as u64).max(1);
        assert_eq!(prepare_all(&log), most);
        // One step took one away where there are several.
        while log.step().unwrap() {}
        let (spares, active) = (log.stats().spare_segments, log.stats().active_segment);
        assert_eq!((spares, segments(&disk)), (1, active + 1), "of {max}");
    }
}

#[test]
fn commits_with_spares_ahead_of_them_only_write_and_sync() {
    let disk = MemoryVfs::new();
    let log = open(&disk, 4);
    burst(&log);
    prepare_all(&log);
    let (before, kinds) = (log.stats(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&kinds);
    disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        seen.lock().push(operation.kind);
    }));
    commit(&log, 8);
    disk.clear_observer();
    let after = log.stats();
    assert!(after.active_segment - before.active_segment >= 2, "{after:?}");
    assert_eq!(after.pool_misses, before.pool_misses);
    let kinds = kinds.lock();
    let others =
        |kind: &&OperationKind| !matches!(kind, OperationKind::Write | OperationKind::Sync);
    assert_eq!(kinds.iter().find(others), None, "of {} operations", kinds.len());
    assert!(kinds.len() >= 16);
}

#[test]
fn a_close_leaves_one_spare_and_the_log_goes_on_where_it_stood() {
    let disk = MemoryVfs::new();
    let log = open(&disk, 4);
    burst(&log);
    // One was prepared by the last commit, and a step prepares one.
    (0..2).for_each(|_| assert!(log.step().unwrap()));
    let (active, last) = (log.stats().active_segment, log.durable());
    assert_eq!((log.stats().spare_segments, segments(&disk)), (3, active + 3));
    log.close().unwrap();
    // The close may have gone on in one itself.
    let stats = log.stats();
    assert!(stats.spare_segments <= 1, "{stats:?}");
    assert_eq!(segments(&disk), stats.active_segment + stats.spare_segments);
    let log = open(&disk, 4);
    assert_eq!((log.report().case, log.durable()), ("@J", last));
    burst(&log);
    log.close().unwrap();
}

#[test]
fn zeroes_are_counted_apart_and_not_where_they_are_good_for_nothing() {
    for copies_on_write in [false, true] {
        let disk = MemoryVfs::new();
        if copies_on_write {
            disk.copy_on_write();
        }
        let log = open(&disk, 4);
        burst(&log);
        let stats = log.stats();
        assert!(stats.filled_segments > 5, "{stats:?}");
        let zeroes = if copies_on_write { 0 } else { stats.filled_segments * 8192 };
        assert_eq!(stats.zeroed_bytes, zeroes);
    }
}
