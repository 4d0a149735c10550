//! `get`: one document.

use clap::Args;

use crate::base::{Error, ErrorKind, Result};
use crate::cli::context::{Context, Reading};
use crate::cli::run::Outcome;

use super::lines;

/// Print a document
///
/// With its revision, the commit and time of its last change, and the SHA-256 of its content.
/// Exits 4 if there is none.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka get pots p1")]
pub(in crate::cli) struct GetArgs {
    #[command(flatten)]
    reading: Reading,
    /// The collection
    collection: String,
    /// The document's id
    id: String,
}

pub(in crate::cli) fn run(args: &GetArgs, context: &mut Context) -> Result<Outcome> {
    context.with_documents(&args.reading, |context, documents| {
        let found = documents.get(&args.collection, &args.id)?.ok_or_else(|| {
            let what =
                format!("the document {:?} in {:?} does not exist", args.id, args.collection);
            Error::new(ErrorKind::NotFound, what)
        })?;
        context.out.line(&lines::document(&found))
    })?;
    Ok(Outcome::Done)
}
