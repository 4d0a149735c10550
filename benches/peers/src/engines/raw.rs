//! Files without a store: what a disk can do for whoever writes whole pages of entries in a row.
//!
//! Each commit takes pages of its own. A prepared file is 64 MiB of zeroes that were written and
//! synced, and is written round and round, as a log does that recycles its segments.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{Engine, Entry, Setup, Shown, drive_on_threads, flatten};
use crate::random::Key;
use crate::work::Durability;

pub const PAGE: usize = 4096;
const PREPARED_BYTES: u64 = 64 << 20;

/// How a file is made, written and synced.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Bytes of each write that fills it with zeroes; none, and the file grows.
    pub fill: Option<usize>,
    /// Past the page cache, each write returning when it is on the disk.
    pub direct: bool,
    /// Whether anything is synced at all.
    pub synced: bool,
}

/// Filled page by page: large writes leave large folios in the page cache, and small synced writes
/// into those cost more, the more so the more threads there are.
pub const PREPARED: Way = Way { fill: Some(PAGE), direct: false, synced: true };
pub const DIRECT: Way = Way { direct: true, ..PREPARED };

thread_local! {
    /// The pages of the commit that this thread is making.
    static PAGES: RefCell<Pages> = const { RefCell::new(Pages(Vec::new())) };
}

/// Bytes that begin at the address of a page, as direct writes need.
#[derive(Debug, Default)]
pub struct Pages(Vec<u8>);

impl Pages {
    /// Lays `bytes` out as whole pages, the last one filled up with zeroes.
    pub fn lay(&mut self, bytes: &[u8]) -> &[u8] {
        let len = bytes.len().next_multiple_of(PAGE);
        if self.0.len() < len + PAGE {
            self.0.resize(len + PAGE, 0);
        }
        let start = self.0.as_ptr().align_offset(PAGE);
        let Some(pages) = self.0.get_mut(start..start + len) else { return &[] };
        let (front, rest) = pages.split_at_mut(bytes.len());
        front.copy_from_slice(bytes);
        rest.fill(0);
        pages
    }
}

/// A file that is written in one of the ways.
#[derive(Debug)]
pub struct Raw {
    file: File,
    way: Way,
    next: AtomicU64,
}

impl Raw {
    pub fn open(path: &Path, way: Way) -> Outcome<Self> {
        if let Some(each) = way.fill {
            let file = OpenOptions::new().write(true).create_new(true).open(path)?;
            let zeroes = vec![0; each];
            for at in (0..PREPARED_BYTES).step_by(each) {
                file.write_all_at(&zeroes, at)?;
            }
            file.sync_all()?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(way.fill.is_none());
        if way.direct {
            options.custom_flags((OFlag::O_DIRECT | OFlag::O_DSYNC).bits());
        }
        Ok(Self { file: options.open(path)?, way, next: AtomicU64::new(0) })
    }

    /// Where `len` bytes go that nobody else writes now.
    fn place(&self, len: usize) -> Outcome<u64> {
        let len = u64::try_from(len)?;
        loop {
            let at = self.next.fetch_add(len, Ordering::Relaxed);
            if self.way.fill.is_none() {
                return Ok(at);
            }
            let at = at % PREPARED_BYTES;
            // What would lie across the end begins again at the start.
            if at + len <= PREPARED_BYTES {
                return Ok(at);
            }
        }
    }

    /// Writes whole pages, and syncs them.
    pub fn write_synced(&self, pages: &[u8]) -> Outcome<()> {
        self.file.write_all_at(pages, self.place(pages.len())?)?;
        if self.way.synced && !self.way.direct {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

impl Engine for Raw {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        PAGES.with_borrow_mut(|pages| {
            let mut bytes = Vec::with_capacity(entries.len() * 512);
            flatten(entries, &mut bytes);
            match durability {
                Durability::Sync => self.write_synced(pages.lay(&bytes)),
                Durability::Relaxed => {
                    Ok(self.file.write_all_at(&bytes, self.place(bytes.len())?)?)
                }
            }
        })
    }

    fn shown(&self, _: &Key) -> Outcome<Shown> {
        Ok(Shown::Entries(0))
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}

fn open(setup: &Setup<'_>, way: Way) -> Outcome<Arc<dyn Engine>> {
    Ok(Arc::new(Raw::open(&setup.dir.join("raw"), way)?))
}

/// A file that holds entries in a row, and is read from its beginning to its end.
struct Read {
    file: File,
    entry_bytes: u64,
    read: u64,
}

impl Engine for Read {
    fn commit(&self, entries: &[Entry], durability: Durability) -> Outcome<()> {
        use std::io::Write;
        let mut bytes = Vec::with_capacity(entries.len() * 512);
        flatten(entries, &mut bytes);
        (&self.file).write_all(&bytes)?;
        if durability == Durability::Sync {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn shown(&self, _: &Key) -> Outcome<Shown> {
        Ok(Shown::Entries(self.read / self.entry_bytes))
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}

/// Opened again, it reads everything once, a mebibyte at a time, and checks nothing.
fn open_to_read(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    use std::io::Read as _;
    let path = setup.dir.join("raw");
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let (mut buffer, mut read) = (vec![0; 1 << 20], 0);
    loop {
        let some = file.read(&mut buffer)?;
        if some == 0 {
            break;
        }
        std::hint::black_box(&buffer);
        read += u64::try_from(some)?;
    }
    let entry_bytes = u64::try_from(setup.work.commit_bytes())?;
    Ok(Arc::new(Read { file, entry_bytes, read }))
}

pub fn open_prepared(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    if setup.keeps_log() { open_to_read(setup) } else { open(setup, PREPARED) }
}

pub fn open_filled_at_large(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open(setup, Way { fill: Some(1 << 20), ..PREPARED })
}

pub fn open_direct(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open(setup, DIRECT)
}

pub fn open_growing(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open(setup, Way { fill: None, ..PREPARED })
}

pub fn open_unsynced(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    open(setup, Way { synced: false, ..PREPARED })
}
