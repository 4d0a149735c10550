//! The bytes of a segment's file as whoever reads the log must see them: with what an interrupted
//! recovery saved laid over.
//!
//! Read piece by piece, so that no segment is ever in memory as a whole (L8).

use std::io;
use std::sync::Arc;

use crate::base::SegmentNumber;
use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::vfs::{File, FileExt, OpenMode};

use super::format::Salt;
use super::header::SegmentHeader;
use super::saved::SavedTail;
use super::segment::SegmentDir;

/// An open segment file to read.
#[derive(Clone, Debug)]
pub(super) struct Overlaid {
    pub(super) number: SegmentNumber,
    pub(super) file: Arc<dyn File>,
    /// Bytes that can be read, no more than a segment has.
    pub(super) size: u64,
    /// The file has more than a segment has.
    pub(super) is_longer: bool,
    /// Bytes to read at once.
    pub(super) piece: usize,
    /// The file was a segment before, whose records are behind those of this one.
    pub(super) is_used_again: bool,
    /// As the header in the file says, if it can be read.
    salt: Option<Salt>,
    saved: Arc<SavedTail>,
}

impl Overlaid {
    /// Opens segment `number` and gives the first piece of it.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn open(
        dir: &SegmentDir,
        number: SegmentNumber,
        mode: OpenMode,
        saved: &Arc<SavedTail>,
        bytes: &mut Vec<u8>,
    ) -> io::Result<Self> {
        let file = dir.runtime.vfs.open(&dir.file_path(number), mode)?;
        let size = file.size()?;
        let is_longer = size > dir.segment_bytes;
        let (size, saved) = (size.min(dir.segment_bytes), saved.clone());
        // The header page, and a record's header behind it, are never apart.
        let piece = dir.runtime.vfs.reading().piece.max(2 * PAGE);
        let mut this =
            Self { number, file, size, is_longer, piece, is_used_again: false, salt: None, saved };
        this.fetch(0, bytes, piece)?;
        let header = SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(bytes));
        if let Ok(header) = header {
            this.salt = Some(header.salt);
            this.is_used_again = header.former != SegmentNumber(0);
        }
        this.lay_over(0, bytes);
        Ok(this)
    }

    /// Fills `bytes` with up to `len` bytes from `start` on; fewer at the end of the file.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn read(&self, start: u64, bytes: &mut Vec<u8>, len: usize) -> io::Result<()> {
        self.fetch(start, bytes, len)?;
        self.lay_over(start, bytes);
        Ok(())
    }

    /// Adds up to `len` bytes to `bytes`, which are those from `start` on.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn read_on(&self, start: u64, bytes: &mut Vec<u8>, len: usize) -> io::Result<()> {
        let (before, end) = (bytes.len(), start + to_u64(bytes.len()));
        bytes.resize(before + self.available(end, len), 0);
        let added = bytes.get_mut(before..).unwrap_or_default();
        let count = self.file.read_up_to(added, end)?;
        self.lay_over(end, added.get_mut(..count).unwrap_or_default());
        bytes.truncate(before + count);
        Ok(())
    }

    /// What is left of `len` bytes from `start` on.
    fn available(&self, start: u64, len: usize) -> usize {
        len.min(to_usize(self.size.saturating_sub(start)))
    }

    fn fetch(&self, start: u64, bytes: &mut Vec<u8>, len: usize) -> io::Result<()> {
        // What the buffer held before is overwritten, and need not be zeroed first.
        bytes.resize(self.available(start, len), 0);
        let count = self.file.read_up_to(bytes, start)?;
        bytes.truncate(count);
        Ok(())
    }

    fn lay_over(&self, start: u64, bytes: &mut [u8]) {
        self.saved.lay_over((self.number, self.salt), start, bytes);
    }
}
