//! Where the log begins: with segment 1, or behind what was released.
//!
//! The file `FIRST` is all that decides it, and it is durable before anything below goes. So the
//! files below may go in any order, and those that a crash leaves or brings back mean nothing.
//! Why a file and not a record of the log is in `docs/decisions/0017-the-log-begins-in-a-file.md`.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::checksum::crc32c;
use crate::base::codec::{Cursor, Malformed, to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::mark::{Mark, hit};
use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber, Seq, StoreId, Term, Timestamp};
use crate::vfs::{FileExt, OpenMode, replace_file};

use super::format::{
    Kind, Layout, RECORDS_START, RecordHeader, SEGMENT_START_LEN, Salt, decode_neighbour,
};
use super::header::{HeaderFault, SegmentHeader};
use super::scan::{Found, Position, read_record};
use super::segment::{DIR_NAME, SegmentDir, shown_path};
use super::version::check;

/// Name of the file, in the log's directory.
pub(crate) const FILE_NAME: &str = "FIRST";
pub(crate) const MAGIC: &[u8; 8] = b"JIDOFRST";
/// Version this build writes, and the newest it reads.
pub const VERSION: u32 = 1;
const FILE_BYTES: usize = 104;

/// The table of `docs/format/wal.md`, for the test that compares it.
pub const LAYOUTS: &[Layout] = &[(
    "Beginning of the log",
    &[
        ("magic", 0, 8),
        ("version", 8, 4),
        ("reserved", 12, 4),
        ("store_id", 16, 16),
        ("segment", 32, 8),
        ("salt", 40, 8),
        ("predecessor_salt", 48, 8),
        ("seq", 56, 8),
        ("lsn", 64, 8),
        ("term", 72, 8),
        ("time", 80, 8),
        ("chain", 88, 8),
        ("reserved_2", 96, 4),
        ("checksum", FILE_BYTES - 4, 4),
    ],
)];

/// A segment as the beginning of the log, or of what a reader reads of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The segment.
    pub segment: SegmentNumber,
    /// Its salt; `None` where nothing names it.
    pub salt: Option<Salt>,
    /// The segment before it, and that one's salt; zero for segment 1.
    pub predecessor: (SegmentNumber, Salt),
    /// Before its first record.
    pub position: Position,
}

impl First {
    /// Of a log of which nothing was released.
    pub const ORIGIN: Self = Self {
        segment: SegmentNumber(1),
        salt: None,
        predecessor: (SegmentNumber(0), Salt(0)),
        position: Position::ORIGIN,
    };

    /// The oldest commit that is in the log, or comes next in one without commits.
    #[must_use]
    pub const fn oldest(&self) -> Lsn {
        self.position.lsn.next()
    }

