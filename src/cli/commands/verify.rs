//! `verify`: every byte is read and everything written down is checked.

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::ops::{self, Damage};

/// Check everything, and list every damage
///
/// Reads every byte without opening the store and without changing it: records, chains, documents
/// against their hashes, the manifest, every table, and the log against both. Exits 13 if anything
/// is damaged. Files that nothing names are listed as orphans; they are no damage.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka verify")]
pub(in crate::cli) struct VerifyArgs {
    /// Do not hash documents and whole tables again
    #[arg(long)]
    quick: bool,
}

pub(in crate::cli) fn run(args: &VerifyArgs, context: &mut Context) -> Result<Outcome> {
    let report = ops::verify(context.existing_store()?, &context.runtime, args.quick)?;
    let counts = report.checked.iter();
    let checked = counts.fold(Line::new(), |line, (name, count)| line.number(name, *count));
    let orphans: Vec<_> = report.orphans.iter().map(|path| path.to_string_lossy()).collect();
    let line = Line::new()
        .flag("ok", report.is_ok())
        .object("checked", checked)
        .array("damage", report.damage.iter().map(damage_line))
        .value("orphans", &orphans.into());
    context.out.line(&line.finish())?;
    Ok(if report.is_ok() { Outcome::Done } else { Outcome::Damaged })
}

/// `{"path","offset","lsn","what"}`.
pub(super) fn damage_line(damage: &Damage) -> Line {
    Line::new()
        .text("path", &damage.path.to_string_lossy())
        .value("offset", &damage.offset.into())
        .value("lsn", &damage.lsn.map(|lsn| lsn.0).into())
        .text("what", &damage.what)
}
