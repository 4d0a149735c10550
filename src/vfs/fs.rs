//! The contract of a file system, call by call.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::base::plant::{Plant, is_planted};

/// How [`Vfs::open`] opens a file.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    ReadWrite,
    /// A new file, to read and write; fails with `AlreadyExists` when the name is taken.
    CreateNew,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without its directory; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Whether it names a directory.
    pub is_dir: bool,
}

/// How a large file is read best: told by the disk, so that a simulated one decides the order of
/// every call, and tests choose pieces as small as their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Threads of one caller that may read at the same time with profit. With one, the caller
    /// reads alone, and the order of its calls is always the same.
    pub threads: usize,
    /// Bytes to read at once.
    pub piece: usize,
}

impl Default for Reading {
    /// One thread; half a MiB, which stays in the cache of a core until it was looked at.
    fn default() -> Self {
        Self { threads: 1, piece: 512 << 10 }
    }
}

/// An exclusive hold on a path, released when dropped or when the process ends.
pub trait Lock: Debug + Send + Sync {
    /// Whether this process took it, and not one that forked this process: a copy of a hold in
    /// a child gives nothing back, and may touch nothing of what it protects.
    fn is_ours(&self) -> bool {
        true
    }
}

/// A file system. Names become durable only by [`Vfs::sync_dir`] of their directory.
pub trait Vfs: Debug + Send + Sync {
    /// Opens or creates the file at `path`.
    ///
    /// # Durability
    /// A created name is durable after [`Vfs::sync_dir`] of its directory, not before.
    ///
    /// # Errors
    /// As the file system says; `NotFound` and `AlreadyExists` mean what they say. `IsADirectory`
    /// and `NotSeekable` for what is no regular file: it is never waited for.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// Gives `from` the name `to`, replacing what had it; both in the same directory.
    ///
    /// # Durability
    /// Atomic; durable after [`Vfs::sync_dir`].
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file `from` the further name `to`, in any directory of the same file system.
    ///
    /// # Durability
    /// Durable after [`Vfs::sync_dir`] of the directory of `to`, with what of its bytes was synced.
    ///
    /// # Errors
    /// `Unsupported`, `CrossesDevices`, `PermissionDenied` or `TooManyLinks` where a file cannot
    /// have both names; `AlreadyExists` when `to` is taken; else as the file system says.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the name of a file.
    ///
    /// # Durability
    /// Durable after [`Vfs::sync_dir`]; until then a crash may bring the file back.
    ///
    /// # Errors
    /// As the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As the file system says; `NotFound` when there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Creates one directory whose parent exists.
    ///
    /// # Durability
    /// Durable after [`Vfs::sync_dir`] of the parent.
    ///
    /// # Errors
    /// As the file system says; `AlreadyExists` when the name is taken.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes every name created, linked, renamed or removed in `dir` before this call durable.
    ///
    /// # Errors
    /// As the file system says; which names survive a crash is then unknown.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Opens an existing file for writes past the page cache: each returns when its bytes, and the
    /// size needed to read them, are on stable storage. Bytes and offset are whole pages.
    ///
    /// # Errors
    /// `Unsupported` or `InvalidInput` where there is no such way, else as the file system says.
    fn open_write_through(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How a large file is read best.
    fn reading(&self) -> Reading {
        Reading::default()
    }

    /// Takes the exclusive lock of the file at `path`, creating the file when it is missing.
    ///
    /// # Errors
    /// `WouldBlock` when another process or another handle of this one holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// Keeps whoever would [`Vfs::lock`] the file at `path` away, without writing anything; any
    /// number may do so at once.
    ///
    /// # Errors
    /// `NotFound` when the file is missing, so that nobody can hold it; `WouldBlock` when it is
    /// locked.
    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// Whether a write into a file of `dir` goes where the file's bytes are already. Where every
    /// write gets a new place, zeroes written ahead reserve nothing, and a file that is used
    /// again is no better than a new one. Changes nothing but the speed.
    fn overwrites_in_place(&self, _dir: &Path) -> bool {
        true
    }
}

/// An open file. Every call names its offset; there is no shared position.
pub trait File: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer may come, 0 only at the end.
    ///
    /// # Errors
    /// As the file system says. An error is never the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes up to `bytes.len()` bytes at `offset`; fewer may be taken.
    ///
    /// # Durability
    /// Survives the end of this process; survives a power cut only after a sync.
    ///
    /// # Errors
    /// As the file system says; any part of `bytes` may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the bytes written before this call durable, with the size needed to read them.
    ///
    /// # Errors
    /// After an error nothing is known about any byte since the last success, and a further call
    /// proves nothing: the system may have forgotten what it failed to write.
    /// Source: Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020.
    fn sync_data(&self) -> io::Result<()>;

    /// [`File::sync_data`], with all of the file's own metadata; never with its name.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Sets the size; new bytes are zero.
    ///
    /// # Errors
    /// As the file system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The size in bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn size(&self) -> io::Result<u64>;

    /// How many names the file has, where the file system tells; else 1.
    ///
    /// # Errors
    /// As the file system says.
    fn names(&self) -> io::Result<u64> {
        Ok(1)
    }
}

/// Loops over short and interrupted calls, once for every file system.
pub trait FileExt: File {
    /// Reads until `buffer` is full or the file ends; gives the number of bytes read.
    ///
    /// # Errors
    /// The first error other than an interruption.
    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + crate::base::codec::to_u64(done)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The first error other than an interruption; `WriteZero` when the file takes no more.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_at(rest, offset + crate::base::codec::to_u64(done)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) if is_planted(Plant::ShortWriteIgnored) => return Ok(()),
                Ok(count) => done += count,
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted
                        && !is_planted(Plant::InterruptedIsError) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the whole file, which must not be longer than `limit` bytes.
    ///
    /// # Errors
    /// `FileTooLarge` beyond the limit, else as the file system says.
    fn read_whole(&self, limit: u64) -> io::Result<Vec<u8>> {
        let size = self.size()?;
        if size > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = vec![0; crate::base::codec::to_usize(size)];
        let count = self.read_up_to(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

impl<F: File + ?Sized> FileExt for F {}
