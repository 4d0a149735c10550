//! The order of events, and their words.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::base::{Error, ErrorKind, Result};
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::{Documents, Filter, Line, Listing, Query, Sort};
use crate::ops::{ImportOptions, ImportReport, import, import_files};
use crate::tcps::samples::FACTORY;
use crate::vfs::os::remove_tree;
use crate::vfs::{FileExt, OpenMode, Vfs};

use super::crash::{self, Crash};
use super::latency::{self, Latency};
use super::past::{self, Moment, Past};

/// Take the tour: a store is made, killed, recovered and taken back in time, in a few seconds
///
/// Imports the bundled documents of a small factory, asks them some questions, kills a writer in
/// the middle of its work, shows that everything it had acknowledged is there, rebuilds the store
/// as it was before from a copy, and measures how long a commit takes beside a plain write to the
/// same disk.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka demo --dir ./tour")]
pub(in crate::cli) struct DemoArgs {
    /// Use this directory, which must be empty or missing, and keep what was made
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &DemoArgs, context: &mut Context) -> Result<Outcome> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => fresh_dir(context)?,
    };
    refuse_unless_empty(context.runtime.vfs.as_ref(), &dir)?;
    let toured = tour(context, &dir);
    if args.dir.is_none() {
        let removed = remove_tree(&dir);
        let removed =
            removed.map_err(|error| Error::io("remove the demo's directory", &dir, error));
        toured?;
        removed?;
    } else {
        toured?;
        tell(context, &format!("Everything is still in {}.\n", dir.display()))?;
    }
    Ok(Outcome::Done)
}

/// A name under the temporary directory that nobody has.
fn fresh_dir(context: &Context) -> Result<PathBuf> {
    let base = std::env::temp_dir();
    let random =
        context.runtime.random().map_err(|error| Error::io("choose a name in", &base, error))?;
    Ok(base.join(format!("jidoka-demo-{:016x}", u64::from_le_bytes(random))))
}

fn refuse_unless_empty(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    match vfs.list(dir) {
        Ok(entries) if entries.is_empty() => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(_) => {
            let what = "the directory is not empty; name another for the demo";
            Err(Error::new(ErrorKind::Invalid, what).at_path(dir))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            let what = "this is not a directory; name another for the demo";
            Err(Error::new(ErrorKind::Invalid, what).at_path(dir))
        }
        Err(error) => Err(Error::io("look into the directory", dir, error)),
    }
}

/// Says something to people; programs get one JSON value at the end.
fn tell(context: &mut Context, text: &str) -> Result<()> {
    if context.json { Ok(()) } else { context.out.text(text) }
}

fn tour(context: &mut Context, dir: &Path) -> Result<()> {
    context.store = dir.join("store");
    tell(context, &format!("A store is made in {}.\n\n", context.store.display()))?;
    let imported = context.with_store_or_new(|context, documents| {
        let samples = write_samples(context, dir)?;
        let vfs = context.runtime.vfs.as_ref();
        let files = import_files(vfs, &[samples])?;
        let report = import(documents, vfs, &files, &ImportOptions::default())?;
        tell_import(context, documents, &report)?;
        questions(context, documents)?;
        Ok(report.imported)
    })?;
    tell(context, "A writer with four threads is started and killed in the middle of its work.\n")?;
    let before = past::moment(context)?;
    let crash = crash::run(context)?;
    tell_crash(context, &crash)?;
    let past = past::go_back(context, dir, before)?;
    tell_past(context, before, &past)?;
    let latency = latency::measure(context, &dir.join("disk"))?;
    tell_latency(context, &latency)?;
    if context.json {
        context.out.line(&summary(imported, &crash, (before, &past), &latency))?;
    }
    Ok(())
}

/// Writes the bundled documents out, so that the import has files to read.
fn write_samples(context: &Context, dir: &Path) -> Result<PathBuf> {
    let vfs = context.runtime.vfs.as_ref();
    let samples = dir.join("documents");
    let fail = |error| Error::io("write the sample documents", &samples, error);
    vfs.create_dir(&samples).map_err(fail)?;
    for (name, text) in FACTORY {
        let file = vfs.open(&samples.join(name), OpenMode::CreateNew).map_err(fail)?;
        file.write_all_at(text.as_bytes(), 0).map_err(fail)?;
    }
    Ok(samples)
}

