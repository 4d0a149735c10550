//! What the process of one engine does in one round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::committer::Committer;
use crate::disk::{self, Counts};
use crate::engine::{Engine, Kind, Setup};
use crate::histogram::Histogram;
use crate::numbers::{float, micros, ratio};
use crate::others::{Processors, cpu_time};
use crate::random::Pool;
use crate::work::{Manner, Work};
use crate::{ingest, latency, overwrite, paired, reopen, syncs};

/// What a process measured, by name.
pub type Figures = BTreeMap<String, f64>;

/// A part of a work that takes a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Measure,
    /// Fills the engine, and is killed.
    Fill,
    /// Opens what a clean close left.
    Again,
}

const PARTS: [(&str, Part); 3] =
    [("measure", Part::Measure), ("fill", Part::Fill), ("again", Part::Again)];

/// What the parent wants of a process.
#[derive(Clone, Debug)]
pub struct Order {
    pub engine: String,
    pub work: String,
    pub part: Part,
    pub dir: PathBuf,
    pub time: Duration,
    pub bytes: u64,
    /// Commits of a lone committer before it is raw's turn.
    pub block: u64,
    pub seed: u64,
}

impl Order {
    pub fn to_json(&self) -> String {
        json!({
            "engine": self.engine,
            "work": self.work,
            "part": PARTS.iter().find(|(_, part)| *part == self.part).map(|(name, _)| name),
            "dir": self.dir,
            "millis": u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            "bytes": self.bytes,
            "block": self.block,
            "seed": self.seed,
        })
        .to_string()
    }

    pub fn from_json(arguments: &[String]) -> Outcome<Self> {
        let text = arguments.first().ok_or("--child is for this program's own use")?;
        let order: Value = serde_json::from_str(text)?;
        let field = |name: &str| order.get(name).ok_or_else(|| format!("no {name} in the order"));
        let number = |name: &str| field(name)?.as_u64().ok_or_else(|| format!("{name}: no number"));
        let text = |name: &str| {
            let text = field(name)?.as_str();
            text.map(str::to_owned).ok_or_else(|| format!("{name}: no text"))
        };
        let part = text("part")?;
        let part = PARTS.iter().find(|(name, _)| *name == part).ok_or("no such part")?;
        Ok(Self {
            engine: text("engine")?,
            work: text("work")?,
            part: part.1,
            dir: text("dir")?.into(),
            time: Duration::from_millis(number("millis")?),
            bytes: number("bytes")?,
            block: number("block")?,
            seed: number("seed")?,
        })
    }

    /// For what the engine is to be opened.
    pub fn setup(&self, work: Work) -> Setup<'_> {
        let is_filled = work.manner == Manner::Reopen && self.part == Part::Measure;
        Setup { dir: &self.dir, work, bytes: self.bytes, is_filled }
    }

    /// Where the process leaves its figures.
    pub fn figures_path(&self) -> PathBuf {
        self.dir.join("figures.json")
    }
}

/// Readings before what is measured, to be compared with those after it.
pub struct Readings {
    pub started: Instant,
    cpu: Duration,
    processors: Processors,
    disk: Option<Counts>,
    /// Bytes this process had the kernel write.
    own_bytes: Option<u64>,
}

impl Readings {
    pub fn take(dir: &Path) -> Outcome<Self> {
        let processors = Processors::now()?;
        let (disk, own_bytes) = (Counts::of(dir), disk::own_bytes());
        Ok(Self { disk, own_bytes, processors, cpu: cpu_time()?, started: Instant::now() })
    }

    /// What was written since `before` for each of so many bytes: by the disk's own count, which
    /// counts everybody, and by the kernel's count of this process.
    pub fn add_written(
        &self,
        before: &Self,
        bytes: f64,
        (disk, own): (&str, &str),
        to: &mut Figures,
    ) {
        if let (Some(before), Some(after)) = (before.disk, self.disk) {
            to.insert(disk.into(), ratio(float(after.since(&before).written_bytes), bytes));
        }
        if let (Some(before), Some(after)) = (before.own_bytes, self.own_bytes) {
            to.insert(own.into(), ratio(float(after.saturating_sub(before)), bytes));
        }
    }

