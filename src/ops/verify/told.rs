//! What a verification has found so far.

use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::wal::Damage;

/// What a verification found.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many of each thing were checked.
    pub checked: Vec<(&'static str, u64)>,
    /// Everything that is not what it should be.
    pub damage: Vec<Damage>,
    /// Files that nothing names, relative to the store: what crashes left. They take space and do
    /// no harm, and opening the store or its next checkpoint removes them.
    pub orphans: Vec<PathBuf>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Damage as it is found.
#[derive(Debug)]
pub(super) struct Told {
    /// The store's directory: paths are told relative to it.
    store: PathBuf,
    pub(super) damage: Vec<Damage>,
}

impl Told {
    pub(super) fn new(store: &Path) -> Self {
        Self { store: store.to_path_buf(), damage: Vec::new() }
    }

    pub(super) fn wrong(
        &mut self,
        path: &Path,
        (offset, lsn): (Option<u64>, Option<Lsn>),
        what: impl Into<String>,
    ) {
        let path = path.strip_prefix(&self.store).unwrap_or(path).to_path_buf();
        self.damage.push(Damage { path, offset, lsn, what: what.into() });
    }

    /// Takes damage out of what was read.
    ///
    /// # Errors
    /// Whatever is no damage: a disk that cannot be read says nothing about the bytes.
    pub(super) fn sound<T>(&mut self, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.corrupt(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn corrupt(&mut self, error: &Error) {
        let place = error.place();
        let path = place.path.clone().unwrap_or_default();
        self.wrong(&path, (place.offset, place.lsn), error.message());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_with_its_place_in_the_store_and_a_failing_disk_is_no_damage() {
        let mut told = Told::new(Path::new("/store"));
        let error = |kind| Error::new(kind, "it is gone").at_path("/store/a/b").at_offset(7);
        assert_eq!(told.sound(Ok(3)).unwrap(), Some(3));
        assert_eq!(told.sound::<()>(Err(error(ErrorKind::Corrupt))).unwrap(), None);
        let [damage] = told.damage.as_slice() else { panic!("{told:?}") };
        assert_eq!((damage.path.as_path(), damage.offset), (Path::new("a/b"), Some(7)));
        let failed = told.sound::<()>(Err(error(ErrorKind::Io))).unwrap_err();
        assert_eq!((failed.kind(), told.damage.len()), (ErrorKind::Io, 1));
    }
}
