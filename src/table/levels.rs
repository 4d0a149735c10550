//! The tables of a store as readers see them: runs, the newest first.
//!
//! A run is made of tables whose keys do not overlap. Of a key that is in several runs, each
//! version in a newer run is newer than all in an older one.

use std::sync::Arc;

use crate::base::mark::{Mark, hit};
use crate::base::range::{End, KeyRange};
use crate::base::{KeyspaceId, Lsn, Result, Version};

use super::chunk::{Chunk, join};
use super::filter::key_hash;
use super::reader::Table;
use super::scan::is_outside;
use super::writer::TableKey;

/// An open table with its smallest and its largest key.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The table.
    pub table: Arc<Table>,
    /// Its smallest key.
    pub smallest: TableKey,
    /// Its largest key.
    pub largest: TableKey,
}

impl Placed {
    fn is_below(&self, keyspace: KeyspaceId, key: &[u8]) -> bool {
        (self.largest.0, self.largest.1.as_slice()) < (keyspace, key)
    }

    fn is_above(&self, keyspace: KeyspaceId, key: &[u8]) -> bool {
        (self.smallest.0, self.smallest.1.as_slice()) > (keyspace, key)
    }
}

/// Tables whose keys do not overlap, in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The tables.
    pub tables: Vec<Placed>,
}

impl Run {
    fn newest(
        &self,
        (keyspace, key): (KeyspaceId, &[u8]),
        hash: u64,
        at: Lsn,
    ) -> Result<Option<Version>> {
        let number = self.tables.partition_point(|placed| placed.is_below(keyspace, key));
        match self.tables.get(number).filter(|placed| !placed.is_above(keyspace, key)) {
            Some(placed) => placed.table.newest((keyspace, key), hash, at),
            None => Ok(None),
        }
    }

    /// A chunk of at most `limit` keys, from as many tables as it takes.
    fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        at: Lsn,
        (end, limit): (End, usize),
    ) -> Result<Chunk> {
        let mut chunk = Chunk::default();
        let holds = |placed: &&Placed| {
            placed.smallest.0 <= keyspace
                && keyspace <= placed.largest.0
                && !is_outside(placed, keyspace, range)
        };
        let tables: Vec<&Placed> = self.tables.iter().filter(holds).collect();
        for number in 0..tables.len() {
            let number = if end == End::Front { number } else { tables.len() - 1 - number };
            let Some(placed) = tables.get(number) else { break };
            let left = limit - chunk.found.len();
            let more = placed.table.scan(keyspace, range, at, (end, left))?;
            chunk.found.extend(more.found);
            if more.goes_on || chunk.found.len() >= limit {
                chunk.goes_on = true;
                break;
            }
        }
        Ok(chunk)
    }
}

/// All tables of a store. Never changes: a checkpoint or a merge makes another.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// Runs, the newest first.
    pub runs: Vec<Run>,
}

impl Levels {
    /// Whether there is no table.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The newest version in any of them.
    fn last_lsn(&self) -> Lsn {
        let tables = self.runs.iter().flat_map(|run| &run.tables);
        let last = tables.map(|placed| placed.table.contents().lsns.1).max();
        last.unwrap_or(Lsn::ZERO)
    }

    /// The newest version of a key at or below `at`.
    ///
    /// # Errors
    /// `Corrupt` with file and offset; `Io`.
    ///
    /// # Cost
    /// For each run that may hold the key, as [`Table::newest`].
    pub fn newest(&self, keyspace: KeyspaceId, key: &[u8], at: Lsn) -> Result<Option<Version>> {
        let hash = key_hash(keyspace, key);
        for run in &self.runs {
            if let Some(version) = run.newest((keyspace, key), hash, at)? {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// A chunk of at least one key from one end of `range`, unless there is none, and of `limit`
    /// from each run at most.
    ///
    /// # Errors
    /// As [`Levels::newest`].
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        at: Lsn,
        ends: (End, usize),
    ) -> Result<Chunk> {
        if cfg!(feature = "sim") && at < self.last_lsn() {
            hit(Mark::NewerTableRead);
        }
        let chunks = self.runs.iter().map(|run| run.scan(keyspace, range, at, ends));
        Ok(join(chunks.collect::<Result<_>>()?, ends.0))
    }
}
