//! Ordered iteration over a range of keys, from both ends.

use std::collections::VecDeque;
use std::ops::Bound;

use crate::base::{KeyspaceId, Result};

use super::memtable::{End, KeyRange, KeyValue};
use super::snapshot::Snapshot;

/// Keys fetched at once, so that the tree's lock is taken once for many.
const CHUNK: usize = 64;

/// The keys of a range that have a value in a snapshot, in byte order.
///
/// Holds its snapshot, not a lock: writers go on, and what it gives does not change.
#[derive(Debug)]
pub struct Iter {
    snapshot: Snapshot,
    /// `None`: the keyspace does not exist in the snapshot.
    keyspace: Option<KeyspaceId>,
    /// What neither end has fetched.
    rest: Option<KeyRange>,
    front: VecDeque<KeyValue>,
    back: VecDeque<KeyValue>,
}

impl Iter {
    pub(super) fn new(snapshot: Snapshot, keyspace: Option<KeyspaceId>, range: KeyRange) -> Self {
        let (front, back) = (VecDeque::new(), VecDeque::new());
        Self { snapshot, keyspace, rest: Some(range), front, back }
    }

    fn fetch(&mut self, end: End) {
        let (Some(keyspace), Some((low, high))) = (self.keyspace, self.rest.take()) else { return };
        let (low, high) = (low, high);
        let range = (low, high);
        let (found, last) = self.snapshot.scan(keyspace, &range, (end, CHUNK));
        self.rest = last.map(|last| match end {
            End::Front => (Bound::Excluded(last), range.1),
            End::Back => (range.0, Bound::Excluded(last)),
        });
        match end {
            End::Front => self.front.extend(found),
            End::Back => self.back.extend(found),
        }
    }
}

impl Iterator for Iter {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.front.is_empty() {
            self.fetch(End::Front);
        }
        // The last of what the other end fetched is the first of what is left.
        self.front.pop_front().or_else(|| self.back.pop_back()).map(Ok)
    }
}

impl DoubleEndedIterator for Iter {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.back.is_empty() {
            self.fetch(End::Back);
        }
        self.back.pop_front().or_else(|| self.front.pop_back()).map(Ok)
    }
}

/// The range of keys that begin with `prefix`.
pub(super) fn prefix_range(prefix: &[u8]) -> KeyRange {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return (Bound::Included(prefix.to_vec()), Bound::Excluded(end));
        }
    }
    (Bound::Included(prefix.to_vec()), Bound::Unbounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_prefix() {
        let end = |prefix: &[u8]| prefix_range(prefix).1;
        assert_eq!(end(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(end(b"a\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(end(b"\xff\xff"), Bound::Unbounded);
        assert_eq!(end(b""), Bound::Unbounded);
    }
}
