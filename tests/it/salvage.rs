//! Salvage: what is before the damage stays, what goes is in quarantine, whenever a crash comes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jidoka::archive::backup;
use jidoka::base::{ErrorKind, Lsn, Result};
use jidoka::ops::{SalvageReport, salvage, verify};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, Fault, FaultKind, MemoryVfs, Operation, Selector, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::LogReader;
use jidoka::wal::format::Kind;
use jidoka::wal::reader::{Limit, OwnedRecord};

use crate::model::{STORE, open};

/// Commits of every store here, three to a segment; commit `n` from 0 has the LSN `n + 2`.
const COMMITS: u8 = 9;

pub(crate) type Files = Vec<(PathBuf, Vec<u8>)>;

pub(crate) fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

pub(crate) fn put(store: &Store, number: u8) {
    let mut batch = Batch::new();
    batch.put(&pots(), &[number], &[number; 900]);
    store.commit(batch).unwrap();
}

pub(crate) fn whole(close: bool) -> MemoryVfs {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..COMMITS).for_each(|number| put(&store, number));
    if close {
        store.close().unwrap();
    }
    disk.crash_with(CrashMode::Everything)
}

pub(crate) fn segment(number: u64) -> PathBuf {
    Path::new(STORE).join(format!("wal/{number:016}.wal"))
}

pub(crate) fn write(disk: &MemoryVfs, path: &Path, offset: u64, bytes: &[u8]) {
    let file = match disk.open(path, OpenMode::ReadWrite) {
        Ok(file) => file,
        Err(_) => disk.open(path, OpenMode::CreateNew).unwrap(),
    };
    file.write_all_at(bytes, offset).unwrap();
}

/// Every file but the lock, with its bytes.
pub(crate) fn files(disk: &MemoryVfs) -> Files {
    let paths = disk.files().into_iter().map(|(path, _)| path);
    let paths = paths.filter(|path| !path.ends_with("LOCK"));
    paths.map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect()
}

fn records(disk: &MemoryVfs) -> Vec<OwnedRecord> {
    let mut reader = LogReader::open(Path::new(STORE), &runtime(disk, 5)).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        records.push(record);
    }
    records
}

fn salvaged(disk: &MemoryVfs, seed: u64) -> Result<SalvageReport> {
    salvage(Path::new(STORE), &runtime(disk, seed), true)
}

/// A damage, what it is, how many commits are before it, and the last one behind it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    damage: fn(&MemoryVfs),
    pub(crate) kept: u8,
    last: u64,
}

pub(crate) const CASES: [Case; 14] = [
    Case { name: "rot", damage: |d| d.flip(segment(1), 5600, 1).unwrap(), kept: 1, last: 10 },
    Case { name: "first", damage: |d| d.flip(segment(1), 4100, 1).unwrap(), kept: 0, last: 10 },
    Case { name: "start", damage: |d| d.flip(segment(2), 4100, 1).unwrap(), kept: 3, last: 10 },
    Case { name: "end", damage: rot_the_end, kept: 3, last: 10 },
    Case { name: "late", damage: |d| d.flip(segment(3), 4300, 1).unwrap(), kept: 6, last: 10 },
    Case { name: "header 1", damage: |d| d.flip(segment(1), 30, 1).unwrap(), kept: 0, last: 10 },
    Case { name: "header 2", damage: |d| d.flip(segment(2), 30, 1).unwrap(), kept: 3, last: 10 },
    // Nobody can read what is in a segment without its header.
    Case { name: "header 3", damage: |d| d.flip(segment(3), 30, 1).unwrap(), kept: 6, last: 7 },
    Case { name: "foreign", damage: misname, kept: 3, last: 10 },
    Case { name: "no 1", damage: |d| d.remove(&segment(1)).unwrap(), kept: 0, last: 10 },
    Case { name: "no 2", damage: |d| d.remove(&segment(2)).unwrap(), kept: 3, last: 10 },
    Case { name: "no 3", damage: |d| d.remove(&segment(3)).unwrap(), kept: 6, last: 7 },
    Case { name: "long", damage: |d| write(d, &segment(2), 8192, b"x"), kept: 9, last: 10 },
    Case { name: "short", damage: cut_the_last, kept: 9, last: 10 },
];

