//! Reading the log piece by piece: each chunk holds whole records of one segment, checked one by
//! one, without asking yet which may follow which.
//!
//! The work is in two steps. [`ChunkReader::read`] knows where the chunk before ended and reads
//! the next: it hops from record to record by lengths it does not believe, which is quick.
//! [`Chunk::check`] needs nothing but the chunk: checksums and hashes, on any thread. A length that
//! lies only makes what comes after it useless, since the check stops before it.

use std::io;
use std::sync::Arc;

use crate::base::SegmentNumber;
use crate::base::codec::{to_u64, to_usize, widen};
use crate::base::limits::PAGE;
use crate::vfs::OpenMode;

use super::format::{
    Kind, RECORD_HEADER, RECORDS_START, RecordFault, RecordHeader, Salt, page_ceil, page_floor,
};
use super::header::SegmentHeader;
use super::overlaid::Overlaid;
use super::saved::SavedTail;
use super::scan::{Record, Whole, read_fitting, read_whole};
use super::segment::SegmentDir;

/// Why no record stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The file ends in the middle of one.
    Short,
    /// Something else stands there.
    Fault(RecordFault),
}

/// Whole records of a segment, one behind the other.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) segment: SegmentNumber,
    /// The segment's file, and its size, when this is its first chunk.
    pub(super) opened: Option<Overlaid>,
    /// Where `bytes` begin in the file: at the start of a page.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    /// Where the first record begins.
    first: u64,
    /// Where the last of them ends.
    pub(super) end: u64,
    /// No other record is expected at `end`.
    is_last: bool,
    salt: Salt,
    /// The headers of its records, once they were checked.
    headers: Vec<RecordHeader>,
    /// What stands at `end`, where that is no record.
    pub(super) stop: Option<Stop>,
}

impl Chunk {
    /// Checks every record for itself.
    pub(super) fn check(&mut self, segment_bytes: u64) {
        let mut offset = self.first;
        while offset < self.end || self.is_last {
            let window = self.bytes.get(to_usize(offset - self.start)..).unwrap_or_default();
            match read_whole(window, offset, segment_bytes, self.salt) {
                Whole::Record(record) => {
                    offset += record.header.record_len();
                    self.headers.push(record.header);
                    if record.header.kind == Kind::SegmentEnd {
                        break;
                    }
                    continue;
                }
                Whole::NeedBytes(_) => self.stop = Some(Stop::Short),
                Whole::Fault(fault) => self.stop = Some(Stop::Fault(fault)),
            }
            break;
        }
        self.end = offset;
    }

    /// The records that are whole, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut offset = self.first;
        self.headers.iter().map(move |header| {
            let from = to_usize(offset - self.start) + RECORD_HEADER;
            let len = widen(header.length);
            let payload = self.bytes.get(from..from + len).unwrap_or_default();
            let record = Record { header: *header, payload, offset };
            offset += header.record_len();
            record
        })
    }
}

/// A buffer beyond this is let go of: it was made for a record far longer than most.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Memory that a chunk leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    headers: Vec<RecordHeader>,
}

impl Buffers {
    /// What can be used again of a chunk.
    pub(super) fn of(chunk: Chunk) -> Self {
        let (bytes, mut headers) = (chunk.bytes, chunk.headers);
        if bytes.capacity() > KEPT_BYTES_MAX {
            return Self::default();
        }
        headers.clear();
        Self { bytes, headers }
    }
}

/// Where the next chunk begins.
#[derive(Debug)]
enum Next {
    Segment(SegmentNumber),
    /// In the middle of a segment.
    Place(Overlaid, Salt, u64),
    Nothing,
}

/// Reads the chunks of a log in order.
#[derive(Debug)]
pub(super) struct ChunkReader {
    dir: SegmentDir,
    /// The segments whose files are there, in order.
    present: Arc<[SegmentNumber]>,
    saved: Arc<SavedTail>,
    mode: OpenMode,
    next: Next,
}

/// Where the records of a chunk end, as their lengths say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    end: u64,
    what: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The bytes end; more records may follow.
    Bytes,
    /// A record needs more bytes, up to this place.
    Within(u64),
    /// The segment names its successor.
    Segment,
    /// What stands there is no record.
    Log,
}

