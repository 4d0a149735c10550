//! Opening a log: look, decide by the table, make or mend, and hand over to the appender.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::codec::to_u64;
use crate::base::limits::PAGE;
use crate::base::mark::{Mark, hit, hit_case};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result};
use crate::vfs::{FileExt, Lock, OpenMode, Runtime};

use super::checkpoint::Standpoint;
use super::create::{FOREIGN_LOG, create, create_dirs, look_for_files, not_a_store, sync_way};
use super::first::First;
use super::header::HeaderFault;
use super::identity::{self, Identity};
use super::mend::{self, Mended};
use super::recovery::{
    ChainSeen, Decision, FilesSeen, IdentitySeen, LastSeen, Observation, RestSeen, decide,
};
use super::segment::{DIR_NAME, SegmentDir, cannot_read};
use super::settings::{OpenSettings, RecoveryReport};
use super::walk::{Replay, Walked, walk};

/// Name of the lock file in the store's directory.
pub const LOCK_NAME: &str = "LOCK";

/// A record, the mark that fills its page, and the segment's end need a page each at worst.
const PADDED_SEGMENT_BYTES_MIN: u64 = 3 * to_u64(PAGE);

/// A log ready to be appended to.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) lock: Box<dyn Lock>,
    pub(super) identity: Identity,
    pub(super) segments: SegmentDir,
    pub(super) tail: Mended,
    pub(super) report: RecoveryReport,
    pub(super) first: First,
}

/// Tells, once the store is locked, what replay may begin behind.
pub type Begin<'a> = dyn FnMut(&Identity) -> Result<Option<Standpoint>> + 'a;

/// Opens the log in the store directory `dir`, giving every record to `replay`, from the segment on
/// that `begin` names.
///
/// # Durability
/// Everything `replay` saw is on stable storage when this returns `Ok`.
///
/// # Errors
/// `NotFound`, `Invalid` (not a store), `Locked`, `ReadOnly`, `Unsupported`, `Corrupt`, `Full`,
/// `Io`. After an error the directory is as it was, or can be opened again.
pub(super) fn open(
    dir: &Path,
    runtime: &Runtime,
    settings: &OpenSettings,
    (begin, replay): (&mut Begin<'_>, &mut Replay<'_>),
) -> Result<Opened> {
    let started = runtime.clock.monotonic();
    refuse_unless_ours(dir, runtime, settings)?;
    let lock = take_lock(dir, runtime)?;
    let found = look_for_identity(dir, runtime)?;
    let seen = Observation {
        identity: found.as_ref().map_or(IdentitySeen::Absent, |_| IdentitySeen::Valid),
        files: look_for_files(dir, runtime)?,
        chain: ChainSeen::Whole,
        last: LastSeen::Other,
        rest: RestSeen::Zeroes,
        claimed: false,
    };
    refuse_unpaddable(dir, settings, found.as_ref())?;
    let (identity, made) = match found {
        Some(identity) => (identity, None),
        None => {
            let (label, decision) = decide(&seen);
            hit_case(label);
            (create(dir, runtime, settings, decision)?, Some(label))
        }
    };
    let segments = SegmentDir::of_store(dir, runtime, &identity);
    let standpoint = begin(&identity)?;
    let mut walked = walk_from(&segments, standpoint.as_ref(), replay)?;
    walked.refuse_to_write()?;
    let (label, decision) = decide(&observation(seen.files, &walked));
    let mut report = RecoveryReport {
        case: made.unwrap_or(label),
        segments: walked.segments,
        records: walked.records,
        bytes: walked.bytes,
        ..RecoveryReport::default()
    };
    hit_case(report.case);
    let tail = match decision {
        // The page that is not full yet would be written again: it is left, once it was saved.
        Decision::Continue if settings.padded_tails && mend::shares_a_page(&walked) => {
            mend::cut(&segments, &mut walked, true, &mut report)?
        }
        Decision::Continue => mend::continue_in_place(&mut walked)?,
        // A store made just now has an empty first segment: nothing to cut, nothing to prove.
        Decision::Cut if made.is_some() || is_planted(Plant::UncleanContinued) => {
            mend::continue_in_place(&mut walked)?
        }
        Decision::Cut => {
            // The crash may have come before the creation made its last names durable.
            sync_way(dir, runtime)?;
            report.cut_bytes = walked.torn_bytes;
            mend::cut(&segments, &mut walked, settings.padded_tails, &mut report)?
        }
        _ => return Err(damage(&walked, label)),
    };
    report.clean = decision == Decision::Continue;
    report.seconds = runtime.clock.monotonic().saturating_sub(started).as_secs_f64();
    let first = if standpoint.is_some() { First::load(&segments)? } else { walked.first };
    Ok(Opened { lock, identity, segments, tail, report, first })
}

