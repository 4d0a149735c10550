//! A crash at every call of a workload, and at every call of the recovery that follows.
//!
//! With `JIDOKA_CRASH_DEPTH2=all` the second is done for every image of the first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, Fault, FaultKind, MemoryVfs, Operation, Selector, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::wal::reader::Limit;
use jidoka::wal::{Durability, LogReader};

use crate::model::{Choices, History, Progress, STORE, Step, content, images, open, plan};

/// A disk as a crash left it, and what must and may be on it.
#[derive(Debug)]
struct Image {
    name: String,
    disk: MemoryVfs,
    /// The least prefix that must be there.
    least: usize,
    /// The least that must be there after a power cut.
    durable: usize,
    /// The most that may be there.
    most: usize,
    seed: u64,
}

/// What the images of a run amounted to.
#[derive(Debug, Default)]
struct Tally {
    images: AtomicUsize,
    cases: Mutex<BTreeMap<&'static str, usize>>,
}

impl Tally {
    fn count(&self, case: &'static str) {
        self.images.fetch_add(1, Ordering::SeqCst);
        *self.cases.lock().entry(case).or_default() += 1;
    }

    fn images(&self) -> usize {
        self.images.load(Ordering::SeqCst)
    }

    #[track_caller]
    fn reached(&self, cases: &[&str]) {
        let seen = self.cases.lock();
        for case in cases {
            assert!(seen.contains_key(case), "{case} never happened: {seen:?}");
        }
    }
}

#[track_caller]
fn open_image(disk: &MemoryVfs, seed: u64, name: &str) -> Store {
    open(disk, seed).unwrap_or_else(|error| panic!("{name}: refused: {error:?}"))
}

/// What a recovery shows is a prefix between what was acknowledged and what was submitted, is
/// shown again after whatever crash, and the store goes on from there.
fn check(image: &Image, history: &History, tally: &Tally) {
    let Image { name, disk, least, most, seed, .. } = image;
    let store = open_image(disk, *seed, name);
    tally.count(store.recovery().case);
    let shown = history.prefix_shown(&store, name);
    assert!((*least..=*most).contains(&shown), "{name}: {shown} is not in {least}..={most}");
    let (killed, cut) = (disk.kill(), disk.crash_with(CrashMode::Nothing));
    drop(store);
    let again = open_image(&killed, seed + 1, &format!("{name}; killed again"));
    assert_eq!(history.prefix_shown(&again, name), shown, "{name}: after a kill");
    let after_cut = open_image(&cut, seed + 2, &format!("{name}; cut again"));
    assert_eq!(history.prefix_shown(&after_cut, name), shown, "{name}: after a power cut");
    if seed % 3 == 0 {
        let (store, disk) = if seed % 2 == 0 { (again, killed) } else { (after_cut, cut) };
        let probes = Keyspace::new("probes").unwrap();
        let mut batch = Batch::new();
        batch.put(&probes, b"probe", name.as_bytes());
        store.commit(batch).unwrap();
        let expected = content(&store);
        let name = format!("{name}; cut after a commit");
        let reopened = open_image(&disk.crash_with(CrashMode::Nothing), seed + 3, &name);
        assert_eq!(content(&reopened), expected, "{name}: what was committed after recovery");
    }
}

/// Checks every image, on two threads.
fn check_all(images: &[Image], history: &History, tally: &Tally) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(image) = images.get(next.fetch_add(1, Ordering::SeqCst)) {
            check(image, history, tally);
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}

/// Runs the workload with an observer that takes images after every mutating operation.
fn images_of_a_workload(steps: &[Step], history: &Arc<History>) -> (Vec<Image>, usize) {
    let disk = MemoryVfs::new();
    let progress = Arc::new(Progress::default());
    let taken = Arc::new(Mutex::new((Vec::new(), 0_usize)));
    let (seen, sink) = (Arc::clone(&progress), Arc::clone(&taken));
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        let mut sink = sink.lock();
        sink.1 += 1;
        for (mode, killed, image) in images(disk, operation.number) {
            let name = format!(
                "after {} {:?} {}, {mode}",
                operation.number,
                operation.kind,
                operation.path.display()
            );
            let durable = seen.durable();
            let least = if killed { seen.written() } else { durable };
            let seed = 1000 + 10 * u64::try_from(sink.0.len()).unwrap();
            let most = seen.submitted();
            sink.0.push(Image { name, disk: image, least, durable, most, seed });
        }
    }));
    run(&disk, steps, history, &progress);
    disk.clear_observer();
    assert_eq!(disk.warnings(), [""; 0]);
    let (images, operations) = std::mem::take(&mut *taken.lock());
    (images, operations)
}

