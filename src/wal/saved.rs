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
use crate::base::{Error, Result, SegmentNumber, StoreId};
use crate::vfs::{FileExt, OpenMode, replace_file};

use super::format::Layout;
use super::segment::{DIR_NAME, SegmentDir};

/// Name of the file, in the log's directory.
pub(crate) const FILE_NAME: &str = "TAIL";
pub(crate) const MAGIC: &[u8; 8] = b"JIDOTAIL";
const VERSION: u32 = 0;
/// Bytes before the parts.
const HEADER: usize = 48;
const PART_HEADER: usize = 24;
/// More than recovery ever writes again at once, for a reader that believes no size.
const BYTES_MAX: u64 = 4 << 30;

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
    ("Part of a saved tail", &[("segment", 0, 8), ("offset", 8, 8), ("length", 16, 8)]),
];

/// Bytes of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) segment: SegmentNumber,
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
    /// `Io` when it cannot be read.
    pub(super) fn load(dir: &SegmentDir) -> Result<Self> {
        let fail = |error| Error::io("read", &shown(), error);
        let file = match dir.runtime.vfs.open(&dir.path.join(FILE_NAME), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(fail(error)),
        };
        let bytes = file.read_whole(BYTES_MAX).map_err(fail)?;
        Ok(Self(decode(&bytes, dir.store_id).unwrap_or_default()))
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

    /// Lays what was saved of `segment` over its bytes.
    pub(super) fn lay_over(&self, segment: SegmentNumber, bytes: &mut [u8]) {
        for part in self.0.iter().filter(|part| part.segment == segment) {
            let end = part.offset.saturating_add(to_u64(part.bytes.len()));
            if let Some(place) = bytes.get_mut(to_usize(part.offset)..to_usize(end))
                && place != part.bytes.as_slice()
            {
                hit(Mark::SavedTailUsed);
                place.copy_from_slice(&part.bytes);
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
        let fields = [part.segment.0, part.offset, to_u64(part.bytes.len())];
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

/// The parts; `None` when the bytes are not a whole saved tail of `store`.
fn decode(bytes: &[u8], store: StoreId) -> Option<Vec<Part>> {
    decode_any(bytes).filter(|(id, _)| *id == store).map(|(_, parts)| parts)
}

/// The store of a saved tail, and the segment, offset and length of each part, for looking;
/// `None` when the bytes are not a whole one.
#[must_use]
pub fn describe(bytes: &[u8]) -> Option<(StoreId, Vec<SavedPlace>)> {
    let (store, parts) = decode_any(bytes)?;
    let place = |part: &Part| (part.segment, part.offset, to_u64(part.bytes.len()));
    Some((store, parts.iter().map(place).collect()))
}

fn decode_any(bytes: &[u8]) -> Option<(StoreId, Vec<Part>)> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let mut cursor = Cursor::new(header);
    let known = cursor.array::<8>().ok()? == *MAGIC && cursor.u32().ok()? == VERSION;
    let count = cursor.u32().ok()?;
    let store = StoreId(cursor.array().ok()?);
    let whole = cursor.u64().ok()? == hash64(body);
    let reserved = cursor.u32().ok()?;
    let sealed = header.get(..HEADER - 4).is_some_and(|fields| {
        cursor.u32().is_ok_and(|checksum| crc32c(fields) == checksum) && reserved == 0
    });
    if !(known && whole && sealed) {
        return None;
    }
    let mut cursor = Cursor::new(body);
    let mut parts = Vec::new();
    while cursor.remaining() >= PART_HEADER {
        parts.push(part(&mut cursor).ok()?);
    }
    let complete = cursor.finish().is_ok() && to_u64(parts.len()) == u64::from(count);
    complete.then_some((store, parts))
}

fn part(cursor: &mut Cursor<'_>) -> std::result::Result<Part, Malformed> {
    let (segment, offset) = (SegmentNumber(cursor.u64()?), cursor.u64()?);
    let len = cursor.u64()?;
    let len = usize::try_from(len).map_err(|_| cursor.malformed("the part is too long"))?;
    Ok(Part { segment, offset, bytes: cursor.bytes(len)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    fn parts() -> Vec<Part> {
        vec![
            Part { segment: SegmentNumber(1), offset: 4096, bytes: vec![1; 8] },
            Part { segment: SegmentNumber(2), offset: 0, bytes: vec![2; 4] },
        ]
    }

    #[test]
    fn what_was_saved_is_read_back_and_any_flipped_bit_is_nothing() {
        let bytes = encode(STORE, &parts());
        assert_eq!(decode(&bytes, STORE), Some(parts()));
        assert_eq!(decode(&bytes, StoreId([8; 16])), None);
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], STORE), None, "cut at {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped, STORE), None, "bit {bit}");
        }
    }

    #[test]
    fn it_is_laid_over_its_own_segment_and_never_beyond_it() {
        let saved = SavedTail(parts());
        let mut bytes = vec![0; 4104];
        saved.lay_over(SegmentNumber(1), &mut bytes);
        assert_eq!((&bytes[4095..4097], bytes[4103]), (&[0, 1][..], 1));
        let mut short = vec![0; 4100];
        saved.lay_over(SegmentNumber(1), &mut short);
        assert_eq!(short, vec![0; 4100]);
        saved.lay_over(SegmentNumber(3), &mut short);
        assert_eq!(short, vec![0; 4100]);
    }
}