fn tell_import(context: &mut Context, documents: &Documents, report: &ImportReport) -> Result<()> {
    if let Some(refused) = report.refused.first() {
        let what = format!("a bundled document was refused: {}", refused.reason);
        return Err(Error::new(ErrorKind::Bug, what).at_path(&refused.file));
    }
    let mut text = format!("{} documents of a small factory were imported:\n", report.imported);
    for name in documents.collections() {
        let count = documents.list(&name, &Listing::default())?.count();
        text.push_str(&format!("  {count:>4}  {name}\n"));
    }
    tell(context, &text)
}

/// Three questions, with the words and the query for each.
fn questions(context: &mut Context, documents: &Documents) -> Result<()> {
    let text = |document: &serde_json::Value, name: &str| match document.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    for (question, collection, condition, sort, shown) in [
        (
            "Which problems stop the line?",
            "andon_events",
            "status = open",
            "triggered_at",
            ["severity", "sku_id"],
        ),
        (
            "Which orders are the most urgent?",
            "work_orders",
            "priority >= 7",
            "priority:desc",
            ["priority", "title"],
        ),
        (
            "Which tests failed?",
            "receipts",
            "status = fail",
            "timestamp",
            ["timestamp_iso", "stage"],
        ),
    ] {
        let filters = vec![Filter::parse(condition)?];
        let query = Query { filters, sort: Some(Sort::parse(sort)?), limit: Some(3) };
        let mut answer =
            format!("\n{question}  (query {collection} --where '{condition}' --sort {sort})\n");
        for found in documents.query(collection, &query)? {
            let found = found?;
            let shown = shown.map(|name| text(&found.value, name)).join("  ");
            answer.push_str(&format!("  {}  {shown}\n", found.document.id));
        }
        tell(context, &answer)?;
    }
    tell(context, "\n")
}

fn tell_crash(context: &mut Context, crash: &Crash) -> Result<()> {
    let text = format!(
        "  It had acknowledged {} operations. After recovery all of them are there, and {} more\n  \
         that it was not told about yet.\n  Recovery read {} records ({} bytes) in {:.1} ms and \
         cut {} bytes of a torn write.\n  Every document was read again and has the hash it was \
         stored with.\n\n",
        crash.acknowledged,
        crash.unacknowledged,
        crash.recovery.records,
        crash.recovery.bytes,
        crash.recovery.seconds * 1000.0,
        crash.recovery.cut_bytes
    );
    tell(context, &text)
}

fn tell_past(context: &mut Context, before: Moment, past: &Past) -> Result<()> {
    let text = format!(
        "Every byte of the store was read and {} records were checked: no damage.\nIt was copied \
         up to commit {} ({} bytes), and rebuilt from the copy as it was at commit {},\n  before \
         that writer came. The rebuilt store has the digest that the first one had then.\n\n",
        past.records, past.copied_to, past.copied_bytes, before.lsn
    );
    tell(context, &text)
}

fn tell_latency(context: &mut Context, latency: &Latency) -> Result<()> {
    let Latency { commits, commit_us, disk_us } = *latency;
    let text = format!(
        "A commit that survives a power cut takes {commit_us} µs (median of {commits}).\n  The \
         disk itself takes {disk_us} µs to write and sync 4 KiB.\n\n"
    );
    tell(context, &text)
}

fn summary(
    imported: u64,
    crash: &Crash,
    (before, past): (Moment, &Past),
    latency: &Latency,
) -> Vec<u8> {
    let recovery = Line::new()
        .number("records", crash.recovery.records)
        .number("bytes", crash.recovery.bytes)
        .value("seconds", &json!(crash.recovery.seconds))
        .number("cut_bytes", crash.recovery.cut_bytes);
    Line::new()
        .number("imported", imported)
        .number("acknowledged", crash.acknowledged)
        .number("unacknowledged", crash.unacknowledged)
        .number("lost", 0)
        .object("recovery", recovery)
        .number("copied_to_lsn", past.copied_to.0)
        .number("restored_to_lsn", before.lsn.0)
        .text("restored_sha256", &before.digest.to_string())
        .number("commit_p50_us", latency.commit_us)
        .number("disk_p50_us", latency.disk_us)
        .finish()
}
