//! Making a store: what is there before, directories that stay, and the identity last.

use std::io;
use std::path::Path;

use crate::base::codec::to_u64;
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result, SegmentNumber, StoreId};
use crate::vfs::{FileExt, OpenMode, Runtime, replace_file};

use super::first;
use super::identity::{self, Identity};
use super::pool::FREE_SUFFIX;
use super::recovery::{Decision, FilesSeen};
use super::segment::{DIR_NAME, PREPARING_SUFFIX, SegmentDir, cannot_read, parse_file_name};
use super::settings::OpenSettings;

/// Why a directory with somebody else's files where our segments would be is not ours.
pub(super) const FOREIGN_LOG: &str = "its wal directory is not ours";

pub(super) fn not_a_store(dir: &Path, why: &str) -> Error {
    let what = format!("this is not a store and was not touched: {why}; name another directory");
    Error::new(ErrorKind::Invalid, what).at_path(dir)
}

/// Creates `dir` and its missing parents, each durable in its own parent.
pub(super) fn create_dirs(dir: &Path, runtime: &Runtime) -> Result<()> {
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
pub(super) fn sync_way(dir: &Path, runtime: &Runtime) -> Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    for above in dir.ancestors().filter(|_| !is_planted(Plant::WayNotSynced)) {
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

/// What an identity-less directory holds; segments count as records if any byte after a header
/// page is not zero, so that no data is ever taken for the rest of a creation.
pub(super) fn look_for_files(dir: &Path, runtime: &Runtime) -> Result<FilesSeen> {
    let wal = dir.join(DIR_NAME);
    let entries = match runtime.vfs.list(&wal) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FilesSeen::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(FilesSeen::Foreign);
        }
        Err(error) => return Err(Error::io("list", Path::new(DIR_NAME), error)),
    };
    let mut seen = FilesSeen::Leftovers;
    for entry in &entries {
        match parse_file_name(&entry.name) {
            Some(SegmentNumber(1)) if !holds_records(&wal.join(&entry.name), runtime)? => {}
            Some(_) => return Ok(FilesSeen::Records),
            None if entry.name.ends_with(PREPARING_SUFFIX) => {}
            // A creation leaves neither: segments were released here.
            None if entry.name.ends_with(FREE_SUFFIX) || entry.name == first::FILE_NAME => {
                return Ok(FilesSeen::Records);
            }
            None => seen = FilesSeen::Foreign,
        }
    }
    Ok(seen)
}

/// Looks at the file piece by piece, and no further than it has to.
fn holds_records(path: &Path, runtime: &Runtime) -> Result<bool> {
    let fail = |error| cannot_read("read a segment", path, error);
    let file = runtime.vfs.open(path, OpenMode::Read).map_err(fail)?;
    if file.size().map_err(fail)? > crate::base::limits::SEGMENT_BYTES_MAX {
        return Err(fail(io::ErrorKind::FileTooLarge.into()));
    }
    let mut piece = vec![0; runtime.vfs.reading().piece];
    let mut offset = super::format::RECORDS_START;
    loop {
        let count = file.read_up_to(&mut piece, offset).map_err(fail)?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
        if count < piece.len() {
            return Ok(false);
        }
        offset += to_u64(count);
    }
}

/// Makes a store, or finishes one whose making was interrupted. The identity comes last: a
/// directory without it never acknowledged anything.
pub(super) fn create(
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
                        changed; restore the identity file or the store from a copy (case @C)";
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
    let identity = new_identity(dir, runtime, settings)?;
    let segments = SegmentDir::of_store(dir, runtime, &identity);
    if is_planted(Plant::IdentityTooEarly) {
        publish_identity(dir, runtime, &identity)?;
    }
    segments.prepare(SegmentNumber(1))?;
    if !settings.defer_identity {
        publish_identity(dir, runtime, &identity)?;
    }
    Ok(identity)
}

/// An identity that no other store has.
pub(super) fn new_identity(
    dir: &Path,
    runtime: &Runtime,
    settings: &OpenSettings,
) -> Result<Identity> {
    let random = |error| Error::io("choose an identity for", dir, error);
    Ok(Identity {
        store_id: StoreId(runtime.random().map_err(random)?),
        segment_bytes: settings.segment_bytes,
        term: settings.term,
        created: runtime.clock.now(),
        ancestors: settings.ancestors.clone(),
    })
}

/// Writes the identity file: from here on the directory is a store.
pub(super) fn publish_identity(dir: &Path, runtime: &Runtime, identity: &Identity) -> Result<()> {
    replace_file(runtime.vfs.as_ref(), dir, identity::FILE_NAME, &identity.encode())
        .map_err(|error| Error::io("write the identity file in", dir, error))
}
