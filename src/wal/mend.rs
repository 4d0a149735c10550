//! Recovery's only writes: the unproven tail again, and the cut.
//!
//! After a crash or a failed sync the page cache may show what the disk does not have, so
//! nothing after the last proof is believed until it was written and synced again. Then nothing
//! that a recovery has shown is undone by a later crash. The order of the cut:
//!
//! 1. a fresh segment, durable under its name;
//! 2. the unproven records again, the last of them a `SegmentEnd` that names the fresh segment,
//!    where tails are padded only after they were saved elsewhere;
//! 3. a sync of each touched segment, oldest first;
//! 4. only now: the rest of the torn segment is given back, and segments nobody names go.
//!
//! `!` A crash after any of these steps finds the same log, and cuts at the same place.

use crate::base::codec::{to_u64, to_usize};
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result};
use crate::vfs::FileExt;

use super::draft::{Draft, Payload, Spot, Writer, end_payload, start_payload};
use super::format::{Kind, RECORD_HEADER, RECORDS_START, SEGMENT_START_LEN, page_ceil, page_floor};
use super::kept::Kept;
use super::present::segments_present;
use super::recovery::LastSeen;
use super::saved::{Part, SavedTail};
use super::scan::Position;
use super::segment::{PREPARING_SUFFIX, Segment, SegmentDir, shown_path, sync_twice};
use super::settings::RecoveryReport;
use super::walk::Walked;

/// Where appending goes on.
#[derive(Debug)]
pub(super) struct Mended {
    pub(super) segment: Segment,
    pub(super) offset: u64,
    /// The bytes of the page of `offset`, up to it.
    pub(super) page: Vec<u8>,
    pub(super) position: Position,
    /// The segment before, when the active one still needs its `SegmentStart`.
    pub(super) start_after: Option<Option<Segment>>,
    /// The last record is a `CleanClose`.
    pub(super) clean: bool,
}

fn tail_missing() -> Error {
    Error::new(ErrorKind::Bug, "the walk of the log kept no segment")
}

/// Goes on after the last record of a log that was closed cleanly, or was made just now.
pub(super) fn continue_in_place(walked: &mut Walked) -> Result<Mended> {
    let tail = walked.kept.pop_back().ok_or_else(tail_missing)?;
    let page = tail.between(page_floor(tail.end), tail.end).to_vec();
    let empty = tail.end == RECORDS_START;
    Ok(Mended {
        segment: tail.segment,
        offset: tail.end,
        page,
        position: walked.position,
        start_after: empty.then_some(None),
        clean: !empty,
    })
}

/// Whether the last, clean page of the log holds more than what the close wrote: a life that pads
/// its tails must not write it again.
pub(super) fn shares_a_page(walked: &Walked) -> bool {
    let Some(tail) = walked.kept.back() else { return false };
    let (close, start) = (to_u64(RECORD_HEADER), to_u64(SEGMENT_START_LEN));
    let alone = tail.end - page_floor(tail.end) == close;
    let behind_start = tail.end == RECORDS_START + start + close;
    walked.last == LastSeen::CleanClose && !alone && !behind_start
}

/// Cuts the log at its end and goes on in a fresh segment.
pub(super) fn cut(
    dir: &SegmentDir,
    walked: &mut Walked,
    padded_tails: bool,
    report: &mut RecoveryReport,
) -> Result<Mended> {
    let tail_number = walked.kept.back().ok_or_else(tail_missing)?.segment.number;
    let fresh = dir.prepare(tail_number.next())?;
    end_tail(walked, &fresh)?;
    if walked.kept.len() > 1 {
        hit(Mark::RewriteSpansSegments);
    }
    if is_planted(Plant::TailShortenedEarly) {
        reclaim(dir, walked.kept.back().ok_or_else(tail_missing)?, &fresh)?;
    }
    let parts = unproven(walked);
    if padded_tails {
        SavedTail::save(dir, &parts)?;
    }
    for (kept, part) in walked.kept.iter().zip(&parts) {
        report.rewritten_bytes += write_again(kept, part)?;
    }
    SavedTail::remove(dir)?;
    let tail = walked.kept.back().ok_or_else(tail_missing)?;
    reclaim(dir, tail, &fresh)?;
    Ok(Mended {
        segment: fresh,
        offset: RECORDS_START,
        page: Vec::new(),
        position: walked.position,
        start_after: Some(Some(tail.segment.clone())),
        clean: false,
    })
}

