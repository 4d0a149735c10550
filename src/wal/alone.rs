//! The log by itself: bytes in, the same bytes out, in order; for programs that need no more.

use std::path::Path;

use crate::base::{Lsn, Result, Timestamp};
use crate::vfs::Runtime;

use super::commit::{Appending, Durability};
use super::draft::Payload;
use super::log::Wal;
use super::settings::OpenSettings;
use super::waiting::Deadline;

/// Appends whatever comes.
#[derive(Debug)]
struct Unconditional;

impl Appending for Unconditional {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn appended(&mut self, _lsn: Lsn, _time: Timestamp) {}
}

impl Wal {
    /// Opens or creates a log in the directory `dir`, which holds nothing else; read it with
    /// [`Wal::follow`].
    ///
    /// # Durability
    /// Everything that is in it then is on stable storage, and what was acknowledged with
    /// [`Durability::Sync`] is in it.
    ///
    /// # Errors
    /// As [`Wal::open`], which also gives what is in the log, takes another clock and another
    /// disk, and is what a store opens its log with.
    ///
    /// # Cost
    /// Reads the whole log; making one writes a segment of zeroes.
    ///
    /// # Examples
    /// ```
    /// use jidoka::base::Lsn;
    /// use jidoka::wal::{Durability, OpenSettings, Wal};
    ///
    /// # fn main() -> jidoka::base::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("events");
    /// let log = Wal::open_alone(&dir, &OpenSettings::default())?;
    /// log.commit(b"bell: 12 in stock", Durability::Memory)?;
    /// let sold = log.commit(b"bell: 1 sold", Durability::Sync)?; // both are on the disk now
    ///
    /// let mut follower = log.follow(Lsn::ZERO)?;
    /// while let Some(record) = follower.next_commit()? {
    ///     println!("{}: {}", record.header.lsn, String::from_utf8_lossy(&record.payload));
    /// }
    /// log.release(sold)?; // nobody needs what came before
    /// log.close()
    /// # }
    /// ```
    pub fn open_alone(dir: impl AsRef<Path>, settings: &OpenSettings) -> Result<Self> {
        Self::open(dir.as_ref(), &Runtime::default(), settings, &mut |_| Ok(()))
    }

    /// Appends `bytes` as one commit, and gives its number when it is as durable as asked.
    ///
    /// Numbers grow by one, but the log takes one for itself whenever its writer's era begins.
    ///
    /// # Durability
    /// As `durability` says; with [`Durability::Sync`] the commit and every one before it survive
    /// a crash of the process, of the kernel, and of the power.
    ///
    /// # Errors
    /// `Invalid` (too large for a segment), `Closed`, `Poisoned`, `Full`, `Io`: nothing was
    /// appended; `OutcomeUnknown` when its own write or sync failed.
    ///
    /// # Cost
    /// At most one write and one sync for all that commit at the same time.
    pub fn commit(&self, bytes: impl Into<Vec<u8>>, durability: Durability) -> Result<Lsn> {
        let (payload, wanted) = (Payload::new(bytes.into()), (durability, Deadline::NONE));
        let (appended, waited) = self.append_and_wait(&payload, wanted, &mut Unconditional)?;
        waited.map(|()| appended.lsn)
    }
}
