//! Who does the work of the checkpointer, and when.
//!
//! A thread is started when there is something to do and ends when it is done, so that a store that
//! only now and then has enough to write keeps none. Checkpoints and merges have one each: a merge
//! takes long, and commits must not wait for it. Without threads, whoever steps does the work, and
//! a commit that finds the memtable overfull.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Result;
use crate::checkpoint::{Extent, Tables};
use crate::vfs::sync::Mutex;
use crate::vfs::sync::atomic::{AtomicBool, Ordering};
use crate::vfs::{Background, thread};

use super::checkpointer::{Checkpointer, TableStats, is_in_doubt};

/// Bytes of log that an open replays in a moment: a close leaves so much without a checkpoint.
const REPLAYED_MAX: u64 = 4 << 20;

/// Without a commit for so long, a store is idle.
const IDLE: Duration = Duration::from_millis(500);

/// The threads of one kind of work: at most one.
#[derive(Debug, Default)]
struct Worker {
    is_at_it: Arc<AtomicBool>,
    /// It was started again while it was at it.
    is_wanted: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Worker {
    /// Starts a thread that calls `work` until it says that nothing is left, unless one is at it.
    fn start(&self, name: &str, work: impl FnMut() -> bool + Send + 'static) {
        self.is_wanted.store(true, Ordering::SeqCst);
        if self.is_at_it.swap(true, Ordering::SeqCst) {
            return;
        }
        let (is_at_it, is_wanted) = (Arc::clone(&self.is_at_it), Arc::clone(&self.is_wanted));
        let mut work = work;
        let body = move || {
            loop {
                is_wanted.store(false, Ordering::SeqCst);
                while work() {}
                is_at_it.store(false, Ordering::SeqCst);
                // Whoever wanted more between the last look and now saw a thread at it.
                if !is_wanted.load(Ordering::SeqCst) || is_at_it.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        };
        let spawned = thread::spawn(name, body);
        // Without the thread nothing is lost: the log grows, and an open replays it.
        self.is_at_it.fetch_and(spawned.is_ok(), Ordering::SeqCst);
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
    merges: Arc<Worker>,
}

impl Jobs {
    pub(super) fn new(checkpointer: Checkpointer, background: Background) -> Self {
        let checkpointer = Arc::new(checkpointer);
        let (checkpoints, merges) = (Worker::default(), Arc::default());
        Self { checkpointer, background, checkpoints, merges }
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
        let (writer, merges) = (Arc::clone(&self.checkpointer), Arc::clone(&self.merges));
        self.checkpoints.start("jidoka-tables", move || {
            let go_on = !writer.stopping.load(Ordering::Relaxed) && writer.is_due();
            let written = go_on && writer.checkpoint().is_ok();
            if written {
                start_merging(&merges, Arc::clone(&writer));
            }
            written
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
        if self.checkpointer.wants_merge(Extent::Busy) {
            return self.checkpointer.merge(Extent::Busy);
        }
        Ok(false)
    }

    /// The tables of the store.
    ///
    /// # Errors
    /// `Poisoned` after the manifest failed.
    pub(super) fn tables(&self) -> Result<&Tables> {
        self.checkpointer.refuse_after_failure()?;
        Ok(&self.checkpointer.tables)
    }

    pub(super) fn checkpoint(&self) -> Result<()> {
        self.checkpointer.checkpoint()
    }

    pub(super) fn compact(&self) -> Result<()> {
        self.checkpointer.merge(Extent::Everything).map(|_merged| ())
    }

    /// Begins nothing any more, and waits for what is under way.
    pub(super) fn stop(&self) {
        self.checkpointer.stop();
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

/// Has runs merged while there are many, and once nobody has committed for a moment, also where
/// they only take space.
fn start_merging(merges: &Worker, merger: Arc<Checkpointer>) {
    merges.start("jidoka-merge", move || {
        if merger.stopping.load(Ordering::Relaxed) {
            return false;
        }
        if merger.wants_merge(Extent::Busy) {
            return merger.merge(Extent::Busy).is_ok_and(|merged| merged);
        }
        if !merger.wants_merge(Extent::Idle) {
            return false;
        }
        // Whoever commits meanwhile is waited for again, for as long as that takes.
        !merger.is_idle_for(IDLE) || merger.merge(Extent::Idle).is_ok_and(|merged| merged)
    });
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.stop();
    }
}
