//! What the golden stores are: small programs on a simulated disk, the same bytes in every run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use jidoka::archive::{RestoreRequest, Target, backup, restore};
use jidoka::base::{ErrorKind, Lsn, Term};
use jidoka::doc::{Condition, Documents, Operation, WriteOptions};
use jidoka::ops::salvage;
use jidoka::store::{Batch, Keyspace, Origin, Store, StoreBuilder};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, OperationKind, Selector, runtime,
};
use jidoka::wal::{Durability, OpenSettings, Vote, Wal, read_log};

/// The files of a store or a copy by their names below it.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

const DIR: &str = "/golden";
const SEGMENT_BYTES: u64 = 8192;

/// A program, by the name of what it leaves.
pub(crate) type Program = (&'static str, fn() -> Files);

/// All of them. What each is for stands above it.
pub(crate) const PROGRAMS: [Program; 9] = [
    ("closed", closed),
    ("killed", killed),
    ("padded", padded),
    ("restored", restored),
    ("copy", copy),
    ("salvaging", salvaging),
    ("log-released", log_released),
    ("log-used-again", log_used_again),
    ("log-truncated", log_truncated),
];

/// The files below `dir`, without the lock, which says only who held it last.
fn files(disk: &MemoryVfs, dir: &str) -> Files {
    let named = disk.files().into_iter().filter_map(|(path, _)| {
        let name = path.strip_prefix(dir).ok()?.to_str().unwrap().to_owned();
        (name != "LOCK").then(|| (name, disk.read_file(&path).unwrap()))
    });
    named.collect()
}

fn builder(disk: &MemoryVfs, dir: &str, life: u64) -> StoreBuilder {
    Store::builder(dir).segment_bytes(SEGMENT_BYTES).runtime(runtime(disk, life))
}

fn origin(reason: &str) -> Origin {
    Origin { actor: "ada".to_owned(), session: "night shift".to_owned(), reason: reason.to_owned() }
}

fn put(collection: &str, id: &str, doc: Value) -> Operation {
    let (collection, id) = (collection.to_owned(), Some(id.to_owned()));
    Operation::Put { collection, id, doc, condition: Condition::None }
}

/// Bytes that no two places share.
fn filling(number: u8, len: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().map(|byte| byte.wrapping_mul(7) ^ number).take(len).collect()
}

/// Keys, documents, origins, requests, deletions, in two segments.
fn first_shift(documents: &Documents) {
    let store = documents.store();
    let [stock, kilns] = ["stock", "kilns"].map(|name| Keyspace::new(name).unwrap());
    let mut batch = Batch::new();
    batch.put(&stock, b"bell", b"12").put(&stock, b"spring", b"40").put(&kilns, b"", b"no name");
    batch.origin(origin("first delivery")).request("delivery-1", b"taken");
    store.commit(batch).unwrap();
    let orders = [
        put("orders", "o-1", json!({"item": "bell", "count": 3, "paid": 12.5})),
        put("orders", "o-2", json!({"item": "spring", "to": ["Öhringen", null, true]})),
    ];
    let request = Some("orders-1".to_owned());
    let options = WriteOptions { origin: origin("two orders"), request, ..WriteOptions::default() };
    documents.apply(&orders, &options).unwrap();
    documents.patch("orders", "o-1", &json!({"count": 4, "paid": null}), Condition::None).unwrap();
    documents.delete("orders", "o-2", Condition::Revision(1)).unwrap();
    for number in 0..3 {
        let mut batch = Batch::new();
        batch.put(&kilns, &[number], &filling(number, 900));
        store.commit(batch).unwrap();
    }
}

/// A third segment, and a key that goes.
fn second_shift(documents: &Documents) {
    let store = documents.store();
    let [stock, kilns] = ["stock", "kilns"].map(|name| Keyspace::new(name).unwrap());
    for number in 3..6 {
        let mut batch = Batch::new();
        batch.put(&kilns, &[number], &filling(number, 900)).durability(Durability::Buffered);
        store.commit(batch).unwrap();
    }
    let mut batch = Batch::new();
    batch.delete_with_note(&stock, b"spring", b"sold").put(&stock, b"bell", b"8");
    store.commit(batch).unwrap();
    documents.put("tools", "hammer", &json!({"kg": 1.5}), Condition::Absent).unwrap();
}

/// Closed cleanly, behind a time mark.
fn closed() -> Files {
    let disk = MemoryVfs::new();
    let documents = Documents::over(builder(&disk, DIR, 1).open().unwrap());
    first_shift(&documents);
    second_shift(&documents);
    documents.store().time_mark().unwrap();
    documents.store().close().unwrap();
    files(&disk, DIR)
}

/// The image of `disk` in which a part of the last write is there and a part is not.
fn torn(disk: &MemoryVfs) -> MemoryVfs {
    let images = (0..64).map(|seed| disk.crash_with(CrashMode::Random { seed, keep_per_256: 128 }));
    let is_torn = |image: &MemoryVfs| {
        let read = read_log(Path::new(DIR), &runtime(image, 9), &mut |_| Ok(())).unwrap();
        read.damage.is_none() && read.report.cut_bytes > 0
    };
    images.into_iter().find(is_torn).expect("one of the images is torn")
}

/// Killed by a power cut in the middle of a write.
fn killed() -> Files {
    let disk = MemoryVfs::new();
    let documents = Documents::over(builder(&disk, DIR, 2).open().unwrap());
    second_shift(&documents);
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("kilns").unwrap(), b"torn", &filling(9, 1500));
    documents.store().commit(batch.durability(Durability::Buffered).clone()).unwrap();
    let image = torn(&disk);
    disk.halt();
    files(&image, DIR)
}

