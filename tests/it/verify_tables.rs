//! Verification of tables, the manifest, and the log against both: lies under right checksums are
//! told, and so is every flipped byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jidoka::base::checksum::hash64;
use jidoka::base::{ErrorKind, KeyspaceId, Lsn, SegmentNumber, Seq, Timestamp};
use jidoka::doc::{Condition, Documents, Listing, Operation, WriteOptions};
use jidoka::manifest::{Change, Checkpoint, ListedTable, ManifestRead};
use jidoka::ops::{VerifyReport, salvage, verify};
use jidoka::store::{Batch, Keyspace, LogKept, REQUESTS, Store, StoreBuilder};
use jidoka::table::block::{BlockBuilder, VersionRef};
use jidoka::table::filter::key_hash;
use jidoka::table::format::{BLOCK_HEADER, BlockKind, BlockPlace, FOOTER, Footer, put_block};
use jidoka::table::{Cache, Cursor, Table, TableFacts, TableWriter, file_name};
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::LogReader;
use jidoka::wal::identity::Identity;
use jidoka::wal::reader::Limit;
use serde_json::json;

const STORE: &str = "/store";
/// The number of the keyspace that the documents are in, and of the one of keys.
const TALES: KeyspaceId = KeyspaceId(1);
const PARTS: KeyspaceId = KeyspaceId(2);

fn builder(disk: &MemoryVfs, kept: LogKept) -> StoreBuilder {
    let builder = Store::builder(STORE).segment_bytes(8 << 10).memory_limit(0);
    builder.log_kept(kept).runtime(runtime(disk, 9))
}

fn open(disk: &MemoryVfs) -> jidoka::base::Result<Documents> {
    builder(disk, LogKept::All).open().map(Documents::over)
}

fn put(docs: &Documents, number: u64) {
    let doc = json!({"number": number, "text": "Rumpelstilzchen ".repeat(8)});
    docs.put("tales", &format!("{}", number % 9), &doc, Condition::None).unwrap();
}

/// A cleanly closed store: a table of the lowest level, one of level 0, and commits behind them.
fn stored(kept: LogKept) -> MemoryVfs {
    let disk = MemoryVfs::new();
    let docs = Documents::over(builder(&disk, kept).open().unwrap());
    (0..4).for_each(|number| put(&docs, number));
    docs.store().checkpoint().unwrap();
    (4..24).for_each(|number| put(&docs, number));
    let mut batch = Batch::new();
    for number in 0..40_u8 {
        batch.put(&Keyspace::new("parts").unwrap(), &[number], &[number; 50]);
    }
    docs.store().commit(batch).unwrap();
    docs.store().compact().unwrap();
    docs.delete("tales", "3", Condition::None).unwrap();
    let request = Some("r-1".to_owned());
    let doc = json!({"number": 4});
    let (collection, id) = ("tales".to_owned(), Some("4".to_owned()));
    let operation = Operation::Put { collection, id, doc, condition: Condition::None };
    docs.apply(&[operation], &WriteOptions { request, ..WriteOptions::default() }).unwrap();
    docs.store().checkpoint().unwrap();
    (40..44).for_each(|number| put(&docs, number));
    docs.store().close().unwrap();
    disk
}

fn report(disk: &MemoryVfs) -> VerifyReport {
    verify(Path::new(STORE), &runtime(disk, 1), false).unwrap()
}

fn count(report: &VerifyReport, name: &str) -> u64 {
    report.checked.iter().find(|(what, _)| *what == name).unwrap().1
}

#[track_caller]
fn told(disk: &MemoryVfs, path: &str, what: &str) {
    let report = report(disk);
    let is_it = report.damage.iter().any(|damage| {
        damage.path == Path::new(path) && damage.what.contains(what) && {
            damage.offset.is_some() || damage.lsn.is_some()
        }
    });
    assert!(is_it, "{path}: {what} in {:#?}", report.damage);
}

