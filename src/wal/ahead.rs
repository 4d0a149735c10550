//! Reading the log ahead of whoever takes its records: threads read and check chunks, each chunk
//! by itself, and hand them over in order.
//!
//! One thread at a time reads, because where a chunk begins is known only when the one before was
//! read; all of them check at the same time, which is the larger part of the work. At most
//! [`AHEAD`] chunks wait, so a reader that is slow holds everybody up and memory stays bounded
//! (L8). On a disk that wants one reader at a time nothing of this happens: the caller reads and
//! checks each chunk when it asks for it, and the order of calls is the same every time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::base::SegmentNumber;
use crate::vfs::sync::{Condvar, Mutex, MutexGuard};
use crate::vfs::thread;

use super::chunk::{Buffers, Chunk, ChunkReader};

/// Chunks that are read, or checked, or wait to be taken, at most.
const AHEAD: u64 = 6;
/// Threads that read ahead, at most: one reads at a time, and few are needed to check what it
/// read.
const READERS_MAX: usize = 4;

/// A chunk, or why it cannot be read and in which segment.
type Read = Result<Chunk, (SegmentNumber, io::Error)>;

/// Chunks of a log, in order.
#[derive(Debug)]
pub(super) struct Ahead {
    shared: Arc<Shared>,
    readers: Vec<thread::JoinHandle<()>>,
    /// Chunks taken.
    taken: u64,
    spare: Vec<Buffers>,
}

#[derive(Debug)]
struct Shared {
    source: Mutex<Source>,
    waiting: Mutex<Waiting>,
    /// Told when `waiting.taken` grows, or nobody wants more.
    room: Condvar,
    /// Told when a chunk is ready, or none will come.
    ready: Condvar,
    segment_bytes: u64,
}

/// Under its lock one thread reads.
#[derive(Debug)]
struct Source {
    reader: ChunkReader,
    /// The number of the next chunk.
    number: u64,
}

/// What was read and not taken yet.
#[derive(Debug, Default)]
struct Waiting {
    chunks: BTreeMap<u64, Read>,
    spare: Vec<Buffers>,
    taken: u64,
    /// The log has this many chunks.
    end: Option<u64>,
    /// Nobody wants more, or a reader is gone that should not be.
    over: bool,
}

impl Ahead {
    /// Starts to read with up to `readers` threads; with one, or if none can be started, the
    /// caller reads.
    pub(super) fn start(reader: ChunkReader, segment_bytes: u64, readers: usize) -> Self {
        let shared = Arc::new(Shared {
            source: Mutex::new(Source { reader, number: 0 }),
            waiting: Mutex::new(Waiting::default()),
            room: Condvar::new(),
            ready: Condvar::new(),
            segment_bytes,
        });
        let start = |_| {
            let shared = shared.clone();
            thread::spawn("jidoka-read", move || shared.work()).ok()
        };
        let wanted = if readers > 1 { readers.min(READERS_MAX) } else { 0 };
        let readers = (0..wanted).filter_map(start).collect();
        Self { shared, readers, taken: 0, spare: Vec::new() }
    }

    /// The next chunk, checked; `None` after the last.
    pub(super) fn next(&mut self) -> Option<Read> {
        if self.readers.is_empty() {
            let buffers = self.spare.pop().unwrap_or_default();
            let mut read = self.shared.source.lock().reader.read(buffers);
            if let Some(Ok(chunk)) = &mut read {
                chunk.check(self.shared.segment_bytes);
            }
            return read;
        }
        let mut waiting = self.shared.waiting.lock();
        waiting.spare.append(&mut self.spare);
        loop {
            if let Some(read) = waiting.chunks.remove(&self.taken) {
                self.taken += 1;
                waiting.taken = self.taken;
                self.shared.room.notify_one();
                return Some(read);
            }
            if waiting.end == Some(self.taken) {
                return None;
            }
            if waiting.over {
                let gone = io::Error::other("a thread that reads the log is gone");
                return Some(Err((SegmentNumber(0), gone)));
            }
            self.shared.ready.wait(&mut waiting);
        }
    }

    /// Takes back what a chunk was made of.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        self.spare.push(Buffers::of(chunk));
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.end_all(&mut self.shared.waiting.lock());
        for reader in self.readers.drain(..) {
            // One that panicked has said so to who waited for it.
            let _gone = reader.join();
        }
    }
}

/// Says, however a reader ends, that no more will come of it.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if thread::is_panicking() {
            self.0.end_all(&mut self.0.waiting.lock());
        }
    }
}

impl Shared {
    fn end_all(&self, waiting: &mut MutexGuard<'_, Waiting>) {
        waiting.over = true;
        self.room.notify_all();
        self.ready.notify_all();
    }

    fn work(&self) {
        let _leaving = Leaving(self);
        while let Some((number, mut read)) = self.read() {
            if let Ok(chunk) = &mut read {
                chunk.check(self.segment_bytes);
            }
            self.waiting.lock().chunks.insert(number, read);
            self.ready.notify_all();
        }
    }

    /// Waits for room and reads the next chunk; `None` when there is none or nobody wants it.
    fn read(&self) -> Option<(u64, Read)> {
        let mut source = self.source.lock();
        let number = source.number;
        let mut waiting = self.waiting.lock();
        while !waiting.over && number >= waiting.taken + AHEAD {
            self.room.wait(&mut waiting);
        }
        if waiting.over {
            return None;
        }
        let buffers = waiting.spare.pop().unwrap_or_default();
        drop(waiting);
        let Some(read) = source.reader.read(buffers) else {
            self.waiting.lock().end = Some(number);
            self.ready.notify_all();
            return None;
        };
        source.number += 1;
        Some((number, read))
    }
}
