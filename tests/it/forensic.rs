//! A read-only open shows everything up to the damage, tells it, and writes nothing (trap 40).

use std::io::{self, ErrorKind as Io};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jidoka::base::{ErrorKind, Lsn, Result};
use jidoka::store::{ReadOnlyStore, Store};
use jidoka::vfs::memory::{Fault, FaultKind, MemoryVfs, OperationKind, Selector, runtime};
use jidoka::vfs::{DirEntry, File, FileExt, Lock, OpenMode, Runtime, Vfs};
use jidoka::wal::{Appending, Durability, OpenSettings, Payload, Wal};

use crate::model::{STORE, open};
use crate::salvage::{CASES, files, pots, put, segment, whole, write};

/// A disk that may only be read, counts who tries otherwise, and asks at each file that is opened
/// whether a writer could come in.
#[derive(Debug)]
struct Sealed {
    disk: MemoryVfs,
    tried: Arc<AtomicU64>,
    guarded: bool,
}

impl Sealed {
    fn refuse<T>(&self) -> io::Result<T> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        Err(Io::ReadOnlyFilesystem.into())
    }
}

impl Vfs for Sealed {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode != OpenMode::Read {
            return self.refuse();
        }
        if self.guarded && path.extension().is_some() {
            let writer = self.disk.lock(&Path::new(STORE).join("LOCK"));
            assert_eq!(writer.unwrap_err().kind(), Io::WouldBlock, "a writer could come in");
        }
        let (file, tried) = (self.disk.open(path, mode)?, Arc::clone(&self.tried));
        Ok(Arc::new(SealedFile { file, tried }))
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn lock(&self, _: &Path) -> io::Result<Box<dyn Lock>> {
        self.refuse()
    }
    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock_shared(path)
    }
}

#[derive(Debug)]
struct SealedFile {
    file: Arc<dyn File>,
    tried: Arc<AtomicU64>,
}

impl SealedFile {
    fn refuse<T>(&self) -> io::Result<T> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        Err(Io::PermissionDenied.into())
    }
}

