//! Opening a log: look, decide by the table, make or mend, and hand over to the appender.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::SEGMENT_BYTES_DEFAULT;
use crate::base::{Error, ErrorKind, Result, SegmentNumber, StoreId, Term};
use crate::vfs::{FileExt, Lock, OpenMode, Runtime, replace_file};

use super::header::HeaderFault;
use super::identity::{self, Ancestor, Identity};
use super::mend::{self, Mended};
use super::recovery::{
    ChainSeen, Decision, FilesSeen, IdentitySeen, LastSeen, Observation, RestSeen, decide,
};
use super::segment::{DIR_NAME, PREPARING_SUFFIX, SegmentDir, parse_file_name};
use super::walk::{Replay, Walked, walk};

/// Name of the lock file in the store's directory.
pub const LOCK_NAME: &str = "LOCK";

/// How to open or create.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// Make the store when there is none.
    pub create: bool,
    /// Segment size of a store that is made now.
    pub segment_bytes: u64,
    /// Era of a store that is made now: 1, or for a restored one the era after its source's.
    pub term: Term,
    /// Where the history of a store that is made now comes from.
    pub ancestors: Vec<Ancestor>,
    /// Leave the identity of a store that is made now to [`Wal::publish_identity`](super::Wal),
    /// so that until then the directory is refused as a store.
    pub defer_identity: bool,
}

impl Default for OpenSettings {
    fn default() -> Self {
        Self {
            create: true,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            term: Term(1),
            ancestors: Vec::new(),
            defer_identity: false,
        }
    }
}

/// What recovery did, for the operator.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecoveryReport {
    /// The row of the decision table, such as `@K`.
    pub case: &'static str,
    /// Records read, bookkeeping included.
    pub records: u64,
    /// Bytes of log read.
    pub bytes: u64,
    /// Time it took.
    pub seconds: f64,
    /// Bytes of a torn write that were cut.
    pub cut_bytes: u64,
    /// Bytes of the unproven tail that were written again and synced.
    pub rewritten_bytes: u64,
}

/// A log ready to be appended to.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) lock: Box<dyn Lock>,
    pub(super) identity: Identity,
    pub(super) segments: SegmentDir,
    pub(super) tail: Mended,
    pub(super) report: RecoveryReport,
}

/// Opens the log in the store directory `dir`, giving every record to `replay`.
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
    replay: &mut Replay<'_>,
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
    let (identity, made) = match found {
        Some(identity) => (identity, None),
        None => {
            let (label, decision) = decide(&seen);
            (create(dir, runtime, settings, decision)?, Some(label))
        }
    };
    let segments = SegmentDir {
        runtime: runtime.clone(),
        path: dir.join(DIR_NAME),
        store_id: identity.store_id,
        segment_bytes: identity.segment_bytes,
    };
    let mut walked = walk(&segments, true, replay)?;
    let (label, decision) = decide(&observation(&seen, &walked));
    let mut report = RecoveryReport {
        case: made.unwrap_or(label),
        records: walked.records,
        bytes: walked.bytes,
        ..RecoveryReport::default()
    };
    let tail = match decision {
        Decision::Continue => mend::continue_in_place(&mut walked)?,
        // A store made just now has an empty first segment: nothing to cut, nothing to prove.
        Decision::Cut if made.is_some() => mend::continue_in_place(&mut walked)?,
        Decision::Cut => {
            // The crash may have come before the creation made its last names durable.
            sync_way(dir, runtime)?;
            report.cut_bytes = walked.torn_bytes;
            mend::cut(&segments, &mut walked, &mut report)?
        }
        _ => return Err(damage(&walked)),
    };
    report.seconds = runtime.clock.monotonic().saturating_sub(started).as_secs_f64();
    Ok(Opened { lock, identity, segments, tail, report })
}

