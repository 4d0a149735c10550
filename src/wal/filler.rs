//! Marks that fill a sector or a page, so that what follows them shares none with what was before.

use crate::base::Timestamp;
use crate::base::codec::{to_u64, to_usize};
use crate::base::mark::{Mark, hit};

use super::draft::Payload;
use super::format::{Kind, RECORD_HEADER};
use super::group::State;

/// The smallest unit that a disk writes, or loses, whole.
pub(super) const SECTOR: u64 = 512;
/// More than a record that fills a sector takes, whatever is in the sector already.
pub(super) const FILLER_BYTES_MAX: u64 = 2 * SECTOR;

impl State {
    /// Appends the mark that claims an idle log, in a sector of its own: the claim is stamped into
    /// the mark and not into what fills the sector before it. The caller made room for both.
    pub(super) fn put_claiming_mark(&mut self, time: Timestamp) {
        if self.filling.is_empty() {
            self.put_filler();
            if self.start_after.is_none() {
                self.filling.first = None;
            }
        }
        self.put_at(Kind::TimeMark, time);
    }

    /// Appends a mark that fills the sector, so that what follows shares none with what it claims:
    /// one lost sector then takes either the data or the proof of it, not both. A record at the
    /// start of a sector also never ends its page, so the next group writes it again (G2).
    pub(super) fn put_filler(&mut self) {
        self.fill(SECTOR);
    }

    /// Appends a mark up to the next multiple of `unit`, or the one after it when there is no
    /// room for a mark.
    pub(super) fn fill(&mut self, unit: u64) {
        let filled = self.offset % unit;
        if self.start_after.is_some() || filled == 0 {
            return;
        }
        let (gap, header) = (unit - filled, to_u64(RECORD_HEADER));
        if gap < header {
            hit(Mark::FillerOverSector);
        }
        let len = if gap < header { gap + unit - header } else { gap - header };
        self.put(Kind::TimeMark, &Payload::new(vec![0; to_usize(len)]));
    }
}
