//! What all engines have in common, and which there are.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use crate::Outcome;
use crate::committer::{Committer, on_threads};
use crate::engines;
use crate::random::Key;
use crate::work::{Durability, Manner, Work};

/// What is put under a key.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub key: Key,
    pub value: &'static [u8],
}

impl Entry {
    /// Key and value in a row, for logs, which know no keys.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(self.value);
    }
}

/// Puts the keys and values of all `entries` into `bytes`, and nothing else.
pub fn flatten(entries: &[Entry], bytes: &mut Vec<u8>) {
    bytes.clear();
    entries.iter().for_each(|entry| entry.append_to(bytes));
}

/// What an opened engine shows of what was put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Whether the key is there.
    Key(bool),
    /// A log gave this many entries while it was opened.
    Entries(u64),
}

/// See [`Engine::reader`].
pub type Reader<'a> = Box<dyn FnMut(&Key) -> Outcome<bool> + 'a>;

/// Looks at a byte of each 64 of a value: no processor can leave out one of its cache lines then.
pub fn touch(value: &[u8]) {
    let sum = value.iter().step_by(64).fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(*byte)));
    black_box(sum);
}

/// What an engine did behind its commits since it was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behind {
    pub checkpoints: u64,
    pub merges: u64,
    /// Written by both.
    pub bytes: u64,
    /// Commits that waited for it.
    pub waits: u64,
}

/// An open engine.
pub trait Engine: Send + Sync {
    /// Makes all entries happen, or none.
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()>;

    /// What it has of `key`, or how much it has read.
    fn shown(&self, key: &Key) -> Outcome<Shown>;

    /// What one thread reads with: whether a key is there, its value touched.
    fn reader(&self) -> Outcome<Reader<'_>> {
        Err("it is not read".into())
    }

    /// Goes through all there is in the order of keys, and gives how many: each value touched.
    fn scan(&self) -> Outcome<u64> {
        Err("it is not read".into())
    }

    /// Puts everything into as few places as it can; false where it has no such thing.
    fn compact(&self) -> Outcome<bool> {
        Ok(false)
    }

    /// Ends in the best way it has; what is left of that happens when it is dropped.
    fn close(&self) -> Outcome<()> {
        Ok(())
    }

    /// What it says of the work behind its commits; `None` where it says nothing.
    fn behind(&self) -> Option<Behind> {
        None
    }

    /// Has all committers commit at the same time until they are through.
    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>>;
}

/// Where an engine works, and for what it should be set up.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// Exists; empty, unless it is opened again.
    pub dir: &'a Path,
    pub work: Work,
    /// What will be put into it at most; for a reopen, the log must hold it all.
    pub bytes: u64,
    /// It is opened to be measured, after it was filled to be reopened.
    pub is_filled: bool,
}

impl Setup<'_> {
    /// Whether checkpoints are put off, so that the whole log is there to be opened.
    pub fn keeps_log(&self) -> bool {
        self.work.manner == Manner::Reopen
    }

    pub fn threads(&self) -> usize {
        self.work.threads
    }

    /// The value of a limit beyond everything that is put in, else `usual`.
    pub fn beyond(&self, usual: u64) -> u64 {
        if self.keeps_log() { self.bytes.saturating_mul(4).max(usual) } else { usual }
    }
}

/// Memory that every engine with a cache of its own is given for it.
pub const CACHE_BYTES: usize = 512 << 20;

type Open = fn(&Setup<'_>) -> Outcome<Arc<dyn Engine>>;

/// An engine that can be chosen.
pub struct Kind {
    pub name: &'static str,
    open: Open,
    /// Has something between nothing and a sync.
    relaxed: bool,
    reopens: bool,
    /// Keys can be looked for in it.
    is_read: bool,
    /// Tells what it does behind its commits.
    tells: bool,
    pub fill: Fill,
    /// Without being asked for.
    pub usual: bool,
}

/// How an engine is filled before it is opened again.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    /// By commits of so many entries that no sync follows: of one, where that is quick.
    Relaxed(usize),
    /// By threads that put one entry each, durably: it has nothing less.
    Together,
}

#[cfg(feature = "peers")]
const BATCHES: Fill = Fill::Relaxed(1000);

