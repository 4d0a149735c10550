//! A case: everything a run depends on, as data that can be written to a file and read again.

use serde::{Deserialize, Serialize};

use crate::base::{Error, ErrorKind, Result};
use crate::store::{LogKept, Store, StoreBuilder};

/// Where the store is on every simulated disk.
pub(super) const STORE: &str = "/store";

/// How the store and the attack are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Tails are padded, and the medium destroys what it is writing when the power fails.
    #[serde(default)]
    pub padded: bool,
    /// So many lives of the store begin without padded tails, and without that medium.
    #[serde(default)]
    pub padded_after: u64,
    /// Groups are written past the page cache where they may be.
    #[serde(default)]
    pub through: bool,
    /// Each operation of the disk takes up to so many microseconds.
    #[serde(default)]
    pub slow: u64,
    /// How the store makes tables, where it is not as ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<TableConfig>,
}

/// Limits so small that a short case has checkpoints, merges and new manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// Bytes of memory; a quarter of it makes a checkpoint due, and is the size of a table.
    pub memory_limit: u32,
    /// Bytes of a manifest.
    pub manifest_bytes: u32,
    /// A checkpoint releases the log that is not needed any more.
    pub log_needed: bool,
}

impl Config {
    /// The setup of a life of the store; the first is 1.
    pub(super) fn in_life(self, life: u64) -> Self {
        Self { padded: self.padded && life > self.padded_after, ..self }
    }

    /// How the store is opened.
    pub(super) fn builder(&self) -> StoreBuilder {
        let builder = Store::builder(STORE).segment_bytes(self.segment_bytes);
        let builder = builder.padded_tails(self.padded).write_through(self.through);
        let Some(tables) = self.tables else { return builder };
        let kept = if tables.log_needed { LogKept::Needed } else { LogKept::All };
        let memory_limit = usize::try_from(tables.memory_limit).unwrap_or(usize::MAX);
        builder.tiny(memory_limit, u64::from(tables.manifest_bytes)).log_kept(kept)
    }
}

const fn every_operation() -> u64 {
    1
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 8192,
            images: 2,
            every: 1,
            depth: 2,
            sparse: 1,
            go_on: 8,
            padded: false,
            padded_after: 0,
            through: false,
            slow: 0,
            tables: None,
        }
    }
}

/// How a write is answered: `s`ync, `b`uffered, `m`emory.
pub(super) type DurabilityLetter = char;

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
    /// Puts keys, each in an asynchronous commit of its own, and brings them to their end.
    Submit {
        /// What is put.
        parts: Vec<Part>,
        /// Whether the handles are waited for; else the store's background work writes.
        waits: bool,
    },
    /// Makes all that was written durable.
    Sync,
    /// Lets the store do one piece of background work.
    Background,
    /// Writes what is in memory into tables.
    Checkpoint,
    /// The same, and merges all tables into one run.
    Compact,
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its stable name.
    pub id: u64,
    /// What it does.
    pub action: Action,
}

/// A planned fault of the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
///
/// Files of this form are kept in `tests/regress`, and are read for ever: a field that is added
/// gets a default that means what its absence meant, and [`Case::VERSION`] grows when that cannot
/// be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Version of this form; a file that does not say is of the first.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Where every choice by chance comes from.
    pub seed: u64,
    /// The setup.
    pub config: Config,
    /// What is done.
    pub steps: Vec<Step>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<FaultSpec>,
}

const fn first_version() -> u32 {
    1
}

/// All that is read of a case before its version is known.
#[derive(Deserialize)]
struct Beginning {
    #[serde(default = "first_version")]
    version: u32,
}

impl Case {
    /// The version that is written now.
    pub const VERSION: u32 = 1;

    /// Reads a case from the bytes of a file.
    ///
    /// # Errors
    /// `Unsupported` for a version that is not known, `Invalid` for anything else that is not a
    /// case: a field or a fault that is not known would be left out, and another case played; and
    /// what no store can do would be told as a broken rule.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(ErrorKind::Invalid, format!("the file is not a case of the lab: {why}"))
        };
        let beginning: Beginning =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if beginning.version == 0 || beginning.version > Self::VERSION {
            let (found, known) = (beginning.version, Self::VERSION);
            let what = format!("the case is of version {found}, and this lab plays up to {known}");
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let case: Self = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        match super::legal::wrong(&case) {
            Some(why) => Err(wrong(why)),
            None => Ok(case),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> (ErrorKind, String) {
        let error = Case::read(text.as_bytes()).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    const CONFIG: &str =
        r#""config":{"segment_bytes":8192,"images":1,"depth":1,"sparse":1,"go_on":1}"#;

    #[test]
    fn a_case_without_a_version_is_of_the_first() {
        let text = format!(r#"{{"seed":7,{CONFIG},"steps":[{{"id":1,"action":"sync"}}]}}"#);
        let case = Case::read(text.as_bytes()).unwrap();
        assert_eq!((case.version, case.seed, case.config.every), (1, 7, 1));
        assert_eq!(case.steps, [Step { id: 1, action: Action::Sync }]);
        assert_eq!(case.faults, []);
    }

    #[test]
    fn a_case_of_a_later_version_is_refused_by_its_version() {
        for version in [0, 2, 77] {
            let (kind, message) = refusal(&format!(r#"{{"version":{version},"new":[1]}}"#));
            assert_eq!(kind, ErrorKind::Unsupported);
            let told = format!("the case is of version {version}, and this lab plays up to 1");
            assert_eq!(message, told);
        }
    }

    #[test]
    fn what_would_be_left_out_is_refused_by_name() {
        let write = r#"{"parts":[],"durability":"s","request":null,"patience":1}"#;
        for (rest, named) in [
            (r#""steps":[],"moons":1"#.to_owned(), "`moons`"),
            (r#""steps":[{"id":1,"action":"sync","moons":1}]"#.to_owned(), "`moons`"),
            (r#""steps":[{"id":1,"action":"dance"}]"#.to_owned(), "`dance`"),
            (format!(r#""steps":[{{"id":1,"action":{{"write":{write}}}}}]"#), "`patience`"),
            (
                r#""steps":[],"faults":[{"step":0,"nth":0,"what":"moth","sticky":false}]"#
                    .to_owned(),
                "\"moth\"",
            ),
        ] {
            let (kind, message) = refusal(&format!(r#"{{"version":1,"seed":7,{CONFIG},{rest}}}"#));
            assert_eq!(kind, ErrorKind::Invalid);
            assert!(message.starts_with("the file is not a case of the lab: "), "{message}");
            assert!(message.contains(named), "{message} does not name {named}");
        }
    }
}
