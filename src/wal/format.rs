//! The bytes of a record: `docs/format/wal.md` in code, and nothing else.
//!
//! Pure. Changing anything here? Also the page, its version table and the golden files.

use crate::base::checksum::{crc32c, crc32c_seeded, hash64};
use crate::base::codec::{Cursor, narrow, to_u64};
use crate::base::limits::PAGE;
use crate::base::plant::{Plant, is_planted};
use crate::base::{Lsn, SegmentNumber, Seq, Term, Timestamp};

/// Version of a segment that this build writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// Offset of the first record of a segment.
pub const RECORDS_START: u64 = to_u64(PAGE);

/// Size of a record's header.
pub const RECORD_HEADER: usize = 72;
/// Records start at multiples of this.
pub const ALIGN: usize = 8;
/// Bytes of a `SegmentEnd`, for which every other record leaves room.
pub const SEGMENT_END_LEN: usize = RECORD_HEADER + 16;
/// Bytes of a `SegmentStart`.
pub const SEGMENT_START_LEN: usize = RECORD_HEADER + 16;
/// Bytes of a `TermStart`.
pub const TERM_START_LEN: usize = RECORD_HEADER + 16;
const _: () = assert!(SEGMENT_END_LEN.is_multiple_of(ALIGN));

/// One table of `docs/format/wal.md`: its heading, and each field's name, offset and size.
pub type Layout = (&'static str, &'static [(&'static str, usize, usize)]);

/// The tables of the page, for the test that compares them.
pub const LAYOUTS: &[Layout] = &[
    (
        "Record header",
        &[
            ("checksum", 0, 4),
            ("length", 4, 4),
            ("seq", 8, 8),
            ("lsn", 16, 8),
            ("term", 24, 8),
            ("leader", 32, 4),
            ("kind", 36, 1),
            ("flags", 37, 1),
            ("reserved", 38, 2),
            ("time", 40, 8),
            ("chain", 48, 8),
            ("payload_hash", 56, 8),
            ("claim", CLAIM, 8),
        ],
    ),
    ("TermStart payload", &[("era", 0, 16)]),
    ("SegmentStart payload", &[("predecessor", 0, 8), ("predecessor_salt", 8, 8)]),
    ("SegmentEnd payload", &[("successor", 0, 8), ("successor_salt", 8, 8)]),
    super::truncation::LAYOUT,
    super::vote::VOTE_LAYOUT,
    super::vote::COMMITTED_LAYOUT,
    super::checkpoint::LAYOUT,
];

const CLAIM: usize = 64;

/// Random number of one life of a segment file; part of every record's checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salt(pub u64);

/// What a record is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A batch of changes.
    Commit,
    /// The first record of a writer's era.
    TermStart,
    /// The first record of a segment.
    SegmentStart,
    /// The last record of a segment.
    SegmentEnd,
    /// A promise about the time of the next commit, and a claim.
    TimeMark,
    /// The writer closed here.
    CleanClose,
    /// Reserved: the log before it is in tables.
    Checkpoint,
    /// Whom this copy votes for.
    Vote,
    /// The last commit that a majority holds.
    Committed,
    /// Commits are taken back.
    TruncateAfter,
}

impl Kind {
    /// The number in the record header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::TermStart => 2,
            Self::SegmentStart => 3,
            Self::SegmentEnd => 4,
            Self::TimeMark => 5,
            Self::CleanClose => 6,
            Self::Checkpoint => 7,
            Self::Vote => 9,
            Self::Committed => 10,
            Self::TruncateAfter => 11,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Commit,
            2 => Self::TermStart,
            3 => Self::SegmentStart,
            4 => Self::SegmentEnd,
            5 => Self::TimeMark,
            6 => Self::CleanClose,
            7 => Self::Checkpoint,
            9 => Self::Vote,
            10 => Self::Committed,
            11 => Self::TruncateAfter,
            _ => return None,
        })
    }

    /// Whether the record is a position in the log, the same on every copy.
    #[must_use]
    pub const fn takes_lsn(self) -> bool {
        matches!(self, Self::Commit | Self::TermStart)
    }

    /// Whether somebody was told that it is durable, so that a claim should cover it soon.
    #[must_use]
    pub const fn is_promise(self) -> bool {
        self.takes_lsn() || matches!(self, Self::Vote | Self::TruncateAfter)
    }

    /// The name used by the tools.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::TermStart => "term_start",
            Self::SegmentStart => "segment_start",
            Self::SegmentEnd => "segment_end",
            Self::TimeMark => "time_mark",
            Self::CleanClose => "clean_close",
            Self::Checkpoint => "checkpoint",
            Self::Vote => "vote",
            Self::Committed => "committed",
            Self::TruncateAfter => "truncate_after",
        }
    }
}

