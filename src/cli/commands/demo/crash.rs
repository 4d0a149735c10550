//! A writer is killed in mid-work, and what it had promised is looked for.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::base::{Error, ErrorKind, Result};
use crate::cli::context::Context;
use crate::doc::{Documents, Listing};
use crate::vfs::thread::spawn;
use crate::wal::RecoveryReport;

/// The collection that the writer fills.
const COLLECTION: &str = "bells";
/// The writer is killed when it has acknowledged this many operations.
const ENOUGH: usize = 500;
/// More than it can do in that time.
const OPERATIONS: u64 = 1_000_000;

/// What came of it.
#[derive(Debug)]
pub(super) struct Crash {
    pub(super) acknowledged: u64,
    /// Operations that survived although nobody was told.
    pub(super) unacknowledged: u64,
    pub(super) recovery: RecoveryReport,
}

/// Starts a writer on the store, kills it, recovers, and checks every promise.
pub(super) fn run(context: &mut Context) -> Result<Crash> {
    let acknowledged = killed_writer(&context.store)?;
    context.with_store(|_, documents| {
        let mut crash = Crash {
            acknowledged: 0,
            unacknowledged: 0,
            recovery: documents.store().recovery().clone(),
        };
        for (id, rev) in &acknowledged {
            let found = documents.get(COLLECTION, id)?;
            if found.is_none_or(|found| found.rev != *rev) {
                let what = format!("{id:?} was acknowledged and is lost; report this");
                return Err(Error::new(ErrorKind::Bug, what));
            }
            crash.acknowledged += 1;
        }
        let stored = check_hashes(documents)?;
        crash.unacknowledged = stored.saturating_sub(crash.acknowledged);
        Ok(crash)
    })
}

/// Reads every document again; says how many the writer stored.
fn check_hashes(documents: &Documents) -> Result<u64> {
    let mut stored = 0;
    for name in documents.collections() {
        for document in documents.list(&name, &Listing::default())? {
            let document = document?;
            if !document.is_intact() {
                let what = format!("{:?} in {name:?} is not what was written", document.id);
                return Err(Error::new(ErrorKind::Corrupt, what).at_lsn(document.lsn));
            }
            stored += u64::from(name == COLLECTION);
        }
    }
    Ok(stored)
}

/// The ids and revisions that a writer acknowledged before it was killed.
fn killed_writer(store: &Path) -> Result<Vec<(String, u64)>> {
    let fail = |error| Error::io("run a writer on", store, error);
    let mut child = Command::new(std::env::current_exe().map_err(fail)?)
        .args(["apply", "--threads", "4", "--store"])
        .arg(store)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let acknowledged = feed_and_kill(&mut child).map_err(fail);
    // Whatever happened, no writer stays behind.
    let _already_dead = child.kill();
    child.wait().map_err(fail)?;
    acknowledged
}

fn feed_and_kill(child: &mut Child) -> io::Result<Vec<(String, u64)>> {
    let pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
    let mut input = child.stdin.take().ok_or_else(pipe)?;
    let output = BufReader::new(child.stdout.take().ok_or_else(pipe)?);
    let feeder = spawn("jidoka-demo", move || {
        for number in 0..OPERATIONS {
            let doc = json!({"number": number, "sound": "ring", "tested": number % 7 != 0});
            let id = format!("bell-{number:07}");
            let line = json!({"op": "put", "collection": COLLECTION, "id": id, "doc": doc});
            if writeln!(input, "{line}").is_err() {
                return; // the writer is dead
            }
        }
    })?;
    let mut acknowledged = Vec::new();
    for line in output.split(b'\n') {
        let Ok(answer) = serde_json::from_slice::<Value>(&line?) else {
            continue; // cut off by the end of the writer
        };
        let (id, rev) = (answer.get("id"), answer.get("rev"));
        if let (Some(id), Some(rev)) = (id.and_then(Value::as_str), rev.and_then(Value::as_u64)) {
            acknowledged.push((id.to_owned(), rev));
        }
        if acknowledged.len() == ENOUGH {
            child.kill()?;
        }
    }
    feeder.join().map_err(|_| io::Error::other("the feeding thread panicked"))?;
    Ok(acknowledged)
}