    /// What others did since `before`, who are not asked for anything.
    pub fn add_others(&self, before: &Self, figures: &mut Figures) {
        if let Some(percent) = self.processors.others_since(&before.processors) {
            figures.insert("others_cpu_percent".into(), percent);
        }
    }
}

pub fn run(order: &Order) -> Outcome<()> {
    let (kind, work) = (Kind::named(&order.engine)?, Work::named(&order.work)?);
    let figures = match (work.manner, order.part) {
        (Manner::Reopen, Part::Fill) => return reopen::fill(order, kind, work),
        (Manner::Reopen, _) => reopen::measure(order, kind, work)?,
        (Manner::Ingest, Part::Again) => ingest::again(order, kind, work)?,
        (Manner::Ingest, _) => ingest::measure(order, kind, work)?,
        (Manner::Overwrite, _) => overwrite::measure(order, kind, work)?,
        (Manner::Latency, _) => latency::measure(order, kind, work)?,
        (Manner::Lone, _) => paired::measure(order, kind, work)?,
        (Manner::Together, _) => together(order, kind, work)?,
    };
    Ok(std::fs::write(order.figures_path(), serde_json::to_vec(&figures)?)?)
}

/// A part of the time and the bytes that is not measured: threads, caches and pools come to life.
const WARM_UP: u32 = 10;

fn together(order: &Order, kind: &Kind, work: Work) -> Outcome<Figures> {
    let engine = kind.open(&order.setup(work))?;
    let pool = Pool::new();
    let warm = Bounds { time: order.time / WARM_UP, bytes: order.bytes / u64::from(WARM_UP) };
    drive(&engine, work, warm, (pool, order.seed))?;
    syncs::mark_begin(&order.dir);
    let before = Readings::take(&order.dir)?;
    let bounds = Bounds { time: order.time, bytes: order.bytes };
    let through = drive(&engine, work, bounds, (pool, !order.seed))?;
    let after = Readings::take(&order.dir)?;
    syncs::mark_end(&order.dir);

    let mut times = Histogram::new();
    through.iter().for_each(|committer| times.merge(&committer.times));
    let commits = float(through.iter().map(|committer| committer.commits).sum());
    let seconds = (after.started - before.started).as_secs_f64();
    let mut figures = common(work, commits, seconds, after.cpu.saturating_sub(before.cpu), &times);
    after.add_others(&before, &mut figures);
    if let (Some(before), Some(after)) = (before.disk, after.disk) {
        let disk = after.since(&before);
        let bytes = commits * float(u64::try_from(work.commit_bytes())?);
        figures.insert("flushes".into(), float(disk.flushes));
        figures.insert("commits_per_flush".into(), ratio(commits, float(disk.flushes)));
        figures.insert("device_bytes_per_byte".into(), ratio(float(disk.written_bytes), bytes));
    }
    Ok(figures)
}

/// The figures of every work that commits.
pub fn common(work: Work, commits: f64, seconds: f64, cpu: Duration, times: &Histogram) -> Figures {
    let entries = float(u64::try_from(work.entries).unwrap_or(1));
    let named = [
        ("commits", commits),
        ("seconds", seconds),
        ("per_second", ratio(commits * entries, seconds)),
        ("p50_us", times.percentile(50)),
        ("p99_us", times.percentile(99)),
        ("cpu_us", ratio(micros(cpu), commits)),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Where committing ends, whichever is reached first.
struct Bounds {
    time: Duration,
    bytes: u64,
}

/// Has all committers of `work` commit until `bounds`.
fn drive(
    engine: &Arc<dyn Engine>,
    work: Work,
    bounds: Bounds,
    (pool, seed): (Pool, u64),
) -> Outcome<Vec<Committer>> {
    let until = Instant::now() + bounds.time;
    let threads = u64::try_from(work.threads)?;
    let committers = (0..threads)
        .map(|one| Committer::new(work, pool, seed ^ (one << 32), until, bounds.bytes / threads));
    Arc::clone(engine).drive(committers.collect())
}
