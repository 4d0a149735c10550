//! Disks as files: a file system in which every file is a [`Disk`].
//!
//! The process that serves a disk never touches what lies on it: it would wait for itself. Only
//! its children do.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    WriteFlags,
};

use crate::disk::{Disk, SECTOR_BYTES};

const FOREVER: Duration = Duration::from_secs(3600);

/// The disks that are there, by the number of their file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<Mutex<BTreeMap<u64, Arc<Disk>>>>);

impl Shelf {
    fn disks(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Disk>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a disk, and gives the name of its file.
    pub(crate) fn add(&self, number: u64, disk: Arc<Disk>) -> String {
        self.disks().insert(number, disk);
        number.to_string()
    }

    pub(crate) fn remove(&self, number: u64) {
        self.disks().remove(&number);
    }

    fn disk(&self, file: INodeNo) -> Option<Arc<Disk>> {
        self.disks().get(&file.0).cloned()
    }
}

fn attributes(file: INodeNo, disk: Option<&Disk>) -> FileAttr {
    let size = disk.map_or(0, |disk| disk.size() as u64);
    let (kind, perm) =
        if disk.is_some() { (FileType::RegularFile, 0o600) } else { (FileType::Directory, 0o700) };
    FileAttr {
        ino: file,
        size,
        blocks: size / SECTOR_BYTES as u64,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Shelf {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = name.to_str().and_then(|name| name.parse().ok()).map(INodeNo);
        let found = number.and_then(|number| Some((number, self.disk(number)?)));
        match found {
            Some((number, disk)) => {
                reply.entry(&FOREVER, &attributes(number, Some(&disk)), Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, file: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.disk(file) {
            Some(disk) => reply.attr(&FOREVER, &attributes(file, Some(&disk))),
            None if file == INodeNo::ROOT => reply.attr(&FOREVER, &attributes(file, None)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Past the page cache: every request of the disk's user arrives as it was made.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match (self.disk(file), usize::try_from(offset)) {
            (Some(disk), Ok(offset)) => reply.data(&disk.read(offset, size as usize)),
            _ => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (disk, offset) = (self.disk(file), usize::try_from(offset));
        match (disk, offset, u32::try_from(data.len())) {
            (Some(disk), Ok(offset), Ok(count)) if disk.write(offset, data) => reply.written(count),
            _ => reply.error(Errno::ENOSPC),
        }
    }

    fn fsync(&self, _: &Request, file: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.disk(file) {
            Some(disk) => {
                disk.flush();
                reply.ok();
            }
            None => reply.error(Errno::EIO),
        }
    }
}
