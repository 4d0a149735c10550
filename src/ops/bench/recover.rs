//! The time to open what a killed writer left.

use std::path::Path;
use std::time::Duration;

use crate::base::codec::to_u64;
use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::store::{Keyspace, Store};
use crate::vfs::{File, FileExt, OpenMode, Vfs, os};
use crate::wal::identity::FILE_NAME as IDENTITY_NAME;
use crate::wal::segment::{DIR_NAME, parse_file_name};
use crate::wal::{Durability, OpenSettings, RecoveryReport, Wal};

use super::numbers::{Measurement, Recovered, Times, median, ratio, real};
use super::session::{Event, Session};
use super::writer::Writer;

/// Bytes of a value unless others are asked for.
const VALUE_BYTES: u32 = 256;
/// Bytes copied, or read, at once.
const CHUNK: usize = 1 << 20;
/// Commits at the end that are synced one by one.
const SYNCED_LAST: u64 = 4;
/// Commits between looks at the time and the size.
const LOOK: u64 = 256;

/// What is to be opened.
struct Killed {
    first: (Keyspace, Vec<u8>),
    /// Time to read its log, or another as cold.
    raw: Duration,
}

/// What was opened, and when it answered.
struct Opened {
    report: RecoveryReport,
    opened: Duration,
    answered: Duration,
}

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let value_bytes = session.request.value_bytes.unwrap_or(VALUE_BYTES);
    let (log_alone, cold) = (session.request.log_alone, session.request.cold);
    (session.tell)(Event::Going("writing a log to recover"))?;
    let killed = session.dir.join("killed");
    let Some(Killed { first, raw }) = fill_and_kill(session, value_bytes, &killed)? else {
        return (session.tell)(Event::Skipped(
            "this file system has no way past the page cache, so that nothing can be cold",
        ));
    };
    (session.tell)(Event::Going("measuring recovery"))?;
    let found =
        if log_alone { open_log(session, &killed)? } else { open_store(session, &killed, &first)? };
    let Opened { report, opened, answered } = found;
    let mut times = Times::default();
    times.add(opened);
    let said = times.measurement(1, value_bytes.into());
    let rate = |time: Duration| ratio(real(report.records), time.as_secs_f64()).round();
    let mut raw_times = Times::default();
    raw_times.add(raw);
    let raw = super::numbers::Raw { ops_per_s: rate(raw), ..raw_times.raw() };
    let measured = Measurement {
        bench: "recover",
        ops: report.records,
        ops_per_s: rate(opened),
        ratio: median(vec![ratio(rate(opened), raw.ops_per_s)]),
        raw,
        log_alone,
        cold,
        recovered: Some(Recovered {
            log_bytes: report.bytes,
            bytes_per_s: ratio(real(report.bytes), opened.as_secs_f64()).round(),
            first_get_ms: (answered.as_secs_f64() * 1e6).round() / 1e3,
        }),
        ..said
    };
    (session.tell)(Event::Measured(&measured))
}

/// Opens the store and asks for the key that came first.
fn open_store(session: &Session<'_>, dir: &Path, first: &(Keyspace, Vec<u8>)) -> Result<Opened> {
    let started = session.now();
    let store = Store::builder(dir).create(false).runtime(session.runtime.clone()).open()?;
    let opened = session.now().saturating_sub(started);
    let found = store.get(&first.0, &first.1)?;
    let answered = session.now().saturating_sub(started);
    let report = store.recovery().clone();
    session.discard(&store)?;
    found.map(|_| Opened { report, opened, answered }).ok_or_else(lost)
}

/// Opens the log by itself and asks for its first commit.
fn open_log(session: &Session<'_>, dir: &Path) -> Result<Opened> {
    let settings = OpenSettings { create: false, ..OpenSettings::default() };
    let started = session.now();
    let log = Wal::open(dir, session.runtime, &settings, &mut |_| Ok(()))?;
    let opened = session.now().saturating_sub(started);
    let found = log.follow(Lsn::ZERO)?.next_commit()?;
    let answered = session.now().saturating_sub(started);
    let report = log.report().clone();
    log.close()?;
    found.map(|_| Opened { report, opened, answered }).ok_or_else(lost)
}

fn lost() -> Error {
    Error::new(ErrorKind::Bug, "a synced commit is gone after recovery")
}

