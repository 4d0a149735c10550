//! The operating system's files, clock and randomness.
#![expect(clippy::disallowed_methods, reason = "the one place that may name std::fs and clocks")]

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::aligned::Aligned;
use super::fs::{DirEntry, File, Lock, OpenMode, Reading, Vfs};
use super::runtime::{Clock, Rng};
use crate::base::Timestamp;

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl Vfs for OsVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode != OpenMode::CreateNew {
            refuse_unless_file(path)?;
        }
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(OsFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // A relative path with one component has the empty parent, which means "here".
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::File::open(dir)?.sync_all()
    }

    fn open_write_through(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(Aligned::new(open_write_through(path, WriteThrough::Direct)?)))
    }

    fn reading(&self) -> Reading {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Reading { threads, ..Reading::default() }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // Who holds it, for the message the next one gets. Losing this text harms nobody.
        let holder = format!("{}\n", std::process::id());
        file.set_len(0)?;
        write_at(&file, holder.as_bytes(), 0)?;
        Ok(Box::new(OsLock { file, process: std::process::id() }))
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        refuse_unless_file(path)?;
        let file = fs::File::open(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Box::new(OsLock { file, process: std::process::id() })),
            Err(fs::TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    #[cfg(target_os = "linux")]
    fn overwrites_in_place(&self, dir: &Path) -> bool {
        let (table, path) = (fs::read_to_string("/proc/self/mountinfo"), fs::canonicalize(dir));
        let known = table.ok().zip(path.ok());
        known.is_none_or(|(table, path)| super::mounts::overwrites_in_place(&table, &path))
    }
}

/// To open a pipe waits for somebody at its other end, who may never come.
fn refuse_unless_file(path: &Path) -> io::Result<()> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if kind.is_file() { Ok(()) } else { Err(ErrorKind::NotSeekable.into()) }
}

/// Removes the directory `dir` and everything in it: for what tools make and nobody keeps.
///
/// # Errors
/// As the file system says; part of it may be gone then.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(dir)
}

/// Bytes that the disk of `dir` says were written to it, by anybody, since the machine started;
/// `None` where it does not say.
#[cfg(target_os = "linux")]
#[must_use]
pub fn written_bytes(dir: &Path) -> Option<u64> {
    let device = std::os::unix::fs::MetadataExt::dev(&fs::metadata(dir).ok()?);
    super::counters::written_bytes(&fs::read_to_string("/proc/diskstats").ok()?, device)
}

/// Bytes that the disk of `dir` says were written to it: not known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub const fn written_bytes(_dir: &Path) -> Option<u64> {
    None
}

/// How a file is written by whoever wants no sync after it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteThrough {
    /// Through the page cache; a write returns when it is on stable storage.
    Cached,
    /// Past the page cache; bytes, their place in memory and their offset must be whole pages.
    Direct,
}

/// Opens the file `path` to be written without a sync.
///
/// # Errors
/// `Unsupported` where the system's numbers for this are not known here, `InvalidInput` where
/// the file system does not do it, else as the file system says.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn open_write_through(path: &Path, way: WriteThrough) -> io::Result<Arc<dyn File>> {
    use std::os::unix::fs::OpenOptionsExt;
    const DSYNC: i32 = 0o10_000;
    const DIRECT: i32 = if cfg!(target_arch = "aarch64") { 0o200_000 } else { 0o40_000 };
    let flags = if way == WriteThrough::Direct { DSYNC | DIRECT } else { DSYNC };
    let file = fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    Ok(Arc::new(OsFile(file)))
}

/// Opens the file `path` to be written without a sync.
///
/// # Errors
/// `Unsupported`.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub fn open_write_through(_path: &Path, _way: WriteThrough) -> io::Result<Arc<dyn File>> {
    Err(ErrorKind::Unsupported.into())
}

/// Given back when it is dropped, and not only when its descriptor is closed: a child that was
/// forked and has not started its program yet holds the same descriptor.
#[derive(Debug)]
struct OsLock {
    file: fs::File,
    /// Who took it. A forked child has a copy of this value, and must not give the lock back.
    process: u32,
}

impl Lock for OsLock {
    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        if self.is_ours() {
            // If it cannot be given back now, it goes with the last descriptor.
            let _closed_soon = self.file.unlock();
        }
    }
}

#[derive(Debug)]
struct OsFile(fs::File);

#[cfg(unix)]
fn write_at(file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn write_at(file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

impl File for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(&self.0, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        write_at(&self.0, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn names(&self) -> io::Result<u64> {
        Ok(std::os::unix::fs::MetadataExt::nlink(&self.0.metadata()?))
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct OsClock {
    started: Instant,
}

impl Default for OsClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for OsClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The operating system's source of randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRng;

impl Rng for OsRng {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_back_although_a_forked_child_still_has_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        let inherited = file.try_clone().unwrap();
        file.try_lock().unwrap();
        let lock = OsLock { file, process: std::process::id() };
        assert!(OsVfs.lock(&path).is_err());
        drop(lock);
        drop(OsVfs.lock(&path).unwrap());
        drop(inherited);
    }

    #[test]
    fn readers_keep_a_writer_away_together_and_a_writer_keeps_them_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        assert_eq!(OsVfs.lock_shared(&path).unwrap_err().kind(), ErrorKind::NotFound);
        let writer = OsVfs.lock(&path).unwrap();
        let before = fs::read(&path).unwrap();
        assert_eq!(OsVfs.lock_shared(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(writer);
        let readers = [OsVfs.lock_shared(&path).unwrap(), OsVfs.lock_shared(&path).unwrap()];
        assert_eq!(OsVfs.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(fs::read(&path).unwrap(), before);
        drop(readers);
        drop(OsVfs.lock(&path).unwrap());
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let kind = |path: &Path, mode| OsVfs.open(path, mode).unwrap_err().kind();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        for mode in [OpenMode::Read, OpenMode::ReadWrite] {
            assert_eq!(kind(dir.path(), mode), ErrorKind::IsADirectory);
            assert_eq!(kind(Path::new("/dev/null"), mode), ErrorKind::NotSeekable);
            if made.as_ref().is_ok_and(std::process::ExitStatus::success) {
                assert_eq!(kind(&pipe, mode), ErrorKind::NotSeekable);
            }
        }
    }

    #[test]
    fn a_forked_child_does_not_give_the_lock_of_its_parent_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        file.try_lock().unwrap();
        let inherited = file.try_clone().unwrap();
        let of_the_child = OsLock { file: inherited, process: std::process::id() + 1 };
        assert!(!of_the_child.is_ours());
        drop(of_the_child);
        assert!(OsVfs.lock(&path).is_err(), "the parent still holds it");
        drop(file);
    }
}
