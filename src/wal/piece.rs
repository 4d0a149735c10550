//! A piece of a commit group: what one write brings to a segment.

use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;

use super::format::page_ceil;
use super::segment::Segment;

/// Consecutive bytes of one segment, from a page's start.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) segment: Segment,
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    /// So many of the bytes are in the file already, and need not be written again.
    there: usize,
}

impl Piece {
    pub(super) const fn new(segment: Segment, start: u64, bytes: Vec<u8>) -> Self {
        Self { segment, start, bytes, there: 0 }
    }

    /// What is to be written, and where.
    pub(super) fn to_write(&self) -> (u64, &[u8]) {
        (self.start + to_u64(self.there), self.bytes.get(self.there..).unwrap_or_default())
    }

    /// Fills the last page with zeroes, since whole pages are synced.
    pub(super) fn fill_page(&mut self) {
        self.bytes.resize(to_usize(page_ceil(to_u64(self.bytes.len()))), 0);
    }

    /// Leaves out what an earlier group of this life wrote: the first `there` bytes, and zeroes up
    /// to the end of their page. For what the operating system may keep in memory; a sync gets
    /// whole pages.
    pub(super) fn leave_out(&mut self, there: usize) {
        self.there = there;
        if self.bytes.len() > there.next_multiple_of(PAGE) {
            self.fill_page();
        }
    }
}
