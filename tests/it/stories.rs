//! Crash stories that are told of logs, each as a test: what happened, where the power went, what
//! must be there.
#![expect(
    clippy::disallowed_methods,
    reason = "outside the engine, files are copied as anyone does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jidoka::archive::{RestoreRequest, Target, backup, restore};
use jidoka::base::{Error, ErrorKind, Lsn, Timestamp};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, SimClock,
    SyncFailure, runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{Runtime, Vfs};
use jidoka::wal::Durability;
use jidoka::wal::format::Kind;
use jidoka::wal::reader::{Limit, LogReader, OwnedRecord};

use crate::model::{SEGMENT_BYTES, STORE, images, open};

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

fn batch(key: u8, text: &str, durability: Durability) -> Batch {
    let mut batch = Batch::new();
    batch.put(&pots(), &[key], text.as_bytes()).durability(durability);
    batch
}

fn put(store: &Store, key: u8, text: &str) -> Lsn {
    store.commit(batch(key, text, Durability::Sync)).unwrap().lsn
}

/// Every key with its text.
type Shown = BTreeMap<u8, String>;

fn shown(store: &Store) -> Shown {
    let pairs = store.range(&pots(), ..).map(|pair| {
        let pair = pair.unwrap();
        (pair.key[0], String::from_utf8(pair.value.to_vec()).unwrap())
    });
    pairs.collect()
}

/// Every record of a log, proven or not.
fn records(dir: &Path, machine: &Runtime) -> Vec<OwnedRecord> {
    let mut reader = LogReader::open(dir, machine).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        records.push(record);
    }
    records
}

fn records_of(disk: &MemoryVfs) -> Vec<OwnedRecord> {
    records(Path::new(STORE), &runtime(disk, 77))
}

fn segment_path(number: u64) -> String {
    format!("{STORE}/wal/{number:016}.wal")
}

/// Images of the disk after each of its operations while `work` is done, by name, and whether
/// only the process ended.
fn every_crash(disk: &MemoryVfs, work: impl FnOnce()) -> Vec<(String, bool, MemoryVfs)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        sink.lock().extend(images(disk, operation.number));
    }));
    work();
    disk.clear_observer();
    std::mem::take(&mut *seen.lock())
}

/// Rot in a bookkeeping record.
///
/// 1. between two commits stands a record that is no commit: a segment's end or start, a mark;
/// 2. it rots, and the commits around it still have numbers without a gap;
/// 3. a reader that counted only commits would go on as if nothing had been there.
#[test]
fn rot_in_a_record_that_is_no_commit_is_refused_like_any_other() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    for key in 0..9 {
        put(&store, key, &"clay ".repeat(160));
        if key % 3 == 1 {
            while store.step().unwrap() {}
        }
    }
    store.close().unwrap();
    let disk = disk.crash_with(CrashMode::Everything);
    let records = records_of(&disk);
    let claimed = records.iter().map(|record| record.header.claim).max().unwrap();
    let mut kinds = BTreeSet::new();
    for record in records.iter().filter(|record| record.header.seq <= claimed) {
        if record.header.kind == Kind::Commit {
            continue;
        }
        kinds.insert(format!("{:?}", record.header.kind));
        let name = segment_path(record.segment.0);
        for offset in record.offset..record.offset + record.header.record_len() {
            let damaged = disk.kill();
            damaged.flip(&name, offset, 0x10).unwrap();
            let what = format!("{:?} {} at {offset}", record.header.kind, record.header.seq);
            let error = open(&damaged, 9).expect_err(&what);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error:?}");
            let place = error.place();
            assert!(Path::new(&name).ends_with(place.path.as_ref().unwrap()), "{what}: {error:?}");
            assert_eq!(place.offset, Some(record.offset), "{what}: {error:?}");
        }
    }
    let expected = ["SegmentEnd", "SegmentStart", "TermStart", "TimeMark"].map(String::from);
    assert_eq!(kinds, expected.into());
}