fn read(disk: &MemoryVfs) -> ManifestRead {
    let identity = disk.read_file("/store/IDENTITY").unwrap();
    let store_id = Identity::decode(&identity).unwrap().store_id;
    ManifestRead::open(Path::new(STORE), &runtime(disk, 5), store_id).unwrap()
}

/// The tables of the lowest level and of level 0.
fn listed(disk: &MemoryVfs) -> (Arc<ListedTable>, Arc<ListedTable>) {
    let read = read(disk);
    let tables: Vec<_> = read.state().tables().cloned().collect();
    let [low, high] = tables.try_into().unwrap();
    assert!(low.level > 0 && high.level == 0, "{low:?} {high:?}");
    (low, high)
}

fn path_of(table: u64) -> PathBuf {
    Path::new(STORE).join("tables").join(file_name(table))
}

fn edit(disk: &MemoryVfs, changes: &[Change]) {
    read(disk).into_writable(true, None).unwrap().append(changes).unwrap();
}

/// Has the manifest list another table in place of one.
fn relist(disk: &MemoryVfs, old: &ListedTable, new: ListedTable) {
    edit(disk, &[Change::RemoveTable(old.number), Change::AddTable(Arc::new(new))]);
}

/// A change of what the manifest says of a table.
type Lie = fn(&mut ListedTable);

/// A version of a key, as a table holds it.
type Held = (KeyspaceId, Vec<u8>, Lsn, Timestamp, Option<Vec<u8>>);

/// Writes another table with other versions in place of one, and lists it as it is.
fn rewrite(disk: &MemoryVfs, old: &ListedTable, change: impl FnOnce(&mut Vec<Held>)) {
    let dir = Path::new(STORE).join("tables");
    let place = (old.number, old.file_bytes);
    let table = Table::open(disk, &dir, place, Arc::new(Cache::new(0))).unwrap();
    let mut cursor = Cursor::new(Arc::new(table)).unwrap();
    let mut versions = Vec::new();
    while cursor.advance().unwrap() {
        let ((keyspace, key), version) = cursor.version().unwrap();
        let VersionRef { lsn, time, value } = version;
        versions.push((keyspace, key.to_vec(), lsn, time, value.map(<[u8]>::to_vec)));
    }
    change(&mut versions);
    versions.sort_by(|a, b| (a.0, &a.1, b.2).cmp(&(b.0, &b.1, a.2)));
    let (number, store_id) =
        (read(disk).state().next_table(), footer_of(disk, old.number).store_id);
    let mut writer = TableWriter::create(disk, &dir, store_id, number).unwrap();
    for (keyspace, key, lsn, time, value) in &versions {
        let version = VersionRef { lsn: *lsn, time: *time, value: value.as_deref() };
        writer.add((*keyspace, key), &version).unwrap();
    }
    let TableFacts { bytes, hash, keys, contents, .. } = writer.finish().unwrap();
    let key = |(keyspace, bytes): (KeyspaceId, Vec<u8>)| jidoka::manifest::Key { keyspace, bytes };
    let new = ListedTable {
        number,
        level: old.level,
        file_bytes: bytes,
        file_hash: hash,
        entries: contents.entries,
        tombstones: contents.deletions,
        data_bytes: contents.key_bytes + contents.value_bytes,
        lsns: contents.lsns,
        times: contents.times,
        smallest: key(keys.0),
        largest: key(keys.1),
    };
    relist(disk, old, new);
    disk.remove(&path_of(old.number)).unwrap();
}

fn footer_of(disk: &MemoryVfs, table: u64) -> Footer {
    let bytes = disk.read_file(path_of(table)).unwrap();
    Footer::decode(&bytes[bytes.len() - FOOTER..], bytes.len() as u64).unwrap()
}

/// Changes the bytes of a table, and lists it with their hash.
fn forge(disk: &MemoryVfs, old: &ListedTable, change: impl FnOnce(&mut Vec<u8>, Footer)) {
    let mut bytes = disk.read_file(path_of(old.number)).unwrap();
    change(&mut bytes, footer_of(disk, old.number));
    let file = disk.open(&path_of(old.number), OpenMode::ReadWrite).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    relist(disk, old, ListedTable { file_hash: hash64(&bytes), ..old.clone() });
}

