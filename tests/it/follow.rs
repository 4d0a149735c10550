//! What a reader of the log beside its writer takes, and what it refuses.

use std::io;
use std::path::{Path, PathBuf};

use jidoka::base::checksum::{crc32c, crc32c_seeded};
use jidoka::base::{Error, ErrorKind, SegmentNumber, StoreId};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, Fault, FaultKind, MemoryVfs, OperationKind, Selector};
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::format::Salt;
use jidoka::wal::header::SegmentHeader;
use jidoka::wal::reader::Limit;
use jidoka::wal::{LogReader, survey_log};

use crate::model::{STORE, open};

fn put(store: &Store, number: u8, len: usize) {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("pots").unwrap(), &[number], &vec![number; len]);
    store.commit(batch).unwrap();
}

/// A killed store of so many commits, three to a segment.
fn killed(commits: u8) -> MemoryVfs {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..commits).for_each(|number| put(&store, number, 900));
    disk.crash_with(CrashMode::Everything)
}

fn shown(number: u64) -> PathBuf {
    format!("wal/{number:016}.wal").into()
}

fn reader(disk: &MemoryVfs) -> LogReader {
    let runtime = jidoka::vfs::memory::runtime(disk, 7);
    LogReader::open(Path::new(STORE), &runtime).unwrap()
}

/// Reads to the end; gives the number of records.
fn read_all(reader: &mut LogReader) -> Result<usize, Error> {
    let mut records = 0;
    while reader.next(Limit::Everything)?.is_some() {
        records += 1;
    }
    Ok(records)
}

fn overwrite(disk: &MemoryVfs, number: u64, offset: u64, bytes: &[u8]) {
    let path = Path::new(STORE).join(shown(number));
    disk.open(&path, OpenMode::ReadWrite).unwrap().write_all_at(bytes, offset).unwrap();
}

fn plan(disk: &MemoryVfs, kind: OperationKind, path: &str, error: io::ErrorKind) {
    let at = Selector { kind: Some(kind), path_contains: Some(path.to_owned()), nth: 0 };
    disk.plan(Fault { at, what: FaultKind::Error(error), sticky: false });
}

#[test]
fn an_intact_header_of_another_segment_is_refused_by_every_reader() {
    let whole = killed(9);
    for number in [1, 2] {
        let bytes = whole.read_file(Path::new(STORE).join(shown(number))).unwrap();
        let header = SegmentHeader::decode(&bytes[..4096]).unwrap();
        let others = [
            SegmentHeader { store_id: StoreId([9; 16]), ..header },
            SegmentHeader { segment: SegmentNumber(number + 5), ..header },
            SegmentHeader { segment_bytes: 16384, ..header },
            SegmentHeader { salt: Salt(header.salt.0 ^ 1), ..header },
        ];
        // Nobody names the first segment's salt: with another one it is a log without records.
        let known = if number == 1 { 3 } else { 4 };
        for other in others.into_iter().take(known) {
            let disk = whole.kill();
            overwrite(&disk, number, 0, &other.encode());
            let refusals = [read_all(&mut reader(&disk)).unwrap_err(), open(&disk, 9).unwrap_err()];
            for error in refusals {
                let place = (error.kind(), error.place().path.clone(), error.place().offset);
                let expected = (ErrorKind::Corrupt, Some(shown(number)), Some(0));
                assert_eq!(place, expected, "{other:?}: {error:?}");
            }
            let runtime = jidoka::vfs::memory::runtime(&disk, 7);
            let survey = survey_log(Path::new(STORE), &runtime, &mut |_| Ok(())).unwrap();
            let damaged = survey.damage.iter().any(|damage| damage.path == shown(number));
            assert!(damaged, "{other:?}: {survey:?}");
        }
    }
}

#[test]
fn a_segment_that_cannot_be_read_is_not_a_segment_that_is_missing() {
    let disk = killed(9);
    plan(&disk, OperationKind::Open, &shown(2).to_string_lossy(), io::ErrorKind::Other);
    assert_eq!(read_all(&mut reader(&disk)).unwrap_err().kind(), ErrorKind::Io);
    disk.remove(&Path::new(STORE).join(shown(2))).unwrap();
    let error = read_all(&mut reader(&disk)).unwrap_err();
    assert_eq!((error.kind(), error.place().path.clone()), (ErrorKind::Corrupt, Some(shown(2))));
}

