//! `backup`: a copy that grows by what is new.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::archive;
use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::files::refuse_inside;
use crate::cli::run::Outcome;
use crate::doc::Line;

/// Copy the store to another directory
///
/// Works beside a writer and copies only what is durable. Run again with the same DEST, it adds
/// what is new. A copy can be restored to any commit, or any time, that it covers.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka backup /mnt/copy")]
pub(in crate::cli) struct BackupArgs {
    /// Directory of the copy; made if it is missing
    dest: PathBuf,
}

pub(in crate::cli) fn run(args: &BackupArgs, context: &mut Context) -> Result<Outcome> {
    let store = context.existing_store()?;
    refuse_inside(&args.dest, store, "the copy would be inside the store; name a place outside")?;
    let report = archive::backup(store, &args.dest, &context.runtime)?;
    let line = Line::new()
        .number("to_lsn", report.to_lsn.0)
        .number("files_copied", report.files_copied)
        .number("bytes_copied", report.bytes_copied)
        .value("seconds", &json!(report.seconds));
    context.out.line(&line.finish())?;
    Ok(Outcome::Done)
}
