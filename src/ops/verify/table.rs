//! One table, read from its first byte to its last.
//!
//! Goes on behind a damaged block, so that every damage is told; one block is in memory at a time,
//! and the index and the filter of the table.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::{KeyspaceId, Lsn, Result, Timestamp};
use crate::manifest::{Key, ListedTable};
use crate::table::block::{Block, VersionRef};
use crate::table::filter::{Filter, key_hash};
use crate::table::format::{BLOCK_HEADER, Contents, FOOTER};
use crate::table::index::{BlockAt, Index};
use crate::table::{Cache, Table, file_name};
use crate::vfs::Runtime;

use super::told::Told;

/// What was counted in a table.
#[derive(Debug)]
struct Counted {
    contents: Contents,
    smallest: Option<Key>,
}

/// Stands at a version of a table, as a cursor does, and checks whatever it passes.
#[derive(Debug)]
pub(super) struct TableWalk {
    listed: Arc<ListedTable>,
    path: PathBuf,
    table: Table,
    index: Arc<Index>,
    filter: Option<Arc<Filter>>,
    next_block: usize,
    block: Option<(Block, BlockAt)>,
    /// The entry it stands at, and the one behind it.
    here: usize,
    next: usize,
    key: Vec<u8>,
    /// The version before this one.
    last: Option<(KeyspaceId, Vec<u8>, Lsn)>,
    counted: Counted,
    blocks: u64,
    /// Something was told of it.
    is_damaged: bool,
}

impl TableWalk {
    /// Begins with a table of the manifest; `None` when it cannot be walked, which was told.
    ///
    /// # Errors
    /// `Io`, `Unsupported`.
    pub(super) fn open(
        listed: &Arc<ListedTable>,
        (dir, runtime): (&Path, &Runtime),
        told: &mut Told,
    ) -> Result<Option<Self>> {
        let place = (listed.number, listed.file_bytes);
        // Nothing is kept: everything is read once.
        let cache = Arc::new(Cache::new(0));
        let table = told.sound(Table::open(runtime.vfs.as_ref(), dir, place, cache))?;
        let Some(table) = table else { return Ok(None) };
        let filter = told.sound(table.load_filter())?;
        let is_damaged = filter.is_none();
        let Some(index) = told.sound(table.load_index())? else { return Ok(None) };
        let contents = Contents {
            lsns: (Lsn::MAX, Lsn::ZERO),
            times: (Timestamp(u64::MAX), Timestamp::ZERO),
            ..Contents::default()
        };
        Ok(Some(Self {
            path: dir.join(file_name(listed.number)),
            listed: Arc::clone(listed),
            table,
            index,
            filter,
            next_block: 0,
            block: None,
            here: 0,
            next: 0,
            key: Vec::new(),
            last: None,
            counted: Counted { contents, smallest: None },
            blocks: 0,
            is_damaged,
        }))
    }

    /// Blocks that were read and whole.
    pub(super) const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Where the version is that it stands at.
    pub(super) fn place(&self) -> (&Path, Option<u64>) {
        (&self.path, self.block.as_ref().map(|(block, at)| offset_in(block, at, self.here)))
    }

    /// The version it stands at; `None` before the first and behind the last.
    pub(super) fn version(&self) -> Option<((KeyspaceId, &[u8]), VersionRef<'_>)> {
        let (block, _) = self.block.as_ref()?;
        Some(((block.keyspace(), &self.key), block.version(self.here)?))
    }

