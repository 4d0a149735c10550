//! fjall: defaults, and `persist(SyncData)` after each write.

use std::sync::Arc;

use ::fjall::config::CompressionPolicy;
use ::fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{CACHE_BYTES, Engine, Entry, Reader, Setup, Shown, drive_on_threads, touch};
use crate::random::Key;
use crate::work::Durability;

struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let database = Database::builder(setup.dir.join("fjall"))
        .cache_size(u64::try_from(CACHE_BYTES)?)
        .journal_compression(CompressionType::None)
        .max_journaling_size(setup.beyond(512 << 20))
        .open()?;
    let keyspace = database.keyspace("peers", || {
        KeyspaceCreateOptions::default()
            .data_block_compression_policy(CompressionPolicy::disabled())
            .index_block_compression_policy(CompressionPolicy::disabled())
            .max_memtable_size(setup.beyond(64 << 20))
    })?;
    Ok(Arc::new(Fjall { database, keyspace }))
}

impl Engine for Fjall {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        let persist = (durability == Durability::Sync).then_some(PersistMode::SyncData);
        if let [only] = entries {
            self.keyspace.insert(only.key, only.value)?;
            return Ok(persist.map_or(Ok(()), |mode| self.database.persist(mode))?);
        }
        let mut batch = self.database.batch().durability(persist);
        for entry in entries {
            batch.insert(&self.keyspace, entry.key, entry.value);
        }
        Ok(batch.commit()?)
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        Ok(Shown::Key(self.keyspace.get(key)?.is_some()))
    }

    fn reader(&self) -> Outcome<Reader<'_>> {
        Ok(Box::new(|key| Ok(self.keyspace.get(key)?.inspect(|value| touch(value)).is_some())))
    }

    fn scan(&self) -> Outcome<u64> {
        let mut count = 0;
        for found in self.keyspace.iter() {
            touch(&found.value()?);
            count += 1;
        }
        Ok(count)
    }

    fn compact(&self) -> Outcome<bool> {
        self.keyspace.rotate_memtable_and_wait()?;
        self.keyspace.major_compact()?;
        Ok(true)
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
