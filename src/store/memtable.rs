//! The versions of every key that were appended, in order of keyspace and key.
//!
//! Appended is not visible: a version is in here from the moment it has an LSN, and readers look
//! only at versions up to the visible LSN. So conditional writes are decided against everything
//! appended, readers see nothing too early, and after a failure what is unknown simply stays
//! beyond the visible LSN.
//!
//! Old versions go when no snapshot and no reader can ask for them, below the *horizon*.
//! Invariant **M1**: for each key, the newest version at or below the horizon is kept.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;
use std::sync::Arc;

use crate::base::mark::{Mark, hit};
use crate::base::range::{End, KeyRange, is_empty};
use crate::base::{Bytes, KeyspaceId, Lsn, Timestamp, Value, Version};
use crate::table::Chunk;
use crate::table::block::VersionRef;

use super::key::{Key, Look, Sought};

/// The versions of one key. Nearly every key has one, which takes no memory apart.
#[derive(Debug, PartialEq)]
struct Versions {
    newest: Version,
    /// Those before it, oldest first.
    older: Vec<Version>,
}

impl Versions {
    const fn one(version: Version) -> Self {
        Self { newest: version, older: Vec::new() }
    }

    /// The newest version at or below `at`.
    fn at(&self, at: Lsn) -> Option<&Version> {
        if self.newest.lsn <= at {
            return Some(&self.newest);
        }
        self.older.iter().rev().find(|version| version.lsn <= at)
    }

    /// Adds a newer version.
    fn push(&mut self, version: Version) {
        assert!(self.newest.lsn < version.lsn, "versions only get newer");
        self.older.push(std::mem::replace(&mut self.newest, version));
    }

    /// Drops the versions before the newest one at or below the horizon, which cannot be asked
    /// for (M1); gives their bytes in values and how many there were.
    fn forget(&mut self, horizon: Lsn) -> (usize, usize) {
        let all = self.older.len();
        let keep = if self.newest.lsn <= horizon { Some(all) } else { None };
        let older = || self.older.iter().rposition(|version| version.lsn <= horizon);
        let keep = keep.or_else(older).unwrap_or(0);
        if all > keep + 1 {
            hit(Mark::VersionHeld);
        }
        (self.older.drain(..keep).map(|old| value_len(&old)).sum(), keep)
    }

    /// Bytes of the values.
    fn values_len(&self) -> usize {
        value_len(&self.newest) + self.older.iter().map(value_len).sum::<usize>()
    }
}

/// A key with a value, as a range gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Value,
    /// The commit that wrote it.
    pub lsn: Lsn,
    /// When.
    pub time: Timestamp,
}

/// The ordered tree of versions.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Memtable {
    keyspaces: BTreeMap<KeyspaceId, BTreeMap<Key, Versions>>,
    /// Deletions whose key can go once they are below the horizon, oldest first.
    deleted: VecDeque<(Lsn, KeyspaceId, Key)>,
    /// Bytes of keys and values held, as a measure and not as a promise.
    bytes: usize,
    /// Older versions are elsewhere, so a deletion stays, to hide them.
    is_above_others: bool,
}

impl Memtable {
    /// An empty one on top of others, or of tables.
    pub(super) fn above_others() -> Self {
        Self { is_above_others: true, ..Self::default() }
    }

    /// `self` with these versions: one for each key, by keyspace and key.
    ///
    /// # Panics
    /// If it holds any.
    pub(super) fn with_sorted(
        self,
        entries: impl Iterator<Item = (KeyspaceId, Key, Version)>,
    ) -> Self {
        assert!(self.keyspaces.is_empty(), "sorted versions come first");
        let (mut tree, mut entries) = (self, entries.peekable());
        while let Some((keyspace, ..)) = entries.peek() {
            let (keyspace, mut bytes) = (*keyspace, 0);
            let of_this = std::iter::from_fn(|| {
                let (_, key, version) = entries.next_if(|(other, ..)| *other == keyspace)?;
                bytes += key.len() + value_len(&version);
                Some((key, Versions::one(version)))
            });
            let keys: BTreeMap<Key, Versions> = of_this.collect();
            tree.keyspaces.insert(keyspace, keys);
            tree.bytes += bytes;
        }
        tree
    }

