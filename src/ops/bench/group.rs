//! Commits of many threads, round by round in turns with as many threads that write raw pages.

use std::time::Duration;

use crate::base::{Error, ErrorKind, Result};
use crate::vfs::Clock;
use crate::vfs::thread::spawn_scoped;
use crate::wal::Durability;

use super::numbers::{Measurement, Times, median, nanos, ratio};
use super::raw::{RawFile, pages_of};
use super::session::{Event, Session};
use super::writer::Writer;

/// Rounds of a measurement, at least.
const ROUNDS: u32 = 4;
/// No round is longer, so that the limits are looked at.
const ROUND_MAX: Duration = Duration::from_secs(1);
/// Bytes of a value unless others are asked for.
const VALUE_BYTES: u32 = 256;

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    for threads in session.request.threads.clone() {
        let what = format!("measuring commits of {threads} threads");
        (session.tell)(Event::Going(&what))?;
        let measured = measure(session, threads, &what)?;
        (session.tell)(Event::Measured(&measured))?;
    }
    Ok(())
}

fn measure(session: &mut Session<'_>, threads: u16, what: &str) -> Result<Measurement> {
    let value_bytes = session.request.value_bytes.unwrap_or(VALUE_BYTES);
    let raw_file = RawFile::prepare(session, &format!("raw-{threads}"))?;
    let store = session.store(&format!("store-{threads}"))?;
    Writer::new(&store, value_bytes, (u64::from(threads), 1))?.commit(Durability::Sync)?;
    let deadline = session.now() + session.request.time;
    let round = (session.request.time / (2 * ROUNDS)).min(ROUND_MAX);
    let (bytes, count) = (pages_of(value_bytes), u64::from(threads));
    let (mut ours, mut raw, mut ratios, mut syncs) =
        (Times::default(), Times::default(), Vec::new(), 0);
    loop {
        let before = store.log_stats().syncs;
        let made = together(session, threads, round, |thread| {
            let mut writer = Writer::new(&store, value_bytes, (thread, count))?;
            Ok(move || writer.commit(Durability::Sync))
        })?;
        syncs += store.log_stats().syncs - before;
        let raw_made = together(session, threads, round, |thread| {
            let (file, bytes, mut page) = (&raw_file, &bytes, thread);
            Ok(move || {
                page += count;
                file.write(bytes, page)
            })
        })?;
        ratios.push(ratio(made.ops_per_s(), raw_made.ops_per_s()));
        ours.merge(&made);
        raw.merge(&raw_made);
        if session.now() >= deadline || Session::is_large(&store) {
            break;
        }
        (session.tell)(Event::Going(what))?;
    }
    session.discard(&store)?;
    let (raw, ratio) = (raw.raw(), median(ratios));
    let said = ours.measurement(count, value_bytes.into());
    Ok(Measurement { bench: "group", syncs, raw, ratio, ..said })
}

/// Lets each thread do its operation again and again for `time`; the first failure ends all.
fn together<Op, F>(session: &Session<'_>, threads: u16, time: Duration, make: F) -> Result<Times>
where
    F: Fn(u64) -> Result<Op>,
    Op: FnMut() -> Result<()> + Send,
{
    let clock = session.runtime.clock.as_ref();
    let operations = (0..threads).map(|thread| make(thread.into())).collect::<Result<Vec<_>>>()?;
    let started = clock.monotonic();
    let until = started + time;
    let mut all = Times::default();
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for operation in operations {
            let worker = spawn_scoped(scope, "jidoka-bench", move || work(clock, until, operation));
            workers.push(worker.map_err(|error| {
                let what = format!("cannot start a thread: {error}; ask for fewer");
                Error::new(ErrorKind::Io, what)
            })?);
        }
        for worker in workers {
            let times = worker.join().map_err(|_| {
                Error::new(ErrorKind::Bug, "a thread of the measurement panicked")
            })??;
            all.merge(&times);
        }
        Ok(())
    })?;
    // Not the sum of the threads' times: they ran side by side.
    all.elapsed = clock.monotonic().saturating_sub(started);
    Ok(all)
}

fn work(
    clock: &dyn Clock,
    until: Duration,
    mut operation: impl FnMut() -> Result<()>,
) -> Result<Times> {
    let mut times = Times::default();
    let mut started = clock.monotonic();
    loop {
        operation()?;
        let ended = clock.monotonic();
        times.nanos.add(nanos(ended.saturating_sub(started)));
        if ended >= until {
            return Ok(times);
        }
        started = ended;
    }
}