/// The header of one record; the manifest has records with kinds of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<K = Kind> {
    /// Payload bytes.
    pub length: u32,
    /// Number of the record on this copy.
    pub seq: Seq,
    /// The commit, or the last commit before a bookkeeping record.
    pub lsn: Lsn,
    /// The writer's era.
    pub term: Term,
    /// The writer of the era.
    pub leader: u32,
    /// What it is.
    pub kind: K,
    /// When.
    pub time: Timestamp,
    /// Hash of the history up to here.
    pub chain: u64,
    /// Hash of the payload.
    pub payload_hash: u64,
    /// Everything up to here was synced before; zero is no claim.
    pub claim: Seq,
}

/// Why bytes are not a record.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// Not a record of this place: torn, rotten, stale or never written.
    Invalid(&'static str),
    /// Intact, but of a kind or with flags this build does not know.
    Newer,
}

/// Where a checksum begins: bytes of another segment, life or place do not verify.
fn seed(salt: Salt, offset: u64) -> u32 {
    if is_planted(Plant::ChecksumNotSeeded) {
        return 0;
    }
    crc32c([salt.0.to_le_bytes(), offset.to_le_bytes()].as_flattened())
}

impl<K> RecordHeader<K> {
    /// [`RecordHeader::encode`] with the `number` of its kind.
    pub(crate) fn encode_as(&self, number: u8, salt: Salt, offset: u64, out: &mut Vec<u8>) {
        let mut header = [0; RECORD_HEADER];
        let mut rest = header.as_mut_slice();
        put(&mut rest, [0; 4]);
        put(&mut rest, self.length.to_le_bytes());
        put(&mut rest, self.seq.0.to_le_bytes());
        put(&mut rest, self.lsn.0.to_le_bytes());
        put(&mut rest, self.term.0.to_le_bytes());
        put(&mut rest, self.leader.to_le_bytes());
        put(&mut rest, [number, 0, 0, 0]);
        put(&mut rest, self.time.0.to_le_bytes());
        put(&mut rest, self.chain.to_le_bytes());
        put(&mut rest, self.payload_hash.to_le_bytes());
        put(&mut rest, self.claim.0.to_le_bytes());
        seal(&mut header, salt, offset);
        out.extend_from_slice(&header);
    }

