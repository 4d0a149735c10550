//! What a test may do to a disk from outside: plan, watch, look and damage. None of it counts as
//! an operation or meets a fault.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::MemoryVfs;
use super::fault::Fault;
use super::inode::Inode;
use super::observer::Observer;
use crate::base::checksum::hash64;
use crate::base::codec::to_usize;

impl MemoryVfs {
    /// Plans a fault. When several are due at once, the one planned first happens.
    pub fn plan(&self, fault: Fault) {
        self.disk().plan.add(fault);
    }

    /// How many faults happened.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.disk().plan.fired
    }

    /// How many operations there were: every call of the disk and its files is one, whether or
    /// not it succeeded.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Lets every later operation fail, which freezes what is on the disk.
    pub fn halt(&self) {
        self.disk().gone = true;
    }

    /// Files that are open or locked.
    #[must_use]
    pub fn held_files(&self) -> usize {
        let disk = self.disk();
        disk.tree.held() + disk.locked.len()
    }

    /// Rules broken without harm so far: the rename of a file with unsynced changes, a change of
    /// bytes that were synced.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.disk().warnings.clone()
    }

    /// Calls `observer` after every operation that may have changed the disk: create, write,
    /// sync, `set_len`, rename, remove, `create_dir` and `sync_dir`, whether or not it succeeded.
    ///
    /// The observer may use the disk: look at its units, crash it, halt it. Operations of its own
    /// are not observed. Other threads' operations wait while it runs.
    ///
    /// # Panics
    /// When an observer calls it.
    pub fn set_observer(&self, observer: Observer) {
        self.observers().set(Some(observer));
    }

    /// Ends the observation.
    ///
    /// # Panics
    /// When an observer calls it.
    pub fn clear_observer(&self) {
        self.observers().set(None);
    }

    /// The live bytes of a file.
    ///
    /// # Errors
    /// `NotFound` or `IsADirectory`.
    pub fn read_file(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let disk = self.disk();
        let file = disk.tree.file(disk.tree.find_file(path.as_ref())?)?;
        let mut bytes = vec![0; to_usize(file.size())];
        file.read(&mut bytes, 0);
        Ok(bytes)
    }

    /// Every live file with its size, by its path from the root, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.disk().tree.files()
    }

    /// A hash of every live name and byte: equal for disks that show the same.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        let disk = self.disk();
        let mut hash = 0;
        for (path, size) in disk.tree.files() {
            let file = disk.tree.find_file(&path).and_then(|number| disk.tree.file(number));
            let content = file.map_or(0, Inode::content_hash);
            let name = hash64(path.as_os_str().as_encoded_bytes());
            let [name, content, size] = [name, content, size].map(u64::to_le_bytes);
            hash = hash64(&[name, content, size].concat()) ^ u64::rotate_left(hash, 7);
        }
        hash
    }

    /// Lets a byte rot: the bits of `mask` flip, live and durable, without a pending unit.
    ///
    /// # Errors
    /// `NotFound` or `IsADirectory`; `UnexpectedEof` beyond the end of the file.
    pub fn flip(&self, path: impl AsRef<Path>, offset: u64, mask: u8) -> io::Result<()> {
        let mut disk = self.disk();
        let number = disk.tree.find_file(path.as_ref())?;
        disk.tree.file_mut(number)?.flip(offset, mask)
    }
}
