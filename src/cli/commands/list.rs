//! `list`: the documents of a collection by id.

use clap::Args;

use crate::base::Result;
use crate::cli::context::{Context, Reading};
use crate::cli::run::Outcome;
use crate::doc::Listing;

use super::lines;

/// Print the documents of a collection in the order of their ids
///
/// One JSON line each, as `get` prints it. To read a large collection in parts, give the last id
/// you have seen as --after.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka list pots --prefix 2026- --after 2026-03 --limit 100")]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    reading: Reading,
    /// The collection
    collection: String,
    /// Only ids that begin with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only ids after this one
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(in crate::cli) fn run(args: ListArgs, context: &mut Context) -> Result<Outcome> {
    let ListArgs { reading, collection, prefix, after, limit } = args;
    context.with_documents(&reading, |context, documents| {
        let listed = documents.list(&collection, &Listing { prefix, after })?;
        for document in listed.take(limit.unwrap_or(usize::MAX)) {
            context.out.line(&lines::document(&document?))?;
        }
        Ok(())
    })?;
    Ok(Outcome::Done)
}