    /// [`RecordHeader::decode`] with the kinds that `known` knows.
    ///
    /// # Errors
    /// [`RecordFault`]; never panics, whatever the bytes are.
    pub(crate) fn decode_as(
        bytes: &[u8],
        salt: Salt,
        offset: u64,
        known: impl Fn(u8) -> Option<K>,
    ) -> Result<Self, RecordFault> {
        const SHORT: RecordFault = RecordFault::Invalid("the record header is cut short");
        let header = bytes.get(..RECORD_HEADER).ok_or(SHORT)?;
        let mut cursor = Cursor::new(header);
        let stored = cursor.u32().map_err(|_| SHORT)?;
        let covered = header.get(4..).unwrap_or_default();
        if crc32c_seeded(seed(salt, offset), covered) != stored
            && !is_planted(Plant::ChecksumNotCompared)
        {
            return Err(RecordFault::Invalid("the record checksum does not match"));
        }
        let mut read = || -> Result<_, crate::base::codec::Malformed> {
            let length = cursor.u32()?;
            let seq = Seq(cursor.u64()?);
            let lsn = Lsn(cursor.u64()?);
            let term = Term(cursor.u64()?);
            let leader = cursor.u32()?;
            let [kind, flags, reserved @ ..] = cursor.array::<4>()?;
            let known = known(kind).filter(|_| flags == 0 && reserved == [0, 0]);
            let time = Timestamp(cursor.u64()?);
            let (chain, payload_hash, claim) = (cursor.u64()?, cursor.u64()?, Seq(cursor.u64()?));
            Ok(known.map(|kind| Self {
                length,
                seq,
                lsn,
                term,
                leader,
                kind,
                time,
                chain,
                payload_hash,
                claim,
            }))
        };
        let header = read().map_err(|_| SHORT)?.ok_or(RecordFault::Newer)?;
        // No writer gets there, and whoever believed it could not count on.
        if [header.seq.0, header.lsn.0, header.term.0, header.time.0].contains(&u64::MAX) {
            return Err(RecordFault::Invalid("a number is at the end of its space"));
        }
        Ok(header)
    }

    /// Bytes of the whole record: header, payload, padding.
    #[must_use]
    pub fn record_len(&self) -> u64 {
        padded(to_u64(RECORD_HEADER) + u64::from(self.length))
    }
}

impl RecordHeader {
    /// Appends the header as it is at `offset` of the segment with `salt`.
    pub fn encode(&self, salt: Salt, offset: u64, out: &mut Vec<u8>) {
        self.encode_as(self.kind.number(), salt, offset, out);
    }

    /// Reads the header at `offset` of the segment with `salt`; `bytes` may be longer.
    ///
    /// # Errors
    /// [`RecordFault`]; never panics, whatever the bytes are.
    pub fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Result<Self, RecordFault> {
        Self::decode_as(bytes, salt, offset, Kind::from_number)
    }

    /// The kind and the length of the record that `bytes` begin with, as its header says and
    /// nothing has checked; `None` where there is none.
    #[must_use]
    pub fn glimpse(bytes: &[u8]) -> Option<(Kind, u64)> {
        let header = bytes.first_chunk::<RECORD_HEADER>()?;
        let kind = Kind::from_number(*header.get(36)?)?;
        let length = u32::from_le_bytes(*header.get(4..)?.first_chunk()?);
        Some((kind, padded(to_u64(RECORD_HEADER) + u64::from(length))))
    }
}

/// Writes the checksum of an encoded header.
fn seal(header: &mut [u8], salt: Salt, offset: u64) {
    if let Some((checksum, covered)) = header.split_at_mut_checked(4) {
        let covered = covered.get(..RECORD_HEADER - 4).unwrap_or_default();
        checksum.copy_from_slice(&crc32c_seeded(seed(salt, offset), covered).to_le_bytes());
    }
}

/// Stamps a durable claim into an encoded header and seals it again.
///
/// # Panics
/// If `header` is shorter than a header.
pub fn stamp_claim(header: &mut [u8], salt: Salt, offset: u64, claim: Seq) {
    assert!(header.len() >= RECORD_HEADER, "a claim belongs into a whole header");
    if let Some(field) = header.get_mut(CLAIM..CLAIM + 8) {
        field.copy_from_slice(&claim.0.to_le_bytes());
    }
    seal(header, salt, offset);
}

/// `len` rounded up to where the next record starts.
#[must_use]
pub const fn padded(len: u64) -> u64 {
    len.next_multiple_of(to_u64(ALIGN))
}

/// `offset` rounded down to its page.
#[must_use]
pub const fn page_floor(offset: u64) -> u64 {
    offset - offset % to_u64(PAGE)
}

/// `offset` rounded up to a page.
#[must_use]
pub const fn page_ceil(offset: u64) -> u64 {
    offset.next_multiple_of(to_u64(PAGE))
}

