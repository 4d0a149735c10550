//! Reading records out of a segment's bytes: which record may follow which, and where they end.
//!
//! Pure. This is the one decoder of the log: recovery, the follower and every tool read through
//! [`read_record`] (L5), so they cannot disagree about what the log says.

use crate::base::checksum::hash64;
use crate::base::codec::{to_u64, to_usize, widen};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Lsn, SegmentNumber, Seq, Term, Timestamp};

use super::format::{
    ALIGN, Kind, RECORD_HEADER, RECORDS_START, RecordFault, RecordHeader, SEGMENT_END_LEN, Salt,
    decode_neighbour, next_chain,
};
use super::{checkpoint, truncation, vote};

/// Where the log stands after a record: all that decides what may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The record's number.
    pub seq: Seq,
    /// The last commit.
    pub lsn: Lsn,
    /// The era of the last commit; 0 before the first.
    pub term: Term,
    /// The chain after the last commit.
    pub chain: u64,
    /// The latest time seen, of commits and of marks.
    pub time: Timestamp,
}

impl Position {
    /// Before the first record of a store.
    pub const ORIGIN: Self =
        Self { seq: Seq::ZERO, lsn: Lsn::ZERO, term: Term(0), chain: 0, time: Timestamp::ZERO };

    /// The position after a record with `header`, which must be the next one.
    ///
    /// # Errors
    /// What does not follow.
    pub fn after(&self, header: &RecordHeader) -> Result<Self, RecordFault> {
        let fault = |what| Err(RecordFault::Invalid(what));
        if header.seq != self.seq.next() {
            return fault("the record number is not the next one");
        }
        if header.claim >= header.seq {
            return fault("the durable claim covers the record itself");
        }
        if header.kind == Kind::TruncateAfter {
            return truncation::follows(self, header);
        }
        // A term is opened by its own record, which is the only one that raises it.
        let opens = header.kind == Kind::TermStart;
        if (opens && header.term <= self.term) || (!opens && header.term != self.term) {
            return fault("the term does not follow");
        }
        if header.kind.takes_lsn() {
            if header.lsn != self.lsn.next() {
                return fault("the LSN is not the next one");
            }
            if header.time <= self.time {
                return fault("the commit time is not later than before");
            }
            if header.chain != next_chain(self.chain, header) {
                return fault("the chain does not continue");
            }
        } else {
            if header.lsn != self.lsn || header.chain != self.chain {
                return fault("a bookkeeping record names another commit");
            }
            if header.time < self.time {
                return fault("the time of a mark is earlier than before");
            }
        }
        Ok(Self::resume_after(header))
    }
}

impl Position {
    /// [`Position::after`], also of what the payload of a record of bookkeeping says.
    ///
    /// # Errors
    /// What does not follow.
    pub fn after_record(&self, record: &Record<'_>) -> Result<Self, RecordFault> {
        let after = self.after(&record.header)?;
        match record.header.kind {
            Kind::TruncateAfter => truncation::check(record.payload, self)?,
            Kind::Vote | Kind::Committed => vote::check(record.payload, &record.header)?,
            Kind::Checkpoint => checkpoint::check(record.payload, &record.header)?,
            _ => {}
        }
        Ok(after)
    }

    /// The position after a record that is taken as it is, because what was before it is lost.
    #[must_use]
    pub const fn resume_after(header: &RecordHeader) -> Self {
        Self {
            seq: header.seq,
            lsn: header.lsn,
            term: header.term,
            chain: header.chain,
            time: header.time,
        }
    }
}

/// One record of the log, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its header.
    pub header: RecordHeader,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its offset in the segment.
    pub offset: u64,
}

/// What stands at a place of a segment.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The next record, and the position after it.
    Record(Record<'a>, Position),
    /// A header that needs this many bytes of the window; never more than the segment holds.
    NeedBytes(usize),
    /// Not the next record.
    Fault(RecordFault),
}

