//! One segment file: its name, and how it is made before anyone needs it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::limits::PAGE;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result, SegmentNumber, StoreId};
use crate::vfs::{File, FileExt, OpenMode, Runtime};

use super::draft::Payload;
use super::format::{Salt, payload_max};
use super::header::SegmentHeader;
use super::identity::Identity;

/// Directory of the segments inside the store's.
pub const DIR_NAME: &str = "wal";
pub(super) const SUFFIX: &str = ".wal";
/// Suffix of a segment that is being made; never part of the log.
pub const PREPARING_SUFFIX: &str = ".tmp";

/// File name of a segment.
#[must_use]
pub fn file_name(number: SegmentNumber) -> String {
    format!("{:016}{SUFFIX}", number.0)
}

/// The segment a file name stands for.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<SegmentNumber> {
    parse_name(name, SUFFIX)
}

/// The number in the name of a file with this suffix.
pub(super) fn parse_name(name: &str, suffix: &str) -> Option<SegmentNumber> {
    let digits = name.strip_suffix(suffix).filter(|digits| digits.len() == 16)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
        .map(SegmentNumber)
}

/// The path of a segment as errors and tools show it: relative to the store.
#[must_use]
pub fn shown_path(number: SegmentNumber) -> PathBuf {
    Path::new(DIR_NAME).join(file_name(number))
}

/// Why one of the store's own names cannot be read. A name that is no file, or no directory, at
/// all is damage and not trouble that passes: nobody who keeps the format makes one.
pub(super) fn cannot_read(doing: &str, shown: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotSeekable};
    if !matches!(error.kind(), IsADirectory | NotADirectory | NotSeekable) {
        return Error::io(doing, shown, error);
    }
    let what =
        format!("this name is the store's, but it is something else ({error}); move it away");
    Error::new(ErrorKind::Corrupt, what).at_path(shown)
}

/// An open segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its number.
    pub number: SegmentNumber,
    /// Its salt.
    pub salt: Salt,
    /// The file.
    pub file: Arc<dyn File>,
}

impl Segment {
    /// Syncs the records that were written to it.
    ///
    /// # Errors
    /// As the file system says; then nothing may be written to the log any more (L3).
    pub(super) fn sync(&self) -> io::Result<()> {
        if is_planted(Plant::LogNotSynced) {
            return Ok(());
        }
        let synced = self.file.sync_data();
        if is_planted(Plant::FailedSyncRetried) {
            return synced.or_else(|_| self.file.sync_data());
        }
        if is_planted(Plant::FailedSyncIgnored) { Ok(()) } else { synced }
    }
}

/// Where segments live, and what all of them share.
#[derive(Clone, Debug)]
pub struct SegmentDir {
    /// Files and randomness.
    pub runtime: Runtime,
    /// The directory of the segments.
    pub path: PathBuf,
    /// The store.
    pub store_id: StoreId,
    /// Full size of a segment.
    pub segment_bytes: u64,
}

impl SegmentDir {
    /// The segments of the store in `dir`.
    pub(super) fn of_store(dir: &Path, runtime: &Runtime, identity: &Identity) -> Self {
        Self {
            runtime: runtime.clone(),
            path: dir.join(DIR_NAME),
            store_id: identity.store_id,
            segment_bytes: identity.segment_bytes,
        }
    }

    /// Path of a segment's file.
    #[must_use]
    pub fn file_path(&self, number: SegmentNumber) -> PathBuf {
        self.path.join(file_name(number))
    }

