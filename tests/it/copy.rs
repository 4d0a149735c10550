//! A log that is written from another one's commits: what continues it, and what does not.

use jidoka::base::{ErrorKind, Lsn, Term, Timestamp};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::wal::format::Kind;
use jidoka::wal::reader::{Limit, OwnedRecord};
use jidoka::wal::{CopiedRecord, LogReader, OpenSettings, Wal, Writer};

use crate::model::STORE;

/// The records of a log of so many commits that a copy takes: the term's and the commits.
fn records(commits: u8, len: usize) -> Vec<OwnedRecord> {
    let disk = MemoryVfs::new();
    let builder = Store::builder(STORE).segment_bytes(1 << 22).runtime(runtime(&disk, 1));
    let store = builder.open().unwrap();
    for number in 0..commits {
        let mut batch = Batch::new();
        batch.put(&Keyspace::new("pots").unwrap(), &[number], &vec![number; len]);
        store.commit(batch).unwrap();
    }
    let mut reader = LogReader::open(STORE.as_ref(), &runtime(&disk, 2)).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        records.push(record);
    }
    records.retain(|record| record.header.kind.takes_lsn());
    records
}

fn copied(record: &OwnedRecord) -> CopiedRecord<'_> {
    let header = record.header;
    CopiedRecord {
        kind: header.kind,
        lsn: header.lsn,
        writer: Writer { term: header.term, leader: header.leader },
        time: header.time,
        chain: header.chain,
        payload: &record.payload,
    }
}

fn target(disk: &MemoryVfs) -> Wal {
    let settings =
        OpenSettings { segment_bytes: 1 << 22, term: Term(2), ..OpenSettings::default() };
    Wal::open(STORE.as_ref(), &runtime(disk, 3), &settings, &mut |_| Ok(())).unwrap()
}

#[test]
fn a_copied_log_stands_where_its_source_does() {
    let records = records(3, 10);
    let (disk, mut lsns) = (MemoryVfs::new(), Vec::new());
    let log = target(&disk);
    for record in &records {
        log.append_copy(&copied(record)).unwrap();
        lsns.push(record.header.lsn);
    }
    log.sync().unwrap();
    assert_eq!(log.durable(), records.last().unwrap().header.lsn);
    let mut reader = LogReader::open(STORE.as_ref(), &runtime(&disk, 4)).unwrap();
    let mut kept = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        kept.push(record);
    }
    kept.retain(|record| record.header.kind.takes_lsn());
    let essence = |records: &[OwnedRecord]| -> Vec<_> {
        records.iter().map(|record| (record.header.chain, record.payload.clone())).collect()
    };
    assert_eq!(essence(&kept), essence(&records));
}

#[test]
fn a_commit_that_does_not_continue_the_copy_is_refused() {
    let records = records(3, 10);
    let [opens, first, second, _] = &records[..] else { panic!("{records:?}") };
    let (first, second) = (copied(first), copied(second));
    let later = Writer { term: Term(5), leader: 0 };
    let refused = [
        ("a mark", CopiedRecord { kind: Kind::TimeMark, ..second }),
        ("a commit left out", copied(&records[3])),
        ("the same commit again", first),
        ("an LSN left out", CopiedRecord { lsn: Lsn(4), ..second }),
        ("the same time", CopiedRecord { time: first.time, ..second }),
        ("an earlier time", CopiedRecord { time: Timestamp(1), ..second }),
        ("a term that nobody opened", CopiedRecord { writer: later, ..second }),
        ("the same term opened again", CopiedRecord { kind: Kind::TermStart, ..second }),
        ("another chain", CopiedRecord { chain: second.chain ^ 1, ..second }),
        ("another payload", CopiedRecord { payload: b"another", ..second }),
    ];
    for (what, record) in refused {
        let log = target(&MemoryVfs::new());
        log.append_copy(&copied(opens)).unwrap();
        log.append_copy(&first).unwrap();
        let error = log.append_copy(&record).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Diverged, "{what}: {error:?}");
        assert_eq!(error.place().lsn, Some(record.lsn), "{what}");
    }
    // The first record opens the term, or nothing does.
    let log = target(&MemoryVfs::new());
    assert_eq!(log.append_copy(&first).unwrap_err().kind(), ErrorKind::Diverged);
    let earlier = Writer { term: Term(0), leader: 0 };
    let opened = CopiedRecord { writer: earlier, ..copied(opens) };
    assert_eq!(log.append_copy(&opened).unwrap_err().kind(), ErrorKind::Diverged);
}

#[test]
fn a_copy_is_written_in_groups_of_a_mebibyte() {
    let records = records(16, 100_000);
    let disk = MemoryVfs::new();
    let log = target(&disk);
    for (number, record) in (0..).zip(&records) {
        log.append_copy(&copied(record)).unwrap();
        assert_eq!(log.stats().groups, u64::from(number >= 11), "after {number} commits");
    }
    assert_eq!(log.stats().syncs, 0, "only what is asked for is synced");
    log.sync().unwrap();
    assert_eq!(log.durable(), log.stats().appended);
}