/// Drafts the `SegmentEnd`, after a `SegmentStart` if the tail has none, over what was torn.
fn end_tail(walked: &mut Walked, fresh: &Segment) -> Result<()> {
    let start = start_payload(walked.predecessor.as_ref());
    let position = &mut walked.position;
    let Some(tail) = walked.kept.back_mut() else { return Err(tail_missing()) };
    let from = tail.from;
    tail.bytes.truncate(to_usize(tail.end - from));
    let mut draft = |kind, payload: &Payload| {
        let writer = Writer { term: position.term, leader: 0 };
        let spot = Spot { salt: tail.segment.salt, offset: from + to_u64(tail.bytes.len()) };
        let draft = Draft { kind, writer, time: position.time, payload };
        position.draft(&draft, spot, &mut tail.bytes);
    };
    if tail.end == RECORDS_START {
        hit(Mark::TailWithoutStart);
        draft(Kind::SegmentStart, &start);
    }
    draft(Kind::SegmentEnd, &end_payload(fresh));
    tail.end = from + to_u64(tail.bytes.len());
    tail.bytes.resize(to_usize(page_ceil(tail.end) - from), 0);
    Ok(())
}

/// What two claims do not prove: per kept segment, from the page of the first such record to the
/// end of its records.
///
/// From the first record of a segment on that includes the header page: a first sync that failed
/// may have lost it too.
fn unproven(walked: &Walked) -> Vec<Part> {
    let first = std::iter::once(walked.unproven_from);
    let starts = first.chain(std::iter::repeat(RECORDS_START));
    let part = |(kept, from): (&Kept, u64)| {
        let offset = if from == RECORDS_START { 0 } else { page_floor(from) };
        let bytes = kept.between(offset, page_ceil(kept.end)).to_vec();
        let Segment { number, salt, .. } = kept.segment;
        Part { segment: number, salt, offset, bytes }
    };
    walked.kept.iter().zip(starts).map(part).collect()
}

/// Writes a part of a segment again, and syncs it.
fn write_again(kept: &Kept, part: &Part) -> Result<u64> {
    let file = kept.segment.file.as_ref();
    let fail = |error| {
        Error::io("write the end of the log again", &shown_path(kept.segment.number), error)
            .at_offset(part.offset)
    };
    if !is_planted(Plant::TailNotWritten) {
        file.write_all_at(&part.bytes, part.offset).map_err(fail)?;
    }
    if !is_planted(Plant::TailNotSynced) {
        sync_twice(file).map_err(fail)?;
    }
    Ok(to_u64(part.bytes.len()))
}

/// Gives back the torn segment's rest and removes what is not part of the log.
///
/// Nothing here needs a sync: whatever a crash brings back is outside the log.
fn reclaim(dir: &SegmentDir, tail: &Kept, fresh: &Segment) -> Result<()> {
    let fail = |error| Error::io("clear the log's directory", &shown_path(fresh.number), error);
    let size = page_ceil(tail.end);
    if tail.segment.file.size().map_err(fail)? > size {
        tail.segment.file.set_len(size).map_err(fail)?;
    }
    for number in segments_present(dir)?.into_iter().filter(|number| *number > fresh.number) {
        hit(Mark::LeftoverRemoved);
        dir.runtime.vfs.remove(&dir.file_path(number)).map_err(fail)?;
    }
    for entry in dir.runtime.vfs.list(&dir.path).map_err(fail)? {
        if entry.name.ends_with(PREPARING_SUFFIX) {
            hit(Mark::LeftoverRemoved);
            dir.runtime.vfs.remove(&dir.path.join(&entry.name)).map_err(fail)?;
        }
    }
    Ok(())
}
