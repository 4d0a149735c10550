//! A disk with a volatile cache: what was flushed, what was written since, and what a power cut
//! may leave of that.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::promise::{Heard, Promises};

/// What a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;
/// ext4's superblock is two sectors, and with one of them from another time nothing mounts: what
/// begins here is never torn, only lost.
const WHOLE_BYTES: usize = 4096;

/// One request that wrote.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

/// The disk at one moment, and what had been promised by then.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    flushed: Vec<u8>,
    pending: Vec<Write>,
    pub(crate) promises: Promises,
}

/// What a power cut does to the writes that no completed flush covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Choice {
    Nothing,
    Everything,
    Prefix,
    Subset,
    OneMissing,
    Torn,
}

impl Choice {
    const ALL: [Self; 6] =
        [Self::Nothing, Self::Everything, Self::Prefix, Self::Subset, Self::OneMissing, Self::Torn];

    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let at = usize::try_from(dice.below(6)).unwrap_or(0);
        Self::ALL.get(at).copied().unwrap_or(Self::Nothing)
    }
}

impl Cut {
    /// How many writes a power cut may take.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What the power cut left, by `choice`.
    pub(crate) fn image(&self, choice: Choice, dice: &mut Dice) -> Vec<u8> {
        let mut image = self.flushed.clone();
        let count = self.pending.len() as u64;
        let one = dice.below(count);
        let keep = dice.below(count + 1);
        for (at, write) in (0..).zip(&self.pending) {
            let whole = match choice {
                Choice::Torn if write.offset < WHOLE_BYTES => dice.one_in(2),
                Choice::Nothing => false,
                Choice::Everything => true,
                Choice::Prefix => at < keep,
                Choice::Subset => dice.one_in(2),
                Choice::OneMissing => at != one,
                Choice::Torn => {
                    let sectors = (0..).step_by(SECTOR_BYTES);
                    for (start, sector) in sectors.zip(write.bytes.chunks(SECTOR_BYTES)) {
                        if dice.one_in(2) {
                            put(&mut image, write.offset + start, sector);
                        }
                    }
                    false
                }
            };
            if whole {
                put(&mut image, write.offset, &write.bytes);
            }
        }
        image
    }
}

