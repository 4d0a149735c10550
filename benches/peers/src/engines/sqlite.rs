//! SQLite through rusqlite: WAL, `synchronous=FULL`, a table without row ids, one connection
//! behind a mutex; relaxed is `synchronous=NORMAL`.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{CACHE_BYTES, Engine, Entry, Reader, Setup, Shown, drive_on_threads, touch};
use crate::random::Key;
use crate::work::Durability;

struct Sqlite(Mutex<Opened>);

struct Opened {
    connection: Connection,
    durability: Durability,
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let connection = Connection::open(setup.dir.join("sqlite"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Negative: in KiB.
    connection.pragma_update(None, "cache_size", -i64::try_from(CACHE_BYTES / 1024)?)?;
    if setup.keeps_log() {
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    }
    connection.execute(
        "CREATE TABLE IF NOT EXISTS peers (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID",
        [],
    )?;
    Ok(Arc::new(Sqlite(Mutex::new(Opened { connection, durability: Durability::Sync }))))
}

impl Engine for Sqlite {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.durability != durability {
            let level = if durability == Durability::Sync { "FULL" } else { "NORMAL" };
            opened.connection.pragma_update(None, "synchronous", level)?;
            opened.durability = durability;
        }
        let transaction = opened.connection.transaction()?;
        let mut insert =
            transaction.prepare_cached("INSERT OR REPLACE INTO peers VALUES (?1, ?2)")?;
        for entry in entries {
            insert.execute(params![entry.key, entry.value])?;
        }
        drop(insert);
        Ok(transaction.commit()?)
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select =
            opened.connection.prepare_cached("SELECT value FROM peers WHERE key = ?1")?;
        Ok(Shown::Key(select.exists(params![key])?))
    }

    fn reader(&self) -> Outcome<Reader<'_>> {
        Ok(Box::new(|key| {
            let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut select =
                opened.connection.prepare_cached("SELECT value FROM peers WHERE key = ?1")?;
            let mut rows = select.query(params![key])?;
            let Some(row) = rows.next()? else { return Ok(false) };
            touch(row.get_ref(0)?.as_blob()?);
            Ok(true)
        }))
    }

    fn scan(&self) -> Outcome<u64> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select =
            opened.connection.prepare_cached("SELECT value FROM peers ORDER BY key")?;
        let (mut rows, mut count) = (select.query([])?, 0);
        while let Some(row) = rows.next()? {
            touch(row.get_ref(0)?.as_blob()?);
            count += 1;
        }
        Ok(count)
    }

    fn compact(&self) -> Outcome<bool> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
        Ok(true)
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
