//! A store whose commits are in tables: the same answers, whatever is where.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use jidoka::base::Result;
use jidoka::store::{Batch, Keyspace, LogKept, Snapshot, Store, StoreBuilder};
use jidoka::vfs::memory::{MemoryVfs, Operation, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::wal::Durability;

use crate::model::{STORE, images};

pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) fn builder(disk: &MemoryVfs, seed: u64) -> StoreBuilder {
    let builder = Store::builder(Path::new(STORE)).runtime(runtime(disk, seed));
    // The least there is: tables of 16 KiB, a cache that holds few of their blocks.
    builder.segment_bytes(64 << 10).memory_limit(0)
}

pub(crate) fn keyspace() -> Keyspace {
    Keyspace::new("parts").unwrap()
}

/// Numbers that look random.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One commit of a few changes, made of `store` and of `model` alike.
pub(crate) fn change(store: &Store, model: &mut Model, numbers: &mut Numbers) {
    let mut batch = Batch::new();
    for _ in 0..=numbers.below(4) {
        let key = format!("{:03}", numbers.below(300)).into_bytes();
        if numbers.below(4) == 0 {
            batch.delete(&keyspace(), &key);
            model.remove(&key);
        } else {
            let value = vec![numbers.below(256) as u8; numbers.below(400) as usize];
            batch.put(&keyspace(), &key, &value);
            model.insert(key, value);
        }
    }
    store.commit(batch).unwrap();
}

fn all(snapshot: &Snapshot, range: (Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |found: Result<jidoka::store::KeyValue>| {
        found.map(|found| (found.key.to_vec(), found.value.to_vec())).unwrap()
    };
    let forward: Vec<_> = snapshot.range(&keyspace(), range.clone()).map(pair).collect();
    let mut backward: Vec<_> = snapshot.range(&keyspace(), range.clone()).rev().map(pair).collect();
    backward.reverse();
    assert_eq!(forward, backward, "{range:?}");
    forward
}

pub(crate) fn compare(snapshot: &Snapshot, model: &Model, what: &str) {
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let expected: Vec<_> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(all(snapshot, everything), expected, "{what}");
    for number in (0..300).step_by(7) {
        let key = format!("{number:03}").into_bytes();
        let found = snapshot.get(&keyspace(), &key).unwrap().map(|found| found.value.to_vec());
        assert_eq!(found.as_ref(), model.get(&key), "{what}: {number}");
        let range = (Bound::Excluded(key.clone()), Bound::Included(b"250".to_vec()));
        if number < 250 {
            let expected: Vec<_> = model
                .range(range.clone())
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            assert_eq!(all(snapshot, range), expected, "{what}: from {number}");
        }
    }
}

#[test]
fn a_store_with_tables_answers_as_one_without_through_checkpoints_merges_and_opens() {
    for seed in 1..=6 {
        let (disk, mut numbers) = (MemoryVfs::new(), Numbers(seed));
        let kept = if seed % 2 == 0 { LogKept::All } else { LogKept::Needed };
        let open = |life| builder(&disk, seed * 100 + life).log_kept(kept).open().unwrap();
        let (mut store, mut model) = (open(0), Model::new());
        let mut held: Vec<(Snapshot, Model)> = Vec::new();
        for step in 0..900 {
            change(&store, &mut model, &mut numbers);
            match numbers.below(60) {
                0 => store.checkpoint().unwrap(),
                1 => store.compact().unwrap(),
                2 if held.len() < 3 => held.push((store.snapshot(), model.clone())),
                3 => held.clear(),
                4 => {
                    held.clear();
                    store.close().unwrap();
                    store = open(step);
                    compare(&store.snapshot(), &model, "opened again");
                }
                5 => {
                    held.clear();
                    drop(store);
                    store = open(step);
                }
                6 => while store.step().unwrap() {},
                7 => {
                    for (snapshot, model) in &held {
                        compare(snapshot, model, "held");
                    }
                }
                8 => compare(&store.snapshot(), &model, "now"),
                _ => {}
            }
        }
        compare(&store.snapshot(), &model, "at the end");
        let stats = store.table_stats();
        assert!(stats.tables > 0 && stats.runs < 8, "{stats:?}");
        assert_eq!(store.snapshot().keyspaces(), [keyspace()]);
    }
}

#[test]
fn memory_stays_within_its_share_and_old_versions_leave_the_tables() {
    let disk = MemoryVfs::new();
    let store = builder(&disk, 1).log_kept(LogKept::Needed).open().unwrap();
    let (mut model, mut numbers) = (Model::new(), Numbers(9));
    for _ in 0..4000 {
        change(&store, &mut model, &mut numbers);
        while store.step().unwrap() {}
        assert!(store.memory_bytes() < 40 << 10, "{} bytes in memory", store.memory_bytes());
    }
    store.compact().unwrap();
    compare(&store.snapshot(), &model, "at the end");
    let live: usize = model.iter().map(|(key, value)| key.len() + value.len()).sum();
    let is_table = |path: &Path| path.extension().is_some_and(|extension| extension == "table");
    let tables = disk.files().into_iter().filter(|(path, _)| is_table(path));
    let bytes: u64 = tables.map(|(_, bytes)| bytes).sum();
    assert!(bytes < 2 * live as u64 + 4096, "{bytes} bytes of tables for {live} that live");
    assert!(store.table_stats().checkpoints > 20);
}

#[test]
fn an_open_replays_only_what_no_table_holds() {
    let disk = MemoryVfs::new();
    let (mut model, mut numbers) = (Model::new(), Numbers(3));
    let store = builder(&disk, 1).open().unwrap();
    for _ in 0..800 {
        change(&store, &mut model, &mut numbers);
    }
    let whole = store.log_stats().appended;
    store.checkpoint().unwrap();
    change(&store, &mut model, &mut numbers);
    store.close().unwrap();
    let store = builder(&disk, 2).open().unwrap();
    assert!(store.recovery().records < whole.0 / 2, "{:?} of {whole}", store.recovery());
    compare(&store.snapshot(), &model, "opened again");
    let read_only = builder(&disk, 3).open_read_only().unwrap();
    compare(&read_only.snapshot(), &model, "read only");
}

#[test]
fn a_request_is_known_when_its_log_is_gone() {
    let disk = MemoryVfs::new();
    let open = |seed| builder(&disk, seed).log_kept(LogKept::Needed).open().unwrap();
    let store = open(1);
    let (mut model, mut numbers) = (Model::new(), Numbers(3));
    let ask = |store: &Store, id: &str| {
        let mut batch = Batch::new();
        batch.put(&keyspace(), b"000", id.as_bytes()).request(id, b"answer");
        store.commit(batch).unwrap()
    };
    let first = ask(&store, "r-1");
    for _ in 0..500 {
        change(&store, &mut model, &mut numbers);
    }
    store.compact().unwrap();
    let second = ask(&store, "r-2");
    store.close().unwrap();
    let store = open(2);
    assert!(store.log_stats().oldest > first.lsn, "its log is still there");
    for (id, before) in [("r-1", &first), ("r-2", &second)] {
        let again = ask(&store, id);
        assert_eq!((again.lsn, again.repeated.as_deref()), (before.lsn, Some(&b"answer"[..])));
    }
}

/// Commits, with checkpoints and merges in between; each commit puts its number under one key and
/// something under another. Gives how many were acknowledged when each image was taken.
fn crash_images(disk: &MemoryVfs, kept: LogKept) -> Vec<(String, MemoryVfs, u64, u64)> {
    let progress = Arc::new(Mutex::new((0_u64, 0_u64)));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = (Arc::clone(&taken), Arc::clone(&progress));
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        let (acknowledged, begun) = *sink.1.lock();
        for (mode, _, image) in images(disk, operation.number) {
            let (number, kind) = (operation.number, operation.kind);
            let name = format!("after {number} {kind:?} {}, {mode}", operation.path.display());
            sink.0.lock().push((name, image, acknowledged, begun));
        }
    }));
    let store = builder(disk, 1).segment_bytes(16 << 10).log_kept(kept).open().unwrap();
    for number in 1..=60_u64 {
        progress.lock().1 = number;
        store.commit(numbered(number)).unwrap();
        progress.lock().0 = number;
        match number % 12 {
            0 => store.compact().unwrap(),
            4 | 8 => store.checkpoint().unwrap(),
            _ => {}
        }
    }
    store.close().unwrap();
    disk.clear_observer();
    std::mem::take(&mut *taken.lock())
}

