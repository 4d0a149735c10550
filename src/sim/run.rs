//! Playing a case: steps on a store, crash images at every operation of its disk.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::base::{Error, ErrorKind, Lsn, Timestamp};
use crate::doc::Documents;
use crate::store::{Snapshot, Store};
use crate::vfs::memory::{MemoryVfs, Operation, SimClock, draw, runtime};
use crate::vfs::sync::Mutex;
use crate::vfs::{Clock, Runtime};

use super::case::{Action, Case, Config, Step};
use super::image::{Attack, Seen, panic_text};
use super::model::{Model, observe};
use super::oracle::{Failure, Rule, View};
use super::report::Counts;
use super::write::Asked;

/// What the observer of the disk shares with the player.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) view: View,
    pub(super) attack: Attack,
    seen: Seen,
    failure: Option<Failure>,
    /// What happened, for a person; only when a case is replayed.
    trace: Option<Vec<String>>,
}

/// What a step that could not go on says.
pub(super) type Outcome = Result<(), Failure>;

pub(super) struct Player<'a> {
    pub(super) case: &'a Case,
    pub(super) disk: MemoryVfs,
    clock: Arc<SimClock>,
    pub(super) docs: Option<Documents>,
    pub(super) scene: Arc<Mutex<Scene>>,
    /// The content now, and after each commit since the last reopen.
    pub(super) model: Model,
    pub(super) models: BTreeMap<Lsn, Model>,
    /// Requests that were answered, and their commits.
    pub(super) requests: BTreeMap<u64, Lsn>,
    /// A write whose outcome is not known: its content and its request.
    pub(super) unknown: Option<(Model, Option<u64>)>,
    /// The log or the manifest failed: nothing may be acknowledged until a reopen.
    pub(super) stopped: bool,
    /// It may have been the manifest alone: the log can still be synced.
    pub(super) log_works: bool,
    /// Faults may happen from now on, so errors are legal.
    pub(super) faulty: bool,
    /// Faults planned on this disk, and whether one of them is a late sync that goes on.
    pub(super) planned: u64,
    pub(super) lies_for_good: bool,
    /// A snapshot, and what it must show.
    pub(super) held: Option<(Snapshot, u64)>,
    /// The last commit in the copy.
    pub(super) copied: Lsn,
    life: u64,
}

/// Plays `case`; gives what was counted, and the first rule that was broken.
#[must_use]
pub fn run_case(case: &Case) -> (Counts, Option<Failure>) {
    finish(Player::new(case))
}

/// Plays `case` and tells every step and every operation of the disk that was a crash point.
#[must_use]
pub fn trace_case(case: &Case) -> (Counts, Option<Failure>, Vec<String>) {
    let player = Player::new(case);
    let scene = player.scene.clone();
    scene.lock().trace = Some(Vec::new());
    let (counts, failure) = finish(player);
    let trace = scene.lock().trace.take().unwrap_or_default();
    (counts, failure, trace)
}

fn finish(mut player: Player<'_>) -> (Counts, Option<Failure>) {
    let case = player.case;
    let played = catch_unwind(AssertUnwindSafe(|| player.play()));
    let outcome = played.unwrap_or_else(|panic| {
        let site = player.scene.lock().attack.site.clone();
        Err(Failure::new(Rule::Panic, site, panic_text(panic.as_ref())))
    });
    player.disk.clear_observer();
    player.disk.halt();
    let mut scene = player.scene.lock();
    let mut counts = std::mem::take(&mut scene.seen.counts);
    counts.runs = 1;
    for fault in &case.faults {
        *counts.faults.entry(fault.what.clone()).or_default() += 1;
    }
    (counts, scene.failure.take().or(outcome.err()))
}

impl<'a> Player<'a> {
    fn new(case: &'a Case) -> Self {
        let (config, seed, site) = (case.config, case.seed, "open".to_owned());
        let attack = Attack { config, seed, site, lying: false, reverting: false };
        let view = View { versions: [(Lsn::ZERO, 0)].into(), ..View::default() };
        let scene = Scene { view, attack, seen: Seen::default(), failure: None, trace: None };
        Self {
            case,
            disk: MemoryVfs::new(),
            clock: Arc::new(SimClock::default()),
            docs: None,
            scene: Arc::new(Mutex::new(scene)),
            model: Model::default(),
            models: [(Lsn::ZERO, Model::default())].into(),
            requests: BTreeMap::new(),
            unknown: None,
            stopped: false,
            log_works: false,
            faulty: false,
            planned: 0,
            lies_for_good: false,
            held: None,
            copied: Lsn::ZERO,
            life: 0,
        }
    }

    fn play(&mut self) -> Outcome {
        self.open("open")?;
        for step in &self.case.steps {
            self.plan_faults(step.id);
            self.begin(step.id, name(&step.action));
            self.perform(step)?;
            if let Some(failure) = self.scene.lock().failure.take() {
                return Err(failure);
            }
        }
        self.begin(u64::MAX, "last reopen");
        self.reopen()
    }

