//! Writing a table: versions in their order in, one complete and synced file out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::checksum::Hash64;
use crate::base::codec::{narrow, to_u64};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, KeyspaceId, Lsn, Result, StoreId, Timestamp};
use crate::vfs::{File, FileExt, OpenMode, Vfs};

use super::block::{BlockBuilder, VersionRef};
use super::filter::{Filter, key_hash};
use super::format::{BlockKind, BlockPlace, Contents, Footer, put_block};
use super::index::{BlockAt, put_entry};

/// Bytes of a data block's payload after which the next begins.
const BLOCK_BYTES: usize = 4 << 10;
/// Bytes collected before they are written.
const WRITE_BYTES: usize = if cfg!(any(test, feature = "sim")) { 4 << 10 } else { 1 << 20 };

/// Name of the file of a table.
#[must_use]
pub fn file_name(table: u64) -> String {
    format!("{table:016}.table")
}

/// A complete table, as the manifest keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// Its number.
    pub table: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Hash of its file.
    pub hash: u64,
    /// Its smallest and its largest key.
    pub keys: (TableKey, TableKey),
    /// What is in it.
    pub contents: Contents,
}

/// A key with its keyspace, as tables order them.
pub type TableKey = (KeyspaceId, Vec<u8>);

/// A table that is being written.
#[derive(Debug)]
pub struct TableWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    store_id: StoreId,
    table: u64,
    /// Not yet written; it belongs at `written`.
    buffer: Vec<u8>,
    written: u64,
    hash: Hash64,
    block: BlockBuilder,
    index: Vec<u8>,
    filter: Vec<u64>,
    contents: Contents,
    smallest: Option<TableKey>,
    last: (KeyspaceId, Lsn),
    last_key: Vec<u8>,
}

impl TableWriter {
    /// Begins the table with this number in `dir`, whose file must not exist.
    ///
    /// # Errors
    /// `Full`, `Io`.
    pub fn create(vfs: &dyn Vfs, dir: &Path, store_id: StoreId, table: u64) -> Result<Self> {
        let path = dir.join(file_name(table));
        let file = vfs.open(&path, OpenMode::CreateNew);
        let file = file.map_err(|error| Error::io("create the table", &path, error))?;
        let contents = Contents {
            lsns: (Lsn::MAX, Lsn::ZERO),
            times: (Timestamp(u64::MAX), Timestamp(0)),
            ..Contents::default()
        };
        Ok(Self {
            file,
            path,
            store_id,
            table,
            buffer: Vec::new(),
            written: 0,
            hash: Hash64::new(),
            block: BlockBuilder::default(),
            index: Vec::new(),
            filter: Vec::new(),
            contents,
            smallest: None,
            last: (KeyspaceId(0), Lsn::MAX),
            last_key: Vec::new(),
        })
    }

    /// Adds the next version.
    ///
    /// # Errors
    /// `Full`, `Io`: the table is of no use any more.
    ///
    /// # Panics
    /// If it does not belong behind the one before: a table out of order loses keys.
    pub fn add(
        &mut self,
        (keyspace, key): (KeyspaceId, &[u8]),
        version: &VersionRef<'_>,
    ) -> Result<()> {
        let is_first = self.is_empty();
        let order = (self.last.0, self.last_key.as_slice()).cmp(&(keyspace, key));
        let is_older = order.is_eq() && version.lsn < self.last.1;
        assert!(is_first || order.is_lt() || is_older, "the versions of a table are in order");
        let is_full = self.block.bytes() >= BLOCK_BYTES || self.last.0 != keyspace;
        if is_full && !is_first {
            self.end_block()?;
        }
        if is_first || order.is_lt() {
            self.filter.push(key_hash(keyspace, key));
            self.contents.keys += 1;
        }
        let hash = self.filter.last().copied().unwrap_or_default();
        self.block.add(key, hash, version);
        self.note((keyspace, key), version);
        Ok(())
    }

    fn note(&mut self, (keyspace, key): (KeyspaceId, &[u8]), version: &VersionRef<'_>) {
        if self.smallest.is_none() {
            self.smallest = Some((keyspace, key.to_vec()));
        }
        let contents = &mut self.contents;
        contents.entries += 1;
        contents.deletions += u64::from(version.value.is_none());
        contents.key_bytes += to_u64(key.len());
        contents.value_bytes += to_u64(version.value.map_or(0, <[u8]>::len));
        contents.lsns = (contents.lsns.0.min(version.lsn), contents.lsns.1.max(version.lsn));
        contents.times = (contents.times.0.min(version.time), contents.times.1.max(version.time));
        self.last = (keyspace, version.lsn);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
    }

    /// Bytes of the file so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.position() + to_u64(self.block.bytes())
    }

    /// Whether nothing was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.contents.entries == 0
    }

    /// Completes and syncs the file.
    ///
    /// # Durability
    /// After `Ok` its bytes are on stable storage; its name only after its directory was synced.
    ///
    /// # Errors
    /// `Full`, `Io`: the table is of no use, and another must be written under another number. A
    /// failed sync is not repeated.
    ///
    /// # Panics
    /// If nothing was added.
    pub fn finish(mut self) -> Result<TableFacts> {
        assert!(!self.is_empty(), "a table holds something");
        let largest = (self.last.0, std::mem::take(&mut self.last_key));
        self.end_block()?;
        let filter = Filter::of(&self.filter).encode();
        let filter_offset = self.put(BlockKind::Filter, &filter)?;
        let index = std::mem::take(&mut self.index);
        let index_offset = self.put(BlockKind::Index, &index)?;
        let footer = Footer {
            store_id: self.store_id,
            table: self.table,
            contents: self.contents,
            filter_offset,
            index_offset,
            filter_length: narrow(filter.len()),
            index_length: narrow(index.len()),
        };
        self.buffer.extend_from_slice(&footer.encode());
        self.write()?;
        // Twice: a file system may report the failure of one sync at the next.
        if !is_planted(Plant::ManifestBeforeTableSync) {
            let synced = self.file.sync_all().and_then(|()| self.file.sync_all());
            synced.map_err(|error| Error::io("sync the table", &self.path, error))?;
        }
        let smallest = self.smallest.unwrap_or_else(|| largest.clone());
        Ok(TableFacts {
            table: self.table,
            bytes: self.written,
            hash: self.hash.finish(),
            keys: (smallest, largest),
            contents: self.contents,
        })
    }

    fn position(&self) -> u64 {
        self.written + to_u64(self.buffer.len())
    }

    fn end_block(&mut self) -> Result<()> {
        let (keyspace, offset) = (self.last.0, self.position());
        let place = BlockPlace { table: self.table, offset };
        let (buffer, index) = (&mut self.buffer, &mut self.index);
        self.block.finish(keyspace, |payload, last_key| {
            put_block(buffer, place, BlockKind::Data, payload);
            put_entry(index, BlockAt { offset, length: narrow(payload.len()), keyspace }, last_key);
        });
        if self.buffer.len() < WRITE_BYTES { Ok(()) } else { self.write() }
    }

    fn put(&mut self, kind: BlockKind, payload: &[u8]) -> Result<u64> {
        let offset = self.position();
        put_block(&mut self.buffer, BlockPlace { table: self.table, offset }, kind, payload);
        self.write()?;
        Ok(offset)
    }

    fn write(&mut self) -> Result<()> {
        self.hash.update(&self.buffer);
        let written = self.file.write_all_at(&self.buffer, self.written);
        written.map_err(|error| Error::io("write the table", &self.path, error))?;
        self.written += to_u64(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }
}