fn put(disk: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(place) = disk.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[derive(Debug)]
struct State {
    flushed: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Write>,
    writes: u64,
    flushes: u64,
    /// The power is cut when this many writes and flushes have come, and this many writes wait
    /// for a flush.
    cut_at: Option<(u64, usize)>,
    cut: Option<Cut>,
}

/// A disk that records what is done to it. Its power is cut only in copies of it.
#[derive(Debug)]
pub(crate) struct Disk {
    state: Mutex<State>,
    was_cut: Condvar,
    pub(crate) heard: Heard,
}

impl Disk {
    /// A disk that holds `bytes`, durably.
    pub(crate) fn new(bytes: Vec<u8>, heard: Heard) -> Self {
        let state = State {
            current: bytes.clone(),
            flushed: bytes,
            pending: Vec::new(),
            writes: 0,
            flushes: 0,
            cut_at: None,
            cut: None,
        };
        Self { state: Mutex::new(state), was_cut: Condvar::new(), heard }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn size(&self) -> usize {
        self.state().current.len()
    }

    /// Writes and flushes so far.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let state = self.state();
        (state.writes, state.flushes)
    }

    pub(crate) fn read(&self, offset: usize, count: usize) -> Vec<u8> {
        let state = self.state();
        let end = state.current.len().min(offset.saturating_add(count));
        state.current.get(offset..end).unwrap_or_default().to_vec()
    }

    /// Takes a write; false when it does not fit on the disk.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let mut state = self.state();
        if offset.saturating_add(bytes.len()) > state.current.len() {
            return false;
        }
        put(&mut state.current, offset, bytes);
        state.pending.push(Write { offset, bytes: bytes.to_vec() });
        state.writes += 1;
        // A cut during this write may leave any part of it.
        self.cut_if_due(&mut state);
        true
    }

    /// Makes every write so far durable.
    pub(crate) fn flush(&self) {
        let mut state = self.state();
        // A flush that has not completed covers nothing.
        state.flushes += 1;
        self.cut_if_due(&mut state);
        for write in std::mem::take(&mut state.pending) {
            put(&mut state.flushed, write.offset, &write.bytes);
        }
    }

    fn cut_if_due(&self, state: &mut State) {
        let (requests, pending) = (state.writes + state.flushes, state.pending.len());
        if state.cut_at.is_some_and(|(at, least)| requests >= at && pending >= least) {
            self.cut_now(state);
        }
    }

    /// Everything that was promised until now was promised on what the disk holds now: while the
    /// lock is held, no request can complete.
    fn cut_now(&self, state: &mut State) {
        state.cut_at = None;
        let (flushed, pending) = (state.flushed.clone(), state.pending.clone());
        state.cut = Some(Cut { flushed, pending, promises: self.heard.promises() });
        self.was_cut.notify_all();
    }

    /// Has the power cut when `after` more requests have come and `least` writes are pending.
    pub(crate) fn arm(&self, after: u64, least: usize) {
        let mut state = self.state();
        state.cut_at = Some((state.writes + state.flushes + after, least));
    }

    /// The cut that was armed; taken now when it has not come within `patience`.
    pub(crate) fn cut(&self, patience: Duration) -> Option<Cut> {
        let mut state = self.state();
        let until = Instant::now() + patience;
        while state.cut.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.cut_now(&mut state);
            } else {
                let waited = self.was_cut.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.cut.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_disk() -> Cut {
        let disk = Disk::new(vec![0; WHOLE_BYTES + 8 * SECTOR_BYTES], Heard::default());
        assert!(disk.write(WHOLE_BYTES, &[1; SECTOR_BYTES]));
        disk.flush();
        assert!(disk.write(WHOLE_BYTES + SECTOR_BYTES, &[2; 4 * SECTOR_BYTES]));
        assert!(disk.write(WHOLE_BYTES + SECTOR_BYTES, &[3; SECTOR_BYTES]));
        disk.cut(Duration::ZERO).unwrap()
    }

    fn sectors(image: &[u8]) -> Vec<u8> {
        image[WHOLE_BYTES..].chunks(SECTOR_BYTES).map(|sector| sector[0]).collect()
    }

    #[test]
    fn what_was_flushed_is_never_lost_and_the_rest_is_as_chosen() {
        let cut = cut_disk();
        let image = |choice| sectors(&cut.image(choice, &mut Dice::new(1)));
        assert_eq!(image(Choice::Nothing), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(image(Choice::Everything), [1, 3, 2, 2, 2, 0, 0, 0]);
        let torn: Vec<Vec<u8>> =
            (0..100).map(|seed| sectors(&cut.image(Choice::Torn, &mut Dice::new(seed)))).collect();
        assert!(torn.iter().all(|image| image[0] == 1 && image[5..] == [0, 0, 0]));
        assert!(torn.iter().any(|image| image[1..5] == [3, 0, 2, 0]));
    }

    #[test]
    fn the_superblock_of_ext4_is_lost_or_kept_but_not_torn() {
        let disk = Disk::new(vec![0; WHOLE_BYTES], Heard::default());
        assert!(disk.write(2 * SECTOR_BYTES, &[1; 2 * SECTOR_BYTES]));
        let cut = disk.cut(Duration::ZERO).unwrap();
        for seed in 0..100 {
            let image = cut.image(Choice::Torn, &mut Dice::new(seed));
            assert_eq!(image[2 * SECTOR_BYTES], image[3 * SECTOR_BYTES], "{seed}");
        }
    }

    #[test]
    fn a_flush_that_has_not_completed_makes_nothing_durable() {
        let disk = Disk::new(vec![0; SECTOR_BYTES], Heard::default());
        assert!(disk.write(0, &[1; SECTOR_BYTES]));
        disk.arm(1, 1);
        disk.flush();
        let cut = disk.cut(Duration::ZERO).unwrap();
        assert_eq!(cut.pending(), 1);
        assert_eq!(cut.image(Choice::Nothing, &mut Dice::new(1)), vec![0; SECTOR_BYTES]);
        assert_eq!(disk.cut(Duration::ZERO).unwrap().pending(), 0);
    }

    #[test]
    fn a_write_beyond_the_end_is_refused() {
        let disk = Disk::new(vec![0; SECTOR_BYTES], Heard::default());
        assert!(!disk.write(1, &[1; SECTOR_BYTES]));
        assert_eq!(disk.read(0, 10), [0; 10]);
    }
}