impl ChunkReader {
    /// Starts at the first segment of the log.
    pub(super) fn new(
        dir: SegmentDir,
        present: Arc<[SegmentNumber]>,
        saved: Arc<SavedTail>,
        mode: OpenMode,
    ) -> Self {
        let next = present.first().map_or(Next::Nothing, |first| Next::Segment(*first));
        Self { dir, present, saved, mode, next }
    }

    /// The next chunk, not checked yet; `None` after the last. The segment is told with an error.
    ///
    /// # Errors
    /// As the file system says; nothing can be read after that.
    pub(super) fn read(
        &mut self,
        buffers: Buffers,
    ) -> Option<Result<Chunk, (SegmentNumber, io::Error)>> {
        let Buffers { mut bytes, headers } = buffers;
        let next = std::mem::replace(&mut self.next, Next::Nothing);
        let (number, read) = match next {
            Next::Segment(number) if self.present.binary_search(&number).is_ok() => {
                (number, self.enter(number, &mut bytes))
            }
            Next::Place(segment, salt, first) => {
                let start = page_floor(first);
                let read = segment.read(start, &mut bytes, segment.piece);
                (segment.number, read.map(|()| (segment, salt, first, false)))
            }
            _ => return None,
        };
        let chunk = read.and_then(|(segment, salt, first, is_first)| {
            let start = if is_first { 0 } else { page_floor(first) };
            let mut hop = self.cut(&segment, salt, (start, first), &mut bytes)?;
            if hop.end == first && hop.what != Ends::Segment {
                // Not even one record: the file ends here, whatever its size says.
                hop.what = Ends::Log;
            }
            let opened = is_first.then(|| segment.clone());
            self.next = match hop.what {
                Ends::Segment => Next::Segment(number.next()),
                Ends::Bytes | Ends::Within(_) => Next::Place(segment, salt, hop.end),
                Ends::Log => Next::Nothing,
            };
            let (end, is_last) = (hop.end, hop.what == Ends::Log && salt != Salt(0));
            let stop = None;
            Ok(Chunk {
                segment: number,
                opened,
                start,
                bytes,
                first,
                end,
                is_last,
                salt,
                headers,
                stop,
            })
        });
        Some(chunk.map_err(|error| (number, error)))
    }

    /// Opens a segment and reads its beginning; the salt is 0 when its header cannot be read.
    fn enter(
        &self,
        number: SegmentNumber,
        bytes: &mut Vec<u8>,
    ) -> io::Result<(Overlaid, Salt, u64, bool)> {
        let segment = Overlaid::open(&self.dir, number, self.mode, &self.saved, bytes)?;
        let header = SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(bytes));
        let salt = header.map_or(Salt(0), |header| header.salt);
        Ok((segment, salt, RECORDS_START, true))
    }

    /// Finds where the whole records in `bytes` end, and reads on when one of them began in here.
    fn cut(
        &self,
        segment: &Overlaid,
        salt: Salt,
        (start, first): (u64, u64),
        bytes: &mut Vec<u8>,
    ) -> io::Result<Hop> {
        if salt == Salt(0) || segment.is_longer {
            return Ok(Hop { end: first, what: Ends::Log });
        }
        let hop = hop(bytes, start, (first, segment.size), self.dir.segment_bytes);
        let Ends::Within(end) = hop.what else { return Ok(hop) };
        // Only a length under a checksum that holds decides how much is read (L9).
        let window = bytes.get(to_usize(hop.end - start)..).unwrap_or_default();
        if read_fitting(window, hop.end, self.dir.segment_bytes, salt).is_err() {
            return Ok(Hop { what: Ends::Log, ..hop });
        }
        let missing = page_ceil(end) - (start + to_u64(bytes.len()));
        segment.read_on(start, bytes, to_usize(missing))?;
        Ok(self::hop(bytes, start, (hop.end, segment.size), self.dir.segment_bytes))
    }
}

