//! Which segments a sync must still reach, or confirm.

use std::collections::BTreeMap;

use crate::base::SegmentNumber;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};

use super::segment::Segment;

/// A segment with bytes that a sync must still reach, or confirm.
#[derive(Debug)]
struct Dirty {
    segment: Segment,
    /// It was sealed when last synced: one more sync confirms it, and it is done.
    confirming: bool,
}

/// Segments to sync, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    segments: BTreeMap<SegmentNumber, Dirty>,
    /// Groups since the last one that was written and not synced.
    syncs_in_row: u32,
}

impl Unsynced {
    /// Bytes of `segment` go to the disk now.
    pub(super) fn written(&mut self, segment: &Segment) {
        match self.segments.get_mut(&segment.number) {
            Some(dirty) => dirty.confirming = false,
            None => self.insert(segment.clone(), false),
        }
    }

    /// `segment` is to be synced once more, though nothing new is in it.
    pub(super) fn confirm(&mut self, segment: Segment) {
        self.insert(segment, true);
    }

    fn insert(&mut self, segment: Segment, confirming: bool) {
        self.segments.insert(segment.number, Dirty { segment, confirming });
    }

    /// A group is taken; whether everything before it was synced, and synced again after that, so
    /// that a failure which is reported one call late would have been told.
    pub(super) fn group(&mut self, synced: bool, empty: bool) -> bool {
        let clean = self.segments.is_empty();
        let proven = clean && self.syncs_in_row >= 2;
        if !synced && !empty {
            self.syncs_in_row = 0;
        } else if synced && !(empty && clean) {
            // Where nothing is to be synced, no sync is asked that could tell of anything.
            self.syncs_in_row = self.syncs_in_row.saturating_add(1);
        }
        proven
    }

    /// The oldest segment that a sync must still reach, or confirm.
    pub(super) fn oldest(&self) -> Option<SegmentNumber> {
        self.segments.keys().next().copied()
    }

    /// What a sync of now has to reach.
    pub(super) fn to_sync(&self) -> Vec<Segment> {
        let mut all: Vec<_> = self.segments.values().map(|dirty| dirty.segment.clone()).collect();
        if is_planted(Plant::OnlyLastSegmentSynced) {
            all.drain(..all.len().saturating_sub(1));
        }
        all
    }

    /// `synced` were synced, while records went on in segment `last`. That one will be synced
    /// again anyway; a sealed one needs one more sync, because a file system may report a failed
    /// sync at the next.
    pub(super) fn settle(&mut self, synced: &[Segment], last: Option<SegmentNumber>) {
        for segment in synced {
            let Some(dirty) = self.segments.get_mut(&segment.number) else { continue };
            if dirty.confirming && Some(segment.number) != last {
                hit(Mark::SealedConfirmed);
            }
            let again = !dirty.confirming && Some(segment.number) != last;
            if !again || is_planted(Plant::SealedNotConfirmed) {
                self.segments.remove(&segment.number);
            } else {
                dirty.confirming = true;
            }
        }
    }
}
