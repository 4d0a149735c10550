//! RocksDB: synced writes, bloom filters of 10 bits, two background threads; as it is, and with
//! log files recycled, after so many of them were written that there are some to recycle.

use std::sync::Arc;

use ::rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Options, WriteBatch, WriteOptions,
};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{CACHE_BYTES, Engine, Entry, Reader, Setup, Shown, drive_on_threads, touch};
use crate::random::{Key, Pool, Random};
use crate::work::Durability;

struct Rocksdb(DB);

const RECYCLED: usize = 4;
const MEMTABLE_BYTES: usize = 64 << 20;

fn configure(setup: &Setup<'_>) -> Outcome<Options> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_bloom_filter(10.0, false);
    blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.increase_parallelism(2);
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&blocks);
    let memtable = setup.beyond(u64::try_from(MEMTABLE_BYTES)?);
    options.set_write_buffer_size(usize::try_from(memtable)?);
    Ok(options)
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    Ok(Arc::new(Rocksdb(DB::open(&configure(setup)?, setup.dir.join("rocksdb"))?)))
}

pub fn open_recycled(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let mut options = configure(setup)?;
    options.set_recycle_log_file_num(RECYCLED);
    let engine = Rocksdb(DB::open(&options, setup.dir.join("rocksdb"))?);
    let (mut random, pool) = (Random::new(7), Pool::new());
    for _ in 0..=RECYCLED {
        for _ in 0..MEMTABLE_BYTES / (64 << 10) {
            let value = pool.value(&mut random, 64 << 10);
            engine.commit(&[Entry { key: random.key(), value }], Durability::Relaxed)?;
        }
        engine.0.flush()?;
    }
    Ok(Arc::new(engine))
}

impl Engine for Rocksdb {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Sync);
        if let [only] = entries {
            return Ok(self.0.put_opt(only.key, only.value, &options)?);
        }
        let mut batch = WriteBatch::default();
        for entry in entries {
            batch.put(entry.key, entry.value);
        }
        Ok(self.0.write_opt(&batch, &options)?)
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        Ok(Shown::Key(self.0.get(key)?.is_some()))
    }

    fn reader(&self) -> Outcome<Reader<'_>> {
        Ok(Box::new(|key| Ok(self.0.get_pinned(key)?.inspect(|value| touch(value)).is_some())))
    }

    fn scan(&self) -> Outcome<u64> {
        let mut found = self.0.raw_iterator();
        let mut count = 0;
        found.seek_to_first();
        while let Some(value) = found.value() {
            touch(value);
            count += 1;
            found.next();
        }
        found.status()?;
        Ok(count)
    }

    fn compact(&self) -> Outcome<bool> {
        self.0.flush()?;
        self.0.compact_range::<&[u8], &[u8]>(None, None);
        Ok(true)
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
