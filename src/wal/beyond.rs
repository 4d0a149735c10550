//! What lies behind the end of the log: zeroes, debris, or a record that proves a hole.
//!
//! Looks at a segment piece by piece, and at a record longer than a piece by itself.

use std::io;
use std::sync::Arc;

use crate::base::codec::{len_without_zeroes, to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::{Result, SegmentNumber, Seq};
use crate::vfs::OpenMode;

use super::format::{ALIGN, RECORD_HEADER, RECORDS_START, RecordHeader, Salt, page_floor};
use super::header::{HeaderFault, SegmentHeader};
use super::overlaid::Overlaid;
use super::rest::last_record_end;
use super::saved::SavedTail;
use super::scan::{Searched, Wanted, claims, search};
use super::segment::{SegmentDir, cannot_read, shown_path};
use super::walk::unsupported;

/// The bytes of a segment that are looked at now.
#[derive(Debug)]
pub(super) struct Window {
    /// Where they begin in the file.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

impl Window {
    /// The bytes from `place` on: at least `len` of them, or all that the file has.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn at(&mut self, segment: &Overlaid, place: u64, len: usize) -> io::Result<&[u8]> {
        let end = self.start + to_u64(self.bytes.len());
        let holds = place >= self.start && (place + to_u64(len) <= end || end >= segment.size);
        if !holds {
            self.start = page_floor(place);
            let before = to_usize(place - self.start);
            segment.read(self.start, &mut self.bytes, segment.piece.max(before + len))?;
        }
        Ok(self.bytes.get(to_usize(place - self.start)..).unwrap_or_default())
    }
}

/// The first intact record at or after `from` that `wanted` wants.
///
/// # Errors
/// As the file system says.
pub(super) fn find(
    (segment, salt): (&Overlaid, Salt),
    window: &mut Window,
    mut from: u64,
    wanted: &Wanted<'_>,
) -> io::Result<Option<(u64, RecordHeader)>> {
    loop {
        let held = window.at(segment, from, RECORD_HEADER)?;
        match search(held, from, from, salt, wanted) {
            Searched::Found(at, header) => return Ok(Some((at, header))),
            Searched::Longer(at, header) => {
                if is_whole(segment, salt, at, &header)? {
                    return Ok(Some((at, header)));
                }
                from = at + to_u64(ALIGN);
            }
            // No step forward: the file ends here, whatever its size says.
            Searched::Nothing(at) if at + to_u64(RECORD_HEADER) > segment.size => return Ok(None),
            Searched::Nothing(at) if at < from + to_u64(ALIGN) => return Ok(None),
            Searched::Nothing(at) => from = at,
        }
    }
}

/// Whether the record that this header promises is there; read by itself, as long as it is.
fn is_whole(segment: &Overlaid, salt: Salt, at: u64, header: &RecordHeader) -> io::Result<bool> {
    if at + header.record_len() > segment.size {
        return Ok(false);
    }
    let mut record = Vec::new();
    segment.read(at, &mut record, to_usize(header.record_len()))?;
    Ok(matches!(search(&record, at, at, salt, &|_| true), Searched::Found(found, _) if found == at))
}

/// How many bytes from `from` on a torn write of this life may have left: in a file that was used
/// before, only what has a header of this life counts (`rest`).
///
/// # Errors
/// As the file system says.
pub(super) fn torn(
    segment: &Overlaid,
    salt: Salt,
    window: &mut Window,
    from: u64,
) -> io::Result<u64> {
    if !segment.is_used_again {
        return debris(segment, window, from);
    }
    let (mut place, mut last) = (from, from);
    loop {
        let held = window.at(segment, place, RECORD_HEADER)?;
        let Some(more) = held.len().checked_sub(RECORD_HEADER) else { break };
        last = last.max(last_record_end(held, place, salt));
        place += to_u64(more - more % ALIGN + ALIGN);
    }
    Ok(last.min(segment.size).saturating_sub(from))
}

/// Bytes from `from` on, up to the last that is not zero.
fn debris(segment: &Overlaid, window: &mut Window, from: u64) -> io::Result<u64> {
    let (mut place, mut last) = (from, from);
    while place < segment.size {
        let held = window.at(segment, place, 1)?;
        if held.is_empty() {
            break;
        }
        let len = to_u64(len_without_zeroes(held));
        if len > 0 {
            last = place + len;
        }
        place += to_u64(held.len());
    }
    Ok(last - from)
}

/// Whether segment `number`, if it is one of this log at all, holds a record that claims a seq
/// at or beyond `hole`; gives its place.
///
/// # Errors
/// `Io`; `Unsupported` for an intact header of another version, whose records may prove anything.
pub(super) fn claim_in(
    dir: &SegmentDir,
    number: SegmentNumber,
    saved: &Arc<SavedTail>,
    hole: Seq,
) -> Result<Option<u64>> {
    let fail = |error| cannot_read("read", &shown_path(number), error);
    let mut window = Window { start: 0, bytes: Vec::new() };
    let segment = Overlaid::open(dir, number, OpenMode::Read, saved, &mut window.bytes);
    let segment = segment.map_err(fail)?;
    let header = SegmentHeader::decode(window.bytes.get(..PAGE).unwrap_or(&window.bytes));
    let header = match header {
        Ok(header) => header,
        // It belongs to a file that was never durable.
        Err(HeaderFault::Damaged(_)) => return Ok(None),
        Err(HeaderFault::Unsupported(what)) => return Err(unsupported(what, number, 8)),
    };
    if header.store_id != dir.store_id || header.segment != number {
        return Ok(None);
    }
    let wanted = |header: &RecordHeader| claims(header, hole);
    let found = find((&segment, header.salt), &mut window, RECORDS_START, &wanted).map_err(fail)?;
    Ok(found.map(|(at, _)| at))
}
