//! Damage at rest: every byte, every sector, every file of a store, one at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jidoka::base::{Error, ErrorKind};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::reader::{Limit, OwnedRecord};
use jidoka::wal::{Durability, LogReader};

use crate::model::{Choices, Content, History, STORE, content, open};

/// A cleanly closed store of two segments, and what it holds.
fn closed_store() -> (MemoryVfs, Content) {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    let (mut history, mut choices) = (History::new(), Choices::new(4));
    while store.log_stats().active_segment < 2 || history.batches.len() < 8 {
        history.push_random(&mut choices);
        store.commit(history.batch(history.batches.len(), Durability::Sync)).unwrap();
    }
    let expected = content(&store);
    store.close().unwrap();
    assert_eq!(disk.files().len(), 4, "IDENTITY, LOCK and two segments");
    (disk.crash_with(CrashMode::Everything), expected)
}

fn files_but_the_lock(disk: &MemoryVfs) -> Vec<(PathBuf, usize)> {
    let files = disk.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK"));
    files.map(|(path, size)| (path, usize::try_from(size).unwrap())).collect()
}

/// Opens a damaged store: all of it is there, or it is refused with the place. Gives whether it
/// was refused.
fn whole_or_refused(disk: &MemoryVfs, expected: &Content, name: &str) -> bool {
    match open(disk, 9) {
        Ok(store) => {
            let case = store.recovery().case;
            assert!(content(&store) == *expected, "{name}: {case} shows something else");
            false
        }
        Err(error) => {
            refused_with_place(&error, name);
            true
        }
    }
}

fn refused_with_place(error: &Error, name: &str) {
    let kind = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported);
    assert!(kind && error.place().path.is_some(), "{name}: {error:?}");
}