#[test]
fn a_hole_that_only_the_next_segment_proves_is_damage() {
    let disk = killed(5);
    let mut whole = reader(&disk);
    let (mut end, mut claims) = (0, Vec::new());
    while let Some(record) = whole.next(Limit::Everything).unwrap() {
        end = if record.segment.0 == 1 { record.offset } else { end };
        claims.push(record.header.claim);
    }
    assert_eq!(Some(whole.claim()), claims.iter().max().copied());
    assert!(whole.claim().0 > 3);
    whole.check_end().unwrap();
    disk.flip(Path::new(STORE).join(shown(1)), end + 80, 1).unwrap();
    let mut reader = reader(&disk);
    read_all(&mut reader).unwrap();
    assert_eq!(reader.end_of_log(), Some((SegmentNumber(1), end)));
    let error = reader.check_end().unwrap_err();
    let place = (error.kind(), error.place().path.clone(), error.place().offset);
    assert_eq!(place, (ErrorKind::Corrupt, Some(shown(1)), Some(end)), "{error:?}");
}

#[test]
fn a_segment_that_goes_while_the_end_is_checked_proves_nothing() {
    let disk = killed(4);
    let mut reader = reader(&disk);
    read_all(&mut reader).unwrap();
    plan(&disk, OperationKind::Open, ".wal", io::ErrorKind::NotFound);
    reader.check_end().unwrap();
    assert_eq!(disk.faults_fired(), 1);
    plan(&disk, OperationKind::Open, ".wal", io::ErrorKind::Other);
    assert_eq!(reader.check_end().unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn a_record_longer_than_what_is_read_at_once_is_read_whole() {
    let disk = MemoryVfs::new();
    let runtime = jidoka::vfs::memory::runtime(&disk, 1);
    let builder = Store::builder(STORE).segment_bytes(1 << 20).runtime(runtime);
    let store = builder.open().unwrap();
    put(&store, 1, 600 << 10);
    put(&store, 2, 10);
    let mut reader = reader(&disk);
    let mut lengths = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        lengths.push(record.payload.len());
    }
    assert!(lengths.iter().any(|len| *len > 600 << 10), "{lengths:?}");
    assert!(*lengths.last().unwrap() < 1000, "{lengths:?}");
}

#[test]
fn a_log_that_is_cut_within_a_record_ends_there_for_a_follower() {
    let disk = killed(2);
    let all = read_all(&mut reader(&disk)).unwrap();
    let mut whole = reader(&disk);
    read_all(&mut whole).unwrap();
    let end = whole.end_of_log().unwrap().1;
    let path = Path::new(STORE).join(shown(1));
    for cut in [end - 1, end - 500, end - 1000] {
        disk.open(&path, OpenMode::ReadWrite).unwrap().set_len(cut).unwrap();
        assert_eq!(read_all(&mut reader(&disk)).unwrap(), all - 1, "{cut} of {end}");
    }
}

#[test]
fn an_intact_record_of_a_newer_version_is_told_to_followers() {
    let disk = killed(2);
    let mut whole = reader(&disk);
    read_all(&mut whole).unwrap();
    let end = whole.end_of_log().unwrap().1;
    let bytes = disk.read_file(Path::new(STORE).join(shown(1))).unwrap();
    let mut record = [0; 72];
    record[36] = 0xee;
    let seed = crc32c_seeded(crc32c(&bytes[56..64]), &end.to_le_bytes());
    let checksum = crc32c_seeded(seed, &record[4..]).to_le_bytes();
    record[..4].copy_from_slice(&checksum);
    overwrite(&disk, 1, end, &record);
    let error = read_all(&mut reader(&disk)).unwrap_err();
    assert_eq!((error.kind(), error.place().offset), (ErrorKind::Unsupported, Some(end)));
}
