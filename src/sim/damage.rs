//! Damage everywhere: one store at rest, and each of its bytes, bits and sectors damaged in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::codec::{to_u64, to_usize};
use crate::base::{Error, ErrorKind, Lsn};
use crate::vfs::memory::{MemoryVfs, draw};
use crate::vfs::sync::Mutex;
use crate::vfs::thread;

use super::atlas::Consequence;
use super::case::{Config, Part, PartKind};
use super::image::{Stop, open};
use super::model::{Model, observe};
use super::rest::{Rest, consequence, leave};

/// How thoroughly a store at rest is damaged.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Every byte in three ways: one bit flips, it becomes 0x00, it becomes 0xFF.
    Bytes,
    /// Every bit flips; every sector becomes zeroes, what it held before any commit, or changes
    /// places with any other.
    Everything,
}

/// How a store was damaged.
#[derive(Clone, Debug)]
enum Harm {
    /// Other bits at one place.
    Byte { file: usize, offset: u64, mask: u8 },
    /// A sector shows something else.
    Sector { file: usize, sector: u64, shows: Vec<u8> },
    /// Two sectors show each other.
    Swapped([(usize, u64); 2]),
}

/// What was damaged, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damaged {
    /// Bytes of the store.
    pub bytes: u64,
    /// Segments of its log.
    pub segments: u64,
    /// Damaged stores by the kind of damage and what came of it.
    pub seen: BTreeMap<(&'static str, Consequence), u64>,
    /// What must not come of it: at most one thing for each thread.
    pub wrong: Vec<String>,
}

/// A store of several segments in at most 64 KiB, at rest.
struct Specimen {
    disk: MemoryVfs,
    content: (Lsn, u64),
    /// What it showed before each of the last commits: a sector can hold the end of so many.
    before: Vec<(Lsn, u64)>,
    files: Vec<(PathBuf, Vec<u8>)>,
    /// What each sector held before, the newest first.
    earlier: BTreeMap<(usize, u64), BTreeSet<Vec<u8>>>,
}

const SEGMENT: u64 = 8192;
const CONFIG: Config = Config {
    segment_bytes: SEGMENT,
    images: 0,
    every: 0,
    depth: 0,
    sparse: 1,
    go_on: 1,
    padded: false,
    padded_after: 0,
    through: false,
    slow: 0,
    tables: None,
};
const STORE_BYTES_MAX: u64 = 64 << 10;
const SECTOR: usize = 512;
const GROUPS_IN_A_SECTOR: usize = 3;
/// Damaged stores that a thread takes at a time.
const CHUNK: usize = 64;

/// Damages a store of at most 64 KiB and several segments at every place, on several threads.
///
/// The content is all there, or the store is refused with a place. Only a whole sector, or two that
/// changed places, may take the end of the log together with the only proof of it, as the atlas
/// says: then the last groups are cut.
///
/// # Errors
/// When the store cannot be made or a thread cannot be started.
pub fn damage(rest: Rest, level: Level, threads: usize) -> crate::base::Result<Damaged> {
    let specimen = Arc::new(specimen(rest)?);
    let bytes = specimen.files.iter().map(|(_, bytes)| to_u64(bytes.len())).sum();
    let is_segment = |(path, _): &&(PathBuf, Vec<u8>)| path.extension().is_some();
    let segments = to_u64(specimen.files.iter().filter(is_segment).count());
    let total = Arc::new(Mutex::new(Damaged { bytes, segments, ..Damaged::default() }));
    let harms: Box<dyn Iterator<Item = Harm> + Send> = match level {
        Level::Bytes => Box::new(bytes_in_three_ways(specimen.clone())),
        Level::Everything => Box::new(every_bit(specimen.clone()).chain(sectors(&specimen))),
    };
    let harms = Arc::new(Mutex::new(harms));
    let workers: Vec<_> = (0..threads.max(1))
        .map(|_| {
            let (specimen, harms, total) = (specimen.clone(), harms.clone(), total.clone());
            thread::spawn("damager", move || work(&specimen, &harms, &total))
        })
        .collect();
    for worker in workers {
        let worker = worker.map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot start a thread: {error}"))
        })?;
        if worker.join().is_err() {
            return Err(Error::new(ErrorKind::Bug, "a thread of the damage panicked"));
        }
    }
    let damaged = total.lock().clone();
    Ok(damaged)
}