fn rot_the_end(disk: &MemoryVfs) {
    let end = records(disk).into_iter().find(|record| record.header.kind == Kind::SegmentEnd);
    disk.flip(segment(1), end.unwrap().offset + 20, 1).unwrap();
}

fn cut_the_last(disk: &MemoryVfs) {
    let last = records(disk).last().unwrap().segment.0;
    disk.open(&segment(last), OpenMode::ReadWrite).unwrap().set_len(8000).unwrap();
}

fn misname(disk: &MemoryVfs) {
    write(disk, &segment(2), 0, &disk.read_file(segment(3)).unwrap());
}

impl Case {
    pub(crate) fn damaged(&self, close: bool) -> MemoryVfs {
        let disk = whole(close);
        (self.damage)(&disk);
        disk.crash_with(CrashMode::Everything)
    }

    /// What is kept is there, whole, and what went is in quarantine as it was before.
    #[track_caller]
    fn check(&self, store: &Store, disk: &MemoryVfs, before: &Files, name: &str) {
        let found: Vec<_> = store.range(&pots(), ..).map(|found| found.unwrap()).collect();
        assert_eq!(found.len(), usize::from(self.kept), "{}: {name}", self.name);
        for (number, found) in (0..).zip(&found) {
            assert_eq!((&found.key[..], &found.value[..]), (&[number][..], &[number; 900][..]));
        }
        let now = files(disk);
        for (path, bytes) in before {
            // A header without a record behind it holds nothing.
            let is_bare = bytes.get(4096..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
            if is_bare || now.contains(&(path.clone(), bytes.clone())) {
                continue;
            }
            let is_kept = now.iter().any(|(kept, same)| {
                kept.starts_with("/store/quarantine")
                    && kept.file_name() == path.file_name()
                    && same == bytes
            });
            // A recovery may have ended a segment of which nothing was taken out.
            let ended = self.kept == COMMITS && *path == segment(3);
            assert!(is_kept || ended, "{}: {name}: {} is gone", self.name, path.display());
        }
    }
}

#[test]
fn every_damage_is_cut_where_it_begins_and_what_goes_is_kept() {
    for case in &CASES {
        for close in [false, true] {
            let disk = case.damaged(close);
            let name = case.name;
            let before = files(&disk);
            assert_eq!(open(&disk, 9).unwrap_err().kind(), ErrorKind::Corrupt, "{name}");
            let planned = salvage(Path::new(STORE), &runtime(&disk, 10), false).unwrap();
            assert_eq!(files(&disk), before, "{name}: looking changed something");
            let report = salvaged(&disk, 11).unwrap();
            assert!(!planned.done && planned.quarantine.is_none(), "{planned:?}");
            let mut done = planned;
            (done.quarantine, done.done) = (Some(PathBuf::from("quarantine/1")), true);
            assert_eq!(report, done, "{name}");
            // The term's start is the first commit.
            let kept = if case.kept > 0 { u64::from(case.kept) + 1 } else { report.kept.0 };
            assert_eq!(report.kept, Lsn(kept), "{name}");
            // A close goes to a fourth segment.
            let last = if close { 10 } else { case.last };
            let lost = (last > kept).then_some((Lsn(kept + 1), Lsn(last)));
            assert_eq!(report.loss.commits, lost, "{name}: {report:?}");
            let nothing_is_lost = name == "short";
            assert_eq!(report.loss.bytes == 0, nothing_is_lost, "{name}: {report:?}");
            assert_eq!(report.term.0, 2, "{name}: {report:?}");
            let damage = report.damage.unwrap();
            assert!(before.iter().all(|(path, _)| path != &damage.path), "{damage:?}");
            let store = open(&disk, 12).unwrap();
            assert_eq!(store.recovery().case, "@J", "{name}");
            case.check(&store, &disk, &before, "done");
            put(&store, 100);
            drop(store);
            let disk = disk.crash_with(CrashMode::Nothing);
            let store = open(&disk, 13).unwrap();
            assert_eq!(store.range(&pots(), ..).count(), usize::from(case.kept) + 1, "{name}");
            drop(store);
            let opened = records(&disk).into_iter().rfind(|one| one.header.kind == Kind::TermStart);
            assert_eq!(opened.unwrap().header.term.0, 2, "{name}");
            assert!(verify(Path::new(STORE), &runtime(&disk, 14), false).unwrap().is_ok());
            assert_eq!(salvaged(&disk, 15).unwrap(), SalvageReport::default(), "{name}");
        }
    }
}

#[test]
fn what_goes_to_quarantine_is_every_file_that_is_changed_or_removed() {
    let disk = CASES[0].damaged(true);
    let before = files(&disk);
    salvaged(&disk, 11).unwrap();
    let kept: Vec<_> = files(&disk)
        .into_iter()
        .filter(|(path, _)| path.starts_with("/store/quarantine"))
        .collect();
    let names: Vec<_> = kept.iter().map(|(path, _)| path.file_name().unwrap()).collect();
    let mut expected: Vec<_> = before.iter().map(|(path, _)| path.file_name().unwrap()).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (path, bytes) in &kept {
        let same = before.iter().find(|(old, _)| old.file_name() == path.file_name()).unwrap();
        assert_eq!(*bytes, same.1, "{path:?}");
    }
    // Put back over the store they are the damaged store again.
    for number in 1..=9 {
        let _absent = disk.remove(&segment(number));
    }
    for (old, bytes) in &before {
        if disk.read_file(old).is_ok() {
            disk.remove(old).unwrap();
        }
        write(&disk, old, 0, bytes);
    }
    assert_eq!(salvaged(&disk, 12).unwrap().quarantine, Some("quarantine/2".into()));
}

/// Whatever a salvage that stopped left: refused until it is salvaged again, or done.
#[track_caller]
fn refused_or_done(case: &Case, disk: &MemoryVfs, before: &Files, name: &str) -> &'static str {
    let told = match open(disk, 21) {
        Ok(store) => {
            case.check(&store, disk, before, name);
            return "done";
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: {name}: {error:?}", case.name);
            if error.message().ends_with("(case @P)") { "begun" } else { "damaged" }
        }
    };
    let report = salvaged(disk, 22).unwrap_or_else(|e| panic!("{}: {name}: {e:?}", case.name));
    assert!(report.done, "{}: {name}: {report:?}", case.name);
    case.check(&open(disk, 23).unwrap(), disk, before, name);
    told
}