impl File for SealedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        self.refuse()
    }
    fn sync_data(&self) -> io::Result<()> {
        self.refuse()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.refuse()
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        self.refuse()
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

/// Looks at the store on `disk`, which must not be written to.
#[track_caller]
fn look(disk: &MemoryVfs, guarded: bool) -> Result<ReadOnlyStore> {
    let before = (files(disk), disk.read_file(Path::new(STORE).join("LOCK")).ok());
    let tried = Arc::new(AtomicU64::new(0));
    let vfs = Arc::new(Sealed { disk: disk.clone(), tried: Arc::clone(&tried), guarded });
    let runtime = Runtime { vfs, ..runtime(disk, 40) };
    let looked = Store::builder(STORE).runtime(runtime).open_read_only();
    assert_eq!(tried.load(Ordering::SeqCst), 0, "it tried to write");
    let after = (files(disk), disk.read_file(Path::new(STORE).join("LOCK")).ok());
    assert_eq!(after, before, "the store was changed");
    looked
}

/// The number of commits that are shown, each with the value it had.
#[track_caller]
fn shown(store: &ReadOnlyStore) -> usize {
    let found: Vec<_> = store.range(&pots(), ..).map(|found| found.unwrap()).collect();
    for (number, found) in (0..).zip(&found) {
        assert_eq!((&found.key[..], &found.value[..]), (&[number][..], &[number; 900][..]));
        assert_eq!(store.get(&pots(), &[number]).unwrap().as_ref(), Some(found));
    }
    found.len()
}

#[test]
fn everything_up_to_the_damage_is_shown_and_the_damage_is_told_with_its_place() {
    for case in &CASES {
        for close in [false, true] {
            let disk = case.damaged(close);
            let refused = open(&disk.kill(), 9).unwrap_err();
            let store = look(&disk, true).unwrap();
            // Nothing behind a file that is too long is read before it is cut to its size.
            let kept = if case.name == "long" { 3 } else { usize::from(case.kept) };
            assert_eq!(shown(&store), kept, "{}", case.name);
            let damage = store.damage().unwrap();
            assert_eq!((damage.kind(), damage.place()), (ErrorKind::Corrupt, refused.place()));
            assert_eq!(damage.place().lsn, Some(store.visible().next()), "{}", case.name);
            assert!(damage.message().ends_with(&format!("(case {})", store.recovery().case)));
        }
    }
}

#[test]
fn a_whole_store_is_shown_as_opening_shows_it() {
    for (close, case) in [(true, "@J"), (false, "@K")] {
        let disk = whole(close);
        let store = look(&disk, true).unwrap();
        assert_eq!((shown(&store), store.damage().is_none()), (9, true));
        assert_eq!((store.recovery().case, store.is_beside_writer()), (case, false));
        assert_eq!(store.visible(), Lsn(10));
        assert_eq!(store.claimed(), Lsn(if close { 10 } else { 9 }), "the last group");
        assert_eq!(store.recovery().rewritten_bytes, 0);
        let opened = open(&disk, 41).unwrap();
        assert_eq!(opened.identity(), store.identity());
        assert_eq!(opened.recovery().records, store.recovery().records);
        assert_eq!(opened.memory_bytes(), store.memory_bytes());
        assert_eq!(opened.snapshot().keyspaces(), store.snapshot().keyspaces());
    }
}

#[test]
fn a_torn_end_is_left_out_and_left_there() {
    let disk = whole(false);
    let files = disk.files().iter().filter(|(path, _)| path.extension().is_some()).count();
    // The last one is a spare.
    write(&disk, &segment(u64::try_from(files).unwrap() - 1), 8100, b"garbage");
    let store = look(&disk, true).unwrap();
    assert_eq!((shown(&store), store.recovery().case), (9, "@L"));
    assert!(store.recovery().cut_bytes > 0 && store.damage().is_none());
}

#[test]
fn beside_a_writer_what_its_claims_cover_is_shown() {
    let disk = MemoryVfs::new();
    let writer = open(&disk, 1).unwrap();
    (0..5).for_each(|number| put(&writer, number));
    let store = look(&disk, false).unwrap();
    assert!(store.is_beside_writer());
    // The fifth is durable, but no record says so yet.
    assert_eq!((shown(&store), store.visible(), store.claimed()), (4, Lsn(5), Lsn(5)));
    put(&writer, 5);
    assert_eq!((shown(&store), shown(&look(&disk, false).unwrap())), (4, 5));
    put(&writer, 6);
    writer.close().unwrap();
    let store = look(&disk, true).unwrap();
    assert_eq!((shown(&store), store.is_beside_writer()), (7, false));
    // It holds nothing: a writer comes in while it is still looked at.
    put(&open(&disk, 2).unwrap(), 7);
    assert_eq!(shown(&store), 7);
}

#[test]
fn damage_is_told_beside_a_writer_too() {
    let disk = MemoryVfs::new();
    let writer = open(&disk, 1).unwrap();
    (0..9).for_each(|number| put(&writer, number));
    disk.flip(segment(2), 5600, 1).unwrap();
    let store = look(&disk, false).unwrap();
    assert!(store.is_beside_writer());
    let damage = store.damage().unwrap();
    // The fourth is whole, but the claim that covers it is in the record that is not.
    assert_eq!((shown(&store), damage.kind()), (3, ErrorKind::Corrupt));
    assert_eq!(damage.place().path.as_deref(), Some(Path::new("wal/0000000000000002.wal")));
    assert_eq!(damage.place().lsn, Some(Lsn(6)));
    assert!(damage.place().offset.is_some_and(|offset| offset < 5600));
}

#[test]
fn what_cannot_be_read_ends_what_is_shown_and_is_told_as_that() {
    let disk = whole(true);
    let path_contains = Some("0000000000000002".to_owned());
    let at = Selector { kind: Some(OperationKind::Read), path_contains, nth: 0 };
    disk.plan(Fault { at, what: FaultKind::Error(Io::Other), sticky: true });
    let store = look(&disk, true).unwrap();
    let damage = store.damage().unwrap();
    assert_eq!((shown(&store), damage.kind()), (3, ErrorKind::Io), "{damage:?}");
    assert_eq!(damage.place().path.as_deref(), Some(Path::new("wal/0000000000000002.wal")));
    // Where nothing can be read there is nothing to show.
    let disk = whole(true);
    let at = Selector { kind: Some(OperationKind::List), ..Selector::default() };
    disk.plan(Fault { at, what: FaultKind::Error(Io::Other), sticky: true });
    assert_eq!(look(&disk, false).unwrap_err().kind(), ErrorKind::Io);
}

struct Unconditional;

impl Appending for Unconditional {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }
    fn appended(&mut self, _: Lsn, _: jidoka::base::Timestamp) {}
}

#[test]
fn a_commit_that_is_intact_and_no_batch_ends_what_is_shown() {
    let disk = whole(true);
    let settings = OpenSettings { create: false, ..OpenSettings::default() };
    let path = Path::new(STORE);
    let log = Wal::open(path, &runtime(&disk, 2), &settings, &mut |_| Ok(())).unwrap();
    let junk = Payload::new(b"not a batch".to_vec());
    log.append(&junk, Durability::Buffered, &mut Unconditional).unwrap();
    log.sync().unwrap();
    log.close().unwrap();
    assert_eq!(open(&disk, 3).unwrap_err().kind(), ErrorKind::Corrupt);
    let store = look(&disk, true).unwrap();
    let damage = store.damage().unwrap();
    assert_eq!((shown(&store), damage.kind()), (9, ErrorKind::Corrupt));
    assert_eq!(damage.place().lsn, Some(Lsn(11)));
}

#[test]
fn what_is_no_store_is_not_looked_at() {
    let disk = MemoryVfs::new();
    assert_eq!(look(&disk, false).unwrap_err().kind(), ErrorKind::NotFound);
    disk.create_dir(Path::new(STORE)).unwrap();
    assert_eq!(look(&disk, false).unwrap_err().kind(), ErrorKind::NotFound);
    for name in ["IDENTITY", "gone"] {
        let disk = whole(true);
        let path = Path::new(STORE).join("IDENTITY");
        if name == "gone" {
            disk.remove(&path).unwrap();
        } else {
            let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
            file.write_all_at(b"?", 30).unwrap();
        }
        let error = look(&disk, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
        assert_eq!(error.place().path.as_deref(), Some(Path::new("IDENTITY")), "{name}");
    }
    // A copy of the files without the lock is a store nobody writes to.
    let disk = whole(true);
    disk.remove(&Path::new(STORE).join("LOCK")).unwrap();
    let store = look(&disk, false).unwrap();
    assert_eq!((shown(&store), store.is_beside_writer()), (9, false));
}
