//! Ordered iteration over a range of keys, from both ends.

use std::ops::Bound;

use crate::base::range::{End, KeyRange};
use crate::base::{Bytes, KeyspaceId, Result, Version};
use crate::table::Chunk;

use super::memtable::KeyValue;
use super::snapshot::Snapshot;

/// Keys fetched at once: few at first, because many who ask want no more, then more each time, so
/// that locks are taken and tables searched once for many.
const FEWEST: usize = 32;
const MOST: usize = 1024;

/// Keys as they were fetched, deletions among them.
type Fetched = std::vec::IntoIter<(Bytes, Version)>;

/// The keys of a range that have a value in a snapshot, in byte order.
///
/// Holds its snapshot, not a lock: writers go on, and what it gives does not change. After an
/// error, which is that of a table that cannot be read, it gives what was fetched and ends.
#[derive(Debug)]
pub struct Iter {
    snapshot: Snapshot,
    /// `None`: the keyspace does not exist in the snapshot.
    keyspace: Option<KeyspaceId>,
    /// What neither end has fetched.
    rest: Option<KeyRange>,
    /// From the front in order; from the back in the opposite order.
    front: Fetched,
    back: Fetched,
    /// As many keys are fetched next.
    limit: usize,
}

impl Iter {
    pub(super) fn new(snapshot: Snapshot, keyspace: Option<KeyspaceId>, range: KeyRange) -> Self {
        let (front, back) = (Fetched::default(), Fetched::default());
        Self { snapshot, keyspace, rest: Some(range), front, back, limit: FEWEST }
    }

    /// Fetches more from one end; false when nothing is left.
    fn fetch(&mut self, end: End) -> Result<bool> {
        let (Some(keyspace), Some(range)) = (self.keyspace, self.rest.take()) else {
            return Ok(false);
        };
        let Chunk { found, goes_on } = self.snapshot.scan(keyspace, &range, (end, self.limit))?;
        self.limit = (2 * self.limit).min(MOST);
        let last = found.last().filter(|_| goes_on).map(|(key, _)| key.to_vec());
        self.rest = last.map(|last| match end {
            End::Front => (Bound::Excluded(last), range.1),
            End::Back => (range.0, Bound::Excluded(last)),
        });
        match end {
            End::Front => self.front = found.into_iter(),
            End::Back => self.back = found.into_iter(),
        }
        Ok(true)
    }

    /// The next key that has a value.
    fn step(&mut self, end: End) -> Result<Option<KeyValue>> {
        loop {
            let (own, other) = match end {
                End::Front => (&mut self.front, &mut self.back),
                End::Back => (&mut self.back, &mut self.front),
            };
            // The last of what the other end fetched is the first of what is left.
            let next = match own.next() {
                None if self.rest.is_none() => other.next_back(),
                next => next,
            };
            match next {
                Some((key, Version { lsn, time, value: Some(value) })) => {
                    return Ok(Some(KeyValue { key, value, lsn, time }));
                }
                Some(_deleted) => {}
                None if !self.fetch(end)? => return Ok(None),
                None => {}
            }
        }
    }
}

impl Iterator for Iter {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front).transpose()
    }
}

impl DoubleEndedIterator for Iter {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back).transpose()
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
