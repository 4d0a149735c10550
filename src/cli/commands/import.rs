//! `import`: documents from files and folders.

use std::path::PathBuf;

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::ops::{ImportOptions, ImportReport, Refused, import, import_files};

/// Bring in documents from files and folders
///
/// Reads JSON, JSON Lines, and folders of them. Each element of an array is a document, and so is
/// each line of JSON Lines. Documents are named by their own ids; documents of the TCPS are
/// recognised and go to their collections. Importing again is safe: what is there already is
/// counted as present, and what is there with other content is refused. Exits 3 if something was
/// refused.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka import records/ more.jsonl")]
pub(in crate::cli) struct ImportArgs {
    /// Files, or folders whose .json, .jsonl and .ndjson files are read
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Put every document into this collection
    #[arg(long)]
    collection: Option<String>,
}

pub(in crate::cli) fn run(args: ImportArgs, context: &mut Context) -> Result<Outcome> {
    let options = ImportOptions { collection: args.collection, origin: context.origin.clone() };
    // A wrong path must not leave an empty store behind.
    let files = import_files(context.runtime.vfs.as_ref(), &args.paths)?;
    let report = context.with_store_or_new(|context, documents| {
        import(documents, context.runtime.vfs.as_ref(), &files, &options)
    })?;
    context.out.line(&report_line(&report).finish())?;
    Ok(if report.refused.is_empty() { Outcome::Done } else { Outcome::Partly })
}

fn report_line(report: &ImportReport) -> Line {
    Line::new()
        .number("imported", report.imported)
        .number("present", report.present)
        .array("refused", report.refused.iter().map(refused_line))
}

fn refused_line(refused: &Refused) -> Line {
    let line = Line::new()
        .text("file", &refused.file.to_string_lossy())
        .value("line", &refused.line.into())
        .text("reason", &refused.reason);
    match &refused.address {
        Some((collection, id)) => line.text("collection", collection).text("id", id),
        None => line,
    }
}
