//! Every command's fields and exit codes, and what it says to bad input.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use jidoka::base::checksum::crc32c;
use jidoka::doc::{Condition, Documents};
use jidoka::store::Store;
use serde_json::{Value, json};

use super::program::{finish, place, program, run};

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn put(store: &Path, collection: &str, id: &str, doc: &Value) -> Value {
    run(store, &["put", collection, id], &doc.to_string()).ok().json()
}

#[track_caller]
fn is_time(value: &Value) {
    let text = value.as_str().unwrap();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
}

#[test]
fn a_document_is_put_read_patched_and_deleted() {
    let (_dir, store) = place();
    let written = put(&store, "pots", "p1", &json!({"colour": "red", "size": 1.0}));
    assert_eq!(names(&written), ["at", "id", "lsn", "rev", "sha256"]);
    assert_eq!((&written["id"], &written["rev"]), (&json!("p1"), &json!(1)));
    is_time(&written["at"]);
    assert_eq!(written["sha256"].as_str().unwrap().len(), 64);
    let patched = run(&store, &["patch", "pots", "p1"], r#"{"size":null,"lid":true}"#).ok().json();
    assert_eq!(patched["rev"], 2);
    let got = run(&store, &["get", "pots", "p1"], "").ok().json();
    assert_eq!(names(&got), ["at", "doc", "id", "lsn", "rev", "sha256"]);
    assert_eq!(got["doc"], json!({"colour": "red", "lid": true}));
    assert_eq!((&got["lsn"], &got["sha256"]), (&patched["lsn"], &patched["sha256"]));
    let deleted = run(&store, &["delete", "pots", "p1", "--if-rev", "2"], "").ok().json();
    assert_eq!((&deleted["rev"], &deleted["sha256"]), (&json!(2), &patched["sha256"]));
    run(&store, &["get", "pots", "p1", "--json"], "").refused(4, "not_found");
    run(&store, &["patch", "pots", "p1", "--json"], "{}").refused(4, "not_found");
    run(&store, &["delete", "pots", "p1", "--json"], "").refused(4, "not_found");
    run(&store, &["put", "pots", "p1", "--if-rev", "2", "--json"], "{}").refused(5, "conflict");
    let again = run(&store, &["put", "pots", "p1", "--if-absent"], "{}").ok().json();
    assert_eq!(again["rev"], 1);
}

#[test]
fn conditions_that_do_not_hold_are_conflicts() {
    let (_dir, store) = place();
    put(&store, "pots", "p1", &json!(1));
    for arguments in [
        ["put", "pots", "p1", "--if-absent", "--json"].as_slice(),
        &["put", "pots", "p1", "--if-rev", "2", "--json"],
        &["patch", "pots", "p1", "--if-rev", "2", "--json"],
        &["delete", "pots", "p1", "--if-rev", "2", "--json"],
    ] {
        run(&store, arguments, "{}").refused(5, "conflict");
    }
    assert_eq!(run(&store, &["get", "pots", "p1"], "").ok().json()["rev"], 1);
}

#[test]
fn generated_ids_sort_and_the_origin_is_in_the_feed() {
    let (_dir, store) = place();
    let arguments = ["put", "pots", "--actor", "ann", "--reason", "why not"];
    let first = run(&store, &arguments, "{}").ok().json();
    let second = run(&store, &["put", "pots"], "{}").ok().json();
    assert_eq!(first["id"].as_str().unwrap().len(), 26);
    assert!(first["id"].as_str() < second["id"].as_str());
    let changes = run(&store, &["changes"], "").ok().lines();
    assert_eq!(changes[0]["origin"], json!({"actor": "ann", "reason": "why not"}));
    assert_eq!(changes[1].get("origin"), None);
}

#[test]
fn listing_and_queries_give_lines_as_get_does() {
    let (_dir, store) = place();
    for (id, doc) in [
        ("a1", json!({"n": 1, "d": {"s": "x"}})),
        ("a2", json!({"n": 2})),
        ("b1", json!({"n": 10})),
        ("b2", json!({"n": "text"})),
    ] {
        put(&store, "c", id, &doc);
    }
    let ids = |arguments: &[&str]| -> Vec<String> {
        let lines = run(&store, arguments, "").ok().lines();
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&["list", "c"]), ["a1", "a2", "b1", "b2"]);
    assert_eq!(ids(&["list", "c", "--prefix", "a"]), ["a1", "a2"]);
    assert_eq!(ids(&["list", "c", "--after", "a2", "--limit", "1"]), ["b1"]);
    assert_eq!(ids(&["list", "nothing"]), [""; 0]);
    assert_eq!(ids(&["query", "c", "--where", "n >= 2", "--sort", "n:desc"]), ["b1", "a2"]);
    assert_eq!(ids(&["query", "c", "--where", "d.s = x", "--where", "n = 1"]), ["a1"]);
    let get = run(&store, &["get", "c", "a1"], "").ok().stdout;
    assert_eq!(run(&store, &["list", "c", "--limit", "1"], "").ok().stdout, get);
    let plan = run(&store, &["query", "c", "--where", "n < 3", "--explain"], "").ok().json();
    assert_eq!(plan["plan"], "scan");
    run(&store, &["query", "c", "--where", "n", "--json"], "").refused(2, "invalid");
}

