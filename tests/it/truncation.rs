//! Commits that are taken back: by the log alone, and how a store and its readers see it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jidoka::base::{ErrorKind, Lsn, Result, Seq, Term, Timestamp};
use jidoka::ops::verify;
use jidoka::store::{Batch, Keyspace};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, Operation, OperationKind, Selector, runtime,
};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka::wal::format::{Kind, RecordHeader};
use jidoka::wal::reader::{Limit, OwnedRecord};
use jidoka::wal::scan::Record;
use jidoka::wal::{
    Appending, Committed, Deadline, Durability, LogReader, OpenSettings, Payload, Truncations,
    Vote, Wal, salvage_log,
};

use crate::model::{SEGMENT_BYTES, STORE, content, images, open};
use crate::program::{place, run};

/// Appends whatever it is.
struct Anything;

impl Appending for Anything {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn appended(&mut self, _: Lsn, _: Timestamp) {}
}

/// The payloads of the history, a `TermStart` as `term`.
type Told = Vec<Vec<u8>>;

fn fold(told: &mut Told, record: &Record<'_>) {
    match record.header.kind {
        Kind::Commit => told.push(record.payload.to_vec()),
        Kind::TermStart => told.push(b"term".to_vec()),
        Kind::TruncateAfter => told.truncate(usize::try_from(record.header.lsn.0).unwrap()),
        _ => {}
    }
    if record.header.kind.takes_lsn() {
        assert_eq!(u64::try_from(told.len()).unwrap(), record.header.lsn.0);
    }
}

fn reopen(disk: &MemoryVfs, seed: u64) -> Result<(Wal, Told)> {
    let mut told = Told::new();
    let settings = OpenSettings { segment_bytes: SEGMENT_BYTES, ..OpenSettings::default() };
    let wal = Wal::open(Path::new(STORE), &runtime(disk, seed), &settings, &mut |record| {
        fold(&mut told, record);
        Ok(())
    })?;
    Ok((wal, told))
}

fn append(wal: &Wal, bytes: &[u8]) -> Lsn {
    let payload = Payload::new(bytes.to_vec());
    let appended = wal.append(&payload, Durability::Sync, &mut Anything).unwrap();
    wal.wait(&appended, Deadline::NONE).unwrap();
    appended.lsn
}

/// A log of a term's start and the commits 2 to `last`.
fn log(disk: &MemoryVfs, last: u8) -> Wal {
    let (wal, _) = reopen(disk, 1).unwrap();
    (2..=last).for_each(|number| assert_eq!(append(&wal, &[number]), Lsn(number.into())));
    wal
}

