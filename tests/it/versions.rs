//! Files of another version, or with features that this build lacks: refused as unsupported, never
//! as damage, whatever reads them, and nothing is changed (`docs/format/wal.md`, "Who reads what").

use std::path::Path;

use jidoka::archive::{RestoreRequest, Target, backup, restore};
use jidoka::base::checksum::{crc32c, hash64};
use jidoka::base::{Error, ErrorKind, Lsn, Result, SegmentNumber, Term};
use jidoka::ops::{salvage, verify};
use jidoka::store::Store;
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::vfs::{OpenMode, Vfs};
use jidoka::wal::LogReader;
use jidoka::wal::identity::Identity;
use jidoka::wal::reader::Limit;
use jidoka::wal::salvage::plan::Plan;

use crate::model::{STORE, open};
use crate::salvage::{files, put, segment, whole, write};

const COPY: &str = "/copy";

/// Writes `value` to a field of an intact file and makes its checksum right again.
fn change(disk: &MemoryVfs, path: &Path, field: usize, value: u8, checksum: usize) {
    let mut bytes = disk.read_file(path).unwrap();
    bytes[field] = value;
    let right = crc32c(&bytes[..checksum]).to_le_bytes();
    bytes[checksum..checksum + 4].copy_from_slice(&right);
    write(disk, path, 0, &bytes);
}

fn at(path: &str) -> &Path {
    Path::new(path)
}

fn machine(disk: &MemoryVfs) -> jidoka::vfs::Runtime {
    runtime(disk, 77)
}

/// How each way to write to the store answers.
fn writers(disk: &MemoryVfs) -> Vec<(&'static str, Result<()>)> {
    vec![
        ("open", open(disk, 9).map(drop)),
        ("salvage", salvage(at(STORE), &machine(disk), true).map(drop)),
        // It opens the store, so that what it copies is proven.
        ("backup", backup(at(STORE), at("/copies"), &machine(disk)).map(drop)),
    ]
}

/// How each way to read it answers.
fn readers(disk: &MemoryVfs) -> Vec<(&'static str, Result<()>)> {
    let read_only = Store::builder(STORE).runtime(machine(disk)).open_read_only();
    let read_only = read_only.and_then(|store| store.damage().cloned().map_or(Ok(()), Err));
    let verified = verify(at(STORE), &machine(disk), false);
    let verified = verified.map(|report| assert!(report.is_ok(), "{report:?}"));
    let follow = || {
        let mut reader = LogReader::open(at(STORE), &machine(disk))?;
        while reader.next(Limit::Everything)?.is_some() {}
        reader.check_end()
    };
    vec![("read-only", read_only), ("verify", verified), ("follow", follow())]
}

