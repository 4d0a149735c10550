//! A data block: versions of keys of one keyspace, sorted, whose keys share a prefix.
//!
//! Pure. Decoding trusts nothing: a block whose hash holds and whose entries do not is damaged.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use crate::base::codec::{Cursor, Malformed, narrow, put_varint, widen};
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::{Bytes, KeyspaceId, Lsn, Timestamp, Version};

use super::filter::key_hash;
use super::format::BLOCK_HEADER;

/// Bytes of the numbers at the end: of the prefix, of entries, of the keyspace.
const NUMBERS: usize = 12;
/// Bytes of an entry at least, with its tag and its offset.
const ENTRY_MIN: usize = 16 + 2 + 1 + 4;

/// A version, borrowed from its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRef<'a> {
    /// The commit that wrote the version.
    pub lsn: Lsn,
    /// When.
    pub time: Timestamp,
    /// `None`: deleted.
    pub value: Option<&'a [u8]>,
}

impl VersionRef<'_> {
    /// The version, whose value stays where it is, in `block`.
    #[must_use]
    pub fn in_block(&self, block: &Arc<Block>) -> Version {
        let value = self.value.map(|value| Bytes::part(block, block.range_of(value)));
        Version { lsn: self.lsn, time: self.time, value }
    }
}

/// The bits of a key's hash that its tag is.
fn tag(hash: u64) -> u8 {
    let [_, _, _, tag, ..] = hash.to_le_bytes();
    tag
}

/// A version that waits for its block to be complete.
#[derive(Debug)]
struct Waiting {
    lsn: Lsn,
    time: Timestamp,
    /// Where its key and, behind it, its value are.
    key: Range<usize>,
    /// `None`: deleted.
    value_len: Option<usize>,
    tag: u8,
}

/// The payload of a data block that is being filled.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    /// Keys and values.
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    /// So many bytes are the same in all keys.
    shared: usize,
    payload: Vec<u8>,
}

impl BlockBuilder {
    /// Adds the next entry in order; `hash` is that of its key.
    pub fn add(&mut self, key: &[u8], hash: u64, version: &VersionRef<'_>) {
        let first = self.waiting.first().and_then(|first| self.bytes.get(first.key.clone()));
        self.shared = first.map_or(key.len(), |first| {
            let pairs = first.iter().zip(key).take(self.shared);
            pairs.take_while(|(first, now)| first == now).count()
        });
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(version.value.unwrap_or_default());
        self.waiting.push(Waiting {
            lsn: version.lsn,
            time: version.time,
            key: start..start + key.len(),
            value_len: version.value.map(<[u8]>::len),
            tag: tag(hash),
        });
    }

    /// Bytes so far: about those of the entries.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len() + self.waiting.len() * ENTRY_MIN
    }

    /// Ends the payload, hands it to `take` with the last key, and begins the next.
    pub fn finish<T>(&mut self, keyspace: KeyspaceId, take: impl FnOnce(&[u8], &[u8]) -> T) -> T {
        let mut offsets = Vec::with_capacity(self.waiting.len());
        for Waiting { lsn, time, key, value_len, .. } in &self.waiting {
            offsets.push(narrow(self.payload.len()));
            let tail = key.start + self.shared..key.end;
            self.payload.extend_from_slice(&lsn.0.to_le_bytes());
            self.payload.extend_from_slice(&time.0.to_le_bytes());
            put_varint(&mut self.payload, narrow(tail.len()));
            put_varint(&mut self.payload, value_len.map_or(0, |len| narrow(len + 1)));
            let end = key.end + value_len.unwrap_or(0);
            self.payload.extend_from_slice(self.bytes.get(tail.start..end).unwrap_or_default());
        }
        let last = self.waiting.last().map_or(0..0, |last| last.key.clone());
        let last = self.bytes.get(last).unwrap_or_default();
        self.payload.extend_from_slice(last.get(..self.shared).unwrap_or_default());
        self.payload.extend(self.waiting.iter().map(|waiting| waiting.tag));
        for offset in &offsets {
            self.payload.extend_from_slice(&offset.to_le_bytes());
        }
        for number in [narrow(self.shared), narrow(self.waiting.len()), keyspace.0] {
            self.payload.extend_from_slice(&number.to_le_bytes());
        }
        let taken = take(&self.payload, last);
        self.bytes.clear();
        self.waiting.clear();
        self.payload.clear();
        taken
    }
}

