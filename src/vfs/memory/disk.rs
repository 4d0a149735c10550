//! The disk as a [`Vfs`]: every call is counted, asked for faults, done, and observed.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::fault::{FaultKind, Plan};
use super::handle::{MemoryFile, MemoryLock};
use super::observer::{Observers, Operation, OperationKind};
use super::tree::Tree;
use crate::vfs::fs::{DirEntry, File, Lock, OpenMode, Vfs};
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
    pub(super) warnings: Vec<String>,
    /// Every operation fails.
    pub(super) gone: bool,
}

impl Disk {
    /// Counts an operation; gives the fault it has to carry out itself.
    fn begin(&mut self, kind: OperationKind, path: &Path) -> io::Result<Option<FaultKind>> {
        self.operations += 1;
        let fault = if self.gone { Some(FaultKind::CrashAll) } else { self.plan.next(kind, path) };
        match fault {
            Some(FaultKind::Error(kind)) => Err(kind.into()),
            Some(FaultKind::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(FaultKind::Interrupted) => Err(io::ErrorKind::Interrupted.into()),
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
        if self.locked.insert(number) { Ok(number) } else { Err(io::ErrorKind::WouldBlock.into()) }
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

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let number = self.operate(OperationKind::Lock, path, |disk, _| disk.lock(path))?;
        Ok(Box::new(MemoryLock::new(self.clone(), number)))
    }
}
