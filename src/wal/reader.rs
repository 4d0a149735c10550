//! Following the log read-only, also beside its writer and from another process.
//!
//! Takes no lock and writes nothing. What it gives is durable: a record is shown only when a
//! claim that was read covers it, or when the log's own process says that it is durable. A record
//! that is not valid yet is not an error while the writer may still be writing it; whether it is
//! damage is asked only at the end, by [`LogReader::check_end`] (`ending`).

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::base::codec::to_usize;
use crate::base::limits::PAGE;
use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber, Seq};
use crate::vfs::{File, FileExt, OpenMode, Runtime};

use super::first::First;
use super::format::{RECORDS_START, RecordFault, Salt};
use super::header::{HeaderFault, SegmentHeader};
use super::identity::Identity;
use super::open::existing_identity;
pub use super::owned::OwnedRecord;
use super::present::segments_present;
use super::saved::SavedTail;
use super::scan::{Found, Neighbours, Position, read_record};
use super::segment::{SegmentDir, cannot_read, shown_path};
use super::truncation::{Shown, Truncations};

/// Bytes read ahead at once; a longer record makes its own window.
const WINDOW: usize = 256 << 10;

/// Up to where records may be shown.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// What claims in the log cover: for every other process.
    Claims,
    /// What the writer says is durable: for the log's own process.
    Durable(Lsn),
    /// Everything that is valid, proven or not: for looking, never for copying.
    Everything,
}

#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) number: SegmentNumber,
    predecessor: (SegmentNumber, Salt),
    pub(super) salt: Salt,
    pub(super) file: Arc<dyn File>,
}

/// A segment to enter: kept until it is, so that a read that failed is not the end of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextSegment {
    pub(super) number: SegmentNumber,
    /// As its predecessor names it.
    salt: Option<Salt>,
    predecessor: (SegmentNumber, Salt),
}

/// A cursor over the log of a store.
#[derive(Debug)]
pub struct LogReader {
    pub(super) dir: SegmentDir,
    identity: Identity,
    pub(super) segment: Option<OpenSegment>,
    /// What to enter where `segment` is none.
    pub(super) next_segment: NextSegment,
    /// Where the next record begins.
    pub(super) offset: u64,
    pub(super) position: Position,
    /// Bytes of the segment from `offset` on, as last read.
    window: Vec<u8>,
    /// The highest claim seen.
    claim: Seq,
    /// Records read but not proven durable yet.
    waiting: std::collections::VecDeque<OwnedRecord>,
    /// Commits up to here are passed over.
    after: Lsn,
    pub(super) shown: Shown,
    /// What an interrupted recovery was writing again when the reader was opened.
    pub(super) saved: Arc<SavedTail>,
}

/// Records held back for a claim; a group is far smaller.
const WAITING_MAX: usize = 1 << 20;

impl LogReader {
    /// Starts before the first record that is kept of the store in `dir`.
    ///
    /// # Errors
    /// `NotFound` when there is no store, `Corrupt`, `Unsupported`, `Io`.
    pub fn open(dir: &Path, runtime: &Runtime) -> Result<Self> {
        let identity = existing_identity(dir, runtime)?;
        let segments = SegmentDir::of_store(dir, runtime, &identity);
        let first = First::load(&segments)?;
        Self::begin(segments, identity, &first, Lsn::ZERO)
    }

    /// Starts with the segment `first`, passing over commits up to `after`.
    pub(super) fn begin(
        dir: SegmentDir,
        identity: Identity,
        first: &First,
        after: Lsn,
    ) -> Result<Self> {
        let First { segment: number, salt, predecessor, position } = *first;
        Ok(Self {
            saved: Arc::new(SavedTail::load(&dir)?),
            dir,
            identity,
            segment: None,
            next_segment: NextSegment { number, salt, predecessor },
            offset: RECORDS_START,
            position,
            window: Vec::new(),
            claim: Seq::ZERO,
            waiting: std::collections::VecDeque::new(),
            after,
            shown: Shown::default(),
        })
    }

