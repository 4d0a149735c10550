//! Writing the manifest: edits, each durable for itself, and new files when one is full.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::base::checksum::hash64;
use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::{MANIFEST_PAYLOAD_BYTES_MAX, PAGE};
use crate::base::mark::{Mark, hit};
use crate::base::{Error, ErrorKind, Result};
use crate::vfs::{File, FileExt, OpenMode, replace_file};
use crate::wal::format::{Salt, page_ceil};
use crate::wal::segment::sync_twice;

use super::change::{CHANGES_MAX, Change};
use super::dir::{CURRENT, DIR_NAME, ManifestDir, shown_path};
use super::format::{EditId, RECORDS_START, RecordKind, encode_record, record_bytes};
use super::read::ManifestRead;
use super::sector::{FILE_BYTES_MAX, FILE_BYTES_MIN, Role, Sector};
use super::state::{Refusal, State};

/// Zeroes are written in pieces of this size.
const ZEROES: usize = 64 << 10;

/// The file that edits are written to.
#[derive(Debug)]
struct InForce {
    sector: Sector,
    file: Arc<dyn File>,
    /// Where the next record begins.
    end: u64,
}

/// The manifest of a store that may be written.
///
/// # Concurrency
/// One writer: the caller brings the lock.
#[derive(Debug)]
pub struct Manifest {
    dir: ManifestDir,
    /// Size of a new file that need not be larger.
    file_bytes: u64,
    in_force: Option<InForce>,
    /// Number of the next file, whether or not the one before was finished.
    next_file: u64,
    state: State,
    last: EditId,
    /// Why nothing is written any more.
    poison: Option<Error>,
}

impl Manifest {
    /// Makes what was read durable, and removes what crashes left.
    pub(super) fn begin(read: ManifestRead, clean: bool, file_bytes: u64) -> Result<Self> {
        let last = read.last();
        let ManifestRead { dir, current, history } = read;
        let named = current.map_or(0, |sector| sector.manifest);
        let highest = dir.numbers()?.into_iter().max().unwrap_or_default().max(named);
        let mut manifest = Self {
            file_bytes,
            in_force: None,
            next_file: highest + 1,
            state: history.state,
            last,
            poison: None,
            dir,
        };
        match current {
            Some(sector) if clean => {
                let path = manifest.dir.file_path(sector.manifest);
                let opened = manifest.dir.runtime.vfs.open(&path, OpenMode::ReadWrite);
                let file = opened
                    .map_err(|error| Error::io("open", &shown_path(sector.manifest), error))?;
                manifest.in_force = Some(InForce { sector, file, end: history.end });
            }
            // M4: what was read may be in the page cache and nowhere else, after a failed sync.
            Some(_) => manifest.switch(0)?,
            None => {}
        }
        manifest.sweep()?;
        Ok(manifest)
    }

    /// The state after the last edit.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The last edit.
    #[must_use]
    pub const fn last(&self) -> EditId {
        self.last
    }

    /// Adds one edit: all of `changes`, or none of them.
    ///
    /// Whoever gets `OutcomeUnknown` or `Poisoned` must not close the store as if all were well:
    /// only an open that knows of no clean close looks at the end again.
    ///
    /// # Durability
    /// After `Ok` the edit survives a power cut.
    ///
    /// # Errors
    /// - `Full` when the state would be larger than its limits, or the disk has no room for a new
    ///   file; `Io` when one cannot be made. The edit was not begun, and others may follow.
    /// - `OutcomeUnknown` when the write or sync of the edit failed: the next open decides.
    /// - `Poisoned` after that, and when a new manifest could not be put in force.
    /// - `Bug` when the changes contradict the state; nothing was written.
    ///
    /// # Cost
    /// One write of whole pages and a sync, which is asked twice; when the file is full, a new one
    /// before that.
    pub fn append(&mut self, changes: &[Change]) -> Result<EditId> {
        if let Some(poison) = &self.poison {
            return Err(poison.clone());
        }
        let (payload, state) = self.prepare(changes)?;
        let room = record_bytes(payload.len());
        let has_room = |file: &InForce| file.end + room <= file.sector.file_bytes;
        if !self.in_force.as_ref().is_some_and(has_room) {
            if self.in_force.is_some() {
                hit(Mark::ManifestRotated);
            }
            self.switch(room).map_err(|error| self.poison.clone().unwrap_or(error))?;
            // The old file is a leftover: the next open removes it if this does not.
            let _ignored = self.sweep();
        }
        let Some(InForce { sector, file, end }) = &mut self.in_force else {
            return Err(bug("no manifest is in force"));
        };
        let id = self.last.next(hash64(&payload));
        let spot = (sector.salt, *end);
        let record = encode_record(RecordKind::Edit, id, state.checkpoint(), &payload, spot);
        if let Err(error) = write_edit(file.as_ref(), &record, *end) {
            let cause = Error::io("write an edit of", &shown_path(sector.manifest), error);
            self.poison = Some(poisoned(&cause));
            let says = "the edit may or may not survive: close the store and open it again to see";
            return Err(cause.as_kind(ErrorKind::OutcomeUnknown).within(says));
        }
        *end += room;
        (self.state, self.last) = (state, id);
        Ok(id)
    }

