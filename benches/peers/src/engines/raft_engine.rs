//! raft-engine, a log with an index in memory: 16 regions, no compression; as it is, and with
//! files prepared for recycling. Those are taken only once the first file was full.

use std::fs;
use std::sync::Arc;

use ::raft_engine::env::DefaultFileSystem;
use ::raft_engine::internals::FilePipeLog;
use ::raft_engine::{Config, LogBatch, ReadableSize};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{Engine, Entry, Setup, Shown, drive_on_threads};
use crate::random::{Key, Pool, Random};
use crate::work::Durability;

type Log = ::raft_engine::Engine<DefaultFileSystem, FilePipeLog<DefaultFileSystem>>;

struct RaftEngine(Log);

const REGIONS: u64 = 16;

fn region(key: &Key) -> u64 {
    let [first, ..] = *key;
    u64::from(first) % REGIONS + 1
}

fn configure(setup: &Setup<'_>) -> Config {
    Config {
        dir: setup.dir.join("raft-engine").display().to_string(),
        batch_compression_threshold: ReadableSize(0),
        purge_threshold: ReadableSize(setup.beyond(10 << 30)),
        ..Config::default()
    }
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    Ok(Arc::new(RaftEngine(Log::open(configure(setup))?)))
}

pub fn open_prefilled(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let file_bytes = 64 << 20;
    let config = Config {
        target_file_size: ReadableSize(file_bytes),
        prefill_for_recycle: true,
        prefill_limit: Some(ReadableSize(8 * file_bytes)),
        ..configure(setup)
    };
    let dir = config.dir.clone();
    let engine = RaftEngine(Log::open(config)?);
    for file in fs::read_dir(dir)? {
        fs::File::open(file?.path())?.sync_all()?;
    }
    // The first file is a new one: it is filled, and the next will be a prepared one.
    let (mut random, pool, mut filled) = (Random::new(7), Pool::new(), 0);
    while filled <= file_bytes {
        let value = pool.value(&mut random, 64 << 10);
        engine.commit(&[Entry { key: random.key(), value }], Durability::Relaxed)?;
        filled += u64::try_from(value.len())?;
    }
    Ok(Arc::new(engine))
}

impl Engine for RaftEngine {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        let mut batch = LogBatch::with_capacity(entries.len());
        for entry in entries {
            batch.put(region(&entry.key), entry.key.to_vec(), entry.value.to_vec())?;
        }
        self.0.write(&mut batch, durability == Durability::Sync)?;
        Ok(())
    }

    fn shown(&self, key: &Key) -> Outcome<Shown> {
        Ok(Shown::Key(self.0.get(region(key), key).is_some()))
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
