//! A copy of an open store: everything up to one commit, whatever happens meanwhile.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use jidoka::archive::backup;
use jidoka::base::{ErrorKind, Lsn, Result, Seq, Term, Timestamp};
use jidoka::ops::verify;
use jidoka::store::{Batch, Copied, Keyspace, LogKept, Store, StoreBuilder};
use jidoka::vfs::memory::{
    Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{FileExt, OpenMode, Runtime, Vfs};
use jidoka::wal::scan::Position;
use jidoka::wal::{Durability, OpenSettings, Wal, make_empty_dir};

use crate::model::{STORE, images};
use crate::tables::{Model, Numbers, builder, change, compare, keyspace, numbered, numbered_model};

const COPY: &str = "/copies/one";

/// Whatever segments a copy has are those of its source.
fn at(disk: &MemoryVfs, path: &str, seed: u64) -> StoreBuilder {
    let builder = Store::builder(path).runtime(runtime(disk, seed));
    builder.create(false).memory_limit(0)
}

fn is_sound(disk: &MemoryVfs, path: &str) -> bool {
    let report = verify(Path::new(path), &runtime(disk, 7), false).unwrap();
    assert!(report.damage.is_empty(), "{path}: {:?}", report.damage);
    true
}

fn files(disk: &MemoryVfs, dir: &str, suffix: &str) -> Vec<String> {
    let names = disk.list(Path::new(dir)).unwrap_or_default();
    names.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(suffix)).collect()
}

/// A store with some of its commits in tables, and some behind them in its log.
fn some_store(disk: &MemoryVfs, seed: u64, kept: LogKept) -> (Store, Model) {
    let store = builder(disk, seed).log_kept(kept).open().unwrap();
    let (mut model, mut numbers) = (Model::new(), Numbers(seed));
    for step in 1..=360 {
        change(&store, &mut model, &mut numbers);
        if step % 100 == 0 {
            store.checkpoint().unwrap();
        }
    }
    (store, model)
}

#[test]
fn a_copy_is_the_store_at_one_commit_and_goes_on_by_itself() {
    for seed in 1..=6 {
        let (disk, mut numbers) = (MemoryVfs::new(), Numbers(seed));
        let kept = if seed % 2 == 0 { LogKept::All } else { LogKept::Needed };
        let open = |life| builder(&disk, seed * 100 + life).log_kept(kept).open().unwrap();
        let (mut store, mut model, mut copies) = (open(0), Model::new(), 0);
        for step in 0..700 {
            change(&store, &mut model, &mut numbers);
            match numbers.below(70) {
                0 => store.checkpoint().unwrap(),
                1 => store.compact().unwrap(),
                2 => {
                    store.close().unwrap();
                    store = open(step);
                }
                3 => while store.step().unwrap() {},
                4 | 5 => {
                    copies += 1;
                    let path = format!("/copies/{copies}");
                    copy_and_go_on(&disk, &store, (&path, &mut model.clone()), &mut numbers);
                    compare(&store.snapshot(), &model, "the source of a copy");
                }
                _ => {}
            }
        }
        assert!(copies > 8, "{copies}");
        drop(store);
        compare(&open(900).snapshot(), &model, "opened after copies were made of it");
        let of_tables = |warning: &&String| !warning.contains("/wal/");
        assert_eq!(disk.warnings().iter().find(of_tables), None, "no table is written again");
    }
}

