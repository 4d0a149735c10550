//! Looking at a whole log without opening it: every record that is there, every damage.
//!
//! Reads only and goes on after damage, where opening stops at the first. Takes each later record
//! as it is when what was before it is lost, so that one bad byte is told once.

use std::path::{Path, PathBuf};

use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::{Error, Lsn, Result, SegmentNumber, Seq};
use crate::vfs::{OpenMode, Runtime};

use super::first::First;
use super::format::{RECORDS_START, RecordFault, RecordHeader, Salt};
use super::header::{HeaderFault, SegmentHeader};
use super::open::existing_identity;
use super::rest::torn_bytes;
use super::saved::SavedTail;
use super::scan::{Found, Neighbours, Position, Record, find_claim, find_record, read_record};
use super::segment::{SegmentDir, shown_path};
use super::walk::{Replay, TAIL_SHORT, segments_present};

/// A place that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the store.
    pub path: PathBuf,
    /// Where in it.
    pub offset: Option<u64>,
    /// The first commit that is lost or suspect.
    pub lsn: Option<Lsn>,
    /// What is wrong.
    pub what: String,
}

/// What a survey found.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Segments of the log.
    pub segments: u64,
    /// Segment files that are not part of the log.
    pub spare_segments: u64,
    /// Records.
    pub records: u64,
    /// Bytes of segment files read.
    pub bytes: u64,
    /// Bytes after the end that a crash left and the next open will cut.
    pub torn_bytes: u64,
    /// The last commit.
    pub last: Lsn,
    /// Everything that is not what was written.
    pub damage: Vec<Damage>,
}

/// A segment's bytes, if its header can be believed.
struct Loaded {
    number: SegmentNumber,
    salt: Salt,
    bytes: Vec<u8>,
}

struct Surveyor<'a, 'b> {
    dir: &'a SegmentDir,
    /// Segments whose headers can be believed, and those that cannot.
    loaded: Vec<Loaded>,
    first: First,
    position: Position,
    survey: Survey,
    visit: &'a mut Replay<'b>,
}

/// Looks at the whole log of the store in `dir` without opening it, giving every intact record
/// to `visit`; see [`Survey`].
///
/// # Errors
/// `NotFound` when there is no store, `Corrupt` when the identity file is damaged,
/// `Unsupported`, `Io`.
pub fn survey_log(dir: &Path, runtime: &Runtime, visit: &mut Replay<'_>) -> Result<Survey> {
    let identity = existing_identity(dir, runtime)?;
    let segments = SegmentDir::of_store(dir, runtime, &identity);
    let first = First::load(&segments)?;
    let mut surveyor = Surveyor {
        dir: &segments,
        loaded: Vec::new(),
        first,
        position: first.position,
        survey: Survey::default(),
        visit,
    };
    surveyor.load()?;
    surveyor.walk()?;
    surveyor.survey.last = surveyor.position.lsn;
    Ok(surveyor.survey)
}

