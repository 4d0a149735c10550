//! LMDB through heed: defaults; relaxed is `NO_SYNC`. Its cache is the page cache.

use std::sync::Arc;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{Engine, Entry, Reader, Setup, Shown, drive_on_threads, touch};
use crate::random::Key;
use crate::work::Durability;

struct Lmdb {
    environment: Env,
    database: Database<'static, Bytes, Bytes>,
    /// Whether no commit is synced unless this is done by hand.
    unsynced: bool,
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let dir = setup.dir.join("lmdb");
    std::fs::create_dir_all(&dir)?;
    let unsynced = setup.keeps_log() || setup.work.durability == Durability::Relaxed;
    let mut options = EnvOpenOptions::new();
    options.map_size(32 << 30);
    if unsynced {
        // SAFETY: without syncs a crash of the kernel may harm the file, which nobody keeps.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: nobody else opens, changes or truncates the file while it is mapped.
    let environment = unsafe { options.open(&dir)? };
    let database = environment
        .create_databases_and_commit(environment.write_txn()?, |opener, transaction| {
            opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        })?
        .unwrap_commit();
    Ok(Arc::new(Lmdb { environment, database, unsynced }))
}

impl Engine for Lmdb {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        let mut transaction = self.environment.write_txn()?;
        for entry in entries {
            self.database.put(&mut transaction, &entry.key, entry.value)?;
        }
        transaction.commit()?;
        if self.unsynced && durability == Durability::Sync {
            self.environment.force_sync()?;
        }
        Ok(())
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        let transaction = self.environment.read_txn()?;
        Ok(Shown::Key(self.database.get(&transaction, key)?.is_some()))
    }

    fn reader(&self) -> Outcome<Reader<'_>> {
        let transaction = self.environment.read_txn()?;
        Ok(Box::new(move |key| {
            Ok(self.database.get(&transaction, key)?.inspect(|value| touch(value)).is_some())
        }))
    }

    fn scan(&self) -> Outcome<u64> {
        let transaction = self.environment.read_txn()?;
        let mut count = 0;
        for found in self.database.iter(&transaction)? {
            touch(found?.1);
            count += 1;
        }
        Ok(count)
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