#[test]
fn changes_resume_and_choose_and_say_what_was_deleted() {
    let (_dir, store) = place();
    let first = put(&store, "a", "1", &json!({"x": 1}));
    put(&store, "b", "1", &json!(2));
    run(&store, &["delete", "a", "1"], "").ok();
    let all = run(&store, &["changes"], "").ok().lines();
    let ops: Vec<&str> = all.iter().map(|line| line["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["put", "put", "delete"]);
    let expected = ["at", "collection", "doc", "id", "lsn", "op", "rev", "sha256"];
    assert_eq!(names(&all[0]), expected);
    assert_eq!((&all[0]["doc"], &all[0]["lsn"]), (&json!({"x": 1}), &first["lsn"]));
    assert_eq!((&all[2]["sha256"], all[2].get("doc")), (&first["sha256"], None));
    let since = first["lsn"].to_string();
    let arguments = ["changes", "--since", &since, "--collection", "a"];
    assert_eq!(run(&store, &arguments, "").ok().lines(), [all[2].clone()]);
}

#[test]
fn exports_hold_every_document_and_files_are_not_replaced_unasked() {
    let (dir, store) = place();
    put(&store, "c", "1", &json!({"a": "x,y", "b": [1]}));
    put(&store, "d", "2", &json!({"a": null}));
    let lines = run(&store, &["export"], "").ok().lines();
    let first = json!({"collection": "c", "id": "1", "rev": 1, "doc": {"a": "x,y", "b": [1]}});
    assert_eq!((lines.len(), &lines[0]), (2, &first));
    let array = run(&store, &["export", "c", "--format", "json"], "").ok().stdout;
    assert_eq!(serde_json::from_str::<Value>(&array).unwrap(), json!([first]));
    let table = "collection,id,rev,a,b\r\nc,1,1,\"x,y\",[1]\r\nd,2,1,null,\r\n";
    let file = dir.path().join("table.csv");
    let name = file.to_str().unwrap();
    run(&store, &["export", "--format", "csv", "-o", name], "").ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), table);
    run(&store, &["export", "-o", name, "--json"], "").refused(2, "invalid");
    assert_eq!(fs::read_to_string(&file).unwrap(), table);
    let written = run(&store, &["export", "c", "-o", name, "--yes", "--json"], "").ok().json();
    assert_eq!(written["documents"], 1);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
    run(&store, &["export", "e", "--json"], "").refused(4, "not_found");
}

#[test]
fn dumps_of_equal_content_are_equal_whatever_the_history() {
    let ((_dir, one), (_other_dir, other)) = (place(), place());
    put(&one, "c", "a", &json!({"z": 1.0, "a": 2}));
    put(&other, "c", "b", &json!(0));
    put(&other, "c", "a", &json!({"a": 2, "z": 1}));
    run(&other, &["delete", "c", "b"], "").ok();
    let dump = run(&one, &["dump"], "").ok().stdout;
    assert_eq!(dump, "{\"collection\":\"c\",\"doc\":{\"a\":2,\"z\":1},\"id\":\"a\",\"rev\":1}\n");
    assert_eq!(run(&other, &["dump"], "").ok().stdout, dump);
    let digest = run(&one, &["dump", "--digest"], "").ok().json();
    let sha256 = jidoka::doc::Sha256::of(dump.as_bytes()).to_string();
    assert_eq!(digest, json!({"sha256": sha256, "items": 1}));
}

