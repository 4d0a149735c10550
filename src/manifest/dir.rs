//! The files of manifests: their names, and reading the one in force.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::codec::to_u64;
use crate::base::{Error, ErrorKind, Result, StoreId};
use crate::vfs::{FileExt, OpenMode, Runtime};
use crate::wal::header::HeaderFault;

use super::scan::{self, History};
use super::sector::{Role, SECTOR, Sector};

/// Directory of the manifests, in the store's.
pub const DIR_NAME: &str = "manifest";
/// Name of the file, in the store's directory, that says which of them is in force.
pub const CURRENT: &str = "CURRENT";
const SUFFIX: &str = ".manifest";

/// File name of a manifest.
fn file_name(number: u64) -> String {
    format!("{number:016}{SUFFIX}")
}

/// The manifest that a file name stands for.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The path of a manifest as errors show it: relative to the store.
pub(super) fn shown_path(number: u64) -> PathBuf {
    Path::new(DIR_NAME).join(file_name(number))
}

/// Where the manifests of a store are.
#[derive(Clone, Debug)]
pub(super) struct ManifestDir {
    pub(super) runtime: Runtime,
    /// The store's directory.
    pub(super) store: PathBuf,
    pub(super) store_id: StoreId,
}

impl ManifestDir {
    pub(super) fn path(&self) -> PathBuf {
        self.store.join(DIR_NAME)
    }

    pub(super) fn file_path(&self, number: u64) -> PathBuf {
        self.path().join(file_name(number))
    }

    /// The numbers of all manifests whose files are there, in force or not.
    pub(super) fn numbers(&self) -> Result<Vec<u64>> {
        match self.runtime.vfs.list(&self.path()) {
            Ok(names) => {
                Ok(names.iter().filter_map(|entry| parse_file_name(&entry.name)).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("list", Path::new(DIR_NAME), error)),
        }
    }

    /// Which manifest is in force; `None` when there is none yet.
    pub(super) fn current(&self) -> Result<Option<Sector>> {
        let shown = Path::new(CURRENT);
        let corrupt = |what: &str| {
            let what = format!("the file that says which manifest is in force: {what}");
            Err(Error::new(ErrorKind::Corrupt, what).at_path(shown).at_offset(0))
        };
        let bytes = match self.bytes(&self.store.join(CURRENT), to_u64(SECTOR)) {
            Ok(bytes) => bytes,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound => Ok(None),
                    io::ErrorKind::FileTooLarge => corrupt("it is longer than it was made"),
                    _ => Err(cannot_read(shown, error)),
                };
            }
        };
        match Sector::decode(&bytes, Role::Current) {
            Ok(sector) if sector.store_id == self.store_id => Ok(Some(sector)),
            Ok(_) => corrupt("it belongs to another store"),
            Err(HeaderFault::Damaged(what)) => corrupt(what),
            Err(HeaderFault::Unsupported(what)) => {
                Err(Error::new(ErrorKind::Unsupported, what).at_path(shown))
            }
        }
    }

    /// What the manifest in force says.
    pub(super) fn history(&self, current: &Sector) -> Result<History> {
        let shown = shown_path(current.manifest);
        let bytes = match self.bytes(&self.file_path(current.manifest), current.file_bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                let what = match error.kind() {
                    io::ErrorKind::NotFound => "CURRENT names it, and it is not there",
                    io::ErrorKind::FileTooLarge => "it is longer than it was made",
                    _ => return Err(cannot_read(&shown, error)),
                };
                let what = format!("the manifest in force: {what}; restore a copy");
                return Err(Error::new(ErrorKind::Corrupt, what).at_path(shown).at_offset(0));
            }
        };
        scan::read(&bytes, current).map_err(|fault| {
            Error::new(fault.kind, fault.what).at_path(shown).at_offset(fault.offset)
        })
    }

    fn bytes(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.runtime.vfs.open(path, OpenMode::Read)?.read_whole(limit)
    }
}

/// A name that is no file at all is damage: nobody who keeps the format makes one.
fn cannot_read(shown: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotSeekable};
    if !matches!(error.kind(), IsADirectory | NotADirectory | NotSeekable) {
        return Error::io("read", shown, error);
    }
    let what = format!("this name is the store's, but it is something else ({error})");
    Error::new(ErrorKind::Corrupt, what).at_path(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_read() {
        assert_eq!(parse_file_name(&file_name(12)), Some(12));
        for name in ["12.manifest", "000000000000001x.manifest", "0000000000000001.tmp", "CURRENT"]
        {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