#[test]
fn what_is_taken_back_is_gone_at_once_and_after_a_reopen_and_the_numbers_go_on() {
    for lsn in [0, 1, 2, 5, 6] {
        let disk = MemoryVfs::new();
        let wal = log(&disk, 6);
        wal.truncate_after(Lsn(lsn)).unwrap();
        assert_eq!((wal.visible(), wal.durable(), wal.stats().appended), {
            let lsn = Lsn(lsn);
            (lsn, lsn, lsn)
        });
        // Without a commit the writer's term is no more, and is opened again.
        let next = append(&wal, b"new");
        assert_eq!(next, Lsn(lsn.max(1) + 1));
        wal.close().unwrap();
        let (wal, told) = reopen(&disk, 2).unwrap();
        let mut expected: Told = vec![b"term".to_vec()];
        expected.extend((2..=6_u8).filter(|n| u64::from(*n) <= lsn).map(|n| vec![n]));
        expected.push(b"new".to_vec());
        assert_eq!(told, expected, "after {lsn}");
        assert_eq!(append(&wal, b"newer"), next.next());
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(usize),
    Truncate(usize),
    Reopen,
}

/// Every history that the log goes through, record by record; and which are sure, and possible.
#[derive(Default)]
struct Lives {
    states: Mutex<Vec<Told>>,
    sure: AtomicUsize,
    possible: AtomicUsize,
}

impl Lives {
    fn go(&self, states: impl IntoIterator<Item = Told>) {
        let mut all = self.states.lock();
        all.extend(states);
        self.possible.store(all.len() - 1, Ordering::SeqCst);
    }

    fn done(&self) {
        self.sure.store(self.possible.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// A disk after a crash, and between which states its log must be.
struct Image {
    name: String,
    disk: MemoryVfs,
    least: usize,
    most: usize,
}

fn live(disk: &MemoryVfs, steps: &[Step], lives: &Lives) {
    lives.go([Told::new()]);
    let mut history = Told::new();
    let mut wal = reopen(disk, 1).unwrap().0;
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Append(len) => {
                let mut states = Vec::new();
                if history.is_empty() {
                    history.push(b"term".to_vec());
                    states.push(history.clone());
                }
                history.push(vec![u8::try_from(number).unwrap(); len]);
                states.push(history.clone());
                lives.go(states);
                append(&wal, history.last().unwrap());
            }
            Step::Truncate(len) => {
                history.truncate(len);
                lives.go([history.clone()]);
                wal.truncate_after(Lsn(u64::try_from(len).unwrap())).unwrap();
            }
            Step::Reopen => {
                wal.close().unwrap();
                let (again, told) = reopen(disk, 50).unwrap();
                assert_eq!(told, history);
                wal = again;
            }
        }
        while wal.step().unwrap() {}
        lives.done();
    }
    wal.close().unwrap();
}

/// The log is one of the histories that it may be; a power cut changes nothing about what was
/// shown; and it goes on with the next number.
fn check(image: &Image, lives: &Lives, seed: u64) {
    let Image { name, disk, least, most } = image;
    let (wal, told) = reopen(disk, seed).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let states = lives.states.lock();
    let legal = &states[*least..=*most];
    assert!(legal.contains(&told), "{name}: {told:?} is none of {legal:?}");
    drop(states);
    let (again, shown) = reopen(&disk.crash_with(CrashMode::Nothing), seed + 1).unwrap();
    assert_eq!(shown, told, "{name}: after a power cut");
    drop((wal, again));
    let (wal, _) = reopen(disk, seed + 2).unwrap();
    let len = u64::try_from(told.len()).unwrap();
    assert_eq!(append(&wal, b"more"), Lsn(len.max(1) + 1), "{name}");
    let (_, longer) = reopen(&disk.crash_with(CrashMode::Nothing), seed + 3).unwrap();
    assert_eq!(longer.last().map(Vec::as_slice), Some(&b"more"[..]), "{name}");
    assert!(longer.starts_with(&told), "{name}: {longer:?} does not go on from {told:?}");
}

#[test]
fn a_crash_at_every_call_shows_what_was_before_a_truncation_or_after_it_and_no_mix() {
    use Step::{Append, Reopen, Truncate};
    let small = [Append(10), Append(10), Append(10), Truncate(2), Append(10), Append(20)];
    // Rotations before, within and after what is taken back.
    let large = [Append(1500), Append(1500), Append(1500), Truncate(2), Append(1500), Append(1500)];
    let again =
        [Append(900), Append(900), Truncate(1), Reopen, Append(900), Truncate(0), Append(9)];
    let mut all = 0;
    for steps in [&small[..], &large, &again] {
        let (disk, lives) = (MemoryVfs::new(), Arc::new(Lives::default()));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (seen, sink) = (Arc::clone(&lives), Arc::clone(&taken));
        disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
            for (mode, _, image) in images(disk, operation.number) {
                let Operation { number, kind, path, .. } = operation;
                let name = format!("after {number} {kind:?} {}, {mode}", path.display());
                let (least, most) = (&seen.sure, &seen.possible);
                let (least, most) = (least.load(Ordering::SeqCst), most.load(Ordering::SeqCst));
                sink.lock().push(Image { name, disk: image, least, most });
            }
        }));
        live(&disk, steps, &lives);
        disk.clear_observer();
        assert_eq!(disk.warnings(), [""; 0]);
        for (seed, image) in (100..).step_by(10).zip(taken.lock().iter()) {
            check(image, &lives, seed);
            all += 1;
        }
    }
    assert!(all > 500, "{all} images");
}

