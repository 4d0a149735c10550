//! The write-ahead log: an endless, checksummed sequence of records in numbered segments.
//!
//! Life cycle: [`Wal::open`] looks at what is there, decides by a table of labelled cases
//! (`recovery`), mends the end if it must, and gives every record to the caller. Then
//! [`Wal::append`] and [`Wal::wait`] commit, [`LogReader`] follows, [`Wal::close`] ends.
//!
//! [`Wal::release`] lets go of the oldest segments (`release`), unless a [`Follower`] has still to
//! read them (`pins`); their files are used again (`pool`), and [`first`] says where the log
//! begins then. [`Wal::open_alone`] is the way in for programs that need no store.
//!
//! The bytes are in [`header`] and [`format`](mod@format), whose page is `docs/format/wal.md`;
//! which record may follow which is decided once, in [`scan`]; drafting the next one is its
//! mirror, `draft`. Groups are formed in `group`, written in `commit` by whom `turn` chooses, when
//! `linger` says, and told to readers by [`reach`]; who waits does so in `waiting`, or holds a
//! handle of `asynchronous`.
//!
//! What a member of a cluster needs of its log is in `cluster`: commits taken back by a marker
//! ([`truncation`]), votes and committed marks ([`vote`]), folded from the records by `standing`;
//! its writers are called back (`callback`), and its readers read what is only in memory (`tail`).
//! What a checkpoint needs of it is in `checkpoint`; what a copy of the store does in `begun` and
//! `copied`.
//!
//! Invariants, cited where they rule:
//!
//! - **W1** `seq` is gapless; LSNs are gapless over the records that take one.
//! - **W2** A claim names only what a sync had returned for.
//! - **W3** Nothing is appended to a segment after an unclean end; it is ended, and another begun.
//! - **W4** A segment is durable under its name before any record names it.
//! - **W5** What recovery shows has been written again and synced, or was proven twice.
//! - **W6** A file is taken from the log only after the log durably begins behind it.
//!
//! The log must never know: keys, values, documents. A payload is bytes.

mod ahead;
mod alone;
mod asynchronous;
mod begun;
mod beyond;
mod callback;
mod checkpoint;
mod chunk;
mod cluster;
mod commit;
mod copied;
mod create;
mod demand;
mod draft;
mod forensic;
mod ending;
mod filler;
pub mod first;
mod follow;
pub mod format;
mod group;
pub mod header;
pub mod identity;
mod keeper;
mod kept;
mod linger;
mod log;
mod mend;
mod open;
mod overlaid;
mod owned;
mod piece;
mod present;
mod proof;
mod pins;
mod pool;
pub mod reach;
pub mod reader;
mod recovery;
#[cfg(any(test, feature = "sim"))]
pub mod rehearsal;
pub mod salvage;
mod release;
pub mod rest;
mod room;
pub mod saved;
pub mod scan;
pub mod segment;
mod settings;
mod standing;
mod stats;
mod survey;
mod tail;
mod through;
mod ticker;
pub mod truncation;
mod turn;
mod unsynced;
pub mod version;
pub mod vote;
mod waiting;
mod walk;
mod write;

pub use asynchronous::Pending;
pub use begun::make_empty_dir;
pub use checkpoint::{CheckpointMark, Standpoint};
pub use commit::{Appended, Appending, Durability};
pub use copied::CopiedRecord;
pub use draft::{Draft, Payload, Spot, Writer};
pub use follow::{Follower, Hold};
pub use forensic::{LogRead, read_log, read_log_with};
pub use log::Wal;
pub use open::{Begin, LOCK_NAME};
#[cfg(feature = "docs")]
pub(crate) use open::{existing_identity, held};
pub use reader::LogReader;
pub use release::Released;
pub use salvage::{Loss, QUARANTINE, SalvageReport, salvage_log, salvage_log_if};
pub use settings::{OpenSettings, RecoveryReport};
pub use stats::LogStats;
pub use survey::{Damage, Survey, survey_log};
pub use truncation::Truncations;
pub use vote::{Committed, Vote};
pub use waiting::Deadline;
pub use walk::Replay;
