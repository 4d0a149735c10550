//! Crash images: taking them at a moment, reopening each, and crashing the recovery again.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::base::{ErrorKind, Result};
use crate::doc::{Condition, Documents};
use crate::vfs::memory::{CrashMode, MemoryVfs, Operation, draw, runtime};
use crate::vfs::sync::Mutex;

use super::case::Config;
use super::model::observe;
use super::oracle::{Failure, Rule, View};
use super::report::Counts;
use super::tables::disagreement;

/// What an attack at one moment depends on.
#[derive(Clone, Debug)]
pub(super) struct Attack {
    pub(super) config: Config,
    /// Where the choices of this moment come from.
    pub(super) seed: u64,
    /// The step and the operation of the disk, for the site of a failure.
    pub(super) site: String,
    /// A sync failed that the disk has not reported yet: what a power cut takes before recovery
    /// is done is the disk's fault, so only the process may end.
    pub(super) lying: bool,
    /// A failed sync may have taken back what was only written, as if the power had been cut.
    pub(super) reverting: bool,
}

/// What is shared by all images of a run.
#[derive(Debug, Default)]
pub(super) struct Seen {
    contents: BTreeSet<u64>,
    pub(super) counts: Counts,
}

/// One thing that may be left after a crash.
struct Image {
    disk: MemoryVfs,
    /// Whether the power was cut, or only the process ended.
    power_cut: bool,
    mode: &'static str,
    pending: bool,
}

