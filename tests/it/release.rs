//! The log alone: what a release gives back, what holds it back, and what a used file shows.

#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jidoka::base::{ErrorKind, Lsn, Term};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, OperationKind, Selector, runtime,
};
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::reader::Limit;
use jidoka::wal::{
    Durability, Follower, LogReader, OpenSettings, Vote, Wal, salvage_log, survey_log,
};

const DIR: &str = "/log";

fn settings() -> OpenSettings {
    OpenSettings { segment_bytes: 8192, ..OpenSettings::default() }
}

fn open_with(disk: &MemoryVfs, settings: &OpenSettings) -> (Wal, Vec<(Lsn, Vec<u8>)>) {
    let mut shown = Vec::new();
    let log = Wal::open(Path::new(DIR), &runtime(disk, disk.operations()), settings, &mut |r| {
        shown.push((r.header.lsn, r.payload.to_vec()));
        Ok(())
    });
    (log.unwrap(), shown)
}

fn open(disk: &MemoryVfs) -> Wal {
    open_with(disk, &settings()).0
}

/// Three commits fill a segment; the first LSN is the era's.
fn commit(log: &Wal, count: u64) -> Lsn {
    (0..count).map(|_| log.commit(vec![7; 1000], Durability::Sync).unwrap()).last().unwrap()
}

fn names(disk: &MemoryVfs, suffix: &str) -> Vec<String> {
    let entries = disk.list(&Path::new(DIR).join("wal")).unwrap();
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(suffix)).collect()
}

fn segment(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("wal/{number:016}.wal"))
}

fn drain(follower: &mut Follower) -> Vec<u64> {
    std::iter::from_fn(|| follower.next_commit().unwrap())
        .map(|record| record.header.lsn.0)
        .collect()
}

#[test]
fn what_nobody_needs_goes_and_its_files_are_the_next_segments() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 12);
    assert_eq!(log.release(Lsn(1)).unwrap().segments, 0, "everything is needed");
    let released = log.release(last).unwrap();
    assert!(released.segments >= 2, "{released:?}");
    assert_eq!((released.oldest, released.held_bytes), (log.oldest(), 0));
    assert!(released.oldest > Lsn(1) && released.oldest <= last);
    let free = names(&disk, ".free").len();
    assert_eq!((free as u64, log.stats().free_segments), (released.segments, free as u64));
    let filled = log.stats().filled_segments;
    commit(&log, 6);
    let stats = log.stats();
    assert_eq!((stats.filled_segments, stats.recycled_segments), (filled, 2), "no new zeroes");
    let oldest = log.release(last).unwrap().oldest;
    assert!(stats.oldest < oldest && oldest <= last, "what was the active segment goes now");
    assert_eq!(log.release(last).unwrap().segments, 0, "again changes nothing");
    let stats = log.stats();
    log.close().unwrap();
    let (log, shown) = open_with(&disk, &settings());
    assert_eq!(log.report().case, "@J");
    let commits: Vec<u64> = shown.iter().map(|(lsn, _)| lsn.0).collect();
    let kept = commits.iter().position(|lsn| *lsn == stats.oldest.0).unwrap();
    assert_eq!(commits.last(), Some(&stats.appended.0));
    assert!(commits[kept..].is_sorted() && commits[0] + 1 >= stats.oldest.0, "{commits:?}");
    assert_eq!(log.oldest(), stats.oldest);
}

#[test]
fn a_release_forgets_no_vote_and_what_is_gone_cannot_be_cut_to() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let vote = Vote { term: Term(3), leader: 2, committed: true };
    log.save_vote(vote).unwrap();
    let last = commit(&log, 24);
    log.save_committed(Lsn(2)).unwrap();
    assert!(log.release(last).unwrap().segments > 2);
    for lsn in [Lsn(0), Lsn(2), Lsn(log.oldest().0 - 1)] {
        let error = log.truncate_after(lsn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Expired | ErrorKind::Refused), "{error:?}");
    }
    log.truncate_after(Lsn(last.0 - 1)).unwrap();
    assert_eq!(log.commit(vec![1], Durability::Sync).unwrap(), last);
    drop(log);
    let (log, commits) = open_with(&disk.crash_with(CrashMode::Nothing), &settings());
    assert_eq!((log.vote(), log.committed().unwrap().lsn), (Some(vote), Lsn(2)));
    assert!(commits.contains(&(last, vec![1])), "{:?}", commits.last());
    assert_eq!(log.visible(), last);
}

