//! Walking the log on disk from its first segment to its end, and looking at what lies there.
//!
//! Reads only. What is found is turned into an [`Observation`] for the decision table; `open.rs`
//! acts on the decision.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::limits::PAGE;
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result, SegmentNumber};
use crate::vfs::OpenMode;

use super::ahead::Ahead;
use super::beyond::{claim_in, find, torn};
use super::chunk::{Chunk, ChunkReader, Stop};
use super::first::First;
use super::format::{Kind, RECORDS_START, RecordFault, RecordHeader, Salt};
use super::header::{HeaderFault, SegmentHeader};
use super::kept::{Held, Keeping, Kept};
use super::overlaid::Overlaid;
use super::present::{SALVAGE_BEGUN, present};
use super::proof::Proof;
use super::recovery::{ChainSeen, LastSeen, RestSeen};
use super::salvage;
use super::saved::SavedTail;
use super::scan::{Neighbours, Position, Record, claims};
use super::segment::{DIR_NAME, Segment, SegmentDir, cannot_read, shown_path};
use super::version::READ_ONLY;

/// A segment is made whole before it is named, and given back only after its end is.
pub(super) const TAIL_SHORT: &str = "the log ends in a segment that is shorter than it was made";

/// Sees every record of the log in order.
pub type Replay<'a> = dyn FnMut(&Record<'_>) -> Result<()> + 'a;

/// Damage, told as what and where.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) what: String,
    pub(super) path: PathBuf,
    pub(super) offset: u64,
}

/// What the walk found.
#[derive(Debug)]
pub(super) struct Walked {
    /// Segments from the first that is not proven to the tail.
    pub(super) kept: VecDeque<Kept>,
    /// Offset of the first record, in the first kept segment, that two claims do not prove.
    pub(super) unproven_from: u64,
    pub(super) position: Position,
    pub(super) chain: ChainSeen,
    pub(super) last: LastSeen,
    pub(super) rest: RestSeen,
    pub(super) claimed: bool,
    pub(super) damage: Option<Damage>,
    pub(super) torn_bytes: u64,
    pub(super) segments: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// The segment before the tail.
    pub(super) predecessor: Option<Segment>,
    /// Where the log begins.
    pub(super) first: First,
    /// The first segment with a feature that a writer must know, and this build does not.
    read_only_from: Option<SegmentNumber>,
}

impl Walked {
    fn new(first: First) -> Self {
        Self {
            first,
            kept: VecDeque::new(),
            unproven_from: RECORDS_START,
            position: first.position,
            chain: ChainSeen::Whole,
            last: LastSeen::Other,
            rest: RestSeen::Zeroes,
            claimed: false,
            damage: None,
            torn_bytes: 0,
            segments: 0,
            records: 0,
            bytes: 0,
            predecessor: None,
            read_only_from: None,
        }
    }

    /// Refuses to write to a log that this build can only read.
    ///
    /// # Errors
    /// `Unsupported`, with the segment that says so.
    pub(super) fn refuse_to_write(&self) -> Result<()> {
        let number = self.read_only_from.map(|number| unsupported(READ_ONLY, number, 16));
        number.map_or(Ok(()), Err)
    }

    fn damaged(&mut self, chain: ChainSeen, what: impl Into<String>, path: PathBuf, offset: u64) {
        self.chain = chain;
        self.damage = Some(Damage { what: what.into(), path, offset });
    }
}

/// A walk on its way.
struct Walk<'a> {
    dir: &'a SegmentDir,
    ahead: Ahead,
    keeping: Keeping,
    proof: Proof,
    walked: Walked,
}

/// Where a segment ends.
enum SegmentEnds {
    /// It names its successor.
    With(SegmentNumber, Salt),
    /// The log ends in it.
    Log,
    /// It is no segment of this log.
    NotOurs,
}

/// Walks the log of `dir`, giving each record to `replay`; from the segment `begin` on, where that
/// is given and shows how it begins, else the whole log.
///
/// # Errors
/// `Io` when something cannot be read, `Unsupported` for a newer format, and what `replay` says.
/// Damage is not an error here but an observation.
pub(super) fn walk(
    dir: &SegmentDir,
    writable: bool,
    begin: Option<SegmentNumber>,
    replay: &mut Replay<'_>,
) -> Result<Walked> {
    let present = present(dir)?;
    let mut first = First::load(dir)?;
    if let Some(begin) = begin.filter(|begin| *begin > first.segment) {
        // Where its first page is being written again, the log before it is still there.
        first = First::of_segment(dir, begin)?.unwrap_or(first);
    }
    let mut walked = walk_segments(dir, (first, present.segments), writable, replay)?;
    if present.salvage_begun {
        salvage::refuse_another_version(dir)?;
        walked.claimed = false;
        let path = PathBuf::from(DIR_NAME).join(salvage::plan::FILE_NAME);
        walked.damaged(ChainSeen::SalvageBegun, SALVAGE_BEGUN, path, 0);
    }
    Ok(walked)
}

