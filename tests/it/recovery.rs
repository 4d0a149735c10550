//! Recovery reads the log in pieces, and ahead: what it finds does not depend on that, and what it
//! keeps in memory does not depend on the size of a segment.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jidoka::base::{Error, ErrorKind, Result};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::vfs::{DirEntry, File, Lock, OpenMode, Reading, Runtime, Vfs};
use jidoka::wal::reader::Limit;
use jidoka::wal::{Durability, LogReader, OpenSettings, Survey, Wal, survey_log};

use crate::model::STORE;

const SEGMENT_BYTES: u64 = 64 << 10;

fn put(store: &Store, number: u8, len: usize, durability: Durability) {
    let mut batch = Batch::new();
    batch.put(&Keyspace::new("pots").unwrap(), &[number], &vec![number; len]);
    batch.durability(durability);
    store.commit(batch).unwrap();
}

/// A killed store of four segments: records of all lengths, up to more than half a segment, and a
/// last group that nothing proves and that is longer than a piece.
fn killed() -> MemoryVfs {
    let disk = MemoryVfs::new();
    let builder = Store::builder(STORE).segment_bytes(SEGMENT_BYTES);
    let store = builder.runtime(runtime(&disk, 1)).open().unwrap();
    for number in 0..60_u8 {
        let len = if number.is_multiple_of(20) { 40_000 } else { usize::from(number) * 37 };
        put(&store, number, len, Durability::Sync);
    }
    (60..70).for_each(|number| put(&store, number, 3000, Durability::Memory));
    store.sync().unwrap();
    disk.crash_with(CrashMode::Everything)
}

/// What opening the log gave: its records and what recovery did, or where it was refused.
type Seen = std::result::Result<(Vec<(u64, u64, Vec<u8>)>, [u64; 6], u64), (ErrorKind, String)>;

fn place(error: &Error) -> (ErrorKind, String) {
    (error.kind(), format!("{} {:?}", error.message(), error.place()))
}

fn opened(image: &MemoryVfs, reading: Reading) -> Seen {
    let disk = image.kill();
    disk.set_reading(reading);
    let mut records = Vec::new();
    let mut replay = |record: &jidoka::wal::scan::Record<'_>| {
        records.push((record.header.seq.0, record.offset, record.payload.to_vec()));
        Ok(())
    };
    let settings = OpenSettings::default();
    let log = Wal::open(Path::new(STORE), &runtime(&disk, 5), &settings, &mut replay);
    let log = log.map_err(|error| place(&error))?;
    let report = log.report();
    let counts = [
        report.segments,
        report.records,
        report.bytes,
        report.cut_bytes,
        report.rewritten_bytes,
        log.stats().active_segment,
    ];
    // Whatever recovery wrote again is the same, too.
    drop(log);
    Ok((records, counts, disk.content_hash()))
}

fn surveyed(image: &MemoryVfs, reading: Reading) -> (Survey, Vec<u64>) {
    let disk = image.kill();
    disk.set_reading(reading);
    let mut seqs = Vec::new();
    let survey = survey_log(Path::new(STORE), &runtime(&disk, 5), &mut |record| {
        seqs.push(record.header.seq.0);
        Ok(())
    });
    (survey.unwrap(), seqs)
}

fn followed(image: &MemoryVfs, reading: Reading) -> Result<()> {
    let disk = image.kill();
    disk.set_reading(reading);
    let mut reader = LogReader::open(Path::new(STORE), &runtime(&disk, 5))?;
    while reader.next(Limit::Everything)?.is_some() {}
    reader.check_end()
}

