//! Durable batches of one thread, block by block in turns with raw writes of the same pages.
//!
//! A store keeps its log, so each of its segments is made anew. The log alone lets go of what was
//! written as it goes, and its files are used again: the pool is *warm*.

use crate::base::Result;
use crate::base::codec::{to_u64, to_usize, widen};
use crate::base::limits::{PAGE, SEGMENT_BYTES_DEFAULT};
use crate::store::Store;
use crate::vfs::os;
use crate::wal::{Durability, LogStats, Wal};

use super::numbers::{Ingested, Measurement, Times, median, ratio, real};
use super::raw::{PAGES, RawFile};
use super::session::{Event, Session};
use super::writer::Writer;

/// Values of a batch.
const BATCH: u64 = 1000;
/// Batches of a block: few enough that both of a pair meet the same disturbances.
const BLOCK: usize = 20;
/// Bytes of a value unless others are asked for.
const VALUE_BYTES: u32 = 256;
/// Segments in a row that were not made anew, until the pool counts as warm.
const WARM_SEGMENTS: u64 = 8;
/// Batches after which it is measured all the same.
const WARMING_MAX: u64 = 20_000;

/// Who takes batches.
trait Taker {
    fn take(&mut self, values: u64) -> Result<()>;
    fn stats(&self) -> LogStats;
}

impl Taker for (Writer<'_>, &Store) {
    fn take(&mut self, values: u64) -> Result<()> {
        self.0.ingest(values)
    }

    fn stats(&self) -> LogStats {
        self.1.log_stats()
    }
}

/// The log alone, where a batch is bytes.
struct Alone<'a> {
    log: &'a Wal,
    value_bytes: u32,
    releases: bool,
    /// The segment in which it released last.
    released_in: u64,
}

impl Taker for Alone<'_> {
    fn take(&mut self, values: u64) -> Result<()> {
        let bytes = vec![0x2a; to_usize(values) * widen(self.value_bytes)];
        let lsn = self.log.commit(bytes, Durability::Sync)?;
        let active = self.log.stats().active_segment;
        if self.releases && active > self.released_in {
            self.log.release(lsn)?;
            self.released_in = active;
        }
        Ok(())
    }

    fn stats(&self) -> LogStats {
        self.log.stats()
    }
}

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let value_bytes = session.request.value_bytes.unwrap_or(VALUE_BYTES);
    if session.request.log_alone {
        let log = session.log("log-ingest")?;
        let releases = !session.request.cold;
        let mut alone = Alone { log: &log, value_bytes, releases, released_in: 0 };
        measure(session, &mut alone, value_bytes)?;
        return log.close();
    }
    let store = session.store("store-ingest")?;
    let mut taker = (Writer::new(&store, value_bytes, (0, 1))?, &store);
    // The first commit also makes the keyspace, and is not measured.
    taker.take(1)?;
    measure(session, &mut taker, value_bytes)?;
    session.discard(&store)
}

/// Takes batches until the files of released segments are all that is used.
fn warm_up(session: &mut Session<'_>, taker: &mut dyn Taker, batch: u64) -> Result<()> {
    let mut filled = (taker.stats().filled_segments, 0);
    for _ in 0..WARMING_MAX {
        taker.take(batch)?;
        let stats = taker.stats();
        if stats.filled_segments > filled.0 {
            filled = (stats.filled_segments, stats.active_segment);
        }
        if stats.active_segment >= filled.1 + WARM_SEGMENTS {
            return Ok(());
        }
        (session.tell)(Event::Going("filling the pool with files to be used again"))?;
    }
    Ok(())
}

fn measure(session: &mut Session<'_>, taker: &mut dyn Taker, value_bytes: u32) -> Result<()> {
    let batch = BATCH.min(to_u64(PAGE) * PAGES / 4 / (u64::from(value_bytes) + 1)).max(1);
    let what = format!("measuring batches of {batch} values of {value_bytes} B");
    (session.tell)(Event::Going(&what))?;
    let raw_file = RawFile::prepare(session, "raw-ingest")?;
    let (log_alone, cold) = (session.request.log_alone, session.request.cold);
    let warm = log_alone && !cold;
    if warm {
        warm_up(session, taker, batch)?;
    }
    let deadline = session.now() + session.request.time;
    let (mut ours, mut raw, mut ratios) = (Times::default(), Times::default(), Vec::new());
    let (began, device) = (taker.stats(), os::written_bytes(session.dir));
    let mut page = 0;
    loop {
        let (mut block, mut raw_block) = (Times::default(), Times::default());
        for _ in 0..BLOCK {
            let before = taker.stats().written_bytes;
            let started = session.now();
            taker.take(batch)?;
            block.add(session.now().saturating_sub(started));
            let written = taker.stats().written_bytes - before;
            let pages = (written / to_u64(PAGE)).clamp(1, PAGES);
            let bytes = vec![0x5a; to_usize(pages) * PAGE];
            let started = session.now();
            raw_file.write(&bytes, page)?;
            raw_block.add(session.now().saturating_sub(started));
            page += pages;
        }
        ratios.push(ratio(block.ops_per_s(), raw_block.ops_per_s()));
        ours.merge(&block);
        raw.merge(&raw_block);
        let long = Session::is_long(&taker.stats(), SEGMENT_BYTES_DEFAULT) && !warm;
        if session.now() >= deadline || long {
            break;
        }
        (session.tell)(Event::Going(&what))?;
    }
    let (ended, device_after) = (taker.stats(), os::written_bytes(session.dir));
    // Both shared the disk, and what raw wrote is known.
    let device = device_after.zip(device).map(|(after, before)| after.saturating_sub(before));
    let device = device.map(|bytes| bytes.saturating_sub(page * to_u64(PAGE)));
    let said = ours.measurement(1, value_bytes.into());
    let value_total = real(said.ops * batch * u64::from(value_bytes));
    let per_byte = |bytes: u64| (ratio(real(bytes), value_total) * 1000.0).round() / 1000.0;
    let raw = raw.raw();
    let values = |per_s: f64| per_s * real(batch);
    let measured = Measurement {
        bench: "ingest",
        ops: said.ops * batch,
        ops_per_s: values(said.ops_per_s),
        syncs: ended.syncs - began.syncs,
        raw: super::numbers::Raw { ops_per_s: values(raw.ops_per_s), ..raw },
        ratio: median(ratios),
        log_alone,
        cold: !warm,
        ingested: Some(Ingested {
            device_bytes_per_byte: device.map(per_byte),
            zeroed_bytes_per_byte: per_byte(ended.zeroed_bytes - began.zeroed_bytes),
            filled: ended.filled_segments - began.filled_segments,
            recycled: ended.recycled_segments - began.recycled_segments,
        }),
        ..said
    };
    (session.tell)(Event::Measured(&measured))
}
