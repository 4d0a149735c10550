//! The list of tables: what a crash, a failure or damage does to it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jidoka::base::{
    ErrorKind, KeyspaceId, Lsn, Result, SegmentNumber, Seq, StoreId, Term, Timestamp,
};
use jidoka::manifest::{
    Change, Checkpoint, EditId, Key, ListedTable, Manifest, ManifestRead, State,
};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, SyncFailure,
    runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::scan::Position;

use crate::model::{STORE, images};

const ID: StoreId = StoreId([9; 16]);
/// A header page, a snapshot and two edits.
const SMALL: u64 = 4 * 4096;

fn read(disk: &MemoryVfs, seed: u64) -> Result<ManifestRead> {
    ManifestRead::open(Path::new(STORE), &runtime(disk, seed), ID)
}

fn open(disk: &MemoryVfs, seed: u64, clean: bool) -> Manifest {
    read(disk, seed).unwrap().into_writable_sized(clean, None, SMALL).unwrap()
}

/// A disk with the store's directory.
fn new_disk() -> MemoryVfs {
    let disk = MemoryVfs::new();
    disk.create_dir(Path::new(STORE)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn table(number: u64, level: u8) -> Change {
    let key = |suffix: &str| Key {
        keyspace: KeyspaceId(1),
        bytes: format!("{number:06}{suffix}").into_bytes(),
    };
    Change::AddTable(Arc::new(ListedTable {
        number,
        level,
        file_bytes: 8192,
        file_hash: !number,
        entries: 3,
        tombstones: 0,
        data_bytes: 700,
        lsns: (Lsn(1), Lsn(number / 2)),
        times: (Timestamp(1), Timestamp(number / 2)),
        smallest: key("a"),
        largest: key("z"),
    }))
}

fn checkpoint(lsn: u64) -> Change {
    let position = Position {
        seq: Seq(lsn + 3),
        lsn: Lsn(lsn),
        term: Term(1),
        chain: !lsn,
        time: Timestamp(lsn * 10),
    };
    Change::Checkpoint(Checkpoint { position, segment: SegmentNumber(lsn) })
}

/// What the n-th edit of every test changes: a checkpoint with a table, and now and then a merge.
fn changes(edit: u64) -> Vec<Change> {
    let mut changes = vec![checkpoint(edit), table(2 * edit, 0)];
    if edit.is_multiple_of(4) {
        let merged = edit - 3..edit;
        changes.extend(merged.map(|edit| Change::RemoveTable(2 * edit)));
        changes.push(table(2 * edit + 1, 1));
        changes.push(Change::DropKeyspace(KeyspaceId(5), Lsn(edit)));
    }
    changes
}

fn append(manifest: &mut Manifest) -> Result<EditId> {
    let edit = manifest.last().number + 1;
    manifest.append(&changes(edit))
}

/// Every edit with the state after it, from the empty one on.
fn states(edits: usize) -> Vec<(EditId, State)> {
    let mut manifest = open(&new_disk(), 1, false);
    let mut states = vec![(manifest.last(), manifest.state().clone())];
    for _ in 0..edits {
        let id = append(&mut manifest).unwrap();
        states.push((id, manifest.state().clone()));
    }
    states
}

fn shown(manifest: &Manifest) -> (EditId, State) {
    (manifest.last(), manifest.state().clone())
}

fn manifests(disk: &MemoryVfs) -> Vec<String> {
    let files = disk.files().into_iter().map(|(path, _)| path.display().to_string());
    files.filter(|path| path.contains("manifest") || path.contains("CURRENT")).collect()
}

fn write(disk: &MemoryVfs, path: &str, offset: u64, bytes: &[u8]) {
    let file = disk.open(Path::new(path), OpenMode::ReadWrite).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

const FIRST: &str = "/store/manifest/0000000000000001.manifest";

#[test]
fn edits_are_there_after_a_reopen_and_go_on_in_new_files() {
    let (disk, states) = (new_disk(), states(30));
    let mut manifest = open(&disk, 1, false);
    assert_eq!(manifests(&disk), [""; 0], "an empty manifest has no file");
    for (edit, expected) in states.iter().enumerate().skip(1) {
        assert_eq!(append(&mut manifest).unwrap(), expected.0, "numbers and hashes go on");
        if edit % 7 == 0 {
            drop(manifest);
            let cut = disk.crash_with(CrashMode::Nothing);
            assert_eq!(manifests(&cut).len(), 2, "what was removed is back");
            manifest = open(&cut, 1, true);
            assert_eq!(shown(&manifest), *expected, "after a power cut");
            drop(manifest);
            manifest = open(&disk, 50 + edit as u64, edit % 2 == 0);
        }
        assert_eq!(shown(&manifest), *expected);
        assert_eq!(manifests(&disk).len(), 2, "{:?}", manifests(&disk));
    }
    assert_eq!(manifest.state().level(0).len(), 9);
    assert_eq!(disk.warnings(), [""; 0]);
}

#[test]
fn a_clean_open_without_an_edit_writes_nothing_and_an_unclean_one_makes_a_new_file() {
    let disk = new_disk();
    let mut manifest = open(&disk, 1, false);
    append(&mut manifest).unwrap();
    let expected = shown(&manifest);
    drop(manifest);
    let mutations = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&mutations);
    disk.set_observer(Box::new(move |_: &MemoryVfs, _: &Operation| {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let before = manifests(&disk);
    let manifest = open(&disk, 2, true);
    assert_eq!(shown(&manifest), expected);
    assert_eq!((mutations.load(Ordering::SeqCst), manifests(&disk)), (0, before.clone()));
    drop(manifest);
    let manifest = open(&disk, 3, false);
    assert_eq!(shown(&manifest), expected);
    assert!(manifests(&disk) != before && manifests(&disk).len() == 2, "{:?}", manifests(&disk));
    assert!(mutations.load(Ordering::SeqCst) > 0);
    drop(manifest);
    disk.clear_observer();
    assert_eq!(disk.held_files(), 0, "a file is left open");
}

/// What is on a disk that a crash left: a state between what was acknowledged and what was begun.
fn check(disk: &MemoryVfs, states: &[(EditId, State)], range: (usize, usize), name: &str) -> usize {
    let read = read(disk, 70).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    read.expect(states[range.0].0).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let known = Some(states[range.0].0);
    let manifest = read.into_writable_sized(false, known, SMALL);
    let mut manifest = manifest.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let number = manifest.last().number as usize;
    assert!((range.0..=range.1).contains(&number), "{name}: {number} is not in {range:?}");
    assert_eq!(shown(&manifest), states[number], "{name}");
    let left = manifests(disk).len();
    assert!(left == 2 || (number == 0 && left < 2), "{name}: {:?}", manifests(disk));
    let again = open(&disk.crash_with(CrashMode::Nothing), 71, false);
    assert_eq!(shown(&again), states[number], "{name}: what was shown is undone");
    if number + 1 < states.len() {
        assert_eq!(append(&mut manifest).unwrap(), states[number + 1].0, "{name}");
        let again = open(&disk.crash_with(CrashMode::Nothing), 72, true);
        assert_eq!(shown(&again), states[number + 1], "{name}: after an edit and a power cut");
    }
    number
}

/// Disks as crashes leave them during `work`, with what must and may be on them.
type Images = Vec<(String, MemoryVfs, (usize, usize))>;

/// Takes images after every operation that `work` makes; it tells what is acknowledged and begun.
fn images_of(disk: &MemoryVfs, work: impl FnOnce(&AtomicUsize, &AtomicUsize)) -> Images {
    let (acknowledged, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = (Arc::clone(&taken), Arc::clone(&acknowledged), Arc::clone(&begun));
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        let range = (sink.1.load(Ordering::SeqCst), sink.2.load(Ordering::SeqCst));
        let hostile = CrashMode::Hostile { seed: operation.number };
        let mut all = images(disk, operation.number);
        all.push(("hostile".to_owned(), false, disk.crash_with(hostile)));
        for (mode, _, image) in all {
            let (number, kind) = (operation.number, operation.kind);
            let name = format!("after {number} {kind:?} {}, {mode}", operation.path.display());
            sink.0.lock().push((name, image, range));
        }
    }));
    work(&acknowledged, &begun);
    disk.clear_observer();
    std::mem::take(&mut *taken.lock())
}

#[test]
fn a_crash_at_every_operation_leaves_the_state_before_or_after_the_edit() {
    let (disk, states) = (new_disk(), states(22));
    let images = images_of(&disk, |acknowledged, begun| {
        let mut manifest = open(&disk, 1, false);
        for edit in 1..=21 {
            begun.store(edit, Ordering::SeqCst);
            append(&mut manifest).unwrap();
            acknowledged.store(edit, Ordering::SeqCst);
            if edit % 5 == 0 {
                drop(manifest);
                manifest = open(&disk, edit as u64, edit % 2 == 0);
            }
        }
    });
    assert_eq!(disk.warnings(), [""; 0]);
    let (mut recoveries, mut torn) = (0, 0);
    for (index, (name, image, range)) in images.iter().enumerate() {
        let begins = image.kill();
        torn += usize::from(check(image, &states, *range, name) < range.1);
        if index % 9 != 0 {
            continue;
        }
        // A crash at every operation of the recovery: what it read before must be read again.
        let first = read(&begins, 80).unwrap().last().number as usize;
        let inside = images_of(&begins, |acknowledged, begun| {
            acknowledged.store(range.0, Ordering::SeqCst);
            begun.store(first, Ordering::SeqCst);
            drop(open(&begins, 81, false));
        });
        for (mode, image, range) in &inside {
            recoveries += 1;
            check(image, &states, *range, &format!("{name}; in recovery {mode}"));
        }
    }
    println!("{} images, {recoveries} of recoveries, {torn} without the last", images.len());
    assert!(images.len() > 1000 && recoveries > 1000 && torn > 100);
}

#[test]
fn a_hundred_crashes_leave_one_manifest() {
    let (mut disk, states) = (new_disk(), states(150));
    let mut shown_before = 0;
    for life in 0..100_u64 {
        let mut manifest = open(&disk, life, false);
        let number = manifest.last().number as usize;
        assert!(number >= shown_before);
        assert_eq!(shown(&manifest), states[number]);
        shown_before = number;
        let nth = life % 17;
        let at = Selector { nth, ..Selector::default() };
        disk.plan(Fault { at, what: FaultKind::CrashAll, sticky: false });
        while shown_before + 1 < states.len() && append(&mut manifest).is_ok() {
            shown_before += 1;
        }
        drop(manifest);
        disk = disk.crash_with(CrashMode::Random { seed: life, keep_per_256: 128 });
    }
    drop(open(&disk, 200, false));
    assert!(shown_before > 20, "{shown_before}");
    assert_eq!(manifests(&disk).len(), 2, "{:?}", manifests(&disk));
    let bytes: u64 = disk.files().iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes <= 16 * 4096, "{bytes}");
}

#[test]
fn a_failed_write_or_sync_of_an_edit_poisons_for_good() {
    let faults = [
        (OperationKind::Write, FaultKind::NoSpace),
        (OperationKind::Write, FaultKind::TornWrite { bytes: 100 }),
        (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::KeptClean { seed: None })),
        (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::Reverted { seed: Some(4) })),
        (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::Late { seed: None })),
    ];
    for (kind, what) in faults {
        let (disk, states) = (new_disk(), states(2));
        let mut manifest = open(&disk, 1, false);
        append(&mut manifest).unwrap();
        let path_contains = Some("manifest".to_owned());
        let at = Selector { kind: Some(kind), path_contains, nth: 0 };
        disk.plan(Fault { at, what, sticky: false });
        let error = append(&mut manifest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{what:?}: {error}");
        assert!(error.place().path.is_some(), "{error}");
        let before = disk.operations();
        let error = append(&mut manifest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{what:?}: {error}");
        assert_eq!(disk.operations(), before, "nothing is tried again");
        assert_eq!(shown(&manifest), states[1], "{what:?}");
        drop(manifest);
        for image in [disk.kill(), disk.crash_with(CrashMode::Nothing)] {
            check(&image, &states, (1, 2), &format!("{what:?}"));
        }
    }
}

#[test]
fn a_new_file_that_cannot_be_made_harms_nothing() {
    let disk = new_disk();
    let mut manifest = open(&disk, 1, false);
    let fault = |kind, text: &str, what| {
        let at = Selector { kind: Some(kind), path_contains: Some(text.to_owned()), nth: 0 };
        disk.plan(Fault { at, what, sticky: false });
    };
    let failed = FaultKind::FailedSync(SyncFailure::KeptClean { seed: None });
    for (kind, what, expected) in [
        (OperationKind::CreateDir, FaultKind::NoSpace, ErrorKind::Full),
        (OperationKind::Create, FaultKind::NoSpace, ErrorKind::Full),
        (OperationKind::Write, FaultKind::NoSpace, ErrorKind::Full),
        (OperationKind::Sync, failed, ErrorKind::Io),
        (OperationKind::SyncDir, failed, ErrorKind::Io),
    ] {
        fault(kind, "manifest", what);
        let error = append(&mut manifest).unwrap_err();
        assert_eq!(error.kind(), expected, "{kind:?}: {error}");
        assert_eq!(manifest.last(), EditId::default());
    }
    for _ in 0..2 {
        append(&mut manifest).unwrap();
    }
    // Now the file is full, and its successor cannot be made.
    for _ in 0..3 {
        fault(OperationKind::Create, "manifest", FaultKind::NoSpace);
        assert_eq!(append(&mut manifest).unwrap_err().kind(), ErrorKind::Full);
    }
    for _ in 0..5 {
        append(&mut manifest).unwrap();
    }
    let expected = shown(&manifest);
    drop(manifest);
    assert_eq!(shown(&open(&disk.crash_with(CrashMode::Nothing), 2, true)), expected);
}

#[test]
fn a_current_that_could_not_be_replaced_poisons() {
    for kind in [OperationKind::Write, OperationKind::Rename, OperationKind::SyncDir] {
        let (disk, states) = (new_disk(), states(4));
        let mut manifest = open(&disk, 1, false);
        for _ in 0..2 {
            append(&mut manifest).unwrap();
        }
        let text = if kind == OperationKind::SyncDir { STORE } else { "CURRENT" };
        let nth = u64::from(kind == OperationKind::SyncDir);
        let at = Selector { kind: Some(kind), path_contains: Some(text.to_owned()), nth };
        disk.plan(Fault { at, what: FaultKind::Error(std::io::ErrorKind::Other), sticky: false });
        for _ in 0..2 {
            let error = append(&mut manifest).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Poisoned, "{kind:?}: {error}");
        }
        drop(manifest);
        for image in [disk.kill(), disk.crash_with(CrashMode::Nothing)] {
            assert_eq!(check(&image, &states, (2, 2), &format!("{kind:?}")), 2);
        }
    }
}

