//! Following the log from any commit that it still holds, and what a reader is told otherwise.
//!
//! A reader of another process keeps nothing from being released: what it reads may become
//! another segment under it. It is not fooled, because what is there then does not verify with
//! the salt it reads with; it only has to tell the end of the log from the end of its file's
//! life. A [`Follower`] of the log's own process holds a pin as well.

use std::path::Path;
use std::sync::Arc;

use crate::base::limits::PAGE;
use crate::base::mark::{Mark, hit};
use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber};
use crate::vfs::{FileExt, Runtime};

use super::commit::Shared;
use super::first::First;
use super::format::Kind;
use super::header::SegmentHeader;
use super::identity::Identity;
use super::log::Wal;
use super::open::existing_identity;
use super::present::segments_present;
use super::reader::{Limit, LogReader, OwnedRecord};
use super::segment::SegmentDir;
use super::truncation::Shown;

fn expired(oldest: Lsn) -> Error {
    hit(Mark::ReaderExpired);
    let what = format!(
        "the log does not hold the next commit any more: the oldest it has is {oldest}; go on from \
         there, or from a copy"
    );
    Error::new(ErrorKind::Expired, what).at_lsn(oldest)
}

/// The beginning of the newest segment that begins before the commit `lsn`, or of the log.
fn begins_before(dir: &SegmentDir, lsn: Lsn) -> Result<First> {
    let first = First::load(dir)?;
    if lsn < first.position.lsn {
        return Err(expired(first.oldest()));
    }
    let present = segments_present(dir)?;
    for number in present.iter().rev().take_while(|number| **number > first.segment) {
        // It is in the log if the commit is, which comes after its beginning.
        // One that is not begun, or nobody's, or gone by now, holds nothing to begin with.
        let begins = First::of_segment(dir, *number)?;
        if let Some(begins) = begins.filter(|begins| begins.position.lsn < lsn) {
            return Ok(begins);
        }
    }
    Ok(first)
}

impl LogReader {
    /// Starts after the commit `after` of the store in `dir`; 0 is before the first.
    ///
    /// # Errors
    /// `Expired` when the commit that comes next was released; the error says which one is the
    /// oldest. Else as [`LogReader::open`].
    ///
    /// # Cost
    /// Reads the beginning of segments, the newest first, until one begins before that commit.
    pub fn open_after(dir: &Path, runtime: &Runtime, after: Lsn) -> Result<Self> {
        let identity = existing_identity(dir, runtime)?;
        let segments = SegmentDir::of_store(dir, runtime, &identity);
        Self::seek(segments, identity, after)
    }

    /// Starts at or before the commit `lsn` of the store in `dir`, at the beginning of a segment,
    /// and gives everything from there on; [`LogReader::position`] says where that is. For whoever
    /// has to compare the chain of the commit with that of one which it has.
    ///
    /// # Errors
    /// As [`LogReader::open_after`].
    ///
    /// # Cost
    /// As [`LogReader::open_after`].
    pub fn open_at(dir: &Path, runtime: &Runtime, lsn: Lsn) -> Result<Self> {
        let identity = existing_identity(dir, runtime)?;
        let segments = SegmentDir::of_store(dir, runtime, &identity);
        let begins = begins_before(&segments, lsn)?;
        Self::begin(segments, identity, &begins, Lsn::ZERO)
    }

    fn seek(dir: SegmentDir, identity: Identity, after: Lsn) -> Result<Self> {
        let begins = begins_before(&dir, after)?;
        Self::begin(dir, identity, &begins, after)
    }

    /// Refuses a place that is not the next record because its file has another life by now.
    pub(super) fn refuse_if_gone(&self) -> Result<()> {
        let Some(segment) = &self.segment else { return Ok(()) };
        let mut page = vec![0; PAGE];
        let fail =
            |error| Error::io("read the log", &super::segment::shown_path(segment.number), error);
        segment.file.read_up_to(&mut page, 0).map_err(fail)?;
        match SegmentHeader::decode(&page) {
            Ok(header) if header.salt == segment.salt => Ok(()),
            _ => self.expired(segment.number).map_or(Ok(()), Err),
        }
    }

    /// What to say of segment `number` if it was released; nothing if it was not.
    pub(super) fn expired(&self, number: SegmentNumber) -> Option<Error> {
        let first = First::load(&self.dir).ok()?;
        (number < first.segment).then(|| expired(first.oldest()))
    }
}