/// What stands at a place of a segment, whatever was before it.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq)]
pub enum Whole<'a> {
    /// A record that is what was written.
    Record(Record<'a>),
    /// As [`Found::NeedBytes`].
    NeedBytes(usize),
    /// No record.
    Fault(RecordFault),
}

/// Reads the record at `offset` of a segment from `window`, which begins there.
///
/// `segment_bytes` bounds the length before it is believed (L9).
#[must_use]
pub fn read_record<'a>(
    window: &'a [u8],
    offset: u64,
    segment_bytes: u64,
    salt: Salt,
    position: &Position,
) -> Found<'a> {
    match read_whole(window, offset, segment_bytes, salt) {
        Whole::Record(record) => match position.after_record(&record) {
            Ok(position) => Found::Record(record, position),
            Err(fault) => Found::Fault(fault),
        },
        Whole::NeedBytes(len) => Found::NeedBytes(len),
        Whole::Fault(fault) => Found::Fault(fault),
    }
}

/// [`read_record`] without asking whether it is the next one: so that records can be checked
/// apart from each other.
#[must_use]
pub fn read_whole(window: &[u8], offset: u64, segment_bytes: u64, salt: Salt) -> Whole<'_> {
    if window.len() < RECORD_HEADER {
        return Whole::NeedBytes(RECORD_HEADER);
    }
    let header = match read_fitting(window, offset, segment_bytes, salt) {
        Ok(header) => header,
        Err(fault) => return Whole::Fault(fault),
    };
    let len = to_usize(header.record_len());
    let Some(record) = window.get(..len) else { return Whole::NeedBytes(len) };
    match intact_payload(record, &header) {
        Some(payload) => Whole::Record(Record { header, payload, offset }),
        None => Whole::Fault(RecordFault::Invalid("the payload hash does not match")),
    }
}

/// The header at `offset` of a segment, whose record fits into it.
///
/// # Errors
/// [`RecordFault`].
pub fn read_fitting(
    window: &[u8],
    offset: u64,
    segment_bytes: u64,
    salt: Salt,
) -> Result<RecordHeader, RecordFault> {
    let header = RecordHeader::decode(window, salt, offset)?;
    let end_room = if header.kind == Kind::SegmentEnd { 0 } else { to_u64(SEGMENT_END_LEN) };
    if offset + header.record_len() + end_room > segment_bytes {
        return Err(RecordFault::Invalid("the record does not fit in the segment"));
    }
    Ok(header)
}

/// The payload of a whole record, if it is what was written, padding included.
fn intact_payload<'a>(record: &'a [u8], header: &RecordHeader) -> Option<&'a [u8]> {
    let body = record.get(RECORD_HEADER..)?;
    let (payload, padding) = body.split_at_checked(widen(header.length))?;
    let intact = hash64(payload) == header.payload_hash && padding.iter().all(|byte| *byte == 0);
    (intact || is_planted(Plant::PayloadNotChecked)).then_some(payload)
}

/// Which segments a record's own place lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The segment the record is in.
    pub segment: SegmentNumber,
    /// The segment before it, and its salt; zero for the first.
    pub predecessor: (SegmentNumber, Salt),
}

impl Neighbours {
    /// Requires that a segment begins with its start and ends with its end, and that both name
    /// the right neighbour. Gives the successor when `record` is the end.
    ///
    /// # Errors
    /// What is not in its place.
    pub fn check(&self, record: &Record<'_>) -> Result<Option<(SegmentNumber, Salt)>, RecordFault> {
        let named = decode_neighbour(record.payload);
        match (record.header.kind, record.offset == RECORDS_START) {
            (Kind::SegmentStart, true) if named == Some(self.predecessor) => Ok(None),
            (Kind::SegmentStart, _) => {
                Err(RecordFault::Invalid("the segment's start names another predecessor"))
            }
            (_, true) => Err(RecordFault::Invalid("the segment does not begin with its start")),
            (Kind::SegmentEnd, false) => match named {
                Some((number, salt)) if number == self.segment.next() => Ok(Some((number, salt))),
                _ => Err(RecordFault::Invalid("the segment's end names no successor")),
            },
            (_, false) => Ok(None),
        }
    }
}

