//! Reading a table in order, from either end, a chunk at a time.

use std::ops::Bound;

use crate::base::codec::Malformed;
use crate::base::range::{End, KeyRange};
use crate::base::{Bytes, KeyspaceId, Lsn, Result, Version};

use super::block::{Block, VersionRef};
use super::chunk::Chunk;
use super::index::Index;
use super::levels::Placed;
use super::reader::Table;

/// Whether `key` is beyond the bound that ends a scan.
fn is_beyond(key: &[u8], range: &KeyRange, end: End) -> bool {
    match (end, range) {
        (End::Front, (_, Bound::Included(high))) => key > high.as_slice(),
        (End::Front, (_, Bound::Excluded(high))) => key >= high.as_slice(),
        (End::Back, (Bound::Included(low), _)) => key < low.as_slice(),
        (End::Back, (Bound::Excluded(low), _)) => key <= low.as_slice(),
        _ => false,
    }
}

/// The key of a bound, if it has one.
const fn key_of(bound: &Bound<Vec<u8>>) -> Option<&Vec<u8>> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// Whether every key of a table is outside `range`, so far as its smallest and its largest tell.
pub(super) fn is_outside(placed: &Placed, keyspace: KeyspaceId, range: &KeyRange) -> bool {
    let (smallest, largest) = (&placed.smallest, &placed.largest);
    (smallest.0 == keyspace && is_beyond(&smallest.1, range, End::Front))
        || (largest.0 == keyspace && is_beyond(&largest.1, range, End::Back))
}

impl Table {
    /// Up to `limit` keys of a keyspace from one end of `range`, with their newest versions at or
    /// below `at`.
    ///
    /// # Errors
    /// `Corrupt` with file and offset; `Io`.
    ///
    /// # Cost
    /// Blocks that are not in the cache are read and kept.
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        at: Lsn,
        (end, limit): (End, usize),
    ) -> Result<Chunk> {
        let index = self.index()?;
        match end {
            End::Front => self.scan_forward(&index, keyspace, range, (at, limit)),
            End::Back => self.scan_backward(&index, keyspace, range, (at, limit)),
        }
    }

    fn scan_forward(
        &self,
        index: &Index,
        keyspace: KeyspaceId,
        range: &KeyRange,
        (at, limit): (Lsn, usize),
    ) -> Result<Chunk> {
        let low = key_of(&range.0).map_or(&[][..], Vec::as_slice);
        let mut chunk = Chunk::default();
        let (mut last, mut key) = (None::<Bytes>, Vec::new());
        let (mut number, mut is_first) = (index.first_not_below(keyspace, low), true);
        while let Some(place) = index.block(number).filter(|block| block.keyspace == keyspace) {
            let block = self.block(number, place)?;
            let malformed = |fault| self.malformed(place.offset, fault);
            let start = if is_first { block.first_not_below(low).map_err(malformed)? } else { 0 };
            for entry in start..block.count() {
                let version = block.entry(entry, &mut key).map_err(malformed)?;
                let Some(version) = version else { break };
                if is_beyond(&key, range, End::Back) || version.lsn > at {
                    continue;
                }
                if is_beyond(&key, range, End::Front) {
                    return Ok(chunk);
                }
                if last.as_deref() == Some(&key) {
                    continue;
                }
                if chunk.found.len() >= limit {
                    chunk.goes_on = true;
                    return Ok(chunk);
                }
                let found: Bytes = key.as_slice().into();
                chunk.found.push((found.clone(), version.in_block(&block)));
                last = Some(found);
            }
            (number, is_first) = (number + 1, false);
        }
        Ok(chunk)
    }

    fn scan_backward(
        &self,
        index: &Index,
        keyspace: KeyspaceId,
        range: &KeyRange,
        (at, limit): (Lsn, usize),
    ) -> Result<Chunk> {
        let mut chunk = Chunk::default();
        // The newest version seen of the key that is being looked at: older ones come first.
        let mut newest: Option<(Vec<u8>, Version)> = None;
        let mut number = last_block(index, keyspace, key_of(&range.1).map(Vec::as_slice));
        while let Some((here, place)) = number.and_then(|here| Some((here, index.block(here)?))) {
            if place.keyspace != keyspace {
                break;
            }
            let block = self.block(here, place)?;
            let entries =
                entries_of(&block).map_err(|fault| self.malformed(place.offset, fault))?;
            for (key, version) in entries.into_iter().rev() {
                if is_beyond(&key, range, End::Front) {
                    continue;
                }
                let is_next = newest.as_ref().is_some_and(|(before, _)| *before != key);
                if is_next && let Some((key, version)) = newest.take() {
                    chunk.found.push((key.into(), version));
                    if chunk.found.len() >= limit {
                        chunk.goes_on = true;
                        return Ok(chunk);
                    }
                }
                if is_beyond(&key, range, End::Back) {
                    return Ok(chunk);
                }
                if version.lsn <= at {
                    newest = Some((key, version.in_block(&block)));
                }
            }
            number = here.checked_sub(1);
        }
        chunk.found.extend(newest.map(|(key, version)| (key.into(), version)));
        Ok(chunk)
    }
}

