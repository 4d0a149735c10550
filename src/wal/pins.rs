//! What tail readers still need, so that it is not released under them.
//!
//! A pin names the segment that its reader is in. A reader that is too far behind loses its pin,
//! so that it cannot fill the disk: it then gets `Expired`, and says so.

use std::collections::BTreeMap;

use crate::base::SegmentNumber;
use crate::vfs::sync::Mutex;

/// The pins of a log.
#[derive(Debug)]
pub(super) struct Pins {
    /// A pin that holds back more is lost.
    held_bytes_max: u64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    pins: BTreeMap<u64, SegmentNumber>,
    next: u64,
}

impl Pins {
    pub(super) fn new(held_bytes_max: u64) -> Self {
        Self { held_bytes_max, table: Mutex::new(Table::default()) }
    }

    /// A pin of everything there is, until the reader says where it begins.
    pub(super) fn pin(&self) -> u64 {
        let mut table = self.table.lock();
        let id = table.next;
        table.next += 1;
        table.pins.insert(id, SegmentNumber(0));
        id
    }

    /// The reader has come to `segment`. A pin that was lost stays lost.
    pub(super) fn move_to(&self, id: u64, segment: SegmentNumber) {
        if let Some(pinned) = self.table.lock().pins.get_mut(&id) {
            *pinned = segment;
        }
    }

    /// The reader needs nothing any more.
    pub(super) fn unpin(&self, id: u64) {
        self.table.lock().pins.remove(&id);
    }

    /// How many readers are pinned.
    pub(super) fn len(&self) -> usize {
        self.table.lock().pins.len()
    }

    /// The first segment of those below `needed` that must stay for readers, and how many bytes
    /// of segments that are. Readers for whom that is too much lose their pins.
    pub(super) fn hold_back(
        &self,
        needed: SegmentNumber,
        segment_bytes: u64,
    ) -> (SegmentNumber, u64) {
        let mut table = self.table.lock();
        let held =
            |from: SegmentNumber| needed.0.saturating_sub(from.0).saturating_mul(segment_bytes);
        // One that has not begun yet may begin anywhere, and tells in a moment.
        table.pins.retain(|_, pinned| pinned.0 == 0 || held(*pinned) <= self.held_bytes_max);
        let floor = table.pins.values().copied().fold(needed, SegmentNumber::min);
        let bytes = if floor.0 == 0 { 0 } else { held(floor) };
        (floor, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_reader_holds_back_and_one_that_is_too_slow_loses_its_pin() {
        let pins = Pins::new(300);
        let hold = |needed| pins.hold_back(SegmentNumber(needed), 100);
        assert_eq!(hold(9), (SegmentNumber(9), 0));
        let (slow, fast) = (pins.pin(), pins.pin());
        assert_eq!(hold(9), (SegmentNumber(0), 0), "they have not said where they begin");
        pins.move_to(slow, SegmentNumber(6));
        pins.move_to(fast, SegmentNumber(8));
        assert_eq!(hold(9), (SegmentNumber(6), 300));
        assert_eq!(hold(5), (SegmentNumber(5), 0), "a reader that is ahead holds back nothing");
        assert_eq!((hold(10), pins.len()), ((SegmentNumber(8), 200), 1));
        pins.move_to(slow, SegmentNumber(7));
        assert_eq!((hold(10), pins.len()), ((SegmentNumber(8), 200), 1), "lost stays lost");
        pins.unpin(fast);
        assert_eq!((hold(10), pins.len()), ((SegmentNumber(10), 0), 0));
    }
}
