//! Looking at a damaged store and salvaging it, from the command line.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::fs;
use std::path::{Path, PathBuf};

use jidoka::base::{Lsn, SegmentNumber, StoreId, Term};
use jidoka::doc::Documents;
use jidoka::vfs::Runtime;
use jidoka::wal::LogReader;
use jidoka::wal::reader::Limit;
use jidoka::wal::salvage::plan::Plan;
use serde_json::{Value, json};

use super::program::{place, run};

const SEGMENT: &str = "wal/0000000000000001.wal";

/// A closed store of three pots, `p1` to `p3`, each of its own commit.
fn store_of_pots() -> (tempfile::TempDir, PathBuf) {
    let (dir, store) = place();
    for number in 1..=3 {
        let doc = json!({"number": number}).to_string();
        run(&store, &["put", "pots", &format!("p{number}")], &doc).ok();
    }
    (dir, store)
}

/// Breaks the commit of `p2`; gives where it is.
fn break_the_second(store: &Path) -> u64 {
    let mut reader = LogReader::open(store, &Runtime::default()).unwrap();
    let mut found = None;
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        if record.header.lsn.0 == 3 && record.header.kind.takes_lsn() {
            found = Some(record.offset);
        }
    }
    let offset = found.unwrap();
    let mut bytes = fs::read(store.join(SEGMENT)).unwrap();
    bytes[offset as usize + 80] ^= 1;
    fs::write(store.join(SEGMENT), bytes).unwrap();
    offset
}

/// Every file below `dir` with its bytes.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
        } else {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

const READS: [&[&str]; 6] = [
    &["get", "pots", "p1"],
    &["list", "pots"],
    &["query", "pots", "--where", "number < 9"],
    &["dump"],
    &["export"],
    &["stats"],
];

#[test]
fn a_damaged_store_is_shown_up_to_the_damage_and_nothing_is_written() {
    let (_dir, store) = store_of_pots();
    let offset = break_the_second(&store);
    let before = tree(&store);
    for command in READS {
        let looked = run(&store, &[command, &["--read-only", "--json"]].concat(), "");
        let error = looked.refused(13, "corrupt");
        assert_eq!(error["path"], SEGMENT);
        assert_eq!((&error["offset"], &error["lsn"]), (&json!(offset), &json!(3)));
        assert!(error["message"].as_str().unwrap().starts_with("only up to commit 2: "), "{error}");
        // What is before the damage comes first.
        let lines = looked.lines();
        assert_eq!(lines.len(), 2, "{command:?}: {lines:?}");
        let text = lines[0].to_string();
        assert!(
            text.contains(if command[0] == "stats" { "\"documents\":1" } else { "p1" }),
            "{text}"
        );
        assert_eq!(tree(&store), before, "{command:?} wrote something");
        let strict = run(&store, &[command, &["--json"]].concat(), "");
        strict.refused(13, "corrupt");
        assert_eq!(strict.lines().len(), 1, "without the flag nothing is shown");
        fs::write(
            store.join("LOCK"),
            &before.iter().find(|file| file.0.ends_with("LOCK")).unwrap().1,
        )
        .unwrap();
    }
    // What is not found may be behind the damage.
    let missing = run(&store, &["get", "pots", "p3", "--read-only", "--json"], "");
    missing.refused(13, "corrupt");
}

#[test]
fn a_whole_store_is_read_without_writing_also_beside_a_writer() {
    let (_dir, store) = store_of_pots();
    let before = tree(&store);
    for command in READS {
        let looked = run(&store, &[command, &["--read-only", "--json"]].concat(), "").ok();
        assert_eq!(tree(&store), before, "{command:?} wrote something");
        assert_eq!(looked.stderr, "");
        let opened = run(&store, &[command, &["--json"]].concat(), "").ok();
        if command[0] != "stats" {
            assert_eq!(looked.stdout, opened.stdout, "{command:?}");
        }
        fs::write(
            store.join("LOCK"),
            &before.iter().find(|file| file.0.ends_with("LOCK")).unwrap().1,
        )
        .unwrap();
    }
    let writer = Documents::open(&store).unwrap();
    run(&store, &["list", "pots", "--json"], "").refused(11, "locked");
    let looked = run(&store, &["list", "pots", "--read-only"], "").ok();
    assert_eq!(looked.lines().len(), 3);
    assert!(looked.stderr.contains("a writer may hold the store"), "{looked:?}");
    let quiet = run(&store, &["list", "pots", "--read-only", "-q"], "").ok();
    assert_eq!(quiet.stderr, "");
    writer.store().close().unwrap();
    let stats = run(&store, &["stats", "--read-only", "--json"], "").ok().json();
    assert_eq!((&stats["lsn"], &stats["durable_lsn"]), (&json!(4), &json!(4)));
    assert_eq!((&stats["documents"], &stats["log"]["segments"]), (&json!(3), &json!(1)));
}

#[test]
fn read_only_is_for_commands_that_read_a_store_that_is_there() {
    let (dir, store) = store_of_pots();
    for command in [&["put", "pots", "x"][..], &["delete", "pots", "p1"], &["import", "x.json"]] {
        run(&store, &[command, &["--read-only", "--json"]].concat(), "{}").refused(2, "invalid");
    }
    let nowhere = dir.path().join("nowhere");
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("notes.txt"), "mine").unwrap();
    for command in READS {
        let command = [command, &["--read-only", "--json"]].concat();
        run(&nowhere, &command, "").refused(4, "not_found");
        assert!(!nowhere.exists());
        run(&foreign, &command, "").refused(2, "invalid");
    }
}