#[test]
fn stats_have_the_fields_that_scripts_read() {
    let (_dir, store) = place();
    put(&store, "c", "a", &json!(1));
    let stats = run(&store, &["stats", "--json"], "").ok().json();
    for name in ["term", "lsn", "durable_lsn", "documents", "keyspaces", "memory_bytes"] {
        assert!(stats[name].is_u64(), "{name}: {stats}");
    }
    assert_eq!((&stats["documents"], &stats["keyspaces"]), (&json!(1), &json!(0)));
    assert_eq!(stats["store_id"].as_str().unwrap().len(), 32);
    for name in ["segments", "bytes", "pool", "free", "oldest_lsn", "pins", "held_bytes"] {
        assert!(stats["log"][name].is_u64(), "{name}: {stats}");
    }
    for name in ["records", "bytes", "cut_bytes"] {
        assert!(stats["recovery"][name].is_u64(), "{name}: {stats}");
    }
    assert!(stats["recovery"]["seconds"].is_f64());
    assert!(stats["disk_bytes"].as_u64() >= stats["log"]["bytes"].as_u64());
    for name in ["commits", "groups", "syncs", "written_bytes"] {
        assert!(stats["since_open"][name].is_u64(), "{name}: {stats}");
    }
    for name in ["commit_us", "group_commits"] {
        assert_eq!(names(&stats["since_open"][name]), ["count", "max", "p50", "p99", "p999"]);
    }
    let pool = ["delay_us", "filled", "hits", "misses", "recycled", "waits", "zeroed_bytes"];
    assert_eq!(names(&stats["since_open"]["pool"]), pool);
    assert!(run(&store, &["stats"], "").ok().stdout.contains("durable_lsn"));
}

#[test]
fn the_log_is_shown_segment_by_segment_and_record_by_record() {
    let (_dir, store) = place();
    let lines = r#"{"op":"batch","request":"r1","ops":[
        {"op":"put","collection":"c","id":"a","doc":1},
        {"op":"kv_put","keyspace":"k","key":"x","value":"v"}]}"#;
    run(&store, &["apply", "--actor", "ann"], &lines.replace('\n', "")).ok();
    let listed = run(&store, &["log", "list", "--json"], "").ok().json();
    let segment = &listed["segments"][0];
    assert_eq!(segment["path"], "wal/0000000000000001.wal");
    assert_eq!((&segment["state"], &segment["first_lsn"]), (&json!("active"), &json!(1)));
    let records = run(&store, &["log", "dump", "--all"], "").ok().lines();
    assert_eq!(records.len() as u64, segment["records"].as_u64().unwrap());
    let commit = records.iter().find(|record| record["kind"] == "commit").unwrap();
    assert_eq!((&commit["lsn"], &commit["origin"]), (&json!(2), &json!({"actor": "ann"})));
    assert_eq!(commit["request"], "r1");
    let operations: Vec<String> = commit["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| format!("{} {}", operation["op"], names(operation).join(" ")))
        .collect();
    assert_eq!(
        operations,
        [
            "\"create\" bytes collection op",
            "\"create\" bytes keyspace op",
            "\"put\" bytes collection id op",
            "\"put\" bytes key keyspace op"
        ]
    );
    let some = run(&store, &["log", "dump", "--from", "2", "--to", "2"], "").ok().lines();
    assert!(!some.is_empty() && some.iter().all(|record| record["lsn"] == 2));
    assert!(run(&store, &["log", "list"], "").ok().stdout.contains("active"));
}

