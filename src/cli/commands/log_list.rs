//! `log list`: the files of the log.

use std::path::Path;

use crate::base::{Error, Lsn, Result, SegmentNumber, Seq};
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::vfs::OpenMode;
use crate::wal::LogReader;
use crate::wal::format::Kind;
use crate::wal::reader::{Limit, OwnedRecord};
use crate::wal::segment::{DIR_NAME, parse_file_name, shown_path};

/// What a segment of the log holds.
struct Seen {
    number: SegmentNumber,
    seqs: Option<(Seq, Seq)>,
    lsns: Option<(Lsn, Lsn)>,
    records: u64,
    /// Up to the end of its last record.
    bytes: u64,
    file_bytes: u64,
    state: &'static str,
}

pub(in crate::cli) fn run(context: &mut Context) -> Result<Outcome> {
    let dir = context.existing_store()?.to_owned();
    let mut reader = LogReader::open(&dir, &context.runtime)?.with_taken_back();
    let mut segments: Vec<Seen> = Vec::new();
    while let Some(record) = reader.next(Limit::Everything)? {
        if segments.last().is_none_or(|last| last.number != record.segment) {
            segments.push(Seen::new(record.segment, "active"));
        }
        if let Some(last) = segments.last_mut() {
            last.take(&record);
        }
    }
    add_files(context, &dir, &mut segments)?;
    if context.json {
        let line = Line::new().array("segments", segments.iter().map(Seen::line));
        context.out.line(&line.finish())?;
    } else {
        context.out.text(&table(&segments))?;
    }
    reader.check_end()?;
    Ok(Outcome::Done)
}

impl Seen {
    const fn new(number: SegmentNumber, state: &'static str) -> Self {
        let (seqs, lsns, records, bytes, file_bytes) = (None, None, 0, 0, 0);
        Self { number, seqs, lsns, records, bytes, file_bytes, state }
    }

    fn take(&mut self, record: &OwnedRecord) {
        let header = &record.header;
        self.seqs = Some((self.seqs.map_or(header.seq, |(first, _)| first), header.seq));
        if header.kind.takes_lsn() {
            self.lsns = Some((self.lsns.map_or(header.lsn, |(first, _)| first), header.lsn));
        }
        self.records += 1;
        self.bytes = record.offset + header.record_len();
        if header.kind == Kind::SegmentEnd {
            self.state = "sealed";
        }
    }

    fn line(&self) -> Line {
        Line::new()
            .number("segment", self.number.0)
            .text("path", &shown_path(self.number).to_string_lossy())
            .text("state", self.state)
            .value("first_seq", &self.seqs.map(|(first, _)| first.0).into())
            .value("last_seq", &self.seqs.map(|(_, last)| last.0).into())
            .value("first_lsn", &self.lsns.map(|(first, _)| first.0).into())
            .value("last_lsn", &self.lsns.map(|(_, last)| last.0).into())
            .number("records", self.records)
            .number("bytes", self.bytes)
            .number("file_bytes", self.file_bytes)
    }
}

/// Adds the sizes of the files, and the files that the log has not come to yet.
fn add_files(context: &Context, dir: &Path, segments: &mut Vec<Seen>) -> Result<()> {
    let vfs = context.runtime.vfs.as_ref();
    let wal = dir.join(DIR_NAME);
    let fail = |error| Error::io("list the log", Path::new(DIR_NAME), error);
    for entry in vfs.list(&wal).map_err(fail)? {
        let Some(number) = parse_file_name(&entry.name) else { continue };
        let size = vfs.open(&wal.join(&entry.name), OpenMode::Read).and_then(|file| file.size());
        let size = size.map_err(|error| Error::io("look at", &shown_path(number), error))?;
        if let Some(seen) = segments.iter_mut().find(|seen| seen.number == number) {
            seen.file_bytes = size;
        } else {
            let mut seen = Seen::new(number, "pool");
            seen.file_bytes = size;
            segments.push(seen);
        }
    }
    segments.sort_by_key(|seen| seen.number);
    Ok(())
}

fn table(segments: &[Seen]) -> String {
    let range = |range: Option<(u64, u64)>| match range {
        Some((first, last)) => format!("{first}–{last}"),
        None => "–".to_owned(),
    };
    let mut text = format!(
        "{:<26} {:<7} {:>9} {:>19} {:>19} {:>12}\n",
        "path", "state", "records", "seqs", "lsns", "bytes"
    );
    for seen in segments {
        text.push_str(&format!(
            "{:<26} {:<7} {:>9} {:>19} {:>19} {:>12}\n",
            shown_path(seen.number).to_string_lossy(),
            seen.state,
            seen.records,
            range(seen.seqs.map(|(first, last)| (first.0, last.0))),
            range(seen.lsns.map(|(first, last)| (first.0, last.0))),
            seen.bytes
        ));
    }
    text
}
