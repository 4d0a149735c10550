//! Operations, and the one who is told after each that changed something.

use std::fmt;
use std::path::PathBuf;

use super::disk::MemoryVfs;
use crate::vfs::sync::Mutex;
use crate::vfs::thread::{ThreadId, current_id};

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
    /// `link`; its path is the new name.
    Link,
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
            | Self::Link
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
        *self.inside.lock() == Some(current_id())
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
            *self.inside.lock() = Some(current_id());
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, mpsc};

    use super::super::support::{create, fault, open, remove, rename, sync_root};
    use super::super::{CrashMode, FaultKind};
    use super::*;
    use crate::vfs::{FileExt, OpenMode, Vfs};

    #[test]
    fn the_observer_sees_each_change_right_after_it_and_nothing_else() {
        let disk = MemoryVfs::new();
        let (sender, seen) = mpsc::channel();
        disk.set_observer(Box::new(move |disk, operation| {
            let image = disk.crash_with(CrashMode::Everything);
            assert_eq!(image.files(), disk.files());
            let path = operation.path.to_string_lossy().into_owned();
            sender.send((operation.number, operation.kind, path, disk.files().len())).unwrap();
        }));
        let file = create(&disk, "/a");
        file.write_all_at(b"x", 0).unwrap();
        file.size().unwrap();
        file.sync_all().unwrap();
        file.set_len(0).unwrap();
        rename(&disk, "/a", "/b");
        disk.list(Path::new("/")).unwrap();
        disk.create_dir(Path::new("/d")).unwrap();
        remove(&disk, "/b");
        sync_root(&disk);
        disk.clear_observer();
        drop(create(&disk, "/unseen"));
        let seen: Vec<_> = seen.try_iter().collect();
        let expected = [
            (0, OperationKind::Create, "/a", 1),
            (1, OperationKind::Write, "/a", 1),
            (3, OperationKind::Sync, "/a", 1),
            (4, OperationKind::SetLen, "/a", 1),
            (5, OperationKind::Rename, "/b", 1),
            (7, OperationKind::CreateDir, "/d", 1),
            (8, OperationKind::Remove, "/b", 0),
            (9, OperationKind::SyncDir, "/", 0),
        ];
        assert_eq!(
            seen,
            expected.map(|(at, kind, path, files)| (at, kind, path.to_owned(), files))
        );
    }

    #[test]
    fn the_observer_may_use_the_disk_without_being_told_about_it() {
        let disk = MemoryVfs::new();
        let calls = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&calls);
        disk.set_observer(Box::new(move |disk, operation| {
            *counted.lock() += 1;
            open(disk, "/a").write_all_at(b"note", 0).unwrap();
            if operation.kind == OperationKind::Write {
                disk.halt();
            }
        }));
        let file = create(&disk, "/a");
        file.write_all_at(b"x", 0).unwrap();
        file.sync_all().unwrap_err();
        assert_eq!(*calls.lock(), 2);
        assert_eq!(disk.read_file("/a").unwrap(), b"note");
    }

    #[test]
    fn a_change_that_failed_midway_is_observed_and_one_that_was_stopped_is_not() {
        let disk = MemoryVfs::new();
        let file = create(&disk, "/a");
        let (sender, seen) = mpsc::channel();
        disk.set_observer(Box::new(move |disk, _| {
            sender.send(disk.read_file("/a").unwrap()).unwrap();
        }));
        disk.plan(fault(OperationKind::Write, 0, FaultKind::NoSpace));
        disk.plan(fault(OperationKind::Write, 1, FaultKind::TornWrite { bytes: 1 }));
        file.write_at(b"ab", 0).unwrap_err();
        file.write_at(b"ab", 0).unwrap_err();
        disk.open(Path::new("/a"), OpenMode::CreateNew).unwrap_err();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [b"a", b"a"]);
    }
}