#[test]
fn what_a_majority_holds_is_not_taken_back_and_what_is_not_there_neither() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 6);
    wal.save_committed(Lsn(4)).unwrap();
    let refused = |lsn| wal.truncate_after(Lsn(lsn)).map_err(|error| error.kind());
    assert_eq!(refused(0), Err(ErrorKind::Refused));
    assert_eq!(refused(3), Err(ErrorKind::Refused));
    assert_eq!(refused(7), Err(ErrorKind::Invalid));
    assert_eq!((refused(6), wal.durable()), (Ok(()), Lsn(6)));
    assert_eq!((refused(4), wal.durable()), (Ok(()), Lsn(4)));
    wal.close().unwrap();
    assert_eq!(wal.truncate_after(Lsn(4)).unwrap_err().kind(), ErrorKind::Closed);
    let (wal, told) = reopen(&disk, 2).unwrap();
    assert_eq!(told.len(), 4);
    assert_eq!(wal.truncate_after(Lsn(3)).unwrap_err().kind(), ErrorKind::Refused);
}

fn follower(disk: &MemoryVfs) -> LogReader {
    LogReader::open(Path::new(STORE), &runtime(disk, 9)).unwrap()
}

/// The commits up to where there are none yet, or an error.
fn read(reader: &mut LogReader, limit: Limit) -> Result<Vec<Vec<u8>>> {
    let mut read = Vec::new();
    while let Some(record) = reader.next(limit)? {
        if record.header.kind == Kind::Commit {
            read.push(record.payload);
        }
    }
    Ok(read)
}

#[test]
fn a_reader_beyond_the_cut_is_told_once_and_one_before_it_never_sees_what_was_taken_back() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 6);
    let (mut beyond, mut before) = (follower(&disk), follower(&disk));
    let numbers = |numbers: &[u8]| numbers.iter().map(|n| vec![*n]).collect::<Vec<_>>();
    assert_eq!(read(&mut beyond, Limit::Durable(Lsn(6))).unwrap(), numbers(&[2, 3, 4, 5, 6]));
    assert_eq!(read(&mut before, Limit::Durable(Lsn(3))).unwrap(), numbers(&[2, 3]));
    wal.truncate_after(Lsn(3)).unwrap();
    // What stands before the cut looks once while nothing new is durable, and drops the rest.
    assert_eq!(read(&mut before, Limit::Durable(wal.durable())).unwrap(), numbers(&[]));
    append(&wal, &[40]);
    append(&wal, &[50]);
    let limit = Limit::Durable(wal.durable());
    let told = read(&mut beyond, limit).unwrap_err();
    assert_eq!((told.kind(), told.place().lsn), (ErrorKind::Diverged, Some(Lsn(4))));
    assert_eq!(read(&mut beyond, limit).unwrap(), numbers(&[40, 50]));
    assert_eq!(read(&mut before, limit).unwrap(), numbers(&[40, 50]));
    let mut whole = follower(&disk).with_taken_back();
    assert_eq!(read(&mut whole, limit).unwrap(), numbers(&[2, 3, 4, 5, 6, 40, 50]));
}

#[test]
fn a_follower_that_resumed_beyond_the_cut_is_told_and_one_that_begins_later_sees_what_is_left() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 6);
    let mut resumed = wal.follow(Lsn(6)).unwrap();
    let mut before = wal.follow(Lsn(2)).unwrap();
    // A record of the commits that go, before the marker.
    wal.save_vote(vote(1, 2, false)).unwrap();
    wal.truncate_after(Lsn(4)).unwrap();
    let first = resumed.next_commit().unwrap_err();
    assert_eq!((first.kind(), first.place().lsn), (ErrorKind::Diverged, Some(Lsn(5))));
    wal.truncate_after(Lsn(3)).unwrap();
    append(&wal, &[40]);
    append(&wal, &[50]);
    append(&wal, &[60]);
    append(&wal, &[70]);
    let told = |follower: &mut jidoka::wal::Follower| {
        let mut told = Vec::new();
        loop {
            match follower.next_commit() {
                Ok(Some(record)) => told.push(Ok(record.payload[0])),
                Ok(None) => return told,
                Err(error) => told.push(Err((error.kind(), error.place().lsn.unwrap().0))),
            }
        }
    };
    let diverged = |lsn| Err((ErrorKind::Diverged, lsn));
    let new = [Ok(40), Ok(50), Ok(60), Ok(70)];
    // Had the numbers that it had been passed over, the new commits 4 to 6 would be missing.
    let expected = [&[diverged(4)][..], &new].concat();
    assert_eq!(told(&mut resumed), expected);
    assert_eq!(told(&mut resumed), []);
    // What it is given of the old commits while it does not know, it is told of.
    let all = told(&mut before);
    assert_eq!((all[0], &all[all.len() - 4..]), (Ok(3), &new[..]));
    assert!(all.len() == 5 || all.contains(&diverged(4)), "{all:?}");
    assert_eq!(told(&mut wal.follow(Lsn(2)).unwrap()), [&[Ok(3)][..], &new].concat());
    assert_eq!(told(&mut wal.follow(Lsn(5)).unwrap()), new[2..]);
}

