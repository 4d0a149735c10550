//! Whether a reader that finds no next record stands at the end of the log, or before damage.

use std::io;
use std::path::PathBuf;

use crate::base::limits::PAGE;
use crate::base::{Error, Result, SegmentNumber};
use crate::vfs::{FileExt, OpenMode};

use super::beyond::{Window, find};
use super::format::{RECORDS_START, RecordHeader};
use super::header::{HeaderFault, SegmentHeader};
use super::overlaid::Overlaid;
use super::present::{SALVAGE_BEGUN, present};
use super::reader::{LogReader, corrupt};
use super::salvage;
use super::scan::claims;
use super::segment::{DIR_NAME, cannot_read, shown_path};
use super::walk::{TAIL_SHORT, unsupported};

impl LogReader {
    /// Decides, where [`LogReader::next`] found no more, whether this is the end or damage.
    ///
    /// A record that the writer has put there since is taken and ends the check: this place is
    /// no damage, and looking for the end of a log that grows faster than it is read never ends.
    ///
    /// # Errors
    /// `Corrupt` with the place, when a later record claims that this place was durable, or the
    /// log's last file is not whole.
    ///
    /// # Cost
    /// Reads the rest of the segment, and every later one, once.
    pub fn check_end(&mut self) -> Result<()> {
        let Some((at, path)) = self.claimed_beyond()? else { return self.check_tail() };
        // The writer may have written this place since it was looked at.
        if self.read_one()? {
            return Ok(());
        }
        let what = format!(
            "this is not a valid record, but a later one (offset {at} of {}) proves that it was \
             durable; restore a copy",
            path.display()
        );
        let number = self.segment.as_ref().map_or(self.next_segment.number, |s| s.number);
        Err(corrupt(what)
            .at_path(shown_path(number))
            .at_offset(self.offset)
            .at_lsn(self.position.lsn.next()))
    }

    fn claimed_beyond(&self) -> Result<Option<(u64, PathBuf)>> {
        let hole = self.position.seq.next();
        let tail = self.segment.as_ref().map_or(SegmentNumber(0), |segment| segment.number);
        let present = present(&self.dir)?;
        if present.salvage_begun {
            salvage::refuse_another_version(&self.dir)?;
            let path = PathBuf::from(DIR_NAME).join(salvage::plan::FILE_NAME);
            return Err(corrupt(SALVAGE_BEGUN).at_path(path).at_offset(0));
        }
        for number in present.segments {
            if number < tail {
                continue;
            }
            let path = shown_path(number);
            let fail = |error| cannot_read("read the log", &path, error);
            let mut window = Window { start: 0, bytes: Vec::new() };
            let first = &mut window.bytes;
            let file = match Overlaid::open(&self.dir, number, OpenMode::Read, &self.saved, first) {
                Ok(file) if file.is_longer => return Err(fail(io::ErrorKind::FileTooLarge.into())),
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(error)),
            };
            let page = window.bytes.get(..PAGE).unwrap_or(&window.bytes);
            let header = match SegmentHeader::decode(page) {
                Ok(header) => header,
                Err(HeaderFault::Damaged(_)) => continue,
                Err(HeaderFault::Unsupported(what)) => return Err(unsupported(what, number, 8)),
            };
            if header.store_id != self.dir.store_id {
                continue;
            }
            let from = if number == tail { self.offset } else { RECORDS_START };
            let wanted = |header: &RecordHeader| claims(header, hole);
            let found = find((&file, header.salt), &mut window, from, &wanted).map_err(fail)?;
            if let Some((at, _)) = found {
                return Ok(Some((at, path)));
            }
        }
        Ok(None)
    }

    /// Refuses a log without its first segment, and a last segment that was cut.
    fn check_tail(&self) -> Result<()> {
        let Some(segment) = &self.segment else {
            let path = shown_path(self.next_segment.number);
            return Err(corrupt("the first segment is missing; restore a copy").at_path(path));
        };
        let fail = |error| Error::io("look at the log", &shown_path(segment.number), error);
        let last = self.dir.segment_bytes - 1;
        // A segment that has its end by now may have given the rest back.
        if segment.file.read_up_to(&mut [0], last).map_err(fail)? == 1
            || self.claimed_beyond()?.is_some()
        {
            return Ok(());
        }
        let what = format!("{TAIL_SHORT}; restore a copy");
        Err(corrupt(what).at_path(shown_path(segment.number)).at_offset(self.offset))
    }
}