#[test]
fn the_edit_that_the_log_names_must_be_there() {
    let (disk, states) = (new_disk(), states(9));
    let mut manifest = open(&disk, 1, false);
    for _ in 0..6 {
        append(&mut manifest).unwrap();
    }
    drop(manifest);
    let found = read(&disk, 2).unwrap();
    assert_eq!(found.last(), states[6].0);
    for (id, _) in &states[..=6] {
        found.expect(*id).unwrap();
    }
    for wrong in [
        states[7].0,
        EditId { number: u64::MAX, hash: 1 },
        EditId { hash: 1, ..states[6].0 },
        EditId { hash: 1, ..states[5].0 },
    ] {
        let error = found.expect(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{wrong:?}");
        assert!(error.message().contains(&format!("edit {} ", wrong.number)), "{error}");
        let files = manifests(&disk);
        let refused = read(&disk, 3).unwrap().into_writable_sized(false, Some(wrong), SMALL);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(manifests(&disk), files, "nothing was touched");
    }
    disk.remove(Path::new("/store/CURRENT")).unwrap();
    let empty = read(&disk, 4).unwrap();
    assert_eq!(empty.state(), &State::default());
    assert_eq!(empty.expect(states[1].0).unwrap_err().kind(), ErrorKind::Corrupt);
    empty.expect(EditId::default()).unwrap();
}

#[test]
fn a_torn_end_is_cut_after_a_crash_and_damage_after_a_clean_close() {
    let (disk, states) = (new_disk(), states(3));
    let mut manifest = open(&disk, 1, false);
    append(&mut manifest).unwrap();
    append(&mut manifest).unwrap();
    drop(manifest);
    let torn = disk.kill();
    torn.flip(FIRST, 3 * 4096 + 90, 1).unwrap();
    let error = read(&torn, 2).unwrap().into_writable_sized(true, None, SMALL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.place().offset, Some(3 * 4096));
    assert!(error.message().contains("edit 2,"), "{error}");
    let known = Some(states[2].0);
    let error = read(&torn, 2).unwrap().into_writable_sized(false, known, SMALL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "the log names it: {error}");
    assert_eq!(check(&torn, &states, (1, 1), "torn"), 1);
}

#[test]
fn damage_is_told_with_its_place() {
    let (disk, current) = (new_disk(), "/store/CURRENT");
    let mut manifest = open(&disk, 1, false);
    append(&mut manifest).unwrap();
    append(&mut manifest).unwrap();
    drop(manifest);
    let refused = |change: &dyn Fn(&MemoryVfs), path: &str, offset| {
        let disk = disk.kill();
        change(&disk);
        let error = read(&disk, 2).unwrap_err();
        let place = error.place();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(place.path.as_deref(), Some(Path::new(path)), "{error}");
        assert_eq!(place.offset, Some(offset), "{error}");
    };
    let shown = "manifest/0000000000000001.manifest";
    for byte in 0..512 {
        refused(&|disk| disk.flip(current, byte, 4).unwrap(), "CURRENT", 0);
    }
    refused(&|disk| write(disk, current, 512, &[0]), "CURRENT", 0);
    refused(&|disk| disk.remove(Path::new(FIRST)).unwrap(), shown, 0);
    refused(&|disk| write(disk, FIRST, SMALL, &[0]), shown, 0);
    refused(&|disk| disk.flip(FIRST, 9, 1).unwrap(), shown, 0);
    refused(&|disk| disk.flip(FIRST, 4096 + 80, 1).unwrap(), shown, 4096);
    refused(&|disk| disk.flip(FIRST, 2 * 4096 + 80, 1).unwrap(), shown, 2 * 4096);
    let cut = |disk: &MemoryVfs| {
        let file = disk.open(Path::new(FIRST), OpenMode::ReadWrite).unwrap();
        file.set_len(SMALL - 4096).unwrap();
    };
    refused(&cut, shown, SMALL - 4096);
    let other = ManifestRead::open(Path::new(STORE), &runtime(&disk, 2), StoreId([1; 16]));
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Corrupt);
    let at = Selector { kind: Some(OperationKind::Read), ..Selector::default() };
    let what = FaultKind::Error(std::io::ErrorKind::Other);
    disk.plan(Fault { at, what, sticky: false });
    assert_eq!(read(&disk, 2).unwrap_err().kind(), ErrorKind::Io, "a read error is no end");
}

#[test]
fn contradictions_and_limits_are_refused_before_anything_is_written() {
    let disk = new_disk();
    let mut manifest = open(&disk, 1, false);
    append(&mut manifest).unwrap();
    let (before, operations) = (shown(&manifest), disk.operations());
    let drops = |count: u32| -> Vec<Change> {
        (0..count).map(|id| Change::DropKeyspace(KeyspaceId(id), Lsn(1))).collect()
    };
    for (changes, kind) in [
        (vec![], ErrorKind::Bug),
        (vec![Change::RemoveTable(77)], ErrorKind::Bug),
        (vec![checkpoint(9), checkpoint(10)], ErrorKind::Bug),
        (drops(65_537), ErrorKind::Full),
    ] {
        assert_eq!(manifest.append(&changes).unwrap_err().kind(), kind);
    }
    assert_eq!((shown(&manifest), disk.operations()), (before, operations));
    manifest.append(&drops(1000)).unwrap();
    let expected = shown(&manifest);
    assert_eq!(expected.1.drops().count(), 1000);
    drop(manifest);
    assert_eq!(shown(&open(&disk.crash_with(CrashMode::Nothing), 2, false)), expected);
}
