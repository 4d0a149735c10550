//! `put`: a document from a file or standard input.

use std::path::PathBuf;

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::files::read_json;
use crate::cli::run::Outcome;
use crate::doc::id::{check_collection, check_id};
use crate::doc::{Condition, Operation};

use super::lines;

/// Store a JSON document
///
/// Reads the document from a file or from standard input and stores it as the next revision of
/// ID, or under a new id if none is given. Creates the store if there is none. When the command
/// has printed the revision, it survives a power cut.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  echo '{\"colour\":\"red\"}' | jidoka put pots p1\n  jidoka put pots \
                  p1 --file pot.json --if-rev 3"
)]
pub(in crate::cli) struct PutArgs {
    /// The collection
    collection: String,
    /// The document's id; without one, a new id that sorts after earlier ones
    id: Option<String>,
    /// Read the document from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only if the document is at this revision now
    #[arg(long, value_name = "N", conflicts_with = "if_absent")]
    if_rev: Option<u64>,
    /// Only if there is no such document now
    #[arg(long)]
    if_absent: bool,
}

pub(in crate::cli) fn run(args: PutArgs, context: &mut Context) -> Result<Outcome> {
    let doc = read_json(context.runtime.vfs.as_ref(), args.file.as_deref())?;
    let PutArgs { collection, id, if_rev, if_absent, .. } = args;
    // Nothing is created for names that cannot be.
    check_collection(&collection)?;
    id.as_deref().map_or(Ok(()), check_id)?;
    let condition = if if_absent { Condition::Absent } else { lines::condition(if_rev) };
    let operation = Operation::Put { collection, id, doc, condition };
    context.with_store_or_new(|context, documents| lines::write(context, documents, operation))?;
    Ok(Outcome::Done)
}
