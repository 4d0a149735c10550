//! `simulate`: attacks the store on a disk that loses everything it may lose.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::files;
use crate::cli::lab::{Lab, LabRequest};
use crate::cli::output;
use crate::cli::run::Outcome;

/// Attack the store with crashes, faults and rot, from a seed
///
/// Plays random work on a simulated disk, crashes it at every operation and at every operation
/// of the recoveries, and compares what is there with what was acknowledged. A failure is made
/// told on stderr when it is found, with what replays it, and again when it is as small as it gets;
/// then the exit code is 13. The report is one line of JSON: its `faults` counts the faults that
/// were planned, and `marks_missing` names the rare places of the code that were never passed.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  jidoka simulate --seconds 60\n  \
                        jidoka simulate --seed 7 --runs 1\n  \
                        jidoka simulate --runs 0 --exhaustive 2\n  \
                        jidoka simulate --replay tests/regress/log-not-synced.json")]
pub(in crate::cli) struct SimulateArgs {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seeds to play
    #[arg(long)]
    runs: Option<u64>,
    /// Time to use, 60 unless --runs is given; looked at between seeds, and a sweep is one seed
    #[arg(long)]
    seconds: Option<u64>,
    /// First play every sequence of up to so many steps: 14, 210, 2954 or 41370
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=4))]
    exhaustive: u32,
    /// Threads; a seed does the same on any number of them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Play the case in this file, and tell every step
    #[arg(long, value_name = "FILE", conflicts_with_all = ["runs", "seconds", "exhaustive"])]
    replay: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &SimulateArgs, lab: Lab, context: &mut Context) -> Result<Outcome> {
    let vfs = context.runtime.vfs.clone();
    let read = |path: &Path| files::read_bytes(vfs.as_ref(), Some(path));
    let replay = args.replay.as_deref().map(read).transpose()?;
    let endless = args.runs.is_none() && args.seconds.is_none();
    let request = LabRequest {
        seed: args.seed,
        runs: args.runs,
        seconds: args.seconds.or_else(|| endless.then_some(60)),
        exhaustive: args.exhaustive,
        threads: args.threads,
        replay,
        tell: output::note,
    };
    let report = lab(&request)?;
    for note in &report.notes {
        output::note(note);
    }
    context.out.line(&report.json)?;
    Ok(if report.failed { Outcome::Damaged } else { Outcome::Done })
}