#[test]
fn what_is_found_depends_neither_on_pieces_nor_on_threads() {
    let whole = killed();
    let (mut refused, mut cut) = (0, 0);
    // A flipped byte every few hundred bytes, from the first header page to behind the end.
    for at in (0..4 * SEGMENT_BYTES).step_by(1499) {
        let image = whole.kill();
        let path = format!("{STORE}/wal/{:016}.wal", at / SEGMENT_BYTES + 1);
        let file = image.open(Path::new(&path), OpenMode::ReadWrite).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, at % SEGMENT_BYTES).unwrap();
        file.write_at(&[byte[0] ^ 0x10], at % SEGMENT_BYTES).unwrap();
        drop(file);
        let alone = Reading::default();
        let (seen, surveyed_whole) = (opened(&image, alone), surveyed(&image, alone));
        refused += u64::from(seen.is_err());
        cut += u64::from(seen.as_ref().is_ok_and(|seen| seen.1[3] > 0));
        for threads in [1, 3] {
            let pieces = Reading { threads, piece: 8192 };
            assert_eq!(opened(&image, pieces), seen, "{threads} threads, byte {at}");
            assert_eq!(surveyed(&image, pieces), surveyed_whole, "byte {at}");
            let ends = |reading| followed(&image, reading).map_err(|error| place(&error));
            assert_eq!(ends(pieces), ends(alone), "byte {at}");
        }
    }
    assert!(refused > 50 && cut > 10, "{refused} refused, {cut} cut");
}

#[test]
fn a_replay_that_fails_ends_the_reading_ahead() {
    let disk = killed();
    disk.set_reading(Reading { threads: 3, piece: 8192 });
    let mut left = 10;
    let mut replay = |_: &jidoka::wal::scan::Record<'_>| {
        left -= 1;
        if left > 0 { Ok(()) } else { Err(Error::new(ErrorKind::Unsupported, "enough")) }
    };
    let settings = OpenSettings::default();
    let refused = Wal::open(Path::new(STORE), &runtime(&disk, 5), &settings, &mut replay);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(opened(&disk, Reading::default()), opened(&killed(), Reading::default()));
}

/// A disk that notes the longest read anyone asked for.
#[derive(Debug)]
struct Noted(MemoryVfs, Arc<AtomicUsize>);

#[derive(Debug)]
struct NotedFile(Arc<dyn File>, Arc<AtomicUsize>);

impl File for NotedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.fetch_max(buffer.len(), Ordering::Relaxed);
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
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
        self.0.size()
    }
}

impl Vfs for Noted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(NotedFile(self.0.open(path, mode)?, self.1.clone())))
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

    fn reading(&self) -> Reading {
        self.0.reading()
    }
}

#[test]
fn no_segment_is_read_as_a_whole() {
    const PIECE: usize = 8192;
    const LONGEST: usize = 50_000;
    let disk = MemoryVfs::new();
    let builder = Store::builder(STORE).segment_bytes(2 << 20);
    let store = builder.runtime(runtime(&disk, 1)).open().unwrap();
    (0..200).for_each(|number| put(&store, number, 2000, Durability::Sync));
    put(&store, 200, LONGEST, Durability::Sync);
    let image = disk.crash_with(CrashMode::Everything);
    image.set_reading(Reading { threads: 1, piece: PIECE });
    let longest = Arc::new(AtomicUsize::new(0));
    let vfs = Arc::new(Noted(image.clone(), longest.clone()));
    let runtime = Runtime { vfs, ..runtime(&image, 2) };
    // A piece, or a record with its header and the pages that it shares.
    let bound = LONGEST + 2 * 4096 + PIECE;
    let survey = survey_log(Path::new(STORE), &runtime, &mut |_| Ok(())).unwrap();
    assert_eq!((survey.last.0, survey.damage.len()), (202, 0));
    let looked = longest.load(Ordering::Relaxed);
    assert!((LONGEST..bound).contains(&looked), "{looked} bytes were read at once");
    let mut reader = LogReader::open(Path::new(STORE), &runtime).unwrap();
    while reader.next(Limit::Everything).unwrap().is_some() {}
    // A reader has a window of its own; what lies behind the end it sees piece by piece.
    longest.store(0, Ordering::Relaxed);
    reader.check_end().unwrap();
    let looked = longest.swap(0, Ordering::Relaxed);
    assert!((1..=PIECE).contains(&looked), "{looked} bytes were read at once");
    let store = Store::builder(STORE).runtime(runtime).open().unwrap();
    assert_eq!((store.visible().0, store.recovery().segments), (202, 1));
    let opened = longest.load(Ordering::Relaxed);
    assert!((PIECE..bound).contains(&opened), "{opened} bytes were read at once");
}