/// Copies `store` to `path`, and the copy again; both must hold `model`, and take more.
fn copy_and_go_on(
    disk: &MemoryVfs,
    store: &Store,
    (path, model): (&str, &mut Model),
    numbers: &mut Numbers,
) {
    let copied = store.copy_to(path).unwrap();
    assert_eq!(copied.lsn, store.visible());
    assert_eq!(copied.tables, store.table_stats().tables);
    assert_eq!(copied.linked_tables, copied.tables);
    assert!(is_sound(disk, path));
    let copy = at(disk, path, copied.lsn.0).open().unwrap();
    assert!(copy.recovery().clean, "{:?}", copy.recovery());
    assert_eq!((copy.visible(), copy.durable()), (copied.lsn, copied.lsn));
    let (one, other) = (store.identity(), copy.identity());
    assert_ne!(one.store_id, other.store_id);
    assert!(one.term < other.term);
    let (mine, before) = other.ancestors.split_last().unwrap();
    assert_eq!((before, mine.store_id, mine.up_to), (&one.ancestors[..], one.store_id, copied.lsn));
    compare(&copy.snapshot(), model, path);
    assert_eq!(copy.snapshot().keyspaces(), store.snapshot().keyspaces());
    for step in 0..60 {
        change(&copy, model, numbers);
        if step == 30 {
            copy.checkpoint().unwrap();
        }
    }
    copy.compact().unwrap();
    compare(&copy.snapshot(), model, "a copy that went on");
    let path = format!("{path}-again");
    let again = copy.copy_to(&path).unwrap();
    drop(copy);
    let again_opened = at(disk, &path, again.lsn.0).open().unwrap();
    compare(&again_opened.snapshot(), model, "a copy of a copy");
    assert_eq!(again_opened.identity().ancestors.len(), one.ancestors.len() + 2);
    again_opened.close().unwrap();
    assert!(is_sound(disk, &path));
}

#[test]
fn a_copy_of_nothing_and_of_tables_alone_is_a_store() {
    let disk = MemoryVfs::new();
    let store = builder(&disk, 1).open().unwrap();
    let none = store.copy_to("/copies/none").unwrap();
    assert_eq!(none, Copied::default());
    let copy = at(&disk, "/copies/none", 2).open().unwrap();
    copy.commit(numbered(1)).unwrap();
    copy.close().unwrap();
    compare(&at(&disk, "/copies/none", 3).open().unwrap().snapshot(), &numbered_model(1), "none");
    for number in 1..=40 {
        store.commit(numbered(number)).unwrap();
    }
    store.checkpoint().unwrap();
    let tables = store.copy_to("/copies/tables").unwrap();
    assert_eq!((tables.lsn, tables.bytes), (store.visible(), 0), "nothing is in the log alone");
    let copy = at(&disk, "/copies/tables", 4).open().unwrap();
    compare(&copy.snapshot(), &numbered_model(40), "tables");
    let next = copy.commit(numbered(41)).unwrap().lsn;
    assert!(next > tables.lsn.next(), "a term of its own comes first");
}

#[test]
fn a_request_is_known_to_the_copy_whether_it_is_in_tables_or_in_the_log() {
    let disk = MemoryVfs::new();
    let store = builder(&disk, 1).log_kept(LogKept::Needed).open().unwrap();
    let ask = |store: &Store, id: &str| {
        let mut batch = Batch::new();
        batch.put(&keyspace(), b"000", id.as_bytes()).request(id, id.as_bytes());
        store.commit(batch).unwrap()
    };
    let first = ask(&store, "r-1");
    store.checkpoint().unwrap();
    let other = Keyspace::new("other").unwrap();
    let mut batch = Batch::new();
    batch.put(&other, b"k", b"v");
    store.commit(batch).unwrap();
    let second = ask(&store, "r-2");
    let copied = store.copy_to(COPY).unwrap();
    let third = ask(&store, "r-3");
    let copy = at(&disk, COPY, 2).open().unwrap();
    for (id, before) in [("r-1", &first), ("r-2", &second)] {
        let again = ask(&copy, id);
        assert_eq!(again.repeated.as_deref(), Some(id.as_bytes()));
        assert_eq!((again.lsn, again.time), (before.lsn, before.time));
    }
    assert!(third.lsn > copied.lsn);
    assert_eq!(ask(&copy, "r-3").repeated, None, "what came later is not in the copy");
    assert_eq!(copy.get(&other, b"k").unwrap().unwrap().value[..], b"v"[..]);
}