const PEER: Kind = Kind {
    name: "",
    open: |_| Err("there is no such engine".into()),
    relaxed: true,
    reopens: true,
    is_read: true,
    tells: false,
    fill: Fill::Relaxed(1),
    usual: true,
};
/// A way to write a file; only one of them is also read.
const RAW: Kind = Kind { relaxed: false, reopens: false, is_read: false, ..PEER };

/// jidoka, and files without a store.
const OURS: &[Kind] = &[
    Kind { name: "jidoka", open: engines::jidoka::open_store, tells: true, ..PEER },
    Kind {
        name: "jidoka-256MiB",
        open: engines::jidoka::open_smaller,
        usual: false,
        tells: true,
        ..PEER
    },
    Kind { name: "jidoka-log", open: engines::jidoka::open_log, is_read: false, ..PEER },
    Kind { name: "raw", open: engines::raw::open_prepared, relaxed: true, reopens: true, ..RAW },
    Kind { name: "raw-large-fill", open: engines::raw::open_filled_at_large, ..RAW },
    Kind { name: "raw-direct", open: engines::raw::open_direct, ..RAW },
    Kind { name: "raw-group", open: engines::raw_group::open, ..RAW },
    Kind { name: "raw-growing", open: engines::raw::open_growing, relaxed: true, ..RAW },
    Kind { name: UNSYNCED, open: engines::raw::open_unsynced, usual: false, ..RAW },
];

#[cfg(feature = "peers")]
const PEERS: &[Kind] = &[
    Kind { name: "fjall", open: engines::fjall::open, ..PEER },
    Kind { name: "surrealkv", open: engines::surrealkv::open, ..PEER },
    Kind {
        name: "surrealkv-prefilled",
        open: engines::surrealkv::open_prefilled,
        relaxed: false,
        reopens: false,
        ..PEER
    },
    Kind { name: "raft-engine", open: engines::raft_engine::open, is_read: false, ..PEER },
    Kind {
        name: "raft-engine-prefilled",
        open: engines::raft_engine::open_prefilled,
        is_read: false,
        relaxed: false,
        reopens: false,
        ..PEER
    },
    Kind {
        name: "okaywal",
        open: engines::okaywal::open,
        is_read: false,
        relaxed: false,
        fill: Fill::Together,
        ..PEER
    },
    Kind { name: "redb", open: engines::redb::open, fill: BATCHES, ..PEER },
    Kind { name: "lmdb", open: engines::lmdb::open, fill: BATCHES, ..PEER },
    Kind { name: "sqlite", open: engines::sqlite::open, fill: BATCHES, ..PEER },
];
#[cfg(not(feature = "peers"))]
const PEERS: &[Kind] = &[];

#[cfg(feature = "rocksdb")]
const ROCKSDB: &[Kind] = &[
    Kind { name: "rocksdb", open: engines::rocksdb::open, ..PEER },
    Kind {
        name: "rocksdb-recycled",
        open: engines::rocksdb::open_recycled,
        relaxed: false,
        reopens: false,
        ..PEER
    },
];
#[cfg(not(feature = "rocksdb"))]
const ROCKSDB: &[Kind] = &[];

/// The engines this program was built with, in the order of the first round.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    [OURS, PEERS, ROCKSDB].into_iter().flatten()
}

/// The negative control: acknowledges without a sync.
pub const UNSYNCED: &str = "unsynced";

impl Kind {
    pub fn named(name: &str) -> Outcome<&'static Self> {
        let found = all().find(|kind| kind.name == name);
        Ok(found.ok_or_else(|| format!("there is no engine {name:?}; see --help"))?)
    }

    /// Whether it has what `work` asks for.
    pub fn can(&self, work: &Work) -> bool {
        match (work.manner, work.durability) {
            (Manner::Reopen, _) => self.reopens,
            (Manner::Ingest | Manner::Overwrite, _) => self.is_read,
            (Manner::Latency, _) => self.tells,
            (_, Durability::Relaxed) => self.relaxed,
            (_, Durability::Sync) => true,
        }
    }

    pub fn open(&self, setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
        (self.open)(setup)
    }
}

/// [`Engine::drive`] of an engine whose calls block.
pub fn drive_on_threads<E: Engine>(
    engine: &Arc<E>,
    committers: Vec<Committer>,
) -> Outcome<Vec<Committer>> {
    on_threads(committers, |committer| {
        committer.run(&mut |entries, durability| engine.commit(entries, durability))
    })
}