/// Puts another payload of the same length into a block, with the right hash.
fn reblock(bytes: &mut [u8], (table, offset): (u64, u64), kind: BlockKind, payload: &[u8]) {
    let mut block = Vec::new();
    put_block(&mut block, BlockPlace { table, offset }, kind, payload);
    let offset = offset as usize;
    bytes[offset..offset + block.len()].copy_from_slice(&block);
}

fn shown(table: u64) -> String {
    format!("tables/{}", file_name(table))
}

#[test]
fn a_whole_store_with_tables_is_clean_and_everything_is_counted() {
    for kept in [LogKept::All, LogKept::Needed] {
        let disk = stored(kept);
        let report = report(&disk);
        assert_eq!(report.damage, [], "{kept:?}");
        assert!(report.orphans.is_empty(), "{report:?}");
        let counts = ["tables", "documents", "keyspaces", "answers", "orphans"];
        assert_eq!(counts.map(|name| count(&report, name)), [2, 8, 2, 1, 0]);
        for name in ["blocks", "versions", "manifest_records", "manifest_bytes", "table_bytes"] {
            assert!(count(&report, name) > 1, "{name}: {report:?}");
        }
        let quick = verify(Path::new(STORE), &runtime(&disk, 1), true).unwrap();
        assert_eq!(quick, report);
    }
}

#[test]
fn what_the_manifest_says_of_a_table_is_counted() {
    let disk = stored(LogKept::All);
    let (table, _) = listed(&disk);
    let lies: [(&str, Lie); 8] = [
        ("another number of versions", |table| table.entries += 1),
        ("another number of deletions", |table| table.tombstones += 1),
        ("other bytes of keys", |table| table.data_bytes -= 1),
        ("other commits", |table| table.lsns.0 = Lsn(1)),
        ("other times", |table| table.times.1.0 += 1),
        ("another smallest key", |table| table.smallest.bytes.clear()),
        ("another largest key", |table| table.largest.bytes.push(1)),
        ("another hash", |table| table.file_hash ^= 1),
    ];
    for (what, lie) in lies {
        let disk = disk.kill();
        let mut new = (*table).clone();
        lie(&mut new);
        relist(&disk, &table, new);
        told(&disk, &shown(table.number), what);
        assert_eq!(report(&disk).damage.len(), 1, "{what}");
    }
}

#[test]
fn lies_in_a_table_under_right_hashes_are_told() {
    let disk = stored(LogKept::All);
    let (table, _) = listed(&disk);
    let number = table.number;
    let lied = |what: &str, change: &dyn Fn(&mut Vec<u8>, Footer)| {
        let disk = disk.kill();
        forge(&disk, &table, change);
        told(&disk, &shown(number), what);
    };
    lied("the filter of a table denies", &|bytes, footer| {
        let zeroes = vec![0; footer.filter_length as usize];
        reblock(bytes, (number, footer.filter_offset), BlockKind::Filter, &zeroes);
    });
    lied("names another last key", &|bytes, footer| {
        let start = footer.index_offset as usize + BLOCK_HEADER;
        let mut index = bytes[start..start + footer.index_length as usize].to_vec();
        // The last byte is of the last key of the last block.
        *index.last_mut().unwrap() += 1;
        reblock(bytes, (number, footer.index_offset), BlockKind::Index, &index);
    });
    lied("the blocks of an index do not follow", &|bytes, footer| {
        let start = footer.index_offset as usize + BLOCK_HEADER;
        let mut index = bytes[start..start + footer.index_length as usize].to_vec();
        index[0] += 1;
        reblock(bytes, (number, footer.index_offset), BlockKind::Index, &index);
    });
    lied("the footer of a table counts", &|bytes, mut footer| {
        footer.contents.value_bytes += 1;
        let end = bytes.len();
        bytes[end - FOOTER..].copy_from_slice(&footer.encode());
    });
    lied("the tag of an entry", &|bytes, _| {
        let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let mut payload = bytes[BLOCK_HEADER..BLOCK_HEADER + length].to_vec();
        // Before the tags of its two entries are their offsets and three numbers.
        payload[length - 12 - 8 - 1] ^= 1;
        reblock(bytes, (number, 0), BlockKind::Data, &payload);
    });
    lied("the versions of a table are not in order", &|bytes, _| {
        let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        // The directory's two entries, the other way round.
        let mut builder = BlockBuilder::default();
        let hash = |key: &[u8]| key_hash(KeyspaceId(0), key);
        let version = |lsn: u64, value: &'static [u8]| VersionRef {
            lsn: Lsn(lsn),
            time: Timestamp(lsn),
            value: Some(value),
        };
        builder.add(b"kparts", hash(b"kparts"), &version(3, &[2, 0, 0, 0]));
        builder.add(b"ctales", hash(b"ctales"), &version(2, &[1, 0, 0, 0]));
        let payload = builder.finish(KeyspaceId(0), |payload, _| payload.to_vec());
        assert_eq!(payload.len(), length);
        reblock(bytes, (number, 0), BlockKind::Data, &payload);
    });
}