/// Whether a record claims a seq at or beyond `hole`.
///
/// Such a record proves that the hole was once whole, so it is damage and not the end (L4).
#[must_use]
pub const fn claims(header: &RecordHeader, hole: Seq) -> bool {
    header.claim.0 >= hole.0 && header.seq.0 > header.claim.0
}

/// The first intact record at or after `from` that claims a seq at or beyond `hole`.
#[must_use]
pub fn find_claim(segment: &[u8], from: u64, salt: Salt, hole: Seq) -> Option<(u64, RecordHeader)> {
    find_record(segment, from, salt, &|header| claims(header, hole))
}

/// The first intact record at or after `from` that `wanted` wants.
#[must_use]
pub fn find_record(
    segment: &[u8],
    mut from: u64,
    salt: Salt,
    wanted: &Wanted<'_>,
) -> Option<(u64, RecordHeader)> {
    loop {
        match search(segment, 0, from, salt, wanted) {
            Searched::Found(at, header) => return Some((at, header)),
            // What does not fit in the segment is not whole.
            Searched::Longer(at, _) => from = at + to_u64(ALIGN),
            Searched::Nothing(_) => return None,
        }
    }
}

/// Which records are searched for.
pub type Wanted<'a> = dyn Fn(&RecordHeader) -> bool + 'a;

/// How far a search came.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searched {
    /// An intact record that is wanted, and where.
    Found(u64, RecordHeader),
    /// The header of one that is wanted, of a record that the window does not hold whole.
    Longer(u64, RecordHeader),
    /// Nothing before this place, at which no header is whole any more.
    Nothing(u64),
}

/// Searches `window`, which begins at `start` of a segment, from the place `from` on.
///
/// Tries every place where a record could start; chance cannot make one, because header and
/// payload together carry 96 bits of checks.
#[must_use]
pub fn search(window: &[u8], start: u64, from: u64, salt: Salt, wanted: &Wanted<'_>) -> Searched {
    let mut offset = from.next_multiple_of(to_u64(ALIGN));
    loop {
        let rest = window.get(to_usize(offset - start)..);
        let Some(rest) = rest.filter(|rest| rest.len() >= RECORD_HEADER) else {
            return Searched::Nothing(offset);
        };
        if may_be_header(rest)
            && let Ok(header) = RecordHeader::decode(rest, salt, offset)
            && wanted(&header)
        {
            match rest.get(..to_usize(header.record_len())) {
                None => return Searched::Longer(offset, header),
                Some(record) if intact_payload(record, &header).is_some() => {
                    return Searched::Found(offset, header);
                }
                Some(_) => {}
            }
        }
        offset += to_u64(ALIGN);
    }
}

