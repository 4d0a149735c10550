//! One directory for each row of the recovery table, opened for real.

use std::path::Path;
use std::sync::Arc;

use jidoka::base::{Error, ErrorKind, Lsn};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, Operation, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::format::Kind;
use jidoka::wal::identity::Identity;
use jidoka::wal::reader::Limit;
use jidoka::wal::{LogReader, survey_log};

use crate::model::{STORE, open};

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

fn put(store: &Store, number: u8) {
    let mut batch = Batch::new();
    batch.put(&pots(), &[number], &[number; 900]);
    store.commit(batch).unwrap();
}

/// A store of so many commits, three to a segment, closed or not; nothing of it is pending.
fn store_of(commits: u8, close: bool) -> MemoryVfs {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..commits).for_each(|number| put(&store, number));
    if close {
        store.close().unwrap();
    }
    disk.crash_with(CrashMode::Everything)
}

fn segment(number: u64) -> String {
    format!("{STORE}/wal/{number:016}.wal")
}

fn write(disk: &MemoryVfs, path: &str, offset: u64, bytes: &[u8]) {
    let path = Path::new(path);
    let file = match disk.open(path, OpenMode::ReadWrite) {
        Ok(file) => file,
        Err(_) => disk.open(path, OpenMode::CreateNew).unwrap(),
    };
    file.write_all_at(bytes, offset).unwrap();
}

fn remove(disk: &MemoryVfs, path: &str) {
    disk.remove(Path::new(path)).unwrap();
}

/// Every file with its bytes.
fn all(disk: &MemoryVfs) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let bytes = |path: &Path| disk.read_file(path).unwrap();
    disk.files().into_iter().map(|(path, _)| (path.clone(), bytes(&path))).collect()
}

/// Opens what must be refused as damage by this row, and expects that nothing but the lock file
/// was touched.
#[track_caller]
fn refused(disk: &MemoryVfs, case: &str, path: &str, offset: Option<u64>) -> Error {
    let before = all(disk);
    let error = open(disk, 9).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.message().ends_with(&format!("(case {case})")), "{error:?}");
    let place = error.place();
    assert_eq!((place.path.as_deref(), place.offset), (Some(Path::new(path)), offset), "{error:?}");
    let after: Vec<_> = all(disk)
        .into_iter()
        .filter(|file| before.contains(file) || !file.0.ends_with("LOCK"))
        .collect();
    assert_eq!(after, before, "the store was changed");
    error
}

/// Opens, and expects the case and that so many keys are there; commits one more that lasts.
#[track_caller]
fn opened(disk: &MemoryVfs, case: &str, keys: usize) -> Store {
    let store = open(disk, 9).unwrap();
    assert_eq!(store.recovery().case, case);
    assert_eq!(store.range(&pots(), ..).count(), keys);
    put(&store, 200);
    let cut = open(&disk.crash_with(CrashMode::Nothing), 10).unwrap();
    assert_eq!(cut.range(&pots(), ..).count(), keys + 1);
    store
}

#[test]
fn case_a_where_there_is_nothing_a_store_is_made() {
    drop(opened(&MemoryVfs::new(), "@A", 0));
    let disk = MemoryVfs::new();
    disk.create_dir(Path::new(STORE)).unwrap();
    drop(opened(&disk, "@A", 0));
    let builder = Store::builder("/other").create(false).runtime(runtime(&disk, 1));
    assert_eq!(builder.open().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!disk.files().iter().any(|(path, _)| path.starts_with("/other")));
}

#[test]
fn case_b_a_creation_that_stopped_at_any_call_is_finished() {
    let disk = MemoryVfs::new();
    let images = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&images);
    disk.set_observer(Box::new(move |disk: &MemoryVfs, _: &Operation| {
        for mode in [CrashMode::Nothing, CrashMode::Everything, CrashMode::NamesFirst] {
            sink.lock().push(disk.crash_with(mode));
        }
        sink.lock().push(disk.kill());
    }));
    drop(open(&disk, 1).unwrap());
    disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    let mut cases = std::collections::BTreeMap::new();
    for image in images {
        let store = open(&image, 9).unwrap();
        let case = store.recovery().case;
        drop(store);
        // The store is a store: it takes a commit and keeps it.
        drop(opened(&image, "@J", 0));
        *cases.entry(case).or_insert(0) += 1;
    }
    assert!(cases["@A"] > 5 && cases["@B"] > 20 && cases["@K"] > 0, "{cases:?}");
}