impl Attack {
    /// The images that are taken at one moment of a run.
    fn images(&self, disk: &MemoryVfs) -> Vec<Image> {
        let (config, seed) = (&self.config, self.seed);
        let pending = disk.pending_units();
        let units = pending.len();
        let mut all = Vec::new();
        let mut chosen = BTreeSet::new();
        let mut add = |mode: &'static str, crash: CrashMode| {
            if crash.keeps_whole() && !chosen.insert(crash.choice(&pending)) {
                return;
            }
            let (disk, pending) = (disk.crash_with(crash), units > 0);
            all.push(Image { disk, power_cut: true, mode, pending });
        };
        if !self.lying {
            add("nothing", CrashMode::Nothing);
            if units > 0 {
                let one = |counter: u64| {
                    usize::try_from(draw(seed, counter)).unwrap_or_default() % units.max(1)
                };
                add("everything", CrashMode::Everything);
                add("one_present", CrashMode::OnePresent(one(1)));
                add("one_missing", CrashMode::OneMissing(one(2)));
                add("prefix", CrashMode::Prefix(one(3)));
                add("last_torn", CrashMode::LastTorn);
                add("names_first", CrashMode::NamesFirst);
                add("data_first", CrashMode::DataFirst);
                if config.padded {
                    add("hostile", CrashMode::Hostile { seed: draw(seed, 5) });
                    add("hostile", CrashMode::Hostile { seed: draw(seed, 6) });
                }
                for number in 0..config.images {
                    let keep_per_256 = [32, 96, 160, 224].get(one(4) % 4).copied().unwrap_or(128);
                    add(
                        "random",
                        CrashMode::Random { seed: draw(seed, 16 + number), keep_per_256 },
                    );
                }
            }
        }
        all.push(Image {
            disk: disk.kill(),
            power_cut: self.reverting,
            mode: "kill",
            pending: units > 0,
        });
        all
    }

    /// Takes the images of this moment and checks each.
    pub(super) fn at(&self, disk: &MemoryVfs, view: &View, seen: &mut Seen) -> Result<(), Failure> {
        seen.counts.crash_points += 1;
        for image in self.images(disk) {
            self.examine(&image, view, self.config.depth, seen)?;
        }
        Ok(())
    }

    fn fail(&self, rule: Rule, image: &Image, detail: impl Into<String>) -> Failure {
        Failure::new(rule, format!("{} {}", self.site, image.mode), detail)
    }

    fn examine(
        &self,
        image: &Image,
        view: &View,
        depth: u64,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let salt = u64::from(image.power_cut) ^ view.durable.0 << 1 ^ depth << 32;
        let content = image.disk.content_hash() ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if !seen.contents.insert(content) {
            seen.counts.repeated += 1;
            return Ok(());
        }
        seen.counts.images += u64::from(image.pending);
        seen.counts.recovery_images += u64::from(image.pending && depth < self.config.depth);
        seen.counts.trace = draw(seen.counts.trace, content);
        let branches = self.watch(image, depth);
        let docs = match open(&image.disk, self.seed, &self.config) {
            Ok(docs) => docs,
            // A directory whose first segment never became a store was never acknowledged.
            Err(Stop::Error(error))
                if error.kind() == ErrorKind::NotFound && view.durable.0 == 0 =>
            {
                return Ok(());
            }
            Err(Stop::Error(error)) => return Err(self.fail(Rule::R7, image, error.to_string())),
            Err(Stop::Panic(what)) => return Err(self.fail(Rule::Panic, image, what)),
        };
        image.disk.clear_observer();
        let shown = observe(&docs)
            .map_err(|error| self.fail(Rule::R7, image, format!("reading: {error}")))?;
        view.check(shown, image.power_cut)
            .map_err(|(rule, detail)| self.fail(rule, image, detail))?;
        let chance = draw(self.seed, content);
        if self.config.tables.is_some() && (chance >> 4).is_multiple_of(4) {
            let told = disagreement(&docs.store().snapshot());
            let told = told.map_err(|error| self.fail(Rule::R7, image, error.to_string()))?;
            told.map_or(Ok(()), |detail| Err(self.fail(Rule::R3, image, detail)))?;
        }
        if chance.is_multiple_of(2) {
            self.again(image, shown)?;
        }
        if (chance >> 8).is_multiple_of(self.config.go_on.max(1)) {
            self.go_on(image, docs)?;
        } else {
            image.disk.halt();
            drop(docs);
        }
        for branch in std::mem::take(&mut *branches.lock()) {
            self.examine(&branch, view, depth - 1, seen)?;
        }
        Ok(())
    }

    /// Collects images of a recovery while it runs. What a power cut took before it stays gone.
    fn watch(&self, image: &Image, depth: u64) -> Arc<Mutex<Vec<Image>>> {
        let branches = Arc::new(Mutex::new(Vec::new()));
        if depth == 0 {
            return branches;
        }
        let (into, config, seed) = (branches.clone(), self.config, self.seed);
        let (power_cut_before, lying) = (image.power_cut || self.reverting, self.lying);
        let mut counter = 0;
        image.disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
            counter += 1;
            let chance = draw(seed ^ operation.number, depth);
            if !chance.is_multiple_of(config.sparse.max(1)) {
                return;
            }
            let pending = disk.pending_units();
            let random = CrashMode::Random { seed: chance ^ counter, keep_per_256: 128 };
            let hostile = CrashMode::Hostile { seed: chance ^ counter };
            let modes = [
                ("recovery nothing", CrashMode::Nothing),
                ("recovery everything", CrashMode::Everything),
                ("recovery random", if config.padded { hostile } else { random }),
            ];
            let mut into = into.lock();
            let mut chosen = BTreeSet::new();
            for (mode, crash) in modes {
                let is_new = !crash.keeps_whole() || chosen.insert(crash.choice(&pending));
                if !lying && is_new {
                    let (disk, pending) = (disk.crash_with(crash), !pending.is_empty());
                    into.push(Image { disk, power_cut: true, mode, pending });
                }
            }
            into.push(Image {
                disk: disk.kill(),
                power_cut: power_cut_before,
                mode: "recovery kill",
                pending: !pending.is_empty(),
            });
        }));
        branches
    }

    /// R5, R9: what was shown survives a power cut that takes all that is pending.
    fn again(&self, image: &Image, shown: (crate::base::Lsn, u64)) -> Result<(), Failure> {
        let cut = image.disk.crash_with(CrashMode::Nothing);
        let docs = open(&cut, self.seed ^ 1, &self.config)
            .map_err(|stop| self.fail(Rule::R5, image, format!("after a power cut: {stop}")))?;
        let after = observe(&docs)
            .map_err(|error| self.fail(Rule::R5, image, format!("after a power cut: {error}")))?;
        if after != shown {
            let detail = format!("showed {shown:?}, and after a power cut {after:?}");
            return Err(self.fail(Rule::R5, image, detail));
        }
        cut.halt();
        Ok(())
    }

    /// R11: the recovered store takes a write, closes, and opens with it.
    fn go_on(&self, image: &Image, docs: Documents) -> Result<(), Failure> {
        let fail =
            |what: &str, detail: String| self.fail(Rule::R11, image, format!("{what}: {detail}"));
        let value = serde_json::json!("still alive");
        let written = docs
            .put("after", "a", &value, Condition::None)
            .map_err(|error| fail("write", error.to_string()))?;
        if self.config.tables.is_some() {
            docs.store().compact().map_err(|error| fail("compact", error.to_string()))?;
        }
        docs.store().close().map_err(|error| fail("close", error.to_string()))?;
        drop(docs);
        let again = open(&image.disk, self.seed ^ 2, &self.config)
            .map_err(|stop| fail("open", stop.to_string()))?;
        let found = again.get("after", "a").map_err(|error| fail("read", error.to_string()))?;
        if found.is_none_or(|found| found.rev != written.rev)
            || again.store().recovery().case != "@J"
        {
            return Err(fail("read", "the write is not there, or the close was not clean".into()));
        }
        image.disk.halt();
        Ok(())
    }
}

/// Why a store could not be opened.
#[derive(Debug)]
pub(super) enum Stop {
    Error(crate::base::Error),
    Panic(String),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{error}"),
            Self::Panic(what) => write!(f, "panic: {what}"),
        }
    }
}

/// Opens the store of a disk.
pub(super) fn open(disk: &MemoryVfs, seed: u64, config: &Config) -> Result<Documents, Stop> {
    let builder = config.builder().runtime(runtime(disk, seed));
    match catch_unwind(AssertUnwindSafe(|| builder.open())) {
        Ok(Ok(store)) => Ok(Documents::over(store)),
        Ok(Err(error)) => Err(Stop::Error(error)),
        Err(panic) => Err(Stop::Panic(panic_text(panic.as_ref()))),
    }
}

/// The message of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
