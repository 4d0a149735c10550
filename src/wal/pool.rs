//! Files of released segments, which become the next segments without a zero being written.
//!
//! A free file lies in the log's directory under a name that no reader looks at. Nothing here
//! decides what the log is: a crash at any moment leaves files below the beginning of the log,
//! free files, and segments that nobody names, and none of them is part of it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::base::limits::PAGE;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, Result, SegmentNumber};
use crate::vfs::sync::Mutex;
use crate::vfs::sync::atomic::{AtomicU64, Ordering};
use crate::vfs::{File, FileExt, OpenMode};

use super::first::First;
use super::format::Salt;
use super::header::SegmentHeader;
use super::segment::{Segment, SegmentDir, parse_name, shown_path, sync_twice};

/// Suffix of a file that waits to be used again; its number is that of the segment it was.
pub(super) const FREE_SUFFIX: &str = ".free";

/// The free files of a log.
#[derive(Debug)]
pub(super) struct Pool {
    /// At most so many files are kept; fixed when the log is opened.
    max: usize,
    free: Mutex<BTreeSet<SegmentNumber>>,
    /// Segments that were made of a free file.
    pub(super) recycled: AtomicU64,
    /// Segments that were made anew.
    pub(super) filled: AtomicU64,
    /// Bytes of zeroes that were written for that.
    pub(super) zeroed_bytes: AtomicU64,
}

impl Pool {
    /// A pool of at most `max` files, of which none is known yet.
    pub(super) fn new(max: usize) -> Self {
        let [recycled, filled, zeroed_bytes] = [0, 0, 0].map(AtomicU64::new);
        Self { max, free: Mutex::new(BTreeSet::new()), recycled, filled, zeroed_bytes }
    }

    /// How many files wait.
    pub(super) fn len(&self) -> usize {
        self.free.lock().len()
    }

    /// Takes over what earlier lives left: free files, and segments below the log's first.
    ///
    /// Who let go of those was killed, or its sync failed: that the log begins behind them may be
    /// known to the page cache alone, so it is written again before they are touched.
    ///
    /// # Errors
    /// `Full`, `Io`.
    ///
    /// # Cost
    /// Two syncs, if there are segments below.
    pub(super) fn adopt(&self, dir: &SegmentDir, first: &First) -> Result<()> {
        let shown = std::path::Path::new(super::segment::DIR_NAME);
        let entries = dir.runtime.vfs.list(&dir.path);
        let entries = entries.map_err(|error| Error::io("list", shown, error))?;
        let below = |name: &str| {
            let number = parse_name(name, super::segment::SUFFIX);
            number.filter(|number| *number < first.segment)
        };
        let early = is_planted(Plant::AdoptedBeforeDurable);
        if !early && entries.iter().any(|entry| below(&entry.name).is_some()) {
            first.save(dir)?;
        }
        for entry in entries {
            if let Some(number) = below(&entry.name) {
                self.take_in(dir, number)?;
            } else if let Some(number) = parse_name(&entry.name, FREE_SUFFIX) {
                self.keep_or_remove(dir, number)?;
            }
        }
        Ok(())
    }

    /// Takes the file of a segment that is no part of the log any more.
    ///
    /// # Durability
    /// None, and none is needed: the log begins behind it, durably.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn take_in(&self, dir: &SegmentDir, number: SegmentNumber) -> Result<()> {
        let fail = |error| Error::io("release", &shown_path(number), error);
        match dir.runtime.vfs.rename(&dir.file_path(number), &free_path(dir, number)) {
            // A crash, or a call that failed, came between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(fail)?,
        }
        self.keep_or_remove(dir, number)
    }

    fn keep_or_remove(&self, dir: &SegmentDir, number: SegmentNumber) -> Result<()> {
        // Where every write gets a new place, an old file is no better than a new one.
        let max = if dir.runtime.vfs.overwrites_in_place(&dir.path) { self.max } else { 0 };
        let mut free = self.free.lock();
        if free.contains(&number) || free.len() < max {
            free.insert(number);
            return Ok(());
        }
        drop(free);
        remove(dir, number)
    }

    /// Makes segment `number`, of a free file if there is one, else of zeroes.
    ///
    /// # Durability
    /// After `Ok` the file, its size and its name survive a power cut.
    ///
    /// # Errors
    /// `Full`, `Io`; nothing of the log was touched.
    ///
    /// # Cost
    /// Two file syncs and one directory sync; writes a page, or the whole segment.
    pub(super) fn prepare(&self, dir: &SegmentDir, number: SegmentNumber) -> Result<Segment> {
        loop {
            let Some(former) = self.free.lock().pop_first() else {
                let segment = dir.prepare(number)?;
                self.filled.fetch_add(1, Ordering::Relaxed);
                if dir.runtime.vfs.overwrites_in_place(&dir.path) {
                    self.zeroed_bytes.fetch_add(dir.segment_bytes, Ordering::Relaxed);
                }
                return Ok(segment);
            };
            let used = use_again(dir, former, number);
            let fail = |error| Error::io("prepare", &shown_path(number), error);
            if let Some(segment) = used.map_err(fail)? {
                hit(Mark::Recycled);
                self.recycled.fetch_add(1, Ordering::Relaxed);
                return Ok(segment);
            }
            remove(dir, former)?;
        }
    }
}

fn free_path(dir: &SegmentDir, number: SegmentNumber) -> PathBuf {
    dir.path.join(format!("{:016}{FREE_SUFFIX}", number.0))
}

fn remove(dir: &SegmentDir, number: SegmentNumber) -> Result<()> {
    match dir.runtime.vfs.remove(&free_path(dir, number)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove a file that was released as", &shown_path(number), error))
        }
        _ => Ok(()),
    }
}

/// Makes the free file of `former` segment `number`; `None` when it cannot be used.
///
/// The header is durable before the name: a segment under its name has the salt that is in it.
fn use_again(
    dir: &SegmentDir,
    former: SegmentNumber,
    number: SegmentNumber,
) -> io::Result<Option<Segment>> {
    let path = free_path(dir, former);
    let file = match dir.runtime.vfs.open(&path, OpenMode::ReadWrite) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A second name is somebody's copy, who counts on what is in it.
    if file.size()? != dir.segment_bytes || file.names()? != 1 {
        return Ok(None);
    }
    let salt = if is_planted(Plant::RecycledSaltKept) {
        salt_of(file.as_ref())?
    } else {
        dir.random_salt()?
    };
    let (store_id, segment_bytes) = (dir.store_id, dir.segment_bytes);
    let read_compatible = 0;
    let header =
        SegmentHeader { store_id, segment: number, segment_bytes, salt, former, read_compatible };
    file.write_all_at(&header.encode(), 0)?;
    sync_twice(file.as_ref())?;
    dir.runtime.vfs.rename(&path, &dir.file_path(number))?;
    dir.runtime.vfs.sync_dir(&dir.path)?;
    Ok(Some(Segment { number, salt, file }))
}

/// The salt of the file's last life, for a planted bug.
fn salt_of(file: &dyn File) -> io::Result<Salt> {
    let mut page = vec![0; PAGE];
    file.read_up_to(&mut page, 0)?;
    Ok(SegmentHeader::decode(&page).map_or(Salt(1), |header| header.salt))
}
