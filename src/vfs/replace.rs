//! The one way to replace a small file: write beside it, sync, rename, sync the directory.

use std::io;
use std::path::Path;

use crate::base::plant::{Plant, is_planted};

use super::fs::{FileExt, OpenMode, Vfs};

/// Makes `dir/name` hold exactly `bytes`, through `dir/name.tmp`.
///
/// # Durability
/// After `Ok` the new content survives a power cut. At every moment before, a crash leaves the
/// old content, or no file when there was none.
///
/// # Errors
/// As the file system says; `dir/name` is then untouched or already complete.
///
/// # Cost
/// Two file syncs and one directory sync.
pub fn replace_file(vfs: &dyn Vfs, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = dir.join(format!("{name}.tmp"));
    match vfs.remove(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = vfs.open(&beside, OpenMode::CreateNew)?;
    file.write_all_at(bytes, 0)?;
    if !is_planted(Plant::ReplacementNotSynced) {
        // Twice: a file system may report the failure of one sync at the next.
        file.sync_all()?;
        file.sync_all()?;
    }
    vfs.rename(&beside, &dir.join(name))?;
    if is_planted(Plant::ReplacementNameNotSynced) { Ok(()) } else { vfs.sync_dir(dir) }
}
