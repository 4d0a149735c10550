//! The records of a manifest: `docs/format/manifest.md` in code, and nothing else.
//!
//! Pure. The header of a record is the log's, with kinds of its own. Changing anything here? Also
//! the page and its version table.

use crate::base::Seq;
use crate::base::checksum::hash64;
use crate::base::codec::{is_zero, narrow, to_u64, to_usize, widen};
use crate::base::limits::{MANIFEST_PAYLOAD_BYTES_MAX, PAGE};
use crate::wal::format::{Layout, RECORD_HEADER, RecordFault, RecordHeader, Salt, page_ceil};

use super::change::{self, Checkpoint};
use super::sector::SECTOR_FIELDS;

/// The tables of the page, for the test that compares them.
pub const LAYOUTS: &[Layout] = &[
    ("Current manifest", SECTOR_FIELDS),
    ("Manifest header", SECTOR_FIELDS),
    change::HEADER_LAYOUT,
    change::ADD_TABLE_LAYOUT,
    change::REMOVE_TABLE_LAYOUT,
    change::CHECKPOINT_LAYOUT,
    change::DROP_KEYSPACE_LAYOUT,
    change::FORGET_KEYSPACE_LAYOUT,
    change::NEXT_TABLE_LAYOUT,
];

/// Offset of the snapshot.
pub(super) const RECORDS_START: u64 = to_u64(PAGE);

/// What a record of a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// The whole state.
    Snapshot,
    /// Changes of it.
    Edit,
}

impl RecordKind {
    const fn number(self) -> u8 {
        match self {
            Self::Snapshot => 1,
            Self::Edit => 2,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Snapshot),
            2 => Some(Self::Edit),
            _ => None,
        }
    }
}

/// An edit, told apart from every other: what the log's Checkpoint record names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EditId {
    /// Its number: 1, 2, 3 … without gaps; 0 stands for the empty state.
    pub number: u64,
    /// Hash of all edits up to this one.
    pub hash: u64,
}

impl EditId {
    /// The edit after this one, whose payload has this hash.
    ///
    /// # Panics
    /// At the end of the number space.
    pub(super) fn next(self, payload_hash: u64) -> Self {
        assert!(self.number < u64::MAX - 1, "the edit number space is used up");
        let number = self.number + 1;
        let mut input = [0; 24];
        let fields = [self.hash, number, payload_hash];
        for (bytes, field) in input.chunks_exact_mut(8).zip(fields) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        Self { number, hash: hash64(&input) }
    }
}

/// Bytes of a record with a payload of `len` bytes, in whole pages.
pub(super) const fn record_bytes(len: usize) -> u64 {
    page_ceil(to_u64(RECORD_HEADER) + to_u64(len))
}

/// A record that is what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) header: RecordHeader<RecordKind>,
    pub(super) payload: &'a [u8],
}

/// A record at `offset`; `checkpoint` is the one after it.
pub(super) fn encode_record(
    kind: RecordKind,
    id: EditId,
    checkpoint: &Checkpoint,
    payload: &[u8],
    (salt, offset): (Salt, u64),
) -> Vec<u8> {
    let claim = if kind == RecordKind::Edit { id.number.saturating_sub(1) } else { 0 };
    let header = RecordHeader {
        length: narrow(payload.len()),
        seq: Seq(id.number),
        lsn: checkpoint.position.lsn,
        term: checkpoint.position.term,
        leader: 0,
        kind,
        time: checkpoint.position.time,
        chain: id.hash,
        payload_hash: hash64(payload),
        claim: Seq(claim),
    };
    let mut record = Vec::with_capacity(to_usize(record_bytes(payload.len())));
    header.encode_as(kind.number(), salt, offset, &mut record);
    record.extend_from_slice(payload);
    record.resize(to_usize(record_bytes(payload.len())), 0);
    record
}

/// Reads the record that `bytes` begin with, at `offset` of the manifest with `salt`.
///
/// # Errors
/// [`RecordFault`]; never panics, whatever the bytes are.
pub(super) fn decode_record(
    bytes: &[u8],
    salt: Salt,
    offset: u64,
) -> Result<Record<'_>, RecordFault> {
    let header = RecordHeader::decode_as(bytes, salt, offset, RecordKind::from_number)?;
    let len = widen(header.length);
    if len > MANIFEST_PAYLOAD_BYTES_MAX {
        return Err(RecordFault::Invalid("the record is longer than any"));
    }
    let body = bytes.get(RECORD_HEADER..to_usize(record_bytes(len)));
    let Some((payload, padding)) = body.and_then(|body| body.split_at_checked(len)) else {
        return Err(RecordFault::Invalid("the record does not fit in the file"));
    };
    if hash64(payload) != header.payload_hash {
        return Err(RecordFault::Invalid("the payload hash does not match"));
    }
    if !is_zero(padding) {
        return Err(RecordFault::Invalid("the padding of the record is not zero"));
    }
    Ok(Record { header, payload })
}

/// Whether a header stands there that was written there, whatever is behind it.
pub(super) fn is_header(bytes: &[u8], salt: Salt, offset: u64) -> bool {
    let header = RecordHeader::decode_as(bytes, salt, offset, RecordKind::from_number);
    matches!(header, Ok(_) | Err(RecordFault::Newer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: (Salt, u64) = (Salt(5), 8192);
    const ID: EditId = EditId { number: 4, hash: 17 };

    fn record(payload: &[u8]) -> Vec<u8> {
        encode_record(RecordKind::Edit, ID, &Checkpoint::ORIGIN, payload, SPOT)
    }

    #[test]
    fn a_record_is_read_back_and_every_flipped_byte_and_truncation_is_noticed() {
        for len in [0, 5, PAGE - RECORD_HEADER, PAGE - RECORD_HEADER + 1] {
            let bytes = record(&vec![9; len]);
            assert_eq!(to_u64(bytes.len()), record_bytes(len));
            let read = decode_record(&bytes, SPOT.0, SPOT.1).unwrap();
            assert_eq!(read.payload, vec![9; len]);
            assert_eq!((read.header.seq, read.header.claim), (Seq(4), Seq(3)));
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x40;
                assert!(decode_record(&flipped, SPOT.0, SPOT.1).is_err(), "byte {at}");
                assert!(decode_record(&bytes[..at], SPOT.0, SPOT.1).is_err(), "cut at {at}");
            }
        }
    }

    #[test]
    fn a_record_of_another_file_or_place_is_none() {
        let bytes = record(b"abc");
        assert!(is_header(&bytes, SPOT.0, SPOT.1));
        assert!(!is_header(&bytes, Salt(6), SPOT.1));
        assert!(!is_header(&bytes, SPOT.0, SPOT.1 + 4096));
        assert!(!is_header(&[0; PAGE], SPOT.0, SPOT.1));
    }

    #[test]
    fn an_edit_hash_depends_on_all_before_it() {
        let first = EditId::default().next(1);
        assert_eq!(first.number, 1);
        assert_ne!(first.next(2).hash, EditId { number: 1, hash: 0 }.next(2).hash);
        assert_ne!(first.next(2).hash, EditId { number: 2, ..first }.next(2).hash);
        assert_ne!(first.next(2).hash, first.next(3).hash);
    }
}
