//! `dump`: the whole logical content, byte for byte comparable.

use clap::Args;

use crate::base::Result;
use crate::cli::context::{Context, Reading};
use crate::cli::run::Outcome;
use crate::doc::Line;

/// Print the whole content, the same for equal content whatever the files look like
///
/// Documents by collection and id, then values by keyspace and key, as lines of canonical JSON
/// (RFC 8785). Two stores with the same content have the same dump and the same digest.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka dump --digest")]
pub(in crate::cli) struct DumpArgs {
    #[command(flatten)]
    reading: Reading,
    /// Print only the SHA-256 of the lines, and how many there are
    #[arg(long)]
    digest: bool,
}

pub(in crate::cli) fn run(args: &DumpArgs, context: &mut Context) -> Result<Outcome> {
    context.with_documents(&args.reading, |context, documents| {
        if args.digest {
            let (sha256, items) = documents.digest()?;
            let line = Line::new().text("sha256", &sha256.to_string()).number("items", items);
            return context.out.line(&line.finish());
        }
        documents.dump(&mut |line| context.out.line(line))
    })?;
    Ok(Outcome::Done)
}