    /// Forgets every key whose last version is a deletion at or below the horizon, and keyspaces
    /// that are empty then.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn forget_all_deleted(&mut self, horizon: Lsn) {
        while self.deleted.front().is_some_and(|(lsn, ..)| *lsn <= horizon) {
            self.forget_deleted(horizon);
        }
        self.keyspaces.retain(|_, keys| !keys.is_empty());
    }

    /// Adds a version, which is newer than every version of its key.
    pub(super) fn apply(&mut self, keyspace: KeyspaceId, key: Key, version: Version, horizon: Lsn) {
        let (lsn, is_deletion) = (version.lsn, version.value.is_none());
        let (key_len, added) = (key.len(), key.len() + value_len(&version));
        let mut found = match self.keyspaces.entry(keyspace).or_default().entry(key) {
            Entry::Occupied(found) => found,
            Entry::Vacant(place) => {
                if !is_deletion || self.is_above_others {
                    self.bytes += added;
                    place.insert(Versions::one(version));
                }
                return;
            }
        };
        let versions = found.get_mut();
        versions.push(version);
        let (values_len, dropped) = versions.forget(horizon);
        self.bytes = (self.bytes + added).saturating_sub(values_len + dropped * key_len);
        if is_deletion && !self.is_above_others {
            self.deleted.push_back((lsn, keyspace, found.key().clone()));
        }
    }

    /// Forgets keys whose last version is a deletion at or below the horizon; a few at a time.
    pub(super) fn forget_deleted(&mut self, horizon: Lsn) {
        for _ in 0..4 {
            if self.deleted.front().is_none_or(|(lsn, ..)| *lsn > horizon) {
                return;
            }
            let Some((lsn, keyspace, key)) = self.deleted.pop_front() else { return };
            let Some(keys) = self.keyspaces.get_mut(&keyspace) else { continue };
            if keys.get(&key).is_some_and(|versions| versions.newest.lsn == lsn)
                && let Some(versions) = keys.remove(&key)
            {
                hit(Mark::KeyForgotten);
                let keys_len = key.len() * (1 + versions.older.len());
                self.bytes = self.bytes.saturating_sub(keys_len + versions.values_len());
            }
        }
    }

    /// The newest version of a key at or below `at`.
    pub(super) fn get(&self, keyspace: KeyspaceId, key: &[u8], at: Lsn) -> Option<&Version> {
        let sought: &dyn Sought = &Look::from(key);
        self.keyspaces.get(&keyspace)?.get(sought)?.at(at)
    }

    /// Up to `limit` keys from one end of `range`, with their newest versions at or below `at`.
    pub(super) fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        at: Lsn,
        (end, limit): (End, usize),
    ) -> Chunk {
        let mut chunk = Chunk::default();
        let Some(keys) = self.keyspaces.get(&keyspace).filter(|_| !is_empty(range)) else {
            return chunk;
        };
        let (low, high) = (as_look(&range.0), as_look(&range.1));
        let mut iter = keys.range::<dyn Sought, _>((as_sought(&low), as_sought(&high)));
        loop {
            let next = if end == End::Front { iter.next() } else { iter.next_back() };
            let Some((key, versions)) = next else { return chunk };
            let Some(version) = versions.at(at) else { continue };
            if version.value.is_none() && !self.is_above_others {
                continue;
            }
            chunk.found.push((Arc::clone(key.bytes()).into(), version.clone()));
            if chunk.found.len() >= limit {
                chunk.goes_on = true;
                return chunk;
            }
        }
    }

    /// Every version, by keyspace and key, and of a key from the newest to the oldest.
    pub(super) fn versions(&self) -> impl Iterator<Item = ((KeyspaceId, &[u8]), VersionRef<'_>)> {
        self.keyspaces.iter().flat_map(|(keyspace, keys)| {
            keys.iter().flat_map(move |(key, versions)| {
                let all = std::iter::once(&versions.newest).chain(versions.older.iter().rev());
                all.map(move |version| {
                    let Version { lsn, time, value } = version;
                    let version = VersionRef { lsn: *lsn, time: *time, value: value.as_deref() };
                    ((*keyspace, &**key.bytes()), version)
                })
            })
        })
    }

    /// Bytes of keys and values held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

pub(super) fn value_len(version: &Version) -> usize {
    version.value.as_ref().map_or(0, |value| value.len())
}

fn as_look(bound: &Bound<Vec<u8>>) -> Bound<Look<'_>> {
    bound.as_ref().map(|key| Look::from(key.as_slice()))
}

