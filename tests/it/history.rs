//! Going back in time: a random history, backed up again and again, restored everywhere.

use std::path::PathBuf;

use jidoka::archive::{RestoreReport, RestoreRequest, Target, backup, restore};
use jidoka::base::{ErrorKind, Lsn, Result, Timestamp};
use jidoka::doc::{Condition, Documents, Operation, WriteOptions};
use jidoka::store::Store;
use jidoka::vfs::memory::{CrashMode, MemoryVfs, SimClock, runtime};
use jidoka::vfs::{FileExt, OpenMode, Runtime, Vfs};
use serde_json::json;
use std::sync::Arc;

/// A small generator, so that a failing history is named by its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }
}

/// The model: the dump after each commit, with its LSN and time.
struct History {
    disk: MemoryVfs,
    clock: Arc<SimClock>,
    seed: u64,
    commits: Vec<(Lsn, Timestamp, Vec<u8>)>,
}

impl History {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::default());
        Self { disk: MemoryVfs::new(), clock, seed, commits: Vec::new() }
    }

    fn runtime(&mut self) -> Runtime {
        self.seed += 1;
        let clock: Arc<SimClock> = self.clock.clone();
        Runtime { clock, ..runtime(&self.disk, self.seed) }
    }

    fn open(&mut self, path: &str) -> Result<Documents> {
        let runtime = self.runtime();
        Store::builder(path).segment_bytes(16 << 10).runtime(runtime).open().map(Documents::over)
    }

    fn commit(&mut self, docs: &Documents, dice: &mut Dice) {
        let collection = format!("c{}", dice.below(3));
        let id = format!("d{}", dice.below(20));
        let operation = match dice.below(8) {
            0 if docs.get(&collection, &id).unwrap().is_some() => {
                Operation::Delete { collection, id, condition: Condition::None }
            }
            1 => Operation::KeyPut {
                keyspace: "k".into(),
                key: vec![u8::try_from(dice.below(256)).unwrap()],
                value: vec![9; usize::try_from(dice.below(50)).unwrap()],
            },
            _ => Operation::Put {
                collection,
                id: Some(id),
                doc: json!({"n": dice.below(1000), "text": "x".repeat(dice.below(200) as usize)}),
                condition: Condition::None,
            },
        };
        let applied = docs.apply(&[operation], &WriteOptions::default()).unwrap();
        self.commits.push((applied.lsn, applied.at, dump(docs)));
        match dice.below(12) {
            0 => self.clock.set(Timestamp(applied.at.0.saturating_sub(dice.below(10_000_000)))),
            1 => self.clock.advance(dice.below(5_000_000)),
            2 => self.clock.set(Timestamp(applied.at.0 + dice.below(200_000_000))),
            _ => {}
        }
    }

    /// Restores on a disk of its own, so that one restore does not slow down the next.
    fn restore(&self, target: Target, exclusive: bool) -> (Result<RestoreReport>, Vec<u8>) {
        let to = PathBuf::from("/restored");
        let request =
            RestoreRequest { from: "/copy".into(), to, target, exclusive, dry_run: false };
        let mut other = Self { disk: self.disk.kill(), ..Self::new(self.seed) };
        let runtime = other.runtime();
        let report = restore(&request, &runtime);
        let mut content = Vec::new();
        if report.is_ok() {
            let restored = other.open("/restored").unwrap();
            content = dump(&restored);
            restored.store().close().unwrap();
        }
        (report, content)
    }

    /// The last commit of the model that the target includes.
    fn expected(&self, includes: impl Fn(Lsn, Timestamp) -> bool) -> (Lsn, Vec<u8>) {
        let last = self.commits.iter().take_while(|(lsn, at, _)| includes(*lsn, *at)).last();
        last.map_or((Lsn::ZERO, Vec::new()), |(lsn, _, dump)| (*lsn, dump.clone()))
    }
}

fn dump(docs: &Documents) -> Vec<u8> {
    let mut all = Vec::new();
    docs.dump(&mut |line| {
        all.extend_from_slice(line);
        all.push(b'\n');
        Ok(())
    })
    .unwrap();
    all
}

/// 500 commits with clock jumps, reopens and a backup now and then.
fn random_history(seed: u64) -> History {
    let mut history = History::new(seed);
    let mut dice = Dice(seed);
    let mut docs = history.open("/store").unwrap();
    for number in 0..500 {
        history.commit(&docs, &mut dice);
        if dice.below(60) == 0 {
            let runtime = history.runtime();
            // Beside the writer: claims cover all but the last group.
            backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
        }
        if number % 97 == 0 {
            docs.store().close().unwrap();
            docs = history.open("/store").unwrap();
        }
    }
    docs.store().close().unwrap();
    let runtime = history.runtime();
    let report = backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
    assert_eq!(report.to_lsn, history.commits.last().unwrap().0);
    history
}

