//! All versions of a table, one after the other, for who reads everything once.

use std::sync::Arc;

use crate::base::{KeyspaceId, Result};

use super::block::{Block, VersionRef};
use super::index::Index;
use super::reader::Table;

/// Stands at a version of a table, and moves on.
///
/// Reads past the cache: who goes through whole tables would drive out what others ask for.
#[derive(Debug)]
pub struct Cursor {
    table: Arc<Table>,
    index: Arc<Index>,
    /// The block after this one.
    next_block: usize,
    /// The block, and where it is in the file.
    block: Option<(Block, u64)>,
    /// The entry behind the one it stands at.
    next: usize,
    key: Vec<u8>,
}

impl Cursor {
    /// Stands before the first version.
    ///
    /// # Errors
    /// `Corrupt` with file and offset; `Io`.
    pub fn new(table: Arc<Table>) -> Result<Self> {
        let index = table.index()?;
        let key = Vec::new();
        Ok(Self { table, index, next_block: 0, block: None, next: 0, key })
    }

    /// Moves to the next version; false behind the last.
    ///
    /// # Errors
    /// `Corrupt` with file and offset; `Io`.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            if let Some((block, offset)) = &self.block {
                let entry = block.entry(self.next, &mut self.key);
                self.next += 1;
                if entry.map_err(|fault| self.table.malformed(*offset, fault))?.is_some() {
                    return Ok(true);
                }
            }
            let Some(place) = self.index.block(self.next_block) else {
                self.block = None;
                return Ok(false);
            };
            self.block = Some((self.table.block_uncached(place)?, place.offset));
            self.next_block += 1;
            self.next = 0;
        }
    }

    /// The version it stands at; `None` before the first and behind the last.
    #[must_use]
    pub fn version(&self) -> Option<((KeyspaceId, &[u8]), VersionRef<'_>)> {
        let (block, _) = self.block.as_ref()?;
        let version = block.version(self.next.checked_sub(1)?)?;
        Some(((block.keyspace(), &self.key), version))
    }
}