#[test]
fn a_table_in_both_stores_outlives_each_of_them() {
    let disk = MemoryVfs::new();
    let (store, model) = some_store(&disk, 5, LogKept::All);
    let copied = store.copy_to(COPY).unwrap();
    assert!(copied.linked_tables > 1, "{copied:?}");
    let tables = files(&disk, "/copies/one/tables", ".table");
    store.compact().unwrap();
    let left = files(&disk, "/store/tables", ".table");
    assert!(tables.iter().all(|table| !left.contains(table)), "{tables:?} {left:?}");
    store.close().unwrap();
    for (path, _) in disk.files() {
        if path.starts_with(STORE) {
            disk.remove(&path).unwrap();
        }
    }
    assert!(is_sound(&disk, COPY));
    compare(&at(&disk, COPY, 2).open().unwrap().snapshot(), &model, "its source is gone");
}

#[test]
fn a_copy_that_lost_its_list_of_tables_is_refused() {
    let disk = MemoryVfs::new();
    let (store, _) = some_store(&disk, 5, LogKept::Needed);
    store.copy_to(COPY).unwrap();
    disk.remove(Path::new("/copies/one/CURRENT")).unwrap();
    assert_eq!(at(&disk, COPY, 2).open().unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn what_was_committed_without_a_sync_is_in_the_copy_and_durable_by_then() {
    let disk = MemoryVfs::new();
    let store = builder(&disk, 1).open().unwrap();
    for number in 1..=20 {
        let mut batch = numbered(number);
        batch.durability(Durability::Memory);
        store.commit(batch).unwrap();
    }
    let copied = store.copy_to(COPY).unwrap();
    assert_eq!((copied.lsn, store.durable()), (store.visible(), store.visible()));
    compare(&at(&disk, COPY, 2).open().unwrap().snapshot(), &numbered_model(20), "the copy");
}

#[test]
fn nothing_is_put_into_a_log_before_what_is_to_be_copied_into_it() {
    let disk = MemoryVfs::new();
    let (machine, dir) = (runtime(&disk, 1), Path::new("/log"));
    let (seq, lsn, time) = (Seq(40), Lsn(30), Timestamp(9));
    let position = Position { seq, lsn, term: Term(2), chain: 7, time };
    let settings = OpenSettings { segment_bytes: 8192, ..OpenSettings::default() };
    make_empty_dir(dir, &machine).unwrap();
    let log = Wal::create_behind(dir, &machine, &settings, position).unwrap();
    while log.step().unwrap() {}
    assert_eq!((log.stats().appended, log.stats().time), (lsn, time));
}

fn fault(disk: &MemoryVfs, kind: Option<OperationKind>, path: &str, nth: u64, what: FaultKind) {
    let at = Selector { kind, path_contains: Some(path.to_owned()), nth };
    disk.plan(Fault { at, what, sticky: true });
}

#[test]
fn where_a_file_has_one_name_its_bytes_are_copied_and_compared() {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    for kind in [CrossesDevices, PermissionDenied, TooManyLinks, Unsupported] {
        let disk = MemoryVfs::new();
        let (store, model) = some_store(&disk, 6, LogKept::Needed);
        fault(&disk, Some(OperationKind::Link), "", 0, FaultKind::Error(kind));
        let copied = store.copy_to(COPY).unwrap();
        assert!(copied.tables > 1 && copied.linked_tables == 0, "{copied:?}");
        assert!(copied.bytes > 10_000, "{copied:?}");
        store.compact().unwrap();
        let copy = at(&disk, COPY, 2).open().unwrap();
        compare(&copy.snapshot(), &model, "copied");
        drop(copy);
        let table = files(&disk, "/store/tables", ".table").remove(0);
        disk.flip(Path::new("/store/tables").join(table), 9, 1).unwrap();
        let told = store.copy_to("/copies/rotten").unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Corrupt);
        assert!(told.place().path.as_ref().unwrap().starts_with("/store/tables"), "{told:?}");
        refused(&disk, "/copies/rotten");
    }
    let disk = MemoryVfs::new();
    let (store, _) = some_store(&disk, 6, LogKept::Needed);
    fault(&disk, Some(OperationKind::Link), "", 0, FaultKind::Error(io::ErrorKind::Other));
    assert_eq!(store.copy_to(COPY).unwrap_err().kind(), ErrorKind::Io, "that is no answer");
}

/// Whether nothing is in the directory; else it must be refused as a store, and not be touched.
fn refused(disk: &MemoryVfs, path: &str) -> bool {
    let there = |(file, _): &(std::path::PathBuf, u64)| file.starts_with(path);
    if disk.list(Path::new(path)).unwrap_or_default().is_empty() {
        return true;
    }
    let before: Vec<_> = disk.files().into_iter().filter(there).collect();
    let told = at(disk, path, 3).create(true).open().unwrap_err();
    let kinds = [ErrorKind::Invalid, ErrorKind::Corrupt];
    assert!(kinds.contains(&told.kind()), "{told:?}");
    let after: Vec<_> = disk.files().into_iter().filter(there).collect();
    assert_eq!(after, before, "it was touched");
    false
}

#[test]
fn only_a_missing_or_an_empty_directory_is_copied_into() {
    let disk = MemoryVfs::new();
    let (store, model) = some_store(&disk, 7, LogKept::All);
    disk.create_dir(Path::new("/empty")).unwrap();
    store.copy_to("/empty").unwrap();
    store.copy_to("/deep/er/copy").unwrap();
    let file = disk.open(Path::new("/file"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"mine", 0).unwrap();
    for taken in [STORE, "/empty", "/file", "/deep"] {
        let before = disk.content_hash();
        let told = store.copy_to(taken).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Invalid, "{told:?}");
        assert_eq!(told.place().path.as_deref(), Some(Path::new(taken)));
        assert_eq!(disk.content_hash(), before);
    }
    for path in ["/empty", "/deep/er/copy"] {
        let image = disk.crash_with(jidoka::vfs::memory::CrashMode::Nothing);
        compare(&at(&image, path, 9).open().unwrap().snapshot(), &model, path);
    }
    store.close().unwrap();
    assert_eq!(store.copy_to(COPY).unwrap_err().kind(), ErrorKind::Closed);
    assert!(refused(&disk, COPY));
}

#[test]
fn a_backup_of_a_log_without_its_beginning_says_what_to_do() {
    let disk = MemoryVfs::new();
    let (store, _) = some_store(&disk, 11, LogKept::All);
    store.copy_to(COPY).unwrap();
    store.close().unwrap();
    let machine = runtime(&disk, 12);
    let told = backup(Path::new(COPY), Path::new("/backup"), &machine).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Expired);
    assert!(told.message().contains("Store::copy_to"), "{told:?}");
    assert!(disk.list(Path::new("/backup")).is_err(), "nothing was begun");
    backup(Path::new(STORE), Path::new("/backup"), &machine).unwrap();
}