type Harms = Mutex<Box<dyn Iterator<Item = Harm> + Send>>;

fn work(specimen: &Specimen, harms: &Harms, total: &Mutex<Damaged>) {
    let mut seen: BTreeMap<(&'static str, Consequence), u64> = BTreeMap::new();
    let mut wrong = None;
    while wrong.is_none() {
        let some: Vec<Harm> = harms.lock().by_ref().take(CHUNK).collect();
        if some.is_empty() {
            break;
        }
        for harm in &some {
            match harm.come_of(specimen) {
                Ok(Some(consequence)) => {
                    *seen.entry((harm.name(), consequence)).or_default() += 1;
                }
                Ok(None) => {}
                Err(detail) => wrong = Some(format!("{}: {detail}", harm.place(specimen))),
            }
        }
    }
    let mut total = total.lock();
    for (what, count) in seen {
        *total.seen.entry(what).or_default() += count;
    }
    total.wrong.extend(wrong);
}

impl Harm {
    const fn name(&self) -> &'static str {
        match self {
            Self::Byte { .. } => "byte",
            Self::Sector { .. } => "sector",
            Self::Swapped(_) => "swapped",
        }
    }

    fn place(&self, specimen: &Specimen) -> String {
        let path = |file: usize| {
            specimen
                .files
                .get(file)
                .map_or_else(String::new, |(path, _)| path.display().to_string())
        };
        match self {
            Self::Byte { file, offset, mask } => {
                format!("{} byte {offset} mask {mask:#x}", path(*file))
            }
            Self::Sector { file, sector, .. } => format!("{} sector {sector}", path(*file)),
            Self::Swapped([(file, sector), (other, with)]) => {
                format!("{} sector {sector} and {} sector {with}", path(*file), path(*other))
            }
        }
    }

    /// `None` when it would be no damage.
    fn come_of(&self, specimen: &Specimen) -> Result<Option<Consequence>, String> {
        let disk = specimen.disk.kill();
        let changed = match self {
            Self::Byte { file, offset, mask } => {
                let path = specimen.files.get(*file).map(|(path, _)| path);
                path.is_some_and(|path| *mask != 0 && disk.flip(path, *offset, *mask).is_ok())
            }
            Self::Sector { file, sector, shows } => specimen.show(&disk, (*file, *sector), shows),
            Self::Swapped([one, other]) => {
                let was = [*one, *other].map(|at| specimen.sector(at).to_vec());
                let [was, instead] = was;
                specimen.show(&disk, *one, &instead) && specimen.show(&disk, *other, &was)
            }
        };
        if !changed {
            return Ok(None);
        }
        match consequence(&disk, &CONFIG, specimen.content) {
            Ok(consequence) => Ok(Some(consequence)),
            Err(_) if !matches!(self, Self::Byte { .. }) && specimen.is_cut(&disk) => {
                Ok(Some(Consequence::Cut))
            }
            Err(detail) => Err(detail),
        }
    }
}

impl Specimen {
    fn sector(&self, (file, sector): (usize, u64)) -> &[u8] {
        let bytes = self.files.get(file).map_or(&[][..], |(_, bytes)| bytes);
        let start = to_usize(sector) * SECTOR;
        bytes.get(start..bytes.len().min(start + SECTOR)).unwrap_or_default()
    }

    /// Puts other bytes into a sector; false when they are those that are there.
    fn show(&self, disk: &MemoryVfs, at: (usize, u64), shows: &[u8]) -> bool {
        let Some((path, _)) = self.files.get(at.0) else { return false };
        let start = at.1 * to_u64(SECTOR);
        let mut changed = false;
        for (offset, (old, new)) in (start..).zip(self.sector(at).iter().zip(shows)) {
            changed |= old != new && disk.flip(path, offset, old ^ new).is_ok();
        }
        changed
    }

    /// Whether a damaged store shows what was there before one of the last commits.
    fn is_cut(&self, disk: &MemoryVfs) -> bool {
        self.before.iter().any(|before| {
            matches!(consequence(&disk.kill(), &CONFIG, *before), Ok(Consequence::Equal))
        })
    }

    fn sectors(&self) -> Vec<(usize, u64)> {
        let files = self.files.iter().enumerate();
        files
            .flat_map(|(file, (_, bytes))| {
                (0..to_u64(bytes.len().div_ceil(SECTOR))).map(move |sector| (file, sector))
            })
            .collect()
    }
}