#[test]
fn what_is_in_tables_is_checked_as_what_is_in_the_log() {
    let disk = stored(LogKept::All);
    let (low, high) = listed(&disk);
    let next = read(&disk).state().next_table();
    let lied = |what: &str, table: &ListedTable, path: &str, lie: &dyn Fn(&mut Vec<Held>)| {
        let disk = disk.kill();
        rewrite(&disk, table, lie);
        told(&disk, path, what);
    };
    let is = |id: &'static [u8]| move |held: &&mut Held| held.0 == TALES && held.1 == id;
    let path = shown(next);
    lied("not what its hash says", &low, &path, &|held| {
        let tale = held.iter_mut().find(is(b"5")).unwrap();
        *tale.4.as_mut().unwrap().last_mut().unwrap() ^= 1;
    });
    lied("has no revision", &low, &path, &|held| {
        held.iter_mut().find(is(b"5")).unwrap().4 = Some(b"{}".to_vec());
    });
    lied("rules for ids", &low, &path, &|held| {
        held.iter_mut().find(is(b"5")).unwrap().1 = vec![0xff];
    });
    lied("has no name", &low, &path, &|held| {
        held.iter_mut().filter(|held| held.0 == PARTS).for_each(|held| held.0 = KeyspaceId(7));
    });
    lied("directory of keyspaces", &low, &path, &|held| held[0].4 = Some(b"seven".to_vec()));
    lied("is no answer", &high, &path, &|held| {
        held.iter_mut().find(|held| held.0 == REQUESTS).unwrap().4 = None;
    });
    lied("an older run of tables has a newer version", &low, &path, &|held| {
        let lsn = high.lsns.1;
        held.iter_mut().find(is(b"4")).unwrap().2 = lsn;
    });
    lied("\"5\" is in no table", &low, "wal", &|held| {
        held.retain(|held| held.0 != TALES || held.1 != b"5");
    });
    lied("\"9\" is in a table, and the log has none", &low, "wal", &|held| {
        held.iter_mut().find(is(b"5")).unwrap().1 = b"9".to_vec();
    });
    lied("\"3\" is in a table, and the log has none", &high, "wal", &|held| {
        held.retain(|held| held.1 != b"3");
    });
    lied("another revision in the tables", &low, "wal", &|held| {
        let other = held.iter_mut().find(is(b"6")).unwrap().4.clone();
        held.iter_mut().find(is(b"5")).unwrap().4 = other;
    });
    lied("other keyspaces", &low, "wal", &|held| {
        let [_, parts, ..] = held.as_mut_slice() else { panic!("no directory") };
        parts.1 = b"kpaths".to_vec();
    });
}

