//! Writing a group through to the disk: one call in place of a write and a sync.
//!
//! It makes durable what it writes and nothing else, and never tells of an earlier write that
//! failed late. So a group is written through only when everything before it was synced, by two
//! syncs in a row: the second is the one that would have told (**W5**).

use std::sync::Arc;

use crate::base::SegmentNumber;
use crate::base::mark::{Mark, hit};
use crate::vfs::File;
use crate::vfs::sync::Mutex;

use super::group::Group;
use super::segment::SegmentDir;

/// The segment that is written through, and its file if there is such a way to it.
type Opened = Option<(SegmentNumber, Option<Arc<dyn File>>)>;

/// A way around the page cache, if that is wanted.
#[derive(Debug)]
pub(super) struct Through {
    wanted: bool,
    opened: Mutex<Opened>,
}

impl Through {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, opened: Mutex::new(None) }
    }

    /// The file through which `group` may be written; `None` when it is to be written and synced.
    pub(super) fn file(&self, segments: &SegmentDir, group: &Group) -> Option<Arc<dyn File>> {
        let [piece] = group.pieces.as_slice() else { return None };
        if !self.wanted || !group.follows_synced {
            return None;
        }
        let number = piece.segment.number;
        let mut opened = self.opened.lock();
        if opened.as_ref().is_none_or(|(there, _)| *there != number) {
            // What cannot be had is not asked for again before the next segment.
            let file = segments.runtime.vfs.open_write_through(&segments.file_path(number)).ok();
            *opened = Some((number, file));
        }
        let file = opened.as_ref().and_then(|(_, file)| file.clone());
        if file.is_some() {
            hit(Mark::WrittenThrough);
        }
        file
    }
}
