//! okaywal, a log: defaults; an entry is a commit, and a chunk of it one key with its value.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::okaywal::{Configuration, EntryId, LogManager, SegmentReader, WriteAheadLog};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{Engine, Entry, Setup, Shown, drive_on_threads};
use crate::random::Key;
use crate::work::Durability;

struct Okaywal {
    log: WriteAheadLog,
    recovered: Arc<AtomicU64>,
}

/// Counts what is recovered, and lets every checkpoint happen at once: nobody needs the entries.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

impl LogManager for Counting {
    fn recover(&mut self, entry: &mut ::okaywal::Entry<'_>) -> io::Result<()> {
        let chunks = entry.read_all_chunks()?.map_or(0, |chunks| chunks.len());
        self.0.fetch_add(u64::try_from(chunks).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _: EntryId,
        _: &mut SegmentReader,
        _: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let recovered = Arc::new(AtomicU64::new(0));
    let mut configuration = Configuration::default_for(setup.dir.join("okaywal"));
    if setup.keeps_log() {
        configuration = configuration.checkpoint_after_bytes(setup.beyond(0));
    }
    let log = configuration.open(Counting(Arc::clone(&recovered)))?;
    Ok(Arc::new(Okaywal { log, recovered }))
}

impl Engine for Okaywal {
    fn commit(&self, entries: &[Entry], _: Durability) -> Outcome<()> {
        let mut writer = self.log.begin_entry()?;
        for entry in entries {
            let mut chunk =
                writer.begin_chunk(u32::try_from(entry.key.len() + entry.value.len())?)?;
            chunk.write_all(&entry.key)?;
            chunk.write_all(entry.value)?;
            chunk.finish()?;
        }
        writer.commit()?;
        Ok(())
    }

    fn shown(&self, _: &Key) -> Outcome<Shown> {
        Ok(Shown::Entries(self.recovered.load(Ordering::Relaxed)))
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
