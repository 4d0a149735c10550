//! Operations, and the one who is told after each that changed something.

use std::fmt;
use std::path::PathBuf;
use std::thread::{self, ThreadId};

use super::disk::MemoryVfs;
use crate::vfs::sync::Mutex;

/// Which call an operation is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// `open` of an existing file.
    Open,
    /// `open` of a new file.
    Create,
    /// `read_at`.
    Read,
    /// `write_at`.
    Write,
    /// `sync_data` or `sync_all`.
    Sync,
    /// `set_len`.
    SetLen,
    /// `size`.
    Size,
    /// `rename`; its path is the new one.
    Rename,
    /// `remove`.
    Remove,
    /// `list`.
    List,
    /// `create_dir`.
    CreateDir,
    /// `sync_dir`.
    SyncDir,
    /// `lock`.
    Lock,
}

impl OperationKind {
    /// Whether the observer is told about it. Not about a lock: no crash there leaves more than
    /// the empty lock file, which a crash at the next operation leaves as well.
    pub(super) const fn is_mutation(self) -> bool {
        match self {
            Self::Create
            | Self::Write
            | Self::Sync
            | Self::SetLen
            | Self::Rename
            | Self::Remove
            | Self::CreateDir
            | Self::SyncDir => true,
            Self::Open | Self::Read | Self::Size | Self::List | Self::Lock => false,
        }
    }
}

/// One call of the disk or of one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its place in the order of all operations of the disk, starting with 0.
    pub number: u64,
    /// Which call it is.
    pub kind: OperationKind,
    /// What it is about; for a file, the path it was opened by.
    pub path: PathBuf,
}

/// Who is told after each operation that may have changed the disk.
pub type Observer = Box<dyn FnMut(&MemoryVfs, &Operation) + Send>;

/// Holds the observer. The lock is held while it runs, so that it misses nothing that other
/// threads do; what it does to the disk itself is not observed.
#[derive(Default)]
pub(super) struct Observers {
    observer: Mutex<Option<Observer>>,
    inside: Mutex<Option<ThreadId>>,
}

impl Observers {
    fn is_inside(&self) -> bool {
        *self.inside.lock() == Some(thread::current().id())
    }

    pub(super) fn set(&self, observer: Option<Observer>) {
        assert!(!self.is_inside(), "an observer must not replace itself: do it after the run");
        *self.observer.lock() = observer;
    }

    pub(super) fn notify(&self, vfs: &MemoryVfs, operation: impl FnOnce() -> Operation) {
        if self.is_inside() {
            return;
        }
        if let Some(observer) = self.observer.lock().as_mut() {
            *self.inside.lock() = Some(thread::current().id());
            observer(vfs, &operation());
            *self.inside.lock() = None;
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observers")
    }
}
