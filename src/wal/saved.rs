//! The saved tail: what recovery is about to write again, put beside the log first.
//!
//! Where a sector that is written when the power fails may become garbage (padded tails),
//! writing the same bytes again in place could destroy what was durable. So the pages are saved
//! in a file of their own, durable under its name, before the first of them is touched. Whoever
//! reads the log lays them over what the segments hold: an interrupted rewrite is as good as
//! done. The file goes when the rewrite is durable. If a crash brings it back later it does no
//! harm: it holds pages of segments that were ended by that recovery and never change again.

use std::io;
use std::path::Path;

use crate::base::checksum::{crc32c, hash64};
use crate::base::codec::{Cursor, Malformed, to_u64, to_usize};
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result, SegmentNumber, StoreId};
use crate::vfs::{FileExt, OpenMode, replace_file};

use super::format::{Layout, Salt};
use super::header::HeaderFault;
use super::present::segments_present;
use super::segment::{DIR_NAME, SegmentDir, cannot_read};
use super::version::check;

/// Name of the file, in the log's directory.
pub(crate) const FILE_NAME: &str = "TAIL";
pub(crate) const MAGIC: &[u8; 8] = b"JIDOTAIL";
/// Version this build writes, and the newest it reads.
pub const VERSION: u32 = 1;
/// Bytes before the parts.
const HEADER: usize = 48;
const PART_HEADER: usize = 32;

/// The tables of `docs/format/wal.md`, for the test that compares them.
pub const LAYOUTS: &[Layout] = &[
    (
        "Saved tail",
        &[
            ("magic", 0, 8),
            ("version", 8, 4),
            ("parts", 12, 4),
            ("store_id", 16, 16),
            ("hash", 32, 8),
            ("reserved", 40, 4),
            ("checksum", 44, 4),
        ],
    ),
    (
        "Part of a saved tail",
        &[("segment", 0, 8), ("salt", 8, 8), ("offset", 16, 8), ("length", 24, 8)],
    ),
];

/// Bytes of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) segment: SegmentNumber,
    pub(super) salt: Salt,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// A segment, and the offset and length of the bytes that were saved of it.
pub type SavedPlace = (SegmentNumber, u64, u64);

/// The parts of a saved tail; empty when there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SavedTail(Vec<Part>);

impl SavedTail {
    /// Saves `parts`: durable, in place of what was saved before.
    ///
    /// # Errors
    /// `Full`, `Io`; what was saved before is still there.
    ///
    /// # Cost
    /// Writes the parts once; two file syncs and one directory sync.
    pub(super) fn save(dir: &SegmentDir, parts: &[Part]) -> Result<()> {
        if is_planted(Plant::TailNotSaved) {
            return Ok(());
        }
        let bytes = encode(dir.store_id, parts);
        replace_file(dir.runtime.vfs.as_ref(), &dir.path, FILE_NAME, &bytes)
            .map_err(|error| Error::io("save the end of the log in", &shown(), error))
    }

    /// What was saved; nothing when the file is not there, is torn, or is another store's.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Unsupported` when a newer version saved it.
    pub(super) fn load(dir: &SegmentDir) -> Result<Self> {
        let fail = |error| {
            let error = cannot_read("read", &shown(), error);
            error.within("the file holds what an interrupted recovery was writing")
        };
        let file = match dir.runtime.vfs.open(&dir.path.join(FILE_NAME), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(fail(error)),
        };
        // No more than all the segments there are, whatever its size says (L8).
        let segments = to_u64(segments_present(dir)?.len());
        let most = to_u64(HEADER) + segments * (dir.segment_bytes + to_u64(PART_HEADER));
        if file.size().map_err(fail)? > most {
            return Ok(Self::default());
        }
        let bytes = file.read_whole(most).map_err(fail)?;
        match decode(&bytes, dir.store_id) {
            Ok(parts) => Ok(Self(parts)),
            Err(HeaderFault::Unsupported(what)) => {
                Err(Error::new(ErrorKind::Unsupported, what).at_path(shown()).at_offset(8))
            }
            Err(HeaderFault::Damaged(_)) => Ok(Self::default()),
        }
    }

    /// Removes the file. Needs no sync: see the top of this page.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn remove(dir: &SegmentDir) -> Result<()> {
        match dir.runtime.vfs.remove(&dir.path.join(FILE_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &shown(), error))
            }
            _ => Ok(()),
        }
    }

    /// The segments of which something was saved.
    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentNumber> {
        self.0.iter().map(|part| part.segment)
    }

    /// Lays what was saved of `segment` over `bytes`, which begin at `start` of its file; `salt`
    /// is that of its header, if that can be read: another life of the file is not touched.
    pub(super) fn lay_over(
        &self,
        (segment, salt): (SegmentNumber, Option<Salt>),
        start: u64,
        bytes: &mut [u8],
    ) {
        let of_this =
            |part: &&Part| part.segment == segment && salt.is_none_or(|salt| salt == part.salt);
        for part in self.0.iter().filter(of_this) {
            let from = part.offset.max(start);
            let end = part.offset.saturating_add(to_u64(part.bytes.len()));
            let end = end.min(start.saturating_add(to_u64(bytes.len())));
            if from >= end {
                continue;
            }
            let place = bytes.get_mut(to_usize(from - start)..to_usize(end - start));
            let saved = part.bytes.get(to_usize(from - part.offset)..to_usize(end - part.offset));
            if let (Some(place), Some(saved)) = (place, saved)
                && place != saved
            {
                hit(Mark::SavedTailUsed);
                place.copy_from_slice(saved);
            }
        }
    }
}

fn shown() -> std::path::PathBuf {
    Path::new(DIR_NAME).join(FILE_NAME)
}

