//! The disk as a [`Vfs`]: every call is counted, asked for faults, done, and observed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::fault::{FaultKind, Plan};
use super::handle::{MemoryFile, MemoryLock, MemoryThrough};
use super::observer::{Observers, Operation, OperationKind};
use super::tree::Tree;
use crate::base::mark::{Mark, hit};
use crate::vfs::fs::{DirEntry, File, Lock, OpenMode, Reading, Vfs};
use crate::vfs::sync::{Mutex, MutexGuard};

/// A disk in memory; clones are handles of the same disk.
///
/// It begins with an empty durable root directory, `/`. A relative path starts there too.
#[derive(Clone, Default)]
pub struct MemoryVfs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    disk: Mutex<Disk>,
    observers: Observers,
}

/// Everything under the one lock.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) tree: Tree,
    /// The number of the next unit.
    pub(super) units: u64,
    /// The number of the next operation.
    pub(super) operations: u64,
    pub(super) plan: Plan,
    /// The files that are locked.
    pub(super) locked: BTreeSet<u64>,
    /// The files that readers keep from being locked, and how many do.
    pub(super) shared: BTreeMap<u64, u64>,
    pub(super) warnings: Vec<String>,
    /// Every operation fails.
    pub(super) gone: bool,
    reading: Reading,
    /// Every write gets a new place: see [`Vfs::overwrites_in_place`].
    copies_on_write: bool,
    /// Bytes that its files may have together.
    capacity: Option<u64>,
}

impl Disk {
    /// Refuses a write into file `number` up to `end` that the disk has no space for.
    pub(super) fn take_space(&self, number: u64, end: u64) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let grows = end.saturating_sub(self.tree.file(number)?.size());
        let used = self.tree.named_bytes();
        let fits = grows == 0 || used + grows <= capacity;
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Counts an operation; gives the fault it has to carry out itself.
    fn begin(&mut self, kind: OperationKind, path: &Path) -> io::Result<Option<FaultKind>> {
        self.operations += 1;
        let fault = if self.gone { Some(FaultKind::CrashAll) } else { self.plan.next(kind, path) };
        match fault {
            Some(FaultKind::Error(kind)) => Err(kind.into()),
            Some(FaultKind::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(FaultKind::Interrupted) => {
                hit(Mark::Interrupted);
                Err(io::ErrorKind::Interrupted.into())
            }
            Some(FaultKind::CrashAll) => {
                self.gone = true;
                Err(io::Error::other("the disk is gone"))
            }
            fault => Ok(fault),
        }
    }

    fn lock(&mut self, path: &Path) -> io::Result<u64> {
        let number = match self.tree.find_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.tree.create_file(path, &mut self.units)?
            }
            found => found?,
        };
        if !self.shared.contains_key(&number) && self.locked.insert(number) {
            return Ok(number);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn lock_shared(&mut self, path: &Path) -> io::Result<u64> {
        let number = self.tree.find_file(path)?;
        if self.locked.contains(&number) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        *self.shared.entry(number).or_default() += 1;
        Ok(number)
    }

    /// Gives a lock back.
    pub(super) fn unlock(&mut self, number: u64) {
        if self.locked.remove(&number) {
            return;
        }
        let left = self.shared.remove(&number).unwrap_or(0).saturating_sub(1);
        if left > 0 {
            self.shared.insert(number, left);
        }
    }
}

impl MemoryVfs {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk with these files, all else as new.
    pub(super) fn with(tree: Tree, units: u64) -> Self {
        let disk = Mutex::new(Disk { tree, units, ..Disk::default() });
        Self(Arc::new(Shared { disk, observers: Observers::default() }))
    }

    /// Says how files are to be read from now on, by whoever asks; an image says nothing of it.
    pub fn set_reading(&self, reading: Reading) {
        self.disk().reading = reading;
    }

    /// From now on the disk is one that gives every write a new place.
    pub fn copy_on_write(&self) {
        self.disk().copies_on_write = true;
    }