#[test]
fn a_log_that_begins_later_is_salvaged_also_when_its_beginning_is_gone() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 24);
    assert!(log.release(last).unwrap().segments > 2);
    drop(log);
    let lowest = Path::new(DIR).join("wal").join(names(&disk, ".wal").first().unwrap());
    for is_gone in [false, true] {
        let damaged = disk.kill();
        if is_gone {
            damaged.remove(&lowest).unwrap();
        } else {
            damaged.flip(&lowest, 4200, 1).unwrap();
        }
        let opened = Wal::open(Path::new(DIR), &runtime(&damaged, 1), &settings(), &mut |_| Ok(()));
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Corrupt);
        let report = salvage_log(Path::new(DIR), &runtime(&damaged, 2), true).unwrap();
        assert!(report.done && report.quarantine.is_some(), "{report:?}");
        let log = open(&damaged);
        let next = commit(&log, 2);
        drop(log);
        let (log, _) = open_with(&damaged.crash_with(CrashMode::Nothing), &settings());
        assert_eq!(log.visible(), next, "{is_gone}");
    }
}

#[test]
fn a_follower_holds_back_what_it_has_still_to_read() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 12);
    let mut slow = log.follow(Lsn::ZERO).unwrap();
    let mut fast = log.follow(last).unwrap();
    let released = log.release(last).unwrap();
    assert_eq!((released.segments, released.oldest), (0, Lsn(1)));
    assert!(released.held_bytes >= 2 * 8192, "{released:?}");
    let stats = log.stats();
    assert_eq!((stats.pins, stats.held_bytes), (2, released.held_bytes));
    assert_eq!(drain(&mut slow), (2..=last.0).collect::<Vec<_>>());
    assert_eq!(drain(&mut fast), [0; 0]);
    let released = log.release(last).unwrap();
    assert!(released.segments >= 2 && released.held_bytes == 0, "{released:?}");
    let next = commit(&log, 1);
    assert_eq!((drain(&mut slow), drain(&mut fast)), (vec![next.0], vec![next.0]));
    drop((slow, fast));
    assert_eq!(log.stats().pins, 0);
}

#[test]
fn a_follower_that_holds_back_too_much_is_told_what_the_oldest_commit_is() {
    let disk = MemoryVfs::new();
    let settings = OpenSettings { held_bytes_max: 8192, ..settings() };
    let (log, _) = open_with(&disk, &settings);
    let last = commit(&log, 4);
    let mut follower = log.follow(Lsn::ZERO).unwrap();
    assert_eq!(follower.next_commit().unwrap().unwrap().header.lsn, Lsn(2));
    commit(&log, 20);
    let released = log.release(log.durable()).unwrap();
    assert!(released.segments > 2 && released.held_bytes == 0, "{released:?}");
    assert_eq!(log.stats().pins, 0);
    let error = loop {
        match follower.next_commit() {
            Ok(record) => assert!(record.unwrap().header.lsn <= last.next()),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.place().lsn), (ErrorKind::Expired, Some(log.oldest())));
    let from = |after: u64| log.follow(Lsn(after)).map(|mut follower| drain(&mut follower));
    let oldest = log.oldest().0;
    let error = from(oldest - 2).unwrap_err();
    assert_eq!((error.kind(), error.place().lsn), (ErrorKind::Expired, Some(log.oldest())));
    for after in [oldest - 1, oldest, oldest + 5, log.durable().0] {
        let expected: Vec<u64> = (after + 1..=log.durable().0).collect();
        assert_eq!(from(after).unwrap(), expected, "after {after}");
    }
    let machine = runtime(&disk, 3);
    let error = LogReader::open_after(Path::new(DIR), &machine, Lsn(oldest - 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
}

#[test]
fn a_follower_never_sees_what_is_not_durable() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 2);
    let mut follower = log.follow(Lsn::ZERO).unwrap();
    let written = log.commit(*b"written", Durability::Buffered).unwrap();
    assert_eq!(drain(&mut follower), [2, 3]);
    assert_eq!((last, follower.next_commit().unwrap()), (Lsn(3), None));
    log.sync().unwrap();
    let record = follower.next_commit().unwrap().unwrap();
    assert_eq!((record.header.lsn, &record.payload[..]), (written, &b"written"[..]));
}

