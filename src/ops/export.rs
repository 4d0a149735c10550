//! Export: the documents of some collections, or of all, in a form that other programs read.

use crate::base::{Error, ErrorKind, Result};
use crate::doc::export::{Csv, json_line};
use crate::doc::{Document, DocumentsAt, Listing};

/// How an export is written.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON Lines: a document a line.
    JsonLines,
    /// One JSON array.
    Json,
    /// A table by RFC 4180, with a column for each member.
    Csv,
}

/// Gives `sink` the bytes of an export of `collections`, or of all if none is named, and says how
/// many documents they hold.
///
/// # Errors
/// `NotFound` for a collection that never was, `Invalid` for a document that the format cannot
/// hold, and what `sink` says.
///
/// # Cost
/// Reads every document once, for a table twice; holds one of them at a time.
pub fn export(
    documents: &DocumentsAt,
    collections: &[String],
    format: Format,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let existing = documents.collections();
    if let Some(unknown) = collections.iter().find(|name| !existing.contains(name)) {
        let what = format!("there is no collection {unknown:?}; check the name");
        return Err(Error::new(ErrorKind::NotFound, what));
    }
    let names = if collections.is_empty() { &existing } else { collections };
    match format {
        Format::JsonLines => each(documents, names, &mut |name, document| {
            sink(&line_of(name, document))?;
            sink(b"\n")
        }),
        Format::Json => {
            let mut separator: &[u8] = b"[\n";
            let count = each(documents, names, &mut |name, document| {
                sink(separator)?;
                separator = b",\n";
                sink(&line_of(name, document))
            })?;
            sink(if count == 0 { b"[]\n" } else { b"\n]\n" })?;
            Ok(count)
        }
        Format::Csv => {
            let mut csv = Csv::default();
            each(documents, names, &mut |name, document| {
                csv.observe(&document.value()?).map_err(|error| inside(name, document, &error))
            })?;
            sink(&csv.header())?;
            each(documents, names, &mut |name, document| {
                let line = csv.line(name, &document.id, document.rev, &document.value()?);
                sink(&line.map_err(|error| inside(name, document, &error))?)
            })
        }
    }
}

fn line_of(name: &str, document: &Document) -> Vec<u8> {
    json_line(name, &document.id, document.rev, document.canonical())
}

fn inside(name: &str, document: &Document, error: &Error) -> Error {
    error.clone().within(&format!("the document {:?} in {name:?}", document.id))
}

fn each(
    documents: &DocumentsAt,
    names: &[String],
    visit: &mut dyn FnMut(&str, &Document) -> Result<()>,
) -> Result<u64> {
    let mut count = 0;
    for name in names {
        for document in documents.list(name, &Listing::default())? {
            visit(name, &document?)?;
            count += 1;
        }
    }
    Ok(count)
}
