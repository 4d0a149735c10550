//! `log salvage`: what is before the damage, when there is no copy to restore.

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::ops::{self, SalvageReport};

/// Cut a damaged log where the damage begins
///
/// Restore a copy instead if there is one: every commit behind the damage is taken out. What is
/// taken out is copied to quarantine/ in the store first. Without --yes it only says what it would
/// do, and exits 13 if there is damage. A log without damage is left alone.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka log salvage\n  jidoka log salvage --yes")]
pub(in crate::cli) struct LogSalvageArgs {
    /// Do it
    #[arg(long)]
    yes: bool,
}

pub(in crate::cli) fn run(args: &LogSalvageArgs, context: &mut Context) -> Result<Outcome> {
    let report = ops::salvage(context.existing_store()?, &context.runtime, args.yes)?;
    if context.json {
        context.out.line(&line(&report))?;
    } else {
        context.out.text(&text(&report))?;
    }
    if report.damage.is_none() || report.done {
        return Ok(Outcome::Done);
    }
    context.note("nothing was changed; restore a copy, or give --yes to cut the log there");
    Ok(Outcome::Damaged)
}

fn line(report: &SalvageReport) -> Vec<u8> {
    let number = |number: Option<u64>| number.map_or(serde_json::Value::Null, Into::into);
    let mut line = Line::new().flag("done", report.done);
    line = match &report.damage {
        None => return line.value("damage", &serde_json::Value::Null).finish(),
        Some(damage) => line.object("damage", super::verify::damage_line(damage)),
    };
    let commits = report.loss.commits;
    let lost = Line::new()
        .value("first_lsn", &number(commits.map(|(first, _)| first.0)))
        .value("last_lsn", &number(commits.map(|(_, last)| last.0)))
        .number("intact_commits", report.loss.intact)
        .number("bytes", report.loss.bytes);
    let quarantine = report.quarantine.as_ref().map(|path| path.to_string_lossy().into_owned());
    line.number("kept_lsn", report.kept.0)
        .object("lost", lost)
        .value("quarantine", &quarantine.into())
        .number("term", report.term.0)
        .finish()
}

fn text(report: &SalvageReport) -> String {
    let Some(damage) = &report.damage else {
        return "the log is not damaged; nothing was changed\n".to_owned();
    };
    let lost = match report.loss.commits {
        None => "no commit that is known of".to_owned(),
        Some((first, last)) => {
            format!("commits {first} to {last}, {} of them intact", report.loss.intact)
        }
    };
    let (path, offset) = (damage.path.display(), damage.offset.unwrap_or_default());
    let mut text = format!("damage      {path}, offset {offset}: {}\n", damage.what);
    text.push_str(&format!("kept        every commit up to {}\n", report.kept));
    text.push_str(&format!("lost        {lost}; {} bytes\n", report.loss.bytes));
    if let Some(quarantine) = &report.quarantine {
        text.push_str(&format!("quarantine  {}\n", quarantine.display()));
    }
    text
}
