//! Behaviour of the whole store, a module per behaviour.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on panics, and says where"
)]

mod appended;
mod apply;
mod asynchronous;
mod bench;
mod calls;
mod cases;
mod cli;
mod cli_tables;
mod commit;
mod concurrency;
mod continued;
mod copy;
mod crash;
mod create;
mod cut;
mod documents;
mod follow;
mod forensic;
mod full_disk;
mod history;
mod hot_copy;
mod import;
mod inspect;
mod iteration;
mod kill;
mod limits;
mod manifest;
mod mend;
mod misuse;
mod model;
mod padded;
mod pool;
mod program;
mod recovery;
mod release;
mod rot;
mod salvage;
mod smoke;
mod stories;
mod strace;
mod survey;
mod through;
mod sync_failures;
mod tables;
mod traps;
mod truncation;
mod verify;
mod verify_tables;
mod versions;