/// Reads the commits of an open log as they become durable, and keeps the log from releasing
/// what it has still to read.
#[derive(Debug)]
pub struct Follower {
    reader: LogReader,
    shared: Arc<Shared>,
    pin: Pin,
}

/// Given back when it is dropped.
#[derive(Debug)]
struct Pin {
    shared: Arc<Shared>,
    id: u64,
}

impl Pin {
    /// Of everything there is.
    fn new(shared: &Arc<Shared>) -> Self {
        Self { id: shared.retention.pins.pin(), shared: Arc::clone(shared) }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.shared.retention.pins.unpin(self.id);
    }
}

/// Keeps everything that the log holds from being released, however much it is, until it is
/// dropped.
#[derive(Debug)]
pub struct Hold {
    #[expect(dead_code, reason = "held, not read")]
    pin: Pin,
}

impl Wal {
    /// Follows the log from the commit after `after` on; 0 is before the first. `after` is a commit
    /// of the log as it is now: what was taken back before this call is not told.
    ///
    /// # Errors
    /// `Expired` when that commit was released; the error says which one is the oldest. `Io`,
    /// `Corrupt`, `Unsupported`.
    ///
    /// # Concurrency
    /// Any number of followers, each at its own pace; no committer waits for one.
    ///
    /// # Cost
    /// As [`LogReader::open_after`].
    pub fn follow(&self, after: Lsn) -> Result<Follower> {
        // Pinned before it is known where it begins, so that this is not released meanwhile.
        let shared = Arc::clone(&self.shared);
        let pin = Pin::new(&shared);
        let (known, end) = {
            let state = shared.lock();
            (state.standing.truncations.clone(), state.position.seq)
        };
        let mut reader = LogReader::seek(shared.segments.clone(), self.identity().clone(), after)?;
        reader.shown = Shown::knowing(known).resumed(end, after);
        let follower = Follower { reader, shared, pin };
        follower.move_pin();
        Ok(follower)
    }

    /// Keeps everything that is in the log now from being released.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold { pin: Pin::new(&self.shared) }
    }
}

impl Follower {
    /// The next commit that is durable; `None` when there is none yet.
    ///
    /// # Errors
    /// `Expired` when it was released, because this reader held back more than
    /// [`OpenSettings::held_bytes_max`](super::OpenSettings::held_bytes_max); the error says which
    /// commit is the oldest. `Diverged` when commits that it gave, or that it was begun after, were
    /// taken back; the error says which LSN is given next. `Io`, after which it can be tried
    /// again; `Corrupt`, `Unsupported`.
    pub fn next_commit(&mut self) -> Result<Option<OwnedRecord>> {
        loop {
            match self.next_numbered()? {
                Some(record) if record.header.kind != Kind::Commit => {}
                next => return Ok(next),
            }
        }
    }

    /// The next record that has an LSN of its own, as [`Follower::next_commit`]: beside commits the
    /// beginnings of terms.
    pub(super) fn next_numbered(&mut self) -> Result<Option<OwnedRecord>> {
        let before = self.reader.segment_number();
        loop {
            // What becomes durable meanwhile is there at the next call.
            let limit = Limit::Durable(self.shared.reach.durable());
            let next = self.reader.next(limit)?;
            if self.reader.segment_number() != before {
                self.move_pin();
            }
            match next {
                Some(record) if !record.header.kind.takes_lsn() => {}
                None => return self.nothing_yet().map(|()| None),
                next => return Ok(next),
            }
        }
    }

    /// Nothing to give is not the same as nothing left: the file it reads may be that of a
    /// released segment, which is empty until it is used again.
    fn nothing_yet(&self) -> Result<()> {
        let oldest = self.shared.retention.oldest();
        let next = self.reader.position().lsn.next();
        if next < oldest { Err(expired(oldest)) } else { Ok(()) }
    }

    /// Why there is no record where a durable one must be.
    pub(super) fn lost(&mut self) -> Error {
        let next = self.reader.position().lsn.next();
        self.reader.check_end().err().unwrap_or_else(|| {
            let what = "the log cannot be read up to its durable end; verify it, and restore a \
                        copy";
            Error::new(ErrorKind::Corrupt, what).at_lsn(next)
        })
    }

    fn move_pin(&self) {
        self.shared.retention.pins.move_to(self.pin.id, self.reader.segment_number());
    }
}