/// Writes a log, puts into `killed` what would be left of it if its writer were killed now, and
/// gives the time that reading it takes; `None` when it was to be cold and cannot be.
///
/// Both copies are cold when nothing ever read them and they were written past the page cache.
fn fill_and_kill(
    session: &mut Session<'_>,
    value_bytes: u32,
    killed: &Path,
) -> Result<Option<Killed>> {
    let store = session.store("store")?;
    let mut writer = Writer::new(&store, value_bytes, (0, 1))?.with_new_keys();
    let first = writer.first_key();
    let deadline = session.now() + session.request.time;
    let mut commits: u64 = 0;
    loop {
        writer.commit(Durability::Memory)?;
        commits += 1;
        if commits.is_multiple_of(LOOK) {
            let log = store.log_stats().active_segment * store.identity().segment_bytes;
            if log > session.request.log_bytes || session.now() >= deadline {
                break;
            }
            (session.tell)(Event::Going("writing a log to recover"))?;
        }
    }
    store.sync()?;
    // Two claims prove what is before them; without these recovery would write again all that came
    // since the keeper last synced, which here is as much as memory takes in a tenth of a second.
    for _ in 0..SYNCED_LAST {
        writer.commit(Durability::Sync)?;
    }
    drop(writer);
    let raw = copy_and_read(session, store.path(), killed)?;
    session.discard(&store)?;
    Ok(raw.map(|raw| Killed { first, raw }))
}

/// Copies the store and times the reading of a copy: of the one that is to be opened, or where
/// both are to be cold, of another one.
fn copy_and_read(session: &Session<'_>, from: &Path, killed: &Path) -> Result<Option<Duration>> {
    if !session.request.cold {
        copy_store(session, from, killed)?;
        return read_all(session, &killed.join(DIR_NAME)).map(Some);
    }
    let read = session.dir.join("read");
    if !copy_store(session, from, &read)? {
        return Ok(None);
    }
    let raw = read_all(session, &read.join(DIR_NAME))?;
    // What stays takes space until the fresh directory goes.
    let _ignored = os::remove_tree(&read);
    copy_store(session, from, killed)?;
    Ok(Some(raw))
}

/// Copies the files of a store whose writer is idle: what the next process finds after a kill.
/// Gives false when the copy was to be cold and the file system has no way for it.
fn copy_store(session: &Session<'_>, from: &Path, to: &Path) -> Result<bool> {
    let vfs = session.runtime.vfs.as_ref();
    let fail = |error| Error::io("copy the log to recover to", to, error);
    vfs.create_dir(to).map_err(fail)?;
    vfs.create_dir(&to.join(DIR_NAME)).map_err(fail)?;
    copy_file(vfs, &from.join(IDENTITY_NAME), &to.join(IDENTITY_NAME))?;
    for entry in vfs.list(&from.join(DIR_NAME)).map_err(fail)? {
        if parse_file_name(&entry.name).is_some() {
            let name = Path::new(DIR_NAME).join(&entry.name);
            let (from, to) = (from.join(&name), to.join(&name));
            if !session.request.cold {
                copy_file(vfs, &from, &to)?;
            } else if !copy_past_the_cache(vfs, &from, &to)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Copies a file of whole pages so that nothing of the copy is in the page cache.
fn copy_past_the_cache(vfs: &dyn Vfs, from: &Path, to: &Path) -> Result<bool> {
    use std::io::ErrorKind::{InvalidInput, Unsupported};
    let fail = |error| Error::io("copy the log to recover to", to, error);
    let source = vfs.open(from, OpenMode::Read).map_err(fail)?;
    drop(vfs.open(to, OpenMode::CreateNew).map_err(fail)?);
    let target = match vfs.open_write_through(to) {
        Err(error) if matches!(error.kind(), Unsupported | InvalidInput) => return Ok(false),
        opened => opened.map_err(fail)?,
    };
    each_chunk(source.as_ref(), &mut |bytes, offset| target.write_all_at(bytes, offset))
        .map_err(fail)?;
    Ok(true)
}

fn copy_file(vfs: &dyn Vfs, from: &Path, to: &Path) -> Result<()> {
    let fail = |error| Error::io("copy the log to recover to", to, error);
    let source = vfs.open(from, OpenMode::Read).map_err(fail)?;
    let target = vfs.open(to, OpenMode::CreateNew).map_err(fail)?;
    each_chunk(source.as_ref(), &mut |bytes, offset| target.write_all_at(bytes, offset))
        .and_then(|()| target.sync_all())
        .map_err(fail)
}

/// Time to read every segment once, as recovery does.
fn read_all(session: &Session<'_>, dir: &Path) -> Result<Duration> {
    let fail = |error| Error::io("read the log of", dir, error);
    let vfs = session.runtime.vfs.as_ref();
    let entries = vfs.list(dir).map_err(fail)?;
    let started = session.now();
    for entry in entries {
        let file = vfs.open(&dir.join(&entry.name), OpenMode::Read).map_err(fail)?;
        each_chunk(file.as_ref(), &mut |_, _| Ok(())).map_err(fail)?;
    }
    Ok(session.now().saturating_sub(started))
}

fn each_chunk(
    file: &dyn File,
    body: &mut dyn FnMut(&[u8], u64) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let (mut buffer, mut offset) = (vec![0; CHUNK], 0);
    loop {
        let count = file.read_up_to(&mut buffer, offset)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        body(bytes, offset)?;
        offset += to_u64(count);
    }
}
