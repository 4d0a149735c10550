//! A case: everything a run depends on, as data that can be written to a file and read again.

use serde::{Deserialize, Serialize};

/// How the store and the attack are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Size of the log's segments.
    pub segment_bytes: u64,
    /// Random crash images at each operation of the disk, besides the fixed modes.
    pub images: u64,
    /// One in so many operations of the disk is a crash point; 0: none is.
    #[serde(default = "every_operation")]
    pub every: u64,
    /// How deep recoveries are crashed again: 0 not at all, 1 at each of their operations, …
    pub depth: u64,
    /// One in so many images at depth 1 and beyond is taken.
    pub sparse: u64,
    /// One in so many recovered stores is also written to, closed and opened again.
    pub go_on: u64,
}

const fn every_operation() -> u64 {
    1
}

impl Default for Config {
    fn default() -> Self {
        Self { segment_bytes: 8192, images: 2, every: 1, depth: 2, sparse: 1, go_on: 8 }
    }
}

/// How a write is answered: `s`ync, `b`uffered, `m`emory.
pub(super) type DurabilityLetter = char;

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Writes documents and keys in one commit.
    Write {
        /// The operations of the batch.
        parts: Vec<Part>,
        /// How durable the answer is.
        durability: DurabilityLetter,
        /// A request id to repeat under, if any.
        request: Option<u64>,
    },
    /// Makes all that was written durable.
    Sync,
    /// Lets the store do one piece of background work.
    Background,
    /// Closes the store and opens it again.
    Reopen,
    /// Ends the process without a close, keeps the page cache, and opens the store again.
    Kill,
    /// Cuts the power, keeping a random part of what was pending, and opens the store again.
    PowerCut,
    /// Copies what is new.
    Backup,
    /// Restores the copy at some commit and compares it.
    Restore {
        /// Which: this part of 1000 of the commits in the copy.
        permille: u64,
    },
    /// Opens the store a second time, which must be refused.
    OpenBeside,
    /// Compares the snapshot that is held with what was when it was taken, and takes the next.
    Snapshot,
    /// Moves the clock by so many microseconds, ahead or back.
    Clock {
        /// How far.
        micros: i64,
    },
}

/// One operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `put`, `patch`, `delete`, `key_put`, `key_delete`.
    pub what: PartKind,
    /// Which collection or keyspace.
    pub space: u8,
    /// Which document or key.
    pub key: u8,
    /// Length of its text.
    pub len: u16,
    /// Only if the document is at the revision that the writer last saw, plus this.
    pub condition: Option<i8>,
}

/// What an operation of a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartKind {
    /// Stores a document.
    Put,
    /// Patches a document.
    Patch,
    /// Deletes a document.
    Delete,
    /// Stores a key.
    KeyPut,
    /// Deletes a key.
    KeyDelete,
}

/// One step of a case. Its `id` never changes, and everything chosen by chance in it is a
/// function of the seed and the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its stable name.
    pub id: u64,
    /// What it does.
    pub action: Action,
}

/// A planned fault of the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpec {
    /// The step before which it is planned.
    pub step: u64,
    /// How many operations it concerns pass first.
    pub nth: u64,
    /// What happens: see [`FaultSpec::KINDS`].
    pub what: String,
    /// Whether it goes on happening.
    pub sticky: bool,
}

impl FaultSpec {
    /// Whether a caller may notice the fault at all: a call that is interrupted or short is only
    /// made again.
    #[must_use]
    pub fn can_be_noticed(&self) -> bool {
        !matches!(self.what.as_str(), "write_interrupted" | "write_short")
    }

    /// The names of the faults.
    pub const KINDS: [&'static str; 14] = [
        "write_error",
        "write_full",
        "write_short",
        "write_torn",
        "write_interrupted",
        "sync_kept",
        "sync_reverted",
        "sync_late",
        "sync_sticky",
        "sync_kept_half",
        "dir_sync_error",
        "rename_error",
        "create_full",
        "read_error",
    ];
}

/// Everything that a run depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Version of this form.
    pub version: u32,
    /// Where every choice by chance comes from.
    pub seed: u64,
    /// The setup.
    pub config: Config,
    /// What is done.
    pub steps: Vec<Step>,
    /// What goes wrong.
    pub faults: Vec<FaultSpec>,
}