/// Walks the log, which must pass `standpoint`.
fn walk_from(
    segments: &SegmentDir,
    standpoint: Option<&Standpoint>,
    replay: &mut Replay<'_>,
) -> Result<Walked> {
    let Some(standpoint) = standpoint else { return walk(segments, true, None, replay) };
    let walked = walk(segments, true, Some(standpoint.segment), &mut |record| {
        if record.header.kind.takes_lsn() {
            standpoint.compare(record.header.lsn, record.header.chain)?;
        }
        replay(record)
    })?;
    let is_behind = walked.first.segment == standpoint.segment;
    hit(if is_behind { Mark::ReplayBegunBehind } else { Mark::ReplayFellBack });
    let first = &walked.first.position;
    standpoint.compare(first.lsn, first.chain)?;
    if walked.damage.is_none() {
        standpoint.refuse_outside(first.lsn, walked.position.lsn)?;
    }
    Ok(walked)
}

/// Before anything is created: can the segments of this store hold padded tails?
fn refuse_unpaddable(dir: &Path, settings: &OpenSettings, found: Option<&Identity>) -> Result<()> {
    let segment_bytes = found.map_or(settings.segment_bytes, |identity| identity.segment_bytes);
    if !settings.padded_tails || segment_bytes >= PADDED_SEGMENT_BYTES_MIN {
        return Ok(());
    }
    let what = format!(
        "padded tails need segments of {PADDED_SEGMENT_BYTES_MIN} bytes or more, and not of \
         {segment_bytes}; choose larger ones, or open the store without padded tails"
    );
    Err(Error::new(ErrorKind::Invalid, what).at_path(dir))
}

/// What was seen of a store whose identity is intact.
pub(super) fn observation(files: FilesSeen, walked: &Walked) -> Observation {
    Observation {
        identity: IdentitySeen::Valid,
        files,
        chain: walked.chain,
        last: walked.last,
        rest: walked.rest,
        claimed: walked.claimed,
    }
}

/// The refusal of a damaged log, with the row of `docs/recovery.md` that refused it.
pub(super) fn damage(walked: &Walked, label: &str) -> Error {
    let advice = "the log is damaged there and nothing was changed; restore a copy, or salvage \
                  what this one holds before it";
    let Some(damage) = &walked.damage else {
        return Error::new(ErrorKind::Bug, "the log was refused without a reason");
    };
    let proven = if walked.claimed { ", and a later record proves that it was whole" } else { "" };
    Error::new(ErrorKind::Corrupt, format!("{}{proven}; {advice} (case {label})", damage.what))
        .at_path(damage.path.clone())
        .at_offset(damage.offset)
        .at_lsn(walked.position.lsn.next())
}