#[test]
fn damage_exits_13_and_names_the_place() {
    let (_dir, store) = place();
    for number in 0..40 {
        put(&store, "c", "a", &json!({"text": "x".repeat(400), "number": number}));
    }
    let segment = store.join("wal/0000000000000001.wal");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[6000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    for arguments in [["get", "c", "a", "--json"].as_slice(), &["stats", "--json"]] {
        let error = run(&store, arguments, "").refused(13, "corrupt");
        assert_eq!(error["path"], "wal/0000000000000001.wal");
        assert!(error["offset"].is_u64() && error["lsn"].is_u64(), "{error}");
    }
    let dump = run(&store, &["log", "dump", "--json"], "");
    dump.refused(13, "corrupt");
    assert!(dump.lines().len() > 3, "the records before the damage are shown");
    run(&store, &["changes", "--json"], "").refused(13, "corrupt");
    run(&store, &["log", "list", "--json"], "").refused(13, "corrupt");
    let verified = run(&store, &["verify"], "");
    assert_eq!((verified.code, &verified.json()["ok"]), (13, &json!(false)));
    let damage = &verified.json()["damage"][0];
    assert_eq!(names(damage), ["lsn", "offset", "path", "what"]);
}

#[test]
fn a_copy_is_restored_to_any_commit_or_time() {
    let (dir, store) = place();
    let commits: Vec<Value> =
        (1..=3).map(|number| put(&store, "c", "a", &json!({"number": number}))).collect();
    assert_eq!(run(&store, &["verify"], "").ok().json()["ok"], true);
    let copy = dir.path().join("copy").to_str().unwrap().to_owned();
    let backup = run(&store, &["backup", &copy], "").ok().json();
    assert_eq!(names(&backup), ["bytes_copied", "files_copied", "seconds", "to_lsn"]);
    assert_eq!(backup["to_lsn"], commits[2]["lsn"]);
    let (lsn, at) = (commits[1]["lsn"].to_string(), commits[1]["at"].as_str().unwrap().to_owned());
    for (number, (target, rev)) in [
        (vec!["--latest"], Some(3)),
        (vec!["--to-lsn", &lsn], Some(2)),
        (vec!["--to-lsn", &lsn, "--exclusive"], Some(1)),
        (vec!["--to-time", &at], Some(2)),
        (vec!["--to-time", &at, "--exclusive"], Some(1)),
        (vec!["--to-lsn", "0"], None),
    ]
    .into_iter()
    .enumerate()
    {
        let target_dir = dir.path().join(format!("restored-{number}"));
        let name = target_dir.to_str().unwrap();
        let mut arguments = vec!["restore", "--from", &copy, "-o", name];
        arguments.extend(&target);
        let dry: Vec<&str> = arguments.iter().copied().chain(["--dry-run"]).collect();
        let announced = run(&store, &dry, "").ok().json();
        let reached = run(&store, &arguments, "").ok().json();
        assert_eq!(names(&reached), ["next", "reached", "seconds"]);
        assert_eq!(announced["reached"], reached["reached"]);
        match rev {
            Some(rev) => {
                let doc = run(&target_dir, &["get", "c", "a"], "").ok().json();
                assert_eq!((&doc["rev"], &doc["at"]), (&json!(rev), &reached["reached"]["at"]));
            }
            None => assert_eq!(reached["reached"], json!({"lsn": 0, "at": null})),
        }
        run(&store, &[&arguments[..], &["--json"]].concat(), "").refused(2, "invalid");
    }
    let to = |arguments: &[&str]| {
        let start = ["restore", "--from", &copy, "-o", "restored-nowhere", "--json"];
        run(&store, &[&start, arguments].concat(), "")
    };
    to(&["--to-time", "2999-01-01T00:00:00Z"]).refused(14, "unreachable");
    to(&["--to-time", "2026-01-01T00:00:00"]).refused(2, "invalid");
    to(&["--latest", "--exclusive"]).refused(2, "invalid");
    to(&[]).refused(2, "invalid");
    assert!(!Path::new("restored-nowhere").exists());
}

#[test]
fn bad_documents_are_refused_with_the_place_and_no_store_is_made() {
    let (dir, store) = place();
    let file = dir.path().join("bad.json");
    fs::write(&file, "{\n  \"a\": x\n}").unwrap();
    let arguments = ["put", "c", "a", "--file", file.to_str().unwrap(), "--json"];
    let error = run(&store, &arguments, "").refused(2, "invalid");
    assert_eq!(error["path"], file.to_str().unwrap());
    assert_eq!(error["message"], "line 2, column 8: expected value");
    for (input, expected) in [
        (r#"{"a":1,"a":2}"#, "line 1, column"),
        ("9007199254740993", "line 1, column"),
        ("-9007199254740993", "line 1, column"),
        ("1e300", "line 1, column"),
        ("", "line 1, column"),
        ("{} {}", "line 1, column 4"),
    ] {
        let error = run(&store, &["put", "c", "a", "--json"], input).refused(2, "invalid");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(expected), "{input}: {message}");
    }
    run(&store, &["put", "c", "a", "--file", "missing.json", "--json"], "").refused(4, "not_found");
    assert!(!store.exists());
}

#[test]
fn bad_ids_names_and_sizes_are_refused() {
    let (_dir, store) = place();
    put(&store, "c", "a", &json!(1));
    let long = "x".repeat(1025);
    for id in ["", &long] {
        run(&store, &["put", "c", id, "--json"], "{}").refused(2, "invalid");
        run(&store, &["get", "c", id, "--json"], "").refused(2, "invalid");
    }
    run(&store, &["put", "", "a", "--json"], "{}").refused(2, "invalid");
    let large = json!("x".repeat(17 << 20)).to_string();
    let error = run(&store, &["put", "c", "large", "--json"], &large).refused(2, "invalid");
    assert!(error["message"].as_str().unwrap().contains("larger than"), "{error}");
    run(&store, &["frobnicate", "--json"], "").refused(2, "invalid");
    run(&store, &["put", "c", "a", "--if-rev", "1", "--if-absent", "--json"], "{}")
        .refused(2, "invalid");
    put(&store, "c", "a", &json!(2));
}

#[test]
fn commands_do_not_make_stores_or_touch_other_directories() {
    let (dir, store) = place();
    let commands: [&[&str]; 11] = [
        &["get", "c", "a"],
        &["list", "c"],
        &["query", "c"],
        &["changes"],
        &["export"],
        &["dump"],
        &["stats"],
        &["delete", "c", "a"],
        &["log", "list"],
        &["log", "dump"],
        &["verify"],
    ];
    for arguments in commands {
        let arguments = [arguments, &["--json"]].concat();
        run(&store, &arguments, "").refused(4, "not_found");
        assert!(!store.exists(), "{arguments:?}");
    }
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter.txt"), "dear").unwrap();
    let writers: [&[&str]; 3] = [&["put", "c", "a"], &["apply"], &["import", "."]];
    for arguments in commands.iter().chain(&writers) {
        let arguments = [*arguments, &["--json"]].concat();
        run(&foreign, &arguments, "{}").refused(2, "invalid");
        assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1, "{arguments:?}");
    }
    let name = foreign.to_str().unwrap();
    run(&store, &["demo", "--dir", name, "--json"], "").refused(2, "invalid");
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_left_alone() {
    let (_dir, store) = place();
    put(&store, "c", "a", &json!(1));
    let identity = store.join("IDENTITY");
    let mut bytes = fs::read(&identity).unwrap();
    bytes[8] = 2;
    let body = bytes.len() - 4;
    let checksum = crc32c(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&checksum);
    fs::write(&identity, &bytes).unwrap();
    for arguments in [["get", "c", "a", "--json"].as_slice(), &["log", "list", "--json"]] {
        run(&store, arguments, "").refused(1, "unsupported");
    }
    assert_eq!(fs::read(&identity).unwrap(), bytes);
}

#[test]
fn a_second_writer_is_told_who_holds_the_store_and_followers_work_beside() {
    let (dir, store) = place();
    put(&store, "c", "a", &json!(1));
    let held = Store::open(&store).unwrap();
    let me = std::process::id().to_string();
    for arguments in [["put", "c", "b", "--json"].as_slice(), &["get", "c", "a", "--json"]] {
        let error = run(&store, arguments, "{}").refused(11, "locked");
        assert!(error["message"].as_str().unwrap().contains(&me), "{error}");
    }
    assert_eq!(run(&store, &["changes"], "").ok().lines().len(), 1);
    assert!(run(&store, &["log", "dump"], "").ok().lines().len() > 2);
    run(&store, &["log", "list"], "").ok();
    let copy = dir.path().join("copy");
    run(&store, &["backup", copy.to_str().unwrap()], "").ok();
    held.close().unwrap();
    run(&store, &["get", "c", "a"], "").ok();
}

#[test]
fn options_stand_before_or_after_the_command_and_beat_the_environment() {
    let ((_dir, one), (_other_dir, other)) = (place(), place());
    put(&one, "c", "a", &json!(1));
    let name = one.to_str().unwrap();
    run(&other, &["--store", name, "get", "c", "a"], "").ok();
    run(&other, &["get", "c", "a", "--store", name, "-q"], "").ok();
    run(&other, &["--json", "get", "c", "a"], "").refused(4, "not_found");
    assert_eq!(run(&other, &["get", "c", "a"], "").stdout, "");
    for arguments in [["--help"].as_slice(), &["put", "--help"], &["--version"]] {
        assert!(!run(&other, arguments, "").ok().stdout.is_empty());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let (_dir, store) = place();
    let doc = json!({"text": "x".repeat(1000)}).to_string();
    let line = format!("{{\"op\":\"put\",\"collection\":\"c\",\"doc\":{doc}}}\n");
    run(&store, &["apply", "--durability", "memory"], &line.repeat(1000)).ok();
    let mut command = program(&store);
    let mut child = command.args(["list", "c"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_full_disk_exits_74_and_keeps_what_was_there() {
    let (dir, _) = place();
    let mount = dir.path().join("disk");
    fs::create_dir(&mount).unwrap();
    let script = "mount -t tmpfs -o size=24m none \"$1\" || exit 99; store=\"$1/store\"; \
                  echo '{}' | \"$0\" put c a --store \"$store\" || exit 98; \
                  head -c 12000000 /dev/zero > \"$1/ballast\"; \
                  head -c 14000000 /dev/zero | tr '\\0' x | sed 's/.*/\"&\"/' > \"$1.json\"; \
                  \"$0\" put c b --file \"$1.json\" --store \"$store\" --json; one=$?; \
                  \"$0\" put c b --file \"$1.json\" --store \"$store\" --json; two=$?; \
                  \"$0\" get c a --store \"$store\" || exit 97; exit $((one > two ? one : two))";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_jidoka")]).arg(&mount);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    if Command::new("unshare").arg("--version").output().is_err() {
        eprintln!("skipped: there is no unshare to make a small disk with");
        return;
    }
    let done = finish(command, b"");
    if done.code == 99 || done.stderr.contains("unshare:") {
        eprintln!("skipped: a small disk cannot be mounted here: {}", done.stderr);
        return;
    }
    assert_eq!(done.code, 74, "{done:?}");
    assert!(done.lines().iter().any(|line| line["error"]["kind"] == "full"), "{done:?}");
}

#[test]
fn the_tour_ends_well_and_leaves_nothing_behind() {
    let (dir, store) = place();
    let temporary = dir.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = program(&store);
    command.env("TMPDIR", &temporary).arg("demo");
    let told = finish(command, b"").ok().stdout;
    assert!(told.contains("all of them are there"), "{told}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    let kept = dir.path().join("kept");
    let summary = run(&store, &["demo", "--json", "--dir", kept.to_str().unwrap()], "").ok().json();
    assert_eq!(summary["lost"], 0);
    run(&kept.join("store"), &["verify"], "").ok();
}

#[test]
fn a_follower_sees_the_changes_of_a_writer_that_goes_on() {
    let (_dir, store) = place();
    put(&store, "c", "a", &json!(1));
    let mut follower = program(&store).args(["changes", "--follow"]).spawn().unwrap();
    let mut seen = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&seen.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["id"], "a");
    let held = Documents::open(&store).unwrap();
    let written = held.put("c", "b", &json!({"x": 2}), Condition::None).unwrap();
    let change = next();
    assert_eq!((&change["lsn"], &change["doc"]), (&json!(written.lsn.0), &json!({"x": 2})));
    held.store().close().unwrap();
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn the_tail_of_the_log_is_followed_as_records_become_durable() {
    let (_dir, store) = place();
    put(&store, "c", "a", &json!(1));
    let dumped = run(&store, &["log", "dump"], "").ok();
    assert_eq!(run(&store, &["log", "tail"], "").ok().stdout, dumped.stdout);
    let some = run(&store, &["log", "tail", "--from", "2"], "").ok().lines();
    assert!(!some.is_empty() && some.iter().all(|record| record["lsn"] == 2), "{some:?}");
    let mut follower = program(&store).args(["log", "tail", "--follow"]).spawn().unwrap();
    let mut seen = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&seen.next().unwrap().unwrap()).unwrap() };
    for line in dumped.lines() {
        assert_eq!(next(), line);
    }
    let held = Documents::open(&store).unwrap();
    let written = held.put("c", "b", &json!(2), Condition::None).unwrap();
    let commit = loop {
        let record = next();
        if record["kind"] == "commit" {
            break record;
        }
    };
    assert_eq!(
        (&commit["lsn"], &commit["operations"][0]["id"]),
        (&json!(written.lsn.0), &json!("b"))
    );
    // A reader that goes away ends it at the next record.
    drop(seen);
    held.put("c", "c", &json!(3), Condition::None).unwrap();
    assert!(follower.wait().unwrap().success());
    held.store().close().unwrap();
    run(Path::new("nowhere"), &["log", "tail", "--follow", "--json"], "").refused(4, "not_found");
}
