//! Forensic reading: what a log holds up to its end or its damage, without writing a byte.
//!
//! Nothing here can write: files are opened to read, and the lock is shared. So it works on a
//! directory that may only be read, and leaves a damaged log as evidence. It proves nothing to
//! the disk either (W5): behind what claims cover, a power cut may yet undo what it shows.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber, Seq, Term};
use crate::vfs::{Lock, Runtime};

use super::identity::Identity;
use super::open::{LOCK_NAME, damage, existing_identity, observation};
use super::reader::{Limit, LogReader};
use super::recovery::{Decision, FilesSeen, decide};
use super::scan::Record;
use super::segment::SegmentDir;
use super::settings::RecoveryReport;
use super::walk::{Replay, walk};

/// What a forensic reading came to.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct LogRead {
    /// Who the store is.
    pub identity: Identity,
    /// What opening it would find. Nothing of it was done; beside a writer the case is `@live`.
    pub report: RecoveryReport,
    /// The last commit that was read.
    pub last: Lsn,
    /// The last of them that a claim covers.
    pub claimed: Lsn,
    /// The era of the last commit.
    pub term: Term,
    /// The segment that was read last.
    pub segment: SegmentNumber,
    /// Why nothing behind was read; `None` at the end of the log.
    pub damage: Option<Error>,
    /// A writer held the store, so only what its claims cover was read.
    pub beside_writer: bool,
}

/// Reads the log of the store in `dir` up to its end, or to the damage that ends what can be
/// read, giving each record to `replay`. Beside a writer, reads what its claims cover.
///
/// # Errors
/// `NotFound`, `Corrupt` (the identity file), `Unsupported`, `ReadOnly`, `Io` when nothing could
/// be read. What stops it later is in the answer, with its place.
///
/// # Concurrency
/// Writers are kept away while it reads.
///
/// # Cost
/// Reads the whole log once.
pub fn read_log(dir: &Path, runtime: &Runtime, replay: &mut Replay<'_>) -> Result<LogRead> {
    read_log_with(dir, runtime, &mut |_identity, _beside_writer| Ok(()), replay)
}

/// [`read_log`], which calls `begin` once writers are kept away, and before it reads: with who the
/// store is, and whether there is a writer that could not be kept away.
///
/// # Errors
/// As [`read_log`], and those of `begin`.
pub fn read_log_with(
    dir: &Path,
    runtime: &Runtime,
    begin: &mut dyn FnMut(&Identity, bool) -> Result<()>,
    replay: &mut Replay<'_>,
) -> Result<LogRead> {
    let started = runtime.clock.monotonic();
    let identity = existing_identity(dir, runtime)?;
    let (_hold, beside_writer) = keep_writers_away(dir, runtime)?;
    begin(&identity, beside_writer)?;
    let mut progress = Progress::default();
    let mut follow = |record: &Record<'_>| {
        replay(record)?;
        progress.take(record);
        Ok(())
    };
    let read = if beside_writer {
        read_claimed(dir, runtime, &mut follow)
    } else {
        read_all(&SegmentDir::of_store(dir, runtime, &identity), &mut follow)
    };
    let mut end = match read {
        Ok(end) => end,
        Err(error) if progress.records > 0 => {
            End { damage: Some(error), case: "", ..End::default() }
        }
        Err(error) => return Err(error),
    };
    end.report.case = end.case;
    end.report.records = progress.records;
    end.report.seconds = runtime.clock.monotonic().saturating_sub(started).as_secs_f64();
    Ok(LogRead {
        identity,
        report: end.report,
        last: progress.last,
        // The record that makes the last claim is not shown itself.
        claimed: if beside_writer { progress.last } else { progress.claimed },
        term: progress.term,
        segment: end.segment,
        damage: end.damage,
        beside_writer,
    })
}

/// Keeps writers away without writing; says whether there is one, or may be.
fn keep_writers_away(dir: &Path, runtime: &Runtime) -> Result<(Option<Box<dyn Lock>>, bool)> {
    let path = dir.join(LOCK_NAME);
    match runtime.vfs.lock_shared(&path) {
        Ok(lock) => Ok((Some(lock), false)),
        // No writer was ever here, or this is a copy of its files.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, false)),
        // Who may not look cannot know.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok((None, true))
        }
        Err(error) => Err(Error::io("look at the lock of the store", &path, error)),
    }
}

/// How far the reading has come: a fold over the records.
#[derive(Debug, Default)]
struct Progress {
    records: u64,
    last: Lsn,
    claimed: Lsn,
    term: Term,
    /// Commits that no claim covers yet.
    unclaimed: VecDeque<(Seq, Lsn)>,
}

impl Progress {
    fn take(&mut self, record: &Record<'_>) {
        let header = &record.header;
        self.records += 1;
        (self.last, self.term) = (header.lsn, header.term);
        self.unclaimed.push_back((header.seq, header.lsn));
        while let Some((_, lsn)) = self.unclaimed.pop_front_if(|(seq, _)| *seq <= header.claim) {
            self.claimed = lsn;
        }
    }
}

/// Where the reading ended, and why.
#[derive(Debug, Default)]
struct End {
    case: &'static str,
    report: RecoveryReport,
    segment: SegmentNumber,
    damage: Option<Error>,
}

fn read_all(segments: &SegmentDir, replay: &mut Replay<'_>) -> Result<End> {
    let walked = walk(segments, false, None, replay)?;
    let (case, decision) = decide(&observation(FilesSeen::Records, &walked));
    let is_damage = decision == Decision::Damage;
    let report = RecoveryReport {
        bytes: walked.bytes,
        cut_bytes: if is_damage { 0 } else { walked.torn_bytes },
        ..RecoveryReport::default()
    };
    let segment = walked.kept.back().map(|kept| kept.segment.number).unwrap_or_default();
    Ok(End { case, report, segment, damage: is_damage.then(|| damage(&walked, case)) })
}

fn read_claimed(dir: &Path, runtime: &Runtime, replay: &mut Replay<'_>) -> Result<End> {
    let mut reader = LogReader::open(dir, runtime)?.with_taken_back();
    let newest = reader.newest_segment()?;
    let mut end = End { case: "@live", ..End::default() };
    // A writer may be faster than this reader: what it began since is not waited for.
    while let Some(record) = reader.next(Limit::Claims)?.filter(|one| one.segment <= newest) {
        replay(&record.borrowed())?;
        end.segment = record.segment;
        end.report.bytes += record.header.record_len();
    }
    match reader.check_end() {
        Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
        checked => end.damage = checked.err(),
    }
    Ok(end)
}
