//! `inspect`: any file of a store or a copy, in words.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::ops::{Inspected, inspect};

/// Print what a file of a store or of a copy says, in words
///
/// A segment, an identity, a saved tail, a lock, a manifest, a table, a range or the end of a copy,
/// looked at by itself and read-only; it may be a copy of such a file anywhere. Exits 13 if it is
/// damaged, and 2 if it is something else.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka inspect jidoka-data/wal/0000000000000001.wal")]
pub(in crate::cli) struct InspectArgs {
    /// The file
    file: PathBuf,
}

pub(in crate::cli) fn run(args: &InspectArgs, context: &mut Context) -> Result<Outcome> {
    let said = inspect(&args.file, &context.runtime)?;
    let path = args.file.to_string_lossy();
    if context.json {
        context.out.line(&line(&said, &path))?;
    } else {
        context.out.text(&words(&said, &path))?;
    }
    Ok(if said.is_whole() { Outcome::Done } else { Outcome::Damaged })
}

fn line(said: &Inspected, path: &str) -> Vec<u8> {
    let line = Line::new().text("path", path).text("kind", said.kind);
    let line = said.facts.iter().fold(line, |line, (name, value)| line.value(name, value));
    let damage = said.damage.iter().map(|damage| {
        Line::new()
            .text("path", path)
            .value("offset", &damage.offset.into())
            .value("lsn", &damage.lsn.map(|lsn| lsn.0).into())
            .text("what", &damage.what)
    });
    line.flag("whole", said.is_whole()).array("damage", damage).finish()
}

fn words(said: &Inspected, path: &str) -> String {
    let mut text = format!("{path}: {}\n", said.kind);
    for (name, value) in &said.facts {
        let name = name.replace('_', " ");
        match value {
            Value::Null => {}
            Value::String(value) => text.push_str(&format!("  {name:<16} {value}\n")),
            value => text.push_str(&format!("  {name:<16} {value}\n")),
        }
    }
    for damage in &said.damage {
        let place = damage.offset.map(|offset| format!(" at offset {offset}")).unwrap_or_default();
        let lsn = damage.lsn.map(|lsn| format!(", lsn {lsn}")).unwrap_or_default();
        text.push_str(&format!("  damage{place}{lsn}: {}\n", damage.what));
    }
    if said.is_whole() {
        text.push_str("  whole: nothing in this file is damaged\n");
    }
    text
}
