//! Waiting until an engine has done what its commits left to be done.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::disk::taken_below;
use crate::others::cpu_time;

/// What a process takes of a processor between two looks when it does nothing.
const IDLE: Duration = Duration::from_millis(4);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// So many looks in a row.
const LOOKS: u32 = 4;
/// An engine that is not idle by then counts as settled.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until neither the processors nor the files of `dir` show any work of this process, has
/// the kernel write what it holds back, and gives how long the work took.
pub fn settle(dir: &Path) -> Outcome<Duration> {
    let started = Instant::now();
    let mut busy = started;
    let (mut cpu, mut bytes, mut quiet) = (cpu_time()?, taken_below(dir)?, 0);
    while quiet < LOOKS && started.elapsed() < PATIENCE {
        thread::sleep(BETWEEN_LOOKS);
        let (cpu_now, bytes_now) = (cpu_time()?, taken_below(dir)?);
        if cpu_now.saturating_sub(cpu) <= IDLE && bytes_now == bytes {
            quiet += 1;
        } else {
            (quiet, busy) = (0, Instant::now());
        }
        // What a look costs is not the engine's.
        (cpu, bytes) = (cpu_time()?, bytes_now);
    }
    nix::unistd::syncfs(File::open(dir)?)?;
    Ok(busy - started)
}