/// The last block that may hold a key up to `high`.
fn last_block(index: &Index, keyspace: KeyspaceId, high: Option<&[u8]>) -> Option<usize> {
    let behind = match high {
        // The block that holds keys beyond `high` may hold `high` as well; and versions of `high`
        // may go on in the blocks behind it.
        Some(high) => {
            let mut number = index.first_not_below(keyspace, high);
            while index.last_key(number) == Some((keyspace, high)) {
                number += 1;
            }
            (number + 1).min(index.count())
        }
        None => match keyspace.0.checked_add(1) {
            Some(next) => index.first_not_below(KeyspaceId(next), &[]),
            None => index.count(),
        },
    };
    // The block found for `high` may be of the next keyspace.
    let mut last = behind.checked_sub(1)?;
    while index.block(last).is_some_and(|block| block.keyspace > keyspace) {
        last = last.checked_sub(1)?;
    }
    Some(last)
}

/// All entries of a block, so that they can be taken from the back.
fn entries_of(block: &Block) -> Result<Vec<(Vec<u8>, VersionRef<'_>)>, Malformed> {
    let mut entries = Vec::with_capacity(block.count());
    for number in 0..block.count() {
        let mut key = Vec::new();
        entries.extend(block.entry(number, &mut key)?.map(|version| (key, version)));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{disk, open, samples, write};
    use super::*;

    type Found = Vec<(Vec<u8>, u64)>;

    /// What a scan in chunks of `limit` gives.
    fn scanned(table: &Table, range: &KeyRange, at: u64, ends: (End, usize)) -> Found {
        let (mut range, mut all) = (range.clone(), Vec::new());
        loop {
            let chunk = table.scan(KeyspaceId(2), &range, Lsn(at), ends).unwrap();
            assert!(chunk.found.len() <= ends.1);
            all.extend(chunk.found.iter().map(|(key, version)| (key.to_vec(), version.lsn.0)));
            let Some((last, _)) = chunk.found.last().filter(|_| chunk.goes_on) else { return all };
            match ends.0 {
                End::Front => range.0 = Bound::Excluded(last.to_vec()),
                End::Back => range.1 = Bound::Excluded(last.to_vec()),
            }
        }
    }

    #[test]
    fn a_scan_of_any_range_gives_the_newest_versions_in_order_from_either_end() {
        let (disk, samples) = (disk(), samples());
        let table = open(&disk, &write(&disk, 1, &samples)).unwrap();
        let keys: Vec<Vec<u8>> = [&b""[..], b"0021", b"0022", b"0180", b"p", b"prefix0201", b"~"]
            .map(<[u8]>::to_vec)
            .to_vec();
        let bounds = || {
            let some = keys
                .iter()
                .flat_map(|key| [Bound::Included(key.clone()), Bound::Excluded(key.clone())]);
            some.chain([Bound::Unbounded])
        };
        for range in bounds().flat_map(|low| bounds().map(move |high| (low.clone(), high))) {
            for at in [1010, 3000, u64::MAX] {
                let mut expected: Found = Vec::new();
                for (keyspace, key, lsn, _) in &samples {
                    let inside =
                        !is_beyond(key, &range, End::Front) && !is_beyond(key, &range, End::Back);
                    let is_new = expected.last().is_none_or(|last| last.0 != *key);
                    if *keyspace == 2 && *lsn <= at && inside && is_new {
                        expected.push((key.clone(), *lsn));
                    }
                }
                for limit in [1, 3, 1000] {
                    let forward = scanned(&table, &range, at, (End::Front, limit));
                    assert_eq!(forward, expected, "{range:?} at {at}");
                    let mut backward = scanned(&table, &range, at, (End::Back, limit));
                    backward.reverse();
                    assert_eq!(backward, expected, "{range:?} at {at} from the back");
                }
            }
        }
    }
}
