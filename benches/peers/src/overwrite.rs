//! Writing the same keys again and again: how large the files are when it has settled.

use crate::Outcome;
use crate::child::{Figures, Order, Readings};
use crate::disk::taken_below;
use crate::engine::{Kind, Shown};
use crate::ingest::{keys, put, put_figures};
use crate::numbers::{float, ratio};
use crate::random::Random;
use crate::settle::settle;
use crate::work::Work;

/// Puts for each key, after the first.
const TIMES: u64 = 5;

pub fn measure(order: &Order, kind: &Kind, work: Work) -> Outcome<Figures> {
    let engine = kind.open(&order.setup(work))?;
    let keys = keys(order, work);
    let (live, count) = (float(order.bytes), TIMES * keys.count);
    put(engine.as_ref(), work, keys.count, |number| keys.key(number))?;
    settle(&order.dir)?;

    let mut random = Random::new(!order.seed);
    let before = Readings::take(&order.dir)?;
    let times = put(engine.as_ref(), work, count, |_| keys.any(&mut random))?;
    let acknowledged = Readings::take(&order.dir)?;
    let settling = settle(&order.dir)?;
    let settled = Readings::take(&order.dir)?;
    let mut figures = put_figures(count, &times, (&before, &acknowledged));
    let names = ("settled_device_bytes_per_byte", "settled_own_bytes_per_byte");
    settled.add_written(&before, live * float(TIMES), names, &mut figures);
    settled.add_others(&before, &mut figures);
    figures.insert("settle_seconds".into(), settling.as_secs_f64());
    figures.insert("files_per_live".into(), ratio(float(taken_below(&order.dir)?), live));
    if engine.shown(&keys.key(0))? != Shown::Key(true) {
        return Err("a key is not there".into());
    }
    engine.close()?;
    drop(engine);
    figures.insert("closed_files_per_live".into(), ratio(float(taken_below(&order.dir)?), live));
    Ok(figures)
}
