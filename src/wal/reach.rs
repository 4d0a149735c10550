//! How far the log has come, for those who read it without the append lock.
//!
//! `visible` and `durable` are the only atomics of the engine that order other memory. Who holds
//! the append lock moves them; anybody reads them.
//!
//! - **A1** Who sees `visible ≥ n` sees everything that was done before `n` became visible: the
//!   entries of the commits up to `n`, wherever they are kept.
//! - **A2** Who sees `durable ≥ n`, and looks at `visible` afterwards, sees `visible ≥ n`.
//! - **A3** Neither goes back, but for a truncation (`cluster`). Everything that it takes back was
//!   durable before, and it is counted before they do: who sees a count that is higher than at
//!   its own commit knows that the commit was durable.

use crate::base::Lsn;
use crate::vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The last visible commit, and the last durable one.
#[derive(Debug)]
pub struct Reach {
    visible: AtomicU64,
    durable: AtomicU64,
    truncations: AtomicU64,
    /// Nothing moves any more. Orders no other memory: why it stopped is under the append lock.
    stopped: AtomicBool,
}

impl Reach {
    /// Everything up to `lsn` is visible and durable.
    #[must_use]
    pub fn new(lsn: Lsn) -> Self {
        let stopped = AtomicBool::new(false);
        let (visible, durable) = (AtomicU64::new(lsn.0), AtomicU64::new(lsn.0));
        Self { visible, durable, truncations: AtomicU64::new(0), stopped }
    }

    /// The last commit that readers may see.
    #[must_use]
    pub fn visible(&self) -> Lsn {
        Lsn(self.visible.load(Ordering::Acquire))
    }

    /// The last commit on stable storage.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// How many truncations there were; read it after [`Reach::durable`].
    #[must_use]
    pub fn truncations(&self) -> u64 {
        self.truncations.load(Ordering::Acquire)
    }

    /// Counts a truncation of commits that are all durable; under the append lock.
    pub fn truncated(&self) {
        self.truncations.fetch_add(1, Ordering::Release);
    }

    /// Whether the commit `lsn`, before which there were so many truncations, is or was durable.
    #[must_use]
    pub fn reached(&self, lsn: Lsn, truncations: u64) -> bool {
        self.durable() >= lsn || self.truncations() > truncations
    }

    /// Whether the log failed, so that what is not durable never will be.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Says that the log failed; under the append lock.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Shows readers the commits up to `lsn`; under the append lock.
    pub fn show(&self, lsn: Lsn) {
        self.visible.store(lsn.0, Ordering::Release);
    }

    /// Says how far a completed group has come: `visible` first, because what is durable can be
    /// seen (A2). Under the append lock.
    pub fn publish(&self, visible: Lsn, durable: Lsn) {
        self.show(visible);
        self.durable.store(durable.0, Ordering::Release);
    }
}

/// Something that is done once, whoever comes first.
#[derive(Debug)]
pub struct Once(AtomicBool);

impl Once {
    /// Not done yet.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Whether the caller is the first. Orders no other memory; those who come later may go on
    /// before the first has done it.
    ///
    /// # Cost
    /// A load, except for those who come at the same time as the first.
    #[must_use]
    pub fn is_first(&self) -> bool {
        !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed)
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}
