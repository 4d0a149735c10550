//! How a log is opened, and what opening it did.

use std::time::Duration;

use crate::base::Term;
use crate::base::limits::SEGMENT_BYTES_DEFAULT;

use super::demand::default_max;
use super::identity::Ancestor;

/// How to open or create.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// Make the store when there is none.
    pub create: bool,
    /// Segment size of a store that is made now.
    pub segment_bytes: u64,
    /// Era of a store that is made now: 1, or for a restored one the era after its source's.
    pub term: Term,
    /// Where the history of a store that is made now comes from.
    pub ancestors: Vec<Ancestor>,
    /// Leave the identity of a store that is made now to [`Wal::publish_identity`](super::Wal),
    /// so that until then the directory is refused as a store.
    pub defer_identity: bool,
    /// Begin each group on a page of its own: see [`crate::store::StoreBuilder::padded_tails`].
    pub padded_tails: bool,
    /// Write groups past the page cache: see [`crate::store::StoreBuilder::write_through`].
    pub write_through: bool,
    /// Bytes of the log that a [`Follower`](super::Follower) may keep from being released; what
    /// holds back more loses its place and gets `Expired`. 1 GiB: a reader that is an hour late
    /// goes on. More takes more of the disk when a reader hangs. Any number; 0 holds back nothing.
    pub held_bytes_max: u64,
    /// Segments that are prepared ahead at most, and files of released ones that are kept at most
    /// to be used again. `None`: as many as 64 MiB hold, but two to 64, which is four of the
    /// default size. How many of them there are follows what the log needs; an idle one keeps one
    /// prepared. More lets a longer burst of commits find its segments ready and takes more of
    /// the disk; with 0 one is prepared all the same, and each is filled with zeroes. Any number.
    pub pool_segments_max: Option<usize>,
}

impl OpenSettings {
    /// The bound of the pool for segments of this size.
    pub(super) fn pool_max(&self, segment_bytes: u64) -> usize {
        self.pool_segments_max.unwrap_or_else(|| default_max(segment_bytes))
    }
}

impl Default for OpenSettings {
    fn default() -> Self {
        Self {
            create: true,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            term: Term(1),
            ancestors: Vec::new(),
            defer_identity: false,
            padded_tails: false,
            write_through: false,
            held_bytes_max: 1 << 30,
            pool_segments_max: None,
        }
    }
}

/// What recovery did, for the operator.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecoveryReport {
    /// The row of the decision table, such as `@K`.
    pub case: &'static str,
    /// Segments read.
    pub segments: u64,
    /// Records read, bookkeeping included.
    pub records: u64,
    /// Bytes of log read.
    pub bytes: u64,
    /// Time it took, up to the log being ready: a store that is built from it takes longer.
    pub seconds: f64,
    /// Whether the store had been closed in order.
    pub clean: bool,
    /// Bytes of a torn write that were cut.
    pub cut_bytes: u64,
    /// Bytes of the unproven tail that were written again and synced.
    pub rewritten_bytes: u64,
}

impl RecoveryReport {
    /// Bytes of log read in a second; 0 when it took no time that could be measured.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        let micros = u64::try_from(Duration::from_secs_f64(self.seconds.max(0.0)).as_micros())
            .unwrap_or(u64::MAX);
        let per_second = u128::from(self.bytes) * 1_000_000 / u128::from(micros.max(1));
        if micros == 0 { 0 } else { u64::try_from(per_second).unwrap_or(u64::MAX) }
    }
}