fn as_sought<'a>(bound: &'a Bound<Look<'_>>) -> Bound<&'a (dyn Sought + 'a)> {
    match bound {
        Bound::Included(look) => Bound::Included(look),
        Bound::Excluded(look) => Bound::Excluded(look),
        Bound::Unbounded => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KS: KeyspaceId = KeyspaceId(1);

    fn key(bytes: &[u8]) -> Key {
        bytes.into()
    }

    fn version(lsn: u64, value: Option<&str>) -> Version {
        let value = value.map(|value| value.as_bytes().into());
        Version { lsn: Lsn(lsn), time: Timestamp(lsn), value }
    }

    #[test]
    fn a_reader_sees_the_newest_version_at_its_lsn() {
        let mut table = Memtable::default();
        table.apply(KS, key(b"a"), version(2, Some("two")), Lsn::ZERO);
        table.apply(KS, key(b"a"), version(5, None), Lsn::ZERO);
        table.apply(KS, key(b"a"), version(7, Some("seven")), Lsn::ZERO);
        let at = |lsn| table.get(KS, b"a", Lsn(lsn)).and_then(|version| version.value.clone());
        assert_eq!(at(1), None);
        assert_eq!(at(4).as_deref(), Some(&b"two"[..]));
        assert_eq!(at(6), None);
        assert_eq!(at(7).as_deref(), Some(&b"seven"[..]));
    }

    #[test]
    fn versions_below_the_horizon_go_but_the_one_it_sees_stays() {
        let mut table = Memtable::default();
        for lsn in 1..=5 {
            table.apply(KS, key(b"a"), version(lsn, Some("x")), Lsn::ZERO);
        }
        table.apply(KS, key(b"a"), version(6, Some("y")), Lsn(3));
        assert_eq!(table.get(KS, b"a", Lsn(2)), None);
        assert_eq!(table.get(KS, b"a", Lsn(3)), Some(&version(3, Some("x"))));
        assert_eq!(table.bytes(), 4 * 2);
    }

    #[test]
    fn a_deleted_key_takes_no_memory_once_nobody_can_see_it() {
        let mut table = Memtable::default();
        table.apply(KS, key(b"a"), version(1, Some("x")), Lsn::ZERO);
        table.apply(KS, key(b"a"), version(2, None), Lsn::ZERO);
        table.forget_deleted(Lsn(1));
        assert!(table.get(KS, b"a", Lsn(1)).is_some());
        table.forget_deleted(Lsn(2));
        assert_eq!((table.get(KS, b"a", Lsn(9)), table.bytes()), (None, 0));
    }

    #[test]
    fn to_delete_what_is_not_there_takes_no_memory() {
        let mut table = Memtable::default();
        table.apply(KS, key(b"a"), version(1, None), Lsn::ZERO);
        assert_eq!((table.get(KS, b"a", Lsn(1)), table.bytes()), (None, 0));
    }

    #[test]
    fn a_scan_reads_from_either_end_and_says_where_it_stopped() {
        let mut table = Memtable::default();
        for (lsn, key) in (1..).zip([b"a", b"b", b"c", b"d"]) {
            table.apply(KS, Key::from(&key[..]), version(lsn, Some("x")), Lsn::ZERO);
        }
        table.apply(KS, key(b"b"), version(9, None), Lsn::ZERO);
        let all = (Bound::Unbounded, Bound::Unbounded);
        let keys = |chunk: &Chunk| -> Vec<u8> { chunk.found.iter().map(|one| one.0[0]).collect() };
        let chunk = table.scan(KS, &all, Lsn(9), (End::Front, 2));
        assert_eq!((keys(&chunk), chunk.goes_on), (b"ac".to_vec(), true));
        let chunk = table.scan(KS, &all, Lsn(9), (End::Back, 9));
        assert_eq!((keys(&chunk), chunk.goes_on), (b"dca".to_vec(), false));
        let nothing = (Bound::Excluded(b"c".to_vec()), Bound::Excluded(b"c".to_vec()));
        assert_eq!(table.scan(KS, &nothing, Lsn(9), (End::Front, 2)), Chunk::default());
    }

    #[test]
    fn above_others_a_deletion_stays_to_hide_what_they_hold() {
        let mut table = Memtable::above_others();
        table.apply(KS, key(b"a"), version(1, None), Lsn::ZERO);
        table.apply(KS, key(b"b"), version(2, Some("x")), Lsn::ZERO);
        table.apply(KS, key(b"b"), version(3, None), Lsn(2));
        table.forget_deleted(Lsn(9));
        let all = (Bound::Unbounded, Bound::Unbounded);
        let found = table.scan(KS, &all, Lsn(9), (End::Front, 9)).found;
        let found: Vec<_> = found.iter().map(|(key, version)| (&key[..], version.lsn)).collect();
        assert_eq!(found, [(&b"a"[..], Lsn(1)), (&b"b"[..], Lsn(3))]);
        let versions: Vec<u64> = table.versions().map(|(_, version)| version.lsn.0).collect();
        assert_eq!(versions, [1, 3, 2]);
    }
}