    /// Makes segment `number`: full of zeroes, with a fresh salt, durable under its name.
    ///
    /// Zeroes that were really written make later synced writes cheap: the file system has no
    /// extent to convert and no size to record. They are written page by page, because large
    /// writes leave large folios in the page cache, which small synced overwrites pay for. Where
    /// the file system gives every write a new place they are good for nothing and left out.
    ///
    /// # Durability
    /// After `Ok` the file, its size and its name survive a power cut.
    ///
    /// # Errors
    /// `Full`, `Io`; nothing that was there before is touched until the rename.
    ///
    /// # Cost
    /// Writes the whole segment; two file syncs and one directory sync.
    pub fn prepare(&self, number: SegmentNumber) -> Result<Segment> {
        let fail = |doing: &str, error| Error::io(doing, &shown_path(number), error);
        let salt = self.random_salt().map_err(|error| fail("choose a salt for", error))?;
        let beside = self.path.join(format!("{:016}{PREPARING_SUFFIX}", number.0));
        let made = self.write_new(&beside, number, salt);
        if made.is_err() {
            hit(Mark::PreparationFailed);
            // What is left is not part of the log, and the next preparation starts over; give
            // the space back now, since the disk may be full.
            let _ignored = self.runtime.vfs.remove(&beside);
        }
        let file = made.map_err(|error| fail("prepare", error))?;
        self.runtime
            .vfs
            .rename(&beside, &self.file_path(number))
            .map_err(|error| fail("name", error))?;
        if !is_planted(Plant::SegmentNameNotSynced) {
            self.runtime.vfs.sync_dir(&self.path).map_err(|error| fail("make durable", error))?;
        }
        Ok(Segment { number, salt, file })
    }

    /// Removes the file of a segment that nothing names.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn remove(&self, number: SegmentNumber) -> Result<()> {
        let removed = self.runtime.vfs.remove(&self.file_path(number));
        removed.map_err(|error| Error::io("remove a spare segment", &shown_path(number), error))
    }

    /// Refuses a commit that fits into no segment: it would look for room forever.
    ///
    /// # Errors
    /// `Invalid`.
    pub(super) fn refuse_too_large(&self, payload: &Payload, padding_max: u64) -> Result<()> {
        let max = payload_max(self.segment_bytes - padding_max);
        let len = payload.bytes().len();
        if to_u64(len) <= max {
            return Ok(());
        }
        let what = format!(
            "a commit of {len} bytes is larger than this store's segments take ({max} bytes); \
             split it, or create the store with larger segments"
        );
        Err(Error::new(ErrorKind::Invalid, what))
    }

    pub(super) fn random_salt(&self) -> io::Result<Salt> {
        let salt = u64::from_le_bytes(self.runtime.random()?);
        // Zero means "no predecessor".
        Ok(Salt(salt.max(1)))
    }

    fn write_new(
        &self,
        path: &Path,
        number: SegmentNumber,
        salt: Salt,
    ) -> io::Result<Arc<dyn File>> {
        match self.runtime.vfs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.runtime.vfs.open(path, OpenMode::CreateNew)?;
        let header = SegmentHeader {
            store_id: self.store_id,
            segment: number,
            segment_bytes: self.segment_bytes,
            salt,
            former: SegmentNumber(0),
            read_compatible: 0,
        };
        file.write_all_at(&header.encode(), 0)?;
        if self.runtime.vfs.overwrites_in_place(&self.path) {
            let zeroes = [0; PAGE];
            let mut offset = to_u64(PAGE);
            while offset < self.segment_bytes {
                file.write_all_at(&zeroes, offset)?;
                offset += to_u64(PAGE);
            }
        } else {
            file.set_len(self.segment_bytes)?;
        }
        if !is_planted(Plant::SegmentNotSynced) {
            sync_twice(file.as_ref())?;
        }
        Ok(file)
    }
}

/// Syncs data and size, and asks again.
///
/// A file system may report the failure of one sync at the next. Where no later sync of the same
/// file is sure to come, the second call is what makes a late report arrive in time.
///
/// # Errors
/// As the file system says, at either call.
pub(crate) fn sync_twice(file: &dyn File) -> io::Result<()> {
    file.sync_all()?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_like_numbers_and_only_whole_names_are_read() {
        assert_eq!(parse_file_name(&file_name(SegmentNumber(12))), Some(SegmentNumber(12)));
        assert!(file_name(SegmentNumber(9)) < file_name(SegmentNumber(10)));
        for name in
            ["12.wal", "000000000000001x.wal", "0000000000000001.tmp", "+000000000000001.wal"]
        {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
