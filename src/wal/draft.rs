//! Putting the next record into bytes: the counterpart of `scan.rs`.
//!
//! Pure. Appending, recovery's cut and restoring all draft records here, so that nothing else
//! decides what follows what.

use crate::base::checksum::hash64;
use crate::base::codec::{to_u64, to_usize};
use crate::base::{Seq, Term, Timestamp};

use super::format::{Kind, RecordHeader, Salt, encode_neighbour, length_field, next_chain, padded};
use super::scan::Position;
use super::segment::Segment;

/// A payload with its hash, computed before the append lock is taken.
#[derive(Clone, Debug)]
pub struct Payload {
    bytes: Vec<u8>,
    hash: u64,
}

impl Payload {
    /// Hashes `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let hash = hash64(&bytes);
        Self { bytes, hash }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their hash.
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Bytes of the whole record that carries this payload.
    #[must_use]
    pub fn record_len(&self) -> u64 {
        padded(to_u64(super::format::RECORD_HEADER + self.bytes.len()))
    }
}

/// Who writes: the era and the writer in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The era.
    pub term: Term,
    /// The writer in the era.
    pub leader: u32,
}

/// What a record says; where it stands in the log is added by [`Position::draft`].
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// What it is.
    pub kind: Kind,
    /// Who writes it.
    pub writer: Writer,
    /// When; for bookkeeping, the latest time before counts if it is later.
    pub time: Timestamp,
    /// Its payload.
    pub payload: &'a Payload,
}

/// Where a record goes: the segment's salt and the offset in its file.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Salt of the segment.
    pub salt: Salt,
    /// Offset in its file.
    pub offset: u64,
}

impl Position {
    /// Appends the record that follows this position, and moves there.
    ///
    /// # Panics
    /// If the drafted record would not be accepted by its own reader; the caller chooses the time
    /// of a commit, which must be later than every time before.
    pub fn draft(&mut self, draft: &Draft<'_>, spot: Spot, out: &mut Vec<u8>) -> RecordHeader {
        let Draft { kind, writer, time, payload } = *draft;
        let takes = kind.takes_lsn();
        let mut header = RecordHeader {
            length: length_field(&payload.bytes),
            seq: self.seq.next(),
            lsn: if takes { self.lsn.next() } else { self.lsn },
            term: if takes { writer.term } else { self.term },
            leader: writer.leader,
            kind,
            time: if takes { time } else { time.max(self.time) },
            chain: self.chain,
            payload_hash: payload.hash,
            claim: Seq::ZERO,
        };
        if takes {
            header.chain = next_chain(self.chain, &header);
        }
        self.put(&header, &payload.bytes, spot, out);
        header
    }

    /// Appends the record with `header`, and moves behind it.
    ///
    /// # Panics
    /// If its own reader would refuse it.
    pub(super) fn put(
        &mut self,
        header: &RecordHeader,
        payload: &[u8],
        spot: Spot,
        out: &mut Vec<u8>,
    ) {
        let after = self.after(header);
        assert!(after.is_ok(), "drafted a record that its reader refuses: {after:?}");
        *self = after.unwrap_or(*self);
        let start = out.len();
        header.encode(spot.salt, spot.offset, out);
        out.extend_from_slice(payload);
        out.resize(start + to_usize(header.record_len()), 0);
    }
}

/// The payload of the first record of a segment.
#[must_use]
pub(super) fn start_payload(predecessor: Option<&Segment>) -> Payload {
    let (number, salt) = predecessor.map_or_else(Default::default, |s| (s.number, s.salt));
    Payload::new(encode_neighbour(number, salt).to_vec())
}

/// The payload of the last record of a segment.
#[must_use]
pub(super) fn end_payload(successor: &Segment) -> Payload {
    Payload::new(encode_neighbour(successor.number, successor.salt).to_vec())
}
