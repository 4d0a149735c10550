//! redb: `Durability::Immediate`, else its defaults.

use std::sync::Arc;

use ::redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{CACHE_BYTES, Engine, Entry, Reader, Setup, Shown, drive_on_threads, touch};
use crate::random::Key;
use crate::work::Durability;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("peers");

struct Redb(Database);

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let path = setup.dir.join("redb");
    Ok(Arc::new(Redb(Builder::new().set_cache_size(CACHE_BYTES).create(path)?)))
}

impl Engine for Redb {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(match durability {
            Durability::Sync => ::redb::Durability::Immediate,
            Durability::Relaxed => ::redb::Durability::None,
        })?;
        let mut table = transaction.open_table(TABLE)?;
        for entry in entries {
            table.insert(entry.key.as_slice(), entry.value)?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        Ok(Shown::Key(table.get(key.as_slice())?.is_some()))
    }

    fn reader(&self) -> Outcome<Reader<'_>> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        Ok(Box::new(move |key| {
            let found = table.get(key.as_slice())?;
            Ok(found.inspect(|value| touch(value.value())).is_some())
        }))
    }

    fn scan(&self) -> Outcome<u64> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let mut count = 0;
        for found in table.iter()? {
            touch(found?.1.value());
            count += 1;
        }
        Ok(count)
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