/// Hops over the whole records in `bytes`, which begin at `start` of a file of `size` bytes.
fn hop(bytes: &[u8], start: u64, (mut at, size): (u64, u64), segment_bytes: u64) -> Hop {
    let read_to = start + to_u64(bytes.len());
    loop {
        let window = bytes.get(to_usize(at - start)..).unwrap_or_default();
        if window.len() < RECORD_HEADER {
            let what = if read_to < size { Ends::Bytes } else { Ends::Log };
            return Hop { end: at, what };
        }
        let Some((kind, len)) = RecordHeader::glimpse(window) else {
            return Hop { end: at, what: Ends::Log };
        };
        let end = at + len;
        if end > size.min(segment_bytes) {
            return Hop { end: at, what: Ends::Log };
        }
        if end > read_to {
            return Hop { end: at, what: Ends::Within(end) };
        }
        if kind == Kind::SegmentEnd {
            return Hop { end, what: Ends::Segment };
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::checksum::hash64;
    use crate::base::{Lsn, Seq, Term, Timestamp};

    const SALT: Salt = Salt(3);
    const SIZE: u64 = 16384;

    /// Records of these kinds with payloads of these lengths, from the first place on.
    fn bytes(records: &[(Kind, usize)]) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        for (kind, len) in records {
            let payload = vec![9; *len];
            let header = RecordHeader {
                length: u32::try_from(*len).unwrap(),
                seq: Seq(1),
                lsn: Lsn(1),
                term: Term(1),
                leader: 0,
                kind: *kind,
                time: Timestamp(1),
                chain: 0,
                payload_hash: hash64(&payload),
                claim: Seq::ZERO,
            };
            header.encode(SALT, to_u64(bytes.len()), &mut bytes);
            bytes.extend_from_slice(&payload);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes
    }

    fn hopped(bytes: &[u8], size: u64) -> (u64, Ends) {
        let hop = hop(bytes, 0, (RECORDS_START, size), SIZE);
        (hop.end, hop.what)
    }

    #[test]
    fn hops_end_with_the_bytes_the_segment_and_the_log() {
        let two = bytes(&[(Kind::Commit, 100), (Kind::Commit, 28)]);
        let (first, end) = (RECORDS_START + 176, RECORDS_START + 176 + 104);
        assert_eq!(hopped(&two, SIZE), (end, Ends::Bytes));
        assert_eq!(hopped(&two, to_u64(two.len())), (end, Ends::Log));
        let short = &two[..two.len() - 8];
        assert_eq!(hopped(short, SIZE), (first, Ends::Within(end)));
        assert_eq!(hopped(short, to_u64(short.len())), (first, Ends::Log));
        let zeroes = [&two[..], &[0; 200]].concat();
        assert_eq!(hopped(&zeroes, SIZE), (end, Ends::Log));
        let ended = bytes(&[(Kind::Commit, 100), (Kind::SegmentEnd, 16), (Kind::Commit, 1)]);
        assert_eq!(hopped(&ended, SIZE), (first + 88, Ends::Segment));
    }

    #[test]
    fn a_length_that_lies_ends_the_records_that_are_whole() {
        let mut bytes = bytes(&[(Kind::Commit, 100), (Kind::Commit, 28), (Kind::Commit, 28)]);
        let second = to_usize(RECORDS_START) + 176;
        bytes[second + 4] = 24;
        let end = RECORDS_START + 176 + 96;
        assert_eq!(hopped(&bytes, SIZE), (end, Ends::Log));
        let mut chunk = Chunk {
            segment: SegmentNumber(1),
            opened: None,
            start: 0,
            bytes,
            first: RECORDS_START,
            end,
            is_last: true,
            salt: SALT,
            headers: Vec::new(),
            stop: None,
        };
        chunk.check(SIZE);
        let what = RecordFault::Invalid("the record checksum does not match");
        assert_eq!((chunk.end, chunk.stop.as_ref()), (to_u64(second), Some(&Stop::Fault(what))));
        let records: Vec<_> =
            chunk.records().map(|record| (record.offset, record.payload)).collect();
        assert_eq!(records, [(RECORDS_START, &[9; 100][..])]);
    }
}