    /// From now on a write that would make all files that have names larger than `bytes` together
    /// is refused; what is written over takes no space. An image has no such bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    pub(super) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.disk.lock()
    }

    pub(super) fn observers(&self) -> &Observers {
        &self.0.observers
    }

    /// One operation from its count to its observation. An operation that a fault stopped before
    /// it did anything is not observed.
    pub(super) fn operate<T>(
        &self,
        kind: OperationKind,
        path: &Path,
        body: impl FnOnce(&mut Disk, Option<FaultKind>) -> io::Result<T>,
    ) -> io::Result<T> {
        let (number, result) = {
            let mut disk = self.disk();
            let number = disk.operations;
            let fault = disk.begin(kind, path)?;
            (number, body(&mut disk, fault))
        };
        if kind.is_mutation() {
            let operation = || Operation { number, kind, path: path.to_owned() };
            self.observers().notify(self, operation);
        }
        result
    }
}

impl fmt::Debug for MemoryVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryVfs").finish_non_exhaustive()
    }
}

impl Vfs for MemoryVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let (kind, writable) = match mode {
            OpenMode::Read => (OperationKind::Open, false),
            OpenMode::ReadWrite => (OperationKind::Open, true),
            OpenMode::CreateNew => (OperationKind::Create, true),
        };
        let (number, hold) = self.operate(kind, path, |disk, _| {
            let number = match mode {
                OpenMode::CreateNew => disk.tree.create_file(path, &mut disk.units)?,
                OpenMode::Read | OpenMode::ReadWrite => disk.tree.find_file(path)?,
            };
            Ok((number, disk.tree.hold(number)))
        })?;
        Ok(Arc::new(MemoryFile::new(self.clone(), number, hold, path.into(), writable)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(OperationKind::Rename, to, |disk, _| {
            if disk.tree.rename(from, to, &mut disk.units)? {
                let (from, to) = (from.display(), to.display());
                disk.warnings.push(format!("{from} was renamed to {to} with unsynced changes"));
            }
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let kind = OperationKind::Link;
        self.operate(kind, to, |disk, _| disk.tree.link(from, to, &mut disk.units))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let kind = OperationKind::Remove;
        self.operate(kind, path, |disk, _| disk.tree.remove(path, &mut disk.units))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let names = self.operate(OperationKind::List, dir, |disk, _| disk.tree.list(dir))?;
        let mut entries: Vec<DirEntry> =
            names.into_iter().map(|(name, is_dir)| DirEntry { name, is_dir }).collect();
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let kind = OperationKind::CreateDir;
        self.operate(kind, dir, |disk, _| disk.tree.create_directory(dir, &mut disk.units))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(OperationKind::SyncDir, dir, |disk, fault| match fault {
            Some(_) => Err(io::Error::other("the sync of the directory failed")),
            None => disk.tree.sync_directory(dir),
        })
    }

    fn open_write_through(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (number, hold) = self.operate(OperationKind::Open, path, |disk, _| {
            let number = disk.tree.find_file(path)?;
            Ok((number, disk.tree.hold(number)))
        })?;
        let file = MemoryFile::new(self.clone(), number, hold, path.into(), true);
        Ok(Arc::new(MemoryThrough(file)))
    }

    fn reading(&self) -> Reading {
        self.disk().reading
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let number = self.operate(OperationKind::Lock, path, |disk, _| disk.lock(path))?;
        Ok(Box::new(MemoryLock::new(self.clone(), number)))
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let number = self.operate(OperationKind::Lock, path, |disk, _| disk.lock_shared(path))?;
        Ok(Box::new(MemoryLock::new(self.clone(), number)))
    }

    fn overwrites_in_place(&self, _dir: &Path) -> bool {
        !self.disk().copies_on_write
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::{create, durable, fault, names, remove, rename, sync_root};
    use super::super::{CrashMode, SyncFailure, UnitKind};
    use super::*;
    use crate::vfs::FileExt;

    #[test]
    fn readers_keep_a_writer_away_until_the_last_of_them_has_gone() {
        let (disk, path) = (MemoryVfs::new(), Path::new("/LOCK"));
        assert_eq!(disk.lock_shared(path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let writer = disk.lock(path).unwrap();
        assert_eq!(disk.lock_shared(path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(writer);
        let (one, other) = (disk.lock_shared(path).unwrap(), disk.lock_shared(path).unwrap());
        drop(one);
        assert_eq!(disk.lock(path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(other);
        drop(disk.lock(path).unwrap());
    }

    fn survivors(disk: &MemoryVfs, positions: &[usize]) -> Vec<String> {
        let units = disk.pending_units();
        assert!(units.iter().all(|unit| unit.kind == UnitKind::Name), "{units:?}");
        names(&disk.crash(&mut |unit| positions.iter().any(|&kept| units[kept] == unit)))
    }

    #[test]
    fn a_synced_file_is_lost_with_its_name_until_its_directory_is_synced() {
        let disk = MemoryVfs::new();
        let file = create(&disk, "/a");
        file.write_all_at(b"bytes", 0).unwrap();
        file.sync_all().unwrap();
        assert_eq!(survivors(&disk, &[]), [""; 0]);
        sync_root(&disk);
        let image = disk.crash_with(CrashMode::Nothing);
        assert_eq!(image.read_file("/a").unwrap(), b"bytes");
    }

    #[test]
    fn a_durable_name_does_not_make_bytes_durable() {
        let disk = MemoryVfs::new();
        create(&disk, "/a").write_all_at(b"bytes", 0).unwrap();
        sync_root(&disk);
        assert_eq!(disk.crash_with(CrashMode::Nothing).read_file("/a").unwrap(), b"");
    }

    #[test]
    fn a_removed_file_may_come_back_until_its_directory_is_synced() {
        let disk = MemoryVfs::new();
        drop(durable(&disk, "/a", b"bytes"));
        remove(&disk, "/a");
        assert_eq!(disk.crash_with(CrashMode::Nothing).read_file("/a").unwrap(), b"bytes");
        sync_root(&disk);
        assert_eq!(survivors(&disk, &[]), [""; 0]);
    }

    #[test]
    fn a_rename_is_atomic_and_skipped_when_its_file_is_not_there() {
        let disk = MemoryVfs::new();
        drop(durable(&disk, "/a", b"old"));
        drop(create(&disk, "/b"));
        rename(&disk, "/b", "/a");
        assert_eq!(disk.read_file("/a").unwrap(), b"");
        assert_eq!(survivors(&disk, &[]), ["/a"]);
        assert_eq!(survivors(&disk, &[0]), ["/a", "/b"]);
        assert_eq!(survivors(&disk, &[0, 1]), ["/a"]);
        let without_creation = disk.crash_with(CrashMode::OneMissing(0));
        assert_eq!(without_creation.read_file("/a").unwrap(), b"old");
    }

    #[test]
    fn a_rename_never_moves_another_file_that_had_the_name() {
        let disk = MemoryVfs::new();
        drop(durable(&disk, "/tmp", b"stale"));
        remove(&disk, "/tmp");
        drop(create(&disk, "/tmp"));
        rename(&disk, "/tmp", "/a");
        assert_eq!(survivors(&disk, &[2]), ["/tmp"], "the stale file keeps its name");
        let image = disk.crash_with(CrashMode::OneMissing(0));
        assert_eq!(image.read_file("/a").unwrap(), b"", "the new file took the name");
    }

    #[test]
    fn a_directory_that_is_lost_takes_its_files_along() {
        let disk = MemoryVfs::new();
        disk.create_dir(Path::new("/d")).unwrap();
        drop(durable(&disk, "/d/a", b"bytes"));
        assert_eq!(survivors(&disk, &[]), [""; 0]);
        sync_root(&disk);
        assert_eq!(survivors(&disk, &[]), ["/d/a"]);
    }

    #[test]
    fn a_file_without_a_name_stays_usable_and_is_no_part_of_a_crash() {
        let disk = MemoryVfs::new();
        let file = durable(&disk, "/a", b"bytes");
        remove(&disk, "/a");
        file.write_all_at(b"more", 5).unwrap();
        assert_eq!(disk.pending_units().len(), 3, "the name may come back, so its bytes count");
        sync_root(&disk);
        assert_eq!(disk.pending_units(), []);
        file.write_all_at(b"!", 9).unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.read_whole(100).unwrap(), b"bytesmore!");
        drop(file);
        drop(durable(&disk, "/b", b""));
        remove(&disk, "/b");
        sync_root(&disk);
        assert_eq!(disk.kill().files(), []);
    }

    #[test]
    fn a_rename_to_another_directory_is_refused() {
        let disk = MemoryVfs::new();
        disk.create_dir(Path::new("/d")).unwrap();
        drop(create(&disk, "/a"));
        let error = disk.rename(Path::new("/a"), Path::new("/d/a")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_rename_of_unsynced_bytes_is_a_warning() {
        let disk = MemoryVfs::new();
        let file = create(&disk, "/a");
        rename(&disk, "/a", "/b");
        file.write_all_at(b"x", 0).unwrap();
        rename(&disk, "/b", "/c");
        assert_eq!(disk.warnings(), ["/b was renamed to /c with unsynced changes"]);
    }

    #[test]
    fn a_relative_path_starts_at_the_root() {
        let disk = MemoryVfs::new();
        drop(create(&disk, "a"));
        disk.sync_dir(Path::new("")).unwrap();
        assert_eq!(names(&disk.crash_with(CrashMode::Nothing)), ["/a"]);
        let up = disk.open(Path::new("../a"), OpenMode::Read).unwrap_err();
        assert_eq!(up.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_failed_sync_of_a_directory_leaves_its_names_pending() {
        let disk = MemoryVfs::new();
        drop(create(&disk, "/a"));
        let failed = FaultKind::FailedSync(SyncFailure::KeptClean { seed: None });
        disk.plan(fault(OperationKind::SyncDir, 0, failed));
        disk.sync_dir(Path::new("/")).unwrap_err();
        assert_eq!(survivors(&disk, &[]), [""; 0]);
        sync_root(&disk);
        assert_eq!(survivors(&disk, &[]), ["/a"]);
    }

    #[test]
    fn a_failed_operation_has_no_effect() {
        let disk = MemoryVfs::new();
        drop(durable(&disk, "/a", b""));
        let error = FaultKind::Error(io::ErrorKind::PermissionDenied);
        for kind in [OperationKind::Rename, OperationKind::Remove, OperationKind::CreateDir] {
            disk.plan(fault(kind, 0, error));
        }
        disk.rename(Path::new("/a"), Path::new("/b")).unwrap_err();
        disk.remove(Path::new("/a")).unwrap_err();
        let refused = disk.create_dir(Path::new("/d")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!((names(&disk), disk.pending_units()), (vec!["/a".to_owned()], Vec::new()));
        assert_eq!(disk.faults_fired(), 3);
    }

    #[test]
    fn after_the_crash_of_the_process_every_operation_fails_and_counts() {
        let disk = MemoryVfs::new();
        let file = durable(&disk, "/a", b"");
        let before = disk.operations();
        disk.plan(fault(OperationKind::Write, 1, FaultKind::CrashAll));
        file.write_all_at(b"1", 0).unwrap();
        file.write_all_at(b"2", 1).unwrap_err();
        let error = file.size().unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::Other, "the disk is gone")
        );
        disk.list(Path::new("/")).unwrap_err();
        disk.lock(Path::new("/lock")).unwrap_err();
        assert_eq!((disk.operations() - before, disk.faults_fired()), (5, 1));
        assert_eq!(disk.crash_with(CrashMode::Everything).read_file("/a").unwrap(), b"1");
    }
}