pub(crate) fn numbered(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(&keyspace(), b"last", &number.to_le_bytes());
    let key = format!("{:02}", number % 20).into_bytes();
    if number.is_multiple_of(7) {
        batch.delete(&keyspace(), &key);
    } else {
        batch.put(&keyspace(), &key, &vec![number as u8; 300]);
    }
    batch
}

/// What is in a store after so many of these commits.
pub(crate) fn numbered_model(last: u64) -> Model {
    let mut model = Model::new();
    for number in 1..=last {
        model.insert(b"last".to_vec(), number.to_le_bytes().to_vec());
        let key = format!("{:02}", number % 20).into_bytes();
        if number.is_multiple_of(7) {
            model.remove(&key);
        } else {
            model.insert(key, vec![number as u8; 300]);
        }
    }
    model
}

/// Opens an image, and once more after another crash; gives its last commit.
fn check(image: &MemoryVfs, (acknowledged, begun): (u64, u64), name: &str) -> u64 {
    let mut shown = None;
    for seed in [50, 51] {
        let store = builder(image, seed).segment_bytes(16 << 10).open();
        let store = store.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let last = store.get(&keyspace(), b"last").unwrap();
        let last = last.map_or(0, |last| u64::from_le_bytes((*last.value).try_into().unwrap()));
        assert!((acknowledged..=begun).contains(&last), "{name}: {last}");
        assert!(shown.is_none_or(|shown| shown == last), "{name}: what was shown is undone");
        compare(&store.snapshot(), &numbered_model(last), name);
        shown = Some(last);
        if seed == 50 {
            drop(store);
        } else {
            store.commit(numbered(last + 1)).unwrap();
            store.compact().unwrap();
            compare(&store.snapshot(), &numbered_model(last + 1), name);
        }
    }
    shown.unwrap()
}