#[test]
fn no_rotten_byte_of_a_closed_store_is_shown_or_takes_anything_with_it() {
    let (disk, expected) = closed_store();
    let files = files_but_the_lock(&disk);
    let bytes: Vec<Vec<u8>> = files.iter().map(|(path, _)| disk.read_file(path).unwrap()).collect();
    let (next, refused, opened) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let all: usize = files.iter().map(|(_, size)| size).sum();
    let work = || {
        loop {
            let mut offset = next.fetch_add(1, Ordering::SeqCst);
            if offset >= all {
                return;
            }
            let mut file = 0;
            while offset >= files[file].1 {
                offset -= files[file].1;
                file += 1;
            }
            let byte = bytes[file][offset];
            for mask in [0x01, 0x80, 0xff, byte, byte ^ 0xff] {
                if mask == 0 {
                    continue;
                }
                let damaged = disk.kill();
                let path = &files[file].0;
                damaged.flip(path, u64::try_from(offset).unwrap(), mask).unwrap();
                let name = format!("{} {offset} ^ {mask:02x}", path.display());
                let sink =
                    if whole_or_refused(&damaged, &expected, &name) { &refused } else { &opened };
                sink.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    // The pages of the headers and the records are refused; the zeroes after the end are cut.
    let (refused, opened) = (refused.into_inner(), opened.into_inner());
    assert!(refused > 40_000 && opened > 2_000, "{refused} refused, {opened} opened");
}

#[test]
fn no_lost_sector_of_a_closed_store_takes_anything_with_it() {
    let mut refused = 0;
    for len in (0..1024).step_by(8) {
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        let pots = Keyspace::new("pots").unwrap();
        for value in [vec![1; len], vec![2; 20]] {
            let mut batch = Batch::new();
            batch.put(&pots, b"a", &value);
            store.commit(batch).unwrap();
        }
        let expected = content(&store);
        store.close().unwrap();
        let disk = disk.crash_with(CrashMode::Everything);
        for (path, size) in files_but_the_lock(&disk) {
            for sector in 0..size / 512 {
                let damaged = disk.kill();
                let file = damaged.open(&path, OpenMode::ReadWrite).unwrap();
                file.write_all_at(&[0; 512], u64::try_from(sector * 512).unwrap()).unwrap();
                let name = format!("a value of {len} bytes, {} sector {sector}", path.display());
                refused += usize::from(whole_or_refused(&damaged, &expected, &name));
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn a_file_of_a_closed_store_that_is_cut_gone_or_swapped_is_refused() {
    let (disk, expected) = closed_store();
    let mut cut = 0;
    for (path, size) in files_but_the_lock(&disk) {
        for len in (0..size).step_by(512) {
            let damaged = disk.kill();
            let file = damaged.open(&path, OpenMode::ReadWrite).unwrap();
            file.set_len(u64::try_from(len).unwrap()).unwrap();
            let name = format!("{} cut to {len}", path.display());
            cut += usize::from(whole_or_refused(&damaged, &expected, &name));
        }
        let damaged = disk.kill();
        damaged.remove(&path).unwrap();
        let name = format!("{} removed", path.display());
        assert!(whole_or_refused(&damaged, &expected, &name), "{name}");
    }
    assert!(cut > 24, "{cut}");
    let [first, second] = [1, 2].map(|number| format!("{STORE}/wal/{number:016}.wal"));
    let damaged = disk.kill();
    for (path, other) in [(&first, &second), (&second, &first)] {
        let bytes = disk.read_file(other).unwrap();
        let file = damaged.open(Path::new(path), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
    }
    assert!(whole_or_refused(&damaged, &expected, "swapped"));
}

/// Every record of the store's log, proven or not.
fn records(disk: &MemoryVfs) -> Vec<OwnedRecord> {
    let mut reader = LogReader::open(Path::new(STORE), &runtime(disk, 5)).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        records.push(record);
    }
    records
}

fn path_of(record: &OwnedRecord) -> PathBuf {
    format!("{STORE}/wal/{:016}.wal", record.segment.0).into()
}

#[test]
fn rot_in_what_a_later_claim_covers_is_refused_and_not_cut() {
    let disk = MemoryVfs::new();
    let builder = Store::builder(STORE).segment_bytes(16384).runtime(runtime(&disk, 1));
    let store = Arc::new(builder.open().unwrap());
    let work = |thread: u8| {
        let pots = Keyspace::new("pots").unwrap();
        for number in 0..12 {
            let mut batch = Batch::new();
            batch.put(&pots, &[thread, number], &[thread; 20]);
            store.commit(batch).unwrap();
        }
    };
    thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || work(thread));
        }
    });
    // The last group but one is what the last claim covers, and no claim before it did.
    let image = disk.crash_with(CrashMode::Nothing);
    let records = records(&image);
    let claims: Vec<u64> = records.iter().map(|record| record.header.claim.0).collect();
    let last = *claims.iter().max().unwrap();
    assert!(last > 150, "{last}");
    let mut damaged_bytes = 0;
    for record in records.iter().filter(|record| record.header.seq.0 <= last) {
        let len = record.header.record_len();
        let every = if record.header.seq.0 + 20 > last { 1 } else { 13 };
        for offset in (record.offset..record.offset + len).step_by(every) {
            let damaged = image.kill();
            damaged.flip(path_of(record), offset, 0x10).unwrap();
            let name = format!("record {} at {offset}", record.header.seq);
            let error = open(&damaged, 9).expect_err(&name);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error:?}");
            let place = error.place();
            assert!(path_of(record).ends_with(place.path.as_ref().unwrap()), "{name}");
            assert_eq!(place.offset, Some(record.offset), "{name}");
            assert!(place.lsn.is_some(), "{name}");
            damaged_bytes += 1;
        }
    }
    assert!(damaged_bytes > 2_000, "{damaged_bytes}");
    drop(store);
}

#[test]
fn rot_in_the_last_group_is_cut_until_a_time_mark_covers_it() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    let pots = Keyspace::new("pots").unwrap();
    for number in 0..2 {
        let mut batch = Batch::new();
        batch.put(&pots, &[number], &[number; 20]);
        store.commit(batch).unwrap();
    }
    let damaged = |disk: &MemoryVfs, seq: u64| {
        let found = records(disk).into_iter().find(|record| record.header.seq.0 == seq).unwrap();
        let damaged = disk.kill();
        damaged.flip(path_of(&found), found.offset + 75, 1).unwrap();
        open(&damaged, 9)
    };
    let last = records(&disk).last().unwrap().header.seq.0;
    let cut = damaged(&disk, last).unwrap();
    assert_eq!((cut.recovery().case, cut.range(&pots, ..).count()), ("@L", 1));
    while store.step().unwrap() {}
    assert_eq!(damaged(&disk, last).unwrap_err().kind(), ErrorKind::Corrupt);
}
