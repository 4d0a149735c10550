//! Whether what is read of a golden file is written the same: the encoders, one structure at a
//! time, whatever a store would do today.

use std::path::Path;

use jidoka::archive::format::{End, RANGE_HEADER, RangeHeader, put_record, take_record};
use jidoka::base::codec::{Cursor, to_usize};
use jidoka::base::limits::PAGE;
use jidoka::store::format::{decode, encode};
use jidoka::vfs::Runtime;
use jidoka::wal::format::{Kind, RecordHeader, decode_neighbour, encode_neighbour, padded};
use jidoka::wal::header::SegmentHeader;
use jidoka::wal::identity::Identity;
use jidoka::wal::reader::{Limit, LogReader, OwnedRecord};
use jidoka::wal::salvage::plan::Plan;
use jidoka::wal::truncation::TakenBack;
use jidoka::wal::{Committed, Vote};

use crate::written::Files;

/// The beginning of a file as it is written today; `None` for what has no encoder of its own.
fn header(name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let last = name.rsplit(['/', '.']).next().unwrap_or(name);
    Some(match last {
        "wal" | "free" => SegmentHeader::decode(&bytes[..PAGE]).unwrap().encode(),
        "IDENTITY" | "COPY" => Identity::decode(bytes).unwrap().encode(),
        "SALVAGE" => Plan::decode(bytes).unwrap().encode(),
        "END" => End::decode(bytes).unwrap().encode(),
        "range" => range(bytes),
        _ => return None,
    })
}

fn range(bytes: &[u8]) -> Vec<u8> {
    let mut written = RangeHeader::decode(bytes).unwrap().encode();
    let mut cursor = Cursor::new(&bytes[RANGE_HEADER..]);
    while cursor.remaining() > 0 {
        put_record(&take_record(&mut cursor).unwrap(), &mut written);
    }
    assert_eq!(written.len(), bytes.len());
    written
}

fn payload(record: &OwnedRecord, is_log_alone: bool) -> Vec<u8> {
    let bytes = &record.payload[..];
    match record.header.kind {
        Kind::SegmentStart | Kind::SegmentEnd => {
            let (number, salt) = decode_neighbour(bytes).unwrap();
            encode_neighbour(number, salt).to_vec()
        }
        Kind::Vote => Vote::decode(bytes).unwrap().encode(),
        Kind::Committed => Committed::decode(bytes).unwrap().encode(),
        Kind::TruncateAfter => TakenBack::decode(bytes).unwrap().encode(),
        Kind::Commit if !is_log_alone => {
            let batch = decode(bytes).unwrap();
            encode(&batch.origin, batch.request, batch.entries.into_iter())
        }
        Kind::TimeMark => vec![0; bytes.len()],
        _ => bytes.to_vec(),
    }
}

/// Every difference between what `files` hold and what is written of it today.
pub(crate) fn differences(dir: &Path, files: &Files, is_log_alone: bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in files {
        if let Some(written) = header(name, bytes)
            && !bytes.starts_with(&written)
        {
            found.push(format!("{name}: its header, or all of it"));
        }
    }
    if !files.contains_key("IDENTITY") {
        return found;
    }
    let reader = LogReader::open(dir, &Runtime::default()).unwrap();
    let mut reader = reader.with_taken_back();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        let name = format!("wal/{:016}.wal", record.segment.0);
        let bytes = &files[&name];
        let salt = SegmentHeader::decode(&bytes[..PAGE]).unwrap().salt;
        let written = encoded(&record, salt, &payload(&record, is_log_alone));
        let place = to_usize(record.offset)..to_usize(record.offset) + written.len();
        if bytes[place] != written {
            let (kind, offset) = (record.header.kind.name(), record.offset);
            found.push(format!("{name}: the {kind} at offset {offset}"));
        }
    }
    found
}

fn encoded(record: &OwnedRecord, salt: jidoka::wal::format::Salt, payload: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    let header: &RecordHeader = &record.header;
    header.encode(salt, record.offset, &mut written);
    written.extend_from_slice(payload);
    let len = padded(u64::try_from(written.len()).unwrap());
    written.resize(to_usize(len), 0);
    written
}
