//! What a store runs on: a disk, a clock, randomness, and who does the background work.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::fs::Vfs;
use super::os::{OsClock, OsRng, OsVfs};
use crate::base::Timestamp;

/// A source of time.
pub trait Clock: Debug + Send + Sync {
    /// Wall-clock time; may jump either way.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
}

/// A source of random bytes.
pub trait Rng: Debug + Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When the source is not available.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// Who does the work that no caller waits for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// A thread of the store, started when first needed.
    Threads,
    /// Nobody, until the owner calls `step`: for simulation, where every order is chosen.
    Stepped,
}

/// Everything outside the engine that the engine uses.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Files.
    pub vfs: Arc<dyn Vfs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Background work.
    pub background: Background,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            vfs: Arc::new(OsVfs),
            clock: Arc::new(OsClock::default()),
            rng: Arc::new(OsRng),
            background: Background::Threads,
        }
    }
}

impl Runtime {
    /// `N` random bytes.
    ///
    /// # Errors
    /// When the source of randomness is not available.
    pub fn random<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.rng.fill(&mut bytes)?;
        Ok(bytes)
    }
}
