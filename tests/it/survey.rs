//! A survey of the log counts what is there, and tells each damage once and where it is.

use std::path::{Path, PathBuf};

use jidoka::base::Lsn;
use jidoka::base::checksum::hash64;
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::reader::{Limit, OwnedRecord};
use jidoka::wal::{LogReader, Survey, survey_log};

use crate::model::{STORE, open};

fn put(store: &Store, number: u8) {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("pots").unwrap(), &[number], &[number; 900]);
    store.commit(batch).unwrap();
}

/// A killed store of so many commits, three to a segment.
fn killed(commits: u8) -> MemoryVfs {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..commits).for_each(|number| put(&store, number));
    disk.crash_with(CrashMode::Everything)
}

fn shown(number: u64) -> PathBuf {
    format!("wal/{number:016}.wal").into()
}

fn path(number: u64) -> PathBuf {
    Path::new(STORE).join(shown(number))
}

/// The survey, and the seq of every record that it gave.
fn survey(disk: &MemoryVfs) -> (Survey, Vec<u64>) {
    let mut seqs = Vec::new();
    let found = survey_log(Path::new(STORE), &runtime(disk, 5), &mut |record| {
        seqs.push(record.header.seq.0);
        assert_eq!(hash64(record.payload), record.header.payload_hash);
        Ok(())
    });
    (found.unwrap(), seqs)
}

fn records(disk: &MemoryVfs) -> Vec<OwnedRecord> {
    let mut reader = LogReader::open(Path::new(STORE), &runtime(disk, 5)).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        records.push(record);
    }
    records
}

/// Each damage as its segment, its offset and the commit after which it is.
fn damage(survey: &Survey) -> Vec<(PathBuf, u64, Option<Lsn>)> {
    let place =
        |damage: &jidoka::wal::Damage| (damage.path.clone(), damage.offset.unwrap(), damage.lsn);
    survey.damage.iter().map(place).collect()
}

#[test]
fn an_intact_log_is_counted_exactly() {
    let disk = killed(7);
    let records = records(&disk);
    let (found, seqs) = survey(&disk);
    let seq = |record: &OwnedRecord| record.header.seq.0;
    assert_eq!(seqs, records.iter().map(seq).collect::<Vec<_>>());
    assert_eq!((found.segments, found.spare_segments, found.torn_bytes), (3, 0, 0));
    assert_eq!((found.records, found.bytes), (seqs.len() as u64, 3 * 8192));
    assert_eq!((found.last, found.damage), (records.last().unwrap().header.lsn, vec![]));
}

#[test]
fn a_segment_that_waits_to_be_used_is_counted_apart() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    put(&store, 1);
    assert!(store.step().unwrap(), "more than half of the segment is used");
    let (found, _) = survey(&disk);
    assert_eq!((found.segments, found.spare_segments, found.bytes), (1, 1, 2 * 8192));
    assert_eq!(found.damage, []);
}

#[test]
fn the_torn_bytes_are_those_after_the_end() {
    let disk = killed(2);
    let last = records(&disk).pop().unwrap();
    let end = last.offset + last.header.record_len();
    let file = disk.open(&path(1), OpenMode::ReadWrite).unwrap();
    file.write_all_at(b"garbage", 8000).unwrap();
    let (found, _) = survey(&disk);
    assert_eq!((found.torn_bytes, found.damage), (8007 - end, vec![]));
}

#[test]
fn each_damaged_record_is_told_once_and_what_follows_it_is_read() {
    let whole = records(&killed(9));
    let last = whole.last().unwrap().header.seq.0;
    // The last group is claimed by nobody: there it is a torn tail.
    for record in whole.iter().filter(|record| record.header.seq.0 < last) {
        let disk = killed(9);
        let body = if record.header.length > 0 { 72 } else { 20 };
        disk.flip(path(record.segment.0), record.offset + body, 1).unwrap();
        let (found, seqs) = survey(&disk);
        let lost = record.header.seq.0;
        let lsn = if record.header.kind.takes_lsn() {
            record.header.lsn
        } else {
            record.header.lsn.next()
        };
        let expected = (shown(record.segment.0), record.offset, Some(lsn));
        assert_eq!(damage(&found), [expected], "{:?}", record.header);
        let others: Vec<_> = (1..=last).filter(|seq| *seq != lost).collect();
        assert_eq!(seqs, others, "{:?}", record.header);
        assert_eq!(found.records, last - 1);
    }
}

#[test]
fn a_missing_segment_is_told_whether_it_is_the_first_a_middle_one_or_the_last() {
    for number in [1, 2, 3] {
        let disk = killed(7);
        disk.remove(&path(number)).unwrap();
        let (found, seqs) = survey(&disk);
        let told: Vec<_> = damage(&found).into_iter().filter(|(_, at, _)| *at == 0).collect();
        assert_eq!(told, [(shown(number), 0, None)], "{found:?}");
        assert_eq!((found.segments, found.bytes), (2, 2 * 8192));
        assert!(seqs.len() > 5, "{seqs:?}");
    }
}

#[test]
fn a_header_that_cannot_be_read_is_told_once() {
    for number in [1, 2, 3] {
        let disk = killed(9);
        disk.flip(path(number), 30, 1).unwrap();
        let (found, _) = survey(&disk);
        let told: Vec<_> = damage(&found).into_iter().filter(|(_, at, _)| *at == 0).collect();
        assert_eq!(told, [(shown(number), 0, None)], "{found:?}");
    }
}
