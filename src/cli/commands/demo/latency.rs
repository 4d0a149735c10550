//! How long a lone commit takes, beside what the disk itself takes.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::base::codec::to_u64;
use crate::base::limits::PAGE;
use crate::base::{Error, Result};
use crate::cli::context::Context;
use crate::doc::Condition;
use crate::vfs::{FileExt, OpenMode};

/// Commits measured, and writes to the disk.
const COMMITS: u64 = 200;

/// Medians in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    pub(super) commits: u64,
    pub(super) commit_us: u64,
    pub(super) disk_us: u64,
}

/// Measures commits and the disk in turns, so that both meet the same disturbances.
///
/// The disk's own file is full of zeroes that were really written, as the log's is: otherwise
/// each sync would also pay for giving the file its space.
pub(super) fn measure(context: &mut Context, path: &Path) -> Result<Latency> {
    let fail = |error| Error::io("measure the disk with", path, error);
    let vfs = context.runtime.vfs.clone();
    let file = vfs.open(path, OpenMode::CreateNew).map_err(fail)?;
    let page = [0x5a; PAGE];
    for number in 0..COMMITS {
        file.write_all_at(&[0; PAGE], number * to_u64(PAGE)).map_err(fail)?;
    }
    file.sync_all().map_err(fail)?;
    context.with_store(|context, documents| {
        let clock = context.runtime.clock.clone();
        let (mut commits, mut writes) = (Vec::new(), Vec::new());
        for number in 0..COMMITS {
            let doc = json!({"number": number, "note": "x".repeat(200)});
            let started = clock.monotonic();
            documents.put("latency", &format!("{number:03}"), &doc, Condition::None)?;
            let committed = clock.monotonic();
            file.write_all_at(&page, number * to_u64(PAGE)).map_err(fail)?;
            file.sync_data().map_err(fail)?;
            let written = clock.monotonic();
            commits.push(committed.saturating_sub(started));
            writes.push(written.saturating_sub(committed));
        }
        let (commit_us, disk_us) = (median_us(commits), median_us(writes));
        Ok(Latency { commits: COMMITS, commit_us, disk_us })
    })
}

fn median_us(mut times: Vec<Duration>) -> u64 {
    times.sort();
    let median = times.get(times.len() / 2).map_or(0, Duration::as_micros);
    u64::try_from(median).unwrap_or(u64::MAX)
}
