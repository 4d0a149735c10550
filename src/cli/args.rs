//! The commands, and the options that all of them have.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::store::LogKept;

use super::{commands, size};

/// A document store in a directory, which keeps every change in one log and stops at the first
/// defect.
///
/// What a command prints on standard output is its result; everything else goes to standard
/// error. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done, 4 not found, 5 conflict,
/// 6 refused by a rule, 11 locked by another process, 13 damage found, 14 not reachable, 74 try
/// again.
#[derive(Debug, Parser)]
#[command(
    name = "jidoka",
    version,
    after_help = "Start with the tour:\n  jidoka demo\n\nOr with a document of your own:\n  \
                  echo '{\"colour\":\"red\"}' | jidoka put pots p1\n  jidoka get pots p1"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Keeps what every command has apart from what one has.
const EVERYWHERE: &str = "Options of every command";

/// Options before or after any command.
#[derive(Args, Debug)]
pub(super) struct Global {
    /// Directory of the store
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env = "JIDOKA_STORE",
        default_value = "./jidoka-data",
        value_name = "DIR"
    )]
    pub(super) store: PathBuf,
    /// Print JSON, and errors as JSON too
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) json: bool,
    /// Print nothing but results and errors
    #[arg(long, short, global = true, help_heading = EVERYWHERE)]
    pub(super) quiet: bool,
    /// Who makes the change: a person, a service, a machine
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        default_value = "",
        hide_default_value = true,
        value_name = "WHO"
    )]
    pub(super) actor: String,
    /// The session or trace that the change belongs to
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        default_value = "",
        hide_default_value = true,
        value_name = "ID"
    )]
    pub(super) session: String,
    /// Why the change is made
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    pub(super) reason: String,
    /// Memory for what is not yet in tables and for what is read of them: bytes, or a number with
    /// KiB, MiB or GiB
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env = "JIDOKA_MEMORY_LIMIT",
        default_value = "256MiB",
        value_parser = size::parse,
        value_name = "BYTES"
    )]
    pub(super) memory_limit: usize,
    /// What of the log a checkpoint leaves
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env = "JIDOKA_LOG_KEPT",
        value_enum,
        default_value_t = LogKeptArg::All
    )]
    pub(super) log_kept: LogKeptArg,
}

/// What of the log a checkpoint leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogKeptArg {
    /// All of it, for copies and feeds from the first commit on
    All,
    /// What opening the store needs; the space of the rest is used again
    Needed,
}

impl From<LogKeptArg> for LogKept {
    fn from(kept: LogKeptArg) -> Self {
        match kept {
            LogKeptArg::All => Self::All,
            LogKeptArg::Needed => Self::Needed,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Demo(commands::demo::DemoArgs),
    Put(commands::put::PutArgs),
    Get(commands::get::GetArgs),
    Delete(commands::delete::DeleteArgs),
    Patch(commands::patch::PatchArgs),
    List(commands::list::ListArgs),
    Query(commands::query::QueryArgs),
    Changes(commands::changes::ChangesArgs),
    Import(commands::import::ImportArgs),
    Export(commands::export::ExportArgs),
    Apply(commands::apply::ApplyArgs),
    Dump(commands::dump::DumpArgs),
    Verify(commands::verify::VerifyArgs),
    Stats(commands::stats::StatsArgs),
    Checkpoint(commands::checkpoint::CheckpointArgs),
    Compact(commands::checkpoint::CompactArgs),
    Backup(commands::backup::BackupArgs),
    Restore(commands::restore::RestoreArgs),
    Inspect(commands::inspect::InspectArgs),
    /// Look into the log, also beside a writer, and salvage a damaged one
    #[command(subcommand)]
    Log(LogCommand),
    Bench(commands::bench::BenchArgs),
    #[cfg(feature = "sim")]
    Simulate(commands::simulate::SimulateArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// List the segments of the log
    ///
    /// For each file of the log its first and last records, how much of it is used, and whether
    /// it is sealed (full), active (written to) or in the pool (prepared for later).
    #[command(after_help = "Example:\n  jidoka log list")]
    List,
    Dump(commands::log_dump::LogDumpArgs),
    Salvage(commands::log_salvage::LogSalvageArgs),
    Tail(commands::log_tail::LogTailArgs),
}