#[test]
fn a_crash_at_every_operation_leaves_the_damaged_store_or_one_that_is_salvaged_again() {
    let mut told = std::collections::BTreeMap::new();
    for case in CASES.iter().filter(|case| !matches!(case.name, "late" | "header 3" | "no 3")) {
        let disk = case.damaged(false);
        let before = files(&disk);
        let images = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&images);
        disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
            let pending = !disk.pending_units().is_empty();
            let name = format!("{:?} {}", operation.kind, operation.path.display());
            let random = |keep_per_256| CrashMode::Random { seed: operation.number, keep_per_256 };
            let modes = [CrashMode::Nothing, CrashMode::NamesFirst, random(96), random(192)];
            for mode in modes.into_iter().take(if pending { 4 } else { 1 }) {
                sink.lock().push((format!("{mode:?} after {name}"), disk.crash_with(mode)));
            }
            sink.lock().push((format!("kill after {name}"), disk.kill()));
        }));
        salvaged(&disk, 11).unwrap();
        disk.clear_observer();
        let images = std::mem::take(&mut *images.lock());
        assert!(images.len() > 60, "{}: {}", case.name, images.len());
        for (name, image) in images {
            *told.entry(refused_or_done(case, &image, &before, &name)).or_insert(0) += 1;
        }
    }
    println!("{told:?}");
    assert!(told["damaged"] > 200 && told["begun"] > 200 && told["done"] > 100, "{told:?}");
}

