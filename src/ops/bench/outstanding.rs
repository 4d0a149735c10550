//! Asynchronous commits of one thread, round by round in turns with raw writes of as many bytes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Result;
use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::store::Handle;
use crate::wal::Durability;

use super::numbers::{Measurement, Times, median, ratio};
use super::raw::{PAGES, RawFile};
use super::session::{Event, Session};
use super::writer::Writer;

/// Commits that are on their way at the same time, at most.
const OUTSTANDING: usize = 1000;
/// Rounds of a measurement, at least.
const ROUNDS: u32 = 4;
/// No round is longer, so that the limits are looked at.
const ROUND_MAX: Duration = Duration::from_secs(1);
/// Bytes of a value unless others are asked for.
const VALUE_BYTES: u32 = 256;

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let value_bytes = session.request.value_bytes.unwrap_or(VALUE_BYTES);
    let what = format!("measuring asynchronous commits of {value_bytes} B");
    (session.tell)(Event::Going(&what))?;
    let raw_file = RawFile::prepare(session, "raw-async")?;
    let store = session.store("store-async")?;
    let mut writer = Writer::new(&store, value_bytes, (0, 1))?;
    // The first commit also makes the keyspace, and is not measured.
    writer.commit(Durability::Sync)?;
    let deadline = session.now() + session.request.time;
    let round = (session.request.time / (2 * ROUNDS)).min(ROUND_MAX);
    let (mut ours, mut raw, mut ratios, mut syncs) =
        (Times::default(), Times::default(), Vec::new(), 0);
    let mut page = 0;
    loop {
        let before = store.log_stats();
        let made = submit(session, &mut writer, round)?;
        let after = store.log_stats();
        let groups = (after.syncs - before.syncs).max(1);
        syncs += groups;
        let pages = ((after.written_bytes - before.written_bytes) / to_u64(PAGE) / groups).max(1);
        let commits = made.nanos.count() / groups;
        let raw_made = raw_groups(session, &raw_file, (pages, commits), &mut page, round)?;
        ratios.push(ratio(made.ops_per_s(), raw_made.ops_per_s()));
        ours.merge(&made);
        raw.merge(&raw_made);
        if session.now() >= deadline || Session::is_large(&store) {
            break;
        }
        (session.tell)(Event::Going(&what))?;
    }
    drop(writer);
    session.discard(&store)?;
    let (raw, ratio) = (raw.raw(), median(ratios));
    let said = ours.measurement(1, value_bytes.into());
    let measured = Measurement { bench: "async", syncs, raw, ratio, ..said };
    (session.tell)(Event::Measured(&measured))
}

/// Commits for `time`, and counts each commit when its handle says that it is done. The last one
/// is waited for: it cannot be durable if one before it is not.
fn submit(session: &Session<'_>, writer: &mut Writer<'_>, time: Duration) -> Result<Times> {
    let mut times = Times::default();
    let mut under_way: VecDeque<(Handle, Duration)> = VecDeque::with_capacity(OUTSTANDING);
    let started = session.now();
    let mut now = started;
    while now < started + time {
        if under_way.len() == OUTSTANDING {
            take_done(session, &mut under_way, &mut times)?;
        }
        under_way.push_back((writer.submit()?, now));
        now = session.now();
    }
    if let Some((last, _)) = under_way.back() {
        last.wait()?;
    }
    while !under_way.is_empty() {
        take_done(session, &mut under_way, &mut times)?;
    }
    // Not the sum of the commits' times: they were under way together.
    times.elapsed = session.now().saturating_sub(started);
    Ok(times)
}

/// Takes out those that are done, at least one.
fn take_done(
    session: &Session<'_>,
    under_way: &mut VecDeque<(Handle, Duration)>,
    times: &mut Times,
) -> Result<()> {
    if let Some((first, _)) = under_way.front() {
        first.wait()?;
    }
    let now = session.now();
    while let Some((_, began)) = under_way.pop_front_if(|(handle, _)| handle.is_done()) {
        times.add(now.saturating_sub(began));
    }
    Ok(())
}

/// Writes and syncs `pages` at a time, each time as if it were `commits`.
fn raw_groups(
    session: &Session<'_>,
    file: &RawFile,
    (pages, commits): (u64, u64),
    page: &mut u64,
    time: Duration,
) -> Result<Times> {
    let pages = pages.min(PAGES);
    let bytes = vec![0x5a; to_usize(pages) * PAGE];
    let mut times = Times::default();
    let started = session.now();
    let mut now = started;
    while now < started + time {
        file.write(&bytes, *page)?;
        *page += pages;
        let ended = session.now();
        (0..commits).for_each(|_| times.add(ended.saturating_sub(now)));
        now = ended;
    }
    times.elapsed = now.saturating_sub(started);
    Ok(times)
}