#[test]
fn a_log_that_begins_later_is_checked_on_top_of_the_tables() {
    let disk = stored(LogKept::Needed);
    let (low, _) = listed(&disk);
    assert!(!disk.files().iter().any(|(path, _)| path.ends_with("0000000000000001.wal")));
    let document = |held: &&mut Held| held.0 == TALES && held.1 == b"5";
    // Document 5 is put again behind the checkpoint, as the revision after the tables'.
    rewrite(&disk, &low, |held| {
        let tale = held.iter_mut().find(document).unwrap();
        tale.4.as_mut().unwrap()[1] += 1;
    });
    told(&disk, "wal", "has revision");
}

#[test]
fn the_log_and_the_manifest_must_be_of_one_history() {
    let disk = stored(LogKept::All);
    let checkpoint = *read(&disk).state().checkpoint();
    let moved = |what: &str, path: &str, lie: &dyn Fn(&mut Checkpoint)| {
        let disk = disk.kill();
        let mut other = checkpoint;
        lie(&mut other);
        edit(&disk, &[Change::Checkpoint(other)]);
        told(&disk, path, what);
    };
    moved("the log ends with commit", "wal", &|other| {
        (other.position.lsn, other.position.seq) = (Lsn(1000), Seq(5000));
    });
    moved("another record where the checkpoint is", "wal", &|other| {
        let position = &mut other.position;
        (position.lsn.0, position.seq.0) = (position.lsn.0 + 1, position.seq.0 + 1);
    });
    moved("another segment", "wal", &|other| other.segment = SegmentNumber(1));
    moved("another segment", "wal", &|other| other.segment.0 += 1);
    // The manifest of an earlier day.
    let disk = MemoryVfs::new();
    let docs = open(&disk).unwrap();
    put(&docs, 1);
    docs.store().checkpoint().unwrap();
    let current = disk.read_file("/store/CURRENT").unwrap();
    let path = Path::new(STORE).join(read(&disk).path().unwrap());
    let manifest = disk.read_file(&path).unwrap();
    put(&docs, 2);
    docs.store().checkpoint().unwrap();
    docs.store().close().unwrap();
    assert_eq!(report(&disk).damage, []);
    disk.open(&path, OpenMode::ReadWrite).unwrap().write_all_at(&manifest, 0).unwrap();
    assert_eq!(disk.read_file("/store/CURRENT").unwrap(), current);
    told(&disk, path.strip_prefix(STORE).unwrap().to_str().unwrap(), "edits are lost");
    disk.remove(Path::new("/store/CURRENT")).unwrap();
    told(&disk, "CURRENT", "the log names edit");
}

#[test]
fn files_that_nothing_names_are_listed_and_are_no_damage() {
    let disk = stored(LogKept::All);
    let mut made = Vec::new();
    for name in [
        "CURRENT.tmp",
        "manifest/0000000000000099.manifest",
        "tables/0000000000000009.orphan",
        "tables/0000000000000099.table",
    ] {
        let file = disk.open(&Path::new(STORE).join(name), OpenMode::CreateNew).unwrap();
        file.write_all_at(b"left", 0).unwrap();
        made.push(PathBuf::from(name));
    }
    let report = report(&disk);
    assert_eq!((report.is_ok(), &report.orphans), (true, &made));
    assert_eq!(count(&report, "orphans"), 4);
}

