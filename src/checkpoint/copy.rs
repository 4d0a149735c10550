//! The tables of a moment, made the tables of another store.
//!
//! A table never changes, so the other store may have the same file under a name of its own; where
//! the file system cannot do that, the bytes are copied, and compared with what the manifest says
//! of them. The other store's manifest is a new one and lists the same tables.

use std::io;
use std::path::Path;

use crate::base::checksum::Hash64;
use crate::base::codec::{to_u64, to_usize};
use crate::base::{Error, ErrorKind, Result, SegmentNumber, StoreId};
use crate::manifest::{Checkpoint, EditId, ListedTable, ManifestRead, State};
use crate::table::file_name;
use crate::vfs::{FileExt, OpenMode, Runtime};
use crate::wal::segment::sync_twice;

use super::tables::{DIR_NAME, Tables};

/// Bytes of a table that are copied at once.
const PIECE: usize = 1 << 20;

/// The tables of a moment. While it lives, none of their files goes.
#[derive(Debug)]
pub struct Pinned<'a> {
    tables: &'a Tables,
    state: State,
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.tables.removals.unpin(self.tables.runtime.vfs.as_ref());
    }
}

/// Which tables another store has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TablesCopied {
    /// All of them.
    pub tables: u64,
    /// Those that are the same file in both stores.
    pub linked: u64,
    /// Bytes of those that are not.
    pub bytes: u64,
}

impl Tables {
    /// The tables that there are now.
    #[must_use]
    pub fn pin(&self) -> Pinned<'_> {
        let installed = self.installed.lock();
        // Before anything that this state lists can be replaced.
        self.removals.pin();
        Pinned { tables: self, state: installed.manifest.state().clone() }
    }
}

/// Makes the directory of the tables in `store`, which is empty, and durable under its name. From
/// here on the directory is refused as a store until it has an identity.
///
/// # Errors
/// `Invalid` when somebody else makes a store there; `Full`, `Io`.
pub fn begin_copy(store: &Path, runtime: &Runtime) -> Result<()> {
    let path = store.join(DIR_NAME);
    let made = runtime.vfs.create_dir(&path).and_then(|()| runtime.vfs.sync_dir(store));
    made.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let what = "somebody else copies into this directory; name another";
            return Error::new(ErrorKind::Invalid, what).at_path(store);
        }
        Error::io("make the directory of the tables", &path, error)
    })
}

impl Pinned<'_> {
    /// Up to where they hold everything.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        self.state.checkpoint()
    }

    /// Gives these tables to the new store `store_id` in `store`, whose log begins behind their
    /// checkpoint with `segment`. The edit is the last one of its manifest; `None` where there was
    /// no checkpoint, and so no table.
    ///
    /// # Durability
    /// After `Ok` everything is there, whatever crash comes.
    ///
    /// # Errors
    /// `Corrupt` when a table that is copied is not the one that was listed; `Full`, `Io`.
    ///
    /// # Cost
    /// A link for each table, or a copy of its bytes and two syncs; a sync of the directory; the
    /// manifest with eight.
    pub fn give_to(
        &self,
        store: &Path,
        store_id: StoreId,
        segment: SegmentNumber,
    ) -> Result<(Option<EditId>, TablesCopied)> {
        let runtime = &self.tables.runtime;
        let (dir, mut copied) = (store.join(DIR_NAME), TablesCopied::default());
        for table in self.state.tables() {
            copied.tables += 1;
            if self.link_or_copy(table, &dir)? {
                copied.linked += 1;
            } else {
                copied.bytes += table.file_bytes;
            }
        }
        let synced = runtime.vfs.sync_dir(&dir);
        synced.map_err(|error| Error::io("sync the tables", &dir, error))?;
        if *self.checkpoint() == Checkpoint::ORIGIN {
            return Ok((None, copied));
        }
        let read = ManifestRead::open(store, runtime, store_id)?;
        let mut manifest = read.into_writable(false, None)?;
        let edit = manifest.append(&self.state.listing(segment))?;
        Ok((Some(edit), copied))
    }

    /// Whether the table could be linked.
    fn link_or_copy(&self, table: &ListedTable, dir: &Path) -> Result<bool> {
        use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
        let name = file_name(table.number);
        let (from, to) = (self.tables.dir.path.join(&name), dir.join(&name));
        match self.tables.runtime.vfs.link(&from, &to) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    CrossesDevices | PermissionDenied | TooManyLinks | Unsupported
                ) =>
            {
                self.copy(table, &from, &to).map(|()| false)
            }
            Err(error) => Err(Error::io("link the table", &to, error)),
        }
    }

    fn copy(&self, table: &ListedTable, from: &Path, to: &Path) -> Result<()> {
        let vfs = &self.tables.runtime.vfs;
        let cannot_read = |error| Error::io("read the table", from, error);
        let cannot_write = |error| Error::io("write the table", to, error);
        let source = vfs.open(from, OpenMode::Read).map_err(cannot_read)?;
        let target = vfs.open(to, OpenMode::CreateNew).map_err(cannot_write)?;
        let mut piece = vec![0; PIECE.min(to_usize(table.file_bytes)).max(1)];
        let (mut offset, mut hash) = (0, Hash64::new());
        loop {
            let count = source.read_up_to(&mut piece, offset).map_err(cannot_read)?;
            let bytes = piece.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            hash.update(bytes);
            target.write_all_at(bytes, offset).map_err(cannot_write)?;
            offset += to_u64(count);
        }
        if (offset, hash.finish()) != (table.file_bytes, table.file_hash) {
            let what = "the table is not what was written: its bytes have another hash than the \
                        manifest says; restore a copy";
            return Err(Error::new(ErrorKind::Corrupt, what).at_path(from));
        }
        sync_twice(target.as_ref()).map_err(cannot_write)
    }
}
