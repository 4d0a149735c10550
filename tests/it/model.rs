//! The oracle: what a store may show, said without any of the store's code.
//!
//! A history is a list of batches in the order of their submission, and the content after each
//! prefix of it. Every batch also writes its own number, so the content of a store says which
//! prefix it claims to be, and one comparison says whether it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use jidoka::base::Result;
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::wal::Durability;

/// Where every store of these tests is.
pub(crate) const STORE: &str = "/store";
/// The smallest legal segment, so that there are many.
pub(crate) const SEGMENT_BYTES: u64 = 8192;

const COUNT: &str = "count";
const KEYSPACES: [&str; 3] = ["pots", "kilns", "orders"];

/// Every keyspace with its keys and values.
pub(crate) type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A seeded source of choices.
#[derive(Clone, Debug)]
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % u64::try_from(end).unwrap()).unwrap()
    }
}

/// The changes of a batch: keyspace and key to the new value, or to none.
pub(crate) type Changes = BTreeMap<(String, Vec<u8>), Option<Vec<u8>>>;

/// One thing a workload does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Commit(Durability),
    Sync,
    Background,
    Reopen,
}

/// Batches in order of submission, and what each prefix of them leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) batches: Vec<Changes>,
    /// One more than there are batches.
    pub(crate) prefixes: Vec<Content>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { batches: Vec::new(), prefixes: vec![Content::new()] }
    }

    /// Adds a batch of up to five changes, its own number included.
    pub(crate) fn push_random(&mut self, choices: &mut Choices) {
        let number = u64::try_from(self.batches.len() + 1).unwrap();
        let mut changes = Changes::new();
        changes.insert((COUNT.to_owned(), b"n".to_vec()), Some(number.to_le_bytes().to_vec()));
        for _ in 0..choices.below(5) {
            let keyspace = KEYSPACES[choices.below(KEYSPACES.len())].to_owned();
            let key = format!("{:02}", choices.below(24)).into_bytes();
            let put = choices.below(4) != 0;
            let byte = u8::try_from(choices.below(256)).unwrap();
            let value = put.then(|| vec![byte; choices.below(601)]);
            changes.insert((keyspace, key), value);
        }
        self.push(changes);
    }

    pub(crate) fn push(&mut self, changes: Changes) {
        let mut content = self.prefixes.last().unwrap().clone();
        for ((keyspace, key), value) in &changes {
            match value {
                Some(value) => {
                    let keys = content.entry(keyspace.clone()).or_default();
                    keys.insert(key.clone(), value.clone());
                }
                None => {
                    if let Some(keys) = content.get_mut(keyspace) {
                        keys.remove(key);
                    }
                }
            }
        }
        self.prefixes.push(content);
        self.batches.push(changes);
    }

    /// The batch with this number, counted from 1.
    pub(crate) fn batch(&self, number: usize, durability: Durability) -> Batch {
        let mut batch = Batch::new();
        for ((keyspace, key), value) in &self.batches[number - 1] {
            let keyspace = Keyspace::new(keyspace).unwrap();
            match value {
                Some(value) => batch.put(&keyspace, key, value),
                None => batch.delete(&keyspace, key),
            };
        }
        batch.durability(durability);
        batch
    }

    /// The prefix that `store` shows.
    #[track_caller]
    pub(crate) fn prefix_shown(&self, store: &Store, name: &str) -> usize {
        let shown = content(store);
        let number = shown.get(COUNT).and_then(|keys| keys.get(b"n".as_slice()));
        let number = number.map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()));
        let number = usize::try_from(number).unwrap();
        let expected = self.prefixes.get(number);
        assert!(
            expected == Some(&shown),
            "{name}: not the content after batch {number}: {}",
            expected.map_or_else(String::new, |expected| difference(expected, &shown))
        );
        number
    }
}

fn difference(expected: &Content, shown: &Content) -> String {
    let flat = |content: &Content| -> BTreeMap<(String, Vec<u8>), usize> {
        let pairs = content.iter().flat_map(|(name, keys)| {
            keys.iter().map(|(key, value)| ((name.clone(), key.clone()), value.len()))
        });
        pairs.collect()
    };
    let (expected, shown) = (flat(expected), flat(shown));
    let missing = expected.iter().filter(|(key, _)| !shown.contains_key(key));
    let extra = shown.iter().filter(|(key, _)| !expected.contains_key(key));
    format!(
        "missing {:?}, not expected {:?}",
        missing.collect::<Vec<_>>(),
        extra.collect::<Vec<_>>()
    )
}

