//! Taking in what is read then: how fast, what of it reaches the disk, how large the files are,
//! how fast it is read, and opened after a clean close.

use std::time::Instant;

use crate::Outcome;
use crate::child::{Figures, Order, Readings};
use crate::disk::taken_below;
use crate::engine::{Engine, Entry, Kind, Shown};
use crate::histogram::Histogram;
use crate::numbers::{float, ratio};
use crate::random::{Key, Keys, Pool, Random};
use crate::reads;
use crate::settle::settle;
use crate::work::{Durability, Work};

/// Every key once.
pub fn keys(order: &Order, work: Work) -> Keys {
    Keys { seed: order.seed, count: work.keys(order.bytes) }
}

/// Puts `count` entries in durable batches, the keys being what `key` gives for the number of each.
pub fn put(
    engine: &dyn Engine,
    work: Work,
    count: u64,
    mut key: impl FnMut(u64) -> Key,
) -> Outcome<Histogram> {
    let (mut random, pool, mut times) = (Random::new(count), Pool::new(), Histogram::new());
    let mut entries = Vec::with_capacity(work.entries);
    for number in 0..count {
        let value = pool.value(&mut random, work.value);
        entries.push(Entry { key: key(number), value });
        if entries.len() == work.entries || number + 1 == count {
            let started = Instant::now();
            engine.commit(&entries, Durability::Sync)?;
            times.add(started.elapsed());
            entries.clear();
        }
    }
    Ok(times)
}

pub fn measure(order: &Order, kind: &Kind, work: Work) -> Outcome<Figures> {
    let engine = kind.open(&order.setup(work))?;
    let keys = keys(order, work);
    let live = float(order.bytes);
    let before = Readings::take(&order.dir)?;
    let times = put(engine.as_ref(), work, keys.count, |number| keys.key(number))?;
    let acknowledged = Readings::take(&order.dir)?;
    let settling = settle(&order.dir)?;
    let settled = Readings::take(&order.dir)?;

    let mut figures = put_figures(keys.count, &times, (&before, &acknowledged));
    let names = ("device_bytes_per_byte", "own_bytes_per_byte");
    acknowledged.add_written(&before, live, names, &mut figures);
    let names = ("settled_device_bytes_per_byte", "settled_own_bytes_per_byte");
    settled.add_written(&before, live, names, &mut figures);
    figures.insert("settle_seconds".into(), settling.as_secs_f64());
    figures.insert("files_per_live".into(), ratio(float(taken_below(&order.dir)?), live));
    reads::measure(engine.as_ref(), keys, order.time, "", &mut figures)?;
    Readings::take(&order.dir)?.add_others(&before, &mut figures);
    engine.close()?;
    Ok(figures)
}

/// The figures of [`put`].
pub fn put_figures(
    count: u64,
    times: &Histogram,
    (before, after): (&Readings, &Readings),
) -> Figures {
    let seconds = (after.started - before.started).as_secs_f64();
    let named = [
        ("per_second", ratio(float(count), seconds)),
        ("p50_us", times.percentile(50)),
        ("p99_us", times.percentile(99)),
        ("longest_us", times.per_mille(1000)),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// In a fresh process, after [`measure`] and a clean close.
pub fn again(order: &Order, kind: &Kind, work: Work) -> Outcome<Figures> {
    let keys = keys(order, work);
    let started = Instant::now();
    let engine = kind.open(&order.setup(work))?;
    let shown = engine.shown(&keys.key(keys.count / 2))?;
    let open = started.elapsed();
    if shown != Shown::Key(true) {
        return Err("a key is not there after a clean close".into());
    }
    let mut figures = Figures::from([("open_ms".to_owned(), open.as_secs_f64() * 1000.0)]);
    let started = Instant::now();
    if engine.compact()? {
        figures.insert("compact_seconds".into(), started.elapsed().as_secs_f64());
        settle(&order.dir)?;
        let files = float(taken_below(&order.dir)?);
        figures.insert("compacted_files_per_live".into(), ratio(files, float(order.bytes)));
        reads::measure(engine.as_ref(), keys, order.time, "compacted_", &mut figures)?;
    }
    Ok(figures)
}