fn walk_segments(
    dir: &SegmentDir,
    (first, mut present): (First, Vec<SegmentNumber>),
    writable: bool,
    replay: &mut Replay<'_>,
) -> Result<Walked> {
    // What lies below was released, and may be half made into another segment.
    present.retain(|number| *number >= first.segment);
    let present: Arc<[SegmentNumber]> = present.into();
    let saved = Arc::new(SavedTail::load(dir)?);
    let mut walked = Walked::new(first);
    if present.first() != Some(&first.segment) {
        let path = shown_path(first.segment);
        walked.damaged(ChainSeen::FirstMissing, "the first segment is missing", path, 0);
        return Ok(walked);
    }
    let mode = if writable { OpenMode::ReadWrite } else { OpenMode::Read };
    let reader = ChunkReader::new(dir.clone(), present.clone(), saved.clone(), mode);
    let ahead = Ahead::start(reader, dir.segment_bytes, dir.runtime.vfs.reading().threads);
    let (keeping, proof) = (Keeping::default(), Proof::default());
    let mut walk = Walk { dir, ahead, keeping, proof, walked };
    let is_at_end = walk.segments(&present, replay)?;
    let Walk { ahead, keeping, mut walked, .. } = walk;
    // What was read beyond the end is not wanted any more.
    drop(ahead);
    if is_at_end && let Some(tail) = keeping.tail() {
        look_beyond(dir, (&present, &saved), tail, &mut walked)?;
    }
    walked.kept = keeping.finish();
    Ok(walked)
}

impl Walk<'_> {
    /// Walks segment after segment; whether the log ends in the last of them.
    fn segments(&mut self, present: &[SegmentNumber], replay: &mut Replay<'_>) -> Result<bool> {
        let First { segment, salt, .. } = self.walked.first;
        let mut wanted = (segment, salt);
        loop {
            let (next, next_salt) = match self.segment(wanted, replay)? {
                SegmentEnds::With(next, salt) => (next, salt),
                SegmentEnds::Log => return Ok(true),
                SegmentEnds::NotOurs => return Ok(false),
            };
            if is_planted(Plant::ReplayStopsAtSegment) {
                return Ok(false);
            }
            if present.binary_search(&next).is_err() {
                let number = wanted.0.0;
                let what = format!("segment {number} names it as its successor, but it is missing");
                self.walked.damaged(ChainSeen::SuccessorMissing, what, shown_path(next), 0);
                return Ok(false);
            }
            self.walked.predecessor = self.keeping.tail().map(|tail| tail.segment.clone());
            wanted = (next, Some(next_salt));
        }
    }

    fn segment(
        &mut self,
        (number, salt): (SegmentNumber, Option<Salt>),
        replay: &mut Replay<'_>,
    ) -> Result<SegmentEnds> {
        let mut chunk = self.chunk(number)?;
        let Some(file) = chunk.opened.take() else { return Err(lost(number)) };
        let Some(salt) = open_segment(self.dir, &file, (salt, &chunk.bytes), &mut self.walked)?
        else {
            return Ok(SegmentEnds::NotOurs);
        };
        self.keeping.begin(file, salt);
        loop {
            let (ends, end) = self.take(&chunk, replay)?;
            self.keeping.hold(chunk, end);
            if let Some((_, segment, offset)) = self.proof.starts.front() {
                self.walked.unproven_from = *offset;
                let ahead = &mut self.ahead;
                self.keeping
                    .forget_before((*segment, *offset), &mut |chunk| ahead.give_back(chunk));
            }
            if let Some(ends) = ends {
                return Ok(ends);
            }
            chunk = self.chunk(number)?;
        }
    }

    fn chunk(&mut self, number: SegmentNumber) -> Result<Chunk> {
        match self.ahead.next() {
            Some(Ok(chunk)) if chunk.segment == number => Ok(chunk),
            Some(Err((number, error))) => Err(cannot_read("read", &shown_path(number), error)),
            _ => Err(lost(number)),
        }
    }

    /// Takes the records of a chunk; says where the last of them that is valid ends, and what
    /// ends there, if more than the chunk does.
    fn take(
        &mut self,
        chunk: &Chunk,
        replay: &mut Replay<'_>,
    ) -> Result<(Option<SegmentEnds>, u64)> {
        let (number, walked) = (chunk.segment, &mut self.walked);
        let before = walked.predecessor.as_ref();
        let predecessor =
            before.map_or(walked.first.predecessor, |segment| (segment.number, segment.salt));
        let neighbours = Neighbours { segment: number, predecessor };
        for record in chunk.records() {
            let offset = record.offset;
            let position = match walked.position.after_record(&record) {
                Ok(position) => position,
                Err(fault) => return Ok((Some(stopped(walked, (number, offset), fault)?), offset)),
            };
            let Ok(successor) = neighbours.check(&record) else {
                let what = "a segment's first or last record names the wrong neighbour";
                let fault = RecordFault::Invalid(what);
                return Ok((Some(stopped(walked, (number, offset), fault)?), offset));
            };
            replay(&record).map_err(|error| error.at_path(shown_path(number)).at_offset(offset))?;
            self.proof.record(number, &record);
            walked.position = position;
            walked.records += 1;
            let clean = record.header.kind == Kind::CleanClose;
            walked.last = if clean { LastSeen::CleanClose } else { LastSeen::Other };
            if let Some((next, salt)) = successor {
                let end = offset + record.header.record_len();
                return Ok((Some(SegmentEnds::With(next, salt)), end));
            }
        }
        let ends = match chunk.stop {
            None => None,
            Some(Stop::Short) => Some(SegmentEnds::Log),
            Some(Stop::Fault(fault)) => Some(stopped(walked, (number, chunk.end), fault)?),
        };
        Ok((ends, chunk.end))
    }
}

