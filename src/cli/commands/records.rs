//! A record of the log as `log dump` and `log tail` show it: one JSON line.

use std::collections::BTreeMap;

use crate::base::{Error, ErrorKind, KeyspaceId, Result};
use crate::cli::time;
use crate::doc::Line;
use crate::store::format::{Change, Decoded, Entry, decode};
use crate::store::{DIRECTORY, Keyspace, Namespace, parse_directory_entry};
use crate::wal::format::Kind;
use crate::wal::reader::OwnedRecord;
use crate::wal::truncation::TakenBack;
use crate::wal::vote::{Committed, Vote};

use super::lines;

/// The names of keyspaces, learnt from the records that made them.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<KeyspaceId, Keyspace>);

impl Names {
    /// The line of `record`, which comes after all that were given before.
    ///
    /// # Errors
    /// `Corrupt` with its place when its payload is no batch.
    pub(super) fn line(&mut self, record: &OwnedRecord) -> Result<Vec<u8>> {
        let decoded = decode_commit(record)?;
        if let Some(decoded) = &decoded {
            learn_names(decoded, &mut self.0);
        }
        Ok(record_line(record, decoded.as_ref(), &self.0))
    }
}

fn decode_commit(record: &OwnedRecord) -> Result<Option<Decoded<'_>>> {
    if record.header.kind != Kind::Commit {
        return Ok(None);
    }
    decode(&record.payload).map(Some).map_err(|fault| {
        let what = format!("the commit's checks hold but its payload is not a batch ({fault:?})");
        Error::new(ErrorKind::Corrupt, what)
            .at_path(crate::wal::segment::shown_path(record.segment))
            .at_offset(record.offset)
            .at_lsn(record.header.lsn)
    })
}

fn learn_names(decoded: &Decoded<'_>, names: &mut BTreeMap<KeyspaceId, Keyspace>) {
    for entry in decoded.entries.iter().filter(|entry| entry.keyspace == DIRECTORY) {
        if let Change::Put(value) = entry.change
            && let Some((keyspace, id)) = parse_directory_entry(entry.key, value)
        {
            names.insert(id, keyspace);
        }
    }
}

fn record_line(
    record: &OwnedRecord,
    decoded: Option<&Decoded<'_>>,
    names: &BTreeMap<KeyspaceId, Keyspace>,
) -> Vec<u8> {
    let header = &record.header;
    let mut line = Line::new()
        .number("segment", record.segment.0)
        .number("offset", record.offset)
        .number("seq", header.seq.0)
        .number("lsn", header.lsn.0)
        .number("term", header.term.0)
        .text("kind", header.kind.name())
        .text("at", &time::format(header.time))
        .text("chain", &format!("{:016x}", header.chain))
        .number("claim", header.claim.0)
        .number("bytes", header.length.into());
    line = bookkeeping(line, record);
    if let Some(decoded) = decoded {
        line = lines::with_origin(line, &decoded.origin);
        if let Some(request) = decoded.request {
            line = line.text("request", request.id);
        }
        let operations = decoded.entries.iter().map(|entry| operation_line(entry, names));
        line = line.array("operations", operations);
    }
    line.finish()
}

/// What a record of a cluster's bookkeeping says.
fn bookkeeping(line: Line, record: &OwnedRecord) -> Line {
    let payload = &record.payload;
    match record.header.kind {
        Kind::Vote => match Vote::decode(payload) {
            Some(Vote { term, leader, committed }) => line
                .number("vote_term", term.0)
                .number("vote_leader", leader.into())
                .flag("vote_committed", committed),
            None => line,
        },
        Kind::Committed => match Committed::decode(payload) {
            Some(Committed { lsn, term }) => {
                line.number("committed_lsn", lsn.0).number("committed_term", term.0)
            }
            None => line,
        },
        Kind::TruncateAfter => match TakenBack::decode(payload) {
            Some(TakenBack { lsn, .. }) => line
                .number("taken_back_from", record.header.lsn.0.saturating_add(1))
                .number("taken_back_to", lsn.0),
            None => line,
        },
        _ => line,
    }
}

fn operation_line(entry: &Entry<'_>, names: &BTreeMap<KeyspaceId, Keyspace>) -> Line {
    let (op, bytes) = match entry.change {
        Change::Put(value) => ("put", value),
        Change::Delete(note) => ("delete", note),
    };
    let count = crate::base::codec::to_u64(bytes.len());
    if entry.keyspace == DIRECTORY {
        let line = Line::new().text("op", "create");
        return match parse_directory_entry(entry.key, bytes) {
            Some((keyspace, _)) => named(line, &keyspace),
            None => line.bytes("key", entry.key),
        }
        .number("bytes", count);
    }
    let line = Line::new().text("op", op);
    match names.get(&entry.keyspace) {
        Some(keyspace) => {
            let key = if keyspace.namespace() == Namespace::Collection { "id" } else { "key" };
            named(line, keyspace).bytes(key, entry.key)
        }
        None => line.number("keyspace_number", entry.keyspace.0.into()).bytes("key", entry.key),
    }
    .number("bytes", count)
}

fn named(line: Line, keyspace: &Keyspace) -> Line {
    let member =
        if keyspace.namespace() == Namespace::Collection { "collection" } else { "keyspace" };
    line.text(member, keyspace.name())
}
