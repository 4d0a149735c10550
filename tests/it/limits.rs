//! What a store refuses before anything is written, and commits that are no batches.

use jidoka::base::limits::{
    KEY_BYTES_MAX, ORIGIN_TEXT_BYTES_MAX, REPLY_BYTES_MAX, REQUEST_BYTES_MAX,
};
use jidoka::base::{ErrorKind, Lsn, Result, Timestamp};
use jidoka::store::{Batch, Keyspace, Origin, Store};
use jidoka::vfs::memory::{MemoryVfs, runtime};
use jidoka::wal::{Appending, Deadline, Durability, OpenSettings, Payload, Wal};

use crate::model::STORE;

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

fn store(disk: &MemoryVfs, segment_bytes: u64) -> Result<Store> {
    Store::builder(STORE).segment_bytes(segment_bytes).runtime(runtime(disk, 1)).open()
}

fn origin(actor: usize, session: usize, reason: usize) -> Origin {
    Origin { actor: "a".repeat(actor), session: "s".repeat(session), reason: "r".repeat(reason) }
}

#[test]
fn a_batch_over_a_limit_changes_nothing_and_one_at_it_is_taken() {
    let disk = MemoryVfs::new();
    let store = store(&disk, 1 << 20).unwrap();
    let commit = |change: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        change(&mut batch);
        store.commit(batch)
    };
    let put = |batch: &mut Batch, len: usize| {
        batch.put(&pots(), &vec![1; len], b"glazed");
    };
    let put_by = |batch: &mut Batch, origin: Origin| {
        put(batch, 1);
        batch.origin(origin);
    };
    let put_for = |batch: &mut Batch, id: &str, reply: &[u8]| {
        put(batch, 1);
        batch.request(id, reply);
    };
    let text = ORIGIN_TEXT_BYTES_MAX;
    let id = "i".repeat(REQUEST_BYTES_MAX + 1);
    let long = vec![2; REPLY_BYTES_MAX + 1];
    let refused: [&dyn Fn(&mut Batch); 8] = [
        &|_| {},
        &|batch| put(batch, KEY_BYTES_MAX + 1),
        &|batch| put_by(batch, origin(text + 1, 0, 0)),
        &|batch| put_by(batch, origin(0, text + 1, 0)),
        &|batch| put_by(batch, origin(0, 0, text + 1)),
        &|batch| put_for(batch, "", b""),
        &|batch| put_for(batch, &id, b""),
        &|batch| put_for(batch, "id", &long),
    ];
    let before = disk.operations();
    for (number, change) in refused.iter().enumerate() {
        let error = commit(*change).expect_err("over a limit");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{number}: {error:?}");
    }
    assert_eq!(disk.operations(), before);
    let at_the_limits = commit(&|batch| {
        put(batch, KEY_BYTES_MAX);
        batch.origin(origin(text, text, text));
        batch.request(&id[1..], &long[1..]);
    });
    assert_eq!(at_the_limits.unwrap().lsn, Lsn(2), "the first is the term's");
    assert_eq!(store.prefix(&pots(), &[1; 100]).count(), 1);
    assert_eq!(store.prefix(&pots(), &[2]).count(), 0);
}

#[test]
fn a_segment_size_that_is_not_legal_is_refused_before_anything_is_made() {
    for bytes in [0, 4096, 8191, 8193, 12_000, (1 << 30) + 4096] {
        let disk = MemoryVfs::new();
        let error = store(&disk, bytes).unwrap_err();
        assert_eq!((error.kind(), disk.operations()), (ErrorKind::Invalid, 0), "{bytes}");
    }
}

/// A writer without conditions.
struct Always;

impl Appending for Always {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }
    fn appended(&mut self, _: Lsn, _: Timestamp) {}
}

#[test]
fn an_intact_commit_that_is_no_batch_or_a_newer_one_is_refused_with_its_number() {
    let required = [8, 0, 0, 0, 99, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let skipped = [8, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let reserved = [8, 0, 0, 0, 99, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let encrypted = [0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let no_change = [0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let payloads: [(&[u8], Option<ErrorKind>); 6] = [
        (&required, Some(ErrorKind::Unsupported)),
        (&encrypted, Some(ErrorKind::Unsupported)),
        (&reserved, Some(ErrorKind::Corrupt)),
        (&no_change, Some(ErrorKind::Corrupt)),
        (b"no batch", Some(ErrorKind::Corrupt)),
        (&skipped, None),
    ];
    for (payload, refused) in payloads {
        let disk = MemoryVfs::new();
        let settings = OpenSettings { segment_bytes: 8192, ..OpenSettings::default() };
        let log =
            Wal::open(STORE.as_ref(), &runtime(&disk, 1), &settings, &mut |_| Ok(())).unwrap();
        let payload = Payload::new(payload.to_vec());
        let appended = log.append(&payload, Durability::Sync, &mut Always).unwrap();
        log.wait(&appended, Deadline::NONE).unwrap();
        log.close().unwrap();
        let opened = store(&disk, 8192).map_err(|error| (error.kind(), error.place().lsn));
        let expected = refused.map(|kind| (kind, Some(appended.lsn)));
        assert_eq!(opened.err(), expected, "{payload:?}");
    }
}
