//! The bytes of a copy: `docs/format/copy.md` in code.
//!
//! Pure. Changing anything here? Also the page and its version table.

use crate::base::checksum::{crc32c, hash64};
use crate::base::codec::{Cursor, Malformed, to_u64, widen};
use crate::base::{Lsn, SegmentNumber, Seq, StoreId, Term, Timestamp};
use crate::wal::format::{Kind, Layout, RecordHeader, length_field};
use crate::wal::header::HeaderFault;
use crate::wal::reader::OwnedRecord;
use crate::wal::version::{check, check_features};

/// Version of a copy's files that this build writes, and the newest it reads.
pub const VERSION: u32 = 1;
pub(crate) const RANGE_MAGIC: &[u8; 8] = b"JIDOKARG";
pub(crate) const END_MAGIC: &[u8; 8] = b"JIDOKAEN";

/// Bytes of a range's header.
pub const RANGE_HEADER: usize = 76;
/// Bytes of a copied record's header.
pub const RECORD_HEADER: usize = 56;
/// Bytes of the end file.
pub const END_BYTES: usize = 56;

/// The tables of `docs/format/copy.md`, for the test that compares them.
pub const LAYOUTS: &[Layout] = &[
    (
        "Range header",
        &[
            ("magic", 0, 8),
            ("version", 8, 4),
            ("incompatible", 12, 4),
            ("store_id", 16, 16),
            ("first_lsn", 32, 8),
            ("last_lsn", 40, 8),
            ("chain_before", 48, 8),
            ("chain_after", 56, 8),
            ("bytes", 64, 8),
            ("checksum", 72, 4),
        ],
    ),
    (
        "Copied record",
        &[
            ("checksum", 0, 4),
            ("length", 4, 4),
            ("lsn", 8, 8),
            ("term", 16, 8),
            ("leader", 24, 4),
            ("kind", 28, 1),
            ("reserved", 29, 3),
            ("time", 32, 8),
            ("chain", 40, 8),
            ("payload_hash", 48, 8),
        ],
    ),
    (
        "End",
        &[
            ("magic", 0, 8),
            ("version", 8, 4),
            ("store_id", 12, 16),
            ("lsn", 28, 8),
            ("chain", 36, 8),
            ("time", 44, 8),
            ("checksum", 52, 4),
        ],
    ),
];

/// What a range's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeHeader {
    /// The store.
    pub store_id: StoreId,
    /// First record.
    pub first: Lsn,
    /// Last record.
    pub last: Lsn,
    /// Chain before the first record.
    pub chain_before: u64,
    /// Chain after the last record.
    pub chain_after: u64,
    /// Bytes of the records.
    pub bytes: u64,
}

impl RangeHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RANGE_HEADER);
        out.extend_from_slice(RANGE_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]); // no features yet
        out.extend_from_slice(&self.store_id.0);
        for number in [self.first.0, self.last.0, self.chain_before, self.chain_after, self.bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out
    }

    /// Reads a header; `bytes` may be longer.
    ///
    /// # Errors
    /// [`HeaderFault`]; never panics, whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let checked = checked(bytes, RANGE_HEADER, RANGE_MAGIC)?;
        let mut cursor = Cursor::new(checked);
        let mut read = || -> Result<_, Malformed> {
            cursor.bytes(8)?;
            let (version, features) = (cursor.u32()?, cursor.u32()?);
            let header = Self {
                store_id: StoreId(cursor.array()?),
                first: Lsn(cursor.u64()?),
                last: Lsn(cursor.u64()?),
                chain_before: cursor.u64()?,
                chain_after: cursor.u64()?,
                bytes: cursor.u64()?,
            };
            Ok((version, features, header))
        };
        const SHORT: HeaderFault = HeaderFault::Damaged("the range's header is cut short");
        let (version, features, header) = read().map_err(|_| SHORT)?;
        check(version, VERSION)?;
        check_features(features)?;
        Ok(header)
    }
}