    /// The same reader, for looking: it also gives what was taken back, without saying `Diverged`.
    #[must_use]
    pub const fn with_taken_back(mut self) -> Self {
        self.shown.with_taken_back = true;
        self
    }

    /// The same reader for who knows what the log takes back: it gives none of that, and does not
    /// say `Diverged` for it.
    #[must_use]
    pub fn knowing(mut self, truncations: Truncations) -> Self {
        self.shown = Shown::knowing(truncations);
        self
    }

    /// Who the store is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the cursor stands: after the last record read, shown or held back.
    #[must_use]
    pub const fn position(&self) -> &Position {
        &self.position
    }

    /// The highest claim read so far.
    #[must_use]
    pub const fn claim(&self) -> Seq {
        self.claim
    }

    /// The highest segment there is now: a bound for readers that must end beside a writer.
    ///
    /// # Errors
    /// `Io`.
    pub fn newest_segment(&self) -> Result<SegmentNumber> {
        Ok(segments_present(&self.dir)?.last().copied().unwrap_or_default())
    }

    /// The next record within `limit`; `None` when there is none yet.
    ///
    /// # Errors
    /// `Io`, `Corrupt` (a segment that a record names is gone or foreign), `Unsupported`;
    /// `Expired` when what comes next was released; the error says which commit is the oldest;
    /// `Diverged` when commits that were given before are taken back, with the LSN of the next
    /// commit that will be given; it can then go on.
    pub fn next(&mut self, limit: Limit) -> Result<Option<OwnedRecord>> {
        loop {
            // What is held back when a truncation is read is never shown.
            while self.waiting.front().is_some_and(|first| self.shown.drops(&first.header)) {
                self.waiting.pop_front();
            }
            if let Some(first) = self.waiting.front()
                && self.may_show(first, limit)
            {
                let passed = first.header.kind.takes_lsn() && first.header.lsn <= self.after;
                let given = if passed { Ok(()) } else { self.shown.give(&first.header) };
                if given.is_err() {
                    // Whoever asked has them no more.
                    self.after = self.after.min(first.header.lsn);
                }
                let record = self.waiting.pop_front();
                if passed {
                    continue;
                }
                return given.map(|()| record);
            }
            if self.waiting.len() >= WAITING_MAX || !self.read_one()? {
                return Ok(None);
            }
        }
    }

    fn may_show(&self, record: &OwnedRecord, limit: Limit) -> bool {
        let header = &record.header;
        match limit {
            Limit::Claims => header.seq <= self.claim,
            Limit::Durable(lsn) => header.lsn <= lsn || self.shown.is_behind(header),
            Limit::Everything => true,
        }
    }

    /// Reads one record into `waiting`; false at the end.
    pub(super) fn read_one(&mut self) -> Result<bool> {
        if self.segment.is_none() && !self.enter_next()? {
            return Ok(false);
        }
        let Some(found) = self.find()? else { return self.refuse_if_gone().map(|()| false) };
        let (record, position, successor) = found;
        self.shown.read(&record.header);
        self.claim = self.claim.max(record.header.claim);
        self.position = position;
        let len = to_usize(record.header.record_len());
        self.offset += record.header.record_len();
        self.window.drain(..len.min(self.window.len()));
        let before = self.segment.as_ref().map(|segment| (segment.number, segment.salt));
        self.waiting.push_back(record);
        if let (Some((number, salt)), Some(predecessor)) = (successor, before) {
            self.segment = None;
            self.next_segment = NextSegment { number, salt: Some(salt), predecessor };
            self.enter_next()?;
        }
        Ok(true)
    }

