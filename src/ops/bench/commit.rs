//! Lone durable commits, block by block in turns with raw writes of the same pages.

use std::time::Duration;

use crate::base::Result;
use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::wal::Durability;

use super::numbers::{Measurement, Times, median, ratio};
use super::raw::RawFile;
use super::session::{Event, Session};
use super::writer::Writer;

/// Commits of a block: few enough that both of a pair meet the same disturbances.
const BLOCK: usize = 200;
/// Values that are measured unless one is asked for.
const VALUE_BYTES: [u32; 2] = [256, 4096];

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let asked = session.request.value_bytes.map(|bytes| vec![bytes]);
    for value_bytes in asked.unwrap_or_else(|| VALUE_BYTES.to_vec()) {
        let what = format!("measuring lone commits of {value_bytes} B");
        (session.tell)(Event::Going(&what))?;
        let measured = measure(session, value_bytes, &what)?;
        (session.tell)(Event::Measured(&measured))?;
    }
    Ok(())
}

fn measure(session: &mut Session<'_>, value_bytes: u32, what: &str) -> Result<Measurement> {
    let raw_file = RawFile::prepare(session, &format!("raw-{value_bytes}"))?;
    let store = session.store(&format!("store-{value_bytes}"))?;
    let mut writer = Writer::new(&store, value_bytes, (0, 1))?;
    // The first commit also makes the keyspace, and is not measured.
    writer.commit(Durability::Sync)?;
    let deadline = session.now() + session.request.time;
    let (mut ours, mut raw, mut ratios, mut syncs) =
        (Times::default(), Times::default(), Vec::new(), 0);
    let mut page = 0;
    loop {
        let before = store.log_stats();
        let (mut block, mut pages) = (Times::default(), Vec::new());
        let mut written = before.written_bytes;
        while pages.len() < BLOCK && (pages.is_empty() || session.now() < deadline) {
            let started = session.now();
            writer.commit(Durability::Sync)?;
            block.add(session.now().saturating_sub(started));
            let total = store.log_stats().written_bytes;
            pages.push((total - written).div_ceil(to_u64(PAGE)).max(1));
            written = total;
        }
        syncs += store.log_stats().syncs - before.syncs;
        let raw_block = raw_writes(session, &raw_file, &pages, &mut page)?;
        ratios.push(ratio(block.p50_us(), raw_block.p50_us()));
        ours.merge(&block);
        raw.merge(&raw_block);
        if session.now() >= deadline || Session::is_large(&store) {
            break;
        }
        (session.tell)(Event::Going(what))?;
    }
    drop(writer);
    session.discard(&store)?;
    let (raw, ratio) = (raw.raw(), median(ratios));
    let said = ours.measurement(1, value_bytes.into());
    Ok(Measurement { bench: "commit", syncs, raw, ratio, ..said })
}

/// The same pages in the same order: the last page of a commit is the first of the next.
fn raw_writes(
    session: &Session<'_>,
    file: &RawFile,
    pages: &[u64],
    page: &mut u64,
) -> Result<Times> {
    let most = pages.iter().copied().max().unwrap_or(1);
    let bytes = vec![0x5a; to_usize(most) * PAGE];
    let mut times = Times::default();
    for count in pages {
        let bytes = bytes.get(..to_usize(*count) * PAGE).unwrap_or(&bytes);
        let started: Duration = session.now();
        file.write(bytes, *page)?;
        times.add(session.now().saturating_sub(started));
        *page += count - 1;
    }
    Ok(times)
}