/// The first `len` of `bytes` without their checksum, if magic and checksum are right.
fn checked<'a>(bytes: &'a [u8], len: usize, magic: &[u8; 8]) -> Result<&'a [u8], HeaderFault> {
    let short = HeaderFault::Damaged("the file is cut short");
    let header = bytes.get(..len).ok_or(short)?;
    let (body, checksum) = header.split_at_checked(len - 4).ok_or(short)?;
    if !body.starts_with(magic) {
        return Err(HeaderFault::Damaged("the file does not begin with its magic"));
    }
    if crc32c(body).to_le_bytes() != checksum {
        return Err(HeaderFault::Damaged("the header checksum does not match"));
    }
    Ok(body)
}

/// Up to where a copy is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The store.
    pub store_id: StoreId,
    /// The last record of the copy.
    pub lsn: Lsn,
    /// The chain after it.
    pub chain: u64,
    /// The next commit is later than this.
    pub time: Timestamp,
}

impl End {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(END_BYTES);
        out.extend_from_slice(END_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.store_id.0);
        for number in [self.lsn.0, self.chain, self.time.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`HeaderFault`]; never panics, whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let mut cursor = Cursor::new(checked(bytes, END_BYTES, END_MAGIC)?);
        let mut read = || -> Result<_, Malformed> {
            cursor.bytes(8)?;
            let version = cursor.u32()?;
            let end = Self {
                store_id: StoreId(cursor.array()?),
                lsn: Lsn(cursor.u64()?),
                chain: cursor.u64()?,
                time: Timestamp(cursor.u64()?),
            };
            Ok((version, end))
        };
        const WRONG: HeaderFault = HeaderFault::Damaged("the end file has a wrong length");
        let (version, end) = read().map_err(|_| WRONG)?;
        check(version, VERSION)?;
        if bytes.len() == END_BYTES { Ok(end) } else { Err(WRONG) }
    }
}

/// Appends a record of the log as a copy holds it.
pub fn put_record(record: &OwnedRecord, out: &mut Vec<u8>) {
    let header = &record.header;
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length_field(&record.payload).to_le_bytes());
    out.extend_from_slice(&header.lsn.0.to_le_bytes());
    out.extend_from_slice(&header.term.0.to_le_bytes());
    out.extend_from_slice(&header.leader.to_le_bytes());
    out.extend_from_slice(&[header.kind.number(), 0, 0, 0]);
    for number in [header.time.0, header.chain, header.payload_hash] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    if let Some((checksum, covered)) =
        out.get_mut(start..).and_then(|record| record.split_at_mut_checked(4))
    {
        checksum.copy_from_slice(&crc32c(covered).to_le_bytes());
    }
    out.extend_from_slice(&record.payload);
}

/// Reads the record at the cursor.
///
/// # Errors
/// What is not what was written; never panics, whatever the bytes are.
pub fn take_record(cursor: &mut Cursor<'_>) -> Result<OwnedRecord, Malformed> {
    let bad = |what| Malformed { offset: cursor.offset(), what };
    let (mismatch, unknown) =
        (bad("the record's checksum does not match"), bad("the record is of an unknown kind"));
    let wrong_payload = bad("the record's payload hash does not match");
    let at_the_end = bad("a number of the record is at the end of its space");
    let bytes = cursor.bytes(RECORD_HEADER)?;
    let mut fields = Cursor::new(bytes);
    if crc32c(bytes.get(4..).unwrap_or_default()) != fields.u32()? {
        return Err(mismatch);
    }
    let length = fields.u32()?;
    let (lsn, term, leader) = (Lsn(fields.u64()?), Term(fields.u64()?), fields.u32()?);
    let kind = match fields.array()? {
        [1, 0, 0, 0] => Kind::Commit,
        [2, 0, 0, 0] => Kind::TermStart,
        _ => return Err(unknown),
    };
    let (time, chain, payload_hash) = (Timestamp(fields.u64()?), fields.u64()?, fields.u64()?);
    if [lsn.0, term.0, time.0].contains(&u64::MAX) {
        return Err(at_the_end);
    }
    let payload = cursor.bytes(widen(length))?;
    if hash64(payload) != payload_hash {
        return Err(wrong_payload);
    }
    let (seq, claim) = (Seq(lsn.0), Seq::ZERO);
    let header =
        RecordHeader { length, seq, lsn, term, leader, kind, time, chain, payload_hash, claim };
    let payload = payload.to_vec();
    Ok(OwnedRecord { header, payload, segment: SegmentNumber(0), offset: 0 })
}