/// Two segments with the same LSN after a cut.
///
/// 1. commits fill three segments; a power cut tears the first of them and keeps the third;
/// 2. recovery cuts in the first and removes the third, and the next commits get LSNs again;
///
/// ! the removal was not synced: another power cut, and two segments hold commits of those LSNs.
#[test]
fn an_lsn_that_was_cut_away_and_given_again_is_read_once() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    let first = put(&store, 0, &"first ".repeat(300)).0;
    let crashes = every_crash(&disk, || {
        for key in 1..11 {
            let text = format!("torn {key} away ").repeat(110);
            store.commit(batch(key, &text, Durability::Buffered)).unwrap();
        }
        store.sync().unwrap();
    });
    let mut twice = 0;
    for (name, _, disk) in &crashes {
        let fail = |error: Error| panic!("{name}: {error:?}");
        let recovered = open(disk, 2).unwrap_or_else(fail);
        let mut expected = shown(&recovered);
        let cut_away = u8::try_from(expected.len()).unwrap();
        for again in 0..3 {
            let lsn = put(&recovered, 20 + again, "given again").0;
            assert_eq!(lsn, first + u64::from(cut_away + again), "{name}");
            expected.insert(20 + again, "given again".to_owned());
        }
        for cut in [CrashMode::Nothing, CrashMode::Everything] {
            let after = disk.crash_with(cut);
            let holds = |key: u8| {
                let text = format!("torn {key} away");
                let in_file = |path: &Path| {
                    let bytes = after.read_file(path).unwrap();
                    bytes.windows(text.len()).any(|found| found == text.as_bytes())
                };
                after.files().iter().any(|(path, _)| in_file(path))
            };
            twice += u32::from((cut_away..cut_away + 3).any(holds));
            let again = open(&after, 3).unwrap_or_else(fail);
            assert_eq!(shown(&again), expected, "{name}");
            let commits = records_of(&after).into_iter().map(|record| record.header);
            let lsns = commits.filter(|header| header.kind.takes_lsn()).map(|header| header.lsn.0);
            assert!(lsns.eq(1..first + u64::from(cut_away) + 3), "{name}");
        }
    }
    assert!(twice > 10, "{twice} of {}", crashes.len());
}

/// Reopen after a failed sync, then a power cut.
///
/// 1. a commit is written, its sync fails, and the writer is told that the outcome is unknown;
/// 2. the store is opened again, finds the commit in the page cache and shows it;
///
/// ! the power goes. What was shown must be there: the cache was not the disk.
#[test]
fn what_a_reopen_after_a_failed_sync_shows_survives_a_power_cut() {
    let ways: [fn(Option<u64>) -> SyncFailure; 4] = [
        |seed| SyncFailure::KeptClean { seed },
        |seed| SyncFailure::Reverted { seed },
        |seed| SyncFailure::Late { seed },
        |seed| SyncFailure::Sticky { seed },
    ];
    let (mut kept, mut gone, mut told) = (0, 0, 0);
    for (way, half, key) in (0..4_usize).flat_map(|way| {
        [None, Some(3), Some(8)]
            .into_iter()
            .flat_map(move |half| (1..12).map(move |k| (way, half, k)))
    }) {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        for before in 0..key {
            put(&store, before, &"wet ".repeat(100));
        }
        let at = Selector { kind: Some(OperationKind::Sync), ..Selector::default() };
        let what = FaultKind::FailedSync(ways[way](half));
        disk.plan(Fault { at, what, sticky: false });
        let name = format!("way {way}, half {half:?}, after {key}");
        // A late failure is told at the next sync of the file. While a segment is prepared it is
        // only a reason to prepare another one.
        for later in [100, 101] {
            told += u32::from(store.commit(batch(later, "dry", Durability::Sync)).is_err());
        }
        let disk = disk.kill();
        drop(store);
        let reopened = open(&disk, 2).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let showed = shown(&reopened);
        assert!(showed.len() >= usize::from(key), "{name}");
        *(if showed.contains_key(&100) { &mut kept } else { &mut gone }) += 1;
        let cut = open(&disk.crash_with(CrashMode::Nothing), 3);
        let cut = cut.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(shown(&cut), showed, "{name}");
    }
    assert!(kept > 60 && gone > 10 && told > 120, "{kept} kept, {gone} gone, {told} told");
}