#[test]
fn every_lsn_is_restored_exactly() {
    let history = random_history(11);
    let last = history.commits.last().unwrap().0;
    for lsn in 0..=last.0 + 1 {
        for exclusive in [false, true] {
            let (report, content) = history.restore(Target::Lsn(Lsn(lsn)), exclusive);
            let (reached, expected) = history
                .expected(|commit, _| if exclusive { commit.0 < lsn } else { commit.0 <= lsn });
            if lsn == last.0 + 1 && !exclusive {
                assert_eq!(report.unwrap_err().kind(), ErrorKind::Unreachable);
                continue;
            }
            let report = report.unwrap();
            assert_eq!(report.reached.lsn, reached, "LSN {lsn}, exclusive {exclusive}");
            assert!(content == expected, "LSN {lsn}, exclusive {exclusive}");
            let next = history.commits.iter().find(|(commit, ..)| *commit > reached);
            assert_eq!(report.next, next.map(|(commit, at, _)| (*commit, *at)));
        }
    }
}

#[test]
fn every_time_at_before_and_between_commits_is_restored_exactly() {
    let history = random_history(12);
    let times: Vec<u64> = history.commits.iter().map(|(_, at, _)| at.0).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "commit times increase strictly");
    let between = times.windows(2).map(|pair| u64::midpoint(pair[0], pair[1]));
    let asked: Vec<u64> =
        times.iter().flat_map(|time| [time - 1, *time]).chain(between).chain([0]).collect();
    for time in asked {
        for exclusive in [false, true] {
            let (report, content) = history.restore(Target::Time(Timestamp(time)), exclusive);
            let (reached, expected) =
                history.expected(|_, at| if exclusive { at.0 < time } else { at.0 <= time });
            let report = report.unwrap();
            assert_eq!(report.reached.lsn, reached, "time {time}, exclusive {exclusive}");
            assert!(content == expected, "time {time}, exclusive {exclusive}");
            assert_eq!(report.reached.at.is_none(), reached == Lsn::ZERO);
        }
    }
}

#[test]
fn a_time_is_covered_up_to_the_mark_that_the_backup_made_and_not_beyond() {
    let mut history = History::new(13);
    let docs = history.open("/store").unwrap();
    let written = docs.put("c", "a", &json!(1), Condition::None).unwrap();
    docs.store().close().unwrap();
    history.clock.advance(60_000_000);
    let runtime = history.runtime();
    backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
    let minute_later = Timestamp(written.at.0 + 60_000_000);
    let (report, _) = history.restore(Target::Time(minute_later), false);
    assert_eq!(report.unwrap().reached.lsn, written.lsn);
    let (report, _) = history.restore(Target::Time(minute_later.plus_micros(1_000_000)), false);
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Unreachable);
    // The promise binds the store, even if the clock goes back before the next commit.
    history.clock.set(Timestamp(written.at.0 - 5_000_000));
    let docs = history.open("/store").unwrap();
    let next = docs.put("c", "b", &json!(2), Condition::None).unwrap();
    assert!(next.at > minute_later, "{} is before the promise {minute_later}", next.at);
}

#[test]
fn a_backup_costs_what_is_new() {
    let mut history = History::new(14);
    let docs = history.open("/store").unwrap();
    for number in 0..200 {
        docs.put("c", &number.to_string(), &json!({"n": number}), Condition::None).unwrap();
    }
    docs.store().close().unwrap();
    let runtime = history.runtime();
    let first = backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
    let docs = history.open("/store").unwrap();
    docs.put("c", "one more", &json!(1), Condition::None).unwrap();
    docs.store().close().unwrap();
    let second = backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
    assert!(second.bytes_copied * 20 < first.bytes_copied, "{second:?} after {first:?}");
    assert_eq!(second.to_lsn.0, first.to_lsn.0 + 1);
    let third = backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
    assert_eq!((third.to_lsn, third.files_copied), (second.to_lsn, 1));
}

#[test]
fn a_copied_commit_whose_claim_a_power_cut_took_is_not_another_history() {
    let disk = MemoryVfs::new();
    let machine = runtime(&disk, 1);
    let store = Store::builder("/store").runtime(machine.clone()).open().unwrap();
    let docs = Documents::over(store.clone());
    let written = docs.put("stock", "bell", &json!({"pieces": 12}), Condition::None).unwrap();
    while store.step().unwrap() {}
    let copied = backup("/store".as_ref(), "/copy".as_ref(), &machine).unwrap();
    assert_eq!(copied.to_lsn, written.lsn);
    // The commit was synced, the claim that followed it only written.
    let after = disk.crash_with(CrashMode::Nothing);
    let machine = runtime(&after, 2);
    let _held = Store::builder("/store").runtime(machine.clone()).open().unwrap();
    let again = backup("/store".as_ref(), "/copy".as_ref(), &machine).unwrap();
    assert_eq!((again.to_lsn, again.files_copied), (written.lsn, 0));
}