#[test]
fn a_damaged_log_is_salvaged_only_with_leave_and_says_what_is_lost() {
    let (_dir, store) = store_of_pots();
    let offset = break_the_second(&store);
    let segment = fs::read(store.join(SEGMENT)).unwrap();
    let planned = run(&store, &["log", "salvage", "--json"], "");
    assert_eq!(planned.code, 13, "{planned:?}");
    assert!(planned.stderr.contains("nothing was changed"), "{planned:?}");
    assert_eq!(fs::read(store.join(SEGMENT)).unwrap(), segment);
    assert!(!store.join("quarantine").exists());
    let mut told = planned.json();
    assert_eq!(told["damage"]["offset"], json!(offset));
    assert_eq!((&told["damage"]["path"], &told["damage"]["lsn"]), (&json!(SEGMENT), &json!(3)));
    assert_eq!((&told["kept_lsn"], &told["term"]), (&json!(2), &json!(2)));
    let lost = &told["lost"];
    assert_eq!((&lost["first_lsn"], &lost["last_lsn"]), (&json!(3), &json!(4)));
    assert!(lost["intact_commits"] == 1 && lost["bytes"].as_u64().unwrap() > 200, "{lost}");
    let people = run(&store, &["log", "salvage"], "");
    assert_eq!(people.code, 13);
    assert!(people.stdout.contains("commits 3 to 4, 1 of them intact"), "{people:?}");

    let done = run(&store, &["log", "salvage", "--yes", "--json"], "").ok().json();
    assert_eq!(told["quarantine"], Value::Null);
    (told["done"], told["quarantine"]) = (json!(true), json!("quarantine/1"));
    assert_eq!(done, told);
    let kept = store.join("quarantine/1/0000000000000001.wal");
    assert_eq!(fs::read(kept).unwrap(), segment);
    run(&store, &["verify"], "").ok();
    assert_eq!(run(&store, &["list", "pots"], "").ok().lines().len(), 1);
    assert_eq!(run(&store, &["put", "pots", "p4"], "{}").ok().json()["lsn"], 4);
    let again = run(&store, &["log", "salvage", "--yes", "--json"], "").ok().json();
    assert_eq!(again, json!({"done": false, "damage": null}));
    let people = run(&store, &["log", "salvage"], "").ok();
    assert!(people.stdout.contains("not damaged"), "{people:?}");
}

#[test]
fn the_plan_of_a_salvage_is_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("SALVAGE");
    let plan = Plan {
        store_id: StoreId([7; 16]),
        quarantine: 3,
        segment: SegmentNumber(4),
        keep_bytes: 5000,
        keeps_behind: false,
        term: Term(2),
        kept: Lsn(9),
        lost: Lsn(11),
        lost_commits: 1,
        lost_bytes: 99,
    };
    let look = || run(dir.path(), &["inspect", file.to_str().unwrap(), "--json"], "");
    fs::write(&file, plan.encode()).unwrap();
    let told = look().ok().json();
    assert_eq!(told["kind"], "plan of a salvage that did not end");
    let fact = |name: &str| told[name].as_u64().unwrap();
    let names = ["quarantine", "segment", "keep_bytes", "kept_lsn", "lost_lsn", "term"];
    assert_eq!(names.map(fact), [3, 4, 5000, 9, 11, 2]);
    fs::write(&file, &plan.encode()[1..]).unwrap();
    assert_eq!((look().code, &look().json()["whole"]), (13, &json!(false)), "by its name");
}

#[test]
fn a_salvage_refuses_what_is_not_for_it() {
    let (dir, store) = store_of_pots();
    for arguments in [&["log", "salvage", "--force"][..], &["log", "salvage", "here"]] {
        run(&store, &[arguments, &["--json"]].concat(), "").refused(2, "invalid");
    }
    let nowhere = dir.path().join("nowhere");
    run(&nowhere, &["log", "salvage", "--yes", "--json"], "").refused(4, "not_found");
    assert!(!nowhere.exists());
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("notes.txt"), "mine").unwrap();
    run(&foreign, &["log", "salvage", "--yes", "--json"], "").refused(2, "invalid");
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
    let writer = Documents::open(&store).unwrap();
    run(&store, &["log", "salvage", "--json"], "").refused(11, "locked");
    run(&store, &["log", "salvage", "--yes", "--json"], "").refused(11, "locked");
    writer.store().close().unwrap();
    let identity = fs::read(store.join("IDENTITY")).unwrap();
    fs::write(store.join("IDENTITY"), &identity[1..]).unwrap();
    run(&store, &["log", "salvage", "--yes", "--json"], "").refused(13, "corrupt");
    assert!(!store.join("quarantine").exists());
}
