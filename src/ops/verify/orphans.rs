//! Files that nothing names: what crashes and failures left.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};
use crate::checkpoint::DIR_NAME as TABLES;
use crate::manifest::{DIR_NAME as MANIFESTS, ManifestRead};
use crate::table::file_name;
use crate::vfs::Runtime;

/// Ends the name of a file that is written beside the one it replaces.
const UNFINISHED: &str = ".tmp";

/// Every file of the tables and the manifests that `read` does not name, and every file of the
/// store that was never finished; relative to the store.
///
/// # Errors
/// `Io`.
pub(super) fn orphans(dir: &Path, runtime: &Runtime, read: &ManifestRead) -> Result<Vec<PathBuf>> {
    let listed = read.state().tables().map(|table| file_name(table.number).into());
    let listed: BTreeSet<OsString> = listed.collect();
    let in_force = read.path();
    let in_force = in_force.as_ref().and_then(|path| path.file_name());
    let mut orphans = Vec::new();
    for name in names(dir, runtime)?.into_iter().filter(|name| name.ends_with(UNFINISHED)) {
        orphans.push(PathBuf::from(name));
    }
    for name in names(&dir.join(MANIFESTS), runtime)? {
        if in_force != Some(name.as_ref()) {
            orphans.push(Path::new(MANIFESTS).join(name));
        }
    }
    for name in names(&dir.join(TABLES), runtime)? {
        if !listed.contains::<std::ffi::OsStr>(name.as_ref()) {
            orphans.push(Path::new(TABLES).join(name));
        }
    }
    orphans.sort();
    Ok(orphans)
}

/// The names in a directory; none if it is missing.
fn names(dir: &Path, runtime: &Runtime) -> Result<Vec<String>> {
    match runtime.vfs.list(dir) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", dir, error)),
    }
}