#[test]
fn a_copy_of_another_history_is_refused() {
    let mut history = History::new(15);
    let docs = history.open("/store").unwrap();
    docs.put("c", "a", &json!(1), Condition::None).unwrap();
    docs.store().close().unwrap();
    let runtime = history.runtime();
    backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
    let request = RestoreRequest {
        from: "/copy".into(),
        to: "/forked".into(),
        target: Target::Latest,
        exclusive: false,
        dry_run: false,
    };
    restore(&request, &runtime).unwrap();
    // The restored store is another store: it may not add its future to the source's copy.
    let error = backup("/forked".as_ref(), "/copy".as_ref(), &runtime).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
    let forked = history.open("/forked").unwrap();
    assert_eq!(forked.store().identity().ancestors.len(), 1);
    let before = forked.store().log_stats();
    forked.put("c", "b", &json!(2), Condition::None).unwrap();
    let after = forked.store().log_stats();
    assert_eq!(after.term, before.term + 1);
    // The term's start took an LSN of its own.
    assert_eq!(after.appended.0, before.appended.0 + 2);
}

#[test]
fn a_missing_range_is_a_gap_and_a_damaged_one_is_damage() {
    let mut history = History::new(16);
    for number in 0..3 {
        let docs = history.open("/store").unwrap();
        docs.put("c", &number.to_string(), &json!(number), Condition::None).unwrap();
        docs.store().close().unwrap();
        let runtime = history.runtime();
        backup("/store".as_ref(), "/copy".as_ref(), &runtime).unwrap();
    }
    let ranges: Vec<PathBuf> = history
        .disk
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("/copy/log"))
        .collect();
    assert_eq!(ranges.len(), 3);
    for range in &ranges {
        let other = History { disk: history.disk.kill(), ..History::new(17) };
        other.disk.remove(range).unwrap();
        let (report, _) = other.restore(Target::Latest, false);
        assert_eq!(report.unwrap_err().kind(), ErrorKind::Expired, "{}", range.display());
        for offset in 0..history.disk.read_file(range).unwrap().len() {
            let other = History { disk: history.disk.kill(), ..History::new(18) };
            other.disk.flip(range, offset as u64, 0x20).unwrap();
            let error = other.restore(Target::Latest, false).0.unwrap_err();
            let expected = [ErrorKind::Corrupt, ErrorKind::Unsupported];
            assert!(expected.contains(&error.kind()), "byte {offset}: {error:?}");
            assert!(error.place().path.is_some(), "byte {offset}: {error:?}");
        }
    }
}

#[test]
fn an_interrupted_restore_is_not_a_store() {
    let mut history = History::new(19);
    let docs = history.open("/store").unwrap();
    for number in 0..50 {
        docs.put("c", &number.to_string(), &json!(number), Condition::None).unwrap();
    }
    docs.store().close().unwrap();
    let runtime_of_backup = history.runtime();
    backup("/store".as_ref(), "/copy".as_ref(), &runtime_of_backup).unwrap();
    let request = RestoreRequest {
        from: "/copy".into(),
        to: "/restored".into(),
        target: Target::Latest,
        exclusive: false,
        dry_run: false,
    };
    let whole = dump(&history.open("/store").unwrap());
    let images = Arc::new(jidoka::vfs::sync::Mutex::new(Vec::new()));
    let seen = images.clone();
    history.disk.set_observer(Box::new(move |disk, _| seen.lock().push(disk.kill())));
    restore(&request, &runtime(&history.disk, 99)).unwrap();
    history.disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() > 10, "{} images", images.len());
    for (step, image) in images.iter().enumerate() {
        let opened = Store::builder("/restored").create(false).runtime(runtime(image, 5)).open();
        match opened {
            Ok(store) => assert!(dump(&Documents::over(store)) == whole, "step {step}"),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt),
                "step {step}: {error:?}"
            ),
        }
    }
}

/// A disk with the files of another, and no directory that holds none.
fn moved(disk: &MemoryVfs) -> MemoryVfs {
    let other = MemoryVfs::new();
    for (path, _) in disk.files() {
        for dir in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            assert!(other.create_dir(dir).is_ok() || other.list(dir).is_ok());
        }
        let file = other.open(&path, OpenMode::CreateNew).unwrap();
        file.write_all_at(&disk.read_file(&path).unwrap(), 0).unwrap();
    }
    other
}

#[test]
fn a_copy_that_was_moved_without_its_empty_folder_goes_on() {
    let mut history = History::new(23);
    history.open("/store").unwrap().store().close().unwrap();
    backup("/store".as_ref(), "/copy".as_ref(), &history.runtime()).unwrap();
    history.disk = moved(&history.disk);
    assert!(history.disk.list("/copy/log".as_ref()).is_err());
    let docs = history.open("/store").unwrap();
    let written = docs.put("c", "a", &json!(1), Condition::None).unwrap();
    docs.store().close().unwrap();
    drop(docs);
    let report = backup("/store".as_ref(), "/copy".as_ref(), &history.runtime()).unwrap();
    assert_eq!(report.to_lsn, written.lsn);
}