    /// Where the log of `dir` begins.
    ///
    /// # Errors
    /// `Corrupt` when the file is not what was written, `Unsupported`, `Io`.
    pub(super) fn load(dir: &SegmentDir) -> Result<Self> {
        let fail = |error| Error::io("read", &shown(), error);
        let corrupt = |what: &str| {
            let what = format!("{what}; nothing else says where the log begins: restore a copy");
            Error::new(ErrorKind::Corrupt, what).at_path(shown()).at_offset(0)
        };
        let file = match dir.runtime.vfs.open(&dir.path.join(FILE_NAME), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::ORIGIN),
            Err(error) => return Err(fail(error)),
        };
        // A newer version's may be longer, and must be told from a damaged one.
        let bytes = match file.read_whole(to_u64(PAGE)) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(corrupt("the file is longer than it was made"));
            }
            read => read.map_err(fail)?,
        };
        hit(Mark::BegunLater);
        match decode(&bytes) {
            Ok((store, first)) if store == dir.store_id => Ok(first),
            Ok(_) => Err(corrupt("the file belongs to another store")),
            Err(HeaderFault::Damaged(what)) => Err(corrupt(what)),
            Err(HeaderFault::Unsupported(what)) => {
                Err(Error::new(ErrorKind::Unsupported, what).at_path(shown()).at_offset(8))
            }
        }
    }

    /// Makes the log begin with segment 1 again; durable with the next sync of the directory.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn forget(dir: &SegmentDir) -> Result<()> {
        match dir.runtime.vfs.remove(&dir.path.join(FILE_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &shown(), error))
            }
            _ => Ok(()),
        }
    }

    /// Makes the log begin here, durably.
    ///
    /// # Errors
    /// `Full`, `Io`; the log then begins here, or where it did before.
    ///
    /// # Cost
    /// Two syncs of a small file and one of the directory.
    pub(super) fn save(&self, dir: &SegmentDir) -> Result<()> {
        let bytes = self.encode(dir.store_id);
        replace_file(dir.runtime.vfs.as_ref(), &dir.path, FILE_NAME, &bytes)
            .map_err(|error| Error::io("write", &shown(), error))
    }

    /// How segment `number` begins; `None` when it has no whole first record, or is not there.
    ///
    /// # Errors
    /// `Io`.
    ///
    /// # Cost
    /// Reads its header page and its first record.
    pub(super) fn of_segment(dir: &SegmentDir, number: SegmentNumber) -> Result<Option<Self>> {
        let fail = |error| Error::io("read", &shown_path(number), error);
        let file = match dir.runtime.vfs.open(&dir.file_path(number), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mut bytes = vec![0; PAGE + SEGMENT_START_LEN];
        let count = file.read_up_to(&mut bytes, 0).map_err(fail)?;
        bytes.truncate(count);
        Ok(begins(dir, number, &bytes))
    }

    fn encode(&self, store: StoreId) -> Vec<u8> {
        let Position { seq, lsn, term, chain, time } = self.position;
        let salt = self.salt.unwrap_or_default();
        let mut file = Vec::with_capacity(FILE_BYTES);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&store.0);
        let fields =
            [self.segment.0, salt.0, self.predecessor.1.0, seq.0, lsn.0, term.0, time.0, chain];
        fields.iter().for_each(|field| file.extend_from_slice(&field.to_le_bytes()));
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&crc32c(&file).to_le_bytes());
        file
    }
}

/// The beginning that the first bytes of a segment's file tell.
fn begins(dir: &SegmentDir, number: SegmentNumber, bytes: &[u8]) -> Option<First> {
    let header = SegmentHeader::decode(bytes.get(..PAGE)?).ok()?;
    let ours = header.store_id == dir.store_id
        && header.segment == number
        && header.segment_bytes == dir.segment_bytes;
    let window = bytes.get(to_usize(RECORDS_START)..).filter(|_| ours)?;
    let start = RecordHeader::decode(window, header.salt, RECORDS_START).ok()?;
    let before = Seq(start.seq.0.checked_sub(1)?);
    let position = Position { seq: before, ..Position::resume_after(&start) };
    let found = read_record(window, RECORDS_START, dir.segment_bytes, header.salt, &position);
    let Found::Record(record, _) = found else { return None };
    let named = decode_neighbour(record.payload);
    let predecessor = named.filter(|_| start.kind == Kind::SegmentStart)?;
    Some(First { segment: number, salt: Some(header.salt), predecessor, position })
}

pub(super) fn shown() -> PathBuf {
    Path::new(DIR_NAME).join(FILE_NAME)
}

