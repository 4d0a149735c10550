//! Reading a table: one key, or its versions in order.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::base::checksum::Hash64;
use crate::base::codec::{Malformed, to_u64, widen};
use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Result, Version};
use crate::vfs::{File, FileExt, OpenMode, Vfs};
use crate::wal::header::HeaderFault;

use super::block::{Block, Found};
use super::cache::{Cache, Cached, Slots};
use super::filter::Filter;
use super::format::{BLOCK_HEADER, BlockKind, BlockPlace, Contents, FOOTER, Footer, check_block};
use super::index::{BlockAt, Index};
use super::writer::file_name;

/// Bytes hashed at once when a whole table is checked.
const HASH_BYTES: usize = 256 << 10;

/// An open table. Nothing in it changes.
///
/// # Concurrency
/// May be read by any number of threads, which wait for nothing but the disk.
#[derive(Debug)]
pub struct Table {
    file: Arc<dyn File>,
    path: PathBuf,
    bytes: u64,
    footer: Footer,
    cache: Arc<Cache>,
    /// Its index and filter, if there is room to hold them.
    pinned: OnceLock<Option<Pinned>>,
}

/// What nearly every read of a table asks for.
#[derive(Debug)]
struct Pinned {
    index: Arc<Index>,
    filter: Arc<Filter>,
    blocks: Arc<Slots>,
    bytes: usize,
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(Some(pinned)) = self.pinned.get() {
            self.cache.unpin(pinned.bytes);
        }
    }
}