/// Copies while `meanwhile` happens to the source once, at the first such operation of the copy.
fn copy_with(
    disk: &MemoryVfs,
    store: &Store,
    kind: OperationKind,
    mut meanwhile: impl FnMut(&Store) + Send + 'static,
) -> Result<Copied> {
    let (other, mut done) = (store.clone(), false);
    disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        if !done && operation.kind == kind && operation.path.starts_with(COPY) {
            done = true;
            meanwhile(&other);
        }
    }));
    let copied = store.copy_to(COPY);
    disk.clear_observer();
    copied
}

#[test]
fn what_a_copy_needs_is_neither_removed_nor_released_before_it_has_it() {
    for kind in [OperationKind::CreateDir, OperationKind::Write, OperationKind::Link] {
        let disk = MemoryVfs::new();
        let (store, model) = some_store(&disk, 8, LogKept::Needed);
        let oldest = store.log_stats().oldest;
        let copied = copy_with(&disk, &store, kind, |store| {
            let (mut model, mut numbers) = (Model::new(), Numbers(2));
            for _ in 0..600 {
                change(store, &mut model, &mut numbers);
            }
            store.compact().unwrap();
        });
        let copied = copied.unwrap();
        assert!(copied.tables > 1 && copied.lsn < store.visible());
        compare(&at(&disk, COPY, 2).open().unwrap().snapshot(), &model, "a copy of before");
        let listed = store.table_stats().tables;
        assert_eq!(files(&disk, "/store/tables", ".table").len() as u64, listed, "all else went");
        for number in 1..=300 {
            store.commit(numbered(number)).unwrap();
        }
        store.checkpoint().unwrap();
        assert!(store.log_stats().oldest > oldest, "and nothing is held any more");
        assert_eq!(store.log_stats().pins, 0);
    }
}