/// File name of a range.
#[must_use]
pub fn range_name(first: Lsn, last: Lsn) -> String {
    format!("{:020}-{:020}.range", first.0, last.0)
}

/// The range a file name stands for.
#[must_use]
pub fn parse_range_name(name: &str) -> Option<(Lsn, Lsn)> {
    let (first, last) = name.strip_suffix(".range")?.split_once('-')?;
    let number = |digits: &str| {
        let whole = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        whole.then(|| digits.parse().ok())?.map(Lsn)
    };
    Some((number(first)?, number(last)?))
}

/// Longest range file that a reader takes into memory: a range is closed at a few megabytes, and
/// its last record is no longer than a segment.
#[must_use]
pub const fn range_bytes_max(segment_bytes: u64) -> u64 {
    RANGE_BYTES + 2 * segment_bytes + to_u64(RANGE_HEADER)
}

/// A range is closed once its records have this many bytes.
pub const RANGE_BYTES: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::version::{NEWER, UNRELEASED};

    fn record() -> OwnedRecord {
        let header = RecordHeader {
            length: 5,
            seq: Seq(7),
            lsn: Lsn(7),
            term: Term(1),
            leader: 0,
            kind: Kind::Commit,
            time: Timestamp(9),
            chain: 11,
            payload_hash: hash64(b"bytes"),
            claim: Seq::ZERO,
        };
        let payload = b"bytes".to_vec();
        OwnedRecord { header, payload, segment: SegmentNumber(0), offset: 0 }
    }

    #[test]
    fn a_copied_record_is_read_back_and_every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        put_record(&record(), &mut bytes);
        assert_eq!(take_record(&mut Cursor::new(&bytes)), Ok(record()));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(take_record(&mut Cursor::new(&bytes)).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn headers_are_read_back_and_every_flipped_bit_is_noticed() {
        let store_id = StoreId([3; 16]);
        let range = RangeHeader {
            store_id,
            first: Lsn(1),
            last: Lsn(9),
            chain_before: 0,
            chain_after: 5,
            bytes: 77,
        };
        let end = End { store_id, lsn: Lsn(9), chain: 5, time: Timestamp(8) };
        let mut bytes = range.encode();
        assert_eq!(RangeHeader::decode(&bytes), Ok(range));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RangeHeader::decode(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let mut bytes = end.encode();
        assert_eq!(End::decode(&bytes), Ok(end));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(End::decode(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn what_another_version_wrote_is_told_from_damage() {
        let store_id = StoreId([3; 16]);
        let (first, last) = (Lsn(1), Lsn(9));
        let range =
            RangeHeader { store_id, first, last, chain_before: 0, chain_after: 5, bytes: 77 };
        let end = End { store_id, lsn: Lsn(9), chain: 5, time: Timestamp(8) };
        let changed = |mut bytes: Vec<u8>, at: usize, value| {
            bytes[at] = value;
            let body = bytes.len() - 4;
            let checksum = crc32c(&bytes[..body]).to_le_bytes();
            bytes[body..].copy_from_slice(&checksum);
            bytes
        };
        for (at, value, what) in [(8, 0, UNRELEASED), (8, 2, NEWER), (12, 1, NEWER)] {
            let told = RangeHeader::decode(&changed(range.encode(), at, value));
            assert_eq!(told, Err(HeaderFault::Unsupported(what)), "byte {at} is {value}");
        }
        for (version, what) in [(0, UNRELEASED), (2, NEWER)] {
            let longer = [changed(end.encode(), 8, version), vec![7; 30]].concat();
            assert_eq!(End::decode(&longer), Err(HeaderFault::Unsupported(what)), "{version}");
        }
        assert!(matches!(
            End::decode(&[end.encode(), vec![0]].concat()),
            Err(HeaderFault::Damaged(_))
        ));
    }

    #[test]
    fn a_range_is_named_by_its_ends() {
        let name = range_name(Lsn(1), Lsn(812));
        assert_eq!(parse_range_name(&name), Some((Lsn(1), Lsn(812))));
        assert_eq!(parse_range_name("1-812.range"), None);
        assert_eq!(parse_range_name(&format!("{name}.tmp")), None);
    }
}
