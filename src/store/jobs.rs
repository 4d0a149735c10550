//! Who does the work of the checkpointer, and when.
//!
//! A thread is started when there is something to do and ends when it is done, so that a store that
//! only now and then has enough to write keeps none. Checkpoints and merges have one each: a merge
//! takes long, and commits must not wait for it. Without threads, whoever steps does the work, and
//! a commit that finds the memtable overfull.

use std::sync::Arc;

use crate::base::Result;
use crate::checkpoint::Extent;
use crate::vfs::sync::Mutex;
use crate::vfs::sync::atomic::{AtomicBool, Ordering};
use crate::vfs::{Background, thread};

use super::checkpointer::{Checkpointer, TableStats, is_in_doubt};

/// Bytes of log that an open replays in a moment: a close leaves so much without a checkpoint.
const REPLAYED_MAX: u64 = 4 << 20;

/// The threads of one kind of work: at most one.
#[derive(Debug, Default)]
struct Worker {
    is_at_it: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Worker {
    /// Starts a thread that calls `work` until it says that nothing is left, unless one is at it.
    fn start(&self, name: &str, work: impl FnMut() -> bool + Send + 'static) {
        if self.is_at_it.swap(true, Ordering::AcqRel) {
            return;
        }
        let (mut work, is_at_it) = (work, Arc::clone(&self.is_at_it));
        let body = move || {
            while work() {}
            is_at_it.store(false, Ordering::Release);
        };
        let spawned = thread::spawn(name, body);
        // Without the thread nothing is lost: the log grows, and an open replays it.
        self.is_at_it.fetch_and(spawned.is_ok(), Ordering::AcqRel);
        *self.thread.lock() = spawned.ok();
    }

    fn join(&self) {
        let thread = self.thread.lock().take();
        // A panic in it has ended it; what it left is what a crash would leave.
        let _ended = thread.map(thread::JoinHandle::join);
    }
}

/// The background work of one store.
#[derive(Debug)]
pub(super) struct Jobs {
    checkpointer: Arc<Checkpointer>,
    background: Background,
    checkpoints: Worker,
    merges: Worker,
}

impl Jobs {
    pub(super) fn new(checkpointer: Checkpointer, background: Background) -> Self {
        let checkpointer = Arc::new(checkpointer);
        Self { checkpointer, background, checkpoints: Worker::default(), merges: Worker::default() }
    }

    /// What a commit does once it is in the memtable, which has so many bytes then: nothing, nearly
    /// always.
    pub(super) fn after_append(&self, memtable_bytes: usize) {
        self.checkpointer.note(memtable_bytes);
    }

    /// What a commit does before it takes the append lock.
    ///
    /// # Errors
    /// `Poisoned` after the manifest failed.
    pub(super) fn before_append(&self) -> Result<()> {
        self.checkpointer.refuse_after_failure()?;
        if self.checkpointer.is_due() {
            self.hurry();
        }
        Ok(())
    }

    /// Has a checkpoint written, and waits for it when there is no other way to bound memory.
    fn hurry(&self) {
        let is_overdue = self.checkpointer.is_overdue();
        if self.background == Background::Threads {
            self.start();
            if is_overdue {
                self.checkpointer.wait_for_checkpoint();
            }
        } else if is_overdue {
            // What fails is tried again later: the commit itself needs only the log.
            let _later = self.checkpointer.checkpoint();
        }
    }

    fn start(&self) {
        let (writer, merger) = (Arc::clone(&self.checkpointer), Arc::clone(&self.checkpointer));
        self.checkpoints.start("jidoka-tables", move || {
            let go_on = !writer.stopping.load(Ordering::Relaxed) && writer.is_due();
            go_on && writer.checkpoint().is_ok()
        });
        self.merges.start("jidoka-merge", move || {
            let go_on = !merger.stopping.load(Ordering::Relaxed) && merger.has_many_runs();
            go_on && merger.merge(Extent::Busy).is_ok_and(|merged| merged)
        });
    }

    /// Does one job if one is due, for runtimes without threads; false if none is.
    pub(super) fn step(&self) -> Result<bool> {
        if self.background == Background::Threads {
            return Ok(false);
        }
        if self.checkpointer.is_due() {
            return self.checkpointer.checkpoint().map(|()| true);
        }
        if self.checkpointer.has_many_runs() {
            return self.checkpointer.merge(Extent::Busy);
        }
        Ok(false)
    }

    pub(super) fn checkpoint(&self) -> Result<()> {
        self.checkpointer.checkpoint()
    }

    pub(super) fn compact(&self) -> Result<()> {
        self.checkpointer.merge(Extent::Everything).map(|_merged| ())
    }

    /// Begins nothing any more, and waits for what is under way.
    pub(super) fn stop(&self) {
        self.checkpointer.stopping.store(true, Ordering::Relaxed);
        self.checkpoints.join();
        self.merges.join();
    }

    /// A checkpoint, where the next open would have much to replay.
    pub(super) fn checkpoint_before_close(&self) -> Result<()> {
        if self.checkpointer.replayed_bytes() <= REPLAYED_MAX {
            return Ok(());
        }
        match self.checkpointer.checkpoint() {
            Err(error) if is_in_doubt(&error) => Err(error),
            // Closed before; or there is no room, and the next open replays what is in the log.
            _ => Ok(()),
        }
    }

    pub(super) fn stats(&self) -> TableStats {
        self.checkpointer.stats()
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.stop();
    }
}
