//! Wrong places, wrong names and readers that go away: refused, and nothing is harmed.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jidoka::archive::backup;
use jidoka::base::{ErrorKind, Lsn, Timestamp};
use jidoka::doc::{Condition, Documents};
use jidoka::ops::verify;
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::Runtime;
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, OperationKind, Selector, runtime,
};
use jidoka::wal::format::Kind;
use jidoka::wal::reader::{Limit, LogReader};
use jidoka::wal::scan::Record;
use jidoka::wal::{Appending, Durability, OpenSettings, Payload, Wal};
use serde_json::json;

use super::program::{place, program, run};

#[test]
fn a_copy_inside_the_store_and_a_store_inside_the_copy_are_refused() {
    let (dir, store) = place();
    run(&store, &["put", "c", "a"], "1").ok();
    let inside = store.join("missing").join("copy");
    run(&store, &["backup", inside.to_str().unwrap(), "--json"], "").refused(2, "invalid");
    assert!(!store.join("missing").exists());
    let file = store.join("wal").join("list.jsonl");
    run(&store, &["export", "-o", file.to_str().unwrap(), "--json"], "").refused(2, "invalid");
    let copy = dir.path().join("copy");
    let copy_name = copy.to_str().unwrap();
    run(&store, &["backup", copy_name], "").ok();
    let inside = copy.join("again");
    let restore = ["restore", "--from", copy_name, "--latest", "--json", "-o"];
    run(&store, &[&restore[..], &[inside.to_str().unwrap()]].concat(), "").refused(2, "invalid");
    assert!(!inside.exists());
}

#[test]
fn an_export_touches_no_file_but_its_own() {
    let (dir, store) = place();
    run(&store, &["put", "c", "a"], "1").ok();
    let file = dir.path().join("all.jsonl");
    let neighbours = ["all.jsonl.tmp", "all.jsonl.1.tmp"].map(|name| dir.path().join(name));
    for neighbour in &neighbours {
        fs::write(neighbour, "mine").unwrap();
    }
    run(&store, &["export", "-o", file.to_str().unwrap()], "").ok();
    assert!(fs::read_to_string(&file).unwrap().contains("\"a\""));
    for neighbour in &neighbours {
        assert_eq!(fs::read_to_string(neighbour).unwrap(), "mine");
    }
    let device = ["export", "-o", "/dev/null", "--yes", "--json"];
    run(&store, &device, "").refused(2, "invalid");
    let nowhere = dir.path().join("nowhere").join("all.jsonl");
    let nowhere = ["export", "-o", nowhere.to_str().unwrap(), "--json"];
    run(&store, &nowhere, "").refused(4, "not_found");
}

#[test]
fn a_time_after_every_year_is_not_reached_and_the_covered_end_is_told() {
    let (dir, store) = place();
    run(&store, &["put", "c", "a"], "1").ok();
    let copy = dir.path().join("copy");
    run(&store, &["backup", copy.to_str().unwrap()], "").ok();
    let target = dir.path().join("target");
    let arguments = ["restore", "--from", copy.to_str().unwrap(), "--json", "--to-time"];
    let far = ["9999-12-31T23:59:59Z", "-o", target.to_str().unwrap()];
    let error = run(&store, &[&arguments[..], &far].concat(), "").refused(14, "unreachable");
    let told = error["message"].as_str().unwrap();
    let covered = told.split_whitespace().find(|word| word.ends_with("Z,")).unwrap();
    assert_eq!(covered.len(), "2026-03-09T16:30:00.000000Z,".len(), "{told}");
}

#[test]
fn a_put_under_an_impossible_name_creates_no_store() {
    let (_dir, store) = place();
    run(&store, &["put", "", "a", "--json"], "1").refused(2, "invalid");
    run(&store, &["put", "c", "", "--json"], "1").refused(2, "invalid");
    assert!(!store.exists());
}

#[test]
fn apply_is_not_done_when_nobody_reads_its_answers() {
    let (_dir, store) = place();
    let line = "{\"op\":\"put\",\"collection\":\"c\",\"doc\":1}\n";
    let mut child = program(&store).arg("apply").spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    // The pipe may break while it is filled.
    let _gone = std::io::Write::write_all(&mut input, line.repeat(100).as_bytes());
    drop(input);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(74));
}

/// A store of one segment with one document, and its only segment file.
fn one_document() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let (dir, store) = place();
    run(&store, &["put", "c", "a"], "1").ok();
    let segment = store.join("wal").join("0000000000000001.wal");
    (dir, store, segment)
}

