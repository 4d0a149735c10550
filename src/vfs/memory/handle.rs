//! What `open` and `lock` give.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, MemoryVfs};
use super::fault::FaultKind;
use super::observer::OperationKind;
use crate::vfs::fs::{File, Lock};

/// An open file; it stays usable without a name.
#[derive(Debug)]
pub(super) struct MemoryFile {
    vfs: MemoryVfs,
    number: u64,
    path: Box<Path>,
    writable: bool,
    #[expect(dead_code, reason = "held, not read")]
    hold: Arc<()>,
}

impl MemoryFile {
    pub(super) const fn new(
        vfs: MemoryVfs,
        number: u64,
        hold: Arc<()>,
        path: Box<Path>,
        writable: bool,
    ) -> Self {
        Self { vfs, number, path, writable, hold }
    }

    fn operate<T>(
        &self,
        kind: OperationKind,
        body: impl FnOnce(&mut Disk, Option<FaultKind>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.vfs.operate(kind, &self.path, body)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(OperationKind::Sync, |disk, fault| {
            let failure = match fault {
                Some(FaultKind::FailedSync(failure)) => Some(failure),
                _ => None,
            };
            disk.tree.file_mut(self.number)?.sync(failure)
        })
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.operate(OperationKind::Read, |disk, fault| {
            let most = match fault {
                Some(FaultKind::ShortRead(most)) => most.max(1).min(buffer.len()),
                _ => buffer.len(),
            };
            let wanted = buffer.get_mut(..most).unwrap_or_default();
            Ok(disk.tree.file(self.number)?.read(wanted, offset))
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.operate(OperationKind::Write, |disk, fault| {
            self.check_writable()?;
            let most = match fault {
                Some(FaultKind::ShortWrite(most) | FaultKind::TornWrite { bytes: most }) => most,
                _ => bytes.len(),
            };
            let taken = bytes.get(..most).unwrap_or(bytes);
            disk.tree.file_mut(self.number)?.write(taken, offset, &mut disk.units)?;
            match fault {
                Some(FaultKind::TornWrite { .. }) => Err(io::Error::other("the write failed")),
                _ => Ok(taken.len()),
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate(OperationKind::SetLen, |disk, _| {
            self.check_writable()?;
            disk.tree.file_mut(self.number)?.set_len(len, &mut disk.units);
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.operate(OperationKind::Size, |disk, _| Ok(disk.tree.file(self.number)?.size()))
    }
}

/// A locked file, until it is dropped.
#[derive(Debug)]
pub(super) struct MemoryLock {
    vfs: MemoryVfs,
    number: u64,
}

impl MemoryLock {
    pub(super) const fn new(vfs: MemoryVfs, number: u64) -> Self {
        Self { vfs, number }
    }
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.vfs.disk().locked.remove(&self.number);
    }
}