    /// The record at `offset`; reads the place again from the file before giving up on it.
    #[expect(clippy::type_complexity, reason = "record, position after it, and its successor")]
    fn find(&mut self) -> Result<Option<(OwnedRecord, Position, Option<(SegmentNumber, Salt)>)>> {
        let Some(segment) = &self.segment else { return Ok(None) };
        let neighbours = Neighbours { segment: segment.number, predecessor: segment.predecessor };
        let fail = |error| Error::io("read the log", &shown_path(segment.number), error);
        let mut fresh = false;
        let mut wanted = WINDOW;
        loop {
            let found = read_record(
                &self.window,
                self.offset,
                self.dir.segment_bytes,
                segment.salt,
                &self.position,
            );
            match found {
                Found::Record(record, position) => {
                    let Ok(successor) = neighbours.check(&record) else { return Ok(None) };
                    let owned = OwnedRecord {
                        header: record.header,
                        payload: record.payload.to_vec(),
                        segment: segment.number,
                        offset: record.offset,
                    };
                    return Ok(Some((owned, position, successor)));
                }
                Found::Fault(RecordFault::Newer) if fresh => {
                    let what =
                        "the log was written by a newer version of jidoka; upgrade to read it";
                    return Err(Error::new(ErrorKind::Unsupported, what)
                        .at_path(shown_path(segment.number))
                        .at_offset(self.offset));
                }
                Found::Fault(_) if fresh => return Ok(None),
                Found::NeedBytes(len) if fresh && len <= wanted => return Ok(None),
                Found::NeedBytes(len) => wanted = wanted.max(len),
                Found::Fault(_) => {}
            }
            self.window.resize(wanted, 0);
            let count = segment.file.read_up_to(&mut self.window, self.offset).map_err(fail)?;
            self.window.truncate(count);
            let at = (segment.number, Some(segment.salt));
            self.saved.lay_over(at, self.offset, &mut self.window);
            fresh = true;
        }
    }

    /// Opens the next segment; false when there is no first one. After an error it can be tried
    /// again.
    fn enter_next(&mut self) -> Result<bool> {
        let number = self.next_segment.number;
        let entered = self.enter();
        entered.map_err(|error| self.expired(number).unwrap_or(error))
    }

    fn enter(&mut self) -> Result<bool> {
        let NextSegment { number, salt, predecessor } = self.next_segment;
        let fail = |error| cannot_read("read the log", &shown_path(number), error);
        let file = match self.dir.runtime.vfs.open(&self.dir.file_path(number), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if salt.is_none() {
                    return Ok(false);
                }
                let before = predecessor.0;
                let what = format!("segment {before} names it as its successor, but it is missing");
                return Err(corrupt(what).at_path(shown_path(number)));
            }
            Err(error) => return Err(fail(error)),
        };
        let mut page = vec![0; PAGE];
        let count = file.read_up_to(&mut page, 0).map_err(fail)?;
        page.truncate(count);
        self.saved.lay_over((number, salt), 0, &mut page);
        let header = match SegmentHeader::decode(&page) {
            Ok(header) => header,
            Err(HeaderFault::Unsupported(what)) => {
                let error = Error::new(ErrorKind::Unsupported, what);
                return Err(error.at_path(shown_path(number)).at_offset(8));
            }
            Err(HeaderFault::Damaged(what)) => return Err(bad_header(what, number)),
        };
        if header.store_id != self.dir.store_id
            || header.segment != number
            || header.segment_bytes != self.dir.segment_bytes
            || salt.is_some_and(|salt| salt != header.salt)
        {
            return Err(bad_header("the segment is not the one its predecessor names", number));
        }
        self.segment = Some(OpenSegment { number, predecessor, salt: header.salt, file });
        self.offset = RECORDS_START;
        self.window.clear();
        Ok(true)
    }

    /// The segment that the next record is in, or would be.
    pub(super) fn segment_number(&self) -> SegmentNumber {
        self.segment.as_ref().map_or(self.next_segment.number, |segment| segment.number)
    }

    /// The offset of the place that is not a valid record, and its segment.
    #[must_use]
    pub fn end_of_log(&self) -> Option<(SegmentNumber, u64)> {
        self.segment.as_ref().map(|segment| (segment.number, self.offset))
    }
}

pub(super) fn corrupt(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

fn bad_header(what: &'static str, number: SegmentNumber) -> Error {
    corrupt(what).at_path(shown_path(number)).at_offset(0)
}