    fn begin(&self, step: u64, site: &str) {
        let mut scene = self.scene.lock();
        scene.attack.seed = draw(self.case.seed, step.wrapping_add(1));
        scene.attack.site = site.to_owned();
        if let Some(trace) = &mut scene.trace {
            trace.push(format!("step {step}: {site}"));
        }
        if let Some(docs) = &self.docs {
            scene.view.durable = scene.view.durable.max(docs.store().durable());
        }
    }

    pub(super) fn fail(&self, rule: Rule, detail: impl Into<String>) -> Failure {
        let site = self.scene.lock().attack.site.clone();
        Failure::new(rule, site, detail)
    }

    fn plan_faults(&mut self, step: u64) {
        for fault in self.case.faults.iter().filter(|fault| fault.step == step) {
            self.faulty |= fault.can_be_noticed();
            let mut scene = self.scene.lock();
            scene.attack.lying |= fault.what == "sync_late";
            // A failed sync may take back what was only written.
            scene.attack.reverting |= fault.what == "sync_reverted";
            drop(scene);
            if let Some(planned) = super::sweep::disk_fault(fault, self.case.seed) {
                self.lies_for_good |= planned.sticky && fault.what == "sync_late";
                self.planned += 1;
                self.disk.plan(planned);
            }
        }
    }

    pub(super) fn runtime(&self) -> Runtime {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let life = self.life;
        Runtime { clock, ..runtime(&self.disk, draw(self.case.seed, life)) }
    }

