//! Looking at a whole log without opening it: every record that is there, every damage.
//!
//! Reads only and goes on after damage, where opening stops at the first. Takes each later record
//! as it is when what was before it is lost, so that one bad byte is told once. One segment is
//! open at a time, and no more of it is in memory than a piece, or its longest record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::codec::{to_usize, widen};
use crate::base::limits::PAGE;
use crate::base::{Error, Lsn, Result, SegmentNumber, Seq};
use crate::vfs::{OpenMode, Runtime};

use super::beyond::{Window, claim_in, find, torn};
use super::first::First;
use super::format::{Kind, RECORD_HEADER, RECORDS_START, RecordFault, RecordHeader, Salt};
use super::header::{HeaderFault, SegmentHeader};
use super::open::existing_identity;
use super::overlaid::Overlaid;
use super::present::{SALVAGE_BEGUN, present};
use super::salvage;
use super::saved::SavedTail;
use super::scan::{Found, Neighbours, Position, Record, Wanted, claims, read_fitting, read_record};
use super::segment::{DIR_NAME, SegmentDir, cannot_read, shown_path};
use super::walk::{Replay, TAIL_SHORT, unsupported};

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
    /// The commit before the first; 0 if nothing was released.
    pub before: Lsn,
    /// The last commit.
    pub last: Lsn,
    /// Everything that is not what was written.
    pub damage: Vec<Damage>,
}

/// A segment whose header can be believed.
#[derive(Clone, Copy)]
struct Believed {
    number: SegmentNumber,
    salt: Salt,
}

/// The segment that is walked, and what of it is in memory.
struct Open {
    number: SegmentNumber,
    salt: Salt,
    file: Overlaid,
    window: Window,
}

struct Surveyor<'a, 'b> {
    dir: &'a SegmentDir,
    saved: Arc<SavedTail>,
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
        saved: Arc::new(SavedTail::load(&segments)?),
        first,
        position: first.position,
        survey: Survey::default(),
        visit,
    };
    let believed = surveyor.look_at_headers()?;
    surveyor.walk(&believed)?;
    surveyor.survey.before = first.position.lsn;
    surveyor.survey.last = surveyor.position.lsn;
    Ok(surveyor.survey)
}

