//! Copying the durable log to a directory, at the cost of what is new.

use std::io;
use std::path::Path;

use crate::base::codec::to_u64;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber, Timestamp};
use crate::vfs::{Lock, Runtime, replace_file};
use crate::wal::format::Kind;
use crate::wal::reader::{Limit, LogReader, OwnedRecord};
use crate::wal::{OpenSettings, Truncations, Wal};

use super::copy::{COPY_NAME, Copy, END_NAME, LOCK_NAME, LOG_DIR, foreign};
use super::format::{End, RANGE_BYTES, RangeHeader, put_record, range_name};

/// What a backup did.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackupReport {
    /// The last commit in the copy now.
    pub to_lsn: Lsn,
    /// Files written.
    pub files_copied: u64,
    /// Bytes written.
    pub bytes_copied: u64,
    /// Time it took.
    pub seconds: f64,
}

/// Brings the copy in `dest` up to the durable end of the store in `store`, which another process
/// may be writing.
///
/// When no one holds the store, it is opened for a moment to promise that the next commit is
/// later than now, so that the copy can be restored to any time up to now; beside a writer the
/// copy is complete up to the time of its last commit.
///
/// # Durability
/// After `Ok` the copy survives a power cut. An interrupted backup leaves a copy that is complete
/// up to some commit, and the next one goes on there.
///
/// # Errors
/// - `NotFound`: there is no store. `Invalid`: `dest` holds something that is not a copy.
/// - `Locked`: another backup writes to `dest`.
/// - `Diverged`: the copy is of another store, or of another history of this one; or it holds
///   commits that a truncation took back since.
/// - `Expired`: the log begins behind the end of the copy by now; or there is no copy yet, and it
///   does not begin with the first commit. [`Store::copy_to`](crate::store::Store::copy_to) copies
///   such a store.
/// - `Corrupt`: the store's log or the copy is damaged. `Full`, `Io`, `Unsupported`.
///
/// # Cost
/// Reads the log from the segment on that the copy ends in, twice beside a writer; writes what is
/// new. When no one holds the store, opening it reads the whole log before.
pub fn backup(store: &Path, dest: &Path, runtime: &Runtime) -> Result<BackupReport> {
    let started = runtime.clock.monotonic();
    let known = promise_time(store, runtime)?;
    if Copy::find(dest, runtime)?.is_none() {
        // Nothing is begun that could not be whole.
        reach(store, runtime, Lsn::ZERO)?;
    }
    let (_lock, copy) = open_copy(dest, &LogReader::open(store, runtime)?, runtime)?;
    let head = copy.head()?;
    let reader = reach(store, runtime, head.0)?;
    let newest = reader.newest_segment()?;
    let known = match known {
        Some(known) => known,
        None => taken_back(reach(store, runtime, head.0)?, newest)?,
    };
    let begins = reader.position();
    let mut reader = Continuing {
        met: head.0 == Lsn::ZERO || (begins.lsn, begins.chain) == head,
        reader: reader.knowing(known),
        head,
    };
    let mut writer = RangeWriter {
        dest,
        runtime,
        store_id: reader.reader.identity().store_id,
        head,
        pending: Vec::new(),
        pending_from: None,
        time: Timestamp::ZERO,
        report: BackupReport::default(),
    };
    let beyond = is_planted(Plant::BackupBeyondClaims);
    let limit = if beyond { Limit::Everything } else { Limit::Claims };
    // A writer may be faster than this reader: what it began since is for the next backup.
    while let Some(record) = reader.next(limit)?.filter(|one| one.segment <= newest) {
        writer.time = record.header.time;
        if record.header.kind.takes_lsn() && reader.is_new(&record)? {
            writer.add(&record)?;
        }
    }
    // What a writer adds from here on is for the next backup.
    reader.reader.check_end()?;
    if !reader.met && stands_unclaimed(&mut reader.reader, head)? {
        return Ok(BackupReport { to_lsn: head.0, ..BackupReport::default() });
    }
    if !reader.met {
        return Err(reader.diverged());
    }
    writer.finish()?;
    let elapsed = runtime.clock.monotonic().saturating_sub(started);
    Ok(BackupReport { seconds: elapsed.as_secs_f64(), ..writer.report })
}

