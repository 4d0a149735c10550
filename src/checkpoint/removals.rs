//! Table files that are not listed any more: removed at once, or when the last copy is done.
//!
//! A reader has its table open, and its bytes outlive their name. Who copies needs the name.

use std::path::PathBuf;

use crate::vfs::Vfs;
use crate::vfs::sync::Mutex;

/// What waits to be removed.
#[derive(Debug, Default)]
pub(super) struct Removals(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// How many copy now.
    pins: usize,
    files: Vec<PathBuf>,
}

impl Removals {
    /// Nothing is removed until [`Removals::unpin`] was called as often.
    pub(super) fn pin(&self) {
        self.0.lock().pins += 1;
    }

    /// Removes what has waited, if nobody copies any more.
    pub(super) fn unpin(&self, vfs: &dyn Vfs) {
        let mut waiting = self.0.lock();
        waiting.pins -= 1;
        if waiting.pins == 0 {
            let files = std::mem::take(&mut waiting.files);
            // What cannot be removed is an orphan, and goes when the store is opened next.
            files.iter().for_each(|file| drop(vfs.remove(file)));
        }
    }

    /// Removes a file that no durable edit lists any more (C4), now or later.
    pub(super) fn remove(&self, vfs: &dyn Vfs, file: PathBuf) {
        let mut waiting = self.0.lock();
        if waiting.pins > 0 {
            waiting.files.push(file);
        } else {
            drop(vfs.remove(&file));
        }
    }
}