/// Before anything is created or locked: is this directory a store, empty, or somebody else's?
fn refuse_unless_ours(dir: &Path, runtime: &Runtime, settings: &OpenSettings) -> Result<()> {
    let no_store = || {
        Error::new(ErrorKind::NotFound, "there is no store here; create one by writing to it")
            .at_path(dir)
    };
    let entries = match runtime.vfs.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !settings.create {
                return Err(no_store());
            }
            return create_dirs(dir, runtime);
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(not_a_store(dir, "it is not a directory"));
        }
        Err(error) => return Err(Error::io("list the store's directory", dir, error)),
    };
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    if has(identity::FILE_NAME) {
        return Ok(());
    }
    let ours = [LOCK_NAME, DIR_NAME, "IDENTITY.tmp"];
    let is_ours = |name: &str| ours.contains(&name) || (name == super::QUARANTINE && has(DIR_NAME));
    if let Some(foreign) = entries.iter().find(|entry| !is_ours(&entry.name)) {
        return Err(not_a_store(dir, &format!("it holds {:?}", foreign.name)));
    }
    if has(DIR_NAME) && look_for_files(dir, runtime)? == FilesSeen::Foreign {
        return Err(not_a_store(dir, FOREIGN_LOG));
    }
    if has(DIR_NAME) || settings.create {
        return Ok(());
    }
    Err(no_store())
}

/// What is held where the lock is not taken, which is a planted bug.
#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

/// Takes the store's lock.
///
/// # Errors
/// `Locked` with who holds it, `ReadOnly`, `Io`.
pub(super) fn take_lock(dir: &Path, runtime: &Runtime) -> Result<Box<dyn Lock>> {
    if is_planted(Plant::LockNotTaken) {
        return Ok(Box::new(NoLock));
    }
    let path = dir.join(LOCK_NAME);
    runtime.vfs.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => held(dir, runtime),
        _ => Error::io("lock the store", &path, error),
    })
}

/// Says who holds the store.
pub(crate) fn held(dir: &Path, runtime: &Runtime) -> Error {
    let path = dir.join(LOCK_NAME);
    let holder = runtime.vfs.open(&path, OpenMode::Read).and_then(|file| file.read_whole(64));
    let holder = holder.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let who = match holder {
        Ok(pid) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    let what = format!("{who} holds the store; stop it, or wait until it closes");
    Error::new(ErrorKind::Locked, what).at_path(path)
}

/// Reads the identity file; `None` when there is none.
///
/// # Errors
/// `Corrupt` (case @E) and `Unsupported`, with the place.
pub(super) fn look_for_identity(dir: &Path, runtime: &Runtime) -> Result<Option<Identity>> {
    let path = dir.join(identity::FILE_NAME);
    let shown = PathBuf::from(identity::FILE_NAME);
    let file = match runtime.vfs.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_read("open the identity file", &shown, error)),
    };
    let bytes = match file.read_whole(identity::FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let what = "the identity file is longer than any; restore a copy of it or the store";
            let error = Error::new(ErrorKind::Corrupt, what).at_path(shown);
            return Err(error.at_offset(identity::FILE_BYTES_MAX));
        }
        Err(error) => return Err(cannot_read("read the identity file", &shown, error)),
    };
    match Identity::decode(&bytes) {
        Ok(identity) => Ok(Some(identity)),
        Err(HeaderFault::Unsupported(what)) => {
            Err(Error::new(ErrorKind::Unsupported, what).at_path(shown).at_offset(8))
        }
        Err(HeaderFault::Damaged(what)) => {
            hit(Mark::CaseE);
            let what = format!("{what}; restore a copy of this file or of the store (case @E)");
            Err(Error::new(ErrorKind::Corrupt, what).at_path(shown).at_offset(0))
        }
    }
}

/// The identity of a store that must be there.
///
/// # Errors
/// As [`look_for_identity`]; without one `Corrupt` if the log holds records, else `NotFound`.
pub(crate) fn existing_identity(dir: &Path, runtime: &Runtime) -> Result<Identity> {
    if let Some(identity) = look_for_identity(dir, runtime)? {
        return Ok(identity);
    }
    if look_for_files(dir, runtime)? == FilesSeen::Records {
        let what = "the identity file is missing; restore it or the store from a copy";
        return Err(Error::new(ErrorKind::Corrupt, what).at_path(identity::FILE_NAME));
    }
    Err(Error::new(ErrorKind::NotFound, "there is no store here").at_path(dir))
}