/// Where the last record of `kind` is: its segment's file and its offset there.
fn last_of(disk: &MemoryVfs, kind: Kind) -> (std::path::PathBuf, u64, RecordHeader) {
    let mut reader = follower(disk).with_taken_back();
    let mut found = None;
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        if record.header.kind == kind {
            let name = format!("wal/{:016}.wal", record.segment.0);
            found = Some((Path::new(STORE).join(name), record.offset, record.header));
        }
    }
    found.unwrap()
}

fn flip(disk: &MemoryVfs, path: &Path, offset: u64) {
    let file = disk.open(path, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_up_to(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[test]
fn a_rotten_marker_is_damage_once_it_is_covered_and_before_it_is_cut_as_torn() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 6);
    wal.truncate_after(Lsn(3)).unwrap();
    let torn = disk.crash_with(CrashMode::Everything);
    // The keeper covers the marker as it would a commit.
    while wal.step().unwrap() {}
    let covered = disk.crash_with(CrashMode::Everything);
    let (path, offset, header) = last_of(&covered, Kind::TruncateAfter);
    for byte in [0, 16, 36, 72, 95] {
        let (torn, covered) = (torn.kill(), covered.kill());
        flip(&torn, &path, offset + byte);
        assert_eq!(reopen(&torn, 3).unwrap().1.len(), 6, "byte {byte}: all of the old commits");
        flip(&covered, &path, offset + byte);
        let error = reopen(&covered, 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {byte}");
        assert_eq!(error.place().offset, Some(offset), "byte {byte}");
    }
    assert_eq!((header.lsn, header.term), (Lsn(3), Term(1)));
}

#[test]
fn who_waits_for_a_commit_is_told_that_it_was_durable_before_it_is_taken_back() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 3);
    let pending = wal.append_async(&Payload::new(vec![4]), &mut Anything).unwrap();
    let buffered = wal.append(&Payload::new(vec![5]), Durability::Memory, &mut Anything).unwrap();
    assert!(!pending.is_done());
    wal.truncate_after(Lsn(2)).unwrap();
    assert!(pending.is_done());
    assert!(pending.wait(None).unwrap());
    wal.wait(&buffered, Deadline::NONE).unwrap();
    // A number that is no more is not waited for, and one that came again is another commit's.
    let gone = wal.wait_durable(Lsn(4), Duration::from_secs(1)).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Invalid);
    let again = wal.append_async(&Payload::new(vec![33]), &mut Anything).unwrap();
    assert_eq!((again.lsn, again.is_done()), (Lsn(3), false));
    assert!(again.wait(None).unwrap() && again.is_done());
}

#[test]
fn a_store_shows_the_commits_that_a_truncation_leaves_and_goes_on() {
    let disk = MemoryVfs::new();
    let (bins, kilns) = (Keyspace::new("bins").unwrap(), Keyspace::new("kilns").unwrap());
    let store = open(&disk, 1).unwrap();
    let put = |store: &jidoka::store::Store, keyspace: &Keyspace, value: &[u8], request: &str| {
        let mut batch = Batch::new();
        batch.put(keyspace, b"key", value);
        batch.request(request, b"reply");
        store.commit(batch).unwrap().lsn
    };
    let kept = put(&store, &bins, b"kept", "first");
    let expected = content(&store);
    put(&store, &bins, b"taken back", "second");
    put(&store, &kilns, b"taken back", "third");
    store.close().unwrap();
    drop(store);
    let settings = OpenSettings::default();
    let wal = Wal::open(Path::new(STORE), &runtime(&disk, 2), &settings, &mut |_| Ok(())).unwrap();
    wal.truncate_after(kept).unwrap();
    wal.close().unwrap();
    let store = open(&disk, 3).unwrap();
    assert_eq!(content(&store), expected);
    assert!(store.answered("first").unwrap().is_some());
    assert_eq!(store.answered("second").unwrap(), None);
    assert_eq!(put(&store, &kilns, b"new", "third"), kept.next());
    let expected = content(&store);
    store.close().unwrap();
    drop(store);
    let report = verify(Path::new(STORE), &runtime(&disk, 4), false).unwrap();
    assert_eq!(report.damage, []);
    assert_eq!(content(&open(&disk, 5).unwrap()), expected);
}