    /// Watches the disk: every operation that may change it is a crash point.
    fn watch(&self) {
        let (scene, clock) = (self.scene.clone(), self.clock.clone());
        let slow = self.case.config.slow;
        self.disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
            let mut scene = scene.lock();
            if slow > 0 {
                clock.advance(draw(scene.attack.seed, operation.number) % slow);
            }
            let every = scene.attack.config.every;
            let passed = every == 0 || !operation.number.is_multiple_of(every);
            if passed || scene.failure.is_some() {
                return;
            }
            let scene = &mut *scene;
            if let Some(trace) = &mut scene.trace {
                let Operation { number, kind, path } = operation;
                let pending = disk.pending_units().len();
                trace.push(format!("  {number} {kind:?} {}, {pending} pending", path.display()));
            }
            let mut attack = scene.attack.clone();
            attack.seed = draw(attack.seed, operation.number);
            attack.site = format!("{}: {:?}", attack.site, operation.kind);
            let at = || attack.at(disk, &scene.view, &mut scene.seen);
            // A panic must not leave the disk in the middle of telling us.
            let outcome = catch_unwind(AssertUnwindSafe(at)).unwrap_or_else(|panic| {
                let what = panic_text(panic.as_ref());
                Err(Failure::new(Rule::Panic, attack.site.clone(), what))
            });
            scene.failure = outcome.err();
        }));
    }

    /// The setup of this life. Tails are padded only from a life on that begins with nothing
    /// pending: what an unpadded one left in the page cache may destroy what it shares pages with.
    fn config_of_life(&self) -> Config {
        let mut config = self.case.config.in_life(self.life);
        let mut scene = self.scene.lock();
        let settled = scene.attack.config.padded || self.disk.pending_units().is_empty();
        config.padded &= self.life == 1 || settled;
        scene.attack.config = config;
        config
    }

    /// Opens the store, and lets what it shows decide what was unknown.
    pub(super) fn open(&mut self, how: &str) -> Outcome {
        self.life += 1;
        let config = self.config_of_life();
        self.watch();
        let builder = config.builder();
        let store = match builder.runtime(self.runtime()).open() {
            Ok(store) => store,
            Err(error) if self.faulty && error.kind() != ErrorKind::Corrupt => {
                return self.open_healed(how);
            }
            Err(error) => return Err(self.fail(Rule::R7, format!("{how}: {error}"))),
        };
        let docs = Documents::over(store);
        let shown = match observe(&docs) {
            Err(error) if self.faulty && error.kind() == ErrorKind::Io => {
                drop(docs);
                return self.open_healed(how);
            }
            shown => shown.map_err(|error| self.fail(Rule::R7, error.to_string()))?,
        };
        self.docs = Some(docs);
        self.accept(shown, how)
    }

    /// The disk still fails; on one that works, everything must be there.
    fn open_healed(&mut self, how: &str) -> Outcome {
        let healed = self.disk.kill();
        self.disk.halt();
        self.disk = healed;
        self.heal();
        self.watch();
        let config = self.scene.lock().attack.config;
        let store = config.builder().runtime(self.runtime()).open();
        let store = store.map_err(|error| self.fail(Rule::R7, format!("{how}: {error}")))?;
        let docs = Documents::over(store);
        let shown = observe(&docs).map_err(|error| self.fail(Rule::R7, error.to_string()))?;
        self.docs = Some(docs);
        self.accept(shown, how)
    }

    /// Checks what an open showed, and goes on from there: it is durable now (R5).
    fn accept(&mut self, (lsn, content): (Lsn, u64), how: &str) -> Outcome {
        let mut scene = self.scene.lock();
        let view = &mut scene.view;
        view.pending = self.unknown.as_ref().map(|(model, _)| model.hash);
        // After a failed sync the cache may have lost what was only written.
        let power_cut = how == "power cut" || self.stopped || self.faulty;
        let checked = view.check((lsn, content), power_cut);
        let known = self.models.range(..=lsn).next_back().map(|(_, model)| model.clone());
        // A commit that changes nothing is told by its LSN; the first of a store has 2, behind the
        // start of the term.
        let appeared = lsn.0 > view.last().0.max(1);
        let unknown = self.unknown.take().filter(|(model, _)| appeared && model.hash == content);
        let model = match unknown {
            Some((model, request)) => {
                self.requests.extend(request.map(|request| (request, lsn)));
                model
            }
            None => known.unwrap_or_default(),
        };
        self.models.retain(|known, _| *known <= lsn);
        self.models.insert(lsn, model.clone());
        self.requests.retain(|_, commit| *commit <= lsn);
        self.model = model;
        *view = View {
            versions: self.models.iter().map(|(lsn, model)| (*lsn, model.hash)).collect(),
            durable: lsn,
            written: lsn,
            pending: None,
        };
        // What lies for good, or has not lied yet, does so after a reopen too.
        let due = self.lies_for_good || self.disk.faults_fired() < self.planned;
        scene.attack.lying &= self.faulty && due;
        scene.attack.reverting = self.faulty && scene.attack.reverting;
        (self.stopped, self.log_works) = (false, false);
        drop(scene);
        checked.map_err(|(rule, detail)| self.fail(rule, format!("{how}: {detail}")))
    }

    fn perform(&mut self, step: &Step) -> Outcome {
        match &step.action {
            Action::Write { parts, durability, request } => {
                self.write(step.id, parts, Asked::new(*durability, *request))
            }
            Action::Submit { parts, waits } => self.submit(step.id, parts, *waits),
            Action::Sync => {
                let synced = self.store()?.sync();
                self.note_log(synced)?;
                let mut scene = self.scene.lock();
                if !self.stopped {
                    scene.view.durable =
                        self.models.keys().next_back().copied().unwrap_or_default();
                }
                Ok(())
            }
            Action::Checkpoint => {
                let done = self.store()?.checkpoint();
                self.tables_changed(done)
            }
            Action::Compact => {
                let done = self.store()?.compact();
                self.tables_changed(done)
            }
            Action::Background => {
                match self.store()?.step() {
                    // Nothing is acknowledged by it, so a failed log may have nothing to do.
                    Ok(_) => Ok(()),
                    Err(error) => self.note(Err(error)),
                }
            }
            Action::Reopen => self.reopen(),
            Action::Kill => {
                let killed = self.disk.kill();
                self.change_disk(killed);
                self.open("kill")
            }
            Action::PowerCut => self.power_cut(step.id),
            Action::Backup => self.backup(),
            Action::Restore { permille } => self.restore(step.id, *permille),
            Action::OpenBeside => self.open_beside(),
            Action::Snapshot => self.hold_snapshot(),
            Action::Clock { micros } => {
                let now = self.clock.now().0;
                if *micros > 0 && micros.unsigned_abs() % 2 == 0 {
                    self.clock.advance(micros.unsigned_abs());
                } else {
                    self.clock.set(Timestamp(now.saturating_add_signed(*micros)));
                }
                Ok(())
            }
        }
    }

    pub(super) fn store(&self) -> Result<Store, Failure> {
        let docs = self.docs.as_ref().map(|docs| docs.store().clone());
        docs.ok_or_else(|| self.fail(Rule::R11, "the store is not open"))
    }

    /// Takes the answer to a call that appends no commit.
    pub(super) fn note(&mut self, answer: Result<(), Error>) -> Outcome {
        match answer {
            Ok(()) if !self.stopped => Ok(()),
            Ok(()) => Err(self.fail(Rule::R6, "acknowledged after a failure of the log")),
            Err(error) if self.stopped || self.faulty => {
                let kind = error.kind();
                if matches!(kind, ErrorKind::OutcomeUnknown | ErrorKind::Poisoned) {
                    self.stop(false);
                }
                Ok(())
            }
            Err(error) => Err(self.fail(Rule::R11, error.to_string())),
        }
    }
}

const fn name(action: &Action) -> &'static str {
    match action {
        Action::Write { .. } => "write",
        Action::Submit { .. } => "submit",
        Action::Sync => "sync",
        Action::Background => "background",
        Action::Checkpoint => "checkpoint",
        Action::Compact => "compact",
        Action::Reopen => "reopen",
        Action::Kill => "kill",
        Action::PowerCut => "power cut",
        Action::Backup => "backup",
        Action::Restore { .. } => "restore",
        Action::OpenBeside => "open beside",
        Action::Snapshot => "snapshot",
        Action::Clock { .. } => "clock",
    }
}