    /// The payload of an edit, and the state after it.
    fn prepare(&self, changes: &[Change]) -> Result<(Vec<u8>, State)> {
        if changes.is_empty() {
            return Err(bug("an edit changes nothing"));
        }
        let state = self.state.clone().after(changes).map_err(|refusal| match refusal {
            Refusal::Contradiction(what) => bug(what),
            Refusal::Limit(what) => Error::new(ErrorKind::Full, what),
        })?;
        let mut payload = Vec::new();
        changes.iter().for_each(|change| change.encode(&mut payload));
        if changes.len() > CHANGES_MAX || payload.len() > MANIFEST_PAYLOAD_BYTES_MAX {
            let what = "an edit of the manifest is too long; split it";
            return Err(Error::new(ErrorKind::Full, what));
        }
        Ok((payload, state))
    }

    /// Puts a new manifest in force, with the state as it is and room for at least `room` bytes.
    ///
    /// # Errors
    /// `Full`, `Io`: the manifest before it is in force, unless this is poisoned now.
    fn switch(&mut self, room: u64) -> Result<()> {
        // Whatever became of the file before, its number is not used again.
        let number = self.next_file;
        self.next_file += 1;
        let fail = |error| Error::io("make", &shown_path(number), error);
        let made = self.make(number, room);
        if made.is_err() {
            // It is not in force, and nobody reads it; give its space back now.
            let _ignored = self.dir.runtime.vfs.remove(&self.dir.file_path(number));
        }
        let made = made.map_err(fail)?;
        let bytes = made.sector.encode(Role::Current);
        let vfs = self.dir.runtime.vfs.as_ref();
        if let Err(error) = replace_file(vfs, &self.dir.store, CURRENT, &bytes) {
            // Nobody knows which one is in force: an edit in either could be lost (M2).
            let cause = Error::io("replace", Path::new(CURRENT), error);
            self.poison = Some(poisoned(&cause));
            return Err(cause);
        }
        self.in_force = Some(made);
        Ok(())
    }

    /// Makes a whole manifest, durable under its name.
    fn make(&self, number: u64, room: u64) -> io::Result<InForce> {
        let ManifestDir { runtime, store, store_id } = &self.dir;
        if self.in_force.is_none() {
            match runtime.vfs.create_dir(&self.dir.path()) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                // Also when it was there: whoever made it may not have come to this.
                _ => runtime.vfs.sync_dir(store)?,
            }
        }
        let mut payload = Vec::new();
        self.state.snapshot().iter().for_each(|change| change.encode(&mut payload));
        let snapshot_bytes = record_bytes(payload.len());
        // As much again as the snapshot: else a large store would write one for every edit.
        let needed = RECORDS_START + snapshot_bytes + snapshot_bytes.max(room);
        let wanted = page_ceil(self.file_bytes.clamp(FILE_BYTES_MIN, FILE_BYTES_MAX));
        let file_bytes = wanted.max(needed);
        let salt = Salt(u64::from_le_bytes(runtime.random()?).max(1));
        let sector = Sector { store_id: *store_id, manifest: number, salt, file_bytes };
        let file = runtime.vfs.open(&self.dir.file_path(number), OpenMode::CreateNew)?;
        let mut bytes = sector.encode(Role::Header);
        bytes.resize(PAGE, 0);
        let spot = (salt, RECORDS_START);
        let checkpoint = self.state.checkpoint();
        bytes.extend(encode_record(RecordKind::Snapshot, self.last, checkpoint, &payload, spot));
        file.write_all_at(&bytes, 0)?;
        let end = to_u64(bytes.len());
        let zeroes = vec![0; ZEROES];
        let mut offset = end;
        while offset < file_bytes {
            let count = to_usize(file_bytes - offset).min(ZEROES);
            file.write_all_at(zeroes.get(..count).unwrap_or_default(), offset)?;
            offset += to_u64(count);
        }
        sync_twice(file.as_ref())?;
        runtime.vfs.sync_dir(&self.dir.path())?;
        Ok(InForce { sector, file, end })
    }

    /// Removes every manifest that is not in force (M5).
    fn sweep(&self) -> Result<()> {
        let named = self.in_force.as_ref().map(|file| file.sector.manifest);
        let mut swept = false;
        for number in self.dir.numbers()?.into_iter().filter(|number| Some(*number) != named) {
            let removed = self.dir.runtime.vfs.remove(&self.dir.file_path(number));
            removed.map_err(|error| Error::io("remove", &shown_path(number), error))?;
            swept = true;
        }
        if swept {
            let synced = self.dir.runtime.vfs.sync_dir(&self.dir.path());
            synced.map_err(|error| Error::io("make durable", Path::new(DIR_NAME), error))?;
        }
        Ok(())
    }
}

/// Writes a record, and makes it durable.
///
/// Asks twice: a file system may report the failure of one sync at the next, and after an edit
/// segments of the log are released and tables removed, which nothing undoes.
fn write_edit(file: &dyn File, record: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(record, offset)?;
    file.sync_data()?;
    file.sync_data()
}

fn bug(what: &str) -> Error {
    let what = format!("{what}: please report this edit of the manifest");
    Error::new(ErrorKind::Bug, what)
}

fn poisoned(cause: &Error) -> Error {
    cause.clone().as_kind(ErrorKind::Poisoned).within(
        "nothing of this call was written, because a write or sync of the manifest failed: close \
         the store and open it again",
    )
}
