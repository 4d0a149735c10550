//! Replay of a log that took commits back.
//!
//! Replay keeps only the newest version of a key, so it cannot go back when it meets a truncation;
//! and only a cluster takes back. So the log is read once more, by a reader who knows by now which
//! commits are still in the history.

use std::path::Path;

use crate::base::Result;
use crate::vfs::Runtime;
use crate::wal::LogReader;
use crate::wal::reader::Limit;

use super::directory::Directory;
use super::replay::Replay;

/// Has `replay`, which knows the truncations, take the whole log of the open store in `dir`.
///
/// # Errors
/// `Corrupt`, `Unsupported`, `Io`.
///
/// # Cost
/// Reads the whole log.
pub(super) fn rebuild(
    dir: &Path,
    runtime: &Runtime,
    mut replay: Replay,
) -> Result<(Replay, Directory)> {
    let directory = Directory::default();
    let mut reader = LogReader::open(dir, runtime)?.with_taken_back();
    while let Some(record) = reader.next(Limit::Everything)? {
        replay.take(&record.borrowed(), &directory)?;
    }
    reader.check_end()?;
    Ok((replay, directory))
}
