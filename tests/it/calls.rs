//! The real program, killed at exactly its n-th call of each kind, and refused that call.
//!
//! A first run under strace tells which calls the work makes; then each of them is attacked, in a
//! run of its own: the process is killed before the kernel does what was asked, or the kernel
//! answers that the disk fails or is full. Without an environment a sample is attacked;
//! `JIDOKA_CALLS=all` takes every call. Without strace the tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are read as anyone does")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use jidoka::store::Store;
use serde_json::{Value, json};

use super::program::{Done, place, run};
use super::strace::{program_traced, strace_works};

/// Calls that change what a disk holds, or that make it last.
const CALLS: &[&str] = &[
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "openat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "fallocate",
];
/// Documents of one run, large enough that the log changes segments several times.
const PUTS: usize = 14;
/// So many attacks of each run that is attacked, if not all.
const SAMPLE: usize = 12;

/// One call of the program: its name, and its number among those of one thread.
type Call = (String, usize);

/// Whether the store is there before the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// With small segments, so that the work changes them.
    SmallSegments,
}

fn prepare(store: &Path, before: Before) {
    if before == Before::SmallSegments {
        Store::builder(store).segment_bytes(16 << 10).open().unwrap().close().unwrap();
    }
}

fn document(n: usize) -> Value {
    json!({"n": n, "fill": "x".repeat(n * 997 % 5000)})
}

fn puts() -> String {
    let put = |n| {
        json!({"op": "put", "collection": "c", "id": format!("{n:02}"),
        "doc": document(n)})
    };
    (0..PUTS).map(|n| format!("{}\n", put(n))).collect()
}

/// Every call that the work makes on the store.
fn calls(before: Before) -> Vec<Call> {
    let (dir, store) = place();
    prepare(&store, before);
    let trace = dir.path().join("trace");
    // Descriptors are told with their paths: opening a library is no call on the store.
    let which = format!("trace={}", known().join(","));
    let strace = ["-y", "-e", &which, "-o", trace.to_str().unwrap()];
    program_traced(&store, &strace, &["apply"], &puts()).ok();
    let text = fs::read_to_string(trace).unwrap();
    let (mut made, mut found) = (BTreeMap::<(&str, &str), usize>::new(), BTreeSet::new());
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = rest.trim_start().split_once('(') else { continue };
        if !CALLS.contains(&name) {
            continue;
        }
        let number = made.entry((thread, name)).or_default();
        *number += 1;
        let reads = name == "openat" && !arguments.contains("O_CREAT");
        // Zeroes that fill a new segment are thousands of equal calls.
        let fills = name == "pwrite64" && arguments.contains("\"\\0\\0\\0\\0") && *number > 12;
        if arguments.contains("/store") && !reads && !fills {
            found.insert((name.to_owned(), *number));
        }
    }
    assert!(found.len() > PUTS, "{text}");
    found.into_iter().collect()
}

/// The calls that strace knows on this machine: not every architecture has all of them.
fn known() -> Vec<String> {
    CALLS.iter().map(|call| format!("?{call}")).collect()
}

/// All calls, or a sample that is the same in every run.
fn attacked(calls: Vec<Call>) -> Vec<Call> {
    if std::env::var("JIDOKA_CALLS").is_ok_and(|which| which == "all") {
        return calls;
    }
    let step = calls.len().div_ceil(SAMPLE);
    // Of each kind the first, which is easily missed by steps.
    let firsts = calls.iter().filter(|(_, number)| *number == 1).cloned();
    let mut sample: Vec<Call> = firsts.chain(calls.iter().step_by(step).cloned()).collect();
    sample.sort();
    sample.dedup();
    sample
}

/// The work under an attack: strace's words for it after the name of the call.
fn attack(store: &Path, (name, number): &Call, how: &str, words: &[&str]) -> Done {
    let inject = format!("inject={name}:{how}:when={number}");
    // With the filter in the kernel, other calls do not stop the program.
    let strace = ["--seccomp-bpf", "-o", "/dev/null", "-e", &inject];
    program_traced(store, &strace, words, &puts())
}

