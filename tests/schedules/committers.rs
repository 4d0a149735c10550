//! Committers on the in-memory disk: what they were told, and whether a disk holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jidoka::base::{Error, ErrorKind, Lsn};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::thread::{self, JoinHandle};
use jidoka::vfs::{Background, Runtime};
use jidoka::wal::Durability;
use shuttle::rand::RngCore;

pub(crate) const COMMITTERS: u8 = 3;
pub(crate) const EACH: u8 = 2;
/// Three of these do not fit in a segment of [`open`].
pub(crate) const LARGE: usize = 1500;

/// A choice that belongs to the schedule, so that a replay makes it again.
pub(crate) fn below(bound: u64) -> u64 {
    shuttle::rand::thread_rng().next_u64() % bound
}

/// One of `from`, as the schedule chooses.
pub(crate) fn one_of<T: Copy>(from: &[T]) -> T {
    let chosen = below(u64::try_from(from.len()).unwrap());
    from.iter().copied().cycle().nth(usize::try_from(chosen).unwrap()).unwrap()
}

pub(crate) fn open(disk: &MemoryVfs, background: Background) -> Store {
    let runtime = Runtime { background, ..runtime(disk, 1) };
    Store::builder("/store").segment_bytes(8192).runtime(runtime).open().unwrap()
}

pub(crate) fn keyspace() -> Keyspace {
    Keyspace::new("k").unwrap()
}

/// Whether the log has gone on to another segment since it was made.
pub(crate) fn rotated(store: &Store) -> bool {
    store.log_stats().active_segment > 1
}

/// Leaves room for a small commit or two, so that the next ones meet at the end of the segment.
pub(crate) fn fill_first_segment(store: &Store) {
    for number in 0..2_u8 {
        let mut batch = Batch::new();
        batch.put(&keyspace(), &[b'f', number], &[7; LARGE]).durability(Durability::Buffered);
        store.commit(batch).unwrap();
    }
}

/// Commits by number, with their keys.
pub(crate) type Commits = BTreeMap<Lsn, Vec<u8>>;

/// What committers were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<(Commits, Vec<Vec<u8>>)>>);

impl Told {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut (Commits, Vec<Vec<u8>>)) -> T) -> T {
        look(&mut self.0.lock())
    }

    /// Acknowledged so far.
    pub(crate) fn acknowledged(&self) -> Commits {
        self.with(|told| told.0.clone())
    }

    /// Told that nothing was written.
    pub(crate) fn refused(&self) -> Vec<Vec<u8>> {
        self.with(|told| told.1.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.with(|told| told.0.len())
    }

    /// Commits `len` bytes under a key that nobody else uses, and notes the answer.
    pub(crate) fn commit(
        &self,
        store: &Store,
        key: [u8; 2],
        len: usize,
        durability: Durability,
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.put(&keyspace(), &key, &vec![7; len]).durability(durability);
        match store.commit(batch) {
            Ok(commit) => {
                assert!(store.visible() >= commit.lsn, "Ok means visible");
                assert!(durability != Durability::Sync || store.durable() >= commit.lsn);
                assert!(store.get(&keyspace(), &key).unwrap().is_some());
                assert_eq!(self.with(|told| told.0.insert(commit.lsn, key.to_vec())), None);
                Ok(())
            }
            Err(error) => {
                // Of what may have been written nothing is known but that nobody was shown it.
                assert!(store.get(&keyspace(), &key).unwrap().is_none());
                if error.kind() != ErrorKind::OutcomeUnknown {
                    self.with(|told| told.1.push(key.to_vec()));
                }
                Err(error)
            }
        }
    }
}

/// Starts a thread that the scheduler knows.
pub(crate) fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn("committer", body).unwrap()
}

/// Starts `count` committers of a few commits each. Of errors only `allowed` kinds may come.
pub(crate) fn commit_all(
    store: &Store,
    count: u8,
    len: usize,
    durability: Durability,
    allowed: &'static [ErrorKind],
) -> (Told, Vec<JoinHandle<()>>) {
    let told = Told::default();
    let workers = (0..count).map(|worker| {
        let (store, told) = (store.clone(), told.clone());
        start(move || {
            for number in 0..EACH {
                if let Err(error) = told.commit(&store, [worker, number], len, durability) {
                    assert!(allowed.contains(&error.kind()), "{error:?}");
                }
            }
        })
    });
    let workers = workers.collect();
    (told, workers)
}

pub(crate) fn join(workers: Vec<JoinHandle<()>>) {
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

/// Opens `image`: everything in `durable` is there; of `all` commits exactly a beginning is; and
/// nothing is there that was refused.
pub(crate) fn assert_holds(image: &MemoryVfs, durable: &Commits, told: &Told) {
    let store = open(image, Background::Stepped);
    let last = store.visible();
    let found: BTreeMap<_, _> = store
        .range(&keyspace(), ..)
        .map(|pair| pair.map(|pair| (pair.key.to_vec(), pair.lsn)).unwrap())
        .collect();
    for (lsn, key) in durable {
        assert_eq!(found.get(key), Some(lsn), "{key:?} was acknowledged");
    }
    for (lsn, key) in told.acknowledged() {
        assert_eq!(found.contains_key(&key), lsn <= last, "{key:?} at {lsn} of {last}");
    }
    for key in told.refused() {
        assert!(!found.contains_key(&key), "{key:?} was refused");
    }
}

/// [`assert_holds`], after a power cut that loses all that can be lost.
pub(crate) fn assert_survives(disk: &MemoryVfs, told: &Told) {
    assert_holds(&disk.crash_with(CrashMode::Nothing), &told.acknowledged(), told);
}
