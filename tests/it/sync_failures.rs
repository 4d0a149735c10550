//! A failure of every call of a workload, one at a time: who is told what, and what is there
//! when the store is opened again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jidoka::base::{Error, ErrorKind};
use jidoka::store::Store;
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, SyncFailure,
    runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::wal::Durability;

use crate::model::{Choices, History, Progress, SEGMENT_BYTES, STORE, Step, open, plan};

/// How a run of a workload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// Every step was done, after retries where the store went on.
    Finished,
    /// The log stopped: no more writes until a reopen.
    Poisoned,
    /// Commits are refused, and nothing is in doubt.
    Refused,
    /// The store did not open.
    NotOpened,
}

/// One workload on a disk where something fails.
struct Run<'a> {
    name: String,
    disk: MemoryVfs,
    history: &'a History,
    progress: Progress,
    lives: u64,
}

impl<'a> Run<'a> {
    fn new(name: String, fault: Option<Fault>, history: &'a History) -> Self {
        let disk = MemoryVfs::new();
        if let Some(fault) = fault {
            disk.plan(fault);
        }
        Self { name, disk, history, progress: Progress::default(), lives: 0 }
    }

    fn open(&mut self) -> Option<Store> {
        self.lives += 1;
        match open(&self.disk, self.lives) {
            Ok(store) => Some(store),
            Err(error) => {
                self.refusal(&error);
                None
            }
        }
    }

    /// The operating system refused, and nothing is in doubt.
    #[track_caller]
    fn refusal(&self, error: &Error) {
        let allowed = matches!(error.kind(), ErrorKind::Io | ErrorKind::Full);
        assert!(allowed && error.place().path.is_some(), "{}: {error:?}", self.name);
    }