/// The records of a log in their order, with the files they are in.
fn all_records(disk: &MemoryVfs) -> Vec<(std::path::PathBuf, OwnedRecord)> {
    let mut reader = follower(disk).with_taken_back();
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        let name = format!("wal/{:016}.wal", record.segment.0);
        records.push((Path::new(STORE).join(name), record));
    }
    records
}

/// Damages records, salvages, and gives what is there then; `None` if opening refused nothing.
fn salvaged(whole: &MemoryVfs, damaged: &[(std::path::PathBuf, OwnedRecord)]) -> Option<Told> {
    let disk = whole.kill();
    damaged.iter().for_each(|(path, record)| flip(&disk, path, record.offset + 16));
    if reopen(&disk.kill(), 60).is_ok() {
        return None;
    }
    let report = salvage_log(Path::new(STORE), &runtime(&disk, 61), true).unwrap();
    let (wal, told) = reopen(&disk, 62).unwrap();
    let len = u64::try_from(told.len()).unwrap();
    assert_eq!((report.done, report.kept), (true, Lsn(len)));
    let lost = report.loss.commits.map(|(first, _)| first);
    assert!(lost.is_none_or(|first| first == Lsn(len + 1)), "{report:?}");
    // A new era begins before it.
    assert_eq!(append(&wal, b"more"), Lsn(len + 2));
    wal.close().unwrap();
    let (_, longer) = reopen(&disk, 63).unwrap();
    assert_eq!((&longer[..told.len()], longer.len()), (&told[..], told.len() + 2));
    Some(told)
}

#[test]
fn a_salvage_keeps_the_history_before_the_damage_and_nothing_that_was_taken_back() {
    use Step::{Append, Reopen, Truncate};
    let (mut whole_prefixes, mut shorter, mut ended) = (0, 0, 0);
    for len in [10, 900, 1500] {
        let (a, disk) = (Append(len), MemoryVfs::new());
        let steps = [a, a, a, a, Truncate(4), a, a, Truncate(3), Reopen, a, a, a, Truncate(5), a];
        live(&disk, &steps, &Lives::default());
        let whole = disk.crash_with(CrashMode::Everything);
        let records = all_records(&whole);
        // The history that is left, each commit with the index of its record.
        let mut history: Vec<(usize, Vec<u8>)> = Vec::new();
        for (index, (_, record)) in records.iter().enumerate() {
            match record.header.kind {
                Kind::Commit => history.push((index, record.payload.clone())),
                Kind::TermStart => history.push((index, b"term".to_vec())),
                Kind::TruncateAfter => {
                    history.truncate(usize::try_from(record.header.lsn.0).unwrap());
                }
                _ => {}
            }
        }
        let all: Told = history.iter().map(|(_, bytes)| bytes.clone()).collect();
        for index in 0..records.len() {
            // What can be kept: the history up to its first commit that is lost or behind it.
            let before = history.iter().take_while(|(at, _)| *at < index).count();
            for lost in 1..4 {
                let damaged = &records[index..records.len().min(index + lost)];
                let Some(told) = salvaged(&whole, damaged) else {
                    ended += 1;
                    continue;
                };
                let name = format!("{len}: {lost} from {index}, {:?}", damaged[0].1.header.kind);
                assert!(all.starts_with(&told), "{name}: {} commits came back", told.len());
                assert!(lost > 1 || told.len() == before, "{name}: {} of {before}", told.len());
                assert!(told.len() <= before, "{name}");
                whole_prefixes += usize::from(told.len() == before);
                shorter += usize::from(told.len() < before);
            }
        }
    }
    println!("{whole_prefixes} kept all they could, {shorter} less, {ended} needed no salvage");
    assert!(whole_prefixes > 150 && shorter < 5 && ended > 5);
}