    /// Moves to the next version that can be read; false behind the last.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn advance(&mut self, told: &mut Told) -> Result<bool> {
        loop {
            if let Some((block, _)) = &self.block {
                (self.here, self.next) = (self.next, self.next + 1);
                // The block was checked as a whole.
                if block.entry(self.here, &mut self.key).is_ok_and(|entry| entry.is_some()) {
                    self.note(told);
                    return Ok(true);
                }
                self.end_block(told);
            }
            let Some(at) = self.index.block(self.next_block) else {
                return Ok(false);
            };
            self.next_block += 1;
            (self.here, self.next) = (0, 0);
            let read = self.table.block_uncached(at).and_then(|block| {
                let checked = block.check().map_err(|mut fault| {
                    fault.offset += BLOCK_HEADER;
                    self.table.malformed(at.offset, fault)
                });
                checked.map(|()| block)
            });
            match told.sound(read)? {
                Some(block) => {
                    self.blocks += 1;
                    self.block = Some((block, at));
                }
                None => self.is_damaged = true,
            }
        }
    }

    /// Counts the version it stands at, and compares it with the one before and the filter.
    fn note(&mut self, told: &mut Told) {
        let Some((block, at)) = &self.block else { return };
        let Some(version) = block.version(self.here) else { return };
        let (keyspace, offset) = (block.keyspace(), offset_in(block, at, self.here));
        let contents = &mut self.counted.contents;
        contents.entries += 1;
        contents.deletions += u64::from(version.value.is_none());
        contents.key_bytes += to_u64(self.key.len());
        contents.value_bytes += to_u64(version.value.map_or(0, <[u8]>::len));
        contents.lsns = (contents.lsns.0.min(version.lsn), contents.lsns.1.max(version.lsn));
        contents.times = (contents.times.0.min(version.time), contents.times.1.max(version.time));
        let before = self.last.as_ref().map(|(before, key, lsn)| ((*before, key.as_slice()), lsn));
        let is_new = before.is_none_or(|(before, _)| before != (keyspace, self.key.as_slice()));
        let here = (keyspace, self.key.as_slice());
        if before.is_some_and(|(before, lsn)| before > here || !is_new && *lsn <= version.lsn) {
            let what = "the versions of a table are not in order";
            told.wrong(&self.path, (Some(offset), Some(version.lsn)), what);
            self.is_damaged = true;
        }
        if is_new {
            contents.keys += 1;
            let hash = key_hash(keyspace, &self.key);
            if self.filter.as_ref().is_some_and(|filter| !filter.may_hold(hash)) {
                let what = "the filter of a table denies a key that is in it";
                let offset = self.table.footer().filter_offset;
                told.wrong(&self.path, (Some(offset), Some(version.lsn)), what);
                // Once is enough.
                (self.filter, self.is_damaged) = (None, true);
            }
        }
        if self.counted.smallest.is_none() {
            self.counted.smallest = Some(Key { keyspace, bytes: self.key.clone() });
        }
        let (last, key, lsn) = self.last.get_or_insert((keyspace, Vec::new(), version.lsn));
        (*last, *lsn) = (keyspace, version.lsn);
        key.clone_from(&self.key);
    }

    /// Compares the last key of the block with what the index says.
    fn end_block(&mut self, told: &mut Told) {
        let Some((block, _)) = self.block.take() else { return };
        let said = self.next_block.checked_sub(1).and_then(|number| self.index.last_key(number));
        if said != Some((block.keyspace(), self.key.as_slice())) {
            let what = "the index of a table names another last key than a block has";
            told.wrong(&self.path, (Some(self.table.footer().index_offset), None), what);
            self.is_damaged = true;
        }
    }

    /// Behind the last version: compares what was counted with what the footer and the manifest
    /// say, and with `hash` the whole file with its hash. Only of a table of which everything could
    /// be read; of another the damage was told.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn finish(self, hash: bool, told: &mut Told) -> Result<()> {
        if self.is_damaged {
            return Ok(());
        }
        let footer = self.listed.file_bytes.saturating_sub(to_u64(FOOTER));
        if *self.table.contents() != self.counted.contents {
            let what = "the footer of a table counts other things than are in it";
            told.wrong(&self.path, (Some(footer), None), what);
        }
        if let Some(what) = self.differs_from_list() {
            let what = format!("the manifest lists a table with {what} than it has");
            told.wrong(&self.path, (Some(footer), None), what);
        }
        if hash && self.table.hash()? != self.listed.file_hash {
            let what = "the manifest lists a table with another hash than its file has";
            told.wrong(&self.path, (Some(0), None), what);
        }
        Ok(())
    }

    /// What the manifest says of the table that is not so.
    fn differs_from_list(&self) -> Option<&'static str> {
        let (listed, contents) = (&self.listed, &self.counted.contents);
        let last = self.last.as_ref();
        let largest =
            last.map(|(keyspace, key, _)| Key { keyspace: *keyspace, bytes: key.clone() });
        let data_bytes = contents.key_bytes.saturating_add(contents.value_bytes);
        [
            (listed.entries == contents.entries, "another number of versions"),
            (listed.tombstones == contents.deletions, "another number of deletions"),
            (listed.data_bytes == data_bytes, "other bytes of keys and values"),
            (listed.lsns == contents.lsns, "other commits"),
            (listed.times == contents.times, "other times"),
            (Some(&listed.smallest) == self.counted.smallest.as_ref(), "another smallest key"),
            (Some(&listed.largest) == largest.as_ref(), "another largest key"),
        ]
        .into_iter()
        .find_map(|(holds, what)| (!holds).then_some(what))
    }
}

/// Where an entry of a block is in the file.
fn offset_in(block: &Block, at: &BlockAt, entry: usize) -> u64 {
    at.offset + to_u64(block.entry_offset(entry))
}
