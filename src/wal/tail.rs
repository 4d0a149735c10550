//! Reading what was appended, also while it is only in memory.
//!
//! A leader of a cluster sends its commits to the others while its own disk still writes them. So
//! the newest commits are copied out of the groups that wait or are in the kernel; what is older
//! is in the files, also where it is not synced.

use std::path::Path;

use crate::base::codec::{to_u64, to_usize, widen};
use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::vfs::sync::MutexGuard;

use super::commit::Shared;
use super::format::{RECORD_HEADER, RecordHeader};
use super::group::{Group, State};
use super::log::Wal;
use super::reader::{Limit, LogReader, OwnedRecord};
use super::truncation::Truncations;

/// Consecutive commits from an LSN on, no more of them than a number of bytes.
struct Taken {
    next: Lsn,
    bytes_left: usize,
    commits: Vec<OwnedRecord>,
    is_full: bool,
}

impl Taken {
    const fn new(from: Lsn, bytes: usize) -> Self {
        Self { next: from, bytes_left: bytes, commits: Vec::new(), is_full: false }
    }

    /// Takes the record if it is the next commit; `copy` makes it.
    fn offer(&mut self, header: &RecordHeader, copy: impl FnOnce() -> OwnedRecord) {
        if self.is_full || !header.kind.takes_lsn() || header.lsn != self.next {
            return;
        }
        let len = widen(header.length);
        // One is given however long it is, or nobody would come past it.
        if len > self.bytes_left && !self.commits.is_empty() {
            self.is_full = true;
            return;
        }
        self.bytes_left = self.bytes_left.saturating_sub(len);
        self.commits.push(copy());
        self.next = self.next.next();
    }
}

impl Group {
    /// Gives the group's records to `see`: header, payload, and the piece and place they are in.
    fn each(&self, mut see: impl FnMut(&RecordHeader, &dyn Fn() -> OwnedRecord)) {
        for (index, piece) in self.pieces.iter().enumerate() {
            let Some(first) = self.first else { return };
            let mut at = if index == 0 { first } else { 0 };
            while let Some(bytes) = piece.bytes.get(at..)
                && let offset = piece.start + to_u64(at)
                && let Ok(header) = RecordHeader::decode(bytes, piece.segment.salt, offset)
            {
                let end = RECORD_HEADER + widen(header.length);
                let payload = bytes.get(RECORD_HEADER..end).unwrap_or_default();
                let segment = piece.segment.number;
                see(&header, &|| OwnedRecord {
                    header,
                    payload: payload.to_vec(),
                    segment,
                    offset,
                });
                at += to_usize(header.record_len());
            }
        }
    }
}

impl Shared {
    /// The commits from `from` on that are in memory, if the first of them is; under the append
    /// lock, so that nothing moves to the files meanwhile.
    fn take_from_memory(state: &State, taken: &mut Taken) {
        for group in state.in_kernel.as_deref().into_iter().chain([&state.filling]) {
            group.each(|header, copy| taken.offer(header, copy));
        }
    }

    /// The commits from `from` on that are in the files, and that `truncations` leave.
    fn take_from_files(&self, truncations: &Truncations, taken: &mut Taken) -> Result<()> {
        let dir = self.segments.path.parent().unwrap_or(Path::new(""));
        let mut reader = LogReader::open(dir, &self.runtime)?.with_taken_back();
        while !taken.is_full
            && let Some(record) = reader.next(Limit::Everything)?
        {
            let header = record.header;
            if !truncations.take_back(&header) {
                taken.offer(&header, || record);
            }
        }
        if taken.commits.is_empty() {
            reader.check_end()?;
            let what = "the log no longer holds this commit; go on from a newer one";
            return Err(Error::new(ErrorKind::Expired, what).at_lsn(taken.next));
        }
        Ok(())
    }
}

impl Wal {
    /// The commits from `from` on, without gaps, up to the last that was appended: durable or
    /// not, written or only in memory. About `max_bytes` of payloads, but at least one commit;
    /// none when there is none yet. There may be more than it gives: ask again from the next.
    ///
    /// Any number of readers may ask at the same time. Each keeps its own place, and must ask
    /// from an earlier one when commits that it was given are taken back
    /// ([`Wal::truncate_after`]), which [`Wal::term_at`] or the chain tells.
    ///
    /// # Durability
    /// None: what is given may be gone after a crash.
    ///
    /// # Errors
    /// `Expired` when the log no longer holds `from`; `Poisoned` when the log failed, so that
    /// nobody knows what it holds; `Corrupt`, `Io` from reading the files.
    ///
    /// # Cost
    /// One lock and a copy of what is given, while it is in memory; else the log is read from its
    /// beginning.
    pub fn read_appended(&self, from: Lsn, max_bytes: usize) -> Result<Vec<OwnedRecord>> {
        let from = from.max(Lsn(1));
        let shared = &self.shared;
        let mut state = shared.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(super::turn::poisoned(&failure.error));
            }
            let mut taken = Taken::new(from, max_bytes);
            Shared::take_from_memory(&state, &mut taken);
            if from > state.position.lsn || !taken.commits.is_empty() {
                return Ok(taken.commits);
            }
            let (before, truncations) =
                (shared.reach.truncations(), state.standing.truncations.clone());
            let read = MutexGuard::unlocked(&mut state, || {
                shared.take_from_files(&truncations, &mut taken)
            });
            if shared.reach.truncations() == before && !state.standing.truncating {
                return read.map(|()| taken.commits);
            }
        }
    }
}
