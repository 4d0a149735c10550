//! Commits of another copy of the store, appended as they are.

use crate::base::{Error, ErrorKind, Lsn, Result, Timestamp};

use super::draft::{Draft, Payload, Writer};
use super::format::Kind;
use super::group::Wants;
use super::log::Wal;
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