#[test]
fn a_table_that_is_gone_or_of_another_length_is_told() {
    let disk = stored(LogKept::All);
    let (table, _) = listed(&disk);
    for len in [0, table.file_bytes / 2, table.file_bytes - 1, table.file_bytes + 1] {
        let disk = disk.kill();
        disk.open(&path_of(table.number), OpenMode::ReadWrite).unwrap().set_len(len).unwrap();
        let damage = report(&disk).damage;
        assert!(damage.len() == 1 && damage[0].what.contains("another length"), "{damage:?}");
        assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    disk.remove(&path_of(table.number)).unwrap();
    let damage = report(&disk).damage;
    assert!(damage.len() == 1 && damage[0].what.contains("is missing"), "{damage:?}");
}

#[test]
fn every_flipped_byte_of_tables_and_manifest_is_told_with_its_place() {
    let disk = stored(LogKept::All);
    let is_ours = |path: &PathBuf| {
        let path = path.to_string_lossy();
        ["CURRENT", ".manifest", ".table"].iter().any(|end| path.ends_with(end))
    };
    let files: Vec<_> = disk.files().into_iter().filter(|(path, _)| is_ours(path)).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    let mut flipped = 0;
    for (path, size) in files {
        let bytes = disk.read_file(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        let name = path.strip_prefix(STORE).unwrap();
        // Behind what is used are zeroes, all checked by the same look.
        for offset in (0..size).filter(|at| *at <= used + 5000 || at % 9973 == 0) {
            let damaged = disk.kill();
            damaged.flip(&path, offset, 0x11).unwrap();
            let told = report(&damaged).damage;
            let first = told.iter().find(|damage| damage.path == name);
            let place = first.and_then(|damage| damage.offset);
            assert!(
                place.is_some_and(|place| place <= offset + 4096),
                "{path:?} {offset}: {told:?}"
            );
            flipped += 1;
        }
    }
    assert!(flipped > 20_000, "{flipped}");
}

/// Every file but the lock.
fn files(disk: &MemoryVfs) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = disk.files().into_iter().map(|(path, _)| path);
    let paths = paths.filter(|path| !path.ends_with("LOCK"));
    paths.map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect()
}

#[test]
fn a_log_is_never_cut_before_the_checkpoint() {
    let disk = stored(LogKept::All);
    let checkpoint = *read(&disk).state().checkpoint();
    assert!(checkpoint.segment.0 > 2);
    let segment = |number: u64| Path::new(STORE).join(format!("wal/{number:016}.wal"));
    let refused = |disk: &MemoryVfs, advice: &str| {
        let before = files(disk);
        for carry_out in [false, true] {
            let error = salvage(Path::new(STORE), &runtime(disk, 3), carry_out).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.message().contains(advice), "{error}");
            assert_eq!(files(disk), before);
        }
    };
    // In a part that only copies and feeds read: the store opens, and may let go of it.
    let old = disk.kill();
    old.flip(segment(1), 4500, 1).unwrap();
    assert!(!report(&old).is_ok());
    refused(&old, "--log-kept needed");
    let store = builder(&old, LogKept::Needed).open().unwrap();
    store.checkpoint().unwrap();
    store.close().unwrap();
    assert_eq!(report(&old).damage, []);
    // Where replay begins.
    let here = disk.kill();
    here.flip(segment(checkpoint.segment.0), 4100, 1).unwrap();
    assert_eq!(open(&here).unwrap_err().kind(), ErrorKind::Corrupt);
    refused(&here, "restore a copy");
    // Without its manifest nobody knows what the log must keep.
    let lost = disk.kill();
    lost.flip(segment(1), 4500, 1).unwrap();
    lost.flip("/store/CURRENT", 70, 1).unwrap();
    refused(&lost, "which manifest is in force");
}

#[test]
fn damage_behind_the_checkpoint_is_cut_and_the_tables_stay() {
    let disk = stored(LogKept::Needed);
    let checkpoint = read(&disk).state().checkpoint().position.lsn;
    let mut reader = LogReader::open(Path::new(STORE), &runtime(&disk, 5)).unwrap();
    let mut damaged = None;
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        if record.header.kind.takes_lsn() && record.header.lsn.0 == checkpoint.0 + 2 {
            damaged = Some((record.segment.0, record.offset));
        }
    }
    let (segment, offset) = damaged.unwrap();
    disk.flip(Path::new(STORE).join(format!("wal/{segment:016}.wal")), offset + 80, 1).unwrap();
    assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::Corrupt);
    let done = salvage(Path::new(STORE), &runtime(&disk, 3), true).unwrap();
    assert_eq!((done.done, done.kept), (true, checkpoint.next()));
    let docs = open(&disk).unwrap();
    assert_eq!(docs.now().list("tales", &Listing::default()).unwrap().count(), 8);
    put(&docs, 50);
    docs.store().compact().unwrap();
    docs.store().close().unwrap();
    assert_eq!(report(&disk).damage, []);
}
