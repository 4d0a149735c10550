//! Rebuilding a store at a chosen commit.

use std::io;
use std::path::PathBuf;

use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Lsn, Result, Term, Timestamp};
use crate::store::format::decode;
use crate::vfs::Runtime;
use crate::wal::format::Kind;
use crate::wal::identity::Ancestor;
use crate::wal::reader::OwnedRecord;
use crate::wal::{CopiedRecord, OpenSettings, Wal, Writer};

use super::copy::Copy;

/// Which commit to restore to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything the copy holds.
    Latest,
    /// Every commit up to this one.
    Lsn(Lsn),
    /// Every commit up to this time.
    Time(Timestamp),
}

/// What to restore, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreRequest {
    /// The copy.
    pub from: PathBuf,
    /// The new store's directory, which must be missing or empty.
    pub to: PathBuf,
    /// Up to where.
    pub target: Target,
    /// Without the commit at exactly the target.
    pub exclusive: bool,
    /// Only say what would be reached.
    pub dry_run: bool,
}

/// The state that a restore reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The last commit included; 0 for an empty store.
    pub lsn: Lsn,
    /// Its time.
    pub at: Option<Timestamp>,
}

/// What a restore did.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreReport {
    /// The last commit included.
    pub reached: Reached,
    /// The first commit left out, if there is one.
    pub next: Option<(Lsn, Timestamp)>,
    /// Time it took.
    pub seconds: f64,
}

/// Where a target lies in a copy.
#[derive(Debug, Default)]
struct Plan {
    reached: Reached,
    /// The era of the last commit included.
    term: u64,
    next: Option<(Lsn, Timestamp)>,
    /// The last record, and the time up to which the copy is complete.
    end: (Lsn, Timestamp),
}

/// Rebuilds a store from a copy, at exactly the asked commit.
///
/// Commit c is included iff its LSN is at most the asked one, or its time; with `exclusive`, if
/// it is less. The new store has its own identity and a higher term, so what is written to it can
/// never be mistaken for the old store's future.
///
/// # Durability
/// After `Ok` the new store survives a power cut. An interrupted restore leaves a directory that
/// is refused as a store.
///
/// # Errors
/// - `Invalid`: the target directory is not empty, or `Latest` with `exclusive`.
/// - `NotFound`: there is no copy.
/// - `Unreachable`: the copy does not reach the target; the message says how far it does.
/// - `Expired`: a range is missing. `Diverged`: a range is of another history.
/// - `Corrupt`, `Unsupported`, `Full`, `Io`.
pub fn restore(request: &RestoreRequest, runtime: &Runtime) -> Result<RestoreReport> {
    let started = runtime.clock.monotonic();
    if request.exclusive && request.target == Target::Latest {
        let what = "everything but the latest is not a target; name an LSN or a time";
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    refuse_if_occupied(request, runtime)?;
    let copy = Copy::find(&request.from, runtime)?.ok_or_else(|| {
        let what = "there is no copy here; make one with backup";
        Error::new(ErrorKind::NotFound, what).at_path(&request.from)
    })?;
    let plan = plan(&copy, request)?;
    if !request.dry_run {
        rebuild(&copy, &plan, request, runtime)?;
    }
    let elapsed = runtime.clock.monotonic().saturating_sub(started);
    Ok(RestoreReport { reached: plan.reached, next: plan.next, seconds: elapsed.as_secs_f64() })
}

fn refuse_if_occupied(request: &RestoreRequest, runtime: &Runtime) -> Result<()> {
    match runtime.vfs.list(&request.to) {
        Ok(entries) if entries.is_empty() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => {
            let what = "the directory to restore into is not empty; name a new one";
            Err(Error::new(ErrorKind::Invalid, what).at_path(&request.to))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let what = "the place to restore into is not a directory; name a new one";
            Err(Error::new(ErrorKind::Invalid, what).at_path(&request.to))
        }
        Err(error) => Err(Error::io("look at the directory to restore into", &request.to, error)),
    }
}

impl RestoreRequest {
    /// Whether the target includes a commit.
    const fn includes(&self, lsn: Lsn, time: Timestamp) -> bool {
        match (self.target, self.exclusive) {
            (Target::Latest, _) => true,
            (Target::Lsn(target), false) => lsn.0 <= target.0,
            (Target::Lsn(target), true) => lsn.0 < target.0,
            (Target::Time(target), false) => time.0 <= target.0,
            (Target::Time(target), true) => time.0 < target.0,
        }
    }
}

/// Reads and checks the whole copy, and finds where the target lies in it.
fn plan(copy: &Copy, request: &RestoreRequest) -> Result<Plan> {
    let mut plan = Plan::default();
    let end = copy.read(&mut |record| {
        let (lsn, time) = (record.header.lsn, record.header.time);
        if record.header.kind == Kind::Commit {
            if request.includes(lsn, time) {
                plan.reached = Reached { lsn, at: Some(time) };
                plan.term = record.header.term.0;
            } else if plan.next.is_none() {
                hit(Mark::RestoredPast);
                plan.next = Some((lsn, time));
            }
        }
        Ok(())
    })?;
    let promised = copy.end.filter(|promise| promise.lsn == end.lsn).map(|promise| promise.time);
    plan.end = (end.lsn, promised.map_or(end.time, |promised| promised.max(end.time)));
    check_reachable(&plan, request)?;
    Ok(plan)
}

fn check_reachable(plan: &Plan, request: &RestoreRequest) -> Result<()> {
    let (last, covered) = plan.end;
    let what = match request.target {
        Target::Lsn(lsn) if lsn > last && !(request.exclusive && lsn == last.next()) => {
            format!("the copy reaches LSN {last}, not {lsn}; back up again or name an earlier one")
        }
        Target::Time(time) if time > covered => format!(
            "the copy is complete up to {covered}, not to {time}; back up again or name an \
             earlier time"
        ),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Unreachable, what).at_lsn(last))
}