#[test]
fn a_reader_whose_file_was_used_again_is_told_so_and_shown_nothing_of_it() {
    // Readers of another process: one that has read a little, one that has read a whole segment,
    // and one that waits for more in the segment that is written to.
    for read in [1, 4, 100] {
        let disk = MemoryVfs::new();
        let log = open(&disk);
        commit(&log, 12);
        let mut reader = LogReader::open(Path::new(DIR), &runtime(&disk, 5)).unwrap();
        let read = (0..read).take_while(|_| reader.next(Limit::Everything).unwrap().is_some());
        assert!(read.count() >= 1);
        for _ in 0..5 {
            let last = commit(&log, 6);
            log.release(last).unwrap();
        }
        assert!(log.stats().recycled_segments > 5);
        let error = loop {
            match reader.next(Limit::Everything) {
                Ok(Some(record)) => assert!(record.header.lsn < log.oldest(), "{record:?}"),
                Ok(None) => panic!("the log has no end here"),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), error.place().lsn), (ErrorKind::Expired, Some(log.oldest())));
    }
}

#[test]
fn numbers_go_on_behind_a_release_and_nothing_begins_at_zero_again() {
    let disk = MemoryVfs::new();
    let (mut last, mut segments) = (Lsn::ZERO, 0);
    for life in 0..4 {
        let log = open(&disk);
        for _ in 0..3 {
            let next = commit(&log, 6);
            assert!(next > last, "life {life}");
            last = next;
            log.release(last).unwrap();
        }
        assert!(log.stats().active_segment > segments, "life {life}");
        segments = log.stats().active_segment;
        if life % 2 == 0 {
            log.close().unwrap();
        }
    }
}

#[test]
fn a_torn_future_in_a_recycled_segment_is_cut_and_not_continued() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 12);
    log.release(last).unwrap();
    while log.stats().recycled_segments == 0 {
        commit(&log, 1);
    }
    let before = log.stats().active_segment;
    while log.stats().active_segment == before {
        commit(&log, 1);
    }
    log.close().unwrap();
    drop(log);
    let whole = disk.kill();
    // The next life writes one group behind the clean close, and all of it is lost but its end.
    let log = open(&disk);
    for byte in [1, 2] {
        log.commit(vec![byte; 600], Durability::Buffered).unwrap();
    }
    let number = log.stats().active_segment;
    let after = disk.read_file(segment(number)).unwrap();
    let before = whole.read_file(segment(number)).unwrap();
    let changed = |at: &usize| before[*at] != after[*at];
    let end = (0..after.len()).rfind(changed).unwrap() + 1;
    let from = end - end % 512;
    let file = whole.open(&segment(number), OpenMode::ReadWrite).unwrap();
    file.write_all_at(&after[from..], from as u64).unwrap();
    file.sync_all().unwrap();
    drop(file);
    // Bytes of the torn group without a header of it say nothing.
    let (log, _) = open_with(&whole, &settings());
    assert_eq!(log.report().case, "@J", "{:?}", log.report());
    drop(log);
    // With one it is torn, and never written over in place.
    let file = whole.open(&segment(number), OpenMode::ReadWrite).unwrap();
    let second = (0..after.len() - 600).rfind(|at| after[*at..*at + 600] == [2; 600]).unwrap();
    let header = second - 72;
    file.write_all_at(&after[header..], header as u64).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let (log, shown) = open_with(&whole, &settings());
    assert_eq!(log.report().case, "@L");
    assert_eq!(shown.last().unwrap().0, log.durable());
    assert_ne!(log.stats().active_segment, number, "continued elsewhere");
    assert!(log.report().cut_bytes >= 600);
}

