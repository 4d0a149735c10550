//! Opening what a killed process left: filling it first, in a process that does not outlive that.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};

use crate::Outcome;
use crate::child::{Figures, Order, Readings};
use crate::committer::Committer;
use crate::engine::{Engine, Entry, Fill, Kind, Shown};
use crate::numbers::{float, ratio};
use crate::others::cpu_time;
use crate::random::{Key, Pool, Random};
use crate::work::{Durability, Work};

/// The key of the last commit, which is synced and must be there.
const LAST: Key = [0xff; 16];

/// Committers of an engine that shares syncs and knows nothing less.
const THREADS: usize = 64;
/// After that the rest is put by one of them.
const FILL_TIME: Duration = Duration::from_secs(120);

/// Puts `bytes` of keys and values into the engine, a last one with a sync, and kills this process.
pub fn fill(order: &Order, kind: &Kind, work: Work) -> Outcome<()> {
    let engine = kind.open(&order.setup(work))?;
    let (mut random, pool) = (Random::new(order.seed), Pool::new());
    let mut left = (order.bytes / u64::try_from(work.commit_bytes())?).saturating_sub(1);
    if matches!(kind.fill, Fill::Together) {
        left -= fill_together(order, &engine, Work { threads: THREADS, ..work }, pool)?;
    }
    let each = if let Fill::Relaxed(entries) = kind.fill { entries } else { 1 };
    while left > 0 {
        let count = left.min(u64::try_from(each)?);
        let entries: Vec<Entry> = (0..count)
            .map(|_| Entry { key: random.key(), value: pool.value(&mut random, work.value) })
            .collect();
        engine.commit(&entries, Durability::Relaxed)?;
        left -= count;
    }
    let last = Entry { key: LAST, value: pool.value(&mut random, work.value) };
    engine.commit(&[last], Durability::Sync)?;
    raise(Signal::SIGKILL)?;
    Err("killed, and still here".into())
}

/// Has threads put as many entries as can be shared out evenly, but one, and gives their number.
fn fill_together(order: &Order, engine: &Arc<dyn Engine>, work: Work, pool: Pool) -> Outcome<u64> {
    let threads = u64::try_from(THREADS)?;
    let each = (order.bytes / u64::try_from(work.commit_bytes())?).saturating_sub(1) / threads;
    if each == 0 {
        return Ok(0);
    }
    let bytes = each * u64::try_from(work.commit_bytes())?;
    let until = Instant::now() + FILL_TIME;
    let committers =
        (0..threads).map(|one| Committer::new(work, pool, order.seed ^ (one << 32), until, bytes));
    let through = Arc::clone(engine).drive(committers.collect())?;
    Ok(through.iter().map(|committer| committer.commits).sum())
}

pub fn measure(order: &Order, kind: &Kind, work: Work) -> Outcome<Figures> {
    let log_bytes = bytes_below(&order.dir)?;
    let entries = order.bytes / u64::try_from(work.commit_bytes())?;
    let before = Readings::take(&order.dir)?;
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let engine = kind.open(&order.setup(work))?;
    let shown = engine.shown(&LAST)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_time()?.saturating_sub(cpu));
    let after = Readings::take(&order.dir)?;
    if shown != Shown::Key(true) && shown != Shown::Entries(entries) {
        return Err(format!("it lost what was synced: {shown:?} of {entries} entries").into());
    }
    let bytes = float(entries * u64::try_from(work.commit_bytes())?);
    let named = [
        ("milliseconds", seconds * 1000.0),
        ("mb_per_second", ratio(bytes / 1e6, seconds)),
        ("cpu_ms", cpu.as_secs_f64() * 1000.0),
        ("log_bytes_per_byte", ratio(float(log_bytes), bytes)),
    ];
    let mut figures: Figures =
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    after.add_others(&before, &mut figures);
    Ok(figures)
}

/// Bytes of all files in `dir`, as long as they are.
fn bytes_below(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}