/// Writes the new store: records at the same LSNs, the identity last.
fn rebuild(copy: &Copy, plan: &Plan, request: &RestoreRequest, runtime: &Runtime) -> Result<()> {
    let mut ancestors = copy.source.ancestors.clone();
    ancestors.push(Ancestor { store_id: copy.source.store_id, up_to: plan.reached.lsn });
    let settings = OpenSettings {
        create: true,
        segment_bytes: copy.source.segment_bytes,
        // Also above the source's own term, which it may not have written with yet.
        term: Term(plan.term.max(copy.source.term.0) + 1),
        ancestors,
        defer_identity: true,
        ..OpenSettings::default()
    };
    let wal = Wal::open(&request.to, runtime, &settings, &mut |_| Ok(()))?;
    let missing = u64::from(is_planted(Plant::RestoreOneShort));
    copy.read(&mut |record| {
        if record.header.lsn.0 + missing <= plan.reached.lsn.0 {
            append(&wal, record)
        } else {
            Ok(())
        }
    })?;
    wal.sync()?;
    wal.close()?;
    wal.publish_identity(&request.to)
}

fn append(wal: &Wal, record: &OwnedRecord) -> Result<()> {
    let header = &record.header;
    if header.kind == Kind::Commit {
        // Nothing goes into a log that its own replay would refuse.
        decode(&record.payload).map_err(|fault| {
            let what = format!("the copied commit's payload is not a batch: {fault:?}");
            Error::new(ErrorKind::Corrupt, what).at_lsn(header.lsn)
        })?;
    }
    wal.append_copy(&CopiedRecord {
        kind: header.kind,
        lsn: header.lsn,
        writer: Writer { term: header.term, leader: header.leader },
        time: header.time,
        chain: header.chain,
        payload: &record.payload,
    })
}