#[test]
fn any_damage_to_the_beginning_of_the_log_is_refused_and_named() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 12);
    log.release(last).unwrap();
    log.close().unwrap();
    drop(log);
    let path = Path::new(DIR).join("wal/FIRST");
    let length = disk.read_file(&path).unwrap().len() as u64;
    let refused = |disk: &MemoryVfs, shown: &str| {
        let machine = runtime(disk, 1);
        let dir = Path::new(DIR);
        let opened = Wal::open(dir, &machine, &settings(), &mut |_| Ok(())).unwrap_err();
        let surveyed = survey_log(dir, &machine, &mut |_| Ok(()));
        let place = opened.place().path.clone().unwrap();
        assert_eq!((opened.kind(), place.as_path()), (ErrorKind::Corrupt, Path::new(shown)));
        match surveyed {
            Ok(survey) => assert_eq!(survey.damage[0].path, place),
            Err(error) => assert_eq!(error.place().path.as_ref(), Some(&place)),
        }
    };
    for offset in 0..length {
        let image = disk.kill();
        image.flip(&path, offset, 1).unwrap();
        refused(&image, "wal/FIRST");
    }
    let image = disk.kill();
    image.remove(&path).unwrap();
    refused(&image, "wal/0000000000000001.wal");
    let first = (1..20).find(|number| disk.read_file(segment(*number)).is_ok()).unwrap();
    let image = disk.kill();
    image.remove(&segment(first)).unwrap();
    refused(&image, &format!("wal/{first:016}.wal"));
}

#[test]
fn a_release_that_fails_anywhere_leaves_a_whole_log_and_can_be_repeated() {
    let kinds = [
        OperationKind::Create,
        OperationKind::Write,
        OperationKind::Sync,
        OperationKind::Rename,
        OperationKind::SyncDir,
        OperationKind::Remove,
        OperationKind::Read,
        OperationKind::Open,
    ];
    let mut failed = 0;
    for kind in kinds {
        for nth in 0..12 {
            let disk = MemoryVfs::new();
            let (log, _) =
                open_with(&disk, &OpenSettings { pool_segments_max: Some(1), ..settings() });
            let last = commit(&log, 14);
            let at = Selector { kind: Some(kind), path_contains: Some("/wal/".to_owned()), nth };
            let what = FaultKind::Error(std::io::ErrorKind::Other);
            disk.plan(Fault { at, what, sticky: false });
            failed += u64::from(log.release(last).is_err());
            if disk.faults_fired() == 0 {
                break;
            }
            let image = disk.crash_with(CrashMode::Nothing);
            let (reopened, shown) = open_with(&image, &settings());
            assert_eq!(shown.last().unwrap().0, last, "{kind:?} {nth}");
            assert!(reopened.oldest() <= last);
            // What failed was not a sync of the log, so it goes on.
            if log.commit(*b"on", Durability::Sync).is_ok() {
                let released = log.release(last).unwrap();
                assert!(released.oldest > Lsn(1), "{kind:?} {nth}: {released:?}");
                log.close().unwrap();
                assert_eq!(names(&disk, ".free").len(), 1, "{kind:?} {nth}");
            }
        }
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn a_file_that_is_not_whole_or_has_a_second_name_is_not_used_again() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 12);
    log.release(last).unwrap();
    let free = names(&disk, ".free");
    assert!(free.len() >= 2);
    for name in &free {
        let path = Path::new(DIR).join("wal").join(name);
        disk.open(&path, OpenMode::ReadWrite).unwrap().set_len(4096).unwrap();
    }
    commit(&log, 6);
    assert_eq!(log.stats().recycled_segments, 0);
    assert_eq!(names(&disk, ".free"), [""; 0], "they were removed");
    log.close().unwrap();
    // A second name, on a disk that has such.
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("log");
    let log = Wal::open_alone(&place, &settings()).unwrap();
    let last = commit(&log, 12);
    let kept = dir.path().join("kept");
    std::fs::hard_link(place.join("wal/0000000000000001.wal"), &kept).unwrap();
    let before = std::fs::read(&kept).unwrap();
    assert!(log.release(last).unwrap().segments > 0);
    commit(&log, 12);
    log.close().unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), before);
}

