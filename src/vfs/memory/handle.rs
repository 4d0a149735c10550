//! What `open` and `lock` give.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, MemoryVfs};
use super::fault::FaultKind;
use super::observer::OperationKind;
use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::mark::{Mark, hit};
use crate::vfs::fs::{File, FileExt, Lock};

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

/// An open file whose writes return when they are durable. It makes durable whatever is pending in
/// the file, so it is as good as the real way only for who has nothing pending, as the log.
#[derive(Debug)]
pub(super) struct MemoryThrough(pub(super) MemoryFile);

impl File for MemoryThrough {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let whole = [bytes.len(), to_usize(offset)].iter().all(|len| len.is_multiple_of(PAGE));
        if !whole {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // What is taken of a short write is no whole page, and could not be continued.
        self.0.write_all_at(bytes, offset)?;
        self.0.sync()?;
        Ok(bytes.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
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
            if matches!(fault, Some(FaultKind::ShortWrite(_))) {
                hit(Mark::ShortWrite);
            }
            let offset = match fault {
                Some(FaultKind::LostWrite) => return Ok(bytes.len()),
                Some(FaultKind::MisdirectedWrite { by }) => offset.saturating_add_signed(by),
                _ => offset,
            };
            disk.take_space(self.number, offset.saturating_add(to_u64(taken.len())))?;
            let file = disk.tree.file_mut(self.number)?;
            if file.changes_synced(taken, offset) {
                let path = self.path.display();
                disk.warnings.push(format!("{path} had synced bytes changed at {offset}"));
            }
            file.write(taken, offset, &mut disk.units)?;
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

    fn names(&self) -> io::Result<u64> {
        Ok(self.vfs.disk().tree.names_of(self.number))
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
        self.vfs.disk().unlock(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::{create, durable, fault, remove};
    use super::super::{CrashMode, SyncFailure};
    use super::*;
    use crate::vfs::{FileExt, OpenMode, Vfs};

    fn disk_and_file(bytes: &[u8]) -> (MemoryVfs, Arc<dyn File>) {
        let disk = MemoryVfs::new();
        let file = durable(&disk, "/a", bytes);
        (disk, file)
    }

    #[test]
    fn a_short_write_and_a_short_read_are_continued_by_the_loops() {
        let (disk, file) = disk_and_file(b"");
        disk.plan(fault(OperationKind::Write, 0, FaultKind::ShortWrite(3)));
        assert_eq!(file.write_at(b"abcdef", 0).unwrap(), 3);
        disk.plan(fault(OperationKind::Write, 0, FaultKind::Interrupted));
        file.write_all_at(b"def", 3).unwrap();
        disk.plan(fault(OperationKind::Read, 0, FaultKind::ShortRead(0)));
        assert_eq!(file.read_at(&mut [0; 6], 0).unwrap(), 1, "none would mean the end");
        disk.plan(fault(OperationKind::Read, 0, FaultKind::ShortRead(2)));
        assert_eq!(file.read_whole(6).unwrap(), b"abcdef");
        assert_eq!(disk.faults_fired(), 4);
    }

    #[test]
    fn a_disk_with_a_capacity_takes_no_more_but_is_written_over() {
        let disk = MemoryVfs::new();
        let file = durable(&disk, "/file", b"1234");
        disk.set_capacity(Some(6));
        assert_eq!(file.write_at(b"56", 4).unwrap(), 2);
        let full = create(&disk, "/other").write_at(b"7", 0).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.write_at(b"abcdef", 0).unwrap(), 6);
        assert_eq!(file.write_at(b"g", 6).unwrap_err().kind(), io::ErrorKind::StorageFull);
        remove(&disk, "/other");
        disk.set_capacity(None);
        assert_eq!(file.write_at(b"g", 6).unwrap(), 1);
    }

    #[test]
    fn a_full_disk_takes_nothing_and_a_torn_write_takes_a_part() {
        let (disk, file) = disk_and_file(b"old");
        disk.plan(fault(OperationKind::Write, 0, FaultKind::NoSpace));
        disk.plan(fault(OperationKind::Write, 1, FaultKind::TornWrite { bytes: 2 }));
        let full = file.write_at(b"new", 0).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.read_file("/a").unwrap(), b"old");
        file.write_at(b"new", 0).unwrap_err();
        assert_eq!(disk.read_file("/a").unwrap(), b"ned");
    }

    #[test]
    fn a_late_failure_reaches_the_next_sync_through_another_handle() {
        let (disk, file) = disk_and_file(b"old");
        let late = FaultKind::FailedSync(SyncFailure::Late { seed: None });
        disk.plan(fault(OperationKind::Sync, 0, late));
        file.write_all_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        let other = disk.open(Path::new("/a"), OpenMode::Read).unwrap();
        other.sync_all().unwrap_err();
        assert_eq!(disk.crash_with(CrashMode::Everything).read_file("/a").unwrap(), b"old");
        assert_eq!(disk.read_file("/a").unwrap(), b"new");
    }

    #[test]
    fn an_error_of_a_sync_without_a_way_of_failing_leaves_everything_pending() {
        let (disk, file) = disk_and_file(b"old");
        file.write_all_at(b"new", 0).unwrap();
        let error = FaultKind::Error(io::ErrorKind::TimedOut);
        disk.plan(fault(OperationKind::Sync, 0, error));
        assert_eq!(file.sync_data().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(disk.crash_with(CrashMode::Nothing).read_file("/a").unwrap(), b"old");
        file.sync_data().unwrap();
        assert_eq!(disk.crash_with(CrashMode::Nothing).read_file("/a").unwrap(), b"new");
    }

    #[test]
    fn a_handle_to_read_cannot_change_the_file() {
        let (disk, _) = disk_and_file(b"old");
        let file = disk.open(Path::new("/a"), OpenMode::Read).unwrap();
        let denied = io::ErrorKind::PermissionDenied;
        assert_eq!(file.write_at(b"new", 0).unwrap_err().kind(), denied);
        assert_eq!(file.set_len(0).unwrap_err().kind(), denied);
        assert_eq!(disk.read_file("/a").unwrap(), b"old");
    }

    #[test]
    fn every_call_is_one_operation() {
        let disk = MemoryVfs::new();
        let file = create(&disk, "/a");
        file.write_at(b"a", 0).unwrap();
        file.read_at(&mut [0], 0).unwrap();
        file.set_len(0).unwrap();
        file.size().unwrap();
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        disk.list(Path::new("/")).unwrap();
        drop(disk.lock(Path::new("/lock")).unwrap());
        disk.open(Path::new("/missing"), OpenMode::Read).unwrap_err();
        assert_eq!(disk.operations(), 10);
    }
}
