//! Segments as the bytes that were written to them and the bytes that were synced.

use std::io;
use std::sync::Arc;

use crate::base::codec::{to_u64, to_usize};
use crate::base::{SegmentNumber, Seq};
use crate::vfs::File;

use super::super::format::{Kind, RECORDS_START, Salt};
use super::super::piece::Piece;
use super::super::scan::{Found, Position, read_record};
use super::super::segment::Segment;

/// The smallest segment there is, so that the log goes on to the next one often.
pub(super) const SEGMENT_BYTES: u64 = 8192;

/// Stands in for a file: what is rehearsed does no input and output itself.
#[derive(Debug)]
struct NoFile;

impl File for NoFile {
    fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn size(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// How far the records can be read: what is written once stays, so a reader goes on from there.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    segment: usize,
    offset: u64,
    position: Position,
}

impl Cursor {
    const START: Self = Self { segment: 0, offset: RECORDS_START, position: Position::ORIGIN };
}

#[derive(Debug)]
struct Held {
    segment: Segment,
    written: Vec<u8>,
    synced: Vec<u8>,
}

/// All segments of a log, in order.
#[derive(Debug)]
pub(super) struct Disk {
    held: Vec<Held>,
    written: Cursor,
    synced: Cursor,
}

impl Disk {
    pub(super) const fn new() -> Self {
        Self { held: Vec::new(), written: Cursor::START, synced: Cursor::START }
    }

    /// Makes the next segment.
    pub(super) fn add(&mut self) -> Segment {
        let number = SegmentNumber(to_u64(self.held.len()) + 1);
        let segment = Segment { number, salt: Salt(number.0 << 32), file: Arc::new(NoFile) };
        let zeroes = vec![0; to_usize(SEGMENT_BYTES)];
        let (written, synced) = (zeroes.clone(), zeroes);
        self.held.push(Held { segment: segment.clone(), written, synced });
        segment
    }

    /// The last record that can be read from what was written.
    pub(super) const fn written(&self) -> Position {
        self.written.position
    }

    /// The last record that can be read from what was synced.
    pub(super) const fn synced(&self) -> Position {
        self.synced.position
    }

    /// Writes the first `len` bytes of `piece`.
    pub(super) fn write(&mut self, piece: &Piece, len: usize) {
        let found = self.held.iter_mut().find(|held| held.segment.number == piece.segment.number);
        let (start, bytes) = piece.to_write();
        let from = to_usize(start);
        let there = found.and_then(|held| held.written.get_mut(from..from + bytes.len()));
        assert!(there.is_some(), "a piece is written where no segment is");
        for (there, byte) in there.unwrap_or_default().iter_mut().zip(bytes).take(len) {
            assert!(*there == 0 || there == byte, "a place is written again with other bytes, G2");
            *there = *byte;
        }
        let durable = self.synced.position.seq;
        self.written = go_on(&self.held, self.written, false, &mut |claim| {
            assert!(claim <= durable, "a claim names what no sync has returned for, G3");
        });
    }

    /// Makes what was written to a segment durable.
    pub(super) fn sync(&mut self, segment: &Segment) {
        if let Some(held) = self.held.iter_mut().find(|one| one.segment.number == segment.number) {
            held.synced.clone_from(&held.written);
        }
        self.synced = go_on(&self.held, self.synced, true, &mut |_| {});
    }
}

/// Reads on from `cursor`, and gives each claim to `claimed`.
fn go_on(held: &[Held], mut cursor: Cursor, synced: bool, claimed: &mut dyn FnMut(Seq)) -> Cursor {
    while let Some(one) = held.get(cursor.segment) {
        let bytes = if synced { &one.synced } else { &one.written };
        let window = bytes.get(to_usize(cursor.offset)..).unwrap_or_default();
        let salt = one.segment.salt;
        match read_record(window, cursor.offset, SEGMENT_BYTES, salt, &cursor.position) {
            Found::Record(record, position) => {
                claimed(record.header.claim);
                cursor.position = position;
                cursor.offset += record.header.record_len();
                if record.header.kind == Kind::SegmentEnd {
                    (cursor.segment, cursor.offset) = (cursor.segment + 1, RECORDS_START);
                }
            }
            _ => return cursor,
        }
    }
    cursor
}