/// How far the callers of a workload have got, for whoever looks at the disk meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Batches given to the store.
    pub(crate) submitted: AtomicUsize,
    /// Batches that must survive the end of the process.
    pub(crate) written: AtomicUsize,
    /// Batches that must survive a power cut.
    pub(crate) durable: AtomicUsize,
}

impl Progress {
    pub(crate) fn submitted(&self) -> usize {
        self.submitted.load(Ordering::SeqCst)
    }

    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    pub(crate) fn durable(&self) -> usize {
        self.durable.load(Ordering::SeqCst)
    }

    pub(crate) fn acknowledge(&self, number: usize, durability: Durability) {
        if durability != Durability::Memory {
            self.written.fetch_max(number, Ordering::SeqCst);
        }
        if durability == Durability::Sync {
            self.durable.fetch_max(number, Ordering::SeqCst);
        }
    }

    /// Everything submitted is durable.
    pub(crate) fn acknowledge_all(&self) {
        self.acknowledge(self.submitted(), Durability::Sync);
    }
}

/// Opens the store; every life of a disk needs another `seed`, so that salts differ.
pub(crate) fn open(disk: &MemoryVfs, seed: u64) -> Result<Store> {
    Store::builder(STORE).segment_bytes(SEGMENT_BYTES).runtime(runtime(disk, seed)).open()
}

/// Everything a store shows.
pub(crate) fn content(store: &Store) -> Content {
    let snapshot = store.snapshot();
    let keys = |keyspace: &Keyspace| {
        let pairs = snapshot.range(keyspace, ..).map(|pair| {
            let pair = pair.unwrap();
            (pair.key.to_vec(), pair.value.to_vec())
        });
        pairs.collect()
    };
    let keyspaces = snapshot.keyspaces();
    keyspaces.iter().map(|keyspace| (keyspace.name().to_owned(), keys(keyspace))).collect()
}

/// A workload of so many commits, everything else mixed in.
pub(crate) fn plan(seed: u64, commits: usize) -> (Vec<Step>, History) {
    let mut choices = Choices::new(seed);
    let mut history = History::new();
    let mut steps = Vec::new();
    for number in 1..=commits {
        history.push_random(&mut choices);
        steps.push(Step::Commit(match choices.below(8) {
            0..4 => Durability::Sync,
            4..7 => Durability::Buffered,
            _ => Durability::Memory,
        }));
        match choices.below(8) {
            0 => steps.push(Step::Sync),
            1..4 => steps.push(Step::Background),
            _ => {}
        }
        if number % (commits / 2 + 1) == commits / 2 {
            steps.push(Step::Reopen);
        }
    }
    (steps, history)
}

/// The crash images worth looking at now: a name, whether it is only the end of the process, and
/// the disk.
pub(crate) fn images(disk: &MemoryVfs, seed: u64) -> Vec<(String, bool, MemoryVfs)> {
    let pending = disk.pending_units().len();
    let mut choices = Choices::new(seed);
    let mut modes = vec![CrashMode::Nothing];
    if pending > 0 {
        modes.extend([CrashMode::Everything, CrashMode::LastTorn]);
    }
    if pending > 1 {
        modes.extend([CrashMode::NamesFirst, CrashMode::DataFirst]);
        modes.extend([CrashMode::Prefix(1), CrashMode::Prefix(pending - 1)]);
        modes.push(CrashMode::Prefix(choices.below(pending)));
        modes.extend([CrashMode::OnePresent(pending - 1), CrashMode::OneMissing(0)]);
        modes.push(CrashMode::OnePresent(choices.below(pending)));
        modes.push(CrashMode::OneMissing(choices.below(pending)));
        for keep_per_256 in [40, 128, 128, 216, 240] {
            modes.push(CrashMode::Random { seed: choices.draw(), keep_per_256 });
        }
    }
    let mut images = vec![("kill".to_owned(), true, disk.kill())];
    images
        .extend(modes.into_iter().map(|mode| (format!("{mode:?}"), false, disk.crash_with(mode))));
    images
}
