//! `checkpoint` and `compact`: what is in the log becomes tables, and many tables few.

use clap::Args;
use serde_json::json;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::store::{Store, TableStats};

/// Write everything into tables, so that opening the store reads less of the log
///
/// The store does this by itself when it has much in memory, and on closing when much of the log
/// would be read again. With --log-kept needed the log before it is released, and its space used
/// again.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka checkpoint")]
pub(in crate::cli) struct CheckpointArgs {}

/// Write everything into tables, and merge these into one sorted run
///
/// Reads then look at one place, and versions that nobody can ask for take no space. The store
/// merges by itself what it must; this reads and writes everything, and takes as much space again
/// until it is done.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka compact")]
pub(in crate::cli) struct CompactArgs {}

pub(in crate::cli) fn checkpoint(context: &mut Context) -> Result<Outcome> {
    run(context, Store::checkpoint)
}

pub(in crate::cli) fn compact(context: &mut Context) -> Result<Outcome> {
    run(context, Store::compact)
}

fn run(context: &mut Context, work: impl FnOnce(&Store) -> Result<()>) -> Result<Outcome> {
    context.with_store(|context, documents| {
        let (store, clock) = (documents.store(), context.runtime.clock.clone());
        let started = clock.monotonic();
        work(store)?;
        let seconds = clock.monotonic().saturating_sub(started).as_secs_f64();
        let (stats, oldest) = (store.table_stats(), store.log_stats().oldest.0);
        if context.json {
            let line = Line::new()
                .number("lsn", stats.checkpoint.0)
                .number("tables", stats.tables)
                .number("runs", stats.runs)
                .number("written_bytes", stats.written_bytes)
                .number("oldest_lsn", oldest)
                .value("seconds", &json!(seconds));
            context.out.line(&line.finish())?;
        } else {
            context.out.text(&told(&stats, oldest))?;
        }
        Ok(Outcome::Done)
    })
}

fn told(stats: &TableStats, oldest: u64) -> String {
    let TableStats { checkpoint, tables, runs, written_bytes, .. } = stats;
    format!(
        "checkpoint  every commit up to {checkpoint} is in tables\n\
         tables      {tables} in {runs} runs; {written_bytes} bytes written\n\
         log         begins with commit {oldest}\n"
    )
}
