//! `bench`: its lines have their fields, and it leaves nothing behind. Figures are not asserted:
//! they are the machine's.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::program::{Done, finish, place, run};

const FIELDS: [&str; 10] = [
    "threads",
    "value_bytes",
    "ops",
    "seconds",
    "ops_per_s",
    "p50_us",
    "p99_us",
    "p999_us",
    "syncs",
    "ratio",
];

#[track_caller]
fn check(lines: &[Value], bench: &str) {
    for line in lines {
        assert_eq!(line["bench"], bench);
        for name in FIELDS {
            assert!(line[name].is_number(), "{name}: {line}");
        }
        for name in ["p50_us", "p99_us", "ops_per_s"] {
            assert!(line["raw"][name].as_f64().unwrap() > 0.0, "{name}: {line}");
        }
        assert!(line["ops"].as_u64().unwrap() > 0, "{line}");
        assert!(line["ratio"].as_f64().unwrap() > 0.0, "{line}");
    }
}

fn bench(store: &Path, arguments: &[&str]) -> Done {
    run(store, &[&["bench"], arguments, &["--seconds", "0.1"]].concat(), "")
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn commits_are_measured_at_two_sizes_and_the_store_is_not_touched() {
    let (dir, store) = place();
    run(&store, &["put", "c", "a"], "{}").ok();
    let before = run(&store, &["dump"], "").ok().stdout;
    let lines = bench(&store, &["commit"]).ok().lines();
    check(&lines, "commit");
    let sizes: Vec<_> = lines.iter().map(|line| line["value_bytes"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [256, 4096]);
    for line in &lines {
        assert!(line["syncs"].as_u64() >= line["ops"].as_u64(), "a lone commit has a sync: {line}");
    }
    assert_eq!(names_in(dir.path()), ["store"]);
    assert_eq!(run(&store, &["dump"], "").ok().stdout, before);
}

#[test]
fn groups_are_measured_in_the_order_of_the_threads_given() {
    let (dir, store) = place();
    let lines = bench(&store, &["group", "--threads", "8,1,2", "--value-bytes", "100"]).ok();
    let lines = lines.lines();
    check(&lines, "group");
    let threads: Vec<_> = lines.iter().map(|line| line["threads"].as_u64().unwrap()).collect();
    assert_eq!(threads, [8, 1, 2]);
    assert!(lines.iter().all(|line| line["value_bytes"] == 100));
    assert_eq!(names_in(dir.path()), [""; 0]);
}

#[test]
fn asynchronous_commits_and_batches_share_their_syncs() {
    let (dir, store) = place();
    let lines = bench(&store, &["async"]).ok().lines();
    check(&lines, "async");
    assert!(lines[0]["syncs"].as_u64() < lines[0]["ops"].as_u64(), "{lines:?}");
    let lines = bench(&store, &["ingest", "--value-bytes", "10"]).ok().lines();
    check(&lines, "ingest");
    let (syncs, ops) = (lines[0]["syncs"].as_u64().unwrap(), lines[0]["ops"].as_u64().unwrap());
    assert!(ops.is_multiple_of(1000) && syncs >= ops / 1000, "{lines:?}");
    assert_eq!(names_in(dir.path()), [""; 0]);
}

#[test]
fn recovery_and_the_ways_of_syncing_are_measured() {
    let (dir, store) = place();
    let lines = bench(&store, &["recover", "--log-bytes", "1048576"]).ok().lines();
    check(&lines, "recover");
    for name in ["log_bytes", "bytes_per_s", "first_get_ms"] {
        assert!(lines[0][name].as_f64().unwrap() > 0.0, "{name}: {}", lines[0]);
    }
    let done = bench(&store, &["calibrate"]).ok();
    let lines = done.lines();
    check(&lines, "calibrate");
    let ways: Vec<String> =
        lines.iter().map(|line| format!("{} {}", line["sync"], line["file"])).collect();
    for way in ["prepared", "sized", "growing"] {
        let way = format!("\"fdatasync\" \"{way}\"");
        assert!(ways.contains(&way), "{way} in {ways:?}");
    }
    let skipped = done.stderr.matches("not measured").count();
    assert_eq!(lines.len() + skipped, 6, "{done:?}");
    assert_eq!(names_in(dir.path()), [""; 0]);
}

#[test]
fn the_log_by_itself_is_measured_with_a_warm_and_a_cold_pool_and_cache() {
    let (dir, store) = place();
    let batches = ["ingest", "--log-alone", "--value-bytes", "4000"];
    let cold = bench(&store, &[batches.as_slice(), &["--cold"]].concat()).ok().lines();
    let warm = bench(&store, &batches).ok().lines();
    for (lines, is_cold) in [(&cold, true), (&warm, false)] {
        check(lines, "ingest");
        let line = &lines[0];
        assert_eq!((&line["log_alone"], &line["cold"]), (&true.into(), &is_cold.into()));
        assert!(line["device_bytes_per_byte"].is_null() || line["device_bytes_per_byte"].is_f64());
        assert!(line["zeroed_bytes_per_byte"].is_f64(), "{line}");
    }
    assert!(cold[0]["recycled"] == 0 && warm[0]["filled"] == 0, "{cold:?} {warm:?}");
    for arguments in [["recover", "--log-alone"].as_slice(), &["recover", "--log-alone", "--cold"]]
    {
        let done = bench(&store, &[arguments, &["--log-bytes", "1048576"]].concat()).ok();
        let lines = done.lines();
        check(&lines, "recover");
        // Not every file system has a way past the page cache.
        let skipped = done.stderr.matches("not measured").count();
        assert_eq!(lines.len() + skipped, 1, "{done:?}");
        assert!(lines.iter().all(|line| line["log_alone"] == true));
        assert!(lines.iter().all(|line| line["cold"] == (arguments.len() == 3)), "{lines:?}");
    }
    assert_eq!(names_in(dir.path()), [""; 0]);
}

#[test]
fn it_measures_in_no_store_and_says_what_it_cannot_use() {
    let (dir, store) = place();
    run(&store, &["put", "c", "a"], "{}").ok();
    let before = names_in(&store);
    for inside in [store.clone(), store.join("wal")] {
        let inside = inside.to_str().unwrap();
        bench(&store, &["commit", "--json", "--dir", inside]).refused(2, "invalid");
    }
    bench(&store, &["commit", "--json", "--dir", "/nowhere/at/all"]).refused(4, "not_found");
    for wrong in [
        ["commit", "--threads", "0"].as_slice(),
        &["recover", "--log-bytes", "1"],
        &["commit", "--value-bytes", "999999999"],
        &["tea"],
    ] {
        bench(&store, &[wrong, &["--json"]].concat()).refused(2, "invalid");
    }
    // A store that would be made inside another one is measured beside the outer one.
    let inner = store.join("inner");
    bench(&inner, &["commit", "--value-bytes", "1"]).ok();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(names_in(&store)), sorted(before));
    assert_eq!(names_in(dir.path()), ["store"]);
}

/// Runs `bench commit` on a small disk mounted with `options`; exits 99 when that cannot be.
fn on_a_small_disk(options: &str) -> Done {
    let (dir, _) = place();
    let mount = dir.path().join("disk");
    fs::create_dir(&mount).unwrap();
    let script = "mount -t tmpfs -o \"$2\" none \"$1\" || exit 99; \
                  \"$0\" bench commit --json --seconds 0.1 --store \"$1/store\"; code=$?; \
                  [ -z \"$(ls -A \"$1\")\" ] || exit 97; exit $code";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_jidoka")]);
    command.arg(&mount).arg(options).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command, b"")
}

#[test]
fn a_full_or_read_only_disk_is_told_and_nothing_is_left_on_it() {
    if Command::new("unshare").arg("--version").output().is_err() {
        eprintln!("skipped: there is no unshare to make a small disk with");
        return;
    }
    // The second has room for the disk's own file and not for the store beside it.
    for (options, code, kind) in
        [("size=8m", 74, "full"), ("size=24m", 74, "full"), ("size=8m,ro", 1, "read_only")]
    {
        let done = on_a_small_disk(options);
        if done.code == 99 || done.stderr.contains("unshare:") {
            eprintln!("skipped: a small disk cannot be mounted here: {}", done.stderr);
            return;
        }
        done.refused(code, kind);
    }
}
