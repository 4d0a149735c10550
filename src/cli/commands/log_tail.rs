//! `log tail`: the records of the log as they become durable.

use std::time::Duration;

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::vfs::thread::sleep;
use crate::wal::LogReader;
use crate::wal::reader::Limit;

use super::records::Names;

/// How long to wait for the writer before looking again.
const POLL: Duration = Duration::from_millis(50);
/// Idle looks after which the end of the log is checked for damage, which reads more of it.
const POLLS_BETWEEN_CHECKS: u32 = 200;

/// Print the records of the log, and with --follow those that come
///
/// Prints what `log dump` prints, beside a writer and read-only. A record is shown when it is
/// proven durable. With --follow it goes on until it is stopped, or nobody reads what it prints.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka log tail --from 800 --follow")]
pub(in crate::cli) struct LogTailArgs {
    /// Only records from this commit on
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    from: u64,
    /// Wait for more, until stopped
    #[arg(long)]
    follow: bool,
}

pub(in crate::cli) fn run(args: &LogTailArgs, context: &mut Context) -> Result<Outcome> {
    let mut reader =
        LogReader::open(context.existing_store()?, &context.runtime)?.with_taken_back();
    let (mut names, mut idle) = (Names::default(), 0_u32);
    loop {
        if let Some(record) = reader.next(Limit::Claims)? {
            idle = 0;
            let line = names.line(&record)?;
            if record.header.lsn.0 >= args.from {
                context.out.line(&line)?;
            }
            continue;
        }
        context.out.flush()?;
        if idle.is_multiple_of(POLLS_BETWEEN_CHECKS) {
            reader.check_end()?;
        }
        if !args.follow {
            return Ok(Outcome::Done);
        }
        idle = idle.wrapping_add(1);
        sleep(POLL);
    }
}