/// The numbers of the documents there; each must be whole.
fn found(store: &Path, what: &str) -> Vec<usize> {
    let lines = run(store, &["list", "c"], "").ok().lines();
    let number = |line: &Value| {
        let n: usize = line["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(line["doc"], document(n), "{what}");
        n
    };
    lines.iter().map(number).collect()
}

/// The store is a store, or was never made; nothing in it is damaged.
fn verify(store: &Path, what: &str) -> bool {
    let done = run(store, &["verify", "--json"], "");
    assert!(matches!(done.code, 0 | 4), "{what}: {done:?}");
    done.code == 0
}

/// After everything, the store takes new work.
fn works(store: &Path, what: &str) {
    run(store, &["put", "c", "99"], &document(99).to_string()).ok();
    assert!(found(store, what).contains(&99), "{what}");
    assert!(verify(store, what), "{what}");
}

#[test]
fn killed_at_any_call_the_program_has_kept_what_it_acknowledged() {
    if !strace_works() {
        eprintln!("skipped: strace does not work here");
        return;
    }
    let (mut kills, mut killed_again, mut runs) = (0, 0, 0);
    for before in [Before::Nothing, Before::SmallSegments] {
        for call in attacked(calls(before)) {
            let what = format!("{before:?}, killed at {call:?}");
            let (_dir, store) = place();
            prepare(&store, before);
            let done = attack(&store, &call, "signal=SIGKILL", &["apply"]);
            let acknowledged = done.lines().len();
            assert!(done.lines().iter().all(|line| line["durable"] == true), "{what}: {done:?}");
            runs += 1;
            kills += usize::from(done.code != 0);
            assert!(done.code != 0 || acknowledged == PUTS, "{what}: {done:?}");
            let is_store = verify(&store, &what);
            assert!(is_store || acknowledged == 0, "{what}: {done:?}");
            // The recovery is killed as well, at one of its first calls.
            let name = ["pwrite64", "fdatasync", "fsync", "rename", "ftruncate"][runs % 5];
            let call = (name.to_owned(), 1 + runs / 5 % 3);
            let again = attack(&store, &call, "signal=SIGKILL", &["list", "c"]);
            killed_again += usize::from(again.code == -1);
            if is_store {
                let there = found(&store, &what);
                // One commit at a time was under way.
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&there.len()),
                    "{what}: {acknowledged} were acknowledged, there are {there:?}"
                );
                assert_eq!(there, (0..there.len()).collect::<Vec<_>>(), "{what}");
            }
            works(&store, &what);
        }
    }
    eprintln!("{kills} kills at {runs} calls, {killed_again} of their recoveries killed too");
    // A call of a thread in the background may not be reached again.
    assert!(kills * 4 >= runs * 3, "{kills} of {runs} runs were killed");
    assert!(killed_again > 0);
}

/// Checks a run in which `call` failed once.
fn check_failure(store: &Path, what: &str, done: &Done) {
    let lines = done.lines();
    let kind = |line: &Value| line["error"]["kind"].as_str().map(str::to_owned);
    let mut acknowledged = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for line in lines.iter().filter(|line| line.get("n").is_some()) {
        let n = line["n"].as_u64().unwrap() as usize - 1;
        match kind(line).as_deref() {
            None => {
                assert_eq!(line["durable"], true, "{what}: {line}");
                acknowledged.insert(n);
            }
            Some("outcome_unknown") => {
                unknown.insert(n);
            }
            Some("poisoned" | "full" | "io" | "closed") => {}
            Some(other) => panic!("{what}: {other}: {done:?}"),
        }
    }
    if done.code == 0 {
        assert_eq!(acknowledged.len(), PUTS, "{what}: {done:?}");
    } else {
        let errors: Vec<&Value> = lines.iter().filter(|line| kind(line).is_some()).collect();
        assert!(!errors.is_empty(), "{what}: {done:?}");
        for error in errors {
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.contains(' '), "{what}: {error}");
            // What ends the run is told to the person who waits for it, too.
            let ends = error.get("n").is_none();
            assert!(!ends || done.stderr.contains(message), "{what}: {done:?}");
        }
    }
    let is_store = verify(store, what);
    assert!(is_store || acknowledged.is_empty(), "{what}: {done:?}");
    let there: BTreeSet<usize> =
        if is_store { found(store, what).into_iter().collect() } else { BTreeSet::new() };
    assert!(there.is_superset(&acknowledged), "{what}: {there:?} of {acknowledged:?}: {done:?}");
    let others: Vec<&usize> = there.difference(&acknowledged).collect();
    assert!(others.iter().all(|n| unknown.contains(n)), "{what}: {others:?} are there: {done:?}");
    works(store, what);
}

#[test]
fn a_call_that_fails_is_an_error_that_says_what_and_no_false_acknowledgement() {
    if !strace_works() {
        eprintln!("skipped: strace does not work here");
        return;
    }
    let (mut runs, mut told) = (0, 0);
    for before in [Before::Nothing, Before::SmallSegments] {
        for call in attacked(calls(before)) {
            let error = if call.0.ends_with("sync") { "error=EIO" } else { "error=ENOSPC" };
            let what = format!("{before:?}, {error} of {call:?}");
            let (_dir, store) = place();
            prepare(&store, before);
            let done = attack(&store, &call, error, &["apply", "--json"]);
            check_failure(&store, &what, &done);
            // A segment that cannot be prepared ahead is prepared again; a sync of commits, and
            // what makes a store, is done once.
            let once = match call.0.as_str() {
                "fdatasync" => true,
                "mkdir" | "fsync" | "rename" => before == Before::Nothing,
                _ => false,
            };
            assert!(done.code != 0 || !once, "{what}: {done:?}");
            runs += 1;
            told += usize::from(done.code != 0);
        }
    }
    eprintln!("{runs} calls failed, {told} runs told of it");
    assert!(told > 0);
}
