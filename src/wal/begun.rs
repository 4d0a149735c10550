//! Making a log that begins behind a position of another one: that of a hot copy.
//!
//! ```text
//! 1  the first segment          segment 2, as if 1 had been released; 1 where nothing was before
//! 2  FIRST names it, durably    only behind a position
//! 3  the caller writes the log, and whatever belongs to the store beside
//! !                             a crash until here leaves what is refused as a store
//! 4  the identity               by `publish_identity`
//! ```

use std::io;
use std::path::Path;

use crate::base::{Error, ErrorKind, Result, SegmentNumber, Seq};
use crate::vfs::Runtime;

use super::create::{create_dirs, new_identity, sync_way};
use super::first::First;
use super::format::RECORDS_START;
use super::log::{Wal, new_era};
use super::mend::Mended;
use super::open::{Opened, take_lock};
use super::scan::Position;
use super::segment::{DIR_NAME, Segment, SegmentDir};
use super::settings::{OpenSettings, RecoveryReport};
use super::standing::Standing;

/// Makes the directory of a store that is made out of another one; it may be there, but empty.
///
/// # Durability
/// After `Ok` the directory, and those above it, survive a power cut.
///
/// # Errors
/// `Invalid` when there is something in it, or it is no directory; `ReadOnly`, `Full`, `Io`.
pub fn make_empty_dir(dir: &Path, runtime: &Runtime) -> Result<()> {
    let invalid = |what| Err(Error::new(ErrorKind::Invalid, what).at_path(dir));
    match runtime.vfs.list(dir) {
        Ok(entries) if entries.is_empty() => {}
        Ok(_) => {
            return invalid(
                "the directory to copy into is not empty; name a new one, or delete what is in it \
                 if that is a copy that was interrupted",
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_dirs(dir, runtime)?,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return invalid("the place to copy into is not a directory; name a new one");
        }
        Err(error) => return Err(Error::io("look at the directory to copy into", dir, error)),
    }
    sync_way(dir, runtime)
}

impl Wal {
    /// Makes the log of a new store in the directory `dir`, which goes on behind `position` of
    /// another log. Until [`Wal::publish_identity`] the directory is refused as a store.
    ///
    /// # Durability
    /// After `Ok` the log is there, empty, whatever crash comes.
    ///
    /// # Errors
    /// `Locked`, `ReadOnly`, `Full`, `Io`; what was made so far can be deleted.
    ///
    /// # Cost
    /// Writes one segment full of zeroes.
    pub fn create_behind(
        dir: &Path,
        runtime: &Runtime,
        settings: &OpenSettings,
        position: Position,
    ) -> Result<Self> {
        let era = new_era(dir, runtime)?;
        let lock = take_lock(dir, runtime)?;
        let identity = new_identity(dir, runtime, settings)?;
        let segments = SegmentDir::of_store(dir, runtime, &identity);
        let made = runtime.vfs.create_dir(&segments.path);
        made.and_then(|()| runtime.vfs.sync_dir(dir))
            .map_err(|error| Error::io("create the log's directory in", dir, error))?;
        let (first, segment, before) = begin(&segments, position)?;
        let tail = Mended {
            segment,
            offset: RECORDS_START,
            page: Vec::new(),
            position,
            start_after: Some(before),
            clean: false,
        };
        let report = RecoveryReport::default();
        let opened = Opened { lock, identity, segments, tail, report, first };
        let log = Self::of((opened, Standing::default()), settings, era);
        // It has no record that the keeper must claim, and the mark that does so would say now,
        // which is later than the commits that are copied next.
        log.shared.lock().last_commit = Seq::ZERO;
        Ok(log)
    }
}

/// The first segment, and the one before it, of which only number and salt ever were.
fn begin(dir: &SegmentDir, position: Position) -> Result<(First, Segment, Option<Segment>)> {
    if position == Position::ORIGIN {
        let First { segment, .. } = First::ORIGIN;
        return Ok((First::ORIGIN, dir.prepare(segment)?, None));
    }
    let random = |error| Error::io("choose a salt in", Path::new(DIR_NAME), error);
    let former = (First::ORIGIN.segment, dir.random_salt().map_err(random)?);
    let segment = dir.prepare(SegmentNumber::next(former.0))?;
    let first =
        First { segment: segment.number, salt: Some(segment.salt), predecessor: former, position };
    first.save(dir)?;
    let before = Segment { number: former.0, salt: former.1, file: segment.file.clone() };
    Ok((first, segment, Some(before)))
}
