//! The index of a table: the last key of each data block.
//!
//! Pure. Kept in memory as it was read, with a small fixed part for each block, so that a search
//! touches the bytes of keys only where their first eight are equal.

use std::ops::Range;

use crate::base::KeyspaceId;
use crate::base::codec::{Cursor, Malformed, narrow, to_u64, widen};
use crate::base::limits::KEY_BYTES_MAX;

use super::format::BLOCK_HEADER;

/// Where a data block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockAt {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes of its payload.
    pub length: u32,
    /// The keyspace of its entries.
    pub keyspace: KeyspaceId,
}

/// Appends the entry of a data block.
pub fn put_entry(out: &mut Vec<u8>, block: BlockAt, last_key: &[u8]) {
    out.extend_from_slice(&block.offset.to_le_bytes());
    out.extend_from_slice(&block.length.to_le_bytes());
    out.extend_from_slice(&block.keyspace.0.to_le_bytes());
    out.extend_from_slice(&narrow(last_key.len()).to_le_bytes());
    out.extend_from_slice(last_key);
}

/// One block, and where its last key is in the payload.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: BlockAt,
    key: u32,
    key_length: u32,
}

/// An index as it is asked.
#[derive(Debug)]
pub struct Index {
    entries: Vec<Entry>,
    /// The first bytes of the last keys, apart, so that a search touches few lines of memory.
    prefixes: Vec<u64>,
    payload: Vec<u8>,
}

impl Index {
    /// Reads an index whose blocks fill a file up to `data_end`.
    ///
    /// # Errors
    /// [`Malformed`]; never panics, whatever the bytes are.
    pub fn decode(payload: Vec<u8>, data_end: u64) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(&payload);
        let mut entries: Vec<Entry> = Vec::new();
        let (mut prefixes, mut end, mut before) = (Vec::new(), 0, None);
        while cursor.remaining() > 0 {
            let fault = cursor.malformed("the blocks of an index do not follow each other");
            let (offset, length) = (cursor.u64()?, cursor.u32()?);
            let (keyspace, key_length) = (KeyspaceId(cursor.u32()?), cursor.u32()?);
            let at = BlockAt { offset, length, keyspace };
            if widen(key_length) > KEY_BYTES_MAX {
                return Err(cursor.malformed("a key is longer than its limit"));
            }
            let key_at = narrow(cursor.offset());
            let key = cursor.bytes(widen(key_length))?;
            if offset != end || before.is_some_and(|before| before > (keyspace, key)) {
                return Err(fault);
            }
            end = offset.saturating_add(to_u64(BLOCK_HEADER)).saturating_add(u64::from(length));
            before = Some((keyspace, key));
            prefixes.push(prefix(key));
            entries.push(Entry { at, key: key_at, key_length });
        }
        if end != data_end {
            return Err(cursor.malformed("the blocks of an index do not fill the table"));
        }
        Ok(Self { entries, prefixes, payload })
    }

    /// The number of blocks.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.entries.len()
    }

    /// The block with this number, counted from 0.
    #[must_use]
    pub fn block(&self, number: usize) -> Option<BlockAt> {
        self.entries.get(number).map(|entry| entry.at)
    }

    /// The last key of a block.
    #[must_use]
    pub fn last_key(&self, number: usize) -> Option<(KeyspaceId, &[u8])> {
        self.entries.get(number).map(|entry| (entry.at.keyspace, self.key(entry)))
    }

    /// The first block whose last key is not below this one; [`Index::count`] if there is none.
    #[must_use]
    pub fn first_not_below(&self, keyspace: KeyspaceId, key: &[u8]) -> usize {
        let range = self.of_keyspace(keyspace);
        let prefixes = self.prefixes.get(range.clone()).unwrap_or_default();
        let wanted = prefix(key);
        let low = range.start + prefixes.partition_point(|prefix| *prefix < wanted);
        // Those that begin with the same eight bytes, which most often are none.
        let alike = self.prefixes.get(low..range.end).unwrap_or_default();
        let alike = alike.partition_point(|prefix| *prefix == wanted);
        let entries = self.entries.get(low..low + alike).unwrap_or_default();
        low + entries.partition_point(|entry| self.key(entry) < key)
    }

    /// The blocks of a keyspace, or where they would be.
    fn of_keyspace(&self, keyspace: KeyspaceId) -> Range<usize> {
        let ends = (self.entries.first(), self.entries.last());
        if let (Some(first), Some(last)) = ends
            && first.at.keyspace == keyspace
            && last.at.keyspace == keyspace
        {
            return 0..self.entries.len();
        }
        let start = self.entries.partition_point(|entry| entry.at.keyspace < keyspace);
        let end = self.entries.partition_point(|entry| entry.at.keyspace <= keyspace);
        start..end
    }

    /// Bytes in memory.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.payload.len() + self.entries.len() * (size_of::<Entry>() + size_of::<u64>())
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        let start = widen(entry.key);
        self.payload.get(start..start + widen(entry.key_length)).unwrap_or_default()
    }
}

/// Keys in order have prefixes in order; a key that is shorter counts as if zeroes followed.
fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(first).swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, u64) {
        let (mut payload, mut offset) = (Vec::new(), 0);
        let blocks: [(u32, &[u8]); 5] =
            [(1, b"b"), (1, b"dddddddd1"), (1, b"dddddddd1"), (1, b"dddddddd2"), (3, b"")];
        for (keyspace, key) in blocks {
            let at = BlockAt { offset, length: 100, keyspace: KeyspaceId(keyspace) };
            put_entry(&mut payload, at, key);
            offset += 116;
        }
        (payload, offset)
    }

    #[test]
    fn the_block_of_a_key_is_the_first_whose_last_key_is_not_below_it() {
        let (payload, end) = sample();
        let index = Index::decode(payload, end).unwrap();
        let find = |keyspace, key: &[u8]| index.first_not_below(KeyspaceId(keyspace), key);
        assert_eq!([find(0, b"z"), find(1, b""), find(1, b"b")], [0, 0, 0]);
        assert_eq!([find(1, b"c"), find(1, b"dddddddd1"), find(1, b"dddddddd10")], [1, 1, 3]);
        assert_eq!([find(1, b"e"), find(3, b""), find(3, b"a")], [4, 4, 5]);
        assert_eq!(index.last_key(3), Some((KeyspaceId(1), &b"dddddddd2"[..])));
    }

    #[test]
    fn an_index_with_gaps_or_out_of_order_is_refused() {
        let (payload, end) = sample();
        assert!(Index::decode(payload.clone(), end + 1).is_err());
        for len in 0..payload.len() {
            assert!(Index::decode(payload[..len].to_vec(), end).is_err(), "{len} bytes");
        }
        for byte in [0, 8, 20] {
            let mut other = payload.clone();
            other[byte] ^= 0x80;
            assert!(Index::decode(other, end).is_err(), "byte {byte}");
        }
    }
}
