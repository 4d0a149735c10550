//! `changes`: the change feed.

use std::time::Duration;

use clap::Args;

use crate::base::{Lsn, Result};
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::cli::time;
use crate::doc::{Change, ChangeKind, Changes, Line};
use crate::vfs::thread::sleep;

use super::lines;

/// How long to wait for the writer before looking again.
const POLL: Duration = Duration::from_millis(50);
/// Idle looks after which the end of the log is checked for damage, which reads more of it.
const POLLS_BETWEEN_CHECKS: u32 = 200;

/// Print every change of documents, in the order of the commits
///
/// Works beside a writer and shows only what is durable. To resume, give the last LSN you have
/// seen as --since; changes of one batch share an LSN.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka changes --since 812 --collection pots --follow")]
pub(in crate::cli) struct ChangesArgs {
    /// Only changes after this commit
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    since: u64,
    /// Only changes in this collection; give several for more
    #[arg(long = "collection", value_name = "COLLECTION")]
    collections: Vec<String>,
    /// Wait for more, until stopped
    #[arg(long)]
    follow: bool,
}

pub(in crate::cli) fn run(args: ChangesArgs, context: &mut Context) -> Result<Outcome> {
    let dir = context.existing_store()?;
    let mut changes = Changes::follow(dir, &context.runtime, Lsn(args.since))?;
    if !args.collections.is_empty() {
        changes = changes.only(args.collections);
    }
    let mut idle = 0_u32;
    loop {
        if let Some(change) = changes.next_change()? {
            idle = 0;
            context.out.line(&change_line(&change))?;
            continue;
        }
        context.out.flush()?;
        if idle.is_multiple_of(POLLS_BETWEEN_CHECKS) {
            changes.check_end()?;
        }
        if !args.follow {
            return Ok(Outcome::Done);
        }
        idle = idle.wrapping_add(1);
        sleep(POLL);
    }
}

fn change_line(change: &Change) -> Vec<u8> {
    let op = if change.kind == ChangeKind::Delete { "delete" } else { "put" };
    let line = Line::new()
        .number("lsn", change.lsn.0)
        .text("at", &time::format(change.at))
        .text("op", op)
        .text("collection", &change.collection)
        .text("id", &change.id)
        .number("rev", change.rev)
        .text("sha256", &change.sha256.to_string());
    let line = match &change.doc {
        Some(doc) => line.raw("doc", doc),
        None => line,
    };
    lines::with_origin(line, &change.origin).finish()
}