/// The longest payload a segment of `segment_bytes` takes.
///
/// Room is left for the header page, a `SegmentStart`, a `TermStart` and a `SegmentEnd`.
#[must_use]
pub const fn payload_max(segment_bytes: u64) -> u64 {
    let fixed = SEGMENT_START_LEN + TERM_START_LEN + SEGMENT_END_LEN + RECORD_HEADER;
    let free = segment_bytes - RECORDS_START - to_u64(fixed);
    free - free % to_u64(ALIGN)
}

/// The payload of a `SegmentStart` or a `SegmentEnd`: the neighbour's number and salt.
#[must_use]
pub fn encode_neighbour(segment: SegmentNumber, salt: Salt) -> [u8; 16] {
    let mut payload = [0; 16];
    let (number, rest) = payload.split_at_mut(8);
    number.copy_from_slice(&segment.0.to_le_bytes());
    rest.copy_from_slice(&salt.0.to_le_bytes());
    payload
}

/// Reads the payload of a `SegmentStart` or a `SegmentEnd`; `None` if it is not one.
#[must_use]
pub fn decode_neighbour(payload: &[u8]) -> Option<(SegmentNumber, Salt)> {
    let mut cursor = Cursor::new(payload);
    let neighbour = (SegmentNumber(cursor.u64().ok()?), Salt(cursor.u64().ok()?));
    cursor.finish().ok().map(|()| neighbour)
}

/// What the chain becomes after the record with `header`.
#[must_use]
pub fn next_chain(previous: u64, header: &RecordHeader) -> u64 {
    // On the stack: two of these are made for each commit, under the append lock.
    let mut input = [0; 45];
    let mut rest = input.as_mut_slice();
    put(&mut rest, previous.to_le_bytes());
    put(&mut rest, header.lsn.0.to_le_bytes());
    put(&mut rest, header.term.0.to_le_bytes());
    put(&mut rest, header.leader.to_le_bytes());
    put(&mut rest, header.time.0.to_le_bytes());
    put(&mut rest, [header.kind.number()]);
    put(&mut rest, header.payload_hash.to_le_bytes());
    hash64(&input)
}

/// Writes `bytes` to the beginning of `rest`, which then is what comes after them.
fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((place, after)) = std::mem::take(rest).split_first_chunk_mut() {
        (*place, *rest) = (bytes, after);
    }
}