impl Surveyor<'_, '_> {
    /// The segments whose headers can be believed; tells of the others.
    fn look_at_headers(&mut self) -> Result<Vec<Believed>> {
        let (mut believed, mut bytes) = (Vec::new(), Vec::new());
        let present = present(self.dir)?;
        if present.salvage_begun {
            salvage::refuse_another_version(self.dir)?;
            let path = PathBuf::from(DIR_NAME).join(salvage::plan::FILE_NAME);
            let (offset, what) = (Some(0), SALVAGE_BEGUN.to_owned());
            self.survey.damage.push(Damage { path, offset, lsn: None, what });
        }
        for number in present.segments {
            if number < self.first.segment {
                // Released: it may be half made into another one.
                self.survey.spare_segments += 1;
                continue;
            }
            let file = self.open(number, &mut bytes)?;
            self.survey.bytes += file.size;
            if file.is_longer {
                let what = "the segment is longer than it was made";
                self.damaged(number, self.dir.segment_bytes, what);
            }
            let what = match SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(&bytes)) {
                Ok(header)
                    if header.store_id == self.dir.store_id
                        && header.segment == number
                        && header.segment_bytes == self.dir.segment_bytes =>
                {
                    believed.push(Believed { number, salt: header.salt });
                    continue;
                }
                Ok(_) => "the segment's header is that of another segment",
                Err(HeaderFault::Damaged(what)) => what,
                // Nothing behind it can be told from damage.
                Err(HeaderFault::Unsupported(what)) => return Err(unsupported(what, number, 8)),
            };
            self.damaged(number, 0, what);
        }
        Ok(believed)
    }

    /// Opens a segment and reads its first bytes.
    fn open(&self, number: SegmentNumber, first: &mut Vec<u8>) -> Result<Overlaid> {
        Overlaid::open(self.dir, number, OpenMode::Read, &self.saved, first)
            .map_err(|error| cannot_read("read", &shown_path(number), error))
    }

    fn damaged(&mut self, number: SegmentNumber, offset: u64, what: &str) {
        let lsn = Some(self.position.lsn.next()).filter(|_| offset > 0);
        let (path, offset) = (shown_path(number), Some(offset));
        self.survey.damage.push(Damage { path, offset, lsn, what: what.to_owned() });
    }

    fn walk(&mut self, believed: &[Believed]) -> Result<()> {
        let mut predecessor = self.first.predecessor;
        let mut wanted = Some((self.first.segment, self.first.salt));
        let mut bytes = Vec::new();
        for (index, segment) in believed.iter().enumerate() {
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
            let file = self.open(segment.number, &mut bytes)?;
            let window = Window { start: 0, bytes: std::mem::take(&mut bytes) };
            let Believed { number, salt: own } = *segment;
            let mut open = Open { number, salt: own, file, window };
            if salt.is_none() {
                self.resume_before(&mut open)?;
            }
            let later = believed.get(index + 1..).unwrap_or_default();
            wanted = self.walk_segment(&mut open, predecessor, later)?;
            predecessor = (number, own);
            bytes = open.window.bytes;
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
        segment: &mut Open,
        predecessor: (SegmentNumber, Salt),
        later: &[Believed],
    ) -> Result<Option<(SegmentNumber, Option<Salt>)>> {
        let neighbours = Neighbours { segment: segment.number, predecessor };
        let mut offset = RECORDS_START;
        loop {
            let (salt, segment_bytes) = (segment.salt, self.dir.segment_bytes);
            let window = segment.record_at(offset, segment_bytes)?;
            let found = read_record(window, offset, segment_bytes, salt, &self.position);
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
            let is_claimed = self.is_claimed(segment, offset, later)?;
            if !is_newer && !is_claimed {
                self.survey.torn_bytes += segment.torn(offset)?;
                let len = segment.file.size;
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

    fn is_claimed(&self, segment: &mut Open, offset: u64, later: &[Believed]) -> Result<bool> {
        let hole: Seq = self.position.seq.next();
        if segment.find(offset, &|header| claims(header, hole))?.is_some() {
            return Ok(true);
        }
        for Believed { number, .. } in later {
            if claim_in(self.dir, *number, &self.saved, hole)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the first record of a segment as the next one when nothing before it says which it
    /// is: in the first segment, or where the end of the one before is lost, and that was told.
    fn resume_before(&mut self, segment: &mut Open) -> Result<()> {
        let salt = segment.salt;
        let first = segment.at(RECORDS_START, RECORD_HEADER)?;
        let header = RecordHeader::decode(first, salt, RECORDS_START);
        if let Ok(header) = header
            && header.seq > self.position.seq
        {
            let before = Seq(header.seq.0 - 1);
            self.position = Position { seq: before, ..Position::resume_after(&header) };
        }
        Ok(())
    }

    /// Takes the next intact record of the segment as it is; gives the place after it.
    fn resume(&mut self, segment: &mut Open, offset: u64) -> Result<Option<u64>> {
        let seq = self.position.seq;
        let Some((at, header)) = segment.find(offset, &|header| header.seq > seq)? else {
            return Ok(None);
        };
        let position = Position::resume_after(&header);
        let record = segment.at(at, to_usize(header.record_len()))?;
        let payload = record.get(RECORD_HEADER..).and_then(|rest| rest.get(..widen(header.length)));
        let payload = payload.unwrap_or_default();
        self.take(&Record { header, payload, offset: at }, position)?;
        let ends = header.kind == Kind::SegmentEnd;
        Ok((!ends).then(|| at + header.record_len()))
    }
}

impl Open {
    fn fail(&self, error: io::Error) -> Error {
        cannot_read("read", &shown_path(self.number), error)
    }

    /// The bytes from `place` on: `len` of them, if the file has as many.
    fn at(&mut self, place: u64, len: usize) -> Result<&[u8]> {
        let number = self.number;
        let fail = |error| cannot_read("read", &shown_path(number), error);
        self.window.at(&self.file, place, len).map_err(fail)
    }

    /// The bytes from `place` on, with the whole of the record there, if there is one.
    fn record_at(&mut self, place: u64, segment_bytes: u64) -> Result<&[u8]> {
        let salt = self.salt;
        let header = read_fitting(self.at(place, RECORD_HEADER)?, place, segment_bytes, salt);
        let len = header.map_or(RECORD_HEADER, |header| to_usize(header.record_len()));
        self.at(place, len)
    }

    fn find(&mut self, from: u64, wanted: &Wanted<'_>) -> Result<Option<(u64, RecordHeader)>> {
        let found = find((&self.file, self.salt), &mut self.window, from, wanted);
        found.map_err(|error| self.fail(error))
    }

    /// Bytes from `from` on that a torn write may have left.
    fn torn(&mut self, from: u64) -> Result<u64> {
        let torn = torn(&self.file, self.salt, &mut self.window, from);
        torn.map_err(|error| self.fail(error))
    }
}