impl Table {
    /// Opens the table with this number and length in `dir`.
    ///
    /// # Errors
    /// `Corrupt` when it is missing, of another length, or its footer does not hold; `Unsupported`
    /// when it was made by a newer version; `Io`.
    ///
    /// # Cost
    /// One read. Its index and filter are read when they are first asked.
    pub fn open(
        vfs: &dyn Vfs,
        dir: &Path,
        (table, bytes): (u64, u64),
        cache: Arc<Cache>,
    ) -> Result<Self> {
        let path = dir.join(file_name(table));
        let damaged = |what: &str| {
            let what = format!("{what}; restore a copy of the store");
            Error::new(ErrorKind::Corrupt, what).at_path(&path)
        };
        let file = match vfs.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let what = "a table that the manifest names is missing";
                return Err(damaged(what).at_offset(0));
            }
            opened => opened.map_err(|error| Error::io("open the table", &path, error))?,
        };
        let size = file.size().map_err(|error| Error::io("read the table", &path, error))?;
        let start = size.checked_sub(to_u64(FOOTER)).filter(|_| size == bytes);
        let other = || damaged("a table has another length than it was given").at_offset(size);
        let start = start.ok_or_else(other)?;
        let mut footer = vec![0; FOOTER];
        let read = file.read_up_to(&mut footer, start);
        let read = read.map_err(|error| Error::io("read the table", &path, error))?;
        footer.truncate(read);
        let footer = Footer::decode(&footer, size).map_err(|fault| match fault {
            HeaderFault::Damaged(what) => damaged(what).at_offset(start),
            HeaderFault::Unsupported(what) => {
                Error::new(ErrorKind::Unsupported, what).at_path(&path)
            }
        })?;
        if footer.table != table {
            return Err(damaged("the table is another than its name says").at_offset(start));
        }
        let pinned = OnceLock::new();
        Ok(Self { file, path, bytes, footer, cache, pinned })
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.footer.table
    }

    /// What is in it.
    #[must_use]
    pub const fn contents(&self) -> &Contents {
        &self.footer.contents
    }

    /// Where its parts are, and who made it.
    #[must_use]
    pub const fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The newest version of a key at or below `at`; `hash` is the key's
    /// [`key_hash`](super::filter::key_hash).
    ///
    /// # Errors
    /// `Corrupt` with file and offset; `Io`.
    ///
    /// # Cost
    /// With its parts in the cache three lookups, else up to three reads.
    pub fn newest(
        &self,
        (keyspace, key): (KeyspaceId, &[u8]),
        hash: u64,
        at: Lsn,
    ) -> Result<Option<Version>> {
        let (filter, index);
        let (filter, index) = match self.pinned()? {
            Some(pinned) => (&pinned.filter, &pinned.index),
            None => {
                (filter, index) = (self.cached_filter()?, self.cached_index()?);
                (&filter, &index)
            }
        };
        if !filter.may_hold(hash) {
            return Ok(None);
        }
        let mut number = index.first_not_below(keyspace, key);
        while let Some(place) = index.block(number).filter(|block| block.keyspace == keyspace) {
            let block = self.block(number, place)?;
            match block
                .newest(key, hash, at)
                .map_err(|fault| self.malformed(place.offset, fault))?
            {
                Found::Version(version) => return Ok(Some(version)),
                Found::Nothing => return Ok(None),
                Found::Further => number += 1,
            }
        }
        Ok(None)
    }

    /// Its index.
    ///
    /// # Errors
    /// As [`Table::newest`].
    pub fn index(&self) -> Result<Arc<Index>> {
        match self.pinned()? {
            Some(pinned) => Ok(Arc::clone(&pinned.index)),
            None => self.cached_index(),
        }
    }

    /// Its index and filter, if there is room to hold them.
    fn pinned(&self) -> Result<Option<&Pinned>> {
        if let Some(pinned) = self.pinned.get() {
            return Ok(pinned.as_ref());
        }
        let (index, filter) = (self.load_index()?, self.load_filter()?);
        let bytes = index.bytes() + filter.bytes() + Slots::bytes(index.count());
        let pin = || {
            self.cache.pin(bytes).then(|| {
                let blocks = Arc::new(Slots::new(index.count()));
                Pinned { index, filter, blocks, bytes }
            })
        };
        Ok(self.pinned.get_or_init(pin).as_ref())
    }

    fn cached_index(&self) -> Result<Arc<Index>> {
        let place = self.place(self.footer.index_offset);
        if let Some(Cached::Index(index)) = self.cache.find(place) {
            return Ok(index);
        }
        let index = self.load_index()?;
        self.cache.keep(place, Cached::Index(Arc::clone(&index)));
        Ok(index)
    }

    fn cached_filter(&self) -> Result<Arc<Filter>> {
        let place = self.place(self.footer.filter_offset);
        if let Some(Cached::Filter(filter)) = self.cache.find(place) {
            return Ok(filter);
        }
        let filter = self.load_filter()?;
        self.cache.keep(place, Cached::Filter(Arc::clone(&filter)));
        Ok(filter)
    }

    /// Its index, read now and not kept.
    ///
    /// # Errors
    /// As [`Table::newest`].
    pub fn load_index(&self) -> Result<Arc<Index>> {
        let offset = self.footer.index_offset;
        let mut bytes = self.read(BlockKind::Index, offset, self.footer.index_length)?;
        bytes.drain(..BLOCK_HEADER);
        let index = Index::decode(bytes, self.footer.filter_offset);
        index.map(Arc::new).map_err(|fault| self.malformed(offset, fault))
    }

    /// Its filter, read now and not kept.
    ///
    /// # Errors
    /// As [`Table::newest`].
    pub fn load_filter(&self) -> Result<Arc<Filter>> {
        let offset = self.footer.filter_offset;
        let bytes = self.read(BlockKind::Filter, offset, self.footer.filter_length)?;
        let filter = Filter::decode(bytes.get(BLOCK_HEADER..).unwrap_or_default());
        let what = "a filter has no whole number of blocks";
        let fault = Malformed { offset: 0, what };
        filter.map(Arc::new).ok_or_else(|| self.malformed(offset, fault))
    }

    /// The data block with this number, kept in the cache.
    ///
    /// # Errors
    /// As [`Table::newest`].
    pub fn block(&self, number: usize, at: BlockAt) -> Result<Arc<Block>> {
        if let Some(Some(pinned)) = self.pinned.get() {
            if let Some(block) = pinned.blocks.find(number) {
                return Ok(block);
            }
            let block = Arc::new(self.block_uncached(at)?);
            self.cache.keep_in(&pinned.blocks, number, self.place(at.offset), &block);
            return Ok(block);
        }
        if let Some(Cached::Block(block)) = self.cache.find(self.place(at.offset)) {
            return Ok(block);
        }
        let block = Arc::new(self.block_uncached(at)?);
        self.cache.keep(self.place(at.offset), Cached::Block(Arc::clone(&block)));
        Ok(block)
    }

    /// A data block, read now and not kept: for who reads everything once.
    ///
    /// # Errors
    /// As [`Table::newest`].
    pub fn block_uncached(&self, at: BlockAt) -> Result<Block> {
        let bytes = self.read(BlockKind::Data, at.offset, at.length)?;
        let block = Block::decode(bytes).map_err(|fault| self.malformed(at.offset, fault))?;
        if block.keyspace() == at.keyspace {
            return Ok(block);
        }
        let what = "a block is of another keyspace than the index says";
        Err(self.malformed(at.offset, Malformed { offset: 0, what }))
    }

    /// The hash of the whole file, to compare with the one in the manifest.
    ///
    /// # Errors
    /// `Io`.
    ///
    /// # Cost
    /// Reads the whole file.
    pub fn hash(&self) -> Result<u64> {
        let (mut hash, mut offset) = (Hash64::new(), 0);
        let mut buffer = vec![0; HASH_BYTES];
        while offset < self.bytes {
            let read = self.file.read_up_to(&mut buffer, offset);
            let read = read.map_err(|error| Error::io("read the table", &self.path, error))?;
            if read == 0 {
                break;
            }
            hash.update(buffer.get(..read).unwrap_or_default());
            offset += to_u64(read);
        }
        Ok(hash.finish())
    }

    /// Reads a block and checks it; with its header.
    fn read(&self, kind: BlockKind, offset: u64, length: u32) -> Result<Vec<u8>> {
        let end = offset.checked_add(to_u64(BLOCK_HEADER) + u64::from(length));
        // The lengths of an index are under its hash, and yet they must not decide what is
        // allocated (L9).
        if end.is_none_or(|end| end > self.bytes) {
            let what = "a block goes beyond the end of its table";
            return Err(self.malformed(offset, Malformed { offset: 0, what }));
        }
        let mut bytes = vec![0; BLOCK_HEADER + widen(length)];
        let read = self.file.read_up_to(&mut bytes, offset);
        let read = read.map_err(|error| Error::io("read the table", &self.path, error))?;
        bytes.truncate(read);
        let checked = check_block(&bytes, self.place(offset), kind);
        checked.map_err(|what| self.malformed(offset, Malformed { offset: 0, what }))?;
        Ok(bytes)
    }

    const fn place(&self, offset: u64) -> BlockPlace {
        BlockPlace { table: self.footer.table, offset }
    }

    /// The error that a block at `offset` is not what it was.
    #[must_use]
    pub fn malformed(&self, offset: u64, fault: Malformed) -> Error {
        let what = format!("{}; run `verify`, and restore a copy of the store", fault.what);
        let offset = offset + to_u64(fault.offset);
        Error::new(ErrorKind::Corrupt, what).at_path(&self.path).at_offset(offset)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::filter::key_hash;
    use super::super::sample::{Sample, dir, disk, key_of, open, samples, write};
    use super::super::{Cursor, TableFacts};
    use super::*;
    use crate::base::Timestamp;
    use crate::vfs::memory::MemoryVfs;

    fn newest(table: &Table, keyspace: u32, key: &[u8], at: u64) -> Result<Option<Version>> {
        let keyspace = KeyspaceId(keyspace);
        table.newest((keyspace, key), key_hash(keyspace, key), Lsn(at))
    }

    #[test]
    fn every_version_is_found_at_its_lsn_and_nothing_else_is() {
        let (disk, samples) = (disk(), samples());
        let table = open(&disk, &write(&disk, 1, &samples)).unwrap();
        let keys: BTreeSet<(u32, Vec<u8>)> =
            samples.iter().map(|(keyspace, key, ..)| (*keyspace, key.clone())).collect();
        for (keyspace, key) in &keys {
            for at in [0, 900, 1100, 2100, 3500, 20_003, u64::MAX] {
                let is_it =
                    |sample: &&Sample| (sample.0, &sample.1) == (*keyspace, key) && sample.2 <= at;
                let expected = samples.iter().find(is_it).map(|(_, _, lsn, value)| Version {
                    lsn: Lsn(*lsn),
                    time: Timestamp(lsn * 2),
                    value: value.as_deref().map(Into::into),
                });
                assert_eq!(newest(&table, *keyspace, key, at).unwrap(), expected);
            }
            let absent = [key.as_slice(), b"!"].concat();
            assert_eq!(newest(&table, *keyspace, &absent, u64::MAX).unwrap(), None);
            assert_eq!(newest(&table, 3, key, u64::MAX).unwrap(), None);
        }
    }

    #[test]
    fn its_facts_say_what_is_in_it() {
        let (disk, samples) = (disk(), samples());
        let facts = write(&disk, 4, &samples);
        let table = open(&disk, &facts).unwrap();
        assert_eq!((table.number(), *table.contents()), (4, facts.contents));
        assert_eq!(table.hash().unwrap(), facts.hash);
        assert_eq!(facts.keys, (key_of(samples.first()), key_of(samples.last())));
        let sum = |of: fn(&Sample) -> usize| to_u64(samples.iter().map(of).sum());
        assert_eq!(facts.contents.entries, to_u64(samples.len()));
        assert_eq!(facts.contents.keys, 601);
        assert_eq!(facts.contents.deletions, sum(|sample| usize::from(sample.3.is_none())));
        assert_eq!(facts.contents.key_bytes, sum(|sample| sample.1.len()));
        assert_eq!(facts.contents.value_bytes, sum(|sample| sample.3.as_ref().map_or(0, Vec::len)));
        let lsns = samples.iter().map(|sample| Lsn(sample.2));
        assert_eq!(Some(facts.contents.lsns.0), lsns.clone().min());
        assert_eq!(Some(facts.contents.lsns.1), lsns.max());
    }

    /// Everything a table says, or the first error.
    fn everything(disk: &MemoryVfs, facts: &TableFacts, asked: &[Sample]) -> Result<Vec<Sample>> {
        let table = Arc::new(open(disk, facts)?);
        for (keyspace, key, lsn, value) in asked {
            let found = newest(&table, *keyspace, key, *lsn)?;
            let found = found.map(|version| version.value.map(|value| value.to_vec()));
            assert_eq!(found.as_ref(), Some(value), "a wrong answer");
        }
        let mut cursor = Cursor::new(table)?;
        let mut all = Vec::new();
        while cursor.advance()? {
            let ((keyspace, key), version) = cursor.version().unwrap();
            let value = version.value.map(<[u8]>::to_vec);
            all.push((keyspace.0, key.to_vec(), version.lsn.0, value));
        }
        Ok(all)
    }

    #[test]
    fn no_changed_byte_changes_an_answer() {
        let (disk, samples) = (disk(), samples());
        let samples = &samples[..60];
        let facts = write(&disk, 1, samples);
        assert_eq!(everything(&disk, &facts, samples).unwrap(), samples);
        let path = dir().join(file_name(1));
        let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
        let bytes = file.read_whole(1 << 20).unwrap();
        for (at, byte) in bytes.iter().enumerate() {
            let offset = to_u64(at);
            file.write_all_at(&[byte ^ 0x10], offset).unwrap();
            let told = everything(&disk, &facts, samples).unwrap_err();
            assert!(matches!(told.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported));
            assert_eq!(told.place().path.as_deref(), Some(path.as_path()));
            file.write_all_at(&[*byte], offset).unwrap();
        }
        for len in (0..bytes.len()).step_by(7) {
            file.set_len(to_u64(len)).unwrap();
            assert_eq!(open(&disk, &facts).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_block_of_another_table_does_not_verify() {
        let (disk, samples) = (disk(), samples());
        let (one, two) = (write(&disk, 1, &samples), write(&disk, 2, &samples));
        let read = |number| disk.open(&dir().join(file_name(number)), OpenMode::ReadWrite).unwrap();
        let page = read(2).read_whole(1 << 20).unwrap();
        read(1).write_all_at(&page[..4096], 0).unwrap();
        assert_eq!(everything(&disk, &one, &samples).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(everything(&disk, &two, &samples).unwrap(), samples);
    }

    #[test]
    fn a_missing_table_is_damage() {
        let disk = disk();
        let facts = TableFacts { table: 2, ..write(&disk, 1, &samples()) };
        assert_eq!(open(&disk, &facts).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
