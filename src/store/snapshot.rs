//! Frozen read views.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::base::plant::{Plant, is_planted};
use crate::base::range::{End, KeyRange};
use crate::base::{KeyspaceId, Lsn, Result, Version};
use crate::table::Chunk;
use crate::vfs::sync::Mutex;

use super::batch::Keyspace;
use super::directory::Directory;
use super::iter::{Iter, prefix_range};
use super::memtable::KeyValue;
use super::tree::Tree;

/// The LSNs that snapshots hold, and how many hold each.
///
/// Taking a snapshot and choosing the horizon below which versions go both happen under this
/// lock, so a snapshot never pins a version that is just being dropped.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<BTreeMap<Lsn, usize>>);

impl Pins {
    /// Pins what `visible` says now.
    pub(super) fn pin(&self, visible: impl FnOnce() -> Lsn) -> Lsn {
        let mut pins = self.0.lock();
        let lsn = visible();
        *pins.entry(lsn).or_default() += 1;
        lsn
    }

    fn unpin(&self, lsn: Lsn) {
        let mut pins = self.0.lock();
        if let Some(count) = pins.get_mut(&lsn) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&lsn);
            }
        }
    }

    /// The LSN below which nobody reads: the oldest pin, or what is visible.
    pub(super) fn horizon(&self, visible: impl FnOnce() -> Lsn) -> Lsn {
        let pins = self.0.lock();
        let visible = visible();
        if is_planted(Plant::SnapshotNotPinned) {
            return visible;
        }
        pins.keys().next().map_or(visible, |oldest| visible.min(*oldest))
    }
}

/// What readers look at: the tree, the names in it, and what snapshots hold of it.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) tree: Tree,
    pub(super) directory: Directory,
    pub(super) pins: Pins,
}

/// The store as it was at one commit; stays so while writers go on.
///
/// Cheap: it holds an LSN and keeps the versions it can see from being dropped. It does not keep
/// the store open, and can be read when that is closed.
#[derive(Debug)]
pub struct Snapshot {
    view: Arc<View>,
    lsn: Lsn,
}

impl Snapshot {
    /// A snapshot at what `visible` says now.
    pub(super) fn take(view: &Arc<View>, visible: impl FnOnce() -> Lsn) -> Self {
        let lsn = view.pins.pin(visible);
        Self { view: Arc::clone(view), lsn }
    }

    /// The last commit it contains.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// `Corrupt` with file and offset when a table is damaged, `Io` when it cannot be read.
    ///
    /// # Cost
    /// What is in no memtable and not in the cache is read from the disk, with no lock held.
    pub fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<KeyValue>> {
        let Some(id) = self.view.directory.id(keyspace) else { return Ok(None) };
        let found = self.view.tree.newest(id, key, || self.lsn)?;
        Ok(found.and_then(|version| key_value(key, version)))
    }

    /// The keys in `range` that have a value, in byte order, from either end.
    pub fn range(&self, keyspace: &Keyspace, range: impl RangeBounds<Vec<u8>>) -> Iter {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        self.iter(keyspace, range)
    }

    /// The keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(&self, keyspace: &Keyspace, prefix: &[u8]) -> Iter {
        self.iter(keyspace, prefix_range(prefix))
    }

    /// The keys that begin with `prefix` and come after `after`.
    #[must_use]
    pub fn prefix_after(&self, keyspace: &Keyspace, prefix: &[u8], after: &[u8]) -> Iter {
        let (low, high) = prefix_range(prefix);
        let low = if after < prefix { low } else { Bound::Excluded(after.to_vec()) };
        self.iter(keyspace, (low, high))
    }

    fn iter(&self, keyspace: &Keyspace, range: KeyRange) -> Iter {
        Iter::new(self.clone(), self.view.directory.id(keyspace), range)
    }

    pub(super) fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        ends: (End, usize),
    ) -> Result<Chunk> {
        self.view.tree.scan(keyspace, range, self.lsn, ends)
    }

    /// The keyspaces and collections that exist in it, by namespace and name.
    #[must_use]
    pub fn keyspaces(&self) -> Vec<Keyspace> {
        self.view.directory.list_at(self.lsn)
    }
}

pub(super) fn key_value(key: &[u8], version: Version) -> Option<KeyValue> {
    let Version { lsn, time, value } = version;
    value.map(|value| KeyValue { key: key.into(), value, lsn, time })
}

impl Clone for Snapshot {
    fn clone(&self) -> Self {
        Self::take(&self.view, || self.lsn)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.view.pins.unpin(self.lsn);
    }
}