fn vote(term: u64, leader: u32, committed: bool) -> Vote {
    Vote { term: Term(term), leader, committed }
}

#[test]
fn a_vote_is_durable_when_it_was_saved_and_never_goes_back() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 3);
    assert_eq!(wal.vote(), None);
    let unsynced = wal.append(&Payload::new(vec![4]), Durability::Memory, &mut Anything).unwrap();
    for vote in [vote(1, 2, false), vote(2, 1, false), vote(2, 1, true), vote(2, 1, true)] {
        wal.save_vote(vote).unwrap();
        let cut = disk.crash_with(CrashMode::Nothing);
        let (after, told) = reopen(&cut, 7).unwrap();
        assert_eq!((after.vote(), wal.vote()), (Some(vote), Some(vote)));
        assert_eq!(told.len(), 4, "the commits before the vote are there with it");
    }
    assert_eq!(unsynced.lsn, Lsn(4));
    for (earlier, kind) in [
        (vote(2, 1, false), ErrorKind::Refused),
        (vote(1, 9, true), ErrorKind::Refused),
        (vote(0, 9, true), ErrorKind::Invalid),
    ] {
        assert_eq!(wal.save_vote(earlier).unwrap_err().kind(), kind);
    }
    assert_eq!(wal.vote(), Some(vote(2, 1, true)));
}

#[test]
fn a_committed_mark_costs_no_sync_and_goes_with_the_next_group() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 5);
    let before = (wal.stats().syncs, wal.stats().written_bytes);
    wal.save_committed(Lsn(3)).unwrap();
    wal.save_committed(Lsn(2)).unwrap();
    let mark = Some(Committed { lsn: Lsn(3), term: Term(1) });
    assert_eq!(wal.committed(), mark);
    assert_eq!((wal.stats().syncs, wal.stats().written_bytes), before);
    assert_eq!(reopen(&disk.crash_with(CrashMode::Everything), 7).unwrap().0.committed(), None);
    append(&wal, &[6]);
    assert_eq!(reopen(&disk.crash_with(CrashMode::Nothing), 7).unwrap().0.committed(), mark);
    assert_eq!(wal.save_committed(Lsn(7)).unwrap_err().kind(), ErrorKind::Invalid);
    wal.close().unwrap();
    assert_eq!(wal.save_committed(Lsn(6)).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn votes_and_marks_are_found_after_rotations_and_can_be_written_again_at_the_end() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 3);
    wal.repeat_standing().unwrap();
    wal.save_vote(vote(4, 2, true)).unwrap();
    wal.save_committed(Lsn(2)).unwrap();
    for _ in 0..8 {
        append(&wal, &[0; 2000]);
    }
    wal.repeat_standing().unwrap();
    // Only what the last segment holds: as after a release of all that is before it.
    let last = wal.stats().active_segment;
    let cut = disk.crash_with(CrashMode::Nothing);
    let mut reader = follower(&cut);
    let mut newest = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        if record.segment.0 == last && matches!(record.header.kind, Kind::Vote | Kind::Committed) {
            newest.push((record.header.kind, record.payload));
        }
    }
    let mark = Committed { lsn: Lsn(2), term: Term(1) };
    let expected = [(Kind::Vote, vote(4, 2, true).encode()), (Kind::Committed, mark.encode())];
    assert_eq!(newest, expected);
    let (wal, _) = reopen(&cut, 5).unwrap();
    assert_eq!((wal.vote(), wal.committed()), (Some(vote(4, 2, true)), Some(mark)));
}

#[test]
fn the_term_of_a_commit_is_told_while_it_is_there() {
    let disk = MemoryVfs::new();
    let wal = log(&disk, 4);
    let terms = |wal: &Wal| [0, 1, 4, 5].map(|lsn| wal.term_at(Lsn(lsn)).map(|term| term.0));
    assert_eq!(terms(&wal), [None, Some(1), Some(1), None]);
    wal.truncate_after(Lsn(3)).unwrap();
    assert_eq!(terms(&wal), [None, Some(1), None, None]);
    wal.close().unwrap();
    assert_eq!(terms(&reopen(&disk, 2).unwrap().0), [None, Some(1), None, None]);
    let mut truncations = Truncations::default();
    let (_, _, header) = last_of(&disk, Kind::TruncateAfter);
    truncations.note(&header);
    assert!(truncations.take_back(&RecordHeader {
        kind: Kind::Commit,
        lsn: Lsn(4),
        seq: Seq(1),
        ..header
    }));
}

