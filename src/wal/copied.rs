//! Commits of another copy of the store, appended as they are.

use crate::base::{Error, ErrorKind, Lsn, Result, Timestamp};

use super::draft::{Draft, Payload, Writer};
use super::format::Kind;
use super::group::Wants;
use super::log::Wal;
use super::reader::OwnedRecord;
use super::room::Asks;

/// A restored log is written in groups of about this size.
const COPY_GROUP_BYTES: usize = 1 << 20;

/// A commit as another copy of the store holds it.
#[derive(Clone, Copy, Debug)]
pub struct CopiedRecord<'a> {
    /// Commit or `TermStart`.
    pub kind: Kind,
    /// Its number.
    pub lsn: Lsn,
    /// Its writer.
    pub writer: Writer,
    /// Its time.
    pub time: Timestamp,
    /// The chain after it.
    pub chain: u64,
    /// Its payload.
    pub payload: &'a [u8],
}

impl Wal {
    /// Appends to `copy`, which stands behind `after`, what this log holds behind it up to `last`,
    /// a durable commit. Gives the bytes of it; durable after [`Wal::sync`] of the copy.
    ///
    /// # Errors
    /// `Corrupt` when this log cannot be read so far; `Diverged` when commits of it are taken back
    /// meanwhile, or the copy does not stand there; `Full`, `Io`.
    ///
    /// # Concurrency
    /// Commits go on meanwhile, and what is still to be read is not released.
    pub fn copy_into(&self, copy: &Self, after: Lsn, last: Lsn) -> Result<u64> {
        let (mut follower, mut copied, mut bytes) = (self.follow(after)?, after, 0);
        while copied < last {
            let Some(OwnedRecord { header, payload, .. }) = follower.next_numbered()? else {
                return Err(follower.lost());
            };
            copy.append_copy(&CopiedRecord {
                kind: header.kind,
                lsn: header.lsn,
                writer: Writer { term: header.term, leader: header.leader },
                time: header.time,
                chain: header.chain,
                payload: &payload,
            })?;
            copied = header.lsn;
            bytes += header.record_len();
        }
        Ok(bytes)
    }

    /// Appends a commit of another copy at the same position; durable after [`Wal::sync`].
    ///
    /// # Errors
    /// `Diverged` when it does not continue this log, else as [`Wal::append`].
    pub fn append_copy(&self, record: &CopiedRecord<'_>) -> Result<()> {
        let payload = Payload::new(record.payload.to_vec());
        self.shared.segments.refuse_too_large(&payload, self.shared.padding_max)?;
        let mut state = self.shared.lock();
        self.shared.make_room(&mut state, payload.record_len(), Asks::Commit)?;
        let position = state.position;
        let opens = record.kind == Kind::TermStart;
        let continues = record.kind.takes_lsn()
            && record.lsn == position.lsn.next()
            && record.time > position.time
            && opens == (record.writer.term > position.term)
            && record.writer.term >= position.term;
        let (kind, writer, time) = (record.kind, record.writer, record.time);
        if continues {
            state.append(&Draft { kind, writer, time, payload: &payload });
        }
        if !continues || state.position.chain != record.chain {
            let what = "the copied commit does not continue this history; copy from the store \
                        this log came from";
            return Err(Error::new(ErrorKind::Diverged, what).at_lsn(record.lsn));
        }
        if state.filling.len() > COPY_GROUP_BYTES && state.leading.is_none() {
            state.filling.wants = Wants::Write;
            self.shared.lead(&mut state);
        }
        Ok(())
    }
}