#[test]
fn an_operation_that_fails_loses_nothing_and_the_next_salvage_succeeds() {
    for case in [&CASES[0], &CASES[6], &CASES[9], &CASES[12]] {
        let mut failed = 0;
        for nth in 0.. {
            let disk = case.damaged(false);
            let before = files(&disk);
            let at = Selector { nth, ..Selector::default() };
            let what = if nth % 2 == 0 {
                FaultKind::Error(std::io::ErrorKind::Other)
            } else {
                FaultKind::NoSpace
            };
            disk.plan(Fault { at, what, sticky: false });
            let outcome = salvaged(&disk, 11);
            if disk.faults_fired() == 0 {
                break;
            }
            if let Err(error) = outcome {
                failed += 1;
                let kind = error.kind();
                let known = [ErrorKind::Io, ErrorKind::Full, ErrorKind::OutcomeUnknown];
                assert!(known.contains(&kind) || kind == ErrorKind::Poisoned, "{error:?}");
            }
            refused_or_done(case, &disk, &before, &format!("operation {nth}"));
        }
        assert!(failed > 30, "{}: {failed}", case.name);
    }
}

#[test]
fn a_plan_that_a_crash_brings_back_cuts_nothing_that_was_committed_since() {
    for case in &CASES {
        let disk = case.damaged(true);
        let plan = Path::new(STORE).join("wal/SALVAGE");
        let (seen, at) = (Arc::new(Mutex::new(Vec::new())), plan.clone());
        let sink = Arc::clone(&seen);
        disk.set_observer(Box::new(move |disk: &MemoryVfs, _: &Operation| {
            if let Ok(bytes) = disk.read_file(&at) {
                *sink.lock() = bytes;
            }
        }));
        salvaged(&disk, 11).unwrap();
        disk.clear_observer();
        let store = open(&disk, 12).unwrap();
        put(&store, 100);
        put(&store, 101);
        store.close().unwrap();
        assert_eq!(seen.lock().len(), 108, "{}", case.name);
        write(&disk, &plan, 0, &seen.lock());
        assert!(open(&disk, 13).unwrap_err().message().ends_with("(case @P)"));
        let planned = salvage(Path::new(STORE), &runtime(&disk, 14), false).unwrap();
        assert!(planned.damage.unwrap().what.contains("did not end"));
        assert!(salvaged(&disk, 15).unwrap().done);
        let count = open(&disk, 16).unwrap().range(&pots(), ..).count();
        assert_eq!(count, usize::from(case.kept) + 2, "{}", case.name);
    }
}

#[test]
fn a_copy_that_holds_what_was_lost_is_refused_as_diverged() {
    let disk = whole(true);
    let copy = |seed| backup(Path::new(STORE), Path::new("/copy"), &runtime(&disk, seed));
    assert_eq!(copy(30).unwrap().to_lsn, Lsn(10));
    disk.flip(segment(2), 5000, 1).unwrap();
    let report = salvaged(&disk, 11).unwrap();
    assert_eq!(report.loss.commits, Some((Lsn(report.kept.0 + 1), Lsn(10))));
    assert_eq!(copy(31).unwrap_err().kind(), ErrorKind::Diverged);
    // The same LSNs again, and more: another chain.
    let store = open(&disk, 12).unwrap();
    (0..COMMITS).for_each(|number| put(&store, number));
    assert!(store.visible() > Lsn(10));
    store.close().unwrap();
    assert_eq!(copy(32).unwrap_err().kind(), ErrorKind::Diverged);
}