#[test]
fn a_log_whose_last_file_was_cut_is_refused_by_every_reader() {
    let (_dir, store, segment) = one_document();
    fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(1 << 20).unwrap();
    run(&store, &["stats", "--json"], "").refused(13, "corrupt");
    let report = verify(&store, &Runtime::default(), false).unwrap();
    let places: Vec<_> = report.damage.iter().map(|damage| damage.offset).collect();
    assert_eq!(places, [Some(1 << 20)]);
    run(&store, &["changes", "--json"], "").refused(13, "corrupt");
}

#[test]
fn a_log_without_its_identity_or_its_first_file_is_damaged_for_followers_too() {
    let (_dir, store, segment) = one_document();
    let identity = fs::read(store.join("IDENTITY")).unwrap();
    fs::remove_file(store.join("IDENTITY")).unwrap();
    run(&store, &["changes", "--json"], "").refused(13, "corrupt");
    fs::write(store.join("IDENTITY"), identity).unwrap();
    fs::remove_file(segment).unwrap();
    run(&store, &["changes", "--json"], "").refused(13, "corrupt");
}

#[test]
fn verify_beside_a_writer_names_the_holder() {
    let (_dir, store) = place();
    let held = Documents::open(&store).unwrap();
    let error = verify(&store, &Runtime::default(), false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.message().contains(&std::process::id().to_string()), "{error}");
    held.store().close().unwrap();
}

#[test]
fn a_check_of_the_end_does_not_run_after_a_writer() {
    let (dir, store) = place();
    let docs = Documents::over(Store::builder(&store).open().unwrap());
    let runtime = Runtime::default();
    let mut reader = LogReader::open(&store, &runtime).unwrap();
    while reader.next(Limit::Claims).unwrap().is_some() {}
    for number in 0..100 {
        docs.put("c", "a", &json!(number), Condition::None).unwrap();
    }
    let before = reader.position().seq;
    reader.check_end().unwrap();
    assert_eq!(reader.position().seq, before.next());
    let report = backup(&store, &dir.path().join("copy"), &runtime).unwrap();
    assert!(report.to_lsn.0 >= 100, "{report:?}");
    docs.store().close().unwrap();
}

/// Appends, and panics once the record is in the log's memory.
struct Panics;

impl Appending for Panics {
    fn check(&mut self) -> jidoka::base::Result<()> {
        Ok(())
    }

    fn appended(&mut self, _: Lsn, _: Timestamp) {
        panic!("in the middle of a commit");
    }
}

#[test]
fn a_panic_in_the_middle_of_a_commit_stops_the_log_and_writes_nothing_of_it() {
    let disk = MemoryVfs::new();
    let open = || {
        let mut commits = 0;
        let mut count = |record: &Record<'_>| {
            commits += u64::from(record.header.kind == Kind::Commit);
            Ok(())
        };
        let opened =
            Wal::open("/s".as_ref(), &runtime(&disk, 1), &OpenSettings::default(), &mut count);
        (opened.unwrap(), commits)
    };
    let (wal, _) = open();
    let payload = Payload::new(vec![7; 40]);
    let append = || wal.append(&payload, Durability::Sync, &mut Panics);
    catch_unwind(AssertUnwindSafe(append)).unwrap_err();
    assert_eq!(append().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(wal.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(wal.close().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(open().1, 0);
}

#[test]
fn a_close_that_finds_no_room_makes_durable_what_was_appended() {
    let disk = MemoryVfs::new();
    let open = |disk: &MemoryVfs| {
        Store::builder("/s").segment_bytes(8192).runtime(runtime(disk, 1)).open().unwrap()
    };
    let keyspace = Keyspace::new("k").unwrap();
    let store = open(&disk);
    let mut batch = Batch::new();
    batch.put(&keyspace, b"key", &[7; 300]).durability(Durability::Memory);
    store.commit(batch).unwrap();
    let at = Selector { kind: Some(OperationKind::Create), path_contains: None, nth: 0 };
    disk.plan(Fault { at, what: FaultKind::NoSpace, sticky: true });
    // Deletes may use what is kept for a full disk, and here they use all of it.
    let delete = || {
        let mut batch = Batch::new();
        batch.delete(&keyspace, b"another").durability(Durability::Memory);
        store.commit(batch)
    };
    let refused = (0..100).find_map(|_| delete().err()).unwrap();
    assert_eq!(refused.kind(), ErrorKind::Full);
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Full);
    let cut = disk.crash_with(CrashMode::Nothing);
    assert!(open(&cut).get(&keyspace, b"key").unwrap().is_some());
}
