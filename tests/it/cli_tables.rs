//! The program on a store with tables: it makes them, shows them, and reads through them.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::program::{Done, place, run};

/// Operations of `apply`: documents, keys, and a checkpoint after so many of them.
fn operations(first: u32, last: u32, checkpoint: bool) -> String {
    let mut lines = String::new();
    for number in first..last {
        let doc = json!({"number": number, "text": "x".repeat(2000)});
        let put = json!({"op": "put", "collection": "c", "id": format!("{number:03}"), "doc": doc});
        lines.push_str(&format!("{put}\n"));
    }
    if checkpoint {
        lines.push_str("{\"op\":\"kv_put\",\"keyspace\":\"k\",\"key\":\"a\",\"value\":\"1\"}\n");
        lines.push_str("{\"op\":\"checkpoint\"}\n");
    }
    lines
}

fn apply(store: &Path, threads: &str, operations: &str) -> Vec<Value> {
    run(store, &["apply", "--threads", threads], operations).ok().lines()
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn stats(store: &Path) -> Value {
    run(store, &["stats", "--json"], "").ok().json()
}

#[test]
fn a_checkpoint_of_apply_puts_everything_before_it_into_tables() {
    for threads in ["1", "4"] {
        let (_dir, store) = place();
        let answers = apply(&store, threads, &operations(0, 40, true));
        let last = answers.iter().find(|answer| answer["n"] == 42).unwrap();
        let lsn = answers.iter().map(|answer| answer["lsn"].as_u64().unwrap()).max().unwrap();
        assert_eq!((&last["lsn"], &last["durable"]), (&json!(lsn), &json!(true)));
        let tables = stats(&store)["tables"].clone();
        assert_eq!(tables["checkpoint_lsn"], json!(lsn), "{tables}");
        assert_eq!((&tables["tables"], &tables["runs"]), (&json!(1), &json!(1)));
        assert!(tables["bytes"].as_u64().unwrap() > 40 * 2000, "{tables}");
    }
}

#[test]
fn checkpoint_and_compact_say_what_is_in_tables_then() {
    let (_dir, store) = place();
    apply(&store, "1", &operations(0, 40, false));
    let fields = ["lsn", "oldest_lsn", "runs", "seconds", "tables", "written_bytes"];
    let said = run(&store, &["checkpoint", "--json"], "").ok().json();
    assert_eq!(names(&said), fields);
    assert_eq!(
        (&said["tables"], &said["runs"], &said["oldest_lsn"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let again = run(&store, &["checkpoint", "--json"], "").ok().json();
    assert_eq!((&again["lsn"], &again["written_bytes"]), (&said["lsn"], &json!(0)));
    apply(&store, "1", &operations(20, 60, true));
    assert_eq!(stats(&store)["tables"]["runs"], json!(2));
    let said = run(&store, &["compact", "--json"], "").ok().json();
    assert_eq!(names(&said), fields);
    assert_eq!((&said["tables"], &said["runs"]), (&json!(1), &json!(1)));
    let told = run(&store, &["compact"], "").ok().stdout;
    assert!(told.contains("is in tables") && told.contains("1 in 1 runs"), "{told}");
    let report = run(&store, &["verify"], "").ok().json();
    assert_eq!((&report["checked"]["tables"], &report["orphans"]), (&json!(1), &json!([])));
}

#[test]
fn commands_on_tables_refuse_what_others_refuse() {
    let (dir, store) = place();
    for command in ["checkpoint", "compact"] {
        run(&store, &[command, "--json"], "").refused(4, "not_found");
        assert!(!store.exists());
        run(&store, &[command, "--read-only", "--json"], "").refused(2, "invalid");
    }
    let open = jidoka::store::Store::open(&store).unwrap();
    for command in ["checkpoint", "compact"] {
        run(&store, &[command, "--json"], "").refused(11, "locked");
    }
    open.close().unwrap();
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter"), "dear").unwrap();
    run(&foreign, &["compact", "--json"], "").refused(2, "invalid");
    for bad in ["--memory-limit=much", "--log-kept=some"] {
        run(&store, &["checkpoint", bad, "--json"], "").refused(2, "invalid");
    }
}

#[test]
fn with_the_log_kept_as_needed_a_checkpoint_lets_go_of_it() {
    let (_dir, store) = place();
    let made = jidoka::store::Store::builder(&store).segment_bytes(16 << 10).open().unwrap();
    made.close().unwrap();
    apply(&store, "1", &operations(0, 40, false));
    let kept = run(&store, &["checkpoint", "--json"], "").ok().json();
    assert_eq!(kept["oldest_lsn"], json!(1));
    // Everything is in tables already, and yet the log before goes.
    let needed = run(&store, &["checkpoint", "--log-kept", "needed", "--json"], "").ok().json();
    assert_eq!((&needed["lsn"], &needed["written_bytes"]), (&kept["lsn"], &json!(0)));
    assert!(needed["oldest_lsn"].as_u64() > Some(30), "{needed}");
    assert_eq!(stats(&store)["log"]["oldest_lsn"], needed["oldest_lsn"]);
    run(&store, &["verify"], "").ok();
    let feed = run(&store, &["changes", "--json"], "");
    feed.refused(15, "expired");
    assert_eq!(run(&store, &["get", "c", "007"], "").ok().json()["doc"]["number"], json!(7));
}

/// What a command says with and without `--read-only`, which must be the same.
#[track_caller]
fn both(store: &Path, arguments: &[&str]) -> Done {
    let plain = run(store, arguments, "").ok();
    let looking = run(store, &[arguments, &["--read-only"]].concat(), "").ok();
    assert_eq!(plain.stdout, looking.stdout, "{arguments:?}");
    plain
}

#[test]
fn whatever_reads_reads_through_tables() {
    let (_dir, store) = place();
    apply(&store, "1", &operations(0, 40, true));
    run(&store, &["delete", "c", "011"], "").ok();
    run(&store, &["checkpoint"], "").ok();
    run(&store, &["delete", "c", "012"], "").ok();
    let dumped = both(&store, &["dump"]).stdout;
    assert_eq!(dumped.lines().count(), 39);
    assert_eq!(both(&store, &["dump", "--digest"]).json()["items"], json!(39));
    assert_eq!(both(&store, &["list", "c", "--after", "009", "--limit", "3"]).lines().len(), 3);
    let found = both(&store, &["query", "c", "--where", "number >= 10", "--limit", "3"]).lines();
    let ids: Vec<&str> = found.iter().map(|found| found["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["010", "013", "014"]);
    assert_eq!(both(&store, &["get", "c", "010"]).json()["rev"], json!(1));
    run(&store, &["get", "c", "011", "--json"], "").refused(4, "not_found");
    let looking = run(&store, &["stats", "--read-only", "--json"], "").ok().json();
    assert_eq!(looking["tables"]["runs"], json!(2));
    assert_eq!(looking["documents"], json!(38));
}

#[test]
fn stats_tell_of_tables_and_of_what_was_done_for_them() {
    let (_dir, store) = place();
    apply(&store, "1", &operations(0, 4, true));
    let stats = stats(&store);
    let tables = ["bytes", "cache_bytes", "checkpoint_lsn", "runs", "tables"];
    assert_eq!(names(&stats["tables"]), tables);
    let work = ["cache_hits", "cache_misses", "checkpoints", "merges", "waits", "written_bytes"];
    assert_eq!(names(&stats["since_open"]["tables"]), work);
    assert!(stats["disk_bytes"].as_u64() > stats["tables"]["bytes"].as_u64());
    let told = run(&store, &["stats"], "").ok().stdout;
    assert!(told.contains("tables checkpoint_lsn"), "{told}");
}

#[test]
fn damage_in_a_table_is_told_by_verify_and_by_whoever_reads_it() {
    let (_dir, store) = place();
    apply(&store, "1", &operations(0, 40, true));
    let file = store.join("tables/0000000000000001.table");
    let mut bytes = fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let report = run(&store, &["verify"], "");
    assert_eq!(report.code, 13);
    let damage = report.json()["damage"].clone();
    assert_eq!(damage.as_array().unwrap().len(), 1, "{damage}");
    assert_eq!(damage[0]["path"], json!("tables/0000000000000001.table"));
    assert!(damage[0]["offset"].as_u64().is_some_and(|offset| offset <= 5000), "{damage}");
    let error = run(&store, &["dump", "--json"], "").refused(13, "corrupt");
    assert_eq!(error["offset"], damage[0]["offset"]);
    run(&store, &["compact", "--json"], "").ok();
}