fn run(disk: &MemoryVfs, steps: &[Step], history: &History, progress: &Progress) {
    let mut lives = 1;
    let mut store = open(disk, lives).unwrap();
    for step in steps {
        match step {
            Step::Commit(durability) => {
                let number = progress.submitted.fetch_add(1, Ordering::SeqCst) + 1;
                store.commit(history.batch(number, *durability)).unwrap();
                progress.acknowledge(number, *durability);
            }
            Step::Sync => {
                store.sync().unwrap();
                progress.acknowledge_all();
            }
            Step::Background => while store.step().unwrap() {},
            Step::Reopen => {
                store.close().unwrap();
                progress.acknowledge_all();
                lives += 1;
                store = open(disk, lives).unwrap();
                assert_eq!(store.recovery().case, "@J");
            }
        }
        if store.durable() == store.log_stats().appended {
            progress.acknowledge_all();
        }
        let shown = history.prefix_shown(&store, "live");
        assert_eq!(shown, progress.submitted(), "every Ok is visible");
    }
    store.close().unwrap();
    progress.acknowledge_all();
}

#[test]
fn a_crash_at_every_call_leaves_a_prefix_with_everything_acknowledged() {
    let (tally, mut all) = (Tally::default(), 0);
    for seed in 1..=6 {
        let (steps, history) = plan(seed, 90);
        let history = Arc::new(history);
        let (images, operations) = images_of_a_workload(&steps, &history);
        assert!(operations >= 300, "{operations} operations");
        check_all(&images, &history, &tally);
        all += operations;
    }
    println!("{} images of {all} operations", tally.images());
    assert!(tally.images() > 20_000, "{} images", tally.images());
    tally.reached(&["@A", "@B", "@J", "@K", "@L"]);
}

/// Images of the recovery of `image`, after each of its own operations.
fn images_of_a_recovery(image: &Image) -> Vec<Image> {
    let disk = image.disk.kill();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&taken);
    let (first, most, seed) = (image.name.clone(), image.most, image.seed);
    let (written, durable) = (image.least, image.durable);
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        let mut sink = sink.lock();
        let random = |keep_per_256| CrashMode::Random { seed: operation.number, keep_per_256 };
        let modes = [CrashMode::Nothing, CrashMode::Everything, random(64), random(192)];
        let modes = &modes[..if disk.pending_units().is_empty() { 1 } else { 4 }];
        let mut disks: Vec<_> =
            modes.iter().map(|mode| (format!("{mode:?}"), disk.crash_with(*mode))).collect();
        disks.push(("kill".to_owned(), disk.kill()));
        for (mode, disk) in disks {
            let name = format!(
                "{first}; in recovery after {:?} {}, {mode}",
                operation.kind,
                operation.path.display()
            );
            let seed = seed * 1000 + 10 * u64::try_from(sink.len()).unwrap();
            let least = if mode == "kill" { written } else { durable };
            sink.push(Image { name, disk, least, durable, most, seed });
        }
    }));
    let store = open_image(&disk, image.seed + 5, &image.name);
    disk.clear_observer();
    drop(store);
    std::mem::take(&mut *taken.lock())
}

#[test]
fn a_crash_at_every_call_of_a_recovery_loses_nothing_either() {
    let everything = std::env::var("JIDOKA_CRASH_DEPTH2").is_ok_and(|value| value == "all");
    let (steps, history) = plan(2, if everything { 90 } else { 30 });
    let history = Arc::new(history);
    let (images, _) = images_of_a_workload(&steps, &history);
    let tally = Tally::default();
    let (mut recoveries, stride) = (0, if everything { 1 } else { images.len() / 250 });
    for image in images.iter().step_by(stride) {
        recoveries += 1;
        check_all(&images_of_a_recovery(image), &history, &tally);
    }
    println!("{} images in {recoveries} recoveries", tally.images());
    assert!(tally.images() > 10 * recoveries, "{} images", tally.images());
    tally.reached(&["@A", "@B", "@K", "@L"]);
}