#[test]
fn case_b_without_leave_to_create_nothing_is_finished() {
    let disk = store_of(0, false);
    remove(&disk, &format!("{STORE}/IDENTITY"));
    let builder = Store::builder(STORE).create(false).runtime(runtime(&disk, 1));
    assert_eq!(builder.open().unwrap_err().kind(), ErrorKind::NotFound);
    drop(opened(&disk, "@B", 0));
}

#[test]
fn case_c_records_without_an_identity_are_refused() {
    for commits in [1, 9] {
        for close in [false, true] {
            let disk = store_of(commits, close);
            remove(&disk, &format!("{STORE}/IDENTITY"));
            refused(&disk, "@C", "IDENTITY", None);
        }
    }
    // A later segment alone is enough, and so is one byte of a record.
    let disk = store_of(9, true);
    remove(&disk, &format!("{STORE}/IDENTITY"));
    remove(&disk, &segment(1));
    refused(&disk, "@C", "IDENTITY", None);
    let disk = store_of(0, false);
    remove(&disk, &format!("{STORE}/IDENTITY"));
    write(&disk, &segment(1), 8191, b"x");
    refused(&disk, "@C", "IDENTITY", None);
}

#[test]
fn case_d_a_directory_that_is_not_a_store_is_not_touched() {
    for (dirs, file) in [
        (vec![], "/store/notes.txt"),
        (vec!["/store/wal"], "/store/wal/notes.txt"),
        (vec!["/store/wal"], "/store/notes.txt"),
        (vec!["/store/photos"], "/store/photos/one.jpg"),
    ] {
        let disk = MemoryVfs::new();
        disk.create_dir(Path::new(STORE)).unwrap();
        dirs.iter().for_each(|dir| disk.create_dir(Path::new(dir)).unwrap());
        write(&disk, file, 0, b"mine");
        let before = all(&disk);
        let error = open(&disk, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{file}: {error:?}");
        assert_eq!(error.place().path.as_deref(), Some(Path::new(STORE)));
        assert_eq!(all(&disk), before, "{file}: the directory was touched");
    }
    let disk = MemoryVfs::new();
    write(&disk, STORE, 0, b"a file");
    assert_eq!(open(&disk, 1).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn case_e_an_identity_that_cannot_be_read_is_refused() {
    let path = format!("{STORE}/IDENTITY");
    for offset in [0, 20, 60] {
        let disk = store_of(3, true);
        disk.flip(&path, offset, 1).unwrap();
        refused(&disk, "@E", "IDENTITY", Some(0));
    }
    let disk = store_of(3, true);
    disk.open(Path::new(&path), OpenMode::ReadWrite).unwrap().set_len(0).unwrap();
    refused(&disk, "@E", "IDENTITY", Some(0));
}

#[test]
fn case_f_a_missing_first_segment_is_refused() {
    for commits in [1, 9] {
        let disk = store_of(commits, true);
        remove(&disk, &segment(1));
        refused(&disk, "@F", "wal/0000000000000001.wal", Some(0));
    }
}

#[test]
fn case_g_a_missing_named_segment_is_refused() {
    for close in [false, true] {
        for number in [2, 3] {
            let disk = store_of(9, close);
            remove(&disk, &segment(number));
            let path = format!("wal/{number:016}.wal");
            refused(&disk, "@G", &path, Some(0));
        }
    }
}

#[test]
fn case_h_a_segment_whose_header_is_not_its_own_is_refused() {
    let shown = |number| format!("wal/{number:016}.wal");
    for number in [1, 2, 3] {
        for offset in [0, 9, 30, 41, 50, 57, 300, 509, 4000] {
            let disk = store_of(9, true);
            disk.flip(segment(number), offset, 0x40).unwrap();
            refused(&disk, "@H", &shown(number), Some(0));
        }
    }
    // A file that is shorter than its header, or holds nothing any more.
    for len in [0, 100, 4095] {
        let disk = store_of(9, true);
        disk.open(Path::new(&segment(2)), OpenMode::ReadWrite).unwrap().set_len(len).unwrap();
        refused(&disk, "@H", &shown(2), Some(0));
    }
}

#[test]
fn case_i_rot_below_a_claim_is_refused_with_its_commit() {
    let disk = store_of(9, true);
    // The second commit's value: behind the segment's start, the term's, and one commit.
    disk.flip(segment(1), 5600, 1).unwrap();
    let error = open(&disk, 9).unwrap_err();
    assert_eq!((error.kind(), error.place().lsn), (ErrorKind::Corrupt, Some(Lsn(3))), "{error:?}");
    let offset = error.place().offset.unwrap();
    assert!((5200..5600).contains(&offset) && offset.is_multiple_of(8), "{offset}");
    refused(&disk, "@I", "wal/0000000000000001.wal", Some(offset));
}

#[test]
fn case_j_a_clean_close_is_continued_and_opening_it_writes_nothing() {
    let disk = store_of(9, true);
    let before = all(&disk);
    let store = open(&disk, 9).unwrap();
    let report = store.recovery().clone();
    assert_eq!((report.case, report.cut_bytes, report.rewritten_bytes), ("@J", 0, 0));
    assert!(report.records > 9 && report.bytes > 8192, "{report:?}");
    store.close().unwrap();
    assert_eq!(all(&disk), before);
    assert_eq!(disk.pending_units(), []);
    drop(opened(&disk, "@J", 9));
}

#[test]
fn case_k_a_log_that_was_not_closed_is_proven_again_and_cut() {
    for commits in [0, 1, 3, 9] {
        let disk = store_of(commits, false);
        let store = opened(&disk, "@K", usize::from(commits));
        let report = store.recovery();
        assert!(report.cut_bytes == 0 && report.rewritten_bytes > 0, "{report:?}");
    }
}

#[test]
fn case_l_an_unsynced_tail_is_cut_and_reported() {
    for commits in [0, 1, 4] {
        let disk = store_of(commits, false);
        let last = disk.files().iter().filter(|(path, _)| path.extension().is_some()).count();
        let number = u64::try_from(last).unwrap();
        write(&disk, &segment(number), 8000, b"garbage");
        let store = opened(&disk, "@L", usize::from(commits));
        let report = store.recovery();
        assert!((7..4096).contains(&report.cut_bytes), "{report:?}");
    }
    // Also behind a clean close: nothing is lost, but nothing is believed either.
    let disk = store_of(2, true);
    write(&disk, &segment(1), 8100, b"garbage");
    drop(opened(&disk, "@L", 2));
}

#[test]
fn case_m_a_last_segment_that_is_cut_short_is_refused() {
    let disk = store_of(2, true);
    disk.open(Path::new(&segment(1)), OpenMode::ReadWrite).unwrap().set_len(6000).unwrap();
    refused(&disk, "@M", "wal/0000000000000001.wal", Some(6000));
}

#[test]
fn case_n_an_intact_header_that_belongs_elsewhere_is_refused() {
    let shown = |number| format!("wal/{number:016}.wal");
    // A file under another number's name.
    for (from, to) in [(1, 2), (2, 1), (3, 2), (2, 3)] {
        let disk = store_of(9, true);
        write(&disk, &segment(to), 0, &disk.read_file(segment(from)).unwrap());
        let error = refused(&disk, "@N", &shown(to), Some(0));
        assert!(error.message().contains("number is not its file's name"), "{error}");
    }
    // The same number of another store.
    let other = MemoryVfs::new();
    let store = open(&other, 77).unwrap();
    (0..9).for_each(|number| put(&store, number));
    let disk = store_of(9, true);
    write(&disk, &segment(2), 0, &other.read_file(segment(2)).unwrap());
    let error = refused(&disk, "@N", &shown(2), Some(0));
    assert!(error.message().contains("belongs to another store"), "{error}");
    // The same store and number, of a life that its predecessor does not name.
    let disk = store_of(2, false);
    let lives = [disk.kill(), disk.kill()];
    for (life, seed) in lives.iter().zip([21, 22]) {
        put(&open(life, seed).unwrap(), 3);
    }
    write(&lives[0], &segment(2), 0, &lives[1].read_file(segment(2)).unwrap());
    let error = refused(&lives[0], "@N", &shown(2), Some(0));
    assert!(error.message().contains("not the one its predecessor names"), "{error}");
    // The same store with segments of another size.
    let disk = store_of(9, true);
    let identity = format!("{STORE}/IDENTITY");
    let mut known = Identity::decode(&disk.read_file(&identity).unwrap()).unwrap();
    known.segment_bytes *= 2;
    write(&disk, &identity, 0, &known.encode());
    let error = refused(&disk, "@N", &shown(1), Some(0));
    assert!(error.message().contains("size is not the store's"), "{error}");
}

#[test]
fn case_o_a_segment_that_is_longer_than_it_was_made_is_refused() {
    for number in [1, 2, 3] {
        let disk = store_of(9, true);
        write(&disk, &segment(number), 8192, b"x");
        refused(&disk, "@O", &format!("wal/{number:016}.wal"), Some(8192));
    }
}

#[test]
fn case_p_a_log_whose_salvage_did_not_end_is_refused() {
    for damaged in [false, true] {
        let disk = store_of(9, true);
        write(&disk, &format!("{STORE}/wal/SALVAGE"), 0, b"a plan, or not");
        if damaged {
            disk.flip(segment(1), 5600, 1).unwrap();
        }
        let error = refused(&disk, "@P", "wal/SALVAGE", Some(0));
        assert!(!error.message().contains("proves"), "{error}");
        // Nobody who follows the log takes what is left of it for all there was.
        let mut reader = LogReader::open(Path::new(STORE), &runtime(&disk, 5)).unwrap();
        while reader.next(Limit::Everything).unwrap().is_some() {}
        let error = reader.check_end().unwrap_err();
        assert_eq!(error.place().path.as_deref(), Some(Path::new("wal/SALVAGE")), "{error:?}");
        let survey = survey_log(Path::new(STORE), &runtime(&disk, 5), &mut |_| Ok(())).unwrap();
        assert_eq!(survey.damage[0].path, Path::new("wal/SALVAGE"));
        assert_eq!(survey.damage.len(), 1 + usize::from(damaged));
    }
}

/// Where the records of each kind in the last segment are, and where they end.
fn records(disk: &MemoryVfs) -> Vec<(Kind, u64, u64)> {
    let mut reader = LogReader::open(Path::new(STORE), &runtime(disk, 5)).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        let (at, len) = (record.offset, record.header.record_len());
        records.push((record.header.kind, record.segment.0, at + len));
    }
    records
}

/// A store that ends in a record of `kind`, and its keys.
fn ending_in(kind: Option<Kind>) -> (MemoryVfs, usize) {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    let keys = match kind {
        None => 0,
        // The next commit ends this segment; of the one after it only the start survives.
        Some(Kind::SegmentStart) => 3,
        Some(_) => 2,
    };
    (0..keys).for_each(|number| put(&store, number));
    match kind {
        Some(Kind::CleanClose) => store.close().unwrap(),
        Some(Kind::TimeMark) => drop(store.time_mark().unwrap()),
        Some(Kind::SegmentStart) => put(&store, keys),
        _ => {}
    }
    let disk = disk.crash_with(CrashMode::Everything);
    if kind == Some(Kind::SegmentStart) {
        let (_, number, end) =
            *records(&disk).iter().rfind(|seen| seen.0 == Kind::SegmentStart).unwrap();
        write(&disk, &segment(number), end, &vec![0; usize::try_from(8192 - end).unwrap()]);
    }
    assert_eq!(records(&disk).last().map(|last| last.0), kind);
    (disk, usize::from(keys))
}

#[test]
fn every_end_of_a_log_is_continued_cut_or_refused_by_what_follows_it() {
    let kinds = [
        (None, "@K"),
        (Some(Kind::Commit), "@K"),
        (Some(Kind::TimeMark), "@K"),
        (Some(Kind::SegmentStart), "@K"),
        (Some(Kind::CleanClose), "@J"),
    ];
    for (kind, case) in kinds {
        let (disk, keys) = ending_in(kind);
        let (_, number, end) = records(&disk).last().copied().unwrap_or((Kind::Commit, 1, 4096));
        drop(opened(&disk, case, keys));
        // Debris right behind it, at the end of the file, and of a record that was not finished.
        for (at, debris) in [(end, &b"x"[..]), (8191, b"x"), (end + 8, &[0xA5; 600])] {
            let (disk, keys) = ending_in(kind);
            write(&disk, &segment(number), at, debris);
            let store = opened(&disk, "@L", keys);
            assert!(store.recovery().cut_bytes > 0, "{kind:?} {at}");
        }
    }
}

#[test]
fn a_hole_is_refused_whether_the_claim_behind_it_is_in_its_segment_or_in_a_later_one() {
    let disk = store_of(9, false);
    let all = records(&disk);
    for (index, (kind, number, end)) in all.iter().enumerate().take(all.len() - 1) {
        let disk = store_of(9, false);
        disk.flip(segment(*number), end - 8, 1).unwrap();
        let start = if index == 0 || *kind == Kind::SegmentStart { 4096 } else { all[index - 1].2 };
        refused(&disk, "@I", &format!("wal/{number:016}.wal"), Some(start));
    }
}

#[test]
fn a_name_of_the_store_that_is_no_file_is_refused_as_damage() {
    for name in ["wal/TAIL", "wal/0000000000000002.wal", "IDENTITY"] {
        let disk = store_of(9, true);
        let path = format!("{STORE}/{name}");
        if disk.read_file(&path).is_ok() {
            remove(&disk, &path);
        }
        disk.create_dir(Path::new(&path)).unwrap();
        let error = open(&disk, 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error:?}");
        assert_eq!(error.place().path.as_deref(), Some(Path::new(name)), "{error:?}");
        assert!(error.message().ends_with("move it away"), "{error}");
        disk.list(Path::new(&path)).unwrap();
    }
    // Where the log should be there is a file.
    let whole = store_of(3, true);
    let disk = MemoryVfs::new();
    disk.create_dir(Path::new(STORE)).unwrap();
    let identity = format!("{STORE}/IDENTITY");
    write(&disk, &format!("{STORE}/wal"), 0, b"mine");
    assert_eq!(open(&disk, 9).unwrap_err().kind(), ErrorKind::Invalid, "case @D");
    write(&disk, &identity, 0, &whole.read_file(&identity).unwrap());
    let error = open(&disk, 9).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert_eq!(error.place().path.as_deref(), Some(Path::new("wal")), "{error:?}");
    assert_eq!(disk.read_file(format!("{STORE}/wal")).unwrap(), b"mine");
}

#[test]
fn a_store_that_is_open_is_locked_until_it_closes() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    put(&store, 1);
    let error = open(&disk, 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(error.place().path.as_deref(), Some(Path::new("/store/LOCK")));
    assert!(error.to_string().contains("another process holds"), "{error}");
    put(&store, 2);
    let handle = store.clone();
    drop(store);
    assert_eq!(open(&disk, 3).unwrap_err().kind(), ErrorKind::Locked);
    handle.close().unwrap();
    // The handle outlives the hold: it reads, and what it would write is refused.
    drop(opened(&disk, "@J", 2));
    assert_eq!(handle.range(&pots(), ..).count(), 2);
    assert_eq!(handle.sync().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_store_that_was_refused_holds_no_lock() {
    let disk = store_of(3, true);
    disk.flip(segment(1), 4200, 1).unwrap();
    assert_eq!(open(&disk, 2).unwrap_err().kind(), ErrorKind::Corrupt);
    disk.flip(segment(1), 4200, 1).unwrap();
    drop(opened(&disk, "@J", 3));
}

#[test]
fn a_read_error_is_not_the_end_of_the_log() {
    use jidoka::vfs::memory::{Fault, FaultKind, OperationKind, Selector};
    let mut refusals = 0;
    for kind in [OperationKind::Read, OperationKind::Size, OperationKind::Open, OperationKind::List]
    {
        for nth in 0..20 {
            let disk = store_of(9, false);
            let at = Selector { kind: Some(kind), nth, ..Selector::default() };
            let what = FaultKind::Error(std::io::ErrorKind::Other);
            disk.plan(Fault { at, what, sticky: false });
            match open(&disk, 9) {
                Ok(store) => {
                    assert_eq!((disk.faults_fired(), store.range(&pots(), ..).count()), (0, 9));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Io, "{kind:?} {nth}: {error:?}");
                    assert!(error.place().path.is_some(), "{error:?}");
                    refusals += 1;
                    assert_eq!(open(&disk, 10).unwrap().range(&pots(), ..).count(), 9);
                }
            }
        }
    }
    assert!(refusals > 12, "{refusals}");
}
