//! jidoka: the store, and its log alone. Both with their defaults.

use std::sync::Arc;

use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::Runtime;
use jidoka::wal::format::Kind;
use jidoka::wal::{OpenSettings, Wal};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{Engine, Entry, Setup, Shown, drive_on_threads, flatten};
use crate::random::Key;
use crate::work::Durability;

const fn durability(wanted: Durability) -> jidoka::wal::Durability {
    match wanted {
        Durability::Sync => jidoka::wal::Durability::Sync,
        Durability::Relaxed => jidoka::wal::Durability::Buffered,
    }
}

struct Opened {
    store: Store,
    keyspace: Keyspace,
}

pub fn open_store(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let store = Store::open(setup.dir.join("store"))?;
    Ok(Arc::new(Opened { store, keyspace: Keyspace::new("peers")? }))
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
