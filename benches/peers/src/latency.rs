//! How long commits take while tables are written: in turns with raw, beside which a thread writes
//! and syncs as many bytes as the engine wrote behind its commits in the turn before.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::child::{Figures, Order, Readings};
use crate::committer::Committer;
use crate::engine::{Behind, Engine, Kind};
use crate::engines::raw::{PREPARED, Raw};
use crate::histogram::Histogram;
use crate::numbers::{float, ratio};
use crate::random::Pool;
use crate::work::Work;

const TURN: Duration = Duration::from_secs(1);
/// Commits between two looks at the clock.
const BLOCK: u64 = 20;
/// How often the thread beside raw writes and syncs.
const WRITES: u32 = 10;

/// Commits for a turn, and gives how long that was.
fn turn(engine: &dyn Engine, committer: &mut Committer) -> Outcome<Duration> {
    let started = Instant::now();
    while started.elapsed() < TURN {
        committer.block(BLOCK, &mut |entries, durability| engine.commit(entries, durability))?;
        if committer.is_spent() {
            return Err("all bytes are used; ask for more, or for fewer seconds".into());
        }
    }
    Ok(started.elapsed())
}

/// Writes `bytes` in each turn into a file that grows, and syncs them in parts, until `is_over`.
fn write_beside(path: &Path, bytes: u64, is_over: &AtomicBool) -> Outcome<()> {
    let part = vec![0x5a; usize::try_from(bytes / u64::from(WRITES))?];
    let mut file = File::create(path)?;
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        file.write_all(&part)?;
        file.sync_data()?;
        next += TURN / WRITES;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// A turn of raw while `bytes` are written beside it.
fn raw_turn(raw: &Raw, committer: &mut Committer, dir: &Path, bytes: u64) -> Outcome<()> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let beside = scope.spawn(|| write_beside(&dir.join("paired-beside"), bytes, &is_over));
        let turn = turn(raw, committer);
        is_over.store(true, Ordering::Relaxed);
        let written = beside.join().unwrap_or_else(|_| Err("the writer beside panicked".into()));
        turn.and(written)
    })
}

pub fn measure(order: &Order, kind: &Kind, work: Work) -> Outcome<Figures> {
    let engine = kind.open(&order.setup(work))?;
    let behind = || engine.behind().ok_or("it does not tell what it does behind its commits");
    let raw = Raw::open(&order.dir.join("paired-raw"), PREPARED)?;
    let pool = Pool::new();
    let committer = |seed| Committer::new(work, pool, seed, Instant::now(), order.bytes);
    let (mut ours, mut raws) = (committer(order.seed), committer(!order.seed));
    let before = Readings::take(&order.dir)?;
    let (mut spent, begun, until) = (Duration::ZERO, behind()?, Instant::now() + order.time);
    while Instant::now() < until {
        let bytes = behind()?.bytes;
        spent += turn(engine.as_ref(), &mut ours)?;
        raw_turn(&raw, &mut raws, &order.dir, behind()?.bytes - bytes)?;
    }
    let mut figures = figures(&ours, &raws.times, spent, (begun, behind()?));
    Readings::take(&order.dir)?.add_others(&before, &mut figures);
    engine.close()?;
    Ok(figures)
}

fn figures(
    ours: &Committer,
    raw: &Histogram,
    spent: Duration,
    (begun, ended): (Behind, Behind),
) -> Figures {
    let mut figures = Figures::new();
    for (prefix, times) in [("", &ours.times), ("raw_", raw)] {
        for (name, part) in [("p50", 500), ("p99", 990), ("p999", 999), ("longest", 1000)] {
            figures.insert(format!("{prefix}{name}_us"), times.per_mille(part));
        }
        for millis in [10, 50] {
            let longer = times.longer_than(Duration::from_millis(millis));
            figures.insert(format!("{prefix}over_{millis}_ms"), float(longer));
        }
    }
    let seconds = spent.as_secs_f64();
    let mut add = |name: &str, value: f64| figures.insert(name.to_owned(), value);
    add("per_second", ratio(float(ours.commits), seconds));
    add("p999_ratio", ratio(ours.times.per_mille(999), raw.per_mille(999)));
    add("waits", float(ended.waits - begun.waits));
    add("checkpoints", float(ended.checkpoints - begun.checkpoints));
    add("merges", float(ended.merges - begun.merges));
    add("behind_mb_per_second", ratio(float(ended.bytes - begun.bytes) / 1e6, seconds));
    figures
}