/// A directory entry that reverted.
///
/// 1. a segment is made, written and synced, and its predecessor names it;
///
/// ! the power goes, and the directory is as it was before: the bytes are there, the name is not.
///
/// Nothing acknowledged may depend on a name that was never made durable; and where a durable
/// name is gone all the same, the store is refused with the name that is missing.
#[test]
fn a_directory_entry_that_reverted_takes_nothing_acknowledged_with_it() {
    let disk = MemoryVfs::new();
    let acknowledged = Arc::new(Mutex::new(0_usize));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, count) = (Arc::clone(&seen), Arc::clone(&acknowledged));
    disk.set_observer(Box::new(move |disk: &MemoryVfs, _: &Operation| {
        // All bytes survive, and no name that was not made durable.
        sink.lock().push((*count.lock(), disk.crash_with(CrashMode::DataFirst)));
    }));
    let store = open(&disk, 1).unwrap();
    for key in 0..12 {
        put(&store, key, &"handle ".repeat(130));
        *acknowledged.lock() += 1;
    }
    disk.clear_observer();
    let crashes = std::mem::take(&mut *seen.lock());
    let segments = disk.files().iter().filter(|(path, _)| path.extension().is_some()).count();
    assert!(segments >= 4 && crashes.len() > 60, "{segments} segments, {} crashes", crashes.len());
    for (step, (acknowledged, image)) in crashes.iter().enumerate() {
        let opened = open(image, 2).unwrap_or_else(|error| panic!("{step}: {error:?}"));
        let shown = shown(&opened).len();
        assert!((*acknowledged..=acknowledged + 1).contains(&shown), "{step}: {shown} shown");
    }
    store.close().unwrap();
    for number in 2..=3 {
        let reverted = disk.kill();
        reverted.remove(Path::new(&segment_path(number))).unwrap();
        let error = open(&reverted, 3).unwrap_err();
        let path = format!("wal/{number:016}.wal");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        assert_eq!(error.place().path.as_deref(), Some(Path::new(&path)), "{error:?}");
    }
}

/// A time mark and a clock that steps back.
///
/// 1. an idle log gets a mark, which promises that the next commit is later than its time;
/// 2. the clock steps back by an hour, in the same life or before the next one;
///
/// ! a commit with the clock's time would lie before the promise, and a restore to the time of the
///   mark would not know whether it belongs.
#[test]
fn a_commit_after_a_time_mark_is_later_than_it_whatever_the_clock_says() {
    let hour = 3_600_000_000;
    for life in ["same", "closed", "killed", "power cut"] {
        let disk = MemoryVfs::new();
        let clock = Arc::new(SimClock::new(Timestamp(10 * hour)));
        let open = |disk: &MemoryVfs, seed| {
            let machine = Runtime { clock: clock.clone(), ..runtime(disk, seed) };
            Store::builder(STORE).segment_bytes(SEGMENT_BYTES).runtime(machine).open().unwrap()
        };
        let store = open(&disk, 1);
        put(&store, 1, "before the mark");
        clock.advance(60_000_000);
        let mark = store.time_mark().unwrap();
        assert!(mark.0 >= 10 * hour + 60_000_000, "{life}");
        clock.set(Timestamp(9 * hour));
        let (disk, store) = match life {
            "same" => (disk, store),
            "closed" => {
                store.close().unwrap();
                let next = open(&disk, 2);
                (disk, next)
            }
            "killed" => {
                let killed = disk.kill();
                let next = open(&killed, 2);
                (killed, next)
            }
            _ => {
                let cut = disk.crash_with(CrashMode::Nothing);
                let next = open(&cut, 2);
                (cut, next)
            }
        };
        let after = store.commit(batch(2, "after", Durability::Sync)).unwrap();
        assert!(after.time > mark, "{life}: {} is not after the mark {mark}", after.time);
        let next = store.commit(batch(3, "and on", Durability::Sync)).unwrap();
        assert!(next.time > after.time, "{life}: {} is not after {}", next.time, after.time);
        store.close().unwrap();
        let times: Vec<_> = records_of(&disk).iter().map(|record| record.header.time).collect();
        assert!(times.contains(&mark) && times.is_sorted(), "{life}: {mark} in {times:?}");
    }
}

