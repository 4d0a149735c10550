//! Durable batches of one thread, block by block in turns with raw writes of the same pages.

use crate::base::Result;
use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;

use super::numbers::{Measurement, Times, median, ratio};
use super::raw::{PAGES, RawFile};
use super::session::{Event, Session};
use super::writer::Writer;

/// Values of a batch.
const BATCH: u64 = 1000;
/// Batches of a block: few enough that both of a pair meet the same disturbances.
const BLOCK: usize = 20;
/// Bytes of a value unless others are asked for.
const VALUE_BYTES: u32 = 256;

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let value_bytes = session.request.value_bytes.unwrap_or(VALUE_BYTES);
    let batch = BATCH.min(to_u64(PAGE) * PAGES / 4 / (u64::from(value_bytes) + 1)).max(1);
    let what = format!("measuring batches of {batch} values of {value_bytes} B");
    (session.tell)(Event::Going(&what))?;
    let raw_file = RawFile::prepare(session, "raw-ingest")?;
    let store = session.store("store-ingest")?;
    let mut writer = Writer::new(&store, value_bytes, (0, 1))?;
    // The first commit also makes the keyspace, and is not measured.
    writer.ingest(1)?;
    let deadline = session.now() + session.request.time;
    let (mut ours, mut raw, mut ratios, mut syncs) =
        (Times::default(), Times::default(), Vec::new(), 0);
    let mut page = 0;
    loop {
        let (mut block, mut raw_block) = (Times::default(), Times::default());
        for _ in 0..BLOCK {
            let before = store.log_stats();
            let started = session.now();
            writer.ingest(batch)?;
            block.add(session.now().saturating_sub(started));
            let after = store.log_stats();
            syncs += after.syncs - before.syncs;
            let pages = ((after.written_bytes - before.written_bytes) / to_u64(PAGE)).max(1);
            let bytes = vec![0x5a; to_usize(pages.min(PAGES)) * PAGE];
            let started = session.now();
            raw_file.write(&bytes, page)?;
            raw_block.add(session.now().saturating_sub(started));
            page += pages;
        }
        ratios.push(ratio(block.ops_per_s(), raw_block.ops_per_s()));
        ours.merge(&block);
        raw.merge(&raw_block);
        if session.now() >= deadline || Session::is_large(&store) {
            break;
        }
        (session.tell)(Event::Going(&what))?;
    }
    drop(writer);
    session.discard(&store)?;
    let (raw, ratio) = (raw.raw(), median(ratios));
    let said = ours.measurement(1, value_bytes.into());
    let batches = said.ops;
    let values = |per_s: f64| per_s * super::numbers::real(batch);
    let measured = Measurement {
        bench: "ingest",
        ops: batches * batch,
        ops_per_s: values(said.ops_per_s),
        syncs,
        raw: super::numbers::Raw { ops_per_s: values(raw.ops_per_s), ..raw },
        ratio,
        ..said
    };
    (session.tell)(Event::Measured(&measured))
}