/// The store and the beginning that a `FIRST` names.
///
/// # Errors
/// [`HeaderFault`]; never panics, whatever the bytes are.
pub fn decode(bytes: &[u8]) -> std::result::Result<(StoreId, First), HeaderFault> {
    const SHORT: HeaderFault = HeaderFault::Damaged("the file is cut short");
    const WRONG: HeaderFault = HeaderFault::Damaged("the file holds impossible values");
    let mut cursor = Cursor::new(bytes);
    let mut read = || -> std::result::Result<_, Malformed> {
        let (magic, version) = (cursor.array::<8>()?, cursor.u32()?);
        let (zero, store) = (cursor.u32()?, StoreId(cursor.array()?));
        let (segment, salt) = (SegmentNumber(cursor.u64()?), Salt(cursor.u64()?));
        let before = Salt(cursor.u64()?);
        let position = Position {
            seq: Seq(cursor.u64()?),
            lsn: Lsn(cursor.u64()?),
            term: Term(cursor.u64()?),
            time: Timestamp(cursor.u64()?),
            chain: cursor.u64()?,
        };
        let (zero, checksum) = (zero | cursor.u32()?, cursor.u32()?);
        Ok(((magic, version, checksum, zero), store, segment, (salt, before), position))
    };
    let (seal, store, segment, (salt, before), position) = read().map_err(|_| SHORT)?;
    let (magic, version, checksum, zero) = seal;
    if &magic != MAGIC {
        return Err(HeaderFault::Damaged("the file does not begin with JIDOFRST"));
    }
    if crc32c(bytes.get(..FILE_BYTES - 4).unwrap_or_default()) != checksum {
        return Err(HeaderFault::Damaged("the checksum of the file does not match"));
    }
    check(version, VERSION)?;
    if bytes.len() != FILE_BYTES {
        return Err(HeaderFault::Damaged("the file is longer than it was made"));
    }
    let ends = [segment.0, position.seq.0, position.lsn.0].contains(&u64::MAX);
    if zero != 0 || ends || segment <= First::ORIGIN.segment || salt == Salt(0) {
        return Err(WRONG);
    }
    let predecessor = (SegmentNumber(segment.0 - 1), before);
    Ok((store, First { segment, salt: Some(salt), predecessor, position }))
}

#[cfg(test)]
mod tests {
    use super::super::version::{NEWER, UNRELEASED};
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    fn first() -> First {
        First {
            segment: SegmentNumber(5),
            salt: Some(Salt(50)),
            predecessor: (SegmentNumber(4), Salt(40)),
            position: Position {
                seq: Seq(30),
                lsn: Lsn(20),
                term: Term(2),
                chain: 77,
                time: Timestamp(9),
            },
        }
    }

    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let checksum = crc32c(&bytes[..FILE_BYTES - 4]).to_le_bytes();
        bytes[FILE_BYTES - 4..].copy_from_slice(&checksum);
        bytes
    }

    #[test]
    fn a_beginning_is_read_back_and_any_flipped_bit_or_missing_byte_is_noticed() {
        let bytes = first().encode(STORE);
        assert_eq!(decode(&bytes), Ok((STORE, first())));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&flipped), Err(HeaderFault::Damaged(_))), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
    }

    #[test]
    fn another_version_is_told_apart_and_numbers_without_a_next_are_not_believed() {
        let changed = |at: usize, value: u64| {
            let mut bytes = first().encode(STORE);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            decode(&sealed(bytes))
        };
        for (version, what) in [(0, UNRELEASED), (2, NEWER)] {
            assert_eq!(changed(8, version), Err(HeaderFault::Unsupported(what)));
        }
        let mut longer = first().encode(STORE);
        longer[8] = 2;
        let longer = [sealed(longer), vec![7; 30]].concat();
        assert_eq!(decode(&longer), Err(HeaderFault::Unsupported(NEWER)), "and longer");
        for (at, value) in [(32, 1), (32, u64::MAX), (40, 0), (56, u64::MAX), (64, u64::MAX)] {
            assert!(matches!(changed(at, value), Err(HeaderFault::Damaged(_))), "{at}");
        }
        let mut bytes = first().encode(STORE);
        bytes[96] = 1;
        assert!(matches!(decode(&sealed(bytes)), Err(HeaderFault::Damaged(_))), "reserved");
    }
}