fn observation(seen: &Observation, walked: &Walked) -> Observation {
    Observation {
        identity: IdentitySeen::Valid,
        chain: walked.chain,
        last: walked.last,
        rest: walked.rest,
        claimed: walked.claimed,
        ..*seen
    }
}

fn damage(walked: &Walked) -> Error {
    let advice = "the log is damaged there and nothing was changed; restore a copy, or keep this \
                  one for salvage";
    let Some(damage) = &walked.damage else {
        return Error::new(ErrorKind::Bug, "the log was refused without a reason");
    };
    let proven = if walked.claimed { ", and a later record proves that it was whole" } else { "" };
    Error::new(ErrorKind::Corrupt, format!("{}{proven}; {advice}", damage.what))
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
    if let Some(foreign) = entries.iter().find(|entry| !ours.contains(&entry.name.as_str())) {
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

/// Why a directory with somebody else's files where our segments would be is not ours.
const FOREIGN_LOG: &str = "its wal directory is not ours";

fn not_a_store(dir: &Path, why: &str) -> Error {
    let what = format!("this is not a store and was not touched: {why}; name another directory");
    Error::new(ErrorKind::Invalid, what).at_path(dir)
}

/// Creates `dir` and its missing parents, each durable in its own parent.
fn create_dirs(dir: &Path, runtime: &Runtime) -> Result<()> {
    let fail = |path: &Path, error| Error::io("create the directory", path, error);
    let parent = dir.parent().unwrap_or(Path::new(""));
    match runtime.vfs.create_dir(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent != dir => {
            create_dirs(parent, runtime)?;
            runtime.vfs.create_dir(dir).map_err(|error| fail(dir, error))?;
        }
        Err(error) => return Err(fail(dir, error)),
    }
    runtime.vfs.sync_dir(parent).map_err(|error| fail(dir, error))
}

/// Makes the names on the way to `dir`, and those in it, durable. A creation that was killed may
/// have made any of them without a sync, and what is written below them would go with them.
fn sync_way(dir: &Path, runtime: &Runtime) -> Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    for above in dir.ancestors() {
        match runtime.vfs.sync_dir(above) {
            // What this user cannot change, no creation of this user has changed.
            Err(error)
                if above != dir
                    && matches!(
                        error.kind(),
                        PermissionDenied | ReadOnlyFilesystem | InvalidInput | Unsupported
                    ) =>
            {
                return Ok(());
            }
            synced => synced.map_err(|error| Error::io("make durable", above, error))?,
        }
    }
    Ok(())
}

fn take_lock(dir: &Path, runtime: &Runtime) -> Result<Box<dyn Lock>> {
    let path = dir.join(LOCK_NAME);
    runtime.vfs.lock(&path).map_err(|error| {
        if error.kind() != io::ErrorKind::WouldBlock {
            return Error::io("lock the store", &path, error);
        }
        let holder = runtime.vfs.open(&path, OpenMode::Read).and_then(|file| file.read_whole(64));
        let holder = holder.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let who = match holder {
            Ok(pid) if !pid.is_empty() => format!("process {pid}"),
            _ => "another process".to_owned(),
        };
        let what = format!("{who} holds the store; stop it, or wait until it closes");
        Error::new(ErrorKind::Locked, what).at_path(path.clone())
    })
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
        Err(error) => return Err(Error::io("open the identity file", &shown, error)),
    };
    let bytes = match file.read_whole(identity::FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let what = "the identity file is longer than any; restore a copy of it or the store";
            let error = Error::new(ErrorKind::Corrupt, what).at_path(shown);
            return Err(error.at_offset(identity::FILE_BYTES_MAX));
        }
        Err(error) => return Err(Error::io("read the identity file", &shown, error)),
    };
    match Identity::decode(&bytes) {
        Ok(identity) => Ok(Some(identity)),
        Err(HeaderFault::Newer) => Err(Error::new(
            ErrorKind::Unsupported,
            "the store was written by a newer version of jidoka; upgrade to open it",
        )
        .at_path(shown)
        .at_offset(8)),
        Err(HeaderFault::Damaged(what)) => {
            let what = format!("{what}; restore a copy of this file or of the store");
            Err(Error::new(ErrorKind::Corrupt, what).at_path(shown).at_offset(0))
        }
    }
}

