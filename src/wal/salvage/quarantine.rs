//! Keeping what a salvage takes out: copies, durable before anything is changed.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::codec::to_u64;
use crate::base::{Error, Result};
use crate::vfs::{File, FileExt, OpenMode, Runtime};
use crate::wal::segment::sync_twice;

use super::find::CHUNK;

/// Directory inside the store's that holds what salvages took out, a directory for each.
pub const QUARANTINE: &str = "quarantine";

/// The directory of a salvage, relative to the store.
pub(super) fn shown(number: u64) -> PathBuf {
    Path::new(QUARANTINE).join(number.to_string())
}

/// Copies `files`, relative to `store`, to a new directory in quarantine; gives its number.
///
/// # Durability
/// After `Ok` the copies survive a power cut. What an attempt that was interrupted left stays
/// beside them, in a directory of its own.
///
/// # Errors
/// `Full`, `ReadOnly`, `Io`; nothing else was touched.
///
/// # Cost
/// Reads and writes every byte once; two syncs for each file.
pub(super) fn keep(store: &Path, runtime: &Runtime, files: &[PathBuf]) -> Result<u64> {
    let fail = |error| Error::io("make a quarantine in", Path::new(QUARANTINE), error);
    let all = store.join(QUARANTINE);
    match runtime.vfs.create_dir(&all) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(fail)?,
    }
    runtime.vfs.sync_dir(store).map_err(fail)?;
    let taken = runtime.vfs.list(&all).map_err(fail)?;
    let taken = taken.iter().filter_map(|entry| entry.name.parse::<u64>().ok());
    let number = taken.max().unwrap_or(0).saturating_add(1);
    let dir = store.join(shown(number));
    runtime.vfs.create_dir(&dir).map_err(fail)?;
    runtime.vfs.sync_dir(&all).map_err(fail)?;
    for file in files {
        let name = dir.join(file.file_name().unwrap_or_default());
        copy(runtime, &store.join(file), &name)
            .map_err(|error| Error::io("copy to quarantine", file, error))?;
    }
    runtime.vfs.sync_dir(&dir).map_err(fail)?;
    Ok(number)
}

fn copy(runtime: &Runtime, from: &Path, to: &Path) -> io::Result<()> {
    let source = runtime.vfs.open(from, OpenMode::Read)?;
    let target = runtime.vfs.open(to, OpenMode::CreateNew)?;
    let (mut chunk, mut offset) = (vec![0; CHUNK], 0);
    loop {
        let count = source.read_up_to(&mut chunk, offset)?;
        if count == 0 {
            return sync_twice(target.as_ref());
        }
        target.write_all_at(chunk.get(..count).unwrap_or_default(), offset)?;
        offset += to_u64(count);
    }
}

/// Whether a file is, byte for byte, what was kept of it.
pub(super) fn is_kept(kept: &dyn File, now: &dyn File) -> io::Result<bool> {
    let (mut one, mut other, mut offset) = (vec![0; CHUNK], vec![0; CHUNK], 0);
    loop {
        let count = kept.read_up_to(&mut one, offset)?;
        let same = now.read_up_to(&mut other, offset)? == count;
        if !same || one.get(..count) != other.get(..count) {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
        offset += to_u64(count);
    }
}
