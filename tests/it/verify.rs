//! Verification finds what opening refuses, and more than the first of it.

use std::path::{Path, PathBuf};

use jidoka::base::ErrorKind;
use jidoka::base::checksum::{crc32c, crc32c_seeded};
use jidoka::doc::{Condition, Documents};
use jidoka::ops::{VerifyReport, verify};
use jidoka::store::Store;
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::LogReader;
use jidoka::wal::reader::Limit;
use serde_json::json;

fn dump(docs: &Documents) -> Vec<u8> {
    let mut all = Vec::new();
    docs.dump(&mut |line| {
        all.extend_from_slice(line);
        Ok(())
    })
    .unwrap();
    all
}

fn open(disk: &MemoryVfs) -> jidoka::base::Result<Documents> {
    let builder = Store::builder("/store").segment_bytes(8192).runtime(runtime(disk, 9));
    builder.open().map(Documents::over)
}

/// A cleanly closed store of three small segments, and its content.
fn small_store() -> (MemoryVfs, Vec<u8>) {
    let disk = MemoryVfs::new();
    let docs = open(&disk).unwrap();
    for number in 0..24 {
        let doc = json!({"number": number, "text": "Rumpelstilzchen ".repeat(8)});
        docs.put("tales", &format!("{}", number % 9), &doc, Condition::None).unwrap();
    }
    docs.delete("tales", "3", Condition::None).unwrap();
    let content = dump(&docs);
    docs.store().close().unwrap();
    (disk, content)
}

fn report(disk: &MemoryVfs) -> VerifyReport {
    verify(Path::new("/store"), &runtime(disk, 1), false).unwrap()
}

#[test]
fn an_intact_store_has_no_damage_and_everything_is_counted() {
    let (disk, _) = small_store();
    let report = report(&disk);
    assert!(report.is_ok(), "{report:?}");
    let count = |name| report.checked.iter().find(|(what, _)| *what == name).unwrap().1;
    assert_eq!((count("documents"), count("revisions"), count("torn_bytes")), (8, 25, 0));
    assert!(count("segments") >= 2);
}

#[test]
fn two_verify_at_once_beside_a_reader_and_no_writer_comes_between() {
    let (disk, _) = small_store();
    let files = disk.files();
    let reading = disk.lock_shared(Path::new("/store/LOCK")).unwrap();
    // The other verification, and a read-only open, are under way for as long as this is held.
    assert!(report(&disk).is_ok());
    let read_only = Store::builder("/store").runtime(runtime(&disk, 2)).open_read_only();
    assert_eq!(read_only.unwrap().damage().map(jidoka::base::Error::kind), None);
    assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::Locked);
    drop(reading);
    assert_eq!(disk.files(), files, "nothing was written");
    let docs = open(&disk).unwrap();
    let refused = verify(Path::new("/store"), &runtime(&disk, 3), false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Locked);
    docs.store().close().unwrap();
    assert!(report(&disk).is_ok());
}

#[test]
fn every_flipped_byte_is_reported_or_harmless() {
    let (disk, content) = small_store();
    let files: Vec<(PathBuf, u64)> =
        disk.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect();
    let (mut reported, mut harmless) = (0, 0);
    for (path, size) in files {
        for offset in 0..size {
            let damaged = disk.kill();
            damaged.flip(&path, offset, 0x11).unwrap();
            let found = report(&damaged);
            match open(&damaged) {
                Ok(docs) => {
                    assert!(dump(&docs) == content, "{} byte {offset}", path.display());
                    harmless += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
                    assert!(!found.is_ok(), "{} byte {offset}: {error:?}", path.display());
                    reported += 1;
                }
            }
        }
    }
    assert!(reported > 8192 && harmless > 100, "{reported} reported, {harmless} harmless");
}

#[test]
fn every_damage_is_listed_not_only_the_first() {
    let (disk, _) = small_store();
    for (segment, offset) in [(1, 5000), (1, 6500), (2, 5000)] {
        disk.flip(format!("/store/wal/{segment:016}.wal"), offset, 1).unwrap();
    }
    let report = report(&disk);
    let places: Vec<_> = report.damage.iter().map(|d| (&d.path, d.offset, d.lsn)).collect();
    assert_eq!(places.len(), 3, "{:#?}", report.damage);
    for (path, offset, lsn) in places {
        assert!(path.starts_with("wal") && offset.is_some() && lsn.is_some());
    }
}

#[test]
fn a_file_of_another_length_is_reported_where_it_is_refused() {
    let (disk, content) = small_store();
    let files = disk.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK"));
    for (path, size) in files.collect::<Vec<_>>() {
        for len in [0, size / 2, size - 8, size + 8, size + (2 << 20)] {
            let damaged = disk.kill();
            let file = damaged.open(&path, OpenMode::ReadWrite).unwrap();
            file.set_len(len).unwrap();
            let (found, name) = (report(&damaged), format!("{} of {len} bytes", path.display()));
            match open(&damaged) {
                Ok(docs) => assert!(dump(&docs) == content && len < size, "{name}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error:?}");
                    let place = error.place();
                    assert!(place.path.is_some() && place.offset.is_some(), "{name}: {error:?}");
                    assert!(!found.is_ok(), "{name}: {error:?}");
                }
            }
        }
    }
}

#[test]
fn a_store_without_its_identity_and_a_directory_without_a_store_are_told_apart() {
    let (disk, _) = small_store();
    disk.remove(Path::new("/store/IDENTITY")).unwrap();
    assert_eq!(report(&disk).damage.len(), 1);
    let missing = verify(Path::new("/elsewhere"), &runtime(&disk, 1), false).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn a_torn_tail_is_counted_and_is_not_damage() {
    let (disk, _) = small_store();
    let docs = open(&disk).unwrap();
    docs.put("tales", "last", &json!("the end"), Condition::None).unwrap();
    let killed = disk.kill();
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "wal");
    let path = killed.files().into_iter().map(|(path, _)| path).rfind(is_segment).unwrap();
    let bytes = killed.read_file(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    killed.flip(&path, end as u64, 0xff).unwrap();
    let report = report(&killed);
    assert!(report.is_ok(), "{report:?}");
    assert!(report.checked.iter().any(|(what, count)| *what == "torn_bytes" && *count > 0));
}

#[test]
fn an_intact_record_of_a_newer_version_is_reported_and_not_taken_for_torn() {
    let (disk, _) = small_store();
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "wal");
    let path = disk.files().into_iter().map(|(path, _)| path).rfind(is_segment).unwrap();
    let bytes = disk.read_file(&path).unwrap();
    let mut reader = LogReader::open(Path::new("/store"), &runtime(&disk, 5)).unwrap();
    let mut end = 0;
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        end = record.offset + record.header.record_len();
    }
    let mut record = [0; 72];
    record[36] = 0xee;
    let seed = crc32c_seeded(crc32c(&bytes[56..64]), &end.to_le_bytes());
    let checksum = crc32c_seeded(seed, &record[4..]).to_le_bytes();
    record[..4].copy_from_slice(&checksum);
    disk.open(&path, OpenMode::ReadWrite).unwrap().write_all_at(&record, end).unwrap();
    let found = report(&disk);
    assert_eq!(found.damage.len(), 1, "{found:?}");
    assert_eq!(found.damage[0].offset, Some(end));
    assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::Unsupported);
}
