//! Copies and feeds that go on where they ended, in a log that took commits back or released some.

use std::path::{Path, PathBuf};

use jidoka::archive::{BackupReport, RestoreRequest, Target, backup, restore};
use jidoka::base::{ErrorKind, Lsn, Result};
use jidoka::doc::{Changes, Condition, Documents};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::Vfs;
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::wal::{OpenSettings, Wal};
use serde_json::json;

use crate::model::{SEGMENT_BYTES, STORE, content, open};

const COPY: &str = "/copy";

fn wal(disk: &MemoryVfs) -> Wal {
    let settings = OpenSettings { segment_bytes: SEGMENT_BYTES, ..OpenSettings::default() };
    Wal::open(Path::new(STORE), &runtime(disk, 70), &settings, &mut |_| Ok(())).unwrap()
}

/// Commits a value of `len` bytes that no other commit has.
fn put(store: &Store, number: u8, len: usize) -> Lsn {
    let mut batch = Batch::new();
    let value = vec![number; len];
    batch.put(&Keyspace::new("bins").unwrap(), &[number % 5], &value);
    store.commit(batch).unwrap().lsn
}

fn copy(disk: &MemoryVfs) -> Result<BackupReport> {
    backup(Path::new(STORE), Path::new(COPY), &runtime(disk, 71))
}

/// The content of the copy, restored.
fn restored(disk: &MemoryVfs) -> crate::model::Content {
    let aside = disk.kill();
    let request = RestoreRequest {
        from: COPY.into(),
        to: PathBuf::from("/restored"),
        target: Target::Latest,
        exclusive: false,
        dry_run: false,
    };
    restore(&request, &runtime(&aside, 72)).unwrap();
    let store = Store::builder("/restored").runtime(runtime(&aside, 73)).open().unwrap();
    content(&store)
}

/// Backs up after so many of six commits, takes back those after `left`, commits three more and
/// backs up again; beside a writer, or not.
fn truncated(len: usize, copied: u64, left: u64, beside: bool) {
    let name = format!("{len} bytes, {copied} copied, {left} left, beside a writer {beside}");
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    for number in 0..6 {
        if u64::from(number) == copied && number > 0 {
            store.sync().unwrap();
            while store.step().unwrap() {}
            assert_eq!(copy(&disk).unwrap().to_lsn, Lsn(copied + 1), "{name}");
        }
        put(&store, number, len);
    }
    store.close().unwrap();
    drop(store);
    let log = wal(&disk);
    log.truncate_after(Lsn(left + 1)).unwrap();
    log.close().unwrap();
    drop(log);
    for round in 0..2 {
        let store = open(&disk, 3 + round).unwrap();
        let last = [10, 11, 12].map(|number| put(&store, number, len))[2];
        let expected = content(&store);
        while store.step().unwrap() {}
        if !beside {
            store.close().unwrap();
        }
        match copy(&disk) {
            Ok(report) => {
                assert!(copied <= left, "{name}: the copy holds what was taken back");
                assert_eq!(report.to_lsn, last, "{name}");
                assert_eq!(restored(&disk), expected, "{name}");
                assert_eq!(copy(&disk).unwrap().to_lsn, last, "{name}: once more");
            }
            Err(error) => {
                assert!(copied > left, "{name}: {error}");
                assert_eq!(error.kind(), ErrorKind::Diverged, "{name}");
                assert_eq!(error.place().lsn, Some(Lsn(copied + 1)), "{name}");
                assert!(error.message().contains("back the store up to a new directory"));
            }
        }
    }
}

#[test]
fn a_copy_goes_on_after_a_truncation_unless_it_holds_what_was_taken_back() {
    for len in [10, 900, 2500] {
        for copied in 0..6 {
            for left in 1..6 {
                truncated(len, copied, left, (copied + left) % 2 == 0);
                truncated(len, copied, left, (copied + left) % 2 == 1);
            }
        }
    }
}

/// A closed store of commits 2 to 13, three in a segment, of which the copy has those to `copied`
/// and the log those from the given one on.
fn released(copied: u64, before: u64) -> (MemoryVfs, Lsn) {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    for number in 2..14 {
        put(&store, number, 1000);
        if u64::from(number) == copied {
            while store.step().unwrap() {}
            assert_eq!(copy(&disk).unwrap().to_lsn, Lsn(copied));
        }
    }
    store.close().unwrap();
    drop(store);
    let log = wal(&disk);
    let oldest = log.release(Lsn(before)).unwrap().oldest;
    log.close().unwrap();
    (disk, oldest)
}