#[track_caller]
fn all_refused(answers: Vec<(&'static str, Result<()>)>, place: (&Path, u64), name: &str) {
    for (who, answer) in answers {
        let error: Error = answer.expect_err(&format!("{name}: {who}"));
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {who}: {error}");
        let told = error.place();
        let path = told.path.as_deref().unwrap();
        assert_eq!((path, told.offset), (place.0, Some(place.1)), "{name}: {who}: {error}");
    }
}

fn all_done(answers: Vec<(&'static str, Result<()>)>, name: &str) {
    answers.into_iter().for_each(|(who, answer)| {
        answer.unwrap_or_else(|error| panic!("{name}: {who}: {error}"));
    });
}

/// A file's sealed beginning, as its page says, with zeroes between.
fn sealed(magic: &[u8; 8], fields: &[(usize, &[u8])], len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..8].copy_from_slice(magic);
    bytes[8] = 1;
    fields.iter().for_each(|(at, field)| bytes[*at..at + field.len()].copy_from_slice(field));
    let checksum = crc32c(&bytes[..len - 4]).to_le_bytes();
    bytes[len - 4..].copy_from_slice(&checksum);
    bytes
}

/// The store's files that say a version, where their checksum is, and what puts one there.
fn store_files(disk: &MemoryVfs) -> Vec<(&'static str, usize, Option<Vec<u8>>)> {
    let identity = disk.read_file("/store/IDENTITY").unwrap();
    let store_id = Identity::decode(&identity).unwrap().store_id;
    let plan = Plan {
        store_id,
        quarantine: 1,
        segment: SegmentNumber(1),
        keep_bytes: 4200,
        keeps_behind: false,
        term: Term(2),
        kept: Lsn(1),
        lost: Lsn(9),
        lost_commits: 8,
        lost_bytes: 99,
    };
    let empty = hash64(b"").to_le_bytes();
    let tail = sealed(b"JIDOTAIL", &[(16, &store_id.0), (32, &empty)], 48);
    let first = sealed(b"JIDOFRST", &[(16, &store_id.0), (32, &[2]), (40, &[5])], 104);
    vec![
        ("IDENTITY", identity.len() - 4, None),
        ("wal/0000000000000001.wal", 508, None),
        ("wal/0000000000000002.wal", 508, None),
        ("wal/0000000000000003.wal", 508, None),
        ("wal/TAIL", 44, Some(tail)),
        ("wal/FIRST", 100, Some(first)),
        ("wal/SALVAGE", 104, Some(plan.encode())),
    ]
}

#[test]
fn a_store_with_a_file_of_another_version_is_refused_by_whoever_looks_and_stays_as_it_is() {
    for version in [0, 2] {
        for (file, checksum, made) in store_files(&whole(true)) {
            let disk = whole(true);
            let path = at(STORE).join(file);
            if let Some(bytes) = made {
                write(&disk, &path, 0, &bytes);
            }
            change(&disk, &path, 8, version, checksum);
            let (before, name) = (files(&disk), format!("{file} of version {version}"));
            all_refused(writers(&disk), (at(file), 8), &name);
            all_refused(readers(&disk), (at(file), 8), &name);
            let after = files(&disk).into_iter().filter(|(path, _)| !path.starts_with("/copies"));
            assert!(after.eq(before), "{name}");
        }
    }
}

#[test]
fn a_small_file_of_a_newer_version_may_be_longer() {
    for (file, checksum, made) in store_files(&whole(true)) {
        let (disk, path) = (whole(true), at(STORE).join(file));
        let Some(bytes) = made else { continue };
        write(&disk, &path, 0, &[bytes, vec![7; 100]].concat());
        change(&disk, &path, 8, 2, checksum);
        all_refused(writers(&disk), (at(file), 8), file);
    }
}

#[test]
fn a_copy_with_a_file_of_another_version_is_neither_restored_nor_continued() {
    let range = "log/00000000000000000001-00000000000000000010.range";
    let cases = [("COPY", 8, 0, 60), ("COPY", 8, 2, 60), ("COPY", 12, 1, 60)];
    let ranges = [(range, 8, 0, 72), (range, 8, 2, 72), (range, 12, 1, 72)];
    let ends = [("END", 8, 0, 52), ("END", 8, 2, 52)];
    for (file, field, value, checksum) in cases.into_iter().chain(ranges).chain(ends) {
        let disk = whole(true);
        backup(at(STORE), at(COPY), &machine(&disk)).unwrap();
        put(&open(&disk, 5).unwrap(), 40);
        change(&disk, &at(COPY).join(file), field, value, checksum);
        let (from, to) = (at(COPY).to_owned(), at("/new").to_owned());
        let target = Target::Latest;
        let request = RestoreRequest { from, to, target, exclusive: false, dry_run: false };
        let answers = vec![
            ("restore", restore(&request, &machine(&disk)).map(drop)),
            ("backup", backup(at(STORE), at(COPY), &machine(&disk)).map(drop)),
        ];
        all_refused(answers, (at(file), 8), &format!("{file}: byte {field} is {value}"));
        assert!(disk.list(at("/new")).is_err(), "{file}");
    }
}

#[test]
fn a_feature_is_ignored_or_read_or_refused_as_its_word_says() {
    for number in [1, 2, 3] {
        let path = segment(number);
        let place = path.strip_prefix(STORE).unwrap();
        for bit in [1, 0x80] {
            let with = |word| {
                let disk = whole(true);
                change(&disk, &path, word, bit, 508);
                disk
            };
            let disk = with(12);
            all_done(readers(&disk), "compatible");
            put(&open(&disk, 9).unwrap(), 40);
            let disk = with(16);
            all_done(readers(&disk), "read_compatible");
            all_refused(writers(&disk), (place, 16), "read_compatible");
            let disk = with(20);
            all_refused(writers(&disk), (place, 8), "incompatible");
            all_refused(readers(&disk), (place, 8), "incompatible");
        }
    }
    let disk = whole(true);
    let end = disk.read_file("/store/IDENTITY").unwrap().len() - 4;
    change(&disk, at("/store/IDENTITY"), 12, 1, end);
    all_refused(writers(&disk), (at("IDENTITY"), 8), "identity");
    all_refused(readers(&disk), (at("IDENTITY"), 8), "identity");
}

/// A later segment that cannot be read may hold the claim that makes a hole damage.
#[test]
fn a_hole_before_a_segment_of_a_newer_version_is_not_cut_as_torn() {
    let disk = whole(false);
    let zeroes = vec![0; 8192 - 5600];
    disk.open(&segment(1), OpenMode::ReadWrite).unwrap().write_at(&zeroes, 5600).unwrap();
    assert_eq!(open(&disk, 9).unwrap_err().kind(), ErrorKind::Corrupt);
    change(&disk, &segment(2), 8, 2, 508);
    disk.remove(&segment(3)).unwrap();
    let before = files(&disk);
    let place = (at("wal/0000000000000002.wal"), 8);
    all_refused(writers(&disk), place, "a hole");
    all_refused(readers(&disk), place, "a hole");
    let after = files(&disk).into_iter().filter(|(path, _)| !path.starts_with("/copies"));
    assert!(after.eq(before));
}
