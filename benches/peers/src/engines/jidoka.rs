//! jidoka: the store, and its log alone.
//!
//! Of its memory a store uses half as a cache, and a quarter of it makes a checkpoint due: a limit
//! of 1 GiB gives it the cache that everybody has, and a memtable of 256 MiB. `jidoka-256MiB` has
//! the limit that is the default, thus a memtable of 64 MiB, which is what fjall and RocksDB have,
//! and a quarter of the others' cache. It keeps what of the log an open needs, as the others do.

use std::sync::Arc;

use jidoka::store::{Batch, Keyspace, LogKept, Store};
use jidoka::vfs::Runtime;
use jidoka::wal::format::Kind;
use jidoka::wal::{OpenSettings, Wal};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{
    Behind, CACHE_BYTES, Engine, Entry, Reader, Setup, Shown, drive_on_threads, flatten, touch,
};
use crate::random::Key;
use crate::work::{Durability, Manner};

const fn durability(wanted: Durability) -> jidoka::wal::Durability {
    match wanted {
        Durability::Sync => jidoka::wal::Durability::Sync,
        Durability::Relaxed => jidoka::wal::Durability::Buffered,
    }
}

const REOPEN_BYTES: usize = 512 << 20;
const LATENCY_BYTES: usize = 4 << 20;

struct Opened {
    store: Store,
    keyspace: Keyspace,
}

fn open(setup: &Setup<'_>, memory_limit: usize) -> Outcome<Arc<dyn Engine>> {
    let memory_limit = match setup.work.manner {
        // Beyond what is put in, so that no checkpoint comes; and then what is to be opened.
        Manner::Reopen if setup.is_filled => REOPEN_BYTES,
        Manner::Reopen => usize::try_from(setup.bytes.saturating_mul(16))?.max(memory_limit),
        // So little that checkpoints and merges never end.
        Manner::Latency => LATENCY_BYTES,
        _ => memory_limit,
    };
    let builder = Store::builder(setup.dir.join("store"));
    let store = builder.memory_limit(memory_limit).log_kept(LogKept::Needed).open()?;
    Ok(Arc::new(Opened { store, keyspace: Keyspace::new("peers")? }))
}

pub fn open_store(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open(setup, 2 * CACHE_BYTES)
}

pub fn open_smaller(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open(setup, CACHE_BYTES / 2)
}

impl Engine for Opened {
    fn commit(&self, entries: &[Entry], wanted: Durability) -> Outcome<()> {
        let mut batch = Batch::new();
        batch.durability(durability(wanted));
        for entry in entries {
            batch.put(&self.keyspace, &entry.key, entry.value);
        }
        self.store.commit(batch)?;
        Ok(())
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        Ok(Shown::Key(self.store.get(&self.keyspace, key)?.is_some()))
    }

    fn reader(&self) -> Outcome<Reader<'_>> {
        let snapshot = self.store.snapshot();
        Ok(Box::new(move |key| {
            let found = snapshot.get(&self.keyspace, key)?;
            Ok(found.inspect(|found| touch(&found.value)).is_some())
        }))
    }

    fn scan(&self) -> Outcome<u64> {
        let mut count = 0;
        for found in self.store.range(&self.keyspace, ..) {
            touch(&found?.value);
            count += 1;
        }
        Ok(count)
    }

    fn compact(&self) -> Outcome<bool> {
        self.store.compact()?;
        Ok(true)
    }

    fn close(&self) -> Outcome<()> {
        Ok(self.store.close()?)
    }

    fn behind(&self) -> Option<Behind> {
        let stats = self.store.table_stats();
        let (checkpoints, merges) = (stats.checkpoints, stats.merges);
        Some(Behind { checkpoints, merges, bytes: stats.written_bytes, waits: stats.waits })
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}

struct OpenedLog {
    log: Wal,
    replayed: u64,
}

pub fn open_log(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let mut replayed = 0;
    let log = Wal::open(
        &setup.dir.join("store"),
        &Runtime::default(),
        &OpenSettings::default(),
        &mut |record| {
            replayed += u64::from(record.header.kind == Kind::Commit);
            Ok(())
        },
    )?;
    Ok(Arc::new(OpenedLog { log, replayed }))
}

impl Engine for OpenedLog {
    fn commit(&self, entries: &[Entry], wanted: Durability) -> Outcome<()> {
        let mut bytes = Vec::with_capacity(entries.len() * 512);
        flatten(entries, &mut bytes);
        self.log.commit(bytes, durability(wanted))?;
        Ok(())
    }

    fn shown(&self, _: &Key) -> Outcome<Shown> {
        Ok(Shown::Entries(self.replayed))
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