/// What an identity-less directory holds; segments count as records if any byte after a header
/// page is not zero, so that no data is ever taken for the rest of a creation.
fn look_for_files(dir: &Path, runtime: &Runtime) -> Result<FilesSeen> {
    let wal = dir.join(DIR_NAME);
    let entries = match runtime.vfs.list(&wal) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FilesSeen::Nothing),
        Err(error) => return Err(Error::io("list", Path::new(DIR_NAME), error)),
    };
    let mut seen = FilesSeen::Leftovers;
    for entry in &entries {
        match parse_file_name(&entry.name) {
            Some(SegmentNumber(1)) if !holds_records(&wal.join(&entry.name), runtime)? => {}
            Some(_) => return Ok(FilesSeen::Records),
            None if entry.name.ends_with(PREPARING_SUFFIX) => {}
            None => seen = FilesSeen::Foreign,
        }
    }
    Ok(seen)
}

fn holds_records(path: &Path, runtime: &Runtime) -> Result<bool> {
    let fail = |error| Error::io("read a segment", path, error);
    let file = runtime.vfs.open(path, OpenMode::Read).map_err(fail)?;
    let bytes = file.read_whole(crate::base::limits::SEGMENT_BYTES_MAX).map_err(fail)?;
    let records = bytes.get(to_usize(super::format::RECORDS_START)..).unwrap_or_default();
    Ok(to_u64(records.len()) > 0 && records.iter().any(|byte| *byte != 0))
}

/// Makes a store, or finishes one whose making was interrupted. The identity comes last: a
/// directory without it never acknowledged anything.
fn create(
    dir: &Path,
    runtime: &Runtime,
    settings: &OpenSettings,
    decision: Decision,
) -> Result<Identity> {
    match decision {
        Decision::Create | Decision::Finish if settings.create => {}
        Decision::Create | Decision::Finish => {
            let what = "the store's creation was never finished; write to it to finish it";
            return Err(Error::new(ErrorKind::NotFound, what).at_path(dir));
        }
        Decision::NotAStore => return Err(not_a_store(dir, FOREIGN_LOG)),
        _ => {
            let what = "the identity file is missing but the log holds records; nothing was \
                        changed; restore the identity file or the store from a copy";
            return Err(Error::new(ErrorKind::Corrupt, what).at_path(identity::FILE_NAME));
        }
    }
    let fail = |doing: &str, error| Error::io(doing, dir, error);
    let wal = dir.join(DIR_NAME);
    match runtime.vfs.create_dir(&wal) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(fail("create the log's directory in", error));
        }
        _ => sync_way(dir, runtime)?,
    }
    let random = |error| Error::io("choose an identity for", dir, error);
    let identity = Identity {
        store_id: StoreId(runtime.random().map_err(random)?),
        segment_bytes: settings.segment_bytes,
        term: settings.term,
        created: runtime.clock.now(),
        ancestors: settings.ancestors.clone(),
    };
    let segments = SegmentDir {
        runtime: runtime.clone(),
        path: wal,
        store_id: identity.store_id,
        segment_bytes: identity.segment_bytes,
    };
    segments.prepare(SegmentNumber(1))?;
    if !settings.defer_identity {
        publish_identity(dir, runtime, &identity)?;
    }
    Ok(identity)
}

/// Writes the identity file: from here on the directory is a store.
pub(super) fn publish_identity(dir: &Path, runtime: &Runtime, identity: &Identity) -> Result<()> {
    replace_file(runtime.vfs.as_ref(), dir, identity::FILE_NAME, &identity.encode())
        .map_err(|error| Error::io("write the identity file in", dir, error))
}
