//! Which way of making a page durable this disk likes.
//!
//! The log's own way is the first: a write and a data sync on a file whose zeroes were really
//! written. The others say what a file pays that is not prepared, and what it would gain to write
//! through. All take turns, a block at a time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::limits::PAGE;
use crate::base::{Error, ErrorKind, Result};
use crate::vfs::os::{WriteThrough, open_write_through};
use crate::vfs::{File, FileExt, OpenMode};

use super::numbers::{Measurement, Times, median, ratio};
use super::raw::{PAGES, RawFile};
use super::session::{Event, Session};

/// Writes of a way before it is the next one's turn.
const BLOCK: u64 = 50;

/// How a write becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    Data,
    All,
    Through(WriteThrough),
}

/// What the file is when a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// Zeroes that were really written.
    Prepared,
    /// The size is there, the space is not.
    Sized,
    /// It ends where the page begins.
    Growing,
}

const WAYS: [(Sync, Ground, &str, &str); 6] = [
    (Sync::Data, Ground::Prepared, "fdatasync", "prepared"),
    (Sync::All, Ground::Prepared, "fsync", "prepared"),
    (Sync::Through(WriteThrough::Cached), Ground::Prepared, "o_dsync", "prepared"),
    (Sync::Through(WriteThrough::Direct), Ground::Prepared, "o_direct|o_dsync", "prepared"),
    (Sync::Data, Ground::Sized, "fdatasync", "sized"),
    (Sync::Data, Ground::Growing, "fdatasync", "growing"),
];

/// A way that works here, and how it did.
struct Trial {
    sync: Sync,
    ground: Ground,
    names: (&'static str, &'static str),
    file: Arc<dyn File>,
    path: PathBuf,
    page: u64,
    times: Times,
    ratios: Vec<f64>,
}

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let mut trials = Vec::new();
    for (sync, ground, name, file) in WAYS {
        let path = session.dir.join(format!("{}-{file}", name.replace('|', "-")));
        match prepare(session, &path, sync, ground) {
            Ok(file_open) => trials.push(Trial {
                sync,
                ground,
                names: (name, file),
                file: file_open,
                path,
                page: 0,
                times: Times::default(),
                ratios: Vec::new(),
            }),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                (session.tell)(Event::Skipped(&format!("{name}: {error}")))?;
            }
            Err(error) => return Err(error),
        }
    }
    measure(session, &mut trials)?;
    let raw = trials.first().map(|first| first.times.raw()).unwrap_or_default();
    for trial in trials {
        let (ops, said) = (trial.times.nanos.count(), trial.times.measurement(1, to_u64(PAGE)));
        let (way, ratio) = (Some(trial.names), median(trial.ratios));
        let measured = Measurement { bench: "calibrate", way, syncs: ops, raw, ratio, ..said };
        (session.tell)(Event::Measured(&measured))?;
    }
    Ok(())
}

/// Gives every way a block in turn, until the time of all of them is over.
fn measure(session: &mut Session<'_>, trials: &mut [Trial]) -> Result<()> {
    let count = u32::try_from(trials.len()).unwrap_or(1);
    let deadline = session.now() + session.request.time * count;
    let mut room = vec![0x5a; 2 * PAGE];
    // Direct writes want the buffer at a page's start.
    let start = room.as_ptr().align_offset(PAGE).min(PAGE);
    let page = room.get_mut(start..start + PAGE).unwrap_or_default();
    loop {
        let mut first = None;
        for trial in trials.iter_mut() {
            let block = trial.block(session, page)?;
            let p50 = block.p50_us();
            trial.ratios.push(ratio(p50, *first.get_or_insert(p50)));
            trial.times.merge(&block);
        }
        if session.now() >= deadline {
            return Ok(());
        }
        (session.tell)(Event::Going("measuring ways of syncing"))?;
    }
}

impl Trial {
    fn block(&mut self, session: &Session<'_>, page: &[u8]) -> Result<Times> {
        let fail = |error| Error::io("measure the disk with", &self.path, error);
        let mut times = Times::default();
        for _ in 0..BLOCK {
            if self.page >= PAGES {
                self.page = 0;
                lay_out(self.file.as_ref(), self.ground).map_err(fail)?;
            }
            let started = session.now();
            self.file.write_all_at(page, self.page * to_u64(PAGE)).map_err(fail)?;
            match self.sync {
                Sync::Data => self.file.sync_data().map_err(fail)?,
                Sync::All => self.file.sync_all().map_err(fail)?,
                Sync::Through(_) => {}
            }
            times.add(session.now().saturating_sub(started));
            self.page += 1;
        }
        Ok(times)
    }
}

fn prepare(
    session: &Session<'_>,
    path: &Path,
    sync: Sync,
    ground: Ground,
) -> Result<Arc<dyn File>> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput => {
            let what = format!("this system or file system does not do that ({error})");
            Error::new(ErrorKind::Unsupported, what)
        }
        _ => Error::io("prepare a file to measure with", path, error),
    };
    if ground == Ground::Prepared {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        drop(RawFile::prepare(session, &name)?);
        return match sync {
            Sync::Through(way) => open_write_through(path, way).map_err(fail),
            _ => session.runtime.vfs.open(path, OpenMode::ReadWrite).map_err(fail),
        };
    }
    let file = session.runtime.vfs.open(path, OpenMode::CreateNew).map_err(fail)?;
    lay_out(file.as_ref(), ground).map_err(fail)?;
    Ok(file)
}

/// Makes the file again what it was before the first page.
fn lay_out(file: &dyn File, ground: Ground) -> io::Result<()> {
    if ground == Ground::Prepared {
        return Ok(());
    }
    file.set_len(0)?;
    if ground == Ground::Sized {
        file.set_len(PAGES * to_u64(PAGE))?;
    }
    file.sync_all()
}