#[test]
fn what_an_interrupted_recovery_had_saved_is_kept() {
    let padded = |disk: &MemoryVfs, seed| {
        let builder = Store::builder(STORE).segment_bytes(12288).padded_tails(true);
        builder.runtime(runtime(disk, seed)).open()
    };
    let tail = Path::new(STORE).join("wal/TAIL");
    let mut spanned = 0;
    for commits in 2..12 {
        let disk = MemoryVfs::new();
        let store = padded(&disk, 1).unwrap();
        (0..commits).for_each(|number| put(&store, number));
        let disk = disk.crash_with(CrashMode::Everything);
        let ends: Vec<_> = records(&disk).iter().map(|one| (one.segment.0, one.offset)).collect();
        let (seen, at) = (Arc::new(Mutex::new(None)), tail.clone());
        let sink = Arc::clone(&seen);
        disk.set_observer(Box::new(move |disk: &MemoryVfs, _: &Operation| {
            if sink.lock().is_none() && disk.read_file(&at).is_ok() {
                *sink.lock() = Some(disk.crash_with(CrashMode::Everything));
            }
        }));
        drop(padded(&disk, 2).unwrap());
        disk.clear_observer();
        let image = seen.lock().take().unwrap();
        // The last page of the last segment, and of the one before, were being written.
        let last = ends.last().unwrap().0;
        for number in [last, last - 1] {
            let Some((_, at)) = ends.iter().rfind(|end| end.0 == number) else { continue };
            let broken = image.kill();
            write(&broken, &segment(number), at / 4096 * 4096, &[0xEE; 4096]);
            if open(&broken.kill(), 3).is_err() {
                continue; // It was not saved, so this is damage of another kind.
            }
            spanned += usize::from(number < last);
            broken.remove(&segment(last + 1)).unwrap();
            assert_eq!(open(&broken, 4).unwrap_err().kind(), ErrorKind::Corrupt);
            let report = salvaged(&broken, 5).unwrap();
            assert_eq!((report.kept, report.loss.commits), (Lsn(u64::from(commits) + 1), None));
            assert!(broken.read_file(&tail).is_err(), "it would lie over what is written next");
            let store = open(&broken, 6).unwrap();
            assert_eq!(store.range(&pots(), ..).count(), usize::from(commits));
        }
    }
    assert!(spanned > 0, "no saved tail was in two segments");
}

#[test]
fn what_is_not_for_a_salvage_is_refused_and_not_touched() {
    let at = |path: &str, disk: &MemoryVfs, yes| salvage(Path::new(path), &runtime(disk, 3), yes);
    let disk = whole(true);
    for yes in [false, true] {
        let before = files(&disk);
        assert_eq!(at("/nowhere", &disk, yes).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(at(STORE, &disk, yes).unwrap(), SalvageReport::default());
        let killed = whole(false);
        assert_eq!(at(STORE, &killed, yes).unwrap(), SalvageReport::default());
        assert_eq!(files(&disk), before);
        let store = open(&disk, 2).unwrap();
        assert_eq!(at(STORE, &disk, yes).unwrap_err().kind(), ErrorKind::Locked);
        drop(store);
        for name in ["IDENTITY", "wal/SALVAGE"] {
            let odd = disk.kill();
            write(&odd, &Path::new(STORE).join(name), 0, b"not what it was");
            let before = files(&odd);
            let error = at(STORE, &odd, yes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
            assert_eq!(error.place().path.as_deref(), Some(Path::new(name)));
            assert_eq!(files(&odd), before);
        }
        let lost = disk.kill();
        lost.remove(&Path::new(STORE).join("IDENTITY")).unwrap();
        assert_eq!(at(STORE, &lost, yes).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