/// A reader that begins where the copy ends, at `head`, or before.
fn reach(store: &Path, runtime: &Runtime, head: Lsn) -> Result<LogReader> {
    LogReader::open_at(store, runtime, head).map_err(|error| {
        let Some(oldest) = error.place().lsn.filter(|_| error.kind() == ErrorKind::Expired) else {
            return error;
        };
        let what = if head == Lsn::ZERO {
            format!(
                "the log begins at commit {oldest}, and a backup begins with the first; go on \
                 with one that was made before, or use Store::copy_to; a store that keeps its \
                 whole log (LogKept::All) can be backed up at any time"
            )
        } else {
            format!(
                "the copy ends at commit {head}, and the log begins at {oldest} by now, so the \
                 copy cannot go on; keep it for what it holds"
            )
        };
        Error::new(ErrorKind::Expired, what).at_lsn(oldest)
    })
}

/// What the log takes back, as far as the segment `newest`.
fn taken_back(reader: LogReader, newest: SegmentNumber) -> Result<Truncations> {
    let (mut reader, mut known) = (reader.with_taken_back(), Truncations::default());
    while let Some(record) = reader.next(Limit::Everything)?.filter(|one| one.segment <= newest) {
        known.note(&record.header);
    }
    Ok(known)
}

/// Reads on where the copy ends, once the log was seen to hold that commit.
struct Continuing {
    reader: LogReader,
    head: (Lsn, u64),
    met: bool,
}

impl Continuing {
    fn next(&mut self, limit: Limit) -> Result<Option<OwnedRecord>> {
        let next = self.reader.next(limit).map_err(|error| {
            // A truncation that came while the log was read.
            if error.kind() == ErrorKind::Diverged { self.diverged() } else { error }
        })?;
        let before = |record: &&OwnedRecord| {
            record.header.kind == Kind::TruncateAfter && record.header.lsn < self.head.0
        };
        if self.met && next.as_ref().filter(before).is_some() {
            return Err(self.diverged());
        }
        Ok(next)
    }

    /// Whether this commit is not in the copy.
    fn is_new(&mut self, record: &OwnedRecord) -> Result<bool> {
        if self.met {
            return Ok(record.header.lsn > self.head.0);
        }
        if record.header.lsn == self.head.0 {
            if record.header.chain != self.head.1 {
                return Err(self.diverged());
            }
            self.met = true;
        }
        Ok(false)
    }

    fn diverged(&self) -> Error {
        let what = "the copy holds commits that this store does not have: it was restored from an \
                    older state, or took them back; keep the copy as long as you need them, and \
                    back the store up to a new directory";
        Error::new(ErrorKind::Diverged, what).at_path(COPY_NAME).at_lsn(self.head.0)
    }
}

/// Whether the end of the copy is in the log, but no claim covers it now.
///
/// A claim is written without a sync of its own, so a crash may take it from a commit that was
/// copied because of it. The commit is durable all the same, and a new claim will follow.
fn stands_unclaimed(reader: &mut LogReader, (lsn, chain): (Lsn, u64)) -> Result<bool> {
    if is_planted(Plant::CopiedUnclaimedDiverges) {
        return Ok(false);
    }
    while let Some(OwnedRecord { header, .. }) = reader.next(Limit::Everything)? {
        if header.kind.takes_lsn() && header.lsn == lsn {
            return Ok(header.chain == chain);
        }
    }
    Ok(false)
}