fn encode(store: StoreId, parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let len = to_u64(part.bytes.len());
        let fields = [part.segment.0, part.salt.0, part.offset, len];
        fields.iter().for_each(|field| body.extend_from_slice(&field.to_le_bytes()));
        body.extend_from_slice(&part.bytes);
    }
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(HEADER + body.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&store.0);
    file.extend_from_slice(&hash64(&body).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&crc32c(&file).to_le_bytes());
    file.extend_from_slice(&body);
    file
}

/// Torn, rotten, or of another store.
const NOT_OURS: HeaderFault =
    HeaderFault::Damaged("it is not a whole saved tail, and recovery ignores it");

/// The parts of a whole saved tail of `store`.
fn decode(bytes: &[u8], store: StoreId) -> std::result::Result<Vec<Part>, HeaderFault> {
    let (owner, parts) = decode_any(bytes)?;
    if owner == store { Ok(parts) } else { Err(NOT_OURS) }
}

/// The store of a saved tail, and the segment, offset and length of each part, for looking.
///
/// # Errors
/// [`HeaderFault`]; never panics, whatever the bytes are.
pub fn describe(bytes: &[u8]) -> std::result::Result<(StoreId, Vec<SavedPlace>), HeaderFault> {
    let (store, parts) = decode_any(bytes)?;
    let place = |part: &Part| (part.segment, part.offset, to_u64(part.bytes.len()));
    Ok((store, parts.iter().map(place).collect()))
}

fn decode_any(bytes: &[u8]) -> std::result::Result<(StoreId, Vec<Part>), HeaderFault> {
    let (header, body) = bytes.split_at_checked(HEADER).ok_or(NOT_OURS)?;
    let (version, count, store, hash) = sealed(header).map_err(|_| NOT_OURS)?;
    check(version, VERSION)?;
    if hash != hash64(body) {
        return Err(NOT_OURS);
    }
    let mut cursor = Cursor::new(body);
    let mut parts = Vec::new();
    while cursor.remaining() >= PART_HEADER {
        parts.push(part(&mut cursor).map_err(|_| NOT_OURS)?);
    }
    let all = cursor.finish().is_ok() && to_u64(parts.len()) == u64::from(count);
    if all { Ok((store, parts)) } else { Err(NOT_OURS) }
}

/// Version, number of parts, store and body's hash of an intact header.
fn sealed(header: &[u8]) -> std::result::Result<(u32, u32, StoreId, u64), Malformed> {
    let mut cursor = Cursor::new(header);
    let known = cursor.array::<8>()? == *MAGIC;
    let (version, count) = (cursor.u32()?, cursor.u32()?);
    let store = StoreId(cursor.array()?);
    let (hash, reserved) = (cursor.u64()?, cursor.u32()?);
    let whole = cursor.u32()? == crc32c(header.get(..HEADER - 4).unwrap_or_default());
    if known && whole && reserved == 0 {
        return Ok((version, count, store, hash));
    }
    Err(cursor.malformed("not a saved tail"))
}

fn part(cursor: &mut Cursor<'_>) -> std::result::Result<Part, Malformed> {
    let (segment, salt) = (SegmentNumber(cursor.u64()?), Salt(cursor.u64()?));
    let (offset, len) = (cursor.u64()?, cursor.u64()?);
    let len = usize::try_from(len).map_err(|_| cursor.malformed("the part is too long"))?;
    Ok(Part { segment, salt, offset, bytes: cursor.bytes(len)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::version::{NEWER, UNRELEASED};
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    fn part(segment: u64, offset: u64, bytes: Vec<u8>) -> Part {
        Part { segment: SegmentNumber(segment), salt: Salt(5), offset, bytes }
    }

    fn parts() -> Vec<Part> {
        vec![part(1, 4096, vec![1; 8]), part(2, 0, vec![2; 4])]
    }

    #[test]
    fn what_was_saved_is_read_back_and_any_flipped_bit_is_nothing() {
        let bytes = encode(STORE, &parts());
        assert_eq!(decode(&bytes, STORE), Ok(parts()));
        assert_eq!(decode(&bytes, StoreId([8; 16])), Err(NOT_OURS));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], STORE), Err(NOT_OURS), "cut at {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped, STORE), Err(NOT_OURS), "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_told_only_by_an_intact_header() {
        for (version, what) in [(0, UNRELEASED), (2, NEWER)] {
            let mut bytes = encode(STORE, &parts());
            bytes[8] = version;
            assert_eq!(decode(&bytes, STORE), Err(NOT_OURS));
            let checksum = crc32c(&bytes[..HEADER - 4]).to_le_bytes();
            bytes[HEADER - 4..HEADER].copy_from_slice(&checksum);
            assert_eq!(decode(&bytes, STORE), Err(HeaderFault::Unsupported(what)));
        }
    }

    #[test]
    fn it_is_laid_over_its_own_place_and_nothing_else() {
        let saved = SavedTail(parts());
        let over = |segment, salt, start, len| {
            let mut bytes = vec![0; len];
            saved.lay_over((SegmentNumber(segment), salt), start, &mut bytes);
            bytes
        };
        let whole = over(1, Some(Salt(5)), 0, 4106);
        assert_eq!(whole[4095..], [0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(over(1, None, 4100, 6), [1, 1, 1, 1, 0, 0]);
        assert_eq!(over(1, None, 4094, 4), [0, 0, 1, 1]);
        assert_eq!(over(1, Some(Salt(6)), 4094, 4), [0; 4]);
        assert_eq!(over(1, None, 5000, 4), [0; 4]);
        assert_eq!(over(3, None, 4094, 4), [0; 4]);
    }
}
