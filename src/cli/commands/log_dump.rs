//! `log dump`: the records of the log, one line each.

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::wal::LogReader;
use crate::wal::reader::Limit;

use super::records::Names;

/// Print the records of the log
///
/// One JSON line each: where it is, its numbers, and for a commit what it did, without the
/// content. Works beside a writer and shows what is durable. Damage exits 13, after the records
/// before it.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka log dump --from 800 --to 812")]
pub(in crate::cli) struct LogDumpArgs {
    /// Only records from this commit on
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    from: u64,
    /// Only records up to this commit
    #[arg(long, value_name = "LSN", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Also show valid records that are not proven durable yet
    #[arg(long)]
    all: bool,
}

pub(in crate::cli) fn run(args: &LogDumpArgs, context: &mut Context) -> Result<Outcome> {
    let mut reader =
        LogReader::open(context.existing_store()?, &context.runtime)?.with_taken_back();
    let limit = if args.all { Limit::Everything } else { Limit::Claims };
    let mut names = Names::default();
    while let Some(record) = reader.next(limit)? {
        let line = names.line(&record)?;
        if (args.from..=args.to).contains(&record.header.lsn.0) {
            context.out.line(&line)?;
        }
    }
    reader.check_end()?;
    Ok(Outcome::Done)
}