fn bytes_in_three_ways(specimen: Arc<Specimen>) -> impl Iterator<Item = Harm> + Send {
    (0..specimen.files.len()).flat_map(move |file| {
        let bytes = specimen.files.get(file).map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        (0..).zip(bytes).flat_map(move |(offset, byte)| {
            let mut masks = vec![1 << (draw(1, offset) % 8), byte, !byte];
            masks.sort_unstable();
            masks.dedup();
            masks.into_iter().map(move |mask| Harm::Byte { file, offset, mask })
        })
    })
}

fn every_bit(specimen: Arc<Specimen>) -> impl Iterator<Item = Harm> + Send {
    (0..specimen.files.len()).flat_map(move |file| {
        let len = specimen.files.get(file).map_or(0, |(_, bytes)| to_u64(bytes.len()));
        (0..len).flat_map(move |offset| {
            (0..8).map(move |bit| Harm::Byte { file, offset, mask: 1 << bit })
        })
    })
}

/// Every sector zeroed, stale and swapped.
fn sectors(specimen: &Specimen) -> impl Iterator<Item = Harm> + Send + use<> {
    let all = specimen.sectors();
    let mut harms = Vec::new();
    for (number, (file, sector)) in all.iter().copied().enumerate() {
        let held = specimen.earlier.get(&(file, sector)).cloned().unwrap_or_default();
        let shown = held.into_iter().chain([vec![0; SECTOR]]);
        harms.extend(shown.map(|shows| Harm::Sector { file, sector, shows }));
        let others = all.iter().skip(number + 1);
        harms.extend(others.map(|other| Harm::Swapped([(file, sector), *other])));
    }
    harms.into_iter()
}

fn specimen(rest: Rest) -> crate::base::Result<Specimen> {
    let disk = MemoryVfs::new();
    let fail = |stop: Stop| match stop {
        Stop::Error(error) => error,
        Stop::Panic(what) => Error::new(ErrorKind::Bug, what),
    };
    let docs = open(&disk, 1, &CONFIG).map_err(fail)?;
    let (mut before, mut stages) = (Vec::new(), Vec::new());
    let size = |disk: &MemoryVfs| disk.files().iter().map(|(_, size)| size).sum::<u64>();
    let mut model = Model::default();
    // A segment is prepared ahead, so there may be two more than are written.
    while size(&disk) + 2 * SEGMENT <= STORE_BYTES_MAX || stages.len() % 7 != 3 {
        before.push(observe(&docs)?);
        stages.push(disk.kill());
        let step = to_u64(stages.len());
        let len = u16::try_from(draw(2, step) % 500).unwrap_or(0);
        let key = u8::try_from(draw(3, step) % 16).unwrap_or(0);
        let what = if draw(4, step).is_multiple_of(4) { PartKind::KeyPut } else { PartKind::Put };
        let part = Part { what, space: 0, key, len, condition: None };
        let operations = model.operations(step, std::slice::from_ref(&part));
        docs.apply(&operations, &crate::doc::WriteOptions::default())?;
        model = model
            .after(step, std::slice::from_ref(&part))
            .map_err(|kind| Error::new(kind, "the model refuses what the store took"))?;
    }
    let (left, content) = leave(&docs, rest, &disk)?;
    let read = |(path, _): (PathBuf, u64)| {
        let bytes = left.read_file(&path);
        bytes.map(|bytes| (path.clone(), bytes)).map_err(|error| Error::io("read", &path, error))
    };
    let files = left.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK"));
    let files = files.map(read).collect::<crate::base::Result<Vec<_>>>()?;
    let before = before.split_off(before.len().saturating_sub(GROUPS_IN_A_SECTOR));
    let mut specimen = Specimen { disk: left, content, before, files, earlier: BTreeMap::new() };
    for at in specimen.sectors() {
        let Some((path, _)) = specimen.files.get(at.0) else { continue };
        let start = to_usize(at.1) * SECTOR;
        let held = stages.iter().filter_map(|disk| {
            let bytes = disk.read_file(path).ok()?;
            bytes.get(start..bytes.len().min(start + SECTOR)).map(<[u8]>::to_vec)
        });
        let held: BTreeSet<Vec<u8>> = held.collect();
        specimen.earlier.insert(at, held);
    }
    Ok(specimen)
}
