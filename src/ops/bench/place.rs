//! Where to measure: a fresh directory on the store's file system, never in a store, gone after.

use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorKind, Result};
use crate::vfs::{Runtime, os};
use crate::wal::identity::FILE_NAME as IDENTITY_NAME;
use crate::wal::segment::DIR_NAME;

/// Beginning of the directory's name, so that one whose maker was killed can be told.
pub const PREFIX: &str = ".jidoka-bench-";

/// A directory that is removed with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct FreshDir {
    path: PathBuf,
}

impl FreshDir {
    /// Makes one in the directory `parent`.
    ///
    /// # Errors
    /// `NotFound`, `ReadOnly`, `Full`, `Io`.
    pub(super) fn make_in(parent: &Path, runtime: &Runtime) -> Result<Self> {
        let fail = |error| Error::io("make a directory to measure in", parent, error);
        let name = u64::from_le_bytes(runtime.random().map_err(fail)?);
        let path = parent.join(format!("{PREFIX}{name:016x}"));
        runtime.vfs.create_dir(&path).map_err(fail)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FreshDir {
    fn drop(&mut self) {
        // What cannot be removed is named as what it is; the figures are good all the same.
        let _ignored = os::remove_tree(&self.path);
    }
}

/// The directory beside the store `store`, which may be missing, that is not in a store itself.
///
/// # Errors
/// `Invalid` when the store is the root of its file system, `NotFound`.
pub fn beside(store: &Path) -> Result<PathBuf> {
    let spelled = std::path::absolute(store);
    let spelled = spelled.map_err(|error| Error::io("find the store's place", store, error))?;
    let place = store.canonicalize().unwrap_or(spelled);
    let mut above = place.ancestors().skip(1).filter_map(|dir| dir.canonicalize().ok());
    let Some(parent) = above.find(|dir| dir.is_dir() && !is_store(dir)) else {
        let what = "there is no directory beside the store to measure in; name one with --dir";
        return Err(Error::new(ErrorKind::NotFound, what).at_path(store));
    };
    if !same_file_system(&place, &parent) {
        let what = "the store is the root of its file system, and beside it begins another; \
                    name a directory to measure in with --dir";
        return Err(Error::new(ErrorKind::Invalid, what).at_path(store));
    }
    Ok(parent)
}

fn is_store(dir: &Path) -> bool {
    dir.ancestors().any(|dir| dir.join(IDENTITY_NAME).is_file() && dir.join(DIR_NAME).is_dir())
}

/// Refuses a directory that is a store or in one.
///
/// # Errors
/// `NotFound`, `Invalid`.
pub fn checked(dir: &Path) -> Result<PathBuf> {
    let found = dir.canonicalize();
    let found = found.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let what = "there is no such directory to measure in; check the path";
            Error::new(ErrorKind::NotFound, what).at_path(dir)
        }
        _ => Error::io("find the directory to measure in", dir, error),
    })?;
    if is_store(&found) {
        let what = "this is a store or in one, where nothing is measured; name another directory";
        return Err(Error::new(ErrorKind::Invalid, what).at_path(dir));
    }
    Ok(found)
}

#[cfg(unix)]
fn same_file_system(store: &Path, parent: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (store.metadata(), parent.metadata()) {
        (Ok(store), Ok(parent)) => store.dev() == parent.dev(),
        _ => true,
    }
}

#[cfg(not(unix))]
const fn same_file_system(_store: &Path, _parent: &Path) -> bool {
    true
}
