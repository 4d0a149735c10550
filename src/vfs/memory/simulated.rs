//! The rest of a simulated machine: a clock that the test moves, and seeded randomness.

use std::io;
use std::sync::Arc;
// Not those of `vfs::sync`: a simulated machine is no part of what a scheduler tries orders of.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::chance;
use super::disk::MemoryVfs;
use crate::base::Timestamp;
use crate::vfs::runtime::{Background, Clock, Rng, Runtime};

/// A clock that moves when told. Every reading of the wall clock also moves it by 1 µs, so that
/// two readings differ.
#[derive(Debug)]
pub struct SimClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl SimClock {
    /// A clock whose first reading is `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self { wall: AtomicU64::new(start.0), monotonic: AtomicU64::new(0) }
    }

    /// Moves the wall clock to `now`, ahead or back, as an administrator would.
    pub fn set(&self, now: Timestamp) {
        self.wall.store(now.0, Ordering::SeqCst);
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, micros: u64) {
        self.wall.fetch_add(micros, Ordering::SeqCst);
        self.monotonic.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Default for SimClock {
    /// Starts at the end of 2023: a plausible moment, and the same in every run.
    fn default() -> Self {
        Self::new(Timestamp(1_700_000_000_000_000))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.fetch_add(1, Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic.load(Ordering::SeqCst))
    }
}

/// Random bytes that depend on the seed and the number of draws alone.
#[derive(Debug)]
pub struct SimRng {
    seed: u64,
    drawn: AtomicU64,
}

impl SimRng {
    /// The stream of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Rng for SimRng {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        for part in bytes.chunks_mut(size_of::<u64>()) {
            let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
            for (byte, random) in part.iter_mut().zip(chance::draw(self.seed, drawn).to_le_bytes())
            {
                *byte = random;
            }
        }
        Ok(())
    }
}

/// A machine with this disk whose every step is chosen by its owner. A test that moves the clock
/// puts its own [`SimClock`] in place of the one given here.
#[must_use]
pub fn runtime(disk: &MemoryVfs, seed: u64) -> Runtime {
    Runtime {
        vfs: Arc::new(disk.clone()),
        clock: Arc::new(SimClock::default()),
        rng: Arc::new(SimRng::new(seed)),
        background: Background::Stepped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_jumps_and_the_monotonic_clock_only_advances() {
        let clock = SimClock::new(Timestamp(100));
        assert_eq!((clock.now(), clock.now()), (Timestamp(100), Timestamp(101)));
        clock.advance(50);
        clock.set(Timestamp(7));
        assert_eq!(clock.now(), Timestamp(7));
        assert_eq!(clock.monotonic(), Duration::from_micros(50));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let draw = |seed| -> [[u8; 13]; 2] {
            let runtime = runtime(&MemoryVfs::new(), seed);
            [runtime.random().unwrap(), runtime.random().unwrap()]
        };
        let [first, second] = draw(1);
        assert_eq!(draw(1), [first, second]);
        assert_ne!(first, second);
        assert_ne!(draw(2), [first, second]);
    }
}
