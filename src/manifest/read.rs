//! Reading the manifest of a store without writing a byte, and going on to write it.

use std::path::{Path, PathBuf};

use crate::base::limits::MANIFEST_BYTES_DEFAULT;
use crate::base::{Error, ErrorKind, Result, StoreId};
use crate::vfs::Runtime;

use super::dir::{CURRENT, ManifestDir, shown_path};
use super::format::EditId;
use super::log::Manifest;
use super::scan::History;
use super::sector::Sector;
use super::state::State;

/// The manifest of a store, as its files tell it.
///
/// It is what its files say *now*, which may be in memory only: nobody but recovery may act on it
/// before [`ManifestRead::into_writable`] made it durable.
#[derive(Debug)]
pub struct ManifestRead {
    pub(super) dir: ManifestDir,
    /// The manifest in force.
    pub(super) current: Option<Sector>,
    pub(super) history: History,
}

impl ManifestRead {
    /// Reads the manifest of the store in `dir`, whose lock the caller holds; a store without one
    /// has the empty state.
    ///
    /// # Errors
    /// `Corrupt` with the place of the damage; a torn end is none. `Unsupported` when a newer
    /// version wrote it. `Io`: an unreadable place is not the end.
    ///
    /// # Cost
    /// Reads two files whole, of which one has [`MANIFEST_BYTES_DEFAULT`] bytes unless the store
    /// has very many tables.
    pub fn open(dir: &Path, runtime: &Runtime, store_id: StoreId) -> Result<Self> {
        let (runtime, store) = (runtime.clone(), dir.to_path_buf());
        let dir = ManifestDir { runtime, store, store_id };
        let current = dir.current()?;
        let history = match &current {
            Some(current) => dir.history(current)?,
            None => History { edits: vec![EditId::default()], ..History::default() },
        };
        Ok(Self { dir, current, history })
    }

    /// The state after the last whole edit.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.history.state
    }

    /// The last whole edit.
    #[must_use]
    pub fn last(&self) -> EditId {
        self.history.last()
    }

    /// The file that is in force, relative to the store; `None` in a store without tables.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.current.as_ref().map(|current| shown_path(current.manifest))
    }

    /// Bytes of that file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.file_bytes)
    }

    /// The number of records that were read: the snapshot, and the edits behind it.
    #[must_use]
    pub fn records(&self) -> usize {
        self.current.as_ref().map_or(0, |_| self.history.edits.len())
    }

    /// Whether a crash has left something behind the last edit.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.history.is_torn
    }

    /// Requires that nothing is behind the last edit, as after a close in order.
    ///
    /// # Errors
    /// `Corrupt` when something is.
    pub fn expect_clean(&self) -> Result<()> {
        if !self.history.is_torn {
            return Ok(());
        }
        let number = self.last().number + 1;
        Err(self.corrupt(format!(
            "behind the last edit of the manifest is something that is no edit {number}, though \
             the store was closed in order; restore a copy"
        )))
    }

    /// Compares with an edit that is known to have been durable: the one in the log's newest
    /// Checkpoint record. One before the snapshot is part of it and cannot be compared.
    ///
    /// # Errors
    /// `Corrupt` when the manifest ends before it, or has another in its place.
    pub fn expect(&self, known: EditId) -> Result<()> {
        let first = self.history.edits.first().map_or(0, |edit| edit.number);
        let Some(index) = known.number.checked_sub(first) else { return Ok(()) };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let (number, last) = (known.number, self.last().number);
        let what = match self.history.edits.get(index) {
            Some(edit) if *edit == known => return Ok(()),
            Some(_) => format!(
                "edit {number} of the manifest is not the one that the log names: one of them is \
                 of another history; restore a copy"
            ),
            None => format!(
                "the log names edit {number} of the manifest, which ends with edit {last}: edits \
                 are lost; restore a copy"
            ),
        };
        Err(self.corrupt(what))
    }

    /// Goes on to write. `clean` says that the store was closed in order; `known` is what
    /// [`ManifestRead::expect`] is asked before anything is written.
    ///
    /// # Durability
    /// What [`Manifest::state`] shows then survives a power cut: unless `clean`, it was written
    /// again into a new manifest, and synced.
    ///
    /// # Errors
    /// `Corrupt` as [`ManifestRead::expect`], and for a torn end after a clean close. `Full`,
    /// `Io`: the same store can be opened again.
    ///
    /// # Cost
    /// Clean and with nothing left over from a crash: no write. Else one new manifest, with four
    /// syncs of files and four of directories.
    pub fn into_writable(self, clean: bool, known: Option<EditId>) -> Result<Manifest> {
        self.into_writable_sized(clean, known, MANIFEST_BYTES_DEFAULT)
    }

    /// [`ManifestRead::into_writable`] with another size for new manifests, for tests of what
    /// happens when one is full: each is as large as it must be, and at least this.
    ///
    /// # Errors
    /// As [`ManifestRead::into_writable`].
    pub fn into_writable_sized(
        self,
        clean: bool,
        known: Option<EditId>,
        file_bytes: u64,
    ) -> Result<Manifest> {
        if let Some(known) = known {
            self.expect(known)?;
        }
        if clean {
            self.expect_clean()?;
        }
        Manifest::begin(self, clean, file_bytes)
    }

    /// Damage at the end of the edits.
    fn corrupt(&self, what: String) -> Error {
        let error = Error::new(ErrorKind::Corrupt, what);
        match &self.current {
            Some(current) => {
                error.at_path(shown_path(current.manifest)).at_offset(self.history.end)
            }
            None => error.at_path(CURRENT).at_offset(0),
        }
    }
}