/// A store on real files, with segments small enough that there are several.
fn real(dir: &Path) -> Result<Store, Error> {
    Store::builder(dir).segment_bytes(SEGMENT_BYTES).open()
}

/// What `cp -r` does.
fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two stores that were one: the second was copied from the first with `cp`, and both went on,
/// the first with `ours` commits and the second with `theirs`.
fn diverged(dir: &Path, ours: u8, theirs: u8) -> [(PathBuf, Shown); 2] {
    let [first, second] = ["first", "second"].map(|name| dir.join(name));
    let store = real(&first).unwrap();
    for key in 0..4 {
        put(&store, key, &"common ".repeat(100));
    }
    store.close().unwrap();
    copy_directory(&first, &second);
    [(first, "ours", ours), (second, "theirs", theirs)].map(|(path, text, count)| {
        let store = real(&path).unwrap();
        for key in 10..10 + count {
            put(&store, key, &format!("{text} ").repeat(100));
        }
        let shown = shown(&store);
        store.close().unwrap();
        (path, shown)
    })
}

/// A copied directory that diverges.
///
/// 1. a store is copied with `cp`, and both go on: the same identity, the same numbers, two
///    histories;
/// 2. somebody mixes their segments;
///
/// ! a log read across the seam would be a third history. It is refused, or one of the two whole.
#[test]
fn segments_of_a_copied_directory_do_not_mix() {
    let (mut refused, mut whole) = (0, 0);
    for (ours, theirs) in [(12, 12), (12, 3), (3, 12), (12, 1), (1, 1)] {
        for number in 1..=5 {
            let place = tempfile::tempdir().unwrap();
            let [(first, our_content), (second, their_content)] =
                diverged(place.path(), ours, theirs);
            let [into, from] =
                [&first, &second].map(|dir| dir.join(format!("wal/{number:016}.wal")));
            if !from.exists() {
                continue;
            }
            fs::copy(&from, &into).unwrap();
            let name = format!("{ours} and {theirs} commits, segment {number}");
            match real(&first) {
                Ok(store) => {
                    let mixed = shown(&store);
                    assert!(mixed == our_content || mixed == their_content, "{name}: {mixed:?}");
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error:?}");
                    assert!(error.place().path.is_some(), "{name}: {error:?}");
                    refused += 1;
                }
            }
            // The one that was copied from is as it was.
            assert_eq!(shown(&real(&second).unwrap()), their_content, "{name}");
        }
    }
    assert!(refused >= 8 && whole >= 3, "{refused} refused, {whole} whole");
}

/// A copied directory whose backup goes on.
///
/// 1. a store is backed up, copied with `cp`, and both go on;
/// 2. the first backs up again; then the second backs up into the same place;
///
/// ! the backup would hold a commit of each. It is refused, and restores what it held.
#[test]
fn a_backup_is_not_continued_from_a_copied_directory() {
    for (ours, theirs) in [(5, 9), (9, 5), (4, 4)] {
        let place = tempfile::tempdir().unwrap();
        let [(first, content), (second, their_content)] = diverged(place.path(), ours, theirs);
        let (copy, machine) = (place.path().join("backup"), Runtime::default());
        let copied = backup(&first, &copy, &machine).unwrap();
        let error = backup(&second, &copy, &machine).unwrap_err();
        let name = format!("{ours} and {theirs} commits: {error:?}");
        assert_eq!(error.kind(), ErrorKind::Diverged, "{name}");
        assert!(error.place().lsn.is_some(), "{name}");
        let request = RestoreRequest {
            from: copy.clone(),
            to: place.path().join("restored"),
            target: Target::Latest,
            exclusive: false,
            dry_run: false,
        };
        let report = restore(&request, &machine).unwrap();
        assert_eq!(report.reached.lsn, copied.to_lsn, "{name}");
        assert_eq!(shown(&Store::open(&request.to).unwrap()), content, "{name}");
        assert_eq!(shown(&real(&second).unwrap()), their_content, "{name}");
        // The one it belongs to goes on with it.
        let store = real(&first).unwrap();
        let next = put(&store, 200, "and on");
        store.close().unwrap();
        assert_eq!(backup(&first, &copy, &machine).unwrap().to_lsn, next, "{name}");
    }
}
