//! A Bloom filter in blocks of 32 bytes: whether a table may hold a key.
//!
//! Pure. A question reads one line of memory, whatever the size of the filter. With 12 bits for
//! each key it says *perhaps* of about one absent key in two hundred.
//! Source: the split block Bloom filter of Apache Parquet.

use crate::base::KeyspaceId;
use crate::base::checksum::hash64_seeded;

/// Bits for each key.
const KEY_BITS: usize = 12;
/// Bytes of a block.
const BLOCK: usize = 32;

const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// The hash of a key, by which a filter knows it.
#[must_use]
pub fn key_hash(keyspace: KeyspaceId, key: &[u8]) -> u64 {
    hash64_seeded(u64::from(keyspace.0), key)
}

/// A filter as it is asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    blocks: Vec<[u32; 8]>,
}

impl Filter {
    /// The filter of keys with these hashes.
    #[must_use]
    pub fn of(hashes: &[u64]) -> Self {
        let blocks = (hashes.len() * KEY_BITS).div_ceil(BLOCK * 8).max(1);
        let mut filter = Self { blocks: vec![[0; 8]; blocks] };
        for hash in hashes {
            let block = filter.block_of(*hash);
            if let Some(words) = filter.blocks.get_mut(block) {
                words.iter_mut().zip(bits(*hash)).for_each(|(word, bit)| *word |= bit);
            }
        }
        filter
    }

    /// Reads a filter's payload; `None` if it is not one.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (blocks, []) = payload.as_chunks::<BLOCK>() else { return None };
        let words = |block: &[u8; BLOCK]| {
            let mut words = [0; 8];
            let (bytes, _) = block.as_chunks::<4>();
            words.iter_mut().zip(bytes).for_each(|(word, four)| *word = u32::from_le_bytes(*four));
            words
        };
        (!blocks.is_empty()).then(|| Self { blocks: blocks.iter().map(words).collect() })
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// False: no key with this hash is in the table.
    #[must_use]
    pub fn may_hold(&self, hash: u64) -> bool {
        let words = self.blocks.get(self.block_of(hash));
        words.is_none_or(|words| words.iter().zip(bits(hash)).all(|(word, bit)| word & bit != 0))
    }

    /// Bytes in memory.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    fn block_of(&self, hash: u64) -> usize {
        let blocks = u64::try_from(self.blocks.len()).unwrap_or(u64::MAX);
        usize::try_from(((hash >> 32) * blocks) >> 32).unwrap_or(0)
    }
}

/// The bit that a hash has in each word of its block.
fn bits(hash: u64) -> [u32; 8] {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    let low = u32::from_le_bytes([a, b, c, d]);
    SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: u32) -> u64 {
        key_hash(KeyspaceId(1), &key.to_le_bytes())
    }

    #[test]
    fn a_key_that_is_there_is_never_denied_and_few_others_are_admitted() {
        for count in [0, 1, 10, 20_000] {
            let hashes: Vec<u64> = (0..count).map(hash).collect();
            let filter = Filter::decode(&Filter::of(&hashes).encode()).unwrap();
            assert!(hashes.iter().all(|hash| filter.may_hold(*hash)));
            let admitted = (1 << 24..(1 << 24) + 10_000).filter(|key| filter.may_hold(hash(*key)));
            let admitted = admitted.count();
            assert!(admitted < 100, "{admitted} of 10,000 with {count} keys");
        }
    }

    #[test]
    fn the_same_key_of_another_keyspace_is_another() {
        let filter = Filter::of(&[key_hash(KeyspaceId(1), b"key")]);
        assert!(filter.may_hold(key_hash(KeyspaceId(1), b"key")));
        assert!(!filter.may_hold(key_hash(KeyspaceId(2), b"key")));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for len in [0, 1, 31, 33] {
            assert_eq!(Filter::decode(&vec![0; len]), None);
        }
    }
}
