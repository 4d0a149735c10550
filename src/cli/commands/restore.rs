//! `restore`: the store as it was at a commit or a time.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::archive::{self, RestoreRequest, Target};
use crate::base::{Lsn, Result, Timestamp};
use crate::cli::context::Context;
use crate::cli::files::refuse_inside;
use crate::cli::run::Outcome;
use crate::cli::time;
use crate::doc::Line;

/// Rebuild a store from a copy, as it was at a commit or a time
///
/// The new store has every commit up to the one asked for, and an identity of its own. The copy
/// and the original are not touched. Exits 14 if the copy does not reach that far.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  jidoka restore --from /mnt/copy --latest -o again\n  jidoka restore \
                  --from /mnt/copy --to-time 2026-03-09T16:30:00Z --exclusive -o before"
)]
pub(in crate::cli) struct RestoreArgs {
    /// The copy
    #[arg(long, value_name = "COPY")]
    from: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Leave out the commit at exactly that LSN or time
    #[arg(long)]
    exclusive: bool,
    /// Only say what would be reached
    #[arg(long)]
    dry_run: bool,
    /// Directory of the new store, which must be missing or empty
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// Everything that the copy holds
    #[arg(long)]
    latest: bool,
    /// Every commit up to this one
    #[arg(long, value_name = "N")]
    to_lsn: Option<u64>,
    /// Every commit up to this time, which needs Z or an offset
    #[arg(long, value_name = "TIME")]
    to_time: Option<String>,
}

pub(in crate::cli) fn run(args: RestoreArgs, context: &mut Context) -> Result<Outcome> {
    let target = match (args.target.to_lsn, args.target.to_time) {
        (Some(lsn), _) => Target::Lsn(Lsn(lsn)),
        (None, Some(text)) => Target::Time(time::parse(&text, args.exclusive)?),
        (None, None) => Target::Latest,
    };
    let RestoreArgs { from, output: to, exclusive, dry_run, .. } = args;
    refuse_inside(&to, &from, "the new store would be inside the copy; name a place outside")?;
    let request = RestoreRequest { from, to, target, exclusive, dry_run };
    let report = archive::restore(&request, &context.runtime)?;
    let line = Line::new().object("reached", place(report.reached.lsn, report.reached.at));
    let line = match report.next {
        Some((lsn, at)) => line.object("next", place(lsn, Some(at))),
        None => line.raw("next", b"null"),
    };
    context.out.line(&line.value("seconds", &json!(report.seconds)).finish())?;
    Ok(Outcome::Done)
}

fn place(lsn: Lsn, at: Option<Timestamp>) -> Line {
    Line::new().number("lsn", lsn.0).value("at", &at.map(time::format).into())
}