/// The disk after a life that a crash ended at a random call.
fn live_and_crash(
    disk: &MemoryVfs,
    choices: &mut Choices,
    history: &mut History,
    life: u64,
) -> MemoryVfs {
    let at = Selector { nth: u64::try_from(choices.below(90)).unwrap(), ..Selector::default() };
    disk.plan(Fault { at, what: FaultKind::CrashAll, sticky: false });
    // What the last recovery showed, also if this life is too short to recover at all.
    let mut durable = history.batches.len();
    if let Ok(store) = open(disk, life) {
        let mut failed = false;
        for _ in 0..choices.below(12) {
            history.push_random(choices);
            let number = history.batches.len();
            let sync = choices.below(2) == 0;
            let durability = if sync { Durability::Sync } else { Durability::Buffered };
            failed = store.commit(history.batch(number, durability)).is_err();
            if failed {
                break;
            }
            if sync {
                durable = number;
            }
            let _stepped = store.step();
        }
        if !failed && choices.below(4) == 0 && store.close().is_ok() {
            durable = history.batches.len();
        }
    }
    let mode = match choices.below(5) {
        0 => CrashMode::Nothing,
        1 => CrashMode::Everything,
        2 => CrashMode::LastTorn,
        _ => CrashMode::Random {
            seed: choices.draw(),
            keep_per_256: u8::try_from(choices.below(256)).unwrap(),
        },
    };
    let killed = choices.below(6) == 0;
    let after = if killed { disk.kill() } else { disk.crash_with(mode) };
    // What a recovery shows is decided there, once; look at it on a copy.
    let name = format!("life {life}, {mode:?}");
    let copy = after.kill();
    let shown = history.prefix_shown(&open_image(&copy, life + 1, &name), &name);
    assert!(shown >= durable, "{name}: {shown} of {durable}");
    history.batches.truncate(shown);
    history.prefixes.truncate(shown + 1);
    if choices.below(2) == 0 { copy.crash_with(CrashMode::Nothing) } else { copy }
}

#[test]
fn a_store_that_dies_a_hundred_times_never_loses_what_it_showed() {
    for seed in 0..20 {
        let (mut disk, mut choices) = (MemoryVfs::new(), Choices::new(100 + seed));
        let mut history = History::new();
        for life in 0..100 {
            disk = live_and_crash(&disk, &mut choices, &mut history, 10 * life);
        }
        assert!(history.batches.len() > 20, "seed {seed}: {}", history.batches.len());
    }
}

fn put(store: &Store, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("pots").unwrap(), key, value);
    store.commit(batch).unwrap();
}

#[test]
fn a_claim_stays_in_its_record_when_the_page_is_written_again() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    for number in 0..6_u8 {
        put(&store, &[number], &[number; 40]);
    }
    let mut reader = LogReader::open(Path::new(STORE), store.runtime()).unwrap();
    let mut claims = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        claims.push((record.header.seq.0, record.header.claim.0));
    }
    // Records 1 to 3 are one group: the segment's start, the term's and the first commit.
    assert_eq!(claims, [(1, 0), (2, 0), (3, 0), (4, 3), (5, 4), (6, 5), (7, 6), (8, 7)]);
}

#[test]
fn a_store_whose_creation_was_killed_and_finished_survives_a_power_cut() {
    let killed = Arc::new(Mutex::new(Vec::new()));
    let (disk, sink) = (MemoryVfs::new(), Arc::clone(&killed));
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        sink.lock().push((format!("{operation:?}"), disk.kill()));
    }));
    let path = Path::new("/deep/down/store");
    let open = |disk: &MemoryVfs, seed| {
        Store::builder(path).segment_bytes(8192).runtime(runtime(disk, seed)).open()
    };
    drop(open(&disk, 1).unwrap());
    disk.clear_observer();
    let killed = std::mem::take(&mut *killed.lock());
    assert!(killed.len() > 10, "{}", killed.len());
    for (name, disk) in killed {
        put(&open(&disk, 2).unwrap(), b"pot", b"glazed");
        let store = open(&disk.crash_with(CrashMode::Nothing), 3);
        let store = store.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let pots = Keyspace::new("pots").unwrap();
        assert!(store.get(&pots, b"pot").unwrap().is_some(), "{name}");
    }
}