#[test]
fn a_crash_at_every_operation_of_checkpoints_and_merges_loses_nothing() {
    for kept in [LogKept::All, LogKept::Needed] {
        let disk = MemoryVfs::new();
        let images = crash_images(&disk, kept);
        assert_eq!(disk.warnings(), [""; 0]);
        assert!(images.len() > 1000, "{}", images.len());
        for (name, image, acknowledged, begun) in &images {
            check(image, (*acknowledged, *begun), name);
        }
    }
}

/// Both keys of a pair hold the same number in every snapshot, and never an older one than before.
fn watch(store: &Store, pair: u8, seen: &mut u64) {
    let snapshot = store.snapshot();
    let number = |key: &[u8]| {
        let found = snapshot.get(&keyspace(), key).unwrap();
        found.map_or(0, |found| u64::from_le_bytes(found.value[..8].try_into().unwrap()))
    };
    let (first, second) = (number(&[b'a', pair]), number(&[b'z', pair]));
    assert_eq!(first, second, "half a commit of pair {pair}");
    assert!(first >= *seen, "pair {pair} goes back from {seen} to {first}");
    *seen = first;
    let all = snapshot.range(&keyspace(), ..).map(|found| found.unwrap().key.to_vec());
    let keys: Vec<Vec<u8>> = all.collect();
    assert!(keys.is_sorted(), "keys out of order");
}

#[test]
fn readers_see_whole_commits_while_threads_write_checkpoints_and_merges() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let builder = Store::builder(dir.path().join("store")).segment_bytes(256 << 10);
        builder.memory_limit(0).log_kept(LogKept::Needed).open().unwrap()
    };
    let store = open();
    let commits = 600_u64;
    std::thread::scope(|scope| {
        for pair in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for number in 1..=commits {
                    let mut value = vec![pair; 100];
                    value[..8].copy_from_slice(&number.to_le_bytes());
                    let mut batch = Batch::new();
                    batch.put(&keyspace(), &[b'a', pair], &value);
                    batch.put(&keyspace(), &[b'z', pair], &value);
                    let filler = [b'm', pair, (number % 50) as u8];
                    if number % 3 == 0 {
                        batch.delete(&keyspace(), &filler);
                    } else {
                        batch.put(&keyspace(), &filler, &[pair; 200]);
                    }
                    store.commit(batch).unwrap();
                }
            });
            scope.spawn(move || {
                let mut seen = 0;
                while seen < commits {
                    watch(store, pair, &mut seen);
                }
            });
        }
    });
    let stats = store.table_stats();
    assert!(stats.checkpoints > 5, "{stats:?}");
    store.compact().unwrap();
    store.close().unwrap();
    let store = open();
    for pair in 0..4 {
        let mut seen = commits;
        watch(&store, pair, &mut seen);
    }
}

#[test]
fn a_checkpoint_counts_only_records_that_are_durable() {
    let disk = MemoryVfs::new();
    let mut batch = numbered(1);
    batch.durability(Durability::Buffered);
    builder(&disk, 1).open().unwrap().commit(batch).unwrap();
    let disk = disk.kill();
    let store = builder(&disk, 2).open().unwrap();
    // The keeper's mark is behind the commit, and nobody has asked to sync it.
    while store.step().unwrap() {}
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&taken);
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        sink.lock().extend(images(disk, operation.number));
    }));
    store.checkpoint().unwrap();
    disk.clear_observer();
    let taken = std::mem::take(&mut *taken.lock());
    assert!(taken.len() > 50, "{}", taken.len());
    for (name, _, image) in taken {
        let store = builder(&image, 3).open().unwrap();
        store.commit(numbered(2)).unwrap();
        store.checkpoint().unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "looks at the files from outside of the store")]
fn an_idle_store_merges_what_only_takes_space() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Store::builder(dir.path().join("store")).segment_bytes(256 << 10);
    let store = builder.memory_limit(0).log_kept(LogKept::Needed).open().unwrap();
    for number in 0..600_u64 {
        let mut batch = Batch::new();
        batch.put(&keyspace(), &(number % 90).to_le_bytes(), &[7; 400]);
        store.commit(batch).unwrap();
    }
    // Ends when the space is given back; a store that never does is found by the harness's limit.
    let live = 90 * (400 + 8 + 40);
    let size = |file: std::io::Result<std::fs::DirEntry>| {
        file.and_then(|file| file.metadata()).map_or(0, |file| file.len())
    };
    let bytes = || {
        let files = std::fs::read_dir(dir.path().join("store/tables"));
        files.map_or(u64::MAX, |files| files.map(size).sum())
    };
    while bytes() > 2 * live || store.table_stats().merges == 0 {
        std::thread::yield_now();
    }
    store.close().unwrap();
    assert!(store.table_stats().checkpoints > 0);
}