/// Writes a time mark if nobody holds the store and it may be written; then it also tells what
/// the log takes back.
fn promise_time(store: &Path, runtime: &Runtime) -> Result<Option<Truncations>> {
    let settings = OpenSettings { create: false, ..OpenSettings::default() };
    let mut known = Truncations::default();
    let opened = Wal::open(store, runtime, &settings, &mut |record| {
        known.note(&record.header);
        Ok(())
    });
    match opened {
        Ok(wal) => {
            wal.time_mark()?;
            wal.close()?;
            Ok(Some(known))
        }
        Err(error) if matches!(error.kind(), ErrorKind::Locked | ErrorKind::ReadOnly) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds the copy of the reader's store in `dest`, or begins one.
fn open_copy(dest: &Path, reader: &LogReader, runtime: &Runtime) -> Result<(Box<dyn Lock>, Copy)> {
    let fail = |error| Error::io("begin a copy in", dest, error);
    let found = Copy::find(dest, runtime)?;
    if found.is_none() {
        make_dir(dest, runtime).map_err(fail)?;
    }
    let lock = runtime.vfs.lock(&dest.join(LOCK_NAME)).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            let what = "another backup writes to this copy; wait until it is done";
            return Error::new(ErrorKind::Locked, what).at_path(dest);
        }
        fail(error)
    })?;
    // A tool that moved the copy may have left an empty directory behind.
    let log = dest.join(LOG_DIR);
    let is_missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    if found.is_none() || runtime.vfs.list(&log).is_err_and(is_missing) {
        make_dir(&log, runtime).map_err(fail)?;
    }
    if found.is_none() {
        let identity = reader.identity().encode();
        replace_file(runtime.vfs.as_ref(), dest, COPY_NAME, &identity).map_err(fail)?;
    }
    match Copy::find(dest, runtime)? {
        Some(copy) if copy.source.store_id == reader.identity().store_id => Ok((lock, copy)),
        Some(_) => Err(foreign(COPY_NAME)),
        None => Err(Error::new(ErrorKind::Bug, "a copy was begun but is not there")),
    }
}

fn make_dir(dir: &Path, runtime: &Runtime) -> io::Result<()> {
    match runtime.vfs.create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => runtime.vfs.sync_dir(dir.parent().unwrap_or(Path::new(""))),
    }
}

/// Collects new records into ranges.
struct RangeWriter<'a> {
    dest: &'a Path,
    runtime: &'a Runtime,
    store_id: crate::base::StoreId,
    /// The last record in the copy, written or pending, and its chain.
    head: (Lsn, u64),
    pending: Vec<u8>,
    /// The first pending record, and the chain before it.
    pending_from: Option<(Lsn, u64)>,
    /// The latest time seen, of commits and of marks.
    time: Timestamp,
    report: BackupReport,
}

impl RangeWriter<'_> {
    fn add(&mut self, record: &OwnedRecord) -> Result<()> {
        debug_assert!(matches!(record.header.kind, Kind::Commit | Kind::TermStart));
        self.pending_from.get_or_insert((record.header.lsn, self.head.1));
        put_record(record, &mut self.pending);
        self.head = (record.header.lsn, record.header.chain);
        if to_u64(self.pending.len()) >= RANGE_BYTES { self.write_range() } else { Ok(()) }
    }

    fn write_range(&mut self) -> Result<()> {
        let Some((first, chain_before)) = self.pending_from.take() else {
            hit(Mark::NothingToCopy);
            return Ok(());
        };
        let header = RangeHeader {
            store_id: self.store_id,
            first,
            last: self.head.0,
            chain_before,
            chain_after: self.head.1,
            bytes: to_u64(self.pending.len()),
        };
        let mut bytes = header.encode();
        bytes.append(&mut self.pending);
        self.put_file(&self.dest.join(LOG_DIR), &range_name(first, self.head.0), &bytes)
    }

    fn put_file(&mut self, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        replace_file(self.runtime.vfs.as_ref(), dir, name, bytes)
            .map_err(|error| Error::io("write a file of the copy", &dir.join(name), error))?;
        self.report.files_copied += 1;
        self.report.bytes_copied += to_u64(bytes.len());
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.write_range()?;
        let (lsn, chain) = self.head;
        let end = End { store_id: self.store_id, lsn, chain, time: self.time };
        self.put_file(self.dest, END_NAME, &end.encode())?;
        self.report.to_lsn = lsn;
        Ok(())
    }
}