/// What was in the store when the copy began, and the copy itself.
fn copied_images(kept: LogKept) -> (u64, Vec<(String, MemoryVfs)>) {
    let disk = MemoryVfs::new();
    let store = builder(&disk, 1).segment_bytes(16 << 10).log_kept(kept).open().unwrap();
    for number in 1..=90_u64 {
        store.commit(numbered(number)).unwrap();
        if number == 30 || number == 50 {
            store.checkpoint().unwrap();
        }
    }
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&taken);
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        for (mode, _, image) in images(disk, operation.number) {
            let (number, kind) = (operation.number, operation.kind);
            let name = format!("after {number} {kind:?} {}, {mode}", operation.path.display());
            sink.lock().push((name, image));
        }
    }));
    store.copy_to(COPY).unwrap();
    disk.clear_observer();
    let images = std::mem::take(&mut *taken.lock());
    (90, images)
}

fn last(store: &Store) -> u64 {
    let last = store.get(&keyspace(), b"last").unwrap().unwrap();
    u64::from_le_bytes((*last.value).try_into().unwrap())
}

#[test]
fn a_crash_at_every_operation_leaves_the_source_whole_and_the_copy_complete_or_refused() {
    for kept in [LogKept::All, LogKept::Needed] {
        let (commits, images) = copied_images(kept);
        let (mut absent, mut refusals, mut complete) = (0, 0, 0);
        for (name, image) in &images {
            let store = builder(image, 2).open().unwrap_or_else(|told| panic!("{name}: {told:?}"));
            assert_eq!(last(&store), commits, "{name}");
            compare(&store.snapshot(), &numbered_model(commits), name);
            let is_store = image.read_file("/copies/one/IDENTITY").is_ok();
            let opened = at(image, COPY, 3).open();
            assert_eq!(opened.is_ok(), is_store, "{name}: {opened:?}");
            match opened {
                Ok(copy) => {
                    complete += 1;
                    compare(&copy.snapshot(), &numbered_model(commits), name);
                    copy.commit(numbered(commits + 1)).unwrap();
                    copy.compact().unwrap();
                    compare(&copy.snapshot(), &numbered_model(commits + 1), name);
                }
                Err(_) if refused(image, COPY) => absent += 1,
                Err(_) => refusals += 1,
            }
            store.copy_to("/copies/two").unwrap_or_else(|told| panic!("{name}: {told:?}"));
        }
        assert!(absent > 5 && refusals > 200 && complete > 2, "{absent} {refusals} {complete}");
    }
}

#[test]
fn whatever_fails_in_a_copy_fails_it_alone() {
    let mut finished = false;
    for nth in 0.. {
        let disk = MemoryVfs::new();
        let (store, mut model) = some_store(&disk, 9, LogKept::Needed);
        fault(&disk, None, "/copies", nth, FaultKind::Error(io::ErrorKind::Other));
        let outcome = store.copy_to(COPY);
        if disk.faults_fired() == 0 {
            assert!(outcome.is_ok() && nth > 40, "{nth}");
            finished = true;
            break;
        }
        change(&store, &mut model, &mut Numbers(nth));
        store.compact().unwrap();
        compare(&store.snapshot(), &model, "its copy failed");
        assert_eq!(store.log_stats().pins, 0);
        let image = disk.kill();
        if at(&image, COPY, 3).open().is_ok() {
            // Only the last sync, of the name of a whole identity, comes too late to matter.
            assert!(outcome.is_err());
            continue;
        }
        outcome.unwrap_err();
        refused(&image, COPY);
    }
    assert!(finished);
}

