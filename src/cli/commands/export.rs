//! `export`: documents for other programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::base::Result;
use crate::cli::context::{Context, Reading};
use crate::cli::files::{NewFile, refuse_inside};
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::ops::{self, Format};

/// Write documents out for other programs
///
/// All collections unless some are named. In CSV there is a column for each member that any
/// document has, and nested values are JSON.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka export pots --format csv -o pots.csv")]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    reading: Reading,
    /// The collections
    #[arg(value_name = "COLLECTION")]
    collections: Vec<String>,
    /// How to write them
    #[arg(long, value_enum, default_value_t = FormatArg::Jsonl)]
    format: FormatArg,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// A line {"collection","id","rev","doc"} for each document
    Jsonl,
    /// One array of those
    Json,
    /// A table
    Csv,
}

pub(in crate::cli) fn run(args: &ExportArgs, context: &mut Context) -> Result<Outcome> {
    let format = match args.format {
        FormatArg::Jsonl => Format::JsonLines,
        FormatArg::Json => Format::Json,
        FormatArg::Csv => Format::Csv,
    };
    context.with_documents(&args.reading, |context, documents| {
        let Some(path) = &args.output else {
            let out = &mut context.out;
            ops::export(documents, &args.collections, format, &mut |bytes| out.bytes(bytes))?;
            return Ok(());
        };
        refuse_inside(path, &context.store, "the file would be inside the store; name another")?;
        let vfs = context.runtime.vfs.clone();
        let mut file = NewFile::create(vfs.as_ref(), path, args.yes)?;
        let sink = &mut |bytes: &[u8]| file.write(bytes);
        let count = ops::export(documents, &args.collections, format, sink)?;
        file.finish()?;
        let path = path.to_string_lossy();
        if context.json {
            let line = Line::new().number("documents", count).text("file", &path);
            return context.out.line(&line.finish());
        }
        context.note(&format!("{count} documents written to {path}"));
        Ok(())
    })?;
    Ok(Outcome::Done)
}
