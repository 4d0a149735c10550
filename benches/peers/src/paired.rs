//! A lone committer in turns with raw, so that what the disk does meanwhile happens to both.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::child::{Figures, Order, Readings, common};
use crate::committer::Committer;
use crate::engine::{Engine, Kind};
use crate::engines::raw::{DIRECT, PREPARED, Raw};
use crate::histogram::Histogram;
use crate::numbers::{float, median, micros, ratio};
use crate::others::cpu_time;
use crate::random::Pool;
use crate::syncs;
use crate::work::Work;

/// Every file of raw beside an engine has this in its name, so that its syncs are not counted.
pub const PAIRED: &str = "/paired-";

/// One who takes turns.
struct Taker<'a> {
    engine: &'a dyn Engine,
    committer: Committer,
    /// Of all turns; that of the turn is in the committer.
    times: Histogram,
    spent: Duration,
    cpu: Duration,
}

impl<'a> Taker<'a> {
    fn new(engine: &'a dyn Engine, order: &Order, work: Work, pool: Pool) -> Self {
        let committer = Committer::new(work, pool, order.seed, Instant::now(), order.bytes);
        let (spent, cpu) = (Duration::ZERO, Duration::ZERO);
        Self { engine, committer, times: Histogram::new(), spent, cpu }
    }

    /// Makes `count` commits, and gives the p50 of these.
    fn turn(&mut self, count: u64) -> Outcome<f64> {
        let (engine, cpu) = (self.engine, cpu_time()?);
        let commit = &mut |entries: &_, durability| engine.commit(entries, durability);
        self.spent += self.committer.block(count, commit)?;
        self.cpu += cpu_time()?.saturating_sub(cpu);
        let turn = std::mem::replace(&mut self.committer.times, Histogram::new());
        self.times.merge(&turn);
        Ok(turn.percentile(50))
    }

    /// CPU time of each commit, the kernel's part in it included.
    fn cpu_us(&self) -> f64 {
        ratio(micros(self.cpu), float(self.committer.commits))
    }
}

pub fn measure(order: &Order, kind: &Kind, work: Work) -> Outcome<Figures> {
    let dir = &order.dir;
    let engine = kind.open(&order.setup(work))?;
    let raw = Raw::open(&dir.join("paired-raw"), PREPARED)?;
    // Not every file system can write past the page cache.
    let direct = Raw::open(&dir.join("paired-direct"), DIRECT).ok();
    let pool = Pool::new();
    let taker = |engine| Taker::new(engine, order, work, pool);
    let (mut ours, mut raw) = (taker(engine.as_ref()), taker(&raw));
    let mut direct = direct.as_ref().map(|direct| taker(direct));
    ours.turn(order.block / 4)?;
    (ours.times, ours.spent, ours.cpu) = (Histogram::new(), Duration::ZERO, Duration::ZERO);
    ours.committer.commits = 0;

    let mut ratios = Vec::new();
    syncs::mark_begin(dir);
    let before = Readings::take(dir)?;
    let until = Instant::now() + order.time;
    loop {
        let p50 = ours.turn(order.block)?;
        let mut faster = raw.turn(order.block)?;
        if let Some(direct) = &mut direct {
            faster = faster.min(direct.turn(order.block)?);
        }
        ratios.push(ratio(p50, faster));
        if ours.committer.is_spent() || Instant::now() >= until {
            break;
        }
    }
    let after = Readings::take(dir)?;
    syncs::mark_end(dir);
    let mut figures = figures(work, &ours, &raw, direct.as_ref(), &ratios);
    after.add_others(&before, &mut figures);
    Ok(figures)
}

fn figures(
    work: Work,
    ours: &Taker<'_>,
    raw: &Taker<'_>,
    direct: Option<&Taker<'_>>,
    ratios: &[f64],
) -> Figures {
    let (commits, seconds) = (float(ours.committer.commits), ours.spent.as_secs_f64());
    let mut figures = common(work, commits, seconds, ours.cpu, &ours.times);
    let mut add = |name: &str, value: f64| figures.insert(name.to_owned(), value);
    let faster = direct.filter(|direct| direct.times.percentile(50) < raw.times.percentile(50));
    let faster_p99 = faster.unwrap_or(raw).times.percentile(99);
    add("raw_cpu_us", raw.cpu_us());
    add("raw_p50_us", raw.times.percentile(50));
    add("raw_p99_us", raw.times.percentile(99));
    if let Some(direct) = direct {
        add("direct_p50_us", direct.times.percentile(50));
        add("direct_p99_us", direct.times.percentile(99));
    }
    add("p99_ratio", ratio(ours.times.percentile(99), faster_p99));
    add("turns", float(u64::try_from(ratios.len()).unwrap_or(0)));
    if let Some((ratio, low, high)) = median(ratios) {
        add("ratio", ratio);
        add("ratio_low", low);
        add("ratio_high", high);
    }
    figures
}
