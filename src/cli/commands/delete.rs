//! `delete`: takes a document away.

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::Operation;

use super::lines;

/// Delete a document
///
/// Prints the revision that was deleted. The log keeps what it held. Exits 4 if there is none.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka delete pots p1 --if-rev 3")]
pub(in crate::cli) struct DeleteArgs {
    /// The collection
    collection: String,
    /// The document's id
    id: String,
    /// Only if the document is at this revision now
    #[arg(long, value_name = "N")]
    if_rev: Option<u64>,
}

pub(in crate::cli) fn run(args: DeleteArgs, context: &mut Context) -> Result<Outcome> {
    let DeleteArgs { collection, id, if_rev } = args;
    let operation = Operation::Delete { collection, id, condition: lines::condition(if_rev) };
    context.with_store(|context, documents| lines::write(context, documents, operation))?;
    Ok(Outcome::Done)
}
