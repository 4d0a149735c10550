//! Commit time.

use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Commit times increase strictly along the log, whatever the machine's clock does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The beginning of 1970, before every commit.
    pub const ZERO: Self = Self(0);

    /// The smallest later time.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// This time moved ahead by `micros` microseconds.
    #[must_use]
    pub const fn plus_micros(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
