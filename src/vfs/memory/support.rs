//! Shorthands of this folder's tests.

use std::path::Path;
use std::sync::Arc;

use super::{Fault, FaultKind, MemoryVfs, OperationKind, Selector};
use crate::vfs::{File, FileExt, OpenMode, Vfs};

pub(super) fn create(disk: &MemoryVfs, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), OpenMode::CreateNew).unwrap()
}

pub(super) fn open(disk: &MemoryVfs, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), OpenMode::ReadWrite).unwrap()
}

/// A file whose name and bytes are durable.
pub(super) fn durable(disk: &MemoryVfs, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = create(disk, path);
    file.write_all_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new(path).parent().unwrap()).unwrap();
    file
}

pub(super) fn rename(disk: &MemoryVfs, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to)).unwrap();
}

pub(super) fn remove(disk: &MemoryVfs, path: &str) {
    disk.remove(Path::new(path)).unwrap();
}

pub(super) fn sync_root(disk: &MemoryVfs) {
    disk.sync_dir(Path::new("/")).unwrap();
}

/// The paths of all files.
pub(super) fn names(disk: &MemoryVfs) -> Vec<String> {
    let path = |(path, _): (std::path::PathBuf, u64)| path.to_string_lossy().into_owned();
    disk.files().into_iter().map(path).collect()
}

/// The `nth` next operation of `kind` meets `what`, once.
pub(super) fn fault(kind: OperationKind, nth: u64, what: FaultKind) -> Fault {
    let at = Selector { kind: Some(kind), nth, ..Selector::default() };
    Fault { at, what, sticky: false }
}