#[test]
fn on_a_full_disk_the_copy_fails_and_the_source_goes_on() {
    let (mut failed, mut left) = (0, 0);
    loop {
        let disk = MemoryVfs::new();
        let (store, mut model) = some_store(&disk, 10, LogKept::All);
        fault(
            &disk,
            Some(OperationKind::Link),
            "",
            0,
            FaultKind::Error(io::ErrorKind::Unsupported),
        );
        let used: u64 = disk.files().iter().map(|(_, size)| size).sum();
        disk.set_capacity(Some(used + left));
        let outcome = store.copy_to(COPY);
        disk.set_capacity(None);
        change(&store, &mut model, &mut Numbers(left));
        compare(&store.snapshot(), &model, "after a full disk");
        if let Ok(copied) = outcome {
            assert!(at(&disk, COPY, 3).open().unwrap().visible() == copied.lsn);
            break;
        }
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Full);
        refused(&disk, COPY);
        let copied = store.copy_to("/copies/two").unwrap();
        assert_eq!(at(&disk, "/copies/two", 3).open().unwrap().visible(), copied.lsn);
        (failed, left) = (failed + 1, left + 20_000);
    }
    assert!(failed > 5, "{failed}");
}

/// A value that says which commit of its thread wrote it.
fn counted(thread: u64, count: u64) -> Batch {
    let mut batch = Batch::new();
    let (own, all) = (Keyspace::new(&format!("t{thread}")).unwrap(), keyspace());
    batch.put(&own, b"count", &count.to_le_bytes());
    batch.put(&all, format!("{thread}-{}", count % 50).as_bytes(), &[count as u8; 200]);
    batch
}

fn count_of(store: &Store, thread: u64) -> u64 {
    let found = store.get(&Keyspace::new(&format!("t{thread}")).unwrap(), b"count").unwrap();
    found.map_or(0, |found| u64::from_le_bytes((*found.value).try_into().unwrap()))
}

#[test]
fn four_writers_go_on_while_copies_are_made_and_each_copy_is_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let open = |path: &Path| Store::builder(path).segment_bytes(64 << 10).memory_limit(0);
    let store = open(&path).log_kept(LogKept::Needed).open().unwrap();
    let done: [AtomicU64; 4] = Default::default();
    let stop = AtomicBool::new(false);
    store.commit(numbered(1)).unwrap();
    let mut copies: Vec<(Result<Copied>, [u64; 4], [u64; 4])> = Vec::new();
    thread::scope(|scope| {
        for (number, done) in (0..).zip(&done) {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    store.commit(counted(number, count)).unwrap();
                    done.store(count, Ordering::Release);
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.compact().unwrap();
            }
        });
        for number in 0..8 {
            let counts = || [0, 1, 2, 3].map(|at: usize| done[at].load(Ordering::Acquire));
            let before = counts();
            let copied = store.copy_to(dir.path().join(format!("copy-{number}")));
            copies.push((copied, before, counts()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let has_tables = |copied: &Result<Copied>| copied.as_ref().is_ok_and(|made| made.tables > 0);
    assert!(copies.iter().any(|(copied, ..)| has_tables(copied)), "{copies:?}");
    for (number, (copied, before, after)) in copies.into_iter().enumerate() {
        let copied = copied.unwrap();
        let path = dir.path().join(format!("copy-{number}"));
        let report = verify(&path, &Runtime::default(), false).unwrap();
        assert!(report.damage.is_empty(), "{:?}", report.damage);
        let copy = open(&path).create(false).open().unwrap();
        assert_eq!(copy.visible(), copied.lsn);
        let counts = [0, 1, 2, 3].map(|thread| count_of(&copy, thread));
        for (thread, count) in counts.into_iter().enumerate() {
            let range = before[thread]..=after[thread] + 1;
            assert!(range.contains(&count), "{count} of {range:?}");
            for earlier in count.saturating_sub(49).max(1)..=count {
                let key = format!("{thread}-{}", earlier % 50).into_bytes();
                let value = copy.get(&keyspace(), &key).unwrap().unwrap().value;
                assert!(value.iter().all(|byte| *byte == earlier as u8), "{thread} {earlier}");
            }
        }
        // A term began, one commit came before, and the others are theirs: nothing else is there.
        assert_eq!(counts.iter().sum::<u64>() + 2, copied.lsn.0, "{counts:?}");
        copy.commit(counted(0, 1)).unwrap();
        assert!(copy.visible() > Lsn(copied.lsn.0 + 1));
    }
}
