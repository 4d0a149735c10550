//! The lines that several commands print: a document, a written revision, an origin.

use crate::base::{Error, ErrorKind, Result};
use crate::cli::context::Context;
use crate::cli::time;
use crate::doc::{Condition, Document, Documents, Line, Operation, Outcome};
use crate::store::Origin;
use crate::wal::Durability;

/// `{"id","rev","lsn","at","sha256","doc"}`.
pub(super) fn document(document: &Document) -> Vec<u8> {
    Line::new()
        .text("id", &document.id)
        .number("rev", document.rev)
        .number("lsn", document.lsn.0)
        .text("at", &time::format(document.at))
        .text("sha256", &document.sha256.to_string())
        .raw("doc", document.canonical())
        .finish()
}

/// Writes one document and prints `{"id","rev","lsn","at","sha256"}`.
pub(super) fn write(
    context: &mut Context,
    documents: &Documents,
    operation: Operation,
) -> Result<()> {
    let options = context.write_options(Durability::Sync);
    let applied = documents.apply(&[operation], &options)?;
    let Some(Outcome::Document { id, rev, sha256, .. }) = applied.outcomes.first() else {
        return Err(Error::new(ErrorKind::Bug, "a document was written without an outcome"));
    };
    let line = Line::new()
        .text("id", id)
        .number("rev", *rev)
        .number("lsn", applied.lsn.0)
        .text("at", &time::format(applied.at))
        .text("sha256", &sha256.to_string());
    context.out.line(&line.finish())
}

/// The condition of `--if-rev`.
pub(super) fn condition(if_rev: Option<u64>) -> Condition {
    if_rev.map_or(Condition::None, Condition::Revision)
}

/// Adds an origin where one was given, with the parts that were.
pub(super) fn with_origin(line: Line, origin: &Origin) -> Line {
    if origin.is_empty() {
        return line;
    }
    let parts =
        [("actor", &origin.actor), ("session", &origin.session), ("reason", &origin.reason)];
    let given = parts.into_iter().filter(|(_, text)| !text.is_empty());
    line.object("origin", given.fold(Line::new(), |object, (name, text)| object.text(name, text)))
}