/// The log ends at what is no valid record; an intact one of a newer version is refused.
fn stopped(
    walked: &mut Walked,
    (number, offset): (SegmentNumber, u64),
    fault: RecordFault,
) -> Result<SegmentEnds> {
    let RecordFault::Invalid(what) = fault else {
        let what = "the record was written by a newer version of jidoka; upgrade to open it";
        return Err(unsupported(what, number, offset));
    };
    let path = shown_path(number);
    walked.damage = Some(Damage { what: what.to_owned(), path, offset });
    Ok(SegmentEnds::Log)
}

fn lost(number: SegmentNumber) -> Error {
    let what = "the log's bytes came in another order than they were asked for";
    Error::new(ErrorKind::Bug, what).at_path(shown_path(number))
}

/// Looks at a segment's header; `None` when it is damaged or its file too long.
fn open_segment(
    dir: &SegmentDir,
    file: &Overlaid,
    (salt, bytes): (Option<Salt>, &[u8]),
    walked: &mut Walked,
) -> Result<Option<Salt>> {
    let number = file.number;
    walked.segments += 1;
    walked.bytes += file.size;
    if file.is_longer {
        let what = "the segment is longer than it was made";
        walked.damaged(ChainSeen::FileLong, what, shown_path(number), dir.segment_bytes);
        return Ok(None);
    }
    let header = SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(bytes));
    let wrong = match &header {
        Ok(header) => {
            let mismatch = header_mismatch(dir, number, salt, header);
            mismatch.map(|what| (ChainSeen::HeaderForeign, what))
        }
        Err(HeaderFault::Damaged(what)) => Some((ChainSeen::HeaderDamaged, *what)),
        Err(HeaderFault::Unsupported(what)) => return Err(unsupported(what, number, 8)),
    };
    if let Some((chain, what)) = wrong {
        walked.damaged(chain, what, shown_path(number), 0);
        return Ok(None);
    }
    let Ok(header) = header else { return Ok(None) };
    if header.read_compatible != 0 {
        walked.read_only_from.get_or_insert(number);
    }
    Ok(Some(header.salt))
}

fn header_mismatch(
    dir: &SegmentDir,
    number: SegmentNumber,
    salt: Option<Salt>,
    header: &SegmentHeader,
) -> Option<&'static str> {
    if header.store_id != dir.store_id {
        Some("the segment belongs to another store")
    } else if header.segment != number {
        Some("the segment's number is not its file's name")
    } else if header.segment_bytes != dir.segment_bytes {
        Some("the segment's size is not the store's")
    } else if salt.is_some_and(|salt| salt != header.salt) {
        Some("the segment is not the one its predecessor names")
    } else {
        None
    }
}

/// The refusal of what is intact, and not this build's to read or to write.
pub(super) fn unsupported(what: &'static str, number: SegmentNumber, offset: u64) -> Error {
    Error::new(ErrorKind::Unsupported, what).at_path(shown_path(number)).at_offset(offset)
}

/// Looks at what follows the last valid record: here, and in segments nobody names.
fn look_beyond(
    dir: &SegmentDir,
    (present, saved): (&[SegmentNumber], &Arc<SavedTail>),
    tail: &Held,
    walked: &mut Walked,
) -> Result<()> {
    let hole = walked.position.seq.next();
    let looks = !is_planted(Plant::RotCutAsTorn);
    let number = tail.segment.number;
    if tail.file.size < dir.segment_bytes {
        walked.damaged(ChainSeen::TailShort, TAIL_SHORT, shown_path(number), tail.file.size);
        return Ok(());
    }
    let fail = |error| cannot_read("read", &shown_path(number), error);
    let window = &mut tail.window();
    let torn = torn(&tail.file, tail.segment.salt, window, tail.end).map_err(fail)?;
    if torn > 0 {
        walked.rest = RestSeen::Debris;
        walked.torn_bytes = torn;
        let wanted = |header: &RecordHeader| claims(header, hole);
        let (file, window) = ((&tail.file, tail.segment.salt), &mut tail.window());
        walked.claimed = looks && find(file, window, tail.end, &wanted).map_err(fail)?.is_some();
    }
    for later in present.iter().filter(|later| looks && **later > number) {
        if walked.claimed {
            break;
        }
        walked.claimed = claim_in(dir, *later, saved, hole)?.is_some();
    }
    Ok(())
}