/// A cheap look before the checksum: most places of a segment are zero or payload.
pub(super) fn may_be_header(window: &[u8]) -> bool {
    matches!(window.get(36..40), Some([1..=13, 0, 0, 0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(11);

    fn append(segment: &mut Vec<u8>, position: &mut Position, kind: Kind, claim: u64, body: &[u8]) {
        let offset = to_u64(segment.len());
        let takes = kind.takes_lsn();
        let mut header = RecordHeader {
            length: u32::try_from(body.len()).unwrap(),
            seq: position.seq.next(),
            lsn: if takes { position.lsn.next() } else { position.lsn },
            term: Term(1),
            leader: 0,
            kind,
            time: position.time.next(),
            chain: position.chain,
            payload_hash: hash64(body),
            claim: Seq(claim),
        };
        if takes {
            header.chain = next_chain(position.chain, &header);
        }
        header.encode(SALT, offset, segment);
        segment.extend_from_slice(body);
        segment.resize(segment.len().next_multiple_of(8), 0);
        *position = position.after(&header).unwrap();
    }

    /// Two groups after a term's start: record 2 claims record 1, record 4 claims record 3.
    fn segment() -> (Vec<u8>, Vec<u64>) {
        let mut bytes = vec![0; 4096];
        let mut position = Position::ORIGIN;
        let mut offsets = Vec::new();
        for (kind, claim) in
            [(Kind::TermStart, 0), (Kind::Commit, 1), (Kind::Commit, 0), (Kind::Commit, 3)]
        {
            offsets.push(to_u64(bytes.len()));
            append(&mut bytes, &mut position, kind, claim, b"twelve bytes");
        }
        bytes.resize(8192, 0);
        (bytes, offsets)
    }

    fn walk(bytes: &[u8]) -> (u64, Position, RecordFault) {
        let mut position = Position::ORIGIN;
        let mut offset = 4096;
        loop {
            match read_record(&bytes[to_usize(offset)..], offset, 8192, SALT, &position) {
                Found::Record(record, next) => {
                    position = next;
                    offset += record.header.record_len();
                }
                Found::NeedBytes(_) => panic!("the whole segment is in the window"),
                Found::Fault(fault) => return (offset, position, fault),
            }
        }
    }

    #[test]
    fn records_are_read_until_the_zeroes() {
        let (bytes, _) = segment();
        let (_, position, fault) = walk(&bytes);
        assert_eq!((position.seq, position.lsn), (Seq(4), Lsn(4)));
        assert_eq!(fault, RecordFault::Invalid("the record checksum does not match"));
    }

    #[test]
    fn a_hole_that_a_later_record_claims_is_found_and_one_that_none_claims_is_not() {
        let (whole, offsets) = segment();
        for (index, claimed) in [(0, true), (1, true), (2, true), (3, false)] {
            let mut bytes = whole.clone();
            bytes[to_usize(offsets[index]) + RECORD_HEADER + 1] ^= 0x10;
            let (hole_offset, position, _) = walk(&bytes);
            assert_eq!(hole_offset, offsets[index]);
            let found = find_claim(&bytes, hole_offset + 8, SALT, position.seq.next());
            assert_eq!(found.is_some(), claimed, "record {index}");
        }
    }

    #[test]
    fn a_flipped_padding_byte_is_damage() {
        let (mut bytes, offsets) = segment();
        bytes[to_usize(offsets[1]) - 1] ^= 1;
        assert_eq!(walk(&bytes).1.seq, Seq(0));
    }

    #[test]
    fn a_length_beyond_the_segment_is_refused_before_it_is_used() {
        let mut bytes = vec![0; 4096];
        let header = RecordHeader {
            length: u32::MAX,
            seq: Seq(1),
            lsn: Lsn(1),
            term: Term(1),
            leader: 0,
            kind: Kind::Commit,
            time: Timestamp(1),
            chain: 0,
            payload_hash: 0,
            claim: Seq::ZERO,
        };
        header.encode(SALT, 4096, &mut bytes);
        let found = read_record(&bytes[4096..], 4096, 8192, SALT, &Position::ORIGIN);
        assert_eq!(
            found,
            Found::Fault(RecordFault::Invalid("the record does not fit in the segment"))
        );
    }

    /// A commit and a mark that may come after seq 5, LSN 3 of term 2 at time 50.
    fn followers() -> (Position, RecordHeader, RecordHeader) {
        let position =
            Position { seq: Seq(5), lsn: Lsn(3), term: Term(2), chain: 77, time: Timestamp(50) };
        let mark = RecordHeader {
            length: 0,
            seq: Seq(6),
            lsn: Lsn(3),
            term: Term(2),
            leader: 0,
            kind: Kind::TimeMark,
            time: Timestamp(50),
            chain: 77,
            payload_hash: hash64(b""),
            claim: Seq(5),
        };
        let commit = RecordHeader { kind: Kind::Commit, lsn: Lsn(4), time: Timestamp(51), ..mark };
        (position, chained(commit), mark)
    }

    fn chained(header: RecordHeader) -> RecordHeader {
        RecordHeader { chain: next_chain(77, &header), ..header }
    }

    #[test]
    fn a_record_follows_when_each_of_its_numbers_does() {
        let (position, commit, mark) = followers();
        let opens = |term| chained(RecordHeader { kind: Kind::TermStart, term, ..commit });
        for header in [commit, mark, opens(Term(3)), opens(Term(9))] {
            let after = Position { seq: Seq(6), ..Position::resume_after(&header) };
            assert_eq!(position.after(&header), Ok(after), "{header:?}");
        }
        let refused = [
            ("seq again", RecordHeader { seq: Seq(5), ..mark }),
            ("seq left out", RecordHeader { seq: Seq(7), ..mark }),
            ("claims itself", RecordHeader { claim: Seq(6), ..mark }),
            ("claims what comes", RecordHeader { claim: Seq(7), ..mark }),
            ("an earlier term", chained(RecordHeader { term: Term(1), ..commit })),
            ("a term nobody opened", chained(RecordHeader { term: Term(3), ..commit })),
            ("a mark of another term", RecordHeader { term: Term(3), ..mark }),
            ("the same term opened again", opens(Term(2))),
            ("an earlier term opened", opens(Term(1))),
            ("LSN again", chained(RecordHeader { lsn: Lsn(3), ..commit })),
            ("LSN left out", chained(RecordHeader { lsn: Lsn(5), ..commit })),
            ("the same time", chained(RecordHeader { time: Timestamp(50), ..commit })),
            ("an earlier time", chained(RecordHeader { time: Timestamp(49), ..commit })),
            ("another chain", RecordHeader { chain: commit.chain ^ 1, ..commit }),
            ("a mark of another commit", RecordHeader { lsn: Lsn(4), ..mark }),
            ("a mark of another history", RecordHeader { chain: 78, ..mark }),
            ("a mark of an earlier time", RecordHeader { time: Timestamp(49), ..mark }),
        ];
        for (what, header) in refused {
            assert!(position.after(&header).is_err(), "{what}: {header:?}");
        }
    }

    #[test]
    fn every_record_but_a_segment_end_leaves_room_for_one() {
        let at = |kind, offset: u64, body: &[u8]| {
            let (position, _, mark) = followers();
            let length = u32::try_from(body.len()).unwrap();
            let header = RecordHeader { kind, length, payload_hash: hash64(body), ..mark };
            let mut bytes = Vec::new();
            header.encode(SALT, offset, &mut bytes);
            bytes.extend_from_slice(body);
            bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
            matches!(read_record(&bytes, offset, 8192, SALT, &position), Found::Record(..))
        };
        let end_len = to_u64(SEGMENT_END_LEN);
        let last = 8192 - end_len;
        assert!(at(Kind::SegmentEnd, last, &[1; 16]));
        assert!(!at(Kind::SegmentEnd, last + 8, &[1; 16]));
        assert!(at(Kind::TimeMark, last - 72, &[]));
        assert!(!at(Kind::TimeMark, last - 64, &[]));
        assert!(!at(Kind::TimeMark, last - 72, &[1]));
    }

    #[test]
    fn a_window_that_ends_in_a_record_says_how_much_it_needs() {
        let (bytes, offsets) = segment();
        let need = |len: usize| {
            let window = &bytes[4096..4096 + len];
            read_record(window, offsets[0], 8192, SALT, &Position::ORIGIN)
        };
        assert_eq!(need(0), Found::NeedBytes(RECORD_HEADER));
        assert_eq!(need(RECORD_HEADER - 1), Found::NeedBytes(RECORD_HEADER));
        assert_eq!(need(RECORD_HEADER), Found::NeedBytes(RECORD_HEADER + 16));
        assert_eq!(need(RECORD_HEADER + 15), Found::NeedBytes(RECORD_HEADER + 16));
        assert!(matches!(need(RECORD_HEADER + 16), Found::Record(..)));
    }

    #[test]
    fn a_segment_begins_with_its_start_ends_with_its_end_and_names_its_neighbours() {
        let predecessor = (SegmentNumber(6), Salt(60));
        let neighbours = Neighbours { segment: SegmentNumber(7), predecessor };
        let named = |(number, salt)| crate::wal::format::encode_neighbour(number, salt);
        let check = |kind, offset, payload: &[u8]| {
            let header = RecordHeader { kind, ..followers().2 };
            neighbours.check(&Record { header, payload, offset })
        };
        let (before, after) = (named(predecessor), named((SegmentNumber(8), Salt(80))));
        assert_eq!(check(Kind::SegmentStart, 4096, &before), Ok(None));
        assert_eq!(check(Kind::TimeMark, 4184, &[]), Ok(None));
        let successor = Some((SegmentNumber(8), Salt(80)));
        assert_eq!(check(Kind::SegmentEnd, 4184, &after), Ok(successor));
        let wrong_salt = named((SegmentNumber(6), Salt(61)));
        let wrong_number = named((SegmentNumber(9), Salt(80)));
        for (kind, offset, payload) in [
            (Kind::SegmentStart, 4096, &wrong_salt[..]),
            (Kind::SegmentStart, 4096, &before[..15]),
            (Kind::SegmentStart, 4184, &before[..]),
            (Kind::TimeMark, 4096, &[]),
            (Kind::SegmentEnd, 4096, &after[..]),
            (Kind::SegmentEnd, 4184, &wrong_number[..]),
            (Kind::SegmentEnd, 4184, &after[..15]),
        ] {
            assert!(check(kind, offset, payload).is_err(), "{kind:?} at {offset}");
        }
    }

    #[test]
    fn a_record_is_found_at_every_place_it_may_start_and_only_whole() {
        let (bytes, offsets) = segment();
        let any = |_: &RecordHeader| true;
        for (index, offset) in offsets.iter().enumerate() {
            let seq = Seq(to_u64(index) + 1);
            let found = |from| find_record(&bytes, from, SALT, &any).map(|(at, h)| (at, h.seq));
            assert_eq!(found(*offset), Some((*offset, seq)));
            assert_eq!(found(offset - 7), Some((*offset, seq)), "rounded up");
        }
        assert_eq!(find_record(&bytes, offsets[3] + 1, SALT, &any), None);
        let wanted = |header: &RecordHeader| header.seq == Seq(3);
        assert_eq!(find_record(&bytes, 0, SALT, &wanted).map(|found| found.0), Some(offsets[2]));
        // To the very last byte of the segment, and not beyond it.
        let end = to_usize(offsets[3]) + RECORD_HEADER + 16;
        assert!(find_record(&bytes[..end], offsets[3], SALT, &any).is_some());
        assert!(find_record(&bytes[..end - 1], offsets[3], SALT, &any).is_none());
        let mut rotten = bytes;
        rotten[end - 5] ^= 1;
        assert!(find_record(&rotten, offsets[3], SALT, &any).is_none());
    }

    #[test]
    fn a_claim_is_one_of_the_hole_or_beyond_by_a_later_record() {
        let (bytes, offsets) = segment();
        // Record 2 claims 1, record 4 claims 3.
        for (hole, found) in
            [(1, Some(offsets[1])), (2, Some(offsets[3])), (3, Some(offsets[3])), (4, None)]
        {
            let claim = find_claim(&bytes, 4096, SALT, Seq(hole));
            assert_eq!(claim.map(|(at, _)| at), found, "{hole}");
        }
        // What claims itself, or more, is nothing a writer makes.
        let (_, _, mark) = followers();
        for (claim, believed) in [(5, true), (6, false), (7, false)] {
            let mut forged = vec![0; 4096];
            RecordHeader { claim: Seq(claim), ..mark }.encode(SALT, 4096, &mut forged);
            assert_eq!(find_claim(&forged, 4096, SALT, Seq(5)).is_some(), believed, "{claim}");
        }
    }
}