#[test]
fn a_copy_goes_on_while_the_log_reaches_back_to_its_end() {
    let (mut went_on, mut expired) = (0, 0);
    for copied in 2..13 {
        for before in [1, 6, 9, 13] {
            let (disk, oldest) = released(copied, before);
            match copy(&disk) {
                Ok(report) => {
                    assert!(oldest.0 <= copied + 1, "{copied} copied, {oldest} is the oldest");
                    assert_eq!(report.to_lsn, Lsn(13));
                    let values = restored(&disk).remove("bins").unwrap();
                    assert_eq!(values[&vec![3]], vec![13; 1000]);
                    went_on += 1;
                }
                Err(error) => {
                    assert!(oldest.0 > copied + 1, "{copied} copied, {oldest} is the oldest");
                    let told = (error.kind(), error.place().lsn);
                    assert_eq!(told, (ErrorKind::Expired, Some(oldest)), "{error}");
                    assert!(error.message().contains("the copy ends at commit"), "{error}");
                    expired += 1;
                }
            }
        }
    }
    assert!(went_on > 15 && expired > 5, "{went_on} went on, {expired} expired");
}

#[test]
fn no_copy_is_begun_of_a_log_without_its_beginning() {
    let (disk, oldest) = released(0, 9);
    assert!(oldest > Lsn(1));
    let error = copy(&disk).unwrap_err();
    assert_eq!((error.kind(), error.place().lsn), (ErrorKind::Expired, Some(oldest)));
    assert!(error.message().contains("a backup begins with the first"), "{error}");
    assert!(disk.list(Path::new(COPY)).is_err(), "nothing was made");
}

fn changes(disk: &MemoryVfs, since: Lsn) -> Result<Vec<(Lsn, String)>> {
    let mut feed = Changes::follow(Path::new(STORE), &runtime(disk, 80), since)?;
    let mut all = Vec::new();
    while let Some(change) = feed.next_change()? {
        all.push((change.lsn, change.collection));
    }
    Ok(all)
}

#[test]
fn a_feed_begins_at_any_commit_that_the_log_holds_and_knows_the_names_from_before() {
    let disk = MemoryVfs::new();
    let docs = Documents::over(open(&disk, 1).unwrap());
    let text = "x".repeat(900);
    let mut expected = Vec::new();
    for number in 0..12 {
        // The last collection is named in a late segment; what is in a keyspace is no change.
        let collection = if number < 8 { format!("c{}", number % 2) } else { "late".to_owned() };
        if number < 8 {
            put(docs.store(), 200, 10);
        }
        let value = json!({"number": number, "text": text});
        let put = docs.put(&collection, &format!("d{number}"), &value, Condition::None).unwrap();
        expected.push((put.lsn, collection));
    }
    docs.store().close().unwrap();
    drop(docs);
    let last = expected.last().unwrap().0;
    for since in (0..=last.0).map(Lsn) {
        let later: Vec<_> = expected.iter().filter(|(lsn, _)| *lsn > since).cloned().collect();
        assert_eq!(changes(&disk, since).unwrap(), later, "since {since}");
    }
    let log = wal(&disk);
    let oldest = log.release(expected[6].0).unwrap().oldest;
    log.close().unwrap();
    drop(log);
    assert!(oldest > Lsn(3) && oldest <= expected[6].0);
    let told = |since| changes(&disk, since).map_err(|error| (error.kind(), error.place().lsn));
    for since in 0..=last.0 {
        let later: Vec<_> = expected.iter().filter(|(lsn, _)| lsn.0 > since).cloned().collect();
        let known = match told(Lsn(since)) {
            // What comes next is gone, or what the collection of the next change is called.
            Err(error) => {
                assert_eq!(error, (ErrorKind::Expired, Some(oldest)), "since {since}");
                false
            }
            Ok(all) => {
                assert_eq!(all, later, "since {since}");
                true
            }
        };
        assert_eq!(known, since >= expected[7].0.0, "since {since}");
    }
}
