//! What the engines are asked to do.

use crate::Outcome;

/// How durable a commit must be when its call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage.
    Sync,
    /// As soon as the engine says so without a sync.
    Relaxed,
}

/// The manner of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// One thread, in turns with raw.
    Lone,
    /// So many threads at once.
    Together,
    /// Opening what a killed process left.
    Reopen,
    /// Taking in as many as there shall be, reading them, and opening what a clean close left.
    Ingest,
    /// Five times as many puts as there are keys.
    Overwrite,
    /// Commits while tables are written, in turns with raw while as much is written beside it.
    Latency,
}

/// One row of the comparison.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub name: &'static str,
    pub title: &'static str,
    pub manner: Manner,
    pub threads: usize,
    /// Entries in each commit.
    pub entries: usize,
    /// Bytes of a value.
    pub value: usize,
    pub durability: Durability,
}

const LONE: Work = Work {
    name: "lone-256",
    title: "a lone durable commit of 256 B",
    manner: Manner::Lone,
    threads: 1,
    entries: 1,
    value: 256,
    durability: Durability::Sync,
};

/// All of them, in the order of the table.
pub const ALL: &[Work] = &[
    LONE,
    Work { name: "lone-4096", title: "a lone durable commit of 4 KiB", value: 4096, ..LONE },
    Work {
        name: "group-16",
        title: "durable puts of 256 B by 16 threads",
        manner: Manner::Together,
        threads: 16,
        ..LONE
    },
    Work {
        name: "group-64",
        title: "durable puts of 256 B by 64 threads",
        manner: Manner::Together,
        threads: 64,
        ..LONE
    },
    Work {
        name: "batches",
        title: "durable batches of 1,000 × 256 B by one thread",
        manner: Manner::Together,
        entries: 1000,
        ..LONE
    },
    Work {
        name: "relaxed",
        title: "puts of 100 B by one thread that no sync follows",
        manner: Manner::Together,
        value: 100,
        durability: Durability::Relaxed,
        ..LONE
    },
    Work {
        name: "relaxed-4",
        title: "puts of 100 B by four threads that no sync follows",
        manner: Manner::Together,
        threads: 4,
        value: 100,
        durability: Durability::Relaxed,
        ..LONE
    },
    Work {
        name: "ingest",
        title: "durable batches of 1,000 × 256 B, and reading them: values of 256 B, all touched",
        manner: Manner::Ingest,
        entries: 1000,
        ..LONE
    },
    Work {
        name: "overwrite",
        title: "five times as many overwrites of random keys as there are, in such batches",
        manner: Manner::Overwrite,
        entries: 1000,
        ..LONE
    },
    Work {
        name: "latency",
        title: "durable puts of 256 B by one thread while tables are written and merged",
        manner: Manner::Latency,
        ..LONE
    },
    Work {
        name: "latency-4096",
        title: "durable puts of 4 KiB by one thread while tables are written and merged",
        manner: Manner::Latency,
        value: 4096,
        ..LONE
    },
    Work {
        name: "reopen",
        title: "opening what a killed process left, with values of 256 B, page cache warm",
        manner: Manner::Reopen,
        ..LONE
    },
];

impl Work {
    pub fn named(name: &str) -> Outcome<Self> {
        let found = ALL.iter().find(|work| work.name == name);
        Ok(*found.ok_or_else(|| format!("there is no work {name:?}; see --help"))?)
    }

    /// Bytes of keys and values in each commit.
    pub const fn commit_bytes(&self) -> usize {
        self.entries * (size_of::<crate::random::Key>() + self.value)
    }

    /// Whether it is run once more under `strace`: its syncs are those of other works, else.
    pub fn is_traced(&self) -> bool {
        let commits_only = matches!(self.manner, Manner::Lone | Manner::Together);
        commits_only && self.durability == Durability::Sync
    }

    /// How many keys `bytes` are.
    pub fn keys(&self, bytes: u64) -> u64 {
        let each = u64::try_from(size_of::<crate::random::Key>() + self.value).unwrap_or(u64::MAX);
        bytes / each
    }

    /// How many commits one reading of the clock spans: a relaxed one is not much longer than that.
    pub const fn commits_per_time(&self) -> u64 {
        match self.durability {
            Durability::Sync => 1,
            Durability::Relaxed => 64,
        }
    }
}
