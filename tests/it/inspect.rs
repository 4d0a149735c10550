//! `inspect`: what it says of every file there is, and of bytes that are none.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::fs;
use std::path::{Path, PathBuf};

use jidoka::ops::inspect;
use jidoka::vfs::Runtime;
use jidoka::wal::{Durability, OpenSettings, Wal};
use serde_json::{Value, json};

use super::program::{Done, place, run};

fn look(file: &Path) -> Done {
    run(Path::new("nowhere"), &["inspect", file.to_str().unwrap(), "--json"], "")
}

/// A store of three segments, closed, and a copy of it.
fn store_and_copy() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let (dir, store) = place();
    let made = jidoka::store::Store::builder(&store).segment_bytes(16 << 10).open().unwrap();
    let docs = jidoka::doc::Documents::over(made);
    for number in 0..90 {
        let doc = json!({"number": number, "text": "x".repeat(300)});
        docs.put("c", &format!("{number}"), &doc, jidoka::doc::Condition::None).unwrap();
    }
    docs.store().close().unwrap();
    let copy = dir.path().join("copy");
    run(&store, &["backup", copy.to_str().unwrap()], "").ok();
    (dir, store, copy)
}

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_of(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn segment(store: &Path, number: u64) -> PathBuf {
    store.join(format!("wal/{number:016}.wal"))
}

#[test]
fn the_beginning_of_a_log_says_the_oldest_commit_and_a_damaged_one_that_it_is() {
    let (_dir, place) = place();
    let settings = OpenSettings { segment_bytes: 8192, ..OpenSettings::default() };
    let log = Wal::open_alone(&place, &settings).unwrap();
    let commit = || log.commit(vec![7; 1000], Durability::Sync).unwrap();
    let last = (0..12).map(|_| commit()).max().unwrap();
    let oldest = log.release(last).unwrap().oldest;
    // Spares that were made before the release are used first, as many as there are.
    let is_used_again = |_: &u32| commit() > last && log.stats().recycled_segments > 0;
    assert!((0..2000).any(|number| is_used_again(&number)), "no file was used again");
    // More than spares can be: then it is a segment of the log.
    assert!((0..400).all(|_| commit() > last));
    log.close().unwrap();
    let file = place.join("wal/FIRST");
    let said = look(&file).ok().json();
    assert_eq!((&said["kind"], &said["whole"]), (&json!("beginning of the log"), &json!(true)));
    assert_eq!(said["oldest_lsn"], json!(oldest.0));
    let recycled = files_of(&place.join("wal"))
        .iter()
        .filter(|path| {
            path.extension().is_some_and(|kind| kind == "wal")
                && look(path).ok().json()["former"] != json!(null)
        })
        .count();
    assert!(recycled > 0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[70] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(look(&file).json()["whole"], json!(false));
}

#[test]
fn every_file_of_a_store_and_of_a_copy_is_whole_and_has_a_name() {
    let (_dir, store, copy) = store_and_copy();
    let mut kinds = Vec::new();
    for file in files_of(&store).iter().chain(&files_of(&copy)) {
        let said = look(file).ok().json();
        assert_eq!((&said["whole"], &said["damage"]), (&json!(true), &json!([])), "{file:?}");
        kinds.push(said["kind"].as_str().unwrap().to_owned());
    }
    for kind in ["identity of a store", "segment of the log", "range of a copy", "end of a copy"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} in {kinds:?}");
    }
}

#[test]
fn a_segment_is_told_as_log_list_tells_it() {
    let (_dir, store, copy) = store_and_copy();
    let listed = run(&store, &["log", "list", "--json"], "").ok().json();
    let segments = listed["segments"].as_array().unwrap();
    assert!(segments.len() > 2);
    for listed in segments.iter().filter(|segment| segment["state"] != "pool") {
        let said = look(&store.join(listed["path"].as_str().unwrap())).ok().json();
        for name in ["segment", "first_seq", "last_seq", "first_lsn", "last_lsn", "records"] {
            assert_eq!(said[name], listed[name], "{name}: {said}");
        }
        let sealed = listed["state"] == "sealed";
        assert_eq!(said["state"], if sealed { "sealed" } else { "closed cleanly" });
    }
    let stats = run(&store, &["stats", "--json"], "").ok().json();
    let range = files_of(&copy.join("log")).pop().unwrap();
    assert_eq!(look(&range).ok().json()["last_lsn"], stats["lsn"]);
    let identity = look(&store.join("IDENTITY")).ok().json();
    assert_eq!(identity["store_id"], stats["store_id"]);
    let words = run(&store, &["inspect", store.join("IDENTITY").to_str().unwrap()], "").ok();
    assert!(words.stdout.contains("identity of a store") && words.stdout.contains("whole"));
}

#[test]
fn damage_below_a_claim_is_told_with_its_place_and_a_torn_end_is_not_damage() {
    let (_dir, store, _) = store_and_copy();
    let file = segment(&store, 2);
    let whole = look(&file).ok().json();
    let mut bytes = fs::read(&file).unwrap();
    bytes[8000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let done = look(&file);
    assert_eq!((done.code, &done.json()["whole"]), (13, &json!(false)));
    let damage = done.json()["damage"][0].clone();
    let offset = damage["offset"].as_u64().unwrap();
    assert!((7000..=8000).contains(&offset) && damage["lsn"].is_u64(), "{damage}");
    assert_eq!(done.json()["last_lsn"], whole["last_lsn"], "it goes on behind the damage");
    let words = run(&store, &["inspect", file.to_str().unwrap()], "");
    assert!(words.code == 13 && words.stdout.contains("damage at offset"), "{words:?}");
    // The last segment, without its clean close and with garbage in its place.
    let is_last = |done: &Done| done.code == 0 && done.json()["state"] == "closed cleanly";
    let files = files_of(&store.join("wal"));
    let last = files.into_iter().find(|file| is_last(&look(file))).unwrap();
    let said = look(&last).ok().json();
    let end = 4096 + said["record_bytes"].as_u64().unwrap() as usize;
    let mut bytes = fs::read(&last).unwrap();
    bytes[end - 60..end + 9].fill(0x77);
    fs::write(&last, &bytes).unwrap();
    let torn = look(&last).ok().json();
    assert!(torn["torn_bytes"].as_u64().unwrap() >= 69, "{torn}");
    assert_eq!(torn["state"], "written to");
}

#[test]
fn whatever_is_cut_or_flipped_is_told_and_never_a_panic() {
    let (dir, store, copy) = store_and_copy();
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let runtime = Runtime::default();
    let mut seed = 42_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    let range = files_of(&copy.join("log")).pop().unwrap();
    let files =
        [segment(&store, 1), segment(&store, 3), store.join("IDENTITY"), copy.join("END"), range];
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let place = scratch.join(file.file_name().unwrap());
        let is_segment = file.extension().is_some_and(|extension| extension == "wal");
        for round in 0..150 {
            let mut bytes = bytes.clone();
            let is_cut = round % 3 == 0;
            if is_cut {
                bytes.truncate(random(bytes.len()));
            } else {
                for _ in 0..=round % 5 {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }
            }
            fs::write(&place, &bytes).unwrap();
            let said = inspect(&place, &runtime);
            // A flipped bit of a segment may be in zeroes that nobody wrote to.
            let told = said.is_ok_and(|said| !said.is_whole());
            assert!(told || (is_segment && bytes.len() > 4096), "{file:?}, round {round}");
        }
        let mut noise = vec![0_u8; 20_000];
        noise.iter_mut().for_each(|byte| *byte = random(256) as u8);
        fs::write(&place, &noise).unwrap();
        assert!(!inspect(&place, &runtime).unwrap().is_whole(), "{file:?}");
    }
}

/// A store with two tables, and one that was set aside.
fn store_with_tables() -> (tempfile::TempDir, PathBuf) {
    let (dir, store) = place();
    let docs = jidoka::doc::Documents::over(jidoka::store::Store::open(&store).unwrap());
    for round in 0..2 {
        for number in round..90 {
            let doc = json!({"number": number, "text": "x".repeat(300)});
            let id = format!("{number:02}");
            docs.put("c", &id, &doc, jidoka::doc::Condition::None).unwrap();
        }
        docs.delete("c", "50", jidoka::doc::Condition::None).unwrap();
        docs.store().checkpoint().unwrap();
    }
    docs.store().close().unwrap();
    let orphan = store.join("tables/0000000000000001.orphan");
    fs::copy(store.join("tables/0000000000000001.table"), orphan).unwrap();
    (dir, store)
}

#[test]
fn tables_and_manifests_say_what_is_in_them() {
    let (_dir, store) = store_with_tables();
    let stats = run(&store, &["stats", "--json"], "").ok().json();
    let current = look(&store.join("CURRENT")).ok().json();
    assert_eq!(current["kind"], "name of the manifest in force");
    let name = format!("manifest/{:016}.manifest", current["manifest"].as_u64().unwrap());
    let manifest = look(&store.join(name)).ok().json();
    assert_eq!((&manifest["salt"], &manifest["end"]), (&current["salt"], &json!("clean")));
    assert_eq!(manifest["checkpoint_lsn"], stats["lsn"]);
    let listed = manifest["tables"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for (number, listed) in listed.iter().enumerate() {
        let file = store.join(format!("tables/{:016}.table", number + 1));
        let said = look(&file).ok().json();
        assert_eq!((&said["kind"], &said["whole"]), (&json!("table"), &json!(true)), "{said}");
        let same = ["table", "file_bytes", "versions", "deletions", "first_lsn", "last_at"];
        for name in same.into_iter().chain(["smallest", "largest"]) {
            assert_eq!(said[name], listed[name], "{name}: {said} {listed}");
        }
        assert!(said["blocks"].as_u64() > Some(2), "{said}");
    }
    let aside = look(&store.join("tables/0000000000000001.orphan")).ok().json();
    assert_eq!((&aside["kind"], &aside["table"]), (&json!("table"), &json!(1)));
    let words = run(&store, &["inspect", store.join("CURRENT").to_str().unwrap()], "").ok();
    assert!(words.stdout.contains("manifest in force"), "{words:?}");
}

#[test]
fn whatever_is_flipped_or_cut_in_tables_and_manifests_is_told_and_never_a_panic() {
    let (dir, store) = store_with_tables();
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let runtime = Runtime::default();
    let mut told = 0;
    for file in files_of(&store).into_iter().filter(|path| {
        !path.starts_with(store.join("wal"))
            && !path.ends_with("IDENTITY")
            && !path.ends_with("LOCK")
    }) {
        let bytes = fs::read(&file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let place = scratch.join(file.file_name().unwrap());
        for step in 0..300 {
            let at = used * step / 300;
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x11;
            let cut = bytes[..at].to_vec();
            for (bytes, is_cut) in [(flipped, false), (cut, true)] {
                fs::write(&place, &bytes).unwrap();
                let said = inspect(&place, &runtime).unwrap();
                let torn = said
                    .facts
                    .iter()
                    .any(|(name, value)| *name == "end" && *value == json!("torn"));
                // The last edit may be what a crash left: one file cannot tell.
                assert!(!said.is_whole() || (torn && !is_cut), "{file:?}: byte {at}, {is_cut}");
                let offset = said.damage.first().map_or(Some(0), |damage| damage.offset);
                assert!(offset.is_some(), "{said:?}");
                told += 1;
            }
        }
    }
    assert_eq!(told, 5 * 600);
}

#[test]
fn what_is_no_file_of_ours_is_refused_and_said_so() {
    let (dir, _) = place();
    let letter = dir.path().join("letter.txt");
    fs::write(&letter, "dear").unwrap();
    look(&letter).refused(2, "invalid");
    look(dir.path()).refused(2, "invalid");
    look(&dir.path().join("nothing")).refused(4, "not_found");
    look(Path::new("/dev/null")).refused(2, "invalid");
    let empty = dir.path().join("0000000000000001.wal");
    fs::write(&empty, "").unwrap();
    let said: Value = look(&empty).json();
    assert_eq!((look(&empty).code, &said["damage"][0]["offset"]), (13, &json!(0)));
}
