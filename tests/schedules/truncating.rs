//! Commits that are taken back beside committers who wait, and committers who are called back.

use std::path::Path;
use std::sync::Arc;

use jidoka::base::{Error, ErrorKind, Lsn, Timestamp};
use jidoka::vfs::memory::{CrashMode, MemoryVfs, runtime};
use jidoka::vfs::sync::Mutex;
use jidoka::vfs::{Background, Runtime};
use jidoka::wal::format::Kind;
use jidoka::wal::{Appending, Deadline, Durability, OpenSettings, Payload, Truncations, Wal};

use crate::committers::{LARGE, below, join, start};

struct Anything;

impl Appending for Anything {
    fn check(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn appended(&mut self, _: Lsn, _: Timestamp) {}
}

/// The log, and the last commit of its history.
fn open(disk: &MemoryVfs, background: Background) -> (Wal, Lsn) {
    let runtime = Runtime { background, ..runtime(disk, 1) };
    let settings = OpenSettings { segment_bytes: 8192, ..OpenSettings::default() };
    let (mut last, mut truncations) = (Lsn::ZERO, Truncations::default());
    let opened = Wal::open(Path::new("/store"), &runtime, &settings, &mut |record| {
        truncations.note(&record.header);
        if record.header.kind == Kind::TruncateAfter || record.header.kind.takes_lsn() {
            last = record.header.lsn;
        }
        Ok(())
    });
    (opened.unwrap(), last)
}

/// A truncation takes back a suffix, and everybody is told once: who waits, who is called back,
/// and who asks again. What is appended after it is there after a power cut.
pub(crate) fn a_truncation_beside_committers_leaves_nobody_waiting() -> bool {
    let disk = MemoryVfs::new();
    let (wal, _) = open(&disk, Background::Threads);
    let (wal, called) = (Arc::new(wal), Arc::new(Mutex::new(Vec::new())));
    let mut workers = Vec::new();
    for who in 0..2_u8 {
        let (wal, called) = (Arc::clone(&wal), Arc::clone(&called));
        workers.push(start(move || {
            for number in 0..2_u8 {
                let payload = Payload::new(vec![who; LARGE]);
                let sink = Arc::clone(&called);
                let told = move |outcome: Result<(), Error>| {
                    assert!(outcome.is_ok());
                    sink.lock().push((who, number));
                };
                wal.append_with(&payload, &mut Anything, told).unwrap();
                let appended = wal.append(&payload, Durability::Sync, &mut Anything).unwrap();
                wal.wait(&appended, Deadline::NONE).unwrap();
                assert!(wal.append_async(&payload, &mut Anything).unwrap().wait(None).unwrap());
            }
        }));
    }
    let taking = Arc::clone(&wal);
    let lsn = Lsn(below(4));
    workers.push(start(move || {
        for _ in 0..2 {
            if let Err(error) = taking.truncate_after(lsn) {
                assert_eq!(error.kind(), ErrorKind::Invalid, "it is not there yet: {error:?}");
            }
        }
    }));
    join(workers);
    wal.sync().unwrap();
    let (last, rotated) = (wal.stats().appended, wal.stats().active_segment > 1);
    assert_eq!((wal.visible(), wal.durable()), (last, last));
    assert_eq!(open(&disk.crash_with(CrashMode::Nothing), Background::Stepped).1, last);
    wal.close().unwrap();
    let mut called = called.lock().clone();
    called.sort_unstable();
    assert_eq!(called, [(0, 0), (0, 1), (1, 0), (1, 1)], "each callback once");
    rotated
}
