//! What recovery may have to write again: the end of the log, from the first record that two
//! claims do not prove.
//!
//! While the log is walked, chunks are held here until they are proven; the rest of the log is
//! let go of as it is read. So what is in memory is what the writer had not made sure of, however
//! large a segment is (L8).

use std::collections::VecDeque;

use crate::base::SegmentNumber;
use crate::base::codec::{to_u64, to_usize};

use super::beyond::Window;
use super::chunk::Chunk;
use super::format::{RECORDS_START, Salt, page_ceil, page_floor};
use super::overlaid::Overlaid;
use super::segment::Segment;

/// A segment whose bytes may have to be written again.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) segment: Segment,
    /// Where `bytes` begin in the file: at the start of a page.
    pub(super) from: u64,
    pub(super) bytes: Vec<u8>,
    /// The end of its last valid record.
    pub(super) end: u64,
}

impl Kept {
    /// The bytes that are kept of `from..to`, as offsets in the file.
    pub(super) fn between(&self, from: u64, to: u64) -> &[u8] {
        let to = to.min(self.from + to_u64(self.bytes.len()));
        let place = |offset: u64| to_usize(offset.saturating_sub(self.from));
        self.bytes.get(place(from)..place(to)).unwrap_or_default()
    }
}

/// A segment while the log is walked.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) segment: Segment,
    pub(super) file: Overlaid,
    /// The end of its last valid record.
    pub(super) end: u64,
    chunks: VecDeque<Chunk>,
}

/// The segments from the first that is not proven, oldest first.
#[derive(Debug, Default)]
pub(super) struct Keeping(VecDeque<Held>);

impl Keeping {
    /// Enters a segment.
    pub(super) fn begin(&mut self, file: Overlaid, salt: Salt) {
        let segment = Segment { number: file.number, salt, file: file.file.clone() };
        let (end, chunks) = (RECORDS_START, VecDeque::new());
        self.0.push_back(Held { segment, file, end, chunks });
    }

    /// Holds a chunk of the segment entered last, whose valid records end at `end`.
    pub(super) fn hold(&mut self, chunk: Chunk, end: u64) {
        if let Some(held) = self.0.back_mut() {
            held.chunks.push_back(chunk);
            held.end = end;
        }
    }

    /// The segment entered last.
    pub(super) fn tail(&self) -> Option<&Held> {
        self.0.back()
    }

    /// Lets go of everything before the page of the first record that is not proven.
    pub(super) fn forget_before(
        &mut self,
        (number, offset): (SegmentNumber, u64),
        give_back: &mut dyn FnMut(Chunk),
    ) {
        while self.0.len() > 1 && self.0.front().is_some_and(|held| held.segment.number < number) {
            self.0.pop_front().into_iter().flat_map(|held| held.chunks).for_each(&mut *give_back);
        }
        let Some(held) = self.0.front_mut().filter(|held| held.segment.number == number) else {
            return;
        };
        let page = page_floor(offset);
        while held.chunks.get(1).is_some_and(|second| second.start <= page) {
            held.chunks.pop_front().into_iter().for_each(&mut *give_back);
        }
    }

    /// Everything that is held, each segment in one piece.
    pub(super) fn finish(self) -> VecDeque<Kept> {
        self.0.into_iter().map(Held::join).collect()
    }
}

impl Held {
    /// What was read of the file behind the last valid record.
    pub(super) fn window(&self) -> Window {
        let start = page_floor(self.end);
        let behind = self.chunks.back().and_then(|chunk| {
            let from = start.checked_sub(chunk.start)?;
            chunk.bytes.get(to_usize(from)..)
        });
        Window { start, bytes: behind.unwrap_or_default().to_vec() }
    }

    fn join(self) -> Kept {
        let Self { segment, end, mut chunks, .. } = self;
        let first = chunks.pop_front();
        let (from, mut bytes) = first.map_or((0, Vec::new()), |chunk| (chunk.start, chunk.bytes));
        for chunk in chunks {
            // A chunk begins with the page in which the one before ended.
            bytes.truncate(to_usize(chunk.start - from));
            bytes.extend_from_slice(&chunk.bytes);
        }
        bytes.truncate(to_usize(page_ceil(end) - from));
        Kept { segment, from, bytes, end }
    }
}
