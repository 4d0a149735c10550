//! The two ways to count records: by commit for everyone, by record for this copy only.

use std::fmt;

/// Log sequence number: the number of a commit, 1, 2, 3 … without gaps, equal on every copy.
///
/// It is the position in the log, the version of what the commit wrote, and the resume point of
/// feeds, replicas and restores. [`Lsn::ZERO`] stands before the first commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position before the first commit.
    pub const ZERO: Self = Self(0);
    /// The position after every commit.
    pub const MAX: Self = Self(u64::MAX);

    /// The number of the next commit.
    ///
    /// # Panics
    /// At the end of the number space, which a store reaches after 584,000 years of a million
    /// commits a second.
    #[must_use]
    pub const fn next(self) -> Self {
        assert!(self.0 < u64::MAX, "the LSN space is used up");
        Self(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of *every* record of this copy, bookkeeping included; local, gapless, never shipped.
///
/// Contiguity of the log, the durable claim and holes are decided in `Seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first record; as a durable claim it means "no claim".
    pub const ZERO: Self = Self(0);

    /// The number of the next record.
    ///
    /// # Panics
    /// At the end of the number space.
    #[must_use]
    pub const fn next(self) -> Self {
        assert!(self.0 < u64::MAX, "the record number space is used up");
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