#[test]
fn where_every_write_gets_a_new_place_nothing_is_filled_and_nothing_used_again() {
    let disk = MemoryVfs::new();
    // How often a file is given its size, how often one is written, and files used again.
    let made = |disk: &MemoryVfs| {
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let sink = Arc::clone(&counts);
        disk.set_observer(Box::new(move |_: &MemoryVfs, operation| match operation.kind {
            OperationKind::SetLen => drop(sink[0].fetch_add(1, Ordering::SeqCst)),
            OperationKind::Write => drop(sink[1].fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }));
        let settings = OpenSettings { segment_bytes: 1 << 16, ..OpenSettings::default() };
        let (log, _) = open_with(disk, &settings);
        let last = commit(&log, 200);
        let released = log.release(last).unwrap();
        assert!(released.segments > 0);
        let last = commit(&log, 200);
        let recycled = log.stats().recycled_segments;
        log.close().unwrap();
        drop(log);
        disk.clear_observer();
        let (log, shown) = open_with(disk, &settings);
        assert_eq!((log.report().case, shown.last().unwrap().0), ("@J", last));
        (counts[0].load(Ordering::SeqCst), counts[1].load(Ordering::SeqCst), recycled)
    };
    let (sized, filling, recycled) = made(&disk);
    assert!(sized == 0 && recycled > 0, "{sized} {recycled}");
    let disk = MemoryVfs::new();
    disk.copy_on_write();
    let (sized, writing, recycled) = made(&disk);
    assert!(sized > 5 && recycled == 0, "{sized} {recycled}");
    assert!(writing + 4 * 15 < filling, "no page of zeroes: {writing}, {filling}");
    assert_eq!(names(&disk, ".free"), [""; 0]);
}

/// 1. a release has renamed `FIRST`, and its process ends before the rename is synced;
/// 2. the next one reads where the log begins, and uses the files below again.
///
/// `!` A power cut takes the rename: the log begins with a segment whose file is another one.
#[test]
fn files_below_a_beginning_that_was_read_are_used_again_only_when_it_is_durable() {
    let disk = MemoryVfs::new();
    let log = open(&disk);
    let last = commit(&log, 12);
    let killed = Arc::new(jidoka::vfs::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&killed);
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation| {
        let is_first = operation.path.to_string_lossy().contains("FIRST");
        if is_first && operation.kind == OperationKind::Rename {
            sink.lock().push(disk.kill());
        }
    }));
    log.release(last).unwrap();
    disk.clear_observer();
    let next = killed.lock().pop().unwrap();
    let cuts = Arc::new(jidoka::vfs::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&cuts);
    next.set_observer(Box::new(move |disk: &MemoryVfs, _| {
        sink.lock().push(disk.crash_with(CrashMode::Nothing));
    }));
    let log = open(&next);
    commit(&log, 9);
    assert!(log.stats().recycled_segments > 0, "{:?}", log.stats());
    next.clear_observer();
    let cuts = std::mem::take(&mut *cuts.lock());
    assert!(cuts.len() > 40, "{}", cuts.len());
    for cut in &cuts {
        let (_, shown) = open_with(cut, &settings());
        assert!(shown.iter().any(|(lsn, _)| *lsn == last), "an acknowledged commit is there");
    }
}