/// An entry as it stands in the block.
#[derive(Clone, Copy, Debug)]
struct Raw<'a> {
    tail: &'a [u8],
    version: VersionRef<'a>,
}

/// What a block says of a key.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The newest version at or below the asked LSN.
    Version(Version),
    /// No version at or below it, in this block or any other.
    Nothing,
    /// None in this block, but its versions may go on in the next.
    Further,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A whole data block, checked and in memory.
#[derive(Debug)]
pub struct Block {
    /// With its header, so that nothing is moved after it was read.
    bytes: Vec<u8>,
    /// Where the entries end and the prefix begins, and so on, counted from the payload.
    prefix: usize,
    tags: usize,
    offsets: usize,
    count: usize,
    keyspace: KeyspaceId,
}

impl Block {
    /// Reads a block that [`check_block`](super::format::check_block) has found whole.
    ///
    /// # Errors
    /// [`Malformed`]; never panics, whatever the bytes are.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let payload = bytes.get(BLOCK_HEADER..).unwrap_or_default();
        let short = Cursor::new(payload).malformed("a block is shorter than its parts");
        let numbers = payload.len().checked_sub(NUMBERS).ok_or(short)?;
        let mut cursor = Cursor::new(payload.get(numbers..).unwrap_or_default());
        let (prefix_len, count) = (widen(cursor.u32()?), widen(cursor.u32()?));
        let keyspace = KeyspaceId(cursor.u32()?);
        if count == 0 || prefix_len > KEY_BYTES_MAX {
            return Err(short);
        }
        let offsets = numbers.checked_sub(count.checked_mul(4).ok_or(short)?).ok_or(short)?;
        let tags = offsets.checked_sub(count).ok_or(short)?;
        let prefix = tags.checked_sub(prefix_len).ok_or(short)?;
        Ok(Self { prefix, tags, offsets, count, keyspace, bytes })
    }

    /// The keyspace of its entries.
    #[must_use]
    pub const fn keyspace(&self) -> KeyspaceId {
        self.keyspace
    }

    /// The number of its entries, which is not 0.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes in memory.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The newest version at or below `at` of `key`, whose hash is `hash`.
    ///
    /// # Errors
    /// [`Malformed`] when the entries are not what they must be.
    pub fn newest(self: &Arc<Self>, key: &[u8], hash: u64, at: Lsn) -> Result<Found, Malformed> {
        let Some(tail) = key.strip_prefix(self.prefix()) else { return self.missing(key) };
        let tag = tag(hash);
        let tags = self.payload().get(self.tags..self.offsets).unwrap_or_default();
        for number in (0..tags.len()).filter(|number| tags.get(*number) == Some(&tag)) {
            let raw = self.raw(number)?;
            if raw.tail != tail {
                continue;
            }
            if raw.version.lsn <= at {
                return Ok(Found::Version(raw.version.in_block(self)));
            }
            // Versions of one key are neighbours, the newest first.
            if number + 1 == self.count {
                return Ok(Found::Further);
            }
        }
        self.missing(key)
    }

    /// What is known of a key that is not here, or not old enough: only versions of the block's
    /// last key may go on in the next.
    fn missing(&self, key: &[u8]) -> Result<Found, Malformed> {
        let last = self.raw(self.count - 1)?;
        let order = self.order(key, last.tail);
        Ok(if order.is_lt() { Found::Nothing } else { Found::Further })
    }

    /// The first entry whose key is not below `key`; [`Block::count`] if there is none.
    ///
    /// # Errors
    /// [`Malformed`] when the entries are not what they must be.
    pub fn first_not_below(&self, key: &[u8]) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.order(key, self.raw(middle)?.tail).is_gt() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// How `key` stands to the key with this tail.
    fn order(&self, key: &[u8], tail: &[u8]) -> Ordering {
        let prefix = self.prefix();
        let (head, rest) = key.split_at_checked(prefix.len()).unwrap_or((key, &[]));
        head.cmp(prefix).then_with(|| rest.cmp(tail))
    }

    /// The entry with this number, counted from 0; `key` becomes its key. `None` behind the last.
    ///
    /// # Errors
    /// [`Malformed`] when it is not what it must be.
    pub fn entry(
        &self,
        number: usize,
        key: &mut Vec<u8>,
    ) -> Result<Option<VersionRef<'_>>, Malformed> {
        if number >= self.count {
            return Ok(None);
        }
        let raw = self.raw(number)?;
        key.clear();
        key.extend_from_slice(self.prefix());
        key.extend_from_slice(raw.tail);
        Ok(Some(raw.version))
    }

    /// The version of the entry with this number.
    #[must_use]
    pub fn version(&self, number: usize) -> Option<VersionRef<'_>> {
        self.raw(number).ok().map(|raw| raw.version)
    }

    /// Where the entry with this number begins, counted from the block's header.
    #[must_use]
    pub fn entry_offset(&self, number: usize) -> usize {
        BLOCK_HEADER + self.offset(number)
    }

    /// Whether every entry can be read, fills its place, and has the tag of its key: for who checks
    /// what others rely on.
    ///
    /// # Errors
    /// [`Malformed`] for the first that is not what it must be.
    pub fn check(&self) -> Result<(), Malformed> {
        if self.offset(0) != 0 {
            return Err(Malformed { offset: 0, what: "the first entry does not begin the block" });
        }
        let tags = self.payload().get(self.tags..self.offsets).unwrap_or_default();
        let mut key = Vec::new();
        for (number, said) in tags.iter().enumerate() {
            self.entry(number, &mut key)?;
            if tag(key_hash(self.keyspace, &key)) != *said {
                let what = "the tag of an entry is not that of its key";
                return Err(Malformed { offset: self.tags + number, what });
            }
        }
        Ok(())
    }

    /// Where in the block these bytes of it are.
    fn range_of(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        start..start.wrapping_add(part.len())
    }

    fn prefix(&self) -> &[u8] {
        self.payload().get(self.prefix..self.tags).unwrap_or_default()
    }

    fn payload(&self) -> &[u8] {
        self.bytes.get(BLOCK_HEADER..).unwrap_or_default()
    }

    /// Where an entry begins; where the entries end, for the one behind the last.
    fn offset(&self, number: usize) -> usize {
        let start = self.offsets + 4 * number;
        let offset = self.payload().get(start..start + 4).and_then(<[u8]>::first_chunk);
        let offset = offset.filter(|_| number < self.count);
        offset.map_or(self.prefix, |offset| widen(u32::from_le_bytes(*offset)))
    }

    fn raw(&self, number: usize) -> Result<Raw<'_>, Malformed> {
        let (start, end) = (self.offset(number), self.offset(number + 1));
        let outside = Malformed { offset: start, what: "an entry is outside of its block" };
        let entry = self.payload().get(start..end).filter(|_| end <= self.prefix);
        let mut cursor = Cursor::new(entry.ok_or(outside)?);
        let (lsn, time) = (Lsn(cursor.u64()?), Timestamp(cursor.u64()?));
        let (tail, value) = (widen(cursor.varint()?), cursor.varint()?);
        if self.tags - self.prefix + tail > KEY_BYTES_MAX {
            return Err(Malformed { offset: start, what: "a key is longer than its limit" });
        }
        let tail = cursor.bytes(tail)?;
        let value = match value.checked_sub(1) {
            Some(length) => Some(cursor.bytes(widen(length))?),
            None => None,
        };
        cursor.finish()?;
        Ok(Raw { tail, version: VersionRef { lsn, time, value } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KS: KeyspaceId = KeyspaceId(4);

    /// Key, LSN, value.
    type Sample = (Vec<u8>, u64, Option<Vec<u8>>);

    fn block_of(entries: &[Sample]) -> Vec<u8> {
        let mut builder = BlockBuilder::default();
        for (key, lsn, value) in entries {
            let (lsn, time) = (Lsn(*lsn), Timestamp(lsn * 10));
            let version = VersionRef { lsn, time, value: value.as_deref() };
            builder.add(key, key_hash(KS, key), &version);
        }
        builder.finish(KS, |payload, _| [&[0; BLOCK_HEADER], payload].concat())
    }

    /// Keys that begin with `prefix` and share more and less, with one to three versions each.
    fn sample(prefix: &str) -> Vec<Sample> {
        let mut entries = Vec::new();
        for number in (0..60_u64).map(|number| number * 7) {
            let middle = ["", "a", "ab"][usize::from(number > 140)];
            let key = format!("{prefix}{middle}key{number:03}");
            for version in (0..=number % 3).rev() {
                let value = (number % 5 > 0).then(|| vec![7; usize::try_from(number).unwrap()]);
                entries.push((key.clone().into_bytes(), 100 + 10 * version, value));
            }
        }
        entries.sort_by(|a, b| (&a.0, std::cmp::Reverse(a.1)).cmp(&(&b.0, std::cmp::Reverse(b.1))));
        entries
    }

    #[test]
    fn every_tag_is_that_of_its_key_and_the_first_entry_begins_the_block() {
        let mut builder = BlockBuilder::default();
        for number in 0..20_u8 {
            let (key, value) = ([b'k', number], [number; 3]);
            let (lsn, time) = (Lsn(9), Timestamp(9));
            let version = VersionRef { lsn, time, value: Some(&value) };
            builder.add(&key, key_hash(KS, &key), &version);
        }
        let bytes = builder.finish(KS, |payload, _| [&[0; BLOCK_HEADER], payload].concat());
        let checked = |bytes: Vec<u8>| Block::decode(bytes).unwrap().check();
        assert_eq!(checked(bytes.clone()), Ok(()));
        let block = Block::decode(bytes.clone()).unwrap();
        for number in 0..20 {
            let mut other = bytes.clone();
            other[BLOCK_HEADER + block.tags + number] ^= 1;
            let fault = checked(other).unwrap_err();
            assert_eq!(fault.offset, block.tags + number, "{}", fault.what);
            let mut other = bytes.clone();
            other[BLOCK_HEADER + block.offsets + 4 * number] ^= 1;
            assert!(checked(other).is_err(), "the offset of entry {number}");
        }
    }

    #[test]
    fn what_was_added_comes_back_in_order() {
        for prefix in ["", "pre", "abkey"] {
            let entries = sample(prefix);
            let block = Arc::new(Block::decode(block_of(&entries)).unwrap());
            assert_eq!((block.keyspace(), block.count()), (KS, entries.len()));
            let mut found = Vec::new();
            for (number, (key, lsn, value)) in entries.iter().enumerate() {
                let (lsn, time) = (Lsn(*lsn), Timestamp(lsn * 10));
                let version = VersionRef { lsn, time, value: value.as_deref() };
                assert_eq!(block.entry(number, &mut found), Ok(Some(version)));
                assert_eq!(found, *key);
            }
            assert_eq!(block.entry(entries.len(), &mut found), Ok(None));
        }
    }

    #[test]
    fn a_search_finds_what_looking_at_every_entry_finds() {
        let entries = sample("pre");
        let block = Arc::new(Block::decode(block_of(&entries)).unwrap());
        let last = entries.last().unwrap().0.clone();
        let mut keys: Vec<Vec<u8>> = entries.iter().map(|entry| entry.0.clone()).collect();
        let others = ["", "p", "pre", "key0", "prea", "zz", "pq", "prf"];
        keys.extend(others.map(|key| key.as_bytes().to_vec()));
        keys.extend(entries.iter().map(|entry| [&entry.0[..], b"\0"].concat()));
        for key in keys {
            let first = entries.iter().position(|entry| entry.0 >= key);
            assert_eq!(block.first_not_below(&key), Ok(first.unwrap_or(entries.len())), "{key:?}");
            for at in [0, 100, 105, 110, 125].map(Lsn) {
                let all = entries.iter().find(|entry| entry.0 == key && Lsn(entry.1) <= at);
                let expected = all.map(|(_, lsn, value)| Version {
                    lsn: Lsn(*lsn),
                    time: Timestamp(lsn * 10),
                    value: value.as_deref().map(Into::into),
                });
                match block.newest(&key, key_hash(KS, &key), at).unwrap() {
                    Found::Version(version) => assert_eq!(Some(version), expected, "{key:?}"),
                    Found::Nothing => assert_eq!((expected, key < last), (None, true), "{key:?}"),
                    Found::Further => assert_eq!((expected, key >= last), (None, true), "{key:?}"),
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_a_search_panic() {
        let bytes = block_of(&sample("pre"));
        let key = b"preabkey210";
        for at in 0..bytes.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut other = bytes.clone();
                other[at] ^= mask;
                let Ok(block) = Block::decode(other).map(Arc::new) else { continue };
                let mut found = Vec::new();
                let read =
                    (0..block.count()).filter(|number| block.entry(*number, &mut found).is_ok());
                assert!(read.count() <= block.count());
                assert!(
                    block.first_not_below(key).is_ok_and(|first| first <= block.count()) || at > 0
                );
                let found = block.newest(key, key_hash(KS, key), Lsn(115));
                assert!(!matches!(found, Ok(Found::Version(found)) if found.lsn > Lsn(115)));
            }
        }
        for len in 0..bytes.len() {
            let decoded = Block::decode(bytes[..len].to_vec());
            assert!(decoded.is_err() || decoded.is_ok_and(|block| block.prefix < len));
        }
    }
}
