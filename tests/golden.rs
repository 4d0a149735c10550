//! Golden files: stores that a version wrote, opened by every build that comes after.
//!
//! `tests/golden/` has a folder for each set: `1a` is the first of format version 1. In it are the
//! files of each store, and beside them, in `NAME.json`, what the store shows. The files of a set
//! are never edited: what a release wrote is on somebody's disk. What is told of them may change
//! on purpose, such as the label of a recovery; their records and their content never. The programs
//! that wrote the newest set are in [`written`]; `JIDOKA_GOLDEN=write` writes what it lacks.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "reads the repository, and a test that cannot go on panics"
)]

#[path = "golden/encoded.rs"]
mod encoded;
#[path = "golden/shown.rs"]
mod shown;
#[path = "golden/written.rs"]
mod written;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::{Value, json};
use tempfile::TempDir;

use jidoka::archive::Target;
use jidoka::base::codec::to_usize;
use jidoka::base::{ErrorKind, Lsn};
use jidoka::ops::{salvage, verify};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::Runtime;
use jidoka::wal::{Durability, saved};

use written::{Files, PROGRAMS};

/// The set that this build writes.
const NEWEST: &str = "1a";

/// What to do when this build writes other bytes.
const OTHER_BYTES: &str = "this build writes other bytes than the golden files have. If that was \
     not meant, it is a bug. If a structure changed: give it a new version, read the old one too, \
     and follow docs/contributing.md, \"A format\". If only the choice of what is written did, and \
     a build of before reads it: nothing more. Either way name a new set in NEWEST and run this \
     with JIDOKA_GOLDEN=write; never change a set that a release wrote";

fn sets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A store of a set.
struct Golden {
    /// `1a/closed`.
    name: String,
    files: Files,
}

impl Golden {
    fn is_log_alone(&self) -> bool {
        self.name.contains("/log-")
    }

    fn is(&self, program: &str) -> bool {
        self.name.ends_with(&format!("/{program}"))
    }

    /// A copy of it to be changed.
    fn place(&self) -> (TempDir, PathBuf) {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("store");
        put_files(&dir, &self.files);
        (temporary, dir)
    }

    fn expected(&self) -> PathBuf {
        sets().join(format!("{}.json", self.name))
    }
}

