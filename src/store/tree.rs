//! Where the versions of keys are: in memory, being written into tables, and in tables.
//!
//! A look goes from the newest to the oldest and ends where it finds something. What is beneath the
//! memtable never changes in place: it is replaced as a whole, so that whoever reads goes on with
//! what it had, and holds no lock while it waits for the disk.

use std::sync::Arc;

use crate::base::mark::{Mark, hit};
use crate::base::range::{End, KeyRange};
use crate::base::{KeyspaceId, Lsn, Result, Version};
use crate::table::{Chunk, Levels, join};
use crate::vfs::sync::RwLock;

use super::frozen::Frozen;
use super::memtable::Memtable;

/// What is beneath the memtable.
#[derive(Clone, Debug, Default)]
struct Beneath {
    /// The memtable before this one, while it is written into tables.
    frozen: Option<Arc<Frozen>>,
    levels: Arc<Levels>,
}

impl Beneath {
    fn is_empty(&self) -> bool {
        self.frozen.is_none() && self.levels.is_empty()
    }

    fn newest(&self, keyspace: KeyspaceId, key: &[u8], at: Lsn) -> Result<Option<Version>> {
        let frozen = self.frozen.as_ref();
        match frozen.and_then(|frozen| frozen.memtable.get(keyspace, key, at)) {
            Some(version) => {
                hit(Mark::FrozenRead);
                Ok(Some(version.clone()))
            }
            None => self.levels.newest(keyspace, key, at),
        }
    }
}

#[derive(Debug, Default)]
struct Parts {
    memtable: Memtable,
    beneath: Arc<Beneath>,
}

/// All versions that somebody may ask for.
#[derive(Debug, Default)]
pub(super) struct Tree(RwLock<Parts>);

impl Tree {
    /// A tree of what was replayed, on top of tables.
    pub(super) fn new(memtable: Memtable, levels: Arc<Levels>) -> Self {
        let beneath = Arc::new(Beneath { frozen: None, levels });
        Self(RwLock::new(Parts { memtable, beneath }))
    }

    /// The newest version of a key at or below what `at` says while the memtable is looked at.
    pub(super) fn newest(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        at: impl FnOnce() -> Lsn,
    ) -> Result<Option<Version>> {
        let parts = self.0.read();
        // Read under the lock: a version this LSN needs cannot go before the lock is released.
        let at = at();
        if let Some(version) = parts.memtable.get(keyspace, key, at) {
            return Ok(Some(version.clone()));
        }
        if parts.beneath.is_empty() {
            return Ok(None);
        }
        let beneath = Arc::clone(&parts.beneath);
        drop(parts);
        beneath.newest(keyspace, key, at)
    }

    /// Keys from one end of `range`, with their newest versions at or below `at`, which a snapshot
    /// holds: at least one key, unless there is none, and `limit` or a little more.
    pub(super) fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        at: Lsn,
        ends: (End, usize),
    ) -> Result<Chunk> {
        let parts = self.0.read();
        let newest = parts.memtable.scan(keyspace, range, at, ends);
        if parts.beneath.is_empty() {
            return Ok(newest);
        }
        let beneath = Arc::clone(&parts.beneath);
        drop(parts);
        let frozen = beneath.frozen.as_ref();
        let frozen = frozen.map(|frozen| frozen.memtable.scan(keyspace, range, at, ends));
        let oldest = beneath.levels.scan(keyspace, range, at, ends)?;
        Ok(join([Some(newest), frozen, Some(oldest)].into_iter().flatten().collect(), ends.0))
    }

    /// Changes the memtable; gives its bytes then.
    pub(super) fn change(&self, change: impl FnOnce(&mut Memtable)) -> usize {
        let mut parts = self.0.write();
        change(&mut parts.memtable);
        parts.memtable.bytes()
    }

    /// The memtable that is being written into tables.
    pub(super) fn frozen(&self) -> Option<Arc<Frozen>> {
        self.0.read().beneath.frozen.clone()
    }

    /// Puts an empty memtable in place of one that is frozen.
    ///
    /// # Panics
    /// If another is frozen already: it would be lost to readers.
    pub(super) fn freeze(&self, freeze: impl FnOnce(Memtable) -> Frozen) -> Arc<Frozen> {
        let mut parts = self.0.write();
        assert!(parts.beneath.frozen.is_none(), "one memtable is frozen at a time");
        let above = Memtable::above_others();
        let frozen = Arc::new(freeze(std::mem::replace(&mut parts.memtable, above)));
        let levels = Arc::clone(&parts.beneath.levels);
        parts.beneath = Arc::new(Beneath { frozen: Some(Arc::clone(&frozen)), levels });
        frozen
    }

    /// Readers see these tables from now on, and the frozen memtable in them if it `is_written`.
    pub(super) fn install(&self, levels: &Arc<Levels>, is_written: bool) {
        let mut parts = self.0.write();
        let frozen = parts.beneath.frozen.clone().filter(|_| !is_written);
        parts.beneath = Arc::new(Beneath { frozen, levels: Arc::clone(levels) });
    }

    /// Bytes of keys and values in memory.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.0.read();
        let frozen = parts.beneath.frozen.as_ref();
        parts.memtable.bytes() + frozen.map_or(0, |frozen| frozen.memtable.bytes())
    }
}
