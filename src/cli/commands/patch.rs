//! `patch`: changes a document by merge patch.

use std::path::PathBuf;

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::files::read_json;
use crate::cli::run::Outcome;
use crate::doc::Operation;

use super::lines;

/// Change members of a document
///
/// Reads an RFC 7396 merge patch from a file or from standard input: members of the patch replace
/// those of the document, and a null removes one. Exits 4 if there is no document.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  echo '{\"colour\":\"blue\",\"lid\":null}' | jidoka patch pots p1"
)]
pub(in crate::cli) struct PatchArgs {
    /// The collection
    collection: String,
    /// The document's id
    id: String,
    /// Read the patch from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only if the document is at this revision now
    #[arg(long, value_name = "N")]
    if_rev: Option<u64>,
}

pub(in crate::cli) fn run(args: PatchArgs, context: &mut Context) -> Result<Outcome> {
    let patch = read_json(context.runtime.vfs.as_ref(), args.file.as_deref())?;
    let PatchArgs { collection, id, if_rev, .. } = args;
    let operation = Operation::Patch { collection, id, patch, condition: lines::condition(if_rev) };
    context.with_store(|context, documents| lines::write(context, documents, operation))?;
    Ok(Outcome::Done)
}