impl Surveyor<'_, '_> {
    fn load(&mut self) -> Result<()> {
        let saved = SavedTail::load(self.dir)?;
        for number in segments_present(self.dir)? {
            if number < self.first.segment {
                // Released: it may be half made into another one.
                self.survey.spare_segments += 1;
                continue;
            }
            let fail = |error| Error::io("read", &shown_path(number), error);
            let vfs = &self.dir.runtime.vfs;
            let file = vfs.open(&self.dir.file_path(number), OpenMode::Read).map_err(fail)?;
            let (mut bytes, is_longer) = self.dir.read(file.as_ref()).map_err(fail)?;
            saved.lay_over_segment(number, &mut bytes);
            self.survey.bytes += to_u64(bytes.len());
            if is_longer {
                let what = "the segment is longer than it was made";
                self.damaged(number, self.dir.segment_bytes, what);
            }
            let what = match SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(&bytes)) {
                Ok(header)
                    if header.store_id == self.dir.store_id
                        && header.segment == number
                        && header.segment_bytes == self.dir.segment_bytes =>
                {
                    self.loaded.push(Loaded { number, salt: header.salt, bytes });
                    continue;
                }
                Ok(_) => "the segment's header is that of another segment",
                Err(HeaderFault::Damaged(what)) => what,
                Err(HeaderFault::Newer) => "the segment was written by a newer version",
            };
            self.damaged(number, 0, what);
        }
        Ok(())
    }

    fn damaged(&mut self, number: SegmentNumber, offset: u64, what: &str) {
        let lsn = Some(self.position.lsn.next()).filter(|_| offset > 0);
        let (path, offset) = (shown_path(number), Some(offset));
        self.survey.damage.push(Damage { path, offset, lsn, what: what.to_owned() });
    }

    fn walk(&mut self) -> Result<()> {
        let loaded = std::mem::take(&mut self.loaded);
        let mut predecessor = self.first.predecessor;
        let mut wanted = Some((self.first.segment, self.first.salt));
        for (index, segment) in loaded.iter().enumerate() {
            let Some((number, salt)) = wanted else {
                self.survey.spare_segments += 1;
                continue;
            };
            if segment.number != number || salt.is_some_and(|salt| salt != segment.salt) {
                let known = self.survey.damage.iter().any(|d| d.path == shown_path(number));
                if !known {
                    self.damaged(number, 0, "the segment is missing or not the one it should be");
                }
            }
            self.survey.segments += 1;
            if salt.is_none() {
                self.resume_before(segment);
            }
            let later = loaded.get(index + 1..).unwrap_or_default();
            wanted = self.walk_segment(segment, predecessor, later)?;
            predecessor = (segment.number, segment.salt);
        }
        if let Some((number, _)) = wanted {
            let known = self.survey.damage.iter().any(|d| d.path == shown_path(number));
            if !known {
                self.damaged(number, 0, "the segment that comes next is missing");
            }
        }
        Ok(())
    }

    /// Walks one segment over every damage; gives its successor, or `None` at the log's end.
    fn walk_segment(
        &mut self,
        segment: &Loaded,
        predecessor: (SegmentNumber, Salt),
        later: &[Loaded],
    ) -> Result<Option<(SegmentNumber, Option<Salt>)>> {
        let neighbours = Neighbours { segment: segment.number, predecessor };
        let mut offset = RECORDS_START;
        loop {
            let window = segment.bytes.get(to_usize(offset)..).unwrap_or_default();
            let found =
                read_record(window, offset, self.dir.segment_bytes, segment.salt, &self.position);
            // An intact record of another version is never taken for a torn one.
            let is_newer = matches!(found, Found::Fault(RecordFault::Newer));
            let what = match found {
                Found::Record(record, position) => match neighbours.check(&record) {
                    Ok(successor) => {
                        self.take(&record, position)?;
                        offset += record.header.record_len();
                        match successor {
                            Some((number, salt)) => return Ok(Some((number, Some(salt)))),
                            None => continue,
                        }
                    }
                    Err(RecordFault::Invalid(what)) => what,
                    Err(RecordFault::Newer) => "the record was written by a newer version",
                },
                Found::Fault(RecordFault::Newer) => "the record was written by a newer version",
                Found::Fault(RecordFault::Invalid(what)) => what,
                Found::NeedBytes(_) => "the segment is cut short",
            };
            let is_claimed = self.is_claimed(segment, offset, later);
            if !is_newer && !is_claimed {
                self.survey.torn_bytes += torn_bytes(&segment.bytes, offset);
                let len = to_u64(segment.bytes.len());
                if len < self.dir.segment_bytes {
                    self.damaged(segment.number, len, TAIL_SHORT);
                }
                return Ok(None);
            }
            self.damaged(segment.number, offset, what);
            let Some(next) = self.resume(segment, offset)? else {
                return Ok(is_claimed.then(|| (segment.number.next(), None)));
            };
            offset = next;
        }
    }

    fn take(&mut self, record: &Record<'_>, position: Position) -> Result<()> {
        self.survey.records += 1;
        self.position = position;
        (self.visit)(record)
    }

    fn is_claimed(&self, segment: &Loaded, offset: u64, later: &[Loaded]) -> bool {
        let hole: Seq = self.position.seq.next();
        find_claim(&segment.bytes, offset, segment.salt, hole).is_some()
            || later
                .iter()
                .any(|later| find_claim(&later.bytes, RECORDS_START, later.salt, hole).is_some())
    }

    /// Takes the first record of a segment as the next one when nothing before it says which it
    /// is: in the first segment, or where the end of the one before is lost, and that was told.
    fn resume_before(&mut self, segment: &Loaded) {
        let first = segment.bytes.get(to_usize(RECORDS_START)..).unwrap_or_default();
        let header = RecordHeader::decode(first, segment.salt, RECORDS_START);
        if let Ok(header) = header
            && header.seq > self.position.seq
        {
            let before = Seq(header.seq.0 - 1);
            self.position = Position { seq: before, ..Position::resume_after(&header) };
        }
    }

    /// Takes the next intact record of the segment as it is; gives the place after it.
    fn resume(&mut self, segment: &Loaded, offset: u64) -> Result<Option<u64>> {
        let seq = self.position.seq;
        let wanted = |header: &RecordHeader| header.seq > seq;
        let Some((at, header)) = find_record(&segment.bytes, offset, segment.salt, &wanted) else {
            return Ok(None);
        };
        let position = Position::resume_after(&header);
        let payload = segment
            .bytes
            .get(to_usize(at) + super::format::RECORD_HEADER..)
            .and_then(|rest| rest.get(..crate::base::codec::widen(header.length)))
            .unwrap_or_default();
        self.take(&Record { header, payload, offset: at }, position)?;
        let ends = header.kind == super::format::Kind::SegmentEnd;
        Ok((!ends).then(|| at + header.record_len()))
    }
}
