//! New tables, as many as it takes; all of them or none.

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{KeyspaceId, Result, StoreId};
use crate::table::block::VersionRef;
use crate::table::{TableFacts, TableKey, TableWriter, file_name};
use crate::vfs::Vfs;
use crate::vfs::sync::atomic::{AtomicU64, Ordering};

/// Where tables are written.
#[derive(Clone, Debug)]
pub(super) struct TableDir {
    /// The file system.
    pub(super) vfs: Arc<dyn Vfs>,
    /// The directory of the tables.
    pub(super) path: PathBuf,
    /// The store they belong to.
    pub(super) store_id: StoreId,
    /// Bytes after which the next table begins, at the next key.
    pub(super) table_bytes: u64,
}

/// Tables that are being written.
#[derive(Debug)]
pub(super) struct Output<'a> {
    dir: &'a TableDir,
    next: &'a AtomicU64,
    used: Vec<u64>,
    writer: Option<TableWriter>,
    last_key: Option<TableKey>,
    done: Vec<TableFacts>,
}

impl<'a> Output<'a> {
    /// Takes the numbers of its tables from `next`; one that is taken is never given again.
    #[must_use]
    pub(super) fn new(dir: &'a TableDir, next: &'a AtomicU64) -> Self {
        let (used, done) = (Vec::new(), Vec::new());
        Self { dir, next, used, writer: None, last_key: None, done }
    }

    /// Adds the next version. After an error nothing of it is of use: see [`Output::discard`].
    ///
    /// # Errors
    /// `Full`, `Io`.
    pub(super) fn add(
        &mut self,
        (keyspace, key): (KeyspaceId, &[u8]),
        version: &VersionRef<'_>,
    ) -> Result<()> {
        let is_large = |writer: &TableWriter| writer.bytes() >= self.dir.table_bytes;
        if self.writer.as_ref().is_some_and(is_large) {
            let last = self.last_key.as_ref().map(|(last, bytes)| (*last, bytes.as_slice()));
            if last != Some((keyspace, key)) {
                self.end_table()?;
            }
        }
        if self.writer.is_none() {
            let TableDir { vfs, path, store_id, .. } = self.dir;
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.used.push(number);
            self.writer = Some(TableWriter::create(vfs.as_ref(), path, *store_id, number)?);
        }
        if let Some(writer) = &mut self.writer {
            writer.add((keyspace, key), version)?;
        }
        let (last, bytes) = self.last_key.get_or_insert((keyspace, Vec::new()));
        *last = keyspace;
        bytes.clear();
        bytes.extend_from_slice(key);
        Ok(())
    }

    fn end_table(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            self.done.push(writer.finish()?);
        }
        Ok(())
    }

    /// Completes the tables; none if nothing was added.
    ///
    /// # Durability
    /// Their bytes are on stable storage; their names after the next sync of the directory.
    ///
    /// # Errors
    /// `Full`, `Io`.
    pub(super) fn finish(&mut self) -> Result<Vec<TableFacts>> {
        self.end_table()?;
        Ok(std::mem::take(&mut self.done))
    }

    /// Removes what was written so far, as well as that can be done: what stays is not named by
    /// the manifest, and goes when the store is opened next.
    pub(super) fn discard(mut self) {
        drop(self.writer.take());
        for number in self.used {
            let _left = self.dir.vfs.remove(&self.dir.path.join(file_name(number)));
        }
    }
}