#[test]
fn the_tools_tell_what_was_taken_back_and_a_backup_leaves_it_out() {
    let (dir, path) = place();
    let store = jidoka::store::Store::open(&path).unwrap();
    for number in 0..3_u8 {
        let mut batch = Batch::new();
        batch.put(&Keyspace::new("bins").unwrap(), &[number], b"part");
        store.commit(batch).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let runtime = jidoka::vfs::Runtime::default();
    let settings = OpenSettings::default();
    let wal = Wal::open(&path, &runtime, &settings, &mut |_| Ok(())).unwrap();
    wal.save_vote(vote(5, 2, true)).unwrap();
    wal.save_committed(Lsn(2)).unwrap();
    wal.truncate_after(Lsn(3)).unwrap();
    wal.close().unwrap();
    drop(wal);
    let lines = run(&path, &["log", "dump", "--all"], "").ok().lines();
    let of = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap();
    let numbers = |said: &serde_json::Value, names: [&str; 2]| {
        names.map(|name| said[name].as_u64().unwrap_or_else(|| panic!("no {name} in {said}")))
    };
    assert_eq!(numbers(of("truncate_after"), ["taken_back_from", "taken_back_to"]), [4, 4]);
    assert_eq!(numbers(of("vote"), ["vote_term", "vote_leader"]), [5, 2]);
    assert_eq!(of("vote")["vote_committed"], true);
    assert_eq!(of("committed")["committed_lsn"], 2);
    assert_eq!(lines.iter().filter(|line| line["kind"] == "commit").count(), 3);
    let segment = path.join("wal/0000000000000001.wal");
    let said = run(&path, &["--json", "inspect", segment.to_str().unwrap()], "").ok().json();
    assert_eq!(numbers(&said, ["truncations", "committed_lsn"]), [1, 2]);
    assert_eq!(numbers(&said, ["vote_term", "vote_leader"]), [5, 2]);
    let checked = run(&path, &["--json", "verify"], "").ok().json();
    assert_eq!(checked["checked"]["commits"], 2, "{checked}");
    let copy = dir.path().join("copy");
    let copied = run(&path, &["--json", "backup", copy.to_str().unwrap()], "").ok().json();
    assert_eq!(copied["to_lsn"], 3, "{copied}");
}

#[test]
fn a_truncation_that_fails_leaves_the_old_commits_or_none_of_those_taken_back() {
    let fail = |kind, nth| {
        let disk = MemoryVfs::new();
        let wal = log(&disk, 6);
        wal.append(&Payload::new(vec![7]), Durability::Memory, &mut Anything).unwrap();
        let at = Selector { kind: Some(kind), path_contains: Some("wal/".to_owned()), nth };
        let what = FaultKind::Error(std::io::ErrorKind::Other);
        disk.plan(Fault { at, what, sticky: false });
        let done = wal.truncate_after(Lsn(3)).map_err(|error| error.kind());
        (disk, wal, done)
    };
    let mut failures = 0;
    for kind in [OperationKind::Read, OperationKind::Write, OperationKind::Sync] {
        for nth in 0.. {
            let (disk, wal, done) = fail(kind, nth);
            if done.is_ok() {
                assert!(nth > 0, "no {kind:?} of it failed");
                break;
            }
            failures += 1;
            if kind == OperationKind::Read {
                assert_eq!(done, Err(ErrorKind::Io), "read {nth}");
                assert_eq!(append(&wal, &[8]), Lsn(8), "nothing was taken back");
                wal.truncate_after(Lsn(3)).unwrap();
                continue;
            }
            assert_eq!(done, Err(ErrorKind::OutcomeUnknown), "{kind:?} {nth}");
            assert!(wal.close().is_err());
            drop(wal);
            for mode in [CrashMode::Nothing, CrashMode::Everything] {
                let (_, told) = reopen(&disk.crash_with(mode), 3).unwrap();
                assert!([3, 6, 7].contains(&told.len()), "{kind:?} {nth}: {told:?}");
            }
        }
    }
    assert!(failures >= 5, "{failures}");
}
