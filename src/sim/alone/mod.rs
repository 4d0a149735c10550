//! The log by itself under attack: what a store does not do with it, or not yet.
//!
//! A store releases nothing before it has checkpoints, and takes no commit back while it is open;
//! so a user of the log alone commits in every durability, has others do it, releases and has
//! files used again, truncates, votes, marks what a majority holds, and follows (`user`). What it
//! knows decides what the log may show (`known`): from what was asked to be kept on, every
//! acknowledged commit is there, in order and with its own bytes; nothing of a file's life before,
//! and nothing that was taken back, is shown; a truncation that was under way is done or not.
//!
//! That is asked after a crash at every operation of the disk, and after crashes of the recoveries
//! (`crash`); and when every operation fails in turn, in every way (`failing`).

mod crash;
mod failing;
mod known;
mod user;

pub(super) use crash::log_alone;
pub(super) use failing::failures_of_the_log_alone;

/// Where the log is.
const DIR: &str = "/log";