/// Length of a payload as its header says it.
///
/// # Panics
/// If it is longer than any segment: check it against [`payload_max`] first.
#[must_use]
pub fn length_field(payload: &[u8]) -> u32 {
    narrow(payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> RecordHeader {
        RecordHeader {
            length: 3,
            seq: Seq(9),
            lsn: Lsn(7),
            term: Term(1),
            leader: 0,
            kind: Kind::Commit,
            time: Timestamp(1_700_000_000_000_000),
            chain: 0x0102_0304_0506_0708,
            payload_hash: hash64(b"abc"),
            claim: Seq(8),
        }
    }

    #[test]
    fn the_chain_is_over_every_field_in_the_order_of_the_page() {
        let header = record();
        let (lsn, term, leader) = (header.lsn.0, header.term.0, header.leader);
        let input = [
            &5_u64.to_le_bytes()[..],
            &lsn.to_le_bytes(),
            &term.to_le_bytes(),
            &leader.to_le_bytes(),
            &header.time.0.to_le_bytes(),
            &[header.kind.number()],
            &header.payload_hash.to_le_bytes(),
        ];
        assert_eq!(next_chain(5, &header), hash64(&input.concat()));
    }

    #[test]
    fn a_header_is_read_back_and_every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        record().encode(Salt(5), 4096, &mut bytes);
        assert_eq!(bytes.len(), RECORD_HEADER);
        assert_eq!(RecordHeader::decode(&bytes, Salt(5), 4096), Ok(record()));
        for bit in 0..RECORD_HEADER * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordHeader::decode(&bytes, Salt(5), 4096).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_record_of_another_life_or_place_is_not_valid() {
        let mut bytes = Vec::new();
        record().encode(Salt(5), 4096, &mut bytes);
        assert!(RecordHeader::decode(&bytes, Salt(6), 4096).is_err());
        assert!(RecordHeader::decode(&bytes, Salt(5), 4104).is_err());
        assert!(RecordHeader::decode(&[0; RECORD_HEADER], Salt(5), 4096).is_err());
    }

    #[test]
    fn zeroes_are_no_record_even_if_their_checksum_fits() {
        for seed in 0..200_000 {
            assert!(RecordHeader::decode(&[0; RECORD_HEADER], Salt(seed), 4096).is_err());
        }
    }

    #[test]
    fn a_stamped_claim_is_covered_by_the_checksum() {
        let mut bytes = Vec::new();
        record().encode(Salt(5), 8192, &mut bytes);
        stamp_claim(&mut bytes, Salt(5), 8192, Seq(77));
        let expected = RecordHeader { claim: Seq(77), ..record() };
        assert_eq!(RecordHeader::decode(&bytes, Salt(5), 8192), Ok(expected));
    }

    #[test]
    fn a_number_at_the_end_of_its_space_is_not_believed() {
        let last = [
            RecordHeader { seq: Seq(u64::MAX), ..record() },
            RecordHeader { lsn: Lsn(u64::MAX), ..record() },
            RecordHeader { term: Term(u64::MAX), ..record() },
            RecordHeader { time: Timestamp(u64::MAX), ..record() },
        ];
        for header in last {
            let mut bytes = Vec::new();
            header.encode(Salt(5), 4096, &mut bytes);
            assert!(RecordHeader::decode(&bytes, Salt(5), 4096).is_err(), "{header:?}");
        }
    }

    #[test]
    fn the_smallest_segment_takes_a_record() {
        assert_eq!(payload_max(8192), 3760);
    }

    #[test]
    fn every_kind_is_read_back_by_its_number_and_has_a_name_of_its_own() {
        let kinds = [
            (Kind::Commit, "commit", true),
            (Kind::TermStart, "term_start", true),
            (Kind::SegmentStart, "segment_start", false),
            (Kind::SegmentEnd, "segment_end", false),
            (Kind::TimeMark, "time_mark", false),
            (Kind::CleanClose, "clean_close", false),
            (Kind::Checkpoint, "checkpoint", false),
            (Kind::Vote, "vote", false),
            (Kind::Committed, "committed", false),
            (Kind::TruncateAfter, "truncate_after", false),
        ];
        for (kind, name, takes_lsn) in kinds {
            let mut bytes = Vec::new();
            let header = RecordHeader { kind, ..record() };
            header.encode(Salt(5), 4096, &mut bytes);
            assert_eq!(RecordHeader::decode(&bytes, Salt(5), 4096), Ok(header));
            assert_eq!((kind.name(), kind.takes_lsn()), (name, takes_lsn));
        }
    }

    #[test]
    fn a_kind_a_flag_or_a_reserved_byte_that_is_not_known_is_newer() {
        for (at, value) in [(36, 0), (36, 8), (37, 1), (38, 1), (39, 1)] {
            let mut bytes = Vec::new();
            record().encode(Salt(5), 4096, &mut bytes);
            bytes[at] = value;
            seal(&mut bytes, Salt(5), 4096);
            let decoded = RecordHeader::decode(&bytes, Salt(5), 4096);
            assert_eq!(decoded, Err(RecordFault::Newer), "byte {at} is {value}");
        }
    }

    #[test]
    fn lengths_and_offsets_are_rounded_to_records_and_pages() {
        assert_eq!([0, 1, 8, 9].map(padded), [0, 8, 8, 16]);
        assert_eq!([0, 1, 4095, 4096, 8191].map(page_floor), [0, 0, 0, 4096, 4096]);
        assert_eq!([0, 1, 4096, 4097, 8192].map(page_ceil), [0, 4096, 4096, 8192, 8192]);
        assert_eq!(RecordHeader { length: 9, ..record() }.record_len(), 88);
        assert_eq!([8199, 8200].map(payload_max), [3760, 3768]);
        assert_eq!(length_field(&[0; 300]), 300);
    }
}
