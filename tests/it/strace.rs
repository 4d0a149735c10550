//! What the kernel sees of a commit, and what a commit makes of a kernel that fails.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are read as anyone does")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::program::{Done, finish, place, run};

/// Commits before the trace counts, so that the store is made and its first segment is in use.
const WARM_UP: usize = 20;
/// Commits that count.
const COMMITS: usize = 300;

/// Whether system calls can be watched and made to fail here.
pub(crate) fn strace_works() -> bool {
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    works.is_ok_and(|output| output.status.success())
}

/// Runs `apply` under strace.
fn traced(store: &Path, strace: &[&str], apply: &[&str], input: &str) -> Done {
    program_traced(store, strace, &[&["apply"], apply].concat(), input)
}

/// Runs the program under strace.
pub(crate) fn program_traced(store: &Path, strace: &[&str], words: &[&str], input: &str) -> Done {
    let mut command = Command::new("strace");
    command.arg("-f").args(strace).args(["--", env!("CARGO_BIN_EXE_jidoka")]).args(words);
    command.env("JIDOKA_STORE", store);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command, input.as_bytes())
}

fn puts(count: usize) -> String {
    let put = |n| json!({"op": "put", "collection": "c", "id": format!("{n}"), "doc": {"n": n}});
    (0..count).map(|n| format!("{}\n", put(n))).collect()
}

#[test]
fn a_lone_commit_is_one_write_and_one_fdatasync_and_touches_no_name() {
    if !strace_works() {
        eprintln!("skipped: strace does not work here");
        return;
    }
    let (dir, store) = place();
    let trace = dir.path().join("trace");
    let calls = "trace=pwrite64,write,fdatasync,fsync,sync_file_range,creat,open,openat,openat2,\
                 rename,renameat,renameat2,truncate,ftruncate,fallocate,unlink,unlinkat,mkdir";
    let strace = ["-e", calls, "-o", trace.to_str().unwrap()];
    let done = traced(&store, &strace, &[], &puts(WARM_UP + COMMITS));
    assert_eq!(done.ok().lines().len(), WARM_UP + COMMITS);
    let text = fs::read_to_string(trace).unwrap();
    // An answer is a write to descriptor 1; what lies between two of them is one commit.
    let is_answer = |line: &str| line.contains("write(1, \"{\\\"n\\\":");
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("+++")).collect();
    let answers: Vec<usize> = (0..lines.len()).filter(|at| is_answer(lines[*at])).collect();
    assert_eq!(answers.len(), WARM_UP + COMMITS, "{text}");
    let path = &lines[answers[WARM_UP - 1] + 1..answers[WARM_UP + COMMITS - 1]];
    let count = |call: &str| {
        path.iter().filter(|line| line.contains(call) && !line.contains("resumed>")).count()
    };
    assert_eq!(count("fdatasync("), COMMITS);
    // A claim for an idle log is a write of its own; a disk that stalls may cause a few.
    assert!((COMMITS..COMMITS + COMMITS / 10).contains(&count("pwrite64(")), "{path:#?}");
    for call in [
        "open",
        "creat",
        "rename",
        "truncate",
        "fsync(",
        "fallocate",
        "unlink",
        "mkdir",
        "sync_file_range",
    ] {
        assert_eq!(count(call), 0, "{call}: {path:#?}");
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_the_exit_code_is_1() {
    if !strace_works() {
        eprintln!("skipped: strace does not work here");
        return;
    }
    for threads in ["1", "4"] {
        let (_dir, store) = place();
        run(&store, &["put", "c", "before"], "{}").ok();
        let strace = ["-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=15+"];
        let arguments = ["--threads", threads, "--json"];
        let done = traced(&store, &strace, &arguments, &puts(200));
        assert_eq!(done.code, 1, "{done:?}");
        let mut answers = done.lines();
        // The store cannot be closed cleanly either, and says so after the last answer.
        assert_eq!(answers.pop().unwrap()["error"]["kind"], "poisoned");
        let kind = |answer: &Value| answer["error"]["kind"].as_str().unwrap_or("ok").to_owned();
        let kinds: Vec<String> = answers.iter().map(kind).collect();
        let first = kinds.iter().position(|kind| kind != "ok").unwrap();
        assert!(first > 0 && kinds.len() == 200, "{kinds:?}");
        let unknown = kinds.iter().filter(|kind| *kind == "outcome_unknown").count();
        let poisoned = kinds.iter().filter(|kind| *kind == "poisoned").count();
        assert_eq!(kinds[first..].len(), unknown + poisoned, "{kinds:?}");
        assert!((1..=4).contains(&unknown), "{kinds:?}");
        // What was acknowledged is there after a reopen; what is unknown may be.
        let documents = run(&store, &["list", "c"], "").ok().lines();
        let ids: Vec<&str> = documents.iter().map(|doc| doc["id"].as_str().unwrap()).collect();
        for answer in answers.iter().filter(|answer| answer.get("error").is_none()) {
            assert!(ids.contains(&answer["id"].as_str().unwrap()), "{answer}");
        }
        assert!(ids.len() <= 1 + first + unknown, "{ids:?}");
    }
}