    fn go(&mut self, steps: &[Step]) -> End {
        let Some(mut store) = self.open() else { return End::NotOpened };
        for step in steps {
            let before = self.history.prefix_shown(&store, &self.name);
            let result = match step {
                Step::Commit(durability) => self.commit(&store, *durability),
                Step::Sync => store.sync().map(|()| self.progress.acknowledge_all()),
                Step::Background => {
                    if let Err(error) = store.step() {
                        self.refusal(&error);
                    }
                    Ok(())
                }
                Step::Reopen => match store.close() {
                    Ok(()) => {
                        self.progress.acknowledge_all();
                        let Some(next) = self.open() else { return End::NotOpened };
                        store = next;
                        Ok(())
                    }
                    Err(error) if is_refusal(&error) => {
                        let Some(next) = self.open() else { return End::NotOpened };
                        store = next;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = result {
                if is_refusal(&error) {
                    return End::Refused;
                }
                self.stopped(&store, &error, before, matches!(step, Step::Reopen));
                return End::Poisoned;
            }
        }
        match store.close() {
            Ok(()) => self.progress.acknowledge_all(),
            Err(error) if is_refusal(&error) => {}
            Err(_) => return End::Poisoned,
        }
        End::Finished
    }

    fn commit(&mut self, store: &Store, durability: Durability) -> Result<(), Error> {
        let number = self.progress.submitted() + 1;
        let mut tries = 0;
        loop {
            let before = (store.visible(), store.log_stats().appended);
            match store.commit(self.history.batch(number, durability)) {
                Ok(commit) => {
                    self.progress.submitted.store(number, std::sync::atomic::Ordering::SeqCst);
                    self.progress.acknowledge(number, durability);
                    assert_eq!(commit.durable, durability == Durability::Sync);
                    return Ok(());
                }
                Err(error) if is_refusal(&error) && tries < 3 => {
                    self.refusal(&error);
                    tries += 1;
                    let after = (store.visible(), store.log_stats().appended);
                    // The record that opens the era may be there; the commit is not.
                    assert!(after == before || before.1.0 == 0 && after.1.0 == 1, "{}", self.name);
                }
                Err(error) => {
                    if error.kind() == ErrorKind::OutcomeUnknown {
                        self.progress.submitted.store(number, std::sync::atomic::Ordering::SeqCst);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// After the first failure everything is refused, and what was visible stays as it was.
    fn stopped(&self, store: &Store, error: &Error, visible: usize, closed: bool) {
        let name = &self.name;
        let told = matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Poisoned);
        assert!(told && error.place().path.is_some(), "{name}: {error:?}");
        let operations = self.disk.operations();
        for durability in [Durability::Sync, Durability::Buffered, Durability::Memory] {
            let next = self.history.batch(1, durability);
            assert_eq!(store.commit(next).unwrap_err().kind(), ErrorKind::Poisoned, "{name}");
        }
        assert_eq!(store.sync().unwrap_err().kind(), ErrorKind::Poisoned, "{name}");
        assert_eq!(store.time_mark().unwrap_err().kind(), ErrorKind::Poisoned, "{name}");
        assert!(!store.step().unwrap(), "{name}");
        assert_eq!(self.history.prefix_shown(store, name), visible, "{name}: still visible");
        let close = store.close().map_err(|error| error.kind());
        assert_eq!(close, if closed { Ok(()) } else { Err(ErrorKind::Poisoned) }, "{name}");
        assert_eq!(self.disk.operations(), operations, "{name}: the disk was touched again");
    }

    /// Opens again without a power cut; what that shows, no later power cut undoes.
    fn reopened(&mut self) {
        let (least, most) = (self.progress.durable(), self.progress.submitted());
        let disk = self.disk.clone();
        let (store, disk) = match self.open() {
            Some(store) => (store, disk),
            None => {
                let cut = disk.crash_with(CrashMode::Nothing);
                (open(&cut, 50).unwrap_or_else(|error| panic!("{}: {error:?}", self.name)), cut)
            }
        };
        let shown = self.history.prefix_shown(&store, &self.name);
        assert!((least..=most).contains(&shown), "{}: {shown}, {least}..={most}", self.name);
        let random = |seed| CrashMode::Random { seed, keep_per_256: 128 };
        for mode in [CrashMode::Nothing, random(1), random(2), CrashMode::Everything] {
            let cut = disk.crash_with(mode);
            let name = format!("{}; reopened, {mode:?}", self.name);
            let again = open(&cut, 60).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(self.history.prefix_shown(&again, &name), shown, "{name}");
            if shown < self.history.batches.len() {
                again.commit(self.history.batch(shown + 1, Durability::Sync)).unwrap();
                let last = open(&cut.crash_with(CrashMode::Nothing), 70).unwrap();
                assert_eq!(self.history.prefix_shown(&last, &name), shown + 1, "{name}");
            }
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Full)
}

/// How many operations of each kind the workload has when nothing fails.
fn count_operations(steps: &[Step], history: &History) -> BTreeMap<OperationKind, u64> {
    let mut run = Run::new("nothing fails".to_owned(), None, history);
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let sink = Arc::clone(&counts);
    run.disk.set_observer(Box::new(move |_: &MemoryVfs, operation: &Operation| {
        *sink.lock().entry(operation.kind).or_default() += 1;
    }));
    assert_eq!(run.go(steps), End::Finished);
    assert_eq!(run.progress.durable(), history.batches.len());
    std::mem::take(&mut *counts.lock())
}

/// Fails each operation of `kind` in each of these ways, and gives how the runs ended.
fn sweep(seed: u64, kind: OperationKind, ways: &[FaultKind], sticky: bool) -> BTreeMap<End, usize> {
    let (steps, history) = plan(seed, 24);
    let count = count_operations(&steps, &history).get(&kind).copied().unwrap_or(0);
    assert!(count > 0, "{kind:?} never happens");
    let mut ends = BTreeMap::new();
    for nth in 0..count {
        for what in ways {
            let at = Selector { kind: Some(kind), nth, ..Selector::default() };
            let name = format!("workload {seed}, {what:?} at {kind:?} {nth}");
            let mut run = Run::new(name, Some(Fault { at, what: *what, sticky }), &history);
            let end = run.go(&steps);
            assert!(run.disk.faults_fired() > 0, "{}: did not happen", run.name);
            *ends.entry(end).or_default() += 1;
            if sticky {
                run.disk = run.disk.kill();
            }
            run.reopened();
        }
    }
    let runs = count * u64::try_from(ways.len()).unwrap();
    assert_eq!(ends.values().sum::<usize>(), usize::try_from(runs).unwrap());
    ends
}

/// Both choices of what a failed sync leaves on the disk.
fn with_seeds(failure: fn(Option<u64>) -> SyncFailure) -> [FaultKind; 3] {
    [None, Some(3), Some(8)].map(|seed| FaultKind::FailedSync(failure(seed)))
}

#[test]
fn a_sync_that_failed_and_forgot_stops_the_line_and_nothing_shown_is_lost() {
    let ways = with_seeds(|seed| SyncFailure::KeptClean { seed });
    for seed in 20..23 {
        let ends = sweep(seed, OperationKind::Sync, &ways, false);
        assert!(ends[&End::Poisoned] > 60 && ends[&End::NotOpened] > 6, "{ends:?}");
    }
}

#[test]
fn a_sync_that_failed_and_reverted_stops_the_line_and_nothing_shown_is_lost() {
    let ways = with_seeds(|seed| SyncFailure::Reverted { seed });
    for seed in 30..33 {
        let ends = sweep(seed, OperationKind::Sync, &ways, false);
        assert!(ends[&End::Poisoned] > 60, "{ends:?}");
    }
}

#[test]
fn a_sync_whose_failure_is_told_late_stops_the_line_and_nothing_shown_is_lost() {
    let ways = with_seeds(|seed| SyncFailure::Late { seed });
    for seed in 40..43 {
        let ends = sweep(seed, OperationKind::Sync, &ways, false);
        assert!(ends[&End::Poisoned] > 60, "{ends:?}");
    }
}

#[test]
fn a_file_whose_every_sync_fails_stops_the_line_and_nothing_acknowledged_is_lost() {
    let ways = with_seeds(|seed| SyncFailure::Sticky { seed });
    for seed in 50..53 {
        let ends = sweep(seed, OperationKind::Sync, &ways, false);
        assert!(ends[&End::Poisoned] > 60, "{ends:?}");
    }
}

#[test]
fn a_sync_that_only_timed_out_is_as_unknown_as_any() {
    let ways = [FaultKind::Error(io::ErrorKind::TimedOut)];
    assert!(sweep(60, OperationKind::Sync, &ways, false)[&End::Poisoned] > 20);
}

#[test]
fn a_failed_write_stops_the_line_or_refuses_the_commit() {
    let ways = [
        FaultKind::Error(io::ErrorKind::Other),
        FaultKind::NoSpace,
        FaultKind::ShortWrite(0),
        FaultKind::TornWrite { bytes: 0 },
        FaultKind::TornWrite { bytes: 100 },
        FaultKind::TornWrite { bytes: 700 },
        FaultKind::TornWrite { bytes: 4000 },
    ];
    let ends = sweep(70, OperationKind::Write, &ways, false);
    assert!(ends[&End::Poisoned] > 100 && ends[&End::Finished] > 50, "{ends:?}");
}

#[test]
fn a_short_or_interrupted_write_is_continued_and_nobody_notices() {
    let ways = [FaultKind::ShortWrite(1), FaultKind::ShortWrite(700), FaultKind::Interrupted];
    let ends = sweep(80, OperationKind::Write, &ways, false);
    assert_eq!(ends.keys().collect::<Vec<_>>(), [&End::Finished]);
}

#[test]
fn a_failure_to_prepare_a_segment_never_stops_the_line() {
    let error = FaultKind::Error(io::ErrorKind::Other);
    for kind in [OperationKind::Create, OperationKind::Rename, OperationKind::SyncDir] {
        let mut ways = vec![error, FaultKind::NoSpace];
        if kind == OperationKind::SyncDir {
            ways.push(FaultKind::FailedSync(SyncFailure::KeptClean { seed: None }));
        }
        let ends = sweep(90, kind, &ways, false);
        assert!(
            !ends.contains_key(&End::Poisoned) && ends[&End::Finished] > 4,
            "{kind:?} {ends:?}"
        );
    }
}

#[test]
fn a_disk_that_is_gone_for_good_loses_nothing_acknowledged() {
    for kind in [OperationKind::Write, OperationKind::Sync] {
        let ends = sweep(95, kind, &[FaultKind::CrashAll], true);
        assert!(ends[&End::Poisoned] > 5, "{ends:?}");
    }
}

#[test]
fn a_full_disk_refuses_commits_before_they_have_a_number_until_there_is_room() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    let mut history = History::new();
    let mut choices = Choices::new(7);
    for nth in 0..3 {
        let at = Selector { kind: Some(OperationKind::Create), nth, ..Selector::default() };
        disk.plan(Fault { at, what: FaultKind::NoSpace, sticky: false });
    }
    let mut full = 0;
    for number in 1..=20 {
        history.push_random(&mut choices);
        loop {
            let before = store.log_stats().appended;
            match store.commit(history.batch(number, Durability::Sync)) {
                Ok(commit) => {
                    assert!(before.0 == 0 || commit.lsn == before.next(), "no number was lost");
                    break;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Full);
                    assert_eq!(store.log_stats().appended, before);
                    full += 1;
                }
            }
        }
    }
    assert_eq!((full, history.prefix_shown(&store, "full")), (3, 20));
    let cut = open(&disk.crash_with(CrashMode::Nothing), 2).unwrap();
    assert_eq!(history.prefix_shown(&cut, "full"), 20);
}

/// Two batches for a close between them: the first with a value of `len` bytes.
fn two_batches(len: usize) -> History {
    let count =
        |number: u64| (("count".to_owned(), b"n".to_vec()), Some(number.to_le_bytes().to_vec()));
    let mut history = History::new();
    history.push([count(1), (("pots".to_owned(), b"a".to_vec()), Some(vec![1; len]))].into());
    history.push([count(2)].into());
    history
}

/// Goes on after whatever close `disk` shows, cuts the power, and expects both batches.
fn go_on_and_cut(disk: &MemoryVfs, history: &History, segment_bytes: u64, name: &str) -> bool {
    let open = |disk: &MemoryVfs, seed| {
        let builder = Store::builder(STORE).segment_bytes(segment_bytes);
        let opened = builder.runtime(runtime(disk, seed)).open();
        opened.unwrap_or_else(|error| panic!("{name}: {error:?}"))
    };
    let store = open(disk, 2);
    store.commit(history.batch(2, Durability::Sync)).unwrap();
    let cut = open(&disk.crash_with(CrashMode::Nothing), 3);
    assert_eq!(history.prefix_shown(&cut, name), 2, "{name}");
    store.recovery().case == "@J"
}

// 1. a close writes its record, and the sync fails without a word;
// 2. the process ends, and with it the chance to be told;
// 3. the next one finds the record in the page cache, goes on behind it and acknowledges;
// ! the power goes. At some lengths the record was the last of its page, so that the page was
// not written again, and the commit after it claimed a record that was never on the disk.
#[test]
fn a_close_whose_failed_sync_was_never_told_takes_nothing_with_it() {
    let mut clean = 0;
    for len in (0..4096).step_by(8) {
        let history = two_batches(len);
        for nth in 0..4 {
            let disk = MemoryVfs::new();
            let builder = Store::builder(STORE).segment_bytes(16384);
            let store = builder.runtime(runtime(&disk, 1)).open().unwrap();
            store.commit(history.batch(1, Durability::Sync)).unwrap();
            let at = Selector { kind: Some(OperationKind::Sync), nth, ..Selector::default() };
            let what = FaultKind::FailedSync(SyncFailure::Late { seed: None });
            disk.plan(Fault { at, what, sticky: false });
            let name = format!("a value of {len} bytes, sync {nth}: {:?}", store.close());
            clean += usize::from(go_on_and_cut(&disk.kill(), &history, 16384, &name));
        }
    }
    assert!(clean > 500, "{clean}");
}

// 1. a close finds its segment full, ends it, and writes its record into the next;
// ! the process is killed before the sync;
// 2. the next one finds the record in the page cache, goes on behind it and acknowledges, and
//    its sync reaches only the second segment;
// ! the power goes, and the end of the first segment with it.
#[test]
fn a_close_that_was_killed_at_any_call_takes_nothing_with_it() {
    let (mut clean, mut unclean) = (0, 0);
    for len in (2500..3660).step_by(24) {
        let history = two_batches(len);
        let disk = MemoryVfs::new();
        let store = open(&disk, 1).unwrap();
        store.commit(history.batch(1, Durability::Sync)).unwrap();
        let killed = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&killed);
        disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
            sink.lock().push((format!("{operation:?}"), disk.kill()));
        }));
        store.close().unwrap();
        disk.clear_observer();
        let killed = std::mem::take(&mut *killed.lock());
        for (name, disk) in killed {
            let name = format!("a value of {len} bytes, killed after {name}");
            let continued = go_on_and_cut(&disk, &history, SEGMENT_BYTES, &name);
            *(if continued { &mut clean } else { &mut unclean }) += 1;
        }
    }
    assert!(clean >= 50 && unclean >= 50, "{clean}, {unclean}");
}