/// Padded tails, and a recovery that stopped when it had saved the end of the log: `TAIL`.
fn padded() -> Files {
    let disk = MemoryVfs::new();
    let open = |disk: &MemoryVfs, life| {
        let builder = Store::builder(DIR).segment_bytes(12_288).padded_tails(true);
        builder.runtime(runtime(disk, life)).open()
    };
    let store = open(&disk, 3).unwrap();
    for number in 0..2 {
        let mut batch = Batch::new();
        batch.put(&Keyspace::new("kilns").unwrap(), &[number], &filling(number, 700));
        store.commit(batch).unwrap();
    }
    let left = disk.kill();
    disk.halt();
    // The first removes what a save that was interrupted may have left.
    stop(&left, OperationKind::Remove, "/TAIL", 1);
    assert!(open(&left, 4).is_err());
    files(&left.kill(), DIR)
}

/// Lets an operation of this kind on such a path be the last, after `nth` others.
fn stop(disk: &MemoryVfs, kind: OperationKind, path: &str, nth: u64) {
    let at = Selector { kind: Some(kind), path_contains: Some(path.to_owned()), nth };
    disk.plan(Fault { at, what: FaultKind::CrashAll, sticky: true });
}

/// A disk with a store and its copy, made in two goes.
fn with_copy() -> MemoryVfs {
    let disk = MemoryVfs::new();
    let documents = Documents::over(builder(&disk, "/source", 5).open().unwrap());
    let copy = || backup(Path::new("/source"), Path::new("/copy"), &runtime(&disk, 6)).unwrap();
    first_shift(&documents);
    documents.store().time_mark().unwrap();
    copy();
    second_shift(&documents);
    documents.store().time_mark().unwrap();
    copy();
    disk
}

/// Two ranges, and up to where they are complete.
fn copy() -> Files {
    files(&with_copy(), "/copy")
}

/// A store with an ancestor, which goes on in a term of its own.
fn restored() -> Files {
    let disk = with_copy();
    let (from, to) = (Path::new("/copy").to_owned(), Path::new(DIR).to_owned());
    let target = Target::Lsn(Lsn(9));
    let request = RestoreRequest { from, to, target, exclusive: false, dry_run: false };
    restore(&request, &runtime(&disk, 7)).unwrap();
    let documents = Documents::over(builder(&disk, DIR, 8).open().unwrap());
    documents.put("orders", "o-9", &json!({"of": "another future"}), Condition::Absent).unwrap();
    documents.store().close().unwrap();
    files(&disk, DIR)
}

/// Damage, and a salvage of it that stopped behind its plan: `SALVAGE` and a quarantine.
fn salvaging() -> Files {
    let disk = MemoryVfs::new();
    let store = builder(&disk, DIR, 10).open().unwrap();
    for number in 0..3 {
        let mut batch = Batch::new();
        batch.put(&Keyspace::new("kilns").unwrap(), &[number], &filling(number, 600));
        store.commit(batch).unwrap();
    }
    store.close().unwrap();
    disk.flip(format!("{DIR}/wal/0000000000000001.wal"), 5200, 1).unwrap();
    stop(&disk, OperationKind::Rename, ".wal", 0);
    assert!(salvage(Path::new(DIR), &runtime(&disk, 11), true).is_err());
    files(&disk.kill(), DIR)
}

fn log(disk: &MemoryVfs, life: u64) -> Wal {
    let settings = OpenSettings {
        segment_bytes: SEGMENT_BYTES,
        pool_segments_max: Some(2),
        ..OpenSettings::default()
    };
    Wal::open(Path::new(DIR), &runtime(disk, life), &settings, &mut |_| Ok(())).unwrap()
}

fn commit(log: &Wal, numbers: Range<u8>, len: usize) -> Lsn {
    let commit = |number| log.commit(filling(number, len), Durability::Sync).unwrap();
    numbers.map(commit).last().unwrap()
}

/// A log alone of which the beginning was released, `FIRST`, with a file that waits to be used
/// again and others that were.
fn log_released() -> Files {
    let disk = MemoryVfs::new();
    let log = log(&disk, 12);
    let last = commit(&log, 0..18, 1000);
    assert!(log.release(last).unwrap().segments >= 4);
    commit(&log, 18..20, 1000);
    assert!(log.stats().recycled_segments >= 1);
    log.close().unwrap();
    files(&disk, DIR)
}

/// The same, cut off in the middle of a write into a file that was used before.
fn log_used_again() -> Files {
    let disk = MemoryVfs::new();
    let log = log(&disk, 13);
    let last = commit(&log, 0..18, 1000);
    log.release(last).unwrap();
    commit(&log, 18..20, 1000);
    log.commit(filling(99, 1500), Durability::Buffered).unwrap();
    let image = torn(&disk);
    disk.halt();
    files(&image, DIR)
}

/// What a cluster needs: a vote, a committed mark, commits that were taken back and given anew,
/// and both written again.
fn log_truncated() -> Files {
    let disk = MemoryVfs::new();
    let log = log(&disk, 14);
    commit(&log, 0..2, 100);
    log.save_vote(Vote { term: Term(1), leader: 7, committed: true }).unwrap();
    commit(&log, 2..4, 100);
    log.save_committed(Lsn(3)).unwrap();
    log.truncate_after(Lsn(4)).unwrap();
    commit(&log, 20..22, 100);
    log.repeat_standing().unwrap();
    let refused = log.truncate_after(Lsn(2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    log.close().unwrap();
    files(&disk, DIR)
}
