//! The lives of a store in a case: how one ends, what is held across it, how the next begins.

use crate::base::ErrorKind;
use crate::vfs::memory::{CrashMode, MemoryVfs, draw};

use super::model::content;
use super::oracle::Rule;
use super::run::{Outcome, Player};

impl Player<'_> {
    /// Opens the store that is open already: that must be refused.
    pub(super) fn open_beside(&mut self) -> Outcome {
        match self.case.config.builder().runtime(self.runtime()).open() {
            Err(error) if error.kind() == ErrorKind::Locked || self.faulty => Ok(()),
            Err(error) => Err(self.fail(Rule::R11, format!("instead of a lock: {error}"))),
            Ok(_) => Err(self.fail(Rule::R11, "the store was opened twice")),
        }
    }

    /// Compares the snapshot that is held, and takes the next.
    pub(super) fn hold_snapshot(&mut self) -> Outcome {
        self.compare_snapshot()?;
        self.held = Some((self.store()?.snapshot(), self.model.hash));
        Ok(())
    }

    pub(super) fn compare_snapshot(&mut self) -> Outcome {
        let Some((snapshot, was)) = self.held.take() else { return Ok(()) };
        let shown = match content(&snapshot) {
            Ok(shown) => shown,
            Err(error) => return self.unreadable(&error),
        };
        if shown == was {
            return Ok(());
        }
        let detail = format!("the snapshot of {} shows something else now", snapshot.lsn());
        Err(self.fail(Rule::R3, detail))
    }

    pub(super) fn reopen(&mut self) -> Outcome {
        self.compare_snapshot()?;
        if let Some(docs) = self.docs.take() {
            let closed = docs.store().close();
            drop(docs);
            self.note_log(closed)?;
            self.keep_contract()?;
            self.look_at_it_closed()?;
        }
        self.open("reopen")
    }

    /// What is wrong although nothing was lost: the disk was misused, or files were left open.
    fn keep_contract(&self) -> Outcome {
        // A file of a released segment is written anew for the next; see `wal::pool`.
        // Of a store that releases its log every segment may be such a file.
        let releases = self.case.config.tables.is_some_and(|tables| tables.log_needed);
        let is_reuse = |told: &String| {
            let in_the_log = releases && told.contains("/wal/");
            told.contains(".free had synced bytes changed at ") || in_the_log
        };
        if let Some(warning) = self.disk.warnings().iter().find(|told| !is_reuse(told)) {
            return Err(self.fail(Rule::Contract, warning));
        }
        match self.disk.held_files() {
            0 => Ok(()),
            held => Err(self.fail(Rule::Contract, format!("{held} files are open after a close"))),
        }
    }

    /// Goes on with another disk; whatever still uses this one fails.
    pub(super) fn change_disk(&mut self, disk: MemoryVfs) {
        self.disk.clear_observer();
        self.disk.halt();
        self.docs = None;
        self.held = None;
        let mut scene = self.scene.lock();
        if scene.attack.reverting {
            // A failed sync that nobody waited for may have taken back what was only written.
            scene.view.written = scene.view.durable;
        }
        drop(scene);
        self.disk = disk;
        self.heal();
    }

    /// The disk is another one: nothing is planned on it.
    pub(super) const fn heal(&mut self) {
        (self.faulty, self.lies_for_good, self.planned) = (false, false, 0);
    }

    pub(super) fn power_cut(&mut self, step: u64) -> Outcome {
        if self.scene.lock().attack.lying {
            return Ok(());
        }
        let seed = draw(self.case.seed, step.wrapping_mul(3));
        let keep_per_256 = u8::try_from(seed % 256).unwrap_or(128);
        let padded = self.scene.lock().attack.config.padded;
        let cut = if padded && seed.is_multiple_of(2) {
            CrashMode::Hostile { seed }
        } else {
            CrashMode::Random { seed, keep_per_256 }
        };
        let cut = self.disk.crash_with(cut);
        self.change_disk(cut);
        let mut scene = self.scene.lock();
        scene.view.written = scene.view.durable;
        drop(scene);
        self.open("power cut")
    }
}