fn put_files(dir: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The names in a folder, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The files below a folder, without the lock that an open leaves.
fn take_files(dir: &Path) -> Files {
    let mut files = Files::new();
    for name in names(dir) {
        let path = dir.join(&name);
        if path.is_dir() {
            let below = take_files(&path).into_iter();
            files.extend(below.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else if name != "LOCK" {
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

/// Writes what the newest set lacks, where that is asked for.
fn write_newest() {
    if !std::env::var("JIDOKA_GOLDEN").is_ok_and(|value| value == "write") {
        return;
    }
    for (name, program) in PROGRAMS {
        let dir = sets().join(NEWEST).join(name);
        if !dir.exists() {
            put_files(&dir, &program());
        }
    }
    for golden in stored().iter().filter(|golden| !golden.expected().exists()) {
        fs::write(golden.expected(), text(&play(golden))).unwrap();
    }
}

fn text(shown: &Value) -> String {
    serde_json::to_string_pretty(shown).unwrap() + "\n"
}

/// Every store of every set, and at least those of the newest.
fn golden() -> Vec<Golden> {
    static NEWEST_WRITTEN: Once = Once::new();
    NEWEST_WRITTEN.call_once(write_newest);
    let all = stored();
    let newest = all.iter().filter(|golden| golden.name.starts_with(&format!("{NEWEST}/")));
    assert_eq!(newest.count(), PROGRAMS.len(), "write the set {NEWEST} with JIDOKA_GOLDEN=write");
    all
}

fn stored() -> Vec<Golden> {
    let mut all = Vec::new();
    for set in names(&sets()).into_iter().filter(|name| sets().join(name).is_dir()) {
        for store in names(&sets().join(&set)) {
            let dir = sets().join(&set).join(&store);
            if dir.is_dir() {
                all.push(Golden { name: format!("{set}/{store}"), files: take_files(&dir) });
            }
        }
    }
    all
}

fn lines<'a>(shown: &'a Value, of: &str) -> Vec<&'a str> {
    shown[of].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

/// After something was appended: all that was shown, and one line more.
fn assert_grown(before: &Value, after: &Value, of: &str, name: &str) {
    let (before, after) = (lines(before, of), lines(after, of));
    assert_eq!(after.len(), before.len() + 1, "{name}");
    assert!(before.iter().all(|line| after.contains(line)), "{name}: {before:?} in {after:?}");
}

/// Opens a store, and tells how that went and what it shows; then writes to it, and opens it again.
fn use_store(dir: &Path, name: &str) -> Value {
    let store = Store::builder(dir).create(false).open().unwrap();
    let (recovery, shown) = (shown::recovery(store.recovery()), shown::open(&store));
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("appended").unwrap(), b"key", name.as_bytes());
    assert_eq!(store.commit(batch).unwrap().lsn, store.visible(), "{name}");
    store.close().unwrap();
    drop(store);
    assert_eq!(verify(dir, &Runtime::default(), false).unwrap().damage, [], "{name}");
    let store = Store::open(dir).unwrap();
    assert_eq!(store.recovery().cut_bytes, 0, "{name}: after a close");
    assert_grown(&shown, &shown::open(&store), "content", name);
    json!({"recovery": recovery, "store": shown})
}

fn use_log(dir: &Path, name: &str) -> Value {
    let (log, shown) = shown::open_log(dir);
    let recovery = shown::recovery(log.report());
    log.commit(name, Durability::Sync).unwrap();
    log.close().unwrap();
    drop(log);
    let (_log, again) = shown::open_log(dir);
    assert_grown(&shown, &again, "commits", name);
    json!({"recovery": recovery, "log": shown})
}

/// What a store shows to whoever only reads.
fn read(golden: &Golden, dir: &Path) -> Value {
    let read_only =
        if golden.is_log_alone() { shown::read_log_only(dir) } else { shown::read_only(dir) };
    let records = shown::records(dir);
    // A payload of a log alone is no batch, so only the log is looked at.
    let verified = jidoka::wal::survey_log(dir, &Runtime::default(), &mut |_| Ok(())).unwrap();
    if !golden.is_log_alone() && !golden.is("salvaging") {
        assert_eq!(verify(dir, &Runtime::default(), false).unwrap().damage, [], "{}", golden.name);
    }
    let verified = json!({
        "records": verified.records,
        "torn_bytes": verified.torn_bytes,
        "damage": verified.damage.len(),
    });
    json!({"read_only": read_only, "records": records, "verified": verified})
}

/// Zeroes the bytes that an interrupted recovery had saved, so that they are read from there.
fn destroy_what_is_saved(golden: &Golden, dir: &Path) {
    let Some(saved) = golden.files.get("wal/TAIL") else { return };
    let (_, parts) = saved::describe(saved).unwrap();
    assert!(parts.iter().any(|(.., len)| *len > 0), "{}: nothing is saved", golden.name);
    for (segment, offset, len) in parts {
        let path = dir.join(format!("wal/{:016}.wal", segment.0));
        let mut bytes = fs::read(&path).unwrap();
        bytes[to_usize(offset)..to_usize(offset + len)].fill(0);
        fs::write(path, bytes).unwrap();
    }
}

/// Everything that a golden store shows, in the order in which a cautious operator asks.
fn play(golden: &Golden) -> Value {
    let (temporary, dir) = golden.place();
    let name = &golden.name;
    if golden.is("copy") {
        let restored = [("whole", Target::Latest), ("part", Target::Lsn(Lsn(5)))]
            .map(|(to, target)| shown::restored(&dir, &temporary.path().join(to), target));
        return json!({"restored": restored});
    }
    destroy_what_is_saved(golden, &dir);
    let before = take_files(&dir);
    let read = read(golden, &dir);
    assert!(take_files(&dir) == before, "{name}: reading changed it");
    if golden.is("salvaging") {
        assert_eq!(Store::open(&dir).unwrap_err().kind(), ErrorKind::Corrupt, "{name}");
        assert!(salvage(&dir, &Runtime::default(), true).unwrap().done, "{name}");
    }
    let used = if golden.is_log_alone() { use_log(&dir, name) } else { use_store(&dir, name) };
    json!({"read": read, "used": used})
}

#[test]
fn every_golden_store_is_opened_and_shows_what_it_showed_when_it_was_written() {
    for golden in golden() {
        let (shown, expected) = (text(&play(&golden)), fs::read_to_string(golden.expected()));
        let expected = expected.unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        let different = shown.lines().zip(expected.lines()).find(|(one, other)| one != other);
        assert!(shown == expected, "{} shows otherwise: {different:?}", golden.name);
    }
}

#[test]
fn what_is_read_of_a_golden_file_is_written_the_same() {
    for golden in golden() {
        let (_temporary, dir) = golden.place();
        let found = encoded::differences(&dir, &golden.files, golden.is_log_alone());
        assert!(found.is_empty(), "{}: {found:?}: {OTHER_BYTES}", golden.name);
    }
}

/// Where two files differ first, for whoever has to find out why.
fn difference(written: &Files, kept: &Files) -> Option<String> {
    let names: BTreeSet<&String> = written.keys().chain(kept.keys()).collect();
    names.into_iter().find_map(|name| match (written.get(name), kept.get(name)) {
        (Some(one), Some(other)) => {
            let len = one.len().max(other.len());
            let at = (0..len).find(|at| one.get(*at) != other.get(*at))?;
            Some(format!("{name} at offset {at}"))
        }
        (None, _) => Some(format!("{name} is not written")),
        (_, None) => Some(format!("{name} is written too")),
    })
}

#[test]
fn the_newest_set_is_what_this_build_writes() {
    golden();
    for (name, program) in PROGRAMS {
        let (dir, written) = (sets().join(NEWEST).join(name), program());
        assert!(written == program(), "{name}: not the same in every run");
        let different = difference(&written, &take_files(&dir));
        assert_eq!(different, None, "{NEWEST}/{name}: {OTHER_BYTES}");
    }
}

/// What is not in any golden store is not held by them.
#[test]
fn each_set_has_every_file_every_kind_of_record_and_the_ends_of_a_log() {
    let all = golden();
    let set_of = |golden: &Golden| golden.name.split('/').next().unwrap().to_owned();
    for set in all.iter().map(set_of).collect::<BTreeSet<String>>() {
        let of_set: Vec<&Golden> = all.iter().filter(|golden| set_of(golden) == set).collect();
        let files: BTreeSet<String> = of_set
            .iter()
            .flat_map(|golden| golden.files.keys())
            .map(|name| name.rsplit(['/', '.']).next().unwrap().to_owned())
            .collect();
        let expected =
            ["COPY", "END", "FIRST", "IDENTITY", "SALVAGE", "TAIL", "free", "range", "tmp", "wal"];
        assert_eq!(files.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{set}");
        let told: String =
            of_set.iter().map(|golden| fs::read_to_string(golden.expected()).unwrap()).collect();
        for kind in [
            "commit",
            "term_start",
            "segment_start",
            "segment_end",
            "time_mark",
            "clean_close",
            "vote",
            "committed",
            "truncate_after",
        ] {
            assert!(told.contains(&format!("\"{kind} seq ")), "{set}: no {kind}");
        }
        let torn = told.lines().filter(|line| line.contains("\"cut_bytes\": "));
        assert!(torn.filter(|line| !line.ends_with(": 0,")).count() >= 4, "{set}: no torn ends");
        let bytes: usize = of_set.iter().flat_map(|one| one.files.values()).map(Vec::len).sum();
        assert!(bytes < 300_000, "{set}: {bytes} bytes are too many to keep forever");
    }
}
