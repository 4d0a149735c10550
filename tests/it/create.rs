//! Making a store: the way to it, what is in the way, and what this user may not touch.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jidoka::base::{Error, ErrorKind, Result};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{
    CrashMode, Fault, FaultKind, MemoryVfs, OperationKind, Selector, runtime,
};
use jidoka::vfs::{DirEntry, File, Lock, OpenMode, Runtime, Vfs};

fn open_at(path: &str, runtime: Runtime) -> Result<Store> {
    Store::builder(path).segment_bytes(8192).runtime(runtime).open()
}

fn open(disk: &MemoryVfs, path: &str) -> Result<Store> {
    open_at(path, runtime(disk, 1))
}

fn put(store: &Store) {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("pots").unwrap(), b"pot", b"glazed");
    store.commit(batch).unwrap();
}

fn plan(disk: &MemoryVfs, kind: OperationKind, path: &str, nth: u64, error: io::ErrorKind) {
    let at = Selector { kind: Some(kind), path_contains: Some(path.to_owned()), nth };
    disk.plan(Fault { at, what: FaultKind::Error(error), sticky: false });
}

#[track_caller]
fn refused(result: Result<Store>, says: &str) -> Error {
    let error = result.unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    error
}

#[test]
fn the_way_to_a_store_is_made_and_lasts() {
    let disk = MemoryVfs::new();
    put(&open(&disk, "/a/b/c/store").unwrap());
    let cut = open(&disk.crash_with(CrashMode::Nothing), "/a/b/c/store").unwrap();
    assert_eq!(cut.range(&Keyspace::new("pots").unwrap(), ..).count(), 1);
}

#[test]
fn a_directory_that_may_not_be_made_is_told_and_nothing_above_it_is_made() {
    for (path, made) in [("/a/b/c", 0), ("/store", 0)] {
        let disk = MemoryVfs::new();
        plan(&disk, OperationKind::CreateDir, path, 0, io::ErrorKind::PermissionDenied);
        let error = refused(open(&disk, path), "create the directory");
        assert_eq!(error.place().path.as_deref(), Some(Path::new(path)), "{error:?}");
        assert_eq!(disk.files().len(), made);
        assert_eq!(disk.list(Path::new("/")).unwrap(), []);
    }
    let error = refused(Store::builder("").open(), "create the directory");
    assert_eq!(error.kind(), ErrorKind::Io, "no path is no directory: {error:?}");
}

/// A disk on which somebody else makes each directory just before we do.
#[derive(Debug)]
struct Overtaken(MemoryVfs);

impl Vfs for Overtaken {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.0.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir(dir)?;
        self.0.create_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.0.lock(path)
    }
    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.0.lock_shared(path)
    }
}

#[test]
fn a_directory_that_somebody_else_made_meanwhile_is_used() {
    let disk = MemoryVfs::new();
    let vfs = Arc::new(Overtaken(disk.clone()));
    let store = open_at("/store", Runtime { vfs, ..runtime(&disk, 1) }).unwrap();
    put(&store);
    assert_eq!(open(&disk.kill(), "/store").unwrap().recovery().case, "@K");
}

#[test]
fn a_name_above_the_store_that_this_user_cannot_sync_is_nobodys_doing() {
    use io::ErrorKind::{
        InvalidInput, Other, PermissionDenied, ReadOnlyFilesystem, TimedOut, Unsupported,
    };
    let whole = MemoryVfs::new();
    let store = open(&whole, "/store").unwrap();
    put(&store);
    // A recovery syncs the store's directory first, and then those above it.
    for (nth, error, opens) in [
        (1, PermissionDenied, true),
        (1, ReadOnlyFilesystem, true),
        (1, InvalidInput, true),
        (1, Unsupported, true),
        (1, TimedOut, false),
        (1, Other, false),
        (0, PermissionDenied, false),
        (0, Unsupported, false),
    ] {
        let disk = whole.kill();
        plan(&disk, OperationKind::SyncDir, "", nth, error);
        let opened = open(&disk, "/store");
        assert_eq!(disk.faults_fired(), 1);
        assert_eq!(opened.is_ok(), opens, "{nth} {error:?}: {opened:?}");
    }
}

#[test]
fn what_stops_a_creation_is_told() {
    let denied = io::ErrorKind::PermissionDenied;
    let disk = MemoryVfs::new();
    plan(&disk, OperationKind::CreateDir, "wal", 0, denied);
    refused(open(&disk, "/store"), "create the log's directory");
    // What is left of a segment that was being made is in the way of the next.
    plan(&disk, OperationKind::Remove, ".tmp", 0, denied);
    refused(open(&disk, "/store"), "prepare");
    put(&open(&disk, "/store").unwrap());
}

#[test]
fn an_identity_that_is_longer_than_any_is_damage_and_not_an_error_of_the_disk() {
    let disk = MemoryVfs::new();
    put(&open(&disk, "/store").unwrap());
    let path = Path::new("/store/IDENTITY");
    disk.open(path, OpenMode::ReadWrite).unwrap().set_len((1 << 20) + 1).unwrap();
    let error = open(&disk.kill(), "/store").unwrap_err();
    assert_eq!((error.kind(), error.place().offset), (ErrorKind::Corrupt, Some(1 << 20)));
}
